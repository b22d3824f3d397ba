// Optimizers, clipping and schedules. An optimizer is a tree like a model: its hyperparameters are arrays, so that they
// change between steps without a new program; its moments are buffers.
#pragma once

#include <cmath>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/array/ops.hpp"
#include "tessera/array/tree.hpp"

namespace tessera::optim {

namespace detail {

template <class T>
constexpr bool may_hold_parameters() {
  namespace trees = tessera::detail;
  if constexpr (std::is_same_v<T, Array> || trees::HasFields<T>)
    return true;
  else if constexpr (trees::IsVector<T>::value || trees::IsOptional<T>::value)
    return may_hold_parameters<typename T::value_type>();
  else if constexpr (trees::IsMap<T>::value)
    return may_hold_parameters<typename T::mapped_type>();
  else if constexpr (trees::TupleLike<T>)
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (may_hold_parameters<std::tuple_element_t<I, T>>() || ...);
    }(std::make_index_sequence<std::tuple_size_v<T>>());
  else if constexpr (trees::IsVariant<T>::value)
    return []<class... A>(const std::variant<A...>*) {
      return (may_hold_parameters<A>() || ...);
    }(static_cast<const T*>(nullptr));
  else
    return false;
}

}  // namespace detail

/// What an optimizer can be made for: an Array, a struct with TESSERA_FIELDS, or a standard container of these.
template <class T>
concept Model = detail::may_hold_parameters<std::remove_cv_t<T>>();

namespace detail {

/// The float parameters of a model, in order.
template <Model M>
std::vector<Array*> parameters_of(M& model) {
  auto leaves = tessera::detail::leaves_of(model);
  std::vector<Array*> list;
  for (std::size_t i = 0; i < leaves.arrays.size(); ++i)
    if (leaves.roles[i] == Role::Parameter && is_float(leaves.arrays[i]->dtype())) list.push_back(leaves.arrays[i]);
  return list;
}

/// The gradients that belong to them: the leaves that are not empty.
template <Model M>
std::vector<Array> gradients_of(const M& gradient) {
  std::vector<Array> list;
  for (Array& leaf : flatten_tree(gradient))
    if (!leaf.empty()) list.push_back(std::move(leaf));
  return list;
}

template <Model M>
std::vector<Buffer> zero_moments(const M& model) {
  M copy = model;
  std::vector<Buffer> moments;
  for (const Array* parameter : parameters_of(copy)) moments.emplace_back(zeros_like(*parameter));
  return moments;
}

}  // namespace detail

/// Gradient descent with momentum (v = momentum v + g; p -= rate v), as PyTorch defines it.
struct Sgd {
  Array learning_rate, momentum, decay;
  std::vector<Buffer> velocity;
  bool nesterov = false;
  TESSERA_FIELDS(learning_rate, momentum, decay, velocity, nesterov)

  Sgd() = default;
  /// For the parameters of `model`, a Model. `l2` is decay, added to the gradients of parameters with more than one
  /// dimension.
  template <Model M>
  explicit Sgd(const M& model, double rate, double momentum_factor = 0, double l2 = 0)
      : learning_rate(rate), momentum(momentum_factor), decay(l2), velocity(detail::zero_moments(model)) {}

  /// One step down the gradient of `model`, which has its type.
  template <Model M>
  void update(M& model, const M& gradient, std::source_location at = std::source_location::current()) {
    step(detail::parameters_of(model), detail::gradients_of(gradient), at);
  }
  void step(const std::vector<Array*>& parameters, const std::vector<Array>& gradients, Location at);
};

/// Adam (Kingma and Ba, 2015); with `decoupled`, AdamW (Loshchilov and Hutter, 2019). Decay touches only parameters
/// with more than one dimension.
struct Adam {
  Array learning_rate, beta1, beta2, epsilon, decay;
  Buffer count;  ///< steps done, f32
  std::vector<Buffer> first, second;
  bool decoupled = false;
  TESSERA_FIELDS(learning_rate, beta1, beta2, epsilon, decay, count, first, second, decoupled)

