// BLEU and chrF against sacreBLEU's own results on recorded cases: tests/scores.json, written by tests/scores.py.
#include "tessera/data/scores.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/data/utf8.hpp"
#include "tessera/version.hpp"

namespace tessera::data {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

const Json& recorded() {
  static const Json json = Json::parse(std::ifstream(std::filesystem::path(__FILE__).parent_path() / "scores.json"));
  return json;
}

/// sacreBLEU's line with our version in its signature.
std::string ours(std::string text) {
  const std::string theirs = "version:" + recorded()["sacrebleu"].get<std::string>();
  const std::size_t at = text.find(theirs);
  EXPECT_NE(at, std::string::npos) << text;
  return text.replace(at, theirs.size(), "version:tessera-" TESSERA_VERSION);
}

TEST(Scores, OfCorporaAreSacreBleus) {
  ASSERT_GE(recorded()["cases"].size(), 20U);
  for (const Json& row : recorded()["cases"]) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto hypotheses = row["hypotheses"].get<Strings>(), references = row["references"].get<Strings>();
    const Bleu words = corpus_bleu(hypotheses, references);
    EXPECT_EQ(to_string(words), ours(row["bleu_text"]));
    EXPECT_NEAR(words.score, row["bleu"].get<double>(), 1e-9);
    const Chrf characters = corpus_chrf(hypotheses, references);
    EXPECT_EQ(to_string(characters), ours(row["chrf_text"]));
    EXPECT_NEAR(characters.score, row["chrf"].get<double>(), 1e-9);
  }
}

TEST(Scores, OfSentencesAreSacreBleus) {
  for (const Json& row : recorded()["cases"]) {
    const auto hypotheses = row["hypotheses"].get<Strings>(), references = row["references"].get<Strings>();
    for (std::size_t i = 0; i < row["sentences"].size(); ++i) {
      SCOPED_TRACE(fmt::format("{}, sentence {}", row["name"].get<std::string>(), i));
      const Json& sentence = row["sentences"][i];
      EXPECT_EQ(tokenize_13a(hypotheses[i]), sentence["tokens"].get<Strings>());
      const Bleu words = sentence_bleu(hypotheses[i], references[i]);
      EXPECT_EQ(to_string(words), ours(sentence["bleu_text"]));
      EXPECT_NEAR(words.score, sentence["bleu"].get<double>(), 1e-9);
      EXPECT_NEAR(sentence_chrf(hypotheses[i], references[i]).score, sentence["chrf"].get<double>(), 1e-9);
    }
  }
}

TEST(Scores, CountsOfSentencesAddUp) {
  const Strings hypotheses{"a b c d e", "f g", ""}, references{"a b c x e", "f g h", "i"};
  BleuCounts sum;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) sum += bleu_counts(hypotheses[i], references[i]);
  EXPECT_EQ(bleu(sum).score, corpus_bleu(hypotheses, references).score);
}

TEST(Scores, RefuseWhatDoesNotFit) {
  const Strings none, one{"a"}, two{"a", "b"};
  for (const auto& [a, b, message] : {std::tuple{one, two, "1 translations cannot be scored with 2 references"},
                                      std::tuple{none, none, "there are no translations to score"}}) {
    try {
      (void)corpus_bleu(a, b);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
    EXPECT_THROW((void)corpus_chrf(a, b), Error);
  }
}

TEST(Utf8, IsValidatedAndDecoded) {
  const std::string good = "aé€\U0001f600\u07ff\u0800\xed\x9f\xbf\uf8ff\U0010ffff";
  EXPECT_EQ(find_invalid_utf8(good), std::string::npos);
  std::string again;
  for (const char32_t c : decode_utf8(good)) append_utf8(again, c);
  EXPECT_EQ(again, good);
  EXPECT_EQ(count_code_points(good), 9U);
  // Overlong forms, surrogates, what lies above U+10FFFF, lone and missing continuations.
  for (const char* bad :
       {"\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\x80", "\xbf", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xe2\x28\xa1", "\xff", "\xfe"}) {
    EXPECT_EQ(find_invalid_utf8(std::string("ok ") + bad), 3U);
    EXPECT_EQ(decode_utf8(bad)[0], 0xfffdU);
  }
  std::string replaced;
  append_utf8(replaced, 0xd800);
  append_utf8(replaced, 0x110000);
  EXPECT_EQ(replaced, "\ufffd\ufffd");
}

}  // namespace
}  // namespace tessera::data
