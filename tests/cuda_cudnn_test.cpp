// Convolutions by cuDNN without a GPU. A stand-in for the library evaluates the operation graphs that it is given on
// the host, as the vendor's documentation defines them; the results must be the interpreter's. This proves what we ask
// the library for. It does not prove that the library's own kernels are right: that needs a GPU. Where cuDNN itself is
// present, it is asked, for a described H200, whether it takes the same graphs.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "cuda_nodes.hpp"
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
using Integers = std::vector<std::int64_t>;

// ---- the stand-in: descriptors ----

struct Object;
using ObjectPtr = std::shared_ptr<Object>;
struct Object {
  int type = 0;
  bool final = false;
  std::map<int, std::vector<std::byte>> data;
  std::map<int, std::vector<ObjectPtr>> objects;

  [[nodiscard]] bool has(int attribute) const { return data.contains(attribute) || objects.contains(attribute); }
  template <class T>
  [[nodiscard]] std::vector<T> all(int attribute) const {
    const auto& bytes = data.at(attribute);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(values.data()));
    return values;
  }
  template <class T>
  [[nodiscard]] T one(int attribute) const {
    return all<T>(attribute).at(0);
  }
  [[nodiscard]] const ObjectPtr& object(int attribute) const { return objects.at(attribute).at(0); }
  template <class T>
  void put(int attribute, const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    data[attribute] = {bytes.begin(), bytes.end()};
  }
};
ObjectPtr& at(dnn::Descriptor handle) { return *static_cast<ObjectPtr*>(handle); }

struct Engine {
  std::int64_t index;
  std::vector<int> notes;
  std::map<int, std::int64_t> knobs;
  std::vector<int> behavior = {};
};
const std::vector<Engine> kEngines = {{7, {dnn::kNondeterministic}, {}},
                                      {9, {dnn::kTensorCore, dnn::kWinograd}, {}},
                                      {3, {dnn::kTensorCore}, {{13, 0}}},
                                      {5, {}, {{2, 4}, {18, -1}}},
                                      {8, {dnn::kTensorCore}, {}, {dnn::kRuntimeCompilation}},
                                      {4, {}, {}}};  // the last is the fallback

struct Recorded {
  int alive = 0, asked = 0, ran = 0;
  bool fused = true;         ///< there are engines for graphs of several operations
  std::int64_t engine = -1;  ///< of the last plan that ran
  std::map<int, std::int64_t> knobs;
  std::vector<int> operations;  ///< types of the last graph that ran
} recorded;

constexpr std::size_t kSizes[] = {sizeof(void*), 4, 1, 8, 4, 8, 8, 4, 4, 4, 4, 4, 4, 4, 4, 8, 4, 4, 4, 4};

ObjectPtr configuration(const Engine& engine, const ObjectPtr& graph) {
  auto made = std::make_shared<Object>(Object{dnn::kEngine, true, {}, {}});
  made->put(dnn::kEngineIndex, std::vector<std::int64_t>{engine.index});
  made->put(dnn::kEngineNumericalNotes, engine.notes);
  made->put(dnn::kEngineBehaviorNotes, engine.behavior);
  made->objects[dnn::kEngineGraph] = {graph};
  auto config = std::make_shared<Object>(Object{dnn::kEngineConfig, true, {}, {}});
  config->objects[dnn::kConfigEngine] = {made};
  config->objects[dnn::kConfigKnobChoices] = {};
  for (const auto& [type, value] : engine.knobs) {
    auto knob = std::make_shared<Object>(Object{dnn::kKnobChoice, true, {}, {}});
    knob->put(dnn::kKnobChoiceType, std::vector<int>{type});
    knob->put(dnn::kKnobChoiceValue, std::vector<std::int64_t>{value});
    config->objects[dnn::kConfigKnobChoices].push_back(knob);
  }
  return config;
}

