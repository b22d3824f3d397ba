// Row of scatter: updates combined into an operand at computed indices, in order; what lies outside is dropped.
// How it is lowered: ir/scatter.hpp.
#include <fmt/format.h>

#include <algorithm>

#include "tessera/ir/index_map.hpp"
#include "tessera/ir/scatter.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using kernel::kNone;
using K = kernel::Op;

std::vector<TensorType> infer_scatter(const InferContext& context) {
  const std::size_t n = context.operands.size() / 2;
  if (n == 0 || context.operands.size() != 2 * n + 1)
    broken(fmt::format("takes inputs, indices, and as many updates as inputs, and was given {} operands",
                       context.operands.size()));
  const TensorType &input = context.operands[0], &indices = context.operands[n], &updates = context.operands[n + 1];
  std::vector<DType> dtypes;
  for (std::size_t i = 0; i < n; ++i) {
    const TensorType &a = context.operands[i], &b = context.operands[n + 1 + i];
    if (a.shape != input.shape || b.shape != updates.shape)
      broken(fmt::format("input {} is {} and update {} is {}", i, to_string(a), i, to_string(b)),
             "all inputs need one shape, and all updates");
    if (a.dtype != b.dtype)
      broken(fmt::format("input {} is {} and its update is {}", i, to_string(a), to_string(b)),
             "element types must be equal");
    dtypes.push_back(a.dtype);
  }
  const IndexMap map = IndexMap::of_scatter(context.attributes);
  map.check(input, indices, updates.rank());
  const Shape batch = map.batch_shape(indices.shape);
  const Integers batch_dims = map.batch_dims(updates.rank());
  if (picked(updates.shape, batch_dims) != batch)
    broken(fmt::format("the updates {} have the extents {} beside their windows, the indices {}", to_string(updates),
                       to_string(picked(updates.shape, batch_dims)), to_string(batch)));
  const Shape window = map.window(updates.shape, input.rank());
  for (const std::int64_t d : map.kept(input.rank()))
    if (window[at(d)] > input.shape[at(d)])
      broken(fmt::format("a window of {} elements does not fit dimension {} of extent {}", window[at(d)], d,
                         input.shape[at(d)]));
  std::vector<DType> parameters = dtypes;
  parameters.insert(parameters.end(), dtypes.begin(), dtypes.end());
  check_region(context, 0, parameters, dtypes);
  return {context.operands.begin(), context.operands.begin() + static_cast<std::ptrdiff_t>(n)};
}

std::vector<Literal> evaluate_scatter(const Node& node, std::span<const Literal> operands) {
  const std::size_t n = operands.size() / 2;
  const Literal& indices = operands[n];
  const Shape &shape = operands[0].shape(), &many = operands[n + 1].shape();
  const IndexMap map = IndexMap::of_scatter(node.attributes);
  const Shape window = map.window(many, operands[0].type().rank());
  const Graph& region = *node.regions[0];
  const bool sums = n == 1 && is_float(operands[0].dtype()) && match_monoid(region) == Op::Add;
  std::vector<Literal> results;
  for (std::size_t i = 0; i < n; ++i) {
    results.emplace_back(operands[i].type());
    std::copy_n(operands[i].data(), operands[i].bytes(), results[i].data());
  }
  std::vector<double> total = sums ? doubles_of(operands[0]) : std::vector<double>{};  // f16 and bf16 round once
  std::int64_t from = -1;
  for_each_index(many, [&](const Integers& index) {
    ++from;
    Integers target(shape.size(), 0);
    map.add_window(index, target);
    for (std::size_t c = 0; c < map.index_map.size(); ++c) {
      const auto d = at(map.index_map[c]);
      const Integers where = map.component(index, static_cast<std::int64_t>(c), indices.type().rank());
      // Clamped to where all of the window is outside, so that the sum cannot overflow.
      target[d] += std::clamp(index_at(indices, position(indices.shape(), where)), -window[d], shape[d]);
    }
    if (!inside(shape, target)) return;
    const std::int64_t to = position(shape, target);
    if (sums) {
      total[at(to)] += operands[n + 1].get_double(from);
      return;
    }
    std::vector<Literal> arguments;
    for (std::size_t i = 0; i < 2 * n; ++i) {
      arguments.emplace_back(TensorType{operands[i < n ? i : i + 1].dtype(), {}});
      if (i < n)
        copy_element(results[i], to, arguments[i], 0);
      else
        copy_element(operands[i + 1], from, arguments[i], 0);
    }
    const std::vector<Literal> combined = interpret(region, arguments);
    for (std::size_t i = 0; i < n; ++i) copy_element(combined[i], 0, results[i], to);
  });
  for (std::size_t i = 0; i < total.size(); ++i) results[0].set_double(static_cast<std::int64_t>(i), total[i]);
  return results;
}

