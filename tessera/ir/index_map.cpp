// Dimension numbers of gather and scatter.
#include "tessera/ir/index_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace tessera::ir {

IndexMap IndexMap::of_gather(const Attributes& a) {
  return {integers_of(a, "offset_dims"),
          integers_of(a, "collapsed_slice_dims"),
          a.has("operand_batching_dims") ? integers_of(a, "operand_batching_dims") : Integers{},
          a.has("start_indices_batching_dims") ? integers_of(a, "start_indices_batching_dims") : Integers{},
          integers_of(a, "start_index_map"),
          integer_of(a, "index_vector_dim")};
}

IndexMap IndexMap::of_scatter(const Attributes& a) {
  return {integers_of(a, "update_window_dims"),
          integers_of(a, "inserted_window_dims"),
          a.has("input_batching_dims") ? integers_of(a, "input_batching_dims") : Integers{},
          a.has("scatter_indices_batching_dims") ? integers_of(a, "scatter_indices_batching_dims") : Integers{},
          integers_of(a, "scatter_dims_to_operand_dims"),
          integer_of(a, "index_vector_dim")};
}

Attributes IndexMap::as_gather(Integers slice_sizes, bool sorted) const {
  return {{"offset_dims", window_dims},
          {"collapsed_slice_dims", dropped},
          {"operand_batching_dims", operand_batching},
          {"start_indices_batching_dims", indices_batching},
          {"start_index_map", index_map},
          {"index_vector_dim", index_vector_dim},
          {"slice_sizes", std::move(slice_sizes)},
          {"indices_are_sorted", sorted}};
}

Attributes IndexMap::as_scatter(bool sorted, bool unique) const {
  return {{"update_window_dims", window_dims},
          {"inserted_window_dims", dropped},
          {"input_batching_dims", operand_batching},
          {"scatter_indices_batching_dims", indices_batching},
          {"scatter_dims_to_operand_dims", index_map},
          {"index_vector_dim", index_vector_dim},
          {"indices_are_sorted", sorted},
          {"unique_indices", unique}};
}

void IndexMap::check(const TensorType& operand, const TensorType& indices, std::int64_t many_rank) const {
  if (!is_integer(indices.dtype)) broken(fmt::format("the indices are {} and must be integers", to_string(indices)));
  const std::int64_t rank = operand.rank(), indices_rank = indices.rank();
  const auto parts = static_cast<std::int64_t>(window_dims.size() + dropped.size() + operand_batching.size());
  if (parts != rank)
    broken(
        fmt::format("window dimensions, dropped dimensions and batching dimensions are {} together, the operand has {}",
                    parts, rank));
  check_in_rank(window_dims, many_rank, "the window dimensions");
  check_distinct({&window_dims}, "the window dimensions");
  check_sorted(window_dims, "the window dimensions");
  check_in_rank(dropped, rank, "the dropped dimensions");
  check_sorted(dropped, "the dropped dimensions");
  check_in_rank(operand_batching, rank, "the operand's batching dimensions");
  check_sorted(operand_batching, "the operand's batching dimensions");
  check_distinct({&dropped, &operand_batching}, "the dropped dimensions and the operand's batching dimensions");
  if (index_vector_dim < 0 || index_vector_dim > indices_rank)
    broken(fmt::format("'index_vector_dim' is {}, the indices have {} dimensions", index_vector_dim, indices_rank));
  const std::int64_t components = index_vector_dim < indices_rank ? indices.shape[at(index_vector_dim)] : 1;
  if (static_cast<std::int64_t>(index_map.size()) != components)
    broken(
        fmt::format("an index has {} components, and {} dimensions are named for them", components, index_map.size()));
  check_in_rank(index_map, rank, "the dimensions that the indices count along");
  check_distinct({&index_map, &operand_batching},
                 "the dimensions that the indices count along and the batching dimensions");
  check_in_rank(indices_batching, indices_rank, "the indices' batching dimensions");
  check_distinct({&indices_batching}, "the indices' batching dimensions");
  if (contains(indices_batching, index_vector_dim)) broken("'index_vector_dim' is a batching dimension of the indices");
  check_size(indices_batching, operand_batching.size(), "the indices' batching dimensions");
  for (std::size_t i = 0; i < operand_batching.size(); ++i) {
    const std::int64_t a = operand.shape[at(operand_batching[i])], b = indices.shape[at(indices_batching[i])];
    if (a != b)
      broken(fmt::format("batching dimensions {} of the operand and {} of the indices have the extents {} and {}",
                         operand_batching[i], indices_batching[i], a, b));
  }
}

