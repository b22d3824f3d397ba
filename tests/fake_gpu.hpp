// A GPU made of host memory, behind the driver's table of functions. Work that is enqueued runs as late as a GPU may
// run it: when something waits for it. Kernels are run by the interpreter of the kernel IR, vendor's kernels by the
// reference. What a driver would refuse or a GPU get wrong is counted as a violation: calls that are illegal while a
// graph is recorded, addresses outside of live memory, arguments that overlap.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tessera/backend/cuda/backend.hpp"

namespace tessera::testing {

/// The fake's state; there is one, because a driver's functions have no place for more.
struct FakeGpu {
  static FakeGpu& get();
  /// As after a fresh start: everything that was made with it must be gone.
  void reset();
  /// After a device was lost: the driver works again, for new devices.
  void recover();
  /// Parts of a backend on it. The driver is the same table each time.
  [[nodiscard]] static cuda::Parts parts();

  // What it is.
  std::size_t memory = std::size_t{1} << 30;
  bool has_products = false;      ///< f32 products are the vendor's
  bool products_recorded = true;  ///< and can be part of a graph
  // What goes wrong: the driver's result for the launch of, or in, the kernel whose name begins like this.
  std::string refused_kernel, broken_kernel;
  int error = 0;
  /// Kernels that may still run before the device is lost; -1: any number.
  std::int64_t kernels_left = -1;

  // What happened: "allocate 512", "upload 4", "launch add", "record", "graph of 5", ... Cleared by tests.
  std::vector<std::string> calls;
  std::vector<std::string> violations;
  /// Calls that begin with `what`.
  [[nodiscard]] std::size_t count(const std::string& what) const;
  /// Bytes of device memory in use, pinned memory, handles that are alive.
  std::size_t used = 0, pinned = 0, handles = 0;
};

}  // namespace tessera::testing
