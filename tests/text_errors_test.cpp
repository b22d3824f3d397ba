// Wrong and hostile StableHLO text: an error with line and column that says what was found and what was expected;
// never a crash, a hang, or memory taken for sizes that the text only claims.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "tessera/ir/graph.hpp"
#include "tessera/ir/text.hpp"

namespace {

using namespace tessera;

struct Wrong {
  std::string text;
  std::string message;  ///< a part of it
  ErrorKind kind = ErrorKind::Failed;
};

/// A function of one tensor<2x3xf32> %x whose second line is `operation`.
std::string around(const std::string& operation) {
  return "func.func @main(%x: tensor<2x3xf32>, %i: tensor<i32>) {\n" + operation + "\n  return\n}";
}

void expect_error(const Wrong& wrong) {
  SCOPED_TRACE(wrong.text.substr(0, 500));
  try {
    (void)ir::parse(wrong.text, "f.mlir");
    ADD_FAILURE() << "was read; expected: " << wrong.message;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(wrong.message), std::string::npos) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with("f.mlir:")) << error.what();
    EXPECT_EQ(error.kind(), wrong.kind) << error.what();
  }
}

TEST(TextErrors, SayWhereAndWhat) {
  constexpr auto kNo = ErrorKind::Unsupported;
  const std::vector<Wrong> table = {
      {"", "1:1: expected a function: func.func @main(...), found the end of the text"},
      {"hello", "1:1: expected a module or a function: module, func.func, found 'hello'"},
      {"module @a {", "1:12: expected '}' at the end of the module, found the end of the text"},
      {"func.func @main(%x: tensor<2xf32>) {\n  return", "1:36: this bracket is never closed"},
      {"func.func @main(%x: tensor<2xf32>) -> tensor<2xf32>", "expected the body of @main, found the end of the text"},
      {"func.func @main() { return }\nfunc.func @main() { return }", "2:11: the function @main is defined twice"},
      {"func.func @main(%x: tensor<2xf32>) -> tensor<3xf32> {\n return %x : tensor<2xf32>\n}",
       "@main returns values of other types than it declares"},
      {around("%y = stablehlo.ad %x, %x : tensor<2x3xf32>"),
       "2:6: there is no operation 'stablehlo.ad'; did you mean stablehlo.add?"},
      {around("%y = stablehlo.logg %x : tensor<2x3xf32>"), "did you mean stablehlo.log?"},
      {around("%y:2 = \"stablehlo.fft\"(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>) -> (tensor<2x3xf32>, "
              "tensor<2x3xf32>)"),
       "2:8: line 2: stablehlo.fft is not supported yet", kNo},
      {around("%y:2 = \"stablehlo.sort\"(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>) -> (tensor<2x3xf32>, "
              "tensor<2x3xf32>)"),
       "takes one region, the comparator"},
      {around("%y = stablehlo.while(%a = %x) : tensor<2x3xf32> do { }"),
       "expected 'cond' and the condition of the loop, found 'do'"},
      {around("%y = stablehlo.while(%a = %x) : tensor<2x3xf32>, tensor<i32> cond { } do { }"),
       "a loop has one type for each value that it carries"},
      {around("%y = stablehlo.while(%a = %x) : tensor<2x3xf32> cond {\nstablehlo.return %a : tensor<2x3xf32>\n} do "
              "{\nstablehlo.return %a : tensor<2x3xf32>\n}"),
       "the results of the condition must be (i1[]), not (f32[2, 3])"},
      {around("%y = \"stablehlo.case\"(%i) ({\nstablehlo.return %x : tensor<2x3xf32>\n}, {\nstablehlo.return %i : "
              "tensor<i32>\n}) : (tensor<i32>) -> tensor<2x3xf32>"),
       "the results of branch 1 must be (f32[2, 3]), not (i32[])"},
      {around("%y = \"stablehlo.case\"(%i) ({\n^bb0(%a: tensor<i32>):\nstablehlo.return %a : tensor<i32>\n}) : "
              "(tensor<i32>) -> tensor<i32>"),
       "branches of stablehlo.case take no parameters"},
      {around("%y:2 = chlo.top_k(%x, k = 4) : tensor<2x3xf32> -> (tensor<2x4xf32>, tensor<2x4xi32>)"),
       "k is 4 and the last dimension has 3 elements"},
      {around("%y = chlo.lgamma %x : tensor<2x3xf32> -> tensor<2x3xf32>"), "line 2: chlo.lgamma is not supported yet",
       kNo},
      {around("%y = stablehlo.negate %z : tensor<2x3xf32>"), "2:23: %z is not defined before this line"},
      {around("%y = stablehlo.negate %x : tensor<2x4xf32>"),
       "2:28: stablehlo.negate: the types of the operands are (tensor<2x3xf32>), written here as (tensor<2x4xf32>)"},
      {around("%y = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<2x3xf32>"),
       "the types of the results are (tensor<3x2xf32>), written here as (tensor<2x3xf32>)"},
      {around("%y = stablehlo.transpose %x, dims = [1, 2] : (tensor<2x3xf32>) -> tensor<3x2xf32>"), "2:6: transpose"},
      {around("%y = stablehlo.transpose %x : (tensor<2x3xf32>) -> tensor<3x2xf32>"),
       "2:6: stablehlo.transpose lacks the attribute 'permutation'"},
      {around("%y = stablehlo.transpose %x, dimz = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>"),
       "2:30: stablehlo.transpose has no option 'dimz'"},
      {around("%y, %z = stablehlo.negate %x : tensor<2x3xf32>"), "stablehlo.negate has 1 results, 2 are named"},
      {around("%x = stablehlo.negate %x : tensor<2x3xf32>"), "2:1: %x is defined twice"},
      {around("%y = stablehlo.negate %x : tensor<2x3xf33>"),
       "2:39: expected an element type, found 'f33'; did you mean f32?"},
      {around("%y = stablehlo.negate %x : tensor<2x?xf32>"), "the extent '?' is not supported", kNo},
      {around("%y = stablehlo.negate %x : tensor<2x3xcomplex<f32>>"),
       "elements of type complex<f32> are not supported yet", kNo},
      {around("%y = stablehlo.negate %x : tensor<2x3xi4>"), "elements of type i4 are not supported yet", kNo},
      {around("%y = stablehlo.negate %x : tensor<2x3xf8E4M3FN>"), "elements of type f8E4M3FN are not supported yet",
       kNo},
      {around("%y = stablehlo.negate %x : tensor<2x3x!quant.uniform<i8:f32, 0.1>>"),
       "elements of type !quant.uniform are not supported yet", kNo},
      {around("%y = stablehlo.negate %x : !stablehlo.token"), "the type '!stablehlo.token' is not supported", kNo},
      {around("%y = stablehlo.constant dense<[1.0, 2.0]> : tensor<3xf32>"),
       "2:31: 2 values along dimension 0; tensor<3xf32> has 3"},
      {around("%y = stablehlo.constant dense<[1.0, 2.0]> : tensor<1xf32>"),
       "more than 1 values along dimension 0 of tensor<1xf32>"},
      {around("%y = stablehlo.constant dense<[[1]]> : tensor<1xi32>"),
       "expected a number: the type has 1 dimensions, found '['"},
      {around("%y = stablehlo.constant dense<300> : tensor<i8>"), "300 does not fit an element of type i8"},
      {around("%y = stablehlo.constant dense<-1> : tensor<ui8>"), "-1 does not fit an element of type ui8"},
      {around("%y = stablehlo.constant dense<1.5> : tensor<i32>"), "1.5 is not an element of type i32"},
      {around("%y = stablehlo.constant dense<1.0e+99> : tensor<f32>"), "1.0e+99 does not fit an element of type f32"},
      {around("%y = stablehlo.constant dense<\"0x00\"> : tensor<f32>"),
       "tensor<f32> takes 4 bytes, 1 are written here"},
      {around("%y = stablehlo.constant dense<\"0x0000803G\"> : tensor<f32>"), "2:41: 'G' is not a hexadecimal digit"},
      {around("%y = call @f(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>"), "there is no function @f"},
      {around("call @main(%x, %i) : (tensor<2x3xf32>, tensor<i32>) -> ()"),
       "@main calls itself; recursion is not supported", kNo},
      {around("%y = stablehlo.custom_call @foo(%x)"),
       "expected ':' before the types of stablehlo.custom_call, found 'return'"},
      {around("%y = stablehlo.add %x %x : tensor<2x3xf32>"),
       "expected ':' before the types of stablehlo.add, found '%x'"},
      {around("%y = stablehlo.slice %x [0:2] : (tensor<2x3xf32>) -> tensor<2x3xf32>"), "2:6: slice"},
      {around("%y = stablehlo.slice %x [0:2, 0:99999999999999999999] : (tensor<2x3xf32>) -> tensor<2x3xf32>"),
       "the integer 99999999999999999999 does not fit 64 bits"},
      {around("%c = stablehlo.constant dense<0.0> : tensor<f32>\n%y = stablehlo.reduce(%x init: %c) across dimensions "
              "= [0, 1] : (tensor<2x3xf32>, tensor<f32>) -> tensor<f32>\n reducer(%a: tensor<f32>, %b: tensor<f32>) "
              "{\n%s = stablehlo.add %a, %i : tensor<f32>\nstablehlo.return %s : tensor<f32>\n}"),
       "5:24: %i comes from outside this region; here only constants may", kNo},
      {around("%y = check.expect_equal %x, %x : tensor<2x3xf32>"),
       "there is no check 'check.expect_equal'; did you mean check.expect_eq?", kNo},
      {around("%y = \"stablehlo.negate\"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> \x01"),
       "the character 0x01 has no meaning here"},
      {around("%y = stablehlo.constant dense_resource<a> : tensor<2xf32>"),
       "constants of the form dense_resource<...> are not supported", kNo},
      {around("%y = \"stablehlo.add\"(%x, %x) {a = 1, a = 2} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>"),
       "the attribute 'a' is given twice"},
      {around("%y = sdy.manual_computation(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>"),
       "2:6: line 2: sdy.manual_computation is not supported yet", kNo},
  };
  for (const Wrong& wrong : table) expect_error(wrong);
}

