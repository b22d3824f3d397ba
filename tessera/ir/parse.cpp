// Reads StableHLO text, the form that JAX emits and that ir/print.cpp writes, into graphs.
// In: hostile text. Out: a Module, or an Error with line and column. Functions are found first and read when a call
// needs them, so callees may come later; call chains, nesting and the size of the expanded program are limited.
// Read next: ir/parse_operations.cpp.
#include "tessera/ir/parse.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "tessera/ir/control.hpp"

namespace tessera::ir {
namespace {

constexpr int kMaxDepth = 100;  // of calls and regions
constexpr std::int64_t kMaxOperations = 1'000'000;
constexpr std::int64_t kMaxResults = 1 << 16;

}  // namespace

const Function& Module::function(std::string_view function_name) const {
  std::vector<std::string> names;
  for (const Function& f : functions) {
    if (f.name == function_name) return f;
    names.push_back(f.name);
  }
  const std::string near = nearest(function_name, names);
  throw Error(fmt::format("the module has no function @{}{}; it has {}", function_name,
                          near.empty() ? "" : ", did you mean @" + near + "?",
                          names.empty() ? "none" : "@" + fmt::format("{}", fmt::join(names, ", @"))));
}

Module parse(std::string_view text, const std::string& file_name) { return Parser(text, file_name).module(); }

Module Parser::module() {
  module_items(false);
  if (functions_.empty()) lexer_.fail_expected("a function: func.func @main(...)");
  for (const FunctionText& f : functions_) function_graph(f.name, f.at);
  for (FunctionText& f : functions_) {
    if (f.name == "main" && !module_.name.empty()) f.graph->name = module_.name;
    module_.functions.push_back({f.name, f.graph, f.is_public, f.aliased_result});
  }
  return std::move(module_);
}

/// What stands at the top, or inside the braces of a module.
void Parser::module_items(bool braced) {
  while (true) {
    const Token token = lexer_.token();
    if (token.kind == TokenKind::End) {
      if (braced) lexer_.fail_expected("'}' at the end of the module");
      return;
    }
    if (braced && lexer_.accept("}")) return;
    if (token.kind == TokenKind::Hash) {  // #loc1 = loc(...)
      lexer_.next();
      lexer_.expect("=", "after the name of an alias");
      attribute();
    } else if (lexer_.is_word("loc")) {
      skip_location();
    } else if (!braced && (lexer_.is_word("module") || lexer_.is_word("builtin.module"))) {
      if (!module_.name.empty() || !functions_.empty()) lexer_.fail(token.at, "one module is expected");
      lexer_.next();
      if (lexer_.token().kind == TokenKind::Symbol) module_.name = unescape(lexer_.next().text);
      if (lexer_.accept_word("attributes")) {
        if (!lexer_.is("{")) lexer_.fail_expected("'{' before the attributes of the module");
        dictionary();
      }
      lexer_.expect("{", "before the functions of the module");
      module_items(true);
    } else if (lexer_.is_word("func.func") || lexer_.is_word("func")) {
      function_header();
    } else if (lexer_.is_word("sdy.mesh")) {  // a mesh has no effect on one device
      lexer_.next();
      lexer_.expect(TokenKind::Symbol, "the name of the mesh");
      lexer_.expect("=", "after the name of the mesh");
      if (!lexer_.is("<")) lexer_.fail_expected("'<' before the mesh");
      lexer_.skip_balanced();
      if (lexer_.is("{")) lexer_.skip_balanced();
      skip_location();
    } else {
      lexer_.fail_expected(braced ? "a function: func.func" : "a module or a function: module, func.func");
    }
  }
}

/// func.func public @main(%a: T {...}) -> (T {...}) attributes {...} { ... }: all but the body, which is found.
void Parser::function_header() {
  FunctionText function;
  function.at = lexer_.next().at;
  if (lexer_.accept_word("private") || lexer_.accept_word("nested"))
    function.is_public = false;
  else
    lexer_.accept_word("public");
  const Token name = lexer_.expect(TokenKind::Symbol, "the name of the function");
  function.name = unescape(name.text);
  function_arguments(function);
  if (lexer_.accept("->")) function_results(function);
  if (lexer_.accept_word("attributes")) {
    if (!lexer_.is("{")) lexer_.fail_expected("'{' before the attributes of the function");
    dictionary();
  }
  if (!lexer_.is("{")) lexer_.fail_expected(fmt::format("the body of @{}", function.name));
  function.body = lexer_.token().end;
  lexer_.skip_balanced();
  skip_location();
  if (!by_name_.emplace(function.name, functions_.size()).second)
    lexer_.fail(name.at, fmt::format("the function @{} is defined twice", function.name));
  functions_.push_back(std::move(function));
}

void Parser::function_arguments(FunctionText& function) {
  lexer_.expect("(", "before the arguments of the function");
  if (lexer_.accept(")")) return;
  do {
    if (lexer_.token().kind != TokenKind::Value)
      lexer_.fail_expected(fmt::format("an argument of @{}, as %arg0: tensor<4xf32>", function.name));
    const Token name = lexer_.next();
    lexer_.expect(":", "between an argument and its type");
    function.parameters.emplace_back(std::string(name.text), tensor_type());
    std::int64_t aliased = -1;
    if (lexer_.is("{")) {
      const TextAttribute attributes = dictionary();
      if (const TextAttribute* found = attributes.find("tf.aliasing_output");
          found != nullptr && found->kind == TextAttribute::Kind::Integer)
        aliased = found->integer;
    }
    function.aliased_result.push_back(aliased);
    skip_location();
  } while (lexer_.accept(","));
  lexer_.expect(")", "after the arguments");
}

void Parser::function_results(FunctionText& function) {
  if (!lexer_.accept("(")) {
    function.results.push_back(tensor_type());
    return;
  }
  if (lexer_.accept(")")) return;
  do {
    function.results.push_back(tensor_type());
    if (lexer_.is("{")) dictionary();
  } while (lexer_.accept(","));
  lexer_.expect(")", "after the types of the results");
}

/// The graph of a function, read now if it was not yet.
GraphPtr Parser::function_graph(const std::string& name, std::size_t asked_at) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    std::vector<std::string> names;
    for (const FunctionText& f : functions_) names.push_back(f.name);
    const std::string near = nearest(name, names);
    lexer_.fail(asked_at,
                fmt::format("there is no function @{}{}", name, near.empty() ? "" : "; did you mean @" + near + "?"));
  }
  FunctionText& function = functions_[found->second];
  if (function.state == State::Done) return function.graph;
  if (function.state == State::Open)
    lexer_.fail(asked_at, fmt::format("@{} calls itself; recursion is not supported", name), ErrorKind::Unsupported);
  if (++depth_ > kMaxDepth)
    lexer_.fail(asked_at, fmt::format("calls and regions nest deeper than {}", kMaxDepth), ErrorKind::Unsupported);
  function.state = State::Open;
  function.graph = std::make_shared<Graph>(name);
  const std::size_t back = lexer_.token().at;
  lexer_.seek(function.body);
  Scope scope{*function.graph};
  for (const auto& [parameter, type] : function.parameters)
    define(scope, parameter, {function.graph->parameter(type)}, function.at);
  body(scope);
  if (function.graph->result_types() != function.results)
    lexer_.fail(function.at, fmt::format("@{} returns values of other types than it declares", name));
  lexer_.expect("}", "after the return");
  lexer_.seek(back);
  count_operations(*function.graph, function.at);
  function.state = State::Done;
  --depth_;
  return function.graph;
}

