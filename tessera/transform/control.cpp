// The transforms of while, if, case and scan: they go into the regions. In forward mode tangents are carried beside the
// primals. In reverse mode a scan becomes two: one runs the steps and stacks what their tangents need, and one is
// linear in the tangents; transposed, that one runs the other way. A case is taken apart in the same way.
#include "tessera/ir/control.hpp"

#include <algorithm>

#include "tessera/transform/linearize.hpp"
#include "tessera/transform/residuals.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::transform {
namespace {

using namespace ir;
using Flags = std::vector<bool>;

std::size_t at(Value v) { return static_cast<std::size_t>(v); }
std::ptrdiff_t offset(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }
bool any(const Flags& flags) { return std::find(flags.begin(), flags.end(), true) != flags.end(); }
Values part(const Values& list, std::size_t start, std::size_t count) {
  return {list.begin() + offset(start), list.begin() + offset(start + count)};
}
void append(Values& to, const Values& more) { to.insert(to.end(), more.begin(), more.end()); }
Flags present(const Values& values) {
  Flags flags;
  for (const Value v : values) flags.push_back(v != kZero);
  return flags;
}

Linearized linearized(const Graph& body, const Flags& varies, Mode mode) {
  Linearized made{std::make_shared<Graph>(body.name), {}, {}, {}, {}};
  for (const Value p : body.parameters) made.primals.push_back(made.graph->parameter(body.type(p)));
  for (std::size_t i = 0; i < varies.size(); ++i)
    made.seeds.push_back(varies[i] ? made.graph->parameter(body.type(body.parameters[i])) : kZero);
  made.tangents = made.seeds;
  made.results = linearize(*made.graph, body, made.primals, made.tangents, mode);
  return made;
}

/// `body` with a tangent of each carried value that varies in some step. varies[first + c] belongs to what is carried
/// in place c; the flags grow until they stay.
Linearized linearized_loop(const Graph& body, Flags& varies, std::size_t first, std::size_t carried, Mode mode) {
  while (true) {
    Linearized made = linearized(body, varies, mode);
    bool stable = true;
    for (std::size_t c = 0; c < carried; ++c) {
      if (made.tangents[c] == kZero || varies[first + c]) continue;
      varies[first + c] = true;
      stable = false;
    }
    if (stable) return made;
  }
}

std::shared_ptr<Graph> extract(const Graph& from, const Values& parameters, const Values& results) {
  return transform::extract(from, parameters, from.types(parameters), results);
}

/// Those of `list` that are there.
Values compact(const Values& list) {
  Values out;
  for (const Value v : list)
    if (v != kZero) out.push_back(v);
  return out;
}

// ---- while ----

Values linearize_while(Graph& graph, const Node& node, const Values& operands, Values& tangents, Mode mode) {
  Builder build{graph, node.location};
  const std::size_t count = operands.size();
  Flags varies = present(tangents);
  // On the way back nothing can follow a while: its transpose says so, if it is asked.
  Linearized body = linearized_loop(*node.regions[1], varies, 0, count, Mode::Forward);
  body.graph->results = body.results;
  Values all = operands;
  auto condition = std::make_shared<Graph>("condition");
  Values arguments;
  for (const Value v : operands) arguments.push_back(condition->parameter(graph.type(v)));
  for (std::size_t i = 0; i < count; ++i) {
    if (!varies[i]) continue;
    all.push_back(tangents[i] == kZero ? build.zeros_like(operands[i]) : tangents[i]);
    condition->parameter(graph.type(operands[i]));
    body.graph->results.push_back(body.tangent_or_zeros(i));
  }
  condition->results = condition->inline_graph(*node.regions[0], arguments);
  Values results;
  if (mode == Mode::Reverse) results = graph.append(node, operands, graph.types(operands));
  const Values made = graph.add(Op::While, all, node.attributes, {condition, body.graph}, node.location);
  if (mode == Mode::Forward) results = part(made, 0, count);
  std::size_t next = count;
  for (std::size_t i = 0; i < count; ++i) tangents[i] = varies[i] ? made[next++] : kZero;
  return results;
}

Values batch_while(const BatchContext& c) {
  const Graph &condition = *c.node.regions[0], &step = *c.node.regions[1];
  const std::size_t count = c.operands.size();
  Flags batched = c.batched;
  while (true) {
    Batched test = vmap_partly(condition, batched, c.size), body = vmap_partly(step, batched, c.size);
    Flags wanted = batched;
    for (std::size_t i = 0; i < count; ++i)
      wanted[i] = batched[i] || body.results[i] || (test.results[0] && step.results[i] != step.parameters[i]);
    if (wanted != batched) {
      batched = wanted;
      continue;
    }
    batch_results(body, batched, c.size);
    if (test.results[0]) {
      // Each example stops by itself; the loop, when all have.
      auto some = std::make_shared<Graph>(condition.name);
      auto next = std::make_shared<Graph>(step.name);
      Builder s{*some, c.node.location}, n{*next, c.node.location};
      for (const Value p : body.graph->parameters) {
        some->parameter(body.graph->type(p));
        next->parameter(body.graph->type(p));
      }
      some->results = {s.reduce(Op::Or, some->inline_graph(*test.graph, some->parameters)[0], {0})};
      const Value runs = next->inline_graph(*test.graph, next->parameters)[0];
      const Values made = next->inline_graph(*body.graph, next->parameters);
      for (std::size_t i = 0; i < count; ++i) {
        const Value old = next->parameters[i];
        next->results.push_back(made[i] == old ? old
                                               : n.select(n.broadcast_in_dim(runs, n.shape(old), {0}), made[i], old));
      }
      test.graph = some;
      body.graph = next;
    }
    Values operands;
    for (std::size_t i = 0; i < count; ++i)
      operands.push_back(batched[i] ? BatchContext{c.build, c.node, c.operands, c.batched, c.size}.with_batch(i)
                                    : c.operands[i]);
    const Values made =
        c.build.graph.add(Op::While, operands, c.node.attributes, {test.graph, body.graph}, c.node.location);
    return BatchContext{c.build, c.node, made, batched, c.size}.all_with_batch();
  }
}

// ---- if and case ----

/// One residual of each type is kept in one place, whichever branch ran.
struct Slots {
  std::vector<TensorType> types;
  std::vector<Values> values;  ///< by branch: which value stands in each slot; kZero where none
};

Values linearize_branches(Graph& graph, const Node& node, const Values& operands, Values& tangents, Mode mode) {
  Builder build{graph, node.location};
  const Values captures = part(operands, 1, operands.size() - 1);
  const Flags varies = present(part(tangents, 1, captures.size()));
  const std::size_t count = node.results.size(), branches = node.regions.size();
  std::vector<Linearized> each;
  Flags out(count, false);
  for (const GraphPtr& region : node.regions) {
    each.push_back(linearized(*region, varies, mode));
    for (std::size_t r = 0; r < count; ++r) out[r] = out[r] || each.back().tangents[r] != kZero;
  }
  const Values moved = compact(part(tangents, 1, captures.size()));
  const auto deliver = [&](const Values& made, std::size_t next) {
    tangents.assign(count, kZero);
    for (std::size_t r = 0; r < count; ++r)
      if (out[r]) tangents[r] = made[next++];
  };
  const auto tangent_results = [&](const Linearized& l) {
    Values list;
    for (std::size_t r = 0; r < count; ++r)
      if (out[r]) list.push_back(l.tangent_or_zeros(r));
    return list;
  };
  if (mode == Mode::Forward) {
    Branches both{{}, captures};
    append(both.captures, moved);
    for (const Linearized& l : each) {
      l.graph->results = l.results;
      append(l.graph->results, tangent_results(l));
      both.regions.push_back(l.graph);
    }
    const Values made = add_branches(build, node.op, operands[0], both);
    deliver(made, count);
    return part(made, 0, count);
  }

  Slots slots;
  for (const Linearized& l : each) {
    Values& mine = slots.values.emplace_back(slots.types.size(), kZero);
    Flags at_hand(l.graph->values.size(), false);
    for (const Value v : l.primals) at_hand[at(v)] = true;  // the operand itself
    for (const Value v : residuals_of(l, at_hand)) {
      if (at_hand[at(v)]) continue;
      std::size_t slot = 0;
      while (slot < slots.types.size() && (mine[slot] != kZero || slots.types[slot] != l.graph->type(v))) ++slot;
      if (slot == slots.types.size()) {
        slots.types.push_back(l.graph->type(v));
        mine.push_back(kZero);
      }
      mine[slot] = v;
    }
  }
  Branches forward{{}, captures}, linear{{}, captures};
  for (std::size_t b = 0; b < branches; ++b) {
    const Linearized& l = each[b];
    slots.values[b].resize(slots.types.size(), kZero);
    Values results = l.results, parameters = l.primals;
    for (std::size_t s = 0; s < slots.types.size(); ++s) {
      const Value v = slots.values[b][s];
      results.push_back(v != kZero ? v : Builder{*l.graph}.full(slots.types[s].dtype, 0, slots.types[s].shape));
    }
    forward.regions.push_back(extract(*l.graph, l.primals, results));
    append(parameters, slots.values[b]);
    append(parameters, compact(l.seeds));
    std::vector<TensorType> types = l.graph->types(l.primals);
    types.insert(types.end(), slots.types.begin(), slots.types.end());
    for (const Value v : compact(l.seeds)) types.push_back(l.graph->type(v));
    const Values wanted = tangent_results(l);
    linear.regions.push_back(transform::extract(*l.graph, parameters, types, wanted));
  }
  const Values made = add_branches(build, node.op, operands[0], forward);
  append(linear.captures, part(made, count, slots.types.size()));
  append(linear.captures, moved);
  if (any(out))
    deliver(add_branches(build, node.op, operands[0], linear), 0);
  else
    deliver({}, 0);
  return part(made, 0, count);
}

/// A region, linear in some parameters, run backwards: parameters are those it is not linear in, then cotangents of
/// results; the linear ones have none left.
struct Transposed {
  std::shared_ptr<Graph> graph;
  Values fixed;       ///< parameters that stand for those it is not linear in
  Values incoming;    ///< parameters: cotangents of results; kZero where none come
  Values cotangents;  ///< by parameter of the region; kZero where none
};

Transposed transposed(const Graph& region, const Flags& linear, const Flags& comes) {
  Transposed t{std::make_shared<Graph>(region.name), {}, {}, {}};
  Values arguments, inputs;
  for (std::size_t i = 0; i < linear.size(); ++i) {
    arguments.push_back(t.graph->parameter(region.type(region.parameters[i])));
    (linear[i] ? inputs : t.fixed).push_back(arguments[i]);
  }
  for (std::size_t r = 0; r < comes.size(); ++r)
    t.incoming.push_back(comes[r] ? t.graph->parameter(region.type(region.results[r])) : kZero);
  const Values results = t.graph->inline_graph(region, arguments);
  Backward backward(*t.graph, inputs);
  for (std::size_t r = 0; r < comes.size(); ++r)
    if (comes[r]) backward.seed(results[r], t.incoming[r]);
  backward.run();
  for (std::size_t i = 0; i < linear.size(); ++i)
    t.cotangents.push_back(linear[i] ? backward.cotangent(arguments[i]) : kZero);
  return t;
}

Values transpose_branches(const TransposeContext& c) {
  const std::size_t captures = c.operands.size() - 1;
  Flags linear;
  for (std::size_t i = 1; i <= captures; ++i) linear.push_back(c.is_linear(i));
  std::vector<Transposed> each;
  Flags out(captures, false);
  for (const GraphPtr& region : c.node.regions) {
    each.push_back(transposed(*region, linear, present(c.cotangents)));
    for (std::size_t i = 0; i < captures; ++i) out[i] = out[i] || each.back().cotangents[i] != kZero;
  }
  Values cotangents(c.operands.size(), kZero);
  if (!any(out)) return cotangents;
  Branches back{{}, compact(part(c.operands, 1, captures))};
  append(back.captures, compact(c.cotangents));
  for (const Transposed& t : each) {
    Values parameters = t.fixed, results;
    append(parameters, compact(t.incoming));
    for (std::size_t i = 0; i < captures; ++i)
      if (out[i])
        results.push_back(t.cotangents[i] != kZero
                              ? t.cotangents[i]
                              : Builder{*t.graph}.full(c.operand_types[i + 1].dtype, 0, c.operand_types[i + 1].shape));
    back.regions.push_back(extract(*t.graph, parameters, results));
  }
  const Values made = add_branches(c.build, c.node.op, c.operands[0], back);
  std::size_t next = 0;
  for (std::size_t i = 0; i < captures; ++i)
    if (out[i]) cotangents[i + 1] = made[next++];
  return cotangents;
}

Values batch_branches(const BatchContext& c) {
  Builder& b = c.build;
  const Flags batched(c.batched.begin() + 1, c.batched.end());
  const Values captures = part(c.operands, 1, c.operands.size() - 1);
  if (!c.batched[0]) {
    Branches each{{}, captures};
    for (const GraphPtr& region : c.node.regions) each.regions.push_back(vmap(*region, batched, c.size));
    return add_branches(b, c.node.op, c.operands[0], each);
  }
  // Each example takes its own branch: all are computed.
  std::vector<Values> made;
  for (const GraphPtr& region : c.node.regions)
    made.push_back(b.graph.inline_graph(*vmap(*region, batched, c.size), captures));
  Values results = made.back();
  for (std::size_t branch = 0; branch + 1 < made.size(); ++branch) {
    const Value chosen = c.node.op == Op::If
                             ? c.operands[0]
                             : b.compare(c.operands[0], b.full_like(c.operands[0], static_cast<double>(branch)), "EQ");
    for (std::size_t r = 0; r < results.size(); ++r)
      results[r] = b.select(b.broadcast_in_dim(chosen, b.shape(results[r]), {0}), made[branch][r], results[r]);
  }
  return results;
}

// ---- scan ----

/// Operands of a scan, or parameters of its body, in their order.
struct Groups {
  Values constants, carried, sliced;
  /// The one to which operand i of such a scan belongs.
  Values& of(const ScanParts& parts, std::size_t i) {
    return i < parts.constants ? constants : i < parts.first_sliced() ? carried : sliced;
  }
  [[nodiscard]] Values all() const {
    Values list = constants;
    append(list, carried);
    append(list, sliced);
    return list;
  }
  [[nodiscard]] ScanParts parts(const ScanParts& like, std::size_t results, bool flip = false) const {
    return {constants.size(),         carried.size(), sliced.size(),
            results - carried.size(), like.length,    like.reverse != flip};
  }
};

// A scan with tangents: beside each operand that varies goes its tangent, beside each result that does, too.

void add_tangents(Builder& build, const ScanParts& parts, const Linearized& l, const Values& operands,
                  const Values& tangents, Groups& inside, Groups& outside) {
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (l.seeds[i] == kZero) continue;
    inside.of(parts, i).push_back(l.seeds[i]);
    outside.of(parts, i).push_back(tangents[i] == kZero ? build.zeros_like(operands[i]) : tangents[i]);
  }
}
Values carried_tangents(const ScanParts& parts, const Linearized& l) {
  Values list;
  for (std::size_t c = 0; c < parts.carried; ++c)
    if (l.seeds[parts.constants + c] != kZero) list.push_back(l.tangent_or_zeros(c));
  return list;
}
Values stacked_tangents(const ScanParts& parts, const Linearized& l) {
  return compact(part(l.tangents, parts.carried, parts.stacked));
}
/// By result of the body; in `made` those of what is carried begin at `next`, and `between` others follow.
Values result_tangents(const ScanParts& parts, const Linearized& l, const Values& made, std::size_t next,
                       std::size_t between) {
  Values list(l.results.size(), kZero);
  for (std::size_t c = 0; c < parts.carried; ++c)
    if (l.seeds[parts.constants + c] != kZero) list[c] = made[next++];
  next += between;
  for (std::size_t r = parts.carried; r < list.size(); ++r)
    if (l.tangents[r] != kZero) list[r] = made[next++];
  return list;
}

