// The row of reduce: any body on scalars, several operands at once. Operands are the inputs, then one initial value for
// each; attribute "dimensions"; one region (accumulators, elements) -> accumulators.
// Windows are in rows_window.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tessera/ir/elementwise_rules.hpp"
#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using rules::require;

Integers sorted_dimensions(const Node& node) {
  Integers dimensions = node.attributes.integers("dimensions");
  std::sort(dimensions.begin(), dimensions.end());
  return dimensions;
}

std::vector<TensorType> infer_reduce(const InferContext& c) {
  require(!c.operands.empty() && c.operands.size() % 2 == 0, "takes as many initial values as inputs");
  const std::size_t count = c.operands.size() / 2;
  const TensorType& first = c.operands[0];
  Integers dimensions = integers_of(c.attributes, "dimensions");
  std::sort(dimensions.begin(), dimensions.end());
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    require(dimensions[i] >= 0 && dimensions[i] < first.rank(),
            fmt::format("{} is not a dimension of {}", dimensions[i], to_string(first)));
    require(i == 0 || dimensions[i] != dimensions[i - 1], fmt::format("dimension {} is named twice", dimensions[i]));
  }
  require(c.regions.size() == 1, "takes one region, the body");
  const Graph& body = *c.regions[0];
  require(body.parameters.size() == 2 * count && body.results.size() == count,
          fmt::format("the body of a reduction of {0} inputs takes {1} values and returns {0}, not {2} and {3}", count,
                      2 * count, body.parameters.size(), body.results.size()));
  std::vector<TensorType> results;
  for (std::size_t i = 0; i < count; ++i) {
    const TensorType& input = c.operands[i];
    const TensorType scalar{input.dtype, {}};
    require(input.shape == first.shape,
            fmt::format("inputs must have one shape, not {} and {}", to_string(first.shape), to_string(input.shape)));
    require(c.operands[count + i] == scalar,
            fmt::format("initial value {} must be {}, not {}", i, to_string(scalar), to_string(c.operands[count + i])));
    for (const Value v : {body.parameters[i], body.parameters[count + i], body.results[i]})
      require(body.type(v) == scalar, fmt::format("the body must take and return {} for input {}, not {}",
                                                  to_string(scalar), i, to_string(body.type(v))));
    results.push_back({input.dtype, picked(input.shape, remaining(input.rank(), {&dimensions}))});
  }
  return results;
}

/// Positions in a row-major tensor of `shape` that differ in `dimensions` alone, in order.
std::vector<std::int64_t> offsets(const Shape& shape, const Integers& dimensions) {
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  std::vector<std::int64_t> list{0};
  for (const std::int64_t d : dimensions) {
    std::vector<std::int64_t> longer;
    for (const std::int64_t start : list)
      for (std::int64_t i = 0; i < shape[static_cast<std::size_t>(d)]; ++i)
        longer.push_back(start + i * strides[static_cast<std::size_t>(d)]);
    list = std::move(longer);
  }
  return list;
}

Literal as_dtype(const Literal& from, DType dtype) {
  if (from.dtype() == dtype) return from;
  Literal to(TensorType{dtype, from.shape()});
  for (std::int64_t i = 0; i < to.size(); ++i) to.set_double(i, from.get_double(i));
  return to;
}

/// Elements of `from` at base + list[i], as a tensor of `shape`.
Literal gather(const Literal& from, std::int64_t base, const std::vector<std::int64_t>& list, const Shape& shape) {
  Literal to(TensorType{from.dtype(), shape});
  const std::size_t item = size_of(from.dtype());
  for (std::size_t i = 0; i < list.size(); ++i)
    std::memcpy(to.data() + i * item, from.data() + static_cast<std::size_t>(base + list[i]) * item, item);
  return to;
}

/// All results at once, one slice after the other; sums and products of floats in double.
Literal evaluate_monoid(Op monoid, const Literal& input, const Literal& initial, const std::vector<std::int64_t>& kept,
                        const std::vector<std::int64_t>& reduced, const Shape& shape) {
  const DType dtype = input.dtype();
  const bool widen = is_float(dtype) && (monoid == Op::Add || monoid == Op::Multiply);
  const Literal wide = as_dtype(input, widen ? DType::F64 : dtype);
  Literal sum = gather(as_dtype(initial, wide.dtype()), 0, std::vector<std::int64_t>(kept.size(), 0), shape);
  for (const std::int64_t base : reduced) {
    const std::vector<Literal> pair{sum, gather(wide, base, kept, shape)};
    sum = primitive(monoid).evaluate({}, pair)[0];
  }
  return as_dtype(sum, dtype);
}

