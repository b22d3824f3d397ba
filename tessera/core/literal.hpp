// A tensor on the host with its values at hand: constants of a program, what files hold, what the interpreter computes.
#pragma once

#include <span>
#include <vector>

#include "tessera/core/shape.hpp"
#include "tessera/core/storage.hpp"

namespace tessera {

/// Row-major values of one TensorType in host memory. Copies share the memory.
class Literal {
 public:
  Literal() : Literal(TensorType{}) {}
  /// Uninitialised values.
  explicit Literal(TensorType type) : type_(std::move(type)), storage_(allocate_host(byte_size(type_))) {}
  /// Shares host memory; what lies on a device is waited for and copied.
  Literal(TensorType type, StoragePtr storage) : type_(std::move(type)), storage_(to_host(std::move(storage))) {}

  /// `value` converted to `dtype`, everywhere.
  static Literal full(const TensorType& type, double value);
  static Literal full_integer(const TensorType& type, std::int64_t value);
  /// Values in row-major order; as many as the shape has.
  template <class T>
  static Literal from(const Shape& shape, const std::vector<T>& values) {
    Literal literal(TensorType{dtype_of<T>(), shape});
    literal.check_count(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) literal.template as<T>()[i] = values[i];
    return literal;
  }

  [[nodiscard]] const TensorType& type() const { return type_; }
  [[nodiscard]] DType dtype() const { return type_.dtype; }
  [[nodiscard]] const Shape& shape() const { return type_.shape; }
  [[nodiscard]] std::int64_t size() const { return element_count(type_.shape); }
  [[nodiscard]] std::byte* data() const { return storage_->data(); }
  [[nodiscard]] std::size_t bytes() const { return byte_size(type_); }
  [[nodiscard]] const StoragePtr& storage() const { return storage_; }

  /// The values as T, which must be the type that stores `dtype()`.
  template <class T>
  [[nodiscard]] std::span<T> as() const {
    check_type(dtype_of<T>());
    return {reinterpret_cast<T*>(data()), static_cast<std::size_t>(size())};
  }
  /// Element `i` (row-major), converted.
  [[nodiscard]] double get_double(std::int64_t i) const;
  [[nodiscard]] std::int64_t get_integer(std::int64_t i) const;
  void set_double(std::int64_t i, double value);
  void set_integer(std::int64_t i, std::int64_t value);
  /// Same type and the same bits.
  [[nodiscard]] bool identical(const Literal& other) const;
  /// True when every element has the same bits.
  [[nodiscard]] bool is_splat() const;

 private:
  void check_type(DType asked) const;
  void check_count(std::size_t count) const;
  TensorType type_;
  StoragePtr storage_;
};

}  // namespace tessera
