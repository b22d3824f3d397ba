// The loops of clusters on a GPU: blocks of threads. Which thread does what follows from shapes alone, and sums are
// taken in an order that is fixed: the same result on every run.
//   Map      a thread has one vector of neighbouring elements; what is transposed goes through tiles in shared memory
//   Rows     a group of threads has a row, several groups a block; for each level of reductions the threads walk the
//            row, then the group combines what they found
//   Columns  a thread has a vector of columns and a slice of what is reduced; the slices combine
//   Update   a thread has one element of what is put in; of a scatter: all updates that may meet in one element
// Several clusters in one kernel are maps with blocks of their own, or so small that one block does them all, one after
// the other.
#include <algorithm>
#include <functional>
#include <numeric>

#include "tessera/ir/windows.hpp"
#include "tessera/pass/schedule.hpp"

namespace tessera::pass {

using ir::Index;
using ir::Node;
using ir::Op;
using ir::Value;
using kernel::Expr;
using kernel::LoopKind;

namespace {

/// Threads of a block when there is work for many blocks, and of one that does several clusters.
constexpr std::int64_t kThreads = 256, kAlone = 512;
/// Bytes that a thread loads or stores at once.
constexpr std::size_t kAccessBytes = 16;
/// Elements of a row that threads load next to each other, at least.
constexpr std::int64_t kNeighbours = 16;
/// Elements of buffers that a thread keeps from one level of a row to the next.
constexpr std::int64_t kCached = 32;

/// Side of a tile of shared memory through which a transpose goes; a warp's 32 threads have a row of it.
constexpr std::int64_t kTile = 32;
/// Maps that are smaller fit into the caches, tiles or not.
constexpr std::int64_t kLeastTransposed = 16384;
constexpr std::size_t kMostTiles = 4;
/// Threads that share what is scattered along one column; an odd number whose multiples look random.
constexpr std::int64_t kMostShares = 256, kMixing = 0x1E3779B97F4A7C15;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t power_above(std::int64_t n) {
  std::int64_t power = 1;
  while (power < n) power *= 2;
  return power;
}

class Scheduler final : public ClusterLoops {
 public:
  Scheduler(Emitter& emitter, const Target& target) : ClusterLoops(emitter, target) {}
  using ClusterLoops::emit;

  /// One block, one cluster after the other: what one stored, the next may load.
  void in_one_block(std::span<const Cluster> clusters) {
    one_block_ = true;
    threads_ = kAlone;
    e.b.open(LoopKind::Grid, "block", 1);
    for (const Cluster& cluster : clusters) emit(cluster);
    e.b.close();
  }

  /// Maps that do not depend on each other, each with blocks of its own.
  void side_by_side(std::span<const Cluster> clusters) {
    threads_ = kThreads;
    std::int64_t blocks = 0;
    std::vector<std::int64_t> first;
    for (const Cluster& cluster : clusters) {
      cluster_ = &cluster;
      first.push_back(blocks);
      blocks += divide_up(units(), threads_);
    }
    first.push_back(blocks);
    const Expr block = e.b.open(LoopKind::Grid, "block", blocks);
    const Expr t = e.b.open(LoopKind::Threads, "t", threads_);
    for (std::size_t c = 0; c < clusters.size(); ++c) {
      begin(clusters[c]);
      const Expr low = e.b.index(first[c]), high = e.b.index(first[c + 1] - 1);
      const Expr mine = e.b.logical_and(e.b.binary(kernel::Op::GreaterEqual, block, low),
                                        e.b.binary(kernel::Op::LessEqual, block, high));
      const Expr within =
          e.b.binary(kernel::Op::Minimum, e.b.binary(kernel::Op::Maximum, e.b.sub(block, low), e.b.index(0)),
                     e.b.index(first[c + 1] - first[c] - 1));
      const Expr unit = e.b.add(e.b.mul(within, e.b.index(threads_)), t);
      const bool guarded = open_if(e.b.logical_and(mine, below(unit, units())));
      map_elements(unit);
      close_if(guarded);
      e.finish_cluster();
    }
    e.b.close();
    e.b.close();
  }

