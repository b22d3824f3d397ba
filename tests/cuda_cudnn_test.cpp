// Convolutions by cuDNN without a GPU. A stand-in for the library evaluates the operation graphs that it is given on
// the host, as the vendor's documentation defines them; the results must be the interpreter's. This proves what we ask
// the library for. It does not prove that the library's own kernels are right: that needs a GPU. Where cuDNN itself is
// present, it is asked, for a described H200, whether it takes the same graphs.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "cuda_nodes.hpp"
#include "fake_cudnn.hpp"
#include "tessera/backend/cuda/cudnn.hpp"
#include "tessera/backend/cuda/weights_layout.hpp"
#include "tessera/backend/kernel_cache.hpp"
#include "tessera/core/error.hpp"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace tessera::cuda {
namespace {

using Kind = pass::LibraryCall::Epilogue::Kind;
using Pass = pass::Convolution::Pass;
using namespace fake;

// ---- running a call ----

Literal run(const pass::LibraryCall& call, const std::vector<Literal>& arguments,
            Precision precision = Precision::Float32) {
  Literal out;
  {
    Cudnn library(stand_in());
    EXPECT_TRUE(library.has_engine(call, precision));
    Choices choices;
    out = run(*library.prepare(call, precision, {choices, "stand-in", {}}), call.result_type, arguments);
  }
  EXPECT_EQ(recorded.alive, 0) << "descriptors that stay";
  return out;
}

/// A convolution of channels-last images with OHWI (or HWIO) weights, and the convolutions of its gradient.
struct Images {
  DType dtype = DType::F32;
  std::int64_t batch = 2, in = 4, out = 6;
  Shape image = {5, 6}, window = {3, 2};
  Integers strides = {1, 1}, dilations = {1, 1}, padding = {1, 1, 0, 0};
  std::int64_t groups = 1;
  bool output_first = true;
  std::optional<DType> result = std::nullopt;
};
ir::Graph graph_of(const Images& s) {
  const auto spatial = static_cast<std::int64_t>(s.image.size());
  Integers images(s.image.size()), kernel(s.image.size());
  for (std::int64_t d = 0; d < spatial; ++d) {
    images[static_cast<std::size_t>(d)] = d + 1;
    kernel[static_cast<std::size_t>(d)] = d + (s.output_first ? 1 : 0);
  }
  Shape x{s.batch}, w = s.window;
  x.insert(x.end(), s.image.begin(), s.image.end());
  x.push_back(s.in);
  if (s.output_first) w.insert(w.begin(), s.out);
  w.push_back(s.in / s.groups);
  if (!s.output_first) w.push_back(s.out);
  ir::Attributes attributes{{"window_strides", s.strides},
                            {"padding", s.padding},
                            {"lhs_dilation", Integers(s.image.size(), 1)},
                            {"rhs_dilation", s.dilations},
                            {"window_reversal", Integers(s.image.size(), 0)},
                            {"input_batch_dimension", std::int64_t{0}},
                            {"input_feature_dimension", spatial + 1},
                            {"input_spatial_dimensions", images},
                            {"kernel_input_feature_dimension", s.output_first ? spatial + 1 : spatial},
                            {"kernel_output_feature_dimension", s.output_first ? std::int64_t{0} : spatial + 1},
                            {"kernel_spatial_dimensions", kernel},
                            {"output_batch_dimension", std::int64_t{0}},
                            {"output_feature_dimension", spatial + 1},
                            {"output_spatial_dimensions", images},
                            {"feature_group_count", s.groups},
                            {"batch_group_count", std::int64_t{1}}};
  if (s.result) attributes.set("dtype", std::string(name(*s.result)));
  ir::Graph graph;
  const ir::Value l = graph.parameter({s.dtype, x}), r = graph.parameter({s.dtype, w});
  graph.results = {graph.add1(ir::Op::Convolution, {l, r}, attributes)};
  return graph;
}
std::vector<pass::LibraryCall> calls_of(const Images& s) {
  std::vector<pass::LibraryCall> list;
  const ir::GraphPtr both = transform::vjp(graph_of(s), {true, true}, {true});
  for (const ir::Node& node : both->nodes)
    if (node.op == ir::Op::Convolution)
      list.push_back({node, both->types(node.operands), both->type(node.results[0]), {}});
  return list;
}

TEST(Cudnn, CasesAndTheirGradients) {
  std::size_t ran = 0, passes[3] = {0, 0, 0}, refused = 0;
  for (const NamedCall& item : calls_of_cases(ir::Op::Convolution)) {
    SCOPED_TRACE(item.name);
    const auto form = as_dnn_convolution(item.call);
    if (!form) {
      ++refused;
      continue;
    }
    ++ran;
    ++passes[static_cast<std::size_t>(form->pass)];
    const std::vector<Literal> arguments = random_arguments(item.call, 7);
    EXPECT_EQ(cases::difference(run(item.call, arguments), expected(item.call, arguments), 8), "");
  }
  EXPECT_GT(ran, 30U) << refused << " refused";
  for (const std::size_t count : passes) EXPECT_GT(count, 6U);
}

TEST(Cudnn, RandomConvolutionsTheirGradientsAndEpilogues) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto upto = [&](int n) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(n)); };
  std::size_t passes[3] = {0, 0, 0}, fused = 0, refused = 0;
  for (int round = 0; round < 100; ++round) {
    Images s;
    s.dtype = cases::kFloats[static_cast<std::size_t>(upto(static_cast<int>(cases::kFloats.size())))];
    if ((s.dtype == DType::F16 || s.dtype == DType::BF16) && upto(2) == 0) s.result = DType::F32;
    s.groups = upto(4) == 0 ? 2 : 1;
    s.batch = 1 + upto(2);
    s.in = s.groups * (1 + upto(3));
    s.out = s.groups * (1 + upto(3));
    const std::size_t spatial = 1 + static_cast<std::size_t>(upto(3));
    s.image = s.window = s.strides = s.dilations = {};
    s.padding = {};
    for (std::size_t d = 0; d < spatial; ++d) {
      s.window.push_back(1 + upto(3));
      s.dilations.push_back(1 + upto(2));
      s.strides.push_back(1 + upto(2));
      s.image.push_back(s.dilations[d] * (s.window[d] - 1) + 1 + upto(3));
      s.padding.insert(s.padding.end(), {upto(3), upto(3)});
    }
    for (pass::LibraryCall& call : calls_of(s)) {
      const auto form = as_dnn_convolution(call);
      if (!form) {
        ++refused;
        continue;
      }
      const auto with = [&](Kind kind) {
        call.epilogue.push_back({kind});
        if (!as_dnn_convolution(call)) call.epilogue.pop_back();
      };
      if (s.dtype != DType::F64) {
        if (upto(2) == 0) with(Kind::AddBias);
        if (upto(3) == 0) with(Kind::AddTensor);
        if (upto(2) == 0) with(Kind::Relu);
      }
      fused += call.epilogue.size();
      ++passes[static_cast<std::size_t>(form->pass)];
      const std::vector<Literal> arguments = random_arguments(call, random());
      EXPECT_EQ(cases::difference(run(call, arguments, Precision::TensorFloat32), expected(call, arguments), 8), "")
          << to_string(call.operand_types[0]) << " " << to_string(call.operand_types[1]) << epilogue_text(call);
    }
  }
  for (const std::size_t count : passes) EXPECT_GT(count, 15U);
  EXPECT_GT(fused, 20U);
  EXPECT_LT(refused, 150U);
}

