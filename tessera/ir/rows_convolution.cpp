// Row of convolution: any order of dimensions, strides, dilations of both operands, padding, reversal, groups.
// Its transposes are convolutions with the dimension numbers exchanged; its batch rule merges the new dimension into
// the batch or feature dimensions. Read next: ir/rows_product.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using kernel::Expr;
using kernel::kNone;
using K = kernel::Op;

/// Attributes of a convolution, for `spatial` spatial dimensions.
struct Convolution {
  Integers strides, padding, lhs_dilation, rhs_dilation, reversal;
  // Dimension numbers: "a" is the batch of input and output and the output feature of the kernel, "b" the other one.
  struct Numbers {
    std::int64_t a, b;
    Integers spatial;
  };
  Numbers input, kernel, output;
  std::int64_t feature_groups = 1, batch_groups = 1;

  Convolution(const Attributes& attributes, std::size_t spatial)
      : strides(integers_of(attributes, "window_strides", spatial, 1)),
        padding(integers_of(attributes, "padding", 2 * spatial, 0)),
        lhs_dilation(integers_of(attributes, "lhs_dilation", spatial, 1)),
        rhs_dilation(integers_of(attributes, "rhs_dilation", spatial, 1)),
        reversal(integers_of(attributes, "window_reversal", spatial, 0)),
        input{integer_of(attributes, "input_batch_dimension"), integer_of(attributes, "input_feature_dimension"),
              integers_of(attributes, "input_spatial_dimensions")},
        kernel{integer_of(attributes, "kernel_output_feature_dimension"),
               integer_of(attributes, "kernel_input_feature_dimension"),
               integers_of(attributes, "kernel_spatial_dimensions")},
        output{integer_of(attributes, "output_batch_dimension"), integer_of(attributes, "output_feature_dimension"),
               integers_of(attributes, "output_spatial_dimensions")},
        feature_groups(integer_of(attributes, "feature_group_count", 1)),
        batch_groups(integer_of(attributes, "batch_group_count", 1)) {}
  Convolution(const Node& node, const TensorType& lhs) : Convolution(node.attributes, lhs.shape.size() - 2) {}

  [[nodiscard]] std::size_t spatial() const { return strides.size(); }

  [[nodiscard]] Attributes attributes(std::optional<DType> result) const {
    Attributes list{{"window_strides", strides},
                    {"padding", padding},
                    {"lhs_dilation", lhs_dilation},
                    {"rhs_dilation", rhs_dilation},
                    {"window_reversal", reversal},
                    {"input_batch_dimension", input.a},
                    {"input_feature_dimension", input.b},
                    {"input_spatial_dimensions", input.spatial},
                    {"kernel_input_feature_dimension", kernel.b},
                    {"kernel_output_feature_dimension", kernel.a},
                    {"kernel_spatial_dimensions", kernel.spatial},
                    {"output_batch_dimension", output.a},
                    {"output_feature_dimension", output.b},
                    {"output_spatial_dimensions", output.spatial},
                    {"feature_group_count", feature_groups},
                    {"batch_group_count", batch_groups}};
    if (result) list.set("dtype", std::string(name(*result)));
    return list;
  }

  [[nodiscard]] WindowDimension dimension(std::size_t d, const Shape& lhs, const Shape& rhs,
                                          std::int64_t outputs) const {
    return {lhs[at(input.spatial[d])],
            rhs[at(kernel.spatial[d])],
            outputs,
            {strides[d], lhs_dilation[d], rhs_dilation[d], padding[2 * d], padding[2 * d + 1]}};
  }

  /// Extents of the result, from those of the operands, after all checks.
  [[nodiscard]] Shape result(const Shape& lhs, const Shape& rhs) const {
    Shape shape(lhs.size());
    shape[at(output.a)] = lhs[at(input.a)] / batch_groups;
    shape[at(output.b)] = rhs[at(kernel.a)];
    for (std::size_t d = 0; d < spatial(); ++d) {
      const WindowDimension w = dimension(d, lhs, rhs, 0);
      shape[at(output.spatial[d])] = window_count(w.extent, w.window, w.sliding);
    }
    return shape;
  }
};

