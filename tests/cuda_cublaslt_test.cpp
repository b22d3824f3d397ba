// Products by cuBLASLt without a GPU: a stand-in for the library multiplies on the host, as the descriptors that it is
// given say in the words of the vendor's documentation; the results must be the interpreter's. This proves what we ask
// the library for. It does not prove that the library's own kernels are right, or that it takes each of these requests:
// that needs a GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>

#include "cuda_nodes.hpp"
#include "tessera/backend/cuda/cublaslt.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

using Kind = pass::LibraryCall::Epilogue::Kind;

// ---- the stand-in ----

struct Attributes {
  int first = 0, second = 0;  ///< compute and scale type, or data type
  std::uint64_t rows = 0, columns = 0;
  std::int64_t leading = 0;
  std::map<int, std::int64_t> set;
  [[nodiscard]] std::int64_t get(int attribute, std::int64_t otherwise) const {
    const auto found = set.find(attribute);
    return found == set.end() ? otherwise : found->second;
  }
};
Attributes& of(void* handle) { return *static_cast<Attributes*>(handle); }

struct Recorded {
  int alive = 0;      ///< descriptors that were not destroyed
  int proposals = 0;  ///< times that algorithms were asked for
  int multiplied = 0;
  bool propose = true;
  Attributes operation, preference;       ///< the last ones seen
  std::vector<std::uint64_t> algorithms;  ///< first words of those that ran
} recorded;

template <class Handle>
int destroy(Handle handle) {
  --recorded.alive;
  delete reinterpret_cast<Attributes*>(handle);
  return 0;
}
template <class Handle>
int set_attribute(Handle handle, int attribute, const void* value, std::size_t size) {
  std::int64_t wide = 0;
  if (size > sizeof wide) return 7;
  std::memcpy(&wide, value, size);
  of(handle).set[attribute] = wide;
  return 0;
}
template <class Handle>
Handle create(Attributes attributes) {
  ++recorded.alive;
  return reinterpret_cast<Handle>(new Attributes(std::move(attributes)));
}

DType dtype_of_code(int code) {
  switch (code) {
    case 0: return DType::F32;
    case 1: return DType::F64;
    case 2: return DType::F16;
    case 14: return DType::BF16;
    default: throw Error("no such type");
  }
}
double read(const void* base, DType dtype, std::int64_t i) {
  Literal one(TensorType{dtype, {}});
  std::memcpy(one.data(), static_cast<const std::byte*>(base) + i * static_cast<std::int64_t>(size_of(dtype)),
              size_of(dtype));
  return one.get_double(0);
}
void write(void* base, DType dtype, std::int64_t i, double value) {
  Literal one(TensorType{dtype, {}});
  one.set_double(0, value);
  std::memcpy(static_cast<std::byte*>(base) + i * static_cast<std::int64_t>(size_of(dtype)), one.data(),
              size_of(dtype));
}

/// D = alpha op(A) op(B) + beta C (+ bias along the rows), all column-major.
int multiply(lt::Handle, lt::Operation operation, const void* alpha, const void* a, lt::Layout la, const void* b,
             lt::Layout lb, const void* beta, const void* c, lt::Layout lc, void* d, lt::Layout ld,
             const lt::Algorithm* algorithm, void* workspace, std::size_t bytes, Stream) {
  const Attributes &how = of(operation), &A = of(la), &B = of(lb), &C = of(lc), &D = of(ld);
  const bool transpose_a = how.get(3, 0) != 0, transpose_b = how.get(4, 0) != 0;
  for (const Attributes* m : {&A, &B, &C, &D})
    if (m->leading < static_cast<std::int64_t>(m->rows) || m->get(5, 1) != D.get(5, 1)) return 7;
  const auto k = transpose_a ? A.rows : A.columns;
  if ((transpose_a ? A.columns : A.rows) != D.rows || (transpose_b ? B.rows : B.columns) != D.columns ||
      (transpose_b ? B.columns : B.rows) != k || C.rows != D.rows || C.columns != D.columns || C.first != D.first)
    return 7;
  if (bytes < 256 * algorithm->data[0] || workspace == nullptr) return 7;
  const auto scalar = [&](const void* at) {
    return how.second == 1 ? *static_cast<const double*>(at) : *static_cast<const float*>(at);
  };
  const DType ta = dtype_of_code(A.first), tb = dtype_of_code(B.first), td = dtype_of_code(D.first);
  const auto bias = how.get(7, 1) == 4 ? reinterpret_cast<const void*>(how.get(8, 0)) : nullptr;
  if (how.get(7, 1) != 1 && bias == nullptr) return 7;
  for (std::int64_t batch = 0; batch < D.get(5, 1); ++batch)
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(D.columns); ++j)
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(D.rows); ++i) {
        double sum = 0;
        for (std::int64_t l = 0; l < static_cast<std::int64_t>(k); ++l)
          sum += read(a, ta, batch * A.get(6, 0) + (transpose_a ? l + i * A.leading : i + l * A.leading)) *
                 read(b, tb, batch * B.get(6, 0) + (transpose_b ? j + l * B.leading : l + j * B.leading));
        const std::int64_t at = batch * D.get(6, 0) + i + j * D.leading;
        double value = scalar(alpha) * sum;
        if (scalar(beta) != 0) value += scalar(beta) * read(c, td, batch * C.get(6, 0) + i + j * C.leading);
        if (bias != nullptr) value += read(bias, dtype_of_code(static_cast<int>(how.get(26, D.first))), i);
        write(d, td, at, value);
      }
  ++recorded.multiplied;
  recorded.operation = how;
  recorded.algorithms.push_back(algorithm->data[0]);
  return 0;
}

