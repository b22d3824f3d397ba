// oneDNN 2.6's descriptors, primitives and memory objects behind onednn.hpp.
#include "tessera/backend/cpu/onednn.hpp"

#ifdef TESSERA_HAVE_ONEDNN

#include <dnnl_debug.h>

#include <algorithm>
#include <cstring>
#include <dnnl.hpp>
#include <mutex>
#include <optional>

#include "tessera/backend/cpu/isa.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cpu::onednn {
namespace {

using dnnl::memory;

/// oneDNN fixes its instruction set when it makes its first kernel: the ceiling comes before the engine.
dnnl::engine make_engine() {
  const auto ceiling = [] {
    switch (isa()) {
      case Isa::Sse2: return dnnl::cpu_isa::sse41;
      case Isa::Avx2: return dnnl::cpu_isa::avx2;
      default: return dnnl::cpu_isa::all;
    }
  }();
  dnnl::set_max_cpu_isa(ceiling);
  return {dnnl::engine::kind::cpu, 0};
}

dnnl::engine& engine() {
  static dnnl::engine instance = make_engine();
  return instance;
}
dnnl::stream& stream() {
  static dnnl::stream instance(engine());
  return instance;
}

memory::desc describe(const View& view) {
  return {view.dims, view.dtype == DType::BF16 ? memory::data_type::bf16 : memory::data_type::f32,
          memory::dims(view.strides)};
}
memory::desc any_layout(const View& view) {
  return {view.dims, view.dtype == DType::BF16 ? memory::data_type::bf16 : memory::data_type::f32,
          memory::format_tag::any};
}

bool has_kernels(const View& view) { return view.dtype == DType::F32 || (view.dtype == DType::BF16 && has_bf16()); }

bool is_reference(const char* implementation) { return std::strstr(implementation, "ref") != nullptr; }

/// Stages in order over numbered memories: the caller's arguments, or pieces of the workspace. A first part of them can
/// be for `prepare`.
class Stages final : public Call {
 public:
  int argument(const memory::desc& desc, int index) { return slot({desc, Place::Argument, index, 0}); }
  int scratch(const memory::desc& desc) { return slot({desc, Place::Scratch, 0, take_bytes(scratch_bytes_, desc)}); }
  int kept(const memory::desc& desc) { return slot({desc, Place::Kept, 0, take_bytes(kept_bytes_, desc)}); }
  void stage(const dnnl::primitive& primitive, std::vector<std::pair<int, int>> arguments,
             const memory::desc& scratchpad) {
    if (scratchpad.get_size() > 0) arguments.emplace_back(DNNL_ARG_SCRATCHPAD, scratch(scratchpad));
    stages_.push_back({primitive, std::move(arguments)});
  }
  /// The stages so far are done by `prepare`.
  void end_of_preparation() { first_to_run_ = stages_.size(); }
  void name(const char* implementation) {
    if (!names_.empty()) names_ += " + ";
    names_ += implementation;
  }
  /// Copies between layouts.
  void reorder(int from, int to) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc desc(engine(), desc_of(from), engine(), desc_of(to), attributes);
    stage(dnnl::reorder(desc), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, desc.scratchpad_desc());
  }
  /// The argument in the layout `wanted`: itself, or a reordered copy.
  int in_layout(const View& view, int index, const memory::desc& wanted) {
    const int given = argument(describe(view), index);
    if (desc_of(given) == wanted) return given;
    const int copy = scratch(wanted);
    name("reorder");
    reorder(given, copy);
    return copy;
  }
  /// The same, done by `prepare`.
  int prepared(const View& view, int index, const memory::desc& wanted) {
    const int given = argument(describe(view), index);
    if (desc_of(given) == wanted) return given;
    const int copy = kept(wanted);
    reorder(given, copy);
    end_of_preparation();
    return copy;
  }
  [[nodiscard]] const memory::desc& desc_of(int slot) const { return slots_[static_cast<std::size_t>(slot)].desc; }

  void run(void* const* arguments, const Workspace& work) override {
    run_stages(first_to_run_, stages_.size(), arguments, work);
  }
  void prepare(void* const* arguments, const Workspace& work) override {
    if (first_to_run_ > 0) run_stages(0, first_to_run_, arguments, work);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_bytes_; }
  [[nodiscard]] std::size_t kept_bytes() const override { return kept_bytes_; }
  [[nodiscard]] std::string implementation() const override { return names_; }

