// Fuzz target: StableHLO text. What reads must verify, and read back as the same graph after it was printed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tessera/core/error.hpp"
#include "tessera/ir/text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera::ir;
  Module module;
  try {
    module = parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const tessera::Error&) {
    return 0;
  }
  for (const Function& function : module.functions) {
    verify(*function.graph);
    const std::string key = function.graph->key();
    for (const bool generic : {false, true})
      if (parse(print(*function.graph, {.generic = generic}), "printed").entry()->key() != key) std::abort();
  }
  return 0;
}
