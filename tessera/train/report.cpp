// What the report is made of: confusion matrix and mistakes from an evaluation, sample translations, report.json, the
// files of a run.
// Read next: report_page.cpp, which writes the page.
#include "tessera/train/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tessera/core/error.hpp"
#include "tessera/data/image.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/metrics.hpp"
#include "tessera/train/report_page.hpp"

namespace tessera::train {
namespace {

using Json = nlohmann::ordered_json;

std::string base64(const data::Bytes& bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) word = word << 8 | (k < n ? static_cast<std::uint32_t>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? kDigits[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

bool is_base64(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '='; });
}

}  // namespace

void add_predictions(ReportData& report, const data::LabelledImages& images, const Evaluation& evaluation,
                     std::size_t most) {
  const std::size_t classes = report.classes.size();
  report.confusion.assign(classes, std::vector<std::int64_t>(classes, 0));
  const auto labels = images.labels.as<std::int32_t>();
  const auto probability = [&](std::size_t i, std::int32_t label) {
    return static_cast<double>(evaluation.probabilities[i * classes + static_cast<std::size_t>(label)]);
  };
  std::vector<std::size_t> wrong;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ++report.confusion[static_cast<std::size_t>(labels[i])][static_cast<std::size_t>(evaluation.predicted[i])];
    if (labels[i] != evaluation.predicted[i]) wrong.push_back(i);
  }
  std::stable_sort(wrong.begin(), wrong.end(),
                   [&](std::size_t a, std::size_t b) { return probability(a, labels[a]) < probability(b, labels[b]); });
  if (wrong.size() > most) wrong.resize(most);
  Shape shape = images.images.shape();
  shape.erase(shape.begin());
  for (const std::size_t i : wrong) {
    Literal picture({DType::U8, shape});
    std::memcpy(picture.data(), images.images.data() + i * picture.bytes(), picture.bytes());
    report.mistakes.push_back({.index = static_cast<std::int64_t>(i),
                               .label = labels[i],
                               .predicted = evaluation.predicted[i],
                               .probability = probability(i, evaluation.predicted[i]),
                               .label_probability = probability(i, labels[i]),
                               .png = base64(data::encode_png(picture))});
  }
}

void add_translations(ReportData& report, const data::ParallelText& text, const TranslationScores& scores,
                      std::size_t most) {
  report.scores = {data::to_string(scores.bleu), data::to_string(scores.chrf)};
  constexpr std::int64_t kWords = 10, kGroups = 6;  // words in each group; the last one is open
  std::array<data::BleuCounts, kGroups> counts{};
  std::array<LengthScore, kGroups> groups{};
  std::vector<TranslationSample> all;
  for (std::size_t i = 0; i < scores.translations.size(); ++i) {
    const std::string &source = text.source[i], &target = text.target[i], &translation = scores.translations[i];
    all.push_back({source, target, translation, data::sentence_bleu(translation, target).score});
    const std::int64_t words = std::ssize(data::tokenize_13a(source));
    const auto group = static_cast<std::size_t>(std::clamp<std::int64_t>((words - 1) / kWords, 0, kGroups - 1));
    LengthScore& here = groups[group];
    here.least = here.sentences == 0 ? words : std::min(here.least, words);
    here.most = std::max(here.most, words);
    ++here.sentences;
    counts[group] += data::bleu_counts(translation, target);
  }
  for (std::size_t i = 0; i < kGroups; ++i) {
    groups[i].bleu = data::bleu(counts[i]).score;
    if (groups[i].sentences > 0) report.lengths.push_back(groups[i]);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.bleu < b.bleu; });
  const std::size_t count = std::min(most, all.size());
  for (std::size_t i = 0; i < count; ++i)
    report.samples.push_back(all[count == 1 ? 0 : i * (all.size() - 1) / (count - 1)]);
}

std::vector<TranslationSample> samples_to_align(const ReportData& report, std::size_t most) {
  constexpr std::int64_t kWords = 20;
  std::vector<TranslationSample> fitting;
  for (const TranslationSample& sample : report.samples)
    if (!sample.translation.empty() && std::ssize(data::tokenize_13a(sample.source)) <= kWords)
      fitting.push_back(sample);
  std::vector<TranslationSample> chosen;
  for (std::size_t i = 0; i < std::min(most, fitting.size()); ++i)
    chosen.push_back(fitting[(2 * i + 1) * fitting.size() / (2 * std::min(most, fitting.size()))]);
  return chosen;
}

