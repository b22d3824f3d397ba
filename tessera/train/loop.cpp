// The training loop: when a task (train/task.hpp) takes a step, is measured, saved, resumed, stopped.
#include "tessera/train/loop.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <utility>

#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/train/limits.hpp"
#include "tessera/train/progress.hpp"
#include "tessera/train/report.hpp"
#include "tessera/train/task.hpp"
#include "tessera/version.hpp"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::atomic<bool> interrupted{false};

/// While one is alive, the first SIGINT or SIGTERM asks the loop to end; the second ends the program.
class InterruptScope {
 public:
  InterruptScope() {
    interrupted = false;
    struct sigaction action{};
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, &old_[0]);
    ::sigaction(SIGTERM, &action, &old_[1]);
  }
  ~InterruptScope() {
    ::sigaction(SIGINT, &old_[0], nullptr);
    ::sigaction(SIGTERM, &old_[1], nullptr);
  }
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  struct sigaction old_[2]{};
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// The file of a run's folder that the process which trains there holds.
constexpr const char* kLock = ".lock";

constexpr double kMilestones[] = {0.5,  0.6,  0.7,  0.8,  0.85,  0.9,  0.91,  0.92,  0.925, 0.93,  0.935, 0.94,
                                  0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.992, 0.994, 0.995, 0.996, 0.997};

class Trainer {
 public:
  Trainer(const TrainOptions& options, std::unique_ptr<Task> task)
      : options_(options),
        config_(options.config),
        progress_(options.quiet),
        task_(std::move(task)),
        steps_per_epoch_(task_->steps_per_epoch()) {
    total_ = std::max<std::int64_t>(1, std::llround(config_.train.epochs * static_cast<double>(steps_per_epoch_)));
    log_every_ = std::max<std::int64_t>(1, steps_per_epoch_ / 10);
    using Kind = optim::Schedule::Kind;
    const std::string& kind = config_.schedule.kind;
    schedule_ = {.kind = kind == "constant" ? Kind::Constant
                         : kind == "cosine" ? Kind::Cosine
                                            : Kind::InverseSqrt,
                 .peak = config_.optimizer.rate,
                 .final = config_.optimizer.rate * config_.schedule.final,
                 .warmup = std::min(total_, static_cast<std::int64_t>(std::llround(
                                                config_.schedule.warmup * static_cast<double>(steps_per_epoch_)))),
                 .total = total_};
  }

  TrainResult run() {
    progress_.say(fmt::format(
        "{}: {}, {} parameters; on {} ({})", config_.name, task_->description(), task_->parameters(), device_name(),
        device_name().starts_with("cuda") ? backend(default_device()).describe()
                                          : fmt::format("{}, {} threads", processor_name(), threads())));
    check_folder();
    if (!options_.dry_run && options_.resume) restore();
    compile();
    if (options_.dry_run) return dry_run();
    open_folder();
    const InterruptScope scope;
    const TrainEnd end = loop();
    return finish(end);
  }

 private:
  [[nodiscard]] static int threads() { return default_threads() > 0 ? default_threads() : granted_threads(); }
  [[nodiscard]] static std::string device_name() { return default_device().name; }

  // --- before the first step ---

  void check_folder() const {
    if (options_.dry_run || !fs::exists(options_.out)) return;
    if (!fs::is_directory(options_.out))
      throw Error(ErrorKind::Usage, options_.out.string() + ": is a file; name a folder for the run with --out");
    const bool is_run = fs::exists(options_.out / "config.toml");
    if (is_run && !options_.resume)
      throw Error(
          ErrorKind::Usage,
          options_.out.string() + ": holds a run already; go on with --resume, or name another folder with --out");
    const bool is_ours = is_run || fs::exists(options_.out / kLock);  // killed before it wrote anything
    if (!is_ours && !fs::is_empty(options_.out))
      throw Error(ErrorKind::Usage,
                  options_.out.string() + ": holds something that is no run; name another folder with --out");
  }

  /// The folder is this process's from now on, until it ends.
  void lock_folder() {
    lock_ = data::FileLock::try_lock(options_.out / kLock);
    if (!lock_)
      throw Error(ErrorKind::Usage, options_.out.string() +
                                        ": another process trains there; wait until it ends or stop it, or name "
                                        "another folder with --out");
  }

