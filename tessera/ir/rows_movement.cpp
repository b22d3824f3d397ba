// Rows of the operations that move elements and compute nothing: broadcast_in_dim, reshape, transpose, slice, pad,
// reverse, concatenate. Their loop rules are index arithmetic. Read next: ir/rows_indexing.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using kernel::kNone;
using K = kernel::Op;

/// The same operation with other attributes.
Value again(Builder& build, const Node& node, Values operands, Attributes attributes) {
  return build.graph.add1(node.op, std::move(operands), std::move(attributes), {}, build.location);
}

/// evaluate of an operation whose result element `index` is operand element source(index).
template <class F>
std::vector<Literal> moved(const Literal& operand, const TensorType& type, F&& source) {
  Literal result(type);
  std::int64_t i = 0;
  for_each_index(type.shape, [&](const Integers& index) {
    copy_element(operand, position(operand.shape(), source(index)), result, i++);
  });
  return {result};
}

// broadcast_in_dim

Integers broadcast_dimensions(const Node& node) { return node.attributes.integers("broadcast_dimensions"); }

std::vector<TensorType> infer_broadcast(const InferContext& context) {
  check_operand_count(context, 1);
  const TensorType& operand = context.operands[0];
  const Integers& dimensions = integers_of(context.attributes, "broadcast_dimensions");
  TensorType result = checked_type(operand.dtype, integers_of(context.attributes, "shape"));
  check_size(dimensions, operand.shape.size(), "broadcast_dimensions");
  check_in_rank(dimensions, result.rank(), "broadcast_dimensions");
  check_distinct({&dimensions}, "'broadcast_dimensions'");
  for (std::size_t d = 0; d < dimensions.size(); ++d) {
    const std::int64_t to = result.shape[at(dimensions[d])];
    if (operand.shape[d] != 1 && operand.shape[d] != to)
      broken(fmt::format("dimension {} of extent {} cannot become dimension {} of extent {}", d, operand.shape[d],
                         dimensions[d], to),
             "only an extent of 1 is stretched");
  }
  return {result};
}

std::vector<Literal> evaluate_broadcast(const Node& node, std::span<const Literal> operands) {
  const Integers dimensions = broadcast_dimensions(node);
  const Shape& from = operands[0].shape();
  return moved(operands[0], {operands[0].dtype(), node.attributes.integers("shape")}, [&](const Integers& index) {
    Integers source = picked(index, dimensions);
    for (std::size_t d = 0; d < source.size(); ++d)
      if (from[d] == 1) source[d] = 0;
    return source;
  });
}

Values transpose_broadcast(const TransposeContext& context) {
  const Integers dimensions = broadcast_dimensions(context.node);
  const Shape& from = context.operand_types[0].shape;
  const Shape& to = context.result_types[0].shape;
  Integers kept;  // result dimensions that a dimension of the operand runs along, in the operand's order
  for (std::size_t d = 0; d < from.size(); ++d)
    if (from[d] == to[at(dimensions[d])]) kept.push_back(dimensions[d]);
  const Integers summed = remaining(context.result_types[0].rank(), {&kept});
  Value cotangent = context.cotangents[0];
  if (!summed.empty()) cotangent = context.build.sum(cotangent, summed);
  Integers order = kept;
  std::sort(order.begin(), order.end());
  Integers permutation;
  for (const std::int64_t d : kept)
    permutation.push_back(std::lower_bound(order.begin(), order.end(), d) - order.begin());
  return {context.build.reshape(context.build.transpose(cotangent, permutation), from)};
}

Values batch_broadcast(const BatchContext& context) {
  Attributes attributes{{"broadcast_dimensions", prepended(0, shifted(broadcast_dimensions(context.node)))},
                        {"shape", prepended(context.size, context.node.attributes.integers("shape"))}};
  return {again(context.build, context.node, context.operands, std::move(attributes))};
}

