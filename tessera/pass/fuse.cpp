// Fusion: which values get memory, and which are computed together. In: a simplified graph. Out: clusters in order.
//
// Every value that has no memory is computed again wherever it is used, inside the loops of its users. First come the
// values that must have memory (results, operands of libraries), then those that are dear to compute twice. Each
// becomes an item; items merge into clusters where one loop nest can compute them; what nobody outside a cluster
// reads loses its memory again. Read next: pass/schedule.cpp.
#include <algorithm>
#include <functional>
#include <set>

#include "tessera/pass/fusion.hpp"

namespace tessera::pass {

using ir::Node;
using ir::Op;
using ir::Value;

std::optional<ReduceForm> reduce_form(const ir::Graph& graph, const Node& node) {
  if (node.op != Op::Reduce || node.operands.size() != 2) return std::nullopt;
  const auto monoid = ir::match_monoid(*node.regions[0]);
  if (!monoid) return std::nullopt;
  const Shape& shape = graph.shape(node.operands[0]);
  const ir::Integers& dimensions = node.attributes.integers("dimensions");
  ReduceForm form;
  form.monoid = *monoid;
  int phase = 0;  // 0: outer, 1: reduced, 2: inner
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    const bool reduced =
        std::find(dimensions.begin(), dimensions.end(), static_cast<std::int64_t>(d)) != dimensions.end();
    if (reduced && phase == 0) phase = 1;
    if (!reduced && phase == 1) phase = 2;
    if (reduced && phase == 2) return std::nullopt;
    (phase == 0 ? form.outer : phase == 1 ? form.reduced : form.inner) *= shape[d];
  }
  if (form.reduced < 1 || form.outer < 1 || form.inner < 1) return std::nullopt;
  return form;
}

bool is_in_pieces(const ir::Graph& graph, const Node& node) {
  return node.op == Op::Concatenate && std::all_of(node.operands.begin(), node.operands.end(), [&](Value v) {
           return graph.shape(v) == graph.shape(node.operands[0]);
         });
}

std::optional<std::size_t> prefix_of(const Shape& shape, std::int64_t rows) {
  std::int64_t product = 1;
  for (std::size_t d = 0;; ++d) {
    if (product == rows) return d;
    if (d == shape.size() || product > rows) return std::nullopt;
    product *= shape[d];
  }
}

double element_cost(const ir::Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::Exponential:
    case Op::ExponentialMinusOne:
    case Op::Log:
    case Op::LogPlusOne:
    case Op::Logistic:
    case Op::Tanh:
    case Op::Sine:
    case Op::Cosine:
    case Op::Tan:
    case Op::Erf:
    case Op::Cbrt:
    case Op::Atan2:
    case Op::Power: return 12;
    case Op::Divide:
    case Op::Remainder:
    case Op::Sqrt:
    case Op::Rsqrt: return 4;
    case Op::Constant:
    case Op::Iota:
    case Op::Reshape:
    case Op::BroadcastInDim:
    case Op::Slice:
    case Op::Transpose:
    case Op::Reverse:
    case Op::OptimizationBarrier: return 0;
    case Op::Gather:
    case Op::DynamicSlice:
    case Op::DynamicUpdateSlice:
    case Op::Pad:
    case Op::Concatenate: return 2;
    case Op::Reduce:
    case Op::ReduceWindow:
    case Op::SelectAndScatter:
    case Op::DotGeneral:
    case Op::Convolution: {
      const double in = static_cast<double>(element_count(graph.shape(node.operands[0])));
      const double out = static_cast<double>(std::max<std::int64_t>(1, element_count(graph.shape(node.results[0]))));
      const ir::Primitive& row = ir::primitive(node.op);
      const double counted =
          row.cost ? row.cost(node, graph.types(node.operands), graph.types(node.results)).operations / 2 : 0;
      return std::max(counted, in) / out;
    }
    default: return 1;
  }
}

