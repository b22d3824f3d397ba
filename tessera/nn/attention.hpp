// Attention over a memory, as the decoder of a translator uses it: what depends on the memory alone is computed once
// for all steps (`project`), the rest for each query. Queries are [batch, features] or, all steps at once, [batch,
// steps, features]; memories [batch, time, features]; a mask is bool [batch, time], see length_mask.
//
//   const Array keys = attention.project(memory), mask = nn::length_mask(lengths, memory.shape(1));
//   const auto [context, weights] = attention(query, keys, memory, mask);
#pragma once

#include <optional>

#include "tessera/nn/nn.hpp"
#include "tessera/nn/recurrent.hpp"

namespace tessera::nn {

struct Attended {
  Array context;  ///< [batch, (steps,) features]: the rows of the memory, weighted
  Array weights;  ///< [batch, (steps,) time], of sum 1; zero where the mask does not hold
  TESSERA_FIELDS(context, weights)
};

/// Weights from scores [batch, (steps,) time] over the positions where `mask` holds (empty: all). A row without any
/// position has weights of zero.
Attended attend(const Operand& scores, const Array& memory, const Array& mask = {});

/// score = v . tanh(m W + q U) (Bahdanau, Cho, Bengio, 2015).
struct AdditiveAttention {
  Array keys, query, score;  ///< W [memory, units], U [query, units], v [units]
  TESSERA_FIELDS(keys, query, score)

  AdditiveAttention() = default;
  AdditiveAttention(const Key& key, std::int64_t memory_features, std::int64_t query_features, std::int64_t units);
  /// m W: [batch, time, units].
  [[nodiscard]] Array project(const Operand& memory) const;
  Attended operator()(const Operand& q, const Array& projected, const Array& memory, const Array& mask = {}) const;
};

/// score = q . m, or q . m W ("general"; Luong, Pham, Manning, 2015); `scaled`: divided by sqrt(query features).
struct DotAttention {
  std::optional<Array> keys;  ///< W [memory, query], where there is one
  bool scaled = false;
  TESSERA_FIELDS(keys, scaled)

  DotAttention() = default;
  /// With a W.
  DotAttention(const Key& key, std::int64_t memory_features, std::int64_t query_features, bool scale = true);
  /// m W, or m: [batch, time, query].
  [[nodiscard]] Array project(const Operand& memory) const;
  Attended operator()(const Operand& q, const Array& projected, const Array& memory, const Array& mask = {}) const;
};

}  // namespace tessera::nn
