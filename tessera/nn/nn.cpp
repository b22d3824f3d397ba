// Layers, activations and losses as array programs.
#include "tessera/nn/nn.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "tessera/array/trace.hpp"
#include "tessera/array/transforms.hpp"

namespace tessera::nn {

using detail::ModuleScope;

Key Context::next_key() {
  if (key.words.value.empty())
    detail::throw_usage({},
                        "this layer draws random numbers in training, and the context has no key\n  hint: nn::Context "
                        "context{.training = true, .key = Key(seed)}");
  const auto [next, use] = split<2>(key);
  key = next;
  return use;
}

Context Context::evaluation() { return {.training = false, .key = Key(0)}; }

namespace init {
Array he_uniform(const Key& key, const Shape& shape, std::int64_t fan_in) {
  const double bound = std::sqrt(6.0 / static_cast<double>(fan_in));
  return random::uniform(key, shape, -bound, bound);
}
Array he_normal(const Key& key, const Shape& shape, std::int64_t fan_in) {
  return random::normal(key, shape) * std::sqrt(2.0 / static_cast<double>(fan_in));
}
Array glorot_uniform(const Key& key, const Shape& shape, std::int64_t fan_in, std::int64_t fan_out) {
  const double bound = std::sqrt(6.0 / static_cast<double>(fan_in + fan_out));
  return random::uniform(key, shape, -bound, bound);
}
Array lecun_normal(const Key& key, const Shape& shape, std::int64_t fan_in) {
  return random::normal(key, shape) * std::sqrt(1.0 / static_cast<double>(fan_in));
}
}  // namespace init

namespace {
/// The last dimension of x has as many elements as the layer was made for.
void check_features(const char* layer, const Operand& x, std::int64_t features) {
  const Array input = x.as(x.dtype());
  if (input.rank() > 0 && input.shape(-1) == features) return;
  const Array operands[] = {input};
  detail::throw_operand_error(layer, x.location, operands,
                              fmt::format("this layer was made for {} in the last dimension", features), "");
}
}  // namespace

Linear::Linear(const Key& key, std::int64_t in, std::int64_t out)
    : weights(init::he_uniform(key, {in, out}, in)), bias(zeros({out})) {}

Array Linear::operator()(const Operand& x) const {
  const ModuleScope scope(x.location);
  check_features("Linear", x, weights.shape(0));
  return matmul(x, weights) + bias;
}

Conv2d::Conv2d(const Key& key, std::int64_t in, std::int64_t out, std::int64_t size, Padding pad, std::int64_t step,
               std::int64_t group_count)
    : weights(init::he_uniform(key, {size, size, in / std::max<std::int64_t>(1, group_count), out},
                               size * size * in / std::max<std::int64_t>(1, group_count))),
      bias(zeros({out})),
      stride(step),
      groups(group_count),
      padding(pad) {
  if (group_count < 1 || in % group_count != 0 || out % group_count != 0)
    throw Error(ErrorKind::Usage, fmt::format("Conv2d: {} input and {} output channels do not divide into {} groups",
                                              in, out, group_count));
}

Array Conv2d::operator()(const Operand& x) const {
  const ModuleScope scope(x.location);
  check_features("Conv2d", x, weights.shape(2) * groups);
  ConvOptions options{.stride = {stride, stride}, .groups = groups};
  if (padding == Padding::Same) options.padding = same_padding(weights.shape(0), weights.shape(1));
  return conv2d(x, weights, options) + bias;
}

Array max_pool(const Operand& x, std::int64_t window, std::int64_t stride) {
  const ModuleScope scope(x.location);
  const std::int64_t step = stride == 0 ? window : stride;
  return max_pool2d(x, {window, window}, {step, step});
}

Array avg_pool(const Operand& x, std::int64_t window, std::int64_t stride) {
  const ModuleScope scope(x.location);
  const std::int64_t step = stride == 0 ? window : stride;
  return avg_pool2d(x, {window, window}, {step, step});
}

BatchNorm::BatchNorm(std::int64_t channels)
    : scale(ones({channels})), shift(zeros({channels})), mean(zeros({channels})), variance(ones({channels})) {}

Array BatchNorm::operator()(const Operand& x, Context& context) {
  const ModuleScope scope(x.location);
  check_features("BatchNorm", x, scale.shape(0));
  const Array input = x.as(x.dtype());
  if (!context.training) return (input - mean) * (rsqrt(variance.value + epsilon) * scale) + shift;
  Axes axes;
  for (std::int64_t d = 0; d + 1 < input.rank(); ++d) axes.push_back(d);
  const Array batch_mean = tessera::mean(input, axes);
  const Array centred = input - batch_mean;
  const Array batch_variance = tessera::mean(centred * centred, axes);
  const double count = static_cast<double>(input.size()) / static_cast<double>(input.shape(-1));
  const double unbiased = count > 1 ? count / (count - 1) : 1;
  mean = mean.value * momentum + stop_gradient(batch_mean) * (1 - momentum);
  variance = variance.value * momentum + stop_gradient(batch_variance) * ((1 - momentum) * unbiased);
  return centred * (rsqrt(batch_variance + epsilon) * scale) + shift;
}

LayerNorm::LayerNorm(std::int64_t features) : scale(ones({features})), shift(zeros({features})) {}

Array LayerNorm::operator()(const Operand& x) const {
  const ModuleScope scope(x.location);
  check_features("LayerNorm", x, scale.shape(0));
  const Array centred = x - mean(x, {-1}, true);
  return centred * rsqrt(mean(centred * centred, {-1}, true) + epsilon) * scale + shift;
}

Array Dropout::operator()(const Operand& x, Context& context) const {
  const ModuleScope scope(x.location);
  if (rate < 0 || rate >= 1)
    detail::throw_usage(x.location, fmt::format("a dropout rate lies in [0, 1); this one is {}", rate));
  if (!context.training || rate == 0) return x.as(x.dtype());
  const Array input = x.as(x.dtype());
  const Array keep = random::bernoulli(context.next_key(), 1 - rate, input.shape());
  return where(keep, input * (1 / (1 - rate)), 0);
}

Embedding::Embedding(const Key& key, std::int64_t entries, std::int64_t features)
    : table(random::normal(key, {entries, features})) {}

Array Embedding::operator()(const Operand& x) const {
  const ModuleScope scope(x.location);
  return take(table, x, 0);
}

Array Embedding::logits(const Operand& x) const {
  const ModuleScope scope(x.location);
  check_features("Embedding", x, table.shape(1));
  return matmul(x, transpose(table));
}

Array silu(const Operand& x) {
  const ModuleScope scope(x.location);
  return x * sigmoid(x);
}
Array gelu(const Operand& x) {
  const ModuleScope scope(x.location);
  return x * (erf(x * (1 / std::numbers::sqrt2)) * 0.5 + 0.5);
}
Array leaky_relu(const Operand& x, double slope) {
  const ModuleScope scope(x.location);
  return where(x > 0, x, x * slope);
}
Array elu(const Operand& x) {
  const ModuleScope scope(x.location);
  return where(x > 0, x, expm1(minimum(x, 0)));
}
Array softplus(const Operand& x) {
  const ModuleScope scope(x.location);
  return relu(x) + log1p(exp(-abs(x)));
}

namespace {

/// Cross entropy of each row, with the derivative in closed form: softmax less target.
struct CrossEntropy {
  double smoothing = 0;