namespace {

/// Kernels beyond this take long to compile and gain nothing.
constexpr std::size_t kMostItems = 256;

/// Operations that one block of a GPU does in about the time of a launch.
constexpr double kBlockWork = 1 << 18;
/// Operations that are cheaper to do twice than to send an element to memory and back.
constexpr double kMostRepeated = 64;
/// Elements that a thread keeps of all rows together.
constexpr std::int64_t kKeptInAll = 48;

/// How the path from a root to a stored value treats the index.
struct Reach {
  bool same = true;  ///< the same flat index all along
  bool rows = true;  ///< the same row all along
};

bool keeps_position(const Node& node) {
  return ir::is_elementwise(ir::family(node.op)) || node.op == Op::Reshape || node.op == Op::OptimizationBarrier;
}

bool contains(const ir::Integers& list, std::int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// True when row r of the result needs only row r of operand i.
bool keeps_rows(const ir::Graph& graph, const Node& node, std::size_t i, std::int64_t rows) {
  const Shape& to = graph.shape(node.results[0]);
  const Shape& from = graph.shape(node.operands[i]);
  const auto result_prefix = prefix_of(to, rows);
  const auto operand_prefix = prefix_of(from, rows);
  if (!result_prefix || !operand_prefix) return false;
  const std::size_t k = *result_prefix;
  const auto prefix_untouched = [&](auto&& test) {
    for (std::size_t d = 0; d < k; ++d)
      if (!test(d)) return false;
    return true;
  };
  if (ir::is_elementwise(ir::family(node.op))) return from == to || rows == 1;
  switch (node.op) {
    case Op::Reshape:
    case Op::OptimizationBarrier: return true;
    case Op::BroadcastInDim: {
      const ir::Integers& dimensions = node.attributes.integers("broadcast_dimensions");
      Shape covered(k, 1);
      for (std::size_t d = 0; d < from.size(); ++d) {
        const auto target = static_cast<std::size_t>(dimensions[d]);
        if (from[d] == 1) continue;
        if (d < *operand_prefix ? target >= k : target < k) return false;
        if (target < k) {
          if (d > 0 && dimensions[d] < dimensions[d - 1]) return false;
          covered[target] = from[d];
        }
      }
      return prefix_untouched([&](std::size_t d) { return covered[d] == to[d]; });
    }
    case Op::Reduce: {
      const ir::Integers& dimensions = node.attributes.integers("dimensions");
      if (i >= node.operands.size() / 2) return rows == 1;
      for (const std::int64_t d : dimensions)
        if (static_cast<std::size_t>(d) < *operand_prefix && from[static_cast<std::size_t>(d)] != 1) return false;
      return true;
    }
    case Op::Transpose: {
      const ir::Integers& permutation = node.attributes.integers("permutation");
      return prefix_untouched([&](std::size_t d) { return permutation[d] == static_cast<std::int64_t>(d); });
    }
    case Op::Slice: {
      const ir::Integers& start = node.attributes.integers("start_indices");
      const ir::Integers& strides = node.attributes.integers("strides");
      return prefix_untouched([&](std::size_t d) { return start[d] == 0 && strides[d] == 1 && from[d] == to[d]; });
    }
    case Op::Pad: {
      if (i != 0) return rows == 1;
      const ir::Integers& low = node.attributes.integers("edge_padding_low");
      const ir::Integers& interior = node.attributes.integers("interior_padding");
      return prefix_untouched([&](std::size_t d) { return low[d] == 0 && interior[d] == 0 && from[d] == to[d]; });
    }
    case Op::Reverse: {
      const ir::Integers& dimensions = node.attributes.integers("dimensions");
      return prefix_untouched([&](std::size_t d) { return !contains(dimensions, static_cast<std::int64_t>(d)); });
    }
    case Op::Concatenate: return node.attributes.integer("dimension") >= static_cast<std::int64_t>(k);
    default: return false;
  }
}

class Fuser {
 public:
  Fuser(const ir::Graph& graph, const Target& target) : graph_(graph), target_(target) {
    fusion_.graph = &graph;
    fusion_.stored.assign(graph.values.size(), false);
    fusion_.storage.resize(graph.values.size());
  }

  Fusion run() {
    prepare();
    match_libraries();
    demand_necessary();
    const std::vector<bool> necessary = fusion_.stored;
    demand_dear();
    if (target_.is_gpu()) forget_cheap(necessary);
    make_items();
    merge_dependent();
    merge_siblings();
    finish();
    return std::move(fusion_);
  }

 private:
  struct Group {
    Cluster cluster;
    std::vector<std::size_t> items;  ///< indices into items_
    bool alive = true;
  };
  struct ItemInfo {
    Value value = -1;
    std::optional<ReduceForm> form;
    std::map<Value, Reach> reads;
    std::size_t group = 0;
    double cost = 0;  ///< operations of all its elements
  };

  [[nodiscard]] bool stored(Value v) const { return fusion_.has_buffer(v); }
  void demand(Value v) { fusion_.stored[index(fusion_.storage_of(v))] = true; }
  static std::size_t index(Value v) { return static_cast<std::size_t>(v); }
  [[nodiscard]] std::int64_t count(Value v) const { return element_count(graph_.shape(v)); }

  void prepare() {
    for (std::size_t v = 0; v < graph_.values.size(); ++v) fusion_.storage[v] = static_cast<Value>(v);
    users_.resize(graph_.values.size());
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      if (node.op == Op::Reshape) fusion_.storage[index(node.results[0])] = fusion_.storage_of(node.operands[0]);
      for (const Value v : node.operands)
        if (users_[index(v)].empty() || users_[index(v)].back() != n) users_[index(v)].push_back(n);
    }
    is_result_.assign(graph_.values.size(), false);
    for (const Value v : graph_.results) is_result_[index(v)] = true;
  }

  [[nodiscard]] bool is_library(const Node& node) const {
    return (node.op == Op::DotGeneral || node.op == Op::Convolution || node.op == Op::CustomCall) &&
           target_.has_library_kernel && target_.has_library_kernel(graph_, node);
  }

  [[nodiscard]] bool is_zero(Value v) const {
    const Node* node = graph_.producer(v);
    while (node != nullptr && (node->op == Op::BroadcastInDim || node->op == Op::Reshape))
      node = graph_.producer(node->operands[0]);
    if (node == nullptr || node->op != Op::Constant) return false;
    const Literal& value = node->attributes.literal("value");
    return value.size() > 0 && value.is_splat() && is_float(value.dtype()) && value.get_double(0) == 0;
  }

  /// Bias, added tensor and relu behind a product, as long as nobody else wants what is in between.
  void match_libraries() {
    for (const Node& node : graph_.nodes) {
      if (node.op == Op::CustomCall || !is_library(node)) continue;
      Cluster cluster;
      cluster.kind = Cluster::Kind::Library;
      cluster.node = &node;
      Value last = node.results[0];
      ir::Values chain{last};  // the running result before each epilogue
      const std::int64_t width = graph_.shape(last).empty() ? 0 : graph_.shape(last).back();
      const bool features_last = node.op == Op::DotGeneral || node.attributes.integer("output_feature_dimension", -1) ==
                                                                  graph_.type(last).rank() - 1;
      for (Value v = last; graph_.dtype(v) == DType::F32 && !is_result_[index(v)] && users_[index(v)].size() == 1;) {
        const Node& user = graph_.nodes[users_[index(v)][0]];
        if (user.results.empty()) break;  // a check
        const Value made = user.results[0];
        if (user.op == Op::Reshape && graph_.type(made).rank() > 0 && graph_.shape(made).back() == width) {
          v = made;
          continue;
        }
        LibraryCall::Epilogue epilogue{};
        if (user.op == Op::Add && user.operands[0] != user.operands[1]) {
          const Value other = user.operands[0] == v ? user.operands[1] : user.operands[0];
          const Node* by = graph_.producer(other);
          if (by != nullptr && by->op == Op::BroadcastInDim && graph_.shape(by->operands[0]) == Shape{width} &&
              features_last &&
              by->attributes.integers("broadcast_dimensions") == ir::Integers{graph_.type(made).rank() - 1}) {
            epilogue.kind = LibraryCall::Epilogue::Kind::AddBias;
            cluster.epilogue_operands.push_back(by->operands[0]);
          } else if (graph_.producer(fusion_.storage_of(other)) == nullptr) {
            epilogue.kind = LibraryCall::Epilogue::Kind::AddTensor;
            cluster.epilogue_operands.push_back(other);
          } else
            break;
        } else if (user.op == Op::Maximum && (is_zero(user.operands[0]) || is_zero(user.operands[1]))) {
          epilogue.kind = LibraryCall::Epilogue::Kind::Relu;
        } else
          break;
        cluster.epilogue.push_back(epilogue);
        if (target_.fuses &&
            !target_.fuses({node, graph_.types(node.operands), graph_.type(node.results[0]), cluster.epilogue})) {
          cluster.epilogue.pop_back();
          if (epilogue.kind != LibraryCall::Epilogue::Kind::Relu) cluster.epilogue_operands.pop_back();
          break;
        }
        last = v = made;
        chain.push_back(last);
      }
      leave_to_kernel(cluster, chain);
      last = chain.back();
      fusion_.storage[index(last)] = last;
      library_[last] = cluster;
    }
  }

  /// On a CPU the kernel that reads the result next adds a tensor faster than the library.
  void leave_to_kernel(Cluster& cluster, ir::Values& chain) const {
    if (target_.is_gpu() || is_result_[index(chain.back())]) return;
    const auto in_kernel = [&](std::size_t n) {
      const ir::Family family = ir::family(graph_.nodes[n].op);
      return ir::is_elementwise(family) || family == ir::Family::Movement;
    };
    const std::vector<std::size_t>& users = users_[index(chain.back())];
    if (!std::all_of(users.begin(), users.end(), in_kernel)) return;
    using Kind = LibraryCall::Epilogue::Kind;
    const auto tensor = std::find_if(cluster.epilogue.begin(), cluster.epilogue.end(),
                                     [](const auto& epilogue) { return epilogue.kind == Kind::AddTensor; });
    const auto kept = static_cast<std::size_t>(tensor - cluster.epilogue.begin());
    const auto operands = std::count_if(cluster.epilogue.begin(), tensor,
                                        [](const auto& epilogue) { return epilogue.kind != Kind::Relu; });
    cluster.epilogue.resize(kept);
    cluster.epilogue_operands.resize(static_cast<std::size_t>(operands));
    chain.resize(kept + 1);
  }

  void demand_necessary() {
    for (const Value v : graph_.parameters) demand(v);
    for (const Value v : graph_.results) demand(v);
    for (const auto& [last, cluster] : library_) {
      demand(last);
      for (const Value v : cluster.node->operands) demand(v);
      for (const Value v : cluster.epilogue_operands) demand(v);
    }
    for (const Node& node : graph_.nodes) {
      if (node.op == Op::Constant) {
        const Literal& value = node.attributes.literal("value");
        if (!value.is_splat() && value.size() > 0) demand(node.results[0]);
      }
      if (node.op == Op::CustomCall || ir::is_control_flow(node.op))
        for (const Value v : node.operands) demand(v);
      if (updates_in_place(node))
        for (std::size_t i = 0; i < node.results.size(); ++i) demand(node.operands[i]);
      if (whole(node) || node.op == Op::Reduce || node.op == Op::ReduceWindow || node.op == Op::SelectAndScatter ||
          ((node.op == Op::DotGeneral || node.op == Op::Convolution) && !library_base(node.results[0])))
        for (const Value v : node.results) demand(v);
    }
  }

  /// One step computes all of its results.
  static bool whole(const Node& node) {
    return node.op == Op::CustomCall || updates_in_place(node) || ir::is_control_flow(node.op);
  }

  [[nodiscard]] bool library_base(Value v) const {
    return std::any_of(library_.begin(), library_.end(),
                       [&](const auto& entry) { return entry.second.node->results[0] == v; });
  }

  /// Values that are used more than once and not cheap. Their cost still counts for what is made of them: a value
  /// between two that have memory may lose its own.
  void demand_dear() {
    std::vector<double> cost(graph_.values.size(), 0), leaves(graph_.values.size(), 0), size(graph_.values.size(), 0);
    for (const Value v : graph_.parameters) leaves[index(v)] = size[index(v)] = 1;
    for (const Node& node : graph_.nodes) {
      double own = element_cost(graph_, node), inputs = 0, nodes = 1;
      const bool window = node.op == Op::DotGeneral || node.op == Op::Convolution || node.op == Op::ReduceWindow ||
                          node.op == Op::SelectAndScatter;
      for (std::size_t i = 0; i < node.operands.size(); ++i) {
        const Value v = node.operands[i];
        const bool enlarged =
            node.op == Op::BroadcastInDim && count(node.results[0]) >= 16 * count(v) && cost[index(v)] >= 4;
        // Each element of a window's operand is computed many times.
        const bool repeated = window && cost[index(v)] > 1;
        if (enlarged || repeated || (node.op == Op::Concatenate && cost[index(v)] > 8)) demand(v);
        own += cost[index(v)];
        inputs += leaves[index(v)];
        nodes += stored(v) ? 1 : size[index(v)];
      }
      for (const Value v : node.results) {
        const bool dear = own >= 8 || inputs >= 3 || nodes > 32;
        // Of a broadcast, the smaller side is kept.
        if (users_[index(v)].size() > 1 && dear && may_keep(node))
          demand(node.op == Op::BroadcastInDim ? node.operands[0] : v);
        if (nodes > 256 && may_keep(node)) demand(v);
        const bool hard = hard_boundary(node);
        cost[index(v)] = hard ? 0 : std::min(own, 1e9);
        leaves[index(v)] = hard ? 1 : node.op == Op::Constant ? 0 : inputs;
        size[index(v)] = hard ? 1 : nodes;
      }
    }
  }
  /// What is quickly made from one other value that has memory needs none: on a GPU, memory and launches cost more.
  void forget_cheap(const std::vector<bool>& necessary) {
    for (const Node& node : graph_.nodes)
      for (const Value v : node.results) {
        if (!fusion_.stored[index(v)] || necessary[index(v)] || fusion_.storage_of(v) != v) continue;
        fusion_.stored[index(v)] = false;
        std::set<Value> leaves;
        collect_leaves(v, leaves, 0);
        std::int64_t large = 0;
        for (const Value leaf : leaves) large += 16 * count(leaf) > count(v) ? 1 : 0;
        fusion_.stored[index(v)] = tree_cost(v) >= 4 || large > 1;
      }
  }
  void collect_leaves(Value v, std::set<Value>& leaves, int depth) const {
    if (stored(v)) {
      leaves.insert(fusion_.storage_of(v));
      return;
    }
    const Node* node = graph_.producer(v);
    if (node == nullptr || depth > 24) return;
    for (const Value operand : node->operands) collect_leaves(operand, leaves, depth + 1);
  }
  static bool may_keep(const Node& node) {
    return node.op != Op::Constant && node.op != Op::Iota && node.op != Op::Reshape;
  }
  [[nodiscard]] bool hard_boundary(const Node& node) const {
    if (whole(node)) return true;
    switch (node.op) {
      case Op::Reduce:
      case Op::ReduceWindow:
      case Op::SelectAndScatter:
      case Op::DotGeneral:
      case Op::Convolution: return true;
      default: return library_.contains(node.results[0]);
    }
  }

  /// Stored values that the computation of `v` reads, v's own memory aside.
  void reach(Value v, Reach path, std::int64_t rows, std::map<Value, Reach>& out,
             std::set<std::tuple<Value, bool, bool>>& seen) const {
    if (!seen.insert({v, path.same, path.rows}).second) return;
    const Value owner = fusion_.storage_of(v);
    if (fusion_.stored[index(owner)]) {
      if (path.rows && !prefix_of(graph_.shape(owner), rows)) path.rows = false;
      const auto [it, fresh] = out.try_emplace(owner, path);
      if (!fresh) it->second = {it->second.same && path.same, it->second.rows && path.rows};
      return;
    }
    const Node* node = graph_.producer(v);
    for (std::size_t i = 0; i < node->operands.size(); ++i) reach_operand(*node, i, path, rows, out, seen);
  }
  void reach_operand(const Node& node, std::size_t i, Reach path, std::int64_t rows, std::map<Value, Reach>& out,
                     std::set<std::tuple<Value, bool, bool>>& seen) const {
    const bool same = keeps_position(node) && count(node.operands[i]) == count(node.results[0]);
    reach(node.operands[i], {path.same && same, path.rows && rows > 0 && keeps_rows(graph_, node, i, rows)}, rows, out,
          seen);
  }
  [[nodiscard]] std::map<Value, Reach> reads_of(const ItemInfo& item, std::int64_t rows) const {
    std::map<Value, Reach> out;
    std::set<std::tuple<Value, bool, bool>> seen;
    const auto library = library_.find(item.value);
    if (library != library_.end()) {
      for (const Value v : library->second.node->operands) out[fusion_.storage_of(v)] = {false, false};
      for (const Value v : library->second.epilogue_operands) out[fusion_.storage_of(v)] = {false, false};
      return out;
    }
    const Node& node = *graph_.producer(item.value);
    if (item.form) {
      // Positions are counted in the domain that is reduced.
      const std::int64_t outer = item.form->outer;
      reach(node.operands[0], {true, rows == outer && item.form->inner == 1}, rows, out, seen);
      reach(node.operands[1], {false, rows == 1}, rows, out, seen);
      return out;
    }
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      if (rows < 0 && in_pieces(node))
        reach(node.operands[i], {true, false}, rows, out, seen);
      else
        reach_operand(node, i, {true, true}, rows, out, seen);
    }
    return out;
  }
  [[nodiscard]] bool in_pieces(const Node& node) const { return !target_.is_gpu() && is_in_pieces(graph_, node); }
  /// What the loops of a map go through.
  [[nodiscard]] const Shape& map_shape(Value v) const {
    const Node& node = *graph_.producer(v);
    return graph_.shape(in_pieces(node) ? node.operands[0] : v);
  }