 private:
  /// What the blocks share out. Inside of one block: one after the other.
  Expr open_blocks(std::int64_t count) {
    blocks_open_ = !one_block_ || count > 1;
    if (!blocks_open_) return e.b.index(0);
    return e.b.open(one_block_ ? LoopKind::Serial : LoopKind::Grid, "block", count);
  }
  void close_blocks() {
    if (blocks_open_) e.b.close();
  }
  Expr open_threads() { return e.b.open(LoopKind::Threads, "t", threads_); }
  /// False when the condition holds anyway and nothing was opened.
  bool open_if(Expr condition) {
    std::int64_t holds = 0;
    if (e.b.is_constant(condition, &holds) && holds != 0) return false;
    e.b.open_if(condition);
    return true;
  }
  void close_if(bool opened) {
    if (opened) e.b.close();
  }
  Expr below(Expr a, std::int64_t limit) { return e.b.binary(kernel::Op::Less, a, e.b.index(limit)); }
  Expr divided(Expr a, std::int64_t by) { return e.b.binary(kernel::Op::Divide, a, e.b.index(by)); }
  Expr remainder(Expr a, std::int64_t by) { return e.b.binary(kernel::Op::Remainder, a, e.b.index(by)); }
  Expr scaled_sum(Expr a, std::int64_t by, Expr b) { return e.b.add(e.b.mul(a, e.b.index(by)), b); }

  /// The vector loop; none when there is one element.
  Expr open_vector(std::int64_t extent) { return extent > 1 ? e.b.open(LoopKind::Vector, "j", extent) : e.b.index(0); }
  void close_vector(std::int64_t extent) {
    if (extent > 1) e.b.close();
  }

  // --- How many elements a thread may do at once.

  struct Touched {
    std::size_t widest = 1;  ///< bytes of an element
    bool loops = false;      ///< the expression has loops of its own
  };
  void touch(Value v, Touched& touched, std::set<Value>& seen) const {
    if (!seen.insert(v).second || is_held(v)) return;
    const Node* node = graph_.producer(v);
    if (node != nullptr && node->op == Op::Constant && node->attributes.literal("value").is_splat()) return;
    if (fusion_.has_buffer(v)) {
      if (!graph_.shape(v).empty()) touched.widest = std::max(touched.widest, size_of(graph_.dtype(v)));
      return;
    }
    touch_operands(*node, touched, seen);
  }
  /// An item that others of the cluster find in a local.
  [[nodiscard]] bool is_held(Value v) const {
    return std::any_of(cluster_->items.begin(), cluster_->items.end(), [v](const Item& item) {
      return item.value == v && (item.hold == Item::Hold::Scalar || item.hold == Item::Hold::Scratch);
    });
  }
  void touch_operands(const Node& node, Touched& touched, std::set<Value>& seen) const {
    if (node.op == Op::Reduce || node.op == Op::DotGeneral || node.op == Op::Convolution ||
        ((node.op == Op::ReduceWindow || node.op == Op::SelectAndScatter) && !ir::windows_unroll(node)))
      touched.loops = true;
    for (const Value v : node.operands) touch(v, touched, seen);
  }
  /// Of the elements of an item, or of what it reduces. Divides the run of elements whose accesses have one stride.
  [[nodiscard]] std::int64_t vector_of(const Item& item) const {
    const Node& node = *graph_.producer(item.value);
    Touched touched;
    std::set<Value> seen;
    const bool reduction = reduce_form(graph_, node).has_value();
    const Shape& shape = graph_.shape(reduction ? node.operands[0] : item.value);
    Boundaries boundaries(fusion_, shape);
    if (reduction) {
      touch(node.operands[0], touched, seen);
      boundaries.visit(node.operands[0]);
    } else {
      if (item.hold == Item::Hold::Stored) touched.widest = size_of(graph_.dtype(item.value));
      touch_operands(node, touched, seen);
      boundaries.visit_operands(node);
    }
    if (touched.loops) return 1;
    std::int64_t run = 1;
    for (std::size_t d = boundaries.run_start(); d < shape.size(); ++d) run *= shape[d];
    return std::gcd(run, static_cast<std::int64_t>(kAccessBytes / touched.widest));
  }

  struct Result {
    Value value;
    Index at;
  };
  /// All are computed before any is stored: the memory that one takes over has then been read by all.
  void store(const std::vector<Result>& results, Expr lane, std::int64_t lanes) {
    if (results.size() == 1)
      return e.store(results[0].value, results[0].at, e.element(results[0].value, results[0].at));
    std::vector<Expr> elements;
    for (const Result& r : results) {
      const Expr element = e.element(r.value, r.at);
      const std::int32_t local = e.b.local("next" + std::to_string(r.value), e.b.dtype(element), lanes);
      e.b.write(local, lane, element);
      elements.push_back(e.b.read(local, lane));
    }
    for (std::size_t n = 0; n < results.size(); ++n) e.store(results[n].value, results[n].at, elements[n]);
  }

