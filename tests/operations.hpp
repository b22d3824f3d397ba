// What tests of the renderers share: every operation of the kernel IR on every type, random kernels, and buffers of
// edge values to run them on.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/literal.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {

using Buffers = std::vector<Literal>;

inline constexpr DType kTypes[] = {DType::Bool, DType::I8,  DType::I16, DType::I32,  DType::I64, DType::U8, DType::U16,
                                   DType::U32,  DType::U64, DType::F16, DType::BF16, DType::F32, DType::F64};
inline constexpr std::int64_t kGuard = 64;  // elements behind each buffer, which nothing may touch

inline bool is_half(DType d) { return d == DType::F16 || d == DType::BF16; }

/// One buffer for each argument: edge values and random ones.
inline Buffers make_buffers(const Kernel& k, std::mt19937& random) {
  Buffers buffers;
  for (const Argument& a : k.arguments) {
    Literal buffer(TensorType{a.dtype, {a.count + kGuard}});
    for (std::int64_t i = 0; i < a.count + kGuard; ++i) {
      if (is_float(a.dtype)) {
        constexpr double kEdges[] = {0.0,      -0.0,      1.0, -1.0,  0.5,   -2.5,   3.0,          1e30,    -1e30,
                                     INFINITY, -INFINITY, NAN, 1e-40, 255.5, -128.7, 2147483648.0, 65504.0, 1e-7};
        const auto pick = random() % 40;
        buffer.set_double(
            i, pick < std::size(kEdges) ? kEdges[pick] : std::uniform_real_distribution<double>(-8, 8)(random));
      } else {
        const std::int64_t edges[] = {0,   1,         -1,        2,         7,         31,   32, 64,
                                      100, INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, -128, 127};
        const auto pick = random() % 25;
        const std::int64_t value = pick < std::size(edges) ? edges[pick] : static_cast<std::int64_t>(random() % 17) - 8;
        buffer.set_integer(i, a.dtype == DType::Bool ? value & 1 : value);
      }
    }
    buffers.push_back(buffer);
  }
  return buffers;
}

inline Buffers copy(const Buffers& buffers) {
  Buffers copies;
  for (const Literal& b : buffers) {
    copies.emplace_back(b.type());
    std::memcpy(copies.back().data(), b.data(), b.bytes());
  }
  return copies;
}

/// Where two buffers differ, or -1.
inline std::int64_t difference(const Literal& a, const Literal& b) {
  const std::size_t size = size_of(a.dtype());
  for (std::int64_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(a.data() + static_cast<std::size_t>(i) * size, b.data() + static_cast<std::size_t>(i) * size,
                    size) == 0)
      continue;
    if (is_float(a.dtype()) && std::isnan(a.get_double(i)) && std::isnan(b.get_double(i))) continue;
    return i;
  }
  return -1;
}

