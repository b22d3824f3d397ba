// Types, attributes and dense constants of StableHLO text. Sizes are checked against the length of the text before
// memory is taken.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "tessera/ir/parse.hpp"

namespace tessera::ir {
namespace {

using Kind = TextAttribute::Kind;

constexpr std::size_t kMaxRank = 32;
constexpr int kMaxNesting = 64;
/// Constants written as one value for all elements cost no text, so their memory is limited for a whole module.
constexpr std::int64_t kMaxSplatBytes = std::int64_t{1} << 30;

TextAttribute make(Kind kind, std::size_t at) {
  TextAttribute attribute;
  attribute.kind = kind;
  attribute.at = at;
  return attribute;
}

/// Element types that MLIR has and Tessera only recognises.
bool is_foreign_element(std::string_view name) {
  return name.starts_with("f8") || name.starts_with("f6") || name.starts_with("f4") || name.starts_with("!quant") ||
         name == "index" || name == "tf32" || name == "f80" || name == "f128" || name == "token" ||
         (name.starts_with("i") && name.size() <= 4 &&
          std::all_of(name.begin() + 1, name.end(), [](char c) { return c >= '0' && c <= '9'; }));
}

std::vector<std::string> element_names() {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(DType::F64); ++i) names.emplace_back(tessera::name(static_cast<DType>(i)));
  return names;
}

bool parse_magnitude(std::string_view text, bool& negative, bool& hex, std::uint64_t& value) {
  negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  return error == std::errc() && end == text.data() + text.size();
}

/// Decimal to the nearest T; underflow gives zero. False when it is too large.
template <class T>
bool parse_decimal(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc()) return true;
  if (error != std::errc::result_out_of_range) return false;
  // Out of range says neither which way nor gives the subnormal; the exponent's sign does.
  const bool small = text.find("e-") != std::string_view::npos || text.find("E-") != std::string_view::npos ||
                     text.starts_with("0.") || text.starts_with("-0.");
  value = text.starts_with('-') ? T(-0.0) : T(0);
  return small;
}

}  // namespace

const TextAttribute* TextAttribute::find(std::string_view name) const {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return &items[i];
  return nullptr;
}

void TextAttribute::set(std::string name, TextAttribute value) {
  kind = Kind::Fields;
  names.push_back(std::move(name));
  items.push_back(std::move(value));
}

void TextAttribute::set(std::string name, Integers value, std::size_t position) {
  TextAttribute list = make(Kind::Integers, position);
  list.integers = std::move(value);
  set(std::move(name), std::move(list));
}

void TextAttribute::set(std::string name, std::int64_t value, std::size_t position) {
  TextAttribute number = make(Kind::Integer, position);
  number.integer = value;
  set(std::move(name), std::move(number));
}

void TextAttribute::set_text(std::string name, Kind text_kind, std::string value, std::size_t position) {
  TextAttribute text_attribute = make(text_kind, position);
  text_attribute.text = std::move(value);
  set(std::move(name), std::move(text_attribute));
}

// Types.

