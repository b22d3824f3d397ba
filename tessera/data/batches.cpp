// Buckets and batches of encoded sentences.
#include "tessera/data/batches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::data {
namespace {

/// Random integers below a bound, the same on every machine: of the standard library only the generator is specified.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t epoch) {
    std::seed_seq sequence{seed & 0xffffffff, seed >> 32, epoch & 0xffffffff, epoch >> 32};
    engine_.seed(sequence);
  }
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t limit = most - most % bound;
    std::uint64_t value = 0;
    do value = engine_();
    while (value >= limit);
    return value % bound;
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

std::int64_t longer(const PairLength& length) { return std::max(length.source, length.target); }
std::int64_t sum(const PairLength& length) { return length.source + length.target; }

}  // namespace

void TokenSequences::push_back(std::span<const Token> sentence) {
  tokens_.insert(tokens_.end(), sentence.begin(), sentence.end());
  begins_.push_back(static_cast<std::int64_t>(tokens_.size()));
}

std::span<const Token> TokenSequences::operator[](std::int64_t i) const {
  const auto at = static_cast<std::size_t>(i);
  return std::span(tokens_).subspan(static_cast<std::size_t>(begins_[at]),
                                    static_cast<std::size_t>(begins_[at + 1] - begins_[at]));
}

std::vector<PairLength> EncodedPairs::lengths() const {
  std::vector<PairLength> all(static_cast<std::size_t>(size()));
  for (std::int64_t i = 0; i < size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    all[at].source = static_cast<std::int64_t>(source[i].size()) + 1;
    all[at].target = target.size() == 0 ? 0 : static_cast<std::int64_t>(target[i].size()) + 1;
  }
  return all;
}

EncodedPairs encode_pairs(const Vocabulary& vocabulary, const ParallelText& text, std::int64_t max_tokens,
                          CleaningReport& report) {
  EncodedPairs pairs;
  for (std::size_t i = 0; i < text.source.size(); ++i) {
    const std::vector<Token> source = vocabulary.encode(text.source[i]), target = vocabulary.encode(text.target[i]);
    if (max_tokens > 0 && static_cast<std::int64_t>(std::max(source.size(), target.size())) > max_tokens) {
      report.drop(Dropped::Tokens, text.lines.at(i));
      continue;
    }
    pairs.source.push_back(source);
    pairs.target.push_back(target);
  }
  return pairs;
}

EncodedPairs encode_sources(const Vocabulary& vocabulary, std::span<const std::string> sentences) {
  EncodedPairs pairs;
  for (const std::string& sentence : sentences) pairs.source.push_back(vocabulary.encode(sentence));
  return pairs;
}

