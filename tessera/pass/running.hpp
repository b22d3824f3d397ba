// What the backends that run a Program step by step share: where arguments stand, how loops, branches and custom calls
// of the host go, what steps are called. Used by backend/cpu/steps.cpp and backend/cuda/steps.cpp.
//
// A Machine is what a backend lends to one step in one run:
//   at(address, bytes)                        the address that many bytes further on
//   read(to, address, bytes)                  to the host, once all that came before is done
//   write(address, from, bytes)               from the host
//   copy(to, from, bytes)                     within the machine
//   bind_input(program, input, address)       of the step's inner programs
//   bind_output(program, output, address)
//   prepare(program)                          its constants are bound for the runs that follow
//   run(program)
#pragma once

#include <string>
#include <vector>

#include "tessera/ir/control.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::pass {

/// A slot for each argument of each step of a program.
struct Slots {
  explicit Slots(const Program& program);
  std::vector<std::int32_t> buffers;                      ///< by slot: the buffer
  std::vector<std::size_t> first;                         ///< by step: the slot of its first argument
  std::vector<std::vector<std::size_t>> inputs, outputs;  ///< the slots of each
};

/// What was measured of one step that is no loop and no branch.
struct Measure {
  double seconds = 0, runs = 0;
};
/// Such a step: its name, by whom or how wide it runs, bytes and operations of one run.
struct Entry {
  std::string name, by;
  double bytes = 0, operations = 0;
};
std::vector<StepProfile> profile(const std::vector<Entry>& entries, const std::vector<Measure>& measures);

/// The kernel's name; or the operation, with the type that a library computes.
std::string step_name(const Step& step);

/// A custom call by its row's reference, on copies.
template <class Machine, class Address>
void run_on_host(const Machine& machine, const Step& step, const Address* arguments) {
  const std::size_t operands = step.library.operand_types.size();
  std::vector<Literal> values;
  for (std::size_t i = 0; i < operands; ++i) {
    Literal& value = values.emplace_back(step.library.operand_types[i]);
    machine.read(value.data(), arguments[i], value.bytes());
  }
  const std::vector<Literal> results = ir::primitive(step.library.node.op).evaluate(step.library.node, values);
  for (std::size_t i = 0; operands + i < step.buffers.size() && i < results.size(); ++i)
    machine.write(arguments[operands + i], results[i].data(), results[i].bytes());
}

template <class Machine, class Address>
void run_branch(const Machine& machine, const Step& step, const Address* arguments) {
  const ir::Node& node = step.library.node;
  std::int32_t selector = 0;
  machine.read(&selector, arguments[0], node.op == ir::Op::If ? 1 : sizeof selector);
  const std::size_t branch = ir::branch_of(node, selector), operands = node.operands.size();
  for (std::size_t i = 1; i < operands; ++i) machine.bind_input(branch, i - 1, arguments[i]);
  for (std::size_t r = 0; r < node.results.size(); ++r) machine.bind_output(branch, r, arguments[operands + r]);
  machine.run(branch);
}

/// `carried`: room for the addresses of what is carried.
template <class Machine, class Address>
void run_loop(const Machine& machine, const Step& step, const Address* arguments, Address* carried) {
  const Inner& inner = step.inner;
  constexpr std::size_t kBody = 0, kCondition = 1;
  const std::size_t operands = step.library.node.operands.size(), first = inner.constants + inner.carried;
  const std::size_t sliced = operands - first, slices = inner.slices.size();
  const Address* results = arguments + operands;
  const Address memory = arguments[step.buffers.size() - 1];
  const auto move = [&](Address to, Address from, std::size_t bytes) {
    if (to != from && bytes > 0) machine.copy(to, from, bytes);
  };
  for (std::size_t p = 0; p < inner.programs.size(); ++p)
    for (std::size_t i = 0; i < inner.constants; ++i) machine.bind_input(p, i, arguments[i]);
  for (std::size_t p = 0; p < inner.programs.size(); ++p) machine.prepare(p);
  for (std::size_t c = 0; c < inner.carried; ++c) {
    carried[c] = arguments[inner.constants + c];
    if (!inner.in_place[c]) continue;
    move(results[c], carried[c], inner.carried_bytes[c]);
    carried[c] = results[c];
  }
  const auto holds = [&] {
    for (std::size_t c = 0; c < inner.carried; ++c) machine.bind_input(kCondition, inner.constants + c, carried[c]);
    const Address answer = machine.at(memory, inner.answer);
    machine.bind_output(kCondition, 0, answer);
    machine.run(kCondition);
    std::byte held{};
    machine.read(&held, answer, 1);
    return held != std::byte{0};
  };
  const bool counted = inner.steps != kUntilFalse;
  for (std::int64_t n = 0; counted ? n < inner.steps : holds(); ++n) {
    const auto position = static_cast<std::size_t>(inner.reverse ? inner.steps - 1 - n : n);
    // A slice in its array, and where the body has it.
    const auto slice = [&](std::size_t s) {
      const Address array = s < sliced ? arguments[first + s] : results[inner.carried + s - sliced];
      return machine.at(array, position * inner.slice_bytes[s]);
    };
    const auto place = [&](std::size_t s) {
      return inner.slices[s] == kNoPlace ? slice(s) : machine.at(memory, inner.slices[s]);
    };
    for (std::size_t s = 0; s < sliced; ++s) {
      move(place(s), slice(s), inner.slice_bytes[s]);
      machine.bind_input(kBody, first + s, place(s));
    }
    for (std::size_t s = sliced; s < slices; ++s) machine.bind_output(kBody, inner.carried + s - sliced, place(s));
    // In turn, so that the last of a known number of steps writes the result.
    const bool to_result = counted ? (inner.steps - 1 - n) % 2 == 0 : n % 2 == 0;
    for (std::size_t c = 0; c < inner.carried; ++c) {
      machine.bind_input(kBody, inner.constants + c, carried[c]);
      if (!inner.in_place[c]) carried[c] = to_result ? results[c] : machine.at(memory, inner.spare[c]);
      machine.bind_output(kBody, c, carried[c]);
    }
    machine.run(kBody);
    for (std::size_t s = sliced; s < slices; ++s) move(slice(s), place(s), inner.slice_bytes[s]);
  }
  for (std::size_t c = 0; c < inner.carried; ++c) move(results[c], carried[c], inner.carried_bytes[c]);
}

}  // namespace tessera::pass