Shape IndexMap::batch_shape(const Shape& indices) const {
  Shape shape = indices;
  if (index_vector_dim < static_cast<std::int64_t>(indices.size())) shape.erase(shape.begin() + index_vector_dim);
  return shape;
}

Shape IndexMap::window(const Shape& many, std::int64_t operand_rank) const {
  Shape sizes(at(operand_rank), 1);
  const Integers kept_dims = kept(operand_rank);
  for (std::size_t i = 0; i < kept_dims.size(); ++i) sizes[at(kept_dims[i])] = many[at(window_dims[i])];
  return sizes;
}

IndexMap IndexMap::batched(bool operand, bool indices) const {
  IndexMap m = *this;
  m.window_dims = shifted(m.window_dims);
  if (operand) {
    m.dropped = shifted(m.dropped);
    m.operand_batching = shifted(m.operand_batching);
    m.index_map = shifted(m.index_map);
  }
  if (indices) {
    m.indices_batching = shifted(m.indices_batching);
    ++m.index_vector_dim;
  }
  if (operand && indices) {
    m.operand_batching.insert(m.operand_batching.begin(), 0);
    m.indices_batching.insert(m.indices_batching.begin(), 0);
  } else if (operand) {
    m.window_dims.insert(m.window_dims.begin(), 0);
  }
  return m;
}

std::int64_t index_at(const Literal& literal, std::int64_t position) {
  const std::int64_t value = literal.get_integer(position);
  return literal.dtype() == DType::U64 && value < 0 ? std::numeric_limits<std::int64_t>::max() : value;
}

kernel::Expr index_expression(kernel::Builder& k, kernel::Expr index) {
  if (k.dtype(index) == DType::U64)
    index = k.binary(kernel::Op::Minimum, index, k.integer(DType::U64, std::numeric_limits<std::int64_t>::max()));
  return k.convert(DType::I64, index);
}

Value clamp_indices(Builder& build, Value indices, std::int64_t index_vector_dim, const Integers& low,
                    const Integers& high) {
  const Shape shape = build.shape(indices);
  const auto spread = [&](const Literal& bounds) {
    const bool vector = index_vector_dim < static_cast<std::int64_t>(shape.size());
    return build.broadcast_in_dim(build.constant(bounds), shape, vector ? Integers{index_vector_dim} : Integers{});
  };
  const auto bounds = [&](const Integers& list) {
    Literal literal({build.dtype(indices), index_vector_dim < static_cast<std::int64_t>(shape.size())
                                               ? Shape{static_cast<std::int64_t>(list.size())}
                                               : Shape{}});
    for (std::size_t i = 0; i < list.size(); ++i) literal.set_integer(static_cast<std::int64_t>(i), list[i]);
    return spread(literal);
  };
  if (build.dtype(indices) == DType::U64) {
    const Value highest =
        build.constant(Literal::full_integer({DType::U64, {}}, std::numeric_limits<std::int64_t>::max()));
    indices = build.binary(Op::Minimum, indices, build.broadcast_in_dim(highest, shape, {}));
  }
  const bool narrow = build.dtype(indices) == DType::I32 && std::all_of(high.begin(), high.end(), [](std::int64_t h) {
                        return h < std::numeric_limits<std::int32_t>::max();
                      });
  if (!narrow) indices = build.convert(indices, DType::I64);
  return build.binary(Op::Minimum, build.binary(Op::Maximum, indices, bounds(low)), bounds(high));
}

GraphPtr overwrite(DType dtype) {
  auto region = std::make_shared<Graph>("overwrite");
  region->parameter({dtype, {}});
  region->results = {region->parameter({dtype, {}})};
  return region;
}

bool is_overwrite(const Graph& region) {
  return region.parameters.size() == 2 && region.results == Values{region.parameters[1]};
}

}  // namespace tessera::ir
