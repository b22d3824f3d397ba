// Elementary functions as branch-free kernel expressions: the same bits on every renderer, and vectors for free.
// In: an F32 expression; out: one within 3 units in the last place over the whole range, with C's special cases.
// The coefficients are minimax fits of this project, rounded to F32 one by one. F64 goes to the libm nodes.
// Tested against libm in tests/kernel_math_test.cpp.
#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kSmallestNormal = 0x1p-126;

/// An expression with operators. Constants take the type of the other operand.
struct Value {
  Builder* builder;
  Expr e;

  [[nodiscard]] DType type() const { return builder->dtype(e); }
  [[nodiscard]] Value of(Expr other) const { return {builder, other}; }
  [[nodiscard]] Value constant(double v) const { return of(builder->constant(type(), v)); }
  [[nodiscard]] Value integer(std::int64_t v) const { return of(builder->integer(type(), v)); }
  [[nodiscard]] Value to(DType t) const { return of(builder->convert(t, e)); }
  [[nodiscard]] Value bits(DType t) const { return of(builder->bitcast(t, e)); }
};

Value apply(Op op, Value a, Value b) { return a.of(a.builder->binary(op, a.e, b.e)); }
Value operator+(Value a, Value b) { return apply(Op::Add, a, b); }
Value operator-(Value a, Value b) { return apply(Op::Subtract, a, b); }
Value operator*(Value a, Value b) { return apply(Op::Multiply, a, b); }
Value operator/(Value a, Value b) { return apply(Op::Divide, a, b); }
Value operator+(Value a, double b) { return a + a.constant(b); }
Value operator-(Value a, double b) { return a - a.constant(b); }
Value operator*(Value a, double b) { return a * a.constant(b); }
Value operator-(Value a) { return a.of(a.builder->unary(Op::Negate, a.e)); }
Value operator&(Value a, Value b) { return apply(Op::And, a, b); }
Value operator|(Value a, Value b) { return apply(Op::Or, a, b); }
Value operator<<(Value a, int n) { return apply(Op::ShiftLeft, a, a.integer(n)); }
Value operator<(Value a, double b) { return apply(Op::Less, a, a.constant(b)); }
Value operator>(Value a, double b) { return apply(Op::Greater, a, a.constant(b)); }
Value equal(Value a, double b) { return apply(Op::Equal, a, a.constant(b)); }
Value select(Value condition, Value yes, Value no) { return yes.of(yes.builder->select(condition.e, yes.e, no.e)); }
Value fma(Value a, Value b, Value c) { return a.of(a.builder->fma(a.e, b.e, c.e)); }
Value fma(Value a, double b, Value c) { return fma(a, a.constant(b), c); }
Value fma(Value a, Value b, double c) { return fma(a, b, a.constant(c)); }
Value abs(Value a) { return a.of(a.builder->unary(Op::Abs, a.e)); }
Value operator!(Value a) { return a.of(a.builder->unary(Op::Not, a.e)); }
Value is_nan(Value a) { return apply(Op::NotEqual, a, a); }
/// Not above or below a bound; NaN passes through.
Value at_most(Value a, double bound) { return select(a > bound, a.constant(bound), a); }
Value at_least(Value a, double bound) { return select(a < bound, a.constant(bound), a); }
/// `magnitude` (not negative) with the sign of `sign`.
Value with_sign(Value magnitude, Value sign) {
  const Value mask = sign.bits(DType::I32) & sign.bits(DType::I32).integer(std::numeric_limits<std::int32_t>::min());
  return (magnitude.bits(DType::I32) | mask).bits(DType::F32);
}
Value is_negative(Value a) { return apply(Op::Less, a.bits(DType::I32), a.bits(DType::I32).integer(0)); }

/// c[0] + c[1] x + c[2] x^2 + ...
Value polynomial(Value x, std::initializer_list<double> c) {
  Value sum = x.constant(*std::rbegin(c));
  for (auto term = std::rbegin(c) + 1; term != std::rend(c); ++term) sum = fma(sum, x, *term);
  return sum;
}

// --- Exponentials. x = n ln 2 + r with |r| <= ln(2) / 2, e^x = 2^n (1 + r + r^2 Q(r)).

constexpr double kLog2High = 0.6931471824645996;      // ln 2 in F32,
constexpr double kLog2Low = -1.9046542121259336e-09;  // and what it lacks
constexpr double kRound = 12582912;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum

