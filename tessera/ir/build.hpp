// Short names for the nodes that rules and transforms build. Every function appends to `graph` and returns the value.
// Binary operations need equal types here; NumPy broadcasting is done in array/.
#pragma once

#include "tessera/ir/graph.hpp"

namespace tessera::ir {

struct Builder {
  Graph& graph;
  Location location = {};

  [[nodiscard]] const TensorType& type(Value v) const { return graph.type(v); }
  [[nodiscard]] const Shape& shape(Value v) const { return graph.shape(v); }
  [[nodiscard]] DType dtype(Value v) const { return graph.dtype(v); }

  Value unary(Op op, Value a) { return graph.add1(op, {a}, {}, {}, location); }
  Value binary(Op op, Value a, Value b) { return graph.add1(op, {a, b}, {}, {}, location); }
  Value add(Value a, Value b) { return binary(Op::Add, a, b); }
  Value subtract(Value a, Value b) { return binary(Op::Subtract, a, b); }
  Value multiply(Value a, Value b) { return binary(Op::Multiply, a, b); }
  Value divide(Value a, Value b) { return binary(Op::Divide, a, b); }
  Value negate(Value a) { return unary(Op::Negate, a); }

  Value constant(const Literal& literal) { return graph.add1(Op::Constant, {}, {{"value", literal}}, {}, location); }
  /// A scalar constant broadcast to `shape`.
  Value full(DType dtype, double value, Shape shape = {});
  Value full_like(Value v, double value) { return full(dtype(v), value, shape(v)); }
  Value zeros_like(Value v) { return full_like(v, 0); }
  Value iota(DType dtype, const Shape& shape, std::int64_t dimension);
  /// direction: "EQ", "NE", "LT", "LE", "GT", "GE".
  Value compare(Value a, Value b, const char* direction);
  Value select(Value condition, Value yes, Value no) {
    return graph.add1(Op::Select, {condition, yes, no}, {}, {}, location);
  }
  Value convert(Value a, DType dtype);
  Value bitcast_convert(Value a, DType dtype);

  /// Operand dimension i becomes result dimension dimensions[i]; extents of 1 are stretched.
  Value broadcast_in_dim(Value a, const Shape& shape, Integers dimensions);
  /// NumPy broadcasting to `shape`: trailing dimensions are aligned.
  Value broadcast_to(Value a, const Shape& shape);
  Value reshape(Value a, const Shape& shape);
  Value transpose(Value a, const Integers& permutation);
  Value slice(Value a, Integers start, Integers limit, Integers strides = {});
  /// padding.size() == rank each; negative low and high crop.
  Value pad(Value a, Value value, Integers low, Integers high, Integers interior);
  Value reverse(Value a, Integers dimensions);
  Value concatenate(Values parts, std::int64_t dimension);

  /// Reduces `dimensions` away with a monoid: Add, Multiply, Maximum, Minimum, And, Or, Xor.
  Value reduce(Op monoid, Value a, Integers dimensions);
  Value sum(Value a, Integers dimensions) { return reduce(Op::Add, a, std::move(dimensions)); }

  struct DotDimensions {
    Integers lhs_batch, rhs_batch, lhs_contracting, rhs_contracting;
  };
  Value dot_general(Value a, Value b, const DotDimensions& dimensions, std::optional<DType> result = std::nullopt);
};

/// The identity of a monoid on `dtype`: 0, 1, the lowest, the highest, all ones.
Literal identity(Op monoid, DType dtype);
/// A region (a, b) -> monoid(a, b) on scalars.
GraphPtr reducer(Op monoid, DType dtype);
/// The monoid that a region of two scalars applies, if it is one operation on its two parameters.
std::optional<Op> match_monoid(const Graph& region);
/// {0, 1, ..., n-1}.
Integers iota_integers(std::int64_t n);

}  // namespace tessera::ir
