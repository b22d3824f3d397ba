// Descriptors, the library's proposals, and the run.
#include "tessera/backend/cuda/cublaslt.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/pass/library_forms.hpp"

namespace tessera::cuda {
namespace {

using Kind = pass::LibraryCall::Epilogue::Kind;
using pass::View;

/// What an algorithm may take; the library's own advice for Hopper.
constexpr std::size_t kMostWorkspace = std::size_t{32} << 20;
constexpr int kMostCandidates = 8;
/// Batch dimensions beyond one are calls of their own; more of them are better off as a generated kernel.
constexpr std::int64_t kMostCalls = 64;

int data_type(DType dtype) {
  switch (dtype) {
    case DType::F64: return lt::kR64F;
    case DType::F16: return lt::kR16F;
    case DType::BF16: return lt::kR16BF;
    default: return lt::kR32F;
  }
}

/// A row-major [r, c] view as a column-major matrix, read as its transpose [c, r]; nothing when no stride is 1.
std::optional<Gemm::Matrix> column_major(const View& view) {
  const std::size_t inner = view.dims.size() - 2;
  const std::int64_t rows = view.dims[inner], columns = view.dims[inner + 1];
  const std::int64_t down = view.strides[inner], across = view.strides[inner + 1];
  Gemm::Matrix m{view.dtype, columns, rows, down, 0, false};
  if (across != 1) m = {view.dtype, rows, columns, across, 0, true};
  if ((m.transposed && down != 1) || m.leading < m.rows) return std::nullopt;
  for (const std::int64_t extent : {m.rows, m.columns, m.leading})
    if (extent > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return m;
}

/// The largest power of two that divides the place of element `start`, up to kAlignment.
std::int64_t alignment(std::int64_t start, DType dtype) {
  return std::gcd(kAlignment, start * static_cast<std::int64_t>(size_of(dtype)));
}

std::string hex(const lt::Algorithm& algorithm) {
  std::string text;
  for (const std::uint64_t word : algorithm.data)
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15U];
  return text;
}

std::optional<lt::Algorithm> parse_hex(const std::string& text) {
  lt::Algorithm algorithm{};
  if (text.size() != 16 * std::size(algorithm.data)) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digit = std::string_view("0123456789abcdef").find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    algorithm.data[i / 16] = algorithm.data[i / 16] << 4U | digit;
  }
  return algorithm;
}

/// The descriptors of one product.
class Descriptors {
 public:
  Descriptors(const lt::Api& api, const Gemm& gemm, const pass::LibraryCall& call, Precision precision)
      : Descriptors(api, gemm) {
    const bool wide = gemm.d.dtype == DType::F64;
    // What stays in f32 under BFloat16 may round as TensorFloat32 does: that is the finer of the two.
    const int compute = wide                                                            ? lt::kCompute64F
                        : gemm.a.dtype == DType::F32 && precision != Precision::Float32 ? lt::kCompute32FFastTF32
                                                                                        : lt::kCompute32F;
    check(api.operation_create(&operation, compute, wide ? lt::kR64F : lt::kR32F));
    set(lt::kTransposeA, gemm.a.transposed ? lt::kYes : lt::kNo);
    set(lt::kTransposeB, gemm.b.transposed ? lt::kYes : lt::kNo);
    for (std::size_t i = 0; i < call.epilogue.size(); ++i)
      (call.epilogue[i].kind == Kind::AddBias ? bias : addend) = 2 + i;
    if (bias != 0) {
      set(lt::kEpilogue, lt::kEpilogueBias);
      set(lt::kBiasType, data_type(gemm.d.dtype));
      set_bias(kAlignment);  // the library looks at its alignment
    }
    const std::pair<lt::Layout*, const Gemm::Matrix*> layouts[] = {{&a, &gemm.a}, {&b, &gemm.b}, {&d, &gemm.d}};
    for (const auto& [layout, matrix] : layouts) {
      check(api.layout_create(layout, data_type(matrix->dtype), static_cast<std::uint64_t>(matrix->rows),
                              static_cast<std::uint64_t>(matrix->columns), matrix->leading));
      if (gemm.batches == 1) continue;
      const auto count = static_cast<std::int32_t>(gemm.batches);
      check(api.layout_set(*layout, lt::kBatchCount, &count, sizeof count));
      check(api.layout_set(*layout, lt::kBatchOffset, &matrix->batch_stride, sizeof matrix->batch_stride));
    }
  }
  ~Descriptors() {
    for (const lt::Layout layout : {a, b, d})
      if (layout != nullptr) api_.layout_destroy(layout);
    if (operation != nullptr) api_.operation_destroy(operation);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  void set_bias(DevicePointer address) const {
    check(api_.operation_set(operation, lt::kBiasPointer, &address, sizeof address));
  }
  void check(int status) const {
    if (status != lt::kSuccess)
      throw Error(ErrorKind::Unsupported, std::string("cuBLASLt refuses a product of ") +
                                              std::to_string(gemm.d.columns) + " x " + std::to_string(gemm.d.rows) +
                                              ": " + api_.status_string(status));
  }

 private:
  Descriptors(const lt::Api& api, const Gemm& of) : api_(api), gemm(of) {}
  void set(int attribute, std::int32_t value) const {
    check(api_.operation_set(operation, attribute, &value, sizeof value));
  }
  const lt::Api& api_;

 public:
  const Gemm gemm;
  lt::Operation operation = nullptr;
  lt::Layout a = nullptr, b = nullptr, d = nullptr;
  std::size_t bias = 0, addend = 0;  ///< which arguments they are; 0: there is none
};

class GemmCall final : public Call {
 public:
  GemmCall(const lt::Api& api, lt::Handle handle, std::shared_ptr<const Descriptors> descriptors,
           const lt::Heuristic& chosen)
      : api_(api), handle_(handle), descriptors_(std::move(descriptors)), chosen_(chosen) {}

