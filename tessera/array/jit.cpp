// The cache of compiled signatures, and the run of one.
#include "tessera/array/jit.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>

namespace tessera::detail {

struct JitCache::Entries {
  mutable std::shared_mutex mutex;
  std::vector<std::shared_ptr<JitEntry>> list;
};

JitCache::JitCache(JitOptions options) : options_(std::move(options)), entries_(std::make_unique<Entries>()) {}
JitCache::~JitCache() = default;

std::shared_ptr<JitEntry> JitCache::find(std::span<const std::uint64_t> signature) const {
  const std::shared_lock lock(entries_->mutex);
  for (const auto& entry : entries_->list)
    if (std::equal(signature.begin(), signature.end(), entry->signature.begin(), entry->signature.end())) return entry;
  return nullptr;
}

std::size_t JitCache::size() const {
  const std::shared_lock lock(entries_->mutex);
  return entries_->list.size();
}

std::shared_ptr<const JitEntry> JitCache::latest() const {
  const std::shared_lock lock(entries_->mutex);
  return entries_->list.empty() ? nullptr : entries_->list.back();
}

namespace {

/// Says why a function is compiled again: the first argument that differs from the latest signature.
std::string difference(const JitEntry& known, const JitEntry& wanted) {
  for (std::size_t i = 0; i < std::min(known.arguments.size(), wanted.arguments.size()); ++i)
    if (known.arguments[i] != wanted.arguments[i]) return wanted.arguments[i] + ", before " + known.arguments[i];
  if (known.arguments.size() != wanted.arguments.size()) return "the arguments have another structure";
  return "a static value, the device or the number of threads differs";
}

}  // namespace

std::shared_ptr<JitEntry> JitCache::add(std::shared_ptr<JitEntry> entry, const Traced& traced) {
  CompileOptions compile;
  compile.threads = default_threads();
  compile.precision = options_.precision;
  compile.donated = entry->donated;
  compile.donated.resize(traced.graph->parameters.size(), false);
  {
    const std::shared_lock lock(entries_->mutex);
    if (!entries_->list.empty())
      spdlog::debug("{} is compiled again ({} so far): {}", options_.name, entries_->list.size(),
                    difference(*entries_->list.back(), *entry));
  }
  entry->executable = compile_cached(*traced.graph, compile);
  entry->graph = traced.graph;
  entry->captured_arrays = traced.captured;
  for (const Array& array : traced.captured) entry->captured.push_back(storage_of(array));
  entry->result_types = traced.graph->result_types();
  const std::unique_lock lock(entries_->mutex);
  entries_->list.push_back(entry);
  return entry;
}

void add_environment(std::vector<std::uint64_t>& words) {
  words.push_back(static_cast<std::uint64_t>(default_threads()));
  const Device device = default_device();
  for (const char c : device.name) words.push_back(static_cast<std::uint64_t>(c));
}

std::vector<StoragePtr> run_entry(const JitEntry& entry, std::span<const Array* const> arguments) {
  std::vector<StoragePtr> inputs;
  inputs.reserve(arguments.size() + entry.captured.size());
  // A donated argument that nobody else holds gives its memory away: the program sees the only reference.
  const auto gives = [&](std::size_t i) { return entry.donated[i] && arguments[i]->state().use_count() == 1; };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const StoragePtr& storage = storage_of(*arguments[i]);
    if (gives(i))
      inputs.push_back(std::move(arguments[i]->state()->storage));
    else
      inputs.push_back(storage);
  }
  inputs.insert(inputs.end(), entry.captured.begin(), entry.captured.end());
  const auto take_back = [&] {
    for (std::size_t i = 0; i < arguments.size(); ++i)
      if (arguments[i]->state()->storage == nullptr) arguments[i]->state()->storage = inputs[i];
  };
  try {
    std::vector<StoragePtr> outputs = entry.executable->run(inputs);
    take_back();  // the caller replaces these arrays by the results
    return outputs;
  } catch (...) {
    take_back();
    throw;
  }
}

void put_result(Array& array, const TensorType& type, const StoragePtr& storage) {
  const auto& state = array.state();
  if (state != nullptr && state.use_count() == 1 && state->trace == nullptr && state->type == type) {
    state->storage = storage;
    state->made_at = {};
  } else {
    array = make_array(type, storage);
  }
}

namespace {
thread_local std::vector<std::unique_ptr<CallScratch>> scratches;
}

std::unique_ptr<CallScratch> take_scratch() {
  if (scratches.empty()) return std::make_unique<CallScratch>();
  std::unique_ptr<CallScratch> scratch = std::move(scratches.back());
  scratches.pop_back();
  scratch->words.clear();
  scratch->arrays.clear();
  return scratch;
}

void give_scratch(std::unique_ptr<CallScratch> scratch) { scratches.push_back(std::move(scratch)); }

}  // namespace tessera::detail
