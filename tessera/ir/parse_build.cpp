// Nodes from the operations that were read: attributes in the graph's own encoding, types checked against the text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "tessera/ir/control.hpp"
#include "tessera/ir/custom_call.hpp"
#include "tessera/ir/parse.hpp"

namespace tessera::ir {
namespace {

using Kind = TextAttribute::Kind;

/// Operations that StableHLO has and the table of primitives has not.
constexpr std::array<std::string_view, 44> kNotSupported = {"after_all",
                                                            "all_gather",
                                                            "all_reduce",
                                                            "all_to_all",
                                                            "batch_norm_grad",
                                                            "batch_norm_inference",
                                                            "batch_norm_training",
                                                            "broadcast",
                                                            "cholesky",
                                                            "collective_broadcast",
                                                            "collective_permute",
                                                            "complex",
                                                            "create_token",
                                                            "dot",
                                                            "dynamic_broadcast_in_dim",
                                                            "dynamic_conv",
                                                            "dynamic_gather",
                                                            "dynamic_iota",
                                                            "dynamic_pad",
                                                            "dynamic_reshape",
                                                            "einsum",
                                                            "fft",
                                                            "get_dimension_size",
                                                            "get_tuple_element",
                                                            "imag",
                                                            "infeed",
                                                            "map",
                                                            "outfeed",
                                                            "partition_id",
                                                            "real",
                                                            "real_dynamic_slice",
                                                            "recv",
                                                            "reduce_scatter",
                                                            "replica_id",
                                                            "rng",
                                                            "rng_bit_generator",
                                                            "send",
                                                            "set_dimension_size",
                                                            "torch_index_select",
                                                            "triangular_solve",
                                                            "tuple",
                                                            "unary_einsum",
                                                            "uniform_dequantize",
                                                            "uniform_quantize"};

constexpr std::string_view kOwnPrefix = "tessera.";

bool is_captured(std::string_view name) {
  return name == "stablehlo.while" || name == "stablehlo.if" || name == "stablehlo.case";
}

std::string types_text(const std::vector<TensorType>& types) {
  std::vector<std::string> texts;
  for (const TensorType& type : types) texts.push_back(type_text(type));
  return fmt::format("({})", fmt::join(texts, ", "));
}

/// Operations of the dialect stablehlo.
bool is_supported_in_text(Op op) {
  return op != Op::LinearCall && op != Op::Erf && op != Op::TopK && op != Op::Call && op != Op::Scan;
}

}  // namespace

const TextAttribute& Parser::field(const Operation& operation, std::string_view name) const {
  const TextAttribute* found = operation.fields.find(name);
  if (found == nullptr) lexer_.fail(operation.at, fmt::format("{} lacks the attribute '{}'", operation.name, name));
  return *found;
}

Integers Parser::integers_of(const TextAttribute& attribute, std::string_view name) const {
  Integers list;
  switch (attribute.kind) {
    case Kind::Integers: return attribute.integers;
    case Kind::List:
      for (const TextAttribute& item : attribute.items) {
        if (item.kind != Kind::Integer && item.kind != Kind::Boolean) break;
        list.push_back(item.integer);
      }
      if (list.size() == attribute.items.size()) return list;
      break;
    case Kind::Tensor:
      if (is_float(attribute.tensor->dtype())) break;
      for (std::int64_t i = 0; i < attribute.tensor->size(); ++i) list.push_back(attribute.tensor->get_integer(i));
      return list;
    default: break;
  }
  lexer_.fail(attribute.at, fmt::format("'{}' is to be a list of integers", name));
}

Integers Parser::integers_field(const Operation& operation, std::string_view name) const {
  return integers_of(field(operation, name), name);
}

Integers Parser::integers_field(const Operation& operation, std::string_view name, Integers otherwise) const {
  return operation.fields.find(name) == nullptr ? std::move(otherwise) : integers_field(operation, name);
}

std::int64_t Parser::integer_field(const Operation& operation, std::string_view name) const {
  const TextAttribute& found = field(operation, name);
  if (found.kind != Kind::Integer) lexer_.fail(found.at, fmt::format("'{}' is to be an integer", name));
  return found.integer;
}

std::string Parser::word_field(const Operation& operation, std::string_view name) const {
  const TextAttribute& found = field(operation, name);
  if (found.kind != Kind::Word && found.kind != Kind::Symbol && found.kind != Kind::String)
    lexer_.fail(found.at, fmt::format("'{}' is to be a name", name));
  return found.text;
}

std::optional<Attribute> Parser::stored(const TextAttribute& a) {
  switch (a.kind) {
    case Kind::Unit: return true;
    case Kind::Boolean: return a.integer != 0;
    case Kind::Integer: return a.integer;
    case Kind::Real: return a.real;
    case Kind::String:
    case Kind::Symbol:
    case Kind::Word: return a.text;
    case Kind::Integers: return a.integers;
    case Kind::Tensor: return *a.tensor;
    case Kind::List: {
      Integers list;
      for (const TextAttribute& item : a.items) {
        if (item.kind != Kind::Integer) return std::nullopt;
        list.push_back(item.integer);
      }
      return list;
    }
    case Kind::Fields: {
      auto fields = std::make_shared<Attributes>();
      for (std::size_t i = 0; i < a.names.size(); ++i)
        if (auto value = stored(a.items[i])) fields->set(a.names[i], std::move(*value));
      return std::shared_ptr<const Attributes>(std::move(fields));
    }
    case Kind::Other: break;
  }
  return std::nullopt;
}

const TensorType& Parser::result_type(const Operation& operation) const {
  const Signature& s = operation.signature;
  if (s.functional) {
    if (s.results.size() != 1)
      lexer_.fail(s.at, fmt::format("{} has one result, its type says {}", operation.name, s.results.size()));
    return s.results[0];
  }
  if (s.operands.empty()) lexer_.fail(operation.at, fmt::format("{} has no type", operation.name));
  return s.operands.back();
}

/// The types that the text states are those that the graph has.
void Parser::check_types(const Scope& scope, const Operation& operation, const Values& results) const {
  const Signature& s = operation.signature;
  const auto have_operands = scope.graph.types(operation.operands);
  const auto have_results = scope.graph.types(results);
  const auto differ = [&](const char* what, const std::vector<TensorType>& said, const std::vector<TensorType>& have) {
    lexer_.fail(s.at == 0 ? operation.at : s.at, fmt::format("{}: the types of the {} are {}, written here as {}",
                                                             operation.name, what, types_text(have), types_text(said)));
  };
  if (is_captured(operation.name)) {  // what regions use from outside is not written
    const auto starts = [](const std::vector<TensorType>& written, const std::vector<TensorType>& have) {
      return written.size() <= have.size() && std::equal(written.begin(), written.end(), have.begin());
    };
    if (!starts(s.operands, have_operands)) differ("operands", s.operands, have_operands);
    if (s.functional && !starts(s.results, have_results)) differ("results", s.results, have_results);
    return;
  }
  if (s.functional) {
    if (s.operands != have_operands) differ("operands", s.operands, have_operands);
    if (s.results != have_results) differ("results", s.results, have_results);
    return;
  }
  std::vector<TensorType> said = s.operands;
  if (operation.name == "stablehlo.select") {  // predicate, values
    if (said.size() == 2) said.push_back(said[1]);
    if (said != have_operands) differ("operands", s.operands, have_operands);
    return;
  }
  if (operation.name == "stablehlo.optimization_barrier" || operation.name.starts_with("check.")) {
    if (said.size() == 1) said.resize(have_operands.size(), said[0]);
    if (!said.empty() && said != have_operands) differ("operands", s.operands, have_operands);
    return;
  }
  // One type for all operands and results.
  if (said.size() != 1)
    lexer_.fail(s.at, fmt::format("{} takes one type here, or (operands) -> results", operation.name));
  if (!std::all_of(have_operands.begin(), have_operands.end(), [&](const TensorType& t) { return t == said[0]; }))
    differ("operands", said, have_operands);
  if (!std::all_of(have_results.begin(), have_results.end(), [&](const TensorType& t) { return t == said[0]; }))
    differ("results", said, have_results);
}

Values Parser::add(Scope& scope, const Operation& operation, Op op, Attributes attributes,
                   std::vector<GraphPtr> regions) {
  try {
    const Values results = scope.graph.add(op, operation.operands, std::move(attributes), std::move(regions));
    scope.graph.nodes.back().location = lexer_.location(operation.at);
    return results;
  } catch (const Error& error) {
    lexer_.fail(operation.at, error.what(),
                error.kind() == ErrorKind::Unsupported ? ErrorKind::Unsupported : ErrorKind::Failed);
  }
}

bool Parser::is_known(std::string_view name) {
  if (name.starts_with("stablehlo.")) {
    const auto op = parse_op(name.substr(10));
    return op && is_supported_in_text(*op);
  }
  if (name == "chlo.top_k") return true;
  if (name.starts_with("chlo.")) {
    const std::vector<std::string>& names = chlo_names();
    return std::find(names.begin(), names.end(), name.substr(5)) != names.end();
  }
  return name == "func.call" || name == "tessera.linear_call" || name.starts_with("check.");
}

Values Parser::build(Scope& scope, Operation& operation) {
  const std::string_view name = operation.name;
  if (name == "func.call") return build_call(scope, operation, Op::Call);
  if (name == "chlo.top_k") return build_primitive(scope, operation, Op::TopK);
  if (name.starts_with("chlo.")) return build_chlo(scope, operation);
  if (name.starts_with("check.")) return build_check(scope, operation);
  if (name == "tessera.linear_call") return build_primitive(scope, operation, Op::LinearCall);
  return build_primitive(scope, operation, *parse_op(name.substr(10)));
}

void Parser::refuse(const Operation& operation) const {
  const std::string_view name = operation.name;
  const std::uint32_t line = lexer_.line(operation.at);
  const auto not_yet = [&](std::string_view more) {
    lexer_.fail(operation.at, fmt::format("line {}: {} is not supported yet{}", line, name, more),
                ErrorKind::Unsupported);
  };
  if (name.starts_with("stablehlo.") &&
      std::find(kNotSupported.begin(), kNotSupported.end(), name.substr(10)) != kNotSupported.end())
    not_yet("");
  if (name.starts_with("chlo.") && nearest(name.substr(5), chlo_names()).empty())
    not_yet(
        "; jax.export writes such operations out as others, so export the program instead of printing what was "
        "lowered");
  for (const std::string_view dialect :
       {"sdy.", "mhlo.", "vhlo.", "shape.", "tensor.", "arith.", "linalg.", "func.", "scf."})
    if (name.starts_with(dialect)) not_yet("");
  std::vector<std::string> known;
  for (int i = 0; i < kOpCount; ++i)
    if (is_supported_in_text(static_cast<Op>(i)))
      known.push_back("stablehlo." + std::string(ir::name(static_cast<Op>(i))));
  for (const std::string& chlo : chlo_names()) known.push_back("chlo." + chlo);
  for (const std::string_view other : kNotSupported) known.push_back("stablehlo." + std::string(other));
  known.emplace_back("func.call");
  const std::string near = nearest(name, known);
  lexer_.fail(operation.at, fmt::format("there is no operation '{}'{}", name.substr(0, 60),
                                        near.empty() ? "" : "; did you mean " + near + "?"));
}

/// The attributes of a primitive in the encoding of ir/build.hpp.
Values Parser::build_primitive(Scope& scope, Operation& operation, Op op) {
  if (op == Op::Composite) return build_call(scope, operation, op);
  Attributes a;
  const auto lists = [&](std::initializer_list<const char*> names) {
    for (const char* n : names) a.set(n, integers_field(operation, n));
  };
  const auto lists_of = [&](const char* structure, std::initializer_list<const char*> names, const char* scalar) {
    const TextAttribute& numbers = field(operation, structure);
    if (numbers.kind != Kind::Fields)
      lexer_.fail(numbers.at, fmt::format("'{}' is to be dimension numbers, as in #stablehlo.gather<...>", structure));
    for (const std::string& n : numbers.names)
      if (n != scalar && std::find(names.begin(), names.end(), n) == names.end())
        lexer_.fail(numbers.at, fmt::format("'{}' has no field '{}'", structure, n));
    for (const char* n : names) {
      const TextAttribute* found = numbers.find(n);
      a.set(n, found == nullptr ? Integers() : integers_of(*found, n));
    }
    const TextAttribute* found = numbers.find(scalar);
    if (found != nullptr && found->kind != Kind::Integer)
      lexer_.fail(found->at, fmt::format("'{}' is to be an integer", scalar));
    if (*scalar != '\0') a.set(scalar, found == nullptr ? std::int64_t{0} : found->integer);
  };
  const auto flags = [&](std::initializer_list<const char*> names) {
    for (const char* n : names)
      if (const TextAttribute* found = operation.fields.find(n))
        a.set(n, found->kind == Kind::Unit || found->integer != 0);
  };
  /// Window parameters, which exports leave out where they have no effect.
  const auto window = [&](const char* n, std::size_t count, std::int64_t otherwise) {
    a.set(n, integers_field(operation, n, Integers(count, otherwise)));
  };
  const auto dtype_name = [&] { return std::string(tessera::name(result_type(operation).dtype)); };
  const auto product_type = [&] {
    if (operation.operands.size() != 2)
      lexer_.fail(operation.at,
                  fmt::format("{} takes two operands, {} are given", operation.name, operation.operands.size()));
    const DType left = scope.graph.dtype(operation.operands[0]);
    if (left != scope.graph.dtype(operation.operands[1]) || left != result_type(operation).dtype)
      a.set("dtype", dtype_name());
  };
  const std::size_t rank = operation.operands.empty() ? 0 : scope.graph.shape(operation.operands[0]).size();

  switch (op) {
    case Op::Constant: {
      const TextAttribute& value = field(operation, "value");
      if (value.kind != Kind::Tensor)
        lexer_.fail(value.at, "the value of a constant is to be dense<...> : tensor<...>");
      a.set("value", *value.tensor);
      break;
    }
    case Op::Iota:
      a = {{"iota_dimension", integer_field(operation, "iota_dimension")},
           {"dtype", dtype_name()},
           {"shape", Integers(result_type(operation).shape)}};
      break;
    case Op::Compare:
      a.set("comparison_direction", word_field(operation, "comparison_direction"));
      if (operation.fields.find("compare_type") != nullptr) {
        const std::string kind = word_field(operation, "compare_type");
        if (kind != "NOTYPE") a.set("compare_type", kind);
      }
      break;
    case Op::Convert:
    case Op::BitcastConvert: a.set("dtype", dtype_name()); break;
    case Op::ReducePrecision:
      a = {{"exponent_bits", integer_field(operation, "exponent_bits")},
           {"mantissa_bits", integer_field(operation, "mantissa_bits")}};
      break;
    case Op::BroadcastInDim:
      lists({"broadcast_dimensions"});
      a.set("shape", Integers(result_type(operation).shape));
      break;
    case Op::Reshape: a.set("shape", Integers(result_type(operation).shape)); break;
    case Op::Transpose: lists({"permutation"}); break;
    case Op::Slice: lists({"start_indices", "limit_indices", "strides"}); break;
    case Op::Pad: lists({"edge_padding_low", "edge_padding_high", "interior_padding"}); break;
    case Op::Reverse:
    case Op::Reduce: lists({"dimensions"}); break;
    case Op::Concatenate: a.set("dimension", integer_field(operation, "dimension")); break;
    case Op::DynamicSlice: lists({"slice_sizes"}); break;
    case Op::Sort:
      a.set("dimension", operation.fields.find("dimension") != nullptr ? integer_field(operation, "dimension")
                                                                       : static_cast<std::int64_t>(rank) - 1);
      flags({"is_stable"});
      break;
    case Op::TopK: a.set("k", integer_field(operation, "k")); break;
    case Op::Gather:
      lists_of("dimension_numbers",
               {"offset_dims", "collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims",
                "start_index_map"},
               "index_vector_dim");
      lists({"slice_sizes"});
      flags({"indices_are_sorted"});
      break;
    case Op::Scatter:
      lists_of("scatter_dimension_numbers",
               {"update_window_dims", "inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims",
                "scatter_dims_to_operand_dims"},
               "index_vector_dim");
      flags({"indices_are_sorted", "unique_indices"});
      break;
    case Op::ReduceWindow:
      lists({"window_dimensions"});
      window("window_strides", rank, 1);
      window("base_dilations", rank, 1);
      window("window_dilations", rank, 1);
      window("padding", 2 * rank, 0);
      break;
    case Op::SelectAndScatter:
      if (operation.fields.find("window_dimensions") == nullptr)
        operation.fields.set("window_dimensions", Integers(rank, 1), operation.at);
      lists({"window_dimensions"});
      window("window_strides", rank, 1);
      window("padding", 2 * rank, 0);
      break;
    case Op::DotGeneral:
      if (operation.fields.find("dot_dimension_numbers") != nullptr) {
        lists_of("dot_dimension_numbers",
                 {"lhs_batching_dimensions", "rhs_batching_dimensions", "lhs_contracting_dimensions",
                  "rhs_contracting_dimensions"},
                 "");
      } else {
        for (const char* n : {"lhs_batching_dimensions", "rhs_batching_dimensions", "lhs_contracting_dimensions",
                              "rhs_contracting_dimensions"})
          a.set(n, integers_field(operation, n, {}));
      }
      product_type();
      break;
    case Op::Convolution: {
      const TextAttribute& numbers = field(operation, "dimension_numbers");
      if (numbers.kind != Kind::Fields || numbers.find("output_batch_dimension") == nullptr)
        lexer_.fail(
            numbers.at,
            "'dimension_numbers' is to be of the form #stablehlo.conv<[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]>");
      const std::size_t spatial = numbers.find("input_spatial_dimensions")->integers.size();
      window("window_strides", spatial, 1);
      window("padding", 2 * spatial, 0);
      window("lhs_dilation", spatial, 1);
      window("rhs_dilation", spatial, 1);
      window("window_reversal", spatial, 0);
      for (std::size_t i = 0; i < numbers.names.size(); ++i) a.set(numbers.names[i], *stored(numbers.items[i]));
      a.set("feature_group_count", integer_field(operation, "feature_group_count"));
      a.set("batch_group_count", integer_field(operation, "batch_group_count"));
      product_type();
      break;
    }
    case Op::CustomCall: {
      constexpr std::array<std::string_view, 6> kOfTheCompiler = {"api_version",         "operand_layouts",
                                                                  "result_layouts",      "output_operand_aliases",
                                                                  "called_computations", "result_types"};
      a.set("call_target_name", word_field(operation, "call_target_name"));
      if (!is_check(a.string("call_target_name"))) {
        if (!operation.signature.functional)
          lexer_.fail(operation.at, "custom_call is to have a type (operands) -> results");
        a.set("result_types", encode_types(operation.signature.results));
      }
      for (std::size_t i = 0; i < operation.fields.names.size(); ++i) {
        const std::string& n = operation.fields.names[i];
        if (a.has(n) || std::find(kOfTheCompiler.begin(), kOfTheCompiler.end(), n) != kOfTheCompiler.end() ||
            n.starts_with(kOwnPrefix))
          continue;
        if (auto value = stored(operation.fields.items[i])) a.set(n, std::move(*value));
      }
      break;
    }
    default: break;
  }
  for (std::size_t i = 0; i < operation.fields.names.size(); ++i) {
    const std::string& n = operation.fields.names[i];
    if (!n.starts_with(kOwnPrefix)) continue;
    auto value = stored(operation.fields.items[i]);
    if (!value) lexer_.fail(operation.fields.items[i].at, fmt::format("'{}' has no value that a graph can hold", n));
    a.set(n.substr(kOwnPrefix.size()), std::move(*value));
  }
  Values results = add(scope, operation, op, std::move(a), operation.regions);
  check_types(scope, operation, results);
  // A while also carries what its regions use from outside; the text names only its own results.
  if (op == Op::While && operation.results < results.size() && operation.results >= operation.signature.operands.size())
    results.resize(operation.results);
  return results;
}

/// top_k as exports carry it.
Values Parser::build_top_k(Scope& scope, Operation& operation) {
  const TextAttribute* numbers = operation.fields.find("composite_attributes");
  const TextAttribute* k = numbers == nullptr ? nullptr : numbers->find("k");
  if (k == nullptr || k->kind != Kind::Integer)
    lexer_.fail(operation.at, "the composite \"chlo.top_k\" needs 'k' in 'composite_attributes'");
  const Values results = add(scope, operation, Op::TopK, {{"k", k->integer}});
  check_types(scope, operation, results);
  return results;
}

/// A scan, from the composite as which it is written: the step is the further body.
Values Parser::build_scan(Scope& scope, Operation& operation) {
  const TextAttribute& numbers = field(operation, "composite_attributes");
  const TextAttribute* bodies = operation.fields.find("tessera.bodies");
  if (bodies == nullptr || bodies->items.size() != 1 || numbers.kind != Kind::Fields)
    lexer_.fail(operation.at, fmt::format("the composite \"{}\" needs its numbers in 'composite_attributes', and its "
                                          "step in 'tessera.bodies'",
                                          kScanName));
  function_graph(word_field(operation, "decomposition"), operation.at);
  Attributes a;
  for (std::size_t i = 0; i < numbers.names.size(); ++i)
    if (auto kept = stored(numbers.items[i])) a.set(numbers.names[i], std::move(*kept));
  const Values results =
      add(scope, operation, Op::Scan, std::move(a), {function_graph(bodies->items[0].text, bodies->items[0].at)});
  check_types(scope, operation, results);
  return results;
}

/// A call or a composite: its bodies are functions of the module.
Values Parser::build_call(Scope& scope, Operation& operation, Op op) {
  const char* symbol_name = op == Op::Call ? "callee" : "decomposition";
  const std::string symbol = word_field(operation, symbol_name);
  if (op == Op::Composite) {
    // Exports carry operations of chlo as composites; those that are known here need no body, except in f64.
    const std::string name = word_field(operation, "name");
    if (name == kScanName) return build_scan(scope, operation);
    if (name == "chlo.top_k") return build_top_k(scope, operation);
    const bool in_double = std::any_of(operation.operands.begin(), operation.operands.end(),
                                       [&](Value v) { return scope.graph.dtype(v) == DType::F64; });
    if (name == "chlo.erf" || (name.starts_with("chlo.") && is_known(name) && !in_double)) {
      operation.name = name;
      return build_chlo(scope, operation);
    }
  }
  std::vector<GraphPtr> bodies = {function_graph(symbol, operation.at)};
  Attributes a;
  if (op == Op::Call) {
    a.set("callee",
          operation.fields.find("tessera.callee") != nullptr ? word_field(operation, "tessera.callee") : symbol);
  } else {
    a.set("name", word_field(operation, "name"));
    if (const TextAttribute* more = operation.fields.find("composite_attributes")) {
      if (more->kind != Kind::Fields) lexer_.fail(more->at, "'composite_attributes' is to be a dictionary");
      a.set("composite_attributes", *stored(*more));
    }
    if (operation.fields.find("version") != nullptr) a.set("version", integer_field(operation, "version"));
  }
  for (std::size_t i = 0; i < operation.fields.names.size(); ++i) {
    const std::string& n = operation.fields.names[i];
    const TextAttribute& value = operation.fields.items[i];
    if (!n.starts_with(kOwnPrefix) || n == "tessera.callee") continue;
    if (n == "tessera.bodies") {
      for (const TextAttribute& item : value.items) bodies.push_back(function_graph(item.text, item.at));
    } else if (auto kept = stored(value)) {
      a.set(n.substr(kOwnPrefix.size()), std::move(*kept));
    }
  }
  const Values results = add(scope, operation, op, std::move(a), std::move(bodies));
  check_types(scope, operation, results);
  return results;
}

Values Parser::build_chlo(Scope& scope, Operation& operation) {
  Builder build{scope.graph, lexer_.location(operation.at)};
  std::optional<Value> value;
  try {
    value = expand_chlo(std::string_view(operation.name).substr(5), build, operation.operands);
  } catch (const Error& error) {
    lexer_.fail(operation.at, error.what(),
                error.kind() == ErrorKind::Unsupported ? ErrorKind::Unsupported : ErrorKind::Failed);
  }
  check_types(scope, operation, {*value});
  return {*value};
}

/// The operations of StableHLO's interpreter are custom calls of the same names.
Values Parser::build_check(Scope& scope, Operation& operation) {
  if (!is_check(operation.name)) {
    const std::string near =
        nearest(operation.name, {"check.expect_eq", "check.expect_close", "check.expect_almost_eq",
                                 "check.expect_eq_const", "check.expect_close_const", "check.expect_almost_eq_const"});
    lexer_.fail(operation.at,
                fmt::format("there is no check '{}'{}", operation.name.substr(0, 60),
                            near.empty() ? "" : "; did you mean " + near + "?"),
                ErrorKind::Unsupported);
  }
  Attributes a{{"call_target_name", operation.name}};
  for (std::size_t i = 0; i < operation.fields.names.size(); ++i)
    if (auto value = stored(operation.fields.items[i])) a.set(operation.fields.names[i], std::move(*value));
  const Values results = add(scope, operation, Op::CustomCall, std::move(a));
  check_types(scope, operation, results);
  return results;
}

}  // namespace tessera::ir
