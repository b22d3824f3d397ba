// Slots, names and profiles for pass/running.hpp.
#include "tessera/pass/running.hpp"

namespace tessera::pass {

Slots::Slots(const Program& program)
    : inputs(static_cast<std::size_t>(program.inputs)), outputs(static_cast<std::size_t>(program.outputs)) {
  for (const Step& step : program.steps) {
    first.push_back(buffers.size());
    buffers.insert(buffers.end(), step.buffers.begin(), step.buffers.end());
  }
  for (std::size_t slot = 0; slot < buffers.size(); ++slot) {
    const Buffer& buffer = program.buffers.at(static_cast<std::size_t>(buffers[slot]));
    const auto index = static_cast<std::size_t>(buffer.index);
    if (buffer.kind == Buffer::Kind::Input) inputs.at(index).push_back(slot);
    if (buffer.kind == Buffer::Kind::Output) outputs.at(index).push_back(slot);
  }
}

std::vector<StepProfile> profile(const std::vector<Entry>& entries, const std::vector<Measure>& measures) {
  std::vector<StepProfile> list;
  for (std::size_t i = 0; i < entries.size(); ++i)
    list.push_back({entries[i].name, measures[i].seconds, entries[i].bytes * measures[i].runs,
                    entries[i].operations * measures[i].runs});
  return list;
}

std::string step_name(const Step& step) {
  if (step.kind == Step::Kind::Kernel) return step.kernel.name;
  std::string text(ir::name(step.library.node.op));
  if (step.kind == Step::Kind::Library) text += " " + tessera::to_string(step.library.result_type);
  return text;
}

}  // namespace tessera::pass
