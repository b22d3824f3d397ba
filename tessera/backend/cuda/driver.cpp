// Tables of functions from libraries, the checks that make a driver usable, and the run-time compiler.
#include "tessera/backend/cuda/driver.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "tessera/backend/kernel_cache.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

constexpr int kOldestDriver = 1000 * kOldestMajor;
/// --fmad=false: a fused multiply-add stands where the kernel says so and nowhere else.
constexpr const char* kOptions[] = {"--fmad=false", "--std=c++17"};

[[noreturn]] void unsupported(const std::string& what) { throw Error(ErrorKind::Unsupported, what); }

}  // namespace

const LibraryName& driver_name() {
  static const LibraryName name{
      "the NVIDIA driver",
      {"libcuda.so.1"},
      "install NVIDIA's driver for the GPU (Debian: nvidia-driver; in a container, start it with --gpus all)"};
  return name;
}

LibraryName nvrtc_name(int driver_major) {
  LibraryName name{"NVRTC, CUDA's run-time compiler", {}, ""};
  const int newest = driver_major == 0 ? kNewestMajor : std::min(driver_major, kNewestMajor);
  for (int major = newest; major >= kOldestMajor; --major) name.files.push_back(fmt::format("libnvrtc.so.{}", major));
  name.advice = fmt::format(
      "install the CUDA toolkit {}, or the wheel nvidia-cuda-nvrtc, or set CUDA_HOME to where the toolkit stands",
      newest);
  return name;
}

