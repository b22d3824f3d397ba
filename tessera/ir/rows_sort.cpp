// Rows of sort (several operands, any comparator) and top_k. Both decompose: sort into a network of comparisons over
// the whole array, a scan of log2(n)^2 / 2 steps; top_k into k maxima of keys that hold value and position, in long
// rows of the parts that hold them.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "tessera/ir/control.hpp"
#include "tessera/ir/elementwise_rules.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using rules::require;

/// More than these are found by sorting.
constexpr std::int64_t kMostMaxima = 32;

// ---- sort: operands of one shape; "dimension", "is_stable"; region (a0, b0, a1, b1, ...) -> a comes before b ----

std::vector<TensorType> infer_sort(const InferContext& c) {
  require(!c.operands.empty(), "takes at least one operand");
  std::vector<DType> parameters;
  for (const TensorType& type : c.operands) {
    require(type.shape == c.operands[0].shape, fmt::format("operands must have one shape, not {} and {}",
                                                           to_string(c.operands[0].shape), to_string(type.shape)));
    parameters.insert(parameters.end(), 2, type.dtype);
  }
  const std::int64_t dimension = integer_of(c.attributes, "dimension"), rank = c.operands[0].rank();
  require(dimension >= 0 && dimension < rank,
          fmt::format("{} is not a dimension of {}", dimension, to_string(c.operands[0])));
  require(c.regions.size() == 1, "takes one region, the comparator");
  check_region(c, 0, parameters, {DType::Bool});
  return {c.operands.begin(), c.operands.end()};
}

