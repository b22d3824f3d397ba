// Rows of control flow: while, if, case as StableHLO has them, and scan: a loop of a known number of steps that is
// written as the composite "tessera.scan", whose body is a while. Derivatives and vectorisation stand in
// transform/control.cpp, since they go into the regions.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tessera/ir/control.hpp"
#include "tessera/ir/elementwise_rules.hpp"
#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {
namespace {

using rules::require;

constexpr const char* kSameTypes = "a value that is carried keeps its element type and shape from step to step";

// ---- while ----

std::vector<TensorType> infer_while(const InferContext& c) {
  require(c.regions.size() == 2, "takes two regions: the condition, and the body");
  require_types("the parameters of the condition", c.regions[0]->parameter_types(), c.operands);
  const TensorType flag{DType::Bool, {}};
  require_types("the results of the condition", c.regions[0]->result_types(), {&flag, 1});
  require_types("the parameters of the body", c.regions[1]->parameter_types(), c.operands);
  require_types("the results of the body", c.regions[1]->result_types(), c.operands, kSameTypes);
  return {c.operands.begin(), c.operands.end()};
}

std::vector<Literal> evaluate_while(const Node& node, std::span<const Literal> in) {
  std::vector<Literal> state(in.begin(), in.end());
  while (interpret(*node.regions[0], state)[0].get_integer(0) != 0) state = interpret(*node.regions[1], state);
  return state;
}

/// One step: how many there are is not known.
Cost while_cost(const Node& node, std::span<const TensorType>, std::span<const TensorType>) {
  return {operation_count(*node.regions[0]) + operation_count(*node.regions[1])};
}

// ---- if and case ----

std::vector<TensorType> infer_branches(const InferContext& c) {
  const std::span<const TensorType> captures = c.operands.subspan(1);
  for (std::size_t i = 0; i < c.regions.size(); ++i) {
    require_types(fmt::format("the parameters of branch {}", i).c_str(), c.regions[i]->parameter_types(), captures);
    require_types(fmt::format("the results of branch {}", i).c_str(), c.regions[i]->result_types(),
                  c.regions[0]->result_types(), "all branches return values of the same types");
  }
  return c.regions[0]->result_types();
}

std::vector<TensorType> infer_if(const InferContext& c) {
  require(
      !c.operands.empty() && c.operands[0] == TensorType{DType::Bool, {}},
      "the condition must be one bool" + (c.operands.empty() ? std::string() : ", not " + to_string(c.operands[0])));
  require(c.regions.size() == 2, "takes two regions: for true, and for false");
  return infer_branches(c);
}

std::vector<TensorType> infer_case(const InferContext& c) {
  require(!c.operands.empty() && c.operands[0] == TensorType{DType::I32, {}},
          "the index of the branch must be one i32" +
              (c.operands.empty() ? std::string() : ", not " + to_string(c.operands[0])));
  require(!c.regions.empty(), "takes one region for each branch");
  return infer_branches(c);
}

std::vector<Literal> evaluate_branches(const Node& node, std::span<const Literal> in) {
  return interpret(*node.regions[branch_of(node, in[0].get_integer(0))], in.subspan(1));
}

Cost branches_cost(const Node& node, std::span<const TensorType>, std::span<const TensorType>) {
  double most = 0;
  for (const GraphPtr& region : node.regions) most = std::max(most, operation_count(*region));
  return {most};
}

// ---- scan ----

std::vector<TensorType> infer_scan(const InferContext& c) {
  const std::int64_t constants = integer_of(c.attributes, "constants"), carried = integer_of(c.attributes, "carried");
  const std::int64_t length = integer_of(c.attributes, "length");
  const auto count = static_cast<std::int64_t>(c.operands.size());
  require(constants >= 0 && constants <= count && carried >= 0 && carried <= count - constants,
          fmt::format("has {} constants and {} carried values for {} operands", constants, carried, count));
  require(length >= 0, fmt::format("the number of steps must not be negative, it is {}", length));
  require(c.regions.size() == 1, "takes one region, the body");
  std::vector<TensorType> parameters(c.operands.begin(), c.operands.end());
  for (std::size_t i = at(constants + carried); i < parameters.size(); ++i) {
    require(!parameters[i].shape.empty() && parameters[i].shape[0] == length,
            fmt::format("operand {} is sliced along dimension 0, which must have the length {}: it is {}", i, length,
                        to_string(parameters[i])));
    parameters[i] = slice_type(parameters[i]);
  }
  require_types("the parameters of the body", c.regions[0]->parameter_types(), parameters);
  std::vector<TensorType> results = c.regions[0]->result_types();
  require(static_cast<std::int64_t>(results.size()) >= carried,
          fmt::format("the body must return the {} carried values first", carried));
  const auto split = results.begin() + carried;
  require_types("the first results of the body", {results.begin(), split},
                c.operands.subspan(at(constants), at(carried)), kSameTypes);
  for (auto result = split; result != results.end(); ++result) {
    Shape shape = result->shape;
    shape.insert(shape.begin(), length);
    *result = checked_type(result->dtype, shape);
  }
  return results;
}

std::vector<Literal> evaluate_scan(const Node& node, std::span<const Literal> in) {
  const ScanParts parts = scan_parts(node);
  std::vector<Literal> arguments(in.begin(), in.end());
  std::vector<Literal> results(parts.carried);
  const std::vector<TensorType> types = node.regions[0]->result_types();
  for (std::size_t i = parts.carried; i < types.size(); ++i) results.emplace_back(stacked_type(types[i], parts.length));
  for (std::int64_t step = 0; step < parts.length; ++step) {
    const auto position = at(parts.reverse ? parts.length - 1 - step : step);
    for (std::size_t i = parts.first_sliced(); i < in.size(); ++i) {
      arguments[i] = Literal(slice_type(in[i].type()));
      std::memcpy(arguments[i].data(), in[i].data() + position * arguments[i].bytes(), arguments[i].bytes());
    }
    const std::vector<Literal> made = interpret(*node.regions[0], arguments);
    std::copy_n(made.begin(), parts.carried, arguments.begin() + static_cast<std::ptrdiff_t>(parts.constants));
    for (std::size_t i = parts.carried; i < made.size(); ++i)
      std::memcpy(results[i].data() + position * made[i].bytes(), made[i].data(), made[i].bytes());
  }
  std::copy_n(arguments.begin() + static_cast<std::ptrdiff_t>(parts.constants), parts.carried, results.begin());
  return results;
}

Cost scan_cost(const Node& node, std::span<const TensorType>, std::span<const TensorType>) {
  return {static_cast<double>(node.attributes.integer("length")) * operation_count(*node.regions[0])};
}

Primitive control_row(Op op, std::string_view doc, InferRule infer, EvaluateRule evaluate, CostRule cost) {
  const Unsupported by_transform = unsupported("the transforms enter its regions themselves");
  return {.op = op,
          .doc = doc,
          .infer = std::move(infer),
          .evaluate = std::move(evaluate),
          .jvp = by_transform,
          .transpose = by_transform,
          .batch = by_transform,
          .loop = unsupported("its regions are programs that backends run"),
          .decompose = unsupported("backends run it as it is"),
          .cost = std::move(cost)};
}

}  // namespace