TEST(Cudnn, EnginesThatAreDeterministicAndPreciseEnough) {
  struct Row {
    DType dtype;
    Precision precision;
    std::int64_t engine;
  };
  for (const Row& row : {Row{DType::F32, Precision::Float32, 5}, Row{DType::F32, Precision::TensorFloat32, 3},
                         Row{DType::F32, Precision::BFloat16, 3}, Row{DType::BF16, Precision::BFloat16, 3},
                         Row{DType::F16, Precision::Float32, 3}, Row{DType::F64, Precision::Float32, 3}}) {
    Images s;
    s.dtype = row.dtype;
    const pass::LibraryCall call = calls_of(s)[0];
    run(call, random_arguments(call, 2), row.precision);
    EXPECT_EQ(recorded.engine, row.engine) << name(row.dtype);
  }
}

TEST(Cudnn, WhatTheGraphsHold) {
  Images s;
  s.dtype = DType::BF16;
  pass::LibraryCall call = calls_of(s)[0];
  run(call, random_arguments(call, 2));
  EXPECT_EQ(recorded.operations, (std::vector<int>{dnn::kConvolutionForward}));
  s.result = DType::F32;
  call = calls_of(s)[0];
  run(call, random_arguments(call, 2));
  EXPECT_EQ(recorded.operations, (std::vector<int>{dnn::kConvolutionForward, dnn::kOperationPointwise}))
      << "a wider result is written by an identity";
  call.epilogue = {{Kind::AddBias}, {Kind::Relu}};
  run(call, random_arguments(call, 2));
  EXPECT_EQ(recorded.operations.size(), 4U);
  EXPECT_EQ(recorded.engine, 8) << "of engines that the library compiles it is known that their relu keeps NaN";
  // An even padding is preferred where it gives the same windows; here the last row of inputs meets none.
  s = {};
  s.image = {6, 6}, s.window = {3, 3}, s.strides = {2, 2}, s.padding = {1, 0, 1, 0};
  const auto form = as_dnn_convolution(calls_of(s)[0]);
  ASSERT_TRUE(form);
  EXPECT_EQ(form->low, form->high);
}