lt::Api stand_in() {
  recorded = {};
  lt::Api api;
  api.create = [](lt::Handle* handle) {
    *handle = create<lt::Handle>({});
    return 0;
  };
  api.destroy = destroy<lt::Handle>;
  api.operation_create = [](lt::Operation* operation, int compute, int scale) {
    *operation = create<lt::Operation>({compute, scale, 0, 0, 0, {}});
    return 0;
  };
  api.operation_destroy = destroy<lt::Operation>;
  api.operation_set = set_attribute<lt::Operation>;
  api.layout_create = [](lt::Layout* layout, int type, std::uint64_t rows, std::uint64_t columns,
                         std::int64_t leading) {
    *layout = create<lt::Layout>({type, 0, rows, columns, leading, {}});
    return 0;
  };
  api.layout_destroy = destroy<lt::Layout>;
  api.layout_set = set_attribute<lt::Layout>;
  api.preference_create = [](lt::Preference* preference) {
    *preference = create<lt::Preference>({});
    return 0;
  };
  api.preference_destroy = destroy<lt::Preference>;
  api.preference_set = set_attribute<lt::Preference>;
  api.heuristic = [](lt::Handle, lt::Operation operation, lt::Layout, lt::Layout, lt::Layout, lt::Layout,
                     lt::Preference preference, int most, lt::Heuristic* list, int* count) {
    ++recorded.proposals;
    recorded.operation = of(operation);
    recorded.preference = of(preference);
    *count = recorded.propose ? std::min(most, 3) : 0;
    for (int i = 0; i < *count; ++i)  // the second is one that does not suit
      list[i] = {{{static_cast<std::uint64_t>(i + 1), 0x0123456789abcdef, 0, 0, 0, 0, 0, ~std::uint64_t{0}}},
                 256 * static_cast<std::size_t>(i + 1),
                 i == 1 ? 15 : 0,
                 1,
                 {}};
    return recorded.propose ? 0 : 15;
  };
  api.check = [](lt::Handle, lt::Operation, lt::Layout, lt::Layout, lt::Layout, lt::Layout,
                 const lt::Algorithm* algorithm, lt::Heuristic* result) {
    if (algorithm->data[1] != 0x0123456789abcdef) return 7;
    result->workspace = 256 * algorithm->data[0];
    return 0;
  };
  api.multiply = multiply;
  api.version = [] { return std::size_t{130100}; };
  api.status_string = [](int) { return "the status"; };
  return api;
}

// ---- running a call ----

Literal run(const pass::LibraryCall& call, const std::vector<Literal>& arguments,
            Precision precision = Precision::Float32) {
  Cublas blas(stand_in());
  Choices choices;
  const auto prepared = blas.prepare(call, precision, {choices, "stand-in", {}});
  return run(*prepared, call.result_type, arguments);
}