std::string format_report_data(const ReportData& data) {
  Json mistakes = Json::array(), profile = Json::array(), samples = Json::array(), lengths = Json::array(),
       alignments = Json::array();
  for (const Alignment& a : data.alignments)
    alignments.push_back({{"source", a.source}, {"target", a.target}, {"weights", a.weights}});
  for (const LengthScore& l : data.lengths)
    lengths.push_back({{"least", l.least}, {"most", l.most}, {"sentences", l.sentences}, {"bleu", l.bleu}});
  for (const TranslationSample& t : data.samples)
    samples.push_back(
        {{"source", t.source}, {"reference", t.reference}, {"translation", t.translation}, {"bleu", t.bleu}});
  for (const Mistake& m : data.mistakes)
    mistakes.push_back({{"index", m.index},
                        {"label", m.label},
                        {"predicted", m.predicted},
                        {"probability", m.probability},
                        {"label_probability", m.label_probability},
                        {"png", m.png}});
  for (const StepProfile& p : data.profile)
    profile.push_back({{"name", p.name}, {"seconds", p.seconds}, {"bytes", p.bytes}, {"operations", p.operations}});
  return Json{{"classes", data.classes},
              {"confusion", data.confusion},
              {"mistakes", mistakes},
              {"scores", data.scores},
              {"lengths", lengths},
              {"samples", samples},
              {"alignments", alignments},
              {"processor", data.processor},
              {"limits",
               {{"gemm_gflops", data.limits.gemm_gflops},
                {"fma_gflops", data.limits.fma_gflops},
                {"copy_gbs", data.limits.copy_gbs}}},
              {"batch", data.batch},
              {"step_seconds", data.step_seconds},
              {"profile", profile}}
             .dump(1, ' ', false, Json::error_handler_t::replace) +
         '\n';
}

std::optional<ReportData> read_report_data(const Path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const Json j = Json::parse(data::read_text(path, std::uint64_t{1} << 28));
    ReportData data;
    data.classes = j.at("classes").get<std::vector<std::string>>();
    data.confusion = j.at("confusion").get<std::vector<std::vector<std::int64_t>>>();
    const auto classes = static_cast<std::int64_t>(data.classes.size());
    const auto known = [&](std::int64_t label) { return label >= 0 && label < classes; };
    bool sane = data.confusion.size() == data.classes.size();
    for (const auto& row : data.confusion) sane = sane && row.size() == data.classes.size();
    for (const Json& m : j.at("mistakes")) {
      data.mistakes.push_back({m.at("index").get<std::int64_t>(), m.at("label").get<std::int64_t>(),
                               m.at("predicted").get<std::int64_t>(), m.at("probability").get<double>(),
                               m.at("label_probability").get<double>(), m.at("png").get<std::string>()});
      const Mistake& last = data.mistakes.back();
      sane = sane && known(last.label) && known(last.predicted) && is_base64(last.png);
    }
    data.scores = j.value("scores", std::vector<std::string>());
    for (const Json& l : j.value("lengths", Json::array()))
      data.lengths.push_back({l.at("least").get<std::int64_t>(), l.at("most").get<std::int64_t>(),
                              l.at("sentences").get<std::int64_t>(), l.at("bleu").get<double>()});
    for (const Json& t : j.value("samples", Json::array()))
      data.samples.push_back({t.at("source").get<std::string>(), t.at("reference").get<std::string>(),
                              t.at("translation").get<std::string>(), t.at("bleu").get<double>()});
    for (const Json& a : j.value("alignments", Json::array())) {
      data.alignments.push_back({a.at("source").get<std::vector<std::string>>(),
                                 a.at("target").get<std::vector<std::string>>(),
                                 a.at("weights").get<std::vector<float>>()});
      const Alignment& last = data.alignments.back();
      sane = sane && last.weights.size() == last.source.size() * last.target.size();
    }
    if (!sane) data::bad_file(path, "does not fit together; train again, or remove it for a report without its parts");
    data.processor = j.at("processor").get<std::string>();
    const Json& limits = j.at("limits");
    data.limits = {limits.at("gemm_gflops").get<double>(), limits.at("fma_gflops").get<double>(),
                   limits.at("copy_gbs").get<double>()};
    data.batch = j.at("batch").get<std::int64_t>();
    data.step_seconds = j.at("step_seconds").get<double>();
    for (const Json& p : j.at("profile"))
      data.profile.push_back({p.at("name").get<std::string>(), p.at("seconds").get<double>(),
                              p.at("bytes").get<double>(), p.at("operations").get<double>()});
    return data;
  } catch (const Json::exception& e) {
    data::bad_file(path, fmt::format("is no data of a report ({})", e.what()));
  }
}

void write_report(const Path& run) {
  const Path config_file = run / "config.toml";
  if (!std::filesystem::exists(config_file))
    data::bad_file(run, "holds no run: config.toml is missing; name the folder that training wrote");
  const std::string config_text = data::read_text(config_file, std::uint64_t{1} << 20);
  ReportPage page;
  page.config = parse_config(config_text, config_file);
  page.facts = parse_facts(config_text, config_file);
  if (std::filesystem::exists(run / "metrics.jsonl")) page.metrics = read_metrics(run / "metrics.jsonl");
  page.summary = read_summary(run / "summary.json");
  if (page.summary) page.data = read_report_data(run / "report.json");
  data::write_file(run / "report.html", format_page(page));
}

}  // namespace tessera::train