Expr loop_broadcast(LoopContext& context) {
  const Integers dimensions = broadcast_dimensions(context.node);
  const Shape& from = context.operand_type(0).shape;
  Index source;
  for (std::size_t d = 0; d < from.size(); ++d)
    source.push_back(from[d] == 1 ? context.kernel.index(0) : context.index[at(dimensions[d])]);
  return context.operand(0, source);
}

// reshape

std::vector<TensorType> infer_reshape(const InferContext& context) {
  check_operand_count(context, 1);
  const TensorType& operand = context.operands[0];
  TensorType result = checked_type(operand.dtype, integers_of(context.attributes, "shape"));
  const std::int64_t have = element_count(operand.shape);
  const std::int64_t want = element_count(result.shape);
  if (have != want)
    broken(
        fmt::format("{} has {} elements and {} has {}", to_string(operand.shape), have, to_string(result.shape), want),
        "a reshape keeps the number of elements");
  return {result};
}

std::vector<Literal> evaluate_reshape(const Node& node, std::span<const Literal> operands) {
  return {Literal({operands[0].dtype(), node.attributes.integers("shape")}, operands[0].storage())};
}

/// Runs of dimensions of both shapes with equal products are taken apart and put together on their own, so that
/// dimensions that stay themselves cost nothing.
Expr loop_reshape(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const Shape& from = context.operand_type(0).shape;
  const Shape& to = context.result_type(0).shape;
  Index source(from.size(), k.index(0));
  if (element_count(from) == 0) return context.operand(0, source);
  std::size_t f = 0, t = 0;
  while (f < from.size() || t < to.size()) {
    const std::size_t f_begin = f, t_begin = t;
    std::int64_t f_count = f < from.size() ? from[f++] : 1;
    std::int64_t t_count = t < to.size() ? to[t++] : 1;
    while (f_count != t_count) {
      if (f_count < t_count)
        f_count *= from[f++];
      else
        t_count *= to[t++];
    }
    Expr linear = k.index(0);
    for (std::size_t d = t_begin; d < t; ++d) linear = k.add(k.mul(linear, k.index(to[d])), context.index[d]);
    for (std::size_t d = f; d-- > f_begin;) {
      const bool first =
          std::all_of(from.begin() + static_cast<std::ptrdiff_t>(f_begin),
                      from.begin() + static_cast<std::ptrdiff_t>(d), [](std::int64_t extent) { return extent == 1; });
      if (from[d] == 1) continue;
      source[d] = first ? linear : k.binary(K::Remainder, linear, k.index(from[d]));
      if (!first)
        linear = k.binary(K::Divide, linear, k.index(from[d]));
      else
        break;
    }
  }
  return context.operand(0, source);
}

// transpose

std::vector<TensorType> infer_transpose(const InferContext& context) {
  check_operand_count(context, 1);
  const TensorType& operand = context.operands[0];
  const Integers& permutation = integers_of(context.attributes, "permutation");
  check_size(permutation, operand.shape.size(), "permutation");
  check_in_rank(permutation, operand.rank(), "permutation");
  check_distinct({&permutation}, "'permutation'");
  return {{operand.dtype, picked(operand.shape, permutation)}};
}

std::vector<Literal> evaluate_transpose(const Node& node, std::span<const Literal> operands) {
  const Integers& permutation = node.attributes.integers("permutation");
  const Integers back = inverse(permutation);
  return moved(operands[0], {operands[0].dtype(), picked(operands[0].shape(), permutation)},
               [&](const Integers& index) { return picked(index, back); });
}

Expr loop_transpose(LoopContext& context) {
  Index source;
  for (const std::int64_t d : inverse(context.node.attributes.integers("permutation")))
    source.push_back(context.index[at(d)]);
  return context.operand(0, source);
}

// slice

struct SliceBounds {
  Integers start, limit, strides;
  explicit SliceBounds(const Attributes& attributes)
      : start(integers_of(attributes, "start_indices")),
        limit(integers_of(attributes, "limit_indices")),
        strides(integers_of(attributes, "strides", start.size(), 1)) {}
};

