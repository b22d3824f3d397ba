// Files that come from outside: what is right reads back equal, what is wrong gives one clear message.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>

#include "tessera/core/error.hpp"
#include "tessera/data/bytes.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/data/idx.hpp"
#include "tessera/data/image.hpp"
#include "tessera/data/npy.hpp"
#include "tessera/data/safetensors.hpp"

namespace tessera::data {
namespace {

using std::string;

class Folder {
 public:
  Folder() {
    string name = (std::filesystem::temp_directory_path() / "tessera-data-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Path path;
};

string gz(const string& content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  string out(deflateBound(&stream, content.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

string big32(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}
string idx(int code, const std::vector<std::uint32_t>& extents, const string& values) {
  string s{'\0', '\0', static_cast<char>(code), static_cast<char>(extents.size())};
  for (const std::uint32_t e : extents) s += big32(e);
  return s + values;
}
string string_of(const Bytes& bytes) { return string(text(bytes)); }

/// The message of the Error that `f` throws; it must not take memory on the way.
string failure(const std::function<void()>& f) {
  const std::size_t before = host_memory().current;
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(host_memory().current, before);
    return e.what();
  }
  return "no error";
}

struct Bad {
  const char* name;
  string bytes;
  const char* message;
};

template <class Parse>
void expect_refused(const std::vector<Bad>& cases, Parse parse) {
  for (const Bad& c : cases) {
    const std::size_t peak = host_memory().peak;
    const string message = failure([&] { parse(view(c.bytes), "some.file"); });
    EXPECT_NE(message.find(c.message), string::npos) << c.name << ": " << message;
    EXPECT_EQ(message.rfind("some.file: ", 0), 0U) << c.name << ": " << message;
    EXPECT_LE(host_memory().peak, peak + (std::size_t{1} << 20)) << c.name << " took memory";
  }
}

TEST(Idx, ReadsAllTypesPlainAndCompressed) {
  const Literal bytes = parse_idx(view(idx(8, {2, 3}, "abcdef")), "f");
  EXPECT_EQ(bytes.type(), (TensorType{DType::U8, {2, 3}}));
  EXPECT_EQ(bytes.as<std::uint8_t>()[5], 'f');
  const Literal same = parse_idx(view(gz(idx(8, {2, 3}, "abcdef"))), "f");
  EXPECT_TRUE(same.identical(bytes));
  const Literal words = parse_idx(view(idx(0x0c, {2}, big32(1) + big32(0xfffffffe))), "f");
  EXPECT_EQ(words.as<std::int32_t>()[0], 1);
  EXPECT_EQ(words.as<std::int32_t>()[1], -2);
  const Literal floats = parse_idx(view(idx(0x0d, {1}, big32(0x3fc00000))), "f");
  EXPECT_EQ(floats.as<float>()[0], 1.5F);
  EXPECT_EQ(parse_idx(view(idx(8, {0, 28, 28}, "")), "f").size(), 0);
  // Two gzip members, one after the other, are one file.
  const string plain = idx(8, {4}, "wxyz");
  EXPECT_EQ(parse_idx(view(gz(plain.substr(0, 7)) + gz(plain.substr(7))), "f").as<std::uint8_t>()[3], 'z');
}

TEST(Idx, RefusesWhatIsWrong) {
  const string good = idx(8, {2, 3}, "abcdef");
  string corrupt = gz(idx(8, {1000}, string(1000, 'q')));
  corrupt[corrupt.size() - 6] ^= 1;
  expect_refused(
      {{"empty", "", "0 of 4 bytes of the magic number"},
       {"wrong magic", "RIFFxxxxxxxx", "is no IDX file: it begins with 0x52494646"},
       {"unknown type", idx(0x0a, {1}, "a"), "is no IDX file"},
       {"cut in extents", good.substr(0, 10), "of the extents are there"},
       {"cut in values", good.substr(0, good.size() - 1), "at most 5 bytes follow"},
       {"trailing bytes", good + "x", "goes on after the 6 bytes"},
       {"lying count", idx(8, {0xffffffff, 28, 28}, "abc"), "at most 3 bytes follow"},
       {"overflowing counts", idx(8, {0xffffffff, 0xffffffff, 0xffffffff}, "abc"), "more than memory can hold"},
       {"lying count in gzip", gz(idx(8, {0xffffffff}, "abc")), "bytes follow; the file is cut short"},
       {"lying count within what gzip could hold", gz(idx(8, {2000}, "abc")), "3 of 2000 bytes of the values"},
       {"trailing bytes in gzip", gz(good + "x"), "goes on after the 6 bytes"},
       {"trailing bytes after gzip", gz(good) + "xyz", "bytes follow the end of the compressed data"},
       {"one trailing byte after gzip", gz(good) + "x", "bytes follow the end of the compressed data"},
       {"truncated gzip", gz(good).substr(0, 20), "cut short"},
       {"gzip without its checksum", gz(good).substr(0, gz(good).size() - 8), "cut short"},
       {"corrupt gzip checksum", corrupt, "corrupt"}},
      parse_idx);
}

TEST(Npy, RoundTripsEveryType) {
  for (int i = 0; i <= static_cast<int>(DType::F64); ++i) {
    const auto dtype = static_cast<DType>(i);
    Literal literal({dtype, {2, 0, 3}});
    if (dtype == DType::BF16) {
      EXPECT_NE(failure([&] { format_npy(literal); }).find("bf16"), string::npos);
      continue;
    }
    EXPECT_TRUE(parse_npy(format_npy(literal), "f").identical(literal));
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{1, 4, 1, 2}}) {
      Literal values({dtype, shape});
      for (std::int64_t k = 0; k < values.size(); ++k) values.set_integer(k, dtype == DType::Bool ? k % 2 : k + 1);
      const Bytes bytes = format_npy(values);
      EXPECT_EQ((bytes.size() - values.bytes()) % 64, 0U);
      EXPECT_TRUE(parse_npy(bytes, "f").identical(values)) << to_string(values.type());
    }
  }
}

string npy(const string& header, const string& values, char version = 1) {
  string s = "\x93NUMPY";
  s += version;
  s += '\0';
  if (version == 1)
    append_little_endian(s, static_cast<std::uint16_t>(header.size()));
  else
    append_little_endian(s, static_cast<std::uint32_t>(header.size()));
  return s + header + values;
}

TEST(Npy, ReadsOrdersAndVersions) {
  // As numpy.asfortranarray([[1, 2, 3], [4, 5, 6]]) lies in memory.
  const string columns = npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", "\1\4\2\5\3\6", 2);
  const Literal rows = parse_npy(view(columns), "f");
  EXPECT_EQ(std::vector<int>(rows.as<std::uint8_t>().begin(), rows.as<std::uint8_t>().end()),
            (std::vector<int>{1, 2, 3, 4, 5, 6}));
  const string big = npy("{\"shape\": (2,), \"descr\": \">u2\", \"fortran_order\": False}", string("\1\2\3\4"), 3);
  EXPECT_EQ(parse_npy(view(big), "f").as<std::uint16_t>()[0], 0x0102);
  const string scalar = npy("{'descr':'=i4','fortran_order':False,'shape':()}", string("\7\0\0\0", 4));
  EXPECT_EQ(parse_npy(view(scalar), "f").as<std::int32_t>()[0], 7);
  // A truth value is 0 or 1 in memory, whatever the file says.
  const string odd = npy("{'descr':'|b1','fortran_order':False,'shape':(2,)}", string("\7\0", 2));
  EXPECT_EQ(parse_npy(view(odd), "f").get_integer(0), 1);
}

TEST(Npy, RefusesWhatIsWrong) {
  const auto with = [](const string& descr, const string& shape, const string& values) {
    return npy("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }", values);
  };
  expect_refused({{"empty", "", "is no NPY file"},
                  {"only the magic", "\x93NUMPY", "cut short"},
                  {"unknown version", npy("{}", "", 9), "NPY version 9.0"},
                  {"header longer than the file", npy("{}", "").substr(0, 8) + "\xff\xff",
                   "declares an NPY header of 65535 bytes"},
                  {"no dictionary", npy("hello", ""), "has no '{'"},
                  {"double key", npy("{'descr':'<f4','descr':'<f4'}", ""), "key 'descr' twice"},
                  {"unknown key", npy("{'colour':'<f4'}", ""), "unknown key 'colour'"},
                  {"missing key", npy("{'descr':'<f4','shape':(1,)}", "abcd"), "lacks one of the keys"},
                  {"text behind the dictionary", npy("{'descr':'|u1','fortran_order':False,'shape':(1,)} + 1", "a"),
                   "goes on after"},
                  {"negative extent", with("'<f4'", "(-1,)", ""), "no usable extent"},
                  {"huge extent", with("'<f4'", "(99999999999999999999,)", ""), "no usable extent"},
                  {"overflowing product", with("'<f4'", "(4611686018427387904, 16)", "abcd"), "bytes of values follow"},
                  {"lying count", with("'<f4'", "(4294967295,)", "abcd"), "but 4 bytes of values follow"},
                  {"trailing bytes", with("'|u1'", "(2,)", "abc"), "followed by something else"},
                  {"truncated values", with("'<f8'", "(2,)", "abc"), "cut short"},
                  {"records", with("[('a', '<f4')]", "(1,)", "abcd"), "describes records"},
                  {"objects, which would be pickle", with("'|O'", "(1,)", "abcd"), "'|O'"},
                  {"bfloat16", with("'<V2'", "(1,)", "ab"), "'<V2'"},
                  {"complex", with("'<c8'", "(1,)", "abcdefgh"), "'<c8'"},
                  {"too many dimensions",
                   with(
                       "'|u1'",
                       "(" +
                           [] {
                             string s;
                             for (int i = 0; i < 70; ++i) s += "1,";
                             return s;
                           }() +
                           ")",
                       "a"),
                   "more than 64"}},
                 parse_npy);
}

std::map<string, Literal> some_arrays() {
  return {{"a", Literal::from<float>({2, 2}, {1, 2, 3, 4})},
          {"b/c", Literal::from<std::int64_t>({}, {-7})},
          {"empty", Literal::from<float>({0}, {})}};
}

TEST(Npz, RoundTrips) {
  Folder folder;
  const auto arrays = some_arrays();
  write_npz(folder.path / "x.npz", arrays);
  const auto back = read_npz(folder.path / "x.npz");
  ASSERT_EQ(back.size(), arrays.size());
  for (const auto& [name, literal] : arrays) EXPECT_TRUE(back.at(name).identical(literal)) << name;
  EXPECT_EQ(format_npz(arrays), format_npz(arrays));
  EXPECT_TRUE(parse_npz(format_npz({}), "f").empty());
}

/// An archive with one deflated member, and what its directory says about it.
string deflated_npz(const Literal& literal, std::uint32_t claimed_size) {
  const string content = string_of(format_npy(literal));
  const string packed = gz(content);
  const string body = packed.substr(10, packed.size() - 18);
  string stored = string_of(format_npz({{"a", literal}}));
  const auto put = [&](std::size_t at, std::uint32_t v, int n) {
    for (int i = 0; i < n; ++i) stored[at + static_cast<std::size_t>(i)] = static_cast<char>(v >> (8 * i));
  };
  const std::size_t name = 5, directory = 30 + name + content.size();
  put(directory + 10, 8, 2);
  put(directory + 20, static_cast<std::uint32_t>(body.size()), 4);
  put(directory + 24, claimed_size, 4);
  put(stored.size() - 6, static_cast<std::uint32_t>(30 + name + body.size()), 4);
  return stored.substr(0, 30 + name) + body + stored.substr(directory);
}

TEST(Npz, RefusesWhatIsWrong) {
  const Literal zeros = Literal::full({DType::U8, {100000}}, 0);
  const auto size = static_cast<std::uint32_t>(format_npy(zeros).size());
  EXPECT_TRUE(parse_npz(view(deflated_npz(zeros, size)), "f").at("a").identical(zeros));

  const string good = string_of(format_npz(some_arrays()));
  const auto changed = [&](std::size_t at, char value) {
    string s = good;
    s[at] = value;
    return s;
  };
  const std::size_t end = good.size() - 22;
  const std::size_t directory =
      static_cast<unsigned char>(good[end + 16]) + 256 * static_cast<unsigned char>(good[end + 17]);
  // Every member claims a place beyond the archive.
  string elsewhere = good;
  for (std::size_t at = directory; (at = elsewhere.find("PK\x01\x02", at)) != string::npos; ++at)
    elsewhere[at + 44] = 1;
  string renamed = good;
  renamed.replace(renamed.find("b/c.npy", directory), 7, "b/c.txt");
  expect_refused({{"empty", "", "is no NPZ"},
                  {"not an archive", string(100, 'x'), "is no NPZ"},
                  {"cut short", good.substr(0, good.size() - 5), "no directory at its end"},
                  {"trailing bytes", good + "x", "no directory at its end"},
                  {"a byte in front", "P" + good, "is no NPZ"},
                  {"values changed", changed(100, 'x'), "does not match its checksum"},
                  {"wrong number of members", changed(end + 10, 9), "3 entries and not the 9"},
                  {"directory elsewhere", changed(end + 16, static_cast<char>(good[end + 16] + 1)), "it must end at"},
                  {"encrypted", changed(directory + 8, 1), "encrypted"},
                  {"unknown method", changed(directory + 10, 12), "packed by method 12"},
                  {"stored with two sizes", changed(directory + 24, 1), "bytes packed and 1 unpacked"},
                  {"member elsewhere", changed(directory + 42, 2), "no header at the place"},
                  {"member longer than the archive", changed(directory + 23, 0x7f), "more than the archive has there"},
                  {"all members elsewhere", elsewhere, "no header at the place"},
                  {"overlapping members", changed(directory + 21, 1), "more than the archive has there"},
                  {"no array", renamed, "holds nothing else"},
                  {"deflate that holds less", deflated_npz(zeros, size + 1), "unpacks to less"},
                  {"deflate that holds more", deflated_npz(zeros, size - 1), "unpacks to more"},
                  {"deflate with a lying size", deflated_npz(zeros, 0xffffffff), "more than its"}},
                 parse_npz);
  string same_name = string_of(format_npz({{"a", zeros}, {"b", zeros}}));
  same_name[same_name.rfind("b.npy")] = 'a';
  expect_refused({{"double name", same_name, "is there twice"}}, parse_npz);
}

string safetensors(const string& header, const string& values) {
  string s;
  append_little_endian(s, static_cast<std::uint64_t>(header.size()));
  return s + header + values;
}

TEST(Safetensors, RoundTrips) {
  NamedTensors content{some_arrays(), {{"step", "12"}, {"quote", "\"\\\n"}}};
  for (int i = 0; i <= static_cast<int>(DType::F64); ++i)
    content.tensors.emplace("t" + std::to_string(i), Literal::full({static_cast<DType>(i), {3}}, 1));
  const Bytes bytes = format_safetensors(content);
  const NamedTensors back = parse_safetensors(bytes, "f");
  ASSERT_EQ(back.tensors.size(), content.tensors.size());
  for (const auto& [name, literal] : content.tensors) EXPECT_TRUE(back.tensors.at(name).identical(literal)) << name;
  EXPECT_EQ(back.metadata, content.metadata);
  EXPECT_EQ(bytes, format_safetensors(back));
  EXPECT_EQ(little_endian<std::uint64_t>(bytes.data()) % 8, 0U);
  // Trailing blanks of the header, an empty file and a scalar are allowed.
  EXPECT_EQ(parse_safetensors(view(safetensors("{}     ", "")), "f").tensors.size(), 0U);
  EXPECT_EQ(parse_safetensors(view(safetensors(R"({"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "a")), "f")
                .tensors.at("s")
                .get_integer(0),
            'a');
}

TEST(Safetensors, RefusesWhatIsWrong) {
  const auto one = [](const string& entry, const string& values) {
    return safetensors("{\"t\":" + entry + "}", values);
  };
  const string good = R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  string large = safetensors("{}", "");
  large[7] = 1;
  expect_refused(
      {{"header too small", "abc", "has 3 bytes"},
       {"header too large", large, "at most 100000000 are allowed"},
       {"header length beyond the file", safetensors("{}", "").substr(0, 9), "but 1 follow; the file is cut short"},
       {"header not JSON", safetensors("{\"t\":", ""), "is not valid JSON"},
       {"header not UTF-8", safetensors("{\"\xff\":1}", ""), "is not valid JSON"},
       {"leading blank", safetensors(" {}", ""), "does not begin with '{'"},
       {"empty header", safetensors("", ""), "does not begin with '{'"},
       {"two documents", safetensors("{}{}", ""), "is not valid JSON"},
       {"double tensor", safetensors("{\"t\":" + good + ",\"t\":" + good + "}", "ab"), "the key 't' is there twice"},
       {"double metadata", safetensors(R"({"__metadata__":{},"__metadata__":{}})", ""), "is there twice"},
       {"double field", one(R"({"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]})", "ab"),
        "'dtype' of 't' is there twice"},
       {"unknown field", one(R"({"dtype":"U8","shape":[2],"data_offsets":[0,2],"x":1})", "ab"), "unknown key 'x'"},
       {"missing field", one(R"({"dtype":"U8","shape":[2]})", "ab"), "lacks one of"},
       {"one offset", one(R"({"dtype":"U8","shape":[2],"data_offsets":[0]})", "ab"), "lacks one of"},
       {"three offsets", one(R"({"dtype":"U8","shape":[2],"data_offsets":[0,2,2]})", "ab"), "more than two"},
       {"unknown type", one(R"({"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]})", "ab"), "'F8_E4M3'"},
       {"tensor is no object", one("3", ""), "stands where it does not belong"},
       {"deep nesting", safetensors("{\"t\":" + string(1000, '{'), ""), "is not valid JSON"},
       {"negative extent", one(R"({"dtype":"U8","shape":[-2],"data_offsets":[0,2]})", "ab"), "a negative number"},
       {"fractional extent", one(R"({"dtype":"U8","shape":[2.0],"data_offsets":[0,2]})", "ab"), "the number 2.0"},
       {"extent past 64 bits", one(R"({"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,2]})", "ab"),
        "the number"},
       {"overflowing product", one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,2]})", "ab"),
        "the header is damaged"},
       {"shape and offsets disagree", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,2]})", "ab"), "hold 2 bytes"},
       {"reversed offsets", one(R"({"dtype":"U8","shape":[2],"data_offsets":[2,0]})", "ab"),
        "has the data_offsets [2, 0]"},
       {"incomplete buffer", one(R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})", "ab"),
        "but 2 bytes of values follow"},
       {"trailing bytes", one(good, "abc"), "1 bytes follow the last tensor"},
       {"gap", one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})", "ab"), "begins at 1 and not at 0"},
       {"overlap", safetensors("{\"a\":" + good + R"(,"t":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "abc"),
        "neither overlap"},
       {"metadata of numbers", safetensors(R"({"__metadata__":{"a":1}})", ""), "stands where it does not belong"}},
      parse_safetensors);
}

