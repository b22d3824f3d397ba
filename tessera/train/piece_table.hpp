// One table for the pieces of both languages: it embeds them, and scores the next one (Press and Wolf, 2017).
#pragma once

#include "tessera/nn/nn.hpp"

namespace tessera::train {

struct PieceTable {
  nn::Embedding vectors;
  Array bias;  ///< [pieces]
  TESSERA_FIELDS(vectors, bias)

  PieceTable() = default;
  PieceTable(const Key& key, std::int64_t pieces, std::int64_t width);
  [[nodiscard]] std::int64_t width() const { return vectors.table.shape(1); }
  /// i32 [...] -> [..., width], of about unit variance.
  [[nodiscard]] Array embed(const Array& pieces) const;
  /// [..., width] -> the scores of all pieces, [..., pieces].
  [[nodiscard]] Array logits(const Array& x) const;
};

}  // namespace tessera::train
