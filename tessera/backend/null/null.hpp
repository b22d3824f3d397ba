// Compiles and plans everything and computes nothing: results are zeros. For tests and plans of devices that are not
// there. `--device null`, `--device null:cuda`.
#pragma once

#include <memory>
#include <string>

#include "tessera/core/backend.hpp"

namespace tessera {

/// `target`: "cpu" or "cuda", the device whose plan is made.
std::unique_ptr<Backend> make_null_backend(std::string target);

}  // namespace tessera
