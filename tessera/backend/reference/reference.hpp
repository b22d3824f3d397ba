// Runs a graph by the reference interpreter: slow and obvious. `--device reference`.
#pragma once

#include <memory>

#include "tessera/core/backend.hpp"

namespace tessera {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace tessera
