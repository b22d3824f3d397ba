// Running of steps: kernels and library calls with their pointers; loops and branches bind pointers of the table, as
// pass/running.hpp has it.
#include "tessera/backend/cpu/steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"

namespace tessera::cpu {
namespace {

using pass::Buffer;
using pass::Step;

/// A kernel runs on the team when it is expected to take longer than this alone.
constexpr double kParallelSeconds = 8e-6;
/// What one core is expected to do in generated loops, for that choice.
constexpr double kBytesPerSecond = 20e9, kOperationsPerSecond = 8e9;

/// How often a loop of unknown length is expected to run.
constexpr std::int64_t kExpectedRuns = 16;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Workspace from(const Workspace& work, std::size_t kept) { return {work.scratch, work.kept + kept}; }

}  // namespace

Steps::Steps(const pass::Program& program, std::span<const KernelFunction>& code, int threads, Repeats repeats)
    : program_(program), threads_(threads), slots_(program), table_size_(slots_.buffers.size()) {
  for (const Step& step : program.steps) {
    const std::size_t first = slots_.first[launches_.size()];
    Launch& launch = launches_.emplace_back();
    launch.step = &step;
    launch.first = first;
    launch.measure = measured_;
    if (step.kind == Step::Kind::Kernel) {
      launch.function = code.front().run;
      code = code.subspan(1);
      launch.extent = step.kernel.parallel_extent();
      launch.parallel = threads > 1 && launch.extent > 1 &&
                        step.bytes / kBytesPerSecond + step.operations / kOperationsPerSecond > kParallelSeconds;
    } else if (step.kind == Step::Kind::Library) {
      launch.call = make_call(step, repeats);
      scratch_bytes_ = std::max(scratch_bytes_, launch.call->scratch_bytes());
      launch.kept = kept_bytes_;
      kept_bytes_ += launch.call->kept_bytes();
    }
    needs_team_ = needs_team_ || launch.parallel || launch.call;
    const std::int64_t steps_of_loop = step.inner.steps == pass::kUntilFalse ? kExpectedRuns : step.inner.steps;
    const std::int64_t runs = std::max<std::int64_t>(1, steps_of_loop);
    for (const pass::Program& inner : step.inner.programs) {
      auto steps = std::make_unique<Steps>(inner, code, threads, Repeats{step.inner.constants, runs});
      const Inside& inside = launch.inside.emplace_back(std::move(steps), table_size_, measured_, kept_bytes_);
      kept_bytes_ += inside.steps->kept_bytes();
      table_size_ += inside.steps->table_size();
      measured_ += inside.steps->measured();
      scratch_bytes_ = std::max(scratch_bytes_, inside.steps->scratch_bytes());
      needs_team_ = needs_team_ || inside.steps->needs_team();
    }
    if (launch.inside.empty()) ++measured_;
    launch.carried = table_size_;
    table_size_ += step.inner.carried;
  }
}

void Steps::place(void** table, std::byte* arena) const {
  for (std::size_t slot = 0; slot < slots_.buffers.size(); ++slot) {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(slots_.buffers[slot])];
    if (buffer.kind == Buffer::Kind::Temporary) table[slot] = arena + buffer.offset;
    if (buffer.kind == Buffer::Kind::Constant)
      table[slot] = program_.constants.at(static_cast<std::size_t>(buffer.index)).data();
  }
  for (const Launch& launch : launches_) {
    if (launch.inside.empty()) continue;
    auto* memory = static_cast<std::byte*>(table[launch.first + launch.step->buffers.size() - 1]);
    for (const Inside& inside : launch.inside)
      inside.steps->place(table + inside.table, memory + launch.step->inner.arena);
  }
}

/// The memory of the host, and what runs inside of a step: a Machine of pass/running.hpp.
struct Steps::Host {
  const Launch& launch;
  void** table;
  const Workspace& work;
  pass::Measure* measures;

