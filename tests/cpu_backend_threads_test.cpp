// The CPU backend's parts: library calls against plain loops written here, the team, executables in several threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <thread>

#include "tessera/backend/cpu/executable.hpp"
#include "tessera/backend/cpu/isa.hpp"
#include "tessera/backend/cpu/library.hpp"
#include "tessera/backend/cpu/team.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/literal.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace tessera {
namespace {

using ir::Integers;
using pass::LibraryCall;

/// Values with few bits, so that f32 sums of products are exact in any order.
Literal small_values(const TensorType& type, std::mt19937& random) {
  Literal literal(type);
  std::uniform_int_distribution<int> value(-4, 4);
  for (std::int64_t i = 0; i < literal.size(); ++i) literal.set_double(i, value(random) * 0.25);
  return literal;
}

/// Calls f(index) for every index of a shape, in row-major order.
void for_each(const Shape& shape, const std::function<void(const Shape&)>& f) {
  Shape index(shape.size(), 0);
  for (std::int64_t i = 0, n = element_count(shape); i < n; ++i) {
    f(index);
    for (std::size_t d = shape.size(); d-- > 0;)
      if (++index[d] < shape[d])
        break;
      else
        index[d] = 0;
  }
}

std::int64_t flat(const Shape& shape, const Shape& index) {
  std::int64_t at = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) at = at * shape[d] + index[d];
  return at;
}

/// Memory whose end is watched.
class Watched {
 public:
  explicit Watched(std::size_t bytes) : bytes_(bytes), storage_(allocate_host(bytes + kGuard)) {
    std::fill_n(storage_->data() + bytes, kGuard, std::byte{0xA5});
  }
  [[nodiscard]] const StoragePtr& storage() const { return storage_; }
  [[nodiscard]] bool intact() const {
    return std::all_of(storage_->data() + bytes_, storage_->data() + bytes_ + kGuard,
                       [](std::byte b) { return b == std::byte{0xA5}; });
  }

 private:
  static constexpr std::size_t kGuard = 512;
  std::size_t bytes_;
  StoragePtr storage_;
};

/// With more than one run it runs twice, the second time after its second operand is gone.
Literal run(const LibraryCall& call, const std::vector<Literal>& operands, int threads, std::int64_t runs = 1) {
  const auto prepared = cpu::make_library_call(call, threads, runs);
  const Watched memory(byte_size(call.result_type)), scratch(prepared->scratch_bytes()), kept(prepared->kept_bytes());
  const cpu::Workspace work{scratch.storage()->data(), kept.storage()->data()};
  Literal result(call.result_type, memory.storage());
  for (std::int64_t i = 0; i < result.size(); ++i)
    result.set_double(i, std::numeric_limits<double>::quiet_NaN());  // all must be written
  std::vector<void*> arguments;
  for (const Literal& operand : operands) arguments.push_back(operand.data());
  arguments.push_back(result.data());
  cpu::with_team(threads, [&] {
    prepared->prepare(arguments.data(), work);
    prepared->run(arguments.data(), work);
    if (prepared->kept_bytes() == 0) return;
    arguments[1] = nullptr;
    std::fill_n(memory.storage()->data(), byte_size(call.result_type), std::byte{0xFF});
    prepared->run(arguments.data(), work);
  });
  EXPECT_EQ(prepared->implementation().find("ref"), std::string::npos) << prepared->implementation();
  EXPECT_TRUE(memory.intact()) << prepared->implementation() << " writes past its result";
  EXPECT_TRUE(scratch.intact()) << prepared->implementation() << " writes past its scratch";
  EXPECT_TRUE(kept.intact()) << prepared->implementation() << " writes past what it keeps";
  return result;
}

/// Whether the backend says that it has a kernel, asked as the passes ask.
bool asked(const ir::Node& node, const std::vector<TensorType>& operands, const TensorType& result) {
  ir::Graph graph;
  ir::Values parameters;
  for (const TensorType& type : operands) parameters.push_back(graph.parameter(type));
  graph.append(node, parameters, std::vector<TensorType>{result});
  return cpu::has_library_kernel(graph, graph.nodes.back());
}

void expect_equal(const Literal& got, const Literal& want, const std::string& what) {
  ASSERT_EQ(got.type(), want.type()) << what;
  for (std::int64_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got.get_double(i), want.get_double(i)) << what << ": element " << i << " of " << to_string(got.type());
}

// ---- products ----

struct Dot {
  Shape lhs, rhs;
  Integers lhs_batch, rhs_batch, lhs_contract, rhs_contract;
};

ir::Node node_of(const Dot& dot) {
  ir::Node node;
  node.op = ir::Op::DotGeneral;
  node.attributes = {{"lhs_batching_dimensions", dot.lhs_batch},
                     {"rhs_batching_dimensions", dot.rhs_batch},
                     {"lhs_contracting_dimensions", dot.lhs_contract},
                     {"rhs_contracting_dimensions", dot.rhs_contract}};
  return node;
}

