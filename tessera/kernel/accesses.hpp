// What statements of a kernel read and write: where the renderers put barriers and private memory. No public interface.
#pragma once

#include <set>
#include <vector>

#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {

struct Accesses {
  std::set<std::int32_t> loads, stores;  ///< arguments
  std::set<std::int32_t> reads, writes;  ///< locals; a Combine does both

  [[nodiscard]] bool touches(std::int32_t local) const { return reads.contains(local) || writes.contains(local); }
  bool operator==(const Accesses&) const = default;
};

/// Those of a statement and all inside it.
Accesses accesses(const Kernel& kernel, const Statement& statement);
/// Those of one expression.
Accesses accesses(const Kernel& kernel, Expr e);

/// For each private local: true where threads keep its values from one threads loop to another, or combine them.
std::vector<bool> kept_locals(const Kernel& kernel);

}  // namespace tessera::kernel