  /// Goes on from the newest complete checkpoint, if there is one.
  void restore() {
    const Path file = options_.out / "config.toml";
    if (!fs::exists(file)) return;
    lock_folder();
    const Config before = parse_config(data::read_text(file, std::uint64_t{1} << 20), file);
    if (const std::vector<std::string> changed = differences(before, config_); !changed.empty())
      throw Error(ErrorKind::Usage, fmt::format("{}: the run was begun with another configuration ({}); resume it with "
                                                "the same one, or begin another run with --out",
                                                options_.out.string(), changed[0]));
    if (checkpoint_steps(options_.out).empty()) return;
    Checkpoint checkpoint = load_checkpoint(options_.out);
    const Path folder = checkpoint_folder(options_.out, checkpoint.manifest.step);
    task_->restore(checkpoint, folder);
    manifest_ = std::move(checkpoint.manifest);
    step_ = manifest_.step;
    if (manifest_.device == device_name()) backend(default_device()).restore_choices(manifest_.choices);
    if (step_ > total_) data::bad_file(folder, fmt::format("is at step {}, past the {} of this run", step_, total_));
    if (const std::string now = backend(default_device()).fingerprint();
        now != manifest_.instruction_set || threads() != manifest_.threads)
      progress_.say(
          fmt::format("the run was begun on {} with {} threads and goes on on {} with {}: its bits will differ from an "
                      "uninterrupted run's",
                      manifest_.instruction_set, manifest_.threads, now, threads()));
    progress_.say(fmt::format("goes on from step {} of {}", step_, total_));
  }

  void compile() {
    const Clock::time_point start = Clock::now();
    on_device_ = task_->compile();
    manifest_.compile_seconds += since(start);
  }

  /// Examples that the step a report shows has.
  [[nodiscard]] std::int64_t typical_examples() {
    const std::int64_t step = task_->typical_step();
    return task_->examples(step + 1) - task_->examples(step);
  }

  [[nodiscard]] std::string compiled() const {
    const std::string more = task_->compiled();
    return fmt::format("compiled {}in {}", more.empty() ? "" : more + " ", format_duration(manifest_.compile_seconds));
  }

  TrainResult dry_run() {
    const Task::Call call = task_->call(task_->typical_step(), schedule_(0));
    progress_.say(fmt::format(
        "dry run: {}; {} epochs of {} steps; a step of {} {} takes {:.1f} MB beside its inputs and {:.2f} GFLOP. "
        "Nothing was written",
        compiled(), config_.train.epochs, steps_per_epoch_, typical_examples(), task_->unit(),
        static_cast<double>(call.entry->executable->peak_bytes()) * 1e-6,
        ir::operation_count(*call.entry->graph) * 1e-9));
    return {TrainEnd::DryRun, std::nullopt};
  }

  void open_folder() {
    const bool existed = fs::exists(options_.out);
    const auto make = [](const Path& folder) {
      std::error_code error;
      fs::create_directories(folder, error);
      if (error) data::bad_file(folder, "cannot be made: " + error.message());
    };
    make(options_.out);
    if (!lock_) {
      lock_folder();
      if (fs::exists(options_.out / "config.toml"))
        throw Error(ErrorKind::Usage, options_.out.string() +
                                          ": another process began a run there meanwhile; go on with --resume, or name "
                                          "another folder with --out");
    }
    try {
      make(options_.out / "checkpoints");
      sweep_checkpoints(options_.out);
      fs::remove(options_.out / "summary.json");
      data::write_file(options_.out / "config.toml",
                       format_config(config_, {{"version", TESSERA_VERSION},
                                               {"device", device_name()},
                                               {"instruction_set", backend(default_device()).fingerprint()},
                                               {"processor", processor_name()},
                                               {"threads", std::to_string(threads())},
                                               {"seed", std::to_string(config_.train.seed)}}));
      task_->write_files(options_.out);
      metrics_.emplace(options_.out / "metrics.jsonl", step_);
    } catch (...) {
      std::error_code ignored;
      if (!existed) fs::remove_all(options_.out, ignored);
      throw;
    }
    progress_.say(fmt::format("{}; {} epochs of {} steps into {}", compiled(), config_.train.epochs, steps_per_epoch_,
                              options_.out.string()));
  }

  // --- steps ---

  [[nodiscard]] bool due(double every) const {
    const double interval = std::max(1.0, every * static_cast<double>(steps_per_epoch_));
    const auto count = [&](std::int64_t step) { return std::floor(static_cast<double>(step) / interval + 1e-9); };
    return step_ == total_ || count(step_) > count(step_ - 1);
  }

