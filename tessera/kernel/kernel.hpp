// The kernel IR: one fused loop nest over flat buffers. It knows no graph.
// pass/schedule_cpu.cpp and schedule_gpu.cpp build kernels; render_c.cpp and render_cuda.cpp here and
// backend/cpu/llvm.hpp turn them into code.
//
// Expressions are a hash-consed list of nodes; statements form a tree. What a kernel computes is fully defined here,
// bit for bit: no renderer contracts, reassociates or reorders, and a fused multiply-add happens where Fma says so.
//
// Loops:
//   Parallel  iterations are independent; at most one, the outermost statement of the kernel.
//   Serial    one iteration after the other.
//   Vector    iterations are independent except through Locals indexed by Lane. Element j of the loop runs on lane
//             j mod kLanes, so that a local of kLanes elements is one accumulator per lane.
// A kernel for a GPU has these two instead of Parallel:
//   Grid      the blocks: iterations are independent; the one outermost statement. Its body holds Threads loops,
//             Combines, and Serial loops of these: what all threads of a block do together.
//   Threads   the threads of a block, with independent iterations; all Threads loops of a kernel have one extent, a
//             multiple of 32, at most 1024. All threads finish one such loop before any begins the next: there is a
//             barrier between them. A Vector loop inside has at most kLanes elements, and is unrolled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/core/dtype.hpp"

namespace tessera::kernel {

/// Lanes of a vector loop, the same on every machine: narrower ones use several registers.
constexpr std::int64_t kLanes = 16;

/// Bytes of shared memory that a block of any GPU has without being asked for.
constexpr std::size_t kSharedBytes = 48UL * 1024;

enum class Op : std::uint8_t {
  // Leaves.
  Constant,  ///< `integer` or `real`, by dtype
  Variable,  ///< the value (I64) of loop variable `index`
  Lane,      ///< the lane (I64) of the innermost vector loop
  Load,      ///< argument `index` at element a; with a predicate b: zero where it is false, and no access there
  Read,      ///< local `index` at element a
  // Unary.
  Negate,
  Abs,
  Not,
  Sqrt,
  Floor,
  Ceil,
  RoundEven,
  PopCount,
  CountLeadingZeros,
  Exp,
  Expm1,
  Log,
  Log1p,
  Sin,
  Cos,
  Tan,
  Tanh,
  Atan,
  Erf,
  Cbrt,     ///< of F64 alone: libm. kernel/math.cpp expands F32.
  Convert,  ///< to `dtype`: float to integer saturates and sends NaN to 0; anything to Bool is != 0; integers wrap;
            ///< from and to F16 and BF16 by way of F32
  Bitcast,  ///< to `dtype` of the same size
  // Binary. Integer arithmetic wraps. Divide and Remainder of integers truncate; by zero: -1 (all bits set) and the
  // dividend; INT_MIN by -1: INT_MIN and 0. Shifts past the width give 0 (the sign for ShiftRightArithmetic).
  // Bool has And, Or, Xor and Not; the Builder expresses the others by them (a sum is Or, a product And).
  Add,
  Subtract,
  Multiply,
  Divide,
  Remainder,  ///< of floats: as C's operators and fmod
  Minimum,
  Maximum,  ///< NaN if either is NaN; -0 < +0
  Power,
  Atan2,  ///< floats: F64 by libm
  And,
  Or,
  Xor,
  ShiftLeft,
  ShiftRightLogical,
  ShiftRightArithmetic,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,  ///< to Bool; ordered comparisons of floats except NotEqual
  // Ternary.
  Select,  ///< a ? b : c
  Fma,     ///< a * b + c, rounded once; floats
};

/// "add", "shift_left": the names in texts and messages.
std::string_view name(Op op);

using Expr = std::int32_t;
constexpr Expr kNone = -1;

struct Node {
  Op op = Op::Constant;
  DType dtype = DType::F32;  ///< of the result; F16 and BF16 occur only in Load, Store, Convert and Bitcast
  std::int32_t index = 0;    ///< Variable, Load, Read: which
  Expr a = kNone, b = kNone, c = kNone;
  std::int64_t integer = 0;  ///< Constant of an integer or Bool
  double real = 0;           ///< Constant of a float, already rounded to dtype

