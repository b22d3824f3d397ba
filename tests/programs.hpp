// Programs on the host, as tests run them: the steps of a Program in order over the buffers that it planned, kernels by
// walking their IR or as the caller wants, library steps by the reference interpreter. And graphs to try.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "kernel_interpreter.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/ir/control.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::testing {

using ir::Builder;
using ir::Graph;
using ir::Integers;
using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;
using pass::Buffer;
using pass::Program;
using pass::Step;

/// Runs step `s`, a kernel, over the memory of its arguments.
using RunKernel = std::function<void(const Program& program, std::size_t s, std::span<void* const> arguments)>;

/// By walking the IR, every access checked.
inline void interpret_kernel(const Program& program, std::size_t s, std::span<void* const> arguments) {
  kernel::verify(program.steps[s].kernel);
  KernelInterpreter(program.steps[s].kernel, arguments).run();
}

/// A library as it could be: the product by the row's `evaluate`, then the epilogue in its order.
inline Literal run_library(const pass::LibraryCall& call, std::span<const Literal> operands) {
  const std::size_t own = call.node.operands.size();
  Literal result = ir::primitive(call.node.op).evaluate(call.node, operands.first(own))[0];
  std::size_t next = own;
  for (const auto& epilogue : call.epilogue) {
    using Kind = pass::LibraryCall::Epilogue::Kind;
    const auto out = result.as<float>();
    if (epilogue.kind == Kind::Relu) {
      for (float& x : out) x = x <= 0 ? 0 : x;
      continue;
    }
    const auto other = operands[next++].as<float>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += other[epilogue.kind == Kind::AddBias ? i % other.size() : i];
  }
  return result;
}

inline void run_steps(const Program& program, std::vector<void*> memory, std::byte* arena, const RunKernel& run_kernel);

/// A loop or a branch over the memory of the step's buffers, as program.hpp describes it.
inline void run_inner(const Program& program, const Step& step, const std::vector<void*>& arguments,
                      const RunKernel& run_kernel) {
  const pass::Inner& inner = step.inner;
  const std::size_t operands = step.library.node.operands.size();
  auto* own = static_cast<std::byte*>(arguments.back());
  const auto run_program = [&](const Program& p, const std::vector<void*>& inputs, const std::vector<void*>& outputs) {
    std::vector<void*> memory(p.buffers.size(), nullptr);
    for (std::size_t b = 0; b < p.buffers.size(); ++b) {
      const auto index = static_cast<std::size_t>(p.buffers[b].index);
      if (p.buffers[b].kind == Buffer::Kind::Input) memory[b] = inputs[index];
      if (p.buffers[b].kind == Buffer::Kind::Output) memory[b] = outputs[index];
    }
    run_steps(p, memory, own + inner.arena, run_kernel);
  };
  if (step.kind == Step::Kind::Branch) {
    const std::int64_t selector = step.library.node.op == Op::If ? *static_cast<const bool*>(arguments[0])
                                                                 : *static_cast<const std::int32_t*>(arguments[0]);
    run_program(inner.programs[ir::branch_of(step.library.node, selector)],
                {arguments.begin() + 1, arguments.begin() + static_cast<std::ptrdiff_t>(operands)},
                {arguments.begin() + static_cast<std::ptrdiff_t>(operands), arguments.end() - 1});
    return;
  }
  const auto type_of = [&](std::size_t argument) {
    return program.buffers[static_cast<std::size_t>(step.buffers[argument])].type;
  };
  std::vector<void*> inputs(arguments.begin(), arguments.begin() + static_cast<std::ptrdiff_t>(operands)), outputs;
  for (std::size_t c = 0; c < inner.carried; ++c) {
    if (!inner.in_place[c]) continue;
    void*& place = inputs[inner.constants + c];
    if (place != arguments[operands + c]) std::memcpy(arguments[operands + c], place, byte_size(type_of(operands + c)));
    place = arguments[operands + c];
  }
  for (std::int64_t i = 0;; ++i) {
    if (inner.steps == pass::kUntilFalse) run_program(inner.programs[1], inputs, {own + inner.answer});
    if (inner.steps == pass::kUntilFalse ? !*reinterpret_cast<bool*>(own + inner.answer) : i == inner.steps) break;
    const std::int64_t at = inner.reverse ? inner.steps - 1 - i : i;
    const auto slice = [&](std::size_t argument) {
      const std::size_t bytes = byte_size(type_of(argument)) / static_cast<std::size_t>(inner.steps);
      return static_cast<std::byte*>(arguments[argument]) + static_cast<std::size_t>(at) * bytes;
    };
    outputs.assign(arguments.begin() + static_cast<std::ptrdiff_t>(operands), arguments.end() - 1);
    for (std::size_t a = inner.constants + inner.carried; a < operands; ++a) inputs[a] = slice(a);
    for (std::size_t r = inner.carried; r < outputs.size(); ++r) outputs[r] = slice(operands + r);
    for (std::size_t c = 0; c < inner.carried; ++c)
      if (!inner.in_place[c] && inputs[inner.constants + c] == outputs[c]) outputs[c] = own + inner.spare[c];
    run_program(inner.programs[0], inputs, outputs);
    std::copy_n(outputs.begin(), inner.carried, inputs.begin() + static_cast<std::ptrdiff_t>(inner.constants));
  }
  for (std::size_t c = 0; c < inner.carried; ++c)
    if (void* last = inputs[inner.constants + c]; last != arguments[operands + c])
      std::memcpy(arguments[operands + c], last, byte_size(type_of(operands + c)));
}

