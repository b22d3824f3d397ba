// Whole recurrent models: their gradients with scans against those of the unrolled program.
#include <gtest/gtest.h>

#include <cmath>

#include "tessera/tessera.hpp"

namespace tessera {
namespace {

constexpr std::int64_t kBatch = 4, kSource = 7, kTarget = 6, kHidden = 8, kFeatures = 5, kWords = 11;

struct Gru {
  Array w, u, b;
  TESSERA_FIELDS(w, u, b)

  Array operator()(const Array& h, const Array& x) const {
    const Array from_x = matmul(x, w) + b, from_h = matmul(h, u);
    const auto part = [](const Array& a, std::int64_t i) {
      return a.at(everything, slice(i * kHidden, (i + 1) * kHidden));
    };
    const Array reset = sigmoid(part(from_x, 0) + part(from_h, 0)), keep = sigmoid(part(from_x, 1) + part(from_h, 1));
    const Array proposed = tanh(part(from_x, 2) + reset * part(from_h, 2));
    return (1 - keep) * proposed + keep * h;
  }
};

/// An encoder in both directions, additive attention, input feeding.
struct Translator {
  Array source, target, query, memory, score, combined, words;
  Gru forward, backward, decoder;
  TESSERA_FIELDS(source, target, query, memory, score, combined, words, forward, backward, decoder)
};

Translator make_translator() {
  std::uint32_t seed = 1;
  const auto normal = [&](const Shape& shape) { return random::normal(Key(seed++), shape) * 0.3F; };
  const auto gru = [&](std::int64_t in) {
    Array w = normal({in, 3 * kHidden}), u = normal({kHidden, 3 * kHidden});
    return Gru{w, u, normal({3 * kHidden})};
  };
  Translator t;
  t.source = normal({kWords, kFeatures});
  t.target = normal({kWords, kFeatures});
  t.query = normal({kHidden, kHidden});
  t.memory = normal({2 * kHidden, kHidden});
  t.score = normal({kHidden});
  t.combined = normal({3 * kHidden, kHidden});
  t.words = normal({kHidden, kWords});
  t.forward = gru(kFeatures);
  t.backward = gru(kFeatures);
  t.decoder = gru(kFeatures + 2 * kHidden);
  return t;
}

/// f(state, x) -> (state, y) over all x: the last state and all y.
template <class F>
std::pair<Array, Array> steps(bool in_program, const F& f, Array state, const Array& xs, bool reverse) {
  if (in_program) return scan(f, state, xs, {.reverse = reverse});
  std::vector<Array> ys(static_cast<std::size_t>(xs.shape(0)));
  for (std::int64_t i = 0; i < xs.shape(0); ++i) {
    const std::int64_t at = reverse ? xs.shape(0) - 1 - i : i;
    auto [next, y] = f(state, xs.at(at));
    state = next;
    Shape shape = y.shape();
    shape.insert(shape.begin(), 1);
    ys[static_cast<std::size_t>(at)] = reshape(y, shape);
  }
  return {state, concatenate(ys, 0)};
}

Array loss_of(bool in_program, const Translator& t, const Array& source, const Array& given, const Array& wanted) {
  const Array xs = take(t.source, source);
  const auto encode = [](const Gru& gru) {
    return [&gru](const Array& h, const Array& x) {
      const Array next = gru(h, x);
      return std::pair(next, next);
    };
  };
  const auto [unused, ahead] = steps(in_program, encode(t.forward), zeros({kBatch, kHidden}), xs, false);
  const auto [first, back] = steps(in_program, encode(t.backward), zeros({kBatch, kHidden}), xs, true);
  const Array memory = concatenate({ahead, back}, 2), keys = matmul(memory, t.memory);
  const auto decode = [&](const Array& state, const Array& x) {  // h, and what was attended to
    const Array h = state.at(everything, slice(0, kHidden)),
                context = state.at(everything, slice(kHidden, 3 * kHidden));
    const Array next = t.decoder(h, concatenate({x, context}, 1));
    const Array weights = softmax(sum(tanh(keys + matmul(next, t.query)) * t.score, {2}), 0);
    const Array attended = sum(memory * reshape(weights, {kSource, kBatch, 1}), {0});
    const Array both = concatenate({next, attended}, 1);
    return std::pair(both, matmul(tanh(matmul(both, t.combined)), t.words));
  };
  const Array logits =
      steps(in_program, decode, concatenate({first, zeros({kBatch, 2 * kHidden})}, 1), take(t.target, given), false)
          .second;
  return nn::cross_entropy(reshape(logits, {kTarget * kBatch, kWords}), reshape(wanted, {kTarget * kBatch}));
}

TEST(ScanModels, ATranslatorsGradientsAreThoseOfTheUnrolledProgram) {
  const Translator model = make_translator();
  const Array source = random::integers(Key(50), {kSource, kBatch}, 0, kWords);
  const Array given = random::integers(Key(51), {kTarget, kBatch}, 0, kWords);
  const Array wanted = random::integers(Key(52), {kTarget, kBatch}, 0, kWords);
  const auto run = [&](bool in_program) {
    return jit(value_and_grad([in_program](const Translator& t, const Array& s, const Array& g, const Array& w) {
      return loss_of(in_program, t, s, g, w);
    }))(model, source, given, wanted);
  };
  const auto [value, gradient] = run(true);
  const auto [want, want_gradient] = run(false);
  EXPECT_NEAR(value.item<float>(), want.item<float>(), 1e-5);
  std::vector<std::vector<float>> wanted_values;
  for_each_leaf(want_gradient,
                [&](const std::string&, const Array& leaf, Role) { wanted_values.push_back(leaf.to_vector<float>()); });
  std::size_t next = 0;
  for_each_leaf(gradient, [&](const std::string& name, const Array& leaf, Role) {
    const std::vector<float> got = leaf.to_vector<float>(), &values = wanted_values[next++];
    float largest = 0;
    for (const float v : values) largest = std::max(largest, std::abs(v));
    EXPECT_GT(largest, 1e-5F) << name;
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], values[i], 2e-5F * largest) << name << ", element " << i;
  });
}

