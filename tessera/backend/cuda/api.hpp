// What Tessera uses of NVIDIA's driver and of NVRTC, in declarations of its own: the library is built without the
// vendor's headers, and meets the libraries at run time. tests/cuda_api_test.cpp compares this with the headers where
// they are present. Names with _v2 are those that the driver exports under them, in 12.x and 13.x alike.
// Read next: backend/cuda/library.hpp (how they are found), backend/cuda/device.hpp (what uses them).
#pragma once

#include <cstddef>

namespace tessera::cuda {

using DevicePointer = unsigned long long;
using Context = struct ContextHandle*;
using Module = struct ModuleHandle*;
using Function = struct FunctionHandle*;
using Stream = struct StreamHandle*;
using Event = struct EventHandle*;
using Graph = struct GraphHandle*;
using GraphExec = struct GraphExecHandle*;
using NvrtcProgram = struct NvrtcProgramHandle*;

// Of the driver's results, those that are told apart here; NVRTC's success is 0 as well.
constexpr int kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100;
// Attributes of a device. The memory's clock is in kHz, its bus in bits.
constexpr int kMultiprocessors = 16, kMemoryClock = 36, kMemoryBusWidth = 37, kCapabilityMajor = 75,
              kCapabilityMinor = 76;
constexpr unsigned kStreamNonBlocking = 1, kEventDisableTiming = 2;
constexpr int kCaptureThreadLocal = 1;

/// X(member, exported name, parameter types). Each returns a result.
#define TESSERA_CUDA_DRIVER(X)                                                                                      \
  X(init, cuInit, unsigned)                                                                                         \
  X(driver_version, cuDriverGetVersion, int*)                                                                       \
  X(error_name, cuGetErrorName, int, const char**)                                                                  \
  X(error_string, cuGetErrorString, int, const char**)                                                              \
  X(device_count, cuDeviceGetCount, int*)                                                                           \
  X(device_get, cuDeviceGet, int*, int)                                                                             \
  X(device_name, cuDeviceGetName, char*, int, int)                                                                  \
  X(device_memory, cuDeviceTotalMem_v2, std::size_t*, int)                                                          \
  X(device_attribute, cuDeviceGetAttribute, int*, int, int)                                                         \
  X(context_retain, cuDevicePrimaryCtxRetain, Context*, int)                                                        \
  X(context_release, cuDevicePrimaryCtxRelease_v2, int)                                                             \
  X(context_set, cuCtxSetCurrent, Context)                                                                          \
  X(memory_info, cuMemGetInfo_v2, std::size_t*, std::size_t*)                                                       \
  X(allocate, cuMemAlloc_v2, DevicePointer*, std::size_t)                                                           \
  X(release, cuMemFree_v2, DevicePointer)                                                                           \
  X(allocate_pinned, cuMemHostAlloc, void**, std::size_t, unsigned)                                                 \
  X(release_pinned, cuMemFreeHost, void*)                                                                           \
  X(upload, cuMemcpyHtoDAsync_v2, DevicePointer, const void*, std::size_t, Stream)                                  \
  X(download, cuMemcpyDtoHAsync_v2, void*, DevicePointer, std::size_t, Stream)                                      \
  X(copy, cuMemcpyDtoDAsync_v2, DevicePointer, DevicePointer, std::size_t, Stream)                                  \
  X(stream_create, cuStreamCreate, Stream*, unsigned)                                                               \
  X(stream_destroy, cuStreamDestroy_v2, Stream)                                                                     \
  X(stream_synchronize, cuStreamSynchronize, Stream)                                                                \
  X(capture_begin, cuStreamBeginCapture_v2, Stream, int)                                                            \
  X(capture_end, cuStreamEndCapture, Stream, Graph*)                                                                \
  X(event_create, cuEventCreate, Event*, unsigned)                                                                  \
  X(event_destroy, cuEventDestroy_v2, Event)                                                                        \
  X(event_record, cuEventRecord, Event, Stream)                                                                     \
  X(event_synchronize, cuEventSynchronize, Event)                                                                   \
  X(event_elapsed, cuEventElapsedTime, float*, Event, Event)                                                        \
  X(module_load, cuModuleLoadData, Module*, const void*)                                                            \
  X(module_unload, cuModuleUnload, Module)                                                                          \
  X(module_function, cuModuleGetFunction, Function*, Module, const char*)                                           \
  X(launch, cuLaunchKernel, Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, \
    void**, void**)                                                                                                 \
  X(graph_instantiate, cuGraphInstantiateWithFlags, GraphExec*, Graph, unsigned long long)                          \
  X(graph_destroy, cuGraphDestroy, Graph)                                                                           \
  X(graph_launch, cuGraphLaunch, GraphExec, Stream)                                                                 \
  X(graph_exec_destroy, cuGraphExecDestroy, GraphExec)

#define TESSERA_CUDA_NVRTC(X)                                                                                         \
  X(version, nvrtcVersion, int*, int*)                                                                                \
  X(architecture_count, nvrtcGetNumSupportedArchs, int*)                                                              \
  X(architectures, nvrtcGetSupportedArchs, int*)                                                                      \
  X(create, nvrtcCreateProgram, NvrtcProgram*, const char*, const char*, int, const char* const*, const char* const*) \
  X(destroy, nvrtcDestroyProgram, NvrtcProgram*)                                                                      \
  X(compile, nvrtcCompileProgram, NvrtcProgram, int, const char* const*)                                              \
  X(log_size, nvrtcGetProgramLogSize, NvrtcProgram, std::size_t*)                                                     \
  X(log, nvrtcGetProgramLog, NvrtcProgram, char*)                                                                     \
  X(cubin_size, nvrtcGetCUBINSize, NvrtcProgram, std::size_t*)                                                        \
  X(cubin, nvrtcGetCUBIN, NvrtcProgram, char*)

#define TESSERA_CUDA_MEMBER(member, symbol, ...) int (*member)(__VA_ARGS__) = nullptr;
/// The driver's functions (libcuda). A table, so that a test may fill it with its own.
struct Driver {
  TESSERA_CUDA_DRIVER(TESSERA_CUDA_MEMBER)
};
/// The run-time compiler's functions (libnvrtc).
struct Nvrtc {
  TESSERA_CUDA_NVRTC(TESSERA_CUDA_MEMBER)
};
#undef TESSERA_CUDA_MEMBER

}  // namespace tessera::cuda
