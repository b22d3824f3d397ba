// Reductions, the softmax family, products, convolutions and pooling on arrays.
#include <algorithm>
#include <limits>
#include <string_view>

#include "tessera/array/ops.hpp"
#include "tessera/array/ops_common.hpp"

namespace tessera {

using detail::apply1;
using ir::Op;

namespace {

ir::Integers checked_axes(const std::string& operation, const Array& x, const Axes& axes, Location at) {
  if (axes.empty()) return ir::iota_integers(x.rank());
  ir::Integers dimensions;
  for (const std::int64_t axis : axes) dimensions.push_back(detail::checked_axis(operation, x, axis, at));
  std::sort(dimensions.begin(), dimensions.end());
  if (const auto twice = std::adjacent_find(dimensions.begin(), dimensions.end()); twice != dimensions.end()) {
    const Array operands[] = {x};
    detail::throw_operand_error(operation, at, operands, "axis " + std::to_string(*twice) + " is named twice", "");
  }
  return dimensions;
}

Shape kept_shape(const Array& x, const ir::Integers& reduced) {
  Shape shape = x.shape();
  for (const std::int64_t d : reduced) shape[static_cast<std::size_t>(d)] = 1;
  return shape;
}

Array reduce(const char* operation, Op monoid, const Array& x, const Axes& axes, bool keep, Location at) {
  const ir::Integers dimensions = checked_axes(operation, x, axes, at);
  const Array operands[] = {x, detail::constant(ir::identity(monoid, x.dtype()), at)};
  const Array result =
      detail::apply(Op::Reduce, operands, {{"dimensions", dimensions}}, {ir::reducer(monoid, x.dtype())}, at)[0];
  return keep ? reshape(Operand(result, std::source_location{}), kept_shape(x, dimensions)) : result;
}

/// Sums of bools count, in i32.
Array summand(const Operand& x) {
  const Array a = x.as(x.dtype());
  return a.dtype() == DType::Bool ? detail::convert(a, DType::I32, x.location) : a;
}

double count_of(const Array& x, const ir::Integers& dimensions) {
  double count = 1;
  for (const std::int64_t d : dimensions) count *= static_cast<double>(x.shape(d));
  return count;
}

/// Position of the first winner: pairs (value, position) are reduced together; NaN wins, as in NumPy.
Array arg_reduce(const char* operation, const char* better, const Operand& x, std::int64_t axis) {
  const Array a = x.as(x.dtype());
  const std::int64_t dimension = detail::checked_axis(operation, a, axis, x.location);
  auto region = std::make_shared<ir::Graph>("first_winner");
  ir::Builder build{*region, x.location};
  const TensorType value_type{a.dtype(), {}};
  const TensorType position_type{DType::I32, {}};
  const ir::Value v0 = region->parameter(value_type);
  const ir::Value i0 = region->parameter(position_type);
  const ir::Value v1 = region->parameter(value_type);
  const ir::Value i1 = region->parameter(position_type);
  const auto both = [&](ir::Value p, ir::Value q) { return build.binary(Op::And, p, q); };
  ir::Value first_wins = build.compare(v0, v1, better);
  ir::Value tie = build.compare(v0, v1, "EQ");
  if (is_float(a.dtype())) {
    const ir::Value first_nan = build.compare(v0, v0, "NE");
    first_wins = build.binary(Op::Or, first_wins, both(first_nan, build.compare(v1, v1, "EQ")));
    tie = build.binary(Op::Or, tie, both(first_nan, build.compare(v1, v1, "NE")));
  }
  const ir::Value keep = build.binary(Op::Or, first_wins, both(tie, build.compare(i0, i1, "LT")));
  region->results = {build.select(keep, v0, v1), build.select(keep, i0, i1)};

  const Op monoid = std::string_view(better) == "GT" ? Op::Maximum : Op::Minimum;
  const Array operands[] = {
      a, iota(a.shape(), dimension, DType::I32), detail::constant(ir::identity(monoid, a.dtype()), x.location),
      detail::constant(Literal::full_integer(position_type, std::numeric_limits<std::int32_t>::max()), x.location)};
  return detail::apply(Op::Reduce, operands, {{"dimensions", ir::Integers{dimension}}}, {region}, x.location)[1];
}

}  // namespace

Array sum(const Operand& x, const Axes& axes, bool keep) {
  return reduce("sum", Op::Add, summand(x), axes, keep, x.location);
}
Array prod(const Operand& x, const Axes& axes, bool keep) {
  return reduce("prod", Op::Multiply, summand(x), axes, keep, x.location);
}
Array max(const Operand& x, const Axes& axes, bool keep) {
  return reduce("max", Op::Maximum, x.as(x.dtype()), axes, keep, x.location);
}
Array min(const Operand& x, const Axes& axes, bool keep) {
  return reduce("min", Op::Minimum, x.as(x.dtype()), axes, keep, x.location);
}
Array all(const Operand& x, const Axes& axes, bool keep) {
  return reduce("all", Op::And, astype(x, DType::Bool), axes, keep, x.location);
}
Array any(const Operand& x, const Axes& axes, bool keep) {
  return reduce("any", Op::Or, astype(x, DType::Bool), axes, keep, x.location);
}

Array mean(const Operand& x, const Axes& axes, bool keep) {
  const detail::ModuleScope scope(x.location);
  const Array a = detail::float_operand(x);
  const double count = count_of(a, checked_axes("mean", a, axes, x.location));
  return reduce("mean", Op::Add, a, axes, keep, x.location) * (1.0 / count);
}

Array variance(const Operand& x, const Axes& axes, bool keep) {
  const detail::ModuleScope scope(x.location);
  const Array a = detail::float_operand(x);
  const Array centred = a - mean(a, axes, true);
  return mean(centred * centred, axes, keep);
}

Array argmax(const Operand& x, std::int64_t axis) { return arg_reduce("argmax", "GT", x, axis); }
Array argmin(const Operand& x, std::int64_t axis) { return arg_reduce("argmin", "LT", x, axis); }

namespace {
/// The maximum as a constant of differentiation, with infinities replaced so that the difference stays defined.
Array stable_maximum(const char* operation, const Array& a, const Axes& axes, Location at) {
  const Array highest = reduce(operation, Op::Maximum, a, axes, true, at);
  return stop_gradient(where(is_finite(highest), highest, 0));
}
}  // namespace

Array logsumexp(const Operand& x, const Axes& axes, bool keep) {
  const detail::ModuleScope scope(x.location);
  const Array a = detail::float_operand(x);
  const Array highest = stable_maximum("logsumexp", a, axes, x.location);
  const Array total = log(reduce("logsumexp", Op::Add, exp(a - highest), axes, true, x.location)) + highest;
  return keep ? total : reshape(total, reduce("logsumexp", Op::Add, a, axes, false, x.location).shape());
}

Array softmax(const Operand& x, std::int64_t axis) {
  const detail::ModuleScope scope(x.location);
  const Array a = detail::float_operand(x);
  const Array weight = exp(a - stable_maximum("softmax", a, {axis}, x.location));
  return weight / reduce("softmax", Op::Add, weight, {axis}, true, x.location);
}

Array log_softmax(const Operand& x, std::int64_t axis) {
  const detail::ModuleScope scope(x.location);
  const Array a = detail::float_operand(x);
  const Array shifted = a - stable_maximum("log_softmax", a, {axis}, x.location);
  return shifted - log(reduce("log_softmax", Op::Add, exp(shifted), {axis}, true, x.location));
}

Array matmul(const Operand& a, const Operand& b) {
  const DType dtype = promote(a.dtype(), b.dtype());
  Array x = detail::convert(a.as(dtype), dtype, a.location);
  Array y = detail::convert(b.as(dtype), dtype, a.location);
  const Array given[] = {x, y};
  const bool row = x.rank() == 1;
  const bool column = y.rank() == 1;
  if (x.rank() == 0 || y.rank() == 0)
    detail::throw_operand_error("matmul", a.location, given, "matmul needs at least one dimension on each side",
                                "use * for scalars");
  if (row) x = expand_dims(x, 0);
  if (column) y = expand_dims(y, 1);
  if (x.shape(-1) != y.shape(-2))
    detail::throw_operand_error(
        "matmul", a.location, given,
        "the last dimension of the left operand (" + std::to_string(x.shape(-1)) +
            ") must equal the one before the last of the right (" + std::to_string(y.shape(-2)) + ")",
        x.rank() == 2 && y.rank() == 2 && x.shape(-1) == y.shape(-1) ? "did you mean transpose(b)?" : "");
  const Shape x_lead(x.shape().begin(), x.shape().end() - 2);
  const Shape y_lead(y.shape().begin(), y.shape().end() - 2);
  ir::Integers batch;
  if (x_lead.empty() || !y_lead.empty()) {  // otherwise one matrix serves all: no batch dimensions
    const std::optional<Shape> lead = broadcast_shapes(x_lead, y_lead);
    if (!lead) detail::throw_operand_error("matmul", a.location, given, "the leading dimensions do not broadcast", "");
    const auto widened = [&](const Array& m) {
      Shape shape = *lead;
      shape.push_back(m.shape(-2));
      shape.push_back(m.shape(-1));
      return detail::broadcast(m, shape, a.location);
    };
    x = widened(x);
    y = widened(y);
    batch = ir::iota_integers(static_cast<std::int64_t>(lead->size()));
  }
  const Array operands[] = {x, y};
  Array product = apply1(Op::DotGeneral, operands,
                         {{"lhs_batching_dimensions", batch},
                          {"rhs_batching_dimensions", batch},
                          {"lhs_contracting_dimensions", ir::Integers{x.rank() - 1}},
                          {"rhs_contracting_dimensions", ir::Integers{y.rank() - 2}}},
                         a.location);
  if (row) product = squeeze(product, -2);
  if (column) product = squeeze(product, -1);
  return product;
}

Array conv2d(const Operand& x, const Operand& weights, const ConvOptions& options) {
  const DType dtype = promote(x.dtype(), weights.dtype());
  const Array operands[] = {detail::convert(x.as(dtype), dtype, x.location),
                            detail::convert(weights.as(dtype), dtype, x.location)};
  if (operands[0].rank() != 4 || operands[1].rank() != 4)
    detail::throw_operand_error(
        "conv2d", x.location, operands,
        "conv2d takes images [batch, height, width, channels] and weights [rows, columns, in, out]",
        operands[0].rank() == 3 ? "add a channel dimension with expand_dims(x, -1)" : "");
  const auto& p = options.padding;
  return apply1(Op::Convolution, operands,
                {{"window_strides", ir::Integers{options.stride[0], options.stride[1]}},
                 {"padding", ir::Integers{p[0][0], p[0][1], p[1][0], p[1][1]}},
                 {"lhs_dilation", ir::Integers{1, 1}},
                 {"rhs_dilation", ir::Integers{options.dilation[0], options.dilation[1]}},
                 {"window_reversal", ir::Integers{0, 0}},
                 {"input_batch_dimension", std::int64_t{0}},
                 {"input_feature_dimension", std::int64_t{3}},
                 {"input_spatial_dimensions", ir::Integers{1, 2}},
                 {"kernel_input_feature_dimension", std::int64_t{2}},
                 {"kernel_output_feature_dimension", std::int64_t{3}},
                 {"kernel_spatial_dimensions", ir::Integers{0, 1}},
                 {"output_batch_dimension", std::int64_t{0}},
                 {"output_feature_dimension", std::int64_t{3}},
                 {"output_spatial_dimensions", ir::Integers{1, 2}},
                 {"feature_group_count", options.groups},
                 {"batch_group_count", std::int64_t{1}}},
                x.location);
}

std::array<std::array<std::int64_t, 2>, 2> same_padding(std::int64_t rows, std::int64_t columns) {
  return {{{(rows - 1) / 2, rows / 2}, {(columns - 1) / 2, columns / 2}}};
}

namespace {
Array pool2d(Op monoid, const Operand& x, std::array<std::int64_t, 2> window, std::array<std::int64_t, 2> stride) {
  const Array a = x.as(x.dtype());
  const auto refuse = [&](const std::string& rule) {
    const Array given[] = {a};
    detail::throw_operand_error("pooling", x.location, given, rule, "");
  };
  if (a.rank() != 4) refuse("pooling takes images [batch, height, width, channels]");
  for (std::size_t d = 0; d < 2; ++d)
    if (window[d] < 1 || stride[d] < 1 || window[d] > a.shape(static_cast<std::int64_t>(d) + 1))
      refuse("a window of " + std::to_string(window[0]) + " x " + std::to_string(window[1]) + " with stride " +
             std::to_string(stride[0]) + " x " + std::to_string(stride[1]) + " does not fit");
  const Array operands[] = {a, detail::constant(ir::identity(monoid, a.dtype()), x.location)};
  return detail::apply(Op::ReduceWindow, operands,
                       {{"window_dimensions", ir::Integers{1, window[0], window[1], 1}},
                        {"window_strides", ir::Integers{1, stride[0], stride[1], 1}},
                        {"base_dilations", ir::Integers{1, 1, 1, 1}},
                        {"window_dilations", ir::Integers{1, 1, 1, 1}},
                        {"padding", ir::Integers(8, 0)}},
                       {ir::reducer(monoid, a.dtype())}, x.location)[0];
}
}  // namespace

Array max_pool2d(const Operand& x, std::array<std::int64_t, 2> window, std::array<std::int64_t, 2> stride) {
  return pool2d(Op::Maximum, x, window, stride);
}

Array avg_pool2d(const Operand& x, std::array<std::int64_t, 2> window, std::array<std::int64_t, 2> stride) {
  const detail::ModuleScope scope(x.location);
  return pool2d(Op::Add, x, window, stride) * (1.0 / static_cast<double>(window[0] * window[1]));
}

}  // namespace tessera
