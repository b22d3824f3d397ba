// The reference interpreter: every node by its row's `evaluate`, in order. The oracle of all other ways to run a graph.
#include <algorithm>

#include "tessera/ir/primitive.hpp"

namespace tessera::ir {

std::vector<Literal> interpret(const Graph& graph, std::span<const Literal> arguments) {
  if (arguments.size() != graph.parameters.size())
    throw Error(ErrorKind::Usage, "the program takes " + std::to_string(graph.parameters.size()) +
                                      " arguments and was given " + std::to_string(arguments.size()));
  std::vector<int> uses(graph.values.size(), 0);  // values are dropped after their last use
  for (const Node& node : graph.nodes)
    for (const Value v : node.operands) ++uses[static_cast<std::size_t>(v)];
  for (const Value v : graph.results) ++uses[static_cast<std::size_t>(v)];
  std::vector<std::optional<Literal>> known(graph.values.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].type() != graph.type(graph.parameters[i]))
      throw Error(ErrorKind::Usage, "argument " + std::to_string(i) + " is " + to_string(arguments[i].type()) +
                                        ", the program takes " + to_string(graph.type(graph.parameters[i])));
    known[static_cast<std::size_t>(graph.parameters[i])] = arguments[i];
  }
  for (const Node& node : graph.nodes) {
    std::vector<Literal> operands;
    for (const Value v : node.operands) operands.push_back(*known[static_cast<std::size_t>(v)]);
    std::vector<Literal> results = primitive(node.op).evaluate(node, operands);
    for (std::size_t i = 0; i < results.size(); ++i)
      known[static_cast<std::size_t>(node.results[i])] = std::move(results[i]);
    for (const Value v : node.operands)
      if (--uses[static_cast<std::size_t>(v)] == 0) known[static_cast<std::size_t>(v)].reset();
  }
  std::vector<Literal> results;
  for (const Value v : graph.results) results.push_back(*known[static_cast<std::size_t>(v)]);
  return results;
}

}  // namespace tessera::ir
