// Tiles, threads and working memory; the instruction sets.
#include "tessera/backend/cpu/few_channel.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tessera/backend/cpu/isa.hpp"
#include "tessera/backend/cpu/team.hpp"

namespace tessera::cpu {
namespace {

/// Extents that follow from the shape.
struct Layout {
  std::int64_t result_height, result_width;
  std::int64_t tile_height, tile_width;                  ///< of padded images: what the kernel touches
  std::int64_t gradient_height, gradient_width;          ///< of padded gradients
  std::int64_t gradient_top, gradient_left, chunk_rows;  ///< chunk: rows of gradients that stay in the first cache
};

/// What one part of the batch works in.
struct Work {
  float* tile;      ///< padded images
  float* row;       ///< a row of results or of their gradients
  float* gradient;  ///< padded gradients: all rows where the images' gradient is wanted, else one chunk
  float* sums;      ///< of the weights' gradient
  float* bias_sums;
};

/// The loops for one instruction set.
struct Kernels {
  int lanes;
  void (*forward)(const FewChannelShape&, const Layout&, const float* images, int lanes, const float* packed,
                  const float* bias, float* result, std::uint8_t* choice, const Work& work);
  void (*backward)(const FewChannelShape&, const Layout&, const float* images, int lanes, const float* packed,
                   const float* no_bias, const float* gradient, const std::uint8_t* choice, float* images_gradient,
                   bool wants_weights, const Work& work);
  void (*pack_forward)(const FewChannelShape&, const float* weights, float* packed);
  void (*pack_backward)(const FewChannelShape&, const float* weights, float* packed);
  void (*finish)(const FewChannelShape&, const float* sums, const float* bias_sums, float* weights_gradient,
                 float* bias_gradient);
};

// Code for one instruction set, in the words of the two compilers.
#ifdef __clang__
#define TESSERA_PRAGMA(text) _Pragma(#text)
#define TESSERA_TARGET_BEGIN(set) \
  TESSERA_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define TESSERA_AVX2_BEGIN TESSERA_TARGET_BEGIN("avx2,fma")
#define TESSERA_AVX512_BEGIN TESSERA_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl")
#define TESSERA_TARGET_END _Pragma("clang attribute pop")
#else
#define TESSERA_AVX2_BEGIN _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define TESSERA_AVX512_BEGIN \
  _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl\")")
#define TESSERA_TARGET_END _Pragma("GCC pop_options")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 warns of its own intrinsics
#endif

TESSERA_AVX2_BEGIN
inline void transpose8(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * from_stride);
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * to_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

namespace avx2 {
using V = __m256;
constexpr int kLanes = 8, kFeatures = 3, kTaps = 3, kOutputs = 3;
inline V load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, V v) { _mm256_storeu_ps(p, v); }
inline V broadcast(const float* p) { return _mm256_broadcast_ss(p); }
inline V add(V a, V b) { return _mm256_add_ps(a, b); }
inline V multiply_add(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
inline float lane_sum(const float* p) { return ((p[0] + p[4]) + (p[1] + p[5])) + ((p[2] + p[6]) + (p[3] + p[7])); }
inline __m256i where(V mask, int value) {
  return _mm256_and_si256(_mm256_castps_si256(mask), _mm256_set1_epi32(value));
}
/// max(0, the largest of four) and which it was, the first of equals; 4 where none is above 0. NaN where one is NaN.
inline void pool_relu(V a, V b, V c, V d, float* result, std::uint8_t* choice) {
  const V zero = _mm256_setzero_ps();
  const V b_wins = _mm256_cmp_ps(b, a, _CMP_GT_OQ), ab = _mm256_max_ps(b, a);
  const V d_wins = _mm256_cmp_ps(d, c, _CMP_GT_OQ), cd = _mm256_max_ps(d, c);
  const V cd_wins = _mm256_cmp_ps(cd, ab, _CMP_GT_OQ), best = _mm256_max_ps(cd, ab);
  const V unordered = _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q), _mm256_cmp_ps(c, d, _CMP_UNORD_Q));
  store(result, _mm256_or_ps(_mm256_max_ps(best, zero), unordered));  // all ones are a NaN
  __m256i index = _mm256_blendv_epi8(where(b_wins, 1), _mm256_or_si256(where(d_wins, 1), _mm256_set1_epi32(2)),
                                     _mm256_castps_si256(cd_wins));
  index = _mm256_or_si256(index, where(_mm256_cmp_ps(best, zero, _CMP_LE_OQ), 4));
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(index), _mm256_extracti128_si256(index, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(choice), _mm_packus_epi16(words, words));
}
/// The gradient to the one of four that won, zero to the others; returns what went anywhere.
inline V route(V gradient, const std::uint8_t* choice, float* a, float* b, float* c, float* d) {
  const __m256i which = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(choice)));
  float* const to[4] = {a, b, c, d};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    store(to[i], _mm256_and_ps(gradient, _mm256_castsi256_ps(_mm256_cmpeq_epi32(which, _mm256_set1_epi32(i)))));
  return _mm256_and_ps(gradient, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(4), which)));
}
#include "tessera/backend/cpu/few_channel_kernels.hpp"
}  // namespace avx2
TESSERA_TARGET_END

