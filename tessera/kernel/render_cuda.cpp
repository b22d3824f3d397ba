// Kernels as CUDA C++ for NVRTC. In: kernels with Grid and Threads loops; out: one translation unit that includes
// nothing. Threads loops become scopes that every thread of a block runs through, with barriers between them where one
// reads or writes what another wrote; a Combine becomes warp shuffles and one exchange through shared memory. Index
// arithmetic is in 32 bits where the ranges of the variables allow it: 64-bit division is slow on a GPU. Vector loops
// are unrolled, and load and store up to 16 bytes at once (kernel/vector_access.cpp).
// Read next: kernel/c_text.cpp (expressions).
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/kernel/c_text.hpp"
#include "tessera/kernel/vector_access.hpp"

namespace tessera::kernel {
namespace {

constexpr std::int64_t kWarp = 32;

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
std::int64_t bytes_of(const Argument& a) { return a.count * static_cast<std::int64_t>(size_of(a.dtype)); }
std::int64_t round_up(std::int64_t bytes) { return (bytes + 15) / 16 * 16; }

/// How the threads of a block combine their values: within warps by shuffles, then across them through scratch memory.
struct Exchange {
  std::int64_t total, step, warps, span;

  explicit Exchange(const Statement& s)
      : total(s.width * s.stride),
        step(std::max(s.stride, kWarp)),
        warps(total / step),                // of each group that exchanges
        span(std::min(s.stride, kWarp)) {}  // different values in a warp after its shuffles
  [[nodiscard]] bool crosses() const { return total > kWarp; }
  [[nodiscard]] std::int64_t scratch(std::int64_t threads) const { return crosses() ? threads / kWarp * span : 0; }
};

/// Combines that follow each other: those that cross warps exchange their values together, between two barriers.
struct Combines {
  std::vector<const Statement*> all;
  std::vector<std::int64_t> offsets;  ///< of each in the scratch memory
  std::int64_t bytes = 0;

  [[nodiscard]] bool crosses() const { return bytes > 0; }
  [[nodiscard]] bool takes(const Statement& s, std::int64_t more) const {
    constexpr std::int64_t kMostBytes = 16L * 1024;
    return bytes + more <= kMostBytes &&
           std::none_of(all.begin(), all.end(), [&](const Statement* other) { return other->index == s.index; });
  }
};

/// Where shared locals lie, and the scratch memory of Combines behind them.
struct SharedMemory {
  std::vector<std::int64_t> offsets;
  std::int64_t scratch = 0, bytes = 0;
  std::map<const Statement*, Combines> combines;  ///< by the first one

  explicit SharedMemory(const Kernel& k) {
    for (const Local& l : k.locals) {
      offsets.push_back(bytes);
      if (l.shared) bytes += round_up(l.count * static_cast<std::int64_t>(size_of(l.dtype)));
    }
    scratch = bytes;
    group(k, k.body);
    std::int64_t most = 0;
    for (const auto& [first, together] : combines) most = std::max(most, together.bytes);
    bytes += most;
  }

 private:
  void group(const Kernel& k, const std::vector<Statement>& body) {
    Combines* open = nullptr;
    for (const Statement& s : body) {
      group(k, s.body);
      if (s.kind != Statement::Kind::Combine) {
        open = nullptr;
        continue;
      }
      const std::int64_t more =
          round_up(Exchange(s).scratch(k.threads()) * static_cast<std::int64_t>(size_of(k.locals[at(s.index)].dtype)));
      if (open == nullptr || !open->takes(s, more)) open = &combines[&s];
      open->all.push_back(&s);
      open->offsets.push_back(open->bytes);
      open->bytes += more;
    }
  }
};

/// Barriers: before which statements of a block all threads must have finished the ones before.
class Barriers {
 public:
  Barriers(const Kernel& k, const SharedMemory& shared) : k_(k), shared_(shared) { flow(k.body[0].body, {}); }
  [[nodiscard]] bool before(const Statement& s) const { return barriers_.contains(&s); }

