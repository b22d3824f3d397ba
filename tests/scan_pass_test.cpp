// What passes make of a scan: which work leaves the loop, what is carried in place, what its plan holds.
#include <gtest/gtest.h>

#include "programs.hpp"
#include "tessera/ir/text.hpp"
#include "tessera/tessera.hpp"
#include "tessera/transform/transform.hpp"

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

TEST(ScanPass, ProductsOfConcatenationsAreTakenApart) {
  const auto concatenated = [](const Array& w, const Array& xs) {
    const auto step = [&](Array& h, const Array& x) {
      h = tanh(matmul(concatenate({x, h}, 1), w));
      return h;
    };
    return scan(step, zeros({2, 8}), xs).second;
  };
  const Lowered forward = check(*traced(concatenated, zeros({11, 8}), zeros({5, 2, 3})), with_products());
  EXPECT_EQ(products(forward.program), std::pair(1, 1)) << pass::to_string(forward.program);
  const auto loss = [&](const Array& w, const Array& xs) {
    const Array y = concatenated(w, xs);
    return sum(y * y);
  };
  const Lowered both = check(*traced([&](const Array& w, const Array& xs) { return grad<0, 1>(loss)(w, xs); },
                                     zeros({11, 8}), zeros({5, 2, 3})),
                             with_products(), {}, 1, 1e-4);
  // Outside: x w, the gradients of w and of x.
  EXPECT_EQ(products(both.program), std::pair(3, 2)) << pass::to_string(both.program);
}

TEST(ScanPass, CheckpointsKeepLess) {
  const auto arena = [](std::int64_t checkpoint) {
    const auto loss = [checkpoint](const Array& w, const Array& xs) {
      const auto step = [&](Array& h, const Array& x) { h = tanh(exp(h * w) + sin(x + h) * h); };
      return sum(scan(step, zeros({1000}), xs, {.checkpoint = checkpoint}));
    };
    return pass::lower(*traced([&](const Array& w, const Array& xs) { return grad(loss)(w, xs); }, zeros({1000}),
                               zeros({64, 1000})),
                       {}, {})
        .arena_bytes;
  };
  const std::size_t everything = arena(0), pieces = arena(8), steps = arena(1);
  EXPECT_GT(everything, 64U * 4 * 4000) << "at least four values of each step";
  EXPECT_LT(steps, 64U * 4000 * 2 + 50000) << "one value of each step";
  EXPECT_LT(pieces, everything / 3) << "one value of every eighth step, and one piece";
}

TEST(ScanPass, LargeValuesThatFollowFromSmallOnesAreNotKept) {
  // Additive attention over a memory that is the same in all steps: the sums for all of its places are made again.
  const auto loss = [](const Array& memory, const Array& h0) {
    const auto step = [&](Array& h, const std::tuple<>&) {
      const Array scores = sum(tanh(memory + h), {1});
      h = tanh(matmul(softmax(scores), memory));
    };
    return sum(scan(step, h0, std::tuple<>(), {.length = 10}));
  };
  const ir::GraphPtr graph =
      traced([&](const Array& m, const Array& h) { return grad<0, 1>(loss)(m, h); }, zeros({50, 8}), zeros({8}));
  const Lowered lowered = check(*graph, {}, {}, 1, 1e-4);
  EXPECT_LT(lowered.program.arena_bytes, 10U * 50 * 8 * 4) << "of the memory's size, nothing is kept for each step\n"
                                                           << pass::to_string(lowered.program);
}

/// The loops of a gradient: of the steps, then of the way back.
template <class Loss, class... A>
Lowered lowered_gradient(Loss loss, const A&... arguments) {
  const auto f = [&](const A&... a) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return grad<I...>(loss)(a...);
    }(std::index_sequence_for<A...>{});
  };
  Lowered lowered = check(*traced(f, arguments...), with_products(), {}, 1, 1e-4);
  EXPECT_EQ(loops(lowered.program).size(), 2U) << pass::to_string(lowered.program);
  return lowered;
}

