// Inside of Array: its state, the trace that records operations, and how programs are applied to arrays.
// Used by array/*.cpp and by the templates of array/jit.hpp and array/transforms.hpp.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "tessera/array/array.hpp"
#include "tessera/ir/graph.hpp"

namespace tessera::detail {

struct ArrayState {
  TensorType type;
  StoragePtr storage;            ///< values in memory; null for a traced array
  std::shared_ptr<Trace> trace;  ///< the trace that names it; null for a concrete array
  ir::Value value = -1;
  Location made_at;
};

/// A function being traced. Operations on arrays go into the innermost open trace of the thread. Arrays from outside
/// become hidden parameters, behind the declared ones.
class Trace : public std::enable_shared_from_this<Trace> {
 public:
  explicit Trace(std::string name) : graph_(std::move(name)) {}
  /// The innermost open trace, or nullptr.
  static Trace* current();

  Array parameter(const TensorType& type);
  Array array(ir::Value value, Location location);
  ir::Value value_of(const Array& array, Location location);
  [[nodiscard]] ir::Graph& graph() { return graph_; }
  [[nodiscard]] const std::vector<Array>& captured() const { return captured_; }

 private:
  friend class TraceSession;
  ir::Graph graph_;
  std::vector<Array> captured_;
  std::unordered_map<const ArrayState*, ir::Value> lifted_;
  Trace* outer_ = nullptr;
  bool open_ = true;
};

struct Traced {
  ir::GraphPtr graph;
  std::vector<Array> captured;  ///< arguments of the hidden parameters
};

/// Opens a trace; closes it at the end of the scope, also when the traced function throws.
class TraceSession {
 public:
  explicit TraceSession(std::string name);
  ~TraceSession();
  TraceSession(const TraceSession&) = delete;
  TraceSession& operator=(const TraceSession&) = delete;

  Array parameter(const TensorType& type) { return trace_->parameter(type); }
  /// Ends the trace with these results.
  Traced finish(std::span<const Array> results);

 private:
  void close();
  std::shared_ptr<Trace> trace_;
};

/// While one is alive, operations are attributed to the line at which the outermost module (or compound operation) was
/// called. A place that is not known opens nothing.
class ModuleScope {
 public:
  explicit ModuleScope(Location location);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  bool outermost_;
};

/// One operation on arrays: recorded in the open trace, or compiled, cached and run.
std::vector<Array> apply(ir::Op op, std::span<const Array> operands, ir::Attributes attributes,
                         std::vector<ir::GraphPtr> regions, Location location);
Array apply1(ir::Op op, std::span<const Array> operands, ir::Attributes attributes, Location location);

/// A whole program on arrays: inlined into the open trace, or compiled, cached and run.
std::vector<Array> apply_graph(const ir::Graph& graph, std::span<const Array> arguments);

/// The executable of a graph on the default device, from the process-wide cache.
std::shared_ptr<Executable> compile_cached(const ir::Graph& graph, const CompileOptions& options);

Array make_array(TensorType type, StoragePtr storage);
/// The memory of a concrete array; throws Error for a traced one.
const StoragePtr& storage_of(const Array& array);

/// An error of usage at the line of the outermost module, or at this one.
[[noreturn]] void throw_usage(Location location, const std::string& message);
/// The message form of every error of a public operation: what and where, the operands, the rule, a hint.
[[noreturn]] void throw_operand_error(const std::string& operation, Location location, std::span<const Array> operands,
                                      const std::string& rule, const std::string& hint);

}  // namespace tessera::detail