TensorType Parser::tensor_type(bool or_index) {
  const std::size_t start = lexer_.token().at;
  if (!lexer_.is_word("tensor")) {
    if (lexer_.token().kind == TokenKind::Word) {
      const std::string_view word = lexer_.token().text;
      if (word == "tuple" || word.starts_with("!") || word == "memref" || word == "vector" || parse_dtype(word))
        lexer_.fail(start,
                    fmt::format("the type '{}' is not supported: values are ranked tensors, like tensor<4xf32>", word),
                    ErrorKind::Unsupported);
    }
    lexer_.fail_expected("a tensor type");
  }
  const std::string_view text = lexer_.text();
  std::size_t i = lexer_.token().end;
  const auto at = [&](std::size_t k) { return k < text.size() ? text[k] : '\0'; };
  if (at(i) != '<') lexer_.fail(i, "expected '<' after 'tensor'");
  ++i;
  TensorType type;
  while (true) {
    if (at(i) == '?' || at(i) == '*')
      lexer_.fail(
          i,
          fmt::format("the extent '{}' is not supported: shapes are static here, so export with concrete shapes",
                      at(i)),
          ErrorKind::Unsupported);
    if (at(i) < '0' || at(i) > '9') break;
    std::int64_t extent = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), extent);
    if (error != std::errc()) lexer_.fail(i, "this extent does not fit 64 bits");
    const auto behind = static_cast<std::size_t>(end - text.data());
    if (at(behind) != 'x') lexer_.fail(behind, "expected 'x' after an extent, as in tensor<4x3xf32>");
    if (type.shape.size() == kMaxRank)
      lexer_.fail(i, fmt::format("a tensor has at most {} dimensions", kMaxRank), ErrorKind::Unsupported);
    type.shape.push_back(extent);
    i = behind + 1;
  }
  std::size_t end = i;
  while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_' ||
                               text[end] == '!' || text[end] == '.'))
    ++end;
  if (text.substr(i, end - i) == "complex") end = std::min(text.find('>', end), text.size() - 1) + 1;
  const std::string_view element = text.substr(i, end - i);
  const auto dtype = or_index && element == "index" ? DType::I64 : parse_dtype(element);
  if ((!dtype && is_foreign_element(element)) || (dtype && !is_supported(*dtype)) || element.starts_with("complex"))
    lexer_.fail(i, fmt::format("elements of type {} are not supported yet", element), ErrorKind::Unsupported);
  if (!dtype) {
    const std::string near = nearest(element, element_names());
    lexer_.fail(i, fmt::format("expected an element type, found '{}'{}", element.substr(0, 40),
                               near.empty() ? "" : "; did you mean " + near + "?"));
  }
  type.dtype = *dtype;
  lexer_.seek(end);
  if (lexer_.is(",")) lexer_.fail_expected("'>' (encodings of tensor types are not supported)");
  lexer_.expect(">", "after the element type");
  try {
    byte_size(type);
  } catch (const Error& error) {
    lexer_.fail(start, error.what());
  }
  return type;
}

/// T or (T, U).
std::vector<TensorType> Parser::type_list() {
  std::vector<TensorType> types;
  if (!lexer_.accept("(")) {
    types.push_back(tensor_type());
    return types;
  }
  if (lexer_.accept(")")) return types;
  do types.push_back(tensor_type());
  while (lexer_.accept(","));
  lexer_.expect(")", "after the types");
  return types;
}

Parser::Signature Parser::signature() {
  Signature types;
  types.at = lexer_.token().at;
  if (lexer_.is("(")) {
    types.operands = type_list();
    lexer_.expect("->", "between the types of operands and results");
    types.results = type_list();
    types.functional = true;
    return types;
  }
  do types.operands.push_back(tensor_type());
  while (lexer_.accept(","));
  if (lexer_.accept("->")) {  // chlo writes T -> U
    types.results = type_list();
    types.functional = true;
  }
  return types;
}

/// Any type, for attributes that carry one.
void Parser::skip_type() {
  if (lexer_.is("(")) {
    lexer_.skip_balanced();
    lexer_.expect("->", "in a function type");
    skip_type();
    return;
  }
  lexer_.expect(TokenKind::Word, "a type");
  if (lexer_.is("<")) {  // tensor<4x3xf32> is not made of tokens; its brackets are
    const std::string_view text = lexer_.text();
    std::size_t i = lexer_.token().at;
    int depth = 0;
    do {
      if (i >= text.size()) lexer_.fail(lexer_.token().at, "this bracket is never closed");
      depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
      ++i;
    } while (depth > 0);
    lexer_.seek(i);
  }
}

// Attributes.

std::int64_t Parser::integer() {
  const Token token = lexer_.expect(TokenKind::Integer, "an integer");
  bool negative = false;
  bool hex = false;
  std::uint64_t magnitude = 0;
  const std::uint64_t limit = std::uint64_t{1} << 63;
  if (!parse_magnitude(token.text, negative, hex, magnitude) || magnitude > limit || (magnitude == limit && !negative))
    lexer_.fail(token.at, fmt::format("the integer {} does not fit 64 bits", token.text.substr(0, 40)));
  return negative ? static_cast<std::int64_t>(~magnitude + 1) : static_cast<std::int64_t>(magnitude);
}

/// [1, 2, true]
Integers Parser::integer_list() {
  Integers list;
  lexer_.expect("[", "before a list of integers");
  if (lexer_.accept("]")) return list;
  do {
    if (lexer_.accept_word("true"))
      list.push_back(1);
    else if (lexer_.accept_word("false"))
      list.push_back(0);
    else
      list.push_back(integer());
  } while (lexer_.accept(","));
  lexer_.expect("]", "after a list of integers");
  return list;
}

