// What primitives give at the edges: one test for each entry of docs/semantics.md; and values of the elementary
// functions against long double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <sstream>

#include "cases.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using namespace ir;

const double kInfinity = std::numeric_limits<double>::infinity();
const double kNaN = std::nan("");

/// The one result of an operation on constants of the operands' types.
Literal run(Op op, const std::vector<Literal>& operands, const Attributes& attributes = {},
            const std::vector<GraphPtr>& regions = {}) {
  Graph graph;
  for (const Literal& operand : operands) graph.parameter(operand.type());
  graph.results = {graph.add1(op, graph.parameters, attributes, regions)};
  return interpret(graph, operands)[0];
}

template <class T>
Literal row(const std::vector<T>& values) {
  return Literal::from<T>({static_cast<std::int64_t>(values.size())}, values);
}

template <class T>
std::vector<T> run(Op op, const std::vector<T>& a, const Attributes& attributes = {}) {
  const Literal result = run(op, {row(a)}, attributes);
  const auto values = result.as<T>();
  return {values.begin(), values.end()};
}
template <class T>
std::vector<T> run(Op op, const std::vector<T>& a, const std::vector<T>& b) {
  const Literal result = run(op, {row(a), row(b)});
  const auto values = result.as<T>();
  return {values.begin(), values.end()};
}

/// "nan", "-0", "2.5": distinguishes zeros and makes NaN comparable.
std::vector<std::string> texts(const Literal& literal) {
  std::vector<std::string> list;
  for (std::int64_t i = 0; i < literal.size(); ++i) {
    const double x = literal.get_double(i);
    std::ostringstream text;
    if (std::isnan(x))
      text << "nan";
    else
      text << x;
    list.push_back(text.str());
  }
  return list;
}
using Texts = std::vector<std::string>;

Literal convert(const Literal& from, DType to) { return run(Op::Convert, {from}, {{"dtype", std::string(name(to))}}); }

std::vector<bool> compare(const std::vector<float>& a, const std::vector<float>& b, const char* direction,
                          const char* kind) {
  const Literal result = run(Op::Compare, {row(a), row(b)},
                             {{"comparison_direction", std::string(direction)}, {"compare_type", std::string(kind)}});
  const auto values = result.as<bool>();
  return {values.begin(), values.end()};
}

constexpr std::int32_t kLowest = std::numeric_limits<std::int32_t>::min();

TEST(Semantics, IntegerDivision) {
  EXPECT_EQ(run<std::int32_t>(Op::Divide, {7, -7, 7, -7, 5, 0, kLowest}, {2, 2, -2, -2, 0, 0, -1}),
            (std::vector<std::int32_t>{3, -3, -3, 3, -1, -1, kLowest}));
  EXPECT_EQ(run<std::uint8_t>(Op::Divide, {200, 7}, {3, 0}), (std::vector<std::uint8_t>{66, 255}));
  EXPECT_EQ(run<std::int8_t>(Op::Divide, {-128}, {-1}), (std::vector<std::int8_t>{-128}));
}

TEST(Semantics, IntegerRemainder) {
  EXPECT_EQ(run<std::int32_t>(Op::Remainder, {7, -7, 7, -7, 5, kLowest}, {3, 3, -3, -3, 0, -1}),
            (std::vector<std::int32_t>{1, -1, 1, -1, 5, 0}));
  EXPECT_EQ(run<std::uint64_t>(Op::Remainder, {~std::uint64_t{0}, 9}, {10, 0}), (std::vector<std::uint64_t>{5, 9}));
}

TEST(Semantics, IntegerArithmeticWraps) {
  EXPECT_EQ(run<std::int8_t>(Op::Add, {127, -128}, {1, -1}), (std::vector<std::int8_t>{-128, 127}));
  EXPECT_EQ(run<std::uint16_t>(Op::Multiply, {65535}, {65535}), (std::vector<std::uint16_t>{1}));
  EXPECT_EQ(run<std::uint32_t>(Op::Negate, {1, 0}), (std::vector<std::uint32_t>{4294967295U, 0}));
  EXPECT_EQ(run<std::int32_t>(Op::Abs, {kLowest, -3}), (std::vector<std::int32_t>{kLowest, 3}));
  EXPECT_EQ(run<std::int64_t>(Op::Subtract, {std::numeric_limits<std::int64_t>::min()}, {1}),
            (std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::max()}));
}

