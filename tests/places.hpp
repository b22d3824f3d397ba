// Messages with places of a source file in them, for comparison with fixed texts.
#pragma once

#include <cctype>
#include <string>
#include <string_view>

namespace tessera {

/// `text` with `word` for every "<path>/FILE:<line>".
inline std::string without_places(std::string text, std::string_view file, std::string_view word) {
  for (std::size_t at = text.find(file); at != std::string::npos; at = text.find(file, at)) {
    const std::size_t before = text.find_last_of(" \n(", at);
    const std::size_t first = before == std::string::npos ? 0 : before + 1;
    std::size_t last = at + file.size();
    if (last < text.size() && text[last] == ':') ++last;
    while (last < text.size() && std::isdigit(static_cast<unsigned char>(text[last])) != 0) ++last;
    text.replace(first, last - first, word);
    at = first + word.size();
  }
  return text;
}

}  // namespace tessera
