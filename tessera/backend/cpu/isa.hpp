// Which vector instructions the CPU backend uses: the widest that the processor has, or fewer when TESSERA_ISA asks.
// LLVM's target, oneDNN's ceiling and the few-channel kernels all ask here. Read next: backend/cpu/llvm_compile.cpp.
#pragma once

#include <string>

namespace tessera::cpu {

enum class Isa { Sse2, Avx2, Avx512, Avx512Bf16 };

/// The instruction set in use, decided once. TESSERA_ISA=sse2|avx2|avx512 lowers it, to get another machine's bits on
/// this one; it cannot raise it. Throws Error (Usage) for another word.
Isa isa();

/// "sse2", "avx2", "avx512", "avx512+bf16": a part of results, caches and checkpoints.
std::string name_of(Isa isa);

}  // namespace tessera::cpu
