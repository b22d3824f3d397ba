// Reading and cleaning parallel text: every form of file, every reason to leave a pair out, hostile files.
#include "tessera/data/parallel_text.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "tessera/core/error.hpp"
#include "tessera/data/lines.hpp"

namespace tessera::data {
namespace {

using std::string;
using Strings = std::vector<string>;

class ParallelFolder : public testing::Test {
 protected:
  ParallelFolder() {
    string name = (std::filesystem::temp_directory_path() / "tessera-text-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~ParallelFolder() override { std::filesystem::remove_all(folder_); }

  Path write(const string& name, const string& content) {
    write_file(folder_ / name, content);
    return folder_ / name;
  }
  /// As gzip, piece by piece: `repeat` times `piece`.
  Path write_gz(const string& name, const string& piece, int repeat = 1) {
    const gzFile file = ::gzopen((folder_ / name).c_str(), "wb");
    for (int i = 0; i < repeat; ++i) ::gzwrite(file, piece.data(), static_cast<unsigned>(piece.size()));
    ::gzclose(file);
    return folder_ / name;
  }
  ParallelCorpus load(const Cleaning& cleaning = {}) { return load_parallel(folder_, "en", "de", cleaning); }
  string failure(ErrorKind kind = ErrorKind::Failed) {
    try {
      (void)load();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), kind) << e.what();
      return e.what();
    }
    return "no error";
  }
  Path folder_;
};
#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), string::npos) << (text)

long peak_memory_kb() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(ParallelFolder, LinesOfEveryForm) {
  const auto lines_of = [](LineReader&& reader) {
    Strings lines;
    for (Line line; reader.next(line);) lines.push_back(line.text);
    EXPECT_EQ(reader.count(), static_cast<std::int64_t>(lines.size()));
    return lines;
  };
  const string content =
      "\xef\xbb\xbf"
      "one\r\n\ntwo\u2028\x0c\u0085 still two\rx\n last without end";
  const Strings expected{"one", "", "two\u2028\x0c\u0085 still two\rx", " last without end"};
  EXPECT_EQ(lines_of(LineReader(write("plain", content))), expected);
  EXPECT_EQ(lines_of(LineReader(write_gz("packed.gz", content))), expected);
  EXPECT_EQ(lines_of(LineReader(write_gz("packed-without-its-name", content))), expected);
  EXPECT_EQ(lines_of(LineReader(write("empty", ""))), Strings{});
  EXPECT_EQ(lines_of(LineReader(write("one empty line", "\n"))), Strings{""});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  LineReader reader(ends[0], "a pipe");
  Line line;
  for (const char* text : {"first\n", "second\n"}) {
    ASSERT_GT(::write(ends[1], text, std::strlen(text)), 0);
    ASSERT_TRUE(reader.next(line)) << "a line comes before the next one is written";
    EXPECT_EQ(line.text + "\n", text);
  }
  ::close(ends[1]);
  EXPECT_FALSE(reader.next(line));
  ::close(ends[0]);
}

TEST_F(ParallelFolder, LinesLongerThanABufferAndThanTheLimit) {
  const string long_line(200000, 'x');
  LineReader whole(write("long", long_line + "\nnext\n"));
  Line line;
  ASSERT_TRUE(whole.next(line));
  EXPECT_EQ(line.text, long_line);
  EXPECT_FALSE(line.cut);
  LineReader limited(folder_ / "long", 1000);
  ASSERT_TRUE(limited.next(line));
  EXPECT_EQ(line.text.size(), 1000U);
  EXPECT_TRUE(line.cut);
  ASSERT_TRUE(limited.next(line));
  EXPECT_EQ(line.text, "next");
  EXPECT_FALSE(line.cut);
}

TEST_F(ParallelFolder, PairsPlainAndCompressed) {
  write("train.en", "A dog.\nA cat sits.\n");
  write_gz("train.de.gz", "Ein Hund.\nEine Katze sitzt.\n");
  write("valid.en", "Hello.\n");
  write("valid.de", "Hallo.\n");
  const ParallelCorpus corpus = load();
  EXPECT_EQ(corpus.train.text.source, (Strings{"A dog.", "A cat sits."}));
  EXPECT_EQ(corpus.train.text.target, (Strings{"Ein Hund.", "Eine Katze sitzt."}));
  EXPECT_EQ(corpus.valid.text.size(), 1);
  EXPECT_EQ(corpus.test.text.size(), 0);
  EXPECT_EQ(corpus.train.report.text(), "2 pairs read, 2 kept");
  EXPECT_EQ(load_parallel(folder_, "de", "en").train.text.source[0], "Ein Hund.");
}

TEST_F(ParallelFolder, Tables) {
  write("train.en-de.tsv", "A dog.\tEin Hund.\nno second column\nthree\tcol\tumns\n");
  write_gz("test.de-en.tsv.gz", "Eine Katze.\tA cat.\n");
  write("valid.tsv", "one\teins\n");
  const ParallelCorpus corpus = load();
  EXPECT_EQ(corpus.train.text.target, Strings{"Ein Hund."});
  EXPECT_EQ(corpus.train.report.text(),
            "3 pairs read, 1 kept; left out: 2 without exactly two columns (first: line 2)");
  EXPECT_EQ(corpus.test.text.source, Strings{"A cat."});
  EXPECT_EQ(corpus.valid.text.target, Strings{"eins"});
}

TEST_F(ParallelFolder, CleaningCountsEveryReason) {
  const string nul = string("a\0b", 3);
  write("train.en", "good one\n\n" + nul + "\nbad \xc3 bytes\n" + string(700, 'x') +
                        "\nshort\nsame on both sides\nanother good one\n  \t\nNo.\n");
  write("train.de", "gut eins\nleer\nx\nx\n" + string(650, 'y') + "\n" + string(100, 'z') +
                        "\n same on both sides \nnoch ein gutes\nleer\nNein.\n");
  const ParallelSplit train = load().train;
  EXPECT_EQ(train.text.source, (Strings{"good one", "another good one", "No."}));
  EXPECT_EQ(train.text.lines, (std::vector<std::int64_t>{1, 8, 10}));
  EXPECT_EQ(
      train.report.text(),
      "10 pairs read, 3 kept; left out: 1 with a NUL (first: line 3), 1 that are no UTF-8 (first: line 4), 2 with "
      "an empty side (first: line 2), 1 with too many characters (first: line 5), 1 of very unequal lengths "
      "(first: line 6), 1 whose sides are equal (first: line 7)");
  // Evaluation keeps all that is text: its scores stay comparable.
  for (const char* side : {"en", "de"})
    std::filesystem::copy(folder_ / (string("train.") + side), folder_ / (string("test.") + side));
  EXPECT_EQ(load().test.report.text(),
            "10 pairs read, 8 kept; left out: 1 with a NUL (first: line 3), 1 that are no UTF-8 (first: line 4)");
  EXPECT_EQ(load({.max_characters = 1000, .max_ratio = 50}).train.text.size(), 5);
}

TEST_F(ParallelFolder, WhatDoesNotFit) {
  EXPECT_HAS(failure(), "holds no pairs to train on: train.en and train.de");
  write("train.en", "one\ntwo\nthree\n");
  EXPECT_HAS(failure(), "train.de: is missing (plain or .gz), though its other half is there");
  write("train.fr", "un\n");
  EXPECT_HAS(failure(), "has: en, fr");
  write("train.de", "eins\nzwei");
  const string message = failure();
  EXPECT_HAS(message, "train.en: has 3 lines, but ");
  EXPECT_HAS(message, "train.de has 2: line by line they must be translations");
  write("train.de", "eins\n\ndrei\nvier\n\n");
  EXPECT_HAS(failure(), "train.de has 5");
  write("train.de", "\n\n\n");
  EXPECT_HAS(failure(), "no pair of lines can be trained on: 3 pairs read, 0 kept; left out: 3 with an empty side");
  write_gz("test.en.gz", "one\n");
  write("test.de", "eins\n");
  write("train.de", "eins\nzwei\ndrei\n");
  const string gz = read_text(folder_ / "test.en.gz");
  write("test.en.gz", gz.substr(0, gz.size() - 9));
  EXPECT_HAS(failure(), "test.en.gz: the compressed data is cut short");
  EXPECT_THROW((void)load_parallel(folder_ / "nowhere", "en", "de"), Error);
  EXPECT_THROW((void)load_parallel(folder_, "en", "en"), Error);
  EXPECT_THROW((void)load_parallel(folder_, "../en", "de"), Error);
  EXPECT_THROW((void)load_parallel(folder_, "", "de"), Error);
  std::filesystem::create_directory(folder_ / "valid.en");
  write("valid.de", "x\n");
  write("test.en.gz", gz);
  EXPECT_HAS(failure(), "valid.en: is no regular file");
}

TEST_F(ParallelFolder, HostileFilesTakeNoMemory) {
  // 400 MB of one line, 10 million empty lines: both small as files.
  const long before = peak_memory_kb();
  write_gz("train.en.gz", "x\n");
  write_gz("train.de.gz", string(4000000, 'y'), 100);
  EXPECT_HAS(failure(),
             "no pair of lines can be trained on: 1 pairs read, 0 kept; left out: 1 with a line of more than");
  write_gz("train.en.gz", string(1000000, '\n'), 10);
  write_gz("train.de.gz", string(1000000, '\n'), 10);
  EXPECT_HAS(failure(), "10000000 with an empty side");
  EXPECT_LT(peak_memory_kb() - before, 200000);
  // A line of a million characters beside good ones.
  write("train.en", "good\n" + string(1000000, 'a') + "\nfine\n");
  write("train.de", "gut\n" + string(1000000, 'b') + "\nfein\n");
  EXPECT_EQ(load().train.report.text(), "3 pairs read, 2 kept; left out: 1 with too many characters (first: line 2)");
}

}  // namespace
}  // namespace tessera::data
