// Rows of reductions over sliding windows: reduce_window, select_and_scatter. Pooling and its gradient.
// The tangent of a maximum is that of the first element that wins its window: a reduce_window over pairs of value and
// tangent. It is linear in the tangents, and its transpose is select_and_scatter.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tessera/ir/index_map.hpp"
#include "tessera/ir/windows.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using kernel::kNone;
using K = kernel::Op;

/// At most this many elements of windows are written out one by one instead of in loops.
constexpr std::int64_t kUnrolled = 32;

struct Windows {
  Integers dimensions, strides, base_dilations, window_dilations, padding;

  explicit Windows(const Attributes& attributes)
      : dimensions(integers_of(attributes, "window_dimensions")),
        strides(integers_of(attributes, "window_strides", dimensions.size(), 1)),
        base_dilations(integers_of(attributes, "base_dilations", dimensions.size(), 1)),
        window_dilations(integers_of(attributes, "window_dilations", dimensions.size(), 1)),
        padding(integers_of(attributes, "padding", 2 * dimensions.size(), 0)) {}

  [[nodiscard]] Attributes attributes() const {
    return {{"window_dimensions", dimensions},
            {"window_strides", strides},
            {"base_dilations", base_dilations},
            {"window_dilations", window_dilations},
            {"padding", padding}};
  }
  /// Those of select_and_scatter, which knows no dilation.
  [[nodiscard]] Attributes plain_attributes() const {
    return {{"window_dimensions", dimensions}, {"window_strides", strides}, {"padding", padding}};
  }
  /// Windows that may hold a position, for each dimension.
  [[nodiscard]] Shape covering() const {
    Shape counts;
    for (std::size_t d = 0; d < dimensions.size(); ++d) counts.push_back((dimensions[d] - 1) / strides[d] + 1);
    return counts;
  }
  [[nodiscard]] bool dilates() const {
    return std::any_of(base_dilations.begin(), base_dilations.end(), [](std::int64_t d) { return d != 1; }) ||
           std::any_of(window_dilations.begin(), window_dilations.end(), [](std::int64_t d) { return d != 1; });
  }
  [[nodiscard]] Sliding sliding(std::size_t d) const {
    return {strides[d], base_dilations[d], window_dilations[d], padding[2 * d], padding[2 * d + 1]};
  }
  [[nodiscard]] Shape result(const Shape& operand) const {
    Shape shape;
    for (std::size_t d = 0; d < operand.size(); ++d)
      shape.push_back(window_count(operand[d], dimensions[d], sliding(d)));
    return shape;
  }
  [[nodiscard]] Windows batched() const {
    Windows w = *this;
    for (Integers* list : {&w.dimensions, &w.strides, &w.base_dilations, &w.window_dilations})
      list->insert(list->begin(), 1);
    w.padding.insert(w.padding.begin(), {0, 0});
    return w;
  }
  /// Position in the operand of element `w` of window `o`; false where it is padding or a hole.
  bool source(const Shape& operand, const Integers& o, const Integers& w, Integers& position) const {
    for (std::size_t d = 0; d < operand.size(); ++d) {
      const std::int64_t p = o[d] * strides[d] + w[d] * window_dilations[d] - padding[2 * d];
      if (p < 0 || p % base_dilations[d] != 0 || p / base_dilations[d] >= operand[d]) return false;
      position[d] = p / base_dilations[d];
    }
    return true;
  }
};

void check_windows(const Windows& w, std::size_t rank) {
  check_size(w.dimensions, rank, "window_dimensions");
  check_at_least(w.dimensions, 1, "window_dimensions");
  check_at_least(w.strides, 1, "window_strides");
  check_at_least(w.base_dilations, 1, "base_dilations");
  check_at_least(w.window_dilations, 1, "window_dilations");
  check_padding(w.padding, "padding");
}

// Regions

