// Fuzz target: recipes. What reads must print as text that reads back equal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/core/error.hpp"
#include "tessera/train/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::train;
  try {
    const Config config = parse_config({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (parse_config(format_config(config), "again") != config) std::abort();
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  return 0;
}
