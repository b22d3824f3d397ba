// Recipes: one table says what every key is and may be; reading, checking, printing and comparing follow it.
#include "tessera/train/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "tessera/core/error.hpp"
#include "tessera/data/files.hpp"
#include "tessera/data/parallel_text.hpp"
#include "tessera/data/utf8.hpp"
#include "tessera/train/recipes.hpp"

// toml++ 3.3 asserts that some malformed text is not there; release builds even assume it. Here such text is refused.
struct MalformedToml {};
constexpr void require_toml(bool holds) {
  if (!holds) throw MalformedToml{};
}
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(...) ::require_toml(static_cast<bool>(__VA_ARGS__))
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace tessera::train {
namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 20;

/// What the values of a key may be.
struct Rule {
  double low = 0, high = 0;                 ///< of numbers; of each number in a list
  std::vector<std::string_view> choices{};  ///< of text; none: any
  std::size_t most = 0;                     ///< length of a list
  bool above_low = false;                   ///< low itself is not allowed
  std::string_view task{};                  ///< the one that a key belongs to; none: all
};

constexpr double kHuge = 1e9;

constexpr std::string_view kClassify = "classify", kTranslate = "translate";

/// Calls `f(key, field, rule)` for every key. `Settings` is Config or const Config.
template <class Settings, class F>
void visit(Settings& c, F f) {
  f("name", c.name, Rule{});
  f("description", c.description, Rule{});
  f("task", c.task, Rule{.choices = {kClassify, kTranslate}});
  f("data.path", c.data.path, Rule{});
  f("data.classes", c.data.classes, Rule{.most = 65536, .task = kClassify});
  f("data.source", c.data.source, Rule{.task = kTranslate});
  f("data.target", c.data.target, Rule{.task = kTranslate});
  f("data.vocabulary", c.data.vocabulary, Rule{.low = 300, .high = 1 << 20, .task = kTranslate});
  f("data.max_tokens", c.data.max_tokens, Rule{.low = 2, .high = 10000, .task = kTranslate});
  f("data.buckets", c.data.buckets, Rule{.low = 1, .high = 64, .task = kTranslate});
  f("model.channels", c.model.channels, Rule{.low = 1, .high = 4096, .most = 8, .task = kClassify});
  f("model.kernel", c.model.kernel, Rule{.low = 1, .high = 15, .task = kClassify});
  f("model.padding", c.model.padding, Rule{.choices = {"same", "valid"}, .most = 8, .task = kClassify});
  f("model.norm", c.model.norm, Rule{.task = kClassify});
  f("model.hidden", c.model.hidden, Rule{.low = 1, .high = 65536, .most = 16, .task = kClassify});
  f("model.kind", c.model.kind, Rule{.choices = {"recurrent", "transformer"}, .task = kTranslate});
  f("model.cell", c.model.cell, Rule{.choices = {"gru", "lstm"}, .task = kTranslate});
  f("model.attention", c.model.attention, Rule{.choices = {"additive", "dot"}, .task = kTranslate});
  f("model.layer_norm", c.model.layer_norm, Rule{.task = kTranslate});
  f("model.heads", c.model.heads, Rule{.low = 1, .high = 256, .task = kTranslate});
  f("model.embedding", c.model.embedding, Rule{.low = 1, .high = 65536, .task = kTranslate});
  f("model.width", c.model.width, Rule{.low = 1, .high = 65536, .task = kTranslate});
  f("model.layers", c.model.layers, Rule{.low = 1, .high = 16, .task = kTranslate});
  f("model.dropout", c.model.dropout, Rule{.low = 0, .high = 0.95});
  f("augment.shift", c.augment.shift, Rule{.low = 0, .high = 64, .task = kClassify});
  f("augment.flip", c.augment.flip, Rule{.task = kClassify});
  f("train.epochs", c.train.epochs, Rule{.low = 0, .high = 1e6, .above_low = true});
  f("train.batch", c.train.batch, Rule{.low = 1, .high = 1 << 20});
  f("train.average", c.train.average, Rule{.low = 0, .high = 0.999999});
  f("train.smoothing", c.train.smoothing, Rule{.low = 0, .high = 0.95, .task = kTranslate});
  f("train.seed", c.train.seed, Rule{.low = 0, .high = 9007199254740992.0});
  f("train.precision", c.train.precision, Rule{.choices = {"f32", "tf32", "bf16"}});
  f("train.evaluate_every", c.train.evaluate_every, Rule{.low = 0, .high = 1e6, .above_low = true});
  f("train.checkpoint_every", c.train.checkpoint_every, Rule{.low = 0, .high = 1e6, .above_low = true});
  f("optimizer.kind", c.optimizer.kind, Rule{.choices = {"sgd", "adam", "adamw"}});
  f("optimizer.rate", c.optimizer.rate, Rule{.low = 0, .high = kHuge, .above_low = true});
  f("optimizer.momentum", c.optimizer.momentum, Rule{.low = 0, .high = 0.9999});
  f("optimizer.decay", c.optimizer.decay, Rule{.low = 0, .high = 10});
  f("optimizer.clip", c.optimizer.clip, Rule{.low = 0, .high = kHuge});
  f("schedule.kind", c.schedule.kind, Rule{.choices = {"constant", "cosine", "inverse_sqrt"}});
  f("schedule.warmup", c.schedule.warmup, Rule{.low = 0, .high = 1e6});
  f("schedule.final", c.schedule.final, Rule{.low = 0, .high = 1});
}

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::Usage, where + ": " + what);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t old = row[j];
      row[j] = std::min({old + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = old;
    }
  }
  return row[b.size()];
}

