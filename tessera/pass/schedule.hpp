// What the schedulers of the CPU and of the GPU share. Internal to pass/.
#pragma once

#include "tessera/pass/emit.hpp"

namespace tessera::pass {

/// Less work than this is not worth waking a CPU's threads for.
constexpr double kParallelWork = 32768;

kernel::Op monoid_op(ir::Op op);
/// What a monoid's accumulators begin with.
kernel::Expr identity(Emitter& e, ir::Op monoid, DType dtype);

/// The largest divisor of n that is at most `limit`.
std::int64_t divisor(std::int64_t n, std::int64_t limit);

/// Which boundaries between dimensions of a root a flat loop may not cross: those where an access changes its stride.
class Boundaries {
 public:
  Boundaries(const Fusion& fusion, const Shape& root)
      : fusion_(fusion), graph_(*fusion.graph), root_(root), keep_(root.size() + 1, false) {}

  /// An access to all operands of a node of the root's shape, and to a value of the root's shape.
  void visit_operands(const ir::Node& node) { step(node, whole()); }
  void visit(ir::Value value) { visit(value, whole()); }
  /// No run goes over the beginning of dimension d.
  void split(std::size_t d) { keep_[d] = true; }
  /// Dimensions from here on are one run.
  [[nodiscard]] std::size_t run_start() const;
  /// False when some access moves elements: windows, slices, transposes.
  [[nodiscard]] bool regular() const { return regular_; }

 private:
  /// For each dimension of a value: the root's dimension that indexes it; -1: none (extent 1 there).
  using Map = std::vector<int>;

  [[nodiscard]] Map whole() const;
  void keep_all();
  void leaf(const Map& map);
  void visit(ir::Value v, const Map& map);
  void step(const ir::Node& node, const Map& map);

  const Fusion& fusion_;
  const ir::Graph& graph_;
  const Shape& root_;
  std::vector<bool> keep_;
  bool regular_ = true;
  std::set<std::pair<ir::Value, Map>> seen_;
};

/// The loops of clusters, which each scheduler has its own of.
class ClusterLoops {
 public:
  virtual ~ClusterLoops() = default;
  ClusterLoops(const ClusterLoops&) = delete;
  ClusterLoops& operator=(const ClusterLoops&) = delete;

 protected:
  ClusterLoops(Emitter& emitter, const Target& target)
      : fusion_(emitter.fusion_), graph_(emitter.graph_), target_(target), e(emitter) {}

  /// From now on `cluster` is the one whose loops are emitted.
  void begin(const Cluster& cluster);
  /// The loops of the cluster by its kind, from begin to finish_cluster.
  void emit(const Cluster& cluster);
  virtual void map() = 0;
  virtual void rows() = 0;
  virtual void columns() = 0;
  virtual void scatter() = 0;
  virtual void update_slice() = 0;

  const Fusion& fusion_;
  const ir::Graph& graph_;
  const Target& target_;
  Emitter& e;
  const Cluster* cluster_ = nullptr;
};

/// Where a dynamic_update_slice begins, inside its operand.
ir::Index slice_start(Emitter& e, const ir::Node& node);
/// Stores what one update of a scatter makes of the element that it meets.
void scatter_update(Emitter& e, const ir::Node& node, const ir::Index& update, const ir::ScatterTarget& target);

/// Operands of a map, as they stand in its shape, that lie in memory along another dimension than the last. Found for
/// large maps on a GPU.
struct TransposedOperands {
  ir::Values values;
  std::size_t along = 0, last = 0;  ///< dimensions of the shape
};
TransposedOperands transposed_operands(const Fusion& fusion, const Cluster& cluster);

/// The step of a loop or of branches, all but the buffer for what runs inside (control.cpp).
Step control_step(const Fusion& fusion, const Cluster& cluster, const Target& target,
                  const std::vector<std::int32_t>& buffer_of);

// The statements of clusters, appended to the emitter's kernel: each of schedule_cpu.cpp's by itself,
void schedule_cpu(Emitter& emitter, const Group& group, const Target& target);
// schedule_gpu.cpp's with the one Grid loop around all of them.
void schedule_gpu(Emitter& emitter, const Group& group, const Target& target);

}  // namespace tessera::pass
