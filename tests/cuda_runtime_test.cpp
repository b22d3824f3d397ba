// The CUDA backend on a GPU made of host memory (fake_gpu.hpp): what it computes, in which order it asks the driver for
// what, what it keeps from step to step, and what it says when something goes wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <thread>

#include "cases.hpp"
#include "fake_gpu.hpp"
#include "places.hpp"
#include "tessera/array/jit.hpp"
#include "tessera/array/transforms.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/control.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/nn/nn.hpp"
#include "tessera/optim/optim.hpp"

namespace tessera {
namespace {

using testing::FakeGpu;
using Calls = std::vector<std::string>;

/// A backend on a fresh fake.
class CudaRuntime : public ::testing::Test {
 protected:
  CudaRuntime() {
    gpu.reset();
    gpu.has_products = true;
    backend_ = cuda::make_backend(FakeGpu::parts(), 0);
  }
  ~CudaRuntime() override {
    backend_.reset();
    EXPECT_EQ(gpu.violations, Calls{});
    EXPECT_EQ(gpu.used, 0U) << "device memory is left";
    EXPECT_EQ(gpu.pinned, 0U);
    EXPECT_EQ(gpu.handles, 0U) << "events, graphs, modules or streams are left";
  }
  CudaRuntime(const CudaRuntime&) = delete;
  CudaRuntime& operator=(const CudaRuntime&) = delete;