TEST(Cudnn, WhatHasNoForm) {
  Images s;
  EXPECT_TRUE(as_dnn_convolution(calls_of(s)[0]));
  s.output_first = false;
  for (const pass::LibraryCall& hwio : calls_of(s)) EXPECT_FALSE(as_dnn_convolution(hwio));
  s.output_first = true;
  const auto to = [](const std::vector<pass::LibraryCall>& calls, std::size_t operand) {  // the gradient
    const TensorType type = calls.at(0).operand_types[operand];
    return *std::find_if(calls.begin(), calls.end(), [&](const auto& call) { return call.result_type == type; });
  };
  pass::LibraryCall call = to(calls_of(s), 1);
  ASSERT_EQ(static_cast<int>(as_dnn_convolution(call)->pass), static_cast<int>(Pass::BackwardWeights));
  call.epilogue = {{Kind::Relu}};
  EXPECT_FALSE(as_dnn_convolution(call));
  s.groups = 2;
  const std::vector<pass::LibraryCall> grouped = calls_of(s);
  EXPECT_TRUE(as_dnn_convolution(grouped[0]));
  EXPECT_FALSE(as_dnn_convolution(to(grouped, 0))) << "weights whose groups stand beside the inputs";
  EXPECT_TRUE(as_dnn_convolution(to(grouped, 1)));
}