/// What the library refuses when a descriptor is finished: attributes that are missing, extents that do not fit.
bool sound(const Object& o) {
  const auto has = [&](std::initializer_list<int> list) {
    return std::all_of(list.begin(), list.end(), [&](int a) { return o.has(a); });
  };
  switch (o.type) {
    case dnn::kTensor:
      return has({dnn::kTensorId, dnn::kTensorType, dnn::kTensorAlignment, dnn::kTensorDimensions}) &&
             o.all<std::int64_t>(dnn::kTensorDimensions).size() >= 4 &&
             o.all<std::int64_t>(dnn::kTensorDimensions).size() == o.all<std::int64_t>(dnn::kTensorStrides).size();
    case dnn::kConvolution: {
      const auto spatial = static_cast<std::size_t>(o.one<std::int64_t>(dnn::kConvolutionSpatialDimensions));
      for (const int a : {dnn::kConvolutionPrePaddings, dnn::kConvolutionPostPaddings, dnn::kConvolutionStrides,
                          dnn::kConvolutionDilations}) {
        const auto values = o.all<std::int64_t>(a);
        if (values.size() != spatial || *std::min_element(values.begin(), values.end()) < 0) return false;
      }
      return o.one<int>(dnn::kConvolutionMode) == 1 && o.has(dnn::kConvolutionPrecision);
    }
    case dnn::kPointwise: return has({dnn::kPointwiseMode, dnn::kPointwisePrecision});
    case dnn::kEngine: {
      const auto index = o.one<std::int64_t>(dnn::kEngineIndex);
      return has({dnn::kEngineGraph}) &&
             std::any_of(kEngines.begin(), kEngines.end(), [&](const Engine& e) { return e.index == index; });
    }
    case dnn::kOperationGraph: {
      // Each tensor inside is made before it is used.
      std::set<std::int64_t> made;
      for (const ObjectPtr& operation : o.objects.at(dnn::kGraphOperations)) {
        if (!operation->final) return false;
        for (const auto& [attribute, list] : operation->objects)
          for (const ObjectPtr& t : list)
            if (t->type == dnn::kTensor && t->has(dnn::kTensorIsVirtual))
              made.insert(t->one<std::int64_t>(dnn::kTensorId));
      }
      return made.size() + 1 == o.objects.at(dnn::kGraphOperations).size();
    }
    default: return true;
  }
}

// ---- the stand-in: arithmetic ----

DType dtype_of_code(int code) {
  return code == 0 ? DType::F32 : code == 1 ? DType::F64 : code == 2 ? DType::F16 : DType::BF16;
}

/// A tensor's values, dense in the order of its dimensions.
struct Values {
  Integers dims;
  std::vector<double> values;
  [[nodiscard]] std::size_t position(const Integers& index) const {
    std::int64_t p = 0;
    for (std::size_t d = 0; d < dims.size(); ++d) p = p * dims[d] + index[d];
    return static_cast<std::size_t>(p);
  }
};

void each(const Integers& dims, const std::function<void(const Integers&)>& f) {
  Integers index(dims.size(), 0);
  for (std::int64_t left = std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>()); left > 0;
       --left) {
    f(index);
    std::size_t d = dims.size();
    while (d > 0 && ++index[d - 1] == dims[d - 1]) index[--d] = 0;
  }
}

class Evaluation {
 public:
  explicit Evaluation(std::map<std::int64_t, void*> pointers) : pointers_(std::move(pointers)) {}

  void run(const Object& operation) {
    recorded.operations.push_back(operation.type);
    if (operation.type == dnn::kOperationPointwise)
      pointwise(operation);
    else
      convolution(operation);
  }

