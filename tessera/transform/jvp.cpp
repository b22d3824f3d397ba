// Forward mode: every node, then its row's jvp rule. Read next: vjp.cpp.
#include <algorithm>

#include "tessera/ir/rewrite.hpp"
#include "tessera/transform/linearize.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::transform {
namespace {

using namespace ir;

/// The backward graph of a checkpointed body: (arguments..., cotangents...) -> argument cotangents. The barrier keeps
/// the recomputation from being merged with the first computation.
GraphPtr recomputing_backward(const Graph& body) {
  std::vector<bool> wrt;
  for (const Value p : body.parameters) wrt.push_back(is_float(body.dtype(p)));
  std::vector<bool> varied;
  for (const Value r : body.results) varied.push_back(is_float(body.dtype(r)));
  const GraphPtr pullback = vjp(body, wrt, varied);

  auto backward = std::make_shared<Graph>(body.name + ".backward");
  Builder build{*backward};
  Values guarded;
  for (const Value p : body.parameters) guarded.push_back(backward->parameter(body.type(p)));
  for (const Value r : body.results) guarded.push_back(backward->parameter(body.type(r)));
  guarded = backward->add(Op::OptimizationBarrier, guarded);
  const std::size_t arguments = body.parameters.size();
  Values inputs(guarded.begin(), guarded.begin() + static_cast<std::ptrdiff_t>(arguments));
  for (std::size_t r = 0; r < varied.size(); ++r)
    if (varied[r]) inputs.push_back(guarded[arguments + r]);
  const Values outputs = backward->inline_graph(*pullback, inputs);
  std::size_t next = body.results.size();
  for (std::size_t i = 0; i < arguments; ++i)
    backward->results.push_back(wrt[i] ? outputs[next++] : build.zeros_like(guarded[i]));
  return prune(*backward);
}

/// For a checkpoint the residuals are the arguments themselves.
GraphPtr forward_keeping_arguments(const Graph& body) {
  auto forward = std::make_shared<Graph>(body);
  forward->results.insert(forward->results.end(), body.parameters.begin(), body.parameters.end());
  return forward;
}

/// A call in reverse mode whose derivative is not that of its body: results by the forward graph, tangents by a
/// linear call that holds the backward graph.
Values linearize_custom(Graph& graph, const Node& node, const Graph& forward, const GraphPtr& backward,
                        const Values& operands, Values& tangents) {
  Builder build{graph, node.location};
  const Values all = graph.inline_graph(forward, operands);
  const auto count = static_cast<std::ptrdiff_t>(node.results.size());
  Values linear(all.begin() + count, all.end());  // the residuals
  const auto residuals = static_cast<std::int64_t>(linear.size());
  for (std::size_t i = 0; i < operands.size(); ++i)
    linear.push_back(tangents[i] == kZero ? build.zeros_like(operands[i]) : tangents[i]);
  tangents = graph.add(Op::LinearCall, linear, {{"residuals", residuals}}, {backward}, node.location);
  return {all.begin(), all.begin() + count};
}

/// Takes the tangents of the operands and leaves those of the results.
Values linearize_call(Graph& graph, const Node& node, const Values& operands, Values& tangents, Mode mode) {
  if (mode == Mode::Reverse && node.regions.size() == 3)
    return linearize_custom(graph, node, *node.regions[1], node.regions[2], operands, tangents);
  if (mode == Mode::Reverse && node.attributes.boolean("checkpoint", false))
    return linearize_custom(graph, node, *forward_keeping_arguments(*node.regions[0]),
                            recomputing_backward(*node.regions[0]), operands, tangents);
  return linearize(graph, *node.regions[0], operands, tangents, mode);
}

}  // namespace

