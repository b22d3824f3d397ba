// Corpora from Debian's packages, on small pages, catalogues and verses of the same form: tests/corpora.
#include "tessera/data/corpora.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <set>

#include "tessera/core/error.hpp"
#include "tessera/data/gettext.hpp"
#include "tessera/data/markup.hpp"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;
using std::string;
using Strings = std::vector<string>;

const fs::path kFixtures = fs::absolute(__FILE__).parent_path() / "corpora";

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), string::npos) << (text)

class Corpora : public testing::Test {
 protected:
  Corpora() {
    string name = (fs::temp_directory_path() / "tessera-corpora-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    // The stand-in for mod2imp comes first.
    path_ = std::getenv("PATH");
    ::setenv("PATH", ((kFixtures / "bin").string() + ":" + path_).c_str(), 1);
  }
  ~Corpora() override {
    ::setenv("PATH", path_.c_str(), 1);
    fs::remove_all(folder_);
  }
  CorpusRequest request(const string& name, const string& source, const string& target) {
    return {name, source, target, folder_ / "out", kFixtures / "root"};
  }
  string failure(const CorpusRequest& request, ErrorKind kind) {
    try {
      (void)write_corpus(request);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), kind) << e.what();
      EXPECT_EQ(entries(), Strings{}) << "something was left behind";
      return e.what();
    }
    return "no error";
  }
  Strings entries() {
    std::set<string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename().string());
    return {names.begin(), names.end()};
  }
  /// All pairs "source | target" of the written corpus; the splits must not share a source.
  std::set<string> pairs(const string& source, const string& target) {
    std::set<string> all, sources;
    for (const char* split : {"train", "valid", "test"}) {
      const ParallelSplit read = read_split(folder_ / "out", split, source, target, {.only_text = true});
      for (std::int64_t i = 0; i < read.text.size(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        EXPECT_TRUE(sources.insert(read.text.source[at]).second) << read.text.source[at];
        all.insert(read.text.source[at] + " | " + read.text.target[at]);
      }
    }
    return all;
  }
  Path folder_;
  string path_;
};

TEST_F(Corpora, HelpIsAlignedByParagraph) {
  const CorpusResult result = write_corpus(request("libreoffice-help", "en", "de"));
  EXPECT_EQ(entries(), Strings{"out"});
  const std::set<string> all = pairs("en", "de");
  for (const char* pair :
       {"Using captions in your documents | Beschriftungen in Dokumenten verwenden",
        "Choose Insert Caption. | Wählen Sie Einfügen Beschriftung.",
        "You can edit the text & the numbers. | Sie können den Text & die Nummern bearbeiten.",
        "Press Ctrl+F to search the file. | Drücken Sie Strg+F, um die Datei zu durchsuchen.",
        "Water is H2O in every language. | Wasser ist H2O in jeder Sprache.", "ABS(Number) | ABS(Zahl)",
        "Click the button to go on. | Klicken Sie auf die Schaltfläche, um weiterzumachen."})
    EXPECT_TRUE(all.contains(pair)) << pair;
  // Six pages of three pairs and a paragraph that is the same in all of them, a page of six pairs.
  EXPECT_EQ(all.size(), 6U * 3 + 1 + 6);
  EXPECT_EQ(result.repeated, 5);
  ASSERT_EQ(result.splits.size(), 3U);
  std::int64_t documents = 0;
  for (const CorpusSplit& split : result.splits) {
    EXPECT_GT(split.documents, 0) << split.name;
    documents += split.documents;
  }
  EXPECT_EQ(documents, 7);
  EXPECT_HAS(read_text(folder_ / "out" / "about.txt"), "MPL-2.0");
}

TEST_F(Corpora, PagesStayTogether) {
  (void)write_corpus(request("libreoffice-help", "en", "de"));
  // What a page says of itself is in one split with the rest of that page.
  for (const char* split : {"train", "valid", "test"}) {
    const string text = read_text(folder_ / "out" / (string(split) + ".en"));
    for (const char* page : {"sheets", "cells", "print", "save", "slides", "tables"})
      EXPECT_EQ(text.find(string("The page about ") + page) == string::npos,
                text.find(string("This page explains what ") + page) == string::npos)
          << page;
  }
}

