// Row of gather: windows of an operand, each at an index that is clamped so that the window lies inside.
// Its transpose is scatter. Read next: ir/rows_scatter.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "tessera/ir/index_map.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using K = kernel::Op;

Shape result_shape(const IndexMap& map, const Shape& operand, const Shape& indices, const Integers& slice_sizes) {
  const Shape batch = map.batch_shape(indices);
  const Integers kept = map.kept(static_cast<std::int64_t>(operand.size()));
  Shape shape(batch.size() + kept.size());
  const Integers batch_dims = map.batch_dims(static_cast<std::int64_t>(shape.size()));
  for (std::size_t i = 0; i < batch.size(); ++i) shape[at(batch_dims[i])] = batch[i];
  for (std::size_t i = 0; i < kept.size(); ++i) shape[at(map.window_dims[i])] = slice_sizes[at(kept[i])];
  return shape;
}

std::vector<TensorType> infer_gather(const InferContext& context) {
  check_operand_count(context, 2);
  const TensorType &operand = context.operands[0], &indices = context.operands[1];
  const IndexMap map = IndexMap::of_gather(context.attributes);
  const Integers& sizes = integers_of(context.attributes, "slice_sizes");
  const auto rank = static_cast<std::int64_t>(map.window_dims.size()) + indices.rank() -
                    (map.index_vector_dim < indices.rank() ? 1 : 0);
  map.check(operand, indices, rank);
  check_size(sizes, operand.shape.size(), "slice_sizes");
  for (std::size_t d = 0; d < sizes.size(); ++d)
    if (sizes[d] < 0 || sizes[d] > operand.shape[d])
      broken(
          fmt::format("a slice of {} elements does not fit dimension {} of extent {}", sizes[d], d, operand.shape[d]));
  for (const std::int64_t d : map.dropped)
    if (sizes[at(d)] != 1)
      broken(fmt::format("dimension {} is collapsed and its slice has {} elements", d, sizes[at(d)]),
             "only slices of one element can be collapsed");
  for (const std::int64_t d : map.operand_batching)
    if (sizes[at(d)] > 1)
      broken(fmt::format("dimension {} is a batching dimension and its slice has {} elements", d, sizes[at(d)]));
  return {checked_type(operand.dtype, result_shape(map, operand.shape, indices.shape, sizes))};
}

std::vector<Literal> evaluate_gather(const Node& node, std::span<const Literal> operands) {
  const Literal &operand = operands[0], &indices = operands[1];
  const IndexMap map = IndexMap::of_gather(node.attributes);
  const Integers& sizes = node.attributes.integers("slice_sizes");
  const Literal result({operand.dtype(), result_shape(map, operand.shape(), indices.shape(), sizes)});
  const auto indices_rank = indices.type().rank();
  std::int64_t to = 0;
  for_each_index(result.shape(), [&](const Integers& index) {
    Integers source(operand.shape().size(), 0);
    map.add_window(index, source);
    for (std::size_t c = 0; c < map.index_map.size(); ++c) {
      const auto d = at(map.index_map[c]);
      const Integers where = map.component(index, static_cast<std::int64_t>(c), indices_rank);
      source[d] += std::clamp<std::int64_t>(index_at(indices, position(indices.shape(), where)), 0,
                                            operand.shape()[d] - sizes[d]);
    }
    copy_element(operand, position(operand.shape(), source), result, to++);
  });
  return {result};
}

Values jvp_gather(const JvpContext& context) {
  if (context.tangents[0] == kZero) return {kZero};
  return {context.build.graph.add1(Op::Gather, {context.tangents[0], context.operands[1]}, context.node.attributes, {},
                                   context.build.location)};
}

/// Scatter drops what gather clamps, so the indices are clamped first.
Values transpose_gather(const TransposeContext& context) {
  Builder& build = context.build;
  const Attributes& attributes = context.node.attributes;
  const IndexMap map = IndexMap::of_gather(attributes);
  const Integers& sizes = attributes.integers("slice_sizes");
  const TensorType& type = context.operand_types[0];
  Integers highest;
  for (const std::int64_t d : map.index_map) highest.push_back(type.shape[at(d)] - sizes[at(d)]);
  const Value indices =
      clamp_indices(build, context.operands[1], map.index_vector_dim, Integers(highest.size(), 0), highest);
  const Value zeros = build.full(type.dtype, 0, type.shape);
  return {build.graph.add1(Op::Scatter, {zeros, indices, context.cotangents[0]},
                           map.as_scatter(attributes.boolean("indices_are_sorted", false), false),
                           {reducer(Op::Add, type.dtype)}, build.location),
          kZero};
}

Values batch_gather(const BatchContext& context) {
  const bool operand = context.batched[0], indices = context.batched[1];
  const IndexMap map = IndexMap::of_gather(context.node.attributes).batched(operand, indices);
  Integers sizes = context.node.attributes.integers("slice_sizes");
  if (operand) sizes = prepended(indices ? std::min<std::int64_t>(1, context.size) : context.size, sizes);
  return {context.build.graph.add1(
      Op::Gather, context.operands,
      map.as_gather(sizes, !indices && context.node.attributes.boolean("indices_are_sorted", false)), {},
      context.build.location)};
}

Expr loop_gather(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const IndexMap map = IndexMap::of_gather(context.node.attributes);
  const Integers& sizes = context.node.attributes.integers("slice_sizes");
  const Shape& shape = context.operand_type(0).shape;
  Index source(shape.size(), k.index(0));
  map.add_window(context.index, source);
  for (std::size_t c = 0; c < map.index_map.size(); ++c) {
    const auto d = at(map.index_map[c]);
    const std::int64_t highest = shape[d] - sizes[d];
    if (highest == 0) continue;
    const Index where =
        map.component(context.index, k.index(static_cast<std::int64_t>(c)), context.operand_type(1).rank());
    const Expr start = index_expression(k, context.operand(1, where));
    source[d] = k.add(source[d], k.binary(K::Minimum, k.binary(K::Maximum, start, k.index(0)), k.index(highest)));
  }
  return context.operand(0, source);
}

}  // namespace

Primitive gather_row() {
  return {.op = Op::Gather,
          .doc = "Windows of a tensor at computed indices, which are clamped.",
          .infer = infer_gather,
          .evaluate = evaluate_gather,
          .jvp = jvp_gather,
          .transpose = transpose_gather,
          .batch = batch_gather,
          .loop = loop_gather,
          .decompose = unsupported("it has a loop rule"),
          .cost = {}};
}

}  // namespace tessera::ir
