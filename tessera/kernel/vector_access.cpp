// Neighbouring elements that a vector loop loads or stores at once. In: a vector loop inside a threads loop; out: the
// accesses that can be moved before and behind it, and helpers that move them. An index qualifies that grows by one
// with the loop's variable, from a multiple of the vector's length; a condition that is the same for all elements.
// Iterations are independent, so only the order within one matters: a load must not follow a store to its argument.
#include "tessera/kernel/vector_access.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <unordered_set>

#include "tessera/kernel/accesses.hpp"
#include "tessera/kernel/c_text.hpp"

namespace tessera::kernel {
namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
constexpr std::int64_t kBytes = 16;

/// The largest power of two that divides n, at most kLanes.
std::int64_t power_in(std::int64_t n) { return std::gcd(n, kLanes); }

class Analysis {
 public:
  Analysis(const Kernel& k, const Statement& loop) : k_(k), loop_(loop), extent_(k.variables[at(loop.index)].extent) {
    for (const Statement& s : loop.body) {
      inside_.push_back(accesses(k, s));
      written_.insert(inside_.back().writes.begin(), inside_.back().writes.end());
      stored_.insert(inside_.back().stores.begin(), inside_.back().stores.end());
    }
  }

  /// Where iteration 0 finds its element, if the others follow it.
  [[nodiscard]] bool is_run(Expr e) const { return stable(e) && slope(e) == 1; }

  /// Elements at once.
  std::int64_t elements(DType d, Expr e) {
    return std::min({kBytes / static_cast<std::int64_t>(size_of(d)), power_in(extent_), divisor(e)});
  }

  /// The condition is the same in all iterations.
  bool uniform(Expr e) {
    if (e == kNone) return true;
    if (!stable(e)) return false;
    const std::function<bool(Expr)> same = [&](Expr c) {
      const Node& n = k_.nodes[at(c)];
      if (!varies(c)) return true;
      if (n.op == Op::And && n.dtype == DType::Bool) return same(n.a) && same(n.b);
      if (n.op != Op::Less && n.op != Op::GreaterEqual) return false;
      const Node& bound = k_.nodes[at(n.b)];  // multiples of the extent do not lie between neighbours
      return bound.op == Op::Constant && bound.dtype == DType::I64 && power_in(extent_) == extent_ &&
             bound.integer % extent_ == 0 && slope(n.a) == 1 && divisor(n.a) % extent_ == 0;
    };
    return same(e);
  }

  /// Under which condition a load is done, if it can be done before the loop: `uses` says by which statements.
  std::optional<Expr> load_condition(const Node& load, const std::vector<std::size_t>& uses) {
    const auto first_store = static_cast<std::size_t>(
        std::find_if(inside_.begin(), inside_.end(), [&](const Accesses& a) { return a.stores.contains(load.index); }) -
        inside_.begin());
    Expr condition = load.b;
    bool found = load.b != kNone;
    for (const std::size_t use : uses) {
      const Statement& s = loop_.body[use];
      if (use > first_store || !s.body.empty()) return std::nullopt;
      if (load.b != kNone) continue;
      if (found && condition != s.predicate) return std::nullopt;
      condition = s.predicate;
      found = true;
    }
    return uniform(condition) ? std::optional(condition) : std::nullopt;
  }

  [[nodiscard]] bool can_store_later(std::size_t place) {
    const Statement& s = loop_.body[place];
    for (std::size_t other = 0; other < inside_.size(); ++other)
      if (other != place &&
          (inside_[other].stores.contains(s.index) || (other > place && inside_[other].loads.contains(s.index))))
        return false;
    return is_run(s.at) && uniform(s.predicate);
  }

 private:
  [[nodiscard]] bool varies(Expr e) const {
    return any_node(
        k_, e, [&](const Node& n) { return n.op == Op::Lane || (n.op == Op::Variable && n.index == loop_.index); });
  }
  /// Computed before or behind the loop, it has the value that it has inside.
  [[nodiscard]] bool stable(Expr e) const {
    return !any_node(k_, e, [&](const Node& n) {
      return (n.op == Op::Read && written_.contains(n.index)) || (n.op == Op::Load && stored_.contains(n.index));
    });
  }

