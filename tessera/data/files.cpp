// Reading and writing whole files; gzip and deflate.
#include "tessera/data/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::data {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// Calls `move(offset)` until `size` bytes went through it or it returns 0. Returns the bytes that went, or -1.
template <class Move>
ssize_t transfer(std::size_t size, Move move) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = move(done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

template <class Container>
Container read_whole(const Path& path, std::uint64_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) bad_file(path, "cannot be opened: " + reason(errno));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) bad_file(path, "cannot be read: " + reason(errno));
  if (S_ISDIR(status.st_mode)) bad_file(path, "is a folder; a file is needed here");
  if (!S_ISREG(status.st_mode)) bad_file(path, "is no regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > limit) bad_file(path, fmt::format("has {} bytes; at most {} are read here", size, limit));
  Container bytes(size, {});
  auto* data = reinterpret_cast<char*>(bytes.data());
  const ssize_t got = transfer(size, [&](std::size_t at) { return ::read(file.get(), data + at, size - at); });
  if (got < 0) bad_file(path, "cannot be read: " + reason(errno));
  if (static_cast<std::uint64_t>(got) != size) bad_file(path, "became shorter while it was read; try again");
  return bytes;
}

}  // namespace

void bad_file(const std::string& file, const std::string& what) { throw Error(file + ": " + what); }

Bytes read_file(const Path& path, std::uint64_t limit) { return read_whole<Bytes>(path, limit); }
std::string read_text(const Path& path, std::uint64_t limit) { return read_whole<std::string>(path, limit); }

void write_file(const Path& path, std::initializer_list<ByteView> parts) {
  static std::atomic<unsigned> counter{0};
  const std::string temporary = fmt::format("{}.tmp-{}-{}", path.string(), ::getpid(), ++counter);
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) bad_file(path, "cannot be written: " + reason(errno));
  const auto fail = [&](int error) {
    ::unlink(temporary.c_str());
    bad_file(path, fmt::format("cannot be written: {}{}", reason(error),
                               error == ENOSPC ? "; free some space, or give another folder" : ""));
  };
  for (const ByteView part : parts) {
    const auto* data = reinterpret_cast<const char*>(part.data());
    const ssize_t put =
        transfer(part.size(), [&](std::size_t at) { return ::write(file.get(), data + at, part.size() - at); });
    if (put < 0 || static_cast<std::size_t>(put) != part.size()) fail(put < 0 ? errno : EIO);
  }
  if (::fsync(file.get()) != 0) fail(errno);
  if (::close(file.release()) != 0) fail(errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail(errno);
  flush_folder(path.has_parent_path() ? path.parent_path() : Path("."));
}

void flush_folder(const Path& folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) bad_file(folder, "cannot be opened: " + reason(errno));
  // Some file systems cannot flush folders and say so with EINVAL: nothing more can be done there.
  if (::fsync(file.get()) != 0 && errno != EINVAL) bad_file(folder, "cannot be flushed to the disk: " + reason(errno));
}

std::optional<FileLock> FileLock::try_lock(const Path& path) {
  FileLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (lock.file_ < 0) bad_file(path, "cannot be opened: " + reason(errno));
  // Some file systems have no locks, and say so with other errors: nothing more can be done there.
  if (::flock(lock.file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return std::nullopt;
  return lock;
}
FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

bool is_gzip(ByteView bytes) { return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b}; }

struct Inflater::State {
  z_stream stream{};
  ByteView rest;  ///< input that zlib has not been given yet (its counters have 32 bits)
  Format format = Format::Gzip;
  std::string file;
  bool done = false;

  void feed() {
    const std::size_t n = std::min<std::size_t>(rest.size(), std::size_t{1} << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest.data()));
    stream.avail_in = static_cast<uInt>(n);
    rest = rest.subspan(n);
  }
  [[nodiscard]] bool input_left() const { return stream.avail_in > 0 || !rest.empty(); }
};

Inflater::Inflater(ByteView input, Format format, std::string file) : state_(std::make_unique<State>()) {
  state_->rest = input;
  state_->format = format;
  state_->file = std::move(file);
  if (inflateInit2(&state_->stream, format == Format::Gzip ? 15 + 16 : -15) != Z_OK)
    throw Error("zlib cannot be started: out of memory");
}

Inflater::~Inflater() { inflateEnd(&state_->stream); }

std::size_t Inflater::read(std::span<std::byte> out) {
  State& s = *state_;
  std::size_t written = 0;
  while (written < out.size() && !s.done) {
    if (s.stream.avail_in == 0) s.feed();
    const std::size_t room = std::min<std::size_t>(out.size() - written, std::size_t{1} << 30);
    s.stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    s.stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&s.stream, Z_NO_FLUSH);
    written += room - s.stream.avail_out;
    if (status == Z_STREAM_END) {
      // gzip files may be put one after another.
      if (s.format == Format::Gzip && s.input_left()) {
        if (s.stream.avail_in == 0) s.feed();
        if (s.stream.avail_in < 2 || s.stream.next_in[0] != 0x1f || s.stream.next_in[1] != 0x8b)
          bad_file(s.file, "bytes follow the end of the compressed data; the file is damaged");
        inflateReset(&s.stream);
      } else {
        s.done = true;
      }
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      bad_file(s.file, fmt::format("the compressed data is corrupt ({}); fetch the file again",
                                   s.stream.msg != nullptr ? s.stream.msg : "zlib error"));
    } else if (s.stream.avail_out > 0 && !s.input_left()) {
      bad_file(s.file, "the compressed data is cut short; fetch the file again");
    }
  }
  return written;
}

bool Inflater::at_end() {
  std::byte extra{};
  if (read({&extra, 1}) > 0) return false;
  if (state_->input_left()) bad_file(state_->file, "bytes follow the end of the compressed data; the file is damaged");
  return true;
}

}  // namespace tessera::data
