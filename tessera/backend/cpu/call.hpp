// A prepared call of a library kernel: oneDNN's (onednn.hpp) or our own (few_channel.hpp).
#pragma once

#include <cstddef>
#include <string>

namespace tessera::cpu {

/// What a call works in, aligned to 64.
struct Workspace {
  std::byte* scratch = nullptr;  ///< scratch_bytes, for one run
  std::byte* kept = nullptr;     ///< kept_bytes, from `prepare` on
};

/// `run` may be called from several threads at once.
class Call {
 public:
  virtual ~Call() = default;
  /// `arguments`: the operands, the addends of the epilogue, the results.
  /// Runs on the team of the calling thread, which must be as large as when the call was made (team.hpp: with_team).
  virtual void run(void* const* arguments, const Workspace& work) = 0;
  /// What is done once, before runs with the same weights.
  virtual void prepare(void* const* /*arguments*/, const Workspace& /*work*/) {}
  [[nodiscard]] virtual std::size_t scratch_bytes() const = 0;
  [[nodiscard]] virtual std::size_t kept_bytes() const { return 0; }
  /// The names of the kernels in use.
  [[nodiscard]] virtual std::string implementation() const = 0;
};

}  // namespace tessera::cpu
