// From LLVM IR to functions: a light pipeline, code generation in several threads, the cache, and ORC to link.
// One ORC session lives as long as the process; each call of compile_by_llvm has a library in it, which goes when the
// last of its functions does.
#ifdef TESSERA_HAVE_LLVM
#include <llvm/ExecutionEngine/JITSymbol.h>
#include <llvm/ExecutionEngine/Orc/Core.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "tessera/backend/cpu/isa.hpp"
#include "tessera/backend/cpu/llvm.hpp"
#include "tessera/backend/cpu/llvm_emit.hpp"
#include "tessera/backend/kernel_cache.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cpu {
namespace {

/// Part of every cache key: to be raised whenever the code that a kernel becomes may change.
constexpr const char* kCacheVersion = "5";

struct Host {
  std::string cpu;
  std::string features;
};

/// What lies above the instruction set in use is switched off.
bool allowed(llvm::StringRef feature) {
  if (isa() < Isa::Avx512 && (feature.starts_with("avx512") || feature.starts_with("avx10"))) return false;
  static constexpr const char* kAboveSse2[] = {"avx",  "avx2",       "fma",  "fma4",    "f16c",   "xop",
                                               "vaes", "vpclmulqdq", "gfni", "avxvnni", "avxifma"};
  return isa() >= Isa::Avx2 ||
         std::none_of(std::begin(kAboveSse2), std::end(kAboveSse2), [&](const char* f) { return feature == f; });
}

const Host& host() {
  static const Host host = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    Host h;
    h.cpu = llvm::sys::getHostCPUName().str();
    std::vector<std::string> features;
    for (const auto& [name, present] : llvm::sys::getHostCPUFeatures())
      features.push_back((present && allowed(name) ? "+" : "-") + name.str());
    std::sort(features.begin(), features.end());
    for (const std::string& f : features) h.features += (h.features.empty() ? "" : ",") + f;
    return h;
  }();
  return host;
}

template <class T>
T check(llvm::Expected<T> value) {
  if (!value) throw Error("LLVM: " + llvm::toString(value.takeError()));
  return std::forward<T>(*value);
}
void check(llvm::Error error) {
  if (error) throw Error("LLVM: " + llvm::toString(std::move(error)));
}

