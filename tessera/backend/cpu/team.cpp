// Threads by OpenMP (libgomp, the runtime that oneDNN uses too, so that there is one pool). The thread sanitizer does
// not understand libgomp: with TESSERA_TEAM_STD our own loops run on std::thread and libraries get one thread.
#include "tessera/backend/cpu/team.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#ifdef TESSERA_TEAM_STD
extern "C" void omp_set_num_threads(int) __attribute__((weak));  // there when a library brought OpenMP with it
#else
#include <omp.h>
#endif

#include "tessera/core/error.hpp"

namespace tessera::cpu {
namespace {

int affinity_count() {
  for (int cpus = CPU_SETSIZE; cpus <= CPU_SETSIZE * 64; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
    if (set == nullptr) break;
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    const bool known = sched_getaffinity(0, size, set) == 0;
    const int count = known ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (known) return std::max(count, 1);
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// CPUs by the quota of one control group folder; 0 when it sets none.
double quota(const std::string& folder) {
  std::string limit;
  double period = 0;
  if (std::ifstream v2(folder + "/cpu.max"); v2 >> limit >> period)
    return limit == "max" || period <= 0 ? 0 : std::atof(limit.c_str()) / period;
  double microseconds = 0;
  std::ifstream v1(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
  if (v1 >> microseconds && v1_period >> period && microseconds > 0 && period > 0) return microseconds / period;
  return 0;
}

/// The smallest quota on the way from this process's control group up to the root.
int cgroup_limit() {
  double least = 0;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("cpu") == std::string::npos) continue;
    const std::string root = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      if (path == "/") path.clear();
      const double cpus = quota(root + path);
      if (cpus > 0 && (least == 0 || cpus < least)) least = cpus;
      if (path.empty() || path.find('/') == std::string::npos) break;
    }
  }
  return least > 0 ? std::max(1, static_cast<int>(std::ceil(least))) : INT_MAX;
}

int count_granted() {
  int count = std::min(affinity_count(), cgroup_limit());
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text != nullptr && std::atoi(text) > 0)
    count = std::min(count, std::atoi(text));
  return std::max(count, 1);
}

std::int64_t part(std::int64_t extent, int index, int count) {
  return extent / count * index + std::min<std::int64_t>(index, extent % count);
}

/// Keeps the first exception of a team.
class FirstError {
 public:
  void keep() {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

int granted_cpus() {
  static const int count = count_granted();
  return count;
}

#ifdef TESSERA_TEAM_STD

int plan_threads(int wanted) { return wanted > 0 ? wanted : granted_cpus(); }

void parallel_for(int threads, std::int64_t extent, void (*function)(void*, std::int64_t, std::int64_t),
                  void* context) {
  threads = static_cast<int>(std::min<std::int64_t>(threads, extent));
  if (threads <= 1) return function(context, 0, extent);
  FirstError error;
  const auto run = [&](int index) {
    try {
      function(context, part(extent, index, threads), part(extent, index + 1, threads));
    } catch (...) {
      error.keep();
    }
  };
  std::vector<std::thread> team;
  for (int index = 1; index < threads; ++index) team.emplace_back(run, index);
  run(0);
  for (std::thread& thread : team) thread.join();
  error.rethrow();
}

void with_team(int, const std::function<void()>& body) {
  if (omp_set_num_threads != nullptr) omp_set_num_threads(1);
  body();
}

#else

namespace {

int count_team(int threads) {
  std::atomic<int> count = 0;
#pragma omp parallel num_threads(threads)
  count.fetch_add(1, std::memory_order_relaxed);
  return count;
}

/// Sets the calling thread's team and restores it.
class TeamScope {
 public:
  explicit TeamScope(int threads) : threads_(omp_get_max_threads()), dynamic_(omp_get_dynamic()) {
    if (dynamic_ != 0) omp_set_dynamic(0);
    if (threads_ != threads) omp_set_num_threads(threads);
    changed_ = threads_ != threads;
  }
  ~TeamScope() {
    if (dynamic_ != 0) omp_set_dynamic(dynamic_);
    if (changed_) omp_set_num_threads(threads_);
  }
  TeamScope(const TeamScope&) = delete;
  TeamScope& operator=(const TeamScope&) = delete;

 private:
  int threads_, dynamic_;
  bool changed_ = false;
};

bool limited() { return omp_get_thread_limit() != INT_MAX; }

void on_another_thread(const std::function<void()>& body) {
  FirstError error;
  std::thread([&] {
    try {
      body();
    } catch (...) {
      error.keep();
    }
  }).join();
  error.rethrow();
}

}  // namespace

int plan_threads(int wanted) {
  int threads = wanted > 0 ? wanted : granted_cpus();
  if (!limited() || threads == 1) return threads;
  const auto count = [&] {
    const TeamScope scope(threads);
    threads = std::min(threads, count_team(threads));
  };
  omp_in_parallel() ? on_another_thread(count) : count();
  return threads;
}

void parallel_for(int threads, std::int64_t extent, void (*function)(void*, std::int64_t, std::int64_t),
                  void* context) {
  threads = static_cast<int>(std::min<std::int64_t>(threads, extent));
  if (threads <= 1 || omp_in_parallel()) return function(context, 0, extent);
  FirstError error;
#pragma omp parallel num_threads(threads)
  {
    // A smaller team than asked for takes several parts each: which elements go together never changes.
    for (int index = omp_get_thread_num(); index < threads; index += omp_get_num_threads()) {
      try {
        function(context, part(extent, index, threads), part(extent, index + 1, threads));
      } catch (...) {
        error.keep();
      }
    }
  }
  error.rethrow();
}

void with_team(int threads, const std::function<void()>& body) {
  if (omp_in_parallel()) return on_another_thread([&] { with_team(threads, body); });
  const TeamScope scope(threads);
  if (!limited() || threads == 1) return body();
  // Teams of several user threads share the limit: one at a time.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (const int got = count_team(threads); got != threads)
    throw Error("the program was compiled for " + std::to_string(threads) + " threads and the system gives " +
                std::to_string(got) + " now; raise OMP_THREAD_LIMIT or compile with fewer threads");
  body();
}

#endif

}  // namespace tessera::cpu
