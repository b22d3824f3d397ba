// Batches of sentences through the search and back into their order; likelihoods; reading a run.
#include "tessera/train/translate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tessera/core/error.hpp"
#include "tessera/train/trained.hpp"

namespace tessera::train {

using data::Token;
using data::Vocabulary;

TextTranslator::TextTranslator(data::Vocabulary vocabulary, std::int64_t max_tokens, Precision precision)
    : vocabulary_(std::move(vocabulary)),
      max_tokens_(max_tokens),
      precision_(precision),
      alignment_(&alignment, {precision, "alignment"}) {}

Translations TextTranslator::SearchFunction::operator()(const Translator& model, const Array& source,
                                                        const Array& source_length) const {
  return search(model, source, source_length, beam, 2 * source.shape(1) + 10);
}

std::vector<std::string> TextTranslator::operator()(const Translator& model, std::span<const std::string> sentences,
                                                    std::int64_t beam) {
  std::vector<std::string> lines;
  for (std::vector<Hypothesis>& found : best(model, sentences, beam, 1)) lines.push_back(std::move(found.at(0).text));
  return lines;
}

std::vector<std::vector<Hypothesis>> TextTranslator::best(const Translator& model,
                                                          std::span<const std::string> sentences, std::int64_t beam,
                                                          std::int64_t count) {
  if (beam < 1 || beam > kMaxBeam)
    throw Error(ErrorKind::Usage,
                fmt::format("a beam of {} is not possible; it is at least 1 and at most {}", beam, kMaxBeam));
  if (count < 1 || count > beam)
    throw Error(ErrorKind::Usage,
                fmt::format("a beam of {} finds at least 1 and at most {} translations, not {}", beam, beam, count));
  data::EncodedPairs parts;  // without targets
  std::vector<std::size_t> sentence_of;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const std::vector<Token> tokens = vocabulary_.encode(sentences[i]);
    for (std::span<const Token> rest(tokens); !rest.empty();) {
      const std::size_t here = std::min(rest.size(), static_cast<std::size_t>(max_tokens_));
      parts.source.push_back(rest.first(here));
      sentence_of.push_back(i);
      rest = rest.subspan(here);
    }
  }
  std::vector<std::vector<Hypothesis>> lines(sentences.size());
  if (!sentence_of.empty()) {
    const std::vector<std::vector<FoundPart>> found = search_parts(model, parts, beam, count);
    for (std::size_t begin = 0, end = 0; begin < found.size(); begin = end) {
      while (end < found.size() && sentence_of[end] == sentence_of[begin]) ++end;
      lines[sentence_of[begin]] = joined(std::span(found).subspan(begin, end - begin));
    }
  }
  for (std::vector<Hypothesis>& line : lines)
    if (line.empty()) line.emplace_back();
  return lines;
}

std::vector<std::vector<TextTranslator::FoundPart>> TextTranslator::search_parts(const Translator& model,
                                                                                 const data::EncodedPairs& parts,
                                                                                 std::int64_t beam,
                                                                                 std::int64_t count) {
  // Few shapes whatever comes: lengths double, and a batch is small or large.
  constexpr std::int64_t kLargest = 64, kSmall = 4, kTokens = 4096;
  const std::int64_t rows = parts.size() <= kSmall ? kSmall : kLargest;
  const data::PairLength shortest{.source = 16};
  const data::BatchPlan plan(parts.lengths(), std::span(&shortest, 1), kTokens, rows);
  auto& search = searches_.try_emplace(beam, SearchFunction{beam}, JitOptions{precision_, "search"}).first->second;
  std::vector<std::vector<FoundPart>> found(static_cast<std::size_t>(parts.size()));
  for (const data::BatchPlan::Batch& batch : plan.sorted()) {
    const data::TokenBatch tokens = data::make_batch(parts, plan, batch);
    const Translations best = search(model, Array(tokens.source), Array(tokens.source_length));
    const auto length = static_cast<std::size_t>(best.tokens.shape(2));
    const Literal written = best.tokens.literal();
    const std::vector<float> scores = best.scores.to_vector<float>();
    for (std::size_t row = 0; row < batch.pairs.size(); ++row) {
      for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k) {
        const std::size_t at = row * static_cast<std::size_t>(beam) + k;
        if (scores[at] < kNoTranslation) break;
        const auto all = written.as<Token>().subspan(at * length, length);
        const auto end = std::find(all.begin(), all.end(), Vocabulary::kEnd);
        const auto size = static_cast<std::size_t>(end - all.begin());
        found[static_cast<std::size_t>(batch.pairs[row])].push_back(
            {vocabulary_.decode(all.first(size)), scores[at], static_cast<double>(size + 1)});
      }
    }
  }
  return found;
}

