// Lowering: a Program computes what the graph says (against the reference interpreter), in the kernels it should take,
// with a memory plan that holds. Kernels run by walking their IR (tests/kernel_interpreter.hpp).
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "programs.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/pass/fusion.hpp"

namespace tessera {
namespace {

using namespace testing;

bool every_product(const Graph&, const Node& node) { return node.op == Op::DotGeneral; }

pass::Target target(int threads = 2, bool library = false) {
  pass::Target t;
  t.threads = threads;
  if (library) t.has_library_kernel = every_product;
  return t;
}

TEST(Lower, ElementwiseChainIsOneKernel) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({33, 70})), bias = graph.parameter(f32({70}));
  const Value y = b.unary(Op::Tanh, b.add(b.multiply(x, x), b.broadcast_in_dim(bias, {33, 70}, {1})));
  graph.results = {y};
  EXPECT_EQ(kernels(check(graph, target()).program), 1U);
}

TEST(Lower, SoftmaxIsOneKernel) {
  for (const std::int64_t n : {1, 3, 10, 16, 17, 100}) {
    Graph graph;
    Builder b{graph};
    const Value x = graph.parameter(f32({37, n}));
    graph.results = {softmax(b, x)};
    EXPECT_EQ(kernels(check(graph, target()).program), 1U) << n;
  }
}

TEST(Lower, LayerNormIsOneKernel) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({4, 6, 50})), scale = graph.parameter(f32({50})),
              offset = graph.parameter(f32({50}));
  graph.results = {layer_norm(b, x, scale, offset)};
  EXPECT_EQ(kernels(check(graph, target()).program), 1U);
}

TEST(Lower, MomentumUpdateIsOneKernelInPlace) {
  Graph graph;
  Builder b{graph};
  const TensorType type = f32({64, 100});
  const Value parameter = graph.parameter(type), momentum = graph.parameter(type), gradient = graph.parameter(type),
              rate = graph.parameter(f32({}));
  const Value next = b.add(b.multiply(b.full(DType::F32, 0.9, type.shape), momentum), gradient);
  graph.results = {b.subtract(parameter, b.multiply(b.broadcast_in_dim(rate, type.shape, {}), next)), next};
  CompileOptions options;
  options.donated = {true, true, false, false};
  const Program program = check(graph, target(), options).program;
  EXPECT_EQ(kernels(program), 1U);
  EXPECT_EQ(program.arena_bytes, 0U);
  for (const Buffer& buffer : program.buffers)
    if (buffer.kind == Buffer::Kind::Output) {
      EXPECT_EQ(buffer.donated_from, buffer.index);
    }
}

TEST(Lower, DonatedInputThatIsReadShiftedIsKept) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({40}));
  graph.results = {b.add(x, b.reverse(x, {0}))};
  CompileOptions options;
  options.donated = {true};
  const Program program = check(graph, target(), options).program;
  for (const Buffer& buffer : program.buffers) EXPECT_EQ(buffer.donated_from, -1);
}

TEST(Lower, ColumnSumSharesItsLoopWithTheMaskedGradient) {
  Graph graph;
  Builder b{graph};
  const Value gradient = graph.parameter(f32({128, 48})), output = graph.parameter(f32({128, 48}));
  const Value zero = b.zeros_like(gradient);
  const Value masked = b.select(b.compare(output, zero, "GT"), gradient, zero);
  graph.results = {masked, b.sum(masked, {0})};
  EXPECT_EQ(kernels(check(graph, target()).program), 1U);
}

TEST(Lower, LargeReductionsTakeTwoStages) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({256, 25, 12}));
  graph.results = {b.sum(x, {0, 1, 2}), b.sum(b.multiply(x, x), {0, 1}), b.reduce(Op::Maximum, x, {0, 2})};
  const Program program = check(graph, target()).program;
  bool parallel = false;
  for (const Step& step : program.steps) parallel = parallel || step.kernel.parallel_extent() > 1;
  EXPECT_TRUE(parallel);
}

TEST(Lower, SumsOverRowsAndOverAllShareAKernel) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({16, 16, 256}));
  const Value y = b.unary(Op::Tanh, x);
  graph.results = {b.sum(y, {0, 1}), b.sum(b.multiply(y, x), {1})};
  const Program program = check(graph, target()).program;
  EXPECT_EQ(kernels(program), 2U) << pass::to_string(program);
  EXPECT_EQ(program.steps[0].kernel.parallel_extent(), 16) << "then sixteen rows become one";
}

