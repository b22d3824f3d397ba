// What this machine can do at most, measured: the ground of every fraction in reports and benchmarks.
#pragma once

#include <string>

namespace tessera::train {

struct MachineLimits {
  double gemm_gflops = 0;  ///< f32 matrix product of the current device
  double fma_gflops = 0;   ///< f32 multiply-adds in registers
  double copy_gbs = 0;     ///< bytes read and written by a copy in memory
};

/// Measures each for about `seconds`, with the default device and number of threads; the best round counts.
MachineLimits measure_limits(double seconds);
/// The processor's name, as it calls itself.
std::string processor_name();
/// The number of threads that 0 stands for: the processors granted to this process.
int granted_threads();

}  // namespace tessera::train
