// Operations on arrays. Operands are arrays or C++ numbers; shapes broadcast as in NumPy; element types mix by
// promote() (core/dtype.hpp). Errors show the caller's line.
#pragma once

#include <array>
#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/array/array.hpp"

namespace tessera {

using Axes = std::vector<std::int64_t>;

// clang-format off
// Elementwise, one operand: the name and the primitive. Integers are converted to f32 by the functions of floats.
#define TESSERA_UNARY_FUNCTIONS(X)                                                      \
  X(abs, Abs) X(cbrt, Cbrt) X(ceil, Ceil) X(cos, Cosine) X(erf, Erf) X(exp, Exponential) \
  X(count_leading_zeros, CountLeadingZeros) X(expm1, ExponentialMinusOne)               \
  X(floor, Floor) X(is_finite, IsFinite) X(log, Log) X(log1p, LogPlusOne)               \
  X(popcount, Popcnt) X(round, RoundNearestEven) X(round_away, RoundNearestAfz)         \
  X(rsqrt, Rsqrt) X(sigmoid, Logistic) X(sign, Sign) X(sin, Sine) X(sqrt, Sqrt)         \
  X(tan, Tan) X(tanh, Tanh)

// Elementwise, two operands.
#define TESSERA_BINARY_FUNCTIONS(X)                                      \
  X(operator+, Add) X(operator-, Subtract) X(operator*, Multiply)        \
  X(operator/, Divide) X(operator%, Remainder) X(operator&, And)         \
  X(operator|, Or) X(operator^, Xor) X(operator<<, ShiftLeft)            \
  X(maximum, Maximum) X(minimum, Minimum) X(pow, Power) X(atan2, Atan2)

// Comparisons: arrays of bool.
#define TESSERA_COMPARISONS(X)                              \
  X(operator==, "EQ") X(operator!=, "NE") X(operator<, "LT") \
  X(operator<=, "LE") X(operator>, "GT") X(operator>=, "GE")
// clang-format on

#define TESSERA_DECLARE(function, op) Array function(const Operand& x);
TESSERA_UNARY_FUNCTIONS(TESSERA_DECLARE)
#undef TESSERA_DECLARE
Array operator-(const Operand& x);
/// Bitwise complement; logical not of bool.
Array operator~(const Operand& x);
Array operator!(const Operand& x);
/// x where x > 0, else 0, with derivative 0 there; NaN stays.
Array relu(const Operand& x);

#define TESSERA_DECLARE(function, op) Array function(const Operand& a, const Operand& b);
TESSERA_BINARY_FUNCTIONS(TESSERA_DECLARE)
#undef TESSERA_DECLARE
/// Shifts in zeros for unsigned integers, the sign for signed ones.
Array operator>>(const Operand& a, const Operand& b);

#define TESSERA_DECLARE(function, direction) Array function(const Operand& a, const Operand& b);
TESSERA_COMPARISONS(TESSERA_DECLARE)
#undef TESSERA_DECLARE

inline Array& operator+=(Array& a, const Operand& b) { return a = Operand(a, std::source_location{}) + b; }
inline Array& operator-=(Array& a, const Operand& b) { return a = Operand(a, std::source_location{}) - b; }
inline Array& operator*=(Array& a, const Operand& b) { return a = Operand(a, std::source_location{}) * b; }
inline Array& operator/=(Array& a, const Operand& b) { return a = Operand(a, std::source_location{}) / b; }

/// yes where condition, no elsewhere.
Array where(const Operand& condition, const Operand& yes, const Operand& no);
/// x limited to [low, high].
Array clip(const Operand& x, const Operand& low, const Operand& high);
/// Another element type: float to integer saturates, NaN becomes 0; anything to bool is x != 0.
Array astype(const Operand& x, DType dtype);
/// The same bits as another type of the same size.
Array bitcast(const Operand& x, DType dtype);
/// The same values, without derivative.
Array stop_gradient(const Operand& x);

// Making arrays.
Array full(const Shape& shape, double value, DType dtype = DType::F32,
           std::source_location at = std::source_location::current());
Array zeros(const Shape& shape, DType dtype = DType::F32, std::source_location at = std::source_location::current());
Array ones(const Shape& shape, DType dtype = DType::F32, std::source_location at = std::source_location::current());
Array zeros_like(const Operand& x);
Array ones_like(const Operand& x);
/// 0, 1, ..., n-1.
Array arange(std::int64_t n, DType dtype = DType::I32, std::source_location at = std::source_location::current());
/// index along `axis` everywhere in `shape`.
Array iota(const Shape& shape, std::int64_t axis, DType dtype = DType::I32,
           std::source_location at = std::source_location::current());
/// [..., classes]: 1 where the class is x (integers), else 0.
Array one_hot(const Operand& x, std::int64_t classes, DType dtype = DType::F32);

// Shape. Negative axes count from the end. One extent of -1 in reshape is computed.
Array reshape(const Operand& x, const Shape& shape);
/// Dimensions from `first` on merged into one.
Array flatten(const Operand& x, std::int64_t first = 0);
Array broadcast_to(const Operand& x, const Shape& shape);
Array expand_dims(const Operand& x, std::int64_t axis);
Array squeeze(const Operand& x, std::int64_t axis);
/// Dimensions in the order given; all reversed by default.
Array transpose(const Operand& x, const Axes& permutation = {});
Array swap_axes(const Operand& x, std::int64_t a, std::int64_t b);
Array move_axis(const Operand& x, std::int64_t from, std::int64_t to);
Array flip(const Operand& x, const Axes& axes);
/// Zeros (or `value`) around: one (low, high) pair for each dimension; negative crops.
Array pad(const Operand& x, const std::vector<std::array<std::int64_t, 2>>& padding, const Operand& value = 0);
Array concatenate(const std::vector<Array>& parts, std::int64_t axis = 0,
                  std::source_location at = std::source_location::current());
Array stack(const std::vector<Array>& parts, std::int64_t axis = 0,
            std::source_location at = std::source_location::current());
/// `sections` equal parts along `axis`.
std::vector<Array> split(const Operand& x, std::int64_t sections, std::int64_t axis = 0);

// Reductions: over `axes`, or over all when they are empty. keep: leaves extents of 1.
Array sum(const Operand& x, const Axes& axes = {}, bool keep = false);
Array mean(const Operand& x, const Axes& axes = {}, bool keep = false);
/// Population variance (divided by the count).
Array variance(const Operand& x, const Axes& axes = {}, bool keep = false);
Array prod(const Operand& x, const Axes& axes = {}, bool keep = false);
Array max(const Operand& x, const Axes& axes = {}, bool keep = false);
Array min(const Operand& x, const Axes& axes = {}, bool keep = false);
Array all(const Operand& x, const Axes& axes = {}, bool keep = false);
Array any(const Operand& x, const Axes& axes = {}, bool keep = false);
/// Index (i32) of the first largest, smallest element along `axis`.
Array argmax(const Operand& x, std::int64_t axis = -1);
Array argmin(const Operand& x, std::int64_t axis = -1);
/// Along `axis`, in ascending order: equal elements keep theirs, NaN comes last. Positions are i32.
Array sort(const Operand& x, std::int64_t axis = -1, bool descending = false);
Array argsort(const Operand& x, std::int64_t axis = -1, bool descending = false);
/// The k largest elements along the last dimension, in descending order, and their positions (i32). NaN is largest.
std::pair<Array, Array> top_k(const Operand& x, std::int64_t k);
/// log(sum(exp(x))), without overflow.
Array logsumexp(const Operand& x, const Axes& axes = {}, bool keep = false);
Array softmax(const Operand& x, std::int64_t axis = -1);
Array log_softmax(const Operand& x, std::int64_t axis = -1);

// Products.
/// NumPy's matmul: [.., m, k] x [.., k, n], leading dimensions broadcast; vectors are rows on the left, columns on the
/// right.
Array matmul(const Operand& a, const Operand& b);
/// How a window moves over [batch, height, width, channels].
struct ConvOptions {
  std::array<std::int64_t, 2> stride = {1, 1};
  std::array<std::int64_t, 2> dilation = {1, 1};
  std::array<std::array<std::int64_t, 2>, 2> padding = {};  ///< (low, high) rows, (low, high) columns
  std::int64_t groups = 1;
};
/// 2-D convolution (cross-correlation). x: [batch, height, width, in]; weights: [rows, columns, in / groups, out].
Array conv2d(const Operand& x, const Operand& weights, const ConvOptions& options = {});
/// Padding that keeps the size at stride 1 ("same").
std::array<std::array<std::int64_t, 2>, 2> same_padding(std::int64_t rows, std::int64_t columns);
/// Windows of [batch, height, width, channels]; a window beyond the edge is dropped.
Array max_pool2d(const Operand& x, std::array<std::int64_t, 2> window, std::array<std::int64_t, 2> stride);
Array avg_pool2d(const Operand& x, std::array<std::int64_t, 2> window, std::array<std::int64_t, 2> stride);

// Indexing.
/// Elements start, start + step, ... before stop; negative positions count from the end.
struct Slice {
  std::optional<std::int64_t> start, stop;
  std::int64_t step = 1;
};
inline Slice slice(std::optional<std::int64_t> start = {}, std::optional<std::int64_t> stop = {},
                   std::int64_t step = 1) {
  return {start, stop, step};
}
struct EverythingTag {};
/// A whole dimension in `at`.
inline constexpr EverythingTag everything{};
/// One position (drops the dimension), a traced one (an integer scalar, clamped into range), a slice, or everything.
using Index = std::variant<std::int64_t, Slice, EverythingTag, Array>;
Array index(const Operand& x, const std::vector<Index>& indices);
/// Sub-arrays along `axis` at integer positions `indices` (any shape, clamped into range).
Array take(const Operand& x, const Operand& indices, std::int64_t axis = 0);
/// x with `updates` added at positions `indices` of dimension 0.
Array scatter_add(const Operand& x, const Operand& indices, const Operand& updates);
/// A window of `sizes` at traced positions, moved into range where it would leave.
Array dynamic_slice(const Operand& x, const std::vector<Array>& starts, const Shape& sizes);
Array dynamic_update_slice(const Operand& x, const Operand& update, const std::vector<Array>& starts);

/// An Index of `at`, with the caller's line.
struct Position {
  template <std::integral T>
  Position(T position, std::source_location at = std::source_location::current())  // NOLINT
      : value(static_cast<std::int64_t>(position)), location(at) {}
  Position(const Slice& range, std::source_location at = std::source_location::current())  // NOLINT
      : value(range), location(at) {}
  Position(EverythingTag all, std::source_location at = std::source_location::current())  // NOLINT
      : value(all), location(at) {}
  Position(const Array& traced, std::source_location at = std::source_location::current())  // NOLINT
      : value(traced), location(at) {}

  Index value;
  std::source_location location;
};

template <class... I>
Array Array::at(const Position& first, const I&... others) const {
  return index(Operand(*this, first.location), {first.value, Position(others).value...});
}

}  // namespace tessera
