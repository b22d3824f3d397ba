// Whole trainings on a GPU made of host memory (fake_gpu.hpp): the curve of the processor, the same bits after a
// resume, and a device that disappears.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "fake_gpu.hpp"
#include "tessera/array/array.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/files.hpp"
#include "tessera/data/npy.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/loop.hpp"

namespace tessera::train {
namespace {

using testing::FakeGpu;
namespace fs = std::filesystem;

class CudaTraining : public ::testing::Test {
 protected:
  CudaTraining() {
    std::string name = (fs::temp_directory_path() / "tessera-cuda-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    // Two classes of noisy pictures that differ by their bright half.
    std::mt19937 random(5);
    std::map<std::string, Literal> arrays;
    for (const auto& [split, count] : {std::pair{"train", 24}, std::pair{"test", 9}}) {
      Literal images({DType::U8, {count, 6, 6}}), labels({DType::U8, {count}});
      for (int i = 0; i < count; ++i) {
        labels.as<std::uint8_t>()[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 2);
        for (int p = 0; p < 36; ++p)
          images.as<std::uint8_t>()[static_cast<std::size_t>(i * 36 + p)] =
              static_cast<std::uint8_t>(((p / 18 == i % 2) ? 180 : 20) + random() % 60);
      }
      arrays.emplace(std::string(split) + "_images", images);
      arrays.emplace(std::string(split) + "_labels", labels);
    }
    data::write_npz(folder / "set.npz", arrays);
    // A device of its own for each test: compiled programs stay with theirs.
    static int tests = 0;
    fake = "fake:" + std::to_string(tests++);
    FakeGpu::get().has_products = true;
    add_backend(fake, cuda::make_backend(FakeGpu::parts(), 0));
  }
  ~CudaTraining() override {
    set_default_device("cpu");
    fs::remove_all(folder);
  }
  CudaTraining(const CudaTraining&) = delete;
  CudaTraining& operator=(const CudaTraining&) = delete;

  TrainResult run(const std::string& device, const std::string& name, bool resume = false,
                  std::optional<double> seconds = {}) const {
    set_default_device(device);
    const Config config = load_config("fashion-cnn", {{"data.path", (folder / "set.npz").string()},
                                                      {"data.classes", "[\"a\", \"b\"]"},
                                                      {"train.batch", "6"},
                                                      {"train.epochs", "3"},
                                                      {"model.channels", "[2]"},
                                                      {"model.hidden", "[4]"},
                                                      {"model.norm", "true"},
                                                      {"model.dropout", "0.25"},
                                                      {"augment.shift", "1"},
                                                      {"optimizer.rate", "0.01"}});
    return train({.config = config, .out = folder / name, .resume = resume, .quiet = true, .max_seconds = seconds});
  }
  [[nodiscard]] std::string weights(const std::string& name, std::int64_t step) const {
    return data::read_text(checkpoint_folder(folder / name, step) / "model.safetensors");
  }

  Path folder;
  std::string fake;
};

TEST_F(CudaTraining, LearnsWhatTheProcessorDoes) {
  const TrainResult gpu = run(fake, "gpu"), cpu = run("cpu", "cpu");
  EXPECT_EQ(FakeGpu::get().violations, std::vector<std::string>{});
  EXPECT_GT(FakeGpu::get().count("graph of"), 0U);
  EXPECT_NEAR(gpu.summary->test_loss, cpu.summary->test_loss, 1e-4);
  EXPECT_EQ(gpu.summary->test_accuracy, cpu.summary->test_accuracy);
  EXPECT_EQ(gpu.summary->device, fake);
  EXPECT_GT(gpu.summary->processor_examples_per_second, 0);
  EXPECT_EQ(cpu.summary->processor_examples_per_second, 0);
  EXPECT_GT(gpu.summary->peak_device_memory_bytes, std::size_t{4} * static_cast<std::size_t>(gpu.summary->parameters));
  EXPECT_EQ(cpu.summary->peak_device_memory_bytes, 0U);
  EXPECT_NE(data::read_text(folder / "gpu" / "report.html").find("the same on the processor"), std::string::npos);
}

TEST_F(CudaTraining, AResumedRunEndsWithTheSameBits) {
  run(fake, "whole");
  EXPECT_EQ(run(fake, "parts", false, 1e-9).end, TrainEnd::TimeUp);
  run(fake, "parts", true);
  EXPECT_EQ(weights("parts", 12), weights("whole", 12));
}

TEST_F(CudaTraining, ADeviceThatDisappearsLeavesTheLastCheckpoint) {
  run(fake, "r", false, 1e-9);
  const std::vector<std::int64_t> before = checkpoint_steps(folder / "r");
  ASSERT_FALSE(before.empty());
  FakeGpu::get().error = 46;
  FakeGpu::get().kernels_left = 60;
  try {
    run(fake, "r", true);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("start again from the last checkpoint"), std::string::npos)
        << error.what();
  }
  FakeGpu::get().recover();
  EXPECT_GE(load_checkpoint(folder / "r").manifest.step, before.back());
}

}  // namespace
}  // namespace tessera::train
