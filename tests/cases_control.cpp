// Cases of control flow and of orders: while, if, case, scan, sort, top_k.
#include <cmath>

#include "cases.hpp"
#include "tessera/ir/control.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

std::shared_ptr<Graph> open(const char* name, const std::vector<TensorType>& types) {
  auto graph = std::make_shared<Graph>(name);
  for (const TensorType& type : types) graph->parameter(type);
  return graph;
}

/// i < n
GraphPtr counts_to(const std::vector<TensorType>& types) {
  auto graph = open("condition", types);
  graph->results = {Builder{*graph}.compare(graph->parameters[0], graph->parameters[1], "LT")};
  return graph;
}

/// (i, n, x, w) -> (i + 1, n, tanh(x * w + i), w)
Values halving_loop(Builder& b, const Values& p) {
  const Values initial{b.full(DType::I32, 0), p[0], p[1], p[2]};
  const std::vector<TensorType> types = b.graph.types(initial);
  auto body = open("body", types);
  Builder c{*body};
  const Values& q = body->parameters;
  const Value count = c.convert(q[0], c.dtype(q[2]));
  const Value step = c.broadcast_in_dim(count, {3}, {});
  body->results = {c.add(q[0], c.full(DType::I32, 1)), q[1], c.unary(Op::Tanh, c.add(c.multiply(q[2], q[3]), step)),
                   q[3]};
  const Values made = b.graph.add(Op::While, initial, {}, {counts_to(types), body});
  return {made[2], made[0]};
}

/// Steps until the sum is large: the number of steps depends on the values. (x, y) -> (y, x + 1): what is carried
/// changes places.
Values growing_loop(Builder& b, const Values& p) {
  const std::vector<TensorType> types = b.graph.types(p);
  auto condition = open("condition", types), body = open("body", types);
  Builder c{*condition};
  const Value sum = c.sum(condition->parameters[0], {0});
  condition->results = {c.compare(sum, c.full(c.dtype(sum), 7), "LT")};
  Builder d{*body};
  body->results = {body->parameters[1], d.add(body->parameters[0], d.full_like(body->parameters[0], 1))};
  return b.graph.add(Op::While, p, {}, {condition, body});
}

/// Writes into what it carries, slice by slice.
Values filling_loop(Builder& b, const Values& p) {
  const Values initial{b.full(DType::I32, 0), b.full(DType::I32, 4), p[0], p[1]};
  const std::vector<TensorType> types = b.graph.types(initial);
  auto body = open("body", types);
  Builder c{*body};
  const Values& q = body->parameters;
  const Value zero = c.full(DType::I32, 0);
  const Value row = body->add1(Op::DynamicSlice, {q[3], q[0], zero}, {{"slice_sizes", Integers{1, 3}}});
  const Value written = body->add1(Op::DynamicUpdateSlice, {q[2], c.unary(Op::Tanh, row), q[0], zero});
  body->results = {c.add(q[0], c.full(DType::I32, 1)), q[1], written, q[3]};
  return {b.graph.add(Op::While, initial, {}, {counts_to(types), body})[2]};
}

/// Three branches over (x, y); the second uses y alone, the third is constant.
Branches three_branches(const Builder& b, Value x, Value y) {
  Branches branches{{}, {x, y}};
  for (int i = 0; i < 3; ++i) {
    auto graph = open("branch", b.graph.types(branches.captures));
    Builder c{*graph};
    const Value u = graph->parameters[0], v = graph->parameters[1];
    if (i == 0) graph->results = {c.multiply(c.unary(Op::Tanh, u), c.unary(Op::Exponential, v)), c.sum(u, {0})};
    if (i == 1) graph->results = {c.multiply(v, v), c.full(c.dtype(v), 3)};
    if (i == 2) graph->results = {c.full_like(u, 2), c.sum(c.multiply(u, v), {0})};
    branches.regions.push_back(graph);
  }
  return branches;
}

Values with_case(Builder& b, const Values& p) { return add_branches(b, Op::Case, p[0], three_branches(b, p[1], p[2])); }
Values with_if(Builder& b, const Values& p) {
  Branches branches = three_branches(b, p[1], p[2]);
  branches.regions.erase(branches.regions.begin() + 1);
  return add_branches(b, Op::If, p[0], branches);
}