TextAttribute Parser::dictionary(std::string_view close, int depth) {
  TextAttribute fields = make(Kind::Fields, lexer_.token().at);
  lexer_.next();  // the opening bracket
  if (lexer_.accept(close)) return fields;
  do {
    const Token name = lexer_.token();
    if (name.kind != TokenKind::Word && name.kind != TokenKind::String)
      lexer_.fail_expected("the name of an attribute");
    lexer_.next();
    std::string key = name.kind == TokenKind::String ? unescape(name.text) : std::string(name.text);
    if (fields.find(key) != nullptr) lexer_.fail(name.at, fmt::format("the attribute '{}' is given twice", key));
    fields.set(std::move(key), lexer_.accept("=") ? attribute(depth + 1) : make(Kind::Unit, name.at));
  } while (lexer_.accept(","));
  lexer_.expect(close, "after the attributes");
  return fields;
}

void Parser::merge_dictionary(TextAttribute& fields) {
  TextAttribute more = dictionary();
  for (std::size_t i = 0; i < more.names.size(); ++i) {
    if (fields.find(more.names[i]) != nullptr)
      lexer_.fail(more.items[i].at, fmt::format("the attribute '{}' is given twice", more.names[i]));
    fields.set(std::move(more.names[i]), std::move(more.items[i]));
  }
}

TextAttribute Parser::typed_number() {
  const Token token = lexer_.token();
  if (token.kind == TokenKind::Real) {
    lexer_.next();
    TextAttribute number = make(Kind::Real, token.at);
    if (!parse_decimal(token.text, number.real))
      lexer_.fail(token.at, fmt::format("the number {} does not fit f64", token.text.substr(0, 40)));
    if (lexer_.accept(":")) skip_type();
    return number;
  }
  TextAttribute number = make(Kind::Integer, token.at);
  bool negative = false;
  bool hex = false;
  std::uint64_t magnitude = 0;
  if (parse_magnitude(token.text, negative, hex, magnitude) && hex) {  // possibly the bits of a float
    lexer_.next();
    number.integer = static_cast<std::int64_t>(negative ? ~magnitude + 1 : magnitude);
  } else {
    number.integer = integer();
  }
  if (lexer_.accept(":")) {
    const bool is_double = lexer_.is_word("f64");
    const bool is_float = lexer_.is_word("f32");
    if (is_double || is_float) {
      number.kind = Kind::Real;
      number.real = !hex        ? static_cast<double>(number.integer)
                    : is_double ? std::bit_cast<double>(magnitude)
                                : static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(magnitude)));
    }
    skip_type();
  }
  return number;
}

/// array<i64: 1, 2>
TextAttribute Parser::array_attribute() {
  TextAttribute list = make(Kind::Integers, lexer_.next().at);
  lexer_.expect("<", "after 'array'");
  const Token element = lexer_.expect(TokenKind::Word, "an element type");
  if (lexer_.accept(">")) return list;
  lexer_.expect(":", "after the element type");
  if (element.text.starts_with("f") || element.text == "bf16") {
    while (lexer_.token().kind == TokenKind::Real || lexer_.token().kind == TokenKind::Integer || lexer_.is(","))
      lexer_.next();
    list.kind = Kind::Other;
  } else {
    do {
      if (lexer_.accept_word("true"))
        list.integers.push_back(1);
      else if (lexer_.accept_word("false"))
        list.integers.push_back(0);
      else
        list.integers.push_back(integer());
    } while (lexer_.accept(","));
  }
  lexer_.expect(">", "after the array");
  return list;
}

