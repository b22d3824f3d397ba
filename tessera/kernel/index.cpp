// Index arithmetic: ranges of integer expressions, and their linear normal form (a sum of atoms times constants).
// In: I64 expressions of loop variables; out: the same values by fewer operations: (i*C + j) / C is i for 0 <= j < C.
// Used by kernel/builder.cpp; the renderers ask Ranges which divisions are of non-negative numbers.
#include <algorithm>
#include <limits>
#include <numeric>

#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

Range add(Range a, Range b) {
  Range sum{.known = a.known && b.known};
  if (__builtin_add_overflow(a.low, b.low, &sum.low) || __builtin_add_overflow(a.high, b.high, &sum.high))
    sum.known = false;
  return sum;
}

Range multiply(Range a, Range b) {
  if (!a.known || !b.known) return {};
  Range product{kMost, kLeast, true};
  for (const std::int64_t x : {a.low, a.high})
    for (const std::int64_t y : {b.low, b.high}) {
      std::int64_t value = 0;
      if (__builtin_mul_overflow(x, y, &value)) return {};
      product.low = std::min(product.low, value);
      product.high = std::max(product.high, value);
    }
  return product;
}

Range exactly(std::int64_t value) { return {value, value, true}; }

Range of_type(DType dtype) {
  if (dtype == DType::Bool) return {0, 1, true};
  if (!is_integer(dtype) || size_of(dtype) == 8) return {};
  const std::int64_t span = 1LL << (size_of(dtype) * 8);
  return is_signed_integer(dtype) ? Range{-span / 2, span / 2 - 1, true} : Range{0, span - 1, true};
}

}  // namespace

// --- Ranges.

Range Ranges::of(Expr e) {
  if (const auto found = memo_.find(e); found != memo_.end()) return found->second;
  const Node& node = kernel_.nodes[static_cast<std::size_t>(e)];
  Range range = compute(node);
  const Range type = of_type(node.dtype);
  if (type.known && !range.within(type.low, type.high)) range = type;  // unknown, or it may wrap
  return memo_[e] = range;
}

Range Ranges::compute(const Node& node) {
  if (is_float(node.dtype) || node.dtype == DType::U64) return {};
  switch (node.op) {
    case Op::Constant: return exactly(node.integer);
    case Op::Variable:
      return {0, std::max<std::int64_t>(0, kernel_.variables[static_cast<std::size_t>(node.index)].extent - 1), true};
    case Op::Lane: return {0, kLanes - 1, true};
    case Op::Add: return add(of(node.a), of(node.b));
    case Op::Subtract: return add(of(node.a), multiply(of(node.b), exactly(-1)));
    case Op::Multiply: return multiply(of(node.a), of(node.b));
    case Op::Negate: return multiply(of(node.a), exactly(-1));
    case Op::Divide: {
      const Range a = of(node.a);
      const Range b = of(node.b);
      if (!a.known || !b.within(1, kMost)) return {};
      return {std::min(a.low / b.low, a.low / b.high), std::max(a.high / b.low, a.high / b.high), true};
    }
    case Op::Remainder: {
      const Range a = of(node.a);
      const Range b = of(node.b);
      if (!a.known || !b.within(1, kMost)) return {};
      if (a.low >= 0) return {0, std::min(a.high, b.high - 1), true};
      return {std::max(a.low, -(b.high - 1)), std::max<std::int64_t>(0, std::min(a.high, b.high - 1)), true};
    }
    case Op::Minimum:
    case Op::Maximum: {
      const Range a = of(node.a);
      const Range b = of(node.b);
      if (!a.known || !b.known) return {};
      if (node.op == Op::Minimum) return {std::min(a.low, b.low), std::min(a.high, b.high), true};
      return {std::max(a.low, b.low), std::max(a.high, b.high), true};
    }
    case Op::Select: {
      const Range a = of(node.b);
      const Range b = of(node.c);
      return {std::min(a.low, b.low), std::max(a.high, b.high), a.known && b.known};
    }
    case Op::Convert: return is_float(kernel_.nodes[static_cast<std::size_t>(node.a)].dtype) ? Range{} : of(node.a);
    case Op::And: {
      const Range b = of(node.b);  // constants stand on the right
      return b.known && b.low == b.high && b.low >= 0 ? Range{0, b.low, true} : Range{};
    }
    default: return {};
  }
}

