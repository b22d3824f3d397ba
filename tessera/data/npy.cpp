// NPY: a magic number, a header that is a Python dictionary, the values. Read next: data/npz.cpp.
#include "tessera/data/npy.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <optional>

#include "tessera/core/error.hpp"
#include "tessera/data/bytes.hpp"

namespace tessera::data {
namespace {

constexpr std::size_t kMaxHeader = std::size_t{1} << 20;
constexpr std::size_t kMaxRank = 64;

struct Header {
  std::string descr;
  bool fortran = false;
  Shape shape;
};

/// Reads exactly the dictionary that NumPy writes: three keys in any order, a string, a truth value, a tuple of
/// integers.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Header parse() {
    std::optional<std::string> descr;
    std::optional<bool> fortran;
    std::optional<Shape> shape;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      const auto set = [&](auto& field, auto read) {
        if (field) fail("has the key '" + key + "' twice");
        field = read();
      };
      if (key == "descr") {
        set(descr, [&] { return type(); });
      } else if (key == "fortran_order") {
        set(fortran, [&] { return truth(); });
      } else if (key == "shape") {
        set(shape, [&] { return tuple(); });
      } else {
        fail("has the unknown key '" + key + "'");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    space();
    if (at_ != text_.size()) fail("goes on after its closing brace");
    if (!descr || !fortran || !shape) fail("lacks one of the keys 'descr', 'fortran_order', 'shape'");
    return {*descr, *fortran, *shape};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { bad_file(file_, "the NPY header " + what); }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(fmt::format("has no '{}' at character {}", c, at_));
  }
  std::string quoted() {
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("has a string without an end");
    std::string result(text_.substr(at_, end - at_));
    at_ = end + 1;
    return result;
  }
  std::string type() {
    if (take('[')) fail("describes records; only arrays of plain numbers are read");
    return quoted();
  }
  bool truth() {
    space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    fail("has neither True nor False for 'fortran_order'");
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      space();
      std::int64_t extent = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) fail(fmt::format("has no usable extent at character {}", at_));
      at_ += static_cast<std::size_t>(end - begin);
      take('L');  // as Python 2 wrote long integers
      shape.push_back(extent);
      if (shape.size() > kMaxRank) fail(fmt::format("has more than {} dimensions", kMaxRank));
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
};

std::optional<DType> dtype_of_code(std::string_view code) {
  if (code == "b1") return DType::Bool;
  if (code == "i1") return DType::I8;
  if (code == "i2") return DType::I16;
  if (code == "i4") return DType::I32;
  if (code == "i8") return DType::I64;
  if (code == "u1") return DType::U8;
  if (code == "u2") return DType::U16;
  if (code == "u4") return DType::U32;
  if (code == "u8") return DType::U64;
  if (code == "f2") return DType::F16;
  if (code == "f4") return DType::F32;
  if (code == "f8") return DType::F64;
  return std::nullopt;
}

std::string code_of(DType dtype) {
  if (dtype == DType::BF16)
    throw Error(ErrorKind::Unsupported,
                "NPY files cannot hold bf16 values; convert them to f32 first, or use safetensors");
  if (dtype == DType::Bool) return "|b1";
  const char kind = is_float(dtype) ? 'f' : is_signed_integer(dtype) ? 'i' : 'u';
  const std::size_t size = size_of(dtype);
  return fmt::format("{}{}{}", size == 1 ? '|' : '<', kind, size);
}

/// Copies a column-major array into row-major order.
void from_fortran(const Shape& shape, std::size_t item, const std::byte* from, std::byte* to) {
  const std::size_t rank = shape.size();
  std::vector<std::int64_t> index(rank, 0);
  std::vector<std::int64_t> strides(rank, 1);
  for (std::size_t d = 1; d < rank; ++d) strides[d] = strides[d - 1] * shape[d - 1];
  std::int64_t at = 0;
  for (std::int64_t i = 0, n = element_count(shape); i < n; ++i) {
    std::memcpy(to + static_cast<std::size_t>(i) * item, from + static_cast<std::size_t>(at) * item, item);
    for (std::size_t d = rank; d-- > 0;) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= index[d] * strides[d];
      index[d] = 0;
    }
  }
}

}  // namespace

