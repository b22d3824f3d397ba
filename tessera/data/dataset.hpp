// Labelled pictures in splits, loaded from the files that data sets come in:
//   a folder of IDX pairs, plain or .gz, as MNIST and Fashion-MNIST are (train-images-idx3-ubyte,
//   t10k-labels-idx1-ubyte, ...), or an NPZ archive (or a folder with one) with train_images, train_labels, val_images,
//   ..., as MedMNIST is.
// Used by train/loop.cpp. The values of every file are checked here, once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/literal.hpp"
#include "tessera/data/files.hpp"

namespace tessera::data {

/// Pictures u8 [n, height, width, channels] and their labels i32 [n].
struct LabelledImages {
  Literal images{TensorType{DType::U8, {0, 0, 0, 0}}};
  Literal labels{TensorType{DType::I32, {0}}};
  [[nodiscard]] std::int64_t size() const { return labels.size(); }
};

struct ImageDataset {
  std::vector<std::string> classes;  ///< their names
  LabelledImages train;
  LabelledImages valid;  ///< empty where the data set has none
  LabelledImages test;

  /// "train", "valid" or "test"; throws Error (Usage) for another name or an empty split.
  [[nodiscard]] const LabelledImages& split(std::string_view name) const;
  /// Height, width and channels of one picture.
  [[nodiscard]] Shape image_shape() const;
};

/// The classes of Fashion-MNIST, in the order of its labels.
const std::vector<std::string>& fashion_mnist_classes();

/// With `classes`, labels must be below their number; without, the training labels say how many classes there are, and
/// they are named by number. Throws Error naming the file when something is missing, damaged or does not fit together.
ImageDataset load_images(const Path& path, std::vector<std::string> classes = {});

}  // namespace tessera::data
