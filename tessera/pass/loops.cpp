// Loops that a counter ends are scans, and what a scan need not do step by step is taken out of it. In: a simplified
// graph. Out: an equal one (sums over steps are added up in another order), to be simplified again.
//   - what nobody uses is not carried and not stacked; what is carried unchanged is a constant
//   - what is the same in every step, and dear, is computed once before
//   - products of what only slices decide on become one product of all steps before the loop: the input product of a
//     recurrent net
//   - sums of products over all steps become one product behind it: the gradients of its weights
//   - products that no later step needs are done behind it, for all steps: the gradient of its inputs, its outputs
#include <algorithm>
#include <map>
#include <optional>

#include "tessera/ir/control.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/pass/fusion.hpp"
#include "tessera/transform/linearize.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera::pass {
namespace {

using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;
using Flags = std::vector<bool>;

/// By how much the results of a product may be more than its operands, to be kept for all steps.
constexpr std::int64_t kMostGrowth = 12;

std::size_t at(Value v) { return static_cast<std::size_t>(v); }
bool is_product(const Node& node) { return node.op == Op::DotGeneral || node.op == Op::Convolution; }
bool is_cheap(const Graph& graph, Value v) {
  const Node* node = graph.producer(v);
  while (node != nullptr && (node->op == Op::BroadcastInDim || node->op == Op::Reshape))
    node = graph.producer(node->operands[0]);
  return node != nullptr && (node->op == Op::Constant || node->op == Op::Iota);
}

/// A value of all steps together, outside: one that is there before the loop, or a result stacked by it; or a part of
/// such a one.
struct Stack {
  Value before = -1;
  std::size_t stacked = 0;
  std::int64_t dimension = -1, start = 0, limit = 0;  ///< of the part; -1: all of it
};

class Loop {
 public:
  Loop(Graph& to, const Node& node, const Values& operands)
      : to_(to), build_{to, node.location}, body_(body_of(node)), parts_(ir::scan_parts(node)) {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      Inputs& inputs = i < parts_.constants ? constants_ : i < parts_.first_sliced() ? carried_ : sliced_;
      inputs.push_back({body_.parameters[i], operands[i]});
    }
    for (std::size_t c = 0; c < parts_.carried; ++c) next_.push_back({body_.results[c], c});
    for (std::size_t r = parts_.carried; r < body_.results.size(); ++r) stacked_.push_back({body_.results[r], r});
    made_.assign(body_.results.size(), -1);
  }

  /// The results that stand for those of the node; -1 for unused ones.
  Values run(const Flags& used) {
    if (parts_.length <= 1) return few_steps();
    drop_unused(used);
    settle_constants();
    classify();
    sink_sums();
    hoist();
    sink_products();
    emit();
    return made_;
  }

 private:
  /// No step, or one.
  Values few_steps() {
    Values arguments = outside(constants_);
    for (const Input& i : carried_) arguments.push_back(i.outside);
    if (parts_.length == 0) {
      for (std::size_t c = 0; c < parts_.carried; ++c) made_[c] = carried_[c].outside;
      for (std::size_t r = parts_.carried; r < made_.size(); ++r) {
        const TensorType type = ir::stacked_type(body_.type(body_.results[r]), 0);
        made_[r] = build_.full(type.dtype, 0, type.shape);
      }
      return made_;
    }
    for (const Input& i : sliced_) arguments.push_back(build_.reshape(i.outside, body_.shape(i.inside)));
    made_ = to_.inline_graph(body_, arguments);
    for (std::size_t r = parts_.carried; r < made_.size(); ++r)
      made_[r] = build_.reshape(made_[r], ir::stacked_type(to_.type(made_[r]), 1).shape);
    return made_;
  }
  static Graph body_of(const Node& node) {
    return simplify(split_products(simplify(*node.regions[0]), ir::scan_parts(node)));
  }

  struct Input {
    Value inside, outside;
  };
  struct Result {
    Value value;
    std::size_t index;  ///< which result of the node; kExtra: none
  };
  static constexpr std::size_t kExtra = ~std::size_t{0};
  using Inputs = std::vector<Input>;
  using Results = std::vector<Result>;
  enum class Class : std::uint8_t { Constant, Sliced, Carried };

