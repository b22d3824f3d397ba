// What surrounds a training: recipes, metrics, checkpoints, the progress line, the report.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "failure.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/metrics.hpp"
#include "tessera/train/progress.hpp"
#include "tessera/train/report.hpp"
#include "tessera/train/report_page.hpp"

namespace tessera::train {
namespace {

using std::string;
namespace fs = std::filesystem;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

class Folder {
 public:
  Folder() {
    string name = (fs::temp_directory_path() / "tessera-train-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Path path;
};

// --- recipes ---

TEST(Config, BuiltInRecipesReadPrintAndReadBack) {
  const std::vector<string> names = recipe_names();
  for (const char* name : {"fashion-cnn", "mnist-cnn", "lenet", "mlp"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end());
    const Config config = load_config(name);
    EXPECT_EQ(config.name, name);
    const string text = format_config(config, {{"version", "1"}, {"device", "a \"quoted\" one"}});
    EXPECT_EQ(parse_config(text, "again"), config);
    EXPECT_EQ(parse_facts(text, "again").size(), 2U);
  }
  EXPECT_EQ(load_config("fashion-cnn").data.classes.size(), 10U);
  EXPECT_HAS(failure([] { (void)load_config("fashon-cnn"); }),
             "the built-in recipes are fashion-cnn, lenet, mlp, mnist-cnn");
}

TEST(Config, SettingsChangeKeys) {
  const Config c = load_config("mlp", {{"train.epochs", "2.5"},
                                       {"train.batch", "7"},
                                       {"optimizer.kind", "sgd"},
                                       {"data.path", "/some/where"},
                                       {"data.classes", "[\"a\", \"b\"]"},
                                       {"augment.flip", "true"},
                                       {"name", "12"}});
  EXPECT_EQ(c.train.epochs, 2.5);
  EXPECT_EQ(c.train.batch, 7);
  EXPECT_EQ(c.optimizer.kind, "sgd");
  EXPECT_EQ(c.data.path, "/some/where");
  EXPECT_EQ(c.data.classes, (std::vector<string>{"a", "b"}));
  EXPECT_TRUE(c.augment.flip);
  EXPECT_EQ(c.name, "12");
  EXPECT_EQ(parse_setting("a=b=c"), (Setting{"a", "b=c"}));
  EXPECT_HAS(failure([] { (void)parse_setting("epochs"); }), "write key=value");
  EXPECT_HAS(failure([] { (void)load_config("mlp", {{"train.epoch", "3"}}); }),
             "--set train.epoch: unknown key 'train.epoch'; did you mean 'train.epochs'?");
  EXPECT_HAS(failure([] { (void)load_config("mlp", {{"train.batch", "many"}}); }), "needs a whole number");
  EXPECT_EQ(differences(c, load_config("mlp")).size(), 7U);
}

TEST(Config, SaysWhatIsWrongAndWhere) {
  const auto message = [](const string& text) {
    return failure([&] { (void)parse_config("data.path = \"x\"\n" + text, "r.toml"); });
  };
  EXPECT_EQ(message(""), "no error");
  EXPECT_HAS(message("[train]\nepochs = 3\nbatchsize = 4"),
             "r.toml:4: unknown key 'train.batchsize'; did you mean 'train.batch'?");
  EXPECT_HAS(message("[optimiser]\nrate = 1"), "did you mean 'optimizer.rate'?");
  EXPECT_HAS(message("epochs = 1"), "did you mean 'train.epochs'?");
  EXPECT_HAS(message("[train]\nbatch = 0"), "r.toml:3: 'train.batch': is 0; it must be at least 1");
  EXPECT_HAS(message("[train]\nbatch = 4294967295"), "at most 1048576");
  EXPECT_HAS(message("[train]\nepochs = 0"), "it must be above 0");
  EXPECT_HAS(message("[train]\nepochs = nan"), "it must be above 0");
  EXPECT_HAS(message("[train]\nbatch = 1.5"), "needs a whole number");
  EXPECT_HAS(message("[train]\nbatch = \"1\""), "needs a whole number");
  EXPECT_HAS(message("[augment]\nflip = 1"), "needs true or false");
  EXPECT_HAS(message("[optimizer]\nkind = \"adamx\""), "allowed are sgd, adam, adamw");
  EXPECT_HAS(message("[model]\nhidden = 3"), "needs a list");
  EXPECT_HAS(message("[model]\nhidden = [3, 0]"), "'model.hidden'[1]: is 0");
  EXPECT_HAS(message("[model]\nchannels = [1,1,1,1,1,1,1,1,1]"), "has 9 entries; at most 8");
  EXPECT_HAS(message("[model]\nchannels = [4]\npadding = [\"same\", \"same\"]"), "2 entries for the 1 convolutions");
  EXPECT_HAS(message("[train]\nseed = 99999999999999999999"), "is no valid TOML");
  EXPECT_HAS(message("[train\n"), "r.toml:2: is no valid TOML");
  EXPECT_HAS(message("[train.deep]\nx = 1"), "unknown key 'train.deep'");
  EXPECT_HAS(message("x = [[[[[["), "is no valid TOML");
  EXPECT_HAS(failure([] { (void)parse_config("", "r.toml"); }), "'data.path' is missing");
  EXPECT_HAS(message("[data]\nclasses = [\"a\", \"a\"]"),
             "is no valid TOML");  // data is defined above, as a dotted key
}

TEST(Config, LettersOfEveryKind) {
  const string text = "name = 'Ähre ~7e'  # Größe\ndata.path = \"/tmp/~\u00fc/数\\u00e9\"\n";
  const Config c = parse_config("\xef\xbb\xbf" + text, "r.toml");
  EXPECT_EQ(c.name, "Ähre ~7e");
  EXPECT_EQ(c.data.path, "/tmp/~ü/数é");
  EXPECT_EQ(parse_config(format_config(c), "again"), c);
  EXPECT_EQ(load_config("mlp", {{"data.path", "~/Bücher"}}).data.path, "~/Bücher");
  EXPECT_HAS(failure([] { (void)parse_config("größe = 1", "r.toml"); }), "r.toml:1: is no valid TOML");
  EXPECT_HAS(failure([] { (void)parse_config("'größe' = 1", "r.toml"); }), "unknown key 'größe'");
  for (const char* bytes : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
    EXPECT_HAS(failure([&] { (void)parse_config(string("\nname = \"") + bytes + "\"", "r.toml"); }),
               "r.toml:2: is no text: these bytes are not UTF-8");
}

// --- metrics ---

Metric line(std::int64_t step, const char* split = "train") {
  return {.step = step,
          .epoch = 0.5,
          .examples = step * 8,
          .split = split,
          .loss = 1.25,
          .accuracy = 0.75,
          .learning_rate = 1e-3,
          .examples_per_second = 1e4,
          .elapsed_seconds = 3};
}

TEST(Metrics, AreCutBackOnResume) {
  Folder folder;
  const Path file = folder.path / "metrics.jsonl";
  {
    MetricsWriter writer(file, 0);
    for (int step = 10; step <= 50; step += 10) writer.write(line(step));
    writer.flush();
  }
  EXPECT_EQ(read_metrics(file).size(), 5U);
  {
    MetricsWriter writer(file, 30);
    writer.write(line(40, "test"));
  }
  const std::vector<Metric> metrics = read_metrics(file);
  ASSERT_EQ(metrics.size(), 4U);
  EXPECT_EQ(metrics[2], line(30));
  EXPECT_EQ(metrics[3], line(40, "test"));
  // A line that was cut by a kill is left out; damage in the middle is named.
  string text = data::read_text(file);
  data::write_file(file, text.substr(0, text.size() - 5));
  EXPECT_EQ(read_metrics(file).size(), 3U);
  data::write_file(file, "{}\n" + text);
  EXPECT_HAS(failure([&] { (void)read_metrics(file); }, ErrorKind::Failed), "line 1 is no line of metrics");
}

TEST(Metrics, HoldWhatIsNotFiniteAsNull) {
  Folder folder;
  const Path file = folder.path / "metrics.jsonl";
  Metric bad = line(1);
  bad.loss = std::numeric_limits<double>::infinity();
  {
    MetricsWriter writer(file, 0);
    writer.write(bad);
  }
  EXPECT_HAS(data::read_text(file), "\"loss\":null");
  EXPECT_TRUE(std::isnan(read_metrics(file)[0].loss));
}

Summary some_summary() {
  return {.recipe = "r",
          .device = "cpu",
          .precision = "f32",
          .threads = 2,
          .seed = 3,
          .parameters = 421642,
          .steps = 10,
          .examples = 80,
          .epochs = 2,
          .train_seconds = 1.5,
          .compile_seconds = 0.5,
          .wall_seconds = 3,
          .examples_per_second = 8000,
          .processor_examples_per_second = 400,
          .flops_per_example = 25e6,
          .gemm_fraction = 0.8,
          .peak_memory_bytes = 1 << 30,
          .test_loss = 0.2,
          .test_accuracy = 0.93,
          .time_to = {{0.9, 12.5}}};
}

TEST(Summary, ReadsBack) {
  Folder folder;
  EXPECT_FALSE(read_summary(folder.path / "summary.json"));
  const string text = format_summary(some_summary());
  data::write_file(folder.path / "summary.json", text);
  EXPECT_EQ(format_summary(*read_summary(folder.path / "summary.json")), text);
  EXPECT_HAS(text, "\"time_to\": [");
  data::write_file(folder.path / "summary.json", "[]");
  EXPECT_HAS(failure([&] { (void)read_summary(folder.path / "summary.json"); }, ErrorKind::Failed), "is no summary");
}

// --- checkpoints ---

Checkpoint at_step(std::int64_t step, std::int64_t best) {
  Checkpoint c;
  c.manifest = {.step = step,
                .binary = "b",
                .instruction_set = "i",
                .threads = 2,
                .device = "cpu",
                .choices = "a product: the third\n",
                .elapsed_seconds = 4,
                .train_seconds = 3,
                .compile_seconds = 1,
                .best_step = best,
                .best_accuracy = 0.5,
                .time_to = {{0.5, 1}},
                .speeds = {10, 20}};
  c.model = {{{"w", Literal::from<float>({2}, {1, static_cast<float>(step)})}}, {{"classes", "[]"}}};
  c.state = {{{"m", Literal::from<float>({}, {3})}}, {}};
  return c;
}

TEST(Checkpoints, KeepTheLastTwoAndTheBest) {
  Folder folder;
  for (const std::int64_t step : {10, 20, 30, 40, 50}) save_checkpoint(folder.path, at_step(step, 20));
  EXPECT_EQ(checkpoint_steps(folder.path), (std::vector<std::int64_t>{20, 40, 50}));
  const Checkpoint newest = load_checkpoint(folder.path);
  EXPECT_EQ(newest.manifest.step, 50);
  EXPECT_EQ(newest.manifest.speeds, (std::vector<double>{10, 20}));
  EXPECT_EQ(newest.manifest.choices, "a product: the third\n");
  EXPECT_TRUE(newest.model.tensors.at("w").identical(at_step(50, 20).model.tensors.at("w")));
  EXPECT_EQ(load_checkpoint(folder.path, 20).manifest.step, 20);
  EXPECT_TRUE(fs::exists(folder.path / "checkpoints" / "step-00000050" / "_SUCCESS"));
  EXPECT_HAS(failure([&] { (void)load_checkpoint(folder.path, 30); }, ErrorKind::Failed),
             "there is no complete checkpoint here");
}

TEST(Checkpoints, UnfinishedOnesAreIgnoredAndSwept) {
  Folder folder;
  EXPECT_HAS(failure([&] { (void)load_checkpoint(folder.path); }, ErrorKind::Failed), "no complete checkpoint");
  save_checkpoint(folder.path, at_step(10, -1));
  const Path all = folder.path / "checkpoints";
  fs::copy(all / "step-00000010", all / "step-00000020.tmp-99", fs::copy_options::recursive);
  fs::copy(all / "step-00000010", all / "step-00000030", fs::copy_options::recursive);
  fs::remove(all / "step-00000030" / "_SUCCESS");
  EXPECT_EQ(checkpoint_steps(folder.path), (std::vector<std::int64_t>{10}));
  sweep_checkpoints(folder.path);
  EXPECT_EQ(std::distance(fs::directory_iterator(all), {}), 1);
  EXPECT_EQ(load_checkpoint(folder.path).manifest.step, 10);
}

TEST(Checkpoints, DamageIsNamed) {
  Folder folder;
  save_checkpoint(folder.path, at_step(10, -1));
  const Path place = checkpoint_folder(folder.path, 10);
  const string model = data::read_text(place / "model.safetensors");
  data::write_file(place / "model.safetensors", model.substr(0, model.size() - 1));
  EXPECT_HAS(failure([&] { (void)load_checkpoint(folder.path); }, ErrorKind::Failed), "cut short");
  fs::remove(place / "model.safetensors");
  EXPECT_HAS(failure([&] { (void)load_checkpoint(folder.path); }, ErrorKind::Failed), "model.safetensors: is missing");
  data::write_file(place / "model.safetensors", model);
  data::write_file(place / "manifest.json", "{\"step\": \"ten\"}");
  EXPECT_HAS(failure([&] { (void)load_checkpoint(folder.path); }, ErrorKind::Failed), "is no manifest");
  const std::vector<std::pair<string, TensorType>> wanted{{"w", {DType::F32, {3}}}};
  EXPECT_HAS(failure([&] { check_tensors(at_step(1, 1).model, wanted, "f"); }, ErrorKind::Failed),
             "the tensor 'w' is f32[2], but f32[3] is needed");
  EXPECT_HAS(failure([&] { check_tensors({}, wanted, "f"); }, ErrorKind::Failed), "lacks the tensor 'w'");
}

// --- progress ---

std::size_t columns(const string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

TEST(Progress, FitsTheTerminal) {
  const ProgressState state{.step = 30,
                            .steps = 100,
                            .epoch = 0.3,
                            .epochs = 1,
                            .loss = 0.5,
                            .accuracy = 0.875,
                            .examples_per_second = 7900,
                            .remaining_seconds = 65};
  for (int width = 20; width < 200; ++width)
    EXPECT_LE(columns(progress_line(state, width, false)), static_cast<std::size_t>(width));
  const string wide = progress_line(state, 200, false);
  for (const char* part : {"epoch 0.3/1", "loss 0.5000", "accuracy 87.50 %", "7.9k/s", "1 min 05 s left"})
    EXPECT_HAS(wide, part);
  EXPECT_EQ(wide.find('\x1b'), string::npos);
  EXPECT_NE(progress_line(state, 200, true).find('\x1b'), string::npos);
  EXPECT_EQ(format_duration(0.84), "0.8 s");
  EXPECT_EQ(format_duration(59.7), "1 min 00 s");
  EXPECT_EQ(format_duration(3700), "1 h 01 min");
  EXPECT_EQ(format_duration(kNaN), "?");
}

// --- report ---

TEST(Report, MistakesAndConfusionFollowFromProbabilities) {
  ReportData report;
  report.classes = {"a", "b"};
  data::LabelledImages images{Literal::full({DType::U8, {4, 2, 2, 1}}, 9),
                              Literal::from<std::int32_t>({4}, {0, 1, 1, 0})};
  Evaluation evaluation{.loss = 0,
                        .accuracy = 0.5,
                        .predicted = {0, 0, 0, 0},
                        .probabilities = {0.9F, 0.1F, 0.6F, 0.4F, 0.8F, 0.2F, 0.7F, 0.3F}};
  add_predictions(report, images, evaluation, 1);
  EXPECT_EQ(report.confusion, (std::vector<std::vector<std::int64_t>>{{2, 0}, {2, 0}}));
  ASSERT_EQ(report.mistakes.size(), 1U);
  EXPECT_EQ(report.mistakes[0].index, 2);
  EXPECT_NEAR(report.mistakes[0].probability, 0.8, 1e-6);
  EXPECT_EQ(report.mistakes[0].png.substr(0, 11), "iVBORw0KGgo");
}

TEST(Report, EscapesEverythingAndLoadsNothing) {
  Folder folder;
  const string evil = "<script>alert('1')</script>\"&";
  Config config;
  config.name = config.description = config.data.path = evil;
  config.data.classes = {evil, "b"};
  data::write_file(folder.path / "config.toml", format_config(config, {{"processor", evil}, {"version", "1"}}));
  EXPECT_EQ(parse_config(data::read_text(folder.path / "config.toml"), "c"), config);
  {
    MetricsWriter writer(folder.path / "metrics.jsonl", 0);
    for (int step = 1; step < 2000; ++step) writer.write(line(step));
    Metric bad = line(2000, "test");
    bad.loss = kNaN;
    writer.write(bad);
  }
  // Without a summary the report is of a run that has not ended well.
  write_report(folder.path);
  string html = data::read_text(folder.path / "report.html");
  EXPECT_HAS(html, "This run diverged");
  EXPECT_EQ(html.find("alert('1')"), string::npos);
  EXPECT_HAS(html, "&lt;script&gt;alert(&#39;1&#39;)");

  ReportData report;
  report.classes = {evil, "b"};
  report.confusion = {{5, 1}, {0, 5}};
  report.mistakes = {
      {.index = 3, .label = 0, .predicted = 1, .probability = 0.9, .label_probability = 0.1, .png = "iVBORw0KGgo="}};
  report.processor = evil;
  report.limits = {.gemm_gflops = 100, .fma_gflops = 200, .copy_gbs = 20};
  report.batch = 8;
  report.step_seconds = 0.001;
  report.profile = {{evil, 0.5, 1e9, 1e9}, {"zero", 0, 0, 0}};
  data::write_file(folder.path / "report.json", format_report_data(report));
  data::write_file(folder.path / "summary.json", format_summary(some_summary()));
  write_report(folder.path);
  html = data::read_text(folder.path / "report.html");
  EXPECT_EQ(html.find("alert('1')"), string::npos);
  for (const char* part : {"93.00", "421,642", "Confusion", "Worst mistakes", "Where a step goes", "Configuration",
                           "data:image/png;base64,iVBORw0KGgo="})
    EXPECT_HAS(html, part);
  for (const char* link : {"http:", "https:", "src=\"/", "@import", "url("})
    EXPECT_EQ(html.find(link), string::npos) << link;

  // report.json is read like any other file.
  string text = format_report_data(report);
  text.replace(text.find("\"label\": 0"), 10, "\"label\": 7");
  data::write_file(folder.path / "report.json", text);
  EXPECT_HAS(failure([&] { write_report(folder.path); }, ErrorKind::Failed), "does not fit together");
  EXPECT_HAS(failure([&] { write_report(folder.path / "nowhere"); }, ErrorKind::Failed), "holds no run");
}

TEST(Report, TranslationsFromTheWorstToTheBest) {
  const string evil = "<script>alert('1')</script>";
  data::ParallelText text;
  TranslationScores scores;
  for (int words = 1; words <= 25; ++words) {
    string line = "a";
    for (int i = 1; i < words; ++i) line += " b" + std::to_string(i);
    text.source.push_back(line);
    text.target.push_back(line);
    scores.translations.push_back(words == 7 ? evil : line);
  }
  scores.bleu = data::corpus_bleu(scores.translations, text.target);
  scores.chrf = data::corpus_chrf(scores.translations, text.target);
  ReportData report;
  add_translations(report, text, scores, 5);
  ASSERT_EQ(report.samples.size(), 5U);
  EXPECT_EQ(report.samples.front().translation, evil);
  for (std::size_t i = 1; i < 5; ++i) EXPECT_LE(report.samples[i - 1].bleu, report.samples[i].bleu);
  ASSERT_EQ(report.lengths.size(), 3U);
  EXPECT_EQ(report.lengths[1].least, 11);
  EXPECT_EQ(report.lengths[1].most, 20);
  EXPECT_EQ(report.lengths[1].sentences, 10);
  EXPECT_LT(report.lengths[0].bleu, 100);
  EXPECT_NEAR(report.lengths[1].bleu, 100, 1e-9);

  Folder folder;
  data::write_file(folder.path / "report.json", format_report_data(report));
  const ReportData again = read_report_data(folder.path / "report.json").value();
  EXPECT_EQ(format_report_data(again), format_report_data(report));
  ReportPage page;
  page.config = load_config("translate");
  page.summary = some_summary();
  page.summary->test_bleu = 34.56;
  page.data = again;
  const string html = format_page(page);
  for (const char* part : {"34.56", "test BLEU", "11 to 20", "BLEU|nrefs:1", "tokens per second"})
    EXPECT_HAS(html, part);
  EXPECT_EQ(html.find("alert('1')"), string::npos);
  EXPECT_EQ(html.find("Confusion"), string::npos);
  EXPECT_HAS(format_summary(*page.summary), "\"test_bleu\": 34.56");
}

TEST(Report, ChartsKeepTheirPointsInside) {
  Series s{"train", "train", {}, {}};
  for (int i = 0; i < 5000; ++i) {
    s.x.push_back(i);
    s.y.push_back(std::exp(-i / 500.0));
  }
  for (const Axis axis : {Axis::Linear, Axis::Percent, Axis::Logarithmic}) {
    const string html = format_chart("t", axis, {s});
    EXPECT_LT(html.size(), 40000U);
    EXPECT_EQ(html.find("nan"), string::npos);
  }
  EXPECT_EQ(format_chart("t", Axis::Linear, {{"n", "train", {1}, {kNaN}}}), "");
  EXPECT_NE(format_chart("t", Axis::Linear, {{"n", "train", {0}, {0}}}), "");
}

}  // namespace
}  // namespace tessera::train
