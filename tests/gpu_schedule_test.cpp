// Kernels for a GPU: what the scheduler makes computes what the graph says, in as few launches as it should take.
// Kernels run by walking their IR, which checks every access; a few by the C compiler (all:
// gpu_schedule_long_test.cpp).
#include <cstdlib>

#include "gpu_programs.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using namespace testing;
using kernel::LoopKind;
using kernel::Statement;

constexpr std::uint64_t kSeed = 4;

/// Statements of a kind, at any depth.
std::size_t count(const std::vector<Statement>& block, const std::function<bool(const Statement&)>& which) {
  std::size_t found = 0;
  for (const Statement& s : block) found += (which(s) ? 1 : 0) + count(s.body, which);
  return found;
}
/// Whether all vector loops of a kernel have this many elements, and there is one.
bool has_vectors_of(const kernel::Kernel& k, std::int64_t elements) {
  const auto loops = [](const Statement& s) { return s.kind == Statement::Kind::Loop && s.loop == LoopKind::Vector; };
  const auto fitting = [&](const Statement& s) {
    return loops(s) && k.variables[static_cast<std::size_t>(s.index)].extent == elements;
  };
  return count(k.body, loops) > 0 && count(k.body, loops) == count(k.body, fitting);
}

RunKernel interpreted(const Program&) { return interpret_kernel; }

TEST(GpuSchedule, CasesTogetherMatchTheInterpreter) {
  const std::vector<cases::Case>& all = cases::all();
  for (std::size_t start = 0; start < all.size(); start += 64)
    expect_cases({all.data() + start, std::min<std::size_t>(64, all.size() - start)}, kSeed, interpreted);
}

TEST(GpuSchedule, CasesAloneMatchTheInterpreter) {
  for (const cases::Case& item : cases::all()) expect_cases({&item, 1}, kSeed, interpreted);
}

TEST(GpuSchedule, BatchesOfCasesMatchTheInterpreter) {
  constexpr std::int64_t kBatch = 19;
  for (const cases::Case& item : cases::all()) {
    SCOPED_TRACE(item.name + ", seed " + std::to_string(kSeed));
    const ir::GraphPtr one = cases::graph_of(item);
    if (one->parameters.empty() || !item.arguments.empty()) continue;
    const ir::GraphPtr batch = transform::vmap(*one, std::vector<bool>(one->parameters.size(), true), kBatch);
    std::vector<Literal> arguments;
    for (std::size_t i = 0; i < batch->parameters.size(); ++i)
      arguments.push_back(cases::random_literal(batch->type(batch->parameters[i]),
                                                i < item.ranges.size() ? item.ranges[i] : cases::Range{}, kSeed + i));
    const Program program = pass::lower(*batch, gpu_target(), {});
    const std::vector<Literal> expected = ir::interpret(*batch, arguments), got = run(program, arguments);
    for (std::size_t r = 0; r < expected.size(); ++r)
      EXPECT_EQ(cases::difference(Literal(expected[r].type(), got[r].storage()), expected[r], item.slack), "");
  }
}

TEST(GpuSchedule, SomeCasesAsC) {
  std::vector<cases::Case> some;
  for (std::size_t i = 0; i < cases::all().size(); i += 16) some.push_back(cases::all()[i]);
  expect_cases(some, kSeed, as_c);
}

TEST(GpuSchedule, RandomGraphs) {
  const char* given = std::getenv("TESSERA_TEST_SEED");
  const unsigned first = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : 1;
  for (unsigned seed = first; seed < first + (given != nullptr ? 1 : 300); ++seed) {
    SCOPED_TRACE("TESSERA_TEST_SEED=" + std::to_string(seed));
    std::mt19937 random(seed);
    const Graph graph = random_graph(random, 4 + static_cast<int>(seed % 40), seed % 16 == 0);
    CompileOptions options;
    for (std::size_t i = 0; i < graph.parameters.size(); ++i) options.donated.push_back(random() % 2 == 0);
    check(graph, gpu_target(), options, seed, 1e-4);
    if (HasFatalFailure()) return;
  }
}

TEST(GpuSchedule, ElementwiseChainIsOneKernelOfVectors) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({33, 72})), bias = graph.parameter(f32({72}));
  graph.results = {b.unary(Op::Tanh, b.add(b.multiply(x, x), b.broadcast_in_dim(bias, {33, 72}, {1})))};
  const Program program = check(graph, gpu_target()).program;
  ASSERT_EQ(kernels(program), 1U);
  EXPECT_TRUE(has_vectors_of(program.steps[0].kernel, 4)) << kernel::to_string(program.steps[0].kernel);
}

