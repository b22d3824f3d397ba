// Cases of the elementwise primitives: random values of every element type, and the values at which they are special.
#include <cmath>
#include <limits>

#include "cases.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

std::string label(Op op, DType dtype, const std::string& more = "") {
  return std::string(ir::name(op)) + " " + std::string(tessera::name(dtype)) + more;
}

/// Special values of a type, each paired with each when `operands` is 2.
std::vector<Literal> edges(DType dtype, std::size_t operands, double largest) {
  Literal one;
  if (is_float(dtype)) {
    const double infinity = std::numeric_limits<double>::infinity();
    const double tiny = dtype == DType::F64 ? 0x1p-1022 : dtype == DType::F16 ? 0x1p-14 : 0x1p-126;
    std::vector<double> values = {std::nan(""), infinity, -infinity, 0.0,  -0.0, 1,    -1,  0.5,     -0.5,
                                  1.5,          -1.5,     2.5,       -2.5, 2,    -3.0, 0.1, largest, -largest};
    if (operands == 1)
      values.insert(values.end(), {tiny, -tiny, 0.49999997, 8388609, -0.99999994, 1e-5, 88.5, -104, 20});
    one = Literal(TensorType{dtype, {static_cast<std::int64_t>(values.size())}});
    for (std::size_t i = 0; i < values.size(); ++i) one.set_double(static_cast<std::int64_t>(i), values[i]);
  } else {
    std::vector<std::int64_t> values = {0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 100, -1, -2, -3, -7, -100};
    const auto bits = static_cast<int>(size_of(dtype)) * 8;
    for (const std::uint64_t top = std::uint64_t{1} << (bits - 1); const std::uint64_t near : {top, top - 1, top + 1})
      values.push_back(static_cast<std::int64_t>(near));
    one = Literal(TensorType{dtype, {static_cast<std::int64_t>(values.size())}});
    for (std::size_t i = 0; i < values.size(); ++i) one.set_integer(static_cast<std::int64_t>(i), values[i]);
  }
  if (operands == 1) return {one};
  const std::int64_t n = one.size();
  std::vector<Literal> pair(2, Literal(TensorType{dtype, {n, n}}));
  pair[1] = Literal(TensorType{dtype, {n, n}});
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const std::size_t item = size_of(dtype);
      std::copy_n(one.data() + static_cast<std::size_t>(i) * item, item,
                  pair[0].data() + static_cast<std::size_t>(i * n + j) * item);
      std::copy_n(one.data() + static_cast<std::size_t>(j) * item, item,
                  pair[1].data() + static_cast<std::size_t>(i * n + j) * item);
    }
  }
  return pair;
}

Case simple(Op op, DType dtype, std::size_t operands, std::vector<Range> ranges) {
  Case item;
  item.name = label(op, dtype);
  item.parameters.assign(operands, {dtype, {3, 5}});
  item.build = [op](Builder& b, const Values& p) { return b.graph.add(op, p); };
  item.ranges = std::move(ranges);
  return item;
}

Case at_edges(Case item, DType dtype, double largest) {
  item.name += " edges";
  item.differentiable = false;
  item.arguments = edges(dtype, item.parameters.size(), largest);
  for (std::size_t i = 0; i < item.parameters.size(); ++i) item.parameters[i] = item.arguments[i].type();
  return item;
}

