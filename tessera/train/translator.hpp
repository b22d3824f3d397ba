// The translators that recipes describe, and how they write a translation. Array programs that know no files.
// Read next: train/recurrent_translator.hpp and train/transformer_translator.hpp (the models), train/translate_task.cpp
// (training), train/translate.hpp (text to text).
#pragma once

#include <variant>

#include "tessera/train/recurrent_translator.hpp"
#include "tessera/train/transformer_translator.hpp"

namespace tessera::train {

using Translator = std::variant<RecurrentTranslator<nn::GruCell, nn::AdditiveAttention>,
                                RecurrentTranslator<nn::GruCell, nn::DotAttention>,
                                RecurrentTranslator<nn::LstmCell, nn::AdditiveAttention>,
                                RecurrentTranslator<nn::LstmCell, nn::DotAttention>, TransformerTranslator>;

Translator make_translator(const Config& config, const Key& key, std::int64_t pieces);

/// The scores of each piece of a target that is known: source i32 [rows, source length], its lengths i32 [rows], the
/// piece before each of the target i32 [rows, length] -> [rows, length, pieces].
Array logits(const Translator& model, const Array& source, const Array& source_length, const Array& target,
             nn::Context& context);

/// How much each piece of a target attends to each of the source: [rows, length, source length], of sum 1.
Array alignment(const Translator& model, const Array& source, const Array& source_length, const Array& target);

/// The best translations found.
struct Translations {
  Array tokens;   ///< i32 [rows, beam, length]: pieces, </s>, <pad>...; the best first
  Array scores;   ///< [rows, beam]: log-probability, divided by the length; below kNoTranslation where there is none
  Array lengths;  ///< i32 [rows, beam]: tokens, </s> included
  TESSERA_FIELDS(tokens, scores, lengths)
};
constexpr float kNoTranslation = -1e20F;

/// Beam search as one program; 1 is greedy. A row is done when `beam` of its hypotheses have ended (Ott et al., 2019);
/// none gets longer than `length`.
Translations search(const Translator& model, const Array& source, const Array& source_length, std::int64_t beam,
                    std::int64_t length);

}  // namespace tessera::train
