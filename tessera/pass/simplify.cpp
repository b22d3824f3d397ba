// Simplify: an equal graph with fewer and simpler nodes. Every rewrite keeps the bits of the results, except where a
// comment says which rounding may differ. In and out: a Graph. Read next: pass/fuse.cpp.
#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "tessera/ir/rewrite.hpp"
#include "tessera/pass/fusion.hpp"
#include "tessera/pass/library_forms.hpp"

namespace tessera::pass {
namespace {

using ir::Graph;
using ir::Integers;
using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;

/// Constants up to this many elements are folded.
constexpr std::int64_t kFoldLimit = 256;

/// Calls replaced by their bodies, and what has only a decomposition by that.
Graph expand(const Graph& from) {
  bool again = false;
  Graph to = ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
    const ir::Primitive& row = ir::primitive(node.op);
    if (row.loop || !row.decompose) return std::nullopt;
    again = true;
    ir::Builder build{r.to, node.location};
    return (*row.decompose)(build, node, r.operands);
  });
  return again ? expand(to) : to;
}

Graph drop_unused(const Graph& from) {
  std::vector<bool> used(from.values.size(), false);
  for (const Value v : from.results) used[static_cast<std::size_t>(v)] = true;
  std::vector<bool> keep(from.nodes.size(), false);
  for (std::size_t n = from.nodes.size(); n-- > 0;) {
    const Node& node = from.nodes[n];
    keep[n] = node.op == Op::CustomCall || std::any_of(node.results.begin(), node.results.end(),
                                                       [&](Value v) { return used[static_cast<std::size_t>(v)]; });
    if (keep[n])
      for (const Value v : node.operands) used[static_cast<std::size_t>(v)] = true;
  }
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node&) -> std::optional<Values> {
    if (keep[r.index]) return std::nullopt;
    return Values();
  });
}

/// By value: how often nodes and results use it.
std::vector<int> uses_in(const Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  for (const Value v : graph.results) ++uses[static_cast<std::size_t>(v)];
  for (const Node& node : graph.nodes)
    for (const Value v : node.operands) ++uses[static_cast<std::size_t>(v)];
  return uses;
}

std::size_t bits_of_mantissa(DType d) { return d == DType::F64 ? 52 : d == DType::F32 ? 23 : d == DType::F16 ? 10 : 7; }

/// True when every value of `from` is a value of `to`.
bool widens(DType from, DType to) {
  if (from == to) return true;
  if (from == DType::Bool) return true;
  if (is_float(from))
    return is_float(to) && bits_of_mantissa(from) <= bits_of_mantissa(to) &&
           !(from == DType::BF16 && to == DType::F16) && size_of(from) < size_of(to);
  if (is_integer(to))
    return is_unsigned_integer(from) == is_unsigned_integer(to)
               ? size_of(from) <= size_of(to)
               : is_unsigned_integer(from) && size_of(from) < size_of(to);
  return false;
}

/// One pass over a graph: every node is rewritten against the nodes made so far, or merged with an equal one.
class Rewriter {
 public:
  explicit Rewriter(const Graph& from) : from_(from), to_(from.name), b_{to_, {}} {}

  Graph run() {
    const std::vector<int> uses = uses_in(from_);
    for (const Value p : from_.parameters) to_.parameter(from_.type(p));
    const Values parameters = to_.parameters;
    to_.results = ir::rewrite_into(to_, from_, parameters, [&](ir::Rewriting& r, const Node& node) {
      Values made = rewritten(node, r.operands);
      for (std::size_t i = 0; i < made.size(); ++i) uses_[made[i]] += uses[index(node.results[i])];
      return made;
    });
    return std::move(to_);
  }

 private:
  /// What stands for the results of a node of the old graph.
  Values rewritten(const Node& node, const Values& operands) {
    b_.location = node.location;
    Node copy = node;
    copy.operands = operands;
    const std::vector<TensorType> types = from_.types(node.results);
    Values made;
    if (node.op == Op::Reduce && count(operands[0]) == 0) {
      for (std::size_t i = 0; i < types.size(); ++i)
        made.push_back(everywhere(operands[types.size() + i], types[i].shape));
    } else if (const ir::Graph* chosen = known_branch(copy)) {
      made = to_.inline_graph(*chosen, {operands.begin() + 1, operands.end()});
    } else if (types.size() == 1) {
      const Value better = rewrite(copy, types[0]);
      made = {better >= 0 ? better : merged(copy, types[0])};
    } else {
      made = to_.append(copy, copy.operands, types);
    }
    if (node.op == Op::While) {  // what its body hands on as it is
      const Graph& body = *node.regions[1];
      for (std::size_t i = 0; i < body.results.size(); ++i)
        if (body.results[i] == body.parameters[i]) made[i] = copy.operands[i];
    }
    return made;
  }
  static std::size_t index(Value v) { return static_cast<std::size_t>(v); }
  [[nodiscard]] const Node* maker(Value v, Op op) const {
    const Node* node = to_.producer(v);
    return node != nullptr && node->op == op ? node : nullptr;
  }
  [[nodiscard]] std::int64_t count(Value v) const { return element_count(to_.shape(v)); }