  Adam() = default;
  /// For the parameters of `model`, a Model.
  template <Model M>
  explicit Adam(const M& model, double rate = 1e-3, double first_decay = 0.9, double second_decay = 0.999,
                double l2 = 0)
      : learning_rate(rate),
        beta1(first_decay),
        beta2(second_decay),
        epsilon(1e-8),
        decay(l2),
        count(Array(0.0F)),
        first(detail::zero_moments(model)),
        second(detail::zero_moments(model)) {}

  /// One step down the gradient of `model`, which has its type.
  template <Model M>
  void update(M& model, const M& gradient, std::source_location at = std::source_location::current()) {
    step(detail::parameters_of(model), detail::gradients_of(gradient), at);
  }
  void step(const std::vector<Array*>& parameters, const std::vector<Array>& gradients, Location at);
};

/// AdamW for the parameters of `model`, a Model.
template <Model M>
Adam adamw(const M& model, double rate = 1e-3, double decay = 0.01) {
  Adam adam(model, rate, 0.9, 0.999, decay);
  adam.decoupled = true;
  return adam;
}

/// The L2 norm over all arrays of a tree; empty leaves do not count.
template <class Tree>
Array global_norm(const Tree& gradient) {
  Array total = 0.0F;
  for (const Array& leaf : flatten_tree(gradient))
    if (!leaf.empty()) total = total + sum(leaf * leaf);
  return sqrt(total);
}

/// The tree scaled down so that its global norm is at most `largest`.
template <class Tree>
Tree clip_by_global_norm(const Tree& gradient, double largest) {
  const Array factor = minimum(largest / maximum(global_norm(gradient), 1e-12), 1.0F);
  return map_tree(gradient, [&](const Array& leaf) { return leaf.empty() ? leaf : leaf * factor; });
}

/// The exponential moving average of a model's parameters over the steps of a run: what is evaluated in its place.
/// Of the first steps it forgets more: the decay of step n is at most (1 + n) / (10 + n), so that it does not stay
/// where the model began.
struct Average {
  Array decay;
  Buffer count;  ///< steps done, f32
  std::vector<Buffer> values;
  TESSERA_FIELDS(decay, count, values)

  Average() = default;
  /// For the parameters of `model`, a Model.
  template <Model M>
  explicit Average(const M& model, double of_before = 0.999) : decay(of_before), count(Array(0.0F)) {
    M copy = model;
    for (const Array* parameter : detail::parameters_of(copy)) values.emplace_back(*parameter);
  }

  /// After each step of the optimizer.
  template <Model M>
  void update(const M& model, std::source_location at = std::source_location::current()) {
    M copy = model;
    step(detail::parameters_of(copy), at);
  }
  /// `model` with the averaged parameters in place of its own.
  template <Model M>
  [[nodiscard]] M averaged(M model, std::source_location at = std::source_location::current()) const {
    put(detail::parameters_of(model), at);
    return model;
  }
  void step(const std::vector<Array*>& parameters, Location at);
  void put(const std::vector<Array*>& parameters, Location at) const;
};

/// A learning rate over the steps of a run. InverseSqrt falls with the square root of the steps done, from the peak at
/// the end of warm-up (Vaswani et al., 2017).
struct Schedule {
  enum class Kind : std::uint8_t { Constant, Cosine, InverseSqrt } kind = Kind::Constant;
  double peak = 1e-3;       ///< after warm-up
  double final = 0;         ///< Cosine: at the end
  std::int64_t warmup = 0;  ///< steps of linear rise from 0
  std::int64_t total = 1;   ///< Cosine: steps of the whole run

  /// The rate of step `step`, counted from 0.
  [[nodiscard]] double operator()(std::int64_t step) const;
};

}  // namespace tessera::optim
