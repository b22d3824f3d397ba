// The products and convolutions of the case table and of its gradients, one at a time, for tests of a GPU's libraries.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "cases.hpp"
#include "tessera/backend/cuda/call.hpp"
#include "tessera/ir/primitive.hpp"
#include "tessera/pass/program.hpp"
#include "tessera/transform/transform.hpp"

namespace tessera {

/// A node as a library step, with the name of the case that it is from.
struct NamedCall {
  std::string name;
  pass::LibraryCall call;
};

/// Those of operation `op`, in the cases as they are and in their reverse derivatives.
inline std::vector<NamedCall> calls_of_cases(ir::Op op) {
  std::vector<NamedCall> list;
  for (const cases::Case& item : cases::product_cases()) {
    const auto collect = [&](const ir::Graph& graph, const std::string& what) {
      for (const ir::Node& node : graph.nodes)
        if (node.op == op)
          list.push_back({item.name + what, {node, graph.types(node.operands), graph.type(node.results[0]), {}}});
    };
    const ir::GraphPtr graph = cases::graph_of(item);
    collect(*graph, "");
    const auto all_float = [](const std::vector<TensorType>& types) {
      return std::all_of(types.begin(), types.end(), [](const TensorType& t) { return is_float(t.dtype); });
    };
    if (all_float(graph->parameter_types()) && all_float(graph->result_types()))
      collect(*transform::vjp(*graph, {true, true}, {true}), ", gradient");
  }
  return list;
}

/// Random operands, then the addends of the epilogue.
inline std::vector<Literal> random_arguments(const pass::LibraryCall& call, std::uint64_t seed) {
  using Kind = pass::LibraryCall::Epilogue::Kind;
  std::vector<TensorType> types = call.operand_types;
  for (const auto& e : call.epilogue) {
    if (e.kind == Kind::AddBias) types.push_back({call.result_type.dtype, {call.result_type.shape.back()}});
    if (e.kind == Kind::AddTensor) types.push_back(call.result_type);
  }
  std::vector<Literal> list;
  for (const TensorType& type : types) list.push_back(cases::random_literal(type, {-2, 2}, seed++));
  return list;
}

/// What the interpreter makes of the node, and the epilogue on that.
inline Literal expected(const pass::LibraryCall& call, const std::vector<Literal>& arguments) {
  using Kind = pass::LibraryCall::Epilogue::Kind;
  Literal result = ir::primitive(call.node.op).evaluate(call.node, std::span(arguments).first(2))[0];
  std::size_t addend = 2;
  const std::int64_t last = call.result_type.shape.empty() ? 1 : call.result_type.shape.back();
  for (const auto& e : call.epilogue) {
    for (std::int64_t i = 0; i < result.size(); ++i) {
      const double x = result.get_double(i);
      if (e.kind == Kind::Relu)
        result.set_double(i, x <= 0 ? 0.0 : x);
      else
        result.set_double(i, x + arguments[addend].get_double(e.kind == Kind::AddBias ? i % last : i));
    }
    if (e.kind != Kind::Relu) ++addend;
  }
  return result;
}

/// Runs a prepared call of a stand-in for the library, in host memory.
inline Literal run(cuda::Call& call, const TensorType& result, const std::vector<Literal>& arguments) {
  const auto address = [](void* data) { return reinterpret_cast<cuda::DevicePointer>(data); };
  Literal out(result);
  for (std::int64_t i = 0; i < out.size(); ++i) out.set_double(i, std::numeric_limits<double>::quiet_NaN());
  std::vector<cuda::DevicePointer> addresses;
  for (const Literal& argument : arguments) addresses.push_back(address(argument.data()));
  addresses.push_back(address(out.data()));
  std::vector<std::byte> scratch(call.scratch_bytes() + 1);
  call.run(addresses, address(scratch.data()), nullptr);
  return out;
}

}  // namespace tessera