Integers others(std::size_t rank, const Integers& a, const Integers& b) {
  Integers list;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(rank); ++d)
    if (std::find(a.begin(), a.end(), d) == a.end() && std::find(b.begin(), b.end(), d) == b.end()) list.push_back(d);
  return list;
}

Shape result_shape(const Dot& dot) {
  Shape shape;
  for (const auto d : dot.lhs_batch) shape.push_back(dot.lhs[static_cast<std::size_t>(d)]);
  for (const auto d : others(dot.lhs.size(), dot.lhs_batch, dot.lhs_contract))
    shape.push_back(dot.lhs[static_cast<std::size_t>(d)]);
  for (const auto d : others(dot.rhs.size(), dot.rhs_batch, dot.rhs_contract))
    shape.push_back(dot.rhs[static_cast<std::size_t>(d)]);
  return shape;
}

Literal plain_dot(const Dot& dot, const Literal& lhs, const Literal& rhs, const TensorType& type) {
  Literal result = Literal::full(type, 0);
  const Integers lhs_free = others(dot.lhs.size(), dot.lhs_batch, dot.lhs_contract),
                 rhs_free = others(dot.rhs.size(), dot.rhs_batch, dot.rhs_contract);
  Shape contracted;
  for (const auto d : dot.lhs_contract) contracted.push_back(dot.lhs[static_cast<std::size_t>(d)]);
  for_each(type.shape, [&](const Shape& out) {
    Shape l(dot.lhs.size()), r(dot.rhs.size());
    std::size_t at = 0;
    for (std::size_t i = 0; i < dot.lhs_batch.size(); ++i, ++at)
      l[static_cast<std::size_t>(dot.lhs_batch[i])] = r[static_cast<std::size_t>(dot.rhs_batch[i])] = out[at];
    for (const auto d : lhs_free) l[static_cast<std::size_t>(d)] = out[at++];
    for (const auto d : rhs_free) r[static_cast<std::size_t>(d)] = out[at++];
    double sum = 0;
    for_each(contracted, [&](const Shape& k) {
      for (std::size_t i = 0; i < k.size(); ++i)
        l[static_cast<std::size_t>(dot.lhs_contract[i])] = r[static_cast<std::size_t>(dot.rhs_contract[i])] = k[i];
      sum += lhs.get_double(flat(dot.lhs, l)) * rhs.get_double(flat(dot.rhs, r));
    });
    result.set_double(flat(type.shape, out), sum);
  });
  return result;
}

const std::vector<Dot> kDots = {
    {{9, 24}, {24, 17}, {}, {}, {1}, {0}},                      // plain
    {{24, 9}, {24, 17}, {}, {}, {0}, {0}},                      // left transposed
    {{9, 24}, {17, 24}, {}, {}, {1}, {1}},                      // right transposed
    {{24, 9}, {17, 24}, {}, {}, {0}, {1}},                      // both
    {{5, 9, 24}, {5, 24, 17}, {0}, {0}, {2}, {1}},              // a batch
    {{2, 3, 9, 24}, {2, 3, 17, 24}, {0, 1}, {0, 1}, {3}, {3}},  // two that merge
    {{2, 9, 3, 24}, {2, 17, 3, 24}, {0, 2}, {0, 2}, {3}, {3}},  // heads inside of time: attention's scores
    {{4, 9, 24}, {24, 17}, {}, {}, {2}, {0}},                   // many rows
    {{9, 4, 6}, {4, 6, 17}, {}, {}, {1, 2}, {0, 1}},            // two contracted
    {{9, 4, 6}, {4, 6, 17}, {}, {}, {2, 1}, {1, 0}},            // the same in another order
    {{40, 8}, {8, 512}, {}, {}, {1}, {0}},                      // rows that meet in the same cache sets
    {{300}, {300, 17}, {}, {}, {0}, {0}},                       // vector by matrix
    {{90, 30}, {30}, {}, {}, {1}, {0}},                         // matrix by vector
    {{4000}, {4000}, {}, {}, {0}, {0}},                         // vector by vector
    {{64, 1}, {1, 48}, {}, {}, {1}, {0}},                       // outer product
    {{1040, 24}, {17, 24}, {}, {}, {1}, {1}},                   // enough rows for a copy of the right side
    {{24, 9}, {24, 1040}, {}, {}, {0}, {0}},                    // enough columns for one of the left
};

