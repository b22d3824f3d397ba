// NPZ: a zip archive of NPY files. The central directory at the end says what there is; everything it claims is
// checked against the bytes before anything is unpacked.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/data/bytes.hpp"
#include "tessera/data/npy.hpp"

namespace tessera::data {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22;

struct Member {
  std::string name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t checksum = 0;
  std::uint64_t packed = 0, unpacked = 0, offset = 0;
};

std::uint32_t checksum_of(ByteView bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::size_t find_end(ByteView bytes, const std::string& file) {
  if (bytes.size() < kEndSize || little_endian<std::uint16_t>(bytes.data()) != 0x4b50)
    bad_file(file, "is no NPZ (zip) archive");
  const std::size_t last = bytes.size() - kEndSize;
  for (std::size_t back = 0; back <= std::min<std::size_t>(last, 0xffff); ++back) {
    const std::byte* at = &bytes[last - back];
    if (little_endian<std::uint32_t>(at) == kEnd && little_endian<std::uint16_t>(at + 20) == back) return last - back;
  }
  bad_file(file, "has no directory at its end: the archive is cut short");
}

std::vector<Member> read_directory(ByteView bytes, const std::string& file) {
  const std::size_t end = find_end(bytes, file);
  const std::byte* record = &bytes[end];
  const auto count = little_endian<std::uint16_t>(record + 10);
  const std::uint64_t size = little_endian<std::uint32_t>(record + 12),
                      offset = little_endian<std::uint32_t>(record + 16);
  if (count == 0xffff || size == 0xffffffff || offset == 0xffffffff)
    throw Error(
        ErrorKind::Unsupported,
        file +
            ": is a zip archive of more than 4 GiB or 65,534 members, which is not read; save its arrays as NPY files");
  if (offset + size != end)
    bad_file(file, fmt::format("declares a directory of {} bytes at {}, but it must end at {}; the archive is damaged",
                               size, offset, end));
  std::vector<Member> members;
  std::size_t at = offset;
  for (unsigned i = 0; i < count; ++i) {
    if (end - at < kCentralSize || little_endian<std::uint32_t>(&bytes[at]) != kCentral)
      bad_file(file, fmt::format("the directory has {} entries and not the {} it declares; the archive is damaged", i,
                                 count));
    const std::byte* entry = &bytes[at];
    const std::size_t name = little_endian<std::uint16_t>(entry + 28);
    const std::size_t more =
        std::size_t{little_endian<std::uint16_t>(entry + 30)} + little_endian<std::uint16_t>(entry + 32);
    if (end - at - kCentralSize < name + more) bad_file(file, "the directory is cut short; the archive is damaged");
    members.push_back({.name = std::string(text(bytes.subspan(at + kCentralSize, name))),
                       .flags = little_endian<std::uint16_t>(entry + 8),
                       .method = little_endian<std::uint16_t>(entry + 10),
                       .checksum = little_endian<std::uint32_t>(entry + 16),
                       .packed = little_endian<std::uint32_t>(entry + 20),
                       .unpacked = little_endian<std::uint32_t>(entry + 24),
                       .offset = little_endian<std::uint32_t>(entry + 42)});
    at += kCentralSize + name + more;
  }
  if (at != end) bad_file(file, "the directory goes on after its last entry; the archive is damaged");
  return members;
}

/// The packed bytes of a member; they lie before `limit`.
ByteView packed_bytes(ByteView bytes, const Member& m, std::uint64_t limit, const std::string& where) {
  if (limit < kLocalSize || m.offset > limit - kLocalSize || little_endian<std::uint32_t>(&bytes[m.offset]) != kLocal)
    bad_file(where, "has no header at the place that the directory names; the archive is damaged");
  const std::byte* local = &bytes[m.offset];
  const std::uint64_t begin =
      m.offset + kLocalSize + little_endian<std::uint16_t>(local + 26) + little_endian<std::uint16_t>(local + 28);
  if (begin > limit || m.packed > limit - begin)
    bad_file(where,
             fmt::format("declares {} bytes, more than the archive has there; the archive is damaged", m.packed));
  return bytes.subspan(begin, m.packed);
}

Literal read_member(ByteView packed, const Member& m, const std::string& where) {
  if ((m.flags & 1) != 0)
    throw Error(ErrorKind::Unsupported, where + ": is encrypted, which is not read; save it without a password");
  ByteView content = packed;
  Bytes unpacked;
  if (m.method == 8) {
    if (m.unpacked > m.packed * kMaxInflation)
      bad_file(where,
               fmt::format("declares {} bytes, more than its {} compressed bytes can hold; the archive is damaged",
                           m.unpacked, m.packed));
    unpacked.resize(m.unpacked);
    Inflater inflater(packed, Inflater::Format::Deflate, where);
    const std::size_t got = inflater.read(unpacked);
    if (got != unpacked.size() || !inflater.at_end())
      bad_file(where, fmt::format("unpacks to {} than the {} bytes that the directory declares; the archive is damaged",
                                  got < unpacked.size() ? "less" : "more", m.unpacked));
    content = unpacked;
  } else if (m.method != 0) {
    throw Error(
        ErrorKind::Unsupported,
        fmt::format("{}: is packed by method {}; stored (0) and deflated (8) members are read", where, m.method));
  } else if (m.packed != m.unpacked) {
    bad_file(where, fmt::format("is stored, but declares {} bytes packed and {} unpacked; the archive is damaged",
                                m.packed, m.unpacked));
  }
  if (checksum_of(content) != m.checksum) bad_file(where, "does not match its checksum; the archive is damaged");
  return parse_npy(content, where);
}

void append_header(Bytes& to, bool central, const std::string& name, const Bytes& content, std::uint32_t checksum,
                   std::uint32_t offset) {
  const auto put16 = [&](std::size_t v) { append_little_endian(to, static_cast<std::uint16_t>(v)); };
  const auto put32 = [&](std::size_t v) { append_little_endian(to, static_cast<std::uint32_t>(v)); };
  put32(central ? kCentral : kLocal);
  if (central) put16(20);  // version made by
  put16(20);               // version needed
  put16(0x0800);           // flags: the name is UTF-8
  put16(0);                // stored
  put16(0), put16(0x21);   // time and date: 1980-01-01, so that equal arrays give equal files
  put32(checksum);
  put32(content.size()), put32(content.size());
  put16(name.size());
  put16(0);  // no extra field
  if (central) {
    put16(0), put16(0), put16(0);  // comment, disk, attributes
    put32(0);
    put32(offset);
  }
  for (const std::byte b : view(name)) to.push_back(b);
}

}  // namespace

std::map<std::string, Literal> parse_npz(ByteView bytes, const std::string& file) {
  std::vector<Member> members = read_directory(bytes, file);
  // Members must lie one after another: overlapping ones are how small archives unpack to huge ones.
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.offset < b.offset; });
  const std::uint64_t directory = little_endian<std::uint32_t>(&bytes[find_end(bytes, file) + 16]);
  std::map<std::string, Literal> arrays;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Member& m = members[i];
    const std::string where = file + ": " + m.name;
    if (!m.name.ends_with(".npy")) bad_file(where, "is no NPY file; an NPZ archive holds nothing else");
    const std::string name = m.name.substr(0, m.name.size() - 4);
    if (arrays.contains(name)) bad_file(where, "is there twice");
    // The next member's offset is a claim too.
    const std::uint64_t limit = i + 1 < members.size() ? std::min(members[i + 1].offset, directory) : directory;
    arrays.emplace(name, read_member(packed_bytes(bytes, m, limit, where), m, where));
  }
  return arrays;
}

