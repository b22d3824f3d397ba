// Transposes around convolutions, and the dimension numbers that follow them.
#include "tessera/backend/cuda/weights_layout.hpp"

#include <algorithm>

#include "tessera/ir/build.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/pass/library_forms.hpp"

namespace tessera::cuda {
namespace {

using ir::Integers;
using ir::Node;
using ir::Op;
using Pass = pass::Convolution::Pass;

/// The weights of a convolution: which tensor of the node they are, and the order that its dimensions should have.
struct Weights {
  bool computed = false;  ///< the result; else the second operand
  Integers order;
};

std::optional<Weights> weights_to_arrange(const ir::Graph& graph, const Node& node) {
  if (node.op != Op::Convolution) return std::nullopt;
  const auto c = pass::as_convolution(node, graph.types(node.operands), graph.type(node.results[0]));
  if (!c) return std::nullopt;
  for (const pass::View* images : {&c->source, &c->destination})
    if (images->dims[1] != 1 && images->strides[1] != 1) return std::nullopt;
  const auto& a = node.attributes;
  // Groups stand in the dimension that must come first.
  if (c->pass == Pass::BackwardData && a.integer("feature_group_count", 1) > 1) return std::nullopt;
  Weights weights{c->pass == Pass::BackwardWeights, {}};
  const bool swapped = c->pass == Pass::BackwardData;
  const std::int64_t first = a.integer(weights.computed ? "output_feature_dimension"
                                       : swapped        ? "kernel_input_feature_dimension"
                                                        : "kernel_output_feature_dimension");
  const std::int64_t last = a.integer(weights.computed ? "output_batch_dimension"
                                      : swapped        ? "kernel_output_feature_dimension"
                                                       : "kernel_input_feature_dimension");
  weights.order = a.integers(weights.computed ? "output_spatial_dimensions" : "kernel_spatial_dimensions");
  weights.order.insert(weights.order.begin(), first);
  weights.order.push_back(last);
  if (std::is_sorted(weights.order.begin(), weights.order.end())) return std::nullopt;
  return weights;
}

Integers inverse(const Integers& order) {
  Integers places(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    places[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return places;
}

/// The node's dimension numbers of its weights, after their dimensions moved to `places`.
void renumber(Node& node, bool computed, const Integers& places) {
  const auto moved = [&](std::int64_t d) { return places[static_cast<std::size_t>(d)]; };
  const char* const features[2][2] = {{"kernel_input_feature_dimension", "kernel_output_feature_dimension"},
                                      {"output_batch_dimension", "output_feature_dimension"}};
  for (const char* const key : features[computed ? 1 : 0])
    node.attributes.set(key, moved(node.attributes.integer(key)));
  const char* const key = computed ? "output_spatial_dimensions" : "kernel_spatial_dimensions";
  Integers spatial = node.attributes.integers(key);
  for (std::int64_t& d : spatial) d = moved(d);
  node.attributes.set(key, spatial);
}

}  // namespace

ir::Graph arrange_weights(const ir::Graph& from) {
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<ir::Values> {
    const auto weights = weights_to_arrange(from, node);
    if (!weights) return std::nullopt;
    ir::Builder build{r.to, node.location};
    Node copy = node;
    renumber(copy, weights->computed, inverse(weights->order));
    TensorType type = from.type(node.results[0]);
    if (!weights->computed) {
      r.operands[1] = build.transpose(r.operands[1], weights->order);
      return r.to.append(copy, r.operands, {&type, 1});
    }
    for (std::size_t d = 0; d < weights->order.size(); ++d)
      type.shape[d] = from.shape(node.results[0])[static_cast<std::size_t>(weights->order[d])];
    const ir::Value made = r.to.append(copy, r.operands, {&type, 1})[0];
    return ir::Values{build.transpose(made, inverse(weights->order))};
  });
}

}  // namespace tessera::cuda
