// Recording of operations, and running of programs outside a trace. Read next: jit.cpp.
#include "tessera/array/trace.hpp"

#include <atomic>
#include <mutex>

#include "tessera/backend/registry.hpp"

namespace tessera {
namespace {

thread_local detail::Trace* open_trace = nullptr;
thread_local Location module_location;

struct Defaults {
  Device device;
  int threads = 0;
};
thread_local Defaults defaults;

}  // namespace

void set_default_device(const std::string& name) {
  const Device device{name};
  backend(device);  // says what is missing, now rather than at the first operation
  defaults.device = device;
}
Device default_device() { return defaults.device; }
void set_default_threads(int threads) {
  if (threads < 0)
    throw Error(ErrorKind::Usage, "set_default_threads(" + std::to_string(threads) +
                                      "): a number of threads is positive, or 0 for as many as there are");
  defaults.threads = threads;
}
int default_threads() { return defaults.threads; }

namespace detail {

Trace* Trace::current() { return open_trace; }

Array Trace::parameter(const TensorType& type) { return array(graph_.parameter(type), {}); }

Array Trace::array(ir::Value value, Location location) {
  return Array(
      std::make_shared<ArrayState>(ArrayState{graph_.type(value), nullptr, shared_from_this(), value, location}));
}

ir::Value Trace::value_of(const Array& array, Location location) {
  if (array.empty())
    throw Error(ErrorKind::Usage,
                to_string(location) + ": an empty Array is used as an operand; give it a value first");
  const ArrayState& state = *array.state();
  if (state.trace.get() == this) return state.value;
  if (state.trace != nullptr && !state.trace->open_)
    throw Error(ErrorKind::Usage, to_string(location) + ": an Array that was made inside a traced function (" +
                                      to_string(state.type) + ", made at " + to_string(state.made_at) +
                                      ") is used after that function has returned; return it as a result instead");
  const auto [entry, inserted] = lifted_.try_emplace(&state, -1);
  if (inserted) {
    entry->second = graph_.parameter(state.type);
    captured_.push_back(array);
  }
  return entry->second;
}

TraceSession::TraceSession(std::string name) : trace_(std::make_shared<Trace>(std::move(name))) {
  trace_->outer_ = open_trace;
  open_trace = trace_.get();
}

void TraceSession::close() {
  if (!trace_->open_) return;
  trace_->open_ = false;
  open_trace = trace_->outer_;
}

TraceSession::~TraceSession() { close(); }

Traced TraceSession::finish(std::span<const Array> results) {
  for (const Array& result : results) trace_->graph_.results.push_back(trace_->value_of(result, {}));
  close();
  return {std::make_shared<ir::Graph>(trace_->graph_), trace_->captured_};
}

ModuleScope::ModuleScope(Location location) : outermost_(!module_location.known() && location.known()) {
  if (outermost_) module_location = location;
}
ModuleScope::~ModuleScope() {
  if (outermost_) module_location = {};
}

void throw_usage(Location location, const std::string& message) {
  if (module_location.known()) location = module_location;
  throw Error(ErrorKind::Usage, (location.known() ? to_string(location) + ": " : std::string()) + message);
}

void throw_operand_error(const std::string& operation, Location location, std::span<const Array> operands,
                         const std::string& rule, const std::string& hint) {
  std::string message = operation;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    message += "\n  operand " + std::to_string(i) + ": ";
    if (operands[i].empty()) {
      message += "empty";
      continue;
    }
    message += to_string(operands[i].type());
    const Location& made = operands[i].state()->made_at;
    if (made.known()) message += ", made at " + to_string(made);
  }
  message += "\n  " + rule;
  if (!hint.empty()) message += "\n  hint: " + hint;
  throw_usage(location, message);
}

Array make_array(TensorType type, StoragePtr storage) {
  return Array(std::make_shared<ArrayState>(ArrayState{std::move(type), std::move(storage), nullptr, -1, {}}));
}

const StoragePtr& storage_of(const Array& array) {
  if (array.empty()) throw Error(ErrorKind::Usage, "an empty Array is used where values are needed");
  if (array.state()->storage == nullptr)
    throw Error(ErrorKind::Usage, "an Array that was made inside a traced function (" + to_string(array.type()) +
                                      ", made at " + to_string(array.state()->made_at) +
                                      ") is used after that function has returned; return it as a result instead");
  return array.state()->storage;
}

std::vector<Array> apply(ir::Op op, std::span<const Array> operands, ir::Attributes attributes,
                         std::vector<ir::GraphPtr> regions, Location location) {
  if (module_location.known()) location = module_location;
  if (Trace* trace = Trace::current()) {
    ir::Values values;
    for (const Array& operand : operands) values.push_back(trace->value_of(operand, location));
    std::vector<Array> results;
    for (const ir::Value v : trace->graph().add(op, values, std::move(attributes), std::move(regions), location))
      results.push_back(trace->array(v, location));
    return results;
  }
  ir::Graph graph{std::string(ir::name(op))};
  ir::Values values;
  for (const Array& operand : operands) {
    if (operand.empty())
      throw Error(ErrorKind::Usage,
                  to_string(location) + ": an empty Array is used as an operand; give it a value first");
    values.push_back(graph.parameter(operand.type()));
  }
  graph.results = graph.add(op, values, std::move(attributes), std::move(regions), location);
  std::vector<Array> results = apply_graph(graph, operands);
  for (Array& result : results) result.state()->made_at = location;
  return results;
}

Array apply1(ir::Op op, std::span<const Array> operands, ir::Attributes attributes, Location location) {
  return apply(op, operands, std::move(attributes), {}, location)[0];
}

std::vector<Array> apply_graph(const ir::Graph& graph, std::span<const Array> arguments) {
  std::vector<Array> results;
  if (Trace* trace = Trace::current()) {
    ir::Values values;
    for (const Array& argument : arguments) values.push_back(trace->value_of(argument, {}));
    for (const ir::Value v : trace->graph().inline_graph(graph, values)) {
      const ir::Node* node = trace->graph().producer(v);
      results.push_back(trace->array(v, node == nullptr ? Location{} : node->location));
    }
    return results;
  }
  std::vector<StoragePtr> inputs;
  for (const Array& argument : arguments) inputs.push_back(storage_of(argument));
  CompileOptions options;
  options.threads = default_threads();
  const std::vector<StoragePtr> outputs = compile_cached(graph, options)->run(inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    results.push_back(make_array(graph.type(graph.results[i]), outputs[i]));
  return results;
}

std::shared_ptr<Executable> compile_cached(const ir::Graph& graph, const CompileOptions& options) {
  static std::mutex mutex;
  static auto* const cache = new std::unordered_map<std::string, std::shared_ptr<Executable>>;
  constexpr std::size_t kMostEntries = 4096;

  const Device device = default_device();
  std::string key = device.name + '|' + std::to_string(options.threads) + '|' +
                    std::to_string(static_cast<int>(options.precision)) + '|';
  for (const bool donated : options.donated) key += donated ? 'd' : '-';
  key += graph.key();
  {
    const std::lock_guard lock(mutex);
    if (const auto found = cache->find(key); found != cache->end()) return found->second;
  }
  std::shared_ptr<Executable> executable = backend(device).compile(graph, options);
  const std::lock_guard lock(mutex);
  if (cache->size() >= kMostEntries) cache->clear();
  return cache->try_emplace(std::move(key), std::move(executable)).first->second;
}

}  // namespace detail
}  // namespace tessera