std::vector<bool> impure_nodes(const Kernel& kernel) {
  std::vector<bool> impure(kernel.nodes.size());
  for (std::size_t i = 0; i < kernel.nodes.size(); ++i) {  // operands come before their users
    const Node& node = kernel.nodes[i];
    bool is =
        node.op == Op::Read || (node.op == Op::Load && kernel.arguments[static_cast<std::size_t>(node.index)].written);
    for (const Expr operand : {node.a, node.b, node.c})
      if (operand != kNone && impure[static_cast<std::size_t>(operand)]) is = true;
    impure[i] = is;
  }
  return impure;
}

// --- The linear normal form. All of it is arithmetic modulo 2^64, as the IR's.

struct Builder::Linear {
  struct Term {
    Expr atom;
    std::int64_t factor;
  };
  std::vector<Term> terms;  // by atom; factors are not 0
  std::int64_t constant = 0;

  void add(Expr atom, std::int64_t factor) {
    const auto place =
        std::lower_bound(terms.begin(), terms.end(), atom, [](const Term& t, Expr e) { return t.atom < e; });
    if (place == terms.end() || place->atom != atom) {
      if (factor != 0) terms.insert(place, {atom, factor});
      return;
    }
    place->factor = wrapping_add(place->factor, factor);
    if (place->factor == 0) terms.erase(place);
  }
  void add(const Linear& other, std::int64_t factor) {
    for (const Term& term : other.terms) add(term.atom, wrapping_multiply(term.factor, factor));
    constant = wrapping_add(constant, wrapping_multiply(other.constant, factor));
  }
  static std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
  static std::int64_t wrapping_multiply(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  }
  /// What factors have in common with `by`, and `by`: more than 1, the largest first.
  [[nodiscard]] std::vector<std::int64_t> units(std::int64_t by) const {
    std::vector<std::int64_t> list = {by};
    for (const Term& term : terms)
      if (const std::int64_t unit = std::gcd(term.factor, by); unit > 1) list.push_back(unit);
    std::sort(list.begin(), list.end(), std::greater<>());
    return list;
  }
  /// The terms whose factor is a multiple of `unit`, divided by it, go to `whole`; the others to `rest`.
  void split(std::int64_t unit, Linear& whole, Linear& rest) const {
    for (const Term& term : terms) {
      if (term.factor % unit == 0)
        whole.terms.push_back({term.atom, term.factor / unit});
      else
        rest.terms.push_back(term);
    }
    rest.constant = ((constant % unit) + unit) % unit;
    whole.constant = (constant - rest.constant) / unit;
  }
};

Builder::Linear Builder::linear(Expr e) const {
  const Node& n = node(e);
  Linear form;
  if (n.dtype == DType::I64 && n.op == Op::Constant) {
    form.constant = n.integer;
  } else if (n.dtype == DType::I64 && (n.op == Op::Add || n.op == Op::Subtract)) {
    form.add(linear(n.a), 1);
    form.add(linear(n.b), n.op == Op::Add ? 1 : -1);
  } else if (n.dtype == DType::I64 && n.op == Op::Multiply && node(n.b).op == Op::Constant) {
    form.add(linear(n.a), node(n.b).integer);
  } else {
    form.terms.push_back({e, 1});
  }
  return form;
}

Range Builder::range(const Linear& form) {
  Range sum = exactly(form.constant);
  for (const Linear::Term& term : form.terms)
    sum = kernel::add(sum, multiply(ranges_.of(term.atom), exactly(term.factor)));
  return sum;
}