std::vector<TensorType> infer_convolution(const InferContext& context) {
  check_operand_count(context, 2);
  const TensorType &lhs = context.operands[0], &rhs = context.operands[1];
  if (lhs.rank() < 2 || lhs.rank() != rhs.rank())
    broken(fmt::format("the input has {} dimensions and the kernel {}", lhs.rank(), rhs.rank()),
           "both need a batch or feature, a feature, and the same number of spatial dimensions");
  const auto spatial = lhs.shape.size() - 2;
  const Convolution c(context.attributes, spatial);
  const auto check_numbers = [&](const Convolution::Numbers& numbers, const char* what) {
    check_size(numbers.spatial, spatial, fmt::format("{}_spatial_dimensions", what));
    const Integers first{numbers.a, numbers.b};
    check_in_rank(first, lhs.rank(), fmt::format("{}_..._dimension", what));
    check_in_rank(numbers.spatial, lhs.rank(), fmt::format("{}_spatial_dimensions", what));
    check_distinct({&first, &numbers.spatial}, fmt::format("the dimension numbers of the {}", what));
  };
  check_numbers(c.input, "input");
  check_numbers(c.kernel, "kernel");
  check_numbers(c.output, "output");
  check_padding(c.padding, "padding");
  check_at_least(c.strides, 1, "window_strides");
  check_at_least(c.lhs_dilation, 1, "lhs_dilation");
  check_at_least(c.rhs_dilation, 1, "rhs_dilation");
  for (const std::int64_t r : c.reversal)
    if (r != 0 && r != 1) broken(fmt::format("'window_reversal' must be 0 or 1, it holds {}", r));
  if (c.feature_groups < 1 || c.batch_groups < 1 || (c.feature_groups > 1 && c.batch_groups > 1))
    broken(fmt::format("there are {} feature groups and {} batch groups", c.feature_groups, c.batch_groups),
           "both must be at least 1, and one of them 1");
  const std::int64_t batch = lhs.shape[at(c.input.a)], features = lhs.shape[at(c.input.b)];
  const std::int64_t in = rhs.shape[at(c.kernel.b)], out = rhs.shape[at(c.kernel.a)];
  if (features % c.feature_groups != 0 || features / c.feature_groups != in)
    broken(fmt::format("the input has {} features in {} groups, the kernel takes {}", features, c.feature_groups, in),
           "input features divided by groups must be the kernel's input features");
  if (batch % c.batch_groups != 0)
    broken(fmt::format("a batch of {} cannot be split into {} groups", batch, c.batch_groups));
  if (out % c.feature_groups != 0 || out % c.batch_groups != 0)
    broken(fmt::format("{} output features cannot be split into {} groups", out,
                       std::max(c.feature_groups, c.batch_groups)));
  return {checked_type(product_dtype(context), c.result(lhs.shape, rhs.shape))};
}

std::vector<Literal> evaluate_convolution(const Node& node, std::span<const Literal> operands) {
  const Literal &lhs = operands[0], &rhs = operands[1];
  const Convolution c(node, lhs.type());
  const TensorType type{dtype_or(node.attributes, lhs.dtype()), c.result(lhs.shape(), rhs.shape())};
  HostProducts products(lhs, rhs, type);
  const std::int64_t in = rhs.shape()[at(c.kernel.b)], out = rhs.shape()[at(c.kernel.a)];
  const Shape window = picked(rhs.shape(), c.kernel.spatial);
  Integers l(lhs.shape().size()), r(rhs.shape().size());
  std::int64_t to = 0;
  for_each_index(type.shape, [&](const Integers& index) {
    const std::int64_t o = index[at(c.output.b)];
    const std::int64_t batch_group = o / (out / c.batch_groups), feature_group = o / (out / c.feature_groups);
    l[at(c.input.a)] = batch_group * type.shape[at(c.output.a)] + index[at(c.output.a)];
    r[at(c.kernel.a)] = o;
    for_each_index(window, [&](const Integers& k) {
      bool valid = true;
      for (std::size_t d = 0; d < window.size(); ++d) {
        const std::int64_t p =
            index[at(c.output.spatial[d])] * c.strides[d] + k[d] * c.rhs_dilation[d] - c.padding[2 * d];
        const std::int64_t q = p / c.lhs_dilation[d];
        valid = valid && p >= 0 && p % c.lhs_dilation[d] == 0 && q < lhs.shape()[at(c.input.spatial[d])];
        l[at(c.input.spatial[d])] = q;
        r[at(c.kernel.spatial[d])] = c.reversal[d] != 0 ? window[d] - 1 - k[d] : k[d];
      }
      for (std::int64_t i = 0; i < in; ++i) {
        l[at(c.input.b)] = feature_group * in + i;
        r[at(c.kernel.b)] = i;
        if (valid)
          products.add(position(lhs.shape(), l), position(rhs.shape(), r));
        else
          products.add_zero_times(position(rhs.shape(), r));
      }
    });
    products.finish(to++);
  });
  return {products.result()};
}

