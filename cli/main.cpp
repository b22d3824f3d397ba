// The `tessera` command: reads the command line, runs a verb, turns errors into exit codes.
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not supported here, 130 interrupted.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>

#include "cli/command.hpp"
#include "tessera/array/array.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/version.hpp"

namespace tessera::cli {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> list{
      {"train", "train a recipe into a run's folder",
       "tessera train fashion-cnn\n"
       "tessera train mnist-cnn --data data/mnist --epochs 5\n"
       "tessera train my.toml --set optimizer.rate=0.01 --out runs/try --max-time 10m\n"
       "tessera train fashion-cnn --out runs/first --resume",
       "RECIPE is a built-in name (tessera recipes) or a TOML file. The run's folder gets config.toml, metrics.jsonl,\n"
       "checkpoints/, summary.json and report.html. Ctrl-C saves; --resume goes on with the same bits.",
       add_train},
      {"eval", "the metrics of a trained run",
       "tessera eval runs/first\ntessera eval runs/first --split train\ntessera eval runs/en-de --beam 1\ntessera eval "
       "runs/first --data other/folder "
       "--json",
       "", add_eval},
      {"predict", "label and probability for pictures",
       "tessera predict runs/first shoe.png bag.jpg\ntessera predict runs/first digit.npy --json",
       "Pictures are PNG, JPEG or NPY; they are brought to the size and the colours that the run was trained with.",
       add_predict},
      {"translate", "sentences on standard input to sentences on standard output",
       "tessera translate runs/en-de < letter.txt\necho 'A dog runs.' | tessera translate runs/en-de --beam 1\n"
       "tessera translate runs/en-de --nbest 5 --attention pictures.html < letter.txt",
       "Each line gives one line, in order. A line without text gives an empty one, and so does one of more than 65536 "
       "bytes.",
       add_translate},
      {"report", "write report.html again from a run's files", "tessera report runs/first", "", add_report},
      {"corpus", "aligned text in two languages from Debian's packages",
       "tessera corpus libreoffice-help --source en --target de --out data/help\n"
       "tessera corpus wesnoth --source en --target fr --out data/wesnoth --root unpacked\n"
       "tessera corpus sword --source en --target es --out data/verses",
       "NAME is libreoffice-help (help pages, aligned by paragraph), wesnoth (a game's stories) or sword (verses, en "
       "and "
       "es).\nDIR gets train, valid and test, a file for each language, a line a sentence, split by page, story or "
       "chapter. "
       "Where\npackages are missing, they are named, with the line that gets them.",
       add_corpus},
      {"recipes", "the built-in recipes; with a name, its TOML",
       "tessera recipes\ntessera recipes fashion-cnn > my.toml", "", add_recipes},
      {"devices", "what this machine has", "tessera devices\ntessera devices --json", "", add_devices},
      {"run", "run a StableHLO program",
       "tessera run model.mlir --input x.npy --input y.npy --output results\n"
       "tessera run model.mlir --random-inputs 7 --repeat 100\n"
       "tessera run check.mlir --device reference",
       "Results go to DIR/0.npy, 1.npy, ..., or are printed. A check in the program (check.expect_eq, ...) that fails "
       "ends\nthe command with exit code 1.",
       add_run},
      {"bench", "training speed of the benchmark's nets, with this machine's limits",
       "tessera bench\ntessera bench cnn --batch 512 --seconds 5\ntessera bench --device all --json",
       "--device all measures the processor and then the GPU.", add_bench}};
  return list;
}

void print_json(const Json& json) { fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace)); }

void use_device(const Global& global) {
  set_default_device(global.device == "auto" ? backend({"auto"}).name() : global.device);
  set_default_threads(global.threads);
}

double parse_duration(const std::string& text, const std::string& option) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const double scale = unit.empty() || unit == "s" ? 1 : unit == "m" || unit == "min" ? 60 : unit == "h" ? 3600 : 0;
  if (used == 0 || scale == 0 || !(value > 0) || value * scale > 1e9)
    throw Error(ErrorKind::Usage, option + " " + text + ": write a time like 90s, 10m or 1.5h");
  return value * scale;
}

