// Rows of the primitives without operands: constant and iota.
#include "tessera/ir/elementwise_rules.hpp"
#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using rules::require;

template <class Rule>
Maybe<Rule> no_operand() {
  return unsupported("a leaf has no operand");
}

std::vector<TensorType> infer_constant(const InferContext& c) {
  rules::require_operands(c, 0);
  return {c.attributes.literal("value").type()};
}

/// One value everywhere; other constants are buffers of the program, loaded like operands.
kernel::Expr loop_constant(LoopContext& c) {
  const Literal& value = c.node.attributes.literal("value");
  if (!value.is_splat() || value.size() == 0)
    throw Error(ErrorKind::Unsupported, "a constant with different elements is a buffer, not an expression");
  if (is_float(value.dtype())) return c.kernel.constant(rules::compute_dtype(value.dtype()), value.get_double(0));
  return c.kernel.integer(value.dtype(), value.get_integer(0));
}

std::vector<TensorType> infer_iota(const InferContext& c) {
  rules::require_operands(c, 0);
  const std::string text = c.attributes.string("dtype", "");
  const auto dtype = parse_dtype(text);
  require(dtype.has_value(), "'" + text + "' is not an element type");
  require(is_supported(*dtype) && *dtype != DType::Bool,
          "elements must be integers or floats, not " + std::string(name(*dtype)));
  const TensorType type{*dtype, integers_of(c.attributes, "shape")};
  const std::int64_t dimension = integer_of(c.attributes, "iota_dimension");
  require(dimension >= 0 && dimension < type.rank(),
          "iota_dimension " + std::to_string(dimension) + " is not a dimension of " + to_string(type));
  byte_size(type);  // refuses negative extents and sizes that overflow
  return {type};
}

std::vector<Literal> evaluate_iota(const Node& node, std::span<const Literal>) {
  const Shape shape = node.attributes.integers("shape");
  const auto d = static_cast<std::size_t>(node.attributes.integer("iota_dimension"));
  const std::int64_t stride = row_major_strides(shape)[d];
  Literal out(TensorType{*parse_dtype(node.attributes.string("dtype")), shape});
  for (std::int64_t i = 0, n = out.size(); i < n; ++i) out.set_integer(i, i / stride % shape[d]);
  return {out};
}

kernel::Expr loop_iota(LoopContext& c) {
  const auto d = static_cast<std::size_t>(c.node.attributes.integer("iota_dimension"));
  return c.kernel.convert(rules::compute_dtype(c.result_type(0).dtype), c.index[d]);
}

}  // namespace

std::vector<Primitive> leaf_rows() {
  return {
      {.op = Op::Constant,
       .doc = "Values known when the program is built.",
       .infer = infer_constant,
       .evaluate = [](const Node& node, std::span<const Literal>) -> std::vector<Literal> {
         return {node.attributes.literal("value")};
       },
       .jvp = rules::zero_jvp,
       .transpose = no_operand<TransposeRule>(),
       .batch = no_operand<BatchRule>(),
       .loop = loop_constant,
       .decompose = unsupported("it has a loop rule"),
       .cost = {}},
      {.op = Op::Iota,
       .doc = "0, 1, 2, ... along one dimension.",
       .infer = infer_iota,
       .evaluate = evaluate_iota,
       .jvp = rules::zero_jvp,
       .transpose = no_operand<TransposeRule>(),
       .batch = no_operand<BatchRule>(),
       .loop = loop_iota,
       .decompose = unsupported("it has a loop rule"),
       .cost = {}},
  };
}

}  // namespace tessera::ir