/// (value, tangent) x (value, tangent) -> that of the greater (or smaller) value; of the first when they are equal.
GraphPtr winner(DType value, DType tangent, bool greatest) {
  auto region = std::make_shared<Graph>("winner");
  const Value a = region->parameter({value, {}}), ta = region->parameter({tangent, {}});
  const Value b = region->parameter({value, {}}), tb = region->parameter({tangent, {}});
  Builder build{*region};
  const Value first = build.compare(a, b, greatest ? "GE" : "LE");
  region->results = {build.select(first, a, b), build.select(first, ta, tb)};
  return region;
}

/// (a, b) -> a >= b, or a <= b.
GraphPtr selector(DType dtype, bool greatest) {
  auto region = std::make_shared<Graph>("select");
  const Value a = region->parameter({dtype, {}}), b = region->parameter({dtype, {}});
  region->results = {Builder{*region}.compare(a, b, greatest ? "GE" : "LE")};
  return region;
}

/// Greatest, smallest, or neither: what a region of two scalars selects.
std::optional<bool> match_selector(const Graph& region) {
  if (region.nodes.size() != 1 || region.nodes[0].op != Op::Compare || region.results != region.nodes[0].results ||
      region.nodes[0].operands != region.parameters)
    return std::nullopt;
  const std::string direction = region.nodes[0].attributes.string("comparison_direction", "");
  if (direction == "GE") return true;
  if (direction == "LE") return false;
  return std::nullopt;
}

/// Whether a region is `winner`, and of what.
std::optional<bool> match_winner(const Graph& region) {
  if (region.parameters.size() != 4) return std::nullopt;
  const DType value = region.dtype(region.parameters[0]), tangent = region.dtype(region.parameters[1]);
  const std::string key = region.key();
  for (const bool greatest : {true, false})
    if (winner(value, tangent, greatest)->key() == key) return greatest;
  return std::nullopt;
}

/// The value that loses against every other.
Literal loser(DType dtype, bool greatest) { return identity(greatest ? Op::Maximum : Op::Minimum, dtype); }

/// A region of two scalars on the host.
class HostRegion {
 public:
  HostRegion(const Graph& region, DType dtype) : region_(region) {
    if (is_float(dtype)) monoid_ = match_monoid(region);
  }
  /// True when `combine` works, in double: sums of half-precision floats do not round in between.
  [[nodiscard]] bool is_real_monoid() const { return monoid_.has_value(); }
  [[nodiscard]] double combine(double a, double b) const {
    switch (*monoid_) {
      case Op::Add: return a + b;
      case Op::Multiply: return a * b;
      default: break;
    }
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
    const bool first = a != b ? a > b : std::signbit(b);  // a is the greater one
    return (*monoid_ == Op::Maximum) == first ? a : b;
  }
  [[nodiscard]] std::vector<Literal> operator()(const std::vector<Literal>& arguments) const {
    return interpret(region_, arguments);
  }

 private:
  const Graph& region_;
  std::optional<Op> monoid_;
};

Literal scalar_at(const Literal& literal, std::int64_t position) {
  Literal scalar(TensorType{literal.dtype(), {}});
  copy_element(literal, position, scalar, 0);
  return scalar;
}

// reduce_window

std::vector<TensorType> infer_reduce_window(const InferContext& context) {
  const std::size_t n = context.operands.size() / 2;
  if (n == 0 || context.operands.size() != 2 * n)
    broken(fmt::format("takes inputs and as many initial values, and was given {} operands", context.operands.size()));
  const Shape& shape = context.operands[0].shape;
  std::vector<DType> dtypes;
  for (std::size_t i = 0; i < n; ++i) {
    const TensorType &input = context.operands[i], &initial = context.operands[n + i];
    if (input.shape != shape)
      broken(fmt::format("input {} has the shape {}, input 0 {}", i, to_string(input.shape), to_string(shape)),
             "all inputs need one shape");
    if (initial != TensorType{input.dtype, {}})
      broken(fmt::format("initial value {} is {} and must be {}", i, to_string(initial),
                         to_string(TensorType{input.dtype, {}})));
    dtypes.push_back(input.dtype);
  }
  const Windows w(context.attributes);
  check_windows(w, shape.size());
  std::vector<DType> parameters = dtypes;
  parameters.insert(parameters.end(), dtypes.begin(), dtypes.end());
  check_region(context, 0, parameters, dtypes);
  std::vector<TensorType> results;
  for (const DType dtype : dtypes) results.push_back(checked_type(dtype, w.result(shape)));
  return results;
}

