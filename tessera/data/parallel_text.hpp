// Text in two languages, sentence by sentence: read from a folder, cleaned, with an account of what was left out.
// In: train.LL, valid.LL, test.LL for both languages, plain or .gz, a line a sentence; or SPLIT.tsv. Out:
// ParallelCorpus. Read next: data/vocabulary.hpp, data/batches.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/data/files.hpp"

namespace tessera::data {

struct ParallelText {
  std::vector<std::string> source, target;  ///< sentence i of one is the translation of sentence i of the other
  std::vector<std::int64_t> lines;          ///< where they stand in their files, from 1
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(source.size()); }
};

/// Why a pair of lines was left out.
enum class Dropped : std::uint8_t { Columns, TooLong, Nul, InvalidUtf8, Empty, Characters, Ratio, Copy, Tokens };
constexpr std::size_t kDroppedReasons = 9;

/// How many pairs were read, and how many were left out for which reason.
struct CleaningReport {
  std::int64_t read = 0;
  std::array<std::int64_t, kDroppedReasons> dropped{};
  std::array<std::int64_t, kDroppedReasons> first_line{};  ///< where each reason was first met, from 1

  void drop(Dropped reason, std::int64_t line);
  [[nodiscard]] std::int64_t kept() const;
  /// "29000 pairs read, 28990 kept; left out: 7 with an empty side (first: line 12), 3 copies (first: line 40)".
  [[nodiscard]] std::string text() const;
};

/// What stays. What is no text at all goes in any case: NUL, invalid UTF-8, lines beyond kMaxLineBytes.
struct Cleaning {
  bool only_text = false;             ///< keep all that is text, as evaluation does
  std::int64_t max_characters = 600;  ///< of either side
  double max_ratio = 3;               ///< of the two lengths in characters, 10 added to each

  /// True when the pair stays; else the reason is counted for `line`. Counts the pair as read.
  bool keep(std::string_view source, std::string_view target, std::int64_t line, CleaningReport& report) const;
};

/// Throws Error (Usage) unless these are two names that may be ends of file names.
void check_languages(const std::string& source, const std::string& target);

struct ParallelSplit {
  ParallelText text;
  CleaningReport report;
};

/// One split of the corpus in `folder`; empty where it has none. Looked for, in this order, plain and with .gz:
/// SPLIT.SOURCE and SPLIT.TARGET; SPLIT.SOURCE-TARGET.tsv; SPLIT.TARGET-SOURCE.tsv; SPLIT.tsv (source, then target).
/// Throws Error naming file and line when one half is missing, the numbers of lines differ, or a file is damaged.
ParallelSplit read_split(const Path& folder, const std::string& split, const std::string& source,
                         const std::string& target, const Cleaning& cleaning);

struct ParallelCorpus {
  std::string source, target;  ///< the languages, as the files name them
  ParallelSplit train, valid, test;
};

/// Throws Error where read_split does, and when there is nothing to train on; Error (Usage) for names of languages that
/// are none. `valid` and `test` may be empty.
ParallelCorpus load_parallel(const Path& folder, const std::string& source, const std::string& target,
                             const Cleaning& cleaning = {});

}  // namespace tessera::data
