// Which operation of a compiled step first made a value that is not finite. Used by train/loop.cpp when a loss is NaN.
#pragma once

#include <span>
#include <string>

#include "tessera/array/jit.hpp"

namespace tessera::train {

/// Runs the program of `entry` on `arguments` operation by operation. Returns one sentence that names the first
/// operation with a result that is not finite though its operands are, with its place in the source; "" when there is
/// none.
std::string first_bad_operation(const detail::JitEntry& entry, std::span<const Array> arguments);

/// True when every floating-point value of these arrays is finite.
bool all_finite(std::span<const Array> arrays);

}  // namespace tessera::train
