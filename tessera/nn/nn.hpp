// Layers, activations and losses. Layers are plain structs (trees) that are called like functions; images are
// [batch, height, width, channels]. Everything is an array program: see array/.
#pragma once

#include <string>

#include "tessera/array/ops.hpp"
#include "tessera/array/random.hpp"
#include "tessera/array/tree.hpp"

namespace tessera::nn {

/// What a forward pass needs to know beside its input: whether it trains, and a stream of random keys.
struct Context {
  bool training = true;
  Key key;
  TESSERA_FIELDS(training, key)

  /// A fresh key; the stream moves on.
  Key next_key();
  /// For evaluation: no dropout, running statistics.
  static Context evaluation();
};

/// How weights start. fan_in counts the inputs of one output, fan_out the outputs of one input.
namespace init {
/// Uniform in +-sqrt(6 / fan_in): for layers followed by ReLU (He et al., 2015).
Array he_uniform(const Key& key, const Shape& shape, std::int64_t fan_in);
/// Normal with variance 2 / fan_in.
Array he_normal(const Key& key, const Shape& shape, std::int64_t fan_in);
/// Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
Array glorot_uniform(const Key& key, const Shape& shape, std::int64_t fan_in, std::int64_t fan_out);
/// Normal with variance 1 / fan_in.
Array lecun_normal(const Key& key, const Shape& shape, std::int64_t fan_in);
}  // namespace init

/// x W + b over the last dimension. Weights [in, out] (He uniform), bias [out] (zero).
struct Linear {
  Array weights, bias;
  TESSERA_FIELDS(weights, bias)

  Linear() = default;
  Linear(const Key& key, std::int64_t in, std::int64_t out);
  Array operator()(const Operand& x) const;
};

/// Same keeps the size at stride 1 (zeros around); Valid uses whole windows only.
enum class Padding : std::uint8_t { Same, Valid };

/// 2-D convolution with a square kernel. Weights [size, size, in / groups, out] (He uniform), bias [out] (zero).
struct Conv2d {
  Array weights, bias;
  std::int64_t stride = 1, groups = 1;
  Padding padding = Padding::Same;
  TESSERA_FIELDS(weights, bias, stride, groups, padding)

  Conv2d() = default;
  Conv2d(const Key& key, std::int64_t in, std::int64_t out, std::int64_t size, Padding padding = Padding::Same,
         std::int64_t stride = 1, std::int64_t groups = 1);
  Array operator()(const Operand& x) const;
};

/// Largest value, mean of each square window; the stride is the window unless given.
Array max_pool(const Operand& x, std::int64_t window, std::int64_t stride = 0);
Array avg_pool(const Operand& x, std::int64_t window, std::int64_t stride = 0);

/// Normalises each channel (last dimension) over the batch when training, by running statistics when not
/// (Ioffe and Szegedy, 2015).
struct BatchNorm {
  Array scale, shift;
  Buffer mean, variance;
  double momentum = 0.9, epsilon = 1e-5;
  TESSERA_FIELDS(scale, shift, mean, variance, momentum, epsilon)

  BatchNorm() = default;
  BatchNorm(std::int64_t channels);  // NOLINT(google-explicit-constructor)
  Array operator()(const Operand& x, Context& context);
};

/// Normalises each row over the last dimension (Ba, Kiros, Hinton, 2016).
struct LayerNorm {
  Array scale, shift;
  double epsilon = 1e-5;
  TESSERA_FIELDS(scale, shift, epsilon)

  LayerNorm() = default;
  LayerNorm(std::int64_t features);  // NOLINT(google-explicit-constructor)
  Array operator()(const Operand& x) const;
};

/// Zeroes a share `rate` of the elements when training and scales the rest by 1 / (1 - rate).
struct Dropout {
  double rate = 0.5;
  TESSERA_FIELDS(rate)

  Array operator()(const Operand& x, Context& context) const;
};

/// Rows of a table by integer: x of any shape -> [..., features]. Table normal with variance 1.
struct Embedding {
  Array table;
  TESSERA_FIELDS(table)

  Embedding() = default;
  Embedding(const Key& key, std::int64_t entries, std::int64_t features);
  Array operator()(const Operand& x) const;
  /// x times the transposed table: scores of all entries, [..., features] -> [..., entries], by tied weights (Press and
  /// Wolf, 2017).
  [[nodiscard]] Array logits(const Operand& x) const;
};

/// x sigmoid(x).
Array silu(const Operand& x);
/// x times the normal distribution function of x, exactly (by erf).
Array gelu(const Operand& x);
/// x where x > 0, else slope x.
Array leaky_relu(const Operand& x, double slope = 0.01);
/// x where x > 0, else exp(x) - 1.
Array elu(const Operand& x);
/// log(1 + exp(x)), without overflow.
Array softplus(const Operand& x);

/// Cross entropy of softmax(logits) for each example: logits [..., classes], labels [...] integers -> [...].
/// smoothing: share of the target spread evenly over all classes.
Array cross_entropy_each(const Operand& logits, const Operand& labels, double smoothing = 0);
/// Its mean.
Array cross_entropy(const Operand& logits, const Operand& labels, double smoothing = 0);
/// Its mean weighted by `weights` [...] (bool or numbers; the length_mask of padded rows): positions of weight zero do
/// not count, whatever their labels. Zero where all weights are.
Array weighted_cross_entropy(const Operand& logits, const Operand& labels, const Operand& weights,
                             double smoothing = 0);
/// Binary cross entropy of sigmoid(logits) against targets in [0, 1], mean.
Array binary_cross_entropy(const Operand& logits, const Operand& targets);
/// Mean of the squared difference.
Array mean_squared_error(const Operand& prediction, const Operand& target);
/// Share of examples whose largest logit is the label, f32.
Array accuracy(const Operand& logits, const Operand& labels);

}  // namespace tessera::nn