TextAttribute Parser::attribute(int depth) {
  const Token token = lexer_.token();
  if (depth > kMaxNesting) lexer_.fail(token.at, fmt::format("attributes nest deeper than {}", kMaxNesting));
  switch (token.kind) {
    case TokenKind::Integer:
    case TokenKind::Real: return typed_number();
    case TokenKind::String: {
      lexer_.next();
      TextAttribute text = make(Kind::String, token.at);
      text.text = unescape(token.text);
      if (lexer_.accept(":")) skip_type();
      return text;
    }
    case TokenKind::Symbol: {
      lexer_.next();
      TextAttribute symbol = make(Kind::Symbol, token.at);
      symbol.text = unescape(token.text);
      while (lexer_.is(":")) {  // @a::@b
        lexer_.next();
        lexer_.expect(":", "inside a nested symbol");
        symbol.text = unescape(lexer_.expect(TokenKind::Symbol, "a symbol").text);
      }
      return symbol;
    }
    case TokenKind::Hash: lexer_.next(); return structured_attribute(token, depth);
    case TokenKind::Sign:
      if (lexer_.is("{")) return dictionary("}", depth);
      if (lexer_.is("<")) {  // an elided kind: precision = <lhs_precision_type = bf16>
        lexer_.skip_balanced();
        return make(Kind::Other, token.at);
      }
      if (lexer_.is("(")) {
        skip_type();
        return make(Kind::Other, token.at);
      }
      if (lexer_.accept("[")) {
        TextAttribute list = make(Kind::List, token.at);
        if (lexer_.accept("]")) return list;
        do list.items.push_back(attribute(depth + 1));
        while (lexer_.accept(","));
        lexer_.expect("]", "after the list");
        return list;
      }
      break;
    case TokenKind::Word: {
      if (token.text == "dense") return dense();
      if (token.text == "array") return array_attribute();
      if (token.text == "dense_resource" || token.text == "sparse")
        lexer_.fail(token.at, fmt::format("constants of the form {}<...> are not supported", token.text),
                    ErrorKind::Unsupported);
      if (token.text == "true" || token.text == "false") {
        lexer_.next();
        TextAttribute flag = make(Kind::Boolean, token.at);
        flag.integer = token.text == "true" ? 1 : 0;
        return flag;
      }
      if (token.text == "unit") {
        lexer_.next();
        return make(Kind::Unit, token.at);
      }
      if (token.text == "loc") {
        skip_location();
        return make(Kind::Other, token.at);
      }
      const std::string word(token.text);
      if (parse_dtype(word) || word == "tensor" || word == "none" || word == "index" || word == "tuple" ||
          word.starts_with("!")) {
        skip_type();
        return make(Kind::Other, token.at);
      }
      lexer_.next();
      TextAttribute named = make(Kind::Word, token.at);
      named.text = word;
      return named;
    }
    default: break;
  }
  lexer_.fail_expected("an attribute's value");
}

/// What follows #stablehlo, #stablehlo.gather and the like. Attributes of other dialects are skipped.
TextAttribute Parser::structured_attribute(const Token& hash, int depth) {
  if (!lexer_.is("<")) return make(Kind::Other, hash.at);
  if (hash.text == "stablehlo" || hash.text == "chlo") {  // #stablehlo<comparison_direction LT>
    lexer_.next();
    lexer_.expect(TokenKind::Word, "the kind of the attribute");
    TextAttribute word = make(Kind::Word, hash.at);
    if (lexer_.token().kind != TokenKind::Word) lexer_.fail_expected("a value's name");
    word.text = std::string(lexer_.next().text);
    lexer_.expect(">", "after the value's name");
    return word;
  }
  if (hash.text == "stablehlo.conv") {
    lexer_.next();
    TextAttribute dimensions = convolution_dimensions();
    lexer_.expect(">", "after the dimension numbers");
    return dimensions;
  }
  if (hash.text == "stablehlo.gather" || hash.text == "stablehlo.scatter" || hash.text == "stablehlo.dot")
    return dictionary(">", depth);
  lexer_.skip_balanced();
  return make(Kind::Other, hash.at);
}

