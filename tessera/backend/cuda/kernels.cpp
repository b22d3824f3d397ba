// From a program's kernel steps to one module.
#include "tessera/backend/cuda/kernels.hpp"

#include <fmt/format.h>

#include <set>
#include <unordered_map>

namespace tessera::cuda {

KernelSet kernels_of(const pass::Program& program) {
  KernelSet set;
  std::unordered_map<std::string, std::size_t> seen;
  std::set<std::string> taken;
  pass::each_step(program, [&](const pass::Step& step) {
    if (step.kind != pass::Step::Kind::Kernel) return;
    const auto [place, fresh] = seen.try_emplace(step.kernel.key(), set.kernels.size());
    set.which.push_back(place->second);
    if (!fresh) return;
    std::string name = "k_" + step.kernel.name;
    for (int i = 2; !taken.insert(name).second; ++i) name = fmt::format("k_{}_{}", step.kernel.name, i);
    set.kernels.push_back(&step.kernel);
    set.names.push_back(std::move(name));
  });
  return set;
}

std::string compile(const Compiler& compiler, const KernelSet& kernels, int architecture, std::string* log) {
  return kernels.kernels.empty()
             ? std::string()
             : compiler.compile(kernel::render_cuda(kernels.kernels, kernels.names), architecture, log);
}

}  // namespace tessera::cuda
