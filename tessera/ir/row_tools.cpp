// The helpers of ir/row_tools.hpp.
#include "tessera/ir/row_tools.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

namespace tessera::ir {

void broken(std::string rule, std::string hint) { throw RuleError{std::move(rule), std::move(hint)}; }

namespace {

template <class T>
const T& value_of(const Attributes& attributes, std::string_view name, const char* kind) {
  const Attribute* found = attributes.find(name);
  if (found == nullptr) broken(fmt::format("the attribute '{}' is missing", name));
  const T* value = std::get_if<T>(found);
  if (value == nullptr) broken(fmt::format("the attribute '{}' must be {}", name, kind));
  return *value;
}

}  // namespace

const Integers& integers_of(const Attributes& attributes, std::string_view name) {
  return value_of<Integers>(attributes, name, "a list of integers");
}

Integers integers_of(const Attributes& attributes, std::string_view name, std::size_t count, std::int64_t otherwise) {
  if (!attributes.has(name)) return Integers(count, otherwise);
  Integers list = integers_of(attributes, name);
  check_size(list, count, name);
  return list;
}

std::int64_t integer_of(const Attributes& attributes, std::string_view name) {
  return value_of<std::int64_t>(attributes, name, "an integer");
}

std::int64_t integer_of(const Attributes& attributes, std::string_view name, std::int64_t otherwise) {
  return attributes.has(name) ? integer_of(attributes, name) : otherwise;
}

DType dtype_or(const Attributes& attributes, DType otherwise) {
  if (!attributes.has("dtype")) return otherwise;
  const auto& text = value_of<std::string>(attributes, "dtype", "the name of an element type");
  const std::optional<DType> dtype = parse_dtype(text);
  if (!dtype || !is_supported(*dtype))
    broken(fmt::format("the attribute 'dtype' is '{}', which is not an element type to compute with", text));
  return *dtype;
}

void check_operand_count(const InferContext& context, std::size_t count) {
  if (context.operands.size() != count)
    broken(fmt::format("takes {} operands and was given {}", count, context.operands.size()));
}

void check_size(const Integers& list, std::size_t size, std::string_view name) {
  if (list.size() != size) broken(fmt::format("'{}' has {} of the {} numbers that it needs", name, list.size(), size));
}

void check_in_rank(const Integers& dimensions, std::int64_t rank, std::string_view name) {
  for (const std::int64_t d : dimensions)
    if (d < 0 || d >= rank) broken(fmt::format("'{}' names dimension {}, the tensor has {}", name, d, rank));
}

void check_distinct(std::initializer_list<const Integers*> lists, std::string_view names) {
  Integers all;
  for (const Integers* list : lists) all.insert(all.end(), list->begin(), list->end());
  std::sort(all.begin(), all.end());
  const auto twice = std::adjacent_find(all.begin(), all.end());
  if (twice != all.end()) broken(fmt::format("{} stands twice in {}", *twice, names));
}

void check_sorted(const Integers& list, std::string_view name) {
  if (!std::is_sorted(list.begin(), list.end()))
    broken(fmt::format("'{}' must be sorted, it is {}", name, to_string(list)));
}

void check_at_least(const Integers& list, std::int64_t low, std::string_view name) {
  for (const std::int64_t value : list)
    if (value < low) broken(fmt::format("'{}' must be at least {} everywhere, it is {}", name, low, to_string(list)));
}

void check_padding(const Integers& list, std::string_view name) {
  constexpr std::int64_t largest = std::int64_t{1} << 40;
  for (const std::int64_t value : list)
    if (value < -largest || value > largest) broken(fmt::format("'{}' holds {}, more than 2^40", name, value));
}

TensorType checked_type(DType dtype, Shape shape) {
  TensorType type{dtype, std::move(shape)};
  try {
    byte_size(type);
  } catch (const Error& error) {
    broken(error.what());
  }
  return type;
}

std::int64_t checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) broken("an extent does not fit 64 bits");
  return sum;
}

std::int64_t checked_multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) broken("an extent does not fit 64 bits");
  return product;
}

std::int64_t dilated(std::int64_t extent, std::int64_t dilation) {
  return extent == 0 ? 0 : checked_add(checked_multiply(extent - 1, dilation), 1);
}

std::int64_t window_count(std::int64_t extent, std::int64_t window, const Sliding& sliding) {
  const std::int64_t padded =
      checked_add(checked_add(sliding.low, dilated(extent, sliding.base_dilation)), sliding.high);
  const std::int64_t spread = dilated(window, sliding.window_dilation);
  return padded <= 0 || spread > padded ? 0 : (padded - spread) / sliding.stride + 1;
}

