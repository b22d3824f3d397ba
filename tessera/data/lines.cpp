// Lines through a buffer of fixed size, which a descriptor or a decompressor fills.
#include "tessera/data/lines.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

namespace tessera::data {

struct LineReader::State {
  std::string name;
  std::size_t max_bytes = 0;
  int descriptor = -1;
  bool owned = false;
  Bytes compressed;
  std::optional<Inflater> inflater;
  std::string buffer = std::string(std::size_t{1} << 16, '\0');
  std::size_t at = 0, end = 0;
  std::int64_t count = 0;

  ~State() {
    if (owned) ::close(descriptor);
  }

  /// False at the end of the text.
  bool fill() {
    at = 0;
    if (inflater) {
      end = inflater->read(std::as_writable_bytes(std::span(buffer)));
    } else {
      ssize_t got = 0;
      do got = ::read(descriptor, buffer.data(), buffer.size());
      while (got < 0 && errno == EINTR);
      if (got < 0) bad_file(name, "cannot be read: " + std::generic_category().message(errno));
      end = static_cast<std::size_t>(got);
    }
    return end > 0;
  }
};

LineReader::LineReader(int descriptor, std::string name, std::size_t max_bytes) : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->max_bytes = max_bytes;
  state_->descriptor = descriptor;
}

LineReader::LineReader(const Path& path, std::size_t max_bytes)
    : LineReader(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), path.string(), max_bytes) {
  State& s = *state_;
  if (s.descriptor < 0) bad_file(s.name, "cannot be opened: " + std::generic_category().message(errno));
  s.owned = true;
  struct stat status{};
  if (::fstat(s.descriptor, &status) != 0 || !S_ISREG(status.st_mode))
    bad_file(s.name, "is no regular file; a text file is needed here");
  if (s.fill() && is_gzip(view(std::string_view(s.buffer).substr(0, s.end)))) {
    s.compressed = read_file(path);
    s.inflater.emplace(s.compressed, Inflater::Format::Gzip, s.name);
    s.at = s.end = 0;
  }
}

LineReader::~LineReader() = default;

bool LineReader::next(Line& line) {
  State& s = *state_;
  line.text.clear();
  line.cut = false;
  if (s.at == s.end && !s.fill()) return false;
  bool ended = false;
  do {
    const char* from = s.buffer.data() + s.at;
    const auto* stop = static_cast<const char*>(std::memchr(from, '\n', s.end - s.at));
    ended = stop != nullptr;
    const std::size_t length = ended ? static_cast<std::size_t>(stop - from) : s.end - s.at;
    const std::size_t room = s.max_bytes - line.text.size();
    line.text.append(from, std::min(length, room));
    line.cut = line.cut || length > room;
    s.at += length + (ended ? 1 : 0);
  } while (!ended && (s.at < s.end || s.fill()));
  if (!line.cut && line.text.ends_with('\r')) line.text.pop_back();
  if (s.count == 0 && line.text.starts_with("\xef\xbb\xbf")) line.text.erase(0, 3);
  ++s.count;
  return true;
}

bool LineReader::ready(int milliseconds) const {
  const State& s = *state_;
  if (s.inflater || std::memchr(s.buffer.data() + s.at, '\n', s.end - s.at) != nullptr) return true;
  pollfd waiting{.fd = s.descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, milliseconds) != 0;
}

std::int64_t LineReader::count() const { return state_->count; }
const std::string& LineReader::name() const { return state_->name; }

}  // namespace tessera::data