  /// The branch that a constant chooses.
  [[nodiscard]] const Graph* known_branch(const Node& node) const {
    if (node.op != Op::If && node.op != Op::Case) return nullptr;
    const auto selector = splat(node.operands[0]);
    return selector ? node.regions[ir::branch_of(node, selector->get_integer(0))].get() : nullptr;
  }

  /// The node, or an earlier one that is equal.
  Value merged(const Node& node, const TensorType& type) {
    if (node.op == Op::CustomCall || node.op == Op::OptimizationBarrier)
      return to_.append(node, node.operands, {&type, 1})[0];
    std::string key(ir::name(node.op));
    for (const Value v : node.operands) key += " " + std::to_string(v);
    node.attributes.append_key(key);
    for (const ir::GraphPtr& region : node.regions) key += region->key();
    key += to_string(type);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    const Value made = to_.append(node, node.operands, {&type, 1})[0];
    if (node.op == Op::Maximum && is_float(type.dtype))
      for (const std::size_t i : {0, 1})
        if (is_splat(node.operands[1 - i], 0.0)) relu_of_.try_emplace(node.operands[i], made);
    return known_[key] = made;
  }

  // Builders whose results are merged too.
  Value add(Op op, const Values& operands, ir::Attributes attributes = {}) {
    const Value made = to_.add1(op, operands, std::move(attributes), {}, b_.location);
    const Node node = *to_.producer(made);
    const TensorType type = to_.type(made);
    to_.nodes.pop_back();
    to_.values.pop_back();
    Node copy = node;
    copy.results.clear();
    const Value better = rewrite(copy, type);
    return better >= 0 ? better : merged(copy, type);
  }
  Value reshape(Value v, const Shape& shape) {
    return to_.shape(v) == shape ? v : add(Op::Reshape, {v}, {{"shape", Integers(shape)}});
  }
  Value broadcast(Value v, const Shape& shape, const Integers& dimensions) {
    return add(Op::BroadcastInDim, {v}, {{"broadcast_dimensions", dimensions}, {"shape", Integers(shape)}});
  }
  Value everywhere(Value scalar, const Shape& shape) { return shape.empty() ? scalar : broadcast(scalar, shape, {}); }
  Value constant(const Literal& literal) { return add(Op::Constant, {}, {{"value", literal}}); }

  /// The one value that `v` has everywhere.
  [[nodiscard]] std::optional<Literal> splat(Value v) const {
    const Node* node = to_.producer(v);
    while (node != nullptr && (node->op == Op::BroadcastInDim || node->op == Op::Reshape || node->op == Op::Transpose))
      node = to_.producer(node->operands[0]);
    if (node == nullptr || node->op != Op::Constant) return std::nullopt;
    const Literal& value = node->attributes.literal("value");
    if (value.size() == 0 || !value.is_splat()) return std::nullopt;
    if (value.size() == 1) return Literal({value.dtype(), {}}, value.storage());
    Literal one({value.dtype(), {}});
    std::copy_n(value.data(), size_of(value.dtype()), one.data());
    return one;
  }
  [[nodiscard]] bool is_splat(Value v, double wanted) const {
    const auto value = splat(v);
    if (!value) return false;
    if (is_float(value->dtype()))
      return value->get_double(0) == wanted && std::signbit(value->get_double(0)) == std::signbit(wanted);
    return static_cast<double>(value->get_integer(0)) == wanted;
  }
  /// The scalar that `v` is a broadcast of; -1 if it is none.
  [[nodiscard]] Value scalar_of(Value v) const {
    if (to_.shape(v).empty()) return v;
    const Node* node = maker(v, Op::BroadcastInDim);
    return node != nullptr && to_.shape(node->operands[0]).empty() ? node->operands[0] : -1;
  }