std::vector<Literal> evaluate_reduce(const Node& node, std::span<const Literal> in) {
  const std::size_t count = in.size() / 2;
  const Shape& input_shape = in[0].shape();
  const Integers dimensions = sorted_dimensions(node);
  const Integers kept = remaining(in[0].type().rank(), {&dimensions});
  const Shape shape = picked(input_shape, kept);
  const std::vector<std::int64_t> kept_offsets = offsets(input_shape, kept);
  const std::vector<std::int64_t> reduced_offsets = offsets(input_shape, dimensions);
  if (const auto monoid = match_monoid(*node.regions[0]))
    return {evaluate_monoid(*monoid, in[0], in[1], kept_offsets, reduced_offsets, shape)};
  std::vector<Literal> results;
  for (std::size_t i = 0; i < count; ++i) results.emplace_back(TensorType{in[i].dtype(), shape});
  for (std::size_t k = 0; k < kept_offsets.size(); ++k) {
    std::vector<Literal> state(in.begin() + static_cast<std::ptrdiff_t>(count), in.end());
    for (const std::int64_t offset : reduced_offsets) {
      for (std::size_t i = 0; i < count; ++i) state.push_back(gather(in[i], kept_offsets[k] + offset, {0}, {}));
      state = interpret(*node.regions[0], state);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t item = size_of(in[i].dtype());
      std::memcpy(results[i].data() + k * item, state[i].data(), item);
    }
  }
  return results;
}

// ---- derivatives ----

/// Tangent of the product over the leading dimension of x [n, ...], by halving: right where factors are zero, at every
/// order.
Value product_tangent(Builder& b, Value x, Value t) {
  const auto part = [&](Value v, std::int64_t start, std::int64_t limit) {
    Integers low(b.shape(v).size(), 0);
    Integers high = b.shape(v);
    low[0] = start;
    high[0] = limit;
    return b.slice(v, low, high);
  };
  std::int64_t n = b.shape(x)[0];
  while (n > 1) {
    const std::int64_t half = n / 2;
    const Value left = part(x, 0, half), right = part(x, half, 2 * half);
    Values values{b.multiply(left, right)};
    Values tangents{b.add(b.multiply(part(t, 0, half), right), b.multiply(left, part(t, half, 2 * half)))};
    if (n % 2 == 1) {
      values.push_back(part(x, n - 1, n));
      tangents.push_back(part(t, n - 1, n));
    }
    x = b.concatenate(values, 0);
    t = b.concatenate(tangents, 0);
    n = half + n % 2;
  }
  Shape shape = b.shape(t);
  shape.erase(shape.begin());
  return b.reshape(t, shape);
}

/// Tangent of reduce(monoid, x, identity) = y. Elements that tie for the extremum share its tangent equally.
Value monoid_tangent(Builder& b, Op monoid, Value x, Value y, Value t, const Integers& dimensions) {
  const Shape shape = b.shape(x);
  const Integers kept = remaining(b.type(x).rank(), {&dimensions});
  if (element_count(shape) == 0) return b.zeros_like(y);
  if (monoid == Op::Multiply) {
    Integers order = dimensions;
    order.insert(order.end(), kept.begin(), kept.end());
    Shape flat = picked(shape, kept);
    flat.insert(flat.begin(), element_count(picked(shape, dimensions)));
    const auto flattened = [&](Value v) { return b.reshape(b.transpose(v, order), flat); };
    return product_tangent(b, flattened(x), flattened(t));
  }
  const Value is_extremum = b.compare(x, b.broadcast_in_dim(y, shape, kept), "EQ");
  const Value sum = b.sum(b.select(is_extremum, t, b.zeros_like(t)), dimensions);
  return b.divide(sum, b.sum(b.convert(is_extremum, b.dtype(x)), dimensions));
}