ScanParts scan_parts(const Node& node) {
  ScanParts parts;
  parts.constants = at(node.attributes.integer("constants"));
  parts.carried = at(node.attributes.integer("carried"));
  parts.sliced = node.regions[0]->parameters.size() - parts.first_sliced();
  parts.stacked = node.regions[0]->results.size() - parts.carried;
  parts.length = node.attributes.integer("length");
  parts.reverse = node.attributes.boolean("reverse", false);
  return parts;
}

Attributes scan_attributes(const ScanParts& parts) {
  return {{"constants", static_cast<std::int64_t>(parts.constants)},
          {"carried", static_cast<std::int64_t>(parts.carried)},
          {"length", parts.length},
          {"reverse", parts.reverse}};
}

TensorType stacked_type(const TensorType& type, std::int64_t length) {
  return {type.dtype, prepended(length, type.shape)};
}

TensorType slice_type(const TensorType& type) { return {type.dtype, Shape(type.shape.begin() + 1, type.shape.end())}; }

std::size_t branch_of(const Node& node, std::int64_t value) {
  if (node.op == Op::If) return value != 0 ? 0 : 1;
  const auto count = static_cast<std::int64_t>(node.regions.size());
  return at(value < 0 || value >= count ? count - 1 : value);
}

Branches in_order_of_use(const Branches& branches) {
  std::vector<std::size_t> order;
  std::vector<bool> seen(branches.captures.size(), false);
  for (const GraphPtr& region : branches.regions) {
    std::vector<std::int64_t> position(region->values.size(), -1);
    for (std::size_t i = 0; i < region->parameters.size(); ++i)
      position[at(region->parameters[i])] = static_cast<std::int64_t>(i);
    const auto use = [&](const Values& values) {
      for (const Value v : values)
        if (const std::int64_t i = position[at(v)]; i >= 0 && !seen[at(i)]) {
          seen[at(i)] = true;
          order.push_back(at(i));
        }
    };
    for (const Node& node : region->nodes) use(node.operands);
    use(region->results);
  }
  Branches ordered;
  for (const std::size_t i : order) ordered.captures.push_back(branches.captures[i]);
  for (const GraphPtr& region : branches.regions) {
    auto copy = std::make_shared<Graph>(region->name);
    Values arguments(region->parameters.size(), kZero);
    for (const std::size_t i : order) arguments[i] = copy->parameter(region->type(region->parameters[i]));
    copy->results = copy->inline_graph(*region, arguments);
    ordered.regions.push_back(std::move(copy));
  }
  return ordered;
}

