// A traced program: values in static single assignment, in the order in which they are computed.
// Made by array/trace.cpp and ir/parse.cpp; rewritten by transform/ and pass/; checked by ir/verify.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/shape.hpp"
#include "tessera/ir/attributes.hpp"
#include "tessera/ir/op.hpp"

namespace tessera::ir {

class Graph;
using GraphPtr = std::shared_ptr<const Graph>;
/// Index into Graph::values.
using Value = std::int32_t;
using Values = std::vector<Value>;

struct ValueInfo {
  TensorType type;
  std::int32_t node = -1;  ///< the node that computes it; -1 for a parameter
};

struct Node {
  Op op = Op::Constant;
  Values operands;
  Values results;
  Attributes attributes;
  /// Bodies: reducers, called functions. They are closed: everything they use is a parameter of theirs.
  std::vector<GraphPtr> regions;
  Location location;
};

class Graph {
 public:
  Graph() = default;
  explicit Graph(std::string graph_name) : name(std::move(graph_name)) {}

  std::string name = "main";
  std::vector<ValueInfo> values;
  std::vector<Node> nodes;
  Values parameters;
  Values results;

  /// Appends a parameter.
  Value parameter(const TensorType& type);
  /// Appends a node; its result types follow from the row's shape rule. Throws Error (Usage) stating operation,
  /// operands, the rule that was broken and a hint.
  Values add(Op op, Values operands, Attributes attributes = {}, std::vector<GraphPtr> regions = {},
             Location location = {});
  /// The same for a node with one result.
  Value add1(Op op, Values operands, Attributes attributes = {}, std::vector<GraphPtr> regions = {},
             Location location = {}) {
    return add(op, std::move(operands), std::move(attributes), std::move(regions), location)[0];
  }
  /// Appends a copy of `node` with other operands, without running the shape rule again; used by passes that keep
  /// types.
  Values append(const Node& node, Values operands, std::span<const TensorType> types);

  [[nodiscard]] const TensorType& type(Value value) const { return values[static_cast<std::size_t>(value)].type; }
  [[nodiscard]] const Shape& shape(Value value) const { return type(value).shape; }
  [[nodiscard]] DType dtype(Value value) const { return type(value).dtype; }
  /// The node that computes `value`, or nullptr for a parameter.
  [[nodiscard]] const Node* producer(Value value) const {
    const std::int32_t node = values[static_cast<std::size_t>(value)].node;
    return node < 0 ? nullptr : &nodes[static_cast<std::size_t>(node)];
  }
  [[nodiscard]] std::vector<TensorType> types(std::span<const Value> of) const;
  [[nodiscard]] std::vector<TensorType> parameter_types() const { return types(parameters); }
  [[nodiscard]] std::vector<TensorType> result_types() const { return types(results); }

  /// Copies the nodes of `body` into this graph with its parameters bound to `arguments`; returns its results here.
  Values inline_graph(const Graph& body, std::span<const Value> arguments);
  /// Text that is equal for equal programs: names and locations left out.
  [[nodiscard]] std::string key() const;
};

/// Throws Error naming the first broken rule: operands defined before use, types as the rows infer them, regions
/// closed.
void verify(const Graph& graph);
/// StableHLO text (ir/print.cpp). With `debug_locations` the user's places are printed as comments.
std::string to_string(const Graph& graph, bool debug_locations = false);

}  // namespace tessera::ir
