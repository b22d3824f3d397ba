// The passes, the verifiers and the renderers of text on every program; no code is loaded.
#include "tessera/backend/null/null.hpp"

#include <cstring>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"
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

/// Of an H200.
constexpr int kMultiprocessors = 132;

/// A GPU's libraries multiply and convolve every float type.
bool has_gpu_library_kernel(const ir::Graph& graph, const ir::Node& node) {
  const bool product = node.op == ir::Op::DotGeneral || node.op == ir::Op::Convolution;
  return product && is_float(graph.dtype(node.results[0]));
}

class NullBackend final : public Backend {
 public:
  explicit NullBackend(std::string target) : target_(std::move(target)) {}
  [[nodiscard]] std::string name() const override { return "null:" + target_; }
  [[nodiscard]] std::string describe() const override {
    return "compiles and plans for " + target_ + ", computes nothing, gives zeros";
  }
  std::unique_ptr<Executable> compile(const ir::Graph& graph, const CompileOptions& options) override {
    const pass::Target target{target_,
                              options.threads > 0 ? options.threads : cpu::granted_cpus(),
                              options.precision,
                              target_ == "cpu" ? cpu::has_library_kernel : has_gpu_library_kernel,
                              target_ == "cpu" ? cpu::use_few_channel_kernels : nullptr,
                              nullptr,
                              target_ == "cpu" ? 0 : kMultiprocessors};
    pass::Program program = pass::lower(graph, target, options);
    pass::verify(program);
    for (const pass::Step& step : program.steps)
      if (step.kind == pass::Step::Kind::Kernel) {
        kernel::verify(step.kernel);
        kernel::render_c(step.kernel);
        if (target.is_gpu()) kernel::render_cuda({&step.kernel}, {"kernel"});
      }
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
