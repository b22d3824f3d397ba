// The kernel IR: what the Builder simplifies, what verify refuses, and how kernels read as text.
#include "tessera/kernel/kernel.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "operations.hpp"

namespace tessera::kernel {
namespace {

class IndexTest : public ::testing::Test {
 protected:
  IndexTest()
      : b(k),
        i(b.open(LoopKind::Serial, "i", 6)),
        j(b.open(LoopKind::Serial, "j", 8)),
        l(b.open(LoopKind::Serial, "l", 5)) {}
  Expr div(Expr a, std::int64_t by) { return b.binary(Op::Divide, a, b.index(by)); }
  Expr mod(Expr a, std::int64_t by) { return b.binary(Op::Remainder, a, b.index(by)); }
  Expr times(Expr a, std::int64_t by) { return b.mul(a, b.index(by)); }
  Expr plus(Expr a, std::int64_t by) { return b.add(a, b.index(by)); }
  Expr truth(bool value) { return b.integer(DType::Bool, value ? 1 : 0); }

  /// The value of an index expression, by the definition of each node.
  std::int64_t evaluate(Expr e, const std::vector<std::int64_t>& variables) {
    const Node n = b.node(e);
    if (n.op == Op::Constant) return n.integer;
    if (n.op == Op::Variable) return variables.at(static_cast<std::size_t>(n.index));
    const std::int64_t x = evaluate(n.a, variables);
    const std::int64_t y = evaluate(n.b, variables);
    switch (n.op) {
      case Op::Add: return x + y;
      case Op::Subtract: return x - y;
      case Op::Multiply: return x * y;
      case Op::Divide: return x / y;
      case Op::Remainder: return x % y;
      case Op::Less: return x < y ? 1 : 0;
      default: ADD_FAILURE() << name(n.op); return 0;
    }
  }

  Kernel k;
  Builder b;
  Expr i, j, l;
};

TEST_F(IndexTest, QuotientsAndRemaindersOfLinearIndicesVanish) {
  const Expr flat = b.add(times(b.add(times(i, 8), j), 5), l);  // i*40 + j*5 + l
  EXPECT_EQ(div(flat, 40), i);
  EXPECT_EQ(mod(div(flat, 5), 8), j);
  EXPECT_EQ(mod(flat, 5), l);
  EXPECT_EQ(div(mod(flat, 40), 5), j);
  EXPECT_EQ(div(div(flat, 5), 8), i);
  EXPECT_EQ(div(flat, 10), b.add(times(i, 4), div(j, 2)));
  EXPECT_EQ(b.add(times(div(flat, 7), 7), mod(flat, 7)), flat);
  // A quotient inside of a sum: rows of 3 pairs, in blocks of 8 threads.
  const Expr x = b.add(times(i, 8), j), pair = b.add(times(i, 4), div(j, 2));
  EXPECT_EQ(div(pair, 3), div(x, 6));
  EXPECT_EQ(b.add(b.add(mod(j, 2), times(mod(pair, 3), 2)), times(div(x, 6), 6)), x);
}

TEST_F(IndexTest, SumsCancel) {
  EXPECT_EQ(b.sub(b.add(i, j), i), j);
  EXPECT_EQ(b.sub(plus(times(i, 3), 4), times(i, 3)), b.index(4));
  EXPECT_EQ(b.add(i, i), times(i, 2));
  EXPECT_EQ(plus(plus(i, 3), -3), i);
  EXPECT_EQ(times(times(i, 3), 5), times(i, 15));
}

TEST_F(IndexTest, RangesDecideComparisons) {
  EXPECT_EQ(b.binary(Op::Less, i, b.index(6)), truth(true));
  EXPECT_EQ(b.binary(Op::GreaterEqual, j, b.index(8)), truth(false));
  EXPECT_EQ(b.binary(Op::Less, plus(i, -1), i), truth(true));
  EXPECT_EQ(b.node(b.binary(Op::Less, i, b.index(5))).op, Op::Less);
  EXPECT_EQ(b.binary(Op::Equal, i, b.index(9)), truth(false));
  EXPECT_EQ(b.binary(Op::Minimum, i, b.index(5)), i);
  EXPECT_EQ(b.binary(Op::Maximum, i, b.index(0)), i);
  EXPECT_EQ(b.node(b.binary(Op::Maximum, plus(i, -1), b.index(0))).op, Op::Maximum);
}

TEST_F(IndexTest, NegativeNumeratorsKeepTruncation) {
  EXPECT_EQ(b.node(div(plus(i, -3), 2)).op, Op::Divide);
  EXPECT_EQ(b.node(mod(plus(i, -3), 2)).op, Op::Remainder);
}

TEST_F(IndexTest, RandomExpressionsKeepTheirValues) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](std::size_t n) { return static_cast<std::int64_t>(random() % n); };
  struct Item {  // an expression with its values at some points of the loop nest, computed beside the Builder
    Expr e;
    std::vector<std::int64_t> values;
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::vector<std::int64_t>> points;
    std::vector<Item> items = {{i, {}}, {j, {}}, {l, {}}};
    for (int p = 0; p < 20; ++p) {
      points.push_back({pick(6), pick(8), pick(5)});
      for (std::size_t v = 0; v < 3; ++v) items[v].values.push_back(points.back()[v]);
    }
    for (int step = 0; step < 12; ++step) {
      const Item x = items[static_cast<std::size_t>(pick(items.size()))];
      const Item y = items[static_cast<std::size_t>(pick(items.size()))];
      const std::int64_t c = 1 + pick(12);
      Item result{};
      const std::int64_t what = pick(7);
      switch (what) {
        case 0: result.e = b.add(x.e, y.e); break;
        case 1: result.e = b.sub(x.e, y.e); break;
        case 2: result.e = times(x.e, c); break;
        case 3: result.e = plus(x.e, c); break;
        case 4: result.e = div(x.e, c); break;
        case 5: result.e = mod(x.e, c); break;
        default: result.e = b.binary(Op::Less, x.e, y.e);
      }
      for (std::size_t p = 0; p < points.size(); ++p) {
        const std::int64_t u = x.values[p];
        const std::int64_t v = y.values[p];
        const std::int64_t expected[] = {u + v, u - v, u * c, u + c, u / c, u % c, u < v ? 1 : 0};
        result.values.push_back(expected[what]);
        ASSERT_EQ(evaluate(result.e, points[p]), expected[what]) << "operation " << what << " with " << c;
      }
      if (what < 6) items.push_back(result);
    }
  }
}

