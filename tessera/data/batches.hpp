// Sentences of different lengths as batches of few shapes, so that few programs are compiled: pairs go into buckets of
// padded lengths, a batch takes rows of one bucket, all buckets have about as many tokens in a batch.
// In: encoded pairs. Out: padded arrays. The order is a function of seed and epoch alone: batch k of an epoch is the
// same whether or not the ones before it were made.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tessera/core/literal.hpp"
#include "tessera/data/parallel_text.hpp"
#include "tessera/data/vocabulary.hpp"

namespace tessera::data {

/// Many sentences in one array.
class TokenSequences {
 public:
  void push_back(std::span<const Token> sentence);
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(begins_.size()) - 1; }
  [[nodiscard]] std::span<const Token> operator[](std::int64_t i) const;
  /// Of all sentences together.
  [[nodiscard]] std::int64_t tokens() const { return begins_.back(); }

 private:
  std::vector<Token> tokens_;
  std::vector<std::int64_t> begins_{0};
};

/// Tokens of a pair, the end token of each side included.
struct PairLength {
  std::int64_t source = 0, target = 0;
  bool operator==(const PairLength&) const = default;
  /// True when a pair of that length fits into this one padded.
  [[nodiscard]] bool holds(const PairLength& other) const { return other.source <= source && other.target <= target; }
};

struct EncodedPairs {
  TokenSequences source, target;  ///< without reserved tokens
  [[nodiscard]] std::int64_t size() const { return source.size(); }
  [[nodiscard]] std::vector<PairLength> lengths() const;
};

/// Pairs with a side of more than `max_tokens` are left out and counted in the report (0: none is).
EncodedPairs encode_pairs(const Vocabulary& vocabulary, const ParallelText& text, std::int64_t max_tokens,
                          CleaningReport& report);
/// Sources alone, for decoding: the length of every target is 0.
EncodedPairs encode_sources(const Vocabulary& vocabulary, std::span<const std::string> sentences);

/// At most `count` padded lengths, each holding the one before, that together need the fewest padded tokens. The last
/// one holds every pair.
std::vector<PairLength> choose_buckets(std::span<const PairLength> lengths, std::int64_t count);

class BatchPlan {
 public:
  struct Bucket {
    PairLength padded;
    std::int64_t rows;  ///< of each batch
    bool operator==(const Bucket&) const = default;
  };
  struct Batch {
    std::size_t bucket = 0;
    std::vector<std::int64_t> pairs;  ///< their indices, at most as many as the bucket has rows
  };

  /// A pair goes into the first bucket that holds it; what none holds gets buckets of twice the length. A batch has
  /// about `tokens` padded tokens on its longer side, and at most `max_rows` rows.
  BatchPlan(std::vector<PairLength> lengths, std::span<const PairLength> buckets, std::int64_t tokens,
            std::int64_t max_rows = 1024);

  [[nodiscard]] const std::vector<Bucket>& buckets() const { return buckets_; }
  /// Batches of an epoch, the same number in each.
  [[nodiscard]] std::int64_t batches() const { return batches_; }
  /// Every pair once, in an order that depends on `seed` and `epoch` alone.
  [[nodiscard]] std::vector<Batch> epoch(std::uint64_t seed, std::int64_t epoch) const;
  /// Every pair once, long ones first: for evaluation and decoding. Results go back by Batch::pairs.
  [[nodiscard]] std::vector<Batch> sorted() const;
  /// The part of the padded tokens of an epoch that are tokens of a sentence.
  [[nodiscard]] double fill() const;

 private:
  std::vector<Batch> deal(std::span<const std::int64_t> order) const;

  std::vector<PairLength> lengths_;
  std::vector<Bucket> buckets_;
  std::vector<std::size_t> bucket_of_;
  std::int64_t batches_ = 0;
};

/// What a step takes. Rows that the batch lacks have the source </s> and a target of length 0.
struct TokenBatch {
  Literal source;          ///< i32 [rows, source length]: pieces, </s>, <pad>...
  Literal source_length;   ///< i32 [rows], at least 1
  Literal target_input;    ///< i32 [rows, target length]: <s>, pieces, <pad>...
  Literal target_output;   ///< i32 [rows, target length]: pieces, </s>, <pad>...
  Literal target_length;   ///< i32 [rows]: tokens of target_output, </s> included; 0 in a row that is none
  std::int64_t pairs = 0;  ///< rows that are pairs
  std::int64_t target_tokens = 0;
};

TokenBatch make_batch(const EncodedPairs& pairs, const BatchPlan& plan, const BatchPlan::Batch& batch);

}  // namespace tessera::data
