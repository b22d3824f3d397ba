// The renderers against each other: plain C and LLVM compute the same bits of the same kernel (any NaN equals any NaN).
// Operations at their edge values are also held against the Builder's constant folding.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "kernel_interpreter.hpp"
#include "operations.hpp"
#include "tessera/backend/cpu/ccompiler.hpp"
#include "tessera/backend/cpu/jit.hpp"

namespace tessera::kernel {
namespace {

void run(const cpu::KernelFunction& f, const Kernel& k, const Buffers& buffers) {
  std::vector<void*> arguments;
  for (const Literal& b : buffers) arguments.push_back(b.data());
  const std::int64_t extent = k.parallel_extent();
  f.run(arguments.data(), 0, extent / 2);  // in two parts, as two threads would
  f.run(arguments.data(), extent / 2, extent);
}

/// Runs all kernels on both paths and compares every buffer.
void expect_equal(const std::vector<Kernel>& kernels, std::mt19937& random) {
  std::vector<const Kernel*> pointers;
  for (const Kernel& k : kernels) {
    ASSERT_NO_THROW(verify(k)) << to_string(k);
    pointers.push_back(&k);
  }
  const auto by_c = cpu::compile_by_c(pointers);
  const auto compiled = cpu::compile_kernels(pointers);
  for (std::size_t n = 0; n < kernels.size(); ++n) {
    const Buffers start = make_buffers(kernels[n], random);
    const Buffers expected = copy(start);
    const Buffers got = copy(start);
    run(by_c[n], kernels[n], expected);
    run(compiled[n], kernels[n], got);
    for (std::size_t a = 0; a < start.size(); ++a) {
      const std::int64_t at = difference(expected[a], got[a]);
      ASSERT_EQ(at, -1) << kernels[n].name << ", argument " << kernels[n].arguments[a].name << ": C has "
                        << expected[a].get_double(at) << ", LLVM " << got[a].get_double(at) << "\n"
                        << to_string(kernels[n]) << render_c(kernels[n]);
      for (std::int64_t i = kernels[n].arguments[a].count; i < start[a].size(); ++i)
        ASSERT_EQ(std::memcmp(start[a].data() + static_cast<std::size_t>(i) * size_of(start[a].dtype()),
                              got[a].data() + static_cast<std::size_t>(i) * size_of(start[a].dtype()),
                              size_of(start[a].dtype())),
                  0)
            << kernels[n].name << " wrote behind " << kernels[n].arguments[a].name;
    }
  }
}

class RenderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {  // random kernels are not worth keeping
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera-render-XXXXXX").string();
    cache_ = mkdtemp(pattern.data());
    ::setenv("TESSERA_CACHE", cache_.c_str(), 1);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(cache_); }
  void SetUp() override {
    const unsigned seed = std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    trace_ = std::make_unique<::testing::ScopedTrace>(__FILE__, __LINE__, "seed " + std::to_string(seed));
    random.seed(seed);
  }
  std::mt19937 random;