std::vector<TensorType> infer_slice(const InferContext& context) {
  check_operand_count(context, 1);
  const TensorType& operand = context.operands[0];
  const SliceBounds bounds(context.attributes);
  check_size(bounds.start, operand.shape.size(), "start_indices");
  check_size(bounds.limit, operand.shape.size(), "limit_indices");
  check_at_least(bounds.strides, 1, "strides");
  Shape shape;
  for (std::size_t d = 0; d < operand.shape.size(); ++d) {
    const std::int64_t start = bounds.start[d], limit = bounds.limit[d], step = bounds.strides[d];
    if (start < 0 || start > limit || limit > operand.shape[d])
      broken(fmt::format("dimension {} of extent {} is sliced from {} to {}", d, operand.shape[d], start, limit),
             "0 <= start <= limit <= extent must hold");
    shape.push_back(start == limit ? 0 : (limit - start - 1) / step + 1);
  }
  return {{operand.dtype, shape}};
}

std::vector<Literal> evaluate_slice(const Node& node, std::span<const Literal> operands) {
  const TensorType type = infer_slice({std::vector<TensorType>{operands[0].type()}, node.attributes, {}})[0];
  const SliceBounds bounds(node.attributes);
  return moved(operands[0], type, [&](Integers index) {
    for (std::size_t d = 0; d < index.size(); ++d) index[d] = bounds.start[d] + index[d] * bounds.strides[d];
    return index;
  });
}

Values transpose_slice(const TransposeContext& context) {
  const SliceBounds bounds(context.node.attributes);
  const Shape& from = context.operand_types[0].shape;
  const Shape& to = context.result_types[0].shape;
  Integers high, interior;
  for (std::size_t d = 0; d < from.size(); ++d) {
    interior.push_back(bounds.strides[d] - 1);
    high.push_back(from[d] - bounds.start[d] - dilated(to[d], bounds.strides[d]));
  }
  const Value zero = context.build.full(context.operand_types[0].dtype, 0);
  return {context.build.pad(context.cotangents[0], zero, bounds.start, high, interior)};
}

Values batch_slice(const BatchContext& context) {
  const SliceBounds bounds(context.node.attributes);
  return {context.build.slice(context.operands[0], prepended(0, bounds.start), prepended(context.size, bounds.limit),
                              prepended(1, bounds.strides))};
}

Expr loop_slice(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const SliceBounds bounds(context.node.attributes);
  Index source;
  for (std::size_t d = 0; d < context.index.size(); ++d)
    source.push_back(k.add(k.mul(context.index[d], k.index(bounds.strides[d])), k.index(bounds.start[d])));
  return context.operand(0, source);
}

// pad

struct PadSizes {
  Integers low, high, interior;
  explicit PadSizes(const Attributes& attributes)
      : low(integers_of(attributes, "edge_padding_low")),
        high(integers_of(attributes, "edge_padding_high")),
        interior(integers_of(attributes, "interior_padding", low.size(), 0)) {}
};

std::vector<TensorType> infer_pad(const InferContext& context) {
  check_operand_count(context, 2);
  const TensorType& operand = context.operands[0];
  if (context.operands[1] != TensorType{operand.dtype, {}})
    broken(fmt::format("the padding value is {} and must be {}", to_string(context.operands[1]),
                       to_string(TensorType{operand.dtype, {}})));
  const PadSizes sizes(context.attributes);
  check_size(sizes.low, operand.shape.size(), "edge_padding_low");
  check_size(sizes.high, operand.shape.size(), "edge_padding_high");
  check_padding(sizes.low, "edge_padding_low");
  check_padding(sizes.high, "edge_padding_high");
  check_at_least(sizes.interior, 0, "interior_padding");
  Shape shape;
  for (std::size_t d = 0; d < operand.shape.size(); ++d) {
    const std::int64_t spread = dilated(operand.shape[d], checked_add(sizes.interior[d], 1));
    shape.push_back(checked_add(checked_add(sizes.low[d], spread), sizes.high[d]));
    if (shape[d] < 0)
      broken(fmt::format("dimension {} of extent {} with padding {} and {} has a negative extent", d, operand.shape[d],
                         sizes.low[d], sizes.high[d]));
  }
  return {checked_type(operand.dtype, shape)};
}

