// Whole trainings on a data set of a few pictures: what a run writes, resuming, divergence, refusals.
#include "tessera/train/loop.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "device.hpp"
#include "failure.hpp"
#include "tessera/array/jit.hpp"
#include "tessera/data/npy.hpp"
#include "tessera/train/bench.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/evaluate.hpp"
#include "tessera/train/model.hpp"
#include "tessera/train/trained.hpp"

namespace tessera::train {
namespace {

using std::string;
namespace fs = std::filesystem;

class Training : public testing::Test {
 protected:
  Training() {
    set_default_device(test_device());
    string name = (fs::temp_directory_path() / "tessera-loop-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    // Three classes of noisy pictures that differ by the place of a bright square.
    std::mt19937 random(5);
    std::map<string, Literal> arrays;
    for (const auto& [split, count] : {std::pair{"train", 44}, std::pair{"test", 13}}) {
      Literal images({DType::U8, {count, 8, 8}}), labels({DType::U8, {count}});
      for (int i = 0; i < count; ++i) {
        labels.as<std::uint8_t>()[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 3);
        for (int p = 0; p < 64; ++p) {
          const bool bright = p / 8 / 3 == i % 3 && p % 8 > 2;
          images.as<std::uint8_t>()[static_cast<std::size_t>(i * 64 + p)] =
              static_cast<std::uint8_t>((bright ? 180 : 20) + random() % 60);
        }
      }
      arrays.emplace(string(split) + "_images", images);
      arrays.emplace(string(split) + "_labels", labels);
    }
    data::write_npz(folder / "set.npz", arrays);
  }
  ~Training() override { fs::remove_all(folder); }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  [[nodiscard]] Config config(const std::vector<Setting>& more = {}) const {
    std::vector<Setting> settings{{"data.path", (folder / "set.npz").string()},
                                  {"data.classes", "[\"a\", \"b\", \"c\"]"},
                                  {"train.batch", "8"},
                                  {"train.epochs", "3"},
                                  {"model.channels", "[3, 4]"},
                                  {"model.hidden", "[6]"},
                                  {"model.norm", "true"},
                                  {"model.dropout", "0.25"},
                                  {"augment.shift", "1"},
                                  {"augment.flip", "true"},
                                  {"optimizer.rate", "0.01"},
                                  {"optimizer.clip", "1"}};
    settings.insert(settings.end(), more.begin(), more.end());
    return load_config("fashion-cnn", settings);
  }
  [[nodiscard]] TrainResult run(const string& name, const Config& c, bool resume = false,
                                std::optional<double> seconds = {}) const {
    return train({.config = c, .out = folder / name, .resume = resume, .quiet = true, .max_seconds = seconds});
  }
  [[nodiscard]] string final_weights(const string& name, std::int64_t step) const {
    return data::read_text(checkpoint_folder(folder / name, step) / "model.safetensors");
  }

  Path folder;
};

TEST_F(Training, LearnsAndWritesWhatARunHolds) {
  const TrainResult result =
      run("r", config({{"train.epochs", "30"}, {"train.checkpoint_every", "10"}, {"augment.flip", "false"}}));
  EXPECT_EQ(result.end, TrainEnd::Finished);
  ASSERT_TRUE(result.summary);
  EXPECT_GE(result.summary->test_accuracy, 0.9);
  EXPECT_EQ(result.summary->steps, 150);
  EXPECT_EQ(result.summary->examples, 1200);
  EXPECT_GT(result.summary->flops_per_example, 0);
  for (const char* file : {"config.toml", "metrics.jsonl", "summary.json", "report.html", "report.json"})
    EXPECT_TRUE(fs::exists(folder / "r" / file)) << file;
  EXPECT_EQ(checkpoint_steps(folder / "r").back(), 150);
  // The trained model is read back from its folder alone and says what the loop measured.
  const TrainedRun trained = load_run(folder / "r");
  EXPECT_EQ(trained.classes, (std::vector<string>{"a", "b", "c"}));
  EXPECT_EQ(trained.image, (Shape{8, 8, 1}));
  const data::ImageDataset set = data::load_images(folder / "set.npz");
  const Evaluation again = Evaluator(Precision::Float32)(trained.model, ResidentImages(set.test));
  EXPECT_EQ(again.accuracy, result.summary->test_accuracy);
  EXPECT_EQ(again.predicted.size(), 13U);
  EXPECT_HAS(failure([&] { (void)run("r", config()); }, ErrorKind::Usage), "holds a run already; go on with --resume");
  EXPECT_HAS(failure([&] { (void)run("r", config({{"train.seed", "9"}}), true); }, ErrorKind::Usage),
             "was begun with another configuration");
}

TEST_F(Training, ResumingAfterEveryStepGivesTheSameBits) {
  const Config c = config({{"train.epochs", "1.6"}});  // eight steps, past the end of an epoch
  (void)run("whole", c);
  int sessions = 0;
  for (TrainEnd end = TrainEnd::TimeUp; end == TrainEnd::TimeUp; ++sessions) end = run("pieces", c, true, 1e-9).end;
  EXPECT_EQ(sessions, 8);
  EXPECT_EQ(final_weights("whole", 8), final_weights("pieces", 8));
  EXPECT_EQ(data::read_text(checkpoint_folder(folder / "whole", 8) / "state.safetensors"),
            data::read_text(checkpoint_folder(folder / "pieces", 8) / "state.safetensors"));
  (void)run("other", config({{"train.epochs", "1.6"}, {"train.seed", "2"}}));
  EXPECT_NE(final_weights("whole", 8), final_weights("other", 8));
}

TEST_F(Training, AnAverageIsWhatIsSavedAndResumed) {
  const Config c = config({{"train.epochs", "1.6"}, {"train.average", "0.9"}});
  (void)run("plain", config({{"train.epochs", "1.6"}}));
  (void)run("whole", c);
  for (TrainEnd end = TrainEnd::TimeUp; end == TrainEnd::TimeUp;) end = run("pieces", c, true, 1e-9).end;
  EXPECT_EQ(final_weights("whole", 8), final_weights("pieces", 8));
  // The steps are the same; the model is another one.
  const data::NamedTensors plain = load_checkpoint(folder / "plain").model;
  const Checkpoint averaged = load_checkpoint(folder / "whole");
  for (const auto& [name, value] : plain.tensors) {
    EXPECT_TRUE(averaged.state.tensors.at("model." + name).identical(value)) << name;
    const bool parameter = !name.ends_with("mean") && !name.ends_with("variance") && !name.ends_with("deviation");
    EXPECT_EQ(averaged.model.tensors.at(name).identical(value), !parameter) << name;
  }
}

TEST_F(Training, AFolderIsOneProcessesAtATime) {
  const Config c = config({{"train.epochs", "0.4"}});
  const auto refused = [&](bool resume) { return failure([&] { (void)run("r", c, resume); }, ErrorKind::Usage); };
  fs::create_directories(folder / "r");
  {
    const auto other = data::FileLock::try_lock(folder / "r" / ".lock");
    ASSERT_TRUE(other);
    for (const bool resume : {false, true}) {
      const string message = refused(resume);
      EXPECT_HAS(message, "another process trains there");
      EXPECT_HAS(message, (folder / "r").string());
    }
    EXPECT_FALSE(fs::exists(folder / "r" / "config.toml"));
  }
  EXPECT_EQ(run("r", c).end, TrainEnd::Finished) << "a folder that its process left at once is free";
  {
    const auto other = data::FileLock::try_lock(folder / "r" / ".lock");
    EXPECT_HAS(refused(true), "another process trains there");
  }
  EXPECT_EQ(run("r", c, true).end, TrainEnd::Finished);
}

TEST_F(Training, AnInterruptSavesAndResumes) {
  // Once it trains: a signal that comes earlier finds nobody who waits for it.
  std::thread sender([metrics = folder / "r" / "metrics.jsonl"] {
    std::error_code missing;
    const auto late = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (std::chrono::steady_clock::now() < late && (fs::file_size(metrics, missing) == 0 || missing))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ::kill(::getpid(), SIGINT);
  });
  const Config c =
      config({{"train.epochs", "100000"}, {"train.evaluate_every", "100000"}, {"train.checkpoint_every", "100000"}});
  struct sigaction ignore{}, old{};
  ignore.sa_handler = SIG_IGN;  // outside the loop the signal does nothing here
  ::sigaction(SIGINT, &ignore, &old);
  const TrainResult result = run("r", c);
  sender.join();
  ::sigaction(SIGINT, &old, nullptr);
  EXPECT_EQ(result.end, TrainEnd::Interrupted);
  EXPECT_FALSE(result.summary);
  EXPECT_FALSE(fs::exists(folder / "r" / "summary.json"));
  EXPECT_EQ(checkpoint_steps(folder / "r").size(), 1U);
}

TEST_F(Training, DivergenceNamesTheOperation) {
  const Config c = config({{"optimizer.kind", "sgd"},
                           {"optimizer.rate", "1e9"},
                           {"optimizer.clip", "0"},
                           {"model.norm", "false"},
                           {"train.epochs", "20"}});
  const string message = failure([&] { (void)run("r", c); }, ErrorKind::Failed);
  EXPECT_HAS(message, "the run diverged: the loss of step");
  EXPECT_HAS(message, "the first bad value is");
  EXPECT_HAS(message, "try a smaller optimizer.rate");
  EXPECT_FALSE(fs::exists(folder / "r" / "summary.json"));
  EXPECT_FALSE(read_metrics(folder / "r" / "metrics.jsonl").empty());
  EXPECT_HAS(data::read_text(folder / "r" / "report.html"), "This run diverged");
}

TEST_F(Training, RefusesBeforeAnythingIsWritten) {
  const auto refused = [&](const std::vector<Setting>& settings, ErrorKind kind) {
    const string message = failure([&] { (void)run("r", config(settings)); }, kind);
    EXPECT_FALSE(fs::exists(folder / "r"));
    return message;
  };
  EXPECT_HAS(refused({{"train.batch", "45"}}, ErrorKind::Usage),
             "'train.batch' is 45, but there are 44 training pictures");
  EXPECT_HAS(refused({{"model.channels", "[2, 2, 2, 2]"}}, ErrorKind::Usage),
             "'model.channels': pictures of 8 x 8 become smaller");
  EXPECT_HAS(refused({{"data.classes", "[\"a\", \"b\"]"}}, ErrorKind::Failed), "but there are 2 classes");
  EXPECT_HAS(refused({{"data.path", "/nowhere"}}, ErrorKind::Failed), "dataset-fashion-mnist");
  fs::create_directories(folder / "full");
  data::write_file(folder / "full" / "x", "x");
  EXPECT_HAS(failure([&] { (void)run("full", config()); }, ErrorKind::Usage), "holds something that is no run");
  TrainOptions dry{.config = config(), .out = folder / "r", .max_seconds = {}};
  dry.dry_run = dry.quiet = true;
  EXPECT_EQ(train(dry).end, TrainEnd::DryRun);
  EXPECT_FALSE(fs::exists(folder / "r"));
}

TEST_F(Training, AugmentationMovesAndMirrors) {
  // One bright pixel; every outcome of moving by one and mirroring is one of the places around it or around its mirror.
  Literal picture = Literal::full({DType::U8, {1, 4, 5, 2}}, 0);
  picture.as<std::uint8_t>()[(1 * 5 + 1) * 2] = 9;
  const Array many = zeros({500}, DType::I32);
  auto draw = jit([](const Array& images, const Array& positions, const Key& key) {
    return draw_batch(images, positions, {.shift = 1, .flip = true}, key);
  });
  const Literal out = draw(Array(picture), many, Key(3)).literal();
  ASSERT_EQ(out.shape(), (Shape{500, 4, 5, 2}));
  std::map<std::pair<int, int>, int> places;
  for (int i = 0; i < 500; ++i) {
    int seen = 0;
    for (int p = 0; p < 20; ++p) {
      EXPECT_EQ(out.as<std::uint8_t>()[static_cast<std::size_t>((i * 20 + p) * 2 + 1)], 0);
      if (out.as<std::uint8_t>()[static_cast<std::size_t>((i * 20 + p) * 2)] == 9) ++places[{p / 5, p % 5}], ++seen;
    }
    EXPECT_EQ(seen, 1);
  }
  EXPECT_EQ(places.size(), 15U);  // rows 0 to 2, columns 0 to 2 and 2 to 4
  for (const auto& [place, count] : places) EXPECT_GT(count, 5) << place.first << "," << place.second;
  const Literal plain = draw_batch(Array(picture), many, {}, Key(3)).literal();
  EXPECT_EQ(plain.as<std::uint8_t>()[12], 9);
}

TEST(Bench, CountsTheWorkOfTheNets) {
  set_default_device(test_device());
  const BenchRow row = run_bench({"mlp", 8}, 0.01, 1);
  // Products alone: 2 x (2 passes of the first layer, 3 of the others).
  const double products = 2.0 * (2 * 784 * 256 + 3 * (256 * 128 + 128 * 10));
  EXPECT_GE(row.flops_per_example, products);
  EXPECT_LE(row.flops_per_example, 1.5 * products);
  EXPECT_GT(row.median, 0);
  // The products of a sequence: input, state and logits of 32 steps, forward and backward. The rest is little.
  const double of_steps = 32 * 3 * 2.0 * (2 * 256 * 1024 + 256 * 1000);
  const BenchRow sequences = run_bench({"lstm", 64}, 0.01, 1);
  EXPECT_GT(sequences.flops_per_example, of_steps);
  EXPECT_LT(sequences.flops_per_example, 1.05 * of_steps);
  // The translator's, of a piece: cells, attention's weighted sum and scores of pieces; 64 rows have 1312 pieces in
  // 64 x 24 places. Softmax and the attention's scores are what else it does.
  const double encoder = 2 * (256 + 384) * 1152 + 768 * 384, start = 768 * 384 / 24.0;
  const double decoder = (2 * 256 + 384) * 1152 + 384 * 384 + 24 * 768 + 3 * 384 * 256 + 256 * 8000;
  const double of_pieces = 3 * 2.0 * (encoder + start + decoder) * 64 * 24 / 1312;
  const BenchRow pieces = run_bench({"translator", 64}, 0.01, 1);
  EXPECT_GT(pieces.flops_per_example, of_pieces);
  EXPECT_LT(pieces.flops_per_example, 1.1 * of_pieces);
  EXPECT_THROW((void)run_bench({"nothing", 8}, 0.01, 1), Error);
}

}  // namespace
}  // namespace tessera::train