  FakeGpu& gpu = FakeGpu::get();
  std::unique_ptr<Backend> backend_;
};

Literal numbers(const Shape& shape, double first = 0, DType dtype = DType::F32) {
  Literal literal({dtype, shape});
  for (std::int64_t i = 0; i < literal.size(); ++i)
    literal.set_double(i, first + static_cast<double>((i * 37) % 19 - 9) / 32);
  return literal;
}

/// (state, x) -> (next = tanh(state x) + x, sum of next, x): ends of each kind, and several steps.
ir::Graph step_program(std::int64_t n) {
  ir::Graph graph("step");
  ir::Builder build{graph, Location(std::source_location::current())};
  const ir::Value state = graph.parameter({DType::F32, {n, n}}), x = graph.parameter({DType::F32, {n, n}});
  const ir::Value next = build.add(build.unary(ir::Op::Tanh, build.dot_general(state, x, {{}, {}, {1}, {0}})), x);
  graph.results = {next, build.sum(next, {0, 1}), x};
  return graph;
}
const TensorType kScalar{DType::F32, {}};
TensorType square(std::int64_t n) { return {DType::F32, {n, n}}; }

CompileOptions donating(std::vector<bool> donated) {
  CompileOptions options;
  options.donated = std::move(donated);
  return options;
}

TEST_F(CudaRuntime, ComputesWhatTheInterpreterDoes) {
  for (const bool products : {false, true}) {
    gpu.has_products = products;
    for (const cases::Case& item : cases::all()) {
      const ir::GraphPtr graph = cases::graph_of(item);
      const std::vector<Literal> arguments = cases::arguments_of(item, *graph, 11);
      std::vector<StoragePtr> inputs;
      for (const Literal& argument : arguments) inputs.push_back(argument.storage());
      const std::vector<StoragePtr> got = backend_->compile(*graph, {})->run(inputs);
      const std::vector<Literal> want = ir::interpret(*graph, arguments);
      for (std::size_t r = 0; r < want.size(); ++r)
        EXPECT_EQ(cases::difference(Literal(want[r].type(), got[r]), want[r], item.slack), "") << item.name;
    }
  }
}

TEST_F(CudaRuntime, RunsWithoutWaitingAndReadsWhenAsked) {
  const ir::Graph graph = step_program(40);
  const auto executable = backend_->compile(graph, {});
  const std::vector<Literal> values{numbers({40, 40}), numbers({40, 40}, 1)};
  const std::vector<StoragePtr> inputs{values[0].storage(), values[1].storage()};
  const auto results = executable->run(inputs);
  EXPECT_EQ(gpu.count("synchronize"), 0U);
  EXPECT_EQ(gpu.count("download"), 0U);
  EXPECT_FALSE(results[0]->on_host());
  EXPECT_EQ(results[2], inputs[1]) << "a result that is an input is that input";
  EXPECT_EQ(cases::difference(Literal(square(40), results[0]), ir::interpret(graph, values)[0]), "");
  EXPECT_EQ(gpu.count("download"), 1U);
}

/// h, xs -> the last h and all h tanh(x); a row of xs is no multiple of the alignment.
ir::Graph scan_program() {
  auto step = std::make_shared<ir::Graph>("step");
  ir::Builder b{*step};
  const ir::Value h = step->parameter({DType::F32, {40, 41}}), x = step->parameter({DType::F32, {40, 41}});
  const ir::Value next = b.add(b.multiply(h, b.full_like(h, 0.5)), b.unary(ir::Op::Tanh, x));
  step->results = {next, b.multiply(next, h)};
  ir::Graph graph("loop");
  graph.parameter({DType::F32, {40, 41}});
  graph.parameter({DType::F32, {6, 40, 41}});
  graph.results = graph.add(ir::Op::Scan, graph.parameters, ir::scan_attributes({0, 1, 1, 1, 6, true}), {step});
  return graph;
}

TEST_F(CudaRuntime, ALoopOfKnownLengthIsEnqueuedAndBecomesOneGraph) {
  const ir::Graph graph = scan_program();
  const auto executable = backend_->compile(graph, donating({true, false}));
  EXPECT_NE(executable->describe().find("one CUDA graph a run"), std::string::npos) << executable->describe();
  const Literal xs = numbers({6, 40, 41}, 1);
  Literal want = numbers({40, 41});
  std::vector<StoragePtr> inputs{numbers({40, 41}).storage(), xs.storage()}, results;
  for (int i = 0; i < 5; ++i) {
    gpu.calls.clear();
    results = executable->run(inputs);
    EXPECT_EQ(gpu.count("download"), 0U) << "nothing is asked of the device";
    inputs[0] = results[0];
    results[0].reset();
    const std::vector<Literal> expected = ir::interpret(graph, std::vector<Literal>{want, xs});
    EXPECT_EQ(cases::difference(Literal(expected[1].type(), results[1]), expected[1], 4), "") << i;
    want = expected[0];
  }
  EXPECT_EQ(cases::difference(Literal(want.type(), inputs[0]), want, 4), "");
}

TEST_F(CudaRuntime, AConditionIsReadBack) {
  // Doubles until the sum is large.
  ir::Graph graph("loop");
  graph.parameter({DType::F32, {8}});
  auto condition = std::make_shared<ir::Graph>("condition"), body = std::make_shared<ir::Graph>("body");
  ir::Builder c{*condition}, b{*body};
  const ir::Value total = c.sum(condition->parameter({DType::F32, {8}}), {0});
  condition->results = {c.compare(total, c.full(DType::F32, 100), "LT")};
  const ir::Value x = body->parameter({DType::F32, {8}});
  body->results = {b.add(x, x)};
  graph.results = graph.add(ir::Op::While, graph.parameters, {}, {condition, body});
  const auto executable = backend_->compile(graph, {});
  EXPECT_EQ(executable->describe().find("one CUDA graph a run"), std::string::npos);
  const auto results = executable->run(std::vector<StoragePtr>{Literal::full({DType::F32, {8}}, 1).storage()});
  EXPECT_EQ(gpu.count("download"), 5U) << "four steps, and the end";
  EXPECT_EQ(Literal({DType::F32, {8}}, results[0]).get_double(7), 16);
}

TEST_F(CudaRuntime, ALargeInputIsUploadedOnceAndSmallOnesTogetherEachTime) {
  const auto large_program = backend_->compile(step_program(64), {});
  const std::vector<StoragePtr> large{numbers({64, 64}).storage(), numbers({64, 64}, 1).storage()};
  large_program->run(large);
  EXPECT_EQ(gpu.count("upload 16384"), 2U);
  large_program->run(large);
  EXPECT_EQ(gpu.count("upload"), 2U);
  const auto small_program = backend_->compile(step_program(3), {});
  const std::vector<StoragePtr> small{numbers({3, 3}).storage(), numbers({3, 3}, 1).storage()};
  gpu.calls.clear();
  for (int i = 0; i < 3; ++i) small_program->run(small);
  EXPECT_EQ(gpu.count("upload"), 3U);
}

TEST_F(CudaRuntime, DonatedStateStaysWhereItIsAndTheStepBecomesOneGraph) {
  const ir::Graph graph = step_program(40);
  const auto executable = backend_->compile(graph, donating({true, false}));
  const Literal x = numbers({40, 40}, 1);
  std::vector<StoragePtr> inputs{numbers({40, 40}).storage(), x.storage()};
  Literal want = numbers({40, 40});
  const std::byte* place = nullptr;
  for (int i = 0; i < 6; ++i) {
    gpu.calls.clear();
    auto results = executable->run(inputs);
    inputs[0] = std::move(results[0]);
    if (i > 0) {
      EXPECT_EQ(inputs[0]->data(), place) << i;
    }
    place = inputs[0]->data();
    EXPECT_EQ(gpu.count("record"), i == 2 ? 1U : 0U) << "when the addresses come again";
    if (i > 2) {
      EXPECT_EQ(gpu.count("graph of"), 1U);
      EXPECT_EQ(gpu.count("copy"), 1U) << "of small results";
      EXPECT_EQ(gpu.calls.size(), 2U);
    }
    want = ir::interpret(graph, std::vector<Literal>{want, x})[0];
  }
  EXPECT_EQ(cases::difference(Literal(want.type(), inputs[0]), want, 4), "");
}

TEST_F(CudaRuntime, WhatCannotBeRecordedRunsStepByStep) {
  gpu.products_recorded = false;
  const ir::Graph graph = step_program(40);
  const auto executable = backend_->compile(graph, {});
  const std::vector<Literal> values{numbers({40, 40}), numbers({40, 40}, 1)};
  const std::vector<StoragePtr> inputs{values[0].storage(), values[1].storage()};
  const std::vector<Literal> want = ir::interpret(graph, values);
  for (int i = 0; i < 5; ++i) {
    const auto results = executable->run(inputs);
    EXPECT_EQ(cases::difference(Literal(square(40), results[0]), want[0]), "") << i;
    EXPECT_EQ(cases::difference(Literal(kScalar, results[1]), want[1], 50), "") << i;
  }
  EXPECT_EQ(gpu.count("record"), 1U);
  EXPECT_EQ(gpu.count("graph of"), 0U);
}

TEST_F(CudaRuntime, DonatedStateThatSomeoneHoldsIsNotTouched) {
  const auto executable = backend_->compile(step_program(40), donating({true, false}));
  std::vector<StoragePtr> inputs{numbers({40, 40}).storage(), numbers({40, 40}, 1).storage()};
  inputs[0] = executable->run(inputs)[0];
  const StoragePtr held = inputs[0];
  const Literal before(square(40), held);
  const auto results = executable->run(inputs);
  EXPECT_NE(results[0]->data(), held->data());
  EXPECT_TRUE(before.identical(Literal(square(40), held)));
  EXPECT_FALSE(before.identical(Literal(square(40), results[0])));
}

TEST_F(CudaRuntime, ResultsOfManyRunsInFlightKeepTheirValues) {
  // Small results of graphs come out of one slot: each run's must be its own.
  const ir::Graph graph = step_program(35);
  const auto executable = backend_->compile(graph, {});
  const Literal state = numbers({35, 35});
  std::vector<StoragePtr> sums, held;
  for (int i = 0; i < 12; ++i) {
    // Two inputs in turn, so that graphs are used again.
    const Literal x = numbers({35, 35}, i % 2);
    if (i < 2) held.push_back(x.storage());
    sums.push_back(executable->run(std::vector<StoragePtr>{state.storage(), held[static_cast<std::size_t>(i % 2)]})[1]);
  }
  EXPECT_GT(gpu.count("graph of"), 0U);
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(cases::difference(Literal(kScalar, sums[static_cast<std::size_t>(i)]),
                                ir::interpret(graph, std::vector<Literal>{state, numbers({35, 35}, i % 2)})[1], 50),
              "")
        << i;
}

TEST_F(CudaRuntime, CopiesLargerThanThePinnedRing) {
  const auto device = std::make_shared<cuda::Device>(*FakeGpu::parts().driver, 13000, 0);
  Literal first({DType::U8, {(19 << 20) + 5}}), second({DType::U8, {(9 << 20) + 1}});
  for (std::int64_t i = 0; i < first.size(); ++i) first.as<std::uint8_t>()[static_cast<std::size_t>(i)] = i * 31 % 251;
  for (std::int64_t i = 0; i < second.size(); ++i) second.as<std::uint8_t>()[static_cast<std::size_t>(i)] = i * 7 % 253;
  const auto place = [&](const Literal& values) {
    auto placed = std::make_shared<cuda::DeviceStorage>(device->allocate(values.bytes()), 0, values.bytes());
    device->upload(placed->address(), values.data(), values.bytes());
    return placed;
  };
  const auto a = place(first), b = place(second);
  EXPECT_TRUE(Literal(first.type(), a).identical(first));
  EXPECT_TRUE(Literal(second.type(), b).identical(second));
}

TEST_F(CudaRuntime, ArraysMoveBetweenDevices) {
  const ir::Graph graph = step_program(30);
  const auto gpu_program = backend_->compile(graph, {});
  const auto cpu_program = backend({"cpu"}).compile(graph, {});
  const std::vector<StoragePtr> inputs{numbers({30, 30}).storage(), numbers({30, 30}, 1).storage()};
  const auto here = cpu_program->run(inputs), there = gpu_program->run(inputs);
  const TensorType type{DType::F32, {30, 30}};
  const StoragePtr x = numbers({30, 30}, 2).storage();
  const Literal a(type, cpu_program->run(std::vector<StoragePtr>{there[0], x})[0]);
  const Literal b(type, gpu_program->run(std::vector<StoragePtr>{here[0], x})[0]);
  EXPECT_EQ(cases::difference(a, b, 4), "");
}

TEST_F(CudaRuntime, ManyThreadsShareAProgram) {
  const ir::Graph graph = step_program(20);
  const std::shared_ptr<Executable> executable = backend_->compile(graph, {});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const std::vector<Literal> values{numbers({20, 20}, 0.01 * t), numbers({20, 20}, t)};
      const std::vector<StoragePtr> inputs{values[0].storage(), values[1].storage()};
      const Literal want = ir::interpret(graph, values)[0];
      for (int i = 0; i < 5; ++i)
        EXPECT_EQ(cases::difference(Literal(square(20), executable->run(inputs)[0]), want), "") << t;
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(CudaRuntime, HostStepsRunInPlaceAndAreNeverRecorded) {
  ir::Graph graph("checked");
  ir::Builder build{graph};
  const ir::Value x = graph.parameter({DType::F32, {40, 40}}), y = graph.parameter({DType::F32, {40, 40}});
  const ir::Value sum = build.add(x, y);
  graph.add(ir::Op::CustomCall, {sum, build.add(y, x)},
            {{"call_target_name", std::string("check.expect_eq")}, {"result_types", std::string()}}, {}, {});
  graph.results = {build.multiply(sum, sum)};
  const auto executable = backend_->compile(graph, {});
  const std::vector<StoragePtr> inputs{numbers({40, 40}).storage(), numbers({40, 40}, 1).storage()};
  for (int i = 0; i < 3; ++i) executable->run(inputs);
  EXPECT_EQ(gpu.count("record"), 0U);
  EXPECT_GE(gpu.count("download"), 6U);
}

TEST_F(CudaRuntime, ProfileTimesEveryStep) {
  const auto executable = backend_->compile(step_program(64), {});
  const std::vector<StoragePtr> inputs{numbers({64, 64}).storage(), numbers({64, 64}, 1).storage()};
  const std::vector<StepProfile> profile = executable->profile(inputs);
  ASSERT_FALSE(profile.empty());
  for (const StepProfile& step : profile) {
    EXPECT_FLOAT_EQ(step.seconds, 0.25e-3);
    EXPECT_GT(step.bytes, 0) << step.name;
  }
  EXPECT_NE(executable->describe().find("blocks of"), std::string::npos) << executable->describe();
}

/// What running it says.
std::string failure(Executable& executable, const std::vector<StoragePtr>& inputs) {
  try {
    const auto results = executable.run(inputs);
    (void)Literal({DType::F32, {}}, results.at(1)).get_double(0);
  } catch (const Error& error) {
    return without_places(error.what(), "cuda_runtime_test.cpp", "HERE");
  }
  return "nothing was thrown";
}

TEST_F(CudaRuntime, OutOfMemoryNamesTheLargestTenants) {
  gpu.memory = std::size_t{9} << 20;
  ir::Graph graph("step");
  ir::Builder build{graph, Location(std::source_location::current())};
  const TensorType type{DType::F32, {512, 768}};
  const ir::Value a = graph.parameter(type), b = graph.parameter(type);
  graph.results = {build.add(a, b)};
  const auto executable = backend_->compile(graph, {});
  const std::vector<StoragePtr> first{numbers(type.shape).storage(), numbers(type.shape, 1).storage()};
  const StoragePtr kept = executable->run(first)[0];
  EXPECT_EQ(failure(*executable, {numbers(type.shape).storage(), numbers(type.shape).storage()}),
            "out of memory on cuda: the program step needs 1.5 MiB beside its inputs, and 1.5 MiB more were asked for; "
            "6.0 MiB are in use and 1.0 MiB free of 9.0 MiB. The largest tenants:\n"
            "  1.5 MiB f32[512, 768] parameter\n"
            "  1.5 MiB f32[512, 768] parameter\n"
            "  1.5 MiB f32[512, 768] add at HERE\n"
            "  about 67 % of this batch would fit");
}

TEST_F(CudaRuntime, ARefusedLaunchNamesKernelShapesAndLine) {
  const auto executable = backend_->compile(step_program(40), {});
  gpu.refused_kernel = "add";
  gpu.error = 701;
  const std::vector<StoragePtr> inputs{numbers({40, 40}).storage(), numbers({40, 40}, 1).storage()};
  EXPECT_EQ(failure(*executable, inputs),
            "cuda: CUDA_ERROR_OTHER (something went wrong) while launching step 1 of step: add_reduce at HERE\n"
            "      f32[40, 40] dot_general at HERE\n"
            "      f32[40, 40] parameter\n"
            "      f32[40, 40] add at HERE\n"
            "      f32[] reduce at HERE");
  gpu.refused_kernel = "";
  EXPECT_EQ(failure(*executable, inputs), "nothing was thrown") << "the device goes on";
}

TEST_F(CudaRuntime, AnIllegalAddressNamesWhatWasInFlightAndStays) {
  const auto executable = backend_->compile(step_program(40), {});
  const std::vector<StoragePtr> inputs{numbers({40, 40}).storage(), numbers({40, 40}, 1).storage()};
  gpu.broken_kernel = "add";
  gpu.error = 700;
  const std::string said = failure(*executable, inputs);
  EXPECT_EQ(said,
            "cuda: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered) while results were copied to "
            "the host\n"
            "  running or waiting then:\n"
            "    step: dot_general f32[40, 40], add_reduce\n"
            "  TESSERA_LOG=kernels runs one step at a time and names the one that fails\n"
            "  this process cannot use the device any more; start again from the last checkpoint");
  EXPECT_EQ(failure(*executable, inputs), said) << "until the end of the process";
}

TEST_F(CudaRuntime, LoggedStepsFailOneByOne) {
  ::setenv("TESSERA_LOG", "kernels", 1);
  const auto executable = backend_->compile(step_program(40), {});
  ::unsetenv("TESSERA_LOG");
  gpu.broken_kernel = "add";
  gpu.error = 716;
  EXPECT_EQ(failure(*executable, {numbers({40, 40}).storage(), numbers({40, 40}, 1).storage()}),
            "cuda: CUDA_ERROR_OTHER (something went wrong) while timing\n"
            "  running then:\n"
            "    step 1 of step: add_reduce at HERE\n"
            "      f32[40, 40] dot_general at HERE\n"
            "      f32[40, 40] parameter\n"
            "      f32[40, 40] add at HERE\n"
            "      f32[] reduce at HERE\n"
            "  this process cannot use the device any more; start again from the last checkpoint");
}

TEST(CudaRuntimeNames, ThereIsNoSecondGpu) {
  FakeGpu::get().reset();
  try {
    cuda::make_backend(FakeGpu::parts(), 1);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Unsupported);
    EXPECT_STREQ(error.what(), "there is no GPU 1: the driver shows 1");
  }
}

struct Net {
  nn::Conv2d conv;
  nn::Linear hidden, logits;
  TESSERA_FIELDS(conv, hidden, logits)
  Array operator()(const Array& x) const { return logits(relu(hidden(flatten(nn::max_pool(relu(conv(x)), 2), 1)))); }
};

/// Losses and final parameters of a few steps of training on a device.
std::pair<std::vector<float>, std::vector<Literal>> train_on(const std::string& device, int steps) {
  set_default_device(device);
  const auto [a, b, c, d] = split<4>(Key(3));
  Net net{{a, 1, 3, 3}, {b, 48, 10}, {c, 10, 3}};
  optim::Adam optimizer(net, 0.01);
  const Array images = random::uniform(d, {8, 8, 8, 1}), labels = random::integers(fold_in(d, 1), {8}, 0, 3);
  auto step = jit(
      [](Net& model, optim::Adam& adam, const Array& x, const Array& y) {
        auto loss = [](Net& m, const Array& in, const Array& out) { return nn::cross_entropy(m(in), out); };
        auto [value, gradient] = value_and_grad(loss)(model, x, y);
        adam.update(model, gradient);
        return value;
      },
      {.name = "step"});
  std::vector<Array> losses;
  for (int i = 0; i < steps; ++i) {
    FakeGpu::get().calls.clear();
    losses.push_back(step(net, optimizer, images, labels));
  }
  std::pair<std::vector<float>, std::vector<Literal>> result;
  const Calls last = FakeGpu::get().calls;
  for (const Array& loss : losses) result.first.push_back(loss.item<float>());
  for (const Array& leaf : flatten_tree(net)) result.second.push_back(leaf.literal());
  FakeGpu::get().calls = last;
  set_default_device("cpu");
  return result;
}

TEST(CudaRuntimeTraining, AStepIsOneGraphAndComputesWhatTheProcessorDoes) {
  FakeGpu& gpu = FakeGpu::get();
  gpu.reset();
  gpu.has_products = true;
  add_backend("fake", cuda::make_backend(FakeGpu::parts(), 0));
  const auto [losses, parameters] = train_on("fake", 6);
  EXPECT_EQ(gpu.violations, Calls{});
  EXPECT_EQ(gpu.count("graph of"), 1U);
  EXPECT_EQ(gpu.count("launch"), 0U);
  EXPECT_EQ(gpu.count("allocate"), 0U);
  EXPECT_LE(gpu.count(""), 3U) << "at most a copy of small inputs, the graph, and a copy of small results";
  const auto [want_losses, want_parameters] = train_on("cpu", 6);
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], want_losses[i], 1e-4) << i;
  EXPECT_LT(losses.back(), losses.front());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    EXPECT_EQ(cases::difference(parameters[i], want_parameters[i], 200), "") << i;
}

}  // namespace
}  // namespace tessera
