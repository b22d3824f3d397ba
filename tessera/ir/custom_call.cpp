// Result types of custom calls as text, and the checks of ir/custom_call.hpp.
#include "tessera/ir/custom_call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace tessera::ir {

std::string encode_types(std::span<const TensorType> types) {
  std::string text;
  for (const TensorType& type : types) text += (text.empty() ? "" : "; ") + to_string(type);
  return text;
}

std::vector<TensorType> decode_types(std::string_view text) {
  const std::string whole(text);
  const auto skip = [&](std::string_view characters) {
    const auto start = std::min(text.find_first_not_of(characters), text.size());
    text.remove_prefix(start);
  };
  const auto fail = [&] {
    throw Error(ErrorKind::Usage, fmt::format("'{}' is not a list of types such as 'f32[2, 3]; i32[]'", whole));
  };
  std::vector<TensorType> types;
  for (skip(" "); !text.empty(); skip(" ")) {
    if (!types.empty()) {
      if (text[0] != ';') fail();
      skip("; ");
    }
    const auto open = text.find('[');
    const auto close = text.find(']');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) fail();
    const auto dtype = parse_dtype(text.substr(0, open));
    if (!dtype) fail();
    TensorType type{*dtype, {}};
    const std::string_view inside = text.substr(open + 1, close - open - 1);
    for (std::size_t at = 0; at < inside.size();) {
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(inside.data() + at, inside.data() + inside.size(), extent);
      if (error != std::errc() || extent < 0) fail();
      type.shape.push_back(extent);
      at = static_cast<std::size_t>(end - inside.data());
      if (at == inside.size()) break;
      if (inside[at] != ',') fail();
      at = std::min(inside.find_first_not_of(' ', at + 1), inside.size());
    }
    byte_size(type);  // refuses sizes that overflow
    types.push_back(type);
    text.remove_prefix(close + 1);
  }
  return types;
}

bool is_check(std::string_view call_target) {
  constexpr std::array<std::string_view, 5> kChecks = {"check.expect_eq", "check.expect_eq_const", "check.expect_close",
                                                       "check.expect_almost_eq", "check.expect_almost_eq_const"};
  return std::find(kChecks.begin(), kChecks.end(), call_target) != kChecks.end();
}

namespace {

/// How far two elements are apart, in the measure of a check; infinity: not comparable.
constexpr double kFar = std::numeric_limits<double>::infinity();

/// The number of floats of this type between a and b; any NaN equals any NaN.
template <class T>
double ulp_difference(T a, T b) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  const auto x = std::bit_cast<Bits>(a), y = std::bit_cast<Bits>(b);
  const auto as_double = [](T v) {
    if constexpr (std::is_same_v<T, double>)
      return v;
    else
      return static_cast<double>(static_cast<float>(v));
  };
  const double p = as_double(a), q = as_double(b);
  if (x == y || (std::isnan(p) && std::isnan(q))) return 0;
  if (!std::isfinite(p) || !std::isfinite(q)) return kFar;
  const std::uint64_t low = static_cast<std::uint64_t>(Bits(-1)) >> 1;
  const std::uint64_t from = x & low, to = y & low;
  if (std::signbit(p) != std::signbit(q)) return static_cast<double>(from) + static_cast<double>(to);
  return static_cast<double>(from > to ? from - to : to - from);
}

std::string element_text(const Literal& literal, std::int64_t i) {
  switch (literal.dtype()) {
    case DType::Bool: return literal.get_integer(i) != 0 ? "true" : "false";
    case DType::U64: return fmt::format("{}", static_cast<std::uint64_t>(literal.get_integer(i)));
    case DType::F64: return fmt::format("{}", literal.get_double(i));
    default:
      if (is_float(literal.dtype())) return fmt::format("{}", static_cast<float>(literal.get_double(i)));
      return fmt::format("{}", literal.get_integer(i));
  }
}

std::string index_text(std::int64_t i, const Shape& shape) {
  Shape index;
  for (const std::int64_t stride : row_major_strides(shape)) {
    index.push_back(i / stride);
    i %= stride;
  }
  return tessera::to_string(index);
}

}  // namespace

void run_check(const Node& node, std::span<const Literal> operands) {
  const std::string& target = node.attributes.string("call_target_name");
  const Literal& got = operands[0];
  const Literal wanted = operands.size() == 2 ? operands[1] : node.attributes.literal("value");
  const bool by_ulp = target.starts_with("check.expect_close");
  const bool almost = target.starts_with("check.expect_almost_eq");
  const auto least = by_ulp ? static_cast<double>(node.attributes.integer("min_ulp_difference", 0)) : 0;
  const auto most = by_ulp ? static_cast<double>(node.attributes.integer("max_ulp_difference", 3)) : 0;
  const double tolerance = node.attributes.real("tolerance", 1e-4);

  std::int64_t failures = 0;
  std::int64_t first = 0;
  double first_ulps = 0;
  dispatch(got.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto a = got.as<T>();
    const auto b = wanted.as<T>();
    for (std::size_t i = 0; i < a.size(); ++i) {
      double ulps = 0;
      bool fine = false;
      if constexpr (std::is_integral_v<T>) {
        fine = a[i] == b[i];
      } else {
        ulps = ulp_difference(a[i], b[i]);
        const double want = wanted.get_double(static_cast<std::int64_t>(i));
        const double difference = std::abs(got.get_double(static_cast<std::int64_t>(i)) - want);
        if (almost)
          fine = ulps == 0 || (std::isfinite(want) && difference <= tolerance * std::max(1.0, std::abs(want)));
        else if (by_ulp)
          fine = ulps >= least && ulps <= most;
        else
          fine = ulps == 0 &&
                 (std::isnan(want) || std::signbit(want) == std::signbit(got.get_double(static_cast<std::int64_t>(i))));
      }
      if (fine) continue;
      if (failures++ == 0) {
        first = static_cast<std::int64_t>(i);
        first_ulps = ulps;
      }
    }
  });
  if (failures == 0) return;
  const std::string place = node.location.known() ? to_string(node.location) + ": " : "";
  std::string distance;
  if (is_float(got.dtype())) {
    distance = fmt::format(", apart by {:.3g}", std::abs(got.get_double(first) - wanted.get_double(first)));
    if (std::isfinite(first_ulps)) distance += fmt::format(" ({:.0f} units in the last place)", first_ulps);
  }
  throw Error(fmt::format("{}{} failed: element {} is {}, not {}{}; {} of {} elements differ", place, target,
                          index_text(first, got.shape()), element_text(got, first), element_text(wanted, first),
                          distance, failures, got.size()));
}

}  // namespace tessera::ir
