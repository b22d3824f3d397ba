// Matrix products and convolutions by oneDNN. onednn.cpp is the only file that knows the library; a build without it
// has the same functions, which find nothing. In: views of tensors with strides. Out: a Call to run. Read next:
// backend/cpu/library.cpp, which makes the views.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tessera/backend/cpu/call.hpp"
#include "tessera/core/shape.hpp"

namespace tessera::cpu::onednn {

/// The library's version, "2.6.3"; empty when this build has none.
std::string version();
/// True when products and convolutions of BF16 have fast kernels on this processor.
bool has_bf16();

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
};

/// What follows on the result, in order.
struct Epilogue {
  enum class Kind : std::uint8_t { Add, Relu } kind;
  View addend;  ///< Add: of the result's rank, extents of 1 are stretched
};

/// Null when the library has no fast kernel for it (its slow reference kernels count as none), or none with this
/// epilogue.
std::unique_ptr<Call> make_call(const Product& product, const std::vector<Epilogue>& epilogue);
std::unique_ptr<Call> make_call(const Convolution& convolution, const std::vector<Epilogue>& epilogue);

/// Whether `make_call` without epilogue would find a kernel; much cheaper.
bool supports(const Product& product);
bool supports(const Convolution& convolution);

}  // namespace tessera::cpu::onednn
