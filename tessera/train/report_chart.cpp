// Charts of the report.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tessera/train/html.hpp"
#include "tessera/train/report_page.hpp"

namespace tessera::train {
namespace {

constexpr std::size_t kMostPoints = 600;

/// At most kMostPoints points, each the mean of its neighbours.
Series thinned(const Series& from) {
  const std::size_t n = from.x.size();
  if (n <= kMostPoints) return from;
  Series to{from.name, from.color, {}, {}, from.dots};
  for (std::size_t i = 0; i < kMostPoints; ++i) {
    const std::size_t begin = i * n / kMostPoints, end = (i + 1) * n / kMostPoints;
    double x = 0, y = 0;
    for (std::size_t k = begin; k < end; ++k) x += from.x[k], y += from.y[k];
    to.x.push_back(x / static_cast<double>(end - begin));
    to.y.push_back(y / static_cast<double>(end - begin));
  }
  return to;
}

/// The axis of a chart: from value to part of the height, and its marks.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> marks;

  [[nodiscard]] double part(double v) const {
    return logarithmic ? (std::log(v) - std::log(low)) / (std::log(high) - std::log(low)) : (v - low) / (high - low);
  }
};

Scale linear_scale(double low, double high) {
  if (!(high > low)) high = low + (low != 0 ? std::abs(low) : 1);
  const double raw = (high - low) / 4, power = std::pow(10, std::floor(std::log10(raw)));
  const double step = power * (raw / power > 5 ? 10 : raw / power > 2 ? 5 : raw / power > 1 ? 2 : 1);
  Scale scale{std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, false, {}};
  for (double m = scale.low; m <= scale.high + step / 2; m += step)
    scale.marks.push_back(std::abs(m) < step / 1e6 ? 0 : m);
  return scale;
}

Scale logarithmic_scale(double low, double high) {
  Scale scale{low / 1.1, high * 1.1, true, {}};
  for (double power = std::pow(10, std::floor(std::log10(scale.low))); power <= scale.high; power *= 10) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (power * digit >= scale.low && power * digit <= scale.high) scale.marks.push_back(power * digit);
    }
  }
  return scale;
}

std::string label(Axis axis, double v) {
  if (axis == Axis::Percent) return fmt::format("{:.3g} %", 100 * v);
  if (std::abs(v) >= 1000) return fmt::format("{:g}k", v / 1000);
  return fmt::format("{:.4g}", v);
}

}  // namespace

std::string format_chart(const std::string& title, Axis axis, const std::vector<Series>& given) {
  std::vector<Series> series;
  double x_high = 0, low = std::numeric_limits<double>::infinity(), high = -low, late_low = low;
  for (const Series& s : given) {
    Series kept{s.name, s.color, {}, {}, s.dots};
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!std::isfinite(s.y[i]) || (axis == Axis::Logarithmic && s.y[i] <= 0)) continue;
      kept.x.push_back(s.x[i]);
      kept.y.push_back(s.y[i]);
    }
    kept = thinned(kept);
    for (std::size_t i = 0; i < kept.x.size(); ++i) {
      x_high = std::max(x_high, kept.x[i]);
      low = std::min(low, kept.y[i]);
      high = std::max(high, kept.y[i]);
      if (i * 20 >= kept.x.size()) late_low = std::min(late_low, kept.y[i]);
    }
    if (!kept.x.empty()) series.push_back(std::move(kept));
  }
  if (series.empty()) return "";
  // A percentage shows where the run spends its time, not the first steps.
  Scale y = axis == Axis::Logarithmic ? logarithmic_scale(low, high)
            : axis == Axis::Percent   ? linear_scale(late_low, std::max(high, late_low + 0.01))
                                      : linear_scale(0, high);
  if (axis == Axis::Percent) y.high = std::min(y.high, 1.0);
  const Scale x = linear_scale(0, x_high);

  std::string html = fmt::format("<figure class=\"chart\"><figcaption><b>{}</b>", escape_html(title));
  for (const Series& s : series) html += fmt::format("<span class=\"key {}\">{}</span>", s.color, escape_html(s.name));
  html += "</figcaption><div class=\"plot\">";
  for (const double m : y.marks) {
    const double top = 100 * (1 - y.part(m));
    if (top > -0.5 && top < 100.5)
      html += fmt::format("<i class=\"y\" style=\"top:{:.2f}%\"><span>{}</span></i>", top, label(axis, m));
  }
  for (const double m : x.marks) {
    if (m <= x_high * 1.001)
      html += fmt::format("<i class=\"x\" style=\"left:{:.2f}%\"><span>{:g}</span></i>", 100 * m / x_high, m);
  }
  html += "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" aria-hidden=\"true\">";
  std::string data;
  for (const Series& s : series) {
    std::string points, xs, ys;
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      points += fmt::format("{:.1f},{:.1f} ", 1000 * s.x[i] / x_high, 1000 * (1 - y.part(s.y[i])));
      xs += fmt::format("{}{:.5g}", i > 0 ? "," : "", s.x[i]);
      ys += fmt::format("{}{:.5g}", i > 0 ? "," : "", s.y[i]);
    }
    html += fmt::format("<polyline class=\"{}\" points=\"{}\"/>", s.color, points);
    if (s.dots && s.x.size() <= 60) {
      // A line of no length with round ends is a dot that does not stretch.
      for (std::size_t i = 0; i < s.x.size(); ++i)
        html += fmt::format("<path class=\"dot {}\" d=\"M{:.1f} {:.1f}h0\"/>", s.color, 1000 * s.x[i] / x_high,
                            1000 * (1 - y.part(s.y[i])));
    }
    data += fmt::format("{}{{\"n\":\"{}\",\"c\":\"{}\",\"x\":[{}],\"y\":[{}]}}", data.empty() ? "" : ",",
                        escape_html(s.name), s.color, xs, ys);
  }
  html += fmt::format(
      "</svg><div class=\"cursor\"></div><div class=\"tip\"></div><script "
      "type=\"application/json\">{{\"max\":{:.6g},\"percent\":{},\"series\":[{}]}}</script></div></figure>",
      x_high, axis == Axis::Percent, data);
  return html;
}

}  // namespace tessera::train
