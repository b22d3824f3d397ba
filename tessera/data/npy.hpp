// NumPy's files: NPY (one array, versions 1.0 to 3.0) and NPZ (a zip archive of them, stored or deflated).
// NumPy has no bfloat16: writing one is refused, and the raw bytes ('<V2') that stand for it elsewhere are too.
#pragma once

#include <map>
#include <string>

#include "tessera/core/literal.hpp"
#include "tessera/data/files.hpp"

namespace tessera::data {

/// `file` names the bytes in messages. Either byte order and either memory order; the result is row-major.
/// Throws Error at a damaged header, a type that is not a number, or values that are not exactly as many as declared.
Literal parse_npy(ByteView bytes, const std::string& file);
Literal read_npy(const Path& path);
/// Version 1.0, little-endian, row-major. Throws Error (Unsupported) for BF16.
Bytes format_npy(const Literal& literal);
void write_npy(const Path& path, const Literal& literal);

/// The arrays of an archive by name (without ".npy"). Members are checked against their checksums.
std::map<std::string, Literal> parse_npz(ByteView bytes, const std::string& file);
std::map<std::string, Literal> read_npz(const Path& path);
/// Members are stored, not compressed.
Bytes format_npz(const std::map<std::string, Literal>& arrays);
void write_npz(const Path& path, const std::map<std::string, Literal>& arrays);

}  // namespace tessera::data
