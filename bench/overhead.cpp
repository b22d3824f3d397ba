// What a call costs beside its arithmetic: a compiled function on a scalar, each further leaf of its arguments, one
// operation outside of jit. bench/run.py puts it into RESULTS.md.
#include <benchmark/benchmark.h>

#include <vector>

#include "tessera/tessera.hpp"

using namespace tessera;

namespace {

void call_on_a_scalar(benchmark::State& state) {
  auto f = jit([](const Array& x) { return x + 1; });
  const Array x = 2.0F;
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
}

void call_with_leaves(benchmark::State& state) {
  auto f = jit([](const std::vector<Array>& leaves) { return leaves.front() + 1; });
  const std::vector<Array> leaves(static_cast<std::size_t>(state.range(0)), Array(2.0F));
  for (auto _ : state) benchmark::DoNotOptimize(f(leaves));
}

void call_that_updates_leaves(benchmark::State& state) {
  auto f = jit([](std::vector<Array>& leaves) {
    for (Array& leaf : leaves) leaf = leaf + 1;
  });
  std::vector<Array> leaves(static_cast<std::size_t>(state.range(0)), Array(2.0F));
  for (auto _ : state) f(leaves);
}

void operation_without_jit(benchmark::State& state) {
  const Array x = 2.0F;
  for (auto _ : state) benchmark::DoNotOptimize(x + 1);
}

BENCHMARK(call_on_a_scalar)->Name("jit(x + 1) on a scalar");
BENCHMARK(call_with_leaves)->Name("jit, leaves in the argument:")->Arg(1)->Arg(101);
BENCHMARK(call_that_updates_leaves)->Name("jit, leaves read and written:")->Arg(1)->Arg(101);
BENCHMARK(operation_without_jit)->Name("x + 1 without jit");

}  // namespace

BENCHMARK_MAIN();
