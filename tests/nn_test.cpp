// Layers, losses and optimizers against closed forms and hand-computed steps; a small network learns.
#include <gtest/gtest.h>

#include <cmath>

#include "device.hpp"
#include "near.hpp"
#include "tessera/tessera.hpp"

namespace tessera {
namespace {

TEST(Nn, CrossEntropyIsMinusTheLogProbability) {
  const Array logits = Array::from<float>({2, 3}, {1, 2, 3, 0, 0, 0});
  const Array labels = Array::from<std::int32_t>({2}, {2, 1});
  const double first = -std::log(std::exp(3.0) / (std::exp(1.0) + std::exp(2.0) + std::exp(3.0)));
  expect_near(nn::cross_entropy_each(logits, labels),
              Array::from<float>({2}, {static_cast<float>(first), std::log(3.0F)}));
  const Array gradient = grad([&](const Array& x) { return nn::cross_entropy(x, labels); })(logits);
  expect_near(gradient, (softmax(logits) - one_hot(labels, 3)) / 2);
}

TEST(Nn, BatchNormNormalisesAndKeepsStatistics) {
  nn::BatchNorm norm(4);
  nn::Context context{.training = true, .key = Key(1)};
  const Array x = sample(1, {8, 5, 5, 4}) * 3 + 2;
  const Array y = norm(x, context);
  expect_near(mean(y, {0, 1, 2}), zeros({4}), 1e-4);
  expect_near(variance(y, {0, 1, 2}), ones({4}), 1e-3);
  expect_near(norm.mean, mean(x, {0, 1, 2}) * 0.1, 1e-4);
  const double n = 8 * 5 * 5;
  expect_near(norm.variance, variance(x, {0, 1, 2}) * (0.1 * n / (n - 1)) + 0.9, 1e-4);
  nn::Context evaluation = nn::Context::evaluation();
  const Buffer before = norm.mean;
  norm(x, evaluation);
  expect_near(norm.mean, before.value);
}

TEST(Nn, LayerNormAndActivations) {
  const Array x = sample(2, {4, 16}) * 2 + 1;
  const Array y = nn::LayerNorm(16)(x);
  expect_near(mean(y, {1}), zeros({4}), 1e-4);
  expect_near(variance(y, {1}), ones({4}), 1e-3);
  const Array v = Array::from<float>({3}, {-1, 0, 2});
  expect_near(nn::gelu(v), Array::from<float>({3}, {-0.15865526F, 0, 1.9544997F}));
  expect_near(nn::softplus(v), Array::from<float>({3}, {0.31326169F, 0.69314718F, 2.1269280F}));
  EXPECT_TRUE(std::isnan(relu(Array(NAN)).item<float>()));
  expect_near(grad([](const Array& a) { return sum(relu(a)); })(v), Array::from<float>({3}, {0, 0, 1}));
}

TEST(Nn, DropoutKeepsTheMeanAndStopsInEvaluation) {
  nn::Context context{.training = true, .key = Key(3)};
  const nn::Dropout dropout{0.25};
  const Array y = dropout(ones({10000}), context);
  EXPECT_NEAR(mean(y).item<double>(), 1, 0.03);
  EXPECT_NEAR(mean(astype(y == 0, DType::F32)).item<double>(), 0.25, 0.02);
  EXPECT_NE(sum(abs(y - dropout(ones({10000}), context))).item<double>(), 0) << "the key stream must move on";
  nn::Context evaluation = nn::Context::evaluation();
  expect_near(dropout(ones({4}), evaluation), ones({4}));
}

TEST(Nn, ConvolutionAndPoolingOnAKnownImage) {
  const Array image = reshape(arange(16, DType::F32), {1, 4, 4, 1});
  expect_near(nn::max_pool(image, 2), reshape(Array::from<float>({4}, {5, 7, 13, 15}), {1, 2, 2, 1}));
  expect_near(nn::avg_pool(image, 2), reshape(Array::from<float>({4}, {2.5, 4.5, 10.5, 12.5}), {1, 2, 2, 1}));
  nn::Conv2d conv(Key(1), 1, 1, 3);
  conv.weights = ones({3, 3, 1, 1});
  EXPECT_EQ(conv(image).at(0, 0, 0, 0).item<float>(), 0 + 1 + 4 + 5);
  EXPECT_EQ(conv(image).at(0, 1, 1, 0).item<float>(), 45);
}

struct Pair {
  Array a;
  int size = 0;
  TESSERA_FIELDS(a, size)
};

TEST(Optim, IsMadeForModelsAlone) {
  const auto made_for = []<class T>(std::type_identity<T>) {
    return std::is_constructible_v<optim::Sgd, T, double> && std::is_constructible_v<optim::Adam, T>;
  };
  static_assert(made_for(std::type_identity<Array>()));
  static_assert(made_for(std::type_identity<Pair>()));
  static_assert(made_for(std::type_identity<std::vector<Pair>>()));
  static_assert(made_for(std::type_identity<std::map<std::string, std::optional<Array>>>()));
  static_assert(made_for(std::type_identity<std::pair<int, Array>>()));
  static_assert(!made_for(std::type_identity<double>()), "the model was forgotten");
  static_assert(!made_for(std::type_identity<std::string>()));
  static_assert(!made_for(std::type_identity<std::vector<float>>()));
  static_assert(!made_for(std::type_identity<std::tuple<int, double>>()));
  static_assert(!made_for(std::type_identity<Buffer>()), "no parameter");
}

TEST(Optim, SgdAndAdamTakeTheTextbookStep) {
  const Array start = Array::from<float>({2}, {1, -1});
  const Array g = Array::from<float>({2}, {0.5, 0.25});
  Array p = start;
  optim::Sgd sgd(p, 0.1, 0.9);
  sgd.update(p, g);
  expect_near(p, start - 0.1 * g);
  sgd.update(p, g);
  expect_near(p, start - 0.1 * g - 0.1 * 1.9 * g);
  Array q = start;
  optim::Adam adam(q, 0.01);
  adam.update(q, g);
  expect_near(q, start - 0.01 * sign(g), 1e-4);
}

TEST(Optim, SchedulesStartPeakAndEnd) {
  const optim::Schedule cosine{
      .kind = optim::Schedule::Kind::Cosine, .peak = 1, .final = 0.1, .warmup = 10, .total = 110};
  EXPECT_DOUBLE_EQ(cosine(0), 0.1);
  EXPECT_DOUBLE_EQ(cosine(9), 1);
  EXPECT_DOUBLE_EQ(cosine(10), 1);
  EXPECT_NEAR(cosine(60), 0.55, 1e-12);
  EXPECT_NEAR(cosine(110), 0.1, 1e-12);
}

TEST(Optim, InverseSquareRootFallsFromThePeak) {
  const optim::Schedule schedule{.kind = optim::Schedule::Kind::InverseSqrt, .peak = 0.5, .warmup = 100};
  EXPECT_DOUBLE_EQ(schedule(0), 0.005);
  EXPECT_DOUBLE_EQ(schedule(99), 0.5);
  EXPECT_NEAR(schedule(100), 0.5, 3e-3);
  EXPECT_DOUBLE_EQ(schedule(399), 0.25);
  EXPECT_DOUBLE_EQ((optim::Schedule{.kind = optim::Schedule::Kind::InverseSqrt, .peak = 1})(3), 0.5);
}

TEST(Optim, AverageFollowsTheParameters) {
  Pair model{Array::from<float>({2}, {1, 2}), 3};
  optim::Average average(model, 0.8);
  std::vector<double> want{1, 2};
  auto step = jit([](Pair& m, optim::Average& a) {
    m.a = m.a * 2;
    a.update(m);
  });
  for (int n = 1; n <= 40; ++n) {
    step(model, average);
    if (n % 10 == 0) model.a = Array::from<float>({2}, {1, 2});
    const double keep = std::min(0.8, (1.0 + n) / (10.0 + n));
    const double now = std::exp2(n % 10 == 0 ? 10 : n % 10);
    for (int i = 0; i < 2; ++i) want[i] = keep * want[i] + (1 - keep) * (i + 1) * now;
  }
  const Pair averaged = average.averaged(model);
  EXPECT_EQ(averaged.size, 3);
  expect_near(averaged.a, astype(Array::from<double>({2}, want), DType::F32));
  expect_near(model.a, Array::from<float>({2}, {1, 2}));
  EXPECT_THROW(average.update(Pair{zeros({3}), 3}), Error);
}

struct Mlp {
  nn::Linear hidden, out;
  TESSERA_FIELDS(hidden, out)
};

TEST(Training, ASmallNetworkLearnsAndTheJitAgreesWithPlainCalls) {
  const auto keys = split<3>(Key(4));
  const Array x = random::normal(keys[0], {64, 2});
  const Array y = astype(x.at(everything, 0) * x.at(everything, 1) > 0, DType::I32);
  auto loss = [](Mlp& m, const Array& images, const Array& labels) {
    return nn::cross_entropy(m.out(tanh(m.hidden(images))), labels);
  };
  auto update = [loss](Mlp& m, optim::Adam& optimizer, const Array& images, const Array& labels) {
    auto [value, gradient] = value_and_grad(loss)(m, images, labels);
    optimizer.update(m, gradient);
    return value;
  };
  const Mlp start{nn::Linear(keys[1], 2, 16), nn::Linear(keys[2], 16, 2)};
  Mlp plain = start;
  Mlp compiled = start;
  optim::Adam plain_optimizer(plain, 0.03);
  optim::Adam optimizer(compiled, 0.03);
  auto step = jit(update);
  update(plain, plain_optimizer, x, y);
  const double first = step(compiled, optimizer, x, y).item<double>();
  expect_near(compiled.hidden.weights, plain.hidden.weights, 1e-4);
  double last = first;
  for (int i = 0; i < 200; ++i) last = step(compiled, optimizer, x, y).item<double>();
  EXPECT_EQ(step.compiled(), 1U);
  EXPECT_LT(last, 0.2 * first);
}

}  // namespace
}  // namespace tessera
