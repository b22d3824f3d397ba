// The lexer of ir/lex.hpp.
#include "tessera/ir/lex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <set>

namespace tessera::ir {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '$'; }
bool is_value_name(char c) { return is_name(c) || c == '-'; }

/// File names outlive the graphs whose locations point at them.
const char* keep_forever(const std::string& file_name) {
  static std::mutex mutex;
  static auto* names = new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return names->insert(file_name).first->c_str();
}

}  // namespace

Lexer::Lexer(std::string_view text, const std::string& file_name) : text_(text), file_(keep_forever(file_name)) {
  line_starts_.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') line_starts_.push_back(i + 1);
  seek(0);
}

Token Lexer::next() {
  const Token current = token_;
  seek(token_.end);
  return current;
}

void Lexer::seek(std::size_t i) {
  const std::size_t size = text_.size();
  const auto at = [&](std::size_t k) { return k < size ? text_[k] : '\0'; };
  while (i < size) {  // white space and comments
    if (text_[i] == ' ' || text_[i] == '\n' || text_[i] == '\t' || text_[i] == '\r')
      ++i;
    else if (text_[i] == '/' && at(i + 1) == '/')
      i = std::min(text_.find('\n', i), size);
    else
      break;
  }
  const std::size_t start = i;
  const auto set = [&](TokenKind kind, std::size_t from, std::size_t to, std::size_t end) {
    token_ = {kind, text_.substr(from, to - from), start, end};
  };
  const auto scan = [&](std::size_t from, auto&& accepts) {
    while (from < size && accepts(text_[from])) ++from;
    return from;
  };
  /// The position behind the closing quote of the string that opens at `from`.
  const auto string_end = [&](std::size_t from) {
    for (std::size_t k = from + 1; k < size && text_[k] != '\n'; ++k) {
      if (text_[k] == '\\')
        ++k;
      else if (text_[k] == '"')
        return k + 1;
    }
    fail(from, "expected a closing '\"' on the same line");
  };
  if (i >= size) return set(TokenKind::End, size, size, size);
  const char c = text_[i];
  if (is_letter(c) || (c == '!' && is_letter(at(i + 1)))) {
    i = scan(i + 1, is_name);
    return set(TokenKind::Word, start, i, i);
  }
  if (is_digit(c) || (c == '-' && is_digit(at(i + 1)))) {
    if (c == '-') ++i;
    if (at(i) == '0' && (at(i + 1) == 'x' || at(i + 1) == 'X') && is_hex_digit(at(i + 2))) {
      i = scan(i + 2, is_hex_digit);
      return set(TokenKind::Integer, start, i, i);
    }
    i = scan(i, is_digit);
    bool real = false;
    if (at(i) == '.') {
      real = true;
      i = scan(i + 1, is_digit);
    }
    if (at(i) == 'e' || at(i) == 'E') {
      const std::size_t digits = at(i + 1) == '+' || at(i + 1) == '-' ? i + 2 : i + 1;
      if (is_digit(at(digits))) {
        real = true;
        i = scan(digits, is_digit);
      }
    }
    return set(real ? TokenKind::Real : TokenKind::Integer, start, i, i);
  }
  if (c == '"') {
    i = string_end(i);
    return set(TokenKind::String, start + 1, i - 1, i);
  }
  if (c == '@' && at(i + 1) == '"') {
    i = string_end(i + 1);
    return set(TokenKind::Symbol, start + 2, i - 1, i);
  }
  if (c == '%' || c == '@' || c == '#' || c == '^') {
    i = scan(i + 1, c == '%' ? is_value_name : is_name);
    if (i == start + 1) fail(start, fmt::format("expected a name after '{}'", c));
    if (c == '%' && at(i) == '#' && is_digit(at(i + 1))) i = scan(i + 1, is_digit);
    const TokenKind kind = c == '%'   ? TokenKind::Value
                           : c == '@' ? TokenKind::Symbol
                           : c == '#' ? TokenKind::Hash
                                      : TokenKind::Caret;
    return set(kind, start + 1, i, i);
  }
  if (c == '-' && at(i + 1) == '>') return set(TokenKind::Sign, start, i + 2, i + 2);
  constexpr std::string_view kSigns = "()[]{}<>,:=?*+-/|";
  if (kSigns.find(c) != std::string_view::npos) return set(TokenKind::Sign, start, i + 1, i + 1);
  fail(start, fmt::format("the character {} has no meaning here",
                          c > ' ' && c <= '~' ? fmt::format("'{}'", c)
                                              : fmt::format("0x{:02X}", static_cast<unsigned char>(c))));
}

