// Rows of the primitives that hold or name other programs: call, composite, custom_call, optimization_barrier, and the
// internal linear_call.
//
// Regions of call and composite: [0] the body; then, where it has its own reverse derivative,
//   [1] forward   (arguments) -> results..., residuals...
//   [2] backward  (residuals..., cotangents of the results...) -> cotangents of the arguments
#include <fmt/format.h>

#include "tessera/ir/custom_call.hpp"
#include "tessera/ir/elementwise_rules.hpp"
#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using rules::require;

std::vector<TensorType> concatenated(std::span<const TensorType> a, std::span<const TensorType> b) {
  std::vector<TensorType> both(a.begin(), a.end());
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

// ---- call and composite ----

std::vector<TensorType> infer_body(const InferContext& c) {
  require(c.regions.size() == 1 || c.regions.size() == 3,
          "takes one region, the body, or three: the body, and a forward and a backward graph");
  require_types("the parameters of the body", c.regions[0]->parameter_types(), c.operands);
  std::vector<TensorType> results = c.regions[0]->result_types();
  if (c.regions.size() == 1) return results;
  require_types("the parameters of the forward graph", c.regions[1]->parameter_types(), c.operands);
  const std::vector<TensorType> forward = c.regions[1]->result_types();
  require(forward.size() >= results.size(), "the forward graph must return the body's results, then the residuals");
  const std::span<const TensorType> all(forward);
  require_types("the first results of the forward graph",
                {forward.begin(), forward.begin() + static_cast<std::ptrdiff_t>(results.size())}, results);
  require_types("the parameters of the backward graph", c.regions[2]->parameter_types(),
                concatenated(all.subspan(results.size()), results));
  require_types("the results of the backward graph", c.regions[2]->result_types(), c.operands);
  return results;
}

std::vector<TensorType> infer_call(const InferContext& c) {
  require(c.attributes.has("callee"), "names what it calls: the attribute 'callee' is missing");
  return infer_body(c);
}

std::vector<TensorType> infer_composite(const InferContext& c) {
  require(c.attributes.has("name"), "has a name: the attribute 'name' is missing");
  return infer_body(c);
}

std::vector<Literal> evaluate_body(const Node& node, std::span<const Literal> in) {
  return interpret(*node.regions[0], in);
}

Values inline_body(Builder& b, const Node& node, const Values& operands) {
  return b.graph.inline_graph(*node.regions[0], operands);
}

Cost body_cost(const Node& node, std::span<const TensorType>, std::span<const TensorType>) {
  return {operation_count(*node.regions[0])};
}

Primitive row_with_body(Op op, std::string_view doc, InferRule infer) {
  const Unsupported by_transform = unsupported("the transforms enter bodies themselves");
  return {.op = op,
          .doc = doc,
          .infer = std::move(infer),
          .evaluate = evaluate_body,
          .jvp = by_transform,
          .transpose = by_transform,
          .batch = by_transform,
          .loop = unsupported("its body is put in its place"),
          .decompose = inline_body,
          .cost = body_cost};
}

// ---- custom_call ----

std::vector<TensorType> infer_custom_call(const InferContext& c) {
  const std::string target = c.attributes.string("call_target_name", "");
  require(!target.empty(), "names what it calls: the attribute 'call_target_name' is missing");
  if (!is_check(target)) return decode_types(c.attributes.string("result_types", ""));
  if (target.ends_with("_const")) {
    rules::require_operands(c, 1);
    const TensorType& value = c.attributes.literal("value").type();
    require(value == c.operands[0],
            fmt::format("the constant must be {}, not {}", to_string(c.operands[0]), to_string(value)));
  } else {
    rules::require_operands(c, 2);
    require(c.operands[0] == c.operands[1], fmt::format("compares values of one type, not {} with {}",
                                                        to_string(c.operands[0]), to_string(c.operands[1])));
  }
  require(target.starts_with("check.expect_eq") || is_float(c.operands[0].dtype),
          fmt::format("compares floats, not {}", name(c.operands[0].dtype)), "check.expect_eq compares everything");
  return {};
}

/// The target of a call that is not a check.
[[noreturn]] void throw_unknown_target(const Node& node, const char* what) {
  const std::string place = node.location.known() ? to_string(node.location) + ": " : "";
  throw Error(ErrorKind::Unsupported,
              fmt::format("{}custom_call @{} {}", place, node.attributes.string("call_target_name"), what));
}

std::vector<Literal> evaluate_custom_call(const Node& node, std::span<const Literal> in) {
  if (!is_check(node.attributes.string("call_target_name")))
    throw_unknown_target(node, "is not a target that Tessera knows");
  run_check(node, in);
  return {};
}

Values jvp_custom_call(const JvpContext& c) {
  if (!is_check(c.node.attributes.string("call_target_name"))) throw_unknown_target(c.node, "has no derivative");
  return {};
}

Values batch_custom_call(const BatchContext& c) {
  if (!is_check(c.node.attributes.string("call_target_name"))) throw_unknown_target(c.node, "has no batching rule");
  if (c.operands.size() == 2) return elementwise_batch(c);
  Attributes attributes = c.node.attributes;
  const Literal& value = attributes.literal("value");
  attributes.set("call_target_name",
                 attributes.string("call_target_name").substr(0, attributes.string("call_target_name").size() - 6));
  Shape shape = value.shape();
  shape.insert(shape.begin(), c.size);
  Integers dimensions = iota_integers(value.type().rank());
  for (auto& d : dimensions) ++d;
  const Value wanted = c.build.broadcast_in_dim(c.build.constant(value), shape, dimensions);
  attributes.erase("value");
  return c.build.graph.add(Op::CustomCall, {c.operands[0], wanted}, attributes, {}, c.build.location);
}

// ---- optimization_barrier ----

/// The barrier over those of `values` that are there.
Values guard_present(Builder& b, const Values& values) {
  Values present;
  for (const Value v : values)
    if (v != kZero) present.push_back(v);
  Values guarded(values.size(), kZero);
  if (present.empty()) return guarded;
  const Values results = b.graph.add(Op::OptimizationBarrier, present, {}, {}, b.location);
  for (std::size_t i = 0, next = 0; i < values.size(); ++i)
    if (values[i] != kZero) guarded[i] = results[next++];
  return guarded;
}

// ---- linear_call ----

std::vector<TensorType> infer_linear_call(const InferContext& c) {
  const std::int64_t residuals = integer_of(c.attributes, "residuals");
  require(residuals >= 0 && residuals <= static_cast<std::int64_t>(c.operands.size()),
          "has more residuals than operands");
  require(c.regions.size() == 1, "takes one region, the backward graph");
  const auto count = static_cast<std::size_t>(residuals);
  const std::vector<TensorType> parameters = c.regions[0]->parameter_types();
  require(parameters.size() >= count, "the backward graph must take the residuals, then the cotangents");
  const auto split = parameters.begin() + residuals;
  require_types("the first parameters of the backward graph", {parameters.begin(), split}, c.operands.first(count));
  require_types("the results of the backward graph", c.regions[0]->result_types(), c.operands.subspan(count));
  return {split, parameters.end()};
}

Values transpose_linear_call(const TransposeContext& c) {
  const auto count = c.node.attributes.integer("residuals");
  Values arguments(c.operands.begin(), c.operands.begin() + count);
  for (std::size_t i = 0; i < c.cotangents.size(); ++i) arguments.push_back(c.cotangent_or_zeros(i));
  const Values results = c.build.graph.inline_graph(*c.node.regions[0], arguments);
  Values cotangents(c.operands.size(), kZero);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::size_t at = static_cast<std::size_t>(count) + i;
    if (c.is_linear(at)) cotangents[at] = results[i];
  }
  return cotangents;
}

}  // namespace

