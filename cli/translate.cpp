// `tessera translate`: sentences on standard input to sentences on standard output.
#include "tessera/train/translate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/command.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/files.hpp"
#include "tessera/data/lines.hpp"
#include "tessera/train/html.hpp"
#include "tessera/version.hpp"

namespace tessera::cli {
namespace {

constexpr std::size_t kMostLines = 2048;       ///< translated together
constexpr std::size_t kMostLineBytes = 65536;  ///< a longer line is no sentence
constexpr std::size_t kMostPictures = 50;
constexpr int kPause = 20;  ///< milliseconds without a new line, after which work begins

Json json_of(const std::vector<train::Hypothesis>& best) {
  Json list = Json::array();
  for (const train::Hypothesis& h : best) list.push_back({{"text", h.text}, {"score", h.score}});
  return list;
}

void write_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error("standard output cannot be written to");
}

/// What is asked for beside the translations.
struct Wanted {
  std::int64_t beam = train::kBeam;
  std::int64_t best = 0;  ///< of each line; 0: the one, without number and score
  std::string attention;  ///< a file for pictures
};

/// The first lines and their translations, for pictures of their attention.
struct Pictured {
  std::vector<std::string> lines, translations;
};

void write_attention(train::TextTranslator& translator, const train::TrainedTranslator& trained, const Pictured& shown,
                     const std::string& file) {
  const std::string title = trained.config.data.source + " - " + trained.config.data.target;
  const std::vector<train::Alignment> alignments = translator.align(trained.model, shown.lines, shown.translations);
  data::write_file(
      file, train::format_document(title, fmt::format("{} translations by {}", alignments.size(), trained.config.name),
                                   train::format_alignments(alignments), "Written by Tessera " TESSERA_VERSION "."));
}

int translate(const std::string& run, const Wanted& wanted, const Global& global) {
  use_device(global);
  const train::TrainedTranslator trained = train::load_translator(run);
  train::TextTranslator translator(trained.vocabulary, trained.config.data.max_tokens, Precision::Float32);
  const bool person = ::isatty(STDIN_FILENO) != 0 && !global.quiet && !global.json;
  data::LineReader input(STDIN_FILENO, "standard input", kMostLineBytes);
  Json all = Json::array();
  Pictured shown;
  std::int64_t too_long = 0, first_too_long = 0, number = 0;
  for (bool more = true; more;) {
    if (person) fmt::print(stderr, "{} > ", trained.config.data.source);
    // Everything that is there already: many lines together are faster, but nobody is kept waiting for more.
    std::vector<std::string> lines;
    data::Line line;
    do {
      more = input.next(line);
      if (!more) break;
      if (line.cut) {
        line.text.clear();
        if (too_long++ == 0) first_too_long = input.count();
      }
      lines.push_back(std::move(line.text));
    } while (lines.size() < kMostLines && input.ready(kPause));
    const auto said = translator.best(trained.model, lines, wanted.beam, std::max<std::int64_t>(1, wanted.best));
    std::vector<std::string> out;
    for (std::size_t i = 0; i < lines.size(); ++i, ++number) {
      if (!wanted.attention.empty() && shown.lines.size() < kMostPictures && !said[i][0].text.empty()) {
        shown.lines.push_back(lines[i]);
        shown.translations.push_back(said[i][0].text);
      }
      if (global.json) {
        all.push_back(wanted.best == 0 ? Json(said[i][0].text) : json_of(said[i]));
      } else if (wanted.best == 0) {
        out.push_back(said[i][0].text);
      } else {
        for (const train::Hypothesis& h : said[i])
          out.push_back(fmt::format("{} ||| {} ||| {:.4f}", number, h.text, h.score));
      }
    }
    write_lines(out);
  }
  if (person) fmt::print(stderr, "\n");
  if (!wanted.attention.empty()) write_attention(translator, trained, shown, wanted.attention);
  if (global.json) print_json({{"translations", all}, {"lines_too_long", too_long}});
  if (too_long > 0 && !global.quiet)
    fmt::print(stderr,
               "{} lines of more than {} bytes were not translated: their translations are empty (first: line {})\n",
               too_long, kMostLineBytes, first_too_long);
  return 0;
}

}  // namespace

Action add_translate(CLI::App& app) {
  struct Options {
    std::string run;
    Wanted wanted;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RUN", o->run, "the folder of a trained translator")->required();
  app.add_option("--beam", o->wanted.beam, "hypotheses that are followed; 1 is the fastest")
      ->check(CLI::Range(std::int64_t{1}, train::kMaxBeam))
      ->capture_default_str();
  app.add_option("--nbest", o->wanted.best, "so many translations of each line, as NUMBER ||| TEXT ||| SCORE")
      ->check(CLI::Range(std::int64_t{1}, train::kMaxBeam))
      ->type_name("N");
  app.add_option("--attention", o->wanted.attention,
                 fmt::format("pictures of the attention, of the first {} lines", kMostPictures))
      ->type_name("FILE.html");
  return [o](const Global& global) {
    o->wanted.beam = std::max(o->wanted.beam, o->wanted.best);
    return translate(o->run, o->wanted, global);
  };
}

}  // namespace tessera::cli
