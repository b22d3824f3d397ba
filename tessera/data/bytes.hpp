// Numbers in files, of either byte order. Used by the readers of data/.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace tessera::data {

template <std::unsigned_integral T>
T little_endian(const std::byte* from) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>((value << 8) | static_cast<T>(from[i]));
  return value;
}

template <std::unsigned_integral T>
T big_endian(const std::byte* from) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | static_cast<T>(from[i]));
  return value;
}

/// Appends `value` to a container of bytes, lowest byte first.
template <std::unsigned_integral T, class Container>
void append_little_endian(Container& to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    to.push_back(static_cast<typename Container::value_type>((value >> (8 * i)) & 0xff));
}

/// Reverses the bytes of each item of `size` bytes.
inline void reverse_items(std::byte* data, std::size_t bytes, std::size_t size) {
  if (size < 2) return;
  for (std::size_t i = 0; i + size <= bytes; i += size) std::reverse(data + i, data + i + size);
}

}  // namespace tessera::data
