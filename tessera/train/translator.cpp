// Which translator a recipe describes; the search for a translation, the same for all of them.
#include "tessera/train/translator.hpp"

#include "tessera/data/vocabulary.hpp"

namespace tessera::train {
namespace {

using data::Vocabulary;

constexpr float kImpossible = -1e30F;  // as a logarithm; not infinite, so that differences stay numbers

/// The rows of x, [groups, n, ...], at `positions`, i32 [groups, m]: [groups, m, ...].
Array take_rows(const Array& x, const Array& positions) {
  const std::int64_t groups = x.shape(0), n = x.shape(1);
  Shape rows = x.shape();
  rows.erase(rows.begin());
  rows[0] = groups * n;
  return take(reshape(x, rows), positions + iota({groups, 1}, 0) * n);
}

/// Where a search stands. Live hypotheses, one for each row before the first step and `beam` then, and those that have
/// ended.
template <class State>
struct Search {
  Array steps;                       ///< done, i32
  Array tokens, last, scores;        ///< [rows, live, length], [rows * live], [rows, live]
  State state;                       ///< [rows * live, ...]
  Array ended_tokens, ended_scores;  ///< [rows, beam, length], [rows, beam]; the best first
  Array ended_lengths, ended;        ///< [rows, beam]; i32 [rows]: how many have ended
  TESSERA_FIELDS(steps, tokens, last, scores, state, ended_tokens, ended_scores, ended_lengths, ended)

  /// Takes more hypotheses, [rows, n], among those that have ended: the best stay.
  void add(const Array& more_tokens, const Array& more_scores, const Array& more_lengths) {
    const auto [best, at] = top_k(concatenate({ended_scores, more_scores}, 1), ended_scores.shape(1));
    ended_scores = best;
    ended_tokens = take_rows(concatenate({ended_tokens, more_tokens}, 1), at);
    ended_lengths = take_rows(concatenate({ended_lengths, more_lengths}, 1), at);
  }
};

/// The rows `index` of a tree whose arrays hold `rows` of them, or one for each hypothesis of these.
template <class Tree>
Tree take_rows_of(Tree tree, std::int64_t rows, const Array& index) {
  return map_tree(std::move(tree), [&](const Array& x) {
    if (x.rank() == 0) return x;
    Shape grouped = x.shape(), flat = x.shape();
    grouped[0] /= rows;
    flat[0] = grouped[0] * index.shape(0);
    grouped.insert(grouped.begin(), rows);
    return reshape(take(reshape(x, grouped), index), flat);
  });
}

template <class Model>
struct BeamSearch {
  using State = typename Model::State;
  using Memory = typename Model::Memory;

  const Model& model;
  std::int64_t beam, length;

  [[nodiscard]] Search<State> begin(const Memory& memory, std::int64_t rows) const {
    const auto nothing = [&](std::int64_t count) { return full({rows, count, length}, Vocabulary::kPad, DType::I32); };
    return {.steps = Array(0),
            .tokens = nothing(1),
            .last = full({rows}, Vocabulary::kBegin, DType::I32),
            .scores = zeros({rows, 1}),
            .state = model.begin(memory, length),
            .ended_tokens = nothing(beam),
            .ended_scores = full({rows, beam}, kImpossible),
            .ended_lengths = zeros({rows, beam}, DType::I32),
            .ended = zeros({rows}, DType::I32)};
  }

  void step(Search<State>& s, const Memory& memory) const {
    const std::int64_t rows = s.scores.shape(0), live = s.scores.shape(1), pieces = model.pieces.bias.shape(0);
    const Array never = where(arange(pieces) < Vocabulary::kEnd, kImpossible, 0.0F);
    s.state = model.next(s.last, s.state, memory);
    const Array next = log_softmax(model.pieces.logits(s.state.output)) + never;
    Array all = reshape(expand_dims(s.scores, 2) + reshape(next, {rows, live, pieces}), {rows, live * pieces});
    if (const std::int64_t missing = 2 * beam - all.shape(1); missing > 0)
      all = concatenate({all, full({rows, missing}, kImpossible)}, 1);
    // Twice as many as are kept: at most half of them end here.
    const auto [scores, at] = top_k(all, 2 * beam);
    const Array from = at / pieces, piece = at % pieces;
    s.steps = s.steps + 1;
    const Array here = iota({rows, 2 * beam, length}, 2) == s.steps - 1;
    const Array tokens = where(here, expand_dims(piece, 2), take_rows(s.tokens, from));
    const Array ends = piece == Vocabulary::kEnd;
    const Array counts =
        ends & (scores > kImpossible / 2) & (iota({rows, 2 * beam}, 1) < beam) & expand_dims(s.ended < beam, 1);
    s.add(tokens, where(counts, scores / astype(s.steps, DType::F32), kImpossible),
          broadcast_to(s.steps, {rows, 2 * beam}));
    s.ended = s.ended + sum(astype(counts, DType::I32), {1});

    const auto [best, kept] = top_k(where(ends, kImpossible, scores), beam);
    s.scores = best;
    s.tokens = take_rows(tokens, kept);
    s.last = reshape(take_rows(piece, kept), {rows * beam});
    const Array parents = take_rows(from, kept);
    s.state = map_tree(std::move(s.state), [&](const Array& x) {
      Shape grouped = x.shape(), flat = x.shape();
      grouped[0] = live;
      grouped.insert(grouped.begin(), rows);
      flat[0] = rows * beam;
      return reshape(take_rows(reshape(x, grouped), parents), flat);
    });
  }

