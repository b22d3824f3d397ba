// Everything that can be known before a run is prepared once: which step runs in parallel, where each argument lies in
// a frame's table of pointers. A run takes a frame (arena and table) from the pool, fills in the pointers of inputs and
// outputs, and goes through the steps.
#include "tessera/backend/cpu/executable.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera::cpu {
namespace {

using pass::Buffer;
using pass::Program;
using pass::Step;

/// A kernel runs on the team when it is expected to take longer than this alone.
constexpr double kParallelSeconds = 8e-6;
/// What one core is expected to do in generated loops, for that choice.
constexpr double kBytesPerSecond = 20e9, kOperationsPerSecond = 8e9;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Memory of one run in flight.
struct Frame {
  StoragePtr arena;
  std::vector<void*> table;  ///< the arguments of all steps
};

/// A pointer in the table that changes from run to run.
struct Patch {
  std::size_t slot;
  std::size_t source;  ///< which input or output
};

struct Launch {
  Step::Kind kind = Step::Kind::Kernel;
  KernelPointer function = nullptr;
  std::unique_ptr<Call> call;
  std::int64_t extent = 1;
  bool parallel = false;
  std::size_t first = 0;  ///< of its arguments in the table
};

struct Result {
  std::size_t bytes = 0;
  std::int32_t donated = -1;   ///< the input whose memory it takes
  std::int32_t input = -1;     ///< it is this input
  std::int32_t constant = -1;  ///< it is this constant
};

class CpuExecutable final : public Executable {
 public:
  CpuExecutable(Program program, std::vector<KernelFunction> code, int threads)
      : program_(std::move(program)), code_(std::move(code)), threads_(threads) {
    prepare_ends();
    prepare_steps();
    const char* log = std::getenv("TESSERA_LOG");
    log_ = log != nullptr && std::string_view(log).find("kernels") != std::string_view::npos;
  }

  std::vector<StoragePtr> run(std::span<const StoragePtr> inputs) override {
    if (log_) {
      std::vector<StepProfile> profile;
      std::vector<StoragePtr> outputs = execute(inputs, &profile);
      print(profile);
      return outputs;
    }
    return execute(inputs, nullptr);
  }

  std::vector<StepProfile> profile(std::span<const StoragePtr> inputs) override {
    std::vector<StepProfile> list;
    execute(inputs, &list);
    return list;
  }

  [[nodiscard]] std::string describe() const override {
    std::string text = pass::to_string(program_);
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += fmt::format("{} threads, {} bytes of scratch for library calls\n", threads_, scratch_bytes_);
    for (std::size_t i = 0; i < launches_.size(); ++i) {
      const Launch& launch = launches_[i];
      text += fmt::format("step {}: {}", i, name(i));
      if (launch.call)
        text += fmt::format(" by {}", launch.call->implementation());
      else if (launch.kind == Step::Kind::Kernel)
        text += launch.parallel ? fmt::format(", {} iterations on {} threads", launch.extent, threads_)
                                : ", in the calling thread";
      text += '\n';
    }
    return text;
  }

  [[nodiscard]] std::size_t peak_bytes() const override {
    std::size_t bytes = program_.arena_bytes + scratch_bytes_;
    for (const Result& result : results_)
      if (result.input < 0 && result.constant < 0 && result.donated < 0) bytes += result.bytes;
    return bytes;
  }

 private:
  void prepare_ends() {
    input_bytes_.assign(static_cast<std::size_t>(program_.inputs), 0);
    results_.resize(static_cast<std::size_t>(program_.outputs));
    for (const Program::Alias& alias : program_.aliases) {
      Result& result = results_.at(static_cast<std::size_t>(alias.output));
      result.input = alias.input;
      result.constant = alias.input < 0 ? alias.constant : -1;
    }
    for (const Buffer& buffer : program_.buffers) {
      const auto index = static_cast<std::size_t>(buffer.index);
      if (buffer.kind == Buffer::Kind::Input) input_bytes_.at(index) = byte_size(buffer.type);
      if (buffer.kind == Buffer::Kind::Output) {
        results_.at(index).bytes = byte_size(buffer.type);
        results_.at(index).donated = buffer.donated_from;
      }
    }
    // An input that is itself a result must stay as it is.
    for (Result& result : results_)
      for (const Result& other : results_)
        if (result.donated >= 0 && other.input == result.donated) result.donated = -1;
  }

