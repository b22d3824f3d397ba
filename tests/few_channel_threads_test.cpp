// Few-channel convolutions with their ReLU, pooling and gradients, against plain loops written here.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tessera/backend/cpu/few_channel.hpp"
#include "tessera/core/storage.hpp"

namespace tessera::cpu {
namespace {

using Vector = std::vector<float>;

/// Values with few bits, so that sums of products are exact in any order, and ties in pooling do occur.
Vector small_values(std::size_t n, std::mt19937& random) {
  std::uniform_int_distribution<int> value(-4, 4);
  Vector v(n);
  for (float& x : v) x = static_cast<float>(value(random)) * 0.25F;
  return v;
}

/// Indices into channels-last tensors.
struct Plain {
  FewChannelShape s;
  [[nodiscard]] std::size_t image(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
    return static_cast<std::size_t>(((n * s.height + h) * s.width + w) * s.channels + c);
  }
  [[nodiscard]] std::size_t weight(std::int64_t r, std::int64_t k, std::int64_t c, std::int64_t f) const {
    return static_cast<std::size_t>(((r * s.kernel_width + k) * s.channels + c) * s.features + f);
  }
  [[nodiscard]] std::size_t sum(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t f) const {
    return static_cast<std::size_t>(((n * s.out_height + h) * s.out_width + w) * s.features + f);
  }
  [[nodiscard]] std::size_t pooled(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t f) const {
    return static_cast<std::size_t>(((n * (s.out_height / 2) + h) * (s.out_width / 2) + w) * s.features + f);
  }
  /// Calls f(n, h, w, feature, r, k, channel) for every product of the convolution.
  template <class F>
  void products(F f) const {
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t h = 0; h < s.out_height; ++h)
        for (std::int64_t w = 0; w < s.out_width; ++w)
          for (std::int64_t r = 0; r < s.kernel_height; ++r)
            for (std::int64_t k = 0; k < s.kernel_width; ++k) {
              const std::int64_t y = h + r - s.low_height, x = w + k - s.low_width;
              if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
              for (std::int64_t c = 0; c < s.channels; ++c)
                for (std::int64_t o = 0; o < s.features; ++o)
                  f(image(n, y, x, c), weight(r, k, c, o), sum(n, h, w, o), o);
            }
  }
};

void check(const FewChannelShape& s, int threads, int lanes, std::mt19937& random) {
  SCOPED_TRACE(testing::Message() << s.batch << "x" << s.height << "x" << s.width << "x" << s.channels << " to "
                                  << s.features << ", kernel " << s.kernel_height << "x" << s.kernel_width << ", low "
                                  << s.low_height << "," << s.low_width << ", out " << s.out_height << "x"
                                  << s.out_width << (s.pool ? ", pooled" : "") << ", threads " << threads << ", lanes "
                                  << lanes);
  const Plain plain{s};
  const FewChannel convolution(s, threads, lanes);
  const auto count = [](std::initializer_list<std::int64_t> extents) {
    std::int64_t n = 1;
    for (const std::int64_t e : extents) n *= e;
    return static_cast<std::size_t>(n);
  };
  const Vector x = small_values(count({s.batch, s.height, s.width, s.channels}), random);
  const Vector weights = small_values(count({s.kernel_height, s.kernel_width, s.channels, s.features}), random);
  const Vector bias = small_values(count({s.features}), random);
  const std::size_t sums = count({s.batch, s.out_height, s.out_width, s.features});
  const std::size_t results = count({s.batch, convolution.result_height(), convolution.result_width(), s.features});
  const Vector gradient = small_values(results, random);

  // Forward, and where each result's gradient goes.
  Vector sum(sums), want(results);
  for (std::size_t i = 0; i < sums; ++i) sum[i] = bias[i % bias.size()];
  plain.products([&](std::size_t i, std::size_t w, std::size_t o, std::int64_t) { sum[o] += x[i] * weights[w]; });
  Vector sum_gradient = s.pool ? Vector(sums, 0.0F) : gradient;
  if (!s.pool) want = sum;
  for (std::int64_t n = 0; s.pool && n < s.batch; ++n)
    for (std::int64_t h = 0; h < s.out_height / 2; ++h)
      for (std::int64_t w = 0; w < s.out_width / 2; ++w)
        for (std::int64_t f = 0; f < s.features; ++f) {
          std::size_t best = plain.sum(n, 2 * h, 2 * w, f);
          for (const std::size_t i : {plain.sum(n, 2 * h, 2 * w + 1, f), plain.sum(n, 2 * h + 1, 2 * w, f),
                                      plain.sum(n, 2 * h + 1, 2 * w + 1, f)})
            if (sum[i] > sum[best]) best = i;
          want[plain.pooled(n, h, w, f)] = std::max(0.0F, sum[best]);
          if (sum[best] > 0) sum_gradient[best] = gradient[plain.pooled(n, h, w, f)];
        }
  Vector weights_gradient(weights.size(), 0.0F), bias_gradient(bias.size(), 0.0F), images_gradient(x.size(), 0.0F);
  plain.products([&](std::size_t i, std::size_t w, std::size_t o, std::int64_t) {
    weights_gradient[w] += x[i] * sum_gradient[o];
    images_gradient[i] += weights[w] * sum_gradient[o];
  });
  for (std::size_t i = 0; i < sums; ++i) bias_gradient[i % bias.size()] += sum_gradient[i];

  const float nan = std::numeric_limits<float>::quiet_NaN();
  const StoragePtr scratch = allocate_host(convolution.scratch_bytes() + 64),
                   choice = allocate_host(convolution.choice_bytes());
  std::fill_n(reinterpret_cast<float*>(scratch->data()), scratch->bytes() / sizeof(float), nan);
  auto* const choices = reinterpret_cast<std::uint8_t*>(choice->data());
  Vector got(results, nan), got_weights(weights.size(), nan), got_bias(bias.size(), nan), got_images(x.size(), nan);
  convolution.forward(x.data(), weights.data(), bias.data(), got.data(), choices, scratch->data());
  EXPECT_EQ(got, want);
  convolution.backward(x.data(), weights.data(), gradient.data(), choices, got_weights.data(), got_bias.data(),
                       got_images.data(), scratch->data());
  EXPECT_EQ(got_weights, weights_gradient);
  EXPECT_EQ(got_bias, bias_gradient);
  EXPECT_EQ(got_images, images_gradient);
  // Each alone.
  Vector again(weights.size(), nan);
  convolution.backward(x.data(), nullptr, gradient.data(), choices, again.data(), nullptr, nullptr, scratch->data());
  EXPECT_EQ(again, weights_gradient);
  again.assign(x.size(), nan);
  convolution.backward(nullptr, weights.data(), gradient.data(), choices, nullptr, nullptr, again.data(),
                       scratch->data());
  EXPECT_EQ(again, images_gradient);
  const float* const end = reinterpret_cast<const float*>(scratch->data() + convolution.scratch_bytes());
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(std::isnan(end[i])) << "written past the scratch";
}

std::vector<int> lane_counts() {
  if (FewChannel::widest() == 0) return {};
  return FewChannel::widest() == 16 ? std::vector<int>{8, 16} : std::vector<int>{8};
}

TEST(FewChannel, ThoseOfKnownNets) {
  std::mt19937 random(1);
  for (const int lanes : lane_counts()) {
    const int threads = lanes == 8 ? 1 : 2;
    check({17, 28, 28, 1, 6, 5, 5, 2, 2, 28, 28, true}, threads, lanes, random);
    check({16, 14, 14, 6, 16, 5, 5, 0, 0, 10, 10, true}, threads, lanes, random);
    check({5, 12, 12, 1, 32, 3, 3, 1, 1, 12, 12, true}, threads, lanes, random);
    check({33, 9, 9, 3, 8, 3, 3, 1, 1, 9, 9, false}, threads, lanes, random);
  }
}

TEST(FewChannel, RandomShapes) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](int low, int high) {
    return std::int64_t{std::uniform_int_distribution<int>(low, high)(random)};
  };
  for (int round = 0; round < 40; ++round) {
    FewChannelShape s;
    s.batch = pick(1, 20);
    s.height = pick(3, 10);
    s.width = pick(3, 10);
    s.channels = pick(1, 7);
    s.features = pick(1, 14);
    s.kernel_height = pick(1, 4);
    s.kernel_width = pick(1, 4);
    s.low_height = pick(0, static_cast<int>(s.kernel_height) - 1);
    s.low_width = pick(0, static_cast<int>(s.kernel_width) - 1);
    // Padding above and below, or an input whose end is left out.
    s.out_height = std::max<std::int64_t>(
        1, s.height + s.low_height - s.kernel_height + 1 + pick(-1, static_cast<int>(s.kernel_height) - 1));
    s.out_width = std::max<std::int64_t>(
        1, s.width + s.low_width - s.kernel_width + 1 + pick(-1, static_cast<int>(s.kernel_width) - 1));
    s.pool = s.out_height > 1 && s.out_width > 1 && pick(0, 1) == 1;
    for (const int lanes : lane_counts()) check(s, static_cast<int>(pick(1, 3)), lanes, random);
  }
}

TEST(FewChannel, NaNsAreKept) {
  for (const int lanes : lane_counts()) {
    const FewChannelShape s{2, 4, 4, 1, 1, 1, 1, 0, 0, 4, 4, true};
    const FewChannel convolution(s, 1, lanes);
    for (int place = 0; place < 4; ++place) {
      Vector x(32, 1.0F), result(8, 0.0F);
      const float weight = 2;
      x[static_cast<std::size_t>(place / 2 * 4 + place % 2)] = std::numeric_limits<float>::quiet_NaN();
      const StoragePtr scratch = allocate_host(convolution.scratch_bytes()),
                       choice = allocate_host(convolution.choice_bytes());
      convolution.forward(x.data(), &weight, nullptr, result.data(), reinterpret_cast<std::uint8_t*>(choice->data()),
                          scratch->data());
      EXPECT_TRUE(std::isnan(result[0])) << place;
      for (std::size_t i = 1; i < 8; ++i) EXPECT_EQ(result[i], 2.0F);
    }
  }
}

}  // namespace
}  // namespace tessera::cpu
