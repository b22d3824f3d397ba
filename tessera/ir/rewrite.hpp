// The frame of all that goes through a graph node by node and appends what becomes of each: passes, transforms,
// inlining. In: a graph. Out: a new one, or more nodes in one that is there.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "tessera/ir/graph.hpp"

namespace tessera::ir {

/// How far a rewrite is.
struct Rewriting {
  Graph& to;
  Values stands_for;      ///< by value of the old graph: what stands for it in `to`; -1: nothing does yet
  std::size_t index = 0;  ///< of the node at hand in the old graph
  Values operands;        ///< of the node at hand, in `to`

  /// What stands for a value of the old graph.
  Value& operator[](Value old) { return stands_for[static_cast<std::size_t>(old)]; }
  [[nodiscard]] Values operator[](const Values& old) const {
    Values list;
    list.reserve(old.size());
    for (const Value v : old) list.push_back(stands_for[static_cast<std::size_t>(v)]);
    return list;
  }
};

/// Appends to r.to what computes the results of `node`, a node of the old graph, and returns what stands for them.
/// Nothing: the node is copied, with its regions as they are. An empty list: it is left out, because nobody uses it.
using Replace = std::function<std::optional<Values>(Rewriting& r, const Node& node)>;

/// A new graph of the same name and parameters, with what `replace` makes of each node in turn.
Graph rewrite(const Graph& from, const Replace& replace);
/// The same within `to`, where `arguments` stand for the parameters; returns what stands for the results.
Values rewrite_into(Graph& to, const Graph& from, std::span<const Value> arguments, const Replace& replace);

}  // namespace tessera::ir
