// From documents to files: sentences are cut, cleaned, taken once, split by document, and written all or not at all.
#include "tessera/data/corpora.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <system_error>
#include <unordered_set>

#include "tessera/core/error.hpp"
#include "tessera/data/corpus_sources.hpp"
#include "tessera/data/markup.hpp"
#include "tessera/data/utf8.hpp"
#include "tessera/version.hpp"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;

struct Source {
  const char* name;
  CorpusText (*read)(const CorpusRequest& request);
};
constexpr Source kSources[] = {
    {"libreoffice-help", read_libreoffice_help}, {"wesnoth", read_wesnoth}, {"sword", read_sword}};

/// FNV-1a, so that a document's split depends on its name and not on its place in the alphabet.
std::uint64_t hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return h ^ h >> 32;
}

/// True for what has letters enough to be language: three of them, and two thirds of all that is not white space.
bool is_language(std::string_view text) {
  std::size_t letters = 0, all = 0;
  for (const char32_t c : decode_utf8(text)) {
    if (is_white_space(c)) continue;
    ++all;
    letters += (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z') || c >= 0xc0 ? 1 : 0;
  }
  return letters >= 3 && 3 * letters >= 2 * all;
}

/// Sentence by sentence where both sides have as many, else as they are.
std::vector<std::pair<std::string, std::string>> sentence_pairs(const CorpusDocument& document) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [source, target] : document.pairs) {
    std::vector<std::string> a = split_sentences(source), b = split_sentences(target);
    if (a.size() != b.size()) {
      a = {collapse_white_space(source)};
      b = {collapse_white_space(target)};
    }
    for (std::size_t i = 0; i < a.size(); ++i)
      if (is_language(a[i]) && is_language(b[i])) pairs.emplace_back(std::move(a[i]), std::move(b[i]));
  }
  return pairs;
}

/// Which documents are in test (0), valid (1) and train (2): in the order of their hashes, test takes a twentieth of
/// all pairs, valid a fortieth; documents too large for that go to train.
std::vector<int> choose_splits(const std::vector<CorpusDocument>& documents) {
  std::size_t all = 0;
  for (const CorpusDocument& d : documents) all += d.pairs.size();
  std::vector<std::size_t> order(documents.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(hash(documents[a].name), documents[a].name) <
           std::pair(hash(documents[b].name), documents[b].name);
  });
  std::vector<int> split(documents.size(), 2);
  const std::size_t wanted[] = {std::max<std::size_t>(all / 20, 1), std::max<std::size_t>(all / 40, 1)};
  for (int s = 0; s < 2; ++s) {
    std::size_t taken = 0;
    for (const bool any_size : {false, true}) {
      for (const std::size_t i : order) {
        const std::size_t size = documents[i].pairs.size();
        if (taken >= (any_size ? 1 : wanted[s]) || split[i] != 2 || size == 0) continue;
        if (!any_size && taken + size > 2 * wanted[s]) continue;
        split[i] = s;
        taken += size;
      }
    }
  }
  return split;
}

struct Texts {
  std::string source, target;
  CorpusSplit counts;
};

/// A folder beside the one asked for, gone again unless it was renamed.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const Path& beside) : path_(beside.string() + fmt::format(".tmp-{}", ::getpid())) {
    std::error_code error;
    if (!fs::create_directories(path_, error)) bad_file(path_, "cannot be made: " + error.message());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const Path& path() const { return path_; }
  void rename(const Path& to) {
    flush_folder(path_);
    if (::rename(path_.c_str(), to.c_str()) != 0)
      bad_file(to, "cannot be written: " + std::generic_category().message(errno));
    path_.clear();
    flush_folder(to.has_parent_path() ? to.parent_path() : Path("."));
  }

 private:
  Path path_;
};

}  // namespace

std::vector<std::string> corpus_names() {
  std::vector<std::string> names;
  for (const Source& source : kSources) names.emplace_back(source.name);
  return names;
}

CorpusResult write_corpus(const CorpusRequest& request) {
  const auto* source =
      std::find_if(std::begin(kSources), std::end(kSources), [&](const Source& s) { return s.name == request.name; });
  if (source == std::end(kSources))
    throw Error(ErrorKind::Usage,
                "there is no corpus '" + request.name + "'; there are libreoffice-help, wesnoth, sword");
  check_languages(request.source, request.target);
  Path out = request.out;
  if (!out.has_filename()) out = out.parent_path();  // DIR/
  std::error_code error;
  if (fs::exists(out, error) && !fs::is_empty(out, error))
    throw Error(ErrorKind::Usage, out.string() + " is there already; give another folder, or remove that one");

  CorpusText text = source->read(request);
  for (CorpusDocument& document : text.documents) document.pairs = sentence_pairs(document);
  const std::vector<int> split = choose_splits(text.documents);

  // Train takes its sentences first: what valid and test have was never seen there.
  CorpusResult result;
  result.note = text.note;
  Texts texts[3];
  std::unordered_set<std::string> seen;
  const Cleaning cleaning{.max_characters = 400};
  for (int s = 2; s >= 0; --s) {
    for (std::size_t i = 0; i < text.documents.size(); ++i) {
      if (split[i] != s) continue;
      ++texts[s].counts.documents;
      for (const auto& [a, b] : text.documents[i].pairs) {
        if (!cleaning.keep(a, b, result.report.read + 1, result.report)) continue;
        if (!seen.insert(a).second) {
          ++result.repeated;
          continue;
        }
        texts[s].source += a + "\n";
        texts[s].target += b + "\n";
        ++texts[s].counts.pairs;
      }
    }
  }
  if (texts[2].counts.pairs == 0)
    throw Error(fmt::format("the corpus {} has no pairs in {} and {} here: {} documents, {}", request.name,
                            request.source, request.target, text.documents.size(), result.report.text()));

  constexpr const char* kNames[] = {"test", "valid", "train"};
  TemporaryFolder folder(out);
  std::string about = fmt::format("{} {}-{}, by tessera {}\n{}\n", request.name, request.source, request.target,
                                  TESSERA_VERSION, text.licence);
  for (int s = 2; s >= 0; --s) {
    texts[s].counts.name = kNames[s];
    write_file(folder.path() / (std::string(kNames[s]) + "." + request.source), texts[s].source);
    write_file(folder.path() / (std::string(kNames[s]) + "." + request.target), texts[s].target);
    about += fmt::format("{}: {} pairs of {} documents\n", kNames[s], texts[s].counts.pairs, texts[s].counts.documents);
    result.splits.push_back(texts[s].counts);
  }
  write_file(folder.path() / "about.txt", about);
  folder.rename(out);
  return result;
}

}  // namespace tessera::data
