// Pieces of HTML that pages are made of. Read next: train/report_page.cpp, the page of a run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tessera/train/translate.hpp"

namespace tessera::train {

/// Text that stands for itself in HTML, attributes included.
std::string escape_html(std::string_view text);

/// A page of its own, light and dark, that loads nothing. `body` is HTML, the others are text.
std::string format_document(const std::string& title, const std::string& description, const std::string& body,
                            const std::string& footer);

/// Pictures of how translations attended to their sources; nothing for none.
std::string format_alignments(const std::vector<Alignment>& alignments);

}  // namespace tessera::train
