// Access to attributes, with errors that name the attribute.
#include "tessera/ir/attributes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tessera/core/error.hpp"

namespace tessera::ir {
namespace {

template <class T>
const T& get(const Attributes& attributes, std::string_view name, const char* kind) {
  const Attribute* found = attributes.find(name);
  if (found == nullptr) throw Error(ErrorKind::Usage, fmt::format("the attribute '{}' is missing", name));
  const T* value = std::get_if<T>(found);
  if (value == nullptr) throw Error(ErrorKind::Usage, fmt::format("the attribute '{}' is not {}", name, kind));
  return *value;
}

bool same(const Attribute& a, const Attribute& b) {
  if (a.index() != b.index()) return false;
  if (const auto* x = std::get_if<double>(&a))
    return std::bit_cast<std::uint64_t>(*x) == std::bit_cast<std::uint64_t>(std::get<double>(b));
  if (const auto* x = std::get_if<Literal>(&a)) return x->identical(std::get<Literal>(b));
  if (const auto* x = std::get_if<std::shared_ptr<const Attributes>>(&a))
    return **x == *std::get<std::shared_ptr<const Attributes>>(b);
  if (const auto* x = std::get_if<bool>(&a)) return *x == std::get<bool>(b);
  if (const auto* x = std::get_if<std::int64_t>(&a)) return *x == std::get<std::int64_t>(b);
  if (const auto* x = std::get_if<std::string>(&a)) return *x == std::get<std::string>(b);
  return std::get<Integers>(a) == std::get<Integers>(b);
}

/// Two 64-bit multiplicative hashes with different constants.
void append_bytes_key(std::string& key, const std::byte* data, std::size_t bytes) {
  if (bytes <= 64) {
    for (std::size_t i = 0; i < bytes; ++i) key += fmt::format("{:02x}", static_cast<unsigned>(data[i]));
    return;
  }
  std::uint64_t first = 0x9e3779b97f4a7c15U ^ bytes;
  std::uint64_t second = 0xc2b2ae3d27d4eb4fU + bytes;
  for (std::size_t i = 0; i < bytes; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + i, std::min<std::size_t>(8, bytes - i));
    first = std::rotl((first ^ word) * 0xff51afd7ed558ccdU, 29);
    second = std::rotl((second + word) * 0x9fb21c651e98df25U, 31);
  }
  key += fmt::format("#{:016x}{:016x}", first, second);
}

}  // namespace

void Attributes::set(std::string name, Attribute value) {
  for (auto& [key, old] : items_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  items_.emplace_back(std::move(name), std::move(value));
}

void Attributes::erase(std::string_view name) {
  std::erase_if(items_, [&](const auto& item) { return item.first == name; });
}

const Attribute* Attributes::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (key == name) return &value;
  return nullptr;
}

std::int64_t Attributes::integer(std::string_view name) const { return get<std::int64_t>(*this, name, "an integer"); }
std::int64_t Attributes::integer(std::string_view name, std::int64_t otherwise) const {
  return has(name) ? integer(name) : otherwise;
}
bool Attributes::boolean(std::string_view name, bool otherwise) const {
  return has(name) ? get<bool>(*this, name, "a boolean") : otherwise;
}
double Attributes::real(std::string_view name) const { return get<double>(*this, name, "a number"); }
double Attributes::real(std::string_view name, double otherwise) const { return has(name) ? real(name) : otherwise; }
const std::string& Attributes::string(std::string_view name) const { return get<std::string>(*this, name, "a string"); }
std::string Attributes::string(std::string_view name, std::string_view otherwise) const {
  return has(name) ? string(name) : std::string(otherwise);
}
const Integers& Attributes::integers(std::string_view name) const {
  return get<Integers>(*this, name, "a list of integers");
}
Integers Attributes::integers(std::string_view name, Integers otherwise) const {
  if (has(name)) return integers(name);
  return otherwise;
}
const Literal& Attributes::literal(std::string_view name) const { return get<Literal>(*this, name, "a tensor"); }

bool Attributes::operator==(const Attributes& other) const {
  return items_.size() == other.items_.size() && std::all_of(items_.begin(), items_.end(), [&](const auto& item) {
           const Attribute* found = other.find(item.first);
           return found != nullptr && same(item.second, *found);
         });
}

void Attributes::append_key(std::string& key) const {
  std::vector<const std::pair<std::string, Attribute>*> sorted;
  for (const auto& item : items_) sorted.push_back(&item);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  key += '{';
  for (const auto* item : sorted) {
    key += item->first;
    key += '=';
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, double>)
            key += fmt::format("{:016x}", std::bit_cast<std::uint64_t>(value));
          else if constexpr (std::is_same_v<T, bool>)
            key += value ? "true" : "false";
          else if constexpr (std::is_same_v<T, std::int64_t>)
            key += fmt::format("{}", value);
          else if constexpr (std::is_same_v<T, std::string>)
            key += fmt::format("{}:{}", value.size(), value);
          else if constexpr (std::is_same_v<T, Integers>)
            key += fmt::format("[{}]", fmt::join(value, ","));
          else if constexpr (std::is_same_v<T, Literal>) {
            key += to_string(value.type());
            append_bytes_key(key, value.data(), value.bytes());
          } else
            value->append_key(key);
        },
        item->second);
    key += ',';
  }
  key += '}';
}

}  // namespace tessera::ir
