// The functions of the fake driver.
#include "fake_gpu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "kernel_interpreter.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/literal.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera::testing {
namespace {

using cuda::DevicePointer;

constexpr int kInvalid = 1, kCaptureUnsupported = 900;

struct Operation {
  std::string text;
  std::function<void()> run;
};
using Operations = std::vector<Operation>;
struct FakeEvent {
  std::uint64_t at = 0;
};
struct FakeFunction {
  kernel::Kernel kernel;
};
using FakeModule = std::map<std::string, FakeFunction>;

FakeGpu gpu;
std::recursive_mutex mutex;
std::map<DevicePointer, std::size_t> live;
std::deque<Operation> waiting;
std::uint64_t enqueued = 0, executed = 0;
std::optional<Operations> recording;
int sticky = 0;
std::map<std::string, std::vector<std::pair<std::string, kernel::Kernel>>> compiled;

template <class Handle, class T>
Handle handle(T* object) {
  ++gpu.handles;
  return reinterpret_cast<Handle>(object);
}
template <class T, class Handle>
T* object(Handle h) {
  return reinterpret_cast<T*>(h);
}
template <class T, class Handle>
int destroy(Handle h) {
  --gpu.handles;
  delete object<T>(h);
  return 0;
}

void violation(const std::string& what) { gpu.violations.push_back(what); }

/// Notes a call that a stream does not record. While recording it is illegal.
int now(const std::string& text) {
  gpu.calls.push_back(text);
  if (!recording) return sticky;
  violation(text + " while a graph is recorded");
  return kCaptureUnsupported;
}

int enqueue(std::string text, std::function<void()> run) {
  gpu.calls.push_back(text);
  if (sticky != 0) return sticky;
  if (recording) {
    recording->push_back({std::move(text), std::move(run)});
    return 0;
  }
  waiting.push_back({std::move(text), std::move(run)});
  ++enqueued;
  return 0;
}

int run_until(std::uint64_t count) {
  while (sticky == 0 && executed < count && !waiting.empty()) {
    const Operation operation = std::move(waiting.front());
    waiting.pop_front();
    ++executed;
    operation.run();
  }
  return sticky;
}

/// Bytes from `address` to the end of its block of live memory; 0 outside.
std::size_t room(DevicePointer address) {
  auto next = live.upper_bound(address);
  if (next == live.begin()) return 0;
  --next;
  return address < next->first + next->second ? next->first + next->second - address : 0;
}

void need(DevicePointer address, std::size_t bytes, const std::string& what) {
  if (room(address) < bytes)
    violation(fmt::format("{}: {} bytes at an address that has {}", what, bytes, room(address)));
}

std::byte* at(DevicePointer address) { return reinterpret_cast<std::byte*>(address); }

std::size_t bytes_of(const kernel::Argument& argument) {
  return static_cast<std::size_t>(argument.count) * size_of(argument.dtype);
}

void run_kernel(const kernel::Kernel& kernel, const std::vector<void*>& arguments) {
  if (gpu.kernels_left == 0) {
    gpu.kernels_left = -1;
    sticky = gpu.error;
    return;
  }
  if (gpu.kernels_left > 0) --gpu.kernels_left;
  if (!gpu.broken_kernel.empty() && kernel.name.starts_with(gpu.broken_kernel)) {
    sticky = gpu.error;
    return;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const kernel::Argument& a = kernel.arguments[i];
    const auto begin = reinterpret_cast<DevicePointer>(arguments[i]);
    need(begin, bytes_of(a), "argument " + a.name + " of " + kernel.name);
    if (begin % 16 != 0) violation("argument " + a.name + " of " + kernel.name + " is not aligned");
    for (std::size_t j = 0; j < arguments.size(); ++j) {
      const auto other = reinterpret_cast<DevicePointer>(arguments[j]);
      if (i != j && a.written && begin != other && begin < other + bytes_of(kernel.arguments[j]) &&
          other < begin + bytes_of(a))
        violation("arguments " + a.name + " and " + kernel.arguments[j].name + " of " + kernel.name + " overlap");
    }
  }
  if (gpu.violations.empty()) KernelInterpreter(kernel, arguments).run();
}

cuda::Driver make_driver() {
  cuda::Driver d;
  d.init = [](unsigned) { return 0; };
  d.driver_version = [](int* version) {
    *version = 13000;
    return 0;
  };
  d.error_name = [](int error, const char** name) {
    *name = error == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_OTHER";
    return 0;
  };
  d.error_string = [](int error, const char** text) {
    *text = error == 700 ? "an illegal memory access was encountered" : "something went wrong";
    return 0;
  };
  d.device_count = [](int* count) {
    *count = 1;
    return 0;
  };
  d.device_get = [](int* device, int) {
    *device = 5;
    return 0;
  };
  d.device_name = [](char* name, int size, int) {
    std::strncpy(name, "Fake GPU", static_cast<std::size_t>(size));
    return 0;
  };
  d.device_memory = [](std::size_t* bytes, int) {
    *bytes = gpu.memory;
    return 0;
  };
  d.device_attribute = [](int* value, int attribute, int) {
    *value = attribute == cuda::kMultiprocessors   ? 4
             : attribute == cuda::kCapabilityMajor ? 9
             : attribute == cuda::kCapabilityMinor ? 0
             : attribute == cuda::kMemoryClock     ? 1000000
             : attribute == cuda::kMemoryBusWidth  ? 1024
                                                   : 0;
    return 0;
  };
  d.context_retain = [](cuda::Context* context, int) {
    static int primary = 0;  // one for the process
    *context = handle<cuda::Context>(&primary);
    return 0;
  };
  d.context_release = [](int) {
    --gpu.handles;
    return 0;
  };
  d.context_set = [](cuda::Context) { return 0; };
  d.memory_info = [](std::size_t* free, std::size_t* total) {
    const std::lock_guard lock(mutex);
    *free = gpu.memory - gpu.used;
    *total = gpu.memory;
    return now("memory info");
  };
  d.allocate = [](DevicePointer* address, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    if (const int result = now(fmt::format("allocate {}", bytes)); result != 0) return result;
    if (gpu.used + bytes > gpu.memory) return cuda::kOutOfMemory;
    void* const block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(block, 0xFF, bytes);  // not a number, so that what is read before it is written shows
    *address = reinterpret_cast<DevicePointer>(block);
    live[*address] = bytes;
    gpu.used += bytes;
    return 0;
  };
  d.release = [](DevicePointer address) {
    const std::lock_guard lock(mutex);
    if (const int result = now("release"); result == kCaptureUnsupported) return result;
    run_until(enqueued);
    const auto found = live.find(address);
    if (found == live.end()) return kInvalid;
    gpu.used -= found->second;
    live.erase(found);
    std::free(at(address));
    return 0;
  };
  d.allocate_pinned = [](void** memory, std::size_t bytes, unsigned) {
    const std::lock_guard lock(mutex);
    *memory = std::malloc(bytes);
    ++gpu.pinned;
    return now("allocate pinned");
  };
  d.release_pinned = [](void* memory) {
    const std::lock_guard lock(mutex);
    std::free(memory);
    --gpu.pinned;
    return 0;
  };
  d.upload = [](DevicePointer to, const void* from, std::size_t bytes, cuda::Stream) {
    const std::lock_guard lock(mutex);
    if (recording) violation("upload while a graph is recorded");
    return enqueue(fmt::format("upload {}", bytes), [=] {
      need(to, bytes, "upload");
      std::memcpy(at(to), from, bytes);
    });
  };
  d.download = [](void* to, DevicePointer from, std::size_t bytes, cuda::Stream) {
    const std::lock_guard lock(mutex);
    if (recording) violation("download while a graph is recorded");
    return enqueue(fmt::format("download {}", bytes), [=] {
      need(from, bytes, "download");
      std::memcpy(to, at(from), bytes);
    });
  };
  d.copy = [](DevicePointer to, DevicePointer from, std::size_t bytes, cuda::Stream) {
    const std::lock_guard lock(mutex);
    return enqueue(fmt::format("copy {}", bytes), [=] {
      need(from, bytes, "copy from");
      need(to, bytes, "copy to");
      std::memcpy(at(to), at(from), bytes);
    });
  };
  d.stream_create = [](cuda::Stream* stream, unsigned) {
    *stream = handle<cuda::Stream>(new int);
    return 0;
  };
  d.stream_destroy = [](cuda::Stream stream) { return destroy<int>(stream); };
  d.stream_synchronize = [](cuda::Stream) {
    const std::lock_guard lock(mutex);
    if (const int result = now("synchronize"); result != 0) return result;
    return run_until(enqueued);
  };
  d.capture_begin = [](cuda::Stream, int) {
    const std::lock_guard lock(mutex);
    if (const int result = now("record"); result != 0) return result;
    recording.emplace();
    return 0;
  };
  d.capture_end = [](cuda::Stream, cuda::Graph* graph) {
    const std::lock_guard lock(mutex);
    if (!recording) return kInvalid;
    *graph = handle<cuda::Graph>(new Operations(std::move(*recording)));
    recording.reset();
    return sticky;
  };
  d.graph_instantiate = [](cuda::GraphExec* exec, cuda::Graph graph, unsigned long long) {
    const std::lock_guard lock(mutex);
    *exec = handle<cuda::GraphExec>(new Operations(*object<Operations>(graph)));
    return now("instantiate");
  };
  d.graph_destroy = [](cuda::Graph graph) { return destroy<Operations>(graph); };
  d.graph_launch = [](cuda::GraphExec exec, cuda::Stream) {
    const std::lock_guard lock(mutex);
    const Operations operations = *object<Operations>(exec);
    return enqueue(fmt::format("graph of {}", operations.size()), [operations] {
      for (const Operation& operation : operations)
        if (sticky == 0) operation.run();
    });
  };
  d.graph_exec_destroy = [](cuda::GraphExec exec) { return destroy<Operations>(exec); };
  d.event_create = [](cuda::Event* event, unsigned) {
    *event = handle<cuda::Event>(new FakeEvent);
    return 0;
  };
  d.event_destroy = [](cuda::Event event) { return destroy<FakeEvent>(event); };
  d.event_record = [](cuda::Event event, cuda::Stream) {
    const std::lock_guard lock(mutex);
    object<FakeEvent>(event)->at = enqueued;
    return now("event");
  };
  d.event_synchronize = [](cuda::Event event) {
    const std::lock_guard lock(mutex);
    if (const int result = now("wait"); result != 0) return result;
    return run_until(object<FakeEvent>(event)->at);
  };
  d.event_elapsed = [](float* milliseconds, cuda::Event, cuda::Event) {
    *milliseconds = 0.25F;
    return 0;
  };
  d.module_load = [](cuda::Module* module, const void* code) {
    const std::lock_guard lock(mutex);
    auto* const made = new FakeModule;
    for (const auto& [name, kernel] : compiled.at(static_cast<const char*>(code))) (*made)[name].kernel = kernel;
    *module = handle<cuda::Module>(made);
    return now("load");
  };
  d.module_unload = [](cuda::Module module) {
    const std::lock_guard lock(mutex);
    if (executed != enqueued && sticky == 0) violation("a module is unloaded while its kernels may run");
    return destroy<FakeModule>(module);
  };
  d.module_function = [](cuda::Function* function, cuda::Module module, const char* name) {
    const auto found = object<FakeModule>(module)->find(name);
    if (found == object<FakeModule>(module)->end()) return 500;
    *function = reinterpret_cast<cuda::Function>(&found->second);
    return 0;
  };
  d.launch = [](cuda::Function function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz,
                unsigned shared, cuda::Stream, void** parameters, void** extra) {
    const std::lock_guard lock(mutex);
    const kernel::Kernel& kernel = object<FakeFunction>(function)->kernel;
    if (x != kernel.parallel_extent() || threads != kernel.threads() || y * z * ty * tz != 1 || shared != 0 ||
        extra != nullptr)
      violation("the launch of " + kernel.name + " has another shape than its kernel");
    if (!gpu.refused_kernel.empty() && kernel.name.starts_with(gpu.refused_kernel)) return gpu.error;
    std::vector<void*> arguments;
    for (std::size_t i = 0; i < kernel.arguments.size(); ++i) arguments.push_back(*static_cast<void**>(parameters[i]));
    return enqueue("launch " + kernel.name, [kernel, arguments] { run_kernel(kernel, arguments); });
  };
  return d;
}

/// A library step by the row's reference.
class ReferenceCall final : public cuda::Call {
 public:
  explicit ReferenceCall(const pass::LibraryCall& call) : call_(call) {}
  void run(std::span<const DevicePointer> arguments, DevicePointer scratch, cuda::Stream) override {
    const std::vector<DevicePointer> given(arguments.begin(), arguments.end());
    const std::lock_guard lock(mutex);
    if (recording && !gpu.products_recorded) throw Error("the product cannot be recorded");
    enqueue("library", [call = call_, given, scratch] {
      need(scratch, kScratch, "scratch");
      if (scratch % 256 != 0) violation("scratch is not aligned");
      std::memset(at(scratch), 0xFF, kScratch);
      std::vector<Literal> values;
      for (std::size_t i = 0; i < call.operand_types.size(); ++i) {
        Literal& value = values.emplace_back(call.operand_types[i]);
        need(given[i], value.bytes(), "operand of a library call");
        std::memcpy(value.data(), at(given[i]), value.bytes());
      }
      const Literal result = ir::primitive(call.node.op).evaluate(call.node, values)[0];
      need(given.back(), result.bytes(), "result of a library call");
      std::memcpy(at(given.back()), result.data(), result.bytes());
    });
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return kScratch; }
  [[nodiscard]] std::string implementation() const override { return "reference"; }