TEST(Lower, RowsTakeThePlaceOfWhatTheyWereMadeOf) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({32, 8})), w = graph.parameter(f32({8, 100}));
  const Value weights = softmax(b, b.dot_general(x, w, {{}, {}, {1}, {0}}));
  graph.results = {b.dot_general(weights, w, {{}, {}, {1}, {1}})};
  const Program program = check(graph, target(2, true)).program;
  EXPECT_EQ(program.arena_bytes, 32U * 100 * 4) << pass::to_string(program);
}

TEST(Lower, PiecesOfAConcatenationAreStoredWhereTheyAreMade) {
  for (const std::int64_t dimension : {0, 1, 2}) {
    Graph graph;
    Builder b{graph};
    const TensorType type = f32({3, 20, 33});
    const Value x = graph.parameter(type), y = graph.parameter(type);
    const Value product = b.multiply(x, y), gate = b.unary(Op::Tanh, product);
    graph.results = {b.concatenate({gate, b.multiply(gate, x), product}, dimension),
                     b.concatenate({product, gate}, dimension), b.add(gate, y)};
    const Program program = check(graph, target()).program;
    EXPECT_EQ(kernels(program), 1U) << pass::to_string(program);
    EXPECT_EQ(program.arena_bytes, 0U) << pass::to_string(program);
  }
}

TEST(Lower, LargeClustersMergeAcrossSmallOnes) {
  // Rows that are scaled by a number made of all labels; a loss that is divided by it. The division must not hold the
  // rows apart.
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({128, 600})), counts = graph.parameter(f32({128}));
  const Value shifted = b.subtract(x, b.broadcast_in_dim(b.reduce(Op::Maximum, x, {1}), {128, 600}, {0}));
  const Value e = b.unary(Op::Exponential, shifted);
  const Value sums = b.sum(e, {1});
  const Value total = b.sum(counts, {0});
  const Value loss = b.divide(b.sum(b.unary(Op::Log, sums), {0}), total);
  const Value scale = b.broadcast_in_dim(b.divide(b.full(DType::F32, 1), total), {128}, {});
  graph.results = {loss, b.multiply(e, b.broadcast_in_dim(scale, {128, 600}, {0}))};
  const Program program = check(graph, target()).program;
  EXPECT_LT(program.arena_bytes, 128U * 600 * 4) << "exponentials stay in their kernel\n" << pass::to_string(program);
}

TEST(Lower, PerceptronStep) {
  const Graph graph = perceptron_step(32, 20, 24, 10);
  CompileOptions options;
  options.donated = {false, false, true, true, true, true};
  check(graph, target(2, false), options);
  const Program program = check(graph, target(2, true), options).program;
  std::size_t libraries = 0, fused = 0;
  for (const Step& step : program.steps) {
    if (step.kind != Step::Kind::Library) continue;
    ++libraries;
    fused += step.library.epilogue.size();
  }
  EXPECT_EQ(libraries, 5U) << pass::to_string(program);
  EXPECT_EQ(fused, 3U) << "bias and relu, and bias";
  EXPECT_LE(kernels(program), 8U) << pass::to_string(program);
  for (const Buffer& buffer : program.buffers)
    if (buffer.kind == Buffer::Kind::Output && buffer.index > 0) {
      EXPECT_GE(buffer.donated_from, 0) << buffer.name;
    }
}

TEST(Lower, WhatTheLibraryDoesNotFuseIsAKernel) {
  const Graph graph = perceptron_step(32, 20, 24, 10);
  pass::Target t = target(2, true);
  t.fuses = [](const pass::LibraryCall& call) {
    return call.epilogue.back().kind != pass::LibraryCall::Epilogue::Kind::Relu;
  };
  const Program program = check(graph, t).program;
  std::size_t fused = 0;
  for (const Step& step : program.steps)
    for (const auto& epilogue : step.library.epilogue) {
      ++fused;
      EXPECT_EQ(epilogue.kind, pass::LibraryCall::Epilogue::Kind::AddBias) << pass::to_string(program);
    }
  EXPECT_EQ(fused, 2U) << pass::to_string(program);
}

