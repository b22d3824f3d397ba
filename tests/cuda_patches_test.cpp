// Convolutions over few features as products with patches: the same values as before, by the interpreter, for forward
// passes and gradients to the weights; and which convolutions they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "cases.hpp"
#include "tessera/backend/cuda/patches.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using namespace ir;

struct Setting {
  std::int64_t batch, height, width, features, outputs, window;
  Integers strides{1, 1}, padding{0, 0, 0, 0}, dilation{1, 1};
};

/// sum(conv(images, weights) * factors) and its gradients to both, images [batch, height, width, features] and
/// weights [height, width, inputs, outputs].
GraphPtr network(const Setting& s) {
  Graph graph;
  Builder b{graph};
  const Value images = graph.parameter({DType::F32, {s.batch, s.height, s.width, s.features}});
  const Value weights = graph.parameter({DType::F32, {s.window, s.window, s.features, s.outputs}});
  Attributes attributes = cases::image_dimensions();
  attributes.set("window_strides", s.strides);
  attributes.set("padding", s.padding);
  attributes.set("rhs_dilation", s.dilation);
  const Value made = graph.add1(Op::Convolution, {images, weights}, attributes);
  const Value factors = graph.parameter({DType::F32, b.shape(made)});
  graph.results = {b.sum(b.multiply(made, factors), {0, 1, 2, 3})};
  return transform::vjp(graph, {true, true, false}, {true});
}

std::int64_t count(const Graph& graph, Op op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(), [op](const Node& node) { return node.op == op; });
}

TEST(CudaPatches, ProductsGiveWhatConvolutionsGive) {
  const Setting settings[] = {
      {.batch = 64, .height = 9, .width = 8, .features = 1, .outputs = 5, .window = 3, .padding = {1, 1, 1, 1}},
      {.batch = 200, .height = 7, .width = 9, .features = 3, .outputs = 8, .window = 3},
      {.batch = 300,
       .height = 9,
       .width = 8,
       .features = 2,
       .outputs = 4,
       .window = 3,
       .strides = {2, 1},
       .padding = {0, 2, 1, 0}},
      {.batch = 300, .height = 8, .width = 9, .features = 6, .outputs = 3, .window = 2, .dilation = {1, 2}},
  };
  std::uint64_t seed = 1;
  for (const Setting& s : settings) {
    const GraphPtr before = network(s);
    const Graph after = cuda::few_features_as_products(*before);
    verify(after);
    EXPECT_EQ(count(after, Op::Convolution), 1) << "the gradient to the images stays one";
    EXPECT_EQ(count(after, Op::Gather), 1) << "both passes take the same patches";
    std::vector<Literal> arguments;
    for (const TensorType& type : before->parameter_types())
      arguments.push_back(cases::random_literal(type, {-1, 1}, seed++));
    const std::vector<Literal> want = interpret(*before, arguments);
    const std::vector<Literal> have = interpret(after, arguments);
    ASSERT_EQ(want.size(), have.size());
    for (std::size_t r = 0; r < want.size(); ++r) {
      ASSERT_EQ(want[r].type(), have[r].type());
      for (std::int64_t i = 0; i < want[r].size(); ++i)  // sums of thousands, in another order
        ASSERT_NEAR(want[r].get_double(i), have[r].get_double(i), 2e-3) << "result " << r << ", element " << i;
    }
  }
}

TEST(CudaPatches, ManyFeaturesAndFewPlacesStayConvolutions) {
  for (const Setting& s : {Setting{.batch = 64, .height = 9, .width = 9, .features = 8, .outputs = 4, .window = 2},
                           Setting{.batch = 4, .height = 9, .width = 9, .features = 1, .outputs = 4, .window = 2},
                           Setting{.batch = 64, .height = 20, .width = 20, .features = 7, .outputs = 4, .window = 7}}) {
    const GraphPtr graph = network(s);
    EXPECT_EQ(cuda::few_features_as_products(*graph).key(), graph->key());
  }
}

}  // namespace
}  // namespace tessera