std::vector<Hypothesis> TextTranslator::joined(std::span<const std::vector<FoundPart>> parts) {
  std::vector<Hypothesis> result;
  for (std::size_t k = 0;; ++k) {
    Hypothesis whole;
    double tokens = 0;
    for (const std::vector<FoundPart>& part : parts) {
      if (k >= part.size()) return result;
      if (!whole.text.empty() && !part[k].text.empty()) whole.text += ' ';
      whole.text += part[k].text;
      whole.score += part[k].score * part[k].tokens;
      tokens += part[k].tokens;
    }
    whole.score /= tokens;
    result.push_back(std::move(whole));
  }
}

std::vector<Alignment> TextTranslator::align(const Translator& model, std::span<const std::string> sentences,
                                             std::span<const std::string> translations) {
  constexpr std::int64_t kTokens = 1024, kPrograms = 3;
  data::EncodedPairs pairs;
  const auto add = [&](data::TokenSequences& side, const std::string& text) {
    const std::vector<Token> tokens = vocabulary_.encode(text);
    side.push_back(std::span(tokens).first(std::min(tokens.size(), static_cast<std::size_t>(max_tokens_))));
  };
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    add(pairs.source, sentences[i]);
    add(pairs.target, translations[i]);
  }
  std::vector<Alignment> result(sentences.size());
  if (result.empty()) return result;
  const std::vector<data::PairLength> lengths = pairs.lengths();
  const data::BatchPlan plan(lengths, data::choose_buckets(lengths, kPrograms), kTokens);
  const auto pieces_of = [&](std::span<const Token> tokens) {
    std::vector<std::string> pieces;
    for (const Token token : tokens) pieces.push_back(vocabulary_.piece(token));
    pieces.push_back(vocabulary_.piece(Vocabulary::kEnd));
    return pieces;
  };
  for (const data::BatchPlan::Batch& batch : plan.sorted()) {
    const data::TokenBatch tokens = data::make_batch(pairs, plan, batch);
    const Array weights =
        alignment_(model, Array(tokens.source), Array(tokens.source_length), Array(tokens.target_input));
    const std::vector<float> all = weights.to_vector<float>();
    const auto steps = static_cast<std::size_t>(weights.shape(1)), width = static_cast<std::size_t>(weights.shape(2));
    for (std::size_t row = 0; row < batch.pairs.size(); ++row) {
      const std::int64_t pair = batch.pairs[row];
      Alignment& here = result[static_cast<std::size_t>(pair)];
      here.source = pieces_of(pairs.source[pair]);
      here.target = pieces_of(pairs.target[pair]);
      for (std::size_t t = 0; t < here.target.size(); ++t) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>((row * steps + t) * width);
        here.weights.insert(here.weights.end(), begin, begin + std::ssize(here.source));
      }
    }
  }
  return result;
}

Likelihood& Likelihood::operator+=(const Likelihood& other) {
  loss += other.loss;
  tokens += other.tokens;
  correct += other.correct;
  return *this;
}

BatchLikelihood batch_likelihood(const Array& logits, const Array& wanted, double smoothing) {
  const Array counts = wanted != Vocabulary::kPad;
  const auto total = [&](const Array& each) { return sum(where(counts, each, 0)); };
  return {.loss = total(nn::cross_entropy_each(logits, wanted)),
          .smoothed = total(nn::cross_entropy_each(logits, wanted, smoothing)),
          .correct = sum(astype(counts & (argmax(logits, -1) == wanted), DType::I32)),
          .tokens = sum(astype(counts, DType::I32))};
}

TokenEvaluator::TokenEvaluator(Precision precision)
    : batch_(&TokenEvaluator::evaluate_batch, {precision, "evaluate"}) {}

