// The classifiers that recipes describe, and how pictures become their input: array programs, traced into the steps of
// train/loop.cpp and train/evaluate.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tessera/nn/nn.hpp"
#include "tessera/optim/optim.hpp"
#include "tessera/train/config.hpp"

namespace tessera::train {

/// Convolutions, each with ReLU, max-pooling by 2 and (if asked for) batch normalisation, then dense layers with ReLU;
/// one logit for each class.
struct Net {
  std::vector<nn::Conv2d> convolutions;
  std::vector<nn::BatchNorm> norms;  ///< one for each convolution, or none
  std::vector<nn::Linear> dense;     ///< the last one gives the logits
  nn::Dropout dropout;
  TESSERA_FIELDS(convolutions, norms, dense, dropout)

  /// f32 [batch, height, width, channels] -> [batch, classes].
  Array operator()(const Array& images, nn::Context& context);
};

/// A net with what its pictures are normalised by: the mean and deviation of the training pictures.
struct Classifier {
  Buffer mean, deviation;
  Net net;
  TESSERA_FIELDS(mean, deviation, net)

  /// u8 pixels to what the net takes.
  [[nodiscard]] Array normalised(const Array& pixels) const;
};

/// Throws Error (Usage) when the pictures become smaller than a window or a pool on their way.
Net make_net(const Config& config, const Key& key, const Shape& image, std::int64_t classes);
/// Parameters that are trained.
std::int64_t parameter_count(const Net& net);

/// The optimizer that a recipe names.
struct Optimizer {
  std::optional<optim::Sgd> sgd;
  std::optional<optim::Adam> adam;
  double clip = 0;
  TESSERA_FIELDS(sgd, adam, clip)

  Optimizer() = default;
  void update(Classifier& model, const Classifier& gradient);
  /// The hyperparameter, which changes from step to step.
  Array& learning_rate() { return sgd ? sgd->learning_rate : adam->learning_rate; }
};
Optimizer make_optimizer(const Config& config, const Classifier& model);

/// How training pictures are changed each time they are shown.
struct Augmentation {
  std::int64_t shift = 0;
  bool flip = false;
};

/// The pictures of u8 [n, h, w, c] at `positions`, moved by up to `shift` pixels (zeros come in) and mirrored with
/// probability one half: one gather.
Array draw_batch(const Array& images, const Array& positions, const Augmentation& augmentation, const Key& key);

}  // namespace tessera::train
