// Rows of slices whose place is computed: dynamic_slice and dynamic_update_slice. Their starts are clamped so that the
// slice lies inside. Read next: ir/rows_gather.cpp, ir/rows_scatter.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "tessera/ir/index_map.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using kernel::kNone;
using K = kernel::Op;

/// Operands from `first` on are one scalar integer a dimension.
void check_starts(const InferContext& context, std::size_t first) {
  const std::size_t rank = context.operands[0].shape.size();
  if (context.operands.size() != first + rank)
    broken(fmt::format("{} start indices were given for {} dimensions", context.operands.size() - first, rank));
  for (std::size_t i = first; i < context.operands.size(); ++i) {
    const TensorType& type = context.operands[i];
    if (!type.shape.empty() || !is_integer(type.dtype) || type != context.operands[first])
      broken(fmt::format("start index {} is {}", i - first, to_string(type)),
             "start indices are scalar integers of one type");
  }
}

Integers clamped_starts(std::span<const Literal> starts, const Shape& shape, const Shape& sizes) {
  Integers start;
  for (std::size_t d = 0; d < shape.size(); ++d)
    start.push_back(std::clamp<std::int64_t>(index_at(starts[d], 0), 0, shape[d] - sizes[d]));
  return start;
}

Expr start_expression(LoopContext& context, std::size_t operand, std::int64_t highest) {
  kernel::Builder& k = context.kernel;
  if (highest == 0) return k.index(0);
  const Expr start = index_expression(k, context.operand(operand, {}));
  return k.binary(K::Minimum, k.binary(K::Maximum, start, k.index(0)), k.index(highest));
}

Values with_starts(Values first, const Values& operands, std::size_t starts) {
  first.insert(first.end(), operands.begin() + static_cast<std::ptrdiff_t>(starts), operands.end());
  return first;
}

/// The starts as one tensor [size, rank].
Value stacked_starts(const BatchContext& context, std::size_t first) {
  Values columns;
  for (std::size_t i = first; i < context.operands.size(); ++i)
    columns.push_back(context.build.reshape(context.with_batch(i), {context.size, 1}));
  return context.build.concatenate(columns, 1);
}

bool any_batched(const BatchContext& context, std::size_t first) {
  return std::any_of(context.batched.begin() + static_cast<std::ptrdiff_t>(first), context.batched.end(),
                     [](bool b) { return b; });
}

/// A start of zero for the batch dimension, of the type of the others.
Value zero_start(const BatchContext& context, std::size_t first) {
  const bool none = context.operands.size() == first;
  return context.build.full(none ? DType::I32 : context.build.dtype(context.operands[first]), 0);
}

// dynamic_slice

std::vector<TensorType> infer_dynamic_slice(const InferContext& context) {
  if (context.operands.empty()) broken("takes a tensor and a start index for each of its dimensions");
  const TensorType& operand = context.operands[0];
  check_starts(context, 1);
  const Integers& sizes = integers_of(context.attributes, "slice_sizes");
  check_size(sizes, operand.shape.size(), "slice_sizes");
  for (std::size_t d = 0; d < sizes.size(); ++d)
    if (sizes[d] < 0 || sizes[d] > operand.shape[d])
      broken(
          fmt::format("a slice of {} elements does not fit dimension {} of extent {}", sizes[d], d, operand.shape[d]));
  return {{operand.dtype, sizes}};
}

std::vector<Literal> evaluate_dynamic_slice(const Node& node, std::span<const Literal> operands) {
  const Shape& shape = operands[0].shape();
  const Literal result({operands[0].dtype(), node.attributes.integers("slice_sizes")});
  const Integers start = clamped_starts(operands.subspan(1), shape, result.shape());
  std::int64_t to = 0;
  for_each_index(result.shape(), [&](Integers index) {
    for (std::size_t d = 0; d < index.size(); ++d) index[d] += start[d];
    copy_element(operands[0], position(shape, index), result, to++);
  });
  return {result};
}

