// Runs a kernel by walking its IR: slow, obvious, independent of the renderers. Every access is checked against the
// buffer's size. What is pure is evaluated once in an iteration of the loops around it. For tests.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::testing {

class KernelInterpreter {
 public:
  KernelInterpreter(const kernel::Kernel& k, std::span<void* const> arguments) : k_(k), arguments_(arguments) {}

  void run() {
    variables_.assign(k_.variables.size(), 0);
    threads_ = k_.threads();
    forget_locals();
    values_.resize(k_.nodes.size());
    stamps_.assign(k_.nodes.size(), 0);
    impure_ = kernel::impure_nodes(k_);
    block(k_.body);
  }

 private:
  /// Floats in `real` (F32 rounded), everything else in `integer` (wrapped to its type).
  struct Scalar {
    double real = 0;
    std::int64_t integer = 0;
    bool defined = false;
  };
  using Op = kernel::Op;

  /// Private locals of a GPU's kernel have the elements of one thread after the other.
  void forget_locals() {
    locals_.clear();
    for (const kernel::Local& local : k_.locals)
      locals_.emplace_back(
          static_cast<std::size_t>(local.count * (local.shared ? 1 : std::max<std::int64_t>(threads_, 1))));
  }
  Scalar& element(std::int32_t index, std::int64_t at) {
    const kernel::Local& local = k_.locals[static_cast<std::size_t>(index)];
    if (at < 0 || at >= local.count) throw Error("a local is accessed out of range");
    return locals_[static_cast<std::size_t>(index)]
                  [static_cast<std::size_t>((local.shared ? 0 : thread_ * local.count) + at)];
  }

  /// Thread t gets monoid(x, x of thread t ^ step), for one step after the other.
  void combine(const kernel::Statement& s) {
    const kernel::Local& local = k_.locals[static_cast<std::size_t>(s.index)];
    kernel::Node n;
    n.op = s.monoid;
    n.dtype = local.dtype;
    for (std::int64_t step = s.stride; step < s.stride * s.width; step *= 2) {
      std::vector<Scalar> next;
      for (std::int64_t t = 0; t < threads_; ++t) {
        thread_ = t;
        const Scalar mine = element(s.index, 0);
        thread_ = t ^ step;
        const Scalar other = element(s.index, 0);
        next.push_back(is_float(local.dtype) ? floats(n, mine.real, other.real)
                                             : integers(n, local.dtype, mine.integer, other.integer));
        next.back().defined = mine.defined && other.defined;
      }
      for (thread_ = 0; thread_ < threads_; ++thread_) element(s.index, 0) = next[static_cast<std::size_t>(thread_)];
    }
    thread_ = 0;
  }

  void block(const std::vector<kernel::Statement>& statements) {
    for (const kernel::Statement& s : statements) {
      if (s.kind == kernel::Statement::Kind::Combine) {
        combine(s);
        continue;
      }
      if (s.kind == kernel::Statement::Kind::Loop) {
        const std::int64_t extent = k_.variables[static_cast<std::size_t>(s.index)].extent;
        for (std::int64_t i = 0; i < extent; ++i) {
          variables_[static_cast<std::size_t>(s.index)] = i;
          if (s.loop == kernel::LoopKind::Grid) forget_locals();
          if (s.loop == kernel::LoopKind::Threads) thread_ = i;
          if (s.loop == kernel::LoopKind::Vector) lane_ = i % kernel::kLanes;
          ++stamp_;
          iteration_ = stamp_;
          block(s.body);
          if (s.loop == kernel::LoopKind::Vector) lane_ = -1;
        }
        ++stamp_;
        iteration_ = stamp_;
        continue;
      }
      ++stamp_;
      if (iteration_ == 0) iteration_ = stamp_;
      if (s.predicate != kernel::kNone && value(s.predicate).integer == 0) continue;
      if (s.kind == kernel::Statement::Kind::If) {
        block(s.body);
        continue;
      }
      const std::int64_t at = value(s.at).integer;
      const Scalar v = value(s.value);
      if (!v.defined) throw Error("a kernel stores an undefined value");
      if (s.kind == kernel::Statement::Kind::Write) {
        element(s.index, at) = v;
      } else {
        store(s.index, at, v);
      }
    }
  }

