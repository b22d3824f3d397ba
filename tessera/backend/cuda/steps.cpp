// Enqueuing of steps.
#include "tessera/backend/cuda/steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/ir/control.hpp"

namespace tessera::cuda {
namespace {

using pass::Buffer;
using pass::Step;

/// At least 256: what is empty has an address too.
std::size_t aligned(std::size_t bytes) { return std::max<std::size_t>(1, (bytes + 255) / 256) * 256; }

}  // namespace

Steps::Steps(Device& device, const pass::Program& program, std::span<const Function>& functions,
             const MakeCall& make_call)
    : device_(device),
      program_(program),
      inputs_(static_cast<std::size_t>(program.inputs)),
      outputs_(static_cast<std::size_t>(program.outputs)) {
  for (const Step& step : program.steps) {
    Launch& launch = launches_.emplace_back();
    launch.step = &step;
    launch.first = arguments_.size();
    launch.measure = measured_;
    arguments_.insert(arguments_.end(), step.buffers.begin(), step.buffers.end());
    switch (step.kind) {
      case Step::Kind::Kernel: prepare_kernel(launch, functions); break;
      case Step::Kind::Library:
        launch.call = make_call(step.library);
        scratch_bytes_ = std::max(scratch_bytes_, aligned(launch.call->scratch_bytes()));
        break;
      case Step::Kind::Host: capturable_ = false; break;
      case Step::Kind::Loop: capturable_ = capturable_ && step.inner.steps != pass::kUntilFalse; break;
      case Step::Kind::Branch: capturable_ = false; break;
    }
    for (const pass::Program& inner : step.inner.programs) {
      launch.inside.push_back(std::make_unique<Steps>(device, inner, functions, make_call));
      scratch_bytes_ = std::max(scratch_bytes_, launch.inside.back()->scratch_bytes());
      capturable_ = capturable_ && launch.inside.back()->capturable();
      measured_ += launch.inside.back()->measured();
    }
    if (launch.inside.empty()) ++measured_;
  }
  addresses_.resize(arguments_.size());
  for (std::size_t slot = 0; slot < arguments_.size(); ++slot) {
    const Buffer& buffer = program.buffers.at(static_cast<std::size_t>(arguments_[slot]));
    const auto index = static_cast<std::size_t>(buffer.index);
    if (buffer.kind == Buffer::Kind::Input) inputs_.at(index).push_back(slot);
    if (buffer.kind == Buffer::Kind::Output) outputs_.at(index).push_back(slot);
  }
}

void Steps::prepare_kernel(Launch& launch, std::span<const Function>& functions) {
  const kernel::Kernel& kernel = launch.step->kernel;
  const std::int64_t blocks = kernel.parallel_extent();
  if (blocks > std::numeric_limits<std::int32_t>::max() || kernel.threads() <= 0)
    throw Error(ErrorKind::Unsupported, fmt::format("the kernel {} of {} has {} blocks of {} threads, which no "
                                                    "GPU runs",
                                                    kernel.name, program_.name, blocks, kernel.threads()));
  launch.function = functions.front();
  functions = functions.subspan(1);
  launch.blocks = static_cast<unsigned>(blocks);
  launch.threads = static_cast<unsigned>(kernel.threads());
}

std::size_t Steps::constant_bytes() const {
  std::size_t bytes = 0;
  for (const Literal& constant : program_.constants) bytes += aligned(constant.bytes());
  for (const Launch& launch : launches_)
    for (const auto& inside : launch.inside) bytes += inside->constant_bytes();
  return bytes;
}

void Steps::place(DevicePointer arena, DevicePointer& constants) {
  std::vector<DevicePointer> at;
  for (const Literal& constant : program_.constants) {
    device_.upload(constants, constant.data(), constant.bytes());
    at.push_back(constants);
    constants += aligned(constant.bytes());
  }
  for (std::size_t slot = 0; slot < arguments_.size(); ++slot) {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(arguments_[slot])];
    if (buffer.kind == Buffer::Kind::Temporary) addresses_[slot] = arena + buffer.offset;
    if (buffer.kind == Buffer::Kind::Constant) addresses_[slot] = at.at(static_cast<std::size_t>(buffer.index));
  }
  for (const Launch& launch : launches_)
    for (const auto& inside : launch.inside)
      inside->place(addresses_[launch.first + launch.step->buffers.size() - 1] + launch.step->inner.arena, constants);
}