TEST(Image, PngRoundTripsAndEverythingElseIsRefused) {
  std::mt19937 random(1);
  for (const std::int64_t channels : {1, 3}) {
    Literal image({DType::U8, {5, 7, channels}});
    for (auto& v : image.as<std::uint8_t>()) v = static_cast<std::uint8_t>(random());
    const Bytes png = encode_png(image);
    EXPECT_TRUE(decode_image(png, "f").identical(image));
    EXPECT_TRUE(decode_image(format_npy(image), "f").identical(image));
    expect_refused({{"truncated", string_of(png).substr(0, png.size() - 20), "damaged PNG"}}, decode_image);
  }
  string huge = string_of(encode_png(Literal::full({DType::U8, {1, 1, 1}}, 0)));
  huge[16] = 0x01;  // the width becomes 16,777,217 pixels
  const std::uint32_t sum = static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(&huge[12]), 17));
  huge.replace(29, 4, big32(sum));
  expect_refused(
      {{"huge", huge, "PNG picture"},
       {"no picture", "hello", "is neither a PNG"},
       {"empty", "", "is neither a PNG"},
       {"JPEG without content", "\xff\xd8\xff\xe0", "damaged JPEG"},
       {"array of another shape", string_of(format_npy(Literal::full({DType::U8, {4}}, 0))), "holds ui8[4]"}},
      decode_image);
}

