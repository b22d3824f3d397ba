// Runs `cc` on the C text of kernels in a temporary folder, and loads the shared object that comes out.
#include "tessera/backend/cpu/ccompiler.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tessera/core/error.hpp"

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace tessera::cpu {
namespace {

/// A folder that disappears with this object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw Error("cannot create a folder like " + pattern + ": " + std::strerror(errno));
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Runs a program without a shell; its messages go to `log`. Returns its exit status.
int run(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& a : command) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    throw Error(ErrorKind::Unsupported, "cannot run the C compiler '" + command[0] + "': " + std::strerror(failed) +
                                            "; install gcc, or use a build with LLVM");
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::vector<KernelFunction> compile_by_c(std::span<const kernel::Kernel* const> kernels) {
  if (kernels.empty()) return {};
  const TemporaryFolder folder;
  const std::string library = folder.path() / "kernels.so";
  std::vector<std::string> command = {"cc",    "-std=c11", "-O2", "-march=native", "-ffp-contract=off",
                                      "-fPIC", "-shared",  "-o",  library};
  std::vector<std::string> names;
  for (const kernel::Kernel* original : kernels) {
    kernel::Kernel kernel = *original;
    kernel.name += "_" + std::to_string(names.size());  // kernels may share a name
    names.push_back(kernel.name);
    command.push_back(folder.path() / (kernel.name + ".c"));
    std::ofstream file(command.back());
    file << render_c(kernel);
    if (!file.flush()) throw Error("cannot write " + command.back());
  }
  command.emplace_back("-lm");
  const std::string log = folder.path() / "messages";
  if (run(command, log) != 0) {
    std::ifstream file(log);
    std::string messages((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    throw Error("the C compiler refused a kernel:\n" + messages.substr(0, 4000));
  }
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Error(std::string("cannot load compiled kernels: ") + dlerror());
  const std::shared_ptr<const void> code(handle, [](const void* h) { dlclose(const_cast<void*>(h)); });
  std::vector<KernelFunction> functions;
  for (const std::string& name : names)
    functions.push_back({reinterpret_cast<KernelPointer>(dlsym(handle, name.c_str())), code});
  return functions;
}

}  // namespace tessera::cpu
