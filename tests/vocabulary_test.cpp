// Vocabularies: training, what encode and decode keep, model files that are broken.
#include "tessera/data/vocabulary.hpp"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <random>

#include "failure.hpp"
#include "tessera/data/bytes.hpp"
#include "tessera/data/utf8.hpp"

namespace tessera::data {
namespace {

using std::string;
using Strings = std::vector<string>;

const Strings kEnglish{"A man is walking his dog in the park.", "Two women are walking in the street.",
                       "The dog is running after a ball.",      "A woman in a red dress is sitting on a bench.",
                       "The man and the woman are talking.",    "A child is playing with the dog."};
const Strings kGerman{"Ein Mann geht mit seinem Hund im Park spazieren.",
                      "Zwei Frauen gehen auf der Straße spazieren.",
                      "Der Hund läuft einem Ball hinterher.",
                      "Eine Frau in einem roten Kleid sitzt auf einer Bank.",
                      "Der Mann und die Frau unterhalten sich.",
                      "Ein Kind spielt mit dem Hund."};

Vocabulary small(PieceKind kind = PieceKind::Unigram) {
  return train_vocabulary(kEnglish, kGerman, {.kind = kind, .size = 360, .character_coverage = 1});
}

/// What is said of a file or text that nothing can be made of.
string refusal(const std::function<void()>& f) { return failure(f, ErrorKind::Failed); }

class BothKinds : public testing::TestWithParam<PieceKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, BothKinds, testing::Values(PieceKind::Unigram, PieceKind::Bpe),
                         [](const auto& info) { return info.param == PieceKind::Bpe ? "Bpe" : "Unigram"; });

TEST_P(BothKinds, EveryCharacterPassesThrough) {
  const Vocabulary v = small(GetParam());
  EXPECT_EQ(v.kind(), GetParam());
  EXPECT_GT(v.size(), kReservedPieces);
  EXPECT_LE(v.size(), 360);
  for (const char* sentence : {"A man is walking his dog in the park.", "Die Frau läuft über die Straße.",
                               "Ünknöwn: ŧ ø ¿ « » 漢字 العربية 😀 👩‍👩‍👧",
                               "<s> </s> <pad> <unk> <0x41> & 1,234.56", "tab\there", "x", "\x01\x7f", ""}) {
    const std::vector<Token> tokens = v.encode(sentence);
    EXPECT_EQ(v.decode(tokens), sentence);
    for (const Token token : tokens) {
      EXPECT_GT(token, Vocabulary::kEnd) << "a reserved token from the text '" << sentence << "'";
      EXPECT_LT(token, v.size());
    }
  }
  EXPECT_EQ(v.decode(v.encode("  many   spaces  ")), "many spaces");
  EXPECT_EQ(v.decode(v.encode("bad \xff\xc3 bytes")), "bad \ufffd\ufffd bytes");
  EXPECT_EQ(v.encode("Hund").size(), 1U) << "words that are frequent are one piece";
}

TEST_P(BothKinds, IsTheSameFromTheSameText) {
  const Vocabulary a = small(GetParam()), b = small(GetParam());
  ASSERT_EQ(a.size(), b.size());
  for (Token token = 0; token < a.size(); ++token) EXPECT_EQ(a.piece(token), b.piece(token));
}

TEST_P(BothKinds, FilesReadBackAndAreSentencePieces) {
  string folder = (std::filesystem::temp_directory_path() / "tessera-vocabulary-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const Path path = Path(folder) / "vocabulary.model";
  const Vocabulary v = small(GetParam());
  v.save(path);
  const Vocabulary again = Vocabulary::load(path);
  ASSERT_EQ(again.size(), v.size());
  sentencepiece::SentencePieceProcessor theirs;
  ASSERT_TRUE(theirs.Load(path.string()).ok());
  for (const Strings& sentences : {kEnglish, kGerman, Strings{"Etwas Neues: 漢字!"}}) {
    for (const string& sentence : sentences) {
      EXPECT_EQ(again.encode(sentence), v.encode(sentence));
      EXPECT_EQ(theirs.EncodeAsIds(sentence), v.encode(sentence));
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(Vocabulary, DecodesToOneLine) {
  const Vocabulary v = small();
  std::vector<Token> tokens = v.encode("a\nb");
  tokens.insert(tokens.begin(), {Vocabulary::kBegin, Vocabulary::kPad});
  tokens.push_back(Vocabulary::kEnd);
  EXPECT_EQ(v.decode(tokens), "a b");
  // The first half of a letter in two bytes.
  EXPECT_EQ(v.decode(std::vector<Token>{4 + 0xc3}), "\ufffd");
  EXPECT_HAS(refusal([&] { (void)v.decode(std::vector<Token>{static_cast<Token>(v.size())}); }), "there is no token");
  EXPECT_HAS(refusal([&] { (void)v.decode(std::vector<Token>{-1}); }), "there is no token -1");
}

TEST(Vocabulary, LearnsFromWhatThereIs) {
  // A corpus of one line, lines without text, letters of the trainer's own.
  EXPECT_GT(train_vocabulary(Strings{"a"}, Strings{"b"}).size(), kReservedPieces);
  EXPECT_GT(train_vocabulary(Strings{"", " ", "\u2581", "x y"}, Strings{"\xff", "\u2585", "<s>", "\t"}).size(),
            kReservedPieces);
  const Vocabulary v = train_vocabulary(kEnglish, Strings(1000, string("Hund\0", 5)), {.max_sentences = 20});
  EXPECT_EQ(v.decode(v.encode("Ein Hund")), "Ein Hund");
  for (const Strings& nothing : {Strings{}, Strings{""}, Strings{" ", "\u2581\u2581", "\xff", string(5000, 'x')}})
    EXPECT_HAS(refusal([&] { (void)train_vocabulary(nothing, nothing); }), "no sentence has text");
  EXPECT_GT(train_vocabulary(Strings{string(4000, 'x')}, {}, {.character_coverage = 0.98}).size(), kReservedPieces);
  EXPECT_HAS(failure([&] { (void)train_vocabulary(kEnglish, kGerman, {.character_coverage = 0.5}); }, ErrorKind::Usage),
             "between 0.98 and 1");
  EXPECT_HAS(failure([&] { (void)train_vocabulary(kEnglish, kGerman, {.size = 100}); }, ErrorKind::Usage),
             "260 are reserved");
  EXPECT_HAS(failure([&] { (void)train_vocabulary(kEnglish, kGerman, {.size = 265}); }, ErrorKind::Usage),
             "ask for more pieces");
}

TEST(Vocabulary, ALineOfAMillionCharacters) {
  const Vocabulary v = small();
  string line(1000000, 'x');
  for (std::size_t i = 0; i < line.size(); ++i) line[i] = static_cast<char>('a' + i * i % 23);
  EXPECT_EQ(v.decode(v.encode(line)), line);
}

// --- broken files ---

PieceModel model() { return {PieceKind::Unigram, {{"\u2581a", -1}, {"b", -2}, {"\u2581", -3}}}; }
string changed(const std::function<void(PieceModel&)>& change) {
  PieceModel m = model();
  change(m);
  return format_piece_model(m);
}
string replaced(string bytes, const string& from, const string& to) {
  const std::size_t at = bytes.find(from);
  EXPECT_NE(at, string::npos);
  return bytes.replace(at, from.size(), to);
}

TEST(Vocabulary, RefusesBrokenFiles) {
  const string good = format_piece_model(model());
  ASSERT_EQ(Vocabulary::parse(view(good), "f").size(), kReservedPieces + 3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  struct Bad {
    const char* name;
    string bytes;
    const char* message;
  };
  const std::vector<Bad> cases{
      {"empty", "", "holds no pieces"},
      {"text", "This is a text file.\n", "is no SentencePiece model"},
      {"cut", good.substr(0, good.size() / 2), "is no SentencePiece model, or it is cut short"},
      {"no trainer", good.substr(0, good.find("\x12\x14")), "lacks the trainer's settings"},
      {"reserved pieces alone", changed([](PieceModel& m) { m.pieces.clear(); }), "empty vocabulary"},
      {"a length beyond the end", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short"},
      {"a number without end", string(20, '\xff'), "is no SentencePiece model"},
      {"no space", changed([](PieceModel& m) { m.pieces.pop_back(); }), "lacks the piece of a space"},
      {"piece twice", changed([](PieceModel& m) { m.pieces.push_back({"b", -3}); }), "piece 263 is there twice"},
      {"reserved piece again", changed([](PieceModel& m) { m.pieces.push_back({"</s>", -3}); }), "is there twice"},
      {"empty piece", changed([](PieceModel& m) { m.pieces.push_back({"", -3}); }), "piece 263 is no text"},
      {"NUL in a piece", changed([](PieceModel& m) { m.pieces.push_back({string("x\0y", 3), -3}); }), "is no text"},
      {"no UTF-8", changed([](PieceModel& m) { m.pieces.push_back({"\xc3", -3}); }), "is no text"},
      {"long piece", changed([](PieceModel& m) { m.pieces.push_back({string(600, 'x'), -3}); }), "is no text"},
      {"score", changed([&](PieceModel& m) { m.pieces[0].score = nan; }), "the score of piece 260 is no number"},
      {"endless score", changed([](PieceModel& m) { m.pieces[1].score = -HUGE_VALF; }), "the score of piece 261"},
      {"other reserved pieces", replaced(good, "<s>", "<x>"), "piece 2 is not <s>"},
      {"words", changed([](PieceModel& m) { m.kind = static_cast<PieceKind>(3); }), "a model of words or characters"},
      {"no bytes", replaced(good, "\x98\x02\x01", string("\x98\x02\x00", 3)), "has no byte pieces"},
      {"keeps spaces", replaced(good, "identity\x18\x01 \x01", string("identity\x18\x01 \x00", 12)), "of its own"},
      {"character map", replaced(good, "\x0a\x08identity", "\x12\x08identity"), "of its own"},
      {"too large", string(kMaxPieceModelBytes + 1, 'x'), "has at most"},
  };
  for (const Bad& c : cases) {
    const string message = refusal([&] { (void)Vocabulary::parse(view(c.bytes), "some.model"); });
    EXPECT_HAS(message, c.message) << c.name;
    EXPECT_EQ(message.rfind("some.model: ", 0), 0U) << message;
  }
}

TEST(Vocabulary, RandomDamageIsRefusedOrHarmless) {
  const auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const string good = format_piece_model(model());
  for (int round = 0; round < 2000; ++round) {
    string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      const Vocabulary v = Vocabulary::parse(view(bytes), "f");
      EXPECT_EQ(v.decode(v.encode("a b")), "a b");
    } catch (const Error&) {  // refused
    }
  }
}

}  // namespace
}  // namespace tessera::data
