// NVIDIA GPUs as backends: one for each device. Read next: pass/program.hpp (what lower gives),
// backend/cuda/executable.hpp (what runs it).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tessera/backend/cuda/executable.hpp"
#include "tessera/backend/cuda/vendor.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/backend.hpp"

namespace tessera::cuda {

/// What a backend is made of: this machine's parts, or a test's.
struct Parts {
  const Driver* driver = nullptr;
  int driver_version = 0;
  std::string compiler;  ///< "NVRTC 13.0"
  /// Machine code of the kernels of a program.
  std::function<std::string(const KernelSet& kernels, int architecture)> compile;
  /// The vendor's kernels on a device; null: all steps are generated.
  std::function<std::unique_ptr<Vendor>(const std::shared_ptr<Device>& device)> vendor;
};

/// The backend of the GPU of this number. Throws Error (Unsupported) naming what is missing: driver, GPU, compiler.
std::unique_ptr<Backend> make_backend(int ordinal);
std::unique_ptr<Backend> make_backend(const Parts& parts, int ordinal);

/// What the passes are told of a GPU with so many multiprocessors. `takes`: Vendor::takes, or nothing.
pass::Target target_of(int multiprocessors, Precision precision,
                       std::function<bool(const pass::LibraryCall& call, Precision precision)> takes);

/// Number of GPUs that programs can run on; 0 when anything that this needs is missing.
int usable_devices();
/// A row for each GPU; or one that says what is missing and where it was looked for.
std::vector<DeviceInfo> devices();

}  // namespace tessera::cuda
