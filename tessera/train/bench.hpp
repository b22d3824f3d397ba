// The nets of `tessera bench`: one training step on a fixed batch, again and again for some seconds.
// The same nets as bench/nets.py, so that other frameworks run the same work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::train {

struct BenchCase {
  std::string name;
  std::int64_t batch = 0;
};

struct BenchRow {
  std::string name;
  std::int64_t batch = 0;
  double median = 0, least = 0, most = 0;  ///< examples per second, of windows of about a quarter of a second
  double flops_per_example = 0;
  double compile_seconds = 0;
};

/// mlp 128, lenet 128, cnn 128, cnn 512.
std::vector<BenchCase> bench_cases();
/// Trains one of them with the default device and number of threads. Throws Error (Usage) for an unknown name.
BenchRow run_bench(const BenchCase& which, double seconds, std::uint64_t seed);

}  // namespace tessera::train
