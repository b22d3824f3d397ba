// Tessera as a contestant of bench/run.py: a process that waits, as bench/peers.py is for the others.
// In:  the device as argument, then a JSON object a line: {"net", "batch", "precision", "seconds"} trains that long;
//      {"kernel", "width", "seconds"} runs a kernel that memory limits; {"limits": precision} measures the machine;
//      {"translate": RUN, "sentences", "beam"}; {"likelihood": RUN, "source", "target"}; {"bleu": sentences, "target"}.
// Out: a JSON object a line: first one with the device; then {"examples_per_second", "compile_seconds"}, {"gbs"}, the
//      limits, {"sentences_per_second", "translations"}, {"loss"} or {"bleu"}. The first window of a net or kernel
//      compiles it and warms up before its clock starts; a first translation compiles within it.
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tessera/array/jit.hpp"
#include "tessera/array/ops.hpp"
#include "tessera/array/random.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/nn/nn.hpp"
#include "tessera/train/bench.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/limits.hpp"
#include "tessera/train/translate.hpp"

namespace tessera {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

/// Elements of a matrix, as in bench/nets.py.
constexpr std::int64_t kElements = std::int64_t{1} << 27;
constexpr int kRunsBetweenLooks = 16;

/// One run of a kernel on f32 [kElements / width, width], and the matrices that it moves.
struct Kernel {
  std::function<Array()> run;
  double passes = 2;
};

Kernel make_kernel(const std::string& name, std::int64_t width) {
  const auto keys = split<4>(Key(3));
  const Array x = random::normal(keys[0], {kElements / width, width});
  if (name == "copy") return {[step = jit([](const Array& a) { return -a; }), x]() mutable { return step(x); }};
  if (name == "softmax")
    return {[step = jit([](const Array& a) { return softmax(a); }), x]() mutable { return step(x); }};
  if (name == "layer_norm") {
    nn::LayerNorm norm(width);
    norm.scale = random::normal(keys[1], {width});
    norm.shift = random::normal(keys[2], {width});
    auto step = jit([](const nn::LayerNorm& layer, const Array& a) { return layer(a); });
    return {[step, norm, x]() mutable { return step(norm, x); }};
  }
  if (name == "chain") {
    const Array y = random::normal(keys[3], x.shape());
    auto step = jit([](const Array& a, const Array& b) { return tanh(0.5 * a + 1.0) * b + exp(-a * a); });
    return {[step, x, y]() mutable { return step(x, y); }, 3};
  }
  throw Error(ErrorKind::Usage, "there is no kernel " + name);
}

double gigabytes_per_second(const Kernel& kernel, double seconds) {
  const Clock::time_point start = Clock::now();
  double runs = 0, passed = 0;
  do {
    for (int i = 1; i < kRunsBetweenLooks; ++i) (void)kernel.run();
    (void)kernel.run().at(0, 0).item<float>();
    runs += kRunsBetweenLooks;
    passed = std::chrono::duration<double>(Clock::now() - start).count();
  } while (passed < seconds);
  return runs * kernel.passes * 4e-9 * static_cast<double>(kElements) / passed;
}

struct Translating {
  train::TrainedTranslator trained;
  train::TextTranslator translate;
};

/// What has been made ready for earlier questions.
struct Ready {
  std::map<std::string, train::Workload> nets;
  std::map<std::string, Kernel> kernels;
  std::map<std::string, Translating> translators;  ///< by run

  Translating& translator(const std::string& run) {
    const auto found = translators.find(run);
    if (found != translators.end()) return found->second;
    train::TrainedTranslator trained = train::load_translator(run);
    train::TextTranslator translate(trained.vocabulary, trained.config.data.max_tokens, Precision::Float32);
    return translators.emplace(run, Translating{std::move(trained), std::move(translate)}).first->second;
  }
};

using Sentences = std::vector<std::string>;

Json translate(const Json& ask, Ready& ready) {
  Translating& translator = ready.translator(ask.at("translate"));
  const Sentences sentences = ask.at("sentences");
  const Clock::time_point start = Clock::now();
  const Sentences said = translator.translate(translator.trained.model, sentences, ask.at("beam"));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return {{"sentences_per_second", static_cast<double>(sentences.size()) / seconds}, {"translations", said}};
}

Json answer(Json ask, Ready& ready) {
  if (ask.contains("limits")) {
    const auto limits = train::measure_limits(0.5, train::precision_named(ask.at("limits").get<std::string>()));
    return {{"gemm_gflops", limits.gemm_gflops}, {"copy_gbs", limits.copy_gbs}};
  }
  if (ask.contains("translate")) return translate(ask, ready);
  if (ask.contains("likelihood")) {
    const data::ParallelText text{.source = ask.at("source"), .target = ask.at("target"), .lines = {}};
    return {{"loss", train::measure(ready.translator(ask.at("likelihood")).trained, text).loss}};
  }
  if (ask.contains("bleu"))
    return {{"bleu", data::corpus_bleu(ask.at("bleu").get<Sentences>(), ask.at("target").get<Sentences>()).score}};
  const double seconds = ask.at("seconds");
  ask.erase("seconds");
  const std::string key = ask.dump();
  if (ask.contains("kernel")) {
    auto found = ready.kernels.find(key);
    if (found == ready.kernels.end()) {
      found = ready.kernels.emplace(key, make_kernel(ask.at("kernel"), ask.at("width"))).first;
      (void)gigabytes_per_second(found->second, 0);
    }
    return {{"gbs", gigabytes_per_second(found->second, seconds)}};
  }
  auto found = ready.nets.find(key);
  if (found == ready.nets.end()) {
    const Precision precision = train::precision_named(ask.at("precision").get<std::string>());
    found = ready.nets.emplace(key, train::make_workload({ask.at("net"), ask.at("batch"), precision}, 1)).first;
    (void)train::measure(found->second, 0.3);
  }
  return {{"examples_per_second", train::measure(found->second, seconds)},
          {"compile_seconds", found->second.compile_seconds}};
}

}  // namespace
}  // namespace tessera

int main(int count, char** arguments) {
  using namespace tessera;
  try {
    set_default_device(count > 1 ? arguments[1] : "cpu");
    std::cout << Json{{"device", backend(default_device()).describe()}} << std::endl;
    Ready ready;
    for (std::string line; std::getline(std::cin, line);) std::cout << answer(Json::parse(line), ready) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "contestant: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