/// [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]
TextAttribute Parser::convolution_dimensions() {
  TextAttribute fields = make(Kind::Fields, lexer_.token().at);
  const auto part = [&](const char* prefix, std::string_view first, const char* first_name, std::string_view second,
                        const char* second_name) {
    const Token open = lexer_.expect("[", "before dimension numbers");
    std::vector<std::pair<std::int64_t, std::int64_t>> spatial;  // number, position
    std::int64_t position = 0;
    std::int64_t first_at = -1;
    std::int64_t second_at = -1;
    do {
      const Token token = lexer_.token();
      if (position == static_cast<std::int64_t>(kMaxRank)) lexer_.fail(token.at, "too many dimensions");
      if (lexer_.accept_word(first))
        first_at = position;
      else if (lexer_.accept_word(second))
        second_at = position;
      else if (token.kind == TokenKind::Integer)
        spatial.emplace_back(integer(), position);
      else
        lexer_.fail_expected(fmt::format("'{}', '{}' or the number of a spatial dimension", first, second));
      ++position;
    } while (lexer_.accept(","));
    lexer_.expect("]", "after dimension numbers");
    std::sort(spatial.begin(), spatial.end());
    Integers list;
    for (const auto& [number, at] : spatial) {
      if (number != static_cast<std::int64_t>(list.size()))
        lexer_.fail(open.at, "the spatial dimensions are to be numbered 0, 1, 2, ...");
      list.push_back(at);
    }
    if (first_at < 0 || second_at < 0)
      lexer_.fail(open.at, fmt::format("the dimension numbers lack '{}' or '{}'", first, second));
    fields.set(std::string(prefix) + first_name, first_at, open.at);
    fields.set(std::string(prefix) + second_name, second_at, open.at);
    fields.set(std::string(prefix) + "spatial_dimensions", std::move(list), open.at);
  };
  part("input_", "b", "batch_dimension", "f", "feature_dimension");
  if (!lexer_.accept_word("x")) lexer_.fail_expected("'x' between the dimension numbers of input and kernel");
  part("kernel_", "i", "input_feature_dimension", "o", "output_feature_dimension");
  lexer_.expect("->", "before the dimension numbers of the result");
  part("output_", "b", "batch_dimension", "f", "feature_dimension");
  return fields;
}

// Dense constants.

TextAttribute Parser::dense() {
  TextAttribute tensor = make(Kind::Tensor, lexer_.next().at);
  if (!lexer_.is("<")) lexer_.fail_expected("'<' after 'dense'");
  const std::size_t begin = lexer_.token().end;
  lexer_.skip_balanced();
  lexer_.expect(":", "between the values and their type");
  const TensorType type = tensor_type(true);  // layouts are written in index
  const std::size_t behind = lexer_.token().at;
  tensor.tensor = dense_values(begin, behind, type);
  lexer_.seek(behind);
  return tensor;
}

Literal Parser::dense_values(std::size_t begin, std::size_t end, const TensorType& type) {
  lexer_.seek(begin);
  const std::int64_t count = element_count(type.shape);
  if (lexer_.is(">")) {
    if (count != 0) lexer_.fail(begin, fmt::format("dense<> has no values; {} has {}", type_text(type), count));
    return Literal(type);
  }
  if (lexer_.token().kind == TokenKind::String || lexer_.is("[")) {
    // Every element takes at least one character of text.
    if (count > static_cast<std::int64_t>(end - begin))
      lexer_.fail(begin, fmt::format("{} has {} elements, more than are written here", type_text(type), count));
    Literal literal(type);
    if (lexer_.token().kind == TokenKind::String) {
      dense_bytes(literal);
    } else {
      std::int64_t next = 0;
      dense_nested(literal, 0, next);
    }
    lexer_.expect(">", "after the values");
    return literal;
  }
  splat_bytes_ += static_cast<std::int64_t>(std::min<std::size_t>(byte_size(type), kMaxSplatBytes + 1));
  if (splat_bytes_ > kMaxSplatBytes)
    lexer_.fail(begin,
                "constants of one repeated value take more than 1 GiB in this module; write scalars and "
                "broadcast_in_dim instead",
                ErrorKind::Unsupported);
  Literal scalar(TensorType{type.dtype, {}});
  dense_element(scalar, 0);
  lexer_.expect(">", "after the value");
  if (type.shape.empty()) return scalar;
  Literal literal(type);
  const std::size_t item = size_of(type.dtype);
  for (std::size_t i = 0; i < literal.bytes(); i += item) std::memcpy(literal.data() + i, scalar.data(), item);
  return literal;
}

void Parser::dense_nested(Literal& literal, std::size_t dimension, std::int64_t& next) {
  const Shape& shape = literal.shape();
  if (dimension == shape.size()) {
    if (lexer_.is("[")) lexer_.fail_expected(fmt::format("a number: the type has {} dimensions", shape.size()));
    dense_element(literal, next++);
    return;
  }
  const Token open =
      lexer_.expect("[", fmt::format("around the {} values along dimension {}", shape[dimension], dimension));
  std::int64_t count = 0;
  if (!lexer_.is("]")) {
    do {
      if (count++ == shape[dimension])
        lexer_.fail(open.at, fmt::format("more than {} values along dimension {} of {}", shape[dimension], dimension,
                                         type_text(literal.type())));
      dense_nested(literal, dimension + 1, next);
    } while (lexer_.accept(","));
  }
  if (count != shape[dimension])
    lexer_.fail(open.at, fmt::format("{} values along dimension {}; {} has {}", count, dimension,
                                     type_text(literal.type()), shape[dimension]));
  lexer_.expect("]", "after the values");
}