Value make_convolution(Builder& build, Value lhs, Value rhs, const Convolution& c, DType result) {
  const bool plain = build.dtype(lhs) == result && build.dtype(rhs) == result;
  return build.graph.add1(Op::Convolution, {lhs, rhs}, c.attributes(plain ? std::nullopt : std::optional(result)), {},
                          build.location);
}

/// Dimension `d` of extent groups * n and the one before everything of extent `size`: [size, .., groups * n, ..]
/// becomes [.., groups * size * n, ..].
Value merge(Builder& build, Value a, std::int64_t d, std::int64_t groups) {
  const Shape from = build.shape(a);
  const std::int64_t n = from[at(d + 1)] / groups;
  Shape split = from;
  split[at(d + 1)] = groups;
  split.insert(split.begin() + d + 2, n);
  Integers order;
  for (std::int64_t i = 1; i < static_cast<std::int64_t>(split.size()); ++i) {
    order.push_back(i);
    if (i == d + 1) order.push_back(0);
  }
  Shape merged(from.begin() + 1, from.end());
  merged[at(d)] = groups * from[0] * n;
  return build.reshape(build.transpose(build.reshape(a, split), order), merged);
}

/// The inverse of `merge`.
Value unmerge(Builder& build, Value a, std::int64_t d, std::int64_t groups, std::int64_t size) {
  const Shape from = build.shape(a);
  const std::int64_t n = from[at(d)] / groups / size;
  Shape split = from;
  split[at(d)] = groups;
  split.insert(split.begin() + d + 1, {size, n});
  Shape whole = from;
  whole[at(d)] = groups * n;
  whole.insert(whole.begin(), size);
  return build.reshape(to_front(build, build.reshape(a, split), d + 1), whole);
}

/// Of dimensions [.., groups * n, ..] at `d` and [.., m, ..] at `to`: the groups move into the latter, [groups * m].
Value move_groups(Builder& build, Value a, std::int64_t d, std::int64_t to, std::int64_t groups) {
  if (groups == 1) return a;
  Shape split = build.shape(a);
  split[at(d)] /= groups;
  split.insert(split.begin() + d, groups);
  const Value grouped = to_front(build, build.reshape(a, split), d);
  Shape shape = build.shape(a);
  shape[at(d)] /= groups;
  shape.insert(shape.begin(), groups);
  return merge(build, build.reshape(grouped, shape), to, 1);
}

Value transpose_input(const TransposeContext& context) {
  Builder& build = context.build;
  const Shape &lhs = context.operand_types[0].shape, &rhs = context.operand_types[1].shape,
              &result = context.result_types[0].shape;
  const Convolution c(context.node, context.operand_types[0]);
  Convolution t = c;
  t.input = c.output;
  t.kernel = {c.kernel.b, c.kernel.a, c.kernel.spatial};
  t.output = c.input;
  t.strides = c.lhs_dilation;
  t.lhs_dilation = c.strides;
  const std::int64_t groups = std::max(c.feature_groups, c.batch_groups);
  t.feature_groups = groups;
  t.batch_groups = 1;
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    const std::int64_t spread = dilated(rhs[at(c.kernel.spatial[d])], c.rhs_dilation[d]);
    const std::int64_t low = spread - c.padding[2 * d] - 1;
    t.padding[2 * d] = low;
    t.padding[2 * d + 1] = dilated(lhs[at(c.input.spatial[d])], c.lhs_dilation[d]) + spread - 1 -
                           dilated(result[at(c.output.spatial[d])], c.strides[d]) - low;
    t.reversal[d] = 1 - c.reversal[d];
  }
  // The kernel's groups stand in its output features, which are now the input's.
  const Value kernel = move_groups(build, context.operands[1], c.kernel.a, c.kernel.b, groups);
  const Value cotangent = make_convolution(build, context.cotangents[0], kernel, t, context.operand_types[0].dtype);
  return move_groups(build, cotangent, c.input.b, c.input.a, c.batch_groups);
}

