// Which clusters share a kernel, and in which order kernels run. In: a fused graph. Out: groups of clusters, each for
// one step (pass/schedule.cpp).
#include <algorithm>

#include "tessera/pass/schedule.hpp"

namespace tessera::pass {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;
using Groups = std::vector<Group>;

/// Items of small clusters in one kernel.
constexpr std::size_t kMostTogether = 32;

bool is_empty(const Cluster& cluster, const ir::Graph& graph) {
  const auto none = [&](Value v) { return element_count(graph.shape(v)) == 0; };
  if (cluster.kind == Cluster::Kind::Update)
    return none(cluster.node->operands[cluster.node->op == Op::Scatter ? cluster.node->results.size() + 1 : 1]);
  return std::all_of(cluster.items.begin(), cluster.items.end(), [&](const Item& item) { return none(item.value); });
}

bool is_loop(const Cluster& cluster) {
  return cluster.kind == Cluster::Kind::Map || cluster.kind == Cluster::Kind::Rows ||
         cluster.kind == Cluster::Kind::Columns;
}

/// Neighbours that are not worth several threads, one after the other.
Groups group_cpu(const std::vector<Cluster>& clusters) {
  const auto small = [](const Cluster& cluster) { return is_loop(cluster) && cluster.cost < kParallelWork; };
  Groups groups;
  bool open = false;
  std::size_t items = 0;
  for (const Cluster& cluster : clusters) {
    items += cluster.items.size();
    if (!open || !small(cluster) || items > kMostTogether) {
      groups.emplace_back();
      items = cluster.items.size();
    }
    groups.back().clusters.push_back(cluster);
    open = small(cluster);
  }
  return groups;
}

// --- GPU.

/// One block takes about as long for this as a launch takes.
constexpr double kTinyWork = 131072;
constexpr std::int64_t kTinyElements = 32768;
/// Larger maps are worth a kernel of their own.
constexpr std::int64_t kMostInMap = 1 << 20;
/// Clusters and items in one kernel: more take long to compile.
constexpr std::size_t kMostClusters = 32, kMostItems = 192;

/// Launches are what small steps cost. Large clusters and libraries run as soon as they can; when nothing but small
/// ones is left, those run together: chains of tiny ones in one block, maps side by side.
class GpuGrouper {
 public:
  GpuGrouper(const Fusion& fusion, std::vector<Cluster> clusters)
      : fusion_(fusion), graph_(*fusion.graph), clusters_(std::move(clusters)), done_(clusters_.size(), false) {
    std::map<Value, std::size_t> made_by;
    for (std::size_t c = 0; c < clusters_.size(); ++c)
      for (const Item& item : clusters_[c].items)
        if (item.hold == Item::Hold::Stored) made_by[fusion_.storage_of(item.value)] = c;
    for (std::size_t c = 0; c < clusters_.size(); ++c) {
      std::set<Value> seen;
      std::set<std::size_t> before;
      for (const Value v : operands_of(clusters_[c])) visit(v, seen);
      for (const Item& item : clusters_[c].items) visit_operands(*graph_.producer(item.value), seen);
      std::set<Value> parameters;
      for (const Value v : seen)
        if (graph_.producer(fusion_.storage_of(v)) == nullptr && !graph_.shape(v).empty())
          parameters.insert(fusion_.storage_of(v));
      parameters_.push_back(std::move(parameters));
      for (const Value v : seen)
        if (const auto found = made_by.find(fusion_.storage_of(v));
            found != made_by.end() && found->second != c && fusion_.has_buffer(v))
          before.insert(found->second);
      before_.push_back(std::move(before));
    }
  }

  std::vector<Group> run() {
    std::size_t left = clusters_.size();
    while (left > 0) {
      Group next = large();
      if (next.clusters.empty()) next = chain();
      if (next.clusters.empty()) next = maps();
      left -= next.clusters.size();
      groups_.push_back(std::move(next));
    }
    return std::move(groups_);
  }

 private:
  static ir::Values operands_of(const Cluster& cluster) {
    ir::Values operands = cluster.epilogue_operands;
    if (cluster.node != nullptr)
      operands.insert(operands.end(), cluster.node->operands.begin(), cluster.node->operands.end());
    return operands;
  }
  /// Values that are computed on the way to a stored one, and the stored ones.
  void visit(Value v, std::set<Value>& seen) const {
    if (!seen.insert(v).second || fusion_.has_buffer(v)) return;
    if (const Node* node = graph_.producer(v)) visit_operands(*node, seen);
  }
  void visit_operands(const Node& node, std::set<Value>& seen) const {
    for (const Value v : node.operands) visit(v, seen);
  }

