// Text in UTF-8: validity, code points, white space. In: bytes from anywhere. Used by the readers of text and by
// scores.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera::data {

/// The offset of the first byte that does not belong to a code point in UTF-8 (RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF); npos where the text is valid.
std::size_t find_invalid_utf8(std::string_view text);

/// The code points of the text; each byte that belongs to none becomes U+FFFD.
std::u32string decode_utf8(std::string_view text);
/// Appends a code point; one that does not exist becomes U+FFFD.
void append_utf8(std::string& to, char32_t code_point);

/// The number of code points of valid text.
std::size_t count_code_points(std::string_view text);

/// True for what Unicode calls white space, and for the separators U+001C to U+001F (as str.split of Python does).
bool is_white_space(char32_t code_point);

/// The text without the ASCII white space at its ends.
std::string_view trim_ascii(std::string_view text);

}  // namespace tessera::data
