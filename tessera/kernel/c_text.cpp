// Expressions of a kernel as text that C11 and CUDA C++ both read, and the blocks of statements around them.
// In: nodes and statements; out: text. A value that a block uses twice gets a name. What the languages leave undefined
// goes through small helpers (wrapping, saturation, shifts past the width), which are printed only where they are used.
// Used by kernel/render_c.cpp and kernel/render_cuda.cpp.
#include "tessera/kernel/c_text.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

namespace tessera::kernel {
namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
int bits_of(DType d) { return static_cast<int>(size_of(d)) * 8; }
bool is_half(DType d) { return d == DType::F16 || d == DType::BF16; }

std::string short_name(DType d) { return std::string(tessera::name(d)); }
/// The unsigned type in which arithmetic wraps without promotion to int.
std::string wrapping_type(DType d) { return bits_of(d) == 64 ? "uint64_t" : "uint32_t"; }
std::string unsigned_type(DType d) { return fmt::format("uint{}_t", bits_of(d)); }
std::string signed_type(DType d) { return fmt::format("int{}_t", bits_of(d)); }

std::string float_literal(DType d, double value) {
  if (std::isnan(value)) return d == DType::F32 ? "NAN" : "(double)NAN";
  if (std::isinf(value)) return value < 0 ? "(-INFINITY)" : "INFINITY";
  std::string text = d == DType::F32 ? fmt::format("{}", static_cast<float>(value)) : fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  if (d == DType::F32) text += 'f';
  return text[0] == '-' ? "(" + text + ")" : text;
}

std::string integer_literal(DType d, std::int64_t value) {
  if (d == DType::U64)
    return fmt::format("{}u{}", static_cast<std::uint64_t>(value),
                       static_cast<std::uint64_t>(value) >> 32 != 0 ? "ll" : "");
  if (d == DType::U32) return fmt::format("{}u", value);
  if (value == std::numeric_limits<std::int64_t>::min()) return "(-9223372036854775807ll - 1)";
  if (value == std::numeric_limits<std::int32_t>::min()) return "(-2147483647 - 1)";
  const char* suffix = value > 0x7fffffff || value < -0x7fffffffLL ? "ll" : "";
  return value < 0 ? fmt::format("({}{})", value, suffix) : fmt::format("{}{}", value, suffix);
}

/// By less than the width.
std::string shifted(Op op, DType d, const std::string& a, const std::string& by) {
  const std::string type = c_type(d);
  switch (op) {
    case Op::ShiftLeft: return fmt::format("({})(({}){} << {})", type, wrapping_type(d), a, by);
    case Op::ShiftRightLogical: return fmt::format("({})(({}){} >> {})", type, unsigned_type(d), a, by);
    default: return fmt::format("({})(({}){} >> {})", type, signed_type(d), a, by);
  }
}

}  // namespace

std::string c_type(DType d) {
  switch (d) {
    case DType::Bool: return "bool";
    case DType::F32: return "float";
    case DType::F64: return "double";
    case DType::F16:
    case DType::BF16: return "uint16_t";
    default: return fmt::format("{}int{}_t", is_unsigned_integer(d) ? "u" : "", bits_of(d));
  }
}
std::string memory_type(DType d) { return d == DType::Bool ? "uint8_t" : c_type(d); }

std::string c_comment(const Kernel& kernel, const std::string& name) {
  std::string out = "// " + name + "\n";
  std::size_t start = 0;
  while (start < kernel.comment.size()) {
    const std::size_t stop = std::min(kernel.comment.find('\n', start), kernel.comment.size());
    std::string text = kernel.comment.substr(start, stop - start);
    for (char& c : text)
      if (c == '\\') c = '/';  // a backslash would continue the comment
    out += "// " + text + "\n";
    start = stop + 1;
  }
  return out;
}

