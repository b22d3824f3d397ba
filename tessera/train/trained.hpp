// A trained run, read back to be used: what `tessera eval` and `tessera predict` begin with.
#pragma once

#include <string>
#include <vector>

#include "tessera/data/safetensors.hpp"
#include "tessera/train/model.hpp"

namespace tessera::train {

struct TrainedRun {
  Config config;
  std::vector<std::string> classes;
  Shape image;  ///< height, width, channels
  std::int64_t step = 0;
  Classifier model;
};

/// The configuration of a run. Throws Error when the folder holds none.
Config load_run_config(const data::Path& run);

/// The newest complete checkpoint of a classifier's run. Throws Error naming what is missing or damaged.
TrainedRun load_run(const data::Path& run);

/// What the model file says beside its tensors, so that it can be used without the data set.
std::map<std::string, std::string> describe_model(const std::vector<std::string>& classes, const Shape& image);

}  // namespace tessera::train
