// The steps of a Program on a device: functions, prepared library calls, and the addresses of their arguments. Loops
// and branches hold the steps of their programs. A known number of steps is enqueued without asking the device; a
// condition and the choice of a branch are read back.
// In: pass::Program and the functions of its kernels. Used by backend/cuda/executable.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tessera/backend/cuda/call.hpp"
#include "tessera/backend/cuda/device.hpp"
#include "tessera/pass/running.hpp"

namespace tessera::cuda {

using MakeCall = std::function<std::unique_ptr<Call>(const pass::LibraryCall& call)>;

class Steps {
 public:
  /// `functions`: of the kernels that are left, in the order of pass::each_step; those that are used are taken away.
  /// The program must stay where it is.
  Steps(Device& device, const pass::Program& program, std::span<const Function>& functions, const MakeCall& make_call);

  /// Nothing is read back while it runs.
  [[nodiscard]] bool capturable() const { return capturable_; }
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  [[nodiscard]] std::size_t constant_bytes() const;
  /// More than one launch, so that a graph of them pays.
  [[nodiscard]] bool several() const {
    return launches_.size() > 1 || (launches_.size() == 1 && !launches_[0].inside.empty());
  }
  /// How many measures a run fills in.
  [[nodiscard]] std::size_t measured() const { return measured_; }

  /// Copies the constants to the device, from `constants` on, and takes note of where all that stays lies.
  void place(DevicePointer arena, DevicePointer& constants);
  void bind_input(std::size_t input, DevicePointer address) { bind(slots_.inputs[input], address); }
  void bind_output(std::size_t output, DevicePointer address) { bind(slots_.outputs[output], address); }
  /// Enqueues everything. `measures`: null, or where to add what each step took; then it waits for each.
  void run(DevicePointer scratch, pass::Measure* measures);

  /// What is measured, in the order of the measures.
  void list(std::vector<pass::Entry>& entries) const;
  [[nodiscard]] std::string describe(const std::string& indent) const;
  /// The names of all steps, loops with what is inside.
  [[nodiscard]] std::string summary() const;

 private:
  struct Inside {
    std::unique_ptr<Steps> steps;
    std::size_t measure = 0;  ///< of its first step
  };
  struct Launch {
    const pass::Step* step = nullptr;
    Function function = nullptr;
    unsigned blocks = 0, threads = 0;
    std::unique_ptr<Call> call;
    std::size_t first = 0;    ///< of its arguments
    std::size_t measure = 0;  ///< of its measures
    std::vector<Inside> inside;
  };
  void prepare_kernel(Launch& launch, std::span<const Function>& functions);
  void bind(const std::vector<std::size_t>& slots, DevicePointer address) {
    for (const std::size_t slot : slots) addresses_[slot] = address;
  }
  void run_step(const Launch& launch, DevicePointer scratch);
  struct Gpu;
  [[nodiscard]] static std::string by(const Launch& launch);
  /// The step for messages: its kernel, what that computes with shapes and the user's lines, and the program.
  [[nodiscard]] std::string where(const Launch& launch) const;

  Device& device_;
  const pass::Program& program_;
  std::vector<Launch> launches_;
  pass::Slots slots_;
  std::vector<DevicePointer> addresses_;  ///< what stands in them, in the run being enqueued
  std::vector<void*> parameters_;
  std::size_t scratch_bytes_ = 0, measured_ = 0;
  bool capturable_ = true;
};

}  // namespace tessera::cuda
