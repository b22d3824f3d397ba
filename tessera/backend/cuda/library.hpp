// Shared libraries of NVIDIA's, found at run time; where they are looked for is part of the message when they are not.
// Used by driver.cpp, nvrtc.cpp and the files of the vendor's kernels.
#pragma once

#include <string>
#include <vector>

namespace tessera::cuda {

/// What is looked for.
struct LibraryName {
  std::string title;               ///< "NVRTC, the run-time compiler"
  std::vector<std::string> files;  ///< "libnvrtc.so.13", in the order of preference
  std::string advice;              ///< how to get it
};

/// An open library; it stays open to the end of the process.
class Library {
 public:
  /// Tries the files by the system's own search, then each in each folder.
  static Library open(const LibraryName& name, const std::vector<std::string>& folders);

  [[nodiscard]] bool found() const { return handle_ != nullptr; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// "NVRTC, the run-time compiler, is not to be had: tried libnvrtc.so.13, ... in the system's search path and in
  /// /usr/local/cuda/lib64, ...; ADVICE"
  [[nodiscard]] std::string complaint() const;
  /// Null when the library has no such function.
  [[nodiscard]] void* symbol(const char* name) const;
  /// The same; throws Error (Unsupported) that names library, file and function.
  [[nodiscard]] void* need(const char* name) const;

 private:
  LibraryName name_;
  std::vector<std::string> folders_;
  std::vector<std::string> damaged_;  ///< files that are there and would not load, with the reason
  std::string path_;
  void* handle_ = nullptr;
};

/// Where the toolkit's libraries may stand: CUDA_HOME, CUDA_PATH, /usr/local/cuda*, /opt/cuda, and the wheels of
/// Python environments. Those that exist.
std::vector<std::string> library_folders();

}  // namespace tessera::cuda