 private:
  enum class Place : std::uint8_t { Argument, Scratch, Kept };
  struct Slot {
    memory::desc desc;
    Place place;
    int argument;
    std::size_t offset;
  };
  struct Stage {
    dnnl::primitive primitive;
    std::vector<std::pair<int, int>> arguments;
  };
  /// The memory objects of one run in flight.
  struct Session {
    std::vector<memory> memories;
    std::vector<std::vector<dnnl_exec_arg_t>> arguments;
  };
  int slot(const Slot& s) {
    slots_.push_back(s);
    return static_cast<int>(slots_.size()) - 1;
  }
  static std::size_t take_bytes(std::size_t& bytes, const memory::desc& desc) {
    const std::size_t offset = bytes;
    bytes += (desc.get_size() + 63) / 64 * 64;
    return offset;
  }
  void run_stages(std::size_t begin, std::size_t end, void* const* arguments, const Workspace& work) {
    std::unique_ptr<Session> session = take();
    const auto address = [&](const Slot& s) -> void* {
      if (s.place == Place::Argument) return arguments[s.argument];
      return (s.place == Place::Scratch ? work.scratch : work.kept) + s.offset;
    };
    for (std::size_t i = 0; i < slots_.size(); ++i) session->memories[i].set_data_handle(address(slots_[i]));
    for (std::size_t i = begin; i < end; ++i) {
      const auto& list = session->arguments[i];
      const dnnl_status_t status = dnnl_primitive_execute(stages_[i].primitive.get(), stream().get(),
                                                          static_cast<int>(list.size()), list.data());
      if (status != dnnl_success)
        throw Error(std::string("oneDNN could not run ") + names_ + ": " + dnnl_status2str(status));
    }
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(session));
  }
  std::unique_ptr<Session> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto session = std::move(idle_.back());
        idle_.pop_back();
        return session;
      }
    }
    auto session = std::make_unique<Session>();
    for (const Slot& s : slots_) session->memories.emplace_back(s.desc, engine(), static_cast<void*>(nullptr));
    for (const Stage& s : stages_) {
      auto& list = session->arguments.emplace_back();
      for (const auto& [kind, index] : s.arguments)
        list.push_back({kind, session->memories[static_cast<std::size_t>(index)].get()});
    }
    return session;
  }

  std::vector<Slot> slots_;
  std::vector<Stage> stages_;
  std::size_t first_to_run_ = 0, scratch_bytes_ = 0, kept_bytes_ = 0;
  std::string names_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Session>> idle_;
};

/// The epilogue as oneDNN's attributes. A bias that comes first is the primitive's own and does not count here.
struct Attributes {
  dnnl::primitive_attr attr;
  std::optional<View> bias;
  std::vector<std::pair<int, std::size_t>> addends;  ///< execution argument, and which addend
};

Attributes attributes_for(const std::vector<Epilogue>& epilogue, bool bias_first) {
  Attributes result;
  dnnl::post_ops post;
  std::size_t addend = 0;
  for (const Epilogue& step : epilogue) {
    if (step.kind == Epilogue::Kind::Relu) {
      post.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
      continue;
    }
    if (&step == epilogue.data() && bias_first) {
      result.bias = step.addend;
    } else {
      result.addends.emplace_back(DNNL_ARG_ATTR_MULTIPLE_POST_OP(post.len()) | DNNL_ARG_SRC_1, addend);
      post.append_binary(dnnl::algorithm::binary_add, describe(step.addend));
    }
    ++addend;
  }
  result.attr.set_post_ops(post);
  result.attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return result;
}

/// Binds bias and addends: caller's arguments 2, 3, ...
void bind_addends(Stages& call, const Attributes& attributes, const std::vector<Epilogue>& epilogue,
                  const memory::desc& bias_desc, std::vector<std::pair<int, int>>& arguments) {
  if (attributes.bias) arguments.emplace_back(DNNL_ARG_BIAS, call.argument(bias_desc, 2));
  std::vector<const View*> views;
  for (const Epilogue& step : epilogue)
    if (step.kind == Epilogue::Kind::Add) views.push_back(&step.addend);
  for (const auto& [kind, index] : attributes.addends)
    arguments.emplace_back(kind, call.argument(describe(*views[index]), static_cast<int>(index) + 2));
}

int addend_count(const std::vector<Epilogue>& epilogue) {
  return static_cast<int>(
      std::count_if(epilogue.begin(), epilogue.end(), [](const Epilogue& e) { return e.kind == Epilogue::Kind::Add; }));
}

/// A first Add that varies along dimension `along` alone, as a bias does.
bool starts_with_bias(const std::vector<Epilogue>& epilogue, std::size_t along) {
  if (epilogue.empty() || epilogue[0].kind != Epilogue::Kind::Add) return false;
  const Shape& dims = epilogue[0].addend.dims;
  for (std::size_t d = 0; d < dims.size(); ++d)
    if (d != along && dims[d] != 1) return false;
  return true;
}