TEST_F(Corpora, WesnothsMessages) {
  const CorpusResult result = write_corpus(request("wesnoth", "en", "de"));
  EXPECT_HAS(result.note, "wesnoth-1.16-utbs");
  const std::set<string> expected{"I could have told you that. | Das hätte ich Euch sagen können.",
                                  "The old witch laughs. | Die alte Hexe lacht.",
                                  "Open the gate now! | Öffnet jetzt das Tor!",
                                  "One orc is near. | Ein Ork ist nah.",
                                  "Many orcs are near. | Viele Orks sind nah.",
                                  "First line of the story. | Erste Zeile der Geschichte.",
                                  "Second line of the story. | Zweite Zeile der Geschichte.",
                                  "The wind howls. | Der Wind heult.",
                                  "We fight for the king! | Wir kämpfen für den König!",
                                  "The bridge is broken. | Die Brücke ist zerstört.",
                                  "Run, my friends! | Lauft, meine Freunde!"};
  EXPECT_EQ(pairs("en", "de"), expected);
}

TEST_F(Corpora, WesnothInTwoTranslations) {
  (void)write_corpus(request("wesnoth", "fr", "de"));
  EXPECT_TRUE(pairs("fr", "de").contains("Courez, mes amis ! | Lauft, meine Freunde!"));
}

TEST_F(Corpora, Verses) {
  (void)write_corpus(request("sword", "en", "es"));
  const std::set<string> all = pairs("en", "es");
  EXPECT_EQ(all.size(), 5U);
  for (const char* pair :
       {"In the beginning, God created the heavens and the earth. | EN el principio crió Dios los cielos y la tierra.",
        "The earth was formless and empty. | Y la tierra estaba desordenada y vacía.",
        "He said to the woman, “Has God really said so?” | Dijo á la mujer: ¿Conque Dios os ha dicho eso?"})
    EXPECT_TRUE(all.contains(pair)) << pair;
  const string psalm = "Yahweh, how my adversaries have increased! Many are those who rise up against me.";
  EXPECT_TRUE(
      all.contains(psalm + " | ¡OH Jehová, cuánto se han multiplicado mis enemigos! muchos se levantan contra mí."));
}

TEST_F(Corpora, AreTheSameEveryTime) {
  CorpusRequest again = request("libreoffice-help", "en", "de");
  (void)write_corpus(again);
  again.out = folder_ / "again";
  (void)write_corpus(again);
  for (const auto& entry : fs::directory_iterator(folder_ / "out"))
    EXPECT_EQ(read_text(entry.path()), read_text(folder_ / "again" / entry.path().filename()));
}

TEST_F(Corpora, NameWhatIsMissing) {
  string message = failure(request("libreoffice-help", "pt_BR", "fr"), ErrorKind::Unsupported);
  EXPECT_HAS(message, "apt-get install --no-install-recommends libreoffice-help-pt-br libreoffice-help-fr\n");
  message = failure(request("libreoffice-help", "en", "fr"), ErrorKind::Unsupported);
  EXPECT_HAS(message, "apt-get install --no-install-recommends libreoffice-help-fr\n");
  EXPECT_HAS(failure(request("wesnoth", "en", "it"), ErrorKind::Failed), "Wesnoth is not translated to 'it'");
  CorpusRequest nowhere = request("sword", "es", "en");
  nowhere.root = folder_;
  nowhere.name = "wesnoth";
  EXPECT_HAS(failure(nowhere, ErrorKind::Unsupported), " wesnoth-1.16-utbs\n");
  nowhere.name = "sword";
  EXPECT_HAS(failure(nowhere, ErrorKind::Unsupported),
             "apt-get install --no-install-recommends sword-text-web sword-text-sparv\n");
  ::setenv("PATH", folder_.c_str(), 1);
  EXPECT_HAS(failure(nowhere, ErrorKind::Unsupported), "libsword-utils sword-text-web sword-text-sparv\n");
  EXPECT_HAS(failure(request("sword", "en", "de"), ErrorKind::Usage), "verses in en and es");
  EXPECT_HAS(failure(request("tatoeba", "en", "de"), ErrorKind::Usage), "there are libreoffice-help, wesnoth, sword");
  EXPECT_HAS(failure(request("wesnoth", "en", "en"), ErrorKind::Usage), "source and target are both 'en'");
  EXPECT_HAS(failure(request("wesnoth", "en", "../de"), ErrorKind::Usage), "is no name of a language");
}

TEST_F(Corpora, NeverTouchWhatIsThere) {
  fs::create_directory(folder_ / "out");
  (void)write_corpus(request("libreoffice-help", "en", "de"));  // an empty folder is taken
  const string before = read_text(folder_ / "out" / "train.en");
  try {
    (void)write_corpus(request("libreoffice-help", "en", "de"));
    ADD_FAILURE() << "the corpus was overwritten";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Usage);
    EXPECT_HAS(string(e.what()), "is there already");
  }
  EXPECT_EQ(read_text(folder_ / "out" / "train.en"), before);
}

