// Indexing of arrays: slices, positions, gathers, and their traced forms.
#include <algorithm>

#include "tessera/array/ops.hpp"
#include "tessera/array/ops_common.hpp"

namespace tessera {

using detail::apply1;
using ir::Op;

namespace {

/// [start, limit) with a positive step, and whether the result runs backwards.
struct Bounds {
  std::int64_t start, limit, step;
  bool backwards;
};

Bounds resolve(const Slice& slice, std::int64_t extent) {
  const std::int64_t step = slice.step;
  const auto position = [&](std::int64_t p, std::int64_t low, std::int64_t high) {
    return std::clamp(p < 0 ? p + extent : p, low, high);
  };
  if (step > 0) {
    const std::int64_t start = slice.start ? position(*slice.start, 0, extent) : 0;
    const std::int64_t stop = slice.stop ? position(*slice.stop, 0, extent) : extent;
    return {start, std::max(start, stop), step, false};
  }
  const std::int64_t start = slice.start ? position(*slice.start, -1, extent - 1) : extent - 1;
  const std::int64_t stop = slice.stop ? position(*slice.stop, -1, extent - 1) : -1;
  const std::int64_t count = std::max<std::int64_t>(0, (start - stop - step - 1) / -step);
  if (count == 0) return {0, 0, 1, false};
  return {start + (count - 1) * step, start + 1, -step, true};
}

/// Gathers whole slices along dimension `axis` at `indices`.
Array gather_axis(const Array& x, const Array& indices, std::int64_t axis, Location at) {
  Shape sizes = x.shape();
  sizes[static_cast<std::size_t>(axis)] = 1;
  ir::Integers offsets;
  for (std::int64_t d = 0; d < x.rank() - 1; ++d) offsets.push_back(d < axis ? d : d + indices.rank());
  const Array operands[] = {x, indices};
  return apply1(Op::Gather, operands,
                {{"offset_dims", offsets},
                 {"collapsed_slice_dims", ir::Integers{axis}},
                 {"operand_batching_dims", ir::Integers{}},
                 {"start_indices_batching_dims", ir::Integers{}},
                 {"start_index_map", ir::Integers{axis}},
                 {"index_vector_dim", indices.rank()},
                 {"slice_sizes", ir::Integers(sizes)},
                 {"indices_are_sorted", false}},
                at);
}

}  // namespace

Array index(const Operand& x, const std::vector<Index>& indices) {
  Array a = x.as(x.dtype());
  if (static_cast<std::int64_t>(indices.size()) > a.rank()) {
    const Array operands[] = {a};
    detail::throw_operand_error(
        "index", x.location, operands,
        std::to_string(indices.size()) + " indices were given for " + std::to_string(a.rank()) + " dimensions", "");
  }
  ir::Integers start;
  ir::Integers limit;
  ir::Integers steps;
  ir::Integers reversed;
  for (std::int64_t d = 0; d < a.rank(); ++d) {
    const std::int64_t extent = a.shape(d);
    Bounds bounds{0, extent, 1, false};
    if (d < static_cast<std::int64_t>(indices.size())) {
      const Index& wanted = indices[static_cast<std::size_t>(d)];
      if (const auto* one = std::get_if<std::int64_t>(&wanted)) {
        const std::int64_t position = *one < 0 ? *one + extent : *one;
        if (position < 0 || position >= extent) {
          const Array operands[] = {a};
          detail::throw_operand_error("index", x.location, operands,
                                      "position " + std::to_string(*one) + " of dimension " + std::to_string(d) +
                                          " is out of range: it has " + std::to_string(extent) + " elements",
                                      "");
        }
        bounds = {position, position + 1, 1, false};
      } else if (const auto* traced = std::get_if<Array>(&wanted)) {
        if (traced->rank() != 0 || !is_integer(traced->dtype())) {
          const Array operands[] = {a, *traced};
          detail::throw_operand_error("index", x.location, operands, "a traced position is an integer scalar",
                                      "take(x, indices, axis) takes several");
        }
      } else if (const auto* range = std::get_if<Slice>(&wanted)) {
        if (range->step == 0) detail::throw_usage(x.location, "the step of a slice must not be 0");
        bounds = resolve(*range, extent);
      }
    }
    start.push_back(bounds.start);
    limit.push_back(bounds.limit);
    steps.push_back(bounds.step);
    if (bounds.backwards) reversed.push_back(d);
  }
  if (start != ir::Integers(start.size(), 0) || limit != a.shape() || steps != ir::Integers(steps.size(), 1)) {
    const Array operands[] = {a};
    a = apply1(Op::Slice, operands, {{"start_indices", start}, {"limit_indices", limit}, {"strides", steps}},
               x.location);
  }
  if (!reversed.empty()) {
    const Array operands[] = {a};
    a = apply1(Op::Reverse, operands, {{"dimensions", reversed}}, x.location);
  }
  for (std::int64_t d = static_cast<std::int64_t>(indices.size()); d-- > 0;) {
    const Index& wanted = indices[static_cast<std::size_t>(d)];
    Operand operand(a);
    operand.location = x.location;
    if (std::holds_alternative<std::int64_t>(wanted))
      a = squeeze(operand, d);
    else if (const auto* traced = std::get_if<Array>(&wanted))
      a = gather_axis(a, *traced, d, x.location);
  }
  return a;
}

Array take(const Operand& x, const Operand& indices, std::int64_t axis) {
  const Array a = x.as(x.dtype());
  detail::check_integers("take", indices, "positions are integers");
  return gather_axis(a, indices.as(DType::I32), detail::checked_axis("take", a, axis, x.location), x.location);
}

Array scatter_add(const Operand& x, const Operand& indices, const Operand& updates) {
  const Array a = x.as(x.dtype());
  detail::check_integers("scatter_add", indices, "positions are integers");
  const Array positions = indices.as(DType::I32);
  ir::Integers window;
  for (std::int64_t d = 1; d < a.rank(); ++d) window.push_back(positions.rank() + d - 1);
  const Array operands[] = {a, positions, detail::convert(updates.as(a.dtype()), a.dtype(), x.location)};
  return detail::apply(Op::Scatter, operands,
                       {{"update_window_dims", window},
                        {"inserted_window_dims", ir::Integers{0}},
                        {"input_batching_dims", ir::Integers{}},
                        {"scatter_indices_batching_dims", ir::Integers{}},
                        {"scatter_dims_to_operand_dims", ir::Integers{0}},
                        {"index_vector_dim", positions.rank()},
                        {"indices_are_sorted", false},
                        {"unique_indices", false}},
                       {ir::reducer(Op::Add, a.dtype())}, x.location)[0];
}

Array dynamic_slice(const Operand& x, const std::vector<Array>& starts, const Shape& sizes) {
  std::vector<Array> operands = {x.as(x.dtype())};
  operands.insert(operands.end(), starts.begin(), starts.end());
  return apply1(Op::DynamicSlice, operands, {{"slice_sizes", ir::Integers(sizes)}}, x.location);
}

Array dynamic_update_slice(const Operand& x, const Operand& update, const std::vector<Array>& starts) {
  const Array a = x.as(x.dtype());
  std::vector<Array> operands = {a, detail::convert(update.as(a.dtype()), a.dtype(), x.location)};
  operands.insert(operands.end(), starts.begin(), starts.end());
  return apply1(Op::DynamicUpdateSlice, operands, {}, x.location);
}

}  // namespace tessera
