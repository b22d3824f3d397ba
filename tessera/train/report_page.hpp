// The page of a report as HTML. In: what a run's files hold. Out: one text without a link to anywhere.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tessera/train/config.hpp"
#include "tessera/train/metrics.hpp"
#include "tessera/train/report.hpp"

namespace tessera::train {

struct ReportPage {
  Config config;
  std::vector<Setting> facts;  ///< of the run: version, device, ...
  std::vector<Metric> metrics;
  std::optional<Summary> summary;  ///< of a run that ended well
  std::optional<ReportData> data;
};

std::string format_page(const ReportPage& page);

/// One line of a chart.
struct Series {
  std::string name;
  std::string color;  ///< a CSS class
  std::vector<double> x, y;
  bool dots = false;
};
enum class Axis : std::uint8_t { Linear, Percent, Logarithmic };
/// A chart as HTML: lines in SVG that stretch, labels beside them that do not, so that it is legible at any width.
std::string format_chart(const std::string& title, Axis axis, const std::vector<Series>& series);

}  // namespace tessera::train