Expr Builder::build(Linear form) {
  // x / C * C + x % C is x.
  for (std::size_t i = 0; i < form.terms.size(); ++i) {
    const auto [atom, factor] = form.terms[i];
    const Node remainder = node(atom);
    std::int64_t by = 0;
    if (remainder.op != Op::Remainder || !is_constant(remainder.b, &by) || by <= 0) continue;
    const Expr quotient = divide_index(remainder.a, by);
    const Linear whole = linear(quotient);
    if (whole.terms.size() != 1 || whole.constant != 0 || whole.terms[0].factor != 1) continue;
    const auto found =
        std::find_if(form.terms.begin(), form.terms.end(), [&](const Linear::Term& t) { return t.atom == quotient; });
    if (found == form.terms.end() || found->factor != Linear::wrapping_multiply(factor, by)) continue;
    form.add(quotient, -found->factor);
    form.add(atom, -factor);
    form.add(linear(remainder.a), factor);
    return build(std::move(form));
  }
  // Outer variables have smaller numbers: what does not change in the inner loops is summed first. A term that is
  // subtracted follows one that is added.
  Expr sum = kNone;
  const auto append = [&](const Linear::Term& term, bool positive) {
    const std::int64_t factor = positive ? term.factor : Linear::wrapping_multiply(term.factor, -1);
    const Expr product = factor == 1 ? term.atom : make(Op::Multiply, DType::I64, term.atom, index(factor));
    sum = sum == kNone ? product : make(positive ? Op::Add : Op::Subtract, DType::I64, sum, product);
  };
  std::stable_sort(form.terms.begin(), form.terms.end(),
                   [](const Linear::Term& a, const Linear::Term& b) { return (a.factor > 0) > (b.factor > 0); });
  for (const Linear::Term& term : form.terms) append(term, term.factor > 0 || sum == kNone);
  if (sum == kNone) return index(form.constant);
  if (form.constant == 0) return sum;
  return make(Op::Add, DType::I64, sum, index(form.constant));
}

Expr Builder::divide_index(Expr a, std::int64_t by) {
  if (by == 1) return a;
  const Linear form = linear(a);
  if (range(form).within(0, kMost)) {
    // a = unit * whole + rest with 0 <= rest < unit: a / by = whole / (by / unit). The largest unit first.
    for (const std::int64_t unit : form.units(by)) {
      Linear whole;
      Linear rest;
      form.split(unit, whole, rest);
      const Range within = range(rest);
      if (within.within(0, unit - 1)) return divide_index(build(whole), by / unit);
      if (unit == by && within.within(0, kMost) && !whole.terms.empty()) {  // by * whole + rest: whole + rest / by
        whole.add(linear(divide_index(build(rest), by)), 1);
        return build(whole);
      }
    }
    // (rest + x / C) / by is (C * rest + x) / (C * by): one division, and one form for what is equal.
    for (const Linear::Term& term : form.terms) {
      const Node quotient = node(term.atom);
      std::int64_t inner_by = 0;
      std::int64_t product = 0;
      if (term.factor != 1 || quotient.op != Op::Divide || !is_constant(quotient.b, &inner_by) || inner_by <= 0 ||
          !ranges_.of(quotient.a).within(0, kMost) || __builtin_mul_overflow(inner_by, by, &product))
        continue;
      Linear whole;
      whole.add(form, inner_by);
      whole.add(term.atom, -inner_by);
      whole.add(linear(quotient.a), 1);
      if (range(whole).within(0, kMost)) return divide_index(build(whole), product);
    }
  }
  return make(Op::Divide, DType::I64, a, index(by));
}

Expr Builder::remainder_index(Expr a, std::int64_t by) {
  if (by == 1) return index(0);
  const Linear form = linear(a);
  if (range(form).within(0, by - 1)) return a;
  if (range(form).within(0, kMost)) {
    for (const std::int64_t unit : form.units(by)) {
      Linear whole;
      Linear rest;
      form.split(unit, whole, rest);
      if (unit == by) {
        if (range(rest).within(0, kMost) && (!whole.terms.empty() || whole.constant != 0))
          return remainder_index(build(rest), by);
      } else if (range(rest).within(0, unit - 1)) {  // (unit * whole + rest) % by = unit * (whole % (by / unit)) + rest
        rest.add(linear(remainder_index(build(whole), by / unit)), unit);
        return build(rest);
      }
    }
    const Node inner = node(a);
    std::int64_t first = 0;
    if (inner.op == Op::Remainder && is_constant(inner.b, &first) && first > 0 && first % by == 0)
      return remainder_index(inner.a, by);
  }
  return make(Op::Remainder, DType::I64, a, index(by));
}