TEST(Lower, NarrowOnlyWhereTheLibraryHasNarrowKernels) {
  const Graph graph = perceptron_step(32, 20, 24, 10);
  pass::Target t = target(2, true);
  t.precision = Precision::BFloat16;
  CompileOptions options;
  options.precision = Precision::BFloat16;
  const auto narrow = [&] {
    std::size_t count = 0;
    for (const Step& step : pass::lower(graph, t, options).steps)
      count += step.kind == Step::Kind::Library && step.library.operand_types[0].dtype == DType::BF16 ? 1 : 0;
    return count;
  };
  EXPECT_EQ(narrow(), 5U);
  t.has_library_kernel = [](const Graph& g, const Node& node) {
    return node.op == Op::DotGeneral && (g.dtype(node.operands[0]) == DType::F32 || g.shape(node.results[0])[1] == 24);
  };
  EXPECT_EQ(narrow(), 3U) << "the others stay in f32";
}

TEST(Lower, ResultsThatAreInputsConstantsOrEachOther) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({2, 3}));
  const Value y = b.unary(Op::Exponential, x);
  graph.results = {x,
                   y,
                   y,
                   b.reshape(y, {6}),
                   b.constant(Literal::from<float>({2}, {1, 2})),
                   b.reshape(x, {3, 2}),
                   b.full(DType::F32, 7, {5})};
  check(graph, target());
}

TEST(Lower, EmptyTensors) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({0, 4})), y = graph.parameter(f32({3, 0}));
  graph.results = {b.unary(Op::Exponential, x), b.sum(x, {0}), b.sum(y, {1}), b.concatenate({x, x}, 0)};
  check(graph, target());
}

TEST(Lower, HalvesAreRoundedAtEachNode) {
  for (const DType dtype : {DType::F16, DType::BF16}) {
    Graph graph;
    Builder b{graph};
    const Value x = graph.parameter({dtype, {8, 20}}), y = graph.parameter({dtype, {8, 20}});
    graph.results = {b.multiply(b.add(x, y), b.subtract(x, y)), b.sum(b.multiply(x, y), {1})};
    check(graph, target(), {}, 3, 1e-7);
  }
}

TEST(Lower, PrecisionChangesProductsAlone) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({6, 8})), y = graph.parameter(f32({8, 5}));
  graph.results = {b.dot_general(x, y, {{}, {}, {1}, {0}}), b.add(x, x)};
  CompileOptions options;
  options.precision = Precision::BFloat16;
  const Program program = check(graph, target(), options, 5, 3e-2).program;
  for (const Buffer& buffer : program.buffers)
    if (buffer.kind == Buffer::Kind::Output) {
      EXPECT_EQ(buffer.type.dtype, DType::F32);
    }
}

TEST(Lower, ReductionWithBodyOfItsOwn) {  // index of the largest
  auto body = std::make_shared<Graph>();
  {
    Builder b{*body};
    const Value best = body->parameter(f32({})), at = body->parameter({DType::I32, {}});
    const Value x = body->parameter(f32({})), i = body->parameter({DType::I32, {}});
    const Value keep = b.compare(best, x, "GE");
    body->results = {b.select(keep, best, x), b.select(keep, at, i)};
  }
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({23, 11}));
  const Value i = b.iota(DType::I32, {23, 11}, 1);
  graph.results = graph.add(Op::Reduce, {x, i, b.full(DType::F32, -1e30), b.full(DType::I32, 0)},
                            {{"dimensions", Integers{1}}}, {body});
  check(graph, target());
}

TEST(Lower, ChecksRunOnTheHostAfterWhatTheyCheck) {
  for (const double wanted : {6.0, 7.0}) {
    Graph graph;
    Builder b{graph};
    const Value x = graph.parameter(f32({4}));
    const Value y = b.add(b.multiply(x, b.zeros_like(x)), b.full_like(x, 6));
    graph.add(Op::CustomCall, {y, b.full_like(y, wanted)}, {{"call_target_name", std::string("check.expect_eq")}});
    graph.results = {x};
    const Program program = pass::lower(graph, target(), {});
    pass::verify(program);
    const std::vector<Literal> inputs{Literal::full(f32({4}), 1)};
    if (wanted == 6)
      run(program, inputs);
    else
      EXPECT_THROW(run(program, inputs), Error);
  }
}

