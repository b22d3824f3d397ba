// Devices by name, each with its backend; what this machine has. With cli/, the only part that names the backends.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tessera/core/backend.hpp"

namespace tessera {

/// The backend of a device: "cpu", "cuda", "cuda:1", "reference", "null", "null:cpu", "null:cuda"; "auto" is the
/// fastest one here. The reference stays valid to the end of the process. Throws Error (Unsupported) for a device that
/// is not to be had, naming what was tried.
Backend& backend(const Device& device);

/// Puts a backend under a name of its own, to the end of the process. For tests, and programs that bring their own.
void add_backend(const std::string& name, std::unique_ptr<Backend> backend);

/// A part that a device uses.
struct LibraryInfo {
  std::string name;
  std::string version;  ///< empty when it is missing
  std::string note;     ///< what it does; or, when missing, how to get it
};

struct DeviceInfo {
  std::string name;  ///< as `--device` takes it
  std::string description;
  bool available = false;
  std::size_t memory = 0;  ///< bytes; 0 where it has none of its own
  std::vector<LibraryInfo> libraries;
};

/// Every device that could be named, the usable ones first.
std::vector<DeviceInfo> devices();

}  // namespace tessera