/// Sorts `order` by `before`, stably, by merging; no comparator leads it astray.
template <class Before>
void merge_sort(std::vector<std::int64_t>& order, const Before& before) {
  std::vector<std::int64_t> merged(order.size());
  for (std::size_t width = 1; width < order.size(); width *= 2) {
    for (std::size_t start = 0; start < order.size(); start += 2 * width) {
      const std::size_t middle = std::min(start + width, order.size()), end = std::min(start + 2 * width, order.size());
      std::size_t left = start, right = middle;
      for (std::size_t to = start; to < end; ++to) {
        const bool take_right = left == middle || (right < end && before(order[right], order[left]));
        merged[to] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
}

std::vector<Literal> evaluate_sort(const Node& node, std::span<const Literal> in) {
  const auto dimension = at(node.attributes.integer("dimension"));
  const Shape& shape = in[0].shape();
  const std::int64_t extent = shape[dimension], stride = row_major_strides(shape)[dimension];
  std::vector<Literal> results;
  for (const Literal& operand : in) results.emplace_back(operand.type());
  Shape rows = shape;
  rows[dimension] = std::min<std::int64_t>(extent, 1);
  for_each_index(rows, [&](const Integers& index) {
    const std::int64_t base = position(shape, index);
    std::vector<std::int64_t> order(at(extent));
    for (std::int64_t i = 0; i < extent; ++i) order[at(i)] = base + i * stride;
    merge_sort(order, [&](std::int64_t a, std::int64_t b) {
      std::vector<Literal> arguments;
      for (const Literal& operand : in)
        for (const std::int64_t element : {a, b}) {
          arguments.emplace_back(TensorType{operand.dtype(), {}});
          copy_element(operand, element, arguments.back(), 0);
        }
      return interpret(*node.regions[0], arguments)[0].get_integer(0) != 0;
    });
    for (std::size_t o = 0; o < in.size(); ++o)
      for (std::int64_t i = 0; i < extent; ++i) copy_element(in[o], order[at(i)], results[o], base + i * stride);
  });
  return results;
}

/// Elements of x along `dimension` at `positions`, which has the shape of x but for that dimension.
Value take_along(Builder& b, Value x, Value positions, std::int64_t dimension) {
  const std::int64_t rank = b.type(x).rank();
  const Integers others = remaining(rank, {}), taken{dimension};
  const Integers kept = remaining(rank, {&taken});
  return b.graph.add1(Op::Gather, {x, positions},
                      {{"offset_dims", Integers{}},
                       {"collapsed_slice_dims", taken},
                       {"operand_batching_dims", kept},
                       {"start_indices_batching_dims", kept},
                       {"start_index_map", taken},
                       {"index_vector_dim", rank},
                       {"slice_sizes", Integers(others.size(), 1)}},
                      {}, b.location);
}

/// Tangents follow their elements: the positions are sorted along.
Values jvp_sort(const JvpContext& c) {
  Builder& b = c.build;
  const std::int64_t dimension = c.node.attributes.integer("dimension");
  auto comparator = std::make_shared<Graph>("comparator");
  const Graph& old = *c.node.regions[0];
  Values arguments;
  for (const Value p : old.parameters) arguments.push_back(comparator->parameter(old.type(p)));
  for (int i = 0; i < 2; ++i) comparator->parameter({DType::I32, {}});
  comparator->results = comparator->inline_graph(old, arguments);
  Values operands = c.operands;
  operands.push_back(b.iota(DType::I32, b.shape(operands[0]), dimension));
  const Value positions = b.graph.add(Op::Sort, operands, c.node.attributes, {comparator}, b.location).back();
  Values tangents;
  for (const Value t : c.tangents) tangents.push_back(t == kZero ? kZero : take_along(b, t, positions, dimension));
  return tangents;
}

Values batch_sort(const BatchContext& c) {
  Attributes attributes = c.node.attributes;
  attributes.set("dimension", attributes.integer("dimension") + 1);
  Values operands;
  for (std::size_t i = 0; i < c.operands.size(); ++i) operands.push_back(c.with_batch(i));
  return c.build.graph.add(Op::Sort, operands, attributes, c.node.regions, c.build.location);
}

/// A region on scalars, for all elements of tensors at once.
Values elementwise(Builder& b, const Graph& region, const Values& arguments, const Shape& shape) {
  return rewrite_into(b.graph, region, arguments, [&](Rewriting& r, const Node& node) -> Values {
    if (node.op == Op::Constant) return {b.broadcast_to(b.constant(node.attributes.literal("value")), shape)};
    if (node.op == Op::Call || node.op == Op::Composite) return elementwise(b, *node.regions[0], r.operands, shape);
    if (is_elementwise(family(node.op))) return b.graph.add(node.op, r.operands, node.attributes, {}, b.location);
    throw Error(ErrorKind::Unsupported, to_string(b.location) + ": the comparator of a sort holds the operation " +
                                            std::string(name(node.op)) + "; only elementwise ones are supported");
  });
}

/// One round of the network: each element meets the one whose position differs in bit `distance`. Carried: the
/// operands [rows, padded], then where each element came from; positions from `extent` on are padding, and last.
GraphPtr sort_round(const Graph& comparator, const std::vector<TensorType>& types, std::int64_t extent,
                    Location location) {
  auto graph = std::make_shared<Graph>("round");
  Builder b{*graph, location};
  for (const TensorType& type : types) graph->parameter(type);
  const Shape shape = types[0].shape;
  const Values mine = graph->parameters;
  const auto everywhere = [&](Value v) { return b.broadcast_in_dim(v, {shape[1]}, {}); };
  const Value block = everywhere(graph->parameter({DType::I32, {}}));
  const Value distance = everywhere(graph->parameter({DType::I32, {}}));
  const Value at_ = b.iota(DType::I32, {shape[1]}, 0);
  const Value partner = b.binary(Op::Xor, at_, distance);
  const auto is_clear = [&](Value bit) {
    return b.broadcast_in_dim(b.compare(b.binary(Op::And, at_, bit), b.zeros_like(at_), "EQ"), shape, {1});
  };
  const Value first = is_clear(distance), ascending = is_clear(block);
  Values others, low, high;
  for (const Value v : mine) {
    others.push_back(b.graph.add1(Op::Gather, {v, partner},
                                  {{"offset_dims", Integers{0}},
                                   {"collapsed_slice_dims", Integers{1}},
                                   {"operand_batching_dims", Integers{}},
                                   {"start_indices_batching_dims", Integers{}},
                                   {"start_index_map", Integers{1}},
                                   {"index_vector_dim", std::int64_t{1}},
                                   {"slice_sizes", Integers{shape[0], 1}}},
                                  {}, location));
    low.push_back(b.select(first, v, others.back()));
    high.push_back(b.select(first, others.back(), v));
  }
  Values forward, backward;
  for (std::size_t i = 0; i + 1 < mine.size(); ++i) {
    forward.insert(forward.end(), {low[i], high[i]});
    backward.insert(backward.end(), {high[i], low[i]});
  }
  const auto both = [&](Value x, Value y) { return b.binary(Op::And, x, y); };
  const auto either = [&](Value x, Value y) { return b.binary(Op::Or, x, y); };
  const Value end = b.full_like(low.back(), static_cast<double>(extent));
  const Value low_is_real = b.compare(low.back(), end, "LT"), high_is_real = b.compare(high.back(), end, "LT");
  const Value was_before = b.compare(low.back(), high.back(), "LT");
  const Value less = elementwise(b, comparator, forward, shape)[0];
  const Value greater = elementwise(b, comparator, backward, shape)[0];
  const Value of_values = either(less, both(b.unary(Op::Not, greater), was_before));
  // Where one is padding, the real one was before: its position is smaller.
  const Value before = b.select(both(low_is_real, high_is_real), of_values, was_before);
  const Value swaps = b.compare(before, ascending, "NE");
  for (std::size_t i = 0; i < mine.size(); ++i) graph->results.push_back(b.select(swaps, others[i], mine[i]));
  return graph;
}

Values sort_by_network(Builder& b, const Node& node, const Values& operands) {
  const Shape shape = b.shape(operands[0]);
  const std::int64_t rank = b.type(operands[0]).rank(), dimension = node.attributes.integer("dimension");
  const std::int64_t extent = shape[at(dimension)];
  if (extent <= 1 || element_count(shape) == 0) return operands;
  const auto padded = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(extent)));
  const Integers last{dimension};
  Integers order = remaining(rank, {&last});
  order.push_back(dimension);
  const Shape moved = picked(shape, order);
  const Shape flat{element_count(shape) / extent, extent};
  Values carried;
  std::vector<TensorType> types;
  for (const Value v : operands) {
    const Value rows = b.reshape(b.transpose(v, order), flat);
    carried.push_back(b.pad(rows, b.full(b.dtype(v), 0), {0, 0}, {0, padded - extent}, {0, 0}));
  }
  carried.push_back(b.iota(DType::I32, {flat[0], padded}, 1));
  for (const Value v : carried) types.push_back(b.type(v));
  std::vector<std::int32_t> blocks, distances;
  for (std::int64_t block = 2; block <= padded; block *= 2)
    for (std::int64_t distance = block / 2; distance > 0; distance /= 2) {
      blocks.push_back(static_cast<std::int32_t>(block));
      distances.push_back(static_cast<std::int32_t>(distance));
    }
  const auto length = static_cast<std::int64_t>(blocks.size());
  Values all = carried;
  for (const auto& list : {blocks, distances}) all.push_back(b.constant(Literal::from({length}, list)));
  const Values sorted = b.graph.add(Op::Scan, all, scan_attributes({0, carried.size(), 2, 0, length, false}),
                                    {sort_round(*node.regions[0], types, extent, node.location)}, node.location);
  Values results;
  for (std::size_t i = 0; i < operands.size(); ++i)
    results.push_back(b.transpose(b.reshape(b.slice(sorted[i], {0, 0}, flat, {1, 1}), moved), inverse(order)));
  return results;
}

Cost sort_cost(const Node& node, std::span<const TensorType> operands, std::span<const TensorType>) {
  const auto elements = static_cast<double>(element_count(operands[0].shape));
  const auto extent = static_cast<std::uint64_t>(operands[0].shape[at(node.attributes.integer("dimension"))]);
  return {elements * static_cast<double>(std::bit_width(extent)) * operation_count(*node.regions[0])};
}

// ---- top_k: the largest along the last dimension, and where they stand; NaN is largest, of equals the first ----

std::vector<TensorType> infer_top_k(const InferContext& c) {
  rules::require_operands(c, 1);
  const std::int64_t k = integer_of(c.attributes, "k");
  require(c.operands[0].rank() > 0, "takes an array of at least one dimension");
  const std::int64_t extent = c.operands[0].shape.back();
  require(k >= 0 && k <= extent, fmt::format("k is {} and the last dimension has {} elements", k, extent),
          "k is between 0 and that");
  Shape shape = c.operands[0].shape;
  shape.back() = k;
  return {{c.operands[0].dtype, shape}, {DType::I32, shape}};
}

std::vector<Literal> evaluate_top_k(const Node& node, std::span<const Literal> in) {
  const std::int64_t k = node.attributes.integer("k"), extent = in[0].shape().back();
  Shape shape = in[0].shape();
  shape.back() = k;
  Literal values(TensorType{in[0].dtype(), shape}), positions(TensorType{DType::I32, shape});
  const std::int64_t rows = extent == 0 ? 0 : in[0].size() / extent;
  // Keys in the total order of floats; 64-bit integers do not fit a double.
  const auto key = [&](std::int64_t i) -> std::int64_t {
    if (in[0].dtype() == DType::U64) return in[0].get_integer(i) ^ std::numeric_limits<std::int64_t>::min();
    if (!is_float(in[0].dtype())) return in[0].get_integer(i);
    const auto bits = std::bit_cast<std::int64_t>(in[0].get_double(i));
    return bits ^ ((bits >> 63) & std::numeric_limits<std::int64_t>::max());
  };
  for (std::int64_t row = 0; row < rows; ++row) {
    std::vector<std::int64_t> order(at(extent));
    std::iota(order.begin(), order.end(), row * extent);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return key(a) > key(b); });
    for (std::int64_t i = 0; i < k; ++i) {
      copy_element(in[0], order[at(i)], values, row * k + i);
      positions.set_integer(row * k + i, order[at(i)] - row * extent);
    }
  }
  return {values, positions};
}