 private:
  /// What has been accessed since the last barrier, after the statements, if `pending` was before them.
  Accesses flow(const std::vector<Statement>& body, Accesses pending) {
    for (const Statement& s : body) {
      if (s.kind == Statement::Kind::Loop && s.loop == LoopKind::Serial) {
        for (;;) {  // the end of an iteration comes before the next one
          Accesses around = merged(pending, flow(s.body, pending));
          if (around == pending) break;
          pending = std::move(around);
        }
        continue;
      }
      const auto combines = shared_.combines.find(&s);
      const bool exchanges = combines != shared_.combines.end() && combines->second.crosses();
      const Accesses now = s.kind == Statement::Kind::Combine ? Accesses{} : common(s);
      const bool needed = conflict(pending, now) || (exchanges && pending.reads.contains(kScratch));
      if (needed)
        barriers_.insert(&s);
      else
        barriers_.erase(&s);
      if (needed || exchanges) pending = {};
      pending = merged(std::move(pending), now);
      if (exchanges) pending.reads.insert(kScratch);
    }
    return pending;
  }

  /// What other threads may see: not private locals.
  Accesses common(const Statement& s) const {
    Accesses found = accesses(k_, s);
    std::erase_if(found.reads, [&](std::int32_t l) { return !k_.locals[at(l)].shared; });
    std::erase_if(found.writes, [&](std::int32_t l) { return !k_.locals[at(l)].shared; });
    return found;
  }

  static Accesses merged(Accesses a, const Accesses& b) {
    a.loads.insert(b.loads.begin(), b.loads.end());
    a.stores.insert(b.stores.begin(), b.stores.end());
    a.reads.insert(b.reads.begin(), b.reads.end());
    a.writes.insert(b.writes.begin(), b.writes.end());
    return a;
  }

  bool conflict(const Accesses& before, const Accesses& now) const {
    // The caller may pass the buffer of an argument that is only loaded as another one, too, whose stores come later.
    for (const std::int32_t load : before.loads)
      for (const std::int32_t store : now.stores)
        if (!k_.arguments[at(load)].written && bytes_of(k_.arguments[at(load)]) == bytes_of(k_.arguments[at(store)]))
          return true;
    const auto meet = [](const std::set<std::int32_t>& a, const std::set<std::int32_t>& b) {
      return std::any_of(a.begin(), a.end(), [&](std::int32_t i) { return b.contains(i); });
    };
    return meet(before.stores, now.loads) || meet(before.stores, now.stores) || meet(before.loads, now.stores) ||
           meet(before.writes, now.reads) || meet(before.writes, now.writes) || meet(before.reads, now.writes);
  }

  static constexpr std::int32_t kScratch = -1;
  const Kernel& k_;
  const SharedMemory& shared_;
  std::set<const Statement*> barriers_;
};

class Renderer final : public CText {
 public:
  Renderer(const Kernel& kernel, std::map<std::string, std::string>& helpers)
      : CText(kernel, helpers), threads_(kernel.threads()), shared_(kernel), barriers_(kernel, shared_) {}

  std::string run(const std::string& name) {
    line(fmt::format("const int {} = (int)blockIdx.x;", variables_[at(k_.body[0].index)]));
    if (shared_.bytes > 0) line(fmt::format("__shared__ __align__(16) unsigned char block_memory[{}];", shared_.bytes));
    for (std::size_t i = 0; i < k_.locals.size(); ++i) {
      const Local& l = k_.locals[i];
      if (l.shared)
        line(fmt::format("{0}* const {1} = ({0}*)(block_memory + {2});  // [{3}]", c_type(l.dtype), locals_[i],
                         shared_.offsets[i], l.count));
      else
        line(fmt::format("{} {}{};", c_type(l.dtype), locals_[i], l.count == 1 ? "" : fmt::format("[{}]", l.count)));
    }
    block(k_.body[0].body);
    std::string parameters;
    for (std::size_t i = 0; i < k_.arguments.size(); ++i) {
      const Argument& a = k_.arguments[i];
      parameters += fmt::format("{}{}{}* {}{}", i == 0 ? "" : ", ", a.written ? "" : "const ", memory_type(a.dtype),
                                shares_nothing(a) ? "__restrict__ " : "", arguments_[i]);
    }
    return c_comment(k_, k_.name) + fmt::format("extern \"C\" __global__ void __launch_bounds__({}) {}({}) {{\n{}}}\n",
                                                threads_, name, parameters, body_);
  }

