// Products of a matrix and a vector, one pair for each of a batch, as attention has them: a multiplication and a sum
// instead. Memory limits them; as a kernel they run at its speed, and fuse with what is around. oneDNN took 2 to 4
// times as long (64 matrices of 24 x 512, AVX-512).
#include <algorithm>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/ir/rewrite.hpp"

namespace tessera::cpu {
namespace {

using ir::Integers;
using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;

/// One operand of a product: its dimensions by their part in it.
struct Side {
  Value value;
  Shape shape;
  Integers batch, contracted, free;
  [[nodiscard]] std::int64_t rows() const {
    std::int64_t count = 1;
    for (const std::int64_t d : free) count *= shape[static_cast<std::size_t>(d)];
    return count;
  }
};

Side side_of(const ir::Graph& graph, const Node& node, std::size_t i) {
  const std::string prefix = i == 0 ? "lhs_" : "rhs_";
  Side side{node.operands[i],
            graph.shape(node.operands[i]),
            node.attributes.integers(prefix + "batching_dimensions", {}),
            node.attributes.integers(prefix + "contracting_dimensions", {}),
            {}};
  for (std::int64_t d = 0; d < std::ssize(side.shape); ++d)
    if (std::ranges::count(side.batch, d) + std::ranges::count(side.contracted, d) == 0) side.free.push_back(d);
  return side;
}

/// The node's result as a sum in `to`, where `operands` are its operands; -1 when it is a product of another kind.
Value as_sum(const ir::Graph& from, const Node& node, ir::Graph& to, const Values& operands) {
  if (node.op != Op::DotGeneral) return -1;
  const TensorType& result = from.type(node.results[0]);
  if (result.dtype != DType::F32 || from.dtype(node.operands[0]) != DType::F32 ||
      from.dtype(node.operands[1]) != DType::F32)
    return -1;
  const Side left = side_of(from, node, 0), right = side_of(from, node, 1);
  const bool vector_left = left.rows() == 1;
  const Side& vector = vector_left ? left : right;
  const Side& matrix = vector_left ? right : left;
  if (vector.rows() != 1 || vector.contracted.empty() || element_count(vector.shape) == 0 || matrix.rows() == 0)
    return -1;
  // The sum's dimensions are the matrix's in order: these must be the result's. A single matrix is the library's.
  Integers kept = matrix.batch;
  kept.insert(kept.end(), matrix.free.begin(), matrix.free.end());
  std::int64_t batches = 1;
  for (const std::int64_t d : matrix.batch) batches *= matrix.shape[static_cast<std::size_t>(d)];
  if (batches < 2 || !std::is_sorted(kept.begin(), kept.end())) return -1;

  // The vector without its free dimensions, and where its others stand in the matrix.
  Shape extents;
  Integers places;
  for (std::int64_t d = 0; d < std::ssize(vector.shape); ++d)
    for (const auto& [own, other] : {std::pair(&vector.batch, &matrix.batch), {&vector.contracted, &matrix.contracted}})
      if (const auto at = std::find(own->begin(), own->end(), d); at != own->end()) {
        extents.push_back(vector.shape[static_cast<std::size_t>(d)]);
        places.push_back((*other)[static_cast<std::size_t>(at - own->begin())]);
      }
  ir::Builder b{to, node.location};
  const Value narrow = b.reshape(operands[vector_left ? 0 : 1], extents);
  const Value wide = b.broadcast_in_dim(narrow, matrix.shape, places);
  const Value products = b.multiply(wide, operands[vector_left ? 1 : 0]);
  return b.reshape(b.sum(products, matrix.contracted), result.shape);
}

}  // namespace

ir::Graph use_sums_for_thin_products(const ir::Graph& from) {
  return ir::rewrite(from, [&](ir::Rewriting& r, const Node& node) -> std::optional<Values> {
    const Value sum = as_sum(from, node, r.to, r.operands);
    if (sum < 0) return std::nullopt;
    return Values{sum};
  });
}

ir::Graph prepare(const ir::Graph& graph) { return use_sums_for_thin_products(use_few_channel_kernels(graph)); }

}  // namespace tessera::cpu