TEST(TextErrors, AMissingEntryListsWhatThereIs) {
  try {
    (void)ir::parse("func.func @main() { return }").entry("mian");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the module has no function @mian, did you mean @main?; it has @main");
  }
}

TEST(TextErrors, HugeClaimsTakeNoMemory) {
  const std::size_t before = host_memory().peak;
  expect_error({around("%y = stablehlo.constant dense<[1.0]> : tensor<9999999999xf32>"),
                "has 9999999999 elements, more than are written here"});
  expect_error(
      {around("%y = stablehlo.constant dense<\"0x00\"> : tensor<9999999999xi8>"), "more than are written here"});
  expect_error({around("%y = stablehlo.constant dense<> : tensor<9999999999xi8>"), "dense<> has no values"});
  expect_error({around("%y = stablehlo.constant dense<1.0> : tensor<99999999999xf32>"),
                "more than 1 GiB in this module", ErrorKind::Unsupported});
  expect_error(
      {around("%y = stablehlo.constant dense<1.0> : tensor<9999999999x9999999999xf32>"), "more than 2^62 elements"});
  expect_error({around("%y = stablehlo.constant dense<1.0> : tensor<99999999999999999999xf32>"),
                "this extent does not fit 64 bits"});
  std::string rank = "tensor<";
  for (int i = 0; i < 1000; ++i) rank += "1x";
  expect_error({around("%y = stablehlo.constant dense<1.0> : " + rank + "f32>"), "a tensor has at most 32 dimensions",
                ErrorKind::Unsupported});
  expect_error(
      {around("%y:2000000000 = stablehlo.negate %x : tensor<2x3xf32>"), "cannot stand for 2000000000 results"});
  EXPECT_LT(host_memory().peak - before, std::size_t{1} << 20);
}