  // --- Maps.

  [[nodiscard]] const Shape& map_shape() const { return graph_.shape(cluster_->items[0].value); }
  [[nodiscard]] std::int64_t map_vector() const {
    std::int64_t vector = kernel::kLanes;
    for (const Item& item : cluster_->items)
      if (item.hold == Item::Hold::Stored) vector = std::gcd(vector, vector_of(item));
    return vector;
  }
  /// Vectors of a map.
  [[nodiscard]] std::int64_t units() const { return element_count(map_shape()) / map_vector(); }

  void map_elements(Expr unit) {
    const std::int64_t vector = map_vector();
    const Expr first = e.b.mul(unit, e.b.index(vector));
    const Expr j = open_vector(vector);
    const Index at = e.delinear(e.b.add(first, j), map_shape());
    std::vector<Result> results;
    for (const Item& item : cluster_->items)
      if (item.hold == Item::Hold::Stored) results.push_back({item.value, at});
    store(results, j, vector);
    close_vector(vector);
  }

  void map() override {
    const TransposedOperands operands = one_block_ ? TransposedOperands{} : transposed_operands(fusion_, *cluster_);
    if (!operands.values.empty()) return map_tiles(operands);
    each(units(), [&](Expr unit) { map_elements(unit); });
  }

  /// A block has a square of two dimensions: along `along`, the operands lie in memory, along the last, what is stored.
  void map_tiles(const TransposedOperands& operands) {
    constexpr std::int64_t kRows = kThreads / kTile;
    const Shape& shape = map_shape();
    const std::size_t along = operands.along, last = operands.last;
    Shape outer = shape;
    outer[along] = outer[last] = 1;
    const std::int64_t down = divide_up(shape[along], kTile), across = divide_up(shape[last], kTile);
    threads_ = kThreads;
    std::vector<std::int32_t> tiles;
    for (const Value v : operands.values)
      tiles.push_back(e.b.local("tile" + std::to_string(v), compute_type(graph_.dtype(v)), kTile * (kTile + 1), true));
    const Expr block = open_blocks(element_count(outer) * down * across);
    const Index corner = e.delinear(divided(block, down * across), outer);
    // f(where the thread stands in the root, row, column): 32 columns by 32 rows, 8 rows at a time.
    const auto each_of_tile = [&](std::size_t row_dimension, std::size_t column_dimension, auto&& f) {
      const Expr t = open_threads(), r = e.b.open(LoopKind::Serial, "r", kTile / kRows);
      const Expr column = remainder(t, kTile), row = scaled_sum(r, kRows, divided(t, kTile));
      const Expr first_along = e.b.mul(remainder(divided(block, across), down), e.b.index(kTile));
      const Expr first_last = e.b.mul(remainder(block, across), e.b.index(kTile));
      Index at = corner;
      at[along] = first_along;
      at[last] = first_last;
      at[row_dimension] = e.b.add(at[row_dimension], row);
      at[column_dimension] = e.b.add(at[column_dimension], column);
      const bool guarded = open_if(e.b.logical_and(below(at[along], shape[along]), below(at[last], shape[last])));
      f(at, row, column);
      close_if(guarded);
      e.b.close();
      e.b.close();
    };
    each_of_tile(last, along, [&](const Index& at, Expr row, Expr column) {
      for (std::size_t n = 0; n < tiles.size(); ++n) {
        const Node& node = *graph_.producer(operands.values[n]);
        const ir::Integers& permutation = node.attributes.integers("permutation");
        Index from(at.size());
        for (std::size_t d = 0; d < at.size(); ++d) from[static_cast<std::size_t>(permutation[d])] = at[d];
        // A row is one longer than the tile: a column then meets all banks of shared memory.
        e.b.write(tiles[n], scaled_sum(row, kTile + 1, column), e.element(node.operands[0], from));
      }
    });
    each_of_tile(along, last, [&](const Index& at, Expr row, Expr column) {
      for (std::size_t n = 0; n < tiles.size(); ++n)
        e.hold_scalar(operands.values[n], tiles[n], scaled_sum(column, kTile + 1, row));
      std::vector<Result> results;
      for (const Item& item : cluster_->items)
        if (item.hold == Item::Hold::Stored) results.push_back({item.value, at});
      store(results, e.b.index(0), 1);
    });
    close_blocks();
  }

