// The interpreter against values recorded from JAX on the CPU, for the operations whose indices are easy to get wrong;
// and what their shape rules refuse. All operands follow one rule, so that the values can be computed again anywhere.
#include <gtest/gtest.h>

#include <limits>

#include "cases.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using namespace ir;

/// Element i is (5 i mod m) - o.
Literal pattern(const Shape& shape, std::int64_t m = 7, std::int64_t o = 3) {
  Literal literal({DType::F64, shape});
  for (std::int64_t i = 0; i < literal.size(); ++i) literal.set_integer(i, i * 5 % m - o);
  return literal;
}

Literal run(Op op, const std::vector<Literal>& operands, Attributes attributes, std::vector<GraphPtr> regions = {}) {
  Graph graph;
  Values values;
  for (const Literal& operand : operands) values.push_back(graph.parameter(operand.type()));
  graph.results = graph.add(op, values, std::move(attributes), std::move(regions));
  return interpret(graph, operands)[0];
}

void expect(const Literal& got, const Shape& shape, const std::vector<double>& values) {
  ASSERT_EQ(got.shape(), shape);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(got.get_double(static_cast<std::int64_t>(i)), values[i]) << "element " << i;
}

TEST(ReferenceValues, ConvolutionWithDilationsAndUnevenPadding) {
  Attributes attributes = cases::convolution_dimensions({0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3});
  attributes.set("window_strides", Integers{2, 1});
  attributes.set("padding", Integers{1, 2, -1, 3});
  attributes.set("lhs_dilation", Integers{1, 2});
  attributes.set("rhs_dilation", Integers{2, 1});
  expect(
      run(Op::Convolution, {pattern({1, 2, 4, 3}), pattern({2, 2, 2, 3}, 5, 2)}, attributes), {1, 2, 3, 5},
      {-6, -4, 2, 2, 0, -6, -10, -4, -4, 0, 0, -6, -6, -6, 0, -6, -4, 2, 2, 0, -6, -10, -4, -4, 0, 0, -6, -6, -6, 0});
}

TEST(ReferenceValues, ConvolutionFeaturesLastInGroups) {
  Attributes attributes = cases::convolution_dimensions({0, 3, 1, 2}, {3, 2, 0, 1}, {0, 3, 1, 2});
  attributes.set("window_strides", Integers{1, 2});
  attributes.set("padding", Integers{1, 0, 0, 1});
  attributes.set("feature_group_count", std::int64_t{2});
  expect(run(Op::Convolution, {pattern({2, 3, 3, 4}), pattern({2, 2, 2, 4}, 5, 2)}, attributes), {2, 3, 2, 4},
         {-6, -6, 12, 12, -4, -4, -2, -2, -2, -2, 6,  6,  4, 4, -6, -6, 4,  4,  -2, -2, 0, 0, 4, 4,
          -4, -4, 0,  0,  4,  4,  -8, -8, 2,  2,  -4, -4, 6, 6, -4, -4, -6, -6, 2,  2,  2, 2, 6, 6});
}

TEST(ReferenceValues, ConvolutionInBatchGroups) {
  Attributes attributes = cases::convolution_dimensions({0, 1, 2}, {0, 1, 2}, {0, 1, 2});
  attributes.set("window_strides", Integers{2});
  attributes.set("padding", Integers{0, 1});
  attributes.set("batch_group_count", std::int64_t{2});
  expect(run(Op::Convolution, {pattern({4, 1, 5}), pattern({2, 1, 2}, 5, 2)}, attributes), {2, 2, 3},
         {2, 4, -6, -2, 0, 6, 0, 2, 0, -4, -2, -2});
}

TEST(ReferenceValues, DotGeneralWithABatchInTheMiddle) {
  const Attributes attributes{{"lhs_batching_dimensions", Integers{0}},
                              {"rhs_batching_dimensions", Integers{1}},
                              {"lhs_contracting_dimensions", Integers{2}},
                              {"rhs_contracting_dimensions", Integers{0}}};
  expect(run(Op::DotGeneral, {pattern({2, 3, 4}), pattern({4, 2, 2}, 5, 2)}, attributes), {2, 3, 2},
         {6, 6, 0, 0, -6, -6, 2, 2, -4, -4, 4, 4});
}

Attributes windows(Integers dimensions, Integers strides, Integers padding) {
  return {{"window_dimensions", std::move(dimensions)},
          {"window_strides", std::move(strides)},
          {"padding", std::move(padding)}};
}

TEST(ReferenceValues, ReduceWindow) {
  const Literal lowest = identity(Op::Maximum, DType::F64), zero = Literal::full({DType::F64, {}}, 0);
  expect(run(Op::ReduceWindow, {pattern({4, 5}), lowest}, windows({2, 3}, {2, 1}, {0, 0, 1, 1}),
             {reducer(Op::Maximum, DType::F64)}),
         {2, 5}, {2, 2, 2, 3, 3, 3, 3, 3, 3, 3});
  Attributes dilated = windows({2, 2}, {1, 2}, {1, 0, 0, 1});
  dilated.set("base_dilations", Integers{2, 1});
  dilated.set("window_dilations", Integers{1, 2});
  expect(run(Op::ReduceWindow, {pattern({5, 4}), zero}, dilated, {reducer(Op::Add, DType::F64)}), {9, 2},
         {-3, 0, -3, 0, 2, -1, 2, -1, 0, -2, 0, -2, -2, -3, -2, -3, 3, 3});
  expect(run(Op::ReduceWindow, {pattern({6}), zero}, windows({6}, {1}, {5, 0}), {reducer(Op::Add, DType::F64)}), {6},
         {-3, -1, -1, -3, 0, 1});
}

