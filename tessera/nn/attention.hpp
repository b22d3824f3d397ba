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

/// Attention in `heads` parts of the features, each with its own linear maps of queries, keys and values:
/// softmax(q k' / sqrt(features / heads)) v. What they find goes side by side through a last map (Vaswani et al.,
/// 2017).
struct MultiHeadAttention {
  struct Memory {
    Array keys, values;  ///< [batch, heads, time, features / heads]
    TESSERA_FIELDS(keys, values)
  };

  Linear query, key, value, out;
  std::int64_t heads = 1;
  TESSERA_FIELDS(query, key, value, out, heads)

  MultiHeadAttention() = default;
  /// Throws Error when the features are no multiple of the heads.
  MultiHeadAttention(const Key& key, std::int64_t features, std::int64_t heads,
                     std::source_location at = std::source_location::current());
  /// memory: [batch, time, features].
  [[nodiscard]] Memory project(const Operand& memory) const;
  /// q: [batch, steps, features]; mask: bool, [batch or 1, steps or 1, time], or empty. The context is [batch, steps,
  /// features]; the weights are [batch, heads, steps, time].
  Attended operator()(const Operand& q, const Memory& memory, const Array& mask = {}) const;
};

}  // namespace tessera::nn
