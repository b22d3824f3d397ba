// What passes make of a scan: which work leaves the loop, what is carried in place, what its plan holds.
#include <gtest/gtest.h>

#include "programs.hpp"
#include "tessera/tessera.hpp"

namespace tessera {
namespace {

using namespace testing;

pass::Target with_products() {
  pass::Target target;
  target.has_library_kernel = [](const Graph& graph, const Node& node) {
    return node.op == Op::DotGeneral && graph.dtype(node.operands[0]) == DType::F32;
  };
  return target;
}

/// The graph that jit makes of f for these arguments.
template <class F, class... A>
ir::GraphPtr traced(F f, const A&... arguments) {
  set_default_device("null:cpu");
  auto program = jit(f);
  (void)program(arguments...);
  set_default_device("cpu");
  return program.latest()->graph;
}

/// Library calls outside of loops, and inside.
std::pair<int, int> products(const Program& program) {
  std::pair<int, int> count{0, 0};
  for (const Step& step : program.steps) {
    count.first += step.kind == Step::Kind::Library ? 1 : 0;
    for (const Program& inner : step.inner.programs)
      pass::each_step(inner, [&](const Step& s) { count.second += s.kind == Step::Kind::Library ? 1 : 0; });
  }
  return count;
}
std::vector<const Step*> loops(const Program& program) {
  std::vector<const Step*> list;
  for (const Step& step : program.steps)
    if (step.kind == Step::Kind::Loop) list.push_back(&step);
  return list;
}

/// h = tanh(x w + h u + b), y = h v
struct Cell {
  Array w, u, b, v;
  TESSERA_FIELDS(w, u, b, v)
};
const Cell& cell() {
  static const Cell one{zeros({3, 8}), zeros({8, 8}), zeros({8}), zeros({8, 8})};
  return one;
}
Array run(const Cell& c, const Array& xs) {
  return scan(
             [&](Array& h, const Array& x) {
               h = tanh(matmul(x, c.w) + matmul(h, c.u) + c.b);
               return matmul(h, c.v);
             },
             zeros({2, 8}), xs)
      .second;
}

TEST(ScanPass, ProductsThatNeedNoStepAreOneProduct) {
  const Lowered lowered = check(*traced(run, cell(), zeros({5, 2, 3})), with_products());
  // Before: x w. Behind: h v. Inside: h u.
  EXPECT_EQ(products(lowered.program), std::pair(2, 1)) << pass::to_string(lowered.program);
}

TEST(ScanPass, GradientsOfWeightsAreOneProduct) {
  const auto loss = [](const Cell& c, const Array& xs) {
    const Array y = run(c, xs);
    return sum(y * y);
  };
  const Lowered lowered =
      check(*traced([&](const Cell& c, const Array& xs) { return grad<0, 1>(loss)(c, xs); }, cell(), zeros({5, 2, 3})),
            with_products(), {}, 1, 1e-4);
  // Forward x w, h v; backward the gradients of w, u, v, x, and what comes back through v. Inside: h u and its way
  // back.
  EXPECT_EQ(products(lowered.program), std::pair(7, 2)) << pass::to_string(lowered.program);
  ASSERT_EQ(loops(lowered.program).size(), 2U);
  // Kept for the way back: h before and h behind each step.
  const Step& forward = *loops(lowered.program)[0];
  EXPECT_EQ(forward.inner.programs[0].outputs, 1 + 2) << pass::to_string(lowered.program);
  // The one value that is carried back is written where it lies, or in turn; sums over steps are not carried.
  EXPECT_EQ(loops(lowered.program)[1]->inner.carried, 1U) << pass::to_string(lowered.program);
}

TEST(ScanPass, WhatNobodyUsesIsNotComputed) {
  const auto f = [](const Array& xs) {
    return scan(
               [](std::pair<Array, Array>& state, const Array& x) {
                 state.first = state.first + x;
                 state.second = exp(state.second) * x;
                 return std::pair(x * 2, state.second);
               },
               std::pair(Array(0.0F), Array(0.0F)), xs)
        .first.first;
  };
  const Lowered lowered = check(*traced(f, zeros({6})), {});
  ASSERT_EQ(loops(lowered.program).size(), 1U);
  EXPECT_EQ(loops(lowered.program)[0]->inner.programs[0].outputs, 1);
  EXPECT_TRUE(loops(lowered.program)[0]->inner.in_place[0]);
}

TEST(ScanPass, AWhileUpdatesInPlace) {
  // Fills a table row by row: the body touches one row a step.
  const auto f = [](const Array& rows) {
    return fori_loop(
        Array(0), Array(4),
        [&](const Array& i, Array& table) {
          table = dynamic_update_slice(table, exp(dynamic_slice(rows, {i, Array(0)}, {1, 3})), {i, Array(0)});
        },
        zeros({4, 3}));
  };
  const Lowered lowered = check(*traced(f, zeros({4, 3})), {});
  ASSERT_EQ(loops(lowered.program).size(), 1U);
  const Step& loop = *loops(lowered.program)[0];
  EXPECT_EQ(loop.inner.steps, pass::kUntilFalse);
  EXPECT_EQ(loop.inner.in_place, (std::vector<bool>{true, true})) << pass::to_string(lowered.program);
  for (const Step& step : loop.inner.programs[0].steps)
    if (step.kind == Step::Kind::Kernel) {
      EXPECT_LE(step.kernel.parallel_extent(), 4);
    }
}

}  // namespace
}  // namespace tessera
