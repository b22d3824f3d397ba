// From kernels to functions of this process: through LLVM where it is built in, else through the system's C compiler.
// Used by backend/cpu/executable.cpp. Read next: backend/cpu/llvm.hpp, backend/cpu/ccompiler.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tessera/kernel/kernel.hpp"

namespace tessera::cpu {

/// Runs iterations [begin, end) of a kernel's parallel loop (once, for 0 and 1, when it has none) on one buffer for
/// each argument. A written argument may share its buffer with arguments that are read at the same elements only.
using KernelPointer = void (*)(void* const* arguments, std::int64_t begin, std::int64_t end);

/// A compiled kernel. Copies share the code, which lives as long as one of them.
struct KernelFunction {
  KernelPointer run = nullptr;
  std::shared_ptr<const void> code;
};

/// Compiles kernels for this processor, in several threads, through the cache on disk. TESSERA_RENDERER=c asks for the
/// C compiler. Throws Error when the code generator fails.
std::vector<KernelFunction> compile_kernels(std::span<const kernel::Kernel* const> kernels);

}  // namespace tessera::cpu