template <class Desc>
bool found(const Desc& desc) {
  return static_cast<bool>(desc) && !is_reference(desc.impl_info_str());
}

/// oneDNN 2.6.3's 1x1 kernels gather strided pixels into scratch that is too small for a partly filled vector of
/// channels, and write past it.
template <class Desc>
bool found(const Desc& desc, const Convolution& c) {
  if (!found(desc)) return false;
  const bool strided = std::any_of(c.strides.begin(), c.strides.end(), [](std::int64_t s) { return s > 1; });
  return !(strided && c.source.dims[1] % 16 != 0 && std::strstr(desc.impl_info_str(), "1x1") != nullptr);
}

dnnl::matmul::primitive_desc matmul_desc(const Product& p, const Attributes& attributes, bool packed = false) {
  const memory::desc lhs = describe(p.lhs), rhs = packed ? any_layout(p.rhs) : describe(p.rhs);
  const memory::desc result = describe(p.result);
  const auto desc = attributes.bias ? dnnl::matmul::desc(lhs, rhs, describe(*attributes.bias), result)
                                    : dnnl::matmul::desc(lhs, rhs, result);
  return {desc, attributes.attr, engine(), true};
}

// The three passes of a convolution, alike for the code below.
struct Plan {
  memory::desc source, weights, destination;  ///< in the layouts that the kernel wants
  dnnl::primitive primitive;
  memory::desc scratchpad;
  std::string implementation;
};

enum class Layouts { AsGiven, Chosen };

template <class Pass, class... Extra>
typename Pass::primitive_desc make_desc(typename Pass::desc&& desc, const dnnl::primitive_attr& attr,
                                        const Extra&... extra) {
  return typename Pass::primitive_desc(desc, attr, engine(), extra..., true);
}

class ConvolutionMaker {
 public:
  ConvolutionMaker(const Convolution& c, const Attributes& attributes, Layouts layouts)
      : c_(c), attributes_(attributes) {
    source_ = layouts == Layouts::AsGiven ? describe(c.source) : any_layout(c.source);
    destination_ = layouts == Layouts::AsGiven ? describe(c.destination) : any_layout(c.destination);
    weights_ = any_layout(c.weights);
    for (const std::int64_t d : c.dilations) dilates_.push_back(d - 1);
  }
  [[nodiscard]] dnnl::convolution_forward::primitive_desc forward(dnnl::prop_kind kind) const {
    using F = dnnl::convolution_forward;
    if (!attributes_.bias)
      return make_desc<F>(
          F::desc(kind, kAlgorithm, source_, weights_, destination_, c_.strides, dilates_, c_.low, c_.high),
          attributes_.attr);
    const View& bias = *attributes_.bias;
    const memory::desc vector({bias.dims[1]}, memory::data_type::f32, memory::format_tag::a);
    return make_desc<F>(
        F::desc(kind, kAlgorithm, source_, weights_, vector, destination_, c_.strides, dilates_, c_.low, c_.high),
        attributes_.attr);
  }
  [[nodiscard]] dnnl::convolution_backward_data::primitive_desc backward_data() const {
    using B = dnnl::convolution_backward_data;
    return make_desc<B>(B::desc(kAlgorithm, source_, weights_, destination_, c_.strides, dilates_, c_.low, c_.high),
                        attributes_.attr, forward_hint());
  }
  [[nodiscard]] dnnl::convolution_backward_weights::primitive_desc backward_weights() const {
    using B = dnnl::convolution_backward_weights;
    return make_desc<B>(B::desc(kAlgorithm, source_, weights_, destination_, c_.strides, dilates_, c_.low, c_.high),
                        attributes_.attr, forward_hint());
  }

 private:
  static constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;  // Winograd rounds differently
  /// Backward passes ask for the forward one they belong to, in the types of its inputs.
  [[nodiscard]] dnnl::convolution_forward::primitive_desc forward_hint() const {
    using F = dnnl::convolution_forward;
    const bool narrow =
        c_.source.dtype == DType::BF16 || c_.weights.dtype == DType::BF16 || c_.destination.dtype == DType::BF16;
    View source = c_.source, weights = c_.weights, destination = c_.destination;
    if (narrow) source.dtype = weights.dtype = destination.dtype = DType::BF16;
    return make_desc<F>(F::desc(dnnl::prop_kind::forward_training, kAlgorithm, any_layout(source), any_layout(weights),
                                any_layout(destination), c_.strides, dilates_, c_.low, c_.high),
                        dnnl::primitive_attr());
  }
  const Convolution& c_;
  const Attributes& attributes_;
  memory::desc source_, weights_, destination_;
  memory::dims dilates_;
};

