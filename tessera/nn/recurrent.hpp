// Recurrent layers. A cell is a plain struct: `project` does the input's part of all steps as one product, `step` does
// the rest of one step; `recur` runs any such cell over time, as a scan; Recurrent stacks cells into layers and
// directions. Sequences are [batch, time, features] outside and time-major inside, where a step's rows lie together.
//
//   nn::Lstm encoder(key, 256, 512, {.layers = 2, .bidirectional = true, .dropout = 0.2});
//   const auto [outputs, states] = encoder(embedded, context, lengths);
//
// A cell of one's own (recurrent_test.cpp has one) needs
//   State                            a tree of arrays [batch, ...]; the first is the output of a step
//   project(x)                       arrays [..., features] -> a tree of arrays [..., n]
//   step(projected, state) -> State  projected: one step of what project gave
//   start(batch) -> State            where a sequence begins
// and, to be made by Recurrent, a constructor (key, in, hidden).
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/array/flow.hpp"
#include "tessera/nn/nn.hpp"

namespace tessera::nn {

/// h' = tanh(x W + b + h U) (Elman, 1990).
struct RnnCell {
  using State = Array;  ///< [batch, hidden]

  Array input, recurrent, bias;  ///< [in, hidden], [hidden, hidden], [hidden]
  std::vector<LayerNorm> norms;  ///< none, or those of the input's and of the recurrent product
  TESSERA_FIELDS(input, recurrent, bias, norms)

  RnnCell() = default;
  /// Weights uniform in +-1 / sqrt(hidden), as PyTorch; biases zero.
  RnnCell(const Key& key, std::int64_t in, std::int64_t hidden, bool layer_norm = false);
  [[nodiscard]] Array project(const Operand& x) const;
  [[nodiscard]] State step(const Operand& projected, const State& state) const;
  [[nodiscard]] State start(std::int64_t batch) const;
};

struct LstmState {
  Array hidden, cell;  ///< [batch, hidden]
  TESSERA_FIELDS(hidden, cell)
};

/// Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000; gates in PyTorch's order:
///   i, f, g, o = x W + b + h U, in four parts;  c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c')
/// PyTorch's two biases are one here: their sum. Layer-normalised (Ba, Kiros, Hinton, 2016): x W, h U and the c' inside
/// the last tanh.
struct LstmCell {
  using State = LstmState;

  Array input, recurrent, bias;  ///< [in, 4 hidden], [hidden, 4 hidden], [4 hidden]
  std::vector<LayerNorm> norms;  ///< none, or those of x W, h U and c'
  TESSERA_FIELDS(input, recurrent, bias, norms)

  LstmCell() = default;
  /// Weights uniform in +-1 / sqrt(hidden), as PyTorch; biases zero, those of the forget gate 1 (Jozefowicz et al.,
  /// 2015).
  LstmCell(const Key& key, std::int64_t in, std::int64_t hidden, bool layer_norm = false);
  [[nodiscard]] Array project(const Operand& x) const;
  [[nodiscard]] State step(const Operand& projected, const State& state) const;
  [[nodiscard]] State start(std::int64_t batch) const;
};

/// Cho et al., 2014, in PyTorch's form, where the reset gate acts after the product; gates in PyTorch's order:
///   r, z = sigmoid(x W + b + h U), n = tanh(x W + b + r (h U + d)), each its third;  h' = (1 - z) n + z h
/// PyTorch's two biases of r and z are one here, their sum; d is `candidate_bias`. Layer-normalised: x W and h U.
struct GruCell {
  using State = Array;  ///< [batch, hidden]

  Array input, recurrent, bias, candidate_bias;  ///< [in, 3 hidden], [hidden, 3 hidden], [3 hidden], [hidden]
  std::vector<LayerNorm> norms;                  ///< none, or those of x W and h U
  TESSERA_FIELDS(input, recurrent, bias, candidate_bias, norms)

