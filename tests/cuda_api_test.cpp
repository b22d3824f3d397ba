// Our declarations of the CUDA driver and of NVRTC against the vendor's headers, where those are present; how
// libraries are found, and what is said of those that are not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <type_traits>

#include "tessera/backend/cuda/driver.hpp"
#include "tessera/core/error.hpp"

#if __has_include(<cuda.h>) && __has_include(<nvrtc.h>)
#include <cuda.h>
#include <nvrtc.h>
#define HAVE_VENDOR_HEADERS 1
#endif

namespace tessera::cuda {
namespace {

#ifdef HAVE_VENDOR_HEADERS

/// Handles and enums have other names there: a parameter is the same when it has the size and the kind.
template <class Ours, class Theirs>
constexpr bool same_word() {
  constexpr auto kind = []<class T>(std::type_identity<T>) {
    return std::is_pointer_v<T> ? 0 : std::is_floating_point_v<T> ? 1 : 2;
  };
  // NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers, too
  return sizeof(Ours) == sizeof(Theirs) && kind(std::type_identity<Ours>{}) == kind(std::type_identity<Theirs>{});
}
template <class R, class... A, class S, class... B>
constexpr bool same(R (*)(A...), S (*)(B...)) {
  if constexpr (sizeof...(A) != sizeof...(B))
    return false;
  else
    return same_word<R, S>() && (same_word<A, B>() && ...);
}

#define COMPARE(member, symbol, ...) \
  static_assert(same(decltype(Driver::member){}, decltype(&::symbol){}), "differs: " #member);
TESSERA_CUDA_DRIVER(COMPARE)
#undef COMPARE
#define COMPARE(member, symbol, ...) \
  static_assert(same(decltype(Nvrtc::member){}, decltype(&::symbol){}), "differs: " #member);
TESSERA_CUDA_NVRTC(COMPARE)
#undef COMPARE

static_assert(kSuccess == CUDA_SUCCESS && static_cast<int>(NVRTC_SUCCESS) == kSuccess);
static_assert(kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY && kNoDevice == CUDA_ERROR_NO_DEVICE);
static_assert(kMultiprocessors == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(kMemoryClock == CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
static_assert(kMemoryBusWidth == CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
static_assert(kCapabilityMajor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(kCapabilityMinor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(kStreamNonBlocking == CU_STREAM_NON_BLOCKING && kEventDisableTiming == CU_EVENT_DISABLE_TIMING);
static_assert(kCaptureThreadLocal == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);

TEST(CudaApi, AgreesWithTheHeaders) { SUCCEED() << "the comparisons above are made when this file is compiled"; }

#else

TEST(CudaApi, AgreesWithTheHeaders) { GTEST_SKIP() << "no CUDA headers on this machine"; }

#endif

/// The message of what `call` throws, which must be Unsupported.
template <class F>
std::string refusal(F call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Unsupported) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera-cuda-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

const LibraryName kAbsent{"the part", {"libtessera-absent.so.2", "libtessera-absent.so.1"}, "install the part"};

TEST(CudaLibrary, SaysWhatWasTriedAndWhere) {
  EXPECT_EQ(
      refusal([] { load_driver(Library::open(kAbsent, {"/no/such", "/folder"})); }),
      "the part is not to be had: tried libtessera-absent.so.2, libtessera-absent.so.1 in the system's search path "
      "and in /no/such, /folder; install the part");
  EXPECT_EQ(Library::open(kAbsent, {}).complaint(),
            "the part is not to be had: tried libtessera-absent.so.2, libtessera-absent.so.1 in the system's search "
            "path; install the part");
}

TEST(CudaLibrary, SaysWhyAFileThatIsThereDoesNotLoad) {
  const Folder folder;
  std::ofstream(folder.path + "/libtessera-absent.so.1") << "no library";
  const std::string said = Library::open(kAbsent, {folder.path}).complaint();
  EXPECT_NE(said.find(folder.path + "/libtessera-absent.so.1: "), std::string::npos) << said;
}

TEST(CudaLibrary, FindsItByFolderAndNamesTheFunctionThatAnOldOneLacks) {
  const Folder folder;
  const std::string source = folder.path + "/old.c", file = folder.path + "/libtessera-absent.so.1";
  std::ofstream(source) << "int cuInit(unsigned flags) { return (int)flags; }";
  ASSERT_EQ(std::system(("cc -shared -fPIC -o " + file + " " + source).c_str()), 0);
  const Library library = Library::open(kAbsent, {folder.path});
  ASSERT_TRUE(library.found());
  EXPECT_EQ(library.path(), file);
  EXPECT_NE(library.symbol("cuInit"), nullptr);
  EXPECT_EQ(library.symbol("cuDriverGetVersion"), nullptr);
  EXPECT_EQ(refusal([&] { load_driver(library); }),
            "the part (" + file + ") has no function cuDriverGetVersion: it is too old; install the part");
}

TEST(CudaLibrary, TheToolkitMustSuitTheDriver) {
  EXPECT_EQ(nvrtc_name(0).files, (std::vector<std::string>{"libnvrtc.so.13", "libnvrtc.so.12"}));
  EXPECT_EQ(nvrtc_name(13).files, (std::vector<std::string>{"libnvrtc.so.13", "libnvrtc.so.12"}));
  EXPECT_EQ(nvrtc_name(12).files, std::vector<std::string>{"libnvrtc.so.12"});
}

// A driver of which every function answers as these say.
int fake_version = 13000, fake_devices = 1, fake_init = kSuccess;
Driver fake() {
  Driver driver;
  driver.driver_version = [](int* version) {
    *version = fake_version;
    return 0;
  };
  driver.init = [](unsigned) { return fake_init; };
  driver.device_count = [](int* count) {
    *count = fake_devices;
    return 0;
  };
  driver.error_name = [](int, const char** name) {
    *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH";
    return 0;
  };
  return driver;
}

TEST(CudaDriver, TooOldWithoutGpuOrBroken) {
  EXPECT_EQ(start_driver(fake()), 13000);
  fake_version = 11080;
  EXPECT_EQ(refusal([] { start_driver(fake()); }),
            "the NVIDIA driver knows CUDA 11.8 and 12.0 is needed; update the driver to 525 or newer");
  fake_version = 12040;
  fake_devices = 0;
  EXPECT_EQ(refusal([] { start_driver(fake()); }),
            "the NVIDIA driver is here and finds no GPU; nvidia-smi shows what it sees, and CUDA_VISIBLE_DEVICES may "
            "hide one");
  fake_devices = 1;
  fake_init = 803;
  EXPECT_EQ(refusal([] { start_driver(fake()); }),
            "the NVIDIA driver does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803); see what nvidia-smi says");
}

constexpr const char* kSource =
    "extern \"C\" __global__ void twice(float* x) { x[threadIdx.x] = x[threadIdx.x] + x[threadIdx.x]; }\n";

TEST(CudaCompiler, MakesMachineCode) {
  const Compiler* nvrtc = Compiler::find();
  if (nvrtc == nullptr) GTEST_SKIP() << "no NVRTC on this machine";
  for (const int architecture : {80, 90}) {
    std::string log;
    const std::string code = nvrtc->compile(kSource, architecture, &log);
    EXPECT_TRUE(
        code.starts_with("\x7f"
                         "ELF"))
        << architecture;
    EXPECT_NE(log.find("registers"), std::string::npos) << log;
    EXPECT_EQ(nvrtc->compile(kSource, architecture), nvrtc->compile(kSource, architecture)) << "by the cache";
  }
}

TEST(CudaCompiler, RefusesUnknownArchitecturesAndWrongSource) {
  const Compiler* nvrtc = Compiler::find();
  if (nvrtc == nullptr) GTEST_SKIP() << "no NVRTC on this machine";
  const std::string said = refusal([&] { nvrtc->compile(kSource, 30); });
  EXPECT_NE(said.find("makes no code for sm_30: it knows sm_"), std::string::npos) << said;
  EXPECT_NE(said.find("sm_90"), std::string::npos) << said;
  try {
    nvrtc->compile("extern \"C\" __global__ void f() { wrong; }", 90);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("identifier \"wrong\" is undefined"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tessera::cuda
