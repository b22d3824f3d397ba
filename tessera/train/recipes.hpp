// The texts of recipes/*.toml, which the build puts into the library (CMakeLists.txt). Read next: train/config.hpp.
#pragma once

#include <span>
#include <string_view>
#include <utility>

namespace tessera::train {

/// Name and text of each built-in recipe, in the order of their names.
std::span<const std::pair<std::string_view, std::string_view>> built_in_recipes();

}  // namespace tessera::train
