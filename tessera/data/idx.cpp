// The reader of IDX files.
#include "tessera/data/idx.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "tessera/data/bytes.hpp"

namespace tessera::data {
namespace {

/// Bytes in order, from plain or compressed input.
class Source {
 public:
  Source(ByteView bytes, const std::string& file) : rest_(bytes), file_(file), compressed_(bytes.size()) {
    if (is_gzip(bytes)) inflater_.emplace(bytes, Inflater::Format::Gzip, file);
  }
  void read(std::span<std::byte> out, const char* what) {
    std::size_t got = 0;
    if (inflater_) {
      got = inflater_->read(out);
    } else {
      got = std::min(out.size(), rest_.size());
      if (got > 0) std::memcpy(out.data(), rest_.data(), got);
      rest_ = rest_.subspan(got);
    }
    if (got != out.size())
      bad_file(file_, fmt::format("is cut short: {} of {} bytes of the {} are there", got, out.size(), what));
  }
  /// No more bytes than these can follow.
  [[nodiscard]] std::uint64_t most() const { return inflater_ ? compressed_ * kMaxInflation : rest_.size(); }
  bool at_end() { return inflater_ ? inflater_->at_end() : rest_.empty(); }

 private:
  ByteView rest_;
  const std::string& file_;
  std::uint64_t compressed_;
  std::optional<Inflater> inflater_;
};

}  // namespace

Literal parse_idx(ByteView bytes, const std::string& file) {
  Source source(bytes, file);
  std::array<std::byte, 4> magic{};
  source.read(magic, "magic number");
  const auto code = static_cast<unsigned>(magic[2]);
  const std::optional<DType> dtype = [&]() -> std::optional<DType> {
    if (magic[0] != std::byte{0} || magic[1] != std::byte{0}) return std::nullopt;
    switch (code) {
      case 0x08: return DType::U8;
      case 0x09: return DType::I8;
      case 0x0b: return DType::I16;
      case 0x0c: return DType::I32;
      case 0x0d: return DType::F32;
      case 0x0e: return DType::F64;
      default: return std::nullopt;
    }
  }();
  if (!dtype)
    bad_file(file, fmt::format(
                       "is no IDX file: it begins with 0x{:08x}; images begin with 0x00000803, labels with 0x00000801",
                       big_endian<std::uint32_t>(magic.data())));
  TensorType type{*dtype, {}};
  std::uint64_t size = size_of(*dtype);
  for (auto rank = static_cast<unsigned>(magic[3]); rank > 0; --rank) {
    std::array<std::byte, 4> extent{};
    source.read(extent, "extents");
    const auto value = big_endian<std::uint32_t>(extent.data());
    type.shape.push_back(value);
    if (__builtin_mul_overflow(size, std::uint64_t{value}, &size) || size > std::uint64_t{1} << 62)
      bad_file(file,
               "declares the extents " + to_string(type.shape) + ", more than memory can hold; the header is damaged");
  }
  if (size > source.most())
    bad_file(
        file,
        fmt::format("declares {} ({} bytes), but at most {} bytes follow; the file is cut short or its header damaged",
                    to_string(type), size, source.most()));
  Literal literal(type);
  source.read({literal.data(), literal.bytes()}, "values");
  if (!source.at_end())
    bad_file(file, fmt::format("goes on after the {} bytes of {} that its header declares; the header is damaged", size,
                               to_string(type)));
  if (std::endian::native == std::endian::little) reverse_items(literal.data(), literal.bytes(), size_of(*dtype));
  return literal;
}

Literal read_idx(const Path& path) { return parse_idx(read_file(path), path); }

}  // namespace tessera::data
