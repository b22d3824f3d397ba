// The threads of the CPU backend. This pair of files alone starts, counts and configures them.
// In: an amount of independent work and a number of threads. Read next: backend/cpu/executable.cpp, its user.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace tessera::cpu {

/// CPUs that this process may use: its affinity mask, the quotas of its control groups and OMP_NUM_THREADS. At least 1.
int granted_cpus();

/// The number of threads an executable gets when `wanted` were asked for (0: granted_cpus()).
/// Starts the team once, so that a limit (OMP_THREAD_LIMIT) shows when a program is compiled and not when it runs.
int plan_threads(int wanted);

/// Runs `function(context, begin, end)` over [0, extent) in `threads` contiguous parts and waits for all of them.
/// The parts depend on `extent` and `threads` alone. Inside someone's parallel region: in this thread, in one part.
/// The first exception is thrown again here.
void parallel_for(int threads, std::int64_t extent, void (*function)(void*, std::int64_t, std::int64_t), void* context);

template <class F>
void parallel_for(int threads, std::int64_t extent, F&& body) {
  using Body = std::remove_reference_t<F>;
  parallel_for(
      threads, extent,
      [](void* context, std::int64_t begin, std::int64_t end) { (*static_cast<Body*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

/// Runs `body` with the calling thread's team set to exactly `threads`, for libraries that start their own parallel
/// regions, and restores what was set before. oneDNN leaves results unwritten without a word when it gets fewer threads
/// than it planned for, so: called from inside a parallel region, `body` runs on a thread outside of it; and where a
/// limit is set the team is counted first. Throws Error when it is too small.
void with_team(int threads, const std::function<void()>& body);

}  // namespace tessera::cpu
