// IDX, the format of MNIST's files: a magic number, the extents, the values, all big-endian; plain or in gzip.
#pragma once

#include "tessera/core/literal.hpp"
#include "tessera/data/files.hpp"

namespace tessera::data {

/// `file` names the bytes in messages. Throws Error at a wrong magic number, extents that the data does not fill
/// exactly, or damaged gzip data.
Literal parse_idx(ByteView bytes, const std::string& file);
Literal read_idx(const Path& path);

}  // namespace tessera::data
