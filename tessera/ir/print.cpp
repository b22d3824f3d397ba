// Writes a Graph as StableHLO text: the pretty form where StableHLO has one, the generic form for the rest.
// In: a verified Graph. Out: text that ir/parse.cpp, MLIR and PJRT plugins read. Attributes that StableHLO does not
// have are written under the prefix "tessera.", so that reading gives the same graph.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "tessera/ir/control.hpp"
#include "tessera/ir/text.hpp"

namespace tessera::ir {
namespace {

using namespace std::string_literals;

bool is_bare(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || !letter(text[0])) return false;
  for (const char c : text)
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != '$') return false;
  return true;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (c < ' ' || c > '~')
      out += fmt::format("\\{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string symbol(std::string_view name) { return '@' + (is_bare(name) ? std::string(name) : quoted(name)); }

/// The shortest decimal that reads back as the same bits, with the point that MLIR asks for; hex when not finite.
template <class Float>
std::string real_text(Float value, std::uint64_t bits, int bytes) {
  if (!(value - value == 0)) return fmt::format("0x{:0{}X}", bits, 2 * bytes);
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

std::string element_text(const Literal& literal, std::int64_t i) {
  return dispatch(literal.dtype(), [&]<class T>(std::type_identity<T>) -> std::string {
    const T value = literal.as<T>()[static_cast<std::size_t>(i)];
    if constexpr (std::is_same_v<T, bool>)
      return value ? "true" : "false";
    else if constexpr (std::is_integral_v<T>)
      return fmt::format("{}", value);
    else if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>)
      return real_text(static_cast<float>(value), value.bits, 2);
    else if constexpr (std::is_same_v<T, float>)
      return real_text(value, std::bit_cast<std::uint32_t>(value), 4);
    else
      return real_text(value, std::bit_cast<std::uint64_t>(value), 8);
  });
}

void append_nested(const Literal& literal, std::size_t dimension, std::int64_t& next, std::string& out) {
  const Shape& shape = literal.shape();
  if (dimension == shape.size()) {
    out += element_text(literal, next++);
    return;
  }
  out += '[';
  for (std::int64_t i = 0; i < shape[dimension]; ++i) {
    if (i > 0) out += ", ";
    append_nested(literal, dimension + 1, next, out);
  }
  out += ']';
}

std::string integer_array(const Integers& list) {
  return list.empty() ? "array<i64>" : fmt::format("array<i64: {}>", fmt::join(list, ", "));
}

std::string list_text(const Integers& list) { return fmt::format("[{}]", fmt::join(list, ", ")); }

/// Padding: pairs, as a dense matrix.
std::string pairs_attribute(const Integers& flat) {
  std::string rows;
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2)
    rows += fmt::format("{}[{}, {}]", i == 0 ? "" : ", ", flat[i], flat[i + 1]);
  if (!rows.empty()) rows = '[' + rows + ']';
  return fmt::format("dense<{}> : tensor<{}x2xi64>", rows, flat.size() / 2);
}

std::string attribute_text(const Attribute& attribute);

std::string dictionary_text(const Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes)
    text +=
        fmt::format("{}{} = {}", text.empty() ? "" : ", ", is_bare(name) ? name : quoted(name), attribute_text(value));
  return '{' + text + '}';
}

std::string attribute_text(const Attribute& attribute) {
  return std::visit(
      []<class T>(const T& value) -> std::string {
        if constexpr (std::is_same_v<T, bool>)
          return value ? "true" : "false";
        else if constexpr (std::is_same_v<T, std::int64_t>)
          return fmt::format("{} : i64", value);
        else if constexpr (std::is_same_v<T, double>)
          return real_text(value, std::bit_cast<std::uint64_t>(value), 8) + " : f64";
        else if constexpr (std::is_same_v<T, std::string>)
          return quoted(value);
        else if constexpr (std::is_same_v<T, Integers>)
          return integer_array(value);
        else if constexpr (std::is_same_v<T, Literal>)
          return dense_text(value) + " : " + type_text(value.type());
        else
          return dictionary_text(*value);
      },
      attribute);
}