struct Reduced {
  Value n;        ///< F32
  Value shifted;  ///< n << 23, I32
  Value r;
};

Reduced reduce_exponent(Value x) {
  const Value sum = fma(x, 1.4426950408889634, x.constant(kRound));
  const Value n = sum - kRound;
  return {n, sum.bits(DType::I32) << 23, fma(n, -kLog2Low, fma(n, -kLog2High, x))};
}

Value power_of_two(Value shifted) { return (shifted + shifted.integer(0x3f800000)).bits(DType::F32); }

/// e^x for x at most 89; below -104 it is 0.
Value exp_bounded(Value x) {
  const Reduced reduced = reduce_exponent(at_least(x, -104));
  const Value r = reduced.r;
  const Value p =
      polynomial(r, {1, 1, 0.5, 0.1666652113199234, 0.041666388511657715, 0.00836868118494749, 0.0013941875658929348});
  // 2^n in two factors: n reaches -150 and 128.
  const Value half =
      apply(Op::ShiftRightArithmetic, reduced.shifted, reduced.shifted.integer(1)) & reduced.shifted.integer(-0x800000);
  return p * power_of_two(reduced.shifted - half) * power_of_two(half);
}

Value exp(Value x) { return exp_bounded(at_most(x, 89)); }

Value expm1_polynomial(Value r) {
  const Value q =
      polynomial(r, {0.5, 0.1666654497385025, 0.04166640341281891, 0.008366399444639683, 0.001394064398482442});
  return fma(r * r, q, r);
}

Value expm1(Value x) {
  const Reduced reduced = reduce_exponent(at_least(at_most(x, 89), -20));
  // Half of the result, since 2^128 is out of range: 2^(n-1) (e^r - 1) + (2^(n-1) - 1/2).
  const Value scale = power_of_two(reduced.shifted - reduced.shifted.integer(0x800000));
  const Value half = fma(scale, expm1_polynomial(reduced.r), scale - 0.5);
  return select(equal(reduced.n, 0), select(equal(x, 0), x, expm1_polynomial(reduced.r)), half + half);
}

Value logistic(Value x) {
  const Value e = exp_bounded(-abs(x));
  return select(x < 0, e, e.constant(1)) / (e + 1);
}

Value tanh(Value x) {
  const Value twice = at_most(abs(x) + abs(x), 20);
  const Reduced reduced = reduce_exponent(twice);
  const Value scale = power_of_two(reduced.shifted);
  const Value m = fma(scale, expm1_polynomial(reduced.r), scale - 1);  // e^2|x| - 1
  return with_sign(m / (m + 2), x);
}

// --- Logarithms. x = 2^n (1 + f) with 2/3 <= 1 + f < 4/3, log(1 + f) = f + f^2 Q(f).

constexpr std::int64_t kTwoThirds = 0x3f2aaaab;
constexpr std::int64_t kExponentMask = -0x800000;

Value log_sum(Value n, Value f) {
  const Value q =
      polynomial(f, {-0.5, 0.33333224058151245, -0.24999688565731049, 0.20010033249855042, -0.16685470938682556,
                     0.14011076092720032, -0.12115083634853363, 0.13961747288703918, -0.1319175809621811});
  return fma(n, kLog2High, fma(n, kLog2Low, fma(f * f, q, f)));
}

Value log(Value x) {
  const Value denormal = x < kSmallestNormal;
  const Value bits = select(denormal, x * 0x1p23, x).bits(DType::I32);
  const Value exponent = (bits - bits.integer(kTwoThirds)) & bits.integer(kExponentMask);
  const Value n = fma(exponent.to(DType::F32), 0x1p-23, select(denormal, x.constant(-23), x.constant(0)));
  const Value result = log_sum(n, (bits - exponent).bits(DType::F32) - 1);
  const Value outside = select(equal(x, 0), x.constant(-kInfinity), x.constant(kNaN));
  return select(x > 0, select(equal(x, kInfinity), x, result), outside);
}

Value log1p(Value x) {
  const Value bits = (x + 1).bits(DType::I32);
  const Value exponent = (bits - bits.integer(kTwoThirds)) & bits.integer(kExponentMask);
  // f = (1 + x) 2^-n - 1 without the rounding of 1 + x. Four times 2^-n, which is a normal number for every n.
  const Value scale = (bits.integer(0x40800000) - exponent).bits(DType::F32);
  const Value f = fma(x * scale, 0.25, fma(scale, 0.25, x.constant(-1)));
  const Value result = log_sum(exponent.to(DType::F32) * 0x1p-23, f);
  const Value outside = select(equal(x, -1), x.constant(-kInfinity), x.constant(kNaN));
  const Value keeps = apply(Op::Or, equal(x, kInfinity), equal(x, 0));
  return select(x > -1, select(keeps, x, result), outside);
}

