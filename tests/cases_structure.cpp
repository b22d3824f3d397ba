// Cases of leaves and of what holds bodies: constant, iota, call, composite, custom_call, optimization_barrier.
#include "cases.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

/// tanh(a) * b, exp(b)
GraphPtr body(DType dtype) {
  auto graph = std::make_shared<Graph>("body");
  Builder b{*graph};
  const Value x = graph->parameter({dtype, {2, 3}});
  const Value y = graph->parameter({dtype, {2, 3}});
  graph->results = {b.multiply(b.unary(Op::Tanh, x), y), b.unary(Op::Exponential, y)};
  return graph;
}

/// The results of `body`, then tanh(a), b and exp(b).
GraphPtr forward(DType dtype) {
  auto graph = std::make_shared<Graph>("forward");
  Builder b{*graph};
  const Value x = graph->parameter({dtype, {2, 3}});
  const Value y = graph->parameter({dtype, {2, 3}});
  const Value t = b.unary(Op::Tanh, x);
  const Value e = b.unary(Op::Exponential, y);
  graph->results = {b.multiply(t, y), e, t, y, e};
  return graph;
}

GraphPtr backward(DType dtype) {
  auto graph = std::make_shared<Graph>("backward");
  Builder b{*graph};
  Values p;
  for (int i = 0; i < 5; ++i) p.push_back(graph->parameter({dtype, {2, 3}}));
  const Value t = p[0], y = p[1], e = p[2], of_product = p[3], of_exponential = p[4];
  const Value slope = b.subtract(b.full_like(t, 1), b.multiply(t, t));
  graph->results = {b.multiply(b.multiply(of_product, y), slope),
                    b.add(b.multiply(of_product, t), b.multiply(of_exponential, e))};
  return graph;
}

Case with_body(Op op, const Attributes& attributes, bool own_derivative) {
  Case item;
  item.name = std::string(ir::name(op)) + (own_derivative ? " with its own derivative" : "");
  item.parameters.assign(2, {DType::F32, {2, 3}});
  item.differentiable = true;
  item.build = [=](Builder& b, const Values& p) {
    const DType dtype = b.dtype(p[0]);
    std::vector<GraphPtr> regions = {body(dtype)};
    if (own_derivative) regions.insert(regions.end(), {forward(dtype), backward(dtype)});
    return b.graph.add(op, p, attributes, regions);
  };
  return item;
}

}  // namespace

std::vector<Case> structure_cases() {
  std::vector<Case> list;
  for (const DType dtype : kDTypes) {
    const std::string suffix = " " + std::string(tessera::name(dtype));
    const Literal values = random_literal({dtype, {2, 3}}, {0, 100}, 7);
    list.push_back({.name = "constant" + suffix,
                    .parameters = {},
                    .build = [=](Builder& b, const Values&) -> Values {
                      return {b.constant(values), b.constant(Literal::full({dtype, {2}}, 1))};
                    },
                    .ranges = {},
                    .arguments = {}});
    if (dtype == DType::Bool) continue;
    list.push_back({.name = "iota" + suffix,
                    .parameters = {},
                    .build = [=](Builder& b, const Values&) -> Values {
                      return {b.iota(dtype, {2, 300}, 1), b.iota(dtype, {3, 2}, 0)};
                    },
                    .ranges = {},
                    .arguments = {}});
  }
  for (const bool own_derivative : {false, true}) {
    list.push_back(with_body(Op::Call, {{"callee", std::string("body")}}, own_derivative));
    list.push_back(with_body(Op::Composite, {{"name", std::string("test.body")}}, own_derivative));
  }
  Case checkpoint = with_body(Op::Call, {{"callee", std::string("body")}, {"checkpoint", true}}, false);
  checkpoint.name = "call of a checkpoint";
  list.push_back(checkpoint);

  list.push_back({.name = "optimization_barrier",
                  .parameters = {{DType::F32, {2}}, {DType::I32, {3}}, {DType::F32, {}}},
                  .build = [](Builder& b, const Values& p) { return b.graph.add(Op::OptimizationBarrier, p); },
                  .ranges = {},
                  .arguments = {},
                  .differentiable = true});
  list.push_back({.name = "custom_call of a check",
                  .parameters = {{DType::F32, {2, 2}}},
                  .build = [](Builder& b, const Values& p) -> Values {
                    const Value same = b.negate(b.negate(p[0]));
                    for (const char* check : {"check.expect_eq", "check.expect_close", "check.expect_almost_eq"})
                      b.graph.add(Op::CustomCall, {same, p[0]},
                                  {{"call_target_name", std::string(check)}, {"has_side_effect", true}});
                    return {same};
                  },
                  .ranges = {},
                  .arguments = {},
                  .differentiable = true});
  return list;
}

}  // namespace tessera::cases
