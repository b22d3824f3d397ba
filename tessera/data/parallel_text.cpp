// Parallel corpora: both sides are read in step and cleaned on the way, so that what is left out takes no memory.
#include "tessera/data/parallel_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "tessera/core/error.hpp"
#include "tessera/data/lines.hpp"
#include "tessera/data/utf8.hpp"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, kDroppedReasons> kReasons{"without exactly two columns",
                                                            "with a line of more than 4 million bytes",
                                                            "with a NUL",
                                                            "that are no UTF-8",
                                                            "with an empty side",
                                                            "with too many characters",
                                                            "of very unequal lengths",
                                                            "whose sides are equal",
                                                            "with too many tokens"};

/// `stem` or `stem`.gz in `folder`.
std::optional<Path> find(const Path& folder, const std::string& stem) {
  for (const char* end : {"", ".gz"}) {
    Path path = folder / (stem + end);
    if (fs::exists(path)) return path;
  }
  return std::nullopt;
}

/// The languages of which `folder` has a file of the split, for messages.
std::string languages_in(const Path& folder, const std::string& split) {
  std::set<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(".gz")) name.resize(name.size() - 3);
    if (name.starts_with(split + ".")) found.insert(name.substr(split.size() + 1));
  }
  std::string list;
  for (const std::string& name : found) list += (list.empty() ? "" : ", ") + name;
  return list;
}

void check_language(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (name.empty() || name.size() > 32 || !plain)
    throw Error(ErrorKind::Usage, "'" + name + "' is no name of a language; write it as the files do: en, de, pt_BR");
}

void take(const std::string& source, const std::string& target, bool cut, std::int64_t line, const Cleaning& cleaning,
          ParallelSplit& split) {
  if (cut) {
    ++split.report.read;
    split.report.drop(Dropped::TooLong, line);
  } else if (cleaning.keep(source, target, line, split.report)) {
    split.text.source.push_back(source);
    split.text.target.push_back(target);
    split.text.lines.push_back(line);
  }
}

void read_pair(const Path& source_path, const Path& target_path, const Cleaning& cleaning, ParallelSplit& split) {
  LineReader source(source_path), target(target_path);
  Line a, b;
  for (;;) {
    const bool more_source = source.next(a), more_target = target.next(b);
    if (!more_source && !more_target) return;
    if (more_source != more_target) {
      while (source.next(a)) {
      }
      while (target.next(b)) {
      }
      bad_file(source.name(),
               fmt::format("has {} lines, but {} has {}: line by line they must be translations of each other",
                           source.count(), target.name(), target.count()));
    }
    take(a.text, b.text, a.cut || b.cut, source.count(), cleaning, split);
  }
}

void read_tsv(const Path& path, bool swapped, const Cleaning& cleaning, ParallelSplit& split) {
  LineReader lines(path, 2 * kMaxLineBytes);
  for (Line line; lines.next(line);) {
    const std::size_t tab = line.text.find('\t');
    if (!line.cut && (tab == std::string::npos || line.text.find('\t', tab + 1) != std::string::npos)) {
      ++split.report.read;
      split.report.drop(Dropped::Columns, lines.count());
      continue;
    }
    std::string first = line.text.substr(0, tab), second = line.cut ? "" : line.text.substr(tab + 1);
    if (swapped) std::swap(first, second);
    take(first, second, line.cut, lines.count(), cleaning, split);
  }
}

}  // namespace

void CleaningReport::drop(Dropped reason, std::int64_t line) {
  const auto index = static_cast<std::size_t>(reason);
  if (dropped[index]++ == 0) first_line[index] = line;
}

std::int64_t CleaningReport::kept() const {
  return std::accumulate(dropped.begin(), dropped.end(), read, std::minus<>());
}

