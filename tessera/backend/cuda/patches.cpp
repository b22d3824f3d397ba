// Patches are a gather from the images, by a table of places that is the same for each image: one generated kernel.
#include "tessera/backend/cuda/patches.hpp"

#include <map>
#include <optional>
#include <tuple>

#include "tessera/ir/build.hpp"
#include "tessera/ir/rewrite.hpp"
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
/// Elements of a patch beyond which it takes more memory traffic than it is worth, and of the patches of one image, for
/// each of which a number says where it is.
constexpr std::int64_t kLongestPatch = 256, kLargestTable = std::int64_t{1} << 22;

std::int64_t aligned(std::int64_t n) { return (n + kAligned - 1) / kAligned * kAligned; }

/// [places, padded elements of a patch].
Shape table_shape(const pass::Convolution& c) {
  Shape shape(c.destination.dims.begin() + 2, c.destination.dims.end());
  shape.push_back(aligned(element_count(c.weights.dims) / c.weights.dims[0]));
  return shape;
}

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
  if (features >= kAligned || features * window > kLongestPatch || places < kLeastPlaces ||
      element_count(table_shape(*c)) > kLargestTable)
    return std::nullopt;
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

/// Where in an image [spatial dimensions, features] the elements of its patches are; -1: outside, there are zeros. A
/// table, because the same arithmetic in each thread would take longer than moving the patches.
Literal table(const pass::Convolution& c) {
  const std::size_t spatial = c.strides.size();
  const std::int64_t features = c.source.dims[1],
                     window = element_count(c.weights.dims) / (c.weights.dims[0] * features);
  Literal places({DType::I32, table_shape(c)});
  const std::int64_t row = places.type().shape.back();
  for (std::int64_t i = 0; i < places.size(); ++i) {
    const std::int64_t element = i % row;
    std::int64_t place = i / row, step = element / features, stride = features, at = element % features;
    bool inside = step < window;
    for (std::size_t d = spatial; d-- > 0;) {
      const std::int64_t out = c.destination.dims[d + 2], extent = c.source.dims[d + 2], reach = c.weights.dims[d + 2];
      const std::int64_t x = place % out * c.strides[d] + step % reach * c.dilations[d] - c.low[d];
      inside = inside && x >= 0 && x < extent;
      at += x * stride;
      stride *= extent;
      place /= out;
      step /= reach;
    }
    places.as<std::int32_t>()[static_cast<std::size_t>(i)] = inside ? static_cast<std::int32_t>(at) : -1;
  }
  return places;
}

/// Patches that were made, by their images and all that they depend on.
using Known = std::map<std::tuple<Value, Shape, Shape, Integers, Integers, Integers>, Value>;

/// Images as [batch, spatial dimensions, features]: how they lie in memory, whatever their dimensions are called.
Value images(ir::Builder& build, Value v, const pass::View& view) {
  Shape shape{view.dims[0]};
  shape.insert(shape.end(), view.dims.begin() + 2, view.dims.end());
  shape.push_back(view.dims[1]);
  return build.reshape(v, shape);
}
/// Up to `extent` in dimension d, with zeros.
Value padded(ir::Builder& build, Value v, std::size_t d, std::int64_t extent) {
  const Shape& shape = build.shape(v);
  if (shape[d] == extent) return v;
  const Integers none(shape.size(), 0);
  Integers high = none;
  high[d] = extent - shape[d];
  return build.pad(v, build.full(build.dtype(v), 0), none, high, none);
}
Value cut(ir::Builder& build, Value v, const Shape& shape) {
  return build.shape(v) == shape ? v : build.slice(v, Integers(shape.size(), 0), shape);
}

/// [batch, places, padded elements of a patch: window, features].
Value patches(ir::Builder& build, Value source, const pass::Convolution& c, Known& known) {
  const auto key = std::tuple(source, c.weights.dims, c.destination.dims, c.strides, c.dilations, c.low);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  const std::int64_t batch = c.source.dims[0];
  Shape shape = table_shape(c);
  shape.insert(shape.begin(), batch);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const Value where = build.constant(table(c));
  Shape each = build.shape(where);
  each.push_back(1);
  const Value image = build.reshape(source, {batch, element_count(c.source.dims) / batch});
  const Value found = build.graph.add1(Op::Gather, {image, build.reshape(where, each)},
                                       {{"offset_dims", Integers{0}},
                                        {"collapsed_slice_dims", Integers{1}},
                                        {"operand_batching_dims", Integers{}},
                                        {"start_indices_batching_dims", Integers{}},
                                        {"start_index_map", Integers{1}},
                                        {"index_vector_dim", last},
                                        {"slice_sizes", Integers{batch, 1}},
                                        {"indices_are_sorted", false}},
                                       {}, build.location);
  Integers behind_batch;
  for (std::int64_t d = 1; d <= last; ++d) behind_batch.push_back(d);
  const Value inside = build.compare(where, build.zeros_like(where), "GE");
  return known[key] = build.select(build.broadcast_in_dim(inside, shape, behind_batch), found, build.zeros_like(found));
}

/// The result of a convolution.
Value product(ir::Builder build, const Node& node, const ir::Values& operands, const Shape& result,
              const pass::Convolution& c, Known& known) {
  const auto& a = node.attributes;
  const std::size_t spatial = c.strides.size();
  const Value rows = patches(build, operands[0], c, known);
  const std::int64_t outputs = c.weights.dims[0], length = element_count(c.weights.dims) / outputs;
  Integers all;  // the places
  for (std::size_t d = 0; d <= spatial; ++d) all.push_back(static_cast<std::int64_t>(d));

  if (c.pass == Pass::Forward) {
    Integers order = a.integers("kernel_spatial_dimensions");
    order.push_back(a.integer("kernel_input_feature_dimension"));
    order.push_back(a.integer("kernel_output_feature_dimension"));
    Value weights = build.reshape(build.transpose(operands[1], order), {length, outputs});
    weights = padded(build, padded(build, weights, 0, aligned(length)), 1, aligned(outputs));
    Value made = build.dot_general(rows, weights, {{}, {}, {static_cast<std::int64_t>(spatial) + 1}, {0}});
    Shape shape = build.shape(made);
    shape.back() = outputs;
    return build.reshape(cut(build, made, shape), result);
  }
  Value gradient = images(build, operands[1], c.destination);
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

}  // namespace

ir::Graph few_features_as_products(const ir::Graph& from) {
  Known known;
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<ir::Values> {
    const auto c = with_few_features(from, node);
    if (!c) return std::nullopt;
    const ir::Builder build{r.to, node.location};
    return ir::Values{product(build, node, r.operands, from.shape(node.results[0]), *c, known)};
  });
}

}  // namespace tessera::cuda