/// Sums are linear in input and updates; so is replacing, where every element is replaced at most once.
bool is_linear_scatter(const Node& node) {
  const Graph& region = *node.regions[0];
  return match_monoid(region) == Op::Add || (is_overwrite(region) && node.attributes.boolean("unique_indices", false));
}

Value scatter_again(Builder& build, const Node& node, Value input, Value indices, Value updates) {
  return build.graph.add1(Op::Scatter, {input, indices, updates}, node.attributes, node.regions, build.location);
}

Values jvp_scatter(const JvpContext& context) {
  const std::size_t n = context.results.size();
  bool varies = false;
  for (std::size_t i = 0; i < context.tangents.size(); ++i) varies = varies || (i != n && context.tangents[i] != kZero);
  if (!varies) return Values(n, kZero);
  if (!is_linear_scatter(context.node))
    throw Error(ErrorKind::Unsupported,
                "scatter can be differentiated when its region adds, or replaces with unique_indices set");
  return {scatter_again(context.build, context.node, context.tangent_or_zeros(0), context.operands[1],
                        context.tangent_or_zeros(2))};
}

/// The updates get the cotangent at their places: a gather from the cotangent with a window's extent of zeros around,
/// where what was dropped finds them.
Value gather_updates(const TransposeContext& context) {
  Builder& build = context.build;
  const IndexMap map = IndexMap::of_scatter(context.node.attributes);
  const TensorType& type = context.operand_types[0];
  const Shape window = map.window(context.operand_types[2].shape, type.rank());
  Integers margin(type.shape.size(), 0), lowest, highest, shift;
  for (const std::int64_t d : map.index_map) {
    margin[at(d)] = window[at(d)];
    lowest.push_back(-window[at(d)]);
    highest.push_back(type.shape[at(d)]);
    shift.push_back(window[at(d)]);
  }
  const Value padded =
      build.pad(context.cotangents[0], build.full(type.dtype, 0), margin, margin, Integers(margin.size(), 0));
  const Value clamped = clamp_indices(build, context.operands[1], map.index_vector_dim, lowest, highest);
  const bool vector = map.index_vector_dim < build.type(clamped).rank();
  Literal offsets({build.dtype(clamped), vector ? Shape{static_cast<std::int64_t>(shift.size())} : Shape{}});
  for (std::size_t i = 0; i < shift.size(); ++i) offsets.set_integer(static_cast<std::int64_t>(i), shift[i]);
  const Shape shape = build.shape(clamped);
  const Value by = build.constant(offsets);
  const Value indices =
      build.add(clamped, build.broadcast_in_dim(by, shape, vector ? Integers{map.index_vector_dim} : Integers{}));
  Integers sizes = window;
  for (const std::int64_t d : map.operand_batching) sizes[at(d)] = std::min<std::int64_t>(1, type.shape[at(d)]);
  return build.graph.add1(Op::Gather, {padded, indices},
                          map.as_gather(sizes, context.node.attributes.boolean("indices_are_sorted", false)), {},
                          build.location);
}

