// Errors that a person can act on, and the source locations that they carry.
// An Error says what was wrong, where, and what to do; its kind is the exit code of the command.
#pragma once

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>

namespace tessera {

/// Why something failed. The values are the command's exit codes.
enum class ErrorKind : std::uint8_t {
  Failed = 1,       ///< bad input, a failed check, a run that diverged
  Usage = 2,        ///< the call or the command line is wrong
  Unsupported = 3,  ///< an operation, type, device or library that is not to be had here
  Interrupted = 130,
};

/// The one exception type that Tessera throws on purpose.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : Error(ErrorKind::Failed, message) {}
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  [[nodiscard]] ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// A place in the user's source. The strings are literals of the compiler and live forever.
struct Location {
  const char* file = "";
  std::uint32_t line = 0;

  Location() = default;
  Location(const std::source_location& at)
      : file(at.file_name()), line(at.line()) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] bool known() const { return line != 0; }
};

/// "file.cpp:12", or "" when the place is not known.
std::string to_string(const Location& location);

}  // namespace tessera
