// The loops of few_channel.cpp for one tile of images, in terms of one vector type. Included once for each instruction
// set, inside a namespace that defines V, kLanes, the blocks kFeatures, kTaps, kOutputs, and the operations on V.
// A tile is [pixel row][pixel][channel][lane]: the same image element of kLanes images side by side.
// No include guard: it is meant to be included several times.

/// `count` elements of `lanes` images, `stride` apart, side by side; lanes past the last image become zero.
inline void gather_lanes(const float* images, std::int64_t stride, int lanes, std::int64_t count, float* tile) {
  if (lanes == kLanes && count >= 8) {
    for (std::int64_t i = 0; i < count; i += 8) {
      const std::int64_t at = std::min(i, count - 8);  // the last eight overlap
      for (int lane = 0; lane < kLanes; lane += 8)
        transpose8(images + lane * stride + at, stride, tile + at * kLanes + lane, kLanes);
    }
    return;
  }
  for (std::int64_t i = 0; i < count; ++i)
    for (int lane = 0; lane < kLanes; ++lane) tile[i * kLanes + lane] = lane < lanes ? images[lane * stride + i] : 0.0F;
}

/// The inverse of gather_lanes.
inline void scatter_lanes(const float* tile, std::int64_t count, float* images, std::int64_t stride, int lanes) {
  if (lanes == kLanes && count >= 8) {
    for (std::int64_t i = 0; i < count; i += 8) {
      const std::int64_t at = std::min(i, count - 8);
      for (int lane = 0; lane < kLanes; lane += 8)
        transpose8(tile + at * kLanes + lane, kLanes, images + lane * stride + at, stride);
    }
    return;
  }
  for (std::int64_t i = 0; i < count; ++i)
    for (int lane = 0; lane < lanes; ++lane) images[lane * stride + i] = tile[i * kLanes + lane];
}

/// One convolution over a padded tile, in blocks of four pixels by up to kFeatures output features.
struct Slide {
  const float* tile;  ///< padded input
  std::int64_t tile_width, channels;
  std::int64_t kernel_height, kernel_width;
  std::int64_t top, bottom, left, right;  ///< where the tile holds values; around them it is zero and is skipped
  std::int64_t out_width, features;
  const float* weights;  ///< packed by pack_weights
  const float* bias;     ///< of each feature
};

template <int F>
inline void slide_block(const Slide& s, const std::int64_t (&pixel)[4], std::int64_t row, std::int64_t row_begin,
                        std::int64_t row_end, std::int64_t run_begin, std::int64_t run_end, const float* weights,
                        const float* bias, V (&result)[4][F]) {
  const std::int64_t run = s.kernel_width * s.channels, line = s.tile_width * s.channels * kLanes;
  V sum[4][F];  // not `result`: the compiler must see that no load can read it, to keep it in registers
#pragma GCC unroll 8
  for (int f = 0; f < F; ++f) sum[0][f] = sum[1][f] = sum[2][f] = sum[3][f] = broadcast(bias + f);
  for (std::int64_t k = row_begin; k < row_end; ++k) {
    const float* x = s.tile + (row + k) * line;
    const float* w = weights + (k * run + run_begin) * F;
    for (std::int64_t t = run_begin * kLanes; t < run_end * kLanes; t += kLanes, w += F) {
      V factor[F];
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) factor[f] = broadcast(w + f);
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) {
        const V value = load(x + pixel[p] + t);
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) sum[p][f] = multiply_add(value, factor[f], sum[p][f]);
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) result[p][f] = sum[p][f];
}

/// Blocks of features: as even as possible, at most kFeatures each.
inline std::int64_t feature_blocks(std::int64_t features) { return (features + kFeatures - 1) / kFeatures; }
inline std::int64_t block_begin(std::int64_t features, std::int64_t block, std::int64_t blocks) {
  return features * block / blocks;
}

/// weights(kernel row, kernel column, channel, feature) -> [block][kernel row][column, channel][feature of the block].
template <class At>
inline void pack_weights(std::int64_t rows, std::int64_t columns, std::int64_t channels, std::int64_t features, At at,
                         float* packed) {
  const std::int64_t blocks = feature_blocks(features);
  for (std::int64_t b = 0; b < blocks; ++b)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t k = 0; k < columns; ++k)
        for (std::int64_t c = 0; c < channels; ++c)
          for (std::int64_t f = block_begin(features, b, blocks); f < block_begin(features, b + 1, blocks); ++f)
            *packed++ = at(r, k, c, f);
}