TEST(Cudnn, NoFusedEngine) {
  Cudnn library(stand_in());
  recorded.fused = false;
  pass::LibraryCall call = calls_of({})[0];
  EXPECT_TRUE(library.has_engine(call, Precision::Float32));
  const int asked = recorded.asked;
  EXPECT_TRUE(library.has_engine(call, Precision::Float32));
  EXPECT_EQ(recorded.asked, asked) << "the answer is remembered";
  call.epilogue = {{Kind::Relu}};
  EXPECT_FALSE(library.has_engine(call, Precision::TensorFloat32));
  recorded.fused = true;
  EXPECT_FALSE(library.has_engine(call, Precision::Float32)) << "exact products are not fused with what follows";
  recorded.fused = false;
  Choices choices;
  try {
    library.prepare(call, Precision::TensorFloat32, {choices, "stand-in", {}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Unsupported);
    EXPECT_STREQ(error.what(), "cuDNN 91900 has no engine for convolution + relu giving f32[2, 5, 5, 6]");
  }
}

TEST(Cudnn, ChoicesBringBackEngineAndKnobs) {
  Cudnn library(stand_in());
  Choices choices;
  const pass::LibraryCall call = calls_of({})[0];
  const std::vector<Literal> arguments = random_arguments(call, 3);
  int timed = 0;
  const Timer timer = [&](Call& candidate, std::span<const std::size_t>) {
    ++timed;
    run(candidate, call.result_type, arguments);
    return recorded.engine == 4 ? 1.0 : 2.0;
  };
  run(*library.prepare(call, Precision::Float32, {choices, "H200", timer}), call.result_type, arguments);
  EXPECT_EQ(recorded.engine, 4) << "the fastest";
  EXPECT_EQ(timed, 2);
  const std::string text = choices.text(), key = text.substr(0, text.find(" = "));
  EXPECT_EQ(text, key + " = 4\n");
  Choices other(key + " = 5 2=4 18=-1\n");
  const int asked = recorded.asked;
  run(*library.prepare(call, Precision::Float32, {other, "H200", timer}), call.result_type, arguments);
  EXPECT_EQ(recorded.engine, 5);
  EXPECT_EQ(recorded.knobs, (std::map<int, std::int64_t>{{2, 4}, {18, -1}}));
  EXPECT_EQ(recorded.asked, asked);
  EXPECT_EQ(timed, 2);
  for (const char* const wrong : {"", "x", "5 2", "5 2=", "5 2=4x", "5  2=4", "77"}) {
    if (*wrong == 0) continue;
    Choices damaged(key + " = " + wrong + "\n");
    EXPECT_THROW(library.prepare(call, Precision::Float32, {damaged, "H200", timer}), Error) << wrong;
  }
}

TEST(Cudnn, ThisMachineKeepsItsChoices) {
  const std::string folder = testing::TempDir() + "choices-" + std::to_string(::getpid());
  const KernelCache cache(folder);
  Cudnn library(stand_in());
  const pass::LibraryCall call = calls_of({})[0];
  const std::vector<Literal> arguments = random_arguments(call, 3);
  int timed = 0;
  const Timer timer = [&](Call&, std::span<const std::size_t>) { return ++timed == 1 ? 2.0 : 1.0; };
  for (int process = 0; process < 2; ++process) {
    Choices choices;
    run(*library.prepare(call, Precision::Float32, {choices, "H200", timer, &cache}), call.result_type, arguments);
    EXPECT_EQ(recorded.engine, 4) << "the faster";
    EXPECT_EQ(timed, 2) << "one race";
    EXPECT_TRUE(choices.text().ends_with(" = 4\n")) << choices.text();
  }
  Choices choices;
  run(*library.prepare(call, Precision::Float32, {choices, "H100", timer, &cache}), call.result_type, arguments);
  EXPECT_EQ(timed, 4) << "another device chooses for itself";
  // What the library does not know is chosen again.
  for (const auto& entry : std::filesystem::directory_iterator(folder)) std::filesystem::remove(entry.path());
  const std::string text = choices.text();
  cache.save("choice-" + hash_text(text.substr(0, text.find(" = "))), "nonsense");
  Choices fresh;
  run(*library.prepare(call, Precision::Float32, {fresh, "H100", timer, &cache}), call.result_type, arguments);
  EXPECT_EQ(timed, 6);
  std::filesystem::remove_all(folder);
}

// ---- the order of weights ----

TEST(Cudnn, WeightsInTheOrderThatEnginesWant) {
  for (const std::int64_t groups : {1, 2}) {
    Images s;
    s.groups = groups;
    s.output_first = false;
    const ir::GraphPtr given = transform::vjp(graph_of(s), {true, true}, {true});
    const ir::Graph arranged = arrange_weights(*given);
    ir::verify(arranged);
    std::size_t ordered = 0;
    for (const ir::Node& node : arranged.nodes) {
      if (node.op != ir::Op::Convolution) continue;
      const auto c = pass::as_convolution(node, arranged.types(node.operands), arranged.type(node.results[0]));
      ASSERT_TRUE(c);
      // Outputs outermost, inputs innermost; groups stand before the outputs.
      const std::size_t outputs = c->weights.dims.size() - 4;
      const bool wanted =
          c->weights.strides[outputs + 1] == 1 && c->weights.strides[outputs] > c->weights.strides[outputs + 2];
      ordered += wanted ? 1 : 0;
    }
    EXPECT_EQ(ordered, groups == 1 ? 3U : 2U);
    std::vector<Literal> arguments;
    for (const TensorType& type : given->parameter_types())
      arguments.push_back(cases::random_literal(type, {-2, 2}, arguments.size()));
    const std::vector<Literal> want = ir::interpret(*given, arguments), got = ir::interpret(arranged, arguments);
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_TRUE(got[i].identical(want[i])) << "result " << i;
    const ir::Graph again = arrange_weights(arranged);
    EXPECT_EQ(again.key(), arranged.key()) << "what is in order stays";
  }
}

// ---- cuDNN itself ----

/// An H200 in the words of cuDNN's own descriptions.
constexpr const char* kH200 = R"({"deviceName":"NVIDIA H200","maxGridSize":[2147483647,65535,65535],
"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,"multiProcessorCount":132,"warpSize":32,
"maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":232448,"reservedSharedMemoryPerBlock":1024,
"maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,
"isTccDriver":0,"supportCoopLaunch":1,"totalGlobalMem":150000000000,"smClockRateKHz":1980000,
"memClockRateKHz":3201000,"l2CacheSize":62914560,"cudaDeviceId":0,"deviceVer":900,"driverVer":13000})";

