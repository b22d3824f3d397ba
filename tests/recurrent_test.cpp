// Recurrent layers, attention and the losses of sequences against PyTorch's results (recurrent.json, written by
// recurrent.py), against loops in C++, and against finite differences; a cell that is written here is run as those of
// the library are.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "near.hpp"
#include "tessera/tessera.hpp"

namespace tessera {
namespace {

using Json = nlohmann::json;

const Json& recorded() {
  static const Json json = Json::parse(std::ifstream(std::filesystem::path(__FILE__).parent_path() / "recurrent.json"));
  return json;
}

Array array_of(const Json& json, DType dtype) {
  return astype(Array::from<double>(json.at(0).get<Shape>(), json.at(1).get<std::vector<double>>()), dtype);
}
std::vector<Array> arrays_of(const Json& json, DType dtype) {
  std::vector<Array> list;
  for (const Json& item : json) list.push_back(array_of(item, dtype));
  return list;
}
Array ints(const std::vector<std::int32_t>& values) {
  return values.empty() ? Array() : Array::from<std::int32_t>({static_cast<std::int64_t>(values.size())}, values);
}

template <class Tree>
Tree as(const Tree& tree, DType dtype) {
  return map_tree(tree, [&](const Array& leaf) { return leaf.empty() ? leaf : astype(leaf, dtype); });
}

/// Arrays [cells, batch, ...], one for each array of a state -> a state for each cell; and back.
template <class State>
std::vector<State> states_of(const std::vector<Array>& stacked) {
  std::vector<State> states(static_cast<std::size_t>(stacked.at(0).shape(0)));
  for (std::size_t c = 0; c < states.size(); ++c) {
    std::vector<Array> own;
    for (const Array& array : stacked) own.push_back(array.at(c));
    unflatten_tree(states[c], own);
  }
  return states;
}
template <class State>
std::vector<Array> stacked(const std::vector<State>& states) {
  std::vector<Array> result;
  for (std::size_t i = 0; i < flatten_tree(states.at(0)).size(); ++i) {
    std::vector<Array> parts;
    for (const State& state : states) parts.push_back(flatten_tree(state)[i]);
    result.push_back(stack(parts));
  }
  return result;
}

void expect_all_near(const std::vector<Array>& got, const std::vector<Array>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("array " + std::to_string(i));
    expect_near(got[i], want[i], tolerance);
  }
}

template <class Layer>
void compare_with_pytorch(const Json& one, DType dtype, double tolerance) {
  using State = typename Layer::State;
  Layer layer(Key(1), 4, 3, {.layers = one.at("layers"), .bidirectional = one.at("bidirectional")});
  unflatten_tree(layer, arrays_of(one.at("parameters"), dtype));
  const Array x = array_of(one.at("x"), dtype), weight = array_of(one.at("weight"), dtype);
  const Array lengths = ints(one.at("lengths").get<std::vector<std::int32_t>>());
  const auto start = states_of<State>(arrays_of(one.at("start"), dtype));
  const auto weights = arrays_of(one.at("weights"), dtype);
  const auto loss = [&](const Layer& l, const Array& input, const std::vector<State>& states) {
    nn::Context context = nn::Context::evaluation();
    const auto made = l(input, context, lengths, states);
    Array total = sum(made.outputs * weight);
    const auto last = stacked(made.states);
    for (std::size_t i = 0; i < last.size(); ++i) total = total + sum(last[i] * weights[i]);
    return std::tuple(total, made);
  };
  const auto [results, gradients] = jit(value_and_grad<0, 1, 2>(loss))(layer, x, start);
  const auto& made = std::get<1>(results);
  expect_near(made.outputs, array_of(one.at("outputs"), dtype), tolerance);
  expect_all_near(stacked(made.states), arrays_of(one.at("last"), dtype), tolerance);
  expect_all_near(flatten_tree(std::get<0>(gradients)), arrays_of(one.at("parameter_gradients"), dtype), tolerance);
  expect_near(std::get<1>(gradients), array_of(one.at("x_gradient"), dtype), tolerance);
  expect_all_near(stacked(std::get<2>(gradients)), arrays_of(one.at("start_gradients"), dtype), tolerance);
}

TEST(Recurrent, ValuesAndGradientsArePyTorchs) {
  for (const Json& one : recorded().at("recurrent"))
    for (const DType dtype : {DType::F64, DType::F32}) {
      const double tolerance = dtype == DType::F64 ? 1e-11 : 2e-5;
      const std::string kind = one.at("kind");
      SCOPED_TRACE(kind + ", layers " + one.at("layers").dump() + ", " + std::string(name(dtype)));
      if (kind == "LSTM")
        compare_with_pytorch<nn::Lstm>(one, dtype, tolerance);
      else if (kind == "GRU")
        compare_with_pytorch<nn::Gru>(one, dtype, tolerance);
      else
        compare_with_pytorch<nn::Rnn>(one, dtype, tolerance);
    }
}

/// A minimal gated unit (Zhou et al., 2016): f = sigmoid(...), h' = (1 - f) h + f tanh(... f h ...).
struct MinimalCell {
  using State = Array;
  Array input, gate, candidate, bias;
  TESSERA_FIELDS(input, gate, candidate, bias)