bool Lexer::accept(std::string_view sign) {
  if (!is(sign)) return false;
  next();
  return true;
}

bool Lexer::accept_word(std::string_view word) {
  if (!is_word(word)) return false;
  next();
  return true;
}

Token Lexer::expect(std::string_view sign, std::string_view purpose) {
  if (!is(sign)) fail_expected(fmt::format("'{}' {}", sign, purpose));
  return next();
}

Token Lexer::expect(TokenKind kind, std::string_view what) {
  if (token_.kind != kind) fail_expected(what);
  return next();
}

void Lexer::skip_balanced() {
  std::string closers;
  const std::size_t start = token_.at;
  do {
    if (token_.kind == TokenKind::End) fail(start, "this bracket is never closed");
    if (token_.kind == TokenKind::Sign) {
      const char c = token_.text[0];
      if (c == '(')
        closers += ')';
      else if (c == '[')
        closers += ']';
      else if (c == '{')
        closers += '}';
      else if (c == '<')
        closers += '>';
      else if (token_.text != "->" && (c == ')' || c == ']' || c == '}' || c == '>')) {
        if (closers.empty() || closers.back() != c)
          fail_expected(closers.empty() ? "an opening bracket" : fmt::format("'{}'", closers.back()));
        closers.pop_back();
      }
    }
    next();
  } while (!closers.empty());
}

std::uint32_t Lexer::line(std::size_t position) const {
  return static_cast<std::uint32_t>(std::upper_bound(line_starts_.begin(), line_starts_.end(), position) -
                                    line_starts_.begin());
}

Location Lexer::location(std::size_t position) const {
  Location location;
  location.file = file_;
  location.line = line(position);
  return location;
}

void Lexer::fail(std::size_t position, std::string_view message, ErrorKind kind) const {
  const std::uint32_t at_line = line(position);
  throw Error(kind, fmt::format("{}:{}:{}: {}", file_, at_line, position - line_starts_[at_line - 1] + 1, message));
}

void Lexer::fail_expected(std::string_view what) const {
  if (token_.kind == TokenKind::End) fail(token_.at, fmt::format("expected {}, found the end of the text", what));
  constexpr std::size_t kShown = 40;
  const std::string_view found = text_.substr(token_.at, token_.end - token_.at);
  fail(token_.at,
       fmt::format("expected {}, found '{}{}'", what, found.substr(0, kShown), found.size() > kShown ? "..." : ""));
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'n')
      out += '\n';
    else if (c == 't')
      out += '\t';
    else if (i + 1 < text.size() && is_hex_digit(c) && is_hex_digit(text[i + 1])) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
      ++i;
    } else
      out += c;
  }
  return out;
}

std::string nearest(std::string_view wrong, const std::vector<std::string>& names) {
  std::string best;
  std::size_t least = 4;  // edits beyond which a name is another one
  if (wrong.size() > 64) return best;
  for (const std::string& name : names) {
    std::vector<std::size_t> row(name.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (const char letter : wrong) {
      std::size_t diagonal = row[0]++;
      for (std::size_t j = 0; j < name.size(); ++j) {
        const std::size_t above = row[j + 1];
        row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (letter == name[j] ? 0 : 1)});
        diagonal = above;
      }
    }
    if (row.back() < least && row.back() < std::max(wrong.size(), std::size_t{2})) {
      least = row.back();
      best = name;
    }
  }
  return best;
}

}  // namespace tessera::ir