  /// Values [...]; the maxima, and the sums of exponentials of what lies below them, [..., 1].
  struct Parts {
    Array values, highest, total;
    TESSERA_FIELDS(values, highest, total)
  };
  [[nodiscard]] Parts parts(const Array& scores, const Array& labels) const {
    Array highest = max(scores, {-1}, true);
    highest = stop_gradient(where(is_finite(highest), highest, 0));
    const Array shifted = scores - highest;
    const Array total = sum(exp(shifted), {-1}, true);
    return {reshape(log(total), labels.shape()) - sum(target(scores, labels) * shifted, {-1}), highest, total};
  }
  [[nodiscard]] Array target(const Array& scores, const Array& labels) const {
    const Array one = one_hot(labels, scores.shape(-1), scores.dtype());
    return smoothing == 0 ? one : one * (1 - smoothing) + smoothing / static_cast<double>(scores.shape(-1));
  }

  Array operator()(const Array& scores, const Array& labels) const {
    const auto body = [*this](const Array& x, const Array& y) { return parts(x, y).values; };
    const auto forward = [*this](const Array& x, const Array& y) {
      const Parts p = parts(x, y);
      return std::pair(p.values, std::tuple(x, y, p.highest, p.total));
    };
    const auto backward = [*this](const std::tuple<Array, Array, Array, Array>& kept, const Array& cotangent) {
      const auto& [x, y, highest, total] = kept;
      const Array probability = exp(x - highest) * (1 / total);
      return std::tuple((probability - target(x, y)) * expand_dims(cotangent, -1), zeros_like(y));
    };
    return custom_vjp(body, forward, backward)(scores, labels);
  }
};

}  // namespace

Array cross_entropy_each(const Operand& logits, const Operand& labels, double smoothing) {
  const ModuleScope scope(logits.location);
  const Array scores = logits.as(logits.dtype());
  const Array wanted = labels.as(labels.dtype());
  Shape examples = scores.shape();
  if (!examples.empty()) examples.pop_back();
  if (scores.rank() == 0 || wanted.shape() != examples || !is_integer(wanted.dtype())) {
    const Array operands[] = {scores, wanted};
    detail::throw_operand_error("cross_entropy", logits.location, operands,
                                "logits are [..., classes] and labels integers [...]",
                                "labels are class numbers, not one-hot rows");
  }
  return CrossEntropy{smoothing}(scores, wanted);
}

Array cross_entropy(const Operand& logits, const Operand& labels, double smoothing) {
  const ModuleScope scope(logits.location);
  return mean(cross_entropy_each(logits, labels, smoothing));
}

Array weighted_cross_entropy(const Operand& logits, const Operand& labels, const Operand& weights, double smoothing) {
  const ModuleScope scope(logits.location);
  const Array each = cross_entropy_each(logits, labels, smoothing);
  const Array share = astype(weights, each.dtype());
  if (share.shape() != each.shape()) {
    const Array operands[] = {each, share};
    detail::throw_operand_error("weighted_cross_entropy", logits.location, operands,
                                "one weight for each label is needed", "");
  }
  const Array total = sum(share);
  return sum(each * share) / where(total == 0, 1, total);
}

Array binary_cross_entropy(const Operand& logits, const Operand& targets) {
  const ModuleScope scope(logits.location);
  return mean(softplus(logits) - logits * targets);
}

Array mean_squared_error(const Operand& prediction, const Operand& target) {
  const ModuleScope scope(prediction.location);
  const Array difference = prediction - target;
  return mean(difference * difference);
}

Array accuracy(const Operand& logits, const Operand& labels) {
  const ModuleScope scope(logits.location);
  return mean(astype(argmax(logits, -1) == labels, DType::F32));
}

}  // namespace tessera::nn