  MinimalCell() = default;
  MinimalCell(const Key& key, std::int64_t in, std::int64_t hidden) : bias(zeros({2 * hidden})) {
    const auto k = split<3>(key);
    input = random::normal(k[0], {in, 2 * hidden}) * 0.4;
    gate = random::normal(k[1], {hidden, hidden}) * 0.4;
    candidate = random::normal(k[2], {hidden, hidden}) * 0.4;
  }
  [[nodiscard]] Array project(const Array& x) const { return matmul(x, input) + bias; }
  [[nodiscard]] Array step(const Array& projected, const Array& h) const {
    const auto parts = split(projected, 2, -1);
    const Array f = sigmoid(parts[0] + matmul(h, gate));
    return h + f * (tanh(parts[1] + matmul(f * h, candidate)) - h);
  }
  [[nodiscard]] Array start(std::int64_t batch) const { return zeros({batch, gate.shape(0)}, gate.dtype()); }
};
static_assert(std::is_same_v<nn::Recurrent<MinimalCell>::State, Array>);

/// One direction of one row, step by step, as a person would write it.
template <class Cell>
std::pair<Array, typename Cell::State> by_hand(const Cell& cell, const Array& row, std::int64_t length,
                                               typename Cell::State state, bool reversed) {
  std::vector<Array> outputs(static_cast<std::size_t>(row.shape(0)));
  for (std::int64_t i = 0; i < row.shape(0); ++i) {
    const std::int64_t t = i >= length ? i : reversed ? length - 1 - i : i;
    const auto place = static_cast<std::size_t>(t);
    if (i < length) state = cell.step(cell.project(row.at(slice(t, t + 1))), state);
    const Array output = flatten_tree(state).at(0);
    outputs[place] = i < length ? output : zeros_like(output);
  }
  return {concatenate(outputs), state};
}

template <class Cell>
void compare_with_a_loop(const Cell& cell) {
  const Array x = sample(3, {4, 6, 3});
  const std::vector<std::int32_t> lengths{6, 1, 0, 4};
  for (const bool reversed : {false, true}) {
    SCOPED_TRACE("reversed " + std::to_string(reversed));
    const auto run = [&](const Cell& c, const Array& input) {
      auto [outputs, last] = nn::recur(c, c.project(swap_axes(input, 0, 1)), ints(lengths), c.start(4), reversed);
      return std::tuple(sum(outputs * outputs) + sum(flatten_tree(last)[0]), outputs, last);
    };
    const auto loop = [&](const Cell& c, const Array& input) {
      Array total = 0.0F;
      std::vector<Array> all;
      std::vector<typename Cell::State> states;
      for (std::int64_t b = 0; b < 4; ++b) {
        auto [outputs, last] = by_hand(c, input.at(b), lengths[static_cast<std::size_t>(b)], c.start(1), reversed);
        total = total + sum(outputs * outputs) + sum(flatten_tree(last)[0]);
        all.push_back(outputs);
        states.push_back(last);
      }
      return std::tuple(total, stack(all, 1), states);
    };
    const auto [got, got_gradients] = jit(value_and_grad<0, 1>(run))(cell, x);
    const auto [want, want_gradients] = jit(value_and_grad<0, 1>(loop))(cell, x);
    expect_near(std::get<0>(got), std::get<0>(want));
    expect_near(std::get<1>(got), std::get<1>(want));
    for (std::int64_t b = 0; b < 4; ++b)
      for (std::size_t i = 0; i < flatten_tree(std::get<2>(got)).size(); ++i)
        expect_near(flatten_tree(std::get<2>(got))[i].at(slice(b, b + 1)),
                    flatten_tree(std::get<2>(want)[static_cast<std::size_t>(b)])[i]);
    expect_all_near(flatten_tree(std::get<0>(got_gradients)), flatten_tree(std::get<0>(want_gradients)), 2e-5);
    expect_near(std::get<1>(got_gradients), std::get<1>(want_gradients), 2e-5);
    const Array dead = std::get<1>(got_gradients).at(1, slice(1, 6));
    EXPECT_EQ(sum(abs(dead)).template item<float>(), 0) << "what lies past the end has no gradient";
  }
}

TEST(Recurrent, AScanIsTheLoopThatAPersonWouldWrite) {
  compare_with_a_loop(nn::LstmCell(Key(1), 3, 4));
  compare_with_a_loop(nn::GruCell(Key(2), 3, 4, true));
  compare_with_a_loop(MinimalCell(Key(3), 3, 4));
}

/// The gradient of every parameter in f64 against central differences along a random direction.
template <class Layer>
void compare_with_differences(const Layer& start, std::uint64_t seed) {
  const Layer layer = as(start, DType::F64);
  const Array x = astype(sample(seed, {2, 4, 3}), DType::F64);
  auto loss = jit([&](const Layer& l) {
    nn::Context context = nn::Context::evaluation();
    const auto made = l(x, context, ints({4, 2}));
    return sum(made.outputs * cos(iota(made.outputs.shape(), 2, DType::F64))) + sum(stacked(made.states)[0]);
  });
  std::vector<Array> direction;
  for (const Array& leaf : flatten_tree(layer)) direction.push_back(astype(sample(++seed, leaf.shape()), DType::F64));
  const double step = 1e-5;
  const auto moved = [&](double by) {
    std::size_t i = 0;
    return loss(map_tree(layer,
                         [&](const Array& leaf) { return leaf + astype(Array(by), DType::F64) * direction[i++]; }))
        .template item<double>();
  };
  const auto gradient = flatten_tree(jit(grad(loss))(layer));
  double slope = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) slope += sum(gradient[i] * direction[i]).template item<double>();
  const double difference = (moved(step) - moved(-step)) / (2 * step);
  EXPECT_NEAR(slope, difference, 1e-5 * (1 + std::abs(difference)));
}

