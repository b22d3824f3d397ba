// Scheduling: fused clusters become steps. In: a fused graph. Out: one step for one cluster, or for several small ones.
// The loops are schedule_cpu.cpp's or schedule_gpu.cpp's; here stands what they share, and the steps of libraries.
#include "tessera/pass/schedule.hpp"

#include <algorithm>

namespace tessera::pass {

using ir::Index;
using ir::Node;
using ir::Op;
using ir::Value;
using kernel::Expr;
using kernel::kLanes;

kernel::Op monoid_op(Op op) {
  switch (op) {
    case Op::Add: return kernel::Op::Add;
    case Op::Multiply: return kernel::Op::Multiply;
    case Op::Maximum: return kernel::Op::Maximum;
    case Op::Minimum: return kernel::Op::Minimum;
    case Op::And: return kernel::Op::And;
    case Op::Or: return kernel::Op::Or;
    default: return kernel::Op::Xor;
  }
}

Expr identity(Emitter& e, Op monoid, DType dtype) {
  // -0 is what leaves every float as it is.
  if (monoid == Op::Add && is_float(dtype)) return e.b.constant(dtype, -0.0);
  return e.literal(ir::identity(monoid, dtype), 0);
}

std::int64_t divisor(std::int64_t n, std::int64_t limit) {
  for (std::int64_t d = std::min(n, limit); d > 1; --d)
    if (n % d == 0) return d;
  return 1;
}

std::size_t Boundaries::run_start() const {
  for (std::size_t d = root_.size(); d-- > 1;)
    if (keep_[d]) return d;
  return 0;
}

Boundaries::Map Boundaries::whole() const {
  Map identity(root_.size());
  for (std::size_t d = 0; d < root_.size(); ++d) identity[d] = static_cast<int>(d);
  return identity;
}

void Boundaries::keep_all() {
  regular_ = false;
  std::fill(keep_.begin(), keep_.end(), true);
}

void Boundaries::leaf(const Map& map) {
  for (std::size_t d = 1; d < root_.size(); ++d) {
    const auto at = [&](std::size_t dim) { return std::find(map.begin(), map.end(), static_cast<int>(dim)); };
    if (root_[d] == 1 || root_[d - 1] == 1) continue;
    const bool outer = at(d - 1) != map.end(), inner = at(d) != map.end();
    if (outer != inner || (outer && inner && at(d) < at(d - 1))) keep_[d] = true;
  }
}

void Boundaries::visit(Value v, const Map& map) {
  const Node* node = graph_.producer(v);
  if (fusion_.has_buffer(v)) return leaf(map);
  if (!seen_.insert({v, map}).second || node == nullptr) return;
  step(*node, map);
}

void Boundaries::step(const Node& node, const Map& map) {
  if (node.op == Op::Constant) return;
  if (ir::is_elementwise(ir::family(node.op)) || node.op == Op::OptimizationBarrier) {
    for (const Value v : node.operands)
      if (!graph_.shape(v).empty()) visit(v, map);
  } else if (node.op == Op::BroadcastInDim) {
    const Shape& from = graph_.shape(node.operands[0]);
    const ir::Integers& dimensions = node.attributes.integers("broadcast_dimensions");
    Map inner(from.size());
    for (std::size_t d = 0; d < from.size(); ++d)
      inner[d] = from[d] == 1 ? -1 : map[static_cast<std::size_t>(dimensions[d])];
    if (from.empty()) return;
    // Dimensions of the root that the operand lacks are constant there, like those of any leaf.
    visit(node.operands[0], inner);
  } else if (node.op == Op::Reshape) {
    const Shape& from = graph_.shape(node.operands[0]);
    std::vector<int> nontrivial_to, nontrivial_from;
    Shape to_extents, from_extents;
    const Shape& to = graph_.shape(node.results[0]);
    for (std::size_t d = 0; d < to.size(); ++d)
      if (to[d] != 1) {
        nontrivial_to.push_back(map[d]);
        to_extents.push_back(to[d]);
      }
    for (const std::int64_t extent : from)
      if (extent != 1) from_extents.push_back(extent);
    if (to_extents != from_extents) {
      // A whole root in order stays one run, if only buffers stand behind it.
      if (fusion_.has_buffer(node.operands[0]))
        leaf(map);
      else
        keep_all();
      return;
    }
    Map inner(from.size(), -1);
    std::size_t next = 0;
    for (std::size_t d = 0; d < from.size(); ++d)
      if (from[d] != 1) inner[d] = nontrivial_to[next++];
    visit(node.operands[0], inner);
  } else if (node.op == Op::Iota) {
    leaf({map[static_cast<std::size_t>(node.attributes.integer("iota_dimension"))]});
  } else {
    keep_all();
  }
}

void ClusterLoops::begin(const Cluster& cluster) {
  cluster_ = &cluster;
  for (const Item& item : cluster.items)
    if (item.hold == Item::Hold::Stored) e.withhold(item.value);
}

void ClusterLoops::emit(const Cluster& cluster) {
  begin(cluster);
  switch (cluster.kind) {
    case Cluster::Kind::Map: map(); break;
    case Cluster::Kind::Rows: rows(); break;
    case Cluster::Kind::Columns: columns(); break;
    case Cluster::Kind::Update:
      e.begin_update();
      cluster.node->op == Op::Scatter ? scatter() : update_slice();
      break;
    default: break;
  }
  e.finish_cluster();
}

Index slice_start(Emitter& e, const Node& node) {
  const Shape& shape = e.graph_.shape(node.operands[0]);
  const Shape& part = e.graph_.shape(node.operands[1]);
  Index start;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const Expr wanted = e.b.convert(DType::I64, e.element(node.operands[2 + d], {}));
    const Expr low = e.b.binary(kernel::Op::Maximum, wanted, e.b.index(0));
    start.push_back(e.b.binary(kernel::Op::Minimum, low, e.b.index(shape[d] - part[d])));
  }
  return start;
}

