// What a person sees of a run that goes on: one line that moves on a terminal, plain lines elsewhere.
// It writes to standard error only, and never is the only record (train/metrics.hpp is).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tessera::train {

/// Where a run stands.
struct ProgressState {
  std::int64_t step = 0, steps = 1;
  double epoch = 0, epochs = 1;
  double loss = 0, accuracy = 0, examples_per_second = 0;
  double remaining_seconds = 0;
};

/// The line itself, without colours when `color` is false, at most `width` characters wide.
std::string progress_line(const ProgressState& state, int width, bool color);
/// "1 min 05 s", "42 s", "0.8 s".
std::string format_duration(double seconds);

class Progress {
 public:
  enum class Style : std::uint8_t { Quiet, Lines, Bar };
  /// Bar on a terminal, lines elsewhere, nothing when `quiet`. NO_COLOR takes the colours away.
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Redraws the bar if it is due.
  void update(const ProgressState& state);
  /// A line that stays. The bar goes on below it.
  void say(const std::string& line);
  [[nodiscard]] Style style() const { return style_; }

 private:
  void clear();
  Style style_;
  bool color_, drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace tessera::train
