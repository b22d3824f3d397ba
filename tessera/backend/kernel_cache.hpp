// Machine code of kernels on disk, keyed by content. Safe for several processes at once: files appear by rename,
// complete or not at all, and carry a checksum. The folder is code that this user runs, so it must be the user's alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

class KernelCache {
 public:
  /// `folder`, or without one TESSERA_CACHE, or ~/.cache/tessera; created with mode 0700. One that belongs to another
  /// user or that others may enter is not used, with a warning.
  explicit KernelCache(std::string folder = {});

  [[nodiscard]] bool usable() const { return !folder_.empty(); }
  /// Nothing when there is no entry, or a damaged one.
  [[nodiscard]] std::optional<std::vector<char>> load(const std::string& key) const;
  /// Does nothing when the disk refuses.
  void save(const std::string& key, std::string_view object) const;

 private:
  std::string folder_;
};

/// A 128-bit hash as 32 hexadecimal digits: against accidents, not against attackers (the folder is private).
std::string hash_text(std::string_view text);

}  // namespace tessera
