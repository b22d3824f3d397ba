// Kernels for a GPU: what verify refuses; plain C (threads one after the other), CUDA C++ (threads as fibers) and the
// interpreter against each other (any NaN equals any NaN), and against loops written here.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "cuda_on_host.hpp"
#include "gpu_kernels.hpp"
#include "kernel_interpreter.hpp"
#include "operations.hpp"
#include "tessera/backend/cpu/ccompiler.hpp"

namespace tessera::kernel {
namespace {

using testing::CudaOnHost;
using testing::gpu_kernels;
using testing::KernelInterpreter;

/// Numbers to compute with, without edge values.
Buffers plain_buffers(const Kernel& k, std::mt19937& random) {
  Buffers buffers;
  for (const Argument& a : k.arguments) {
    Literal buffer(TensorType{a.dtype, {a.count}});
    for (std::int64_t i = 0; i < a.count; ++i) {
      if (is_float(a.dtype))
        buffer.set_double(i, std::uniform_real_distribution<double>(-2, 2)(random));
      else
        buffer.set_integer(i, static_cast<std::int64_t>(random() % 15));
    }
    buffers.push_back(buffer);
  }
  return buffers;
}

std::vector<void*> pointers(const Buffers& buffers) {
  std::vector<void*> result;
  for (const Literal& b : buffers) result.push_back(b.data());
  return result;
}

void expect_same(const Kernel& k, const Buffers& by_c, const Buffers& other, const char* whose) {
  for (std::size_t a = 0; a < by_c.size(); ++a) {
    const std::int64_t at = difference(by_c[a], other[a]);
    ASSERT_EQ(at, -1) << k.name << ", argument " << k.arguments[a].name << ": C has " << by_c[a].get_double(at) << ", "
                      << whose << " " << other[a].get_double(at) << "\n"
                      << to_string(k) << render_c(k) << render_cuda({&k}, {k.name});
  }
}

class GpuKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const unsigned seed = std::random_device{}();
    trace_ = std::make_unique<::testing::ScopedTrace>(__FILE__, __LINE__, "seed " + std::to_string(seed));
    random.seed(seed);
  }
  std::mt19937 random;

  /// What the C text makes of the buffers, blocks in two parts.
  static void run_c(const Kernel& k, const Buffers& buffers) {
    const Kernel* one[] = {&k};
    const auto compiled = cpu::compile_by_c(one);
    run_c(compiled[0], k, buffers);
  }
  static void run_c(const cpu::KernelFunction& f, const Kernel& k, const Buffers& buffers) {
    const std::int64_t blocks = k.parallel_extent();
    f.run(pointers(buffers).data(), 0, blocks / 2);
    f.run(pointers(buffers).data(), blocks / 2, blocks);
  }

 private:
  std::unique_ptr<::testing::ScopedTrace> trace_;
};

TEST_F(GpuKernelTest, TheInterpreterPlainCAndCudaComputeTheSameBits) {
  std::vector<Kernel> kernels = gpu_kernels();
  const std::size_t by_hand = kernels.size();
  for (Kernel& k : operation_kernels()) kernels.push_back(std::move(k));
  kernels.push_back(testing::functions_kernel());
  for (int n = 0; n < 12; ++n) {
    kernels.emplace_back().name = "random" + std::to_string(n);
    Generator(kernels.back(), random).run(true);
  }
  std::vector<const Kernel*> all;
  for (const Kernel& k : kernels) {
    ASSERT_NO_THROW(verify(k)) << to_string(k);
    all.push_back(&k);
  }
  const auto c = cpu::compile_by_c(all);
  const CudaOnHost cuda(all);
  for (std::size_t n = 0; n < kernels.size(); ++n)
    for (const bool edges : {true, false}) {  // a NaN among them hides what else is wrong in a sum
      const Kernel& k = kernels[n];
      const Buffers by_c = edges ? make_buffers(k, random) : plain_buffers(k, random);
      const Buffers by_cuda = copy(by_c);
      const Buffers by_interpreter = copy(by_c);
      run_c(c[n], k, by_c);
      ASSERT_NO_THROW(cuda.run(n, pointers(by_cuda).data(), random())) << k.name;
      expect_same(k, by_c, by_cuda, "CUDA");
      if (n >= by_hand || HasFailure()) continue;
      KernelInterpreter(k, pointers(by_interpreter)).run();
      expect_same(k, by_c, by_interpreter, "the interpreter");
    }
}