/// Reads a node's attributes and remembers which were read.
class Reader {
 public:
  explicit Reader(const Attributes& attributes) : attributes_(attributes) {}
  bool has(std::string_view name) const { return attributes_.has(name); }
  const Integers& integers(std::string_view name) { return taken(name), attributes_.integers(name); }
  std::int64_t integer(std::string_view name) { return taken(name), attributes_.integer(name); }
  const std::string& string(std::string_view name) { return taken(name), attributes_.string(name); }
  const Attribute& any(std::string_view name) { return taken(name), *attributes_.find(name); }
  void taken(std::string_view name) { taken_.insert(name); }
  /// The attributes that nobody read, "name = value, ..." with `prefix` before each name.
  std::string rest(const std::string& prefix) const {
    Attributes rest;
    for (const auto& [name, value] : attributes_)
      if (!taken_.contains(name)) rest.set(prefix + name, value);
    std::string text = dictionary_text(rest);
    return text.substr(1, text.size() - 2);
  }

 private:
  const Attributes& attributes_;
  std::unordered_set<std::string_view> taken_;
};

/// "name = value" items, for the lists of a generic form.
struct Items {
  std::string text;
  void add(std::string_view name, std::string_view value) {
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", name, value);
  }
};

std::string dimension_list(const Integers& numbers, const std::vector<std::pair<std::int64_t, char>>& named) {
  std::vector<std::string> names(numbers.size() + named.size(), "?");
  const auto put = [&](std::int64_t at, std::string text) {
    if (at >= 0 && at < static_cast<std::int64_t>(names.size())) names[static_cast<std::size_t>(at)] = std::move(text);
  };
  for (std::size_t i = 0; i < numbers.size(); ++i) put(numbers[i], std::to_string(i));
  for (const auto& [at, letter] : named) put(at, std::string(1, letter));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

std::string convolution_dimensions(Reader& a) {
  return fmt::format(
      "{}x{}->{}",
      dimension_list(a.integers("input_spatial_dimensions"),
                     {{a.integer("input_batch_dimension"), 'b'}, {a.integer("input_feature_dimension"), 'f'}}),
      dimension_list(a.integers("kernel_spatial_dimensions"), {{a.integer("kernel_input_feature_dimension"), 'i'},
                                                               {a.integer("kernel_output_feature_dimension"), 'o'}}),
      dimension_list(a.integers("output_spatial_dimensions"),
                     {{a.integer("output_batch_dimension"), 'b'}, {a.integer("output_feature_dimension"), 'f'}}));
}

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options) {}

  std::string module(const Graph& graph) {
    used_.insert("main");
    collect(graph);
    out_ = fmt::format("module {} {{\n", symbol(graph.name.empty() ? "main" : graph.name));
    function(graph, "main", "public");
    for (const Graph* f : functions_) function(*f, symbols_.at(f), "private");
    return std::move(out_) + "}\n";
  }

 private:
  /// Names of values in the function that is being printed; regions see none of their surroundings.
  struct Scope {
    const Graph& graph;
    std::vector<std::string> names;
    const std::string& operator[](Value v) const { return names[static_cast<std::size_t>(v)]; }
  };

  static bool has_functions(Op op) { return op == Op::Call || op == Op::Composite || op == Op::Scan; }

  /// What the functions of a call are named after.
  static const std::string& base_name(const Node& node) {
    static const std::string scan(kScanName);
    return node.op == Op::Scan ? scan : node.attributes.string(node.op == Op::Call ? "callee" : "name");
  }

  /// Gives every body of a call a symbol: equal bodies of one name are printed once.
  void collect(const Graph& graph) {
    for (const Node& node : graph.nodes) {
      for (std::size_t i = 0; i < node.regions.size(); ++i) {
        const Graph& body = *node.regions[i];
        if (!has_functions(node.op)) {
          collect(body);
          continue;
        }
        const std::string& base = base_name(node);
        if (node.op == Op::Scan) {
          name_function(body, base + ".step");
          name_function(*scans_.emplace(&node, decomposed(graph, node)).first->second, base);
        } else {
          name_function(body, i == 0 ? base : fmt::format("{}.{}", base, i));
        }
      }
    }
  }

  void name_function(const Graph& body, const std::string& wanted) {
    if (symbols_.contains(&body)) return;
    auto& known = by_key_[wanted + '\n' + body.key()];
    if (!known.empty()) {
      symbols_[&body] = known;
      return;
    }
    known = wanted;
    for (int n = 0; !used_.insert(known).second; ++n) known = fmt::format("{}_{}", wanted, n);
    symbols_[&body] = known;
    functions_.push_back(&body);
    collect(body);
  }

  /// The loop that others, who do not know a scan, run.
  static GraphPtr decomposed(const Graph& graph, const Node& node) {
    auto loop = std::make_shared<Graph>(std::string(kScanName));
    Builder build{*loop, {}};
    for (const Value v : node.operands) loop->parameter(graph.type(v));
    loop->results = scan_as_while(build, node, loop->parameters);
    return loop;
  }

  void function(const Graph& graph, const std::string& name, const char* visibility) {
    next_value_ = next_argument_ = 0;
    Scope scope{graph, std::vector<std::string>(graph.values.size())};
    std::string arguments;
    for (const Value p : graph.parameters) {
      scope.names[static_cast<std::size_t>(p)] = fmt::format("%arg{}", next_argument_++);
      arguments += fmt::format("{}{}: {}", arguments.empty() ? "" : ", ", scope[p], type_text(graph.type(p)));
    }
    out_ += fmt::format("  func.func {} {}({})", visibility, symbol(name), arguments);
    if (graph.results.size() == 1)
      out_ += " -> " + type_text(graph.type(graph.results[0]));
    else if (!graph.results.empty())
      out_ += " -> (" + types(graph, graph.results) + ')';
    out_ += " {\n";
    nodes(scope, 4);
    out_ += options_.generic ? fmt::format("    \"func.return\"({}) : ({}) -> ()\n", names(scope, graph.results),
                                           types(graph, graph.results))
            : graph.results.empty()
                ? "    return\n"s
                : fmt::format("    return {} : {}\n", names(scope, graph.results), types(graph, graph.results));
    out_ += "  }\n";
  }

  void nodes(Scope& scope, int indent) {
    for (const Node& node : scope.graph.nodes) {
      out_.append(static_cast<std::size_t>(indent), ' ');
      const std::size_t count = node.results.size();
      if (count > 0) {
        const std::string name = fmt::format("%{}", next_value_++);
        for (std::size_t i = 0; i < count; ++i)
          scope.names[static_cast<std::size_t>(node.results[i])] = count == 1 ? name : fmt::format("{}#{}", name, i);
        out_ += count == 1 ? name + " = " : fmt::format("{}:{} = ", name, count);
      }
      Reader attributes(node.attributes);
      if (options_.generic || !pretty(scope, node, attributes, indent)) generic(scope, node, attributes, indent);
      if (options_.debug_locations && node.location.known()) out_ += "  // " + tessera::to_string(node.location);
      out_ += '\n';
    }
  }

  /// A branch: its parameters are values of the surroundings.
  void branch(const Scope& outer, const Node& node, const Graph& body, int indent) {
    Scope scope{body, std::vector<std::string>(body.values.size())};
    for (std::size_t i = 0; i < body.parameters.size(); ++i)
      scope.names[static_cast<std::size_t>(body.parameters[i])] = outer[node.operands[i + 1]];
    out_ += "{\n";
    region_body(scope, indent);
  }

  /// ({ ^bb0(...): ... }): a body with its parameters.
  void region(const Graph& body, int indent) {
    Scope scope{body, std::vector<std::string>(body.values.size())};
    std::string parameters;
    for (const Value p : body.parameters) {
      scope.names[static_cast<std::size_t>(p)] = fmt::format("%arg{}", next_argument_++);
      parameters += fmt::format("{}{}: {}", parameters.empty() ? "" : ", ", scope[p], type_text(body.type(p)));
    }
    out_ += "{\n";
    if (!parameters.empty()) out_ += fmt::format("{:{}}^bb0({}):\n", "", indent, parameters);
    region_body(scope, indent);
  }

  void region_body(Scope& scope, int indent) {
    nodes(scope, indent + 2);
    const std::string values = names(scope, scope.graph.results);
    const std::string result_types = types(scope.graph, scope.graph.results);
    if (options_.generic)
      out_ += fmt::format("{:{}}\"stablehlo.return\"({}) : ({}) -> ()\n", "", indent + 2, values, result_types);
    else if (values.empty())
      out_ += fmt::format("{:{}}stablehlo.return\n", "", indent + 2);
    else
      out_ += fmt::format("{:{}}stablehlo.return {} : {}\n", "", indent + 2, values, result_types);
    out_ += fmt::format("{:{}}}}", "", indent);
  }

  static std::string names(const Scope& scope, std::span<const Value> values) {
    std::string text;
    for (const Value v : values) text += (text.empty() ? "" : ", ") + scope[v];
    return text;
  }

  static std::string types(const Graph& graph, std::span<const Value> values) {
    std::string text;
    for (const Value v : values) text += (text.empty() ? "" : ", ") + type_text(graph.type(v));
    return text;
  }

  /// (T, U) -> V
  static std::string signature(const Scope& scope, const Node& node) {
    std::string results = types(scope.graph, node.results);
    if (node.results.size() != 1) results = '(' + results + ')';
    return fmt::format("({}) -> {}", types(scope.graph, own_operands(node)), results);
  }

  /// Those that the text lists: what branches use they find in their surroundings.
  static std::span<const Value> own_operands(const Node& node) {
    const std::span<const Value> all(node.operands);
    return node.op == Op::If || node.op == Op::Case ? all.first(1) : all;
  }

  static std::string attribute_dictionary(const std::string& items) { return items.empty() ? "" : " {" + items + '}'; }

  /// What StableHLO has no name for: attributes left over, and a call's further bodies.
  std::string leftovers(const Node& node, const Reader& attributes) const {
    Items items{attributes.rest(node.op == Op::CustomCall ? "" : "tessera.")};
    if (node.op == Op::Scan) {
      items.add("tessera.bodies", fmt::format("[{}]", symbol(symbols_.at(node.regions[0].get()))));
    } else if (has_functions(node.op)) {
      const std::string& base = base_name(node);
      if (node.op == Op::Call && symbols_.at(node.regions.at(0).get()) != base)
        items.add("tessera.callee", quoted(base));
      std::vector<std::string> further;
      for (std::size_t i = 1; i < node.regions.size(); ++i)
        further.push_back(symbol(symbols_.at(node.regions[i].get())));
      if (!further.empty()) items.add("tessera.bodies", fmt::format("[{}]", fmt::join(further, ", ")));
    }
    return attribute_dictionary(items.text);
  }

  std::string body_symbol(const Node& node) const {
    return symbol(symbols_.at(node.op == Op::Scan ? scans_.at(&node).get() : node.regions.at(0).get()));
  }

  /// A scan is a composite to others.
  static std::string composite_name(const Node& node, Reader& a) {
    return node.op == Op::Scan ? std::string(kScanName) : a.string("name");
  }
  static std::string composite_attributes(const Node& node, Reader& a) {
    if (node.op != Op::Scan) return a.has("composite_attributes") ? attribute_text(a.any("composite_attributes")) : "";
    for (const auto& [name, value] : node.attributes) a.taken(name);
    return dictionary_text(node.attributes);
  }

  /// The type of a product's result is text of its own; the attribute stands for one that does not follow from the
  /// operands.
  static void take_product_type(const Scope& scope, const Node& node, Reader& a) {
    const DType left = scope.graph.dtype(node.operands[0]);
    if (left != scope.graph.dtype(node.operands[1]) || left != scope.graph.dtype(node.results[0])) a.taken("dtype");
  }

  /// Attributes whose value the result's type says.
  static void take_result_type(const Scope& scope, const Node& node, Reader& a) {
    switch (node.op) {
      case Op::Iota: a.taken("dtype"), a.taken("shape"); break;
      case Op::BroadcastInDim:
      case Op::Reshape: a.taken("shape"); break;
      case Op::Convert:
      case Op::BitcastConvert: a.taken("dtype"); break;
      case Op::DotGeneral:
      case Op::Convolution: take_product_type(scope, node, a); break;
      default: break;
    }
  }

  bool pretty(Scope& scope, const Node& node, Reader& a, int indent) {
    const Graph& graph = scope.graph;
    const auto type_of = [&](std::size_t i) { return type_text(graph.type(node.operands[i])); };
    const auto operands = names(scope, node.operands);
    const std::string op = fmt::format("stablehlo.{}", name(node.op));
    std::string form;  // between the name and the attribute dictionary
    std::string type_form = signature(scope, node);
    take_result_type(scope, node, a);
    switch (node.op) {
      case Op::Constant: {
        const Attribute& value = a.any("value");
        out_ += fmt::format("{}{} {} : {}", op, leftovers(node, a), dense_text(std::get<Literal>(value)),
                            type_text(graph.type(node.results[0])));
        return true;
      }
      case Op::Iota:
        form = fmt::format(" dim = {}", a.integer("iota_dimension"));
        type_form = type_text(graph.type(node.results[0]));
        break;
      case Op::Erf:
        out_ += fmt::format("chlo.erf {}{} : {} -> {}", operands, leftovers(node, a), type_of(0), type_of(0));
        return true;
      case Op::Compare: {
        form = fmt::format(" {}, {}", a.string("comparison_direction"), operands);
        if (a.has("compare_type")) form += ", " + a.string("compare_type");
        break;
      }
      case Op::Select:
        form = ' ' + operands;
        type_form = fmt::format("{}, {}", type_of(0), type_of(1));
        break;
      case Op::Clamp:
        form = ' ' + operands;
        if (graph.type(node.operands[0]) == graph.type(node.operands[1]) &&
            graph.type(node.operands[2]) == graph.type(node.operands[1]))
          type_form = type_of(1);
        break;
      case Op::ReducePrecision:
        form = fmt::format(" {}, format = e{}m{}", operands, a.integer("exponent_bits"), a.integer("mantissa_bits"));
        type_form = type_of(0);
        break;
      case Op::Convert:
      case Op::BitcastConvert:
      case Op::Reshape:
      case Op::DynamicUpdateSlice:
      case Op::IsFinite: form = ' ' + operands; break;
      case Op::BroadcastInDim:
        form = fmt::format(" {}, dims = {}", operands, list_text(a.integers("broadcast_dimensions")));
        break;
      case Op::Transpose: form = fmt::format(" {}, dims = {}", operands, list_text(a.integers("permutation"))); break;
      case Op::Reverse:
        form = fmt::format(" {}, dims = {}", operands, list_text(a.integers("dimensions")));
        type_form = type_of(0);
        break;
      case Op::Slice: form = fmt::format(" {} {}", operands, slice_ranges(a)); break;
      case Op::Pad:
        form =
            fmt::format(" {}, low = {}, high = {}, interior = {}", operands, list_text(a.integers("edge_padding_low")),
                        list_text(a.integers("edge_padding_high")), list_text(a.integers("interior_padding")));
        break;
      case Op::Concatenate: form = fmt::format(" {}, dim = {}", operands, a.integer("dimension")); break;
      case Op::DynamicSlice:
        form = fmt::format(" {}, sizes = {}", operands, list_text(a.integers("slice_sizes")));
        break;
      case Op::DotGeneral: {
        form = ' ' + operands;
        const Integers& left = a.integers("lhs_batching_dimensions");
        const Integers& right = a.integers("rhs_batching_dimensions");
        if (!left.empty() || !right.empty())
          form += fmt::format(", batching_dims = {} x {}", list_text(left), list_text(right));
        form += fmt::format(", contracting_dims = {} x {}", list_text(a.integers("lhs_contracting_dimensions")),
                            list_text(a.integers("rhs_contracting_dimensions")));
        break;
      }
      case Op::Convolution:
        out_ += fmt::format("{}({}) dim_numbers = {}, window = {}", op, operands, convolution_dimensions(a),
                            convolution_window(a));
        out_ += fmt::format(" {{batch_group_count = {} : i64, feature_group_count = {} : i64",
                            a.integer("batch_group_count"), a.integer("feature_group_count"));
        if (const std::string rest = a.rest("tessera."); !rest.empty()) out_ += ", " + rest;
        out_ += "} : " + type_form;
        return true;
      case Op::Reduce: return pretty_reduce(scope, node, a, indent);
      case Op::Call:
        a.taken("callee");
        out_ += fmt::format("func.call {}({}){} : {}", body_symbol(node), operands, leftovers(node, a), type_form);
        return true;
      case Op::While: return pretty_while(scope, node, a, indent);
      case Op::TopK:
        form = fmt::format("({}, k = {})", operands, a.integer("k"));
        out_ += fmt::format("chlo.top_k{}{} : {} -> ({})", form, leftovers(node, a), type_of(0),
                            types(graph, node.results));
        return true;
      case Op::Scan:
      case Op::Composite: {
        form = fmt::format(" {}{}{}", quoted(composite_name(node, a)), operands.empty() ? "" : " ", operands);
        Items items;
        if (const std::string more = composite_attributes(node, a); !more.empty())
          items.add("composite_attributes", more);
        items.add("decomposition", body_symbol(node));
        if (a.has("version")) items.add("version", fmt::format("{} : i32", a.integer("version")));
        const std::string rest = leftovers(node, a);
        if (!rest.empty()) items.text += ", " + rest.substr(2, rest.size() - 3);
        out_ += fmt::format("stablehlo.composite{} {{{}}} : {}", form, items.text, type_form);
        return true;
      }
      case Op::CustomCall:
        if (!node.regions.empty()) return false;
        form = fmt::format(" {}({})", symbol(a.string("call_target_name")), operands);
        break;
      case Op::OptimizationBarrier:
        if (node.operands.empty()) return false;
        form = ' ' + operands;
        type_form = types(graph, node.operands);
        break;
      default:
        if (family(node.op) != Family::Unary && family(node.op) != Family::Binary) return false;
        form = ' ' + operands;
        if (graph.type(node.operands[0]) == graph.type(node.results[0])) type_form = type_of(0);
    }
    out_ += fmt::format("{}{}{} : {}", op, form, leftovers(node, a), type_form);
    return true;
  }

  static std::string slice_ranges(Reader& a) {
    const Integers& start = a.integers("start_indices");
    const Integers& limit = a.integers("limit_indices");
    const Integers& strides = a.integers("strides");
    std::vector<std::string> ranges;
    for (std::size_t i = 0; i < start.size(); ++i)
      ranges.push_back(strides[i] == 1 ? fmt::format("{}:{}", start[i], limit[i])
                                       : fmt::format("{}:{}:{}", start[i], limit[i], strides[i]));
    return fmt::format("[{}]", fmt::join(ranges, ", "));
  }

  static std::vector<std::string> flag_words(const Integers& flags) {
    std::vector<std::string> words;
    for (const std::int64_t flag : flags) words.push_back(flag != 0 ? "true" : "false");
    return words;
  }

  static std::string convolution_window(Reader& a) {
    Items items;
    const auto list = [&](const char* word, const char* attribute) {
      if (a.has(attribute)) items.add(word, list_text(a.integers(attribute)));
    };
    list("stride", "window_strides");
    if (a.has("padding")) {
      std::vector<std::string> pads;
      const Integers& padding = a.integers("padding");
      for (std::size_t i = 0; i + 1 < padding.size(); i += 2)
        pads.push_back(fmt::format("[{}, {}]", padding[i], padding[i + 1]));
      items.add("pad", fmt::format("[{}]", fmt::join(pads, ", ")));
    }
    list("lhs_dilate", "lhs_dilation");
    list("rhs_dilate", "rhs_dilation");
    if (a.has("window_reversal"))
      items.add("reverse", fmt::format("[{}]", fmt::join(flag_words(a.integers("window_reversal")), ", ")));
    return '{' + items.text + '}';
  }

  bool pretty_reduce(Scope& scope, const Node& node, Reader& a, int indent) {
    const std::size_t inputs = node.operands.size() / 2;
    const Graph& body = *node.regions.at(0);
    if (inputs == 0 || body.parameters.size() != 2 * inputs) return false;
    std::string text = "stablehlo.reduce";
    for (std::size_t i = 0; i < inputs; ++i)
      text +=
          fmt::format("{}({} init: {})", i == 0 ? "" : ", ", scope[node.operands[i]], scope[node.operands[inputs + i]]);
    const std::string dimensions = list_text(a.integers("dimensions"));
    const bool one_operation = inputs == 1 && body.nodes.size() == 1 && family(body.nodes[0].op) == Family::Binary &&
                               body.nodes[0].attributes.empty() && body.nodes[0].operands == body.parameters &&
                               body.nodes[0].results == body.results;
    if (one_operation) text += fmt::format(" applies stablehlo.{}", name(body.nodes[0].op));
    text += fmt::format(" across dimensions = {}{} : {}", dimensions, leftovers(node, a), signature(scope, node));
    out_ += text;
    if (one_operation) return true;
    Scope inner{body, std::vector<std::string>(body.values.size())};
    for (const Value p : body.parameters)
      inner.names[static_cast<std::size_t>(p)] = fmt::format("%arg{}", next_argument_++);
    out_ += fmt::format("\n{:{}}reducer", "", indent + 1);
    for (std::size_t i = 0; i < inputs; ++i) {
      const Value x = body.parameters[i];
      const Value y = body.parameters[inputs + i];
      out_ += fmt::format("{}({}: {}, {}: {})", i == 0 ? "" : " ", inner[x], type_text(body.type(x)), inner[y],
                          type_text(body.type(y)));
    }
    out_ += "  {\n";
    region_body(inner, indent);
    return true;
  }

  /// while(%a = %0, %b = %1) : T, U, then the regions: one list of names serves both.
  bool pretty_while(Scope& scope, const Node& node, Reader& a, int indent) {
    if (node.operands.empty()) return false;
    std::vector<std::string> parameters, bound;
    for (const Value v : node.operands) {
      parameters.push_back(fmt::format("%arg{}", next_argument_++));
      bound.push_back(parameters.back() + " = " + scope[v]);
    }
    out_ += fmt::format("stablehlo.while({}) : {}", fmt::join(bound, ", "), types(scope.graph, node.operands));
    if (const std::string rest = leftovers(node, a); !rest.empty()) out_ += " attributes" + rest;
    for (const std::size_t i : {0U, 1U}) {
      const Graph& body = *node.regions[i];
      Scope inner{body, std::vector<std::string>(body.values.size())};
      for (std::size_t p = 0; p < parameters.size(); ++p)
        inner.names[static_cast<std::size_t>(body.parameters[p])] = parameters[p];
      out_ += i == 0 ? fmt::format("\n{:{}}cond {{\n", "", indent) : " do {\n";
      region_body(inner, indent);
    }
    return true;
  }

  void generic(Scope& scope, const Node& node, Reader& a, int indent) {
    take_result_type(scope, node, a);
    const std::string properties = generic_properties(node, a);
    const bool call = node.op == Op::Call;
    const char* dialect = call                                        ? "func"
                          : node.op == Op::Erf || node.op == Op::TopK ? "chlo"
                          : node.op == Op::LinearCall                 ? "tessera"
                                                                      : "stablehlo";
    out_ += fmt::format("\"{}.{}\"({})", dialect, name(node.op == Op::Scan ? Op::Composite : node.op),
                        names(scope, own_operands(node)));
    if (!properties.empty()) out_ += fmt::format(" <{{{}}}>", properties);
    if (!node.regions.empty() && !has_functions(node.op)) {
      out_ += " (";
      for (std::size_t i = 0; i < node.regions.size(); ++i) {
        if (i > 0) out_ += ", ";
        if (node.op == Op::If || node.op == Op::Case)
          branch(scope, node, *node.regions[i], indent);
        else
          region(*node.regions[i], indent);
      }
      out_ += ')';
    }
    out_ += fmt::format("{} : {}", leftovers(node, a), signature(scope, node));
  }

  /// The properties of an operation as StableHLO defines them.
  std::string generic_properties(const Node& node, Reader& a) const {
    Items items;
    const auto arrays = [&](std::initializer_list<const char*> attribute_names) {
      for (const char* n : attribute_names)
        if (a.has(n)) items.add(n, integer_array(a.integers(n)));
    };
    const auto flags = [&](std::initializer_list<const char*> attribute_names) {
      for (const char* n : attribute_names)
        if (a.has(n)) items.add(n, attribute_text(a.any(n)));
    };
    const auto integers = [&](const char* n, const char* suffix) {
      items.add(n, fmt::format("{} : {}", a.integer(n), suffix));
    };
    const auto structure = [&](const char* kind, std::initializer_list<const char*> lists, const char* scalar) {
      Items fields;
      for (const char* n : lists)
        if (const Integers& list = a.integers(n); !list.empty()) fields.add(n, list_text(list));
      if (scalar != nullptr) fields.add(scalar, std::to_string(a.integer(scalar)));
      return fmt::format("#stablehlo.{}<{}>", kind, fields.text);
    };
    switch (node.op) {
      case Op::Constant: items.add("value", attribute_text(a.any("value"))); break;
      case Op::Iota: integers("iota_dimension", "i64"); break;
      case Op::Compare:
        items.add("comparison_direction",
                  fmt::format("#stablehlo<comparison_direction {}>", a.string("comparison_direction")));
        if (a.has("compare_type"))
          items.add("compare_type", fmt::format("#stablehlo<comparison_type {}>", a.string("compare_type")));
        break;
      case Op::ReducePrecision: integers("exponent_bits", "i32"), integers("mantissa_bits", "i32"); break;
      case Op::BroadcastInDim: arrays({"broadcast_dimensions"}); break;
      case Op::Transpose: arrays({"permutation"}); break;
      case Op::Slice: arrays({"start_indices", "limit_indices", "strides"}); break;
      case Op::Pad: arrays({"edge_padding_low", "edge_padding_high", "interior_padding"}); break;
      case Op::Reverse:
      case Op::Reduce: arrays({"dimensions"}); break;
      case Op::Concatenate: integers("dimension", "i64"); break;
      case Op::DynamicSlice: arrays({"slice_sizes"}); break;
      case Op::Gather:
        items.add("dimension_numbers", structure("gather",
                                                 {"offset_dims", "collapsed_slice_dims", "operand_batching_dims",
                                                  "start_indices_batching_dims", "start_index_map"},
                                                 "index_vector_dim"));
        flags({"indices_are_sorted"});
        arrays({"slice_sizes"});
        break;
      case Op::Scatter:
        flags({"indices_are_sorted"});
        items.add("scatter_dimension_numbers",
                  structure("scatter",
                            {"update_window_dims", "inserted_window_dims", "input_batching_dims",
                             "scatter_indices_batching_dims", "scatter_dims_to_operand_dims"},
                            "index_vector_dim"));
        flags({"unique_indices"});
        break;
      case Op::ReduceWindow:
      case Op::SelectAndScatter:
        arrays({"window_dimensions", "window_strides", "base_dilations", "window_dilations"});
        if (a.has("padding")) items.add("padding", pairs_attribute(a.integers("padding")));
        break;
      case Op::DotGeneral:
        items.add("dot_dimension_numbers", structure("dot",
                                                     {"lhs_batching_dimensions", "rhs_batching_dimensions",
                                                      "lhs_contracting_dimensions", "rhs_contracting_dimensions"},
                                                     nullptr));
        break;
      case Op::Convolution: {
        integers("batch_group_count", "i64");
        items.add("dimension_numbers", fmt::format("#stablehlo.conv<{}>", convolution_dimensions(a)));
        integers("feature_group_count", "i64");
        arrays({"lhs_dilation"});
        items.add("padding", pairs_attribute(a.integers("padding")));
        arrays({"rhs_dilation"});
        const auto reversal = flag_words(a.integers("window_reversal"));
        items.add("window_reversal",
                  reversal.empty() ? "array<i1>" : fmt::format("array<i1: {}>", fmt::join(reversal, ", ")));
        arrays({"window_strides"});
        break;
      }
      case Op::Call:
        a.taken("callee");
        items.add("callee", body_symbol(node));
        break;
      case Op::Sort:
        integers("dimension", "i64");
        flags({"is_stable"});
        break;
      case Op::TopK: integers("k", "i64"); break;
      case Op::Scan:
      case Op::Composite:
        if (const std::string more = composite_attributes(node, a); !more.empty())
          items.add("composite_attributes", more);
        items.add("decomposition", body_symbol(node));
        items.add("name", quoted(composite_name(node, a)));
        if (a.has("version")) integers("version", "i32");
        break;
      case Op::CustomCall: items.add("call_target_name", quoted(a.string("call_target_name"))); break;
      default: break;
    }
    return items.text;
  }

  const PrintOptions& options_;
  std::string out_;
  int next_value_ = 0;
  int next_argument_ = 0;
  std::unordered_map<const Node*, GraphPtr> scans_;  ///< their loops
  std::unordered_map<const Graph*, std::string> symbols_;
  std::unordered_map<std::string, std::string> by_key_;
  std::unordered_set<std::string> used_;
  std::vector<const Graph*> functions_;
};

}  // namespace

std::string dense_text(const Literal& literal) {
  constexpr std::int64_t kLongest = 100;  // more elements are written as their bytes
  const std::int64_t count = literal.size();
  if (count == 0) return "dense<>";
  if (literal.is_splat()) return fmt::format("dense<{}>", element_text(literal, 0));
  std::string text = "dense<";
  if (count > kLongest) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    text.reserve(2 * literal.bytes() + 16);
    text += "\"0x";
    for (std::size_t i = 0; i < literal.bytes(); ++i) {
      const auto byte = static_cast<unsigned>(literal.data()[i]);
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15U];
    }
    text += '"';
  } else {
    std::int64_t next = 0;
    append_nested(literal, 0, next, text);
  }
  return text + '>';
}

std::string type_text(const TensorType& type) {
  std::string text = "tensor<";
  for (const std::int64_t extent : type.shape) text += std::to_string(extent) + 'x';
  return text + std::string(tessera::name(type.dtype)) + '>';
}

std::string print(const Graph& graph, const PrintOptions& options) { return Printer(options).module(graph); }

std::string to_string(const Graph& graph, bool debug_locations) {
  return print(graph, {.generic = false, .debug_locations = debug_locations});
}

}  // namespace tessera::ir