  /// To the end. When half of many rows are done, the others go on alone.
  [[nodiscard]] Translations finish(Search<State> s, const Memory& memory) const {
    constexpr std::int64_t kFewRows = 4;
    const std::int64_t rows = s.scores.shape(0);
    const bool together = rows <= kFewRows || rows % 2 != 0;
    const std::int64_t most_left = together ? 0 : rows / 2;
    s = while_loop(
        [&](const Search<State>& now) {
          return (now.steps < length) & (sum(astype(now.ended < beam, DType::I32)) > most_left);
        },
        [&](Search<State>& now) { step(now, memory); }, s);
    // At the longest: where none has ended, the live ones are cut.
    const Array cut = (s.ended == 0) & (s.steps >= length);
    s.add(s.tokens, where(expand_dims(cut, 1), s.scores / astype(s.steps, DType::F32), kImpossible),
          broadcast_to(s.steps, {rows, beam}));
    s.ended = where(cut, 1, s.ended);
    Translations found{.tokens = s.ended_tokens, .scores = s.ended_scores, .lengths = s.ended_lengths};
    if (together) return found;

    const Array order = argsort(astype(s.ended >= beam, DType::I32));
    const Array on = order.at(slice(0, most_left)), done = order.at(slice(most_left, rows));
    const Translations later = finish(take_rows_of(s, rows, on), take_rows_of(memory, rows, on)),
                       earlier = take_rows_of(std::move(found), rows, done);
    const Array back = argsort(order);
    const auto in_order = [&](const Array& a, const Array& b) { return take(concatenate({a, b}), back); };
    return {.tokens = in_order(later.tokens, earlier.tokens),
            .scores = in_order(later.scores, earlier.scores),
            .lengths = in_order(later.lengths, earlier.lengths)};
  }

  [[nodiscard]] Translations operator()(const Array& source, const Array& source_length) const {
    nn::Context context = nn::Context::evaluation();
    const Memory memory = model.encode(source, source_length, context);
    Search<State> s = begin(memory, source.shape(0));
    step(s, memory);
    return finish(s, memory);
  }
};

}  // namespace

Translator make_translator(const Config& config, const Key& key, std::int64_t pieces) {
  const auto& m = config.model;
  const bool dot = m.attention == "dot";
  if (m.kind == "transformer") return TransformerTranslator(config, key, pieces);
  if (m.cell == "lstm" && dot) return RecurrentTranslator<nn::LstmCell, nn::DotAttention>(config, key, pieces);
  if (m.cell == "lstm") return RecurrentTranslator<nn::LstmCell, nn::AdditiveAttention>(config, key, pieces);
  if (dot) return RecurrentTranslator<nn::GruCell, nn::DotAttention>(config, key, pieces);
  return RecurrentTranslator<nn::GruCell, nn::AdditiveAttention>(config, key, pieces);
}

Array logits(const Translator& model, const Array& source, const Array& source_length, const Array& target,
             nn::Context& context) {
  const auto scores = [&](const auto& m) { return m.pieces.logits(m.outputs(source, source_length, target, context)); };
  return std::visit(scores, model);
}

Array alignment(const Translator& model, const Array& source, const Array& source_length, const Array& target) {
  return std::visit([&](const auto& m) { return m.alignment(source, source_length, target); }, model);
}

Translations search(const Translator& model, const Array& source, const Array& source_length, std::int64_t beam,
                    std::int64_t length) {
  const auto found = [&]<class Model>(const Model& m) {
    return BeamSearch<Model>{m, beam, length}(source, source_length);
  };
  return std::visit(found, model);
}

}  // namespace tessera::train
