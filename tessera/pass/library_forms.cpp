// From nodes to views. The arithmetic of as_convolution: with K the kernel's extent, D the dilated one's reach D =
// dilation * (K - 1), one spatial dimension of the three passes reads, in StableHLO's attributes:
//   forward           source  * weights     -> destination:  window_stride = s, rhs_dilation = d, low
//   backward data     destination * weights -> source:       lhs_dilation = s, rhs_dilation = d, reversed, low' = D -
//   low backward weights  source * destination  -> weights:      window_stride = d, rhs_dilation = s, low; batches and
//                                                            features exchanged in all three tensors
// The high padding follows from the extents; it may be negative down to -(s - 1), where a stride skips the last inputs.
#include "tessera/pass/library_forms.hpp"

#include <algorithm>
#include <numeric>

namespace tessera::pass {
namespace {

using Pass = Convolution::Pass;
using ir::Integers;

struct Attributes {
  std::size_t spatial;
  Integers strides, padding, lhs_dilation, rhs_dilation;
  std::vector<bool> reversed;
  std::int64_t feature_groups, batch_groups;
  std::int64_t input_batch, input_feature, kernel_input, kernel_output, output_batch, output_feature;
  Integers input_spatial, kernel_spatial, output_spatial;
};

Attributes read(const ir::Node& node) {
  const ir::Attributes& a = node.attributes;
  Attributes r;
  r.input_spatial = a.integers("input_spatial_dimensions");
  r.kernel_spatial = a.integers("kernel_spatial_dimensions");
  r.output_spatial = a.integers("output_spatial_dimensions");
  r.spatial = r.input_spatial.size();
  const Integers ones(r.spatial, 1), zeros(r.spatial, 0);
  r.strides = a.integers("window_strides", ones);
  r.padding = a.integers("padding", Integers(2 * r.spatial, 0));
  r.lhs_dilation = a.integers("lhs_dilation", ones);
  r.rhs_dilation = a.integers("rhs_dilation", ones);
  for (const std::int64_t flag : a.integers("window_reversal", zeros)) r.reversed.push_back(flag != 0);
  r.feature_groups = a.integer("feature_group_count", 1);
  r.batch_groups = a.integer("batch_group_count", 1);
  r.input_batch = a.integer("input_batch_dimension");
  r.input_feature = a.integer("input_feature_dimension");
  r.kernel_input = a.integer("kernel_input_feature_dimension");
  r.kernel_output = a.integer("kernel_output_feature_dimension");
  r.output_batch = a.integer("output_batch_dimension");
  r.output_feature = a.integer("output_feature_dimension");
  return r;
}

/// Builds a view dimension by dimension from those of a row-major tensor.
class ViewOf {
 public:
  explicit ViewOf(const TensorType& type) : type_(type), strides_(row_major_strides(type.shape)) {
    view_.dtype = type.dtype;
  }
  ViewOf& dimension(std::int64_t d) { return piece(d, extent(d), 1); }
  /// A dimension of features: the group first, when there are groups, is added by `group`.
  ViewOf& piece(std::int64_t d, std::int64_t extent, std::int64_t step) {
    view_.dims.push_back(extent);
    view_.strides.push_back(strides_[static_cast<std::size_t>(d)] * step);
    return *this;
  }
  ViewOf& dimensions(const Integers& list) {
    for (const std::int64_t d : list) dimension(d);
    return *this;
  }
  [[nodiscard]] std::int64_t extent(std::int64_t d) const { return type_.shape[static_cast<std::size_t>(d)]; }
  [[nodiscard]] View view() const { return view_; }