  /// f(i) for i in 0 .. count-1, one for each thread.
  template <class F>
  void each(std::int64_t count, F&& f) {
    if (one_block_) {
      const Expr t = open_threads();
      const std::int64_t rounds = divide_up(count, threads_);
      const Expr i = rounds > 1 ? e.b.open(LoopKind::Serial, "i", rounds) : e.b.index(0);
      const Expr mine = scaled_sum(i, threads_, t);
      const bool guarded = open_if(below(mine, count));
      f(mine);
      close_if(guarded);
      if (rounds > 1) e.b.close();
      e.b.close();
      return;
    }
    // Small blocks when there are not enough large ones for all multiprocessors.
    threads_ = std::clamp<std::int64_t>(divide_up(count / target_.multiprocessors, 32) * 32, 32, kThreads);
    const Expr block = open_blocks(divide_up(count, threads_));
    const Expr t = open_threads();
    const Expr mine = scaled_sum(block, threads_, t);
    const bool guarded = open_if(below(mine, count));
    f(mine);
    close_if(guarded);
    e.b.close();
    close_blocks();
  }

  // --- Reductions.

  struct Reduction {
    Value value;
    ReduceForm form;
    const Node* node;
    kernel::Op op;
    DType dtype;
    std::int32_t accumulator;
  };
  Reduction reduction(Value value, const ReduceForm& form, std::int64_t lanes) {
    const DType dtype = compute_type(graph_.dtype(value));
    return {value,
            form,
            graph_.producer(value),
            monoid_op(form.monoid),
            dtype,
            e.b.local("acc" + std::to_string(value), dtype, lanes)};
  }
  void clear(const Reduction& r, std::int64_t lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane)
      e.b.write(r.accumulator, e.b.index(lane), identity(e, r.form.monoid, r.dtype));
  }
  void accumulate(const Reduction& r, Expr lane, Expr element) {
    e.b.write(r.accumulator, lane, e.b.binary(r.op, e.b.read(r.accumulator, lane), element));
  }
  Expr total(const Reduction& r, std::int32_t local) {
    const Expr initial = e.element(r.node->operands[1], {});
    return e.rounded(e.b.binary(r.op, initial, e.b.read(local)), graph_.dtype(r.value));
  }

  // --- Rows.

  [[nodiscard]] std::int64_t width(const Item& item) const {
    const auto form = reduce_form(graph_, *graph_.producer(item.value));
    return form ? form->reduced : element_count(graph_.shape(item.value)) / cluster_->rows;
  }

  void rows() override {
    kept_.clear();
    cached_.clear();
    cached_slots_ = 0;
    int last = 0;
    std::int64_t shared_bytes = 0, widest = 1;
    std::map<std::int64_t, std::int64_t> vectors;  // by width
    for (const Item& item : cluster_->items) {
      if (item.hold == Item::Hold::Inline) continue;
      last = std::max(last, item.level);
      const std::int64_t w = width(item);
      const auto [it, fresh] = vectors.try_emplace(w, kernel::kLanes);
      it->second = std::gcd(std::gcd(it->second, w), vector_of(item));
      widest = std::max(widest, w);
      if (item.hold == Item::Hold::Scratch && item.elsewhere)
        shared_bytes += w * static_cast<std::int64_t>(size_of(compute_type(graph_.dtype(item.value))));
    }
    choose_group(widest, vectors[widest], shared_bytes);
    const std::int64_t together = threads_ / group_;  // rows of a block
    const Expr block = open_blocks(divide_up(cluster_->rows, together));
    std::vector<Reduction> pending;
    for (int level = 0; level <= last || !pending.empty(); ++level) {
      std::vector<Reduction> reductions;
      for (const Item& item : cluster_->items)
        if (const auto form = reduce_form(graph_, *graph_.producer(item.value)); form && item.level == level)
          reductions.push_back(reduction(item.value, *form, vectors[form->reduced]));
      const Expr t = open_threads();
      member_ = remainder(t, group_);
      row_in_block_ = divided(t, group_);
      row_ = scaled_sum(block, together, row_in_block_);
      for (const Reduction& r : reductions) clear(r, vectors[r.form.reduced]);
      const bool guarded = open_if(below(row_, cluster_->rows));
      for (const Kept& kept : kept_)
        if (kept.shared) e.hold_row(kept.value, kept.local, kept.prefix, e.b.mul(row_in_block_, e.b.index(kept.width)));
      for (const Reduction& r : pending) finish(r);
      std::vector<const Item*> stored;
      for (const auto& [w, vector] : vectors) row_pass(level, w, vector, reductions, stored);
      close_if(guarded);
      e.b.close();
      for (const Reduction& r : reductions) e.b.combine(r.accumulator, r.op, group_);
      for (const Item* item : stored) e.release(item->value);
      pending = std::move(reductions);
    }
    close_blocks();
  }

