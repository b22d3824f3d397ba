// A trained translator in use: text to text, and how well it knows translations that are given.
// In: a run's folder. Read next: train/translator.hpp (the model), train/translate_task.cpp (its training).
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "tessera/array/jit.hpp"
#include "tessera/data/batches.hpp"
#include "tessera/data/scores.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/translator.hpp"

namespace tessera::train {

/// Live hypotheses of a search where nobody asks for another number.
constexpr std::int64_t kBeam = 5;
constexpr std::int64_t kMaxBeam = 64;

/// One of the translations of a sentence.
struct Hypothesis {
  std::string text;  ///< without an end of line
  double score = 0;  ///< mean log-probability of its tokens
};

/// Which pieces of a translation attended to which of its source, for pictures.
struct Alignment {
  std::vector<std::string> source, target;  ///< pieces, "</s>" last
  std::vector<float> weights;               ///< [target][source], each row of sum 1
};

/// Text to text. Programs are compiled when they are needed: one for each padded length and beam.
class TextTranslator {
 public:
  /// Sentences of more than `max_tokens` pieces are translated in parts.
  TextTranslator(data::Vocabulary vocabulary, std::int64_t max_tokens, Precision precision);
  /// One translation for each sentence, whatever it is; an empty one for one without text. `beam`: 1 to kMaxBeam.
  std::vector<std::string> operator()(const Translator& model, std::span<const std::string> sentences,
                                      std::int64_t beam);
  /// The best `count` (1 to `beam`) translations of each sentence, at least one; the best first.
  std::vector<std::vector<Hypothesis>> best(const Translator& model, std::span<const std::string> sentences,
                                            std::int64_t beam, std::int64_t count);
  /// How translations that are given attend to their sentences, both cut into pieces anew and after `max_tokens` of
  /// them.
  std::vector<Alignment> align(const Translator& model, std::span<const std::string> sentences,
                               std::span<const std::string> translations);

 private:
  struct SearchFunction {
    std::int64_t beam = 1;
    Translations operator()(const Translator& model, const Array& source, const Array& source_length) const;
  };
  /// A translation of a part of a sentence.
  struct FoundPart {
    std::string text;
    double score = 0, tokens = 0;  ///< </s> included
  };
  std::vector<std::vector<FoundPart>> search_parts(const Translator& model, const data::EncodedPairs& parts,
                                                   std::int64_t beam, std::int64_t count);
  /// The parts of one sentence: the best of each as the best of all, and so on.
  static std::vector<Hypothesis> joined(std::span<const std::vector<FoundPart>> parts);

  data::Vocabulary vocabulary_;
  std::int64_t max_tokens_;
  Precision precision_;
  std::map<std::int64_t, Jit<SearchFunction>> searches_;  ///< by beam
  Jit<Array (*)(const Translator&, const Array&, const Array&, const Array&)> alignment_;
};

/// How likely the pieces of given translations are: sums over them.
struct Likelihood {
  double loss = 0;  ///< -log probability
  std::int64_t tokens = 0, correct = 0;
  Likelihood& operator+=(const Likelihood& other);
};

/// Logits and labels to the sums of a batch; positions that are <pad> do not count.
struct BatchLikelihood {
  Array loss, smoothed, correct, tokens;
  TESSERA_FIELDS(loss, smoothed, correct, tokens)
};
BatchLikelihood batch_likelihood(const Array& logits, const Array& wanted, double smoothing);

/// Measures Likelihood; one program for each bucket.
class TokenEvaluator {
 public:
  explicit TokenEvaluator(Precision precision);
  Likelihood operator()(const Translator& model, const data::EncodedPairs& pairs, const data::BatchPlan& plan);
  /// One batch of each bucket.
  void compile(const Translator& model, const data::EncodedPairs& pairs, const data::BatchPlan& plan);

 private:
  Likelihood batch(const Translator& model, const data::TokenBatch& batch);
  static BatchLikelihood evaluate_batch(const Translator& model, const Array& source, const Array& source_length,
                                        const Array& target_input, const Array& target_output);
  Jit<BatchLikelihood (*)(const Translator&, const Array&, const Array&, const Array&, const Array&)> batch_;
};

/// What a checkpoint says of the vocabulary that its model was trained with.
std::map<std::string, std::string> describe_vocabulary(const data::Vocabulary& vocabulary);
/// Throws Error when `checkpoint`, in `folder`, belongs to another one.
void check_vocabulary(const data::Vocabulary& vocabulary, const Checkpoint& checkpoint, const data::Path& folder);

struct TrainedTranslator {
  Config config;
  data::Vocabulary vocabulary;
  std::int64_t step = 0;
  Translator model;
};

/// The newest complete checkpoint of a run. Throws Error naming what is missing or damaged, and when the run is of
/// another task.
TrainedTranslator load_translator(const data::Path& run);

/// How likely the given translations of a text are. Pairs of more than data.max_tokens pieces are left out.
struct TextLikelihood {
  std::int64_t pairs = 0, bytes = 0;  ///< bytes of the translations, an end of line after each
  double loss = 0;                    ///< -log probability of a token, mean
  double bits_per_byte = 0;
};
TextLikelihood measure(const TrainedTranslator& trained, const data::ParallelText& text);

/// The translations of a split, measured.
struct TranslationScores {
  std::vector<std::string> translations;
  data::Bleu bleu;
  data::Chrf chrf;
};
TranslationScores score_translations(TextTranslator& translator, const Translator& model,
                                     const data::ParallelText& text, std::int64_t beam);

}  // namespace tessera::train
