// `tessera translate`: sentences on standard input to sentences on standard output.
#include "tessera/train/translate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/command.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/lines.hpp"

namespace tessera::cli {
namespace {

constexpr std::size_t kMostLines = 2048;       ///< translated together
constexpr std::size_t kMostLineBytes = 65536;  ///< a longer line is no sentence
constexpr int kPause = 20;                     ///< milliseconds without a new line, after which work begins

void write_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error("standard output cannot be written to");
}

int translate(const std::string& run, std::int64_t beam, const Global& global) {
  use_device(global);
  const train::TrainedTranslator trained = train::load_translator(run);
  train::TextTranslator translator(trained.vocabulary, trained.config.data.max_tokens, Precision::Float32);
  const bool person = ::isatty(STDIN_FILENO) != 0 && !global.quiet && !global.json;
  data::LineReader input(STDIN_FILENO, "standard input", kMostLineBytes);
  Json all = Json::array();
  std::int64_t too_long = 0, first_too_long = 0;
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
    const std::vector<std::string> said = translator(trained.model, lines, beam);
    if (global.json)
      for (const std::string& text : said) all.push_back(text);
    else
      write_lines(said);
  }
  if (person) fmt::print(stderr, "\n");
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
    std::int64_t beam = train::kBeam;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RUN", o->run, "the folder of a trained translator")->required();
  app.add_option("--beam", o->beam, "hypotheses that are followed; 1 is the fastest")
      ->check(CLI::Range(std::int64_t{1}, train::kMaxBeam))
      ->capture_default_str();
  return [o](const Global& global) { return translate(o->run, o->beam, global); };
}

}  // namespace tessera::cli