/// Padding and holes hold the initial value, which takes part.
std::vector<Literal> evaluate_reduce_window(const Node& node, std::span<const Literal> operands) {
  const std::size_t n = operands.size() / 2;
  const Windows w(node.attributes);
  const Shape& from = operands[0].shape();
  const Shape to = w.result(from);
  std::vector<Literal> results;
  for (std::size_t i = 0; i < n; ++i) results.emplace_back(TensorType{operands[i].dtype(), to});
  const HostRegion region(*node.regions[0], operands[0].dtype());
  Integers source(from.size());
  std::int64_t out = 0;
  if (n == 1 && region.is_real_monoid()) {
    const std::vector<double> values = doubles_of(operands[0]);
    const double initial = operands[1].get_double(0);
    for_each_index(to, [&](const Integers& o) {
      double sum = initial;
      for_each_index(w.dimensions, [&](const Integers& k) {
        sum = region.combine(sum, w.source(from, o, k, source) ? values[at(position(from, source))] : initial);
      });
      results[0].set_double(out++, sum);
    });
    return results;
  }
  for_each_index(to, [&](const Integers& o) {
    std::vector<Literal> sums(operands.begin() + static_cast<std::ptrdiff_t>(n), operands.end());
    for_each_index(w.dimensions, [&](const Integers& k) {
      const bool valid = w.source(from, o, k, source);
      std::vector<Literal> arguments = sums;
      for (std::size_t i = 0; i < n; ++i)
        arguments.push_back(valid ? scalar_at(operands[i], position(from, source)) : operands[n + i]);
      sums = region(arguments);
    });
    for (std::size_t i = 0; i < n; ++i) copy_element(sums[i], 0, results[i], out);
    ++out;
  });
  return results;
}

/// The node over (values, tangents) that picks the winners' tangents; its second result.
Value winners(Builder& build, const Windows& w, bool greatest, Value values, Value tangents, Value initial,
              Value initial_tangent) {
  const GraphPtr region = winner(build.dtype(values), build.dtype(tangents), greatest);
  return build.graph.add(Op::ReduceWindow, {values, tangents, initial, initial_tangent}, w.attributes(), {region},
                         build.location)[1];
}

Values jvp_reduce_window(const JvpContext& context) {
  const Graph& region = *context.node.regions[0];
  const Values& x = context.operands;
  const Values& t = context.tangents;
  if (std::all_of(t.begin(), t.end(), [](Value v) { return v == kZero; })) return Values(context.results.size(), kZero);
  const std::optional<Op> monoid = match_monoid(region);
  if (monoid == Op::Add) return linear_jvp(context);
  const Windows w(context.node.attributes);
  if (monoid == Op::Maximum || monoid == Op::Minimum)
    return {winners(context.build, w, *monoid == Op::Maximum, x[0], context.tangent_or_zeros(0), x[1],
                    context.tangent_or_zeros(1))};
  if (const auto greatest = match_winner(region)) {
    Values out(2, kZero);
    if (t[0] != kZero || t[2] != kZero)
      out[0] =
          winners(context.build, w, *greatest, x[0], context.tangent_or_zeros(0), x[2], context.tangent_or_zeros(2));
    if (t[1] != kZero || t[3] != kZero)
      out[1] =
          winners(context.build, w, *greatest, x[0], context.tangent_or_zeros(1), x[2], context.tangent_or_zeros(3));
    return out;
  }
  throw Error(ErrorKind::Unsupported,
              "reduce_window can be differentiated when its region adds, or takes the maximum or minimum");
}

