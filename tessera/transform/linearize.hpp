// What the transforms share: primals and tangents in one graph (the common half of forward and reverse mode), the way
// back through linear nodes, and what goes into the regions of control flow.
#pragma once

#include <optional>
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

/// Walks the nodes that depend on `inputs`, and stood in the graph when this was made, backwards through their
/// transpose rules, which append to the graph.
class Backward {
 public:
  Backward(ir::Graph& graph, const ir::Values& inputs);
  /// Adds to the cotangent of a value that depends on the inputs; nothing happens for others.
  void seed(ir::Value value, ir::Value cotangent);
  void run();
  [[nodiscard]] ir::Value cotangent(ir::Value value) const { return cotangent_[static_cast<std::size_t>(value)]; }

 private:
  void add(ir::Value to, ir::Value amount, Location location);

  ir::Graph& graph_;
  std::size_t count_;
  std::vector<bool> linear_;
  ir::Values cotangent_;
};

/// A program of which only some results carry the batch dimension.
struct Batched {
  std::shared_ptr<ir::Graph> graph;
  std::vector<bool> results;
};
Batched vmap_partly(const ir::Graph& graph, const std::vector<bool>& batched, std::int64_t size);
/// Gives the results r with which[r] the batch dimension, where they lack it.
void batch_results(Batched& batched, const std::vector<bool>& which, std::int64_t size);

/// The part of `from` that computes `results` from `parameters`, values of it; kZero stands for a parameter that it
/// does not use, of the type in `types`.
std::shared_ptr<ir::Graph> extract(const ir::Graph& from, const ir::Values& parameters,
                                   const std::vector<TensorType>& types, const ir::Values& results);

/// counted.cpp: the results of a while as those of a scan that is appended, where a counter decides on its end.
std::optional<ir::Values> while_as_scan(ir::Graph& graph, const ir::Node& node, const ir::Values& operands);

// control.cpp: the rules of while, if, case and scan.
/// Takes the tangents of the operands and leaves those of the results.
ir::Values linearize_control(ir::Graph& graph, const ir::Node& node, const ir::Values& operands, ir::Values& tangents,
                             Mode mode);
ir::Values transpose_control(const ir::TransposeContext& context);
ir::Values batch_control(const ir::BatchContext& context);

}  // namespace tessera::transform
