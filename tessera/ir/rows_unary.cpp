// Rows of the elementwise primitives of one operand. Each needs a function of one element, its derivative, and the
// same function as a kernel expression.
#include <bit>
#include <cmath>
#include <limits>

#include "tessera/ir/elementwise_rules.hpp"

namespace tessera::ir {
namespace {

using namespace rules;
using K = kernel::Op;
using kernel::Expr;
using kernel::Function;

/// Floats by libm, in double, rounded once.
template <class F>
EvaluateRule libm(F f) {
  return evaluate1<kFloat>([f](auto x) { return static_cast<decltype(x)>(f(static_cast<double>(x))); });
}

LoopRule unary(K op) {
  return loop1([op](kernel::Builder& k, Expr x) { return k.unary(op, x); });
}

LoopRule function(Function f) {
  return loop1([f](kernel::Builder& k, Expr x) { return kernel::call(k, f, x); });
}

/// `magnitude` with the sign of `sign`.
Expr copy_sign(kernel::Builder& k, Expr magnitude, Expr sign) {
  const DType dtype = k.dtype(sign);
  const DType bits = unsigned_of_size(size_of(dtype));
  const auto top = static_cast<std::int64_t>(bits == DType::U64 ? std::uint64_t{1} << 63 : std::uint64_t{1} << 31);
  const Expr sign_bit = k.binary(K::And, k.bitcast(bits, sign), k.integer(bits, top));
  return k.bitcast(dtype, k.binary(K::Or, k.bitcast(bits, magnitude), sign_bit));
}

Expr sign(kernel::Builder& k, Expr x) {
  const DType dtype = k.dtype(x);
  const auto number = [&](int value) { return is_float(dtype) ? k.constant(dtype, value) : k.integer(dtype, value); };
  const Expr signed_one = k.select(k.binary(K::Less, x, number(0)), number(-1), number(1));
  const Expr zero_or_one = k.select(k.binary(K::Equal, x, number(0)), x, signed_one);
  return is_float(dtype) ? k.select(k.binary(K::NotEqual, x, x), x, zero_or_one) : zero_or_one;
}

/// Halves go away from zero: floor(|x|), plus one if at least a half is left.
Expr round_away(kernel::Builder& k, Expr x) {
  const DType dtype = k.dtype(x);
  const Expr magnitude = k.unary(K::Abs, x);
  const Expr whole = k.unary(K::Floor, magnitude);
  const Expr up = k.binary(K::GreaterEqual, k.sub(magnitude, whole), k.constant(dtype, 0.5));
  return copy_sign(k, k.select(up, k.add(whole, k.constant(dtype, 1)), whole), x);
}

Primitive abs_row() {
  const auto of_element = []<class T>(T x) -> T {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(x < 0 ? 0 - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x));
    else
      return std::abs(x);
  };
  const auto in_kernel = [](kernel::Builder& k, Expr x) {
    if (is_float(k.dtype(x))) return k.unary(K::Abs, x);
    return k.select(k.binary(K::Less, x, k.integer(k.dtype(x), 0)), k.unary(K::Negate, x), x);
  };
  return row1(
      Op::Abs, "|x|; of the lowest integer, itself.", kSigned | kFloat, evaluate1 < kSigned | kFloat > (of_element),
      jvp1([](Builder& b, Value x, Value, Value t) { return b.multiply(t, b.unary(Op::Sign, x)); }), loop1(in_kernel));
}

Primitive negate_row() {
  const auto of_element = []<class T>(T x) -> T {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(0 - static_cast<std::uint64_t>(x));
    else
      return -x;
  };
  Primitive negate =
      row1(Op::Negate, "-x; integers wrap.", kNumber, evaluate1<kNumber>(of_element), linear_jvp, unary(K::Negate));
  negate.transpose = [](const TransposeContext& c) -> Values { return {c.build.negate(c.cotangents[0])}; };
  return negate;
}

Primitive sign_row() {
  const auto of_element = []<class T>(T x) -> T {
    if constexpr (std::is_floating_point_v<T>)
      return std::isnan(x) || x == 0 ? x : std::copysign(T{1}, x);
    else
      return static_cast<T>((x > 0) - (x < 0));
  };
  return row1(Op::Sign, "-1, 0 or 1; NaN of NaN, and a zero keeps its sign.", kSigned | kFloat,
              evaluate1 < kSigned | kFloat > (of_element), zero_jvp, loop1(sign));
}

Primitive is_finite_row() {
  const auto evaluate = [](const Node&, std::span<const Literal> in) -> std::vector<Literal> {
    Literal out(TensorType{DType::Bool, in[0].shape()});
    for (std::int64_t i = 0; i < out.size(); ++i)
      out.as<bool>()[static_cast<std::size_t>(i)] = std::isfinite(in[0].get_double(i));
    return {out};
  };
  const auto in_kernel = [](kernel::Builder& k, Expr x) {
    return k.binary(K::Less, k.unary(K::Abs, x), k.constant(k.dtype(x), std::numeric_limits<double>::infinity()));
  };
  Primitive is_finite =
      row1(Op::IsFinite, "Whether x is neither infinite nor NaN.", kFloat, evaluate, zero_jvp, loop1(in_kernel));
  is_finite.infer = [](const InferContext& c) -> std::vector<TensorType> {
    const TensorType type = same_type(1, kFloat)(c)[0];
    return {{DType::Bool, type.shape}};
  };
  return is_finite;
}

Primitive not_row() {
  const auto of_element = []<class T>(T x) -> T {
    if constexpr (std::is_same_v<T, bool>)
      return !x;
    else
      return static_cast<T>(~x);
  };
  return row1(Op::Not, "Logical not of booleans, every bit flipped of integers.", kBool | kInteger,
              evaluate1 < kBool | kInteger > (of_element), zero_jvp, unary(K::Not));
}

template <class T>
auto bits_of(T x) {
  return static_cast<std::make_unsigned_t<T>>(x);
}

}  // namespace

