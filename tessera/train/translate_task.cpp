// The task of translating: text becomes pieces and batches of a few padded lengths, each of which has its program; a
// step takes one batch. Read next: train/translator.hpp (the model), train/translate.hpp (how it is measured).
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tessera/array/transforms.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/train/task.hpp"
#include "tessera/train/translate.hpp"

namespace tessera::train {
namespace {

using data::BatchPlan;
using data::EncodedPairs;
using data::Vocabulary;

/// One step of training on one batch.
struct StepFunction {
  double smoothing = 0;

  StepOutputs operator()(Translator& model, Optimizer& optimizer, const Array& source, const Array& source_length,
                         const Array& target_input, const Array& target_output, const Array& step,
                         const Key& key) const {
    nn::Context context{.training = true, .key = fold_in(key, step)};
    const auto loss = [this](const Translator& m, const Array& s, const Array& length, const Array& input,
                             const Array& wanted, nn::Context& c) {
      const BatchLikelihood sums = batch_likelihood(logits(m, s, length, input, c), wanted, smoothing);
      const Array tokens = maximum(astype(sums.tokens, DType::F32), 1);
      return std::tuple(sums.smoothed / tokens, sums.loss / tokens, astype(sums.correct, DType::F32) / tokens);
    };
    auto [values, gradient] = value_and_grad(loss)(model, source, source_length, target_input, target_output, context);
    optimizer.update(model, gradient);
    return {std::get<1>(values), std::get<2>(values)};
  }
};

/// The pairs of a split, as pieces, and how they become batches.
struct Split {
  EncodedPairs pairs;
  BatchPlan plan;
  Split(const Vocabulary& vocabulary, data::ParallelSplit& split, const Config& config,
        std::vector<data::PairLength> buckets)
      : pairs(data::encode_pairs(vocabulary, split.text, config.data.max_tokens, split.report)),
        plan(make_plan(buckets, config)) {}
  [[nodiscard]] std::int64_t size() const { return pairs.size(); }

 private:
  BatchPlan make_plan(std::vector<data::PairLength>& buckets, const Config& config) const {
    const std::vector<data::PairLength> lengths = pairs.lengths();
    if (buckets.empty() && !lengths.empty()) buckets = data::choose_buckets(lengths, config.data.buckets);
    return {lengths, buckets, config.train.batch};
  }
};

std::vector<data::PairLength> padded_lengths(const BatchPlan& plan) {
  std::vector<data::PairLength> lengths;
  for (const BatchPlan::Bucket& bucket : plan.buckets()) lengths.push_back(bucket.padded);
  return lengths;
}

Vocabulary make_vocabulary(const Config& config, const data::ParallelText& text, const Path& run) {
  if (!run.empty() && std::filesystem::exists(run / "vocabulary.model"))
    return Vocabulary::load(run / "vocabulary.model");
  return data::train_vocabulary(text.source, text.target, {.size = config.data.vocabulary});
}

class TranslateTask final : public ModelTask<Translator> {
  /// Batch `number` of the run.
  const BatchPlan::Batch& batch(std::int64_t number) {
    return epoch(number / steps_per_epoch()).batches[static_cast<std::size_t>(number % steps_per_epoch())];
  }

  /// `f(program, inputs...)` of a step.
  template <class F>
  auto with_inputs(std::int64_t number, double rate, F f) {
    const BatchPlan::Batch& pairs = batch(number);
    const data::TokenBatch tokens = data::make_batch(train_.pairs, train_.plan, pairs);
    state_.optimizer.learning_rate() = Array(static_cast<float>(rate));
    const Array source(tokens.source), source_length(tokens.source_length), input(tokens.target_input),
        output(tokens.target_output), step(static_cast<std::int32_t>(number));
    return f(steps_[pairs.bucket], state_.model, state_.optimizer, source, source_length, input, output, step, key_);
  }