TEST(Semantics, IntegerPower) {
  EXPECT_EQ(run<std::int32_t>(Op::Power, {2, -3, 1, -1, -1, 5, 0, 0, 3}, {10, 3, -7, -7, -8, -1, -1, 0, 40}),
            (std::vector<std::int32_t>{1024, -27, 1, -1, 1, 0, 0, 1, 689956897}));
  EXPECT_EQ(run<std::uint8_t>(Op::Power, {3}, {200}), (std::vector<std::uint8_t>{161}));
}

TEST(Semantics, ShiftsPastTheWidth) {
  EXPECT_EQ(run<std::int32_t>(Op::ShiftLeft, {1, 1, 1, 3}, {31, 32, -1, 1}),
            (std::vector<std::int32_t>{kLowest, 0, 0, 6}));
  EXPECT_EQ(run<std::int32_t>(Op::ShiftRightLogical, {-1, -1, -1}, {31, 32, -5}), (std::vector<std::int32_t>{1, 0, 0}));
  EXPECT_EQ(run<std::int32_t>(Op::ShiftRightArithmetic, {-8, -8, 8, -8}, {1, 32, 99, -1}),
            (std::vector<std::int32_t>{-4, -1, 0, -1}));
  EXPECT_EQ(run<std::uint8_t>(Op::ShiftRightArithmetic, {0x80, 0x40}, {1, 9}), (std::vector<std::uint8_t>{0xc0, 0}));
}

TEST(Semantics, Booleans) {
  const Literal a = Literal::from<bool>({4}, {false, false, true, true});
  const Literal b = Literal::from<bool>({4}, {false, true, false, true});
  const auto is = [&](Op op, const Texts& expected) { EXPECT_EQ(texts(run(op, {a, b})), expected) << name(op); };
  is(Op::Add, {"0", "1", "1", "1"});
  is(Op::Maximum, {"0", "1", "1", "1"});
  is(Op::Multiply, {"0", "0", "0", "1"});
  is(Op::Minimum, {"0", "0", "0", "1"});
  is(Op::Xor, {"0", "1", "1", "0"});
  EXPECT_EQ(texts(run(Op::Compare, {a, b}, {{"comparison_direction", std::string("LT")}})),
            (Texts{"0", "1", "0", "0"}));
}

TEST(Semantics, MaximumAndMinimum) {
  const Literal a = row<float>({-0.0F, 0.0F, NAN, 1, INFINITY}), b = row<float>({0.0F, -0.0F, 1, NAN, 3});
  EXPECT_EQ(texts(run(Op::Maximum, {a, b})), (Texts{"0", "0", "nan", "nan", "inf"}));
  EXPECT_EQ(texts(run(Op::Minimum, {a, b})), (Texts{"-0", "-0", "nan", "nan", "3"}));
  const auto clamp = [](const std::vector<double>& low, const std::vector<double>& x, const std::vector<double>& high) {
    return texts(run(Op::Clamp, {row(low), row(x), row(high)}));
  };
  EXPECT_EQ(clamp({0, 0, 0, 5, kNaN, 0}, {-1, 2, 9, 1, 1, kNaN}, {3, 3, 3, 3, 3, 3}),
            (Texts{"0", "2", "3", "3", "nan", "nan"}));
}

TEST(Semantics, Sign) {
  EXPECT_EQ(texts(run(Op::Sign, {row<double>({kNaN, -0.0, 0.0, -3, kInfinity})})),
            (Texts{"nan", "-0", "0", "-1", "1"}));
  EXPECT_EQ(run<std::int16_t>(Op::Sign, {-9, 0, 9}), (std::vector<std::int16_t>{-1, 0, 1}));
}

