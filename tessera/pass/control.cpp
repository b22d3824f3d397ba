// Steps of control flow: the regions of loops and branches become programs of their own. In: a cluster of one such
// node. Out: a step; the memory that its programs need, in one block.
#include "tessera/ir/control.hpp"

#include <algorithm>

#include "tessera/pass/schedule.hpp"

namespace tessera::pass {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

/// A while in the form of a scan: what its body hands on as it is becomes constant.
struct Loop {
  Values constants, initial;
  Values results;  ///< of what is carried, then of slices
  Values sliced;
  ir::GraphPtr body, condition;
};

Loop loop_of_while(const Node& node) {
  const ir::Graph& body = *node.regions[1];
  std::vector<std::size_t> constants, carried;
  for (std::size_t i = 0; i < node.operands.size(); ++i)
    (body.results[i] == body.parameters[i] ? constants : carried).push_back(i);
  const auto picked = [&](const Values& values, const std::vector<std::size_t>& which) {
    Values list;
    for (const std::size_t i : which) list.push_back(values[i]);
    return list;
  };
  const auto ordered = [&](const ir::Graph& region) {
    auto copy = std::make_shared<ir::Graph>(region);
    copy->parameters = picked(region.parameters, constants);
    const Values rest = picked(region.parameters, carried);
    copy->parameters.insert(copy->parameters.end(), rest.begin(), rest.end());
    return copy;
  };
  const auto next = ordered(body);
  next->results = picked(body.results, carried);
  return {picked(node.operands, constants), picked(node.operands, carried), picked(node.results, carried), {}, next,
          ordered(*node.regions[0])};
}

Loop loop_of_scan(const Node& node) {
  const ir::ScanParts parts = ir::scan_parts(node);
  const auto at = [&](std::size_t i) { return node.operands.begin() + static_cast<std::ptrdiff_t>(i); };
  return {Values(at(0), at(parts.constants)),
          Values(at(parts.constants), at(parts.first_sliced())),
          node.results,
          Values(at(parts.first_sliced()), node.operands.end()),
          node.regions[0],
          nullptr};
}

void lower_loop(const ir::Graph& graph, const Node& node, const Loop& loop, const Target& target, Inner& inner) {
  inner.constants = loop.constants.size();
  inner.carried = loop.initial.size();
  inner.steps = kUntilFalse;
  if (node.op == Op::Scan) {
    inner.steps = node.attributes.integer("length");
    inner.reverse = node.attributes.boolean("reverse", false);
  }
  Carried carried(loop.body->results.size(), -1);
  for (std::size_t c = 0; c < inner.carried; ++c) carried[c] = static_cast<std::int32_t>(inner.constants + c);
  inner.programs.push_back(lower_region(*loop.body, target, carried));
  if (loop.condition != nullptr) inner.programs.push_back(lower_region(*loop.condition, target, {-1}));
  inner.in_place.assign(inner.carried, false);
  for (const Buffer& buffer : inner.programs[0].buffers)
    if (buffer.kind == Buffer::Kind::Output && buffer.donated_from >= 0)
      inner.in_place[static_cast<std::size_t>(buffer.index)] = true;
  const auto place = [&](bool needed, std::size_t bytes) {
    const std::size_t offset = needed ? inner.bytes : kNoPlace;
    if (needed) inner.bytes += aligned(bytes);
    return offset;
  };
  for (std::size_t c = 0; c < inner.carried; ++c) {
    inner.carried_bytes.push_back(byte_size(graph.type(loop.initial[c])));
    inner.spare.push_back(place(!inner.in_place[c], inner.carried_bytes[c]));
  }
  const auto slice = [&](const TensorType& type) {
    const std::size_t bytes = byte_size(type);
    inner.slice_bytes.push_back(bytes);
    inner.slices.push_back(place(target.is_gpu() && bytes % 64 != 0, bytes));
  };
  const ir::Graph& body = *loop.body;
  for (std::size_t i = inner.constants + inner.carried; i < body.parameters.size(); ++i)
    slice(body.type(body.parameters[i]));
  for (std::size_t r = inner.carried; r < body.results.size(); ++r) slice(body.type(body.results[r]));
}

}  // namespace

Step control_step(const Fusion& fusion, const Cluster& cluster, const Target& target,
                  const std::vector<std::int32_t>& buffer_of) {
  const ir::Graph& graph = *fusion.graph;
  const Node& node = *cluster.node;
  const bool loops = node.op == Op::While || node.op == Op::Scan;
  Step step;
  step.kind = loops ? Step::Kind::Loop : Step::Kind::Branch;
  step.library.node = node;
  const auto use = [&](const Values& values) {
    for (const Value v : values) step.buffers.push_back(buffer_of[static_cast<std::size_t>(fusion.storage_of(v))]);
  };
  Inner& inner = step.inner;
  if (loops) {
    const Loop loop = node.op == Op::While ? loop_of_while(node) : loop_of_scan(node);
    lower_loop(graph, node, loop, target, inner);
    for (const Values* list : {&loop.constants, &loop.initial, &loop.sliced, &loop.results}) use(*list);
  } else {
    for (const ir::GraphPtr& region : node.regions)
      inner.programs.push_back(lower_region(*region, target, Carried(node.results.size(), -1)));
    use(node.operands);
    use(node.results);
  }
  inner.answer = inner.bytes;
  inner.arena = inner.answer + 64;
  std::size_t most = 0;
  for (const Program& program : inner.programs) most = std::max(most, program.arena_bytes);
  inner.bytes = inner.arena + aligned(most);
  const ir::Primitive& row = ir::primitive(node.op);
  step.operations = row.cost(node, graph.types(node.operands), graph.types(node.results)).operations;
  return step;
}

}  // namespace tessera::pass
