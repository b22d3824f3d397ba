// What custom_call needs beside its row: the text of its result types, and the checks that a program may make of
// itself.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/ir/graph.hpp"

namespace tessera::ir {

/// The attribute "result_types" of a custom call: "f32[2, 3]; i32[]", and "" for no result.
std::string encode_types(std::span<const TensorType> types);
/// The inverse of `encode_types`. Throws Error on other text.
std::vector<TensorType> decode_types(std::string_view text);

/// Whether a call target is a check: "check.expect_eq", "check.expect_close", "check.expect_almost_eq", their "_const"
/// forms.
bool is_check(std::string_view call_target);
/// Runs the check that `node` (a custom_call) states on its operands (got, wanted), or (got) and the attribute "value".
/// Throws Error naming the user's place, the first element that differs, by how much, and how many differ.
/// `expect_eq`           equal bits (any NaN equals any NaN)
/// `expect_close`        at least "min_ulp_difference" (0) and at most "max_ulp_difference" (3) units in the last place
/// apart `expect_almost_eq`    |got - wanted| <= "tolerance" (1e-4) * max(1, |wanted|)
void run_check(const Node& node, std::span<const Literal> operands);

}  // namespace tessera::ir
