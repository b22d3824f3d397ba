// StableHLO text: what is printed reads back as the same graph, bit for bit, in both forms; programs that JAX lowered
// run here and give JAX's results. Wrong and hostile text: tests/text_errors_test.cpp.
#include "tessera/ir/text.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "cases.hpp"
#include "tessera/ir/primitive.hpp"

namespace {

using namespace tessera;
using ir::Op;

void expect_round_trip(const ir::Graph& graph) {
  for (const bool generic : {false, true}) {
    const std::string text = ir::print(graph, {.generic = generic});
    SCOPED_TRACE(text.substr(0, 4000));
    const ir::GraphPtr again = ir::parse(text).entry();
    ir::verify(*again);
    EXPECT_EQ(again->key(), graph.key());
    EXPECT_EQ(ir::print(*again, {.generic = generic}), text);
  }
}

TEST(Text, EveryCaseReadsBackAsTheSameGraph) {
  for (const cases::Case& item : cases::all()) {
    SCOPED_TRACE(item.name);
    expect_round_trip(*cases::graph_of(item));
  }
}

TEST(Text, PrettyForm) {
  ir::Graph graph("step");
  ir::Builder b{graph};
  const ir::Value x = graph.parameter({DType::F32, {2, 3}});
  const ir::Value y = graph.parameter({DType::F32, {2, 3}});
  const ir::Value sum = b.sum(b.multiply(x, y), {1});
  graph.results = {b.slice(b.transpose(b.broadcast_in_dim(sum, {2, 4}, {0}), {1, 0}), {0, 0}, {4, 2}, {2, 1}),
                   b.compare(x, y, "LT")};
  EXPECT_EQ(ir::to_string(graph), R"(module @step {
  func.func public @main(%arg0: tensor<2x3xf32>, %arg1: tensor<2x3xf32>) -> (tensor<2x2xf32>, tensor<2x3xi1>) {
    %0 = stablehlo.multiply %arg0, %arg1 : tensor<2x3xf32>
    %1 = stablehlo.constant dense<0.0> : tensor<f32>
    %2 = stablehlo.reduce(%0 init: %1) applies stablehlo.add across dimensions = [1] : (tensor<2x3xf32>, tensor<f32>) -> tensor<2xf32>
    %3 = stablehlo.broadcast_in_dim %2, dims = [0] : (tensor<2xf32>) -> tensor<2x4xf32>
    %4 = stablehlo.transpose %3, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
    %5 = stablehlo.slice %4 [0:4:2, 0:2] : (tensor<4x2xf32>) -> tensor<2x2xf32>
    %6 = stablehlo.compare LT, %arg0, %arg1 : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xi1>
    return %5, %6 : tensor<2x2xf32>, tensor<2x3xi1>
  }
}
)");
}

TEST(Text, GenericForm) {
  ir::Graph graph("f");
  ir::Builder b{graph};
  graph.results = {b.sum(graph.parameter({DType::I32, {3}}), {0})};
  EXPECT_EQ(ir::print(graph, {.generic = true}), R"(module @f {
  func.func public @main(%arg0: tensor<3xi32>) -> tensor<i32> {
    %0 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %1 = "stablehlo.reduce"(%arg0, %0) <{dimensions = array<i64: 0>}> ({
    ^bb0(%arg1: tensor<i32>, %arg2: tensor<i32>):
      %2 = "stablehlo.add"(%arg1, %arg2) : (tensor<i32>, tensor<i32>) -> tensor<i32>
      "stablehlo.return"(%2) : (tensor<i32>) -> ()
    }) : (tensor<3xi32>, tensor<i32>) -> tensor<i32>
    "func.return"(%1) : (tensor<i32>) -> ()
  }
}
)");
}

TEST(Text, PlacesAreCommentsWhenAskedFor) {
  ir::Graph graph;
  ir::Builder b{graph, Location(std::source_location::current())};
  graph.results = {b.negate(graph.parameter({DType::F32, {}}))};
  EXPECT_EQ(ir::to_string(graph).find("//"), std::string::npos);
  const std::string text = ir::to_string(graph, true);
  EXPECT_NE(text.find("// " + std::string(__FILE__) + ":"), std::string::npos) << text;
  EXPECT_EQ(ir::parse(text).entry()->key(), graph.key());
}

void expect_constant_round_trip(const Literal& literal) {
  ir::Graph graph;
  graph.results = {ir::Builder{graph}.constant(literal)};
  const ir::GraphPtr again = ir::parse(ir::print(graph)).entry();
  const Literal& read = again->nodes.at(0).attributes.literal("value");
  EXPECT_TRUE(read.identical(literal)) << ir::dense_text(literal).substr(0, 400);
}