 private:
  /// Nothing that the kernel stores to can be this argument's buffer: its loads need not wait for stores.
  [[nodiscard]] bool shares_nothing(const Argument& a) const {
    return !a.written && std::none_of(k_.arguments.begin(), k_.arguments.end(), [&](const Argument& other) {
      return other.written && bytes_of(other) == bytes_of(a);
    });
  }

  // --- Statements.

  void loop(const Statement& s) override {
    if (barriers_.before(s)) line("__syncthreads();");
    if (s.loop == LoopKind::Threads) {
      line("{");
      indent();
      line(fmt::format("const int {} = (int)threadIdx.x;", variables_[at(s.index)]));
      block(s.body);
      outdent();
      line("}");
    } else if (s.loop == LoopKind::Vector) {
      vector_loop(s);
    } else {
      if (indexes_registers(s)) line("#pragma unroll");
      counted(s);
    }
  }

  void counted(const Statement& s) {
    const std::int64_t extent = k_.variables[at(s.index)].extent;
    line(fmt::format("for ({0} {1} = 0; {1} < {2}; ++{1}) {{", extent <= kMostInt ? "int" : "int64_t",
                     variables_[at(s.index)], extent));
    indent();
    block(s.body);
    outdent();
    line("}");
  }

  /// A short loop over the elements of a private local: unrolled, these are registers.
  bool indexes_registers(const Statement& s) {
    constexpr std::int64_t kMost = 128;
    if (k_.variables[at(s.index)].extent > kMost) return false;
    const std::function<bool(const std::vector<Statement>&)> any = [&](const std::vector<Statement>& body) {
      return std::any_of(body.begin(), body.end(), [&](const Statement& inner) {
        if (inner.kind == Statement::Kind::Write && is_array(inner.index) && depends_on(k_, inner.at, s.index))
          return true;
        for (const Expr e : {inner.at, inner.value, inner.predicate})
          if (e != kNone && reads_array_by(e, s.index)) return true;
        return any(inner.body);
      });
    };
    return any(s.body);
  }
  [[nodiscard]] bool is_array(std::int32_t l) const { return !k_.locals[at(l)].shared && k_.locals[at(l)].count > 1; }
  [[nodiscard]] bool reads_array_by(Expr e, std::int32_t variable) const {
    return any_node(
        k_, e, [&](const Node& n) { return n.op == Op::Read && is_array(n.index) && depends_on(k_, n.a, variable); });
  }