Values jvp_top_k(const JvpContext& c) {
  return {take_along(c.build, c.tangents[0], c.results[1], c.build.type(c.results[1]).rank() - 1), kZero};
}

constexpr double kLowHalf = 4294967295.0;

/// Integers in the order of the elements, in the high half of i64; the low half holds the position from the end, so
/// that all differ. `positions`: i64, of x's shape.
Value keys_with_positions(Builder& b, Value x, Value positions) {
  const DType dtype = b.dtype(x);
  Value key = x;
  if (is_float(dtype)) {
    const bool half = size_of(dtype) == 2;
    const Value bits =
        half ? b.convert(b.bitcast_convert(x, DType::I16), DType::I32) : b.bitcast_convert(x, DType::I32);
    const Value sign = b.binary(Op::ShiftRightArithmetic, bits, b.full_like(bits, 31));
    key = b.binary(Op::Xor, bits, b.binary(Op::And, sign, b.full_like(bits, half ? 0x7FFF : 0x7FFFFFFF)));
  }
  key = b.convert(key, DType::I64);
  if (dtype == DType::U32) key = b.subtract(key, b.full_like(key, 2147483648.0));
  const Value high = b.binary(Op::ShiftLeft, key, b.full_like(key, 32));
  return b.binary(Op::Or, high, b.subtract(b.full_like(positions, kLowHalf), positions));
}

