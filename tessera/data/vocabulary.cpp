// Vocabulary by Debian's SentencePiece, which is only given models and sentences that were checked: it ends the process
// where it meets what it does not expect.
#include "tessera/data/vocabulary.hpp"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <zlib.h>

#include <algorithm>
#include <unordered_map>

#include "tessera/core/error.hpp"
#include "tessera/data/utf8.hpp"

namespace tessera::data {
namespace {

constexpr std::int64_t kMaxPieces = 1 << 20;
constexpr std::size_t kMaxTrainingBytes = 4096;  ///< of one sentence

/// Spaces for their sign in pieces.
std::string with_spaces(std::string text) {
  for (std::size_t at = 0; (at = text.find(kSpacePiece, at)) != std::string::npos;)
    text.replace(at, kSpacePiece.size(), " ");
  return text;
}

/// What the trainer is given: without tabs and with text, or nothing.
std::string training_sentence(const std::string& sentence) {
  if (sentence.size() > kMaxTrainingBytes || find_invalid_utf8(sentence) != std::string::npos) return "";
  std::string out = with_spaces(sentence);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return std::string(trim_ascii(out));
}

/// Both sides in turn, as many as asked for.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  Sentences(std::span<const std::string> source, std::span<const std::string> target, std::int64_t most)
      : sides_{source, target} {
    const std::size_t wanted = static_cast<std::size_t>(std::max<std::int64_t>(most, 1));
    step_ = (end() + wanted - 1) / wanted | 1;  // odd, so that both sides are met
    find();
  }
  [[nodiscard]] bool done() const override { return at_ >= end(); }
  void Next() override {
    at_ += step_;
    find();
  }
  [[nodiscard]] const std::string& value() const override { return value_; }
  [[nodiscard]] sentencepiece::util::Status status() const override { return {}; }

 private:
  [[nodiscard]] std::size_t end() const { return 2 * std::max(sides_[0].size(), sides_[1].size()); }
  void find() {
    for (; !done(); ++at_) {
      const auto& side = sides_[at_ % 2];
      if (at_ / 2 >= side.size()) continue;
      value_ = training_sentence(side[at_ / 2]);
      if (!value_.empty()) return;
    }
  }

  std::span<const std::string> sides_[2];
  std::size_t at_ = 0, step_ = 1;
  std::string value_;
};

}  // namespace

struct Vocabulary::State {
  PieceModel model;
  std::vector<std::string> reserved;
  sentencepiece::SentencePieceProcessor processor;
};

Vocabulary Vocabulary::parse(ByteView bytes, const std::string& name) {
  const auto state = std::make_shared<State>();
  state->model = parse_piece_model(bytes, name);
  for (Token token = 0; token < kReservedPieces; ++token) state->reserved.push_back(reserved_piece(token));
  try {
    const auto status = state->processor.LoadFromSerializedProto(format_piece_model(state->model));
    if (!status.ok()) bad_file(name, std::string("SentencePiece refuses the model: ") + status.error_message());
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    bad_file(name, std::string("SentencePiece refuses the model: ") + error.what());
  }
  return Vocabulary(state);
}

Vocabulary Vocabulary::load(const Path& path) { return parse(read_file(path, kMaxPieceModelBytes), path); }
void Vocabulary::save(const Path& path) const { write_file(path, format_piece_model(state_->model)); }

std::int64_t Vocabulary::size() const {
  return kReservedPieces + static_cast<std::int64_t>(state_->model.pieces.size());
}
PieceKind Vocabulary::kind() const { return state_->model.kind; }
std::string Vocabulary::checksum() const {
  const std::string bytes = format_piece_model(state_->model);
  return fmt::format("{:08x}", ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::vector<Token> Vocabulary::encode(std::string_view sentence) const {
  std::vector<Token> tokens;
  const auto status = state_->processor.Encode(sentence, &tokens);
  if (!status.ok()) throw Error(std::string("a sentence cannot be cut into pieces: ") + status.error_message());
  return tokens;
}

std::string Vocabulary::decode(std::span<const Token> tokens) const {
  for (const Token token : tokens) (void)piece(token);
  std::string text;
  const auto status = state_->processor.Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
  if (!status.ok()) throw Error(std::string("pieces cannot be put together: ") + status.error_message());
  text = with_spaces(text);  // spelled in bytes, it is still there
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\0'; }, ' ');
  return text;
}

const std::string& Vocabulary::piece(Token token) const {
  if (token < 0 || token >= size())
    throw Error(fmt::format("there is no token {}: the vocabulary has {} pieces", token, size()));
  const auto index = static_cast<std::size_t>(token);
  return token < kReservedPieces ? state_->reserved[index] : state_->model.pieces[index - kReservedPieces].text;
}

Vocabulary train_vocabulary(std::span<const std::string> source, std::span<const std::string> target,
                            const VocabularyOptions& options) {
  if (options.size <= kReservedPieces || options.size > kMaxPieces)
    throw Error(ErrorKind::Usage, fmt::format("a vocabulary of {} pieces: {} are reserved, and {} is the most; 4000 to "
                                              "16000 are usual",
                                              options.size, kReservedPieces, kMaxPieces));
  if (!(options.character_coverage >= 0.98 && options.character_coverage <= 1))
    throw Error(ErrorKind::Usage,
                fmt::format("a character coverage of {}: it lies between 0.98 and 1", options.character_coverage));
  Sentences sentences(source, target, options.max_sentences);
  if (sentences.done())
    throw Error("no sentence has text of at most 4096 bytes: there is nothing to learn pieces from");
  const std::unordered_map<std::string, std::string> settings{
      {"model_type", options.kind == PieceKind::Bpe ? "bpe" : "unigram"},
      {"vocab_size", std::to_string(options.size)},
      {"hard_vocab_limit", "false"},
      {"byte_fallback", "true"},
      {"character_coverage", fmt::format("{}", options.character_coverage)},
      {"normalization_rule_name", "identity"},
      {"pad_id", std::to_string(Vocabulary::kPad)},
      {"unk_id", std::to_string(Vocabulary::kUnknown)},
      {"bos_id", std::to_string(Vocabulary::kBegin)},
      {"eos_id", std::to_string(Vocabulary::kEnd)},
      {"required_chars", std::string(kSpacePiece)},
      {"max_sentence_length", std::to_string(kMaxTrainingBytes + 1)},
      {"num_threads", "8"},  // part of the result: sums are taken by thread
      {"minloglevel", "2"},
  };
  std::string bytes;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &bytes);
  if (!status.ok())
    throw Error(ErrorKind::Usage,
                fmt::format("no vocabulary of {} pieces can be learned from this text ({}); ask for more pieces",
                            options.size, status.error_message()));
  return Vocabulary::parse(view(bytes), "the trained vocabulary");
}

}  // namespace tessera::data
