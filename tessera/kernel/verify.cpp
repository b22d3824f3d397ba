// The rules that a kernel keeps. In: any kernel; out: nothing, or an Error naming the first rule that is broken.
#include <fmt/format.h>

#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {
namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

class Verifier {
 public:
  explicit Verifier(const Kernel& kernel)
      : k_(kernel), ranges_(kernel), in_scope_(kernel.variables.size()), opened_(kernel.variables.size()) {}

  void run() {
    for (const Argument& a : k_.arguments)
      require(is_supported(a.dtype) && a.count >= 0, "argument {} has an unsupported type or a negative count", a.name);
    for (const Local& l : k_.locals)
      require(is_supported(l.dtype) && l.dtype != DType::F16 && l.dtype != DType::BF16 && l.count > 0,
              "local {} needs a type to compute with and a positive count", l.name);
    for (const Variable& v : k_.variables) require(v.extent >= 0, "variable {} has a negative extent", v.name);
    for (std::size_t i = 0; i < k_.nodes.size(); ++i) node(static_cast<Expr>(i));
    for (const Statement& s : k_.body)
      require(s.kind != Statement::Kind::Loop || (s.loop != LoopKind::Parallel && s.loop != LoopKind::Grid) ||
                  k_.body.size() == 1,
              "a {} loop must be the only outermost statement", s.loop == LoopKind::Grid ? "grid" : "parallel");
    threads_ = k_.threads();
    on_gpu_ = !k_.body.empty() && k_.body[0].kind == Statement::Kind::Loop && k_.body[0].loop == LoopKind::Grid;
    require(!on_gpu_ || threads_ > 0, "the grid loop holds no threads loop");
    for (const Local& l : k_.locals) {
      require(!l.shared || on_gpu_, "local {} is shared, but there are no blocks", l.name);
      require(!l.shared || l.count <= static_cast<std::int64_t>(kSharedBytes),
              "local {} has too many elements for shared memory", l.name);
    }
    block(k_.body, 0);
    require(!on_gpu_ || shared_bytes(k_) <= kSharedBytes, "it takes {} bytes of shared memory; a block has {}",
            shared_bytes(k_), kSharedBytes);
  }

 private:
  template <class... Args>
  void require(bool holds, fmt::format_string<const Args&...> rule, const Args&... args) const {
    if (!holds) throw Error(fmt::format("kernel {}: {}", k_.name, fmt::format(rule, args...)));
  }

  [[nodiscard]] DType type(Expr e) const { return k_.nodes[at(e)].dtype; }

  void node(Expr e) {
    const Node& n = k_.nodes[at(e)];
    const int arity = n.op <= Op::Lane ? 0 : n.op <= Op::Bitcast ? 1 : n.op <= Op::GreaterEqual ? 2 : 3;
    const Expr operands[] = {n.a, n.b, n.c};
    for (int i = 0; i < 3; ++i) {
      const bool optional = n.op == Op::Load && i == 1;
      if (optional && operands[i] == kNone) continue;
      require((operands[i] != kNone) == (i < arity || optional), "node {} ({}) has a wrong number of operands", e,
              name(n.op));
      require(operands[i] < e, "node {} ({}) uses a later node", e, name(n.op));
    }
    require(is_supported(n.dtype), "node {} ({}) has an unsupported type", e, name(n.op));
    const bool half = n.dtype == DType::F16 || n.dtype == DType::BF16;
    const bool operand_half = arity > 0 && (type(n.a) == DType::F16 || type(n.a) == DType::BF16);
    const bool moves = n.op == Op::Constant || n.op == Op::Load || n.op == Op::Convert || n.op == Op::Bitcast;
    require(moves || (!half && !operand_half),
            "node {} ({}) computes with a half-precision float; convert it to f32 first", e, name(n.op));
    switch (n.op) {
      case Op::Constant: return;
      case Op::Variable:
        require(n.index >= 0 && at(n.index) < k_.variables.size(), "node {} names no variable", e);
        require(n.dtype == DType::I64, "node {}: variables are i64", e);
        return;
      case Op::Lane: require(n.dtype == DType::I64, "node {}: lanes are i64", e); return;
      case Op::Load:
        require(n.index >= 0 && at(n.index) < k_.arguments.size(), "node {} loads from no argument", e);
        require(n.dtype == k_.arguments[at(n.index)].dtype && type(n.a) == DType::I64,
                "node {}: load of a wrong type, or an index that is not i64", e);
        require(n.b == kNone || type(n.b) == DType::Bool, "node {}: the predicate of a load must be bool", e);
        return;
      case Op::Read:
        require(n.index >= 0 && at(n.index) < k_.locals.size(), "node {} reads no local", e);
        require(n.dtype == k_.locals[at(n.index)].dtype && type(n.a) == DType::I64,
                "node {}: read of a wrong type, or an index that is not i64", e);
        return;
      case Op::Convert: return;
      case Op::Bitcast:
        require(size_of(n.dtype) == size_of(type(n.a)) && n.dtype != DType::Bool && type(n.a) != DType::Bool,
                "node {}: bitcast between types of different size, or bool", e);
        return;
      case Op::Select:
        require(type(n.a) == DType::Bool && type(n.b) == n.dtype && type(n.c) == n.dtype,
                "node {}: select of wrong types", e);
        return;
      default: break;
    }
    const bool comparison = n.op >= Op::Equal && n.op <= Op::GreaterEqual;
    const DType operand = type(n.a);
    require(comparison ? n.dtype == DType::Bool : n.dtype == operand, "node {} ({}) has a wrong result type", e,
            name(n.op));
    for (int i = 1; i < arity; ++i)
      require(type(operands[i]) == operand, "node {} ({}) has operands of different types", e, name(n.op));
    const bool libm = (n.op >= Op::Exp && n.op <= Op::Cbrt) || n.op == Op::Power || n.op == Op::Atan2;
    require(!libm || operand == DType::F64, "node {} ({}) exists for f64 alone", e, name(n.op));
    const bool floats_only =
        libm || n.op == Op::Sqrt || n.op == Op::Floor || n.op == Op::Ceil || n.op == Op::RoundEven || n.op == Op::Fma;
    const bool bits = n.op == Op::Not || n.op == Op::And || n.op == Op::Or || n.op == Op::Xor;
    const bool integers_only = n.op == Op::PopCount || n.op == Op::CountLeadingZeros ||
                               (n.op >= Op::ShiftLeft && n.op <= Op::ShiftRightArithmetic);
    require(!floats_only || is_float(operand), "node {} ({}) takes floats", e, name(n.op));
    require(!integers_only || is_integer(operand), "node {} ({}) takes integers", e, name(n.op));
    require(!bits || !is_float(operand), "node {} ({}) takes integers and bool", e, name(n.op));
    require(bits || operand != DType::Bool, "node {} ({}) is not defined for bool", e, name(n.op));
  }

