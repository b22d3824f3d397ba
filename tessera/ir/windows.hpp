// What schedulers ask of the operations with windows, reduce_window and select_and_scatter.
#pragma once

#include "tessera/ir/graph.hpp"

namespace tessera::ir {

/// Whether an element of the result is one expression, without loops: its windows are small.
bool windows_unroll(const Node& node);

}  // namespace tessera::ir
