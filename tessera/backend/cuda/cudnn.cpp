// Operation graphs, the engines that the library proposes for them, and the run.
#include "tessera/backend/cuda/cudnn.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

using Kind = pass::LibraryCall::Epilogue::Kind;
using Pass = pass::Convolution::Pass;
using pass::Convolution;
using pass::View;
using Integers = std::vector<std::int64_t>;

constexpr std::int64_t kMostWorkspace = std::int64_t{512} << 20;
constexpr std::size_t kMostCandidates = 8;
/// Of these, engines that the library compiles first, which takes it a second or so.
constexpr std::size_t kMostCompiled = 3;
/// How many configurations are asked for.
constexpr std::size_t kMostConfigurations = 64;

int data_type(DType dtype) {
  switch (dtype) {
    case DType::F64: return dnn::kDouble;
    case DType::F16: return dnn::kHalf;
    case DType::BF16: return dnn::kBFloat16;
    default: return dnn::kFloat;
  }
}

/// The group dimension and the outputs of one group as one dimension, where their strides allow it.
bool merge_groups(View& weights, std::size_t rank) {
  if (weights.dims.size() == rank) return true;
  if (weights.dims[0] == 1 || weights.dims[1] == 1 || weights.strides[0] == weights.strides[1] * weights.dims[1]) {
    const std::int64_t stride = weights.dims[1] == 1 ? weights.strides[0] : weights.strides[1];
    weights.dims[0] *= weights.dims[1];
    weights.strides[0] = stride;
    weights.dims.erase(weights.dims.begin() + 1);
    weights.strides.erase(weights.strides.begin() + 1);
    return true;
  }
  return false;
}

/// Dense weights with their outputs outermost. The library takes other orders too, and computes another convolution:
/// seen with 9.14 for [spatial dimensions, inputs, outputs].
bool has_usual_order(const View& weights) {
  const auto dense = [&](const std::vector<std::size_t>& inside_out) {
    std::int64_t stride = 1;
    return std::all_of(inside_out.begin(), inside_out.end(), [&](std::size_t d) {
      const bool fits = weights.dims[d] == 1 || weights.strides[d] == stride;
      stride *= weights.dims[d];
      return fits;
    });
  };
  std::vector<std::size_t> inputs_inside{1}, inputs_outside;
  for (std::size_t d = weights.dims.size(); d-- > 2;) {
    inputs_inside.push_back(d);
    inputs_outside.push_back(d);
  }
  inputs_inside.push_back(0);
  inputs_outside.insert(inputs_outside.end(), {1, 0});
  return dense(inputs_inside) || dense(inputs_outside);
}

/// A spatial dimension of extent 1 before the only one.
void widen(View& view) {
  view.strides.insert(view.strides.begin() + 2, view.dims[2] * view.strides[2]);
  view.dims.insert(view.dims.begin() + 2, 1);
}

/// A descriptor of the library's, and how it is filled. Throws Error when the library refuses.
class Descriptor {
 public:
  Descriptor(const dnn::Api& api, int type) : api_(&api) { check(api.descriptor_create(type, &handle_)); }
  Descriptor(Descriptor&& other) noexcept : api_(other.api_), handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Descriptor() {
    if (handle_ != nullptr) api_->descriptor_destroy(handle_);
  }