  /// Unrolled; what can be is loaded before in vectors, or stored in them afterwards.
  void vector_loop(const Statement& s) {
    const std::int64_t extent = k_.variables[at(s.index)].extent;
    const VectorAccesses plan(k_, s);
    const std::string& v = variables_[at(s.index)];
    std::vector<Expr> named;
    const auto set_name = [&](Expr e, const std::string& name) {
      names_[at(e)] = name;
      named.push_back(e);
    };
    // Indices and conditions of the first element; inside the loop those of the others follow from them.
    std::map<Expr, std::string> first;
    if (plan.variable != kNone) names_[at(plan.variable)] = "0";
    if (plan.lane != kNone) names_[at(plan.lane)] = "0";
    const auto hoist = [&](Expr e) {
      if (e == kNone || first.contains(e)) return;
      const bool is_index = node(e).dtype == DType::I64;
      first[e] = fresh(is_index ? "n" : "p");
      line(fmt::format("const {} {} = {};", value_type(e), first[e], strip(text(e))));
    };
    for (const auto* list : {&plan.loads, &plan.stores})
      for (const VectorAccess& access : *list) {
        hoist(access.at);
        hoist(access.condition);
      }
    if (plan.variable != kNone) names_[at(plan.variable)].clear();
    if (plan.lane != kNone) names_[at(plan.lane)].clear();
    const auto guard = [&](const VectorAccess& a) {
      return a.condition == kNone ? std::string() : "if (" + first[a.condition] + ") ";
    };
    for (const VectorAccess& a : plan.loads) {
      const Argument& argument = k_.arguments[at(a.argument)];
      const std::string values = fresh("x");
      line(fmt::format("{} {}[{}]{};", memory_type(argument.dtype), values, extent,
                       a.condition == kNone ? "" : " = {}"));
      move_vectors(a, extent, guard(a), [&](const std::string& offset) {
        return call(vector_load_name(argument.dtype, a.elements), vector_load(argument.dtype, a.elements),
                    fmt::format("{}{}, {} + {}{}", values, offset, arguments_[at(a.argument)], first[a.at], offset));
      });
      set_name(a.load, fmt::format("{}{}[{}]{}", argument.dtype == DType::Bool ? "(" : "", values, v,
                                   argument.dtype == DType::Bool ? " != 0)" : ""));
    }
    for (const VectorAccess& a : plan.stores) {
      stored_[a.statement] = fresh("y");
      line(fmt::format("{} {}[{}];", memory_type(k_.arguments[at(a.argument)].dtype), stored_[a.statement], extent));
    }
    for (const auto& [e, name] : first)
      if (names_[at(e)].empty()) set_name(e, node(e).dtype == DType::Bool ? name : fmt::format("({} + {})", name, v));
    const std::int32_t outer = vector_;
    vector_ = s.index;
    line("#pragma unroll");
    counted(s);
    vector_ = outer;
    for (const Expr e : named) names_[at(e)].clear();
    for (const VectorAccess& a : plan.stores) {
      const Argument& argument = k_.arguments[at(a.argument)];
      move_vectors(a, extent, guard(a), [&](const std::string& offset) {
        return call(vector_store_name(argument.dtype, a.elements), vector_store(argument.dtype, a.elements),
                    fmt::format("{} + {}{}, {}{}", arguments_[at(a.argument)], first[a.at], offset,
                                stored_[a.statement], offset));
      });
    }
  }

  template <class Move>
  void move_vectors(const VectorAccess& a, std::int64_t extent, const std::string& guard, Move&& move) {
    for (std::int64_t i = 0; i < extent; i += a.elements)
      line(guard + move(i == 0 ? std::string() : fmt::format(" + {}", i)) + ";");
  }

  void store(const Statement& s) override {
    const auto found = stored_.find(&s);
    if (found == stored_.end()) return CText::store(s);
    const std::string guard = s.predicate == kNone ? "" : fmt::format("if ({}) ", text(s.predicate));
    line(fmt::format("{}{}[{}] = {};", guard, found->second, variables_[at(vector_)], strip(text(s.value))));
  }

  void combine(const Statement& s) override {
    const auto found = shared_.combines.find(&s);
    if (found == shared_.combines.end()) return;  // done with the first of its group
    const Combines& together = found->second;
    for (const Statement* c : together.all) shuffles(*c, c->stride, std::min(Exchange(*c).total, kWarp));
    if (!together.crosses()) return;
    if (barriers_.before(s)) line("__syncthreads();");
    line("{");
    indent();
    const std::string t = unique("t");
    line(fmt::format("const int {} = (int)threadIdx.x;", t));
    std::vector<std::string> scratch;
    for (std::size_t i = 0; i < together.all.size(); ++i) {
      const std::int64_t span = Exchange(*together.all[i]).span;
      scratch.push_back(unique("scratch"));
      if (!Exchange(*together.all[i]).crosses()) continue;
      line(fmt::format("{0}* const {1} = ({0}*)(block_memory + {2});",
                       c_type(k_.locals[at(together.all[i]->index)].dtype), scratch[i],
                       shared_.scratch + together.offsets[i]));
      line(span == kWarp ? fmt::format("{}[{}] = {};", scratch[i], t, combined(*together.all[i]))
                         : fmt::format("if ({0} % 32 < {1}) {2}[{0} / 32 * {1} + {0} % 32] = {3};", t, span, scratch[i],
                                       combined(*together.all[i])));
    }
    line("__syncthreads();");
    for (std::size_t i = 0; i < together.all.size(); ++i)
      if (Exchange(*together.all[i]).crosses()) collect(*together.all[i], scratch[i], t);
    outdent();
    line("}");
  }