 private:
  static std::string cache_;
  std::unique_ptr<::testing::ScopedTrace> trace_;
};
std::string RenderTest::cache_;

/// out_r[i] = operation r of (x[i], y[i], z[i]).
Kernel operations_kernel(DType d, std::int64_t n, LoopKind kind) {
  Kernel k;
  k.name = std::string(kind == LoopKind::Vector ? "vector_" : "scalar_") + std::string(tessera::name(d));
  Builder b(k);
  const auto x = b.argument("x", d, n, false);
  const auto y = b.argument("y", d, n, false);
  const auto z = b.argument("z", d, n, false);
  const Expr i = b.open(kind, "i", n);
  for (const Expr e : all_operations(b, d, b.load(x, i), b.load(y, i), b.load(z, i)))
    b.store(b.argument("out", b.dtype(e), n, true), i, e);
  b.close();
  return k;
}

TEST_F(RenderTest, EveryOperationOnEveryType) {
  std::vector<Kernel> kernels;
  for (const DType d : kTypes)
    for (const LoopKind kind : {LoopKind::Vector, LoopKind::Serial}) kernels.push_back(operations_kernel(d, 150, kind));
  expect_equal(kernels, random);
}

TEST_F(RenderTest, ConstantsFoldToWhatTheProcessorComputes) {
  for (const DType d : kTypes) {
    const Kernel k = operations_kernel(d, 40, LoopKind::Serial);
    const Kernel* pointers[] = {&k};
    const auto compiled = cpu::compile_kernels(pointers);
    const Buffers buffers = make_buffers(k, random);
    run(compiled[0], k, buffers);
    Kernel folded;
    Builder b(folded);
    for (std::int64_t i = 0; i < 40; ++i) {
      const auto operand = [&](std::size_t a) {
        return is_float(d)
                   ? b.constant(d, buffers[a].get_double(i))
                   : b.integer(d, d == DType::U64 ? static_cast<std::int64_t>(
                                                        buffers[a].as<std::uint64_t>()[static_cast<std::size_t>(i)])
                                                  : buffers[a].get_integer(i));
      };
      const std::vector<Expr> results = all_operations(b, d, operand(0), operand(1), operand(2));
      for (std::size_t r = 0; r < results.size(); ++r) {
        const Node& node = b.node(results[r]);
        if (node.op != Op::Constant) continue;  // bits of a NaN
        const Literal& out = buffers[r + 3];
        const std::string what = std::string(tessera::name(d)) + " operation " + std::to_string(r) + " at " +
                                 std::to_string(buffers[0].get_double(i)) + ", " +
                                 std::to_string(buffers[1].get_double(i));
        if (is_float(node.dtype)) {
          const double got = out.get_double(i);
          const bool both_nan = std::isnan(node.real) && std::isnan(got);
          EXPECT_TRUE(both_nan || std::bit_cast<std::uint64_t>(got) == std::bit_cast<std::uint64_t>(node.real))
              << what << ": " << got << ", folded " << node.real;
        } else if (node.dtype == DType::U64) {
          EXPECT_EQ(out.as<std::uint64_t>()[static_cast<std::size_t>(i)], static_cast<std::uint64_t>(node.integer))
              << what;
        } else {
          EXPECT_EQ(out.get_integer(i), node.integer) << what;
        }
      }
    }
  }
}

TEST_F(RenderTest, TailsOfEveryLength) {
  std::vector<Kernel> kernels;
  for (std::int64_t n = 1; n <= 40; ++n) {
    Kernel k;
    k.name = "tail" + std::to_string(n);
    Builder b(k);
    const auto a = b.argument("a", DType::F32, n, false);
    const auto flags = b.argument("flags", DType::Bool, n, false);
    const auto out = b.argument("out", DType::F32, n, true);
    const auto bytes = b.argument("bytes", DType::U8, n, true);
    const Expr j = b.open(LoopKind::Vector, "j", n);
    b.store(out, j, b.fma(b.load(a, j), b.load(a, b.sub(b.index(n - 1), j)), b.convert(DType::F32, j)));
    b.store(bytes, j, b.convert(DType::U8, j), b.load(flags, j));
    b.close();
    kernels.push_back(std::move(k));
  }
  expect_equal(kernels, random);
}

/// Sums, maxima and a normalisation of each row: lane accumulators, a tree over lanes, a scratch row.
Kernel rows_kernel(std::int64_t rows, std::int64_t columns) {
  Kernel k;
  k.name = "rows" + std::to_string(columns);
  Builder b(k);
  const auto a = b.argument("a", DType::F32, rows * columns, false);
  const auto total = b.argument("total", DType::F32, rows, true);
  const auto out = b.argument("out", DType::F32, rows * columns, true);
  const auto sum = b.local("sum", DType::F32, kLanes);
  const auto most = b.local("most", DType::F32, kLanes);
  const auto row = b.local("row", DType::F32, columns);
  const Expr i = b.open(LoopKind::Parallel, "i", rows);
  for (std::int64_t l = 0; l < kLanes; ++l) {
    b.write(sum, b.index(l), b.constant(DType::F32, 0));
    b.write(most, b.index(l), b.constant(DType::F32, -INFINITY));
  }
  Expr j = b.open(LoopKind::Vector, "j", columns);
  const Expr x = b.load(a, b.add(b.mul(i, b.index(columns)), j));
  b.write(row, j, b.mul(x, b.constant(DType::F32, 3)));
  b.write(sum, b.lane(), b.add(b.read(sum, b.lane()), x));
  b.write(most, b.lane(), b.binary(Op::Maximum, b.read(most, b.lane()), b.read(row, j)));
  b.close();
  const Expr l = b.open(LoopKind::Serial, "l", kLanes - 1);
  const Expr next = b.add(l, b.index(1));
  b.write(sum, b.index(0), b.add(b.read(sum, b.index(0)), b.read(sum, next)));
  b.close();
  for (std::int64_t half = kLanes / 2; half >= 1; half /= 2) {
    const Expr h = b.open(LoopKind::Vector, "h", half);
    b.write(most, h, b.binary(Op::Maximum, b.read(most, h), b.read(most, b.add(h, b.index(half)))));
    b.close();
  }
  b.store(total, i, b.read(sum, b.index(0)));
  j = b.open(LoopKind::Vector, "j", columns);
  b.store(out, b.add(b.mul(i, b.index(columns)), j), b.sub(b.read(row, j), b.read(most, b.index(0))));
  b.close();
  b.close();
  return k;
}

/// Sums over the rows: a block of accumulators that every row adds to.
Kernel columns_kernel(std::int64_t rows, std::int64_t columns) {
  Kernel k;
  k.name = "columns" + std::to_string(columns);
  Builder b(k);
  const auto a = b.argument("a", DType::F64, rows * columns, false);
  const auto out = b.argument("out", DType::F64, columns, true);
  const auto sum = b.local("sum", DType::F64, columns);
  Expr j = b.open(LoopKind::Vector, "j", columns);
  b.write(sum, j, b.constant(DType::F64, 0));
  b.close();
  const Expr i = b.open(LoopKind::Serial, "i", rows);
  j = b.open(LoopKind::Vector, "j", columns);
  b.write(sum, j, b.add(b.read(sum, j), b.load(a, b.add(b.mul(i, b.index(columns)), j))),
          b.binary(Op::Less, j, b.index(columns - 1)));
  b.close();
  b.close();
  j = b.open(LoopKind::Vector, "j", columns);
  b.store(out, j, b.read(sum, j));
  b.close();
  return k;
}

TEST_F(RenderTest, Reductions) {
  std::vector<Kernel> kernels;
  for (const std::int64_t columns : {1, 2, 5, 8, 16, 17, 37, 64, 100}) kernels.push_back(rows_kernel(3, columns));
  for (const std::int64_t columns : {1, 6, 16, 40, 64, 130}) kernels.push_back(columns_kernel(7, columns));
  expect_equal(kernels, random);
}

TEST_F(RenderTest, IndicesOfEveryKind) {
  std::vector<Kernel> kernels;
  for (const std::int64_t n : {16, 33, 48, 160}) {
    Kernel k;
    k.name = "indices" + std::to_string(n);
    Builder b(k);
    const auto a = b.argument("a", DType::F32, n * 8, false);
    const auto small = b.argument("small", DType::I16, n * 8, false);
    const auto flags = b.argument("flags", DType::Bool, n * 8, false);
    const auto where = b.argument("where", DType::U8, n, false);
    const Expr i = b.open(LoopKind::Parallel, "i", 4);
    const Expr j = b.open(LoopKind::Vector, "j", n);
    const auto out = [&](Expr at, Expr value) { b.store(b.argument("out", b.dtype(value), n * 8, true), at, value); };
    const Expr at = b.add(b.mul(i, b.index(n)), j);
    const auto divide = [&](Expr x, std::int64_t by) { return b.binary(Op::Divide, x, b.index(by)); };
    const auto remainder = [&](Expr x, std::int64_t by) { return b.binary(Op::Remainder, x, b.index(by)); };
    out(at, b.load(a, b.add(b.mul(j, b.index(2)), i)));      // strided
    out(b.add(b.mul(j, b.index(4)), i), b.load(small, at));  // strided store
    out(at, b.load(a, b.sub(b.index(n * 4 - 1), at)));       // reversed
    out(at, b.load(a, i));                                   // the same for all lanes
    out(at, b.load(a, remainder(at, 7)));                    // periods that are
    out(at, b.load(small, divide(at, 5)));                   // no multiples
    out(at, b.load(a, remainder(j, 16)));                    // and that are
    out(at, b.load(a, divide(j, 16)));
    out(at, b.load(a, b.convert(DType::I64, b.load(where, j)),
                   b.binary(Op::Less, b.load(where, j), b.integer(DType::U8, n < 32 ? n * 8 - 1 : 255))));  // gathered
    out(at, b.load(a, b.sub(at, b.index(3)), b.binary(Op::GreaterEqual, j, b.index(3))));                   // padded
    out(at,
        b.load(small, b.add(at, b.index(9)), b.binary(Op::Less, i, b.index(2))));  // a predicate that all lanes share
    out(at, b.load(flags, b.add(at, b.index(1))));
    b.store(b.argument("masked", DType::F32, n * 8, true), at, b.load(a, at), b.load(flags, at));
    b.store(b.argument("whole", DType::F32, n * 8, true), at, b.load(a, at), b.load(flags, i));
    b.close();
    b.close();
    kernels.push_back(std::move(k));
  }
  expect_equal(kernels, random);
}

TEST_F(RenderTest, AWindowInsideAVectorLoop) {
  Kernel k;
  k.name = "window";
  Builder b(k);
  const auto a = b.argument("a", DType::F32, 50 * 3, false);
  const auto out = b.argument("out", DType::F32, 50, true);
  const auto best = b.local("best", DType::F32, kLanes);
  const auto place = b.local("place", DType::I64, kLanes);
  const Expr j = b.open(LoopKind::Vector, "j", 50);
  b.write(best, b.lane(), b.constant(DType::F32, -INFINITY));
  b.write(place, b.lane(), b.index(0));
  const Expr w = b.open(LoopKind::Serial, "w", 3);
  const Expr x = b.load(a, b.add(b.mul(j, b.index(3)), w));
  b.write(place, b.lane(), w, b.binary(Op::Greater, x, b.read(best, b.lane())));
  b.write(best, b.lane(), b.select(b.binary(Op::Greater, x, b.read(best, b.lane())), x, b.read(best, b.lane())));
  b.close();
  b.store(out, j, b.add(b.read(best, b.lane()), b.convert(DType::F32, b.read(place, b.lane()))));
  b.close();
  expect_equal({k}, random);
}

TEST_F(RenderTest, InPlaceAliasOfAWholeArgument) {
  Kernel k;
  k.name = "in_place";
  Builder b(k);
  const auto a = b.argument("a", DType::F32, 3 * 77, false);
  const auto scale = b.argument("scale", DType::F32, 3, false);
  const auto out = b.argument("out", DType::F32, 3 * 77, true);
  const Expr i = b.open(LoopKind::Parallel, "i", 3);
  const Expr j = b.open(LoopKind::Vector, "j", 77);
  const Expr at = b.add(b.mul(i, b.index(77)), j);
  b.store(out, at, b.fma(b.load(a, at), b.load(scale, i), b.load(a, at)));
  b.close();
  b.close();
  const Kernel* pointers[] = {&k};
  const auto compiled = cpu::compile_kernels(pointers);
  Buffers apart = make_buffers(k, random);
  Buffers together = copy(apart);
  together[2] = together[0];
  run(compiled[0], k, apart);
  run(compiled[0], k, together);
  Literal expected(TensorType{DType::F32, {3 * 77}});
  Literal got(TensorType{DType::F32, {3 * 77}});
  std::memcpy(expected.data(), apart[2].data(), expected.bytes());
  std::memcpy(got.data(), together[2].data(), got.bytes());
  EXPECT_EQ(difference(expected, got), -1);
}

/// Two stores of values that need both the loaded a[at] and what a statement may have changed: a local, or an argument
/// that is written. The first store may overwrite a[at].
Kernel load_used_twice(LoopKind kind, bool by_local) {
  constexpr std::int64_t kCount = 45;
  Kernel k;
  k.name = std::string(kind == LoopKind::Vector ? "vector" : "serial") + (by_local ? "_local" : "_argument");
  Builder b(k);
  const auto a = b.argument("a", DType::F32, kCount, false);
  const auto out = b.argument("out", DType::F32, kCount, true);
  const auto second = b.argument("second", DType::F32, kCount, true);
  const auto changing = b.argument("changing", DType::F32, kCount, true);
  const auto sum = b.local("sum", DType::F32, kLanes);
  const Expr at = b.open(kind, "i", kCount);
  const Expr lane = kind == LoopKind::Vector ? b.lane() : b.index(0);
  b.write(sum, lane, b.constant(DType::F32, 3));
  b.store(changing, at, b.constant(DType::F32, 3));
  const Expr value = b.add(b.load(a, at), by_local ? b.read(sum, lane) : b.load(changing, at));
  b.store(out, at, value);
  b.store(second, at, b.mul(value, value));
  b.close();
  return k;
}

TEST_F(RenderTest, WhatIsLoadedServesLaterStatementsThatOverwriteIt) {
  std::vector<Kernel> kernels;
  for (const LoopKind kind : {LoopKind::Serial, LoopKind::Vector})
    for (const bool by_local : {true, false}) kernels.push_back(load_used_twice(kind, by_local));
  std::vector<const Kernel*> pointers;
  for (const Kernel& k : kernels) pointers.push_back(&k);
  const auto by_c = cpu::compile_by_c(pointers);
  const auto compiled = cpu::compile_kernels(pointers);
  for (std::size_t n = 0; n < kernels.size(); ++n) {
    const Buffers start = make_buffers(kernels[n], random);
    std::memcpy(start[1].data(), start[0].data(), start[0].bytes());
    const Buffers expected = copy(start);
    std::vector<void*> arguments;
    for (const Literal& buffer : expected) arguments.push_back(buffer.data());
    tessera::testing::KernelInterpreter(kernels[n], arguments).run();
    std::memcpy(expected[0].data(), expected[1].data(), expected[0].bytes());
    for (const auto& [way, function] : {std::pair{"C", by_c[n]}, std::pair{"compiled", compiled[n]}}) {
      Buffers together = copy(start);
      together[1] = together[0];  // `out` takes the memory of `a`
      for (std::size_t i = 0; i < together.size(); ++i) arguments[i] = together[i].data();
      function.run(arguments.data(), 0, 1);
      for (std::size_t argument = 0; argument < start.size(); ++argument)
        EXPECT_EQ(difference(expected[argument], together[argument]), -1)
            << way << ", argument " << kernels[n].arguments[argument].name << "\n"
            << render_c(kernels[n]);
    }
  }
}

TEST_F(RenderTest, RandomKernels) {
  std::vector<Kernel> kernels(24);
  for (std::size_t n = 0; n < kernels.size(); ++n) {
    kernels[n].name = "random" + std::to_string(n);
    Generator(kernels[n], random).run(false);
  }
  expect_equal(kernels, random);
}

}  // namespace
}  // namespace tessera::kernel
