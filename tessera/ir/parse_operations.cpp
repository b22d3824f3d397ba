// The forms in which operations are written. Every form fills the same Operation; ir/parse_build.cpp makes nodes of it.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tessera/ir/parse.hpp"

namespace tessera::ir {

using Kind = TextAttribute::Kind;

/// "stablehlo.op"(%a, %b) <{properties}> ({region}, {region}) {attributes} : (T, U) -> V
void Parser::generic_form(Scope& scope, Operation& operation) {
  lexer_.expect("(", "before the operands");
  operand_list(scope, operation, ")");
  if (lexer_.is("<")) {
    lexer_.next();
    if (!lexer_.is("{")) lexer_.fail_expected("'{' after '<'");
    merge_dictionary(operation.fields);
    lexer_.expect(">", "after the properties");
  }
  if (lexer_.accept("(")) {
    const std::string& name = operation.name;
    const bool captures = name == "stablehlo.while" || name == "stablehlo.if" || name == "stablehlo.case";
    std::vector<Region> regions;
    if (!lexer_.is(")")) {
      do regions.push_back(region(scope, captures ? Outside::Captured : Outside::Constants));
      while (lexer_.accept(","));
    }
    lexer_.expect(")", "after the regions");
    close(scope, operation, std::move(regions));
  }
  type_suffix(operation);
}

/// Operands up to `close`, which is taken too.
void Parser::operand_list(Scope& scope, Operation& operation, std::string_view close) {
  if (lexer_.accept(close)) return;
  do operation.operands.push_back(use(scope, lexer_.expect(TokenKind::Value, "an operand")));
  while (lexer_.accept(","));
  lexer_.expect(close, "after the operands");
}

/// {attributes} : types
void Parser::type_suffix(Operation& operation) {
  if (lexer_.is("{")) merge_dictionary(operation.fields);
  lexer_.expect(":", fmt::format("before the types of {}", operation.name));
  operation.signature = signature();
}

void Parser::pretty_form(Scope& scope, Operation& operation) {
  const std::string& name = operation.name;
  if (name == "stablehlo.reduce") return reduce_form(scope, operation);
  if (name == "stablehlo.while") return while_form(scope, operation);
  if (name == "chlo.top_k") return top_k_form(scope, operation);
  if (name == "stablehlo.convolution") return convolution_form(scope, operation);
  if (name == "stablehlo.custom_call" || name == "func.call") return call_form(scope, operation);
  if (name == "stablehlo.composite") return composite_form(scope, operation);
  if (name.starts_with("check.")) return check_form(scope, operation);
  plain_form(scope, operation);
}

/// op %a, %b, option = value : types
void Parser::plain_form(Scope& scope, Operation& operation) {
  if (operation.name == "stablehlo.constant") {
    if (lexer_.is("{")) merge_dictionary(operation.fields);
    const std::size_t at = lexer_.token().at;
    TextAttribute value = attribute();
    if (value.kind != Kind::Tensor) lexer_.fail(at, "expected dense<...> : tensor<...>, the value of a constant");
    operation.signature.operands = {value.tensor->type()};
    operation.signature.at = at;
    operation.fields.set("value", std::move(value));
    return;
  }
  if (operation.name == "stablehlo.compare") {
    const Token direction =
        lexer_.expect(TokenKind::Word, "the direction of the comparison (EQ, NE, LT, LE, GT or GE)");
    operation.fields.set_text("comparison_direction", Kind::Word, std::string(direction.text), direction.at);
    lexer_.expect(",", "after the direction");
  }
  if (!lexer_.is(":") && !lexer_.is("{")) {
    do {
      if (lexer_.token().kind == TokenKind::Value)
        operation.operands.push_back(use(scope, lexer_.next()));
      else if (!option(operation))
        lexer_.fail_expected("an operand or an option");
    } while (lexer_.accept(","));
  }
  if (operation.name == "stablehlo.slice") slice_ranges(operation);
  type_suffix(operation);
}

/// One `name = value` of a pretty form, or the type of a comparison. False when there is none.
bool Parser::option(Operation& operation) {
  if (lexer_.token().kind != TokenKind::Word) return false;
  const Token word = lexer_.next();
  const std::string& name = operation.name;
  if (name == "stablehlo.compare") {
    operation.fields.set_text("compare_type", Kind::Word, std::string(word.text), word.at);
    return true;
  }
  lexer_.expect("=", fmt::format("after the option '{}'", word.text));
  const auto set = [&](const char* attribute_name, auto&& value) {
    operation.fields.set(attribute_name, std::forward<decltype(value)>(value), word.at);
  };
  if (word.text == "dims") {
    set(name == "stablehlo.transpose"          ? "permutation"
        : name == "stablehlo.broadcast_in_dim" ? "broadcast_dimensions"
                                               : "dimensions",
        integer_list());
  } else if (word.text == "dim") {
    set(name == "stablehlo.iota" ? "iota_dimension" : "dimension", integer());
  } else if (word.text == "sizes") {
    set("slice_sizes", integer_list());
  } else if (word.text == "low") {
    set("edge_padding_low", integer_list());
  } else if (word.text == "high") {
    set("edge_padding_high", integer_list());
  } else if (word.text == "interior") {
    set("interior_padding", integer_list());
  } else if (word.text == "format") {  // e5m10
    const Token format = lexer_.expect(TokenKind::Word, "a format like e5m10");
    const std::size_t m = format.text.find('m');
    std::int64_t exponent = 0;
    std::int64_t mantissa = 0;
    const auto number = [](std::string_view digits, std::int64_t& value) {
      return std::from_chars(digits.data(), digits.data() + digits.size(), value).ptr ==
                 digits.data() + digits.size() &&
             !digits.empty();
    };
    if (!format.text.starts_with("e") || m == std::string_view::npos ||
        !number(format.text.substr(1, m - 1), exponent) || !number(format.text.substr(m + 1), mantissa))
      lexer_.fail(format.at, fmt::format("expected a format like e5m10, found '{}'", format.text));
    set("exponent_bits", exponent);
    set("mantissa_bits", mantissa);
  } else if (word.text == "batching_dims" || word.text == "contracting_dims") {
    const std::string kind = word.text == "batching_dims" ? "batching" : "contracting";
    operation.fields.set("lhs_" + kind + "_dimensions", integer_list(), word.at);
    if (!lexer_.accept_word("x")) lexer_.fail_expected("'x' between the dimensions of the two operands");
    operation.fields.set("rhs_" + kind + "_dimensions", integer_list(), word.at);
  } else if (word.text == "precision" || word.text == "algorithm" || word.text == "tolerance" || word.text == "k") {
    operation.fields.set(std::string(word.text), attribute());
  } else {
    lexer_.fail(word.at, fmt::format("{} has no option '{}'", name, word.text));
  }
  return true;
}

/// [0:8, 0:7:2]
void Parser::slice_ranges(Operation& operation) {
  const Token open = lexer_.expect("[", "before the ranges of a slice");
  Integers start;
  Integers limit;
  Integers strides;
  if (!lexer_.accept("]")) {
    do {
      start.push_back(integer());
      lexer_.expect(":", "between start and limit");
      limit.push_back(integer());
      strides.push_back(lexer_.accept(":") ? integer() : 1);
    } while (lexer_.accept(","));
    lexer_.expect("]", "after the ranges of a slice");
  }
  operation.fields.set("start_indices", std::move(start), open.at);
  operation.fields.set("limit_indices", std::move(limit), open.at);
  operation.fields.set("strides", std::move(strides), open.at);
}

/// reduce(%a init: %c), (%b init: %d) [applies op] across dimensions = [1] : types [reducer(%x: T, %y: T) (...) {...}]
void Parser::reduce_form(Scope& scope, Operation& operation) {
  Values initial;
  do {
    lexer_.expect("(", "before an operand of reduce");
    operation.operands.push_back(use(scope, lexer_.expect(TokenKind::Value, "an operand")));
    if (!lexer_.accept_word("init")) lexer_.fail_expected("'init:' and the initial value");
    lexer_.expect(":", "after 'init'");
    initial.push_back(use(scope, lexer_.expect(TokenKind::Value, "the initial value")));
    lexer_.expect(")", "after the initial value");
  } while (lexer_.accept(","));
  const std::size_t inputs = initial.size();
  std::optional<Op> applied;
  if (lexer_.accept_word("applies")) {
    const Token name = lexer_.expect(TokenKind::Word, "the operation that combines two elements");
    applied = name.text.starts_with("stablehlo.") ? parse_op(name.text.substr(10)) : std::nullopt;
    if (!applied || family(*applied) != Family::Binary)
      lexer_.fail(name.at, fmt::format("'{}' is not an operation of two operands", name.text));
    if (inputs != 1) lexer_.fail(name.at, "'applies' is for one operand; write a reducer for several");
  }
  if (!lexer_.accept_word("across")) lexer_.fail_expected("'across dimensions = [...]'");
  if (!lexer_.accept_word("dimensions")) lexer_.fail_expected("'dimensions'");
  const Token equals = lexer_.expect("=", "after 'dimensions'");
  operation.fields.set("dimensions", integer_list(), equals.at);
  operation.operands.insert(operation.operands.end(), initial.begin(), initial.end());
  type_suffix(operation);
  if (applied) {
    const DType dtype = scope.graph.dtype(operation.operands[0]);
    auto body = std::make_shared<Graph>(std::string(ir::name(*applied)));
    const Value a = body->parameter({dtype, {}});
    const Value b = body->parameter({dtype, {}});
    try {
      body->results = {body->add1(*applied, {a, b})};
    } catch (const Error& error) {
      lexer_.fail(operation.at, error.what());
    }
    count_operations(*body, operation.at);
    operation.regions.push_back(std::move(body));
    return;
  }
  if (!lexer_.accept_word("reducer")) lexer_.fail_expected("'reducer' and its body");
  std::vector<std::pair<std::string, TensorType>> first;
  std::vector<std::pair<std::string, TensorType>> second;
  const auto parameter = [&](auto& list) {
    const Token name = lexer_.expect(TokenKind::Value, "a parameter of the reducer");
    lexer_.expect(":", "after a parameter");
    list.emplace_back(std::string(name.text), tensor_type());
    skip_location();
  };
  while (lexer_.accept("(")) {  // one pair for each operand
    parameter(first);
    lexer_.expect(",", "between the two parameters");
    parameter(second);
    lexer_.expect(")", "after the two parameters");
  }
  first.insert(first.end(), second.begin(), second.end());
  close(scope, operation, {region(scope, Outside::Constants, std::move(first))});
}

/// while(%a = %0, %b = %1) : T, U [attributes {...}] cond { ... } do { ... }
void Parser::while_form(Scope& scope, Operation& operation) {
  std::vector<std::pair<std::string, TensorType>> parameters;
  lexer_.expect("(", "before what the loop carries");
  if (!lexer_.is(")")) {
    do {
      const Token name = lexer_.expect(TokenKind::Value, "the name of a carried value");
      lexer_.expect("=", "after the name of a carried value");
      operation.operands.push_back(use(scope, lexer_.expect(TokenKind::Value, "its initial value")));
      parameters.emplace_back(std::string(name.text), scope.graph.type(operation.operands.back()));
    } while (lexer_.accept(","));
  }
  lexer_.expect(")", "after what the loop carries");
  if (!parameters.empty()) {
    lexer_.expect(":", "before the types of what the loop carries");
    operation.signature = signature();
    if (operation.signature.functional || operation.signature.operands.size() != parameters.size())
      lexer_.fail(operation.signature.at, "a loop has one type for each value that it carries");
  }
  if (lexer_.accept_word("attributes")) {
    if (!lexer_.is("{")) lexer_.fail_expected("'{' before the attributes of the loop");
    merge_dictionary(operation.fields);
  }
  if (!lexer_.accept_word("cond")) lexer_.fail_expected("'cond' and the condition of the loop");
  std::vector<Region> regions;
  regions.push_back(region(scope, Outside::Captured, parameters));
  if (!lexer_.accept_word("do")) lexer_.fail_expected("'do' and the body of the loop");
  regions.push_back(region(scope, Outside::Captured, std::move(parameters)));
  close(scope, operation, std::move(regions));
}

/// top_k(%x, k = 4) : T -> (T, U)
void Parser::top_k_form(Scope& scope, Operation& operation) {
  lexer_.expect("(", "before the operand");
  operation.operands.push_back(use(scope, lexer_.expect(TokenKind::Value, "the operand")));
  lexer_.expect(",", "after the operand");
  if (!option(operation)) lexer_.fail_expected("'k = ...'");
  lexer_.expect(")", "after k");
  type_suffix(operation);
}

/// convolution(%a, %b) dim_numbers = ..., window = {...} {attributes} : types
void Parser::convolution_form(Scope& scope, Operation& operation) {
  lexer_.expect("(", "before the operands");
  operand_list(scope, operation, ")");
  if (!lexer_.accept_word("dim_numbers")) lexer_.fail_expected("'dim_numbers'");
  lexer_.expect("=", "after 'dim_numbers'");
  operation.fields.set("dimension_numbers", convolution_dimensions());
  lexer_.expect(",", "after the dimension numbers");
  if (!lexer_.accept_word("window")) lexer_.fail_expected("'window'");
  lexer_.expect("=", "after 'window'");
  window_options(operation);
  type_suffix(operation);
}

/// {stride = [1, 1], pad = [[1, 1], [1, 1]], lhs_dilate = .., rhs_dilate = .., reverse = [..]}, each optional
void Parser::window_options(Operation& operation) {
  lexer_.expect("{", "before the window");
  if (lexer_.accept("}")) return;
  do {
    const Token word = lexer_.expect(TokenKind::Word, "an option of the window");
    lexer_.expect("=", "after the option's name");
    if (word.text == "pad") {
      Integers padding;
      lexer_.expect("[", "before the padding");
      if (!lexer_.is("]")) {
        do {
          const Integers pair = integer_list();
          if (pair.size() != 2) lexer_.fail(word.at, "padding is given as pairs: [low, high]");
          padding.insert(padding.end(), pair.begin(), pair.end());
        } while (lexer_.accept(","));
      }
      lexer_.expect("]", "after the padding");
      operation.fields.set("padding", std::move(padding), word.at);
      continue;
    }
    const char* attribute_name = word.text == "stride"       ? "window_strides"
                                 : word.text == "lhs_dilate" ? "lhs_dilation"
                                 : word.text == "rhs_dilate" ? "rhs_dilation"
                                 : word.text == "reverse"    ? "window_reversal"
                                                             : nullptr;
    if (attribute_name == nullptr)
      lexer_.fail(word.at,
                  fmt::format("a window has no option '{}': stride, pad, lhs_dilate, rhs_dilate, reverse", word.text));
    operation.fields.set(attribute_name, integer_list(), word.at);
  } while (lexer_.accept(","));
  lexer_.expect("}", "after the window");
}

/// call @f(%a) : types; custom_call @f(%a) {attributes} : types
void Parser::call_form(Scope& scope, Operation& operation) {
  const Token symbol = lexer_.expect(TokenKind::Symbol, "the name of what is called");
  operation.fields.set_text(operation.name == "func.call" ? "callee" : "call_target_name", Kind::Symbol,
                            unescape(symbol.text), symbol.at);
  lexer_.expect("(", "before the operands");
  operand_list(scope, operation, ")");
  type_suffix(operation);
}

/// composite "name" %a, %b {decomposition = @f} : types
void Parser::composite_form(Scope& scope, Operation& operation) {
  const Token name = lexer_.expect(TokenKind::String, "the name of the composite");
  operation.fields.set_text("name", Kind::String, unescape(name.text), name.at);
  if (lexer_.token().kind == TokenKind::Value) {
    do operation.operands.push_back(use(scope, lexer_.expect(TokenKind::Value, "an operand")));
    while (lexer_.accept(","));
  }
  type_suffix(operation);
}

/// check.expect_eq %a, %b : T; check.expect_almost_eq_const %a, dense<...> : T
void Parser::check_form(Scope& scope, Operation& operation) {
  bool constant = false;
  do {
    if (lexer_.token().kind == TokenKind::Value) {
      operation.operands.push_back(use(scope, lexer_.next()));
    } else if (lexer_.is_word("dense")) {
      operation.fields.set("value", dense());
      constant = true;
    } else if (!option(operation)) {
      lexer_.fail_expected("a value, dense<...> or an option");
    }
  } while (lexer_.accept(","));
  if (lexer_.is("{")) merge_dictionary(operation.fields);
  if (!constant || lexer_.is(":")) {
    lexer_.expect(":", "before the types of the check");
    operation.signature = signature();
  }
}

}  // namespace tessera::ir
