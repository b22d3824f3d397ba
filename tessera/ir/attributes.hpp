// Named static parameters of an operation: axes, strides, a comparison's direction, a constant's values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/literal.hpp"

namespace tessera::ir {

class Attributes;
using Integers = std::vector<std::int64_t>;
/// Pairs, such as padding, are flattened: low0, high0, low1, high1. A dictionary is a nested Attributes.
using Attribute =
    std::variant<bool, std::int64_t, double, std::string, Integers, Literal, std::shared_ptr<const Attributes>>;

/// A small map, in order of insertion. Equality and hashing ignore nothing.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, Attribute>> items) : items_(items) {}

  void set(std::string name, Attribute value);
  void erase(std::string_view name);
  [[nodiscard]] const Attribute* find(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }

  // Typed access. The forms without a default throw Error naming the attribute that is missing or of another kind.
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  [[nodiscard]] bool boolean(std::string_view name, bool otherwise) const;
  [[nodiscard]] double real(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name, double otherwise) const;
  [[nodiscard]] const std::string& string(std::string_view name) const;
  [[nodiscard]] std::string string(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] const Integers& integers(std::string_view name) const;
  [[nodiscard]] Integers integers(std::string_view name, Integers otherwise) const;
  [[nodiscard]] const Literal& literal(std::string_view name) const;

  [[nodiscard]] auto begin() const { return items_.begin(); }
  [[nodiscard]] auto end() const { return items_.end(); }
  [[nodiscard]] bool empty() const { return items_.empty(); }
  /// Same names with the same values, in any order. Reals compare by bits, literals by type and bits.
  bool operator==(const Attributes& other) const;
  /// Text that is equal for equal attributes; large literals enter by a 128-bit hash.
  void append_key(std::string& key) const;

 private:
  std::vector<std::pair<std::string, Attribute>> items_;
};

}  // namespace tessera::ir
