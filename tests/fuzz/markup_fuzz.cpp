// Fuzz target: marked-up text. What comes out is one line of UTF-8; sentences hold all of it; scores of it are scores.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/data/markup.hpp"
#include "tessera/data/scores.hpp"
#include "tessera/data/utf8.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::data;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string text = strip_markup(bytes, [](const Tag& tag) { return tag.attribute("class") == "MAC"; });
  if (find_invalid_utf8(text) != std::string::npos || text.find('\n') != std::string::npos) std::abort();
  std::string joined;
  for (const std::string& sentence : split_sentences(text)) joined += (joined.empty() ? "" : " ") + sentence;
  if (joined != text) std::abort();
  const double bleu = sentence_bleu(bytes, text).score, chrf = sentence_chrf(bytes, text).score;
  if (!(bleu >= 0 && bleu <= 100.001 && chrf >= 0 && chrf <= 100.001)) std::abort();
  return 0;
}
