// Protocol buffers by hand, as much of them as a SentencePiece model needs.
#include "tessera/data/piece_model.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <unordered_set>

#include "tessera/data/bytes.hpp"
#include "tessera/data/utf8.hpp"

namespace tessera::data {
namespace {

constexpr std::size_t kMaxPieceBytes = 512;

// Field numbers of sentencepiece_model.proto.
enum ModelField : std::uint32_t { kPieces = 1, kTrainer = 2, kNormalizer = 3, kDenormalizer = 5 };
enum PieceField : std::uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerField : std::uint32_t {
  kModelType = 3,
  kVocabSize = 4,
  kByteFallback = 35,
  kUnknownId = 40,
  kBeginId = 41,
  kEndId = 42,
  kPadId = 43,
};
enum NormalizerField : std::uint32_t { kName = 1, kCharacterMap = 2, kDummyPrefix = 3, kExtraSpaces = 4, kEscape = 5 };
enum PieceType : std::uint32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

/// One field of a message: a number, or bytes.
struct Field {
  std::uint64_t number;
  std::uint32_t wire;
  std::uint64_t value = 0;
  ByteView bytes;
};

/// The fields of a message, one after another.
class Message {
 public:
  Message(ByteView bytes, const std::string& file) : rest_(bytes), file_(file) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    field = {.number = tag >> 3, .wire = static_cast<std::uint32_t>(tag & 7), .value = 0, .bytes = {}};
    switch (field.wire) {
      case 0: field.value = varint(); break;
      case 1: field.value = little_endian<std::uint64_t>(take(8).data()); break;
      case 2: field.bytes = take(varint()); break;
      case 5: field.value = little_endian<std::uint32_t>(take(4).data()); break;
      default: bad_file(file_, "is no SentencePiece model, or a damaged one");
    }
    return true;
  }

 private:
  ByteView take(std::uint64_t count) {
    if (count > rest_.size()) bad_file(file_, "is no SentencePiece model, or it is cut short");
    const ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint64_t>(take(1)[0]);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    bad_file(file_, "is no SentencePiece model, or a damaged one");
  }

  ByteView rest_;
  const std::string& file_;
};

struct RawPiece {
  std::string_view text;
  float score = 0;
  std::uint64_t type = kNormal;
};

RawPiece parse_piece(ByteView bytes, const std::string& file) {
  RawPiece piece;
  Message message(bytes, file);
  for (Field field; message.next(field);) {
    if (field.number == kText && field.wire == 2) piece.text = text(field.bytes);
    if (field.number == kScore && field.wire == 5)
      piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
    if (field.number == kType && field.wire == 0) piece.type = field.value;
  }
  return piece;
}

PieceKind parse_trainer(ByteView bytes, const std::string& file) {
  std::uint64_t kind = 1, fallback = 0;
  Message message(bytes, file);
  for (Field field; message.next(field);) {
    if (field.number == kModelType) kind = field.value;
    if (field.number == kByteFallback) fallback = field.value;
  }
  if (kind != 1 && kind != 2) bad_file(file, "is a model of words or characters; unigram and BPE models are read here");
  if (fallback == 0) bad_file(file, "has no byte pieces (byte_fallback): unknown characters would be lost");
  return static_cast<PieceKind>(kind);
}

void check_normalizer(ByteView bytes, const std::string& file) {
  Message message(bytes, file);
  for (Field field; message.next(field);) {
    const bool usual_spaces = field.number < kDummyPrefix || field.number > kEscape || field.value == 1;
    if ((field.number == kCharacterMap && !field.bytes.empty()) || !usual_spaces)
      bad_file(file,
               "normalises characters or spaces in a way of its own; train it with "
               "--normalization_rule_name=identity and without other options of that kind");
  }
}

std::uint64_t reserved_type(std::int32_t id) { return id >= 4 ? kByte : id == 1 ? kUnknown : kControl; }

// --- writing ---

void put_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>((value & 0x7f) | 0x80);
  to += static_cast<char>(value);
}
void put_number(std::string& to, std::uint32_t field, std::uint64_t value) {
  put_varint(to, field << 3);
  put_varint(to, value);
}
void put_bytes(std::string& to, std::uint32_t field, std::string_view bytes) {
  put_varint(to, field << 3 | 2);
  put_varint(to, bytes.size());
  to += bytes;
}
void put_piece(std::string& to, std::string_view text, float score, std::uint64_t type) {
  std::string piece;
  put_bytes(piece, kText, text);
  put_varint(piece, kScore << 3 | 5);
  append_little_endian(piece, std::bit_cast<std::uint32_t>(score));
  put_number(piece, kType, type);
  put_bytes(to, kPieces, piece);
}

}  // namespace

