// The lines of a text, one after another: a file, plain or .gz, or what comes in through a descriptor. Memory stays
// bounded whatever the text holds. Used by data/parallel_text.cpp and by the command.
#pragma once

#include <memory>
#include <string>

#include "tessera/data/files.hpp"

namespace tessera::data {

/// Bytes of a line that are kept: a million characters of any language's.
constexpr std::size_t kMaxLineBytes = 4'000'000;

struct Line {
  std::string text;
  bool cut = false;  ///< it was longer than the reader keeps; `text` is its beginning
};

/// A line ends with \n or \r\n; the last one may lack it. A byte order mark at the beginning is left out.
class LineReader {
 public:
  /// Throws Error when the file is missing or cannot be read.
  explicit LineReader(const Path& path, std::size_t max_bytes = kMaxLineBytes);
  /// Lines come as soon as they are there. The descriptor stays open; `name` is for messages.
  LineReader(int descriptor, std::string name, std::size_t max_bytes = kMaxLineBytes);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// False at the end. Throws Error when reading fails, or when compressed data is damaged.
  bool next(Line& line);
  /// False when next() would have to wait, for more than so long, for somebody to write.
  [[nodiscard]] bool ready(int milliseconds) const;
  /// Lines read so far.
  [[nodiscard]] std::int64_t count() const;
  /// The file's name, as in messages.
  [[nodiscard]] const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::data
