// BLEU and chrF of translations, number for number what sacreBLEU computes with its defaults.
// In: hypotheses and one reference each. Out: scores, their text and their signature.
// BLEU: Papineni et al., 2002; tokens by the rules of mteval-v13a. chrF: Popovic, 2015.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::data {

/// What BLEU is computed from. The counts of a corpus are the sums of those of its sentences.
struct BleuCounts {
  std::int64_t hypothesis_length = 0, reference_length = 0;  ///< in tokens
  std::array<std::int64_t, 4> matches{}, totals{};           ///< n-grams of 1 to 4 tokens
  BleuCounts& operator+=(const BleuCounts& other);
};

struct Bleu {
  double score = 0;  ///< 0 to 100
  std::array<double, 4> precisions{};
  double brevity_penalty = 0;
  BleuCounts counts;
  bool effective_order = false;  ///< n-grams longer than the hypothesis were left out: for single sentences
};

/// The tokens of a sentence, by the rules of mteval-v13a.
std::vector<std::string> tokenize_13a(std::string_view sentence);
BleuCounts bleu_counts(std::string_view hypothesis, std::string_view reference);
/// Smoothing: exp. `effective_order` false is corpus_bleu's default, true sentence_bleu's.
Bleu bleu(const BleuCounts& counts, bool effective_order = false);
/// Throws Error when there is nothing to score, or when the numbers of sentences differ.
Bleu corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::string> references);
Bleu sentence_bleu(std::string_view hypothesis, std::string_view reference);
/// "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:tessera-...".
std::string signature(const Bleu& score);
/// "BLEU|SIGNATURE = 34.56 66.7/41.2/27.3/18.9 (BP = 1.000 ratio = 1.010 hyp_len = 101 ref_len = 100)".
std::string to_string(const Bleu& score);

/// What chrF is computed from: n-grams of 1 to 6 characters, white space left out.
struct ChrfCounts {
  std::array<std::int64_t, 6> hypothesis{}, reference{}, matches{};
  ChrfCounts& operator+=(const ChrfCounts& other);
};

struct Chrf {
  double score = 0;  ///< 0 to 100
};

ChrfCounts chrf_counts(std::string_view hypothesis, std::string_view reference);
/// beta 2, orders without n-grams left out.
Chrf chrf(const ChrfCounts& counts);
/// Throws Error when there is nothing to score, or when the numbers of sentences differ.
Chrf corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::string> references);
Chrf sentence_chrf(std::string_view hypothesis, std::string_view reference);
/// "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:tessera-...".
std::string signature(const Chrf& score);
/// "chrF2|SIGNATURE = 61.23".
std::string to_string(const Chrf& score);

}  // namespace tessera::data
