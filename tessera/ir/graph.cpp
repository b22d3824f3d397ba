// Building of graphs: shape rules run here, so that every error is raised at the user's line.
#include "tessera/ir/graph.hpp"

#include <fmt/format.h>

#include <unordered_map>

#include "tessera/ir/primitive.hpp"
#include "tessera/ir/rewrite.hpp"

namespace tessera::ir {
namespace {

/// Names follow the order of definition, so that equal programs have equal keys whatever they were made from.
void append_graph_key(const Graph& graph, std::string& key) {
  std::unordered_map<Value, int> names;
  const auto number = [&](Value v) { return names.try_emplace(v, static_cast<int>(names.size())).first->second; };
  key += '(';
  for (const Value p : graph.parameters) {
    number(p);
    key += tessera::to_string(graph.type(p));
    key += ',';
  }
  key += ')';
  for (const Node& node : graph.nodes) {
    key += name(node.op);
    for (const Value operand : node.operands) key += fmt::format(" {}", number(operand));
    node.attributes.append_key(key);
    for (const GraphPtr& region : node.regions) append_graph_key(*region, key);
    key += "->";
    for (const Value result : node.results) {
      number(result);
      key += tessera::to_string(graph.type(result));
    }
    key += ';';
  }
  key += "return";
  for (const Value result : graph.results) key += fmt::format(" {}", number(result));
}

}  // namespace

Value Graph::parameter(const TensorType& type) {
  if (!is_supported(type.dtype)) throw_unsupported_dtype(type.dtype);
  const auto value = static_cast<Value>(values.size());
  values.push_back({type, -1});
  parameters.push_back(value);
  return value;
}

Values Graph::append(const Node& node, Values operands, std::span<const TensorType> result_types) {
  const auto index = static_cast<std::int32_t>(nodes.size());
  Values results_of_node;
  for (const TensorType& result_type : result_types) {
    results_of_node.push_back(static_cast<Value>(values.size()));
    values.push_back({result_type, index});
  }
  nodes.push_back({node.op, std::move(operands), results_of_node, node.attributes, node.regions, node.location});
  return results_of_node;
}

Values Graph::add(Op op, Values operands, Attributes attributes, std::vector<GraphPtr> regions, Location location) {
  const std::vector<TensorType> operand_types = types(operands);
  std::vector<TensorType> result_types;
  try {
    result_types = primitive(op).infer({operand_types, attributes, regions});
  } catch (const RuleError& broken) {
    std::string message = location.known() ? fmt::format("{}: {}", tessera::to_string(location), ir::name(op))
                                           : std::string(ir::name(op));
    for (std::size_t i = 0; i < operands.size(); ++i) {
      message += fmt::format("\n  operand {}: {}", i, tessera::to_string(operand_types[i]));
      const Node* made_by = producer(operands[i]);
      if (made_by != nullptr && made_by->location.known())
        message += fmt::format(", made by {} at {}", ir::name(made_by->op), tessera::to_string(made_by->location));
    }
    message += "\n  " + broken.rule;
    if (!broken.hint.empty()) message += "\n  hint: " + broken.hint;
    throw Error(ErrorKind::Usage, message);
  }
  return append({op, {}, {}, std::move(attributes), std::move(regions), location}, std::move(operands), result_types);
}

std::vector<TensorType> Graph::types(std::span<const Value> of) const {
  std::vector<TensorType> list;
  list.reserve(of.size());
  for (const Value value : of) list.push_back(type(value));
  return list;
}

Values Graph::inline_graph(const Graph& body, std::span<const Value> arguments) {
  return rewrite_into(*this, body, arguments, [](Rewriting&, const Node&) { return std::nullopt; });
}

std::string Graph::key() const {
  std::string key;
  append_graph_key(*this, key);
  return key;
}

}  // namespace tessera::ir
