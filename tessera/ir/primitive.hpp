// What is known of a primitive: one row with every rule. The rows stand in ir/rows_*.cpp, grouped by family.
//   shape rule      result types from operand types; throws RuleError
//   evaluate        the reference: slow, obvious, the oracle of everything else
//   jvp             tangents of the results from tangents of the operands
//   transpose       cotangents of the operands in which the primitive is linear
//   batch           the primitive over operands that carry one more, leading dimension
//   loop            one element of a result as a kernel expression; or
//   decompose       an equal program of other primitives; or neither, when a backend's library or scheduler has it
// A rule that cannot exist says why: unsupported("...").
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/ir/build.hpp"
#include "tessera/ir/graph.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::ir {

/// Stands for a value that is zero everywhere (a tangent or cotangent that nothing contributes to).
constexpr Value kZero = -1;

/// Thrown by shape rules: the rule that was broken and, if there is one, a hint. Graph::add turns it into an Error
/// that also shows operation, operands and the user's line.
struct RuleError {
  std::string rule;
  std::string hint;
};

struct InferContext {
  std::span<const TensorType> operands;
  const Attributes& attributes;
  std::span<const GraphPtr> regions;
};

struct JvpContext {
  Builder& build;    ///< appends to the graph that holds primals and tangents
  const Node& node;  ///< the original node: attributes and regions
  const Values& operands;
  const Values& results;   ///< the primal results, already computed
  const Values& tangents;  ///< of the operands; kZero where none
  /// tangents[i], with zeros made explicit.
  [[nodiscard]] Value tangent_or_zeros(std::size_t i) const {
    return tangents[i] == kZero ? build.zeros_like(operands[i]) : tangents[i];
  }
};

struct TransposeContext {
  Builder& build;
  const Node& node;  ///< the original node
  std::span<const TensorType> operand_types;
  std::span<const TensorType> result_types;
  const Values& operands;    ///< kZero for the operands to be transposed (the linear ones)
  const Values& cotangents;  ///< of the results; kZero where none (never all)
  [[nodiscard]] bool is_linear(std::size_t i) const { return operands[i] == kZero; }
  [[nodiscard]] Value cotangent_or_zeros(std::size_t i) const {
    return cotangents[i] == kZero ? build.full(result_types[i].dtype, 0, result_types[i].shape) : cotangents[i];
  }
};

struct BatchContext {
  Builder& build;
  const Node& node;
  const Values& operands;            ///< in the new graph; batched ones carry the batch dimension first
  const std::vector<bool>& batched;  ///< never all false
  std::int64_t size;
  /// Operand i with the batch dimension, broadcast if it had none.
  [[nodiscard]] Value with_batch(std::size_t i) const {
    if (batched[i]) return operands[i];
    Shape shape = build.shape(operands[i]);
    Integers dimensions;
    for (std::size_t d = 0; d < shape.size(); ++d) dimensions.push_back(static_cast<std::int64_t>(d) + 1);
    shape.insert(shape.begin(), size);
    return build.broadcast_in_dim(operands[i], shape, dimensions);
  }
  [[nodiscard]] Values all_with_batch() const {
    Values all;
    for (std::size_t i = 0; i < operands.size(); ++i) all.push_back(with_batch(i));
    return all;
  }
};

using Index = std::vector<kernel::Expr>;

/// How a row writes one element of a result. Values of F16 and BF16 appear as F32 here; the scheduler rounds results.
/// A rule may emit statements (loops, locals) through `kernel`; they run before the element is used.
class LoopContext {
 public:
  LoopContext(kernel::Builder& k, const Node& n) : kernel(k), node(n) {}
  virtual ~LoopContext() = default;

  kernel::Builder& kernel;
  const Node& node;
  Index index;             ///< of the wanted element (I64 expressions)
  std::size_t result = 0;  ///< of which result

  [[nodiscard]] virtual const TensorType& operand_type(std::size_t i) const = 0;
  [[nodiscard]] virtual const TensorType& result_type(std::size_t i) const = 0;
  /// Element `at` of operand i. With a predicate (Bool): the index may be out of range where it is false, nothing is
  /// accessed there, and the value there is unspecified but harmless: select afterwards.
  virtual kernel::Expr operand(std::size_t i, const Index& at, kernel::Expr predicate = kernel::kNone) = 0;
  /// Results of a region of scalar parameters, element by element; its operations round F16 and BF16.
  virtual std::vector<kernel::Expr> apply(const Graph& region, const std::vector<kernel::Expr>& arguments) = 0;
};