Value make_dynamic_slice(Builder& build, Value operand, const Values& operands, std::size_t starts,
                         const Integers& sizes) {
  return build.graph.add1(Op::DynamicSlice, with_starts({operand}, operands, starts), {{"slice_sizes", sizes}}, {},
                          build.location);
}

Value make_dynamic_update_slice(Builder& build, Value operand, Value update, const Values& operands,
                                std::size_t starts) {
  return build.graph.add1(Op::DynamicUpdateSlice, with_starts({operand, update}, operands, starts), {}, {},
                          build.location);
}

Values jvp_dynamic_slice(const JvpContext& context) {
  if (context.tangents[0] == kZero) return {kZero};
  return {make_dynamic_slice(context.build, context.tangents[0], context.operands, 1,
                             context.node.attributes.integers("slice_sizes"))};
}

Values transpose_dynamic_slice(const TransposeContext& context) {
  Values out(context.operands.size(), kZero);
  const TensorType& type = context.operand_types[0];
  out[0] = make_dynamic_update_slice(context.build, context.build.full(type.dtype, 0, type.shape),
                                     context.cotangents[0], context.operands, 1);
  return out;
}

Values batch_dynamic_slice(const BatchContext& context) {
  Builder& build = context.build;
  const Integers& sizes = context.node.attributes.integers("slice_sizes");
  const auto rank = static_cast<std::int64_t>(sizes.size());
  if (!any_batched(context, 1)) {
    Values operands{context.operands[0], zero_start(context, 1)};
    return {build.graph.add1(Op::DynamicSlice, with_starts(operands, context.operands, 1),
                             {{"slice_sizes", prepended(context.size, sizes)}}, {}, build.location)};
  }
  IndexMap map{shifted(iota_integers(rank)), {}, {}, {}, iota_integers(rank), 1};
  Integers slice = sizes;
  if (context.batched[0]) {
    map.operand_batching = map.indices_batching = {0};
    map.index_map = shifted(map.index_map);
    slice = prepended(std::min<std::int64_t>(1, context.size), sizes);
  }
  return {build.graph.add1(Op::Gather, {context.operands[0], stacked_starts(context, 1)}, map.as_gather(slice, false),
                           {}, build.location)};
}

Expr loop_dynamic_slice(LoopContext& context) {
  const Shape &shape = context.operand_type(0).shape, &sizes = context.result_type(0).shape;
  Index source;
  for (std::size_t d = 0; d < shape.size(); ++d)
    source.push_back(context.kernel.add(start_expression(context, 1 + d, shape[d] - sizes[d]), context.index[d]));
  return context.operand(0, source);
}

// dynamic_update_slice

std::vector<TensorType> infer_dynamic_update_slice(const InferContext& context) {
  if (context.operands.size() < 2) broken("takes a tensor, an update, and a start index for each dimension");
  const TensorType &operand = context.operands[0], &update = context.operands[1];
  check_starts(context, 2);
  bool fits = update.dtype == operand.dtype && update.rank() == operand.rank();
  for (std::size_t d = 0; fits && d < operand.shape.size(); ++d) fits = update.shape[d] <= operand.shape[d];
  if (!fits)
    broken(fmt::format("an update {} does not fit {}", to_string(update), to_string(operand)),
           "it has the same element type and number of dimensions, and no larger extents");
  return {operand};
}

std::vector<Literal> evaluate_dynamic_update_slice(const Node&, std::span<const Literal> operands) {
  const Shape& shape = operands[0].shape();
  const Literal result(operands[0].type());
  std::copy_n(operands[0].data(), result.bytes(), result.data());
  const Integers start = clamped_starts(operands.subspan(2), shape, operands[1].shape());
  std::int64_t from = 0;
  for_each_index(operands[1].shape(), [&](Integers index) {
    for (std::size_t d = 0; d < index.size(); ++d) index[d] += start[d];
    copy_element(operands[1], from++, result, position(shape, index));
  });
  return {result};
}

