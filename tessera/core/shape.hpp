// Shapes and types of whole tensors, with checked sizes.
// Read next: core/storage.hpp (memory), core/literal.hpp (a tensor on the host).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/dtype.hpp"

namespace tessera {

/// Extents of the dimensions, outermost first, row-major in memory. A scalar has none.
using Shape = std::vector<std::int64_t>;

/// Number of elements. Throws Error when an extent is negative or the product exceeds 2^62.
std::int64_t element_count(const Shape& shape);
/// Strides of a row-major tensor, in elements.
std::vector<std::int64_t> row_major_strides(const Shape& shape);
/// "[128, 10]".
std::string to_string(const Shape& shape);
/// NumPy's broadcasting of two shapes; empty when they do not fit.
std::optional<Shape> broadcast_shapes(const Shape& a, const Shape& b);

/// Element type and shape: all that is known of a value when a program is traced.
struct TensorType {
  DType dtype = DType::F32;
  Shape shape;

  bool operator==(const TensorType&) const = default;
  [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(shape.size()); }
};

/// Size in memory; throws Error when it does not fit 62 bits.
std::size_t byte_size(const TensorType& type);
/// "f32[128, 10]", the form of messages.
std::string to_string(const TensorType& type);

}  // namespace tessera
