// The passes, the verifiers and the renderers on every program; no code is loaded. For a GPU, NVRTC makes machine code
// where it is here.
#include "tessera/backend/null/null.hpp"

#include <cstring>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"
#include "tessera/backend/cuda/backend.hpp"
#include "tessera/core/error.hpp"
#include "tessera/pass/program.hpp"

namespace tessera {
namespace {

class NullExecutable final : public Executable {
 public:
  NullExecutable(pass::Program program, std::vector<TensorType> results)
      : program_(std::move(program)), results_(std::move(results)) {}

  std::vector<StoragePtr> run(std::span<const StoragePtr> inputs) override {
    if (inputs.size() != static_cast<std::size_t>(program_.inputs))
      throw Error(ErrorKind::Usage, "the program " + program_.name + " takes " + std::to_string(program_.inputs) +
                                        " inputs and was given " + std::to_string(inputs.size()));
    std::vector<StoragePtr> outputs;
    for (const TensorType& type : results_) {
      outputs.push_back(allocate_host(byte_size(type)));
      std::memset(outputs.back()->data(), 0, outputs.back()->bytes());
    }
    return outputs;
  }
  [[nodiscard]] std::string describe() const override { return pass::to_string(program_); }
  [[nodiscard]] std::size_t peak_bytes() const override {
    std::size_t bytes = program_.arena_bytes;
    for (const TensorType& type : results_) bytes += byte_size(type);
    return bytes;
  }

 private:
  pass::Program program_;
  std::vector<TensorType> results_;
};

/// The GPU that plans are made for: the H200.
constexpr int kMultiprocessors = 132, kArchitecture = 90;

/// As CUDA C++; as machine code where NVRTC is here, which needs no driver.
void compile_for_gpu(const pass::Program& program) {
  const cuda::KernelSet kernels = cuda::kernels_of(program);
  if (const cuda::Compiler* compiler = cuda::Compiler::find())
    cuda::compile(*compiler, kernels, kArchitecture);
  else
    kernel::render_cuda(kernels.kernels, kernels.names);
}

pass::Target target_of(const std::string& name, const CompileOptions& options) {
  if (name == "cuda") return cuda::target_of(kMultiprocessors, options.precision, cuda::vendor_would_take);
  pass::Target target;
  target.threads = options.threads > 0 ? options.threads : cpu::granted_cpus();
  target.precision = options.precision;
  target.has_library_kernel = cpu::has_library_kernel;
  target.prepare = cpu::prepare;
  return target;
}

class NullBackend final : public Backend {
 public:
  explicit NullBackend(std::string target) : target_(std::move(target)) {}
  [[nodiscard]] std::string name() const override { return "null:" + target_; }
  [[nodiscard]] std::string describe() const override {
    return "compiles and plans for " + target_ + ", computes nothing, gives zeros";
  }
  std::unique_ptr<Executable> compile(const ir::Graph& graph, const CompileOptions& options) override {
    pass::Program program = pass::lower(graph, target_of(target_, options), options);
    pass::verify(program);
    pass::each_step(program, [](const pass::Step& step) {
      if (step.kind != pass::Step::Kind::Kernel) return;
      kernel::verify(step.kernel);
      kernel::render_c(step.kernel);
    });
    if (target_ == "cuda") compile_for_gpu(program);
    return std::make_unique<NullExecutable>(std::move(program), graph.result_types());
  }

 private:
  std::string target_;
};

}  // namespace

std::unique_ptr<Backend> make_null_backend(std::string target) {
  return std::make_unique<NullBackend>(std::move(target));
}

}  // namespace tessera