pass::LibraryCall dot(DType dtype, Shape lhs, Shape rhs, const ir::Builder::DotDimensions& d,
                      std::optional<DType> result = std::nullopt) {
  ir::Graph graph;
  ir::Builder b{graph};
  const ir::Value l = graph.parameter({dtype, std::move(lhs)}), r = graph.parameter({dtype, std::move(rhs)});
  const ir::Value made = b.dot_general(l, r, d, result);
  return {*graph.producer(made), graph.types(std::vector<ir::Value>{l, r}), graph.type(made), {}};
}

pass::LibraryCall plain(DType dtype = DType::F32) { return dot(dtype, {6, 5}, {5, 7}, {{}, {}, {1}, {0}}); }

TEST(Cublaslt, CasesAndTheirGradients) {
  std::size_t ran = 0, refused = 0;
  for (const NamedCall& item : calls_of_cases(ir::Op::DotGeneral)) {
    SCOPED_TRACE(item.name);
    const bool computes = is_float(item.call.result_type.dtype) && element_count(item.call.result_type.shape) > 0 &&
                          element_count(item.call.operand_types[0].shape) > 0;
    if (!as_gemm(item.call)) {
      refused += computes ? 1 : 0;
      continue;
    }
    EXPECT_TRUE(computes);
    ++ran;
    const std::vector<Literal> arguments = random_arguments(item.call, 7);
    EXPECT_EQ(cases::difference(run(item.call, arguments), expected(item.call, arguments), 4), "");
    EXPECT_EQ(recorded.alive, 0) << "descriptors that stay";
  }
  EXPECT_GT(ran, 20U);
  EXPECT_LT(refused, ran / 3) << "products of floats without a form";
}

TEST(Cublaslt, RandomProducts) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto upto = [&](int n) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(n)); };
  std::size_t ran = 0, several = 0;
  for (int round = 0; round < 300; ++round) {
    const std::int64_t batch = upto(3), free_l = upto(3), free_r = upto(3), contract = upto(3);
    // Dimensions in random order, but for some rounds in an order that keeps groups together.
    const auto operand = [&](std::int64_t frees, ir::Integers& batches, ir::Integers& contracted, const Shape& shared) {
      std::vector<std::int64_t> kinds;
      for (std::int64_t i = 0; i < batch + contract; ++i) kinds.push_back(i);
      for (std::int64_t i = 0; i < frees; ++i) kinds.push_back(-1);
      if (round % 3 != 0) std::shuffle(kinds.begin(), kinds.end(), random);
      Shape shape;
      batches.assign(static_cast<std::size_t>(batch), 0);
      contracted.assign(static_cast<std::size_t>(contract), 0);
      for (const std::int64_t kind : kinds) {
        const auto d = static_cast<std::int64_t>(shape.size());
        if (kind >= batch)
          contracted[static_cast<std::size_t>(kind - batch)] = d;
        else if (kind >= 0)
          batches[static_cast<std::size_t>(kind)] = d;
        shape.push_back(kind < 0 ? 1 + upto(4) : shared[static_cast<std::size_t>(kind)]);
      }
      return shape;
    };
    Shape shared;
    for (std::int64_t i = 0; i < batch + contract; ++i) shared.push_back(1 + upto(4));
    ir::Builder::DotDimensions d;
    const Shape lhs = operand(free_l, d.lhs_batch, d.lhs_contracting, shared);
    const Shape rhs = operand(free_r, d.rhs_batch, d.rhs_contracting, shared);
    const DType dtype = cases::kFloats[static_cast<std::size_t>(upto(static_cast<int>(cases::kFloats.size())))];
    const bool widen = (dtype == DType::F16 || dtype == DType::BF16) && upto(2) == 0;
    pass::LibraryCall call = dot(dtype, lhs, rhs, d, widen ? std::optional(DType::F32) : std::nullopt);
    if (upto(2) == 0) call.epilogue.push_back({Kind::AddBias});
    if (upto(2) == 0)
      call.epilogue.insert(call.epilogue.begin() + (upto(2) == 0 ? 0 : std::ssize(call.epilogue)), {Kind::AddTensor});
    const auto gemm = call.result_type.shape.empty() && !call.epilogue.empty() ? std::nullopt : as_gemm(call);
    if (!gemm) continue;
    ++ran;
    several += gemm->starts.size() > 1 ? 1 : 0;
    const std::vector<Literal> arguments = random_arguments(call, random());
    EXPECT_EQ(cases::difference(run(call, arguments), expected(call, arguments), 8), "")
        << to_string(lhs) << " " << to_string(rhs) << " " << name(dtype) << epilogue_text(call);
  }
  EXPECT_GT(ran, 100U);
  EXPECT_GT(several, 0U) << "batches that are calls of their own";
}