void add_unary(std::vector<Case>& list) {
  struct OfFloats {
    Op op;
    Range range;
    double largest = 1e30;
  };
  const std::vector<OfFloats> floats = {{Op::Abs, {}},
                                        {Op::Cbrt, {0.2, 3}},
                                        {Op::Ceil, {-9, 9}},
                                        {Op::Cosine, {-6, 6}, 1000},
                                        {Op::Erf, {}},
                                        {Op::Exponential, {}},
                                        {Op::ExponentialMinusOne, {}},
                                        {Op::Floor, {-9, 9}},
                                        {Op::IsFinite, {}},
                                        {Op::Log, {0.2, 3}},
                                        {Op::LogPlusOne, {-0.7, 3}},
                                        {Op::Logistic, {-5, 5}},
                                        {Op::Negate, {}},
                                        {Op::RoundNearestAfz, {-9, 9}},
                                        {Op::RoundNearestEven, {-9, 9}},
                                        {Op::Rsqrt, {0.2, 3}},
                                        {Op::Sign, {}},
                                        {Op::Sine, {-6, 6}, 1000},
                                        {Op::Sqrt, {0.2, 3}},
                                        {Op::Tan, {-1.2, 1.2}, 1000},
                                        {Op::Tanh, {}}};
  for (const auto& [op, range, largest] : floats) {
    for (const DType dtype : kFloats) {
      Case item = simple(op, dtype, 1, {range});
      item.differentiable = dtype == DType::F32;
      list.push_back(item);
      list.push_back(at_edges(item, dtype, dtype == DType::F16 ? std::min(largest, 60000.0) : largest));
    }
  }
  for (const DType dtype : kIntegers) {
    std::vector<Op> ops = {Op::CountLeadingZeros, Op::Negate, Op::Not, Op::Popcnt};
    if (is_signed_integer(dtype)) ops.insert(ops.end(), {Op::Abs, Op::Sign});
    for (const Op op : ops) list.push_back(at_edges(simple(op, dtype, 1, {}), dtype, 0));
  }
  list.push_back(simple(Op::Not, DType::Bool, 1, {}));
}

void add_binary(std::vector<Case>& list) {
  struct OfFloats {
    Op op;
    Range first, second;
  };
  const std::vector<OfFloats> floats = {
      {Op::Add, {}, {}},     {Op::Atan2, {}, {}},    {Op::Divide, {}, {0.5, 2}}, {Op::Maximum, {}, {}},
      {Op::Minimum, {}, {}}, {Op::Multiply, {}, {}}, {Op::Power, {0.2, 3}, {}},  {Op::Remainder, {-9, 9}, {1.1, 2}},
      {Op::Subtract, {}, {}}};
  for (const auto& [op, first, second] : floats) {
    for (const DType dtype : kFloats) {
      Case item = simple(op, dtype, 2, {first, second});
      item.differentiable = dtype == DType::F32;
      list.push_back(item);
      list.push_back(at_edges(item, dtype, dtype == DType::F16 ? 60000 : 1e30));
    }
  }
  for (const DType dtype : kIntegers)
    for (const Op op :
         {Op::Add, Op::And, Op::Divide, Op::Maximum, Op::Minimum, Op::Multiply, Op::Or, Op::Power, Op::Remainder,
          Op::ShiftLeft, Op::ShiftRightArithmetic, Op::ShiftRightLogical, Op::Subtract, Op::Xor})
      list.push_back(at_edges(simple(op, dtype, 2, {}), dtype, 0));
  for (const Op op : {Op::Add, Op::And, Op::Maximum, Op::Minimum, Op::Multiply, Op::Or, Op::Xor})
    list.push_back(simple(op, DType::Bool, 2, {}));
  // Powers are differentiated at bases and exponents of zero too.
  Case power = simple(Op::Power, DType::F32, 1, {});
  power.name = "power of zero, exponents 1, 2, 3";
  power.parameters = {{DType::F32, {3}}};
  power.differentiable = true;
  power.build = [](Builder& b, const Values& p) -> Values {
    const Value exponents = b.convert(b.constant(Literal::from<float>({3}, {1, 2, 3})), b.dtype(p[0]));
    return {b.binary(Op::Power, b.subtract(p[0], p[0]), exponents), b.binary(Op::Power, p[0], exponents)};
  };
  list.push_back(power);
}

void add_compare(std::vector<Case>& list) {
  for (const DType dtype : kDTypes) {
    for (const char* direction : {"EQ", "NE", "LT", "LE", "GT", "GE"}) {
      for (const char* kind : {"", "TOTALORDER"}) {
        if (*kind != 0 && !is_float(dtype)) continue;
        Attributes attributes{{"comparison_direction", std::string(direction)}};
        if (*kind != 0) attributes.set("compare_type", std::string(kind));
        Case item = simple(Op::Compare, dtype, 2, {});
        item.build = [attributes](Builder& b, const Values& p) { return b.graph.add(Op::Compare, p, attributes); };
        if (dtype != DType::Bool) item = at_edges(item, dtype, 1000);
        item.name = label(Op::Compare, dtype, std::string(" ") + direction + " " + kind);
        list.push_back(item);
      }
    }
  }
}

