// The names of the primitives, from ir/ops.def. Read next: ir/primitive.hpp (what a row says), ir/graph.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera::ir {

enum class Op : std::uint8_t {
#define TESSERA_OP(enumerator, name, family) enumerator,
#include "tessera/ir/ops.def"
};

enum class Family : std::uint8_t {
  Leaf,
  Unary,
  Binary,
  Elementwise,
  Movement,
  Indexing,
  Reduction,
  Product,
  Structure
};

constexpr int kOpCount = 0
#define TESSERA_OP(enumerator, name, family) +1
#include "tessera/ir/ops.def"
    ;

/// StableHLO's name without the dialect: "add".
std::string_view name(Op op);
Family family(Op op);
std::optional<Op> parse_op(std::string_view name);

constexpr bool is_elementwise(Family f) {
  return f == Family::Unary || f == Family::Binary || f == Family::Elementwise;
}

/// Operations whose regions are programs that run none, one or many times.
constexpr bool is_control_flow(Op op) { return op == Op::While || op == Op::If || op == Op::Case || op == Op::Scan; }

}  // namespace tessera::ir