  /// By how much an index grows from one iteration to the next.
  [[nodiscard]] std::optional<std::int64_t> slope(Expr e) const {
    if (!varies(e)) return 0;
    const Node& n = k_.nodes[at(e)];
    if (n.op == Op::Lane || n.op == Op::Variable) return 1;
    if (n.op != Op::Add && n.op != Op::Subtract && n.op != Op::Multiply) return std::nullopt;
    const auto a = slope(n.a);
    const auto b = slope(n.b);
    if (!a || !b) return std::nullopt;
    if (n.op == Op::Add) return *a + *b;
    if (n.op == Op::Subtract) return *a - *b;
    const Node& factor = k_.nodes[at(n.b)];
    std::int64_t product = 0;
    if (factor.op != Op::Constant || __builtin_mul_overflow(*a, factor.integer, &product)) return std::nullopt;
    return product;
  }

  /// A power of two, at most kLanes, that divides an index in iteration 0.
  std::int64_t divisor(Expr e) {
    const Node& n = k_.nodes[at(e)];
    const auto operands = [&](Expr a, Expr b) { return std::gcd(divisor(a), divisor(b)); };
    switch (n.op) {
      case Op::Constant: return power_in(n.integer);
      case Op::Lane: return kLanes;
      case Op::Variable: return n.index == loop_.index ? kLanes : 1;
      case Op::Add:
      case Op::Subtract:
      case Op::Minimum:
      case Op::Maximum:
      case Op::Remainder: return operands(n.a, n.b);
      case Op::Select: return operands(n.b, n.c);
      case Op::Multiply: return std::min(kLanes, divisor(n.a) * divisor(n.b));
      case Op::Divide: {
        const Node& by = k_.nodes[at(n.b)];
        return by.op == Op::Constant && by.integer > 0 && divisor(n.a) % by.integer == 0 ? divisor(n.a) / by.integer
                                                                                         : 1;
      }
      default: return 1;
    }
  }

  const Kernel& k_;
  const Statement& loop_;
  std::int64_t extent_;
  std::vector<Accesses> inside_;  // by statement of the body
  std::set<std::int32_t> written_, stored_;
};

/// For each load: the statements of the body that use it.
void find_loads(const Kernel& k, const Statement& s, std::size_t place,
                std::map<Expr, std::vector<std::size_t>>& uses) {
  std::vector<bool> seen(k.nodes.size());
  std::vector<Expr> work;
  const std::function<void(const Statement&)> roots = [&](const Statement& inner) {
    for (const Expr e : {inner.at, inner.value, inner.predicate}) work.push_back(e);
    for (const Statement& deeper : inner.body) roots(deeper);
  };
  roots(s);
  while (!work.empty()) {
    const Expr e = work.back();
    work.pop_back();
    if (e == kNone || seen[at(e)]) continue;
    seen[at(e)] = true;
    const Node& n = k.nodes[at(e)];
    if (n.op == Op::Load) uses[e].push_back(place);
    for (const Expr e : {n.a, n.b, n.c}) work.push_back(e);
  }
}

std::string vector_name(const char* what, DType d, std::int64_t elements) {
  return fmt::format("{}_{}_{}", what, elements, tessera::name(d));
}

/// "uint4", which has `count` parts.
std::string vector_type(const std::string& part, std::int64_t count) {
  return count == 1 ? part : fmt::format("{}{}", part == "unsigned" ? "uint" : part, count);
}

/// How a vector of elements is made of registers: of elements where these have 4 bytes or more, else of words.
struct Parts {
  std::string part;          ///< "float", "unsigned"
  std::int64_t count;        ///< of them
  std::int64_t each;         ///< elements in one
  std::string element;       ///< memory type
  std::string element_bits;  ///< the unsigned type of an element's size

  Parts(DType d, std::int64_t elements) : element(memory_type(d)) {
    const auto size = static_cast<std::int64_t>(size_of(d));
    const std::int64_t bytes = size * elements;
    if (size >= 4) {
      part = d == DType::F32 ? "float" : d == DType::F64 ? "double" : size == 4 ? "int" : "longlong";
      if (is_unsigned_integer(d)) part = size == 4 ? "unsigned" : "ulonglong";
      count = elements;
      each = 1;
    } else {
      part = bytes >= 4 ? "unsigned" : "ushort";
      count = std::max<std::int64_t>(1, bytes / 4);
      each = elements / count;
    }
    element_bits = fmt::format("uint{}_t", size * 8);
  }
  [[nodiscard]] std::string type() const {
    return count == 1 ? (part == "ushort" ? "uint16_t" : part) : vector_type(part, count);
  }
  [[nodiscard]] std::string place(std::int64_t i) const { return count == 1 ? "v" : fmt::format("v.{}", "xyzw"[i]); }
};

}  // namespace

