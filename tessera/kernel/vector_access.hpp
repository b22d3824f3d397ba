// Which loads and stores of a vector loop can move several neighbouring elements at once, and the helpers in CUDA C++
// that do. Used by kernel/render_cuda.cpp. No public interface.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {

/// True when some node of the expression, itself included, satisfies the predicate.
bool any_node(const Kernel& k, Expr e, const std::function<bool(const Node&)>& predicate);
/// True when the value may change with the variable.
bool depends_on(const Kernel& k, Expr e, std::int32_t variable);

/// A load or store whose elements follow each other: that of iteration j is at `at` in iteration 0, plus j.
struct VectorAccess {
  std::int32_t argument = 0;
  Expr at = kNone;
  Expr condition = kNone;                ///< the same for all iterations; kNone: always
  std::int64_t elements = 1;             ///< at once: a power of two, at most 16 bytes, which divides the index
  Expr load = kNone;                     ///< a load: its node
  const Statement* statement = nullptr;  ///< a store: its statement
};

/// Those of one vector loop. All loads may be done before it and all stores after it, with the same result.
struct VectorAccesses {
  VectorAccesses(const Kernel& k, const Statement& loop);

  Expr variable = kNone, lane = kNone;  ///< the nodes of the loop's variable and of the lane, if there are any
  std::vector<VectorAccess> loads, stores;
};

/// `void NAME(T* to, const T* from)` that moves `elements` elements at once to, or from, an array in registers.
std::string vector_load_name(DType d, std::int64_t elements);
std::string vector_load(DType d, std::int64_t elements);
std::string vector_store_name(DType d, std::int64_t elements);
std::string vector_store(DType d, std::int64_t elements);

}  // namespace tessera::kernel
