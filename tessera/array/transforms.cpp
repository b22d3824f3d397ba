// The transforms on flat arrays: a traced graph is transformed and applied to its arguments and captured arrays.
#include "tessera/array/transforms.hpp"

#include "tessera/array/ops.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::detail {
namespace {

std::vector<Array> with_captured(const Traced& traced, std::vector<Array> arguments) {
  arguments.insert(arguments.end(), traced.captured.begin(), traced.captured.end());
  return arguments;
}

/// wrt for all parameters: none of the captured ones.
std::vector<bool> extended(std::vector<bool> wrt, const Traced& traced) {
  wrt.resize(traced.graph->parameters.size(), false);
  return wrt;
}

}  // namespace

std::vector<Array> apply_value_and_grad(const Traced& traced, std::vector<Array> arguments,
                                        const std::vector<bool>& wrt) {
  const ir::Graph& graph = *traced.graph;
  const ir::Value loss = graph.results.empty() ? -1 : graph.results[0];
  if (loss < 0 || !graph.shape(loss).empty() || !is_float(graph.dtype(loss)))
    throw_usage({}, "grad needs a function whose (first) result is a scalar of floating point; this one returns " +
                        (loss < 0 ? std::string("nothing") : to_string(graph.type(loss))) +
                        "\n  hint: reduce it with sum or mean");
  std::vector<bool> varied(graph.results.size(), false);
  varied[0] = true;
  const ir::GraphPtr pullback = transform::vjp(graph, extended(wrt, traced), varied);
  ir::Graph seeded(pullback->name);
  ir::Values inputs;
  for (std::size_t i = 0; i + 1 < pullback->parameters.size(); ++i)
    inputs.push_back(seeded.parameter(pullback->type(pullback->parameters[i])));
  inputs.push_back(ir::Builder{seeded}.full(graph.dtype(loss), 1));
  seeded.results = seeded.inline_graph(*pullback, inputs);
  return apply_graph(seeded, with_captured(traced, std::move(arguments)));
}

std::vector<Array> apply_vjp(const Traced& traced, std::vector<Array> arguments, const std::vector<bool>& wrt,
                             std::span<const Array> cotangents) {
  const ir::Graph& graph = *traced.graph;
  std::vector<bool> varied(graph.results.size(), false);
  std::vector<Array> inputs = with_captured(traced, std::move(arguments));
  for (std::size_t r = 0; r < cotangents.size(); ++r) {
    varied[r] = !cotangents[r].empty() && is_float(graph.dtype(graph.results[r]));
    if (!varied[r]) continue;
    if (cotangents[r].type() != graph.type(graph.results[r])) {
      const Array operands[] = {cotangents[r]};
      throw_operand_error("vjp", {}, operands,
                          "the cotangent must have the type of the value, " + to_string(graph.type(graph.results[r])),
                          "");
    }
    inputs.push_back(cotangents[r]);
  }
  return apply_graph(*transform::vjp(graph, extended(wrt, traced), varied), inputs);
}

std::vector<Array> apply_jvp(const Traced& traced, std::vector<Array> arguments, std::span<const Array> tangents) {
  std::vector<bool> wrt;
  std::vector<Array> moved;
  for (std::size_t i = 0; i < tangents.size(); ++i) {
    wrt.push_back(!tangents[i].empty() && is_float(arguments[i].dtype()));
    if (!wrt[i]) continue;
    if (tangents[i].type() != arguments[i].type()) {
      const Array operands[] = {arguments[i], tangents[i]};
      throw_operand_error("jvp", {}, operands, "a tangent must have the type of its argument", "");
    }
    moved.push_back(tangents[i]);
  }
  std::vector<Array> inputs = with_captured(traced, std::move(arguments));
  inputs.insert(inputs.end(), moved.begin(), moved.end());
  return apply_graph(*transform::jvp(*traced.graph, extended(wrt, traced)), inputs);
}

TensorType without_axis(const TensorType& type, const MapAxis& axis, Location at_call) {
  if (!axis.mapped) return type;
  const std::int64_t at = axis.axis < 0 ? axis.axis + type.rank() : axis.axis;
  if (at < 0 || at >= type.rank())
    throw_usage(at_call,
                "vmap over axis " + std::to_string(axis.axis) + " of " + to_string(type) + ", which has no such axis");
  TensorType inner = type;
  inner.shape.erase(inner.shape.begin() + at);
  return inner;
}

std::vector<Array> apply_vmap(const Traced& traced, std::vector<Array> arguments, const std::vector<MapAxis>& axes) {
  std::optional<std::int64_t> size;
  std::vector<bool> batched;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    batched.push_back(axes[i].mapped);
    if (!axes[i].mapped) continue;
    const std::int64_t extent = arguments[i].shape(axes[i].axis);
    if (size && *size != extent)
      throw_usage({}, "vmap maps over dimensions of different extent: " + std::to_string(*size) + " and " +
                          std::to_string(extent) + " (array " + std::to_string(i) + ", " +
                          to_string(arguments[i].type()) + ")");
    size = extent;
    arguments[i] = move_axis(Operand(arguments[i], std::source_location{}), axes[i].axis, 0);
  }
  if (!size) throw_usage({}, "vmap needs at least one mapped argument");
  return apply_graph(*transform::vmap(*traced.graph, extended(batched, traced), *size),
                     with_captured(traced, std::move(arguments)));
}

namespace {
std::vector<Array> apply_call(const ir::Graph& body, ir::Attributes attributes, std::vector<ir::GraphPtr> regions,
                              std::span<const Array> arguments) {
  attributes.set("callee", body.name);
  return apply(ir::Op::Call, arguments, std::move(attributes), std::move(regions), {});
}
}  // namespace

std::vector<Array> apply_checkpoint(const Traced& traced, std::vector<Array> arguments) {
  return apply_call(*traced.graph, {{"checkpoint", true}}, {traced.graph}, with_captured(traced, std::move(arguments)));
}

std::vector<Array> apply_custom_vjp(const Traced& body, const Traced& forward, const Traced& backward,
                                    std::vector<Array> arguments) {
  if (!body.captured.empty() || !forward.captured.empty() || !backward.captured.empty())
    throw_usage({}, "the functions of custom_vjp use arrays from outside; pass them as arguments");
  // The backward graph takes residuals, then cotangents: the forward graph returns values, then residuals.
  return apply_call(*body.graph, {}, {body.graph, forward.graph, backward.graph}, arguments);
}

}  // namespace tessera::detail