/// Window sums are their own transpose with strides and base dilation exchanged.
Values transpose_sum(const TransposeContext& context, const Windows& w) {
  Builder& build = context.build;
  const TensorType& type = context.operand_types[0];
  Values out(2, kZero);
  if (context.is_linear(0)) {
    Windows t = w;
    t.strides = w.base_dilations;
    t.base_dilations = w.strides;
    for (std::size_t d = 0; d < type.shape.size(); ++d) {
      const std::int64_t spread = dilated(w.dimensions[d], w.window_dilations[d]);
      const std::int64_t low = spread - 1 - w.padding[2 * d];
      t.padding[2 * d] = low;
      t.padding[2 * d + 1] = dilated(type.shape[d], w.base_dilations[d]) + spread - 1 - low -
                             dilated(context.result_types[0].shape[d], w.strides[d]);
    }
    if (element_count(type.shape) > 0)
      out[0] = build.graph.add1(Op::ReduceWindow, {context.cotangents[0], build.full(type.dtype, 0)}, t.attributes(),
                                {reducer(Op::Add, type.dtype)}, build.location);
  }
  if (context.is_linear(1)) {  // it counts once, and once for each element of padding
    const Value zeros = build.full(type.dtype, 0, type.shape);
    const Value counts = build.graph.add1(Op::ReduceWindow, {zeros, build.full(type.dtype, 1)}, w.attributes(),
                                          {reducer(Op::Add, type.dtype)}, build.location);
    out[1] = build.sum(build.multiply(context.cotangents[0], counts), iota_integers(type.rank()));
  }
  return out;
}

/// True for a constant that loses against every other value.
bool is_loser(const Graph& graph, Value v, bool greatest) {
  const Node* node = graph.producer(v);
  return node != nullptr && node->op == Op::Constant &&
         node->attributes.literal("value").identical(loser(graph.dtype(v), greatest));
}

/// The cotangents go to the winners: by select_and_scatter; or, where there are dilations or the initial value may win,
/// by a scatter to the winners' positions.
Value scatter_to_winners(const TransposeContext& context, const Windows& w, bool greatest) {
  Builder& build = context.build;
  const TensorType& type = context.operand_types[1];
  const Value values = context.operands[0], cotangent = context.cotangents[1];
  const DType dtype = build.dtype(values);
  if (!w.dilates() && dtype == type.dtype && is_loser(build.graph, context.operands[2], greatest))
    return build.graph.add1(Op::SelectAndScatter, {values, cotangent, build.full(dtype, 0)}, w.plain_attributes(),
                            {selector(dtype, greatest), reducer(Op::Add, dtype)}, build.location);
  const std::int64_t count = element_count(type.shape);
  const Value positions = build.reshape(build.iota(DType::I64, {count}, 0), type.shape);
  const Value outside = build.full(DType::I64, -1);
  const Value won = winners(build, w, greatest, values, positions, context.operands[2], outside);
  const std::int64_t windows = element_count(build.shape(won));
  const Attributes numbers = IndexMap{{}, {0}, {}, {}, {0}, 1}.as_scatter(false, false);
  const Value flat = build.graph.add1(
      Op::Scatter,
      {build.full(type.dtype, 0, {count}), build.reshape(won, {windows, 1}), build.reshape(cotangent, {windows})},
      numbers, {reducer(Op::Add, type.dtype)}, build.location);
  return build.reshape(flat, type.shape);
}

