// Matrix products and convolutions by oneDNN. onednn.cpp is the only file that knows the library; a build without it
// has the same functions, which find nothing. In: views of tensors with strides. Out: a Call to run. Read next:
// backend/cpu/library.cpp, which makes the views.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tessera/backend/cpu/call.hpp"
#include "tessera/pass/library_forms.hpp"

namespace tessera::cpu::onednn {

/// The library's version, "2.6.3"; empty when this build has none.
std::string version();
/// True when products and convolutions of BF16 have fast kernels on this processor.
bool has_bf16();

using pass::Convolution;
using pass::Product;
using pass::View;

/// What follows on the result, in order.
struct Epilogue {
  enum class Kind : std::uint8_t { Add, Relu } kind;
  View addend;  ///< Add: of the result's rank, extents of 1 are stretched
};

/// Null when the library has no fast kernel for it (its slow reference kernels count as none), or none with this
/// epilogue. `runs`: how often a product runs with the same right side; with more than one its `prepare` comes first.
std::unique_ptr<Call> make_call(const Product& product, const std::vector<Epilogue>& epilogue, std::int64_t runs);
std::unique_ptr<Call> make_call(const Convolution& convolution, const std::vector<Epilogue>& epilogue);

/// Whether `make_call` without epilogue would find a kernel; much cheaper.
bool supports(const Product& product);
bool supports(const Convolution& convolution);

}  // namespace tessera::cpu::onednn
