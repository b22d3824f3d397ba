// A Program: what a backend runs. Generated kernels and library calls in order, over buffers with planned offsets.
// pass/lower.cpp makes it from a Graph; backend/cpu/executable.cpp turns it into code and runs it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tessera/core/backend.hpp"
#include "tessera/ir/graph.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::pass {

/// Memory that steps read and write.
struct Buffer {
  enum class Kind : std::uint8_t { Input, Output, Temporary, Constant } kind = Kind::Temporary;
  TensorType type;
  std::int32_t index = 0;  ///< Input: which parameter; Output: which result; Constant: index into Program::constants
  std::size_t offset = 0;  ///< Temporary: bytes from the start of the arena (a multiple of 64)
  std::int32_t donated_from = -1;  ///< Output: the donated input whose memory it takes
  std::string name;                ///< for plans and messages: the operation and the user's place
};

/// Work that a vendor library does: the node as it stands in the graph, and what was fused onto its result.
/// Operands: the node's own, then the epilogue's, in order. One result, in the type after the epilogue.
struct LibraryCall {
  /// One elementwise operation on the running result.
  struct Epilogue {
    enum class Kind : std::uint8_t {
      AddBias,    ///< + operand of shape [last dimension]
      AddTensor,  ///< + operand of the result's shape
      Relu,       ///< max(., 0)
    } kind;
  };
  ir::Node node;
  std::vector<TensorType> operand_types;  ///< of the node's own operands
  TensorType result_type;
  std::vector<Epilogue> epilogue;
};

/// What an accelerator tells the passes about itself.
struct Target {
  std::string name = "cpu";
  int threads = 1;
  Precision precision = Precision::Float32;
  /// Asked for each product, convolution and custom call, with the element types and shapes as they stand after
  /// simplify: true when the backend has a library kernel for it. The others are lowered to loops.
  std::function<bool(const ir::Graph& graph, const ir::Node& node)> has_library_kernel = nullptr;
  /// Run once after simplify: puts custom calls, which are library kernels of the backend, in place of what they
  /// compute.
  ir::Graph (*prepare)(const ir::Graph& graph) = nullptr;
  /// Asked for each elementwise operation behind a library kernel, which stands last in the call's epilogue: true when
  /// the library does it too. Without it, the backend takes all that an epilogue can be.
  std::function<bool(const LibraryCall& call)> fuses = nullptr;
  /// Of a GPU, whose kernels are made of blocks and threads. 0: a CPU.
  int multiprocessors = 0;
  [[nodiscard]] bool is_gpu() const { return multiprocessors > 0; }
};

struct Step {
  enum class Kind : std::uint8_t { Kernel, Library, Host } kind = Kind::Kernel;
  kernel::Kernel kernel;
  LibraryCall library;  ///< Host: a custom_call that runs on the host; its node only
  /// Buffers: Kernel: one for each kernel argument; Library and Host: operands, then results.
  std::vector<std::int32_t> buffers;
  std::vector<bool> once;  ///< Kernel: by argument: no element is stored twice
  double operations = 0;
  double bytes = 0;
  Location location;
};

struct Program {
  std::string name;
  std::vector<Buffer> buffers;
  std::vector<Literal> constants;
  std::vector<Step> steps;
  std::size_t arena_bytes = 0;
  std::int32_t inputs = 0, outputs = 0;
  /// Output o is simply input i (or -1), or a constant: nothing to run, the storage is shared or copied by the caller.
  struct Alias {
    std::int32_t output, input, constant;
  };
  std::vector<Alias> aliases;
};

/// All passes: simplify, precision, choose library kernels and layouts, fuse, schedule, plan memory.
/// Writes the stages to TESSERA_DUMP when that is set. Throws Error (Unsupported) naming node and reason.
Program lower(const ir::Graph& graph, const Target& target, const CompileOptions& options);

/// The plan for people: steps in order, buffers with offsets, the peak and its largest tenants.
std::string to_string(const Program& program);

/// Throws Error when two buffers that live at once overlap, or a buffer is read before it is written.
void verify(const Program& program);

}  // namespace tessera::pass