TEST(Product, EveryForm) {
  std::mt19937 random(1);
  for (const int threads : {1, 2})
    for (const DType dtype : {DType::F32, DType::BF16}) {
      if (dtype == DType::BF16 && !cpu::onednn::has_bf16()) continue;
      for (std::size_t i = 0; i < kDots.size(); ++i) {
        const Dot& dot = kDots[i];
        const TensorType l{dtype, dot.lhs}, r{dtype, dot.rhs}, out{DType::F32, result_shape(dot)};
        const std::string what = "dot " + std::to_string(i) + " of " + std::string(name(dtype));
        if (!asked(node_of(dot), {l, r}, out)) {
          EXPECT_TRUE(dtype == DType::BF16) << what << " has no library kernel";
          continue;
        }
        const Literal a = small_values(l, random), b = small_values(r, random);
        const Literal want = plain_dot(dot, a, b, out);
        for (const std::int64_t runs : {1, 1000})
          expect_equal(run({node_of(dot), {l, r}, out, {}}, {a, b}, threads, runs), want, what);
      }
    }
}

TEST(Product, ManyRunsWithTheSameWeightsKeepACopy) {
  if (cpu::isa() < cpu::Isa::Avx512) GTEST_SKIP() << "products do not take blocks here";
  const Dot dot{{16, 24}, {32, 24}, {}, {}, {1}, {1}};
  const LibraryCall call{node_of(dot), {{DType::F32, dot.lhs}, {DType::F32, dot.rhs}}, {DType::F32, {16, 32}}, {}};
  EXPECT_EQ(cpu::make_library_call(call, 1, 1)->kept_bytes(), 0U);
  EXPECT_GE(cpu::make_library_call(call, 1, 64)->kept_bytes(), 4U * 32 * 24);
}

TEST(Product, WhatHasNoKernel) {
  const auto ask = [](DType dtype, Dot dot) {
    return asked(node_of(dot), {{dtype, dot.lhs}, {dtype, dot.rhs}}, {dtype, result_shape(dot)});
  };
  EXPECT_TRUE(ask(DType::F32, {{32, 32}, {32, 32}, {}, {}, {1}, {0}}));
  EXPECT_FALSE(ask(DType::F64, {{32, 32}, {32, 32}, {}, {}, {1}, {0}}));
  EXPECT_FALSE(ask(DType::I32, {{32, 32}, {32, 32}, {}, {}, {1}, {0}}));
  EXPECT_FALSE(ask(DType::F16, {{32, 32}, {32, 32}, {}, {}, {1}, {0}}));
  EXPECT_FALSE(ask(DType::F32, {{2, 2}, {2, 2}, {}, {}, {1}, {0}})) << "too small to be worth a call";
  EXPECT_FALSE(ask(DType::F32, {{0, 32}, {32, 32}, {}, {}, {1}, {0}}));
  EXPECT_FALSE(ask(DType::F32, {{32, 0}, {0, 32}, {}, {}, {1}, {0}}));
}

TEST(Product, EveryEpilogue) {
  using Kind = LibraryCall::Epilogue::Kind;
  std::mt19937 random(2);
  const std::vector<std::vector<Kind>> epilogues = {{Kind::AddBias},
                                                    {Kind::Relu},
                                                    {Kind::AddTensor},
                                                    {Kind::AddBias, Kind::Relu},
                                                    {Kind::AddBias, Kind::AddTensor, Kind::Relu},
                                                    {Kind::AddTensor, Kind::AddBias},
                                                    {Kind::Relu, Kind::AddTensor},
                                                    {Kind::AddBias, Kind::Relu, Kind::AddBias}};
  for (const int threads : {1, 2})
    for (const Dot& dot : kDots)
      for (const auto& epilogue : epilogues) {
        const TensorType l{DType::F32, dot.lhs}, r{DType::F32, dot.rhs}, out{DType::F32, result_shape(dot)};
        if (out.shape.empty()) continue;
        LibraryCall call{node_of(dot), {l, r}, out, {}};
        std::vector<Literal> operands{small_values(l, random), small_values(r, random)};
        Literal want = plain_dot(dot, operands[0], operands[1], out);
        for (const Kind kind : epilogue) {
          call.epilogue.push_back({kind});
          if (kind != Kind::Relu)
            operands.push_back(
                small_values({DType::F32, kind == Kind::AddBias ? Shape{out.shape.back()} : out.shape}, random));
          for (std::int64_t i = 0; i < want.size(); ++i) {
            const double x = want.get_double(i);
            const Literal& other = operands.back();
            want.set_double(i, kind == Kind::Relu ? std::max(x, 0.0)
                                                  : x + other.get_double(kind == Kind::AddBias ? i % other.size() : i));
          }
        }
        expect_equal(run(call, operands, threads), want, "rank " + std::to_string(out.shape.size()));
      }
}

TEST(Product, ReluKeepsNaN) {
  LibraryCall call{node_of({{32, 32}, {32, 32}, {}, {}, {1}, {0}}),
                   {{DType::F32, {32, 32}}, {DType::F32, {32, 32}}},
                   {DType::F32, {32, 32}},
                   {{LibraryCall::Epilogue::Kind::Relu}}};
  std::vector<Literal> operands(2, Literal::full({DType::F32, {32, 32}}, 1));
  operands[0] = Literal::full({DType::F32, {32, 32}}, 1);
  operands[0].set_double(0, std::numeric_limits<double>::quiet_NaN());
  const Literal result = run(call, operands, 1);
  EXPECT_TRUE(std::isnan(result.get_double(0)));
  EXPECT_EQ(result.get_double(40), 32);
}