Values transpose_reduce_window(const TransposeContext& context) {
  const Graph& region = *context.node.regions[0];
  const Windows w(context.node.attributes);
  if (match_monoid(region) == Op::Add) return transpose_sum(context, w);
  const std::optional<bool> greatest = match_winner(region);
  if (!greatest)
    throw Error(ErrorKind::Unsupported,
                "reduce_window is linear when its region adds or picks the tangent of a winner");
  Builder& build = context.build;
  Values out(4, kZero);
  const Value cotangent = context.cotangents[1];
  if (cotangent == kZero) return out;
  const TensorType& type = context.operand_types[1];
  if (context.is_linear(1)) out[1] = scatter_to_winners(context, w, *greatest);
  if (context.is_linear(3)) {  // of the windows in which the initial value wins
    const Value initial_won = winners(build, w, *greatest, context.operands[0], build.full(type.dtype, 0, type.shape),
                                      context.operands[2], build.full(type.dtype, 1));
    out[3] = build.sum(build.multiply(cotangent, initial_won), iota_integers(type.rank()));
  }
  return out;
}

/// Initial values that differ along the batch: the padding is written out, and the initial values join at the end.
Values batch_initial(const BatchContext& context, const Windows& w) {
  Builder& build = context.build;
  const std::optional<Op> monoid =
      context.node.operands.size() == 2 ? match_monoid(*context.node.regions[0]) : std::nullopt;
  if (!monoid)
    throw Error(ErrorKind::Unsupported,
                "vmap over an initial value of reduce_window needs a region of one operation such as add");
  Windows inner = w;
  Integers low{0}, high{0}, interior{0};
  for (std::size_t d = 0; d < w.dimensions.size(); ++d) {
    low.push_back(w.padding[2 * d]);
    high.push_back(w.padding[2 * d + 1]);
    interior.push_back(w.base_dilations[d] - 1);
    inner.padding[2 * d] = inner.padding[2 * d + 1] = 0;
    inner.base_dilations[d] = 1;
  }
  const Value x = context.with_batch(0), initial = context.operands[1];
  const DType dtype = build.dtype(x);
  const Value inside = build.full(DType::Bool, 0, Shape(build.shape(x)));
  const Value mask = build.pad(inside, build.full(DType::Bool, 1), low, high, interior);
  const Value spread = build.pad(x, build.full(dtype, 0), low, high, interior);
  const Value filled = build.select(mask, build.broadcast_in_dim(initial, build.shape(spread), {0}), spread);
  const Value neutral = build.constant(identity(*monoid, dtype));
  const Value sums = build.graph.add1(Op::ReduceWindow, {filled, neutral}, inner.batched().attributes(),
                                      context.node.regions, build.location);
  return {build.binary(*monoid, build.broadcast_in_dim(initial, build.shape(sums), {0}), sums)};
}

Values batch_reduce_window(const BatchContext& context) {
  const std::size_t n = context.operands.size() / 2;
  const Windows w(context.node.attributes);
  Values operands;
  for (std::size_t i = 0; i < 2 * n; ++i) {
    if (i >= n && context.batched[i]) return batch_initial(context, w);
    operands.push_back(i < n ? context.with_batch(i) : context.operands[i]);
  }
  return context.build.graph.add(Op::ReduceWindow, operands, w.batched().attributes(), context.node.regions,
                                 context.build.location);
}

Expr loop_reduce_window(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const std::size_t n = context.node.operands.size() / 2;
  const Windows w(context.node.attributes);
  const Shape& from = context.operand_type(0).shape;
  const Shape& to = context.result_type(0).shape;
  const bool unrolled = element_count(w.dimensions) <= kUnrolled;
  const bool empty = element_count(from) == 0;  // all is padding
  std::vector<Expr> initial;
  std::vector<Cell> sums;
  for (std::size_t i = 0; i < n; ++i) {
    initial.push_back(context.operand(n + i, {}));
    sums.emplace_back(k, "sum", initial[i], unrolled);
  }
  serial_loops(k, w.dimensions, unrolled, [&](const Index& window) {
    Index source;
    Expr valid = kNone;
    for (std::size_t d = 0; d < from.size(); ++d)
      source.push_back(
          window_position(k, {from[d], w.dimensions[d], to[d], w.sliding(d)}, context.index[d], window[d], valid));
    std::vector<Expr> arguments;
    for (const Cell& sum : sums) arguments.push_back(sum.read());
    for (std::size_t i = 0; i < n; ++i)
      arguments.push_back(empty ? initial[i] : select_or(k, valid, context.operand(i, source, valid), initial[i]));
    const std::vector<Expr> combined = context.apply(*context.node.regions[0], arguments);
    std::vector<Cell> next;  // all are computed before the first sum changes
    for (std::size_t i = 0; i < n; ++i) next.emplace_back(k, "next", combined[i], unrolled || n == 1);
    for (std::size_t i = 0; i < n; ++i) sums[i].write(next[i].read());
  });
  return sums[context.result].read();
}