  void prepare_steps() {
    std::size_t kernels = 0;
    for (const Step& step : program_.steps) {
      Launch& launch = launches_.emplace_back();
      launch.kind = step.kind;
      launch.first = slots_.size();
      for (const std::int32_t buffer : step.buffers) slots_.push_back(buffer);
      if (step.kind == Step::Kind::Kernel) {
        launch.function = code_.at(kernels++).run;
        launch.extent = step.kernel.parallel_extent();
        launch.parallel = threads_ > 1 && launch.extent > 1 &&
                          step.bytes / kBytesPerSecond + step.operations / kOperationsPerSecond > kParallelSeconds;
      } else if (step.kind == Step::Kind::Library) {
        launch.call = make_library_call(step.library, threads_);
        scratch_bytes_ = std::max(scratch_bytes_, launch.call->scratch_bytes());
      }
      needs_team_ = needs_team_ || launch.parallel || launch.call;
    }
    scratch_offset_ = (program_.arena_bytes + 63) / 64 * 64;
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      const Buffer& buffer = program_.buffers.at(static_cast<std::size_t>(slots_[slot]));
      const auto index = static_cast<std::size_t>(buffer.index);
      if (buffer.kind == Buffer::Kind::Input) inputs_.push_back({slot, index});
      if (buffer.kind == Buffer::Kind::Output) outputs_.push_back({slot, index});
    }
  }

