// What fusion decides: which values have memory, and which of them one step computes together. Internal to pass/.
// pass/fuse.cpp makes it from a simplified graph; pass/schedule.cpp turns each cluster into a step.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "tessera/ir/control.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::pass {

// Rows on a GPU: threads of a block at most, elements of a row that each should keep, and may where the row is wide,
// bytes of shared memory for rows.
constexpr std::int64_t kBlockThreads = 1024;
constexpr std::int64_t kRowKept = 16, kWideRowKept = 32;
/// Elements of a row that each of its threads keeps. Wide rows take more, so that two blocks fit on a multiprocessor:
/// one computes while the other loads.
constexpr std::int64_t row_slots(std::int64_t width) {
  return width <= kRowKept * kBlockThreads / 2 ? kRowKept : kWideRowKept;
}
constexpr std::int64_t kRowBytes = 40960;

/// The type that a value of `dtype` has inside kernels: the halves compute as F32.
inline DType compute_type(DType dtype) { return dtype == DType::F16 || dtype == DType::BF16 ? DType::F32 : dtype; }

/// A reduction of one contiguous group of dimensions with a monoid: [outer, reduced, inner] -> [outer, inner].
struct ReduceForm {
  std::int64_t outer = 1, reduced = 1, inner = 1;
  ir::Op monoid = ir::Op::Add;
};
std::optional<ReduceForm> reduce_form(const ir::Graph& graph, const ir::Node& node);

/// Leading dimensions of `shape` with `rows` elements together; empty when no prefix has them.
std::optional<std::size_t> prefix_of(const Shape& shape, std::int64_t rows);

/// A value that a cluster computes.
struct Item {
  ir::Value value = -1;
  /// How others in the cluster, in later loops, get it.
  enum class Hold : std::uint8_t {
    Inline,   ///< computed again where it is used
    Scalar,   ///< a local: one number for each row
    Scratch,  ///< a local of a row's length
    Stored,   ///< a buffer
  } hold = Hold::Stored;
  int level = 0;           ///< items of one level and extent share a loop
  bool elsewhere = false;  ///< Scratch: read at other columns of the row, too
};

struct Cluster {
  enum class Kind : std::uint8_t {
    Map,      ///< items of one number of elements, each from its own index alone
    Rows,     ///< one iteration for each row; reductions over the rest of the row
    Columns,  ///< reductions over leading dimensions, beside items of the domain they reduce
    Library,
    Host,
    Control,  ///< a loop or branches: programs of their own
    Update,   ///< scatter or dynamic_update_slice, in the memory of what it updates
  } kind = Kind::Map;
  std::vector<Item> items;         ///< in an order in which they can be computed
  std::int64_t rows = 1;           ///< Rows
  ReduceForm columns;              ///< Columns
  double cost = 0;                 ///< operations of all iterations, roughly
  const ir::Node* node = nullptr;  ///< Library, Host, Control, Update
  // Library: the last value of the chain of epilogues is the item.
  std::vector<LibraryCall::Epilogue> epilogue;
  ir::Values epilogue_operands;
};

struct Fusion {
  const ir::Graph* graph = nullptr;
  std::vector<bool> stored;       ///< by value: it has a buffer (parameters and large constants included)
  ir::Values storage;             ///< by value: whose buffer holds its elements, in the same order (reshapes)
  std::vector<Cluster> clusters;  ///< in an order in which they can run

  [[nodiscard]] bool has_buffer(ir::Value v) const { return stored[static_cast<std::size_t>(storage_of(v))]; }
  [[nodiscard]] ir::Value storage_of(ir::Value v) const { return storage[static_cast<std::size_t>(v)]; }
};

/// A concatenation of equal shapes: a CPU's loops go through one of them, and store an element of each piece at a time.
bool is_in_pieces(const ir::Graph& graph, const ir::Node& node);

/// Elementwise work of one element of each value's own operation, without its operands'. Multiply-adds count one.
double element_cost(const ir::Graph& graph, const ir::Node& node);

/// True for a node that changes its first operands where they stand; see separate_updates.
bool updates_in_place(const ir::Node& node);

Fusion fuse(const ir::Graph& graph, const Target& target);

/// Clusters of one step: one, or several that share a kernel.
struct Group {
  std::vector<Cluster> clusters;
  bool side_by_side = false;  ///< they do not depend on each other; otherwise one after the other
};
/// The groups, in the order in which they run.
std::vector<Group> group(const Fusion& fusion, const Target& target);
/// The step of a group. `buffer_of[value]` is the buffer of a stored value.
Step schedule(const Fusion& fusion, const Group& group, const Target& target,
              const std::vector<std::int32_t>& buffer_of);

// The passes before fusion: Graph -> Graph.
/// Calls and composites inlined, what has only a decomposition decomposed, equal nodes merged, unused ones dropped,
/// constants folded, identities and chains of movements removed, products in canonical form. Idempotent.
ir::Graph simplify(const ir::Graph& graph);
/// What scans need not do step by step is done before or behind them, for all steps at once.
ir::Graph improve_loops(const ir::Graph& graph);
/// Products in the body of a scan, taken apart where a part of them need not be done step by step.
ir::Graph split_products(const ir::Graph& body, const ir::ScanParts& parts);
/// Reductions with one contiguous group of dimensions; large ones in two stages, so that threads can share them.
ir::Graph split_reductions(const ir::Graph& graph, const Target& target);
/// By result of a region: the parameter whose memory it may take, as the same carried value; -1 where there is none.
using Carried = std::vector<std::int32_t>;
/// Marks scatters, and those dynamic_update_slices whose operand nobody else needs, as updates in place. What they may
/// not overwrite is copied first. What a loop carries is updated where it lies.
ir::Graph separate_updates(const ir::Graph& graph, const Carried& carried = {});
/// Operands of products and convolutions in bf16, results as they were; those for which the target has a library kernel
/// in f32 alone stay.
ir::Graph lower_precision(const ir::Graph& graph, const Target& target);

/// A region as a program, every result in memory of its own or in that of the parameter that `carried` names.
Program lower_region(const ir::Graph& region, const Target& target, const Carried& carried);

/// Offsets in the arena, and outputs and temporaries in the memory of what dies. With `carried`, outputs take no other
/// input's memory than it says.
void plan_memory(Program& program, const std::vector<bool>& donated, const Carried* carried = nullptr);

/// "f32[128, 10] add at model.cpp:12": for plans and comments.
std::string describe(const ir::Graph& graph, ir::Value value);
std::string to_string(const Fusion& fusion);

/// Writes `text` to the next numbered file of TESSERA_DUMP, when that is set.
class Dump {
 public:
  explicit Dump(std::string program);
  void write(const std::string& stage, const std::string& text);
  [[nodiscard]] bool active() const { return !folder_.empty(); }

 private:
  std::string folder_, program_;
};

}  // namespace tessera::pass