 private:
  Values load(const Object& tensor) {
    const auto id = tensor.one<std::int64_t>(dnn::kTensorId);
    if (tensor.has(dnn::kTensorIsVirtual)) return inside_.at(id);
    Values v{tensor.all<std::int64_t>(dnn::kTensorDimensions), {}};
    const Integers strides = tensor.all<std::int64_t>(dnn::kTensorStrides);
    const DType dtype = dtype_of_code(tensor.one<int>(dnn::kTensorType));
    Literal one(TensorType{dtype, {}});
    each(v.dims, [&](const Integers& i) {
      const auto* from = static_cast<const std::byte*>(pointers_.at(id)) + offset(i, strides) * size_of(dtype);
      std::memcpy(one.data(), from, size_of(dtype));
      v.values.push_back(one.get_double(0));
    });
    return v;
  }
  void store(const Object& tensor, Values v) {
    const auto id = tensor.one<std::int64_t>(dnn::kTensorId);
    if (tensor.has(dnn::kTensorIsVirtual)) {
      inside_[id] = std::move(v);
      return;
    }
    const Integers strides = tensor.all<std::int64_t>(dnn::kTensorStrides);
    const DType dtype = dtype_of_code(tensor.one<int>(dnn::kTensorType));
    Literal one(TensorType{dtype, {}});
    std::size_t next = 0;
    each(v.dims, [&](const Integers& i) {
      one.set_double(0, v.values[next++]);
      std::memcpy(static_cast<std::byte*>(pointers_.at(id)) + offset(i, strides) * size_of(dtype), one.data(),
                  size_of(dtype));
    });
  }
  static std::size_t offset(const Integers& index, const Integers& strides) {
    return static_cast<std::size_t>(std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0}));
  }

  void pointwise(const Object& operation) {
    const Object& how = *operation.object(dnn::kPointwiseDescriptor);
    Values x = load(*operation.object(dnn::kPointwiseX));
    const int mode = how.one<int>(dnn::kPointwiseMode);
    if (mode == dnn::kRelu && how.one<int>(dnn::kPointwiseNanPropagation) != 1) throw Error("relu drops NaN");
    std::optional<Values> b;
    if (operation.has(dnn::kPointwiseB)) b = load(*operation.object(dnn::kPointwiseB));
    if (b.has_value() != (mode == dnn::kAdd)) throw Error("operands of a pointwise operation");
    std::size_t next = 0;
    each(x.dims, [&](Integers i) {
      double& value = x.values[next++];
      if (mode == dnn::kRelu) value = value <= 0 ? 0 : value;
      if (!b) return;
      for (std::size_t d = 0; d < i.size(); ++d) i[d] = b->dims[d] == 1 ? 0 : i[d];
      value += b->values[b->position(i)];
    });
    store(*operation.object(dnn::kPointwiseY), std::move(x));
  }

  void convolution(const Object& operation) {
    const int first = operation.type == dnn::kConvolutionForward        ? dnn::kForwardAlpha
                      : operation.type == dnn::kConvolutionBackwardData ? dnn::kBackwardDataAlpha
                                                                        : dnn::kBackwardFilterAlpha;
    const Object& how = *operation.object(first + 2);
    const bool wide = how.one<int>(dnn::kConvolutionPrecision) == dnn::kDouble;
    if (wide ? operation.one<double>(first) != 1 || operation.one<double>(first + 1) != 0
             : operation.one<float>(first) != 1 || operation.one<float>(first + 1) != 0)
      throw Error("factors of a convolution");
    const Object* const tensors[3] = {operation.object(first + 4).get(), operation.object(first + 3).get(),
                                      operation.object(first + 5).get()};
    const std::size_t computed = operation.type == dnn::kConvolutionForward        ? 2
                                 : operation.type == dnn::kConvolutionBackwardData ? 0
                                                                                   : 1;
    Values values[3];
    for (std::size_t i = 0; i < 3; ++i) {
      if (i != computed) {
        values[i] = load(*tensors[i]);
      } else {
        values[i].dims = tensors[i]->all<std::int64_t>(dnn::kTensorDimensions);
        values[i].values.assign(static_cast<std::size_t>(element_count(values[i].dims)), 0);
      }
    }
    Values &x = values[0], &w = values[1], &y = values[2];
    const auto pre = how.all<std::int64_t>(dnn::kConvolutionPrePaddings);
    const auto post = how.all<std::int64_t>(dnn::kConvolutionPostPaddings);
    const auto strides = how.all<std::int64_t>(dnn::kConvolutionStrides);
    const auto dilations = how.all<std::int64_t>(dnn::kConvolutionDilations);
    const std::size_t spatial = pre.size();
    const std::int64_t inputs = w.dims[1], groups = x.dims[1] / inputs;
    if (x.dims[0] != y.dims[0] || w.dims[0] != y.dims[1] || x.dims[1] % inputs != 0 || w.dims[0] % groups != 0)
      throw Error("features of a convolution");
    for (std::size_t d = 0; d < spatial; ++d)
      if ((x.dims[d + 2] + pre[d] + post[d] - dilations[d] * (w.dims[d + 2] - 1) - 1) / strides[d] + 1 != y.dims[d + 2])
        throw Error("extents of a convolution");
    each(y.dims, [&](const Integers& o) {
      const std::int64_t group = o[1] / (w.dims[0] / groups);
      Integers window(w.dims.begin() + 1, w.dims.end());
      each(window, [&](const Integers& k) {
        Integers in = o, kernel = k;
        in[1] = group * inputs + k[0];
        kernel.insert(kernel.begin(), o[1]);
        for (std::size_t d = 0; d < spatial; ++d) {
          in[d + 2] = o[d + 2] * strides[d] + k[d + 1] * dilations[d] - pre[d];
          if (in[d + 2] < 0 || in[d + 2] >= x.dims[d + 2]) return;
        }
        double &xv = x.values[x.position(in)], &wv = w.values[w.position(kernel)], &yv = y.values[y.position(o)];
        if (computed == 0) xv += wv * yv;
        if (computed == 1) wv += xv * yv;
        if (computed == 2) yv += xv * wv;
      });
    });
    store(*tensors[computed], std::move(values[computed]));
  }

  std::map<std::int64_t, void*> pointers_;
  std::map<std::int64_t, Values> inside_;
};

// ---- the stand-in: functions ----

