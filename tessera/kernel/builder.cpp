// Builder: appends to a kernel and simplifies as it goes. In: the scheduler's requests; out: nodes and statements.
// Constants are folded with the rounding of their type, floats change only where the bits stay the same, and index
// arithmetic (I64) is kept in a linear normal form that the ranges of the loop variables reduce (kernel/index.cpp).
// Read next: kernel/index.cpp, kernel/math.cpp (functions), kernel/verify.cpp (what must hold).
#include <bit>
#include <cmath>
#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {
namespace {

std::size_t at(Expr e) { return static_cast<std::size_t>(e); }

/// The value as it is kept in a constant of an integer type: truncated, then sign or zero extended.
std::int64_t wrap(DType dtype, std::int64_t value) {
  switch (dtype) {
    case DType::Bool: return value != 0 ? 1 : 0;
    case DType::I8: return static_cast<std::int8_t>(value);
    case DType::I16: return static_cast<std::int16_t>(value);
    case DType::I32: return static_cast<std::int32_t>(value);
    case DType::U8: return static_cast<std::uint8_t>(value);
    case DType::U16: return static_cast<std::uint16_t>(value);
    case DType::U32: return static_cast<std::uint32_t>(value);
    default: return value;
  }
}

double round_to(DType dtype, double value) {
  if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();  // one NaN, so that equal kernels look equal
  switch (dtype) {
    case DType::F16: return static_cast<float>(f16(static_cast<float>(value)));
    case DType::BF16: return static_cast<float>(bf16(static_cast<float>(value)));
    case DType::F32: return static_cast<float>(value);
    default: return value;
  }
}

/// Integer from float: saturates, NaN to 0.
std::int64_t saturate(DType dtype, double value) {
  if (std::isnan(value)) return 0;
  const int bits = static_cast<int>(size_of(dtype)) * 8;
  if (is_unsigned_integer(dtype)) {
    if (value <= 0) return 0;
    const std::uint64_t most = bits == 64 ? ~0ULL : (1ULL << bits) - 1;
    return static_cast<std::int64_t>(value >= std::ldexp(1.0, bits) ? most : static_cast<std::uint64_t>(value));
  }
  const std::int64_t least = bits == 64 ? std::numeric_limits<std::int64_t>::min() : -(1LL << (bits - 1));
  if (value >= std::ldexp(1.0, bits - 1)) return -(least + 1);
  return value <= static_cast<double>(least) ? least : static_cast<std::int64_t>(value);
}

std::int64_t fold_integer(Op op, DType dtype, std::int64_t a, std::int64_t b) {
  const auto ua = static_cast<std::uint64_t>(a);
  const auto ub = static_cast<std::uint64_t>(b);
  const bool is_signed = is_signed_integer(dtype);
  const std::uint64_t bits = size_of(dtype) * 8;
  switch (op) {
    case Op::Add: return static_cast<std::int64_t>(ua + ub);
    case Op::Subtract: return static_cast<std::int64_t>(ua - ub);
    case Op::Multiply: return static_cast<std::int64_t>(ua * ub);
    case Op::Divide:
      if (b == 0) return -1;
      if (!is_signed) return static_cast<std::int64_t>(ua / ub);
      return b == -1 ? static_cast<std::int64_t>(0 - ua) : a / b;
    case Op::Remainder:
      if (b == 0) return a;
      if (!is_signed) return static_cast<std::int64_t>(ua % ub);
      return b == -1 ? 0 : a % b;
    case Op::Minimum: return (is_signed ? a < b : ua < ub) ? a : b;
    case Op::Maximum: return (is_signed ? a > b : ua > ub) ? a : b;
    case Op::And: return a & b;
    case Op::Or: return a | b;
    case Op::Xor: return a ^ b;
    case Op::ShiftLeft: return ub >= bits ? 0 : static_cast<std::int64_t>(ua << ub);
    case Op::ShiftRightLogical: {
      const std::uint64_t mask = bits == 64 ? ~0ULL : (1ULL << bits) - 1;
      return ub >= bits ? 0 : static_cast<std::int64_t>((ua & mask) >> ub);
    }
    default: {  // ShiftRightArithmetic, on the sign bit of unsigned types too
      const std::uint64_t up = 64 - bits;
      const auto extended = static_cast<std::int64_t>(ua << up) >> up;
      return extended >> (ub >= bits ? bits - 1 : ub);
    }
  }
}

double fold_float(Op op, double a, double b) {
  switch (op) {  // rounding twice, to F64 and then F32, is exact for these
    case Op::Add: return a + b;
    case Op::Subtract: return a - b;
    case Op::Multiply: return a * b;
    case Op::Divide: return a / b;
    case Op::Remainder: return std::fmod(a, b);
    default: break;
  }
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  const bool a_less = a < b || (a == b && std::signbit(a));
  return (op == Op::Minimum) == a_less ? a : b;
}

template <class T>
bool fold_comparison(Op op, T a, T b) {
  switch (op) {
    case Op::Equal: return a == b;
    case Op::NotEqual: return a != b;
    case Op::Less: return a < b;
    case Op::LessEqual: return a <= b;
    case Op::Greater: return a > b;
    default: return a >= b;
  }
}

bool is_comparison(Op op) { return op >= Op::Equal && op <= Op::GreaterEqual; }
bool is_shift(Op op) { return op >= Op::ShiftLeft && op <= Op::ShiftRightArithmetic; }

bool commutes(Op op) {
  switch (op) {
    case Op::Add:
    case Op::Multiply:
    case Op::Minimum:
    case Op::Maximum:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::Equal:
    case Op::NotEqual: return true;
    default: return false;
  }
}

/// Every value of `from` is one of `to`, and both count as integers or both as floats.
bool widens(DType from, DType to) {
  if (is_float(from) != is_float(to)) return false;
  if (is_float(from)) return size_of(from) < size_of(to) || from == to;
  if (from == DType::Bool || from == to) return true;
  if (to == DType::Bool) return false;
  return size_of(from) < size_of(to) && (is_unsigned_integer(from) || is_signed_integer(to));
}

[[noreturn]] void refuse(Op op, const std::string& why) {
  throw Error("kernel IR: " + std::string(name(op)) + ": " + why);
}

}  // namespace

