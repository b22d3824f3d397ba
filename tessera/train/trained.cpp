// Reading a trained run.
#include "tessera/train/trained.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/train/checkpoint.hpp"

namespace tessera::train {

std::map<std::string, std::string> describe_model(const std::vector<std::string>& classes, const Shape& image) {
  return {{"classes", nlohmann::json(classes).dump()}, {"image", nlohmann::json(image).dump()}};
}

Config load_run_config(const data::Path& run) {
  const data::Path file = run / "config.toml";
  if (!std::filesystem::exists(file))
    data::bad_file(run, "holds no run: config.toml is missing; name the folder that training wrote");
  return parse_config(data::read_text(file, std::uint64_t{1} << 20), file);
}

TrainedRun load_run(const data::Path& run) {
  TrainedRun trained;
  trained.config = load_run_config(run);
  if (trained.config.task != "classify")
    data::bad_file(run, "is the run of a translator and knows no pictures; use it with `tessera translate`");
  const Checkpoint checkpoint = load_checkpoint(run);
  trained.step = checkpoint.manifest.step;
  const data::Path file = checkpoint_folder(run, trained.step) / "model.safetensors";
  try {
    trained.classes = nlohmann::json::parse(checkpoint.model.metadata.at("classes")).get<std::vector<std::string>>();
    trained.image = nlohmann::json::parse(checkpoint.model.metadata.at("image")).get<Shape>();
  } catch (const std::exception&) {
    data::bad_file(file, "does not say its classes and the size of its pictures; it was written by another program");
  }
  const bool sane =
      trained.image.size() == 3 && trained.classes.size() >= 1 &&
      std::all_of(trained.image.begin(), trained.image.end(), [](std::int64_t e) { return e > 0 && e <= 16384; });
  if (!sane) data::bad_file(file, "describes pictures or classes that cannot be; it is damaged");
  trained.model = {Array(0.0F), Array(1.0F),
                   make_net(trained.config, Key(0), trained.image, static_cast<std::int64_t>(trained.classes.size()))};
  restore_tensors(trained.model, checkpoint.model, file);
  return trained;
}

}  // namespace tessera::train