// --- Roots.

Value cbrt(Value x) {
  const Value denormal = abs(x) < kSmallestNormal;
  const Value a = select(denormal, abs(x) * 0x1p24, abs(x));
  // A third of the exponent, within 5 %; one step of Halley's method; one of Newton's.
  const Value third = a.bits(DType::U32) / a.bits(DType::U32).integer(3) + a.bits(DType::U32).integer(709958130);
  const Value guess = third.bits(DType::F32);
  const Value cube = guess * guess * (guess / a);  // over a: no overflow
  const Value t = guess * ((cube + 2) / (cube + cube + 1));
  const Value root = t - fma(t * t, t, -a) / (t * t * 3);
  const Value special = apply(Op::Or, equal(x, 0), !(abs(x) < kInfinity));
  return select(special, x + x, with_sign(root * select(denormal, x.constant(0x1p-8), x.constant(1)), x));
}

// --- Trigonometry. x = q pi/2 + r with |r| <= pi/4.

struct Quadrant {
  Value r;    ///< F32,
  Value low;  ///< and what it lacks
  Value q;    ///< I32, modulo 4
};

Quadrant reduce_angle(Value x) {
  // Up to 2^28 in F64, by pi/2 in two parts.
  constexpr double kRound64 = 0x1.8p52;
  const Value wide = x.to(DType::F64);
  const Value sum = fma(wide, 0.6366197723675814, wide.constant(kRound64));
  const Value n = sum - kRound64;
  const Value r = fma(n, -6.123233995736766e-17, fma(n, -1.5707963267948966, wide));
  const Value q = sum.bits(DType::I64).to(DType::I32);

  // Beyond: x = m 2^e, and x 2/pi modulo 4 is m times the 64 bits of 2/pi that begin where 2^e 2/pi passes 2.
  const Value bits = abs(x).bits(DType::U32);
  const Value m = ((bits & bits.integer(0x7fffff)) | bits.integer(0x800000)).to(DType::U64);
  const Value exponent = apply(Op::ShiftRightLogical, bits, bits.integer(23)).to(DType::U64);
  const Value start = exponent - exponent.integer(152);  // bits of 2/pi to skip, at least 3
  const Value second = apply(Op::GreaterEqual, exponent, exponent.integer(152 + 64));
  const Value first_word = select(second, m.integer(static_cast<std::int64_t>(0xfc2757d1f534ddc0)),
                                  m.integer(static_cast<std::int64_t>(0xa2f9836e4e441529)));
  const Value next_word = select(second, m.integer(static_cast<std::int64_t>(0xdb6295993c439041)),
                                 m.integer(static_cast<std::int64_t>(0xfc2757d1f534ddc0)));
  const Value offset = start & start.integer(63);
  const Value window =
      apply(Op::ShiftLeft, first_word, offset) | apply(Op::ShiftRightLogical, next_word, offset.integer(64) - offset);
  const Value product = m * window;
  const Value turns = apply(Op::ShiftRightLogical, product + product.integer(1LL << 61), product.integer(62));
  const Value fraction = (product - (turns << 62)).bits(DType::I64).to(DType::F64) * (1.5707963267948966 * 0x1p-62);
  const Value negative = is_negative(x);
  const Value far_q = turns.to(DType::I32);

  const Value far = abs(x) > 0x1p28;
  const Value angle = select(far, select(negative, -fraction, fraction), r);
  const Value high = angle.to(DType::F32);
  return {high, (angle - high.to(DType::F64)).to(DType::F32), select(far, select(negative, -far_q, far_q), q)};
}

Value sine_polynomial(const Quadrant& a) {
  const Value z = a.r * a.r;
  return a.r +
         fma(a.r * z,
             polynomial(z, {-0.1666666716337204, 0.008333380334079266, -0.00019853505364153534, 2.837395186361391e-06}),
             a.low);
}

Value cosine_polynomial(const Quadrant& a) {
  const Value z = a.r * a.r;
  const Value half = z * 0.5;
  const Value high = half.constant(1) - half;
  const Value lost = half.constant(1) - high - half;  // by the rounding of `high`
  return high + fma(z * z, polynomial(z, {0.04166664555668831, -0.00138873013202101, 2.443066841806285e-05}),
                    fma(a.r, -a.low, lost));
}

