// How the transforms see a C++ function: its declared parameters, and a call on flat arrays.
// Used by array/jit.hpp and array/transforms.hpp.
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>

#include "tessera/array/trace.hpp"
#include "tessera/array/tree.hpp"

namespace tessera::detail {

template <class T>
struct CallTraits {};
template <class R, class... P>
struct CallTraits<R (*)(P...)> {
  using Parameters = std::tuple<P...>;
};
template <class R, class C, class... P>
struct CallTraits<R (C::*)(P...)> : CallTraits<R (*)(P...)> {};
template <class R, class C, class... P>
struct CallTraits<R (C::*)(P...) const> : CallTraits<R (*)(P...)> {};
template <class R, class C, class... P>
struct CallTraits<R (C::*)(P...) noexcept> : CallTraits<R (*)(P...)> {};
template <class R, class C, class... P>
struct CallTraits<R (C::*)(P...) const noexcept> : CallTraits<R (*)(P...)> {};

/// The parameter types that F declares, where it has one call operator; else those of the arguments.
template <class F, class... A>
auto parameters_of() {
  if constexpr (std::is_pointer_v<F>)
    return std::type_identity<typename CallTraits<F>::Parameters>{};
  else if constexpr (requires { &F::operator(); })
    return std::type_identity<typename CallTraits<decltype(&F::operator())>::Parameters>{};
  else
    return std::type_identity<std::tuple<A...>>{};
}
template <class F, class... A>
using Parameters = typename decltype(parameters_of<F, A...>())::type;

/// A parameter that is in and out: what the function does to it, the caller sees.
template <class P>
constexpr bool is_in_out = std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>;

/// What is kept of an argument during a call: the caller's object where it is in and out or fits, else a converted
/// copy.
template <class P, class A>
decltype(auto) hold(A& argument) {
  using T = std::remove_cvref_t<P>;
  if constexpr (std::is_same_v<std::remove_cvref_t<A>, T>) {
    static_assert(!is_in_out<P> || !std::is_const_v<std::remove_reference_t<A>>,
                  "a const object is passed for an in-out parameter");
    return (argument);
  } else {
    static_assert(!is_in_out<P>, "an in-out parameter needs an object of its own type");
    return static_cast<T>(T(argument));
  }
}

template <class Params, class... A, std::size_t... I>
auto hold_all(std::index_sequence<I...>, A&... arguments) {
  return std::tuple<decltype(hold<std::tuple_element_t<I, Params>>(arguments))...>(
      hold<std::tuple_element_t<I, Params>>(arguments)...);
}

template <class Params>
struct LocalCopies;
template <class... P>
struct LocalCopies<std::tuple<P...>> {
  using type = std::tuple<std::remove_cvref_t<P>...>;
};

/// Calls f with local copies of its arguments, each passed as its parameter asks for.
template <class Params, class F, class Locals, std::size_t... I>
decltype(auto) invoke_with(F& f, Locals& locals, std::index_sequence<I...>) {
  return f(static_cast<
           std::conditional_t<std::is_lvalue_reference_v<std::tuple_element_t<I, Params>>,
                              std::tuple_element_t<I, Params>, std::remove_cvref_t<std::tuple_element_t<I, Params>>&&>>(
      std::get<I>(locals))...);
}

/// Calls f with the caller's own arguments; those taken by value are copied.
template <class Params, class F, class Held, std::size_t... I>
decltype(auto) invoke_held(F& f, Held& held, std::index_sequence<I...>) {
  return f(static_cast<std::conditional_t<is_in_out<std::tuple_element_t<I, Params>>, std::tuple_element_t<I, Params>,
                                          const std::remove_cvref_t<std::tuple_element_t<I, Params>>&>>(
      std::get<I>(held))...);
}

/// Leaves keep the type of the argument.
inline auto same_type() {
  return [](std::size_t, const TensorType& type) { return type; };
}

/// One call of f on traced arguments. Results of the graph: the leaves of what f returned, then those of each in-out
/// parameter, in order.
template <class F, class Params, class Held>
class TracedCall {
 public:
  using ParameterList = Params;
  static constexpr std::size_t kCount = std::tuple_size_v<Params>;
  using Locals = typename LocalCopies<Params>::type;
  using Result = std::decay_t<decltype(invoke_with<Params>(std::declval<F&>(), std::declval<Locals&>(),
                                                           std::make_index_sequence<kCount>{}))>;
  static constexpr bool kVoid = std::is_void_v<Result>;
  using Stored = std::conditional_t<kVoid, std::tuple<>, Result>;

