// The whole case table as CUDA C++: the kernels of its programs run on the host, threads as fibers, and give what the
// interpreter gives; NVRTC makes machine code of them for each architecture, with few spills.
#include <gtest/gtest.h>

#include "cuda_on_host.hpp"
#include "gpu_programs.hpp"
#include "tessera/backend/cuda/driver.hpp"

namespace tessera {
namespace {

using namespace testing;

constexpr std::uint64_t kSeed = 4;
constexpr std::size_t kTogether = 64;

std::vector<const kernel::Kernel*> kernels_of(const Program& program) {
  std::vector<const kernel::Kernel*> kernels;
  pass::each_step(program, [&](const Step& step) {
    if (step.kind == Step::Kind::Kernel) kernels.push_back(&step.kernel);
  });
  return kernels;
}

std::span<const cases::Case> group(std::size_t start) {
  const std::vector<cases::Case>& all = cases::all();
  return {all.data() + start, std::min(kTogether, all.size() - start)};
}

std::size_t count(std::string_view text, std::string_view words) {
  std::size_t found = 0;
  for (std::size_t at = text.find(words); at != std::string_view::npos; at = text.find(words, at + 1)) ++found;
  return found;
}

TEST(GpuCuda, CasesRunOnTheHostAsTheInterpreterSays) {
  for (std::size_t start = 0; start < cases::all().size(); start += kTogether) {
    const std::span<const cases::Case> items = group(start);
    const CaseGroup together = combine_cases(items, kSeed);
    const Program program = pass::lower(together.graph, gpu_target(), {});
    const std::vector<const kernel::Kernel*> kernels = kernels_of(program);
    const CudaOnHost cuda(kernels);
    const RunKernel run_cuda = [&](const Program& p, std::size_t s, std::span<void* const> arguments) {
      const auto place = std::find(kernels.begin(), kernels.end(), &p.steps[s].kernel) - kernels.begin();
      cuda.run(static_cast<std::size_t>(place), arguments.data(), static_cast<unsigned>(kSeed + s));
    };
    const std::vector<Literal> expected = ir::interpret(together.graph, together.arguments);
    const std::vector<Literal> got = run(program, together.arguments, run_cuda);
    for (std::size_t c = 0; c < items.size(); ++c)
      for (std::size_t r = together.first_result[c]; r < together.first_result[c + 1]; ++r)
        EXPECT_EQ(cases::difference(Literal(expected[r].type(), got[r].storage()), expected[r], items[c].slack), "")
            << items[c].name << ", result " << r - together.first_result[c];
  }
}

TEST(GpuCuda, CasesCompileForEveryArchitecture) {
  const cuda::Compiler* compiler = nullptr;
  try {
    compiler = &cuda::Compiler::machine(0);
  } catch (const Error& e) {
    GTEST_SKIP() << e.what();
  }
  for (std::size_t start = 0; start < cases::all().size(); start += kTogether) {
    const CaseGroup together = combine_cases(group(start), kSeed);
    const Program program = pass::lower(together.graph, gpu_target(), {});
    const std::vector<const kernel::Kernel*> kernels = kernels_of(program);
    std::vector<std::string> names;
    for (std::size_t n = 0; n < kernels.size(); ++n) names.push_back("kernel" + std::to_string(n));
    const std::string text = kernel::render_cuda(kernels, names);
    for (const int architecture : {80, 90, 120}) {
      std::string log;
      EXPECT_EQ(compiler->compile(text, architecture, &log).substr(1, 3), "ELF");
      EXPECT_EQ(count(log, " bytes spill stores"), count(log, " 0 bytes spill stores"))
          << "sm_" << architecture << ", cases from " << group(start)[0].name << "\n"
          << log;
    }
  }
}

}  // namespace
}  // namespace tessera
