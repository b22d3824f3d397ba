// Element types: their names (StableHLO's), sizes, kinds, and a way to run typed code for one chosen at run time.
// Read next: core/shape.hpp (types of whole tensors).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

namespace tessera {

/// The type of one element. The types after F64 have names, so that a program using them is recognised and refused
/// by name; nothing computes with them yet.
enum class DType : std::uint8_t {
  Bool,
  I8,
  I16,
  I32,
  I64,
  U8,
  U16,
  U32,
  U64,
  F16,
  BF16,
  F32,
  F64,
  I2,
  I4,
  U2,
  U4,
  Complex64,
  Complex128,
};

/// StableHLO's name: "i1" for Bool, "i32", "ui8", "bf16", "f32", "complex<f32>".
std::string_view name(DType dtype);
/// The inverse of `name`; empty for an unknown one.
std::optional<DType> parse_dtype(std::string_view text);
/// Bytes of one element in memory. Bool takes one byte. Sub-byte types take one byte.
std::size_t size_of(DType dtype);

constexpr bool is_supported(DType d) { return d <= DType::F64; }
constexpr bool is_float(DType d) { return d >= DType::F16 && d <= DType::F64; }
constexpr bool is_signed_integer(DType d) { return d >= DType::I8 && d <= DType::I64; }
constexpr bool is_unsigned_integer(DType d) { return d >= DType::U8 && d <= DType::U64; }
constexpr bool is_integer(DType d) { return is_signed_integer(d) || is_unsigned_integer(d); }

/// The result of mixing two element types in one operation: bool < integers < floats; among integers the wider one,
/// signed when the signs differ; among floats the wider one, F32 for F16 with BF16.
DType promote(DType a, DType b);

/// Storage of a half-precision float (IEEE binary16). Arithmetic happens in float.
struct f16 {
  std::uint16_t bits = 0;
  f16() = default;
  explicit f16(float value);
  explicit operator float() const;
};

/// Storage of a bfloat16: the upper half of a float, rounded to nearest even.
struct bf16 {
  std::uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) {
    auto word = std::bit_cast<std::uint32_t>(value);
    if ((word & 0x7fffffffU) > 0x7f800000U) {
      bits = static_cast<std::uint16_t>((word >> 16) | 0x40U);  // a quiet NaN stays one
    } else {
      word += 0x7fffU + ((word >> 16) & 1U);
      bits = static_cast<std::uint16_t>(word >> 16);
    }
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

[[noreturn]] void throw_unsupported_dtype(DType dtype);

/// Calls `f(std::type_identity<T>{})` with the C++ type that stores `dtype`. Bool is `bool`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::Bool: return f(std::type_identity<bool>{});
    case DType::I8: return f(std::type_identity<std::int8_t>{});
    case DType::I16: return f(std::type_identity<std::int16_t>{});
    case DType::I32: return f(std::type_identity<std::int32_t>{});
    case DType::I64: return f(std::type_identity<std::int64_t>{});
    case DType::U8: return f(std::type_identity<std::uint8_t>{});
    case DType::U16: return f(std::type_identity<std::uint16_t>{});
    case DType::U32: return f(std::type_identity<std::uint32_t>{});
    case DType::U64: return f(std::type_identity<std::uint64_t>{});
    case DType::F16: return f(std::type_identity<f16>{});
    case DType::BF16: return f(std::type_identity<bf16>{});
    case DType::F32: return f(std::type_identity<float>{});
    case DType::F64: return f(std::type_identity<double>{});
    default: throw_unsupported_dtype(dtype);
  }
}

/// The DType of a C++ type, the inverse of `dispatch`.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>)
    return DType::Bool;
  else if constexpr (std::is_same_v<T, std::int8_t>)
    return DType::I8;
  else if constexpr (std::is_same_v<T, std::int16_t>)
    return DType::I16;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::I32;
  else if constexpr (std::is_integral_v<T> && std::is_signed_v<T> && sizeof(T) == 8)
    return DType::I64;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return DType::U8;
  else if constexpr (std::is_same_v<T, std::uint16_t>)
    return DType::U16;
  else if constexpr (std::is_same_v<T, std::uint32_t>)
    return DType::U32;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 8)
    return DType::U64;
  else if constexpr (std::is_same_v<T, f16>)
    return DType::F16;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::BF16;
  else if constexpr (std::is_same_v<T, float>)
    return DType::F32;
  else {
    static_assert(std::is_same_v<T, double>, "this C++ type is not an element type");
    return DType::F64;
  }
}

}  // namespace tessera