TEST(Text, ConstantsAreBitExact) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::vector<Shape> shapes = {{}, {1}, {0}, {3, 0, 2}, {7}, {2, 3, 4}, {10, 10}, {101}, {4, 50}};
  for (const DType dtype : cases::kDTypes) {
    for (const Shape& shape : shapes) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        Literal literal(TensorType{dtype, shape});
        for (std::size_t i = 0; i < literal.bytes(); ++i)
          literal.data()[i] = static_cast<std::byte>(dtype == DType::Bool ? random() & 1U : random());
        expect_constant_round_trip(literal);
      }
    }
    expect_constant_round_trip(Literal::full({dtype, {1000, 20}}, 1));
  }
}

TEST(Text, EveryHalfPrecisionNumberIsBitExact) {
  for (const DType dtype : {DType::F16, DType::BF16}) {
    for (int part = 0; part < 1 << 10; ++part) {
      Literal literal(TensorType{dtype, {64}});  // few enough to be written as decimals
      for (int i = 0; i < 64; ++i) {
        const auto bits = static_cast<std::uint16_t>(part * 64 + i);
        std::memcpy(literal.data() + 2 * i, &bits, 2);
      }
      expect_constant_round_trip(literal);
    }
  }
}

TEST(Text, SpecialNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ir::dense_text(Literal::from<float>({4}, {-0.0F, infinity, -infinity, 1e-45F})),
            "dense<[-0.0, 0x7F800000, 0xFF800000, 1.0e-45]>");
  EXPECT_EQ(ir::dense_text(Literal::from<double>({}, {0.1})), "dense<0.1>");
  EXPECT_EQ(ir::dense_text(Literal::from<float>({2}, {1e20F, 3.0F})), "dense<[1.0e+20, 3.0]>");
  const auto value = [](const std::string& dense) {
    return ir::parse("func.func @main() -> tensor<f32> {\n %0 = stablehlo.constant " + dense +
                     " : tensor<f32>\n return %0 : tensor<f32>\n}")
        .entry()
        ->nodes.at(0)
        .attributes.literal("value")
        .get_double(0);
  };
  EXPECT_EQ(value("dense<1.000000e+00>"), 1);
  EXPECT_EQ(value("dense<9.99999997E-7>"), static_cast<double>(9.99999997E-7F));
  EXPECT_EQ(value("dense<1.0e-60>"), 0);
  EXPECT_TRUE(std::isnan(value("dense<0x7FC00000>")));
  EXPECT_EQ(value("dense<\"0x0000803F\">"), 1);
}

/// y = f(x), z = g(y): calls with bodies of one name, shared and different.
TEST(Text, CalledBodiesAreNamedAndPrintedOnce) {
  const TensorType type{DType::F32, {2}};
  const auto body = [&](Op op) {
    auto graph = std::make_shared<ir::Graph>("f");
    ir::Builder b{*graph};
    graph->results = {b.unary(op, graph->parameter(type))};
    return graph;
  };
  ir::Graph graph;
  ir::Value x = graph.parameter(type);
  for (const Op op : {Op::Negate, Op::Negate, Op::Abs})
    x = graph.add1(Op::Call, {x}, {{"callee", std::string("f")}}, {body(op)});
  auto eps = std::make_shared<ir::Attributes>(
      ir::Attributes{{"eps", 1e-6}, {"axes", ir::Integers{0}}, {"name", std::string("a\"b\n")}});
  x = graph.add1(Op::Composite, {x},
                 {{"name", std::string("my.norm")},
                  {"composite_attributes", std::shared_ptr<const ir::Attributes>(eps)},
                  {"version", std::int64_t{2}}},
                 {body(Op::Sign)});
  graph.results = {x};
  const std::string text = ir::print(graph);
  const auto count = [&](const std::string& what) {
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("func.func private"), 3U) << text;
  EXPECT_EQ(count("call @f("), 2U);
  EXPECT_EQ(count("call @f_0("), 1U);
  EXPECT_NE(text.find("composite \"my.norm\" %2 {composite_attributes = {eps = 1.0e-06 : f64, axes = array<i64: 0>, "
                      "name = \"a\\\"b\\0A\"}, decomposition = @my.norm, version = 2 : i32}"),
            std::string::npos)
      << text;
  expect_round_trip(graph);
}