  /// An equal value, or -1 when the node stands as it is.
  Value rewrite(Node& node, const TensorType& type) {
    if (const Value folded = fold(node, type); folded >= 0) return folded;
    if (ir::is_elementwise(ir::family(node.op)))
      if (const Value hoisted = hoist(node, type); hoisted >= 0) return hoisted;
    switch (node.op) {
      case Op::Constant: return rewrite_constant(node, type);
      case Op::Add:
      case Op::Subtract:
      case Op::Multiply:
      case Op::Divide:
      case Op::And:
      case Op::Or: return rewrite_arithmetic(node, type);
      case Op::Negate: {
        const Node* inner = maker(node.operands[0], Op::Negate);
        return inner != nullptr ? inner->operands[0] : -1;
      }
      case Op::Select: return rewrite_select(node);
      case Op::Compare: return rewrite_compare(node);
      case Op::Convert: {
        const Value in = node.operands[0];
        if (to_.dtype(in) == type.dtype) return in;
        const Node* inner = maker(in, Op::Convert);
        if (inner != nullptr && widens(to_.dtype(inner->operands[0]), to_.dtype(in)))
          return to_.dtype(inner->operands[0]) == type.dtype ? inner->operands[0]
                                                             : add(Op::Convert, {inner->operands[0]}, node.attributes);
        return -1;
      }
      case Op::Reshape: {
        const Value in = node.operands[0];
        if (to_.shape(in) == type.shape) return in;
        if (const Node* inner = maker(in, Op::Reshape)) return reshape(inner->operands[0], type.shape);
        if (const Value scalar = scalar_of(in); scalar >= 0 && !to_.shape(in).empty())
          return everywhere(scalar, type.shape);
        return -1;
      }
      case Op::Transpose: return rewrite_transpose(node, type);
      case Op::BroadcastInDim: return rewrite_broadcast(node, type);
      case Op::Pad:
        if (count(node.operands[0]) == 0) return everywhere(node.operands[1], type.shape);
        [[fallthrough]];
      case Op::Slice: return to_.shape(node.operands[0]) == type.shape && is_whole(node) ? node.operands[0] : -1;
      case Op::Reverse: {
        for (const std::int64_t d : node.attributes.integers("dimensions"))
          if (type.shape[static_cast<std::size_t>(d)] != 1) return -1;
        return node.operands[0];
      }
      case Op::Concatenate: {
        const auto d = static_cast<std::size_t>(node.attributes.integer("dimension"));
        std::erase_if(node.operands, [&](Value v) { return to_.shape(v)[d] == 0 && type.shape[d] != 0; });
        Values flat;
        for (const Value v : node.operands) {
          const Node* inner = maker(v, Op::Concatenate);
          if (inner != nullptr && uses_[v] <= 1 &&
              inner->attributes.integer("dimension") == static_cast<std::int64_t>(d))
            flat.insert(flat.end(), inner->operands.begin(), inner->operands.end());
          else
            flat.push_back(v);
        }
        node.operands = std::move(flat);
        return node.operands.size() == 1 ? node.operands[0] : -1;
      }
      case Op::Reduce: return rewrite_reduce(node, type);
      case Op::DotGeneral:
        if (count(node.operands[0]) == 0 || count(node.operands[1]) == 0)
          return everywhere(constant(Literal::full({type.dtype, {}}, 0)), type.shape);
        return rewrite_dot(node, type);
      default: return -1;
    }
  }

  Value fold(const Node& node, const TensorType& type) {
    if (node.op == Op::Constant || node.op == Op::BroadcastInDim || node.op == Op::CustomCall ||
        node.op == Op::OptimizationBarrier || ir::is_control_flow(node.op))
      return -1;
    if (element_count(type.shape) > kFoldLimit || (node.operands.empty() && node.op != Op::Iota)) return -1;
    if (node.op == Op::Iota) return -1;
    std::vector<Literal> operands;
    for (const Value v : node.operands) {
      const Node* by = maker(v, Op::Constant);
      if (by == nullptr || count(v) > kFoldLimit) return -1;
      operands.push_back(by->attributes.literal("value"));
    }
    return constant(ir::primitive(node.op).evaluate(node, operands)[0]);
  }

  /// An elementwise operation on broadcast scalars is done once, on the scalars.
  Value hoist(const Node& node, const TensorType& type) {
    if (type.shape.empty() || node.operands.empty()) return -1;
    Values scalars;
    for (const Value v : node.operands) {
      scalars.push_back(scalar_of(v));
      if (scalars.back() < 0) return -1;
    }
    return broadcast(add(node.op, scalars, node.attributes), type.shape, {});
  }

