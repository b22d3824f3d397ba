// Measuring training steps.
#include "tessera/train/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "tessera/array/jit.hpp"
#include "tessera/array/transforms.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"
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
    throw Error(ErrorKind::Usage, "there is no benchmark '" + name + "'; there are mlp, lenet and cnn");
  }
  return config;
}

}  // namespace

std::vector<BenchCase> bench_cases() { return {{"mlp", 128}, {"lenet", 128}, {"cnn", 128}, {"cnn", 512}}; }

BenchRow run_bench(const BenchCase& which, double seconds, std::uint64_t seed) {
  const auto [net_key, image_key, label_key] = split<3>(Key(seed));
  Net net = make_net(config_of(which.name), net_key, {28, 28, 1}, 10);
  optim::Sgd optimizer(net, 0.01, 0.9);
  const Array images = random::uniform(image_key, {which.batch, 28, 28, 1});
  const Array labels = random::integers(label_key, {which.batch}, 0, 10);
  auto step = jit(
      [](Net& model, optim::Sgd& sgd, const Array& x, const Array& y) {
        auto loss = [](Net& m, const Array& inputs, const Array& targets) {
          nn::Context context = nn::Context::evaluation();
          return nn::cross_entropy(m(inputs, context), targets);
        };
        auto [value, gradient] = value_and_grad(loss)(model, x, y);
        sgd.update(model, gradient);
        return value;
      },
      {.name = which.name});

  BenchRow row{.name = which.name, .batch = which.batch};
  const Clock::time_point first = Clock::now();
  (void)step(net, optimizer, images, labels).template item<float>();
  row.compile_seconds = since(first);
  row.flops_per_example = ir::operation_count(*step.latest()->graph) / static_cast<double>(which.batch);

  // A device computes while the next steps are enqueued: a loss is read now and then, and at the end of a window.
  const std::int64_t ahead = default_device().name.starts_with("cuda") ? kStepsAhead : 1;
  const auto run_steps = [&] {
    for (std::int64_t i = 1; i < ahead; ++i) (void)step(net, optimizer, images, labels);
    (void)step(net, optimizer, images, labels).template item<float>();
  };
  for (const Clock::time_point warm = Clock::now(); since(warm) < 0.3;) run_steps();
  std::vector<double> rates;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point window = Clock::now();
    std::int64_t steps = 0;
    do {
      run_steps();
      steps += ahead;
    } while (since(window) < 0.25);
    rates.push_back(static_cast<double>(steps * which.batch) / since(window));
  } while (since(start) < seconds);
  std::sort(rates.begin(), rates.end());
  row.median = rates[rates.size() / 2];
  row.least = rates.front();
  row.most = rates.back();
  return row;
}

}  // namespace tessera::train