/// One operation of the region's for each element of each window.
Cost cost_reduce_window(const Node& node, std::span<const TensorType> operands, std::span<const TensorType> results) {
  if (!is_float(operands[0].dtype)) return {};
  double elements = static_cast<double>(element_count(results[0].shape));
  for (const std::int64_t d : node.attributes.integers("window_dimensions")) elements *= static_cast<double>(d);
  const std::size_t reduced = operands.size() / 2;
  return {elements * static_cast<double>(reduced)};
}

// select_and_scatter

std::vector<TensorType> infer_select_and_scatter(const InferContext& context) {
  check_operand_count(context, 3);
  const TensorType& operand = context.operands[0];
  const Windows w(context.attributes);
  check_windows(w, operand.shape.size());
  if (w.dilates()) broken("windows of select_and_scatter have no dilation");
  const TensorType source = checked_type(operand.dtype, w.result(operand.shape));
  if (context.operands[1] != source)
    broken(fmt::format("the source is {} and must be {}", to_string(context.operands[1]), to_string(source)),
           "it has one element for each window");
  if (context.operands[2] != TensorType{operand.dtype, {}})
    broken(fmt::format("the initial value is {} and must be {}", to_string(context.operands[2]),
                       to_string(TensorType{operand.dtype, {}})));
  check_region(context, 0, {operand.dtype, operand.dtype}, {DType::Bool});
  check_region(context, 1, {operand.dtype, operand.dtype}, {operand.dtype});
  return {operand};
}

std::vector<Literal> evaluate_select_and_scatter(const Node& node, std::span<const Literal> operands) {
  const Windows w(node.attributes);
  const Literal &operand = operands[0], &source = operands[1], &initial = operands[2];
  const Shape& shape = operand.shape();
  const std::optional<bool> greatest = is_float(operand.dtype()) ? match_selector(*node.regions[0]) : std::nullopt;
  const HostRegion select(*node.regions[0], operand.dtype()), scatter(*node.regions[1], operand.dtype());
  const auto stays = [&](std::int64_t a, std::int64_t b) {
    if (!greatest) return select({scalar_at(operand, a), scalar_at(operand, b)})[0].get_integer(0) != 0;
    const double x = operand.get_double(a), y = operand.get_double(b);
    return *greatest ? x >= y : x <= y;
  };
  Literal result(operand.type());
  for (std::int64_t i = 0, n = result.size(); i < n; ++i) copy_element(initial, 0, result, i);
  std::vector<double> sums = scatter.is_real_monoid() ? doubles_of(result) : std::vector<double>{};
  Integers at_window(shape.size());
  std::int64_t from = 0;
  for_each_index(source.shape(), [&](const Integers& o) {
    std::int64_t selected = -1;
    for_each_index(w.dimensions, [&](const Integers& k) {
      if (!w.source(shape, o, k, at_window)) return;
      const std::int64_t candidate = position(shape, at_window);
      if (selected < 0 || !stays(selected, candidate)) selected = candidate;
    });
    if (selected >= 0 && scatter.is_real_monoid())
      sums[at(selected)] = scatter.combine(sums[at(selected)], source.get_double(from));
    else if (selected >= 0)
      copy_element(scatter({scalar_at(result, selected), scalar_at(source, from)})[0], 0, result, selected);
    ++from;
  });
  for (std::size_t i = 0; i < sums.size(); ++i) result.set_double(static_cast<std::int64_t>(i), sums[i]);
  return {result};
}