  /// Behind the barrier: each thread takes what its partners in other warps have.
  void collect(const Statement& s, const std::string& scratch, const std::string& t) {
    const auto [total, step, warps, span] = Exchange(s);
    const std::string x = combined(s);
    if (warps * span <= kWarp) {  // the values of a group of warps fit one
      line(fmt::format("{} = {}[{} / {} * {} + {} % {}];", x, scratch, t, total, warps * span, t, warps * span));
      shuffles(s, span, warps * span);
      return;
    }
    const std::string first = unique("first"), part = unique("part");  // folded by each thread, in the same order
    line(span == kWarp ? fmt::format("const int {} = {} & ~{};", first, t, total - step)
                       : fmt::format("const int {} = {} / {} * {} + {} % {};", first, t, total, warps * span, t, span));
    line(fmt::format("{} {}[{}];", c_type(k_.locals[at(s.index)].dtype), part, warps));
    line("#pragma unroll");
    line(fmt::format("for (int i = 0; i < {0}; ++i) {1}[i] = {2}[{3} + i * {4}];", warps, part, scratch, first,
                     span == kWarp ? step : span));
    for (std::int64_t half = 1; half < warps; half *= 2) {
      line("#pragma unroll");
      line(fmt::format("for (int i = 0; i < {0}; i += {1}) {2}[i] = {3};", warps, half * 2, part,
                       merged(s, part + "[i]", fmt::format("{}[i + {}]", part, half))));
    }
    line(fmt::format("{} = {}[0];", x, part));
  }

  void shuffles(const Statement& s, std::int64_t from, std::int64_t to) {
    const std::string x = combined(s);
    for (std::int64_t step = from; step < to; step *= 2)
      line(fmt::format("{} = {};", x, merged(s, x, shuffle(k_.locals[at(s.index)].dtype, x, step))));
  }

  /// What a Combine combines.
  [[nodiscard]] std::string combined(const Statement& s) const {
    return locals_[at(s.index)] + (k_.locals[at(s.index)].count == 1 ? "" : "[0]");
  }
  /// Both operands are evaluated: no && of shuffles.
  std::string merged(const Statement& s, const std::string& a, const std::string& b) {
    const DType d = k_.locals[at(s.index)].dtype;
    return strip(d == DType::Bool ? infix(s.monoid, a, b) : binary(s.monoid, d, a, b));
  }

  static std::string shuffle(DType d, const std::string& x, std::int64_t step) {
    const bool small = size_of(d) < 4;
    return fmt::format("{}__shfl_xor_sync(0xffffffffu, {}{}, {})", small ? "(" + c_type(d) + ")" : "",
                       small ? "(int)" : "", x, step);
  }

  // --- Expressions.

  std::string local(std::int32_t l, Expr index) override {
    const Local& local = k_.locals[at(l)];
    return local.count == 1 && !local.shared ? locals_[at(l)] : element(locals_[at(l)], index);
  }