// --- Nodes.

bool Node::operator==(const Node& other) const {
  return op == other.op && dtype == other.dtype && index == other.index && a == other.a && b == other.b &&
         c == other.c && integer == other.integer &&
         std::bit_cast<std::uint64_t>(real) == std::bit_cast<std::uint64_t>(other.real);
}

std::size_t Builder::Hash::operator()(const Node& node) const {
  std::uint64_t hash = static_cast<std::uint64_t>(node.op) * 64 + static_cast<std::uint64_t>(node.dtype);
  for (const std::uint64_t part : {static_cast<std::uint64_t>(node.index), static_cast<std::uint64_t>(node.a),
                                   static_cast<std::uint64_t>(node.b), static_cast<std::uint64_t>(node.c),
                                   static_cast<std::uint64_t>(node.integer), std::bit_cast<std::uint64_t>(node.real)})
    hash = (hash ^ part) * 0x9e3779b97f4a7c15ULL, hash ^= hash >> 29;
  return hash;
}

Expr Builder::intern(const Node& node) {
  const auto [found, inserted] = interned_.try_emplace(node, static_cast<Expr>(kernel_.nodes.size()));
  if (inserted) kernel_.nodes.push_back(node);
  return found->second;
}

Expr Builder::make(Op op, DType dtype, Expr a, Expr b, Expr c) {
  return intern({.op = op, .dtype = dtype, .a = a, .b = b, .c = c});
}

bool Builder::is_constant(Expr e, std::int64_t* value) const {
  if (node(e).op != Op::Constant || is_float(dtype(e))) return false;
  if (value != nullptr) *value = node(e).integer;
  return true;
}

// --- Leaves.

Expr Builder::constant(DType dtype, double value) {
  if (!is_float(dtype)) return integer(dtype, dtype == DType::Bool ? value != 0 : saturate(dtype, value));
  return intern({.op = Op::Constant, .dtype = dtype, .real = round_to(dtype, value)});
}

Expr Builder::integer(DType dtype, std::int64_t value) {
  if (is_float(dtype)) return constant(dtype, static_cast<double>(value));
  return intern({.op = Op::Constant, .dtype = dtype, .integer = wrap(dtype, value)});
}