  GruCell() = default;
  /// Weights uniform in +-1 / sqrt(hidden), as PyTorch; biases zero.
  GruCell(const Key& key, std::int64_t in, std::int64_t hidden, bool layer_norm = false);
  [[nodiscard]] Array project(const Operand& x) const;
  [[nodiscard]] State step(const Operand& projected, const State& state) const;
  [[nodiscard]] State start(std::int64_t batch) const;
};

/// bool [batch, time]: the positions before the end of each row. `lengths`: integers [batch].
Array length_mask(const Operand& lengths, std::int64_t time);
/// Dropout with one mask for all steps of [batch, time, features] (Gal and Ghahramani, 2016).
Array variational_dropout(const Operand& x, double rate, Context& context);

namespace detail {
/// `lengths` fit a batch; throws Error where they do not.
void check_lengths(const Array& lengths, std::int64_t batch, Location at);
/// yes in the rows where `rows`, bool [batch], holds.
Array choose_rows(const Array& rows, const Array& yes, const Array& no);
[[noreturn]] void throw_not_normalised(Location at);
/// The keys of `count` cells; checks what a recurrent layer is made with.
std::vector<Key> cell_keys(const Key& key, std::int64_t in, std::int64_t hidden, std::int64_t layers,
                           std::int64_t directions, double dropout, Location at);
/// x is [batch, time, features], and states are none or one for each of `cells`.
void check_sequence(const Operand& x, std::size_t states, std::size_t cells);
/// Between two layers.
Array layer_dropout(const Array& x, double rate, bool variational, Context& context);
}  // namespace detail

/// Runs `cell` over all steps of `projected` (time-major: [time, batch, ...] in each array): outputs [time, batch, ...]
/// and the last state. `lengths`, integers [batch], may be empty: then every row has all steps. Past its end a row's
/// output is zero, and its state stays; with `reversed`, steps go from the last to the first, and each row begins at
/// its own last step.
template <class Cell, class Projected, class State>
std::pair<Array, State> recur(const Cell& cell, const Projected& projected, const Array& lengths, const State& state,
                              bool reversed = false, ScanOptions options = {},
                              std::source_location at = std::source_location::current()) {
  const tessera::detail::ModuleScope scope(at);
  options.reverse = reversed;
  if (lengths.empty()) {
    const auto step = [&cell](const State& before, const Projected& now) {
      const State after = cell.step(now, before);
      return std::pair(after, flatten_tree(after).at(0));
    };
    const auto [last, outputs] = scan(step, state, projected, options, at);
    return {outputs, last};
  }
  const Array first = flatten_tree(projected).at(0);
  detail::check_lengths(lengths, first.shape(1), at);
  const auto step = [&cell](const State& before, const std::pair<Projected, Array>& now) {
    State after = cell.step(now.first, before);
    const Array output = flatten_tree(after).at(0);
    const std::vector<Array> kept = flatten_tree(before);
    std::size_t i = 0;
    after = map_tree(std::move(after),
                     [&](const Array& next) { return detail::choose_rows(now.second, next, kept.at(i++)); });
    return std::pair(after, detail::choose_rows(now.second, output, zeros_like(output)));
  };
  const Array within = transpose(length_mask(lengths, first.shape(0)));
  const auto [last, outputs] = scan(step, state, std::pair(projected, within), options, at);
  return {outputs, last};
}

struct RecurrentOptions {
  std::int64_t layers = 1;
  bool bidirectional = false;
  double dropout = 0;        ///< between layers
  bool variational = false;  ///< one mask of dropout for all steps
  bool layer_norm = false;
  std::int64_t checkpoint = 0;  ///< as ScanOptions has it: less memory in training, for long sequences
};

template <class State>
struct Recurred {
  Array outputs;              ///< [batch, time, directions x hidden]: of the last layer, zero past a row's end
  std::vector<State> states;  ///< after each row's last step (backward: its first): layer by layer, forward first
  TESSERA_FIELDS(outputs, states)
};

/// Layers of cells in one or both directions, as PyTorch stacks them: a layer reads both directions of the one below.
template <class Cell>
struct Recurrent {
  using State = typename Cell::State;

  std::vector<std::vector<Cell>> layers;  ///< of each layer: forward, and backward where there is one
  double dropout = 0;
  bool variational = false;
  std::int64_t checkpoint = 0;
  TESSERA_FIELDS(layers, dropout, variational, checkpoint)

  Recurrent() = default;
  Recurrent(const Key& key, std::int64_t in, std::int64_t hidden, const RecurrentOptions& options = {},
            std::source_location at = std::source_location::current())
      : dropout(options.dropout), variational(options.variational), checkpoint(options.checkpoint) {
    const std::int64_t directions = options.bidirectional ? 2 : 1;
    const auto keys = detail::cell_keys(key, in, hidden, options.layers, directions, dropout, at);
    for (const Key& own : keys) {
      if (layers.empty() || std::ssize(layers.back()) == directions) layers.emplace_back();
      const std::int64_t width = layers.size() == 1 ? in : hidden * directions;
      if constexpr (std::is_constructible_v<Cell, Key, std::int64_t, std::int64_t, bool>) {
        layers.back().emplace_back(own, width, hidden, options.layer_norm);
      } else {
        if (options.layer_norm) detail::throw_not_normalised(at);
        layers.back().emplace_back(own, width, hidden);
      }
    }
  }

  /// x: [batch, time, features]. `lengths`: integers [batch]; empty: all rows are full. `initial`: the states in the
  /// order of Recurred::states; empty: each cell's start.
  Recurred<State> operator()(const Operand& x, Context& context, const Array& lengths = {},
                             const std::vector<State>& initial = {}) const {
    const tessera::detail::ModuleScope scope(x.location);
    std::size_t cells = 0;
    for (const auto& layer : layers) cells += layer.size();
    detail::check_sequence(x, initial.size(), cells);
    Recurred<State> result;
    Array h = swap_axes(x, 0, 1);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      if (l > 0) h = detail::layer_dropout(h, dropout, variational, context);
      std::vector<Array> directions;
      for (const Cell& cell : layers[l]) {
        const std::size_t i = result.states.size();
        auto [outputs, last] =
            recur(cell, cell.project(h), lengths, initial.empty() ? cell.start(h.shape(1)) : initial[i],
                  !directions.empty(), {.checkpoint = checkpoint});
        directions.push_back(outputs);
        result.states.push_back(std::move(last));
      }
      h = directions.size() == 1 ? directions[0] : concatenate(directions, -1);
    }
    result.outputs = swap_axes(h, 0, 1);
    return result;
  }
};

using Rnn = Recurrent<RnnCell>;
using Lstm = Recurrent<LstmCell>;
using Gru = Recurrent<GruCell>;

}  // namespace tessera::nn
