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
#include "tessera/optim/optim.hpp"
#include "tessera/train/model.hpp"

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
    throw Error(ErrorKind::Usage, "there is no benchmark '" + name + "'; there are mlp, lenet, cnn and lstm");
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

template <class Model>
Workload training(const BenchCase& which, Model model, Array inputs, Array targets) {
  struct State {
    Model net;
    optim::Sgd optimizer;
    Array x, y;
  };
  optim::Sgd optimizer(model, 0.01, 0.9);
  const auto state =
      std::make_shared<State>(State{std::move(model), std::move(optimizer), std::move(inputs), std::move(targets)});
  auto step = jit(
      [](Model& net, optim::Sgd& sgd, const Array& x, const Array& y) {
        auto loss = [](Model& m, const Array& in, const Array& wanted) {
          nn::Context context = nn::Context::evaluation();
          return nn::cross_entropy(m(in, context), wanted);
        };
        auto [value, gradient] = value_and_grad(loss)(net, x, y);
        sgd.update(net, gradient);
        return value;
      },
      {.precision = which.precision, .name = which.name});

  Workload workload;
  const Clock::time_point first = Clock::now();
  (void)step(state->net, state->optimizer, state->x, state->y).template item<float>();
  workload.compile_seconds = since(first);
  workload.flops_per_example = ir::operation_count(*step.latest()->graph) / static_cast<double>(which.batch);
  // A device computes while the next steps are enqueued: a loss is read now and then, and at the end of a window.
  const std::int64_t ahead = default_device().name.starts_with("cuda") ? kStepsAhead : 1;
  workload.examples = ahead * which.batch;
  workload.steps = [state, step, ahead]() mutable {
    for (std::int64_t i = 1; i < ahead; ++i) (void)step(state->net, state->optimizer, state->x, state->y);
    (void)step(state->net, state->optimizer, state->x, state->y).template item<float>();
  };
  return workload;
}

}  // namespace

std::vector<std::string> bench_nets() { return {"mlp", "lenet", "cnn", "lstm"}; }

std::vector<std::int64_t> bench_batches(const std::string& net) {
  if (net == "lstm") return {64};
  (void)config_of(net);
  if (net == "cnn") return {128, 512};
  return {128};
}

Workload make_workload(const BenchCase& which, std::uint64_t seed) {
  const auto [net_key, input_key, label_key] = split<3>(Key(seed));
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
