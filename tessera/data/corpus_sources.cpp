// Readers of what Debian's packages install: LibreOffice's help, Wesnoth's catalogues, SWORD's modules.
#include "tessera/data/corpus_sources.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <set>
#include <system_error>
#include <unordered_map>

#include "tessera/core/error.hpp"
#include "tessera/data/gettext.hpp"
#include "tessera/data/lines.hpp"
#include "tessera/data/markup.hpp"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxDocumentBytes = std::uint64_t{64} << 20;

/// Files below `folder` with that ending, as paths relative to it, in order.
std::vector<Path> files_below(const Path& folder, const std::string& ending) {
  std::vector<Path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    if (i->is_regular_file(error) && i->path().extension() == ending)
      files.push_back(i->path().lexically_relative(folder));
  }
  std::sort(files.begin(), files.end());
  return files;
}

// --- LibreOffice's help ---

/// Alternatives for another system.
bool is_for_mac(const Tag& tag) { return tag.attribute("class") == "MAC"; }

/// The paragraphs of a page by their id, in the page's order.
std::vector<std::pair<std::string, std::string>> paragraphs(std::string_view page) {
  std::vector<std::pair<std::string, std::string>> found;
  for (std::size_t at = 0; (at = page.find('<', at)) != std::string_view::npos;) {
    const std::size_t close = page.find('>', at);
    if (close == std::string_view::npos) break;
    const std::string_view inside = page.substr(at + 1, close - at - 1);
    const std::size_t space = inside.find(' ');
    at = close + 1;
    const std::string_view name = inside.substr(0, space);
    const bool block = name == "p" || (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6');
    if (!block || space == std::string_view::npos) continue;
    const std::string_view id = Tag{name, inside.substr(space)}.attribute("id");
    if (!id.starts_with("par_") && !id.starts_with("hd_")) continue;
    const std::size_t end = page.find("</" + std::string(name) + ">", at);
    if (end == std::string_view::npos) break;
    found.emplace_back(id, strip_markup(page.substr(at, end - at), is_for_mac));
    at = end;
  }
  return found;
}

/// The folder of a language among the help's: en is en-US, pt_BR pt-BR.
std::string help_language(std::string language) {
  if (language == "en") return "en-US";
  std::replace(language.begin(), language.end(), '_', '-');
  return language;
}

// --- Wesnoth ---

constexpr const char* kWesnothVersion = "1.16";
/// The campaigns that have a package and a catalogue of their own: of the same name, but that of ttb is tb.
constexpr std::array kCampaigns{"did", "dm",   "dw",    "ei",   "httt", "l",   "low", "nr",
                                "sof", "sota", "sotbe", "thot", "trow", "tsg", "ttb", "utbs"};

/// Catalogues of buttons and menus.
constexpr std::array kInterface{"wesnoth.mo", "wesnoth-lib.mo", "wesnoth-editor.mo", "wesnoth-multiplayer.mo"};

/// Message to text in the language; for English, the message itself.
std::unordered_map<std::string, std::string> read_catalogue(const Path& path, bool english) {
  std::unordered_map<std::string, std::string> texts;
  const Bytes bytes = read_file(path, kMaxDocumentBytes);
  for (const auto& [message, translation] : parse_catalogue(bytes, path)) {
    // What stands before ^ tells translators where the text is used.
    const std::string_view original =
        message.substr(message.find('^') == std::string_view::npos ? 0 : message.find('^') + 1);
    texts.emplace(message, english ? original : translation);
  }
  return texts;
}

/// Pieces of the text, line by line; both sides must have as many.
void add_lines(std::string_view source, std::string_view target, CorpusDocument& document) {
  const auto lines_of = [](std::string_view text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      std::string line = strip_markup(text.substr(at, end - at));
      if (!line.empty()) lines.push_back(std::move(line));
      at = end + 1;
    }
    return lines;
  };
  const auto a = lines_of(source), b = lines_of(target);
  if (a.size() == b.size()) {
    for (std::size_t i = 0; i < a.size(); ++i) document.pairs.emplace_back(a[i], b[i]);
  } else {
    document.pairs.emplace_back(fmt::format("{}", fmt::join(a, " ")), fmt::format("{}", fmt::join(b, " ")));
  }
}

// --- SWORD ---