  Value rewrite_constant(const Node& node, const TensorType& type) {
    const Literal& value = node.attributes.literal("value");
    if (type.shape.empty() || value.size() == 0 || !value.is_splat()) return -1;
    Literal one({type.dtype, {}});
    std::copy_n(value.data(), size_of(type.dtype), one.data());
    return broadcast(constant(one), type.shape, {});
  }

  Value rewrite_arithmetic(const Node& node, const TensorType& type) {
    const Value a = node.operands[0], b = node.operands[1];
    const bool integer = is_integer(type.dtype);
    switch (node.op) {
      case Op::Add:
        if (const Value joined = join_pads(node); joined >= 0) return joined;
        // x + -0 is x for every float; x + 0 is not: -0 + 0 is 0.
        if (is_splat(b, integer ? 0.0 : -0.0)) return a;
        if (is_splat(a, integer ? 0.0 : -0.0)) return b;
        if (const Node* negated = maker(b, Op::Negate)) return add(Op::Subtract, {a, negated->operands[0]});
        return -1;
      case Op::Subtract:
        if (type.dtype != DType::Bool && is_splat(b, 0.0)) return a;
        if (const Node* negated = maker(b, Op::Negate)) return add(Op::Add, {a, negated->operands[0]});
        return -1;
      case Op::Multiply:
        if (is_splat(b, 1.0)) return a;
        if (is_splat(a, 1.0)) return b;
        return -1;
      case Op::Divide: {
        if (is_splat(b, 1.0)) return a;
        const auto divisor = splat(b);
        if (!divisor || (type.dtype != DType::F32 && type.dtype != DType::F64)) return -1;
        int exponent = 0;
        const double value = divisor->get_double(0);
        // The reciprocal of a power of two is exact.
        if (!std::isfinite(value) || std::abs(std::frexp(value, &exponent)) != 0.5 || std::abs(exponent) > 100)
          return -1;
        const Value reciprocal = constant(Literal::full({type.dtype, {}}, 1 / value));
        return add(Op::Multiply, {a, everywhere(reciprocal, type.shape)});
      }
      case Op::And:
      case Op::Or:
        if (type.dtype != DType::Bool) return -1;
        if (is_splat(b, node.op == Op::And ? 1.0 : 0.0)) return a;
        if (is_splat(a, node.op == Op::And ? 1.0 : 0.0)) return b;
        return a == b ? a : -1;
      default: return -1;
    }
  }

