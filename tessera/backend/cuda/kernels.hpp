// The generated kernels of a program, as one translation unit and as machine code for a GPU.
// Read next: kernel/render_cuda.cpp (the text), backend/cuda/driver.hpp (the compiler).
#pragma once

#include <string>
#include <vector>

#include "tessera/backend/cuda/driver.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::cuda {

/// Equal kernels once. Valid as long as the program.
struct KernelSet {
  std::vector<const kernel::Kernel*> kernels;
  std::vector<std::string> names;  ///< of each, unique, and no function's of CUDA
  std::vector<std::size_t> which;  ///< by step of kind Kernel, in order: its place in `kernels`
};
KernelSet kernels_of(const pass::Program& program);

/// Machine code that defines each kernel under its name. `log`: see Compiler::compile.
std::string compile(const Compiler& compiler, const KernelSet& kernels, int architecture, std::string* log = nullptr);

}  // namespace tessera::cuda
