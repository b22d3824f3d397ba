// A while whose end a counter decides is a scan: that is how loops over slices come out of other systems. In: a while
// node. Out: a scan with the same results, whose steps can be kept for the way back and done together; or nothing.
#include <algorithm>

#include "tessera/ir/control.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/transform/linearize.hpp"

namespace tessera::transform {
namespace {

using namespace ir;

/// More steps are not tried out one by one.
constexpr std::int64_t kMostSteps = 1 << 14;

std::size_t at(Value v) { return static_cast<std::size_t>(v); }

/// The graph with calls replaced by their bodies, where these say all.
Graph without_calls(const Graph& from) {
  bool again = false;
  Graph to = rewrite(from, [&](Rewriting& r, const Node& node) -> std::optional<Values> {
    const bool call = (node.op == Op::Call || node.op == Op::Composite) && node.regions.size() == 1 &&
                      !node.attributes.boolean("checkpoint", false) && !node.attributes.boolean("stop_gradient", false);
    if (!call) return std::nullopt;
    again = true;
    return r.to.inline_graph(*node.regions[0], r.operands);
  });
  return again ? without_calls(to) : to;
}

class Counted {
 public:
  Counted(Graph& graph, const Node& node, const Values& operands)
      : graph_(graph),
        build_{graph, node.location},
        operands_(operands),
        condition_(without_calls(*node.regions[0])),
        body_(with_constants(without_calls(*node.regions[1]))) {}

  std::optional<Values> run() {
    if (!find_counter()) return std::nullopt;
    const std::size_t count = operands_.size();
    users_.resize(body_.values.size());
    for (const Node& node : body_.nodes)
      for (const Value v : node.operands) users_[at(v)].push_back(&node);
    for (const Value v : body_.results) users_[at(v)].push_back(nullptr);

    Values constants, carried, sliced{body_.parameters[counter_]}, next, stacked;  // of the body
    Values outer_constants, outer_carried, outer_sliced{kZero};
    std::vector<std::size_t> places;
    std::vector<std::size_t> stacks;
    for (std::size_t i = 0; i < count; ++i) {
      if (i == counter_) continue;
      const Value p = body_.parameters[i];
      if (body_.results[i] == p) {
        const std::vector<Value> slices = slices_of(p);
        for (const Value slice : slices) {
          sliced.push_back(slice);
          Shape shape = graph_.shape(operands_[i]);
          shape.insert(shape.begin() + 1, 1);
          outer_sliced.push_back(build_.reshape(operands_[i], shape));
        }
        if (!slices.empty()) continue;
        constants.push_back(p);
        outer_constants.push_back(operands_[i]);
      } else if (const Value part = filled_by(i); part != kZero) {
        stacked.push_back(part);
        stacks.push_back(i);
      } else {
        carried.push_back(p);
        outer_carried.push_back(operands_[i]);
        next.push_back(body_.results[i]);
        places.push_back(i);
      }
    }
    outer_sliced[0] = build_.constant(numbers());
    const ScanParts parts{constants.size(), carried.size(), sliced.size(), stacked.size(), steps_, reverse_};
    Values parameters = constants, given = outer_constants, results = next;
    for (const Values* list : {&carried, &sliced}) parameters.insert(parameters.end(), list->begin(), list->end());
    for (const Values* list : {&outer_carried, &outer_sliced}) given.insert(given.end(), list->begin(), list->end());
    results.insert(results.end(), stacked.begin(), stacked.end());
    const GraphPtr step = extract(body_, parameters, body_.types(parameters), results);
    const Values made = graph_.add(Op::Scan, given, scan_attributes(parts), {step}, build_.location);

    Values all = operands_;  // what does not change
    const DType dtype = graph_.dtype(operands_[counter_]);
    all[counter_] = build_.constant(Literal::full_integer({dtype, {}}, first_ + steps_));
    for (std::size_t i = 0; i < places.size(); ++i) all[places[i]] = made[i];
    for (std::size_t i = 0; i < stacks.size(); ++i)
      all[stacks[i]] = build_.reshape(made[places.size() + i], graph_.shape(operands_[stacks[i]]));
    return all;
  }

 private:
  static std::optional<std::int64_t> constant(const Graph& graph, Value v) {
    const Node* node = graph.producer(v);
    if (node == nullptr || node->op != Op::Constant || !graph.shape(v).empty() || is_float(graph.dtype(v)))
      return std::nullopt;
    return node->attributes.literal("value").get_integer(0);
  }
  /// The body with the constants that it is handed unchanged in place of its parameters.
  [[nodiscard]] Graph with_constants(const Graph& body) const {
    Graph to(body.name);
    Values arguments;
    for (const Value p : body.parameters) to.parameter(body.type(p));
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      const Node* node = graph_.producer(operands_[i]);
      const bool known = body.results[i] == body.parameters[i] && node != nullptr && node->op == Op::Constant &&
                         graph_.shape(operands_[i]).empty();
      arguments.push_back(known ? to.append(*node, {}, graph_.types(node->results))[0] : to.parameters[i]);
    }
    to.results = to.inline_graph(body, arguments);
    for (std::size_t i = 0; i < operands_.size(); ++i)
      if (body.results[i] == body.parameters[i]) to.results[i] = to.parameters[i];
    return to;
  }
  /// Of a value of a region: a constant there, or what is carried unchanged and was a constant outside.
  [[nodiscard]] std::optional<std::int64_t> constant_in(const Graph& region, Value v) const {
    const auto parameter = std::find(region.parameters.begin(), region.parameters.end(), v);
    if (parameter == region.parameters.end()) return constant(region, v);
    const auto i = static_cast<std::size_t>(parameter - region.parameters.begin());
    return body_.results[i] == body_.parameters[i] ? constant(graph_, operands_[i]) : std::nullopt;
  }

