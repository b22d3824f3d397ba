// The optimizer that a recipe names, for a model of any type. Used by the tasks (train/task.hpp).
#pragma once

#include <optional>

#include "tessera/optim/optim.hpp"
#include "tessera/train/config.hpp"

namespace tessera::train {

struct Optimizer {
  std::optional<optim::Sgd> sgd;
  std::optional<optim::Adam> adam;
  std::optional<optim::Average> average;  ///< of the parameters: what is measured and used in their place
  double clip = 0;
  TESSERA_FIELDS(sgd, adam, average, clip)

  Optimizer() = default;
  template <optim::Model M>
  void update(M& model, const M& gradient) {
    const M used = clip > 0 ? optim::clip_by_global_norm(gradient, clip) : gradient;
    if (sgd)
      sgd->update(model, used);
    else
      adam->update(model, used);
    if (average) average->update(model);
  }
  /// The hyperparameter, which changes from step to step.
  Array& learning_rate() { return sgd ? sgd->learning_rate : adam->learning_rate; }
};

template <optim::Model M>
Optimizer make_optimizer(const Config& config, const M& model) {
  const auto& o = config.optimizer;
  Optimizer result;
  result.clip = o.clip;
  if (o.kind == "sgd")
    result.sgd.emplace(model, o.rate, o.momentum, o.decay);
  else if (o.kind == "adam")
    result.adam.emplace(model, o.rate, 0.9, 0.999, o.decay);
  else
    result.adam.emplace(optim::adamw(model, o.rate, o.decay));
  if (config.train.average > 0) result.average.emplace(model, config.train.average);
  return result;
}

/// Parameters of a model that are trained.
template <class Tree>
std::int64_t parameter_count(const Tree& model) {
  std::int64_t count = 0;
  for_each_leaf(model, [&](const std::string&, const Array& leaf, Role role) {
    count += role == Role::Parameter ? leaf.size() : 0;
  });
  return count;
}

}  // namespace tessera::train
