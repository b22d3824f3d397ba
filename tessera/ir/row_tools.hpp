// What the rows of movement, indexing, windows and products share: checks of attributes, walks over indices, values of
// literals. Private to ir/rows_*.cpp.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/ir/primitive.hpp"

namespace tessera::ir {

using tessera::to_string;

/// Throws RuleError.
[[noreturn]] void broken(std::string rule, std::string hint = {});

// Attributes, with a RuleError where one is missing or of another kind.
const Integers& integers_of(const Attributes& attributes, std::string_view name);
/// A list with one number a dimension; when it is missing, `otherwise` everywhere.
Integers integers_of(const Attributes& attributes, std::string_view name, std::size_t count, std::int64_t otherwise);
std::int64_t integer_of(const Attributes& attributes, std::string_view name);
std::int64_t integer_of(const Attributes& attributes, std::string_view name, std::int64_t otherwise);
/// The element type that the attribute "dtype" names, or `otherwise`.
DType dtype_or(const Attributes& attributes, DType otherwise);

void check_operand_count(const InferContext& context, std::size_t count);
void check_size(const Integers& list, std::size_t size, std::string_view name);
/// Each names a dimension of a tensor of rank `rank`.
void check_in_rank(const Integers& dimensions, std::int64_t rank, std::string_view name);
/// No number occurs twice in the lists together.
void check_distinct(std::initializer_list<const Integers*> lists, std::string_view names);
void check_sorted(const Integers& list, std::string_view name);
void check_at_least(const Integers& list, std::int64_t low, std::string_view name);
/// Between -2^40 and 2^40, so that sums of paddings and extents cannot overflow.
void check_padding(const Integers& list, std::string_view name);
/// The type, after a check that its size can be computed.
TensorType checked_type(DType dtype, Shape shape);
// Arithmetic on extents; throws RuleError when it overflows.
std::int64_t checked_add(std::int64_t a, std::int64_t b);
std::int64_t checked_multiply(std::int64_t a, std::int64_t b);
/// The extent after `dilation - 1` holes are put between neighbours.
std::int64_t dilated(std::int64_t extent, std::int64_t dilation);
/// A window that slides along one dimension.
struct Sliding {
  std::int64_t stride, base_dilation, window_dilation, low, high;
};
/// How many windows of `window` elements fit along `extent` elements.
std::int64_t window_count(std::int64_t extent, std::int64_t window, const Sliding& sliding);
/// A region of `parameters` that gives `results`, all scalars.
void check_region(const InferContext& context, std::size_t which, const std::vector<DType>& parameters,
                  const std::vector<DType>& results);

/// Throws RuleError unless `have` are the types `want`: "the parameters of the body must be (...), not (...)".
void require_types(const char* what, const std::vector<TensorType>& have, std::span<const TensorType> want,
                   std::string hint = {});

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
bool contains(const Integers& list, std::int64_t value);
/// Each plus `by`: dimension numbers after `by` leading dimensions were added.
Integers shifted(const Integers& list, std::int64_t by = 1);
/// `front`, then `list`.
Integers prepended(std::int64_t front, const Integers& list);
/// 0 .. rank-1 without those in the lists.
Integers remaining(std::int64_t rank, std::initializer_list<const Integers*> without);
/// The inverse of a permutation.
Integers inverse(const Integers& permutation);
/// list[which[0]], list[which[1]], ...
Integers picked(const Integers& list, const Integers& which);
/// Moves dimension `from` to the front.
Value to_front(Builder& build, Value a, std::int64_t from);

/// Calls f(index) for each index of `shape` in row-major order.
template <class F>
void for_each_index(const Shape& shape, F&& f) {
  for (const std::int64_t extent : shape)
    if (extent == 0) return;
  Integers index(shape.size(), 0);
  while (true) {
    f(static_cast<const Integers&>(index));
    std::size_t d = shape.size();
    while (d > 0 && ++index[d - 1] == shape[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

/// Row-major position of `index` in `shape`.
std::int64_t position(const Shape& shape, const Integers& index);
/// True when `index` lies in `shape`.
bool inside(const Shape& shape, const Integers& index);
/// Copies one element between literals of one type.
void copy_element(const Literal& from, std::int64_t from_position, const Literal& to, std::int64_t to_position);
std::vector<double> doubles_of(const Literal& literal);
std::vector<std::int64_t> integers_of(const Literal& literal);

/// The element type in which a loop holds values of `dtype`.
inline DType loop_dtype(DType dtype) { return dtype == DType::F16 || dtype == DType::BF16 ? DType::F32 : dtype; }

/// A variable of a loop rule: one element, or one a lane inside a vector loop.
class LoopLocal {
 public:
  LoopLocal(kernel::Builder& k, const char* name, DType dtype)
      : kernel_(k),
        local_(k.local(name, dtype, k.in_vector_loop() ? kernel::kLanes : 1)),
        at_(k.in_vector_loop() ? k.lane() : k.index(0)) {}
  [[nodiscard]] kernel::Expr read() const { return kernel_.read(local_, at_); }
  void write(kernel::Expr value) const { kernel_.write(local_, at_, value); }

 private:
  kernel::Builder& kernel_;
  std::int32_t local_;
  kernel::Expr at_;
};

/// The type in which products of `a` and `b` are summed before they become `result`: at least F32 for floats.
DType accumulator_dtype(DType a, DType b, DType result);
/// jvp of products and convolutions. Both operands at once are never linear; each term has one tangent.
Values jvp_product(const JvpContext& context);
/// Result type of a product of `a` and `b`, from the attribute "dtype".
DType product_dtype(const InferContext& context);
/// sum + a * b in the arithmetic of their common type: fused for floats, or/and for Bool.
kernel::Expr multiply_add(kernel::Builder& k, kernel::Expr a, kernel::Expr b, kernel::Expr sum);

/// Sums of products on the host: double for floats, wrapping for integers, or/and for Bool.
class HostProducts {
 public:
  HostProducts(const Literal& a, const Literal& b, const TensorType& result);
  void add(std::int64_t a, std::int64_t b);  ///< the product of element a and element b
  void finish(std::int64_t to);              ///< the sum becomes element `to` of the result; the next sum starts
  [[nodiscard]] const Literal& result() const { return result_; }
  void add_zero_times(std::int64_t b) {
    real_ += is_real() ? 0.0 * real_b_[at(b)] : 0.0;
  }  ///< not 0 where b is not finite

 private:
  [[nodiscard]] bool is_real() const { return is_float(type_); }
  Literal result_;
  DType type_;
  std::vector<double> real_a_, real_b_;
  std::vector<std::int64_t> whole_a_, whole_b_;
  double real_ = 0;
  std::uint64_t whole_ = 0;
};

/// A variable of a loop rule whose loops may be unrolled: then it is an expression, else a LoopLocal.
class Cell {
 public:
  Cell(kernel::Builder& k, const char* name, kernel::Expr value, bool unrolled) : value_(value) {
    if (unrolled) return;
    local_.emplace(k, name, k.dtype(value));
    local_->write(value);
  }
  [[nodiscard]] kernel::Expr read() const { return local_ ? local_->read() : value_; }
  void write(kernel::Expr value) {
    if (local_)
      local_->write(value);
    else
      value_ = value;
  }

 private:
  kernel::Expr value_;
  std::optional<LoopLocal> local_;
};

/// f(index) for each index of `shape`: once for each when unrolled, else once inside serial loops.
template <class F>
void serial_loops(kernel::Builder& k, const Shape& shape, bool unrolled, F&& f) {
  Index index;
  if (unrolled) {
    for_each_index(shape, [&](const Integers& at) {
      index.clear();
      for (const std::int64_t i : at) index.push_back(k.index(i));
      f(static_cast<const Index&>(index));
    });
    return;
  }
  for (const std::int64_t extent : shape) index.push_back(k.open(kernel::LoopKind::Serial, "w", extent));
  f(static_cast<const Index&>(index));
  for (std::size_t d = 0; d < shape.size(); ++d) k.close();
}

/// a and b, where kNone stands for true.
kernel::Expr both(kernel::Builder& k, kernel::Expr a, kernel::Expr b);
/// condition ? yes : no, where kNone stands for true.
kernel::Expr select_or(kernel::Builder& k, kernel::Expr condition, kernel::Expr yes, kernel::Expr no);

/// One dimension of windows over an operand: `outputs` windows of `window` elements over `extent` elements.
struct WindowDimension {
  std::int64_t extent, window, outputs;
  Sliding sliding;
};
/// Where element `w` of window `o` lies in the operand. What must hold for it to be there, and not in padding or a
/// hole, is added to `valid`.
kernel::Expr window_position(kernel::Builder& k, const WindowDimension& d, kernel::Expr o, kernel::Expr w,
                             kernel::Expr& valid);

Primitive convolution_row();  // rows_convolution.cpp

}  // namespace tessera::ir