void check_region(const InferContext& context, std::size_t which, const std::vector<DType>& parameters,
                  const std::vector<DType>& results) {
  if (context.regions.size() <= which || context.regions[which] == nullptr)
    broken(fmt::format("region {} is missing", which));
  const Graph& region = *context.regions[which];
  const auto check = [&](const std::vector<TensorType>& types, const std::vector<DType>& wanted, const char* what) {
    bool good = types.size() == wanted.size();
    for (std::size_t i = 0; good && i < types.size(); ++i) good = types[i] == TensorType{wanted[i], {}};
    if (good) return;
    std::vector<std::string> have, want;
    for (const TensorType& type : types) have.push_back(to_string(type));
    for (const DType dtype : wanted) want.push_back(to_string(TensorType{dtype, {}}));
    broken(fmt::format("region {} has the {} ({}) and must have ({})", which, what, fmt::join(have, ", "),
                       fmt::join(want, ", ")));
  };
  check(region.parameter_types(), parameters, "parameters");
  check(region.result_types(), results, "results");
}

void require_types(const char* what, const std::vector<TensorType>& have, std::span<const TensorType> want,
                   std::string hint) {
  const auto list = [](std::span<const TensorType> types) {
    std::vector<std::string> texts;
    for (const TensorType& type : types) texts.push_back(to_string(type));
    return fmt::format("({})", fmt::join(texts, ", "));
  };
  if (!std::equal(have.begin(), have.end(), want.begin(), want.end()))
    broken(fmt::format("{} must be {}, not {}", what, list(want), list(have)), std::move(hint));
}

bool contains(const Integers& list, std::int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

Integers shifted(const Integers& list, std::int64_t by) {
  Integers out = list;
  for (auto& d : out) d += by;
  return out;
}

Integers prepended(std::int64_t front, const Integers& list) {
  Integers out{front};
  out.insert(out.end(), list.begin(), list.end());
  return out;
}

Integers remaining(std::int64_t rank, std::initializer_list<const Integers*> without) {
  Integers out;
  for (std::int64_t d = 0; d < rank; ++d)
    if (std::none_of(without.begin(), without.end(), [&](const Integers* list) { return contains(*list, d); }))
      out.push_back(d);
  return out;
}

Integers inverse(const Integers& permutation) {
  Integers out(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) out[at(permutation[i])] = static_cast<std::int64_t>(i);
  return out;
}

Integers picked(const Integers& list, const Integers& which) {
  Integers out;
  for (const std::int64_t i : which) out.push_back(list[at(i)]);
  return out;
}

Value to_front(Builder& build, Value a, std::int64_t from) {
  const Integers first{from};
  return build.transpose(a, prepended(from, remaining(build.type(a).rank(), {&first})));
}

std::int64_t position(const Shape& shape, const Integers& index) {
  std::int64_t p = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) p = p * shape[d] + index[d];
  return p;
}

bool inside(const Shape& shape, const Integers& index) {
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (index[d] < 0 || index[d] >= shape[d]) return false;
  return true;
}

void copy_element(const Literal& from, std::int64_t from_position, const Literal& to, std::int64_t to_position) {
  const auto bytes = static_cast<std::int64_t>(size_of(from.dtype()));
  std::memcpy(to.data() + to_position * bytes, from.data() + from_position * bytes, static_cast<std::size_t>(bytes));
}

std::vector<double> doubles_of(const Literal& literal) {
  std::vector<double> values(at(literal.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = literal.get_double(static_cast<std::int64_t>(i));
  return values;
}

std::vector<std::int64_t> integers_of(const Literal& literal) {
  std::vector<std::int64_t> values(at(literal.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = literal.get_integer(static_cast<std::int64_t>(i));
  return values;
}

kernel::Expr both(kernel::Builder& k, kernel::Expr a, kernel::Expr b) {
  if (a == kernel::kNone) return b;
  return b == kernel::kNone ? a : k.logical_and(a, b);
}

kernel::Expr select_or(kernel::Builder& k, kernel::Expr condition, kernel::Expr yes, kernel::Expr no) {
  return condition == kernel::kNone ? yes : k.select(condition, yes, no);
}

kernel::Expr window_position(kernel::Builder& k, const WindowDimension& d, kernel::Expr o, kernel::Expr w,
                             kernel::Expr& valid) {
  using K = kernel::Op;
  const Sliding& s = d.sliding;
  std::int64_t first = 0, last = d.window - 1;
  if (k.is_constant(w, &first)) last = first;
  const kernel::Expr padded = k.add(k.mul(o, k.index(s.stride)), k.mul(w, k.index(s.window_dilation)));
  kernel::Expr at = k.sub(padded, k.index(s.low));
  const std::int64_t end = dilated(d.extent, s.base_dilation);
  if (first * s.window_dilation < s.low) valid = both(k, valid, k.binary(K::GreaterEqual, at, k.index(0)));
  if ((d.outputs - 1) * s.stride + last * s.window_dilation - s.low >= end)
    valid = both(k, valid, k.binary(K::Less, at, k.index(end)));
  if (s.base_dilation > 1) {
    valid = both(k, valid, k.binary(K::Equal, k.binary(K::Remainder, at, k.index(s.base_dilation)), k.index(0)));
    at = k.binary(K::Divide, at, k.index(s.base_dilation));
  }
  return at;
}

}  // namespace tessera::ir
