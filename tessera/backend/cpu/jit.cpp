// The way from a kernel to a function.
#include "tessera/backend/cpu/jit.hpp"

#include "tessera/backend/cpu/ccompiler.hpp"

namespace tessera::cpu {

std::vector<KernelFunction> compile_kernels(std::span<const kernel::Kernel* const> kernels) { return compile_by_c(kernels); }

}  // namespace tessera::cpu
