// What the files that implement array/ops.hpp share.
#pragma once

#include <optional>

#include "tessera/array/array.hpp"
#include "tessera/array/trace.hpp"
#include "tessera/ir/build.hpp"

namespace tessera::detail {

/// NumPy broadcasting to `shape`, which must fit.
Array broadcast(const Array& x, const Shape& shape, Location at);
/// A constant of the open trace, or a concrete array.
Array constant(Literal value, Location at);
Array convert(const Array& x, DType dtype, Location at);
/// A non-negative axis of x; throws Error when there is no such axis.
std::int64_t checked_axis(const std::string& operation, const Array& x, std::int64_t axis, Location at);
/// The number of elements of a shape that a person gave; throws Error where it has a negative extent or too many.
std::int64_t checked_shape(const Shape& shape, Location at);
/// Throws Error with this rule unless x has integer elements.
void check_integers(const std::string& operation, const Operand& x, const std::string& rule);
/// Operands of one element type (`wanted`, or what they promote to) and one shape.
std::vector<Array> matched(const std::string& operation, std::initializer_list<const Operand*> operands, Location at,
                           std::optional<DType> wanted = {});
/// The operand, integers and bools converted to f32.
Array float_operand(const Operand& x);

}  // namespace tessera::detail
