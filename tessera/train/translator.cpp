// The translator as array programs: encoding, one step of decoding, a known target, the search for an unknown one.
#include "tessera/train/translator.hpp"

#include <cmath>

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

/// Every row `times` times, one after the other.
Array repeat_rows(const Array& x, std::int64_t times) {
  Shape wide = x.shape(), rows = x.shape();
  wide.insert(wide.begin() + 1, times);
  rows[0] *= times;
  return reshape(broadcast_to(expand_dims(x, 1), wide), rows);
}

}  // namespace

Translator make_translator(const Config& config, const Key& key, std::int64_t pieces) {
  const auto& m = config.model;
  const auto k = split<7>(key);
  Translator t;
  t.pieces.table = nn::init::lecun_normal(k[0], {pieces, m.embedding}, m.embedding);
  t.encoder = {k[1],
               m.embedding,
               m.width,
               {.layers = m.layers, .bidirectional = true, .dropout = m.dropout, .variational = true}};
  t.start = {k[2], 2 * m.width, m.width};
  t.decoder = {k[3], m.embedding, m.width};
  t.feed = nn::init::lecun_normal(k[4], {m.embedding, 3 * m.width}, m.width);
  t.attention = {k[5], 2 * m.width, m.width, m.width};
  t.attend = {k[6], 3 * m.width, m.embedding};
  t.bias = zeros({pieces});
  t.dropout = m.dropout;
  return t;
}

Array Translator::embed(const Array& tokens) const {
  return pieces(tokens) * std::sqrt(static_cast<float>(pieces.table.shape(1)));
}

std::pair<Memory, DecoderState> Translator::encode(const Array& source, const Array& lengths,
                                                   nn::Context& context) const {
  const Array embedded = nn::variational_dropout(embed(source), dropout, context);
  const auto [outputs, states] = encoder(embedded, context, lengths);
  const Array values = nn::variational_dropout(outputs, dropout, context);
  const Array both = concatenate({states[states.size() - 2], states.back()}, -1);
  return {{.values = values, .keys = attention.project(values), .within = nn::length_mask(lengths, source.shape(1))},
          {.hidden = tanh(start(both)), .attended = zeros({source.shape(0), pieces.table.shape(1)})}};
}

DecoderState Translator::step(const Array& projected, const DecoderState& state, const Memory& memory) const {
  const Array hidden = decoder.step(projected + matmul(state.attended, feed), state.hidden);
  const Array context = attention(hidden, memory.keys, memory.values, memory.within).context;
  return {.hidden = hidden, .attended = tanh(attend(concatenate({hidden, context}, -1)))};
}

Array Translator::logits(const Array& attended) const { return pieces.logits(attended) + bias; }

Array Translator::operator()(const Array& source, const Array& source_length, const Array& target,
                             nn::Context& context) const {
  const auto [memory, first] = encode(source, source_length, context);
  const Array before = nn::variational_dropout(embed(target), dropout, context);
  const auto one = [&, &memory = memory](DecoderState& state, const Array& projected) {
    state = step(projected, state, memory);
    return state.attended;
  };
  const auto [last, attended] = scan(one, first, decoder.project(swap_axes(before, 0, 1)));
  return logits(nn::variational_dropout(swap_axes(attended, 0, 1), dropout, context));
}

namespace {

/// Where a search stands. Live hypotheses, `beam` for each row, and those that have ended.
struct Search {
  Array steps;                       ///< done, i32
  Array tokens, last, scores;        ///< [rows, beam, length], [rows * beam], [rows, beam]
  DecoderState state;                ///< [rows * beam, ...]
  Array ended_tokens, ended_scores;  ///< as above; the best first
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

}  // namespace

Translations search(const Translator& model, const Array& source, const Array& source_length, std::int64_t beam,
                    std::int64_t length) {
  const std::int64_t rows = source.shape(0), pieces = model.bias.shape(0);
  nn::Context context = nn::Context::evaluation();
  auto [memory, first] = model.encode(source, source_length, context);
  const auto repeated = [&](const Array& x) { return repeat_rows(x, beam); };
  memory = map_tree(std::move(memory), repeated);

  const Array none = full({rows, beam, length}, Vocabulary::kPad, DType::I32);
  const Array hopeless = full({rows, beam}, kImpossible);
  const Array only_first = where(iota({rows, beam}, 1) == 0, 0.0F, hopeless);  // all are equal before the first step
  const Array never = where((arange(pieces) < Vocabulary::kEnd), kImpossible, 0.0F);
  const Search begin{.steps = Array(0),
                     .tokens = none,
                     .last = full({rows * beam}, Vocabulary::kBegin, DType::I32),
                     .scores = only_first,
                     .state = map_tree(std::move(first), repeated),
                     .ended_tokens = none,
                     .ended_scores = hopeless,
                     .ended_lengths = zeros({rows, beam}, DType::I32),
                     .ended = zeros({rows}, DType::I32)};

  const auto goes_on = [&](const Search& s) { return (s.steps < length) & any(s.ended < beam); };
  const auto one = [&, &memory = memory](Search& s) {
    s.state = model.step(model.decoder.project(model.embed(s.last)), s.state, memory);
    const Array next = log_softmax(model.logits(s.state.attended)) + never;
    const Array all = expand_dims(s.scores, 2) + reshape(next, {rows, beam, pieces});
    // Twice as many as are kept: at most half of them end here.
    const auto [scores, at] = top_k(reshape(all, {rows, beam * pieces}), 2 * beam);
    const Array from = at / pieces, piece = at % pieces;
    s.steps = s.steps + 1;
    const Array here = iota({rows, 2 * beam, length}, 2) == s.steps - 1;
    const Array tokens = where(here, expand_dims(piece, 2), take_rows(s.tokens, from));
    const Array ends = piece == Vocabulary::kEnd;
    const Array counts = ends & (iota({rows, 2 * beam}, 1) < beam) & expand_dims(s.ended < beam, 1);
    s.add(tokens, where(counts, scores / astype(s.steps, DType::F32), kImpossible),
          broadcast_to(s.steps, {rows, 2 * beam}));
    s.ended = s.ended + sum(astype(counts, DType::I32), {1});

    const auto [live, kept] = top_k(where(ends, kImpossible, scores), beam);
    s.scores = live;
    s.tokens = take_rows(tokens, kept);
    s.last = reshape(take_rows(piece, kept), {rows * beam});
    const Array parents = take_rows(from, kept);
    s.state = map_tree(std::move(s.state), [&](const Array& x) {
      const Array grouped = reshape(x, {rows, beam, x.shape(1)});
      return reshape(take_rows(grouped, parents), x.shape());
    });
  };
  Search end = while_loop(goes_on, one, begin);
  // Where none has ended, the live ones are cut.
  const Array cut = expand_dims(end.ended == 0, 1);
  end.add(end.tokens, where(cut, end.scores / astype(end.steps, DType::F32), kImpossible),
          broadcast_to(end.steps, {rows, beam}));
  return {.tokens = end.ended_tokens, .scores = end.ended_scores, .lengths = end.ended_lengths};
}

}  // namespace tessera::train
