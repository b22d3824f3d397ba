// A translator of attention alone (Vaswani et al., 2017), with the normalisation before each part (Xiong et al., 2020)
// and positions as sines. Read next: train/translator.hpp, which searches with it.
#pragma once

#include <vector>

#include "tessera/nn/attention.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/piece_table.hpp"

namespace tessera::train {

struct TransformerTranslator {
  struct AttentionPart {
    nn::LayerNorm norm;
    nn::MultiHeadAttention attention;
    TESSERA_FIELDS(norm, attention)
  };
  struct DensePart {
    nn::LayerNorm norm;
    nn::Linear widen, narrow;
    TESSERA_FIELDS(norm, widen, narrow)
    Array operator()(const Array& x) const;
  };
  struct EncoderLayer {
    AttentionPart own;
    DensePart dense;
    TESSERA_FIELDS(own, dense)
  };
  struct DecoderLayer {
    AttentionPart own, source;
    DensePart dense;
    TESSERA_FIELDS(own, source, dense)
  };

  /// What the encoder made of a batch of sources.
  struct Memory {
    std::vector<nn::MultiHeadAttention::Memory> layers;  ///< what each layer of the decoder attends to
    Array within;                                        ///< bool [rows, 1, source length]
    TESSERA_FIELDS(layers, within)
  };
  struct State {
    std::vector<nn::MultiHeadAttention::Memory> layers;  ///< of all positions that there may be
    Array position;                                      ///< i32 [rows]: of the next piece
    Array output;                                        ///< [rows, embedding]: what the next piece is chosen by
    TESSERA_FIELDS(layers, position, output)
  };

  PieceTable pieces;
  std::vector<EncoderLayer> encoder;
  std::vector<DecoderLayer> decoder;
  nn::LayerNorm encoder_norm, decoder_norm;
  nn::Dropout dropout;
  TESSERA_FIELDS(pieces, encoder, decoder, encoder_norm, decoder_norm, dropout)

  TransformerTranslator() = default;
  TransformerTranslator(const Config& config, const Key& key, std::int64_t piece_count);

  // As in RecurrentTranslator.
  [[nodiscard]] Memory encode(const Array& source, const Array& lengths, nn::Context& context) const;
  [[nodiscard]] State begin(const Memory& memory, std::int64_t longest) const;
  [[nodiscard]] State next(const Array& piece, const State& state, const Memory& memory) const;
  [[nodiscard]] Array outputs(const Array& source, const Array& source_length, const Array& target,
                              nn::Context& context) const;
  /// Of the last layer, the mean over its heads.
  [[nodiscard]] Array alignment(const Array& source, const Array& source_length, const Array& target) const;

 private:
  /// One layer on x, [rows, steps, embedding], whose normalised form is `normed`; `own` and `allowed`: the positions of
  /// the target that are attended to. The context is the new x.
  [[nodiscard]] nn::Attended layer(const DecoderLayer& part, const Array& x, const Array& normed,
                                   const nn::MultiHeadAttention::Memory& own, const Array& allowed,
                                   const nn::MultiHeadAttention::Memory& source, const Array& within,
                                   nn::Context& context) const;
  /// All steps: outputs, and the weights of the last layer.
  [[nodiscard]] nn::Attended decode(const Array& source, const Array& source_length, const Array& target,
                                    nn::Context& context) const;
};

}  // namespace tessera::train