TEST(ScanPass, WhatFollowsFromOneValueIsKeptAsThatValue) {
  // The derivative of tanh asks for 1 - y and for 1 + y.
  const auto loss = [](const Array& h0, const Array& xs) {
    return sum(scan([](Array& h, const Array& x) { h = tanh(h * x); }, h0, xs));
  };
  const Lowered lowered = lowered_gradient(loss, zeros({8}), zeros({5, 8}));
  EXPECT_EQ(loops(lowered.program)[0]->inner.programs[0].outputs, 1 + 2) << "h before each step, and behind";
}

TEST(ScanPass, ValuesThatAreSpreadAreGivenAsTheyAre) {
  const auto loss = [](const Array& memory, const Array& score, const Array& h0) {
    const auto step = [&](Array& h, const std::tuple<>&) {
      const Array weights = softmax(sum(tanh(memory + h) * score, {1}));
      h = tanh(matmul(weights, memory));
    };
    return sum(scan(step, h0, std::tuple<>(), {.length = 10}));
  };
  const Lowered lowered = lowered_gradient(loss, zeros({50, 8}), zeros({8}), zeros({8}));
  const Step& back = *loops(lowered.program)[1];
  int large = 0;
  for (std::size_t i = 0; i < back.inner.constants; ++i) {
    const TensorType& type = lowered.program.buffers[static_cast<std::size_t>(back.buffers[i])].type;
    large += element_count(type.shape) == 50 * 8 ? 1 : 0;
  }
  EXPECT_EQ(large, 1) << "the memory alone is so large\n" << pass::to_string(lowered.program);
}

TEST(ScanPass, SumsOfPartsOfWhatIsStackedAreMadeBehind) {
  // The gradient of b sums a part of what the gradient of u is made of.
  const auto loss = [](const Array& u, const Array& b, const Array& xs) {
    const auto step = [&](Array& h, const Array& x) {
      const auto gates = split(x + matmul(h, u), 2, -1);
      h = tanh(sin(gates[0]) * (gates[1] + b));
    };
    return sum(scan(step, zeros({2, 8}), xs));
  };
  const Lowered lowered = lowered_gradient(loss, zeros({8, 16}), zeros({8}), zeros({5, 2, 16}));
  EXPECT_EQ(loops(lowered.program)[1]->inner.carried, 1U) << pass::to_string(lowered.program);
}

