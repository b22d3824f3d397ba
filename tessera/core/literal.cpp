// Element access of host tensors.
#include "tessera/core/literal.hpp"

#include <cstring>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera {
namespace {

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, f16> || std::is_same_v<From, bf16>)
    return convert<To>(static_cast<float>(value));
  else if constexpr (std::is_same_v<To, f16> || std::is_same_v<To, bf16>)
    return To(static_cast<float>(value));
  else
    return static_cast<To>(value);
}

}  // namespace

Literal Literal::full(const TensorType& type, double value) {
  Literal literal(type);
  for (std::int64_t i = 0, n = literal.size(); i < n; ++i) literal.set_double(i, value);
  return literal;
}

Literal Literal::full_integer(const TensorType& type, std::int64_t value) {
  Literal literal(type);
  for (std::int64_t i = 0, n = literal.size(); i < n; ++i) literal.set_integer(i, value);
  return literal;
}

double Literal::get_double(std::int64_t i) const {
  return dispatch(
      dtype(), [&]<class T>(std::type_identity<T>) { return convert<double>(reinterpret_cast<const T*>(data())[i]); });
}

std::int64_t Literal::get_integer(std::int64_t i) const {
  return dispatch(dtype(), [&]<class T>(std::type_identity<T>) {
    return convert<std::int64_t>(reinterpret_cast<const T*>(data())[i]);
  });
}

void Literal::set_double(std::int64_t i, double value) {
  dispatch(dtype(), [&]<class T>(std::type_identity<T>) { reinterpret_cast<T*>(data())[i] = convert<T>(value); });
}

void Literal::set_integer(std::int64_t i, std::int64_t value) {
  dispatch(dtype(), [&]<class T>(std::type_identity<T>) { reinterpret_cast<T*>(data())[i] = convert<T>(value); });
}

bool Literal::identical(const Literal& other) const {
  return type_ == other.type_ && std::memcmp(data(), other.data(), bytes()) == 0;
}

bool Literal::is_splat() const {
  const std::size_t item = size_of(dtype());
  return bytes() <= item || std::memcmp(data(), data() + item, bytes() - item) == 0;
}

void Literal::check_type(DType asked) const {
  if (asked != dtype())
    throw Error(ErrorKind::Usage,
                "values of type " + std::string(name(dtype())) + " were read as " + std::string(name(asked)));
}

void Literal::check_count(std::size_t count) const {
  if (static_cast<std::int64_t>(count) != size())
    throw Error(ErrorKind::Usage, std::to_string(count) + " values were given for the shape " + to_string(shape()));
}

}  // namespace tessera
