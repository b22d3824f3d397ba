// The quality of a classifier on a split: loss, accuracy, and what it says of each picture.
// The last, smaller batch is padded and masked, so that one program serves all batches.
#pragma once

#include "tessera/array/jit.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/train/model.hpp"

namespace tessera::train {

struct Evaluation {
  double loss = 0, accuracy = 0;
  std::vector<std::int32_t> predicted;  ///< class of each picture
  std::vector<float> probabilities;     ///< [n, classes], if asked for
};

/// A split whose pictures stay on the device.
struct ResidentImages {
  Array images;  ///< u8 [n, h, w, c]
  Array labels;  ///< i32 [n]
  explicit ResidentImages(const data::LabelledImages& from) : images(from.images), labels(from.labels) {}
  [[nodiscard]] std::int64_t size() const { return labels.size(); }
};

/// Evaluates classifiers; compiled at the first call.
class Evaluator {
 public:
  explicit Evaluator(Precision precision);
  /// Compiles for this set, by evaluating one batch.
  void compile(const Classifier& model, const ResidentImages& set);
  Evaluation operator()(const Classifier& model, const ResidentImages& set, bool keep_probabilities = false);

 private:
  struct Outputs {
    Array loss_sum, correct, predicted, probabilities;
    TESSERA_FIELDS(loss_sum, correct, predicted, probabilities)
  };
  static Outputs evaluate_batch(const Classifier& model, const Array& images, const Array& labels, const Array& start);
  Jit<Outputs (*)(const Classifier&, const Array&, const Array&, const Array&)> batch_;
};

}  // namespace tessera::train