  TrainEnd loop() {
    const Clock::time_point session = Clock::now();
    elapsed_before_ = manifest_.elapsed_seconds;
    session_start_ = session;
    while (step_ < total_) {
      if (window_.steps == 0 && pending_.empty()) {
        task_->keep();
        kept_step_ = step_;
        window_.start = Clock::now();
      }
      pending_.push_back(task_->step(step_, schedule_(step_)));
      ++step_;
      // A device may still compute, and gets the next steps meanwhile; its losses are read together.
      if (detail::storage_of(pending_.back().loss)->on_host()) read_losses();
      if (step_ % log_every_ == 0 || step_ == total_) write_window();
      update_progress();

      const bool evaluated = due(config_.train.evaluate_every);
      if (evaluated) evaluate();
      const bool time_up = options_.max_seconds && since(session) >= *options_.max_seconds;
      const bool stop = (interrupted || time_up) && step_ < total_;
      if (stop || due(config_.train.checkpoint_every)) save(evaluated);
      if (stop) return interrupted ? TrainEnd::Interrupted : TrainEnd::TimeUp;
    }
    return TrainEnd::Finished;
  }

  /// Waits for the steps that were begun. The first loss that is not finite ends the run.
  void read_losses() {
    const std::vector<StepOutputs> outputs = std::exchange(pending_, {});
    std::int64_t step = step_ - static_cast<std::int64_t>(outputs.size());
    for (const StepOutputs& out : outputs) {
      ++step;
      ++window_.steps;
      const double loss = out.loss.item<double>();
      window_.loss += loss;
      window_.accuracy += out.accuracy.item<double>();
      if (!std::isfinite(loss)) diverged(loss, step);
    }
    window_.seconds = since(window_.start);
    window_.examples = task_->examples(step_) - task_->examples(kept_step_);
  }

  [[nodiscard]] Metric metric(std::string split) {
    return {.step = step_,
            .epoch = static_cast<double>(step_) / static_cast<double>(steps_per_epoch_),
            .examples = task_->examples(step_),
            .split = std::move(split),
            .learning_rate = schedule_(step_ - 1),
            .examples_per_second = last_speed_,
            .elapsed_seconds = elapsed()};
  }

  [[nodiscard]] double elapsed() const { return elapsed_before_ + since(session_start_); }

  void write_window() {
    read_losses();
    if (window_.steps == 0) return;
    last_speed_ = static_cast<double>(window_.examples) / window_.seconds;
    manifest_.speeds.push_back(last_speed_);
    manifest_.train_seconds += window_.seconds;
    Metric m = metric("train");
    last_loss_ = m.loss = window_.loss / static_cast<double>(window_.steps);
    last_accuracy_ = m.accuracy = window_.accuracy / static_cast<double>(window_.steps);
    metrics_->write(m);
    window_ = {};
  }

  void update_progress() {
    const double speed =
        last_speed_ > 0 ? last_speed_ : static_cast<double>(window_.examples) / std::max(1e-9, window_.seconds);
    const double examples_per_step = static_cast<double>(task_->examples(step_)) / static_cast<double>(step_);
    progress_.update(
        {.step = step_,
         .steps = total_,
         .epoch = static_cast<double>(step_) / static_cast<double>(steps_per_epoch_),
         .epochs = config_.train.epochs,
         .loss = window_.steps > 0 ? window_.loss / static_cast<double>(window_.steps) : last_loss_,
         .accuracy = window_.steps > 0 ? window_.accuracy / static_cast<double>(window_.steps) : last_accuracy_,
         .examples_per_second = speed,
         .remaining_seconds = static_cast<double>(total_ - step_) * examples_per_step / std::max(1e-9, speed)});
  }

  void evaluate() {
    write_window();
    const Quality result = task_->evaluate();
    Metric m = metric(task_->validation());
    m.loss = result.loss;
    m.accuracy = result.accuracy;
    metrics_->write(m);
    for (const double milestone : kMilestones) {
      const bool known = std::any_of(manifest_.time_to.begin(), manifest_.time_to.end(),
                                     [&](const auto& t) { return t.first == milestone; });
      if (result.accuracy >= milestone && !known) manifest_.time_to.emplace_back(milestone, manifest_.train_seconds);
    }
    evaluated_accuracy_ = result.accuracy;
    progress_.say(
        fmt::format("epoch {:>5.1f}/{:g}  train loss {:.4f}  accuracy {:6.2f} %   {} loss {:.4f}  accuracy {:6.2f} %   "
                    "{:.0f} {}/s   {}",
                    m.epoch, config_.train.epochs, last_loss_, 100 * last_accuracy_, m.split, m.loss, 100 * m.accuracy,
                    last_speed_, task_->unit(), format_duration(m.elapsed_seconds)));
  }