std::vector<Primitive> structure_rows() {
  const Unsupported not_linear = unsupported("it is not linear");
  const Unsupported only_transposed = unsupported("a linear call lives between linearising and transposing");
  return {
      row_with_body(Op::Call, "A named function, called; its body goes with it.", infer_call),
      row_with_body(Op::Composite,
                    "An operation made of others: a backend that knows the name may have it, all else uses the body.",
                    infer_composite),
      {.op = Op::CustomCall,
       .doc = "A function that is no primitive, by name; the targets check.* compare values.",
       .infer = infer_custom_call,
       .evaluate = evaluate_custom_call,
       .jvp = jvp_custom_call,
       .transpose = not_linear,
       .batch = batch_custom_call,
       .loop = unsupported("it runs on the host"),
       .decompose = unsupported("its meaning is known by its target alone"),
       .cost = {}},
      {.op = Op::OptimizationBarrier,
       .doc = "The operands, unchanged; nothing moves across.",
       .infer = [](const InferContext& c) { return std::vector<TensorType>(c.operands.begin(), c.operands.end()); },
       .evaluate = [](const Node&, std::span<const Literal> in) { return std::vector<Literal>(in.begin(), in.end()); },
       .jvp = [](const JvpContext& c) { return guard_present(c.build, c.tangents); },
       .transpose =
           [](const TransposeContext& c) {
             Values cotangents = guard_present(c.build, c.cotangents);
             for (std::size_t i = 0; i < cotangents.size(); ++i)
               if (!c.is_linear(i)) cotangents[i] = kZero;
             return cotangents;
           },
       .batch = elementwise_batch,
       .loop = [](LoopContext& c) { return c.operand(c.result, c.index); },
       .decompose = unsupported("it has a loop rule"),
       .cost = {}},
      {.op = Op::LinearCall,
       .doc =
           "Internal: the tangent of a call with its own reverse derivative, as a function of its operands' tangents.",
       .infer = infer_linear_call,
       .evaluate = [](const Node&, std::span<const Literal>) -> std::vector<Literal> {
         throw Error(ErrorKind::Unsupported,
                     "a function with a reverse derivative of its own was differentiated in forward mode");
       },
       .jvp = only_transposed,
       .transpose = transpose_linear_call,
       .batch = unsupported("the transforms enter bodies themselves"),
       .loop = unsupported("it is never run"),
       .decompose = unsupported("it is never run"),
       .cost = {}},
  };
}

}  // namespace tessera::ir
