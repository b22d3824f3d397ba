// The training loop.
#include "tessera/train/loop.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <utility>

#include "tessera/array/jit.hpp"
#include "tessera/array/transforms.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/train/checkpoint.hpp"
#include "tessera/train/diagnose.hpp"
#include "tessera/train/evaluate.hpp"
#include "tessera/train/limits.hpp"
#include "tessera/train/model.hpp"
#include "tessera/train/progress.hpp"
#include "tessera/train/report.hpp"
#include "tessera/train/trained.hpp"
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
    struct sigaction action {};
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

/// Loss and accuracy of a step's batch.
struct StepOutputs {
  Array loss, accuracy;
  TESSERA_FIELDS(loss, accuracy)
};

/// One step of training: draws a batch, differentiates, updates. Everything random follows from key and step.
struct StepFunction {
  std::int64_t batch = 0;
  Augmentation augmentation;

  StepOutputs operator()(Classifier& model, Optimizer& optimizer, const Array& images, const Array& labels,
                         const Array& order, const Array& start, const Array& step, const Key& key) const {
    const auto [draw_key, dropout_key] = split<2>(fold_in(key, step));
    const Array positions = dynamic_slice(order, {start}, {batch});
    const Array pixels = draw_batch(images, positions, augmentation, draw_key);
    const Array wanted = take(labels, positions);
    nn::Context context{.training = true, .key = dropout_key};
    auto loss = [](Classifier& m, const Array& x, const Array& y, nn::Context& c) {
      const Array logits = m.net(m.normalised(x), c);
      return std::pair(nn::cross_entropy(logits, y), nn::accuracy(logits, y));
    };
    auto [values, gradient] = value_and_grad(loss)(model, pixels, wanted, context);
    optimizer.update(model, gradient);
    return {values.first, values.second};
  }
};

/// The order of an epoch's pictures.
struct ShuffleFunction {
  std::int32_t count = 0;
  Array operator()(const Key& key, const Array& epoch) const { return random::permutation(fold_in(key, epoch), count); }
};

/// Mean and deviation of all pixels.
std::pair<double, double> pixel_statistics(const data::LabelledImages& set) {
  std::array<std::int64_t, 256> histogram{};
  for (const std::uint8_t v : set.images.as<std::uint8_t>()) ++histogram[v];
  const auto count = static_cast<double>(set.images.size());
  double sum = 0, squares = 0;
  for (int v = 0; v < 256; ++v) {
    sum += static_cast<double>(histogram[static_cast<std::size_t>(v)]) * v;
    squares += static_cast<double>(histogram[static_cast<std::size_t>(v)]) * v * v;
  }
  const double mean = sum / count;
  return {mean, std::max(1.0, std::sqrt(std::max(0.0, squares / count - mean * mean)))};
}

/// What the steps change.
struct State {
  Classifier model;
  Optimizer optimizer;
  std::int64_t step = 0;
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
  explicit Trainer(const TrainOptions& options)
      : options_(options),
        config_(options.config),
        progress_(options.quiet),
        data_(data::load_images(config_.data.path, config_.data.classes)),
        train_set_(data_.train),
        test_set_(data_.test),
        valid_set_(data_.valid),
        key_(static_cast<std::uint64_t>(config_.train.seed)),
        shuffle_key_(fold_in(key_, 1)),
        step_key_(fold_in(key_, 2)),
        step_({config_.train.batch, {config_.augment.shift, config_.augment.flip}}, {precision_named(config_.train.precision), "step"}),
        shuffle_({static_cast<std::int32_t>(data_.train.size())}, {Precision::Float32, "shuffle"}),
        evaluator_(precision_named(config_.train.precision)) {
    const std::int64_t count = data_.train.size(), batch = config_.train.batch;
    if (batch > count)
      throw Error(
          ErrorKind::Usage,
          fmt::format("'train.batch' is {}, but there are {} training pictures; choose a smaller batch", batch, count));
    if (data_.train.images.size() > std::numeric_limits<std::int32_t>::max())
      throw Error(ErrorKind::Unsupported,
                  fmt::format("{}: {} pixels of training pictures are more than the 2^31 - 1 that a run holds at once",
                              config_.data.path, data_.train.images.size()));
    steps_per_epoch_ = count / batch;
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
    const auto [mean, deviation] = pixel_statistics(data_.train);
    state_.model = {
        Array(static_cast<float>(mean)), Array(static_cast<float>(deviation)),
        make_net(config_, fold_in(key_, 0), data_.image_shape(), static_cast<std::int64_t>(data_.classes.size()))};
    state_.optimizer = make_optimizer(config_, state_.model);
  }