TEST(Recurrent, GradientsAreFiniteDifferences) {
  const nn::RecurrentOptions options{.layers = 2, .bidirectional = true, .layer_norm = true};
  compare_with_differences(nn::Lstm(Key(1), 3, 4, options), 10);
  compare_with_differences(nn::Gru(Key(2), 3, 4, options), 20);
  compare_with_differences(nn::Rnn(Key(3), 3, 4, options), 30);
  compare_with_differences(nn::Recurrent<MinimalCell>(Key(4), 3, 4, {.layers = 2, .bidirectional = true}), 40);
}

TEST(Recurrent, LayerNormalisationIsWhereItIsSaid) {
  const nn::LstmCell cell(Key(1), 3, 4, true);
  const Array x = sample(2, {5, 3});
  const nn::LstmState state{sample(3, {5, 4}), sample(4, {5, 4})};
  const nn::LstmState next = cell.step(cell.project(x), state);
  const nn::LayerNorm wide(16), narrow(4);
  const Array gates = wide(matmul(x, cell.input)) + cell.bias + wide(matmul(state.hidden, cell.recurrent));
  const auto part = [&](int i) { return gates.at(everything, slice(4 * i, 4 * i + 4)); };
  const Array c = sigmoid(part(1)) * state.cell + sigmoid(part(0)) * tanh(part(2));
  expect_near(next.cell, c);
  expect_near(next.hidden, sigmoid(part(3)) * tanh(narrow(c)));
}

