// Control flow as it is called: scan, while_loop, fori_loop, cond, sort, argsort, top_k; through jit, grad, vmap,
// checkpoint. Values against loops in C++, derivatives against unrolled programs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tessera/tessera.hpp"

namespace tessera {
namespace {

std::vector<float> floats(const Array& a) { return a.to_vector<float>(); }

void expect_near(const Array& got, const Array& want, float tolerance = 1e-5F) {
  ASSERT_EQ(got.type(), want.type());
  const std::vector<float> a = floats(got), b = floats(want);
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], tolerance * std::max(1.0F, std::abs(b[i]))) << "element " << i;
}

Array normal(std::uint32_t seed, const Shape& shape) { return random::normal(Key(seed), shape) * 0.5F; }

struct Cell {
  Array input, state, bias;
  TESSERA_FIELDS(input, state, bias)

  Array operator()(const Array& h, const Array& x) const { return tanh(matmul(x, input) + matmul(h, state) + bias); }
};
Cell make_cell() { return {normal(1, {3, 4}), normal(2, {4, 4}), normal(3, {4})}; }

/// The sum of squares of all states, by a scan or step by step.
Array loss_of(const Cell& cell, const Array& h0, const Array& xs, ScanOptions options) {
  const auto [h, squares] = scan(
      [&](const Array& state, const Array& x) {
        const Array next = cell(state, x);
        return std::pair(next, sum(next * next));
      },
      h0, xs, options);
  return sum(squares) + sum(h);
}
Array unrolled_loss(const Cell& cell, Array h, const Array& xs, bool reverse) {
  Array total = 0.0F;
  for (std::int64_t i = 0; i < xs.shape(0); ++i) {
    h = cell(h, xs.at(reverse ? xs.shape(0) - 1 - i : i));
    total = total + sum(h * h);
  }
  return total + sum(h);
}

TEST(Scan, GradientsMatchThoseOfTheUnrolledLoop) {
  const Cell cell = make_cell();
  const Array h0 = normal(4, {2, 4}), xs = normal(5, {7, 2, 3});
  for (const bool reverse : {false, true}) {
    const auto unrolled = [&](const Cell& c, const Array& h, const Array& x) {
      return unrolled_loss(c, h, x, reverse);
    };
    const auto [want, want_gradients] = jit(value_and_grad<0, 1, 2>(unrolled))(cell, h0, xs);
    for (const std::int64_t checkpoint : {0, 1, 3, 7, 20}) {
      SCOPED_TRACE("reverse " + std::to_string(reverse) + ", checkpoint " + std::to_string(checkpoint));
      const auto scanned = [&](const Cell& c, const Array& h, const Array& x) {
        return loss_of(c, h, x, {.reverse = reverse, .checkpoint = checkpoint});
      };
      const auto [value, gradients] = jit(value_and_grad<0, 1, 2>(scanned))(cell, h0, xs);
      expect_near(value, want);
      expect_near(std::get<0>(gradients).input, std::get<0>(want_gradients).input);
      expect_near(std::get<0>(gradients).state, std::get<0>(want_gradients).state);
      expect_near(std::get<0>(gradients).bias, std::get<0>(want_gradients).bias);
      expect_near(std::get<1>(gradients), std::get<1>(want_gradients));
      expect_near(std::get<2>(gradients), std::get<2>(want_gradients));
    }
  }
}

struct State {
  Array total, count;
  TESSERA_FIELDS(total, count)
};

TEST(Scan, CarriesTreesInPlaceAndStacksTrees) {
  const auto run = [](const Array& xs) {
    return scan(
        [](State& s, const Array& x) {
          s.total += x;
          s.count += 1;
          return std::tuple(s.total * 2, s.count);
        },
        State{Array(0.0F), Array(0)}, xs);
  };
  const auto [state, stacked] = jit(run)(Array::from<float>({4}, {1, 2, 3, 4}));
  EXPECT_EQ(state.total.item<float>(), 10);
  EXPECT_EQ(state.count.item<int>(), 4);
  EXPECT_EQ(floats(std::get<0>(stacked)), (std::vector<float>{2, 6, 12, 20}));
  EXPECT_EQ(std::get<1>(stacked).to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 2, 3, 4}));
}

