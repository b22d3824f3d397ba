// Everything that can be known before a run is prepared once: which step runs in parallel, where each argument lies in
// a frame's table of pointers. A run takes a frame from the pool and an arena from the allocator, fills in the pointers
// of inputs and outputs, and goes through the steps. Executables that take turns find the same arena.
#include "tessera/backend/cpu/executable.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "tessera/backend/cpu/steps.hpp"
#include "tessera/backend/cpu/team.hpp"

namespace tessera::cpu {
namespace {

using pass::Buffer;
using pass::Program;

/// What one run in flight has of its own.
struct Frame {
  std::vector<void*> table;         ///< the arguments of all steps
  std::optional<std::byte*> arena;  ///< the one that they lie in; nothing before the first run
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
    std::span<const KernelFunction> functions = code_;
    steps_ = std::make_unique<Steps>(program_, functions, threads_, Steps::Repeats{});
    kept_offset_ = (program_.arena_bytes + 63) / 64 * 64;
    scratch_offset_ = kept_offset_ + steps_->kept_bytes();
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
    text += fmt::format("{} threads, {} bytes for library calls\n", threads_,
                        steps_->kept_bytes() + steps_->scratch_bytes());
    text += steps_->describe("");
    return text;
  }

  [[nodiscard]] std::size_t peak_bytes() const override {
    std::size_t bytes = scratch_offset_ + steps_->scratch_bytes();
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
    frame->table.assign(steps_->table_size(), nullptr);
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
    if (steps_->empty()) return outputs;
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
    const std::size_t bytes = scratch_offset_ + steps_->scratch_bytes();
    const StoragePtr arena = bytes > 0 ? allocate_host(bytes) : nullptr;
    std::byte* const memory = arena != nullptr ? arena->data() : nullptr;
    if (frame.arena != memory) {
      frame.arena = memory;
      steps_->place(frame.table.data(), memory);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) steps_->bind_input(frame.table.data(), i, inputs[i]->data());
    for (std::size_t o = 0; o < outputs.size(); ++o) steps_->bind_output(frame.table.data(), o, outputs[o]->data());
    std::vector<pass::Measure> measures(profile == nullptr ? 0 : steps_->measured());
    const auto run_steps = [&] {
      steps_->run(frame.table.data(), {.scratch = memory + scratch_offset_, .kept = memory + kept_offset_},
                  profile == nullptr ? nullptr : measures.data());
    };
    if (steps_->needs_team())
      with_team(threads_, run_steps);
    else
      run_steps();
    if (profile != nullptr) *profile = pass::profile(entries(), measures);
    return outputs;
  }

  std::vector<StoragePtr> execute_from_device(std::span<const StoragePtr> inputs, std::vector<StepProfile>* profile) {
    std::vector<StoragePtr> here;
    for (const StoragePtr& input : inputs) here.push_back(to_host(input));
    return execute(here, profile);
  }

  [[nodiscard]] std::vector<pass::Entry> entries() const {
    std::vector<pass::Entry> list;
    steps_->list(list);
    return list;
  }

  void print(const std::vector<StepProfile>& profile) const {
    const std::vector<pass::Entry> list = entries();
    for (std::size_t i = 0; i < profile.size(); ++i) {
      const StepProfile& p = profile[i];
      if (p.seconds <= 0) continue;  // a branch that was not taken
      fmt::print(stderr, "{}: {}{}: {:.1f} us, {:.1f} GB/s, {:.1f} GFLOP/s\n", program_.name, p.name, list[i].by,
                 p.seconds * 1e6, p.bytes / p.seconds * 1e-9, p.operations / p.seconds * 1e-9);
    }
  }

  Program program_;
  std::vector<KernelFunction> code_;
  int threads_;
  bool log_ = false;
  std::vector<std::size_t> input_bytes_;
  std::vector<Result> results_;
  std::unique_ptr<Steps> steps_;
  std::size_t kept_offset_ = 0, scratch_offset_ = 0;  ///< in an arena, behind the program's
  std::mutex mutex_;
  std::vector<std::unique_ptr<Frame>> idle_;
};

}  // namespace

std::unique_ptr<Executable> make_executable(Program program, std::vector<KernelFunction> code, int threads) {
  return std::make_unique<CpuExecutable>(std::move(program), std::move(code), threads);
}

}  // namespace tessera::cpu