CText::CText(const Kernel& kernel, std::map<std::string, std::string>& helpers)
    : k_(kernel),
      ranges_(kernel),
      names_(kernel.nodes.size()),
      impure_(impure_nodes(kernel)),
      taken_{"arguments", "begin",    "end",      "auto",     "break",     "case",      "char",     "const",
             "continue",  "default",  "do",       "double",   "else",      "enum",      "extern",   "float",
             "for",       "goto",     "if",       "inline",   "int",       "long",      "register", "restrict",
             "return",    "short",    "signed",   "sizeof",   "static",    "struct",    "switch",   "typedef",
             "union",     "unsigned", "void",     "volatile", "while",     "bool",      "true",     "false",
             "asm",       "catch",    "class",    "delete",   "export",    "explicit",  "friend",   "mutable",
             "namespace", "new",      "operator", "private",  "protected", "public",    "template", "this",
             "throw",     "try",      "typename", "using",    "virtual",   "exp",       "expm1",    "log",
             "log1p",     "sin",      "cos",      "tan",      "tanh",      "atan",      "erf",      "cbrt",
             "pow",       "atan2",    "sqrt",     "floor",    "ceil",      "rint",      "fma",      "fmod",
             "fabs",      "signbit",  "memcpy",   "step",     "next",      "threadIdx", "blockIdx", "block_memory"},
      helpers_(helpers) {
  for (const Argument& a : k_.arguments) arguments_.push_back(unique(a.name));
  for (const Local& l : k_.locals) locals_.push_back(unique(l.name));
  for (const Variable& v : k_.variables) variables_.push_back(unique(v.name));
}

// --- Text.

std::string CText::unique(const std::string& wanted) {
  std::string name;
  for (const char c : wanted) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) name = "v" + name;
  if (taken_.contains(name)) {
    int number = 2;
    while (taken_.contains(fmt::format("{}_{}", name, number))) ++number;
    name = fmt::format("{}_{}", name, number);
  }
  taken_.insert(name);
  return name;
}

std::string CText::fresh(const std::string& kind) {
  std::string name = fmt::format("{}{}", kind, next_name_++);
  while (taken_.contains(name)) name = fmt::format("{}{}", kind, next_name_++);
  return name;
}

std::string CText::strip(const std::string& text) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return text;
  int depth = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')') --depth;
    if (depth == 0) return text;
  }
  return text.substr(1, text.size() - 2);
}

// --- Statements.

void CText::block(const std::vector<Statement>& body) {
  Scope scope{std::vector<int>(k_.nodes.size()), {}};
  std::vector<const Statement*> counted(k_.nodes.size());
  for (const Statement& s : body)
    for (const Expr e : {s.at, s.value, s.predicate}) count(e, s, false, scope, counted);
  for (const Statement& s : body) {
    for (const Expr e : {s.at, s.value, s.predicate})
      if (e != kNone) name_shared(e, scope);
    switch (s.kind) {
      case Statement::Kind::Loop: loop(s); break;
      case Statement::Kind::Combine: combine(s); break;
      case Statement::Kind::If:
        line(fmt::format("if ({}) {{", strip(text(s.predicate))));
        forget(scope, true);
        indent();
        block(s.body);
        outdent();
        line("}");
        break;
      default: store(s);
    }
    forget(scope, true);  // what was read before the write may be old now
  }
  forget(scope, false);
}

void CText::store(const Statement& s) {
  const bool store = s.kind == Statement::Kind::Store;
  const std::string target = store ? element(arguments_[at(s.index)], s.at) : local(s.index, s.at);
  const std::string guard = s.predicate == kNone ? "" : fmt::format("if ({}) ", text(s.predicate));
  line(fmt::format("{}{} = {};", guard, target, strip(text(s.value))));
}

/// Each statement computes what is impure again; the pure parts of it (a load, say, whose memory an earlier statement
/// may have overwritten since) must then have a name: they count once for each statement.
void CText::count(Expr e, const Statement& by, bool again, Scope& scope, std::vector<const Statement*>& counted) {
  if (e == kNone) return;
  if (!again || !impure_[at(e)]) ++scope.uses[at(e)];
  const Statement* before = std::exchange(counted[at(e)], &by);
  if (before == &by || (before != nullptr && !impure_[at(e)])) return;
  for (const Expr operand : {node(e).a, node(e).b, node(e).c}) count(operand, by, before != nullptr, scope, counted);
}

/// Gives names to the parts of `e` that are used more than once, or too long to read in line.
void CText::name_shared(Expr e, Scope& scope) {
  const Node& n = node(e);
  if (!names_[at(e)].empty() || n.op <= Op::Lane) return;
  for (const Expr operand : {n.a, n.b, n.c})
    if (operand != kNone) name_shared(operand, scope);
  constexpr std::size_t kReadable = 64;
  const std::string value = text(e);
  if (scope.uses[at(e)] < 2 && value.size() <= kReadable) return;
  const std::string name = fresh(n.dtype == DType::I64 ? "n" : n.dtype == DType::Bool ? "p" : "t");
  line(fmt::format("const {} {} = {};", value_type(e), name, strip(value)));
  names_[at(e)] = name;
  scope.named.push_back(e);
}

void CText::forget(Scope& scope, bool only_impure) {
  std::erase_if(scope.named, [&](Expr e) {
    if (only_impure && !impure_[at(e)]) return false;
    names_[at(e)].clear();
    return true;
  });
}

