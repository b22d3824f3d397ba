// Convolutions over few features as matrix products. Read next: backend/cuda/weights_layout.hpp.
#pragma once

#include "tessera/ir/graph.hpp"

namespace tessera::cuda {

/// Part of pass::Target's `prepare`: a convolution over few features of many images, and its gradient to the weights,
/// become products with the images' patches: a row for each place of the result, with the elements under its window.
/// cuDNN's engines want eight features side by side and take several times as long for fewer. Rows and columns are
/// padded to eight elements, which cuBLASLt wants. The gradient uses the patches of the forward pass again.
ir::Graph few_features_as_products(const ir::Graph& graph);

}  // namespace tessera::cuda
