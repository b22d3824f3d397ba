// Products of a matrix and a vector for each of a batch become sums on the CPU: the same values, for every order of
// dimensions; other products stay.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tessera/backend/cpu/library.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera::cpu {
namespace {

using Dimensions = ir::Builder::DotDimensions;

/// Small integers: sums are exact in any order.
Literal integers(const Shape& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  for (float& v : values) v = static_cast<float>(random() % 9) - 4;
  return Literal::from(shape, values);
}

/// True when the product became a sum; its values are those of the product either way.
bool becomes_sum(const Shape& left, const Shape& right, const Dimensions& dimensions) {
  ir::Graph graph;
  ir::Builder b{graph};
  const ir::Value x = graph.parameter({DType::F32, left}), y = graph.parameter({DType::F32, right});
  graph.results = {b.dot_general(x, y, dimensions)};
  const ir::Graph changed = use_sums_for_thin_products(graph);
  ir::verify(changed);
  const std::vector<Literal> arguments{integers(left, 1), integers(right, 2)};
  const Literal want = ir::interpret(graph, arguments)[0], got = ir::interpret(changed, arguments)[0];
  EXPECT_EQ(got.type(), want.type());
  EXPECT_TRUE(std::ranges::equal(got.as<float>(), want.as<float>()));
  return std::ranges::none_of(changed.nodes, [](const ir::Node& node) { return node.op == ir::Op::DotGeneral; });
}

TEST(ThinProducts, BecomeSums) {
  EXPECT_TRUE(becomes_sum({4, 1, 6}, {4, 6, 5}, {{0}, {0}, {2}, {1}}));  // weights of a memory
  EXPECT_TRUE(becomes_sum({4, 1, 5}, {4, 6, 5}, {{0}, {0}, {2}, {2}}));  // scores
  EXPECT_TRUE(becomes_sum({4, 6, 5}, {4, 5}, {{0}, {0}, {2}, {1}}));
  EXPECT_TRUE(becomes_sum({6, 4}, {4, 6, 5}, {{1}, {0}, {0}, {1}}));
  EXPECT_TRUE(becomes_sum({4, 6}, {4, 6}, {{0}, {0}, {1}, {1}}));
  EXPECT_TRUE(becomes_sum({2, 3, 1, 4}, {2, 3, 7, 4}, {{0, 1}, {0, 1}, {3}, {3}}));
  EXPECT_TRUE(becomes_sum({3, 4, 1, 2}, {2, 3, 7, 4}, {{3, 0}, {0, 1}, {1}, {3}}));
  EXPECT_TRUE(becomes_sum({4, 1, 2, 3}, {4, 3, 5, 2}, {{0}, {0}, {2, 3}, {3, 1}}));
}

TEST(ThinProducts, OthersStay) {
  EXPECT_FALSE(becomes_sum({4, 2, 6}, {4, 6, 5}, {{0}, {0}, {2}, {1}}));  // two rows
  EXPECT_FALSE(becomes_sum({1, 6}, {6, 5}, {{}, {}, {1}, {0}}));          // one matrix
  EXPECT_FALSE(becomes_sum({1, 1, 6}, {1, 6, 5}, {{0}, {0}, {2}, {1}}));  // the same
  EXPECT_FALSE(becomes_sum({4, 1, 6}, {6, 5, 4}, {{0}, {2}, {2}, {0}}));  // batches that lie innermost
  EXPECT_FALSE(becomes_sum({4, 3, 1}, {4, 1, 5}, {{0}, {0}, {2}, {1}}));  // no sum at all
}

}  // namespace
}  // namespace tessera::cpu