void scatter_update(Emitter& e, const Node& node, const Index& update, const ir::ScatterTarget& target) {
  const std::size_t count = node.results.size();
  std::vector<Expr> arguments;
  for (std::size_t i = 0; i < count; ++i) {
    const TensorType& type = e.graph_.type(node.results[i]);
    const Expr old = e.b.load(e.argument(node.results[i], true), e.linear(type.shape, target.at), target.valid);
    arguments.push_back(e.b.convert(compute_type(type.dtype), old));
  }
  for (std::size_t i = 0; i < count; ++i) arguments.push_back(e.element(node.operands[count + 1 + i], update));
  std::vector<Expr> next = e.apply(*node.regions[0], arguments);
  const Expr lane = e.b.in_vector_loop() ? e.b.lane() : e.b.index(0);
  if (count > 1)
    for (Expr& value : next) {  // all are computed before any is stored
      const std::int32_t local = e.b.local("next", e.b.dtype(value), e.b.in_vector_loop() ? kLanes : 1);
      e.b.write(local, lane, value);
      value = e.b.read(local, lane);
    }
  for (std::size_t i = 0; i < count; ++i)
    e.store(node.results[i], target.at, e.rounded(next[i], e.graph_.dtype(node.results[i])), target.valid);
}

namespace {

Step library_step(const Fusion& fusion, const Cluster& cluster, const std::vector<std::int32_t>& buffer_of) {
  const ir::Graph& graph = *fusion.graph;
  Step step;
  const Node& node = *cluster.node;
  step.kind = cluster.kind == Cluster::Kind::Library ? Step::Kind::Library : Step::Kind::Host;
  step.library.node = node;
  step.library.operand_types = graph.types(node.operands);
  if (!node.results.empty()) step.library.result_type = graph.type(node.results[0]);
  step.library.epilogue = cluster.epilogue;
  const auto use = [&](Value v) { step.buffers.push_back(buffer_of[static_cast<std::size_t>(fusion.storage_of(v))]); };
  for (const Value v : node.operands) use(v);
  for (const Value v : cluster.epilogue_operands) use(v);
  for (const Item& item : cluster.items) use(item.value);
  return step;
}

}  // namespace

Step schedule(const Fusion& fusion, const Group& group, const Target& target,
              const std::vector<std::int32_t>& buffer_of) {
  const ir::Graph& graph = *fusion.graph;
  Step step;
  const Cluster& last = group.clusters.back();
  if (last.kind == Cluster::Kind::Control) {
    step = control_step(fusion, last, target, buffer_of);
  } else if (last.kind == Cluster::Kind::Library || last.kind == Cluster::Kind::Host) {
    step = library_step(fusion, last, buffer_of);
    const ir::Primitive& row = ir::primitive(step.library.node.op);
    if (row.cost)
      step.operations =
          row.cost(step.library.node, step.library.operand_types, {&step.library.result_type, 1}).operations;
  } else {
    Emitter emitter(fusion, step.kernel, buffer_of);
    for (const Cluster& cluster : group.clusters) {
      step.operations += cluster.cost;
      for (const Item& item : cluster.items) {
        const Node& node = *graph.producer(item.value);
        step.kernel.name += (step.kernel.name.empty() ? "" : "_") + std::string(ir::name(node.op));
        step.kernel.comment += (step.kernel.comment.empty() ? "" : "\n") + describe(graph, item.value);
      }
    }
    target.is_gpu() ? schedule_gpu(emitter, group, target) : schedule_cpu(emitter, group, target);
    if (step.kernel.name.size() > 48) step.kernel.name.resize(48);
    step.buffers = emitter.buffers;
    step.once = emitter.once;
  }
  step.location = last.node != nullptr ? last.node->location : graph.producer(last.items.back().value)->location;
  return step;
}

}  // namespace tessera::pass