TEST(TextErrors, NestingIsLimited) {
  const auto repeat = [](const std::string& text, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += text;
    return out;
  };
  constexpr int kDeep = 100'000;
  expect_error({around("%y = \"stablehlo.negate\"(%x) {a = " + repeat("[", kDeep) + repeat("]", kDeep) +
                       "} : (tensor<2x3xf32>) -> tensor<2x3xf32>"),
                "attributes nest deeper than"});
  expect_error({around(repeat("\"stablehlo.negate\"() ({\n", kDeep) + repeat("})", kDeep)),
                "calls and regions nest deeper than 100", ErrorKind::Unsupported});
  expect_error(
      {around("%y = stablehlo.constant dense<" + repeat("[", kDeep) + "1" + repeat("]", kDeep) + "> : tensor<1x1xi32>"),
       "expected a number: the type has 2 dimensions"});
  std::string chain;
  for (int i = 0; i < 1000; ++i)
    chain +=
        "func.func @f" + std::to_string(i) + "() {\n call @f" + std::to_string(i + 1) + "() : () -> ()\n return\n}\n";
  expect_error(
      {chain + "func.func @f1000() { return }", "calls and regions nest deeper than 100", ErrorKind::Unsupported});
}

TEST(TextErrors, ProgramsThatGrowWithoutEndAreRefused) {
  std::string text = "func.func @f0() { return }\n";
  for (int i = 1; i < 64; ++i) {
    const std::string call = "call @f" + std::to_string(i - 1) + "() : () -> ()\n";
    text += "func.func @f" + std::to_string(i) + "() {\n" + call + call + "return\n}\n";
  }
  expect_error(
      {text, "with its calls written out, this function has more than 1000000 operations", ErrorKind::Unsupported});
}

