// The reader and writer of safetensors. The header is read event by event, so that double keys are seen and no tree
// of a hostile header is built.
#include "tessera/data/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/data/bytes.hpp"

namespace tessera::data {
namespace {

using nlohmann::json;
constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxRank = 64;

constexpr std::array<std::pair<std::string_view, DType>, 13> kTypes{{{"BOOL", DType::Bool},
                                                                     {"I8", DType::I8},
                                                                     {"I16", DType::I16},
                                                                     {"I32", DType::I32},
                                                                     {"I64", DType::I64},
                                                                     {"U8", DType::U8},
                                                                     {"U16", DType::U16},
                                                                     {"U32", DType::U32},
                                                                     {"U64", DType::U64},
                                                                     {"F16", DType::F16},
                                                                     {"BF16", DType::BF16},
                                                                     {"F32", DType::F32},
                                                                     {"F64", DType::F64}}};

struct Entry {
  std::optional<DType> dtype;
  std::optional<Shape> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
};

/// Receives the events of the JSON header and fills the entries.
class HeaderReader final : public json::json_sax_t {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override { unexpected("the number " + text); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) unexpected("a number");
    if (field_ == "shape") {
      if (value > std::uint64_t{1} << 62) fail(fmt::format("the tensor '{}' has the extent {}", name_, value));
      if (entry_->shape->size() == kMaxRank)
        fail(fmt::format("the tensor '{}' has more than {} dimensions", name_, kMaxRank));
      entry_->shape->push_back(static_cast<std::int64_t>(value));
    } else {
      if (entry_->offsets->size() == 2) fail(fmt::format("the tensor '{}' has more than two data_offsets", name_));
      entry_->offsets->push_back(value);
    }
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && !in_array_ && in_metadata_) {
      metadata[field_] = value;
      return true;
    }
    if (depth_ != 2 || in_array_ || field_ != "dtype") unexpected("a string");
    for (const auto& [text, dtype] : kTypes) {
      if (text == value) entry_->dtype = dtype;
    }
    if (!entry_->dtype)
      throw Error(ErrorKind::Unsupported,
                  fmt::format("{}: the tensor '{}' has the type '{}', which is not supported", file_, name_, value));
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ == 2 || in_array_) unexpected("an object");
    ++depth_;
    return true;
  }
  bool key(string_t& value) override {
    if (depth_ == 1) {
      in_metadata_ = value == "__metadata__";
      if (!names_.insert(value).second) fail("the key '" + value + "' is there twice");
      name_ = value;
      if (!in_metadata_) entry_ = &entries[value];
      return true;
    }
    field_ = value;
    const bool fresh = in_metadata_              ? !metadata.contains(value)
                       : value == "dtype"        ? !entry_->dtype
                       : value == "shape"        ? !entry_->shape
                       : value == "data_offsets" ? !entry_->offsets
                                                 : unknown();
    if (!fresh) fail(fmt::format("the key '{}' of '{}' is there twice", value, name_));
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_ &&
        (!entry_->dtype || !entry_->shape || !entry_->offsets || entry_->offsets->size() != 2))
      fail(fmt::format("the tensor '{}' lacks one of dtype, shape, data_offsets (two of them)", name_));
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_array_ || in_metadata_ || field_ == "dtype") unexpected("a list");
    in_array_ = true;
    if (field_ == "shape")
      entry_->shape.emplace();
    else
      entry_->offsets.emplace();
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    fail(fmt::format("is not valid JSON at byte {}", position));
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { bad_file(file_, "the safetensors header: " + what); }
  [[noreturn]] void unexpected(const std::string& what) const {
    fail(fmt::format("{} stands where it does not belong{}", what, name_.empty() ? "" : ", in '" + name_ + "'"));
  }
  bool unknown() const { fail(fmt::format("the tensor '{}' has the unknown key '{}'", name_, field_)); }

  const std::string& file_;
  std::set<std::string> names_;
  std::string name_, field_;
  Entry* entry_ = nullptr;
  int depth_ = 0;
  bool in_array_ = false, in_metadata_ = false;
};

