// Tokens of MLIR text, one at a time and from any position, with errors that say line and column.
// Used by ir/parse*.cpp only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera::ir {

enum class TokenKind : std::uint8_t {
  End,
  Word,     ///< add, stablehlo.add, !quant.uniform
  Integer,  ///< -12, 0x7FC0
  Real,     ///< -1.5e-3
  String,   ///< text without the quotes, escapes as written
  Value,    ///< %arg0, %3#1: without the sign
  Symbol,   ///< @main, @"a b": without the sign and quotes
  Hash,     ///< #stablehlo.gather, #loc12: without the sign
  Caret,    ///< ^bb0
  Sign,     ///< one of ()[]{}<>,:=?*+-/| or ->
};

struct Token {
  TokenKind kind = TokenKind::End;
  std::string_view text;
  std::size_t at = 0;   ///< where it begins
  std::size_t end = 0;  ///< where the next may begin
};

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& file_name);

  [[nodiscard]] const Token& token() const { return token_; }
  /// Moves to the next token and returns the one that was current.
  Token next();
  /// Makes the token at `position` current.
  void seek(std::size_t position);
  [[nodiscard]] bool is(std::string_view sign) const { return token_.kind == TokenKind::Sign && token_.text == sign; }
  [[nodiscard]] bool is_word(std::string_view word) const {
    return token_.kind == TokenKind::Word && token_.text == word;
  }
  bool accept(std::string_view sign);
  bool accept_word(std::string_view word);
  /// The sign, or an error: "expected ')' after the operands, found ...".
  Token expect(std::string_view sign, std::string_view purpose);
  Token expect(TokenKind kind, std::string_view what);
  /// Skips from an opening bracket (current) to behind the one that closes it.
  void skip_balanced();
  /// The text, for what is not made of tokens (tensor types).
  [[nodiscard]] std::string_view text() const { return text_; }

  [[nodiscard]] std::uint32_t line(std::size_t position) const;
  /// A place for Node::location; the file name lives forever.
  [[nodiscard]] Location location(std::size_t position) const;
  [[noreturn]] void fail(std::size_t position, std::string_view message, ErrorKind kind = ErrorKind::Failed) const;
  /// "expected WHAT, found the current token".
  [[noreturn]] void fail_expected(std::string_view what) const;

 private:
  std::string_view text_;
  const char* file_;
  std::vector<std::size_t> line_starts_;
  Token token_;
};

/// The text of a string token with its escapes resolved.
std::string unescape(std::string_view text);
/// Of `names`, the one nearest to `wrong`; empty when none is near.
std::string nearest(std::string_view wrong, const std::vector<std::string>& names);

}  // namespace tessera::ir
