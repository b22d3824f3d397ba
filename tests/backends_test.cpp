// Every case of the case table against the interpreter, on the CPU or the device that TESSERA_TEST_DEVICE names. Many
// cases make one program, so that their kernels are compiled together.
#include <gtest/gtest.h>

#include "cases.hpp"
#include "device.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/ir/primitive.hpp"

namespace tessera {
namespace {

using namespace ir;
using cases::Case;

constexpr std::size_t kGroup = 64;
constexpr std::uint64_t kSeed = 4;

/// One program of several cases, its arguments, and where the results of each case begin.
struct Group {
  Graph graph;
  std::vector<Literal> arguments;
  std::vector<std::size_t> first_result;
};

Group combine(std::span<const Case> items) {
  Group group;
  for (const Case& item : items) {
    const GraphPtr one = cases::graph_of(item);
    Values parameters;
    for (const TensorType& type : one->parameter_types()) parameters.push_back(group.graph.parameter(type));
    const std::vector<Literal> arguments = cases::arguments_of(item, *one, kSeed);
    group.arguments.insert(group.arguments.end(), arguments.begin(), arguments.end());
    group.first_result.push_back(group.graph.results.size());
    const Values results = group.graph.inline_graph(*one, parameters);
    group.graph.results.insert(group.graph.results.end(), results.begin(), results.end());
  }
  return group;
}

/// Runs the cases as one program and compares their results with the interpreter's.
void compare(std::span<const Case> items) {
  const Group group = combine(items);
  std::vector<StoragePtr> inputs;
  for (const Literal& argument : group.arguments) inputs.push_back(argument.storage());
  const std::vector<StoragePtr> outputs = backend({test_device()}).compile(group.graph, {})->run(inputs);
  const std::vector<Literal> expected = interpret(group.graph, group.arguments);
  for (std::size_t c = 0; c < items.size(); ++c) {
    const std::size_t end = c + 1 < items.size() ? group.first_result[c + 1] : expected.size();
    for (std::size_t r = group.first_result[c]; r < end; ++r)
      EXPECT_EQ(cases::difference(Literal(expected[r].type(), outputs[r]), expected[r], items[c].slack), "")
          << items[c].name << ", result " << r - group.first_result[c];
  }
}

class Backends : public testing::TestWithParam<std::size_t> {};

TEST_P(Backends, CasesOnTheDeviceMatchTheInterpreter) {
  const std::size_t start = GetParam() * kGroup;
  const std::span<const Case> items(cases::all().data() + start, std::min(kGroup, cases::all().size() - start));
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  try {
    compare(items);
  } catch (const Error& error) {  // of all of them: which one is it?
    ADD_FAILURE() << items.front().name << " to " << items.back().name << ": " << error.what();
    for (std::size_t c = 0; c < items.size(); ++c) {
      try {
        compare(items.subspan(c, 1));
      } catch (const Error& one) {
        ADD_FAILURE() << items[c].name << ": " << one.what();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, Backends, testing::Range<std::size_t>(0, (cases::all().size() + kGroup - 1) / kGroup));

}  // namespace
}  // namespace tessera
