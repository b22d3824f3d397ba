// Tessera as a contestant of bench/run.py: a process that waits, as bench/peers.py is for the others.
// In:  the device as argument, then a JSON object a line: {"net", "batch", "precision", "seconds"} trains that long;
//      {"limits": precision} measures the machine.
// Out: a JSON object a line: first one with the device; then {"examples_per_second", "compile_seconds"}, or the limits.
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tessera/array/array.hpp"
#include "tessera/backend/registry.hpp"
#include "tessera/core/error.hpp"
#include "tessera/train/bench.hpp"
#include "tessera/train/config.hpp"
#include "tessera/train/limits.hpp"

namespace tessera {
namespace {

using Json = nlohmann::json;

Json answer(const Json& ask, std::map<std::string, train::Workload>& ready) {
  if (ask.contains("limits")) {
    const auto limits = train::measure_limits(0.5, train::precision_named(ask.at("limits").get<std::string>()));
    return {{"gemm_gflops", limits.gemm_gflops}, {"copy_gbs", limits.copy_gbs}};
  }
  const train::BenchCase which{ask.at("net"), ask.at("batch"),
                               train::precision_named(ask.at("precision").get<std::string>())};
  const std::string key = which.name + " " + std::to_string(which.batch) + " " + ask.at("precision").get<std::string>();
  auto found = ready.find(key);
  if (found == ready.end()) {
    found = ready.emplace(key, train::make_workload(which, 1)).first;
    (void)train::measure(found->second, 0.3);
  }
  return {{"examples_per_second", train::measure(found->second, ask.at("seconds"))},
          {"compile_seconds", found->second.compile_seconds}};
}

}  // namespace
}  // namespace tessera

int main(int count, char** arguments) {
  using namespace tessera;
  try {
    set_default_device(count > 1 ? arguments[1] : "cpu");
    std::cout << Json{{"device", backend(default_device()).describe()}} << std::endl;
    std::map<std::string, train::Workload> ready;
    for (std::string line; std::getline(std::cin, line);) std::cout << answer(Json::parse(line), ready) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "contestant: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
