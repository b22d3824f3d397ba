// What a run does: small inputs of the host go in one copy into slots of the frame; large ones are uploaded once and
// kept beside their host memory; then the steps, eagerly or as a graph. Graphs are kept by the addresses that they
// hold: of large inputs and results. With donated state these repeat from step to step. Small results of a graph are
// written into slots of the frame and copied out in one go, so that they change no address.
#include "tessera/backend/cuda/executable.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

using pass::Buffer;
using pass::Program;

/// Inputs and results up to this many bytes have slots in the frame.
constexpr std::size_t kSmall = 4096;
constexpr std::size_t kMostGraphs = 8;
constexpr std::size_t kTenants = 5;

/// At least 256: what is empty has an address too.
std::size_t aligned(std::size_t bytes) { return std::max<std::size_t>(1, (bytes + 255) / 256) * 256; }
std::string mebibytes(std::size_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

/// Where one end of the program gets its memory.
struct Input {
  std::size_t bytes = 0;
  std::size_t slot = 0;  ///< offset in the frame, when small
  bool small = false;
};
struct Result {
  std::size_t bytes = 0;
  std::int32_t donated = -1;   ///< the input whose memory it takes
  std::int32_t before = -1;    ///< the input that it follows upon: as state, the last run's result
  std::int32_t input = -1;     ///< it is this input
  std::int32_t constant = -1;  ///< it is this constant
  std::size_t slot = 0;        ///< offset among the small results
  bool small = false;
  StoragePtr spare;  ///< state that cannot be written in place: the memory of the run before the last
  [[nodiscard]] bool computed() const { return input < 0 && constant < 0; }
};

/// The addresses of one run.
struct Run {
  std::vector<DevicePointer> inputs, results;
  std::vector<DevicePointer> key;
};

class CudaExecutable final : public Executable {
 public:
  CudaExecutable(std::shared_ptr<Device> device, Program program, const std::vector<bool>& donated,
                 const KernelSet& kernels, const std::string& code, const MakeCall& make_call)
      : device_(std::move(device)), driver_(device_->driver()), program_(std::move(program)) {
    const auto lock = device_->enter();
    prepare_ends(donated);
    load(kernels, code);
    prepare_steps(kernels, make_call);
    const char* log = std::getenv("TESSERA_LOG");
    log_ = log != nullptr && std::string_view(log).find("kernels") != std::string_view::npos;
    summary_ = std::make_shared<const std::string>(program_.name + ": " + steps_->summary());
  }

  ~CudaExecutable() override {
    try {
      const auto lock = device_->enter();
      device_->synchronize();
    } catch (const Error&) {  // told to those who read results; what follows does no harm then
    }
    for (const Recorded& recorded : graphs_)
      if (recorded.exec != nullptr) driver_.graph_exec_destroy(recorded.exec);
    if (module_ != nullptr) driver_.module_unload(module_);
  }
  CudaExecutable(const CudaExecutable&) = delete;
  CudaExecutable& operator=(const CudaExecutable&) = delete;

  std::vector<StoragePtr> run(std::span<const StoragePtr> inputs) override {
    if (!log_) return execute(inputs, nullptr);
    std::vector<StepProfile> profile;
    std::vector<StoragePtr> results = execute(inputs, &profile);
    print(profile);
    return results;
  }

  std::vector<StepProfile> profile(std::span<const StoragePtr> inputs) override {
    std::vector<StepProfile> list;
    execute(inputs, &list);
    return list;
  }

  [[nodiscard]] std::string describe() const override {
    std::string text = pass::to_string(program_);
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += fmt::format("on {}: {} bytes in its frame, {} of them scratch for library calls; {}\n", device_->name(),
                        frame_bytes_, steps_->scratch_bytes(),
                        capturable_ ? "one CUDA graph a run" : "the host decides on steps, so no CUDA graph");
    text += steps_->describe("");
    return text;
  }

  [[nodiscard]] std::size_t peak_bytes() const override {
    std::size_t bytes = frame_bytes_;
    for (const Result& result : results_)
      if (result.computed() && result.donated < 0) bytes += result.bytes;
    return bytes;
  }

 private:
  struct Recorded {
    std::vector<DevicePointer> key;
    GraphExec exec = nullptr;  ///< null: seen once, run eagerly
    std::uint64_t used = 0;
  };

  // --- before the first run ---

  void prepare_ends(const std::vector<bool>& donated) {
    inputs_.resize(static_cast<std::size_t>(program_.inputs));
    results_.resize(static_cast<std::size_t>(program_.outputs));
    for (const Program::Alias& alias : program_.aliases) {
      Result& result = results_.at(static_cast<std::size_t>(alias.output));
      result.input = alias.input;
      result.constant = alias.input < 0 ? alias.constant : -1;
    }
    std::size_t staged = 0;
    for (const Buffer& buffer : program_.buffers) {
      const auto index = static_cast<std::size_t>(buffer.index);
      const std::size_t bytes = byte_size(buffer.type);
      if (buffer.kind == Buffer::Kind::Input) {
        Input& input = inputs_.at(index);
        input.bytes = bytes;
        input.small = bytes <= kSmall && staged + aligned(bytes) <= Device::kStaging;
        input.slot = staged;
        if (input.small) staged += aligned(bytes);
      } else if (buffer.kind == Buffer::Kind::Output) {
        results_.at(index).bytes = bytes;
        results_.at(index).donated = buffer.donated_from;
      }
    }
    // An input that is itself a result must stay as it is.
    for (Result& result : results_)
      for (const Result& other : results_)
        if (result.donated >= 0 && other.input == result.donated) result.donated = -1;
    find_state(donated);
    for (Result& result : results_) {
      result.small = result.computed() && result.donated < 0 && result.before < 0 && result.bytes <= kSmall;
      result.slot = small_bytes_;
      if (result.small) small_bytes_ += aligned(result.bytes);
    }
    inputs_offset_ = aligned(program_.arena_bytes);
    results_offset_ = inputs_offset_ + staged;
    constants_offset_ = results_offset_ + small_bytes_;
  }

  /// State: donated inputs, and as many results behind all others, in one order. For graphs to be used again, its
  /// addresses must repeat: it is written in place where the plan says so, and else into the memory of the run before
  /// the last. The plan may also put it into another one's memory, but then each run would pass the memory on.
  void find_state(const std::vector<bool>& donated) {
    std::vector<std::size_t> state;
    for (std::size_t i = 0; i < donated.size() && i < inputs_.size(); ++i)
      if (donated[i]) state.push_back(i);
    if (state.size() > results_.size()) return;
    for (std::size_t k = 0; k < state.size(); ++k) {
      Result& result = results_[results_.size() - state.size() + k];
      if (!result.computed() || result.bytes != inputs_[state[k]].bytes) continue;
      result.before = static_cast<std::int32_t>(state[k]);
      if (result.donated != result.before) result.donated = -1;
    }
  }

  void load(const KernelSet& kernels, const std::string& code) {
    if (kernels.kernels.empty()) return;
    device_->check(driver_.module_load(&module_, code.data()),
                   [&] { return fmt::format("while loading the kernels of {}", program_.name); });
    for (const std::string& name : kernels.names)
      device_->check(driver_.module_function(&functions_.emplace_back(), module_, name.c_str()),
                     [&] { return fmt::format("while loading the kernel {} of {}", name, program_.name); });
  }

  void prepare_steps(const KernelSet& kernels, const MakeCall& make_call) {
    std::vector<Function> functions;
    for (const std::size_t kernel : kernels.which) functions.push_back(functions_.at(kernel));
    std::span<const Function> left = functions;
    steps_ = std::make_unique<Steps>(*device_, program_, left, make_call);
    capturable_ = steps_->capturable();
    scratch_offset_ = constants_offset_ + steps_->constant_bytes();
    frame_bytes_ = scratch_offset_ + steps_->scratch_bytes();
  }

  std::shared_ptr<Block> need_block(std::size_t bytes) {
    std::shared_ptr<Block> block = device_->allocate(bytes);
    if (block == nullptr) out_of_memory(bytes);
    return block;
  }

  /// The memory of all runs: one after the other on one stream, they need it once.
  void take_frame() {
    frame_ = need_block(frame_bytes_);
    DevicePointer constants = frame_->address() + constants_offset_;
    steps_->place(frame_->address(), constants);
  }

  [[noreturn]] void out_of_memory(std::size_t wanted) const {
    const Device::Usage usage = device_->usage();
    std::vector<const Buffer*> largest;
    for (const Buffer& buffer : program_.buffers)
      if (buffer.kind != Buffer::Kind::Constant) largest.push_back(&buffer);
    std::stable_sort(largest.begin(), largest.end(),
                     [](const Buffer* a, const Buffer* b) { return byte_size(a->type) > byte_size(b->type); });
    std::string tenants;
    for (std::size_t i = 0; i < std::min(kTenants, largest.size()); ++i)
      tenants += fmt::format("\n  {} {}", mebibytes(byte_size(largest[i]->type)), largest[i]->name);
    const std::size_t need = peak_bytes();
    const double share = static_cast<double>(usage.free) / static_cast<double>(std::max<std::size_t>(need, 1));
    throw Error(fmt::format(
        "out of memory on {}: the program {} needs {} beside its inputs, and {} more were asked for; {} are in use and "
        "{} free of {}. The largest tenants:{}\n  {}",
        device_->name(), program_.name, mebibytes(need), mebibytes(wanted), mebibytes(usage.current),
        mebibytes(usage.free), mebibytes(usage.total), tenants,
        share > 0.02 && share < 1 ? fmt::format("about {:.0f} % of this batch would fit", 100 * share)
                                  : "use a smaller batch or model"));
  }

  // --- one run ---

  void check(std::span<const StoragePtr> inputs) const {
    if (inputs.size() != inputs_.size())
      throw Error(ErrorKind::Usage, fmt::format("the program {} takes {} inputs and was given {}", program_.name,
                                                inputs_.size(), inputs.size()));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] == nullptr || inputs[i]->bytes() < inputs_[i].bytes)
        throw Error(ErrorKind::Usage, fmt::format("input {} of the program {} has {} bytes and needs {}", i,
                                                  program_.name, inputs[i] ? inputs[i]->bytes() : 0, inputs_[i].bytes));
  }

  [[nodiscard]] DeviceStorage* on_device(const Storage& storage) const {
    if (storage.on_host()) return nullptr;
    auto* mine = dynamic_cast<DeviceStorage*>(const_cast<Storage*>(&storage));
    return mine != nullptr && &mine->device() == device_.get() ? mine : nullptr;
  }

  /// Whether input i may be overwritten: it is donated, and this call holds the only reference.
  [[nodiscard]] bool gives(std::span<const StoragePtr> inputs, std::size_t i) const {
    return inputs[i].use_count() == 1 && std::any_of(results_.begin(), results_.end(), [&](const Result& result) {
             return result.donated == static_cast<std::int32_t>(i);
           });
  }

  /// Puts every input on the device. `placed[i]`: the storage that stands for input i there, if it is not in a slot.
  std::vector<StoragePtr> place_inputs(std::span<const StoragePtr> inputs, Run& run) {
    std::vector<StoragePtr> placed(inputs.size());
    std::size_t first = results_offset_, last = 0;
    std::byte* pinned = nullptr;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Input& input = inputs_[i];
      if (DeviceStorage* mine = on_device(*inputs[i])) {
        run.inputs.push_back(mine->address());
        run.key.push_back(mine->address());
        continue;
      }
      const StoragePtr host = to_host(inputs[i]);
      if (input.small) {
        if (pinned == nullptr) pinned = device_->staging(results_offset_ - inputs_offset_);
        std::memcpy(pinned + input.slot, host->data(), input.bytes);
        first = std::min(first, input.slot);
        last = std::max(last, input.slot + input.bytes);
        run.inputs.push_back(frame_->address() + inputs_offset_ + input.slot);
        run.key.push_back(0);
        continue;
      }
      StoragePtr mirror = host->mirror();
      if (mirror == nullptr || on_device(*mirror) == nullptr) {
        mirror = std::make_shared<DeviceStorage>(need_block(host->bytes()), 0, host->bytes());
        device_->upload(on_device(*mirror)->address(), host->data(), host->bytes());
        if (!gives(inputs, i)) host->set_mirror(mirror);
      }
      run.inputs.push_back(on_device(*mirror)->address());
      run.key.push_back(run.inputs.back());
      placed[i] = std::move(mirror);
    }
    if (last > 0)
      device_->check(
          driver_.upload(frame_->address() + inputs_offset_ + first, pinned + first, last - first, device_->stream()),
          "while copying inputs to the device");
    return placed;
  }

  std::vector<StoragePtr> execute(std::span<const StoragePtr> inputs, std::vector<StepProfile>* profile) {
    check(inputs);
    const auto lock = device_->enter();
    if (frame_ == nullptr) take_frame();
    Run run;
    const std::vector<StoragePtr> placed = place_inputs(inputs, run);

    std::vector<StoragePtr> results(results_.size());
    for (std::size_t r = 0; r < results_.size(); ++r) {
      Result& result = results_[r];
      run.results.push_back(0);
      if (result.input >= 0) {
        results[r] = inputs[static_cast<std::size_t>(result.input)];
      } else if (result.constant >= 0) {
        results[r] = program_.constants[static_cast<std::size_t>(result.constant)].storage();
      } else if (!result.small) {
        results[r] = reusable(inputs, placed, result);
        if (results[r] == nullptr && result.spare.use_count() == 1) results[r] = std::move(result.spare);
        if (results[r] == nullptr)
          results[r] = std::make_shared<DeviceStorage>(need_block(result.bytes), 0, result.bytes);
        run.results.back() = on_device(*results[r])->address();
        run.key.push_back(run.results.back());
      }
    }
    for (Result& result : results_)
      if (result.before >= 0 && result.donated < 0) keep_spare(inputs[static_cast<std::size_t>(result.before)], result);
    // Small results share a block of their own.
    std::shared_ptr<Block> small;
    if (small_bytes_ > 0) small = need_block(small_bytes_);
    for (std::size_t r = 0; r < results_.size(); ++r)
      if (results_[r].computed() && results_[r].small)
        results[r] = std::make_shared<DeviceStorage>(small, results_[r].slot, results_[r].bytes);

    device_->began(summary_);
    Recorded* recorded = capturable_ && profile == nullptr && steps_->several() ? find(run.key) : nullptr;
    if (recorded == nullptr || recorded->exec == nullptr)
      set_addresses(run,
                    recorded == nullptr && small != nullptr ? small->address() : frame_->address() + results_offset_);
    if (recorded == nullptr) {
      run_steps(profile);
      return results;
    }
    if (recorded->exec == nullptr) recorded->exec = record();
    if (recorded->exec == nullptr)
      run_steps(nullptr);
    else
      device_->check(driver_.graph_launch(recorded->exec, device_->stream()),
                     [&] { return fmt::format("while launching {}", program_.name); });
    if (small != nullptr)
      device_->check(
          driver_.copy(small->address(), frame_->address() + results_offset_, small_bytes_, device_->stream()),
          [&] { return fmt::format("while copying the results of {}", program_.name); });
    return results;
  }

  /// The caller gives this memory away, and reads it no more once the run is enqueued.
  void keep_spare(const StoragePtr& storage, Result& result) const {
    if (storage.use_count() == 1 && on_device(*storage) != nullptr && storage->bytes() == result.bytes)
      result.spare = storage;
  }

  /// The memory of a donated input that nobody else can see change.
  StoragePtr reusable(std::span<const StoragePtr> inputs, const std::vector<StoragePtr>& placed,
                      const Result& result) const {
    if (result.donated < 0) return nullptr;
    const auto i = static_cast<std::size_t>(result.donated);
    if (inputs[i].use_count() != 1) return nullptr;
    // What was uploaded for this run alone has no mirror, and one holder: `placed`.
    if (placed[i] != nullptr)
      return placed[i].use_count() == 1 && placed[i]->bytes() == result.bytes ? placed[i] : nullptr;
    return on_device(*inputs[i]) != nullptr && inputs[i]->bytes() == result.bytes ? inputs[i] : nullptr;
  }

  /// The graph of these addresses, or a place for it. Null when they are seen for the first time: most programs run
  /// once or at ever new addresses, and recording pays only when it is used again.
  Recorded* find(const std::vector<DevicePointer>& key) {
    ++clock_;
    for (Recorded& recorded : graphs_)
      if (recorded.key == key) {
        recorded.used = clock_;
        return &recorded;
      }
    if (graphs_.size() == kMostGraphs) {
      const auto oldest = std::min_element(graphs_.begin(), graphs_.end(),
                                           [](const Recorded& a, const Recorded& b) { return a.used < b.used; });
      if (oldest->exec != nullptr) driver_.graph_exec_destroy(oldest->exec);
      graphs_.erase(oldest);
    }
    graphs_.push_back({key, nullptr, clock_});
    return nullptr;
  }

  /// The steps as a graph. Null, and never asked again, when one of them cannot be recorded: a library's kernel may
  /// wait for the device.
  GraphExec record() {
    Graph graph = nullptr;
    GraphExec exec = nullptr;
    try {
      const auto where = [&] { return fmt::format("while recording {}", program_.name); };
      device_->check(driver_.capture_begin(device_->stream(), kCaptureThreadLocal), where);
      try {
        run_steps(nullptr);
      } catch (const Error&) {
        driver_.capture_end(device_->stream(), &graph);
        throw;
      }
      device_->check(driver_.capture_end(device_->stream(), &graph), where);
      device_->check(driver_.graph_instantiate(&exec, graph, 0), where);
    } catch (const Error& error) {
      spdlog::warn("{} runs step by step, not as a CUDA graph: {}", program_.name, error.what());
      capturable_ = false;
      exec = nullptr;
    }
    if (graph != nullptr) driver_.graph_destroy(graph);
    return exec;
  }

  void set_addresses(const Run& run, DevicePointer small_results) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) steps_->bind_input(i, run.inputs[i]);
    for (std::size_t r = 0; r < results_.size(); ++r)
      steps_->bind_output(r, results_[r].small ? small_results + results_[r].slot : run.results[r]);
  }

  void run_steps(std::vector<StepProfile>* profile) {
    std::vector<pass::Measure> measures(profile == nullptr ? 0 : steps_->measured());
    steps_->run(frame_->address() + scratch_offset_, profile == nullptr ? nullptr : measures.data());
    if (profile != nullptr) *profile = pass::profile(entries(), measures);
  }

  [[nodiscard]] std::vector<pass::Entry> entries() const {
    std::vector<pass::Entry> list;
    steps_->list(list);
    return list;
  }

  void print(const std::vector<StepProfile>& profile) const {
    const double peak = device_->properties().bytes_per_second;
    const std::vector<pass::Entry> list = entries();
    for (std::size_t i = 0; i < profile.size(); ++i) {
      const StepProfile& p = profile[i];
      const double rate = p.seconds > 0 ? p.bytes / p.seconds : 0;
      fmt::print(stderr, "{}: {}{}: {:.1f} us, {:.1f} GB/s ({:.0f} % of the memory's), {:.2f} TFLOP/s\n", program_.name,
                 p.name, list[i].by, p.seconds * 1e6, rate * 1e-9, peak > 0 ? 100 * rate / peak : 0,
                 p.seconds > 0 ? p.operations / p.seconds * 1e-12 : 0);
    }
  }

  std::shared_ptr<Device> device_;
  const Driver& driver_;
  Program program_;
  bool log_ = false, capturable_ = true;
  std::vector<Input> inputs_;
  std::vector<Result> results_;
  Module module_ = nullptr;
  std::vector<Function> functions_;
  std::unique_ptr<Steps> steps_;
  std::shared_ptr<const std::string> summary_;

  // The frame: arena, small inputs, small results, constants, scratch of library calls.
  std::shared_ptr<Block> frame_;
  std::size_t inputs_offset_ = 0, results_offset_ = 0, constants_offset_ = 0, scratch_offset_ = 0;
  std::size_t small_bytes_ = 0, frame_bytes_ = 0;

  std::vector<Recorded> graphs_;
  std::uint64_t clock_ = 0;
};

}  // namespace

std::unique_ptr<Executable> make_executable(std::shared_ptr<Device> device, Program program,
                                            const std::vector<bool>& donated, const KernelSet& kernels,
                                            const std::string& code, const MakeCall& make_call) {
  return std::make_unique<CudaExecutable>(std::move(device), std::move(program), donated, kernels, code, make_call);
}

}  // namespace tessera::cuda