void add_select_and_clamp(std::vector<Case>& list) {
  for (const bool scalar : {false, true}) {
    const Shape shape{2, 3};
    const Shape side = scalar ? Shape{} : shape;
    const char* form = scalar ? " scalar" : "";
    for (const DType dtype : kDTypes) {
      list.push_back({.name = label(Op::Select, dtype, form),
                      .parameters = {{DType::Bool, side}, {dtype, shape}, {dtype, shape}},
                      .build = [](Builder& b, const Values& p) -> Values { return {b.select(p[0], p[1], p[2])}; },
                      .ranges = {{}, {0, 100}, {0, 100}},
                      .arguments = {},
                      .differentiable = dtype == DType::F32});
      list.push_back({.name = label(Op::Clamp, dtype, form),
                      .parameters = {{dtype, side}, {dtype, shape}, {dtype, side}},
                      .build = [](Builder& b, const Values& p) { return b.graph.add(Op::Clamp, p); },
                      .ranges = {{2, 5}, {0, 9}, {4, 7}},
                      .arguments = {},
                      .differentiable = dtype == DType::F32});
    }
  }
  list.push_back({.name = "select of scalars",
                  .parameters = {{DType::Bool, {}}, {DType::F32, {}}, {DType::F32, {}}},
                  .build = [](Builder& b, const Values& p) -> Values { return {b.select(p[0], p[1], p[2])}; },
                  .ranges = {},
                  .arguments = {},
                  .differentiable = true});
}

void add_conversions(std::vector<Case>& list) {
  for (const DType from : kDTypes) {
    for (const DType to : kDTypes) {
      const std::string pair = " to " + std::string(tessera::name(to));
      Case item = simple(Op::Convert, from, 1, {});
      item.build = [to](Builder& b, const Values& p) -> Values { return {b.convert(p[0], to)}; };
      if (from != DType::Bool) item = at_edges(item, from, 1e20);
      item.name = label(Op::Convert, from, pair);
      list.push_back(item);
      if ((from == DType::Bool) != (to == DType::Bool)) continue;
      const auto ratio = static_cast<std::int64_t>(size_of(to) / size_of(from));
      item = simple(Op::BitcastConvert, from, 1, {{0, 100}});
      item.name = label(Op::BitcastConvert, from, pair);
      if (ratio > 1) item.parameters[0].shape = {3, ratio};
      item.build = [to](Builder& b, const Values& p) -> Values { return {b.bitcast_convert(p[0], to)}; };
      list.push_back(item);
    }
  }
  list.push_back({.name = "convert down and up",
                  .parameters = {{DType::F32, {4}}},
                  .build = [](Builder& b, const Values& p) -> Values {
                    const Value narrow =
                        b.dtype(p[0]) == DType::F64 ? b.convert(p[0], DType::F64) : b.convert(p[0], DType::F16);
                    return {b.convert(narrow, DType::F64)};
                  },
                  .ranges = {},
                  .arguments = {},
                  .differentiable = true});
  for (const DType dtype : kFloats) {
    for (const auto& [exponent, mantissa] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {5, 10}, {8, 7}, {4, 3}, {11, 52}, {2, 0}, {1, 1}, {5, 2}}) {
      Case item = simple(Op::ReducePrecision, dtype, 1, {});
      const Attributes attributes{{"exponent_bits", exponent}, {"mantissa_bits", mantissa}};
      item.build = [attributes](Builder& b, const Values& p) {
        return b.graph.add(Op::ReducePrecision, p, attributes);
      };
      item = at_edges(item, dtype, dtype == DType::F16 ? 60000 : 1e30);
      item.name = label(Op::ReducePrecision, dtype, " e" + std::to_string(exponent) + "m" + std::to_string(mantissa));
      item.slack = 0;
      list.push_back(item);
    }
  }
}

}  // namespace

std::vector<Case> elementwise_cases() {
  std::vector<Case> list;
  add_unary(list);
  add_binary(list);
  add_compare(list);
  add_select_and_clamp(list);
  add_conversions(list);
  return list;
}

}  // namespace tessera::cases
