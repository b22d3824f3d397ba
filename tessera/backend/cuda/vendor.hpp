// The vendor's kernels on one device: products by cuBLASLt, convolutions by cuDNN, where these libraries are here.
// What they do not take is generated. Read next: backend/cuda/cublaslt.hpp, backend/cuda/choices.hpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/backend/cuda/call.hpp"
#include "tessera/backend/cuda/device.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::cuda {

class Vendor {
 public:
  virtual ~Vendor() = default;
  /// Whether `prepare` gives a call for it, epilogue included.
  virtual bool takes(const pass::LibraryCall& call, Precision precision) = 0;
  /// Called with the device entered. The call must not outlive this object.
  virtual std::unique_ptr<Call> prepare(const pass::LibraryCall& call, Precision precision) = 0;
  /// The libraries in use, for fingerprints: " cuBLASLt 13.1".
  [[nodiscard]] virtual std::string versions() const = 0;
  /// The algorithms chosen so far, as text; and choices of an earlier run, to be made again.
  [[nodiscard]] virtual std::string choices() const { return {}; }
  virtual void restore(std::string_view) {}
};

/// The libraries of this machine.
std::unique_ptr<Vendor> make_vendor(const std::shared_ptr<Device>& device);

/// What the libraries would take, without them: for plans of devices that are not there.
bool vendor_would_take(const pass::LibraryCall& call, Precision precision);

/// Which of them are here, for a driver of this major version (0: none).
std::vector<LibraryInfo> vendor_libraries(int driver_major);

}  // namespace tessera::cuda
