// Markup is read as what browsers make of it: a `<` that begins no tag is text, what is open at the end is closed
// there.
#include "tessera/data/markup.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "tessera/data/utf8.hpp"

namespace tessera::data {
namespace {

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
/// Letters and digits: of what is not ASCII, all but the blocks of punctuation.
bool is_word(char32_t c) {
  if (c < 0x80) return (c >= U'0' && c <= U'9') || is_ascii_letter(static_cast<char>(c));
  return c >= 0xc0 && !(c >= 0x2000 && c < 0x2070) && !(c >= 0x3000 && c < 0x3040) && !(c >= 0xff00 && c < 0xff10);
}

/// True when a word ends `before` and one begins in `after`, neither empty.
bool words_meet(std::string_view before, std::string_view after) {
  std::size_t last = before.size() - 1;
  while (last > 0 && (static_cast<unsigned char>(before[last]) & 0xc0U) == 0x80) --last;
  return is_word(decode_utf8(before.substr(last))[0]) && is_word(decode_utf8(after.substr(0, 4))[0]);
}

struct Piece {
  Tag tag{};
  bool closing = false, empty = false;
  std::size_t end = 0;  ///< where the text goes on
};

/// The tag that begins at `at`, where a `<` stands.
std::optional<Piece> parse_tag(std::string_view text, std::size_t at) {
  if (text.substr(at).starts_with("<!--")) {
    const std::size_t end = text.find("-->", at);
    return Piece{.end = end == std::string_view::npos ? text.size() : end + 3};
  }
  Piece piece;
  std::size_t i = at + 1;
  if (i < text.size() && text[i] == '/') {
    piece.closing = true;
    ++i;
  }
  const std::size_t name = i;
  while (i < text.size() && (is_ascii_letter(text[i]) || (i > name && text[i] >= '0' && text[i] <= '9'))) ++i;
  constexpr std::size_t kMaxTag = 4096;  // text with many < and no > takes no longer than its length
  const std::size_t close = text.substr(0, i + std::min(kMaxTag, text.size() - i)).find('>', i);
  if (i == name || close == std::string_view::npos) return std::nullopt;
  piece.tag = {text.substr(name, i - name), text.substr(i, close - i)};
  piece.empty = piece.tag.attributes.ends_with('/');
  piece.end = close + 1;
  return piece;
}

/// Where the element goes on after its end tag; `at` is behind its start tag.
std::size_t end_of_element(std::string_view text, std::size_t at, std::string_view name) {
  int open = 1;
  while ((at = text.find('<', at)) != std::string_view::npos) {
    const std::optional<Piece> piece = parse_tag(text, at);
    at = piece ? piece->end : at + 1;
    if (!piece || piece->tag.name != name || piece->empty) continue;
    open += piece->closing ? -1 : 1;
    if (open == 0) return at;
  }
  return text.size();
}

/// Appends the character that a reference like &amp; at `at` stands for, and returns where the text goes on.
std::size_t resolve(std::string_view text, std::size_t at, std::string& to) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames{
      {{"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "}}};
  const std::size_t end = text.substr(0, at + 12).find(';', at);
  if (end != std::string_view::npos) {
    std::string_view name = text.substr(at + 1, end - at - 1);
    for (const auto& [known, character] : kNames) {
      if (name != known) continue;
      to += character;
      return end + 1;
    }
    if (name.starts_with('#')) {
      name.remove_prefix(1);
      const bool hexadecimal = name.starts_with('x');
      if (hexadecimal) name.remove_prefix(1);
      std::uint32_t number = 0;
      const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number, hexadecimal ? 16 : 10);
      if (!name.empty() && error == std::errc() && stop == name.data() + name.size() && number != 0) {
        append_utf8(to, number);
        return end + 1;
      }
    }
  }
  to += '&';
  return at + 1;
}

