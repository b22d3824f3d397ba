// Threefry-2x32-20 as array operations, and the distributions.
#include "tessera/array/random.hpp"

#include <numbers>

#include "tessera/array/ops_common.hpp"

namespace tessera {
namespace {

using ir::Builder;
using ir::Op;
using ir::Value;

/// The generator as a program (key0, key1, counter0, counter1: u32 of one shape) -> (word0, word1).
ir::GraphPtr threefry_graph(const Shape& shape) {
  auto graph = std::make_shared<ir::Graph>("threefry2x32");
  Builder build{*graph};
  const TensorType type{DType::U32, shape};
  std::array<Value, 3> key{graph->parameter(type), graph->parameter(type), -1};
  Value x0 = graph->parameter(type);
  Value x1 = graph->parameter(type);
  const auto word = [&](std::uint32_t value) {
    const Value scalar = build.constant(Literal::full_integer({DType::U32, {}}, value));
    return shape.empty() ? scalar : build.broadcast_in_dim(scalar, shape, {});
  };
  const auto rotated = [&](Value x, std::uint32_t by) {
    return build.binary(Op::Or, build.binary(Op::ShiftLeft, x, word(by)),
                        build.binary(Op::ShiftRightLogical, x, word(32 - by)));
  };
  key[2] = build.binary(Op::Xor, build.binary(Op::Xor, key[0], key[1]), word(0x1bd11bdaU));
  constexpr std::uint32_t kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  x0 = build.add(x0, key[0]);
  x1 = build.add(x1, key[1]);
  for (std::uint32_t group = 0; group < 5; ++group) {
    for (const std::uint32_t rotation : kRotations[group % 2]) {
      x0 = build.add(x0, x1);
      x1 = build.binary(Op::Xor, rotated(x1, rotation), x0);
    }
    x0 = build.add(x0, key[(group + 1) % 3]);
    x1 = build.add(build.add(x1, key[(group + 2) % 3]), word(group + 1));
  }
  graph->results = {x0, x1};
  return graph;
}

std::array<Array, 2> threefry(const Key& key, const Array& counter0, const Array& counter1) {
  const Array words = key.words;
  const Array operands[] = {broadcast_to(words.at(0), counter0.shape()), broadcast_to(words.at(1), counter0.shape()),
                            counter0, counter1};
  const std::vector<Array> out = detail::apply(Op::Call, operands, {{"callee", std::string("threefry2x32")}},
                                               {threefry_graph(counter0.shape())}, {});
  return {out[0], out[1]};
}

/// Two words for each element of `shape`, counted row-major.
std::array<Array, 2> words_for(const Key& key, const Shape& shape) {
  if (detail::checked_shape(shape, {}) > std::int64_t{0xffffffff})
    detail::throw_usage({}, "a random draw is limited to 2^32 - 1 elements; " + to_string(shape) + " has more");
  Array counter = zeros(shape, DType::U32);
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] > 1) counter = counter + iota(shape, static_cast<std::int64_t>(d), DType::U32) * stride;
    stride *= shape[d];
  }
  return threefry(key, counter, zeros(shape, DType::U32));
}

/// [0, 1) from the upper 23 bits.
Array unit_interval(const Array& words) { return bitcast((words >> 9) | 0x3f800000, DType::F32) - 1.0F; }

Array half(const Array& pair, std::int64_t i) { return pair.at(i); }

}  // namespace

Key::Key(std::uint64_t seed)
    : words(Array::from<std::uint32_t>({2},
                                       {static_cast<std::uint32_t>(seed >> 32), static_cast<std::uint32_t>(seed)})) {}

namespace detail {

std::vector<Key> split_key(const Key& key, std::int64_t count) {
  const Array counter = arange(count, DType::U32);
  const auto [first, second] = threefry(key, counter, full({count}, 1, DType::U32));  // draws count in word 0 only
  std::vector<Key> keys(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    keys[static_cast<std::size_t>(i)].words = stack({half(first, i), half(second, i)});
  return keys;
}

}  // namespace detail

Key fold_in(const Key& key, const Operand& number) {
  const auto [first, second] = threefry(key, astype(number, DType::U32), full({}, 2, DType::U32));
  Key made;
  made.words = stack({first, second});
  return made;
}

namespace random {

Array bits(const Key& key, const Shape& shape, std::source_location at) {
  const detail::ModuleScope scope(at);
  return words_for(key, shape)[0];
}

Array uniform(const Key& key, const Shape& shape, double low, double high, std::source_location at) {
  const detail::ModuleScope scope(at);

  const Array unit = unit_interval(bits(key, shape));
  return low == 0 && high == 1 ? unit : unit * (high - low) + low;
}

Array normal(const Key& key, const Shape& shape, std::source_location at) {
  const detail::ModuleScope scope(at);

  const auto [first, second] = words_for(key, shape);
  const Array radius = sqrt(log(1.0F - unit_interval(first)) * -2.0F);  // 1 - u lies in (0, 1]
  return radius * cos(unit_interval(second) * (2 * std::numbers::pi));
}

Array bernoulli(const Key& key, double p, const Shape& shape, std::source_location at) {
  const detail::ModuleScope scope(at);
  return unit_interval(bits(key, shape)) < p;
}

Array integers(const Key& key, const Shape& shape, std::int32_t low, std::int32_t high, std::source_location at) {
  const detail::ModuleScope scope(at);

  if (high <= low)
    detail::throw_usage(
        at, "random::integers needs low < high, not " + std::to_string(low) + " and " + std::to_string(high));
  const Array wide = astype(bits(key, shape), DType::U64) * (static_cast<std::int64_t>(high) - low);
  return astype(wide >> 32, DType::I32) + low;
}

Array permutation(const Key& key, std::int32_t n, std::source_location at) {
  const detail::ModuleScope scope(at);

  if (n <= 0) detail::throw_usage(at, "a permutation needs at least one element");
  // Each round pairs position x with (k - x) mod n and swaps the pair on a coin that both members see alike.
  constexpr std::int64_t kRounds = 32;
  const Array offsets = bits(key, {kRounds}) % n;
  const Key coins = fold_in(key, n);
  Array x = arange(n, DType::U32);
  for (std::int64_t r = 0; r < kRounds; ++r) {
    const Array offset = offsets.at(r);
    const Array partner = (offset + (n - x)) % n;
    const Array coin = threefry(coins, maximum(x, partner), full({n}, static_cast<double>(r), DType::U32))[0];
    x = where((coin & 1) == 1, partner, x);
  }
  return astype(x, DType::I32);
}

}  // namespace random
}  // namespace tessera