  /// Threads of a row, and of a block.
  void choose_group(std::int64_t width, std::int64_t vector, std::int64_t shared_bytes) {
    const std::int64_t most = one_block_ ? threads_ : kBlockThreads, rows = cluster_->rows;
    const std::int64_t fill = one_block_ ? threads_ : 512LL * target_.multiprocessors;
    group_ = 1;
    while (group_ < most && (divide_up(width, group_ * vector) * vector > row_slots(width) ||
                             group_ * vector < std::min(width, kNeighbours)))
      group_ *= 2;
    while (group_ < most && group_ * vector < width && rows * group_ < fill) group_ *= 2;
    if (!one_block_) {
      threads_ = std::max<std::int64_t>(group_, 32);
      while (threads_ < kThreads && rows * group_ > 2 * threads_ * target_.multiprocessors) threads_ *= 2;
    }
    while (group_ < threads_ && threads_ / group_ * shared_bytes > kRowBytes) {
      if (!one_block_ && threads_ > 32)
        threads_ = std::max(threads_ / 2, group_);
      else
        group_ *= 2;
    }
  }

  /// The result of the reduction that the group has combined.
  void finish(const Reduction& r) {
    const std::int32_t result = e.b.local("row" + std::to_string(r.value), r.dtype);
    e.b.write(result, total(r, r.accumulator));
    if (e.fusion_.has_buffer(r.value)) {
      const bool guarded = open_if(e.b.binary(kernel::Op::Equal, member_, e.b.index(0)));
      e.store(r.value, e.delinear(row_, graph_.shape(r.value)), e.b.read(result));
      close_if(guarded);
    }
    e.hold_scalar(r.value, result);
  }

  /// The items of one level and width. Scalars come first: rows of the level may not depend on them, nor they on rows.
  void row_pass(int level, std::int64_t w, std::int64_t vector, const std::vector<Reduction>& all,
                std::vector<const Item*>& stored) {
    std::vector<const Item*> maps;
    std::vector<const Reduction*> reductions;
    bool again = false, other_levels = false;  // this width, on a later level; on any other one
    for (const Item& item : cluster_->items) {
      if (item.hold == Item::Hold::Inline || width(item) != w) continue;
      again = again || item.level > level;
      other_levels = other_levels || item.level != level;
      if (item.level == level && !reduce_form(graph_, *graph_.producer(item.value))) maps.push_back(&item);
    }
    for (const Reduction& r : all)
      if (r.form.reduced == w) reductions.push_back(&r);
    if (maps.empty() && reductions.empty()) return;
    if (w == 1)
      for (const Item* item : maps) scalar(*item);
    if (w == 1 && reductions.empty()) return;

    // Of a row that is too wide, threads keep what they load in the first steps, and load the others' again: fewer of
    // them then wait in the caches.
    const std::int64_t steps = divide_up(w, group_ * vector), slots = steps * vector;
    const std::int64_t keeping = slots <= kWideRowKept ? steps : other_levels ? kWideRowKept / vector : 0;
    std::vector<Kept> kept;
    const auto walk = [&](std::int64_t begin, std::int64_t count, bool keeps) {
      if (count == 0) return;
      const Expr turn = count > 1 ? e.b.open(LoopKind::Serial, "s", count) : e.b.index(0);
      const Expr s = e.b.add(turn, e.b.index(begin));
      const Expr first = e.b.mul(scaled_sum(s, group_, member_), e.b.index(vector));
      const bool guarded = open_if(below(first, w));
      const Expr j = open_vector(vector);
      const Expr column = e.b.add(first, j), slot = scaled_sum(s, vector, j);
      for (const Kept& k : kept_)
        if (!k.shared && k.width == w) e.hold_scalar(k.value, k.local, slot);
      if (keeps) keep_loads(again, w, count * vector, column, slot);
      for (const Reduction* r : reductions) {
        const Shape& shape = graph_.shape(r->node->operands[0]);
        const Index at = e.split_index(row_, column, shape, *prefix_of(shape, r->form.outer));
        accumulate(*r, j, e.element(r->node->operands[0], at));
      }
      std::vector<Result> results;
      for (std::size_t n = 0; w > 1 && n < maps.size(); ++n) {
        const Item& item = *maps[n];
        const Shape& shape = graph_.shape(item.value);
        const std::size_t prefix = *prefix_of(shape, cluster_->rows);
        const Index at = e.split_index(row_, column, shape, prefix);
        if (item.hold == Item::Hold::Stored) {
          results.push_back({item.value, at});
          if (begin == 0) stored.push_back(&item);
          continue;
        }
        if (begin == 0) {
          const std::int64_t places = item.elsewhere ? threads_ / group_ * w : slots;
          const DType dtype = compute_type(graph_.dtype(item.value));
          kept.push_back({item.value, e.b.local("row" + std::to_string(item.value), dtype, places, item.elsewhere), w,
                          prefix, item.elsewhere});
        }
        const auto of_item =
            std::find_if(kept.begin(), kept.end(), [&](const Kept& k) { return k.value == item.value; });
        const Expr place = item.elsewhere ? scaled_sum(row_in_block_, w, column) : slot;
        e.b.write(of_item->local, place, e.element(item.value, at));
      }
      store(results, j, vector);
      e.on_load = nullptr;
      close_vector(vector);
      close_if(guarded);
      if (count > 1) e.b.close();
    };
    walk(0, keeping, true);
    walk(keeping, steps - keeping, false);
    kept_.insert(kept_.end(), kept.begin(), kept.end());
    for (const Reduction* r : reductions)  // a halving tree
      for (std::int64_t half = vector / 2; half >= 1; half /= 2)
        for (std::int64_t lane = 0; lane < half; ++lane)
          accumulate(*r, e.b.index(lane), e.b.read(r->accumulator, e.b.index(lane + half)));
  }