  static void* at(void* address, std::size_t bytes) { return static_cast<std::byte*>(address) + bytes; }
  static void copy(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  static void read(void* to, const void* address, std::size_t bytes) { copy(to, address, bytes); }
  static void write(void* address, const void* from, std::size_t bytes) { copy(address, from, bytes); }
  void bind_input(std::size_t program, std::size_t input, void* address) const {
    const Inside& inside = launch.inside[program];
    inside.steps->bind_input(table + inside.table, input, address);
  }
  void bind_output(std::size_t program, std::size_t output, void* address) const {
    const Inside& inside = launch.inside[program];
    inside.steps->bind_output(table + inside.table, output, address);
  }
  void prepare(std::size_t program) const {
    const Inside& inside = launch.inside[program];
    inside.steps->prepare(table + inside.table, from(work, inside.kept));
  }
  void run(std::size_t program) const {
    const Inside& inside = launch.inside[program];
    inside.steps->run(table + inside.table, from(work, inside.kept),
                      measures == nullptr ? nullptr : measures + inside.measure);
  }
};

std::unique_ptr<Call> Steps::make_call(const Step& step, const Repeats& repeats) const {
  const Buffer& second = program_.buffers[static_cast<std::size_t>(step.buffers[1])];
  const bool stays = second.kind == Buffer::Kind::Input && static_cast<std::size_t>(second.index) < repeats.constants;
  return make_library_call(step.library, threads_, stays ? repeats.runs : 1);
}

void Steps::prepare(void** table, const Workspace& work) const {
  for (const Launch& launch : launches_)
    if (launch.call) launch.call->prepare(table + launch.first, from(work, launch.kept));
}

void Steps::run(void** table, const Workspace& work, pass::Measure* measures) const {
  for (const Launch& launch : launches_) {
    const bool clocked = measures != nullptr && launch.inside.empty();
    const double start = clocked ? now() : 0;
    void* const* arguments = table + launch.first;
    const Host host{launch, table, work, measures};
    switch (launch.step->kind) {
      case Step::Kind::Kernel:
        if (!launch.parallel)
          launch.function(arguments, 0, launch.extent);
        else
          parallel_for(threads_, launch.extent,
                       [&](std::int64_t begin, std::int64_t end) { launch.function(arguments, begin, end); });
        break;
      case Step::Kind::Library: launch.call->run(arguments, from(work, launch.kept)); break;
      case Step::Kind::Host: pass::run_on_host(host, *launch.step, arguments); break;
      case Step::Kind::Loop: pass::run_loop(host, *launch.step, arguments, table + launch.carried); break;
      case Step::Kind::Branch: pass::run_branch(host, *launch.step, arguments); break;
    }
    if (!clocked) continue;
    measures[launch.measure].seconds += now() - start;
    measures[launch.measure].runs += 1;
  }
}

std::string Steps::by(const Launch& launch) {
  return launch.call ? " by " + launch.call->implementation() : fmt::format(" [{}]", launch.extent);
}

void Steps::list(std::vector<pass::Entry>& entries) const {
  for (const Launch& launch : launches_) {
    if (launch.inside.empty())
      entries.push_back({pass::step_name(*launch.step), by(launch), launch.step->bytes, launch.step->operations});
    for (const Inside& inside : launch.inside) inside.steps->list(entries);
  }
}

std::string Steps::describe(const std::string& indent) const {
  std::string text;
  for (std::size_t i = 0; i < launches_.size(); ++i) {
    const Launch& launch = launches_[i];
    text += fmt::format("{}step {}: {}", indent, i, pass::step_name(*launch.step));
    if (launch.call)
      text += fmt::format(" by {}", launch.call->implementation());
    else if (launch.step->kind == Step::Kind::Kernel)
      text += launch.parallel ? fmt::format(", {} iterations on {} threads", launch.extent, threads_)
                              : ", in the calling thread";
    text += '\n';
    for (const Inside& inside : launch.inside) text += inside.steps->describe(indent + "  ");
  }
  return text;
}

}  // namespace tessera::cpu
