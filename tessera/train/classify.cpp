// The task of classifying pictures. The data set stays on the device; shuffling, augmentation and the optimizer are
// part of one compiled step. Read next: train/model.hpp (the nets), train/evaluate.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tessera/array/transforms.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/train/evaluate.hpp"
#include "tessera/train/model.hpp"
#include "tessera/train/task.hpp"
#include "tessera/train/trained.hpp"

namespace tessera::train {
namespace {

/// One step of training: draws a batch, differentiates, updates. Everything random follows from key and step.
struct StepFunction {
  std::int64_t batch = 0;
  Augmentation augmentation;

  StepOutputs operator()(Classifier& model, Optimizer& optimizer, const Array& images, const Array& labels,
                         const Array& order, const Array& start, const Array& step, const Key& key) const {
    const auto [draw_key, dropout_key] = split<2>(fold_in(key, step));
    const Array positions = dynamic_slice(order, {start}, {batch});
    const Array pixels = draw_batch(images, positions, augmentation, draw_key);
    const Array wanted = take(labels, positions);
    nn::Context context{.training = true, .key = dropout_key};
    auto loss = [](Classifier& m, const Array& x, const Array& y, nn::Context& c) {
      const Array logits = m.net(m.normalised(x), c);
      return std::pair(nn::cross_entropy(logits, y), nn::accuracy(logits, y));
    };
    auto [values, gradient] = value_and_grad(loss)(model, pixels, wanted, context);
    optimizer.update(model, gradient);
    return {values.first, values.second};
  }
};

/// The order of an epoch's pictures.
struct ShuffleFunction {
  std::int32_t count = 0;
  Array operator()(const Key& key, const Array& epoch) const { return random::permutation(fold_in(key, epoch), count); }
};

/// Mean and deviation of all pixels.
std::pair<double, double> pixel_statistics(const data::LabelledImages& set) {
  std::array<std::int64_t, 256> histogram{};
  for (const std::uint8_t v : set.images.as<std::uint8_t>()) ++histogram[v];
  const auto count = static_cast<double>(set.images.size());
  double sum = 0, squares = 0;
  for (int v = 0; v < 256; ++v) {
    sum += static_cast<double>(histogram[static_cast<std::size_t>(v)]) * v;
    squares += static_cast<double>(histogram[static_cast<std::size_t>(v)]) * v * v;
  }
  const double mean = sum / count;
  return {mean, std::max(1.0, std::sqrt(std::max(0.0, squares / count - mean * mean)))};
}

class ClassifyTask final : public ModelTask<Classifier> {
  /// `f` of what a step takes.
  template <class F>
  auto with_inputs(std::int64_t number, double rate, F f) {
    if (const std::int64_t epoch = number / steps_per_epoch(); epoch != order_epoch_) {
      order_ = shuffle_(shuffle_key_, Array(static_cast<std::int32_t>(epoch)));
      order_epoch_ = epoch;
    }
    state_.optimizer.learning_rate() = Array(static_cast<float>(rate));
    const Array start(static_cast<std::int32_t>(number % steps_per_epoch() * batch_));
    const Array step(static_cast<std::int32_t>(number));
    return f(state_.model, state_.optimizer, train_set_.images, train_set_.labels, order_, start, step, step_key_);
  }

 public:
  explicit ClassifyTask(const Config& config)
      : data_(data::load_images(config.data.path, config.data.classes)),
        train_set_(data_.train),
        test_set_(data_.test),
        valid_set_(data_.valid),
        batch_(config.train.batch),
        key_(static_cast<std::uint64_t>(config.train.seed)),
        shuffle_key_(fold_in(key_, 1)),
        step_key_(fold_in(key_, 2)),
        step_({batch_, {config.augment.shift, config.augment.flip}}, {precision_named(config.train.precision), "step"}),
        shuffle_({static_cast<std::int32_t>(data_.train.size())}, {Precision::Float32, "shuffle"}),
        evaluator_(precision_named(config.train.precision)) {
    const std::int64_t count = data_.train.size();
    if (batch_ > count)
      throw Error(ErrorKind::Usage,
                  fmt::format("'train.batch' is {}, but there are {} training pictures; choose a smaller batch", batch_,
                              count));
    if (data_.train.images.size() > std::numeric_limits<std::int32_t>::max())
      throw Error(ErrorKind::Unsupported,
                  fmt::format("{}: {} pixels of training pictures are more than the 2^31 - 1 that a run holds at once",
                              config.data.path, data_.train.images.size()));
    const auto [mean, deviation] = pixel_statistics(data_.train);
    state_.model = {
        Array(static_cast<float>(mean)), Array(static_cast<float>(deviation)),
        make_net(config, fold_in(key_, 0), data_.image_shape(), static_cast<std::int64_t>(data_.classes.size()))};
    state_.optimizer = make_optimizer(config, state_.model);
  }

  [[nodiscard]] std::string description() const override {
    return fmt::format("{} pictures to train, {} to test", data_.train.size(), data_.test.size());
  }
  [[nodiscard]] const char* unit() const override { return "examples"; }
  [[nodiscard]] std::int64_t parameters() const override { return parameter_count(state_.model.net); }
  [[nodiscard]] std::int64_t steps_per_epoch() const override { return data_.train.size() / batch_; }
  std::int64_t examples(std::int64_t steps) override { return steps * batch_; }

  bool compile() override {
    keep();
    const StepOutputs out = step(0, 0);
    (void)out.loss.item<float>();
    go_back();
    evaluator_.compile(trained(), has_valid() ? valid_set_ : test_set_);
    if (has_valid()) evaluator_.compile(trained(), test_set_);
    return !detail::storage_of(out.loss)->on_host();
  }

  StepOutputs step(std::int64_t number, double rate) override {
    return with_inputs(number, rate, [&](auto&... inputs) { return step_(inputs...); });
  }
  Call call(std::int64_t number, double rate) override {
    return {step_.latest(),
            with_inputs(number, rate, [](auto&... inputs) { return detail::argument_arrays(std::tuple(inputs...)); })};
  }
  double operations_per_example() override {
    return ir::operation_count(*step_.latest()->graph) / static_cast<double>(batch_);
  }

  [[nodiscard]] const char* validation() const override { return has_valid() ? "valid" : "test"; }
  Quality evaluate() override {
    const Evaluation result = evaluator_(trained(), has_valid() ? valid_set_ : test_set_);
    return {result.loss, result.accuracy};
  }
  Quality finish(ReportData& report, Summary&) override {
    const Evaluation test = evaluator_(trained(), test_set_, true);
    report.classes = data_.classes;
    add_predictions(report, data_.test, test);
    return {test.loss, test.accuracy};
  }

  void save(Checkpoint& checkpoint) const override {
    ModelTask::save(checkpoint);
    checkpoint.model.metadata = describe_model(data_.classes, data_.image_shape());
  }

 private:
  [[nodiscard]] bool has_valid() const { return data_.valid.size() > 0; }

  data::ImageDataset data_;
  ResidentImages train_set_, test_set_, valid_set_;
  std::int64_t batch_;
  Key key_, shuffle_key_, step_key_;
  Jit<StepFunction> step_;
  Jit<ShuffleFunction> shuffle_;
  Evaluator evaluator_;
  Array order_;
  std::int64_t order_epoch_ = -1;
};

}  // namespace

std::unique_ptr<Task> make_classify_task(const Config& config) { return std::make_unique<ClassifyTask>(config); }

}  // namespace tessera::train
