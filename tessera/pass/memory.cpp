// Memory: lifetimes become offsets in one arena; outputs take the memory of donated inputs. In: a Program whose
// buffers have no place yet. Out: the same with offsets. Also verify(Program), which checks the plan by itself.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "tessera/pass/fusion.hpp"

namespace tessera::pass {
namespace {

struct Access {
  bool reads = false, writes = false;
};

/// Where a statement stands.
struct Place {
  int run = 0;   ///< the same for neighbours without a loop or a condition between them
  int part = 0;  ///< which statement of the one block of a GPU's kernel: each ends before the next begins
  int step = 0;  ///< which statement in one iteration of the one outer loop of a CPU's kernel
};

/// Assignments and conditions in order.
using Visit = std::function<void(const kernel::Statement&, Place)>;
/// `number`: what counts the statements of the block itself; null: nothing does.
void visit_statements(const std::vector<kernel::Statement>& block, int Place::* number, Place& place,
                      const Visit& visit) {
  for (const kernel::Statement& s : block) {
    if (number != nullptr) ++(place.*number);
    const bool loop = s.kind == kernel::Statement::Kind::Loop;
    if (!loop) visit(s, place);
    if (!loop && s.kind != kernel::Statement::Kind::If) continue;
    ++place.run;
    visit_statements(s.body, nullptr, place, visit);
    ++place.run;
  }
}
void visit_statements(const kernel::Kernel& k, const Visit& visit) {
  Place place;
  if (k.threads() > 0 && k.parallel_extent() == 1)
    visit_statements(k.body[0].body, &Place::part, place, visit);
  else if (k.threads() == 0 && k.body.size() == 1 && k.body[0].kind == kernel::Statement::Kind::Loop)
    visit_statements(k.body[0].body, &Place::step, place, visit);
  else
    visit_statements(k.body, nullptr, place, visit);
}

/// Whether two indices go through the same elements in each iteration of the outer loop: they are equal but for inner
/// loops of the same extent. `stands_for`: which variable of b stands for one of a, each for one.
bool same_elements(const kernel::Kernel& k, kernel::Expr a, kernel::Expr b, std::map<int, int>& stands_for) {
  if (a == kernel::kNone || b == kernel::kNone) return a == b;
  const kernel::Node &x = k.nodes[static_cast<std::size_t>(a)], &y = k.nodes[static_cast<std::size_t>(b)];
  if (x.op == kernel::Op::Variable && y.op == kernel::Op::Variable) {
    if (x.index == k.body[0].index || y.index == k.body[0].index) return x.index == y.index;
    const auto extent = [&](const kernel::Node& n) { return k.variables[static_cast<std::size_t>(n.index)].extent; };
    return extent(x) == extent(y) && stands_for.try_emplace(x.index, y.index).first->second == y.index &&
           std::count_if(stands_for.begin(), stands_for.end(), [&](const auto& s) { return s.second == y.index; }) == 1;
  }
  kernel::Node like = y;
  like.a = x.a, like.b = x.b, like.c = x.c;
  return x == like && same_elements(k, x.a, y.a, stands_for) && same_elements(k, x.b, y.b, stands_for) &&
         same_elements(k, x.c, y.c, stands_for);
}

void visit_loads(const kernel::Kernel& k, kernel::Expr e, std::set<kernel::Expr>& seen,
                 const std::function<void(const kernel::Node&)>& visit) {
  if (e == kernel::kNone || !seen.insert(e).second) return;
  const kernel::Node& node = k.nodes[static_cast<std::size_t>(e)];
  if (node.op == kernel::Op::Load) visit(node);
  for (const kernel::Expr operand : {node.a, node.b, node.c}) visit_loads(k, operand, seen, visit);
}

void visit_loads(const kernel::Kernel& k, const kernel::Statement& s,
                 const std::function<void(const kernel::Node&)>& visit) {
  std::set<kernel::Expr> seen;
  for (const kernel::Expr e : {s.at, s.value, s.predicate}) visit_loads(k, e, seen, visit);
}

std::vector<Access> accesses(const Step& step) {
  std::vector<Access> list(step.buffers.size());
  if (step.kind != Step::Kind::Kernel) {
    const std::size_t operands =
        step.library.node.operands.size() +
        static_cast<std::size_t>(
            std::count_if(step.library.epilogue.begin(), step.library.epilogue.end(),
                          [](const auto& epilogue) { return epilogue.kind != LibraryCall::Epilogue::Kind::Relu; }));
    for (std::size_t i = 0; i < list.size(); ++i) (i < operands ? list[i].reads : list[i].writes) = true;
    return list;
  }
  for (std::size_t i = 0; i < list.size(); ++i) list[i].writes = step.kernel.arguments[i].written;
  visit_statements(step.kernel, [&](const kernel::Statement& s, Place) {
    visit_loads(step.kernel, s,
                [&](const kernel::Node& load) { list[static_cast<std::size_t>(load.index)].reads = true; });
  });
  return list;
}

/// True when the kernel may be given one memory for both: `written` is stored once for each element, and `read` is
/// loaded only at the element being stored, not later, or before all stores; or, on a CPU, at the elements of the same
/// iteration of the outer loop, before they are stored. (There, a pure load is evaluated once
/// in an iteration, where it is first needed: statements that follow it directly may use it again.)
bool may_share(const Step& step, std::size_t read, std::size_t written) {
  const kernel::Kernel& k = step.kernel;
  const kernel::Argument &from = k.arguments[read], &to = k.arguments[written];
  if (size_of(from.dtype) != size_of(to.dtype) || from.written || !step.once[written]) return false;
  kernel::Expr at = kernel::kNone;
  Place stored_at;
  bool good = true;
  const auto stores = [&](const kernel::Statement& s) {
    return s.kind == kernel::Statement::Kind::Store && static_cast<std::size_t>(s.index) == written;
  };
  visit_statements(k, [&](const kernel::Statement& s, Place place) {
    if (!stores(s)) return;
    if (at != kernel::kNone) good = false;
    at = s.at;
    stored_at = place;
  });
  bool stored = false;
  const std::vector<bool> impure = kernel::impure_nodes(k);
  std::set<const kernel::Node*> loaded;
  visit_statements(k, [&](const kernel::Statement& s, Place place) {
    visit_loads(k, s, [&](const kernel::Node& load) {
      if (static_cast<std::size_t>(load.index) != read || place.part < stored_at.part) return;
      std::map<int, int> variables;
      if (place.step < stored_at.step && same_elements(k, load.a, at, variables)) return;
      const bool once = k.threads() == 0 && !impure[static_cast<std::size_t>(&load - k.nodes.data())];
      if (load.a != at || place.run != stored_at.run || (stored && !(once && loaded.contains(&load)))) good = false;
      loaded.insert(&load);
    });
    if (stores(s)) stored = true;
  });
  return good && at != kernel::kNone;
}

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

struct Lifetime {
  std::size_t first = kNever;  ///< the first step that touches it
  std::size_t last = 0;
};

std::vector<Lifetime> lifetimes(const Program& program) {
  std::vector<Lifetime> list(program.buffers.size());
  for (std::size_t s = 0; s < program.steps.size(); ++s)
    for (const std::int32_t b : program.steps[s].buffers) {
      Lifetime& life = list[static_cast<std::size_t>(b)];
      life.first = std::min(life.first, s);
      life.last = s;
    }
  return list;
}

/// Buffer `from` ends in this step and `to` begins in it; may they be one memory?
bool may_share(const Step& step, std::int32_t from, std::int32_t to) {
  if (step.kind == Step::Kind::Loop) {  // what is carried in place begins in the memory of its first value
    if (std::count(step.buffers.begin(), step.buffers.end(), from) != 1) return false;
    const std::size_t operands = step.library.node.operands.size();
    for (std::size_t c = 0; c < step.inner.carried; ++c)
      if (step.inner.in_place[c] && step.buffers[step.inner.constants + c] == from && step.buffers[operands + c] == to)
        return true;
    return false;
  }
  if (step.kind != Step::Kind::Kernel) return false;
  const auto argument = [&](std::int32_t buffer) {
    return static_cast<std::size_t>(std::find(step.buffers.begin(), step.buffers.end(), buffer) - step.buffers.begin());
  };
  return may_share(step, argument(from), argument(to));
}

std::size_t bytes_of(const Buffer& buffer) { return byte_size(buffer.type); }

}  // namespace

void plan_memory(Program& program, const std::vector<bool>& donated, const Carried* carried) {
  const std::vector<Lifetime> lives = lifetimes(program);
  const auto count = static_cast<std::int32_t>(program.buffers.size());
  const auto buffer = [&](std::int32_t b) -> Buffer& { return program.buffers[static_cast<std::size_t>(b)]; };
  const auto life = [&](std::int32_t b) -> const Lifetime& { return lives[static_cast<std::size_t>(b)]; };

  // Outputs in donated inputs: first each in its own (a function's in-out arguments are its last results, in order),
  // then in any. First where a kernel turns one into the other, then in what is dead by then.
  std::vector<bool> taken(static_cast<std::size_t>(program.inputs), false);
  for (const auto& alias : program.aliases)
    if (alias.input >= 0) taken[static_cast<std::size_t>(alias.input)] = true;
  for (const Buffer& b : program.buffers)
    if (b.donated_from >= 0) taken[static_cast<std::size_t>(b.donated_from)] = true;
  Carried own(static_cast<std::size_t>(program.outputs), -1);
  if (carried != nullptr) {
    own = *carried;
  } else {
    for (std::size_t in = donated.size(), out = own.size(); in-- > 0 && out > 0;)
      if (donated[in]) own[--out] = static_cast<std::int32_t>(in);
  }
  const auto place = [&](bool in_own, bool in_step) {
    for (std::int32_t out = 0; out < count; ++out) {
      if (buffer(out).kind != Buffer::Kind::Output || buffer(out).donated_from >= 0 || life(out).first == kNever)
        continue;
      for (std::int32_t in = 0; in < count; ++in) {
        const Buffer& from = buffer(in);
        if (from.kind != Buffer::Kind::Input || bytes_of(from) != bytes_of(buffer(out)) || bytes_of(from) == 0)
          continue;
        const auto parameter = static_cast<std::size_t>(from.index);
        if (parameter >= donated.size() || !donated[parameter] || taken[parameter]) continue;
        if (in_own && own[static_cast<std::size_t>(buffer(out).index)] != from.index) continue;
        const bool unread = life(in).first == kNever;
        const bool fits =
            in_step ? !unread && life(in).last == life(out).first && may_share(program.steps[life(out).first], in, out)
                    : unread || life(in).last < life(out).first;
        if (!fits) continue;
        buffer(out).donated_from = from.index;
        taken[parameter] = true;
        break;
      }
    }
  };
  for (const bool in_own : {true, false})
    for (const bool in_step : {true, false})
      if (in_own || carried == nullptr) place(in_own, in_step);

  // Temporaries: those that a kernel turns into one another share a slot.
  struct Slot {
    std::size_t bytes, first, last;
    std::vector<std::int32_t> buffers;
    std::size_t offset = 0;
  };
  std::vector<Slot> slots;
  std::vector<std::int32_t> order;
  for (std::int32_t b = 0; b < count; ++b)
    if (buffer(b).kind == Buffer::Kind::Temporary && life(b).first != kNever) order.push_back(b);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return life(a).first < life(b).first; });
  for (const std::int32_t b : order) {
    const std::size_t bytes = (bytes_of(buffer(b)) + 63) / 64 * 64;
    Slot* home = nullptr;
    for (Slot& slot : slots)
      if (slot.last == life(b).first && bytes_of(buffer(slot.buffers.back())) == bytes_of(buffer(b)) &&
          may_share(program.steps[slot.last], slot.buffers.back(), b)) {
        home = &slot;
        break;
      }
    if (home == nullptr) {
      slots.push_back({bytes, life(b).first, life(b).last, {}, 0});
      home = &slots.back();
    }
    home->last = life(b).last;
    home->buffers.push_back(b);
  }
  // The largest first, each at the lowest offset that is free for as long as it lives.
  std::vector<Slot*> by_size;
  for (Slot& slot : slots) by_size.push_back(&slot);
  std::stable_sort(by_size.begin(), by_size.end(), [](const Slot* a, const Slot* b) { return a->bytes > b->bytes; });
  std::vector<Slot*> placed;  // by offset
  program.arena_bytes = 0;
  for (Slot* slot : by_size) {
    std::size_t offset = 0;
    for (const Slot* other : placed) {
      if (other->last < slot->first || slot->last < other->first) continue;
      if (offset + slot->bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    slot->offset = offset;
    program.arena_bytes = std::max(program.arena_bytes, offset + slot->bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), slot,
                                   [](const Slot* a, const Slot* b) { return a->offset < b->offset; }),
                  slot);
    for (const std::int32_t b : slot->buffers) buffer(b).offset = offset;
  }
}

