// Machine code of kernels on disk, keyed by content, and choices of algorithms. Safe for several processes at once:
// files appear by rename, complete or not at all, and carry a checksum. The folder is code that this user runs, so it
// must be the user's alone. It is bounded: now and then a write removes what was not used for longest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

class KernelCache {
 public:
  /// Entries may take so many bytes, and what is written until somebody looks.
  static constexpr std::uint64_t kMostBytes = std::uint64_t{512} << 20;
  /// One write in so many looks.
  static constexpr unsigned kWritesPerLook = 32;

  /// `folder`, or without one TESSERA_CACHE, or ~/.cache/tessera; created with mode 0700. One that belongs to another
  /// user or that others may enter is not used, with a warning.
  explicit KernelCache(std::string folder = {}, std::uint64_t most_bytes = kMostBytes);

  [[nodiscard]] bool usable() const { return !folder_.empty(); }
  /// Nothing when there is no entry, or a damaged one. An entry counts as used now.
  [[nodiscard]] std::optional<std::vector<char>> load(const std::string& key) const;
  /// `key`: a hash_text. Does nothing when the disk refuses.
  void save(const std::string& key, std::string_view object) const;

 private:
  void prune() const;

  std::string folder_;
  std::uint64_t most_bytes_;
};

/// A 128-bit hash as 32 hexadecimal digits: against accidents, not against attackers (the folder is private).
std::string hash_text(std::string_view text);

}  // namespace tessera
