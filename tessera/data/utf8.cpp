// UTF-8, by the table of well-formed byte sequences (Unicode, table 3-7).
#include "tessera/data/utf8.hpp"

namespace tessera::data {
namespace {

constexpr char32_t kReplacement = 0xfffd;

struct Decoded {
  char32_t code_point;
  std::size_t bytes;  ///< 0: no code point begins here
};

/// The code point that begins at `at`, which lies inside the text.
Decoded decode_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80) return {first, 1};
  const std::size_t bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (bytes == 0 || at + bytes > text.size()) return {kReplacement, 0};
  // Overlong forms, surrogates and what lies above U+10FFFF show in the second byte.
  const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(at + 1) < low || byte(at + 1) > high) return {kReplacement, 0};
  char32_t code_point = first & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xc0U) != 0x80) return {kReplacement, 0};
    code_point = code_point << 6 | (byte(at + i) & 0x3fU);
  }
  return {code_point, bytes};
}

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = decode_at(text, at).bytes;
    if (bytes == 0) return at;
    at += bytes;
  }
  return std::string_view::npos;
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded decoded = decode_at(text, at);
    out += decoded.code_point;
    at += decoded.bytes == 0 ? 1 : decoded.bytes;
  }
  return out;
}

void append_utf8(std::string& to, char32_t c) {
  if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = kReplacement;
  if (c < 0x80) {
    to += static_cast<char>(c);
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  to += static_cast<char>((0xf80U >> more & 0xffU) | (c >> (6 * more)));
  for (int i = more; i-- > 0;) to += static_cast<char>(0x80U | (c >> (6 * i) & 0x3fU));
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0U) != 0x80 ? 1 : 0;
  return count;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

std::string_view trim_ascii(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace tessera::data
