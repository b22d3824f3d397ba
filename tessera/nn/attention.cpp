// Attention as array programs.
#include "tessera/nn/attention.hpp"

#include <fmt/format.h>

#include <cmath>

namespace tessera::nn {

using tessera::detail::ModuleScope;
using tessera::detail::throw_operand_error;

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
  Array weights;
  if (mask.empty()) {
    weights = softmax(given);
  } else {
    const Array allowed = given.rank() == 3 ? expand_dims(mask, 1) : mask;
    // Not minus infinity: a row where nothing is allowed stays finite.
    const double low = given.dtype() == DType::F16 ? -6e4 : -1e30;
    weights = where(allowed, softmax(where(allowed, given, low)), 0);
  }
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

}  // namespace tessera::nn
