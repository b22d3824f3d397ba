// The progress bar.
#include "tessera/train/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace tessera::train {
namespace {

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// A bar of `cells` characters, filled in steps of an eighth of one.
std::string bar(double part, int cells) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::clamp(part, 0.0, 1.0) * cells * 8);
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  for (int i = eighths / 8 + (eighths % 8 > 0 ? 1 : 0); i < cells; ++i) out += " ";
  return out;
}

std::string rate(double per_second) {
  return per_second >= 1000 ? fmt::format("{:.1f}k/s", per_second / 1000) : fmt::format("{:.0f}/s", per_second);
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string progress_line(const ProgressState& s, int width, bool color) {
  // From the most to the least needed; what does not fit is left out.
  const std::string parts[] = {fmt::format("epoch {:.1f}/{:g}", s.epoch, s.epochs), fmt::format("loss {:.4f}", s.loss),
                               fmt::format("accuracy {:.2f} %", 100 * s.accuracy), rate(s.examples_per_second),
                               format_duration(s.remaining_seconds) + " left"};
  std::string text;
  for (const std::string& part : parts) {
    if (static_cast<int>(text.size() + part.size()) + 2 > width) break;
    text += (text.empty() ? "" : "  ") + part;
  }
  const int cells = std::min(32, width - static_cast<int>(text.size()) - 4);
  if (cells < 6) return text;
  const std::string drawn =
      bar(static_cast<double>(s.step) / static_cast<double>(std::max<std::int64_t>(1, s.steps)), cells);
  return color ? fmt::format("\x1b[36m{}\x1b[0m▏ {}", drawn, text) : fmt::format("{}▏ {}", drawn, text);
}

Progress::Progress(bool quiet)
    : style_(quiet                          ? Style::Quiet
             : ::isatty(STDERR_FILENO) != 0 ? Style::Bar
                                            : Style::Lines),
      color_(std::getenv("NO_COLOR") == nullptr) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (drawn_) std::fputs("\r\x1b[2K", stderr);
  drawn_ = false;
}

void Progress::update(const ProgressState& state) {
  const auto now = std::chrono::steady_clock::now();
  if (style_ != Style::Bar || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  fmt::print(stderr, "\r\x1b[2K{}", progress_line(state, terminal_width(), color_));
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::say(const std::string& line) {
  if (style_ == Style::Quiet) return;
  clear();
  fmt::print(stderr, "{}\n", line);
}

}  // namespace tessera::train