  bool operator==(const Node& other) const;  ///< constants by their bits
};

/// A buffer that the caller passes: `count` elements. Buffers are apart, but that of an argument which is only loaded
/// may also be that of one which is stored, when both have as many bytes and each element is loaded before it is
/// stored.
struct Argument {
  std::string name;
  DType dtype = DType::F32;
  std::int64_t count = 0;
  bool written = false;
};

/// Private memory of one iteration of the parallel loop, or of one thread of a block, from one Threads loop to the
/// next. Shared: one for the whole block. Uninitialised until written.
struct Local {
  std::string name;
  DType dtype = DType::F32;
  std::int64_t count = 1;
  bool shared = false;
};

struct Variable {
  std::string name;
  std::int64_t extent = 0;
};

enum class LoopKind : std::uint8_t { Parallel, Serial, Vector, Grid, Threads };

struct Statement {
  enum class Kind : std::uint8_t { Loop, Store, Write, If, Combine } kind = Kind::Store;
  // Loop: variable `index` runs over 0 .. extent-1. If: the body runs where `predicate` holds; inside Threads loops. It
  // too has a variable of its own, of extent 1, so that `index` names an open block.
  LoopKind loop = LoopKind::Serial;
  std::vector<Statement> body;
  // Store: argument `index`; Write: local `index`. Element `at` becomes `value`, only where `predicate` holds if given.
  std::int32_t index = 0;
  Expr at = kNone, value = kNone, predicate = kNone;
  // Combine, outside of Threads loops: element 0 of the private local `index` of all threads of a block. For s =
  // stride, 2 stride, .. while s < width * stride, each thread's x becomes monoid(x, x of thread t ^ s), all at once.
  // In the end the `width` threads that differ in these bits hold one value. Both are powers of two, and width * stride
  // divides the number of threads. The monoid is Add, Multiply, Minimum, Maximum, And, Or or Xor.
  Op monoid = Op::Add;
  std::int64_t width = 1, stride = 1;
};

struct Kernel {
  std::string name;     ///< a C identifier, shown to people
  std::string comment;  ///< operations, shapes and the user's lines; one line each
  std::vector<Argument> arguments;
  std::vector<Local> locals;
  std::vector<Variable> variables;
  std::vector<Node> nodes;
  std::vector<Statement> body;

  /// Iterations of the outermost Parallel or Grid loop; 1 when there is none.
  [[nodiscard]] std::int64_t parallel_extent() const;
  /// Threads of a block; 0 for a kernel without a Grid loop.
  [[nodiscard]] std::int64_t threads() const;
  /// Text that is equal for equal kernels (names and comment left out): the key of compiled-code caches.
  [[nodiscard]] std::string key() const;
};

/// Throws Error naming the first broken rule: operand types, indices in range, locals and variables in scope,
/// constant accesses inside their buffers, one parallel loop outermost. For tests and debugging.
void verify(const Kernel& kernel);

/// Readable text of the IR itself.
std::string to_string(const Kernel& kernel);

/// Bounds of an integer expression; not `known` where it may be anything, or may wrap.
struct Range {
  std::int64_t low = 0, high = 0;
  bool known = false;
  [[nodiscard]] bool within(std::int64_t least, std::int64_t most) const {
    return known && low >= least && high <= most;
  }
};

/// What the extents of the loops say of the values of integer expressions. Remembers what it computed; nodes may be
/// appended to the kernel meanwhile.
class Ranges {
 public:
  explicit Ranges(const Kernel& kernel) : kernel_(kernel) {}
  Range of(Expr e);

 private:
  Range compute(const Node& node);
  const Kernel& kernel_;
  std::unordered_map<Expr, Range> memo_;
};

/// True when the value may differ between two evaluations in one iteration of the enclosing loops: it reads a local,
/// or an argument that the kernel writes.
std::vector<bool> impure_nodes(const Kernel& kernel);

/// Appends expressions and statements to a kernel; simplifies as it goes (constants folded, index arithmetic reduced
/// by the ranges of the loop variables; floats only where the result has the same bits).
class Builder {
 public:
  explicit Builder(Kernel& kernel) : kernel_(kernel), ranges_(kernel) { blocks_.push_back(&kernel.body); }

  // Leaves.
  Expr constant(DType dtype, double value);
  Expr integer(DType dtype, std::int64_t value);
  Expr index(std::int64_t value) { return integer(DType::I64, value); }
  Expr variable(std::int32_t v);
  Expr lane();
  Expr load(std::int32_t argument, Expr at, Expr predicate = kNone);
  Expr read(std::int32_t local, Expr at);
  Expr read(std::int32_t local) { return read(local, index(0)); }

  // Arithmetic. `unary` and `binary` take the kernel Op; the result's dtype follows from the operands.
  Expr unary(Op op, Expr a);
  Expr binary(Op op, Expr a, Expr b);
  Expr select(Expr condition, Expr yes, Expr no);
  Expr fma(Expr a, Expr b, Expr c);
  Expr convert(DType dtype, Expr a);
  Expr bitcast(DType dtype, Expr a);
  Expr add(Expr a, Expr b) { return binary(Op::Add, a, b); }
  Expr sub(Expr a, Expr b) { return binary(Op::Subtract, a, b); }
  Expr mul(Expr a, Expr b) { return binary(Op::Multiply, a, b); }
  Expr logical_and(Expr a, Expr b) { return binary(Op::And, a, b); }

