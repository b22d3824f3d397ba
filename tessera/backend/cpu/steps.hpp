// The steps of a Program, ready to run: code, prepared library calls, and where each argument's pointer stands in a
// table. Loops and branches hold the steps of their programs, whose tables are parts of the same one.
// In: pass::Program and the code of its kernels. Used by backend/cpu/executable.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tessera/backend/cpu/call.hpp"
#include "tessera/backend/cpu/jit.hpp"
#include "tessera/pass/running.hpp"

namespace tessera::cpu {

class Steps {
 public:
  /// Of a loop's program: its first inputs are the same in all of its runs.
  struct Repeats {
    std::size_t constants = 0;
    std::int64_t runs = 1;
  };
  /// `code`: the functions of the kernels that are left, in the order of pass::each_step; those that are used are taken
  /// away. The program must stay where it is.
  Steps(const pass::Program& program, std::span<const KernelFunction>& code, int threads, Repeats repeats);

  [[nodiscard]] std::size_t table_size() const { return table_size_; }
  /// What the library's calls work in, together.
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  [[nodiscard]] std::size_t kept_bytes() const { return kept_bytes_; }
  [[nodiscard]] bool needs_team() const { return needs_team_; }
  [[nodiscard]] bool empty() const { return launches_.empty(); }
  /// How many measures a run fills in.
  [[nodiscard]] std::size_t measured() const { return measured_; }

  /// Writes the addresses that stay: of temporaries and constants.
  void place(void** table, std::byte* arena) const;
  void bind_input(void** table, std::size_t input, void* memory) const {
    for (const std::size_t slot : slots_.inputs[input]) table[slot] = memory;
  }
  void bind_output(void** table, std::size_t output, void* memory) const {
    for (const std::size_t slot : slots_.outputs[output]) table[slot] = memory;
  }
  /// Before the first run with the same constants, once these are bound.
  void prepare(void** table, const Workspace& work) const;
  /// `measures`: null, or where to add what each step took.
  void run(void** table, const Workspace& work, pass::Measure* measures) const;

  /// What is measured, in the order of the measures.
  void list(std::vector<pass::Entry>& entries) const;
  /// One line a step, for people.
  [[nodiscard]] std::string describe(const std::string& indent) const;

 private:
  struct Inside {
    std::unique_ptr<Steps> steps;
    std::size_t table = 0;    ///< where its part of the table begins
    std::size_t measure = 0;  ///< of its first step
    std::size_t kept = 0;     ///< where its part of the kept memory begins
  };
  struct Launch {
    const pass::Step* step = nullptr;
    KernelPointer function = nullptr;
    std::unique_ptr<Call> call;
    std::int64_t extent = 1;
    bool parallel = false;
    std::size_t first = 0;    ///< of its arguments in the table
    std::size_t measure = 0;  ///< of its measures
    std::size_t kept = 0;     ///< where its call's part of the kept memory begins
    std::vector<Inside> inside;
    std::size_t carried = 0;  ///< Loop: where the table keeps the pointers of what is carried
  };
  struct Host;
  [[nodiscard]] std::unique_ptr<Call> make_call(const pass::Step& step, const Repeats& repeats) const;
  [[nodiscard]] static std::string by(const Launch& launch);

  const pass::Program& program_;
  int threads_;
  std::vector<Launch> launches_;
  pass::Slots slots_;  ///< this program's own part of the table
  std::size_t table_size_ = 0, scratch_bytes_ = 0, kept_bytes_ = 0, measured_ = 0;
  bool needs_team_ = false;
};

}  // namespace tessera::cpu