Values scan_forward(Graph& graph, const Node& node, const Values& operands, Values& tangents) {
  Builder build{graph, node.location};
  const ScanParts parts = scan_parts(node);
  Flags varies = present(tangents);
  const Linearized l = linearized_loop(*node.regions[0], varies, parts.constants, parts.carried, Mode::Forward);
  Groups inside, outside;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    inside.of(parts, i).push_back(l.primals[i]);
    outside.of(parts, i).push_back(operands[i]);
  }
  add_tangents(build, parts, l, operands, tangents, inside, outside);
  const Values moved = carried_tangents(parts, l);
  Values results = part(l.results, 0, parts.carried);
  append(results, moved);
  append(results, part(l.results, parts.carried, parts.stacked));
  append(results, stacked_tangents(parts, l));
  const Values made = graph.add(Op::Scan, outside.all(), scan_attributes(outside.parts(parts, results.size())),
                                {extract(*l.graph, inside.all(), results)}, node.location);
  tangents = result_tangents(parts, l, made, parts.carried, parts.stacked);
  Values primals = part(made, 0, parts.carried);
  append(primals, part(made, parts.carried + moved.size(), parts.stacked));
  return primals;
}

/// By value of the body: it is the same in every step.
Flags invariant_values(const Graph& body, const Values& constants) {
  Flags invariant(body.values.size(), false);
  for (const Value v : constants) invariant[at(v)] = true;
  for (const Node& node : body.nodes) {
    const bool same =
        std::all_of(node.operands.begin(), node.operands.end(), [&](Value v) { return invariant[at(v)]; });
    for (const Value r : node.results) invariant[at(r)] = same;
  }
  return invariant;
}