TEST(Image, ReadsJpeg) {
  // Four by two pixels of the grey value 200, as libjpeg wrote them.
  const string hex =
      "ffd8ffe000104a46494600010100000100010000ffdb00430002010101010102010101020202020204030202020205040403040605060606"
      "05060606"
      "070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affc0000b080002000401011100ffc4001400010000000000000000"
      "00000000"
      "00000009ffc40014100100000000000000000000000000000000ffda0008010100003f00481fffd9";
  string jpeg;
  for (std::size_t i = 0; i < hex.size(); i += 2) jpeg += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  const Literal image = decode_image(view(jpeg), "f");
  ASSERT_EQ(image.shape(), (Shape{2, 4, 1}));
  for (const std::uint8_t v : image.as<std::uint8_t>()) EXPECT_NEAR(v, 200, 1);
  expect_refused({{"truncated", jpeg.substr(0, jpeg.size() - 8), "damaged JPEG"}}, decode_image);
}

TEST(Image, FittingAveragesAreas) {
  const Literal image = Literal::from<std::uint8_t>({2, 4, 1}, {0, 100, 10, 20, 100, 200, 30, 40});
  const Literal half = fit_image(image, 1, 2, 1);
  EXPECT_EQ(half.as<std::uint8_t>()[0], 100);
  EXPECT_EQ(half.as<std::uint8_t>()[1], 25);
  EXPECT_TRUE(fit_image(image, 2, 4, 1).identical(image));
  EXPECT_EQ(fit_image(image, 4, 8, 3).as<std::uint8_t>()[3 * 2], 100);
  const Literal red = Literal::from<std::uint8_t>({1, 1, 3}, {255, 0, 0});
  EXPECT_EQ(fit_image(red, 1, 1, 1).as<std::uint8_t>()[0], 76);
}

