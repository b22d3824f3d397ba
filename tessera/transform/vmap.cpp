// Vectorisation: every node that a batched value reaches, by its row's batch rule.
#include <algorithm>

#include "tessera/ir/rewrite.hpp"
#include "tessera/transform/linearize.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::transform {
namespace {

using namespace ir;

/// Calls keep their form: each body is vectorised over all of its parameters.
Values batch_call(const BatchContext& context) {
  Node node = context.node;
  Values operands;
  for (std::size_t i = 0; i < context.operands.size(); ++i) operands.push_back(context.with_batch(i));
  for (GraphPtr& region : node.regions)
    region = vmap(*region, std::vector<bool>(region->parameters.size(), true), context.size);
  std::vector<TensorType> types;
  if (node.op == Op::LinearCall) {
    const std::vector<TensorType> all = node.regions[0]->parameter_types();
    types.assign(all.begin() + node.attributes.integer("residuals"), all.end());
  } else {
    types = node.regions[0]->result_types();
  }
  return context.build.graph.append(node, operands, types);
}

Values batch_node(const BatchContext& context) {
  const Node& node = context.node;
  if (node.op == Op::Call || node.op == Op::Composite || node.op == Op::LinearCall) return batch_call(context);
  if (is_control_flow(node.op)) return batch_control(context);
  const auto& rule = primitive(node.op).batch;
  if (!rule)
    throw Error(ErrorKind::Unsupported,
                to_string(node.location) + ": " + std::string(name(node.op)) + " cannot be vectorised: " + rule.why());
  return (*rule)(context);
}

}  // namespace

Batched vmap_partly(const Graph& graph, const std::vector<bool>& batched, std::int64_t size) {
  auto out = std::make_shared<Graph>(graph.name + ".vmap");
  std::vector<bool> carries(graph.values.size(), false);
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
    TensorType type = graph.type(graph.parameters[i]);
    if (batched[i]) type.shape.insert(type.shape.begin(), size);
    out->parameter(type);
    carries[static_cast<std::size_t>(graph.parameters[i])] = batched[i];
  }
  const Values parameters = out->parameters;
  out->results = rewrite_into(*out, graph, parameters, [&](Rewriting& r, const Node& node) -> std::optional<Values> {
    std::vector<bool> operand_batched;
    for (const Value v : node.operands) operand_batched.push_back(carries[static_cast<std::size_t>(v)]);
    if (std::find(operand_batched.begin(), operand_batched.end(), true) == operand_batched.end()) return std::nullopt;
    for (const Value v : node.results) carries[static_cast<std::size_t>(v)] = true;
    Builder build{*out, node.location};
    return batch_node({build, node, r.operands, operand_batched, size});
  });
  Batched made{out, {}};
  for (const Value r : graph.results) made.results.push_back(carries[static_cast<std::size_t>(r)]);
  return made;
}

void batch_results(Batched& batched, const std::vector<bool>& which, std::int64_t size) {
  Builder build{*batched.graph};
  const Node none;
  for (std::size_t r = 0; r < which.size(); ++r) {
    if (!which[r] || batched.results[r]) continue;
    const Values operand = {batched.graph->results[r]};
    batched.graph->results[r] = BatchContext{build, none, operand, {false}, size}.with_batch(0);
    batched.results[r] = true;
  }
}

GraphPtr vmap(const Graph& graph, const std::vector<bool>& batched, std::int64_t size) {
  Batched made = vmap_partly(graph, batched, size);
  batch_results(made, std::vector<bool>(graph.results.size(), true), size);
  return made.graph;
}

}  // namespace tessera::transform
