// The processor as a backend. Read next: pass/program.hpp (what lower gives), backend/cpu/executable.hpp (what runs
// it).
#pragma once

#include <memory>

#include "tessera/core/backend.hpp"

namespace tessera::cpu {

std::unique_ptr<Backend> make_backend();
/// The processor's name as the system gives it.
std::string processor_name();

}  // namespace tessera::cpu
