// Rows of the elementwise primitives with attributes or operands of several types: compare, select, clamp, convert,
// bitcast_convert, reduce_precision.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tessera/ir/elementwise_rules.hpp"
#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using namespace rules;
using K = kernel::Op;
using kernel::Expr;

// ---- compare ----

std::vector<TensorType> infer_compare(const InferContext& c) {
  const TensorType type = same_type(2, kAny)(c)[0];
  const std::string direction = c.attributes.string("comparison_direction", "");
  require(direction == "EQ" || direction == "NE" || direction == "LT" || direction == "LE" || direction == "GT" ||
              direction == "GE",
          fmt::format("comparison_direction must be EQ, NE, LT, LE, GT or GE, not '{}'", direction));
  const std::string kind = c.attributes.string("compare_type", "");
  const bool fits = is_float(type.dtype) ? kind == "FLOAT" || kind == "TOTALORDER"
                                         : kind == (is_signed_integer(type.dtype) ? "SIGNED" : "UNSIGNED");
  require(kind.empty() || fits, fmt::format("compare_type {} does not fit {} elements", kind, name(type.dtype)));
  return {{DType::Bool, type.shape}};
}

template <class T>
bool compare(T a, T b, std::string_view direction) {
  if (direction == "EQ") return a == b;
  if (direction == "NE") return a != b;
  if (direction == "LT") return a < b;
  if (direction == "LE") return a <= b;
  if (direction == "GT") return a > b;
  return a >= b;
}

/// A number that orders floats as IEEE's totalOrder does: -NaN < -inf < ... < -0 < +0 < ... < inf < NaN.
template <class T>
std::int64_t total_order_rank(T x) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  const Bits bits = std::bit_cast<Bits>(x);
  const Bits sign = static_cast<Bits>(Bits{1} << (sizeof(T) * 8 - 1));
  const auto magnitude = static_cast<std::int64_t>(bits & static_cast<Bits>(sign - 1));
  return (bits & sign) != 0 ? -1 - magnitude : magnitude;
}

std::vector<Literal> evaluate_compare(const Node& node, std::span<const Literal> in) {
  const std::string& direction = node.attributes.string("comparison_direction");
  const bool total = node.attributes.string("compare_type", "") == "TOTALORDER";
  Literal out(TensorType{DType::Bool, in[0].shape()});
  const auto result = out.as<bool>();
  dispatch(in[0].dtype(), [&]<class T>(std::type_identity<T>) {
    const auto a = in[0].as<T>();
    const auto b = in[1].as<T>();
    for (std::size_t i = 0; i < result.size(); ++i) {
      if constexpr (kind_of(dtype_of<T>()) == kFloat) {
        result[i] = total ? compare(total_order_rank(a[i]), total_order_rank(b[i]), direction)
                          : compare(static_cast<Compute<T>>(a[i]), static_cast<Compute<T>>(b[i]), direction);
      } else {
        result[i] = compare(a[i], b[i], direction);
      }
    }
  });
  return {out};
}

Expr loop_compare(LoopContext& c) {
  kernel::Builder& k = c.kernel;
  const std::string& direction = c.node.attributes.string("comparison_direction");
  const K op = direction == "EQ"   ? K::Equal
               : direction == "NE" ? K::NotEqual
               : direction == "LT" ? K::Less
               : direction == "LE" ? K::LessEqual
               : direction == "GT" ? K::Greater
                                   : K::GreaterEqual;
  Expr a = c.operand(0, c.index);
  Expr b = c.operand(1, c.index);
  if (k.dtype(a) == DType::Bool) {
    a = k.convert(DType::U8, a);
    b = k.convert(DType::U8, b);
  } else if (c.node.attributes.string("compare_type", "") == "TOTALORDER") {
    // Of negative floats, all bits but the sign are flipped: then they order as signed integers do.
    const DType bits = k.dtype(a) == DType::F64 ? DType::I64 : DType::I32;
    const std::int64_t low_bits =
        bits == DType::I64 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int32_t>::max();
    const auto rank = [&](Expr x) {
      const Expr word = k.bitcast(bits, x);
      return k.select(k.binary(K::Less, word, k.integer(bits, 0)), k.binary(K::Xor, word, k.integer(bits, low_bits)),
                      word);
    };
    a = rank(a);
    b = rank(b);
  }
  return k.binary(op, a, b);
}