/// Shared bodies let a short text stand for a program that never ends; its expanded size is limited.
void Parser::count_operations(const Graph& graph, std::size_t at) {
  auto total = static_cast<std::int64_t>(graph.nodes.size());
  for (const Node& node : graph.nodes)
    for (const GraphPtr& region : node.regions) total += operation_counts_.at(region.get());
  if (total > kMaxOperations)
    lexer_.fail(at,
                fmt::format("with its calls written out, this function has more than {} operations", kMaxOperations),
                ErrorKind::Unsupported);
  operation_counts_[&graph] = total;
}

void Parser::define(Scope& scope, const std::string& name, Values values, std::size_t at) {
  if (name.find('#') != std::string::npos)
    lexer_.fail(at, fmt::format("'%{}' cannot be defined: '#' selects a result", name));
  if (!scope.values.emplace(name, std::move(values)).second) lexer_.fail(at, fmt::format("%{} is defined twice", name));
}

std::optional<Value> Parser::find(Scope& scope, const Token& token) {
  std::string_view name = token.text;
  std::size_t index = 0;
  const std::size_t hash = name.find('#');
  if (hash != std::string_view::npos) {
    const auto [end, error] = std::from_chars(name.data() + hash + 1, name.data() + name.size(), index);
    if (error != std::errc()) lexer_.fail(token.at, "the number of a result does not fit");
    name = name.substr(0, hash);
  }
  if (const auto found = scope.values.find(std::string(name)); found != scope.values.end()) {
    if (index >= found->second.size())
      lexer_.fail(token.at,
                  fmt::format("%{} has {} results, number {} is asked for", name, found->second.size(), index));
    if (hash == std::string_view::npos && found->second.size() != 1)
      lexer_.fail(token.at, fmt::format("%{} has {} results: write %{}#0", name, found->second.size(), name));
    return found->second[index];
  }
  if (scope.outer == nullptr) return std::nullopt;
  const std::optional<Value> outer = find(*scope.outer, token);
  return outer ? std::optional(from_outside(scope, *outer, token)) : std::nullopt;
}

