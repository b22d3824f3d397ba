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

struct Program;

/// What a step of kind Loop or Branch runs. Its programs have inputs and outputs of their own, bound to the memory of
/// the step's buffers; nothing is copied in or out.
///   Loop    inputs of the body: constants, what is carried, slices of the others; outputs: what is carried, then
///           slices. The condition takes constants and what is carried, and gives one bool.
///   Branch  inputs: all operands but the first, which selects the program.
struct Inner {
  std::vector<Program>
      programs;  ///< Loop: the body, then the condition where there is one; Branch: one for each branch
  std::size_t constants = 0, carried = 0;  ///< Loop: of the operands
  std::int64_t steps = 0;                  ///< Loop: how many there are; kUntilFalse: as long as the condition holds
  bool reverse = false;                    ///< Loop: the slices are taken from the last to the first
  /// Loop, by carried value: the body writes it where it reads it. Otherwise steps write in turn into the result and
  /// into a spare place.
  std::vector<bool> in_place;
  // Offsets in the step's last buffer: spare places by carried value; the condition's answer; on a GPU, places of
  // slices that do not begin where kernels and libraries want it, by sliced operand, then by stacked result; the
  // programs' arena. kNoPlace where there is none.
  std::vector<std::size_t> spare, slices;
  /// Loop: of each carried value; of one slice of each sliced operand, then of each stacked result.
  std::vector<std::size_t> carried_bytes, slice_bytes;
  std::size_t answer = 0, arena = 0, bytes = 0;
};
constexpr std::int64_t kUntilFalse = -1;
constexpr std::size_t kNoPlace = ~std::size_t{0};

struct Step {
  enum class Kind : std::uint8_t { Kernel, Library, Host, Loop, Branch } kind = Kind::Kernel;
  kernel::Kernel kernel;
  LibraryCall library;  ///< Host: a custom_call that runs on the host; its node only. Loop and Branch: the node
  Inner inner;
  /// Buffers: Kernel: one for each kernel argument; Library and Host: operands, then results; Loop and Branch:
  /// operands, then results, then memory for what runs inside.
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

/// Calls visit(step) for each step, and for those inside of loops and branches behind the step that holds them.
void each_step(const Program& program, const std::function<void(const Step&)>& visit);

/// The plan for people: steps in order, buffers with offsets, the peak and its largest tenants.
std::string to_string(const Program& program);

/// Throws Error when two buffers that live at once overlap, or a buffer is read before it is written.
void verify(const Program& program);

}  // namespace tessera::pass