/// What the vendor's libraries do not give back, where they look for a GPU in vain, is not ours to find.
struct NotOurLeaks {
#ifdef __SANITIZE_ADDRESS__
  __lsan::ScopedDisabler disabler;
#endif
};

/// cuDNN for an H200 that is described; or the reason why not.
std::unique_ptr<Cudnn> itself(std::string& why) {
  const std::vector<std::string> folders = library_folders();
  const Library found = Library::open(cudnn_name(), folders);
  if (!found.found()) {
    why = found.complaint();
    return nullptr;
  }
  // Engines that cuDNN compiles ask for a driver. The toolkit has one that does nothing, to link with: it will do.
  if (dlopen("libcuda.so.1", RTLD_NOW) == nullptr)
    for (const std::string& folder : folders) dlopen((folder + "/stubs/libcuda.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  try {
    return std::make_unique<Cudnn>(load_cudnn(found), kH200);
  } catch (const Error& error) {
    why = std::string("this cuDNN knows no such description: ") + error.what();
    return nullptr;
  }
}

const Images kPlain{.batch = 32, .in = 32, .out = 64, .image = {28, 28}, .window = {3, 3}, .padding = {1, 1, 1, 1}};

TEST(Cudnn, ItselfPlansForAnH200) {
  [[maybe_unused]] const NotOurLeaks leaks;
  std::string why;
  const auto library = itself(why);
  if (library == nullptr) GTEST_SKIP() << why;
  Choices choices;
  const auto check = [&](const Images& s, Precision precision) {
    for (const pass::LibraryCall& call : calls_of(s)) {
      SCOPED_TRACE(to_string(call.operand_types[0]) + " " + to_string(call.operand_types[1]) + " giving " +
                   to_string(call.result_type));
      EXPECT_TRUE(library->has_engine(call, precision));
      EXPECT_TRUE(has_engine_by_rules(call, precision));
      EXPECT_NO_THROW(library->prepare(call, precision, {choices, "H200", {}}));
    }
  };
  Images s = kPlain;
  check(s, Precision::Float32);
  check(s, Precision::TensorFloat32);
  s.in = 1, s.padding = {0, 0, 0, 0}, s.window = {5, 5};
  check(s, Precision::Float32);
  s = kPlain, s.strides = {2, 2}, s.padding = {0, 1, 0, 1}, s.output_first = true;
  check(s, Precision::Float32);
  s = kPlain, s.dtype = DType::F64;
  check(s, Precision::Float32);
  s = kPlain, s.dtype = DType::F16, s.output_first = true;
  check(s, Precision::Float32);
  s = kPlain, s.image = {28}, s.window = {3}, s.strides = {1}, s.dilations = {1}, s.padding = {1, 1};
  check(s, Precision::Float32);
}

TEST(Cudnn, ItselfHasTheEnginesThatTheRulesExpectForAnH200) {
  [[maybe_unused]] const NotOurLeaks leaks;
  std::string why;
  const auto library = itself(why);
  if (library == nullptr) GTEST_SKIP() << why;
  if (dlopen("libcuda.so.1", RTLD_NOW) == nullptr) GTEST_SKIP() << "no driver, and none to link with";
  std::size_t expected = 0;
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const std::int64_t features : {1, 20, 32})
      for (const bool output_first : {true, false})
        for (int epilogue = 0; epilogue < 4; ++epilogue) {
          Images s = kPlain;
          s.dtype = dtype, s.in = features, s.output_first = output_first;
          for (pass::LibraryCall call : calls_of(s)) {
            call.result_type.dtype = DType::F32;
            call.operand_types[0].dtype = call.operand_types[1].dtype = dtype;
            if ((epilogue & 1) != 0) call.epilogue.push_back({Kind::AddBias});
            if ((epilogue & 2) != 0) call.epilogue.push_back({Kind::Relu});
            if (!has_engine_by_rules(call, Precision::BFloat16)) continue;
            ++expected;
            EXPECT_TRUE(library->has_engine(call, Precision::BFloat16))
                << to_string(call.operand_types[0]) << " " << to_string(call.operand_types[1]) << epilogue_text(call);
          }
        }
  EXPECT_GT(expected, 40U);
}

}  // namespace
}  // namespace tessera::cuda
