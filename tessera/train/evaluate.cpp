// Evaluation batch by batch.
#include "tessera/train/evaluate.hpp"

#include <algorithm>

namespace tessera::train {
namespace {
constexpr std::int64_t kBatch = 500;
}

Evaluator::Evaluator(Precision precision) : batch_(&Evaluator::evaluate_batch, {precision, "evaluate"}) {}

Evaluator::Outputs Evaluator::evaluate_batch(const Classifier& model, const Array& images, const Array& labels,
                                             const Array& start) {
  const std::int64_t count = labels.size(), batch = std::min(kBatch, count);
  const Array positions = start + arange(batch);
  const Array counts = positions < count;
  const Array shown = minimum(positions, count - 1);
  Classifier copy = model;
  nn::Context context = nn::Context::evaluation();
  const Array logits = copy.net(model.normalised(take(images, shown)), context);
  const Array wanted = take(labels, shown);
  const Array predicted = argmax(logits, -1);
  return {.loss_sum = sum(where(counts, nn::cross_entropy_each(logits, wanted), 0)),
          .correct = sum(astype(counts & (predicted == wanted), DType::I32)),
          .predicted = predicted,
          .probabilities = softmax(logits, -1)};
}

void Evaluator::compile(const Classifier& model, const ResidentImages& set) {
  (void)batch_(model, set.images, set.labels, Array(0)).loss_sum.item<double>();
}

Evaluation Evaluator::operator()(const Classifier& model, const ResidentImages& set, bool keep_probabilities) {
  const std::int64_t count = set.size(), batch = std::min(kBatch, count);
  Evaluation result;
  std::int64_t correct = 0;
  for (std::int64_t start = 0; start < count; start += batch) {
    const Outputs out = batch_(model, set.images, set.labels, Array(static_cast<std::int32_t>(start)));
    result.loss += out.loss_sum.item<double>();
    correct += out.correct.item<std::int64_t>();
    const auto here = static_cast<std::size_t>(std::min(batch, count - start));
    const auto predicted = out.predicted.literal().as<std::int32_t>();
    result.predicted.insert(result.predicted.end(), predicted.begin(),
                            predicted.begin() + static_cast<std::ptrdiff_t>(here));
    if (keep_probabilities) {
      const auto all = out.probabilities.literal().as<float>();
      const std::size_t classes = all.size() / static_cast<std::size_t>(batch);
      result.probabilities.insert(result.probabilities.end(), all.begin(),
                                  all.begin() + static_cast<std::ptrdiff_t>(here * classes));
    }
  }
  result.loss /= static_cast<double>(count);
  result.accuracy = static_cast<double>(correct) / static_cast<double>(count);
  return result;
}

}  // namespace tessera::train
