// What this machine can do at most, measured: the ground of every fraction in reports and benchmarks.
#pragma once

#include <string>

#include "tessera/core/backend.hpp"

namespace tessera::train {

struct MachineLimits {
  double gemm_gflops = 0;  ///< matrix product in the precision asked for: of bf16 matrices, or of f32 ones
  double fma_gflops = 0;   ///< f32 multiply-adds in registers; 0: not measured
  double copy_gbs = 0;     ///< bytes read and written by a copy in memory
};

/// Measures each for about `seconds`, on the default device if it is a GPU, else on the processor with the default
/// number of threads; the best round counts.
MachineLimits measure_limits(double seconds, Precision precision = Precision::Float32);
/// The processor's name, as it calls itself.
std::string processor_name();
/// The number of threads that 0 stands for: the processors granted to this process.
int granted_threads();

}  // namespace tessera::train
