// Where corpora come from: one function for each, and what they share. Used by data/corpora.cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tessera/data/corpora.hpp"

namespace tessera::data {

/// Pieces of text of one file and their translations. Of equal pieces, the whole document goes into one split.
struct CorpusDocument {
  std::string name;
  std::vector<std::pair<std::string, std::string>> pairs;
};

struct CorpusText {
  std::vector<CorpusDocument> documents;
  std::string licence;
  std::string note;
};

/// Throws Error (Unsupported): which packages are missing and how to get them.
[[noreturn]] void need_packages(const CorpusRequest& request, const std::vector<std::string>& packages,
                                const std::string& why);

/// Help pages of LibreOffice: paragraphs of the same page and id.
CorpusText read_libreoffice_help(const CorpusRequest& request);
/// Battle for Wesnoth: messages of the same catalogue.
CorpusText read_wesnoth(const CorpusRequest& request);
/// World English Bible and Reina-Valera 1909: verses, by the command mod2imp; a chapter is a document.
CorpusText read_sword(const CorpusRequest& request);

}  // namespace tessera::data
