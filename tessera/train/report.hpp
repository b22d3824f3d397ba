// The report of a run: report.html, one file that opens anywhere, made from the run's own files.
// In: config.toml, metrics.jsonl, summary.json and report.json (what only the end of training knows). Read next:
// report.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/backend.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/train/evaluate.hpp"
#include "tessera/train/limits.hpp"
#include "tessera/train/translate.hpp"

namespace tessera::train {

using data::Path;

/// A picture that the model got wrong.
struct Mistake {
  std::int64_t index = 0;  ///< in the test split
  std::int64_t label = 0, predicted = 0;
  double probability = 0;        ///< of what it said
  double label_probability = 0;  ///< of what is true
  std::string png;               ///< the picture, in base64
};

/// A sentence of the test split, and what became of it.
struct TranslationSample {
  std::string source, reference, translation;
  double bleu = 0;  ///< of this sentence
};

/// BLEU of the sentences whose sources have about the same number of words.
struct LengthScore {
  std::int64_t least = 0, most = 0, sentences = 0;
  double bleu = 0;
};

struct ReportData {
  std::vector<std::string> classes;
  std::vector<std::vector<std::int64_t>> confusion;  ///< [true][predicted]
  std::vector<Mistake> mistakes;                     ///< the surest first
  std::vector<std::string> scores;                   ///< of translations, with their signatures
  std::vector<LengthScore> lengths;                  ///< short sentences first
  std::vector<TranslationSample> samples;            ///< from the worst to the best translated
  std::vector<Alignment> alignments;                 ///< of some of them
  std::string processor;
  MachineLimits limits;
  std::int64_t batch = 0;
  double step_seconds = 0;           ///< of a whole step, median
  std::vector<StepProfile> profile;  ///< the kernels of one step
};

/// Counts an evaluation with probabilities into a confusion matrix and finds the `most` surest mistakes.
void add_predictions(ReportData& report, const data::LabelledImages& images, const Evaluation& evaluation,
                     std::size_t most = 24);

/// Adds the scores, also by length, and `most` sentences evenly from the worst to the best.
void add_translations(ReportData& report, const data::ParallelText& text, const TranslationScores& scores,
                      std::size_t most = 24);
/// The samples that a picture of their attention is made for: at most `most`, none of them long.
std::vector<TranslationSample> samples_to_align(const ReportData& report, std::size_t most = 4);

std::string format_report_data(const ReportData& data);
/// Nothing when the file does not exist.
std::optional<ReportData> read_report_data(const Path& path);

/// Writes report.html into the folder of a run, from its files; a run that did not finish has a shorter report.
/// Throws Error when the folder holds no run.
void write_report(const Path& run);

}  // namespace tessera::train
