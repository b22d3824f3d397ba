// What a run writes down while it goes: metrics.jsonl, a line for each measurement, and summary.json at its end.
// Written by train/loop.cpp, read by train/report.cpp and by other programs: the keys are fixed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tessera/data/files.hpp"

namespace tessera::train {

using data::Path;

/// One line of metrics.jsonl. Values that are not finite are written as null and read back as NaN.
struct Metric {
  std::int64_t step = 0;  ///< steps done
  double epoch = 0;       ///< passes over the training data, with its part of the current one
  std::int64_t examples = 0;
  std::string split;  ///< train (mean since the line before), valid or test
  double loss = 0, accuracy = 0, learning_rate = 0, examples_per_second = 0;
  double elapsed_seconds = 0;  ///< since the run began, evaluation and compiling included, pauses between sessions not
  bool operator==(const Metric&) const = default;
};

/// All lines of a file. A last line that was cut short is left out; any other damage is an Error naming the line.
std::vector<Metric> read_metrics(const Path& path);

/// Appends lines to a file.
class MetricsWriter {
 public:
  /// Starts a file with the lines up to `last_step` of the one that is there.
  MetricsWriter(Path path, std::int64_t last_step);
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  void write(const Metric& metric);
  /// Brings what was written to the disk.
  void flush();

 private:
  Path path_;
  int file_ = -1;
};

/// The contents of summary.json.
struct Summary {
  std::string recipe, device, precision;
  int threads = 0;
  std::int64_t seed = 0, parameters = 0, steps = 0, examples = 0;
  double epochs = 0;
  double train_seconds = 0;  ///< steps alone: no compiling, no evaluation
  double compile_seconds = 0, wall_seconds = 0;
  double examples_per_second = 0;            ///< median
  double processor_examples_per_second = 0;  ///< of the same steps on the machine's processor; 0: not compared
  double flops_per_example = 0, gemm_fraction = 0;
  std::uint64_t peak_memory_bytes = 0;         ///< of the process
  std::uint64_t peak_device_memory_bytes = 0;  ///< of a GPU's own memory; 0 on a CPU
  double test_loss = 0, test_accuracy = 0;
  std::optional<double> test_bleu = {}, test_chrf = {};  ///< of translations
  std::vector<std::pair<double, double>> time_to;        ///< accuracy reached, seconds of training until then
};

std::string format_summary(const Summary& summary);
/// "accuracy 93.81 %", or "BLEU 34.56" of a translator.
std::string format_score(const Summary& summary);
/// Nothing when the file does not exist.
std::optional<Summary> read_summary(const Path& path);

}  // namespace tessera::train