  /// An index that is computed in 32 bits.
  bool narrow(Expr e) {
    const Node& n = node(e);
    if (n.dtype != DType::I64 || !ranges_.of(e).within(-kMostInt - 1, kMostInt)) return false;
    if (const auto known = narrow_.find(e); known != narrow_.end()) return known->second;
    const auto operands = [&] {
      for (const Expr operand : {n.a, n.b, n.c})
        if (operand != kNone && node(operand).dtype == DType::I64 && !narrow(operand)) return false;
      return true;
    };
    bool is = false;
    switch (n.op) {
      case Op::Constant:
      case Op::Variable:
      case Op::Lane:
      case Op::Convert: is = true; break;
      case Op::Divide:
      case Op::Remainder: is = ranges_.of(n.b).within(1, kMostInt) && operands(); break;
      case Op::Add:
      case Op::Subtract:
      case Op::Multiply:
      case Op::Minimum:
      case Op::Maximum:
      case Op::And:
      case Op::Select: is = operands(); break;
      default: break;
    }
    return narrow_[e] = is;
  }

  std::string value_type(Expr e) override { return narrow(e) ? "int" : CText::value_type(e); }

  std::string own_text(Expr e) override {
    const Node& n = node(e);
    if (n.op == Op::Lane) return variables_[at(vector_)];  // a vector loop has at most kLanes elements
    if (n.op == Op::PopCount || n.op == Op::CountLeadingZeros) {
      const std::int64_t bits = static_cast<std::int64_t>(size_of(n.dtype)) * 8;
      const std::string word = fmt::format("(uint64_t)(uint{}_t){}", bits, text(n.a));
      return n.op == Op::PopCount ? fmt::format("({})__popcll({})", c_type(n.dtype), word)
                                  : fmt::format("({})(__clzll((int64_t){}) - {})", c_type(n.dtype), word, 64 - bits);
    }
    if (n.dtype != DType::I64) return "";
    if (!narrow(e)) {
      const bool ring = n.op == Op::Add || n.op == Op::Subtract || n.op == Op::Multiply;
      return ring && narrow(n.a) && narrow(n.b) ? infix(n.op, "(int64_t)" + text(n.a), text(n.b)) : "";
    }
    switch (n.op) {
      case Op::Add:  // of 0 where it is the first element of a vector loop
        if (names_[at(n.b)] == "0") return text(n.a);
        return names_[at(n.a)] == "0" ? text(n.b) : "";
      case Op::Divide:
      case Op::Remainder:  // cheaper without a sign
        if (!ranges_.of(n.a).within(0, kMostInt)) return "";
        return "(int)" + infix(n.op, "(unsigned)" + text(n.a), "(unsigned)" + text(n.b));
      case Op::Minimum:
      case Op::Maximum: return binary(n.op, DType::I32, text(n.a), text(n.b));
      case Op::Convert: return "(int)" + text(n.a);
      default: return "";
    }
  }

  [[nodiscard]] std::string helper_prefix() const override { return "static __device__ __forceinline__ "; }
  [[nodiscard]] const char* own_helper(const std::string& name) const override;

