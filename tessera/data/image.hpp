// Pictures: PNG, JPEG or NPY to u8 [height, width, channels], and back to PNG.
#pragma once

#include "tessera/core/literal.hpp"
#include "tessera/data/files.hpp"

namespace tessera::data {

/// The longest side and the most pixels of a picture that is read.
constexpr std::int64_t kMaxImageSide = 16384, kMaxImagePixels = std::int64_t{1} << 26;

/// u8 [height, width, channels]: one channel for grey pictures, three for colours; transparency lies on black.
/// The format is seen from the content. NPY arrays must be u8 [h, w] or [h, w, c]. `file` names the bytes in messages.
Literal decode_image(ByteView bytes, const std::string& file);
Literal read_image(const Path& path);
/// PNG of a u8 [height, width, 1 or 3].
Bytes encode_png(const Literal& image);
/// The picture in grey (ITU-R BT.601 weights) or with three equal channels, and in another size by averaging areas;
/// a picture that fits already comes back as it is.
Literal fit_image(const Literal& image, std::int64_t height, std::int64_t width, std::int64_t channels);

}  // namespace tessera::data