// --- Expressions. Every text can stand as an operand.

std::string CText::text(Expr e) {
  if (!names_[at(e)].empty()) return names_[at(e)];
  if (std::string own = own_text(e); !own.empty()) return own;
  const Node& n = k_.nodes[at(e)];
  const DType d = n.dtype;
  switch (n.op) {
    case Op::Constant:
      if (d == DType::F16) return fmt::format("0x{:04x}", f16(static_cast<float>(n.real)).bits);
      if (d == DType::BF16) return fmt::format("0x{:04x}", bf16(static_cast<float>(n.real)).bits);
      return is_float(d) ? float_literal(d, n.real) : integer_literal(d, n.integer);
    case Op::Variable: return variables_[at(n.index)];
    case Op::Lane: return fmt::format("({} % {})", variables_[at(vector_)], kLanes);
    case Op::Load: {
      std::string value = element(arguments_[at(n.index)], n.a);
      if (d == DType::Bool) value = fmt::format("({} != 0)", value);
      if (n.b == kNone) return value;
      return fmt::format("({} ? {} : {})", text(n.b), value, d == DType::F32 ? "0.0f" : d == DType::F64 ? "0.0" : "0");
    }
    case Op::Read: return local(n.index, n.a);
    case Op::Select: return fmt::format("({} ? {} : {})", text(n.a), text(n.b), text(n.c));
    case Op::Fma:
      return fmt::format("{}({}, {}, {})", d == DType::F32 ? "fmaf" : "fma", strip(text(n.a)), strip(text(n.b)),
                         strip(text(n.c)));
    case Op::Convert: return convert(d, k_.nodes[at(n.a)].dtype, text(n.a));
    case Op::Bitcast: return bitcast(d, k_.nodes[at(n.a)].dtype, text(n.a));
    default: break;
  }
  if (n.op < Op::Add) return unary(n, text(n.a));
  const DType operand = k_.nodes[at(n.a)].dtype;
  const bool index = operand == DType::I64 && ranges_.of(e).known;
  if (index && (n.op == Op::Add || n.op == Op::Subtract || n.op == Op::Multiply))
    return infix(n.op, text(n.a), text(n.b));  // cannot overflow
  if (!is_float(operand) && (n.op == Op::Divide || n.op == Op::Remainder) &&
      ranges_.of(n.b).within(1, std::numeric_limits<std::int64_t>::max()))
    return infix(n.op, text(n.a), text(n.b));
  const Node& amount = k_.nodes[at(n.b)];
  if (n.op >= Op::ShiftLeft && n.op <= Op::ShiftRightArithmetic && amount.op == Op::Constant && amount.integer >= 0 &&
      amount.integer < bits_of(operand))
    return shifted(n.op, operand, text(n.a), std::to_string(amount.integer));
  return binary(n.op, operand, text(n.a), text(n.b));
}

/// Of operands of any value.
std::string CText::binary(Op op, DType operands, const std::string& a, const std::string& b) {
  return is_float(operands) ? float_binary(op, operands, a, b) : integer_binary(op, operands, a, b);
}

std::string CText::unary(const Node& n, const std::string& a) {
  const auto function = [&](const std::string& name) {
    return fmt::format("{}{}({})", name, n.dtype == DType::F32 ? "f" : "", strip(a));
  };
  const DType d = n.dtype;
  switch (n.op) {
    case Op::Negate:
      return is_float(d) ? fmt::format("(-{})", a) : fmt::format("({})(0u - ({}){})", c_type(d), wrapping_type(d), a);
    case Op::Abs:
      if (is_float(d)) return function("fabs");
      return call("abs_" + short_name(d),
                  fmt::format("{0} abs_{1}({0} a) {{ return a < 0 ? ({0})(0u - ({2})a) : a; }}", c_type(d),
                              short_name(d), wrapping_type(d)),
                  strip(a));
    case Op::Not: return d == DType::Bool ? "(!" + a + ")" : fmt::format("({})(~{})", c_type(d), a);
    case Op::Sqrt: return function("sqrt");
    case Op::Floor: return function("floor");
    case Op::Ceil: return function("ceil");
    case Op::RoundEven: return function("rint");
    case Op::PopCount: return fmt::format("({})__builtin_popcountll(({}){})", c_type(d), unsigned_type(d), a);
    case Op::CountLeadingZeros:
      return call("clz_" + short_name(d),
                  fmt::format("{0} clz_{1}({2} a) {{ return ({0})(a == 0 ? {3} : __builtin_clzll(a) - {4}); }}",
                              c_type(d), short_name(d), unsigned_type(d), bits_of(d), 64 - bits_of(d)),
                  fmt::format("({}){}", unsigned_type(d), a));
    default: return function(std::string(name(n.op)));  // libm has the names of the operations
  }
}

