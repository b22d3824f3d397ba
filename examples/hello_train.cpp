// The smallest training program: a convolutional network on random images, to show every part once.
// Build it against an installed Tessera (find_package(Tessera CONFIG REQUIRED), Tessera::tessera).
#include <cstdio>
#include <tessera/tessera.hpp>

using namespace tessera;

struct Cnn {
  nn::Conv2d conv1, conv2;
  nn::BatchNorm norm;
  nn::Dropout dropout;
  nn::Linear hidden, logits;
  TESSERA_FIELDS(conv1, conv2, norm, dropout, hidden, logits)

  Array operator()(const Array& images, nn::Context& context) {  // [batch, 28, 28, 1]
    Array h = nn::max_pool(relu(conv1(images)), 2);
    h = nn::max_pool(relu(norm(conv2(h), context)), 2);
    h = dropout(relu(hidden(flatten(h, 1))), context);
    return logits(h);  // [batch, 10]
  }
};

Cnn make_cnn(const Key& key) {
  const auto k = split<4>(key);
  return {.conv1 = {k[0], 1, 8, 3},
          .conv2 = {k[1], 8, 16, 3},
          .norm = {16},
          .dropout = {0.25},
          .hidden = {k[2], 784, 32},
          .logits = {k[3], 32, 10}};
}

int main() {
  auto loss = [](Cnn& model, const Array& x, const Array& y, nn::Context& context) {
    return nn::cross_entropy(model(x, context), y);
  };
  auto step = jit([loss](Cnn& model, optim::Adam& optimizer, const Array& x, const Array& y, nn::Context& context) {
    auto [value, gradient] = value_and_grad(loss)(model, x, y, context);
    optimizer.update(model, gradient);
    return value;
  });

  const auto keys = split<4>(Key(42));
  Cnn model = jit(make_cnn)(keys[0]);
  optim::Adam optimizer(model, 1e-3);
  nn::Context context{.training = true, .key = keys[1]};
  const Array images = random::normal(keys[2], {64, 28, 28, 1});
  const Array labels = random::integers(keys[3], {64}, 0, 10);
  for (int i = 0; i < 30; ++i) {
    const Array value = step(model, optimizer, images, labels, context);
    if (i % 5 == 0) std::printf("step %2d  loss %.4f\n", i, value.item<double>());
  }
}
