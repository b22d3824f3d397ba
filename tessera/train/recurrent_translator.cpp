// The recurrent translators as array programs: encoding, one step of decoding, a known target.
#include "tessera/train/recurrent_translator.hpp"

namespace tessera::train {

template <class Cell, class Attention>
RecurrentTranslator<Cell, Attention>::RecurrentTranslator(const Config& config, const Key& key,
                                                          std::int64_t piece_count)
    : dropout(config.model.dropout) {
  const auto& m = config.model;
  const auto k = split<7>(key);
  pieces = {k[0], piece_count, m.embedding};
  encoder = {k[1],
             m.embedding,
             m.width,
             {.layers = m.layers,
              .bidirectional = true,
              .dropout = m.dropout,
              .variational = true,
              .layer_norm = m.layer_norm}};
  decoder = {k[3], m.embedding, m.width, m.layer_norm};
  for (std::size_t i = 0; i < flatten_tree(decoder.start(1)).size(); ++i)
    start.emplace_back(fold_in(k[2], static_cast<std::int64_t>(i)), 2 * m.width, m.width);
  feed = nn::init::lecun_normal(k[4], {m.embedding, decoder.input.shape(1)}, m.width);
  if constexpr (std::is_same_v<Attention, nn::AdditiveAttention>)
    attention = {k[5], 2 * m.width, m.width, m.width};
  else
    attention = {k[5], 2 * m.width, m.width};
  attend = {k[6], 3 * m.width, m.embedding};
}

template <class Cell, class Attention>
auto RecurrentTranslator<Cell, Attention>::encode(const Array& source, const Array& lengths, nn::Context& context) const
    -> Memory {
  const Array embedded = nn::variational_dropout(pieces.embed(source), dropout, context);
  const auto [outputs, states] = encoder(embedded, context, lengths);
  const Array values = nn::variational_dropout(outputs, dropout, context);
  // The last layer's states of both directions.
  const std::vector<Array> forward = flatten_tree(states.at(states.size() - 2)), backward = flatten_tree(states.back());
  std::vector<Array> first;
  for (std::size_t i = 0; i < start.size(); ++i)
    first.push_back(tanh(start[i](concatenate({forward.at(i), backward.at(i)}, -1))));
  Memory memory{.values = values,
                .keys = attention.project(values),
                .within = nn::length_mask(lengths, source.shape(1)),
                .start = states.back()};
  unflatten_tree(memory.start, first);
  return memory;
}

template <class Cell, class Attention>
auto RecurrentTranslator<Cell, Attention>::begin(const Memory& memory, std::int64_t /*longest*/) const -> State {
  return {memory.start, zeros({memory.values.shape(0), pieces.width()})};
}

template <class Cell, class Attention>
auto RecurrentTranslator<Cell, Attention>::step(const Array& projected, const State& state, const Memory& memory) const
    -> std::pair<State, Array> {
  const typename Cell::State cell = decoder.step(projected + matmul(state.output, feed), state.cell);
  const Array hidden = flatten_tree(cell).at(0);
  const std::int64_t rows = memory.values.shape(0), each = hidden.shape(0) / rows;
  const Array asked = each == 1 ? hidden : reshape(hidden, {rows, each, hidden.shape(1)});
  const auto [found, weights] = attention(asked, memory.keys, memory.values, memory.within);
  const Array context = reshape(found, {hidden.shape(0), found.shape(-1)});
  return {{cell, tanh(attend(concatenate({hidden, context}, -1)))}, weights};
}

template <class Cell, class Attention>
auto RecurrentTranslator<Cell, Attention>::next(const Array& piece, const State& state, const Memory& memory) const
    -> State {
  return step(decoder.project(pieces.embed(piece)), state, memory).first;
}

template <class Cell, class Attention>
template <class Result>
Array RecurrentTranslator<Cell, Attention>::decode(const Array& source, const Array& source_length, const Array& target,
                                                   nn::Context& context, Result result) const {
  const Memory memory = encode(source, source_length, context);
  const Array before = nn::variational_dropout(pieces.embed(target), dropout, context);
  const auto one = [&](State& state, const Array& projected) {
    const auto [after, weights] = step(projected, state, memory);
    state = after;
    return result(after, weights);
  };
  const auto [last, results] = scan(one, begin(memory, target.shape(1)), decoder.project(swap_axes(before, 0, 1)));
  return swap_axes(results, 0, 1);
}

template <class Cell, class Attention>
Array RecurrentTranslator<Cell, Attention>::outputs(const Array& source, const Array& source_length,
                                                    const Array& target, nn::Context& context) const {
  const auto output = [](const State& state, const Array&) { return state.output; };
  return nn::variational_dropout(decode(source, source_length, target, context, output), dropout, context);
}

template <class Cell, class Attention>
Array RecurrentTranslator<Cell, Attention>::alignment(const Array& source, const Array& source_length,
                                                      const Array& target) const {
  nn::Context context = nn::Context::evaluation();
  return decode(source, source_length, target, context, [](const State&, const Array& weights) { return weights; });
}

template struct RecurrentTranslator<nn::GruCell, nn::AdditiveAttention>;
template struct RecurrentTranslator<nn::GruCell, nn::DotAttention>;
template struct RecurrentTranslator<nn::LstmCell, nn::AdditiveAttention>;
template struct RecurrentTranslator<nn::LstmCell, nn::DotAttention>;

}  // namespace tessera::train