/// A call of a helper, which is defined where it is used.
std::string CText::call(const std::string& name, const std::string& definition, const std::string& arguments) {
  const char* own = own_helper(name);
  helpers_.try_emplace(name, helper_prefix() + (own != nullptr ? own : definition));
  return name + "(" + arguments + ")";
}

std::string CText::float_binary(Op op, DType d, const std::string& a, const std::string& b) {
  switch (op) {
    case Op::Remainder: return fmt::format("{}({}, {})", d == DType::F32 ? "fmodf" : "fmod", strip(a), strip(b));
    case Op::Power: return fmt::format("pow({}, {})", strip(a), strip(b));
    case Op::Atan2: return fmt::format("atan2({}, {})", strip(a), strip(b));
    case Op::Minimum:
    case Op::Maximum: {
      const bool is_minimum = op == Op::Minimum;
      const std::string name = fmt::format("{}_{}", is_minimum ? "minimum" : "maximum", short_name(d));
      return call(name,
                  fmt::format("{0} {1}({0} a, {0} b) {{\n  if (a != a || b != b) return NAN;\n  if (a == b) return "
                              "signbit(a) ? {2};\n  return a {3} b ? a : b;\n}}",
                              c_type(d), name, is_minimum ? "a : b" : "b : a", is_minimum ? "<" : ">"),
                  strip(a) + ", " + strip(b));
    }
    default: return infix(op, a, b);
  }
}

std::string CText::infix(Op op, const std::string& a, const std::string& b) {
  static const std::map<Op, const char*> kSymbols = {
      {Op::Add, "+"},  {Op::Subtract, "-"},   {Op::Multiply, "*"}, {Op::Divide, "/"},       {Op::Remainder, "%"},
      {Op::And, "&"},  {Op::Or, "|"},         {Op::Xor, "^"},      {Op::Equal, "=="},       {Op::NotEqual, "!="},
      {Op::Less, "<"}, {Op::LessEqual, "<="}, {Op::Greater, ">"},  {Op::GreaterEqual, ">="}};
  return fmt::format("({} {} {})", a, kSymbols.at(op), b);
}

std::string CText::integer_binary(Op op, DType d, const std::string& a, const std::string& b) {
  const std::string type = c_type(d);
  const std::string suffix = short_name(d);
  const std::string wide = wrapping_type(d);
  switch (op) {
    case Op::And:
    case Op::Or:
      if (d == DType::Bool) return fmt::format("({} {} {})", a, op == Op::And ? "&&" : "||", b);
      return infix(op, a, b);
    case Op::Add:
    case Op::Subtract:
    case Op::Multiply: {
      const char symbol = op == Op::Add ? '+' : op == Op::Subtract ? '-' : '*';
      return fmt::format("({0})(({1}){2} {3} ({1}){4})", type, wide, a, symbol, b);
    }
    case Op::Divide:
    case Op::Remainder: {
      const bool divide = op == Op::Divide;
      const std::string name = (divide ? "divide_" : "remainder_") + suffix;
      const std::string by_zero = divide ? fmt::format("({})-1", type) : "a";
      std::string by_minus_one;
      if (is_signed_integer(d))
        by_minus_one =
            fmt::format("\n  if (b == -1) return {};", divide ? fmt::format("({})(0u - ({})a)", type, wide) : "0");
      return call(name,
                  fmt::format("{0} {1}({0} a, {0} b) {{\n  if (b == 0) return {2};{3}\n  return ({0})(a {4} b);\n}}",
                              type, name, by_zero, by_minus_one, divide ? '/' : '%'),
                  strip(a) + ", " + strip(b));
    }
    case Op::Minimum:
    case Op::Maximum: {
      const std::string name = (op == Op::Minimum ? "minimum_" : "maximum_") + suffix;
      return call(
          name,
          fmt::format("{0} {1}({0} a, {0} b) {{ return a {2} b ? a : b; }}", type, name, op == Op::Minimum ? '<' : '>'),
          strip(a) + ", " + strip(b));
    }
    case Op::ShiftLeft:
    case Op::ShiftRightLogical:
    case Op::ShiftRightArithmetic: {
      const std::string name = fmt::format("{}_{}", kernel::name(op), suffix);
      const std::string past =
          op == Op::ShiftRightArithmetic ? shifted(op, d, "a", std::to_string(bits_of(d) - 1)) : "0";
      return call(name,
                  fmt::format("{0} {1}({0} a, {0} b) {{ return ({2})b >= {3} ? {4} : {5}; }}", type, name,
                              unsigned_type(d), bits_of(d), past, shifted(op, d, "a", "b")),
                  strip(a) + ", " + strip(b));
    }
    default: return infix(op, a, b);
  }
}

