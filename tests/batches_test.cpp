// Buckets, batches and their order: every pair once, few shapes, the same from the same seed, resumed anywhere.
#include "tessera/data/batches.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tessera/core/error.hpp"

namespace tessera::data {
namespace {

using Lengths = std::vector<PairLength>;

/// Lengths as sentences have them, and a few wild ones.
Lengths some_lengths(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Lengths all;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t base = 3 + random() % 15 + random() % 15 + (random() % 20 == 0 ? random() % 60 : 0);
    all.push_back({base, std::max<std::int64_t>(1, base + static_cast<std::int64_t>(random() % 9) - 4)});
  }
  return all;
}

std::int64_t padded_tokens(const Lengths& lengths, const Lengths& buckets) {
  std::int64_t sum = 0;
  for (const PairLength& l : lengths) {
    const auto bucket = std::find_if(buckets.begin(), buckets.end(), [&](const PairLength& b) { return b.holds(l); });
    EXPECT_NE(bucket, buckets.end());
    sum += bucket->source + bucket->target;
  }
  return sum;
}

TEST(Buckets, AreTheBestThereAre) {
  // Small enough to try every chain of three.
  const Lengths lengths = some_lengths(300, 7);
  Lengths small;
  for (const PairLength& l : lengths)
    if (l.source <= 12 && l.target <= 12) small.push_back(l);
  const Lengths chosen = choose_buckets(small, 3);
  ASSERT_LE(chosen.size(), 3U);
  PairLength top;
  for (const PairLength& l : small) top = {std::max(top.source, l.source), std::max(top.target, l.target)};
  std::int64_t best = padded_tokens(small, {top});
  for (std::int64_t a = 1; a <= top.source; ++a)
    for (std::int64_t b = 1; b <= top.target; ++b)
      for (std::int64_t c = a; c <= top.source; ++c)
        for (std::int64_t d = b; d <= top.target; ++d)
          best = std::min(best, padded_tokens(small, {{a, b}, {c, d}, top}));
  EXPECT_EQ(padded_tokens(small, chosen), best);
}

TEST(Buckets, HoldEverythingAndNest) {
  for (const std::int64_t count : {1, 2, 4, 8}) {
    const Lengths lengths = some_lengths(2000, 11), chosen = choose_buckets(lengths, count);
    ASSERT_LE(static_cast<std::int64_t>(chosen.size()), count);
    for (std::size_t i = 1; i < chosen.size(); ++i) EXPECT_TRUE(chosen[i].holds(chosen[i - 1]));
    for (const PairLength& l : lengths) EXPECT_TRUE(chosen.back().holds(l));
  }
  EXPECT_EQ(choose_buckets(Lengths{{5, 7}}, 6), (Lengths{{5, 7}}));
  EXPECT_EQ(choose_buckets(Lengths{{5, 0}, {9, 0}}, 6), (Lengths{{5, 0}, {9, 0}})) << "sources alone";
  EXPECT_EQ(choose_buckets(Lengths{{100000, 3}, {2, 2}}, 6).back(), (PairLength{100000, 3}));
  EXPECT_TRUE(choose_buckets({}, 6).empty());
}

void expect_every_pair_once(const BatchPlan& plan, const std::vector<BatchPlan::Batch>& batches,
                            const Lengths& lengths) {
  EXPECT_EQ(static_cast<std::int64_t>(batches.size()), plan.batches());
  std::vector<int> seen(lengths.size());
  for (const BatchPlan::Batch& batch : batches) {
    const BatchPlan::Bucket& bucket = plan.buckets()[batch.bucket];
    EXPECT_LE(static_cast<std::int64_t>(batch.pairs.size()), bucket.rows);
    EXPECT_FALSE(batch.pairs.empty());
    for (const std::int64_t pair : batch.pairs) {
      EXPECT_TRUE(bucket.padded.holds(lengths[static_cast<std::size_t>(pair)]));
      ++seen[static_cast<std::size_t>(pair)];
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(seen.size()));
}

TEST(Batches, TakeEveryPairOnceInFewShapes) {
  const auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  const Lengths lengths = some_lengths(3000, seed);
  const BatchPlan plan(lengths, choose_buckets(lengths, 5), 1000);
  EXPECT_LE(plan.buckets().size(), 5U);
  expect_every_pair_once(plan, plan.epoch(1, 0), lengths);
  expect_every_pair_once(plan, plan.sorted(), lengths);
  EXPECT_GT(plan.fill(), 0.7);
  EXPECT_LE(plan.fill(), 1);
  for (const BatchPlan::Bucket& b : plan.buckets())
    EXPECT_LE(b.rows * std::max(b.padded.source, b.padded.target), 1000);
}

std::vector<std::vector<std::int64_t>> order_of(const std::vector<BatchPlan::Batch>& batches) {
  std::vector<std::vector<std::int64_t>> order;
  for (const BatchPlan::Batch& batch : batches) order.push_back(batch.pairs);
  return order;
}

TEST(Batches, DependOnSeedAndEpochAlone) {
  const Lengths lengths = some_lengths(500, 3);
  const BatchPlan plan(lengths, choose_buckets(lengths, 4), 400), again(lengths, choose_buckets(lengths, 4), 400);
  const auto first = order_of(plan.epoch(5, 2));
  (void)again.epoch(5, 0);
  EXPECT_EQ(order_of(again.epoch(5, 2)), first);
  EXPECT_NE(order_of(plan.epoch(5, 3)), first);
  EXPECT_NE(order_of(plan.epoch(6, 2)), first);
  EXPECT_NE(order_of(plan.epoch(5 + (std::uint64_t{1} << 32), 2)), first);
  // Recorded: the order is the same on every machine and stays the same, so runs can be resumed.
  const BatchPlan small(Lengths(10, {1, 1}), Lengths{{1, 1}}, 4);
  EXPECT_EQ(order_of(small.epoch(1, 0)), (std::vector<std::vector<std::int64_t>>{{0, 4}, {2, 1, 8, 9}, {6, 7, 3, 5}}));
}

TEST(Batches, LongPairsGetBucketsOfTheirOwn) {
  const Lengths lengths{{3, 4}, {10, 10}, {50, 3}, {3, 70}};
  const BatchPlan plan(lengths, Lengths{{5, 5}, {12, 12}}, 60);
  expect_every_pair_once(plan, plan.sorted(), lengths);
  EXPECT_EQ(plan.buckets()[0], (BatchPlan::Bucket{{5, 5}, 8}));
  EXPECT_EQ(plan.buckets()[1], (BatchPlan::Bucket{{12, 12}, 5}));
  EXPECT_TRUE(plan.buckets().back().padded.holds({50, 70}));
  EXPECT_EQ(plan.buckets().back().rows, 1) << "longer than a batch";
  EXPECT_THROW(BatchPlan(lengths, Lengths{}, 0), Error);
  EXPECT_EQ(BatchPlan({}, Lengths{}, 100).batches(), 0);
}

TEST(Batches, SortedOnesBeginWithTheLongest) {
  const Lengths lengths = some_lengths(400, 9);
  const BatchPlan plan(lengths, choose_buckets(lengths, 1), 500);
  std::int64_t before = 1 << 20;
  for (const BatchPlan::Batch& batch : plan.sorted()) {
    for (const std::int64_t pair : batch.pairs) {
      const PairLength& l = lengths[static_cast<std::size_t>(pair)];
      EXPECT_LE(l.source + l.target, before);
      before = l.source + l.target;
    }
  }
}

TEST(Batches, ArePaddedArrays) {
  EncodedPairs pairs;
  pairs.source.push_back(std::vector<Token>{300, 301, 302});
  pairs.target.push_back(std::vector<Token>{400});
  pairs.source.push_back(std::vector<Token>{});
  pairs.target.push_back(std::vector<Token>{401, 402});
  ASSERT_EQ(pairs.lengths(), (Lengths{{4, 2}, {1, 3}}));
  const BatchPlan plan(pairs.lengths(), Lengths{{5, 3}}, 15);
  ASSERT_EQ(plan.buckets()[0].rows, 3);
  const TokenBatch batch = make_batch(pairs, plan, {0, {1, 0}});
  const auto values = [](const Literal& l) { return std::vector<Token>(l.as<Token>().begin(), l.as<Token>().end()); };
  using Tokens = std::vector<Token>;
  EXPECT_EQ(batch.source.shape(), (Shape{3, 5}));
  EXPECT_EQ(values(batch.source), (Tokens{3, 0, 0, 0, 0, 300, 301, 302, 3, 0, 3, 0, 0, 0, 0}));
  EXPECT_EQ(values(batch.source_length), (Tokens{1, 4, 1}));
  EXPECT_EQ(values(batch.target_input), (Tokens{2, 401, 402, 2, 400, 0, 0, 0, 0}));
  EXPECT_EQ(values(batch.target_output), (Tokens{401, 402, 3, 400, 3, 0, 0, 0, 0}));
  EXPECT_EQ(values(batch.target_length), (Tokens{3, 2, 0}));
  EXPECT_EQ(batch.pairs, 2);
  EXPECT_EQ(batch.target_tokens, 5);
}

TEST(Batches, OfEncodedText) {
  const ParallelText text{{"a b c", "a a a a a a a a a a a a", "c"}, {"x y", "x", "y y"}, {1, 5, 7}};
  const Vocabulary vocabulary = train_vocabulary(text.source, text.target);
  CleaningReport report;
  report.read = 3;
  const EncodedPairs pairs = encode_pairs(vocabulary, text, 10, report);
  ASSERT_EQ(pairs.size(), 2);
  EXPECT_EQ(vocabulary.decode(pairs.target[1]), "y y");
  EXPECT_EQ(report.text(), "3 pairs read, 2 kept; left out: 1 with too many tokens (first: line 5)");
  // Decoding: sources alone, put back in order.
  const EncodedPairs sources = encode_sources(vocabulary, text.source);
  const BatchPlan plan(sources.lengths(), choose_buckets(sources.lengths(), 2), 20);
  std::vector<std::string> back(3);
  for (const BatchPlan::Batch& batch : plan.sorted()) {
    const TokenBatch made = make_batch(sources, plan, batch);
    EXPECT_EQ(made.target_input.shape()[1], 0);
    const std::int64_t width = made.source.shape()[1];
    for (std::size_t row = 0; row < batch.pairs.size(); ++row)
      back[static_cast<std::size_t>(batch.pairs[row])] = vocabulary.decode(
          made.source.as<Token>().subspan(row * static_cast<std::size_t>(width), static_cast<std::size_t>(width)));
  }
  EXPECT_EQ(back, text.source);
}

}  // namespace
}  // namespace tessera::data
