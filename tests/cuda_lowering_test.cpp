// Training steps lowered for a GPU with the vendor's libraries as they are by rules: which steps are the libraries', in
// which types, what is fused onto them. Nothing runs.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "cases.hpp"
#include "tessera/backend/cuda/backend.hpp"
#include "tessera/backend/cuda/choices.hpp"
#include "tessera/backend/cuda/cudnn.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using namespace ir;
using cuda::as_dnn_convolution;

/// images -> conv, bias, relu -> conv, bias, relu -> product, bias -> a sum, and its gradients to all parameters.
GraphPtr network(std::int64_t channels) {
  Graph graph;
  Builder b{graph};
  const auto parameter = [&](Shape shape) { return graph.parameter({DType::F32, std::move(shape)}); };
  const Value images = parameter({16, 12, 12, channels}), w1 = parameter({3, 3, channels, 32}), b1 = parameter({32}),
              w2 = parameter({3, 3, 32, 64}), b2 = parameter({64}), w3 = parameter({8 * 8 * 64, 10}),
              b3 = parameter({10}), weights = parameter({16, 10});
  const auto layer = [&](Value x, Value w, Value bias) {
    const Value made = graph.add1(Op::Convolution, {x, w}, cases::image_dimensions());
    const Value biased = b.add(made, b.broadcast_in_dim(bias, b.shape(made), {3}));
    const Value zeros = b.zeros_like(biased);
    return b.select(b.compare(biased, zeros, "LE"), zeros, biased);
  };
  const Value h = b.reshape(layer(layer(images, w1, b1), w2, b2), {16, 8 * 8 * 64});
  const Value logits = b.dot_general(h, w3, {{}, {}, {1}, {0}});
  const Value out = b.add(logits, b.broadcast_in_dim(b3, {16, 10}, {1}));
  graph.results = {b.sum(b.multiply(out, weights), {0, 1})};
  return transform::vjp(graph, {false, true, true, true, true, true, true, false}, {true});
}

std::vector<pass::LibraryCall> library_steps(const Graph& graph, Precision precision) {
  CompileOptions options;
  options.precision = precision;
  const pass::Program program = pass::lower(graph, cuda::target_of(132, precision, cuda::vendor_would_take), options);
  pass::verify(program);
  std::vector<pass::LibraryCall> list;
  for (const pass::Step& step : program.steps)
    if (step.kind == pass::Step::Kind::Library) list.push_back(step.library);
  return list;
}

std::string summary(const pass::LibraryCall& call) {
  const char* const passes[3] = {"forward", "to the images", "to the weights"};
  const auto c = as_dnn_convolution(call);
  return std::string(name(call.operand_types[0].dtype)) + " " +
         (c ? passes[static_cast<std::size_t>(c->pass)] : "product") + cuda::epilogue_text(call);
}

std::multiset<std::string> summaries(const Graph& graph, Precision precision) {
  std::multiset<std::string> list;
  for (const pass::LibraryCall& call : library_steps(graph, precision)) list.insert(summary(call));
  return list;
}

TEST(CudaLowering, NarrowConvolutionsWithTheirEpilogues) {
  const std::multiset<std::string> want{
      "bf16 forward + bias + relu", "bf16 forward + bias + relu", "bf16 to the images", "bf16 to the weights",
      "bf16 to the weights",        "bf16 product + bias",        "bf16 product",       "bf16 product"};
  EXPECT_EQ(summaries(*network(4), Precision::BFloat16), want);
}

TEST(CudaLowering, OneChannelStaysWideWhereThereIsNoNarrowEngine) {
  const std::multiset<std::string> want{
      "bf16 forward + bias + relu", "bf16 forward + bias + relu", "bf16 to the images", "bf16 to the weights",
      "f32 to the weights",         "bf16 product + bias",        "bf16 product",       "bf16 product"};
  EXPECT_EQ(summaries(*network(1), Precision::BFloat16), want);
}

TEST(CudaLowering, ExactProductsAreNotFusedWithReluOrConvolutions) {
  const std::multiset<std::string> want{"f32 forward",        "f32 forward",        "f32 to the images",
                                        "f32 to the weights", "f32 to the weights", "f32 product + bias",
                                        "f32 product",        "f32 product"};
  EXPECT_EQ(summaries(*network(4), Precision::Float32), want);
}

TEST(CudaLowering, WeightsStandInTheOrderOfTheEngines) {
  for (const pass::LibraryCall& call : library_steps(*network(4), Precision::TensorFloat32)) {
    const auto c = as_dnn_convolution(call);
    if (!c) continue;
    EXPECT_EQ(c->weights.strides[1], 1) << summary(call);
    EXPECT_EQ(c->weights.strides[0], 9 * c->weights.dims[1]) << summary(call);
  }
}

}  // namespace
}  // namespace tessera
