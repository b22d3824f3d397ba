// What the rows of elementwise primitives share: kinds of element types, shape rules, and wrappers that turn a function
// of one element into a row's rules. Used by rows_unary.cpp, rows_binary.cpp and rows_elementwise.cpp alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/ir/primitive.hpp"

namespace tessera::ir::rules {

/// A set of kinds of element types.
using Kinds = unsigned;
constexpr Kinds kBool = 1, kSigned = 2, kUnsigned = 4, kFloat = 8;
constexpr Kinds kInteger = kSigned | kUnsigned, kNumber = kInteger | kFloat, kAny = kNumber | kBool;

constexpr Kinds kind_of(DType d) {
  return d == DType::Bool ? kBool : is_signed_integer(d) ? kSigned : is_unsigned_integer(d) ? kUnsigned : kFloat;
}
/// "integer or floating-point".
std::string describe(Kinds kinds);

/// Throws RuleError unless `holds`.
inline void require(bool holds, std::string rule, std::string hint = {}) {
  if (!holds) throw RuleError{std::move(rule), std::move(hint)};
}
void require_operands(const InferContext& context, std::size_t count);
void require_kind(const InferContext& context, std::size_t operand, Kinds kinds);
/// The shape rule of primitives whose operands and result have one type, of one of these kinds.
InferRule same_type(std::size_t operands, Kinds kinds);

/// The type in which values stored as T are computed.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, f16> || std::is_same_v<T, bf16>, float, T>;
/// Calls f(std::type_identity<T>{}) for the type that stores `dtype`, if it is one of `kinds`.
template <Kinds kinds, class F>
void dispatch_kind(DType dtype, F&& f) {
  dispatch(dtype, [&]<class T>(std::type_identity<T> type) {
    if constexpr ((kind_of(dtype_of<T>()) & kinds) != 0)
      f(type);
    else
      throw_unsupported_dtype(dtype);
  });
}

/// evaluate: f on each element, in the type it is computed in.
template <Kinds kinds, class F>
EvaluateRule evaluate1(F f) {
  return [f](const Node&, std::span<const Literal> in) -> std::vector<Literal> {
    Literal out(in[0].type());
    dispatch_kind<kinds>(out.dtype(), [&]<class T>(std::type_identity<T>) {
      const auto a = in[0].as<T>();
      const auto result = out.as<T>();
      for (std::size_t i = 0; i < a.size(); ++i) result[i] = static_cast<T>(f(static_cast<Compute<T>>(a[i])));
    });
    return {out};
  };
}
template <Kinds kinds, class F>
EvaluateRule evaluate2(F f) {
  return [f](const Node&, std::span<const Literal> in) -> std::vector<Literal> {
    Literal out(in[0].type());
    dispatch_kind<kinds>(out.dtype(), [&]<class T>(std::type_identity<T>) {
      const auto a = in[0].as<T>();
      const auto b = in[1].as<T>();
      const auto result = out.as<T>();
      for (std::size_t i = 0; i < a.size(); ++i)
        result[i] = static_cast<T>(f(static_cast<Compute<T>>(a[i]), static_cast<Compute<T>>(b[i])));
    });
    return {out};
  };
}

/// jvp of one operand: f(build, x, y, tangent of x), called only where there is a tangent.
template <class F>
JvpRule jvp1(F f) {
  return [f](const JvpContext& c) -> Values {
    if (c.tangents[0] == kZero) return {kZero};
    return {f(c.build, c.operands[0], c.results[0], c.tangents[0])};
  };
}
/// jvp of two operands, as the sum of two partial ones: f(build, a, b, y, tangent).
template <class F, class G>
JvpRule jvp2(F of_a, G of_b) {
  return [of_a, of_b](const JvpContext& c) -> Values {
    const Value a = c.operands[0], b = c.operands[1], y = c.results[0];
    const Value from_a = c.tangents[0] == kZero ? kZero : of_a(c.build, a, b, y, c.tangents[0]);
    const Value from_b = c.tangents[1] == kZero ? kZero : of_b(c.build, a, b, y, c.tangents[1]);
    if (from_a == kZero || from_b == kZero) return {from_a == kZero ? from_b : from_a};
    return {c.build.add(from_a, from_b)};
  };
}
/// jvp of results that are constant in every direction: piecewise constant functions, integers, booleans.
inline Values zero_jvp(const JvpContext& context) { return Values(context.results.size(), kZero); }

/// loop: f(kernel builder, elements).
template <class F>
LoopRule loop1(F f) {
  return [f](LoopContext& c) { return f(c.kernel, c.operand(0, c.index)); };
}
template <class F>
LoopRule loop2(F f) {
  return [f](LoopContext& c) {
    const kernel::Expr a = c.operand(0, c.index);
    return f(c.kernel, a, c.operand(1, c.index));
  };
}

/// One operation for each element of a float result.
Cost elementwise_cost(const Node& node, std::span<const TensorType> operands, std::span<const TensorType> results);

// The row of a primitive of one operand or two, of the result's type, that is not linear.
Primitive row1(Op op, std::string_view doc, Kinds kinds, EvaluateRule evaluate, Maybe<JvpRule> jvp, LoopRule loop);
Primitive row2(Op op, std::string_view doc, Kinds kinds, EvaluateRule evaluate, Maybe<JvpRule> jvp, LoopRule loop);

/// The dtype in which a kernel computes values of `dtype`.
constexpr DType compute_dtype(DType dtype) { return dtype == DType::F16 || dtype == DType::BF16 ? DType::F32 : dtype; }
/// The unsigned integer with as many bytes.
constexpr DType unsigned_of_size(std::size_t bytes) {
  return bytes == 1 ? DType::U8 : bytes == 2 ? DType::U16 : bytes == 4 ? DType::U32 : DType::U64;
}

}  // namespace tessera::ir::rules