TESSERA_AVX512_BEGIN
namespace avx512 {
using V = __m512;
constexpr int kLanes = 16, kFeatures = 6, kTaps = 5, kOutputs = 5;
inline V load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, V v) { _mm512_storeu_ps(p, v); }
inline V broadcast(const float* p) { return _mm512_set1_ps(*p); }
inline V add(V a, V b) { return _mm512_add_ps(a, b); }
inline V multiply_add(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
inline float lane_sum(const float* p) { return avx2::lane_sum(p) + avx2::lane_sum(p + 8); }
inline void pool_relu(V a, V b, V c, V d, float* result, std::uint8_t* choice) {
  const V zero = _mm512_setzero_ps();
  const __mmask16 b_wins = _mm512_cmp_ps_mask(b, a, _CMP_GT_OQ), d_wins = _mm512_cmp_ps_mask(d, c, _CMP_GT_OQ);
  const V ab = _mm512_max_ps(b, a), cd = _mm512_max_ps(d, c), best = _mm512_max_ps(cd, ab);
  const __mmask16 cd_wins = _mm512_cmp_ps_mask(cd, ab, _CMP_GT_OQ);
  const __mmask16 unordered = _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(c, d, _CMP_UNORD_Q);
  const __mmask16 none = _mm512_cmp_ps_mask(best, zero, _CMP_LE_OQ);
  store(result, _mm512_mask_add_ps(_mm512_max_ps(best, zero), unordered, _mm512_add_ps(a, b), _mm512_add_ps(c, d)));
  __m512i index = _mm512_maskz_set1_epi32(b_wins, 1);
  index = _mm512_mask_mov_epi32(index, cd_wins, _mm512_mask_set1_epi32(_mm512_set1_epi32(2), d_wins, 3));
  index = _mm512_mask_set1_epi32(index, none, 4);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(choice), _mm512_cvtepi32_epi8(index));
}
inline V route(V gradient, const std::uint8_t* choice, float* a, float* b, float* c, float* d) {
  const __m512i which = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(choice)));
  float* const to[4] = {a, b, c, d};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    store(to[i], _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(which, _mm512_set1_epi32(i)), gradient));
  return _mm512_maskz_mov_ps(_mm512_cmplt_epi32_mask(which, _mm512_set1_epi32(4)), gradient);
}
#include "tessera/backend/cpu/few_channel_kernels.hpp"  // NOLINT(readability-duplicate-include): for other vectors
}  // namespace avx512
TESSERA_TARGET_END

#ifndef __clang__
#pragma GCC diagnostic pop
#endif

const Kernels& kernels(int lanes) { return lanes == 16 ? avx512::kTable : avx2::kTable; }

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

Layout layout(const FewChannelShape& s) {
  Layout l{};
  l.result_height = s.pool ? s.out_height / 2 : s.out_height;
  l.result_width = s.pool ? s.out_width / 2 : s.out_width;
  l.tile_height = s.out_height + s.kernel_height - 1;
  l.tile_width = s.out_width + s.kernel_width - 1;
  l.gradient_top = s.kernel_height - 1 - s.low_height;
  l.gradient_left = s.kernel_width - 1 - s.low_width;
  l.gradient_height = s.height + s.kernel_height - 1;
  l.gradient_width = s.width + s.kernel_width - 1;
  l.chunk_rows = std::max<std::int64_t>(1, 48 / s.out_width);
  return l;
}

/// Floats of each piece of Work, multiples of 16.
struct Sizes {
  std::int64_t tile, row, gradient, sums, bias_sums, packed;
  [[nodiscard]] std::int64_t part() const { return tile + row + gradient + sums + bias_sums; }
};

Sizes sizes(const FewChannelShape& s, const Layout& l, std::int64_t lanes) {
  const std::int64_t taps = s.kernel_height * s.kernel_width * s.channels;
  const std::int64_t chunk = std::max<std::int64_t>(2, l.chunk_rows) * s.out_width;
  const auto floats = [](std::int64_t n) { return round_up(n, 16); };
  return {floats(l.tile_height * l.tile_width * s.channels * lanes),
          floats(std::max(l.result_width * s.features, s.width * s.channels) * lanes),
          floats(std::max(l.gradient_height * l.gradient_width, chunk) * s.features * lanes),
          floats(taps * s.features * lanes),
          floats(s.features * lanes),
          floats(taps * s.features) + floats(std::max(s.channels, s.features))};
}

}  // namespace

FewChannel::FewChannel(const FewChannelShape& shape, int threads, int lanes)
    : shape_(shape), threads_(threads), lanes_(lanes != 0 ? lanes : widest()) {}