/// Turns kernels into object code; one for each thread.
class Compiler {
 public:
  Compiler() {
    const Host& h = host();
    const std::string triple = llvm::sys::getDefaultTargetTriple();
    std::string message;
    const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, message);
    if (target == nullptr)
      throw Error(ErrorKind::Unsupported, "LLVM cannot generate code for " + triple + ": " + message);
    llvm::TargetOptions options;
    options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
    machine_.reset(target->createTargetMachine(triple, h.cpu, h.features, options, llvm::Reloc::PIC_,
                                               llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default, true));
    llvm::PassBuilder builder(machine_.get());
    builder.registerModuleAnalyses(modules_);
    builder.registerCGSCCAnalyses(sccs_);
    builder.registerFunctionAnalyses(functions_);
    builder.registerLoopAnalyses(loops_);
    builder.crossRegisterProxies(loops_, functions_, sccs_, modules_);
    llvm::FunctionPassManager passes;
    passes.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
    passes.addPass(llvm::SimplifyCFGPass());
    passes.addPass(llvm::EarlyCSEPass());
    passes.addPass(llvm::InstCombinePass());
    passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), true));
    passes.addPass(llvm::SimplifyCFGPass());
    pipeline_.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(passes)));
  }

  /// The optimised module.
  std::unique_ptr<llvm::Module> module(const kernel::Kernel& kernel, const std::string& name,
                                       llvm::LLVMContext& context) {
    auto module = std::make_unique<llvm::Module>(name, context);
    module->setDataLayout(machine_->createDataLayout());
    module->setTargetTriple(machine_->getTargetTriple().str());
    emit_llvm(kernel, name, *module);
    llvm::Function& function = *module->getFunction(name);
    if (isa() >= Isa::Avx512) {
      function.addFnAttr("prefer-vector-width", "512");
      function.addFnAttr("min-legal-vector-width", "512");
    }
    function.addFnAttr("no-builtins");
    pipeline_.run(*module, modules_);
    loops_.clear();
    functions_.clear();
    sccs_.clear();
    modules_.clear();
    return module;
  }

  std::string object(const kernel::Kernel& kernel, const std::string& name) {
    llvm::LLVMContext context;
    const std::unique_ptr<llvm::Module> m = module(kernel, name, context);
    llvm::SmallVector<char, 0> bytes;
    llvm::raw_svector_ostream stream(bytes);
    llvm::legacy::PassManager generator;
    if (machine_->addPassesToEmitFile(generator, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
      throw Error("LLVM cannot write object code");
    generator.run(*m);
    return {bytes.data(), bytes.size()};
  }

 private:
  std::unique_ptr<llvm::TargetMachine> machine_;
  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager sccs_;
  llvm::ModuleAnalysisManager modules_;
  llvm::ModulePassManager pipeline_;
};

/// The process's linker, and the functions that are alive.
class Session {
 public:
  static Session& get() {
    static auto* session = new Session;  // never destroyed: functions may outlive every static object
    return *session;
  }

  /// Links objects, each defining `tessera_<hash>`, and returns the addresses in their order.
  std::vector<KernelFunction> link(const std::vector<std::string>& hashes, const std::vector<std::string>& objects) {
    llvm::orc::ExecutionSession& session = jit_->getExecutionSession();
    llvm::orc::JITDylib& library = session.createBareJITDylib("kernels" + std::to_string(count_++));
    library.addToLinkOrder(*libm_);
    const std::shared_ptr<const void> code(&library, [&session](const void* l) {
      llvm::consumeError(session.removeJITDylib(*static_cast<llvm::orc::JITDylib*>(const_cast<void*>(l))));
    });
    for (std::size_t i = 0; i < objects.size(); ++i)
      check(jit_->addObjectFile(library, llvm::MemoryBuffer::getMemBufferCopy(objects[i], hashes[i])));
    std::vector<KernelFunction> functions;
    for (const std::string& hash : hashes)
      functions.push_back({check(jit_->lookup(library, "tessera_" + hash)).toPtr<KernelPointer>(), code});
    return functions;
  }

 private:
  Session() {
    host();
    jit_ = check(llvm::orc::LLJITBuilder().create());
    libm_ = &jit_->getExecutionSession().createBareJITDylib("libm");
    llvm::orc::SymbolMap symbols;
    const auto add = [&](const char* name, auto* function) {
      symbols[jit_->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                              llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
    };
    using Unary = double (*)(double);
    using Binary = double (*)(double, double);
    for (const auto& [name, f] : std::initializer_list<std::pair<const char*, Unary>>{{"exp", std::exp},
                                                                                      {"expm1", std::expm1},
                                                                                      {"log", std::log},
                                                                                      {"log1p", std::log1p},
                                                                                      {"sin", std::sin},
                                                                                      {"cos", std::cos},
                                                                                      {"tan", std::tan},
                                                                                      {"tanh", std::tanh},
                                                                                      {"atan", std::atan},
                                                                                      {"erf", std::erf},
                                                                                      {"cbrt", std::cbrt},
                                                                                      {"floor", std::floor},
                                                                                      {"ceil", std::ceil},
                                                                                      {"roundeven", ::roundeven}})
      add(name, f);
    for (const auto& [name, f] : std::initializer_list<std::pair<const char*, Binary>>{
             {"pow", std::pow}, {"atan2", std::atan2}, {"fmod", std::fmod}})
      add(name, f);
    add("fmodf", static_cast<float (*)(float, float)>(std::fmod));
    add("fma", static_cast<double (*)(double, double, double)>(std::fma));
    add("fmaf", static_cast<float (*)(float, float, float)>(std::fma));
    add("floorf", static_cast<float (*)(float)>(std::floor));
    add("ceilf", static_cast<float (*)(float)>(std::ceil));
    add("roundevenf", static_cast<float (*)(float)>(::roundevenf));
    add("memcpy", std::memcpy);
    add("memset", std::memset);
    add("memmove", std::memmove);
    check(libm_->define(llvm::orc::absoluteSymbols(std::move(symbols))));
  }

  std::unique_ptr<llvm::orc::LLJIT> jit_;
  llvm::orc::JITDylib* libm_ = nullptr;
  std::atomic<int> count_ = 0;
};

/// Object code of kernels `missing` (indices), by as many threads as are useful.
void compile_objects(std::span<const kernel::Kernel* const> kernels, const std::vector<std::string>& hashes,
                     const std::vector<std::size_t>& missing, std::vector<std::string>& objects) {
  std::atomic<std::size_t> next = 0;
  std::exception_ptr failure;
  std::mutex failing;
  const auto work = [&] {
    try {
      Compiler compiler;
      for (std::size_t i = next++; i < missing.size(); i = next++)
        objects[missing[i]] = compiler.object(*kernels[missing[i]], "tessera_" + hashes[missing[i]]);
    } catch (...) {
      const std::lock_guard lock(failing);
      failure = std::current_exception();
    }
  };
  const std::size_t threads =
      std::min<std::size_t>({missing.size(), std::max(1U, std::thread::hardware_concurrency()), 16});
  std::vector<std::thread> others;
  for (std::size_t t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::vector<KernelFunction> compile_by_llvm(std::span<const kernel::Kernel* const> kernels) {
  const std::string target =
      "tessera " + std::string(kCacheVersion) + " LLVM " LLVM_VERSION_STRING " " + llvm_host() + "\n";
  std::vector<KernelFunction> result(kernels.size());
  // Equal kernels once; those that live in this process already are shared.
  static std::mutex alive_lock;
  static std::unordered_map<std::string, std::pair<KernelPointer, std::weak_ptr<const void>>> alive;
  std::vector<std::string> hashes;
  std::vector<const kernel::Kernel*> wanted;
  std::vector<std::size_t> slot(kernels.size());
  std::unordered_map<std::string, std::size_t> seen;
  {
    const std::lock_guard lock(alive_lock);
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      std::string hash = hash_text(target + kernels[i]->key());
      if (const auto found = alive.find(hash); found != alive.end()) {
        if (auto code = found->second.second.lock()) {
          result[i] = {found->second.first, std::move(code)};
          continue;
        }
        alive.erase(found);
      }
      const auto [place, fresh] = seen.try_emplace(hash, wanted.size());
      slot[i] = place->second;
      if (fresh) {
        wanted.push_back(kernels[i]);
        hashes.push_back(std::move(hash));
      }
    }
  }
  if (wanted.empty()) return result;

  const KernelCache cache;
  std::vector<std::string> objects(wanted.size());
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (const auto bytes = cache.load(hashes[i]))
      objects[i].assign(bytes->begin(), bytes->end());
    else
      missing.push_back(i);
  }
  if (!missing.empty()) {
    host();
    compile_objects(wanted, hashes, missing, objects);
    for (const std::size_t i : missing) cache.save(hashes[i], objects[i]);
  }
  const std::vector<KernelFunction> linked = Session::get().link(hashes, objects);
  const std::lock_guard lock(alive_lock);
  for (std::size_t i = 0; i < wanted.size(); ++i) alive[hashes[i]] = {linked[i].run, linked[i].code};
  for (std::size_t i = 0; i < kernels.size(); ++i)
    if (result[i].run == nullptr) result[i] = linked[slot[i]];
  return result;
}

std::string llvm_text(const kernel::Kernel& kernel) {
  host();
  Compiler compiler;
  llvm::LLVMContext context;
  std::string text;
  llvm::raw_string_ostream stream(text);
  compiler.module(kernel, kernel.name, context)->print(stream, nullptr);
  return text;
}

std::string llvm_host() { return host().cpu + " " + host().features; }

}  // namespace tessera::cpu
#endif
