// Kernels as text: for people (to_string) and as the key of compiled code (key).
#include <fmt/format.h>

#include <array>
#include <bit>
#include <iterator>

#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {
namespace {

constexpr std::array<std::string_view, 50> kNames = {"constant",
                                                     "variable",
                                                     "lane",
                                                     "load",
                                                     "read",
                                                     "negate",
                                                     "abs",
                                                     "not",
                                                     "sqrt",
                                                     "floor",
                                                     "ceil",
                                                     "round_even",
                                                     "popcount",
                                                     "count_leading_zeros",
                                                     "exp",
                                                     "expm1",
                                                     "log",
                                                     "log1p",
                                                     "sin",
                                                     "cos",
                                                     "tan",
                                                     "tanh",
                                                     "atan",
                                                     "erf",
                                                     "cbrt",
                                                     "convert",
                                                     "bitcast",
                                                     "add",
                                                     "subtract",
                                                     "multiply",
                                                     "divide",
                                                     "remainder",
                                                     "minimum",
                                                     "maximum",
                                                     "power",
                                                     "atan2",
                                                     "and",
                                                     "or",
                                                     "xor",
                                                     "shift_left",
                                                     "shift_right_logical",
                                                     "shift_right_arithmetic",
                                                     "equal",
                                                     "not_equal",
                                                     "less",
                                                     "less_equal",
                                                     "greater",
                                                     "greater_equal",
                                                     "select",
                                                     "fma"};
static_assert(kNames.size() == static_cast<std::size_t>(Op::Fma) + 1);

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

/// Numbers the nodes that statements use, in the order of first use; the Builder's leftovers get none.
struct Live {
  const Kernel& kernel;
  std::vector<Expr> number;
  std::vector<Expr> order;

  explicit Live(const Kernel& k) : kernel(k), number(k.nodes.size(), kNone) { visit(k.body); }
  void visit(const std::vector<Statement>& body) {
    for (const Statement& s : body) {
      for (const Expr e : {s.at, s.value, s.predicate}) visit(e);
      visit(s.body);
    }
  }
  void visit(Expr e) {
    if (e == kNone || number[at(e)] != kNone) return;
    for (const Expr operand : {kernel.nodes[at(e)].a, kernel.nodes[at(e)].b, kernel.nodes[at(e)].c}) visit(operand);
    number[at(e)] = static_cast<Expr>(order.size());
    order.push_back(e);
  }
  [[nodiscard]] Expr operator()(Expr e) const { return e == kNone ? kNone : number[at(e)]; }
};

void append_key(std::string& out, const Live& live, const std::vector<Statement>& body) {
  for (const Statement& s : body) {
    const auto append = std::back_inserter(out);
    switch (s.kind) {
      case Statement::Kind::Loop:
        fmt::format_to(append, "L{},{}{{", static_cast<int>(s.loop), s.index);
        append_key(out, live, s.body);
        out += '}';
        break;
      case Statement::Kind::If:
        fmt::format_to(append, "I{}{{", live(s.predicate));
        append_key(out, live, s.body);
        out += '}';
        break;
      case Statement::Kind::Combine:
        fmt::format_to(append, "C{},{},{},{};", s.index, static_cast<int>(s.monoid), s.width, s.stride);
        break;
      default:
        fmt::format_to(append, "{}{},{},{},{};", s.kind == Statement::Kind::Store ? 'S' : 'W', s.index, live(s.at),
                       live(s.value), live(s.predicate));
    }
  }
}

std::string constant_text(const Node& node) {
  if (is_float(node.dtype))
    return node.dtype == DType::F64 ? fmt::format("{}", node.real) : fmt::format("{}", static_cast<float>(node.real));
  return std::to_string(node.integer);
}

bool is_leaf(const Node& node) { return node.op == Op::Constant || node.op == Op::Variable || node.op == Op::Lane; }

/// A node as an operand: leaves in full, the others by number.
std::string reference(const Kernel& kernel, const Live& live, Expr e) {
  const Node& node = kernel.nodes[at(e)];
  if (node.op == Op::Constant) return constant_text(node);
  if (node.op == Op::Variable) return kernel.variables[at(node.index)].name;
  return node.op == Op::Lane ? "lane" : fmt::format("%{}", live(e));
}

std::string expression(const Kernel& kernel, const Live& live, Expr e) {
  const Node& node = kernel.nodes[at(e)];
  const auto operand = [&](Expr o) { return reference(kernel, live, o); };
  switch (node.op) {
    case Op::Load:
      return fmt::format("{}[{}]{}", kernel.arguments[at(node.index)].name, operand(node.a),
                         node.b == kNone ? "" : " where " + operand(node.b));
    case Op::Read: return fmt::format("{}[{}]", kernel.locals[at(node.index)].name, operand(node.a));
    default: break;
  }
  std::string text(name(node.op));
  const char* separator = " ";
  for (const Expr o : {node.a, node.b, node.c}) {
    if (o != kNone) text += separator + operand(o);
    separator = ", ";
  }
  return text;
}

void append_statements(std::string& out, const Kernel& kernel, const Live& live, const std::vector<Statement>& body,
                       const std::string& indent) {
  constexpr std::array<std::string_view, 5> kLoops = {"parallel", "serial", "vector", "grid", "threads"};
  for (const Statement& s : body) {
    if (s.kind == Statement::Kind::Loop) {
      const Variable& v = kernel.variables[at(s.index)];
      out += fmt::format("{}{} {} < {}\n", indent, kLoops.at(static_cast<std::size_t>(s.loop)), v.name, v.extent);
      append_statements(out, kernel, live, s.body, indent + "  ");
    } else if (s.kind == Statement::Kind::If) {
      out += fmt::format("{}if {}\n", indent, reference(kernel, live, s.predicate));
      append_statements(out, kernel, live, s.body, indent + "  ");
    } else if (s.kind == Statement::Kind::Combine) {
      out += fmt::format("{}combine {} by {}: {} threads, stride {}\n", indent, kernel.locals[at(s.index)].name,
                         name(s.monoid), s.width, s.stride);
    } else {
      const std::string& target =
          s.kind == Statement::Kind::Store ? kernel.arguments[at(s.index)].name : kernel.locals[at(s.index)].name;
      const std::string guard = s.predicate == kNone ? "" : " where " + reference(kernel, live, s.predicate);
      out += fmt::format("{}{}[{}] = {}{}\n", indent, target, reference(kernel, live, s.at),
                         reference(kernel, live, s.value), guard);
    }
  }
}

const Statement* first_threads_loop(const std::vector<Statement>& body) {
  for (const Statement& s : body) {
    if (s.kind != Statement::Kind::Loop) continue;
    const Statement* found = s.loop == LoopKind::Threads ? &s : first_threads_loop(s.body);
    if (found != nullptr) return found;
  }
  return nullptr;
}

}  // namespace

