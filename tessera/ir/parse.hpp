// The parser of StableHLO text, inside: ir/parse.cpp reads modules, functions and regions; ir/parse_attributes.cpp
// types, attributes and dense constants; ir/parse_operations.cpp the forms of operations; ir/parse_build.cpp turns what
// was read into nodes. For use from outside: ir/text.hpp.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "tessera/ir/build.hpp"
#include "tessera/ir/lex.hpp"
#include "tessera/ir/text.hpp"

namespace tessera::ir {

/// An attribute as the text has it.
struct TextAttribute {
  enum class Kind : std::uint8_t {
    Unit,
    Boolean,
    Integer,
    Real,
    String,
    Symbol,
    Word,
    List,
    Fields,
    Integers,
    Tensor,
    Other
  };
  Kind kind = Kind::Other;
  std::size_t at = 0;
  std::int64_t integer = 0;  ///< Boolean, Integer
  double real = 0;
  std::string text;                  ///< String, Symbol, Word
  std::vector<TextAttribute> items;  ///< List; for Fields the values
  std::vector<std::string> names;    ///< Fields
  Integers integers;
  std::optional<Literal> tensor;

  [[nodiscard]] const TextAttribute* find(std::string_view name) const;
  void set(std::string name, TextAttribute value);
  void set(std::string name, Integers value, std::size_t position);
  void set(std::string name, std::int64_t value, std::size_t position);
  void set_text(std::string name, Kind text_kind, std::string value, std::size_t position);
};

class Parser {
 public:
  Parser(std::string_view text, const std::string& file_name) : lexer_(text, file_name) {}
  Module module();

 private:
  /// What the regions of an operation do with values from outside.
  enum class Outside : std::uint8_t {
    Constants,  ///< constants are copied into them
    Captured,   ///< they become parameters, and operands of the operation
  };
  /// The names that a function or region defines, and what a region uses of its surroundings.
  struct Scope {
    Graph& graph;
    Scope* outer = nullptr;
    Outside outside = Outside::Constants;
    std::unordered_map<std::string, Values> values = {};
    std::map<Value, Value> inner = {};  ///< of values outside
    Values captures = {};               ///< values outside that became parameters, in this order
  };
  struct Region {
    std::shared_ptr<Graph> graph;
    Values captures;  ///< bound to the last parameters
  };
  struct Signature {
    std::vector<TensorType> operands, results;
    bool functional = false;  ///< (T, U) -> V; otherwise the types stand in `operands` alone
    std::size_t at = 0;
  };
  struct Operation {
    std::string name;  ///< "stablehlo.add"
    std::size_t at = 0;
    Values operands = {};
    TextAttribute fields = {};  ///< of kind Fields
    std::vector<GraphPtr> regions = {};
    Signature signature = {};
    std::size_t results = 0;  ///< how many names wait for them
  };
  enum class State : std::uint8_t { Waiting, Open, Done };
  struct FunctionText {
    std::string name;
    std::size_t at = 0, body = 0;
    bool is_public = true;
    std::vector<std::pair<std::string, TensorType>> parameters;
    std::vector<TensorType> results;
    std::vector<std::int64_t> aliased_result;
    State state = State::Waiting;
    std::shared_ptr<Graph> graph;
  };

  // parse.cpp
  void module_items(bool braced);
  void function_header();
  void function_arguments(FunctionText& function);
  void function_results(FunctionText& function);
  GraphPtr function_graph(const std::string& name, std::size_t asked_at);
  /// Operations up to and with the return; its values become the graph's results.
  void body(Scope& scope);
  void operation(Scope& scope);
  Region region(Scope& outer, Outside outside, std::vector<std::pair<std::string, TensorType>> parameters = {});
  /// Gives the regions of an operation the same captures: the operation takes them as operands.
  void close(Scope& scope, Operation& operation, std::vector<Region> regions);
  void define(Scope& scope, const std::string& name, Values values, std::size_t at);
  Value use(Scope& scope, const Token& token);
  /// The value of that name in this scope or one around it; nothing when there is none.
  std::optional<Value> find(Scope& scope, const Token& token);
  Value from_outside(Scope& scope, Value outer, const Token& token);
  void skip_location();
  void count_operations(const Graph& graph, std::size_t at);