/// Calls f(integral constant N) for a run-time n in 1..Max.
template <int Max, class Call>
inline void with_size(std::int64_t n, Call call) {
  if constexpr (Max > 1) {
    if (n < Max) return with_size<Max - 1>(n, call);
  }
  call(std::integral_constant<int, Max>{});
}

/// One row of results, [pixel][feature][lane]; with `pool` of two rows of sums, and which of each four won (4: none).
inline void slide_row(const Slide& s, std::int64_t row, bool pool, float* result, std::uint8_t* choice) {
  const std::int64_t blocks = feature_blocks(s.features), step = s.channels * kLanes, line = s.tile_width * step;
  const std::int64_t rows = pool ? 2 : 1, columns = pool ? 2 : 4;
  const std::int64_t results = pool ? s.out_width / 2 : s.out_width;
  const std::int64_t row_begin = std::max<std::int64_t>(0, s.top - row - (rows - 1)),
                     row_end = std::min(s.kernel_height, s.bottom - row);
  for (std::int64_t w = 0; w < (pool ? results * 2 : s.out_width); w += columns) {
    const std::int64_t run_begin = std::max<std::int64_t>(0, s.left - w - (columns - 1)) * s.channels;
    const std::int64_t run_end = std::min(s.kernel_width, s.right - w) * s.channels;
    std::int64_t pixel[4];
    for (int p = 0; p < 4; ++p)
      pixel[p] = pool ? (p / 2) * line + (w + p % 2) * step : std::min(w + p, s.out_width - 1) * step;
    const float* weights = s.weights;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t first = block_begin(s.features, b, blocks),
                         count = block_begin(s.features, b + 1, blocks) - first;
      with_size<kFeatures>(count, [&](auto size) {
        constexpr int F = size;
        V sum[4][F];
        slide_block<F>(s, pixel, row, row_begin, row_end, run_begin, run_end, weights, s.bias + first, sum);
        if (pool) {
          const std::int64_t at = (w / 2 * s.features + first) * kLanes;
#pragma GCC unroll 8
          for (int f = 0; f < F; ++f)
            pool_relu(sum[0][f], sum[1][f], sum[2][f], sum[3][f], result + at + f * kLanes, choice + at + f * kLanes);
        } else {
          for (std::int64_t p = 0; p < std::min<std::int64_t>(4, s.out_width - w); ++p)
#pragma GCC unroll 8
            for (int f = 0; f < F; ++f) store(result + ((w + p) * s.features + first + f) * kLanes, sum[p][f]);
        }
      });
      weights += s.kernel_height * s.kernel_width * s.channels * count;
    }
  }
}

/// Adds to sums[tap block][feature block][tap][feature][lane] what `rows` rows of gradients contribute.
struct Correlate {
  const float* tile;  ///< padded input, at the first of the rows
  std::int64_t tile_width, channels, kernel_height, kernel_width;
  const float* gradient;  ///< [row][gradient_width][features][lane], at the first result
  std::int64_t gradient_width, rows, columns, features;
};

inline std::int64_t tap_blocks(std::int64_t taps) { return (taps + kTaps - 1) / kTaps; }
inline std::int64_t output_blocks(std::int64_t features) { return (features + kOutputs - 1) / kOutputs; }

template <int T, int F>
inline void correlate_block(const Correlate& c, const std::int64_t* offset, std::int64_t feature, float* sums) {
  V sum[T][F];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) sum[t][f] = load(sums + (t * F + f) * kLanes);
  const std::int64_t step = c.channels * kLanes, gradient_step = c.features * kLanes;
  for (std::int64_t r = 0; r < c.rows; ++r) {
    const float* x = c.tile + r * c.tile_width * step;
    const float* g = c.gradient + r * c.gradient_width * gradient_step + feature * kLanes;
    for (std::int64_t w = 0; w < c.columns; ++w, x += step, g += gradient_step) {
      V factor[F];
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) factor[f] = load(g + f * kLanes);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const V value = load(x + offset[t]);
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) sum[t][f] = multiply_add(value, factor[f], sum[t][f]);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) store(sums + (t * F + f) * kLanes, sum[t][f]);
}