/// Which position wins does not vary; the result is linear in the source and the initial value when they are added.
Values jvp_select_and_scatter(const JvpContext& context) {
  if (context.tangents[1] == kZero && context.tangents[2] == kZero) return {kZero};
  if (match_monoid(*context.node.regions[1]) != Op::Add)
    throw Error(ErrorKind::Unsupported, "select_and_scatter can be differentiated when its scatter region adds");
  return {context.build.graph.add1(context.node.op,
                                   {context.operands[0], context.tangent_or_zeros(1), context.tangent_or_zeros(2)},
                                   context.node.attributes, context.node.regions, context.build.location)};
}

Values transpose_select_and_scatter(const TransposeContext& context) {
  Builder& build = context.build;
  const std::optional<bool> greatest = match_selector(*context.node.regions[0]);
  if (!greatest || match_monoid(*context.node.regions[1]) != Op::Add)
    throw Error(ErrorKind::Unsupported, "select_and_scatter can be transposed when it selects by GE or LE and adds");
  const DType dtype = context.operand_types[0].dtype;
  Values out(3, kZero);
  if (context.is_linear(1))
    out[1] = winners(build, Windows(context.node.attributes), *greatest, context.operands[0], context.cotangents[0],
                     build.constant(loser(dtype, *greatest)), build.full(dtype, 0));
  if (context.is_linear(2)) out[2] = build.sum(context.cotangents[0], iota_integers(context.operand_types[0].rank()));
  return out;
}

Values batch_select_and_scatter(const BatchContext& context) {
  Builder& build = context.build;
  Value initial = context.operands[2];
  std::optional<Op> monoid;
  if (context.batched[2]) {  // it joins at the end
    monoid = match_monoid(*context.node.regions[1]);
    if (!monoid)
      throw Error(
          ErrorKind::Unsupported,
          "vmap over the initial value of select_and_scatter needs a scatter region of one operation such as add");
    initial = build.constant(identity(*monoid, build.dtype(initial)));
  }
  const Attributes attributes = Windows(context.node.attributes).batched().plain_attributes();
  const Value scattered = build.graph.add1(context.node.op, {context.with_batch(0), context.with_batch(1), initial},
                                           attributes, context.node.regions, build.location);
  if (!monoid) return {scattered};
  return {build.binary(*monoid, build.broadcast_in_dim(context.operands[2], build.shape(scattered), {0}), scattered)};
}

