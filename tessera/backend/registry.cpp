// One backend of each kind for the process, made when it is first asked for.
#include "tessera/backend/registry.hpp"

#include <unistd.h>

#include <array>
#include <memory>
#include <mutex>

#include "tessera/backend/cpu/backend.hpp"
#include "tessera/backend/cpu/onednn.hpp"
#include "tessera/backend/null/null.hpp"
#include "tessera/backend/reference/reference.hpp"
#include "tessera/core/error.hpp"

#ifdef TESSERA_HAVE_LLVM
#include <llvm/Config/llvm-config.h>
#endif

namespace tessera {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Backend> (*make)();
  std::unique_ptr<Backend> backend = nullptr;
};

Backend* find(const std::string& name) {
  static std::mutex mutex;
  static auto* const entries = new std::array<Entry, 4>{{
      // never destroyed: executables of static lifetime may outlive it
      {"cpu", cpu::make_backend},
      {"reference", make_reference_backend},
      {"null:cpu", [] { return make_null_backend("cpu"); }},
      {"null:cuda", [] { return make_null_backend("cuda"); }},
  }};
  const std::lock_guard lock(mutex);
  for (Entry& entry : *entries)
    if (name == entry.name) {
      if (!entry.backend) entry.backend = entry.make();
      return entry.backend.get();
    }
  return nullptr;
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
  if (name == "auto") name = "cpu";  // the only one that computes fast in this build
  if (name == "null") name = "null:cpu";
  if (Backend* found = find(name)) return *found;
  std::string why = "there is no such device";
  if (name.starts_with("cuda")) why = "this build has no CUDA backend";
  if (name.starts_with("pjrt")) why = "this build cannot load PJRT plugins";
  throw Error(ErrorKind::Unsupported,
              "device \"" + device.name + "\": " + why +
                  "; tried cpu, reference, null:cpu, null:cuda; `tessera devices` lists what is here");
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
  for (const char* name : {"reference", "null:cpu", "null:cuda"})
    list.push_back({name, find(name)->describe(), true, 0, {}});
  list.push_back({"cuda", "NVIDIA GPUs", false, 0, {{"CUDA backend", "", "not part of this build"}}});
  list.push_back(
      {"pjrt:PATH", "a PJRT plugin, for TPUs and others", false, 0, {{"PJRT backend", "", "not part of this build"}}});
  return list;
}

}  // namespace tessera
