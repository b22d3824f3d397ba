// The table of primitives and its rules, case by case (tests/cases.hpp): types, derivatives against finite differences
// in f64, forward against reverse mode, vectorisation against a loop, text there and back. Values are tested in
// semantics_test.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "cases.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/ir/text.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {
namespace {

using namespace ir;
using cases::Case;

constexpr std::uint64_t kSeed = 20240607;

std::vector<Literal> random_like(const std::vector<TensorType>& types, std::uint64_t seed) {
  std::vector<Literal> list;
  for (const TensorType& type : types) list.push_back(cases::random_literal(type, {-1, 1}, seed++));
  return list;
}

std::vector<bool> floats_of(const std::vector<TensorType>& types) {
  std::vector<bool> list;
  for (const TensorType& type : types) list.push_back(is_float(type.dtype));
  return list;
}

std::vector<TensorType> selected(const std::vector<TensorType>& types, const std::vector<bool>& which) {
  std::vector<TensorType> list;
  for (std::size_t i = 0; i < types.size(); ++i)
    if (which[i]) list.push_back(types[i]);
  return list;
}

std::vector<Literal> concatenated(std::vector<Literal> a, const std::vector<Literal>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// a + scale * b
Literal moved(const Literal& a, const Literal& b, double scale) {
  Literal sum(a.type());
  for (std::int64_t i = 0; i < a.size(); ++i) sum.set_double(i, a.get_double(i) + scale * b.get_double(i));
  return sum;
}

double dot(const Literal& a, const Literal& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += a.get_double(i) * b.get_double(i);
  return sum;
}

/// Calls f(case) for each; what fails is labelled with its name.
template <class F>
void for_each_case(F&& f) {
  for (const Case& item : cases::all()) {
    SCOPED_TRACE(item.name + ", seed " + std::to_string(kSeed));
    try {
      f(item);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Table, EveryRuleIsThereOrSaysWhyNot) {
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    SCOPED_TRACE(name(op));
    const Primitive& row = primitive(op);
    EXPECT_EQ(row.op, op);
    EXPECT_FALSE(row.doc.empty());
    EXPECT_TRUE(row.infer != nullptr);
    EXPECT_TRUE(row.evaluate != nullptr);
    EXPECT_FALSE(row.jvp.missing()) << "jvp";
    EXPECT_FALSE(row.transpose.missing()) << "transpose";
    EXPECT_FALSE(row.batch.missing()) << "batch";
    EXPECT_FALSE(row.loop.missing()) << "loop";
    EXPECT_FALSE(row.decompose.missing()) << "decompose";
  }
}

TEST(Table, EveryPrimitiveHasACase) {
  std::set<Op> seen{Op::LinearCall};  // never written down: it lives inside reverse mode
  for_each_case([&](const Case& item) {
    const GraphPtr graph = cases::graph_of(item);
    for (const Node& node : graph->nodes) seen.insert(node.op);
  });
  for (int i = 0; i < kOpCount; ++i) EXPECT_TRUE(seen.contains(static_cast<Op>(i))) << name(static_cast<Op>(i));
}

TEST(Cases, VerifyAndGiveTheTypesTheyPromise) {
  for_each_case([](const Case& item) {
    const GraphPtr graph = cases::graph_of(item);
    verify(*graph);
    const std::vector<Literal> results = interpret(*graph, cases::arguments_of(item, *graph, kSeed));
    ASSERT_EQ(results.size(), graph->results.size());
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].type(), graph->result_types()[i]);
  });
}

TEST(Cases, TextRoundTripsExactly) {
  for_each_case([](const Case& item) {
    const GraphPtr graph = cases::graph_of(item);
    for (const bool generic : {false, true}) {
      const std::string text = print(*graph, {.generic = generic});
      const GraphPtr read = parse(text, item.name).entry();
      EXPECT_EQ(read->key(), graph->key()) << text;
    }
  });
}

TEST(Cases, ForwardModeMatchesFiniteDifferences) {
  for_each_case([](const Case& item) {
    if (!item.differentiable) return;
    const GraphPtr graph = cases::graph_of(item, true);
    const std::vector<bool> wrt = floats_of(graph->parameter_types());
    const GraphPtr derivative = transform::jvp(*graph, wrt);
    verify(*derivative);
    const std::vector<Literal> at = cases::arguments_of(item, *graph, kSeed);
    const std::vector<Literal> direction = random_like(selected(graph->parameter_types(), wrt), kSeed + 1);
    const std::vector<Literal> forward = interpret(*derivative, concatenated(at, direction));

    const double step = 1e-5;
    const auto shifted = [&](double scale) {
      std::vector<Literal> arguments = at;
      for (std::size_t i = 0, next = 0; i < at.size(); ++i)
        if (wrt[i]) arguments[i] = moved(at[i], direction[next++], scale);
      return interpret(*graph, arguments);
    };
    const std::vector<Literal> above = shifted(step), below = shifted(-step);
    const std::size_t count = graph->results.size();
    for (std::size_t r = 0; r < count; ++r) {
      if (!is_float(above[r].dtype())) continue;
      for (std::int64_t i = 0; i < above[r].size(); ++i) {
        const double expected = (above[r].get_double(i) - below[r].get_double(i)) / (2 * step);
        EXPECT_NEAR(forward[count + r].get_double(i), expected, 1e-6 * std::max(1.0, std::abs(expected)))
            << "result " << r << ", element " << i;
      }
    }
  });
}

TEST(Cases, ReverseModeIsTheTransposeOfForwardMode) {
  for_each_case([](const Case& item) {
    if (!item.differentiable) return;
    const GraphPtr graph = cases::graph_of(item, true);
    const std::vector<bool> wrt = floats_of(graph->parameter_types());
    const std::vector<bool> varied = floats_of(graph->result_types());
    if (item.forward_only) {
      EXPECT_THROW(transform::vjp(*graph, wrt, varied), Error);
      return;
    }
    const std::vector<Literal> at = cases::arguments_of(item, *graph, kSeed);
    const std::vector<Literal> direction = random_like(selected(graph->parameter_types(), wrt), kSeed + 1);
    const std::vector<Literal> cotangents = random_like(selected(graph->result_types(), varied), kSeed + 2);
    const std::size_t count = graph->results.size();

    const std::vector<Literal> forward = interpret(*transform::jvp(*graph, wrt), concatenated(at, direction));
    const GraphPtr pullback = transform::vjp(*graph, wrt, varied);
    verify(*pullback);
    const std::vector<Literal> reverse = interpret(*pullback, concatenated(at, cotangents));
    double from_forward = 0, from_reverse = 0;
    for (std::size_t r = 0, next = 0; r < count; ++r)
      if (varied[r]) from_forward += dot(cotangents[next++], forward[count + r]);
    for (std::size_t i = 0; i < direction.size(); ++i) from_reverse += dot(reverse[count + i], direction[i]);
    EXPECT_NEAR(from_forward, from_reverse, 1e-10 * std::max(1.0, std::abs(from_forward)));
  });
}

/// Example `i` of a batch.
Literal example(const Literal& batch, std::int64_t i) {
  Shape shape = batch.shape();
  shape.erase(shape.begin());
  Literal one(TensorType{batch.dtype(), shape});
  std::memcpy(one.data(), batch.data() + static_cast<std::size_t>(i) * one.bytes(), one.bytes());
  return one;
}

TEST(Cases, VectorisedMatchesALoop) {
  for_each_case([](const Case& item) {
    const GraphPtr graph = cases::graph_of(item);
    const std::size_t count = graph->parameters.size();
    if (count == 0) return;
    const std::int64_t size = 3;
    // Every parameter batched, then each alone.
    for (std::size_t alone = 0; alone <= (count == 1 ? 0 : count); ++alone) {
      std::vector<bool> batched(count, alone == 0);
      if (alone > 0) batched[alone - 1] = true;
      const GraphPtr vectorised = transform::vmap(*graph, batched, size);
      verify(*vectorised);
      std::vector<std::vector<Literal>> examples;
      for (std::int64_t e = 0; e < size; ++e)
        examples.push_back(cases::arguments_of(item, *graph, kSeed + static_cast<std::uint64_t>(e)));
      std::vector<Literal> arguments = examples[0];
      for (std::size_t i = 0; i < count; ++i) {
        if (!batched[i]) continue;
        arguments[i] = Literal(vectorised->type(vectorised->parameters[i]));
        for (std::size_t e = 0; e < examples.size(); ++e)
          std::memcpy(arguments[i].data() + e * examples[e][i].bytes(), examples[e][i].data(), examples[e][i].bytes());
      }
      const std::vector<Literal> together = interpret(*vectorised, arguments);
      for (std::size_t e = 0; e < examples.size(); ++e) {
        std::vector<Literal> single = examples[0];
        for (std::size_t i = 0; i < count; ++i)
          if (batched[i]) single[i] = examples[e][i];
        const std::vector<Literal> expected = interpret(*graph, single);
        for (std::size_t r = 0; r < expected.size(); ++r)
          EXPECT_EQ(cases::difference(example(together[r], static_cast<std::int64_t>(e)), expected[r]), "")
              << "result " << r << ", example " << e << ", batched "
              << (alone == 0 ? "all" : std::to_string(alone - 1));
      }
    }
  });
}

}  // namespace
}  // namespace tessera