 public:
  TranslateTask(const Config& config, const Path& run)
      : seed_(static_cast<std::uint64_t>(config.train.seed)),
        corpus_(data::load_parallel(config.data.path, config.data.source, config.data.target)),
        vocabulary_(make_vocabulary(config, corpus_.train.text, run)),
        train_(vocabulary_, corpus_.train, config, {}),
        valid_(vocabulary_, corpus_.valid, config, padded_lengths(train_.plan)),
        test_(vocabulary_, corpus_.test, config, padded_lengths(train_.plan)),
        key_(fold_in(Key(seed_), 2)),
        evaluator_(precision_named(config.train.precision)),
        translate_(vocabulary_, config.data.max_tokens, precision_named(config.train.precision)) {
    if (train_.size() == 0)
      throw Error(fmt::format("{}: all {} training pairs have more than {} pieces; raise data.max_tokens",
                              config.data.path, corpus_.train.text.size(), config.data.max_tokens));
    if (valid_.size() + test_.size() == 0)
      throw Error(
          fmt::format("{}: there is nothing to measure the translations with; add valid.{} and valid.{}, or "
                      "test.{} and test.{}",
                      config.data.path, corpus_.source, corpus_.target, corpus_.source, corpus_.target));
    for (const BatchPlan::Bucket& b : train_.plan.buckets())
      steps_.emplace_back(StepFunction{config.train.smoothing},
                          JitOptions{precision_named(config.train.precision),
                                     fmt::format("step.{}x{}", b.padded.source, b.padded.target)});
    state_.model = make_translator(config, fold_in(Key(seed_), 0), vocabulary_.size());
    state_.optimizer = make_optimizer(config, state_.model);
  }

  [[nodiscard]] std::string description() const override {
    return fmt::format(
        "{}-{}: {} pairs to train ({}), {} valid, {} test, {} pieces, {:.0f} % of the padded tokens are "
        "tokens",
        corpus_.source, corpus_.target, train_.size(), corpus_.train.report.text(), valid_.size(), test_.size(),
        vocabulary_.size(), 100 * train_.plan.fill());
  }
  [[nodiscard]] const char* unit() const override { return "tokens"; }
  [[nodiscard]] std::int64_t parameters() const override { return parameter_count(state_.model); }
  [[nodiscard]] std::int64_t steps_per_epoch() const override { return train_.plan.batches(); }
  std::int64_t examples(std::int64_t steps) override {
    const Epoch& now = epoch(steps / steps_per_epoch());
    return steps / steps_per_epoch() * now.tokens.back() +
           now.tokens[static_cast<std::size_t>(steps % steps_per_epoch())];
  }

  bool compile() override {
    keep();
    bool on_device = false;
    for (const std::int64_t number : first_of_buckets()) {
      if (number < 0) continue;
      const StepOutputs out = step(number, 0);
      (void)out.loss.item<float>();
      on_device = !detail::storage_of(out.loss)->on_host();
      ++compiled_;
    }
    go_back();
    const Split& split = validation_split();
    evaluator_.compile(trained(), split.pairs, split.plan);
    return on_device;
  }
  [[nodiscard]] std::string compiled() const override {
    const data::PairLength shortest = train_.plan.buckets().front().padded,
                           longest = train_.plan.buckets().back().padded;
    return fmt::format("{} programs for sentences padded to {} + {} up to {} + {} pieces", compiled_, shortest.source,
                       shortest.target, longest.source, longest.target);
  }

  StepOutputs step(std::int64_t number, double rate) override {
    return with_inputs(number, rate, [](auto& program, auto&... inputs) { return program(inputs...); });
  }
  Call call(std::int64_t number, double rate) override {
    return with_inputs(number, rate, [](auto& program, auto&... inputs) {
      return Call{program.latest(), detail::argument_arrays(std::tuple(inputs...))};
    });
  }
  [[nodiscard]] std::int64_t typical_step() const override {
    std::vector<std::int64_t> batches(steps_.size());
    const std::vector<BatchPlan::Batch> all = train_.plan.epoch(seed_, 0);
    for (const BatchPlan::Batch& b : all) ++batches[b.bucket];
    const auto most = static_cast<std::size_t>(std::max_element(batches.begin(), batches.end()) - batches.begin());
    return std::find_if(all.begin(), all.end(), [&](const auto& b) { return b.bucket == most; }) - all.begin();
  }
  double operations_per_example() override {
    double operations = 0;
    for (const BatchPlan::Batch& b : epoch(0).batches)
      operations += ir::operation_count(*steps_[b.bucket].latest()->graph);
    return operations / static_cast<double>(epoch(0).tokens.back());
  }