TEST(Builder, FoldsConstantsWithTheRoundingOfTheirType) {
  Kernel k;
  Builder b(k);
  const auto f32 = [&](double v) { return b.constant(DType::F32, v); };
  EXPECT_EQ(b.add(f32(0x1p24), f32(1)), f32(0x1p24));
  EXPECT_EQ(b.binary(Op::Divide, f32(1), f32(3)), f32(1.0F / 3.0F));
  EXPECT_EQ(b.convert(DType::BF16, f32(1.00390625)), b.constant(DType::BF16, 1));
  EXPECT_EQ(b.convert(DType::I8, f32(300)), b.integer(DType::I8, 127));
  EXPECT_EQ(b.convert(DType::U8, f32(-3)), b.integer(DType::U8, 0));
  EXPECT_EQ(b.convert(DType::I32, f32(std::nan(""))), b.integer(DType::I32, 0));
  EXPECT_EQ(b.add(b.integer(DType::I8, 127), b.integer(DType::I8, 1)), b.integer(DType::I8, -128));
  EXPECT_EQ(b.binary(Op::Divide, b.integer(DType::I32, INT32_MIN), b.integer(DType::I32, -1)),
            b.integer(DType::I32, INT32_MIN));
  EXPECT_EQ(b.binary(Op::Divide, b.integer(DType::U8, 7), b.integer(DType::U8, 0)), b.integer(DType::U8, 255));
  EXPECT_EQ(b.binary(Op::Remainder, b.integer(DType::I32, 7), b.integer(DType::I32, 0)), b.integer(DType::I32, 7));
  EXPECT_EQ(b.binary(Op::ShiftLeft, b.integer(DType::I32, 1), b.integer(DType::I32, 32)), b.integer(DType::I32, 0));
  EXPECT_EQ(b.binary(Op::ShiftRightArithmetic, b.integer(DType::I8, -8), b.integer(DType::I8, 100)),
            b.integer(DType::I8, -1));
  EXPECT_EQ(b.unary(Op::CountLeadingZeros, b.integer(DType::U16, 1)), b.integer(DType::U16, 15));
}

TEST(Builder, ChangesFloatsOnlyWhereTheBitsStay) {
  Kernel k;
  Builder b(k);
  const Expr x = b.load(b.argument("x", DType::F32, 1, false), b.index(0));
  const auto f32 = [&](double v) { return b.constant(DType::F32, v); };
  EXPECT_NE(b.mul(x, f32(0)), f32(0));  // NaN, infinity, -0
  EXPECT_NE(b.add(x, f32(0)), x);       // -0 + 0 is 0
  EXPECT_EQ(b.add(x, f32(-0.0)), x);
  EXPECT_EQ(b.mul(x, f32(1)), x);
  EXPECT_NE(b.sub(x, x), f32(0));
  EXPECT_EQ(b.binary(Op::Maximum, x, f32(-INFINITY)), x);
  EXPECT_NE(b.binary(Op::Minimum, x, f32(-INFINITY)), x);  // NaN
  EXPECT_EQ(b.binary(Op::Divide, x, f32(8)), b.mul(x, f32(0.125)));
  EXPECT_EQ(b.node(b.binary(Op::Divide, x, f32(3))).op, Op::Divide);
  EXPECT_EQ(b.node(b.unary(Op::Not, b.binary(Op::Less, x, f32(1)))).op, Op::Not);  // NaN
  EXPECT_EQ(b.convert(DType::F32, b.convert(DType::F64, x)), x);
}

