// Parallel corpora out of Debian's packages: help pages aligned by paragraph, a game's catalogues, verses. Split by
// file, never by line. In: what the packages installed. Out: a folder as data/parallel_text.hpp reads it. The sources:
// data/corpus_sources.hpp.
#pragma once

#include <string>
#include <vector>

#include "tessera/data/parallel_text.hpp"

namespace tessera::data {

struct CorpusRequest {
  std::string name;            ///< one of corpus_names()
  std::string source, target;  ///< languages, as in the names of the files
  Path out;                    ///< must not exist, or be empty
  Path root = "/";             ///< where packages were unpacked
};

struct CorpusSplit {
  std::string name;
  std::int64_t documents = 0, pairs = 0;
};

struct CorpusResult {
  std::vector<CorpusSplit> splits;  ///< train, valid, test
  CleaningReport report;            ///< of all splits together, without what is there twice
  std::int64_t repeated = 0;        ///< pairs left out because their source is there already
  std::string note;                 ///< what a person should know; may be empty
};

std::vector<std::string> corpus_names();

/// Writes train.LL, valid.LL and test.LL for both languages, and about.txt, all of it or nothing: into a folder beside
/// `out` that is renamed. Throws Error (Usage) for names that are not known and an `out` that is taken, Error
/// (Unsupported) naming the packages that are missing.
CorpusResult write_corpus(const CorpusRequest& request);

}  // namespace tessera::data
