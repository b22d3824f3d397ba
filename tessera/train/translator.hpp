// The translator: what it is made of, its loss, and how it writes a translation. Array programs that know no files.
// An encoder reads the source in both directions; a decoder writes one piece after the other and attends, before each,
// to what the encoder made of the source (Bahdanau, Cho, Bengio, 2015), with the last attended state as an input of the
// next step (Luong, Pham, Manning, 2015). One table holds the vectors of all pieces: it embeds source and target and
// scores the next piece (Press and Wolf, 2017).
// Read next: train/translate.cpp (training), train/decode.hpp (text to text).
#pragma once

#include "tessera/nn/attention.hpp"
#include "tessera/nn/recurrent.hpp"
#include "tessera/train/config.hpp"

namespace tessera::train {

/// What the encoder made of a batch of sources.
struct Memory {
  Array values;  ///< [rows, source length, 2 width]
  Array keys;    ///< [rows, source length, width]: attention.project of them
  Array within;  ///< bool [rows, source length]: positions that are pieces
  TESSERA_FIELDS(values, keys, within)
};

struct DecoderState {
  Array hidden;    ///< [rows, width]
  Array attended;  ///< [rows, embedding]: what the next piece is chosen by
  TESSERA_FIELDS(hidden, attended)
};

struct Translator {
  nn::Embedding pieces;
  nn::Gru encoder;
  nn::Linear start;  ///< from the encoder's last states to the decoder's first
  nn::GruCell decoder;
  Array feed;  ///< what was attended to, into the decoder's gates
  nn::AdditiveAttention attention;
  nn::Linear attend;  ///< state and context to what a piece is chosen by
  Array bias;         ///< of each piece
  double dropout = 0;
  TESSERA_FIELDS(pieces, encoder, start, decoder, feed, attention, attend, bias, dropout)

  /// The vectors of pieces: i32 [...] -> [..., embedding].
  [[nodiscard]] Array embed(const Array& tokens) const;
  /// source: i32 [rows, length], lengths: i32 [rows]. Also what the decoder begins with.
  [[nodiscard]] std::pair<Memory, DecoderState> encode(const Array& source, const Array& lengths,
                                                       nn::Context& context) const;
  /// One step. `projected`: decoder.project of the piece before.
  [[nodiscard]] DecoderState step(const Array& projected, const DecoderState& state, const Memory& memory) const;
  /// The scores of all pieces: [..., embedding] -> [..., pieces].
  [[nodiscard]] Array logits(const Array& attended) const;

  /// The scores of each piece of a known target: i32 [rows, length], the piece before each, -> [rows, length, pieces].
  Array operator()(const Array& source, const Array& source_length, const Array& target, nn::Context& context) const;
};

Translator make_translator(const Config& config, const Key& key, std::int64_t pieces);

/// The best translations found.
struct Translations {
  Array tokens;   ///< i32 [rows, beam, length]: pieces, </s>, <pad>...; the best first
  Array scores;   ///< [rows, beam]: log-probability, divided by the length
  Array lengths;  ///< i32 [rows, beam]: tokens, </s> included
  TESSERA_FIELDS(tokens, scores, lengths)
};

/// Beam search as one program; 1 is greedy. A row is done when `beam` of its hypotheses have ended (Ott et al., 2019);
/// none gets longer than `length`.
Translations search(const Translator& model, const Array& source, const Array& source_length, std::int64_t beam,
                    std::int64_t length);

}  // namespace tessera::train
