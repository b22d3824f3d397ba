// Whole files in and out, safely: sizes are checked before memory is taken, and a file is either all there or not.
// In: paths. Out: bytes. Used by every reader and writer of data/ and train/. Read next: data/idx.hpp, data/npy.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::data {

using Path = std::filesystem::path;
using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/// The largest file that is read whole: 64 GiB.
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{64} << 30;

inline ByteView view(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Throws Error "FILE: what".
[[noreturn]] void bad_file(const std::string& file, const std::string& what);

/// All bytes of a regular file. Throws Error when it is missing, no regular file, not readable or larger than `limit`.
Bytes read_file(const Path& path, std::uint64_t limit = kMaxFileBytes);
/// The same as text.
std::string read_text(const Path& path, std::uint64_t limit = kMaxFileBytes);
/// Writes the parts one after another to a temporary file in the same folder, flushes it to the disk and renames it:
/// whatever happens, `path` holds the old content or all of the new one. Throws Error naming path and reason.
void write_file(const Path& path, std::initializer_list<ByteView> parts);
inline void write_file(const Path& path, std::string_view content) { write_file(path, {view(content)}); }
/// A file that one process holds at a time (flock). The kernel lets go of it when the process ends, however it does.
class FileLock {
 public:
  /// Makes the file where it is missing. Nothing when somebody else holds it; throws Error when it cannot be opened.
  static std::optional<FileLock> try_lock(const Path& path);
  FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};
/// Flushes a folder's entries to the disk, after renames in it.
void flush_folder(const Path& folder);

/// True when the bytes begin like a gzip file.
bool is_gzip(ByteView bytes);
/// The most that deflate can expand its input; what claims more than that is lying.
constexpr std::uint64_t kMaxInflation = 1032;

/// Decompresses zlib's formats piece by piece, so that nobody needs to believe a size before seeing the bytes.
class Inflater {
 public:
  enum class Format : std::uint8_t { Gzip, Deflate };
  /// `file` names the input in messages. `input` must outlive this object.
  Inflater(ByteView input, Format format, std::string file);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Fills `out` as far as there is data; returns how many bytes that was. Throws Error at corrupt or cut data.
  std::size_t read(std::span<std::byte> out);
  /// True when nothing more comes. Throws Error when the input goes on after its end.
  bool at_end();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::data