  void make_items() {
    for (const Node& node : graph_.nodes) {
      if (node.op == Op::Constant) continue;
      for (const Value v : node.results) {
        if (!fusion_.stored[index(v)] || fusion_.storage_of(v) != v) continue;
        ItemInfo item;
        item.value = v;
        const bool library = library_.contains(v);
        if (!library) item.form = reduce_form(graph_, node);
        item.reads = reads_of(item, -1);
        item.group = groups_.size();
        item.cost = std::max(1.0, tree_cost(v)) * static_cast<double>(count(v));
        if (item.form)
          item.cost += static_cast<double>(item.form->outer * item.form->reduced * item.form->inner) *
                       std::max(1.0, stored(node.operands[0]) ? 0.0 : tree_cost(node.operands[0]));
        Group group;
        if (library)
          group.cluster = library_[v];
        else if (whole(node)) {
          group.cluster.kind = updates_in_place(node)         ? Cluster::Kind::Update
                               : ir::is_control_flow(node.op) ? Cluster::Kind::Control
                               : is_library(node)             ? Cluster::Kind::Library
                                                              : Cluster::Kind::Host;
          group.cluster.node = &node;
        } else if (item.form && item.form->inner == 1) {
          group.cluster.kind = Cluster::Kind::Rows;
          group.cluster.rows = item.form->outer;
        } else if (item.form) {
          group.cluster.kind = Cluster::Kind::Columns;
          group.cluster.columns = *item.form;
        }
        if (whole(node) && v != node.results[0]) {
          item.group = groups_.size() - 1;
          groups_.back().items.push_back(items_.size());
          groups_.back().cluster.cost += item.cost;
        } else {
          group.items.push_back(items_.size());
          group.cluster.cost = item.cost;
          groups_.push_back(std::move(group));
        }
        item_of_[v] = items_.size();
        items_.push_back(std::move(item));
      }
    }
  }