  void element(Expr index, std::int64_t count, const std::string& buffer) {
    const Range range = ranges_.of(index);
    require(!range.known || (range.low < count && range.high >= 0),
            "index {} .. {} is outside of {}, which has {} elements", range.low, range.high, buffer, count);
  }

  void block(const std::vector<Statement>& body, int depth) {
    for (const Statement& s : body) {
      switch (s.kind) {
        case Statement::Kind::Loop: loop(s, depth); break;
        case Statement::Kind::If: condition(s, depth); break;
        case Statement::Kind::Combine: combine(s); break;
        default: assignment(s);
      }
    }
  }

  void loop(const Statement& s, int depth) {
    require(s.index >= 0 && at(s.index) < k_.variables.size(), "a loop over no variable");
    require(!opened_[at(s.index)], "variable {} belongs to two loops", k_.variables[at(s.index)].name);
    require(s.loop != LoopKind::Parallel || depth == 0, "the parallel loop {} is not outermost",
            k_.variables[at(s.index)].name);
    require(s.loop != LoopKind::Vector || vector_ == kNone, "the vector loop {} is inside another",
            k_.variables[at(s.index)].name);
    const Variable& v = k_.variables[at(s.index)];
    if (s.loop == LoopKind::Grid) {
      require(depth == 0, "the grid loop {} is not outermost", v.name);
      require(v.extent <= std::numeric_limits<std::int32_t>::max(), "the grid loop {} has too many blocks", v.name);
    }
    if (s.loop == LoopKind::Threads) {
      require(on_gpu_ && !in_threads_, "the threads loop {} is {}", v.name,
              on_gpu_ ? "inside another" : "not inside a grid loop");
      require(v.extent == threads_ && v.extent % 32 == 0 && v.extent <= 1024,
              "the threads loop {} has extent {}; all of a kernel have one, a multiple of 32, at most 1024", v.name,
              v.extent);
      in_threads_ = true;
    }
    require(s.loop != LoopKind::Vector || !on_gpu_ || (in_threads_ && v.extent <= kLanes),
            "the vector loop {} is outside of the threads loops, or has more than {} elements", v.name, kLanes);
    opened_[at(s.index)] = in_scope_[at(s.index)] = true;
    if (s.loop == LoopKind::Vector) vector_ = s.index;
    block(s.body, depth + 1);
    if (s.loop == LoopKind::Vector) vector_ = kNone;
    if (s.loop == LoopKind::Threads) in_threads_ = false;
    in_scope_[at(s.index)] = false;
  }

