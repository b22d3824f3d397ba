// The choice between the two ways from a kernel to a function.
#include "tessera/backend/cpu/jit.hpp"

#include <cstdlib>
#include <string_view>

#include "tessera/backend/cpu/ccompiler.hpp"
#include "tessera/backend/cpu/llvm.hpp"

namespace tessera::cpu {

std::vector<KernelFunction> compile_kernels(std::span<const kernel::Kernel* const> kernels) {
#ifdef TESSERA_HAVE_LLVM
  const char* asked = std::getenv("TESSERA_RENDERER");
  if (asked == nullptr || std::string_view(asked) != "c") return compile_by_llvm(kernels);
#endif
  return compile_by_c(kernels);
}

}  // namespace tessera::cpu