TEST(Scan, NothingToSliceAndNoSteps) {
  const auto [last, powers] = scan([](const Array& x, const std::tuple<>&) { return std::pair(x * 2, x); }, Array(1.0F),
                                   std::tuple<>(), {.length = 5});
  EXPECT_EQ(last.item<float>(), 32);
  EXPECT_EQ(floats(powers), (std::vector<float>{1, 2, 4, 8, 16}));
  const auto [same, none_made] =
      scan([](const Array& x, const Array& y) { return std::pair(x + y, y); }, Array(3.0F), zeros({0}));
  EXPECT_EQ(same.item<float>(), 3);
  EXPECT_EQ(none_made.shape(), Shape{0});
}

TEST(Scan, SecondDerivatives) {
  const Array xs = normal(6, {5});
  const auto scanned = [&](const Array& w) {
    return scan([&](const Array& h, const Array& x) { return std::pair(tanh(h * w + x), Array(0.0F)); }, Array(0.1F),
                xs)
        .first;
  };
  const auto unrolled = [&](const Array& w) {
    Array h = 0.1F;
    for (int i = 0; i < 5; ++i) h = tanh(h * w + xs.at(i));
    return h;
  };
  const Array w = 0.7F;
  expect_near(grad(grad(scanned))(w), grad(grad(unrolled))(w), 1e-4F);
  const auto forward = [](auto f) {
    return [f](const Array& v) { return jvp(f)(std::tuple(v), std::tuple(Array(1.0F))).second; };
  };
  expect_near(grad(forward(scanned))(w), grad(grad(unrolled))(w), 1e-4F);
  expect_near(forward(grad(scanned))(w), grad(grad(unrolled))(w), 1e-4F);
}

TEST(Scan, VectorisedOverSomeArguments) {
  const Cell cell = make_cell();
  const Array h0 = normal(4, {6, 2, 4}), xs = normal(5, {5, 6, 2, 3});
  const auto f = [&](const Array& h, const Array& x) {
    return scan([&](const Array& s, const Array& in) { return std::pair(cell(s, in), s); }, h, x);
  };
  const auto [last, states] = jit(vmap(f, axes(0, 1)))(h0, xs);
  for (int e = 0; e < 6; ++e) {
    const auto [one_last, one_states] = f(h0.at(e), xs.at(everything, e));
    expect_near(last.at(e), one_last);
    expect_near(states.at(e), one_states);
  }
}

TEST(Scan, AStepMayHaveADerivativeOfItsOwn) {
  const auto clipped =
      custom_vjp([](const Array& x) { return sin(x); }, [](const Array& x) { return std::pair(sin(x), x); },
                 [](const Array& x, const Array& t) { return std::tuple(t * cos(x) * 0.5F); });
  const auto scanned = [&](const Array& x) {
    auto f = clipped;
    return fori_loop(0, 3, [&](const Array&, const Array& v) { return f(v); }, x);
  };
  const float x = 0.8F;
  EXPECT_NEAR(scanned(Array(x)).item<float>(), std::sin(std::sin(std::sin(x))), 1e-6);
  const float slope = std::cos(std::sin(std::sin(x))) * std::cos(std::sin(x)) * std::cos(x) / 8;
  EXPECT_NEAR(grad(scanned)(Array(x)).item<float>(), slope, 1e-6);
}

TEST(Scan, DropoutDrawsAnewInEachStep) {
  const auto masks = [](const Key& key) {
    nn::Context context{.training = true, .key = key};
    const nn::Dropout dropout{0.5};
    return scan([&](nn::Context& c, const Array& x) { return dropout(x, c); }, context, ones({4, 100})).second;
  };
  const std::vector<float> drawn = floats(jit(masks)(Key(3)));
  for (int step = 0; step < 4; ++step) {
    const auto begin = drawn.begin() + 100 * step;
    const auto kept = std::count(begin, begin + 100, 2.0F);
    EXPECT_GT(kept, 25);
    EXPECT_LT(kept, 75);
    if (step > 0) {
      EXPECT_FALSE(std::equal(begin, begin + 100, drawn.begin()));
    }
  }
}

TEST(Scan, TrainsAsTheUnrolledLoopDoes) {
  const Array xs = normal(8, {6, 2, 3}), target = normal(9, {2, 4});
  const auto train = [&](auto run) {
    Cell model = make_cell();
    optim::Adam optimizer = optim::Adam(model);
    auto step = jit([&](Cell& m, optim::Adam& o, const Array& x) {
      const auto loss = [&](const Cell& c, const Array& in) {
        const Array error = run(c, in) - target;
        return sum(error * error);
      };
      auto [value, gradient] = value_and_grad(loss)(m, x);
      o.update(m, gradient);
      return value;
    });
    std::vector<float> losses;
    for (int i = 0; i < 5; ++i) losses.push_back(step(model, optimizer, xs).template item<float>());
    return losses;
  };
  const std::vector<float> scanned = train([](const Cell& c, const Array& x) {
    return scan([&](Array& h, const Array& in) { h = c(h, in); }, zeros({2, 4}), x);
  });
  const std::vector<float> unrolled = train([](const Cell& c, const Array& x) {
    Array h = zeros({2, 4});
    for (int i = 0; i < 6; ++i) h = c(h, x.at(i));
    return h;
  });
  EXPECT_LT(scanned[4], scanned[0]);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(scanned[i], unrolled[i], 1e-4F * scanned[0]) << i;
}