  /// Sums of paddings that lie side by side, such as the gradients of slices, are put together. (Of -0 + 0, the sign is
  /// lost.)
  Value join_pads(const Node& sum) {
    struct Piece {
      Value value;
      std::int64_t low, extent, high;
    };
    std::vector<Piece> pieces;
    std::optional<std::size_t> along;
    Value zero = -1;
    Values left = sum.operands;
    while (!left.empty()) {
      const Value v = left.back();
      left.pop_back();
      const Node* node = to_.producer(v);
      if (node == nullptr || uses_[v] > 1 || pieces.size() + left.size() > 64) return -1;
      if (node->op == Op::Add) {
        left.insert(left.end(), node->operands.begin(), node->operands.end());
        continue;
      }
      if (node->op != Op::Pad || !(is_splat(node->operands[1], 0.0) || is_splat(node->operands[1], -0.0))) return -1;
      zero = node->operands[1];
      const Integers& low = node->attributes.integers("edge_padding_low");
      const Integers& high = node->attributes.integers("edge_padding_high");
      const Integers& interior = node->attributes.integers("interior_padding");
      for (std::size_t d = 0; d < low.size(); ++d) {
        if (interior[d] != 0 || low[d] < 0 || high[d] < 0) return -1;
        if (low[d] == 0 && high[d] == 0) continue;
        if (along && *along != d) return -1;
        along = d;
      }
      if (!along) return -1;
      pieces.push_back({node->operands[0], low[*along], to_.shape(node->operands[0])[*along], high[*along]});
    }
    std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.low < b.low; });
    Values parts;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (i > 0 && pieces[i].low != pieces[i - 1].low + pieces[i - 1].extent) return -1;
      parts.push_back(pieces[i].value);
    }
    const Value joined = add(Op::Concatenate, parts, {{"dimension", static_cast<std::int64_t>(*along)}});
    Integers low(to_.shape(joined).size(), 0), high = low;
    const Integers none = low;
    low[*along] = pieces.front().low;
    high[*along] = pieces.back().high;
    return add(Op::Pad, {joined, zero},
               {{"edge_padding_low", low}, {"edge_padding_high", high}, {"interior_padding", none}});
  }

  /// x > 0 is relu(x) > 0, and x <= 0 is relu(x) <= 0: asked of the relu, x itself is not needed after it.
  Value rewrite_compare(const Node& node) {
    const std::string& direction = node.attributes.string("comparison_direction");
    const Value a = node.operands[0], b = node.operands[1];
    if (node.attributes.string("compare_type", "") == "TOTALORDER") return -1;
    const bool right = (direction == "GT" || direction == "LE") && (is_splat(b, 0.0) || is_splat(b, -0.0));
    const bool left = (direction == "LT" || direction == "GE") && (is_splat(a, 0.0) || is_splat(a, -0.0));
    const auto relu = right || left ? relu_of_.find(right ? a : b) : relu_of_.end();
    if (relu == relu_of_.end()) return -1;
    return add(Op::Compare, right ? Values{relu->second, b} : Values{a, relu->second}, node.attributes);
  }

  Value rewrite_select(Node& node) {
    if (node.operands[1] == node.operands[2]) return node.operands[1];
    const auto condition = splat(node.operands[0]);
    if (condition) return node.operands[condition->get_integer(0) != 0 ? 1 : 2];
    const Node* by = maker(node.operands[0], Op::Compare);
    if (by == nullptr) return -1;
    const Node compare = *by;
    // x <= 0 ? 0 : x is the maximum of x and 0, NaN and -0 included.
    if (compare.attributes.string("comparison_direction") == "LE" && compare.operands[0] == node.operands[2] &&
        is_float(to_.dtype(node.operands[2])) && is_splat(compare.operands[1], 0.0) &&
        is_splat(node.operands[1], 0.0) && compare.attributes.string("compare_type", "") != "TOTALORDER")
      return add(Op::Maximum, {node.operands[2], node.operands[1]});
    // The comparison may have been made before there was a relu to ask.
    const Value better = rewrite_compare(compare);
    return better < 0 || better == node.operands[0] ? -1
                                                    : add(Op::Select, {better, node.operands[1], node.operands[2]});
  }

  Value rewrite_transpose(const Node& node, const TensorType& type) {
    const Value in = node.operands[0];
    const Integers& permutation = node.attributes.integers("permutation");
    if (const Node* inner = maker(in, Op::Transpose)) {
      const Integers& first = inner->attributes.integers("permutation");
      Integers both;
      for (const std::int64_t d : permutation) both.push_back(first[static_cast<std::size_t>(d)]);
      if (both == ir::iota_integers(type.rank())) return inner->operands[0];
      return add(Op::Transpose, {inner->operands[0]}, {{"permutation", both}});
    }
    if (const Value scalar = scalar_of(in); scalar >= 0 && !type.shape.empty())
      return broadcast(scalar, type.shape, {});
    if (const Value product = swap_product(in, permutation); product >= 0) return product;
    // Moving dimensions of extent 1 moves no element.
    Integers nontrivial;
    for (const std::int64_t d : permutation)
      if (to_.shape(in)[static_cast<std::size_t>(d)] != 1) nontrivial.push_back(d);
    return std::is_sorted(nontrivial.begin(), nontrivial.end()) ? reshape(in, type.shape) : -1;
  }

  /// A product whose free dimensions change sides is the product of the operands the other way round.
  Value swap_product(Value in, const Integers& permutation) {
    const Node* by = maker(in, Op::DotGeneral);
    if (by == nullptr || uses_[in] > 1) return -1;
    const Node dot = *by;
    const auto dimensions = [&](const char* name) { return dot.attributes.integers(name, {}); };
    const std::int64_t batch = static_cast<std::int64_t>(dimensions("lhs_batching_dimensions").size());
    const std::int64_t contracted = static_cast<std::int64_t>(dimensions("lhs_contracting_dimensions").size());
    const std::int64_t left = to_.type(dot.operands[0]).rank() - batch - contracted;
    const auto rank = static_cast<std::int64_t>(permutation.size());
    for (std::int64_t d = 0; d < rank; ++d) {
      const std::int64_t wanted = d < batch ? d : d < rank - left ? d + left : d - (rank - left) + batch;
      if (permutation[static_cast<std::size_t>(d)] != wanted) return -1;
    }
    ir::Attributes attributes = dot.attributes;
    for (const char* kind : {"batching_dimensions", "contracting_dimensions"}) {
      attributes.set(std::string("lhs_") + kind, dimensions((std::string("rhs_") + kind).c_str()));
      attributes.set(std::string("rhs_") + kind, dimensions((std::string("lhs_") + kind).c_str()));
    }
    return add(Op::DotGeneral, {dot.operands[1], dot.operands[0]}, std::move(attributes));
  }

  Value rewrite_broadcast(const Node& node, const TensorType& type) {
    const Value in = node.operands[0];
    const Integers& dimensions = node.attributes.integers("broadcast_dimensions");
    if (maker(in, Op::Constant) != nullptr && to_.shape(in).empty()) return -1;  // how constants of one value stand
    if (count(in) == element_count(type.shape) && std::is_sorted(dimensions.begin(), dimensions.end()))
      return reshape(in, type.shape);
    if (const Node* inner = maker(in, Op::BroadcastInDim)) {
      Integers both;
      for (const std::int64_t d : inner->attributes.integers("broadcast_dimensions"))
        both.push_back(dimensions[static_cast<std::size_t>(d)]);
      return broadcast(inner->operands[0], type.shape, both);
    }
    // Dimensions of extent 1 are dropped: then equal broadcasts look equal.
    Shape shape;
    Integers kept;
    for (std::size_t d = 0; d < dimensions.size(); ++d) {
      if (to_.shape(in)[d] == 1 && count(in) != 0) continue;
      shape.push_back(to_.shape(in)[d]);
      kept.push_back(dimensions[d]);
    }
    return kept.size() < dimensions.size() ? broadcast(reshape(in, shape), type.shape, kept) : -1;
  }

  static bool is_whole(const Node& node) {
    const auto all = [](const Integers& list, std::int64_t value) {
      return std::all_of(list.begin(), list.end(), [&](std::int64_t i) { return i == value; });
    };
    if (node.op == Op::Slice)
      return all(node.attributes.integers("start_indices"), 0) && all(node.attributes.integers("strides"), 1);
    return all(node.attributes.integers("edge_padding_low"), 0) &&
           all(node.attributes.integers("edge_padding_high"), 0) &&
           all(node.attributes.integers("interior_padding"), 0);
  }

  Value rewrite_reduce(const Node& node, const TensorType& type) {
    if (node.operands.size() != 2 || count(node.operands[0]) != element_count(type.shape) ||
        count(node.operands[0]) == 0)
      return -1;
    const auto monoid = ir::match_monoid(*node.regions[0]);
    if (!monoid) return -1;
    const Value initial = everywhere(node.operands[1], type.shape);
    return add(*monoid, {initial, reshape(node.operands[0], type.shape)});
  }

  [[nodiscard]] bool is_matrix_product(const Node& node, const TensorType& type) const {
    const TensorType operands[] = {to_.type(node.operands[0]), to_.type(node.operands[1])};
    return as_product(node, operands, type).has_value();
  }

  /// Transposes of operands become part of the product, when the order of the result's dimensions allows.
  Value rewrite_dot(Node& node, const TensorType& type) {
    bool changed = false;
    for (std::size_t i = 0; i < 2; ++i) {
      const Node* transpose = maker(node.operands[i], Op::Transpose);
      if (transpose == nullptr) continue;
      const Integers& permutation = transpose->attributes.integers("permutation");
      const std::string side = i == 0 ? "lhs_" : "rhs_";
      const Integers batch = node.attributes.integers(side + "batching_dimensions", {});
      const Integers contracting = node.attributes.integers(side + "contracting_dimensions", {});
      const auto moved = [&](const Integers& list) {
        Integers out;
        for (const std::int64_t d : list) out.push_back(permutation[static_cast<std::size_t>(d)]);
        return out;
      };
      Integers free;
      for (std::int64_t d = 0; d < static_cast<std::int64_t>(permutation.size()); ++d)
        if (std::find(batch.begin(), batch.end(), d) == batch.end() &&
            std::find(contracting.begin(), contracting.end(), d) == contracting.end())
          free.push_back(permutation[static_cast<std::size_t>(d)]);
      if (!std::is_sorted(free.begin(), free.end())) continue;
      Node without = node;
      without.operands[i] = transpose->operands[0];
      without.attributes.set(side + "batching_dimensions", moved(batch));
      without.attributes.set(side + "contracting_dimensions", moved(contracting));
      // Where several dimensions are contracted in another order on each side, it is no matrix product any more.
      if (is_matrix_product(node, type) && !is_matrix_product(without, type)) continue;
      node = std::move(without);
      changed = true;
    }
    if (!changed) return -1;
    ir::Attributes attributes = node.attributes;
    return add(Op::DotGeneral, node.operands, std::move(attributes));
  }

  const Graph& from_;
  Graph to_;
  ir::Builder b_;
  std::unordered_map<std::string, Value> known_;
  std::unordered_map<Value, int> uses_;       ///< of new values, by old ones
  std::unordered_map<Value, Value> relu_of_;  ///< x to the maximum of x and 0
};

}  // namespace