TEST(Recurrent, WhatLiesPastTheEndDoesNotMatter) {
  const nn::Lstm lstm(Key(1), 3, 4, {.layers = 2, .bidirectional = true});
  nn::Context context = nn::Context::evaluation();
  const Array x = sample(2, {2, 5, 3}), lengths = ints({5, 3});
  const auto mask = astype(expand_dims(nn::length_mask(lengths, 5), 2), DType::F32);
  const auto first = lstm(x, context, lengths);
  const auto second = lstm(x * mask + (1 - mask) * 1000, context, lengths);
  const auto longer = lstm(pad(x, {{0, 0}, {0, 4}, {0, 0}}, 7), context, lengths);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(flatten_tree(first.states)[i].to_vector<float>(), flatten_tree(second.states)[i].to_vector<float>());
    expect_near(flatten_tree(first.states)[i], flatten_tree(longer.states)[i], 1e-6);
  }
  EXPECT_EQ(first.outputs.to_vector<float>(), second.outputs.to_vector<float>());
  expect_near(longer.outputs.at(everything, slice(0, 5)), first.outputs, 1e-6);
  EXPECT_EQ(sum(abs(longer.outputs.at(everything, slice(5, 9)))).item<float>(), 0);
}

TEST(Recurrent, VectorisedOverModelsAndOverSequences) {
  std::vector<nn::Gru> models;
  for (const std::uint64_t seed : {1, 2, 3}) models.emplace_back(Key(seed), 3, 4);
  nn::Gru together = models[0];
  std::vector<Array> leaves;
  for (std::size_t i = 0; i < flatten_tree(models[0]).size(); ++i) {
    std::vector<Array> each;
    for (const nn::Gru& model : models) each.push_back(flatten_tree(model)[i]);
    leaves.push_back(stack(each));
  }
  unflatten_tree(together, leaves);
  const Array x = sample(4, {3, 2, 5, 3}), lengths = Array::from<std::int32_t>({3, 2}, {5, 2, 0, 5, 3, 4});
  const auto run = [](const nn::Gru& gru, const Array& input, const Array& ends) {
    nn::Context context = nn::Context::evaluation();
    return gru(input, context, ends).outputs;
  };
  const Array all = jit(vmap(run, axes(0, 0, 0)))(together, x, lengths);
  for (std::size_t e = 0; e < 3; ++e) expect_near(all.at(e), run(models[e], x.at(e), lengths.at(e)));
}

TEST(Recurrent, CheckpointsOverTimeChangeNothing) {
  const Array x = sample(2, {2, 7, 3});
  const auto gradient = [&](std::int64_t checkpoint) {
    const nn::Lstm lstm(Key(1), 3, 4, {.bidirectional = true, .checkpoint = checkpoint});
    return flatten_tree(jit(grad([&](const nn::Lstm& l) {
      nn::Context context = nn::Context::evaluation();
      const Array outputs = l(x, context, ints({7, 4})).outputs;
      return sum(outputs * outputs);
    }))(lstm));
  };
  expect_all_near(gradient(3), gradient(0), 1e-5);
}

TEST(Recurrent, DropoutBetweenLayersMayUseOneMaskForAllSteps) {
  nn::Context context{.training = true, .key = Key(1)};
  const Array dropped = nn::variational_dropout(ones({2, 5, 100}), 0.5, context);
  expect_near(dropped, broadcast_to(dropped.at(everything, slice(2, 3)), {2, 5, 100}));
  EXPECT_NEAR(mean(dropped).item<float>(), 1, 0.3);
  const Array x = sample(2, {2, 5, 3});
  for (const bool variational : {false, true}) {
    const nn::Rnn rnn(Key(2), 3, 8, {.layers = 2, .dropout = 0.5, .variational = variational});
    nn::Context evaluation = nn::Context::evaluation();
    const Array plain = rnn(x, evaluation).outputs;
    EXPECT_GT(sum(abs(plain - rnn(x, context).outputs)).item<float>(), 0.1F);
    const nn::Rnn one(Key(2), 3, 8, {.dropout = 0.5, .variational = variational});
    expect_near(one(x, context).outputs, one(x, evaluation).outputs);
  }
}

