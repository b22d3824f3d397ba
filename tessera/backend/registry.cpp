// One backend of each kind for the process, made when it is first asked for.
#include "tessera/backend/registry.hpp"

#include <unistd.h>

#include <charconv>
#include <map>
#include <memory>
#include <mutex>

#include "tessera/backend/cpu/backend.hpp"
#include "tessera/backend/cpu/onednn.hpp"
#include "tessera/backend/cuda/backend.hpp"
#include "tessera/backend/null/null.hpp"
#include "tessera/backend/reference/reference.hpp"
#include "tessera/core/error.hpp"

#ifdef TESSERA_HAVE_LLVM
#include <llvm/Config/llvm-config.h>
#endif

namespace tessera {
namespace {

/// The number of "cuda" and "cuda:N"; -1 for other names.
int cuda_ordinal(const std::string& name) {
  if (name == "cuda") return 0;
  int number = -1;
  const char* const end = name.data() + name.size();
  if (!name.starts_with("cuda:") || std::from_chars(name.data() + 5, end, number).ptr != end) return -1;
  return number;
}

std::unique_ptr<Backend> make(const std::string& name) {
  if (name == "cpu") return cpu::make_backend();
  if (name == "reference") return make_reference_backend();
  if (name == "null:cpu") return make_null_backend("cpu");
  if (name == "null:cuda") return make_null_backend("cuda");
  return nullptr;
}

std::mutex mutex;
std::map<std::string, std::unique_ptr<Backend>>& made() {
  static auto* const backends = new std::map<std::string, std::unique_ptr<Backend>>;
  return *backends;  // never destroyed: executables of static lifetime may outlive it
}

/// Null for a name that is none. Throws for a device that is not to be had.
Backend* find(const std::string& name) {
  const std::lock_guard lock(mutex);
  if (const auto found = made().find(name); found != made().end()) return found->second.get();
  std::unique_ptr<Backend> fresh = make(name);
  if (const int ordinal = cuda_ordinal(name); ordinal >= 0) {
    try {
      fresh = cuda::make_backend(ordinal);
    } catch (const Error& error) {
      throw Error(error.kind(), "device \"" + name + "\": " + error.what() + "; `tessera devices` lists what is here");
    }
  }
  return fresh == nullptr ? nullptr : (made()[name] = std::move(fresh)).get();
}

std::size_t physical_memory() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
}

LibraryInfo llvm_info() {
#ifdef TESSERA_HAVE_LLVM
  return {"LLVM", LLVM_VERSION_STRING, "machine code of generated kernels"};
#else
  return {"LLVM", "", "this build compiles kernels by the C compiler: install llvm-19-dev and build again"};
#endif
}

}  // namespace

Backend& backend(const Device& device) {
  std::string name = device.name;
  if (name == "auto") name = cuda::usable_devices() > 0 ? "cuda" : "cpu";
  if (name == "null") name = "null:cpu";
  if (name == "cuda:0") name = "cuda";
  if (Backend* found = find(name)) return *found;
  std::string why = "there is no such device";
  if (name.starts_with("pjrt")) why = "this build cannot load PJRT plugins";
  throw Error(ErrorKind::Unsupported,
              "device \"" + device.name + "\": " + why +
                  "; tried cpu, cuda, cuda:N, reference, null:cpu, null:cuda; `tessera devices` lists what is here");
}

void add_backend(const std::string& name, std::unique_ptr<Backend> backend) {
  const std::lock_guard lock(mutex);
  made()[name] = std::move(backend);
}

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> list;
  const std::string onednn = cpu::onednn::version();
  list.push_back(
      {"cpu",
       find("cpu")->describe(),
       true,
       physical_memory(),
       {{"oneDNN", onednn,
         onednn.empty() ? "products and convolutions run as generated loops: install libdnnl-dev and build again"
                        : "matrix products and convolutions"},
        llvm_info()}});
  const std::vector<DeviceInfo> gpus = cuda::devices();
  for (const DeviceInfo& gpu : gpus)
    if (gpu.available) list.push_back(gpu);
  for (const char* name : {"reference", "null:cpu", "null:cuda"})
    list.push_back({name, find(name)->describe(), true, 0, {}});
  for (const DeviceInfo& gpu : gpus)
    if (!gpu.available) list.push_back(gpu);
  list.push_back(
      {"pjrt:PATH", "a PJRT plugin, for TPUs and others", false, 0, {{"PJRT backend", "", "not part of this build"}}});
  return list;
}

}  // namespace tessera
