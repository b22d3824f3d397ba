// The loops of clusters on a CPU: one kernel's parallel loop shares out iterations among threads.
//   Map      parallel over blocks or outer dimensions, vector over the innermost run that all accesses share
//   Rows     parallel over rows; in each, one vector loop for each level of reductions, lanes folded by a fixed tree
//   Columns  parallel over outer chunks; serial over what is reduced; vector over what is kept, one accumulator each
#include <algorithm>

#include "tessera/pass/schedule.hpp"

namespace tessera::pass {

using ir::Index;
using ir::Node;
using ir::Value;
using kernel::Expr;
using kernel::kLanes;
using kernel::LoopKind;

namespace {

/// Elements of a local that accumulates columns.
constexpr std::int64_t kColumnBlock = 4096;

class Scheduler final : public ClusterLoops {
 public:
  Scheduler(Emitter& emitter, const Target& target) : ClusterLoops(emitter, target) {}
  using ClusterLoops::emit;

 private:
  [[nodiscard]] bool parallel() const { return target_.threads > 1 && cluster_->cost >= kParallelWork; }

  /// Opens the outermost loop; none when there is one iteration.
  Expr open_outer(std::int64_t extent) {
    outer_open_ = extent > 1;
    if (!outer_open_) return e.b.index(0);
    return e.b.open(parallel() ? LoopKind::Parallel : LoopKind::Serial, "p", extent);
  }
  void close_outer() {
    if (outer_open_) e.b.close();
  }
  Expr open_vector(std::int64_t extent, const char* name = "j") {
    vector_open_ = extent > 1;
    return vector_open_ ? e.b.open(LoopKind::Vector, name, extent) : e.b.index(0);
  }
  void close_vector() {
    if (vector_open_) e.b.close();
  }

  void map() override {
    const Value value = cluster_->items[0].value;
    const Node& first = *graph_.producer(value);
    const Shape& shape = graph_.shape(is_in_pieces(graph_, first) ? first.operands[0] : value);
    const std::int64_t total = element_count(shape);
    std::size_t start = 0;
    bool regular = true;
    for (const Item& item : cluster_->items) {
      Boundaries boundaries(fusion_, shape);
      const Node& node = *graph_.producer(item.value);
      if (is_in_pieces(graph_, node)) {
        boundaries.split(static_cast<std::size_t>(node.attributes.integer("dimension")));
        for (const Value piece : node.operands) boundaries.visit(piece);
      } else {
        boundaries.visit_operands(node);
      }
      start = std::max(start, boundaries.run_start());
      regular = regular && boundaries.regular();
    }
    std::int64_t run = 1;
    for (std::size_t d = start; d < shape.size(); ++d) run *= shape[d];
    // A run shorter than the lanes is not worth a vector loop of its own, unless a longer one would gather.
    while (run < (regular ? kLanes : kLanes / 4) && start > 0) run *= shape[--start];
    const std::int64_t outer = total / run;
    std::int64_t splits = 1;
    if (parallel() && outer < 4 * target_.threads && run >= 4096) splits = divisor(run / kLanes, 16 * target_.threads);
    if (splits > 1 && run % splits != 0) splits = divisor(run, 16 * target_.threads);
    const std::int64_t block = run / splits;
    const Expr p = open_outer(outer * splits);
    const Expr j = open_vector(block);
    const Expr row = splits == 1 ? p : e.b.binary(kernel::Op::Divide, p, e.b.index(splits));
    const Expr column =
        splits == 1 ? j
                    : e.b.add(e.b.mul(e.b.binary(kernel::Op::Remainder, p, e.b.index(splits)), e.b.index(block)), j);
    const Index at = e.split_index(row, column, shape, start);
    // What depends on other items first: the memory that an item takes over has then been read by all.
    for (std::size_t n = cluster_->items.size(); n-- > 0;)
      if (cluster_->items[n].hold == Item::Hold::Stored) store(cluster_->items[n].value, at);
    close_vector();
    close_outer();
  }

  void store(Value v, const Index& at) {
    const Node& node = *graph_.producer(v);
    if (!is_in_pieces(graph_, node)) return e.store(v, at, e.element(v, at));
    const auto dimension = static_cast<std::size_t>(node.attributes.integer("dimension"));
    const std::int64_t extent = graph_.shape(node.operands[0])[dimension];
    Index moved = at;
    for (std::size_t piece = 0; piece < node.operands.size(); ++piece) {
      moved[dimension] = e.b.add(at[dimension], e.b.index(static_cast<std::int64_t>(piece) * extent));
      e.store(v, moved, e.element(node.operands[piece], at));
    }
  }

  struct Reduction {
    Value value;
    ReduceForm form;
    const Node* node;
    std::int32_t accumulator;
    DType dtype;
  };

  void rows() override {
    const std::int64_t rows = cluster_->rows;
    const Expr p = open_outer(rows);
    int last = 0;
    for (const Item& item : cluster_->items) last = std::max(last, item.level);
    for (int level = 0; level <= last; ++level) {
      std::vector<std::int64_t> widths;
      for (const Item& item : cluster_->items)
        if (item.level == level && item.hold != Item::Hold::Inline &&
            std::find(widths.begin(), widths.end(), width(item)) == widths.end())
          widths.push_back(width(item));
      // Scalars come first: they are cheap, and rows of the level may not depend on them, nor they on rows.
      std::sort(widths.begin(), widths.end());
      for (const std::int64_t extent : widths) row_pass(p, level, extent);
    }
    close_outer();
  }