std::vector<Literal> evaluate_pad(const Node& node, std::span<const Literal> operands) {
  const TensorType type =
      infer_pad({std::vector<TensorType>{operands[0].type(), operands[1].type()}, node.attributes, {}})[0];
  const PadSizes sizes(node.attributes);
  Literal result(type);
  for (std::int64_t i = 0, n = result.size(); i < n; ++i) copy_element(operands[1], 0, result, i);
  std::int64_t from = 0;
  for_each_index(operands[0].shape(), [&](Integers index) {
    for (std::size_t d = 0; d < index.size(); ++d) index[d] = sizes.low[d] + index[d] * (sizes.interior[d] + 1);
    if (inside(type.shape, index)) copy_element(operands[0], from, result, position(type.shape, index));
    ++from;
  });
  return {result};
}

/// Bool, true where the result of the padding is the padding value.
Value padding_mask(Builder& build, Shape shape, const PadSizes& sizes) {
  const Value inside = build.full(DType::Bool, 0, std::move(shape));
  return build.pad(inside, build.full(DType::Bool, 1), sizes.low, sizes.high, sizes.interior);
}

Values transpose_pad(const TransposeContext& context) {
  Builder& build = context.build;
  const PadSizes sizes(context.node.attributes);
  const Value cotangent = context.cotangents[0];
  Values out(2, kZero);
  if (context.is_linear(0)) {
    Integers low, high, strides, limit;
    for (std::size_t d = 0; d < sizes.low.size(); ++d) {
      low.push_back(-sizes.low[d]);
      high.push_back(-sizes.high[d]);
      strides.push_back(sizes.interior[d] + 1);
    }
    const Integers none(low.size(), 0);
    const Value cropped = build.pad(cotangent, build.full(build.dtype(cotangent), 0), low, high, none);
    out[0] = build.slice(cropped, none, build.shape(cropped), strides);
  }
  if (context.is_linear(1)) {
    const Value mask = padding_mask(build, context.operand_types[0].shape, sizes);
    out[1] = build.sum(build.select(mask, cotangent, build.zeros_like(cotangent)),
                       iota_integers(context.result_types[0].rank()));
  }
  return out;
}

Values batch_pad(const BatchContext& context) {
  Builder& build = context.build;
  PadSizes sizes(context.node.attributes);
  for (Integers* list : {&sizes.low, &sizes.high, &sizes.interior}) list->insert(list->begin(), 0);
  const Value operand = context.with_batch(0);
  if (!context.batched[1]) return {build.pad(operand, context.operands[1], sizes.low, sizes.high, sizes.interior)};
  const Value padded = build.pad(operand, build.full(build.dtype(operand), 0), sizes.low, sizes.high, sizes.interior);
  const Value values = build.broadcast_in_dim(context.operands[1], build.shape(padded), {0});
  return {build.select(padding_mask(build, build.shape(operand), sizes), values, padded)};
}

Expr loop_pad(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const PadSizes sizes(context.node.attributes);
  const Shape& from = context.operand_type(0).shape;
  const Shape& to = context.result_type(0).shape;
  const Expr value = context.operand(1, {});
  if (element_count(from) == 0) return value;
  Index source;
  Expr predicate = kNone;
  for (std::size_t d = 0; d < from.size(); ++d) {
    const std::int64_t step = sizes.interior[d] + 1;
    Expr position = k.sub(context.index[d], k.index(sizes.low[d]));
    if (sizes.low[d] > 0) predicate = both(k, predicate, k.binary(K::GreaterEqual, position, k.index(0)));
    const std::int64_t end = dilated(from[d], step);
    if (to[d] - sizes.low[d] > end) predicate = both(k, predicate, k.binary(K::Less, position, k.index(end)));
    if (step > 1) {
      predicate = both(k, predicate, k.binary(K::Equal, k.binary(K::Remainder, position, k.index(step)), k.index(0)));
      position = k.binary(K::Divide, position, k.index(step));
    }
    source.push_back(position);
  }
  const Expr element = context.operand(0, source, predicate);
  return select_or(k, predicate, element, value);
}