inline std::int64_t tap_offset(std::int64_t tap, std::int64_t kernel_width, std::int64_t channels,
                               std::int64_t tile_width) {
  const std::int64_t run = kernel_width * channels;
  return (tap / run * tile_width * channels + tap % run) * kLanes;
}

inline void correlate(const Correlate& c, float* sums) {
  const std::int64_t taps = c.kernel_height * c.kernel_width * c.channels;
  const std::int64_t outer = output_blocks(c.features), inner = tap_blocks(taps);
  for (std::int64_t b = 0; b < outer; ++b) {
    const std::int64_t feature = block_begin(c.features, b, outer),
                       features = block_begin(c.features, b + 1, outer) - feature;
    for (std::int64_t i = 0; i < inner; ++i) {
      const std::int64_t tap = block_begin(taps, i, inner), count = block_begin(taps, i + 1, inner) - tap;
      std::int64_t offset[kTaps];
      for (std::int64_t t = 0; t < count; ++t)
        offset[t] = tap_offset(tap + t, c.kernel_width, c.channels, c.tile_width);
      with_size<kTaps>(count, [&](auto t) {
        with_size<kOutputs>(features, [&](auto f) { correlate_block<t, f>(c, offset, feature, sums); });
      });
      sums += count * features * kLanes;
    }
  }
}

/// Adds the lanes of the sums into weights_gradient[tap][feature].
inline void add_sums(std::int64_t taps, std::int64_t features, const float* sums, float* weights_gradient) {
  const std::int64_t outer = output_blocks(features), inner = tap_blocks(taps);
  for (std::int64_t b = 0; b < outer; ++b)
    for (std::int64_t i = 0; i < inner; ++i)
      for (std::int64_t t = block_begin(taps, i, inner); t < block_begin(taps, i + 1, inner); ++t)
        for (std::int64_t f = block_begin(features, b, outer); f < block_begin(features, b + 1, outer);
             ++f, sums += kLanes)
          weights_gradient[t * features + f] += lane_sum(sums);
}

/// Gradients of one pooled row become two rows of gradients of the sums: each goes to the element that won. Adds them
/// into sums[feature][lane].
inline void unpool_row(const float* pooled, const std::uint8_t* choice, std::int64_t columns, std::int64_t features,
                       float* rows, std::int64_t line, float* sums) {
  for (std::int64_t w = 0; w < columns; ++w)
    for (std::int64_t f = 0; f < features; ++f) {
      const std::int64_t at = (w * features + f) * kLanes;
      float* out = rows + (2 * w * features + f) * kLanes;
      const V routed = route(load(pooled + at), choice + at, out, out + features * kLanes, out + line,
                             out + line + features * kLanes);
      store(sums + f * kLanes, add(load(sums + f * kLanes), routed));
    }
}

/// Adds rows of gradients over their pixels into sums[feature][lane].
inline void add_pixels(const float* rows, std::int64_t pixels, std::int64_t features, float* sums) {
  for (std::int64_t p = 0; p < pixels; ++p)
    for (std::int64_t f = 0; f < features; ++f)
      store(sums + f * kLanes, add(load(sums + f * kLanes), load(rows + (p * features + f) * kLanes)));
}

inline void fill_tile(const FewChannelShape& s, const Layout& l, const float* images, int lanes, float* tile) {
  // The border was zeroed once; rows below the last one used are left out.
  const std::int64_t rows = std::min(s.height, l.tile_height - s.low_height),
                     columns = std::min(s.width, l.tile_width - s.low_width);
  const std::int64_t stride = s.height * s.width * s.channels;
  for (std::int64_t h = 0; h < rows; ++h)
    gather_lanes(images + h * s.width * s.channels, stride, lanes, columns * s.channels,
                 tile + ((h + s.low_height) * l.tile_width + s.low_width) * s.channels * kLanes);
}

void forward_tile(const FewChannelShape& s, const Layout& l, const float* images, int lanes, const float* packed,
                  const float* bias, float* result, std::uint8_t* choice, const Work& work) {
  fill_tile(s, l, images, lanes, work.tile);
  const Slide slide{work.tile,
                    l.tile_width,
                    s.channels,
                    s.kernel_height,
                    s.kernel_width,
                    s.low_height,
                    std::min(s.low_height + s.height, l.tile_height),
                    s.low_width,
                    std::min(s.low_width + s.width, l.tile_width),
                    s.out_width,
                    s.features,
                    packed,
                    bias};
  const std::int64_t line = l.result_width * s.features;
  for (std::int64_t h = 0; h < l.result_height; ++h) {
    slide_row(slide, s.pool ? 2 * h : h, s.pool, work.row, choice + h * line * kLanes);
    scatter_lanes(work.row, line, result + h * line, l.result_height * line, lanes);
  }
}