std::map<std::string, Literal> read_npz(const Path& path) { return parse_npz(read_file(path), path); }

Bytes format_npz(const std::map<std::string, Literal>& arrays) {
  Bytes result;
  Bytes directory;
  for (const auto& [key, literal] : arrays) {
    const std::string name = key + ".npy";
    const Bytes content = format_npy(literal);
    constexpr std::uint64_t limit = std::numeric_limits<std::uint32_t>::max();
    if (name.size() > 0xffff || arrays.size() >= 0xffff ||
        result.size() + name.size() + content.size() + kLocalSize >= limit)
      throw Error(ErrorKind::Unsupported,
                  "NPZ files of more than 4 GiB are not written; write safetensors, or one NPY file for each array");
    const std::uint32_t checksum = checksum_of(content);
    append_header(directory, true, name, content, checksum, static_cast<std::uint32_t>(result.size()));
    append_header(result, false, name, content, checksum, 0);
    result.insert(result.end(), content.begin(), content.end());
  }
  const std::size_t offset = result.size();
  result.insert(result.end(), directory.begin(), directory.end());
  append_little_endian(result, kEnd);
  append_little_endian(result, std::uint32_t{0});  // this disk, the directory's disk
  append_little_endian(result, static_cast<std::uint16_t>(arrays.size()));
  append_little_endian(result, static_cast<std::uint16_t>(arrays.size()));
  append_little_endian(result, static_cast<std::uint32_t>(directory.size()));
  append_little_endian(result, static_cast<std::uint32_t>(offset));
  append_little_endian(result, std::uint16_t{0});
  return result;
}

void write_npz(const Path& path, const std::map<std::string, Literal>& arrays) {
  write_file(path, {format_npz(arrays)});
}

}  // namespace tessera::data
