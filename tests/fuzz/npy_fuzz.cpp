// Fuzz target: NPY and NPZ files. What reads as an array must read back equal after it was written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/core/error.hpp"
#include "tessera/data/npy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::data;
  const ByteView bytes = std::as_bytes(std::span(data, size));
  try {
    (void)parse_npz(bytes, "fuzz");
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  try {
    const tessera::Literal array = parse_npy(bytes, "fuzz");
    if (!parse_npy(format_npy(array), "again").identical(array)) std::abort();
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  return 0;
}
