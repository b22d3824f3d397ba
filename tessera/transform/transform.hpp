// Transforms of programs: derivatives and vectorisation, Graph to Graph.
// Reverse mode is linearise, then transpose: jvp.cpp writes tangents beside the primals, vjp.cpp runs the tangent nodes
// backwards through their transpose rules. The rules stand in the rows of ir/. Called by array/transforms.cpp.
#pragma once

#include <vector>

#include "tessera/ir/graph.hpp"

namespace tessera::transform {

/// Forward mode. (parameters..., tangents of the parameters i with wrt[i]...)
///   -> (results..., tangents of all results...). A result that does not vary has zeros as its tangent.
/// Throws Error (Unsupported) naming the operation and the user's line where a rule does not exist.
ir::GraphPtr jvp(const ir::Graph& graph, const std::vector<bool>& wrt);

/// Reverse mode. (parameters..., cotangents of the results r with varied[r]...)
///   -> (results..., cotangents of the parameters i with wrt[i]...).
ir::GraphPtr vjp(const ir::Graph& graph, const std::vector<bool>& wrt, const std::vector<bool>& varied);

/// Vectorisation. Parameters i with batched[i] get a leading dimension of `size`; all results do.
ir::GraphPtr vmap(const ir::Graph& graph, const std::vector<bool>& batched, std::int64_t size);

/// The graph without nodes whose results nothing uses, and without the parameters i with drop[i], which must be unused.
ir::GraphPtr prune(const ir::Graph& graph, const std::vector<bool>& drop = {});

}  // namespace tessera::transform