Values scan_reverse(Graph& graph, const Node& node, const Values& operands, Values& tangents) {
  Builder build{graph, node.location};
  const ScanParts parts = scan_parts(node);
  Flags varies = present(tangents);
  const Linearized l = linearized_loop(*node.regions[0], varies, parts.constants, parts.carried, Mode::Reverse);
  const Values constants = part(l.primals, 0, parts.constants);
  const Flags invariant = invariant_values(*l.graph, constants);
  const std::size_t results = l.results.size();

  // Where each residual comes from: what is the same in all steps is computed once, before the loops; what is sliced
  // or stacked anyway is at hand; the rest is stacked by the first loop.
  Values fixed, sliced;
  Flags at_hand = invariant;
  for (std::size_t i = parts.first_sliced(); i < l.primals.size(); ++i) at_hand[at(l.primals[i])] = true;
  for (std::size_t r = parts.carried; r < results; ++r) at_hand[at(l.results[r])] = true;
  for (const Value v : residuals_of(l, at_hand)) (invariant[at(v)] ? fixed : sliced).push_back(v);
  const auto position = [](const Values& list, Value v) {
    return static_cast<std::size_t>(std::find(list.begin(), list.end(), v) - list.begin());
  };
  const auto is_slice = [&](Value v) {
    const std::size_t p = position(l.primals, v);
    return p >= parts.first_sliced() && p < l.primals.size();
  };
  Values stacks = part(l.results, parts.carried, parts.stacked);
  for (const Value v : sliced)
    if (!is_slice(v) && position(stacks, v) == stacks.size()) stacks.push_back(v);
  Values forward_results = part(l.results, 0, parts.carried);
  append(forward_results, stacks);
  ScanParts forward = parts;
  forward.stacked = stacks.size();
  const Values made = graph.add(Op::Scan, operands, scan_attributes(forward),
                                {extract(*l.graph, l.primals, forward_results)}, node.location);

  Groups inside, outside;
  inside.constants = fixed;
  outside.constants = graph.inline_graph(*extract(*l.graph, constants, fixed), part(operands, 0, parts.constants));
  inside.sliced = sliced;
  for (const Value v : sliced)
    outside.sliced.push_back(is_slice(v) ? operands[position(l.primals, v)]
                                         : made[parts.carried + position(stacks, v)]);
  add_tangents(build, parts, l, operands, tangents, inside, outside);
  Values linear_results = carried_tangents(parts, l);
  append(linear_results, stacked_tangents(parts, l));
  const Values moved = graph.add(Op::Scan, outside.all(), scan_attributes(outside.parts(parts, linear_results.size())),
                                 {extract(*l.graph, inside.all(), linear_results)}, node.location);
  tangents = result_tangents(parts, l, moved, 0, 0);
  return part(made, 0, results);
}

