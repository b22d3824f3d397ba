// Matrix products by cuBLASLt: a dot_general as a column-major product (as_gemm), and its prepared call.
// In: a pass::LibraryCall. Out: a Call. Read next: pass/library_forms.hpp, backend/cuda/choices.hpp.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tessera/backend/cuda/api_cublaslt.hpp"
#include "tessera/backend/cuda/choices.hpp"
#include "tessera/backend/cuda/library.hpp"

namespace tessera::cuda {

/// The library's matrices are column-major. A row-major result is its transpose there: D = (rhs transposed) * (lhs
/// transposed), n rows and m columns.
struct Gemm {
  struct Matrix {
    DType dtype = DType::F32;
    std::int64_t rows = 0, columns = 0, leading = 0, batch_stride = 0;
    bool transposed = false;
  };
  Matrix a, b, d;  ///< of rhs, lhs and the result
  std::int64_t batches = 1;
  /// The first elements of a, b and d, once for each call of the library: batch dimensions beyond the strided one.
  std::vector<std::array<std::int64_t, 3>> starts;
};

/// The product that `call` is, with its epilogue; nothing when cuBLASLt cannot do it: dimensions without a constant
/// stride, integers, a bias along another dimension than the last, a relu (the library's turns NaN into 0).
std::optional<Gemm> as_gemm(const pass::LibraryCall& call);

/// The library on the current device.
class Cublas {
 public:
  explicit Cublas(lt::Api api);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  [[nodiscard]] std::string version() const;
  /// Whether `prepare` would find an algorithm.
  [[nodiscard]] bool has_algorithm(const pass::LibraryCall& call, Precision precision);
  /// Throws Error (Unsupported) when the library has no algorithm for it. The call must not outlive this object.
  std::unique_ptr<Call> prepare(const pass::LibraryCall& call, Precision precision, const Choosing& choosing);

 private:
  lt::Api api_;
  lt::Handle handle_ = nullptr;
  std::map<std::string, bool> has_algorithm_;
};

LibraryName cublaslt_name(int driver_major);
/// The functions as a table. Throws Error (Unsupported) naming the library, what was tried and how to get it; or the
/// function that an old one lacks.
lt::Api load_cublaslt(const Library& library);

}  // namespace tessera::cuda
