// `tessera run`: a StableHLO program from its text.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "cli/command.hpp"
#include "tessera/array/random.hpp"
#include "tessera/array/trace.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/npy.hpp"
#include "tessera/ir/text.hpp"

namespace tessera::cli {
namespace {

struct Options {
  std::string file, entry = "main", output;
  std::vector<std::string> inputs;
  std::optional<std::uint64_t> random_inputs;
  std::int64_t repeat = 1;
};

/// Normal values for floats, small integers for integers, coins for truth values: equal for equal seeds.
Array random_input(const TensorType& type, const Key& key) {
  if (is_float(type.dtype)) return astype(random::normal(key, type.shape), type.dtype);
  if (type.dtype == DType::Bool) return random::bernoulli(key, 0.5, type.shape);
  return astype(random::integers(key, type.shape, 0, 8), type.dtype);
}

std::vector<Array> inputs_of(const Options& o, const ir::Graph& graph) {
  const std::vector<TensorType> types = graph.parameter_types();
  std::vector<Array> arguments;
  if (o.random_inputs) {
    if (!o.inputs.empty()) throw Error(ErrorKind::Usage, "give either --input or --random-inputs");
    for (std::size_t i = 0; i < types.size(); ++i)
      arguments.push_back(random_input(types[i], fold_in(Key(*o.random_inputs), static_cast<std::int32_t>(i))));
    return arguments;
  }
  if (o.inputs.size() != types.size())
    throw Error(ErrorKind::Usage, fmt::format("{}: @{} takes {} inputs, but {} were given; name one --input FILE.npy "
                                              "for each, or use --random-inputs SEED",
                                              o.file, o.entry, types.size(), o.inputs.size()));
  for (std::size_t i = 0; i < types.size(); ++i) {
    arguments.emplace_back(data::read_npy(o.inputs[i]));
    if (arguments[i].type() != types[i])
      throw Error(fmt::format("{}: is {}, but input {} of @{} is {}", o.inputs[i], to_string(arguments[i].type()), i,
                              o.entry, to_string(types[i])));
  }
  return arguments;
}

int run(const Options& o, const Global& global) {
  use_device(global);
  const ir::Module module = ir::parse(data::read_text(o.file, std::uint64_t{1} << 30), o.file);
  const ir::GraphPtr graph = module.entry(o.entry);
  const std::vector<Array> arguments = inputs_of(o, *graph);
  std::vector<double> seconds;
  std::vector<Literal> results;
  for (std::int64_t i = 0; i < std::max<std::int64_t>(1, o.repeat); ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::vector<Array> out = detail::apply_graph(*graph, arguments);
    results.clear();
    for (const Array& array : out) results.push_back(array.literal());
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

  Json files = Json::array(), values = Json::array();
  if (!o.output.empty()) {
    std::filesystem::create_directories(o.output);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const data::Path path = data::Path(o.output) / fmt::format("{}.npy", i);
      data::write_npy(path, results[i]);
      files.push_back(path.string());
    }
  } else {
    for (const Literal& result : results) {
      values.push_back(ir::dense_text(result) + " : " + ir::type_text(result.type()));
      if (!global.json) fmt::print("{}\n", values.back().get<std::string>());
    }
  }
  // The first run compiles.
  if (seconds.size() > 1) seconds.erase(seconds.begin());
  std::sort(seconds.begin(), seconds.end());
  if (global.json) {
    Json answer{
        {"file", o.file},
        {"entry", o.entry},
        {"seconds", {{"median", seconds[seconds.size() / 2]}, {"min", seconds.front()}, {"max", seconds.back()}}}};
    answer[o.output.empty() ? "results" : "files"] = o.output.empty() ? values : files;
    print_json(answer);
  } else if (o.repeat > 1 && !global.quiet) {
    fmt::print(stderr, "{} runs: median {:.3f} ms, least {:.3f} ms, most {:.3f} ms\n", seconds.size(),
               1e3 * seconds[seconds.size() / 2], 1e3 * seconds.front(), 1e3 * seconds.back());
  }
  return 0;
}

}  // namespace

Action add_run(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("FILE", o->file, "StableHLO text")->required();
  app.add_option("--entry", o->entry, "the function to run")->type_name("NAME");
  app.add_option("--input", o->inputs, "an input, in order; may be repeated")
      ->type_name("FILE.npy")
      ->expected(1)
      ->take_all();
  app.add_option("--random-inputs", o->random_inputs, "draw the inputs from this seed")->type_name("SEED");
  app.add_option("--output", o->output, "write results to DIR/0.npy, 1.npy, ...")->type_name("DIR");
  app.add_option("--repeat", o->repeat, "run so often and say how long it takes")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->type_name("N");
  return [o](const Global& global) { return run(*o, global); };
}

}  // namespace tessera::cli
