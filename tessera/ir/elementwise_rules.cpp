// The parts of ir/elementwise_rules.hpp that need no template.
#include "tessera/ir/elementwise_rules.hpp"

#include <fmt/format.h>

namespace tessera::ir::rules {
namespace {

Primitive row(std::size_t operands, Op op, std::string_view doc, Kinds kinds, EvaluateRule evaluate, Maybe<JvpRule> jvp,
              LoopRule loop) {
  return {.op = op,
          .doc = doc,
          .infer = same_type(operands, kinds),
          .evaluate = std::move(evaluate),
          .jvp = std::move(jvp),
          .transpose = unsupported("it is not linear"),
          .batch = elementwise_batch,
          .loop = std::move(loop),
          .decompose = unsupported("it has a loop rule"),
          .cost = elementwise_cost};
}

}  // namespace

std::string describe(Kinds kinds) {
  std::vector<std::string> names;
  if ((kinds & kBool) != 0) names.emplace_back("bool");
  if ((kinds & kInteger) == kInteger)
    names.emplace_back("integer");
  else if ((kinds & kSigned) != 0)
    names.emplace_back("signed integer");
  else if ((kinds & kUnsigned) != 0)
    names.emplace_back("unsigned integer");
  if ((kinds & kFloat) != 0) names.emplace_back("floating-point");
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

void require_operands(const InferContext& context, std::size_t count) {
  require(context.operands.size() == count,
          fmt::format("takes {} operand{}, not {}", count, count == 1 ? "" : "s", context.operands.size()));
}

void require_kind(const InferContext& context, std::size_t operand, Kinds kinds) {
  const DType dtype = context.operands[operand].dtype;
  require((kind_of(dtype) & kinds) != 0,
          fmt::format("operand {} must have {} elements, not {}", operand, describe(kinds), name(dtype)),
          "convert it first");
}

InferRule same_type(std::size_t operands, Kinds kinds) {
  return [=](const InferContext& c) -> std::vector<TensorType> {
    require_operands(c, operands);
    require_kind(c, 0, kinds);
    for (std::size_t i = 1; i < operands; ++i)
      require(
          c.operands[i] == c.operands[0],
          fmt::format("operands must have one type, not {} and {}", to_string(c.operands[0]), to_string(c.operands[i])),
          c.operands[i].dtype == c.operands[0].dtype ? "broadcast them to one shape first"
                                                     : "convert one of them first");
    return {c.operands[0]};
  };
}

Cost elementwise_cost(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {is_float(results[0].dtype) ? static_cast<double>(element_count(results[0].shape)) : 0.0};
}

Primitive row1(Op op, std::string_view doc, Kinds kinds, EvaluateRule evaluate, Maybe<JvpRule> jvp, LoopRule loop) {
  return row(1, op, doc, kinds, std::move(evaluate), std::move(jvp), std::move(loop));
}
Primitive row2(Op op, std::string_view doc, Kinds kinds, EvaluateRule evaluate, Maybe<JvpRule> jvp, LoopRule loop) {
  return row(2, op, doc, kinds, std::move(evaluate), std::move(jvp), std::move(loop));
}

}  // namespace tessera::ir::rules