  template <class T>
  Descriptor& set(int attribute, int type, const std::vector<T>& values) {
    check(api_->set(handle_, attribute, type, static_cast<std::int64_t>(values.size()), values.data()));
    return *this;
  }
  Descriptor& set(int attribute, int type, int value) { return set(attribute, type, std::vector<int>{value}); }
  Descriptor& set(int attribute, const Integers& values) { return set(attribute, dnn::kTypeInt64, values); }
  Descriptor& set(int attribute, const Descriptor& other) {
    return set(attribute, dnn::kTypeDescriptor, std::vector<dnn::Descriptor>{other.handle_});
  }
  Descriptor& finalize() {
    check(api_->finalize(handle_));
    return *this;
  }
  /// Up to `most` elements; fewer when there are fewer.
  template <class T>
  [[nodiscard]] std::vector<T> get(int attribute, int type, std::size_t most) const {
    std::vector<T> values(most);
    std::int64_t count = 0;
    check(api_->get(handle_, attribute, type, static_cast<std::int64_t>(most), &count, values.data()));
    values.resize(std::min(most, static_cast<std::size_t>(count)));
    return values;
  }
  [[nodiscard]] std::int64_t integer(int attribute) const {
    const auto values = get<std::int64_t>(attribute, dnn::kTypeInt64, 1);
    return values.empty() ? 0 : values[0];
  }
  /// The library fills descriptors that exist.
  void get(int attribute, std::vector<Descriptor>& into) const {
    std::vector<dnn::Descriptor> handles;
    for (const Descriptor& d : into) handles.push_back(d.handle_);
    std::int64_t count = 0;
    check(api_->get(handle_, attribute, dnn::kTypeDescriptor, static_cast<std::int64_t>(handles.size()), &count,
                    handles.data()));
    into.erase(into.begin() + std::min<std::ptrdiff_t>(std::ssize(into), count), into.end());
  }
  [[nodiscard]] dnn::Descriptor handle() const { return handle_; }

 private:
  void check(int status) const {
    if (status == dnn::kSuccess) return;
    char reason[256] = "";
    api_->last_error(reason, sizeof reason);
    throw Error(ErrorKind::Unsupported, std::string("cuDNN: ") + api_->error_string(status) + ", " + reason);
  }
  const dnn::Api* api_;
  dnn::Descriptor handle_ = nullptr;
};

std::vector<Descriptor> several(const dnn::Api& api, int type, std::size_t count) {
  std::vector<Descriptor> list;
  for (std::size_t i = 0; i < count; ++i) list.emplace_back(api, type);
  return list;
}

}  // namespace

std::optional<Convolution> as_dnn_convolution(const pass::LibraryCall& call) {
  if (call.node.op != ir::Op::Convolution ||
      !known_types(call.operand_types[0].dtype, call.operand_types[1].dtype, call.result_type.dtype))
    return std::nullopt;
  auto c = pass::as_convolution(call.node, call.operand_types, call.result_type);
  if (!c || !merge_groups(c->weights, c->source.dims.size())) return std::nullopt;
  if (!has_usual_order(c->weights)) return std::nullopt;
  if (c->source.dims.size() == 3) {
    for (View* view : {&c->source, &c->weights, &c->destination}) widen(*view);
    for (auto* list : {&c->strides, &c->dilations}) list->insert(list->begin(), 1);
    for (auto* list : {&c->low, &c->high}) list->insert(list->begin(), 0);
  }
  for (std::size_t d = 0; d < c->low.size(); ++d) {
    // Inputs that no window reaches need no mention; and padding that is the same on both sides has more engines.
    c->high[d] = std::max<std::int64_t>(c->high[d], 0);
    const std::int64_t reach = c->dilations[d] * (c->weights.dims[d + 2] - 1) + 1;
    const std::int64_t room = c->source.dims[d + 2] + 2 * c->low[d] - reach;
    if (room >= 0 && room / c->strides[d] + 1 == c->destination.dims[d + 2]) c->high[d] = c->low[d];
  }
  const std::int64_t width = call.result_type.shape.back();
  const bool along_features = c->computed().dims[1] == width && (width == 1 || c->computed().strides[1] == 1);
  for (const auto& e : call.epilogue)
    if (c->pass == Pass::BackwardWeights || (e.kind == Kind::AddBias && !along_features)) return std::nullopt;
  return c;
}

namespace {

/// What follows a convolution is left to a generated kernel where products are exact: the engines that take it are
/// compiled by the library at run time, and of these the fast ones compute with tensor cores.
bool may_fuse(const pass::LibraryCall& call, Precision precision) {
  const DType given = call.operand_types[0].dtype;
  return call.epilogue.empty() || (given == DType::F32 ? precision != Precision::Float32 : given != DType::F64);
}

}  // namespace

