// Loading labelled pictures.
#include "tessera/data/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "tessera/core/error.hpp"
#include "tessera/data/idx.hpp"
#include "tessera/data/npy.hpp"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;

/// Images and labels as they came, with the names that messages use.
struct Pair {
  Literal images, labels;
  std::string images_name, labels_name;
};

/// `stem` or `stem`.gz in `folder`.
std::optional<Path> find_idx(const Path& folder, const std::string& stem) {
  for (const char* end : {"", ".gz"}) {
    Path path = folder / (stem + end);
    if (fs::exists(path)) return path;
  }
  return std::nullopt;
}

std::optional<Pair> read_idx_pair(const Path& folder, const std::string& prefix) {
  const std::string images = prefix + "-images-idx3-ubyte", labels = prefix + "-labels-idx1-ubyte";
  const std::optional<Path> images_path = find_idx(folder, images), labels_path = find_idx(folder, labels);
  if (!images_path && !labels_path) return std::nullopt;
  if (!images_path || !labels_path)
    bad_file(folder / (images_path ? labels : images),
             "is missing (plain or .gz), though its other half is there; fetch the data set again");
  return Pair{read_idx(*images_path), read_idx(*labels_path), *images_path, *labels_path};
}

std::optional<Pair> take_npz_pair(std::map<std::string, Literal>& arrays, const Path& path, const std::string& prefix) {
  const std::string images = prefix + "_images", labels = prefix + "_labels";
  if (!arrays.contains(images) && !arrays.contains(labels)) return std::nullopt;
  for (const std::string& name : {images, labels}) {
    if (!arrays.contains(name)) bad_file(path, "lacks the array '" + name + "', though its other half is there");
  }
  return Pair{arrays.at(images), arrays.at(labels), path.string() + ": " + images, path.string() + ": " + labels};
}

/// Checks a pair and brings it into the form of LabelledImages.
LabelledImages validate(const std::optional<Pair>& given) {
  if (!given) return {};
  const Pair& pair = *given;
  Shape shape = pair.images.shape();
  if (shape.size() == 3) shape.push_back(1);
  if (pair.images.dtype() != DType::U8 || shape.size() != 4 || shape[1] == 0 || shape[2] == 0 ||
      (shape[3] != 1 && shape[3] != 3))
    bad_file(pair.images_name, "holds " + to_string(pair.images.type()) +
                                   "; pictures are ui8 [n, height, width] or [n, height, width, 1 or 3]");
  const Shape& counts = pair.labels.shape();
  const bool column = counts.size() == 2 && counts[1] == 1;
  if (!is_integer(pair.labels.dtype()) || (counts.size() != 1 && !column))
    bad_file(pair.labels_name, "holds " + to_string(pair.labels.type()) + "; labels are integers [n] or [n, 1]");
  if (shape[0] != counts[0])
    bad_file(pair.labels_name, fmt::format("has {} labels for the {} pictures of {}; the files do not belong together",
                                           counts[0], shape[0], pair.images_name));
  if (shape[0] == 0) bad_file(pair.images_name, "holds no pictures");
  LabelledImages result{Literal({DType::U8, shape}, pair.images.storage()), Literal({DType::I32, {shape[0]}})};
  const auto labels = result.labels.as<std::int32_t>();
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    const std::int64_t label = pair.labels.get_integer(i);
    if (label < 0 || label > 0xffff)
      bad_file(pair.labels_name,
               fmt::format("the label at index {} is {}; labels count from 0 to at most 65535", i, label));
    labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(label);
  }
  return result;
}

void check_labels(const LabelledImages& images, const std::optional<Pair>& pair, std::size_t classes) {
  const auto labels = images.labels.as<std::int32_t>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (static_cast<std::size_t>(labels[i]) >= classes)
      bad_file(pair->labels_name, fmt::format("the label at index {} is {}, but there are {} classes (0 to {}); the "
                                              "file is damaged, or data.classes is wrong",
                                              i, labels[i], classes, classes - 1));
  }
}

Path find_npz(const Path& folder) {
  std::vector<Path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".npz") found.push_back(entry.path());
  }
  if (found.size() > 1) bad_file(folder, fmt::format("holds {} .npz files; name one of them", found.size()));
  if (found.empty())
    bad_file(folder,
             "holds neither train-images-idx3-ubyte (plain or .gz) with its labels nor an .npz file; give the folder "
             "of a data set with --data");
  return found[0];
}

}  // namespace

const LabelledImages& ImageDataset::split(std::string_view name) const {
  for (const auto& [known, images] :
       {std::pair{"train", &train}, std::pair{"valid", &valid}, std::pair{"test", &test}}) {
    if (name != known) continue;
    if (images->size() == 0) throw Error(ErrorKind::Usage, fmt::format("the data set has no split '{}'", name));
    return *images;
  }
  throw Error(ErrorKind::Usage, fmt::format("there is no split '{}'; the splits are train, valid and test", name));
}

Shape ImageDataset::image_shape() const { return {train.images.shape().begin() + 1, train.images.shape().end()}; }

const std::vector<std::string>& fashion_mnist_classes() {
  static const std::vector<std::string> names{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                              "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  return names;
}

ImageDataset load_images(const Path& path, std::vector<std::string> classes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    bad_file(path,
             "there is no data set here. Fashion-MNIST comes in Debian's package dataset-fashion-mnist (apt-get "
             "install dataset-fashion-mnist), "
             "in /usr/share/datasets/fashion-mnist; another data set is named with --data");
  std::optional<Pair> train, valid, test;
  if (fs::is_directory(status) &&
      (find_idx(path, "train-images-idx3-ubyte") || find_idx(path, "train-labels-idx1-ubyte"))) {
    train = read_idx_pair(path, "train");
    valid = read_idx_pair(path, "valid");
    test = read_idx_pair(path, "t10k");
    if (!test) test = read_idx_pair(path, "test");
    if (!test) bad_file(path / "t10k-images-idx3-ubyte", "is missing (plain or .gz); fetch the data set again");
  } else {
    const Path archive = fs::is_directory(status) ? find_npz(path) : path;
    std::map<std::string, Literal> arrays = read_npz(archive);
    train = take_npz_pair(arrays, archive, "train");
    valid = take_npz_pair(arrays, archive, "val");
    test = take_npz_pair(arrays, archive, "test");
    if (!train || !test)
      bad_file(archive, fmt::format("lacks the arrays {0}_images and {0}_labels", train ? "test" : "train"));
  }

  ImageDataset set{std::move(classes), validate(train), validate(valid), validate(test)};
  for (const auto* pair : {&valid, &test}) {
    if (!*pair) continue;
    const Shape& a = train->images.shape();
    const Shape& b = (*pair)->images.shape();
    if (!std::equal(a.begin() + 1, a.end(), b.begin() + 1, b.end()))
      bad_file((*pair)->images_name, "has pictures of another size (" + to_string(b) + ") than " + train->images_name +
                                         " (" + to_string(a) + ")");
  }
  if (set.classes.empty()) {
    const auto labels = set.train.labels.as<std::int32_t>();
    const std::int32_t last = *std::max_element(labels.begin(), labels.end());
    for (std::int32_t i = 0; i <= last; ++i) set.classes.push_back(std::to_string(i));
  }
  check_labels(set.train, train, set.classes.size());
  check_labels(set.valid, valid, set.classes.size());
  check_labels(set.test, test, set.classes.size());
  return set;
}

}  // namespace tessera::data
