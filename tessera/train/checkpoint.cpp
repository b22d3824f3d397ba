// Writing, finding and reading checkpoints.
#include "tessera/train/checkpoint.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using data::bad_file;
constexpr std::string_view kPrefix = "step-";
constexpr const char* kFiles[] = {"model.safetensors", "state.safetensors", "manifest.json"};

Json pairs(const std::vector<std::pair<double, double>>& list) {
  Json out = Json::array();
  for (const auto& [a, b] : list) out.push_back({a, b});
  return out;
}

std::string format_manifest(const Manifest& m, const Path& folder) {
  Json sizes = Json::object();
  for (const char* name : {kFiles[0], kFiles[1]}) sizes[name] = fs::file_size(folder / name);
  return Json{{"step", m.step},
              {"binary", m.binary},
              {"instruction_set", m.instruction_set},
              {"threads", m.threads},
              {"device", m.device},
              {"choices", m.choices},
              {"elapsed_seconds", m.elapsed_seconds},
              {"train_seconds", m.train_seconds},
              {"compile_seconds", m.compile_seconds},
              {"best_step", m.best_step},
              {"best_accuracy", m.best_accuracy},
              {"time_to", pairs(m.time_to)},
              {"speeds", m.speeds},
              {"bytes", sizes}}
             .dump(2) +
         '\n';
}

Manifest parse_manifest(const Path& folder) {
  const Path path = folder / kFiles[2];
  try {
    const Json j = Json::parse(data::read_text(path, std::uint64_t{1} << 26));
    for (const auto& [name, bytes] : j.at("bytes").items()) {
      const Path file = folder / name;
      if (!fs::exists(file))
        bad_file(file, "is missing; the checkpoint is damaged: remove its folder to go on from the one before");
      if (fs::file_size(file) != bytes.get<std::uint64_t>())
        bad_file(file, fmt::format("has {} bytes, but was written with {}; the checkpoint was cut short: remove its "
                                   "folder to go on from the one before",
                                   fs::file_size(file), bytes.get<std::uint64_t>()));
    }
    Manifest m;
    m.step = j.at("step").get<std::int64_t>();
    m.binary = j.at("binary").get<std::string>();
    m.instruction_set = j.at("instruction_set").get<std::string>();
    m.threads = j.at("threads").get<int>();
    m.device = j.at("device").get<std::string>();
    m.choices = j.value("choices", "");
    m.elapsed_seconds = j.at("elapsed_seconds").get<double>();
    m.train_seconds = j.at("train_seconds").get<double>();
    m.compile_seconds = j.at("compile_seconds").get<double>();
    m.best_step = j.at("best_step").get<std::int64_t>();
    m.best_accuracy = j.at("best_accuracy").get<double>();
    for (const Json& t : j.at("time_to")) m.time_to.emplace_back(t.at(0).get<double>(), t.at(1).get<double>());
    m.speeds = j.at("speeds").get<std::vector<double>>();
    return m;
  } catch (const Json::exception& e) {
    bad_file(path, fmt::format("is no manifest of a checkpoint ({})", e.what()));
  }
}

std::optional<std::int64_t> step_of(const Path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix) || name.size() < kPrefix.size() + 8 || name.size() > kPrefix.size() + 18)
    return std::nullopt;
  const std::string digits = name.substr(kPrefix.size());
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoll(digits);
}

}  // namespace

Path checkpoint_folder(const Path& run, std::int64_t step) {
  return run / "checkpoints" / fmt::format("{}{:08}", kPrefix, step);
}

std::vector<std::int64_t> checkpoint_steps(const Path& run) {
  std::vector<std::int64_t> steps;
  if (!fs::is_directory(run / "checkpoints")) return steps;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    const std::optional<std::int64_t> step = step_of(entry.path());
    if (step && fs::exists(entry.path() / "_SUCCESS")) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void save_checkpoint(const Path& run, const Checkpoint& checkpoint) {
  const Path place = checkpoint_folder(run, checkpoint.manifest.step);
  const Path temporary = place.string() + fmt::format(".tmp-{}", ::getpid());
  try {
    fs::create_directories(temporary);
    data::write_safetensors(temporary / kFiles[0], checkpoint.model);
    data::write_safetensors(temporary / kFiles[1], checkpoint.state);
    data::write_file(temporary / kFiles[2], format_manifest(checkpoint.manifest, temporary));
    data::write_file(temporary / "_SUCCESS", "");
    fs::remove_all(place);
    fs::rename(temporary, place);
    data::flush_folder(place.parent_path());
  } catch (const fs::filesystem_error& e) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    bad_file(place, "cannot be written: " + e.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  std::vector<std::int64_t> steps = checkpoint_steps(run);
  while (steps.size() > 2) {
    if (steps.front() != checkpoint.manifest.best_step) {
      // Renamed first, so that no half-removed folder looks complete.
      const Path old = checkpoint_folder(run, steps.front());
      fs::rename(old, old.string() + ".tmp-old");
      fs::remove_all(old.string() + ".tmp-old");
    }
    steps.erase(steps.begin());
  }
}

Checkpoint load_checkpoint(const Path& run, std::optional<std::int64_t> step) {
  const std::vector<std::int64_t> steps = checkpoint_steps(run);
  if (steps.empty())
    bad_file(run / "checkpoints", "there is no complete checkpoint here; train the run first, or with --resume");
  const Path folder = checkpoint_folder(run, step.value_or(steps.back()));
  if (!fs::exists(folder / "_SUCCESS")) bad_file(folder, "there is no complete checkpoint here");
  Checkpoint checkpoint;
  checkpoint.manifest = parse_manifest(folder);
  checkpoint.model = data::read_safetensors(folder / kFiles[0]);
  checkpoint.state = data::read_safetensors(folder / kFiles[1]);
  return checkpoint;
}

void sweep_checkpoints(const Path& run) {
  if (!fs::is_directory(run / "checkpoints")) return;
  std::vector<Path> orphans;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    const bool complete = step_of(entry.path()) && fs::exists(entry.path() / "_SUCCESS");
    if (!complete && entry.path().filename().string().starts_with(kPrefix)) orphans.push_back(entry.path());
  }
  for (const Path& orphan : orphans) fs::remove_all(orphan);
}

void check_tensors(const data::NamedTensors& named, const std::vector<std::pair<std::string, TensorType>>& wanted,
                   const Path& file) {
  for (const auto& [path, type] : wanted) {
    const auto found = named.tensors.find(path);
    if (found == named.tensors.end())
      bad_file(file, "lacks the tensor '" + path + "'; it was written by another recipe or version");
    if (found->second.type() != type)
      bad_file(file, fmt::format("the tensor '{}' is {}, but {} is needed; it was written by another recipe or version",
                                 path, to_string(found->second.type()), to_string(type)));
  }
  if (named.tensors.size() != wanted.size())
    bad_file(file, fmt::format("holds {} tensors, but {} are needed; it was written by another recipe or version",
                               named.tensors.size(), wanted.size()));
}

}  // namespace tessera::train