TEST(Semantics, Rounding) {
  const Literal x = row<float>({0.5F, 1.5F, 2.5F, -0.5F, -2.5F, -0.3F, 0.49999997F, 8388609});
  EXPECT_EQ(texts(run(Op::RoundNearestEven, {x})), (Texts{"0", "2", "2", "-0", "-2", "-0", "0", "8.38861e+06"}));
  EXPECT_EQ(texts(run(Op::RoundNearestAfz, {x})), (Texts{"1", "2", "3", "-1", "-3", "-0", "0", "8.38861e+06"}));
  EXPECT_EQ(run<float>(Op::RoundNearestAfz, {8388609}), (std::vector<float>{8388609}));
}

TEST(Semantics, FloatRemainder) {
  EXPECT_EQ(
      texts(run(Op::Remainder, {row<double>({7.5, -7.5, 7.5, 1, kInfinity, -6}), row<double>({2, 2, -2, 0, 2, 3})})),
      (Texts{"1.5", "-1.5", "1.5", "nan", "nan", "-0"}));
}

TEST(Semantics, PowerOfFloats) {
  EXPECT_EQ(texts(run(Op::Power,
                      {row<double>({1, kNaN, -2, -2, 0, -8, 5}), row<double>({kNaN, 0, 3, 0.5, -1, -kInfinity, 2})})),
            (Texts{"1", "1", "-8", "nan", "inf", "0", "25"}));
}

TEST(Semantics, Comparison) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(compare({nan, nan, -0.0F}, {nan, 1, 0.0F}, "EQ", "FLOAT"), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(compare({nan, nan, -0.0F}, {nan, 1, 0.0F}, "NE", "FLOAT"), (std::vector<bool>{true, true, false}));
  EXPECT_EQ(compare({nan, 1, -0.0F}, {1, nan, 0.0F}, "GE", "FLOAT"), (std::vector<bool>{false, false, true}));
  const std::vector<float> ordered = {-nan, -INFINITY, -1, -0.0F, 0.0F, 1, INFINITY, nan};
  const std::vector<float> next(ordered.begin() + 1, ordered.end());
  EXPECT_EQ(compare({ordered.begin(), ordered.end() - 1}, next, "LT", "TOTALORDER"), std::vector<bool>(7, true));
  EXPECT_EQ(compare(ordered, ordered, "EQ", "TOTALORDER"), std::vector<bool>(8, true));
}