  static Values inside(const Inputs& inputs) {
    Values list;
    for (const Input& input : inputs) list.push_back(input.inside);
    return list;
  }
  static Values outside(const Inputs& inputs) {
    Values list;
    for (const Input& input : inputs) list.push_back(input.outside);
    return list;
  }
  [[nodiscard]] static const Input* find(const Inputs& inputs, Value v) {
    const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const Input& i) { return i.inside == v; });
    return found == inputs.end() ? nullptr : &*found;
  }

  /// By value: it is needed for one of these. Nothing is needed for what is an input.
  [[nodiscard]] Flags needed_for(const Values& results) const {
    Flags needed(body_.values.size(), false), input(body_.values.size(), false);
    for (const Inputs* inputs : {&constants_, &carried_, &sliced_})
      for (const Input& i : *inputs) input[at(i.inside)] = true;
    for (const Value v : results) needed[at(v)] = true;
    for (std::size_t n = body_.nodes.size(); n-- > 0;) {
      const Node& node = body_.nodes[n];
      if (std::none_of(node.results.begin(), node.results.end(),
                       [&](Value v) { return needed[at(v)] && !input[at(v)]; }))
        continue;
      for (const Value v : node.operands) needed[at(v)] = true;
    }
    return needed;
  }
  [[nodiscard]] static Values values(const Results& results) {
    Values list;
    for (const Result& r : results) list.push_back(r.value);
    return list;
  }
  [[nodiscard]] Values all_results() const {
    Values all = values(next_);
    for (const Result& r : stacked_) all.push_back(r.value);
    return all;
  }

  void drop_unused(const Flags& used) {
    std::erase_if(stacked_, [&](const Result& r) { return !used[r.index]; });
    Flags live(next_.size());
    for (std::size_t c = 0; c < live.size(); ++c) live[c] = used[next_[c].index];
    for (bool grows = true; grows;) {
      Values wanted = values(stacked_);
      for (std::size_t c = 0; c < live.size(); ++c)
        if (live[c]) wanted.push_back(next_[c].value);
      const Flags needed = needed_for(wanted);
      grows = false;
      for (std::size_t c = 0; c < live.size(); ++c)
        if (!live[c] && needed[at(carried_[c].inside)]) live[c] = grows = true;
    }
    for (std::size_t c = live.size(); c-- > 0;)
      if (!live[c]) erase_carried(c);
  }
  void erase_carried(std::size_t c) {
    carried_.erase(carried_.begin() + static_cast<std::ptrdiff_t>(c));
    next_.erase(next_.begin() + static_cast<std::ptrdiff_t>(c));
  }

  void settle_constants() {
    for (std::size_t c = next_.size(); c-- > 0;) {
      if (next_[c].value != carried_[c].inside) continue;
      made_[next_[c].index] = carried_[c].outside;
      constants_.push_back(carried_[c]);
      erase_carried(c);
    }
  }

  void classify() {
    class_.assign(body_.values.size(), Class::Constant);
    for (const Input& i : sliced_) class_[at(i.inside)] = Class::Sliced;
    for (const Input& i : carried_) class_[at(i.inside)] = Class::Carried;
    for (const Node& node : body_.nodes) {
      Class highest = Class::Constant;
      for (const Value v : node.operands) highest = std::max(highest, class_[at(v)]);
      for (const Value v : node.results) class_[at(v)] = highest;
    }
  }

  /// A value that is the same in every step, computed outside.
  Value constant_outside(Value v) {
    if (const Input* input = find(constants_, v)) return input->outside;
    const auto part = transform::extract(body_, inside(constants_), body_.types(inside(constants_)), {v});
    return to_.inline_graph(*part, outside(constants_))[0];
  }

  void hoist() {
    Values once, all_steps;
    const auto want = [](Values& list, Value v) {
      if (std::find(list.begin(), list.end(), v) == list.end()) list.push_back(v);
    };
    const Flags needed = needed_for(all_results());
    for (const Node& node : body_.nodes) {
      if (std::none_of(node.results.begin(), node.results.end(), [&](Value v) { return needed[at(v)]; })) continue;
      const bool product = is_product(node), constant = class_[at(node.results[0])] == Class::Constant;
      const bool dear = product || node.op == Op::Reduce || node.op == Op::ReduceWindow || ir::is_control_flow(node.op);
      if (dear && constant)
        for (const Value v : node.results) want(once, v);
      // What a library reads must lie in memory: once is enough.
      if (!constant && (product || ir::is_control_flow(node.op)))
        for (const Value v : node.operands)
          if (class_[at(v)] == Class::Constant && !is_cheap(body_, v) && find(constants_, v) == nullptr) want(once, v);
      if (product && class_[at(node.results[0])] == Class::Sliced && grows_little(node))
        want(all_steps, node.results[0]);
    }
    for (const Value v : once) {
      if (find(constants_, v) != nullptr) continue;
      constants_.push_back({v, constant_outside(v)});
    }
    if (all_steps.empty()) return;
    Values inputs = inside(constants_), given = outside(constants_);
    Flags batched(inputs.size(), false);
    for (const Input& i : sliced_) {
      inputs.push_back(i.inside);
      given.push_back(i.outside);
      batched.push_back(true);
    }
    const auto part = transform::extract(body_, inputs, body_.types(inputs), all_steps);
    const Values made = to_.inline_graph(*transform::vmap(*part, batched, parts_.length), given);
    for (std::size_t i = 0; i < made.size(); ++i) sliced_.push_back({all_steps[i], made[i]});
  }

  /// Results of all steps are kept at once: they should not be much larger than what they are made of.
  [[nodiscard]] bool grows_little(const Node& product) const {
    std::int64_t most = 0;
    for (const Value v : product.operands)
      if (class_[at(v)] == Class::Sliced) most = std::max(most, element_count(body_.shape(v)));
    return element_count(body_.shape(product.results[0])) <= kMostGrowth * most;
  }

  /// The values of all steps of `v`, which changes from step to step.
  Stack stack_of(Value v) {
    if (auto stack = stack_at_hand(v)) return *stack;
    stacked_.push_back({v, kExtra});
    return {-1, stacked_.size() - 1};
  }
  /// Without stacking anything more: the value itself, or one that it was concatenated into.
  [[nodiscard]] std::optional<Stack> stack_at_hand(Value v) const {
    if (const Input* input = find(sliced_, v)) return Stack{input->outside, 0};
    for (std::size_t s = 0; s < stacked_.size(); ++s)
      if (stacked_[s].value == v) return Stack{-1, s};
    for (const Node& node : body_.nodes) {
      if (node.op != Op::Concatenate) continue;
      const auto piece = std::find(node.operands.begin(), node.operands.end(), v);
      if (piece == node.operands.end()) continue;
      std::optional<Stack> stack = stack_at_hand(node.results[0]);
      if (!stack || stack->dimension >= 0) continue;
      stack->dimension = node.attributes.integer("dimension") + 1;
      const auto extent = [&](Value part) { return body_.shape(part)[static_cast<std::size_t>(stack->dimension - 1)]; };
      for (auto before = node.operands.begin(); before != piece; ++before) stack->start += extent(*before);
      stack->limit = stack->start + extent(v);
      return stack;
    }
    return std::nullopt;
  }

  /// One term of a sum over steps: a product, or a sum over elements.
  struct Term {
    const Node* node;
    std::vector<Stack> operands;
  };
  struct Sum {
    std::size_t index;
    Value initial;
    std::vector<Term> terms;
  };

  [[nodiscard]] bool is_summed_product(const Node& node) const {
    return node.op == Op::DotGeneral && class_[at(node.operands[0])] != Class::Constant &&
           class_[at(node.operands[1])] != Class::Constant;
  }
  [[nodiscard]] bool is_summed_reduction(const Node& node) const {
    return node.op == Op::Reduce && node.operands.size() == 2 && ir::match_monoid(*node.regions[0]) == Op::Add &&
           is_zero(body_, node.operands[1]) && stack_at_hand(node.operands[0]) &&
           size_of(body_.dtype(node.operands[0])) >= 4;
  }
  static bool is_zero(const Graph& graph, Value v) {
    const Node* node = graph.producer(v);
    if (node != nullptr && node->op == Op::BroadcastInDim) node = graph.producer(node->operands[0]);
    if (node == nullptr || node->op != Op::Constant) return false;
    const Literal& value = node->attributes.literal("value");
    return value.size() > 0 && value.is_splat() && value.get_double(0) == 0;
  }

  /// The terms that step after step are added to `sum`; false when there are others.
  bool terms_of(Value v, Value sum, std::vector<const Node*>& terms, int& sums) const {
    if (v == sum) return ++sums == 1;
    const Node* node = body_.producer(v);
    if (node == nullptr || find(sliced_, v) != nullptr) return false;
    if (node->op == Op::Add && is_float(body_.dtype(v)))
      return terms_of(node->operands[0], sum, terms, sums) && terms_of(node->operands[1], sum, terms, sums);
    terms.push_back(node);
    return is_summed_product(*node) || is_summed_reduction(*node);
  }

  void sink_sums() {
    std::vector<int> uses(body_.values.size(), 0);
    for (const Node& node : body_.nodes)
      for (const Value v : node.operands) ++uses[at(v)];
    for (const Value v : all_results()) ++uses[at(v)];
    // Products first: what they stack may serve the reductions.
    for (const bool products : {true, false})
      for (std::size_t c = next_.size(); c-- > 0;) {
        std::vector<const Node*> terms;
        int sums = 0;
        if (uses[at(carried_[c].inside)] != 1 || uses[at(next_[c].value)] != 1) continue;
        if (!terms_of(next_[c].value, carried_[c].inside, terms, sums) || sums != 1 || terms.empty()) continue;
        if (products && terms[0]->op != Op::DotGeneral) continue;
        Sum sum{next_[c].index, carried_[c].outside, {}};
        for (const Node* node : terms) {
          Term term{node, {stack_of(node->operands[0])}};
          if (node->op == Op::DotGeneral) term.operands.push_back(stack_of(node->operands[1]));
          sum.terms.push_back(std::move(term));
        }
        sums_.push_back(std::move(sum));
        erase_carried(c);
      }
  }

  /// A stacked result that is computed behind the loop, from these values.
  struct Later {
    std::size_t index;
    ir::GraphPtr part;
    Flags batched;
    Values constants;           ///< by input of the part; -1 where it is stacked
    std::vector<Stack> stacks;  ///< of the others, in order
  };

  void sink_products() {
    const Flags for_next = needed_for(values(next_));
    const Results asked = stacked_;
    for (std::size_t s = 0; s < asked.size(); ++s) {
      const Result& result = asked[s];
      if (result.index == kExtra || is_read_behind(s)) continue;
      if (find(sliced_, result.value) != nullptr) {
        made_[result.index] = find(sliced_, result.value)->outside;
        erase_stacked(result);
        continue;
      }
      const Flags cone = needed_for({result.value});
      Flags sunk(body_.values.size(), false);
      Values inputs;
      for (const Node& node : body_.nodes) {
        const Value v = node.results[0];
        if (!cone[at(v)] || for_next[at(v)] || find(sliced_, v) != nullptr || find(constants_, v) != nullptr) continue;
        const bool starts =
            node.op == Op::DotGeneral && element_count(body_.shape(v)) <= element_count(body_.shape(result.value)) &&
            (class_[at(node.operands[0])] == Class::Constant || class_[at(node.operands[1])] == Class::Constant);
        const bool follows =
            std::any_of(node.operands.begin(), node.operands.end(), [&](Value o) { return sunk[at(o)]; });
        if (!starts && !follows) continue;
        for (const Value made : node.results) sunk[at(made)] = true;
        for (const Value o : node.operands)
          if (!sunk[at(o)] && !is_cheap(body_, o) && std::find(inputs.begin(), inputs.end(), o) == inputs.end())
            inputs.push_back(o);
      }
      if (!sunk[at(result.value)]) continue;
      Later part{result.index, transform::extract(body_, inputs, body_.types(inputs), {result.value}), {}, {}, {}};
      erase_stacked(result);
      for (const Value v : inputs) {
        part.batched.push_back(class_[at(v)] != Class::Constant);
        part.constants.push_back(part.batched.back() ? -1 : constant_outside(v));
        if (part.batched.back()) part.stacks.push_back(stack_of(v));
      }
      later_.push_back(std::move(part));
    }
  }
  /// Whether something behind the loop is made of this stack: then it must be there.
  [[nodiscard]] bool is_read_behind(std::size_t s) const {
    const auto reads = [&](const std::vector<Stack>& stacks) {
      return std::any_of(stacks.begin(), stacks.end(),
                         [&](const Stack& stack) { return stack.before < 0 && stack.stacked == s; });
    };
    return std::any_of(later_.begin(), later_.end(), [&](const Later& later) { return reads(later.stacks); }) ||
           std::any_of(sums_.begin(), sums_.end(), [&](const Sum& sum) {
             return std::any_of(sum.terms.begin(), sum.terms.end(),
                                [&](const Term& term) { return reads(term.operands); });
           });
  }
  /// Stacks are known by their place: the others keep theirs.
  void erase_stacked(const Result& result) {
    for (Result& r : stacked_)
      if (r.index == result.index) r = {-1, kExtra};
  }

  void emit() {
    std::vector<std::size_t> place(stacked_.size(), kExtra);
    Values results = values(next_);
    for (std::size_t s = 0; s < stacked_.size(); ++s) {
      if (stacked_[s].value < 0) continue;
      place[s] = results.size();
      results.push_back(stacked_[s].value);
    }
    const Flags needed = needed_for(results);
    for (Inputs* inputs : {&constants_, &sliced_})
      std::erase_if(*inputs, [&](const Input& i) { return !needed[at(i.inside)]; });
    Values parameters, operands;
    for (const Inputs* inputs : {&constants_, &carried_, &sliced_}) {
      for (const Input& i : *inputs) {
        parameters.push_back(i.inside);
        operands.push_back(i.outside);
      }
    }
    Values out;
    if (!results.empty()) {
      const ir::ScanParts parts{constants_.size(), carried_.size(), sliced_.size(), results.size() - next_.size(),
                                parts_.length,     parts_.reverse};
      out = to_.add(Op::Scan, operands, ir::scan_attributes(parts),
                    {transform::extract(body_, parameters, body_.types(parameters), results)}, build_.location);
    }
    for (std::size_t c = 0; c < next_.size(); ++c) made_[next_[c].index] = out[c];
    for (std::size_t s = 0; s < stacked_.size(); ++s)
      if (stacked_[s].index != kExtra) made_[stacked_[s].index] = out[place[s]];
    const auto resolved = [&](const Stack& stack) {
      const Value all = stack.before >= 0 ? stack.before : out[place[stack.stacked]];
      if (stack.dimension < 0) return all;
      ir::Integers start(to_.shape(all).size(), 0), limit = to_.shape(all);
      start[static_cast<std::size_t>(stack.dimension)] = stack.start;
      limit[static_cast<std::size_t>(stack.dimension)] = stack.limit;
      return build_.slice(all, start, limit);
    };
    for (const Sum& sum : sums_) {
      Value total = sum.initial;
      for (const Term& term : sum.terms) {
        Values of_all;
        for (const Stack& stack : term.operands) of_all.push_back(resolved(stack));
        const Value sum_of_all = over_steps(*term.node, of_all);
        total = is_zero(to_, total) ? sum_of_all : build_.add(total, sum_of_all);
      }
      made_[sum.index] = total;
    }
    for (const Later& later : later_) {
      Values given;
      std::size_t next = 0;
      for (const Value v : later.constants) given.push_back(v >= 0 ? v : resolved(later.stacks[next++]));
      made_[later.index] = to_.inline_graph(*transform::vmap(*later.part, later.batched, parts_.length), given)[0];
    }
  }

  /// A product or a sum of one step, summed over all steps: dimension 0 of the operands is one more to sum over.
  Value over_steps(const Node& node, const Values& operands) {
    const auto shifted = [](ir::Integers list, bool with_steps) {
      for (auto& d : list) ++d;
      if (with_steps) list.insert(list.begin(), 0);
      return list;
    };
    ir::Attributes attributes = node.attributes;
    if (node.op == Op::Reduce) {
      attributes.set("dimensions", shifted(attributes.integers("dimensions"), true));
      const Value zero = build_.full(to_.dtype(operands[0]), 0);
      return to_.add1(Op::Reduce, {operands[0], zero}, attributes, node.regions, node.location);
    }
    for (const std::string side : {"lhs_", "rhs_"}) {
      attributes.set(side + "batching_dimensions",
                     shifted(attributes.integers(side + "batching_dimensions", {}), false));
      attributes.set(side + "contracting_dimensions",
                     shifted(attributes.integers(side + "contracting_dimensions", {}), true));
    }
    return to_.add1(Op::DotGeneral, operands, attributes, {}, node.location);
  }

  Graph& to_;
  ir::Builder build_;
  const Graph body_;
  const ir::ScanParts parts_;
  Inputs constants_, carried_, sliced_;
  Results next_, stacked_;
  std::vector<Class> class_;
  std::vector<Sum> sums_;
  std::vector<Later> later_;
  Values made_;
};

/// Whether something runs for what it does, not for its results: such loops stay as they are.
bool has_effects(const Node& node) {
  return node.op == Op::CustomCall || std::any_of(node.regions.begin(), node.regions.end(), [](const ir::GraphPtr& r) {
           return std::any_of(r->nodes.begin(), r->nodes.end(), has_effects);
         });
}

/// Loops that a counter ends become scans.
Graph count_loops(const Graph& from) {
  return ir::rewrite(from, [](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
    if (node.op != Op::While || has_effects(node)) return std::nullopt;
    return transform::while_as_scan(r.to, node, r.operands);
  });
}

}  // namespace

ir::Graph improve_loops(const ir::Graph& graph) {
  const Graph from = count_loops(graph);
  Flags used(from.values.size(), false);
  for (const Value v : from.results) used[at(v)] = true;
  for (const Node& node : from.nodes)
    for (const Value v : node.operands) used[at(v)] = true;
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
    if (node.op != Op::Scan || has_effects(node)) return std::nullopt;
    Flags wanted;
    for (const Value v : node.results) wanted.push_back(used[at(v)]);
    return Loop(r.to, node, r.operands).run(wanted);
  });
}

}  // namespace tessera::pass
