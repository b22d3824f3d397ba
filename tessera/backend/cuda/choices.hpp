// Which algorithm of a vendor's library runs each shape. Algorithms are timed once, on the device; the choice is kept
// as text beside the run, and a run that is resumed takes it from there, so that it ends with the same bits. Used by
// cublaslt.cpp and cudnn.cpp.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/backend/cuda/call.hpp"
#include "tessera/pass/program.hpp"

namespace tessera {
class KernelCache;
}

namespace tessera::cuda {

/// Choices by operation, shapes, types, device and library version. May be used from several threads.
class Choices {
 public:
  Choices() = default;
  /// The inverse of `text`. Throws Error naming the line that is malformed.
  explicit Choices(std::string_view text);

  [[nodiscard]] std::optional<std::string> find(const std::string& key) const;
  void set(const std::string& key, const std::string& choice);
  /// Takes all of `other` over.
  void merge(const Choices& other);
  /// One line for each, in the order of the keys: equal choices give equal bytes.
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> choices_;
};

/// Seconds of one run of `call` on the device, with arguments of these sizes (whatever they hold) that do not overlap;
/// infinity when it cannot run.
using Timer = std::function<double(Call& call, std::span<const std::size_t> argument_bytes)>;

/// How algorithms are chosen.
struct Choosing {
  Choices& choices;
  std::string device;  ///< its name and architecture: part of every key
  Timer timer;         ///< without one, the library's first proposal is taken
  /// Where this machine keeps what it chose, so that the next process chooses the same without a race; may be null.
  const KernelCache* cache = nullptr;
};

/// One way to do a call, in words that bring it back.
struct Candidate {
  std::string text;
  std::unique_ptr<Call> call;
};

/// The call that an earlier choice brings back, of this run or of this machine; else the fastest of the candidates,
/// which is then remembered. Null when there is no candidate. `restore` gives null for a text that means nothing to the
/// library.
std::unique_ptr<Call> choose(const std::string& key, const Choosing& choosing, const pass::LibraryCall& call,
                             const std::function<std::unique_ptr<Call>(const std::string&)>& restore,
                             const std::function<std::vector<Candidate>()>& candidates);

/// "bias", "tensor", "relu", in order: part of keys and messages.
std::string epilogue_text(const pass::LibraryCall& call);

}  // namespace tessera::cuda
