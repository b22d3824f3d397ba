// Kernels through the system's C compiler: the oracle of the LLVM renderer, and the way of builds without LLVM.
#pragma once

#include "tessera/backend/cpu/jit.hpp"

namespace tessera::cpu {

/// Renders as C11, compiles all by one run of `cc`, and loads the result. Throws Error with the compiler's message.
std::vector<KernelFunction> compile_by_c(std::span<const kernel::Kernel* const> kernels);

}  // namespace tessera::cpu
