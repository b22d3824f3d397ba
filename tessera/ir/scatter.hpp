// Where the updates of a scatter go, as kernel expressions. A scatter is not pull-shaped: whoever lowers it copies the
// inputs into the results, then runs over the indices of the updates in row-major order, one after the other:
//   target = scatter_target(context, update);
//   old = results at target.at, read where target.valid
//   new = context.apply(region, {old..., updates at `update`...})
//   results at target.at = new, where target.valid
// The loops over independent_update_dimensions may run in parallel: no two of their iterations meet in one element.
#pragma once

#include "tessera/ir/primitive.hpp"

namespace tessera::ir {

struct ScatterTarget {
  Index at;            ///< in the inputs and results
  kernel::Expr valid;  ///< Bool; updates outside the inputs are dropped. kNone: always inside
};
/// For element `update` of the updates. Reads the scatter indices through context.operand.
ScatterTarget scatter_target(LoopContext& context, const Index& update);

/// The dimensions of the updates along which different updates never meet: those of batching, and those of windows that
/// no index moves.
Integers independent_update_dimensions(const Node& scatter, const TensorType& updates);

}  // namespace tessera::ir
