// The dimension numbers that gather and scatter share, under names that fit both: a "window" is gather's slice, and the
// "many" tensor is gather's result or scatter's updates. Private to ir/rows_indexing.cpp and ir/rows_scatter.cpp.
#pragma once

#include "tessera/ir/row_tools.hpp"

namespace tessera::ir {

struct IndexMap {
  Integers window_dims;       ///< of the many tensor; the others are its batch dimensions
  Integers dropped;           ///< of the operand: of extent 1 in a window, and left out
  Integers operand_batching;  ///< of the operand: runs along ...
  Integers indices_batching;  ///< ... this dimension of the indices
  Integers index_map;         ///< component c of an index counts along operand dimension index_map[c]
  std::int64_t index_vector_dim = 0;

  static IndexMap of_gather(const Attributes& attributes);
  static IndexMap of_scatter(const Attributes& attributes);
  [[nodiscard]] Attributes as_gather(Integers slice_sizes, bool sorted) const;
  [[nodiscard]] Attributes as_scatter(bool sorted, bool unique) const;

  /// Throws RuleError where the dimension numbers do not fit; `many_rank` is that of the many tensor.
  void check(const TensorType& operand, const TensorType& indices, std::int64_t many_rank) const;
  [[nodiscard]] Integers kept(std::int64_t operand_rank) const {
    return remaining(operand_rank, {&dropped, &operand_batching});
  }
  [[nodiscard]] Integers batch_dims(std::int64_t many_rank) const { return remaining(many_rank, {&window_dims}); }
  /// Extents of the batch dimensions: those of the indices without the index vector.
  [[nodiscard]] Shape batch_shape(const Shape& indices) const;
  /// Where component c of an index stands in the indices, for an index into the many tensor.
  template <class I, class E>
  [[nodiscard]] I component(const I& many, E c, std::int64_t indices_rank) const {
    I at_index;
    for (const std::int64_t d : batch_dims(static_cast<std::int64_t>(many.size()))) at_index.push_back(many[at(d)]);
    if (index_vector_dim < indices_rank) at_index.insert(at_index.begin() + index_vector_dim, c);
    return at_index;
  }
  /// The part of an operand's index that does not come from the indices: place in the window, and batching dimensions.
  template <class I>
  void add_window(const I& many, I& operand) const {
    const Integers kept_dims = kept(static_cast<std::int64_t>(operand.size()));
    const Integers batch = batch_dims(static_cast<std::int64_t>(many.size()));
    for (std::size_t i = 0; i < kept_dims.size(); ++i) operand[at(kept_dims[i])] = many[at(window_dims[i])];
    for (std::size_t i = 0; i < operand_batching.size(); ++i) {
      const std::int64_t d = indices_batching[i];
      operand[at(operand_batching[i])] = many[at(batch[at(d < index_vector_dim ? d : d - 1)])];
    }
  }
  /// The extents of a window in the operand, with 1 for dropped and batching dimensions.
  [[nodiscard]] Shape window(const Shape& many, std::int64_t operand_rank) const;
  /// With a batch dimension in front of operand and many tensor (as a window dimension), of the indices, or of all.
  [[nodiscard]] IndexMap batched(bool operand, bool indices) const;
};

/// An index as it is meant: of any integer type, U64 beyond the range of I64 becomes the highest.
std::int64_t index_at(const Literal& literal, std::int64_t position);
kernel::Expr index_expression(kernel::Builder& k, kernel::Expr index);
/// Indices clamped to low[c] .. high[c] for component c along `index_vector_dim`; as I64 where their type may not hold
/// the bounds.
Value clamp_indices(Builder& build, Value indices, std::int64_t index_vector_dim, const Integers& low,
                    const Integers& high);
/// A region (a, b) -> b.
GraphPtr overwrite(DType dtype);
bool is_overwrite(const Graph& region);

Primitive gather_row();   // rows_gather.cpp
Primitive scatter_row();  // rows_scatter.cpp

}  // namespace tessera::ir
