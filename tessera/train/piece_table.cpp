// The table of pieces as array programs.
#include "tessera/train/piece_table.hpp"

#include <cmath>

namespace tessera::train {

PieceTable::PieceTable(const Key& key, std::int64_t pieces, std::int64_t width) : bias(zeros({pieces})) {
  vectors.table = nn::init::lecun_normal(key, {pieces, width}, width);
}

Array PieceTable::embed(const Array& pieces) const { return vectors(pieces) * std::sqrt(static_cast<float>(width())); }

Array PieceTable::logits(const Array& x) const { return vectors.logits(x) + bias; }

}  // namespace tessera::train