Value bit(Value q, std::int64_t which) { return apply(Op::NotEqual, q & q.integer(which), q.integer(0)); }

/// sin(x + turns pi/2)
Value sine(Value x, std::int64_t turns) {
  const Quadrant angle = reduce_angle(x);
  const Value q = angle.q + angle.q.integer(turns);
  const Value magnitude = select(bit(q, 1), cosine_polynomial(angle), sine_polynomial(angle));
  const Value result = select(bit(q, 2), -magnitude, magnitude);
  return select(abs(x) < kInfinity, result, x - x);
}

Value sin(Value x) { return select(equal(x, 0), x, sine(x, 0)); }
Value cos(Value x) { return sine(x, 1); }

Value tan(Value x) {
  const Quadrant angle = reduce_angle(x);
  const Value s = sine_polynomial(angle);
  const Value c = cosine_polynomial(angle);
  const Value odd = bit(angle.q, 1);
  const Value result = select(odd, -c, s) / select(odd, s, c);
  return select(equal(x, 0), x, select(abs(x) < kInfinity, result, x - x));
}

Value atan2(Value y, Value x) {
  const Value ay = abs(y);
  const Value ax = abs(x);
  const Value steep = apply(Op::Greater, ay, ax);
  const Value low = select(steep, ax, ay);
  const Value high = select(steep, ay, ax);
  // 0 / 0 counts as 0 and infinity / infinity as 1.
  const Value ratio = select(equal(high, 0), low, select(equal(low, kInfinity), low.constant(1), low / high));
  const Value z = ratio * ratio;
  const Value tail = polynomial(z, {-0.333333283662796, 0.199997216463089, -0.14280469715595245, 0.11062277853488922,
                                    -0.0882595032453537, 0.06774845719337463, -0.045151565223932266,
                                    0.02292798087000847, -0.0074989148415625095, 0.0011496947845444083});
  Value angle = fma(ratio * z, tail, ratio);
  // pi/2 and pi in two parts each.
  angle = select(steep, angle.constant(1.57079637050628662109) - (angle + 4.37113900018624283e-8), angle);
  angle = select(is_negative(x), angle.constant(3.14159274101257324219) - (angle + 8.74227800037248566e-8), angle);
  return select(apply(Op::Or, is_nan(x), is_nan(y)), x + y, with_sign(angle, y));
}

// --- Others.

Value erf(Value x) {
  const Value z = x * x;
  const Value near =
      fma(x,
          polynomial(z, {0.12837916612625122, -0.37612631916999817, 0.11283686757087708, -0.02685927040874958,
                         0.005201041232794523, -0.0008144217426888645, 8.378639904549345e-05}),
          x);
  // -log(1 - erf x) is smooth.
  const Value t = at_most(abs(x), 4);
  const Value g =
      polynomial(t, {-0.00017587505863048136, 1.1295207738876343, 0.6333348751068115, 0.1082935482263565,
                     -0.025128254666924477, 0.004174455069005489, -0.0004351692914497107, 2.115659481205512e-05});
  const Value far = with_sign(x.constant(1) - exp_bounded(-g), x);
  return select(abs(x) < 0.92, near, far);
}