  /// Operations for one element of `v`, inlined operands included.
  [[nodiscard]] double tree_cost(Value v, int depth = 0) const {
    const Node* node = graph_.producer(v);
    if (node == nullptr || depth > 24) return 0;
    double total = element_cost(graph_, *node);
    if (node->op == Op::Reduce) return total;
    for (const Value operand : node->operands)
      if (!stored(operand)) total += tree_cost(operand, depth + 1);
    return total;
  }

  [[nodiscard]] bool is_loop(const Group& group) const {
    return group.cluster.kind == Cluster::Kind::Map || group.cluster.kind == Cluster::Kind::Rows ||
           group.cluster.kind == Cluster::Kind::Columns;
  }

  /// With few rows, what is not a reduction is better off with all threads, or with a kernel for all multiprocessors.
  [[nodiscard]] bool too_few_rows(const Cluster& cluster) const {
    if (target_.is_gpu())
      return cluster.rows < target_.multiprocessors && cluster.cost > static_cast<double>(cluster.rows) * kBlockWork;
    return cluster.rows < 4 * target_.threads && cluster.cost > 65536;
  }

  /// What one loop nest for both would be, if there is one.
  [[nodiscard]] std::optional<Cluster> joined(const Group& a, const Group& b) const {
    using Kind = Cluster::Kind;
    if (!is_loop(a) || !is_loop(b) || a.items.size() + b.items.size() > kMostItems) return std::nullopt;
    Cluster cluster;
    cluster.cost = a.cluster.cost + b.cluster.cost;
    const Group& reducing = a.cluster.kind != Kind::Map ? a : b;
    cluster.kind = reducing.cluster.kind;
    cluster.rows = reducing.cluster.rows;
    cluster.columns = reducing.cluster.columns;
    std::vector<std::size_t> all = a.items;
    all.insert(all.end(), b.items.begin(), b.items.end());
    std::set<Value> members;
    for (const std::size_t i : all) members.insert(items_[i].value);
    if (cluster.kind == Kind::Rows && a.cluster.kind != b.cluster.kind && too_few_rows(cluster)) return std::nullopt;
    for (const std::size_t i : all) {
      const ItemInfo& item = items_[i];
      const Shape& shape = graph_.shape(item.value);
      switch (cluster.kind) {
        case Kind::Map:
          if (map_shape(item.value) != map_shape(items_[all[0]].value)) return std::nullopt;
          break;
        case Kind::Rows:
          if (item.form ? item.form->outer != cluster.rows || item.form->inner != 1 : !prefix_of(shape, cluster.rows))
            return std::nullopt;
          if (!item.form && graph_.producer(item.value)->op == Op::Reduce) return std::nullopt;
          break;
        case Kind::Columns: {
          const ReduceForm& c = cluster.columns;
          if (item.form) {
            if (item.form->outer != c.outer || item.form->reduced != c.reduced || item.form->inner != c.inner)
              return std::nullopt;
          } else if (count(item.value) != c.outer * c.reduced * c.inner || !prefix_of(shape, c.outer * c.reduced) ||
                     in_pieces(*graph_.producer(item.value)))
            return std::nullopt;
          break;
        }
        default: return std::nullopt;
      }
      for (const auto& [owner, path] : cluster.kind == Kind::Rows ? reads_of(item, cluster.rows) : item.reads) {
        if (!members.contains(owner)) continue;
        if (cluster.kind == Kind::Rows ? !path.rows : !path.same) return std::nullopt;
        if (cluster.kind == Kind::Columns && items_[item_of_.at(owner)].form) return std::nullopt;
      }
    }
    return cluster;
  }

