// From forms of nodes to oneDNN's calls, and the choice of what oneDNN fuses.
#include "tessera/backend/cpu/library.hpp"

#include <algorithm>

#include "tessera/backend/cpu/team.hpp"

namespace tessera::cpu {
namespace {

using onednn::Epilogue;
using pass::View;

/// Below this a call costs more than the loops it replaces.
constexpr double kLeastOperations = 4096;

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
  void run(void* const* arguments, const Workspace& work) override {
    void* const result = arguments[2 + addends_];
    call_->run(inner(arguments).data(), work);
    const int threads = rows_ * columns_ < 16384 ? 1 : threads_;
    parallel_for(threads, rows_, [&](std::int64_t begin, std::int64_t end) {
      if (dtype_ == DType::F32)
        loop<float>(arguments, static_cast<float*>(result), begin, end);
      else
        loop<bf16>(arguments, static_cast<bf16*>(result), begin, end);
    });
  }
  void prepare(void* const* arguments, const Workspace& work) override {
    call_->prepare(inner(arguments).data(), work);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return call_->scratch_bytes(); }
  [[nodiscard]] std::size_t kept_bytes() const override { return call_->kept_bytes(); }
  [[nodiscard]] std::string implementation() const override { return call_->implementation() + " + loop"; }

 private:
  using Kind = pass::LibraryCall::Epilogue::Kind;
  /// The inner call sees only its own addends before the result.
  [[nodiscard]] std::vector<void*> inner(void* const* arguments) const {
    std::vector<void*> list(arguments, arguments + 2 + first_addend());
    list.push_back(arguments[2 + addends_]);
    return list;
  }
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

std::optional<pass::Product> as_product(const ir::Node& node, std::span<const TensorType> operands,
                                        const TensorType& result) {
  if (!known_types(operands[0].dtype, operands[1].dtype, result.dtype)) return std::nullopt;
  return pass::as_product(node, operands, result);
}

std::optional<pass::Convolution> as_convolution(const ir::Node& node, std::span<const TensorType> operands,
                                                const TensorType& result) {
  if (!known_types(operands[0].dtype, operands[1].dtype, result.dtype)) return std::nullopt;
  return pass::as_convolution(node, operands, result);
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
    const auto convolution = as_convolution(node, operands, result);
    return convolution && onednn::supports(*convolution);
  }
  return false;
}

std::unique_ptr<Call> make_library_call(const pass::LibraryCall& call, int threads, std::int64_t runs) {
  using Kind = pass::LibraryCall::Epilogue::Kind;
  const TensorType& result = call.result_type;
  if (auto made = make_few_channel_call(call.node, call.operand_types, threads)) return made;
  std::optional<pass::Product> product;
  std::optional<pass::Convolution> convolution;
  if (call.node.op == ir::Op::DotGeneral) product = as_product(call.node, call.operand_types, result);
  if (call.node.op == ir::Op::Convolution) convolution = as_convolution(call.node, call.operand_types, result);
  if (!product && !convolution)
    throw Error(ErrorKind::Unsupported, std::string("no library kernel for ") + std::string(ir::name(call.node.op)) +
                                            " giving " + to_string(result));
  // The computed tensor's view, and its dimension that a bias goes along when it is the result's last one.
  const View& view = product                                                      ? product->result
                     : convolution->pass == pass::Convolution::Pass::BackwardData ? convolution->source
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
      return product ? onednn::make_call(*product, fused, runs) : onednn::make_call(*convolution, fused);
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
