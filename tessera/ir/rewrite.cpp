// Going through a graph for ir/rewrite.hpp.
#include "tessera/ir/rewrite.hpp"

namespace tessera::ir {

Values rewrite_into(Graph& to, const Graph& from, std::span<const Value> arguments, const Replace& replace) {
  Rewriting r{to, Values(from.values.size(), -1), 0, {}};
  for (std::size_t i = 0; i < from.parameters.size(); ++i) r[from.parameters[i]] = arguments[i];
  for (const Node& node : from.nodes) {
    r.operands = r[node.operands];
    std::optional<Values> made = replace(r, node);
    if (!made) made = to.append(node, r.operands, from.types(node.results));
    for (std::size_t i = 0; i < made->size(); ++i) r[node.results[i]] = (*made)[i];
    ++r.index;
  }
  return r[from.results];
}

Graph rewrite(const Graph& from, const Replace& replace) {
  Graph to(from.name);
  for (const Value p : from.parameters) to.parameter(from.type(p));
  const Values parameters = to.parameters;
  to.results = rewrite_into(to, from, parameters, replace);
  return to;
}

}  // namespace tessera::ir