  [[nodiscard]] std::int64_t width(const Item& item) const {
    const auto form = reduce_form(graph_, *graph_.producer(item.value));
    return form ? form->reduced : element_count(graph_.shape(item.value)) / cluster_->rows;
  }

  void row_pass(Expr p, int level, std::int64_t extent) {
    std::vector<Reduction> reductions;
    std::vector<const Item*> maps;
    for (const Item& item : cluster_->items) {
      if (item.level != level || item.hold == Item::Hold::Inline || width(item) != extent) continue;
      const Node& node = *graph_.producer(item.value);
      const auto form = reduce_form(graph_, node);
      if (!form) {
        maps.push_back(&item);
        continue;
      }
      const DType dtype = compute_type(graph_.dtype(item.value));
      const std::int64_t lanes = std::min(kLanes, extent);
      const std::int32_t accumulator = e.b.local("acc" + std::to_string(item.value), dtype, lanes);
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        e.b.write(accumulator, e.b.index(lane), identity(e, form->monoid, dtype));
      reductions.push_back({item.value, *form, &node, accumulator, dtype});
    }
    std::vector<std::int32_t> locals(maps.size(), -1);
    for (std::size_t n = 0; n < maps.size(); ++n) {
      const bool scalar = extent == 1 && maps[n]->hold != Item::Hold::Inline;
      if (scalar || maps[n]->hold == Item::Hold::Scratch)
        locals[n] =
            e.b.local("row" + std::to_string(maps[n]->value), compute_type(graph_.dtype(maps[n]->value)), extent);
    }
    const Expr j = open_vector(extent);
    for (const Reduction& r : reductions) {
      const Shape& shape = graph_.shape(r.node->operands[0]);
      const Expr element = e.element(r.node->operands[0], e.split_index(p, j, shape, *prefix_of(shape, r.form.outer)));
      const Expr lane = vector_open_ ? e.b.lane() : e.b.index(0);
      e.b.write(r.accumulator, lane, e.b.binary(monoid_op(r.form.monoid), e.b.read(r.accumulator, lane), element));
    }
    // In a pass of scalars later ones read the locals of earlier ones; in a row, what depends on others is stored
    // first.
    for (std::size_t step = 0; step < maps.size(); ++step) {
      const std::size_t n = extent == 1 ? step : maps.size() - 1 - step;
      const Item& item = *maps[n];
      const Shape& shape = graph_.shape(item.value);
      const Index at = e.split_index(p, j, shape, *prefix_of(shape, cluster_->rows));
      const Expr element = e.element(item.value, at);
      if (locals[n] >= 0) e.b.write(locals[n], j, element);
      if (item.hold == Item::Hold::Stored) e.store(item.value, at, locals[n] >= 0 ? e.b.read(locals[n], j) : element);
      if (extent == 1 && locals[n] >= 0) e.hold_scalar(item.value, locals[n]);
    }
    close_vector();
    for (const Reduction& r : reductions) {
      // A halving tree in a fixed order.
      const std::int64_t lanes = std::min(kLanes, extent);
      const auto combine = [&](Expr a, Expr b) { return e.b.binary(monoid_op(r.form.monoid), a, b); };
      std::vector<std::int64_t> live(static_cast<std::size_t>(lanes));
      for (std::int64_t half = kLanes / 2; half >= 1; half /= 2)
        for (std::int64_t lane = 0; lane < half && lane + half < lanes; ++lane)
          e.b.write(r.accumulator, e.b.index(lane),
                    combine(e.b.read(r.accumulator, e.b.index(lane)), e.b.read(r.accumulator, e.b.index(lane + half))));
      const std::int32_t result = e.b.local("row" + std::to_string(r.value), r.dtype, 1);
      const Expr initial = e.element(r.node->operands[1], {});
      e.b.write(result, e.rounded(combine(initial, e.b.read(r.accumulator, e.b.index(0))), graph_.dtype(r.value)));
      const Shape& shape = graph_.shape(r.value);
      if (e.fusion_.has_buffer(r.value)) e.store(r.value, e.delinear(p, shape), e.b.read(result));
      e.hold_scalar(r.value, result);
    }
    for (std::size_t n = 0; n < maps.size(); ++n) {
      if (locals[n] >= 0 && extent > 1)
        e.hold_row(maps[n]->value, locals[n], *prefix_of(graph_.shape(maps[n]->value), cluster_->rows));
      if (locals[n] < 0 && maps[n]->hold == Item::Hold::Stored) e.release(maps[n]->value);
    }
  }

