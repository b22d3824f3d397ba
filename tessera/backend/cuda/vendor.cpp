// cuBLASLt and cuDNN on one device, found once for each; and the clock by which their algorithms are chosen.
#include "tessera/backend/cuda/vendor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "tessera/backend/cuda/choices.hpp"
#include "tessera/backend/cuda/cublaslt.hpp"
#include "tessera/backend/cuda/cudnn.hpp"
#include "tessera/backend/cuda/library.hpp"
#include "tessera/backend/kernel_cache.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

/// Seconds of one of several runs behind each other, so that the clock's own time does not count; the best of three.
double time_call(Device& device, Call& call, std::span<const std::size_t> argument_bytes) {
  constexpr int kRuns = 10, kRounds = 3;
  const auto lock = device.enter();
  std::vector<std::shared_ptr<Block>> blocks;
  std::vector<DevicePointer> arguments;
  for (std::size_t i = 0; i <= argument_bytes.size(); ++i) {
    blocks.push_back(device.allocate(i < argument_bytes.size() ? argument_bytes[i] : call.scratch_bytes()));
    if (blocks.back() == nullptr) return std::numeric_limits<double>::infinity();
    arguments.push_back(blocks.back()->address());
  }
  const DevicePointer scratch = arguments.back();
  arguments.pop_back();
  double best = std::numeric_limits<double>::infinity();
  try {
    call.run(arguments, scratch, device.stream());
    for (int round = 0; round < kRounds; ++round)
      best = std::min(best, device.seconds_of([&] {
        for (int i = 0; i < kRuns; ++i) call.run(arguments, scratch, device.stream());
      }) / kRuns);
  } catch (const Error&) {
    return std::numeric_limits<double>::infinity();  // an algorithm that cannot run here
  }
  return best;
}

class MachineVendor final : public Vendor {
 public:
  explicit MachineVendor(std::shared_ptr<Device> device) : device_(std::move(device)) {
    const auto lock = device_->enter();
    const std::vector<std::string> folders = library_folders();
    if (const Library found = Library::open(cublaslt_name(device_->properties().driver_version / 1000), folders);
        found.found())
      cublas_.emplace(load_cublaslt(found));
    if (const Library found = Library::open(cudnn_name(), folders); found.found()) cudnn_.emplace(load_cudnn(found));
  }

  bool takes(const pass::LibraryCall& call, Precision precision) override {
    const auto lock = device_->enter();
    if (call.node.op == ir::Op::DotGeneral) return cublas_ && cublas_->has_algorithm(call, precision);
    return call.node.op == ir::Op::Convolution && cudnn_ && cudnn_->has_engine(call, precision);
  }

  std::unique_ptr<Call> prepare(const pass::LibraryCall& call, Precision precision) override {
    const Properties& p = device_->properties();
    const Choosing choosing{
        choices_, fmt::format("{} sm_{}", p.name, p.architecture),
        [this](Call& one, std::span<const std::size_t> bytes) { return time_call(*device_, one, bytes); }, &cache_};
    return call.node.op == ir::Op::DotGeneral ? cublas_->prepare(call, precision, choosing)
                                              : cudnn_->prepare(call, precision, choosing);
  }

  [[nodiscard]] std::string versions() const override {
    return (cublas_ ? " " + cublas_->version() : "") + (cudnn_ ? " " + cudnn_->version() : "");
  }
  [[nodiscard]] std::string choices() const override { return choices_.text(); }
  void restore(std::string_view text) override { choices_.merge(Choices(text)); }

 private:
  std::shared_ptr<Device> device_;
  std::optional<Cublas> cublas_;
  std::optional<Cudnn> cudnn_;
  Choices choices_;
  const KernelCache cache_;
};

}  // namespace

std::unique_ptr<Vendor> make_vendor(const std::shared_ptr<Device>& device) {
  return std::make_unique<MachineVendor>(device);
}

bool vendor_would_take(const pass::LibraryCall& call, Precision precision) {
  return call.node.op == ir::Op::DotGeneral ? as_gemm(call).has_value() : has_engine_by_rules(call, precision);
}

std::vector<LibraryInfo> vendor_libraries(int driver_major) {
  const std::vector<std::string> folders = library_folders();
  const auto info = [&](const char* title, const LibraryName& name, const char* purpose, auto version) {
    try {
      return LibraryInfo{title, version(Library::open(name, folders)), purpose};
    } catch (const Error& error) {
      return LibraryInfo{title, "", error.what()};
    }
  };
  // 130100: 13.1.0; 91900: 9.19.0.
  const auto dotted = [](std::size_t version, std::size_t unit) {
    return fmt::format("{}.{}", version / unit, version % unit / 100);
  };
  return {info("cuBLASLt", cublaslt_name(driver_major), "matrix products",
               [&](const Library& found) { return dotted(load_cublaslt(found).version(), 10000); }),
          info("cuDNN", cudnn_name(), "convolutions",
               [&](const Library& found) { return dotted(load_cudnn(found).version(), 10000); })};
}

}  // namespace tessera::cuda