/// The steps in order; `memory`: of inputs and outputs, by buffer.
inline void run_steps(const Program& program, std::vector<void*> memory, std::byte* arena,
                      const RunKernel& run_kernel) {
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    if (buffer.kind == Buffer::Kind::Temporary) memory[b] = arena + buffer.offset;
    if (buffer.kind == Buffer::Kind::Constant)
      memory[b] = program.constants[static_cast<std::size_t>(buffer.index)].data();
  }
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    std::vector<void*> arguments;
    for (const std::int32_t b : step.buffers) arguments.push_back(memory[static_cast<std::size_t>(b)]);
    if (step.kind == Step::Kind::Kernel) {
      run_kernel(program, s, arguments);
      continue;
    }
    if (!step.inner.programs.empty()) {
      run_inner(program, step, arguments, run_kernel);
      continue;
    }
    std::vector<Literal> operands;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      TensorType type = program.buffers[static_cast<std::size_t>(step.buffers[i])].type;
      if (i < step.library.operand_types.size()) type = step.library.operand_types[i];
      Literal operand(type);
      std::memcpy(operand.data(), arguments[i], operand.bytes());
      operands.push_back(operand);
    }
    if (step.kind == Step::Kind::Library) {
      const Literal result = run_library(step.library, operands);
      std::memcpy(arguments.back(), result.data(), result.bytes());
    } else {
      ir::primitive(step.library.node.op).evaluate(step.library.node, operands);
    }
  }
}

/// Runs a program over the buffers that it planned.
inline std::vector<Literal> run(const Program& program, std::vector<Literal> inputs,
                                const RunKernel& run_kernel = interpret_kernel) {
  std::vector<std::byte> arena(program.arena_bytes + 64, std::byte{0xAA});
  std::vector<Literal> outputs(static_cast<std::size_t>(program.outputs));
  std::vector<void*> memory(program.buffers.size(), nullptr);
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    if (buffer.kind == Buffer::Kind::Input) memory[b] = inputs[static_cast<std::size_t>(buffer.index)].data();
    if (buffer.kind != Buffer::Kind::Output) continue;
    Literal& out = outputs[static_cast<std::size_t>(buffer.index)];
    out = buffer.donated_from >= 0
              ? Literal(buffer.type, inputs[static_cast<std::size_t>(buffer.donated_from)].storage())
              : Literal(buffer.type);
    if (buffer.donated_from < 0) std::memset(out.data(), 0xBB, out.bytes());
    memory[b] = out.data();
  }
  for (const auto& alias : program.aliases)
    outputs[static_cast<std::size_t>(alias.output)] = alias.input >= 0
                                                          ? inputs[static_cast<std::size_t>(alias.input)]
                                                          : program.constants[static_cast<std::size_t>(alias.constant)];
  run_steps(program, memory, arena.data(), run_kernel);
  return outputs;
}

inline Literal random_literal(const TensorType& type, std::mt19937& random) {
  Literal literal(type);
  for (std::int64_t i = 0; i < literal.size(); ++i) {
    if (is_float(type.dtype))
      literal.set_double(i, std::uniform_real_distribution<double>(-2, 2)(random));
    else
      literal.set_integer(i, type.dtype == DType::Bool ? static_cast<std::int64_t>(random() % 2)
                                                       : static_cast<std::int64_t>(random() % 7) - 3);
  }
  return literal;
}