void verify(const Program& program) {
  const auto fail = [&](const std::string& what) { throw Error("the plan of " + program.name + " is wrong: " + what); };
  std::vector<bool> written(program.buffers.size(), false);
  for (std::size_t b = 0; b < program.buffers.size(); ++b)
    written[b] = program.buffers[b].kind == Buffer::Kind::Input || program.buffers[b].kind == Buffer::Kind::Constant;
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    if (step.kind == Step::Kind::Kernel && step.kernel.arguments.size() != step.buffers.size())
      fail(
          fmt::format("step {} has {} buffers for {} arguments", s, step.buffers.size(), step.kernel.arguments.size()));
    for (const Program& inner : step.inner.programs) verify(inner);
    const std::vector<Access> list = accesses(step);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto b = static_cast<std::size_t>(step.buffers[i]);
      const Buffer& buffer = program.buffers[b];
      if (list[i].reads && !written[b] && !list[i].writes && element_count(buffer.type.shape) > 0)
        fail(fmt::format("step {} reads {} before it is written", s, buffer.name));
      if (list[i].writes && (buffer.kind == Buffer::Kind::Input || buffer.kind == Buffer::Kind::Constant))
        fail(fmt::format("step {} writes {}", s, buffer.name));
    }
    for (std::size_t i = 0; i < list.size(); ++i)
      if (list[i].writes) written[static_cast<std::size_t>(step.buffers[i])] = true;
  }
  std::vector<bool> covered(static_cast<std::size_t>(program.outputs), false);
  for (const auto& alias : program.aliases) covered[static_cast<std::size_t>(alias.output)] = true;
  for (std::size_t b = 0; b < program.buffers.size(); ++b)
    if (program.buffers[b].kind == Buffer::Kind::Output && (written[b] || bytes_of(program.buffers[b]) == 0))
      covered[static_cast<std::size_t>(program.buffers[b].index)] = true;
  for (std::size_t o = 0; o < covered.size(); ++o)
    if (!covered[o]) fail(fmt::format("result {} is never written", o));

  const std::vector<Lifetime> lives = lifetimes(program);
  const auto check_pair = [&](std::size_t a, std::size_t b) {  // a begins before b
    if (lives[a].last < lives[b].first) return;
    const bool began = lives[a].first != lives[b].first || program.buffers[a].kind == Buffer::Kind::Input;
    if (lives[a].last == lives[b].first && began &&
        may_share(program.steps[lives[b].first], static_cast<std::int32_t>(a), static_cast<std::int32_t>(b)))
      return;
    fail(fmt::format("{} and {} overlap while both live", program.buffers[a].name, program.buffers[b].name));
  };
  for (std::size_t a = 0; a < program.buffers.size(); ++a) {
    const Buffer& x = program.buffers[a];
    if (lives[a].first == kNever) continue;
    if (x.kind == Buffer::Kind::Temporary && (x.offset % 64 != 0 || x.offset + bytes_of(x) > program.arena_bytes))
      fail(x.name + " lies outside the arena");
    for (std::size_t b = 0; b < program.buffers.size(); ++b) {
      const Buffer& y = program.buffers[b];
      if (a == b || lives[b].first == kNever) continue;
      if (y.kind == Buffer::Kind::Output && y.donated_from >= 0 && x.kind == Buffer::Kind::Input &&
          x.index == y.donated_from)
        check_pair(a, b);
      if (x.kind != Buffer::Kind::Temporary || y.kind != Buffer::Kind::Temporary || lives[a].first > lives[b].first ||
          (lives[a].first == lives[b].first && a > b))
        continue;
      if (x.offset < y.offset + bytes_of(y) && y.offset < x.offset + bytes_of(x)) check_pair(a, b);
    }
  }
}

