// Measuring training steps.
#include "tessera/train/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "tessera/array/jit.hpp"
#include "tessera/array/transforms.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/nn/recurrent.hpp"
#include "tessera/train/model.hpp"
#include "tessera/train/optimizer.hpp"
#include "tessera/train/translate.hpp"

namespace tessera::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kStepsAhead = 32;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Config config_of(const std::string& name) {
  Config config;
  if (name == "mlp") {
    config.model.hidden = {256, 128};
  } else if (name == "lenet") {
    config.model.channels = {6, 16};
    config.model.kernel = 5;
    config.model.padding = {"same", "valid"};
    config.model.hidden = {120, 84};
  } else if (name == "cnn") {
    config.model.channels = {32, 64};
    config.model.hidden = {128};
  } else {
    throw Error(ErrorKind::Usage,
                "there is no benchmark '" + name + "'; there are mlp, lenet, cnn, lstm and translator");
  }
  return config;
}

/// An embedding, an LSTM and logits at each step.
struct SequenceNet {
  nn::Embedding embedding;
  nn::Lstm lstm;
  nn::Linear logits;
  TESSERA_FIELDS(embedding, lstm, logits)

  Array operator()(const Array& words, nn::Context& context) const {
    return logits(lstm(embedding(words), context).outputs);
  }
};
constexpr std::int64_t kWords = 10000, kWidth = 256, kSteps = 32, kClasses = 1000;

SequenceNet make_sequence_net(const Key& key) {
  const auto k = split<3>(key);
  return {.embedding = {k[0], kWords, kWidth}, .lstm = {k[1], kWidth, kWidth}, .logits = {k[2], kWidth, kClasses}};
}

/// `step` compiled for `state`, which it changes; `examples` are those of a step.
template <class Step, class... State>
Workload workload_of(const BenchCase& which, std::int64_t examples, Step step, State... state) {
  auto compiled = jit(std::move(step), {.precision = which.precision, .name = which.name});
  auto run = [compiled, held = std::make_shared<std::tuple<State...>>(std::move(state)...)]() mutable {
    return std::apply(compiled, *held);
  };
  Workload workload;
  const Clock::time_point first = Clock::now();
  (void)run().template item<float>();
  workload.compile_seconds = since(first);
  workload.flops_per_example = ir::operation_count(*compiled.latest()->graph) / static_cast<double>(examples);
  // A device computes while the next steps are enqueued: a loss is read now and then, and at the end of a window.
  const std::int64_t ahead = default_device().name.starts_with("cuda") ? kStepsAhead : 1;
  workload.examples = ahead * examples;
  workload.steps = [run, ahead]() mutable {
    for (std::int64_t i = 1; i < ahead; ++i) (void)run();
    (void)run().template item<float>();
  };
  return workload;
}

template <class Model>
Workload training(const BenchCase& which, const Model& model, const Array& inputs, const Array& targets) {
  const auto step = [](Model& net, optim::Sgd& sgd, const Array& x, const Array& y) {
    auto loss = [](Model& m, const Array& in, const Array& wanted) {
      nn::Context context = nn::Context::evaluation();
      return nn::cross_entropy(m(in, context), wanted);
    };
    auto [value, gradient] = value_and_grad(loss)(net, x, y);
    sgd.update(net, gradient);
    return value;
  };
  return workload_of(which, which.batch, step, model, optim::Sgd(model, 0.01, 0.9), inputs, targets);
}

/// The translator of recipes/translate.toml, without the mean of its parameters, on random sentences: 17 to 24 pieces,
/// padded to 24. An example is a piece of a target.
Workload translator_training(const BenchCase& which, const Key& model_key, const Key& data_key) {
  constexpr std::int64_t kPieces = 8000, kLength = 24, kLengths = 8;
  constexpr double kSmoothing = 0.1;
  Config config;
  config.model.embedding = 256;
  config.model.width = 384;
  config.model.dropout = 0.3;
  config.optimizer.kind = "adam";
  config.optimizer.clip = 1;
  const auto keys = split<4>(data_key);
  const auto sentences = [&](const Key& key) {
    return random::integers(key, {which.batch, kLength}, data::Vocabulary::kEnd + 1, kPieces);
  };
  // Each length of a source with each length of a target.
  const Array row = arange(which.batch);
  const Array source_length = kLength - row % kLengths, target_length = kLength - row / kLengths % kLengths;
  const Array output = where(nn::length_mask(target_length, kLength), sentences(keys[2]), data::Vocabulary::kPad);

  const auto step = [](Translator& model, Optimizer& optimizer, const Array& source, const Array& length,
                       const Array& before, const Array& wanted, const Key& key) {
    nn::Context context{.training = true, .key = key};
    const auto loss = [](const Translator& m, const Array& s, const Array& l, const Array& b, const Array& w,
                         nn::Context& c) {
      const BatchLikelihood sums = batch_likelihood(logits(m, s, l, b, c), w, kSmoothing);
      return sums.smoothed / astype(sums.tokens, DType::F32);
    };
    auto [value, gradient] = value_and_grad(loss)(model, source, length, before, wanted, context);
    optimizer.update(model, gradient);
    return value;
  };
  const Translator model = make_translator(config, model_key, kPieces);
  return workload_of(which, sum(target_length).item<std::int64_t>(), step, model, make_optimizer(config, model),
                     sentences(keys[0]), source_length, sentences(keys[1]), output, keys[3]);
}

}  // namespace

std::vector<std::string> bench_nets() { return {"mlp", "lenet", "cnn", "lstm", "translator"}; }

std::vector<std::int64_t> bench_batches(const std::string& net) {
  if (net == "lstm" || net == "translator") return {64};
  (void)config_of(net);
  if (net == "cnn") return {128, 512};
  return {128};
}

Workload make_workload(const BenchCase& which, std::uint64_t seed) {
  const auto [net_key, input_key, label_key] = split<3>(Key(seed));
  if (which.name == "translator") return translator_training(which, net_key, input_key);
  if (which.name == "lstm")
    return training(which, make_sequence_net(net_key), random::integers(input_key, {which.batch, kSteps}, 0, kWords),
                    random::integers(label_key, {which.batch, kSteps}, 0, kClasses));
  return training(which, make_net(config_of(which.name), net_key, {28, 28, 1}, 10),
                  random::uniform(input_key, {which.batch, 28, 28, 1}),
                  random::integers(label_key, {which.batch}, 0, 10));
}

double measure(const Workload& workload, double seconds) {
  const Clock::time_point start = Clock::now();
  std::int64_t rounds = 0;
  do {
    workload.steps();
    ++rounds;
  } while (since(start) < seconds);
  return static_cast<double>(rounds * workload.examples) / since(start);
}

BenchRow run_bench(const BenchCase& which, double seconds, std::uint64_t seed) {
  const Workload workload = make_workload(which, seed);
  (void)measure(workload, 0.3);  // the caches and the clocks are warm then
  std::vector<double> rates;
  const Clock::time_point start = Clock::now();
  do {
    rates.push_back(measure(workload, 0.25));
  } while (since(start) < seconds);
  std::sort(rates.begin(), rates.end());
  return {which,        rates[rates.size() / 2],    rates.front(),
          rates.back(), workload.flops_per_example, workload.compile_seconds};
}

}  // namespace tessera::train