// ---- convolutions ----

/// A convolution by its definition: lhs dilated and padded, slid over.
struct Conv {
  std::size_t spatial = 2;
  std::int64_t batch = 1, features = 1, outputs = 1;
  Shape input, kernel;
  Integers strides, padding, lhs_dilation, rhs_dilation, reversal;
  std::int64_t feature_groups = 1, batch_groups = 1;
  Integers lhs_order, rhs_order, out_order;  ///< position of (batch, feature, spatial...), (input, output, spatial...)

  [[nodiscard]] Shape output() const {
    Shape shape;
    for (std::size_t d = 0; d < spatial; ++d) {
      const std::int64_t dilated = (input[d] - 1) * lhs_dilation[d] + 1 + padding[2 * d] + padding[2 * d + 1];
      const std::int64_t window = (kernel[d] - 1) * rhs_dilation[d] + 1;
      shape.push_back(dilated < window ? 0 : (dilated - window) / strides[d] + 1);
    }
    return shape;
  }
  static Shape place(const Integers& order, Shape logical) {
    Shape shape(logical.size());
    for (std::size_t i = 0; i < logical.size(); ++i) shape[static_cast<std::size_t>(order[i])] = logical[i];
    return shape;
  }
  static Shape with(std::int64_t a, std::int64_t b, const Shape& rest) {
    Shape shape{a, b};
    shape.insert(shape.end(), rest.begin(), rest.end());
    return shape;
  }
  [[nodiscard]] TensorType lhs(DType t) const { return {t, place(lhs_order, with(batch, features, input))}; }
  [[nodiscard]] TensorType rhs(DType t) const {
    return {t, place(rhs_order, with(features / feature_groups, outputs, kernel))};
  }
  [[nodiscard]] TensorType out() const {
    return {DType::F32, place(out_order, with(batch / batch_groups, outputs, output()))};
  }

  [[nodiscard]] ir::Node node() const {
    ir::Node n;
    n.op = ir::Op::Convolution;
    const auto tail = [](const Integers& order) { return Integers(order.begin() + 2, order.end()); };
    n.attributes = {{"window_strides", strides},
                    {"padding", padding},
                    {"lhs_dilation", lhs_dilation},
                    {"rhs_dilation", rhs_dilation},
                    {"window_reversal", reversal},
                    {"feature_group_count", feature_groups},
                    {"batch_group_count", batch_groups},
                    {"input_batch_dimension", lhs_order[0]},
                    {"input_feature_dimension", lhs_order[1]},
                    {"input_spatial_dimensions", tail(lhs_order)},
                    {"kernel_input_feature_dimension", rhs_order[0]},
                    {"kernel_output_feature_dimension", rhs_order[1]},
                    {"kernel_spatial_dimensions", tail(rhs_order)},
                    {"output_batch_dimension", out_order[0]},
                    {"output_feature_dimension", out_order[1]},
                    {"output_spatial_dimensions", tail(out_order)}};
    return n;
  }

  [[nodiscard]] Literal evaluate(const Literal& a, const Literal& b) const {
    Literal result(out());
    const Shape logical = with(batch / batch_groups, outputs, output());
    for_each(logical, [&](const Shape& o) {
      // A group of outputs reads a group of the input's features, or of its batch.
      const std::int64_t feature_group = o[1] / (outputs / feature_groups),
                         batch_group = o[1] / (outputs / batch_groups);
      double sum = 0;
      for_each(with(1, features / feature_groups, kernel), [&](const Shape& k) {
        Shape in =
            with(o[0] + batch_group * (batch / batch_groups), k[1] + feature_group * (features / feature_groups), {});
        Shape w = with(k[1], o[1], {});
        for (std::size_t d = 0; d < spatial; ++d) {
          const std::int64_t at = o[d + 2] * strides[d] + k[d + 2] * rhs_dilation[d] - padding[2 * d];
          if (at < 0 || at % lhs_dilation[d] != 0 || at / lhs_dilation[d] >= input[d]) return;
          if (at > (input[d] - 1) * lhs_dilation[d] + padding[2 * d + 1]) return;  // cropped by negative padding
          in.push_back(at / lhs_dilation[d]);
          w.push_back(reversal[d] != 0 ? kernel[d] - 1 - k[d + 2] : k[d + 2]);
        }
        sum += a.get_double(flat(a.shape(), place(lhs_order, in))) * b.get_double(flat(b.shape(), place(rhs_order, w)));
      });
      result.set_double(flat(result.shape(), place(out_order, o)), sum);
    });
    return result;
  }
};