int FewChannel::widest() { return isa() >= Isa::Avx512 ? 16 : isa() == Isa::Avx2 ? 8 : 0; }

std::size_t FewChannel::scratch_bytes() const {
  const Sizes size = sizes(shape_, layout(shape_), lanes_);
  return static_cast<std::size_t>(size.packed + size.part() * threads_) * sizeof(float);
}

std::size_t FewChannel::choice_bytes() const {
  const Layout l = layout(shape_);
  if (!shape_.pool) return 0;
  return static_cast<std::size_t>(round_up(shape_.batch, lanes_) * l.result_height * l.result_width * shape_.features);
}

namespace {

/// Splits the tiles over the parts of a team and gives each its memory.
template <class Body>
void for_each_tile(const FewChannelShape& s, const Layout& l, int threads, std::int64_t lanes, float* scratch,
                   bool backward, bool images, Body body) {
  const Sizes size = sizes(s, l, lanes);
  const std::int64_t tiles = (s.batch + lanes - 1) / lanes;
  parallel_for(threads, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      float* at = scratch + size.packed + part * size.part();
      const auto clear = [](float* from, std::int64_t count) {
        std::memset(from, 0, static_cast<std::size_t>(count) * sizeof(float));
      };
      const Work work{at, at + size.tile, at + size.tile + size.row, at + size.part() - size.bias_sums - size.sums,
                      at + size.part() - size.bias_sums};
      clear(work.tile, size.tile);  // the border stays zero
      if (images) clear(work.gradient, size.gradient);
      if (backward) clear(work.sums, size.sums + size.bias_sums);
      for (std::int64_t tile = tiles * part / threads; tile < tiles * (part + 1) / threads; ++tile)
        body(tile, static_cast<int>(std::min(lanes, s.batch - tile * lanes)), work);
    }
  });
}

}  // namespace

void FewChannel::forward(const float* images, const float* weights, const float* bias, float* result,
                         std::uint8_t* choice, std::byte* scratch) const {
  const Layout l = layout(shape_);
  const FewChannelShape& s = shape_;
  auto* const packed = reinterpret_cast<float*>(scratch);
  kernels(lanes_).pack_forward(s, weights, packed);
  float* const addends = packed + round_up(s.kernel_height * s.kernel_width * s.channels * s.features, 16);
  for (std::int64_t f = 0; f < s.features; ++f) addends[f] = bias != nullptr ? bias[f] : 0.0F;
  const std::int64_t image = s.height * s.width * s.channels, line = l.result_height * l.result_width * s.features,
                     lanes = lanes_;
  for_each_tile(s, l, threads_, lanes_, packed, false, false, [&](std::int64_t tile, int count, const Work& work) {
    kernels(lanes_).forward(s, l, images + tile * lanes * image, count, packed, addends, result + tile * lanes * line,
                            choice != nullptr ? choice + tile * lanes * line : nullptr, work);
  });
}

void FewChannel::backward(const float* images, const float* weights, const float* gradient, const std::uint8_t* choice,
                          float* weights_gradient, float* bias_gradient, float* images_gradient,
                          std::byte* scratch) const {
  const Layout l = layout(shape_);
  const FewChannelShape& s = shape_;
  auto* const packed = reinterpret_cast<float*>(scratch);
  const std::int64_t taps = s.kernel_height * s.kernel_width * s.channels;
  float* const no_bias = packed + round_up(taps * s.features, 16);
  if (images_gradient != nullptr) {
    kernels(lanes_).pack_backward(s, weights, packed);
    std::fill_n(no_bias, s.channels, 0.0F);
  }
  const std::int64_t image = s.height * s.width * s.channels, line = l.result_height * l.result_width * s.features,
                     lanes = lanes_;
  for_each_tile(s, l, threads_, lanes_, packed, true, images_gradient != nullptr,
                [&](std::int64_t tile, int count, const Work& work) {
                  kernels(lanes_).backward(
                      s, l, images + tile * lanes * image, count, packed, no_bias, gradient + tile * lanes * line,
                      choice != nullptr ? choice + tile * lanes * line : nullptr,
                      images_gradient != nullptr ? images_gradient + tile * lanes * image : nullptr,
                      weights_gradient != nullptr, work);
                });
  // The parts in order, so that the bits depend on the number of threads alone.
  if (weights_gradient != nullptr) std::fill_n(weights_gradient, taps * s.features, 0.0F);
  if (bias_gradient != nullptr) std::fill_n(bias_gradient, s.features, 0.0F);
  const Sizes size = sizes(s, l, lanes_);
  for (int part = 0; part < threads_; ++part) {
    const float* at = packed + size.packed + part * size.part();
    kernels(lanes_).finish(s, at + size.part() - size.bias_sums - size.sums, at + size.part() - size.bias_sums,
                           weights_gradient, bias_gradient);
  }
}

}  // namespace tessera::cpu