/// The scan is linear in all that it carries. Backwards it carries the sums of the cotangents of its linear constants,
/// and the cotangents of what it carried.
Values transpose_scan(const TransposeContext& c) {
  const ScanParts parts = scan_parts(c.node);
  Flags linear, comes;
  for (std::size_t i = 0; i < c.operands.size(); ++i)
    linear.push_back(c.is_linear(i) || (i >= parts.constants && i < parts.first_sliced()));
  for (std::size_t r = 0; r < c.cotangents.size(); ++r) comes.push_back(r < parts.carried || c.cotangents[r] != kZero);
  const Transposed t = transposed(*c.node.regions[0], linear, comes);
  Graph& graph = *t.graph;
  Builder inner{graph, c.node.location};

  Groups inside, outside;
  Values results;
  std::size_t next_fixed = 0;
  for (std::size_t i = 0; i < c.operands.size(); ++i) {
    if (linear[i]) continue;
    inside.of(parts, i).push_back(t.fixed[next_fixed++]);
    outside.of(parts, i).push_back(c.operands[i]);
  }
  for (std::size_t i = 0; i < parts.constants; ++i) {
    if (t.cotangents[i] == kZero) continue;
    const Value sum = graph.parameter(c.operand_types[i]);
    inside.carried.push_back(sum);
    outside.carried.push_back(c.build.full(c.operand_types[i].dtype, 0, c.operand_types[i].shape));
    results.push_back(inner.add(sum, t.cotangents[i]));
  }
  for (std::size_t i = 0; i < parts.carried; ++i) {
    inside.carried.push_back(t.incoming[i]);
    outside.carried.push_back(c.cotangent_or_zeros(i));
    const Value back = t.cotangents[parts.constants + i];
    results.push_back(back == kZero ? inner.zeros_like(t.incoming[i]) : back);
  }
  for (std::size_t r = parts.carried; r < comes.size(); ++r) {
    if (!comes[r]) continue;
    inside.sliced.push_back(t.incoming[r]);
    outside.sliced.push_back(c.cotangents[r]);
  }
  for (std::size_t i = parts.first_sliced(); i < c.operands.size(); ++i)
    if (t.cotangents[i] != kZero) results.push_back(t.cotangents[i]);
  const Values made =
      c.build.graph.add(Op::Scan, outside.all(), scan_attributes(outside.parts(parts, results.size(), true)),
                        {extract(graph, inside.all(), results)}, c.node.location);
  Values cotangents(c.operands.size(), kZero);
  std::size_t next = 0;
  for (std::size_t i = 0; i < parts.first_sliced(); ++i) {
    const bool carried = i >= parts.constants;
    if (!carried && t.cotangents[i] == kZero) continue;
    if (c.is_linear(i)) cotangents[i] = made[next];
    ++next;
  }
  for (std::size_t i = parts.first_sliced(); i < c.operands.size(); ++i)
    if (t.cotangents[i] != kZero) cotangents[i] = made[next++];
  return cotangents;
}