Values transpose_scatter(const TransposeContext& context) {
  Builder& build = context.build;
  Values out(3, kZero);
  if (context.is_linear(0)) {
    const TensorType& updates = context.operand_types[2];
    const bool adds = match_monoid(*context.node.regions[0]) == Op::Add;
    out[0] = adds ? context.cotangents[0]
                  : scatter_again(build, context.node, context.cotangents[0], context.operands[1],
                                  build.full(updates.dtype, 0, updates.shape));
  }
  if (context.is_linear(2)) out[2] = gather_updates(context);
  return out;
}

Values batch_scatter(const BatchContext& context) {
  const std::size_t n = context.operands.size() / 2;
  Values operands;
  for (std::size_t i = 0; i < context.operands.size(); ++i)
    operands.push_back(i == n ? context.operands[n] : context.with_batch(i));
  const Attributes& old = context.node.attributes;
  const bool indices = context.batched[n];
  const IndexMap map = IndexMap::of_scatter(old).batched(true, indices);
  return context.build.graph.add(
      Op::Scatter, operands,
      map.as_scatter(!indices && old.boolean("indices_are_sorted", false), old.boolean("unique_indices", false)),
      context.node.regions, context.build.location);
}

/// One operation of the region's for each update.
Cost cost_scatter(const Node& node, std::span<const TensorType> operands, std::span<const TensorType>) {
  if (!is_float(operands[0].dtype) || node.regions[0]->nodes.empty()) return {};
  const std::size_t scattered = operands.size() / 2;
  return {static_cast<double>(element_count(operands.back().shape)) * static_cast<double>(scattered)};
}

}  // namespace

ScatterTarget scatter_target(LoopContext& context, const Index& update) {
  kernel::Builder& k = context.kernel;
  const std::size_t n = context.node.operands.size() / 2;
  const IndexMap map = IndexMap::of_scatter(context.node.attributes);
  const Shape& shape = context.operand_type(0).shape;
  ScatterTarget target{Index(shape.size(), k.index(0)), kNone};
  map.add_window(update, target.at);
  for (std::size_t c = 0; c < map.index_map.size(); ++c) {
    const auto d = at(map.index_map[c]);
    const Index where = map.component(update, k.index(static_cast<std::int64_t>(c)), context.operand_type(n).rank());
    target.at[d] = k.add(target.at[d], index_expression(k, context.operand(n, where)));
    target.valid = both(k, target.valid, k.binary(K::GreaterEqual, target.at[d], k.index(0)));
    target.valid = both(k, target.valid, k.binary(K::Less, target.at[d], k.index(shape[d])));
  }
  return target;
}

Integers independent_update_dimensions(const Node& scatter, const TensorType& updates) {
  const IndexMap map = IndexMap::of_scatter(scatter.attributes);
  const Integers batch = map.batch_dims(updates.rank());
  Integers independent;
  for (const std::int64_t d : map.indices_batching)
    independent.push_back(batch[at(d < map.index_vector_dim ? d : d - 1)]);
  // A window dimension is independent where no index moves the window along it.
  const auto rank =
      static_cast<std::int64_t>(map.window_dims.size() + map.dropped.size() + map.operand_batching.size());
  const Integers kept = map.kept(rank);
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (!contains(map.index_map, kept[i])) independent.push_back(map.window_dims[i]);
  std::sort(independent.begin(), independent.end());
  return independent;
}

Primitive scatter_row() {
  return {.op = Op::Scatter,
          .doc = "Combines updates into a tensor at computed indices, in order; those outside are dropped.",
          .infer = infer_scatter,
          .evaluate = evaluate_scatter,
          .jvp = jvp_scatter,
          .transpose = transpose_scatter,
          .batch = batch_scatter,
          .loop = unsupported("its updates run in order: the scheduler lowers it with ir/scatter.hpp"),
          .decompose = unsupported("the scheduler lowers it with ir/scatter.hpp"),
          .cost = cost_scatter};
}

}  // namespace tessera::ir
