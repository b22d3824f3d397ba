// A prepared call of a vendor's kernel: what cublaslt.cpp and cudnn.cpp make of a library step, and executable.cpp
// runs.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "tessera/backend/cuda/api.hpp"

namespace tessera::cuda {

class Call {
 public:
  virtual ~Call() = default;
  /// Enqueues the work. `arguments`: the device addresses of the operands, the addends of the epilogue, the results.
  /// `scratch`: scratch_bytes, aligned to 256. May be recorded into a CUDA graph: it neither waits nor allocates.
  virtual void run(std::span<const DevicePointer> arguments, DevicePointer scratch, Stream stream) = 0;
  [[nodiscard]] virtual std::size_t scratch_bytes() const = 0;
  /// The names of the kernels in use.
  [[nodiscard]] virtual std::string implementation() const = 0;
};

}  // namespace tessera::cuda