bool has_engine_by_rules(const pass::LibraryCall& call, Precision precision) {
  const auto c = as_dnn_convolution(call);
  if (!c || !may_fuse(call, precision)) return false;
  const DType given = call.operand_types[0].dtype;
  if (call.epilogue.empty() && c->computed().dtype == given) return true;
  for (const View* view : {&c->source, &c->weights, &c->destination}) {  // features innermost
    Integers outside_in = view->strides;
    std::rotate(outside_in.begin() + 1, outside_in.begin() + 2, outside_in.end());
    if (outside_in.back() != 1 || !std::is_sorted(outside_in.rbegin(), outside_in.rend())) return false;
  }
  const bool even = c->source.dims[1] % 2 == 0 && c->destination.dims[1] % 2 == 0;
  const bool grouped = c->source.dims[1] != c->weights.dims[1];
  return c->pass == Pass::Forward || given == DType::F32 || (even && !grouped);
}

/// The library on a device, and what is made with it.
struct Cudnn::State {
  dnn::Api api;
  dnn::Handle handle = nullptr;      ///< null when the device is only described
  std::optional<Descriptor> device;  ///< then this stands for it
  std::mutex running;                ///< the handle has one stream at a time
  std::mutex asking;
  std::map<std::string, bool> answers;  ///< of has_engine

  ~State() {
    device.reset();
    if (handle != nullptr) api.destroy(handle);
  }
};

namespace {

/// The operation graph of one call. Tensors are numbered by the argument that they are, those inside it from kInside
/// on.
class OperationGraph {
 public:
  OperationGraph(const dnn::Api& api, dnn::Handle handle, const Convolution& c, const pass::LibraryCall& call)
      : api_(api) {
    // A result that is wider than the operands, and one that something follows on, stays in registers as f32; an
    // identity writes it. (Without that identity, cuDNN 9 takes convolution + bias + relu for its older fused call, and
    // proposes fewer engines.)
    const View& computed = c.computed();
    const DType given = call.operand_types[0].dtype;
    const DType compute = given == DType::F64 ? DType::F64 : DType::F32;
    const bool ends = call.epilogue.empty() && computed.dtype == given;
    const std::int64_t result = 2 + std::count_if(call.epilogue.begin(), call.epilogue.end(),
                                                  [](const auto& e) { return e.kind != Kind::Relu; });
    const auto inside = [&] {
      View view = computed;
      view.dtype = compute;
      return view;
    }();
    std::int64_t last = ends ? result : kInside;
    const std::int64_t of[3][3] = {{0, 1, last}, {last, 1, 0}, {0, last, 1}};  // source, weights, destination
    const std::int64_t(&ids)[3] = of[static_cast<std::size_t>(c.pass)];
    const View* const views[3] = {&c.source, &c.weights, &c.destination};
    for (std::size_t i = 0; i < 3; ++i) tensor(ids[i], ids[i] == kInside ? inside : *views[i]);
    convolution(c, ids, compute);

    std::int64_t addend = 2;
    for (const auto& e : call.epilogue) {
      const std::int64_t next = last + 1;
      tensor(next, inside);
      std::int64_t other = -1;
      if (e.kind != Kind::Relu) {
        other = addend++;
        View view = computed;
        if (e.kind == Kind::AddBias)
          for (std::size_t d = 0; d < view.dims.size(); ++d) {
            view.strides[d] = d == 1 ? 1 : computed.dims[1];
            if (d != 1) view.dims[d] = 1;
          }
        tensor(other, view);
      }
      pointwise(e.kind == Kind::Relu ? dnn::kRelu : dnn::kAdd, last, other, next, compute);
      last = next;
    }
    if (!ends) {
      tensor(result, computed);
      pointwise(dnn::kIdentity, last, -1, result, compute);
    }

    std::vector<dnn::Descriptor> operations;
    for (const Descriptor& operation : operations_) operations.push_back(operation.handle());
    graph_.emplace(api, dnn::kOperationGraph);
    if (handle != nullptr) graph_->set(dnn::kGraphHandle, dnn::kTypeHandle, std::vector<dnn::Handle>{handle});
    graph_->set(dnn::kGraphOperations, dnn::kTypeDescriptor, operations).finalize();
  }
  [[nodiscard]] const Descriptor& descriptor() const { return *graph_; }

 private:
  static constexpr std::int64_t kInside = 1000;

