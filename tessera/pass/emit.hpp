// Elements of values as kernel expressions: loop rules of inlined producers, loads of stored ones. Internal to pass/.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "tessera/ir/scatter.hpp"
#include "tessera/pass/fusion.hpp"

namespace tessera::pass {

class Emitter {
 public:
  Emitter(const Fusion& fusion, kernel::Kernel& kernel, const std::vector<std::int32_t>& buffer_of)
      : fusion_(fusion), graph_(*fusion.graph), buffer_of_(buffer_of), kernel_(kernel), b(kernel) {}

  const Fusion& fusion_;
  const ir::Graph& graph_;

 private:
  const std::vector<std::int32_t>& buffer_of_;
  kernel::Kernel& kernel_;

 public:
  kernel::Builder b;
  std::vector<std::int32_t> buffers;  ///< of the kernel's arguments
  std::vector<bool> once;             ///< by argument: each element is stored at most once

  /// The kernel argument of the buffer of a stored value.
  std::int32_t argument(ir::Value value, bool written = false);
  /// Element `at` of a value. Predicated: see ir::LoopContext.
  kernel::Expr element(ir::Value value, const ir::Index& at, kernel::Expr predicate = kernel::kNone);
  void store(ir::Value value, const ir::Index& at, kernel::Expr element, kernel::Expr predicate = kernel::kNone);

  /// Row-major index, and its inverse.
  kernel::Expr linear(const Shape& shape, const ir::Index& at);
  ir::Index delinear(kernel::Expr flat, const Shape& shape);
  /// Index of `shape`, of which the first `prefix` dimensions count rows and the others columns.
  ir::Index split_index(kernel::Expr row, kernel::Expr column, const Shape& shape, std::size_t prefix);

  /// From now on the value is not computed but loaded from its buffer, read from a local, or (withhold) computed.
  void withhold(ir::Value value) { withheld_.insert(value); }
  void release(ir::Value value) {
    withheld_.erase(value);
    memo_.clear();
  }
  /// All elements that are asked for from now on stand in one place of a local.
  void hold_scalar(ir::Value value, std::int32_t local, kernel::Expr place = kernel::kNone) {
    held_[value] = {local, false, 0, place};
    memo_.clear();
  }
  /// The elements of the current row stand in a local, from `first` on.
  void hold_row(ir::Value value, std::int32_t local, std::size_t prefix, kernel::Expr first = kernel::kNone) {
    held_[value] = {local, true, prefix, first};
    memo_.clear();
  }
  /// When set: asked for each element that is loaded from a buffer; gives the expression to use in its place.
  std::function<kernel::Expr(ir::Value owner, kernel::Expr flat, kernel::Expr loaded)> on_load;
  /// Stores from now on may change an element twice, or one that was changed by others.
  void begin_update() { updating_ = true; }

  ir::ScatterTarget scatter_target(const ir::Node& node, const ir::Index& update);
  /// What a cluster stored is loaded by those that follow it; what it held in locals is gone.
  void finish_cluster() {
    withheld_.clear();
    held_.clear();
    memo_.clear();
    updating_ = false;
  }

  std::vector<kernel::Expr> apply(const ir::Graph& region, const std::vector<kernel::Expr>& arguments);
  /// `e` as it is after a trip through `dtype`, when that is a half.
  kernel::Expr rounded(kernel::Expr e, DType dtype);
  kernel::Expr literal(const Literal& value, std::int64_t element);

 private:
  struct Held {
    std::int32_t local;
    bool row;
    std::size_t prefix;
    kernel::Expr place;
  };
  /// Where the open block stands: the position of each open statement in the block around it.
  using Path = std::vector<std::size_t>;
  [[nodiscard]] Path path() const;
  kernel::Expr computed(ir::Value value, const ir::Index& at, kernel::Expr predicate);

  using Key = std::tuple<ir::Value, ir::Index, kernel::Expr>;
  struct Known {
    kernel::Expr expr;
    Path path;  ///< the block that was open: statements behind the expression stand there
  };
  std::map<Key, Known> memo_;
  std::map<ir::Value, Held> held_;
  std::set<ir::Value> withheld_;
  bool updating_ = false;
  std::map<ir::Value, std::int32_t> arguments_;
};

}  // namespace tessera::pass
