// The loop rules of the rows against the interpreter: every node of every case as a kernel of its own, element by
// element in a serial loop, and in a vector loop. Fusion and the scheduler's own reductions are tested with the
// backends.
#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "cases.hpp"
#include "kernel_interpreter.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera {
namespace {

using namespace ir;
using kernel::Expr;

DType held_as(DType dtype) { return dtype == DType::F16 || dtype == DType::BF16 ? DType::F32 : dtype; }

/// Results of a region on scalars, each rounded to its type.
std::vector<Expr> apply_region(kernel::Builder& k, const Graph& region, const std::vector<Expr>& arguments);

class RegionContext final : public LoopContext {
 public:
  RegionContext(kernel::Builder& k, const Graph& region, const Node& n, const std::vector<Expr>& values)
      : LoopContext(k, n), region_(region), values_(values) {}
  [[nodiscard]] const TensorType& operand_type(std::size_t i) const override { return region_.type(node.operands[i]); }
  [[nodiscard]] const TensorType& result_type(std::size_t i) const override { return region_.type(node.results[i]); }
  Expr operand(std::size_t i, const Index&, Expr) override {
    return values_[static_cast<std::size_t>(node.operands[i])];
  }
  std::vector<Expr> apply(const Graph& region, const std::vector<Expr>& arguments) override {
    return apply_region(kernel, region, arguments);
  }

 private:
  const Graph& region_;
  const std::vector<Expr>& values_;
};

std::vector<Expr> apply_region(kernel::Builder& k, const Graph& region, const std::vector<Expr>& arguments) {
  std::vector<Expr> values(region.values.size(), kernel::kNone);
  for (std::size_t i = 0; i < arguments.size(); ++i)
    values[static_cast<std::size_t>(region.parameters[i])] = arguments[i];
  for (const Node& node : region.nodes) {
    RegionContext context(k, region, node, values);
    const DType dtype = region.dtype(node.results[0]);
    const Expr e = (*primitive(node.op).loop)(context);
    values[static_cast<std::size_t>(node.results[0])] =
        held_as(dtype) == dtype ? e : k.convert(DType::F32, k.convert(dtype, e));
  }
  std::vector<Expr> results;
  for (const Value v : region.results) results.push_back(values[static_cast<std::size_t>(v)]);
  return results;
}

/// Operands are the kernel's arguments.
class BufferContext final : public LoopContext {
 public:
  BufferContext(kernel::Builder& k, const Graph& graph, const Node& n) : LoopContext(k, n), graph_(graph) {
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      const TensorType& type = operand_type(i);
      k.argument("operand" + std::to_string(i), type.dtype, element_count(type.shape), false);
    }
  }
  [[nodiscard]] const TensorType& operand_type(std::size_t i) const override { return graph_.type(node.operands[i]); }
  [[nodiscard]] const TensorType& result_type(std::size_t i) const override { return graph_.type(node.results[i]); }
  Expr operand(std::size_t i, const Index& at, Expr predicate) override {
    const TensorType& type = operand_type(i);
    EXPECT_EQ(at.size(), type.shape.size()) << "operand " << i;
    Expr flat = kernel.index(0);
    for (std::size_t d = 0; d < at.size(); ++d) flat = kernel.add(kernel.mul(flat, kernel.index(type.shape[d])), at[d]);
    const Expr loaded = kernel.load(static_cast<std::int32_t>(i), flat, predicate);
    return held_as(type.dtype) == type.dtype ? loaded : kernel.convert(DType::F32, loaded);
  }
  std::vector<Expr> apply(const Graph& region, const std::vector<Expr>& arguments) override {
    return apply_region(kernel, region, arguments);
  }

 private:
  const Graph& graph_;
};

/// A kernel that writes result `which` of `node`. The innermost loop runs over the last dimension.
kernel::Kernel make_kernel(const Graph& graph, const Node& node, std::size_t which, const std::string& name,
                           bool vector) {
  kernel::Kernel made;
  made.name = name;
  kernel::Builder k(made);
  BufferContext context(k, graph, node);
  context.result = which;
  const TensorType& type = context.result_type(which);
  const std::int32_t out = k.argument("result", type.dtype, element_count(type.shape), true);
  Expr flat = k.index(0);
  for (std::size_t d = 0; d < type.shape.size(); ++d) {
    const bool last = d + 1 == type.shape.size();
    context.index.push_back(k.open(last && vector ? kernel::LoopKind::Vector : kernel::LoopKind::Serial,
                                   "i" + std::to_string(d), type.shape[d]));
    flat = k.add(k.mul(flat, k.index(type.shape[d])), context.index.back());
  }
  const Expr element = (*primitive(node.op).loop)(context);
  EXPECT_EQ(k.dtype(element), held_as(type.dtype)) << "the element's type";
  k.store(out, flat, k.convert(type.dtype, element));
  for (std::size_t d = 0; d < type.shape.size(); ++d) k.close();
  return made;
}

struct Job {
  std::string label;
  kernel::Kernel kernel;
  std::vector<Literal> operands;
  Literal expected;
  double slack;
};

/// Every node of every case that has a loop rule, with the operands that the interpreter gives it.
std::vector<Job> all_jobs(bool vector) {
  std::vector<Job> jobs;
  std::set<std::string> seen;
  for (const cases::Case& item : cases::all()) {
    const GraphPtr graph = cases::graph_of(item);
    std::vector<std::optional<Literal>> known(graph->values.size());
    const std::vector<Literal> arguments = cases::arguments_of(item, *graph, 99);
    for (std::size_t i = 0; i < arguments.size(); ++i)
      known[static_cast<std::size_t>(graph->parameters[i])] = arguments[i];
    for (const Node& node : graph->nodes) {
      std::vector<Literal> operands;
      for (const Value v : node.operands) operands.push_back(*known[static_cast<std::size_t>(v)]);
      const std::vector<Literal> results = primitive(node.op).evaluate(node, operands);
      for (std::size_t r = 0; r < results.size(); ++r) known[static_cast<std::size_t>(node.results[r])] = results[r];
      const bool is_buffer = node.op == Op::Constant && (!results[0].is_splat() || results[0].size() == 0);
      if (!primitive(node.op).loop || is_buffer) continue;
      for (std::size_t r = 0; r < results.size(); ++r) {
        if (results[r].size() == 0) continue;  // nothing runs
        SCOPED_TRACE(item.name);
        kernel::Kernel made = make_kernel(*graph, node, r, "k" + std::to_string(jobs.size()), vector);
        if (item.arguments.empty() && !seen.insert(made.key()).second) continue;
        EXPECT_NO_THROW(kernel::verify(made)) << kernel::to_string(made);
        jobs.push_back({item.name + ", " + std::string(name(node.op)), std::move(made), std::move(operands), results[r],
                        item.slack});
        operands = jobs.back().operands;
      }
    }
  }
  return jobs;
}

void run_all(bool vector) {
  for (const Job& job : all_jobs(vector)) {
    Literal result(job.expected.type());
    std::vector<void*> buffers;
    for (const Literal& operand : job.operands) buffers.push_back(operand.data());
    buffers.push_back(result.data());
    testing::KernelInterpreter(job.kernel, buffers).run();
    EXPECT_EQ(cases::difference(result, job.expected, job.slack), "") << job.label << "\n"
                                                                      << kernel::to_string(job.kernel);
  }
}

TEST(Loops, SerialMatchTheInterpreter) { run_all(false); }
TEST(Loops, VectorisedMatchTheInterpreter) { run_all(true); }

}  // namespace
}  // namespace tessera
