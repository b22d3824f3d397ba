// Library calls of a program on the CPU: a dot_general or convolution node, with what was fused onto its result, as a
// prepared oneDNN call. Read next: pass/library_forms.hpp (which pass a convolution is), backend/cpu/onednn.hpp.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tessera/backend/cpu/onednn.hpp"
#include "tessera/pass/program.hpp"

namespace tessera::cpu {

/// The node as a library's form, when oneDNN knows its element types (pass/library_forms.hpp).
std::optional<pass::Product> as_product(const ir::Node& node, std::span<const TensorType> operands,
                                        const TensorType& result);
std::optional<pass::Convolution> as_convolution(const ir::Node& node, std::span<const TensorType> operands,
                                                const TensorType& result);

/// pass::Target's question: true when a library kernel is there and worth its call.
bool has_library_kernel(const ir::Graph& graph, const ir::Node& node);

/// pass::Target's `prepare`: both of the following.
ir::Graph prepare(const ir::Graph& graph);
/// Products of a matrix and a vector for each of a batch, as sums (thin_products.cpp).
ir::Graph use_sums_for_thin_products(const ir::Graph& graph);
/// Convolutions of few channels with their ReLU, pooling and gradients, as custom calls of
/// backend/cpu/few_channel.hpp.
ir::Graph use_few_channel_kernels(const ir::Graph& graph);
/// The call of such a custom call; null for any other.
std::unique_ptr<Call> make_few_channel_call(const ir::Node& node, std::span<const TensorType> operands, int threads);

/// Prepares `call` for `threads` threads and so many runs with the same second operand. What the library cannot fuse
/// runs after it, as plain loops.
/// Throws Error (Unsupported) when there is no kernel: has_library_kernel had said so.
std::unique_ptr<Call> make_library_call(const pass::LibraryCall& call, int threads, std::int64_t runs);

}  // namespace tessera::cpu
