// The classifiers that recipes describe, and how pictures become their input: array programs, traced into the steps of
// train/classify.cpp and train/evaluate.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tessera/nn/nn.hpp"
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

/// How training pictures are changed each time they are shown.
struct Augmentation {
  std::int64_t shift = 0;
  bool flip = false;
};

/// The pictures of u8 [n, h, w, c] at `positions`, moved by up to `shift` pixels (zeros come in) and mirrored with
/// probability one half: one gather.
Array draw_batch(const Array& images, const Array& positions, const Augmentation& augmentation, const Key& key);

}  // namespace tessera::train