TEST(WhileLoop, StopsWhenItsConditionSaysSo) {
  // Collatz: steps until 1.
  const auto steps = [](const Array& start) {
    const auto [n, count] = while_loop([](const std::pair<Array, Array>& s) { return s.first > 1; },
                                       [](std::pair<Array, Array>& s) {
                                         s.first = where(s.first % 2 == 0, s.first / 2, 3 * s.first + 1);
                                         s.second += 1;
                                       },
                                       std::pair(start, Array(0)));
    return count;
  };
  EXPECT_EQ(jit(steps)(Array(27)).item<int>(), 111);
  EXPECT_EQ(steps(Array(1)).item<int>(), 0);
  // Each example stops by itself.
  const Array all = jit(vmap(steps))(Array::from<std::int32_t>({5}, {1, 2, 3, 7, 27}));
  EXPECT_EQ(all.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 1, 7, 16, 111}));
}

TEST(WhileLoop, ForwardModeAlone) {
  // x^(2^n) until it is large.
  const auto f = [](const Array& x) {
    return while_loop([](const Array& v) { return v < 100; }, [](const Array& v) { return v * v; }, x);
  };
  const auto [value, tangent] = jvp(f)(std::tuple(Array(2.0F)), std::tuple(Array(1.0F)));
  EXPECT_EQ(value.item<float>(), 256);
  EXPECT_EQ(tangent.item<float>(), 8 * 128);
  try {
    (void)grad(f)(Array(2.0F));
    FAIL() << "a while has no reverse derivative";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Unsupported);
    EXPECT_NE(std::string(error.what()).find("flow_test.cpp"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("use scan, or a fori_loop"), std::string::npos) << error.what();
  }
  // What does not depend on it has.
  const Array other = grad([&](const Array& x) { return stop_gradient(f(x)) + x * x; })(Array(2.0F));
  EXPECT_EQ(other.item<float>(), 4);
}

TEST(ForiLoop, BoundsThatAreKnownAndBoundsThatAreComputed) {
  const auto body = [](const Array& i, const Array& x) { return x * 0.5F + astype(i, DType::F32); };
  float want = 1;
  for (int i = 2; i < 9; ++i) want = want * 0.5F + static_cast<float>(i);
  EXPECT_EQ(fori_loop(2, 9, body, Array(1.0F)).item<float>(), want);
  EXPECT_EQ(fori_loop(9, 2, body, Array(1.0F)).item<float>(), 1);
  EXPECT_EQ(jit([&](const Array& end) { return fori_loop(2, end, body, Array(1.0F)); })(Array(9)).item<float>(), want);
  const Array slope = grad([&](const Array& x) { return fori_loop(0, 5, body, x); })(Array(1.0F));
  EXPECT_EQ(slope.item<float>(), 1.0F / 32);
}

TEST(Cond, TakesOneBranchAndItsGradient) {
  const Array scale = 3.0F;
  const auto f = [&](const Array& x, const Array& y) {
    return cond(
        x < y, [&](const Array& a, const Array& b) { return exp(a) * b * scale; },
        [](const Array& a, const Array& b) { return a - b * b; }, x, y);
  };
  const auto check = [&](float x, float y) {
    const auto [value, gradients] = jit(value_and_grad<0, 1>(f))(Array(x), Array(y));
    const bool less = x < y;
    EXPECT_NEAR(value.item<float>(), less ? std::exp(x) * y * 3 : x - y * y, 1e-4);
    EXPECT_NEAR(std::get<0>(gradients).item<float>(), less ? std::exp(x) * y * 3 : 1, 1e-4);
    EXPECT_NEAR(std::get<1>(gradients).item<float>(), less ? std::exp(x) * 3 : -2 * y, 1e-4);
  };
  check(1, 2);
  check(2, 1);
  const Array xs = Array::from<float>({3}, {0, 1, 2}), ys = Array::from<float>({3}, {1, 1, 1});
  const std::vector<float> each = floats(vmap(f)(xs, ys));
  EXPECT_NEAR(each[0], 3, 1e-5);
  EXPECT_NEAR(each[1], 0, 1e-5);
  EXPECT_NEAR(each[2], 1, 1e-5);
}