// toml++ 3.3 has no defined answer to some letters beyond ASCII that stand outside of strings. It sees ASCII alone:
// each other byte becomes ~ and two hexadecimal digits, and so does ~ itself; keys and strings are turned back.
std::string to_ascii(std::string_view text) {
  std::string out;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80 || c == '~')
      out += fmt::format("~{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  return out;
}

std::string from_ascii(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '~' && i + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// The line of the first byte that belongs to no letter in UTF-8; 0 when there is none.
std::size_t line_of_bad_utf8(std::string_view text) {
  const std::size_t at = data::find_invalid_utf8(text);
  if (at == std::string_view::npos) return 0;
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

/// "; did you mean 'train.epochs'?", by the whole key or by its last part; "" when nothing is near.
std::string suggestion(std::string_view key) {
  const auto tail = [](std::string_view k) { return k.substr(k.rfind('.') + 1); };
  std::string best;
  std::size_t distance = 100;
  const Config defaults;
  visit(defaults, [&](std::string_view known, const auto&, const Rule&) {
    const std::size_t d =
        std::min(edit_distance(key, known), edit_distance(tail(key), tail(known)) + (tail(key) == key ? 0 : 1));
    if (d < distance) {
      distance = d;
      best = known;
    }
  });
  return distance <= std::max<std::size_t>(2, key.size() / 3) ? "; did you mean '" + best + "'?" : "";
}

std::string shown(const std::string& text) { return text.size() > 60 ? text.substr(0, 57) + "..." : text; }

// Readers of one value: each throws when the node is not of the field's type or breaks the rule.
[[noreturn]] void wrong_type(const std::string& where, const char* wanted) {
  refuse(where, fmt::format("needs {}", wanted));
}

void read(const toml::node& node, std::string& field, const Rule& rule, const std::string& where) {
  const auto text = node.value_exact<std::string>();
  if (!text) wrong_type(where, "text in quotes");
  const std::string value = from_ascii(*text);
  if (!rule.choices.empty() && std::find(rule.choices.begin(), rule.choices.end(), value) == rule.choices.end())
    refuse(where, fmt::format("is '{}'; allowed are {}", shown(value), fmt::join(rule.choices, ", ")));
  field = value;
}
void read(const toml::node& node, bool& field, const Rule&, const std::string& where) {
  const auto value = node.value_exact<bool>();
  if (!value) wrong_type(where, "true or false");
  field = *value;
}
void check_range(double value, const Rule& rule, const std::string& where) {
  if (value >= rule.low && value <= rule.high && !(rule.above_low && value == rule.low)) return;  // NaN fails all of it
  refuse(where, fmt::format("is {}; it must be {} {} and at most {}", value, rule.above_low ? "above" : "at least",
                            rule.low, rule.high));
}
void read(const toml::node& node, std::int64_t& field, const Rule& rule, const std::string& where) {
  const auto value = node.value_exact<std::int64_t>();
  if (!value) wrong_type(where, "a whole number");
  check_range(static_cast<double>(*value), rule, where);
  field = *value;
}
void read(const toml::node& node, double& field, const Rule& rule, const std::string& where) {
  const auto value = node.is_number() ? node.value<double>() : std::nullopt;
  if (!value) wrong_type(where, "a number");
  check_range(*value, rule, where);
  field = *value;
}
template <class T>
void read(const toml::node& node, std::vector<T>& field, const Rule& rule, const std::string& where) {
  const toml::array* list = node.as_array();
  if (list == nullptr) wrong_type(where, "a list in [ ]");
  if (list->size() > rule.most)
    refuse(where, fmt::format("has {} entries; at most {} are allowed", list->size(), rule.most));
  field.clear();
  for (const toml::node& item : *list) {
    const std::string entry = fmt::format("{}[{}]", where, field.size());
    read(item, field.emplace_back(), rule, entry);
  }
}

toml::table parse_toml(std::string_view text, const std::string& file) {
  if (const std::size_t line = line_of_bad_utf8(text); line != 0)
    refuse(fmt::format("{}:{}", file, line), "is no text: these bytes are not UTF-8");
  try {
    return toml::parse(to_ascii(text), file);
  } catch (const toml::parse_error& e) {
    refuse(fmt::format("{}:{}", file, e.source().begin.line),
           fmt::format("is no valid TOML: {}", from_ascii(e.description())));
  } catch (const MalformedToml&) {
    refuse(file, "is no valid TOML: a key or a value is malformed");
  }
}

/// Values by their full keys ("train.epochs"); sections of sections are unknown keys of their own.
void flatten(const toml::table& table, const std::string& prefix, std::map<std::string, const toml::node*>& out) {
  for (const auto& [key, node] : table) {
    const std::string full = prefix + from_ascii(key.str());
    if (prefix.empty() && full == "run") continue;
    if (const toml::table* section = node.as_table(); section != nullptr && prefix.empty())
      flatten(*section, full + ".", out);
    else
      out.emplace(full, &node);
  }
}

/// Sets one key of `config` from `node`.
void apply(Config& config, const std::string& key, const toml::node& node, const std::string& where) {
  bool known = false;
  visit(config, [&](std::string_view name, auto& field, const Rule& rule) {
    if (name != key) return;
    known = true;
    if (!rule.task.empty() && rule.task != config.task)
      refuse(where, fmt::format("'{}' is for recipes with the task '{}'; this one's task is '{}'", key, rule.task,
                                config.task));
    read(node, field, rule, fmt::format("{}: '{}'", where, key));
  });
  if (!known) refuse(where, fmt::format("unknown key '{}'{}", shown(key), suggestion(key)));
}

/// What no single key can say.
void check_together(const Config& c, const std::string& file) {
  if (!c.model.padding.empty() && c.model.padding.size() != c.model.channels.size())
    refuse(file, fmt::format("'model.padding' has {} entries for the {} convolutions of 'model.channels'",
                             c.model.padding.size(), c.model.channels.size()));
  if (c.data.path.empty()) refuse(file, "'data.path' is missing: name the folder of the data set, here or with --data");
  if (c.data.classes.size() == 1) refuse(file, "'data.classes' names one class; at least two are needed");
  if (std::set<std::string>(c.data.classes.begin(), c.data.classes.end()).size() != c.data.classes.size())
    refuse(file, "'data.classes' names a class twice");
  if (c.model.kind == "transformer" && c.model.embedding % std::lcm(2, c.model.heads) != 0)
    refuse(file, fmt::format("'model.embedding' is {}; a Transformer's must be a multiple of 2 and of its {} heads "
                             "('model.heads')",
                             c.model.embedding, c.model.heads));
  if (c.task == kTranslate) data::check_languages(c.data.source, c.data.target);
}

// Printers of one value, as TOML reads it.
std::string print(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}
std::string print(bool value) { return value ? "true" : "false"; }
std::string print(std::int64_t value) { return std::to_string(value); }
std::string print(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
template <class T>
std::string print(const std::vector<T>& values) {
  std::string out = "[";
  for (const T& value : values) out += (out.size() > 1 ? ", " : "") + print(value);
  return out + ']';
}

}  // namespace

bool Config::operator==(const Config& other) const { return differences(*this, other).empty(); }

Precision precision_named(std::string_view name) {
  return name == "bf16" ? Precision::BFloat16 : name == "tf32" ? Precision::TensorFloat32 : Precision::Float32;
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : built_in_recipes()) names.emplace_back(name);
  return names;
}

std::string_view recipe_text(std::string_view name) {
  for (const auto& [known, text] : built_in_recipes()) {
    if (known == name) return text;
  }
  return {};
}

Config parse_config(std::string_view text, const std::string& file, const std::vector<Setting>& settings) {
  if (text.size() > kMaxConfigBytes)
    refuse(file, fmt::format("has {} bytes; a recipe has at most {}", text.size(), kMaxConfigBytes));
  Config config;
  const toml::table table = parse_toml(text, file);
  std::map<std::string, const toml::node*> values;
  flatten(table, "", values);
  const auto apply_line = [&](const std::string& key, const toml::node& node) {
    apply(config, key, node, fmt::format("{}:{}", file, node.source().begin.line));
  };
  if (const auto task = values.find("task"); task != values.end()) apply_line("task", *task->second);  // others need it
  for (const auto& [key, node] : values) apply_line(key, *node);
  for (const auto& [key, value] : settings) {
    // As TOML if it is that, else as bare text: the shell takes quotes away.
    toml::table parsed;
    try {
      parsed = parse_toml("value = " + value, "");
    } catch (const Error&) {
      // Bare text, then.
    }
    if (parsed.size() != 1 || !parsed.contains("value")) parsed = toml::table{{"value", to_ascii(value)}};
    bool is_text = false;
    visit(config, [&](std::string_view name, auto& field, const Rule&) {
      if (name == key) is_text = std::is_same_v<std::remove_reference_t<decltype(field)>, std::string>;
    });
    if (is_text && !parsed["value"].is_string()) parsed.insert_or_assign("value", to_ascii(value));
    if (key == "task") refuse("--set task", "what a recipe trains is its own; begin with another recipe");
    apply(config, key, *parsed.get("value"), "--set " + shown(key));
  }
  check_together(config, file);
  return config;
}

Config load_config(const std::string& recipe, const std::vector<Setting>& settings) {
  if (const std::string_view text = recipe_text(recipe); !text.empty()) return parse_config(text, recipe, settings);
  if (!std::filesystem::exists(recipe))
    throw Error(ErrorKind::Usage, fmt::format("there is no recipe '{}', and no such file; the built-in recipes are {}",
                                              shown(recipe), fmt::join(recipe_names(), ", ")));
  return parse_config(data::read_text(recipe, kMaxConfigBytes), recipe, settings);
}

Setting parse_setting(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(ErrorKind::Usage, "--set " + shown(text) + ": write key=value, as in --set train.epochs=3");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<Setting> entries(const Config& config) {
  std::vector<Setting> result;
  visit(config, [&](std::string_view key, const auto& field, const Rule& rule) {
    if (rule.task.empty() || rule.task == config.task) result.emplace_back(key, print(field));
  });
  return result;
}

std::string format_config(const Config& config, const std::vector<Setting>& facts) {
  std::string out, section;
  for (const auto& [key, value] : entries(config)) {
    const std::size_t dot = key.find('.');
    if (dot != std::string::npos && key.substr(0, dot) != section) {
      section = key.substr(0, dot);
      out += "\n[" + section + "]\n";
    }
    out += key.substr(dot == std::string::npos ? 0 : dot + 1) + " = " + value + '\n';
  }
  if (!facts.empty()) out += "\n[run]\n";
  for (const auto& [key, value] : facts) out += key + " = " + print(value) + '\n';
  return out;
}

std::vector<Setting> parse_facts(std::string_view text, const std::string& file) {
  std::vector<Setting> facts;
  const toml::table table = parse_toml(text, file);
  if (const toml::table* run = table["run"].as_table()) {
    for (const auto& [key, node] : *run)
      facts.emplace_back(from_ascii(key.str()), from_ascii(node.value_or(std::string())));
  }
  return facts;
}

std::vector<std::string> differences(const Config& a, const Config& b) {
  if (a.task != b.task) return {fmt::format("task: {}, {}", a.task, b.task)};
  const std::vector<Setting> left = entries(a), right = entries(b);
  std::vector<std::string> result;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] != right[i])
      result.push_back(fmt::format("{}: {}, {}", left[i].first, left[i].second, right[i].second));
  }
  return result;
}

}  // namespace tessera::train