// ---- operands that may be scalars beside a tensor ----

/// Operand i of a batched node, shaped like the batched result: scalars that carry the batch are stretched.
Value stretch_batched(const BatchContext& c, std::size_t i, const Shape& shape) {
  const Value v = c.operands[i];
  if (c.batched[i] && c.build.type(v).rank() == 1 && shape.size() > 1) return c.build.broadcast_in_dim(v, shape, {0});
  // A scalar without the batch may stay one, unless everything is a scalar.
  if (!c.batched[i] && c.build.type(v).rank() == 0) return v;
  return c.with_batch(i);
}

// ---- select ----

std::vector<TensorType> infer_select(const InferContext& c) {
  require_operands(c, 3);
  require_kind(c, 0, kBool);
  require(c.operands[1] == c.operands[2], fmt::format("the branches must have one type, not {} and {}",
                                                      to_string(c.operands[1]), to_string(c.operands[2])));
  require(c.operands[0].rank() == 0 || c.operands[0].shape == c.operands[1].shape,
          fmt::format("the condition must be a scalar or have the branches' shape {}, not {}",
                      to_string(c.operands[1].shape), to_string(c.operands[0].shape)));
  return {c.operands[1]};
}

std::vector<Literal> evaluate_select(const Node&, std::span<const Literal> in) {
  Literal out(in[1].type());
  const auto condition = in[0].as<bool>();
  const std::size_t item = size_of(out.dtype());
  for (std::size_t i = 0; i < static_cast<std::size_t>(out.size()); ++i) {
    const Literal& chosen = condition[condition.size() == 1 ? 0 : i] ? in[1] : in[2];
    std::memcpy(out.data() + i * item, chosen.data() + i * item, item);
  }
  return {out};
}

Values jvp_select(const JvpContext& c) {
  if (c.tangents[1] == kZero && c.tangents[2] == kZero) return {kZero};
  return {c.build.select(c.operands[0], c.tangent_or_zeros(1), c.tangent_or_zeros(2))};
}

Values transpose_select(const TransposeContext& c) {
  const Value t = c.cotangents[0];
  const Value zero = c.build.zeros_like(t);
  return {kZero, c.is_linear(1) ? c.build.select(c.operands[0], t, zero) : kZero,
          c.is_linear(2) ? c.build.select(c.operands[0], zero, t) : kZero};
}

Values batch_select(const BatchContext& c) {
  const Value yes = c.with_batch(1);
  return {c.build.select(stretch_batched(c, 0, c.build.shape(yes)), yes, c.with_batch(2))};
}

Expr loop_select(LoopContext& c) {
  const Expr condition = c.operand(0, c.operand_type(0).rank() == 0 ? Index{} : c.index);
  const Expr yes = c.operand(1, c.index);
  return c.kernel.select(condition, yes, c.operand(2, c.index));
}

// ---- clamp ----

std::vector<TensorType> infer_clamp(const InferContext& c) {
  require_operands(c, 3);
  const TensorType& type = c.operands[1];
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
    const char* bound = i == 0 ? "lower" : "upper";
    require(c.operands[i].dtype == type.dtype, fmt::format("the {} bound must have {} elements, not {}", bound,
                                                           name(type.dtype), name(c.operands[i].dtype)));
    require(c.operands[i].rank() == 0 || c.operands[i].shape == type.shape,
            fmt::format("the {} bound must be a scalar or have the operand's shape {}, not {}", bound,
                        to_string(type.shape), to_string(c.operands[i].shape)));
  }
  return {type};
}

