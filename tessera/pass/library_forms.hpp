// Products and convolutions in the forms that vendor libraries take: strided views, and a convolution as one of the
// three passes. The transpose rules (ir/rows_product.cpp, ir/rows_convolution.cpp) write gradients of convolutions as
// convolutions again, with dilated inputs, reversed kernels and exchanged dimensions; here they are told apart. Element
// types are not looked at: each backend knows its library's. Read next: backend/cpu/library.cpp,
// backend/cuda/library_kernel.cpp.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "tessera/core/shape.hpp"
#include "tessera/ir/graph.hpp"

namespace tessera::pass {

/// A tensor in memory, its dimensions in the order that the operation names and its strides in elements.
struct View {
  DType dtype = DType::F32;
  Shape dims;
  std::vector<std::int64_t> strides;
  bool operator==(const View&) const = default;
};

/// result[b.., m, n] = sum over k of lhs[b.., m, k] * rhs[b.., k, n].
struct Product {
  View lhs, rhs, result;
};

/// destination[n, o, y] = sum over i, k of source[n, i, y * stride + k * dilation - low] * weights[o, i, k].
/// Two of the three are given and the third is computed, by `pass`.
struct Convolution {
  enum class Pass : std::uint8_t { Forward, BackwardData, BackwardWeights } pass = Pass::Forward;
  View source;       ///< batch, features, spatial dimensions
  View weights;      ///< output features, input features, spatial; with one leading dimension more when grouped
  View destination;  ///< batch, features, spatial dimensions
  std::vector<std::int64_t> strides, dilations, low, high;

  [[nodiscard]] const View& computed() const {
    return pass == Pass::Forward ? destination : pass == Pass::BackwardData ? source : weights;
  }
};

/// A dot_general as a matrix product over strided views; nothing when its dimensions do not group into rows, columns
/// and batches of constant stride. A dimension of extent 1 has the stride that makes its matrix dense.
std::optional<Product> as_product(const ir::Node& node, std::span<const TensorType> operands, const TensorType& result);

/// A convolution node as a library's pass over strided views, and which operand plays which part.
/// The result is the tensor that the pass computes; the operands keep their order (Forward: source, weights;
/// BackwardData: destination, weights; BackwardWeights: source, destination).
/// Nothing when the attributes have no such form.
std::optional<Convolution> as_convolution(const ir::Node& node, std::span<const TensorType> operands,
                                          const TensorType& result);

}  // namespace tessera::pass
