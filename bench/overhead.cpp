// What a call costs beside its arithmetic: a compiled function on a scalar, each further leaf of its arguments, one
// operation outside of jit. bench/run.py puts it into RESULTS.md.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tessera/tessera.hpp"

using namespace tessera;

namespace {

void call_on_a_scalar(benchmark::State& state) {
  auto f = jit([](const Array& x) { return x + 1; });
  const Array x = 2.0F;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(f(x));
}

void call_with_leaves(benchmark::State& state) {
  auto f = jit([](const std::vector<Array>& leaves) { return leaves.front() + 1; });
  const std::vector<Array> leaves(static_cast<std::size_t>(state.range(0)), Array(2.0F));
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(f(leaves));
}

void call_that_updates_leaves(benchmark::State& state) {
  auto f = jit([](std::vector<Array>& leaves) {
    for (Array& leaf : leaves) leaf = leaf + 1;
  });
  std::vector<Array> leaves(static_cast<std::size_t>(state.range(0)), Array(2.0F));
  for ([[maybe_unused]] auto _ : state) f(leaves);
}

void operation_without_jit(benchmark::State& state) {
  const Array x = 2.0F;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(x + 1);
}

/// A cache line that goes to another core and back: what two threads pay to hand each other anything. On a virtual
/// machine the host may move the cores, and this with them.
void line_between_cores(benchmark::State& state) {
  std::atomic<std::int64_t> word = 0;  // even: the other thread's answer; odd: a question; -1: the end
  std::thread other([&] {
    for (std::int64_t seen = 0; seen >= 0; seen = word.load())
      if (seen % 2 == 1) word.store(seen + 1);
  });
  std::int64_t turn = 0;
  for ([[maybe_unused]] auto _ : state) {
    word.store(turn + 1);
    turn += 2;
    while (word.load() != turn) {
    }
  }
  word.store(-1);
  other.join();
}

BENCHMARK(line_between_cores)->Name("a cache line to the other core and back");
BENCHMARK(call_on_a_scalar)->Name("jit(x + 1) on a scalar");
BENCHMARK(call_with_leaves)->Name("jit, leaves in the argument:")->Arg(1)->Arg(101);
BENCHMARK(call_that_updates_leaves)->Name("jit, leaves read and written:")->Arg(1)->Arg(101);
BENCHMARK(operation_without_jit)->Name("x + 1 without jit");

}  // namespace

BENCHMARK_MAIN();