/// The positions, i64, that keys hold.
Value positions_of(Builder& b, Value keys) {
  return b.subtract(b.full_like(keys, kLowHalf), b.binary(Op::And, keys, b.full_like(keys, kLowHalf)));
}

/// The k largest keys along the last dimension, the largest first: one after the other, each the maximum of what lies
/// below the one before.
Value largest_keys(Builder& b, const Node& node, Value keys, std::int64_t k) {
  const Shape shape = b.shape(keys);
  const std::int64_t last = b.type(keys).rank() - 1;
  const Integers rows = iota_integers(last);
  const Value first = b.reduce(Op::Maximum, keys, {last});
  auto body = std::make_shared<Graph>("next_maximum");
  Builder inner{*body, node.location};
  const Value all = body->parameter(b.type(keys)), found = body->parameter(b.type(first));
  const Value below = inner.compare(all, inner.broadcast_in_dim(found, shape, rows), "LT");
  const Value lowest = inner.broadcast_to(inner.constant(identity(Op::Maximum, DType::I64)), shape);
  const Value next = inner.reduce(Op::Maximum, inner.select(below, all, lowest), {last});
  body->results = {next, next};
  const Values scanned =
      b.graph.add(Op::Scan, {keys, first}, scan_attributes({1, 1, 0, 1, k - 1, false}), {body}, node.location);
  const Value found_keys = b.concatenate({b.reshape(first, prepended(1, b.shape(first))), scanned[1]}, 0);
  Integers order = shifted(rows);
  order.push_back(0);
  return b.transpose(found_keys, order);
}

