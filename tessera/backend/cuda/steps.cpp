// Enqueuing of steps.
#include "tessera/backend/cuda/steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

using pass::Buffer;
using pass::Step;

/// At least 256: what is empty has an address too.
std::size_t aligned(std::size_t bytes) { return std::max<std::size_t>(1, (bytes + 255) / 256) * 256; }

}  // namespace

Steps::Steps(Device& device, const pass::Program& program, std::span<const Function>& functions,
             const MakeCall& make_call)
    : device_(device), program_(program), slots_(program), addresses_(slots_.buffers.size()) {
  for (const Step& step : program.steps) {
    const std::size_t first = slots_.first[launches_.size()];
    Launch& launch = launches_.emplace_back();
    launch.step = &step;
    launch.first = first;
    launch.measure = measured_;
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
      const Inside& inside =
          launch.inside.emplace_back(std::make_unique<Steps>(device, inner, functions, make_call), measured_);
      scratch_bytes_ = std::max(scratch_bytes_, inside.steps->scratch_bytes());
      capturable_ = capturable_ && inside.steps->capturable();
      measured_ += inside.steps->measured();
    }
    if (launch.inside.empty()) ++measured_;
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
    for (const Inside& inside : launch.inside) bytes += inside.steps->constant_bytes();
  return bytes;
}

void Steps::place(DevicePointer arena, DevicePointer& constants) {
  std::vector<DevicePointer> at;
  for (const Literal& constant : program_.constants) {
    device_.upload(constants, constant.data(), constant.bytes());
    at.push_back(constants);
    constants += aligned(constant.bytes());
  }
  for (std::size_t slot = 0; slot < slots_.buffers.size(); ++slot) {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(slots_.buffers[slot])];
    if (buffer.kind == Buffer::Kind::Temporary) addresses_[slot] = arena + buffer.offset;
    if (buffer.kind == Buffer::Kind::Constant) addresses_[slot] = at.at(static_cast<std::size_t>(buffer.index));
  }
  for (const Launch& launch : launches_)
    for (const Inside& inside : launch.inside)
      inside.steps->place(addresses_[launch.first + launch.step->buffers.size() - 1] + launch.step->inner.arena,
                          constants);
}

/// The memory of the device, and what runs inside of a step: a Machine of pass/running.hpp.
struct Steps::Gpu {
  Steps& steps;
  const Launch& launch;
  DevicePointer scratch = 0;
  pass::Measure* measures = nullptr;

  static DevicePointer at(DevicePointer address, std::size_t bytes) { return address + bytes; }
  void read(void* to, DevicePointer address, std::size_t bytes) const {
    steps.device_.download(static_cast<std::byte*>(to), address, bytes);
  }
  void write(DevicePointer address, const std::byte* from, std::size_t bytes) const {
    steps.device_.upload(address, from, bytes);
  }
  void copy(DevicePointer to, DevicePointer from, std::size_t bytes) const {
    steps.device_.check(steps.device_.driver().copy(to, from, bytes, steps.device_.stream()),
                        [&] { return "while copying what a loop of " + steps.program_.name + " carries"; });
  }
  void bind_input(std::size_t program, std::size_t input, DevicePointer address) const {
    launch.inside[program].steps->bind_input(input, address);
  }
  void bind_output(std::size_t program, std::size_t output, DevicePointer address) const {
    launch.inside[program].steps->bind_output(output, address);
  }
  void prepare(std::size_t /*program*/) const {}
  void run(std::size_t program) const {
    const Inside& inside = launch.inside[program];
    inside.steps->run(scratch, measures == nullptr ? nullptr : measures + inside.measure);
  }
};

void Steps::run(DevicePointer scratch, pass::Measure* measures) {
  for (const Launch& launch : launches_) {
    const DevicePointer* const arguments = addresses_.data() + launch.first;
    if (launch.step->kind == Step::Kind::Loop) {
      std::vector<DevicePointer> carried(launch.step->inner.carried);
      pass::run_loop(Gpu{*this, launch, scratch, measures}, *launch.step, arguments, carried.data());
    } else if (launch.step->kind == Step::Kind::Branch) {
      pass::run_branch(Gpu{*this, launch, scratch, measures}, *launch.step, arguments);
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
  const DevicePointer* const arguments = addresses_.data() + launch.first;
  if (launch.step->kind == Step::Kind::Host)
    return pass::run_on_host(Gpu{*this, launch, scratch}, *launch.step, arguments);
  const std::size_t count = launch.step->buffers.size();
  if (launch.call) {
    launch.call->run({arguments, count}, scratch, device_.stream());
    return;
  }
  if (launch.blocks == 0) return;
  parameters_.clear();
  for (std::size_t a = 0; a < count; ++a) parameters_.push_back(&addresses_[launch.first + a]);
  device_.check(device_.driver().launch(launch.function, launch.blocks, 1, 1, launch.threads, 1, 1, 0, device_.stream(),
                                        parameters_.data(), nullptr),
                [&] { return "while launching " + where(launch); });
}

std::string Steps::by(const Launch& launch) {
  return launch.call ? " by " + launch.call->implementation()
                     : fmt::format(" [{} x {}]", launch.blocks, launch.threads);
}

std::string Steps::where(const Launch& launch) const {
  const Step& step = *launch.step;
  std::string text = fmt::format("step {} of {}: {}", &launch - launches_.data(), program_.name, pass::step_name(step));
  if (step.location.known()) text += " at " + tessera::to_string(step.location);
  for (const std::int32_t b : step.buffers) text += "\n      " + program_.buffers[static_cast<std::size_t>(b)].name;
  return text;
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
      text += " by " + launch.call->implementation();
    else if (launch.inside.empty())
      text += fmt::format(", {} blocks of {} threads", launch.blocks, launch.threads);
    text += '\n';
    for (const Inside& inside : launch.inside) text += inside.steps->describe(indent + "  ");
  }
  return text;
}

std::string Steps::summary() const {
  std::string text;
  for (const Launch& launch : launches_) {
    text += (text.empty() ? "" : ", ") + pass::step_name(*launch.step);
    for (const Inside& inside : launch.inside) text += " (" + inside.steps->summary() + ")";
  }
  return text;
}

}  // namespace tessera::cuda