// reverse

std::vector<TensorType> infer_reverse(const InferContext& context) {
  check_operand_count(context, 1);
  const Integers& dimensions = integers_of(context.attributes, "dimensions");
  check_in_rank(dimensions, context.operands[0].rank(), "dimensions");
  check_distinct({&dimensions}, "'dimensions'");
  return {context.operands[0]};
}

std::vector<Literal> evaluate_reverse(const Node& node, std::span<const Literal> operands) {
  return moved(operands[0], operands[0].type(), [&](Integers index) {
    for (const std::int64_t d : node.attributes.integers("dimensions"))
      index[at(d)] = operands[0].shape()[at(d)] - 1 - index[at(d)];
    return index;
  });
}

Expr loop_reverse(LoopContext& context) {
  Index source = context.index;
  for (const std::int64_t d : context.node.attributes.integers("dimensions"))
    source[at(d)] = context.kernel.sub(context.kernel.index(context.operand_type(0).shape[at(d)] - 1), source[at(d)]);
  return context.operand(0, source);
}

// concatenate

std::vector<TensorType> infer_concatenate(const InferContext& context) {
  if (context.operands.empty()) broken("takes at least one operand");
  const std::int64_t dimension = integer_of(context.attributes, "dimension");
  TensorType result = context.operands[0];
  check_in_rank({dimension}, result.rank(), "dimension");
  std::int64_t& extent = result.shape[at(dimension)];
  for (std::size_t i = 1; i < context.operands.size(); ++i) {
    TensorType part = context.operands[i];
    if (part.rank() == result.rank()) {
      const std::int64_t own = part.shape[at(dimension)];
      part.shape[at(dimension)] = extent;
      if (part == result) {
        extent = checked_add(extent, own);
        continue;
      }
    }
    broken(fmt::format("operand {} is {} and does not fit operand 0, {}, along dimension {}", i,
                       to_string(context.operands[i]), to_string(context.operands[0]), dimension),
           "element types and all other extents must be equal");
  }
  return {checked_type(result.dtype, result.shape)};
}

std::vector<Literal> evaluate_concatenate(const Node& node, std::span<const Literal> operands) {
  const auto d = at(node.attributes.integer("dimension"));
  TensorType type = operands[0].type();
  type.shape[d] = 0;
  for (const Literal& part : operands) type.shape[d] += part.shape()[d];
  Literal result(type);
  std::int64_t start = 0;
  for (const Literal& part : operands) {
    std::int64_t from = 0;
    for_each_index(part.shape(), [&](Integers index) {
      index[d] += start;
      copy_element(part, from++, result, position(type.shape, index));
    });
    start += part.shape()[d];
  }
  return {result};
}

Values transpose_concatenate(const TransposeContext& context) {
  const auto d = at(context.node.attributes.integer("dimension"));
  Integers start(context.result_types[0].shape.size(), 0);
  Integers limit = context.result_types[0].shape;
  Values out;
  for (std::size_t i = 0; i < context.operand_types.size(); ++i) {
    limit[d] = start[d] + context.operand_types[i].shape[d];
    out.push_back(context.is_linear(i) ? context.build.slice(context.cotangents[0], start, limit) : kZero);
    start[d] = limit[d];
  }
  return out;
}

Values batch_concatenate(const BatchContext& context) {
  Values operands;
  for (std::size_t i = 0; i < context.operands.size(); ++i) operands.push_back(context.with_batch(i));
  return {
      again(context.build, context.node, operands, {{"dimension", context.node.attributes.integer("dimension") + 1}})};
}

