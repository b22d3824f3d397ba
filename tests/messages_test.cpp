// What public operations say when they are used wrongly, word for word. tests/messages.txt holds the texts; lines of
// this file stand in them as LINE. After a change: run with TESSERA_UPDATE_MESSAGES=1, and read the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "places.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/batches.hpp"
#include "tessera/data/corpora.hpp"
#include "tessera/data/scores.hpp"
#include "tessera/tessera.hpp"

namespace tessera {
namespace {

const std::filesystem::path kFile = std::filesystem::path(__FILE__).parent_path() / "messages.txt";

struct Pair {
  Array a, b;
  TESSERA_FIELDS(a, b)
};

struct Wrong {
  const char* name;
  std::function<void()> use;
};

const Array& matrix() {
  static const Array x = zeros({2, 3});
  return x;
}
const Array& images() {
  static const Array x = zeros({1, 4, 4, 2});
  return x;
}
const Array& integers() {
  static const Array x = arange(3);
  return x;
}

std::vector<Wrong> wrongs() {
  return {
      // Arrays.
      {"empty: type", [] { static_cast<void>(Array().shape()); }},
      {"empty: operand", [] { static_cast<void>(Array() + matrix()); }},
      {"from: count", [] { static_cast<void>(Array::from<float>({2, 2}, {1, 2, 3})); }},
      {"shape: dimension", [] { static_cast<void>(matrix().shape(2)); }},
      {"item: several elements", [] { static_cast<void>(matrix().item<float>()); }},
      {"to_vector: another type", [] { static_cast<void>(matrix().to_vector<int>()); }},
      {"bool: several elements", [] { static_cast<void>(static_cast<bool>(matrix())); }},
      {"bool: traced", [] { jit([](const Array& x) { return x.at(0) > 0 ? x : -x; })(zeros({1})); }},
      {"values: traced", [] { jit([](const Array& x) { return x * x.item<float>(); })(zeros({1})); }},
      {"values: left its trace",
       [] {
         Array leaked;
         jit([&](const Array& x) { return leaked = x + 1; })(zeros({2}));
         static_cast<void>(leaked + 1);
       }},
      {"device", [] { set_default_device("gpu"); }},
      {"threads", [] { set_default_threads(-1); }},
      // Elementwise.
      {"add: shapes", [] { static_cast<void>(matrix() + zeros({2, 4})); }},
      {"shift: floats", [] { static_cast<void>(matrix() << 1); }},
      {"and: floats", [] { static_cast<void>(matrix() & matrix()); }},
      {"not: floats", [] { static_cast<void>(~matrix()); }},
      {"popcount: floats", [] { static_cast<void>(popcount(matrix())); }},
      {"number that does not fit", [] { static_cast<void>(integers() + (std::int64_t{1} << 40)); }},
      {"negative number and unsigned", [] { static_cast<void>(arange(3, DType::U8) + -1); }},
      {"negate: bool", [] { static_cast<void>(-(matrix() > 0)); }},
      {"where: shapes", [] { static_cast<void>(where(matrix() > 0, matrix(), zeros({2}))); }},
      {"clip: shapes", [] { static_cast<void>(clip(matrix(), zeros({5}), 1)); }},
      {"bitcast: size", [] { static_cast<void>(bitcast(matrix(), DType::I16)); }},
      // Making and shaping.
      {"zeros: negative", [] { static_cast<void>(zeros({2, -1})); }},
      {"zeros: too large", [] { static_cast<void>(zeros({std::int64_t{1} << 40, std::int64_t{1} << 40})); }},
      {"arange: negative", [] { static_cast<void>(arange(-1)); }},
      {"iota: axis", [] { static_cast<void>(iota({2, 3}, 2)); }},
      {"one_hot: classes", [] { static_cast<void>(one_hot(integers(), -1)); }},
      {"one_hot: floats", [] { static_cast<void>(one_hot(matrix(), 3)); }},
      {"reshape: count", [] { static_cast<void>(reshape(matrix(), {4})); }},
      {"reshape: unknown extent", [] { static_cast<void>(reshape(matrix(), {4, -1})); }},
      {"reshape: two unknown", [] { static_cast<void>(reshape(matrix(), {-1, -1})); }},
      {"flatten: dimension", [] { static_cast<void>(flatten(matrix(), 3)); }},
      {"broadcast_to", [] { static_cast<void>(broadcast_to(matrix(), {3, 2})); }},
      {"expand_dims", [] { static_cast<void>(expand_dims(matrix(), 4)); }},
      {"squeeze: extent", [] { static_cast<void>(squeeze(matrix(), 1)); }},
      {"squeeze: axis", [] { static_cast<void>(squeeze(matrix(), 2)); }},
      {"transpose: length", [] { static_cast<void>(transpose(matrix(), {0})); }},
      {"transpose: twice", [] { static_cast<void>(transpose(matrix(), {0, 0})); }},
      {"swap_axes", [] { static_cast<void>(swap_axes(matrix(), 0, 2)); }},
      {"move_axis", [] { static_cast<void>(move_axis(matrix(), 5, 0)); }},
      {"flip", [] { static_cast<void>(flip(matrix(), {2})); }},
      {"pad: rank", [] { static_cast<void>(pad(matrix(), {{1, 1}})); }},
      {"pad: crops too much", [] { static_cast<void>(pad(matrix(), {{0, 0}, {-2, -2}})); }},
      {"concatenate: none", [] { static_cast<void>(concatenate({})); }},
      {"concatenate: shapes", [] { static_cast<void>(concatenate({matrix(), zeros({3, 2})})); }},
      {"concatenate: axis", [] { static_cast<void>(concatenate({matrix(), matrix()}, 2)); }},
      {"stack: shapes", [] { static_cast<void>(stack({matrix(), zeros({3, 2})})); }},
      {"stack: axis", [] { static_cast<void>(stack({matrix(), matrix()}, 3)); }},
      {"split", [] { static_cast<void>(split(matrix(), 2, 1)); }},
      {"split: none", [] { static_cast<void>(split(matrix(), 0)); }},
      // Reductions and products.
      {"sum: axis", [] { static_cast<void>(sum(matrix(), {2})); }},
      {"sum: twice", [] { static_cast<void>(sum(matrix(), {0, -2})); }},
      {"argmax: axis", [] { static_cast<void>(argmax(matrix(), 2)); }},
      {"softmax: axis", [] { static_cast<void>(softmax(matrix(), 2)); }},
      {"matmul: contracted", [] { static_cast<void>(matmul(matrix(), matrix())); }},
      {"matmul: nothing fits", [] { static_cast<void>(matmul(matrix(), zeros({5, 7}))); }},
      {"matmul: scalar", [] { static_cast<void>(matmul(matrix(), 2)); }},
      {"matmul: batch", [] { static_cast<void>(matmul(zeros({2, 3, 4}), zeros({3, 4, 5}))); }},
      {"conv2d: rank", [] { static_cast<void>(conv2d(matrix(), zeros({3, 3, 2, 4}))); }},
      {"conv2d: channels", [] { static_cast<void>(conv2d(images(), zeros({3, 3, 3, 4}))); }},
      {"conv2d: groups", [] { static_cast<void>(conv2d(images(), zeros({3, 3, 1, 3}), {.groups = 2})); }},
      {"conv2d: stride", [] { static_cast<void>(conv2d(images(), zeros({3, 3, 2, 4}), {.stride = {0, 1}})); }},
      {"max_pool2d: rank", [] { static_cast<void>(max_pool2d(matrix(), {2, 2}, {2, 2})); }},
      {"max_pool2d: window", [] { static_cast<void>(max_pool2d(images(), {0, 2}, {2, 2})); }},
      // Indexing.
      {"at: too many", [] { static_cast<void>(matrix().at(0, 0, 0)); }},
      {"at: range", [] { static_cast<void>(matrix().at(2)); }},
      {"at: step", [] { static_cast<void>(matrix().at(slice({}, {}, 0))); }},
      {"at: float", [] { static_cast<void>(matrix().at(Array(1.0F))); }},
      {"at: several positions", [] { static_cast<void>(matrix().at(integers())); }},
      {"take: floats", [] { static_cast<void>(take(matrix(), zeros({2}))); }},
      {"take: axis", [] { static_cast<void>(take(matrix(), integers(), 2)); }},
      {"scatter_add: updates", [] { static_cast<void>(scatter_add(matrix(), integers(), zeros({3, 4}))); }},
      {"dynamic_slice: starts", [] { static_cast<void>(dynamic_slice(matrix(), {Array(0)}, {1, 1})); }},
      {"dynamic_slice: sizes", [] { static_cast<void>(dynamic_slice(matrix(), {0, 0}, {3, 1})); }},
      {"dynamic_update_slice", [] { static_cast<void>(dynamic_update_slice(matrix(), zeros({3, 3}), {0, 0})); }},
      // Random numbers.
      {"uniform: too many", [] { static_cast<void>(random::uniform(Key(1), {std::int64_t{1} << 33})); }},
      {"integers: bounds", [] { static_cast<void>(random::integers(Key(1), {2}, 3, 3)); }},
      {"permutation", [] { static_cast<void>(random::permutation(Key(1), 0)); }},
      // Transforms.
      {"grad: not a scalar", [] { grad([](const Array& x) { return x * 2; })(matrix()); }},
      {"grad: integers", [] { grad([](const Array& x) { return sum(x); })(integers()); }},
      {"grad: integer result", [] { grad([](const Array& x) { return argmax(x, 0); })(zeros({3})); }},
      {"vjp: cotangent", [] { vjp([](const Array& x) { return x * 2; })(matrix()).second(zeros({3})); }},
      {"jvp: tangent", [] { jvp([](const Array& x) { return x * 2; })(std::tuple{matrix()}, std::tuple{zeros({3})}); }},
      {"vmap: nothing mapped", [] { vmap([](const Array& x) { return x; }, axes(none))(matrix()); }},
      {"vmap: extents", [] { vmap([](const Array& x, const Array& y) { return x + y; })(matrix(), integers()); }},
      {"vmap: count of axes", [] { vmap([](const Array& x) { return x; }, axes(0, 0))(matrix()); }},
      {"custom_vjp: captured",
       [] {
         const Array outside = ones({2, 3});
         jit([&](const Array& x) {
           return custom_vjp([&](const Array& a) { return a * outside; },
                             [](const Array& a) { return std::pair(a, a); },
                             [](const Array&, const Array& c) { return std::tuple(c); })(x);
         })(matrix());
       }},
      {"vmap: axis", [] { vmap([](const Array& x) { return x; }, axes(2))(matrix()); }},
      {"inside jit", [] { jit([](const Array& x) { return matmul(x, x); })(matrix()); }},
      // Layers, losses, optimizers.
      {"Linear", [] { static_cast<void>(nn::Linear(Key(1), 4, 2)(matrix())); }},
      {"Conv2d: groups", [] { static_cast<void>(nn::Conv2d(Key(1), 3, 4, 3, nn::Padding::Same, 1, 2)); }},
      {"Dropout: no key",
       [] {
         nn::Context context;
         static_cast<void>(nn::Dropout{0.5}(matrix(), context));
       }},
      {"Conv2d: channels", [] { static_cast<void>(nn::Conv2d(Key(1), 3, 4, 3)(images())); }},
      {"max_pool: window", [] { static_cast<void>(nn::max_pool(images(), 5)); }},
      {"BatchNorm",
       [] {
         nn::Context context{true, Key(1)};
         static_cast<void>(nn::BatchNorm(3)(images(), context));
       }},
      {"LayerNorm", [] { static_cast<void>(nn::LayerNorm(4)(matrix())); }},
      {"Dropout",
       [] {
         nn::Context context{true, Key(1)};
         static_cast<void>(nn::Dropout{1.5}(matrix(), context));
       }},
      {"Embedding: floats", [] { static_cast<void>(nn::Embedding(Key(1), 10, 4)(matrix())); }},
      {"cross_entropy: labels", [] { static_cast<void>(nn::cross_entropy(matrix(), integers())); }},
      {"cross_entropy: float labels", [] { static_cast<void>(nn::cross_entropy(matrix(), zeros({2}))); }},
      {"mean_squared_error", [] { static_cast<void>(nn::mean_squared_error(matrix(), zeros({5}))); }},
      {"optimizer of another model",
       [] {
         Pair pair{matrix(), matrix()};
         std::vector<Array> one{matrix()};
         optim::Sgd sgd(one, 0.1);
         sgd.update(pair, pair);
       }},
      {"optimizer: gradient",
       [] {
         std::vector<Array> model{matrix()};
         optim::Adam adam(model);
         adam.update(model, std::vector<Array>{zeros({4})});
       }},
      // Text.
      {"corpus: name", [] { (void)data::write_corpus({"tatoeba", "en", "de", "out", "/nowhere"}); }},
      {"corpus: languages", [] { (void)data::write_corpus({"sword", "en", "de", "out", "/nowhere"}); }},
      {"corpus: one language", [] { (void)data::write_corpus({"sword", "en", "en", "out", "/nowhere"}); }},
      {"corpus: package", [] { (void)data::write_corpus({"libreoffice-help", "en", "pt_BR", "out", "/nowhere"}); }},
      {"corpus: packages", [] { (void)data::write_corpus({"wesnoth", "en", "de", "out", "/nowhere"}); }},
      {"parallel text: no folder", [] { (void)data::load_parallel("/nowhere", "en", "de"); }},
      {"parallel text: language", [] { (void)data::load_parallel("/nowhere", "en", "d/e"); }},
      {"vocabulary: size", [] { (void)data::train_vocabulary({}, {}, {.size = 100}); }},
      {"vocabulary: coverage", [] { (void)data::train_vocabulary({}, {}, {.character_coverage = 2}); }},
      {"vocabulary: no text", [] { (void)data::train_vocabulary({}, {}); }},
      {"vocabulary: no model", [] { (void)data::Vocabulary::parse(data::view("{}"), "vocabulary.model"); }},
      {"vocabulary: no file", [] { (void)data::Vocabulary::load("/nowhere/vocabulary.model"); }},
      {"batches: tokens", [] { (void)data::BatchPlan({}, {}, 0); }},
      {"BLEU: counts", [] { (void)data::corpus_bleu(std::vector<std::string>(2), std::vector<std::string>(3)); }},
      {"BLEU: nothing", [] { (void)data::corpus_bleu({}, {}); }},
  };
}

std::string message_of(const Wrong& wrong) {
  try {
    wrong.use();
  } catch (const Error& error) {
    return without_places(error.what(), "messages_test.cpp", "LINE");
  } catch (const std::exception& error) {
    return std::string("not an Error: ") + error.what();
  }
  return "nothing was thrown";
}

std::string text_of(const std::string& name, const std::string& message) {
  return "## " + name + "\n" + message + "\n";
}

TEST(Messages, AreThoseOfTheFile) {
  std::string now;
  for (const Wrong& wrong : wrongs()) now += text_of(wrong.name, message_of(wrong));
  if (std::getenv("TESSERA_UPDATE_MESSAGES") != nullptr) {
    std::ofstream(kFile) << now;
    GTEST_SKIP() << kFile << " is written again";
  }
  std::ifstream file(kFile);
  ASSERT_TRUE(file) << kFile;
  const std::string before((std::istreambuf_iterator<char>(file)), {});
  for (const Wrong& wrong : wrongs()) {
    const std::string text = text_of(wrong.name, message_of(wrong));
    EXPECT_NE(before.find(text), std::string::npos) << "another message than in the file:\n" << text;
  }
  EXPECT_EQ(now.size(), before.size()) << "the file has messages that no case gives";
}

TEST(Messages, AreErrorsWithAPlace) {
  for (const Wrong& wrong : wrongs()) {
    const std::string message = message_of(wrong);
    EXPECT_NE(message, "nothing was thrown") << wrong.name;
    EXPECT_FALSE(message.starts_with("not an Error")) << wrong.name << ": " << message;
  }
}

}  // namespace
}  // namespace tessera