TEST(Text, ACallKeepsItsOwnDerivative) {
  const TensorType type{DType::F32, {}};
  auto body = std::make_shared<ir::Graph>("f");
  body->results = {ir::Builder{*body}.negate(body->parameter(type))};
  auto forward = std::make_shared<ir::Graph>("forward");
  const ir::Value x = forward->parameter(type);
  forward->results = {ir::Builder{*forward}.negate(x), x};
  auto backward = std::make_shared<ir::Graph>("backward");
  const ir::Value residual = backward->parameter(type);
  backward->results = {ir::Builder{*backward}.multiply(residual, backward->parameter(type))};
  ir::Graph graph;
  graph.results =
      graph.add(Op::Call, {graph.parameter(type)}, {{"callee", std::string("f")}}, {body, forward, backward});
  expect_round_trip(graph);
  EXPECT_EQ(ir::parse(ir::print(graph)).entry()->nodes.at(0).regions.size(), 3U);
}

TEST(Text, AttributesThatStableHloHasNotAreKept) {
  ir::Graph graph;
  const ir::Value x = graph.parameter({DType::F32, {2}});
  ir::Attributes more{{"note", std::string("kept")},
                      {"count", std::int64_t{-3}},
                      {"ratio", 0.5},
                      {"on", true},
                      {"list", ir::Integers{1, 2}},
                      {"values", Literal::from<float>({2}, {1, 2})}};
  graph.results = {graph.add1(Op::Negate, {x}, more)};
  expect_round_trip(graph);
}

TEST(Text, OperationsWithoutOperands) {
  ir::Graph graph;
  graph.add(Op::OptimizationBarrier, {});
  graph.add(Op::CustomCall, {}, {{"call_target_name", std::string("f")}, {"result_types", std::string()}});
  expect_round_trip(graph);
}

