// Reverse mode: linearise, then walk the nodes that depend on tangents backwards through their transpose rules.
#include <algorithm>

#include "tessera/transform/linearize.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::transform {

using namespace ir;

GraphPtr vjp(const Graph& graph, const std::vector<bool>& wrt, const std::vector<bool>& varied) {
  auto out = std::make_shared<Graph>(graph.name + ".grad");
  Values primals;
  for (const Value p : graph.parameters) primals.push_back(out->parameter(graph.type(p)));

  // Tangent parameters are scaffolding: after the transposition nothing uses them, and they are dropped.
  std::vector<bool> drop(primals.size(), false);
  Values tangents(primals.size(), kZero);
  for (std::size_t i = 0; i < primals.size(); ++i) {
    if (!wrt[i] || !is_float(out->dtype(primals[i]))) continue;
    tangents[i] = out->parameter(out->type(primals[i]));
    drop.push_back(true);
  }
  const Values inputs = tangents;
  const Values results = linearize(*out, graph, primals, tangents, Mode::Reverse);

  std::vector<bool> linear(out->values.size(), false);
  for (const Value t : inputs)
    if (t != kZero) linear[static_cast<std::size_t>(t)] = true;
  const std::size_t count = out->nodes.size();
  for (const Node& node : out->nodes) {
    const bool depends = std::any_of(node.operands.begin(), node.operands.end(),
                                     [&](Value v) { return linear[static_cast<std::size_t>(v)]; });
    for (const Value r : node.results) linear[static_cast<std::size_t>(r)] = depends;
  }

  Values cotangent(out->values.size(), kZero);
  const auto accumulate = [&](Value to, Value amount, Location location) {
    Value& sum = cotangent[static_cast<std::size_t>(to)];
    sum = sum == kZero ? amount : Builder{*out, location}.add(sum, amount);
  };
  for (std::size_t r = 0; r < results.size(); ++r) {
    if (!varied[r]) continue;
    const Value seed = out->parameter(graph.type(graph.results[r]));
    drop.push_back(false);
    if (tangents[r] != kZero) accumulate(tangents[r], seed, {});
  }
  for (std::size_t n = count; n-- > 0;) {
    const Node node = out->nodes[n];  // a copy: the rules append to the list
    Values result_cotangents;
    for (const Value r : node.results) result_cotangents.push_back(cotangent[static_cast<std::size_t>(r)]);
    if (std::all_of(result_cotangents.begin(), result_cotangents.end(), [](Value v) { return v == kZero; })) continue;
    const auto& rule = primitive(node.op).transpose;
    if (!rule)
      throw Error(ErrorKind::Unsupported, to_string(node.location) + ": " + std::string(name(node.op)) +
                                              " cannot be differentiated backwards: " + rule.why());
    Values operands = node.operands;
    for (Value& v : operands)
      if (linear[static_cast<std::size_t>(v)]) v = kZero;
    Builder build{*out, node.location};
    const std::vector<TensorType> operand_types = out->types(node.operands);
    const std::vector<TensorType> result_types = out->types(node.results);
    const Values made = (*rule)({build, node, operand_types, result_types, operands, result_cotangents});
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (operands[i] == kZero && made[i] != kZero) accumulate(node.operands[i], made[i], node.location);
  }

  out->results = results;
  Builder build{*out};
  for (std::size_t i = 0; i < primals.size(); ++i) {
    if (!wrt[i]) continue;
    const Value sum = inputs[i] == kZero ? kZero : cotangent[static_cast<std::size_t>(inputs[i])];
    out->results.push_back(sum == kZero ? build.zeros_like(primals[i]) : sum);
  }
  return prune(*out, drop);
}

}  // namespace tessera::transform
