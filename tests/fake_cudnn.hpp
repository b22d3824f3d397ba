// A stand-in for cuDNN: it keeps the descriptors that it is given and evaluates their graphs on the host, as the
// vendor's documentation defines them. In: dnn::Api's calls; out: the same, without a GPU. Used by cuda_cudnn_test.cpp.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <vector>

#include "tessera/backend/cuda/cudnn.hpp"

namespace tessera::cuda::fake {

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
inline ObjectPtr& at(dnn::Descriptor handle) { return *static_cast<ObjectPtr*>(handle); }

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

inline struct Recorded {
  int alive = 0, asked = 0, ran = 0;
  bool fused = true;         ///< there are engines for graphs of several operations
  std::int64_t engine = -1;  ///< of the last plan that ran
  std::map<int, std::int64_t> knobs;
  std::vector<int> operations;  ///< types of the last graph that ran
} recorded;

constexpr std::size_t kSizes[] = {sizeof(void*), 4, 1, 8, 4, 8, 8, 4, 4, 4, 4, 4, 4, 4, 4, 8, 4, 4, 4, 4};

inline ObjectPtr configuration(const Engine& engine, const ObjectPtr& graph) {
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
inline bool sound(const Object& o) {
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

inline DType dtype_of_code(int code) {
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

inline void each(const Integers& dims, const std::function<void(const Integers&)>& f) {
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

inline int set(dnn::Descriptor handle, int attribute, int type, std::int64_t count, const void* values) {
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

inline int get(dnn::Descriptor handle, int attribute, int type, std::int64_t most, std::int64_t* count, void* values) {
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

inline int execute(dnn::Handle, dnn::Descriptor plan, dnn::Descriptor pack) {
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

inline dnn::Api stand_in() {
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

}  // namespace tessera::cuda::fake
