// Derivatives and vectorisation as they are called: each takes a function and returns a function, in any order.
// Arguments are trees; a non-const lvalue parameter is in and out. The work is done by transform/, on graphs.
#pragma once

#include "tessera/array/function.hpp"

namespace tessera {

/// How `vmap` maps one argument: over this dimension of each of its arrays, or not at all.
struct MapAxis {
  std::int64_t axis = 0;
  bool mapped = true;
  constexpr MapAxis(int dimension) : axis(dimension) {}  // NOLINT(google-explicit-constructor)
  constexpr MapAxis(std::nullopt_t) : mapped(false) {}   // NOLINT(google-explicit-constructor)
};
inline constexpr MapAxis none{std::nullopt};
template <class... A>
std::vector<MapAxis> axes(A... a) {
  return {MapAxis(a)...};
}

namespace detail {

// transforms.cpp: the transforms on flat arrays.

/// Results of `traced`, then the gradient of result 0 (a float scalar) for the arguments with wrt.
std::vector<Array> apply_value_and_grad(const Traced& traced, std::vector<Array> arguments,
                                        const std::vector<bool>& wrt);
/// Results, then cotangents of the arguments with wrt, from cotangents of the first `seeded` results.
std::vector<Array> apply_vjp(const Traced& traced, std::vector<Array> arguments, const std::vector<bool>& wrt,
                             std::span<const Array> cotangents);
/// Results, then their tangents, from tangents of all arguments.
std::vector<Array> apply_jvp(const Traced& traced, std::vector<Array> arguments, std::span<const Array> tangents);
std::vector<Array> apply_vmap(const Traced& traced, std::vector<Array> arguments, const std::vector<MapAxis>& axes);
TensorType without_axis(const TensorType& type, const MapAxis& axis, Location at);
std::vector<Array> apply_checkpoint(const Traced& traced, std::vector<Array> arguments);
std::vector<Array> apply_custom_vjp(const Traced& body, const Traced& forward, const Traced& backward,
                                    std::vector<Array> arguments);

/// The tree with only its parameters: gradients have the argument's type, with the other leaves empty.
template <class Tree>
Tree gradient_tree(const Tree& like, std::span<const Array> gradients) {
  Tree tree = like;
  auto leaves = leaves_of(tree);
  std::size_t next = 0;
  for (std::size_t i = 0; i < leaves.arrays.size(); ++i) {
    const bool differentiated = leaves.roles[i] == Role::Parameter && is_float(leaves.arrays[i]->dtype());
    *leaves.arrays[i] = differentiated ? gradients[next++] : Array();
  }
  return tree;
}

}  // namespace detail

/// A function that returns (value, gradient). `wrt` selects arguments; the gradient of one has its type, that of
/// several is a tuple. The function returns a float scalar, or a tuple whose first element is one.
/// Buffers and integer arrays in an argument are not differentiated; their places in the gradient are empty.
template <std::size_t... Wrt, class F>
auto value_and_grad(F f, std::source_location at = std::source_location::current()) {
  return [f, at]<class... A>(A&&... arguments) mutable {
    using Params = detail::Parameters<F, A&...>;
    auto held = detail::hold_all<Params>(std::make_index_sequence<sizeof...(A)>{}, arguments...);
    constexpr auto selected = [](std::size_t p) { return sizeof...(Wrt) == 0 ? p == 0 : ((p == Wrt) || ...); };
    detail::TracedCall<F, Params, decltype(held)> call("loss", f, held, detail::same_type());
    std::vector<Array> inputs = detail::argument_arrays(held);
    std::vector<bool> wrt;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      wrt.push_back(selected(call.parameter_of_leaf()[i]) && call.roles()[i] == Role::Parameter &&
                    is_float(inputs[i].dtype()));
    const detail::ModuleScope scope(at);
    const std::vector<Array> outputs = detail::apply_value_and_grad(call.traced(), inputs, wrt);
    const std::size_t results = call.traced().graph->results.size();
    std::size_t next = results;
    const auto gradient_of = [&](const auto& argument) {
      auto tree = detail::gradient_tree(argument, std::span(outputs).subspan(next));
      for (const Array& leaf : flatten_tree(tree)) next += leaf.empty() ? 0 : 1;
      return tree;
    };
    // Gradients are shaped after the arguments as they were passed, so before the in-out ones are updated.
    if constexpr (sizeof...(Wrt) <= 1) {
      constexpr std::size_t which[] = {Wrt..., 0};
      auto gradient = gradient_of(std::get<which[0]>(held));
      return std::pair(call.deliver(std::span(outputs).first(results), held), std::move(gradient));
    } else {
      std::tuple gradients{gradient_of(std::get<Wrt>(held))...};
      return std::pair(call.deliver(std::span(outputs).first(results), held), std::move(gradients));
    }
  };
}

/// The gradient alone.
template <std::size_t... Wrt, class F>
auto grad(F f, std::source_location at = std::source_location::current()) {
  return [inner = value_and_grad<Wrt...>(std::move(f), at)]<class... A>(A&&... arguments) mutable {
    return inner(arguments...).second;
  };
}

/// (value, pullback): `pullback(cotangent)` returns a tuple with the cotangent of each argument. The pullback runs the
/// function again; inside `jit` both runs become one.
template <class F>
auto vjp(F f, std::source_location at = std::source_location::current()) {
  return [f, at]<class... A>(A&&... arguments) mutable {
    using Params = detail::Parameters<F, A&...>;
    auto held = detail::hold_all<Params>(std::make_index_sequence<sizeof...(A)>{}, arguments...);
    auto call =
        std::make_shared<detail::TracedCall<F, Params, decltype(held)>>("function", f, held, detail::same_type());
    const std::vector<Array> inputs = detail::argument_arrays(held);
    std::vector<bool> wrt;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      wrt.push_back(call->roles()[i] == Role::Parameter && is_float(inputs[i].dtype()));
    std::vector<Array> all = inputs;
    all.insert(all.end(), call->traced().captured.begin(), call->traced().captured.end());
    const detail::Traced traced = call->traced();
    const std::size_t results = traced.graph->results.size();
    auto prototypes = std::tuple<std::remove_cvref_t<A>...>(arguments...);
    auto value = call->deliver(detail::apply_graph(*traced.graph, all), held);
    auto pullback = [traced, inputs, wrt, results, prototypes, at](const auto& cotangent) {
      const detail::ModuleScope scope(at);
      const std::vector<Array> seeds = flatten_tree(cotangent);
      const std::vector<Array> outputs = detail::apply_vjp(traced, inputs, wrt, seeds);
      std::size_t next = results;
      return std::apply(
          [&](const auto&... prototype) {
            const auto one = [&](const auto& like) {
              auto tree = detail::gradient_tree(like, std::span(outputs).subspan(next));
              for (const Array& leaf : flatten_tree(tree)) next += leaf.empty() ? 0 : 1;
              return tree;
            };
            return std::tuple<std::remove_cvref_t<decltype(prototype)>...>{one(prototype)...};
          },
          prototypes);
    };
    return std::pair(std::move(value), std::move(pullback));
  };
}

/// Forward mode: `jvp(f)(std::tuple(x, y), std::tuple(dx, dy))` returns (value, tangent of the value). Tangents have
/// the types of the arguments; in-out parameters are not updated.
template <class F>
auto jvp(F f, std::source_location at = std::source_location::current()) {
  return [f, at]<class... A>(std::tuple<A...> primals, const std::tuple<A...>& tangents) mutable {
    using Params = detail::Parameters<F, A&...>;
    auto held =
        std::apply([](auto&... p) { return detail::hold_all<Params>(std::index_sequence_for<A...>{}, p...); }, primals);
    detail::TracedCall<F, Params, decltype(held)> call("function", f, held, detail::same_type());
    const detail::ModuleScope scope(at);
    const std::vector<Array> outputs =
        detail::apply_jvp(call.traced(), detail::argument_arrays(held), detail::argument_arrays(tangents));
    const std::size_t results = call.traced().graph->results.size();
    auto tangent = call.stored();
    unflatten_tree(tangent, std::span(outputs).subspan(results, call.result_leaves()));
    return std::pair(call.deliver(std::span(outputs).first(results), held), std::move(tangent));
  };
}

/// The function over one more dimension: argument i is mapped over dimension in[i] of each of its arrays (`none`: the
/// same for all). Results carry the new dimension first. Without axes every argument is mapped over dimension 0.
template <class F>
auto vmap(F f, std::vector<MapAxis> in = {}, std::source_location at = std::source_location::current()) {
  return [f, in, at]<class... A>(A&&... arguments) mutable {
    using Params = detail::Parameters<F, A&...>;
    if (!in.empty() && in.size() != sizeof...(A))
      detail::throw_usage(at, "vmap was given " + std::to_string(in.size()) + " axes for " +
                                  std::to_string(sizeof...(A)) + " arguments");
    auto held = detail::hold_all<Params>(std::make_index_sequence<sizeof...(A)>{}, arguments...);
    std::vector<MapAxis> axis_of_leaf;
    std::size_t p = 0;
    std::apply(
        [&](const auto&... a) {
          ((axis_of_leaf.insert(axis_of_leaf.end(), flatten_tree(a).size(), in.empty() ? MapAxis(0) : in[p]), ++p),
           ...);
        },
        held);
    detail::TracedCall<F, Params, decltype(held)> call("function", f, held, [&](std::size_t i, const TensorType& type) {
      return detail::without_axis(type, axis_of_leaf[i], at);
    });
    const detail::ModuleScope scope(at);
    return call.deliver(detail::apply_vmap(call.traced(), detail::argument_arrays(held), axis_of_leaf), held);
  };
}

/// The same function; in reverse mode its intermediate values are computed again instead of kept.
template <class F>
auto checkpoint(F f) {
  return [f]<class... A>(A&&... arguments) mutable {
    using Params = detail::Parameters<F, A&...>;
    auto held = detail::hold_all<Params>(std::make_index_sequence<sizeof...(A)>{}, arguments...);
    detail::TracedCall<F, Params, decltype(held)> call("checkpoint", f, held, detail::same_type());
    return call.deliver(detail::apply_checkpoint(call.traced(), detail::argument_arrays(held)), held);
  };
}

/// f with a derivative of one's own in reverse mode: `forward(arguments...)` returns (value, residuals), both trees;
/// `backward(residuals, cotangent of the value)` returns a tuple with a cotangent for each argument. Forward mode uses
/// f.
template <class F, class Forward, class Backward>
auto custom_vjp(F f, Forward forward, Backward backward, std::source_location at = std::source_location::current()) {
  return [f, forward, backward, at]<class... A>(A&&... arguments) mutable {
    using Params = detail::Parameters<F, A&...>;
    auto held = detail::hold_all<Params>(std::make_index_sequence<sizeof...(A)>{}, arguments...);
    detail::TracedCall<F, Params, decltype(held)> body("custom_vjp", f, held, detail::same_type());
    detail::TracedCall<Forward, detail::Parameters<Forward, A&...>, decltype(held)> first("forward", forward, held,
                                                                                          detail::same_type());
    // The backward function sees the residuals and a cotangent like the value.
    auto pair = first.stored();
    auto shapes = std::pair(pair.second, pair.first);
    using BackwardParams = detail::Parameters<Backward, decltype(shapes.first)&, decltype(shapes.second)&>;
    auto seen = detail::hold_all<BackwardParams>(std::make_index_sequence<2>{}, shapes.first, shapes.second);
    detail::TracedCall<Backward, BackwardParams, decltype(seen)> second("backward", backward, seen,
                                                                        detail::same_type());
    const detail::ModuleScope scope(at);
    return body.deliver(
        detail::apply_custom_vjp(body.traced(), first.traced(), second.traced(), detail::argument_arrays(held)), held);
  };
}

}  // namespace tessera