  /// True when some path leads from group `from` to group `to` through a third.
  [[nodiscard]] bool path_around(std::size_t from, std::size_t to) const {
    std::vector<std::size_t> work{to};
    std::set<std::size_t> seen{to};
    while (!work.empty()) {
      const std::size_t group = work.back();
      work.pop_back();
      for (const std::size_t i : groups_[group].items)
        for (const auto& [owner, path] : items_[i].reads) {
          const auto found = item_of_.find(owner);
          if (found == item_of_.end()) continue;
          const std::size_t before = items_[found->second].group;
          if (before == from && group != to) return true;
          // Items are numbered in order of computation: what comes before everything in `from` cannot lead to it.
          if (before != from && groups_[before].items.back() > groups_[from].items.front() &&
              seen.insert(before).second)
            work.push_back(before);
        }
    }
    return false;
  }

  bool merge(std::size_t a, std::size_t b) {
    if (a == b || !groups_[a].alive || !groups_[b].alive) return false;
    auto cluster = joined(groups_[a], groups_[b]);
    if (!cluster || path_around(a, b) || path_around(b, a)) return false;
    for (const std::size_t i : groups_[b].items) items_[i].group = a;
    groups_[a].items.insert(groups_[a].items.end(), groups_[b].items.begin(), groups_[b].items.end());
    std::sort(groups_[a].items.begin(), groups_[a].items.end());
    groups_[a].cluster = std::move(*cluster);
    groups_[b].alive = false;
    groups_[b].items.clear();
    return true;
  }

