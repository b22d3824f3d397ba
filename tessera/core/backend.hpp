// What every backend fills: compile a traced program for a device, and run it.
// Backends stand in backend/*; backend/registry.hpp finds the one of a device.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/storage.hpp"

namespace tessera {

namespace ir {
class Graph;
}

/// A place where programs run, by name: "cpu", "reference", "null:cpu", "cuda:0".
struct Device {
  std::string name = "cpu";
  bool operator==(const Device&) const = default;
};

/// How products and convolutions may round. The public types of a program never change.
enum class Precision : std::uint8_t { Float32, TensorFloat32, BFloat16 };

/// What shapes an executable besides its graph. Part of every cache key.
struct CompileOptions {
  int threads = 0;  ///< 0: as many as the machine grants this process
  Precision precision = Precision::Float32;
  /// donated[i] true: the memory of input i may be overwritten, and reused for an output of the same size.
  std::vector<bool> donated;
};

/// One kind of kernel that ran in a step, for reports.
struct StepProfile {
  std::string name;
  double seconds = 0;
  double bytes = 0;
  double operations = 0;
};

/// A compiled program. `run` may be called from several threads at once.
class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs on `inputs` (one storage for each graph parameter, of its size, wherever it lies) and returns one storage for
  /// each result. A donated input may come back as a result. A device may still be computing when this returns: reading
  /// a result waits, and throws what went wrong.
  virtual std::vector<StoragePtr> run(std::span<const StoragePtr> inputs) = 0;
  /// The memory plan and the kernels, for people.
  [[nodiscard]] virtual std::string describe() const { return {}; }
  /// Bytes that one run takes beside its inputs.
  [[nodiscard]] virtual std::size_t peak_bytes() const { return 0; }
  /// Runs once with a clock around every step.
  virtual std::vector<StepProfile> profile(std::span<const StoragePtr> inputs) {
    run(inputs);
    return {};
  }
};

/// A kind of processor.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  /// One line for people: what the device is, instruction set, cores, libraries.
  [[nodiscard]] virtual std::string describe() const = 0;
  /// What of the machine shapes results or code (instruction set); part of cache keys and manifests.
  [[nodiscard]] virtual std::string fingerprint() const { return name(); }
  /// Algorithms that were chosen by timing them, as text; empty where there are none. A run keeps it, and gives it back
  /// when it is resumed, so that it ends with the same bits.
  [[nodiscard]] virtual std::string choices() const { return {}; }
  /// Takes the choices of an earlier run over. Throws Error on text that `choices` did not give.
  virtual void restore_choices(const std::string&) {}
  /// The most bytes of the device's own memory that were in use at once; 0 where it has none.
  [[nodiscard]] virtual std::size_t peak_memory() const { return 0; }
  /// Throws Error (Unsupported) naming what this backend cannot do.
  virtual std::unique_ptr<Executable> compile(const ir::Graph& graph, const CompileOptions& options) = 0;
};

}  // namespace tessera
