// One training step of a multilayer perceptron, to look inside with TESSERA_DUMP=DIR; docs/tour.md walks through it.
#include <cstdio>
#include <tessera/tessera.hpp>

using namespace tessera;

struct Mlp {
  nn::Linear hidden, logits;
  TESSERA_FIELDS(hidden, logits)
};

int main() {
  auto loss = [](Mlp& model, const Array& x, const Array& y) {
    return nn::cross_entropy(model.logits(relu(model.hidden(x))), y);
  };
  auto step = jit(
      [loss](Mlp& model, optim::Sgd& optimizer, const Array& x, const Array& y) {
        auto [value, gradient] = value_and_grad(loss)(model, x, y);
        optimizer.update(model, gradient);
        return value;
      },
      {.name = "step"});

  const auto keys = split<4>(Key(1));
  Mlp model{{keys[0], 784, 128}, {keys[1], 128, 10}};
  optim::Sgd optimizer(model, 0.1, 0.9);
  const Array x = random::uniform(keys[2], {64, 784});
  const Array y = random::integers(keys[3], {64}, 0, 10);
  std::printf("loss %.6f\n", step(model, optimizer, x, y).item<double>());
}