/// What verify says against a kernel.
inline std::string complaint(const Kernel& k) {
  try {
    verify(k);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// The bits of a number: those of a NaN are not the language's to say, and are zero here.
inline Expr bits(Builder& b, DType to, Expr x, DType d) {
  const Expr result = b.bitcast(to, x);
  if (!is_float(d) || is_float(to)) return result;
  const Expr number = is_half(d) ? b.convert(DType::F32, x) : x;
  return b.select(b.binary(Op::Equal, number, number), result, b.convert(to, b.index(0)));
}

/// Every operation that `d` has, of operands a, b, c.
inline std::vector<Expr> all_operations(Builder& b, DType d, Expr x, Expr y, Expr z) {
  std::vector<Expr> results;
  for (const DType to : kTypes) results.push_back(b.convert(to, x));
  for (const DType to : kTypes)
    if (size_of(to) == size_of(d) && to != DType::Bool && d != DType::Bool) results.push_back(bits(b, to, x, d));
  if (is_half(d)) return results;
  const bool real = is_float(d);
  for (const Op op : {Op::Negate, Op::Abs}) results.push_back(b.unary(op, x));
  if (!real) results.push_back(b.unary(Op::Not, x));
  if (is_integer(d))
    for (const Op op : {Op::PopCount, Op::CountLeadingZeros}) results.push_back(b.unary(op, x));
  if (real)
    for (const Op op : {Op::Sqrt, Op::Floor, Op::Ceil, Op::RoundEven}) results.push_back(b.unary(op, x));
  for (const Op op : {Op::Add, Op::Subtract, Op::Multiply, Op::Minimum, Op::Maximum, Op::Equal, Op::NotEqual, Op::Less,
                      Op::LessEqual, Op::Greater, Op::GreaterEqual})
    results.push_back(b.binary(op, x, y));
  if (d != DType::Bool)
    for (const Op op : {Op::Divide, Op::Remainder}) results.push_back(b.binary(op, x, y));
  if (!real)
    for (const Op op : {Op::And, Op::Or, Op::Xor}) results.push_back(b.binary(op, x, y));
  if (is_integer(d))
    for (const Op op : {Op::ShiftLeft, Op::ShiftRightLogical, Op::ShiftRightArithmetic})
      results.push_back(b.binary(op, x, y));
  if (real) results.push_back(b.fma(x, y, z));
  results.push_back(b.select(b.binary(Op::Less, x, y), x, z));
  return results;
}

/// For a GPU: every operation on every type, in vectors.
inline std::vector<Kernel> operation_kernels() {
  std::vector<Kernel> kernels;
  for (const DType d : kTypes) {
    Kernel k;
    k.name = "operations_" + std::string(tessera::name(d));
    Builder b(k);
    const std::int64_t n = 32 * 8;
    const auto x = b.argument("x", d, n, false);
    const auto y = b.argument("y", d, n, false);
    const auto z = b.argument("z", d, n, false);
    b.open(LoopKind::Grid, "block", 1);
    const Expr t = b.open(LoopKind::Threads, "t", 32);
    const Expr i = b.add(b.mul(t, b.index(8)), b.open(LoopKind::Vector, "j", 8));
    for (const Expr e : all_operations(b, d, b.load(x, i), b.load(y, i), b.load(z, i)))
      b.store(b.argument("out", b.dtype(e), n, true), i, e);
    b.close();
    b.close();
    b.close();
    kernels.push_back(std::move(k));
  }
  return kernels;
}

/// Random nests, indices and expressions.
class Generator {
 public:
  Generator(Kernel& k, std::mt19937& random) : b_(k), random_(random) {}

  /// For the CPU, or for a GPU: a thread for each row, and short vector loops.
  void run(bool gpu) {
    for (const DType d :
         {DType::F32, DType::F32, DType::F64, DType::I32, DType::U8, DType::I64, DType::Bool, DType::F16, DType::BF16})
      inputs_.push_back(b_.argument("in", d, kSize, false));
    std::int64_t outer = 1 + pick(4);
    Expr i = b_.open(gpu ? LoopKind::Grid : LoopKind::Parallel, "i", outer);
    std::int64_t inner = pick(2) == 0 ? 1 + pick(20) : 30 + pick(60);
    if (gpu) {
      i = b_.add(b_.mul(i, b_.index(32)), b_.open(LoopKind::Threads, "t", 32));
      outer *= 32;
      inner = pick(2) == 0 ? std::int64_t{1} << pick(5) : 1 + pick(kLanes);
    }
    const std::int64_t middle = 1 + pick(3);
    const Expr s = b_.open(LoopKind::Serial, "s", middle);
    const auto running = b_.local("running", DType::F32, kLanes);
    Expr j = b_.open(LoopKind::Vector, "j", kLanes);
    b_.write(running, b_.lane(), b_.constant(DType::F32, 1));
    b_.close();
    j = b_.open(LoopKind::Vector, "j", inner);
    const Expr at = b_.add(b_.mul(b_.add(b_.mul(i, b_.index(middle)), s), b_.index(inner)), j);
    indices_ = {at,
                j,
                s,
                b_.add(i, s),
                b_.binary(Op::Remainder, at, b_.index(1 + pick(20))),
                b_.binary(Op::Divide, at, b_.index(1 + pick(9))),
                b_.mul(j, b_.index(1 + pick(3)))};
    for (int n = 0; n < 6; ++n) values_.push_back(load());
    values_.push_back(b_.read(running, b_.lane()));
    for (int n = 0; n < 25; ++n) grow();
    for (int n = 0; n < 4; ++n) {
      const Expr value = any();
      b_.store(b_.argument("out", b_.dtype(value), outer * middle * inner, true), at, value,
               pick(3) == 0 ? of_type(DType::Bool) : kNone);
      b_.write(running, b_.lane(), b_.add(b_.read(running, b_.lane()), of_type(DType::F32)));
    }
    b_.close();
    b_.store(b_.argument("last", DType::F32, outer * middle, true), b_.add(b_.mul(i, b_.index(middle)), s),
             b_.read(running, b_.index(pick(kLanes))));
    b_.close();
    b_.close();
    if (gpu) b_.close();
  }

 private:
  static constexpr std::int64_t kSize = 4 * 32 * 3 * 90;

  std::int64_t pick(std::int64_t n) { return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n)); }
  Expr any() { return values_[static_cast<std::size_t>(pick(static_cast<std::int64_t>(values_.size())))]; }
  Expr wide(Expr e) { return is_half(b_.dtype(e)) ? b_.convert(DType::F32, e) : e; }
  Expr load() {
    const auto input = inputs_[static_cast<std::size_t>(pick(static_cast<std::int64_t>(inputs_.size())))];
    const Expr at = indices_[static_cast<std::size_t>(pick(static_cast<std::int64_t>(indices_.size())))];
    if (pick(4) != 0) return b_.load(input, at);
    return b_.load(input, b_.sub(at, b_.index(5)), b_.binary(Op::GreaterEqual, at, b_.index(5)));
  }
  Expr of_type(DType d) {
    for (int n = 0; n < 8; ++n)
      if (const Expr e = any(); b_.dtype(e) == d) return e;
    return b_.convert(d, wide(any()));
  }
  void grow() {
    const Expr x = wide(any());
    const DType d = b_.dtype(x);
    const std::vector<Expr> results = all_operations(b_, d, x, of_type(d), of_type(d));
    values_.push_back(results[static_cast<std::size_t>(pick(static_cast<std::int64_t>(results.size())))]);
  }

  Builder b_;
  std::mt19937& random_;
  std::vector<std::int32_t> inputs_;
  std::vector<Expr> indices_, values_;
};

}  // namespace tessera::kernel
