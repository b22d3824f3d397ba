// Names, sizes and promotion of element types, and the conversions of half-precision floats.
#include "tessera/core/dtype.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera {
namespace {

struct Row {
  std::string_view name;
  std::size_t size;
};
constexpr std::array<Row, 19> kRows = {{{"i1", 1},
                                        {"i8", 1},
                                        {"i16", 2},
                                        {"i32", 4},
                                        {"i64", 8},
                                        {"ui8", 1},
                                        {"ui16", 2},
                                        {"ui32", 4},
                                        {"ui64", 8},
                                        {"f16", 2},
                                        {"bf16", 2},
                                        {"f32", 4},
                                        {"f64", 8},
                                        {"i2", 1},
                                        {"i4", 1},
                                        {"ui2", 1},
                                        {"ui4", 1},
                                        {"complex<f32>", 8},
                                        {"complex<f64>", 16}}};

}  // namespace

std::string_view name(DType dtype) { return kRows.at(static_cast<std::size_t>(dtype)).name; }

std::size_t size_of(DType dtype) { return kRows.at(static_cast<std::size_t>(dtype)).size; }

std::optional<DType> parse_dtype(std::string_view text) {
  const auto found = std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) { return row.name == text; });
  if (found == kRows.end()) return std::nullopt;
  return static_cast<DType>(found - kRows.begin());
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (a == DType::Bool) return b;
  if (b == DType::Bool) return a;
  if (is_float(a) != is_float(b)) return is_float(a) ? a : b;
  if (is_float(a)) {
    if (size_of(a) == size_of(b)) return DType::F32;  // f16 with bf16: neither holds the other
    return size_of(a) > size_of(b) ? a : b;
  }
  if (is_signed_integer(a) == is_signed_integer(b)) return size_of(a) > size_of(b) ? a : b;
  const DType with_sign = is_signed_integer(a) ? a : b;
  const DType without = is_signed_integer(a) ? b : a;
  const std::size_t bytes = std::max(size_of(with_sign), std::min<std::size_t>(8, 2 * size_of(without)));
  return bytes == 8 ? DType::I64 : bytes == 4 ? DType::I32 : DType::I16;
}

void throw_unsupported_dtype(DType dtype) {
  throw Error(ErrorKind::Unsupported,
              "elements of type " + std::string(name(dtype)) + " can be named but not computed with yet");
}

f16::f16(float value) {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (word >> 16) & 0x8000U;
  const std::uint32_t magnitude = word & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {  // NaN
    bits = static_cast<std::uint16_t>(sign | 0x7e00U | ((magnitude >> 13) & 0x1ffU));
  } else if (magnitude >= 0x477ff000U) {  // rounds to infinity
    bits = static_cast<std::uint16_t>(sign | 0x7c00U);
  } else if (magnitude < 0x38800000U) {  // subnormal: adding 0.5 aligns the bits and rounds them to even
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    bits = static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3f000000U));
  } else {
    const std::uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
    bits = static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
  }
}

f16::operator float() const {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1fU) return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
  if (exponent == 0) {
    const float value = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

}  // namespace tessera