  /// Over large values first: small clusters that merged could stand between large ones.
  void merge_dependent() {
    constexpr std::int64_t kLarge = 1 << 16;
    for (const bool large : {true, false})
      for (ItemInfo& item : items_)
        for (const auto& [owner, path] : item.reads) {
          const auto found = item_of_.find(owner);
          if (found != item_of_.end() && (count(owner) >= kLarge) == large)
            merge(items_[found->second].group, item.group);
        }
  }

  /// Clusters that read the same large value read it once.
  void merge_siblings() {
    std::map<Value, std::vector<std::size_t>> readers;
    for (std::size_t i = 0; i < items_.size(); ++i)
      for (const auto& [owner, path] : items_[i].reads)
        if (path.same && count(owner) >= 1024) readers[owner].push_back(i);
    for (const auto& [owner, list] : readers)
      for (std::size_t i = 1; i < std::min<std::size_t>(list.size(), 16); ++i)
        merge(items_[list[0]].group, items_[list[i]].group);
  }

  void finish() {
    // Order: each group after all that it reads, otherwise as the graph has it.
    std::vector<int> state(groups_.size(), 0);
    std::vector<std::size_t> order;
    const std::function<void(std::size_t)> visit = [&](std::size_t g) {
      if (state[g] != 0) return;
      state[g] = 1;
      for (const std::size_t i : groups_[g].items)
        for (const auto& [owner, path] : items_[i].reads) {
          const auto found = item_of_.find(owner);
          if (found != item_of_.end() && items_[found->second].group != g) visit(items_[found->second].group);
        }
      order.push_back(g);
    };
    std::vector<std::size_t> by_last;
    for (std::size_t g = 0; g < groups_.size(); ++g)
      if (groups_[g].alive) by_last.push_back(g);
    std::sort(by_last.begin(), by_last.end(),
              [&](std::size_t a, std::size_t b) { return groups_[a].items.back() < groups_[b].items.back(); });
    for (const std::size_t g : by_last) visit(g);

    std::vector<bool> escapes(graph_.values.size(), false);
    for (const Value v : graph_.results) escapes[index(fusion_.storage_of(v))] = true;
    for (const Node* check : checks())
      for (const Value v : check->operands) escapes[index(fusion_.storage_of(v))] = true;
    for (const ItemInfo& item : items_)
      for (const auto& [owner, path] : item.reads) {
        const auto found = item_of_.find(owner);
        if (found != item_of_.end() && items_[found->second].group != item.group) escapes[index(owner)] = true;
      }
    for (const std::size_t g : order) {
      Group& group = groups_[g];
      if (group.cluster.kind == Cluster::Kind::Rows)
        place_rows(group, escapes);
      else
        for (const std::size_t i : group.items) {
          const bool inlined =
              (group.cluster.kind == Cluster::Kind::Map || group.cluster.kind == Cluster::Kind::Columns) &&
              !items_[i].form && !escapes[index(items_[i].value)];
          group.cluster.items.push_back({items_[i].value, inlined ? Item::Hold::Inline : Item::Hold::Stored, 0});
        }
      for (const Item& item : group.cluster.items)
        if (item.hold != Item::Hold::Stored) demoted_.push_back(item.value);
      fusion_.clusters.push_back(std::move(group.cluster));
    }
    for (const Value v : demoted_) fusion_.stored[index(v)] = false;
    for (const Node* check : checks()) {  // nothing waits for them
      Cluster cluster;
      cluster.kind = Cluster::Kind::Host;
      cluster.node = check;
      fusion_.clusters.push_back(std::move(cluster));
    }
  }
  /// Calls without results.
  [[nodiscard]] std::vector<const Node*> checks() const {
    std::vector<const Node*> list;
    for (const Node& node : graph_.nodes)
      if (node.op == Op::CustomCall && node.results.empty()) list.push_back(&node);
    return list;
  }