struct Set {
  string train_images = idx(8, {3, 2, 2}, "abcdefghijkl"), train_labels = idx(8, {3}, string("\0\1\2", 3));
  string test_images = idx(8, {1, 2, 2}, "abcd"), test_labels = idx(8, {1}, "\1");
};

void save(const Set& set, const Path& folder) {
  write_file(folder / "train-images-idx3-ubyte", set.train_images);
  write_file(folder / "train-labels-idx1-ubyte.gz", gz(set.train_labels));
  write_file(folder / "t10k-images-idx3-ubyte.gz", gz(set.test_images));
  write_file(folder / "t10k-labels-idx1-ubyte", set.test_labels);
}

TEST(Dataset, LoadsIdxPairsAndNpz) {
  Folder folder;
  save({}, folder.path);
  const ImageDataset set = load_images(folder.path);
  EXPECT_EQ(set.train.images.shape(), (Shape{3, 2, 2, 1}));
  EXPECT_EQ(set.image_shape(), (Shape{2, 2, 1}));
  EXPECT_EQ(set.classes, (std::vector<string>{"0", "1", "2"}));
  EXPECT_EQ(set.split("test").labels.as<std::int32_t>()[0], 1);
  EXPECT_THROW((void)set.split("valid"), Error);
  EXPECT_THROW((void)set.split("nonsense"), Error);

  const std::map<string, Literal> arrays{{"train_images", Literal::full({DType::U8, {2, 4, 4}}, 7)},
                                         {"train_labels", Literal::from<std::uint8_t>({2, 1}, {0, 1})},
                                         {"val_images", Literal::full({DType::U8, {1, 4, 4}}, 7)},
                                         {"val_labels", Literal::from<std::uint8_t>({1, 1}, {0})},
                                         {"test_images", Literal::full({DType::U8, {1, 4, 4}}, 7)},
                                         {"test_labels", Literal::from<std::uint8_t>({1, 1}, {1})}};
  Folder other;
  write_npz(other.path / "set.npz", arrays);
  for (const Path& path : {other.path, other.path / "set.npz"}) {
    const ImageDataset npz = load_images(path, {"well", "ill"});
    EXPECT_EQ(npz.valid.size(), 1);
    EXPECT_EQ(npz.train.images.shape(), (Shape{2, 4, 4, 1}));
    EXPECT_EQ(npz.classes[1], "ill");
  }
}

