// The Transformer as array programs: encoding, one step of decoding over kept keys and values, a known target.
#include "tessera/train/transformer_translator.hpp"

#include <cmath>

namespace tessera::train {
namespace {

using HeadMemory = nn::MultiHeadAttention::Memory;

/// Positions, i32 [n], as sines and cosines of wavelengths from 2 pi to 20,000 pi: [n, width].
Array sines(const Array& positions, std::int64_t width) {
  const double step = -2 * std::log(10000.0) / static_cast<double>(width);
  const Array angles = expand_dims(astype(positions, DType::F32), 1) * exp(arange(width / 2, DType::F32) * step);
  return concatenate({sin(angles), cos(angles)}, -1);
}

}  // namespace

TransformerTranslator::TransformerTranslator(const Config& config, const Key& key, std::int64_t piece_count)
    : encoder_norm(config.model.embedding), decoder_norm(config.model.embedding), dropout{config.model.dropout} {
  const auto& m = config.model;
  const auto k = split<3>(key);
  pieces = {k[0], piece_count, m.embedding};
  const auto attention = [&](const Key& own) {
    return AttentionPart{.norm = m.embedding, .attention = {own, m.embedding, m.heads}};
  };
  const auto dense = [&](const Key& own) {
    const auto [widen, narrow] = split<2>(own);
    return DensePart{
        .norm = m.embedding, .widen = {widen, m.embedding, m.width}, .narrow = {narrow, m.width, m.embedding}};
  };
  for (std::int64_t i = 0; i < m.layers; ++i) {
    const auto e = split<2>(fold_in(k[1], i));
    encoder.push_back({.own = attention(e[0]), .dense = dense(e[1])});
    const auto d = split<3>(fold_in(k[2], i));
    decoder.push_back({.own = attention(d[0]), .source = attention(d[1]), .dense = dense(d[2])});
  }
}

Array TransformerTranslator::DensePart::operator()(const Array& x) const { return narrow(relu(widen(norm(x)))); }

auto TransformerTranslator::encode(const Array& source, const Array& lengths, nn::Context& context) const -> Memory {
  const std::int64_t length = source.shape(1);
  const Array within = expand_dims(nn::length_mask(lengths, length), 1);
  Array x = dropout(pieces.embed(source) + sines(arange(length), pieces.width()), context);
  for (const EncoderLayer& part : encoder) {
    const Array normed = part.own.norm(x);
    x = x + dropout(part.own.attention(normed, part.own.attention.project(normed), within).context, context);
    x = x + dropout(part.dense(x), context);
  }
  x = encoder_norm(x);
  Memory memory{.layers = {}, .within = within};
  for (const DecoderLayer& part : decoder) memory.layers.push_back(part.source.attention.project(x));
  return memory;
}

auto TransformerTranslator::begin(const Memory& memory, std::int64_t longest) const -> State {
  const std::int64_t rows = memory.within.shape(0), heads = decoder.at(0).own.attention.heads;
  const Array none = zeros({rows, heads, longest, pieces.width() / heads});
  return {.layers = std::vector<HeadMemory>(decoder.size(), {none, none}),
          .position = zeros({rows}, DType::I32),
          .output = zeros({rows, pieces.width()})};
}

nn::Attended TransformerTranslator::layer(const DecoderLayer& part, const Array& x, const Array& normed,
                                          const HeadMemory& own, const Array& allowed, const HeadMemory& source,
                                          const Array& within, nn::Context& context) const {
  Array y = x + dropout(part.own.attention(normed, own, allowed).context, context);
  // Several translations of one row are so many queries of its memory.
  const std::int64_t rows = source.keys.shape(0), queries = y.shape(0) * y.shape(1) / rows;
  const Array asked = reshape(part.source.norm(y), {rows, queries, y.shape(2)});
  const auto [found, weights] = part.source.attention(asked, source, within);
  y = y + dropout(reshape(found, y.shape()), context);
  return {y + dropout(part.dense(y), context), weights};
}

auto TransformerTranslator::next(const Array& piece, const State& state, const Memory& memory) const -> State {
  nn::Context context = nn::Context::evaluation();
  const std::int64_t longest = state.layers.at(0).keys.shape(2);
  const Array positions = arange(longest), now = expand_dims(state.position, 1);
  const Array here = expand_dims(expand_dims(positions == now, 1), 3);
  const Array allowed = expand_dims(positions <= now, 1);
  State after = state;
  Array x = expand_dims(pieces.embed(piece) + sines(state.position, pieces.width()), 1);
  for (std::size_t i = 0; i < decoder.size(); ++i) {
    const Array normed = decoder[i].own.norm(x);
    const HeadMemory fresh = decoder[i].own.attention.project(normed);
    HeadMemory& kept = after.layers[i];
    kept = {where(here, fresh.keys, kept.keys), where(here, fresh.values, kept.values)};
    x = layer(decoder[i], x, normed, kept, allowed, memory.layers[i], memory.within, context).context;
  }
  after.position = state.position + 1;
  after.output = squeeze(decoder_norm(x), 1);
  return after;
}

nn::Attended TransformerTranslator::decode(const Array& source, const Array& source_length, const Array& target,
                                           nn::Context& context) const {
  const Memory memory = encode(source, source_length, context);
  const Array positions = arange(target.shape(1));
  const Array allowed = expand_dims(expand_dims(positions, 0) <= expand_dims(positions, 1), 0);
  nn::Attended now{dropout(pieces.embed(target) + sines(positions, pieces.width()), context), {}};
  for (std::size_t i = 0; i < decoder.size(); ++i) {
    const Array normed = decoder[i].own.norm(now.context);
    now = layer(decoder[i], now.context, normed, decoder[i].own.attention.project(normed), allowed, memory.layers[i],
                memory.within, context);
  }
  return {decoder_norm(now.context), now.weights};
}

Array TransformerTranslator::outputs(const Array& source, const Array& source_length, const Array& target,
                                     nn::Context& context) const {
  return decode(source, source_length, target, context).context;
}

Array TransformerTranslator::alignment(const Array& source, const Array& source_length, const Array& target) const {
  nn::Context context = nn::Context::evaluation();
  return mean(decode(source, source_length, target, context).weights, {1});
}

}  // namespace tessera::train