std::vector<Literal> evaluate_clamp(const Node&, std::span<const Literal> in) {
  const auto stretched = [&](const Literal& bound) {
    if (bound.type() == in[1].type()) return bound;
    Literal full(in[1].type());
    const std::size_t item = size_of(full.dtype());
    for (std::size_t i = 0; i < static_cast<std::size_t>(full.size()); ++i)
      std::memcpy(full.data() + i * item, bound.data(), item);
    return full;
  };
  const std::vector<Literal> first{in[1], stretched(in[0])};
  const std::vector<Literal> second{primitive(Op::Maximum).evaluate({}, first)[0], stretched(in[2])};
  return primitive(Op::Minimum).evaluate({}, second);
}

/// The tangent is that of the bound that holds, or of the operand strictly between them; at a bound, zero.
Values jvp_clamp(const JvpContext& c) {
  if (c.tangents[0] == kZero && c.tangents[1] == kZero && c.tangents[2] == kZero) return {kZero};
  Builder& b = c.build;
  const Value x = c.operands[1];
  const Shape shape = b.shape(x);
  const auto stretched = [&](Value v) { return b.broadcast_to(v, shape); };
  const Value low = stretched(c.operands[0]);
  const Value high = stretched(c.operands[2]);
  const Value below = b.binary(Op::And, b.compare(x, low, "LT"), b.compare(low, high, "LE"));
  const Value above = b.compare(b.binary(Op::Maximum, x, low), high, "GT");
  const Value between = b.binary(Op::And, b.compare(x, low, "GT"), b.compare(x, high, "LT"));
  Value tangent = kZero;
  const auto contribute = [&](Value condition, Value t) {
    if (t == kZero) return;
    const Value full = stretched(t);
    const Value part = b.select(condition, full, b.zeros_like(full));
    tangent = tangent == kZero ? part : b.add(tangent, part);
  };
  contribute(below, c.tangents[0]);
  contribute(between, c.tangents[1]);
  contribute(above, c.tangents[2]);
  return {tangent};
}

Values batch_clamp(const BatchContext& c) {
  const Value x = c.with_batch(1);
  const Shape shape = c.build.shape(x);
  return {c.build.graph.add1(Op::Clamp, {stretch_batched(c, 0, shape), x, stretch_batched(c, 2, shape)}, {}, {},
                             c.build.location)};
}

Expr loop_clamp(LoopContext& c) {
  const auto bound = [&](std::size_t i) { return c.operand(i, c.operand_type(i).rank() == 0 ? Index{} : c.index); };
  kernel::Builder& k = c.kernel;
  const bool is_bool = c.operand_type(1).dtype == DType::Bool;
  const Expr raised = k.binary(is_bool ? K::Or : K::Maximum, c.operand(1, c.index), bound(0));
  return k.binary(is_bool ? K::And : K::Minimum, raised, bound(2));
}

// ---- convert and bitcast_convert ----

DType target(const Attributes& attributes) {
  const std::string text = attributes.string("dtype", "");
  const auto dtype = parse_dtype(text);
  require(dtype.has_value(), "'" + text + "' is not an element type");
  if (!is_supported(*dtype)) throw_unsupported_dtype(*dtype);
  return *dtype;
}