inline void expect_close(const Literal& got, const Literal& want, const std::string& where, double tolerance = 2e-5) {
  ASSERT_EQ(got.size(), want.size()) << where;
  for (std::int64_t i = 0; i < want.size(); ++i) {
    const double a = got.get_double(i), b = want.get_double(i);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) continue;
    ASSERT_LE(std::abs(a - b), tolerance * std::max(1.0, std::abs(b))) << where << " element " << i;
  }
}

struct Lowered {
  Program program;
  std::vector<Literal> results;
};

inline Lowered check(const Graph& graph, const pass::Target& t, const CompileOptions& options = {}, unsigned seed = 1,
                     double tolerance = 2e-5, const RunKernel& run_kernel = interpret_kernel) {
  std::mt19937 random(seed);
  std::vector<Literal> inputs, copies;
  for (const TensorType& type : graph.parameter_types()) {
    inputs.push_back(random_literal(type, random));
    Literal copy(type);
    std::memcpy(copy.data(), inputs.back().data(), copy.bytes());
    copies.push_back(copy);
  }
  Lowered lowered{pass::lower(graph, t, options), {}};
  pass::verify(lowered.program);
  const std::vector<Literal> want = ir::interpret(graph, inputs);
  lowered.results = run(lowered.program, copies, run_kernel);
  for (std::size_t i = 0; i < want.size(); ++i)
    expect_close(lowered.results[i], want[i], "result " + std::to_string(i) + "\n" + pass::to_string(lowered.program),
                 tolerance);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (i >= options.donated.size() || !options.donated[i]) {
      EXPECT_TRUE(inputs[i].identical(copies[i])) << "input " << i << " was overwritten";
    }
  return lowered;
}

inline std::size_t kernels(const Program& program) {
  return static_cast<std::size_t>(std::count_if(program.steps.begin(), program.steps.end(),
                                                [](const Step& s) { return s.kind == Step::Kind::Kernel; }));
}

inline const Shape kScalar{};
inline TensorType f32(Shape shape) { return {DType::F32, std::move(shape)}; }

inline Value softmax(Builder& b, Value x) {
  const Shape shape = b.shape(x);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const Integers kept = ir::iota_integers(last);
  const Value top = b.broadcast_in_dim(b.reduce(Op::Maximum, x, {last}), shape, kept);
  const Value e = b.unary(Op::Exponential, b.subtract(x, top));
  return b.divide(e, b.broadcast_in_dim(b.sum(e, {last}), shape, kept));
}

inline Value layer_norm(Builder& b, Value x, Value scale, Value offset) {
  const Shape shape = b.shape(x);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const Integers kept = ir::iota_integers(last);
  const double n = static_cast<double>(shape.back());
  const auto mean_of = [&](Value v) {
    const Value sum = b.sum(v, {last});
    return b.broadcast_in_dim(b.divide(sum, b.full_like(sum, n)), shape, kept);
  };
  const Value centred = b.subtract(x, mean_of(x));
  const Value variance = mean_of(b.multiply(centred, centred));
  const Value normal = b.multiply(centred, b.unary(Op::Rsqrt, b.add(variance, b.full_like(variance, 1e-5))));
  return b.add(b.multiply(normal, b.broadcast_in_dim(scale, shape, {last})), b.broadcast_in_dim(offset, shape, {last}));
}

inline Value relu(Builder& b, Value x) {
  const Value zero = b.zeros_like(x);
  return b.select(b.compare(x, zero, "LE"), zero, x);
}

