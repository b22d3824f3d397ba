// Training from beginning to end: one loop, with metrics, evaluation, checkpoints, resume and a report.
// In: a recipe and where the run goes. Out: the run's folder, as docs and tools know it.
// Read next: train/task.hpp (what is trained), train/checkpoint.hpp (what is saved).
#pragma once

#include <optional>

#include "tessera/train/config.hpp"
#include "tessera/train/metrics.hpp"

namespace tessera::train {

struct TrainOptions {
  Config config;
  Path out;              ///< the run's folder
  bool resume = false;   ///< go on from the newest complete checkpoint, if there is one
  bool dry_run = false;  ///< check and compile everything, train one step, write nothing
  bool quiet = false;
  std::optional<double> max_seconds;  ///< stop and save after so long
};

enum class TrainEnd : std::uint8_t { Finished, TimeUp, Interrupted, DryRun };

struct TrainResult {
  TrainEnd end = TrainEnd::Finished;
  std::optional<Summary> summary;  ///< of a run that finished or stopped for time
};

/// Trains. Throws Error for what is wrong with recipe, data or folder, before anything is written; and for a loss that
/// is not finite, naming the first operation that made it so. SIGINT and SIGTERM end the run at the next step, saved.
TrainResult train(const TrainOptions& options);

}  // namespace tessera::train