std::vector<PairLength> choose_buckets(std::span<const PairLength> lengths, std::int64_t count) {
  if (lengths.empty() || count < 1) return {};
  PairLength largest;
  for (const PairLength& l : lengths)
    largest = {std::max(largest.source, l.source), std::max(largest.target, l.target)};
  // Lengths on a grid of at most 64 x 64 cells; fits[i][j]: pairs that fit into the length of cell (i, j).
  constexpr std::int64_t kCells = 64;
  const PairLength step{std::max<std::int64_t>(1, (largest.source + kCells - 1) / kCells),
                        std::max<std::int64_t>(1, (largest.target + kCells - 1) / kCells)};
  const std::int64_t rows = (largest.source + step.source - 1) / step.source + 1,
                     columns = (largest.target + step.target - 1) / step.target + 1;
  std::vector<std::int64_t> fits(static_cast<std::size_t>(rows * columns));
  const auto cell = [&](std::int64_t i, std::int64_t j) -> std::int64_t& {
    return fits[static_cast<std::size_t>(i * columns + j)];
  };
  for (const PairLength& l : lengths)
    ++cell((l.source + step.source - 1) / step.source, (l.target + step.target - 1) / step.target);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 1; j < columns; ++j) cell(i, j) += cell(i, j - 1);
  for (std::int64_t i = 1; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) cell(i, j) += cell(i - 1, j);

  // cost[b]: the fewest padded tokens for all pairs that fit into cell b, with the buckets so far, of which b is the
  // last.
  struct Best {
    std::int64_t cost;
    std::int64_t before;  ///< the cell of the bucket before, or -1
  };
  const std::int64_t cells = rows * columns;
  const auto padded = [&](std::int64_t b) {
    return PairLength{std::min(b / columns * step.source, largest.source),
                      std::min(b % columns * step.target, largest.target)};
  };
  std::vector<std::vector<Best>> best(1);
  for (std::int64_t b = 0; b < cells; ++b) best[0].push_back({fits[static_cast<std::size_t>(b)] * sum(padded(b)), -1});
  for (std::int64_t k = 1; k < count; ++k) {
    const std::vector<Best>& last = best.back();
    std::vector<Best> next = last;
    for (std::int64_t b = 0; b < cells; ++b) {
      const std::int64_t area = sum(padded(b));
      for (std::int64_t i = 0; i <= b / columns; ++i) {
        for (std::int64_t j = 0; j <= b % columns; ++j) {
          const auto a = static_cast<std::size_t>(i * columns + j);
          const std::int64_t cost = last[a].cost + (fits[static_cast<std::size_t>(b)] - fits[a]) * area;
          if (cost < next[static_cast<std::size_t>(b)].cost)
            next[static_cast<std::size_t>(b)] = {cost, static_cast<std::int64_t>(a)};
        }
      }
    }
    best.push_back(std::move(next));
  }
  std::vector<PairLength> buckets;
  std::int64_t b = cells - 1;
  for (auto k = static_cast<std::int64_t>(best.size()) - 1; k >= 0 && b >= 0; --k) {
    const Best& here = best[static_cast<std::size_t>(k)][static_cast<std::size_t>(b)];
    // The same as with a bucket less: that one says what came before.
    if (k > 0 && here.cost == best[static_cast<std::size_t>(k) - 1][static_cast<std::size_t>(b)].cost) continue;
    buckets.push_back(padded(b));
    b = here.before;
  }
  std::reverse(buckets.begin(), buckets.end());
  return buckets;
}

BatchPlan::BatchPlan(std::vector<PairLength> lengths, std::span<const PairLength> buckets, std::int64_t tokens,
                     std::int64_t max_rows)
    : lengths_(std::move(lengths)) {
  if (tokens < 1 || max_rows < 1)
    throw Error(ErrorKind::Usage, fmt::format("batches of {} tokens and {} rows hold nothing", tokens, max_rows));
  const auto add_bucket = [&](const PairLength& padded) {
    std::int64_t rows = std::clamp<std::int64_t>(tokens / std::max<std::int64_t>(longer(padded), 1), 1, max_rows);
    if (rows > 8) rows -= rows % 8;
    buckets_.push_back({padded, rows});
  };
  for (const PairLength& padded : buckets) add_bucket(padded);
  PairLength largest, all;
  for (const PairLength& b : buckets)
    largest = {std::max(largest.source, b.source), std::max(largest.target, b.target)};
  for (const PairLength& l : lengths_) all = {std::max(all.source, l.source), std::max(all.target, l.target)};
  while (!largest.holds(all)) {
    if (largest.source < all.source) largest.source = std::max<std::int64_t>(2 * largest.source, 8);
    if (largest.target < all.target) largest.target = std::max<std::int64_t>(2 * largest.target, 8);
    add_bucket(largest);
  }
  std::vector<std::int64_t> sizes(buckets_.size());
  for (const PairLength& l : lengths_) {
    std::size_t b = 0;
    while (!buckets_[b].padded.holds(l)) ++b;
    bucket_of_.push_back(b);
    ++sizes[b];
  }
  for (std::size_t b = 0; b < sizes.size(); ++b) batches_ += (sizes[b] + buckets_[b].rows - 1) / buckets_[b].rows;
}

