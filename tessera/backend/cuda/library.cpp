// dlopen by names and folders.
#include "tessera/backend/cuda/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <glob.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tessera/core/error.hpp"

namespace tessera::cuda {

Library Library::open(const LibraryName& name, const std::vector<std::string>& folders) {
  Library library;
  library.name_ = name;
  library.folders_ = folders;
  const auto attempt = [&](const std::string& file) {
    library.handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library.found()) return false;
    link_map* map = nullptr;
    const bool known = dlinfo(library.handle_, RTLD_DI_LINKMAP, &map) == 0 && map->l_name != nullptr;
    library.path_ = known && *map->l_name != '\0' ? map->l_name : file;
    return true;
  };
  for (const std::string& file : name.files)
    if (attempt(file)) return library;
  for (const std::string& folder : folders)
    for (const std::string& file : name.files) {
      const std::string path = folder + "/" + file;
      std::error_code ignored;
      if (!std::filesystem::exists(path, ignored)) continue;
      if (attempt(path)) return library;
      library.damaged_.emplace_back(dlerror());
    }
  return library;
}

std::string Library::complaint() const {
  std::string text = fmt::format("{} is not to be had: tried {} in the system's search path{}", name_.title,
                                 fmt::join(name_.files, ", "), folders_.empty() ? "" : " and in ");
  text += fmt::format("{}", fmt::join(folders_, ", "));
  for (const std::string& reason : damaged_) text += "; " + reason;
  return text + "; " + name_.advice;
}

void* Library::symbol(const char* name) const { return found() ? dlsym(handle_, name) : nullptr; }

void* Library::need(const char* name) const {
  if (void* found = symbol(name)) return found;
  throw Error(ErrorKind::Unsupported,
              fmt::format("{} ({}) has no function {}: it is too old; {}", name_.title, path_, name, name_.advice));
}

std::vector<std::string> library_folders() {
  std::vector<std::string> patterns;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0')
      for (const char* under : {"/lib64", "/lib", "/targets/x86_64-linux/lib"})
        patterns.push_back(std::string(value) + under);
  for (const char* root : {"/usr/local/cuda", "/usr/local/cuda-1[23]*", "/opt/cuda"})
    for (const char* under : {"/lib64", "/targets/x86_64-linux/lib"}) patterns.push_back(std::string(root) + under);
  patterns.emplace_back("/usr/local/nvidia/lib64");
  // Wheels: nvidia/PART/lib. The environment in use first, then those of the system.
  std::vector<std::string> python;
  if (const char* environment = std::getenv("VIRTUAL_ENV"); environment != nullptr && *environment != '\0')
    python.push_back(std::string(environment) + "/lib/python3*/site-packages");
  for (const char* folder : {"/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages",
                             "/usr/lib/python3/dist-packages", "/opt/*/lib/python3*/site-packages",
                             "/opt/*/.venv/lib/python3*/site-packages"})
    python.emplace_back(folder);
  for (const std::string& folder : python) patterns.push_back(folder + "/nvidia/*/lib");

  std::vector<std::string> folders;
  for (const std::string& pattern : patterns) {
    glob_t matches{};
    if (glob(pattern.c_str(), GLOB_ONLYDIR, nullptr, &matches) == 0)
      for (std::size_t i = 0; i < matches.gl_pathc; ++i) {
        std::string folder = matches.gl_pathv[i];
        if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(std::move(folder));
      }
    globfree(&matches);
  }
  return folders;
}

}  // namespace tessera::cuda
