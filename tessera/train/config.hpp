// A recipe: everything that shapes a training run, as TOML that a person can read, copy and edit.
// In: a built-in name or a file, and changes from the command line. Out: a checked Config. Read next: train/loop.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/backend.hpp"

namespace tessera::train {

struct Config {
  std::string name;               ///< of the recipe
  std::string description;        ///< one line
  std::string task = "classify";  ///< or translate; keys that belong to one of them say so
  struct {
    std::string path;                  ///< what data::load_images reads; translate: the folder for data::load_parallel
    std::vector<std::string> classes;  ///< classify: their names; empty: numbered
    // Of translate:
    std::string source = "en", target = "de";  ///< languages
    std::int64_t vocabulary = 8000;            ///< pieces
    std::int64_t max_tokens = 100;             ///< longer pairs are no examples; longer lines are translated in parts
    std::int64_t buckets = 6;                  ///< padded lengths, for each of which a program is compiled
  } data;
  /// classify: convolutions, each with ReLU and max-pooling by 2, then dense layers with ReLU, then one output for each
  /// class. translate: a recurrent encoder in both directions, attention, a recurrent decoder; or a Transformer.
  struct {
    std::vector<std::int64_t> channels;  ///< of the convolutions; none for a multilayer perceptron
    std::int64_t kernel = 3;
    std::vector<std::string> padding;  ///< of each convolution: same or valid; none: all same
    bool norm = false;                 ///< batch normalisation after each convolution
    std::vector<std::int64_t> hidden;  ///< widths of the dense layers
    double dropout = 0;                ///< classify: after each dense layer; translate: of embeddings and outputs
    // Of translate:
    std::string kind = "recurrent";      ///< or transformer
    std::string cell = "gru";            ///< or lstm: of a recurrent one
    std::string attention = "additive";  ///< Bahdanau's, or dot, Luong's: of a recurrent one
    bool layer_norm = false;             ///< in the cells of a recurrent one
    std::int64_t heads = 8;              ///< of a Transformer
    std::int64_t embedding = 256;        ///< width of a piece's vector; of a Transformer's layers
    std::int64_t width = 512;            ///< of the recurrent states; inside a Transformer's dense parts
    std::int64_t layers = 1;             ///< of the encoder; of a Transformer's decoder too
  } model;
  struct {
    std::int64_t shift = 0;  ///< pictures move by up to so many pixels
    bool flip = false;       ///< half of the pictures are mirrored left to right
  } augment;
  struct {
    double epochs = 10;
    std::int64_t batch = 128;  ///< translate: tokens of the longer side, padding included
    double average = 0;        ///< decay of the mean of the parameters that is measured and used; 0: these themselves
    double smoothing = 0;      ///< translate: the part of each target that is spread over all pieces
    std::int64_t seed = 1;
    std::string precision = "f32";
    double evaluate_every = 1;    ///< epochs
    double checkpoint_every = 1;  ///< epochs
  } train;
  struct {
    std::string kind = "adamw";
    double rate = 0.001;
    double momentum = 0.9;  ///< of sgd
    double decay = 0;
    double clip = 0;  ///< the longest gradient; 0: any
  } optimizer;
  struct {
    std::string kind = "cosine";
    double warmup = 0;  ///< epochs in which the rate rises from 0
    double final = 0;   ///< the last rate of cosine, as a part of the first
  } schedule;

  bool operator==(const Config& other) const;
};

/// The precision called "f32", "tf32" or "bf16", as in the recipes' key train.precision; f32 for any other name.
Precision precision_named(std::string_view name);

/// Names of the built-in recipes, and the text of one; empty for an unknown name.
std::vector<std::string> recipe_names();
std::string_view recipe_text(std::string_view name);

/// A change from the command line: key and value, as in "train.epochs=3".
using Setting = std::pair<std::string, std::string>;

/// Checks `text` (called `file` in messages) and the settings put on top of it. Throws Error (Usage) naming the line,
/// the key, what was wrong and what is allowed; an unknown key comes with the nearest known one.
Config parse_config(std::string_view text, const std::string& file, const std::vector<Setting>& settings = {});
/// A built-in recipe, or a TOML file by its path. Throws Error naming the recipes there are when it is neither.
Config load_config(const std::string& recipe, const std::vector<Setting>& settings = {});
/// "key=value" taken apart.
Setting parse_setting(const std::string& text);

/// The whole configuration as TOML, which parse_config reads back equal. `facts` become a section [run], which it
/// skips.
std::string format_config(const Config& config, const std::vector<Setting>& facts = {});
/// The section [run] of such a text.
std::vector<Setting> parse_facts(std::string_view text, const std::string& file);
/// The keys that differ between two configurations, each as "key: one, other".
std::vector<std::string> differences(const Config& a, const Config& b);
/// Keys and values in order, for the report.
std::vector<Setting> entries(const Config& config);

}  // namespace tessera::train
