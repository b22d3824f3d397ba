// Patches are a gather from the padded images, whose indices are arithmetic of the place: one generated kernel.
#include "tessera/backend/cuda/patches.hpp"

#include <map>
#include <optional>
#include <tuple>

#include "tessera/ir/build.hpp"
#include "tessera/pass/library_forms.hpp"

namespace tessera::cuda {
namespace {

using ir::Integers;
using ir::Node;
using ir::Op;
using ir::Value;
using Pass = pass::Convolution::Pass;

/// As many features fill the smallest access of an engine.
constexpr std::int64_t kAligned = 8;
/// Places of the result from which on the products are the faster.
constexpr std::int64_t kLeastPlaces = 4096;
/// Elements of a patch beyond which it takes more memory traffic than it is worth.
constexpr std::int64_t kLongestPatch = 256;

std::int64_t aligned(std::int64_t n) { return (n + kAligned - 1) / kAligned * kAligned; }

/// The convolution as a pass, when it is one that becomes a product: features last in all images, no groups.
std::optional<pass::Convolution> with_few_features(const ir::Graph& graph, const Node& node) {
  if (node.op != Op::Convolution || graph.dtype(node.operands[0]) != DType::F32) return std::nullopt;
  auto c = pass::as_convolution(node, graph.types(node.operands), graph.type(node.results[0]));
  if (!c || c->pass == Pass::BackwardData || c->weights.dims.size() != c->source.dims.size()) return std::nullopt;
  std::int64_t places = c->destination.dims[0], window = 1;
  for (std::size_t d = 2; d < c->source.dims.size(); ++d) {
    places *= c->destination.dims[d];
    window *= c->weights.dims[d];
  }
  const std::int64_t features = c->source.dims[1];
  if (features >= kAligned || features * window > kLongestPatch || places < kLeastPlaces) return std::nullopt;
  // [batch, spatial dimensions, features] in memory.
  for (const pass::View* images : {&c->source, &c->destination}) {
    std::int64_t stride = images->dims[1];
    if (images->dims[1] != 1 && images->strides[1] != 1) return std::nullopt;
    for (std::size_t d = images->dims.size(); d-- > 2;) {
      if (images->dims[d] != 1 && images->strides[d] != stride) return std::nullopt;
      stride *= images->dims[d];
    }
    if (images->dims[0] != 1 && images->strides[0] != stride) return std::nullopt;
  }
  return c;
}

class Rewriter {
 public:
  explicit Rewriter(const ir::Graph& from) : from_(from), to_(from.name), map_(from.values.size(), -1) {}

  ir::Graph run() {
    for (const Value p : from_.parameters) mapped(p) = to_.parameter(from_.type(p));
    for (const Node& node : from_.nodes) {
      if (const auto c = with_few_features(from_, node)) {
        mapped(node.results[0]) = product(node, *c);
        continue;
      }
      ir::Values operands;
      for (const Value v : node.operands) operands.push_back(mapped(v));
      const ir::Values made = to_.append(node, operands, from_.types(node.results));
      for (std::size_t i = 0; i < made.size(); ++i) mapped(node.results[i]) = made[i];
    }
    for (const Value v : from_.results) to_.results.push_back(mapped(v));
    return std::move(to_);
  }

 private:
  Value& mapped(Value v) { return map_[static_cast<std::size_t>(v)]; }

  /// Images as [batch, spatial dimensions, features]: how they lie in memory, whatever their dimensions are called.
  static Value images(ir::Builder& build, Value v, const pass::View& view) {
    Shape shape{view.dims[0]};
    shape.insert(shape.end(), view.dims.begin() + 2, view.dims.end());
    shape.push_back(view.dims[1]);
    return build.reshape(v, shape);
  }
  /// Up to `extent` in dimension d, with zeros.
  static Value padded(ir::Builder& build, Value v, std::size_t d, std::int64_t extent) {
    const Shape& shape = build.shape(v);
    if (shape[d] == extent) return v;
    const Integers none(shape.size(), 0);
    Integers high = none;
    high[d] = extent - shape[d];
    return build.pad(v, build.full(build.dtype(v), 0), none, high, none);
  }
  static Value cut(ir::Builder& build, Value v, const Shape& shape) {
    return build.shape(v) == shape ? v : build.slice(v, Integers(shape.size(), 0), shape);
  }

