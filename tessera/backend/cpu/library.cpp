// From nodes to views, and the choice of what oneDNN fuses.
#include "tessera/backend/cpu/library.hpp"

#include <algorithm>
#include <numeric>

#include "tessera/backend/cpu/convolution.hpp"
#include "tessera/backend/cpu/team.hpp"

namespace tessera::cpu {
namespace {

using ir::Integers;
using onednn::Epilogue;
using onednn::View;

/// Below this a call costs more than the loops it replaces.
constexpr double kLeastOperations = 4096;

struct Merged {
  std::int64_t extent = 1, stride = 1;
};

/// Dimensions of one tensor, outermost first, as one of constant stride. Extents of 1 have no say.
std::optional<Merged> merge(const Shape& shape, const Integers& strides, const Integers& dimensions) {
  Merged merged;
  std::int64_t next = 0;  // the stride that the next outer dimension must have
  for (auto d = dimensions.rbegin(); d != dimensions.rend(); ++d) {
    const auto i = static_cast<std::size_t>(*d);
    if (shape[i] == 1) continue;
    if (next == 0)
      merged.stride = strides[i];
    else if (strides[i] != next)
      return std::nullopt;
    merged.extent *= shape[i];
    next = strides[i] * shape[i];
  }
  return merged;
}

Integers rest(std::size_t rank, const Integers& a, const Integers& b) {
  Integers list;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(rank); ++d)
    if (std::find(a.begin(), a.end(), d) == a.end() && std::find(b.begin(), b.end(), d) == b.end()) list.push_back(d);
  return list;
}

/// oneDNN wants one of the two inner strides to be 1 and the other at least the extent along it; an extent of 1 leaves
/// the choice.
View matrix(DType dtype, Shape dims, Integers strides, const Merged& rows, const Merged& columns) {
  std::int64_t down = rows.stride, across = columns.stride;
  if (rows.extent == 1) down = across == 1 ? columns.extent : 1;
  if (columns.extent == 1) across = 1;
  dims.insert(dims.end(), {rows.extent, columns.extent});
  strides.insert(strides.end(), {down, across});
  return {dtype, std::move(dims), std::move(strides)};
}

bool known_types(DType lhs, DType rhs, DType result) {
  if (lhs != rhs) return false;
  return lhs == DType::F32 ? result == DType::F32
                           : lhs == DType::BF16 && (result == DType::F32 || result == DType::BF16);
}

/// What oneDNN does not fuse, in place on the result, one row of the last dimension after the other.
class Followed final : public Call {
 public:
  Followed(std::unique_ptr<Call> call, std::vector<pass::LibraryCall::Epilogue> epilogue, std::size_t first,
           const TensorType& result, std::size_t addends, int threads)
      : call_(std::move(call)),
        epilogue_(std::move(epilogue)),
        first_(first),
        dtype_(result.dtype),
        addends_(addends),
        threads_(threads) {
    columns_ = result.shape.empty() ? 1 : result.shape.back();
    rows_ = element_count(result.shape) / std::max<std::int64_t>(columns_, 1);
  }
  void run(void* const* arguments, std::byte* scratch) override {
    void* const result = arguments[2 + addends_];
    // The inner call sees only its own addends before the result.
    std::vector<void*> inner(arguments, arguments + 2 + first_addend());
    inner.push_back(result);
    call_->run(inner.data(), scratch);
    const int threads = rows_ * columns_ < 16384 ? 1 : threads_;
    parallel_for(threads, rows_, [&](std::int64_t begin, std::int64_t end) {
      if (dtype_ == DType::F32)
        loop<float>(arguments, static_cast<float*>(result), begin, end);
      else
        loop<bf16>(arguments, static_cast<bf16*>(result), begin, end);
    });
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return call_->scratch_bytes(); }
  [[nodiscard]] std::string implementation() const override { return call_->implementation() + " + loop"; }

 private:
  using Kind = pass::LibraryCall::Epilogue::Kind;
  [[nodiscard]] std::size_t first_addend() const {
    return static_cast<std::size_t>(std::count_if(epilogue_.begin(),
                                                  epilogue_.begin() + static_cast<std::ptrdiff_t>(first_),
                                                  [](const auto& e) { return e.kind != Kind::Relu; }));
  }
  template <class T>
  void loop(void* const* arguments, T* result, std::int64_t begin, std::int64_t end) const {
    for (std::int64_t r = begin; r < end; ++r) {
      T* row = result + r * columns_;
      std::size_t addend = 2 + first_addend();
      for (std::size_t e = first_; e < epilogue_.size(); ++e) {
        if (epilogue_[e].kind == Kind::Relu) {
          for (std::int64_t i = 0; i < columns_; ++i) row[i] = relu(row[i]);
        } else {
          const T* other =
              static_cast<const T*>(arguments[addend++]) + (epilogue_[e].kind == Kind::AddTensor ? r * columns_ : 0);
          for (std::int64_t i = 0; i < columns_; ++i)
            row[i] = T(static_cast<float>(row[i]) + static_cast<float>(other[i]));
        }
      }
    }
  }
  /// max(x, 0): NaN stays NaN, -0 becomes 0.
  template <class T>
  static T relu(T value) {
    const auto x = static_cast<float>(value);
    return T(x <= 0 ? 0.0F : x);
  }