TEST(GpuSchedule, SoftmaxIsOneKernel) {
  for (const std::int64_t n : {1, 3, 10, 33, 100, 1024, 3000, 20000, 40000}) {
    pass::Target target = gpu_target();
    if (n > 3000) target.multiprocessors = 2;  // few rows of much work would be shared out
    Graph graph;
    Builder b{graph};
    const Value x = graph.parameter(f32({n > 1024 ? 3 : 37, n}));
    graph.results = {softmax(b, x)};
    const Program program = check(graph, target).program;
    EXPECT_EQ(kernels(program), 1U) << n;
    EXPECT_EQ(program.arena_bytes, 0U) << n;
  }
}

TEST(GpuSchedule, LayerNormIsOneKernelThatLoadsItsInputOnce) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({4, 6, 1024})), scale = graph.parameter(f32({1024})),
              offset = graph.parameter(f32({1024}));
  graph.results = {layer_norm(b, x, scale, offset)};
  const Program program = check(graph, gpu_target()).program;
  ASSERT_EQ(kernels(program), 1U);
  const kernel::Kernel& k = program.steps[0].kernel;
  EXPECT_TRUE(has_vectors_of(k, 4)) << kernel::to_string(k);
  const std::string text = kernel::to_string(k);
  EXPECT_EQ(text.find(" = v0["), text.rfind(" = v0[")) << text;
}

TEST(GpuSchedule, UpdatesOfManyLeavesAreOneKernelInPlace) {
  Graph graph;
  Builder b{graph};
  CompileOptions options;
  const Value rate = graph.parameter(f32({}));
  options.donated = {false};
  for (const Shape& shape : {Shape{3, 3, 1, 32}, Shape{32}, Shape{300, 17}, Shape{17}, Shape{}}) {
    const Value parameter = graph.parameter(f32(shape)), momentum = graph.parameter(f32(shape)),
                gradient = graph.parameter(f32(shape));
    options.donated.insert(options.donated.end(), {true, true, false});
    const Value next = b.add(b.multiply(b.full(DType::F32, 0.9, shape), momentum), gradient);
    graph.results.push_back(b.subtract(parameter, b.multiply(b.broadcast_in_dim(rate, shape, {}), next)));
    graph.results.push_back(next);
  }
  const Program program = check(graph, gpu_target(), options).program;
  EXPECT_EQ(kernels(program), 1U) << pass::to_string(program);
  for (const Buffer& buffer : program.buffers)
    if (buffer.kind == Buffer::Kind::Output) {
      EXPECT_GE(buffer.donated_from, 0) << buffer.name;
    }
}

TEST(GpuSchedule, SumsOfLargeBatchesFillTheMachine) {
  Graph graph;
  Builder b{graph};
  const Value x = graph.parameter(f32({64, 14, 14, 32}));
  graph.results = {b.sum(x, {0, 1, 2}), b.sum(b.multiply(x, x), {0, 1, 2})};
  const Program program = check(graph, gpu_target(), {}, 1, 1e-4).program;
  EXPECT_EQ(kernels(program), 2U) << pass::to_string(program);
  EXPECT_GE(program.steps[0].kernel.parallel_extent(), 99);
}

TEST(GpuSchedule, PerceptronStep) {
  pass::Target target = gpu_target();
  target.has_library_kernel = [](const Graph&, const Node& node) { return node.op == Op::DotGeneral; };
  CompileOptions options;
  options.donated = {false, false, true, true, true, true};
  const Program program = check(perceptron_step(32, 20, 24, 10), target, options).program;
  EXPECT_LE(kernels(program), 3U) << pass::to_string(program);
  for (const Buffer& buffer : program.buffers)
    if (buffer.kind == Buffer::Kind::Output && buffer.index > 0) {
      EXPECT_GE(buffer.donated_from, 0) << buffer.name;
    }
}

TEST(GpuSchedule, TransposesGoThroughTiles) {
  struct Case {
    Shape shape;
    Integers permutation;
  };
  for (const Case& c : {Case{{130, 200}, {1, 0}}, Case{{6, 64, 70}, {0, 2, 1}}, Case{{40, 5, 1, 96}, {3, 1, 2, 0}}}) {
    for (const DType dtype : {DType::F32, DType::BF16, DType::U8}) {
      Graph graph;
      Builder b{graph};
      const Value x = graph.parameter({dtype, c.shape});
      const Value turned = b.transpose(b.add(x, x), c.permutation);
      const Value y = graph.parameter({dtype, b.shape(turned)});
      graph.results = {b.multiply(turned, y), b.binary(Op::Maximum, turned, y)};
      const Program program = check(graph, gpu_target(), {}, 1, 1e-2).program;
      ASSERT_EQ(kernels(program), 1U);
      const kernel::Kernel& k = program.steps[0].kernel;
      EXPECT_TRUE(std::any_of(k.locals.begin(), k.locals.end(), [](const kernel::Local& l) { return l.shared; }));
    }
  }
}

TEST(GpuSchedule, UpdatesInPlace) {
  for (const bool zeros : {false, true})
    for (const std::int64_t words : {1, 7, 300}) check(embedding_gradient(zeros, words), gpu_target(), {}, 7);
}

}  // namespace
}  // namespace tessera