  /// Levels of the items of a row kernel, and where each is kept between its loops.
  void place_rows(Group& group, const std::vector<bool>& escapes) {
    const std::int64_t rows = group.cluster.rows;
    std::map<Value, std::size_t> position;
    std::vector<bool> needed_later(group.items.size(), false);
    for (std::size_t n = 0; n < group.items.size(); ++n) {
      const ItemInfo& info = items_[group.items[n]];
      Item item{info.value, Item::Hold::Stored, 0};
      for (const auto& [owner, path] : reads_of(info, rows)) {
        const auto found = position.find(owner);
        if (found == position.end()) continue;
        const Item& before = group.cluster.items[found->second];
        const bool together = path.same && !items_[item_of_.at(owner)].form;
        item.level = std::max(item.level, before.level + (together ? 0 : 1));
      }
      position[info.value] = n;
      group.cluster.items.push_back(item);
    }
    for (std::size_t n = 0; n < group.items.size(); ++n)
      for (const auto& [owner, path] : reads_of(items_[group.items[n]], rows)) {
        const auto found = position.find(owner);
        if (found == position.end()) continue;
        Item& before = group.cluster.items[found->second];
        if (!path.same || before.level != group.cluster.items[n].level) needed_later[found->second] = true;
        if (!path.same) before.elsewhere = true;
      }
    std::int64_t kept = 0, shared = 0;  // by each thread, by a block
    const auto fits = [&](const Item& item, std::int64_t width) {
      if (!target_.is_gpu()) return width <= 8192;
      const std::int64_t slots = row_slots(width);
      if (!item.elsewhere && width <= slots * kBlockThreads && kept + slots <= kKeptInAll) {
        kept += slots;
        return true;
      }
      const std::int64_t bytes = width * static_cast<std::int64_t>(size_of(compute_type(graph_.dtype(item.value))));
      if (!item.elsewhere || shared + bytes > kRowBytes) return false;
      shared += bytes;
      return true;
    };
    for (std::size_t n = 0; n < group.items.size(); ++n) {
      const ItemInfo& info = items_[group.items[n]];
      Item& item = group.cluster.items[n];
      const std::int64_t width = count(info.value) / std::max<std::int64_t>(1, rows);
      if (escapes[index(info.value)])
        item.hold = Item::Hold::Stored;
      else if (info.form || width == 1)
        item.hold = Item::Hold::Scalar;
      else if (needed_later[n] && tree_cost(info.value) >= 4)
        item.hold = fits(item, width)                                            ? Item::Hold::Scratch
                    : target_.is_gpu() && tree_cost(info.value) <= kMostRepeated ? Item::Hold::Inline
                                                                                 : Item::Hold::Stored;
      else
        item.hold = Item::Hold::Inline;
    }
  }

  const ir::Graph& graph_;
  const Target& target_;
  Fusion fusion_;
  std::vector<std::vector<std::size_t>> users_;
  std::vector<bool> is_result_;
  std::map<Value, Cluster> library_;  ///< by the last value of its chain
  std::vector<ItemInfo> items_;
  std::map<Value, std::size_t> item_of_;
  std::vector<Group> groups_;
  std::vector<Value> demoted_;
};

}  // namespace

Fusion fuse(const ir::Graph& graph, const Target& target) { return Fuser(graph, target).run(); }

}  // namespace tessera::pass
