// A copy of the graph is the executable.
#include "tessera/backend/reference/reference.hpp"

#include "tessera/ir/primitive.hpp"

namespace tessera {
namespace {

class ReferenceExecutable final : public Executable {
 public:
  explicit ReferenceExecutable(const ir::Graph& graph) : graph_(graph) {}

  std::vector<StoragePtr> run(std::span<const StoragePtr> inputs) override {
    if (inputs.size() != graph_.parameters.size())
      throw Error(ErrorKind::Usage, "the program " + graph_.name + " takes " +
                                        std::to_string(graph_.parameters.size()) + " inputs and was given " +
                                        std::to_string(inputs.size()));
    std::vector<Literal> arguments;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const TensorType& type = graph_.type(graph_.parameters[i]);
      if (inputs[i] == nullptr || inputs[i]->bytes() < byte_size(type))
        throw Error(ErrorKind::Usage, "input " + std::to_string(i) + " of the program " + graph_.name +
                                          " is smaller than " + to_string(type));
      arguments.emplace_back(type, inputs[i]);
    }
    std::vector<StoragePtr> results;
    for (const Literal& result : ir::interpret(graph_, arguments)) results.push_back(result.storage());
    return results;
  }
  [[nodiscard]] std::string describe() const override { return "interpreted, node by node:\n" + ir::to_string(graph_); }

 private:
  ir::Graph graph_;
};

class ReferenceBackend final : public Backend {
 public:
  [[nodiscard]] std::string name() const override { return "reference"; }
  [[nodiscard]] std::string describe() const override {
    return "the reference interpreter: one thread, slow, the oracle of the others";
  }
  std::unique_ptr<Executable> compile(const ir::Graph& graph, const CompileOptions&) override {
    return std::make_unique<ReferenceExecutable>(graph);
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace tessera