template <class To, class From>
To convert_element(From x) {
  if constexpr (std::is_same_v<To, f16> || std::is_same_v<To, bf16>) {
    return To(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // The bounds as powers of two, which every float type holds: [-2^(w-1), 2^(w-1)) or [0, 2^w).
    const From end = std::ldexp(From{1}, std::numeric_limits<To>::digits);
    const From start = std::is_signed_v<To> ? -end : From{0};
    if (std::isnan(x)) return 0;
    if (x >= end) return std::numeric_limits<To>::max();
    return x <= start ? std::numeric_limits<To>::min() : static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

std::vector<Literal> evaluate_convert(const Node& node, std::span<const Literal> in) {
  Literal out(TensorType{*parse_dtype(node.attributes.string("dtype")), in[0].shape()});
  dispatch(in[0].dtype(), [&]<class From>(std::type_identity<From>) {
    const auto from = in[0].as<From>();
    dispatch(out.dtype(), [&]<class To>(std::type_identity<To>) {
      const auto to = out.as<To>();
      for (std::size_t i = 0; i < from.size(); ++i) to[i] = convert_element<To>(static_cast<Compute<From>>(from[i]));
    });
  });
  return {out};
}

Values jvp_convert(const JvpContext& c) {
  const DType dtype = target(c.node.attributes);
  if (c.tangents[0] == kZero || !is_float(dtype)) return {kZero};
  return {c.build.convert(c.tangents[0], dtype)};
}

std::vector<TensorType> infer_bitcast(const InferContext& c) {
  require_operands(c, 1);
  const TensorType& from = c.operands[0];
  const DType dtype = target(c.attributes);
  require((from.dtype == DType::Bool) == (dtype == DType::Bool),
          "booleans are not reinterpreted as other types, nor others as booleans", "use convert, or compare with zero");
  const auto old_size = static_cast<std::int64_t>(size_of(from.dtype));
  const auto new_size = static_cast<std::int64_t>(size_of(dtype));
  Shape shape = from.shape;
  if (new_size < old_size) {
    shape.push_back(old_size / new_size);
  } else if (new_size > old_size) {
    require(!shape.empty() && shape.back() * old_size == new_size,
            fmt::format("the last dimension must hold the {} {} elements that make one {}", new_size / old_size,
                        name(from.dtype), name(dtype)));
    shape.pop_back();
  }
  return {{dtype, shape}};
}

std::vector<Literal> evaluate_bitcast(const Node& node, std::span<const Literal> in) {
  const TensorType operand = in[0].type();
  Literal out(infer_bitcast({{&operand, 1}, node.attributes, {}})[0]);
  std::memcpy(out.data(), in[0].data(), out.bytes());
  return {out};
}

/// Bits of a value that a kernel holds, as an unsigned integer; F16 and BF16 are held as F32.
Expr to_bits(kernel::Builder& k, Expr x, DType dtype) {
  return k.bitcast(unsigned_of_size(size_of(dtype)), dtype == DType::Bool ? x : k.convert(dtype, x));
}
Expr from_bits(kernel::Builder& k, Expr bits, DType dtype) {
  return k.convert(compute_dtype(dtype), k.bitcast(dtype, bits));
}

Expr loop_bitcast(LoopContext& c) {
  kernel::Builder& k = c.kernel;
  const DType from = c.operand_type(0).dtype;
  const DType to = c.result_type(0).dtype;
  if (from == to) return c.operand(0, c.index);
  const auto old_size = static_cast<std::int64_t>(size_of(from));
  const auto new_size = static_cast<std::int64_t>(size_of(to));
  const DType old_bits = unsigned_of_size(size_of(from));
  const DType new_bits = unsigned_of_size(size_of(to));
  if (old_size == new_size) return from_bits(k, to_bits(k, c.operand(0, c.index), from), to);
  if (new_size < old_size) {  // part of an element; the low bytes come first
    Index at = c.index;
    const Expr part = at.back();
    at.pop_back();
    const Expr distance = k.convert(old_bits, k.mul(part, k.index(new_size * 8)));
    const Expr word = k.binary(K::ShiftRightLogical, to_bits(k, c.operand(0, at), from), distance);
    return from_bits(k, k.convert(new_bits, word), to);
  }
  Expr word = k.integer(new_bits, 0);
  for (std::int64_t part = 0; part < new_size / old_size; ++part) {
    Index at = c.index;
    at.push_back(k.index(part));
    const Expr bits = k.convert(new_bits, to_bits(k, c.operand(0, at), from));
    word = k.binary(K::Or, word, k.binary(K::ShiftLeft, bits, k.integer(new_bits, part * old_size * 8)));
  }
  return from_bits(k, word, to);
}

// ---- reduce_precision ----

struct FloatFormat {
  int exponent_bits, mantissa_bits;
};
FloatFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::F16: return {5, 10};
    case DType::BF16: return {8, 7};
    case DType::F32: return {8, 23};
    default: return {11, 52};
  }
}

FloatFormat wanted_format(const Attributes& attributes) {
  return {static_cast<int>(attributes.integer("exponent_bits")), static_cast<int>(attributes.integer("mantissa_bits"))};
}

std::vector<TensorType> infer_reduce_precision(const InferContext& c) {
  const std::int64_t exponent_bits = integer_of(c.attributes, "exponent_bits");
  const std::int64_t mantissa_bits = integer_of(c.attributes, "mantissa_bits");
  require(exponent_bits >= 1 && exponent_bits <= 64,
          fmt::format("exponent_bits must be at least 1 and at most 64, not {}", exponent_bits));
  require(mantissa_bits >= 0 && mantissa_bits <= 64,
          fmt::format("mantissa_bits must be at least 0 and at most 64, not {}", mantissa_bits));
  return same_type(1, kFloat)(c);
}

/// By arithmetic on exact doubles: round to a multiple of the last kept bit, then cut the range.
std::vector<Literal> evaluate_reduce_precision(const Node& node, std::span<const Literal> in) {
  const FloatFormat own = format_of(in[0].dtype());
  const FloatFormat wanted = wanted_format(node.attributes);
  const int own_bias = (1 << (own.exponent_bits - 1)) - 1;
  const int bias = wanted.exponent_bits < own.exponent_bits ? (1 << (wanted.exponent_bits - 1)) - 1 : own_bias;
  Literal out(in[0].type());
  for (std::int64_t i = 0; i < out.size(); ++i) {
    double x = in[0].get_double(i);
    if (std::isfinite(x) && x != 0) {
      if (wanted.mantissa_bits < own.mantissa_bits) {
        const int last = std::max(std::ilogb(x), 1 - own_bias) - wanted.mantissa_bits;
        const double scaled = std::ldexp(x, -last);
        // Ties go to the even encoding: without a mantissa, to the even exponent.
        const bool down = wanted.mantissa_bits == 0 && std::abs(scaled) == 1.5 && (std::ilogb(x) + own_bias) % 2 == 0;
        x = std::ldexp(down ? std::trunc(scaled) : std::nearbyint(scaled), last);
      }
      const double magnitude = std::abs(x);
      if (std::isfinite(x) && x != 0 && std::ilogb(x) > bias)
        x = std::copysign(std::numeric_limits<double>::infinity(), x);
      else if (bias < own_bias && magnitude < std::ldexp(1.0, 1 - bias))
        x = std::copysign(0.0, x);
    }
    out.set_double(i, x);
  }
  return {out};
}

/// On the bits: rounding adds just under half a unit and carries into the exponent.
Expr loop_reduce_precision(LoopContext& c) {
  kernel::Builder& k = c.kernel;
  const DType dtype = c.result_type(0).dtype;
  const FloatFormat own = format_of(dtype);
  const FloatFormat wanted = wanted_format(c.node.attributes);
  const DType word_type = unsigned_of_size(size_of(dtype));
  const auto number = [&](std::uint64_t value) { return k.integer(word_type, static_cast<std::int64_t>(value)); };
  const std::uint64_t infinity = ((std::uint64_t{1} << own.exponent_bits) - 1) << own.mantissa_bits;
  const std::uint64_t sign_bit = std::uint64_t{1} << (own.exponent_bits + own.mantissa_bits);
  const Expr x = c.operand(0, c.index);
  const Expr bits = to_bits(k, x, dtype);
  const Expr sign = k.binary(K::And, bits, number(sign_bit));
  Expr magnitude = k.binary(K::And, bits, number(sign_bit - 1));
  if (wanted.mantissa_bits < own.mantissa_bits) {
    const int dropped = own.mantissa_bits - wanted.mantissa_bits;
    const std::uint64_t unit = std::uint64_t{1} << dropped;
    const Expr odd = k.binary(
        K::And, k.binary(K::ShiftRightLogical, magnitude, number(static_cast<std::uint64_t>(dropped))), number(1));
    const Expr carried = k.add(k.add(magnitude, number(unit / 2 - 1)), odd);
    magnitude = k.binary(K::And, carried, number((sign_bit - 1) & ~(unit - 1)));
  }
  if (wanted.exponent_bits < own.exponent_bits) {
    const std::uint64_t own_bias = (std::uint64_t{1} << (own.exponent_bits - 1)) - 1;
    const std::uint64_t bias = (std::uint64_t{1} << (wanted.exponent_bits - 1)) - 1;
    const Expr overflows = k.binary(K::GreaterEqual, magnitude, number((own_bias + bias + 1) << own.mantissa_bits));
    const Expr underflows = k.binary(K::Less, magnitude, number((own_bias - bias + 1) << own.mantissa_bits));
    magnitude = k.select(overflows, number(infinity), k.select(underflows, number(0), magnitude));
  }
  const Expr is_nan = k.binary(K::NotEqual, x, x);
  return k.select(is_nan, x, from_bits(k, k.binary(K::Or, magnitude, sign), dtype));
}

}  // namespace