  std::unique_ptr<Frame> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Frame> frame = std::move(idle_.back());
        idle_.pop_back();
        return frame;
      }
    }
    auto frame = std::make_unique<Frame>();
    frame->arena = allocate_host(scratch_offset_ + scratch_bytes_);
    frame->table.assign(slots_.size(), nullptr);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      const Buffer& buffer = program_.buffers[static_cast<std::size_t>(slots_[slot])];
      if (buffer.kind == Buffer::Kind::Temporary) frame->table[slot] = frame->arena->data() + buffer.offset;
      if (buffer.kind == Buffer::Kind::Constant)
        frame->table[slot] = program_.constants.at(static_cast<std::size_t>(buffer.index)).data();
    }
    return frame;
  }

  void check(std::span<const StoragePtr> inputs) const {
    if (inputs.size() != input_bytes_.size())
      throw Error(ErrorKind::Usage, fmt::format("the program {} takes {} inputs and was given {}", program_.name,
                                                input_bytes_.size(), inputs.size()));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] == nullptr || inputs[i]->bytes() < input_bytes_[i])
        throw Error(ErrorKind::Usage, fmt::format("input {} of the program {} has {} bytes and needs {}", i,
                                                  program_.name, inputs[i] ? inputs[i]->bytes() : 0, input_bytes_[i]));
  }

  std::vector<StoragePtr> execute(std::span<const StoragePtr> inputs, std::vector<StepProfile>* profile) {
    check(inputs);
    for (const StoragePtr& input : inputs)
      if (!input->on_host()) return execute_from_device(inputs, profile);
    std::vector<StoragePtr> outputs;
    outputs.reserve(results_.size());
    for (const Result& result : results_) {
      const auto donated = static_cast<std::size_t>(result.donated);
      if (result.input >= 0)
        outputs.push_back(inputs[static_cast<std::size_t>(result.input)]);
      else if (result.constant >= 0)
        outputs.push_back(program_.constants[static_cast<std::size_t>(result.constant)].storage());
      // Reused only where nobody else can see it change.
      else if (result.donated >= 0 && inputs[donated].use_count() == 1 && inputs[donated]->bytes() == result.bytes) {
        inputs[donated]->written();
        outputs.push_back(inputs[donated]);
      } else
        outputs.push_back(allocate_host(result.bytes));
    }
    if (launches_.empty()) return outputs;
    // The frame goes back to the pool however the run ends.
    struct Lease {
      CpuExecutable& owner;
      std::unique_ptr<Frame> frame;
      ~Lease() {
        const std::lock_guard lock(owner.mutex_);
        owner.idle_.push_back(std::move(frame));
      }
    } lease{*this, take()};
    Frame& frame = *lease.frame;
    for (const Patch& patch : inputs_) frame.table[patch.slot] = inputs[patch.source]->data();
    for (const Patch& patch : outputs_) frame.table[patch.slot] = outputs[patch.source]->data();
    if (needs_team_)
      with_team(threads_, [&] { run_steps(frame, profile); });
    else
      run_steps(frame, profile);
    return outputs;
  }

  std::vector<StoragePtr> execute_from_device(std::span<const StoragePtr> inputs, std::vector<StepProfile>* profile) {
    std::vector<StoragePtr> here;
    for (const StoragePtr& input : inputs) here.push_back(to_host(input));
    return execute(here, profile);
  }

  void run_steps(Frame& frame, std::vector<StepProfile>* profile) {
    if (profile == nullptr) {
      for (std::size_t i = 0; i < launches_.size(); ++i) run_step(i, frame);
      return;
    }
    for (std::size_t i = 0; i < launches_.size(); ++i) {
      const double start = now();
      run_step(i, frame);
      const Step& step = program_.steps[i];
      profile->push_back({name(i), now() - start, step.bytes, step.operations});
    }
  }

  void run_step(std::size_t index, Frame& frame) {
    const Launch& launch = launches_[index];
    void* const* arguments = frame.table.data() + launch.first;
    if (launch.kind == Step::Kind::Kernel) {
      if (!launch.parallel) return launch.function(arguments, 0, launch.extent);
      parallel_for(threads_, launch.extent,
                   [&](std::int64_t begin, std::int64_t end) { launch.function(arguments, begin, end); });
    } else if (launch.kind == Step::Kind::Library) {
      launch.call->run(arguments, frame.arena->data() + scratch_offset_);
    } else {
      run_on_host(program_.steps[index], arguments);
    }
  }

  /// A custom call by its row's reference, on copies.
  void run_on_host(const Step& step, void* const* arguments) const {
    const std::size_t operands = step.library.operand_types.size();
    std::vector<Literal> values;
    for (std::size_t i = 0; i < operands; ++i) {
      Literal& value = values.emplace_back(step.library.operand_types[i]);
      std::memcpy(value.data(), arguments[i], value.bytes());
    }
    const std::vector<Literal> results = ir::primitive(step.library.node.op).evaluate(step.library.node, values);
    for (std::size_t i = 0; operands + i < step.buffers.size() && i < results.size(); ++i)
      std::memcpy(arguments[operands + i], results[i].data(), results[i].bytes());
  }

  [[nodiscard]] std::string name(std::size_t index) const {
    const Step& step = program_.steps[index];
    if (step.kind == Step::Kind::Kernel) return step.kernel.name;
    std::string text(ir::name(step.library.node.op));
    if (step.kind == Step::Kind::Library) text += " " + tessera::to_string(step.library.result_type);
    return text;
  }

  void print(const std::vector<StepProfile>& profile) const {
    for (std::size_t i = 0; i < profile.size(); ++i) {
      const StepProfile& p = profile[i];
      const std::string by =
          launches_[i].call ? " by " + launches_[i].call->implementation() : fmt::format(" [{}]", launches_[i].extent);
      fmt::print(stderr, "{}: {}{}: {:.1f} us, {:.1f} GB/s, {:.1f} GFLOP/s\n", program_.name, p.name, by,
                 p.seconds * 1e6, p.bytes / p.seconds * 1e-9, p.operations / p.seconds * 1e-9);
    }
  }

  Program program_;
  std::vector<KernelFunction> code_;
  int threads_;
  bool log_ = false, needs_team_ = false;
  std::vector<std::size_t> input_bytes_;
  std::vector<Result> results_;
  std::vector<Launch> launches_;
  std::vector<std::int32_t> slots_;  ///< the buffer behind each pointer of a table
  std::vector<Patch> inputs_, outputs_;
  std::size_t scratch_offset_ = 0, scratch_bytes_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Frame>> idle_;
};

}  // namespace

std::unique_ptr<Executable> make_executable(Program program, std::vector<KernelFunction> code, int threads) {
  return std::make_unique<CpuExecutable>(std::move(program), std::move(code), threads);
}

}  // namespace tessera::cpu