/// One training step of a perceptron, by hand.
inline Graph perceptron_step(std::int64_t batch, std::int64_t in, std::int64_t hidden, std::int64_t classes) {
  Graph graph("step");
  Builder b{graph};
  const Value x = graph.parameter(f32({batch, in})), labels = graph.parameter({DType::I32, {batch}});
  const Value w1 = graph.parameter(f32({in, hidden})), b1 = graph.parameter(f32({hidden}));
  const Value w2 = graph.parameter(f32({hidden, classes})), b2 = graph.parameter(f32({classes}));
  const auto dot = [&](Value p, Value q) { return b.dot_general(p, q, {{}, {}, {1}, {0}}); };
  const auto bias = [&](Value v, Value c) { return b.add(v, b.broadcast_in_dim(c, b.shape(v), {1})); };
  const Value h = relu(b, bias(dot(x, w1), b1));
  const Value logits = bias(dot(h, w2), b2);
  const Shape shape = b.shape(logits);
  const Value one_hot =
      b.convert(b.compare(b.broadcast_in_dim(labels, shape, {0}), b.iota(DType::I32, shape, 1), "EQ"), DType::F32);
  const Value top = b.reduce(Op::Maximum, logits, {1});
  const Value shifted = b.subtract(logits, b.broadcast_in_dim(top, shape, {0}));
  const Value log_sum = b.unary(Op::Log, b.sum(b.unary(Op::Exponential, shifted), {1}));
  const Value log_probability = b.subtract(shifted, b.broadcast_in_dim(log_sum, shape, {0}));
  const Value total = b.negate(b.sum(b.multiply(one_hot, log_probability), {0, 1}));
  const Value loss = b.divide(total, b.full(DType::F32, static_cast<double>(batch)));
  const Value d_logits = b.divide(b.subtract(b.unary(Op::Exponential, log_probability), one_hot),
                                  b.full(DType::F32, static_cast<double>(batch), shape));
  const Value dw2 = dot(b.transpose(h, {1, 0}), d_logits), db2 = b.sum(d_logits, {0});
  const Value dh = dot(d_logits, b.transpose(w2, {1, 0}));
  const Value pre = bias(dot(x, w1), b1);
  const Value masked = b.select(b.compare(pre, b.zeros_like(pre), "LE"), b.zeros_like(dh), dh);
  const Value dw1 = dot(b.transpose(x, {1, 0}), masked), db1 = b.sum(masked, {0});
  const auto update = [&](Value p, Value g) { return b.subtract(p, b.multiply(b.full_like(p, 0.01), g)); };
  graph.results = {loss, update(w1, dw1), update(b1, db1), update(w2, dw2), update(b2, db2)};
  return graph;
}
inline Graph embedding_gradient(bool zeros, std::int64_t words = 7) {
  Graph graph;
  Builder b{graph};
  const Value table = graph.parameter(f32({9, 20})), rows = graph.parameter({DType::I32, {words, 1}}),
              updates = graph.parameter(f32({words, 20}));
  const Value start = zeros ? b.zeros_like(table) : table;
  const Value sum = graph.add1(Op::Scatter, {start, rows, updates},
                               {{"update_window_dims", Integers{1}},
                                {"inserted_window_dims", Integers{0}},
                                {"scatter_dims_to_operand_dims", Integers{0}},
                                {"index_vector_dim", std::int64_t{1}}},
                               {ir::reducer(Op::Add, DType::F32)});
  graph.results = {b.negate(sum), b.unary(Op::Tanh, table)};
  return graph;
}