void each_step(const Program& program, const std::function<void(const Step&)>& visit) {
  for (const Step& step : program.steps) {
    visit(step);
    for (const Program& inner : step.inner.programs) each_step(inner, visit);
  }
}

namespace {
std::string indented(const std::string& lines) {
  std::string text = "      ";
  for (const char c : lines) text += c == '\n' ? "\n      " : std::string(1, c);
  text.resize(text.size() - 6);
  return text;
}
}  // namespace

std::string to_string(const Program& program) {
  std::string text = fmt::format("program {}: {} inputs, {} outputs, {} steps, arena {} bytes\n", program.name,
                                 program.inputs, program.outputs, program.steps.size(), program.arena_bytes);
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    std::string what;
    if (step.kind == Step::Kind::Kernel) {
      what = fmt::format("kernel {} ({} iterations)", step.kernel.name, step.kernel.parallel_extent());
    } else {
      const char* const words[] = {"kernel", "library", "host", "loop", "branch"};
      what = fmt::format("{} {}", words[static_cast<int>(step.kind)], ir::name(step.library.node.op));
      if (step.kind == Step::Kind::Loop && step.inner.steps != kUntilFalse)
        what += fmt::format(" of {} steps", step.inner.steps);
      for (const auto& epilogue : step.library.epilogue)
        what += epilogue.kind == LibraryCall::Epilogue::Kind::Relu      ? " + relu"
                : epilogue.kind == LibraryCall::Epilogue::Kind::AddBias ? " + bias"
                                                                        : " + tensor";
    }
    const std::vector<Access> list = accesses(step);
    std::string reads, writes;
    for (std::size_t i = 0; i < step.buffers.size(); ++i)
      (list[i].writes ? writes : reads) += fmt::format(" b{}", step.buffers[i]);
    text += fmt::format("  {:3} {}:{} ->{}", s, what, reads, writes);
    if (step.location.known()) text += "  at " + to_string(step.location);
    text += '\n';
    for (const Program& inner : step.inner.programs) text += indented(to_string(inner));
  }
  const char* const kinds[] = {"input", "output", "temporary", "constant"};
  const std::vector<Lifetime> lives = lifetimes(program);
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    text += fmt::format("  b{} {} {} {}", b, kinds[static_cast<int>(buffer.kind)], to_string(buffer.type), buffer.name);
    if (buffer.kind == Buffer::Kind::Temporary && lives[b].first != kNever)
      text += fmt::format(" [{}, {}) steps {}..{}", buffer.offset, buffer.offset + bytes_of(buffer), lives[b].first,
                          lives[b].last);
    if (buffer.donated_from >= 0) text += fmt::format(" in the memory of input {}", buffer.donated_from);
    text += '\n';
  }
  for (const auto& alias : program.aliases)
    text += alias.input >= 0 ? fmt::format("  output {} is input {}\n", alias.output, alias.input)
                             : fmt::format("  output {} is constant {}\n", alias.output, alias.constant);
  std::vector<std::size_t> largest;
  for (std::size_t b = 0; b < program.buffers.size(); ++b)
    if (program.buffers[b].kind == Buffer::Kind::Temporary) largest.push_back(b);
  std::sort(largest.begin(), largest.end(),
            [&](std::size_t a, std::size_t b) { return bytes_of(program.buffers[a]) > bytes_of(program.buffers[b]); });
  if (largest.size() > 5) largest.resize(5);
  if (!largest.empty()) text += "  largest temporaries:";
  for (const std::size_t b : largest) text += fmt::format(" b{} ({} bytes)", b, bytes_of(program.buffers[b]));
  return text + (largest.empty() ? "" : "\n");
}

}  // namespace tessera::pass