TEST(Semantics, FloatToInteger) {
  const Literal x = row<double>({2.9, -2.9, 300, -300, 1e30, -kInfinity, kNaN});
  EXPECT_EQ(texts(convert(x, DType::I8)), (Texts{"2", "-2", "127", "-128", "127", "-128", "0"}));
  EXPECT_EQ(texts(convert(x, DType::U8)), (Texts{"2", "0", "255", "0", "255", "0", "0"}));
  EXPECT_EQ(texts(convert(x, DType::Bool)), (Texts{"1", "1", "1", "1", "1", "1", "1"}));
  EXPECT_EQ(convert(row<float>({9.3e18F, -9.3e18F}), DType::I64).get_integer(0),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(convert(row<float>({1e20F}), DType::U64).get_integer(0), -1);
  EXPECT_EQ(texts(convert(row<std::int32_t>({257, -1}), DType::U8)), (Texts{"1", "255"}));
}

TEST(Semantics, HalfPrecision) {
  const auto half = [](double x) { return Literal::full({DType::F16, {}}, x); };
  const auto brain = [](double x) { return Literal::full({DType::BF16, {}}, x); };
  EXPECT_EQ(run(Op::Add, {half(2048), half(1)}).get_double(0), 2048);  // a tie, to even
  EXPECT_EQ(run(Op::Add, {half(2048), half(3)}).get_double(0), 2052);
  EXPECT_EQ(run(Op::Multiply, {half(300), half(300)}).get_double(0), kInfinity);
  EXPECT_EQ(run(Op::Add, {brain(256), brain(1)}).get_double(0), 256);
  EXPECT_EQ(run(Op::Exponential, {half(1)}).get_double(0), 2.71875);
  // 1 + 2^-11 + 2^-40 is above the tie in f64, and is the tie in f32.
  EXPECT_EQ(convert(row<double>({1 + 0x1p-11 + 0x1p-40}), DType::F16).get_double(0), 1);
}

Literal reduced(const Literal& x, const GraphPtr& body, double initial) {
  return run(Op::Reduce, {x, Literal::full({x.dtype(), {}}, initial)}, {{"dimensions", Integers{0}}}, {body});
}

TEST(Semantics, SumsOfHalfPrecision) {
  for (const DType dtype : {DType::F16, DType::BF16}) {
    const Literal ones = Literal::full({dtype, {4096}}, 1);
    EXPECT_EQ(reduced(ones, reducer(Op::Add, dtype), 0).get_double(0), 4096);
    // The same sum as a body that is not one operation: it stops where 1 is half a unit.
    auto body = std::make_shared<Graph>();
    Builder b{*body};
    const Value x = body->parameter({dtype, {}}), y = body->parameter({dtype, {}});
    body->results = {b.subtract(x, b.negate(y))};
    EXPECT_EQ(reduced(ones, body, 0).get_double(0), dtype == DType::F16 ? 2048 : 256);
  }
}

TEST(Semantics, OrderOfAReduction) {
  auto body = std::make_shared<Graph>();
  const Value x = body->parameter({DType::F64, {}}), y = body->parameter({DType::F64, {}});
  body->results = {Builder{*body}.subtract(x, y)};
  EXPECT_EQ(reduced(row<double>({1, 2, 4}), body, 100).get_double(0), 93);
  EXPECT_EQ(reduced(row<float>({1e8F, 1, -1e8F, 1}), reducer(Op::Add, DType::F32), 0).get_double(0), 2);
}

TEST(Semantics, Bits) {
  const auto cast = [](const Literal& x, const char* to) {
    return run(Op::BitcastConvert, {x}, {{"dtype", std::string(to)}});
  };
  const Literal narrow = cast(row<std::uint32_t>({0x04030201U, 0xffU}), "ui8");
  EXPECT_EQ(narrow.shape(), (Shape{2, 4}));
  EXPECT_EQ(texts(narrow), (Texts{"1", "2", "3", "4", "255", "0", "0", "0"}));
  EXPECT_EQ(cast(narrow, "ui32").get_integer(0), 0x04030201);
  EXPECT_EQ(cast(row<float>({1}), "i32").get_integer(0), 0x3f800000);
  EXPECT_THROW(cast(row<std::uint8_t>({1}), "i1"), Error);
  EXPECT_THROW(cast(row<std::uint8_t>({1, 2, 3}), "i32"), Error);
}

TEST(Semantics, ReducedPrecision) {
  const auto reduce = [](const std::vector<float>& x, std::int64_t exponent, std::int64_t mantissa) {
    return run<float>(Op::ReducePrecision, x, {{"exponent_bits", exponent}, {"mantissa_bits", mantissa}});
  };
  const std::vector<float> x = {1.0F + 0x1p-11F, 1.0F + 3 * 0x1p-11F, 65504, 65519, 65520, 0x1p-14F, 0x1p-15F};
  const std::vector<float> expected = {1, 1.0F + 0x1p-9F, 65504, 65504, INFINITY, 0x1p-14F, 0};
  EXPECT_EQ(reduce(x, 5, 10), expected);
  EXPECT_TRUE(std::signbit(reduce({-1e-30F}, 5, 10)[0]));
  EXPECT_TRUE(std::isnan(reduce({NAN}, 5, 10)[0]));
  EXPECT_EQ(reduce({3.14159F, -1e38F}, 8, 23), (std::vector<float>{3.14159F, -1e38F}));
  EXPECT_EQ(reduce({3, 6, 0.75F, 5}, 8, 0), (std::vector<float>{2, 8, 0.5F, 4}));  // ties to the even exponent field
}

TEST(Semantics, Iota) {
  const auto iota = [](const char* dtype) {
    return run(Op::Iota, {},
               {{"dtype", std::string(dtype)}, {"iota_dimension", std::int64_t{0}}, {"shape", Integers{4000}}});
  };
  EXPECT_EQ(iota("i8").get_integer(130), -126);
  EXPECT_EQ(iota("f16").get_double(2049), 2048);
  EXPECT_EQ(iota("bf16").get_double(259), 260);
}

TEST(Semantics, NoShortcuts) {
  const Literal x = row<float>({INFINITY, NAN});
  EXPECT_EQ(texts(run(Op::Multiply, {x, row<float>({0, 0})})), (Texts{"nan", "nan"}));
  EXPECT_EQ(texts(run(Op::Subtract, {x, x})), (Texts{"nan", "nan"}));
}

/// The derivative of `build` at `at`, element by element, in the direction of ones.
Texts slope(const std::function<Value(Builder&, Value)>& build, const std::vector<double>& at) {
  Graph graph;
  const Value x = graph.parameter(row(at).type());
  Builder b{graph};
  graph.results = {build(b, x)};
  return texts(
      interpret(*transform::jvp(graph, {true}), std::vector<Literal>{row(at), Literal::full(row(at).type(), 1)})[1]);
}

TEST(Semantics, BranchesOutOfRange) {
  std::vector<GraphPtr> branches;
  for (const double value : {10, 20, 30}) {
    auto graph = std::make_shared<Graph>("branch");
    graph->results = {Builder{*graph}.full(DType::F32, value)};
    branches.push_back(graph);
  }
  const auto chosen = [&](std::int32_t index) {
    return run(Op::Case, {Literal::full_integer({DType::I32, {}}, index)}, {}, branches).get_double(0);
  };
  EXPECT_EQ(chosen(0), 10);
  EXPECT_EQ(chosen(2), 30);
  EXPECT_EQ(chosen(3), 30);
  EXPECT_EQ(chosen(-1), 30);
  EXPECT_EQ(chosen(std::numeric_limits<std::int32_t>::min()), 30);
}

/// (a0, b0, a1, b1) -> a0 direction b0
GraphPtr by_first(const char* direction) {
  auto graph = std::make_shared<Graph>("comparator");
  for (int i = 0; i < 4; ++i) graph->parameter({DType::F32, {}});
  graph->results = {Builder{*graph}.compare(graph->parameters[0], graph->parameters[1], direction)};
  return graph;
}

TEST(Semantics, OrderOfEquals) {
  const std::vector<float> keys{2, 1, 2, 1, 1}, marks{0, 1, 2, 3, 4};
  const auto order = [&](const char* direction, bool is_stable) {
    Graph graph;
    for (int i = 0; i < 2; ++i) graph.parameter({DType::F32, {5}});
    graph.results = graph.add(Op::Sort, graph.parameters, {{"dimension", std::int64_t{0}}, {"is_stable", is_stable}},
                              {by_first(direction)});
    const Literal made = interpret(graph, std::vector{row(keys), row(marks)})[1];
    return std::vector<float>(made.as<float>().begin(), made.as<float>().end());
  };
  EXPECT_EQ(order("LT", false), (std::vector<float>{1, 3, 4, 0, 2}));
  EXPECT_EQ(order("GT", true), (std::vector<float>{0, 2, 1, 3, 4}));
  std::vector<float> any = order("NE", true);  // no order at all
  std::sort(any.begin(), any.end());
  EXPECT_EQ(any, marks);
}

TEST(Semantics, LargestElements) {
  Graph graph;
  graph.parameter({DType::F32, {8}});
  graph.results = graph.add(Op::TopK, graph.parameters, {{"k", std::int64_t{8}}});
  const float nan = std::nanf("");
  const auto made =
      interpret(graph, std::vector{row(std::vector<float>{-nan, 1, -0.0F, 0, 1, nan, -INFINITY, INFINITY})});
  EXPECT_EQ(texts(made[0]), (std::vector<std::string>{"nan", "inf", "1", "1", "0", "-0", "-inf", "nan"}));
  EXPECT_EQ(texts(made[1]), (std::vector<std::string>{"5", "7", "1", "4", "3", "2", "6", "0"}));
}

TEST(Semantics, DerivativesAtTies) {
  const auto relu = [](Builder& b, Value x) { return b.binary(Op::Maximum, x, b.zeros_like(x)); };
  EXPECT_EQ(slope(relu, {-1, 0, 1}), (Texts{"0", "0.5", "1"}));
  EXPECT_EQ(slope([](Builder& b, Value x) { return b.unary(Op::Abs, x); }, {-1, 0, 1}), (Texts{"-1", "0", "1"}));
  const auto clamp = [](Builder& b, Value x) {
    return b.graph.add1(Op::Clamp, {b.full(b.dtype(x), 0), x, b.full(b.dtype(x), 2)});
  };
  EXPECT_EQ(slope(clamp, {-1, 0, 1, 2, 3}), (Texts{"0", "0", "1", "0", "0"}));

  Graph graph;
  const Value x = graph.parameter({DType::F64, {4}});
  graph.results = {Builder{graph}.reduce(Op::Maximum, x, {0})};
  const auto pullback = transform::vjp(graph, {true}, {true});
  EXPECT_EQ(texts(interpret(*pullback,
                            std::vector<Literal>{row<double>({1, 3, 3, 2}), Literal::full({DType::F64, {}}, 1)})[1]),
            (Texts{"0", "0.5", "0.5", "0"}));
}

TEST(Semantics, DerivativesOfProductsWithZeros) {
  // The gradient of the product, and the gradient of its first element.
  Graph graph;
  const Value x = graph.parameter({DType::F64, {3}});
  graph.results = {Builder{graph}.reduce(Op::Multiply, x, {0})};
  const auto first = transform::vjp(graph, {true}, {true});
  const Literal one = Literal::full({DType::F64, {}}, 1);
  const auto gradient = [&](const std::vector<double>& at) {
    return texts(interpret(*first, std::vector<Literal>{row(at), one})[1]);
  };
  EXPECT_EQ(gradient({2, 3, 5}), (Texts{"15", "10", "6"}));
  EXPECT_EQ(gradient({2, 0, 5}), (Texts{"0", "10", "0"}));
  EXPECT_EQ(gradient({0, 0, 5}), (Texts{"0", "0", "0"}));
  const auto second = transform::jvp(*first, {true, false});
  const auto mixed = interpret(*second, std::vector<Literal>{row<double>({0, 0, 5}), one, row<double>({1, 0, 0})});
  EXPECT_EQ(texts(mixed[3]), (Texts{"0", "5", "0"}));
}

TEST(Semantics, DerivativesOfPowersAtZero) {
  const auto to_the = [](double exponent) {
    return [=](Builder& b, Value x) { return b.binary(Op::Power, x, b.full_like(x, exponent)); };
  };
  EXPECT_EQ(slope(to_the(0), {0, 2}), (Texts{"0", "0"}));
  EXPECT_EQ(slope(to_the(1), {0, 2}), (Texts{"1", "1"}));
  EXPECT_EQ(slope(to_the(2), {0, -3}), (Texts{"0", "-6"}));
  EXPECT_EQ(slope([](Builder& b, Value x) { return b.binary(Op::Power, b.zeros_like(x), x); }, {2, 3}),
            (Texts{"0", "0"}));
}

TEST(Semantics, DerivativesOfOrders) {
  Graph graph;
  graph.parameter({DType::F32, {3}});
  graph.results = graph.add(Op::TopK, graph.parameters, {{"k", std::int64_t{2}}});
  const auto largest = transform::jvp(graph, {true});
  const auto made =
      interpret(*largest, std::vector{row(std::vector<float>{1, 7, 3}), row(std::vector<float>{5, 6, 8})});
  EXPECT_EQ(texts(made[2]), (std::vector<std::string>{"6", "8"}));
  EXPECT_EQ(texts(made[3]), (std::vector<std::string>{"0", "0"}));
}

TEST(Semantics, DerivativesOfWhatIsPiecewiseConstant) {
  for (const Op op : {Op::Floor, Op::Ceil, Op::RoundNearestEven, Op::RoundNearestAfz, Op::Sign})
    EXPECT_EQ(slope([=](Builder& b, Value x) { return b.unary(op, x); }, {0.5, 2}), (Texts{"0", "0"})) << name(op);
  const auto coarse = [](Builder& b, Value x) {
    return b.graph.add1(Op::ReducePrecision, {x},
                        {{"exponent_bits", std::int64_t{8}}, {"mantissa_bits", std::int64_t{2}}});
  };
  EXPECT_EQ(slope(coarse, {0.6}), (Texts{"1"}));
  EXPECT_EQ(slope([](Builder& b, Value x) { return b.convert(b.convert(x, DType::I32), DType::F64); }, {2}),
            (Texts{"0"}));
}

TEST(Values, ElementaryFunctionsAreWithinOneUnitOfLongDouble) {
  struct Function {
    Op op;
    long double (*exact)(long double);
    cases::Range range;
  };
  const std::vector<Function> functions = {
      {Op::Cbrt, [](long double x) { return std::cbrt(x); }, {-9, 9}},
      {Op::Cosine, [](long double x) { return std::cos(x); }, {-30, 30}},
      {Op::Erf, [](long double x) { return std::erf(x); }, {-3, 3}},
      {Op::Exponential, [](long double x) { return std::exp(x); }, {-30, 30}},
      {Op::ExponentialMinusOne, [](long double x) { return std::expm1(x); }, {-3, 3}},
      {Op::Log, [](long double x) { return std::log(x); }, {0, 9}},
      {Op::LogPlusOne, [](long double x) { return std::log1p(x); }, {-1, 9}},
      {Op::Logistic, [](long double x) { return 1 / (1 + std::exp(-x)); }, {-20, 20}},
      {Op::Rsqrt, [](long double x) { return 1 / std::sqrt(x); }, {0, 9}},
      {Op::Sine, [](long double x) { return std::sin(x); }, {-30, 30}},
      {Op::Sqrt, [](long double x) { return std::sqrt(x); }, {0, 9}},
      {Op::Tan, [](long double x) { return std::tan(x); }, {-3, 3}},
      {Op::Tanh, [](long double x) { return std::tanh(x); }, {-4, 4}}};
  for (const auto& [op, exact, range] : functions) {
    const Literal x = cases::random_literal({DType::F32, {2000}}, range, 5);
    const Literal y = run(op, {x});
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const auto expected = static_cast<float>(exact(static_cast<long double>(x.get_double(i))));
      const float unit = std::nextafter(std::abs(expected), INFINITY) - std::abs(expected);
      EXPECT_LE(std::abs(y.get_double(i) - expected), unit) << name(op) << " of " << x.get_double(i);
    }
  }
}

TEST(Values, ClassicalValues) {
  EXPECT_EQ(texts(run(Op::CountLeadingZeros, {row<std::int64_t>({0, 1, 128, -1})})), (Texts{"64", "63", "56", "0"}));
  EXPECT_EQ(texts(run(Op::Popcnt, {row<std::int64_t>({0, 1, 2, 127})})), (Texts{"0", "1", "1", "7"}));
  EXPECT_EQ(texts(run(Op::CountLeadingZeros, {row<std::uint8_t>({0, 1, 128})})), (Texts{"8", "7", "0"}));
  EXPECT_EQ(texts(run(Op::IsFinite, {row<double>({-kInfinity, kInfinity, kNaN, -10, -0.0, 10})})),
            (Texts{"0", "0", "0", "1", "1", "1"}));
  EXPECT_EQ(texts(run(Op::Atan2, {row<double>({0.0, -0.0, 1}), row<double>({-1, -1, 0})})),
            (Texts{"3.14159", "-3.14159", "1.5708"}));
  EXPECT_EQ(texts(run(Op::Not, {row<std::int16_t>({-2, 0})})), (Texts{"1", "-1"}));
}

}  // namespace
}  // namespace tessera