/// The keys of those parts of long rows of x that hold the k largest: of the k parts with the largest maxima.
Value keys_of_largest_parts(Builder& b, const Node& node, Value x, Value keys, std::int64_t k) {
  const std::int64_t last = b.type(x).rank() - 1, extent = b.shape(x).back();
  // All maxima are searched k times, and so are k parts: about equally many elements.
  const auto width = static_cast<std::int64_t>(std::sqrt(static_cast<double>(extent) / static_cast<double>(k)));
  const std::int64_t parts = (extent + width - 1) / width;
  const Literal lowest = identity(Op::Maximum, DType::I64);
  Integers low(at(last + 1), 0), high = low;
  high.back() = parts * width - extent;
  Shape cut = b.shape(x);
  cut.back() = parts;
  cut.push_back(width);
  const Value in_parts = b.reshape(b.pad(keys, b.constant(lowest), low, high, low), cut);
  const Value maxima = b.reduce(Op::Maximum, in_parts, {last + 1});
  Value part = positions_of(b, largest_keys(b, node, maxima, k));
  part = b.divide(part, b.full_like(part, static_cast<double>(width)));

  cut[at(last)] = k;
  const Value begin = b.multiply(part, b.full_like(part, static_cast<double>(width)));
  Value positions = b.add(b.broadcast_in_dim(begin, cut, iota_integers(last + 1)), b.iota(DType::I64, cut, last + 1));
  Shape chosen = b.shape(x);
  chosen.back() = k * width;
  positions = b.reshape(positions, chosen);
  const Value within = b.compare(positions, b.full_like(positions, static_cast<double>(extent)), "LT");
  const Value there = b.select(within, positions, b.full_like(positions, 0));
  const Value found = keys_with_positions(b, take_along(b, x, b.convert(there, DType::I32), last), positions);
  return b.select(within, found, b.broadcast_to(b.constant(lowest), chosen));
}

Values top_k_by_maxima(Builder& b, const Node& node, Value x, std::int64_t k) {
  constexpr std::int64_t kLongRow = 64;  // times k
  const std::int64_t last = b.type(x).rank() - 1;
  Value keys = keys_with_positions(b, x, b.iota(DType::I64, b.shape(x), last));
  if (k > 1 && b.shape(x).back() >= kLongRow * k) keys = keys_of_largest_parts(b, node, x, keys, k);
  const Value positions = b.convert(positions_of(b, largest_keys(b, node, keys, k)), DType::I32);
  return {take_along(b, x, positions, last), positions};
}

Values decompose_top_k(Builder& b, const Node& node, const Values& operands) {
  const Value x = operands[0];
  const std::int64_t k = node.attributes.integer("k"), last = b.type(x).rank() - 1;
  Shape shape = b.shape(x);
  if (k >= 1 && k <= kMostMaxima && size_of(b.dtype(x)) <= 4) return top_k_by_maxima(b, node, x, k);
  auto comparator = std::make_shared<Graph>("comparator");
  const Value left = comparator->parameter({b.dtype(x), {}}), right = comparator->parameter({b.dtype(x), {}});
  for (int i = 0; i < 2; ++i) comparator->parameter({DType::I32, {}});
  Attributes compare{{"comparison_direction", std::string("GT")}};
  if (is_float(b.dtype(x))) compare.set("compare_type", std::string("TOTALORDER"));
  comparator->results = {comparator->add1(Op::Compare, {left, right}, compare, {}, node.location)};
  const Values sorted = b.graph.add(Op::Sort, {x, b.iota(DType::I32, shape, last)},
                                    {{"dimension", last}, {"is_stable", true}}, {comparator}, node.location);
  const Integers start(shape.size(), 0), strides(shape.size(), 1);
  shape.back() = k;
  return {b.slice(sorted[0], start, shape, strides), b.slice(sorted[1], start, shape, strides)};
}

}  // namespace

std::vector<Primitive> sort_rows() {
  const Unsupported not_linear = unsupported("it is not linear"), decomposes = unsupported("it decomposes");
  return {{.op = Op::Sort,
           .doc = "Orders the elements along a dimension by a comparator, stably; several operands move together.",
           .infer = infer_sort,
           .evaluate = evaluate_sort,
           .jvp = jvp_sort,
           .transpose = not_linear,
           .batch = batch_sort,
           .loop = decomposes,
           .decompose = sort_by_network,
           .cost = sort_cost},
          {.op = Op::TopK,
           .doc = "The k largest elements along the last dimension in descending order, and their positions.",
           .infer = infer_top_k,
           .evaluate = evaluate_top_k,
           .jvp = jvp_top_k,
           .transpose = not_linear,
           .batch = elementwise_batch,
           .loop = decomposes,
           .decompose = decompose_top_k,
           .cost = {}}};
}

}  // namespace tessera::ir
