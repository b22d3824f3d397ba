// The case table as a whole, random arguments, and comparison of results.
#include "cases.hpp"

#include <fmt/format.h>

#include <cmath>
#include <random>

namespace tessera::cases {

const std::vector<DType> kIntegers = {DType::I8, DType::I16, DType::I32, DType::I64,
                                      DType::U8, DType::U16, DType::U32, DType::U64};
const std::vector<DType> kFloats = {DType::F16, DType::BF16, DType::F32, DType::F64};
const std::vector<DType> kDTypes = {DType::Bool, DType::I8,  DType::I16, DType::I32,  DType::I64, DType::U8, DType::U16,
                                    DType::U32,  DType::U64, DType::F16, DType::BF16, DType::F32, DType::F64};

const std::vector<Case>& all() {
  static const std::vector<Case> table = [] {
    std::vector<Case> list;
    for (auto* family : {elementwise_cases, movement_cases, indexing_cases, reduction_cases, window_cases,
                         product_cases, structure_cases, control_cases})
      for (Case& item : family()) list.push_back(std::move(item));
    return list;
  }();
  return table;
}

ir::GraphPtr graph_of(const Case& item, bool wide) {
  auto graph = std::make_shared<ir::Graph>();
  ir::Values parameters;
  for (TensorType type : item.parameters) {
    if (wide && type.dtype == DType::F32) type.dtype = DType::F64;
    parameters.push_back(graph->parameter(type));
  }
  ir::Builder build{*graph};
  graph->results = item.build(build, parameters);
  return graph;
}

Literal random_literal(const TensorType& type, Range range, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  Literal literal(type);
  for (std::int64_t i = 0; i < literal.size(); ++i) {
    const double unit = static_cast<double>(engine() >> 11) * 0x1p-53;
    if (type.dtype == DType::Bool)
      literal.set_integer(i, unit < 0.5 ? 0 : 1);
    else if (is_float(type.dtype))
      literal.set_double(i, range.low + unit * (range.high - range.low));
    else
      literal.set_integer(i, static_cast<std::int64_t>(std::floor(range.low + unit * (range.high - range.low + 1))));
  }
  return literal;
}

std::vector<Literal> arguments_of(const Case& item, const ir::Graph& graph, std::uint64_t seed) {
  if (!item.arguments.empty()) return item.arguments;
  std::vector<Literal> arguments;
  for (std::size_t i = 0; i < graph.parameters.size(); ++i)
    arguments.push_back(random_literal(graph.type(graph.parameters[i]),
                                       i < item.ranges.size() ? item.ranges[i] : Range{}, seed + 1000 * i));
  return arguments;
}

std::string difference(const Literal& got, const Literal& want, double slack) {
  if (got.type() != want.type())
    return fmt::format("the type is {}, not {}", to_string(got.type()), to_string(want.type()));
  const double tolerance = want.dtype() == DType::F16    ? 0x1p-10
                           : want.dtype() == DType::BF16 ? 0x1p-7
                           : want.dtype() == DType::F32  ? 1e-6
                                                         : 1e-13;
  for (std::int64_t i = 0; i < want.size(); ++i) {
    const double a = got.get_double(i), b = want.get_double(i);
    bool equal = a == b || (std::isnan(a) && std::isnan(b));
    if (is_float(want.dtype()))
      equal = equal || std::abs(a - b) <= slack * tolerance * std::max(1.0, std::abs(b));
    else
      equal = got.get_integer(i) == want.get_integer(i);
    if (!equal) return fmt::format("element {} is {}, not {}", i, a, b);
  }
  return {};
}

}  // namespace tessera::cases
