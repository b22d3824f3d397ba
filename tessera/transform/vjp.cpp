// Reverse mode: linearise, then walk the nodes that depend on tangents backwards through their transpose rules.
#include <algorithm>

#include "tessera/transform/linearize.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::transform {

using namespace ir;

Backward::Backward(Graph& graph, const Values& inputs)
    : graph_(graph),
      count_(graph.nodes.size()),
      linear_(graph.values.size(), false),
      cotangent_(graph.values.size(), kZero) {
  for (const Value t : inputs)
    if (t != kZero) linear_[static_cast<std::size_t>(t)] = true;
  for (const Node& node : graph.nodes) {
    const bool depends = std::any_of(node.operands.begin(), node.operands.end(),
                                     [&](Value v) { return linear_[static_cast<std::size_t>(v)]; });
    for (const Value r : node.results) linear_[static_cast<std::size_t>(r)] = depends;
  }
}

namespace {

/// The scatter that adds into zeros, as the transpose of a gather does; null when `v` is made otherwise.
const Node* scatter_into_zeros(const Graph& graph, Value v) {
  const Node* scatter = graph.producer(v);
  if (scatter == nullptr || scatter->op != Op::Scatter || scatter->results.size() != 1 ||
      match_monoid(*scatter->regions[0]) != Op::Add)
    return nullptr;
  const Node* zeros = graph.producer(scatter->operands[0]);
  if (zeros != nullptr && zeros->op == Op::BroadcastInDim) zeros = graph.producer(zeros->operands[0]);
  if (zeros == nullptr || zeros->op != Op::Constant) return nullptr;
  const Literal& value = zeros->attributes.literal("value");
  return value.size() > 0 && value.is_splat() && value.get_double(0) == 0 ? scatter : nullptr;
}

}  // namespace

void Backward::add(Value to, Value amount, Location location) {
  Value& sum = cotangent_[static_cast<std::size_t>(to)];
  if (sum == kZero) {
    sum = amount;
  } else if (const Node* scatter = scatter_into_zeros(graph_, amount)) {  // into what is there, without the zeros
    const Node node = *scatter;
    sum = graph_.append(node, {sum, node.operands[1], node.operands[2]}, graph_.types(node.results))[0];
  } else {
    sum = Builder{graph_, location}.add(sum, amount);
  }
}

void Backward::seed(Value value, Value cotangent) {
  if (value != kZero && linear_[static_cast<std::size_t>(value)]) add(value, cotangent, {});
}

void Backward::run() {
  for (std::size_t n = count_; n-- > 0;) {
    const Node node = graph_.nodes[n];  // a copy: the rules append to the list
    Values result_cotangents;
    for (const Value r : node.results) result_cotangents.push_back(cotangent(r));
    if (std::all_of(result_cotangents.begin(), result_cotangents.end(), [](Value v) { return v == kZero; })) continue;
    Values operands = node.operands;
    for (Value& v : operands)
      if (linear_[static_cast<std::size_t>(v)]) v = kZero;
    Builder build{graph_, node.location};
    const std::vector<TensorType> operand_types = graph_.types(node.operands);
    const std::vector<TensorType> result_types = graph_.types(node.results);
    const TransposeContext context{build, node, operand_types, result_types, operands, result_cotangents};
    const auto& rule = primitive(node.op).transpose;
    const bool enters = is_control_flow(node.op) && node.op != Op::While;
    if (!rule && !enters)
      throw Error(ErrorKind::Unsupported, to_string(node.location) + ": " + std::string(name(node.op)) +
                                              " cannot be differentiated backwards: " + rule.why());
    const Values made = enters ? transpose_control(context) : (*rule)(context);
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (operands[i] == kZero && made[i] != kZero) add(node.operands[i], made[i], node.location);
  }
}

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

  Backward backward(*out, inputs);
  for (std::size_t r = 0; r < results.size(); ++r) {
    if (!varied[r]) continue;
    const Value seed = out->parameter(graph.type(graph.results[r]));
    drop.push_back(false);
    backward.seed(tangents[r], seed);
  }
  backward.run();

  out->results = results;
  Builder build{*out};
  for (std::size_t i = 0; i < primals.size(); ++i) {
    if (!wrt[i]) continue;
    const Value sum = inputs[i] == kZero ? kZero : backward.cotangent(inputs[i]);
    out->results.push_back(sum == kZero ? build.zeros_like(primals[i]) : sum);
  }
  return prune(*out, drop);
}

}  // namespace tessera::transform
