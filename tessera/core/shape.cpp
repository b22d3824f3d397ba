// Checked arithmetic on shapes.
#include "tessera/core/shape.hpp"

#include <algorithm>

#include "tessera/core/error.hpp"

namespace tessera {
namespace {
constexpr std::int64_t kLargest = std::int64_t{1} << 62;
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw Error("the shape " + to_string(shape) + " has a negative extent");
    if (extent == 0)
      empty = true;
    else if (__builtin_mul_overflow(count, extent, &count) || count > kLargest)
      throw Error("the shape " + to_string(shape) + " has more than 2^62 elements");
  }
  return empty ? 0 : count;
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::optional<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

std::size_t byte_size(const TensorType& type) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(element_count(type.shape), static_cast<std::int64_t>(size_of(type.dtype)), &bytes) ||
      bytes > kLargest)
    throw Error("a tensor " + to_string(type) + " is larger than 2^62 bytes");
  return static_cast<std::size_t>(bytes);
}

std::string to_string(const TensorType& type) { return std::string(name(type.dtype)) + to_string(type.shape); }

}  // namespace tessera
