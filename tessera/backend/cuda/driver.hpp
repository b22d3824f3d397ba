// The machine's driver and run-time compiler, found once.
// Read next: backend/cuda/library.hpp (where they are looked for), backend/cuda/kernels.hpp, backend/cuda/device.hpp.
#pragma once

#include <string>
#include <vector>

#include "tessera/backend/cuda/api.hpp"
#include "tessera/backend/cuda/library.hpp"

namespace tessera::cuda {

/// Versions of CUDA whose libraries are known here.
constexpr int kOldestMajor = 12, kNewestMajor = 13;

const LibraryName& driver_name();
/// NVRTC of a major version that a driver of `driver_major` can load code from.
LibraryName nvrtc_name(int driver_major);

/// The functions of a library as a table. Throws Error (Unsupported) naming the library, what was tried and how to get
/// it; or the function that an old one lacks.
Driver load_driver(const Library& library);
Nvrtc load_nvrtc(const Library& library);

/// The driver of this machine, initialised. Throws Error (Unsupported): see load_driver; also for a driver that is too
/// old, or that has no GPU.
const Driver& machine_driver();
/// Throws Error (Unsupported) for one that is older than CUDA 12.0, fails to start, or has no GPU. Returns its version:
/// 13000 for CUDA 13.0.
int start_driver(const Driver& driver);
/// "13.0" for 13000.
std::string version_text(int version);

/// The run-time compiler.
class Compiler {
 public:
  Compiler(Nvrtc nvrtc, std::string path);
  /// The newest one here that suits a driver of `driver_major` (0: no driver, any). Throws Error (Unsupported).
  static const Compiler& machine(int driver_major);
  /// Any that is here, for code that is not run; null when there is none.
  static const Compiler* find();

  [[nodiscard]] std::string version() const;
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Machine code of `source` for an architecture (90: sm_90), through the cache on disk. With `log`, always compiled:
  /// it receives what the assembler says of registers and spills. Throws Error (Unsupported) for an architecture that
  /// it does not know, and Error with its messages when it refuses the source.
  std::string compile(const std::string& source, int architecture, std::string* log = nullptr) const;

 private:
  Nvrtc nvrtc_;
  std::string path_;
  int major_ = 0, minor_ = 0;
  std::vector<int> architectures_;
};

}  // namespace tessera::cuda