  /// A number for each row, which all threads of the group compute.
  void scalar(const Item& item) {
    const Shape& shape = graph_.shape(item.value);
    const Index at = e.split_index(row_, e.b.index(0), shape, *prefix_of(shape, cluster_->rows));
    const std::int32_t local = e.b.local("row" + std::to_string(item.value), compute_type(graph_.dtype(item.value)));
    e.b.write(local, e.element(item.value, at));
    if (item.hold == Item::Hold::Stored) {
      const bool guarded = open_if(e.b.binary(kernel::Op::Equal, member_, e.b.index(0)));
      e.store(item.value, at, e.b.read(local));
      close_if(guarded);
    }
    e.hold_scalar(item.value, local);
  }

  /// Elements of the row itself that one level loads stay with the thread for the later ones.
  void keep_loads(bool again, std::int64_t w, std::int64_t slots, Expr column, Expr slot) {
    const Expr own = scaled_sum(row_, w, column);
    const std::size_t depth = e.b.depth();
    e.on_load = [this, again, w, slots, own, slot, depth](Value owner, Expr flat, Expr loaded) {
      if (flat != own || e.b.depth() != depth) return loaded;
      const auto found = cached_.find({owner, w});
      if (found != cached_.end()) return e.b.read(found->second, slot);
      if (!again || cached_slots_ + slots > kCached) return loaded;
      cached_slots_ += slots;
      const std::int32_t local = e.b.local("kept" + std::to_string(owner), e.b.dtype(loaded), slots);
      cached_[{owner, w}] = local;
      e.b.write(local, slot, loaded);
      return e.b.read(local, slot);
    };
  }

  // --- Columns.