  void run(std::span<const DevicePointer> arguments, DevicePointer scratch, Stream stream) override {
    const Descriptors& of = *descriptors_;
    const Gemm& gemm = of.gemm;
    const auto at = [&](std::size_t argument, std::int64_t start, DType dtype) {
      return reinterpret_cast<void*>(arguments[argument] +
                                     static_cast<DevicePointer>(start) * static_cast<DevicePointer>(size_of(dtype)));
    };
    const float one = 1, beta = of.addend != 0 ? 1 : 0;
    const double wide_one = one, wide_beta = beta;
    const bool wide = gemm.d.dtype == DType::F64;
    const std::lock_guard lock(mutex_);  // the address of the bias stands in the descriptor
    if (of.bias != 0) of.set_bias(arguments[of.bias]);
    for (const auto& [a, b, d] : gemm.starts) {
      void* const result = at(arguments.size() - 1, d, gemm.d.dtype);
      const void* const addend = of.addend != 0 ? at(of.addend, d, gemm.d.dtype) : result;
      of.check(api_.multiply(handle_, of.operation, wide ? static_cast<const void*>(&wide_one) : &one,
                             at(1, a, gemm.a.dtype), of.a, at(0, b, gemm.b.dtype), of.b,
                             wide ? static_cast<const void*>(&wide_beta) : &beta, addend, of.d, result, of.d,
                             &chosen_.algorithm, reinterpret_cast<void*>(scratch), chosen_.workspace, stream));
    }
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return chosen_.workspace; }
  [[nodiscard]] std::string implementation() const override { return "cuBLASLt"; }