Expr Builder::variable(std::int32_t v) {
  if (kernel_.variables.at(at(v)).extent == 1) return index(0);
  return intern({.op = Op::Variable, .dtype = DType::I64, .index = v});
}

Expr Builder::lane() { return intern({.op = Op::Lane, .dtype = DType::I64}); }

Expr Builder::load(std::int32_t argument, Expr element, Expr predicate) {
  const DType type = kernel_.arguments.at(at(argument)).dtype;
  std::int64_t holds = 0;
  if (predicate != kNone && is_constant(predicate, &holds)) {
    if (holds == 0) return integer(type, 0);
    predicate = kNone;
  }
  return intern({.op = Op::Load, .dtype = type, .index = argument, .a = element, .b = predicate});
}

Expr Builder::read(std::int32_t local, Expr element) {
  return intern({.op = Op::Read, .dtype = kernel_.locals.at(at(local)).dtype, .index = local, .a = element});
}

// --- Arithmetic.

Expr Builder::unary(Op op, Expr a) {
  const Node operand = node(a);
  const DType type = operand.dtype;
  const bool constant_operand = operand.op == Op::Constant;
  switch (op) {
    case Op::Negate:
      if (type == DType::Bool) return a;
      if (operand.op == Op::Negate) return operand.a;
      if (constant_operand)
        return is_float(type) ? constant(type, -operand.real)
                              : integer(type, fold_integer(Op::Subtract, type, 0, operand.integer));
      if (type == DType::I64) return mul(a, index(-1));
      break;
    case Op::Abs:
      if (type == DType::Bool || is_unsigned_integer(type) || operand.op == Op::Abs) return a;
      if (is_float(type) && operand.op == Op::Negate) return unary(op, operand.a);
      if (constant_operand && is_float(type)) return constant(type, std::abs(operand.real));
      if (constant_operand) return operand.integer < 0 ? unary(Op::Negate, a) : a;
      if (is_signed_integer(type) && ranges_.of(a).within(0, std::numeric_limits<std::int64_t>::max())) return a;
      break;
    case Op::Not:
      if (is_float(type)) refuse(op, "takes integers and bool");
      if (operand.op == Op::Not) return operand.a;
      if (constant_operand) return integer(type, type == DType::Bool ? 1 - operand.integer : ~operand.integer);
      if (is_comparison(operand.op) && !is_float(dtype(operand.a))) {
        constexpr Op kOpposite[] = {Op::NotEqual, Op::Equal, Op::GreaterEqual, Op::Greater, Op::LessEqual, Op::Less};
        return binary(kOpposite[static_cast<int>(operand.op) - static_cast<int>(Op::Equal)], operand.a, operand.b);
      }
      break;
    case Op::PopCount:
    case Op::CountLeadingZeros:
      if (is_float(type) || type == DType::Bool) refuse(op, "takes integers");
      if (constant_operand) {
        const int bits = static_cast<int>(size_of(type)) * 8;
        const auto word = static_cast<std::uint64_t>(operand.integer) & (bits == 64 ? ~0ULL : (1ULL << bits) - 1);
        return integer(type, op == Op::PopCount ? std::popcount(word) : std::countl_zero(word) - (64 - bits));
      }
      break;
    case Op::Sqrt:
    case Op::Floor:
    case Op::Ceil:
    case Op::RoundEven:
      if (type != DType::F32 && type != DType::F64) refuse(op, "takes f32 and f64");
      if (constant_operand) {
        const double x = operand.real;
        return constant(type, op == Op::Sqrt    ? std::sqrt(x)
                              : op == Op::Floor ? std::floor(x)
                              : op == Op::Ceil  ? std::ceil(x)
                                                : std::nearbyint(x));
      }
      if (op != Op::Sqrt && (operand.op == Op::Floor || operand.op == Op::Ceil || operand.op == Op::RoundEven))
        return a;
      break;
    case Op::Exp:
    case Op::Expm1:
    case Op::Log:
    case Op::Log1p:
    case Op::Sin:
    case Op::Cos:
    case Op::Tan:
    case Op::Tanh:
    case Op::Atan:
    case Op::Erf:
    case Op::Cbrt:
      if (type != DType::F64) refuse(op, "is a node for f64 alone; kernel::call expands the others");
      break;
    default: refuse(op, "is not unary");
  }
  return make(op, type, a);
}