std::string_view name(Op op) { return kNames.at(static_cast<std::size_t>(op)); }

std::int64_t Kernel::parallel_extent() const {
  if (body.empty() || body[0].kind != Statement::Kind::Loop) return 1;
  if (body[0].loop != LoopKind::Parallel && body[0].loop != LoopKind::Grid) return 1;
  return variables[at(body[0].index)].extent;
}

std::int64_t Kernel::threads() const {
  if (body.empty() || body[0].kind != Statement::Kind::Loop || body[0].loop != LoopKind::Grid) return 0;
  const Statement* loop = first_threads_loop(body[0].body);
  return loop == nullptr ? 0 : variables[at(loop->index)].extent;
}

std::string Kernel::key() const {
  const Live live(*this);
  std::string out;
  for (const Argument& a : arguments)
    fmt::format_to(std::back_inserter(out), "A{},{},{};", static_cast<int>(a.dtype), a.count, a.written ? 1 : 0);
  for (const Local& l : locals)
    fmt::format_to(std::back_inserter(out), "{}{},{};", l.shared ? 'H' : 'T', static_cast<int>(l.dtype), l.count);
  for (const Variable& v : variables) fmt::format_to(std::back_inserter(out), "V{};", v.extent);
  for (const Expr e : live.order) {
    const Node& n = nodes[at(e)];
    fmt::format_to(std::back_inserter(out), "{},{}", static_cast<int>(n.op), static_cast<int>(n.dtype));
    if (n.op == Op::Constant)
      fmt::format_to(std::back_inserter(out), ",{:x},{:x};", static_cast<std::uint64_t>(n.integer),
                     std::bit_cast<std::uint64_t>(n.real));
    else
      fmt::format_to(std::back_inserter(out), ",{},{},{},{};", n.index, live(n.a), live(n.b), live(n.c));
  }
  append_key(out, live, body);
  return out;
}

std::string to_string(const Kernel& kernel) {
  const Live live(kernel);
  std::string out = fmt::format("kernel {}\n", kernel.name);
  for (const Argument& a : kernel.arguments)
    out += fmt::format("  {} {}: {}[{}]\n", a.written ? "out" : "in ", a.name, tessera::name(a.dtype), a.count);
  for (const Local& l : kernel.locals)
    out += fmt::format("  {} {}: {}[{}]\n", l.shared ? "shared" : "local", l.name, tessera::name(l.dtype), l.count);
  for (const Expr e : live.order) {
    const Node& node = kernel.nodes[at(e)];
    if (!is_leaf(node))
      out += fmt::format("  %{}: {} = {}\n", live(e), tessera::name(node.dtype), expression(kernel, live, e));
  }
  append_statements(out, kernel, live, kernel.body, "  ");
  return out;
}

}  // namespace tessera::kernel
