// What an Error says, in tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera {

/// The message of the Error of this kind that `f` throws.
inline std::string failure(const std::function<void()>& f, ErrorKind kind = ErrorKind::Usage) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  return "no error";
}

}  // namespace tessera

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