void Parser::dense_element(Literal& literal, std::int64_t index) {
  const Token token = lexer_.token();
  const auto wrong = [&](std::string_view what) {
    lexer_.fail(token.at, fmt::format("{} {} an element of type {}", token.text.substr(0, 40), what,
                                      tessera::name(literal.dtype())));
  };
  const bool is_word = token.kind == TokenKind::Word && (token.text == "true" || token.text == "false");
  if (token.kind != TokenKind::Integer && token.kind != TokenKind::Real && !is_word)
    lexer_.fail_expected(fmt::format("a value of type {}", tessera::name(literal.dtype())));
  bool negative = false;
  bool hex = false;
  std::uint64_t magnitude = 0;
  const bool is_integer_token = token.kind == TokenKind::Integer;
  const bool fits = is_integer_token && parse_magnitude(token.text, negative, hex, magnitude);
  dispatch(literal.dtype(), [&]<class T>(std::type_identity<T>) {
    T& element = literal.as<T>()[static_cast<std::size_t>(index)];
    if constexpr (std::is_same_v<T, bool>) {
      if (!is_word && !(fits && !negative && magnitude <= 1)) wrong("is not");
      element = is_word ? token.text == "true" : magnitude == 1;
    } else if constexpr (std::is_integral_v<T>) {
      if (!is_integer_token) wrong("is not");
      using U = std::make_unsigned_t<T>;
      // Signless integers may be written as signed or as unsigned numbers, as in MLIR.
      const std::uint64_t limit = negative ? (std::is_signed_v<T> ? std::uint64_t{1} << (8 * sizeof(T) - 1) : 0)
                                           : std::numeric_limits<U>::max();
      if (!fits || magnitude > limit) wrong("does not fit");
      element = static_cast<T>(static_cast<U>(negative ? ~magnitude + 1 : magnitude));
    } else {
      if (is_word) wrong("is not");
      if (is_integer_token && (token.text.find('x') != std::string_view::npos ||
                               token.text.find('X') != std::string_view::npos)) {  // the bits
        if (!fits || negative || (magnitude >> (8 * sizeof(T) - 1)) > 1) wrong("does not fit");
        std::memcpy(literal.data() + static_cast<std::size_t>(index) * sizeof(T), &magnitude, sizeof(T));
      } else if constexpr (sizeof(T) == 2) {
        float value = 0;
        if (!parse_decimal(token.text, value)) wrong("does not fit");
        element = T(value);
      } else if (!parse_decimal(token.text, element)) {
        wrong("does not fit");
      }
    }
  });
  lexer_.next();
}

/// "0x...": the bytes in memory, or those of one element for all.
void Parser::dense_bytes(Literal& literal) {
  const Token token = lexer_.next();
  const std::string_view digits = token.text;
  if (!digits.starts_with("0x") && !digits.starts_with("0X"))
    lexer_.fail(token.at, "expected \"0x...\", the bytes of the values");
  const std::size_t bytes = (digits.size() - 2) / 2;
  const std::size_t item = size_of(literal.dtype());
  const bool splat = bytes == item;
  if (digits.size() % 2 != 0 || (bytes != literal.bytes() && !splat))
    lexer_.fail(token.at, fmt::format("{} takes {} bytes, {} are written here", type_text(literal.type()),
                                      literal.bytes(), bytes));
  const auto digit = [&](std::size_t i) -> unsigned {
    const char c = digits[i];
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
    lexer_.fail(token.at + 1 + i, fmt::format("'{}' is not a hexadecimal digit", c));
  };
  for (std::size_t i = 0; i < literal.bytes(); ++i) {
    const std::size_t from = 2 + 2 * (splat ? i % item : i);
    unsigned byte = digit(from) * 16 + digit(from + 1);
    if (literal.dtype() == DType::Bool) byte = byte != 0 ? 1 : 0;
    literal.data()[i] = static_cast<std::byte>(byte);
  }
}

}  // namespace tessera::ir