  void tensor(std::int64_t id, const View& view) {
    Descriptor made(api_, dnn::kTensor);
    made.set(dnn::kTensorId, {id})
        .set(dnn::kTensorType, dnn::kTypeDataType, data_type(view.dtype))
        .set(dnn::kTensorDimensions, view.dims)
        .set(dnn::kTensorStrides, view.strides)
        .set(dnn::kTensorAlignment, {kAlignment});
    if (id >= kInside) made.set(dnn::kTensorIsVirtual, dnn::kTypeBoolean, std::vector<char>{1});
    tensors_.emplace(id, std::move(made.finalize()));
  }

  void convolution(const Convolution& c, const std::int64_t (&ids)[3], DType compute) {
    Descriptor how(api_, dnn::kConvolution);
    how.set(dnn::kConvolutionPrecision, dnn::kTypeDataType, data_type(compute))
        .set(dnn::kConvolutionMode, dnn::kTypeConvolutionMode, dnn::kCrossCorrelation)
        .set(dnn::kConvolutionSpatialDimensions, {static_cast<std::int64_t>(c.strides.size())})
        .set(dnn::kConvolutionPrePaddings, c.low)
        .set(dnn::kConvolutionPostPaddings, c.high)
        .set(dnn::kConvolutionDilations, c.dilations)
        .set(dnn::kConvolutionStrides, c.strides)
        .finalize();
    const int types[3] = {dnn::kConvolutionForward, dnn::kConvolutionBackwardData, dnn::kConvolutionBackwardFilter};
    const int firsts[3] = {dnn::kForwardAlpha, dnn::kBackwardDataAlpha, dnn::kBackwardFilterAlpha};
    const auto pass = static_cast<std::size_t>(c.pass);
    const int first = firsts[pass];
    Descriptor operation(api_, types[pass]);
    const auto factors = [&]<class T>(int type, T one) {
      operation.set(first, type, std::vector<T>{one}).set(first + 1, type, std::vector<T>{0});
    };
    if (compute == DType::F64)
      factors(dnn::kTypeDouble, 1.0);
    else
      factors(dnn::kTypeFloat, 1.0F);
    operation.set(first + (dnn::kForwardConvolution - dnn::kForwardAlpha), how)
        .set(first + (dnn::kForwardSource - dnn::kForwardAlpha), tensors_.at(ids[0]))
        .set(first + (dnn::kForwardWeights - dnn::kForwardAlpha), tensors_.at(ids[1]))
        .set(first + (dnn::kForwardDestination - dnn::kForwardAlpha), tensors_.at(ids[2]))
        .finalize();
    parts_.push_back(std::move(how));
    operations_.push_back(std::move(operation));
  }

  void pointwise(int mode, std::int64_t x, std::int64_t b, std::int64_t y, DType compute) {
    Descriptor how(api_, dnn::kPointwise);
    how.set(dnn::kPointwiseMode, dnn::kTypePointwiseMode, mode)
        .set(dnn::kPointwisePrecision, dnn::kTypeDataType, data_type(compute));
    if (mode == dnn::kRelu) how.set(dnn::kPointwiseNanPropagation, dnn::kTypeNanPropagation, 1);
    how.finalize();
    Descriptor operation(api_, dnn::kOperationPointwise);
    operation.set(dnn::kPointwiseDescriptor, how).set(dnn::kPointwiseX, tensors_.at(x));
    if (b >= 0) operation.set(dnn::kPointwiseB, tensors_.at(b));
    operation.set(dnn::kPointwiseY, tensors_.at(y)).finalize();
    parts_.push_back(std::move(how));
    operations_.push_back(std::move(operation));
  }

  const dnn::Api& api_;
  std::map<std::int64_t, Descriptor> tensors_;
  std::vector<Descriptor> parts_, operations_;
  std::optional<Descriptor> graph_;
};

/// An engine and how its knobs stand: "67 2=4 13=0".
struct Configuration {
  std::int64_t engine = 0;
  std::vector<std::pair<int, std::int64_t>> knobs;
  bool compiled = false;  ///< by the library, at run time