/// What stands for an outer value in a region.
Value Parser::from_outside(Scope& scope, Value outer, const Token& token) {
  if (const auto known = scope.inner.find(outer); known != scope.inner.end()) return known->second;
  const Graph& around = scope.outer->graph;
  Value made = kZero;
  if (scope.outside == Outside::Captured) {
    made = scope.graph.parameter(around.type(outer));
    scope.captures.push_back(outer);
  } else if (const Node* node = around.producer(outer); node != nullptr && node->op == Op::Constant) {
    const Node copy = *node;
    made = scope.graph.append(copy, {}, around.types(copy.results))[0];
  } else {
    lexer_.fail(token.at,
                fmt::format("%{} comes from outside this region; here only constants may", token.text.substr(0, 60)),
                ErrorKind::Unsupported);
  }
  return scope.inner[outer] = made;
}

Value Parser::use(Scope& scope, const Token& token) {
  if (const std::optional<Value> found = find(scope, token)) return *found;
  const std::string_view name = token.text.substr(0, token.text.find('#'));
  std::vector<std::string> names;
  for (const auto& [known, values] : scope.values) {
    names.push_back(known);
    if (names.size() == 1000) break;
  }
  std::sort(names.begin(), names.end());
  const std::string near = nearest(name, names);
  lexer_.fail(token.at, fmt::format("%{} is not defined before this line{}", name.substr(0, 60),
                                    near.empty() ? "" : "; did you mean %" + near + "?"));
}

/// loc(...), where there is one.
void Parser::skip_location() {
  if (!lexer_.accept_word("loc")) return;
  if (!lexer_.is("(")) lexer_.fail_expected("'(' after 'loc'");
  lexer_.skip_balanced();
}

Parser::Region Parser::region(Scope& outer, Outside outside,
                              std::vector<std::pair<std::string, TensorType>> parameters) {
  const Token open = lexer_.expect("{", "before a region");
  if (++depth_ > kMaxDepth)
    lexer_.fail(open.at, fmt::format("calls and regions nest deeper than {}", kMaxDepth), ErrorKind::Unsupported);
  auto graph = std::make_shared<Graph>("body");
  Scope scope{*graph, &outer, outside};
  if (lexer_.token().kind == TokenKind::Caret) {
    lexer_.next();
    if (lexer_.accept("(")) {
      if (!lexer_.is(")")) {
        do {
          const Token name = lexer_.expect(TokenKind::Value, "a parameter of the region");
          lexer_.expect(":", "between a parameter and its type");
          parameters.emplace_back(std::string(name.text), tensor_type());
          skip_location();
        } while (lexer_.accept(","));
      }
      lexer_.expect(")", "after the parameters of the region");
    }
    lexer_.expect(":", "after the label of the block");
  }
  for (const auto& [name, type] : parameters) define(scope, name, {graph->parameter(type)}, open.at);
  body(scope);
  lexer_.expect("}", "after the return: a region is one block");
  count_operations(*graph, open.at);
  --depth_;
  return {std::move(graph), std::move(scope.captures)};
}

