// What the verbs of the command share: global options, the form of a verb, how results are printed.
// One file per verb; main.cpp puts them together.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace tessera::cli {

using Json = nlohmann::ordered_json;

struct Global {
  std::string device = "auto";
  int threads = 0;
  std::optional<std::uint64_t> seed;
  bool quiet = false;
  bool json = false;
};

/// What a verb does once its options are read; returns the exit code.
using Action = std::function<int(const Global&)>;

struct Verb {
  const char* name;
  const char* summary;           ///< one line, for the list of verbs
  const char* examples;          ///< lines of commands, shown before anything else
  const char* details;           ///< what a person should know beside the options; may be empty
  Action (*add)(CLI::App& app);  ///< adds options, returns what runs
};

/// All verbs, in the order in which a person meets them.
const std::vector<Verb>& verbs();

// One for each file of a verb.
Action add_devices(CLI::App& app);
Action add_recipes(CLI::App& app);
Action add_train(CLI::App& app);
Action add_eval(CLI::App& app);
Action add_predict(CLI::App& app);
Action add_translate(CLI::App& app);
Action add_run(CLI::App& app);
Action add_bench(CLI::App& app);
Action add_corpus(CLI::App& app);
Action add_report(CLI::App& app);

/// One object on standard output.
void print_json(const Json& json);
/// Makes device and threads of the command line the default ones of this thread.
void use_device(const Global& global);
/// Seconds of "90", "45s", "10m", "1.5h"; throws Error (Usage) naming the option.
double parse_duration(const std::string& text, const std::string& option);

}  // namespace tessera::cli