int pick(std::mt19937& random, int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

Integers shuffled(std::size_t n, std::mt19937& random) {
  Integers order(n);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

/// Channels last, as networks here have them: [batch, spatial..., features] and [spatial..., input, output].
Integers channels_last(std::size_t spatial, bool kernel) {
  const auto n = static_cast<std::int64_t>(spatial);
  Integers order = kernel ? Integers{n, n + 1} : Integers{0, n + 1};
  for (std::int64_t d = 0; d < n; ++d) order.push_back(kernel ? d : d + 1);
  return order;
}

/// A convolution with random attributes, and the two that its gradients are, for the same forward pass.
struct Case {
  Conv forward, backward_data, backward_weights;
};

Case random_case(std::mt19937& random) {
  Case c;
  Conv& f = c.forward;
  f.spatial = static_cast<std::size_t>(pick(random, 1, 3));
  f.feature_groups = pick(random, 0, 3) == 0 ? 2 : 1;
  f.batch = pick(random, 1, 3);
  f.features = f.feature_groups * pick(random, 1, 9);
  f.outputs = f.feature_groups * pick(random, 1, 9);
  const bool last = pick(random, 0, 2) != 0;
  f.lhs_order = last ? channels_last(f.spatial, false) : shuffled(f.spatial + 2, random);
  f.rhs_order = last ? channels_last(f.spatial, true) : shuffled(f.spatial + 2, random);
  f.out_order = last ? channels_last(f.spatial, false) : shuffled(f.spatial + 2, random);
  for (std::size_t d = 0; d < f.spatial; ++d) {
    f.input.push_back(pick(random, 5, 9));
    f.kernel.push_back(pick(random, 1, 3));
    f.strides.push_back(pick(random, 1, 2));
    f.rhs_dilation.push_back(pick(random, 1, 2));
    f.lhs_dilation.push_back(1);
    f.reversal.push_back(0);
    for (int side = 0; side < 2; ++side)
      f.padding.push_back(pick(random, 0, static_cast<int>((f.kernel[d] - 1) * f.rhs_dilation[d])));
  }
  const Shape out = f.output();
  // With respect to the input: the result's gradient dilated by the stride, the kernel reversed, its features
  // exchanged.
  Conv& b = c.backward_data;
  b = f;
  b.input = out;
  b.features = f.outputs;
  b.outputs = f.features;
  std::swap(b.lhs_order, b.out_order);
  std::swap(b.rhs_order[0], b.rhs_order[1]);
  b.lhs_dilation = f.strides;
  b.strides.assign(f.spatial, 1);
  b.reversal.assign(f.spatial, 1);
  for (std::size_t d = 0; d < f.spatial; ++d) {
    const std::int64_t reach = (f.kernel[d] - 1) * f.rhs_dilation[d];
    b.padding[2 * d] = reach - f.padding[2 * d];
    b.padding[2 * d + 1] = f.input[d] - ((out[d] - 1) * f.strides[d] + 1) - b.padding[2 * d] + reach;
  }
  // With respect to the kernel: batches and features exchanged; the result's gradient slides over the input.
  Conv& w = c.backward_weights;
  w = f;
  w.batch = f.features;
  w.features = f.batch;
  w.feature_groups = 1;
  w.batch_groups = f.feature_groups;
  w.kernel = out;
  w.lhs_order = f.lhs_order;
  std::swap(w.lhs_order[0], w.lhs_order[1]);
  w.rhs_order = f.out_order;
  w.out_order = f.rhs_order;
  w.strides = f.rhs_dilation;
  w.rhs_dilation = f.strides;
  for (std::size_t d = 0; d < f.spatial; ++d)
    w.padding[2 * d + 1] =
        (f.kernel[d] - 1) * f.rhs_dilation[d] + (out[d] - 1) * f.strides[d] + 1 - f.input[d] - f.padding[2 * d];
  return c;
}

TEST(Convolution, RandomFormsAndTheirGradients) {
  using Pass = cpu::onednn::Convolution::Pass;
  const char* chosen = std::getenv("TESSERA_TEST_SEED");
  const auto seed =
      chosen != nullptr ? static_cast<unsigned>(std::atoll(chosen)) : static_cast<unsigned>(std::random_device{}());
  std::mt19937 random(seed);
  int ran[3] = {0, 0, 0}, refused = 0, as_meant = 0, all = 0;
  for (int round = 0; round < 30; ++round) {
    const Case c = random_case(random);
    const Shape out = c.forward.output();
    if (element_count(out) == 0) continue;
    for (const Conv* conv : {&c.forward, &c.backward_data, &c.backward_weights}) {
      const Pass meant = conv == &c.forward         ? Pass::Forward
                         : conv == &c.backward_data ? Pass::BackwardData
                                                    : Pass::BackwardWeights;
      const TensorType lhs = conv->lhs(DType::F32), rhs = conv->rhs(DType::F32), result = conv->out();
      const std::string what = "seed " + std::to_string(seed) + ", round " + std::to_string(round) + ", pass " +
                               std::to_string(static_cast<int>(meant));
      const auto pass = cpu::as_convolution(conv->node(), std::vector<TensorType>{lhs, rhs}, result);
      ASSERT_TRUE(pass.has_value()) << what;
      ++all;
      as_meant += pass->pass == meant ? 1 : 0;
      if (!cpu::onednn::supports(*pass)) {
        ++refused;
        continue;
      }
      const Literal a = small_values(lhs, random), b = small_values(rhs, random);
      const LibraryCall call{conv->node(), {lhs, rhs}, result, {}};
      SCOPED_TRACE(what);
      expect_equal(run(call, {a, b}, 1 + round % 2), conv->evaluate(a, b), what);
      ++ran[static_cast<int>(pass->pass)];
    }
  }
  EXPECT_GT(ran[0], 8) << "seed " << seed;
  EXPECT_GT(ran[1], 5) << "seed " << seed;
  EXPECT_GT(ran[2], 5) << "seed " << seed;
  EXPECT_LT(refused, all / 5) << "seed " << seed;
  // Kernels of one element have several readings; most have one.
  EXPECT_GT(as_meant, all * 3 / 4) << "seed " << seed;
}

TEST(Convolution, WhatHasNoSuchForm) {
  std::mt19937 random(3);
  Conv c = random_case(random).forward;
  c.spatial = 2;
  c.feature_groups = 1;
  c.features = c.outputs = 3;
  c.input = {8, 8};
  c.kernel = {3, 3};
  c.lhs_order = channels_last(2, false), c.out_order = c.lhs_order, c.rhs_order = channels_last(2, true);
  c.strides = {1, 1}, c.padding = {1, 1, 1, 1}, c.lhs_dilation = {1, 1}, c.rhs_dilation = {1, 1}, c.reversal = {0, 0};
  const auto form = [&] {
    return cpu::as_convolution(c.node(), std::vector<TensorType>{c.lhs(DType::F32), c.rhs(DType::F32)}, c.out());
  };
  EXPECT_TRUE(form());
  c.padding = {-1, 1, 1, 1};
  EXPECT_FALSE(form()) << "an input cropped on the left";
  c.padding = {1, 1, 1, 1};
  c.reversal = {0, 1};
  EXPECT_FALSE(form()) << "a kernel reversed in one dimension only";
  c.reversal = {0, 0};
  c.lhs_dilation = {2, 2};
  EXPECT_FALSE(form()) << "a dilated input with a kernel that is not reversed";
  c.reversal = {1, 1};
  EXPECT_TRUE(form());
  c.strides = {2, 2};
  EXPECT_FALSE(form()) << "dilated and strided at once";
}

TEST(Convolution, Epilogue) {
  using Kind = LibraryCall::Epilogue::Kind;
  std::mt19937 random(4);
  Conv c;
  c.batch = 2, c.features = 8, c.outputs = 16;
  c.input = {10, 9}, c.kernel = {3, 3};
  c.lhs_order = c.out_order = channels_last(2, false), c.rhs_order = channels_last(2, true);
  c.strides = {1, 2}, c.padding = {1, 1, 1, 1}, c.lhs_dilation = {1, 1}, c.rhs_dilation = {1, 1}, c.reversal = {0, 0};
  LibraryCall call{
      c.node(), {c.lhs(DType::F32), c.rhs(DType::F32)}, c.out(), {{Kind::AddBias}, {Kind::AddTensor}, {Kind::Relu}}};
  const Literal a = small_values(c.lhs(DType::F32), random), b = small_values(c.rhs(DType::F32), random);
  const Literal bias = small_values({DType::F32, {16}}, random), other = small_values(c.out(), random);
  Literal want = c.evaluate(a, b);
  for (std::int64_t i = 0; i < want.size(); ++i)
    want.set_double(i, std::max(0.0, want.get_double(i) + bias.get_double(i % 16) + other.get_double(i)));
  expect_equal(run(call, {a, b, bias, other}, 2), want, "convolution, bias, tensor, relu");
}

TEST(Convolution, BrainFloat) {
  if (!cpu::onednn::has_bf16()) GTEST_SKIP() << "no bf16 on this processor";
  std::mt19937 random(5);
  for (int round = 0; round < 10; ++round) {
    const Case c = random_case(random);
    if (element_count(c.forward.output()) == 0) continue;
    for (const Conv* conv : {&c.forward, &c.backward_data, &c.backward_weights}) {
      const TensorType lhs = conv->lhs(DType::BF16), rhs = conv->rhs(DType::BF16), result = conv->out();
      if (!asked(conv->node(), {lhs, rhs}, result)) continue;
      const Literal a = small_values(lhs, random), b = small_values(rhs, random);
      expect_equal(run({conv->node(), {lhs, rhs}, result, {}}, {a, b}, 2), conv->evaluate(a, b),
                   "round " + std::to_string(round));
    }
  }
}

// ---- the team ----

TEST(Team, CoversEveryElementOnce) {
  for (const int threads : {1, 2, 3})
    for (const std::int64_t extent : {0, 1, 2, 3, 7, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(extent));
      cpu::parallel_for(threads, extent, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      for (const auto& count : seen) EXPECT_EQ(count, 1);
    }
}

TEST(Team, ExceptionsComeBack) {
  EXPECT_THROW(cpu::parallel_for(2, 100,
                                 [](std::int64_t begin, std::int64_t) {
                                   if (begin > 0) throw Error("here");
                                 }),
               Error);
}

#ifdef _OPENMP
TEST(Team, SetsAndRestores) {
  omp_set_num_threads(3);
  omp_set_dynamic(1);
  cpu::with_team(2, [] {
    EXPECT_EQ(omp_get_max_threads(), 2);
    EXPECT_EQ(omp_get_dynamic(), 0);
  });
  EXPECT_EQ(omp_get_max_threads(), 3);
  EXPECT_NE(omp_get_dynamic(), 0);
  omp_set_dynamic(0);
}

TEST(Team, InsideAParallelRegion) {
  std::atomic<int> elements = 0, outside = 0;
#pragma omp parallel num_threads(2)
  {
    cpu::parallel_for(2, 10, [&](std::int64_t begin, std::int64_t end) { elements += static_cast<int>(end - begin); });
    cpu::with_team(2, [&] { outside += omp_in_parallel() != 0 ? 0 : omp_get_max_threads(); });
  }
  EXPECT_EQ(elements, 20);
  EXPECT_EQ(outside, 4);
}
#endif

// ---- executables, of programs written by hand over kernels that are plain functions ----

constexpr std::int64_t kRows = 64, kColumns = 96;

/// A kernel step of `extent` parallel iterations; its code is given to make_executable.
pass::Step kernel_step(const char* name, std::int64_t extent, std::vector<std::int32_t> buffers, double bytes) {
  pass::Step step;
  step.kernel.name = name;
  step.kernel.variables = {{"i", extent}};
  kernel::Statement loop;
  loop.kind = kernel::Statement::Kind::Loop;
  loop.loop = kernel::LoopKind::Parallel;
  step.kernel.body = {loop};
  step.buffers = std::move(buffers);
  step.bytes = bytes;
  return step;
}

pass::Buffer buffer(pass::Buffer::Kind kind, Shape shape, std::int32_t index, std::size_t offset = 0,
                    std::int32_t donated_from = -1) {
  pass::Buffer b;
  b.kind = kind;
  b.type = {DType::F32, std::move(shape)};
  b.index = index;
  b.offset = offset;
  b.donated_from = donated_from;
  return b;
}

template <class F>
void each_row(void* const* arguments, std::int64_t begin, std::int64_t end, F f) {
  for (std::int64_t i = begin * kColumns; i < end * kColumns; ++i)
    static_cast<float*>(arguments[1])[i] = f(static_cast<const float*>(arguments[0])[i]);
}
void add_one(void* const* arguments, std::int64_t begin, std::int64_t end) {
  each_row(arguments, begin, end, [](float x) { return x + 1; });
}
void twice(void* const* arguments, std::int64_t begin, std::int64_t end) {
  each_row(arguments, begin, end, [](float x) { return 2 * x; });
}

/// out = 2 * ((x + 1) w): a kernel, a library call, a kernel. The weights are a constant.
std::unique_ptr<Executable> small_program(int threads, const Literal& weights, bool donated = false) {
  using Kind = pass::Buffer::Kind;
  const std::size_t bytes = kRows * kColumns * sizeof(float);
  pass::Program program;
  program.name = "small";
  program.buffers = {buffer(Kind::Input, {kRows, kColumns}, 0), buffer(Kind::Temporary, {kRows, kColumns}, 0, 0),
                     buffer(Kind::Constant, {kColumns, kColumns}, 0),
                     buffer(Kind::Temporary, {kRows, kColumns}, 0, bytes),
                     buffer(Kind::Output, {kRows, kColumns}, 0, 0, donated ? 0 : -1)};
  program.constants = {weights};
  program.arena_bytes = 2 * bytes;
  program.inputs = 1;
  program.outputs = 3;
  program.aliases = {{1, 0, -1}, {2, -1, 0}};
  if (donated) {
    program.outputs = 1;
    program.aliases.clear();
  }
  pass::Step product;
  product.kind = pass::Step::Kind::Library;
  const TensorType x{DType::F32, {kRows, kColumns}}, w{DType::F32, {kColumns, kColumns}};
  product.library = {node_of({{kRows, kColumns}, {kColumns, kColumns}, {}, {}, {1}, {0}}), {x, w}, x, {}};
  product.buffers = {1, 2, 3};
  program.steps = {kernel_step("add_one", kRows, {0, 1}, 1e9), product, kernel_step("twice", kRows, {3, 4}, 1e9)};
  return cpu::make_executable(std::move(program), {{add_one, nullptr}, {twice, nullptr}}, threads);
}

Literal expected(const Literal& x, const Literal& w) {
  Literal shifted(x.type());
  for (std::int64_t i = 0; i < x.size(); ++i) shifted.set_double(i, x.get_double(i) + 1);
  Literal result = plain_dot({x.shape(), w.shape(), {}, {}, {1}, {0}}, shifted, w, x.type());
  for (std::int64_t i = 0; i < x.size(); ++i) result.set_double(i, 2 * result.get_double(i));
  return result;
}

struct SmallCase {
  Literal x, w, want;
  explicit SmallCase(unsigned seed) {
    std::mt19937 random(seed);
    x = small_values({DType::F32, {kRows, kColumns}}, random);
    w = small_values({DType::F32, {kColumns, kColumns}}, random);
    want = expected(x, w);
  }
};

TEST(Executable, RunsStepsAndAliases) {
  const SmallCase c(6);
  for (const int threads : {1, 2}) {
    const auto executable = small_program(threads, c.w);
    const std::vector<StoragePtr> inputs{c.x.storage()};
    for (int round = 0; round < 3; ++round) {
      const auto outputs = executable->run(inputs);
      ASSERT_EQ(outputs.size(), 3U);
      expect_equal(Literal(c.want.type(), outputs[0]), c.want, "round " + std::to_string(round));
      EXPECT_EQ(outputs[1], inputs[0]);
      EXPECT_EQ(outputs[2], c.w.storage());
    }
    const auto profile = executable->profile(inputs);
    ASSERT_EQ(profile.size(), 3U);
    EXPECT_EQ(profile[0].name, "add_one");
    EXPECT_GT(profile[1].seconds, 0);
    EXPECT_GE(executable->peak_bytes(), 3 * c.x.bytes());
  }
}

TEST(Executable, SeveralThreadsAtOnce) {
  const SmallCase first(7);
  for (const int threads : {1, 2}) {
    const auto executable = small_program(threads, first.w);
    std::vector<std::thread> users;
    std::atomic<int> wrong = 0;
    for (int user = 0; user < 4; ++user)
      users.emplace_back([&, user] {
        std::mt19937 random(static_cast<unsigned>(user));
        for (int round = 0; round < 3; ++round) {
          const Literal x = small_values(first.x.type(), random);
          const Literal want = expected(x, first.w);
          for (int again = 0; again < 10; ++again)
            if (!Literal(want.type(), executable->run(std::vector<StoragePtr>{x.storage()})[0]).identical(want))
              ++wrong;
        }
      });
    for (std::thread& user : users) user.join();
    EXPECT_EQ(wrong, 0);
  }
}

#ifdef _OPENMP
TEST(Executable, InsideAParallelRegion) {
  const SmallCase c(8);
  const auto executable = small_program(2, c.w);
  std::atomic<int> wrong = 0;
#pragma omp parallel num_threads(2)
  if (!Literal(c.want.type(), executable->run(std::vector<StoragePtr>{c.x.storage()})[0]).identical(c.want)) ++wrong;
  EXPECT_EQ(wrong, 0);
}
#endif

TEST(Executable, DonatesOnlyWhatNobodyElseHolds) {
  const SmallCase c(9);
  const auto executable = small_program(2, c.w, true);
  const auto copy = [&] {
    StoragePtr storage = allocate_host(c.x.bytes());
    std::copy_n(c.x.data(), c.x.bytes(), storage->data());
    return storage;
  };
  std::vector<StoragePtr> inputs{copy()};
  const std::byte* const before = inputs[0]->data();
  auto outputs = executable->run(inputs);
  EXPECT_EQ(outputs[0]->data(), before);
  expect_equal(Literal(c.want.type(), outputs[0]), c.want, "donated");

  inputs = {copy()};
  const StoragePtr held = inputs[0];
  outputs = executable->run(inputs);
  EXPECT_NE(outputs[0]->data(), held->data());
  expect_equal(Literal(c.want.type(), outputs[0]), c.want, "held");
  EXPECT_TRUE(Literal(c.x.type(), held).identical(c.x)) << "a value that somebody holds changed";
}

TEST(Executable, ChecksItsInputs) {
  const SmallCase c(10);
  const auto executable = small_program(1, c.w);
  EXPECT_THROW(executable->run({}), Error);
  EXPECT_THROW(executable->run(std::vector<StoragePtr>{nullptr}), Error);
  EXPECT_THROW(executable->run(std::vector<StoragePtr>{allocate_host(12)}), Error);
}

}  // namespace
}  // namespace tessera
