// Sentences as numbered pieces, by SentencePiece: trained from the corpus, one vocabulary for both languages. What no
// piece covers is spelled in bytes, so every character passes through.
// In: sentences, or a model file. Out: a Vocabulary. Read next: data/piece_model.hpp, data/batches.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/data/files.hpp"
#include "tessera/data/piece_model.hpp"

namespace tessera::data {

using Token = std::int32_t;

/// Copies share the model; all members may be called from several threads.
class Vocabulary {
 public:
  static constexpr Token kPad = 0, kUnknown = 1, kBegin = 2, kEnd = 3;

  /// Throws Error "NAME: ..." when the bytes are no model of ours.
  static Vocabulary parse(ByteView bytes, const std::string& name);
  static Vocabulary load(const Path& path);
  void save(const Path& path) const;

  /// The number of pieces, the reserved ones included: tokens are below it.
  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] PieceKind kind() const;
  /// A checksum of all of it (CRC-32, as eight hexadecimal digits): a model belongs to one vocabulary.
  [[nodiscard]] std::string checksum() const;
  /// Without kBegin and kEnd. Spaces at the ends go, runs of them become one; U+2581 is a space; bytes that are no
  /// UTF-8 become U+FFFD.
  [[nodiscard]] std::vector<Token> encode(std::string_view sentence) const;
  /// One line: ends of lines and NUL become spaces, kPad, kBegin and kEnd nothing, bytes that are no UTF-8 U+FFFD.
  /// Throws Error for a token that is none.
  [[nodiscard]] std::string decode(std::span<const Token> tokens) const;
  /// The text of a piece, spaces as U+2581.
  [[nodiscard]] const std::string& piece(Token token) const;

 private:
  struct State;
  explicit Vocabulary(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

struct VocabularyOptions {
  PieceKind kind = PieceKind::Unigram;
  std::int64_t size = 8000;              ///< a small corpus gives fewer
  double character_coverage = 0.9999;    ///< of the characters that occur; the rest is spelled in bytes
  std::int64_t max_sentences = 1000000;  ///< of a larger corpus, as many are taken evenly
};

/// The same sentences give the same vocabulary on every machine with the same SentencePiece. Throws Error when no
/// sentence has text, and Error (Usage) when `size` is too small for the characters that occur.
Vocabulary train_vocabulary(std::span<const std::string> source, std::span<const std::string> target,
                            const VocabularyOptions& options = {});

}  // namespace tessera::data