std::vector<BatchPlan::Batch> BatchPlan::deal(std::span<const std::int64_t> order) const {
  std::vector<Batch> full, open(buckets_.size());
  full.reserve(static_cast<std::size_t>(batches_));
  for (const std::int64_t pair : order) {
    const std::size_t b = bucket_of_[static_cast<std::size_t>(pair)];
    open[b].bucket = b;
    open[b].pairs.push_back(pair);
    if (static_cast<std::int64_t>(open[b].pairs.size()) == buckets_[b].rows) full.push_back(std::exchange(open[b], {}));
  }
  for (Batch& batch : open)
    if (!batch.pairs.empty()) full.push_back(std::move(batch));
  return full;
}

std::vector<BatchPlan::Batch> BatchPlan::epoch(std::uint64_t seed, std::int64_t epoch) const {
  Random random(seed, static_cast<std::uint64_t>(epoch));
  std::vector<std::int64_t> order(lengths_.size());
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  std::vector<Batch> all = deal(order);
  random.shuffle(all);
  return all;
}

std::vector<BatchPlan::Batch> BatchPlan::sorted() const {
  std::vector<std::int64_t> order(lengths_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return sum(lengths_[static_cast<std::size_t>(a)]) > sum(lengths_[static_cast<std::size_t>(b)]);
  });
  return deal(order);
}

double BatchPlan::fill() const {
  std::int64_t real = 0, padded = 0;
  for (const PairLength& l : lengths_) real += sum(l);
  for (const Batch& batch : sorted()) padded += buckets_[batch.bucket].rows * sum(buckets_[batch.bucket].padded);
  return padded == 0 ? 1 : static_cast<double>(real) / static_cast<double>(padded);
}

TokenBatch make_batch(const EncodedPairs& pairs, const BatchPlan& plan, const BatchPlan::Batch& batch) {
  const BatchPlan::Bucket& bucket = plan.buckets()[batch.bucket];
  const auto [source_width, target_width] = bucket.padded;
  const auto filled = [&](std::int64_t width, Token value) {
    return Literal::full_integer({DType::I32, {bucket.rows, width}}, value);
  };
  TokenBatch made{.source = filled(source_width, Vocabulary::kPad),
                  .source_length = Literal::full_integer({DType::I32, {bucket.rows}}, 1),
                  .target_input = filled(target_width, Vocabulary::kPad),
                  .target_output = filled(target_width, Vocabulary::kPad),
                  .target_length = Literal::full_integer({DType::I32, {bucket.rows}}, 0),
                  .pairs = static_cast<std::int64_t>(batch.pairs.size())};
  const auto source = made.source.as<Token>(), input = made.target_input.as<Token>(),
             output = made.target_output.as<Token>();
  for (std::int64_t row = 0; row < bucket.rows; ++row) {
    const auto at = static_cast<std::size_t>(row);
    const bool real = row < made.pairs;
    const auto words = real ? pairs.source[batch.pairs[at]] : std::span<const Token>();
    std::copy(words.begin(), words.end(), source.begin() + row * source_width);
    source[static_cast<std::size_t>(row * source_width) + words.size()] = Vocabulary::kEnd;
    made.source_length.as<Token>()[at] = static_cast<Token>(words.size()) + 1;
    if (!real || target_width == 0) continue;
    const auto translation = pairs.target[batch.pairs[at]];
    const auto first = static_cast<std::size_t>(row * target_width);
    input[first] = Vocabulary::kBegin;
    std::copy(translation.begin(), translation.end(), input.begin() + row * target_width + 1);
    std::copy(translation.begin(), translation.end(), output.begin() + row * target_width);
    output[first + translation.size()] = Vocabulary::kEnd;
    made.target_length.as<Token>()[at] = static_cast<Token>(translation.size()) + 1;
    made.target_tokens += static_cast<std::int64_t>(translation.size()) + 1;
  }
  return made;
}

}  // namespace tessera::data