Expr Builder::simplify_integers(Op op, Expr a, Expr b) {
  const DType type = dtype(a);
  std::int64_t value = 0;
  const bool b_constant = is_constant(b, &value);
  if (type == DType::I64) {
    if (op == Op::Add || op == Op::Subtract) {
      Linear form = linear(a);
      form.add(linear(b), op == Op::Add ? 1 : -1);
      return build(std::move(form));
    }
    if (op == Op::Multiply && b_constant) {
      Linear form;
      form.add(linear(a), value);
      return build(std::move(form));
    }
    if (op == Op::Divide && b_constant && value > 0) return divide_index(a, value);
    if (op == Op::Remainder && b_constant && value > 0) return remainder_index(a, value);
    if (op == Op::Minimum || op == Op::Maximum) {
      Linear difference = linear(a);
      difference.add(linear(b), -1);
      const Range range = this->range(difference);
      if (range.known && range.high <= 0) return op == Op::Minimum ? a : b;
      if (range.known && range.low >= 0) return op == Op::Minimum ? b : a;
    }
  }
  if (b_constant) {
    const std::int64_t all = is_unsigned_integer(type) && size_of(type) < 8 ? (1LL << (size_of(type) * 8)) - 1 : -1;
    if (value == 0) {
      switch (op) {
        case Op::Add:
        case Op::Subtract:
        case Op::Or:
        case Op::Xor:
        case Op::ShiftLeft:
        case Op::ShiftRightLogical:
        case Op::ShiftRightArithmetic: return a;
        case Op::Multiply:
        case Op::And: return b;
        default: break;
      }
    }
    if (value == 1 && (op == Op::Multiply || op == Op::Divide)) return a;
    if (value == 1 && op == Op::Remainder) return integer(type, 0);
    if (value == all && op == Op::And) return a;
    if (value == all && op == Op::Or) return b;
    // (x op c) op d is x op (c op d).
    const Node inner = node(a);
    const bool associates = op == Op::Add || op == Op::Multiply || op == Op::And || op == Op::Or || op == Op::Xor ||
                            op == Op::Minimum || op == Op::Maximum;
    if (associates && inner.op == op && node(inner.b).op == Op::Constant)
      return binary(op, inner.a, binary(op, inner.b, b));
  }
  if (a == b) {
    if (op == Op::Subtract || op == Op::Xor) return integer(type, 0);
    if (op == Op::And || op == Op::Or || op == Op::Minimum || op == Op::Maximum) return a;
  }
  return make(op, type, a, b);
}

Expr Builder::compare_integers(Op op, Expr a, Expr b) {
  const auto truth = [&](bool value) { return integer(DType::Bool, value ? 1 : 0); };
  Range difference;  // of a - b
  if (dtype(a) == DType::I64) {
    Linear form = linear(a);
    form.add(linear(b), -1);
    if (ranges_.of(a).known && ranges_.of(b).known) difference = range(form);  // neither side wraps
  } else {
    difference = kernel::add(ranges_.of(a), multiply(ranges_.of(b), exactly(-1)));
  }
  if (a == b) difference = exactly(0);
  if (difference.known) {
    const auto [low, high, known] = difference;
    switch (op) {
      case Op::Equal:
      case Op::NotEqual:
        if (low > 0 || high < 0) return truth(op == Op::NotEqual);
        if (low == 0 && high == 0) return truth(op == Op::Equal);
        break;
      case Op::Less:
        if (high < 0 || low >= 0) return truth(high < 0);
        break;
      case Op::LessEqual:
        if (high <= 0 || low > 0) return truth(high <= 0);
        break;
      case Op::Greater:
        if (low > 0 || high <= 0) return truth(low > 0);
        break;
      default:
        if (low >= 0 || high < 0) return truth(low >= 0);
    }
  }
  return make(op, DType::Bool, a, b);
}

}  // namespace tessera::kernel