/// What ends in a full stop and ends no sentence, in the languages of our corpora.
bool is_abbreviation(std::string_view word) {
  while (!word.empty() && !is_ascii_letter(word.front())) word.remove_prefix(1);
  constexpr std::array<std::string_view, 30> kKnown{"Dr.",  "Mr.",   "Mrs.",  "St.",   "Prof.", "No.",  "Nr.",   "vs.",
                                                    "etc.", "e.g.",  "i.e.",  "cf.",   "ca.",   "z.B.", "d.h.",  "bzw.",
                                                    "usw.", "evtl.", "ggf.",  "inkl.", "max.",  "min.", "bspw.", "vgl.",
                                                    "ex.",  "ej.",   "p.ej.", "Sr.",   "Sra.",  "Ud."};
  const bool initial = word.size() == 2 && is_ascii_letter(word[0]);
  return initial || std::find(kKnown.begin(), kKnown.end(), word) != kKnown.end();
}

bool ends_sentence(char32_t c) { return c == U'.' || c == U'!' || c == U'?' || c == U'…'; }
bool closes(char32_t c) {
  return c == U'"' || c == U'\'' || c == U')' || c == U'”' || c == U'’' || c == U'»' || c == U'“';
}
/// A capital letter of the alphabets that have them here, or a sign that opens a sentence.
bool begins_sentence(char32_t c) {
  return (c >= U'A' && c <= U'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x410 && c <= 0x42f) ||
         (c >= 0x391 && c <= 0x3a9) || c == U'"' || c == U'“' || c == U'„' || c == U'«' || c == U'¿' || c == U'¡' ||
         c == U'‘' || c == U'(';
}

}  // namespace

std::string_view Tag::attribute(std::string_view key) const {
  for (std::size_t at = 0; (at = attributes.find(key, at)) != std::string_view::npos; ++at) {
    const bool whole = at > 0 && attributes[at - 1] == ' ' && attributes.substr(at + key.size()).starts_with("=\"");
    if (!whole) continue;
    const std::size_t begin = at + key.size() + 2, end = attributes.find('"', begin);
    return end == std::string_view::npos ? "" : attributes.substr(begin, end - begin);
  }
  return "";
}

std::string collapse_white_space(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool space = false;
  for (const char32_t c : decode_utf8(text)) {
    if (is_white_space(c) || c == 0) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out += ' ';
    space = false;
    append_utf8(out, c);
  }
  return out;
}

std::string strip_markup(std::string_view text, bool (*skip)(const Tag&)) {
  std::string out;
  bool parted = false;  // only tags since the last character
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '<') {
      if (const std::optional<Piece> piece = parse_tag(text, at)) {
        at = piece->end;
        if (skip != nullptr && !piece->closing && !piece->empty && skip(piece->tag))
          at = end_of_element(text, at, piece->tag.name);
        if (piece->tag.name == "br" || piece->tag.name == "lb") out += ' ';
        parted = parted || (piece->tag.name != "sub" && piece->tag.name != "sup");
        continue;
      }
    }
    if (parted && !out.empty() && words_meet(out, text.substr(at))) out += ' ';
    parted = false;
    if (text[at] == '&')
      at = resolve(text, at, out);
    else
      out += text[at++];
  }
  return collapse_white_space(out);
}

std::vector<std::string> split_sentences(std::string_view paragraph) {
  const std::string text = collapse_white_space(paragraph);
  const std::u32string letters = decode_utf8(text);
  std::vector<std::string> sentences;
  std::string sentence;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (letters[i] != U' ' || i + 1 == letters.size()) {
      append_utf8(sentence, letters[i]);
      continue;
    }
    std::size_t last = i;
    while (last > 0 && closes(letters[last - 1])) --last;
    const bool cut = last > 0 && ends_sentence(letters[last - 1]) && begins_sentence(letters[i + 1]) &&
                     !is_abbreviation(std::string_view(sentence).substr(sentence.rfind(' ') + 1));
    if (cut)
      sentences.push_back(std::exchange(sentence, ""));
    else
      sentence += ' ';
  }
  if (!sentence.empty()) sentences.push_back(std::move(sentence));
  return sentences;
}

}  // namespace tessera::data