 private:
  const lt::Api& api_;
  lt::Handle handle_;
  std::shared_ptr<const Descriptors> descriptors_;
  lt::Heuristic chosen_;
  std::mutex mutex_;
};

std::vector<lt::Heuristic> proposals(const lt::Api& api, lt::Handle handle, const Descriptors& of) {
  lt::Preference preference = nullptr;
  of.check(api.preference_create(&preference));
  const std::shared_ptr<void> owner(preference, [&](void*) { api.preference_destroy(preference); });
  const auto set = [&](int attribute, auto value) {
    of.check(api.preference_set(preference, attribute, &value, sizeof value));
  };
  set(lt::kMaxWorkspace, std::uint64_t{kMostWorkspace});
  set(lt::kReductionMask, lt::kReduceInComputeType);
  std::int64_t least[3] = {kAlignment, kAlignment, kAlignment};
  for (const auto& start : of.gemm.starts) {
    const DType types[3] = {of.gemm.a.dtype, of.gemm.b.dtype, of.gemm.d.dtype};
    for (std::size_t i = 0; i < 3; ++i) least[i] = std::min(least[i], alignment(start[i], types[i]));
  }
  const int attributes[4] = {lt::kAlignmentA, lt::kAlignmentB, lt::kAlignmentC, lt::kAlignmentD};
  for (std::size_t i = 0; i < 4; ++i)
    set(attributes[i], static_cast<std::uint32_t>(least[std::min<std::size_t>(i, 2)]));
  std::vector<lt::Heuristic> list(kMostCandidates);
  int count = 0;
  if (api.heuristic(handle, of.operation, of.a, of.b, of.d, of.d, preference, kMostCandidates, list.data(), &count) !=
      lt::kSuccess)
    count = 0;  // nothing found is an error of the library's
  list.resize(static_cast<std::size_t>(count));
  std::erase_if(list, [](const lt::Heuristic& h) { return h.state != lt::kSuccess; });
  return list;
}

std::string key_of(const Gemm& gemm, const pass::LibraryCall& call, Precision precision, const std::string& version) {
  std::string key = version + " product";
  for (const Gemm::Matrix* m : {&gemm.a, &gemm.b, &gemm.d})
    key += " " + std::string(name(m->dtype)) + (m->transposed ? "t" : "n") + std::to_string(m->rows) + "x" +
           std::to_string(m->columns) + ":" + std::to_string(m->leading) + ":" + std::to_string(m->batch_stride);
  key += " batch " + std::to_string(gemm.batches) + "*" + std::to_string(gemm.starts.size()) + epilogue_text(call);
  if (gemm.a.dtype == DType::F32 && precision != Precision::Float32) key += " tf32";
  return key;
}

}  // namespace

std::optional<Gemm> as_gemm(const pass::LibraryCall& call) {
  const TensorType& result = call.result_type;
  if (call.node.op != ir::Op::DotGeneral ||
      !known_types(call.operand_types[0].dtype, call.operand_types[1].dtype, result.dtype))
    return std::nullopt;
  const auto product = pass::as_product(call.node, call.operand_types, result);
  if (!product) return std::nullopt;
  const auto a = column_major(product->rhs), b = column_major(product->lhs), d = column_major(product->result);
  if (!a || !b || !d || d->transposed) return std::nullopt;
  Gemm gemm{*a, *b, *d, 1, {}};
  int biases = 0, addends = 0;
  for (const auto& e : call.epilogue) {
    if (e.kind == Kind::Relu) return std::nullopt;
    if (e.kind == Kind::AddBias && (result.shape.empty() || gemm.d.rows != result.shape.back())) return std::nullopt;
    if (++(e.kind == Kind::AddBias ? biases : addends) > 1) return std::nullopt;
  }

  // One batch dimension is strided, the longest; the others are calls of their own.
  const View* views[3] = {&product->rhs, &product->lhs, &product->result};
  const std::size_t outer = product->result.dims.size() - 2;
  std::size_t strided = outer;
  for (std::size_t i = 0; i < outer; ++i)
    if (strided == outer || product->result.dims[i] > product->result.dims[strided]) strided = i;
  gemm.starts = {{0, 0, 0}};
  Gemm::Matrix* matrices[3] = {&gemm.a, &gemm.b, &gemm.d};
  for (std::size_t i = 0; i < outer; ++i) {
    const std::int64_t extent = product->result.dims[i];
    if (i == strided) {
      if (extent > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
      gemm.batches = extent;
      for (std::size_t v = 0; v < 3; ++v) matrices[v]->batch_stride = views[v]->strides[i];
      continue;
    }
    if (static_cast<std::int64_t>(gemm.starts.size()) * extent > kMostCalls) return std::nullopt;
    const auto before = std::exchange(gemm.starts, {});
    for (const auto& start : before)
      for (std::int64_t at = 0; at < extent; ++at) {
        auto& next = gemm.starts.emplace_back(start);
        for (std::size_t v = 0; v < 3; ++v) next[v] += at * views[v]->strides[i];
      }
  }
  return gemm;
}

Cublas::Cublas(lt::Api api) : api_(api) {
  if (const int status = api_.create(&handle_); status != lt::kSuccess)
    throw Error(ErrorKind::Unsupported, std::string("cuBLASLt does not start: ") + api_.status_string(status));
}
Cublas::~Cublas() { api_.destroy(handle_); }

std::string Cublas::version() const { return "cuBLASLt " + std::to_string(api_.version()); }

bool Cublas::has_algorithm(const pass::LibraryCall& call, Precision precision) {
  const auto gemm = as_gemm(call);
  if (!gemm) return false;
  const auto [found, fresh] = has_algorithm_.try_emplace(key_of(*gemm, call, precision, version()), false);
  if (fresh) found->second = !proposals(api_, handle_, Descriptors(api_, *gemm, call, precision)).empty();
  return found->second;
}

std::unique_ptr<Call> Cublas::prepare(const pass::LibraryCall& call, Precision precision, const Choosing& choosing) {
  const auto gemm = as_gemm(call);
  const std::string what =
      std::string(ir::name(call.node.op)) + epilogue_text(call) + " giving " + to_string(call.result_type);
  if (!gemm) throw Error(ErrorKind::Unsupported, "cuBLASLt has no form for " + what);
  const auto descriptors = std::make_shared<const Descriptors>(api_, *gemm, call, precision);
  const auto made = [&](const lt::Heuristic& chosen) {
    return std::make_unique<GemmCall>(api_, handle_, descriptors, chosen);
  };
  auto chosen = choose(
      key_of(*gemm, call, precision, version()), choosing, call,
      [&](const std::string& text) -> std::unique_ptr<Call> {
        const auto algorithm = parse_hex(text);
        lt::Heuristic checked{};
        const Descriptors& of = *descriptors;
        if (!algorithm ||
            api_.check(handle_, of.operation, of.a, of.b, of.d, of.d, &*algorithm, &checked) != lt::kSuccess)
          return nullptr;
        checked.algorithm = *algorithm;
        return made(checked);
      },
      [&] {
        std::vector<Candidate> list;
        for (const lt::Heuristic& proposal : proposals(api_, handle_, *descriptors))
          list.push_back({hex(proposal.algorithm), made(proposal)});
        return list;
      });
  if (chosen == nullptr) throw Error(ErrorKind::Unsupported, version() + " has no algorithm for " + what);
  return chosen;
}

LibraryName cublaslt_name(int driver_major) {
  LibraryName name{"cuBLASLt, the library of matrix products", {}, ""};
  if (driver_major >= 13) name.files.emplace_back("libcublasLt.so.13");
  name.files.emplace_back("libcublasLt.so.12");
  name.advice = "install the CUDA toolkit, or the wheel nvidia-cublas, or set CUDA_HOME to where the toolkit stands";
  return name;
}

lt::Api load_cublaslt(const Library& library) {
  if (!library.found()) throw Error(ErrorKind::Unsupported, library.complaint());
  lt::Api api;
  const auto load = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(library.need(symbol));
  };
#define TESSERA_CUDA_LOAD(member, symbol, ...) load(api.member, #symbol);
  TESSERA_CUBLASLT(TESSERA_CUDA_LOAD)
#undef TESSERA_CUDA_LOAD
  load(api.version, "cublasLtGetVersion");
  load(api.status_string, "cublasLtGetStatusString");
  return api;
}

}  // namespace tessera::cuda