Values linearize(Graph& graph, const Graph& body, const Values& primals, Values& tangents, Mode mode) {
  Values tangent(body.values.size(), kZero);
  for (std::size_t i = 0; i < body.parameters.size(); ++i)
    tangent[static_cast<std::size_t>(body.parameters[i])] = tangents[i];
  const auto tangents_of = [&](const Values& which) {
    Values list;
    for (const Value v : which) list.push_back(tangent[static_cast<std::size_t>(v)]);
    return list;
  };
  const auto step = [&](Rewriting& r, const Node& node) -> std::optional<Values> {
    Values moved = tangents_of(node.operands);  // then those of the results
    const bool varies = std::any_of(moved.begin(), moved.end(), [](Value t) { return t != kZero; });
    if (!varies || node.attributes.boolean("stop_gradient", false)) return std::nullopt;
    Values results;
    if (node.op == Op::Call || node.op == Op::Composite) {
      results = linearize_call(graph, node, r.operands, moved, mode);
    } else if (is_control_flow(node.op)) {
      results = linearize_control(graph, node, r.operands, moved, mode);
    } else {
      results = graph.append(node, r.operands, body.types(node.results));
      const auto& rule = primitive(node.op).jvp;
      if (!rule)
        throw Error(ErrorKind::Unsupported, to_string(node.location) + ": " + std::string(name(node.op)) +
                                                " cannot be differentiated: " + rule.why());
      Builder build{graph, node.location};
      moved = (*rule)({build, node, r.operands, results, moved});
    }
    for (std::size_t i = 0; i < results.size(); ++i)
      if (is_float(body.dtype(node.results[i]))) tangent[static_cast<std::size_t>(node.results[i])] = moved[i];
    return results;
  };
  Values results = rewrite_into(graph, body, primals, step);
  tangents = tangents_of(body.results);
  return results;
}

GraphPtr jvp(const Graph& graph, const std::vector<bool>& wrt) {
  auto out = std::make_shared<Graph>(graph.name + ".jvp");
  Builder build{*out};
  Values primals;
  for (const Value p : graph.parameters) primals.push_back(out->parameter(graph.type(p)));
  Values tangents(primals.size(), kZero);
  for (std::size_t i = 0; i < primals.size(); ++i) {
    if (!wrt[i]) continue;
    const Value t = out->parameter(out->type(primals[i]));
    if (is_float(out->dtype(t))) tangents[i] = t;
  }
  const Values results = linearize(*out, graph, primals, tangents, Mode::Forward);
  out->results = results;
  for (std::size_t r = 0; r < results.size(); ++r)
    out->results.push_back(tangents[r] == kZero ? build.zeros_like(results[r]) : tangents[r]);
  return prune(*out);
}

std::shared_ptr<Graph> extract(const Graph& from, const Values& parameters, const std::vector<TensorType>& types,
                               const Values& results) {
  auto out = std::make_shared<Graph>(from.name);
  Values map(from.values.size(), kZero);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Value made = out->parameter(types[i]);
    if (parameters[i] != kZero) map[static_cast<std::size_t>(parameters[i])] = made;
  }
  std::vector<bool> needed(from.values.size(), false);
  const auto need = [&](const Values& values) {
    for (const Value v : values) needed[static_cast<std::size_t>(v)] = map[static_cast<std::size_t>(v)] == kZero;
  };
  need(results);
  std::vector<bool> keep(from.nodes.size(), false);
  for (std::size_t n = from.nodes.size(); n-- > 0;) {
    const Values& made = from.nodes[n].results;
    keep[n] = std::any_of(made.begin(), made.end(), [&](Value v) { return needed[static_cast<std::size_t>(v)]; });
    if (keep[n]) need(from.nodes[n].operands);
  }
  const auto mapped = [&](const Values& list) {
    Values to;
    for (const Value v : list) to.push_back(map[static_cast<std::size_t>(v)]);
    return to;
  };
  for (std::size_t n = 0; n < from.nodes.size(); ++n) {
    if (!keep[n]) continue;
    const Node& node = from.nodes[n];
    const Values made = out->append(node, mapped(node.operands), from.types(node.results));
    for (std::size_t r = 0; r < made.size(); ++r)
      if (Value& to = map[static_cast<std::size_t>(node.results[r])]; to == kZero) to = made[r];
  }
  out->results = mapped(results);
  return out;
}

GraphPtr prune(const Graph& graph, const std::vector<bool>& drop) {
  std::vector<bool> live(graph.values.size(), false);
  for (const Value r : graph.results) live[static_cast<std::size_t>(r)] = true;
  std::vector<bool> keep(graph.nodes.size(), false);
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    keep[n] = node.attributes.boolean("has_side_effect", false) ||
              std::any_of(node.results.begin(), node.results.end(),
                          [&](Value v) { return live[static_cast<std::size_t>(v)]; });
    if (keep[n])
      for (const Value v : node.operands) live[static_cast<std::size_t>(v)] = true;
  }
  auto out = std::make_shared<Graph>(graph.name);
  Values arguments;
  for (std::size_t i = 0; i < graph.parameters.size(); ++i)
    arguments.push_back(drop.empty() || !drop[i] ? out->parameter(graph.type(graph.parameters[i])) : kZero);
  out->results = rewrite_into(*out, graph, arguments, [&](Rewriting& r, const Node&) -> std::optional<Values> {
    if (keep[r.index]) return std::nullopt;
    return Values();
  });
  return out;
}

}  // namespace tessera::transform