  static constexpr std::int64_t kMostInt = std::numeric_limits<std::int32_t>::max();
  std::int64_t threads_;
  SharedMemory shared_;
  Barriers barriers_;
  std::map<Expr, bool> narrow_;
  std::map<const Statement*, std::string> stored_;  // by vector stores: the registers that hold the values
};

const char* Renderer::own_helper(const std::string& name) const {
  // PTX: min.NaN and max.NaN order -0 before +0. The conversions agree with C's bits but for NaNs, which keep theirs.
  static const std::map<std::string, const char*> kHelpers = {
      {"minimum_f32",
       "float minimum_f32(float a, float b) {\n  float value;\n"
       "  asm(\"min.NaN.f32 %0, %1, %2;\" : \"=f\"(value) : \"f\"(a), \"f\"(b));\n  return value;\n}"},
      {"maximum_f32",
       "float maximum_f32(float a, float b) {\n  float value;\n"
       "  asm(\"max.NaN.f32 %0, %1, %2;\" : \"=f\"(value) : \"f\"(a), \"f\"(b));\n  return value;\n}"},
      {"minimum_f64",
       "double minimum_f64(double a, double b) {\n  if (a != a || b != b) return NAN;\n"
       "  if (a == b) return __double_as_longlong(a) < 0 ? a : b;\n  return a < b ? a : b;\n}"},
      {"maximum_f64",
       "double maximum_f64(double a, double b) {\n  if (a != a || b != b) return NAN;\n"
       "  if (a == b) return __double_as_longlong(a) < 0 ? b : a;\n  return a > b ? a : b;\n}"},
      {"f32_to_f16",
       "uint16_t f32_to_f16(float a) {\n  const uint32_t word = __float_as_uint(a);\n"
       "  if (a != a) return (uint16_t)(((word >> 16) & 0x8000u) | 0x7e00u | ((word >> 13) & 0x1ffu));\n"
       "  uint16_t value;\n  asm(\"cvt.rn.f16.f32 %0, %1;\" : \"=h\"(value) : \"f\"(a));\n  return value;\n}"},
      {"f32_to_bf16",
       "uint16_t f32_to_bf16(float a) {\n"
       "  if (a != a) return (uint16_t)((__float_as_uint(a) >> 16) | 0x40u);\n"
       "  uint16_t value;\n  asm(\"cvt.rn.bf16.f32 %0, %1;\" : \"=h\"(value) : \"f\"(a));\n  return value;\n}"},
      {"f16_to_f32",
       "float f16_to_f32(uint16_t a) {\n"
       "  if ((a & 0x7fffu) > 0x7c00u) return __uint_as_float(((a & 0x8000u) << 16) | 0x7f800000u | ((a & 0x3ffu) << "
       "13));\n"
       "  float value;\n  asm(\"cvt.f32.f16 %0, %1;\" : \"=f\"(value) : \"h\"(a));\n  return value;\n}"},
      {"bf16_to_f32", "float bf16_to_f32(uint16_t a) { return __uint_as_float((uint32_t)a << 16); }"},
      {"f32_bits_i32", "int32_t f32_bits_i32(float a) { return __float_as_int(a); }"},
      {"f32_bits_ui32", "uint32_t f32_bits_ui32(float a) { return __float_as_uint(a); }"},
      {"i32_bits_f32", "float i32_bits_f32(int32_t a) { return __int_as_float(a); }"},
      {"ui32_bits_f32", "float ui32_bits_f32(uint32_t a) { return __uint_as_float(a); }"},
      {"f64_bits_i64", "int64_t f64_bits_i64(double a) { return __double_as_longlong(a); }"},
      {"f64_bits_ui64", "uint64_t f64_bits_ui64(double a) { return (uint64_t)__double_as_longlong(a); }"},
      {"i64_bits_f64", "double i64_bits_f64(int64_t a) { return __longlong_as_double(a); }"},
      {"ui64_bits_f64", "double ui64_bits_f64(uint64_t a) { return __longlong_as_double((int64_t)a); }"},
  };
  const auto found = kHelpers.find(name);
  return found == kHelpers.end() ? nullptr : found->second;
}

}  // namespace

std::size_t shared_bytes(const Kernel& kernel) { return static_cast<std::size_t>(SharedMemory(kernel).bytes); }

std::string render_cuda(const std::vector<const Kernel*>& kernels, const std::vector<std::string>& names) {
  std::map<std::string, std::string> helpers;
  std::string functions;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    if (kernels[i]->threads() == 0) throw Error("kernel " + kernels[i]->name + " has no threads: it is not for a GPU");
    functions += "\n" + Renderer(*kernels[i], helpers).run(names.at(i));
  }
  std::string out =
      "typedef signed char int8_t;\ntypedef short int16_t;\ntypedef int int32_t;\ntypedef long long int64_t;\n"
      "typedef unsigned char uint8_t;\ntypedef unsigned short uint16_t;\ntypedef unsigned uint32_t;\n"
      "typedef unsigned long long uint64_t;\n"
      "#pragma nv_diag_suppress 177  // a variable that nothing uses\n"
      "#define NAN __int_as_float(0x7fc00000)\n#define INFINITY __int_as_float(0x7f800000)\n";
  for (const auto& [name, text] : helpers) out += "\n" + text + "\n";
  return out + functions;
}

}  // namespace tessera::kernel