  // parse_attributes.cpp
  TensorType tensor_type(bool or_index = false);
  std::vector<TensorType> type_list();
  Signature signature();
  void skip_type();
  TextAttribute attribute(int depth = 0);
  TextAttribute structured_attribute(const Token& hash, int depth);
  TextAttribute typed_number();
  TextAttribute array_attribute();
  TextAttribute dictionary(std::string_view close = "}", int depth = 0);
  void merge_dictionary(TextAttribute& fields);
  Integers integer_list();
  std::int64_t integer();
  TextAttribute dense();
  Literal dense_values(std::size_t begin, std::size_t end, const TensorType& type);
  void dense_nested(Literal& literal, std::size_t dimension, std::int64_t& next);
  void dense_element(Literal& literal, std::int64_t index);
  void dense_bytes(Literal& literal);
  TextAttribute convolution_dimensions();

  // parse_operations.cpp
  /// Reads one operation from behind its name to its type.
  void generic_form(Scope& scope, Operation& operation);
  void pretty_form(Scope& scope, Operation& operation);
  void operand_list(Scope& scope, Operation& operation, std::string_view close);
  void plain_form(Scope& scope, Operation& operation);
  bool option(Operation& operation);
  void slice_ranges(Operation& operation);
  void reduce_form(Scope& scope, Operation& operation);
  void while_form(Scope& scope, Operation& operation);
  void top_k_form(Scope& scope, Operation& operation);
  void convolution_form(Scope& scope, Operation& operation);
  void call_form(Scope& scope, Operation& operation);
  void composite_form(Scope& scope, Operation& operation);
  void check_form(Scope& scope, Operation& operation);
  void window_options(Operation& operation);
  void type_suffix(Operation& operation);

  // parse_build.cpp
  Values build(Scope& scope, Operation& operation);
  Values build_primitive(Scope& scope, Operation& operation, Op op);
  Values build_call(Scope& scope, Operation& operation, Op op);
  Values build_chlo(Scope& scope, Operation& operation);
  Values build_scan(Scope& scope, Operation& operation);
  Values build_top_k(Scope& scope, Operation& operation);
  Values build_check(Scope& scope, Operation& operation);
  static bool is_known(std::string_view name);
  [[noreturn]] void refuse(const Operation& operation) const;
  void check_types(const Scope& scope, const Operation& operation, const Values& results) const;
  Values add(Scope& scope, const Operation& operation, Op op, Attributes attributes,
             std::vector<GraphPtr> regions = {});
  const TextAttribute& field(const Operation& operation, std::string_view name) const;
  Integers integers_of(const TextAttribute& attribute, std::string_view name) const;
  Integers integers_field(const Operation& operation, std::string_view name) const;
  Integers integers_field(const Operation& operation, std::string_view name, Integers otherwise) const;
  std::int64_t integer_field(const Operation& operation, std::string_view name) const;
  std::string word_field(const Operation& operation, std::string_view name) const;
  /// The attribute as nodes store it; empty for kinds that they cannot store.
  static std::optional<Attribute> stored(const TextAttribute& attribute);
  const TensorType& result_type(const Operation& operation) const;

  Lexer lexer_;
  Module module_;
  std::vector<FunctionText> functions_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::unordered_map<const Graph*, std::int64_t> operation_counts_;  ///< of whole bodies, calls expanded
  std::int64_t splat_bytes_ = 0;
  int depth_ = 0;
};

/// An operation of the chlo dialect by others; empty when it is not known. Throws Error when the type is not supported.
std::optional<Value> expand_chlo(std::string_view name, Builder& build, const Values& operands);
/// The chlo operations that expand_chlo knows.
const std::vector<std::string>& chlo_names();

}  // namespace tessera::ir
