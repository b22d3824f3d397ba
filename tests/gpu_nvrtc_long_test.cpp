// Every operation on every type, and random kernels, as machine code for each architecture by NVRTC. Skipped where it
// is not to be had. See gpu_nvrtc_test.cpp for what is asked of the code.
#include <gtest/gtest.h>

#include <random>

#include "gpu_kernels.hpp"
#include "operations.hpp"
#include "tessera/backend/cuda/driver.hpp"
#include "tessera/core/error.hpp"

namespace tessera::kernel {
namespace {

TEST(Nvrtc, EveryOperationAndRandomKernelsCompileForEveryArchitecture) {
  const cuda::Compiler* compiler = nullptr;
  try {
    compiler = &cuda::Compiler::machine(0);
  } catch (const Error& e) {
    GTEST_SKIP() << e.what();
  }
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<Kernel> kernels = operation_kernels();
  kernels.push_back(testing::functions_kernel());
  for (int n = 0; n < 24; ++n) {
    kernels.emplace_back().name = "random";
    Generator(kernels.back(), random).run(true);
  }
  for (const int architecture : {80, 90, 120}) {
    std::string log;  // asked for, so that the cache on disk is not used
    EXPECT_EQ(compiler->compile(testing::cuda_text(kernels), architecture, &log).substr(1, 3), "ELF");
  }
}

}  // namespace
}  // namespace tessera::kernel
