// The parts of the page, from top to bottom.
#include "tessera/train/report_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tessera/train/html.hpp"
#include "tessera/train/progress.hpp"

namespace tessera::train {
namespace {

/// 421642 -> "421,642".
std::string grouped(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3 && digits[at - 4] != '-';) digits.insert(at -= 3, ",");
  return digits;
}

std::string tile(const std::string& value, const std::string& unit, const std::string& name, bool first = false) {
  return fmt::format("<div class=\"tile{}\"><b>{}{}</b><span>{}</span></div>", first ? " first" : "",
                     escape_html(value), unit.empty() ? "" : " <small>" + escape_html(unit) + "</small>",
                     escape_html(name));
}

std::string bar(double part, bool limit = false) {
  return fmt::format("<div class=\"bar{}\"><div style=\"width:{:.1f}%\"></div></div>", limit ? " limit" : "",
                     100 * std::clamp(part, 0.0, 1.0));
}

std::string fact(const ReportPage& page, std::string_view key) {
  for (const auto& [name, value] : page.facts) {
    if (name == key) return value;
  }
  return "";
}

/// What the run counts as its examples.
std::string unit(const ReportPage& page) { return page.config.task == "translate" ? "tokens" : "examples"; }

std::string head(const ReportPage& page) {
  std::string machine = escape_html(page.data ? page.data->processor : fact(page, "processor"));
  std::string html;
  if (!page.summary) {
    const bool diverged = !page.metrics.empty() && !std::isfinite(page.metrics.back().loss);
    html += fmt::format(
        "<p class=\"note\">{}</p>\n",
        diverged
            ? "This run diverged: its loss stopped being finite. Metrics and the last good checkpoint are kept."
            : "This run has not finished. What it measured so far is below; it goes on with <code>--resume</code>.");
  }
  std::string tiles;
  if (page.summary) {
    const Summary& s = *page.summary;
    if (s.test_bleu) {
      tiles += tile(fmt::format("{:.2f}", *s.test_bleu), "", "test BLEU", true);
      tiles += tile(fmt::format("{:.2f}", s.test_chrf.value_or(0)), "", "test chrF");
      tiles += tile(fmt::format("{:.2f}", std::exp(s.test_loss)), "", "test perplexity");
    } else {
      tiles += tile(fmt::format("{:.2f}", 100 * s.test_accuracy), "%", "test accuracy", true);
    }
    const auto seconds = static_cast<std::int64_t>(std::llround(s.train_seconds));
    tiles += seconds < 60 ? tile(fmt::format("{:.1f}", s.train_seconds), "s", "of training")
                          : tile(fmt::format("{}:{:02}", seconds / 60, seconds % 60), "min", "of training");
    tiles += tile(s.examples_per_second >= 1000 ? fmt::format("{:.1f}k", s.examples_per_second / 1000)
                                                : fmt::format("{:.0f}", s.examples_per_second),
                  "", unit(page) + " per second");
    tiles += tile(fmt::format("{:.0f}", 100 * s.gemm_fraction), "%", "of the matrix-product limit");
    tiles += tile(grouped(s.parameters), "", "parameters");
    const auto megabytes = [](std::uint64_t bytes) { return fmt::format("{:.0f}", static_cast<double>(bytes) * 1e-6); };
    tiles += tile(megabytes(s.peak_memory_bytes), "MB", "peak memory");
    if (s.peak_device_memory_bytes > 0)
      tiles += tile(megabytes(s.peak_device_memory_bytes), "MB", "peak memory of the GPU");
  } else {
    const auto last =
        std::find_if(page.metrics.rbegin(), page.metrics.rend(), [](const Metric& m) { return m.split != "train"; });
    if (last != page.metrics.rend())
      tiles += tile(fmt::format("{:.2f}", 100 * last->accuracy), "%", last->split + " accuracy so far", true);
    if (!page.metrics.empty()) {
      tiles += tile(grouped(page.metrics.back().step), "", "steps");
      tiles += tile(fmt::format("{:.1f}", page.metrics.back().epoch),
                    "of " + fmt::format("{:g}", page.config.train.epochs), "epochs");
      tiles += tile(format_duration(page.metrics.back().elapsed_seconds), "", "so far");
    }
  }
  if (!tiles.empty()) html += "<div class=\"tiles\">" + tiles + "</div>\n";
  if (!machine.empty()) {
    html += fmt::format(
        "<p style=\"color:var(--soft);font-size:14px;margin:14px 0 0\">{}, {} threads, device {}, precision {}</p>\n",
        machine, escape_html(fact(page, "threads")), escape_html(fact(page, "device")),
        escape_html(page.config.train.precision));
  }
  return html;
}

std::string curves(const ReportPage& page) {
  if (page.metrics.empty()) return "";
  Series loss_train{"train", "train", {}, {}}, accuracy_train = loss_train, rate{"learning rate", "rate", {}, {}},
                                               speed{unit(page) + " per second", "train", {}, {}};
  std::string split = "test";
  for (const Metric& m : page.metrics) split = m.split == "valid" ? "valid" : split;
  Series loss_test{split, "test", {}, {}, true}, accuracy_test = loss_test;
  const auto add = [](Series& s, double x, double y) {
    s.x.push_back(x);
    s.y.push_back(y);
  };
  for (const Metric& m : page.metrics) {
    if (m.split == "train") {
      add(loss_train, m.epoch, m.loss);
      add(accuracy_train, m.epoch, m.accuracy);
      add(rate, m.epoch, m.learning_rate);
      add(speed, m.epoch, m.examples_per_second);
    } else if (m.split == split) {
      add(loss_test, m.epoch, m.loss);
      add(accuracy_test, m.epoch, m.accuracy);
    }
  }
  return "<h2>Learning</h2><p>Over the epochs; training values are means over the steps since the one "
         "before.</p>\n<div class=\"charts\">" +
         format_chart("Loss", Axis::Logarithmic, {loss_train, loss_test}) +
         format_chart("Accuracy", Axis::Percent, {accuracy_train, accuracy_test}) +
         format_chart("Learning rate", Axis::Linear, {rate}) + format_chart("Speed", Axis::Linear, {speed}) +
         "</div>\n";
}

/// Classes beyond which a matrix is no longer legible.
constexpr std::size_t kMatrixClasses = 24;

std::string confusion(const ReportData& data) {
  const std::size_t n = data.classes.size();
  struct Pair {
    std::size_t truth, said;
    std::int64_t count;
  };
  std::vector<Pair> pairs;
  for (std::size_t t = 0; t < n; ++t) {
    for (std::size_t p = 0; p < n; ++p) {
      if (t != p && data.confusion[t][p] > 0) pairs.push_back({t, p, data.confusion[t][p]});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.count > b.count; });
  std::string list =
      "<div class=\"panel\"><table><thead><tr><th>Most often</th><th class=\"num\">times</th></tr></thead>";
  for (std::size_t i = 0; i < pairs.size() && i < 9; ++i)
    list += fmt::format(
        "<tr><td>{} <span style=\"color:var(--soft)\">taken for</span> {}</td><td class=\"num\">{}</td></tr>",
        escape_html(data.classes[pairs[i].truth]), escape_html(data.classes[pairs[i].said]), grouped(pairs[i].count));
  if (pairs.empty()) list += "<tr><td>no mistake at all</td><td></td></tr>";
  list += "</table></div>";
  std::string html = "<h2>Confusion</h2><p>Rows are what a picture shows, columns what the model said.</p>\n";
  if (n > kMatrixClasses) return html + list;
  html += "<div class=\"split\"><div class=\"panel\"><table class=\"matrix\"><thead><tr><th></th>";
  for (const std::string& name : data.classes) html += fmt::format("<th><span>{}</span></th>", escape_html(name));
  html += "</tr></thead><tbody>";
  for (std::size_t t = 0; t < n; ++t) {
    const double total = static_cast<double>(std::max<std::int64_t>(
        1, std::accumulate(data.confusion[t].begin(), data.confusion[t].end(), std::int64_t{0})));
    html += fmt::format("<tr><th>{}</th>", escape_html(data.classes[t]));
    for (std::size_t p = 0; p < n; ++p) {
      const double part = static_cast<double>(data.confusion[t][p]) / total;
      // Mistakes are rare: the root of their share keeps them visible.
      const double strength = t == p ? 0.1 + 0.5 * part : part > 0 ? 0.06 + 0.9 * std::sqrt(part) : 0;
      html += fmt::format("<td style=\"background:rgba(var(--{}),{:.2f})\" title=\"{} as {}: {}\">{}</td>",
                          t == p ? "good" : "bad", strength, escape_html(data.classes[t]), escape_html(data.classes[p]),
                          data.confusion[t][p], data.confusion[t][p] > 0 ? std::to_string(data.confusion[t][p]) : "");
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div>" + list + "</div>\n";
}

std::string mistakes(const ReportData& data) {
  if (data.mistakes.empty()) return "";
  std::string html =
      "<h2>Worst mistakes</h2><p>The test pictures whose true label the model found least likely: what it said, and "
      "what is true.</p>\n<div class=\"mistakes\">";
  for (const Mistake& m : data.mistakes) {
    const std::string said = escape_html(data.classes[static_cast<std::size_t>(m.predicted)]),
                      truth = escape_html(data.classes[static_cast<std::size_t>(m.label)]);
    html += fmt::format(
        "<figure><img src=\"data:image/png;base64,{}\" alt=\"test picture {}\"><b>{}</b> <small>{:.0f} "
        "%</small><span>is {} <small>{:.0f} %</small></span></figure>",
        m.png, m.index, said, 100 * m.probability, truth, 100 * m.label_probability);
  }
  return html + "</div>\n";
}

std::string translations(const ReportData& data) {
  std::string html =
      "<h2>Translations</h2><p>Sentences of the test split, from the worst to the best translated.</p>\n";
  for (const std::string& score : data.scores) html += fmt::format("<p><code>{}</code></p>\n", escape_html(score));
  html +=
      "<div class=\"panel\"><table><thead><tr><th>Words of the source</th><th class=\"wide\"></th><th "
      "class=\"num\">BLEU</th><th class=\"num\">sentences</th></tr></thead>";
  for (const LengthScore& l : data.lengths)
    html += fmt::format(
        "<tr><td>{} to {}</td><td class=\"wide\">{}</td><td class=\"num\">{:.1f}</td><td class=\"num\">{}</td></tr>",
        l.least, l.most, bar(l.bleu / 100), l.bleu, l.sentences);
  html += "</table></div><p></p>\n<div class=\"panel\"><table>";
  for (const TranslationSample& t : data.samples)
    html += fmt::format(
        "<tr><td><span style=\"color:var(--soft)\">{}</span><br>{}<br><span style=\"color:var(--soft)\">{}</span></td>"
        "<td class=\"num\">{:.0f}</td></tr>",
        escape_html(t.source), escape_html(t.translation), escape_html(t.reference), t.bleu);
  return html +
         "</table></div><p>Of each: what was to be translated, the translation, the translation of the test split; at "
         "the right BLEU of the sentence.</p>\n" +
         format_alignments(data.alignments);
}

std::string speed(const ReportPage& page) {
  const Summary& s = *page.summary;
  std::string html =
      "<h2>Speed</h2><p>Against what this machine can do at most, measured after the training.</p>\n<div "
      "class=\"split\"><div class=\"panel\"><table>";
  if (page.data) {
    const MachineLimits& limits = page.data->limits;
    const double reached = s.examples_per_second * s.flops_per_example * 1e-9,
                 most = std::max({limits.fma_gflops, limits.gemm_gflops, reached, 1e-9});
    const auto row = [&](const char* name, double value, bool limit) {
      html += fmt::format("<tr><td>{}</td><td class=\"wide\">{}</td><td class=\"num\">{:.1f} GFLOP/s</td></tr>", name,
                          bar(value / most, limit), value);
    };
    row("this training", reached, false);
    if (s.processor_examples_per_second > 0)
      row(fmt::format("the same on the processor, {:.1f} times slower",
                      s.examples_per_second / s.processor_examples_per_second)
              .c_str(),
          s.processor_examples_per_second * s.flops_per_example * 1e-9, false);
    row("matrix product", limits.gemm_gflops, true);
    if (limits.fma_gflops > 0) row("multiply-adds in registers", limits.fma_gflops, true);
    html += fmt::format("<tr><td>copy in memory</td><td class=\"wide\"></td><td class=\"num\">{:.1f} GB/s</td></tr>",
                        limits.copy_gbs);
  }
  html += fmt::format("<tr><td>work for one {}</td><td class=\"wide\"></td><td class=\"num\">{:.2f} MFLOP</td></tr>",
                      page.config.task == "translate" ? "token" : "example", s.flops_per_example * 1e-6);
  if (page.data && page.data->step_seconds > 0)
    html += fmt::format("<tr><td>one step of {} {}</td><td class=\"wide\"></td><td class=\"num\">{:.2f} ms</td></tr>",
                        page.data->batch, unit(page), 1e3 * page.data->step_seconds);
  html += fmt::format(
      "<tr><td>compiling</td><td class=\"wide\"></td><td class=\"num\">{}</td></tr><tr><td>everything, evaluation "
      "included</td><td class=\"wide\"></td><td class=\"num\">{}</td></tr>",
      format_duration(s.compile_seconds), format_duration(s.wall_seconds));
  html +=
      "</table></div><div class=\"panel\"><table><thead><tr><th>Accuracy of</th><th class=\"num\">reached "
      "after</th>";
  // The same steps at the processor's speed.
  const double slower =
      s.processor_examples_per_second > 0 ? s.examples_per_second / s.processor_examples_per_second : 0;
  html += slower > 0 ? "<th class=\"num\">on the processor</th></tr></thead>" : "</tr></thead>";
  for (std::size_t i = 0; i < s.time_to.size(); ++i) {
    // Of milestones that one evaluation passed together, the last.
    const auto& [accuracy, seconds] = s.time_to[i];
    if (i + 1 < s.time_to.size() && s.time_to[i + 1].second == seconds) continue;
    html += fmt::format("<tr><td>{:g} %</td><td class=\"num\">{}</td>{}</tr>", 100 * accuracy, format_duration(seconds),
                        slower > 0 ? "<td class=\"num\">" + format_duration(slower * seconds) + "</td>" : "");
  }
  if (s.time_to.empty()) html += "<tr><td>none of the milestones</td><td></td></tr>";
  return html + "</table></div></div>\n";
}

std::string kernels(const ReportData& data) {
  std::vector<StepProfile> list = data.profile;
  const double total =
      std::accumulate(list.begin(), list.end(), 0.0, [](double sum, const StepProfile& p) { return sum + p.seconds; });
  if (list.empty() || !(total > 0)) return "";
  std::stable_sort(list.begin(), list.end(),
                   [](const StepProfile& a, const StepProfile& b) { return a.seconds > b.seconds; });
  constexpr std::size_t kMost = 20;
  std::string html = fmt::format(
      "<h2>Where a step goes</h2><p>{} kernels, {:.2f} ms together, each timed alone; the slowest first.</p>\n<div "
      "class=\"panel\"><table><thead><tr><th>Kernel</th>"
      "<th class=\"wide\"></th><th class=\"num\">ms</th><th class=\"num\">share</th><th class=\"num "
      "hide\">GB/s</th><th class=\"num hide\">GFLOP/s</th></tr></thead>",
      list.size(), 1e3 * total);
  const auto row = [&](const std::string& name, double seconds, double bytes, double operations) {
    html += fmt::format(
        "<tr><td><code>{}</code></td><td class=\"wide\">{}</td><td class=\"num\">{:.3f}</td><td class=\"num\">{:.1f} "
        "%</td><td class=\"num hide\">{}</td><td class=\"num hide\">{}</td></tr>",
        escape_html(name), bar(seconds / list[0].seconds), 1e3 * seconds, 100 * seconds / total,
        bytes > 0 ? fmt::format("{:.1f}", bytes / seconds * 1e-9) : "",
        operations > 0 ? fmt::format("{:.1f}", operations / seconds * 1e-9) : "");
  };
  double rest = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i < kMost && list[i].seconds > 0)
      row(list[i].name, list[i].seconds, list[i].bytes, list[i].operations);
    else
      rest += list[i].seconds;
  }
  if (rest > 0) row(fmt::format("{} more", list.size() - std::min(kMost, list.size())), rest, 0, 0);
  return html + "</table></div>\n";
}

std::string configuration(const ReportPage& page) {
  std::string html =
      "<h2>Configuration</h2><p>As in config.toml, which trains this run again.</p>\n<div class=\"charts\"><div "
      "class=\"panel\"><table>";
  const std::vector<Setting> keys = entries(page.config);
  const auto row = [&](const std::string& key, const std::string& value) {
    html += fmt::format("<tr><td>{}</td><td class=\"num\" style=\"white-space:normal\"><code>{}</code></td></tr>",
                        escape_html(key), escape_html(value));
  };
  const std::size_t half = (keys.size() + page.facts.size() + 1) / 2;
  std::size_t n = 0;
  const auto next = [&](const std::string& key, const std::string& value) {
    if (n++ == half) html += "</table></div><div class=\"panel\"><table>";
    row(key, value);
  };
  for (const auto& [key, value] : keys) next(key, value);
  for (const auto& [key, value] : page.facts) next("run." + key, value);
  return html + "</table></div></div>\n";
}

}  // namespace

std::string format_page(const ReportPage& page) {
  std::string html = head(page) + curves(page);
  if (page.data) {
    const bool translates = page.config.task == "translate";
    html += translates ? translations(*page.data) : confusion(*page.data) + mistakes(*page.data);
  }
  if (page.summary) html += speed(page);
  if (page.data) html += kernels(*page.data);
  html += configuration(page);
  return format_document(page.config.name.empty() ? "run" : page.config.name, page.config.description, html,
                         fmt::format("Written by Tessera {} from the files of the run.", fact(page, "version")));
}

}  // namespace tessera::train