bool any_node(const Kernel& k, Expr e, const std::function<bool(const Node&)>& predicate) {
  std::vector<Expr> work = {e};
  std::unordered_set<Expr> seen;
  while (!work.empty()) {
    const Expr next = work.back();
    work.pop_back();
    if (next == kNone || !seen.insert(next).second) continue;
    const Node& n = k.nodes[at(next)];
    if (predicate(n)) return true;
    for (const Expr e : {n.a, n.b, n.c}) work.push_back(e);
  }
  return false;
}

bool depends_on(const Kernel& k, Expr e, std::int32_t variable) {
  return any_node(k, e, [&](const Node& n) { return n.op == Op::Variable && n.index == variable; });
}

VectorAccesses::VectorAccesses(const Kernel& k, const Statement& loop) {
  for (std::size_t i = 0; i < k.nodes.size(); ++i) {
    if (k.nodes[i].op == Op::Variable && k.nodes[i].index == loop.index) variable = static_cast<Expr>(i);
    if (k.nodes[i].op == Op::Lane) lane = static_cast<Expr>(i);
  }
  Analysis analysis(k, loop);
  std::map<Expr, std::vector<std::size_t>> uses;
  for (std::size_t place = 0; place < loop.body.size(); ++place) find_loads(k, loop.body[place], place, uses);
  for (const auto& [e, by] : uses) {
    const Node& n = k.nodes[at(e)];
    if (!analysis.is_run(n.a)) continue;
    const std::int64_t elements = analysis.elements(n.dtype, n.a);
    const std::optional<Expr> condition = elements > 1 ? analysis.load_condition(n, by) : std::nullopt;
    if (condition)
      loads.push_back({.argument = n.index, .at = n.a, .condition = *condition, .elements = elements, .load = e});
  }
  for (std::size_t place = 0; place < loop.body.size(); ++place) {
    const Statement& s = loop.body[place];
    if (s.kind != Statement::Kind::Store || !analysis.can_store_later(place)) continue;
    const std::int64_t elements = analysis.elements(k.arguments[at(s.index)].dtype, s.at);
    if (elements > 1)
      stores.push_back(
          {.argument = s.index, .at = s.at, .condition = s.predicate, .elements = elements, .statement = &s});
  }
}

std::string vector_load_name(DType d, std::int64_t elements) { return vector_name("load", d, elements); }
std::string vector_store_name(DType d, std::int64_t elements) { return vector_name("store", d, elements); }

std::string vector_load(DType d, std::int64_t elements) {
  const Parts parts(d, elements);
  std::string text = fmt::format("void {0}({1}* to, const {1}* from) {{\n  const {2} v = *(const {2}*)from;\n",
                                 vector_load_name(d, elements), parts.element, parts.type());
  for (std::int64_t i = 0; i < elements; ++i) {
    const std::int64_t shift = i % parts.each * static_cast<std::int64_t>(size_of(d)) * 8;
    text += parts.each == 1
                ? fmt::format("  to[{}] = {};\n", i, parts.place(i))
                : fmt::format("  to[{}] = ({})({} >> {});\n", i, parts.element, parts.place(i / parts.each), shift);
  }
  return text + "}";
}

std::string vector_store(DType d, std::int64_t elements) {
  const Parts parts(d, elements);
  std::string text = fmt::format("void {0}({1}* to, const {1}* from) {{\n  {2} v;\n", vector_store_name(d, elements),
                                 parts.element, parts.type());
  for (std::int64_t p = 0; p < parts.count; ++p) {
    std::string value;
    for (std::int64_t i = 0; i < parts.each; ++i)
      value += parts.each == 1 ? fmt::format("from[{}]", p)
                               : fmt::format("{}(unsigned)({})from[{}] << {}", i == 0 ? "" : " | ", parts.element_bits,
                                             p * parts.each + i, i * static_cast<std::int64_t>(size_of(d)) * 8);
    text += fmt::format("  {} = {}{};\n", parts.place(p), parts.type() == "uint16_t" ? "(uint16_t)" : "",
                        parts.type() == "uint16_t" ? "(" + value + ")" : value);
  }
  return text + fmt::format("  *({}*)to = v;\n}}", parts.type());
}

}  // namespace tessera::kernel
