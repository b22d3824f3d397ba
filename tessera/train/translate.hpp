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
#include "tessera/train/config.hpp"
#include "tessera/train/translator.hpp"

namespace tessera::train {

/// Live hypotheses of a search where nobody asks for another number.
constexpr std::int64_t kBeam = 5;
constexpr std::int64_t kMaxBeam = 64;

/// Text to text. Programs are compiled when they are needed: one for each padded length and beam.
class TextTranslator {
 public:
  /// Sentences of more than `max_tokens` pieces are translated in parts.
  TextTranslator(data::Vocabulary vocabulary, std::int64_t max_tokens, Precision precision);
  /// One translation, without an end of line in it, for each sentence, whatever it is; an empty one for one without
  /// text. `beam`: 1 to kMaxBeam.
  std::vector<std::string> operator()(const Translator& model, std::span<const std::string> sentences,
                                      std::int64_t beam);

 private:
  struct SearchFunction {
    std::int64_t beam = 1;
    Translations operator()(const Translator& model, const Array& source, const Array& source_length) const;
  };
  data::Vocabulary vocabulary_;
  std::int64_t max_tokens_;
  Precision precision_;
  std::map<std::int64_t, Jit<SearchFunction>> searches_;  ///< by beam
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