/// A graph of about `size` nodes from everything that fuses. Large ones are worth several threads.
inline Graph random_graph(std::mt19937& random, int size, bool large) {
  Graph graph("random");
  Builder b{graph};
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const Shape shapes[] = {{6, 8}, {8, 6}, {8}, {6}, {2, 3, 8}, {48}, {1, 8}, {3, 20}, {}};
  Values pool;
  const Shape large_shapes[] = {{60, 80}, {80, 60}, {80}, {60}, {20, 3, 80}, {4800}, {1, 80}, {3, 200}, {}};
  for (const Shape& shape : large ? large_shapes : shapes) pool.push_back(graph.parameter(f32(shape)));
  const auto any = [&] { return pool[pick(pool.size())]; };
  const auto like = [&](Value v) {
    Values same;
    for (const Value w : pool)
      if (graph.shape(w) == graph.shape(v)) same.push_back(w);
    return same[pick(same.size())];
  };
  for (int i = 0; i < size; ++i) {
    const Value x = any();
    const Shape shape = graph.shape(x);
    const auto rank = static_cast<std::int64_t>(shape.size());
    const std::int64_t d = rank == 0 ? 0 : static_cast<std::int64_t>(pick(shape.size()));
    const auto ud = static_cast<std::size_t>(d);
    Value made = x;
    switch (pick(19)) {
      case 0: made = b.add(x, like(x)); break;
      case 1: made = b.unary(Op::Tanh, x); break;
      case 2: made = b.binary(random() % 2 == 0 ? Op::Maximum : Op::Minimum, x, like(x)); break;
      case 3: {
        const Value y = like(x);
        made = b.select(b.compare(x, y, "LT"), y, b.negate(like(x)));
        break;
      }
      case 4: {
        if (rank == 0) break;
        Shape bigger = shape;
        const std::size_t at = pick(shape.size() + 1);
        if (rank >= 3) break;
        bigger.insert(bigger.begin() + static_cast<std::ptrdiff_t>(at), 3);
        Integers dimensions;
        for (std::size_t k = 0; k < shape.size(); ++k)
          dimensions.push_back(static_cast<std::int64_t>(k + (k >= at ? 1 : 0)));
        made = b.broadcast_in_dim(x, bigger, dimensions);
        break;
      }
      case 5:
        if (rank > 0) made = b.sum(x, {d});
        break;
      case 6:
        if (rank > 0) made = b.reduce(Op::Maximum, x, {d});
        break;
      case 7:
        if (rank > 0) made = b.reshape(x, {element_count(shape)});
        break;
      case 8:
        if (element_count(shape) == element_count(graph.shape(pool[0])))
          made = b.reshape(x, graph.shape(pool[random() % 2 == 0 ? 0 : 4]));
        break;
      case 9: {
        if (rank < 2) break;
        Integers permutation = ir::iota_integers(rank);
        std::shuffle(permutation.begin(), permutation.end(), random);
        made = b.transpose(x, permutation);
        break;
      }
      case 10: {
        if (rank == 0 || shape[ud] < 3) break;
        Integers start(shape.size(), 0), limit = shape, stride(shape.size(), 1);
        start[ud] = 1;
        stride[ud] = 1 + static_cast<std::int64_t>(pick(2));
        made = b.slice(x, start, limit, stride);
        break;
      }
      case 11: {
        if (rank == 0 || shape[ud] > 90) break;
        Integers low(shape.size(), 0), high(shape.size(), 0), interior(shape.size(), 0);
        low[ud] = static_cast<std::int64_t>(pick(3)) - (shape[ud] > 1 ? 1 : 0);
        high[ud] = static_cast<std::int64_t>(pick(3));
        interior[ud] = static_cast<std::int64_t>(pick(2));
        made = b.pad(x, b.full(DType::F32, 0.5), low, high, interior);
        break;
      }
      case 12:
        if (rank > 0 && shape[ud] < 90) made = b.concatenate({x, b.negate(like(x))}, d);
        break;
      case 13: {
        if (rank != 2 || element_count(shape) > 20000) break;
        const Value other = like(x);
        made = random() % 2 == 0 ? b.dot_general(x, other, {{}, {}, {0}, {0}})
                                 : b.dot_general(x, b.transpose(other, {1, 0}), {{}, {}, {1}, {0}});
        break;
      }
      case 14: {
        if (rank == 0) break;
        Values operands{x};
        Shape sizes = shape;
        sizes[ud] = (shape[ud] + 1) / 2;
        for (std::int64_t k = 0; k < rank; ++k)
          operands.push_back(b.full(DType::I32, static_cast<double>(pick(5)) - 1));
        made = graph.add1(Op::DynamicSlice, operands, {{"slice_sizes", Integers(sizes)}});
        break;
      }
      case 15: {
        if (rank == 0) break;
        Values operands{like(x), b.slice(x, Integers(shape.size(), 0), [&] {
                          Integers limit = shape;
                          limit[ud] = (shape[ud] + 1) / 2;
                          return limit;
                        }())};
        for (std::int64_t k = 0; k < rank; ++k)
          operands.push_back(b.full(DType::I32, static_cast<double>(pick(5)) - 1));
        made = graph.add1(Op::DynamicUpdateSlice, operands);
        break;
      }
      case 16: {
        if (rank == 0 || shape[ud] < 3) break;
        Integers window(shape.size(), 1), ones(shape.size(), 1), padding(2 * shape.size(), 0);
        window[ud] = 2 + static_cast<std::int64_t>(pick(2));
        padding[2 * ud] = static_cast<std::int64_t>(pick(2));
        made = graph.add1(Op::ReduceWindow, {x, b.full(DType::F32, 0)},
                          {{"window_dimensions", window},
                           {"window_strides", ones},
                           {"base_dilations", ones},
                           {"window_dilations", ones},
                           {"padding", padding}},
                          {ir::reducer(Op::Add, DType::F32)});
        break;
      }
      case 17: {
        if (rank == 0) break;
        const Value counted = b.convert(b.iota(DType::I32, shape, d), DType::F32);
        made = b.select(b.compare(counted, b.full(DType::F32, 2, shape), "GT"), x,
                        b.binary(Op::Divide, x, b.add(counted, b.full(DType::F32, 1, shape))));
        break;
      }
      default:
        if (rank == 2)
          made = softmax(b, x);
        else if (rank > 0)
          made = b.reverse(x, {d});
    }
    pool.push_back(b.multiply(made, b.full_like(made, 0.75)));
  }
  for (int r = 0; r < 4; ++r)
    graph.results.push_back(pool[pool.size() - 1 - pick(static_cast<std::size_t>(size) / 2 + 1)]);
  graph.results.push_back(pool.back());
  return graph;
}

}  // namespace tessera::testing