  /// [batch, places, padded elements of a patch: window, features].
  Value patches(ir::Builder& build, Value source, const pass::Convolution& c) {
    const auto key = std::tuple(source, c.weights.dims, c.destination.dims, c.strides, c.dilations, c.low);
    if (const auto known = patches_.find(key); known != patches_.end()) return known->second;
    const std::size_t spatial = c.strides.size();
    const std::int64_t batch = c.source.dims[0], features = c.source.dims[1];
    Value x = images(build, source, c.source);
    Integers low(spatial + 2, 0), high(spatial + 2, 0);
    Shape places, window;
    for (std::size_t d = 0; d < spatial; ++d) {
      places.push_back(c.destination.dims[d + 2]);
      window.push_back(c.weights.dims[d + 2]);
      low[d + 1] = c.low[d];
      high[d + 1] =
          (places[d] - 1) * c.strides[d] + (window[d] - 1) * c.dilations[d] + 1 - c.low[d] - c.source.dims[d + 2];
    }
    x = build.pad(x, build.full(build.dtype(x), 0), low, high, Integers(spatial + 2, 0));

    // Where the elements of a window stand: indices [places, window, spatial dimensions].
    Shape grid = places;
    grid.insert(grid.end(), window.begin(), window.end());
    grid.push_back(1);
    ir::Values components;
    for (std::size_t d = 0; d < spatial; ++d) {
      const auto along = [&](std::size_t dimension, std::int64_t step) {
        const Value i = build.iota(DType::I32, grid, static_cast<std::int64_t>(dimension));
        return step == 1 ? i : build.multiply(i, build.full(DType::I32, static_cast<double>(step), grid));
      };
      components.push_back(build.add(along(d, c.strides[d]), along(spatial + d, c.dilations[d])));
    }
    const auto last = static_cast<std::int64_t>(2 * spatial);
    const Value indices = build.concatenate(components, last);
    Integers map, sizes{batch};
    for (std::size_t d = 0; d < spatial; ++d) {
      map.push_back(static_cast<std::int64_t>(d) + 1);
      sizes.push_back(1);
    }
    sizes.push_back(features);
    Value found = build.graph.add1(Op::Gather, {x, indices},
                                   {{"offset_dims", Integers{0, last + 1}},
                                    {"collapsed_slice_dims", map},
                                    {"operand_batching_dims", Integers{}},
                                    {"start_indices_batching_dims", Integers{}},
                                    {"start_index_map", map},
                                    {"index_vector_dim", last},
                                    {"slice_sizes", sizes},
                                    {"indices_are_sorted", false}},
                                   {}, build.location);
    Shape rows{batch};
    rows.insert(rows.end(), places.begin(), places.end());
    rows.push_back(features * element_count(window));
    found = build.reshape(found, rows);
    return patches_[key] = padded(build, found, rows.size() - 1, aligned(rows.back()));
  }

  Value product(const Node& node, const pass::Convolution& c) {
    ir::Builder build{to_, node.location};
    const auto& a = node.attributes;
    const std::size_t spatial = c.strides.size();
    const Value rows = patches(build, mapped(node.operands[0]), c);
    const std::int64_t outputs = c.weights.dims[0], length = element_count(c.weights.dims) / outputs;
    const Shape& result = from_.shape(node.results[0]);
    Integers all;  // the places
    for (std::size_t d = 0; d <= spatial; ++d) all.push_back(static_cast<std::int64_t>(d));

    if (c.pass == Pass::Forward) {
      Integers order = a.integers("kernel_spatial_dimensions");
      order.push_back(a.integer("kernel_input_feature_dimension"));
      order.push_back(a.integer("kernel_output_feature_dimension"));
      Value weights = build.reshape(build.transpose(mapped(node.operands[1]), order), {length, outputs});
      weights = padded(build, padded(build, weights, 0, aligned(length)), 1, aligned(outputs));
      Value made = build.dot_general(rows, weights, {{}, {}, {static_cast<std::int64_t>(spatial) + 1}, {0}});
      Shape shape = build.shape(made);
      shape.back() = outputs;
      return build.reshape(cut(build, made, shape), result);
    }
    Value gradient = images(build, mapped(node.operands[1]), c.destination);
    gradient = padded(build, gradient, spatial + 1, aligned(outputs));
    const Value made = cut(build, build.dot_general(rows, gradient, {{}, {}, all, all}), {length, outputs});
    // [spatial dimensions, inputs, outputs], moved to where the node has them.
    Integers from = a.integers("output_spatial_dimensions");
    from.push_back(a.integer("output_batch_dimension"));
    from.push_back(a.integer("output_feature_dimension"));
    Shape shape;
    Integers order(from.size());
    for (std::size_t d = 0; d < from.size(); ++d) {
      shape.push_back(result[static_cast<std::size_t>(from[d])]);
      order[static_cast<std::size_t>(from[d])] = static_cast<std::int64_t>(d);
    }
    return build.transpose(build.reshape(made, shape), order);
  }

  const ir::Graph& from_;
  ir::Graph to_;
  ir::Values map_;
  std::map<std::tuple<Value, Shape, Shape, Integers, Integers, Integers>, Value> patches_;
};

}  // namespace

ir::Graph few_features_as_products(const ir::Graph& graph) { return Rewriter(graph).run(); }

}  // namespace tessera::cuda
