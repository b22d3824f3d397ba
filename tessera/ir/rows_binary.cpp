// Rows of the elementwise primitives of two operands of one type. Integer arithmetic wraps; what else integers do at
// their edges is in docs/semantics.md.
#include <cmath>

#include "tessera/ir/elementwise_rules.hpp"

namespace tessera::ir {
namespace {

using namespace rules;
using K = kernel::Op;
using kernel::Expr;
using kernel::Function;

Primitive with_transpose(Primitive row, TransposeRule transpose) {
  row.transpose = std::move(transpose);
  return row;
}

/// The kernel operation; for booleans another one.
LoopRule binary(K op, K of_bool) {
  return loop2(
      [=](kernel::Builder& k, Expr a, Expr b) { return k.binary(k.dtype(a) == DType::Bool ? of_bool : op, a, b); });
}
LoopRule binary(K op) { return binary(op, op); }

LoopRule function(Function f) {
  return loop2([f](kernel::Builder& k, Expr a, Expr b) { return kernel::call(k, f, a, b); });
}

/// Integers of any width, computed modulo 2^64 and cut.
constexpr std::uint64_t wide(auto x) { return static_cast<std::uint64_t>(x); }
template <class T>
constexpr bool is_bool = std::is_same_v<T, bool>;
template <class T>
constexpr int width = static_cast<int>(sizeof(T)) * 8;

Primitive add_row() {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (is_bool<T>)
      return a || b;
    else if constexpr (std::is_integral_v<T>)
      return static_cast<T>(wide(a) + wide(b));
    else
      return a + b;
  };
  const auto pass = [](Builder&, Value, Value, Value, Value t) { return t; };
  return with_transpose(row2(Op::Add, "a + b; integers wrap, booleans: or.", kAny, evaluate2<kAny>(of_elements),
                             jvp2(pass, pass), binary(K::Add, K::Or)),
                        [](const TransposeContext& c) -> Values {
                          const Value t = c.cotangents[0];
                          return {c.is_linear(0) ? t : kZero, c.is_linear(1) ? t : kZero};
                        });
}

Primitive subtract_row() {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(wide(a) - wide(b));
    else
      return a - b;
  };
  const auto of_a = [](Builder&, Value, Value, Value, Value t) { return t; };
  const auto of_b = [](Builder& build, Value, Value, Value, Value t) { return build.negate(t); };
  return with_transpose(row2(Op::Subtract, "a - b; integers wrap.", kNumber, evaluate2<kNumber>(of_elements),
                             jvp2(of_a, of_b), binary(K::Subtract)),
                        [](const TransposeContext& c) -> Values {
                          const Value t = c.cotangents[0];
                          return {c.is_linear(0) ? t : kZero, c.is_linear(1) ? c.build.negate(t) : kZero};
                        });
}

Primitive multiply_row() {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (is_bool<T>)
      return a && b;
    else if constexpr (std::is_integral_v<T>)
      return static_cast<T>(wide(a) * wide(b));
    else
      return a * b;
  };
  const auto of_a = [](Builder& build, Value, Value b, Value, Value t) { return build.multiply(t, b); };
  const auto of_b = [](Builder& build, Value a, Value, Value, Value t) { return build.multiply(a, t); };
  return with_transpose(row2(Op::Multiply, "a * b; integers wrap, booleans: and.", kAny, evaluate2<kAny>(of_elements),
                             jvp2(of_a, of_b), binary(K::Multiply, K::And)),
                        [](const TransposeContext& c) -> Values {
                          if (c.is_linear(0)) return {c.build.multiply(c.cotangents[0], c.operands[1]), kZero};
                          return {kZero, c.build.multiply(c.operands[0], c.cotangents[0])};
                        });
}

Primitive divide_row() {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) return static_cast<T>(-1);
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(0 - wide(a));
      return static_cast<T>(a / b);
    } else {
      return a / b;
    }
  };
  const auto of_a = [](Builder& build, Value, Value b, Value, Value t) { return build.divide(t, b); };
  const auto of_b = [](Builder& build, Value, Value b, Value y, Value t) {
    return build.negate(build.multiply(t, build.divide(y, b)));
  };
  return with_transpose(
      row2(Op::Divide, "a / b; integers truncate, by zero all bits set.", kNumber, evaluate2<kNumber>(of_elements),
           jvp2(of_a, of_b), binary(K::Divide)),
      [](const TransposeContext& c) -> Values { return {c.build.divide(c.cotangents[0], c.operands[1]), kZero}; });
}

