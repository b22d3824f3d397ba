// `tessera train`.
#include <fmt/format.h>

#include <chrono>
#include <ctime>

#include "cli/command.hpp"
#include "tessera/core/error.hpp"
#include "tessera/train/loop.hpp"

namespace tessera::cli {
namespace {

struct Options {
  std::string recipe, data, out, max_time;
  std::vector<std::string> set;
  std::optional<std::string> epochs, batch;
  bool resume = false, dry_run = false;
};

std::string default_folder(const train::Config& config) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  std::string name;
  for (const char c : config.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ? c : '-';
  return fmt::format("runs/{}-{}", name.empty() ? "run" : name, text);
}

int run(const Options& o, const Global& global) {
  std::vector<train::Setting> settings;
  for (const std::string& text : o.set) settings.push_back(train::parse_setting(text));
  if (!o.data.empty()) settings.emplace_back("data.path", o.data);
  if (o.epochs) settings.emplace_back("train.epochs", *o.epochs);
  if (o.batch) settings.emplace_back("train.batch", *o.batch);
  if (global.seed) settings.emplace_back("train.seed", std::to_string(*global.seed));
  if (o.resume && o.out.empty())
    throw Error(ErrorKind::Usage, "--resume needs --out: name the folder of the run to go on with");
  train::TrainOptions options;
  options.config = train::load_config(o.recipe, settings);
  options.out = o.out.empty() ? default_folder(options.config) : o.out;
  options.resume = o.resume;
  options.dry_run = o.dry_run;
  options.quiet = global.quiet;
  if (!o.max_time.empty()) options.max_seconds = parse_duration(o.max_time, "--max-time");
  use_device(global);

  const train::TrainResult result = train::train(options);
  if (global.json) {
    Json answer = result.summary ? Json::parse(train::format_summary(*result.summary)) : Json::object();
    if (result.end != train::TrainEnd::DryRun) answer["run"] = options.out.string();
    answer["interrupted"] = result.end == train::TrainEnd::Interrupted;
    print_json(answer);
  }
  return result.end == train::TrainEnd::Interrupted ? static_cast<int>(ErrorKind::Interrupted) : 0;
}

}  // namespace

Action add_train(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("RECIPE", o->recipe, "a built-in recipe or a TOML file")->required();
  app.add_option("--data", o->data, "the folder or file of the data set (data.path)")->type_name("PATH");
  app.add_option("--out", o->out, "the run's folder; runs/RECIPE-<time> by default")->type_name("DIR");
  app.add_option("--set", o->set, "change a key of the recipe; may be repeated")
      ->type_name("key=value")
      ->expected(1)
      ->take_all();
  app.add_option("--epochs", o->epochs, "passes over the training pictures (train.epochs)")->type_name("X");
  app.add_option("--batch", o->batch, "pictures in a step (train.batch)")->type_name("N");
  app.add_flag("--resume", o->resume, "go on from the newest complete checkpoint in --out, or begin there");
  app.add_option("--max-time", o->max_time, "stop and save after so long: 90s, 10m, 1h")->type_name("TIME");
  app.add_flag("--dry-run", o->dry_run, "check and compile everything, train one step, write nothing");
  return [o](const Global& global) { return run(*o, global); };
}

}  // namespace tessera::cli