/// Reads `text`, which may be wrong in any way; only Error may come out, and what reads must be a graph.
void read_anything(const std::string& text) {
  try {
    for (const ir::Function& function : ir::parse(text, "f.mlir").functions) ir::verify(*function.graph);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()), "");
  }
}

std::string program(const std::string& name) {
  std::stringstream text;
  text << std::ifstream(std::filesystem::path(__FILE__).parent_path() / "programs" / (name + ".mlir")).rdbuf();
  EXPECT_FALSE(text.str().empty());
  return text.str();
}

TEST(TextErrors, EveryTruncationIsAnError) {
  const std::string text = program("argmax");
  const std::size_t last = text.find_last_of('}');
  ASSERT_NE(last, std::string::npos);
  for (std::size_t length = 0; length < last; ++length)
    EXPECT_THROW((void)ir::parse(text.substr(0, length), "f.mlir"), Error) << length;
  EXPECT_NO_THROW((void)ir::parse(text));
}

TEST(TextErrors, RandomDamageNeverCrashes) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> pieces = {"[",
                                           "]",
                                           "{",
                                           "}",
                                           "(",
                                           ")",
                                           "<",
                                           ">",
                                           "-1",
                                           "0",
                                           "99999999999",
                                           "%0",
                                           "%arg0",
                                           ":",
                                           ",",
                                           "=",
                                           "tensor<2xf32>",
                                           "dense<0>",
                                           "\"",
                                           "#",
                                           "->",
                                           "-9223372036854775808",
                                           "9223372036854775807",
                                           "0x7F"};
  for (const char* name :
       {"argmax", "cnn_step_export", "embedding", "dynamic_slices", "grouped_convolution", "composite", "cumulative"}) {
    const std::string text = program(name);
    for (int i = 0; i < 150; ++i) {
      std::string damaged = text;
      for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
        const std::size_t at = random() % damaged.size();
        switch (random() % 4) {
          case 0: damaged.erase(at, random() % 20); break;
          case 1: damaged[at] = static_cast<char>(random()); break;
          case 2: damaged.insert(at, pieces[random() % pieces.size()]); break;
          default: {  // another number where one stands
            const std::size_t digit = damaged.find_first_of("0123456789", at);
            if (digit != std::string::npos) damaged.replace(digit, 1, pieces[8 + random() % 3]);
          }
        }
      }
      read_anything(damaged);
    }
  }
}

}  // namespace
