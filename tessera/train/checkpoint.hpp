// Checkpoints: RUN/checkpoints/step-00001234/ with model.safetensors, state.safetensors, manifest.json and _SUCCESS.
// A checkpoint is written beside its place, flushed and renamed: it is there as a whole or not at all.
// Used by train/loop.cpp and by what reads trained runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tessera/array/tree.hpp"
#include "tessera/data/safetensors.hpp"

namespace tessera::train {

using data::Path;

/// What a run knows beside its tensors: where it stands, and what made it.
struct Manifest {
  std::int64_t step = 0;
  std::string binary;           ///< version of the program
  std::string instruction_set;  ///< the backend's fingerprint
  int threads = 0;
  std::string device;
  std::string choices;  ///< the backend's algorithms, as it chose them
  double elapsed_seconds = 0, train_seconds = 0, compile_seconds = 0;
  std::int64_t best_step = -1;  ///< of the best evaluation so far; -1: none yet
  double best_accuracy = 0;
  std::vector<std::pair<double, double>> time_to;  ///< accuracy, seconds of training
  std::vector<double> speeds;                      ///< examples per second of each window of steps
};

struct Checkpoint {
  Manifest manifest;
  data::NamedTensors model, state;
};

/// Writes a checkpoint, then removes all but the last two and the best. Throws Error, leaving what was there.
void save_checkpoint(const Path& run, const Checkpoint& checkpoint);
/// Steps of the complete checkpoints of a run, in order.
std::vector<std::int64_t> checkpoint_steps(const Path& run);
/// Reads one of them; without a step the newest. Throws Error naming the file that is damaged or missing.
Checkpoint load_checkpoint(const Path& run, std::optional<std::int64_t> step = std::nullopt);
/// Removes what a killed writer left behind.
void sweep_checkpoints(const Path& run);
Path checkpoint_folder(const Path& run, std::int64_t step);

/// The leaves of a tree by their paths.
template <class Tree>
data::NamedTensors tensors_of(const Tree& tree) {
  data::NamedTensors named;
  for_each_leaf(tree,
                [&](const std::string& path, const Array& leaf, Role) { named.tensors.emplace(path, leaf.literal()); });
  return named;
}

/// Throws Error naming what of `named` does not fit the tree of `wanted` (path, type) leaves.
void check_tensors(const data::NamedTensors& named, const std::vector<std::pair<std::string, TensorType>>& wanted,
                   const Path& file);

/// Puts tensors back into a tree of the same structure; `file` names them in messages.
template <class Tree>
void restore_tensors(Tree& tree, const data::NamedTensors& named, const Path& file) {
  std::vector<std::pair<std::string, TensorType>> wanted;
  for_each_leaf(tree,
                [&](const std::string& path, const Array& leaf, Role) { wanted.emplace_back(path, leaf.type()); });
  check_tensors(named, wanted, file);
  for_each_leaf(tree, [&](const std::string& path, Array& leaf, Role) { leaf = Array(named.tensors.at(path)); });
}

}  // namespace tessera::train
