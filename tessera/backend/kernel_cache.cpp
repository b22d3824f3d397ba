// The cache of compiled kernels. An entry is a magic word, a checksum of the rest, and the object file.
#include "tessera/backend/kernel_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace tessera {
namespace {

constexpr std::string_view kMagic = "TSROBJ01";
constexpr std::size_t kDigits = 32;
constexpr std::size_t kHeader = kMagic.size() + kDigits;

std::string default_folder() {
  if (const char* asked = std::getenv("TESSERA_CACHE"); asked != nullptr && *asked != '\0') return asked;
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != '\0' ? std::string(home) + "/.cache/tessera" : std::string();
}

/// Writes all of `bytes`; false when the disk refuses.
bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// HASH.o, and HASH.o.PROCESS.COUNT of a write that did not end; nothing else that may lie in the folder.
bool is_entry(std::string_view name) {
  return name.find_first_not_of("0123456789abcdef") == kDigits && name.substr(kDigits, 2) == ".o" &&
         (name.size() == kDigits + 2 || name[kDigits + 2] == '.');
}

/// Creates the folder where it is missing; why it cannot be used, or nothing.
std::string prepare(const std::string& folder) {
  std::error_code ignored;
  const std::filesystem::path parent = std::filesystem::path(folder).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return std::string("cannot be created: ") + std::strerror(errno);
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return std::string("cannot be read: ") + std::strerror(errno);
  if (!S_ISDIR(status.st_mode)) return "is not a folder";
  if (status.st_uid != ::geteuid()) return "belongs to another user; set TESSERA_CACHE to a folder of your own";
  if ((status.st_mode & 077) != 0)
    return "is open to other users, and holds code that you run; make it private with chmod 700";
  return {};
}

}  // namespace

std::string hash_text(std::string_view text) {
  // Two multiplicative hashes, mixed at the end so that every bit of the text reaches every digit.
  std::uint64_t first = 0x243f6a8885a308d3U ^ text.size();
  std::uint64_t second = 0x13198a2e03707344U + text.size();
  for (std::size_t i = 0; i < text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, std::min<std::size_t>(8, text.size() - i));
    first = std::rotl((first ^ word) * 0xff51afd7ed558ccdU, 29);
    second = std::rotl((second + word) * 0x9fb21c651e98df25U, 31) ^ first;
  }
  const auto mix = [](std::uint64_t v) {
    v = (v ^ (v >> 32)) * 0xd6e8feb86659fd93U;
    v = (v ^ (v >> 32)) * 0xd6e8feb86659fd93U;
    return v ^ (v >> 32);
  };
  return fmt::format("{:016x}{:016x}", mix(first), mix(first + second));
}

KernelCache::KernelCache(std::string folder, std::uint64_t most_bytes)
    : folder_(folder.empty() ? default_folder() : std::move(folder)), most_bytes_(most_bytes) {
  if (folder_.empty()) return;
  const std::string problem = prepare(folder_);
  if (problem.empty()) return;
  static std::atomic<bool> told = false;
  if (!told.exchange(true)) spdlog::warn("compiled kernels are not cached: {} {}", folder_, problem);
  folder_.clear();
}

std::optional<std::vector<char>> KernelCache::load(const std::string& key) const {
  if (!usable()) return std::nullopt;
  const int file = ::open((folder_ + "/" + key + ".o").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  struct stat status{};
  std::vector<char> bytes;
  bool complete = false;
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > static_cast<off_t>(kHeader)) {
    bytes.resize(static_cast<std::size_t>(status.st_size));
    std::size_t have = 0;
    while (have < bytes.size()) {
      const ssize_t got = ::read(file, bytes.data() + have, bytes.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    complete = have == bytes.size();
    ::futimens(file, nullptr);
  }
  ::close(file);
  if (!complete) return std::nullopt;
  const std::string_view text(bytes.data(), bytes.size());
  if (!text.starts_with(kMagic) || text.substr(kMagic.size(), kDigits) != hash_text(text.substr(kHeader)))
    return std::nullopt;
  bytes.erase(bytes.begin(), bytes.begin() + kHeader);
  return bytes;
}

void KernelCache::save(const std::string& key, std::string_view object) const {
  if (!usable()) return;
  static std::atomic<int> counter = 0;
  const std::string path = folder_ + "/" + key + ".o";
  const std::string temporary = path + "." + std::to_string(::getpid()) + "." + std::to_string(counter++);
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool written = write_all(file, kMagic) && write_all(file, hash_text(object)) && write_all(file, object);
  if (::close(file) != 0 || !written || ::rename(temporary.c_str(), path.c_str()) != 0) ::unlink(temporary.c_str());
  // Processes that write little begin at different places of the count.
  static std::atomic<unsigned> writes = static_cast<unsigned>(::getpid());
  if (writes++ % kWritesPerLook == 0) prune();
}

/// Other processes may do the same, or read: an open file outlives its name, and a missing entry is compiled again.
void KernelCache::prune() const {
  struct Entry {
    std::filesystem::file_time_type used;
    std::uint64_t bytes;
    std::filesystem::path path;
  };
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator next(folder_, error), end; !error && next != end; next.increment(error)) {
    std::error_code gone;
    if (!is_entry(next->path().filename().string()) || !next->is_regular_file(gone)) continue;
    const std::uint64_t bytes = next->file_size(gone);
    if (gone) continue;
    const auto used = next->last_write_time(gone);
    if (gone) continue;
    entries.push_back({used, bytes, next->path()});
    total += bytes;
  }
  if (total <= most_bytes_) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= most_bytes_ / 4 * 3) break;
    std::filesystem::remove(entry.path, error);
    total -= entry.bytes;
  }
}

}  // namespace tessera