TEST_F(Corpora, ABrokenSourceLeavesNothing) {
  fs::copy(kFixtures / "root", folder_ / "root", fs::copy_options::recursive);
  const Path catalogue = folder_ / "root/usr/share/games/wesnoth/1.16/locale/de/LC_MESSAGES/wesnoth-dm.mo";
  const string good = read_text(catalogue);
  write_file(catalogue, good.substr(0, 100));
  CorpusRequest broken{"wesnoth", "en", "de", folder_ / "out", folder_ / "root"};
  try {
    (void)write_corpus(broken);
    ADD_FAILURE() << "a corpus of a broken catalogue";
  } catch (const Error& e) {
    EXPECT_HAS(string(e.what()), "wesnoth-dm.mo: ");
  }
  EXPECT_EQ(entries(), Strings{"root"});
}

// --- the parts ---

TEST(Markup, BecomesText) {
  EXPECT_EQ(strip_markup("a <b>c</b>d\n<i>e</i>,<br/>f"), "a c d e, f");
  EXPECT_EQ(strip_markup("x<sub>1</sub> &lt;&amp;&gt; &quot;&apos;&nbsp;&#228;&#xE9; &unknown; & &#0; &#xffffffff;"),
            "x1 <&> \"' äé &unknown; & &#0; \ufffd");
  EXPECT_EQ(strip_markup("<q>“</q><q>How</q>¿<w>Qué</w> 3 < 4, 5 > 4 <- <!-- gone --> end <"),
            "“How¿Qué 3 < 4, 5 > 4 <- end <");
  const auto skip = [](const Tag& tag) { return tag.name == "note" || tag.attribute("class") == "MAC"; };
  EXPECT_EQ(
      strip_markup("a<note n=\"1\">b<note>c</note>d<note/></note>e <span id=\"class\" class=\"MAC\">f</span>g", skip),
      "a e g");
  EXPECT_EQ(strip_markup("a<note>never closed", skip), "a");
  EXPECT_EQ(collapse_white_space(" a\u00a0\t b\u2003\n"), "a b");
}

TEST(Markup, TakesNoLongerThanItsLength) {
  string hostile;
  for (int i = 0; i < 300000; ++i) hostile += "<a ";
  EXPECT_EQ(strip_markup(hostile).substr(0, 5), "<a <a");
}

TEST(Markup, SentencesAreCut) {
  EXPECT_EQ(split_sentences("It is one. It is two! Is it three? “Four.” He said so. 5 is not. a word."),
            (Strings{"It is one.", "It is two!", "Is it three?", "“Four.”", "He said so. 5 is not. a word."}));
  EXPECT_EQ(split_sentences("Das gilt z.B. Für Herrn Dr. Müller bzw. Frau A. Meier. Ökonomie…  Ende"),
            (Strings{"Das gilt z.B. Für Herrn Dr. Müller bzw. Frau A. Meier.", "Ökonomie…", "Ende"}));
  EXPECT_EQ(split_sentences("¿Qué? ¡Nada! (Nada.) «Sí.»"), (Strings{"¿Qué?", "¡Nada!", "(Nada.)", "«Sí.»"}));
  EXPECT_EQ(split_sentences("  "), Strings{});
}

TEST(Gettext, RefusesWhatIsWrong) {
  const string good = read_text(kFixtures / "root/usr/share/games/wesnoth/1.16/locale/de/LC_MESSAGES/wesnoth-dm.mo");
  EXPECT_EQ(parse_catalogue(view(good), "f").size(), 9U);
  const auto refused = [](const string& bytes) -> string {
    try {
      (void)parse_catalogue(view(bytes), "f.mo");
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_HAS(refused(""), "f.mo: is no gettext catalogue");
  EXPECT_HAS(refused(string(100, 'x')), "f.mo: is no gettext catalogue (.mo)");
  for (std::size_t size = 0; size < good.size() - 1; ++size)
    EXPECT_NE(refused(good.substr(0, size)), "no error") << size;
  string lying = good;
  lying.replace(8, 4, "\xff\xff\xff\xff");
  EXPECT_HAS(refused(lying), "beyond its end");
  const auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  for (int round = 0; round < 5000; ++round) {
    string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)refused(bytes);
  }
}

}  // namespace
}  // namespace tessera::data
