// BLEU and chrF. Sentences are sequences of symbols (numbered words, or code points); n-grams that two sequences share
// are counted by intersecting their sorted lists. Checked against sacreBLEU's own results: tests/scores.json.
#include "tessera/data/scores.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "tessera/core/error.hpp"
#include "tessera/data/utf8.hpp"
#include "tessera/version.hpp"

namespace tessera::data {
namespace {

constexpr const char* kVersion = "tessera-" TESSERA_VERSION;

using Symbols = std::u32string;

std::vector<std::u32string_view> sorted_ngrams(std::u32string_view symbols, std::size_t n) {
  std::vector<std::u32string_view> ngrams;
  if (symbols.size() >= n) ngrams.reserve(symbols.size() - n + 1);
  for (std::size_t i = 0; i + n <= symbols.size(); ++i) ngrams.push_back(symbols.substr(i, n));
  std::sort(ngrams.begin(), ngrams.end());
  return ngrams;
}

struct NgramCounts {
  std::int64_t first, second, shared;
};

NgramCounts count_ngrams(std::u32string_view first, std::u32string_view second, std::size_t n) {
  const auto a = sorted_ngrams(first, n), b = sorted_ngrams(second, n);
  std::int64_t shared = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    const auto order = *i <=> *j;
    if (order == 0) ++shared;
    if (order <= 0) ++i;
    if (order >= 0) ++j;
  }
  return {static_cast<std::int64_t>(a.size()), static_cast<std::int64_t>(b.size()), shared};
}

// --- mteval-v13a ---

void replace_all(Symbols& text, std::u32string_view from, std::u32string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != Symbols::npos; at += to.size())
    text.replace(at, from.size(), to);
}

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool is_point(char32_t c) { return c == U'.' || c == U','; }
/// ASCII punctuation but for ' , - and the point.
bool is_separate(char32_t c) {
  return (c >= U'{' && c <= U'~') || (c >= U'[' && c <= U'`') || (c >= U'!' && c <= U'&') || (c >= U'(' && c <= U'+') ||
         (c >= U':' && c <= U'@') || c == U'/';
}

/// Each character that passes `test` gets a space on both sides.
template <class Test>
Symbols set_apart(const Symbols& text, Test test) {
  Symbols out;
  out.reserve(text.size() * 2);
  for (const char32_t c : text) {
    if (test(c))
      out += {U' ', c, U' '};
    else
      out += c;
  }
  return out;
}

/// Each pair of neighbours that passes `test` gets spaces: before, between and after it, as asked. Pairs do not
/// overlap.
template <class Test>
Symbols space_pairs(const Symbols& text, Test test, bool before, bool after) {
  Symbols out;
  out.reserve(text.size() * 2);
  std::size_t i = 0;
  while (i < text.size()) {
    if (i + 1 == text.size() || !test(text[i], text[i + 1])) {
      out += text[i++];
      continue;
    }
    if (before) out += U' ';
    out += {text[i], U' ', text[i + 1]};
    if (after) out += U' ';
    i += 2;
  }
  return out;
}

std::vector<Symbols> words_13a(std::string_view sentence) {
  Symbols text = decode_utf8(sentence);
  while (!text.empty() && is_white_space(text.back())) text.pop_back();
  replace_all(text, U"<skipped>", U"");
  replace_all(text, U"-\n", U"");
  replace_all(text, U"\n", U" ");
  replace_all(text, U"&quot;", U"\"");
  replace_all(text, U"&amp;", U"&");
  replace_all(text, U"&lt;", U"<");
  replace_all(text, U"&gt;", U">");
  text = set_apart(U" " + text + U" ", is_separate);
  // Points and commas stay inside numbers; a dash after a digit stands alone.
  text = space_pairs(text, [](char32_t a, char32_t b) { return !is_digit(a) && is_point(b); }, false, true);
  text = space_pairs(text, [](char32_t a, char32_t b) { return is_point(a) && !is_digit(b); }, true, false);
  text = space_pairs(text, [](char32_t a, char32_t b) { return is_digit(a) && b == U'-'; }, false, true);
  std::vector<Symbols> words(1);
  for (const char32_t c : text) {
    if (!is_white_space(c))
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

Symbols without_white_space(std::string_view sentence) {
  Symbols text = decode_utf8(sentence);
  std::erase_if(text, is_white_space);
  return text;
}

template <class Counts>
Counts sum_of_sentences(std::span<const std::string> hypotheses, std::span<const std::string> references,
                        Counts (*count)(std::string_view, std::string_view)) {
  if (hypotheses.size() != references.size())
    throw Error(fmt::format("{} translations cannot be scored with {} references; each needs its own",
                            hypotheses.size(), references.size()));
  if (hypotheses.empty()) throw Error("there are no translations to score");
  Counts sum;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) sum += count(hypotheses[i], references[i]);
  return sum;
}

template <std::size_t N>
void add(std::array<std::int64_t, N>& to, const std::array<std::int64_t, N>& other) {
  for (std::size_t i = 0; i < N; ++i) to[i] += other[i];
}

double ratio(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b); }

}  // namespace