Expr Builder::binary(Op op, Expr a, Expr b) {
  if (op < Op::Add || op > Op::GreaterEqual) refuse(op, "is not binary");
  const DType type = dtype(a);
  if (dtype(b) != type)
    refuse(op,
           "operands of types " + std::string(tessera::name(type)) + " and " + std::string(tessera::name(dtype(b))));
  if (type == DType::F16 || type == DType::BF16)
    refuse(op, "convert " + std::string(tessera::name(type)) + " to f32 first");
  if ((op == Op::Power || op == Op::Atan2) && type != DType::F64)
    refuse(op, "is a node for f64 alone; kernel::call expands the others");
  if (is_float(type) && (is_shift(op) || op == Op::And || op == Op::Or || op == Op::Xor))
    refuse(op, "takes integers and bool");
  if (type == DType::Bool) return boolean_arithmetic(op, a, b);

  const bool a_constant = node(a).op == Op::Constant;
  const bool b_constant = node(b).op == Op::Constant;
  if (a_constant && b_constant && op != Op::Power && op != Op::Atan2) return fold_binary(op, a, b);
  if (commutes(op) && (a_constant || (!b_constant && b < a))) std::swap(a, b);
  if (is_float(type)) return simplify_floats(op, a, b);
  return is_comparison(op) ? compare_integers(op, a, b) : simplify_integers(op, a, b);
}

Expr Builder::fold_binary(Op op, Expr a, Expr b) {
  const Node x = node(a);
  const Node y = node(b);
  if (is_comparison(op)) {
    if (is_float(x.dtype)) return integer(DType::Bool, fold_comparison(op, x.real, y.real));
    if (is_signed_integer(x.dtype)) return integer(DType::Bool, fold_comparison(op, x.integer, y.integer));
    return integer(DType::Bool,
                   fold_comparison(op, static_cast<std::uint64_t>(x.integer), static_cast<std::uint64_t>(y.integer)));
  }
  if (is_float(x.dtype)) return constant(x.dtype, fold_float(op, x.real, y.real));
  return integer(x.dtype, fold_integer(op, x.dtype, x.integer, y.integer));
}

Expr Builder::boolean_arithmetic(Op op, Expr a, Expr b) {
  switch (op) {  // sums and products of truth values, and their order, by the three operations that remain
    case Op::Add:
    case Op::Maximum: op = Op::Or; break;
    case Op::Multiply:
    case Op::Minimum: op = Op::And; break;
    case Op::Subtract:
    case Op::NotEqual: op = Op::Xor; break;
    case Op::Equal: return unary(Op::Not, binary(Op::Xor, a, b));
    case Op::Less: return binary(Op::And, unary(Op::Not, a), b);
    case Op::LessEqual: return binary(Op::Or, unary(Op::Not, a), b);
    case Op::Greater: return binary(Op::And, a, unary(Op::Not, b));
    case Op::GreaterEqual: return binary(Op::Or, a, unary(Op::Not, b));
    case Op::And:
    case Op::Or:
    case Op::Xor: break;
    default: refuse(op, "is not defined for bool");
  }
  if (node(a).op == Op::Constant || (node(b).op != Op::Constant && b < a)) std::swap(a, b);
  if (a == b) return op == Op::Xor ? integer(DType::Bool, 0) : a;
  std::int64_t value = 0;
  if (is_constant(b, &value)) {
    if (op == Op::And) return value != 0 ? a : b;
    if (op == Op::Or) return value != 0 ? b : a;
    return value != 0 ? unary(Op::Not, a) : a;
  }
  // a and (a and c) is a and c
  if (op != Op::Xor && node(b).op == op && (node(b).a == a || node(b).b == a)) return b;
  if (op != Op::Xor && node(a).op == op && (node(a).a == b || node(a).b == b)) return a;
  return make(op, DType::Bool, a, b);
}

