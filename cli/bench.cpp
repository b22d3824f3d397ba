// `tessera bench`.
#include "tessera/train/bench.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "cli/command.hpp"
#include "tessera/array/array.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/limits.hpp"

namespace tessera::cli {
namespace {

struct Options {
  std::vector<std::string> names, precisions{"f32"};
  std::vector<std::int64_t> batches;
  double seconds = 3;
};

/// What `--device` asks for; "all": the processor, and a GPU where there is one.
std::vector<std::string> wanted_devices(const Global& global) {
  if (global.device != "all") return {global.device};
  std::vector<std::string> list{"cpu"};
  for (const DeviceInfo& device : devices())
    if (device.available && device.name == "cuda") list.push_back(device.name);
  return list;
}

/// The nets named, or all, each at its own batches or at those given, in each precision.
std::vector<train::BenchCase> wanted_cases(const Options& o) {
  std::vector<train::BenchCase> cases;
  for (const std::string& name : o.names.empty() ? train::bench_nets() : o.names)
    for (const std::int64_t batch : o.batches.empty() ? train::bench_batches(name) : o.batches)
      for (const std::string& precision : o.precisions)
        cases.push_back({name, batch, train::precision_named(precision)});
  return cases;
}

Json limits_json(const train::MachineLimits& limits) {
  return {{"gemm_gflops", limits.gemm_gflops}, {"fma_gflops", limits.fma_gflops}, {"copy_gbs", limits.copy_gbs}};
}

/// The cases on one device, its limits with them: printed, or added to `rows` and `all_limits`.
void bench_here(const Options& o, const Global& global, Json& machine, Json& all_limits, Json& rows) {
  const std::string name = default_device().name;
  const int threads = default_threads() > 0 ? default_threads() : train::granted_threads();
  std::vector<train::BenchRow> measured;
  for (const train::BenchCase& c : wanted_cases(o))
    measured.push_back(train::run_bench(c, o.seconds, global.seed.value_or(1)));
  std::vector<train::MachineLimits> limits;  // in each precision
  for (const std::string& precision : o.precisions)
    limits.push_back(train::measure_limits(0.5, train::precision_named(precision)));

  const bool gpu = name.starts_with("cuda");
  const std::string title =
      gpu ? backend(default_device()).describe() : fmt::format("{}, {} threads", train::processor_name(), threads);
  machine["threads"] = threads;
  if (gpu) machine["gpu"] = title;
  all_limits[name] = limits_json(limits.front());
  if (!global.json) {
    fmt::print("{}, load {:.1f}; limits: matrix product", title, machine["load"].get<double>());
    for (std::size_t i = 0; i < limits.size(); ++i)
      fmt::print(" {:.0f} GFLOP/s in {},", limits[i].gemm_gflops, o.precisions[i]);
    if (limits.front().fma_gflops > 0) fmt::print(" multiply-adds {:.0f} GFLOP/s,", limits.front().fma_gflops);
    fmt::print(" copy {:.1f} GB/s\n\n{:<11}{:>7}{:>6}{:>14}{:>24}{:>12}{:>10}\n", limits.front().copy_gbs, "net",
               "batch", "type", "examples/s", "least to most", "of GEMM", "compile");
  }
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const train::BenchRow& row = measured[i];
    const std::string& precision = o.precisions[i % o.precisions.size()];
    const double gemm = limits[i % limits.size()].gemm_gflops;
    const double fraction = row.median * row.flops_per_example * 1e-9 / gemm;
    if (!global.json)
      fmt::print("{:<11}{:>7}{:>6}{:>14.0f}{:>24}{:>10.0f} %{:>8.2f} s\n", row.of.name, row.of.batch, precision,
                 row.median, fmt::format("{:.0f} to {:.0f}", row.least, row.most), 100 * fraction, row.compile_seconds);
    rows.push_back({{"name", row.of.name},
                    {"batch", row.of.batch},
                    {"device", name},
                    {"threads", threads},
                    {"precision", precision},
                    {"examples_per_second", {{"median", row.median}, {"min", row.least}, {"max", row.most}}},
                    {"flops_per_example", row.flops_per_example},
                    {"gemm_gflops", gemm},
                    {"gemm_fraction", fraction},
                    {"compile_seconds", row.compile_seconds}});
  }
}

int bench(const Options& o, const Global& global) {
  double load[1] = {0};
  (void)::getloadavg(load, 1);
  Json rows = Json::array(), all_limits = Json::object();
  Json machine{{"cpu", train::processor_name()}, {"threads", 0}, {"load", load[0]}};
  for (const std::string& device : wanted_devices(global)) {
    Global here = global;
    here.device = device;
    use_device(here);
    bench_here(o, here, machine, all_limits, rows);
  }
  if (global.json)
    print_json(
        {{"machine", machine}, {"limits", all_limits.begin().value()}, {"device_limits", all_limits}, {"rows", rows}});
  return 0;
}

}  // namespace

Action add_bench(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("NAME", o->names, "mlp, lenet, cnn, lstm, translator; all of them by default");
  app.add_option("--batch", o->batches, "examples in a step (translator: pairs of sentences); several with commas")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
  app.add_option("--precision", o->precisions, "of products and convolutions: f32, tf32, bf16; several with commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "tf32", "bf16"}));
  app.add_option("--seconds", o->seconds, "time for each net")->check(CLI::Range(0.01, 86400.0));
  return [o](const Global& global) { return bench(*o, global); };
}

}  // namespace tessera::cli
