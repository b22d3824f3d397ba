// compile = lower, NVRTC, prepare. What is found once for the process: driver, compiler, devices.
#include "tessera/backend/cuda/backend.hpp"

#include <fmt/format.h>

#include "tessera/backend/cuda/patches.hpp"
#include "tessera/backend/cuda/weights_layout.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(const Parts& parts, int ordinal)
      : compiler_(parts.compiler),
        compile_(parts.compile),
        device_(std::make_shared<Device>(*parts.driver, parts.driver_version, ordinal)),
        vendor_(parts.vendor ? parts.vendor(device_) : nullptr) {}

  [[nodiscard]] std::string name() const override { return device_->name(); }
  [[nodiscard]] std::string describe() const override { return cuda::describe(device_->properties()); }
  [[nodiscard]] std::string fingerprint() const override {
    const Properties& p = device_->properties();
    return fmt::format("cuda sm_{} {} driver {} {}{}", p.architecture, p.name, version_text(p.driver_version),
                       compiler_, vendor_ ? vendor_->versions() : "");
  }

  [[nodiscard]] std::size_t peak_memory() const override { return device_->peak(); }
  [[nodiscard]] std::string choices() const override { return vendor_ ? vendor_->choices() : ""; }
  void restore_choices(const std::string& text) override {
    if (vendor_) vendor_->restore(text);
  }

  std::unique_ptr<Executable> compile(const ir::Graph& graph, const CompileOptions& options) override {
    std::function<bool(const pass::LibraryCall&, Precision)> takes;
    if (vendor_)
      takes = [this](const pass::LibraryCall& call, Precision precision) { return vendor_->takes(call, precision); };
    pass::Program program =
        pass::lower(graph, target_of(device_->properties().multiprocessors, options.precision, takes), options);
    const KernelSet kernels = kernels_of(program);
    const std::string code = compile_(kernels, device_->properties().architecture);
    const MakeCall make_call = [&](const pass::LibraryCall& call) { return vendor_->prepare(call, options.precision); };
    // Moved, the steps stay where they are: `kernels` points at theirs.
    return make_executable(device_, std::move(program), options.donated, kernels, code, make_call);
  }

 private:
  std::string compiler_;
  std::function<std::string(const KernelSet&, int)> compile_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<Vendor> vendor_;
};

Parts machine_parts() {
  Parts parts;
  parts.driver = &machine_driver();
  parts.driver_version = start_driver(*parts.driver);
  const Compiler& compiler = Compiler::machine(parts.driver_version / 1000);
  parts.compiler = "NVRTC " + compiler.version();
  parts.compile = [&compiler](const KernelSet& kernels, int architecture) {
    return cuda::compile(compiler, kernels, architecture);
  };
  parts.vendor = make_vendor;
  return parts;
}

/// The product, convolution or custom call as a step without an epilogue.
pass::LibraryCall bare_call(const ir::Graph& graph, const ir::Node& node) {
  return {node, graph.types(node.operands), graph.type(node.results[0]), {}};
}

/// What it is, or what stops it from being found.
template <class F>
LibraryInfo info(const char* name, const char* purpose, F version) {
  try {
    return {name, version(), purpose};
  } catch (const Error& error) {
    return {name, "", error.what()};
  }
}

}  // namespace

pass::Target target_of(int multiprocessors, Precision precision,
                       std::function<bool(const pass::LibraryCall& call, Precision precision)> takes) {
  pass::Target target;
  target.name = "cuda";
  target.precision = precision;
  target.multiprocessors = multiprocessors;
  if (takes) target.prepare = [](const ir::Graph& graph) { return arrange_weights(few_features_as_products(graph)); };
  target.has_library_kernel = [takes, precision](const ir::Graph& graph, const ir::Node& node) {
    return takes && node.results.size() == 1 && takes(bare_call(graph, node), precision);
  };
  target.fuses = [takes = std::move(takes), precision](const pass::LibraryCall& call) {
    return takes && takes(call, precision);
  };
  return target;
}

std::unique_ptr<Backend> make_backend(const Parts& parts, int ordinal) {
  return std::make_unique<CudaBackend>(parts, ordinal);
}

std::unique_ptr<Backend> make_backend(int ordinal) { return make_backend(machine_parts(), ordinal); }

int usable_devices() {
  static const int count = [] {
    try {
      int found = 0;
      return machine_parts().driver->device_count(&found) == kSuccess ? found : 0;
    } catch (const Error&) {
      return 0;
    }
  }();
  return count;
}

std::vector<DeviceInfo> devices() {
  int major = 0;
  std::vector<LibraryInfo> libraries{
      info("NVIDIA driver", "runs programs on GPUs",
           [&] {
             const int version = start_driver(machine_driver());
             major = version / 1000;
             return "for CUDA " + version_text(version);
           }),
      info("NVRTC", "machine code of generated kernels", [&] { return Compiler::machine(major).version(); })};
  for (LibraryInfo& library : vendor_libraries(major == 0 ? kNewestMajor : major))
    libraries.push_back(std::move(library));
  std::vector<DeviceInfo> list;
  for (int i = 0; i < usable_devices(); ++i) {
    const Properties p = properties_of(machine_driver(), start_driver(machine_driver()), i);
    list.push_back({device_name(i), describe(p), true, p.memory, libraries});
  }
  if (list.empty()) list.push_back({"cuda", "NVIDIA GPUs", false, 0, libraries});
  return list;
}

}  // namespace tessera::cuda