/// A recurrent cell: h = tanh(x u + h w + c), y = h * h; with what else is carried counted.
GraphPtr cell(const std::vector<TensorType>& types) {
  auto body = open("cell", types);
  Builder c{*body};
  const Values& q = body->parameters;  // u, w, c; h, n; x
  const auto product = [&](Value a, Value m) { return c.dot_general(a, m, {{}, {}, {1}, {0}}); };
  const Value sum = c.add(c.add(product(q[5], q[0]), product(q[3], q[1])), c.broadcast_to(q[2], c.shape(q[3])));
  const Value h = c.unary(Op::Tanh, sum);
  body->results = {h, c.add(q[4], c.full(DType::I32, 1)), c.multiply(h, h), q[4], q[5]};
  return body;
}

Values recurrent(Builder& b, const Values& p, bool reverse) {
  const Values operands{p[0], p[1], p[2], p[3], b.full(DType::I32, 5), p[4]};
  std::vector<TensorType> types = b.graph.types(operands);
  types.back() = slice_type(types.back());
  return b.graph.add(Op::Scan, operands, scan_attributes({3, 2, 1, 3, b.shape(p[4])[0], reverse}), {cell(types)});
}

/// A scan in a scan, with a branch in it: rows of a matrix are summed with weights, unless they begin with less than 0.
Values nested(Builder& b, const Values& p) {
  const DType dtype = b.dtype(p[0]);
  auto inner = open("inner", {{dtype, {}}, {dtype, {}}, {dtype, {}}});  // w; sum; x
  Builder c{*inner};
  const Values& q = inner->parameters;
  inner->results = {c.add(q[1], c.multiply(c.unary(Op::Sine, q[2]), q[0])), c.multiply(q[1], q[2])};
  auto outer = open("outer", {{dtype, {}}, {dtype, {3}}});
  Builder d{*outer};
  const Value state = outer->parameters[0], row = outer->parameters[1];
  const Values sums = outer->add(Op::Scan, {state, state, row}, scan_attributes({1, 1, 1, 1, 3, true}), {inner});
  Branches branches{{}, {sums[0], state}};
  for (int i = 0; i < 2; ++i) {
    auto branch = open("branch", {{dtype, {}}, {dtype, {}}});
    Builder e{*branch};
    branch->results = {i == 0 ? e.negate(branch->parameters[0])
                              : e.multiply(branch->parameters[0], branch->parameters[1])};
    branches.regions.push_back(branch);
  }
  const Value first = d.reshape(d.slice(row, {0}, {1}), {});
  const Value less = d.compare(first, d.full(dtype, 0), "LT");
  const Value next = add_branches(d, Op::If, less, branches)[0];
  outer->results = {d.unary(Op::Tanh, next), sums[1]};
  return b.graph.add(Op::Scan, {p[0], p[1]}, scan_attributes({0, 1, 1, 1, 4, false}), {outer});
}

/// A step that calls a checkpoint.
Values checkpointed(Builder& b, const Values& p) {
  const DType dtype = b.dtype(p[0]);
  auto inside = open("inside", {{dtype, {2}}, {dtype, {2}}});
  Builder c{*inside};
  inside->results = {c.unary(Op::Tanh, c.multiply(inside->parameters[0], inside->parameters[1]))};
  auto step = open("step", {{dtype, {2}}, {dtype, {2}}});
  const Value made =
      step->add1(Op::Call, step->parameters, {{"callee", std::string("inside")}, {"checkpoint", true}}, {inside});
  step->results = {made, made};
  return b.graph.add(Op::Scan, p, scan_attributes({0, 1, 1, 1, 3, false}), {step});
}

GraphPtr comparator(const std::vector<DType>& dtypes, const char* direction, const char* type) {
  auto graph = std::make_shared<Graph>("comparator");
  for (const DType dtype : dtypes)
    for (int i = 0; i < 2; ++i) graph->parameter({dtype, {}});
  Attributes attributes{{"comparison_direction", std::string(direction)}};
  if (type != nullptr) attributes.set("compare_type", std::string(type));
  graph->results = {graph->add1(Op::Compare, {graph->parameters[0], graph->parameters[1]}, attributes)};
  return graph;
}

Case sort_case(std::string name, std::vector<TensorType> types, std::int64_t dimension, const char* direction,
               const char* type = nullptr) {
  Case item;
  item.name = std::move(name);
  item.parameters = std::move(types);
  item.build = [=](Builder& b, const Values& p) {
    std::vector<DType> dtypes;
    for (const Value v : p) dtypes.push_back(b.dtype(v));
    return b.graph.add(Op::Sort, p, {{"dimension", dimension}, {"is_stable", true}},
                       {comparator(dtypes, direction, type)});
  };
  return item;
}

