// A translator of recurrent layers. An encoder reads the source in both directions; a decoder writes one piece after
// the other and attends, before each, to what the encoder made of the source (Bahdanau, Cho, Bengio, 2015), with the
// last attended state as an input of the next step (Luong, Pham, Manning, 2015). Read next: train/translator.hpp, which
// searches with it; train/transformer_translator.hpp, the other kind.
#pragma once

#include <utility>
#include <vector>

#include "tessera/nn/attention.hpp"
#include "tessera/nn/recurrent.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/piece_table.hpp"

namespace tessera::train {

/// Cell: nn::GruCell or nn::LstmCell. Attention: nn::AdditiveAttention (Bahdanau's) or nn::DotAttention (Luong's).
template <class Cell, class Attention>
struct RecurrentTranslator {
  /// What the encoder made of a batch of sources.
  struct Memory {
    Array values;                ///< [rows, source length, 2 width]
    Array keys;                  ///< [rows, source length, width]: attention.project of them
    Array within;                ///< bool [rows, source length]: positions that are pieces
    typename Cell::State start;  ///< the decoder's first
    TESSERA_FIELDS(values, keys, within, start)
  };
  struct State {
    typename Cell::State cell;  ///< [rows, width] each
    Array output;               ///< [rows, embedding]: what the next piece is chosen by
    TESSERA_FIELDS(cell, output)
  };

  PieceTable pieces;
  nn::Recurrent<Cell> encoder;
  std::vector<nn::Linear> start;  ///< from the encoder's last states to the decoder's first, for each array of a state
  Cell decoder;
  Array feed;  ///< from the last output into the decoder's gates
  Attention attention;
  nn::Linear attend;  ///< from state and context to the output
  double dropout = 0;
  TESSERA_FIELDS(pieces, encoder, start, decoder, feed, attention, attend, dropout)

  RecurrentTranslator() = default;
  RecurrentTranslator(const Config& config, const Key& key, std::int64_t piece_count);

  /// source: i32 [rows, length], lengths: i32 [rows].
  [[nodiscard]] Memory encode(const Array& source, const Array& lengths, nn::Context& context) const;
  /// Where a translation of at most `longest` pieces begins.
  [[nodiscard]] State begin(const Memory& memory, std::int64_t longest) const;
  /// After one more piece: i32 [rows]; or of several translations of each row of the memory, one after the other, as
  /// the state has them.
  [[nodiscard]] State next(const Array& piece, const State& state, const Memory& memory) const;

  /// Of a target that is known, i32 [rows, length], the piece before each: the outputs [rows, length, embedding].
  [[nodiscard]] Array outputs(const Array& source, const Array& source_length, const Array& target,
                              nn::Context& context) const;
  /// How much each of its pieces attends to each of the source: [rows, length, source length].
  [[nodiscard]] Array alignment(const Array& source, const Array& source_length, const Array& target) const;

 private:
  /// `projected`: decoder.project of a piece. Also the weights of the attention.
  [[nodiscard]] std::pair<State, Array> step(const Array& projected, const State& state, const Memory& memory) const;
  /// All steps; `result(state, weights)` is what is kept of each: [rows, length, ...].
  template <class Result>
  [[nodiscard]] Array decode(const Array& source, const Array& source_length, const Array& target, nn::Context& context,
                             Result result) const;
};

}  // namespace tessera::train