  void save(bool evaluated) {
    write_window();
    metrics_->flush();
    manifest_.step = step_;
    manifest_.binary = TESSERA_VERSION;
    manifest_.instruction_set = backend(default_device()).fingerprint();
    manifest_.threads = threads();
    manifest_.device = device_name();
    manifest_.choices = backend(default_device()).choices();
    manifest_.elapsed_seconds = elapsed();
    if (evaluated && (manifest_.best_step < 0 || evaluated_accuracy_ > manifest_.best_accuracy)) {
      manifest_.best_step = step_;
      manifest_.best_accuracy = evaluated_accuracy_;
    }
    Checkpoint checkpoint{manifest_, {}, {}};
    task_->save(checkpoint);
    save_checkpoint(options_.out, checkpoint);
  }

  /// Keeps what there is, finds the operation that made the first bad value, and throws.
  [[noreturn]] void diverged(double loss, std::int64_t seen) {
    write_window();
    metrics_->flush();
    progress_.say(fmt::format("the loss of step {} is {}: looking for the operation that made it", seen, loss));
    std::string cause;
    task_->go_back();
    for (std::int64_t at = kept_step_; at < seen && cause.empty(); ++at) {
      task_->keep();
      const StepOutputs out = task_->step(at, schedule_(at));
      if (task_->finite() && all_finite(std::span(&out.loss, 1))) continue;
      task_->go_back();
      const Task::Call call = task_->call(at, schedule_(at));
      const std::string found = first_bad_operation(*call.entry, call.arguments);
      cause = fmt::format(" In step {} {}.", at + 1, found.empty() ? "a parameter stops being finite" : found);
    }
    write_report(options_.out);
    const std::vector<std::int64_t> steps = checkpoint_steps(options_.out);
    throw Error(fmt::format(
        "the run diverged: the loss of step {} is {}.{} {}; try a smaller optimizer.rate, a longer schedule.warmup or "
        "optimizer.clip",
        seen, loss, cause,
        steps.empty() ? "There is no checkpoint yet"
                      : "The last good checkpoint is " + checkpoint_folder(options_.out, steps.back()).string()));
  }

  // --- after the last step ---

  TrainResult finish(TrainEnd end) {
    if (end == TrainEnd::Interrupted) {
      write_report(options_.out);
      progress_.say(
          fmt::format("interrupted at step {} of {}; saved. Go on with the same command and --resume --out {}", step_,
                      total_, options_.out.string()));
      return {end, std::nullopt};
    }
    ReportData report;
    Summary s;
    const Quality test = task_->finish(report, s);
    if (std::string_view(task_->validation()) != "test") {
      Metric m = metric("test");
      m.loss = test.loss;
      m.accuracy = test.accuracy;
      metrics_->write(m);
    }
    metrics_->flush();
    const double wall = elapsed();
    report.processor = machine();
    report.batch = typical_examples();
    report.limits = measure_limits(0.2, precision_named(config_.train.precision));
    profile_step(report);

    s.processor_examples_per_second = processor_speed();
    s.recipe = config_.name;
    s.device = device_name();
    s.precision = config_.train.precision;
    s.threads = threads();
    s.seed = config_.train.seed;
    s.parameters = task_->parameters();
    s.steps = step_;
    s.examples = task_->examples(step_);
    s.epochs = static_cast<double>(step_) / static_cast<double>(steps_per_epoch_);
    s.train_seconds = manifest_.train_seconds;
    s.compile_seconds = manifest_.compile_seconds;
    s.wall_seconds = wall + manifest_.compile_seconds;
    s.examples_per_second = median(manifest_.speeds);
    s.flops_per_example = task_->operations_per_example();
    s.gemm_fraction = s.examples_per_second * s.flops_per_example * 1e-9 / report.limits.gemm_gflops;
    s.peak_memory_bytes = peak_memory();
    s.peak_device_memory_bytes = backend(default_device()).peak_memory();
    s.test_loss = test.loss;
    s.test_accuracy = test.accuracy;
    s.time_to = manifest_.time_to;
    data::write_file(options_.out / "report.json", format_report_data(report));
    data::write_file(options_.out / "summary.json", format_summary(s));
    write_report(options_.out);
    const double times =
        s.processor_examples_per_second > 0 ? s.examples_per_second / s.processor_examples_per_second : 0;
    progress_.say(fmt::format(
        "{}test {}, {:.0f} {}/s{}, {} of training ({:.0f} % of this machine's matrix product). Report: {}",
        end == TrainEnd::TimeUp ? "time is up, saved (--resume goes on): " : "", format_score(s), s.examples_per_second,
        task_->unit(), times > 0 ? fmt::format(" ({:.1f} times the processor's)", times) : "",
        format_duration(s.train_seconds), 100 * s.gemm_fraction, (options_.out / "report.html").string()));
    return {end, s};
  }

