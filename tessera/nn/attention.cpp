// Attention as array programs.
#include "tessera/nn/attention.hpp"

#include <fmt/format.h>

#include <cmath>

namespace tessera::nn {

using tessera::detail::ModuleScope;
using tessera::detail::throw_operand_error;
using tessera::detail::throw_usage;

namespace {

Array uniform_vector(const Key& key, std::int64_t units) {
  const double bound = 1 / std::sqrt(static_cast<double>(units));
  return random::uniform(key, {units}, -bound, bound);
}

void check_memory(const char* name, const Array& memory, std::int64_t features, Location at) {
  if (memory.rank() == 3 && memory.shape(2) == features) return;
  const Array operands[] = {memory};
  throw_operand_error(name, at, operands, fmt::format("this layer takes a memory [batch, time, {}]", features), "");
}

/// q is [batch, (steps,) features], and keys [batch, time, ...].
void check_query(const char* name, const Array& q, const Array& keys, std::int64_t features, Location at) {
  if ((q.rank() == 2 || q.rank() == 3) && keys.rank() == 3 && q.shape(-1) == features && q.shape(0) == keys.shape(0))
    return;
  const Array operands[] = {q, keys};
  throw_operand_error(name, at, operands,
                      fmt::format("queries are [batch, {0}] or [batch, steps, {0}], keys [batch, time, n]", features),
                      "the keys are what project gives");
}

/// Softmax over what is `allowed`; a row where nothing is has weights of zero.
Array masked_softmax(const Array& scores, const Array& allowed) {
  // Not minus infinity: such a row stays finite.
  const double low = scores.dtype() == DType::F16 ? -6e4 : -1e30;
  return where(allowed, softmax(where(allowed, scores, low)), 0);
}

/// a [batch, (steps,) k] times b [batch, k, n].
Array rows_times(const Array& a, const Array& b) {
  return a.rank() == 3 ? matmul(a, b) : squeeze(matmul(expand_dims(a, 1), b), 1);
}

}  // namespace

Attended attend(const Operand& scores, const Array& memory, const Array& mask) {
  const ModuleScope scope(scores.location);
  const Array given = scores.as(scores.dtype());
  const bool fits = (given.rank() == 2 || given.rank() == 3) && memory.rank() == 3 &&
                    given.shape(0) == memory.shape(0) && given.shape(-1) == memory.shape(1);
  if (!fits || (!mask.empty() && mask.type() != TensorType{DType::Bool, {memory.shape(0), memory.shape(1)}})) {
    const Array operands[] = {given, memory, mask};
    throw_operand_error(
        "attend", scores.location, std::span(operands).first(mask.empty() ? 2 : 3),
        "scores are [batch, (steps,) time], a memory [batch, time, features], a mask bool [batch, time]",
        "length_mask makes a mask from lengths");
  }
  const Array weights =
      mask.empty() ? softmax(given) : masked_softmax(given, given.rank() == 3 ? expand_dims(mask, 1) : mask);
  return {rows_times(weights, memory), weights};
}

AdditiveAttention::AdditiveAttention(const Key& key, std::int64_t memory_features, std::int64_t query_features,
                                     std::int64_t units) {
  const auto k = split<3>(key);
  keys = init::glorot_uniform(k[0], {memory_features, units}, memory_features, units);
  query = init::glorot_uniform(k[1], {query_features, units}, query_features, units);
  score = uniform_vector(k[2], units);
}

Array AdditiveAttention::project(const Operand& memory) const {
  const ModuleScope scope(memory.location);
  const Array m = memory.as(memory.dtype());
  check_memory("AdditiveAttention", m, keys.shape(0), memory.location);
  return matmul(m, keys);
}

Attended AdditiveAttention::operator()(const Operand& q, const Array& projected, const Array& memory,
                                       const Array& mask) const {
  const ModuleScope scope(q.location);
  const Array asked = q.as(q.dtype());
  check_query("AdditiveAttention", asked, projected, query.shape(0), q.location);
  const Array queries = expand_dims(matmul(asked, query), -2);
  const Array all_keys = asked.rank() == 3 ? expand_dims(projected, 1) : projected;
  return attend(sum(tanh(all_keys + queries) * score, {-1}), memory, mask);
}

DotAttention::DotAttention(const Key& key, std::int64_t memory_features, std::int64_t query_features, bool scale)
    : keys(init::glorot_uniform(key, {memory_features, query_features}, memory_features, query_features)),
      scaled(scale) {}

Array DotAttention::project(const Operand& memory) const {
  const ModuleScope scope(memory.location);
  Array m = memory.as(memory.dtype());
  if (!keys) return m;
  check_memory("DotAttention", m, keys->shape(0), memory.location);
  return matmul(m, *keys);
}

Attended DotAttention::operator()(const Operand& q, const Array& projected, const Array& memory,
                                  const Array& mask) const {
  const ModuleScope scope(q.location);
  Array asked = q.as(q.dtype());
  check_query("DotAttention", asked, projected, projected.rank() == 3 ? projected.shape(2) : 0, q.location);
  if (scaled) asked = asked * (1 / std::sqrt(static_cast<double>(asked.shape(-1))));
  return attend(rows_times(asked, swap_axes(projected, 1, 2)), memory, mask);
}

MultiHeadAttention::MultiHeadAttention(const Key& seed, std::int64_t features, std::int64_t parts,
                                       std::source_location at)
    : heads(parts) {
  if (features < 1 || parts < 1 || features % parts != 0)
    throw_usage(at, fmt::format("{} features in {} heads: the features are a multiple of the heads", features, parts));
  const auto k = split<4>(seed);
  query = {k[0], features, features};
  key = {k[1], features, features};
  value = {k[2], features, features};
  out = {k[3], features, features};
}

namespace {

/// [batch, time, features] -> [batch, heads, time, features / heads].
Array heads_apart(const Array& x, std::int64_t heads) {
  return swap_axes(reshape(x, {x.shape(0), x.shape(1), heads, x.shape(2) / heads}), 1, 2);
}

}  // namespace

MultiHeadAttention::Memory MultiHeadAttention::project(const Operand& memory) const {
  const ModuleScope scope(memory.location);
  const Array m = memory.as(memory.dtype());
  check_memory("MultiHeadAttention", m, key.weights.shape(0), memory.location);
  return {heads_apart(key(m), heads), heads_apart(value(m), heads)};
}

Attended MultiHeadAttention::operator()(const Operand& q, const Memory& memory, const Array& mask) const {
  const ModuleScope scope(q.location);
  const Array asked = q.as(q.dtype());
  const std::int64_t features = query.weights.shape(0);
  if (asked.rank() != 3 || asked.shape(2) != features || memory.keys.rank() != 4 ||
      memory.keys.shape(0) != asked.shape(0)) {
    const Array operands[] = {asked, memory.keys};
    throw_operand_error("MultiHeadAttention", q.location, operands,
                        fmt::format("queries are [batch, steps, {}], keys [batch, heads, time, n]", features),
                        "the memory is what project gives");
  }
  const Array scaled = query(asked) * (1 / std::sqrt(static_cast<double>(memory.keys.shape(3))));
  const Array scores = matmul(heads_apart(scaled, heads), swap_axes(memory.keys, 2, 3));
  const Array weights = mask.empty() ? softmax(scores) : masked_softmax(scores, expand_dims(mask, 1));
  const Array found = swap_axes(matmul(weights, memory.values), 1, 2);
  return {out(reshape(found, asked.shape())), weights};
}

}  // namespace tessera::nn
