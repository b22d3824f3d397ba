// Nets and batches from a recipe.
#include "tessera/train/model.hpp"

#include <fmt/format.h>

#include "tessera/core/error.hpp"

namespace tessera::train {

Array Net::operator()(const Array& images, nn::Context& context) {
  Array h = images;
  for (std::size_t i = 0; i < convolutions.size(); ++i) {
    h = nn::max_pool(relu(convolutions[i](h)), 2);
    if (!norms.empty()) h = norms[i](h, context);  // behind the pool it has a quarter of the work
  }
  h = flatten(h, 1);
  for (std::size_t i = 0; i + 1 < dense.size(); ++i) h = dropout(relu(dense[i](h)), context);
  return dense.back()(h);
}

Array Classifier::normalised(const Array& pixels) const { return (astype(pixels, DType::F32) - mean) / deviation; }

Net make_net(const Config& config, const Key& key, const Shape& image, std::int64_t classes) {
  const auto& m = config.model;
  Net net;
  std::uint32_t layer = 0;
  const auto next_key = [&] { return fold_in(key, static_cast<std::int32_t>(layer++)); };
  std::int64_t height = image[0], width = image[1], channels = image[2];
  for (std::size_t i = 0; i < m.channels.size(); ++i) {
    const bool same = m.padding.empty() || m.padding[i] == "same";
    const std::int64_t lost = same ? 0 : m.kernel - 1;
    height -= lost, width -= lost;
    if (height < 2 || width < 2)
      throw Error(ErrorKind::Usage, fmt::format("'model.channels': pictures of {} x {} become smaller than 2 x 2 in "
                                                "convolution {}; use fewer convolutions, "
                                                "a smaller model.kernel, or padding \"same\"",
                                                image[0], image[1], i + 1));
    net.convolutions.emplace_back(next_key(), channels, m.channels[i], m.kernel,
                                  same ? nn::Padding::Same : nn::Padding::Valid);
    if (m.norm) net.norms.emplace_back(m.channels[i]);
    height /= 2, width /= 2, channels = m.channels[i];
  }
  std::int64_t features = height * width * channels;
  for (const std::int64_t hidden : m.hidden) {
    net.dense.emplace_back(next_key(), features, hidden);
    features = hidden;
  }
  net.dense.emplace_back(next_key(), features, classes);
  net.dropout.rate = m.dropout;
  return net;
}

Array draw_batch(const Array& images, const Array& positions, const Augmentation& augmentation, const Key& key) {
  if (augmentation.shift == 0 && !augmentation.flip) return take(images, positions);
  const std::int64_t batch = positions.size(), height = images.shape(1), width = images.shape(2);
  const auto [down_key, right_key, flip_key] = split<3>(key);
  const Shape grid{batch, height, width}, each{batch, 1, 1};
  Array row = iota(grid, 1), column = iota(grid, 2);
  if (augmentation.flip) column = where(random::bernoulli(flip_key, 0.5, each), width - 1 - column, column);
  Array inside;
  if (augmentation.shift > 0) {
    const auto reach = static_cast<std::int32_t>(augmentation.shift);
    row = row + random::integers(down_key, each, -reach, reach + 1);
    column = column + random::integers(right_key, each, -reach, reach + 1);
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width);
    row = clip(row, 0, height - 1);
    column = clip(column, 0, width - 1);
  }
  const Array flat = (reshape(positions, each) * height + row) * width + column;
  const Array pixels = take(reshape(images, {images.shape(0) * height * width, images.shape(3)}), flat);
  return inside.empty() ? pixels : where(expand_dims(inside, -1), pixels, 0);
}

}  // namespace tessera::train
