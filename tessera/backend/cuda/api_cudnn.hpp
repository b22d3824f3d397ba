// What Tessera uses of cuDNN 9's backend API (operation graphs of descriptors), in declarations of its own.
// tests/cuda_library_api_test.cpp compares this with the vendor's headers where they are present. Read next:
// backend/cuda/cudnn.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/backend/cuda/api.hpp"

namespace tessera::cuda::dnn {

using Handle = struct CudnnOpaque*;
using Descriptor = void*;

enum Status : int { kSuccess = 0 };
enum DataType : int { kFloat = 0, kDouble = 1, kHalf = 2, kBFloat16 = 9 };
enum ConvolutionMode : int { kCrossCorrelation = 1 };
enum PointwiseMode : int { kAdd = 0, kIdentity = 21, kRelu = 100 };
enum HeuristicMode : int { kFallback = 2, kModeA = 3 };
/// What an engine does to numbers.
enum NumericalNote : int {
  kTensorCore = 0,
  kDownConvertInputs = 1,
  kReducedPrecisionReduction = 2,
  kFft = 3,
  kNondeterministic = 4,
  kWinograd = 5,
  kWinograd4x4 = 6,
  kWinograd6x6 = 7,
  kWinograd13x13 = 8,
};
enum BehaviorNote : int { kRuntimeCompilation = 0 };
enum DescriptorType : int {
  kPointwise = 0,
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kEngineHeuristic = 4,
  kExecutionPlan = 5,
  kKnobChoice = 7,
  kConvolutionForward = 10,
  kConvolutionBackwardFilter = 11,
  kConvolutionBackwardData = 12,
  kOperationPointwise = 13,
  kOperationGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
  kDeviceProperties = 38,
};
/// The type of an attribute's elements.
enum AttributeType : int {
  kTypeHandle = 0,
  kTypeDataType = 1,
  kTypeBoolean = 2,
  kTypeInt64 = 3,
  kTypeFloat = 4,
  kTypeDouble = 5,
  kTypePointer = 6,
  kTypeConvolutionMode = 7,
  kTypeHeuristicMode = 8,
  kTypeKnob = 9,
  kTypeNanPropagation = 10,
  kTypeNumericalNote = 11,
  kTypePointwiseMode = 14,
  kTypeDescriptor = 15,
  kTypeBehaviorNote = 19,
  kTypeChar = 24,
};
enum Attribute : int {
  kPointwiseMode = 0,
  kPointwisePrecision = 1,
  kPointwiseNanPropagation = 2,
  kConvolutionPrecision = 100,
  kConvolutionMode = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPostPaddings = 104,
  kConvolutionPrePaddings = 105,
  kConvolutionSpatialDimensions = 106,
  kHeuristicMode = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kHeuristicDevice = 204,
  kConfigEngine = 300,
  kConfigKnobChoices = 302,
  kPlanHandle = 400,
  kPlanConfig = 401,
  kPlanWorkspace = 402,
  kPlanDevice = 407,
  kKnobChoiceType = 600,
  kKnobChoiceValue = 601,
  // Of the three operations: alpha, beta, the convolution, weights, then source and destination.
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardWeights = 703,
  kForwardSource = 704,
  kForwardDestination = 705,
  kBackwardDataAlpha = 706,
  kBackwardDataBeta = 707,
  kBackwardDataConvolution = 708,
  kBackwardDataWeights = 709,
  kBackwardDataSource = 710,
  kBackwardDataDestination = 711,
  kBackwardFilterAlpha = 712,
  kBackwardFilterBeta = 713,
  kBackwardFilterConvolution = 714,
  kBackwardFilterWeights = 715,
  kBackwardFilterSource = 716,
  kBackwardFilterDestination = 717,
  kPointwiseDescriptor = 750,
  kPointwiseX = 751,
  kPointwiseB = 752,
  kPointwiseY = 753,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorType = 901,
  kTensorDimensions = 902,
  kTensorStrides = 903,
  kTensorId = 906,
  kTensorIsVirtual = 907,
  kPackIds = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kEngineGraph = 1300,
  kEngineIndex = 1301,
  kEngineNumericalNotes = 1303,
  kEngineBehaviorNotes = 1305,
  kEngineDevice = 1307,
  kDeviceText = 2702,
};

/// X(member, exported name, parameter types). Each returns a status.
#define TESSERA_CUDNN(X)                                                                     \
  X(create, cudnnCreate, Handle*)                                                            \
  X(destroy, cudnnDestroy, Handle)                                                           \
  X(set_stream, cudnnSetStream, Handle, Stream)                                              \
  X(descriptor_create, cudnnBackendCreateDescriptor, int, Descriptor*)                       \
  X(descriptor_destroy, cudnnBackendDestroyDescriptor, Descriptor)                           \
  X(finalize, cudnnBackendFinalize, Descriptor)                                              \
  X(set, cudnnBackendSetAttribute, Descriptor, int, int, std::int64_t, const void*)          \
  X(get, cudnnBackendGetAttribute, Descriptor, int, int, std::int64_t, std::int64_t*, void*) \
  X(execute, cudnnBackendExecute, Handle, Descriptor, Descriptor)

#define TESSERA_CUDA_MEMBER(member, symbol, ...) int (*member)(__VA_ARGS__) = nullptr;
/// The library's functions. A table, so that a test may fill it with its own.
struct Api {
  TESSERA_CUDNN(TESSERA_CUDA_MEMBER)
  std::size_t (*version)() = nullptr;                          ///< cudnnGetVersion
  const char* (*error_string)(int status) = nullptr;           ///< cudnnGetErrorString
  void (*last_error)(char* text, std::size_t size) = nullptr;  ///< cudnnGetLastErrorString
};
#undef TESSERA_CUDA_MEMBER

}  // namespace tessera::cuda::dnn