Expr Builder::simplify_floats(Op op, Expr a, Expr b) {
  const DType type = dtype(a);
  if (node(b).op == Op::Constant) {
    const double y = node(b).real;
    const bool is_zero = y == 0;
    if (op == Op::Add && is_zero && std::signbit(y)) return a;        // x + -0
    if (op == Op::Subtract && is_zero && !std::signbit(y)) return a;  // x - +0
    if ((op == Op::Multiply || op == Op::Divide) && y == 1) return a;
    if (std::isinf(y) && op == (y < 0 ? Op::Maximum : Op::Minimum)) return a;
    int exponent = 0;
    if (op == Op::Divide && std::abs(std::frexp(y, &exponent)) == 0.5 && std::abs(exponent) < 120)
      return mul(a, constant(type, 1 / y));
  }
  if ((op == Op::Minimum || op == Op::Maximum) && a == b) return a;
  return make(op, is_comparison(op) ? DType::Bool : type, a, b);
}

Expr Builder::select(Expr condition, Expr yes, Expr no) {
  if (dtype(condition) != DType::Bool)
    refuse(Op::Select, "the condition is " + std::string(tessera::name(dtype(condition))) + ", not bool");
  if (dtype(yes) != dtype(no))
    refuse(Op::Select, "operands of types " + std::string(tessera::name(dtype(yes))) + " and " +
                           std::string(tessera::name(dtype(no))));
  if (yes == no) return yes;
  std::int64_t value = 0;
  if (is_constant(condition, &value)) return value != 0 ? yes : no;
  if (node(condition).op == Op::Not) return select(node(condition).a, no, yes);
  const DType type = dtype(yes);
  if (type == DType::Bool) {
    if (is_constant(yes, &value))
      return value != 0 ? binary(Op::Or, condition, no) : binary(Op::And, unary(Op::Not, condition), no);
    if (is_constant(no, &value))
      return value != 0 ? binary(Op::Or, unary(Op::Not, condition), yes) : binary(Op::And, condition, yes);
  }
  return make(Op::Select, type, condition, yes, no);
}

Expr Builder::fma(Expr a, Expr b, Expr c) {
  const DType type = dtype(a);
  if (type != DType::F32 && type != DType::F64) refuse(Op::Fma, "takes f32 and f64");
  if (dtype(b) != type || dtype(c) != type) refuse(Op::Fma, "operands of different types");
  const Node x = node(a);
  const Node y = node(b);
  const Node z = node(c);
  if (x.op == Op::Constant && y.op == Op::Constant && z.op == Op::Constant)
    return constant(type, type == DType::F32 ? std::fma(static_cast<float>(x.real), static_cast<float>(y.real),
                                                        static_cast<float>(z.real))
                                             : std::fma(x.real, y.real, z.real));
  if (x.op == Op::Constant || (y.op != Op::Constant && b < a)) std::swap(a, b);
  if (node(b).op == Op::Constant && node(b).real == 1) return add(a, c);
  return make(Op::Fma, type, a, b, c);
}

Expr Builder::convert(DType to, Expr a) {
  const Node operand = node(a);
  const DType from = operand.dtype;
  if (from == to) return a;
  if (operand.op == Op::Constant) {
    if (is_float(from)) {
      if (is_float(to)) return constant(to, operand.real);
      return integer(to, to == DType::Bool ? operand.real != 0 : saturate(to, operand.real));
    }
    if (!is_float(to)) return integer(to, operand.integer);
    // Rounded once: through double only where the integer fits it.
    if (from == DType::U64)
      return constant(to, to == DType::F64 ? static_cast<double>(static_cast<std::uint64_t>(operand.integer))
                                           : static_cast<float>(static_cast<std::uint64_t>(operand.integer)));
    return constant(to, to == DType::F64 ? static_cast<double>(operand.integer) : static_cast<float>(operand.integer));
  }
  if (operand.op == Op::Convert && widens(dtype(operand.a), from) && to != DType::Bool &&
      is_float(from) == is_float(to))
    return convert(to, operand.a);
  if (to == DType::Bool && is_integer(from)) return binary(Op::NotEqual, a, integer(from, 0));
  if (to == DType::Bool && (from == DType::F32 || from == DType::F64))
    return binary(Op::NotEqual, a, constant(from, 0));
  return make(Op::Convert, to, a);
}

