// Fuzz target: gettext catalogues. All strings lie inside of the bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/core/error.hpp"
#include "tessera/data/gettext.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::data;
  const ByteView bytes = std::as_bytes(std::span(data, size));
  const std::string_view all = text(bytes);
  try {
    for (const auto& [message, translation] : parse_catalogue(bytes, "fuzz")) {
      for (const std::string_view part : {message, translation})
        if (part.data() < all.data() || part.data() + part.size() > all.data() + all.size()) std::abort();
    }
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  return 0;
}