TEST(Dataset, RefusesWhatIsWrong) {
  const auto message = [](const Set& set, const std::vector<string>& classes = {},
                          const std::function<void(const Path&)>& damage = {}) {
    Folder folder;
    save(set, folder.path);
    if (damage) damage(folder.path);
    return failure([&] { (void)load_images(folder.path, classes); });
  };
  const auto expect = [](const string& text, const string& part) { EXPECT_NE(text.find(part), string::npos) << text; };
  EXPECT_EQ(message({}), "no error");
  expect(message({.train_labels = idx(8, {3}, "\1\1\11")}, {"a", "b", "c"}),
         "train-labels-idx1-ubyte.gz: the label at index 2 is 9, but there are 3 classes");
  expect(message({.test_labels = idx(8, {1}, "\7")}), "t10k-labels-idx1-ubyte: the label at index 0 is 7");
  expect(message({.train_labels = idx(9, {3}, "\1\xff\1")}), "the label at index 1 is -1");
  expect(message({.train_labels = idx(8, {2}, "\1\1")}), "has 2 labels for the 3 pictures");
  expect(message({.train_images = idx(8, {3}, "abc")}), "holds ui8[3]");
  expect(message({.train_images = idx(8, {0, 2, 2}, ""), .train_labels = idx(8, {0}, "")}), "holds no pictures");
  expect(message({.test_images = idx(8, {1, 1, 4}, "abcd")}), "pictures of another size");
  expect(message({}, {}, [](const Path& p) { std::filesystem::remove(p / "t10k-labels-idx1-ubyte"); }),
         "t10k-labels-idx1-ubyte: is missing");
  expect(message({}, {}, [](const Path& p) { std::filesystem::remove(p / "train-images-idx3-ubyte"); }),
         "train-images-idx3-ubyte: is missing");
  Folder empty;
  expect(failure([&] { (void)load_images(empty.path); }), "give the folder of a data set with --data");
  expect(failure([&] { (void)load_images(empty.path / "nowhere"); }), "dataset-fashion-mnist");
}