std::vector<Primitive> unary_rows() {
  const double two_over_sqrt_pi = 1.1283791670955126;
  return {
      abs_row(),
      row1(Op::Cbrt, "The cube root.", kFloat, libm([](double x) { return std::cbrt(x); }),
           jvp1([](Builder& b, Value, Value y, Value t) {
             return b.divide(t, b.multiply(b.full_like(y, 3), b.multiply(y, y)));
           }),
           function(Function::Cbrt)),
      row1(Op::Ceil, "The least whole number not below x.", kFloat,
           evaluate1<kFloat>([](auto x) { return std::ceil(x); }), zero_jvp, unary(K::Ceil)),
      row1(Op::Cosine, "cos(x), x in radians.", kFloat, libm([](double x) { return std::cos(x); }),
           jvp1([](Builder& b, Value x, Value, Value t) { return b.negate(b.multiply(t, b.unary(Op::Sine, x))); }),
           function(Function::Cos)),
      row1(Op::CountLeadingZeros, "The number of zero bits above the highest one.", kInteger,
           evaluate1<kInteger>([](auto x) { return std::countl_zero(bits_of(x)); }), zero_jvp,
           unary(K::CountLeadingZeros)),
      row1(Op::Erf, "The error function.", kFloat, libm([](double x) { return std::erf(x); }),
           jvp1([=](Builder& b, Value x, Value, Value t) {
             const Value slope = b.unary(Op::Exponential, b.negate(b.multiply(x, x)));
             return b.multiply(t, b.multiply(slope, b.full_like(x, two_over_sqrt_pi)));
           }),
           function(Function::Erf)),
      row1(Op::Exponential, "e^x.", kFloat, libm([](double x) { return std::exp(x); }),
           jvp1([](Builder& b, Value, Value y, Value t) { return b.multiply(t, y); }), function(Function::Exp)),
      row1(Op::ExponentialMinusOne, "e^x - 1, exact near 0.", kFloat, libm([](double x) { return std::expm1(x); }),
           jvp1([](Builder& b, Value, Value y, Value t) { return b.multiply(t, b.add(y, b.full_like(y, 1))); }),
           function(Function::Expm1)),
      row1(Op::Floor, "The greatest whole number not above x.", kFloat,
           evaluate1<kFloat>([](auto x) { return std::floor(x); }), zero_jvp, unary(K::Floor)),
      is_finite_row(),
      row1(Op::Log, "The natural logarithm.", kFloat, libm([](double x) { return std::log(x); }),
           jvp1([](Builder& b, Value x, Value, Value t) { return b.divide(t, x); }), function(Function::Log)),
      row1(Op::LogPlusOne, "log(1 + x), exact near 0.", kFloat, libm([](double x) { return std::log1p(x); }),
           jvp1([](Builder& b, Value x, Value, Value t) { return b.divide(t, b.add(x, b.full_like(x, 1))); }),
           function(Function::Log1p)),
      row1(Op::Logistic, "1 / (1 + e^-x).", kFloat, libm([](double x) { return 1 / (1 + std::exp(-x)); }),
           jvp1([](Builder& b, Value, Value y, Value t) {
             return b.multiply(t, b.multiply(y, b.subtract(b.full_like(y, 1), y)));
           }),
           function(Function::Logistic)),
      negate_row(),
      not_row(),
      row1(Op::Popcnt, "The number of one bits.", kInteger,
           evaluate1<kInteger>([](auto x) { return std::popcount(bits_of(x)); }), zero_jvp, unary(K::PopCount)),
      row1(Op::RoundNearestAfz, "The nearest whole number; halves go away from zero.", kFloat,
           evaluate1<kFloat>([](auto x) { return std::round(x); }), zero_jvp, loop1(round_away)),
      row1(Op::RoundNearestEven, "The nearest whole number; halves go to the even one.", kFloat,
           evaluate1<kFloat>([](auto x) { return std::nearbyint(x); }), zero_jvp, unary(K::RoundEven)),
      row1(Op::Rsqrt, "1 / sqrt(x).", kFloat, libm([](double x) { return 1 / std::sqrt(x); }),
           jvp1([](Builder& b, Value x, Value y, Value t) {
             return b.multiply(t, b.multiply(b.full_like(y, -0.5), b.divide(y, x)));
           }),
           function(Function::Rsqrt)),
      sign_row(),
      row1(Op::Sine, "sin(x), x in radians.", kFloat, libm([](double x) { return std::sin(x); }),
           jvp1([](Builder& b, Value x, Value, Value t) { return b.multiply(t, b.unary(Op::Cosine, x)); }),
           function(Function::Sin)),
      row1(Op::Sqrt, "The square root.", kFloat, evaluate1<kFloat>([](auto x) { return std::sqrt(x); }),
           jvp1([](Builder& b, Value, Value y, Value t) { return b.multiply(t, b.divide(b.full_like(y, 0.5), y)); }),
           function(Function::Sqrt)),
      row1(Op::Tan, "tan(x), x in radians.", kFloat, libm([](double x) { return std::tan(x); }),
           jvp1([](Builder& b, Value, Value y, Value t) {
             return b.multiply(t, b.add(b.full_like(y, 1), b.multiply(y, y)));
           }),
           function(Function::Tan)),
      row1(Op::Tanh, "The hyperbolic tangent.", kFloat, libm([](double x) { return std::tanh(x); }),
           jvp1([](Builder& b, Value, Value y, Value t) {
             const Value one = b.full_like(y, 1);
             return b.multiply(b.multiply(t, b.add(one, y)), b.subtract(one, y));
           }),
           function(Function::Tanh)),
  };
}

}  // namespace tessera::ir
