// `tessera corpus`: aligned text from Debian's packages.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "tessera/data/corpora.hpp"

namespace tessera::cli {
namespace {

int write(const data::CorpusRequest& request, const Global& global) {
  const data::CorpusResult result = data::write_corpus(request);
  if (global.json) {
    Json splits = Json::array();
    for (const data::CorpusSplit& split : result.splits)
      splits.push_back({{"name", split.name}, {"pairs", split.pairs}, {"documents", split.documents}});
    print_json({{"corpus", request.name},
                {"source", request.source},
                {"target", request.target},
                {"out", request.out.string()},
                {"splits", splits},
                {"pairs_read", result.report.read},
                {"pairs_left_out", result.report.read - result.report.kept()},
                {"pairs_repeated", result.repeated},
                {"cleaning", result.report.text()},
                {"note", result.note}});
  } else if (!global.quiet) {
    for (const data::CorpusSplit& split : result.splits)
      fmt::print(stderr, "{:<6}{:>8} pairs of {} documents\n", split.name, split.pairs, split.documents);
    fmt::print(stderr, "{}; {} were there already\n", result.report.text(), result.repeated);
    if (!result.note.empty()) fmt::print(stderr, "{}\n", result.note);
    fmt::print(stderr, "wrote {}\n", request.out.string());
  }
  return 0;
}

}  // namespace

Action add_corpus(CLI::App& app) {
  auto request = std::make_shared<data::CorpusRequest>();
  app.add_option("NAME", request->name, "libreoffice-help, wesnoth or sword")->required();
  app.add_option("--source", request->source, "the language of the sources: en, de, ...")->required()->type_name("LL");
  app.add_option("--target", request->target, "the language of the translations")->required()->type_name("LL");
  app.add_option("--out", request->out, "the folder to make")->required()->type_name("DIR");
  app.add_option("--root", request->root, "where packages were unpacked; / by default")->type_name("DIR");
  return [request](const Global& global) { return write(*request, global); };
}

}  // namespace tessera::cli