TEST(Dataset, LoadsFashionMnist) {
  const Path path = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const ImageDataset set = load_images(path, fashion_mnist_classes());
  EXPECT_EQ(set.train.images.shape(), (Shape{60000, 28, 28, 1}));
  EXPECT_EQ(set.test.size(), 10000);
  std::vector<int> counts(10);
  for (const std::int32_t label : set.test.labels.as<std::int32_t>()) ++counts[static_cast<std::size_t>(label)];
  EXPECT_EQ(counts, std::vector<int>(10, 1000));
  const auto pixels = set.train.images.as<std::uint8_t>();
  const double mean = std::accumulate(pixels.begin(), pixels.end(), 0.0) / (255.0 * static_cast<double>(pixels.size()));
  EXPECT_NEAR(mean, 0.2860, 0.0001);
}

TEST(Files, AreWrittenWholeOrNotAtAll) {
  Folder folder;
  write_file(folder.path / "a", "first");
  write_file(folder.path / "a", "second");
  EXPECT_EQ(read_text(folder.path / "a"), "second");
  EXPECT_NE(failure([&] { write_file(folder.path / "no" / "a", "x"); }).find("cannot be written: No such file"),
            string::npos);
  // A limit on the size of files stands for a full disk: the old content stays, and nothing else is left behind.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{100, old.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_NE(
      failure([&] { write_file(folder.path / "a", string(1000, 'x')); }).find("cannot be written: File too large"),
      string::npos);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(read_text(folder.path / "a"), "second");
  EXPECT_NE(failure([&] { (void)read_file(folder.path); }).find("is a folder"), string::npos);
  EXPECT_NE(failure([&] { (void)read_file(folder.path / "a", 3); }).find("has 6 bytes; at most 3"), string::npos);
  EXPECT_NE(failure([&] { (void)read_file("/dev/null"); }).find("no regular file"), string::npos);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path), {}), 1);
}