  TrainResult run() {
    progress_.say(fmt::format("{}: {} pictures to train, {} to test, {} parameters; on {} ({})", config_.name,
                              data_.train.size(), data_.test.size(), parameter_count(state_.model.net), device_name(),
                              device_name().starts_with("cuda")
                                  ? backend(default_device()).describe()
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
    restore_tensors(state_.model, checkpoint.model, folder / "model.safetensors");
    restore_tensors(state_.optimizer, checkpoint.state, folder / "state.safetensors");
    manifest_ = std::move(checkpoint.manifest);
    state_.step = manifest_.step;
    if (manifest_.device == device_name()) backend(default_device()).restore_choices(manifest_.choices);
    if (state_.step > total_)
      data::bad_file(folder, fmt::format("is at step {}, past the {} of this run", state_.step, total_));
    if (const std::string now = backend(default_device()).fingerprint();
        now != manifest_.instruction_set || threads() != manifest_.threads)
      progress_.say(
          fmt::format("the run was begun on {} with {} threads and goes on on {} with {}: its bits will differ from an "
                      "uninterrupted run's",
                      manifest_.instruction_set, manifest_.threads, now, threads()));
    progress_.say(fmt::format("goes on from step {} of {}", state_.step, total_));
  }

  /// Compiles step and evaluation by running each once on copies.
  void compile() {
    const Clock::time_point start = Clock::now();
    State copy = state_;
    order_ = shuffle_(shuffle_key_, Array(0));
    const StepOutputs out = run_step(copy);
    on_device_ = !detail::storage_of(out.loss)->on_host();
    (void)out.loss.item<float>();
    evaluator_.compile(state_.model, valid_or_test());
    if (data_.valid.size() > 0) evaluator_.compile(state_.model, test_set_);
    manifest_.compile_seconds += since(start);
    order_epoch_ = -1;
  }

  TrainResult dry_run() {
    const detail::JitEntry& entry = *step_.latest();
    progress_.say(fmt::format(
        "dry run: compiled in {}; {} epochs of {} steps of {} pictures; a step takes {:.1f} MB beside its inputs and "
        "{:.2f} GFLOP. Nothing was written",
        format_duration(manifest_.compile_seconds), config_.train.epochs, steps_per_epoch_, config_.train.batch,
        static_cast<double>(entry.executable->peak_bytes()) * 1e-6, ir::operation_count(*entry.graph) * 1e-9));
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
      metrics_.emplace(options_.out / "metrics.jsonl", state_.step);
    } catch (...) {
      std::error_code ignored;
      if (!existed) fs::remove_all(options_.out, ignored);
      throw;
    }
    progress_.say(fmt::format("compiled in {}; {} epochs of {} steps into {}",
                              format_duration(manifest_.compile_seconds), config_.train.epochs, steps_per_epoch_,
                              options_.out.string()));
  }

  // --- steps ---

  /// One step on `state`; its epoch's order must be the current one.
  StepOutputs run_step(State& state) {
    const std::int64_t start = state.step % steps_per_epoch_ * config_.train.batch;
    state.optimizer.learning_rate() = Array(static_cast<float>(schedule_(state.step)));
    StepOutputs out =
        step_(state.model, state.optimizer, train_set_.images, train_set_.labels, order_,
              Array(static_cast<std::int32_t>(start)), Array(static_cast<std::int32_t>(state.step)), step_key_);
    ++state.step;
    return out;
  }

  void set_order(std::int64_t step) {
    const std::int64_t epoch = step / steps_per_epoch_;
    if (epoch == order_epoch_) return;
    order_ = shuffle_(shuffle_key_, Array(static_cast<std::int32_t>(epoch)));
    order_epoch_ = epoch;
  }

  [[nodiscard]] bool due(double every) const {
    const double interval = std::max(1.0, every * static_cast<double>(steps_per_epoch_));
    const auto count = [&](std::int64_t step) { return std::floor(static_cast<double>(step) / interval + 1e-9); };
    return state_.step == total_ || count(state_.step) > count(state_.step - 1);
  }

  TrainEnd loop() {
    const Clock::time_point session = Clock::now();
    elapsed_before_ = manifest_.elapsed_seconds;
    session_start_ = session;
    while (state_.step < total_) {
      if (window_.steps == 0 && pending_.empty()) {
        snapshot_ = state_;
        window_.start = Clock::now();
      }
      set_order(state_.step);
      pending_.push_back(run_step(state_));
      // A device may still compute, and gets the next steps meanwhile; its losses are read together.
      if (detail::storage_of(pending_.back().loss)->on_host()) read_losses();
      if (state_.step % log_every_ == 0 || state_.step == total_) write_window();
      update_progress();

      const bool evaluated = due(config_.train.evaluate_every);
      if (evaluated) evaluate();
      const bool time_up = options_.max_seconds && since(session) >= *options_.max_seconds;
      const bool stop = (interrupted || time_up) && state_.step < total_;
      if (stop || due(config_.train.checkpoint_every)) save(evaluated);
      if (stop) return interrupted ? TrainEnd::Interrupted : TrainEnd::TimeUp;
    }
    return TrainEnd::Finished;
  }

  /// Waits for the steps that were begun. The first loss that is not finite ends the run.
  void read_losses() {
    const std::vector<StepOutputs> outputs = std::exchange(pending_, {});
    std::int64_t step = state_.step - static_cast<std::int64_t>(outputs.size());
    for (const StepOutputs& out : outputs) {
      ++step;
      ++window_.steps;
      const double loss = out.loss.item<double>();
      window_.loss += loss;
      window_.accuracy += out.accuracy.item<double>();
      if (!std::isfinite(loss)) diverged(loss, step);
    }
    window_.seconds = since(window_.start);
  }

  [[nodiscard]] Metric metric(std::string split) const {
    return {.step = state_.step,
            .epoch = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_),
            .examples = state_.step * config_.train.batch,
            .split = std::move(split),
            .learning_rate = schedule_(state_.step - 1),
            .examples_per_second = last_speed_,
            .elapsed_seconds = elapsed()};
  }