  /// `type_of(i, type)` may change the type that leaf i is traced with (vmap takes the batch dimension away).
  template <class TypeOf>
  TracedCall(const std::string& name, F& f, Held& held, TypeOf&& type_of)
      : locals_(copies(held, std::make_index_sequence<kCount>{})) {
    TraceSession session(name);
    std::size_t i = 0;
    each_local([&]<std::size_t P>(auto& local) {
      for (Array* leaf : leaves_of(local).arrays) {
        *leaf = session.parameter(type_of(i, leaf->type()));
        parameter_of_leaf_.push_back(P);
        ++i;
      }
      for (const Role role : leaves_of(local).roles) roles_.push_back(role);
    });
    if constexpr (kVoid)
      invoke_with<Params>(f, locals_, std::make_index_sequence<kCount>{});
    else
      result_.emplace(invoke_with<Params>(f, locals_, std::make_index_sequence<kCount>{}));
    std::vector<Array> outputs;
    if constexpr (!kVoid) outputs = flatten_tree(*result_);
    result_leaves_ = outputs.size();
    each_local([&]<std::size_t P>(auto& local) {
      if constexpr (is_in_out<std::tuple_element_t<P, Params>>)
        for (Array& leaf : flatten_tree(local)) outputs.push_back(std::move(leaf));
    });
    traced_ = session.finish(outputs);
  }

  [[nodiscard]] const Traced& traced() const { return traced_; }
  [[nodiscard]] std::size_t result_leaves() const { return result_leaves_; }
  [[nodiscard]] const std::vector<std::size_t>& parameter_of_leaf() const { return parameter_of_leaf_; }
  [[nodiscard]] const std::vector<Role>& roles() const { return roles_; }
  [[nodiscard]] const Stored& stored() const { return *result_; }

  /// Puts the program's outputs where the caller looks: what f returned, and the in-out arguments.
  Stored deliver(std::span<const Array> outputs, Held& held) {
    Stored result{};
    if constexpr (!kVoid) {
      result = std::move(*result_);
      unflatten_tree(result, outputs.first(result_leaves_));
    }
    std::size_t next = result_leaves_;
    each_local([&]<std::size_t P>(auto& local) {
      if constexpr (is_in_out<std::tuple_element_t<P, Params>>) {
        const std::size_t count = leaves_of(local).arrays.size();
        unflatten_tree(local, outputs.subspan(next, count));
        std::get<P>(held) = local;
        next += count;
      }
    });
    return result;
  }

  template <class V>
  void each_local(V&& visit) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (visit.template operator()<I>(std::get<I>(locals_)), ...);
    }(std::make_index_sequence<kCount>{});
  }

 private:
  template <std::size_t... I>
  static Locals copies(Held& held, std::index_sequence<I...>) {
    return Locals(std::get<I>(held)...);
  }

  Locals locals_;
  std::optional<Stored> result_;
  Traced traced_;
  std::size_t result_leaves_ = 0;
  std::vector<std::size_t> parameter_of_leaf_;
  std::vector<Role> roles_;
};

/// The arrays of all held arguments, in order.
template <class Held>
std::vector<Array> argument_arrays(const Held& held) {
  std::vector<Array> list;
  std::apply(
      [&](const auto&... arguments) {
        (..., [&] {
          for (Array& a : flatten_tree(arguments)) list.push_back(std::move(a));
        }());
      },
      held);
  return list;
}

}  // namespace tessera::detail