  void columns() override {
    const ReduceForm& c = cluster_->columns;
    std::int64_t vector = kernel::kLanes;
    for (const Item& item : cluster_->items)
      if (item.hold != Item::Hold::Inline) vector = std::gcd(vector, vector_of(item));
    vector = std::gcd(vector, c.inner);
    // Threads: `across` columns (or vectors of them) by `slices` of what is reduced.
    const std::int64_t vectors = power_above(c.inner / vector);
    std::int64_t across = std::min<std::int64_t>(32, vectors);
    if (!one_block_) {
      const std::int64_t blocks = c.outer * divide_up(c.inner, across * vector);
      threads_ = blocks < target_.multiprocessors && c.reduced >= kThreads ? kBlockThreads : kThreads;
    }
    std::int64_t slices = threads_ / across;
    if (slices > power_above(c.reduced)) {
      slices = power_above(c.reduced);
      across = std::min(vectors, threads_ / slices);
      if (one_block_)
        slices = threads_ / across;
      else
        threads_ = std::max<std::int64_t>(32, across * slices), slices = threads_ / across;
    }
    const std::int64_t block_columns = divide_up(c.inner, across * vector);
    const Expr block = open_blocks(c.outer * block_columns);
    const Expr outer = divided(block, block_columns);
    std::vector<Reduction> reductions;
    std::vector<std::vector<std::int32_t>> parts;
    for (const Item& item : cluster_->items)
      if (const auto form = reduce_form(graph_, *graph_.producer(item.value))) {
        reductions.push_back(reduction(item.value, *form, vector));
        parts.push_back({reductions.back().accumulator});
        for (std::int64_t lane = 1; lane < vector; ++lane)
          parts.back().push_back(e.b.local("part" + std::to_string(item.value), reductions.back().dtype));
      }
    const auto first_column = [&](Expr t) {
      return e.b.mul(scaled_sum(remainder(block, block_columns), across, remainder(t, across)), e.b.index(vector));
    };
    Expr t = open_threads();
    for (const Reduction& r : reductions) clear(r, vector);
    bool guarded = open_if(below(first_column(t), c.inner));
    const std::int64_t steps = divide_up(c.reduced, slices);
    const Expr i = steps > 1 ? e.b.open(LoopKind::Serial, "i", steps) : e.b.index(0);
    const Expr k = scaled_sum(i, slices, divided(t, across));
    const bool inside = open_if(below(k, c.reduced));
    const Expr row = scaled_sum(outer, c.reduced, k);
    const Expr j = open_vector(vector);
    const Expr column = e.b.add(first_column(t), j);
    const auto at = [&](Value v) {
      const Shape& shape = graph_.shape(v);
      return e.split_index(row, column, shape, *prefix_of(shape, c.outer * c.reduced));
    };
    for (const Reduction& r : reductions) accumulate(r, j, e.element(r.node->operands[0], at(r.node->operands[0])));
    std::vector<Result> results;
    for (const Item& item : cluster_->items)
      if (item.hold == Item::Hold::Stored && !reduce_form(graph_, *graph_.producer(item.value)))
        results.push_back({item.value, at(item.value)});
    store(results, j, vector);
    close_vector(vector);
    close_if(inside);
    if (steps > 1) e.b.close();
    close_if(guarded);
    for (std::size_t r = 0; r < reductions.size(); ++r)
      for (std::size_t lane = 1; lane < parts[r].size(); ++lane)
        e.b.write(parts[r][lane], e.b.read(reductions[r].accumulator, e.b.index(static_cast<std::int64_t>(lane))));
    e.b.close();
    for (std::size_t r = 0; r < reductions.size(); ++r)
      for (const std::int32_t part : parts[r]) e.b.combine(part, reductions[r].op, slices, across);
    t = open_threads();
    guarded = open_if(e.b.logical_and(e.b.binary(kernel::Op::Equal, divided(t, across), e.b.index(0)),
                                      below(first_column(t), c.inner)));
    for (std::size_t r = 0; r < reductions.size(); ++r) {
      const Shape& shape = graph_.shape(reductions[r].value);
      for (std::size_t lane = 0; lane < parts[r].size(); ++lane) {
        const Expr to = e.b.add(first_column(t), e.b.index(static_cast<std::int64_t>(lane)));
        e.store(reductions[r].value, e.split_index(outer, to, shape, *prefix_of(shape, c.outer)),
                total(reductions[r], parts[r][lane]));
      }
    }
    close_if(guarded);
    e.b.close();
    close_blocks();
  }

  // --- Updates in place.

  /// Of a dynamic_update_slice only what changes is stored: the rest is there already.
  void update_slice() override {
    const Node& node = *cluster_->node;
    const Shape& part = graph_.shape(node.operands[1]);
    each(element_count(part), [&](Expr i) {
      const Index start = slice_start(e, node), at = e.delinear(i, part);
      Index moved;
      for (std::size_t d = 0; d < part.size(); ++d) moved.push_back(e.b.add(start[d], at[d]));
      e.store(node.results[0], moved, e.element(node.operands[1], at));
    });
  }

