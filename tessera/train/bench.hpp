// The nets of `tessera bench`: one training step on a fixed batch, again and again for some seconds.
// The same nets as bench/nets.py, so that other frameworks run the same work.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tessera/core/backend.hpp"

namespace tessera::train {

struct BenchCase {
  std::string name;
  std::int64_t batch = 0;  ///< examples of a step; of the translator, pairs of sentences
  Precision precision = Precision::Float32;
};

/// A net compiled, its state and its batch: ready to train.
struct Workload {
  std::function<void()> steps;  ///< trains some steps and waits for them
  std::int64_t examples = 0;    ///< in these; those of the translator are the pieces of the targets
  double flops_per_example = 0;
  double compile_seconds = 0;
};
/// With the default device and number of threads. Throws Error (Usage) for an unknown name.
Workload make_workload(const BenchCase& which, std::uint64_t seed);
/// Examples per second, training for `seconds`.
double measure(const Workload& workload, double seconds);

struct BenchRow {
  BenchCase of;
  double median = 0, least = 0, most = 0;  ///< examples per second, of windows of a quarter of a second
  double flops_per_example = 0;
  double compile_seconds = 0;
};

/// mlp, lenet, cnn, lstm, translator.
std::vector<std::string> bench_nets();
/// The batches at which a net is measured when nobody says other ones. Throws Error (Usage) for an unknown name.
std::vector<std::int64_t> bench_batches(const std::string& net);
/// Trains one of them for `seconds`; see make_workload.
BenchRow run_bench(const BenchCase& which, double seconds, std::uint64_t seed);

}  // namespace tessera::train