BatchLikelihood TokenEvaluator::evaluate_batch(const Translator& model, const Array& source, const Array& source_length,
                                               const Array& target_input, const Array& target_output) {
  nn::Context context = nn::Context::evaluation();
  return batch_likelihood(logits(model, source, source_length, target_input, context), target_output, 0);
}

Likelihood TokenEvaluator::batch(const Translator& model, const data::TokenBatch& batch) {
  const BatchLikelihood sums = batch_(model, Array(batch.source), Array(batch.source_length), Array(batch.target_input),
                                      Array(batch.target_output));
  return {
      .loss = sums.loss.item<double>(), .tokens = batch.target_tokens, .correct = sums.correct.item<std::int64_t>()};
}

Likelihood TokenEvaluator::operator()(const Translator& model, const data::EncodedPairs& pairs,
                                      const data::BatchPlan& plan) {
  Likelihood all;
  for (const data::BatchPlan::Batch& b : plan.sorted()) all += batch(model, data::make_batch(pairs, plan, b));
  return all;
}

void TokenEvaluator::compile(const Translator& model, const data::EncodedPairs& pairs, const data::BatchPlan& plan) {
  std::vector<bool> done(plan.buckets().size());
  for (const data::BatchPlan::Batch& b : plan.sorted()) {
    if (done[b.bucket]) continue;
    done[b.bucket] = true;
    (void)batch(model, data::make_batch(pairs, plan, b));
  }
}

std::map<std::string, std::string> describe_vocabulary(const data::Vocabulary& vocabulary) {
  return {{"vocabulary", vocabulary.checksum()}};
}

void check_vocabulary(const data::Vocabulary& vocabulary, const Checkpoint& checkpoint, const data::Path& folder) {
  if (checkpoint.model.metadata != describe_vocabulary(vocabulary))
    data::bad_file(folder, "was trained with another vocabulary than the run's vocabulary.model; put its own there");
}

TrainedTranslator load_translator(const data::Path& run) {
  Config config = load_run_config(run);
  if (config.task != "translate")
    data::bad_file(
        run, fmt::format("was trained by '{}' and does not translate; name the run of a translator", config.name));
  TrainedTranslator trained{std::move(config), Vocabulary::load(run / "vocabulary.model"), 0, {}};
  const Checkpoint checkpoint = load_checkpoint(run);
  trained.step = checkpoint.manifest.step;
  check_vocabulary(trained.vocabulary, checkpoint, checkpoint_folder(run, trained.step));
  trained.model = make_translator(trained.config, Key(0), trained.vocabulary.size());
  restore_tensors(trained.model, checkpoint.model, checkpoint_folder(run, trained.step) / "model.safetensors");
  return trained;
}

TextLikelihood measure(const TrainedTranslator& trained, const data::ParallelText& text) {
  const Config& config = trained.config;
  TextLikelihood result;
  data::EncodedPairs pairs;
  for (std::size_t i = 0; i < text.source.size(); ++i) {
    const std::vector<Token> source = trained.vocabulary.encode(text.source[i]),
                             target = trained.vocabulary.encode(text.target[i]);
    if (std::ssize(source) > config.data.max_tokens || std::ssize(target) > config.data.max_tokens) continue;
    pairs.source.push_back(source);
    pairs.target.push_back(target);
    result.bytes += std::ssize(text.target[i]) + 1;
  }
  result.pairs = pairs.size();
  if (result.pairs == 0) return result;
  const std::vector<data::PairLength> lengths = pairs.lengths();
  const data::BatchPlan plan(lengths, data::choose_buckets(lengths, config.data.buckets), config.train.batch);
  const Likelihood all = TokenEvaluator(Precision::Float32)(trained.model, pairs, plan);
  result.loss = all.loss / static_cast<double>(all.tokens);
  result.bits_per_byte = all.loss / std::log(2.0) / static_cast<double>(result.bytes);
  return result;
}

TranslationScores score_translations(TextTranslator& translator, const Translator& model,
                                     const data::ParallelText& text, std::int64_t beam) {
  TranslationScores scores;
  scores.translations = translator(model, text.source, beam);
  scores.bleu = data::corpus_bleu(scores.translations, text.target);
  scores.chrf = data::corpus_chrf(scores.translations, text.target);
  return scores;
}

}  // namespace tessera::train