ir::Graph simplify(const ir::Graph& graph) {
  Graph current = drop_unused(expand(graph));
  std::string key = current.key();
  // Each pass sees what the one before uncovered. The bound is far beyond what programs need.
  for (int pass = 0; pass < 16; ++pass) {
    current = drop_unused(expand(Rewriter(current).run()));
    std::string next = current.key();
    if (next == key) break;
    key = std::move(next);
  }
  return current;
}

namespace {

/// In how many chunks a reduction is done first, so that there is work for all; 1: in one go. Depends on shapes and
/// the target alone. `first`: the extent of the first dimension that is reduced.
std::int64_t chunks_of(const ReduceForm& form, std::int64_t first, const Target& target) {
  const std::int64_t total = form.outer * form.reduced * form.inner;
  if (form.reduced < 64 || total < 65536) return 1;
  std::int64_t chunks = 1, least = target.threads, enough = 16LL * target.threads, most = enough;
  if (target.is_gpu()) {
    // Blocks for all multiprocessors, and where there is much to read, all that they hold at once. A block has one row,
    // or 32 columns; or 32 times four of them, where that many lie next to each other.
    const std::int64_t columns = form.inner % 4 == 0 ? 128 : 32;
    const std::int64_t blocks = form.outer * ((form.inner + columns - 1) / columns);
    const std::int64_t each = total < (1 << 18) ? 1 : total < (1 << 20) || form.inner == 1 ? 2 : 8;
    const std::int64_t wanted = each * target.multiprocessors;
    if (blocks >= wanted || (form.inner == 1 && form.reduced < 64 * kBlockThreads)) return 1;
    least = 2;
    enough = 3 * wanted / (4 * blocks);
    most = 2 * wanted / blocks;
  } else if (form.inner >= 256 && form.reduced <= 4096) {
    // One column block for each thread would read short pieces of rows. The first dimension is what others that reduce
    // the rest are shared out by: all of them become one kernel.
    return first >= 16 && form.reduced / first >= 8 ? first : 1;
  } else if (target.threads <= 1 || form.outer >= 4 * target.threads) {
    return 1;
  }
  for (std::int64_t c = 2; c <= most && c * 16 <= form.reduced && chunks < enough; ++c)
    if (form.reduced % c == 0) chunks = c;
  return chunks >= least ? chunks : 1;
}

/// A reduction in stages: one contiguous group of dimensions in each, chunks first where they are many.
Value reduce_in_stages(Graph& to, const Node& node, const Values& operands, Op monoid, DType dtype,
                       const Target& target) {
  ir::Builder build{to, node.location};
  const Value neutral = build.constant(ir::identity(monoid, dtype));
  const auto reduce = [&](Value v, Value initial, Integers dimensions) {
    return to.add1(Op::Reduce, {v, initial}, {{"dimensions", std::move(dimensions)}}, node.regions, node.location);
  };
  Value v = operands[0];
  // Halves are summed in one go: between stages they would be rounded.
  const bool splits = dtype != DType::F16 && dtype != DType::BF16;
  Integers dimensions = node.attributes.integers("dimensions");
  std::sort(dimensions.begin(), dimensions.end());
  // Groups of dimensions that do not touch are reduced one after the other, the innermost first.
  while (splits && element_count(to.shape(v)) > 0) {
    const Shape& shape = to.shape(v);
    std::size_t start = dimensions.size();
    bool gap = false;
    for (std::size_t i = dimensions.size(); i-- > 0; start = i) {
      if (start == dimensions.size()) continue;
      for (std::int64_t d = dimensions[i] + 1; d < dimensions[start]; ++d)
        gap = gap || shape[static_cast<std::size_t>(d)] != 1;
      if (gap) break;
    }
    if (!gap) break;
    const Integers last(dimensions.begin() + static_cast<std::ptrdiff_t>(start), dimensions.end());
    v = reduce(v, neutral, last);
    dimensions.resize(start);
  }
  Value result = reduce(v, operands[1], dimensions);
  const Node& whole = *to.producer(result);
  const auto form = reduce_form(to, whole);
  // Few results from many elements: chunks first, whose number depends on shapes and threads alone.
  const std::int64_t first = dimensions.empty() ? 1 : to.shape(v)[static_cast<std::size_t>(dimensions[0])];
  const std::int64_t chunks = splits && form ? chunks_of(*form, first, target) : 1;
  if (chunks > 1) {
    // A copy: nodes are added while it is used. NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
    const Shape shape = to.shape(result);
    const Value parts = build.reshape(v, {form->outer, chunks, form->reduced / chunks, form->inner});
    const Value partial = reduce(parts, neutral, {2});
    result = build.reshape(reduce(partial, operands[1], {1}), shape);
  }
  return result;
}

}  // namespace