TEST(Cublaslt, Precision) {
  struct Row {
    DType dtype;
    Precision precision;
    int compute;
  };
  for (const Row& row : {Row{DType::F32, Precision::Float32, 68}, Row{DType::F32, Precision::TensorFloat32, 77},
                         Row{DType::F32, Precision::BFloat16, 77}, Row{DType::BF16, Precision::BFloat16, 68},
                         Row{DType::F16, Precision::Float32, 68}, Row{DType::F64, Precision::TensorFloat32, 70}}) {
    const pass::LibraryCall call = plain(row.dtype);
    run(call, random_arguments(call, 3), row.precision);
    EXPECT_EQ(recorded.operation.first, row.compute) << name(row.dtype);
    EXPECT_EQ(recorded.operation.second, row.dtype == DType::F64 ? 1 : 0) << "the type of the factors";
  }
  EXPECT_EQ(recorded.preference.get(lt::kReductionMask, 7), 2) << "partial sums are not rounded to the result's type";
}

TEST(Cublaslt, WhatHasNoForm) {
  EXPECT_TRUE(as_gemm(plain()));
  EXPECT_FALSE(as_gemm(plain(DType::I32)));
  pass::LibraryCall call = plain();
  call.epilogue = {{Kind::AddBias}, {Kind::Relu}};
  EXPECT_FALSE(as_gemm(call)) << "the library's relu turns NaN into 0";
  call.epilogue = {{Kind::AddBias}, {Kind::AddBias}};
  EXPECT_FALSE(as_gemm(call)) << "it adds one bias";
  // The result's last dimension is a row index when the right operand has no free dimension.
  call = dot(DType::F32, {6, 5}, {5}, {{}, {}, {1}, {0}});
  EXPECT_TRUE(as_gemm(call));
  call.epilogue = {{Kind::AddBias}};
  EXPECT_FALSE(as_gemm(call));
  EXPECT_FALSE(as_gemm(dot(DType::F32, {4, 5, 3}, {3, 5, 2}, {{2}, {0}, {1}, {1}}))) << "no dimension is dense";
  EXPECT_FALSE(as_gemm(dot(DType::F32, {std::int64_t{1} << 32, 1}, {1, 1}, {{}, {}, {1}, {0}}))) << "too many rows";
}

TEST(Cublaslt, AlignmentOfEachCall) {
  // Two batch dimensions that do not merge: calls of their own for the shorter one, from odd elements on.
  const pass::LibraryCall odd = dot(DType::BF16, {3, 7, 5, 3}, {7, 3, 3, 5}, {{1, 0}, {0, 1}, {3}, {2}});
  const auto gemm = as_gemm(odd);
  ASSERT_TRUE(gemm);
  EXPECT_EQ(gemm->batches, 7);
  EXPECT_EQ(gemm->starts.size(), 3U);
  const std::vector<Literal> arguments = random_arguments(odd, 5);
  EXPECT_EQ(cases::difference(run(odd, arguments), expected(odd, arguments), 4), "");
  EXPECT_EQ(recorded.multiplied, 3);
  EXPECT_EQ(recorded.preference.get(lt::kAlignmentA, 0), 2) << "an odd number of bf16";
}

