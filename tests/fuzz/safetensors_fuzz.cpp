// Fuzz target: safetensors files. What reads must read back equal after it was written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/core/error.hpp"
#include "tessera/data/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::data;
  try {
    const NamedTensors content = parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
    const NamedTensors again = parse_safetensors(format_safetensors(content), "again");
    if (again.tensors.size() != content.tensors.size() || again.metadata != content.metadata) std::abort();
    for (const auto& [name, literal] : content.tensors) {
      if (!again.tensors.at(name).identical(literal)) std::abort();
    }
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  return 0;
}