 private:
  const TensorType& type_;
  std::vector<std::int64_t> strides_;
  View view_;
};

/// batch, features, spatial.
View activations(const TensorType& type, std::int64_t batch, std::int64_t feature, const Integers& spatial) {
  return ViewOf(type).dimension(batch).dimension(feature).dimensions(spatial).view();
}

/// [group,] output features, input features, spatial. `whole` is the dimension that holds all groups.
View weights(const TensorType& type, std::int64_t output, std::int64_t input, std::int64_t whole, std::int64_t groups,
             const Integers& spatial) {
  ViewOf view(type);
  if (groups == 1) return view.dimension(output).dimension(input).dimensions(spatial).view();
  const std::int64_t each = view.extent(whole) / groups;
  const auto features = [&](std::int64_t d) { d == whole ? view.piece(d, each, 1) : view.dimension(d); };
  view.piece(whole, groups, each);
  features(output);
  features(input);
  return view.dimensions(spatial).view();
}

/// With the high padding that follows from the extents; nothing when no legal one exists.
std::optional<Convolution> closed(Convolution c) {
  const std::size_t spatial = c.low.size();
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::int64_t source = c.source.dims[d + 2], destination = c.destination.dims[d + 2];
    const std::int64_t kernel = c.weights.dims[c.weights.dims.size() - spatial + d];
    const std::int64_t high = (destination - 1) * c.strides[d] + c.dilations[d] * (kernel - 1) + 1 - source - c.low[d];
    if (c.low[d] < 0 || high <= -c.strides[d]) return std::nullopt;
    c.high.push_back(high);
  }
  return c;
}

View kernel_of(const Attributes& a, const TensorType& type, std::int64_t output, std::int64_t input) {
  return weights(type, output, input, a.kernel_output, a.feature_groups, a.kernel_spatial);
}
View input_of(const Attributes& a, const TensorType& type) {
  return activations(type, a.input_batch, a.input_feature, a.input_spatial);
}
View output_of(const Attributes& a, const TensorType& type) {
  return activations(type, a.output_batch, a.output_feature, a.output_spatial);
}
Integers low_of(const Attributes& a) {
  Integers low;
  for (std::size_t d = 0; d < a.spatial; ++d) low.push_back(a.padding[2 * d]);
  return low;
}

std::optional<Convolution> forward(const Attributes& a, std::span<const TensorType> operands,
                                   const TensorType& result) {
  return closed({.pass = Pass::Forward,
                 .source = input_of(a, operands[0]),
                 .weights = kernel_of(a, operands[1], a.kernel_output, a.kernel_input),
                 .destination = output_of(a, result),
                 .strides = a.strides,
                 .dilations = a.rhs_dilation,
                 .low = low_of(a),
                 .high = {}});
}

std::optional<Convolution> backward_data(const Attributes& a, std::span<const TensorType> operands,
                                         const TensorType& result) {
  Integers low;
  for (std::size_t d = 0; d < a.spatial; ++d) {
    const std::int64_t kernel = operands[1].shape[static_cast<std::size_t>(a.kernel_spatial[d])];
    low.push_back(a.rhs_dilation[d] * (kernel - 1) - a.padding[2 * d]);
  }
  return closed({.pass = Pass::BackwardData,
                 .source = output_of(a, result),
                 .weights = kernel_of(a, operands[1], a.kernel_input, a.kernel_output),
                 .destination = input_of(a, operands[0]),
                 .strides = a.lhs_dilation,
                 .dilations = a.rhs_dilation,
                 .low = std::move(low),
                 .high = {}});
}

std::optional<Convolution> backward_weights(const Attributes& a, std::span<const TensorType> operands,
                                            const TensorType& result) {
  return closed(
      {.pass = Pass::BackwardWeights,
       .source = activations(operands[0], a.input_feature, a.input_batch, a.input_spatial),
       .weights = weights(result, a.output_feature, a.output_batch, a.output_feature, a.batch_groups, a.output_spatial),
       .destination = activations(operands[1], a.kernel_input, a.kernel_output, a.kernel_spatial),
       .strides = a.rhs_dilation,
       .dilations = a.strides,
       .low = low_of(a),
       .high = {}});
}

bool all_ones(const Integers& list) {
  return std::all_of(list.begin(), list.end(), [](std::int64_t v) { return v == 1; });
}

struct Merged {
  std::int64_t extent = 1, stride = 1;
};

/// Dimensions of one tensor, outermost first, as one of constant stride. Extents of 1 have no say.
std::optional<Merged> merge(const Shape& shape, const Integers& strides, const Integers& dimensions) {
  Merged merged;
  std::int64_t next = 0;  // the stride that the next outer dimension must have
  for (auto d = dimensions.rbegin(); d != dimensions.rend(); ++d) {
    const auto i = static_cast<std::size_t>(*d);
    if (shape[i] == 1) continue;
    if (next == 0)
      merged.stride = strides[i];
    else if (strides[i] != next)
      return std::nullopt;
    merged.extent *= shape[i];
    next = strides[i] * shape[i];
  }
  return merged;
}

Integers rest(std::size_t rank, const Integers& a, const Integers& b) {
  Integers list;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(rank); ++d)
    if (std::find(a.begin(), a.end(), d) == a.end() && std::find(b.begin(), b.end(), d) == b.end()) list.push_back(d);
  return list;
}

/// Libraries want one of the two inner strides to be 1 and the other at least the extent along it; an extent of 1
/// leaves the choice.
View matrix(DType dtype, Shape dims, Integers strides, const Merged& rows, const Merged& columns) {
  std::int64_t down = rows.stride, across = columns.stride;
  if (rows.extent == 1) down = across == 1 ? columns.extent : 1;
  if (columns.extent == 1) across = 1;
  dims.insert(dims.end(), {rows.extent, columns.extent});
  strides.insert(strides.end(), {down, across});
  return {dtype, std::move(dims), std::move(strides)};
}

}  // namespace

