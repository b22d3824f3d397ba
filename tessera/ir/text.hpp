// StableHLO text: the form in which graphs are written to files and read from them.
// Printed by ir/print.cpp; read by ir/parse.cpp. What is read and written: docs/stablehlo.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/ir/graph.hpp"

namespace tessera::ir {

struct PrintOptions {
  bool generic = false;          ///< "stablehlo.op"(...) <{...}> for every operation, as PJRT plugins read best
  bool debug_locations = false;  ///< the user's places as comments
};

/// A module whose public function @main is `graph`; bodies of calls follow as private functions.
/// parse(print(g)).entry() has the same key as g.
std::string print(const Graph& graph, const PrintOptions& options = {});

/// A tensor's values as text: dense<1.5>, dense<[1, 2]>, dense<"0x...">. Bit exact.
std::string dense_text(const Literal& literal);
/// tensor<2x3xf32>
std::string type_text(const TensorType& type);

struct Function {
  std::string name;
  GraphPtr graph;
  bool is_public = true;
  /// For each parameter the result whose memory it may become (tf.aliasing_output), or -1.
  std::vector<std::int64_t> aliased_result;
};

struct Module {
  std::string name;
  std::vector<Function> functions;

  /// The function of that name; throws Error listing the names there are.
  [[nodiscard]] const Function& function(std::string_view function_name) const;
  [[nodiscard]] GraphPtr entry(std::string_view function_name = "main") const { return function(function_name).graph; }
};

/// Reads a module, or functions without one. `file_name` is for messages, which begin "file:line:column".
/// Throws Error: Failed for text that is wrong, Unsupported for what is right and not supported.
Module parse(std::string_view text, const std::string& file_name = "<text>");

}  // namespace tessera::ir