  std::unique_ptr<Call> call_;
  std::vector<pass::LibraryCall::Epilogue> epilogue_;
  std::size_t first_;
  DType dtype_;
  std::size_t addends_;
  int threads_;
  std::int64_t rows_, columns_;
};

/// A view of a bias along dimension `along` of a result of `rank` dimensions.
View bias_view(DType dtype, std::size_t rank, std::size_t along, std::int64_t extent) {
  View view{dtype, Shape(rank, 1), std::vector<std::int64_t>(rank, extent)};
  view.dims[along] = extent;
  for (std::size_t d = along; d < rank; ++d) view.strides[d] = 1;
  return view;
}

}  // namespace

std::optional<onednn::Product> as_product(const ir::Node& node, std::span<const TensorType> operands,
                                          const TensorType& result) {
  const TensorType &lhs = operands[0], &rhs = operands[1];
  if (!known_types(lhs.dtype, rhs.dtype, result.dtype)) return std::nullopt;
  for (const TensorType* type : {&lhs, &rhs, &result})
    if (element_count(type->shape) == 0) return std::nullopt;
  const Integers& lhs_batch = node.attributes.integers("lhs_batching_dimensions");
  const Integers& rhs_batch = node.attributes.integers("rhs_batching_dimensions");
  Integers lhs_contract = node.attributes.integers("lhs_contracting_dimensions");
  Integers rhs_contract = node.attributes.integers("rhs_contracting_dimensions");
  const Integers lhs_strides = row_major_strides(lhs.shape), rhs_strides = row_major_strides(rhs.shape);
  const Integers result_strides = row_major_strides(result.shape);
  // Contracted dimensions may be taken in any order that suits both: the left one's order in memory.
  std::vector<std::size_t> order(lhs_contract.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return lhs_contract[a] < lhs_contract[b]; });
  Integers lhs_k, rhs_k;
  for (const std::size_t i : order) {
    lhs_k.push_back(lhs_contract[i]);
    rhs_k.push_back(rhs_contract[i]);
  }
  const Integers lhs_free = rest(lhs.shape.size(), lhs_batch, lhs_contract),
                 rhs_free = rest(rhs.shape.size(), rhs_batch, rhs_contract);
  const auto batches = static_cast<std::int64_t>(lhs_batch.size()), rows = static_cast<std::int64_t>(lhs_free.size());
  Integers result_m, result_n;
  for (std::int64_t d = 0; d < rows; ++d) result_m.push_back(batches + d);
  for (std::int64_t d = batches + rows; d < result.rank(); ++d) result_n.push_back(d);

  const auto m = merge(lhs.shape, lhs_strides, lhs_free), n = merge(rhs.shape, rhs_strides, rhs_free);
  const auto k_left = merge(lhs.shape, lhs_strides, lhs_k), k_right = merge(rhs.shape, rhs_strides, rhs_k);
  const auto m_out = merge(result.shape, result_strides, result_m),
             n_out = merge(result.shape, result_strides, result_n);
  if (!m || !n || !k_left || !k_right || !m_out || !n_out) return std::nullopt;

  // Batches: one merged dimension where possible, else each one.
  Integers out_batch(lhs_batch.size());
  std::iota(out_batch.begin(), out_batch.end(), 0);
  Shape dims;
  Integers lhs_outer, rhs_outer, out_outer;
  const auto b_left = merge(lhs.shape, lhs_strides, lhs_batch), b_right = merge(rhs.shape, rhs_strides, rhs_batch);
  if (b_left && b_right) {
    if (b_left->extent > 1) {
      const auto b_out = merge(result.shape, result_strides, out_batch);
      dims.push_back(b_left->extent);
      lhs_outer.push_back(b_left->stride);
      rhs_outer.push_back(b_right->stride);
      out_outer.push_back(b_out->stride);
    }
  } else {
    for (std::size_t d = 0; d < lhs_batch.size(); ++d) {
      if (result.shape[d] == 1) continue;
      dims.push_back(result.shape[d]);
      lhs_outer.push_back(lhs_strides[static_cast<std::size_t>(lhs_batch[d])]);
      rhs_outer.push_back(rhs_strides[static_cast<std::size_t>(rhs_batch[d])]);
      out_outer.push_back(result_strides[d]);
    }
  }
  if (dims.size() > 4) return std::nullopt;
  return onednn::Product{matrix(lhs.dtype, dims, lhs_outer, *m, *k_left),
                         matrix(rhs.dtype, dims, rhs_outer, *k_right, *n),
                         matrix(result.dtype, dims, out_outer, *m_out, *n_out)};
}