TEST(ScanPass, AStackThatASumReadsStays) {
  // The gradient of x is a product that no step needs, and the gradient of a is made of it.
  const auto loss = [](const Array& a, const Array& xs, const Array& zs, const Array& b) {
    const auto step = [&](Array& h, const std::pair<Array, Array>& slices) {
      h = tanh(h + matmul(slices.first + matmul(slices.second, a), b));
    };
    return sum(scan(step, zeros({2, 8}), std::pair(xs, zs)));
  };
  lowered_gradient(loss, zeros({4, 6}), zeros({5, 2, 6}), zeros({5, 2, 4}), zeros({6, 8}));
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

TEST(ScanPass, OneStepAndNoneAreNoLoop) {
  for (const std::int64_t length : {0, 1}) {
    const auto f = [](const Array& xs) {
      return scan([](const Array& h, const Array& x) { return std::pair(h + x, h * x); }, zeros({3}), xs);
    };
    EXPECT_TRUE(loops(check(*traced(f, zeros({length, 3})), {}).program).empty()) << length;
  }
}

TEST(ScanPass, ABranchThatIsKnownIsNoBranch) {
  const auto f = [](const Array& x) {
    return cond(true, [](const Array& a) { return exp(a); }, [](const Array& a) { return -a; }, x);
  };
  const Program program = check(*traced(f, zeros({3})), {}).program;
  ASSERT_EQ(program.steps.size(), 1U);
  EXPECT_EQ(program.steps[0].kind, Step::Kind::Kernel);
}

TEST(ScanPass, ProductsThatGrowMuchStayInTheLoop) {
  const auto f = [](const Array& w, const Array& xs) {  // the largest of many scores, step by step
    return scan([&](const Array& h, const Array& x) { return std::pair(h, max(matmul(x, w), {1})); }, zeros({1}), xs)
        .second;
  };
  EXPECT_EQ(products(check(*traced(f, zeros({4, 100}), zeros({5, 2, 4})), with_products()).program), std::pair(0, 1));
  EXPECT_EQ(products(check(*traced(f, zeros({4, 10}), zeros({5, 2, 4})), with_products()).program), std::pair(1, 0));
}

TEST(ScanPass, ChecksInALoopAreMade) {
  const auto run = [](float limit) {
    auto step = std::make_shared<Graph>("step");
    Builder b{*step};
    const Value sum = step->parameter(f32({})), x = step->parameter(f32({}));
    const Value next = b.add(sum, x);
    step->add(Op::CustomCall, {b.binary(Op::Minimum, next, b.full(DType::F32, limit)), next},
              {{"call_target_name", std::string("check.expect_eq")}, {"has_side_effect", true}});
    step->results = {next};
    Graph graph;
    const Value zero = graph.parameter(f32({})), xs = graph.parameter(f32({4}));
    graph.results = graph.add(Op::Scan, {zero, xs}, ir::scan_attributes({0, 1, 1, 0, 4, false}), {step});
    const std::vector<Literal> arguments{Literal::full(f32({}), 0), Literal::full(f32({4}), 1)};
    return testing::run(pass::lower(graph, {}, {}), arguments)[0].get_double(0);
  };
  EXPECT_EQ(run(4), 4);
  EXPECT_THROW(run(3), Error);
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

/// A scan as other systems write it: h = tanh(h + x[i] w), y[i] = h h; slices are taken at an index that counts from
/// the end where `reverse`.
std::string loop_text(bool reverse) {
  const std::string index =
      reverse ? "%last = stablehlo.constant dense<4> : tensor<i32>\n"
                "      %at = stablehlo.subtract %last, %i : tensor<i32>\n"
              : "%zero_ = stablehlo.constant dense<0> : tensor<i32>\n"
                "      %less = stablehlo.compare LT, %i, %zero_, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>\n"
                "      %wrapped = stablehlo.add %i, %n : tensor<i32>\n"
                "      %at = stablehlo.select %less, %wrapped, %i : tensor<i1>, tensor<i32>\n";
  return R"(
module @jit_run {
  func.func public @main(%xs: tensor<5x3xf64>, %h: tensor<3xf64>, %w: tensor<f64>) -> (tensor<3xf64>, tensor<5x3xf64>) {
    %0 = stablehlo.constant dense<0.0> : tensor<f64>
    %1 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<f64>) -> tensor<5x3xf64>
    %c = stablehlo.constant dense<0> : tensor<i32>
    %n = stablehlo.constant dense<5> : tensor<i32>
    %scale = stablehlo.broadcast_in_dim %w, dims = [] : (tensor<f64>) -> tensor<3xf64>
    %2:4 = stablehlo.while(%all = %xs, %i = %c, %state = %h, %ys = %1) : tensor<5x3xf64>, tensor<i32>, tensor<3xf64>, tensor<5x3xf64>
    cond {
      %3 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %3 : tensor<i1>
    } do {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      )" +
         index +
         R"(      %4 = stablehlo.dynamic_slice %all, %at, %zero, sizes = [1, 3] : (tensor<5x3xf64>, tensor<i32>, tensor<i32>) -> tensor<1x3xf64>
      %5 = stablehlo.reshape %4 : (tensor<1x3xf64>) -> tensor<3xf64>
      %6:2 = func.call @step(%state, %5, %scale) : (tensor<3xf64>, tensor<3xf64>, tensor<3xf64>) -> (tensor<3xf64>, tensor<3xf64>)
      %7 = stablehlo.reshape %6#1 : (tensor<3xf64>) -> tensor<1x3xf64>
      %8 = stablehlo.dynamic_update_slice %ys, %7, %at, %zero : (tensor<5x3xf64>, tensor<1x3xf64>, tensor<i32>, tensor<i32>) -> tensor<5x3xf64>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %9 = stablehlo.add %i, %one : tensor<i32>
      stablehlo.return %all, %9, %6#0, %8 : tensor<5x3xf64>, tensor<i32>, tensor<3xf64>, tensor<5x3xf64>
    }
    return %2#2, %2#3 : tensor<3xf64>, tensor<5x3xf64>
  }
  func.func private @step(%h: tensor<3xf64>, %x: tensor<3xf64>, %w: tensor<3xf64>) -> (tensor<3xf64>, tensor<3xf64>) {
    %0 = stablehlo.multiply %x, %w : tensor<3xf64>
    %1 = stablehlo.add %h, %0 : tensor<3xf64>
    %2 = stablehlo.tanh %1 : tensor<3xf64>
    %3 = stablehlo.multiply %2, %2 : tensor<3xf64>
    return %2, %3 : tensor<3xf64>, tensor<3xf64>
  }
})";
}