TEST(ReferenceValues, GradientOfMaxPooling) {
  Graph graph;
  const Value x = graph.parameter({DType::F64, {4, 5}});
  Builder build{graph};
  const Value lowest = build.constant(identity(Op::Maximum, DType::F64));
  graph.results = graph.add(Op::ReduceWindow, {x, lowest}, windows({2, 3}, {1, 2}, {0, 1, 1, 0}),
                            {reducer(Op::Maximum, DType::F64)});
  const GraphPtr gradient = transform::vjp(graph, {true}, {true});
  const std::vector<Literal> results =
      interpret(*gradient, std::vector<Literal>{pattern({4, 5}), pattern({4, 2}, 5, 1)});
  expect(results[1], {4, 5}, {0, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0, -4, 0, 0, 0, -1, 0, 0, -1, 0});
}

TEST(ReferenceValues, GatherClampsAndScatterDrops) {
  const Attributes gather{{"offset_dims", Integers{1, 2}},
                          {"collapsed_slice_dims", Integers{}},
                          {"start_index_map", Integers{1, 0}},
                          {"index_vector_dim", std::int64_t{1}},
                          {"slice_sizes", Integers{2, 3}}};
  const Literal starts = Literal::from<std::int32_t>({3, 2}, {2, -1, 0, 3, 9, 1});
  expect(run(Op::Gather, {pattern({4, 5}), starts}, gather), {3, 2, 3},
         {0, -2, 3, -3, 2, 0, -2, 3, 1, 2, 0, -2, -3, 2, 0, 1, -1, -3});
  const Attributes scatter{{"update_window_dims", Integers{1}},
                           {"inserted_window_dims", Integers{0}},
                           {"scatter_dims_to_operand_dims", Integers{0}},
                           {"index_vector_dim", std::int64_t{1}}};
  const Literal rows = Literal::from<std::int32_t>({5, 1}, {1, 3, 1, 7, -1});
  expect(run(Op::Scatter, {pattern({4, 2}), rows, pattern({5, 2}, 5, 2)}, scatter, {reducer(Op::Add, DType::F64)}),
         {4, 2}, {-3, 2, -4, -6, 3, 1, -3, -5});
}

/// The message with which a node over zeros of these shapes is refused.
std::string refusal(Op op, const std::vector<Shape>& shapes, Attributes attributes,
                    std::vector<GraphPtr> regions = {}) {
  Graph graph;
  Values values;
  for (const Shape& shape : shapes) values.push_back(graph.parameter({DType::F64, shape}));
  try {
    graph.add(op, values, std::move(attributes), std::move(regions));
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

void expect_refused(const std::string& message, const std::string& rule) {
  EXPECT_NE(message.find(rule), std::string::npos) << message;
}

TEST(ShapeRules, RefuseWhatIsMissingOrOutOfRange) {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  expect_refused(refusal(Op::Transpose, {{4}}, {}), "'permutation' is missing");
  expect_refused(refusal(Op::Transpose, {{4}}, {{"permutation", true}}), "must be a list of integers");
  expect_refused(refusal(Op::Transpose, {{4, 4}}, {{"permutation", Integers{1, 1}}}), "1 stands twice in");
  expect_refused(refusal(Op::BroadcastInDim, {{3}}, {{"broadcast_dimensions", Integers{0}}, {"shape", Integers{4}}}),
                 "extent 3 cannot become dimension 0 of extent 4");
  expect_refused(
      refusal(Op::BroadcastInDim, {{}}, {{"broadcast_dimensions", Integers{}}, {"shape", Integers{huge, huge}}}),
      "more than 2^62 elements");
  expect_refused(refusal(Op::Reshape, {{4}}, {{"shape", Integers{-1, 4}}}), "negative extent");
  expect_refused(refusal(Op::Slice, {{4}}, {{"start_indices", Integers{0}}, {"limit_indices", Integers{5}}}),
                 "sliced from 0 to 5");
  const auto pad = [](std::int64_t low, std::int64_t interior) {
    return refusal(Op::Pad, {{4}, {}},
                   {{"edge_padding_low", Integers{low}},
                    {"edge_padding_high", Integers{0}},
                    {"interior_padding", Integers{interior}}});
  };
  expect_refused(pad(-5, 0), "negative extent");
  expect_refused(pad(std::numeric_limits<std::int64_t>::min(), 0), "more than 2^40");
  expect_refused(pad(0, huge), "does not fit 64 bits");
  expect_refused(refusal(Op::Concatenate, {{4}, {}}, {{"dimension", std::int64_t{0}}}), "does not fit operand 0");
  const std::vector<GraphPtr> sum{reducer(Op::Add, DType::F64)};
  expect_refused(refusal(Op::ReduceWindow, {{4}, {}}, windows({2, 2}, {}, {}), sum), "'window_strides' has 0 of the 2");
  expect_refused(refusal(Op::ReduceWindow, {{4}, {}}, windows({0}, {1}, {0, 0}), sum), "at least 1");
  expect_refused(refusal(Op::ReduceWindow, {{4}, {}}, windows({2}, {1}, {0, 0}), {reducer(Op::Add, DType::F32)}),
                 "region 0");
  Attributes groups = cases::convolution_dimensions({0, 1}, {0, 1}, {0, 1});
  groups.set("feature_group_count", std::int64_t{3});
  expect_refused(refusal(Op::Convolution, {{2, 4}, {3, 1}}, groups), "4 features in 3 groups");
  expect_refused(refusal(Op::Convolution, {{2, 4}, {3, 4}}, cases::convolution_dimensions({0, 0}, {0, 1}, {0, 1})),
                 "0 stands twice in");
}

}  // namespace
}  // namespace tessera