  /// i < limit, i + 1
  bool find_counter() {
    const Node* test = condition_.producer(condition_.results[0]);
    if (test == nullptr || test->op != Op::Compare) return false;
    const std::string& direction = test->attributes.string("comparison_direction");
    if (direction != "LT" && direction != "GT") return false;
    const Value i = test->operands[direction == "LT" ? 0 : 1], end = test->operands[direction == "LT" ? 1 : 0];
    const auto parameter = std::find(condition_.parameters.begin(), condition_.parameters.end(), i);
    const std::optional<std::int64_t> limit = constant_in(condition_, end);
    if (parameter == condition_.parameters.end() || !limit || !is_integer(condition_.dtype(i))) return false;
    counter_ = static_cast<std::size_t>(parameter - condition_.parameters.begin());
    const std::optional<std::int64_t> first = constant(graph_, operands_[counter_]);
    const Node* next = body_.producer(body_.results[counter_]);
    if (!first || next == nullptr || next->op != Op::Add) return false;
    const Value p = body_.parameters[counter_];
    const Value added = next->operands[0] == p ? next->operands[1] : next->operands[1] == p ? next->operands[0] : kZero;
    if (added == kZero || constant_in(body_, added) != 1) return false;
    first_ = *first;
    if (*limit > first_ && *limit - first_ > kMostSteps) return false;
    steps_ = std::max<std::int64_t>(0, *limit - first_);
    return steps_ > 0;
  }

  /// The counter's value at each position of a slice.
  [[nodiscard]] Literal numbers() const {
    Literal list(TensorType{graph_.dtype(operands_[counter_]), {steps_}});
    for (std::int64_t i = 0; i < steps_; ++i) list.set_integer(i, first_ + (reverse_ ? steps_ - 1 - i : i));
    return list;
  }

  /// Whether an index of the body goes through all positions in order: forwards, or backwards where everything does.
  bool goes_through(Value index) {
    const Values counter{body_.parameters[counter_]};
    std::vector<bool> known(body_.values.size(), false);
    known[at(counter[0])] = true;
    for (const Node& node : body_.nodes)
      for (const Value r : node.results)
        known[at(r)] = node.op == Op::Constant ||
                       (!node.operands.empty() && is_elementwise(family(node.op)) &&
                        std::all_of(node.operands.begin(), node.operands.end(), [&](Value v) { return known[at(v)]; }));
    if (!known[at(index)]) return false;
    const auto part = extract(body_, counter, body_.types(counter), {index});
    bool forwards = true, backwards = steps_ > 1;
    for (std::int64_t i = 0; i < steps_ && (forwards || backwards); ++i) {
      const Literal number = Literal::full_integer(body_.type(counter[0]), first_ + i);
      const std::int64_t position = interpret(*part, {&number, 1})[0].get_integer(0);
      forwards = forwards && position == i;
      backwards = backwards && position == steps_ - 1 - i;
    }
    if (!forwards && !backwards) return false;
    if (decided_ && reverse_ != backwards) return false;
    decided_ = true;
    reverse_ = backwards;
    return true;
  }

  /// One row of all rows.
  [[nodiscard]] bool is_row(const Shape& row, const Shape& all) const {
    return !all.empty() && all[0] == steps_ && row.size() == all.size() && row[0] == 1 &&
           std::equal(row.begin() + 1, row.end(), all.begin() + 1);
  }

  /// When the body reads nothing but slices of it, one row after the other: these slices.
  std::vector<Value> slices_of(Value p) {
    std::vector<Value> slices;
    for (const Node* user : users_[at(p)]) {
      if (user == nullptr) continue;  // it is handed on
      if (user->op != Op::DynamicSlice || user->operands[0] != p ||
          !is_row(body_.shape(user->results[0]), body_.shape(p)) || !goes_through(user->operands[1]))
        return {};
      slices.push_back(user->results[0]);
    }
    return slices;
  }

  /// When the body does nothing to carried value i but write it, one row after the other: what it writes.
  Value filled_by(std::size_t i) {
    const Value p = body_.parameters[i];
    const Node* update = body_.producer(body_.results[i]);
    if (update == nullptr || update->op != Op::DynamicUpdateSlice || update->operands[0] != p ||
        users_[at(p)].size() != 1 || users_[at(update->results[0])].size() != 1 ||
        !is_row(body_.shape(update->operands[1]), body_.shape(p)) || !goes_through(update->operands[2]))
      return kZero;
    return update->operands[1];
  }

  Graph& graph_;
  Builder build_;
  const Values& operands_;
  const Graph condition_, body_;
  std::vector<std::vector<const Node*>> users_;  ///< by value of the body; null: its results
  std::size_t counter_ = 0;
  std::int64_t first_ = 0, steps_ = 0;
  bool reverse_ = false, decided_ = false;
};

}  // namespace

std::optional<Values> while_as_scan(Graph& graph, const Node& node, const Values& operands) {
  return Counted(graph, node, operands).run();
}

}  // namespace tessera::transform