bool has_library_kernel(const ir::Graph& graph, const ir::Node& node) {
  const std::vector<TensorType> operands = graph.types(node.operands);
  if (node.op == ir::Op::CustomCall) return make_few_channel_call(node, operands, 1) != nullptr;
  const TensorType& result = graph.type(node.results[0]);
  double operations = 2.0 * static_cast<double>(element_count(result.shape));
  if (node.op == ir::Op::DotGeneral) {
    for (const std::int64_t d : node.attributes.integers("lhs_contracting_dimensions"))
      operations *= static_cast<double>(operands[0].shape[static_cast<std::size_t>(d)]);
    if (operations < kLeastOperations) return false;
    const auto product = as_product(node, operands, result);
    return product && onednn::supports(*product);
  }
  if (node.op == ir::Op::Convolution) {
    operations *= static_cast<double>(
        operands[1].shape[static_cast<std::size_t>(node.attributes.integer("kernel_input_feature_dimension"))]);
    for (const std::int64_t d : node.attributes.integers("kernel_spatial_dimensions"))
      operations *= static_cast<double>(operands[1].shape[static_cast<std::size_t>(d)]);
    if (operations < kLeastOperations) return false;
    const auto convolution = classify(node, operands, result);
    return convolution && onednn::supports(*convolution);
  }
  return false;
}

std::unique_ptr<Call> make_library_call(const pass::LibraryCall& call, int threads) {
  using Kind = pass::LibraryCall::Epilogue::Kind;
  const TensorType& result = call.result_type;
  if (auto made = make_few_channel_call(call.node, call.operand_types, threads)) return made;
  std::optional<onednn::Product> product;
  std::optional<onednn::Convolution> convolution;
  if (call.node.op == ir::Op::DotGeneral) product = as_product(call.node, call.operand_types, result);
  if (call.node.op == ir::Op::Convolution) convolution = classify(call.node, call.operand_types, result);
  if (!product && !convolution)
    throw Error(ErrorKind::Unsupported, std::string("no library kernel for ") + std::string(ir::name(call.node.op)) +
                                            " giving " + to_string(result));
  // The computed tensor's view, and its dimension that a bias goes along when it is the result's last one.
  const View& view = product                                                        ? product->result
                     : convolution->pass == onednn::Convolution::Pass::BackwardData ? convolution->source
                                                                                    : convolution->destination;
  const std::int64_t last = result.shape.empty() ? 1 : result.shape.back();
  std::size_t along = product ? view.dims.size() - 1 : 1;
  const bool has_bias_dimension = view.dims[along] == last && (last == 1 || view.strides[along] == 1);

  std::vector<Epilogue> fused;
  std::size_t addends = 0, first = 0;
  for (; first < call.epilogue.size(); ++first) {
    const Kind kind = call.epilogue[first].kind;
    // oneDNN's relu turns NaN into 0; the language keeps it.
    if (kind == Kind::Relu || (kind == Kind::AddBias && !has_bias_dimension)) break;
    fused.push_back({Epilogue::Kind::Add, kind == Kind::AddBias ? bias_view(result.dtype, view.dims.size(), along, last)
                                                                : View{result.dtype, view.dims, view.strides}});
  }
  for (const auto& e : call.epilogue) addends += e.kind != Kind::Relu ? 1 : 0;

  std::unique_ptr<Call> made;
  with_team(threads, [&] {
    const auto make = [&] {
      return product ? onednn::make_call(*product, fused) : onednn::make_call(*convolution, fused);
    };
    made = make();
    if (made == nullptr && !fused.empty()) {
      fused.clear();
      first = 0;
      made = make();
    }
  });
  if (made == nullptr)
    throw Error(ErrorKind::Unsupported, std::string("oneDNN has no fast kernel for ") +
                                            std::string(ir::name(call.node.op)) + " giving " + to_string(result) +
                                            " on this processor");
  if (first == call.epilogue.size()) return made;
  return std::make_unique<Followed>(std::move(made), call.epilogue, first, result, addends, threads);
}

}  // namespace tessera::cpu