TEST(Lower, UpdatesHappenInPlace) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({8, 12})), y = graph.parameter(f32({12, 10})),
              row = graph.parameter(f32({2, 10}));
  const Value at = graph.parameter({DType::I32, {}});
  const Value product = b.dot_general(x, y, {{}, {}, {1}, {0}});
  const auto update = [&](Value v, Value part) {
    return graph.add1(Op::DynamicUpdateSlice, {v, part, at, b.full(DType::I32, 3)});
  };
  graph.results = {update(update(product, row), b.negate(row)), update(x, b.slice(row, {0, 0}, {1, 9}))};
  for (const bool library : {false, true}) {
    const Program program = check(graph, target(2, library)).program;
    EXPECT_EQ(program.arena_bytes, 0U) << "the product and both updates share the result's memory\n"
                                       << pass::to_string(program);
  }
}

TEST(Lower, ScatterAddsUpdatesInOrder) {
  for (const bool zeros : {false, true}) check(embedding_gradient(zeros), target(), {}, 7);
}

TEST(Rewrite, CopiesReplacesAndLeavesOut) {
  Graph from;
  Builder b{from};
  const Value x = from.parameter({DType::F32, {2}});
  const Value sum = b.add(x, x), product = b.multiply(sum, x);
  b.unary(Op::Exponential, x);
  from.results = {b.subtract(product, sum)};
  const Graph to = ir::rewrite(from, [&](ir::Rewriting& r, const ir::Node& node) -> std::optional<ir::Values> {
    if (node.op == Op::Exponential) return ir::Values();
    if (node.op == Op::Multiply) return ir::Values{r[product]};
    if (node.op != Op::Add) return std::nullopt;
    r[product] = r[x];  // in advance
    return ir::Values{Builder{r.to}.negate(r.operands[0])};
  });
  ir::verify(to);
  EXPECT_EQ(to.nodes.size(), 2U) << ir::to_string(to);
  const Literal values = Literal::from({2}, std::vector<float>{3, -5});
  EXPECT_EQ(ir::interpret(to, {&values, 1})[0].get_double(0), 6);
}

TEST(Simplify, IsIdempotentAndKeepsSignedZero) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({4, 5}));
  const Value y =
      b.transpose(b.transpose(b.add(b.multiply(x, b.full_like(x, 1)), b.full_like(x, -0.0)), {1, 0}), {1, 0});
  graph.results = {b.reshape(b.reshape(y, {20}), {4, 5}), b.add(x, b.zeros_like(x)), b.multiply(x, b.zeros_like(x))};
  const Graph once = pass::simplify(graph);
  EXPECT_EQ(once.key(), pass::simplify(once).key());
  EXPECT_EQ(once.results[0], once.parameters[0]);
  EXPECT_NE(once.results[1], once.parameters[0]) << "-0 + 0 is 0";
  const Node* product = once.producer(once.results[2]);
  ASSERT_NE(product, nullptr);
  EXPECT_EQ(product->op, Op::Multiply) << "0 * NaN is NaN";
}

/// x at `low` of 8 columns, zeros around it.
Value padded(Builder& b, Value x, std::int64_t low) {
  const std::int64_t high = 8 - low - b.shape(x)[1];
  return b.pad(x, b.full(DType::F32, 0), {0, low}, {0, high}, {0, 0});
}

TEST(Simplify, PaddingsSideBySideAreOneArray) {
  Graph graph;
  Builder b{graph};
  Values x;
  for (const std::int64_t width : {2, 3, 1, 2}) x.push_back(graph.parameter(f32({4, width})));
  // In the order in which gradients of slices come.
  const Value all = b.add(b.add(b.add(padded(b, x[3], 6), padded(b, x[0], 0)), padded(b, x[2], 5)), padded(b, x[1], 2));
  const Value gap = b.add(padded(b, x[0], 0), padded(b, x[2], 5));
  graph.results = {all, gap};
  const Graph simple = pass::simplify(graph);
  const Node* joined = simple.producer(simple.results[0]);
  ASSERT_EQ(joined->op, Op::Concatenate);
  EXPECT_EQ(joined->operands, simple.parameters);
  EXPECT_EQ(simple.producer(simple.results[1])->op, Op::Add);
  check(graph, target());
}

