// Custom calls: the checks a program makes of itself, and what they say when they fail; result types as text.
#include <gtest/gtest.h>

#include <cmath>

#include "tessera/ir/custom_call.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera {
namespace {

using namespace ir;

/// The message of a check of `got` against `wanted`; empty when it passes.
std::string check(const char* target, const Literal& got, const Literal& wanted, Attributes attributes = {}) {
  Graph graph;
  attributes.set("call_target_name", std::string(target));
  Values operands{graph.parameter(got.type())};
  std::vector<Literal> arguments{got};
  if (std::string_view(target).ends_with("_const")) {
    attributes.set("value", wanted);
  } else {
    operands.push_back(graph.parameter(wanted.type()));
    arguments.push_back(wanted);
  }
  Location place;
  place.file = "model.cpp";
  place.line = 12;
  graph.add(Op::CustomCall, operands, attributes, {}, place);
  try {
    interpret(graph, arguments);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

Literal floats(const std::vector<float>& values) {
  return Literal::from<float>({1, static_cast<std::int64_t>(values.size())}, values);
}
Literal integers(const std::vector<std::int32_t>& values) {
  return Literal::from<std::int32_t>({static_cast<std::int64_t>(values.size())}, values);
}

TEST(Checks, EqualNamesPlaceElementAndCount) {
  EXPECT_EQ(check("check.expect_eq", integers({1, 2, 3}), integers({1, 2, 3})), "");
  EXPECT_EQ(check("check.expect_eq", integers({1, 5, 4}), integers({1, 2, 3})),
            "model.cpp:12: check.expect_eq failed: element [1] is 5, not 2; 2 of 3 elements differ");
  EXPECT_EQ(check("check.expect_eq_const", floats({1, 2.5F}), floats({1, 2})),
            "model.cpp:12: check.expect_eq_const failed: element [0, 1] is 2.5, not 2, apart by 0.5 (2097152 units in "
            "the last place); 1 of 2 "
            "elements differ");
  EXPECT_EQ(check("check.expect_eq", floats({NAN}), floats({-NAN})), "");
  EXPECT_NE(check("check.expect_eq", floats({0.0F}), floats({-0.0F})), "");
}

TEST(Checks, CloseCountsUnitsInTheLastPlace) {
  float x = 1;
  for (int i = 0; i < 3; ++i) x = std::nextafter(x, 2.0F);
  EXPECT_EQ(check("check.expect_close", floats({x, NAN, INFINITY}), floats({1, NAN, INFINITY})), "");
  EXPECT_NE(check("check.expect_close", floats({std::nextafter(x, 2.0F)}), floats({1})), "");
  EXPECT_NE(check("check.expect_close", floats({x}), floats({1}), {{"max_ulp_difference", std::int64_t{2}}}), "");
  EXPECT_NE(check("check.expect_close", floats({1}), floats({1}), {{"min_ulp_difference", std::int64_t{1}}}), "");
  const float tiny = std::nextafter(0.0F, 1.0F);
  EXPECT_EQ(check("check.expect_close", floats({tiny}), floats({-tiny}), {{"max_ulp_difference", std::int64_t{2}}}),
            "");
  EXPECT_NE(check("check.expect_close", floats({INFINITY}), floats({3e38F})), "");
}

TEST(Checks, AlmostEqualIsRelative) {
  EXPECT_EQ(check("check.expect_almost_eq", floats({10000.5F, 1e-5F, NAN}), floats({10000, 0, NAN})), "");
  EXPECT_NE(check("check.expect_almost_eq", floats({10002}), floats({10000})), "");
  EXPECT_EQ(check("check.expect_almost_eq", floats({10002}), floats({10000}), {{"tolerance", 1e-3}}), "");
  EXPECT_NE(check("check.expect_almost_eq", floats({INFINITY}), floats({1})), "");
  EXPECT_NE(check("check.expect_almost_eq_const", floats({NAN}), floats({1})), "");
}

TEST(Checks, RefuseWhatTheyCannotCompare) {
  EXPECT_THROW(check("check.expect_eq", floats({1}), integers({1})), Error);
  EXPECT_THROW(check("check.expect_eq_const", floats({1, 2}), floats({1})), Error);
  EXPECT_THROW(check("check.expect_close", integers({1}), integers({1})), Error);
  EXPECT_EQ(check("nobody.knows", floats({1}), floats({1})),
            "model.cpp:12: custom_call @nobody.knows is not a target that Tessera knows");
}

TEST(ResultTypes, RoundTripAndRefuseOtherText) {
  const std::vector<TensorType> types{{DType::F32, {2, 3}}, {DType::I32, {}}, {DType::Bool, {0}}};
  EXPECT_EQ(encode_types(types), "f32[2, 3]; i32[]; i1[0]");
  EXPECT_EQ(decode_types(encode_types(types)), types);
  EXPECT_EQ(decode_types("f32[2,3];ui8[4]"), (std::vector<TensorType>{{DType::F32, {2, 3}}, {DType::U8, {4}}}));
  EXPECT_TRUE(decode_types("").empty());
  for (const char* wrong : {"f32", "f99[2]", "f32[2", "f32[-1]", "f32[2 3]", "f32[2] i32[]", "f32[a]", "]f32[",
                            "f32[99999999999999999999]", "f32[4611686018427387904]", ";", "f32[1,,2]"})
    EXPECT_THROW(decode_types(wrong), Error) << wrong;
}

}  // namespace
}  // namespace tessera
