// The order of dimensions that cuDNN wants of a convolution's weights. Read next: backend/cuda/cudnn.hpp.
#pragma once

#include "tessera/ir/graph.hpp"

namespace tessera::cuda {

/// pass::Target's `prepare`: where images have their features last, the weights of convolutions get the order [outputs,
/// spatial dimensions, inputs], and gradients to weights are computed in it; transposes lead there and back. For narrow
/// types cuDNN has engines for no other order, and a transpose costs little: weights are small, and it becomes part of
/// their conversion.
ir::Graph arrange_weights(const ir::Graph& graph);

}  // namespace tessera::cuda
