// A kernel as plain C11: to read, to debug, and the oracle of the other renderers.
// In: any valid kernel; out: a translation unit with one function. Loops become loops, one iteration after the other.
// The threads of a GPU's block run one after the other through each threads loop; what they keep from one to the next
// has a copy for each thread. Compiled by backend/cpu/ccompiler.cpp. Read next: kernel/c_text.cpp.
#include <fmt/format.h>

#include "tessera/kernel/c_text.hpp"

namespace tessera::kernel {
namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

class Renderer final : public CText {
 public:
  explicit Renderer(const Kernel& kernel)
      : CText(kernel, helpers_), kept_(kept_locals(kernel)), threads_(kernel.threads()) {
    if (threads_ == 0) kept_.assign(kernel.locals.size(), false);
  }

  std::string run() {
    for (std::size_t i = 0; i < k_.arguments.size(); ++i) {
      const Argument& a = k_.arguments[i];
      const std::string type = (a.written ? "" : "const ") + memory_type(a.dtype);
      line(fmt::format("{}* {} = arguments[{}];  // {}[{}]", type, arguments_[i], i, tessera::name(a.dtype), a.count));
    }
    const bool looped = !k_.body.empty() && k_.body[0].kind == Statement::Kind::Loop;
    if (looped && (k_.body[0].loop == LoopKind::Parallel || k_.body[0].loop == LoopKind::Grid)) {
      const std::string& v = variables_[at(k_.body[0].index)];
      line(fmt::format("for (int64_t {0} = begin; {0} < end; ++{0}) {{  // {1}, {2}", v,
                       k_.body[0].loop == LoopKind::Grid ? "grid" : "parallel",
                       k_.variables[at(k_.body[0].index)].extent));
      indent();
      declare_locals();
      block(k_.body[0].body);
      outdent();
      line("}");
    } else {
      line("(void)begin, (void)end;");
      declare_locals();
      block(k_.body);
    }
    std::string out = c_comment(k_, k_.name);
    out += "#include <math.h>\n#include <stdbool.h>\n#include <stdint.h>\n#include <string.h>\n\n";
    for (const auto& [name, text] : helpers_) out += text + "\n";
    return out + (helpers_.empty() ? "" : "\n") + "void " + k_.name +
           "(void* const* arguments, int64_t begin, int64_t end) {\n" + body_ + "}\n";
  }

 private:
  [[nodiscard]] std::string helper_prefix() const override { return "static inline "; }

  /// In a GPU's kernel: the shared ones, and the kept ones of all threads.
  void declare_locals() {
    for (std::size_t i = 0; i < k_.locals.size(); ++i)
      if (threads_ == 0 || k_.locals[i].shared || kept_[i]) declare_local(i);
  }
  void declare_local(std::size_t i) {
    const Local& l = k_.locals[i];
    const std::string copies = kept_[i] ? fmt::format("[{}]", threads_) : "";
    const std::string elements = l.count == 1 ? "" : fmt::format("[{}]", l.count);
    line(fmt::format("{} {}{}{};{}", c_type(l.dtype), locals_[i], copies, elements, l.shared ? "  // shared" : ""));
  }

  std::string local(std::int32_t l, Expr index) override {
    std::string name = locals_[at(l)];
    if (kept_[at(l)]) name += "[" + variables_[at(thread_)] + "]";
    return k_.locals[at(l)].count == 1 ? name : element(name, index);
  }

  void loop(const Statement& s) override {
    const std::string& v = variables_[at(s.index)];
    const char* comment = s.loop == LoopKind::Vector    ? "  // vector"
                          : s.loop == LoopKind::Threads ? "  // threads"
                                                        : "";
    line(fmt::format("for (int64_t {0} = 0; {0} < {1}; ++{0}) {{{2}", v, k_.variables[at(s.index)].extent, comment));
    indent();
    const std::int32_t outer = vector_;
    if (s.loop == LoopKind::Vector) vector_ = s.index;
    if (s.loop == LoopKind::Threads) {
      thread_ = s.index;
      const Accesses inside = accesses(k_, s);
      for (std::size_t i = 0; i < k_.locals.size(); ++i)
        if (!k_.locals[i].shared && !kept_[i] && inside.touches(static_cast<std::int32_t>(i))) declare_local(i);
    }
    block(s.body);
    vector_ = outer;
    outdent();
    line("}");
  }

  void combine(const Statement& s) override {
    const Local& l = k_.locals[at(s.index)];
    const std::string first = l.count == 1 ? "" : "[0]";
    const std::string& x = locals_[at(s.index)];
    line(fmt::format("for (int64_t step = {0}; step < {1}; step *= 2) {{  // combine {0}, {2}", s.stride,
                     s.stride * s.width, name(s.monoid)));
    line(fmt::format("  {} next[{}];", c_type(l.dtype), threads_));
    line(fmt::format(
        "  for (int64_t t = 0; t < {}; ++t) next[t] = {};", threads_,
        strip(binary(s.monoid, l.dtype, fmt::format("{}[t]{}", x, first), fmt::format("{}[t ^ step]{}", x, first)))));
    line(fmt::format("  for (int64_t t = 0; t < {}; ++t) {}[t]{} = next[t];", threads_, x, first));
    line("}");
  }

  std::map<std::string, std::string> helpers_;
  std::vector<bool> kept_;  // private locals with a copy for each thread
  std::int64_t threads_;
  std::int32_t thread_ = kNone;
};

}  // namespace

std::string render_c(const Kernel& kernel) { return Renderer(kernel).run(); }

}  // namespace tessera::kernel