Values batch_scan(const BatchContext& c) {
  const ScanParts parts = scan_parts(c.node);
  Flags batched = c.batched;
  Batched body = vmap_partly(*c.node.regions[0], batched, c.size);
  for (bool stable = false; !stable;) {
    stable = true;
    for (std::size_t i = 0; i < parts.carried; ++i)
      if (body.results[i] && !batched[parts.constants + i]) {
        batched[parts.constants + i] = true;
        stable = false;
      }
    if (!stable) body = vmap_partly(*c.node.regions[0], batched, c.size);
  }
  Flags wanted = body.results;
  for (std::size_t i = 0; i < parts.carried; ++i) wanted[i] = batched[parts.constants + i];
  batch_results(body, wanted, c.size);
  const auto swapped = [&](Value v) {  // the batch dimension and that of the steps
    Integers order = iota_integers(c.build.type(v).rank());
    std::swap(order[0], order[1]);
    return c.build.transpose(v, order);
  };
  Values operands;
  for (std::size_t i = 0; i < c.operands.size(); ++i) {
    if (i >= parts.first_sliced())
      operands.push_back(batched[i] ? swapped(c.operands[i]) : c.operands[i]);
    else
      operands.push_back(batched[i] ? c.with_batch(i) : c.operands[i]);
  }
  Values made = c.build.graph.add(Op::Scan, operands, c.node.attributes, {body.graph}, c.node.location);
  for (std::size_t r = parts.carried; r < made.size(); ++r)
    if (wanted[r]) made[r] = swapped(made[r]);
  return BatchContext{c.build, c.node, made, wanted, c.size}.all_with_batch();
}

}  // namespace

