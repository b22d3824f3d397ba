// Products in the body of a scan, taken apart where one part of them belongs outside (pass/loops.cpp): of a
// concatenation of what is sliced and what is carried, the two products; of a product of which one slice alone is
// carried on, the slices. In and out: the body. Sums are rounded in another order.
#include <algorithm>
#include <optional>

#include "tessera/ir/control.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/pass/fusion.hpp"

namespace tessera::pass {
namespace {

using ir::Graph;
using ir::Integers;
using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;
using Flags = std::vector<bool>;

std::size_t at(Value v) { return static_cast<std::size_t>(v); }

class Splitter {
 public:
  Splitter(const Graph& from, const ir::ScanParts& parts) : from_(from) {
    carried_.assign(from.values.size(), false);
    for (std::size_t i = parts.constants; i < parts.first_sliced(); ++i) carried_[at(from.parameters[i])] = true;
    users_.resize(from.values.size());
    for (const Node& node : from.nodes) {
      const bool carried =
          std::any_of(node.operands.begin(), node.operands.end(), [&](Value v) { return carried_[at(v)]; });
      for (const Value r : node.results) carried_[at(r)] = carried;
      for (const Value v : node.operands) users_[at(v)].push_back(&node);
    }
    is_result_.assign(from.values.size(), false);
    for (const Value v : from.results) is_result_[at(v)] = true;
    carried_on_.assign(from.values.size(), false);
    for (std::size_t c = 0; c < parts.carried; ++c) carried_on_[at(from.results[c])] = true;
    for (std::size_t n = from.nodes.size(); n-- > 0;) {
      const Node& node = from.nodes[n];
      if (std::any_of(node.results.begin(), node.results.end(), [&](Value v) { return carried_on_[at(v)]; }))
        for (const Value v : node.operands) carried_on_[at(v)] = true;
    }
  }

  Graph run() {
    return ir::rewrite(from_, [&](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
      if (const Value slice = r[node.results[0]]; slice >= 0) return Values{slice};  // it was made with its product
      if (node.op != Op::DotGeneral || size_of(from_.dtype(node.results[0])) < 4) return std::nullopt;
      if (const Value sum = apart_by_operands(r, node); sum >= 0) return Values{sum};
      if (apart_by_slices(r, node)) return Values();
      return std::nullopt;
    });
  }

 private:
  static std::string side(std::size_t i, const char* kind) {
    return (i == 0 ? "lhs_" : "rhs_") + std::string(kind) + "_dimensions";
  }

  /// Elements [start, limit) along one dimension.
  static Value part(ir::Builder& b, Value v, std::int64_t dimension, std::int64_t start, std::int64_t limit) {
    Integers low(b.shape(v).size(), 0), high = b.shape(v);
    low[static_cast<std::size_t>(dimension)] = start;
    high[static_cast<std::size_t>(dimension)] = limit;
    return b.slice(v, low, high, Integers(low.size(), 1));
  }

  /// dot([x, h], w) = dot(x, w_x) + dot(h, w_h), or -1.
  Value apart_by_operands(ir::Rewriting& r, const Node& node) const {
    for (const std::size_t i : {0U, 1U}) {
      const Node* joined = from_.producer(node.operands[i]);
      const Integers& contracting = node.attributes.integers(side(i, "contracting"));
      const Value other = node.operands[1 - i];
      if (joined == nullptr || joined->op != Op::Concatenate || contracting.size() != 1 || carried_[at(other)] ||
          joined->attributes.integer("dimension") != contracting[0])
        continue;
      const auto is_carried = [&](Value v) { return static_cast<bool>(carried_[at(v)]); };
      const auto carried = std::count_if(joined->operands.begin(), joined->operands.end(), is_carried);
      if (carried == 0 || carried == static_cast<std::ptrdiff_t>(joined->operands.size())) continue;
      ir::Builder b{r.to, node.location};
      const std::int64_t along = node.attributes.integers(side(1 - i, "contracting"))[0];
      Value sum = -1;
      std::int64_t start = 0;
      for (std::size_t first = 0; first < joined->operands.size();) {
        Values run;
        std::int64_t limit = start;
        std::size_t next = first;
        for (; next < joined->operands.size() &&
               is_carried(joined->operands[next]) == is_carried(joined->operands[first]);
             ++next) {
          run.push_back(r[joined->operands[next]]);
          limit += r.to.shape(run.back())[static_cast<std::size_t>(contracting[0])];
        }
        Values operands(2);
        operands[i] = run.size() == 1 ? run[0] : b.concatenate(run, contracting[0]);
        operands[1 - i] = part(b, r[other], along, start, limit);
        const Value product = r.to.add1(Op::DotGeneral, operands, node.attributes, {}, node.location);
        sum = sum < 0 ? product : b.add(sum, product);
        start = limit;
        first = next;
      }
      return sum;
    }
    return -1;
  }

  /// slice(dot(a, w)) = dot(a, slice(w))
  bool apart_by_slices(ir::Rewriting& r, const Node& node) const {
    const Value product = node.results[0];
    if (is_result_[at(product)] || users_[at(product)].size() < 2) return false;
    const std::size_t batch = node.attributes.integers("lhs_batching_dimensions").size();
    std::optional<std::size_t> along;
    std::int64_t read = 0;
    bool some = false, others = false;
    for (const Node* slice : users_[at(product)]) {
      if (slice->op != Op::Slice) return false;
      const Integers& strides = slice->attributes.integers("strides");
      if (std::any_of(strides.begin(), strides.end(), [](std::int64_t s) { return s != 1; })) return false;
      const Shape &whole = from_.shape(product), &shape = from_.shape(slice->results[0]);
      for (std::size_t d = 0; d < shape.size(); ++d) {
        if (shape[d] == whole[d]) continue;
        if (d < batch || (along && *along != d)) return false;
        along = d;
      }
      if (!along) return false;
      read += shape[*along];
      (carried_on_[at(slice->results[0])] ? some : others) = true;
    }
    if (!some || !others || read > from_.shape(product)[*along]) return false;
    // Which dimension of which operand it is.
    std::int64_t free = static_cast<std::int64_t>(*along - batch);
    for (const std::size_t i : {0U, 1U}) {
      const Integers &contracting = node.attributes.integers(side(i, "contracting")),
                     &batching = node.attributes.integers(side(i, "batching"));
      for (std::int64_t d = 0; d < from_.type(node.operands[i]).rank(); ++d) {
        const auto has = [&](const Integers& list) { return std::find(list.begin(), list.end(), d) != list.end(); };
        if (has(contracting) || has(batching) || free-- > 0) continue;
        ir::Builder b{r.to, node.location};
        for (const Node* slice : users_[at(product)]) {
          Values operands{r[node.operands[0]], r[node.operands[1]]};
          operands[i] = part(b, operands[i], d, slice->attributes.integers("start_indices")[*along],
                             slice->attributes.integers("limit_indices")[*along]);
          r[slice->results[0]] = r.to.add1(Op::DotGeneral, operands, node.attributes, {}, node.location);
        }
        return true;
      }
    }
    return false;
  }

  const Graph& from_;
  Flags carried_;     ///< it depends on what is carried
  Flags carried_on_;  ///< what is carried next depends on it
  Flags is_result_;
  std::vector<std::vector<const Node*>> users_;
};

}  // namespace

ir::Graph split_products(const ir::Graph& body, const ir::ScanParts& parts) { return Splitter(body, parts).run(); }

}  // namespace tessera::pass