Value transpose_kernel(const TransposeContext& context) {
  Builder& build = context.build;
  const Shape &lhs = context.operand_types[0].shape, &rhs = context.operand_types[1].shape,
              &result = context.result_types[0].shape;
  const Convolution c(context.node, context.operand_types[0]);
  Convolution t = c;
  t.input = {c.input.b, c.input.a, c.input.spatial};
  t.kernel = {c.output.b, c.output.a, c.output.spatial};
  t.output = {c.kernel.b, c.kernel.a, c.kernel.spatial};
  t.strides = c.rhs_dilation;
  t.rhs_dilation = c.strides;
  t.feature_groups = c.batch_groups;
  t.batch_groups = c.feature_groups;
  Integers reversed;
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    t.padding[2 * d + 1] = dilated(result[at(c.output.spatial[d])], c.strides[d]) -
                           dilated(lhs[at(c.input.spatial[d])], c.lhs_dilation[d]) +
                           dilated(rhs[at(c.kernel.spatial[d])], c.rhs_dilation[d]) - c.padding[2 * d] - 1;
    t.reversal[d] = 0;
    if (c.reversal[d] != 0) reversed.push_back(c.kernel.spatial[d]);
  }
  const Value cotangent =
      make_convolution(build, context.operands[0], context.cotangents[0], t, context.operand_types[1].dtype);
  return reversed.empty() ? cotangent : build.reverse(cotangent, reversed);
}

Values transpose_convolution(const TransposeContext& context) {
  Values out(2, kZero);
  bool empty = element_count(context.result_types[0].shape) == 0;
  for (const TensorType& type : context.operand_types) empty = empty || element_count(type.shape) == 0;
  for (std::size_t i = 0; i < 2; ++i)
    if (context.is_linear(i) && !empty) out[i] = i == 0 ? transpose_input(context) : transpose_kernel(context);
  return out;
}

Values batch_convolution(const BatchContext& context) {
  Builder& build = context.build;
  const DType dtype = dtype_or(context.node.attributes, build.dtype(context.operands[0]));
  const bool both = context.batched[0] && context.batched[1];
  Convolution c(context.node.attributes, build.shape(context.operands[0]).size() - (context.batched[0] ? 3 : 2));
  Value lhs = context.operands[0], rhs = context.operands[1];
  const std::int64_t size = context.size;
  if (size == 0) {  // no group would be left
    const auto inner = [&](std::size_t i) {
      return Shape(build.shape(context.operands[i]).begin() + (context.batched[i] ? 1 : 0),
                   build.shape(context.operands[i]).end());
    };
    return {build.full(dtype, 0, prepended(0, c.result(inner(0), inner(1))))};
  }
  std::int64_t groups = 1;
  bool from_features = true;  // the new dimension comes out of the result's features
  if (both) {
    lhs = merge(build, lhs, c.batch_groups > 1 ? c.input.a : c.input.b, 1);
    rhs = merge(build, rhs, c.kernel.a, 1);
    (c.batch_groups > 1 ? c.batch_groups : c.feature_groups) *= size;
  } else if (context.batched[0]) {
    lhs = merge(build, lhs, c.input.a, c.batch_groups);
    from_features = false;
  } else {
    groups = std::max(c.feature_groups, c.batch_groups);
    rhs = merge(build, rhs, c.kernel.a, groups);
  }
  const Value result = make_convolution(build, lhs, rhs, c, dtype);
  return {unmerge(build, result, from_features ? c.output.b : c.output.a, groups, size)};
}