void Steps::run(DevicePointer scratch, Measure* measures) {
  for (const Launch& launch : launches_) {
    if (launch.step->kind == Step::Kind::Loop) {
      run_loop(launch, scratch, measures);
    } else if (launch.step->kind == Step::Kind::Branch) {
      run_branch(launch, scratch, measures);
    } else if (measures == nullptr) {
      run_step(launch, scratch);
    } else {
      device_.began(std::make_shared<const std::string>(where(launch)), true);
      measures[launch.measure].seconds += device_.seconds_of([&] { run_step(launch, scratch); });
      measures[launch.measure].runs += 1;
    }
  }
}

void Steps::run_step(const Launch& launch, DevicePointer scratch) {
  if (launch.step->kind == Step::Kind::Host) return run_on_host(launch);
  const std::size_t count = launch.step->buffers.size();
  if (launch.call) {
    launch.call->run({addresses_.data() + launch.first, count}, scratch, device_.stream());
    return;
  }
  if (launch.blocks == 0) return;
  parameters_.clear();
  for (std::size_t a = 0; a < count; ++a) parameters_.push_back(&addresses_[launch.first + a]);
  device_.check(device_.driver().launch(launch.function, launch.blocks, 1, 1, launch.threads, 1, 1, 0, device_.stream(),
                                        parameters_.data(), nullptr),
                [&] { return "while launching " + where(launch); });
}

/// A custom call by its row's reference, on copies.
void Steps::run_on_host(const Launch& launch) {
  const Step& step = *launch.step;
  const DevicePointer* const arguments = addresses_.data() + launch.first;
  const std::size_t operands = step.library.operand_types.size();
  std::vector<Literal> values;
  for (std::size_t i = 0; i < operands; ++i) {
    Literal& value = values.emplace_back(step.library.operand_types[i]);
    device_.download(value.data(), arguments[i], value.bytes());
  }
  const std::vector<Literal> results = ir::primitive(step.library.node.op).evaluate(step.library.node, values);
  for (std::size_t i = 0; operands + i < step.buffers.size() && i < results.size(); ++i)
    device_.upload(arguments[operands + i], results[i].data(), results[i].bytes());
}

void Steps::copy(DevicePointer to, DevicePointer from, std::size_t bytes) {
  if (to == from || bytes == 0) return;
  device_.check(device_.driver().copy(to, from, bytes, device_.stream()),
                [&] { return "while copying what a loop of " + program_.name + " carries"; });
}

void Steps::run_loop(const Launch& launch, DevicePointer scratch, Measure* measures) {
  const pass::Inner& inner = launch.step->inner;
  const DevicePointer* arguments = addresses_.data() + launch.first;
  const std::size_t operands = launch.step->library.node.operands.size(), first = inner.constants + inner.carried;
  const DevicePointer* results = arguments + operands;
  const DevicePointer memory = arguments[launch.step->buffers.size() - 1];
  Steps& body = *launch.inside[0];
  const auto bytes = [&](std::size_t argument) {
    return byte_size(program_.buffers[static_cast<std::size_t>(launch.step->buffers[argument])].type);
  };
  std::vector<DevicePointer> carried(arguments + inner.constants, arguments + first);  // where each lies now
  for (std::size_t i = 0; i < inner.constants; ++i) body.bind_input(i, arguments[i]);
  for (std::size_t c = 0; c < inner.carried; ++c) {
    if (!inner.in_place[c]) continue;
    copy(results[c], carried[c], bytes(operands + c));
    carried[c] = results[c];
  }
  const auto holds = [&] {
    Steps& condition = *launch.inside[1];
    for (std::size_t i = 0; i < inner.constants; ++i) condition.bind_input(i, arguments[i]);
    for (std::size_t c = 0; c < inner.carried; ++c) condition.bind_input(inner.constants + c, carried[c]);
    condition.bind_output(0, memory + inner.answer);
    condition.run(scratch, measures == nullptr ? nullptr : measures + launch.measure + body.measured());
    std::byte answer{};
    device_.download(&answer, memory + inner.answer, 1);
    return answer != std::byte{0};
  };
  const bool counted = inner.steps != pass::kUntilFalse;
  const std::size_t sliced = operands - first, stacked = inner.slices.size() - sliced;
  for (std::int64_t step = 0; counted ? step < inner.steps : holds(); ++step) {
    const auto at = static_cast<std::size_t>(inner.reverse ? inner.steps - 1 - step : step);
    const auto slice = [&](std::size_t argument, std::size_t& size) {
      size = bytes(argument) / static_cast<std::size_t>(inner.steps);
      return arguments[argument] + at * size;
    };
    std::size_t size = 0;
    for (std::size_t i = 0; i < sliced; ++i) {
      DevicePointer address = slice(first + i, size);
      if (inner.slices[i] != pass::kNoPlace) {
        copy(memory + inner.slices[i], address, size);
        address = memory + inner.slices[i];
      }
      body.bind_input(first + i, address);
    }
    for (std::size_t r = 0; r < stacked; ++r) {
      const std::size_t place = inner.slices[sliced + r];
      body.bind_output(inner.carried + r,
                       place != pass::kNoPlace ? memory + place : slice(operands + inner.carried + r, size));
    }
    // In turn, so that the last of a known number of steps writes the result.
    const bool to_result = counted ? (inner.steps - 1 - step) % 2 == 0 : step % 2 == 0;
    for (std::size_t c = 0; c < inner.carried; ++c) {
      body.bind_input(inner.constants + c, carried[c]);
      if (!inner.in_place[c]) carried[c] = to_result ? results[c] : memory + inner.spare[c];
      body.bind_output(c, carried[c]);
    }
    body.run(scratch, measures == nullptr ? nullptr : measures + launch.measure);
    for (std::size_t r = 0; r < stacked; ++r)
      if (const std::size_t place = inner.slices[sliced + r]; place != pass::kNoPlace) {
        const DevicePointer to = slice(operands + inner.carried + r, size);
        copy(to, memory + place, size);
      }
  }
  for (std::size_t c = 0; c < inner.carried; ++c) copy(results[c], carried[c], bytes(operands + c));
}