Driver load_driver(const Library& library) {
  if (!library.found()) unsupported(library.complaint());
  Driver driver;
#define TESSERA_CUDA_LOAD(member, symbol, ...) \
  driver.member = reinterpret_cast<decltype(driver.member)>(library.need(#symbol));
  TESSERA_CUDA_DRIVER(TESSERA_CUDA_LOAD)
#undef TESSERA_CUDA_LOAD
  return driver;
}

Nvrtc load_nvrtc(const Library& library) {
  if (!library.found()) unsupported(library.complaint());
  Nvrtc nvrtc;
#define TESSERA_CUDA_LOAD(member, symbol, ...) \
  nvrtc.member = reinterpret_cast<decltype(nvrtc.member)>(library.need(#symbol));
  TESSERA_CUDA_NVRTC(TESSERA_CUDA_LOAD)
#undef TESSERA_CUDA_LOAD
  return nvrtc;
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

int start_driver(const Driver& driver) {
  int version = 0;
  const int asked = driver.driver_version(&version);
  if (asked == kSuccess && version < kOldestDriver)
    unsupported(fmt::format("the NVIDIA driver knows CUDA {} and {} is needed; {}", version_text(version),
                            version_text(kOldestDriver), "update the driver to 525 or newer"));
  int result = driver.init(0);
  int count = 0;
  if (result == kSuccess) result = driver.device_count(&count);
  if (result == kNoDevice || (result == kSuccess && count == 0))
    unsupported(
        "the NVIDIA driver is here and finds no GPU; nvidia-smi shows what it sees, and CUDA_VISIBLE_DEVICES "
        "may hide one");
  if (result != kSuccess) {
    const char* name = nullptr;
    if (driver.error_name(result, &name) != kSuccess || name == nullptr) name = "an unknown error";
    unsupported(fmt::format("the NVIDIA driver does not start: {} ({}); see what nvidia-smi says", name, result));
  }
  return version;
}

const Driver& machine_driver() {
  static std::mutex mutex;
  static const Driver* driver = nullptr;  // never destroyed: arrays of static lifetime may outlive it
  const std::lock_guard lock(mutex);
  if (driver == nullptr) {
    const Library library =
        Library::open(driver_name(), {"/usr/lib/x86_64-linux-gnu", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"});
    const Driver loaded = load_driver(library);
    start_driver(loaded);
    driver = new Driver(loaded);
  }
  return *driver;
}

Compiler::Compiler(Nvrtc nvrtc, std::string path) : nvrtc_(nvrtc), path_(std::move(path)) {
  int count = 0;
  bool known = nvrtc_.version(&major_, &minor_) == kSuccess && nvrtc_.architecture_count(&count) == kSuccess;
  architectures_.resize(static_cast<std::size_t>(std::max(count, 0)));
  known = known && nvrtc_.architectures(architectures_.data()) == kSuccess;
  if (!known) unsupported("NVRTC (" + path_ + ") does not answer; install the CUDA toolkit again");
}

const Compiler& Compiler::machine(int driver_major) {
  static std::mutex mutex;
  static auto* const compilers = new std::map<std::vector<std::string>, Compiler>;
  const LibraryName name = nvrtc_name(driver_major);
  const std::lock_guard lock(mutex);
  if (const auto found = compilers->find(name.files); found != compilers->end()) return found->second;
  const Library library = Library::open(name, library_folders());
  return compilers->emplace(name.files, Compiler(load_nvrtc(library), library.path())).first->second;
}

const Compiler* Compiler::find() {
  static const Compiler* const found = [] {
    try {
      return &machine(0);
    } catch (const Error&) {
      return static_cast<const Compiler*>(nullptr);
    }
  }();
  return found;
}

std::string Compiler::version() const { return fmt::format("{}.{}", major_, minor_); }

std::string Compiler::compile(const std::string& source, int architecture, std::string* log) const {
  if (std::find(architectures_.begin(), architectures_.end(), architecture) == architectures_.end()) {
    std::vector<std::string> known;
    for (const int a : architectures_) known.push_back(fmt::format("sm_{}", a));
    unsupported(fmt::format("NVRTC {} ({}) makes no code for sm_{}: it knows {}; install a CUDA toolkit that does",
                            version(), path_, architecture, fmt::join(known, ", ")));
  }
  std::vector<std::string> options(std::begin(kOptions), std::end(kOptions));
  options.push_back(fmt::format("--gpu-architecture=sm_{}", architecture));
  const KernelCache cache;
  const std::string key = hash_text(fmt::format("NVRTC {} {}\n{}", version(), fmt::join(options, " "), source));
  if (log == nullptr) {
    if (const auto kept = cache.load(key)) return {kept->begin(), kept->end()};
  } else {
    options.emplace_back("--ptxas-options=-v");
  }
  std::vector<const char*> words;
  for (const std::string& option : options) words.push_back(option.c_str());

  struct Program {
    const Nvrtc& nvrtc;
    NvrtcProgram handle = nullptr;
    ~Program() {
      if (handle != nullptr) nvrtc.destroy(&handle);
    }
  } program{nvrtc_};
  int result = nvrtc_.create(&program.handle, source.c_str(), "tessera.cu", 0, nullptr, nullptr);
  if (result == kSuccess) result = nvrtc_.compile(program.handle, static_cast<int>(words.size()), words.data());
  std::string messages;
  std::size_t size = 0;
  if ((result != kSuccess || log != nullptr) && nvrtc_.log_size(program.handle, &size) == kSuccess && size > 1) {
    messages.resize(size);
    if (nvrtc_.log(program.handle, messages.data()) != kSuccess) messages.clear();
    messages.resize(messages.find_last_not_of('\0') + 1);
  }
  if (result != kSuccess)
    throw Error(fmt::format("NVRTC {} refused a kernel for sm_{} (error {}):\n{}", version(), architecture, result,
                            messages.substr(0, 4000)));
  std::string code;
  result = nvrtc_.cubin_size(program.handle, &size);
  if (result == kSuccess) {
    code.resize(size);
    result = nvrtc_.cubin(program.handle, code.data());
  }
  if (result != kSuccess) throw Error(fmt::format("NVRTC {} gave no machine code (error {})", version(), result));
  if (log != nullptr)
    *log = messages;
  else
    cache.save(key, code);
  return code;
}

}  // namespace tessera::cuda