void backward_tile(const FewChannelShape& s, const Layout& l, const float* images, int lanes, const float* packed,
                   const float* no_bias, const float* gradient, const std::uint8_t* choice, float* images_gradient,
                   bool wants_weights, const Work& work) {
  if (wants_weights) fill_tile(s, l, images, lanes, work.tile);
  const bool wants_images = images_gradient != nullptr;
  const std::int64_t width = wants_images ? l.gradient_width : s.out_width, line = width * s.features * kLanes;
  const std::int64_t rows = s.pool ? 2 : 1, result_line = l.result_width * s.features;
  const std::int64_t chunk = std::max<std::int64_t>(1, l.chunk_rows / rows);  // result rows at a time
  for (std::int64_t h = 0; h < l.result_height; h += chunk) {
    const std::int64_t count = std::min(chunk, l.result_height - h);
    float* at = work.gradient +
                (wants_images ? ((h * rows + l.gradient_top) * width + l.gradient_left) * s.features * kLanes : 0);
    for (std::int64_t r = 0; r < count; ++r) {
      float* out = at + r * rows * line;
      const float* from = gradient + (h + r) * result_line;
      const std::int64_t stride = l.result_height * result_line;
      if (s.pool) {
        gather_lanes(from, stride, lanes, result_line, work.row);
        unpool_row(work.row, choice + (h + r) * result_line * kLanes, l.result_width, s.features, out, line,
                   work.bias_sums);
      } else {
        gather_lanes(from, stride, lanes, result_line, out);
        add_pixels(out, l.result_width, s.features, work.bias_sums);
      }
    }
    if (wants_weights)
      correlate({work.tile + h * rows * l.tile_width * s.channels * kLanes, l.tile_width, s.channels, s.kernel_height,
                 s.kernel_width, at, width, count * rows, l.result_width * rows, s.features},
                work.sums);
  }
  if (!wants_images) return;
  const Slide slide{work.gradient,
                    l.gradient_width,
                    s.features,
                    s.kernel_height,
                    s.kernel_width,
                    l.gradient_top,
                    std::min(l.gradient_top + l.result_height * rows, l.gradient_height),
                    l.gradient_left,
                    std::min(l.gradient_left + l.result_width * rows, l.gradient_width),
                    s.width,
                    s.channels,
                    packed,
                    no_bias};
  for (std::int64_t h = 0; h < s.height; ++h) {
    slide_row(slide, h, false, work.row, nullptr);
    scatter_lanes(work.row, s.width * s.channels, images_gradient + h * s.width * s.channels,
                  s.height * s.width * s.channels, lanes);
  }
}

void pack_forward(const FewChannelShape& s, const float* weights, float* packed) {
  pack_weights(
      s.kernel_height, s.kernel_width, s.channels, s.features,
      [&](std::int64_t r, std::int64_t k, std::int64_t c, std::int64_t f) {
        return weights[((r * s.kernel_width + k) * s.channels + c) * s.features + f];
      },
      packed);
}

/// For the images' gradient the kernel is reversed, its channels and features exchanged.
void pack_backward(const FewChannelShape& s, const float* weights, float* packed) {
  pack_weights(
      s.kernel_height, s.kernel_width, s.features, s.channels,
      [&](std::int64_t r, std::int64_t k, std::int64_t f, std::int64_t c) {
        return weights[(((s.kernel_height - 1 - r) * s.kernel_width + s.kernel_width - 1 - k) * s.channels + c) *
                           s.features +
                       f];
      },
      packed);
}

void finish(const FewChannelShape& s, const float* sums, const float* bias_sums, float* weights_gradient,
            float* bias_gradient) {
  if (weights_gradient != nullptr)
    add_sums(s.kernel_height * s.kernel_width * s.channels, s.features, sums, weights_gradient);
  if (bias_gradient != nullptr)
    for (std::int64_t f = 0; f < s.features; ++f) bias_gradient[f] += lane_sum(bias_sums + f * kLanes);
}

constexpr Kernels kTable{kLanes, forward_tile, backward_tile, pack_forward, pack_backward, finish};