TEST(Simplify, TransposesJoinAProductThatStaysOneOfMatrices) {
  // A weight gradient over batch and time, where the two sides have these in another order.
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({4, 3, 5})), y = graph.parameter(f32({3, 4, 6}));
  const Value apart = b.dot_general(b.transpose(x, {1, 0, 2}), y, {{}, {}, {0, 1}, {0, 1}});
  const Value joined = b.dot_general(b.transpose(apart, {1, 0}), graph.parameter(f32({5, 2})), {{}, {}, {1}, {0}});
  graph.results = {apart, joined};
  const Graph simple = pass::simplify(graph);
  EXPECT_EQ(simple.producer(simple.producer(simple.results[0])->operands[0])->op, Op::Transpose);
  EXPECT_EQ(simple.producer(simple.results[1])->operands[0], simple.results[0]);
  check(graph, target());
}

TEST(Lower, ATensorIsAddedByTheKernelThatReadsTheSumNext) {
  for (const bool more : {false, true}) {
    Graph graph;
    Builder b{graph};
    const Value x = graph.parameter(f32({4, 5})), w = graph.parameter(f32({5, 6})), t = graph.parameter(f32({4, 6}));
    const Value sum = b.add(t, b.dot_general(x, w, {{}, {}, {1}, {0}}));
    graph.results = {more ? b.unary(Op::Tanh, b.slice(sum, {0, 0}, {4, 3})) : sum};
    const Program program = check(graph, target(1, true)).program;
    ASSERT_EQ(program.steps.size(), more ? 2U : 1U) << pass::to_string(program);
    EXPECT_EQ(program.steps[0].library.epilogue.size(), more ? 0U : 1U);
  }
}

TEST(Simplify, CallsAreInlinedAndEqualNodesMerged) {
  auto body = std::make_shared<Graph>("twice");
  {
    Builder b{*body};
    const Value x = body->parameter(f32({3}));
    body->results = {b.add(x, x)};
  }
  Graph graph;
  const Value x = graph.parameter(f32({3}));
  const Value a = graph.add1(Op::Call, {x}, {{"callee", std::string("twice")}}, {body});
  const Value c = graph.add1(Op::Call, {x}, {{"callee", std::string("twice")}}, {body});
  graph.results = {Builder{graph}.multiply(a, c)};
  EXPECT_EQ(pass::simplify(graph).nodes.size(), 2U);
  check(graph, target());
}

TEST(Plan, ReusesTheMemoryOfWhatDied) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({64, 64}));
  Value v = x;
  for (int i = 0; i < 6; ++i) v = b.dot_general(v, x, {{}, {}, {1}, {0}});
  graph.results = {v};
  const Program program = check(graph, target(2, true), {}, 1, 1e-3).program;
  EXPECT_EQ(program.arena_bytes, 2 * 64 * 64 * sizeof(float));
}

TEST(Plan, VerifierSeesOverlap) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({16, 16}));
  const auto dot = [&](Value p, Value q) { return b.dot_general(p, q, {{}, {}, {1}, {0}}); };
  const Value y = dot(x, x), z = dot(y, x);
  graph.results = {dot(y, z)};
  Program program = pass::lower(graph, target(2, true), {});
  pass::verify(program);
  for (Buffer& buffer : program.buffers) buffer.offset = 0;
  EXPECT_THROW(pass::verify(program), Error);
  program = pass::lower(graph, target(2, true), {});
  std::swap(program.steps[0], program.steps[1]);
  EXPECT_THROW(pass::verify(program), Error);
}

TEST(Lower, RandomGraphs) {
  const char* given = std::getenv("TESSERA_TEST_SEED");
  const unsigned first = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : 1;
  for (unsigned seed = first; seed < first + (given != nullptr ? 1 : 150); ++seed) {
    SCOPED_TRACE("TESSERA_TEST_SEED=" + std::to_string(seed));
    std::mt19937 random(seed);
    const Graph graph = random_graph(random, 4 + static_cast<int>(seed % 40), seed % 16 == 0);
    CompileOptions options;
    for (std::size_t i = 0; i < graph.parameters.size(); ++i) options.donated.push_back(random() % 2 == 0);
    check(graph, target(1 + static_cast<int>(seed % 4)), options, seed, 1e-4);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tessera
