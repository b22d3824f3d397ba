// Convolutions of few channels, which vendor libraries do badly: images go through in tiles of one vector register of
// batch, so that every channel count fills the registers. Bias, ReLU and 2x2 max-pooling are part of the same pass, and
// so are their gradients. Unit strides. In and out: channels last (images [n, h, w, c], weights [kh, kw, c, o]). Read
// next: few_channel_kernels.hpp, the loops of one tile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::cpu {

/// The sizes of one convolution.
struct FewChannelShape {
  std::int64_t batch = 0, height = 0, width = 0, channels = 0, features = 0;
  std::int64_t kernel_height = 0, kernel_width = 0, low_height = 0, low_width = 0;  ///< low: zeros above and left
  std::int64_t out_height = 0, out_width = 0;                                       ///< of the convolution itself
  bool pool = false;  ///< ReLU and the maximum of each 2x2 window follow; an odd last line has no part in it
};

class FewChannel {
 public:
  /// `lanes`: images that go through together, 8 (AVX2) or 16 (AVX-512); 0: as many as this processor can.
  FewChannel(const FewChannelShape& shape, int threads, int lanes = 0);

  /// The most lanes of this processor; 0 when it has none of the vector instructions.
  static int widest();
  /// Bytes of working memory of a call, aligned to 64.
  [[nodiscard]] std::size_t scratch_bytes() const;
  /// Bytes of the record of which window element won, written by `forward` and read by `backward`; 0 without pooling.
  [[nodiscard]] std::size_t choice_bytes() const;
  [[nodiscard]] std::int64_t result_height() const { return shape_.pool ? shape_.out_height / 2 : shape_.out_height; }
  [[nodiscard]] std::int64_t result_width() const { return shape_.pool ? shape_.out_width / 2 : shape_.out_width; }

  /// result[n, h, w, o]; with pooling also `choice`. `bias` may be null.
  void forward(const float* images, const float* weights, const float* bias, float* result, std::uint8_t* choice,
               std::byte* scratch) const;
  /// Gradients from that of the result. Each of `weights_gradient`, `bias_gradient` and `images_gradient` may be null.
  void backward(const float* images, const float* weights, const float* gradient, const std::uint8_t* choice,
                float* weights_gradient, float* bias_gradient, float* images_gradient, std::byte* scratch) const;

 private:
  FewChannelShape shape_;
  int threads_, lanes_;
};

}  // namespace tessera::cpu