  void columns() override {
    const ReduceForm& c = cluster_->columns;
    std::int64_t block = c.inner, blocks = 1;
    if (c.inner > kColumnBlock || (parallel() && c.outer < 2 * target_.threads && c.inner >= 64 * target_.threads)) {
      // Columns are shared out when there are not enough chunks of rows.
      block = divisor(c.inner, std::min(kColumnBlock, std::max<std::int64_t>(kLanes, c.inner / (2 * target_.threads))));
      blocks = c.inner / block;
    }
    const Expr p = open_outer(c.outer * blocks);
    const Expr outer = blocks == 1 ? p : e.b.binary(kernel::Op::Divide, p, e.b.index(blocks));
    const Expr first =
        blocks == 1 ? e.b.index(0) : e.b.mul(e.b.binary(kernel::Op::Remainder, p, e.b.index(blocks)), e.b.index(block));
    std::vector<Reduction> reductions;
    for (const Item& item : cluster_->items) {
      const Node& node = *graph_.producer(item.value);
      const auto form = reduce_form(graph_, node);
      if (!form) continue;
      const DType dtype = compute_type(graph_.dtype(item.value));
      reductions.push_back(
          {item.value, *form, &node, e.b.local("acc" + std::to_string(item.value), dtype, block), dtype});
    }
    Expr j = open_vector(block);
    for (const Reduction& r : reductions) e.b.write(r.accumulator, j, identity(e, r.form.monoid, r.dtype));
    close_vector();
    const Expr k = e.b.open(LoopKind::Serial, "k", c.reduced);
    const Expr row = e.b.add(e.b.mul(outer, e.b.index(c.reduced)), k);
    j = open_vector(block);
    const Expr column = e.b.add(first, j);
    for (const Reduction& r : reductions) {
      const Shape& shape = graph_.shape(r.node->operands[0]);
      const Expr element =
          e.element(r.node->operands[0], e.split_index(row, column, shape, *prefix_of(shape, c.outer * c.reduced)));
      e.b.write(r.accumulator, j, e.b.binary(monoid_op(r.form.monoid), e.b.read(r.accumulator, j), element));
    }
    for (std::size_t n = cluster_->items.size(); n-- > 0;) {
      const Item& item = cluster_->items[n];
      if (item.hold != Item::Hold::Stored || reduce_form(graph_, *graph_.producer(item.value))) continue;
      const Shape& shape = graph_.shape(item.value);
      const Index at = e.split_index(row, column, shape, *prefix_of(shape, c.outer * c.reduced));
      e.store(item.value, at, e.element(item.value, at));
    }
    close_vector();
    e.b.close();
    j = open_vector(block);
    for (const Reduction& r : reductions) {
      const Shape& shape = graph_.shape(r.value);
      const Expr initial = e.element(r.node->operands[1], {});
      const Expr total = e.b.binary(monoid_op(r.form.monoid), initial, e.b.read(r.accumulator, j));
      e.store(r.value, e.split_index(outer, e.b.add(first, j), shape, *prefix_of(shape, c.outer)),
              e.rounded(total, graph_.dtype(r.value)));
    }
    close_vector();
    close_outer();
  }

  /// Of a dynamic_update_slice only what changes is stored: the rest is there already.
  void update_slice() override {
    const Node& node = *cluster_->node;
    const Shape& shape = graph_.shape(node.operands[0]);
    const Shape& part = graph_.shape(node.operands[1]);
    const std::int64_t inner = part.empty() ? 1 : part.back();
    const Expr p = open_outer(element_count(part) / inner);
    const Index start = slice_start(e, node);
    const Expr j = open_vector(inner);
    const Index at = part.empty() ? Index{} : e.split_index(p, j, part, part.size() - 1);
    Index moved;
    for (std::size_t d = 0; d < shape.size(); ++d) moved.push_back(e.b.add(start[d], at[d]));
    e.store(node.results[0], moved, e.element(node.operands[1], at));
    close_vector();
    close_outer();
  }

  /// One update after the other; along dimensions in which updates never meet, as a vector.
  void scatter() override {
    const Node& node = *cluster_->node;
    const std::size_t count = node.results.size();
    const Shape& updates = graph_.shape(node.operands[count + 1]);
    const ir::Integers independent = ir::independent_update_dimensions(node, graph_.type(node.operands[count + 1]));
    const bool vector =
        !updates.empty() && std::find(independent.begin(), independent.end(),
                                      static_cast<std::int64_t>(updates.size()) - 1) != independent.end();
    const std::int64_t inner = vector ? updates.back() : 1;
    const std::size_t prefix = vector ? updates.size() - 1 : updates.size();
    const std::int64_t outer = element_count(updates) / std::max<std::int64_t>(inner, 1);
    const Expr u = outer > 1 ? e.b.open(LoopKind::Serial, "u", outer) : e.b.index(0);
    const Expr j = open_vector(inner);
    const Index update = e.split_index(u, j, updates, prefix);
    scatter_update(e, node, update, e.scatter_target(node, update));
    close_vector();
    if (outer > 1) e.b.close();
  }

  bool outer_open_ = false, vector_open_ = false;
};

}  // namespace

void schedule_cpu(Emitter& emitter, const Group& group, const Target& target) {
  Scheduler scheduler(emitter, target);
  for (const Cluster& cluster : group.clusters) scheduler.emit(cluster);
}

}  // namespace tessera::pass
