// Primals and tangents in one graph: the common half of forward and reverse mode.
#pragma once

#include <vector>

#include "tessera/ir/primitive.hpp"

namespace tessera::transform {

enum class Mode : std::uint8_t {
  Forward,  ///< bodies of calls are differentiated
  Reverse,  ///< a call's own vjp, and checkpoints, become linear calls that are only transposed
};

/// Appends the nodes of `body` and of its tangents to `graph`. `primals` and `tangents` (kZero where none) belong to
/// the parameters; the results' tangents come back in `tangents`, their primals as the return value.
ir::Values linearize(ir::Graph& graph, const ir::Graph& body, const ir::Values& primals, ir::Values& tangents,
                     Mode mode);

}  // namespace tessera::transform
