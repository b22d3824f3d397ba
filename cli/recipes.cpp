// `tessera recipes`, `tessera report` and `tessera devices`: what there is to look at.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/report.hpp"

namespace tessera::cli {
namespace {

int recipes(const std::string& name, const Global& global) {
  if (name.empty()) {
    Json list = Json::array();
    for (const std::string& recipe : train::recipe_names()) {
      const train::Config config = train::parse_config(train::recipe_text(recipe), recipe);
      if (global.json)
        list.push_back({{"name", recipe}, {"description", config.description}});
      else
        fmt::print("{:<14}{}\n", recipe, config.description);
    }
    if (global.json) print_json({{"recipes", list}});
    return 0;
  }
  const std::string_view text = train::recipe_text(name);
  if (text.empty()) throw Error(ErrorKind::Usage, "there is no recipe '" + name + "'; `tessera recipes` lists them");
  if (global.json)
    print_json({{"name", name}, {"toml", text}});
  else
    fmt::print("{}", text);
  return 0;
}

int report(const std::string& run, const Global& global) {
  train::write_report(run);
  const std::string file = (train::Path(run) / "report.html").string();
  if (global.json)
    print_json({{"report", file}});
  else if (!global.quiet)
    fmt::print(stderr, "wrote {}\n", file);
  return 0;
}

int show_devices(const Global& global) {
  Json list = Json::array();
  for (const DeviceInfo& device : devices()) {
    Json libraries = Json::array();
    for (const LibraryInfo& library : device.libraries) {
      libraries.push_back({{"name", library.name},
                           {"version", library.version.empty() ? Json(nullptr) : Json(library.version)},
                           {"note", library.note}});
    }
    list.push_back({{"name", device.name},
                    {"available", device.available},
                    {"description", device.description},
                    {"memory_bytes", device.memory},
                    {"libraries", libraries}});
    if (global.json) continue;
    fmt::print("{:<10} {}{}{}\n", device.name, device.available ? "" : "not available: ", device.description,
               device.memory > 0 ? fmt::format(", {:.1f} GB", static_cast<double>(device.memory) * 1e-9) : "");
    for (const LibraryInfo& library : device.libraries)
      fmt::print("           {} {}: {}\n", library.name, library.version.empty() ? "missing" : library.version,
                 library.note);
  }
  if (global.json) print_json({{"devices", list}});
  return 0;
}

}  // namespace

Action add_recipes(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "print the TOML of this one");
  return [name](const Global& global) { return recipes(*name, global); };
}

Action add_report(CLI::App& app) {
  auto run = std::make_shared<std::string>();
  app.add_option("RUN", *run, "the folder of a run")->required();
  return [run](const Global& global) { return report(*run, global); };
}

Action add_devices(CLI::App&) {
  return [](const Global& global) { return show_devices(global); };
}

}  // namespace tessera::cli
