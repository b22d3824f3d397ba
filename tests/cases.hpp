// The case table: small programs, at least one for each primitive and kind of element, that all tests of rules walk:
// primitives_test (verify, derivatives, vectorisation, text) and the tests of backends (against the interpreter).
// One file cases_FAMILY.cpp adds the cases of a family of primitives.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tessera/ir/build.hpp"
#include "tessera/ir/graph.hpp"

namespace tessera::cases {

/// Values of a random argument, uniform; integers include both ends.
struct Range {
  double low = -2, high = 2;
};

struct Case {
  std::string name;  ///< "add f32": the primitive's name first
  std::vector<TensorType> parameters;
  /// Appends the program and returns its results. Takes the element types from the parameters, so that a case that is
  /// differentiable can be built for f64.
  std::function<ir::Values(ir::Builder&, const ir::Values&)> build;
  std::vector<Range> ranges;       ///< of the arguments; Range{} for those not listed
  std::vector<Literal> arguments;  ///< these instead of random ones
  /// Derivatives are tested at random arguments, with every f32 parameter made f64.
  bool differentiable = false;
  bool forward_only = false;  ///< differentiable, but not in reverse mode
  double slack = 1;  ///< multiples of the element type's tolerance by which backends may differ from the interpreter
};

/// All of them.
const std::vector<Case>& all();

std::vector<Case> elementwise_cases();
std::vector<Case> movement_cases();
std::vector<Case> indexing_cases();
std::vector<Case> reduction_cases();
std::vector<Case> window_cases();
std::vector<Case> product_cases();
std::vector<Case> structure_cases();
std::vector<Case> control_cases();

/// Which dimensions of a convolution's three tensors are what. In `input` and `output`: the batch, the features, then
/// the spatial ones; in `kernel`: output features, input features, spatial.
ir::Attributes convolution_dimensions(const ir::Integers& input, const ir::Integers& kernel,
                                      const ir::Integers& output);
/// Images [batch, height, width, channels] and weights [rows, columns, in, out], as nn::Conv2d has them.
inline ir::Attributes image_dimensions() { return convolution_dimensions({0, 3, 1, 2}, {3, 2, 0, 1}, {0, 3, 1, 2}); }

/// The program of a case; with `wide`, f32 parameters are f64.
ir::GraphPtr graph_of(const Case& item, bool wide = false);
/// Its arguments: the given ones, or random ones that follow from the seed, for the parameters of `graph`.
std::vector<Literal> arguments_of(const Case& item, const ir::Graph& graph, std::uint64_t seed);
Literal random_literal(const TensorType& type, Range range, std::uint64_t seed);

/// Empty when both have one type and values within slack * tolerance of their element type (relative, absolute below
/// 1; integers and booleans exactly; NaN equals NaN); otherwise what differs.
std::string difference(const Literal& got, const Literal& want, double slack = 1);

/// Every supported element type; the integers; the floats.
extern const std::vector<DType> kDTypes, kIntegers, kFloats;

}  // namespace tessera::cases
