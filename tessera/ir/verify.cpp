// Checks that a Graph is well formed: after a transform or a pass, and after parsing.
// In: any Graph. Out: nothing, or an Error that names the first broken rule and where it is.
#include <fmt/format.h>

#include <unordered_set>

#include "tessera/ir/primitive.hpp"

namespace tessera::ir {
namespace {

class Verifier {
 public:
  void graph(const Graph& graph, const std::string& path) {
    if (!checked_.insert(&graph).second) return;  // bodies are shared
    std::vector<bool> defined(graph.values.size(), false);
    const auto define = [&](Value v, std::int32_t node, const std::string& where) {
      if (v < 0 || static_cast<std::size_t>(v) >= graph.values.size())
        fail(where, fmt::format("the value {} does not exist", v));
      const auto at = static_cast<std::size_t>(v);
      if (defined[at]) fail(where, fmt::format("the value {} is defined twice", v));
      if (graph.values[at].node != node)
        fail(where,
             fmt::format("the value {} is recorded as made by node {}, not by {}", v, graph.values[at].node, node));
      if (!is_supported(graph.values[at].type.dtype))
        fail(where,
             "elements of type " + std::string(tessera::name(graph.values[at].type.dtype)) + " are not supported");
      byte_size(graph.values[at].type);
      defined[at] = true;
    };
    const auto use = [&](Value v, const std::string& where, std::string_view what) {
      if (v < 0 || static_cast<std::size_t>(v) >= graph.values.size())
        fail(where, fmt::format("{} is the value {}, which does not exist", what, v));
      if (!defined[static_cast<std::size_t>(v)])
        fail(where, fmt::format("{} is the value {}, which is used before it is computed", what, v));
    };
    for (const Value p : graph.parameters) define(p, -1, path);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      std::string where = fmt::format("{}: node {} ({}", path, i, name(node.op));
      if (node.location.known()) where += ", " + tessera::to_string(node.location);
      where += ')';
      for (std::size_t k = 0; k < node.operands.size(); ++k) use(node.operands[k], where, fmt::format("operand {}", k));
      for (const GraphPtr& region : node.regions) {
        if (region == nullptr) fail(where, "a region is missing");
        this->graph(*region, fmt::format("{} / {}", path, region->name));
      }
      types(graph, node, where);
      for (const Value v : node.results) define(v, static_cast<std::int32_t>(i), where);
    }
    for (std::size_t i = 0; i < graph.results.size(); ++i) use(graph.results[i], path, fmt::format("result {}", i));
  }

 private:
  [[noreturn]] static void fail(const std::string& where, const std::string& rule) {
    throw Error("invalid graph: " + where + ": " + rule);
  }

  /// The recorded types are those that the row infers again.
  static void types(const Graph& graph, const Node& node, const std::string& where) {
    const std::vector<TensorType> operands = graph.types(node.operands);
    std::vector<TensorType> inferred;
    try {
      inferred = primitive(node.op).infer({operands, node.attributes, node.regions});
    } catch (const RuleError& broken) {
      fail(where, broken.rule);
    }
    if (inferred.size() != node.results.size())
      fail(where, fmt::format("it has {} results and its rule gives {}", node.results.size(), inferred.size()));
    for (std::size_t k = 0; k < inferred.size(); ++k) {
      const Value v = node.results[k];
      if (v < 0 || static_cast<std::size_t>(v) >= graph.values.size())
        fail(where, fmt::format("the value {} does not exist", v));
      if (graph.type(v) != inferred[k])
        fail(where, fmt::format("result {} is recorded as {} and its rule gives {}", k, to_string(graph.type(v)),
                                to_string(inferred[k])));
    }
  }

  std::unordered_set<const Graph*> checked_;
};

}  // namespace

void verify(const Graph& graph) { Verifier().graph(graph, graph.name); }

}  // namespace tessera::ir
