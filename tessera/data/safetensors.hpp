// safetensors: named tensors and text beside them, in one file. A length, a JSON header, the values, little-endian.
#pragma once

#include <map>
#include <string>

#include "tessera/core/literal.hpp"
#include "tessera/data/files.hpp"

namespace tessera::data {

/// What a safetensors file holds.
struct NamedTensors {
  std::map<std::string, Literal> tensors;
  std::map<std::string, std::string> metadata;
};

/// `file` names the bytes in messages. Throws Error unless the header is well-formed JSON of at most 100 MB without
/// double keys, and the tensors cover the bytes behind it exactly, without gaps or overlaps.
NamedTensors parse_safetensors(ByteView bytes, const std::string& file);
NamedTensors read_safetensors(const Path& path);
/// Tensors in the order of their names: equal content gives equal bytes.
void write_safetensors(const Path& path, const NamedTensors& content);
Bytes format_safetensors(const NamedTensors& content);

}  // namespace tessera::data