Values linearize_control(Graph& graph, const Node& node, const Values& operands, Values& tangents, Mode mode) {
  if (node.op == Op::While && mode == Mode::Reverse) {
    // As a scan it can be kept for the way back.
    Graph counted;
    Values arguments;
    for (const Value v : operands) {
      const Node* made_by = graph.producer(v);
      const bool constant = made_by != nullptr && made_by->op == Op::Constant;
      const Value parameter = counted.parameter(graph.type(v));
      arguments.push_back(constant ? counted.append(*made_by, {}, graph.types(made_by->results))[0] : parameter);
    }
    if (auto results = while_as_scan(counted, node, arguments)) {
      counted.results = *results;
      return linearize(graph, counted, operands, tangents, mode);
    }
  }
  if (node.op == Op::While) return linearize_while(graph, node, operands, tangents, mode);
  if (node.op != Op::Scan) return linearize_branches(graph, node, operands, tangents, mode);
  return mode == Mode::Forward ? scan_forward(graph, node, operands, tangents)
                               : scan_reverse(graph, node, operands, tangents);
}

Values transpose_control(const TransposeContext& context) {
  return context.node.op == Op::Scan ? transpose_scan(context) : transpose_branches(context);
}

Values batch_control(const BatchContext& context) {
  if (context.node.op == Op::While) return batch_while(context);
  return context.node.op == Op::Scan ? batch_scan(context) : batch_branches(context);
}

}  // namespace tessera::transform