Literal parse_npy(ByteView bytes, const std::string& file) {
  if (!text(bytes).starts_with("\x93NUMPY")) bad_file(file, "is no NPY file: the first six bytes are not \\x93NUMPY");
  if (bytes.size() < 10) bad_file(file, "is cut short inside the NPY header");
  const auto version = static_cast<unsigned>(bytes[6]);
  if (version < 1 || version > 3 || bytes[7] != std::byte{0})
    bad_file(file, fmt::format("has NPY version {}.{}; versions 1.0, 2.0 and 3.0 are read", version,
                               static_cast<unsigned>(bytes[7])));
  const std::size_t start = version == 1 ? 10 : 12;
  if (bytes.size() < start) bad_file(file, "is cut short inside the NPY header");
  const std::size_t length =
      version == 1 ? little_endian<std::uint16_t>(&bytes[8]) : little_endian<std::uint32_t>(&bytes[8]);
  if (length > kMaxHeader || length > bytes.size() - start)
    bad_file(file, fmt::format("declares an NPY header of {} bytes, but {} bytes follow; the file is cut short", length,
                               bytes.size() - start));
  const Header header = HeaderParser(text(bytes.subspan(start, length)), file).parse();

  const std::string_view descr = header.descr;
  const char order = descr.empty() ? '\0' : descr[0];
  const bool ordered = order == '<' || order == '>' || order == '|' || order == '=';
  const std::optional<DType> dtype = ordered ? dtype_of_code(descr.substr(1)) : std::nullopt;
  if (!dtype)
    throw Error(ErrorKind::Unsupported,
                fmt::format("{}: holds the NumPy type '{}'; bool, integers and f2, f4, f8 are read: convert with "
                            "astype and save again",
                            file, descr));

  const ByteView values = bytes.subspan(start + length);
  std::uint64_t size = size_of(*dtype);
  bool fits = true;
  for (const std::int64_t extent : header.shape)
    fits = fits && !__builtin_mul_overflow(size, static_cast<std::uint64_t>(extent), &size);
  if (!fits || size != values.size())
    bad_file(file, fmt::format("declares {}{}, but {} bytes of values follow; the file is {}",
                               to_string(TensorType{*dtype, header.shape}),
                               fits ? fmt::format(" ({} bytes)", size) : "", values.size(),
                               fits && size < values.size() ? "followed by something else" : "cut short or damaged"));
  Literal literal(TensorType{*dtype, header.shape});
  if (size == 0) return literal;
  if (header.fortran && header.shape.size() > 1)
    from_fortran(header.shape, size_of(*dtype), values.data(), literal.data());
  else
    std::memcpy(literal.data(), values.data(), size);
  const bool big = order == '>';
  if (big == (std::endian::native == std::endian::little)) reverse_items(literal.data(), size, size_of(*dtype));
  if (*dtype == DType::Bool) {
    for (std::size_t i = 0; i < size; ++i) literal.data()[i] = std::byte{literal.data()[i] != std::byte{0}};
  }
  return literal;
}

Literal read_npy(const Path& path) { return parse_npy(read_file(path), path); }

Bytes format_npy(const Literal& literal) {
  static_assert(std::endian::native == std::endian::little, "values are written as they lie in memory");
  std::string shape;
  for (const std::int64_t extent : literal.shape()) shape += fmt::format("{}, ", extent);
  if (shape.size() > 2) shape.resize(shape.size() - (literal.shape().size() > 1 ? 2 : 1));
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", code_of(literal.dtype()), shape);
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string head = "\x93NUMPY";
  head += '\x01';
  head += '\0';
  append_little_endian(head, static_cast<std::uint16_t>(header.size()));
  head += header;
  Bytes bytes(head.size() + literal.bytes());
  std::memcpy(bytes.data(), head.data(), head.size());
  if (literal.bytes() > 0) std::memcpy(bytes.data() + head.size(), literal.data(), literal.bytes());
  return bytes;
}

void write_npy(const Path& path, const Literal& literal) { write_file(path, {format_npy(literal)}); }

}  // namespace tessera::data
