// What while, if, case and scan are made of, for the rows (ir/rows_control.cpp) and for all that goes into their
// regions: transform/control.cpp, pass/loops.cpp, the parser. Regions are closed: what they use from outside are
// operands. That a value does not change in a loop shows in its body, which returns the parameter itself.
#pragma once

#include "tessera/ir/primitive.hpp"

namespace tessera::ir {

/// A scan is written as a composite of this name.
constexpr std::string_view kScanName = "tessera.scan";

/// scan: operands are `constants`, then the initial values of what is `carried`, then what is sliced along dimension 0,
/// one slice a step. The body takes the same with slices and returns what is carried, then slices of results.
/// Results: what is carried at the end, then the slices of each, stacked along dimension 0.
struct ScanParts {
  std::size_t constants = 0, carried = 0, sliced = 0, stacked = 0;
  std::int64_t length = 0;
  bool reverse = false;  ///< slices are taken and stacked from the last to the first
  [[nodiscard]] std::size_t first_sliced() const { return constants + carried; }
};
ScanParts scan_parts(const Node& node);
Attributes scan_attributes(const ScanParts& parts);

/// A value of `type` stacked `length` times, and back.
TensorType stacked_type(const TensorType& type, std::int64_t length);
TensorType slice_type(const TensorType& type);

/// if, case: which region runs for this value of operand 0. An index that is out of range means the last.
std::size_t branch_of(const Node& node, std::int64_t selector);

/// Branches and what they use, in the form in which the text gives them: used by some branch, ordered by first use.
struct Branches {
  std::vector<GraphPtr> regions;
  Values captures;  ///< parameter i of every region is bound to captures[i]
};
Branches in_order_of_use(const Branches& branches);
/// Appends an `if` or a `case` in that form.
Values add_branches(Builder& build, Op op, Value selector, const Branches& branches);

/// The scan as a while over slices.
Values scan_as_while(Builder& build, const Node& node, const Values& operands);

}  // namespace tessera::ir
