// Kernels through LLVM: machine code for the processor that this process runs on.
//   llvm_emit.cpp     one kernel as LLVM IR: explicit vectors of kLanes elements
//   llvm_compile.cpp  light optimisation, code generation in several threads, linking into the process
//   ../kernel_cache.cpp  object code on disk
#pragma once

#include <string>

#include "tessera/backend/cpu/jit.hpp"

namespace tessera::cpu {

/// Compiles for the host's instruction set. Kernels with equal keys share code, within the process and on disk.
std::vector<KernelFunction> compile_by_llvm(std::span<const kernel::Kernel* const> kernels);

/// The optimised LLVM IR of a kernel, for dumps.
std::string llvm_text(const kernel::Kernel& kernel);

/// Name and relevant features of the host's processor: what compiled code depends on.
std::string llvm_host();

}  // namespace tessera::cpu