TEST(Orders, SortArgsortAndTopK) {
  const float nan = std::nanf("");
  const Array x = Array::from<float>({2, 5}, {3, -1, nan, 0, 2, 5, 5, -INFINITY, 7, 5});
  const auto text = [](const Array& a) {
    std::string list;
    for (const float v : floats(a))
      list += std::isnan(v) ? "nan " : std::to_string(static_cast<int>(std::max(v, -99.0F))) + " ";
    return list;
  };
  EXPECT_EQ(text(sort(x)), "-1 0 2 3 nan -99 5 5 5 7 ");
  EXPECT_EQ(text(sort(x, -1, true)), "3 2 0 -1 nan 7 5 5 5 -99 ");
  EXPECT_EQ(argsort(x).to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 3, 4, 0, 2, 2, 0, 1, 4, 3}));
  EXPECT_EQ(argsort(x, 1, true).to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 4, 3, 1, 2, 3, 0, 1, 4, 2}));
  EXPECT_EQ(text(sort(x, 0)), "3 -1 -99 0 2 5 5 nan 7 5 ");
  const auto [values, positions] = top_k(x, 2);
  EXPECT_EQ(text(values), "nan 3 7 5 ");
  EXPECT_EQ(positions.to_vector<std::int32_t>(), (std::vector<std::int32_t>{2, 0, 3, 0}));

  const std::int64_t n = 1000;
  const Array many = random::integers(Key(7), {n}, 0, 100);
  std::vector<std::int32_t> want = many.to_vector<std::int32_t>(), order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return want[static_cast<std::size_t>(a)] < want[static_cast<std::size_t>(b)];
  });
  EXPECT_EQ(jit([](const Array& a) { return argsort(a); })(many).to_vector<std::int32_t>(), order);
  std::stable_sort(want.begin(), want.end());
  EXPECT_EQ(sort(many).to_vector<std::int32_t>(), want);
  const Array slope =
      grad([](const Array& a) { return sum(sort(a) * arange(4, DType::F32)); })(Array::from<float>({4}, {3, 1, 4, 2}));
  EXPECT_EQ(floats(slope), (std::vector<float>{2, 0, 3, 1}));
}

/// The message of what `f` throws; it names this file.
template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_NE(std::string(error.what()).find("flow_test.cpp"), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}
#define EXPECT_MESSAGE(expression, text) \
  EXPECT_NE(message([&] { (void)(expression); }).find(text), std::string::npos) << message([&] { (void)(expression); })

TEST(Errors, SayWhatAndWhere) {
  const Array xs = zeros({4, 2}), h = zeros({2});
  const auto grows = [](const std::pair<Array, Array>& s, const Array& x) {
    return std::pair(std::pair(s.first + x, astype(s.second, DType::F32)), x);
  };
  EXPECT_MESSAGE(
      scan(grows, std::pair(h, Array(1)), xs),
      "the carried value '1' changes its type from step to step: it goes in as i32[] and comes out as f32[]");
  const auto fine = [](const Array& s, const Array& x) { return std::pair(s + x, x); };
  EXPECT_MESSAGE(scan(fine, h, Array(1.0F)), "scan goes through slices along dimension 0");
  EXPECT_MESSAGE(scan(fine, h, xs, {.length = 3}), "3 steps, but array 0 of what is sliced has 4 slices");
  EXPECT_MESSAGE(scan([](const Array& s, const std::tuple<>&) { return std::pair(s, s); }, h, std::tuple<>()),
                 "say how many steps there are");
  EXPECT_MESSAGE(while_loop([](const Array& s) { return s < 3; }, [](const Array& s) { return s; }, h),
                 "the condition returns one bool of no dimensions, not i1[2]");
  EXPECT_MESSAGE(cond(
                     h < 1, [](const Array& a) { return a; }, [](const Array& a) { return a; }, h),
                 "the condition must be one bool");
  EXPECT_MESSAGE(cond(
                     true, [](const Array& a) { return a; }, [](const Array& a) { return sum(a); }, h),
                 "result 0 is f32[2] where the condition holds, and f32[] where it does not");
  EXPECT_MESSAGE(top_k(h, 3), "k is 3 and the last dimension has 2 elements");
}

}  // namespace
}  // namespace tessera
