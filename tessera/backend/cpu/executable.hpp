// A Program made runnable on the CPU: compiled kernels and prepared library calls over pooled arenas.
// In: pass::Program and the code of its kernels. Out: an Executable. Read next: backend/cpu/team.hpp, pass/program.hpp.
#pragma once

#include <memory>
#include <vector>

#include "tessera/backend/cpu/jit.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::cpu {

/// `code`: one function for each step of kind Kernel, in the order of pass::each_step. `threads`: as team.hpp's
/// plan_threads gave it.
std::unique_ptr<Executable> make_executable(pass::Program program, std::vector<KernelFunction> code, int threads);

}  // namespace tessera::cpu