  [[nodiscard]] std::string text() const {
    std::string text = std::to_string(engine);
    for (const auto& [knob, value] : knobs) text += " " + std::to_string(knob) + "=" + std::to_string(value);
    return text;
  }
  static std::optional<Configuration> parse(std::string_view text) {
    Configuration c;
    const auto number = [&](auto& into, char after) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
      if (error != std::errc()) return false;
      text.remove_prefix(static_cast<std::size_t>(end - text.data()));
      if (text.empty()) return after == ' ';
      if (text[0] != after) return false;
      text.remove_prefix(1);
      return true;
    };
    if (!number(c.engine, ' ')) return std::nullopt;
    while (!text.empty()) {
      auto& [knob, value] = c.knobs.emplace_back();
      if (!number(knob, '=') || !number(value, ' ')) return std::nullopt;
    }
    return c;
  }
};

/// Which engines will do.
struct Wanted {
  DType given;
  Precision precision;
  /// Of engines that the library compiles it is known that their relu keeps NaN (seen in the machine code of cuDNN 9.19
  /// for sm_80 and sm_90); of the others it is not.
  bool compiled;

  Wanted(const pass::LibraryCall& call, Precision asked)
      : given(call.operand_types[0].dtype),
        precision(asked),
        compiled(std::any_of(call.epilogue.begin(), call.epilogue.end(),
                             [](const auto& e) { return e.kind == Kind::Relu; })) {}
  /// Deterministic, and no less precise than asked: products of f32 as such unless TensorFloat32 will do.
  [[nodiscard]] bool allows(const std::vector<int>& notes) const {
    return std::none_of(notes.begin(), notes.end(), [&](int note) {
      return note == dnn::kTensorCore ? given == DType::F32 && precision == Precision::Float32
                                      : note >= dnn::kDownConvertInputs && note <= dnn::kWinograd13x13;
    });
  }
};

class ConvolutionCall final : public Call {
 public:
  ConvolutionCall(const dnn::Api& api, dnn::Handle handle, std::mutex& running, Descriptor plan, std::int64_t workspace,
                  std::string name)
      : api_(api),
        handle_(handle),
        running_(running),
        plan_(std::move(plan)),
        workspace_(static_cast<std::size_t>(workspace)),
        name_(std::move(name)) {}

  void run(std::span<const DevicePointer> arguments, DevicePointer scratch, Stream stream) override {
    Integers ids;
    std::vector<void*> pointers;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      ids.push_back(static_cast<std::int64_t>(i));
      pointers.push_back(reinterpret_cast<void*>(arguments[i]));
    }
    Descriptor pack(api_, dnn::kVariantPack);
    pack.set(dnn::kPackIds, ids)
        .set(dnn::kPackPointers, dnn::kTypePointer, pointers)
        .set(dnn::kPackWorkspace, dnn::kTypePointer, std::vector<void*>{reinterpret_cast<void*>(scratch)})
        .finalize();
    const std::lock_guard lock(running_);
    for (const int status : {api_.set_stream(handle_, stream), api_.execute(handle_, plan_.handle(), pack.handle())})
      if (status != dnn::kSuccess)
        throw Error(std::string("cuDNN could not run ") + name_ + ": " + api_.error_string(status));
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return workspace_; }
  [[nodiscard]] std::string implementation() const override { return name_; }

 private:
  const dnn::Api& api_;
  dnn::Handle handle_;
  std::mutex& running_;
  Descriptor plan_;
  std::size_t workspace_;
  std::string name_;
};