TEST(ScanPass, ALoopThatCountsIsAScan) {
  for (const bool reverse : {false, true}) {
    SCOPED_TRACE(reverse);
    const ir::GraphPtr graph = ir::parse(loop_text(reverse)).entry();
    ir::verify(*graph);
    const Lowered lowered = check(*graph, {}, {}, 1, 1e-12);
    ASSERT_EQ(loops(lowered.program).size(), 1U);
    const pass::Inner& loop = loops(lowered.program)[0]->inner;
    EXPECT_EQ(loop.steps, 5);
    EXPECT_EQ(loop.reverse, reverse);
    EXPECT_EQ(loop.carried, 1U);  // neither the counter nor the rows
    // By hand.
    std::mt19937 random(3);
    std::vector<Literal> arguments;
    for (const TensorType& type : graph->parameter_types()) arguments.push_back(random_literal(type, random));
    std::vector<double> h(arguments[1].as<double>().begin(), arguments[1].as<double>().end());
    const std::vector<Literal> got = ir::interpret(*graph, arguments);
    for (int step = 0; step < 5; ++step)
      for (int k = 0; k < 3; ++k) {
        const int row = reverse ? 4 - step : step;
        const auto column = static_cast<std::size_t>(k);
        h[column] = std::tanh(h[column] + arguments[0].get_double(3 * row + k) * arguments[2].get_double(0));
        EXPECT_NEAR(got[1].get_double(3 * row + k), h[column] * h[column], 1e-12);
      }
    // Backwards it runs, and is the transpose of forwards.
    const ir::GraphPtr forward = transform::jvp(*graph, {true, true, true});
    const ir::GraphPtr backward = transform::vjp(*graph, {true, true, true}, {true, true});
    ir::verify(*backward);
    std::vector<Literal> moved = arguments, seeded = arguments, direction, seeds;
    for (const TensorType& type : graph->parameter_types()) direction.push_back(random_literal(type, random));
    for (const TensorType& type : graph->result_types()) seeds.push_back(random_literal(type, random));
    moved.insert(moved.end(), direction.begin(), direction.end());
    seeded.insert(seeded.end(), seeds.begin(), seeds.end());
    const std::vector<Literal> tangents = ir::interpret(*forward, moved), cotangents = ir::interpret(*backward, seeded);
    const auto dot = [](const Literal& a, const Literal& b) {
      double sum = 0;
      for (std::int64_t i = 0; i < a.size(); ++i) sum += a.get_double(i) * b.get_double(i);
      return sum;
    };
    double one = 0, other = 0;
    for (std::size_t r = 0; r < 2; ++r) one += dot(seeds[r], tangents[2 + r]);
    for (std::size_t i = 0; i < 3; ++i) other += dot(cotangents[2 + i], direction[i]);
    EXPECT_NEAR(one, other, 1e-10 * std::max(1.0, std::abs(one)));
  }
}

}  // namespace
}  // namespace tessera