namespace {

std::string indented(const std::string& lines) {
  std::string out = "  ";
  for (const char c : lines) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string overview() {
  std::string text = "tessera " TESSERA_VERSION
                     ": machine learning on parallel processors\n\nExamples:\n  tessera train fashion-cnn\n  tessera "
                     "help train\n\nVerbs:\n";
  for (const Verb& verb : verbs()) text += fmt::format("  {:<9} {}\n", verb.name, verb.summary);
  text += fmt::format("  {:<9} {}\n", "help", "how to use a verb, with examples");
  text +=
      "\nOptions of every verb, before or after it:\n"
      "  --device auto|cpu|reference|null[:cpu|:cuda]|cuda[:N]|pjrt:PATH\n"
      "  --threads N   --seed N   --quiet   --json (one object on standard output, nothing else there)\n"
      "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not supported here, 130 interrupted\n";
  return text;
}

int run(int argc, char** argv) {
  Global global;
  CLI::App app("machine learning on parallel processors", "tessera");
  app.set_version_flag("--version", "tessera " TESSERA_VERSION);
  app.set_help_flag();
  bool help = false;
  app.add_flag("-h,--help", help, "show this");
  app.add_option("--device", global.device, "auto, cpu, reference, null, null:cpu, null:cuda, cuda:N, pjrt:PATH")
      ->type_name("DEVICE");
  app.add_option("--threads", global.threads, "threads of the processor; 0: as many as there are")
      ->check(CLI::Range(0, 1024));
  app.add_option("--seed", global.seed, "seed of everything random");
  app.add_flag("--quiet", global.quiet, "no progress on standard error");
  app.add_flag("--json", global.json, "one JSON object on standard output");

  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Verb& verb : verbs()) {
    CLI::App* sub =
        app.add_subcommand(verb.name, fmt::format("Examples:\n{}\n\n{}{}{}", indented(verb.examples), verb.summary,
                                                  *verb.details != '\0' ? "\n" : "", verb.details));
    sub->set_help_flag();
    sub->fallthrough();
    actions.emplace_back(sub, verb.add(*sub));
  }
  const auto show_help = [&](const std::string& verb) {
    if (verb.empty()) {
      fmt::print("{}", overview());
      return 0;
    }
    for (const auto& [sub, action] : actions) {
      if (sub->get_name() != verb) continue;
      fmt::print("{}", sub->help("tessera"));
      return 0;
    }
    throw Error(ErrorKind::Usage, "there is no verb '" + verb + "'; `tessera help` lists them");
  };

  // Help comes before complaints about what a verb needs: `help`, `help VERB`, `VERB --help`.
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto has = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  if (has("-h") || has("--help") || (!words.empty() && words[0] == "help")) {
    for (const std::string& word : words) {
      if (word != "help" && !word.starts_with('-')) return show_help(word);
    }
    return show_help("");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "tessera: {}\n`tessera help` shows how it is used\n", e.what());
    return static_cast<int>(ErrorKind::Usage);
  }
  for (const auto& [sub, action] : actions) {
    if (sub->parsed()) return action(global);
  }
  fmt::print(stderr, "{}", overview());
  return static_cast<int>(ErrorKind::Usage);
}

}  // namespace
}  // namespace tessera::cli

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("tessera"));
  spdlog::set_pattern("%v");
  spdlog::set_level(spdlog::level::warn);
  try {
    return tessera::cli::run(argc, argv);
  } catch (const tessera::Error& e) {
    fmt::print(stderr, "tessera: {}\n", e.what());
    return static_cast<int>(e.kind());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "tessera: out of memory; use a smaller batch or data set\n");
  } catch (const std::exception& e) {
    fmt::print(stderr, "tessera: {}\n", e.what());
  }
  return 1;
}