/// Throws unless the tensors lie one after another from 0 to `size`, each as long as its type.
void check_layout(const std::map<std::string, Entry>& entries, std::uint64_t size, const std::string& file) {
  struct Range {
    std::uint64_t begin, end;
    const std::string* name;
  };
  std::vector<Range> ranges;
  for (const auto& [name, entry] : entries) {
    const std::uint64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
    std::uint64_t bytes = size_of(*entry.dtype);
    bool fits = begin <= end && end <= size;
    if (!fits)
      bad_file(file, fmt::format("the tensor '{}' has the data_offsets [{}, {}], but {} bytes of values follow the "
                                 "header; the file is cut short or damaged",
                                 name, begin, end, size));
    for (const std::int64_t extent : *entry.shape)
      fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes);
    if (!fits || bytes != end - begin)
      bad_file(file,
               fmt::format("the tensor '{}' is {}, but its data_offsets [{}, {}] hold {} bytes; the header is damaged",
                           name, to_string(TensorType{*entry.dtype, *entry.shape}), begin, end, end - begin));
    ranges.push_back({begin, end, &name});
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t at = 0;
  for (const Range& range : ranges) {
    if (range.begin != at)
      bad_file(file, fmt::format("the tensor '{}' begins at {} and not at {}: tensors must neither overlap nor leave "
                                 "gaps; the header is damaged",
                                 *range.name, range.begin, at));
    at = range.end;
  }
  if (at != size) bad_file(file, fmt::format("{} bytes follow the last tensor; the file is damaged", size - at));
}

}  // namespace

NamedTensors parse_safetensors(ByteView bytes, const std::string& file) {
  if (bytes.size() < 8) bad_file(file, fmt::format("has {} bytes; a safetensors file has at least 8", bytes.size()));
  const auto length = little_endian<std::uint64_t>(bytes.data());
  if (length > kMaxHeader)
    bad_file(file, fmt::format("declares a header of {} bytes; at most {} are allowed: this is no safetensors file",
                               length, kMaxHeader));
  if (length > bytes.size() - 8)
    bad_file(file, fmt::format("declares a header of {} bytes, but {} follow; the file is cut short", length,
                               bytes.size() - 8));
  const std::string_view header = text(bytes.subspan(8, length));
  if (!header.starts_with('{')) bad_file(file, "the safetensors header does not begin with '{'");
  HeaderReader reader(file);
  json::sax_parse(header.begin(), header.end(), &reader);
  const ByteView values = bytes.subspan(8 + length);
  check_layout(reader.entries, values.size(), file);

  NamedTensors result{{}, std::move(reader.metadata)};
  for (const auto& [name, entry] : reader.entries) {
    Literal literal(TensorType{*entry.dtype, *entry.shape});
    if (literal.bytes() > 0) std::memcpy(literal.data(), &values[(*entry.offsets)[0]], literal.bytes());
    if (literal.dtype() == DType::Bool) {
      for (std::size_t i = 0; i < literal.bytes(); ++i)
        literal.data()[i] = std::byte{literal.data()[i] != std::byte{0}};
    }
    result.tensors.emplace(name, std::move(literal));
  }
  return result;
}

NamedTensors read_safetensors(const Path& path) { return parse_safetensors(read_file(path), path); }

Bytes format_safetensors(const NamedTensors& content) {
  static_assert(std::endian::native == std::endian::little, "values are written as they lie in memory");
  json header = json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  std::uint64_t size = 0;
  for (const auto& [name, literal] : content.tensors) {
    if (name == "__metadata__")
      throw Error(ErrorKind::Usage, "a tensor cannot be named __metadata__ in a safetensors file");
    std::string_view type;
    for (const auto& [text, dtype] : kTypes) {
      if (dtype == literal.dtype()) type = text;
    }
    header[name] = {{"dtype", type}, {"shape", literal.shape()}, {"data_offsets", {size, size + literal.bytes()}}};
    size += literal.bytes();
  }
  std::string head = header.dump();
  head.append((8 - head.size() % 8) % 8, ' ');
  Bytes bytes;
  bytes.reserve(8 + head.size() + size);
  append_little_endian(bytes, static_cast<std::uint64_t>(head.size()));
  for (const std::byte b : view(head)) bytes.push_back(b);
  for (const auto& [name, literal] : content.tensors)
    bytes.insert(bytes.end(), literal.data(), literal.data() + literal.bytes());
  return bytes;
}

void write_safetensors(const Path& path, const NamedTensors& content) {
  write_file(path, {format_safetensors(content)});
}

}  // namespace tessera::data
