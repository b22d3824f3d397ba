// Elements of values as kernel expressions. In: a fused graph, an open kernel. Out: expressions, and the statements
// that loop rules put before them. pass/schedule.cpp opens the loops around them.
#include "tessera/pass/emit.hpp"

#include <algorithm>

namespace tessera::pass {

using ir::Index;
using ir::Value;
using kernel::Expr;
using kernel::kNone;

namespace {

/// The element of a node of the graph.
class GraphLoop final : public ir::LoopContext {
 public:
  GraphLoop(Emitter& emitter, const ir::Node& n, Expr predicate)
      : LoopContext(emitter.b, n), emitter_(emitter), predicate_(predicate) {}
  [[nodiscard]] const TensorType& operand_type(std::size_t i) const override {
    return emitter_.graph_.type(node.operands[i]);
  }
  [[nodiscard]] const TensorType& result_type(std::size_t i) const override {
    return emitter_.graph_.type(node.results[i]);
  }
  Expr operand(std::size_t i, const Index& at, Expr predicate) override {
    Expr both = predicate_;
    if (predicate != kNone) both = both == kNone ? predicate : kernel.logical_and(both, predicate);
    return emitter_.element(node.operands[i], at, both);
  }
  std::vector<Expr> apply(const ir::Graph& region, const std::vector<Expr>& arguments) override {
    return emitter_.apply(region, arguments);
  }

 private:
  Emitter& emitter_;
  Expr predicate_;
};

/// The element of a node of a region, whose values are all scalars.
class RegionLoop final : public ir::LoopContext {
 public:
  RegionLoop(Emitter& emitter, const ir::Graph& region, const ir::Node& n, const std::vector<Expr>& values)
      : LoopContext(emitter.b, n), emitter_(emitter), region_(region), values_(values) {}
  [[nodiscard]] const TensorType& operand_type(std::size_t i) const override { return region_.type(node.operands[i]); }
  [[nodiscard]] const TensorType& result_type(std::size_t i) const override { return region_.type(node.results[i]); }
  Expr operand(std::size_t i, const Index& /*at*/, Expr /*predicate*/) override {
    return values_[static_cast<std::size_t>(node.operands[i])];
  }
  std::vector<Expr> apply(const ir::Graph& region, const std::vector<Expr>& arguments) override {
    return emitter_.apply(region, arguments);
  }

 private:
  Emitter& emitter_;
  const ir::Graph& region_;
  const std::vector<Expr>& values_;
};

const ir::LoopRule& loop_rule(const ir::Node& node) {
  const ir::Primitive& row = ir::primitive(node.op);
  if (!row.loop)
    throw Error(ErrorKind::Unsupported, to_string(node.location) + (node.location.known() ? ": " : "") +
                                            std::string(ir::name(node.op)) + " has no loop form" +
                                            (row.loop.why().empty() ? "" : ": " + row.loop.why()));
  return *row.loop;
}

bool rounds(ir::Op op) {
  return ir::family(op) != ir::Family::Movement && op != ir::Op::Select && op != ir::Op::OptimizationBarrier;
}

}  // namespace

std::int32_t Emitter::argument(Value value, bool written) {
  const Value owner = fusion_.storage_of(value);
  const auto found = arguments_.find(owner);
  if (found != arguments_.end()) {
    if (written) kernel_.arguments[static_cast<std::size_t>(found->second)].written = true;
    return found->second;
  }
  const TensorType& type = graph_.type(owner);
  const std::int32_t made = b.argument("v" + std::to_string(owner), type.dtype, element_count(type.shape), written);
  buffers.push_back(buffer_of_[static_cast<std::size_t>(owner)]);
  once.push_back(true);
  arguments_[owner] = made;
  return made;
}

Emitter::Path Emitter::path() const {
  Path path;
  const std::vector<kernel::Statement>* block = &kernel_.body;
  for (std::size_t d = 0; d < b.depth(); ++d) {
    path.push_back(block->size() - 1);
    block = &block->back().body;
  }
  return path;
}

Expr Emitter::rounded(Expr e, DType dtype) {
  if (compute_type(dtype) == dtype) return e;
  return b.convert(DType::F32, b.convert(dtype, e));
}

Expr Emitter::literal(const Literal& value, std::int64_t element) {
  const DType dtype = compute_type(value.dtype());
  return is_float(dtype) ? b.constant(dtype, value.get_double(element)) : b.integer(dtype, value.get_integer(element));
}

Expr Emitter::linear(const Shape& shape, const Index& at) {
  Expr flat = b.index(0);
  for (std::size_t d = 0; d < shape.size(); ++d) flat = b.add(b.mul(flat, b.index(shape[d])), at[d]);
  return flat;
}

Index Emitter::delinear(Expr flat, const Shape& shape) {
  Index at(shape.size());
  std::int64_t stride = 1;
  std::size_t left = 0;  // the outermost dimension that is not trivial needs no remainder
  while (left < shape.size() && shape[left] == 1) ++left;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] <= 1) {
      at[d] = b.index(0);
      continue;
    }
    Expr e = stride == 1 ? flat : b.binary(kernel::Op::Divide, flat, b.index(stride));
    if (d > left) e = b.binary(kernel::Op::Remainder, e, b.index(shape[d]));
    at[d] = e;
    stride *= shape[d];
  }
  return at;
}

