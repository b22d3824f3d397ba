// Programs for a GPU on the host: kernels as C, blocks and threads one after the other; or as CUDA C++, threads as
// fibers. And several cases of the case table as one program.
#pragma once

#include <map>

#include "cases.hpp"
#include "cuda_on_host.hpp"
#include "programs.hpp"
#include "tessera/backend/cpu/ccompiler.hpp"

namespace tessera::testing {

inline pass::Target gpu_target() {
  pass::Target target;
  target.name = "cuda";
  target.multiprocessors = 132;
  return target;
}

/// The kernels of a program, those inside loops and branches too, verified; and which of them each is.
struct Kernels {
  std::vector<const kernel::Kernel*> list;
  std::map<const kernel::Kernel*, std::size_t> place;
};
inline Kernels verified_kernels(const Program& program) {
  Kernels kernels;
  pass::each_step(program, [&](const Step& step) {
    if (step.kind != Step::Kind::Kernel) return;
    kernel::verify(step.kernel);
    kernels.place[&step.kernel] = kernels.list.size();
    kernels.list.push_back(&step.kernel);
  });
  return kernels;
}

/// The program must outlive what is returned, and stay where it is.
inline RunKernel as_c(const Program& program) {
  const Kernels kernels = verified_kernels(program);
  return [place = kernels.place, functions = cpu::compile_by_c(kernels.list)](const Program& p, std::size_t s,
                                                                              std::span<void* const> arguments) {
    const kernel::Kernel& kernel = p.steps[s].kernel;
    functions[place.at(&kernel)].run(arguments.data(), 0, kernel.parallel_extent());
  };
}

/// The same; the seed decides on the order of threads.
inline RunKernel as_cuda(const Program& program, unsigned seed) {
  const Kernels kernels = verified_kernels(program);
  return [seed, place = kernels.place, code = std::make_shared<CudaOnHost>(kernels.list)](
             const Program& p, std::size_t s, std::span<void* const> arguments) {
    code->run(place.at(&p.steps[s].kernel), arguments.data(), seed);
  };
}

/// One program of several cases.
struct CaseGroup {
  Graph graph;
  std::vector<Literal> arguments;
  std::vector<std::size_t> first_result;  ///< of each case, and the end
};
inline CaseGroup combine_cases(std::span<const cases::Case> items, std::uint64_t seed) {
  CaseGroup group;
  for (const cases::Case& item : items) {
    const ir::GraphPtr one = cases::graph_of(item);
    Values parameters;
    for (const TensorType& type : one->parameter_types()) parameters.push_back(group.graph.parameter(type));
    const std::vector<Literal> own = cases::arguments_of(item, *one, seed);
    group.arguments.insert(group.arguments.end(), own.begin(), own.end());
    group.first_result.push_back(group.graph.results.size());
    const Values results = group.graph.inline_graph(*one, parameters);
    group.graph.results.insert(group.graph.results.end(), results.begin(), results.end());
  }
  group.first_result.push_back(group.graph.results.size());
  return group;
}

/// Runs the cases as one program; expects what the interpreter gives.
inline void expect_cases(std::span<const cases::Case> items, std::uint64_t seed,
                         const std::function<RunKernel(const Program&)>& how) {
  SCOPED_TRACE("cases from " + items.front().name + " to " + items.back().name + ", seed " + std::to_string(seed));
  try {
    const CaseGroup group = combine_cases(items, seed);
    const Program program = pass::lower(group.graph, gpu_target(), {});
    pass::verify(program);
    const std::vector<Literal> expected = ir::interpret(group.graph, group.arguments);
    const std::vector<Literal> got = run(program, group.arguments, how(program));
    for (std::size_t c = 0; c < items.size(); ++c)
      for (std::size_t r = group.first_result[c]; r < group.first_result[c + 1]; ++r)
        EXPECT_EQ(cases::difference(Literal(expected[r].type(), got[r].storage()), expected[r], items[c].slack), "")
            << items[c].name << ", result " << r - group.first_result[c];
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
}

}  // namespace tessera::testing
