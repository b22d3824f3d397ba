// jit, grad, vmap, jvp, vjp, checkpoint, custom_vjp as they are called, alone and composed; trees and in-out arguments.
#include <gtest/gtest.h>

#include <cmath>

#include "device.hpp"
#include "near.hpp"
#include "tessera/tessera.hpp"

namespace tessera {
namespace {

auto cube = [](const Array& x) { return sum(x * x * x); };

struct Affine {
  Array w, b;
  Buffer calls;
  int power = 1;
  TESSERA_FIELDS(w, b, calls, power)
};

TEST(Jit, CompilesOncePerSignature) {
  auto f = jit([](const Array& x) { return x * 2 + 1; });
  expect_near(f(arange(3, DType::F32)), Array::from<float>({3}, {1, 3, 5}));
  f(ones({3}));
  EXPECT_EQ(f.compiled(), 1U);
  f(ones({4}));
  f(ones({3}, DType::F64));
  EXPECT_EQ(f.compiled(), 3U);
  auto copy = f;
  copy(ones({4}));
  EXPECT_EQ(copy.compiled(), 3U);
}

TEST(Jit, UpdatesInOutArgumentsAndStaticLeaves) {
  auto f = jit([](Affine& m, const Array& x) {
    m.calls = m.calls.value + 1;
    m.power += 1;
    return x * m.w + m.b;
  });
  Affine m{Array(2.0F), Array(1.0F), Buffer(Array(0.0F)), 1};
  const Affine before = m;
  expect_near(f(m, Array(3.0F)), Array(7.0F));
  EXPECT_EQ(m.calls.value.item<float>(), 1);
  EXPECT_EQ(m.power, 2);
  f(m, Array(3.0F));
  EXPECT_EQ(m.calls.value.item<float>(), 2);
  EXPECT_EQ(m.power, 3);
  EXPECT_EQ(before.calls.value.item<float>(), 0) << "a copy must not see the update";
}

TEST(Jit, DonatedMemoryIsNotTakenFromCopies) {
  auto f = jit([](Array& x) { x = x + 1; });
  Array x = zeros({1000});
  const Array copy = x;
  f(x);
  f(x);
  expect_near(x, full({1000}, 2));
  expect_near(copy, zeros({1000}));
}

TEST(Jit, CapturesArraysFromOutside) {
  const Array w = sample(1, {3});
  auto f = jit([w](const Array& x) { return x * w; });
  expect_near(f(ones({3})), w);
  expect_near(f(full({3}, 2)), w * 2);
}

TEST(Jit, ReturnsTrees) {
  auto f = jit([](const Array& x, int n) {
    std::map<std::string, std::vector<Array>> out;
    for (int i = 0; i < n; ++i) out["powers"].push_back(pow(x, i));
    return std::tuple(out, x.rank());
  });
  const auto [out, rank] = f(full({2}, 3), 3);
  EXPECT_EQ(rank, 1);
  expect_near(out.at("powers")[2], full({2}, 9));
}

TEST(Grad, OfScalarsAndTrees) {
  const Array x = Array::from<float>({3}, {1, -2, 3});
  expect_near(grad(cube)(x), 3 * x * x);
  const auto [value, gradient] = value_and_grad([](Affine& m, const Array& y) {
    m.calls = m.calls.value + 1;
    return sum(m.w * y + m.b);
  })(*std::make_unique<Affine>(Affine{ones({3}), zeros({3}), Buffer(Array(5.0F)), 1}), x);
  expect_near(value, sum(x));
  expect_near(gradient.w, x);
  expect_near(gradient.b, ones({3}));
  EXPECT_TRUE(gradient.calls.value.empty());
}

TEST(Grad, SelectsArgumentsAndPassesTuplesThrough) {
  auto f = [](const Array& a, const Array& b) { return std::tuple(sum(a * b), a + b); };
  const Array a = sample(1, {4});
  const Array b = sample(2, {4});
  const auto [result, gradients] = value_and_grad<0, 1>(f)(a, b);
  expect_near(std::get<1>(result), a + b);
  expect_near(std::get<0>(gradients), b);
  expect_near(std::get<1>(gradients), a);
  expect_near(grad<1>(f)(a, b), a);
}

TEST(Grad, NeedsAScalar) {
  try {
    grad([](const Array& x) { return x * 2; })(ones({2}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("reduce it with sum or mean"), std::string::npos);
  }
}

TEST(Vmap, MatchesALoop) {
  auto f = [](const Array& w, const Array& x) { return tanh(matmul(w, x)); };
  const Array w = sample(1, {3, 4});
  const Array xs = sample(2, {4, 5});
  const Array together = vmap(f, axes(none, 1))(w, xs);
  ASSERT_EQ(together.shape(), (Shape{5, 3}));
  for (std::int64_t i = 0; i < 5; ++i) expect_near(together.at(i), f(w, xs.at(everything, i)));
}

TEST(Vmap, ErrorsNameTheExtents) {
  try {
    vmap([](const Array& a, const Array& b) { return a + b; })(ones({3}), ones({4}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("3 and 4"), std::string::npos) << error.what();
  }
}

TEST(Jvp, MatchesTheDerivative) {
  const Array x = sample(3, {5});
  const Array d = sample(4, {5});
  const auto [value, tangent] = jvp(cube)(std::tuple(x), std::tuple(d));
  expect_near(value, cube(x));
  expect_near(tangent, sum(3 * x * x * d), 1e-4);
}

TEST(Vjp, PullsCotangentsBack) {
  const Array x = sample(5, {3});
  auto [value, pullback] = vjp([](const Array& v) { return v * v; })(x);
  expect_near(value, x * x);
  const Array c = sample(6, {3});
  expect_near(std::get<0>(pullback(c)), 2 * x * c);
}

TEST(Composition, SecondDerivativesEveryWay) {
  auto f = [](const Array& x) { return sum(sin(x) * x); };
  const Array x = sample(7, {4});
  const Array v = sample(8, {4});
  auto g = grad(f);
  const Array forward_over_reverse = jvp(g)(std::tuple(x), std::tuple(v)).second;
  const Array reverse_over_reverse = grad([&](const Array& y) { return sum(grad(f)(y) * v); })(x);
  const Array reverse_over_forward =
      grad([&](const Array& y) { return jvp(f)(std::tuple(y), std::tuple(v)).second; })(x);
  const Array expected = (2 * cos(x) - x * sin(x)) * v;
  expect_near(forward_over_reverse, expected, 1e-4);
  expect_near(reverse_over_reverse, expected, 1e-4);
  expect_near(reverse_over_forward, expected, 1e-4);
}

TEST(Composition, GradOfVmapAndVmapOfGradAndJitOfBoth) {
  auto f = [](const Array& x) { return sum(exp(x) * x); };
  const Array xs = sample(9, {3, 4});
  const Array expected = exp(xs) * (xs + 1);
  expect_near(vmap(grad(f))(xs), expected, 1e-4);
  expect_near(grad([&](const Array& y) { return sum(vmap(f)(y)); })(xs), expected, 1e-4);
  auto compiled = jit([&](const Array& y) { return vmap(grad(f))(y); });
  expect_near(compiled(xs), expected, 1e-4);
  auto inner = jit(f);
  expect_near(grad([inner](const Array& y) mutable { return inner(y); })(xs), expected, 1e-4);
  auto nested = vmap(vmap(grad([](const Array& x) { return x * x * x; })));
  expect_near(nested(xs), 3 * xs * xs, 1e-4);
}

TEST(Composition, GradInsideVmapSeesOuterArrays) {
  const Array scale = sample(10, {3});
  auto outer = [&](const Array& x, const Array& s) { return grad([&](const Array& y) { return sum(y * y * s); })(x); };
  const Array xs = sample(11, {3, 2});
  expect_near(vmap(outer)(xs, scale), 2 * xs * expand_dims(scale, 1), 1e-4);
}

TEST(Checkpoint, KeepsValuesAndGradients) {
  auto block = [](const Array& x) { return tanh(x) * x; };
  auto plain = [&](const Array& x) { return sum(block(block(x))); };
  auto saved = [&](const Array& x) { return sum(checkpoint(block)(checkpoint(block)(x))); };
  const Array x = sample(12, {6});
  expect_near(saved(x), plain(x));
  expect_near(grad(saved)(x), grad(plain)(x));
  expect_near(jit(grad(saved))(x), grad(plain)(x));
}

TEST(CustomVjp, ReplacesTheReverseRuleOnly) {
  auto f = custom_vjp([](const Array& x) { return x * x; }, [](const Array& x) { return std::pair(x * x, x); },
                      [](const Array& x, const Array& c) { return std::tuple(c * x * 100); });
  const Array x = sample(13, {3});
  expect_near(grad([&](const Array& y) { return sum(f(y)); })(x), x * 100);
  expect_near(jvp(f)(std::tuple(x), std::tuple(ones({3}))).second, 2 * x);
  expect_near(vmap(grad([&](const Array& y) { return f(y); }))(x), x * 100);
}

TEST(StopGradient, HasNoDerivative) {
  const Array x = sample(14, {3});
  expect_near(grad([](const Array& y) { return sum(y * stop_gradient(y)); })(x), x);
}

TEST(Grad, WhatIsGatheredAddsToTheOtherGradients) {
  const Array rows = Array::from<std::int32_t>({4}, {2, 0, 2, 6});
  const auto products = [](const Array& table) { return sum(cube(matmul(table, sample(21, {3, 2})))); };
  const auto gathered = [&](const Array& table) { return sum(take(table, rows, 0) * sample(22, {4, 3})); };
  const auto both = [&](const Array& table) { return products(table) + gathered(table) + gathered(2 * table); };
  const Array table = sample(23, {7, 3});
  const Array apart = grad(products)(table) + 3 * grad(gathered)(table);
  expect_near(grad(both)(table), apart);
  expect_near(jit(grad(both))(table), apart);
}

struct Stack {
  std::vector<Affine> layers;
  TESSERA_FIELDS(layers)
};

TEST(Tree, PathsAndRoles) {
  Stack model{{Affine{ones({1}), ones({2}), Buffer(ones({3})), 4}, Affine{}}};
  model.layers.pop_back();
  std::vector<std::string> paths;
  for_each_leaf(model, [&](const std::string& path, Array&, Role role) {
    paths.push_back(path + (role == Role::Buffer ? " buffer" : ""));
  });
  EXPECT_EQ(paths, (std::vector<std::string>{"layers.0.w", "layers.0.b", "layers.0.calls buffer"}));
}

}  // namespace
}  // namespace tessera