std::vector<Primitive> elementwise_rows() {
  const Unsupported has_loop = unsupported("it has a loop rule");
  const Unsupported not_linear = unsupported("it is not linear");
  return {
      {.op = Op::Compare,
       .doc = "Whether a EQ, NE, LT, LE, GT or GE b; of floats as IEEE compares, or in their total order.",
       .infer = infer_compare,
       .evaluate = evaluate_compare,
       .jvp = zero_jvp,
       .transpose = not_linear,
       .batch = elementwise_batch,
       .loop = loop_compare,
       .decompose = has_loop,
       .cost = {}},
      {.op = Op::Select,
       .doc = "One of two tensors, element by element or as a whole.",
       .infer = infer_select,
       .evaluate = evaluate_select,
       .jvp = jvp_select,
       .transpose = transpose_select,
       .batch = batch_select,
       .loop = loop_select,
       .decompose = has_loop,
       .cost = {}},
      {.op = Op::Clamp,
       .doc = "minimum(maximum(x, low), high).",
       .infer = infer_clamp,
       .evaluate = evaluate_clamp,
       .jvp = jvp_clamp,
       .transpose = not_linear,
       .batch = batch_clamp,
       .loop = loop_clamp,
       .decompose = has_loop,
       .cost = elementwise_cost},
      {.op = Op::Convert,
       .doc = "The same values in another element type; floats to integers truncate and saturate, NaN to 0.",
       .infer = [](const InferContext& c) -> std::vector<TensorType> {
         require_operands(c, 1);
         return {{target(c.attributes), c.operands[0].shape}};
       },
       .evaluate = evaluate_convert,
       .jvp = jvp_convert,
       .transpose = [](const TransposeContext& c) -> Values {
         return {c.build.convert(c.cotangents[0], c.operand_types[0].dtype)};
       },
       .batch = elementwise_batch,
       .loop =
           [](LoopContext& c) {
             return c.kernel.convert(compute_dtype(c.result_type(0).dtype), c.operand(0, c.index));
           },
       .decompose = has_loop,
       .cost = {}},
      {.op = Op::BitcastConvert,
       .doc = "The same bits in another element type; a difference in width moves to the last dimension.",
       .infer = infer_bitcast,
       .evaluate = evaluate_bitcast,
       .jvp = zero_jvp,
       .transpose = not_linear,
       .batch = elementwise_batch,
       .loop = loop_bitcast,
       .decompose = has_loop,
       .cost = {}},
      {.op = Op::ReducePrecision,
       .doc = "Rounded to a float of fewer bits and back.",
       .infer = infer_reduce_precision,
       .evaluate = evaluate_reduce_precision,
       .jvp = linear_jvp,
       .transpose = [](const TransposeContext& c) -> Values {
         return {c.build.graph.add1(Op::ReducePrecision, {c.cotangents[0]}, c.node.attributes, {}, c.build.location)};
       },
       .batch = elementwise_batch,
       .loop = loop_reduce_precision,
       .decompose = has_loop,
       .cost = elementwise_cost},
  };
}

}  // namespace tessera::ir