/// For a position, the windows that hold it select again; where they select it, their source comes in.
Expr loop_select_and_scatter(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const Windows w(context.node.attributes);
  const Shape& shape = context.operand_type(0).shape;
  const Shape& outputs = context.operand_type(1).shape;
  const std::size_t rank = shape.size();
  if (element_count(outputs) == 0) return context.operand(2, {});
  const Shape covering = w.covering();
  std::vector<Expr> padded;
  for (std::size_t d = 0; d < rank; ++d) padded.push_back(k.add(context.index[d], k.index(w.padding[2 * d])));
  const bool unroll_elements = element_count(w.dimensions) <= kUnrolled, unroll_windows = windows_unroll(context.node);
  Cell result(k, "sum", context.operand(2, {}), unroll_windows);
  serial_loops(k, covering, unroll_windows, [&](const Index& back) {
    Index window, own;  // which window, and where in it the position lies
    Expr holds = kNone;
    const auto need = [&](K op, Expr a, std::int64_t b) { holds = both(k, holds, k.binary(op, a, k.index(b))); };
    for (std::size_t d = 0; d < rank; ++d) {
      const std::int64_t stride = w.strides[d], low = w.padding[2 * d];
      window.push_back(k.sub(k.binary(K::Divide, padded[d], k.index(stride)), back[d]));
      own.push_back(k.add(k.binary(K::Remainder, padded[d], k.index(stride)), k.mul(back[d], k.index(stride))));
      if (low < 0) need(K::GreaterEqual, padded[d], 0);
      if (covering[d] > 1) need(K::GreaterEqual, window[d], 0);
      if ((shape[d] - 1 + low) / stride >= outputs[d]) need(K::Less, window[d], outputs[d]);
      if (w.dimensions[d] != covering[d] * stride) need(K::Less, own[d], w.dimensions[d]);
    }
    const Expr no = k.integer(DType::Bool, 0), yes = k.integer(DType::Bool, 1);
    Cell value(k, "value", k.constant(loop_dtype(context.operand_type(0).dtype), 0), unroll_elements);
    Cell found(k, "found", no, unroll_elements), is_own(k, "is_own", no, unroll_elements);
    serial_loops(k, w.dimensions, unroll_elements, [&](const Index& element) {
      Index source;
      Expr valid = holds, here = kNone;
      for (std::size_t d = 0; d < rank; ++d) {
        source.push_back(
            window_position(k, {shape[d], w.dimensions[d], outputs[d], w.sliding(d)}, window[d], element[d], valid));
        here = both(k, here, k.binary(K::Equal, own[d], element[d]));
      }
      const Expr candidate = context.operand(0, source, valid);
      const Expr stays =
          k.logical_and(found.read(), context.apply(*context.node.regions[0], {value.read(), candidate})[0]);
      const Cell takes(k, "takes", both(k, valid, k.unary(K::Not, stays)), unroll_elements);
      value.write(k.select(takes.read(), candidate, value.read()));
      is_own.write(k.select(takes.read(), here == kNone ? yes : here, is_own.read()));
      found.write(valid == kNone ? yes : k.binary(K::Or, found.read(), valid));
    });
    const Expr selected = both(k, holds, is_own.read());
    const Expr sum = context.apply(*context.node.regions[1], {result.read(), context.operand(1, window, holds)})[0];
    result.write(k.select(selected, sum, result.read()));
  });
  return result.read();
}

Cost cost_select_and_scatter(const Node& node, std::span<const TensorType> operands, std::span<const TensorType>) {
  if (!is_float(operands[0].dtype)) return {};
  double elements = static_cast<double>(element_count(operands[1].shape));
  for (const std::int64_t d : node.attributes.integers("window_dimensions")) elements *= static_cast<double>(d);
  return {elements};
}

}  // namespace

std::vector<Primitive> window_rows() {
  std::vector<Primitive> rows;
  rows.push_back({.op = Op::ReduceWindow,
                  .doc = "Reduces each window of one or several tensors to a scalar by a region.",
                  .infer = infer_reduce_window,
                  .evaluate = evaluate_reduce_window,
                  .jvp = jvp_reduce_window,
                  .transpose = transpose_reduce_window,
                  .batch = batch_reduce_window,
                  .loop = loop_reduce_window,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = cost_reduce_window});
  rows.push_back({.op = Op::SelectAndScatter,
                  .doc = "Selects an element of each window and combines the window's source into its place.",
                  .infer = infer_select_and_scatter,
                  .evaluate = evaluate_select_and_scatter,
                  .jvp = jvp_select_and_scatter,
                  .transpose = transpose_select_and_scatter,
                  .batch = batch_select_and_scatter,
                  .loop = loop_select_and_scatter,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = cost_select_and_scatter});
  return rows;
}

bool windows_unroll(const Node& node) {
  const Windows w(node.attributes);
  const std::int64_t elements = element_count(w.dimensions);
  return elements <= kUnrolled &&
         (node.op != Op::SelectAndScatter || element_count(w.covering()) * elements <= 2 * kUnrolled);
}

}  // namespace tessera::ir