  [[nodiscard]] double elapsed() const { return elapsed_before_ + since(session_start_); }

  void write_window() {
    read_losses();
    if (window_.steps == 0) return;
    last_speed_ = static_cast<double>(window_.steps * config_.train.batch) / window_.seconds;
    manifest_.speeds.push_back(last_speed_);
    manifest_.train_seconds += window_.seconds;
    Metric m = metric("train");
    last_loss_ = m.loss = window_.loss / static_cast<double>(window_.steps);
    last_accuracy_ = m.accuracy = window_.accuracy / static_cast<double>(window_.steps);
    metrics_->write(m);
    window_ = {};
  }

  void update_progress() {
    const double left = static_cast<double>(total_ - state_.step);
    const double speed =
        last_speed_ > 0 ? last_speed_
                        : static_cast<double>(window_.steps * config_.train.batch) / std::max(1e-9, window_.seconds);
    progress_.update(
        {.step = state_.step,
         .steps = total_,
         .epoch = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_),
         .epochs = config_.train.epochs,
         .loss = window_.steps > 0 ? window_.loss / static_cast<double>(window_.steps) : last_loss_,
         .accuracy = window_.steps > 0 ? window_.accuracy / static_cast<double>(window_.steps) : last_accuracy_,
         .examples_per_second = speed,
         .remaining_seconds = left * static_cast<double>(config_.train.batch) / std::max(1e-9, speed)});
  }

  [[nodiscard]] const ResidentImages& valid_or_test() const { return data_.valid.size() > 0 ? valid_set_ : test_set_; }

  void evaluate() {
    write_window();
    const Evaluation result = evaluator_(state_.model, valid_or_test());
    Metric m = metric(data_.valid.size() > 0 ? "valid" : "test");
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
                    "{:.0f} examples/s   {}",
                    m.epoch, config_.train.epochs, last_loss_, 100 * last_accuracy_, m.split, m.loss, 100 * m.accuracy,
                    last_speed_, format_duration(m.elapsed_seconds)));
  }

  void save(bool evaluated) {
    write_window();
    metrics_->flush();
    manifest_.step = state_.step;
    manifest_.binary = TESSERA_VERSION;
    manifest_.instruction_set = backend(default_device()).fingerprint();
    manifest_.threads = threads();
    manifest_.device = device_name();
    manifest_.choices = backend(default_device()).choices();
    manifest_.elapsed_seconds = elapsed();
    if (evaluated && (manifest_.best_step < 0 || evaluated_accuracy_ > manifest_.best_accuracy)) {
      manifest_.best_step = state_.step;
      manifest_.best_accuracy = evaluated_accuracy_;
    }
    Checkpoint checkpoint{manifest_, tensors_of(state_.model), tensors_of(state_.optimizer)};
    checkpoint.model.metadata = describe_model(data_.classes, data_.image_shape());
    save_checkpoint(options_.out, checkpoint);
  }

  /// Keeps what there is, finds the operation that made the first bad value, and throws.
  [[noreturn]] void diverged(double loss, std::int64_t seen) {
    write_window();
    metrics_->flush();
    progress_.say(fmt::format("the loss of step {} is {}: looking for the operation that made it", seen, loss));
    std::string cause;
    State at = snapshot_;
    while (at.step < seen && cause.empty()) {
      State before = at;
      set_order(at.step);
      const StepOutputs out = run_step(at);
      std::vector<Array> results = flatten_tree(at.model);
      results.push_back(out.loss);
      if (all_finite(results)) continue;
      before.optimizer.learning_rate() = Array(static_cast<float>(schedule_(before.step)));
      cause = fmt::format(" In step {} {}.", at.step, bad_operation_of(before));
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

  std::string bad_operation_of(const State& before) {
    const std::vector<Array> arguments = step_arguments(before);
    const std::string found = first_bad_operation(*step_.latest(), arguments);
    return found.empty() ? "a parameter stops being finite" : found;
  }

  std::vector<Array> step_arguments(const State& state) const {
    const std::int64_t start = state.step % steps_per_epoch_ * config_.train.batch;
    return detail::argument_arrays(std::tuple(state.model, state.optimizer, train_set_.images, train_set_.labels,
                                              order_, Array(static_cast<std::int32_t>(start)),
                                              Array(static_cast<std::int32_t>(state.step)), step_key_));
  }

  // --- after the last step ---

  TrainResult finish(TrainEnd end) {
    if (end == TrainEnd::Interrupted) {
      write_report(options_.out);
      progress_.say(
          fmt::format("interrupted at step {} of {}; saved. Go on with the same command and --resume --out {}",
                      state_.step, total_, options_.out.string()));
      return {end, std::nullopt};
    }
    const Evaluation test = evaluator_(state_.model, test_set_, true);
    if (data_.valid.size() > 0) {
      Metric m = metric("test");
      m.loss = test.loss;
      m.accuracy = test.accuracy;
      metrics_->write(m);
    }
    metrics_->flush();
    const double wall = elapsed();

    ReportData report;
    report.classes = data_.classes;
    report.processor = machine();
    report.batch = config_.train.batch;
    add_predictions(report, data_.test, test);
    report.limits = measure_limits(0.2, precision_named(config_.train.precision));
    profile_step(report);

    Summary s;
    s.processor_examples_per_second = processor_speed();
    s.recipe = config_.name;
    s.device = device_name();
    s.precision = config_.train.precision;
    s.threads = threads();
    s.seed = config_.train.seed;
    s.parameters = parameter_count(state_.model.net);
    s.steps = state_.step;
    s.examples = state_.step * config_.train.batch;
    s.epochs = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_);
    s.train_seconds = manifest_.train_seconds;
    s.compile_seconds = manifest_.compile_seconds;
    s.wall_seconds = wall + manifest_.compile_seconds;
    s.examples_per_second = median(manifest_.speeds);
    s.flops_per_example = ir::operation_count(*step_.latest()->graph) / static_cast<double>(config_.train.batch);
    s.gemm_fraction = s.examples_per_second * s.flops_per_example * 1e-9 / report.limits.gemm_gflops;
    s.peak_memory_bytes = peak_memory();
    s.test_loss = test.loss;
    s.test_accuracy = test.accuracy;
    s.time_to = manifest_.time_to;
    data::write_file(options_.out / "report.json", format_report_data(report));
    data::write_file(options_.out / "summary.json", format_summary(s));
    write_report(options_.out);
    const double times =
        s.processor_examples_per_second > 0 ? s.examples_per_second / s.processor_examples_per_second : 0;
    progress_.say(
        fmt::format("{}test accuracy {:.2f} %, {:.0f} examples/s{}, {} of training ({:.0f} % of this machine's matrix "
                    "product). Report: {}",
                    end == TrainEnd::TimeUp ? "time is up, saved (--resume goes on): " : "", 100 * s.test_accuracy,
                    s.examples_per_second, times > 0 ? fmt::format(" ({:.1f} times the processor's)", times) : "",
                    format_duration(s.train_seconds), 100 * s.gemm_fraction, (options_.out / "report.html").string()));
    return {end, s};
  }

  /// Times every kernel of a step; the fastest of a few runs counts.
  void profile_step(ReportData& report) {
    State copy = state_;
    copy.step = 0;
    set_order(0);
    const std::shared_ptr<const detail::JitEntry> entry = step_.latest();
    const std::vector<Array> arguments = step_arguments(copy);
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
    report.step_seconds = speed > 0 ? static_cast<double>(config_.train.batch) / speed : 0;
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
      State copy = state_;
      copy.step = 0;
      (void)run_step(copy).loss.item<float>();
      const Clock::time_point start = Clock::now();
      std::int64_t steps = 0;
      for (; steps < kLeastSteps || since(start) < kSeconds; ++steps) (void)run_step(copy).loss.item<float>();
      speed = static_cast<double>(steps * config_.train.batch) / since(start);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::Unsupported) throw;
    }
    set_default_device(device);
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
    std::int64_t steps = 0;
    double loss = 0, accuracy = 0, seconds = 0;
    Clock::time_point start;
  };

  const TrainOptions& options_;
  const Config& config_;
  Progress progress_;
  data::ImageDataset data_;
  ResidentImages train_set_, test_set_, valid_set_;
  Key key_, shuffle_key_, step_key_;
  Jit<StepFunction> step_;
  Jit<ShuffleFunction> shuffle_;
  Evaluator evaluator_;
  std::int64_t steps_per_epoch_ = 1, total_ = 1, log_every_ = 1;
  optim::Schedule schedule_;

  State state_, snapshot_;
  std::vector<StepOutputs> pending_;  ///< of steps that were begun, and may not have ended
  Array order_;
  std::int64_t order_epoch_ = -1;
  Manifest manifest_;
  std::optional<data::FileLock> lock_;  ///< of the run's folder
  std::optional<MetricsWriter> metrics_;
  Window window_;
  bool on_device_ = false;  ///< it computes in a device's memory
  double last_speed_ = 0, last_loss_ = 0, last_accuracy_ = 0, evaluated_accuracy_ = 0, elapsed_before_ = 0;
  Clock::time_point session_start_;
};

}  // namespace

TrainResult train(const TrainOptions& options) { return Trainer(options).run(); }

}  // namespace tessera::train