Values add_branches(Builder& build, Op op, Value selector, const Branches& branches) {
  const Branches ordered = in_order_of_use(branches);
  Values operands{selector};
  operands.insert(operands.end(), ordered.captures.begin(), ordered.captures.end());
  return build.graph.add(op, operands, {}, ordered.regions, build.location);
}

/// Carried: the number of the step, constants, what the scan carries, what it slices, its stacked results.
Values scan_as_while(Builder& build, const Node& node, const Values& operands) {
  const ScanParts parts = scan_parts(node);
  const Graph& step = *node.regions[0];
  Values initial{build.full(DType::I32, 0)};
  initial.insert(initial.end(), operands.begin(), operands.end());
  for (std::size_t i = 0; i < parts.stacked; ++i) {
    const TensorType type = stacked_type(step.type(step.results[parts.carried + i]), parts.length);
    initial.push_back(build.full(type.dtype, 0, type.shape));
  }
  if (parts.length == 0) {
    Values results(operands.begin() + static_cast<std::ptrdiff_t>(parts.constants),
                   operands.begin() + static_cast<std::ptrdiff_t>(parts.first_sliced()));
    results.insert(results.end(), initial.end() - static_cast<std::ptrdiff_t>(parts.stacked), initial.end());
    return results;
  }
  const auto open = [&](const char* name) {
    auto graph = std::make_shared<Graph>(name);
    for (const Value v : initial) graph->parameter(build.type(v));
    return graph;
  };
  const auto condition = open("condition");
  Builder c{*condition, node.location};
  condition->results = {
      c.compare(condition->parameters[0], c.full(DType::I32, static_cast<double>(parts.length)), "LT")};

  const auto body = open("body");
  Builder b{*body, node.location};
  const Values p = body->parameters;
  const Value position =
      parts.reverse ? b.subtract(b.full(DType::I32, static_cast<double>(parts.length - 1)), p[0]) : p[0];
  const auto starts = [&](Value stack) {
    Values list{position};
    for (std::size_t d = 1; d < b.shape(stack).size(); ++d) list.push_back(b.full(DType::I32, 0));
    return list;
  };
  Values arguments(p.begin() + 1, p.begin() + 1 + static_cast<std::ptrdiff_t>(operands.size()));
  for (std::size_t i = parts.first_sliced(); i < operands.size(); ++i) {
    const Value stack = arguments[i];
    Values slice{stack};
    for (const Value v : starts(stack)) slice.push_back(v);
    Integers sizes = b.shape(stack);
    sizes[0] = 1;
    arguments[i] = b.reshape(body->add1(Op::DynamicSlice, slice, {{"slice_sizes", sizes}}, {}, node.location),
                             slice_type(b.type(stack)).shape);
  }
  const Values made = body->inline_graph(step, arguments);
  Values next(p);
  next[0] = b.add(p[0], b.full(DType::I32, 1));
  for (std::size_t i = 0; i < parts.carried; ++i) next[1 + parts.constants + i] = made[i];
  for (std::size_t i = 0; i < parts.stacked; ++i) {
    Value& stack = next[1 + operands.size() + i];
    const Value part = made[parts.carried + i];
    Values update{stack, b.reshape(part, prepended(1, b.shape(part)))};
    for (const Value v : starts(stack)) update.push_back(v);
    stack = body->add1(Op::DynamicUpdateSlice, update, {}, {}, node.location);
  }
  body->results = next;
  const Values all = build.graph.add(Op::While, initial, {}, {condition, body}, node.location);
  Values results;
  for (std::size_t i = 0; i < parts.carried; ++i) results.push_back(all[1 + parts.constants + i]);
  for (std::size_t i = 0; i < parts.stacked; ++i) results.push_back(all[1 + operands.size() + i]);
  return results;
}

std::vector<Primitive> control_rows() {
  std::vector<Primitive> rows = {
      control_row(Op::While, "Runs the body on what it carries as long as the condition holds.", infer_while,
                  evaluate_while, while_cost),
      control_row(Op::If, "Runs one of two regions.", infer_if, evaluate_branches, branches_cost),
      control_row(Op::Case, "Runs the region with this number; the last one when there is none.", infer_case,
                  evaluate_branches, branches_cost),
      control_row(Op::Scan,
                  "A loop over slices: carries values from step to step, and stacks what each step gives beside them.",
                  infer_scan, evaluate_scan, scan_cost)};
  rows[0].transpose = unsupported(
      "how often a while runs is not known beforehand, so nothing can be kept for the way back; use scan, or a "
      "fori_loop whose bounds are numbers");
  return rows;
}

}  // namespace tessera::ir
