// StableHLO's one convolution, recognised as one of the three passes that libraries know.
// The transpose rules (ir/rows_product*.cpp) write gradients of convolutions as convolutions again, with dilated
// inputs, reversed kernels and exchanged dimensions; here they are told apart. Read next: backend/cpu/library.cpp.
#pragma once

#include <optional>
#include <span>

#include "tessera/backend/cpu/onednn.hpp"
#include "tessera/ir/graph.hpp"

namespace tessera::cpu {

/// A convolution node as a library's pass over strided views, and which operand plays which part.
/// The result is the tensor that the pass computes; the operands keep their order (Forward: source, weights;
/// BackwardData: destination, weights; BackwardWeights: source, destination).
/// Nothing when the attributes have no such form.
std::optional<onednn::Convolution> classify(const ir::Node& node, std::span<const TensorType> operands,
                                            const TensorType& result);

}  // namespace tessera::cpu
