// `tessera bench`.
#include "tessera/train/bench.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "cli/command.hpp"
#include "tessera/array/array.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/train/limits.hpp"

namespace tessera::cli {
namespace {

struct Options {
  std::vector<std::string> names;
  std::int64_t batch = 0;
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

std::vector<train::BenchCase> wanted_cases(const Options& o) {
  std::vector<train::BenchCase> cases;
  if (o.names.empty()) {
    cases = train::bench_cases();
  } else {
    for (const std::string& name : o.names) {
      const auto known = train::bench_cases();
      const bool given = o.batch > 0;
      bool found = false;
      for (const train::BenchCase& c : known) {
        if (c.name == name && !given) cases.push_back(c);
        found = found || c.name == name;
      }
      if (given || !found) cases.push_back({name, o.batch});
    }
  }
  for (train::BenchCase& c : cases)
    if (o.batch > 0) c.batch = o.batch;
  return cases;
}

Json limits_json(const train::MachineLimits& limits) {
  return {{"gemm_gflops", limits.gemm_gflops}, {"fma_gflops", limits.fma_gflops}, {"copy_gbs", limits.copy_gbs}};
}

int bench(const Options& o, const Global& global) {
  const std::vector<train::BenchCase> cases = wanted_cases(o);
  double load[1] = {0};
  (void)::getloadavg(load, 1);
  Json rows = Json::array(), all_limits = Json::object(), machine{{"cpu", train::processor_name()}};
  for (const std::string& device : wanted_devices(global)) {
    Global here = global;
    here.device = device;
    use_device(here);
    const std::string name = default_device().name;
    const int threads = default_threads() > 0 ? default_threads() : train::granted_threads();
    std::vector<train::BenchRow> measured;
    for (const train::BenchCase& c : cases) measured.push_back(train::run_bench(c, o.seconds, global.seed.value_or(1)));
    const train::MachineLimits limits = train::measure_limits(0.5);
    const bool gpu = name.starts_with("cuda");
    const std::string title =
        gpu ? backend(default_device()).describe() : fmt::format("{}, {} threads", train::processor_name(), threads);
    machine["threads"] = threads;
    if (gpu) machine["gpu"] = title;
    all_limits[name] = limits_json(limits);
    if (!global.json)
      fmt::print(
          "{}, load {:.1f}; limits: matrix product {:.0f} GFLOP/s{}, copy {:.1f} GB/s\n\n"
          "{:<8}{:>6}{:>14}{:>24}{:>12}{:>10}\n",
          title, load[0], limits.gemm_gflops,
          limits.fma_gflops > 0 ? fmt::format(", multiply-adds {:.0f} GFLOP/s", limits.fma_gflops) : "",
          limits.copy_gbs, "net", "batch", "examples/s", "least to most", "of GEMM", "compile");
    for (const train::BenchRow& row : measured) {
      const double fraction = row.median * row.flops_per_example * 1e-9 / limits.gemm_gflops;
      if (!global.json)
        fmt::print("{:<8}{:>6}{:>14.0f}{:>24}{:>10.0f} %{:>8.2f} s\n", row.name, row.batch, row.median,
                   fmt::format("{:.0f} to {:.0f}", row.least, row.most), 100 * fraction, row.compile_seconds);
      rows.push_back({{"name", row.name},
                      {"batch", row.batch},
                      {"device", name},
                      {"threads", threads},
                      {"precision", "f32"},
                      {"examples_per_second", {{"median", row.median}, {"min", row.least}, {"max", row.most}}},
                      {"flops_per_example", row.flops_per_example},
                      {"gemm_fraction", fraction},
                      {"compile_seconds", row.compile_seconds}});
    }
  }
  machine["load"] = load[0];
  if (global.json)
    print_json(
        {{"machine", machine}, {"limits", all_limits.begin().value()}, {"device_limits", all_limits}, {"rows", rows}});
  return 0;
}

}  // namespace

Action add_bench(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("NAME", o->names, "mlp, lenet, cnn; all of them by default");
  app.add_option("--batch", o->batch, "examples in a step")->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
  app.add_option("--seconds", o->seconds, "time for each net")->check(CLI::Range(0.01, 86400.0));
  return [o](const Global& global) { return bench(*o, global); };
}

}  // namespace tessera::cli