std::optional<Plan> plan(const Convolution& c, const Attributes& attributes, Layouts layouts, bool build) {
  try {
    const ConvolutionMaker maker(c, attributes, layouts);
    switch (c.pass) {
      case Convolution::Pass::Forward: {
        const auto desc = maker.forward(dnnl::prop_kind::forward_training);
        if (!found(desc, c)) return std::nullopt;
        return Plan{desc.src_desc(),        desc.weights_desc(),
                    desc.dst_desc(),        build ? dnnl::convolution_forward(desc) : dnnl::primitive(),
                    desc.scratchpad_desc(), desc.impl_info_str()};
      }
      case Convolution::Pass::BackwardData: {
        const auto desc = maker.backward_data();
        if (!found(desc, c)) return std::nullopt;
        return Plan{desc.diff_src_desc(),   desc.weights_desc(),
                    desc.diff_dst_desc(),   build ? dnnl::convolution_backward_data(desc) : dnnl::primitive(),
                    desc.scratchpad_desc(), desc.impl_info_str()};
      }
      case Convolution::Pass::BackwardWeights: {
        const auto desc = maker.backward_weights();
        if (!found(desc, c)) return std::nullopt;
        return Plan{desc.src_desc(),        desc.diff_weights_desc(),
                    desc.diff_dst_desc(),   build ? dnnl::convolution_backward_weights(desc) : dnnl::primitive(),
                    desc.scratchpad_desc(), desc.impl_info_str()};
      }
    }
  } catch (const dnnl::error&) {
    // Attributes that the library refuses.
  }
  return std::nullopt;
}

bool has_kernels(const Convolution& c) {
  for (const View* view : {&c.source, &c.weights, &c.destination})
    if (!has_kernels(*view) || view->dims.size() > 6) return false;
  return true;
}

}  // namespace

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

bool has_bf16() { return isa() >= Isa::Avx512; }

bool supports(const Product& p) {
  if (!has_kernels(p.lhs) || !has_kernels(p.rhs) || !has_kernels(p.result)) return false;
  try {
    return found(matmul_desc(p, attributes_for({}, false)));
  } catch (const dnnl::error&) {
    return false;
  }
}

bool supports(const Convolution& c) {
  if (!has_kernels(c)) return false;
  const Attributes attributes = attributes_for({}, false);
  return plan(c, attributes, Layouts::AsGiven, false) || plan(c, attributes, Layouts::Chosen, false);
}

/// Without AVX-512 oneDNN's gemm reads the right side where it lies, when rows or columns are few. Rows whose distance
/// is a multiple of 2 KiB then meet in the same sets of the first cache, and the product takes twice the time: a copy
/// with rows further apart costs less, unless rows on the left are few.
bool rows_collide(const Product& p) {
  constexpr double kLeastToCopy = 0.0038;  // oneDNN's own bound, of 1 / rows + 1 / columns
  if (isa() != Isa::Avx2 || p.rhs.dims.size() != 2 || p.rhs.dtype != DType::F32) return false;
  const auto rows = static_cast<double>(p.lhs.dims[0]), columns = static_cast<double>(p.rhs.dims[1]);
  return p.rhs.strides[1] == 1 && p.rhs.strides[0] % 512 == 0 && rows >= 32 && 1 / rows + 1 / columns >= kLeastToCopy;
}

/// With AVX-512 oneDNN multiplies blocks, and copies what does not lie in blocks of its own kind while it does: 2 to 30
/// % of the time, most where the right side is transposed or its rows collide. A copy made before pays when this many
/// rows on the left meet it, or this many columns on the right a transposed left side (two cores of Zen 4).
constexpr std::int64_t kWorthACopy = 1024;

bool is_worth_packing(const Product& p, std::int64_t runs) {
  if (isa() < Isa::Avx512 || p.rhs.dims.size() != 2) return false;
  return p.lhs.dims[0] >= (kWorthACopy + runs - 1) / runs;
}

/// The left side row by row, where a copy of it pays.
Product with_rows_on_the_left(const Product& p) {
  Product straight = p;
  if (isa() >= Isa::Avx512 && p.lhs.dims.size() == 2 && p.lhs.strides[1] != 1 && p.rhs.dims[1] >= kWorthACopy)
    straight.lhs.strides = {p.lhs.dims[1], 1};
  return straight;
}

