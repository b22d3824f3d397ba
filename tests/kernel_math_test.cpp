// The elementary functions of kernel/math.cpp against libm in a wider type: errors in units in the last place over the
// whole range of F32, and C's special cases.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "tessera/backend/cpu/jit.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kCount = 1 << 15;

struct Case {
  Function function;
  const char* name;
  long double (*reference)(long double, long double);
  bool binary = false;
};

const Case kCases[] = {
    {Function::Exp, "exp", [](long double x, long double) { return std::exp(x); }},
    {Function::Expm1, "expm1", [](long double x, long double) { return std::expm1(x); }},
    {Function::Log, "log", [](long double x, long double) { return std::log(x); }},
    {Function::Log1p, "log1p", [](long double x, long double) { return std::log1p(x); }},
    {Function::Sqrt, "sqrt", [](long double x, long double) { return std::sqrt(x); }},
    {Function::Rsqrt, "rsqrt", [](long double x, long double) { return 1 / std::sqrt(x); }},
    {Function::Cbrt, "cbrt", [](long double x, long double) { return std::cbrt(x); }},
    {Function::Sin, "sin", [](long double x, long double) { return std::sin(x); }},
    {Function::Cos, "cos", [](long double x, long double) { return std::cos(x); }},
    {Function::Tan, "tan", [](long double x, long double) { return std::tan(x); }},
    {Function::Tanh, "tanh", [](long double x, long double) { return std::tanh(x); }},
    {Function::Logistic, "logistic", [](long double x, long double) { return 1 / (1 + std::exp(-x)); }},
    {Function::Erf, "erf", [](long double x, long double) { return std::erf(x); }},
    {Function::Power, "pow", [](long double x, long double y) { return std::pow(x, y); }, true},
    {Function::Atan2, "atan2", [](long double x, long double y) { return std::atan2(x, y); }, true},
};

class MathTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::vector<Kernel> kernels(std::size(kCases));
    std::vector<const Kernel*> pointers;
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      kernels[i].name = std::string("f_") + kCases[i].name;
      Builder b(kernels[i]);
      const auto x = b.argument("x", DType::F32, kCount, false);
      const auto y = b.argument("y", DType::F32, kCount, false);
      const auto out = b.argument("out", DType::F32, kCount, true);
      const Expr j = b.open(LoopKind::Vector, "j", kCount);
      b.store(out, j, call(b, kCases[i].function, b.load(x, j), kCases[i].binary ? b.load(y, j) : kNone));
      b.close();
      verify(kernels[i]);
      pointers.push_back(&kernels[i]);
    }
    functions_ = cpu::compile_kernels(pointers);
  }
  static void TearDownTestSuite() { functions_.clear(); }

  static std::vector<float> run(std::size_t which, std::vector<float> x, std::vector<float> y) {
    x.resize(kCount);
    y.resize(kCount);
    std::vector<float> out(kCount);
    void* arguments[] = {x.data(), y.data(), out.data()};
    functions_[which].run(arguments, 0, 1);
    return out;
  }

  static std::size_t find(Function f) {
    for (std::size_t i = 0; i < std::size(kCases); ++i)
      if (kCases[i].function == f) return i;
    return 0;
  }
  static float one(Function f, float x, float y = 0) { return run(find(f), {x}, {y})[0]; }

  static std::vector<cpu::KernelFunction> functions_;
};
std::vector<cpu::KernelFunction> MathTest::functions_;

/// |got - reference| in units of F32's last place there.
double error_in_ulp(float got, long double reference) {
  const auto rounded = static_cast<float>(reference);
  if (std::isnan(rounded) || std::isnan(got)) return std::isnan(rounded) == std::isnan(got) ? 0 : INFINITY;
  if (std::isinf(rounded)) return got == rounded || std::nextafter(rounded, 0.0F) == got ? 0 : INFINITY;
  if (std::isinf(got))
    return std::abs(rounded) == std::numeric_limits<float>::max() && std::signbit(got) == std::signbit(rounded)
               ? 1
               : INFINITY;
  if (rounded == 0 && got == 0 && std::signbit(rounded) != std::signbit(got)) return INFINITY;
  const int exponent = rounded == 0 ? -149 : std::max(std::ilogb(rounded) - 23, -149);
  return static_cast<double>(std::abs(static_cast<long double>(got) - reference) / std::ldexp(1.0L, exponent));
}

