// Fuzz target: SentencePiece models. What reads must read back equal after it was written, and cut and join any text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/core/error.hpp"
#include "tessera/data/vocabulary.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::data;
  const ByteView bytes = std::as_bytes(std::span(data, size));
  try {
    const std::string again = format_piece_model(parse_piece_model(bytes, "fuzz"));
    if (format_piece_model(parse_piece_model(view(again), "again")) != again) std::abort();
    const Vocabulary vocabulary = Vocabulary::parse(bytes, "fuzz");
    const std::string_view sentence = "a b\u00e9\u6f22 <s>";
    if (vocabulary.decode(vocabulary.encode(sentence)) != sentence) std::abort();
    (void)vocabulary.decode(vocabulary.encode(text(bytes).substr(0, 1000)));
  } catch (const tessera::Error&) {
    // A refusal is fine; anything else ends the run.
  }
  return 0;
}
