// Measuring the machine. The multiply-add loop keeps twelve independent sums a thread, enough to hide their latency.
#include "tessera/train/limits.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tessera/array/jit.hpp"
#include "tessera/array/ops.hpp"
#include "tessera/array/random.hpp"

namespace tessera::train {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Runs `work` on `threads` threads, again and again for `seconds`; returns units of the best round by its time.
double best_rate(int threads, double seconds, double units, const std::function<void(int)>& work) {
  double best = 0;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point round = Clock::now();
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (std::thread& other : others) other.join();
    best = std::max(best, units / since(round));
  } while (since(start) < seconds);
  return best;
}

constexpr int kSums = 12;
constexpr std::int64_t kTurns = 4'000'000;

// One function for each width: intrinsics inline only where the function's own target has them.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) float fma_loop_512() {
  __m512 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.999F), b = _mm512_set1_ps(0.001F);
  for (std::int64_t turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 12
    for (__m512& s : sums) s = _mm512_fmadd_ps(s, a, b);
  }
  float total = 0;
  for (const __m512& s : sums) total += _mm512_cvtss_f32(s);
  return total;
}

__attribute__((target("avx2,fma"))) float fma_loop_256() {
  __m256 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.999F), b = _mm256_set1_ps(0.001F);
  for (std::int64_t turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 12
    for (__m256& s : sums) s = _mm256_fmadd_ps(s, a, b);
  }
  float total = 0;
  for (const __m256& s : sums) total += _mm256_cvtss_f32(s);
  return total;
}
#endif

float fma_loop_plain() {
  float sums[kSums] = {};
  for (std::int64_t turn = 0; turn < kTurns; ++turn) {
    for (float& s : sums) s = s * 0.999F + 0.001F;
  }
  float total = 0;
  for (const float s : sums) total += s;
  return total;
}

double measure_fma(int threads, double seconds) {
  double lanes = 1;
  float (*loop)() = fma_loop_plain;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0) {
    lanes = 16;
    loop = fma_loop_512;
  } else if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    lanes = 8;
    loop = fma_loop_256;
  }
#endif
  std::vector<float> sink(static_cast<std::size_t>(threads));
  const double operations = 2.0 * lanes * kSums * static_cast<double>(kTurns) * threads;
  return best_rate(threads, seconds, operations * 1e-9, [&](int t) { sink[static_cast<std::size_t>(t)] = loop(); });
}

double measure_copy(int threads, double seconds) {
  constexpr std::size_t kBytes = std::size_t{128} << 20;
  const StoragePtr from = allocate_host(kBytes), to = allocate_host(kBytes);
  std::memset(from->data(), 1, kBytes);
  std::memset(to->data(), 2, kBytes);
  const std::size_t part = kBytes / static_cast<std::size_t>(threads);
  return best_rate(threads, seconds, 2.0 * static_cast<double>(part) * threads * 1e-9, [&](int t) {
    const std::size_t at = part * static_cast<std::size_t>(t);
    std::memcpy(to->data() + at, from->data() + at, part);
  });
}

/// Rounds of `work` on arrays, which may still run when it returns: one element of the last result is read.
double measure_arrays(double seconds, double units, int times, const std::function<Array()>& work) {
  const auto round = [&](int) {
    Array result = work();
    for (int i = 1; i < times; ++i) result = work();
    (void)result.at(0).at(0).literal();
  };
  round(0);
  return best_rate(1, seconds, units * times, round);
}

double measure_gemm(double seconds, Precision precision, std::int64_t size, int times) {
  auto product = jit([](const Array& a, const Array& b) { return matmul(a, b); }, {precision, "gemm"});
  const auto [first, second] = split<2>(Key(1));
  const DType dtype = precision == Precision::BFloat16 ? DType::BF16 : DType::F32;
  const Array a = astype(random::uniform(first, {size, size}), dtype);
  const Array b = astype(random::uniform(second, {size, size}), dtype);
  const auto n = static_cast<double>(size);
  return measure_arrays(seconds, 2e-9 * n * n * n, times, [&] { return product(a, b); });
}

/// Large enough to fill a GPU, and to pass its caches by.
MachineLimits measure_gpu(double seconds, Precision precision) {
  constexpr std::int64_t kProduct = 8192, kRows = 8192, kColumns = 16384;
  constexpr int kTimes = 8;
  auto negation = jit([](const Array& x) { return -x; }, {.name = "copy"});
  const Array x = random::uniform(Key(2), {kRows, kColumns});
  return {.gemm_gflops = measure_gemm(seconds, precision, kProduct, kTimes),
          .fma_gflops = 0,
          .copy_gbs = measure_arrays(seconds, 8e-9 * static_cast<double>(kRows * kColumns), kTimes,
                                     [&] { return negation(x); })};
}

}  // namespace

MachineLimits measure_limits(double seconds, Precision precision) {
  const std::string device = default_device().name;
  if (device.starts_with("cuda")) return measure_gpu(seconds, precision);
  // The machine's limits are those of its processor, also when a run computes elsewhere (the reference interpreter).
  set_default_device("cpu");
  const double gemm = measure_gemm(seconds, Precision::Float32, 1024, 1);
  set_default_device(device);
  const int threads = default_threads() > 0 ? default_threads() : granted_threads();
  return {.gemm_gflops = gemm, .fma_gflops = measure_fma(threads, seconds), .copy_gbs = measure_copy(threads, seconds)};
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

int granted_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace tessera::train