std::string CleaningReport::text() const {
  std::string out = fmt::format("{} pairs read, {} kept", read, kept());
  const char* before = "; left out: ";
  for (std::size_t i = 0; i < kDroppedReasons; ++i) {
    if (dropped[i] == 0) continue;
    out += fmt::format("{}{} {} (first: line {})", before, dropped[i], kReasons[i], first_line[i]);
    before = ", ";
  }
  return out;
}

void check_languages(const std::string& source, const std::string& target) {
  check_language(source);
  check_language(target);
  if (source == target) throw Error(ErrorKind::Usage, "source and target are both '" + source + "'");
}

bool Cleaning::keep(std::string_view source, std::string_view target, std::int64_t line, CleaningReport& report) const {
  ++report.read;
  const auto both = [&](auto test) { return test(source) || test(target); };
  const auto reason = [&]() -> std::optional<Dropped> {
    if (both([](std::string_view s) { return s.size() > kMaxLineBytes; })) return Dropped::TooLong;
    if (both([](std::string_view s) { return s.find('\0') != std::string_view::npos; })) return Dropped::Nul;
    if (both([](std::string_view s) { return find_invalid_utf8(s) != std::string_view::npos; }))
      return Dropped::InvalidUtf8;
    if (only_text) return std::nullopt;
    if (both([](std::string_view s) { return trim_ascii(s).empty(); })) return Dropped::Empty;
    const auto a = static_cast<double>(count_code_points(source)), b = static_cast<double>(count_code_points(target));
    if (std::max(a, b) > static_cast<double>(max_characters)) return Dropped::Characters;
    if (std::max(a, b) + 10 > max_ratio * (std::min(a, b) + 10)) return Dropped::Ratio;
    if (trim_ascii(source) == trim_ascii(target)) return Dropped::Copy;
    return std::nullopt;
  }();
  if (reason) report.drop(*reason, line);
  return !reason;
}

ParallelSplit read_split(const Path& folder, const std::string& split, const std::string& source,
                         const std::string& target, const Cleaning& cleaning) {
  check_languages(source, target);
  ParallelSplit result;
  const std::optional<Path> source_path = find(folder, split + "." + source),
                            target_path = find(folder, split + "." + target);
  if (source_path && target_path) {
    read_pair(*source_path, *target_path, cleaning, result);
    return result;
  }
  if (source_path || target_path)
    bad_file((folder / (split + "." + (source_path ? target : source))).string(),
             fmt::format("is missing (plain or .gz), though its other half is there; {} has: {}", folder.string(),
                         languages_in(folder, split)));
  for (const auto& [name, swapped] :
       {std::pair(split + "." + source + "-" + target + ".tsv", false),
        std::pair(split + "." + target + "-" + source + ".tsv", true), std::pair(split + ".tsv", false)}) {
    if (const std::optional<Path> path = find(folder, name)) {
      read_tsv(*path, swapped, cleaning, result);
      return result;
    }
  }
  return result;
}

ParallelCorpus load_parallel(const Path& folder, const std::string& source, const std::string& target,
                             const Cleaning& cleaning) {
  check_languages(source, target);
  if (!fs::is_directory(folder))
    bad_file(folder, "is no folder; give the one that holds train." + source + " and the like");
  Cleaning all = cleaning;
  all.only_text = true;
  ParallelCorpus corpus{source, target, read_split(folder, "train", source, target, cleaning),
                        read_split(folder, "valid", source, target, all),
                        read_split(folder, "test", source, target, all)};
  if (corpus.train.report.read == 0) {
    const std::string found = languages_in(folder, "train");
    bad_file(
        folder,
        fmt::format("holds no pairs to train on: train.{} and train.{}, or train.{}-{}.tsv, plain or .gz ({})", source,
                    target, source, target, found.empty() ? "there is no train.*" : "there is train. " + found));
  }
  if (corpus.train.text.size() == 0)
    bad_file(folder, "no pair of lines can be trained on: " + corpus.train.report.text());
  return corpus;
}

}  // namespace tessera::data