TEST(Fuzz, RandomDamageNeverEscapesAsAnythingButAnError) {
  const std::uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const NamedTensors tensors{some_arrays(), {{"k", "v"}}};
  const std::vector<std::pair<string, std::function<void(ByteView)>>> readers{
      {idx(8, {2, 3}, "abcdef"), [](ByteView b) { (void)parse_idx(b, "f"); }},
      {gz(idx(8, {2, 3}, "abcdef")), [](ByteView b) { (void)parse_idx(b, "f"); }},
      {string_of(format_npy(Literal::from<float>({2, 2}, {1, 2, 3, 4}))), [](ByteView b) { (void)parse_npy(b, "f"); }},
      {string_of(format_npz(some_arrays())), [](ByteView b) { (void)parse_npz(b, "f"); }},
      {string_of(format_safetensors(tensors)), [](ByteView b) { (void)parse_safetensors(b, "f"); }},
      {string_of(encode_png(Literal::full({DType::U8, {4, 4, 1}}, 9))),
       [](ByteView b) { (void)decode_image(b, "f"); }}};
  for (const auto& [good, parse] : readers) {
    for (int round = 0; round < 2000; ++round) {
      string bytes = good;
      for (unsigned n = random() % 4; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
      if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 1));
      try {
        parse(view(bytes));
      } catch (const Error&) {
        // Anything but this would end the test.
      }
    }
  }
}

}  // namespace
}  // namespace tessera::data
