// The file of a SentencePiece model, read and written without trust: its loader aborts or reads past its arrays when
// the file is broken, so it is only ever given what format_piece_model wrote from pieces that were checked here. In:
// bytes. Out: the pieces. Used by data/vocabulary.cpp. The format is protocol buffers' (sentencepiece_model.proto).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/data/files.hpp"

namespace tessera::data {

/// How a sentence is cut: the likeliest way (Kudo, 2018) or by merges in their order (Sennrich et al., 2016).
enum class PieceKind : std::uint8_t { Unigram = 1, Bpe = 2 };

struct PieceModel {
  struct Piece {
    std::string text;
    float score;
  };
  PieceKind kind = PieceKind::Unigram;
  std::vector<Piece> pieces;  ///< those that were learned; the reserved ones come before them in the numbering
};

/// <pad> <unk> <s> </s> and the 256 bytes.
constexpr std::int32_t kReservedPieces = 260;
/// The text of a reserved piece, 0 <= id < kReservedPieces.
std::string reserved_piece(std::int32_t id);

/// The sign that pieces have for a space; it is a piece of every model.
constexpr std::string_view kSpacePiece = "\u2581";

/// The largest model file that is read.
constexpr std::uint64_t kMaxPieceModelBytes = std::uint64_t{16} << 20;

/// Throws Error "NAME: ..." when the bytes are no model, or one made in another way than ours: reserved pieces in
/// other places, characters normalised, no byte pieces.
PieceModel parse_piece_model(ByteView bytes, const std::string& name);
/// A file that every SentencePiece reads.
std::string format_piece_model(const PieceModel& model);

}  // namespace tessera::data
