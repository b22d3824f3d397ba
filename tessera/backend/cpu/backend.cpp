// compile = lower, make code, prepare.
#include "tessera/backend/cpu/backend.hpp"

#include <fmt/format.h>

#include <fstream>

#include "tessera/backend/cpu/executable.hpp"
#include "tessera/backend/cpu/isa.hpp"
#include "tessera/backend/cpu/jit.hpp"
#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"
#include "tessera/core/error.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::cpu {
namespace {

class CpuBackend final : public Backend {
 public:
  [[nodiscard]] std::string name() const override { return "cpu"; }
  [[nodiscard]] std::string describe() const override {
    return fmt::format("{}, {}, {} threads", processor_name(), name_of(isa()), granted_cpus());
  }
  [[nodiscard]] std::string fingerprint() const override {
    return fmt::format("cpu {} oneDNN {}", name_of(isa()), onednn::version());
  }

  std::unique_ptr<Executable> compile(const ir::Graph& graph, const CompileOptions& options) override {
    if (options.precision == Precision::BFloat16 && !onednn::has_bf16())
      throw Error(
          ErrorKind::Unsupported,
          fmt::format("bf16 precision needs a processor with AVX-512 and a build with oneDNN; this one has {}; use f32",
                      name_of(isa())));
    const int threads = plan_threads(options.threads);
    const pass::Target target{"cpu", threads, options.precision, has_library_kernel, prepare};
    pass::Program program = pass::lower(graph, target, options);
    std::vector<const kernel::Kernel*> kernels;
    pass::each_step(program, [&](const pass::Step& step) {
      if (step.kind == pass::Step::Kind::Kernel) kernels.push_back(&step.kernel);
    });
    std::vector<KernelFunction> code = compile_kernels(kernels);
    return make_executable(std::move(program), std::move(code), threads);
  }
};

}  // namespace

std::unique_ptr<Backend> make_backend() { return std::make_unique<CpuBackend>(); }

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const std::size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "an x86-64 processor";
}

}  // namespace tessera::cpu