std::vector<std::string> tokenize_13a(std::string_view sentence) {
  std::vector<std::string> out;
  for (const Symbols& word : words_13a(sentence)) {
    std::string& text = out.emplace_back();
    for (const char32_t c : word) append_utf8(text, c);
  }
  return out;
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  hypothesis_length += other.hypothesis_length;
  reference_length += other.reference_length;
  add(matches, other.matches);
  add(totals, other.totals);
  return *this;
}

BleuCounts bleu_counts(std::string_view hypothesis, std::string_view reference) {
  std::unordered_map<Symbols, char32_t> numbers;
  const auto numbered = [&](std::string_view sentence) {
    Symbols symbols;
    for (Symbols& word : words_13a(sentence))
      symbols += numbers.try_emplace(std::move(word), static_cast<char32_t>(numbers.size())).first->second;
    return symbols;
  };
  const Symbols a = numbered(hypothesis), b = numbered(reference);
  BleuCounts counts;
  counts.hypothesis_length = static_cast<std::int64_t>(a.size());
  counts.reference_length = static_cast<std::int64_t>(b.size());
  for (std::size_t n = 0; n < counts.matches.size(); ++n) {
    const NgramCounts ngrams = count_ngrams(a, b, n + 1);
    counts.totals[n] = ngrams.first;
    counts.matches[n] = ngrams.shared;
  }
  return counts;
}

Bleu bleu(const BleuCounts& counts, bool effective_order) {
  Bleu result;
  result.counts = counts;
  result.effective_order = effective_order;
  result.brevity_penalty = 1;
  if (counts.hypothesis_length < counts.reference_length)
    result.brevity_penalty =
        counts.hypothesis_length == 0 ? 0 : std::exp(1 - ratio(counts.reference_length, counts.hypothesis_length));
  if (std::all_of(counts.matches.begin(), counts.matches.end(), [](std::int64_t n) { return n == 0; })) return result;
  // An order without matches counts as half a match, the next such order as a quarter, and so on.
  double smooth = 1, sum = 0;
  std::size_t order = 0;
  for (; order < counts.totals.size() && counts.totals[order] > 0; ++order) {
    double matches = static_cast<double>(counts.matches[order]);
    if (matches == 0) matches = 1 / (smooth *= 2);
    result.precisions[order] = 100 * matches / static_cast<double>(counts.totals[order]);
    sum += std::log(result.precisions[order]);
  }
  if (order == counts.totals.size() || effective_order)
    result.score = result.brevity_penalty * std::exp(sum / static_cast<double>(order));
  return result;
}

Bleu corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  return bleu(sum_of_sentences(hypotheses, references, bleu_counts));
}

Bleu sentence_bleu(std::string_view hypothesis, std::string_view reference) {
  return bleu(bleu_counts(hypothesis, reference), true);
}

std::string signature(const Bleu& score) {
  return fmt::format("nrefs:1|case:mixed|eff:{}|tok:13a|smooth:exp|version:{}", score.effective_order ? "yes" : "no",
                     kVersion);
}

std::string to_string(const Bleu& s) {
  return fmt::format(
      "BLEU|{} = {:.2f} {:.1f}/{:.1f}/{:.1f}/{:.1f} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})",
      signature(s), s.score, s.precisions[0], s.precisions[1], s.precisions[2], s.precisions[3], s.brevity_penalty,
      ratio(s.counts.hypothesis_length, s.counts.reference_length), s.counts.hypothesis_length,
      s.counts.reference_length);
}

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  add(hypothesis, other.hypothesis);
  add(reference, other.reference);
  add(matches, other.matches);
  return *this;
}

ChrfCounts chrf_counts(std::string_view hypothesis, std::string_view reference) {
  const Symbols a = without_white_space(hypothesis), b = without_white_space(reference);
  ChrfCounts counts;
  for (std::size_t n = 0; n < counts.matches.size(); ++n) {
    const NgramCounts ngrams = count_ngrams(a, b, n + 1);
    // A sentence whose reference has none of an order says nothing about precision there.
    counts.hypothesis[n] = ngrams.second == 0 ? 0 : ngrams.first;
    counts.reference[n] = ngrams.second;
    counts.matches[n] = ngrams.shared;
  }
  return counts;
}

Chrf chrf(const ChrfCounts& counts) {
  constexpr double kBetaSquared = 4;
  double precision = 0, recall = 0;
  int orders = 0;
  for (std::size_t n = 0; n < counts.matches.size(); ++n) {
    if (counts.hypothesis[n] == 0 || counts.reference[n] == 0) continue;
    precision += ratio(counts.matches[n], counts.hypothesis[n]);
    recall += ratio(counts.matches[n], counts.reference[n]);
    ++orders;
  }
  if (precision + recall == 0) return {};
  precision /= orders;
  recall /= orders;
  return {100 * ((1 + kBetaSquared) * precision * recall / (kBetaSquared * precision + recall))};
}

Chrf corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  return chrf(sum_of_sentences(hypotheses, references, chrf_counts));
}

Chrf sentence_chrf(std::string_view hypothesis, std::string_view reference) {
  return chrf(chrf_counts(hypothesis, reference));
}

std::string signature(const Chrf&) {
  return fmt::format("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{}", kVersion);
}

std::string to_string(const Chrf& score) { return fmt::format("chrF2|{} = {:.2f}", signature(score), score.score); }

}  // namespace tessera::data
