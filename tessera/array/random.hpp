// Random numbers from explicit keys: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011). Element i of a draw depends on the key and on i alone, on every device.
#pragma once

#include <array>

#include "tessera/array/ops.hpp"
#include "tessera/array/tree.hpp"

namespace tessera {

/// A state of the generator: two words. Use a key once; `split` makes new ones.
struct Key {
  Buffer words;  ///< u32[2]
  TESSERA_FIELDS(words)

  Key() = default;
  explicit Key(std::uint64_t seed);
};

namespace detail {
std::vector<Key> split_key(const Key& key, std::int64_t count);
}

/// N independent keys.
template <std::size_t N>
std::array<Key, N> split(const Key& key) {
  std::array<Key, N> keys;
  const std::vector<Key> made = detail::split_key(key, N);
  for (std::size_t i = 0; i < N; ++i) keys[i] = made[i];
  return keys;
}
/// A key that depends on `key` and on a (traced) number.
Key fold_in(const Key& key, const Operand& number);

namespace random {

/// Uniform u32 words.
Array bits(const Key& key, const Shape& shape, std::source_location at = std::source_location::current());
/// Uniform in [low, high), f32 with 23 random bits.
Array uniform(const Key& key, const Shape& shape, double low = 0, double high = 1,
              std::source_location at = std::source_location::current());
/// Standard normal, f32 (Box-Muller).
Array normal(const Key& key, const Shape& shape, std::source_location at = std::source_location::current());
/// true with probability p.
Array bernoulli(const Key& key, double p, const Shape& shape,
                std::source_location at = std::source_location::current());
/// Uniform integers (i32) in [low, high); the bias is below (high - low) / 2^32.
Array integers(const Key& key, const Shape& shape, std::int32_t low, std::int32_t high,
               std::source_location at = std::source_location::current());
/// A random order of 0 .. n-1, i32[n], by a swap-or-not network (Hoang, Morris, Rogaway, 2012) of elementwise
/// operations: the element at a position depends on key and position alone.
Array permutation(const Key& key, std::int32_t n, std::source_location at = std::source_location::current());

}  // namespace random
}  // namespace tessera