Expr loop_convolution(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const TensorType &lhs = context.operand_type(0), &rhs = context.operand_type(1), &result = context.result_type(0);
  const Convolution c(context.node, lhs);
  if (element_count(lhs.shape) == 0 || element_count(rhs.shape) == 0) return k.constant(loop_dtype(result.dtype), 0);
  const DType type = accumulator_dtype(lhs.dtype, rhs.dtype, result.dtype);
  const std::int64_t in = rhs.shape[at(c.kernel.b)], out = rhs.shape[at(c.kernel.a)];
  Index l(lhs.shape.size()), r(rhs.shape.size());
  const Expr o = context.index[at(c.output.b)];
  const auto group = [&](std::int64_t groups, std::int64_t stride) {
    return k.mul(k.binary(K::Divide, o, k.index(std::max<std::int64_t>(out / groups, 1))), k.index(stride));
  };
  l[at(c.input.a)] = context.index[at(c.output.a)];
  if (c.batch_groups > 1)
    l[at(c.input.a)] = k.add(group(c.batch_groups, result.shape[at(c.output.a)]), l[at(c.input.a)]);
  r[at(c.kernel.a)] = o;
  const LoopLocal sum(k, "sum", type);
  sum.write(k.constant(type, 0));
  Expr valid = kNone;
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    const WindowDimension w = c.dimension(d, lhs.shape, rhs.shape, result.shape[at(c.output.spatial[d])]);
    const Expr along = k.open(kernel::LoopKind::Serial, "w", w.window);
    r[at(c.kernel.spatial[d])] = c.reversal[d] != 0 ? k.sub(k.index(w.window - 1), along) : along;
    l[at(c.input.spatial[d])] = window_position(k, w, context.index[at(c.output.spatial[d])], along, valid);
  }
  const Expr i = k.open(kernel::LoopKind::Serial, "i", in);
  l[at(c.input.b)] = c.feature_groups > 1 ? k.add(group(c.feature_groups, in), i) : i;
  r[at(c.kernel.b)] = i;
  const Expr value = select_or(k, valid, k.convert(type, context.operand(0, l, valid)), k.constant(type, 0));
  sum.write(multiply_add(k, value, k.convert(type, context.operand(1, r)), sum.read()));
  for (std::size_t d = 0; d <= c.spatial(); ++d) k.close();
  return k.convert(loop_dtype(result.dtype), sum.read());
}

/// Products with elements of the input; those with padding and with the holes of its dilation are not counted.
Cost cost_convolution(const Node& node, std::span<const TensorType> operands, std::span<const TensorType> results) {
  const Convolution c(node, operands[0]);
  const Shape &lhs = operands[0].shape, &rhs = operands[1].shape, &result = results[0].shape;
  double products = static_cast<double>(result[at(c.output.a)]) * static_cast<double>(result[at(c.output.b)]) *
                    static_cast<double>(rhs[at(c.kernel.b)]);
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    // Input position o * stride + c must lie in [0, end) on a multiple of the dilation, which repeats every `step` o.
    const std::int64_t step = c.lhs_dilation[d], stride = c.strides[d];
    const std::int64_t end = dilated(lhs[at(c.input.spatial[d])], step);
    double real = 0;
    for (std::int64_t w = 0; w < rhs[at(c.kernel.spatial[d])]; ++w) {
      const std::int64_t offset = w * c.rhs_dilation[d] - c.padding[2 * d];
      const std::int64_t first = offset >= 0 ? 0 : (-offset - 1) / stride + 1;
      const std::int64_t last =
          offset >= end ? -1 : std::min((end - 1 - offset) / stride, result[at(c.output.spatial[d])] - 1);
      for (std::int64_t o = first; o <= last && o < first + step; ++o) {
        const std::int64_t met = (last - o) / step + 1;
        if ((o * stride + offset) % step == 0) real += static_cast<double>(met);
      }
    }
    products *= real;
  }
  return {2 * products};
}

}  // namespace

Primitive convolution_row() {
  return {.op = Op::Convolution,
          .doc = "Sums of products of a kernel with windows of an input.",
          .infer = infer_convolution,
          .evaluate = evaluate_convolution,
          .jvp = jvp_product,
          .transpose = transpose_convolution,
          .batch = batch_convolution,
          .loop = loop_convolution,
          .decompose = unsupported("it has a loop rule"),
          .cost = cost_convolution};
}

}  // namespace tessera::ir
