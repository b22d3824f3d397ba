// The short names of ir/build.hpp.
#include "tessera/ir/build.hpp"

#include <limits>
#include <numeric>

#include "tessera/ir/primitive.hpp"

namespace tessera::ir {

// The shape is a copy: nodes are added while it is used. NOLINTNEXTLINE(performance-unnecessary-value-param)
Value Builder::full(DType dtype, double value, Shape shape) {
  const Value scalar = constant(Literal::full({dtype, {}}, value));
  return shape.empty() ? scalar : broadcast_in_dim(scalar, shape, {});
}

Value Builder::iota(DType dtype, const Shape& shape, std::int64_t dimension) {
  Attributes attributes{
      {"iota_dimension", dimension}, {"dtype", std::string(tessera::name(dtype))}, {"shape", Integers(shape)}};
  return graph.add1(Op::Iota, {}, std::move(attributes), {}, location);
}

Value Builder::compare(Value a, Value b, const char* direction) {
  return graph.add1(Op::Compare, {a, b}, {{"comparison_direction", std::string(direction)}}, {}, location);
}

Value Builder::convert(Value a, DType dtype) {
  if (this->dtype(a) == dtype) return a;
  return graph.add1(Op::Convert, {a}, {{"dtype", std::string(tessera::name(dtype))}}, {}, location);
}

Value Builder::bitcast_convert(Value a, DType dtype) {
  return graph.add1(Op::BitcastConvert, {a}, {{"dtype", std::string(tessera::name(dtype))}}, {}, location);
}

Value Builder::broadcast_in_dim(Value a, const Shape& shape, Integers dimensions) {
  return graph.add1(Op::BroadcastInDim, {a},
                    {{"broadcast_dimensions", std::move(dimensions)}, {"shape", Integers(shape)}}, {}, location);
}

Value Builder::broadcast_to(Value a, const Shape& target) {
  if (shape(a) == target) return a;
  const auto offset = static_cast<std::int64_t>(target.size() - shape(a).size());
  Integers dimensions = iota_integers(type(a).rank());
  for (auto& d : dimensions) d += offset;
  return broadcast_in_dim(a, target, dimensions);
}

Value Builder::reshape(Value a, const Shape& target) {
  if (shape(a) == target) return a;
  return graph.add1(Op::Reshape, {a}, {{"shape", Integers(target)}}, {}, location);
}

Value Builder::transpose(Value a, const Integers& permutation) {
  if (permutation == iota_integers(type(a).rank())) return a;
  return graph.add1(Op::Transpose, {a}, {{"permutation", permutation}}, {}, location);
}

Value Builder::slice(Value a, Integers start, Integers limit, Integers strides) {
  if (strides.empty()) strides.assign(start.size(), 1);
  Attributes attributes{
      {"start_indices", std::move(start)}, {"limit_indices", std::move(limit)}, {"strides", std::move(strides)}};
  return graph.add1(Op::Slice, {a}, std::move(attributes), {}, location);
}

Value Builder::pad(Value a, Value value, Integers low, Integers high, Integers interior) {
  Attributes attributes{{"edge_padding_low", std::move(low)},
                        {"edge_padding_high", std::move(high)},
                        {"interior_padding", std::move(interior)}};
  return graph.add1(Op::Pad, {a, value}, std::move(attributes), {}, location);
}

Value Builder::reverse(Value a, Integers dimensions) {
  return graph.add1(Op::Reverse, {a}, {{"dimensions", std::move(dimensions)}}, {}, location);
}

Value Builder::concatenate(Values parts, std::int64_t dimension) {
  if (parts.size() == 1) return parts[0];
  return graph.add1(Op::Concatenate, std::move(parts), {{"dimension", dimension}}, {}, location);
}

Value Builder::reduce(Op monoid, Value a, Integers dimensions) {
  const DType type = dtype(a);
  const Value initial = constant(identity(monoid, type));
  return graph.add1(Op::Reduce, {a, initial}, {{"dimensions", std::move(dimensions)}}, {reducer(monoid, type)},
                    location);
}

Value Builder::dot_general(Value a, Value b, const DotDimensions& d, std::optional<DType> result) {
  Attributes attributes{{"lhs_batching_dimensions", d.lhs_batch},
                        {"rhs_batching_dimensions", d.rhs_batch},
                        {"lhs_contracting_dimensions", d.lhs_contracting},
                        {"rhs_contracting_dimensions", d.rhs_contracting}};
  if (result) attributes.set("dtype", std::string(tessera::name(*result)));
  return graph.add1(Op::DotGeneral, {a, b}, std::move(attributes), {}, location);
}

Literal identity(Op monoid, DType dtype) {
  const TensorType scalar{dtype, {}};
  const auto infinity = std::numeric_limits<double>::infinity();
  const auto limit = [&](bool highest) {
    if (is_float(dtype)) return Literal::full(scalar, highest ? infinity : -infinity);
    return dispatch(dtype, [&]<class T>(std::type_identity<T>) {
      if constexpr (std::is_integral_v<T>)
        return Literal::full_integer(
            scalar, static_cast<std::int64_t>(highest ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min()));
      else
        return Literal(scalar);
    });
  };
  switch (monoid) {
    case Op::Add:
    case Op::Or:
    case Op::Xor: return Literal::full(scalar, 0);
    case Op::Multiply: return Literal::full(scalar, 1);
    case Op::And: return dtype == DType::Bool ? Literal::full(scalar, 1) : Literal::full_integer(scalar, -1);
    case Op::Maximum: return limit(false);
    case Op::Minimum: return limit(true);
    default:
      throw Error(ErrorKind::Usage,
                  std::string(name(monoid)) + " is not a reduction that Tessera knows an identity of");
  }
}

GraphPtr reducer(Op monoid, DType dtype) {
  auto region = std::make_shared<Graph>(std::string(name(monoid)));
  const Value a = region->parameter({dtype, {}});
  const Value b = region->parameter({dtype, {}});
  region->results = {region->add1(monoid, {a, b})};
  return region;
}

std::optional<Op> match_monoid(const Graph& region) {
  if (region.parameters.size() != 2 || region.nodes.size() != 1 || region.results.size() != 1) return std::nullopt;
  const Node& node = region.nodes[0];
  if (node.results != region.results || node.operands.size() != 2) return std::nullopt;
  const bool straight = node.operands == region.parameters;
  const bool swapped = node.operands[0] == region.parameters[1] && node.operands[1] == region.parameters[0];
  switch (node.op) {
    case Op::Add:
    case Op::Multiply:
    case Op::Maximum:
    case Op::Minimum:
    case Op::And:
    case Op::Or:
    case Op::Xor: return straight || swapped ? std::optional(node.op) : std::nullopt;
    default: return std::nullopt;
  }
}

Integers iota_integers(std::int64_t n) {
  Integers list(static_cast<std::size_t>(n));
  std::iota(list.begin(), list.end(), 0);
  return list;
}

}  // namespace tessera::ir
