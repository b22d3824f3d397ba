// `tessera eval` and `tessera predict`: trained runs in use.
#include <fmt/format.h>

#include <cmath>

#include "cli/command.hpp"
#include "tessera/array/ops.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/image.hpp"
#include "tessera/train/evaluate.hpp"
#include "tessera/train/trained.hpp"
#include "tessera/train/translate.hpp"

namespace tessera::cli {
namespace {

/// BLEU, chrF and perplexity of a translator.
int evaluate_translator(const std::string& run, const std::string& data, const std::string& split, std::int64_t beam,
                        const Global& global) {
  const train::TrainedTranslator trained = train::load_translator(run);
  const train::Config& config = trained.config;
  if (split != "train" && split != "valid" && split != "test")
    throw Error(ErrorKind::Usage, "there is no split '" + split + "'; splits are train, valid and test");
  const std::string folder = data.empty() ? config.data.path : data;
  const data::ParallelSplit set = data::read_split(folder, split, config.data.source, config.data.target,
                                                   data::Cleaning{.only_text = split != "train"});
  if (set.text.size() == 0)
    throw Error(fmt::format("{}: there is no text to measure with; it needs {}.{} and {}.{}", folder, split,
                            config.data.source, split, config.data.target));
  train::TextTranslator translator(trained.vocabulary, config.data.max_tokens, Precision::Float32);
  const train::TranslationScores scores = train::score_translations(translator, trained.model, set.text, beam);
  const train::TextLikelihood likelihood = train::measure(trained, set.text);
  if (global.json) {
    print_json({{"run", run},
                {"split", split},
                {"step", trained.step},
                {"pairs", set.text.size()},
                {"beam", beam},
                {"bleu", scores.bleu.score},
                {"bleu_text", data::to_string(scores.bleu)},
                {"chrf", scores.chrf.score},
                {"chrf_text", data::to_string(scores.chrf)},
                {"pairs_measured", likelihood.pairs},
                {"loss", likelihood.loss},
                {"perplexity", std::exp(likelihood.loss)},
                {"bits_per_byte", likelihood.bits_per_byte}});
  } else {
    fmt::print("{}\n{}\n{} {}: perplexity {:.3f}, {:.3f} bits per byte, {} pairs, beam {}, step {}\n",
               data::to_string(scores.bleu), data::to_string(scores.chrf), run, split, std::exp(likelihood.loss),
               likelihood.bits_per_byte, set.text.size(), beam, trained.step);
  }
  return 0;
}

int evaluate(const std::string& run, const std::string& data, const std::string& split, std::int64_t beam,
             const Global& global) {
  use_device(global);
  if (train::load_run_config(run).task == "translate") return evaluate_translator(run, data, split, beam, global);
  const train::TrainedRun trained = train::load_run(run);
  const data::ImageDataset set = data::load_images(data.empty() ? trained.config.data.path : data, trained.classes);
  if (set.image_shape() != trained.image)
    throw Error(fmt::format("{}: pictures are {}, but {} was trained on {}", data, to_string(set.image_shape()), run,
                            to_string(trained.image)));
  const train::ResidentImages images(set.split(split));
  const train::Evaluation result = train::Evaluator(Precision::Float32)(trained.model, images);
  if (global.json) {
    print_json({{"run", run},
                {"split", split},
                {"step", trained.step},
                {"examples", images.size()},
                {"loss", result.loss},
                {"accuracy", result.accuracy}});
  } else {
    fmt::print("{} {}: accuracy {:.2f} %, loss {:.4f}, {} pictures, step {}\n", run, split, 100 * result.accuracy,
               result.loss, images.size(), trained.step);
  }
  return 0;
}

int predict(const std::string& run, const std::vector<std::string>& files, const Global& global) {
  use_device(global);
  const train::TrainedRun trained = train::load_run(run);
  // All files are read before anything is computed: a wrong one gives no half answer.
  std::vector<Literal> pictures;
  pictures.reserve(files.size());
  for (const std::string& file : files)
    pictures.push_back(data::fit_image(data::read_image(file), trained.image[0], trained.image[1], trained.image[2]));
  data::LabelledImages set;
  Shape shape = trained.image;
  shape.insert(shape.begin(), static_cast<std::int64_t>(pictures.size()));
  set.images = Literal({DType::U8, shape});
  set.labels = Literal::full_integer({DType::I32, {shape[0]}}, 0);
  for (std::size_t i = 0; i < pictures.size(); ++i)
    std::copy_n(pictures[i].data(), pictures[i].bytes(), set.images.data() + i * pictures[i].bytes());
  const train::Evaluation result =
      train::Evaluator(Precision::Float32)(trained.model, train::ResidentImages(set), true);

  Json list = Json::array();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto label = static_cast<std::size_t>(result.predicted[i]);
    const double probability = result.probabilities[i * trained.classes.size() + label];
    if (global.json)
      list.push_back(
          {{"file", files[i]}, {"label", label}, {"class", trained.classes[label]}, {"probability", probability}});
    else
      fmt::print("{}: {} {:.1f} %\n", files[i], trained.classes[label], 100 * probability);
  }
  if (global.json) print_json({{"predictions", list}});
  return 0;
}

}  // namespace

Action add_eval(CLI::App& app) {
  struct Options {
    std::string run, data, split = "test";
    std::int64_t beam = train::kBeam;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RUN", o->run, "the folder of a trained run")->required();
  app.add_option("--data", o->data, "another data set than the run's own")->type_name("PATH");
  app.add_option("--split", o->split, "train, valid or test");
  app.add_option("--beam", o->beam, "of a translator: hypotheses that are followed")
      ->check(CLI::Range(std::int64_t{1}, train::kMaxBeam))
      ->capture_default_str();
  return [o](const Global& global) { return evaluate(o->run, o->data, o->split, o->beam, global); };
}

Action add_predict(CLI::App& app) {
  struct Options {
    std::string run;
    std::vector<std::string> files;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RUN", o->run, "the folder of a trained run")->required();
  app.add_option("FILE", o->files, "pictures: PNG, JPEG or NPY")->required();
  return [o](const Global& global) { return predict(o->run, o->files, global); };
}

}  // namespace tessera::cli
