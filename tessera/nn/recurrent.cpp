// The cells of recurrent layers as array programs, and what their layers share.
#include "tessera/nn/recurrent.hpp"

#include <fmt/format.h>

#include <cmath>

namespace tessera::nn {

using tessera::detail::ModuleScope;
using tessera::detail::throw_operand_error;
using tessera::detail::throw_usage;

namespace {

/// Uniform in +-1 / sqrt(hidden).
Array cell_weights(const Key& key, std::int64_t in, std::int64_t hidden, std::int64_t gates) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  return random::uniform(key, {in, gates * hidden}, -bound, bound);
}

std::vector<LayerNorm> layer_norms(bool wanted, std::initializer_list<std::int64_t> features) {
  if (!wanted) return {};
  return {features.begin(), features.end()};
}

Array normalised(const std::vector<LayerNorm>& norms, std::size_t i, const Array& x) {
  return norms.empty() ? x : norms.at(i)(x);
}

/// The input's part of all steps.
template <class Cell>
Array projected_input(const char* name, const Cell& cell, const Operand& x) {
  const ModuleScope scope(x.location);
  const Array input = x.as(x.dtype());
  if (input.rank() == 0 || input.shape(-1) != cell.input.shape(0)) {
    const Array operands[] = {input};
    throw_operand_error(name, x.location, operands,
                        fmt::format("this cell was made for {} in the last dimension", cell.input.shape(0)), "");
  }
  return normalised(cell.norms, 0, matmul(input, cell.input)) + cell.bias;
}

template <class Cell>
Array zero_state(const Cell& cell, std::int64_t batch) {
  return zeros({batch, cell.recurrent.shape(0)}, cell.recurrent.dtype());
}

}  // namespace

RnnCell::RnnCell(const Key& key, std::int64_t in, std::int64_t hidden, bool layer_norm)
    : bias(zeros({hidden})), norms(layer_norms(layer_norm, {hidden, hidden})) {
  const auto [input_key, recurrent_key] = split<2>(key);
  input = cell_weights(input_key, in, hidden, 1);
  recurrent = cell_weights(recurrent_key, hidden, hidden, 1);
}

Array RnnCell::project(const Operand& x) const { return projected_input("RnnCell", *this, x); }

Array RnnCell::step(const Operand& projected, const Array& state) const {
  const ModuleScope scope(projected.location);
  return tanh(projected + normalised(norms, 1, matmul(state, recurrent)));
}

Array RnnCell::start(std::int64_t batch) const { return zero_state(*this, batch); }

LstmCell::LstmCell(const Key& key, std::int64_t in, std::int64_t hidden, bool layer_norm)
    : bias(concatenate({zeros({hidden}), ones({hidden}), zeros({2 * hidden})})),
      norms(layer_norms(layer_norm, {4 * hidden, 4 * hidden, hidden})) {
  const auto [input_key, recurrent_key] = split<2>(key);
  input = cell_weights(input_key, in, hidden, 4);
  recurrent = cell_weights(recurrent_key, hidden, hidden, 4);
}

Array LstmCell::project(const Operand& x) const { return projected_input("LstmCell", *this, x); }

LstmState LstmCell::step(const Operand& projected, const LstmState& state) const {
  const ModuleScope scope(projected.location);
  const auto gates = tessera::split(projected + normalised(norms, 1, matmul(state.hidden, recurrent)), 4, -1);
  const Array cell = sigmoid(gates[1]) * state.cell + sigmoid(gates[0]) * tanh(gates[2]);
  return {sigmoid(gates[3]) * tanh(normalised(norms, 2, cell)), cell};
}

LstmState LstmCell::start(std::int64_t batch) const { return {zero_state(*this, batch), zero_state(*this, batch)}; }

GruCell::GruCell(const Key& key, std::int64_t in, std::int64_t hidden, bool layer_norm)
    : bias(zeros({3 * hidden})),
      candidate_bias(zeros({hidden})),
      norms(layer_norms(layer_norm, {3 * hidden, 3 * hidden})) {
  const auto [input_key, recurrent_key] = split<2>(key);
  input = cell_weights(input_key, in, hidden, 3);
  recurrent = cell_weights(recurrent_key, hidden, hidden, 3);
}

