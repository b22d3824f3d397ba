// Cases of dynamic slices, gather and scatter: indices inside, outside and at the edge; every kind of dimension number.
#include "cases.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

/// Dimension numbers under neutral names: a window runs along `window` of the result or the updates.
struct Numbers {
  std::string name;
  Shape operand, indices, many;
  Integers window, dropped, operand_batching, indices_batching, map;
  std::int64_t vector;
  Integers sizes;
};

const std::vector<Numbers>& all_numbers() {
  static const std::vector<Numbers> list = {
      {"rows", {5, 3}, {4, 1}, {4, 3}, {1}, {0}, {}, {}, {0}, 1, {1, 3}},
      {"rows of a matrix of indices", {5, 3}, {2, 4}, {2, 4, 3}, {2}, {0}, {}, {}, {0}, 2, {1, 3}},
      {"points", {4, 5}, {6, 2}, {6}, {}, {0, 1}, {}, {}, {0, 1}, 1, {1, 1}},
      {"windows", {4, 5}, {3, 2}, {3, 2, 3}, {1, 2}, {}, {}, {}, {1, 0}, 1, {2, 3}},
      {"index vector first", {4, 5}, {2, 3}, {2, 3, 3}, {0, 2}, {}, {}, {}, {1, 0}, 0, {2, 3}},
      {"index vector between", {3, 4, 5}, {2, 2, 3}, {2, 2, 3, 3}, {0, 3}, {1}, {}, {}, {1, 2}, 1, {2, 1, 3}},
      {"batching", {3, 4, 2}, {3, 2, 1}, {3, 2, 2}, {2}, {1}, {0}, {0}, {1}, 2, {1, 1, 2}},
      {"two batching dimensions", {2, 4, 3}, {3, 1, 2}, {3, 2, 2}, {2}, {}, {0, 2}, {2, 0}, {1}, 1, {1, 2, 1}},
      {"scalar index", {5, 3}, {}, {3}, {0}, {0}, {}, {}, {0}, 0, {1, 3}},
      {"no index", {5, 3}, {0, 1}, {0, 3}, {1}, {0}, {}, {}, {0}, 1, {1, 3}},
      {"no component", {5, 3}, {2, 0}, {2, 2, 3}, {1, 2}, {}, {}, {}, {}, 1, {2, 3}},
  };
  return list;
}

Range index_range(DType dtype) { return is_unsigned_integer(dtype) ? Range{0, 6} : Range{-2, 6}; }

Case gather(const Numbers& n, DType dtype, DType index) {
  Case item;
  item.name = "gather " + n.name + " " + std::string(tessera::name(dtype)) + " by " + std::string(tessera::name(index));
  item.parameters = {{dtype, n.operand}, {index, n.indices}};
  item.ranges = {is_float(dtype) ? Range{} : Range{0, 5}, index_range(index)};
  item.build = [=](Builder& b, const Values& p) -> Values {
    return {b.graph.add1(Op::Gather, p,
                         {{"offset_dims", n.window},
                          {"collapsed_slice_dims", n.dropped},
                          {"operand_batching_dims", n.operand_batching},
                          {"start_indices_batching_dims", n.indices_batching},
                          {"start_index_map", n.map},
                          {"index_vector_dim", n.vector},
                          {"slice_sizes", n.sizes},
                          {"indices_are_sorted", false}})};
  };
  item.differentiable = dtype == DType::F32;
  return item;
}

GraphPtr overwrite(DType dtype) {
  auto region = std::make_shared<Graph>("overwrite");
  region->parameter({dtype, {}});
  region->results = {region->parameter({dtype, {}})};
  return region;
}

/// Without a monoid, updates replace what was there.
Case scatter(const Numbers& n, std::optional<Op> monoid, DType dtype, DType index, bool unique = false) {
  Case item;
  item.name = "scatter " + n.name + " " + std::string(monoid ? ir::name(*monoid) : "replace") + " " +
              std::string(tessera::name(dtype)) + " by " + std::string(tessera::name(index));
  item.parameters = {{dtype, n.operand}, {index, n.indices}, {dtype, n.many}};
  const Range values = is_float(dtype) ? Range{} : Range{0, 5};
  item.ranges = {values, index_range(index), values};
  item.build = [=](Builder& b, const Values& p) -> Values {
    const DType type = b.dtype(p[0]);
    return {b.graph.add1(Op::Scatter, p,
                         {{"update_window_dims", n.window},
                          {"inserted_window_dims", n.dropped},
                          {"input_batching_dims", n.operand_batching},
                          {"scatter_indices_batching_dims", n.indices_batching},
                          {"scatter_dims_to_operand_dims", n.map},
                          {"index_vector_dim", n.vector},
                          {"indices_are_sorted", false},
                          {"unique_indices", unique}},
                         {monoid ? reducer(*monoid, type) : overwrite(type)})};
  };
  item.differentiable = dtype == DType::F32 && (monoid == Op::Add || unique);
  item.slack = 10;
  return item;
}