struct Search {
  Array word, ended, words, count;
  TESSERA_FIELDS(word, ended, words, count)
};

/// Greedy decoding as one program: it stops when every sentence has ended.
TEST(ScanModels, GreedyDecodingStopsWhenAllHaveEnded) {
  constexpr int kEnd = 9, kMost = 20;
  const auto decode = [](const Array& table, const Array& first) {
    const std::int64_t count = first.shape(0);
    const Search start{first, first == kEnd, full({kMost, count}, kEnd, DType::I32), Array(0)};
    return while_loop([](const Search& s) { return (s.count < kMost) & ~all(s.ended); },
                      [&](Search& s) {
                        const auto [scores, best] = top_k(take(table, s.word), 1);
                        s.word = where(s.ended, kEnd, best.at(everything, 0));
                        s.ended = s.ended | (s.word == kEnd);
                        s.words = dynamic_update_slice(s.words, reshape(s.word, {1, s.word.shape(0)}), {s.count, 0});
                        s.count += 1;
                      },
                      start);
  };
  // The word after w is w + 1.
  std::vector<float> table(100, 0);
  for (std::size_t w = 0; w < 9; ++w) table[10 * w + w + 1] = 1;
  const Search found = jit(decode)(Array::from<float>({10, 10}, table), Array::from<std::int32_t>({3}, {5, 9, 7}));
  EXPECT_EQ(found.count.item<int>(), 4);
  const std::vector<std::int32_t> words = found.words.to_vector<std::int32_t>();
  EXPECT_EQ(std::vector<std::int32_t>(words.begin(), words.begin() + 15),
            (std::vector<std::int32_t>{6, 9, 8, 7, 9, 9, 8, 9, 9, 9, 9, 9, 9, 9, 9}));
}

}  // namespace
}  // namespace tessera