 private:
  static constexpr std::size_t kScratch = 1000;
  pass::LibraryCall call_;
};

class FakeVendor final : public cuda::Vendor {
 public:
  bool takes(const pass::LibraryCall& call, Precision) override {
    return gpu.has_products && call.node.op == ir::Op::DotGeneral && call.result_type.dtype == DType::F32 &&
           call.epilogue.empty();
  }
  std::unique_ptr<cuda::Call> prepare(const pass::LibraryCall& call, Precision) override {
    return std::make_unique<ReferenceCall>(call);
  }
  [[nodiscard]] std::string versions() const override { return " reference"; }
};

}  // namespace

FakeGpu& FakeGpu::get() { return gpu; }

void FakeGpu::reset() {
  const std::lock_guard lock(mutex);
  for (const auto& [address, size] : live) std::free(at(address));
  live.clear();
  waiting.clear();
  recording.reset();
  compiled.clear();
  enqueued = executed = 0;
  sticky = 0;
  gpu = {};
}

void FakeGpu::recover() {
  const std::lock_guard lock(mutex);
  waiting.clear();
  executed = enqueued;
  sticky = error = 0;
  kernels_left = -1;
}

std::size_t FakeGpu::count(const std::string& what) const {
  return static_cast<std::size_t>(
      std::count_if(calls.begin(), calls.end(), [&](const std::string& call) { return call.starts_with(what); }));
}

cuda::Parts FakeGpu::parts() {
  static const cuda::Driver driver = make_driver();
  cuda::Parts parts;
  parts.driver = &driver;
  parts.driver_version = 13000;
  parts.compiler = "no compiler";
  parts.compile = [](const cuda::KernelSet& kernels, int) {
    const std::lock_guard lock(mutex);
    std::string code = fmt::format("module {}", compiled.size());
    auto& list = compiled[code];
    for (std::size_t i = 0; i < kernels.kernels.size(); ++i) list.emplace_back(kernels.names[i], *kernels.kernels[i]);
    return code;
  };
  parts.vendor = [](const std::shared_ptr<cuda::Device>&) { return std::make_unique<FakeVendor>(); };
  return parts;
}

}  // namespace tessera::testing
