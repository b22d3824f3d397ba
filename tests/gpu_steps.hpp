// Training steps of the recipes' nets as graphs with arguments, for tests of backends.
#pragma once

#include "programs.hpp"
#include "tessera/array/jit.hpp"
#include "tessera/array/transforms.hpp"
#include "tessera/train/model.hpp"
#include "tessera/train/optimizer.hpp"

namespace tessera::testing {

struct TrainingStep {
  ir::GraphPtr graph;
  std::vector<Literal> arguments;
  std::vector<bool> donated;
};

/// One step of a recipe with these settings on `count` noisy pictures: the batch is drawn, augmented, differentiated,
/// and the parameters are updated. The optimizer's epsilon is large, so that rounding does not decide on signs.
inline TrainingStep training_step(const std::string& recipe, const std::vector<train::Setting>& settings,
                                  std::int64_t count, std::int64_t size) {
  using namespace train;
  set_default_device("cpu");
  const Config config = load_config(recipe, settings);
  const auto [net_key, image_key, label_key, step_key] = split<4>(Key(3));
  Classifier model;
  model.net = make_net(config, net_key, {size, size, 1}, 10);
  model.mean = Array(100.0F);
  model.deviation = Array(70.0F);
  Optimizer optimizer = make_optimizer(config, model);
  if (optimizer.adam) optimizer.adam->epsilon = Array(0.1F);
  const Array images = astype(random::integers(image_key, {count, size, size, 1}, 0, 256), DType::U8);
  const Array labels = random::integers(label_key, {count}, 0, 10);
  const Array order = random::permutation(label_key, static_cast<std::int32_t>(count));
  const Key key = step_key;
  auto step =
      jit([&](Classifier& m, Optimizer& o, const Array& x, const Array& y, const Array& sequence, const Key& k) {
        const auto [draw_key, dropout_key] = split<2>(k);
        const Array positions = dynamic_slice(sequence, {0}, {config.train.batch});
        const Array pixels = draw_batch(x, positions, {config.augment.shift, config.augment.flip}, draw_key);
        nn::Context context{.training = true, .key = dropout_key};
        auto loss = [](Classifier& c, const Array& in, const Array& wanted, nn::Context& inside) {
          const Array logits = c.net(c.normalised(in), inside);
          return std::pair(nn::cross_entropy(logits, wanted), nn::accuracy(logits, wanted));
        };
        auto [values, gradient] = value_and_grad(loss)(m, pixels, take(y, positions), context);
        o.update(m, gradient);
        return values;
      });
  TrainingStep result;
  const auto add = [&](const auto& tree) {
    auto copy = tree;
    for (const Array* leaf : detail::leaves_of(copy).arrays) {
      if (leaf->empty()) continue;
      const Literal value = leaf->literal();
      result.arguments.emplace_back(value.type());
      std::memcpy(result.arguments.back().data(), value.data(), value.bytes());
    }
  };
  add(model), add(optimizer), add(images), add(labels), add(order), add(key);
  set_default_device("null:cuda");
  (void)step(model, optimizer, images, labels, order, key);
  set_default_device("cpu");
  result.graph = step.latest()->graph;
  result.donated = step.latest()->donated;
  for (std::size_t i = result.arguments.size(); i < result.graph->parameters.size(); ++i)
    result.arguments.emplace_back(result.graph->type(result.graph->parameters[i]),
                                  step.latest()->captured.at(i - result.arguments.size()));
  return result;
}

}  // namespace tessera::testing