Expr Builder::bitcast(DType to, Expr a) {
  const Node operand = node(a);
  if (operand.dtype == to) return a;
  if (size_of(operand.dtype) != size_of(to) || operand.dtype == DType::Bool || to == DType::Bool)
    refuse(Op::Bitcast, std::string(tessera::name(operand.dtype)) + " to " + std::string(tessera::name(to)) +
                            ": sizes differ, or bool");
  if (operand.op == Op::Bitcast) return bitcast(to, operand.a);
  if (operand.op == Op::Constant) {
    if (!is_float(operand.dtype) && !is_float(to)) return integer(to, operand.integer);
    if (operand.dtype == DType::F32 && !std::isnan(operand.real))
      return integer(to, std::bit_cast<std::int32_t>(static_cast<float>(operand.real)));
    if (operand.dtype == DType::F64 && !std::isnan(operand.real))
      return integer(to, std::bit_cast<std::int64_t>(operand.real));
    const auto as_float = std::bit_cast<float>(static_cast<std::uint32_t>(operand.integer));
    if (to == DType::F32 && !std::isnan(as_float)) return constant(to, as_float);
    const auto as_double = std::bit_cast<double>(operand.integer);
    if (to == DType::F64 && !std::isnan(as_double)) return constant(to, as_double);
  }
  return make(Op::Bitcast, to, a);
}

// --- Declarations and statements.

std::int32_t Builder::argument(std::string name, DType dtype, std::int64_t count, bool written) {
  kernel_.arguments.push_back({std::move(name), dtype, count, written});
  return static_cast<std::int32_t>(kernel_.arguments.size()) - 1;
}

std::int32_t Builder::local(std::string name, DType dtype, std::int64_t count, bool shared) {
  kernel_.locals.push_back({std::move(name), dtype, count, shared});
  return static_cast<std::int32_t>(kernel_.locals.size()) - 1;
}

std::int32_t Builder::new_variable(std::string name, std::int64_t extent) {
  kernel_.variables.push_back({std::move(name), extent});
  return static_cast<std::int32_t>(kernel_.variables.size()) - 1;
}

void Builder::store(std::int32_t argument, Expr element, Expr value, Expr predicate) {
  std::int64_t holds = 0;
  if (predicate != kNone && is_constant(predicate, &holds)) {
    if (holds == 0) return;
    predicate = kNone;
  }
  Statement statement;
  statement.kind = Statement::Kind::Store;
  statement.index = argument;
  statement.at = element;
  statement.value = value;
  statement.predicate = predicate;
  blocks_.back()->push_back(std::move(statement));
}

void Builder::write(std::int32_t local, Expr element, Expr value, Expr predicate) {
  store(local, element, value, predicate);
  std::int64_t holds = 1;
  if (predicate != kNone && is_constant(predicate, &holds) && holds == 0) return;
  blocks_.back()->back().kind = Statement::Kind::Write;
}

Expr Builder::open(LoopKind kind, std::string name, std::int64_t extent) {
  const std::int32_t v = new_variable(std::move(name), extent);
  Statement loop;
  loop.kind = Statement::Kind::Loop;
  loop.loop = kind;
  loop.index = v;
  blocks_.back()->push_back(std::move(loop));
  blocks_.push_back(&blocks_.back()->back().body);
  vector_loops_.push_back(kind == LoopKind::Vector);
  if (kind == LoopKind::Vector) ++vector_depth_;
  return variable(v);
}

void Builder::open_if(Expr condition) {
  Statement block;
  block.kind = Statement::Kind::If;
  block.index = new_variable("if", 1);
  block.predicate = condition;
  blocks_.back()->push_back(std::move(block));
  blocks_.push_back(&blocks_.back()->back().body);
  vector_loops_.push_back(false);
}

void Builder::combine(std::int32_t local, Op monoid, std::int64_t width, std::int64_t stride) {
  if (kernel_.locals.at(at(local)).dtype == DType::Bool) {  // as in boolean_arithmetic
    if (monoid == Op::Add || monoid == Op::Maximum) monoid = Op::Or;
    if (monoid == Op::Multiply || monoid == Op::Minimum) monoid = Op::And;
  }
  if (width == 1) return;
  Statement statement;
  statement.kind = Statement::Kind::Combine;
  statement.index = local;
  statement.monoid = monoid;
  statement.width = width;
  statement.stride = stride;
  blocks_.back()->push_back(std::move(statement));
}

void Builder::close() {
  if (vector_loops_.empty()) throw Error("kernel IR: close without an open loop");
  if (vector_loops_.back()) --vector_depth_;
  vector_loops_.pop_back();
  blocks_.pop_back();
}

}  // namespace tessera::kernel