TEST(Text, DonatedArgumentsAndFunctions) {
  const ir::Module module = ir::parse(R"(
module @jit_f attributes {mhlo.num_partitions = 1 : i32} {
  func.func public @main(%arg0: tensor<2xf32> {tf.aliasing_output = 1 : i32} loc("a"), %arg1: tensor<2xf32>) -> (tensor<2xf32> {jax.result_info = "x"}, tensor<2xf32>) {
    %0:2 = call @swap(%arg0, %arg1) : (tensor<2xf32>, tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) loc(#loc1)
    return %0#0, %0#1 : tensor<2xf32>, tensor<2xf32>
  }
  func.func private @swap(%a: tensor<2xf32>, %b: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
    return %b, %a : tensor<2xf32>, tensor<2xf32> loc(unknown)
  } loc("f.py":1:2 to :3)
} loc(#loc)
#loc = loc(callsite("f"("f.py":1:2) at unknown))
)");
  EXPECT_EQ(module.name, "jit_f");
  EXPECT_EQ(module.functions.size(), 2U);
  EXPECT_TRUE(module.function("main").is_public);
  EXPECT_FALSE(module.function("swap").is_public);
  EXPECT_EQ(module.function("main").aliased_result, (std::vector<std::int64_t>{1, -1}));
  const std::vector<Literal> swapped =
      ir::interpret(*module.entry(), std::vector{Literal::from<float>({2}, {1, 2}), Literal::from<float>({2}, {3, 4})});
  EXPECT_EQ(swapped[0].get_double(0), 3);
}

TEST(Text, WhatHasNoEffectIsSkipped) {
  const ir::GraphPtr graph = ir::parse(R"(
module @jit_f attributes {mhlo.num_replicas = 1 : i32} {
  sdy.mesh @empty_mesh = <[]> {stablehlo.mesh = {axes = []}}
  func.func public @main(%arg0: tensor<2xf32> {sdy.sharding = #sdy.sharding<@empty_mesh, [{}]>, mhlo.layout_mode = "default"}) -> tensor<2xf32> {
    %0 = sdy.sharding_constraint %arg0 <@empty_mesh, [{?}]> : tensor<2xf32>
    %1 = stablehlo.custom_call @lapack_spotrf_ffi(%0) {mhlo.backend_config = {uplo = 76 : ui8}, operand_layouts = [dense<0> : tensor<1xindex>], output_operand_aliases = [#stablehlo.output_operand_alias<output_tuple_indices = [], operand_index = 0, operand_tuple_indices = []>]} : (tensor<2xf32>) -> tensor<2xf32>
    %2 = stablehlo.dot_general %0, %1, contracting_dims = [] x [], precision = [HIGHEST, DEFAULT], algorithm = <lhs_precision_type = f32, allow_imprecise_accumulation = false> : (tensor<2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
    return %0 : tensor<2xf32>
  }
})")
                                 .entry();
  ASSERT_EQ(graph->nodes.size(), 2U);
  EXPECT_EQ(graph->nodes[0].attributes.string("call_target_name"), "lapack_spotrf_ffi");
  EXPECT_EQ(graph->results, graph->parameters);
  expect_round_trip(*graph);
}

TEST(Text, RegionsThatUseValuesFromOutside) {
  // As exports write them: limits and weights are not carried, branches take no parameters.
  const ir::GraphPtr graph = ir::parse(R"(
module @jit_f {
  func.func public @main(%x: tensor<3xf32>, %w: tensor<3xf32>, %k: tensor<i32>) -> (tensor<3xf32>, tensor<2xf32>, tensor<2xi32>) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %n = stablehlo.constant dense<3> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %0:2 = stablehlo.while(%i = %c, %s = %x) : tensor<i32>, tensor<3xf32>
    cond {
      %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %1 = "stablehlo.case"(%k) ({
        %3 = stablehlo.multiply %s, %w : tensor<3xf32>
        stablehlo.return %3 : tensor<3xf32>
      }, {
        stablehlo.return %w : tensor<3xf32>
      }) : (tensor<i32>) -> tensor<3xf32>
      %2 = stablehlo.add %i, %one : tensor<i32>
      stablehlo.return %2, %1 : tensor<i32>, tensor<3xf32>
    }
    %values, %indices = chlo.top_k(%0#1, k = 2) : tensor<3xf32> -> (tensor<2xf32>, tensor<2xi32>)
    return %0#1, %values, %indices : tensor<3xf32>, tensor<2xf32>, tensor<2xi32>
  }
})")
                                 .entry();
  ir::verify(*graph);
  expect_round_trip(*graph);
  const auto f32 = [](const std::vector<float>& v) { return Literal::from<float>({3}, v); };
  const auto run = [&](std::int32_t k) {
    const std::vector<Literal> results =
        ir::interpret(*graph, std::vector{f32({1, 2, 3}), f32({2, 3, 1}), Literal::full_integer({DType::I32, {}}, k)});
    return std::vector<float>(results[0].as<float>().begin(), results[0].as<float>().end());
  };
  EXPECT_EQ(run(0), (std::vector<float>{8, 54, 3}));
  EXPECT_EQ(run(1), (std::vector<float>{2, 3, 1}));
  const std::string text = ir::print(*graph);
  EXPECT_NE(text.find("chlo.top_k(%3#1, k = 2) : tensor<3xf32> -> (tensor<2xf32>, tensor<2xi32>)"), std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(%5 = "stablehlo.case"(%arg6) ({)"), std::string::npos) << text;
}

TEST(Text, ChecksOfTheInterpreterDialect) {
  const auto run = [](const std::string& check) {
    ir::interpret(*ir::parse("func.func @main() {\n %x = stablehlo.constant dense<[1.0, 2.0]> : tensor<2xf32>\n " +
                                 check + "\n return\n}",
                             "check.mlir")
                       .entry(),
                  {});
  };
  run("check.expect_eq %x, %x : tensor<2xf32>");
  run("check.expect_eq_const %x, dense<[1.0, 2.0]> : tensor<2xf32>");
  run("check.expect_almost_eq_const %x, dense<[1.00001, 2.0]> : tensor<2xf32>");
  run("check.expect_close %x, %x {max_ulp_difference = 0 : i64} : tensor<2xf32>, tensor<2xf32>");
  run("stablehlo.custom_call @check.expect_eq(%x, %x) {has_side_effect = true} : (tensor<2xf32>, tensor<2xf32>) -> ()");
  try {
    run("check.expect_eq_const %x, dense<[1.0, 3.0]> : tensor<2xf32>");
    FAIL() << "a check that does not hold passed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("check.mlir:3"), std::string::npos) << error.what();
  }
}

/// The programs hold their inputs and JAX's results, and check themselves.
class Programs : public testing::TestWithParam<std::string> {};

TEST_P(Programs, GiveTheResultsOfJax) {
  const std::filesystem::path path =
      std::filesystem::path(__FILE__).parent_path() / "programs" / (GetParam() + ".mlir");
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const ir::GraphPtr graph = ir::parse(text.str(), path.filename().string()).entry();
  ir::verify(*graph);
  expect_round_trip(*graph);
  ir::interpret(*graph, {});
}

std::vector<std::string> program_names() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(__FILE__).parent_path() / "programs"))
    if (entry.path().extension() == ".mlir") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Jax, Programs, testing::ValuesIn(program_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