TEST(Cublaslt, ChoicesAreTimedOnceAndKept) {
  Cublas blas(stand_in());
  Choices choices;
  int timed = 0;
  const pass::LibraryCall call = plain();
  const std::vector<Literal> arguments = random_arguments(call, 9);
  const Timer timer = [&](Call& candidate, std::span<const std::size_t> bytes) {
    ++timed;
    EXPECT_EQ(std::vector<std::size_t>(bytes.begin(), bytes.end()),
              (std::vector<std::size_t>{6 * 5 * 4, 5 * 7 * 4, 6 * 7 * 4}));
    run(candidate, call.result_type, arguments);
    return recorded.algorithms.back() == 3 ? 1.0 : 2.0;
  };
  const auto ran = [&](const Choices& from, const std::string& device) {
    Choices& mine = const_cast<Choices&>(from);
    run(*blas.prepare(call, Precision::Float32, {mine, device, timer}), call.result_type, arguments);
    return recorded.algorithms.back();
  };
  EXPECT_EQ(ran(choices, "H200"), 3U) << "the fastest";
  EXPECT_EQ(timed, 2) << "those that suit, once each";
  const Choices saved(choices.text());
  EXPECT_EQ(saved.text(), choices.text());
  const int asked = recorded.proposals;
  EXPECT_EQ(ran(saved, "H200"), 3U);
  EXPECT_EQ(timed, 2);
  EXPECT_EQ(recorded.proposals, asked) << "the library is not asked again";
  ran(saved, "A100");
  EXPECT_EQ(timed, 4) << "another device, another choice";
  EXPECT_EQ(ran(Choices(), "H200"), 3U);

  EXPECT_THROW(Choices("no sign"), Error);
  EXPECT_THROW(Choices(" = nothing before"), Error);
  EXPECT_EQ(Choices("").text(), "");
  std::string text = choices.text();
  for (const char* const damaged : {"zz", "00000000000000030000000000000000"}) {
    const std::size_t value = text.find(" = ") + 3;
    const Choices wrong(text.substr(0, value) + damaged + std::string(128 - std::strlen(damaged), '0') + "\n");
    EXPECT_THROW(ran(wrong, "H200"), Error) << damaged;
  }
}

TEST(Cublaslt, NoAlgorithm) {
  Cublas blas(stand_in());
  recorded.propose = false;
  EXPECT_FALSE(blas.has_algorithm(plain(), Precision::Float32));
  EXPECT_FALSE(blas.has_algorithm(plain(), Precision::Float32));
  EXPECT_EQ(recorded.proposals, 1) << "asked once";
  Choices choices;
  try {
    blas.prepare(plain(), Precision::Float32, {choices, "stand-in", {}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Unsupported);
    EXPECT_STREQ(error.what(), "cuBLASLt 130100 has no algorithm for dot_general giving f32[6, 7]");
  }
  EXPECT_EQ(choices.text(), "");

  Cublas another(stand_in());
  EXPECT_TRUE(another.has_algorithm(plain(), Precision::Float32));
  EXPECT_FALSE(another.has_algorithm(plain(DType::I32), Precision::Float32)) << "no form";
}

/// The library itself makes descriptors without a GPU, and looks at attributes and their sizes; the rest is stood in
/// for.
TEST(Cublaslt, ItselfTakesTheDescriptors) {
  const Library found = Library::open(cublaslt_name(13), library_folders());
  if (!found.found()) GTEST_SKIP() << found.complaint();
  const lt::Api real = load_cublaslt(found);
  EXPECT_GE(real.version(), 120000U);
  lt::Api api = stand_in();
  api.operation_create = real.operation_create, api.operation_set = real.operation_set;
  api.operation_destroy = real.operation_destroy;
  api.layout_create = real.layout_create, api.layout_set = real.layout_set, api.layout_destroy = real.layout_destroy;
  api.preference_create = real.preference_create, api.preference_set = real.preference_set;
  api.preference_destroy = real.preference_destroy;
  api.status_string = real.status_string;
  api.heuristic = [](lt::Handle, lt::Operation, lt::Layout, lt::Layout, lt::Layout, lt::Layout, lt::Preference, int,
                     lt::Heuristic* list, int* count) {
    list[0] = {};
    *count = 1;
    return 0;
  };
  api.multiply = [](lt::Handle, lt::Operation, const void*, const void*, lt::Layout, const void*, lt::Layout,
                    const void*, const void*, lt::Layout, void*, lt::Layout, const lt::Algorithm*, void*, std::size_t,
                    Stream) {
    ++recorded.multiplied;
    return 0;
  };
  Cublas blas(api);
  for (const DType dtype : cases::kFloats) {
    pass::LibraryCall call = dot(dtype, {3, 6, 5}, {3, 5, 7}, {{0}, {0}, {2}, {1}});
    call.epilogue = {{Kind::AddBias}, {Kind::AddTensor}};
    Choices choices;
    const auto prepared = blas.prepare(call, Precision::TensorFloat32, {choices, "stand-in", {}});
    EXPECT_NO_THROW(run(*prepared, call.result_type, random_arguments(call, 1))) << name(dtype);
  }
  EXPECT_EQ(recorded.multiplied, static_cast<int>(cases::kFloats.size()));
}

}  // namespace
}  // namespace tessera::cuda
