// What Tessera uses of cuBLASLt (12 and 13), in declarations of its own. tests/cuda_library_api_test.cpp compares this
// with the vendor's headers where they are present. Read next: backend/cuda/cublaslt.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/backend/cuda/api.hpp"

namespace tessera::cuda::lt {

using Handle = struct CublasLtOpaque*;
using Operation = struct OperationOpaque*;    ///< cublasLtMatmulDesc_t
using Layout = struct LayoutOpaque*;          ///< cublasLtMatrixLayout_t: column-major
using Preference = struct PreferenceOpaque*;  ///< cublasLtMatmulPreference_t

/// May be kept as bytes and used again with the same version of the library.
struct Algorithm {
  std::uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  std::size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

enum Status : int { kSuccess = 0 };
enum DataType : int { kR32F = 0, kR64F = 1, kR16F = 2, kR16BF = 14 };
enum Compute : int { kCompute32F = 68, kCompute64F = 70, kCompute32FFastTF32 = 77 };
enum Transpose : int { kNo = 0, kYes = 1 };
enum EpilogueKind : int { kEpilogueDefault = 1, kEpilogueBias = 4 };
enum OperationAttribute : int {
  kTransposeA = 3,
  kTransposeB = 4,
  kEpilogue = 7,
  kBiasPointer = 8,
  kBiasType = 26,
};
enum LayoutAttribute : int { kBatchCount = 5, kBatchOffset = 6 };
enum PreferenceAttribute : int {
  kMaxWorkspace = 1,
  kReductionMask = 3,
  kAlignmentA = 5,
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8,
};
/// Partial sums of a split K are added in the type that computes, in an order that is always the same.
constexpr std::uint32_t kReduceInComputeType = 2;

/// X(member, exported name, parameter types). Each returns a status, but for the version.
#define TESSERA_CUBLASLT(X)                                                                                          \
  X(create, cublasLtCreate, Handle*)                                                                                 \
  X(destroy, cublasLtDestroy, Handle)                                                                                \
  X(operation_create, cublasLtMatmulDescCreate, Operation*, int, int)                                                \
  X(operation_destroy, cublasLtMatmulDescDestroy, Operation)                                                         \
  X(operation_set, cublasLtMatmulDescSetAttribute, Operation, int, const void*, std::size_t)                         \
  X(layout_create, cublasLtMatrixLayoutCreate, Layout*, int, std::uint64_t, std::uint64_t, std::int64_t)             \
  X(layout_destroy, cublasLtMatrixLayoutDestroy, Layout)                                                             \
  X(layout_set, cublasLtMatrixLayoutSetAttribute, Layout, int, const void*, std::size_t)                             \
  X(preference_create, cublasLtMatmulPreferenceCreate, Preference*)                                                  \
  X(preference_destroy, cublasLtMatmulPreferenceDestroy, Preference)                                                 \
  X(preference_set, cublasLtMatmulPreferenceSetAttribute, Preference, int, const void*, std::size_t)                 \
  X(heuristic, cublasLtMatmulAlgoGetHeuristic, Handle, Operation, Layout, Layout, Layout, Layout, Preference, int,   \
    Heuristic*, int*)                                                                                                \
  X(check, cublasLtMatmulAlgoCheck, Handle, Operation, Layout, Layout, Layout, Layout, const Algorithm*, Heuristic*) \
  X(multiply, cublasLtMatmul, Handle, Operation, const void*, const void*, Layout, const void*, Layout, const void*, \
    const void*, Layout, void*, Layout, const Algorithm*, void*, std::size_t, Stream)

#define TESSERA_CUDA_MEMBER(member, symbol, ...) int (*member)(__VA_ARGS__) = nullptr;
/// The library's functions. A table, so that a test may fill it with its own.
struct Api {
  TESSERA_CUBLASLT(TESSERA_CUDA_MEMBER)
  std::size_t (*version)() = nullptr;                  ///< cublasLtGetVersion
  const char* (*status_string)(int status) = nullptr;  ///< cublasLtGetStatusString
};
#undef TESSERA_CUDA_MEMBER

}  // namespace tessera::cuda::lt