Case slice(const Integers& sizes, DType dtype, DType index) {
  Case item;
  item.name = "dynamic_slice " + tessera::to_string(Shape(sizes)) + " " + std::string(tessera::name(dtype)) + " by " +
              std::string(tessera::name(index));
  item.parameters = {{dtype, {4, 5}}, {index, {}}, {index, {}}};
  item.ranges = {is_float(dtype) ? Range{} : Range{0, 5}, index_range(index), index_range(index)};
  item.build = [=](Builder& b, const Values& p) -> Values {
    return {b.graph.add1(Op::DynamicSlice, p, {{"slice_sizes", sizes}})};
  };
  item.differentiable = dtype == DType::F32;
  return item;
}

Case update(const Shape& shape, DType dtype, DType index) {
  Case item;
  item.name = "dynamic_update_slice " + tessera::to_string(shape) + " " + std::string(tessera::name(dtype)) + " by " +
              std::string(tessera::name(index));
  item.parameters = {{dtype, {4, 5}}, {dtype, shape}, {index, {}}, {index, {}}};
  const Range values = is_float(dtype) ? Range{} : Range{0, 5};
  item.ranges = {values, values, index_range(index), index_range(index)};
  item.build = [](Builder& b, const Values& p) -> Values { return {b.graph.add1(Op::DynamicUpdateSlice, p)}; };
  item.differentiable = dtype == DType::F32;
  return item;
}

/// Two tensors at once: where the first update is larger, both replace.
Case scatter_pairs() {
  const Numbers n = {"pairs", {4}, {5, 1}, {5}, {}, {0}, {}, {}, {0}, 1, {}};
  Case item = scatter(n, Op::Add, DType::F32, DType::I32);
  item.parameters = {{DType::F32, {4}}, {DType::I32, {4}}, {DType::I32, {5, 1}}, {DType::F32, {5}}, {DType::I32, {5}}};
  item.ranges = {{}, {}, {-1, 4}, {}, {}};
  item.differentiable = false;
  item.build = [](Builder& b, const Values& p) -> Values {
    auto region = std::make_shared<Graph>("pairs");
    for (const DType d : {DType::F32, DType::I32, DType::F32, DType::I32}) region->parameter({d, {}});
    const Values r = region->parameters;
    Builder body{*region};
    const Value stays = body.compare(r[0], r[2], "GE");
    region->results = {body.select(stays, r[0], r[2]), body.select(stays, r[1], r[3])};
    return b.graph.add(Op::Scatter, p,
                       {{"update_window_dims", Integers{}},
                        {"inserted_window_dims", Integers{0}},
                        {"input_batching_dims", Integers{}},
                        {"scatter_indices_batching_dims", Integers{}},
                        {"scatter_dims_to_operand_dims", Integers{0}},
                        {"index_vector_dim", std::int64_t{1}},
                        {"indices_are_sorted", false},
                        {"unique_indices", false}},
                       {region});
  };
  return item;
}

}  // namespace

std::vector<Case> indexing_cases() {
  std::vector<Case> list;
  for (const Numbers& n : all_numbers()) {
    list.push_back(gather(n, DType::F32, DType::I32));
    list.push_back(scatter(n, Op::Add, DType::F32, DType::I32));
    list.push_back(scatter(n, Op::Maximum, DType::F32, DType::I64));
    list.push_back(scatter(n, std::nullopt, DType::F32, DType::I32));
  }
  for (const DType dtype : kDTypes) {
    list.push_back(gather(all_numbers()[0], dtype, DType::I32));
    list.push_back(scatter(all_numbers()[0], dtype == DType::Bool ? Op::Or : Op::Add, dtype, DType::I32));
    list.push_back(slice({2, 3}, dtype, DType::I32));
    list.push_back(update({2, 3}, dtype, DType::I32));
  }
  for (const DType index : kIntegers) {
    list.push_back(gather(all_numbers()[3], DType::F32, index));
    list.push_back(scatter(all_numbers()[3], Op::Add, DType::F32, index));
    list.push_back(slice({2, 3}, DType::F32, index));
    list.push_back(update({2, 3}, DType::F32, index));
  }
  for (const Shape& shape : {Shape{4, 5}, Shape{1, 5}, Shape{0, 3}}) {
    list.push_back(slice(shape, DType::F32, DType::I32));
    list.push_back(update(shape, DType::F32, DType::I32));
  }
  // A single update replaces every element at most once, whatever its index.
  const Numbers once = {"one window", {5, 3}, {1, 2}, {1, 2, 3}, {1, 2}, {}, {}, {}, {0, 1}, 1, {}};
  list.push_back(scatter(once, std::nullopt, DType::F32, DType::I32, true));
  list.push_back(scatter_pairs());
  return list;
}

}  // namespace tessera::cases
