// The format of .mo files: a header, two tables of lengths and offsets, strings.
#include "tessera/data/gettext.hpp"

#include <fmt/format.h>

#include "tessera/data/bytes.hpp"

namespace tessera::data {

std::vector<std::pair<std::string_view, std::string_view>> parse_catalogue(ByteView bytes, const std::string& file) {
  if (bytes.size() < 20) bad_file(file, "is no gettext catalogue: it is shorter than the header of one");
  const bool little = little_endian<std::uint32_t>(bytes.data()) == 0x950412de;
  if (!little && big_endian<std::uint32_t>(bytes.data()) != 0x950412de)
    bad_file(file, "is no gettext catalogue (.mo): it begins with other bytes");
  const auto number = [&](std::uint64_t at) {
    if (at + 4 > bytes.size()) bad_file(file, fmt::format("is cut short: byte {} is beyond its end", at));
    return std::uint64_t{little ? little_endian<std::uint32_t>(bytes.data() + at)
                                : big_endian<std::uint32_t>(bytes.data() + at)};
  };
  const auto string = [&](std::uint64_t entry) {
    const std::uint64_t length = number(entry), at = number(entry + 4);
    if (at + length > bytes.size()) bad_file(file, "is damaged: a string lies beyond its end");
    return text(bytes.subspan(at, length));
  };
  const std::uint64_t count = number(8), messages = number(12), translations = number(16);
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string_view message = string(messages + 8 * i), translation = string(translations + 8 * i);
    if (const std::size_t context = message.find('\4'); context != std::string_view::npos)
      message.remove_prefix(context + 1);
    if (message.empty()) continue;  // the header
    const std::size_t plural = message.find('\0'), form = translation.find('\0');
    pairs.emplace_back(message.substr(0, plural), translation.substr(0, form));
    if (plural == std::string_view::npos || form == std::string_view::npos) continue;
    const std::string_view second = translation.substr(form + 1);
    pairs.emplace_back(message.substr(plural + 1), second.substr(0, second.find('\0')));
  }
  return pairs;
}

}  // namespace tessera::data
