// Reading of arrays, and numbers as operands.
#include "tessera/array/array.hpp"

#include "tessera/array/ops_common.hpp"

namespace tessera {

Array::Array(const Literal& literal) : Array(detail::make_array(literal.type(), literal.storage())) {}

const TensorType& Array::type() const {
  if (empty()) throw Error(ErrorKind::Usage, "an empty Array has no type; give it a value first");
  return state_->type;
}

std::int64_t Array::shape(std::int64_t i) const {
  const std::int64_t at = i < 0 ? i + rank() : i;
  if (at < 0 || at >= rank())
    throw Error(ErrorKind::Usage,
                "dimension " + std::to_string(i) + " was asked of an Array of shape " + to_string(shape()));
  return shape()[static_cast<std::size_t>(at)];
}

namespace {
/// What is known of an Array that has no values yet: "f32[3], made at model.cpp:12".
std::string traced_text(const detail::ArrayState& state) {
  return to_string(state.type) + ", " +
         (state.made_at.known() ? "made at " + to_string(state.made_at) : std::string("an argument of it"));
}
}  // namespace

Literal Array::literal(std::source_location at) const {
  if (!empty() && state_->trace != nullptr)
    throw Error(ErrorKind::Usage,
                to_string(Location(at)) + ": the values of an Array inside a traced function (" + traced_text(*state_) +
                    ") are not known while it is traced\n  hint: return the Array and read it outside");
  return Literal(type(), detail::storage_of(*this));
}

Literal Array::single(std::source_location at) const {
  if (size() != 1)
    throw Error(ErrorKind::Usage,
                to_string(Location(at)) + ": item() needs an Array of one element, this is " + to_string(type()));
  return literal(at);
}

bool Array::truth() const {
  if (!empty() && state_->trace != nullptr)
    throw Error(ErrorKind::Usage, "a C++ condition depends on a value (" + traced_text(*state_) +
                                      ") that is not known while the function is traced\n  hint: use where(condition, "
                                      "a, b)");
  if (size() != 1)
    throw Error(ErrorKind::Usage, "a C++ condition needs an Array of one element, this is " + to_string(type()) +
                                      "\n  hint: use all(x) or any(x)");
  return literal().get_integer(0) != 0;
}

namespace {
template <class T>
Array scalar_of(T value) {
  Literal literal(TensorType{dtype_of<T>(), {}});
  literal.as<T>()[0] = value;
  return Array(literal);
}
}  // namespace

Array Array::scalar(bool value) { return scalar_of(value); }
Array Array::scalar(std::int32_t value) { return scalar_of(value); }
Array Array::scalar(std::int64_t value) { return scalar_of(value); }
Array Array::scalar(float value) { return scalar_of(value); }

DType Operand::dtype() const {
  if (!is_number) return array.dtype();
  if (number_is_bool) return DType::Bool;
  return number_is_float ? DType::F32 : DType::I32;
}

Array Operand::as(DType dtype) const {
  if (!is_number) return array;
  const TensorType type{dtype, {}};
  if (!number_is_float && is_integer(dtype)) {
    const int bits = static_cast<int>(size_of(dtype)) * 8;
    const bool fits = is_unsigned_integer(dtype) ? integer >= 0 && (bits == 64 || integer >> bits == 0)
                                                 : bits == 64 || (integer >= -(std::int64_t{1} << (bits - 1)) &&
                                                                  integer < std::int64_t{1} << (bits - 1));
    if (!fits)
      detail::throw_usage(location, "the number " + std::to_string(integer) + " does not fit " +
                                        std::string(name(dtype)) +
                                        ", the element type of the other operand\n  hint: "
                                        "convert that one with astype");
  }
  Literal value = number_is_float ? Literal::full(type, real) : Literal::full_integer(type, integer);
  return detail::constant(std::move(value), location);
}

}  // namespace tessera