struct Cost {
  double operations = 0;  ///< floating-point operations, a multiply-add counting two
};

using InferRule = std::function<std::vector<TensorType>(const InferContext&)>;
using EvaluateRule = std::function<std::vector<Literal>(const Node&, std::span<const Literal>)>;
using JvpRule = std::function<Values(const JvpContext&)>;
using TransposeRule = std::function<Values(const TransposeContext&)>;
using BatchRule = std::function<Values(const BatchContext&)>;
using LoopRule = std::function<kernel::Expr(LoopContext&)>;
using DecomposeRule = std::function<Values(Builder&, const Node&, const Values& operands)>;
using CostRule =
    std::function<Cost(const Node&, std::span<const TensorType> operands, std::span<const TensorType> results)>;

/// A rule, or the reason why there is none.
template <class Rule>
class Maybe {
 public:
  Maybe() = default;
  template <class F>
    requires std::constructible_from<Rule, F>
  Maybe(F rule) : rule_(std::move(rule)) {}  // NOLINT(google-explicit-constructor)
  static Maybe without(std::string why) {
    Maybe maybe;
    maybe.why_ = std::move(why);
    return maybe;
  }
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(rule_); }
  [[nodiscard]] const Rule& operator*() const { return rule_; }
  [[nodiscard]] const std::string& why() const { return why_; }
  /// Neither a rule nor a reason: a hole in the table, which a test finds.
  [[nodiscard]] bool missing() const { return !rule_ && why_.empty(); }

 private:
  Rule rule_;
  std::string why_;
};

struct Unsupported {
  std::string why;
  template <class Rule>
  operator Maybe<Rule>() const {  // NOLINT(google-explicit-constructor)
    return Maybe<Rule>::without(why);
  }
};
inline Unsupported unsupported(std::string why) { return {std::move(why)}; }

struct Primitive {
  Op op;
  std::string_view doc;  ///< one line
  InferRule infer;
  EvaluateRule evaluate;
  Maybe<JvpRule> jvp;
  Maybe<TransposeRule> transpose;
  Maybe<BatchRule> batch;
  Maybe<LoopRule> loop;
  Maybe<DecomposeRule> decompose;
  CostRule cost;  ///< empty: no floating-point operations
};

/// The row of an operation.
const Primitive& primitive(Op op);

// Each family's file returns its rows; ir/primitive.cpp puts the table together.
std::vector<Primitive> leaf_rows();         // rows_leaf.cpp: constant, iota
std::vector<Primitive> unary_rows();        // rows_unary.cpp
std::vector<Primitive> binary_rows();       // rows_binary.cpp
std::vector<Primitive> elementwise_rows();  // rows_elementwise.cpp: compare, select, clamp, convert, ...
std::vector<Primitive> movement_rows();     // rows_movement.cpp
std::vector<Primitive> indexing_rows();     // rows_indexing.cpp: dynamic slices, gather, scatter
std::vector<Primitive> reduction_rows();    // rows_reduction.cpp: reduce
std::vector<Primitive> window_rows();       // rows_window.cpp: reduce_window, select_and_scatter
std::vector<Primitive> sort_rows();         // rows_sort.cpp: sort, top_k
std::vector<Primitive> product_rows();      // rows_product.cpp: dot_general, convolution
std::vector<Primitive> structure_rows();    // rows_structure.cpp: call, composite, custom_call, barrier
std::vector<Primitive> control_rows();      // rows_control.cpp: while, if, case, scan

// Rules that many rows share.
/// jvp of a primitive that is linear in all operands together: the primitive itself, on the tangents.
Values linear_jvp(const JvpContext& context);
/// batch of an elementwise primitive: the same, on operands that all carry the batch.
Values elementwise_batch(const BatchContext& context);

/// Results of a graph on the host, node by node, by the rows' `evaluate`. Throws Error at a failed check.
std::vector<Literal> interpret(const Graph& graph, std::span<const Literal> arguments);

/// Floating-point operations of a whole graph, bodies included.
double operation_count(const Graph& graph);

}  // namespace tessera::ir
