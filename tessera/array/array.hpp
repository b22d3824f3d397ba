// Array: what a person holds. A value with type and shape, either in memory or a name inside a program being traced.
// Operations are in array/ops.hpp, transforms in array/transforms.hpp and array/jit.hpp.
#pragma once

#include <concepts>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/backend.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/literal.hpp"

namespace tessera {

namespace detail {
struct ArrayState;
class Trace;
}  // namespace detail
struct Position;

template <class T>
concept Scalar = std::is_arithmetic_v<T>;

/// A tensor with value semantics: copies are cheap and share memory that nothing changes behind their back.
/// A default-constructed Array is empty: it has no type, and only assignment makes sense.
class Array {
 public:
  Array() = default;
  /// A scalar: bool, i32 (i64 for 64-bit integers), or f32 for floating-point values.
  template <Scalar T>
  Array(T value) : Array(scalar(value)) {}  // NOLINT(google-explicit-constructor)
  /// The values of a host tensor; shares its memory, which nobody may change afterwards.
  explicit Array(const Literal& literal);

  /// Row-major values of `shape`.
  template <class T>
  static Array from(const Shape& shape, const std::vector<T>& values) {
    return Array(Literal::from(shape, values));
  }

  [[nodiscard]] bool empty() const { return state_ == nullptr; }
  [[nodiscard]] const TensorType& type() const;
  [[nodiscard]] const Shape& shape() const { return type().shape; }
  /// Extent of dimension i; negative i counts from the end.
  [[nodiscard]] std::int64_t shape(std::int64_t i) const;
  [[nodiscard]] std::int64_t rank() const { return type().rank(); }
  [[nodiscard]] std::int64_t size() const { return element_count(shape()); }
  [[nodiscard]] DType dtype() const { return type().dtype; }

  /// The values on the host. Waits for them; an error when the Array is a name inside a traced function.
  [[nodiscard]] Literal literal(std::source_location at = std::source_location::current()) const;
  /// The one element of an Array of size 1, converted.
  template <Scalar T>
  [[nodiscard]] T item(std::source_location at = std::source_location::current()) const {
    const Literal values = single(at);
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(values.get_double(0));
    else
      return static_cast<T>(values.get_integer(0));
  }
  /// All elements, row-major; T must be the type that stores dtype().
  template <class T>
  [[nodiscard]] std::vector<T> to_vector(std::source_location at = std::source_location::current()) const {
    const Literal values = literal(at);
    const auto view = values.template as<T>();
    return {view.begin(), view.end()};
  }
  /// Deciding on a value: fine outside traced functions, an error with a hint inside.
  explicit operator bool() const { return truth(); }

  /// Elements, sub-arrays: `x.at(i)`, `x.at(slice(0, 3), everything, -1)`; see Position in array/ops.hpp.
  template <class... I>
  [[nodiscard]] Array at(const Position& first, const I&... others) const;

  [[nodiscard]] const std::shared_ptr<detail::ArrayState>& state() const { return state_; }
  explicit Array(std::shared_ptr<detail::ArrayState> state) : state_(std::move(state)) {}

 private:
  static Array scalar(bool value);
  static Array scalar(std::int32_t value);
  static Array scalar(std::int64_t value);
  static Array scalar(float value);
  template <Scalar T>
  static Array scalar(T value) {
    if constexpr (std::is_floating_point_v<T>)
      return scalar(static_cast<float>(value));
    else if constexpr (sizeof(T) == 8)
      return scalar(static_cast<std::int64_t>(value));
    else
      return scalar(static_cast<std::int32_t>(value));
  }
  [[nodiscard]] Literal single(std::source_location at) const;
  [[nodiscard]] bool truth() const;

  std::shared_ptr<detail::ArrayState> state_;
};

/// A leaf of a model that is saved and updated, but neither differentiated nor optimized: running statistics, moments,
/// key streams.
struct Buffer {
  Array value;

  Buffer() = default;
  Buffer(Array array) : value(std::move(array)) {}  // NOLINT(google-explicit-constructor)
  operator const Array&() const { return value; }   // NOLINT(google-explicit-constructor)
};

/// What public operations take: an Array or a C++ number, with the caller's line. A number adapts its element type to
/// the other operand; an integer that this type cannot hold is an error.
class Operand {
 public:
  Operand(const Array& a, std::source_location at = std::source_location::current())  // NOLINT
      : array(a), location(at) {}
  Operand(const Buffer& b, std::source_location at = std::source_location::current())  // NOLINT
      : array(b.value), location(at) {}
  template <Scalar T>
  Operand(T value, std::source_location at = std::source_location::current())  // NOLINT
      : location(at),
        is_number(true),
        number_is_float(std::is_floating_point_v<T>),
        number_is_bool(std::is_same_v<T, bool>) {
    if constexpr (std::is_floating_point_v<T>)
      real = static_cast<double>(value);
    else
      integer = static_cast<std::int64_t>(value);
  }

  /// The operand as an Array; a number takes `dtype`.
  [[nodiscard]] Array as(DType dtype) const;
  /// A number's own type: bool, i32 or f32.
  [[nodiscard]] DType dtype() const;

  Array array;
  Location location;
  bool is_number = false, number_is_float = false, number_is_bool = false;
  double real = 0;
  std::int64_t integer = 0;
};

// Where and how programs run from now on, in this thread. Part of every cache key.

/// "cpu", "reference", "null:cpu", ... Throws Error (Unsupported) when it is not to be had.
void set_default_device(const std::string& name);
[[nodiscard]] Device default_device();
/// 0: as many as the machine grants. Throws Error (Usage) for a negative number.
void set_default_threads(int threads);
[[nodiscard]] int default_threads();

}  // namespace tessera
