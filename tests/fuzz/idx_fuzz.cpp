// Fuzz target: IDX files, plain and compressed.
#include <cstddef>
#include <cstdint>

#include "tessera/core/error.hpp"
#include "tessera/data/idx.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)tessera::data::parse_idx(std::as_bytes(std::span(data, size)), "fuzz");
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  return 0;
}