template <class Attention>
void compare_attention(Attention attention, const Json& one, DType dtype, double tolerance) {
  unflatten_tree(attention, arrays_of(one.at("parameters"), dtype));
  const Array weight = array_of(one.at("weight"), dtype);
  const Array mask = nn::length_mask(ints(one.at("lengths").get<std::vector<std::int32_t>>()), 5);
  // All queries at once, or one after the other.
  for (const bool together : {true, false}) {
    const auto loss = [&](const Attention& a, const Array& query, const Array& memory) {
      const Array keys = a.project(memory);
      const auto ask = [&](const Array& q) { return a(q, keys, memory, mask).context; };
      const Array context =
          together ? ask(query) : stack({ask(query.at(everything, 0)), ask(query.at(everything, 1))}, 1);
      return std::tuple(sum(context * weight), context);
    };
    const auto [results, gradients] = jit(value_and_grad<0, 1, 2>(loss))(attention, array_of(one.at("query"), dtype),
                                                                         array_of(one.at("memory"), dtype));
    expect_near(std::get<1>(results), array_of(one.at("context"), dtype), tolerance);
    expect_all_near(flatten_tree(gradients), arrays_of(one.at("gradients"), dtype), tolerance);
  }
}
TEST(Attention, ValuesAndGradientsArePyTorchs) {
  for (const Json& one : recorded().at("attention"))
    for (const DType dtype : {DType::F64, DType::F32}) {
      const double tolerance = dtype == DType::F64 ? 1e-11 : 1e-5;
      SCOPED_TRACE(one.at("kind").get<std::string>() + ", " + std::string(name(dtype)));
      if (one.at("kind") == "additive")
        compare_attention(nn::AdditiveAttention(Key(1), 4, 3, 6), one, dtype, tolerance);
      else
        compare_attention(nn::DotAttention(Key(1), 4, 3), one, dtype, tolerance);
    }
}

TEST(Attention, HeadsArePyTorchs) {
  for (const Json& one : recorded().at("multi_head"))
    for (const DType dtype : {DType::F64, DType::F32}) {
      const double tolerance = dtype == DType::F64 ? 1e-11 : 1e-5;
      nn::MultiHeadAttention attention(Key(1), 6, one.at("heads").get<std::int64_t>());
      unflatten_tree(attention, arrays_of(one.at("parameters"), dtype));
      const Array query = array_of(one.at("query"), dtype), memory = array_of(one.at("memory"), dtype),
                  weight = array_of(one.at("weight"), dtype);
      const Array allowed =
          reshape(ints(one.at("allowed").get<std::vector<std::int32_t>>()), {3, query.shape(1), memory.shape(1)}) != 0;
      const auto loss = [&](const nn::MultiHeadAttention& a, const Array& q, const Array& m) {
        const auto [context, weights] = a(q, a.project(m), allowed);
        return std::tuple(sum(context * weight), context, weights);
      };
      const auto [results, gradients] = jit(value_and_grad<0, 1, 2>(loss))(attention, query, memory);
      expect_near(std::get<1>(results), array_of(one.at("context"), dtype), tolerance);
      expect_near(std::get<2>(results), array_of(one.at("weights"), dtype), tolerance);
      expect_all_near(flatten_tree(gradients), arrays_of(one.at("gradients"), dtype), tolerance);
    }
}

TEST(Attention, WeightsAreOfWhatTheMaskAllows) {
  const Array memory = sample(1, {3, 4, 5}), query = sample(2, {3, 5});
  const nn::DotAttention dot;
  const auto [context, weights] = dot(query, dot.project(memory), memory, nn::length_mask(ints({4, 1, 0}), 4));
  expect_near(sum(weights, {1}), Array::from<float>({3}, {1, 1, 0}));
  expect_near(weights.at(0), softmax(matmul(memory.at(0), query.at(0))));
  expect_near(context.at(1), memory.at(1, 0));
  expect_near(context.at(2), zeros({5}));
  const auto gradient = grad([&](const Array& m) {
    return sum(dot(query, dot.project(m), m, nn::length_mask(ints({4, 1, 0}), 4)).context);
  })(memory);
  expect_near(gradient.at(2), zeros({4, 5}));
  expect_near(gradient.at(1, slice(1, 4)), zeros({3, 5}));
  const auto all = dot(query, dot.project(memory), memory);
  expect_near(all.weights.at(2), softmax(matmul(memory.at(2), query.at(2))));
}