  // Declarations.
  std::int32_t argument(std::string name, DType dtype, std::int64_t count, bool written);
  std::int32_t local(std::string name, DType dtype, std::int64_t count = 1, bool shared = false);
  std::int32_t new_variable(std::string name, std::int64_t extent);

  // Statements, appended to the open block.
  void store(std::int32_t argument, Expr at, Expr value, Expr predicate = kNone);
  void write(std::int32_t local, Expr at, Expr value, Expr predicate = kNone);
  void write(std::int32_t local, Expr value) { write(local, index(0), value); }
  /// Opens a loop over a new variable; statements go into it until `close`.
  Expr open(LoopKind kind, std::string name, std::int64_t extent);
  /// Opens a block that runs where the condition holds.
  void open_if(Expr condition);
  void close();
  void combine(std::int32_t local, Op monoid, std::int64_t width, std::int64_t stride = 1);
  /// Number of open loops. The open loop of each level is the last statement of its block.
  [[nodiscard]] std::size_t depth() const { return blocks_.size() - 1; }
  /// True inside a vector loop.
  [[nodiscard]] bool in_vector_loop() const { return vector_depth_ > 0; }

  [[nodiscard]] DType dtype(Expr e) const { return kernel_.nodes[static_cast<std::size_t>(e)].dtype; }
  [[nodiscard]] const Node& node(Expr e) const { return kernel_.nodes[static_cast<std::size_t>(e)]; }
  /// The value of an integer constant expression.
  [[nodiscard]] bool is_constant(Expr e, std::int64_t* value = nullptr) const;
  [[nodiscard]] Kernel& kernel() { return kernel_; }

 private:
  struct Linear;
  struct Hash {
    std::size_t operator()(const Node& node) const;
  };
  Expr intern(const Node& node);
  Expr make(Op op, DType dtype, Expr a, Expr b = kNone, Expr c = kNone);
  Expr fold_binary(Op op, Expr a, Expr b);
  Expr simplify_integers(Op op, Expr a, Expr b);
  Expr simplify_floats(Op op, Expr a, Expr b);
  Expr boolean_arithmetic(Op op, Expr a, Expr b);
  Expr compare_integers(Op op, Expr a, Expr b);
  Expr divide_index(Expr a, std::int64_t by);
  Expr remainder_index(Expr a, std::int64_t by);
  Linear linear(Expr e) const;
  Expr build(Linear form);
  Range range(const Linear& form);

  Kernel& kernel_;
  Ranges ranges_;
  std::vector<std::vector<Statement>*> blocks_;
  std::vector<bool> vector_loops_;
  int vector_depth_ = 0;
  std::unordered_map<Node, Expr, Hash> interned_;
};

// kernel/math.cpp: elementary functions as kernel expressions, so that every renderer computes the same bits.
// F32: polynomials within 3 units in the last place, by Fma; F64: the libm node. F16 and BF16 go through F32.
enum class Function : std::uint8_t {
  Exp,
  Expm1,
  Log,
  Log1p,
  Sqrt,
  Rsqrt,
  Cbrt,
  Sin,
  Cos,
  Tan,
  Tanh,
  Logistic,
  Erf,
  Power,
  Atan2,
};
Expr call(Builder& builder, Function function, Expr a, Expr b = kNone);

/// kernel/render_c.cpp: a C11 translation unit that defines
///   void NAME(void* const* arguments, int64_t begin, int64_t end)
/// which runs iterations [begin, end) of the parallel loop. A GPU's kernel runs blocks [begin, end), the threads of
/// each one after the other.
std::string render_c(const Kernel& kernel);

/// kernel/render_cuda.cpp: a CUDA C++ translation unit for NVRTC (it includes nothing) that defines
///   extern "C" __global__ void NAME(T0* argument0, const T1* argument1, ..)
/// for each kernel, under the name given, to be launched with parallel_extent() blocks of threads() threads. It must be
/// compiled with --fmad=false. Vector loops load and store 16 bytes at once where addresses allow it: arguments begin
/// at multiples of 16 bytes.
std::string render_cuda(const std::vector<const Kernel*>& kernels, const std::vector<std::string>& names);

/// Shared memory of a block of the kernel as render_cuda writes it; a launch gives no other.
std::size_t shared_bytes(const Kernel& kernel);

}  // namespace tessera::kernel