void Steps::run_branch(const Launch& launch, DevicePointer scratch, Measure* measures) {
  const DevicePointer* arguments = addresses_.data() + launch.first;
  const ir::Node& node = launch.step->library.node;
  std::int32_t selector = 0;
  device_.download(reinterpret_cast<std::byte*>(&selector), arguments[0], node.op == ir::Op::If ? 1 : sizeof selector);
  const std::size_t branch = ir::branch_of(node, selector);
  Steps& steps = *launch.inside[branch];
  for (std::size_t i = 1; i < node.operands.size(); ++i) steps.bind_input(i - 1, arguments[i]);
  for (std::size_t r = 0; r < node.results.size(); ++r) steps.bind_output(r, arguments[node.operands.size() + r]);
  if (measures != nullptr) {
    measures += launch.measure;
    for (std::size_t b = 0; b < branch; ++b) measures += launch.inside[b]->measured();
  }
  steps.run(scratch, measures);
}

std::string Steps::name(const Launch& launch) const {
  const Step& step = *launch.step;
  if (step.kind == Step::Kind::Kernel) return step.kernel.name;
  std::string text(ir::name(step.library.node.op));
  if (step.kind == Step::Kind::Library) text += " " + tessera::to_string(step.library.result_type);
  return text;
}

std::string Steps::by(const Launch& launch) const {
  return launch.call ? " by " + launch.call->implementation()
                     : fmt::format(" [{} x {}]", launch.blocks, launch.threads);
}

std::string Steps::where(const Launch& launch) const {
  const Step& step = *launch.step;
  std::string text = fmt::format("step {} of {}: {}", &launch - launches_.data(), program_.name, name(launch));
  if (step.location.known()) text += " at " + tessera::to_string(step.location);
  for (const std::int32_t b : step.buffers) text += "\n      " + program_.buffers[static_cast<std::size_t>(b)].name;
  return text;
}

void Steps::list(std::vector<Entry>& entries) const {
  for (const Launch& launch : launches_) {
    if (launch.inside.empty())
      entries.push_back({name(launch), by(launch), launch.step->bytes, launch.step->operations});
    for (const auto& inside : launch.inside) inside->list(entries);
  }
}

std::string Steps::describe(const std::string& indent) const {
  std::string text;
  for (std::size_t i = 0; i < launches_.size(); ++i) {
    const Launch& launch = launches_[i];
    text += fmt::format("{}step {}: {}", indent, i, name(launch));
    if (launch.call)
      text += " by " + launch.call->implementation();
    else if (launch.inside.empty())
      text += fmt::format(", {} blocks of {} threads", launch.blocks, launch.threads);
    text += '\n';
    for (const auto& inside : launch.inside) text += inside->describe(indent + "  ");
  }
  return text;
}

std::string Steps::summary() const {
  std::string text;
  for (const Launch& launch : launches_) {
    text += (text.empty() ? "" : ", ") + name(launch);
    for (const auto& inside : launch.inside) text += " (" + inside->summary() + ")";
  }
  return text;
}

}  // namespace tessera::cuda
