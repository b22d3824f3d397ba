// TESSERA_DUMP=dir: each stage of lowering as a numbered text file, 03-step.simplified. Also the words for values and
// clusters.
#include <fmt/format.h>

#include <atomic>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tessera/pass/fusion.hpp"

namespace tessera::pass {

Dump::Dump(std::string program) : program_(std::move(program)) {
  const char* folder = std::getenv("TESSERA_DUMP");
  if (folder != nullptr) folder_ = folder;
  for (char& c : program_)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_' && c != '-') c = '_';
}

void Dump::write(const std::string& stage, const std::string& text) {
  if (!active()) return;
  static std::atomic<int> next{0};
  std::error_code ignored;
  std::filesystem::create_directories(folder_, ignored);
  const std::filesystem::path path =
      std::filesystem::path(folder_) / fmt::format("{:02}-{}.{}", next++, program_, stage);
  std::ofstream file(path);
  file << text;
  if (!file.good())
    throw Error("TESSERA_DUMP: cannot write " + path.string() + "; name a folder that can be written, or unset it");
}

std::string describe(const ir::Graph& graph, ir::Value value) {
  const ir::Node* node = graph.producer(value);
  if (node == nullptr) return to_string(graph.type(value)) + " parameter";
  std::string text = fmt::format("{} {}", to_string(graph.type(value)), ir::name(node->op));
  if (node->location.known()) text += " at " + to_string(node->location);
  return text;
}

std::string to_string(const Fusion& fusion) {
  const char* const kinds[] = {"map", "rows", "columns", "library", "host", "control", "update"};
  const char* const holds[] = {"inlined", "scalar", "scratch", "stored"};
  std::string text;
  for (const Cluster& cluster : fusion.clusters) {
    text += kinds[static_cast<int>(cluster.kind)];
    if (cluster.kind == Cluster::Kind::Rows) text += fmt::format(" {}", cluster.rows);
    if (cluster.kind == Cluster::Kind::Columns)
      text += fmt::format(" {}x{}x{}", cluster.columns.outer, cluster.columns.reduced, cluster.columns.inner);
    text += fmt::format(", about {:.0f} operations\n", cluster.cost);
    for (const Item& item : cluster.items)
      text += fmt::format("  %{} {} {} level {}\n", item.value, describe(*fusion.graph, item.value),
                          holds[static_cast<int>(item.hold)], item.level);
  }
  return text;
}

}  // namespace tessera::pass
