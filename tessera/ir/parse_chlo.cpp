// Operations of the chlo dialect by primitives. JAX prints them when it lowers; its exports carry them written out.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "tessera/ir/parse.hpp"

namespace tessera::ir {
namespace {

/// A polynomial, highest coefficient first, by Horner's rule.
Value polynomial(Builder& b, Value x, const std::vector<double>& coefficients) {
  Value sum = b.full_like(x, coefficients[0]);
  for (std::size_t i = 1; i < coefficients.size(); ++i)
    sum = b.add(b.multiply(sum, x), b.full_like(x, coefficients[i]));
  return sum;
}

Value scaled(Builder& b, Value x, double factor) { return b.multiply(x, b.full_like(x, factor)); }
Value plus(Builder& b, Value x, double term) { return b.add(x, b.full_like(x, term)); }

/// 1 - erf near zero; exp(-x^2) / |x| times a polynomial in 1 / x^2 elsewhere, which keeps the relative accuracy of the
/// tail.
Value erfc(Builder& b, Value x) {
  const Value magnitude = b.unary(Op::Abs, x);
  const Value inverse = b.divide(b.full_like(x, 1), magnitude);
  const Value inverse_square = b.multiply(inverse, inverse);
  const Value nearer = polynomial(
      b, inverse_square,
      {2.326819970068386E-2, -1.387039388740657E-1, 3.687424674597105E-1, -5.824733027278666E-1, 6.210004621745983E-1,
       -4.944515323274145E-1, 3.404879937665872E-1, -2.741127028184656E-1, 5.638259427386472E-1});
  const Value farther =
      polynomial(b, inverse_square,
                 {-1.047766399936249E+1, 1.297719955372516E+1, -7.495518717768503E+0, 2.921019019210786E+0,
                  -1.015265279202700E+0, 4.218463358204948E-1, -2.820767439740514E-1, 5.641895067754075E-1});
  const Value factor = b.select(b.compare(magnitude, b.full_like(x, 2), "LT"), nearer, farther);
  const Value gauss = b.unary(Op::Exponential, b.negate(b.multiply(x, x)));
  const Value tail = b.multiply(b.multiply(gauss, inverse), factor);
  const Value both = b.select(b.compare(x, b.full_like(x, 0), "LT"), b.subtract(b.full_like(x, 2), tail), tail);
  const Value middle = b.subtract(b.full_like(x, 1), b.unary(Op::Erf, x));
  return b.select(b.compare(magnitude, b.full_like(x, 1), "LT"), middle, both);
}

/// Two polynomials in -log(1 - x^2), for the middle and the tails.
Value erf_inv(Builder& b, Value x) {
  const Value w = b.negate(b.unary(Op::LogPlusOne, b.negate(b.multiply(x, x))));
  const Value middle = polynomial(b, plus(b, w, -2.5),
                                  {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                   -0.00125372503, -0.00417768164, 0.246640727, 1.50140941});
  const Value tail = polynomial(b, plus(b, b.unary(Op::Sqrt, w), -3),
                                {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                 -0.0076224613, 0.00943887047, 1.00167406, 2.83297682});
  const Value inside = b.multiply(b.select(b.compare(w, b.full_like(x, 5), "LT"), middle, tail), x);
  const Value at_end = b.multiply(x, b.full_like(x, std::numeric_limits<double>::infinity()));
  return b.select(b.compare(b.unary(Op::Abs, x), b.full_like(x, 1), "EQ"), at_end, inside);
}

Value sinh(Builder& b, Value x) {
  const double half = -std::numbers::ln2;
  const Value large =
      b.subtract(b.unary(Op::Exponential, plus(b, x, half)), b.unary(Op::Exponential, plus(b, b.negate(x), half)));
  const Value e = b.unary(Op::ExponentialMinusOne, x);
  const Value small = scaled(b, b.add(e, b.divide(e, plus(b, e, 1))), 0.5);
  return b.select(b.compare(b.unary(Op::Abs, x), b.full_like(x, 1), "LT"), small, large);
}

Value cosh(Builder& b, Value x) {
  const double half = -std::numbers::ln2;
  return b.add(b.unary(Op::Exponential, plus(b, x, half)), b.unary(Op::Exponential, plus(b, b.negate(x), half)));
}

Value asinh(Builder& b, Value x) {
  const Value magnitude = b.unary(Op::Abs, x);
  const Value square = b.multiply(x, x);
  const Value small =
      b.unary(Op::LogPlusOne, b.add(magnitude, b.divide(square, plus(b, b.unary(Op::Sqrt, plus(b, square, 1)), 1))));
  const Value large = plus(b, b.unary(Op::Log, magnitude), std::numbers::ln2);
  return b.multiply(b.unary(Op::Sign, x), b.select(b.compare(magnitude, b.full_like(x, 1e9), "GT"), large, small));
}

Value acosh(Builder& b, Value x) {
  const Value large = plus(b, b.unary(Op::Log, x), std::numbers::ln2);
  const Value small = b.unary(Op::Log, b.add(x, b.unary(Op::Sqrt, b.multiply(plus(b, x, 1), plus(b, x, -1)))));
  const Value value = b.select(b.compare(x, b.full_like(x, 1e9), "GT"), large, small);
  return b.select(b.compare(x, b.full_like(x, 1), "LT"), b.full_like(x, std::numeric_limits<double>::quiet_NaN()),
                  value);
}

Value atanh(Builder& b, Value x) {
  return scaled(b, b.subtract(b.unary(Op::LogPlusOne, x), b.unary(Op::LogPlusOne, b.negate(x))), 0.5);
}

Value asin(Builder& b, Value x) {
  const Value root = b.unary(Op::Sqrt, b.multiply(b.subtract(b.full_like(x, 1), x), plus(b, x, 1)));
  return scaled(b, b.binary(Op::Atan2, x, plus(b, root, 1)), 2);
}

Value acos(Builder& b, Value x) {
  const Value root = b.unary(Op::Sqrt, b.multiply(b.subtract(b.full_like(x, 1), x), plus(b, x, 1)));
  return b.binary(Op::Atan2, root, x);
}

Value atan(Builder& b, Value x) { return b.binary(Op::Atan2, x, b.full_like(x, 1)); }

Value is_infinite(Builder& b, Value x) {
  return b.compare(b.unary(Op::Abs, x), b.full_like(x, std::numeric_limits<double>::infinity()), "EQ");
}

struct Expansion {
  std::string name;
  std::function<Value(Builder&, Value)> of;
  bool single_only;  ///< its polynomials are those of f32
};

const std::vector<Expansion>& expansions() {
  static const std::vector<Expansion> table = {
      {"erf", [](Builder& b, Value x) { return b.unary(Op::Erf, x); }, false},
      {"square", [](Builder& b, Value x) { return b.multiply(x, x); }, false},
      {"tan", [](Builder& b, Value x) { return b.unary(Op::Tan, x); }, false},
      {"erfc", erfc, true},
      {"erf_inv", erf_inv, true},
      {"sinh", sinh, false},
      {"cosh", cosh, false},
      {"asinh", asinh, false},
      {"acosh", acosh, false},
      {"atanh", atanh, false},
      {"asin", asin, false},
      {"acos", acos, false},
      {"atan", atan, false},
      {"is_inf", is_infinite, false},
  };
  return table;
}

}  // namespace

const std::vector<std::string>& chlo_names() {
  static const auto* names = [] {
    auto* list = new std::vector<std::string>;
    for (const Expansion& e : expansions()) list->push_back(e.name);
    return list;
  }();
  return *names;
}

std::optional<Value> expand_chlo(std::string_view name, Builder& build, const Values& operands) {
  for (const Expansion& e : expansions()) {
    if (e.name != name) continue;
    if (operands.size() != 1)
      throw Error(fmt::format("chlo.{} takes one operand, {} are given", name, operands.size()));
    const DType dtype = build.dtype(operands[0]);
    if (name == "square" || name == "erf") return e.of(build, operands[0]);
    if (!is_float(dtype)) throw Error(fmt::format("chlo.{} takes floats, not {}", name, tessera::name(dtype)));
    if (dtype == DType::F64 && e.single_only)
      throw Error(
          ErrorKind::Unsupported,
          fmt::format("chlo.{} on f64 is not supported yet; jax.export writes it out as other operations", name));
    const Value wide = size_of(dtype) == 2 ? build.convert(operands[0], DType::F32) : operands[0];
    const Value result = e.of(build, wide);
    return build.dtype(result) == DType::Bool ? result : build.convert(result, dtype);
  }
  return std::nullopt;
}

}  // namespace tessera::ir