/// What the library proposes and is allowed, best first; nothing in a mode that knows nothing of such graphs.
std::vector<Configuration> proposals(const dnn::Api& api, const std::optional<Descriptor>& device,
                                     const OperationGraph& graph, int mode, const Wanted& wanted) {
  std::vector<Descriptor> configurations = several(api, dnn::kEngineConfig, kMostConfigurations);
  try {
    Descriptor heuristic(api, dnn::kEngineHeuristic);
    heuristic.set(dnn::kHeuristicGraph, graph.descriptor()).set(dnn::kHeuristicMode, dnn::kTypeHeuristicMode, mode);
    if (device) heuristic.set(dnn::kHeuristicDevice, *device);
    heuristic.finalize().get(dnn::kHeuristicResults, configurations);
  } catch (const Error&) {
    return {};
  }
  std::vector<Configuration> list;
  for (const Descriptor& configuration : configurations) {
    std::vector<Descriptor> engine = several(api, dnn::kEngine, 1);
    configuration.get(dnn::kConfigEngine, engine);
    if (engine.empty() || !wanted.allows(engine[0].get<int>(dnn::kEngineNumericalNotes, dnn::kTypeNumericalNote, 16)))
      continue;
    const auto behavior = engine[0].get<int>(dnn::kEngineBehaviorNotes, dnn::kTypeBehaviorNote, 16);
    const bool compiled = std::find(behavior.begin(), behavior.end(), dnn::kRuntimeCompilation) != behavior.end();
    if (wanted.compiled && !compiled) continue;
    Configuration& made = list.emplace_back();
    made.engine = engine[0].integer(dnn::kEngineIndex);
    made.compiled = compiled;
    std::vector<Descriptor> knobs = several(api, dnn::kKnobChoice, 48);
    configuration.get(dnn::kConfigKnobChoices, knobs);
    for (const Descriptor& knob : knobs)
      made.knobs.emplace_back(knob.get<int>(dnn::kKnobChoiceType, dnn::kTypeKnob, 1).at(0),
                              knob.integer(dnn::kKnobChoiceValue));
  }
  return list;
}

std::string key_of(const Convolution& c, const pass::LibraryCall& call, Precision precision,
                   const std::string& version) {
  const char* const passes[3] = {" forward", " backward data", " backward weights"};
  std::string key = version + passes[static_cast<std::size_t>(c.pass)];
  const auto list = [&](const Integers& numbers) {
    for (std::size_t i = 0; i < numbers.size(); ++i) key += (i == 0 ? "" : ",") + std::to_string(numbers[i]);
  };
  for (const View* view : {&c.source, &c.weights, &c.destination}) {
    key += " " + std::string(name(view->dtype)) + ":";
    list(view->dims);
    key += ":";
    list(view->strides);
  }
  for (const Integers* numbers : {&c.strides, &c.dilations, &c.low, &c.high}) {
    key += " ";
    list(*numbers);
  }
  key += epilogue_text(call);
  if (call.operand_types[0].dtype == DType::F32 && precision != Precision::Float32) key += " tf32";
  return key;
}

}  // namespace

Cudnn::Cudnn(dnn::Api api) : state_(std::make_unique<State>()) {
  state_->api = api;
  if (const int status = api.create(&state_->handle); status != dnn::kSuccess)
    throw Error(ErrorKind::Unsupported, std::string("cuDNN does not start: ") + api.error_string(status));
}
Cudnn::Cudnn(dnn::Api api, const std::string& device) : state_(std::make_unique<State>()) {
  state_->api = api;
  Descriptor described(state_->api, dnn::kDeviceProperties);
  described.set(dnn::kDeviceText, dnn::kTypeChar,
                std::vector<char>(device.c_str(), device.c_str() + device.size() + 1));
  state_->device.emplace(std::move(described.finalize()));
}
Cudnn::~Cudnn() = default;

std::string Cudnn::version() const { return "cuDNN " + std::to_string(state_->api.version()); }

bool Cudnn::has_engine(const pass::LibraryCall& call, Precision precision) {
  const auto c = as_dnn_convolution(call);
  if (!c || !may_fuse(call, precision)) return false;
  const std::lock_guard lock(state_->asking);
  const auto [answer, fresh] = state_->answers.try_emplace(key_of(*c, call, precision, version()), false);
  if (!fresh) return answer->second;
  try {
    const OperationGraph graph(state_->api, state_->handle, *c, call);
    for (const int mode : {dnn::kFallback, dnn::kModeA})  // the quicker one first
      answer->second =
          answer->second || !proposals(state_->api, state_->device, graph, mode, {call, precision}).empty();
  } catch (const Error&) {
    // A graph that the library refuses.
  }
  return answer->second;
}

