// The device on which the tests of backends and of training run: TESSERA_TEST_DEVICE, or the CPU. A test that includes
// this runs its arrays there.
#pragma once

#include <cstdlib>
#include <string>

#include "tessera/array/array.hpp"

namespace tessera {

inline std::string test_device() {
  const char* name = std::getenv("TESSERA_TEST_DEVICE");
  return name == nullptr ? "cpu" : name;
}

inline const bool kArraysRunThere = [] {
  set_default_device(test_device());
  return true;
}();

}  // namespace tessera
