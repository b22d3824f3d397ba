// Runs CUDA C++ that the renderer made on the host: the text is compiled by the system's C++ compiler, with what CUDA
// gives a kernel defined in C++. The threads of a block are fibers. Each runs on, in a random order, until a barrier or
// a shuffle stops it, so that a barrier that is missing, or that not all threads reach, shows. For tests.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::testing {

class CudaOnHost {
 public:
  explicit CudaOnHost(const std::vector<const kernel::Kernel*>& kernels) : kernels_(kernels) {
    std::vector<std::string> names;
    for (const kernel::Kernel* k : kernels) names.push_back(k->name + "_" + std::to_string(names.size()));
    std::string source = host_text(kernel::render_cuda(kernels, names));
    std::string launch =
        "extern \"C\" int launch(int kernel, void* const* a, int blocks, int threads, unsigned seed) {\n";
    for (std::size_t n = 0; n < kernels.size(); ++n) {
      source += "static void run_" + std::to_string(n) + "() { " + names[n] + "(";
      for (std::size_t i = 0; i < kernels[n]->arguments.size(); ++i)
        source += (i == 0 ? "Any{arguments_[" : ", Any{arguments_[") + std::to_string(i) + "]}";
      source += "); }\n";
      launch += "  if (kernel == " + std::to_string(n) + ") body_ = run_" + std::to_string(n) + ";\n";
    }
    source += launch + "  return run_blocks(a, blocks, threads, seed);\n}\n";
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera-cuda-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw Error("cannot create a folder like " + pattern);
    const std::filesystem::path folder = pattern;
    std::ofstream(folder / "kernels.cpp") << source;
    const std::string command = "c++ -std=c++17 -O1 -w -march=native -ffp-contract=off -fno-strict-aliasing -fPIC " +
                                std::string("-shared -o '") + (folder / "kernels.so").string() + "' '" +
                                (folder / "kernels.cpp").string() + "'";
    if (std::system(command.c_str()) != 0) throw Error("the C++ compiler refuses CUDA text; see " + folder.string());
    void* handle = dlopen((folder / "kernels.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw Error(std::string("cannot load kernels: ") + dlerror());
    launch_ = reinterpret_cast<Launch>(dlsym(handle, "launch"));
    std::filesystem::remove_all(folder);
  }

  /// Throws Error where threads wait for others that never come.
  void run(std::size_t kernel, void* const* arguments, unsigned seed) const {
    const kernel::Kernel& k = *kernels_.at(kernel);
    const int state = launch_(static_cast<int>(kernel), arguments, static_cast<int>(k.parallel_extent()),
                              static_cast<int>(k.threads()), seed);
    if (state != 0) throw Error("threads of a block wait for each other for ever");
  }

 private:
  using Launch = int (*)(int, void* const*, int, int, unsigned);

  /// In place of CUDA's types the system's, and functions in place of single instructions.
  static std::string host_text(std::string cuda) {
    const auto replace = [&](const std::string& from, const std::string& to) {
      for (std::size_t at = cuda.find(from); at != std::string::npos; at = cuda.find(from, at + to.size()))
        cuda.replace(at, from.size(), to);
    };
    replace("typedef long long int64_t;\n", "");
    replace("typedef unsigned long long uint64_t;\n", "");
    const std::string memory = "__shared__ __align__(16) unsigned char block_memory[";
    for (std::size_t at = cuda.find(memory); at != std::string::npos; at = cuda.find(memory, at))
      cuda.erase(at, cuda.find(';', at) + 1 - at);
    replace(R"(asm("min.NaN.f32 %0, %1, %2;" : "=f"(value) : "f"(a), "f"(b)))", "value = min_nan(a, b)");
    replace(R"(asm("max.NaN.f32 %0, %1, %2;" : "=f"(value) : "f"(a), "f"(b)))", "value = -min_nan(-a, -b)");
    replace(R"(asm("cvt.rn.f16.f32 %0, %1;" : "=h"(value) : "f"(a)))", "value = to_half<_Float16>(a)");
    replace(R"(asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(value) : "f"(a)))", "value = to_bf16(a)");
    replace(R"(asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(a)))", "value = from_half<_Float16>(a)");
    return kHost + cuda;
  }

  static constexpr const char* kHost = R"(
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#undef NAN
#undef INFINITY
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(n)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(16) longlong2 { long long x, y; };
struct alignas(16) ulonglong2 { unsigned long long x, y; };
template <class To, class From> static To bits(From from) { To to; memcpy(&to, &from, sizeof to); return to; }
static float __int_as_float(int a) { return bits<float>(a); }
static float __uint_as_float(unsigned a) { return bits<float>(a); }
static int __float_as_int(float a) { return bits<int>(a); }
static unsigned __float_as_uint(float a) { return bits<unsigned>(a); }
static double __longlong_as_double(long long a) { return bits<double>(a); }
static long long __double_as_longlong(double a) { return bits<long long>(a); }
static int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
static int __clz(int a) { return a == 0 ? 32 : __builtin_clz((unsigned)a); }
static int __clzll(long long a) { return a == 0 ? 64 : __builtin_clzll((unsigned long long)a); }
static float min_nan(float a, float b) {
  if (a != a || b != b) return __int_as_float(0x7fffffff);
  return a == b ? __uint_as_float(__float_as_uint(a) | __float_as_uint(b)) : a < b ? a : b;
}
template <class H> static uint16_t to_half(float a) { return bits<uint16_t>((H)a); }
template <class H> static float from_half(uint16_t a) { return (float)bits<H>(a); }
static uint16_t to_bf16(float a) {
  const uint32_t word = __float_as_uint(a);
  return (uint16_t)((word + 0x7fff + ((word >> 16) & 1)) >> 16);
}
struct Any { void* p; template <class T> operator T*() const { return (T*)p; } };

static struct { unsigned x; } threadIdx, blockIdx;
alignas(16) static unsigned char block_memory[48 * 1024];
enum State { kReady, kBarrier, kShuffle, kDone };
static struct { ucontext_t context; State state; int turn; } fibers_[1024];
static ucontext_t scheduler_;
static unsigned char* stacks_;
static unsigned long long slots_[2][1024];
static void (*body_)();
static void* const* arguments_;
constexpr size_t kStack = 64 * 1024;

static void stop(State state) {
  const unsigned me = threadIdx.x;
  fibers_[me].state = state;
  swapcontext(&fibers_[me].context, &scheduler_);
}
static void __syncthreads() { stop(kBarrier); }
template <class T> static T __shfl_xor_sync(unsigned, T value, int offset) {
  const unsigned me = threadIdx.x;
  unsigned long long* slots = slots_[fibers_[me].turn++ % 2];
  memcpy(&slots[me], &value, sizeof value);
  stop(kShuffle);
  T other;
  memcpy(&other, &slots[me ^ offset], sizeof other);
  return other;
}
static void enter() {
  body_();
  fibers_[threadIdx.x].state = kDone;
}
static int run_blocks(void* const* arguments, int blocks, int threads, unsigned seed) {
  arguments_ = arguments;
  if (stacks_ == nullptr) stacks_ = (unsigned char*)malloc(1024 * kStack);
  for (int block = 0; block < blocks; ++block) {
    memset(block_memory, 0xa5, sizeof block_memory);
    for (int t = 0; t < threads; ++t) {
      getcontext(&fibers_[t].context);
      fibers_[t].context.uc_stack.ss_sp = stacks_ + t * kStack;
      fibers_[t].context.uc_stack.ss_size = kStack;
      fibers_[t].context.uc_link = &scheduler_;
      fibers_[t].state = kReady;
      fibers_[t].turn = 0;
      makecontext(&fibers_[t].context, enter, 0);
    }
    int done = 0, first = 0;
    while (done < threads) {
      seed = seed * 1664525u + 1013904223u;
      // One warp runs on for a while, its threads forwards or backwards; the others stay behind.
      const int warps = threads / 32, flip = seed >> 31 != 0 ? 31 : 0;
      if (seed >> 27 == 0) first = (int)((seed >> 8) % (unsigned)warps);
      bool moved = false;
      for (int w = 0; w < warps && !moved; ++w)
        for (int i = 0; i < 32; ++i) {
          const int t = (first + w) % warps * 32 + (i ^ flip);
          if (fibers_[t].state != kReady) continue;
          moved = true;
          threadIdx.x = (unsigned)t;
          blockIdx.x = (unsigned)block;
          swapcontext(&scheduler_, &fibers_[t].context);
          done += fibers_[t].state == kDone;
        }
      int waiting = 0;
      for (int warp = 0; warp < threads; warp += 32) {
        int shuffling = 0;
        for (int t = warp; t < warp + 32; ++t) shuffling += fibers_[t].state == kShuffle;
        for (int t = warp; t < warp + 32; ++t) {
          waiting += fibers_[t].state == kBarrier;
          if (shuffling == 32) fibers_[t].state = kReady, moved = true;
        }
      }
      if (waiting == threads)
        for (int t = 0; t < threads; ++t) fibers_[t].state = kReady;
      else if (!moved)
        return 1;
    }
  }
  return 0;
}
)";

  std::vector<const kernel::Kernel*> kernels_;
  Launch launch_ = nullptr;
};

}  // namespace tessera::testing
