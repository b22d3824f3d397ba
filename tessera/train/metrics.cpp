// Writing and reading metrics.jsonl and summary.json.
#include "tessera/train/metrics.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "tessera/core/error.hpp"

namespace tessera::train {
namespace {

using Json = nlohmann::ordered_json;
using data::bad_file;

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double number(const Json& line, const char* key) {
  const Json& value = line.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

std::string line_of(const Metric& m) {
  return Json{{"step", m.step},
              {"epoch", finite(m.epoch)},
              {"examples", m.examples},
              {"split", m.split},
              {"loss", finite(m.loss)},
              {"accuracy", finite(m.accuracy)},
              {"learning_rate", finite(m.learning_rate)},
              {"examples_per_second", finite(m.examples_per_second)},
              {"elapsed_seconds", finite(m.elapsed_seconds)}}
             .dump() +
         '\n';
}

Metric parse_line(std::string_view text) {
  const Json line = Json::parse(text);
  return {.step = line.at("step").get<std::int64_t>(),
          .epoch = number(line, "epoch"),
          .examples = line.at("examples").get<std::int64_t>(),
          .split = line.at("split").get<std::string>(),
          .loss = number(line, "loss"),
          .accuracy = number(line, "accuracy"),
          .learning_rate = number(line, "learning_rate"),
          .examples_per_second = number(line, "examples_per_second"),
          .elapsed_seconds = number(line, "elapsed_seconds")};
}

}  // namespace

std::vector<Metric> read_metrics(const Path& path) {
  const std::string content = data::read_text(path, std::uint64_t{1} << 30);
  std::vector<Metric> metrics;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;  // cut short when the writer was killed
    ++number;
    try {
      metrics.push_back(parse_line(std::string_view(content).substr(begin, end - begin)));
    } catch (const Json::exception& e) {
      bad_file(path, fmt::format("line {} is no line of metrics ({})", number, e.what()));
    }
    begin = end + 1;
  }
  return metrics;
}

MetricsWriter::MetricsWriter(Path path, std::int64_t last_step) : path_(std::move(path)) {
  std::string kept;
  if (std::filesystem::exists(path_)) {
    for (const Metric& m : read_metrics(path_)) {
      if (m.step <= last_step) kept += line_of(m);
    }
  }
  data::write_file(path_, kept);
  file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0) bad_file(path_, "cannot be written: " + std::generic_category().message(errno));
}

MetricsWriter::~MetricsWriter() { ::close(file_); }

void MetricsWriter::write(const Metric& metric) {
  const std::string line = line_of(metric);
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(file_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) bad_file(path_, "cannot be written: " + std::generic_category().message(errno));
    done += static_cast<std::size_t>(n);
  }
}

void MetricsWriter::flush() {
  if (::fsync(file_) != 0) bad_file(path_, "cannot be flushed to the disk: " + std::generic_category().message(errno));
}

std::string format_summary(const Summary& s) {
  Json times = Json::array();
  for (const auto& [accuracy, seconds] : s.time_to) times.push_back({{"accuracy", accuracy}, {"seconds", seconds}});
  Json out{{"recipe", s.recipe},
           {"device", s.device},
           {"threads", s.threads},
           {"precision", s.precision},
           {"seed", s.seed},
           {"parameters", s.parameters},
           {"epochs", s.epochs},
           {"steps", s.steps},
           {"examples", s.examples},
           {"train_seconds", s.train_seconds},
           {"compile_seconds", s.compile_seconds},
           {"wall_seconds", s.wall_seconds},
           {"examples_per_second", s.examples_per_second},
           {"processor_examples_per_second", s.processor_examples_per_second},
           {"flops_per_example", s.flops_per_example},
           {"gemm_fraction", s.gemm_fraction},
           {"peak_memory_bytes", s.peak_memory_bytes},
           {"peak_device_memory_bytes", s.peak_device_memory_bytes},
           {"test_loss", s.test_loss},
           {"test_accuracy", s.test_accuracy},
           {"time_to", times}};
  if (s.test_bleu) out["test_bleu"] = finite(*s.test_bleu);
  if (s.test_chrf) out["test_chrf"] = finite(*s.test_chrf);
  return out.dump(2) + '\n';
}

std::string format_score(const Summary& s) {
  return s.test_bleu ? fmt::format("BLEU {:.2f}", *s.test_bleu)
                     : fmt::format("accuracy {:.2f} %", 100 * s.test_accuracy);
}

std::optional<Summary> read_summary(const Path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const Json j = Json::parse(data::read_text(path, std::uint64_t{1} << 24));
    Summary s;
    s.recipe = j.at("recipe").get<std::string>();
    s.device = j.at("device").get<std::string>();
    s.threads = j.at("threads").get<int>();
    s.precision = j.at("precision").get<std::string>();
    s.seed = j.at("seed").get<std::int64_t>();
    s.parameters = j.at("parameters").get<std::int64_t>();
    s.epochs = number(j, "epochs");
    s.steps = j.at("steps").get<std::int64_t>();
    s.examples = j.at("examples").get<std::int64_t>();
    s.train_seconds = number(j, "train_seconds");
    s.compile_seconds = number(j, "compile_seconds");
    s.wall_seconds = number(j, "wall_seconds");
    s.examples_per_second = number(j, "examples_per_second");
    if (j.contains("processor_examples_per_second"))
      s.processor_examples_per_second = number(j, "processor_examples_per_second");
    s.flops_per_example = number(j, "flops_per_example");
    s.gemm_fraction = number(j, "gemm_fraction");
    s.peak_memory_bytes = j.at("peak_memory_bytes").get<std::uint64_t>();
    if (j.contains("peak_device_memory_bytes"))
      s.peak_device_memory_bytes = j.at("peak_device_memory_bytes").get<std::uint64_t>();
    s.test_loss = number(j, "test_loss");
    s.test_accuracy = number(j, "test_accuracy");
    if (j.contains("test_bleu")) s.test_bleu = number(j, "test_bleu");
    if (j.contains("test_chrf")) s.test_chrf = number(j, "test_chrf");
    for (const Json& t : j.at("time_to")) s.time_to.emplace_back(number(t, "accuracy"), number(t, "seconds"));
    return s;
  } catch (const Json::exception& e) {
    bad_file(path, fmt::format("is no summary of a run ({})", e.what()));
  }
}

}  // namespace tessera::train
