// Networks whose convolutions become few-channel calls: found where they should be, and equal to the reference.
#include <gtest/gtest.h>

#include <random>

#include "cases.hpp"
#include "tessera/backend/cpu/few_channel.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/literal.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/ir/rewrite.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using ir::Builder;
using ir::Integers;
using ir::Op;
using ir::Value;

Value conv(Builder& b, Value x, Value w, std::int64_t pad) {
  ir::Attributes attributes = cases::image_dimensions();
  attributes.set("padding", Integers{pad, pad, pad, pad});
  return b.graph.add1(Op::Convolution, {x, w}, attributes);
}

Value relu(Builder& b, Value x) {
  const Value zero = b.zeros_like(x);
  return b.select(b.compare(x, zero, "LE"), zero, x);
}

Value max_pool(Builder& b, Value x, std::int64_t window) {
  const Value lowest = b.constant(ir::identity(Op::Maximum, DType::F32));
  return b.graph.add1(
      Op::ReduceWindow, {x, lowest},
      {{"window_dimensions", Integers{1, window, window, 1}}, {"window_strides", Integers{1, window, window, 1}}},
      {ir::reducer(Op::Maximum, DType::F32)});
}

struct Layer {
  std::int64_t kernel, features, pad, window = 2;
};

/// (images, weights, bias, ...) -> a sum over what the layers give.
ir::Graph network(const Shape& images, const std::vector<Layer>& layers) {
  ir::Graph graph("network");
  Builder b{graph};
  Value h = graph.parameter({DType::F32, images});
  for (const Layer& layer : layers) {
    const std::int64_t channels = b.shape(h)[3];
    const Value w = graph.parameter({DType::F32, {layer.kernel, layer.kernel, channels, layer.features}});
    const Value bias = graph.parameter({DType::F32, {layer.features}});
    h = conv(b, h, w, layer.pad);
    h = b.add(h, b.broadcast_in_dim(bias, b.shape(h), {3}));
    h = max_pool(b, relu(b, h), layer.window);
  }
  graph.results = {b.sum(b.multiply(h, h), {0, 1, 2, 3})};
  return graph;
}

std::vector<Literal> random_values(const ir::Graph& graph) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  std::vector<Literal> list;
  for (const TensorType& type : graph.parameter_types()) {
    Literal& literal = list.emplace_back(type);
    for (std::int64_t i = 0; i < literal.size(); ++i) literal.set_double(i, 0.5 * normal(random));
  }
  return list;
}

/// How many few-channel calls the plan has; compares with the reference on the way.
int check(const ir::Graph& graph) {
  int calls = 0;
  const std::vector<Literal> values = random_values(graph);
  std::vector<StoragePtr> inputs;
  for (const Literal& value : values) inputs.push_back(value.storage());
  const auto want = backend({"reference"}).compile(graph, {})->run(inputs);
  const std::vector<TensorType> types = graph.result_types();
  for (const int threads : {1, 2}) {
    const auto executable = backend({"cpu"}).compile(graph, {.threads = threads, .donated = {}});
    const auto got = executable->run(inputs);
    for (std::size_t r = 0; r < types.size(); ++r) {
      const Literal a(types[r], got[r]), b(types[r], want[r]);
      double scale = 1e-3;
      for (std::int64_t i = 0; i < b.size(); ++i) scale = std::max(scale, std::abs(b.get_double(i)));
      for (std::int64_t i = 0; i < b.size(); ++i)
        EXPECT_NEAR(a.get_double(i), b.get_double(i), 2e-5 * scale) << "result " << r << ", element " << i;
    }
    const std::string plan = executable->describe();
    calls = 0;
    for (std::size_t at = plan.find("by few_channel"); at != std::string::npos;
         at = plan.find("by few_channel", at + 1))
      ++calls;
  }
  return calls;
}

class FewChannelRewrite : public testing::Test {
 protected:
  void SetUp() override {
    if (cpu::FewChannel::widest() == 0) GTEST_SKIP() << "no vector instructions for it";
  }
};

ir::GraphPtr gradient(const ir::Graph& graph, bool of_images) {
  std::vector<bool> wrt(graph.parameters.size(), true);
  wrt[0] = of_images;
  return transform::vjp(graph, wrt, {true});
}

TEST_F(FewChannelRewrite, ForwardAlone) { EXPECT_EQ(check(network({9, 12, 12, 1}, {{5, 6, 2}, {3, 8, 0}})), 2); }

TEST_F(FewChannelRewrite, TrainingStep) {
  const ir::Graph graph = network({9, 12, 12, 1}, {{5, 6, 2}, {3, 8, 0}});
  EXPECT_EQ(check(*gradient(graph, false)), 4);
  EXPECT_EQ(check(*gradient(graph, true)), 4);
}

TEST_F(FewChannelRewrite, LeavesTheOthersAlone) {
  EXPECT_EQ(check(*gradient(network({4, 8, 8, 1}, {{3, 6, 1, 4}}), false)), 0) << "another window";
  EXPECT_EQ(check(*gradient(network({4, 8, 8, 16}, {{3, 8, 1}}), false)), 0) << "many channels";
  // The activations are wanted by somebody else too.
  ir::Graph graph("shared");
  Builder b{graph};
  const Value x = graph.parameter({DType::F32, {4, 8, 8, 1}}), w = graph.parameter({DType::F32, {3, 3, 1, 4}}),
              bias = graph.parameter({DType::F32, {4}});
  const Value sum = conv(b, x, w, 1);
  const Value active = relu(b, b.add(sum, b.broadcast_in_dim(bias, b.shape(sum), {3})));
  graph.results = {max_pool(b, active, 2), active};
  EXPECT_EQ(check(graph), 0);
}

TEST_F(FewChannelRewrite, LeavesAGradientBeforeItsPoolAlone) {
  ir::Graph graph = network({4, 8, 8, 1}, {{3, 6, 1}});
  const ir::Node pool = *std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                      [](const ir::Node& node) { return node.op == Op::ReduceWindow; });
  graph.results = pool.results;
  ir::Values operands;
  ir::Graph late = ir::rewrite(*gradient(graph, false), [&](ir::Rewriting& r, const ir::Node& node) {
    if (node.op != Op::ReduceWindow) return std::optional<ir::Values>();
    operands = r.operands;
    return std::optional(ir::Values());
  });
  EXPECT_EQ(late.results[0], -1);
  late.results[0] = late.append(pool, operands, graph.result_types())[0];
  EXPECT_EQ(check(late), 0);
}

TEST_F(FewChannelRewrite, ProgramsCannotMakeUpCalls) {
  ir::Graph graph;
  const Value x = graph.parameter({DType::F32, {4}});
  graph.results = graph.add(Op::CustomCall, {x, x, x},
                            {{"call_target_name", std::string("tessera.few_channel")},
                             {"result_types", std::string("f32[4]; ui8[4]")},
                             {"sizes", Integers{1000000, 100, 100, 1, 1000, 5, 5, 2, 2, 100, 100}}});
  const std::vector<StoragePtr> inputs{allocate_host(16)};
  EXPECT_THROW(backend({"cpu"}).compile(graph, {})->run(inputs), Error);
}

}  // namespace
}  // namespace tessera
