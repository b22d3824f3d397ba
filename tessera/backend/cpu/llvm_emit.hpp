// One kernel as LLVM IR. Internal to backend/cpu.
#pragma once

#include <string>

#include "tessera/kernel/kernel.hpp"

namespace llvm {
class Module;
}

namespace tessera::cpu {

/// Appends `void NAME(ptr arguments, i64 begin, i64 end)` to the module.
void emit_llvm(const kernel::Kernel& kernel, const std::string& name, llvm::Module& module);

}  // namespace tessera::cpu
