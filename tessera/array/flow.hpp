// Control flow as it is called: loops and branches that stay in the program. What they carry are trees; bodies may use
// arrays from outside. A body that takes what is carried as a non-const lvalue changes it in place; one that takes it
// otherwise returns it. The work is done on flat arrays, in flow.cpp.
//
//   auto [h, outputs] = scan([&](Array& state, const Array& x) { state = tanh(x + matmul(state, w)); return state; },
//                            h0, xs);
#pragma once

#include "tessera/array/function.hpp"

namespace tessera {

struct ScanOptions {
  /// The number of steps; needed where there is nothing to slice.
  std::optional<std::int64_t> length = {};
  /// Goes through the slices from the last to the first; results are stacked where their slices stand.
  bool reverse = false;
  /// Reverse mode keeps what is carried at every n-th step alone, and computes the steps between again. 0: it keeps all
  /// that the derivative needs.
  std::int64_t checkpoint = 0;
};

namespace detail {

/// The paths of a tree's arrays, for messages.
template <class Tree>
std::vector<std::string> leaf_names(const Tree& tree) {
  std::vector<std::string> names;
  for_each_leaf(tree, [&](const std::string& path, const Array&, Role) { names.push_back(path); });
  return names;
}

// flow.cpp: the same on flat arrays.

/// The number of steps; throws Error where the arrays do not agree.
std::int64_t scan_length(std::span<const Array> sliced, const ScanOptions& options, Location at);
TensorType without_first(const TensorType& type);
/// `step`: (carried, slices) -> (carried, slices), or (slices, carried) where `carried_last`. Returns what is carried
/// at the end, then the stacked results.
std::vector<Array> apply_scan(const Traced& step, std::span<const Array> carried, std::span<const Array> sliced,
                              std::int64_t length, const ScanOptions& options, bool carried_last,
                              const std::vector<std::string>& names, Location at);
std::vector<Array> apply_while(const Traced& condition, const Traced& body, std::span<const Array> carried,
                               const std::vector<std::string>& names, Location at);
std::vector<Array> apply_if(const Operand& condition, const Traced& yes, const Traced& no,
                            std::span<const Array> arguments, Location at);

}  // namespace detail

/// Steps through the slices of `xs` along dimension 0 of each of its arrays: `f(carry, x)` returns the next carry and a
/// result, as a pair, or takes the carry as a non-const lvalue and returns the result (or nothing).
/// Returns the last carry and the results of all steps, stacked along a new dimension 0, as a pair; a body that returns
/// nothing gives the carry alone. Without anything to slice, pass std::tuple<>() and `length`.
template <class F, class Carry, class Xs>
auto scan(F f, Carry carry, const Xs& xs, ScanOptions options = {},
          std::source_location at = std::source_location::current()) {
  using Params = detail::Parameters<F, Carry&, const Xs&>;
  static_assert(std::tuple_size_v<Params> == 2, "the body of a scan takes what is carried, and a slice");
  constexpr bool in_place = detail::is_in_out<std::tuple_element_t<0, Params>>;
  auto held = detail::hold_all<Params>(std::make_index_sequence<2>{}, carry, xs);
  const std::vector<Array> initial = flatten_tree(std::get<0>(held)), sliced = flatten_tree(std::get<1>(held));
  const std::int64_t length = detail::scan_length(sliced, options, at);
  detail::TracedCall<F, Params, decltype(held)> call("step", f, held, [&](std::size_t i, const TensorType& type) {
    return i < initial.size() ? type : detail::without_first(type);
  });
  const detail::ModuleScope scope(at);
  const std::vector<Array> made = detail::apply_scan(call.traced(), initial, sliced, length, options, in_place,
                                                     detail::leaf_names(std::get<0>(held)), at);
  if constexpr (in_place) {
    unflatten_tree(carry, std::span(made).first(initial.size()));
    if constexpr (decltype(call)::kVoid) {
      return carry;
    } else {
      auto results = call.stored();
      unflatten_tree(results, std::span(made).subspan(initial.size()));
      return std::pair(std::move(carry), std::move(results));
    }
  } else {
    static_assert(requires { call.stored().second; }, "the body of a scan returns a pair: the carry, and a result");
    auto results = call.stored();
    unflatten_tree(results, made);
    return results;
  }
}

/// Runs `body` on what is carried as long as `condition(carry)`, one bool, holds. `body(carry)` returns the next carry,
/// or takes it as a non-const lvalue. Has a derivative in forward mode only.
template <class Condition, class Body, class Carry>
Carry while_loop(Condition condition, Body body, Carry carry,
                 std::source_location at = std::source_location::current()) {
  using ConditionParams = detail::Parameters<Condition, const Carry&>;
  using BodyParams = detail::Parameters<Body, Carry&>;
  auto seen = detail::hold_all<ConditionParams>(std::make_index_sequence<1>{}, std::as_const(carry));
  auto held = detail::hold_all<BodyParams>(std::make_index_sequence<1>{}, carry);
  detail::TracedCall<Condition, ConditionParams, decltype(seen)> test("condition", condition, seen,
                                                                      detail::same_type());
  detail::TracedCall<Body, BodyParams, decltype(held)> call("body", body, held, detail::same_type());
  const detail::ModuleScope scope(at);
  const std::vector<Array> made =
      detail::apply_while(test.traced(), call.traced(), flatten_tree(carry), detail::leaf_names(carry), at);
  unflatten_tree(carry, made);
  return carry;
}

/// `body(i, carry)` for each i in [lower, upper), an i32. The number of steps is known, so there is a derivative in
/// both modes. `body` returns the next carry, or takes it as a non-const lvalue.
template <class Body, class Carry>
Carry fori_loop(std::int64_t lower, std::int64_t upper, Body body, Carry carry, ScanOptions options = {},
                std::source_location at = std::source_location::current()) {
  const auto step = [&body](Carry& state, const Array& i) {
    if constexpr (std::is_void_v<decltype(body(i, state))>)
      body(i, state);
    else
      state = body(i, state);
  };
  std::vector<std::int32_t> numbers;
  for (std::int64_t i = lower; i < upper; ++i) numbers.push_back(static_cast<std::int32_t>(i));
  const auto count = static_cast<std::int64_t>(numbers.size());
  return scan(step, std::move(carry), Array::from(Shape{count}, numbers), options, at);
}
/// The same with bounds that are computed: a while_loop.
template <class Body, class Carry>
Carry fori_loop(const Operand& lower, const Operand& upper, Body body, Carry carry,
                std::source_location at = std::source_location::current()) {
  using State = std::tuple<Array, Array, Carry>;
  const auto condition = [](const State& s) { return std::get<0>(s) < std::get<1>(s); };
  const auto step = [&body](State& s) {
    auto& [i, end, state] = s;
    if constexpr (std::is_void_v<decltype(body(i, state))>)
      body(std::as_const(i), state);
    else
      state = body(std::as_const(i), state);
    i = i + 1;
  };
  return std::get<2>(
      while_loop(condition, step, State(lower.as(DType::I32), upper.as(DType::I32), std::move(carry)), at));
}

/// `yes(arguments...)` where `condition`, one bool, holds, else `no(arguments...)`: one of them runs. Both return trees
/// of the same types. Under vmap over the condition both run, and each example takes its own.
template <class Yes, class No, class... A>
auto cond(const Operand& condition, Yes yes, No no, A&&... arguments) {
  using Params = detail::Parameters<Yes, A&...>;
  using Other = detail::Parameters<No, A&...>;
  constexpr auto all = std::index_sequence_for<A...>{};
  auto held = detail::hold_all<Params>(all, arguments...);
  auto other = detail::hold_all<Other>(all, arguments...);
  detail::TracedCall<Yes, Params, decltype(held)> first("yes", yes, held, detail::same_type());
  detail::TracedCall<No, Other, decltype(other)> second("no", no, other, detail::same_type());
  static_assert(std::is_same_v<typename decltype(first)::Stored, typename decltype(second)::Stored>,
                "both branches of cond return the same type");
  const detail::ModuleScope scope(condition.location);
  return first.deliver(
      detail::apply_if(condition, first.traced(), second.traced(), detail::argument_arrays(held), condition.location),
      held);
}

}  // namespace tessera
