// Cases of reduce: the monoids on every element type, dimensions of every kind, bodies of their own.
#include "cases.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

Case reduction(Op monoid, DType dtype, Shape shape, const Integers& dimensions) {
  Case item;
  item.name = "reduce " + std::string(ir::name(monoid)) + " " + std::string(tessera::name(dtype)) + " " +
              tessera::to_string(shape) + " over " + tessera::to_string(Shape(dimensions));
  item.parameters = {{dtype, std::move(shape)}};
  item.ranges = {is_float(dtype) ? Range{0.5, 2} : Range{0, 100}};
  item.build = [=](Builder& b, const Values& p) -> Values { return {b.reduce(monoid, p[0], dimensions)}; };
  item.slack = 20;
  return item;
}

/// The larger value and its index, the lower index at ties.
GraphPtr arg_max_body(DType dtype) {
  auto body = std::make_shared<Graph>("arg_max");
  for (const DType d : {dtype, DType::I32, dtype, DType::I32}) body->parameter({d, {}});
  const Values p = body->parameters;
  Builder b{*body};
  const Value larger = b.compare(p[0], p[2], "GT");
  const Value tied = b.binary(Op::And, b.compare(p[0], p[2], "EQ"), b.compare(p[1], p[3], "LT"));
  const Value first = b.binary(Op::Or, larger, tied);
  body->results = {b.select(first, p[0], p[2]), b.select(first, p[1], p[3])};
  return body;
}

/// a + b / 2: no monoid, so every step and its order count.
GraphPtr halving_body(DType dtype) {
  auto body = std::make_shared<Graph>("halving");
  Builder b{*body};
  const Value x = body->parameter({dtype, {}});
  const Value y = body->parameter({dtype, {}});
  body->results = {b.add(x, b.multiply(y, b.full(dtype, 0.5)))};
  return body;
}

}  // namespace

std::vector<Case> reduction_cases() {
  std::vector<Case> list;
  for (const DType dtype : kDTypes) {
    std::vector<Op> monoids = {Op::Add, Op::Multiply, Op::Maximum, Op::Minimum};
    if (!is_float(dtype)) monoids.insert(monoids.end(), {Op::And, Op::Or, Op::Xor});
    for (const Op monoid : monoids) {
      Case item = reduction(monoid, dtype, {3, 7}, {1});
      item.differentiable = dtype == DType::F32;
      list.push_back(item);
    }
  }
  for (const Op monoid : {Op::Add, Op::Multiply, Op::Maximum}) {
    for (const Integers& dimensions : {Integers{0}, Integers{2, 0}, Integers{0, 1, 2}, Integers{}}) {
      Case item = reduction(monoid, DType::F32, {2, 3, 4}, dimensions);
      item.differentiable = true;
      list.push_back(item);
    }
  }
  list.push_back(reduction(Op::Add, DType::F32, {3, 0}, {1}));
  list.push_back(reduction(Op::Maximum, DType::F32, {0, 3}, {1}));
  list.push_back(reduction(Op::Add, DType::F32, {2, 1000}, {1}));

  // Initial values that are operands.
  for (const Op monoid : {Op::Add, Op::Multiply, Op::Minimum}) {
    Case item = reduction(monoid, DType::F32, {3, 4}, {0});
    item.name += " with an initial value";
    item.parameters.push_back({DType::F32, {}});
    item.ranges.push_back({0.4, 0.9});
    item.differentiable = true;
    item.build = [=](Builder& b, const Values& p) {
      return b.graph.add(Op::Reduce, p, {{"dimensions", Integers{0}}}, {reducer(monoid, b.dtype(p[0]))});
    };
    list.push_back(item);
  }
  // Products with none, one and two zeros.
  Case product = reduction(Op::Multiply, DType::F32, {3, 5}, {1});
  product.name = "reduce multiply with zeros";
  product.differentiable = true;
  product.build = [](Builder& b, const Values& p) -> Values {
    const Literal mask = Literal::from<float>({3, 5}, {1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1});
    return {b.reduce(Op::Multiply, b.multiply(p[0], b.convert(b.constant(mask), b.dtype(p[0]))), {1})};
  };
  list.push_back(product);

  for (const DType dtype : {DType::F32, DType::BF16, DType::I16}) {
    list.push_back({.name = "reduce arg max " + std::string(tessera::name(dtype)),
                    .parameters = {{dtype, {4, 6}}},
                    .build =
                        [](Builder& b, const Values& p) {
                          const DType type = b.dtype(p[0]);
                          const Value index = b.iota(DType::I32, b.shape(p[0]), 1);
                          const Value lowest = b.constant(identity(Op::Maximum, type));
                          return b.graph.add(Op::Reduce, {p[0], index, lowest, b.full(DType::I32, 0)},
                                             {{"dimensions", Integers{1}}}, {arg_max_body(type)});
                        },
                    .ranges = {{-3, 3}},
                    .arguments = {},
                    .differentiable = dtype == DType::F32});
  }
  for (const DType dtype : kFloats) {
    Case item = reduction(Op::Add, dtype, {3, 4}, {1});
    item.name = "reduce a body of its own " + std::string(tessera::name(dtype));
    item.build = [](Builder& b, const Values& p) {
      return b.graph.add(Op::Reduce, {p[0], b.full(b.dtype(p[0]), 1)}, {{"dimensions", Integers{1}}},
                         {halving_body(b.dtype(p[0]))});
    };
    list.push_back(item);
  }
  return list;
}

}  // namespace tessera::cases
