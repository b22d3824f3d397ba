// What the renderers of plain C and of CUDA C++ share: expressions, names, blocks of statements. No public interface.
// Each renderer derives from CText and says how its language loops, reaches locals, and computes what it can do better.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tessera/kernel/accesses.hpp"
#include "tessera/kernel/kernel.hpp"

namespace tessera::kernel {

/// "int8_t", "float"; of halves their bits. In memory Bool is a byte.
std::string c_type(DType d);
std::string memory_type(DType d);
/// The comment before a kernel: its name and what it says of itself.
std::string c_comment(const Kernel& kernel, const std::string& name);

class CText {
 public:
  virtual ~CText() = default;
  CText(const CText&) = delete;
  CText& operator=(const CText&) = delete;

 protected:
  /// Helper functions that are used go to `helpers`, by name.
  CText(const Kernel& kernel, std::map<std::string, std::string>& helpers);

  // --- What the languages differ in.

  virtual void loop(const Statement& s) = 0;
  virtual void combine(const Statement& s) = 0;
  virtual void store(const Statement& s);
  virtual std::string local(std::int32_t l, Expr index) = 0;
  /// Before the definition of a helper.
  [[nodiscard]] virtual std::string helper_prefix() const = 0;
  /// The definition of a helper in this language's own way, or nullptr.
  [[nodiscard]] virtual const char* own_helper(const std::string& /*name*/) const { return nullptr; }
  /// The text of an expression that this language computes in its own way, or "".
  virtual std::string own_text(Expr /*e*/) { return ""; }
  /// The type of a named value.
  virtual std::string value_type(Expr e) { return c_type(k_.nodes[static_cast<std::size_t>(e)].dtype); }

  // --- Text.

  void line(const std::string& text) { body_ += indent_ + text + "\n"; }
  void indent() { indent_ += "  "; }
  void outdent() { indent_.resize(indent_.size() - 2); }
  /// A name like the one wanted that nothing has.
  std::string unique(const std::string& wanted);
  /// n0, n1, ..
  std::string fresh(const std::string& kind);
  /// Without the outermost parentheses.
  static std::string strip(const std::string& text);

  // --- Statements.

  /// Values that are used twice get names, which end with the block.
  void block(const std::vector<Statement>& body);

  // --- Expressions. Every text can stand as an operand.

  std::string text(Expr e);
  /// Of operands of any value.
  std::string binary(Op op, DType operands, const std::string& a, const std::string& b);
  static std::string infix(Op op, const std::string& a, const std::string& b);
  std::string element(const std::string& buffer, Expr index) { return buffer + "[" + strip(text(index)) + "]"; }
  std::string call(const std::string& name, const std::string& definition, const std::string& arguments);
  [[nodiscard]] const Node& node(Expr e) const { return k_.nodes[static_cast<std::size_t>(e)]; }

  const Kernel& k_;
  Ranges ranges_;
  std::vector<std::string> arguments_, locals_, variables_;  // their names
  std::vector<std::string> names_;                           // of values that the open blocks hold
  std::string body_;
  std::string indent_ = "  ";
  std::int32_t vector_ = kNone;  // the variable of the open vector loop

 private:
  struct Scope {
    std::vector<int> uses;
    std::vector<Expr> named;
  };
  /// Counts the uses of values in a block; `again`: one that uses this was counted for an earlier statement.
  void count(Expr e, const Statement& by, bool again, Scope& scope, std::vector<const Statement*>& counted);
  void name_shared(Expr e, Scope& scope);
  void forget(Scope& scope, bool only_impure);
  std::string unary(const Node& n, const std::string& a);
  std::string float_binary(Op op, DType d, const std::string& a, const std::string& b);
  std::string integer_binary(Op op, DType d, const std::string& a, const std::string& b);
  std::string convert(DType to, DType from, const std::string& a);
  std::string widen_half(DType from, const std::string& a);
  std::string bitcast(DType to, DType from, const std::string& a);

  std::vector<bool> impure_;
  std::set<std::string> taken_;
  std::map<std::string, std::string>& helpers_;
  int next_name_ = 0;
};

}  // namespace tessera::kernel