/// Whether `v` is 0, 1, 2, ... along dimension `d`, repeated along the others.
bool counts_along(const Graph& graph, Value v, std::int64_t d) {
  const Node* made_by = graph.producer(v);
  if (made_by == nullptr) return false;
  if (made_by->op == Op::Iota) return made_by->attributes.integer("iota_dimension") == d;
  if (made_by->op != Op::BroadcastInDim) return false;
  const Integers& dimensions = made_by->attributes.integers("broadcast_dimensions");
  const auto from = std::find(dimensions.begin(), dimensions.end(), d);
  return from != dimensions.end() && counts_along(graph, made_by->operands[0], from - dimensions.begin());
}

/// Whether a body on (value, position) pairs keeps one of the two: what arg max and arg min are written with.
bool picks_one_pair(const Graph& body) {
  if (body.parameters.size() != 4) return false;
  for (const std::size_t i : {0U, 1U}) {
    const Node* made_by = body.producer(body.results[i]);
    if (made_by == nullptr || made_by->op != Op::Select) return false;
    const Value a = body.parameters[i], b = body.parameters[2 + i];
    const Value yes = made_by->operands[1], no = made_by->operands[2];
    if (!(yes == a && no == b) && !(yes == b && no == a)) return false;
  }
  return true;
}

/// Tangents where the second result tells which element the first one is.
Values winner_tangents(const JvpContext& c) {
  Builder& b = c.build;
  const Integers dimensions = sorted_dimensions(c.node);
  const Value positions = c.operands[1];
  if (!picks_one_pair(*c.node.regions[0]) || dimensions.size() != 1 || c.tangents[0] == kZero ||
      c.tangents[2] != kZero || !counts_along(b.graph, positions, dimensions[0]))
    throw Error(ErrorKind::Unsupported,
                "a reduction is differentiable when its body is add, multiply, maximum or minimum, or keeps one of two "
                "pairs (value, position); this one has another body");
  const Integers kept = remaining(b.type(positions).rank(), {&dimensions});
  const Value won = b.compare(positions, b.broadcast_in_dim(c.results[1], b.shape(positions), kept), "EQ");
  return {b.sum(b.select(won, c.tangents[0], b.zeros_like(c.tangents[0])), dimensions), kZero};
}

Values jvp_reduce(const JvpContext& c) {
  bool differentiable = false;
  for (const Value tangent : c.tangents) differentiable = differentiable || tangent != kZero;
  if (!differentiable) return Values(c.results.size(), kZero);
  const auto monoid = match_monoid(*c.node.regions[0]);
  if (!monoid) return winner_tangents(c);
  if (*monoid == Op::Add) return linear_jvp(c);
  Builder& b = c.build;
  const Integers dimensions = sorted_dimensions(c.node);
  const Value x = c.operands[0], initial = c.operands[1];
  const Node* made_by = b.graph.producer(initial);
  const bool neutral = c.tangents[1] == kZero && made_by != nullptr && made_by->op == Op::Constant &&
                       made_by->attributes.literal("value").identical(identity(*monoid, b.dtype(x)));
  const Value y = neutral ? c.results[0] : b.reduce(*monoid, x, dimensions);
  const Value t = c.tangents[0] == kZero ? kZero : monoid_tangent(b, *monoid, x, y, c.tangents[0], dimensions);
  if (neutral) return {t};
  // The initial value is one more operand of the monoid: result = y (monoid) initial.
  const Shape shape = b.shape(y);
  const Node combine{*monoid, {}, {}, {}, {}, c.node.location};
  const Values operands{y, b.broadcast_to(initial, shape)};
  const Values tangents{t, c.tangents[1] == kZero ? kZero : b.broadcast_to(c.tangents[1], shape)};
  return (*primitive(*monoid).jvp)({b, combine, operands, c.results, tangents});
}

Values transpose_reduce(const TransposeContext& c) {
  const auto monoid = match_monoid(*c.node.regions[0]);
  if (!monoid || *monoid != Op::Add) throw Error(ErrorKind::Unsupported, "of the reductions, only sums are linear");
  const Value t = c.cotangents[0];
  const Shape& shape = c.operand_types[0].shape;
  const Integers dimensions = sorted_dimensions(c.node);
  const Integers kept = remaining(c.operand_types[0].rank(), {&dimensions});
  return {c.is_linear(0) ? c.build.broadcast_in_dim(t, shape, kept) : kZero,
          c.is_linear(1) ? c.build.sum(t, iota_integers(c.build.type(t).rank())) : kZero};
}

