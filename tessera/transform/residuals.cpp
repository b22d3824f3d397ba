// Residuals: what linear nodes use, less what is quickly computed again.
#include "tessera/transform/residuals.hpp"

#include <algorithm>

namespace tessera::transform {
namespace {

using namespace ir;
using Flags = std::vector<bool>;

std::size_t at(Value v) { return static_cast<std::size_t>(v); }

class Residuals {
 public:
  Residuals(const Linearized& l, const Flags& at_hand) : graph_(*l.graph), given_(at_hand) {
    given_.resize(graph_.values.size(), false);
    cheap_.assign(graph_.values.size(), false);
    listed_ = cheap_;
    Flags linear(graph_.values.size(), false);
    for (const Value v : l.seeds)
      if (v != kZero) linear[at(v)] = true;
    std::vector<Value> used;
    for (const Node& node : graph_.nodes) {
      const auto all = [&](const Flags& flags) {
        return std::all_of(node.operands.begin(), node.operands.end(), [&](Value v) { return flags[at(v)]; });
      };
      const bool depends =
          std::any_of(node.operands.begin(), node.operands.end(), [&](Value v) { return linear[at(v)]; });
      const bool constant = node.op == Op::Constant || node.op == Op::Iota ||
                            ((node.op == Op::BroadcastInDim || node.op == Op::Reshape) && all(cheap_));
      for (const Value r : node.results) {
        linear[at(r)] = depends;
        cheap_[at(r)] = constant;
      }
      if (!depends) continue;
      for (const Value v : node.operands)
        if (!linear[at(v)]) give(v, used);
    }
    std::sort(used.begin(), used.end());  // in the order in which they are computed
    used.erase(std::unique(used.begin(), used.end()), used.end());
    for (const Value v : used) {
      int operations = 8;
      if (!follows(v, operations)) given_[at(v)] = true;
    }
    for (const Value v : used) list(v);
  }
  [[nodiscard]] const Values& values() const { return list_; }

 private:
  /// `v`, or what one quick operation after the other makes it of; or, where a few elementwise operations make it of
  /// what is at hand and a fraction of its bytes, that.
  void give(Value v, Values& used) const {
    for (Value from = origin(v); from != kZero; from = origin(v)) v = from;
    Values leaves;
    int operations = 12;
    std::size_t bytes = 0;
    if (!given_[at(v)] && leaves_of(v, leaves, operations))
      for (const Value leaf : leaves) bytes += known(leaf) ? 0 : byte_size(graph_.type(leaf));
    if (!leaves.empty() && operations >= 0 && bytes <= byte_size(graph_.type(v)) / 4)
      used.insert(used.end(), leaves.begin(), leaves.end());
    else
      used.push_back(v);
  }
  /// The value, no larger, that `v` spreads, converts, or combines with a constant; kZero when there is none.
  [[nodiscard]] Value origin(Value v) const {
    const Node* node = graph_.producer(v);
    if (node == nullptr) return kZero;
    Value from = kZero;
    switch (node->op) {
      case Op::BroadcastInDim:
      case Op::Reshape:
      case Op::Convert:
      case Op::Negate: from = node->operands[0]; break;
      case Op::Add:
      case Op::Subtract:
      case Op::Multiply:
        if (cheap_[at(node->operands[0])] != cheap_[at(node->operands[1])])
          from = node->operands[cheap_[at(node->operands[0])] ? 1 : 0];
        break;
      default: break;
    }
    if (from == kZero || cheap_[at(from)]) return kZero;
    const std::size_t bytes = byte_size(graph_.type(from)), given = byte_size(graph_.type(v));
    // What is at hand is taken as it is, unless it would be written out to spread a smaller one that is there too.
    const bool wanted = given_[at(v)] ? given_[at(from)] && bytes < given : bytes <= given;
    return wanted ? from : kZero;
  }
  /// The values that are no result of an elementwise operation on the way to `v`.
  bool leaves_of(Value v, Values& leaves, int& operations) const {
    const Node* node = graph_.producer(v);
    const bool leaf = known(v) || node == nullptr || node->results.size() != 1 ||
                      (!is_elementwise(family(node->op)) && node->op != Op::BroadcastInDim && node->op != Op::Reshape);
    if (leaf) {
      if (!cheap_[at(v)] && std::find(leaves.begin(), leaves.end(), v) == leaves.end()) leaves.push_back(v);
      return true;
    }
    if (--operations < 0) return false;
    return std::all_of(node->operands.begin(), node->operands.end(),
                       [&](Value operand) { return leaves_of(operand, leaves, operations); });
  }
  [[nodiscard]] bool known(Value v) const { return given_[at(v)] || cheap_[at(v)]; }

  /// Whether a few quick operations compute it from what is given.
  [[nodiscard]] bool follows(Value v, int& operations) const {
    if (known(v)) return true;
    const Node* node = graph_.producer(v);
    if (node == nullptr || --operations < 0) return false;
    switch (node->op) {
      case Op::Add:
      case Op::Subtract:
      case Op::Multiply:
      case Op::Negate:
      case Op::Maximum:
      case Op::Minimum:
      case Op::Compare:
      case Op::Select:
      case Op::And:
      case Op::Or:
      case Op::Not:
      case Op::Abs:
      case Op::Convert:
      case Op::BroadcastInDim:
      case Op::Reshape: break;
      default: return false;
    }
    return std::all_of(node->operands.begin(), node->operands.end(),
                       [&](Value operand) { return follows(operand, operations); });
  }

  void list(Value v) {
    if (cheap_[at(v)] || listed_[at(v)]) return;
    listed_[at(v)] = true;
    if (given_[at(v)])
      list_.push_back(v);
    else
      for (const Value operand : graph_.producer(v)->operands) list(operand);
  }

  const Graph& graph_;
  Flags given_, cheap_, listed_;
  Values list_;
};

}  // namespace

Values residuals_of(const Linearized& linearized, const Flags& at_hand) {
  return Residuals(linearized, at_hand).values();
}

}  // namespace tessera::transform
