// The table of primitives, put together from the families' rows, and the rules that many rows share.
#include "tessera/ir/primitive.hpp"

#include <array>
#include <optional>

namespace tessera::ir {
namespace {

struct OpName {
  std::string_view name;
  Family family;
};
constexpr std::array<OpName, kOpCount> kNames = {{
#define TESSERA_OP(enumerator, text, group) {text, Family::group},
#include "tessera/ir/ops.def"
}};

const std::vector<std::optional<Primitive>>& table() {
  static const auto* const rows = [] {
    auto* list = new std::vector<std::optional<Primitive>>(kOpCount);
    for (auto* family : {leaf_rows, unary_rows, binary_rows, elementwise_rows, movement_rows, indexing_rows,
                         reduction_rows, window_rows, sort_rows, product_rows, structure_rows, control_rows})
      for (Primitive& row : family()) (*list)[static_cast<std::size_t>(row.op)] = std::move(row);
    return list;
  }();
  return *rows;
}

}  // namespace

std::string_view name(Op op) { return kNames.at(static_cast<std::size_t>(op)).name; }
Family family(Op op) { return kNames.at(static_cast<std::size_t>(op)).family; }

std::optional<Op> parse_op(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i].name == text) return static_cast<Op>(i);
  return std::nullopt;
}

const Primitive& primitive(Op op) {
  const auto& row = table()[static_cast<std::size_t>(op)];
  if (!row) throw Error(ErrorKind::Unsupported, "the primitive " + std::string(name(op)) + " has no row in the table");
  return *row;
}

Values linear_jvp(const JvpContext& context) {
  bool all_zero = true;
  for (const Value tangent : context.tangents) all_zero = all_zero && tangent == kZero;
  if (all_zero) return Values(context.results.size(), kZero);
  Values tangents;
  for (std::size_t i = 0; i < context.operands.size(); ++i) tangents.push_back(context.tangent_or_zeros(i));
  return context.build.graph.add(context.node.op, tangents, context.node.attributes, context.node.regions,
                                 context.build.location);
}

Values elementwise_batch(const BatchContext& context) {
  Values operands;
  for (std::size_t i = 0; i < context.operands.size(); ++i) operands.push_back(context.with_batch(i));
  return context.build.graph.add(context.node.op, operands, context.node.attributes, context.node.regions,
                                 context.build.location);
}

double operation_count(const Graph& graph) {
  double total = 0;
  for (const Node& node : graph.nodes) {
    const Primitive& row = primitive(node.op);
    if (row.cost) total += row.cost(node, graph.types(node.operands), graph.types(node.results)).operations;
  }
  return total;
}

}  // namespace tessera::ir
