// Devices by name, and one program on each of them.
#include <gtest/gtest.h>

#include <algorithm>

#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/literal.hpp"
#include "tessera/ir/build.hpp"

namespace tessera {
namespace {

/// (a, b) -> (tanh(a b), sum of a, a).
ir::Graph program() {
  ir::Graph graph("program");
  ir::Builder build{graph};
  const ir::Value a = graph.parameter({DType::F32, {3, 40}}), b = graph.parameter({DType::F32, {40, 5}});
  const ir::Value product = build.dot_general(a, b, {{}, {}, {1}, {0}});
  graph.results = {build.unary(ir::Op::Tanh, product), build.sum(a, {0, 1}), a};
  return graph;
}

std::vector<Literal> arguments() {
  std::vector<Literal> list{Literal({DType::F32, {3, 40}}), Literal({DType::F32, {40, 5}})};
  for (Literal& literal : list)
    for (std::int64_t i = 0; i < literal.size(); ++i)
      literal.set_double(i, static_cast<double>((i * 37) % 19 - 9) / 32);
  return list;
}

std::vector<StoragePtr> run(const std::string& device, const std::vector<Literal>& values) {
  std::vector<StoragePtr> inputs;
  for (const Literal& value : values) inputs.push_back(value.storage());
  return backend({device}).compile(program(), {})->run(inputs);
}

TEST(Devices, CpuAgreesWithReference) {
  const auto values = arguments();
  const auto got = run("cpu", values), want = run("reference", values);
  ASSERT_EQ(got.size(), 3U);
  ASSERT_EQ(want.size(), 3U);
  const std::vector<TensorType> types = program().result_types();
  for (std::size_t r = 0; r < 3; ++r) {
    const Literal a(types[r], got[r]), b(types[r], want[r]);
    for (std::int64_t i = 0; i < a.size(); ++i)
      EXPECT_NEAR(a.get_double(i), b.get_double(i), 1e-5) << "result " << r << ", element " << i;
  }
}

TEST(Devices, NullGivesZerosOfTheRightSizes) {
  for (const char* device : {"null", "null:cpu", "null:cuda"}) {
    const auto got = run(device, arguments());
    ASSERT_EQ(got.size(), 3U) << device;
    const std::vector<TensorType> types = program().result_types();
    for (std::size_t r = 0; r < 3; ++r) {
      ASSERT_EQ(got[r]->bytes(), byte_size(types[r])) << device;
      EXPECT_TRUE(std::all_of(got[r]->data(), got[r]->data() + got[r]->bytes(), [](std::byte b) {
        return b == std::byte{0};
      })) << device;
    }
  }
}

TEST(Devices, WrongNumberOfInputs) {
  for (const char* device : {"cpu", "reference", "null"})
    EXPECT_THROW(backend({device}).compile(program(), {})->run({}), Error) << device;
}

/// A device of `devices()` that can be used.
bool has(const std::string& name) {
  const std::vector<DeviceInfo> list = devices();
  return std::any_of(list.begin(), list.end(), [&](const DeviceInfo& d) { return d.name == name && d.available; });
}

TEST(Devices, OneBackendPerName) {
  EXPECT_EQ(&backend({has("cuda") ? "cuda" : "cpu"}), &backend({"auto"}));
  EXPECT_EQ(&backend({"null"}), &backend({"null:cpu"}));
  EXPECT_NE(&backend({"null:cuda"}), &backend({"null:cpu"}));
  EXPECT_EQ(backend({"null:cuda"}).name(), "null:cuda");
}

/// What `backend` says of a device that is not to be had.
std::string refusal(const std::string& device) {
  try {
    backend({device});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Unsupported) << device;
    EXPECT_NE(std::string(error.what()).find('"' + device + '"'), std::string::npos) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Devices, UnknownOnesAreRefusedByName) {
  for (const char* device : {"pjrt:/lib/plugin.so", "", "tpu", "null:tpu", "cuda:", "cuda:x", "cuda:-1"})
    EXPECT_NE(refusal(device).find("tried cpu, cuda, cuda:N, reference"), std::string::npos) << refusal(device);
}

TEST(Devices, AGpuThatIsNotHereSaysWhatIsMissing) {
  if (has("cuda")) {
    EXPECT_NE(refusal("cuda:99").find("there is no GPU 99"), std::string::npos) << refusal("cuda:99");
    return;
  }
  for (const char* device : {"cuda", "cuda:1"}) {
    const std::string said = refusal(device);
    EXPECT_TRUE(said.find("NVIDIA driver") != std::string::npos || said.find("NVRTC") != std::string::npos) << said;
    EXPECT_NE(said.find("install"), std::string::npos) << said;
  }
}

TEST(Devices, ListNamesEachWithItsParts) {
  const std::vector<DeviceInfo> list = devices();
  ASSERT_FALSE(list.empty());
  EXPECT_EQ(list[0].name, "cpu");
  EXPECT_TRUE(list[0].available);
  EXPECT_GT(list[0].memory, std::size_t{1} << 28);
  for (const DeviceInfo& device : list) {
    EXPECT_FALSE(device.description.empty()) << device.name;
    for (const LibraryInfo& library : device.libraries) EXPECT_FALSE(library.note.empty()) << library.name;
    if (device.available)
      EXPECT_EQ(backend({device.name}).name(), device.name);
    else
      EXPECT_FALSE(device.libraries.empty()) << device.name << " does not say what is missing";
  }
}

}  // namespace
}  // namespace tessera
