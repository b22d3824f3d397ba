// Orders of arrays: sort, argsort, top_k.
#include "tessera/array/ops.hpp"
#include "tessera/array/ops_common.hpp"

namespace tessera {
namespace {

using ir::Op;

/// (a0, b0, a1, b1, ...) -> a0 before b0. NaN is last, and the zeros are equal.
ir::GraphPtr comparator(std::span<const Array> operands, bool descending, Location at) {
  auto graph = std::make_shared<ir::Graph>("comparator");
  ir::Builder b{*graph, at};
  for (const Array& operand : operands)
    for (int i = 0; i < 2; ++i) graph->parameter({operand.dtype(), {}});
  ir::Value left = graph->parameters[0], right = graph->parameters[1];
  if (!is_float(b.dtype(left))) {
    graph->results = {b.compare(left, right, descending ? "GT" : "LT")};
    return graph;
  }
  const auto is_nan = [&](ir::Value v) { return b.compare(v, v, "NE"); };
  const ir::Value ordered = b.compare(left, right, descending ? "GT" : "LT");
  const ir::Value only_right = b.binary(Op::And, is_nan(right), b.unary(Op::Not, is_nan(left)));
  graph->results = {b.binary(Op::Or, ordered, only_right)};
  return graph;
}

std::vector<Array> sorted(const char* operation, std::vector<Array> operands, std::int64_t axis, bool descending,
                          Location at) {
  const std::int64_t dimension = detail::checked_axis(operation, operands[0], axis, at);
  if (operands.size() > 1) operands.back() = iota(operands[0].shape(), dimension);
  return detail::apply(Op::Sort, operands, {{"dimension", dimension}, {"is_stable", true}},
                       {comparator(operands, descending, at)}, at);
}

}  // namespace

Array sort(const Operand& x, std::int64_t axis, bool descending) {
  const detail::ModuleScope scope(x.location);
  return sorted("sort", {x.as(x.dtype())}, axis, descending, x.location)[0];
}

Array argsort(const Operand& x, std::int64_t axis, bool descending) {
  const detail::ModuleScope scope(x.location);
  return sorted("argsort", {x.as(x.dtype()), Array()}, axis, descending, x.location)[1];
}

std::pair<Array, Array> top_k(const Operand& x, std::int64_t k) {
  const detail::ModuleScope scope(x.location);
  const Array operands[] = {x.as(x.dtype())};
  const std::vector<Array> made = detail::apply(Op::TopK, operands, {{"k", k}}, {}, x.location);
  return {made[0], made[1]};
}

}  // namespace tessera