std::string CText::convert(DType to, DType from, const std::string& a) {
  if (is_half(from)) return to == DType::F32 ? widen_half(from, a) : convert(to, DType::F32, widen_half(from, a));
  if (is_half(to)) {
    const std::string narrow = from == DType::F32 ? a : convert(DType::F32, from, a);
    return call(
        to == DType::F16 ? "f32_to_f16" : "f32_to_bf16",
        to == DType::F16
            ? "uint16_t f32_to_f16(float a) {\n"
              "  uint32_t word;\n"
              "  memcpy(&word, &a, 4);\n"
              "  const uint32_t sign = (word >> 16) & 0x8000u, magnitude = word & 0x7fffffffu;\n"
              "  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));\n"
              "  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);\n"
              "  if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 aligns and rounds the bits\n"
              "    const float aligned = fabsf(a) + 0.5f;\n"
              "    memcpy(&word, &aligned, 4);\n"
              "    return (uint16_t)(sign | (word - 0x3f000000u));\n"
              "  }\n"
              "  return (uint16_t)(sign | ((magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13));\n"
              "}"
            : "uint16_t f32_to_bf16(float a) {\n"
              "  uint32_t word;\n"
              "  memcpy(&word, &a, 4);\n"
              "  if ((word & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((word >> 16) | 0x40u);\n"
              "  return (uint16_t)((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);\n"
              "}",
        strip(narrow));
  }
  if (to == DType::Bool) return fmt::format("({} != 0)", a);
  if (!is_float(from) || is_float(to)) return fmt::format("({}){}", c_type(to), a);
  const std::string name = fmt::format("{}_to_{}", short_name(from), short_name(to));
  const int bits = bits_of(to);
  const bool is_signed = is_signed_integer(to);
  const std::string least =
      integer_literal(to, is_signed ? std::numeric_limits<std::int64_t>::min() >> (64 - bits) : 0);
  const std::string most = integer_literal(to, static_cast<std::int64_t>(~0ULL >> (is_signed ? 65 - bits : 64 - bits)));
  const std::string bound = float_literal(from, std::ldexp(1.0, is_signed ? bits - 1 : bits));
  return call(
      name,
      fmt::format("{0} {1}({2} a) {{\n  if (a != a) return 0;\n  if (a >= {3}) return {4};\n  return a <= "
                  "{5} ? {6} : ({0})a;\n}}",
                  c_type(to), name, c_type(from), bound, most, is_signed ? "-" + bound : float_literal(from, 0), least),
      strip(a));
}

std::string CText::widen_half(DType from, const std::string& a) {
  if (from == DType::BF16)
    return call("bf16_to_f32",
                "float bf16_to_f32(uint16_t a) {\n  const uint32_t word = (uint32_t)a << 16;\n  float value;\n  "
                "memcpy(&value, &word, 4);\n  return value;\n}",
                strip(a));
  return call("f16_to_f32",
              "float f16_to_f32(uint16_t a) {\n"
              "  const uint32_t sign = (a & 0x8000u) << 16, exponent = (a >> 10) & 0x1fu, mantissa = a & 0x3ffu;\n"
              "  if (exponent == 0) return (sign != 0 ? -0x1p-24f : 0x1p-24f) * (float)mantissa;\n"
              "  const uint32_t word = sign | ((exponent == 31 ? 255 : exponent + 112) << 23) | (mantissa << 13);\n"
              "  float value;\n"
              "  memcpy(&value, &word, 4);\n"
              "  return value;\n"
              "}",
              strip(a));
}

std::string CText::bitcast(DType to, DType from, const std::string& a) {
  if (c_type(to) == c_type(from)) return a;
  const bool both_integers = (!is_float(to) || is_half(to)) && (!is_float(from) || is_half(from));
  if (both_integers) return fmt::format("({}){}", c_type(to), a);
  const std::string name = fmt::format("{}_bits_{}", short_name(from), short_name(to));
  return call(name,
              fmt::format("{0} {1}({2} a) {{\n  {0} value;\n  memcpy(&value, &a, {3});\n  return value;\n}}",
                          c_type(to), name, c_type(from), size_of(to)),
              strip(a));
}

}  // namespace tessera::kernel
