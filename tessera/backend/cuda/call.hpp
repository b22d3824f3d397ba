// A prepared call of a vendor's kernel: what cublaslt.cpp and cudnn.cpp make of a library step, and executable.cpp
// runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tessera/backend/cuda/api.hpp"
#include "tessera/core/dtype.hpp"

namespace tessera::cuda {

/// Buffers start at multiples of this (pass::Buffer::offset).
constexpr std::int64_t kAlignment = 64;

/// True of the element types whose products and convolutions the vendor's libraries compute.
inline bool known_types(DType lhs, DType rhs, DType result) {
  if (lhs != rhs) return false;
  if (lhs == DType::F32 || lhs == DType::F64) return result == lhs;
  return (lhs == DType::BF16 || lhs == DType::F16) && (result == lhs || result == DType::F32);
}

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
