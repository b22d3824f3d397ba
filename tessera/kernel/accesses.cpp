// Walks statements and their expressions for what they read and write. In: a kernel; out: sets of its arguments and
// locals. Used by kernel/render_c.cpp and kernel/render_cuda.cpp.
#include "tessera/kernel/accesses.hpp"

namespace tessera::kernel {
namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

class Walk {
 public:
  explicit Walk(const Kernel& kernel) : k_(kernel), seen_(kernel.nodes.size()) {}

  void statement(const Statement& s) {
    if (s.kind == Statement::Kind::Store) found.stores.insert(s.index);
    if (s.kind == Statement::Kind::Write || s.kind == Statement::Kind::Combine) found.writes.insert(s.index);
    if (s.kind == Statement::Kind::Combine) found.reads.insert(s.index);
    for (const Expr e : {s.at, s.value, s.predicate}) expression(e);
    for (const Statement& inner : s.body) statement(inner);
  }

  void expression(Expr e) {
    if (e == kNone || seen_[at(e)]) return;
    seen_[at(e)] = true;
    const Node& n = k_.nodes[at(e)];
    if (n.op == Op::Load) found.loads.insert(n.index);
    if (n.op == Op::Read) found.reads.insert(n.index);
    for (const Expr operand : {n.a, n.b, n.c}) expression(operand);
  }

  Accesses found;

 private:
  const Kernel& k_;
  std::vector<bool> seen_;
};

void find_kept(const Kernel& kernel, const std::vector<Statement>& body, bool repeated, std::vector<int>& uses) {
  for (const Statement& s : body) {
    if (s.kind == Statement::Kind::Loop && s.loop != LoopKind::Threads) {
      find_kept(kernel, s.body, s.loop == LoopKind::Serial, uses);
      continue;
    }
    const bool twice = repeated || s.kind == Statement::Kind::Combine;
    const Accesses inside = accesses(kernel, s);
    for (std::size_t l = 0; l < uses.size(); ++l)
      if (inside.touches(static_cast<std::int32_t>(l))) uses[l] += twice ? 2 : 1;
  }
}

}  // namespace

Accesses accesses(const Kernel& kernel, const Statement& statement) {
  Walk walk(kernel);
  walk.statement(statement);
  return walk.found;
}

Accesses accesses(const Kernel& kernel, Expr e) {
  Walk walk(kernel);
  walk.expression(e);
  return walk.found;
}

std::vector<bool> kept_locals(const Kernel& kernel) {
  std::vector<int> uses(kernel.locals.size());
  find_kept(kernel, kernel.body, false, uses);
  std::vector<bool> kept;
  for (std::size_t l = 0; l < uses.size(); ++l) kept.push_back(!kernel.locals[l].shared && uses[l] > 1);
  return kept;
}

}  // namespace tessera::kernel
