// The processor asked, then the person.
#include "tessera/backend/cpu/isa.hpp"

#include <algorithm>
#include <cstdlib>

#include "tessera/core/error.hpp"

namespace tessera::cpu {
namespace {

Isa of_processor() {
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) return Isa::Sse2;
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  if (!avx512) return Isa::Avx2;
  return __builtin_cpu_supports("avx512bf16") != 0 ? Isa::Avx512Bf16 : Isa::Avx512;
}

Isa choose() {
  const Isa widest = of_processor();
  const char* text = std::getenv("TESSERA_ISA");
  const std::string asked = text == nullptr ? "" : text;
  if (asked.empty()) return widest;
  for (const Isa isa : {Isa::Sse2, Isa::Avx2, Isa::Avx512})
    if (asked == name_of(isa)) return std::min(isa, widest);
  throw Error(ErrorKind::Usage, "TESSERA_ISA: \"" + asked + "\" is none of sse2, avx2, avx512");
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

std::string name_of(Isa isa) {
  switch (isa) {
    case Isa::Sse2: return "sse2";
    case Isa::Avx2: return "avx2";
    case Isa::Avx512: return "avx512";
    case Isa::Avx512Bf16: break;
  }
  return "avx512+bf16";
}

}  // namespace tessera::cpu