Case case_of(std::string name, std::vector<TensorType> types, std::function<Values(Builder&, const Values&)> build,
             std::vector<Range> ranges = {}) {
  Case item;
  item.name = std::move(name);
  item.parameters = std::move(types);
  item.build = std::move(build);
  item.ranges = std::move(ranges);
  item.differentiable = true;
  item.slack = 8;
  return item;
}

}  // namespace

std::vector<Case> control_cases() {
  const auto f32 = [](Shape shape) { return TensorType{DType::F32, std::move(shape)}; };
  const TensorType i32{DType::I32, {}};
  std::vector<Case> list;
  list.push_back(case_of("while", {i32, f32({3}), f32({3})}, halving_loop, {{0, 5}}));
  list.push_back(case_of("while that swaps", {f32({2}), f32({2})}, growing_loop));
  for (Case& item : list) item.forward_only = true;
  list.push_back(case_of("while that fills", {f32({4, 3}), f32({4, 3})}, filling_loop));

  list.push_back(case_of("case", {i32, f32({4}), f32({4})}, with_case, {{-1, 4}}));
  list.push_back(case_of("if", {{DType::Bool, {}}, f32({4}), f32({4})}, with_if));
  const std::vector<TensorType> weights{f32({4, 3}), f32({3, 3}), f32({3}), f32({2, 3}), f32({5, 2, 4})};
  for (const bool reverse : {false, true})
    list.push_back(case_of(reverse ? "scan backwards" : "scan", weights,
                           [=](Builder& b, const Values& p) { return recurrent(b, p, reverse); }));
  std::vector<TensorType> none = weights;
  none.back() = f32({0, 2, 4});
  list.push_back(case_of("scan of no steps", none, [](Builder& b, const Values& p) { return recurrent(b, p, false); }));
  list.push_back(case_of("scan in a scan", {f32({}), f32({4, 3})}, nested));
  list.push_back(case_of("scan of checkpoints", {f32({2}), f32({3, 2})}, checkpointed));

  for (const DType dtype : kDTypes) {
    const std::string suffix = " " + std::string(tessera::name(dtype));
    list.push_back(sort_case("sort" + suffix, {{dtype, {3, 11}}}, 1, "LT"));
    Case largest = case_of("top_k" + suffix, {{dtype, {3, 11}}}, [](Builder& b, const Values& p) {
      return b.graph.add(Op::TopK, p, {{"k", std::int64_t{4}}});
    });
    largest.differentiable = dtype == DType::F32;
    list.push_back(largest);
  }
  list.push_back(sort_case("sort of pairs", {{DType::I32, {5, 2, 3}}, f32({5, 2, 3})}, 0, "GT"));
  list.push_back(sort_case("sort by total order", {f32({9})}, 0, "LT", "TOTALORDER"));
  list.back().arguments = {Literal::from<float>({9}, {1, -0.0F, NAN, 0, -INFINITY, -NAN, 2, INFINITY, -3})};
  list.push_back(sort_case("sort and derivatives", {f32({2, 6}), f32({2, 6})}, 1, "LT"));
  list.back().differentiable = true;
  list.push_back(case_of("top_k of many", {f32({2, 50})}, [](Builder& b, const Values& p) {
    return b.graph.add(Op::TopK, p, {{"k", std::int64_t{40}}});
  }));
  // Long rows go by parts; equal elements in several of them, and a last part that is not whole.
  list.push_back(case_of("top_k of long rows", {f32({2, 403})}, [](Builder& b, const Values& p) {
    return b.graph.add(Op::TopK, p, {{"k", std::int64_t{5}}});
  }));
  list.push_back(case_of("top_k of equal elements", {{DType::I8, {2, 3, 600}}}, [](Builder& b, const Values& p) {
    return b.graph.add(Op::TopK, p, {{"k", std::int64_t{8}}});
  }));
  list.push_back(case_of("top_k of special values", {f32({9})}, [](Builder& b, const Values& p) {
    return b.graph.add(Op::TopK, p, {{"k", std::int64_t{9}}});
  }));
  list.back().differentiable = false;
  list.back().arguments = {Literal::from<float>({9}, {1, -0.0F, NAN, 0, -INFINITY, 1, 2, INFINITY, -3})};
  return list;
}

}  // namespace tessera::cases