Array GruCell::project(const Operand& x) const { return projected_input("GruCell", *this, x); }

Array GruCell::step(const Operand& projected, const Array& state) const {
  const ModuleScope scope(projected.location);
  const auto given = tessera::split(projected, 3, -1);
  const auto own = tessera::split(normalised(norms, 1, matmul(state, recurrent)), 3, -1);
  const Array update = sigmoid(given[1] + own[1]);
  const Array candidate = tanh(given[2] + sigmoid(given[0] + own[0]) * (own[2] + candidate_bias));
  return candidate + update * (state - candidate);
}

Array GruCell::start(std::int64_t batch) const { return zero_state(*this, batch); }

Array length_mask(const Operand& lengths, std::int64_t time) {
  const ModuleScope scope(lengths.location);
  const Array ends = lengths.as(lengths.dtype());
  detail::check_lengths(ends, ends.rank() == 1 ? ends.shape(0) : 0, lengths.location);
  return arange(time) < expand_dims(astype(ends, DType::I32), 1);
}

Array variational_dropout(const Operand& x, double rate, Context& context) {
  const ModuleScope scope(x.location);
  const Array input = x.as(x.dtype());
  if (input.rank() != 3) {
    const Array operands[] = {input};
    throw_operand_error("variational_dropout", x.location, operands, "x is [batch, time, features]", "");
  }
  const Array mask = Dropout{rate}(ones({input.shape(0), 1, input.shape(2)}, input.dtype()), context);
  return input * mask;
}

namespace detail {

void check_lengths(const Array& lengths, std::int64_t batch, Location at) {
  if (lengths.rank() == 1 && lengths.shape(0) == batch && is_integer(lengths.dtype())) return;
  const Array operands[] = {lengths};
  throw_operand_error("lengths", at, operands, "one integer for each row of the batch, so [batch]", "");
}

Array choose_rows(const Array& rows, const Array& yes, const Array& no) {
  Shape shape(static_cast<std::size_t>(yes.rank()), 1);
  shape.at(0) = rows.shape(0);
  return where(reshape(rows, shape), yes, no);
}

void throw_not_normalised(Location at) {
  throw_usage(at,
              "this cell has no layer-normalised form\n  hint: one has a constructor (key, in, hidden, layer_norm)");
}

std::vector<Key> cell_keys(const Key& key, std::int64_t in, std::int64_t hidden, std::int64_t layers,
                           std::int64_t directions, double dropout, Location at) {
  if (in < 1 || hidden < 1 || layers < 1)
    throw_usage(at, fmt::format("a recurrent layer of {} inputs, {} hidden units and {} layers: each is at least 1", in,
                                hidden, layers));
  if (dropout < 0 || dropout >= 1)
    throw_usage(at, fmt::format("a dropout rate lies in [0, 1); this one is {}", dropout));
  return tessera::detail::split_key(key, layers * directions);
}

void check_sequence(const Operand& x, std::size_t states, std::size_t cells) {
  const Array input = x.as(x.dtype());
  if (input.rank() != 3) {
    const Array operands[] = {input};
    throw_operand_error("Recurrent", x.location, operands, "a recurrent layer takes [batch, time, features]",
                        "the steps of a single sequence are expand_dims(x, 0)");
  }
  if (states != 0 && states != cells)
    throw_usage(x.location, fmt::format("{} states to begin with, and the layer has {} cells\n  hint: one for each "
                                        "layer and direction, or none",
                                        states, cells));
}

Array layer_dropout(const Array& x, double rate, bool variational, Context& context) {
  if (!context.training || rate == 0) return x;
  if (!variational) return Dropout{rate}(x, context);
  return x * Dropout{rate}(ones({1, x.shape(1), x.shape(2)}, x.dtype()), context);
}

}  // namespace detail

}  // namespace tessera::nn