std::string reserved_piece(std::int32_t id) {
  constexpr const char* kNames[] = {"<pad>", "<unk>", "<s>", "</s>"};
  return id < 4 ? kNames[id] : fmt::format("<0x{:02X}>", id - 4);
}

PieceModel parse_piece_model(ByteView bytes, const std::string& file) {
  if (bytes.size() > kMaxPieceModelBytes)
    bad_file(file, fmt::format("has {} bytes; a model of pieces has at most {}", bytes.size(), kMaxPieceModelBytes));
  PieceModel model;
  std::unordered_set<std::string_view> seen;
  bool trained = false;
  std::int32_t id = 0;
  Message message(bytes, file);
  for (Field field; message.next(field);) {
    if (field.number == kTrainer && field.wire == 2) {
      model.kind = parse_trainer(field.bytes, file);
      trained = true;
    } else if ((field.number == kNormalizer || field.number == kDenormalizer) && field.wire == 2) {
      check_normalizer(field.bytes, file);
    } else if (field.number == kPieces && field.wire == 2) {
      const RawPiece piece = parse_piece(field.bytes, file);
      if (id < kReservedPieces) {
        if (piece.text != reserved_piece(id) || piece.type != reserved_type(id))
          bad_file(file,
                   fmt::format("piece {} is not {}: the model was not trained by Tessera", id, reserved_piece(id)));
      } else {
        if (piece.text.empty() || piece.text.size() > kMaxPieceBytes ||
            piece.text.find('\0') != std::string_view::npos ||
            find_invalid_utf8(piece.text) != std::string_view::npos || piece.type != kNormal)
          bad_file(file, fmt::format("piece {} is no text of 1 to {} bytes in UTF-8; the file is damaged", id,
                                     kMaxPieceBytes));
        if (!(std::abs(piece.score) < 1e9F)) bad_file(file, fmt::format("the score of piece {} is no number", id));
        model.pieces.push_back({std::string(piece.text), piece.score});
      }
      if (!seen.insert(piece.text).second) bad_file(file, fmt::format("piece {} is there twice", id));
      ++id;
    }
  }
  if (model.pieces.empty()) bad_file(file, "holds no pieces: it is no SentencePiece model, or an empty vocabulary");
  if (!seen.contains(kSpacePiece)) bad_file(file, "lacks the piece of a space, U+2581; the file is damaged");
  if (!trained) bad_file(file, "lacks the trainer's settings; the file is damaged");
  return model;
}

std::string format_piece_model(const PieceModel& model) {
  std::string out, trainer, normalizer;
  for (std::int32_t id = 0; id < kReservedPieces; ++id) put_piece(out, reserved_piece(id), 0, reserved_type(id));
  for (const PieceModel::Piece& piece : model.pieces) put_piece(out, piece.text, piece.score, kNormal);
  put_number(trainer, kModelType, static_cast<std::uint64_t>(model.kind));
  put_number(trainer, kVocabSize, kReservedPieces + model.pieces.size());
  put_number(trainer, kByteFallback, 1);
  put_number(trainer, kUnknownId, 1);
  put_number(trainer, kBeginId, 2);
  put_number(trainer, kEndId, 3);
  put_number(trainer, kPadId, 0);
  put_bytes(out, kTrainer, trainer);
  put_bytes(normalizer, kName, "identity");
  put_number(normalizer, kDummyPrefix, 1);
  put_number(normalizer, kExtraSpaces, 1);
  put_number(normalizer, kEscape, 1);
  put_bytes(out, kNormalizer, normalizer);
  return out;
}

}  // namespace tessera::data
