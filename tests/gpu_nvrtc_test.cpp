// What NVRTC makes of kernels for a GPU: machine code for each architecture, without spills; vectors, shuffles, 32-bit
// indices and no contraction in its assembly text. Skipped where NVRTC is not to be had.
#include <gtest/gtest.h>

#include "gpu_kernels.hpp"
#include "operations.hpp"
#include "tessera/backend/cuda/driver.hpp"
#include "tessera/core/error.hpp"

namespace tessera::kernel {
namespace {

class NvrtcTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      compiler = &cuda::Compiler::machine(0);
    } catch (const Error& e) {
      GTEST_SKIP() << e.what();
    }
  }
  const cuda::Compiler* compiler = nullptr;

  /// The kernel's assembly text.
  static std::string ptx(const Kernel& k) {
    const cuda::Library library = cuda::Library::open(cuda::nvrtc_name(0), cuda::library_folders());
    const cuda::Nvrtc nvrtc = cuda::load_nvrtc(library);
    const auto size_of_text =
        reinterpret_cast<int (*)(cuda::NvrtcProgram, std::size_t*)>(library.need("nvrtcGetPTXSize"));
    const auto get_text = reinterpret_cast<int (*)(cuda::NvrtcProgram, char*)>(library.need("nvrtcGetPTX"));
    cuda::NvrtcProgram program = nullptr;
    const std::string source = testing::cuda_text({k});
    nvrtc.create(&program, source.c_str(), "kernel.cu", 0, nullptr, nullptr);
    const char* options[] = {"--gpu-architecture=compute_90", "--fmad=false"};
    EXPECT_EQ(nvrtc.compile(program, 2, options), 0) << source;
    std::size_t size = 0;
    size_of_text(program, &size);
    std::string result(size, ' ');
    get_text(program, result.data());
    nvrtc.destroy(&program);
    return result;
  }

  static std::int64_t count(const std::string& text, const std::string& part) {
    std::int64_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }
};

TEST_F(NvrtcTest, KernelsCompileForEveryArchitectureWithoutSpills) {
  const std::vector<Kernel> kernels = testing::gpu_kernels();
  for (const int architecture : {80, 90, 120}) {
    std::string log;
    const std::string code = compiler->compile(testing::cuda_text(kernels), architecture, &log);
    EXPECT_EQ(code.substr(1, 3), "ELF");
    EXPECT_EQ(count(log, " 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"),
              static_cast<std::int64_t>(kernels.size()))
        << log;
    EXPECT_EQ(count(log, "warning"), 0) << log;
  }
}

TEST_F(NvrtcTest, EveryOperationCompiles) {
  std::vector<Kernel> kernels = operation_kernels();
  kernels.push_back(testing::functions_kernel());
  EXPECT_EQ(compiler->compile(testing::cuda_text(kernels), 90).substr(1, 3), "ELF");
}

TEST_F(NvrtcTest, VectorLoopsMoveSixteenBytes) {
  for (const DType d : {DType::F32, DType::BF16, DType::F64, DType::I16, DType::U8, DType::Bool}) {
    const std::string copy = ptx(testing::copy_kernel(d, 2048));
    EXPECT_EQ(count(copy, "ld.global"), 1) << copy;
    EXPECT_EQ(count(copy, "st.global"), 1) << copy;
    EXPECT_EQ(count(copy, d == DType::F64 ? "ld.global.v2" : "ld.global.v4"), 1) << copy;
    EXPECT_EQ(count(copy, d == DType::F64 ? "st.global.v2" : "st.global.v4"), 1) << copy;
  }
  const std::string update = ptx(testing::update_kernel(16, 192));
  EXPECT_EQ(count(update, "ld.global.nc.v4"), 1) << update;  // 8 of bf16, which no store can reach
  EXPECT_EQ(count(update, "ld.global.v4"), 2) << update;     // 8 of f32
  EXPECT_EQ(count(update, "st.global.v4"), 2) << update;
  const std::string softmax = ptx(testing::softmax_kernel(6, 1000, 128));
  EXPECT_EQ(count(softmax, "ld.global.v4"), 2) << softmax;
  EXPECT_EQ(count(softmax, "local"), 0) << softmax;  // the row is in registers
}

TEST_F(NvrtcTest, NothingIsContractedAndIndicesHave32Bits) {
  const std::string map = ptx(testing::map_kernel(DType::F32, 1000, 8, 32));
  EXPECT_EQ(count(map, "fma"), 0) << map;
  EXPECT_EQ(count(map, "mul.rn.f32"), 8) << map;
  const std::string tiles = ptx(testing::transpose_kernel(DType::F32, 100, 70));
  for (const char* slow : {"div.s64", "div.u64", "rem.s64", "rem.u64", "mul.lo.s64", "mul.hi"})
    EXPECT_EQ(count(tiles, slow), 0) << tiles;
}

TEST_F(NvrtcTest, CombinesShuffleAndBarriersStandWhereTheyMust) {
  const auto rows = [](std::int64_t width) { return ptx(testing::rows_kernel(DType::F32, Op::Add, 37, 700, width)); };
  const std::string warp = rows(32);
  EXPECT_EQ(count(warp, "shfl.sync.bfly"), 5) << warp;
  EXPECT_EQ(count(warp, "bar.sync"), 0) << warp;
  const std::string block = rows(256);
  EXPECT_EQ(count(block, "shfl.sync.bfly"), 8) << block;
  EXPECT_EQ(count(block, "bar.sync"), 1) << block;
  const std::string softmax = ptx(testing::softmax_kernel(6, 1024, 256));
  EXPECT_EQ(count(softmax, "bar.sync"), 3) << softmax;
  EXPECT_EQ(count(ptx(testing::map_kernel(DType::F32, 1000, 8, 32)), "bar.sync"), 0);
}

}  // namespace
}  // namespace tessera::kernel
