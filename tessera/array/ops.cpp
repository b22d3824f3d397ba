// Elementwise operations, constructors and shape operations on arrays: element types and shapes are matched here, then
// a primitive is applied. Reductions, products and indexing: ops_reduce.cpp, ops_index.cpp.
#include "tessera/array/ops.hpp"

#include <algorithm>

#include "tessera/array/ops_common.hpp"

namespace tessera {

using detail::apply1;
using ir::Op;

namespace detail {

Array broadcast(const Array& x, const Shape& shape, Location at) {
  if (x.shape() == shape) return x;
  ir::Integers dimensions;
  const std::int64_t offset = static_cast<std::int64_t>(shape.size()) - x.rank();
  for (std::int64_t d = 0; d < x.rank(); ++d) dimensions.push_back(d + offset);
  const Array operands[] = {x};
  return apply1(Op::BroadcastInDim, operands,
                {{"broadcast_dimensions", std::move(dimensions)}, {"shape", ir::Integers(shape)}}, at);
}

Array constant(Literal value, Location at) {
  if (Trace::current() == nullptr) return Array(value);
  return apply1(Op::Constant, {}, {{"value", std::move(value)}}, at);
}

Array convert(const Array& x, DType dtype, Location at) {
  if (x.dtype() == dtype) return x;
  const Array operands[] = {x};
  return apply1(Op::Convert, operands, {{"dtype", std::string(name(dtype))}}, at);
}

std::int64_t checked_axis(const std::string& operation, const Array& x, std::int64_t axis, Location at) {
  const std::int64_t positive = axis < 0 ? axis + x.rank() : axis;
  if (positive < 0 || positive >= x.rank()) {
    const Array operands[] = {x};
    throw_operand_error(
        operation, at, operands,
        "axis " + std::to_string(axis) + " does not exist: the operand has " + std::to_string(x.rank()) + " dimensions",
        "");
  }
  return positive;
}

namespace {

/// The common type of operands, where numbers adapt to arrays.
DType common_dtype(std::initializer_list<const Operand*> operands) {
  std::optional<DType> arrays;
  std::optional<DType> numbers;
  for (const Operand* o : operands) {
    auto& into = o->is_number ? numbers : arrays;
    into = into ? promote(*into, o->dtype()) : o->dtype();
  }
  if (!arrays) return *numbers;
  if (!numbers || is_float(*arrays)) return *arrays;
  if (is_float(*numbers)) return DType::F32;
  return *arrays == DType::Bool ? *numbers : *arrays;
}

}  // namespace

std::vector<Array> matched(const std::string& operation, std::initializer_list<const Operand*> operands, Location at,
                           std::optional<DType> wanted) {
  const DType dtype = wanted ? *wanted : common_dtype(operands);
  std::vector<Array> arrays;
  Shape shape;
  for (const Operand* o : operands) arrays.push_back(o->as(dtype));
  for (const Array& a : arrays) {
    const std::optional<Shape> together = broadcast_shapes(shape, a.shape());
    if (!together)
      throw_operand_error(operation, at, arrays,
                          "the shapes do not broadcast: aligned at the right, extents must be equal or 1",
                          "reshape or expand_dims one of them");
    shape = *together;
  }
  for (Array& a : arrays) a = broadcast(convert(a, dtype, at), shape, at);
  return arrays;
}

std::int64_t checked_shape(const Shape& shape, Location at) {
  try {
    return element_count(shape);
  } catch (const Error& error) {
    throw_usage(at, error.what());
  }
}

void check_integers(const std::string& operation, const Operand& x, const std::string& rule) {
  if (is_integer(x.dtype())) return;
  const Array operands[] = {x.as(x.dtype())};
  throw_operand_error(operation, x.location, operands, rule, "convert with astype");
}

Array float_operand(const Operand& x) {
  const DType dtype = x.dtype();
  return convert(x.as(is_float(dtype) ? dtype : DType::F32), is_float(dtype) ? dtype : DType::F32, x.location);
}

}  // namespace detail

namespace {

bool works_on_integers(Op op) {
  return op == Op::Abs || op == Op::Sign || op == Op::CountLeadingZeros || op == Op::Popcnt || op == Op::Negate ||
         op == Op::Not;
}

Array unary(Op op, const Operand& x) {
  const Array operands[] = {works_on_integers(op) ? x.as(x.dtype()) : detail::float_operand(x)};
  return apply1(op, operands, {}, x.location);
}

/// `true / 2` and integer arithmetic on bools happen in i32; And, Or, Xor, Maximum and Minimum have a meaning of their
/// own.
bool works_on_bools(Op op) {
  return op == Op::And || op == Op::Or || op == Op::Xor || op == Op::Maximum || op == Op::Minimum || op == Op::Add ||
         op == Op::Multiply;
}

Location location_of(const Operand& a, const Operand& b) { return a.location.known() ? a.location : b.location; }

Array binary(Op op, const Operand& a, const Operand& b) {
  const Location at = location_of(a, b);
  const std::string operation(ir::name(op));
  std::vector<Array> operands = detail::matched(operation, {&a, &b}, at);
  if (operands[0].dtype() == DType::Bool && !works_on_bools(op))
    for (Array& operand : operands) operand = detail::convert(operand, DType::I32, at);
  if ((op == Op::Power || op == Op::Atan2) && operands[0].dtype() == DType::Bool)
    for (Array& operand : operands) operand = detail::convert(operand, DType::F32, at);
  return apply1(op, operands, {}, at);
}

Array compare(const char* direction, const Operand& a, const Operand& b) {
  const Location at = location_of(a, b);
  const std::vector<Array> operands = detail::matched("compare", {&a, &b}, at);
  return apply1(Op::Compare, operands, {{"comparison_direction", std::string(direction)}}, at);
}

}  // namespace

#define TESSERA_DEFINE(function, op) \
  Array function(const Operand& x) { return unary(Op::op, x); }
TESSERA_UNARY_FUNCTIONS(TESSERA_DEFINE)
#undef TESSERA_DEFINE
#define TESSERA_DEFINE(function, op) \
  Array function(const Operand& a, const Operand& b) { return binary(Op::op, a, b); }
TESSERA_BINARY_FUNCTIONS(TESSERA_DEFINE)
#undef TESSERA_DEFINE
#define TESSERA_DEFINE(function, direction) \
  Array function(const Operand& a, const Operand& b) { return compare(direction, a, b); }
TESSERA_COMPARISONS(TESSERA_DEFINE)
#undef TESSERA_DEFINE

Array operator-(const Operand& x) { return unary(Op::Negate, x); }
Array operator~(const Operand& x) { return unary(Op::Not, x); }
Array operator!(const Operand& x) {
  return unary(Op::Not, x.dtype() == DType::Bool ? x : Operand(astype(x, DType::Bool)));
}

Array operator>>(const Operand& a, const Operand& b) {
  const Location at = location_of(a, b);
  const std::vector<Array> operands = detail::matched("shift_right", {&a, &b}, at);
  return apply1(is_signed_integer(operands[0].dtype()) ? Op::ShiftRightArithmetic : Op::ShiftRightLogical, operands, {},
                at);
}

Array relu(const Operand& x) {
  const detail::ModuleScope scope(x.location);
  const Array a = x.as(x.dtype());
  const Array zero = detail::broadcast(Operand(0).as(a.dtype()), a.shape(), x.location);
  const Array compared[] = {a, zero};
  const Array off = apply1(Op::Compare, compared, {{"comparison_direction", std::string("LE")}}, x.location);
  const Array selected[] = {off, zero, a};  // a NaN stays one
  return apply1(Op::Select, selected, {}, x.location);
}

Array where(const Operand& condition, const Operand& yes, const Operand& no) {
  const Location at = condition.location;
  std::vector<Array> branches = detail::matched("where", {&yes, &no}, at);
  Array predicate = detail::convert(condition.as(DType::Bool), DType::Bool, at);
  const std::optional<Shape> shape = broadcast_shapes(predicate.shape(), branches[0].shape());
  if (!shape) {
    const Array all[] = {predicate, branches[0], branches[1]};
    detail::throw_operand_error("where", at, all,
                                "the shapes do not broadcast: aligned at the right, extents must be equal or 1", "");
  }
  const Array operands[] = {detail::broadcast(predicate, *shape, at), detail::broadcast(branches[0], *shape, at),
                            detail::broadcast(branches[1], *shape, at)};
  return apply1(Op::Select, operands, {}, at);
}

Array clip(const Operand& x, const Operand& low, const Operand& high) {
  const std::vector<Array> all = detail::matched("clip", {&low, &x, &high}, x.location);
  return apply1(Op::Clamp, all, {}, x.location);
}

Array astype(const Operand& x, DType dtype) {
  return detail::convert(x.is_number ? x.as(dtype) : x.array, dtype, x.location);
}

Array bitcast(const Operand& x, DType dtype) {
  const Array operands[] = {x.as(x.dtype())};
  if (size_of(x.dtype()) != size_of(dtype))
    detail::throw_operand_error("bitcast", x.location, operands,
                                "elements of " + std::to_string(size_of(x.dtype())) + " bytes cannot become " +
                                    std::string(name(dtype)) + " of " + std::to_string(size_of(dtype)),
                                "");
  return apply1(Op::BitcastConvert, operands, {{"dtype", std::string(name(dtype))}}, x.location);
}

Array stop_gradient(const Operand& x) {
  const Array operands[] = {x.as(x.dtype())};
  auto identity = std::make_shared<ir::Graph>("stop_gradient");
  identity->results = {identity->parameter(operands[0].type())};
  return detail::apply(Op::Call, operands, {{"callee", std::string("stop_gradient")}, {"stop_gradient", true}},
                       {identity}, x.location)[0];
}

Array full(const Shape& shape, double value, DType dtype, std::source_location at) {
  detail::checked_shape(shape, at);
  return detail::broadcast(Operand(value, at).as(dtype), shape, at);
}
Array zeros(const Shape& shape, DType dtype, std::source_location at) { return full(shape, 0, dtype, at); }
Array ones(const Shape& shape, DType dtype, std::source_location at) { return full(shape, 1, dtype, at); }

namespace {
Array full_like(const Operand& x, double value) {
  const Array one = Operand(value, std::source_location{}).as(x.dtype());
  return detail::broadcast(one, x.as(x.dtype()).shape(), x.location);
}
}  // namespace
Array zeros_like(const Operand& x) { return full_like(x, 0); }
Array ones_like(const Operand& x) { return full_like(x, 1); }
Array arange(std::int64_t n, DType dtype, std::source_location at) { return iota({n}, 0, dtype, at); }

Array iota(const Shape& shape, std::int64_t axis, DType dtype, std::source_location at) {
  detail::checked_shape(shape, at);
  return apply1(Op::Iota, {},
                {{"iota_dimension", axis}, {"dtype", std::string(name(dtype))}, {"shape", ir::Integers(shape)}}, at);
}

Array one_hot(const Operand& x, std::int64_t classes, DType dtype) {
  const detail::ModuleScope scope(x.location);
  detail::check_integers("one_hot", x, "classes are integers");
  const Array labels = expand_dims(x, -1);
  Shape shape = labels.shape();
  shape.back() = classes;
  return astype(labels == iota(shape, labels.rank() - 1, labels.dtype()), dtype);
}

Array reshape(const Operand& x, const Shape& shape) {
  Array a = x.as(x.dtype());
  Shape target = shape;
  const auto unknown = std::find(target.begin(), target.end(), -1);
  if (unknown != target.end()) {
    *unknown = 1;
    const bool known = std::find(target.begin(), target.end(), -1) == target.end();
    const std::int64_t rest = known ? detail::checked_shape(target, x.location) : 0;
    if (!known || (rest == 0 ? a.size() != 0 : a.size() % rest != 0)) {
      const Array operands[] = {a};
      detail::throw_operand_error("reshape", x.location, operands,
                                  known ? std::to_string(a.size()) + " elements do not divide into " + to_string(shape)
                                        : "only one extent of " + to_string(shape) + " can be left open by -1",
                                  "");
    }
    *unknown = rest == 0 ? 0 : a.size() / rest;
  }
  if (a.shape() == target) return a;
  const Array operands[] = {a};
  return apply1(Op::Reshape, operands, {{"shape", ir::Integers(target)}}, x.location);
}

Array flatten(const Operand& x, std::int64_t first) {
  const Array a = x.as(x.dtype());
  if (a.rank() > 0 || first != 0) first = detail::checked_axis("flatten", a, first, x.location);
  Shape shape(a.shape().begin(), a.shape().begin() + first);
  const Shape merged(a.shape().begin() + static_cast<std::ptrdiff_t>(shape.size()), a.shape().end());
  shape.push_back(element_count(merged));
  return reshape(x, shape);
}

Array broadcast_to(const Operand& x, const Shape& shape) {
  const Array a = x.as(x.dtype());
  if (broadcast_shapes(a.shape(), shape) != shape) {
    const Array operands[] = {a};
    detail::throw_operand_error("broadcast_to", x.location, operands,
                                "the operand does not broadcast to " + to_string(shape), "");
  }
  return detail::broadcast(a, shape, x.location);
}

Array expand_dims(const Operand& x, std::int64_t axis) {
  const Array a = x.as(x.dtype());
  if (axis < 0) axis += a.rank() + 1;
  Shape shape = a.shape();
  if (axis < 0 || axis > a.rank()) {
    const Array operands[] = {a};
    detail::throw_operand_error(
        "expand_dims", x.location, operands,
        "the new axis lies in " + std::to_string(-a.rank() - 1) + " .. " + std::to_string(a.rank()), "");
  }
  shape.insert(shape.begin() + axis, 1);
  return reshape(x, shape);
}

Array squeeze(const Operand& x, std::int64_t axis) {
  const Array a = x.as(x.dtype());
  const std::int64_t at = detail::checked_axis("squeeze", a, axis, x.location);
  Shape shape = a.shape();
  if (shape[static_cast<std::size_t>(at)] != 1) {
    const Array operands[] = {a};
    detail::throw_operand_error("squeeze", x.location, operands,
                                "dimension " + std::to_string(at) + " has more than one element", "");
  }
  shape.erase(shape.begin() + at);
  return reshape(x, shape);
}

Array transpose(const Operand& x, const Axes& permutation) {
  const Array a = x.as(x.dtype());
  Axes order = permutation;
  if (order.empty())
    for (std::int64_t d = a.rank(); d-- > 0;) order.push_back(d);
  for (std::int64_t& d : order) d = d < 0 ? d + a.rank() : d;
  const Array operands[] = {a};
  return apply1(Op::Transpose, operands, {{"permutation", ir::Integers(order)}}, x.location);
}

Array swap_axes(const Operand& x, std::int64_t a, std::int64_t b) {
  const Array array = x.as(x.dtype());
  Axes order = ir::iota_integers(array.rank());
  std::swap(order[static_cast<std::size_t>(detail::checked_axis("swap_axes", array, a, x.location))],
            order[static_cast<std::size_t>(detail::checked_axis("swap_axes", array, b, x.location))]);
  return transpose(x, order);
}

Array move_axis(const Operand& x, std::int64_t from, std::int64_t to) {
  Array array = x.as(x.dtype());
  const std::int64_t source = detail::checked_axis("move_axis", array, from, x.location);
  const std::int64_t target = detail::checked_axis("move_axis", array, to, x.location);
  if (source == target) return array;
  Axes order = ir::iota_integers(array.rank());
  order.erase(order.begin() + source);
  order.insert(order.begin() + target, source);
  return transpose(x, order);
}

Array flip(const Operand& x, const Axes& axes) {
  const Array a = x.as(x.dtype());
  ir::Integers dimensions;
  for (const std::int64_t axis : axes) dimensions.push_back(detail::checked_axis("flip", a, axis, x.location));
  const Array operands[] = {a};
  return apply1(Op::Reverse, operands, {{"dimensions", std::move(dimensions)}}, x.location);
}

Array pad(const Operand& x, const std::vector<std::array<std::int64_t, 2>>& padding, const Operand& value) {
  const Array a = x.as(x.dtype());
  ir::Integers low;
  ir::Integers high;
  for (const auto& pair : padding) {
    low.push_back(pair[0]);
    high.push_back(pair[1]);
  }
  const Array operands[] = {a, detail::convert(value.as(a.dtype()), a.dtype(), x.location)};
  return apply1(
      Op::Pad, operands,
      {{"edge_padding_low", low}, {"edge_padding_high", high}, {"interior_padding", ir::Integers(padding.size(), 0)}},
      x.location);
}

Array concatenate(const std::vector<Array>& parts, std::int64_t axis, std::source_location at) {
  if (parts.empty()) throw Error(ErrorKind::Usage, to_string(Location(at)) + ": concatenate needs at least one array");
  DType dtype = parts[0].dtype();
  for (const Array& part : parts) dtype = promote(dtype, part.dtype());
  std::vector<Array> operands;
  for (const Array& part : parts) operands.push_back(detail::convert(part, dtype, at));
  return apply1(Op::Concatenate, operands, {{"dimension", detail::checked_axis("concatenate", parts[0], axis, at)}},
                at);
}

Array stack(const std::vector<Array>& parts, std::int64_t axis, std::source_location at) {
  for (const Array& part : parts)
    if (part.shape() != parts[0].shape())
      detail::throw_operand_error("stack", at, parts, "all parts have one shape",
                                  "concatenate joins different extents");
  std::vector<Array> expanded;
  for (const Array& part : parts) expanded.push_back(expand_dims(Operand(part, at), axis));
  return concatenate(expanded, axis, at);
}

std::vector<Array> split(const Operand& x, std::int64_t sections, std::int64_t axis) {
  const Array a = x.as(x.dtype());
  const std::int64_t dimension = detail::checked_axis("split", a, axis, x.location);
  const std::int64_t extent = a.shape(dimension);
  if (sections <= 0 || extent % sections != 0) {
    const Array operands[] = {a};
    detail::throw_operand_error(
        "split", x.location, operands,
        "dimension " + std::to_string(dimension) + " does not divide into " + std::to_string(sections) + " equal parts",
        "");
  }
  std::vector<Array> parts;
  for (std::int64_t s = 0; s < sections; ++s) {
    std::vector<Index> indices(static_cast<std::size_t>(dimension), everything);
    indices.emplace_back(slice(s * extent / sections, (s + 1) * extent / sections));
    parts.push_back(index(x, indices));
  }
  return parts;
}

}  // namespace tessera
