// Kernels for a GPU, written by hand: the shapes that the scheduler makes, and corners of the IR.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tessera/kernel/kernel.hpp"

namespace tessera::testing {

using kernel::Builder;
using kernel::Expr;
using kernel::Kernel;
using kernel::LoopKind;
using kernel::Op;

/// out = a * a + a in f32, from and to `d`: `vector` elements a thread at once, a tail by If or by predicates.
inline Kernel map_kernel(DType d, std::int64_t n, std::int64_t vector, std::int64_t threads = 128) {
  Kernel k;
  k.name = "map_" + std::string(name(d)) + "_" + std::to_string(n) + "_" + std::to_string(vector);
  Builder b(k);
  const auto a = b.argument("a", d, n, false);
  const auto out = b.argument("out", d, n, true);
  const std::int64_t step = threads * vector;
  const Expr block = b.open(LoopKind::Grid, "block", (n + step - 1) / step);
  const Expr t = b.open(LoopKind::Threads, "t", threads);
  const Expr first = b.add(b.mul(block, b.index(step)), b.mul(t, b.index(vector)));
  b.open_if(b.binary(Op::Less, first, b.index(n)));
  const Expr at = b.add(first, b.open(LoopKind::Vector, "j", vector));
  const Expr inside = n % vector == 0 ? kernel::kNone : b.binary(Op::Less, at, b.index(n));
  const Expr x = b.convert(DType::F32, b.load(a, at, inside));
  b.store(out, at, b.convert(d, b.add(b.mul(x, x), x)), inside);
  b.close();
  b.close();
  b.close();
  b.close();
  return k;
}

/// Copies `n` elements, 16 bytes a thread at once.
inline Kernel copy_kernel(DType d, std::int64_t n) {
  Kernel k;
  k.name = "copy_" + std::string(name(d));
  Builder b(k);
  const auto a = b.argument("a", d, n, false);
  const auto out = b.argument("out", d, n, true);
  const std::int64_t vector = 16 / static_cast<std::int64_t>(size_of(d));
  const Expr block = b.open(LoopKind::Grid, "block", n / (64 * vector));
  const Expr t = b.open(LoopKind::Threads, "t", 64);
  const Expr j = b.open(LoopKind::Vector, "j", vector);
  const Expr at = b.add(b.mul(b.add(b.mul(block, b.index(64)), t), b.index(vector)), j);
  b.store(out, at, b.load(a, at));
  b.close();
  b.close();
  b.close();
  return k;
}

/// One value for each row: `width` threads share a row, threads / width rows a block.
inline Kernel rows_kernel(DType d, Op monoid, std::int64_t rows, std::int64_t columns, std::int64_t width,
                          std::int64_t threads = 256) {
  Kernel k;
  k.name = "rows_" + std::string(kernel::name(monoid)) + "_" + std::string(name(d)) + "_" + std::to_string(width);
  Builder b(k);
  const auto a = b.argument("a", d, rows * columns, false);
  const auto out = b.argument("out", d, rows, true);
  const auto sum = b.local("sum", d);
  const std::int64_t together = threads / width;
  const auto row_of = [&](Expr block, Expr t) {
    return b.add(b.mul(block, b.index(together)), b.binary(Op::Divide, t, b.index(width)));
  };
  const Expr block = b.open(LoopKind::Grid, "block", (rows + together - 1) / together);
  Expr t = b.open(LoopKind::Threads, "t", threads);
  const bool least = monoid == Op::Minimum, most = monoid == Op::Maximum;
  b.write(sum, b.constant(d, least                                         ? INFINITY
                             : most                                        ? -INFINITY
                             : monoid == Op::Multiply || monoid == Op::And ? 1
                                                                           : 0));
  const Expr s = b.open(LoopKind::Serial, "s", (columns + width - 1) / width);
  const Expr column = b.add(b.mul(s, b.index(width)), b.binary(Op::Remainder, t, b.index(width)));
  const Expr inside =
      b.logical_and(b.binary(Op::Less, column, b.index(columns)), b.binary(Op::Less, row_of(block, t), b.index(rows)));
  const Expr x = b.load(a, b.add(b.mul(row_of(block, t), b.index(columns)), column), inside);
  b.write(sum, b.index(0), b.binary(monoid, b.read(sum), x), inside);
  b.close();
  b.close();
  b.combine(sum, monoid, width);
  t = b.open(LoopKind::Threads, "t", threads);
  b.open_if(b.logical_and(b.binary(Op::Equal, b.binary(Op::Remainder, t, b.index(width)), b.index(0)),
                          b.binary(Op::Less, row_of(block, t), b.index(rows))));
  b.store(out, row_of(block, t), b.read(sum));
  b.close();
  b.close();
  b.close();
  return k;
}

/// Sums over rows: `stride` columns a block, `width` threads for each.
inline Kernel columns_kernel(std::int64_t rows, std::int64_t columns, std::int64_t width, std::int64_t stride) {
  Kernel k;
  k.name = "columns_" + std::to_string(width) + "_" + std::to_string(stride);
  Builder b(k);
  const auto a = b.argument("a", DType::F32, rows * columns, false);
  const auto out = b.argument("out", DType::F32, columns, true);
  const auto sum = b.local("sum", DType::F32, 2);  // a Combine takes the first of them
  const std::int64_t threads = std::max<std::int64_t>(32, width * stride);
  const Expr block = b.open(LoopKind::Grid, "block", columns / stride);
  Expr t = b.open(LoopKind::Threads, "t", threads);
  const auto column = [&] { return b.add(b.mul(block, b.index(stride)), b.binary(Op::Remainder, t, b.index(stride))); };
  const auto part = [&] { return b.binary(Op::Remainder, b.binary(Op::Divide, t, b.index(stride)), b.index(width)); };
  b.write(sum, b.constant(DType::F32, 0));
  const Expr s = b.open(LoopKind::Serial, "s", (rows + width - 1) / width);
  const Expr row = b.add(b.mul(s, b.index(width)), part());
  b.open_if(b.binary(Op::Less, row, b.index(rows)));
  b.write(sum, b.add(b.read(sum), b.load(a, b.add(b.mul(row, b.index(columns)), column()))));
  b.close();
  b.close();
  b.close();
  b.combine(sum, Op::Add, width, stride);
  t = b.open(LoopKind::Threads, "t", threads);
  b.store(out, column(), b.read(sum), b.binary(Op::Less, t, b.index(stride)));
  b.close();
  b.close();
  return k;
}

/// Sums, products, maxima and a count of each row: Combines that follow each other, of several types and widths.
inline Kernel several_kernel() {
  Kernel k;
  k.name = "several";
  Builder b(k);
  const std::int64_t threads = 256, rows = 5;
  const auto a = b.argument("a", DType::F32, rows * threads, false);
  const auto out = b.argument("out", DType::F64, rows * threads, true);
  const auto sum = b.local("sum", DType::F32), product = b.local("part", DType::F64),
             most = b.local("most", DType::F32);
  const auto count = b.local("count", DType::I16), any = b.local("any", DType::Bool);
  const Expr block = b.open(LoopKind::Grid, "block", rows);
  Expr t = b.open(LoopKind::Threads, "t", threads);
  const Expr x = b.load(a, b.add(b.mul(block, b.index(threads)), t));
  const Expr positive = b.binary(Op::Greater, x, b.constant(DType::F32, 0));
  b.write(sum, x);
  b.write(product, b.convert(DType::F64, x));
  b.write(most, x);
  b.write(count, b.convert(DType::I16, positive));
  b.write(any, positive);
  b.close();
  b.open(LoopKind::Serial, "twice", 2);
  b.combine(sum, Op::Add, 16, 16);
  b.combine(product, Op::Multiply, 8, 1);
  b.combine(most, Op::Maximum, 256, 1);
  b.combine(count, Op::Add, 4, 64);
  b.combine(any, Op::And, 16, 8);
  b.combine(sum, Op::Add, 16, 1);
  b.close();
  t = b.open(LoopKind::Threads, "t", threads);
  Expr total = b.add(b.convert(DType::F64, b.read(sum)), b.read(product));
  for (const auto local : {most, count, any}) total = b.add(total, b.convert(DType::F64, b.read(local)));
  b.store(out, b.add(b.mul(block, b.index(threads)), t), total);
  b.close();
  b.close();
  return k;
}

/// out[c, r] = a[r, c] by tiles of 32 x 32 in shared memory, with tails on both sides.
inline Kernel transpose_kernel(DType d, std::int64_t rows, std::int64_t columns) {
  Kernel k;
  k.name = "transpose_" + std::string(name(d));
  Builder b(k);
  const auto a = b.argument("a", d, rows * columns, false);
  const auto out = b.argument("out", d, rows * columns, true);
  const auto tile = b.local("tile", d, 32L * 33, true);
  const std::int64_t across = (columns + 31) / 32;
  const Expr block = b.open(LoopKind::Grid, "block", (rows + 31) / 32 * across);
  const Expr top = b.mul(b.binary(Op::Divide, block, b.index(across)), b.index(32));
  const Expr left = b.mul(b.binary(Op::Remainder, block, b.index(across)), b.index(32));
  for (const bool loads : {true, false}) {
    const Expr t = b.open(LoopKind::Threads, "t", 256);
    const Expr x = b.binary(Op::Remainder, t, b.index(32));
    const Expr s = b.open(LoopKind::Serial, "s", 4);
    const Expr y = b.add(b.mul(s, b.index(8)), b.binary(Op::Divide, t, b.index(32)));
    const Expr row = b.add(top, loads ? y : x);
    const Expr column = b.add(left, loads ? x : y);
    b.open_if(b.logical_and(b.binary(Op::Less, row, b.index(rows)), b.binary(Op::Less, column, b.index(columns))));
    if (loads)
      b.write(tile, b.add(b.mul(y, b.index(33)), x), b.load(a, b.add(b.mul(row, b.index(columns)), column)));
    else
      b.store(out, b.add(b.mul(column, b.index(rows)), row), b.read(tile, b.add(b.mul(x, b.index(33)), y)));
    b.close();
    b.close();
    b.close();
  }
  b.close();
  return k;
}

/// Softmax of each row in one pass: `threads` threads keep a row in registers, vectors of 4.
inline Kernel softmax_kernel(std::int64_t rows, std::int64_t columns, std::int64_t threads) {
  Kernel k;
  k.name = "softmax_" + std::to_string(columns);
  Builder b(k);
  const auto a = b.argument("a", DType::F32, rows * columns, false);
  const auto out = b.argument("out", DType::F32, rows * columns, true);
  const std::int64_t step = threads * 4;
  const std::int64_t parts = (columns + step - 1) / step;
  const auto row = b.local("row", DType::F32, parts * 4);
  const auto most = b.local("most", DType::F32);
  const auto sum = b.local("sum", DType::F32);
  const Expr block = b.open(LoopKind::Grid, "block", rows);
  const auto each = [&](auto&& body) {
    const Expr t = b.open(LoopKind::Threads, "t", threads);
    body(t);
    b.close();
  };
  const auto elements = [&](Expr t, auto&& body) {
    const Expr s = b.open(LoopKind::Serial, "s", parts);
    const Expr first = b.add(b.mul(s, b.index(step)), b.mul(t, b.index(4)));
    const Expr inside = b.binary(Op::Less, first, b.index(columns));
    const Expr j = b.open(LoopKind::Vector, "j", 4);
    body(b.add(b.mul(block, b.index(columns)), b.add(first, j)), b.add(b.mul(s, b.index(4)), j), inside);
    b.close();
    b.close();
  };
  each([&](Expr t) {
    elements(t, [&](Expr at, Expr place, Expr inside) {
      b.write(row, place, b.select(inside, b.load(a, at, inside), b.constant(DType::F32, -INFINITY)));
    });
    b.write(most, b.constant(DType::F32, -INFINITY));
    const Expr i = b.open(LoopKind::Serial, "i", parts * 4);
    b.write(most, b.binary(Op::Maximum, b.read(most), b.read(row, i)));
    b.close();
  });
  b.combine(most, Op::Maximum, threads);
  each([&](Expr) {
    b.write(sum, b.constant(DType::F32, 0));
    const Expr i = b.open(LoopKind::Serial, "i", parts * 4);
    b.write(row, i, call(b, kernel::Function::Exp, b.sub(b.read(row, i), b.read(most))));
    b.write(sum, b.add(b.read(sum), b.read(row, i)));
    b.close();
  });
  b.combine(sum, Op::Add, threads);
  each([&](Expr t) {
    elements(t, [&](Expr at, Expr place, Expr inside) {
      b.store(out, at, b.binary(Op::Divide, b.read(row, place), b.read(sum)), inside);
    });
  });
  b.close();
  return k;
}

/// Neighbours in a block through a written argument and through shared memory, over several rounds: each threads loop
/// needs the one before it.
inline Kernel rounds_kernel(std::int64_t threads) {
  Kernel k;
  k.name = "rounds";
  Builder b(k);
  const auto a = b.argument("a", DType::I32, 2 * threads, false);
  const auto out = b.argument("out", DType::I32, 2 * threads, true);
  const auto cells = b.local("cells", DType::I32, threads, true);
  const auto mine = b.local("mine", DType::I32);
  const Expr block = b.open(LoopKind::Grid, "block", 2);
  const auto place = [&](Expr t) { return b.add(b.mul(block, b.index(threads)), t); };
  const auto next = [&](Expr t, std::int64_t by) {
    return b.binary(Op::Remainder, b.add(t, b.index(by)), b.index(threads));
  };
  Expr t = b.open(LoopKind::Threads, "t", threads);
  b.write(mine, b.load(a, place(t)));
  b.close();
  b.open(LoopKind::Serial, "round", 3);
  t = b.open(LoopKind::Threads, "t", threads);  // in the second round, behind the reads of the first
  b.write(cells, next(t, 40), b.mul(b.read(mine), b.integer(DType::I32, 3)));
  b.close();
  t = b.open(LoopKind::Threads, "t", threads);
  b.write(mine, b.add(b.read(cells, next(t, 1)), b.integer(DType::I32, 1)));
  b.close();
  b.close();
  t = b.open(LoopKind::Threads, "t", threads);
  b.store(out, place(t), b.read(mine));
  b.close();
  t = b.open(LoopKind::Threads, "t", threads);
  b.write(mine, b.load(out, place(next(t, 7))));
  b.close();
  t = b.open(LoopKind::Threads, "t", threads);
  b.store(out, place(t), b.sub(b.read(mine), b.integer(DType::I32, 5)));
  b.close();
  b.close();
  return k;
}

/// out += a * scale[row] in place: the argument that is stored is loaded before.
inline Kernel update_kernel(std::int64_t rows, std::int64_t columns) {
  Kernel k;
  k.name = "update";
  Builder b(k);
  const auto a = b.argument("a", DType::BF16, rows * columns, false);
  const auto scale = b.argument("scale", DType::F32, rows, false);
  const auto out = b.argument("out", DType::F32, rows * columns, true);
  const Expr block = b.open(LoopKind::Grid, "block", rows * columns / (8 * 64));
  const Expr t = b.open(LoopKind::Threads, "t", 64);
  const Expr j = b.open(LoopKind::Vector, "j", 8);
  const Expr at = b.add(b.mul(b.add(b.mul(block, b.index(64)), t), b.index(8)), j);
  const Expr x = b.mul(b.convert(DType::F32, b.load(a, at)), b.load(scale, b.binary(Op::Divide, at, b.index(columns))));
  b.store(out, at, b.add(b.load(out, at), x));
  b.close();
  b.close();
  b.close();
  return k;
}

/// What must stay in order within an iteration of a vector loop: a load behind a store to its argument, two stores to
/// one argument, an index that the loop itself writes, a condition that differs from element to element.
inline Kernel order_kernel(std::int64_t vector) {
  Kernel k;
  k.name = "order_" + std::to_string(vector);
  Builder b(k);
  const std::int64_t n = 3 * 32 * vector;
  const auto a = b.argument("a", DType::F32, n, false);
  const auto first = b.argument("first", DType::F32, n, true);
  const auto second = b.argument("second", DType::F32, n, true);
  const auto third = b.argument("third", DType::F32, n, true);
  const auto fourth = b.argument("fourth", DType::F32, n, true);
  const auto places = b.local("places", DType::I64, vector);
  const Expr block = b.open(LoopKind::Grid, "block", 3);
  const Expr t = b.open(LoopKind::Threads, "t", 32);
  const Expr j = b.open(LoopKind::Vector, "j", vector);
  const Expr at = b.add(b.mul(b.add(b.mul(block, b.index(32)), t), b.index(vector)), j);
  const auto f32 = [&](double v) { return b.constant(DType::F32, v); };
  b.store(first, at, b.add(b.load(a, at), b.load(first, at)));
  b.store(second, at, b.mul(b.load(first, at), f32(2)));
  b.store(third, at, b.load(a, at));
  b.store(third, at, b.add(b.load(third, at), f32(1)), b.binary(Op::Greater, b.load(a, at), f32(0)));
  b.write(places, b.lane(), b.sub(at, j));
  b.store(fourth, b.add(b.read(places, b.lane()), j), b.load(a, b.add(b.read(places, b.lane()), j)),
          b.binary(Op::Less, at, b.index(n - 2)));
  b.close();
  b.close();
  b.close();
  return k;
}

/// Indices around zero, quotients and remainders, and products beyond 32 bits, in one sum.
inline Kernel index_kernel() {
  Kernel k;
  k.name = "indices";
  Builder b(k);
  const std::int64_t n = 7 * 64;
  const auto a = b.argument("a", DType::F32, n, false);
  const auto out = b.argument("out", DType::I64, n, true);
  const auto picked = b.argument("picked", DType::F32, n, true);
  const Expr block = b.open(LoopKind::Grid, "block", 7);
  const Expr t = b.open(LoopKind::Threads, "t", 64);
  const Expr at = b.add(b.mul(block, b.index(64)), t);
  const auto integer = [&](Op op, Expr x, std::int64_t y) { return b.binary(op, x, b.index(y)); };
  const Expr back = b.sub(t, integer(Op::Multiply, block, 11));
  Expr sum = integer(Op::Divide, back, 5);
  for (const Expr e :
       {integer(Op::Remainder, back, 7), integer(Op::Multiply, at, 1LL << 40),
        b.mul(integer(Op::Multiply, at, 1 << 16), integer(Op::Add, t, 1 << 16)),
        integer(Op::Remainder, integer(Op::Multiply, at, 1LL << 33), 1000003),
        integer(Op::Minimum, integer(Op::Maximum, back, -3), 9), b.unary(Op::Abs, back), integer(Op::ShiftLeft, at, 35),
        integer(Op::And, at, 21), b.select(integer(Op::Less, back, 0), back, integer(Op::Multiply, at, 1LL << 36))})
    sum = b.add(sum, e);
  b.store(out, at, sum);
  const Expr from = integer(Op::Minimum, integer(Op::Maximum, integer(Op::Subtract, at, 5), 0), n - 9);
  b.store(picked, at, b.load(a, from));
  b.close();
  b.close();
  return k;
}

/// The functions that are F64's alone. On a GPU some need a stack.
inline Kernel functions_kernel() {
  Kernel k;
  k.name = "functions";
  Builder b(k);
  const auto a = b.argument("a", DType::F64, 32, false);
  b.open(LoopKind::Grid, "block", 1);
  const Expr t = b.open(LoopKind::Threads, "t", 32);
  const Expr x = b.load(a, t);
  for (const Op op :
       {Op::Exp, Op::Expm1, Op::Log, Op::Log1p, Op::Sin, Op::Cos, Op::Tan, Op::Tanh, Op::Atan, Op::Erf, Op::Cbrt})
    b.store(b.argument("out", DType::F64, 32, true), t, b.unary(op, x));
  for (const Op op : {Op::Power, Op::Atan2})
    b.store(b.argument("out", DType::F64, 32, true), t, b.binary(op, x, b.constant(DType::F64, 1.5)));
  b.close();
  b.close();
  return k;
}

/// All of them but the last.
inline std::vector<Kernel> gpu_kernels() {
  std::vector<Kernel> kernels;
  for (const DType d :
       {DType::F32, DType::F16, DType::BF16, DType::F64, DType::I32, DType::U8, DType::I16, DType::Bool}) {
    for (const std::int64_t vector : {2, 8}) kernels.push_back(map_kernel(d, 1000, vector, 32));
    kernels.push_back(map_kernel(d, 1001, 4));
    kernels.push_back(map_kernel(d, 2048, 16));
    kernels.push_back(copy_kernel(d, 2048));
  }
  for (const std::int64_t width : {1, 8, 32, 128, 256})
    kernels.push_back(rows_kernel(DType::F32, Op::Add, 37, 700, width));
  kernels.push_back(rows_kernel(DType::F32, Op::Maximum, 5, 5000, 1024, 1024));
  kernels.push_back(rows_kernel(DType::F32, Op::Minimum, 70, 90, 16, 96));
  kernels.push_back(rows_kernel(DType::F64, Op::Multiply, 9, 40, 64));
  kernels.push_back(rows_kernel(DType::F64, Op::Add, 9, 400, 256));
  kernels.push_back(rows_kernel(DType::I64, Op::Add, 9, 400, 64));
  kernels.push_back(rows_kernel(DType::I8, Op::Add, 9, 400, 64));
  kernels.push_back(rows_kernel(DType::U16, Op::Xor, 9, 400, 32));
  kernels.push_back(rows_kernel(DType::I32, Op::And, 9, 40, 128));
  kernels.push_back(rows_kernel(DType::Bool, Op::Add, 30, 40, 64));
  kernels.push_back(rows_kernel(DType::Bool, Op::Xor, 30, 40, 16));
  for (const std::int64_t stride : {4, 16, 32, 64})
    for (const std::int64_t width : {2, 8}) kernels.push_back(columns_kernel(301, 192, width, stride));
  kernels.push_back(columns_kernel(301, 192, 64, 16));
  kernels.push_back(columns_kernel(301, 192, 32, 1));
  for (const DType d : {DType::F32, DType::U8}) kernels.push_back(transpose_kernel(d, 100, 70));
  kernels.push_back(softmax_kernel(6, 1024, 256));
  kernels.push_back(softmax_kernel(6, 1000, 128));
  kernels.push_back(softmax_kernel(6, 12, 32));
  kernels.push_back(rounds_kernel(96));
  kernels.push_back(several_kernel());
  kernels.push_back(update_kernel(16, 192));
  for (const std::int64_t vector : {4, 12}) kernels.push_back(order_kernel(vector));
  kernels.push_back(index_kernel());
  return kernels;
}

/// As one unit of CUDA C++, each under a name of its own.
inline std::string cuda_text(const std::vector<Kernel>& kernels) {
  std::vector<const Kernel*> pointers;
  std::vector<std::string> names;
  for (const Kernel& k : kernels) {
    verify(k);
    pointers.push_back(&k);
    names.push_back(k.name + "_" + std::to_string(names.size()));
  }
  return render_cuda(pointers, names);
}

}  // namespace tessera::testing