ir::Graph split_reductions(const ir::Graph& from, const Target& target) {
  return drop_unused(ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
    if (node.op != Op::Reduce || node.operands.size() != 2) return std::nullopt;
    const std::optional<Op> monoid = ir::match_monoid(*node.regions[0]);
    if (!monoid) return std::nullopt;
    return Values{reduce_in_stages(r.to, node, r.operands, *monoid, from.dtype(node.results[0]), target)};
  }));
}

bool updates_in_place(const ir::Node& node) {
  return (node.op == Op::Scatter || node.op == Op::DynamicUpdateSlice) && node.attributes.boolean("in_place", false);
}

namespace {

/// By node: it updates what a loop carries, step by step up to the result that is carried on; nobody else reads that.
std::vector<bool> carried_updates(const ir::Graph& graph, const std::vector<int>& uses, const Carried& carried) {
  std::vector<bool> updates(graph.nodes.size(), false);
  for (std::size_t r = 0; r < carried.size(); ++r) {
    if (carried[r] < 0) continue;
    const Value parameter = graph.parameters[static_cast<std::size_t>(carried[r])];
    std::vector<std::size_t> chain;
    Value v = graph.results[r];
    while (v != parameter && uses[static_cast<std::size_t>(v)] == 1 && graph.producer(v) != nullptr) {
      const Node& node = *graph.producer(v);
      if (node.op != Op::DynamicUpdateSlice && (node.op != Op::Scatter || node.results.size() != 1)) break;
      chain.push_back(static_cast<std::size_t>(graph.values[static_cast<std::size_t>(v)].node));
      v = node.operands[0];
    }
    if (v != parameter || uses[static_cast<std::size_t>(v)] != 1) continue;
    for (const std::size_t n : chain) updates[n] = true;
  }
  return updates;
}

}  // namespace

