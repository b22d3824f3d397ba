// Printing of source locations.
#include "tessera/core/error.hpp"

namespace tessera {

std::string to_string(const Location& location) {
  return location.known() ? std::string(location.file) + ":" + std::to_string(location.line) : std::string();
}

}  // namespace tessera