Primitive remainder_row() {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) return a;
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
      return static_cast<T>(a % b);
    } else {
      return std::fmod(a, b);
    }
  };
  const auto of_a = [](Builder&, Value, Value, Value, Value t) { return t; };
  const auto of_b = [](Builder& build, Value a, Value b, Value, Value t) {  // -t * trunc(a / b)
    const Value quotient = build.divide(a, b);
    const Value truncated =
        build.multiply(build.unary(Op::Sign, quotient), build.unary(Op::Floor, build.unary(Op::Abs, quotient)));
    return build.negate(build.multiply(t, truncated));
  };
  return row2(Op::Remainder, "What truncating division leaves, with the sign of a; by integer zero: a.", kNumber,
              evaluate2<kNumber>(of_elements), jvp2(of_a, of_b), binary(K::Remainder));
}

/// Maximum and minimum: `sign` is 1 or -1.
template <int sign>
Primitive extremum_row(Op op, std::string_view doc, K in_kernel, K of_bool) {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(a) || std::isnan(b)) return std::isnan(a) ? a : b;
      if (a == b) return std::signbit(a) == (sign > 0) ? b : a;
    }
    return (sign > 0 ? a > b : a < b) ? a : b;
  };
  // The share of the winner: a half each at ties.
  const auto share = [](Builder& build, Value mine, Value other, Value y, Value t) {
    const Value one = build.full_like(y, 1);
    const Value tied = build.select(build.compare(other, y, "EQ"), build.full_like(y, 0.5), one);
    return build.multiply(t, build.select(build.compare(mine, y, "EQ"), tied, build.zeros_like(y)));
  };
  const auto of_a = [share](Builder& build, Value a, Value b, Value y, Value t) { return share(build, a, b, y, t); };
  const auto of_b = [share](Builder& build, Value a, Value b, Value y, Value t) { return share(build, b, a, y, t); };
  return row2(op, doc, kAny, evaluate2<kAny>(of_elements), jvp2(of_a, of_b), binary(in_kernel, of_bool));
}

Expr integer_power(kernel::Builder& k, Expr base, Expr exponent) {
  const DType dtype = k.dtype(base);
  const bool is_signed = is_signed_integer(dtype);
  const auto number = [&](std::int64_t value) { return k.integer(dtype, value); };
  const int bits = static_cast<int>(size_of(dtype)) * 8 - (is_signed ? 1 : 0);
  Expr result = number(1);
  Expr square = base;
  for (int bit = 0; bit < bits; ++bit) {
    const Expr set = k.binary(
        K::NotEqual, k.binary(K::And, exponent, number(static_cast<std::int64_t>(std::uint64_t{1} << bit))), number(0));
    result = k.select(set, k.mul(result, square), result);
    square = k.mul(square, square);
  }
  if (!is_signed) return result;
  const Expr odd = k.binary(K::NotEqual, k.binary(K::And, exponent, number(1)), number(0));
  const Expr of_minus_one = k.select(odd, number(-1), number(1));
  const Expr reciprocal = k.select(k.binary(K::Equal, base, number(1)), base,
                                   k.select(k.binary(K::Equal, base, number(-1)), of_minus_one, number(0)));
  return k.select(k.binary(K::Less, exponent, number(0)), reciprocal, result);
}

Primitive power_row() {
  const auto of_elements = []<class T>(T a, T b) -> T {
    if constexpr (std::is_integral_v<T>) {
      if constexpr (std::is_signed_v<T>) {
        if (b < 0) return static_cast<T>(a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0);
      }
      std::uint64_t result = 1;
      std::uint64_t square = wide(a);
      for (std::uint64_t left = wide(b); left != 0; left >>= 1) {
        if (left & 1U) result *= square;
        square *= square;
      }
      return static_cast<T>(result);
    } else {
      return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    }
  };
  const auto of_a = [](Builder& build, Value a, Value b, Value, Value t) {  // b * a^(b-1), zero where b is
    const Value zero = build.zeros_like(b);
    const Value one = build.full_like(b, 1);
    const Value is_zero = build.compare(b, zero, "EQ");
    const Value slope =
        build.multiply(b, build.binary(Op::Power, a, build.select(is_zero, one, build.subtract(b, one))));
    return build.multiply(t, build.select(is_zero, zero, slope));
  };
  const auto of_b = [](Builder& build, Value a, Value, Value y, Value t) {  // log(a) * y, with 0^b constant
    const Value base = build.select(build.compare(a, build.zeros_like(a), "EQ"), build.full_like(a, 1), a);
    return build.multiply(t, build.multiply(build.unary(Op::Log, base), y));
  };
  const auto in_kernel = [](kernel::Builder& k, Expr a, Expr b) {
    return is_float(k.dtype(a)) ? kernel::call(k, Function::Power, a, b) : integer_power(k, a, b);
  };
  return row2(Op::Power, "a to the b; integers wrap, and a negative exponent truncates.", kNumber,
              evaluate2<kNumber>(of_elements), jvp2(of_a, of_b), loop2(in_kernel));
}