  /// Times every kernel of a step; the fastest of a few runs counts.
  void profile_step(ReportData& report) {
    const auto [entry, arguments] = task_->call(task_->typical_step(), schedule_(0));
    std::vector<StoragePtr> inputs;
    for (const Array& a : arguments) inputs.push_back(detail::storage_of(a));
    inputs.insert(inputs.end(), entry->captured.begin(), entry->captured.end());
    for (int round = 0; round < 5; ++round) {
      std::vector<StepProfile> now = entry->executable->profile(inputs);
      if (round == 0) {
        report.profile = std::move(now);
        continue;
      }
      for (std::size_t i = 0; i < now.size() && i < report.profile.size(); ++i)
        report.profile[i].seconds = std::min(report.profile[i].seconds, now[i].seconds);
    }
    const double speed = median(manifest_.speeds);
    report.step_seconds = speed > 0 ? static_cast<double>(report.batch) / speed : 0;
  }

  /// Examples per second of the same steps on this machine's processor: what the device bought. 0 where the run was on
  /// the processor, or this one cannot run it (bf16 without AVX-512).
  double processor_speed() {
    if (!on_device_) return 0;
    constexpr double kSeconds = 1;
    constexpr std::int64_t kLeastSteps = 3;
    const std::string device = device_name();
    set_default_device("cpu");
    double speed = 0;
    try {
      task_->keep();
      const std::int64_t step = task_->typical_step();
      const auto run = [&] { (void)task_->step(step, schedule_(step)).loss.item<float>(); };
      run();
      const Clock::time_point start = Clock::now();
      std::int64_t steps = 0;
      for (; steps < kLeastSteps || since(start) < kSeconds; ++steps) run();
      speed = static_cast<double>(steps * typical_examples()) / since(start);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::Unsupported) throw;
    }
    set_default_device(device);
    task_->go_back();
    return speed;
  }

  /// The GPU where the run is on one, and the processor.
  [[nodiscard]] std::string machine() const {
    return on_device_ ? backend(default_device()).describe() + "; " + processor_name() : processor_name();
  }

  static std::uint64_t peak_memory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }

  /// Steps whose losses are known.
  struct Window {
    std::int64_t steps = 0, examples = 0;
    double loss = 0, accuracy = 0, seconds = 0;
    Clock::time_point start;
  };

  const TrainOptions& options_;
  const Config& config_;
  Progress progress_;
  std::unique_ptr<Task> task_;
  std::int64_t steps_per_epoch_ = 1, total_ = 1, log_every_ = 1;
  optim::Schedule schedule_;

  std::int64_t step_ = 0, kept_step_ = 0;  ///< done; where the window began
  std::vector<StepOutputs> pending_;       ///< of steps that were begun, and may not have ended
  Manifest manifest_;
  std::optional<data::FileLock> lock_;  ///< of the run's folder
  std::optional<MetricsWriter> metrics_;
  Window window_;
  bool on_device_ = false;  ///< it computes in a device's memory
  double last_speed_ = 0, last_loss_ = 0, last_accuracy_ = 0, evaluated_accuracy_ = 0, elapsed_before_ = 0;
  Clock::time_point session_start_;
};

}  // namespace

TrainResult train(const TrainOptions& options) {
  return Trainer(options, options.config.task == "translate"
                              ? make_translate_task(options.config, options.resume ? options.out : Path())
                              : make_classify_task(options.config))
      .run();
}

}  // namespace tessera::train