  [[nodiscard]] bool ready(std::size_t c) const {
    return !done_[c] && std::all_of(before_[c].begin(), before_[c].end(), [&](std::size_t b) { return done_[b]; });
  }
  /// Elements that the loops of a cluster go through.
  [[nodiscard]] std::int64_t elements(const Cluster& cluster) const {
    std::int64_t most = 1;
    for (const Item& item : cluster.items) {
      const Node& node = *graph_.producer(item.value);
      most = std::max(most, element_count(graph_.shape(item.value)));
      if (reduce_form(graph_, node)) most = std::max(most, element_count(graph_.shape(node.operands[0])));
    }
    return most;
  }
  [[nodiscard]] bool is_tiny(const Cluster& cluster) const {
    return is_loop(cluster) && cluster.cost <= kTinyWork && elements(cluster) <= kTinyElements;
  }
  [[nodiscard]] bool is_map(const Cluster& cluster) const {
    return cluster.kind == Cluster::Kind::Map && elements(cluster) <= kMostInMap &&
           transposed_operands(fusion_, cluster).values.empty();
  }

  Group take(const std::vector<std::size_t>& which, bool side_by_side) {
    Group group;
    group.side_by_side = side_by_side;
    for (const std::size_t c : which) {
      group.clusters.push_back(clusters_[c]);
      done_[c] = true;
    }
    return group;
  }

  Group large() {
    for (std::size_t c = 0; c < clusters_.size(); ++c)
      if (ready(c) && !is_map(clusters_[c]) && !is_tiny(clusters_[c])) return take({c}, false);
    return {};
  }

  /// Tiny clusters of which each needs another, or is no map.
  Group chain() {
    std::vector<std::size_t> members;
    std::set<std::size_t> needed;
    double work = 0;
    std::int64_t size = 0;
    std::size_t items = 0;
    const auto in = [&](std::size_t c) { return std::find(members.begin(), members.end(), c) != members.end(); };
    for (std::size_t c = 0; c < clusters_.size() && members.size() < kMostClusters; ++c) {
      const Cluster& cluster = clusters_[c];
      const bool possible =
          !done_[c] && is_tiny(cluster) &&
          std::all_of(before_[c].begin(), before_[c].end(), [&](std::size_t b) { return done_[b] || in(b); });
      if (!possible || work + cluster.cost > kTinyWork || size + elements(cluster) > kTinyElements ||
          items + cluster.items.size() > kMostItems)
        continue;
      work += cluster.cost;
      size += elements(cluster);
      items += cluster.items.size();
      members.push_back(c);
      for (const std::size_t b : before_[c]) needed.insert(b);
    }
    std::erase_if(members, [&](std::size_t c) {
      return is_map(clusters_[c]) && !needed.contains(c) && ready(c);  // it needs nothing, and nobody here needs it
    });
    return take(members, false);
  }

  Group maps() {
    std::vector<std::size_t> members;
    std::size_t items = 0;
    std::set<Value> read;
    for (std::size_t c = 0; c < clusters_.size() && members.size() < kMostClusters; ++c) {
      if (!ready(c) || !is_map(clusters_[c])) continue;
      // Where one reads a parameter that another updates in place, they stay apart.
      const auto shared = [&](Value v) { return read.contains(v); };
      if (std::any_of(parameters_[c].begin(), parameters_[c].end(), shared)) continue;
      items += clusters_[c].items.size();
      if (items > kMostItems && !members.empty()) break;
      members.push_back(c);
      read.insert(parameters_[c].begin(), parameters_[c].end());
    }
    return take(members, true);
  }

  const Fusion& fusion_;
  const ir::Graph& graph_;
  std::vector<Cluster> clusters_;
  std::vector<bool> done_;
  std::vector<std::set<std::size_t>> before_;  ///< by cluster: those that make what it reads
  std::vector<std::set<Value>> parameters_;    ///< by cluster: those it reads, without scalars
  std::vector<Group> groups_;
};

}  // namespace

std::vector<Group> group(const Fusion& fusion, const Target& target) {
  std::vector<Cluster> clusters;
  for (const Cluster& cluster : fusion.clusters)
    if (cluster.kind == Cluster::Kind::Host || cluster.kind == Cluster::Kind::Control ||
        !is_empty(cluster, *fusion.graph))
      clusters.push_back(cluster);
  return target.is_gpu() ? GpuGrouper(fusion, std::move(clusters)).run() : group_cpu(clusters);
}

}  // namespace tessera::pass