/// x^y through F64, where log2 x keeps enough bits for every y.
Value power(Value x, Value y) {
  const Value a = abs(x).to(DType::F64);
  const Value bits = a.bits(DType::I64);
  const Value exponent = (bits - bits.integer(0x3fe5555555555555)) & bits.integer(-0x10000000000000);
  const Value m = (bits - exponent).bits(DType::F64);
  const Value s = (m - 1) / (m + 1);
  const Value z = s * s;
  const Value tail = polynomial(
      z, {0.33333333355434486, 0.19999992236984335, 0.14286598276034446, 0.11067357747648288, 0.10063504427703031});
  const Value atanh = fma(s * z, tail, s);
  const Value n = apply(Op::ShiftRightArithmetic, exponent, exponent.integer(52)).to(DType::F64);
  const Value finite_log = fma(atanh, 2.8853900817779268, n);
  const Value logarithm = select(equal(a, 0), a.constant(-kInfinity), select(equal(a, kInfinity), a, finite_log));

  const Value p = at_least(at_most(logarithm * y.to(DType::F64), 200), -200);
  constexpr double kRound64 = 0x1.8p52;
  const Value sum = p + kRound64;
  const Value f = p - (sum - kRound64);
  const Value scale =
      ((sum.bits(DType::I64) << 52) + sum.bits(DType::I64).integer(0x3ff0000000000000)).bits(DType::F64);
  const Value magnitude = (polynomial(f, {1, 0.6931472063191496, 0.24022651333224168, 0.055503276761262564,
                                          0.009618005309491078, 0.0013400309820704793, 0.0001547592747012849}) *
                           scale)
                              .to(DType::F32);

  const Value half = y * 0.5;
  const auto whole = [](Value v) { return apply(Op::Equal, v.of(v.builder->unary(Op::Floor, v.e)), v); };
  const Value odd = apply(Op::And, whole(y), !whole(half));
  const Value no_root = apply(Op::And, apply(Op::And, x < 0, apply(Op::Greater, x, x.constant(-kInfinity))), !whole(y));
  Value result = select(apply(Op::And, is_negative(x), odd), -magnitude, magnitude);
  result = select(no_root, x.constant(kNaN), result);
  result = select(apply(Op::Or, is_nan(x), is_nan(y)), x + y, result);
  const Value unit = apply(Op::And, equal(x, -1), equal(abs(y), kInfinity));
  return select(apply(Op::Or, unit, apply(Op::Or, equal(x, 1), equal(y, 0))), x.constant(1), result);
}

Expr call_f64(Builder& builder, Function function, Expr a, Expr b) {
  const Value x{&builder, a};
  switch (function) {
    case Function::Exp: return builder.unary(Op::Exp, a);
    case Function::Expm1: return builder.unary(Op::Expm1, a);
    case Function::Log: return builder.unary(Op::Log, a);
    case Function::Log1p: return builder.unary(Op::Log1p, a);
    case Function::Sqrt: return builder.unary(Op::Sqrt, a);
    case Function::Rsqrt: return (x.constant(1) / x.of(builder.unary(Op::Sqrt, a))).e;
    case Function::Cbrt: return builder.unary(Op::Cbrt, a);
    case Function::Sin: return builder.unary(Op::Sin, a);
    case Function::Cos: return builder.unary(Op::Cos, a);
    case Function::Tan: return builder.unary(Op::Tan, a);
    case Function::Tanh: return builder.unary(Op::Tanh, a);
    case Function::Logistic: {
      const Value e = x.of(builder.unary(Op::Exp, (-abs(x)).e));
      return (select(x < 0, e, e.constant(1)) / (e + 1)).e;
    }
    case Function::Erf: return builder.unary(Op::Erf, a);
    case Function::Power: return builder.binary(Op::Power, a, b);
    default: return builder.binary(Op::Atan2, a, b);
  }
}

}  // namespace

Expr call(Builder& builder, Function function, Expr a, Expr b) {
  const DType type = builder.dtype(a);
  const bool binary = function == Function::Power || function == Function::Atan2;
  if (!is_float(type)) throw Error("kernel IR: elementary functions take floats, not " + std::string(name(type)));
  if (binary != (b != kNone) || (binary && builder.dtype(b) != type))
    throw Error("kernel IR: a function of " + std::string(binary ? "two operands of one type" : "one operand"));
  if (type == DType::F64) return call_f64(builder, function, a, b);
  if (type != DType::F32) {
    const Expr wide = binary ? builder.convert(DType::F32, b) : kNone;
    return builder.convert(type, call(builder, function, builder.convert(DType::F32, a), wide));
  }
  const Value x{&builder, a};
  switch (function) {
    case Function::Exp: return exp(x).e;
    case Function::Expm1: return expm1(x).e;
    case Function::Log: return log(x).e;
    case Function::Log1p: return log1p(x).e;
    case Function::Sqrt: return builder.unary(Op::Sqrt, a);
    case Function::Rsqrt: return (x.constant(1) / x.of(builder.unary(Op::Sqrt, a))).e;
    case Function::Cbrt: return cbrt(x).e;
    case Function::Sin: return sin(x).e;
    case Function::Cos: return cos(x).e;
    case Function::Tan: return tan(x).e;
    case Function::Tanh: return tanh(x).e;
    case Function::Logistic: return logistic(x).e;
    case Function::Erf: return erf(x).e;
    case Function::Power: return power(x, {&builder, b}).e;
    default: return atan2(x, {&builder, b}).e;
  }
}

}  // namespace tessera::kernel
