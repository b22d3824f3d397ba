// Kernels for a GPU as C and as CUDA C++ on the host: the case table, random graphs, training steps of the recipes'
// nets.
#include "gpu_programs.hpp"
#include "gpu_steps.hpp"

namespace tessera {
namespace {

using namespace testing;

constexpr unsigned kSeed = 5;

TEST(GpuPrograms, CasesAsC) {
  const std::vector<cases::Case>& all = cases::all();
  for (std::size_t start = 0; start < all.size(); start += 64)
    expect_cases({all.data() + start, std::min<std::size_t>(64, all.size() - start)}, kSeed, as_c);
}

TEST(GpuPrograms, SomeCasesAsCuda) {
  std::vector<cases::Case> some;
  for (std::size_t i = 0; i < cases::all().size(); i += 8) some.push_back(cases::all()[i]);
  expect_cases(some, kSeed, [](const Program& program) { return as_cuda(program, kSeed); });
}

TEST(GpuPrograms, RandomGraphsAsCuda) {
  for (unsigned seed = 1000; seed < 1012; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const Graph graph = random_graph(random, 40, seed % 3 == 0);
    const Program program = pass::lower(graph, gpu_target(), {});
    std::vector<Literal> arguments;
    for (const TensorType& type : graph.parameter_types()) arguments.push_back(random_literal(type, random));
    const std::vector<Literal> want = ir::interpret(graph, arguments);
    const std::vector<Literal> got = run(program, arguments, as_cuda(program, seed));
    for (std::size_t r = 0; r < want.size(); ++r) expect_close(got[r], want[r], "result " + std::to_string(r), 1e-4);
  }
}

/// For a machine with that many multiprocessors.
Program lowered(const TrainingStep& step, int multiprocessors) {
  pass::Target target = gpu_target();
  target.multiprocessors = multiprocessors;
  target.has_library_kernel = [](const Graph& graph, const Node& node) {
    return (node.op == Op::DotGeneral || node.op == Op::Convolution) && is_float(graph.dtype(node.results[0]));
  };
  CompileOptions options;
  options.donated = step.donated;
  Program program = pass::lower(*step.graph, target, options);
  pass::verify(program);
  return program;
}

/// Fewer multiprocessors make loops where more make blocks.
void expect_step(const TrainingStep& step, int multiprocessors) {
  SCOPED_TRACE(std::to_string(multiprocessors) + " multiprocessors");
  const Program program = lowered(step, multiprocessors);
  for (const pass::Buffer& buffer : program.buffers)  // state stays where it is, so that the next step finds it there
    if (buffer.kind == pass::Buffer::Kind::Output && buffer.donated_from < 0) {
      EXPECT_LT(buffer.index, 2) << buffer.name;
    }
  const std::vector<Literal> want = ir::interpret(*step.graph, step.arguments);
  for (const bool cuda : {false, true}) {
    std::vector<Literal> inputs;
    for (const Literal& argument : step.arguments) {
      inputs.emplace_back(argument.type());
      std::memcpy(inputs.back().data(), argument.data(), argument.bytes());
    }
    const std::vector<Literal> got = run(program, inputs, cuda ? as_cuda(program, kSeed) : as_c(program));
    for (std::size_t r = 0; r < want.size(); ++r)
      expect_close(got[r], want[r],
                   std::string(cuda ? "CUDA" : "C") + ", result " + std::to_string(r) + " " + to_string(want[r].type()),
                   1e-4);
  }
}

TEST(GpuPrograms, RecipesTakeFewLaunches) {
  struct Expected {
    const char* recipe;
    std::size_t kernels, steps;
  };
  for (const auto& [recipe, most_kernels, most_steps] :
       {Expected{"fashion-cnn", 29, 40}, {"mnist-cnn", 28, 39}, {"lenet", 10, 24}, {"mlp", 6, 14}}) {
    const Program program = lowered(training_step(recipe, {}, 300, 28), 132);
    EXPECT_LE(kernels(program), most_kernels) << pass::to_string(program);
    EXPECT_LE(program.steps.size(), most_steps) << pass::to_string(program);
  }
}

TEST(GpuPrograms, StepOfTheConvolutionalNet) {
  const TrainingStep step = training_step(
      "fashion-cnn", {{"train.batch", "32"}, {"model.channels", "[8, 12]"}, {"model.hidden", "[20]"}}, 50, 16);
  expect_step(step, 132);
  expect_step(step, 4);
}

TEST(GpuPrograms, StepOfLenet) { expect_step(training_step("lenet", {{"train.batch", "16"}}, 20, 28), 132); }

TEST(GpuPrograms, StepOfThePerceptronWithAnEndToItsGradient) {
  expect_step(training_step("mlp", {{"train.batch", "64"}, {"optimizer.clip", "1"}}, 70, 28), 132);
}

}  // namespace
}  // namespace tessera