TEST_F(MathTest, WithinThreeUnitsInTheLastPlace) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (std::size_t c = 0; c < std::size(kCases); ++c) {
    double worst = 0;
    float at_x = 0;
    float at_y = 0;
    // All exponents; then near 1, near 0, and where the function lives.
    for (const double range : {0.0, 1.0, 4.0, 30.0, 110.0, 1e5}) {
      std::vector<float> x(kCount);
      std::vector<float> y(kCount);
      const auto draw = [&] {
        if (range == 0) return std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        return static_cast<float>(std::uniform_real_distribution<double>(-range, range)(random));
      };
      for (float& v : x) v = draw();
      for (float& v : y) v = draw();
      if (range == 1)
        for (float& v : x) v = 1 + v / 64;  // logarithms change sign there
      const std::vector<float> out = run(c, x, y);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const long double reference = kCases[c].reference(x[i], y[i]);
        double error = error_in_ulp(out[i], reference);
        const bool trigonometric = kCases[c].function == Function::Sin || kCases[c].function == Function::Cos ||
                                   kCases[c].function == Function::Tan;
        // Far out the reduction is good to 2^-38 of a quarter turn, not relative to the result.
        if (trigonometric && std::abs(x[i]) > 0x1p28F &&
            std::abs(static_cast<long double>(out[i]) - reference) < 1e-10L * (1 + reference * reference))
          error = 0;
        if (error > worst) worst = error, at_x = x[i], at_y = y[i];
      }
    }
    EXPECT_LE(worst, 3.0) << kCases[c].name << "(" << at_x << ", " << at_y << ")";
    RecordProperty(kCases[c].name, std::to_string(worst));
  }
}

TEST_F(MathTest, SpecialValuesAreThoseOfC) {
  const float special[] = {0.0F,           -0.0F,   1.0F,  -1.0F,  0.5F,        -0.5F,           2.0F,
                           -2.0F,          3.0F,    -3.0F, 1e-45F, -1e-45F,     1.17549435e-38F, 3.4028235e38F,
                           -3.4028235e38F, kInf,    -kInf, kNaN,   88.7F,       88.8F,           -87.5F,
                           -103.9F,        -104.1F, 1e30F, -1e30F, 16777217.0F, 1e-30F,          -1e-30F};
  for (std::size_t c = 0; c < std::size(kCases); ++c) {
    std::vector<float> x;
    std::vector<float> y;
    for (const float u : special)
      for (const float v : special) x.push_back(u), y.push_back(v);
    const std::vector<float> out = run(c, x, y);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool far = (kCases[c].function == Function::Sin || kCases[c].function == Function::Cos ||
                        kCases[c].function == Function::Tan) &&
                       std::abs(x[i]) > 0x1p28F && std::abs(x[i]) < kInf;
      const long double reference = kCases[c].reference(x[i], y[i]);
      if (far)
        EXPECT_NEAR(out[i], static_cast<float>(reference), 1e-6 * (1 + static_cast<double>(reference * reference)));
      else
        EXPECT_LE(error_in_ulp(out[i], reference), 3) << kCases[c].name << "(" << x[i] << ", " << y[i] << ") is "
                                                      << out[i] << ", not " << static_cast<float>(reference);
    }
  }
}

TEST_F(MathTest, ExactWhereItMatters) {
  EXPECT_EQ(one(Function::Exp, 0), 1);
  EXPECT_EQ(one(Function::Log, 1), 0);
  EXPECT_EQ(one(Function::Tanh, 20), 1);
  EXPECT_EQ(one(Function::Logistic, 0), 0.5F);
  EXPECT_EQ(one(Function::Power, 2, 10), 1024);
  EXPECT_EQ(one(Function::Power, -3, 3), -27);
  EXPECT_EQ(one(Function::Erf, 5), 1);
}

TEST(MathF64, GoesToLibm) {
  Kernel k;
  k.name = "wide";
  Builder b(k);
  const auto x = b.argument("x", DType::F64, 3, false);
  const auto out = b.argument("out", DType::F64, 12, true);
  const Expr i = b.open(LoopKind::Serial, "i", 3);
  const Function functions[] = {Function::Exp, Function::Logistic, Function::Rsqrt, Function::Erf};
  for (std::int64_t f = 0; f < 4; ++f) b.store(out, b.add(i, b.index(3 * f)), call(b, functions[f], b.load(x, i)));
  b.close();
  verify(k);
  const Kernel* kernels[] = {&k};
  const auto compiled = cpu::compile_kernels(kernels);
  double in[] = {0.7, 3.0, 800.0};
  double got[12];
  void* arguments[] = {in, got};
  compiled[0].run(arguments, 0, 1);
  for (int i3 = 0; i3 < 3; ++i3) {
    EXPECT_EQ(got[i3], std::exp(in[i3]));
    EXPECT_DOUBLE_EQ(got[3 + i3], 1 / (1 + std::exp(-in[i3])));
    EXPECT_DOUBLE_EQ(got[6 + i3], 1 / std::sqrt(in[i3]));
    EXPECT_DOUBLE_EQ(got[9 + i3], std::erf(in[i3]));
  }
}

}  // namespace
}  // namespace tessera::kernel
