// Which values a derivative keeps. In: a program and its tangents in one graph. Out: what the tangents are given of the
// primals, when the two are taken apart (control.cpp).
#pragma once

#include <memory>
#include <vector>

#include "tessera/ir/primitive.hpp"

namespace tessera::transform {

/// A program and its tangents in one graph. Parameters: the program's, then tangents of those that vary.
struct Linearized {
  std::shared_ptr<ir::Graph> graph;
  ir::Values primals, seeds;     ///< parameters; seeds[i]: kZero where parameter i does not vary
  ir::Values results, tangents;  ///< tangents[r]: kZero where result r does not vary

  [[nodiscard]] ir::Value tangent_or_zeros(std::size_t r) const {
    return tangents[r] == ir::kZero ? ir::Builder{*graph}.zeros_like(results[r]) : tangents[r];
  }
};

/// The primal values that the tangents are to be given, in the order in which they are computed. The tangents use some;
/// of these, those that follow quickly from others are computed there again, and what only spreads a smaller value is
/// given as that. Values with at_hand[v] cost nothing to give; they are listed where they are used.
ir::Values residuals_of(const Linearized& linearized, const std::vector<bool>& at_hand);

}  // namespace tessera::transform