TEST_F(GpuKernelTest, RowsColumnsAndSoftmaxAreWhatLoopsGive) {
  const std::int64_t rows = 37, columns = 700;
  for (const std::int64_t width : {1, 8, 32, 256}) {
    const Kernel k = testing::rows_kernel(DType::F32, Op::Add, rows, columns, width);
    const Buffers buffers = plain_buffers(k, random);
    run_c(k, buffers);
    for (std::int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += buffers[0].get_double(r * columns + c);
      EXPECT_NEAR(buffers[1].get_double(r), sum, 1e-3) << "row " << r << ", width " << width;
    }
  }
  const Kernel by_columns = testing::columns_kernel(301, 192, 8, 16);
  Buffers buffers = plain_buffers(by_columns, random);
  run_c(by_columns, buffers);
  for (std::int64_t c = 0; c < 192; ++c) {
    double sum = 0;
    for (std::int64_t r = 0; r < 301; ++r) sum += buffers[0].get_double(r * 192 + c);
    EXPECT_NEAR(buffers[1].get_double(c), sum, 1e-3) << "column " << c;
  }
  const Kernel softmax = testing::softmax_kernel(6, 1000, 128);
  buffers = plain_buffers(softmax, random);
  run_c(softmax, buffers);
  for (std::int64_t r = 0; r < 6; ++r) {
    double sum = 0;
    for (std::int64_t c = 0; c < 1000; ++c) sum += std::exp(buffers[0].get_double(r * 1000 + c));
    for (std::int64_t c = 0; c < 1000; ++c)
      EXPECT_NEAR(buffers[1].get_double(r * 1000 + c), std::exp(buffers[0].get_double(r * 1000 + c)) / sum, 1e-7);
  }
}

TEST_F(GpuKernelTest, TilesRoundsAndUpdatesAreWhatLoopsGive) {
  const Kernel transpose = testing::transpose_kernel(DType::F32, 100, 70);
  Buffers buffers = plain_buffers(transpose, random);
  run_c(transpose, buffers);
  for (std::int64_t r = 0; r < 100; ++r)
    for (std::int64_t c = 0; c < 70; ++c)
      ASSERT_EQ(buffers[1].get_double(c * 100 + r), buffers[0].get_double(r * 70 + c));

  const Kernel rounds = testing::rounds_kernel(96);
  buffers = plain_buffers(rounds, random);
  run_c(rounds, buffers);
  for (std::int64_t block = 0; block < 2; ++block) {
    std::vector<std::int64_t> mine(96), cells(96);
    for (std::size_t t = 0; t < 96; ++t) mine[t] = buffers[0].get_integer(block * 96 + static_cast<std::int64_t>(t));
    for (int round = 0; round < 3; ++round) {
      for (std::size_t t = 0; t < 96; ++t) cells[(t + 40) % 96] = mine[t] * 3;
      for (std::size_t t = 0; t < 96; ++t) mine[t] = cells[(t + 1) % 96] + 1;
    }
    for (std::size_t t = 0; t < 96; ++t)
      EXPECT_EQ(buffers[1].get_integer(block * 96 + static_cast<std::int64_t>(t)), mine[(t + 7) % 96] - 5);
  }

  const Kernel update = testing::update_kernel(16, 192);
  buffers = plain_buffers(update, random);
  const Buffers before = copy(buffers);
  run_c(update, buffers);
  for (std::int64_t i = 0; i < 16 * 192; ++i)
    EXPECT_EQ(buffers[2].get_double(i),
              static_cast<float>(before[2].get_double(i)) +
                  static_cast<float>(before[0].get_double(i)) * static_cast<float>(before[1].get_double(i / 192)));
}

/// A kernel with one statement at block level, put there by `build`.
template <class Build>
std::string complaint_of(Build&& build, LoopKind outer = LoopKind::Grid) {
  Kernel k;
  k.name = "bad";
  Builder b(k);
  const auto out = b.argument("out", DType::F32, 4096, true);
  const auto x = b.local("x", DType::F32);
  b.open(outer, "block", 4);
  build(b, out, x);
  b.close();
  return complaint(k);
}

