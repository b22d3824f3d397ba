// Translators trained on a made-up language pair: what a run learns and holds, resuming, the search against a plain
// one, refusals.
#include "tessera/train/translate.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <random>

#include "device.hpp"
#include "failure.hpp"
#include "tessera/array/jit.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/loop.hpp"
#include "tessera/train/trained.hpp"

namespace tessera::train {
namespace {

using std::string;
namespace fs = std::filesystem;

const std::vector<string> kWords{"red", "green", "blue", "cat", "dog", "sees", "hears", "one", "two", "three"};

/// The "translation": the words from the last to the first, in capital letters.
string translation_of(const std::vector<string>& words) {
  string line;
  for (std::size_t i = words.size(); i-- > 0;) {
    if (!line.empty()) line += ' ';
    for (const char c : words[i]) line += static_cast<char>(c - 'a' + 'A');
  }
  return line;
}

class Translating : public testing::Test {
 protected:
  Translating() {
    set_default_device(test_device());
    string name = (fs::temp_directory_path() / "tessera-translate-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    fs::create_directories(folder / "text");
    std::mt19937 random(7);
    for (const auto& [split, count] : {std::pair{"train", 400}, std::pair{"valid", 20}, std::pair{"test", 30}}) {
      string source, target;
      for (int i = 0; i < count; ++i) {
        std::vector<string> words(1 + random() % 5);
        for (string& word : words) word = kWords[random() % kWords.size()];
        for (const string& word : words) source += (&word == words.data() ? "" : " ") + word;
        source += '\n';
        target += translation_of(words) + '\n';
      }
      data::write_file(folder / "text" / (string(split) + ".xx"), source);
      data::write_file(folder / "text" / (string(split) + ".yy"), target);
    }
  }
  ~Translating() override { fs::remove_all(folder); }
  Translating(const Translating&) = delete;
  Translating& operator=(const Translating&) = delete;

  [[nodiscard]] Config config(const std::vector<Setting>& more = {}) const {
    std::vector<Setting> settings{{"data.path", (folder / "text").string()},
                                  {"data.source", "xx"},
                                  {"data.target", "yy"},
                                  {"data.vocabulary", "330"},
                                  {"data.buckets", "2"},
                                  {"model.embedding", "32"},
                                  {"model.width", "32"},
                                  {"model.dropout", "0.05"},
                                  {"train.batch", "512"},
                                  {"train.epochs", "2"},
                                  {"optimizer.rate", "0.01"}};
    settings.insert(settings.end(), more.begin(), more.end());
    return load_config("translate", settings);
  }
  [[nodiscard]] TrainResult run(const string& name, const Config& c, bool resume = false,
                                std::optional<double> seconds = {}) const {
    return train({.config = c, .out = folder / name, .resume = resume, .quiet = true, .max_seconds = seconds});
  }
  [[nodiscard]] string read(const string& name, std::int64_t step, const char* file) const {
    return data::read_text(checkpoint_folder(folder / name, step) / file);
  }
  [[nodiscard]] string refusal(const Config& c, ErrorKind kind) const {
    const string message = failure([&] { (void)run("refused", c); }, kind);
    EXPECT_FALSE(fs::exists(folder / "refused")) << message;
    return message;
  }

  Path folder;
};

TEST_F(Translating, LearnsALanguageAndWritesWhatARunHolds) {
  const TrainResult result =
      run("r", config({{"train.epochs", "50"}, {"train.evaluate_every", "5"}, {"train.checkpoint_every", "20"}}));
  EXPECT_EQ(result.end, TrainEnd::Finished);
  ASSERT_TRUE(result.summary);
  ASSERT_TRUE(result.summary->test_bleu);
  EXPECT_GE(*result.summary->test_bleu, 80);
  EXPECT_GE(result.summary->test_accuracy, 0.9);
  EXPECT_GT(result.summary->flops_per_example, 0);
  for (const char* file : {"config.toml", "metrics.jsonl", "summary.json", "report.html", "vocabulary.model"})
    EXPECT_TRUE(fs::exists(folder / "r" / file)) << file;
  const std::vector<Metric> metrics = read_metrics(folder / "r" / "metrics.jsonl");
  ASSERT_GT(metrics.size(), 10U);
  EXPECT_LT(metrics.back().loss, metrics.front().loss / 5);
  const string page = data::read_text(folder / "r" / "report.html");
  for (const char* part : {"test BLEU", "Translations", "BLEU|nrefs:1", "tokens per second"}) EXPECT_HAS(page, part);

  // From its folder alone it translates; every line gives one, whatever it is.
  const TrainedTranslator trained = load_translator(folder / "r");
  TextTranslator translate(trained.vocabulary, trained.config.data.max_tokens, Precision::Float32);
  string endless;
  for (int i = 0; i < 100; ++i) endless += "red dog ";
  const std::vector<string> lines{"red cat", "", "one two three", string("nul \0 \xff\xfe", 8), "   ", endless, "dog"};
  const std::vector<string> said = translate(trained.model, lines, kBeam);
  ASSERT_EQ(said.size(), lines.size());
  EXPECT_EQ(said[0], "CAT RED");
  EXPECT_EQ(said[1], "");
  EXPECT_EQ(said[2], "THREE TWO ONE");
  EXPECT_EQ(said[4], "");
  EXPECT_GT(said[5].size(), 60U) << "a long line is translated in parts";
  EXPECT_EQ(said[6], "DOG");
  for (const string& line : said) EXPECT_EQ(line.find('\n'), string::npos);
  // What stands beside a line does not change its translation.
  EXPECT_EQ(translate(trained.model, std::vector<string>{"one two three"}, kBeam)[0], said[2]);

  EXPECT_HAS(failure([&] { (void)translate(trained.model, lines, 0); }), "a beam of 0");

  // Several translations of a line, the best first, all different; one for a line without text.
  const auto best = translate.best(trained.model, lines, 4, 3);
  ASSERT_EQ(best.size(), lines.size());
  EXPECT_EQ(best[1].size(), 1U);
  ASSERT_EQ(best[2].size(), 3U);
  EXPECT_EQ(best[2][0].text, "THREE TWO ONE");
  EXPECT_GT(best[2][0].score, best[2][1].score);
  EXPECT_GE(best[2][1].score, best[2][2].score);
  EXPECT_NE(best[2][1].text, best[2][2].text);
  EXPECT_EQ(best[5].size(), 3U) << "of a line in parts";
  EXPECT_HAS(failure([&] { (void)translate.best(trained.model, lines, 4, 5); }), "at most 4 translations, not 5");

  // A translation attends to what it translates: here to the words from the last to the first.
  const std::vector<string> source{"red green", "cat"}, target{"GREEN RED", "CAT"};
  const std::vector<Alignment> alignments = translate.align(trained.model, source, target);
  ASSERT_EQ(alignments.size(), 2U);
  const Alignment& two = alignments[0];
  EXPECT_EQ(two.source.back(), "</s>");
  ASSERT_EQ(two.weights.size(), two.source.size() * two.target.size());
  for (std::size_t t = 0; t < two.target.size(); ++t) {
    const auto row = two.weights.begin() + static_cast<std::ptrdiff_t>(t * two.source.size());
    EXPECT_NEAR(std::accumulate(row, row + std::ssize(two.source), 0.0F), 1, 1e-4);
  }
  EXPECT_HAS(page, "<h2>Attention</h2>");
  EXPECT_HAS(failure([&] { (void)load_run(folder / "r"); }, ErrorKind::Failed), "is the run of a translator");
  // A vocabulary that is another run's does not fit.
  data::train_vocabulary(kWords, kWords, {.size = 300}).save(folder / "r" / "vocabulary.model");
  EXPECT_HAS(failure([&] { (void)load_translator(folder / "r"); }, ErrorKind::Failed), "another vocabulary");
  data::write_file(folder / "r" / "vocabulary.model", "no model");
  EXPECT_HAS(failure([&] { (void)load_translator(folder / "r"); }, ErrorKind::Failed), "vocabulary.model");
}

TEST_F(Translating, ResumingAfterEveryStepGivesTheSameBits) {
  const Config c = config({{"train.epochs", "1.3"}});
  const TrainResult whole = run("whole", c);
  ASSERT_TRUE(whole.summary);
  const std::int64_t steps = whole.summary->steps;
  int sessions = 0;
  for (TrainEnd end = TrainEnd::TimeUp; end == TrainEnd::TimeUp; ++sessions) end = run("pieces", c, true, 1e-9).end;
  EXPECT_EQ(sessions, steps);
  for (const char* file : {"model.safetensors", "state.safetensors"})
    EXPECT_EQ(read("whole", steps, file), read("pieces", steps, file)) << file;
  EXPECT_EQ(data::read_text(folder / "whole" / "vocabulary.model"),
            data::read_text(folder / "pieces" / "vocabulary.model"));
  (void)run("other", config({{"train.epochs", "1.3"}, {"train.seed", "2"}}));
  EXPECT_NE(read("whole", steps, "model.safetensors"), read("other", steps, "model.safetensors"));
}

TEST_F(Translating, EveryKindLearnsTheLanguage) {
  const std::vector<std::vector<Setting>> kinds{
      {{"model.cell", "lstm"}, {"model.attention", "dot"}},
      {{"model.attention", "dot"}, {"model.layer_norm", "true"}},
      {{"model.kind", "transformer"}, {"model.heads", "4"}, {"train.epochs", "60"}}};
  for (const std::vector<Setting>& kind : kinds) {
    const string called = kind.front().second + " " + kind.back().first;
    SCOPED_TRACE(called);
    std::vector<Setting> settings{{"train.epochs", "30"},
                                  {"train.evaluate_every", "30"},
                                  {"train.checkpoint_every", "30"},
                                  {"train.average", "0.9"}};
    settings.insert(settings.end(), kind.begin(), kind.end());
    const TrainResult result = run(called, config(settings));
    ASSERT_TRUE(result.summary);
    EXPECT_GE(result.summary->test_accuracy, 0.7);  // 0.4 without the source
    EXPECT_GE(*result.summary->test_bleu, 30);
  }
}

TEST_F(Translating, RefusesWhatCannotBeTrained) {
  EXPECT_HAS(refusal(config({{"data.target", "zz"}}), ErrorKind::Failed), "zz");
  EXPECT_HAS(failure([&] { (void)config({{"data.target", "xx"}}); }), "xx");
  EXPECT_HAS(refusal(config({{"data.path", (folder / "nowhere").string()}}), ErrorKind::Failed), "nowhere");
  for (const char* side : {"xx", "yy"})
    data::write_file(folder / "text" / (string("train.") + side),
                     string("the ") + side + " of this sentence is long\n");
  EXPECT_HAS(refusal(config({{"data.max_tokens", "2"}}), ErrorKind::Failed), "raise data.max_tokens");
  data::write_file(folder / "text" / "train.xx", "one line\nand another\n");
  data::write_file(folder / "text" / "train.yy", "one line\n");
  EXPECT_HAS(refusal(config(), ErrorKind::Failed), "train.");
  EXPECT_HAS(failure([&] { (void)load_config("mlp", {{"data.source", "en"}}); }),
             "'data.source' is for recipes with the task 'translate'");
  EXPECT_HAS(failure([&] { (void)load_config("translate", {{"model.kernel", "3"}}); }), "task 'classify'");
}

TEST_F(Translating, OneLineIsACorpus) {
  for (const char* split : {"train", "test"}) {
    data::write_file(folder / "text" / (string(split) + ".xx"), "red cat sees\n");
    data::write_file(folder / "text" / (string(split) + ".yy"), "SEES CAT RED\n");
  }
  for (const char* file : {"valid.xx", "valid.yy"}) fs::remove(folder / "text" / file);
  const TrainResult result =
      run("one", config({{"train.epochs", "100"}, {"train.evaluate_every", "50"}, {"train.checkpoint_every", "50"}}));
  ASSERT_TRUE(result.summary);
  EXPECT_EQ(result.summary->steps, 100);
  EXPECT_LT(result.summary->test_loss, 0.5);
}

// --- the search ---

/// The kinds there are.
const std::vector<std::vector<Setting>> kKinds{
    {{"model.layers", "2"}},
    {{"model.attention", "dot"}, {"model.layer_norm", "true"}},
    {{"model.cell", "lstm"}},
    {{"model.cell", "lstm"}, {"model.attention", "dot"}},
    {{"model.kind", "transformer"}, {"model.heads", "3"}, {"model.layers", "2"}}};

Translator random_translator(std::vector<Setting> kind, std::int64_t pieces) {
  kind.insert(kind.end(), {{"model.embedding", "6"}, {"model.width", "5"}});
  Translator t = make_translator(load_config("translate", kind), Key(3), pieces);
  std::visit(
      [&](auto& model) {
        model.pieces.vectors.table = model.pieces.vectors.table * 3;  // so that the hypotheses differ
        model.pieces.bias = random::normal(Key(4), {pieces});
      },
      t);
  return t;
}

struct Plain {
  std::vector<data::Token> tokens;
  double score = 0;
};

/// -log probability of `tokens` and the log probabilities of what may follow, by the forward pass of training.
std::vector<double> next_of(const Translator& t, const Array& source, const Array& length,
                            const std::vector<data::Token>& tokens) {
  std::vector<data::Token> input{data::Vocabulary::kBegin};
  input.insert(input.end(), tokens.begin(), tokens.end());
  nn::Context context = nn::Context::evaluation();
  const Array target = Array::from(Shape{1, static_cast<std::int64_t>(input.size())}, input);
  const Array all = log_softmax(logits(t, source, length, target, context));
  const std::vector<float> last = all.at(0, static_cast<std::int64_t>(tokens.size())).to_vector<float>();
  std::vector<double> scores(last.begin(), last.end());
  for (std::size_t i = 0; i < static_cast<std::size_t>(data::Vocabulary::kEnd); ++i) scores[i] = -1e30;
  return scores;
}

/// The search, written down plainly for one sentence.
std::vector<Plain> plain_search(const Translator& t, const Array& source, const Array& length, std::size_t beam,
                                std::size_t longest) {
  std::vector<Plain> live{{}}, ended;
  for (std::size_t step = 0; step < longest && ended.size() < beam; ++step) {
    std::vector<Plain> all;
    for (const Plain& h : live) {
      const std::vector<double> scores = next_of(t, source, length, h.tokens);
      for (std::size_t piece = 0; piece < scores.size(); ++piece) {
        all.push_back(h);
        all.back().tokens.push_back(static_cast<data::Token>(piece));
        all.back().score += scores[piece];
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    live.clear();
    for (std::size_t i = 0; i < 2 * beam; ++i) {
      const bool ends = all[i].tokens.back() == data::Vocabulary::kEnd;
      if (!ends && live.size() < beam) live.push_back(all[i]);
      if (ends && i < beam) ended.push_back({all[i].tokens, all[i].score / static_cast<double>(step + 1)});
    }
  }
  if (ended.empty())
    for (const Plain& h : live) ended.push_back({h.tokens, h.score / static_cast<double>(longest)});
  std::stable_sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  ended.resize(std::min(ended.size(), beam));
  return ended;
}

TEST(Search, FindsWhatAPlainSearchFinds) {
  set_default_device(test_device());
  constexpr std::int64_t kPieces = 11, kLength = 7;
  const std::vector<std::int32_t> words{4, 5, 6, 3, 0, 9, 3, 0, 0, 0, 10, 4, 7, 8, 3};
  const std::vector<std::int32_t> lengths{4, 2, 5};
  const Array source = Array::from(Shape{3, 5}, words), length = Array::from(Shape{3}, lengths);
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind)
    for (const std::int64_t beam : {1, 2, 4}) {
      if (kind > 0 && beam != 2) continue;  // the others differ in their steps alone
      const Translator model = random_translator(kKinds[kind], kPieces);
      auto compiled =
          jit([beam](const Translator& m, const Array& s, const Array& l) { return search(m, s, l, beam, kLength); });
      const Translations got = compiled(model, source, length);
      const std::vector<std::int32_t> tokens = got.tokens.to_vector<std::int32_t>();
      const std::vector<float> scores = got.scores.to_vector<float>();
      for (std::size_t row = 0; row < 3; ++row) {
        const auto n = static_cast<std::int64_t>(lengths[row]);
        const Array one =
            Array::from(Shape{1, n}, std::vector<std::int32_t>(words.begin() + static_cast<int>(row) * 5,
                                                               words.begin() + static_cast<int>(row) * 5 + n));
        const std::vector<Plain> want =
            plain_search(model, one, Array::from(Shape{1}, std::vector<std::int32_t>{lengths[row]}),
                         static_cast<std::size_t>(beam), kLength);
        for (std::size_t k = 0; k < want.size(); ++k) {
          SCOPED_TRACE("kind " + std::to_string(kind) + ", beam " + std::to_string(beam) + ", row " +
                       std::to_string(row) + ", hypothesis " + std::to_string(k));
          const std::size_t at = row * static_cast<std::size_t>(beam) + k;
          std::vector<std::int32_t> padded(want[k].tokens.begin(), want[k].tokens.end());
          padded.resize(kLength);
          EXPECT_EQ(std::vector<std::int32_t>(tokens.begin() + static_cast<std::ptrdiff_t>(at * kLength),
                                              tokens.begin() + static_cast<std::ptrdiff_t>((at + 1) * kLength)),
                    padded);
          EXPECT_NEAR(scores[at], want[k].score, 1e-4);
        }
      }
    }
}

TEST(Search, RowsFindTheSameInAnyCompany) {
  set_default_device(test_device());
  constexpr std::int64_t kPieces = 11, kLength = 9, kRows = 36, kWidth = 6, kFew = 3, kWide = 2;
  const Translator model = random_translator(kKinds[0], kPieces);
  const Array source = random::integers(Key(8), {kRows, kWidth}, 4, kPieces);
  const Array length = random::integers(Key(9), {kRows}, 1, kWidth + 1);
  auto compiled =
      jit([](const Translator& m, const Array& s, const Array& l) { return search(m, s, l, kWide, kLength); });
  const Translations all = compiled(model, source, length);  // half of the rows go on alone, twice
  for (std::int64_t begin = 0; begin < kRows; begin += kFew) {
    const auto rows = [&](const Array& x) { return x.at(slice(begin, begin + kFew)); };
    const Translations few = compiled(model, rows(source), rows(length));
    EXPECT_EQ(rows(all.tokens).to_vector<std::int32_t>(), few.tokens.to_vector<std::int32_t>()) << "from row " << begin;
    EXPECT_EQ(rows(all.lengths).to_vector<std::int32_t>(), few.lengths.to_vector<std::int32_t>());
    const std::vector<float> got = rows(all.scores).to_vector<float>(), want = few.scores.to_vector<float>();
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4);
  }
}

}  // namespace
}  // namespace tessera::train
