// Plain text out of marked-up text, and sentences out of paragraphs: what the corpora of data/corpora.cpp are made of.
// In: HTML, XML or game text. Out: text of one line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera::data {

/// A start tag: `<name attributes>`.
struct Tag {
  std::string_view name;
  std::string_view attributes;
  /// The value of an attribute in double quotes; "" where there is none.
  [[nodiscard]] std::string_view attribute(std::string_view key) const;
};

/// The text without its tags, character references resolved, white space and ends of lines (<br>, <lb>) as single
/// spaces. Words that only a tag parts stay apart, but for <sub> and <sup>. Elements for which `skip` says so go with
/// all they hold.
std::string strip_markup(std::string_view text, bool (*skip)(const Tag&) = nullptr);

/// The text with every run of white space as one space, and none at the ends.
std::string collapse_white_space(std::string_view text);

/// Cut after . ! ? and the like where a space and the beginning of a sentence follow; not after abbreviations.
std::vector<std::string> split_sentences(std::string_view paragraph);

}  // namespace tessera::data
