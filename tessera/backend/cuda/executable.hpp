// A Program made runnable on a GPU: launches and prepared library calls on the device's stream, over one arena at a
// fixed address; the second run at the same addresses is recorded as a CUDA graph, and those that follow launch it.
// In: pass::Program and the machine code of its kernels. Out: an Executable. Read next: backend/cuda/device.hpp.
#pragma once

#include <memory>
#include <string>

#include "tessera/backend/cuda/kernels.hpp"
#include "tessera/backend/cuda/steps.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::cuda {

/// How a library step becomes a call. Throws Error (Unsupported) naming what is missing.
/// `kernels`: of the program, and `code`: their machine code. `donated`: as in CompileOptions.
std::unique_ptr<Executable> make_executable(std::shared_ptr<Device> device, pass::Program program,
                                            const std::vector<bool>& donated, const KernelSet& kernels,
                                            const std::string& code, const MakeCall& make_call);

}  // namespace tessera::cuda