  [[nodiscard]] const char* validation() const override { return valid_.size() > 0 ? "valid" : "test"; }
  Quality evaluate() override { return measure(validation_split()); }
  Quality finish(ReportData& report, Summary& summary) override {
    const bool has_test = test_.size() > 0;
    const data::ParallelText& text = (has_test ? corpus_.test : corpus_.valid).text;
    const TranslationScores scores = score_translations(translate_, trained(), text, kBeam);
    summary.test_bleu = scores.bleu.score;
    summary.test_chrf = scores.chrf.score;
    add_translations(report, text, scores);
    std::vector<std::string> sources, translations;
    for (TranslationSample& sample : samples_to_align(report)) {
      sources.push_back(std::move(sample.source));
      translations.push_back(std::move(sample.translation));
    }
    report.alignments = translate_.align(trained(), sources, translations);
    return measure(has_test ? test_ : valid_);
  }

  void save(Checkpoint& checkpoint) const override {
    ModelTask::save(checkpoint);
    checkpoint.model.metadata = describe_vocabulary(vocabulary_);
  }
  void restore(const Checkpoint& checkpoint, const Path& folder) override {
    check_vocabulary(vocabulary_, checkpoint, folder);
    ModelTask::restore(checkpoint, folder);
  }
  void write_files(const Path& run) const override { vocabulary_.save(run / "vocabulary.model"); }

 private:
  struct Epoch {
    std::vector<BatchPlan::Batch> batches;
    std::vector<std::int64_t> tokens;  ///< of the targets, in the batches before each, and in all
  };
  /// The order of an epoch. The last two are kept: a window of steps may begin in one and end in the next.
  const Epoch& epoch(std::int64_t number) {
    const auto found = epochs_.find(number);
    if (found != epochs_.end()) return found->second;
    if (epochs_.size() > 1) epochs_.erase(number < epochs_.begin()->first ? std::prev(epochs_.end()) : epochs_.begin());
    Epoch made{train_.plan.epoch(seed_, number), {0}};
    for (const BatchPlan::Batch& b : made.batches) {
      std::int64_t tokens = made.tokens.back();
      for (const std::int64_t pair : b.pairs) tokens += std::ssize(train_.pairs.target[pair]) + 1;
      made.tokens.push_back(tokens);
    }
    return epochs_.emplace(number, std::move(made)).first->second;
  }

  /// The first batch of each bucket in the first epoch; -1 where a bucket has none.
  std::vector<std::int64_t> first_of_buckets() {
    std::vector<std::int64_t> first(steps_.size(), -1);
    const std::vector<BatchPlan::Batch>& all = epoch(0).batches;
    for (std::size_t i = all.size(); i-- > 0;) first[all[i].bucket] = static_cast<std::int64_t>(i);
    return first;
  }

  [[nodiscard]] const Split& validation_split() const { return valid_.size() > 0 ? valid_ : test_; }
  Quality measure(const Split& split) {
    const Likelihood all = evaluator_(trained(), split.pairs, split.plan);
    const auto tokens = static_cast<double>(std::max<std::int64_t>(1, all.tokens));
    return {all.loss / tokens, static_cast<double>(all.correct) / tokens};
  }

  std::uint64_t seed_;
  data::ParallelCorpus corpus_;
  Vocabulary vocabulary_;
  Split train_, valid_, test_;
  Key key_;
  std::vector<Jit<StepFunction>> steps_;  ///< of each bucket
  TokenEvaluator evaluator_;
  TextTranslator translate_;
  std::map<std::int64_t, Epoch> epochs_;
  std::int64_t compiled_ = 0;
};

}  // namespace

std::unique_ptr<Task> make_translate_task(const Config& config, const Path& run) {
  return std::make_unique<TranslateTask>(config, run);
}

}  // namespace tessera::train
