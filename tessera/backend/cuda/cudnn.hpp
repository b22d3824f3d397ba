// Convolutions by cuDNN's operation graphs: forward, to the input and to the weights, with bias, addition and relu in
// the same graph where the library has an engine for that. In: a pass::LibraryCall. Out: a Call. Read next:
// pass/library_forms.hpp, backend/cuda/choices.hpp.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tessera/backend/cuda/api_cudnn.hpp"
#include "tessera/backend/cuda/choices.hpp"
#include "tessera/backend/cuda/library.hpp"
#include "tessera/pass/library_forms.hpp"

namespace tessera::cuda {

/// The convolution that `call` is, in the library's terms: at least two spatial dimensions, groups within the weights'
/// outputs. Nothing when it has no such form, or the library no kernels for its types in any version.
std::optional<pass::Convolution> as_dnn_convolution(const pass::LibraryCall& call);

/// Whether cuDNN 9 has engines for it, by rules, without the library: for plans of devices that are not there.
bool has_engine_by_rules(const pass::LibraryCall& call, Precision precision);

/// The library on one device.
class Cudnn {
 public:
  /// On the current device.
  explicit Cudnn(dnn::Api api);
  /// For a device that is described, in the JSON that cuDNN 9.8 and later write of one: engines are found and plans are
  /// made, nothing can run.
  Cudnn(dnn::Api api, const std::string& device);
  ~Cudnn();
  Cudnn(const Cudnn&) = delete;
  Cudnn& operator=(const Cudnn&) = delete;

  [[nodiscard]] std::string version() const;
  /// Whether `prepare` would find an engine that is deterministic and computes as precisely as asked.
  [[nodiscard]] bool has_engine(const pass::LibraryCall& call, Precision precision);
  /// Throws Error (Unsupported) when there is none. The call must not outlive this object.
  std::unique_ptr<Call> prepare(const pass::LibraryCall& call, Precision precision, const Choosing& choosing);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

LibraryName cudnn_name();
/// The functions as a table. Throws Error (Unsupported) naming the library, what was tried and how to get it; or the
/// function that an old one lacks.
dnn::Api load_cudnn(const Library& library);

}  // namespace tessera::cuda