TEST(Builder, RefusesMixedTypes) {
  Kernel k;
  Builder b(k);
  EXPECT_THROW(b.add(b.constant(DType::F32, 1), b.index(1)), Error);
  EXPECT_THROW(b.binary(Op::And, b.constant(DType::F32, 1), b.constant(DType::F32, 2)), Error);
  EXPECT_THROW(b.unary(Op::Exp, b.constant(DType::F32, 1)), Error);
  EXPECT_THROW(b.close(), Error);
}

/// A kernel that is right: out[i] = a[i] + 1.
Kernel good() {
  Kernel k;
  k.name = "good";
  Builder b(k);
  const auto a = b.argument("a", DType::F32, 40, false);
  const auto out = b.argument("out", DType::F32, 40, true);
  const Expr i = b.open(LoopKind::Parallel, "i", 4);
  const Expr j = b.open(LoopKind::Vector, "j", 10);
  const Expr at = b.add(b.mul(i, b.index(10)), j);
  b.store(out, at, b.add(b.load(a, at), b.constant(DType::F32, 1)));
  b.close();
  b.close();
  return k;
}

TEST(Verify, NamesTheRuleThatIsBroken) {
  EXPECT_EQ(complaint(good()), "");
  Kernel k = good();
  k.arguments[1].written = false;
  EXPECT_NE(complaint(k).find("not declared as written"), std::string::npos);
  k = good();
  k.arguments[0].dtype = DType::F64;
  EXPECT_NE(complaint(k).find("wrong type"), std::string::npos);
  k = good();
  k.body.push_back(k.body[0]);
  EXPECT_NE(complaint(k).find("only outermost"), std::string::npos);
  k = good();
  k.body = std::vector<Statement>(k.body[0].body);
  EXPECT_NE(complaint(k).find("outside of its loop"), std::string::npos);
  {
    Kernel out_of_range;
    Builder b(out_of_range);
    b.store(b.argument("out", DType::F32, 3, true), b.index(3), b.constant(DType::F32, 0));
    EXPECT_NE(complaint(out_of_range).find("outside of out, which has 3 elements"), std::string::npos);
  }
  {
    Kernel shared;
    Builder b(shared);
    const auto sum = b.local("sum", DType::F32);
    b.open(LoopKind::Vector, "j", 10);
    b.write(sum, b.constant(DType::F32, 0));
    b.close();
    EXPECT_NE(complaint(shared).find("every lane needs an element of its own of sum"), std::string::npos);
  }
}

TEST(Text, KeysIgnoreNamesAndLeftovers) {
  const Kernel a = good();
  Kernel b = good();
  b.name = "other";
  b.arguments[0].name = "input";
  b.comment = "model.cpp:7";
  b.nodes.push_back(b.nodes[0]);
  EXPECT_EQ(a.key(), b.key());
  EXPECT_EQ(a.parallel_extent(), 4);
  b.variables[1].extent = 9;
  EXPECT_NE(a.key(), b.key());
}

TEST(Text, ReadsWell) {
  EXPECT_EQ(to_string(good()),
            "kernel good\n"
            "  in  a: f32[40]\n"
            "  out out: f32[40]\n"
            "  %2: i64 = multiply i, 10\n"
            "  %4: i64 = add %2, j\n"
            "  %5: f32 = a[%4]\n"
            "  %7: f32 = add %5, 1\n"
            "  parallel i < 4\n"
            "    vector j < 10\n"
            "      out[%4] = %7\n");
}

TEST(Text, PlainC) {
  Kernel k = good();
  k.comment = "add, f32[4, 10]\nmodel.cpp:12";
  EXPECT_EQ(render_c(k),
            "// good\n"
            "// add, f32[4, 10]\n"
            "// model.cpp:12\n"
            "#include <math.h>\n#include <stdbool.h>\n#include <stdint.h>\n#include <string.h>\n\n"
            "void good(void* const* arguments, int64_t begin, int64_t end) {\n"
            "  const float* a = arguments[0];  // f32[40]\n"
            "  float* out = arguments[1];  // f32[40]\n"
            "  for (int64_t i = begin; i < end; ++i) {  // parallel, 4\n"
            "    for (int64_t j = 0; j < 10; ++j) {  // vector\n"
            "      const int64_t n0 = (i * 10) + j;\n"
            "      out[n0] = a[n0] + 1.0f;\n"
            "    }\n"
            "  }\n"
            "}\n");
}

}  // namespace
}  // namespace tessera::kernel
