// The whole way from a Graph to a Program: simplify, precision, reductions in stages, fuse, schedule, plan memory.
// Each stage stands in its own file; this one passes the results along and gives values their buffers.
#include <algorithm>
#include <set>

#include "tessera/pass/fusion.hpp"

namespace tessera::pass {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;
using ir::Values;

Value owner_of(const ir::Graph& graph, Value v) {
  for (const Node* node = graph.producer(v); node != nullptr && node->op == Op::Reshape; node = graph.producer(v))
    v = node->operands[0];
  return v;
}

/// Results that share their memory with one another get a copy of their own; in a region also those that are parameters
/// or constants.
void separate_results(ir::Graph& graph, bool region) {
  std::set<Value> seen;
  for (Value& result : graph.results) {
    const Value owner = owner_of(graph, result);
    const Node* node = graph.producer(owner);
    const bool outside = node == nullptr || node->op == Op::Constant;
    if (outside ? region : !seen.insert(owner).second) result = graph.add1(Op::OptimizationBarrier, {result});
  }
}

Program lower_graph(const ir::Graph& traced, const Target& target, const CompileOptions& options,
                    const Carried* carried, Dump& dump) {
  ir::Graph graph = simplify(improve_loops(simplify(traced)));
  if (target.prepare != nullptr) graph = simplify(target.prepare(graph));
  if (options.precision == Precision::BFloat16) graph = simplify(lower_precision(graph, target));
  graph = split_reductions(graph, target);
  graph = separate_updates(graph, carried != nullptr ? *carried : Carried());
  separate_results(graph, carried != nullptr);
  if (dump.active()) dump.write("simplified", ir::to_string(graph, true));
  const Fusion fusion = fuse(graph, target);
  if (dump.active()) dump.write("fused", to_string(fusion));

  Program program;
  program.name = graph.name;
  program.inputs = static_cast<std::int32_t>(graph.parameters.size());
  program.outputs = static_cast<std::int32_t>(graph.results.size());
  std::vector<std::int32_t> buffer_of(graph.values.size(), -1);
  Values updated_from(graph.values.size(), -1);  // what an update in place changes lives where its result does
  Values updated_to(graph.values.size(), -1);
  for (const Node& node : graph.nodes)
    if (updates_in_place(node))
      for (std::size_t i = 0; i < node.results.size(); ++i) {
        updated_from[static_cast<std::size_t>(node.results[i])] = node.operands[i];
        updated_to[static_cast<std::size_t>(node.operands[i])] = node.results[i];
      }
  const auto add_buffer = [&](Value v, Buffer::Kind kind, std::int32_t index) {
    if (buffer_of[static_cast<std::size_t>(v)] >= 0) return;
    const auto made = static_cast<std::int32_t>(program.buffers.size());
    program.buffers.push_back({kind, graph.type(v), index, 0, -1, describe(graph, v)});
    for (Value w = v; w >= 0; w = updated_from[static_cast<std::size_t>(w)]) {
      buffer_of[static_cast<std::size_t>(w)] = made;
      // What a loop carries and updates lies in one place.
      const auto parameter = std::find(graph.parameters.begin(), graph.parameters.end(), w);
      if (w != v && parameter != graph.parameters.end())
        program.buffers.back().donated_from = static_cast<std::int32_t>(parameter - graph.parameters.begin());
    }
  };
  for (std::size_t i = 0; i < graph.parameters.size(); ++i)
    add_buffer(graph.parameters[i], Buffer::Kind::Input, static_cast<std::int32_t>(i));
  const auto add_constant = [&](Value v) {
    if (buffer_of[static_cast<std::size_t>(v)] >= 0) return;
    add_buffer(v, Buffer::Kind::Constant, static_cast<std::int32_t>(program.constants.size()));
    program.constants.push_back(graph.producer(v)->attributes.literal("value"));
  };
  for (std::size_t o = 0; o < graph.results.size(); ++o) {
    const auto output = static_cast<std::int32_t>(o);
    const Value owner = fusion.storage_of(graph.results[o]);
    const Node* node = graph.producer(owner);
    if (node == nullptr) {
      const auto at = std::find(graph.parameters.begin(), graph.parameters.end(), owner) - graph.parameters.begin();
      program.aliases.push_back({output, static_cast<std::int32_t>(at), -1});
    } else if (node->op == Op::Constant) {
      add_constant(owner);
      program.aliases.push_back(
          {output, -1, program.buffers[static_cast<std::size_t>(buffer_of[static_cast<std::size_t>(owner)])].index});
    } else {
      add_buffer(owner, Buffer::Kind::Output, output);
    }
  }
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const auto v = static_cast<Value>(i);
    if (!fusion.stored[i] || fusion.storage_of(v) != v) continue;
    if (updated_to[i] >= 0) continue;
    const Node* node = graph.producer(v);
    if (node != nullptr && node->op == Op::Constant)
      add_constant(v);
    else
      add_buffer(v, Buffer::Kind::Temporary, 0);
  }
  for (const Group& clusters : group(fusion, target)) {
    Step step = schedule(fusion, clusters, target, buffer_of);
    if (!step.inner.programs.empty()) {
      step.buffers.push_back(static_cast<std::int32_t>(program.buffers.size()));
      const TensorType bytes{DType::U8, {static_cast<std::int64_t>(step.inner.bytes)}};
      program.buffers.push_back(
          {Buffer::Kind::Temporary, bytes, 0, 0, -1, "memory inside " + std::string(ir::name(step.library.node.op))});
    }
    for (const std::int32_t b : std::set<std::int32_t>(step.buffers.begin(), step.buffers.end()))
      step.bytes += static_cast<double>(byte_size(program.buffers[static_cast<std::size_t>(b)].type));
    program.steps.push_back(std::move(step));
  }
  plan_memory(program, options.donated, carried);
  return program;
}

}  // namespace

Program lower_region(const ir::Graph& region, const Target& target, const Carried& carried) {
  CompileOptions options;
  options.precision = target.precision;
  options.donated.assign(region.parameters.size(), false);
  for (const std::int32_t parameter : carried)
    if (parameter >= 0) options.donated[static_cast<std::size_t>(parameter)] = true;
  Dump dump(region.name);
  return lower_graph(region, target, options, &carried, dump);
}

Program lower(const ir::Graph& traced, const Target& target, const CompileOptions& options) {
  Dump dump(traced.name);
  if (dump.active()) dump.write("trace", ir::to_string(traced, true));
  Program program = lower_graph(traced, target, options, nullptr, dump);
  if (dump.active()) {
    std::string kernels, sources;
    std::vector<const kernel::Kernel*> of_gpu;
    std::vector<std::string> names;
    each_step(program, [&](const Step& step) {
      if (step.kind != Step::Kind::Kernel) return;
      kernels += kernel::to_string(step.kernel) + "\n";
      sources += kernel::render_c(step.kernel) + "\n";
      if (step.kernel.threads() == 0) return;
      names.push_back(step.kernel.name + "_" + std::to_string(of_gpu.size()));
      of_gpu.push_back(&step.kernel);
    });
    dump.write("kernels", kernels);
    dump.write("kernels.c", sources);
    if (!of_gpu.empty()) dump.write("kernels.cu", kernel::render_cuda(of_gpu, names));
    dump.write("plan", to_string(program));
  }
  return program;
}

}  // namespace tessera::pass
