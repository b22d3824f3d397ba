// What a training step of a recurrent layer takes, by its operations: the library's cells beside one that a user wrote.
// Loss and gradients of 64 rows of 32 steps, 256 features. Usage: cells_bench [--benchmark_repetitions=5]
#include <benchmark/benchmark.h>

#include "tessera/ir/primitive.hpp"
#include "tessera/tessera.hpp"

using namespace tessera;

namespace {

/// The minimal gated unit (Zhou et al., 2016), written as anyone would.
struct MinimalCell {
  using State = Array;
  Array input, gate, candidate, bias;
  TESSERA_FIELDS(input, gate, candidate, bias)

  MinimalCell() = default;
  MinimalCell(const Key& key, std::int64_t in, std::int64_t hidden) : bias(zeros({2 * hidden})) {
    const auto k = split<3>(key);
    input = nn::init::glorot_uniform(k[0], {in, 2 * hidden}, in, hidden);
    gate = nn::init::glorot_uniform(k[1], {hidden, hidden}, hidden, hidden);
    candidate = nn::init::glorot_uniform(k[2], {hidden, hidden}, hidden, hidden);
  }
  [[nodiscard]] Array project(const Array& x) const { return matmul(x, input) + bias; }
  [[nodiscard]] Array step(const Array& projected, const Array& h) const {
    const auto parts = split(projected, 2, -1);
    const Array f = sigmoid(parts[0] + matmul(h, gate));
    return h + f * (tanh(parts[1] + matmul(f * h, candidate)) - h);
  }
  [[nodiscard]] Array start(std::int64_t batch) const { return zeros({batch, gate.shape(0)}); }
};

template <class Layer>
void training_step(benchmark::State& state) {
  const auto [key, input_key] = split<2>(Key(1));
  const Layer layer(key, 256, 256);
  const Array x = random::normal(input_key, {64, 32, 256});
  auto step = jit(value_and_grad([](const Layer& l, const Array& in) {
    nn::Context context = nn::Context::evaluation();
    return sum(l(in, context).outputs);
  }));
  (void)step(layer, x);
  for ([[maybe_unused]] auto _ : state) (void)step(layer, x).first.template item<float>();
  state.counters["operations"] =
      benchmark::Counter(ir::operation_count(*step.latest()->graph), benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(training_step<nn::Lstm>)->Name("nn::Lstm")->UseRealTime();
BENCHMARK(training_step<nn::Gru>)->Name("nn::Gru")->UseRealTime();
BENCHMARK(training_step<nn::Recurrent<MinimalCell>>)->Name("a user's minimal gated unit")->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