  /// Threads for each index of the dimensions in which updates never meet; along the others in order. Of several
  /// threads each goes through all updates, and does those for its share of the elements.
  void scatter() override {
    const Node& node = *cluster_->node;
    const TensorType& updates = graph_.type(node.operands[node.results.size() + 1]);
    const ir::Integers independent = ir::independent_update_dimensions(node, updates);
    Shape apart, meeting;
    std::vector<bool> is_apart(updates.shape.size(), false);
    for (const std::int64_t d : independent) is_apart[static_cast<std::size_t>(d)] = true;
    for (std::size_t d = 0; d < updates.shape.size(); ++d) (is_apart[d] ? apart : meeting).push_back(updates.shape[d]);
    const std::int64_t columns = element_count(apart), rounds = element_count(meeting);
    std::int64_t shares = 1;
    while (shares < kMostShares && shares * 4 <= rounds && shares * columns < 512LL * target_.multiprocessors)
      shares *= 2;
    each(columns * shares, [&](Expr i) {
      const Expr share = divided(i, columns);
      const Expr u = rounds > 1 ? e.b.open(LoopKind::Serial, "u", rounds) : e.b.index(0);
      const Index at_apart = e.delinear(remainder(i, columns), apart), at_meeting = e.delinear(u, meeting);
      Index at;
      for (std::size_t d = 0, a = 0, m = 0; d < is_apart.size(); ++d)
        at.push_back(is_apart[d] ? at_apart[a++] : at_meeting[m++]);
      const ir::ScatterTarget target = e.scatter_target(node, at);
      bool guarded = false;
      if (shares > 1) {
        // Any function of the element will do; the upper bits of a product mix the bits of its place.
        const Expr place = e.linear(graph_.shape(node.results[0]), target.at);
        const Expr mixed = e.b.binary(kernel::Op::ShiftRightLogical, e.b.mul(place, e.b.index(kMixing)), e.b.index(40));
        Expr mine = e.b.binary(kernel::Op::Equal, remainder(mixed, shares), share);
        if (target.valid != kernel::kNone) mine = e.b.logical_and(target.valid, mine);
        guarded = open_if(mine);
      }
      scatter_update(e, node, at, target);
      close_if(guarded);
      if (rounds > 1) e.b.close();
    });
  }

  /// A row that a level left for later ones.
  struct Kept {
    Value value;
    std::int32_t local;
    std::int64_t width;
    std::size_t prefix;
    bool shared;
  };

  std::int64_t threads_ = kThreads;
  bool one_block_ = false, blocks_open_ = false;
  // Rows: threads of a row, this thread's place among them, its row.
  std::int64_t group_ = 1;
  Expr member_ = kernel::kNone, row_in_block_ = kernel::kNone, row_ = kernel::kNone;
  std::vector<Kept> kept_;
  std::map<std::pair<Value, std::int64_t>, std::int32_t> cached_;  ///< by owner and width
  std::int64_t cached_slots_ = 0;
};

}  // namespace

TransposedOperands transposed_operands(const Fusion& fusion, const Cluster& cluster) {
  const ir::Graph& graph = *fusion.graph;
  TransposedOperands found;
  if (cluster.kind != Cluster::Kind::Map) return {};
  const Shape& shape = graph.shape(cluster.items[0].value);
  if (element_count(shape) < kLeastTransposed) return {};
  found.last = shape.size() - 1;
  while (shape[found.last] == 1) --found.last;
  std::set<Value> seen;
  const std::function<void(Value)> visit = [&](Value v) {
    if (!seen.insert(v).second || graph.shape(v) != shape) return;
    const Node* node = graph.producer(v);
    const bool own =
        std::any_of(cluster.items.begin(), cluster.items.end(), [&](const Item& i) { return i.value == v; });
    if (node == nullptr || (fusion.has_buffer(v) && !own)) return;
    if (node->op == Op::Transpose) {
      // The dimension along which the operand lies in memory.
      const Shape& from = graph.shape(node->operands[0]);
      std::int64_t inner = static_cast<std::int64_t>(from.size()) - 1;
      while (from[static_cast<std::size_t>(inner)] == 1) --inner;
      const ir::Integers& permutation = node->attributes.integers("permutation");
      const auto along =
          static_cast<std::size_t>(std::find(permutation.begin(), permutation.end(), inner) - permutation.begin());
      const bool fits = along != found.last && shape[along] >= kTile / 2 && shape[found.last] >= kTile / 2 &&
                        found.values.size() < kMostTiles && (found.values.empty() || found.along == along);
      if (!fits) return;
      found.along = along;
      found.values.push_back(v);
    } else if (ir::is_elementwise(ir::family(node->op)) || node->op == Op::OptimizationBarrier) {
      for (const Value operand : node->operands) visit(operand);
    }
  };
  for (const Item& item : cluster.items)
    if (item.hold == Item::Hold::Stored) visit(item.value);
  return found;
}

void schedule_gpu(Emitter& emitter, const Group& group, const Target& target) {
  Scheduler scheduler(emitter, target);
  if (group.clusters.size() == 1)
    scheduler.emit(group.clusters[0]);
  else if (group.side_by_side)
    scheduler.side_by_side(group.clusters);
  else
    scheduler.in_one_block(group.clusters);
}

}  // namespace tessera::pass