  void condition(const Statement& s, int depth) {
    require(in_threads_, "an if stands outside of a threads loop");
    require(s.index >= 0 && at(s.index) < k_.variables.size() && !opened_[at(s.index)] &&
                k_.variables[at(s.index)].extent == 1,
            "an if needs a variable of its own, of extent 1");
    require(s.predicate != kNone && type(s.predicate) == DType::Bool, "the condition of an if is not bool");
    scope(s.predicate);
    opened_[at(s.index)] = true;
    block(s.body, depth + 1);
  }

  void combine(const Statement& s) {
    require(on_gpu_ && !in_threads_, "a combine stands {}",
            on_gpu_ ? "inside a threads loop" : "outside of a grid loop");
    require(s.index >= 0 && at(s.index) < k_.locals.size(), "a combine of no local");
    const Local& l = k_.locals[at(s.index)];
    require(!l.shared, "a combine of {}, which is shared", l.name);
    const auto power = [](std::int64_t n) { return n > 0 && (n & (n - 1)) == 0; };
    require(power(s.width) && power(s.stride) && s.width <= threads_ && s.stride <= threads_ &&
                threads_ % (s.width * s.stride) == 0,
            "a combine of {} has width {} and stride {}: powers of two whose product divides the {} threads", l.name,
            s.width, s.stride, threads_);
    const bool bits = s.monoid == Op::And || s.monoid == Op::Or || s.monoid == Op::Xor;
    const bool numbers =
        s.monoid == Op::Add || s.monoid == Op::Multiply || s.monoid == Op::Minimum || s.monoid == Op::Maximum;
    require((bits && !is_float(l.dtype)) || (numbers && l.dtype != DType::Bool),
            "a combine of {} by {}, which is no "
            "monoid of its type",
            l.name, name(s.monoid));
  }

  void assignment(const Statement& s) {
    const bool store = s.kind == Statement::Kind::Store;
    require(s.index >= 0 && at(s.index) < (store ? k_.arguments.size() : k_.locals.size()), "a store to no buffer");
    const std::string& target = store ? k_.arguments[at(s.index)].name : k_.locals[at(s.index)].name;
    require(!on_gpu_ || in_threads_, "a store to {} stands outside of the threads loops", target);
    require(s.at != kNone && s.value != kNone, "a store to {} lacks its index or its value", target);
    require(!store || k_.arguments[at(s.index)].written, "argument {} is stored to but not declared as written",
            target);
    require(type(s.at) == DType::I64, "the index of a store to {} is not i64", target);
    require(type(s.value) == (store ? k_.arguments[at(s.index)].dtype : k_.locals[at(s.index)].dtype),
            "a store to {} has a value of another type", target);
    require(s.predicate == kNone || type(s.predicate) == DType::Bool, "the predicate of a store to {} is not bool",
            target);
    if (s.predicate == kNone)
      element(s.at, store ? k_.arguments[at(s.index)].count : k_.locals[at(s.index)].count, target);
    for (const Expr e : {s.at, s.value, s.predicate})
      if (e != kNone) scope(e);
    require(vector_ == kNone || k_.variables[at(vector_)].extent <= 1 || by_lane(s.at),
            "inside the vector loop every lane needs an element of its own of {}", target);
  }

  /// Variables that `e` uses are those of the loops around it, and its accesses lie inside their buffers.
  void scope(Expr e) {
    std::vector<Expr> work = {e};
    std::vector<bool> seen(k_.nodes.size());
    while (!work.empty()) {
      const Expr next = work.back();
      work.pop_back();
      if (next == kNone || seen[at(next)]) continue;
      seen[at(next)] = true;
      const Node& n = k_.nodes[at(next)];
      require(n.op != Op::Variable || in_scope_[at(n.index)], "variable {} is used outside of its loop",
              n.op == Op::Variable ? k_.variables[at(n.index)].name : std::string());
      require(n.op != Op::Lane || vector_ != kNone, "a lane is asked for outside of a vector loop");
      if (n.op == Op::Load && n.b == kNone)
        element(n.a, k_.arguments[at(n.index)].count, k_.arguments[at(n.index)].name);
      if (n.op == Op::Read) element(n.a, k_.locals[at(n.index)].count, k_.locals[at(n.index)].name);
      for (const Expr o : {n.a, n.b, n.c}) work.push_back(o);
    }
  }

  [[nodiscard]] bool by_lane(Expr e) const {
    if (e == kNone) return false;
    const Node& n = k_.nodes[at(e)];
    if (n.op == Op::Lane || (n.op == Op::Variable && n.index == vector_)) return true;
    if (n.op == Op::Read) return true;  // an index kept in a local
    return by_lane(n.a) || by_lane(n.b) || by_lane(n.c);
  }

  const Kernel& k_;
  Ranges ranges_;
  std::vector<bool> in_scope_, opened_;
  std::int32_t vector_ = kNone;
  std::int64_t threads_ = 0;
  bool on_gpu_ = false, in_threads_ = false;
};

}  // namespace

void verify(const Kernel& kernel) { Verifier(kernel).run(); }

}  // namespace tessera::kernel
