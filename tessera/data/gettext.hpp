// Compiled gettext catalogues (.mo): messages and their translations. In: bytes, not trusted. Used by data/corpora.cpp.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/data/files.hpp"

namespace tessera::data {

/// Message and translation, in the catalogue's order; both point into `bytes`. Contexts are left out; a message with
/// plural forms gives two. Throws Error "FILE: ..." for bytes that are no catalogue.
std::vector<std::pair<std::string_view, std::string_view>> parse_catalogue(ByteView bytes, const std::string& file);

}  // namespace tessera::data
