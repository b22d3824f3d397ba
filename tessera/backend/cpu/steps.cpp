// Running of steps: kernels and library calls with their pointers, loops by binding the pointers of each step's slices
// and of what is carried, branches by choosing.
#include "tessera/backend/cpu/steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"
#include "tessera/ir/control.hpp"

namespace tessera::cpu {
namespace {

using pass::Buffer;
using pass::Step;

/// A kernel runs on the team when it is expected to take longer than this alone.
constexpr double kParallelSeconds = 8e-6;
/// What one core is expected to do in generated loops, for that choice.
constexpr double kBytesPerSecond = 20e9, kOperationsPerSecond = 8e9;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A custom call by its row's reference, on copies.
void run_on_host(const Step& step, void* const* arguments) {
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

bool is_control(const Step& step) { return step.kind == Step::Kind::Loop || step.kind == Step::Kind::Branch; }

}  // namespace

Steps::Steps(const pass::Program& program, std::span<const KernelFunction>& code, int threads)
    : program_(program),
      threads_(threads),
      inputs_(static_cast<std::size_t>(program.inputs)),
      outputs_(static_cast<std::size_t>(program.outputs)) {
  for (const Step& step : program.steps) {
    Launch& launch = launches_.emplace_back();
    launch.step = &step;
    launch.first = slots_.size();
    slots_.insert(slots_.end(), step.buffers.begin(), step.buffers.end());
  }
  table_size_ = slots_.size();
  for (Launch& launch : launches_) {
    const Step& step = *launch.step;
    launch.measure = measured_;
    if (step.kind == Step::Kind::Kernel) {
      launch.function = code.front().run;
      code = code.subspan(1);
      launch.extent = step.kernel.parallel_extent();
      launch.parallel = threads > 1 && launch.extent > 1 &&
                        step.bytes / kBytesPerSecond + step.operations / kOperationsPerSecond > kParallelSeconds;
    } else if (step.kind == Step::Kind::Library) {
      launch.call = make_library_call(step.library, threads);
      scratch_bytes_ = std::max(scratch_bytes_, launch.call->scratch_bytes());
    } else if (is_control(step)) {
      prepare_inside(launch, code);
    }
    if (!is_control(step)) ++measured_;
    needs_team_ = needs_team_ || launch.parallel || launch.call;
  }
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    const Buffer& buffer = program.buffers.at(static_cast<std::size_t>(slots_[slot]));
    const auto index = static_cast<std::size_t>(buffer.index);
    if (buffer.kind == Buffer::Kind::Input) inputs_.at(index).push_back(slot);
    if (buffer.kind == Buffer::Kind::Output) outputs_.at(index).push_back(slot);
  }
}

void Steps::prepare_inside(Launch& launch, std::span<const KernelFunction>& code) {
  const Step& step = *launch.step;
  for (const pass::Program& program : step.inner.programs) {
    auto steps = std::make_unique<Steps>(program, code, threads_);
    scratch_bytes_ = std::max(scratch_bytes_, steps->scratch_bytes());
    needs_team_ = needs_team_ || steps->needs_team();
    measured_ += steps->measured();
    const std::size_t table = table_size_;
    table_size_ += steps->table_size();
    launch.inside.push_back({std::move(steps), table});
  }
  if (step.kind != Step::Kind::Loop) return;
  launch.carried = table_size_;
  table_size_ += step.inner.carried;
  const pass::Program& body = step.inner.programs[0];
  std::vector<std::size_t> inputs(static_cast<std::size_t>(body.inputs)),
      outputs(static_cast<std::size_t>(body.outputs));
  for (const Buffer& buffer : body.buffers) {
    if (buffer.kind == Buffer::Kind::Input) inputs[static_cast<std::size_t>(buffer.index)] = byte_size(buffer.type);
    if (buffer.kind == Buffer::Kind::Output) outputs[static_cast<std::size_t>(buffer.index)] = byte_size(buffer.type);
  }
  const auto carried = static_cast<std::ptrdiff_t>(step.inner.carried);
  launch.slice_bytes.assign(inputs.begin() + static_cast<std::ptrdiff_t>(step.inner.constants) + carried, inputs.end());
  launch.slice_bytes.insert(launch.slice_bytes.end(), outputs.begin() + carried, outputs.end());
}

void Steps::place(void** table, std::byte* arena) const {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(slots_[slot])];
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

void Steps::run(void** table, std::byte* scratch, Measure* measures) const {
  for (const Launch& launch : launches_) {
    const bool clocked = measures != nullptr && launch.inside.empty();
    const double start = clocked ? now() : 0;
    void* const* arguments = table + launch.first;
    switch (launch.step->kind) {
      case Step::Kind::Kernel:
        if (!launch.parallel)
          launch.function(arguments, 0, launch.extent);
        else
          parallel_for(threads_, launch.extent,
                       [&](std::int64_t begin, std::int64_t end) { launch.function(arguments, begin, end); });
        break;
      case Step::Kind::Library: launch.call->run(arguments, scratch); break;
      case Step::Kind::Host: run_on_host(*launch.step, arguments); break;
      case Step::Kind::Loop: run_loop(launch, table, scratch, measures); break;
      case Step::Kind::Branch: run_branch(launch, table, scratch, measures); break;
    }
    if (!clocked) continue;
    measures[launch.measure].seconds += now() - start;
    measures[launch.measure].runs += 1;
  }
}

void Steps::run_loop(const Launch& launch, void** table, std::byte* scratch, Measure* measures) const {
  const pass::Inner& inner = launch.step->inner;
  void** arguments = table + launch.first;
  void** carried = table + launch.carried;  // where each carried value lies now
  const std::size_t operands = launch.step->library.node.operands.size();
  const std::size_t sliced = operands - inner.constants - inner.carried;
  void** results = arguments + operands;
  auto* memory = static_cast<std::byte*>(arguments[launch.step->buffers.size() - 1]);
  const Steps& body = *launch.inside[0].steps;
  void** body_table = table + launch.inside[0].table;
  const auto bytes = [&](std::size_t c) {
    return byte_size(program_.buffers[static_cast<std::size_t>(launch.step->buffers[inner.constants + c])].type);
  };
  for (std::size_t i = 0; i < inner.constants; ++i) body.bind_input(body_table, i, arguments[i]);
  for (std::size_t c = 0; c < inner.carried; ++c) {
    carried[c] = arguments[inner.constants + c];
    if (!inner.in_place[c] || carried[c] == results[c]) continue;
    std::memcpy(results[c], carried[c], bytes(c));
    carried[c] = results[c];
  }
  const auto holds = [&] {
    const Steps& condition = *launch.inside[1].steps;
    void** condition_table = table + launch.inside[1].table;
    for (std::size_t i = 0; i < inner.constants; ++i) condition.bind_input(condition_table, i, arguments[i]);
    for (std::size_t c = 0; c < inner.carried; ++c)
      condition.bind_input(condition_table, inner.constants + c, carried[c]);
    condition.bind_output(condition_table, 0, memory + inner.answer);
    condition.run(condition_table, scratch,
                  measures == nullptr ? nullptr : measures + launch.measure + body.measured());
    return *reinterpret_cast<const bool*>(memory + inner.answer);
  };
  const bool counted = inner.steps != pass::kUntilFalse;
  for (std::int64_t step = 0; counted ? step < inner.steps : holds(); ++step) {
    const auto at = static_cast<std::size_t>(inner.reverse ? inner.steps - 1 - step : step);
    for (std::size_t i = 0; i < sliced; ++i)
      body.bind_input(
          body_table, inner.constants + inner.carried + i,
          static_cast<std::byte*>(arguments[inner.constants + inner.carried + i]) + at * launch.slice_bytes[i]);
    for (std::size_t i = sliced; i < launch.slice_bytes.size(); ++i)
      body.bind_output(body_table, inner.carried + i - sliced,
                       static_cast<std::byte*>(results[inner.carried + i - sliced]) + at * launch.slice_bytes[i]);
    // In turn, so that the last of a known number of steps writes the result.
    const bool to_result = counted ? (inner.steps - 1 - step) % 2 == 0 : step % 2 == 0;
    for (std::size_t c = 0; c < inner.carried; ++c) {
      body.bind_input(body_table, inner.constants + c, carried[c]);
      if (!inner.in_place[c]) carried[c] = to_result ? results[c] : memory + inner.spare[c];
      body.bind_output(body_table, c, carried[c]);
    }
    body.run(body_table, scratch, measures == nullptr ? nullptr : measures + launch.measure);
  }
  for (std::size_t c = 0; c < inner.carried; ++c)
    if (carried[c] != results[c]) std::memcpy(results[c], carried[c], bytes(c));
}

void Steps::run_branch(const Launch& launch, void** table, std::byte* scratch, Measure* measures) const {
  void** arguments = table + launch.first;
  const ir::Node& node = launch.step->library.node;
  std::int64_t selector = 0;
  if (node.op == ir::Op::If)
    selector = *static_cast<const bool*>(arguments[0]) ? 1 : 0;
  else
    selector = *static_cast<const std::int32_t*>(arguments[0]);
  const std::size_t branch = ir::branch_of(node, selector);
  const Steps& steps = *launch.inside[branch].steps;
  void** inside = table + launch.inside[branch].table;
  for (std::size_t i = 1; i < node.operands.size(); ++i) steps.bind_input(inside, i - 1, arguments[i]);
  for (std::size_t r = 0; r < node.results.size(); ++r)
    steps.bind_output(inside, r, arguments[node.operands.size() + r]);
  if (measures != nullptr) {
    measures += launch.measure;
    for (std::size_t b = 0; b < branch; ++b) measures += launch.inside[b].steps->measured();
  }
  steps.run(inside, scratch, measures);
}

std::string Steps::name(const Launch& launch) const {
  const Step& step = *launch.step;
  if (step.kind == Step::Kind::Kernel) return step.kernel.name;
  std::string text(ir::name(step.library.node.op));
  if (step.kind == Step::Kind::Library) text += " " + tessera::to_string(step.library.result_type);
  return text;
}

std::string Steps::by(const Launch& launch) const {
  return launch.call ? " by " + launch.call->implementation() : fmt::format(" [{}]", launch.extent);
}

void Steps::list(std::vector<Entry>& entries) const {
  for (const Launch& launch : launches_) {
    if (launch.inside.empty())
      entries.push_back({name(launch), by(launch), launch.step->bytes, launch.step->operations});
    for (const Inside& inside : launch.inside) inside.steps->list(entries);
  }
}

std::string Steps::describe(const std::string& indent) const {
  std::string text;
  for (std::size_t i = 0; i < launches_.size(); ++i) {
    const Launch& launch = launches_[i];
    text += fmt::format("{}step {}: {}", indent, i, name(launch));
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