Values batch_reduce(const BatchContext& c) {
  Builder& b = c.build;
  const std::size_t count = c.operands.size() / 2;
  Integers dimensions = sorted_dimensions(c.node);
  for (auto& d : dimensions) ++d;
  Attributes attributes = c.node.attributes;
  attributes.set("dimensions", dimensions);
  Values operands;
  for (std::size_t i = 0; i < count; ++i) operands.push_back(c.with_batch(i));
  if (std::none_of(c.batched.begin() + static_cast<std::ptrdiff_t>(count), c.batched.end(),
                   [](bool batched) { return batched; })) {
    operands.insert(operands.end(), c.operands.begin() + static_cast<std::ptrdiff_t>(count), c.operands.end());
    return b.graph.add(Op::Reduce, operands, attributes, c.node.regions, b.location);
  }
  const auto monoid = match_monoid(*c.node.regions[0]);
  if (!monoid)
    throw Error(ErrorKind::Unsupported,
                "a reduction with a body of its own cannot have a different initial value for each example");
  const Value y = b.reduce(*monoid, operands[0], dimensions);
  return {b.binary(*monoid, b.broadcast_in_dim(c.operands[1], b.shape(y), {0}), y)};
}

// ---- loop ----

/// Accumulators in locals, a nest of serial loops over the reduced dimensions. Sums and products of halves stay in F32
/// until the end, so they do not go through the body, whose operations round.
Expr loop_reduce(LoopContext& c) {
  kernel::Builder& k = c.kernel;
  const std::size_t count = c.node.operands.size() / 2;
  const TensorType& input = c.operand_type(0);
  const Integers dimensions = sorted_dimensions(c.node);
  const Integers kept = remaining(input.rank(), {&dimensions});
  const Graph& body = *c.node.regions[0];
  const Op monoid = match_monoid(body).value_or(Op::Reduce);
  const bool half = input.dtype != loop_dtype(input.dtype);
  if (element_count(input.shape) == 0) return c.operand(count + c.result, {});

  std::vector<LoopLocal> accumulators;
  for (std::size_t i = 0; i < count; ++i) {
    const Expr initial = c.operand(count + i, {});
    accumulators.emplace_back(k, "accumulator", k.dtype(initial));
    accumulators[i].write(initial);
  }
  Index index(input.shape.size());
  for (std::size_t i = 0; i < kept.size(); ++i) index[at(kept[i])] = c.index[i];
  for (const std::int64_t d : dimensions)
    index[at(d)] = k.open(kernel::LoopKind::Serial, fmt::format("r{}", d), input.shape[at(d)]);
  std::vector<Expr> arguments;
  for (const LoopLocal& accumulator : accumulators) arguments.push_back(accumulator.read());
  for (std::size_t i = 0; i < count; ++i) arguments.push_back(c.operand(i, index));
  if (half && (monoid == Op::Add || monoid == Op::Multiply)) {
    const kernel::Op op = monoid == Op::Add ? kernel::Op::Add : kernel::Op::Multiply;
    accumulators[0].write(k.binary(op, arguments[0], arguments[1]));
  } else {
    const std::vector<Expr> next = c.apply(body, arguments);
    // Each result may depend on every accumulator: all are computed before the first is written.
    std::vector<LoopLocal> results;
    for (std::size_t i = 0; count > 1 && i < count; ++i) {
      results.emplace_back(k, "next", k.dtype(next[i]));
      results[i].write(next[i]);
    }
    for (std::size_t i = 0; i < count; ++i) accumulators[i].write(count > 1 ? results[i].read() : next[i]);
  }
  for (std::size_t i = 0; i < dimensions.size(); ++i) k.close();
  return accumulators[c.result].read();
}

Cost reduce_cost(const Node& node, std::span<const TensorType> operands, std::span<const TensorType>) {
  return {operation_count(*node.regions[0]) * static_cast<double>(element_count(operands[0].shape))};
}

}  // namespace

std::vector<Primitive> reduction_rows() {
  return {{.op = Op::Reduce,
           .doc = "Combines the elements along some dimensions by a body on scalars, starting from an initial value.",
           .infer = infer_reduce,
           .evaluate = evaluate_reduce,
           .jvp = jvp_reduce,
           .transpose = transpose_reduce,
           .batch = batch_reduce,
           .loop = loop_reduce,
           .decompose = unsupported("it has a loop rule"),
           .cost = reduce_cost}};
}

}  // namespace tessera::ir
