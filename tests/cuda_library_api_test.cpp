// Our declarations of cuBLASLt and of cuDNN against the vendor's headers, where those are present.
#include <gtest/gtest.h>

#include <type_traits>

#include "tessera/backend/cuda/api_cublaslt.hpp"
#include "tessera/backend/cuda/api_cudnn.hpp"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#define HAVE_CUBLASLT_HEADER 1
#endif
#if __has_include(<cudnn_graph.h>)
#include <cudnn_graph.h>
#define HAVE_CUDNN_HEADER 1
#endif

namespace tessera::cuda {
namespace {

/// Handles and enums have other names there: a parameter is the same when it has the size and the kind.
template <class Ours, class Theirs>
[[maybe_unused]] constexpr bool same_word() {
  constexpr auto kind = []<class T>(std::type_identity<T>) {
    return std::is_pointer_v<T> ? 0 : std::is_floating_point_v<T> ? 1 : 2;
  };
  if constexpr (std::is_void_v<Ours>)
    return std::is_void_v<Theirs>;
  else
    // NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers, too
    return sizeof(Ours) == sizeof(Theirs) && kind(std::type_identity<Ours>{}) == kind(std::type_identity<Theirs>{});
}
template <class R, class... A, class S, class... B>
[[maybe_unused]] constexpr bool same(R (*)(A...), S (*)(B...)) {
  if constexpr (sizeof...(A) != sizeof...(B))
    return false;
  else
    return same_word<R, S>() && (same_word<A, B>() && ...);
}

#define COMPARE(member, symbol, ...) \
  static_assert(same(decltype(Api::member){}, decltype(&::symbol){}), "differs: " #member);
#define EQUAL(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs), #ours);

#ifdef HAVE_CUBLASLT_HEADER

}  // namespace
namespace lt {
TESSERA_CUBLASLT(COMPARE)
COMPARE(version, cublasLtGetVersion)
COMPARE(status_string, cublasLtGetStatusString)
static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(Heuristic, algorithm) == offsetof(cublasLtMatmulHeuristicResult_t, algo));
static_assert(offsetof(Heuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(Heuristic, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));
EQUAL(kSuccess, CUBLAS_STATUS_SUCCESS)
EQUAL(kR32F, CUDA_R_32F)
EQUAL(kR64F, CUDA_R_64F)
EQUAL(kR16F, CUDA_R_16F)
EQUAL(kR16BF, CUDA_R_16BF)
EQUAL(kCompute32F, CUBLAS_COMPUTE_32F)
EQUAL(kCompute64F, CUBLAS_COMPUTE_64F)
EQUAL(kCompute32FFastTF32, CUBLAS_COMPUTE_32F_FAST_TF32)
EQUAL(kNo, CUBLAS_OP_N)
EQUAL(kYes, CUBLAS_OP_T)
EQUAL(kEpilogueDefault, CUBLASLT_EPILOGUE_DEFAULT)
EQUAL(kEpilogueBias, CUBLASLT_EPILOGUE_BIAS)
EQUAL(kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA)
EQUAL(kTransposeB, CUBLASLT_MATMUL_DESC_TRANSB)
EQUAL(kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE)
EQUAL(kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER)
EQUAL(kBiasType, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE)
EQUAL(kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
EQUAL(kBatchOffset, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
EQUAL(kMaxWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
EQUAL(kReductionMask, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
EQUAL(kAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES)
EQUAL(kAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES)
EQUAL(kAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES)
EQUAL(kAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
EQUAL(kReduceInComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
}  // namespace lt
namespace {

TEST(CudaLibraryApi, CublasLtAgreesWithTheHeader) { SUCCEED() << "compared when this file is compiled"; }

#else

TEST(CudaLibraryApi, CublasLtAgreesWithTheHeader) { GTEST_SKIP() << "no cublasLt.h on this machine"; }

#endif

#ifdef HAVE_CUDNN_HEADER

}  // namespace
namespace dnn {
TESSERA_CUDNN(COMPARE)
COMPARE(version, cudnnGetVersion)
COMPARE(error_string, cudnnGetErrorString)
COMPARE(last_error, cudnnGetLastErrorString)
static_assert(sizeof(Descriptor) == sizeof(cudnnBackendDescriptor_t));
static_assert(sizeof(int) == sizeof(cudnnDataType_t) && sizeof(int) == sizeof(cudnnBackendNumericalNote_t) &&
              sizeof(int) == sizeof(cudnnBackendKnobType_t) && sizeof(int) == sizeof(cudnnNanPropagation_t));
EQUAL(kSuccess, CUDNN_STATUS_SUCCESS)
EQUAL(kFloat, CUDNN_DATA_FLOAT)
EQUAL(kDouble, CUDNN_DATA_DOUBLE)
EQUAL(kHalf, CUDNN_DATA_HALF)
EQUAL(kBFloat16, CUDNN_DATA_BFLOAT16)
EQUAL(kCrossCorrelation, CUDNN_CROSS_CORRELATION)
EQUAL(kAdd, CUDNN_POINTWISE_ADD)
EQUAL(kIdentity, CUDNN_POINTWISE_IDENTITY)
EQUAL(kRelu, CUDNN_POINTWISE_RELU_FWD)
EQUAL(kFallback, CUDNN_HEUR_MODE_FALLBACK)
EQUAL(kModeA, CUDNN_HEUR_MODE_A)
EQUAL(kTensorCore, CUDNN_NUMERICAL_NOTE_TENSOR_CORE)
EQUAL(kDownConvertInputs, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)
EQUAL(kReducedPrecisionReduction, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
EQUAL(kFft, CUDNN_NUMERICAL_NOTE_FFT)
EQUAL(kNondeterministic, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
EQUAL(kWinograd, CUDNN_NUMERICAL_NOTE_WINOGRAD)
EQUAL(kWinograd4x4, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4)
EQUAL(kWinograd6x6, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6)
EQUAL(kWinograd13x13, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13)
EQUAL(kRuntimeCompilation, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)
EQUAL(kPointwise, CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
EQUAL(kConvolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
EQUAL(kEngine, CUDNN_BACKEND_ENGINE_DESCRIPTOR)
EQUAL(kEngineConfig, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
EQUAL(kEngineHeuristic, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
EQUAL(kExecutionPlan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
EQUAL(kKnobChoice, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)
EQUAL(kConvolutionForward, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
EQUAL(kConvolutionBackwardFilter, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
EQUAL(kConvolutionBackwardData, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
EQUAL(kOperationPointwise, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
EQUAL(kOperationGraph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
EQUAL(kVariantPack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
EQUAL(kTensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR)
EQUAL(kTypeHandle, CUDNN_TYPE_HANDLE)
EQUAL(kTypeDataType, CUDNN_TYPE_DATA_TYPE)
EQUAL(kTypeBoolean, CUDNN_TYPE_BOOLEAN)
EQUAL(kTypeInt64, CUDNN_TYPE_INT64)
EQUAL(kTypeFloat, CUDNN_TYPE_FLOAT)
EQUAL(kTypeDouble, CUDNN_TYPE_DOUBLE)
EQUAL(kTypePointer, CUDNN_TYPE_VOID_PTR)
EQUAL(kTypeConvolutionMode, CUDNN_TYPE_CONVOLUTION_MODE)
EQUAL(kTypeHeuristicMode, CUDNN_TYPE_HEUR_MODE)
EQUAL(kTypeKnob, CUDNN_TYPE_KNOB_TYPE)
EQUAL(kTypeNanPropagation, CUDNN_TYPE_NAN_PROPOGATION)
EQUAL(kTypeNumericalNote, CUDNN_TYPE_NUMERICAL_NOTE)
EQUAL(kTypePointwiseMode, CUDNN_TYPE_POINTWISE_MODE)
EQUAL(kTypeDescriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR)
EQUAL(kTypeBehaviorNote, CUDNN_TYPE_BEHAVIOR_NOTE)
EQUAL(kTypeChar, CUDNN_TYPE_CHAR)
EQUAL(kPointwiseMode, CUDNN_ATTR_POINTWISE_MODE)
EQUAL(kPointwisePrecision, CUDNN_ATTR_POINTWISE_MATH_PREC)
EQUAL(kPointwiseNanPropagation, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION)
EQUAL(kConvolutionPrecision, CUDNN_ATTR_CONVOLUTION_COMP_TYPE)
EQUAL(kConvolutionMode, CUDNN_ATTR_CONVOLUTION_CONV_MODE)
EQUAL(kConvolutionDilations, CUDNN_ATTR_CONVOLUTION_DILATIONS)
EQUAL(kConvolutionStrides, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)
EQUAL(kConvolutionPostPaddings, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS)
EQUAL(kConvolutionPrePaddings, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)
EQUAL(kConvolutionSpatialDimensions, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS)
EQUAL(kHeuristicMode, CUDNN_ATTR_ENGINEHEUR_MODE)
EQUAL(kHeuristicGraph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)
EQUAL(kHeuristicResults, CUDNN_ATTR_ENGINEHEUR_RESULTS)
EQUAL(kConfigEngine, CUDNN_ATTR_ENGINECFG_ENGINE)
EQUAL(kConfigKnobChoices, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES)
EQUAL(kPlanHandle, CUDNN_ATTR_EXECUTION_PLAN_HANDLE)
EQUAL(kPlanConfig, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)
EQUAL(kPlanWorkspace, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)
EQUAL(kKnobChoiceType, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE)
EQUAL(kKnobChoiceValue, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE)
EQUAL(kForwardAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA)
EQUAL(kForwardBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA)
EQUAL(kForwardConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC)
EQUAL(kForwardWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W)
EQUAL(kForwardSource, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X)
EQUAL(kForwardDestination, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y)
EQUAL(kBackwardDataAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA)
EQUAL(kBackwardDataBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA)
EQUAL(kBackwardDataConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC)
EQUAL(kBackwardDataWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W)
EQUAL(kBackwardDataSource, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX)
EQUAL(kBackwardDataDestination, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY)
EQUAL(kBackwardFilterAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA)
EQUAL(kBackwardFilterBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA)
EQUAL(kBackwardFilterConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC)
EQUAL(kBackwardFilterWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW)
EQUAL(kBackwardFilterSource, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X)
EQUAL(kBackwardFilterDestination, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY)
EQUAL(kPointwiseDescriptor, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)
EQUAL(kPointwiseX, CUDNN_ATTR_OPERATION_POINTWISE_XDESC)
EQUAL(kPointwiseB, CUDNN_ATTR_OPERATION_POINTWISE_BDESC)
EQUAL(kPointwiseY, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)
EQUAL(kGraphHandle, CUDNN_ATTR_OPERATIONGRAPH_HANDLE)
EQUAL(kGraphOperations, CUDNN_ATTR_OPERATIONGRAPH_OPS)
EQUAL(kTensorAlignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)
EQUAL(kTensorType, CUDNN_ATTR_TENSOR_DATA_TYPE)
EQUAL(kTensorDimensions, CUDNN_ATTR_TENSOR_DIMENSIONS)
EQUAL(kTensorStrides, CUDNN_ATTR_TENSOR_STRIDES)
EQUAL(kTensorId, CUDNN_ATTR_TENSOR_UNIQUE_ID)
EQUAL(kTensorIsVirtual, CUDNN_ATTR_TENSOR_IS_VIRTUAL)
EQUAL(kPackIds, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)
EQUAL(kPackPointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)
EQUAL(kPackWorkspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)
EQUAL(kEngineGraph, CUDNN_ATTR_ENGINE_OPERATION_GRAPH)
EQUAL(kEngineIndex, CUDNN_ATTR_ENGINE_GLOBAL_INDEX)
EQUAL(kEngineNumericalNotes, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE)
EQUAL(kEngineBehaviorNotes, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE)
#if CUDNN_VERSION >= 90800  // descriptions of devices
EQUAL(kDeviceProperties, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
EQUAL(kHeuristicDevice, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)
EQUAL(kPlanDevice, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP)
EQUAL(kEngineDevice, CUDNN_ATTR_ENGINE_DEVICEPROP)
EQUAL(kDeviceText, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION)
#endif
}  // namespace dnn
namespace {

TEST(CudaLibraryApi, CudnnAgreesWithTheHeader) { SUCCEED() << "compared when this file is compiled"; }

#else

TEST(CudaLibraryApi, CudnnAgreesWithTheHeader) { GTEST_SKIP() << "no cudnn_graph.h on this machine"; }

#endif

}  // namespace
}  // namespace tessera::cuda