ir::Graph separate_updates(const ir::Graph& from, const Carried& carried) {
  const std::vector<int> uses = uses_in(from);
  const std::vector<bool> of_carried = carried_updates(from, uses, carried);
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) {
    Graph& to = r.to;
    Node copy = node;
    copy.operands = r.operands;
    const auto free = [&](std::size_t i) {
      const Node* by = to.producer(copy.operands[i]);
      return uses[static_cast<std::size_t>(node.operands[i])] == 1 && by != nullptr && by->op != Op::Constant &&
             by->op != Op::Reshape;
    };
    if (of_carried[r.index]) {
      copy.attributes.set("in_place", true);
    } else if (node.op == Op::Scatter) {
      copy.attributes.set("in_place", true);
      for (std::size_t i = 0; i < node.results.size(); ++i)
        if (!free(i)) copy.operands[i] = to.add1(Op::OptimizationBarrier, {copy.operands[i]}, {}, {}, node.location);
    } else if (node.op == Op::DynamicUpdateSlice && free(0)) {
      // Otherwise one pass that selects is as good as a copy.
      const Node& by = *to.producer(copy.operands[0]);
      if (updates_in_place(by) || by.op == Op::DotGeneral || by.op == Op::Convolution || by.op == Op::CustomCall)
        copy.attributes.set("in_place", true);
    }
    return to.append(copy, copy.operands, from.types(node.results));
  });
}

ir::Graph lower_precision(const ir::Graph& from, const Target& target) {
  const auto has_kernel = [&](const ir::Graph& graph, const Node& node) {
    return target.has_library_kernel && target.has_library_kernel(graph, node);
  };
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
    const bool product = node.op == Op::DotGeneral || node.op == Op::Convolution;
    if (!product || from.dtype(node.operands[0]) != DType::F32) return std::nullopt;
    ir::Builder build{r.to, node.location};
    Values narrow;
    for (const Value v : r.operands) narrow.push_back(build.convert(v, DType::BF16));
    Values made = r.to.append(node, narrow, from.types(node.results));
    if (has_kernel(from, node) && !has_kernel(r.to, r.to.nodes.back())) return std::nullopt;  // simplify drops `made`
    return made;
  });
}

}  // namespace tessera::pass
