// What is trained, as the loop sees it: what a step is, how its batches come, how the result is measured. The loop
// (train/loop.cpp) decides when: it counts, logs, saves, resumes and stops.
// Read next: train/classify.cpp and train/translate.cpp, the two tasks there are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tessera/array/jit.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/diagnose.hpp"
#include "tessera/train/metrics.hpp"
#include "tessera/train/optimizer.hpp"
#include "tessera/train/report.hpp"

namespace tessera::train {

/// Loss and accuracy: means over a step's batch.
struct StepOutputs {
  Array loss, accuracy;
  TESSERA_FIELDS(loss, accuracy)
};

/// The same over a split.
struct Quality {
  double loss = 0, accuracy = 0;
};

/// Data, model and optimizer of a run. A step is a function of this state and of the step's number: everything random
/// follows from the recipe's seed and that number.
class Task {
 public:
  virtual ~Task() = default;

  [[nodiscard]] virtual std::string description() const = 0;  ///< of the data: "60000 pictures to train, ..."
  [[nodiscard]] virtual const char* unit() const = 0;         ///< what an example is
  [[nodiscard]] virtual std::int64_t parameters() const = 0;
  [[nodiscard]] virtual std::int64_t steps_per_epoch() const = 0;
  /// Examples seen in the first `steps` steps.
  virtual std::int64_t examples(std::int64_t steps) = 0;

  /// Compiles by running each program once; the state stays as it was. True when results are in a device's memory.
  virtual bool compile() = 0;
  /// What was compiled, where there is more to say than that; "" else.
  [[nodiscard]] virtual std::string compiled() const { return ""; }
  /// Begins one step; a device may still compute when this returns.
  virtual StepOutputs step(std::int64_t number, double rate) = 0;
  /// A step as a program and what it takes, for reports and diagnosis.
  struct Call {
    std::shared_ptr<const detail::JitEntry> entry;
    std::vector<Array> arguments;
  };
  virtual Call call(std::int64_t number, double rate) = 0;
  /// The step that reports show.
  [[nodiscard]] virtual std::int64_t typical_step() const { return 0; }
  /// Operations of an epoch, by its examples.
  virtual double operations_per_example() = 0;

  /// The split that evaluate() measures: valid, or test where there is no valid one.
  [[nodiscard]] virtual const char* validation() const = 0;
  virtual Quality evaluate() = 0;
  /// Measures the test split; adds what only this task knows to report and summary.
  virtual Quality finish(ReportData& report, Summary& summary) = 0;

  /// Remembers the state; go_back() returns to what was remembered last.
  virtual void keep() = 0;
  virtual void go_back() = 0;
  /// True when every number of the model is finite.
  [[nodiscard]] virtual bool finite() const = 0;
  virtual void save(Checkpoint& checkpoint) const = 0;
  virtual void restore(const Checkpoint& checkpoint, const Path& folder) = 0;
  /// Writes what belongs beside the checkpoints.
  virtual void write_files(const Path&) const {}
};

/// What of a task follows from the type of its model.
template <class Model>
class ModelTask : public Task {
 public:
  void keep() override { kept_ = state_; }
  void go_back() override { state_ = kept_; }
  [[nodiscard]] bool finite() const override { return all_finite(flatten_tree(state_.model)); }
  void save(Checkpoint& checkpoint) const override {
    checkpoint.model = tensors_of(trained());
    checkpoint.state = averaged() ? tensors_of(state_) : tensors_of(state_.optimizer);
  }
  void restore(const Checkpoint& checkpoint, const Path& folder) override {
    if (averaged()) return restore_tensors(state_, checkpoint.state, folder / "state.safetensors");
    restore_tensors(state_.model, checkpoint.model, folder / "model.safetensors");
    restore_tensors(state_.optimizer, checkpoint.state, folder / "state.safetensors");
  }

 protected:
  /// What the steps change.
  struct State {
    Model model;
    Optimizer optimizer;
    TESSERA_FIELDS(model, optimizer)
  };
  State state_;

  /// What is measured and saved: the model, or the average of its parameters.
  [[nodiscard]] Model trained() const {
    return averaged() ? state_.optimizer.average->averaged(state_.model) : state_.model;
  }

 private:
  [[nodiscard]] bool averaged() const { return state_.optimizer.average.has_value(); }
  State kept_;
};

std::unique_ptr<Task> make_classify_task(const Config& config);
/// `run` is the folder of a run to go on with, or empty.
std::unique_ptr<Task> make_translate_task(const Config& config, const Path& run);

}  // namespace tessera::train