Expr loop_concatenate(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const auto d = at(context.node.attributes.integer("dimension"));
  const Expr along = context.index[d];
  std::int64_t limit = context.result_type(0).shape[d];
  Expr value = kNone;
  for (std::size_t i = context.node.operands.size(); i-- > 0;) {
    const std::int64_t extent = context.operand_type(i).shape[d];
    if (extent == 0) continue;
    const std::int64_t start = limit - extent;
    Index source = context.index;
    source[d] = k.sub(along, k.index(start));
    const Expr below = value == kNone ? kNone : k.binary(K::Less, along, k.index(limit));
    const Expr inside = start == 0 ? below : both(k, below, k.binary(K::GreaterEqual, along, k.index(start)));
    const Expr element = context.operand(i, source, inside);
    value = value == kNone ? element : k.select(below, element, value);
    limit = start;
  }
  return value == kNone ? context.operand(0, context.index) : value;
}

}  // namespace

std::vector<Primitive> movement_rows() {
  std::vector<Primitive> rows;
  rows.push_back({.op = Op::BroadcastInDim,
                  .doc = "Repeats a tensor along new dimensions and along those of extent 1.",
                  .infer = infer_broadcast,
                  .evaluate = evaluate_broadcast,
                  .jvp = linear_jvp,
                  .transpose = transpose_broadcast,
                  .batch = batch_broadcast,
                  .loop = loop_broadcast,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back({.op = Op::Reshape,
                  .doc = "The same elements in row-major order under another shape.",
                  .infer = infer_reshape,
                  .evaluate = evaluate_reshape,
                  .jvp = linear_jvp,
                  .transpose = [](const TransposeContext& c) -> Values {
                    return {c.build.reshape(c.cotangents[0], c.operand_types[0].shape)};
                  },
                  .batch = [](const BatchContext& c) -> Values {
                    return {c.build.reshape(c.operands[0], prepended(c.size, c.node.attributes.integers("shape")))};
                  },
                  .loop = loop_reshape,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back(
      {.op = Op::Transpose,
       .doc = "Reorders dimensions: result dimension i is operand dimension permutation[i].",
       .infer = infer_transpose,
       .evaluate = evaluate_transpose,
       .jvp = linear_jvp,
       .transpose = [](const TransposeContext& c) -> Values {
         return {c.build.transpose(c.cotangents[0], inverse(c.node.attributes.integers("permutation")))};
       },
       .batch = [](const BatchContext& c) -> Values {
         return {c.build.transpose(c.operands[0], prepended(0, shifted(c.node.attributes.integers("permutation"))))};
       },
       .loop = loop_transpose,
       .decompose = unsupported("it has a loop rule"),
       .cost = {}});
  rows.push_back({.op = Op::Slice,
                  .doc = "The elements from start to limit, with a stride, in each dimension.",
                  .infer = infer_slice,
                  .evaluate = evaluate_slice,
                  .jvp = linear_jvp,
                  .transpose = transpose_slice,
                  .batch = batch_slice,
                  .loop = loop_slice,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back({.op = Op::Pad,
                  .doc = "Puts a value around and between the elements; negative padding crops.",
                  .infer = infer_pad,
                  .evaluate = evaluate_pad,
                  .jvp = linear_jvp,
                  .transpose = transpose_pad,
                  .batch = batch_pad,
                  .loop = loop_pad,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back({.op = Op::Reverse,
                  .doc = "Reverses the order of the elements along dimensions.",
                  .infer = infer_reverse,
                  .evaluate = evaluate_reverse,
                  .jvp = linear_jvp,
                  .transpose = [](const TransposeContext& c) -> Values {
                    return {c.build.reverse(c.cotangents[0], c.node.attributes.integers("dimensions"))};
                  },
                  .batch = [](const BatchContext& c) -> Values {
                    return {c.build.reverse(c.operands[0], shifted(c.node.attributes.integers("dimensions")))};
                  },
                  .loop = loop_reverse,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  rows.push_back({.op = Op::Concatenate,
                  .doc = "Joins tensors along one dimension.",
                  .infer = infer_concatenate,
                  .evaluate = evaluate_concatenate,
                  .jvp = linear_jvp,
                  .transpose = transpose_concatenate,
                  .batch = batch_concatenate,
                  .loop = loop_concatenate,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = {}});
  return rows;
}

}  // namespace tessera::ir