TEST(Losses, WeightedCrossEntropyIsPyTorchs) {
  for (const Json& one : recorded().at("cross_entropy"))
    for (const DType dtype : {DType::F64, DType::F32}) {
      std::vector<std::int32_t> labels;
      for (const Json& row : one.at("labels"))
        for (const std::int32_t label : row) labels.push_back(label);
      const Array mask = nn::length_mask(ints(one.at("lengths").get<std::vector<std::int32_t>>()), 5);
      const auto loss = [&](const Array& logits) {
        return nn::weighted_cross_entropy(logits, reshape(ints(labels), {3, 5}), mask, one.at("smoothing"));
      };
      const auto [value, gradient] = jit(value_and_grad(loss))(array_of(one.at("logits"), dtype));
      const double tolerance = dtype == DType::F64 ? 1e-11 : 1e-6;
      EXPECT_NEAR(value.item<double>(), one.at("loss").get<double>(), 10 * tolerance);
      expect_near(gradient, array_of(one.at("gradient"), dtype), tolerance);
    }
  const Array logits = sample(1, {2, 3}), labels = ints({0, 2});
  EXPECT_EQ(nn::weighted_cross_entropy(logits, labels, zeros({2})).item<float>(), 0);
  expect_near(nn::weighted_cross_entropy(logits, labels, ones({2}), 0.1), nn::cross_entropy(logits, labels, 0.1));
}

TEST(Embedding, TiedWeightsGetBothGradients) {
  const nn::Embedding embedding(Key(1), 7, 4);
  const Array words = ints({3, 1, 3, 6}), labels = ints({1, 3, 6, 0});
  const auto tied = [&](const nn::Embedding& e) { return nn::cross_entropy(e.logits(tanh(e(words))), labels); };
  const auto apart = [&](const Array& in, const Array& out) {
    return nn::cross_entropy(matmul(tanh(matmul(one_hot(words, 7), in)), transpose(out)), labels);
  };
  const auto [first, second] = grad<0, 1>(apart)(embedding.table, embedding.table);
  expect_near(jit(grad(tied))(embedding).table, first + second);
}

template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("recurrent_test.cpp"), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}
#define EXPECT_MESSAGE(expression, text)                           \
  do {                                                             \
    const std::string said = message([&] { (void)(expression); }); \
    EXPECT_NE(said.find(text), std::string::npos) << said;         \
  } while (false)

TEST(Recurrent, ErrorsSayWhatAndWhere) {
  const nn::Gru gru(Key(1), 3, 4);
  nn::Context context = nn::Context::evaluation();
  const Array x = zeros({2, 5, 3});
  EXPECT_MESSAGE(nn::Gru(Key(1), 3, 0), "each is at least 1");
  EXPECT_MESSAGE(nn::Gru(Key(1), 3, 4, {.dropout = 1}), "a dropout rate lies in [0, 1)");
  EXPECT_MESSAGE(nn::Recurrent<MinimalCell>(Key(1), 3, 4, {.layer_norm = true}), "no layer-normalised form");
  EXPECT_MESSAGE(gru(zeros({5, 3}), context), "takes [batch, time, features]");
  EXPECT_MESSAGE(gru(zeros({2, 5, 4}), context), "this cell was made for 3 in the last dimension");
  EXPECT_MESSAGE(gru(x, context, ints({1, 2, 3})), "one integer for each row of the batch");
  EXPECT_MESSAGE(gru(x, context, zeros({2})), "one integer for each row of the batch");
  EXPECT_MESSAGE(gru(x, context, {}, {zeros({2, 4}), zeros({2, 4})}), "the layer has 1 cells");
  const nn::AdditiveAttention attention(Key(1), 3, 4, 8);
  EXPECT_MESSAGE(attention.project(zeros({2, 5, 4})), "this layer takes a memory [batch, time, 3]");
  EXPECT_MESSAGE(attention(zeros({2, 3}), attention.project(x), x), "queries are [batch, 4] or [batch, steps, 4]");
  EXPECT_MESSAGE(attention(zeros({2, 4}), attention.project(x), x, ints({5, 2})), "a mask bool [batch, time]");
  EXPECT_MESSAGE(nn::MultiHeadAttention(Key(1), 6, 4), "the features are a multiple of the heads");
  const nn::MultiHeadAttention heads(Key(1), 4, 2);
  EXPECT_MESSAGE(heads.project(zeros({2, 5, 3})), "this layer takes a memory [batch, time, 4]");
  EXPECT_MESSAGE(heads(zeros({2, 4}), heads.project(zeros({2, 5, 4}))), "queries are [batch, steps, 4]");
  EXPECT_MESSAGE(nn::weighted_cross_entropy(zeros({2, 3}), ints({0, 1}), ones({3})), "one weight for each label");
}

}  // namespace
}  // namespace tessera