std::optional<Convolution> as_convolution(const ir::Node& node, std::span<const TensorType> operands,
                                          const TensorType& result) {
  for (const TensorType* type : {&operands[0], &operands[1], &result})
    if (element_count(type->shape) == 0) return std::nullopt;
  const Attributes a = read(node);
  if (a.spatial < 1 || a.spatial > 3) return std::nullopt;
  const auto kernel_extent = [&](std::size_t d) {
    return operands[1].shape[static_cast<std::size_t>(a.kernel_spatial[d])];
  };
  bool straight = true, reversed = true;  // an extent of 1 is both
  std::int64_t window = 1, outputs = 1;
  for (std::size_t d = 0; d < a.spatial; ++d) {
    if (kernel_extent(d) > 1) (a.reversed[d] ? straight : reversed) = false;
    window *= kernel_extent(d);
    outputs *= result.shape[static_cast<std::size_t>(a.output_spatial[d])];
  }
  if (!(straight && all_ones(a.lhs_dilation))) {
    if (!reversed || !all_ones(a.strides) || a.batch_groups != 1) return std::nullopt;
    return backward_data(a, operands, result);
  }
  // The same numbers by either pass: first the one whose kernel is the smaller tensor in space.
  const bool may_be_weights = a.feature_groups == 1, may_be_forward = a.batch_groups == 1;
  if (may_be_weights && (window > outputs || !may_be_forward))
    if (auto c = backward_weights(a, operands, result)) return c;
  if (may_be_forward)
    if (auto c = forward(a, operands, result)) return c;
  return may_be_weights ? backward_weights(a, operands, result) : std::nullopt;
}

std::optional<Product> as_product(const ir::Node& node, std::span<const TensorType> operands,
                                  const TensorType& result) {
  const TensorType &lhs = operands[0], &rhs = operands[1];
  for (const TensorType* type : {&lhs, &rhs, &result})
    if (element_count(type->shape) == 0) return std::nullopt;
  const Integers& lhs_batch = node.attributes.integers("lhs_batching_dimensions");
  const Integers& rhs_batch = node.attributes.integers("rhs_batching_dimensions");
  Integers lhs_contract = node.attributes.integers("lhs_contracting_dimensions");
  Integers rhs_contract = node.attributes.integers("rhs_contracting_dimensions");
  const Integers lhs_strides = row_major_strides(lhs.shape), rhs_strides = row_major_strides(rhs.shape);
  const Integers result_strides = row_major_strides(result.shape);
  // Contracted dimensions may be taken in any order that suits both: the left one's order in memory.
  std::vector<std::size_t> order(lhs_contract.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return lhs_contract[a] < lhs_contract[b]; });
  Integers lhs_k, rhs_k;
  for (const std::size_t i : order) {
    lhs_k.push_back(lhs_contract[i]);
    rhs_k.push_back(rhs_contract[i]);
  }
  const Integers lhs_free = rest(lhs.shape.size(), lhs_batch, lhs_contract),
                 rhs_free = rest(rhs.shape.size(), rhs_batch, rhs_contract);
  const auto batches = static_cast<std::int64_t>(lhs_batch.size()), rows = static_cast<std::int64_t>(lhs_free.size());
  Integers result_m, result_n;
  for (std::int64_t d = 0; d < rows; ++d) result_m.push_back(batches + d);
  for (std::int64_t d = batches + rows; d < result.rank(); ++d) result_n.push_back(d);

  const auto m = merge(lhs.shape, lhs_strides, lhs_free), n = merge(rhs.shape, rhs_strides, rhs_free);
  const auto k_left = merge(lhs.shape, lhs_strides, lhs_k), k_right = merge(rhs.shape, rhs_strides, rhs_k);
  const auto m_out = merge(result.shape, result_strides, result_m),
             n_out = merge(result.shape, result_strides, result_n);
  if (!m || !n || !k_left || !k_right || !m_out || !n_out) return std::nullopt;

  // Batches: one merged dimension where possible, else each one.
  Integers out_batch(lhs_batch.size());
  std::iota(out_batch.begin(), out_batch.end(), 0);
  Shape dims;
  Integers lhs_outer, rhs_outer, out_outer;
  const auto b_left = merge(lhs.shape, lhs_strides, lhs_batch), b_right = merge(rhs.shape, rhs_strides, rhs_batch);
  if (b_left && b_right) {
    if (b_left->extent > 1) {
      const auto b_out = merge(result.shape, result_strides, out_batch);
      dims.push_back(b_left->extent);
      lhs_outer.push_back(b_left->stride);
      rhs_outer.push_back(b_right->stride);
      out_outer.push_back(b_out->stride);
    }
  } else {
    for (std::size_t d = 0; d < lhs_batch.size(); ++d) {
      if (result.shape[d] == 1) continue;
      dims.push_back(result.shape[d]);
      lhs_outer.push_back(lhs_strides[static_cast<std::size_t>(lhs_batch[d])]);
      rhs_outer.push_back(rhs_strides[static_cast<std::size_t>(rhs_batch[d])]);
      out_outer.push_back(result_strides[d]);
    }
  }
  if (dims.size() > 4) return std::nullopt;
  return Product{matrix(lhs.dtype, dims, lhs_outer, *m, *k_left), matrix(rhs.dtype, dims, rhs_outer, *k_right, *n),
                 matrix(result.dtype, dims, out_outer, *m_out, *n_out)};
}

}  // namespace tessera::pass
