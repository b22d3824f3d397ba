// Looking for the first NaN or infinity.
#include "tessera/train/diagnose.hpp"

#include <fmt/format.h>

#include <cmath>

#include "tessera/ir/graph.hpp"
#include "tessera/ir/op.hpp"

namespace tessera::train {
namespace {

/// Index of the first element that is not finite, or -1.
std::int64_t first_bad_element(const Array& array) {
  if (array.empty() || !is_float(array.dtype())) return -1;
  const Literal values = array.literal();
  for (std::int64_t i = 0, n = values.size(); i < n; ++i) {
    if (!std::isfinite(values.get_double(i))) return i;
  }
  return -1;
}

}  // namespace

bool all_finite(std::span<const Array> arrays) {
  for (const Array& array : arrays) {
    if (first_bad_element(array) >= 0) return false;
  }
  return true;
}

std::string first_bad_operation(const detail::JitEntry& entry, std::span<const Array> arguments) {
  const ir::Graph& graph = *entry.graph;
  std::vector<Array> values(graph.values.size());
  // Of constants (-inf where a maximum begins) and of values that are allowed to follow from them, nothing is said.
  std::vector<bool> bad(graph.values.size(), false);
  std::vector<std::size_t> uses(graph.values.size(), 0);
  for (const ir::Node& node : graph.nodes) {
    for (const ir::Value v : node.operands) ++uses[static_cast<std::size_t>(v)];
  }
  for (std::size_t i = 0; i < graph.parameters.size(); ++i)
    values[static_cast<std::size_t>(graph.parameters[i])] =
        i < arguments.size() ? arguments[i] : entry.captured_arrays[i - arguments.size()];
  for (const ir::Node& node : graph.nodes) {
    std::vector<Array> operands;
    bool fed_bad = false;
    for (const ir::Value v : node.operands) {
      operands.push_back(values[static_cast<std::size_t>(v)]);
      fed_bad = fed_bad || bad[static_cast<std::size_t>(v)];
    }
    const std::vector<Array> results = detail::apply(node.op, operands, node.attributes, node.regions, node.location);
    for (std::size_t r = 0; r < results.size(); ++r) {
      const auto result = static_cast<std::size_t>(node.results[r]);
      values[result] = results[r];
      const std::int64_t at = first_bad_element(results[r]);
      if (at < 0) continue;
      bad[result] = true;
      if (fed_bad || node.op == ir::Op::Constant) continue;
      return fmt::format("the first bad value is {} in {} made by '{}'{}", results[r].literal().get_double(at),
                         to_string(results[r].type()), ir::name(node.op),
                         node.location.known() ? " at " + to_string(node.location) : "");
    }
    for (const ir::Value v : node.operands) {
      const auto operand = static_cast<std::size_t>(v);
      if (--uses[operand] == 0) values[operand] = Array();
    }
  }
  return "";
}

}  // namespace tessera::train