TEST(GpuVerify, NamesTheRuleThatIsBroken) {
  const auto threads = [](Builder& b, std::int64_t n, std::int32_t x) {
    b.open(LoopKind::Threads, "t", n);
    b.write(x, b.constant(DType::F32, 1));
    b.close();
  };
  const auto says = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks " << part;
  };
  EXPECT_EQ(complaint_of([&](Builder& b, auto, auto x) { threads(b, 64, x); }), "");
  says(complaint_of([&](Builder&, auto, auto) {}), "holds no threads loop");
  says(complaint_of([&](Builder& b, auto, auto x) { threads(b, 64, x); }, LoopKind::Parallel),
       "not inside a grid loop");
  says(complaint_of([&](Builder& b, auto, auto x) { threads(b, 40, x); }), "multiple of 32");
  says(complaint_of([&](Builder& b, auto, auto x) { threads(b, 2048, x); }), "at most 1024");
  says(complaint_of([&](Builder& b, auto, auto x) {
         threads(b, 64, x);
         threads(b, 32, x);
       }),
       "all of a kernel have one");
  says(complaint_of([&](Builder& b, auto out, auto x) {
         threads(b, 64, x);
         b.store(out, b.index(0), b.constant(DType::F32, 0));
       }),
       "outside of the threads loops");
  says(complaint_of([&](Builder& b, auto, auto x) {
         threads(b, 64, x);
         b.open(LoopKind::Vector, "j", 4);
         b.close();
       }),
       "outside of the threads loops");
  says(complaint_of([&](Builder& b, auto, auto) {
         b.open(LoopKind::Threads, "t", 32);
         b.open(LoopKind::Vector, "j", 17);
         b.close();
         b.close();
       }),
       "more than 16 elements");
  says(complaint_of([&](Builder& b, auto, auto x) {
         b.open(LoopKind::Threads, "t", 32);
         threads(b, 32, x);
         b.close();
       }),
       "inside another");
  says(complaint_of([&](Builder& b, auto, auto x) {
         threads(b, 32, x);
         b.open_if(b.integer(DType::Bool, 1));
         b.close();
       }),
       "outside of a threads loop");
  says(complaint_of([&](Builder& b, auto, auto x) {
         b.open(LoopKind::Threads, "t", 32);
         b.combine(x, Op::Add, 32);
         b.close();
       }),
       "inside a threads loop");
  for (const auto& [width, stride] : {std::pair{3, 1}, {2, 3}, {64, 2}, {64, 1}})
    says(complaint_of([&, w = width, s = stride](Builder& b, auto, auto x) {
           threads(b, 96, x);
           b.combine(x, Op::Add, w, s);
         }),
         "powers of two whose product divides the 96 threads");
  says(complaint_of([&](Builder& b, auto, auto x) {
         threads(b, 96, x);
         b.combine(x, Op::Xor, 32);
       }),
       "no monoid of its type");
  says(complaint_of([&](Builder& b, auto, auto x) {
         threads(b, 96, x);
         b.combine(b.local("together", DType::F32, 1, true), Op::Add, 32);
       }),
       "which is shared");
  says(complaint_of([&](Builder& b, auto, auto x) {
         threads(b, 96, x);
         b.local("large", DType::F32, 10000, true);
         b.local("larger", DType::F64, 2000, true);
       }),
       "takes 56000 bytes of shared memory");
}

TEST(GpuText, ReadsWell) {
  EXPECT_EQ(to_string(testing::rows_kernel(DType::F32, Op::Add, 8, 64, 32, 32)),
            "kernel rows_add_f32_32\n"
            "  in  a: f32[512]\n"
            "  out out: f32[8]\n"
            "  local sum: f32[1]\n"
            "  %4: i64 = multiply block, 64\n"
            "  %6: i64 = add %4, t\n"
            "  %9: i64 = multiply s, 32\n"
            "  %10: i64 = add %6, %9\n"
            "  %11: f32 = a[%10]\n"
            "  %12: f32 = sum[0]\n"
            "  %13: f32 = add %11, %12\n"
            "  %15: i1 = equal t, 0\n"
            "  grid block < 8\n"
            "    threads t < 32\n"
            "      sum[0] = 0\n"
            "      serial s < 2\n"
            "        sum[0] = %13\n"
            "    combine sum by add: 32 threads, stride 1\n"
            "    threads t < 32\n"
            "      if %15\n"
            "        out[block] = %12\n");
}

}  // namespace
}  // namespace tessera::kernel