std::unique_ptr<Call> make_call(const Product& p, const std::vector<Epilogue>& epilogue, std::int64_t runs) {
  if (!has_kernels(p.lhs) || !has_kernels(p.rhs) || !has_kernels(p.result)) return nullptr;
  try {
    const Attributes attributes = attributes_for(epilogue, starts_with_bias(epilogue, p.result.dims.size() - 1));
    Product copied = with_rows_on_the_left(p);
    if (rows_collide(p)) copied.rhs.strides[0] += 16;
    const auto desc = matmul_desc(copied, attributes, is_worth_packing(p, runs));
    if (!found(desc)) return nullptr;
    auto call = std::make_unique<Stages>();
    call->name(desc.impl_info_str());
    const int weights =
        runs > 1 ? call->prepared(p.rhs, 1, desc.weights_desc()) : call->in_layout(p.rhs, 1, desc.weights_desc());
    std::vector<std::pair<int, int>> arguments{
        {DNNL_ARG_SRC, call->in_layout(p.lhs, 0, desc.src_desc())},
        {DNNL_ARG_WEIGHTS, weights},
        {DNNL_ARG_DST, call->argument(desc.dst_desc(), 2 + addend_count(epilogue))}};
    bind_addends(*call, attributes, epilogue, desc.bias_desc(), arguments);
    call->stage(dnnl::matmul(desc), std::move(arguments), desc.scratchpad_desc());
    return call;
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

std::unique_ptr<Call> make_call(const Convolution& c, const std::vector<Epilogue>& epilogue) {
  const bool forward = c.pass == Convolution::Pass::Forward;
  if (!has_kernels(c) || (!forward && !epilogue.empty())) return nullptr;
  const Attributes attributes = attributes_for(epilogue, starts_with_bias(epilogue, 1));
  std::optional<Plan> chosen = plan(c, attributes, Layouts::AsGiven, true);
  if (!chosen) chosen = plan(c, attributes, Layouts::Chosen, true);
  if (!chosen) return nullptr;
  try {
    auto call = std::make_unique<Stages>();
    const int result_index = 2 + addend_count(epilogue);
    std::vector<std::pair<int, int>> arguments;
    // The computed tensor, in the kernel's layout; the caller's when they differ is written by a last reorder.
    const View& result_view = forward                                     ? c.destination
                              : c.pass == Convolution::Pass::BackwardData ? c.source
                                                                          : c.weights;
    const memory::desc& result_desc = forward                                     ? chosen->destination
                                      : c.pass == Convolution::Pass::BackwardData ? chosen->source
                                                                                  : chosen->weights;
    const memory::desc outer = describe(result_view);
    const bool copied = outer != result_desc;
    const int result = copied ? call->scratch(result_desc) : call->argument(outer, result_index);
    switch (c.pass) {
      case Convolution::Pass::Forward:
        arguments = {{DNNL_ARG_SRC, call->in_layout(c.source, 0, chosen->source)},
                     {DNNL_ARG_WEIGHTS, call->in_layout(c.weights, 1, chosen->weights)},
                     {DNNL_ARG_DST, result}};
        bind_addends(*call, attributes, epilogue,
                     memory::desc({c.destination.dims[1]}, memory::data_type::f32, memory::format_tag::a), arguments);
        break;
      case Convolution::Pass::BackwardData:
        arguments = {{DNNL_ARG_DIFF_DST, call->in_layout(c.destination, 0, chosen->destination)},
                     {DNNL_ARG_WEIGHTS, call->in_layout(c.weights, 1, chosen->weights)},
                     {DNNL_ARG_DIFF_SRC, result}};
        break;
      case Convolution::Pass::BackwardWeights:
        arguments = {{DNNL_ARG_SRC, call->in_layout(c.source, 0, chosen->source)},
                     {DNNL_ARG_DIFF_DST, call->in_layout(c.destination, 1, chosen->destination)},
                     {DNNL_ARG_DIFF_WEIGHTS, result}};
        break;
    }
    call->name(chosen->implementation.c_str());
    call->stage(chosen->primitive, std::move(arguments), chosen->scratchpad);
    if (copied) {
      call->name("reorder");
      call->reorder(result, call->argument(outer, result_index));
    }
    return call;
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

}  // namespace tessera::cpu::onednn

#else

namespace tessera::cpu::onednn {
std::string version() { return {}; }
bool has_bf16() { return false; }
bool supports(const Product&) { return false; }
bool supports(const Convolution&) { return false; }
std::unique_ptr<Call> make_call(const Product&, const std::vector<Epilogue>&, std::int64_t) { return nullptr; }
std::unique_ptr<Call> make_call(const Convolution&, const std::vector<Epilogue>&) { return nullptr; }
}  // namespace tessera::cpu::onednn

#endif