  void check(std::int32_t argument, std::int64_t at) const {
    if (at < 0 || at >= k_.arguments[static_cast<std::size_t>(argument)].count)
      throw Error("a buffer is accessed out of range");
  }
  void store(std::int32_t argument, std::int64_t at, const Scalar& v) {
    check(argument, at);
    dispatch(k_.arguments[static_cast<std::size_t>(argument)].dtype, [&]<class T>(std::type_identity<T>) {
      T* data = static_cast<T*>(arguments_[static_cast<std::size_t>(argument)]);
      if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>)
        data[at].bits = static_cast<std::uint16_t>(v.integer);
      else if constexpr (std::is_floating_point_v<T>)
        data[at] = static_cast<T>(v.real);
      else
        data[at] = static_cast<T>(v.integer);
    });
  }
  Scalar load(std::int32_t argument, std::int64_t at) const {
    check(argument, at);
    Scalar v{0, 0, true};
    dispatch(k_.arguments[static_cast<std::size_t>(argument)].dtype, [&]<class T>(std::type_identity<T>) {
      const T* data = static_cast<const T*>(arguments_[static_cast<std::size_t>(argument)]);
      if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>)
        v.integer = data[at].bits;
      else if constexpr (std::is_floating_point_v<T>)
        v.real = data[at];
      else
        v.integer = static_cast<std::int64_t>(data[at]);
    });
    return v;
  }

  static std::int64_t wrap(DType dtype, std::int64_t i) {
    if (!is_integer(dtype)) return dtype == DType::Bool ? static_cast<std::int64_t>(i != 0) : i;
    return dispatch(dtype, [&]<class T>(std::type_identity<T>) -> std::int64_t {
      if constexpr (std::is_integral_v<T>)
        return static_cast<std::int64_t>(static_cast<T>(i));
      else
        return i;
    });
  }
  static Scalar of(DType dtype, double real) {
    return {dtype == DType::F32 ? static_cast<double>(static_cast<float>(real)) : real, 0, true};
  }
  static Scalar of_integer(DType dtype, std::int64_t integer) { return {0, wrap(dtype, integer), true}; }

  const Scalar& value(kernel::Expr e) {
    const auto i = static_cast<std::size_t>(e);
    if (impure_[i] ? stamps_[i] != stamp_ : stamps_[i] < iteration_) {
      const Scalar made = compute(k_.nodes[i]);
      values_[i] = made;
      stamps_[i] = stamp_;
    }
    return values_[i];
  }
  [[nodiscard]] DType type(kernel::Expr e) const { return k_.nodes[static_cast<std::size_t>(e)].dtype; }

  Scalar compute(const kernel::Node& n) {
    switch (n.op) {
      case Op::Constant:
        return is_float(n.dtype) ? convert(DType::F64, n.dtype, {n.real, 0, true}) : of_integer(n.dtype, n.integer);
      case Op::Variable: return of_integer(DType::I64, variables_[static_cast<std::size_t>(n.index)]);
      case Op::Lane:
        if (lane_ < 0) throw Error("a lane is asked for outside a vector loop");
        return of_integer(DType::I64, lane_);
      case Op::Load:
        if (n.b != kernel::kNone && value(n.b).integer == 0) return {0, 0, true};
        return load(n.index, value(n.a).integer);
      case Op::Read: return element(n.index, value(n.a).integer);
      case Op::Select: {
        const bool chosen = value(n.a).integer != 0;
        return value(chosen ? n.b : n.c);
      }
      case Op::Fma: {
        const double a = value(n.a).real, b = value(n.b).real, c = value(n.c).real;
        if (n.dtype == DType::F32)
          return of(n.dtype, std::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)));
        return of(n.dtype, std::fma(a, b, c));
      }
      case Op::Convert: return convert(type(n.a), n.dtype, value(n.a));
      case Op::Bitcast: return bitcast(type(n.a), n.dtype, value(n.a));
      default: break;
    }
    const Scalar a = value(n.a);
    const Scalar b = n.b == kernel::kNone ? Scalar{0, 0, true} : value(n.b);
    Scalar made = is_float(type(n.a)) ? floats(n, a.real, b.real) : integers(n, type(n.a), a.integer, b.integer);
    made.defined = a.defined && b.defined;
    return made;
  }

  static Scalar floats(const kernel::Node& n, double a, double b) {
    const DType t = n.dtype;
    const bool nan = std::isnan(a) || std::isnan(b);
    switch (n.op) {
      case Op::Negate: return of(t, -a);
      case Op::Abs: return of(t, std::fabs(a));
      case Op::Sqrt: return of(t, std::sqrt(a));
      case Op::Floor: return of(t, std::floor(a));
      case Op::Ceil: return of(t, std::ceil(a));
      case Op::RoundEven: return of(t, std::nearbyint(a));
      case Op::Exp: return of(t, std::exp(a));
      case Op::Expm1: return of(t, std::expm1(a));
      case Op::Log: return of(t, std::log(a));
      case Op::Log1p: return of(t, std::log1p(a));
      case Op::Sin: return of(t, std::sin(a));
      case Op::Cos: return of(t, std::cos(a));
      case Op::Tan: return of(t, std::tan(a));
      case Op::Tanh: return of(t, std::tanh(a));
      case Op::Atan: return of(t, std::atan(a));
      case Op::Erf: return of(t, std::erf(a));
      case Op::Cbrt: return of(t, std::cbrt(a));
      case Op::Add: return of(t, a + b);
      case Op::Subtract: return of(t, a - b);
      case Op::Multiply: return of(t, a * b);
      case Op::Divide: return of(t, a / b);
      case Op::Remainder: return of(t, std::fmod(a, b));
      case Op::Power: return of(t, std::pow(a, b));
      case Op::Atan2: return of(t, std::atan2(a, b));
      case Op::Minimum:
        if (nan) return of(t, std::numeric_limits<double>::quiet_NaN());
        return of(t, a == b ? (std::signbit(a) ? a : b) : std::min(a, b));
      case Op::Maximum:
        if (nan) return of(t, std::numeric_limits<double>::quiet_NaN());
        return of(t, a == b ? (std::signbit(a) ? b : a) : std::max(a, b));
      case Op::Equal: return of_integer(t, a == b);
      case Op::NotEqual: return of_integer(t, a != b);
      case Op::Less: return of_integer(t, a < b);
      case Op::LessEqual: return of_integer(t, a <= b);
      case Op::Greater: return of_integer(t, a > b);
      case Op::GreaterEqual: return of_integer(t, a >= b);
      default: throw Error("the kernel interpreter lacks a float operation");
    }
  }

  static Scalar integers(const kernel::Node& n, DType from, std::int64_t a, std::int64_t b) {
    const DType t = n.dtype;
    const auto bits = static_cast<std::int64_t>(size_of(from) * 8);
    const auto ua = static_cast<std::uint64_t>(a), ub = static_cast<std::uint64_t>(b);
    const std::uint64_t mask = bits == 64 ? ~0ULL : (1ULL << bits) - 1;
    const bool is_signed = is_signed_integer(from);
    switch (n.op) {
      case Op::Negate: return of_integer(t, static_cast<std::int64_t>(0 - ua));
      case Op::Abs: return of_integer(t, a < 0 && is_signed ? static_cast<std::int64_t>(0 - ua) : a);
      case Op::Not: return of_integer(t, from == DType::Bool ? static_cast<std::int64_t>(a == 0) : ~a);
      case Op::PopCount: return of_integer(t, std::popcount(ua & mask));
      case Op::CountLeadingZeros: return of_integer(t, std::countl_zero(ua & mask) - (64 - bits));
      case Op::Add: return of_integer(t, static_cast<std::int64_t>(ua + ub));
      case Op::Subtract: return of_integer(t, static_cast<std::int64_t>(ua - ub));
      case Op::Multiply: return of_integer(t, static_cast<std::int64_t>(ua * ub));
      case Op::Divide:
        if (b == 0) return of_integer(t, -1);
        if (!is_signed) return of_integer(t, static_cast<std::int64_t>(ua / ub));
        return of_integer(t, b == -1 ? static_cast<std::int64_t>(0 - ua) : a / b);
      case Op::Remainder:
        if (b == 0) return of_integer(t, a);
        if (!is_signed) return of_integer(t, static_cast<std::int64_t>(ua % ub));
        return of_integer(t, b == -1 ? 0 : a % b);
      case Op::Minimum: return of_integer(t, is_signed ? std::min(a, b) : static_cast<std::int64_t>(std::min(ua, ub)));
      case Op::Maximum: return of_integer(t, is_signed ? std::max(a, b) : static_cast<std::int64_t>(std::max(ua, ub)));
      case Op::And: return of_integer(t, a & b);
      case Op::Or: return of_integer(t, a | b);
      case Op::Xor: return of_integer(t, a ^ b);
      case Op::ShiftLeft:
        return of_integer(t, (ub & mask) >= static_cast<std::uint64_t>(bits) ? 0 : static_cast<std::int64_t>(ua << ub));
      case Op::ShiftRightLogical:
        return of_integer(
            t, (ub & mask) >= static_cast<std::uint64_t>(bits) ? 0 : static_cast<std::int64_t>((ua & mask) >> ub));
      case Op::ShiftRightArithmetic: {
        const std::int64_t value = static_cast<std::int64_t>(ua << (64 - bits)) >> (64 - bits);
        return of_integer(t, value >> std::min<std::uint64_t>(ub & mask, static_cast<std::uint64_t>(bits - 1)));
      }
      case Op::Equal: return of_integer(t, a == b);
      case Op::NotEqual: return of_integer(t, a != b);
      case Op::Less: return of_integer(t, is_signed ? a < b : ua < ub);
      case Op::LessEqual: return of_integer(t, is_signed ? a <= b : ua <= ub);
      case Op::Greater: return of_integer(t, is_signed ? a > b : ua > ub);
      case Op::GreaterEqual: return of_integer(t, is_signed ? a >= b : ua >= ub);
      default: throw Error("the kernel interpreter lacks an integer operation");
    }
  }

  static double as_double(DType from, const Scalar& v) {
    if (from == DType::F16 || from == DType::BF16) {
      const auto bits = static_cast<std::uint16_t>(v.integer);
      if (from == DType::F16) {
        f16 half;
        half.bits = bits;
        return static_cast<float>(half);
      }
      return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
    if (is_float(from)) return v.real;
    return from == DType::U64 ? static_cast<double>(static_cast<std::uint64_t>(v.integer))
                              : static_cast<double>(v.integer);
  }
  static Scalar convert(DType from, DType to, const Scalar& v) {
    if (!v.defined) return {};
    if (to == DType::F16) return {0, f16(static_cast<float>(as_double(from, v))).bits, true};
    if (to == DType::BF16) return {0, bf16(static_cast<float>(as_double(from, v))).bits, true};
    if (is_float(to)) return of(to, as_double(from, v));
    if (!is_float(from)) return of_integer(to, v.integer);
    const double x = as_double(from, v);
    if (to == DType::Bool) return of_integer(to, x != 0);
    if (std::isnan(x)) return of_integer(to, 0);
    return dispatch(to, [&]<class T>(std::type_identity<T>) -> Scalar {
      if constexpr (std::is_integral_v<T>) {
        if (x <= static_cast<double>(std::numeric_limits<T>::min()))
          return of_integer(to, static_cast<std::int64_t>(std::numeric_limits<T>::min()));
        if (x >= static_cast<double>(std::numeric_limits<T>::max()))
          return of_integer(to, static_cast<std::int64_t>(std::numeric_limits<T>::max()));
        return of_integer(to, static_cast<std::int64_t>(static_cast<T>(x)));
      } else
        return {};
    });
  }
  static Scalar bitcast(DType from, DType to, const Scalar& v) {
    std::uint64_t bits = static_cast<std::uint64_t>(v.integer);
    if (from == DType::F32) bits = std::bit_cast<std::uint32_t>(static_cast<float>(v.real));
    if (from == DType::F64) bits = std::bit_cast<std::uint64_t>(v.real);
    if (to == DType::F32) return of(to, std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    if (to == DType::F64) return of(to, std::bit_cast<double>(bits));
    return of_integer(to, static_cast<std::int64_t>(bits));
  }

  const kernel::Kernel& k_;
  std::span<void* const> arguments_;
  std::vector<std::int64_t> variables_;
  std::vector<std::vector<Scalar>> locals_;
  std::vector<Scalar> values_;
  std::vector<std::uint64_t> stamps_;
  std::uint64_t stamp_ = 0, iteration_ = 0;  ///< of the statement; of the first one of the iteration
  std::vector<bool> impure_;
  std::int64_t lane_ = -1;
  std::int64_t threads_ = 0, thread_ = 0;
};

}  // namespace tessera::testing