/// Lines of what a command prints. Throws Error when it cannot be started or fails.
class Command {
 public:
  Command(const std::vector<std::string>& words, const std::vector<std::string>& environment) : name_(words[0]) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const auto pointers = [](const std::vector<std::string>& strings) {
      std::vector<char*> list;
      for (const std::string& s : strings) list.push_back(const_cast<char*>(s.c_str()));
      list.push_back(nullptr);
      return list;
    };
    const int error = ::posix_spawnp(&process_, words[0].c_str(), &actions, nullptr, pointers(words).data(),
                                     pointers(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
    if (error != 0) {
      ::close(output_);
      fail(error);
    }
  }
  ~Command() {
    if (output_ >= 0) (void)wait();
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  [[nodiscard]] int output() const { return output_; }
  void finish() {
    if (const int status = wait(); !WIFEXITED(status) || WEXITSTATUS(status) != 0)
      throw Error(name_ + " failed; run it by hand to see why");
  }

 private:
  int wait() {
    ::close(std::exchange(output_, -1));
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  [[noreturn]] void fail(int error) const {
    throw Error(ErrorKind::Unsupported, name_ + " cannot be started: " + std::generic_category().message(error));
  }

  std::string name_;
  pid_t process_ = 0;
  int output_ = -1;
};

/// Notes and headings are no part of the verse.
bool is_beside_the_verse(const Tag& tag) { return tag.name == "note" || tag.name == "title"; }

/// Verses by their place, "Genesis 1:3".
std::map<std::string, std::string> read_module(const std::string& module, const Path& folder) {
  std::vector<std::string> environment{"SWORD_PATH=" + folder.string()};
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("SWORD_PATH=")) environment.emplace_back(*variable);
  Command command({"mod2imp", module}, environment);
  LineReader lines(command.output(), "the output of mod2imp " + module);
  std::map<std::string, std::string> verses;
  std::string* verse = nullptr;
  for (Line line; lines.next(line);) {
    if (line.text.starts_with("$$$")) {
      const std::string place = line.text.substr(3);
      const bool is_verse = place.find(':') != std::string::npos && !place.ends_with(":0");
      verse = is_verse ? &verses[place] : nullptr;
    } else if (verse != nullptr && verse->size() < kMaxLineBytes) {
      *verse += line.text + " ";
    }
  }
  command.finish();
  for (auto& [place, text] : verses) text = strip_markup(text, is_beside_the_verse);
  return verses;
}

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (std::string_view rest = path == nullptr ? "" : path; !rest.empty();) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    if (::access((Path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace

void need_packages(const CorpusRequest& request, const std::vector<std::string>& packages, const std::string& why) {
  const std::string names = fmt::format("{}", fmt::join(packages, " "));
  throw Error(
      ErrorKind::Unsupported,
      fmt::format("the corpus {} needs packages of Debian that are not here: {}\n  {}\n  as root: apt-get install "
                  "--no-install-recommends {}\n  or without installing them: apt-get download {}; for f in *.deb; "
                  "do dpkg -x $f DIR; done; and --root DIR",
                  request.name, names, why, names, names));
}

CorpusText read_libreoffice_help(const CorpusRequest& request) {
  const Path help = request.root / "usr/share/libreoffice/help";
  std::array<Path, 2> folders;
  std::vector<std::string> missing;
  std::string why;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string language = help_language(i == 0 ? request.source : request.target);
    folders[i] = help / language / "text";
    if (fs::is_directory(folders[i])) continue;
    std::string package = "libreoffice-help-" + language;
    std::transform(package.begin(), package.end(), package.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    missing.push_back(package);
    why += (why.empty() ? "there is no " : ", no ") + folders[i].string();
  }
  if (!missing.empty()) need_packages(request, missing, why);
  CorpusText text;
  text.licence = "LibreOffice's help, MPL-2.0";
  for (const Path& page : files_below(folders[0], ".html")) {
    if (!fs::exists(folders[1] / page)) continue;
    std::unordered_map<std::string, std::string> translations;
    for (auto& [id, paragraph] : paragraphs(read_text(folders[1] / page, kMaxDocumentBytes)))
      translations.emplace(std::move(id), std::move(paragraph));
    CorpusDocument document{page.string(), {}};
    for (auto& [id, paragraph] : paragraphs(read_text(folders[0] / page, kMaxDocumentBytes))) {
      const auto translation = translations.find(id);
      if (translation == translations.end()) continue;
      document.pairs.emplace_back(std::move(paragraph), std::move(translation->second));
      translations.erase(translation);
    }
    text.documents.push_back(std::move(document));
  }
  return text;
}

CorpusText read_wesnoth(const CorpusRequest& request) {
  const Path locale = request.root / "usr/share/games/wesnoth" / kWesnothVersion / "locale";
  const auto folder = [&](const std::string& language) { return locale / language / "LC_MESSAGES"; };
  // English is what the messages themselves are, in the catalogues of the other language.
  const std::string other = request.source == "en" ? request.target : request.source;
  std::set<Path> catalogues, installed;
  for (const Path& file : files_below(folder(other), ".mo"))
    if (std::find(kInterface.begin(), kInterface.end(), file.string()) == kInterface.end()) catalogues.insert(file);
  for (const Path& file : files_below(locale, ".mo")) installed.insert(file.filename());
  std::vector<std::string> missing;
  for (const char* campaign : kCampaigns)
    if (!installed.contains(fmt::format("wesnoth-{}.mo", campaign == std::string_view("ttb") ? "tb" : campaign)))
      missing.push_back(fmt::format("wesnoth-{}-{}", kWesnothVersion, campaign));
  constexpr std::size_t kLeast = 3;
  if (installed.size() < kLeast)
    need_packages(request, missing,
                  fmt::format("{} has {} catalogues; a corpus is split by catalogue and takes at least {}",
                              locale.string(), installed.size(), kLeast));
  if (catalogues.size() < kLeast)
    throw Error(
        fmt::format("{} has {} catalogues: Wesnoth is not translated to '{}'; beside that folder are those of "
                    "the languages that there are",
                    folder(other).string(), catalogues.size(), other));
  CorpusText text;
  text.licence = "Battle for Wesnoth, GPL-2+";
  if (!missing.empty()) text.note = fmt::format("these packages would add to it: {}", fmt::join(missing, " "));
  for (const Path& file : catalogues) {
    const auto path_of = [&](const std::string& language) {
      return folder(language == "en" ? other : language) / file;
    };
    if (!fs::exists(path_of(request.source)) || !fs::exists(path_of(request.target))) continue;
    const auto source = read_catalogue(path_of(request.source), request.source == "en");
    const auto target = read_catalogue(path_of(request.target), request.target == "en");
    std::vector<std::string_view> messages;
    for (const auto& [message, unused] : source)
      if (target.contains(message)) messages.push_back(message);
    std::sort(messages.begin(), messages.end());
    CorpusDocument document{file.stem().string(), {}};
    for (const std::string_view message : messages) {
      const std::string &a = source.at(std::string(message)), &b = target.at(std::string(message));
      // Places for names and numbers are the game's, not the language's.
      if (a.find_first_of("${}|") == std::string::npos && b.find_first_of("${}|") == std::string::npos)
        add_lines(a, b, document);
    }
    text.documents.push_back(std::move(document));
  }
  return text;
}

CorpusText read_sword(const CorpusRequest& request) {
  const std::map<std::string, std::string> modules{{"en", "engWEB2015eb"}, {"es", "spaRV1909eb"}};
  if (!modules.contains(request.source) || !modules.contains(request.target))
    throw Error(ErrorKind::Usage, fmt::format("the corpus sword has verses in en and es, not in {} and {}",
                                              request.source, request.target));
  const Path folder = request.root / "usr/share/sword";
  const std::map<std::string, std::string> packages{{"en", "sword-text-web"}, {"es", "sword-text-sparv"}};
  std::vector<std::string> missing;
  std::string why;
  if (!in_path("mod2imp")) {
    missing.emplace_back("libsword-utils");
    why = "there is no command mod2imp";
  }
  for (const auto& [language, module] : modules) {
    const Path description = folder / "mods.d" / (module + ".conf");
    if (fs::exists(description)) continue;
    missing.push_back(packages.at(language));
    why += (why.empty() ? "there is no " : ", no ") + description.string();
  }
  if (!missing.empty()) need_packages(request, missing, why);
  const auto source = read_module(modules.at(request.source), folder);
  const auto target = read_module(modules.at(request.target), folder);
  CorpusText text;
  text.licence = "World English Bible and Reina-Valera 1909, public domain";
  std::map<std::string, CorpusDocument> chapters;
  for (const auto& [place, verse] : source) {
    const auto translation = target.find(place);
    if (translation == target.end()) continue;
    const std::string chapter = place.substr(0, place.rfind(':'));
    chapters[chapter].pairs.emplace_back(verse, translation->second);
  }
  for (auto& [name, chapter] : chapters) {
    chapter.name = name;
    text.documents.push_back(std::move(chapter));
  }
  return text;
}

}  // namespace tessera::data