void Parser::close(Scope& scope, Operation& operation, std::vector<Region> regions) {
  Branches closed;
  for (const Region& region : regions)
    for (const Value v : region.captures)
      if (std::find(closed.captures.begin(), closed.captures.end(), v) == closed.captures.end())
        closed.captures.push_back(v);
  const bool loop = operation.name == "stablehlo.while";
  const bool branches = operation.name == "stablehlo.if" || operation.name == "stablehlo.case";
  for (std::size_t r = 0; r < regions.size(); ++r) {
    Graph& graph = *regions[r].graph;
    const Values& captures = regions[r].captures;
    const Values captured(graph.parameters.end() - static_cast<std::ptrdiff_t>(captures.size()),
                          graph.parameters.end());
    graph.parameters.resize(graph.parameters.size() - captures.size());
    if (branches && !graph.parameters.empty())
      lexer_.fail(operation.at, fmt::format("branches of {} take no parameters", operation.name));
    for (const Value v : closed.captures) {
      const auto at = static_cast<std::size_t>(std::find(captures.begin(), captures.end(), v) - captures.begin());
      if (at < captures.size())
        graph.parameters.push_back(captured[at]);
      else  // only another region uses it
        graph.parameter(scope.graph.type(v));
      if (loop && r == 1) graph.results.push_back(graph.parameters.back());  // it stays as it is
    }
    closed.regions.push_back(std::move(regions[r].graph));
  }
  if (branches) {
    closed = in_order_of_use(closed);
    for (const GraphPtr& region : closed.regions) count_operations(*region, operation.at);
  }
  operation.regions = std::move(closed.regions);
  operation.operands.insert(operation.operands.end(), closed.captures.begin(), closed.captures.end());
}

void Parser::body(Scope& scope) {
  while (true) {
    const Token token = lexer_.token();
    const bool pretty = token.kind == TokenKind::Word &&
                        (token.text == "return" || token.text == "func.return" || token.text == "stablehlo.return");
    const bool generic =
        token.kind == TokenKind::String && (token.text == "func.return" || token.text == "stablehlo.return");
    if (!pretty && !generic) {
      if (lexer_.is("}") || token.kind == TokenKind::End) lexer_.fail_expected("an operation or a return");
      operation(scope);
      continue;
    }
    lexer_.next();
    Operation end{.name = "return", .at = token.at};
    if (generic) {
      generic_form(scope, end);
    } else if (lexer_.token().kind == TokenKind::Value) {
      do end.operands.push_back(use(scope, lexer_.expect(TokenKind::Value, "a result")));
      while (lexer_.accept(","));
      lexer_.expect(":", "before the types of the results");
      end.signature = signature();
    }
    if (scope.graph.types(end.operands) != end.signature.operands)
      lexer_.fail(token.at, "the types of the returned values are not those that are written");
    scope.graph.results = std::move(end.operands);
    skip_location();
    return;
  }
}

/// %a, %b:2 = dialect.op ...
void Parser::operation(Scope& scope) {
  std::vector<std::pair<Token, std::int64_t>> names;
  std::int64_t count = 0;
  if (lexer_.token().kind == TokenKind::Value) {
    do {
      const Token name = lexer_.expect(TokenKind::Value, "the name of a result");
      const std::int64_t results = lexer_.accept(":") ? integer() : 1;
      if (results < 1 || results > kMaxResults)
        lexer_.fail(name.at, fmt::format("%{} cannot stand for {} results", name.text, results));
      names.emplace_back(name, results);
      count += results;
    } while (lexer_.accept(","));
    lexer_.expect("=", "after the names of the results");
  }
  const Token token = lexer_.token();
  if (token.kind != TokenKind::Word && token.kind != TokenKind::String) lexer_.fail_expected("an operation");
  lexer_.next();
  Operation operation{.name = std::string(token.text), .at = token.at};
  operation.results = static_cast<std::size_t>(count);
  operation.fields.kind = TextAttribute::Kind::Fields;
  if (operation.name == "call") operation.name = "func.call";
  if (operation.name == "constant" || operation.name == "custom_call") operation.name = "stablehlo." + operation.name;
  Values results;
  if (operation.name == "sdy.sharding_constraint") {  // on one device: the operand
    results = {use(scope, lexer_.expect(TokenKind::Value, "an operand"))};
    if (!lexer_.is("<")) lexer_.fail_expected("'<' before the sharding");
    lexer_.skip_balanced();
    if (lexer_.is("{")) lexer_.skip_balanced();
    lexer_.expect(":", "before the type");
    tensor_type();
  } else {
    if (!is_known(operation.name)) refuse(operation);
    if (token.kind == TokenKind::String) {
      generic_form(scope, operation);
    } else {
      pretty_form(scope, operation);
    }
    results = build(scope, operation);
  }
  skip_location();
  if (results.size() != static_cast<std::size_t>(count) && !(count == 0 && names.empty()))
    lexer_.fail(token.at, fmt::format("{} has {} results, {} are named", operation.name, results.size(), count));
  std::size_t next = 0;
  for (const auto& [name, size] : names) {
    const auto first = results.begin() + static_cast<std::ptrdiff_t>(next);
    define(scope, std::string(name.text), Values(first, first + size), name.at);
    next += static_cast<std::size_t>(size);
  }
}

}  // namespace tessera::ir