Primitive atan2_row() {
  const auto of_elements = []<class T>(T a, T b) {
    return static_cast<T>(std::atan2(static_cast<double>(a), static_cast<double>(b)));
  };
  const auto norm = [](Builder& build, Value a, Value b) {
    return build.add(build.multiply(a, a), build.multiply(b, b));
  };
  const auto of_a = [=](Builder& build, Value a, Value b, Value, Value t) {
    return build.multiply(t, build.divide(b, norm(build, a, b)));
  };
  const auto of_b = [=](Builder& build, Value a, Value b, Value, Value t) {
    return build.negate(build.multiply(t, build.divide(a, norm(build, a, b))));
  };
  return row2(Op::Atan2, "The angle of the point (b, a), in (-pi, pi].", kFloat, evaluate2<kFloat>(of_elements),
              jvp2(of_a, of_b), function(Function::Atan2));
}

/// Operations on bits: integers alone or booleans too; no derivative.
template <Kinds kinds, class F>
Primitive bits_row(Op op, std::string_view doc, F f, K in_kernel) {
  const auto of_elements = [f]<class T>(T a, T b) -> T { return static_cast<T>(f(a, b)); };
  return row2(op, doc, kinds, evaluate2<kinds>(of_elements), zero_jvp, binary(in_kernel));
}

/// Whether a shift keeps none of the bits; negative distances count as large ones.
template <class T>
bool past_width(T distance) {
  return static_cast<std::make_unsigned_t<T>>(distance) >= width<T>;
}

}  // namespace

std::vector<Primitive> binary_rows() {
  const auto shift_left = []<class T>(T a, T b) -> T { return past_width(b) ? T{0} : static_cast<T>(wide(a) << b); };
  const auto shift_arithmetic = []<class T>(T a, T b) -> T {
    const auto value = static_cast<std::make_signed_t<T>>(a);
    return static_cast<T>(past_width(b) ? (value < 0 ? -1 : 0) : value >> b);
  };
  const auto shift_logical = []<class T>(T a, T b) -> T {
    return past_width(b) ? T{0} : static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) >> b);
  };
  constexpr Kinds logical = kBool | kInteger;
  const auto bit_and = [](auto a, auto b) { return a & b; };
  const auto bit_or = [](auto a, auto b) { return a | b; };
  const auto bit_xor = [](auto a, auto b) { return a ^ b; };
  return {
      add_row(),
      bits_row<logical>(Op::And, "Bit by bit and; of booleans, logical.", bit_and, K::And),
      atan2_row(),
      divide_row(),
      extremum_row<1>(Op::Maximum, "The larger; NaN if either is, and -0 < +0.", K::Maximum, K::Or),
      extremum_row<-1>(Op::Minimum, "The smaller; NaN if either is, and -0 < +0.", K::Minimum, K::And),
      multiply_row(),
      bits_row<logical>(Op::Or, "Bit by bit or; of booleans, logical.", bit_or, K::Or),
      power_row(),
      remainder_row(),
      bits_row<kInteger>(Op::ShiftLeft, "a * 2^b; past the width, 0.", shift_left, K::ShiftLeft),
      bits_row<kInteger>(Op::ShiftRightArithmetic, "a / 2^b, rounded down, copies of the sign shifted in.",
                         shift_arithmetic, K::ShiftRightArithmetic),
      bits_row<kInteger>(Op::ShiftRightLogical, "The bits of a moved down b places, zeros shifted in.", shift_logical,
                         K::ShiftRightLogical),
      subtract_row(),
      bits_row<logical>(Op::Xor, "Bit by bit exclusive or; of booleans, logical.", bit_xor, K::Xor),
  };
}

}  // namespace tessera::ir
