// Comparing arrays in tests, and random ones to compare.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "tessera/tessera.hpp"

namespace tessera {

/// Every element within tolerance * (1 + |b|).
inline void expect_near(const Array& a, const Array& b, double tolerance = 1e-5) {
  ASSERT_EQ(a.type(), b.type());
  const Literal x = a.literal();
  const Literal y = b.literal();
  for (std::int64_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(x.get_double(i), y.get_double(i), tolerance * (1 + std::abs(y.get_double(i)))) << "element " << i;
}

/// Standard normal numbers.
inline Array sample(std::uint64_t seed, const Shape& shape) { return random::normal(Key(seed), shape); }

}  // namespace tessera