Values jvp_dynamic_update_slice(const JvpContext& context) {
  if (context.tangents[0] == kZero && context.tangents[1] == kZero) return {kZero};
  return {make_dynamic_update_slice(context.build, context.tangent_or_zeros(0), context.tangent_or_zeros(1),
                                    context.operands, 2)};
}

Values transpose_dynamic_update_slice(const TransposeContext& context) {
  Builder& build = context.build;
  const TensorType& update = context.operand_types[1];
  Values out(context.operands.size(), kZero);
  if (context.is_linear(0))
    out[0] = make_dynamic_update_slice(build, context.cotangents[0], build.full(update.dtype, 0, update.shape),
                                       context.operands, 2);
  if (context.is_linear(1))
    out[1] = make_dynamic_slice(build, context.cotangents[0], context.operands, 2, update.shape);
  return out;
}

Values batch_dynamic_update_slice(const BatchContext& context) {
  Builder& build = context.build;
  const Value operand = context.with_batch(0), update = context.with_batch(1);
  if (!any_batched(context, 2))
    return {build.graph.add1(Op::DynamicUpdateSlice,
                             with_starts({operand, update, zero_start(context, 2)}, context.operands, 2), {}, {},
                             build.location)};
  const std::int64_t rank = build.type(operand).rank() - 1;
  const Integers inner = shifted(iota_integers(rank));
  Integers highest;
  for (const std::int64_t d : inner) highest.push_back(build.shape(operand)[at(d)] - build.shape(update)[at(d)]);
  const Value starts = clamp_indices(build, stacked_starts(context, 2), 1, Integers(at(rank), 0), highest);
  const IndexMap map{inner, {}, {0}, {0}, inner, 1};
  return {build.graph.add1(Op::Scatter, {operand, starts, update}, map.as_scatter(false, true),
                           {overwrite(build.dtype(operand))}, build.location)};
}

Expr loop_dynamic_update_slice(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const Shape &shape = context.operand_type(0).shape, &update = context.operand_type(1).shape;
  if (element_count(update) == 0) return context.operand(0, context.index);
  Index source;
  Expr inside = kNone;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    source.push_back(k.sub(context.index[d], start_expression(context, 2 + d, shape[d] - update[d])));
    if (shape[d] == update[d]) continue;
    inside = both(k, inside, k.binary(K::GreaterEqual, source[d], k.index(0)));
    inside = both(k, inside, k.binary(K::Less, source[d], k.index(update[d])));
  }
  const Expr updated = context.operand(1, source, inside);
  return inside == kNone ? updated : k.select(inside, updated, context.operand(0, context.index));
}

}  // namespace

std::vector<Primitive> indexing_rows() {
  std::vector<Primitive> rows;
  rows.push_back({.op = Op::DynamicSlice,
                  .doc = "A slice of fixed size at computed start indices, which are clamped.",
                  .infer = infer_dynamic_slice,
                  .evaluate = evaluate_dynamic_slice,
                  .jvp = jvp_dynamic_slice,
                  .transpose = transpose_dynamic_slice,
                  .batch = batch_dynamic_slice,
                  .loop = loop_dynamic_slice,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back({.op = Op::DynamicUpdateSlice,
                  .doc = "The tensor with a slice at computed start indices, which are clamped, replaced.",
                  .infer = infer_dynamic_update_slice,
                  .evaluate = evaluate_dynamic_update_slice,
                  .jvp = jvp_dynamic_update_slice,
                  .transpose = transpose_dynamic_update_slice,
                  .batch = batch_dynamic_update_slice,
                  .loop = loop_dynamic_update_slice,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back(gather_row());
  rows.push_back(scatter_row());
  return rows;
}

}  // namespace tessera::ir
