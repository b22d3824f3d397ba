// Loops and branches on flat arrays: traced bodies become regions; what they use from outside becomes constants of a
// scan, values that a while carries along, operands of a branch.
#include "tessera/array/flow.hpp"

#include <algorithm>

#include "tessera/array/ops.hpp"
#include "tessera/ir/control.hpp"

namespace tessera::detail {
namespace {

using ir::Graph;
using ir::Op;
using Arrays = std::vector<Array>;

std::ptrdiff_t offset(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

void append(Arrays& to, std::span<const Array> more) { to.insert(to.end(), more.begin(), more.end()); }

/// What is carried comes out of the body as it went in.
void check_carried(const char* operation, const Graph& body, std::size_t first_parameter, std::size_t first_result,
                   std::size_t count, const std::vector<std::string>& names, Location at) {
  for (std::size_t i = 0; i < count; ++i) {
    const TensorType& in = body.type(body.parameters[first_parameter + i]);
    const TensorType& out = body.type(body.results[first_result + i]);
    if (in == out) continue;
    const ir::Node* made_by = body.producer(body.results[first_result + i]);
    const std::string name = names[i].empty() ? "the carried value" : "the carried value '" + names[i] + "'";
    throw_usage(at, std::string(operation) + ": " + name + " changes its type from step to step: it goes in as " +
                        to_string(in) + " and comes out as " + to_string(out) +
                        (made_by != nullptr && made_by->location.known() ? ", made at " + to_string(made_by->location)
                                                                         : std::string()) +
                        "\n  hint: begin with the type that the body returns, or convert in the body with astype, " +
                        "reshape or broadcast_to");
  }
}

/// Arrays that several bodies use from outside, each once, and for each body where its own stand among them.
struct Captured {
  Arrays all;
  std::vector<std::vector<std::size_t>> places;
};
Captured united(std::initializer_list<const Traced*> bodies) {
  Captured captured;
  for (const Traced* body : bodies) {
    std::vector<std::size_t>& places = captured.places.emplace_back();
    for (const Array& array : body->captured) {
      const auto known = std::find_if(captured.all.begin(), captured.all.end(),
                                      [&](const Array& other) { return other.state() == array.state(); });
      places.push_back(static_cast<std::size_t>(known - captured.all.begin()));
      if (known == captured.all.end()) captured.all.push_back(array);
    }
  }
  return captured;
}

/// The body with parameters for all that is captured, behind its own.
std::shared_ptr<Graph> with_captured(const Traced& body, const Captured& captured, std::size_t which) {
  auto graph = std::make_shared<Graph>(*body.graph);
  const std::vector<std::size_t>& places = captured.places[which];
  const ir::Values hidden(graph->parameters.end() - offset(places.size()), graph->parameters.end());
  graph->parameters.resize(graph->parameters.size() - places.size());
  for (std::size_t i = 0; i < captured.all.size(); ++i) {
    const auto at = std::find(places.begin(), places.end(), i);
    if (at != places.end())
      graph->parameters.push_back(hidden[static_cast<std::size_t>(at - places.begin())]);
    else
      graph->parameter(captured.all[i].type());
  }
  return graph;
}

Arrays add_scan(const ir::GraphPtr& step, ir::ScanParts parts, std::int64_t length, std::span<const Array> operands,
                Location at) {
  parts.length = length;
  return apply(Op::Scan, operands, ir::scan_attributes(parts), {step}, at);
}

/// `length` steps as one call whose intermediate values are computed again in reverse mode.
ir::GraphPtr checkpointed(const ir::GraphPtr& step, ir::ScanParts parts, std::int64_t length, Location at) {
  parts.length = length;
  auto inner = std::make_shared<Graph>("steps");
  for (std::size_t i = 0; i < step->parameters.size(); ++i) {
    const TensorType& type = step->type(step->parameters[i]);
    inner->parameter(i < parts.first_sliced() ? type : ir::stacked_type(type, length));
  }
  inner->results = inner->add(Op::Scan, inner->parameters, ir::scan_attributes(parts), {step}, at);
  auto outer = std::make_shared<Graph>("checkpoint");
  for (const TensorType& type : inner->parameter_types()) outer->parameter(type);
  outer->results =
      outer->add(Op::Call, outer->parameters, {{"callee", inner->name}, {"checkpoint", true}}, {inner}, at);
  return outer;
}

/// A scan over pieces of `every` steps, and what is left.
Arrays scan_in_pieces(const ir::GraphPtr& step, const ir::ScanParts& parts, std::span<const Array> operands,
                      std::int64_t every, Location at) {
  const std::int64_t pieces = parts.length / every, rest = parts.length % every;
  Arrays carried(operands.begin(), operands.begin() + offset(parts.first_sliced()));
  Arrays whole, left;  // results of the pieces, and of what is left
  const auto part = [](const Array& x, std::int64_t start, std::int64_t count) {
    return x.at(slice(start, start + count));
  };
  const auto take = [&](const Arrays& made, Arrays& results) {
    std::copy_n(made.begin(), parts.carried, carried.begin() + offset(parts.constants));
    results.assign(made.begin() + offset(parts.carried), made.end());
  };
  const auto run_rest = [&] {
    if (rest == 0) return;
    Arrays all = carried;
    for (const Array& x : operands.subspan(parts.first_sliced())) all.push_back(part(x, parts.length - rest, rest));
    const ir::GraphPtr call = checkpointed(step, parts, rest, at);
    take(apply(Op::Call, all, {{"callee", call->name}}, {call}, at), left);
  };
  if (parts.reverse) run_rest();
  if (pieces > 0) {
    Arrays all = carried;
    for (const Array& x : operands.subspan(parts.first_sliced())) {
      Shape shape{pieces, every};
      shape.insert(shape.end(), x.shape().begin() + 1, x.shape().end());
      all.push_back(reshape(part(x, 0, pieces * every), shape));
    }
    take(add_scan(checkpointed(step, parts, every, at), parts, pieces, all, at), whole);
    for (Array& y : whole) {
      Shape shape(y.shape().begin() + 1, y.shape().end());
      shape[0] = pieces * every;
      y = reshape(y, shape);
    }
  }
  if (!parts.reverse) run_rest();
  Arrays results(carried.begin() + offset(parts.constants), carried.end());
  for (std::size_t i = 0; i < std::max(whole.size(), left.size()); ++i)
    results.push_back(whole.empty() ? left[i] : left.empty() ? whole[i] : concatenate({whole[i], left[i]}, 0));
  return results;
}

}  // namespace

std::int64_t scan_length(std::span<const Array> sliced, const ScanOptions& options, Location at) {
  std::optional<std::int64_t> length = options.length;
  for (std::size_t i = 0; i < sliced.size(); ++i) {
    if (sliced[i].empty()) throw_usage(at, "scan: array " + std::to_string(i) + " of what is sliced is empty");
    if (sliced[i].rank() == 0)
      throw_usage(at, "scan goes through slices along dimension 0; array " + std::to_string(i) + " is " +
                          to_string(sliced[i].type()) + "\n  hint: what is the same in all steps is used from outside");
    const std::int64_t extent = sliced[i].shape(0);
    if (length && *length != extent)
      throw_usage(at, "scan: " + std::to_string(*length) + " steps, but array " + std::to_string(i) +
                          " of what is sliced has " + std::to_string(extent) + " slices (" +
                          to_string(sliced[i].type()) + ")");
    length = extent;
  }
  if (!length) throw_usage(at, "scan has nothing to slice; say how many steps there are: {.length = n}");
  if (*length < 0) throw_usage(at, "scan: the number of steps is " + std::to_string(*length));
  if (options.checkpoint < 0)
    throw_usage(at, "scan: checkpoint is a number of steps, or 0; it is " + std::to_string(options.checkpoint));
  return *length;
}

TensorType without_first(const TensorType& type) { return ir::slice_type(type); }

std::vector<Array> apply_scan(const Traced& step, std::span<const Array> carried, std::span<const Array> sliced,
                              std::int64_t length, const ScanOptions& options, bool carried_last,
                              const std::vector<std::string>& names, Location at) {
  auto graph = std::make_shared<Graph>(*step.graph);
  const std::size_t count = carried.size();
  if (graph->results.size() < count)
    throw_usage(at, "scan: the body returns " + std::to_string(graph->results.size()) + " arrays, fewer than the " +
                        std::to_string(count) + " that are carried");
  if (carried_last) std::rotate(graph->results.begin(), graph->results.end() - offset(count), graph->results.end());
  check_carried("scan", *graph, 0, 0, count, names, at);
  // Captured arrays come first.
  std::rotate(graph->parameters.begin(), graph->parameters.begin() + offset(count + sliced.size()),
              graph->parameters.end());
  Arrays operands = step.captured;
  append(operands, carried);
  append(operands, sliced);
  const ir::ScanParts parts{step.captured.size(),          count,  sliced.size(),
                            graph->results.size() - count, length, options.reverse};
  if (options.checkpoint > 0) return scan_in_pieces(graph, parts, operands, options.checkpoint, at);
  return add_scan(graph, parts, length, operands, at);
}

std::vector<Array> apply_while(const Traced& condition, const Traced& body, std::span<const Array> carried,
                               const std::vector<std::string>& names, Location at) {
  const std::vector<TensorType> answer = condition.graph->result_types();
  if (answer != std::vector{TensorType{DType::Bool, {}}})
    throw_usage(at, "while_loop: the condition returns one bool of no dimensions, not " +
                        (answer.size() == 1 ? to_string(answer[0]) : std::to_string(answer.size()) + " arrays") +
                        "\n  hint: compare, and reduce with all or any");
  if (body.graph->results.size() != carried.size())
    throw_usage(at, "while_loop: the body returns " + std::to_string(body.graph->results.size()) + " arrays, and " +
                        std::to_string(carried.size()) + " are carried");
  check_carried("while_loop", *body.graph, 0, 0, carried.size(), names, at);
  const Captured captured = united({&condition, &body});
  const auto test = with_captured(condition, captured, 0), step = with_captured(body, captured, 1);
  // What is captured stays as it is.
  step->results.insert(step->results.end(), step->parameters.begin() + offset(carried.size()), step->parameters.end());
  Arrays operands(carried.begin(), carried.end());
  append(operands, captured.all);
  Arrays made = apply(Op::While, operands, {}, {test, step}, at);
  made.resize(carried.size());
  return made;
}

std::vector<Array> apply_if(const Operand& condition, const Traced& yes, const Traced& no,
                            std::span<const Array> arguments, Location at) {
  const Array selector = condition.as(condition.dtype());
  if (selector.type() != TensorType{DType::Bool, {}}) {
    const Array operands[] = {selector};
    throw_operand_error("cond", at, operands, "the condition must be one bool",
                        "compare, and reduce with all or any; to choose element by element, use where");
  }
  const std::vector<TensorType> first = yes.graph->result_types(), second = no.graph->result_types();
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i)
    if (i >= first.size() || i >= second.size() || first[i] != second[i])
      throw_usage(at, "cond: the branches return different types: result " + std::to_string(i) + " is " +
                          (i < first.size() ? to_string(first[i]) : "missing") + " where the condition holds, and " +
                          (i < second.size() ? to_string(second[i]) : "missing") + " where it does not");
  const Captured captured = united({&yes, &no});
  ir::Branches branches{{with_captured(yes, captured, 0), with_captured(no, captured, 1)}, {}};
  // Which arrays the branches use, in the order of the text.
  for (std::size_t i = 0; i < arguments.size() + captured.all.size(); ++i)
    branches.captures.push_back(static_cast<ir::Value>(i));
  branches = ir::in_order_of_use(branches);
  Arrays operands{selector};
  for (const ir::Value v : branches.captures) {
    const auto i = static_cast<std::size_t>(v);
    operands.push_back(i < arguments.size() ? arguments[i] : captured.all[i - arguments.size()]);
  }
  return apply(Op::If, operands, {}, branches.regions, at);
}

}  // namespace tessera::detail