std::unique_ptr<Call> Cudnn::prepare(const pass::LibraryCall& call, Precision precision, const Choosing& choosing) {
  const dnn::Api& api = state_->api;
  const std::string what =
      std::string(ir::name(call.node.op)) + epilogue_text(call) + " giving " + to_string(call.result_type);
  const auto c = as_dnn_convolution(call);
  if (!c) throw Error(ErrorKind::Unsupported, "cuDNN has no form for " + what);
  const OperationGraph graph(api, state_->handle, *c, call);
  const auto planned = [&](const Configuration& configuration) -> std::unique_ptr<Call> {
    try {
      Descriptor engine(api, dnn::kEngine);
      engine.set(dnn::kEngineGraph, graph.descriptor()).set(dnn::kEngineIndex, {configuration.engine});
      if (state_->device) engine.set(dnn::kEngineDevice, *state_->device);
      engine.finalize();
      std::vector<Descriptor> knobs;
      std::vector<dnn::Descriptor> handles;
      for (const auto& [type, value] : configuration.knobs) {
        Descriptor& knob = knobs.emplace_back(api, dnn::kKnobChoice);
        knob.set(dnn::kKnobChoiceType, dnn::kTypeKnob, type).set(dnn::kKnobChoiceValue, {value}).finalize();
        handles.push_back(knob.handle());
      }
      Descriptor how(api, dnn::kEngineConfig);
      how.set(dnn::kConfigEngine, engine);
      if (!handles.empty()) how.set(dnn::kConfigKnobChoices, dnn::kTypeDescriptor, handles);
      how.finalize();
      Descriptor plan(api, dnn::kExecutionPlan);
      plan.set(dnn::kPlanConfig, how);
      if (state_->device)
        plan.set(dnn::kPlanDevice, *state_->device);
      else
        plan.set(dnn::kPlanHandle, dnn::kTypeHandle, std::vector<dnn::Handle>{state_->handle});
      plan.finalize();
      const std::int64_t workspace = plan.integer(dnn::kPlanWorkspace);
      if (workspace > kMostWorkspace) return nullptr;
      return std::make_unique<ConvolutionCall>(api, state_->handle, state_->running, std::move(plan), workspace,
                                               "cuDNN engine " + configuration.text());
    } catch (const Error&) {
      return nullptr;  // one that this device cannot take after all
    }
  };
  auto chosen = choose(
      key_of(*c, call, precision, version()), choosing, call,
      [&](const std::string& text) -> std::unique_ptr<Call> {
        const auto configuration = Configuration::parse(text);
        return configuration ? planned(*configuration) : nullptr;
      },
      [&] {
        std::vector<Candidate> list;
        std::size_t compiled = 0;
        for (const int mode : {dnn::kModeA, dnn::kFallback})
          for (const Configuration& proposal : proposals(api, state_->device, graph, mode, {call, precision})) {
            if (list.size() == kMostCandidates) break;
            if (proposal.compiled && compiled == kMostCompiled) continue;
            auto made = planned(proposal);
            if (made == nullptr) continue;
            compiled += proposal.compiled ? 1 : 0;
            list.push_back({proposal.text(), std::move(made)});
          }
        return list;
      });
  if (chosen == nullptr) throw Error(ErrorKind::Unsupported, version() + " has no engine for " + what);
  return chosen;
}

LibraryName cudnn_name() {
  return {"cuDNN, the library of convolutions",
          {"libcudnn.so.9"},
          "install cuDNN 9 for this CUDA version, or the wheel nvidia-cudnn-cu13 (or -cu12)"};
}

dnn::Api load_cudnn(const Library& library) {
  if (!library.found()) throw Error(ErrorKind::Unsupported, library.complaint());
  dnn::Api api;
  const auto load = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(library.need(symbol));
  };
#define TESSERA_CUDA_LOAD(member, symbol, ...) load(api.member, #symbol);
  TESSERA_CUDNN(TESSERA_CUDA_LOAD)
#undef TESSERA_CUDA_LOAD
  load(api.version, "cudnnGetVersion");
  load(api.error_string, "cudnnGetErrorString");
  load(api.last_error, "cudnnGetLastErrorString");
  return api;
}

}  // namespace tessera::cuda
