// Rows of products: dot_general; and what it shares with convolution (ir/rows_convolution.cpp).
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {

DType accumulator_dtype(DType a, DType b, DType result) { return loop_dtype(promote(promote(a, b), result)); }

DType product_dtype(const InferContext& context) {
  const DType a = context.operands[0].dtype, b = context.operands[1].dtype;
  if (a != b && !context.attributes.has("dtype"))
    broken(fmt::format("the element types {} and {} differ", name(a), name(b)),
           "convert one, or name the result's type");
  const DType result = dtype_or(context.attributes, a);
  const bool narrows =
      (is_float(promote(a, b)) && !is_float(result)) || (result == DType::Bool && promote(a, b) != DType::Bool);
  if (narrows) broken(fmt::format("a product of {} and {} cannot have the type {}", name(a), name(b), name(result)));
  return result;
}

Values jvp_product(const JvpContext& context) {
  const auto term = [&](Value lhs, Value rhs) {
    return context.build.graph.add1(context.node.op, {lhs, rhs}, context.node.attributes, {}, context.build.location);
  };
  Value sum = kZero;
  if (context.tangents[0] != kZero) sum = term(context.tangents[0], context.operands[1]);
  if (context.tangents[1] != kZero) {
    const Value right = term(context.operands[0], context.tangents[1]);
    sum = sum == kZero ? right : context.build.add(sum, right);
  }
  return {sum};
}

kernel::Expr multiply_add(kernel::Builder& k, kernel::Expr a, kernel::Expr b, kernel::Expr sum) {
  const DType dtype = k.dtype(sum);
  if (is_float(dtype)) return k.fma(a, b, sum);
  if (dtype == DType::Bool) return k.binary(kernel::Op::Or, sum, k.logical_and(a, b));
  return k.add(sum, k.mul(a, b));
}

HostProducts::HostProducts(const Literal& a, const Literal& b, const TensorType& result)
    : result_(result), type_(accumulator_dtype(a.dtype(), b.dtype(), result.dtype)) {
  if (is_real()) {
    real_a_ = doubles_of(a);
    real_b_ = doubles_of(b);
  } else {
    whole_a_ = integers_of(a);
    whole_b_ = integers_of(b);
  }
}

void HostProducts::add(std::int64_t a, std::int64_t b) {
  if (is_real())
    real_ += real_a_[at(a)] * real_b_[at(b)];
  else if (type_ == DType::Bool)
    whole_ |= static_cast<std::uint64_t>(whole_a_[at(a)] & whole_b_[at(b)]);
  else
    whole_ += static_cast<std::uint64_t>(whole_a_[at(a)]) * static_cast<std::uint64_t>(whole_b_[at(b)]);
}

void HostProducts::finish(std::int64_t to) {
  if (is_real())
    result_.set_double(to, real_);
  else
    result_.set_integer(to, static_cast<std::int64_t>(whole_));
  real_ = 0;
  whole_ = 0;
}

namespace {

using kernel::Expr;

/// Dimension numbers, with the free dimensions that they leave.
struct Dot {
  Integers lhs_batch, rhs_batch, lhs_contracting, rhs_contracting, lhs_free, rhs_free;

  Dot(const Attributes& attributes, std::int64_t lhs_rank, std::int64_t rhs_rank)
      : lhs_batch(integers_of(attributes, "lhs_batching_dimensions")),
        rhs_batch(integers_of(attributes, "rhs_batching_dimensions")),
        lhs_contracting(integers_of(attributes, "lhs_contracting_dimensions")),
        rhs_contracting(integers_of(attributes, "rhs_contracting_dimensions")),
        lhs_free(remaining(lhs_rank, {&lhs_batch, &lhs_contracting})),
        rhs_free(remaining(rhs_rank, {&rhs_batch, &rhs_contracting})) {}
  Dot(const Node& node, const TensorType& lhs, const TensorType& rhs) : Dot(node.attributes, lhs.rank(), rhs.rank()) {}

  [[nodiscard]] TensorType result(DType dtype, const Shape& lhs, const Shape& rhs) const {
    TensorType type{dtype, picked(lhs, lhs_batch)};
    for (const std::int64_t d : lhs_free) type.shape.push_back(lhs[at(d)]);
    for (const std::int64_t d : rhs_free) type.shape.push_back(rhs[at(d)]);
    return type;
  }

  /// Indices of both operands from one of the result and one along the contracting dimensions.
  template <class I>
  void operand_indices(const I& result, const I& contracting, I& lhs, I& rhs) const {
    std::size_t r = 0;
    for (std::size_t i = 0; i < lhs_batch.size(); ++i) lhs[at(lhs_batch[i])] = rhs[at(rhs_batch[i])] = result[r++];
    for (const std::int64_t d : lhs_free) lhs[at(d)] = result[r++];
    for (const std::int64_t d : rhs_free) rhs[at(d)] = result[r++];
    for (std::size_t i = 0; i < lhs_contracting.size(); ++i)
      lhs[at(lhs_contracting[i])] = rhs[at(rhs_contracting[i])] = contracting[i];
  }
};

std::vector<TensorType> infer_dot(const InferContext& context) {
  check_operand_count(context, 2);
  const TensorType &lhs = context.operands[0], &rhs = context.operands[1];
  const Dot dot(context.attributes, lhs.rank(), rhs.rank());
  check_size(dot.rhs_batch, dot.lhs_batch.size(), "rhs_batching_dimensions");
  check_size(dot.rhs_contracting, dot.lhs_contracting.size(), "rhs_contracting_dimensions");
  check_in_rank(dot.lhs_batch, lhs.rank(), "lhs_batching_dimensions");
  check_in_rank(dot.rhs_batch, rhs.rank(), "rhs_batching_dimensions");
  check_in_rank(dot.lhs_contracting, lhs.rank(), "lhs_contracting_dimensions");
  check_in_rank(dot.rhs_contracting, rhs.rank(), "rhs_contracting_dimensions");
  check_distinct({&dot.lhs_batch, &dot.lhs_contracting}, "the batching and contracting dimensions of the left operand");
  check_distinct({&dot.rhs_batch, &dot.rhs_contracting},
                 "the batching and contracting dimensions of the right operand");
  const auto check = [&](const Integers& l, const Integers& r, const char* what) {
    for (std::size_t i = 0; i < l.size(); ++i)
      if (lhs.shape[at(l[i])] != rhs.shape[at(r[i])])
        broken(fmt::format("{} dimensions {} and {} have the extents {} and {}", what, l[i], r[i], lhs.shape[at(l[i])],
                           rhs.shape[at(r[i])]),
               "they must be equal");
  };
  check(dot.lhs_batch, dot.rhs_batch, "batching");
  check(dot.lhs_contracting, dot.rhs_contracting, "contracting");
  const TensorType result = dot.result(product_dtype(context), lhs.shape, rhs.shape);
  return {checked_type(result.dtype, result.shape)};
}

std::vector<Literal> evaluate_dot(const Node& node, std::span<const Literal> operands) {
  const Literal &lhs = operands[0], &rhs = operands[1];
  const Dot dot(node, lhs.type(), rhs.type());
  const TensorType type = dot.result(dtype_or(node.attributes, lhs.dtype()), lhs.shape(), rhs.shape());
  HostProducts products(lhs, rhs, type);
  Integers l(lhs.shape().size()), r(rhs.shape().size());
  const Shape contracting = picked(lhs.shape(), dot.lhs_contracting);
  std::int64_t to = 0;
  for_each_index(type.shape, [&](const Integers& index) {
    for_each_index(contracting, [&](const Integers& along) {
      dot.operand_indices(index, along, l, r);
      products.add(position(lhs.shape(), l), position(rhs.shape(), r));
    });
    products.finish(to++);
  });
  return {products.result()};
}

Value make_dot(Builder& build, Value lhs, Value rhs, const Builder::DotDimensions& dimensions, DType result) {
  const bool plain = build.dtype(lhs) == result && build.dtype(rhs) == result;
  return build.dot_general(lhs, rhs, dimensions, plain ? std::nullopt : std::optional(result));
}

/// The cotangent contracts with the other operand over that one's free dimensions; what comes out has the batch
/// dimensions, the free and the contracting ones of the linear operand, and is put in their order.
Values transpose_dot(const TransposeContext& context) {
  const Dot dot(context.node, context.operand_types[0], context.operand_types[1]);
  const auto batch = static_cast<std::int64_t>(dot.lhs_batch.size());
  const auto lhs_free = static_cast<std::int64_t>(dot.lhs_free.size());
  const auto rhs_free = static_cast<std::int64_t>(dot.rhs_free.size());
  const auto side = [&](std::size_t which) {
    const bool left = which == 0;
    const Integers& own_batch = left ? dot.lhs_batch : dot.rhs_batch;
    const Integers& own_free = left ? dot.lhs_free : dot.rhs_free;
    const Integers& own_contracting = left ? dot.lhs_contracting : dot.rhs_contracting;
    const Integers& other_contracting = left ? dot.rhs_contracting : dot.lhs_contracting;
    Builder::DotDimensions dimensions;
    dimensions.lhs_batch = iota_integers(batch);
    dimensions.rhs_batch = left ? dot.rhs_batch : dot.lhs_batch;
    dimensions.lhs_contracting =
        left ? shifted(iota_integers(rhs_free), batch + lhs_free) : shifted(iota_integers(lhs_free), batch);
    dimensions.rhs_contracting = left ? dot.rhs_free : dot.lhs_free;
    const Value product = make_dot(context.build, context.cotangents[0], context.operands[1 - which], dimensions,
                                   context.operand_types[which].dtype);
    Integers by_other = iota_integers(static_cast<std::int64_t>(own_contracting.size()));
    std::sort(by_other.begin(), by_other.end(),
              [&](std::int64_t a, std::int64_t b) { return other_contracting[at(a)] < other_contracting[at(b)]; });
    Integers order = own_batch;
    order.insert(order.end(), own_free.begin(), own_free.end());
    for (const std::int64_t i : by_other) order.push_back(own_contracting[at(i)]);
    return context.build.transpose(product, inverse(order));
  };
  return {context.is_linear(0) ? side(0) : kZero, context.is_linear(1) ? side(1) : kZero};
}

Values batch_dot(const BatchContext& context) {
  Builder& build = context.build;
  const Node& node = context.node;
  Builder::DotDimensions d{
      node.attributes.integers("lhs_batching_dimensions"), node.attributes.integers("rhs_batching_dimensions"),
      node.attributes.integers("lhs_contracting_dimensions"), node.attributes.integers("rhs_contracting_dimensions")};
  const auto batch = static_cast<std::int64_t>(d.lhs_batch.size());
  std::int64_t from = 0;  // where the new dimension comes out
  if (context.batched[0] && context.batched[1]) {
    d = {prepended(0, shifted(d.lhs_batch)), prepended(0, shifted(d.rhs_batch)), shifted(d.lhs_contracting),
         shifted(d.rhs_contracting)};
  } else if (context.batched[0]) {
    d.lhs_batch = shifted(d.lhs_batch);
    d.lhs_contracting = shifted(d.lhs_contracting);
    from = batch;
  } else {
    d.rhs_batch = shifted(d.rhs_batch);
    d.rhs_contracting = shifted(d.rhs_contracting);
    from = build.type(context.operands[0]).rank() - static_cast<std::int64_t>(d.lhs_contracting.size());
  }
  const DType result = dtype_or(node.attributes, build.dtype(context.operands[0]));
  return {to_front(build, make_dot(build, context.operands[0], context.operands[1], d, result), from)};
}

Expr loop_dot(LoopContext& context) {
  kernel::Builder& k = context.kernel;
  const TensorType &lhs = context.operand_type(0), &rhs = context.operand_type(1);
  const Dot dot(context.node, lhs, rhs);
  const DType result = context.result_type(0).dtype;
  const DType type = accumulator_dtype(lhs.dtype, rhs.dtype, result);
  const Shape contracting = picked(lhs.shape, dot.lhs_contracting);
  if (element_count(contracting) == 0) return k.constant(loop_dtype(result), 0);
  const LoopLocal sum(k, "sum", type);
  sum.write(k.constant(type, 0));
  Index along;
  for (const std::int64_t extent : contracting) along.push_back(k.open(kernel::LoopKind::Serial, "k", extent));
  Index l(lhs.shape.size()), r(rhs.shape.size());
  dot.operand_indices(context.index, along, l, r);
  sum.write(
      multiply_add(k, k.convert(type, context.operand(0, l)), k.convert(type, context.operand(1, r)), sum.read()));
  for (std::size_t i = 0; i < contracting.size(); ++i) k.close();
  return k.convert(loop_dtype(result), sum.read());
}

Cost cost_dot(const Node& node, std::span<const TensorType> operands, std::span<const TensorType> results) {
  double products = static_cast<double>(element_count(results[0].shape));
  for (const std::int64_t d : node.attributes.integers("lhs_contracting_dimensions"))
    products *= static_cast<double>(operands[0].shape[at(d)]);
  return {2 * products};
}

}  // namespace

std::vector<Primitive> product_rows() {
  std::vector<Primitive> rows;
  rows.push_back({.op = Op::DotGeneral,
                  .doc = "Sums of products over contracting dimensions, for each batching dimension on its own.",
                  .infer = infer_dot,
                  .evaluate = evaluate_dot,
                  .jvp = jvp_product,
                  .transpose = transpose_dot,
                  .batch = batch_dot,
                  .loop = loop_dot,
                  .decompose = unsupported("it has a loop rule"),
                  .cost = cost_dot});
  rows.push_back(convolution_row());
  return rows;
}

}  // namespace tessera::ir