Index Emitter::split_index(Expr row, Expr column, const Shape& shape, std::size_t prefix) {
  const auto middle = shape.begin() + static_cast<std::ptrdiff_t>(prefix);
  Index at = delinear(row, Shape(shape.begin(), middle));
  const Index rest = delinear(column, Shape(middle, shape.end()));
  at.insert(at.end(), rest.begin(), rest.end());
  return at;
}

Expr Emitter::element(Value value, const Index& at, Expr predicate) {
  const ir::Node* node = graph_.producer(value);
  if (node != nullptr && node->op == ir::Op::Constant) {
    const Literal& constant = node->attributes.literal("value");
    if (constant.is_splat() && constant.size() > 0) return literal(constant, 0);
  }
  const TensorType& type = graph_.type(value);
  const auto held = held_.find(value);
  if (held != held_.end()) {
    const Expr place = held->second.place == kNone ? b.index(0) : held->second.place;
    if (!held->second.row) return b.read(held->second.local, place);
    const auto middle = static_cast<std::ptrdiff_t>(held->second.prefix);
    Expr column = linear(Shape(type.shape.begin() + middle, type.shape.end()), Index(at.begin() + middle, at.end()));
    if (predicate != kNone) column = b.select(predicate, column, b.index(0));
    return b.read(held->second.local, b.add(place, column));
  }
  if (fusion_.has_buffer(value) && !withheld_.contains(fusion_.storage_of(value))) {
    const Expr flat = linear(type.shape, at);
    const Expr loaded = b.convert(compute_type(type.dtype), b.load(argument(value), flat, predicate));
    return on_load && predicate == kNone ? on_load(fusion_.storage_of(value), flat, loaded) : loaded;
  }
  const Path here = path();
  const Key key{value, at, predicate};
  const auto known = memo_.find(key);
  if (known != memo_.end()) {
    const Path& there = known->second.path;
    if (there.size() <= here.size() && std::equal(there.begin(), there.end(), here.begin())) return known->second.expr;
  }
  const Expr made = computed(value, at, predicate);
  memo_[key] = {made, here};
  return made;
}

Expr Emitter::computed(Value value, const Index& at, Expr predicate) {
  const ir::Node* node = graph_.producer(value);
  if (node == nullptr) throw Error("a parameter has no buffer in the fused program");
  const auto result =
      static_cast<std::size_t>(std::find(node->results.begin(), node->results.end(), value) - node->results.begin());
  if (node->op == ir::Op::OptimizationBarrier) return element(node->operands[result], at, predicate);
  if (node->op == ir::Op::Reshape) {  // here, so that flat indices are recognised
    const Shape& from = graph_.shape(node->operands[0]);
    return element(node->operands[0], delinear(linear(graph_.shape(value), at), from), predicate);
  }
  GraphLoop context(*this, *node, predicate);
  context.index = at;
  context.result = result;
  const Expr e = loop_rule(*node)(context);
  return rounds(node->op) ? rounded(e, graph_.dtype(value)) : e;
}

void Emitter::store(Value value, const Index& at, Expr e, Expr predicate) {
  const TensorType& type = graph_.type(value);
  const std::int32_t to = argument(value, true);
  if (updating_) once[static_cast<std::size_t>(to)] = false;
  b.store(to, linear(type.shape, at), b.convert(type.dtype, e), predicate);
}

ir::ScatterTarget Emitter::scatter_target(const ir::Node& node, const Index& update) {
  GraphLoop context(*this, node, kNone);
  return ir::scatter_target(context, update);
}

std::vector<Expr> Emitter::apply(const ir::Graph& region, const std::vector<Expr>& arguments) {
  std::vector<Expr> values(region.values.size(), kNone);
  for (std::size_t i = 0; i < arguments.size(); ++i)
    values[static_cast<std::size_t>(region.parameters[i])] = arguments[i];
  for (const ir::Node& node : region.nodes) {
    if (node.op == ir::Op::Constant) {
      values[static_cast<std::size_t>(node.results[0])] = literal(node.attributes.literal("value"), 0);
      continue;
    }
    if (node.op == ir::Op::Call || node.op == ir::Op::Composite || node.op == ir::Op::OptimizationBarrier) {
      std::vector<Expr> operands;
      for (const Value v : node.operands) operands.push_back(values[static_cast<std::size_t>(v)]);
      const std::vector<Expr> results =
          node.op == ir::Op::OptimizationBarrier ? operands : apply(*node.regions[0], operands);
      for (std::size_t i = 0; i < results.size(); ++i) values[static_cast<std::size_t>(node.results[i])] = results[i];
      continue;
    }
    for (std::size_t r = 0; r < node.results.size(); ++r) {
      RegionLoop context(*this, region, node, values);
      context.result = r;
      const Value made = node.results[r];
      values[static_cast<std::size_t>(made)] = rounded(loop_rule(node)(context), region.dtype(made));
    }
  }
  std::vector<Expr> results;
  for (const Value v : region.results) results.push_back(values[static_cast<std::size_t>(v)]);
  return results;
}

}  // namespace tessera::pass
