// Pictures through libpng and libjpeg. Their sizes are checked before the pixels are unpacked.
#include "tessera/data/image.hpp"

#include <fmt/format.h>
#include <jpeglib.h>
#include <png.h>

#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "tessera/core/error.hpp"
#include "tessera/data/npy.hpp"

namespace tessera::data {
namespace {

Literal make_image(std::uint64_t height, std::uint64_t width, std::int64_t channels, const std::string& file) {
  if (height == 0 || width == 0 || height > kMaxImageSide || width > kMaxImageSide || height * width > kMaxImagePixels)
    bad_file(file, fmt::format(
                       "is a picture of {} x {} pixels; at most {} on a side and {} together are read: make it smaller",
                       width, height, kMaxImageSide, kMaxImagePixels));
  return Literal({DType::U8, {static_cast<std::int64_t>(height), static_cast<std::int64_t>(width), channels}});
}

Literal decode_png(ByteView bytes, const std::string& file) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  struct Release {
    png_image* image;
    ~Release() { png_image_free(image); }
  } const release{&image};
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0)
    bad_file(file, fmt::format("is a damaged PNG picture ({})", image.message));
  const bool color = (image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  Literal pixels = make_image(image.height, image.width, color ? 3 : 1, file);
  image.format = color ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&image, &black, pixels.data(), 0, nullptr) == 0)
    bad_file(file, fmt::format("is a damaged PNG picture ({})", image.message));
  return pixels;
}

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave_jpeg(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

/// Damage that libjpeg would paper over (level -1) ends the reading too.
void on_jpeg_message(j_common_ptr info, int level) {
  if (level < 0) leave_jpeg(info);
}

// libjpeg leaves by longjmp: the functions between hold no objects with destructors.
bool open_jpeg(jpeg_decompress_struct* info, JpegErrors* errors, ByteView bytes) {
  if (setjmp(errors->escape) != 0) return false;
  jpeg_mem_src(info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(info, TRUE);
  info->out_color_space = info->jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_calc_output_dimensions(info);
  return true;
}

bool read_jpeg_pixels(jpeg_decompress_struct* info, JpegErrors* errors, std::byte* to) {
  if (setjmp(errors->escape) != 0) return false;
  jpeg_start_decompress(info);
  const std::size_t row = std::size_t{info->output_width} * static_cast<std::size_t>(info->output_components);
  while (info->output_scanline < info->output_height) {
    JSAMPROW line = reinterpret_cast<JSAMPROW>(to + info->output_scanline * row);
    jpeg_read_scanlines(info, &line, 1);
  }
  jpeg_finish_decompress(info);
  return true;
}

Literal decode_jpeg(ByteView bytes, const std::string& file) {
  jpeg_decompress_struct info{};
  JpegErrors errors{};
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = leave_jpeg;
  errors.base.emit_message = on_jpeg_message;
  if (setjmp(errors.escape) != 0) bad_file(file, fmt::format("libjpeg cannot start ({})", errors.message));
  jpeg_create_decompress(&info);
  struct Release {
    jpeg_decompress_struct* info;
    ~Release() { jpeg_destroy_decompress(info); }
  } const release{&info};
  const auto damaged = [&] { bad_file(file, fmt::format("is a damaged JPEG picture ({})", errors.message)); };
  if (!open_jpeg(&info, &errors, bytes)) damaged();
  Literal pixels = make_image(info.output_height, info.output_width, info.output_components, file);
  if (!read_jpeg_pixels(&info, &errors, pixels.data())) damaged();
  return pixels;
}

}  // namespace

Literal decode_image(ByteView bytes, const std::string& file) {
  const std::string_view content = text(bytes);
  if (content.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(bytes, file);
  if (content.starts_with("\xff\xd8\xff")) return decode_jpeg(bytes, file);
  if (content.starts_with("\x93NUMPY")) {
    const Literal array = parse_npy(bytes, file);
    Shape shape = array.shape();
    if (shape.size() == 2) shape.push_back(1);
    if (array.dtype() != DType::U8 || shape.size() != 3 || (shape[2] != 1 && shape[2] != 3))
      bad_file(file, "holds " + to_string(array.type()) +
                         "; a picture is ui8 [height, width], [height, width, 1] or [height, width, 3]");
    Literal pixels =
        make_image(static_cast<std::uint64_t>(shape[0]), static_cast<std::uint64_t>(shape[1]), shape[2], file);
    std::memcpy(pixels.data(), array.data(), array.bytes());
    return pixels;
  }
  bad_file(file, "is neither a PNG, nor a JPEG picture, nor an NPY array");
}

Literal read_image(const Path& path) { return decode_image(read_file(path, std::uint64_t{1} << 30), path); }

Bytes encode_png(const Literal& image) {
  const Shape& shape = image.shape();
  if (image.dtype() != DType::U8 || shape.size() != 3 || (shape[2] != 1 && shape[2] != 3) || image.size() == 0)
    throw Error(ErrorKind::Usage,
                "a PNG picture is made of ui8 [height, width, 1 or 3]; this is " + to_string(image.type()));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.height = static_cast<png_uint_32>(shape[0]);
  png.width = static_cast<png_uint_32>(shape[1]);
  png.format = shape[2] == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  Bytes bytes(size);
  if (png_image_write_to_memory(&png, bytes.data(), &size, 0, image.data(), 0, nullptr) == 0)
    throw Error(fmt::format("a picture cannot be written as PNG: {}", png.message));
  bytes.resize(size);
  return bytes;
}

Literal fit_image(const Literal& image, std::int64_t height, std::int64_t width, std::int64_t channels) {
  const std::int64_t h = image.shape()[0], w = image.shape()[1], c = image.shape()[2];
  if (h == height && w == width && c == channels) return image;
  const auto from = image.as<std::uint8_t>();
  const auto sample = [&](std::int64_t y, std::int64_t x, std::int64_t channel) -> double {
    const std::uint8_t* pixel = &from[static_cast<std::size_t>((y * w + x) * c)];
    if (c == channels || c == 1) return pixel[c == 1 ? 0 : channel];
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
  };
  Literal result({DType::U8, {height, width, channels}});
  const auto to = result.as<std::uint8_t>();
  const double step_y = static_cast<double>(h) / static_cast<double>(height),
               step_x = static_cast<double>(w) / static_cast<double>(width);
  // Each new pixel averages the old ones that its area covers, weighted by how much of them it covers.
  std::size_t at = 0;
  for (std::int64_t y = 0; y < height; ++y) {
    const double top = static_cast<double>(y) * step_y, bottom = top + step_y;
    for (std::int64_t x = 0; x < width; ++x) {
      const double left = static_cast<double>(x) * step_x, right = left + step_x;
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        double sum = 0, area = 0;
        for (auto v = static_cast<std::int64_t>(top); v < h && static_cast<double>(v) < bottom; ++v) {
          const double tall = std::min(bottom, static_cast<double>(v + 1)) - std::max(top, static_cast<double>(v));
          for (auto u = static_cast<std::int64_t>(left); u < w && static_cast<double>(u) < right; ++u) {
            const double weight =
                tall * (std::min(right, static_cast<double>(u + 1)) - std::max(left, static_cast<double>(u)));
            sum += weight * sample(v, u, channel);
            area += weight;
          }
        }
        to[at++] = static_cast<std::uint8_t>(std::lround(sum / area));
      }
    }
  }
  return result;
}

}  // namespace tessera::data
