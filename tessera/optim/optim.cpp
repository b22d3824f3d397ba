// Update rules of the optimizers.
#include "tessera/optim/optim.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>

#include "tessera/array/trace.hpp"

namespace tessera::optim {
namespace {

void check(const std::vector<Array*>& parameters, const std::vector<Array>& gradients, std::size_t moments,
           Location at) {
  if (parameters.size() != gradients.size() || parameters.size() != moments)
    tessera::detail::throw_usage(at, fmt::format("the optimizer was made for {} parameters; the model has {} and the "
                                                 "gradient {}\n  hint: construct the optimizer from this model",
                                                 moments, parameters.size(), gradients.size()));
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i]->shape() != gradients[i].shape()) {
      const Array operands[] = {*parameters[i], gradients[i]};
      tessera::detail::throw_operand_error("update", at, operands,
                                           fmt::format("gradient {} does not have the shape of its parameter", i), "");
    }
}

void check_average(const std::vector<Array*>& parameters, const std::vector<Buffer>& values, Location at) {
  bool fits = parameters.size() == values.size();
  for (std::size_t i = 0; fits && i < values.size(); ++i) fits = parameters[i]->type() == values[i].value.type();
  if (!fits)
    tessera::detail::throw_usage(at,
                                 "the average was made for a model with other parameters\n  hint: construct it from "
                                 "this model");
}

bool decays(const Array& parameter) { return parameter.rank() > 1; }

}  // namespace

void Sgd::step(const std::vector<Array*>& parameters, const std::vector<Array>& gradients, Location at) {
  const tessera::detail::ModuleScope scope(at);
  check(parameters, gradients, velocity.size(), at);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Array& p = *parameters[i];
    const Array g = decays(p) ? gradients[i] + decay * p : gradients[i];
    const Array v = momentum * velocity[i] + g;
    velocity[i] = v;
    p = p - learning_rate * (nesterov ? g + momentum * v : v);
  }
}

void Adam::step(const std::vector<Array*>& parameters, const std::vector<Array>& gradients, Location at) {
  const tessera::detail::ModuleScope scope(at);
  check(parameters, gradients, first.size(), at);
  count = count.value + 1.0F;
  const Array correction1 = 1.0F - pow(beta1, count);
  const Array correction2 = 1.0F - pow(beta2, count);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Array& p = *parameters[i];
    const Array g = decays(p) && !decoupled ? gradients[i] + decay * p : gradients[i];
    const Array m = beta1 * first[i] + (1.0F - beta1) * g;
    const Array v = beta2 * second[i] + (1.0F - beta2) * (g * g);
    first[i] = m;
    second[i] = v;
    Array direction = (m / correction1) / (sqrt(v / correction2) + epsilon);
    if (decays(p) && decoupled) direction = direction + decay * p;
    p = p - learning_rate * direction;
  }
}

void Average::step(const std::vector<Array*>& parameters, Location at) {
  const tessera::detail::ModuleScope scope(at);
  check_average(parameters, values, at);
  count = count.value + 1.0F;
  const Array keep = minimum(decay, (1.0F + count.value) / (10.0F + count.value));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Array& before = values[i].value;
    values[i] = before + (1.0F - keep) * (*parameters[i] - before);
  }
}

void Average::put(const std::vector<Array*>& parameters, Location at) const {
  check_average(parameters, values, at);
  for (std::size_t i = 0; i < values.size(); ++i) *parameters[i] = values[i];
}

double Schedule::operator()(std::int64_t step) const {
  if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (kind == Kind::Constant) return peak;
  if (kind == Kind::InverseSqrt)
    return peak * std::sqrt(static_cast<double>(std::max<std::int64_t>(1, warmup)) / static_cast<double>(step + 1));
  const std::int64_t span = std::max<std::int64_t>(1, total - warmup);
  const double progress = std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(span));
  return final + 0.5 * (peak - final) * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace tessera::optim