int set(dnn::Descriptor handle, int attribute, int type, std::int64_t count, const void* values) {
  Object& o = *at(handle);
  if (o.final) return 2000;
  if (type == dnn::kTypeDescriptor) {
    auto& list = o.objects[attribute];
    for (std::int64_t i = 0; i < count; ++i) {
      list.push_back(at(static_cast<const dnn::Descriptor*>(values)[i]));
      if (!list.back()->final) return 2004;
    }
    return 0;
  }
  const std::size_t size = type == dnn::kTypeChar ? 1 : kSizes[type];
  const auto* bytes = static_cast<const std::byte*>(values);
  o.data[attribute] = std::vector<std::byte>(bytes, bytes + static_cast<std::size_t>(count) * size);
  return 0;
}

int get(dnn::Descriptor handle, int attribute, int type, std::int64_t most, std::int64_t* count, void* values) {
  Object& o = *at(handle);
  if (!o.final) return 2004;
  if (attribute == dnn::kHeuristicResults) {
    ++recorded.asked;
    const bool fallback = o.one<int>(dnn::kHeuristicMode) == dnn::kFallback;
    const ObjectPtr& graph = o.object(dnn::kHeuristicGraph);
    auto& list = o.objects[attribute];
    list.clear();
    if (recorded.fused || graph->objects.at(dnn::kGraphOperations).size() == 1)
      for (const Engine& engine : kEngines)
        if ((engine.index == kEngines.back().index) == fallback) list.push_back(configuration(engine, graph));
  }
  if (attribute == dnn::kPlanWorkspace) o.put(attribute, std::vector<std::int64_t>{512});
  if (type == dnn::kTypeDescriptor) {
    const auto& list = o.objects.at(attribute);
    *count = std::min<std::int64_t>(most, std::ssize(list));
    for (std::int64_t i = 0; i < *count; ++i)
      *at(static_cast<dnn::Descriptor*>(values)[i]) = *list[static_cast<std::size_t>(i)];
    return 0;
  }
  const auto& bytes = o.data.at(attribute);
  *count = static_cast<std::int64_t>(bytes.size() / kSizes[type]);
  std::copy_n(bytes.begin(), std::min(bytes.size(), static_cast<std::size_t>(most) * kSizes[type]),
              static_cast<std::byte*>(values));
  return 0;
}

int execute(dnn::Handle, dnn::Descriptor plan, dnn::Descriptor pack) {
  const Object& config = *at(plan)->object(dnn::kPlanConfig);
  const Object& engine = *config.object(dnn::kConfigEngine);
  recorded.engine = engine.one<std::int64_t>(dnn::kEngineIndex);
  recorded.knobs.clear();
  if (config.has(dnn::kConfigKnobChoices))
    for (const ObjectPtr& knob : config.objects.at(dnn::kConfigKnobChoices))
      recorded.knobs[knob->one<int>(dnn::kKnobChoiceType)] = knob->one<std::int64_t>(dnn::kKnobChoiceValue);
  if (at(pack)->one<void*>(dnn::kPackWorkspace) == nullptr) return 2002;
  const auto ids = at(pack)->all<std::int64_t>(dnn::kPackIds);
  const auto pointers = at(pack)->all<void*>(dnn::kPackPointers);
  std::map<std::int64_t, void*> by_id;
  for (std::size_t i = 0; i < ids.size(); ++i) by_id[ids[i]] = pointers[i];
  Evaluation evaluation(by_id);
  recorded.operations.clear();
  for (const ObjectPtr& operation : engine.object(dnn::kEngineGraph)->objects.at(dnn::kGraphOperations))
    evaluation.run(*operation);
  ++recorded.ran;
  return 0;
}

dnn::Api stand_in() {
  recorded = {};
  dnn::Api api;
  api.create = [](dnn::Handle* handle) {
    *handle = reinterpret_cast<dnn::Handle>(std::uintptr_t{64});
    return 0;
  };
  api.destroy = [](dnn::Handle) { return 0; };
  api.set_stream = [](dnn::Handle, Stream) { return 0; };
  api.descriptor_create = [](int type, dnn::Descriptor* descriptor) {
    ++recorded.alive;
    *descriptor = new ObjectPtr(std::make_shared<Object>(Object{type, false, {}, {}}));
    return 0;
  };
  api.descriptor_destroy = [](dnn::Descriptor descriptor) {
    --recorded.alive;
    delete &at(descriptor);
    return 0;
  };
  api.finalize = [](dnn::Descriptor descriptor) {
    if (!sound(*at(descriptor))) return 2000;
    at(descriptor)->final = true;
    return 0;
  };
  api.set = set;
  api.get = get;
  api.execute = execute;
  api.version = [] { return std::size_t{91900}; };
  api.error_string = [](int) { return "the status"; };
  api.last_error = [](char* text, std::size_t size) { std::strncpy(text, "the reason", size); };
  return api;
}

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
