// Trees: models and states as plain structs. A leaf is an Array (a parameter), a Buffer (saved and updated, but not
// differentiated) or anything else that compares (static: part of a program's signature).
//
//   struct Mlp { nn::Linear a, b; float slope; TESSERA_FIELDS(a, b, slope) };
//
// Also trees: std::vector, std::array, std::map<std::string, T>, std::pair, std::tuple, std::optional and std::variant
// of trees.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/array/array.hpp"

// clang-format off
#define TESSERA_EXPAND(...) TESSERA_EXPAND3(TESSERA_EXPAND3(TESSERA_EXPAND3(__VA_ARGS__)))
#define TESSERA_EXPAND3(...) TESSERA_EXPAND2(TESSERA_EXPAND2(TESSERA_EXPAND2(__VA_ARGS__)))
#define TESSERA_EXPAND2(...) TESSERA_EXPAND1(TESSERA_EXPAND1(TESSERA_EXPAND1(__VA_ARGS__)))
#define TESSERA_EXPAND1(...) __VA_ARGS__
#define TESSERA_PARENS ()
#define TESSERA_VISIT_FIELDS(field, ...) visit(#field, self.field); __VA_OPT__(TESSERA_VISIT_AGAIN TESSERA_PARENS (__VA_ARGS__))
#define TESSERA_VISIT_AGAIN() TESSERA_VISIT_FIELDS
#define TESSERA_COUNT_FIELDS(field, ...) + 1 __VA_OPT__(TESSERA_COUNT_AGAIN TESSERA_PARENS (__VA_ARGS__))
#define TESSERA_COUNT_AGAIN() TESSERA_COUNT_FIELDS
// clang-format on

/// Lists every field of a struct, in order, so that it is a tree. In an aggregate a forgotten field does not compile.
#define TESSERA_FIELDS(...)                                                                       \
  static constexpr int tessera_field_count = 0 TESSERA_EXPAND(TESSERA_COUNT_FIELDS(__VA_ARGS__)); \
  template <class Self, class Visit>                                                              \
  static void tessera_visit(Self& self, Visit&& visit) {                                          \
    TESSERA_EXPAND(TESSERA_VISIT_FIELDS(__VA_ARGS__))                                             \
  }

namespace tessera {

enum class Role : std::uint8_t { Parameter, Buffer };

namespace detail {

struct AnyField {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};

template <class T, std::size_t... I>
constexpr bool brace_constructible(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyField{})...}; };
}
/// Number of fields of an aggregate: the longest list of initialisers that it takes.
template <class T, std::size_t N = 40>
constexpr int count_fields() {
  if constexpr (N == 0 || brace_constructible<T>(std::make_index_sequence<N>{}))
    return static_cast<int>(N);
  else
    return count_fields<T, N - 1>();
}

template <class T>
concept HasFields = requires { T::tessera_field_count; };
template <class T>
concept StaticLeaf = std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_same_v<T, std::string>;

template <class T>
struct IsVector : std::false_type {};
template <class T, class A>
struct IsVector<std::vector<T, A>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T, class C, class A>
struct IsMap<std::map<std::string, T, C, A>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };

/// Walks a tree in order. The visitor has
///   leaf(Array&, Role)         constant(const T&)         structure(std::uint64_t)  (a size that belongs to the form)
///   enter(name or position)    leave()
template <class Tree, class Visitor>
void walk(Tree& tree, Visitor& visitor) {
  using T = std::remove_cv_t<Tree>;
  if constexpr (std::is_same_v<T, Array>) {
    visitor.leaf(tree, Role::Parameter);
  } else if constexpr (std::is_same_v<T, Buffer>) {
    visitor.leaf(tree.value, Role::Buffer);
  } else if constexpr (HasFields<T>) {
    if constexpr (std::is_aggregate_v<T>)
      static_assert(count_fields<T>() == T::tessera_field_count,
                    "TESSERA_FIELDS does not list every field of this struct");
    T::tessera_visit(tree, [&](const char* name, auto& field) {
      visitor.enter(name);
      walk(field, visitor);
      visitor.leave();
    });
  } else if constexpr (IsVector<T>::value) {
    visitor.structure(tree.size());
    for (std::size_t i = 0; i < tree.size(); ++i) {
      visitor.enter(i);
      walk(tree[i], visitor);
      visitor.leave();
    }
  } else if constexpr (IsMap<T>::value) {
    visitor.structure(tree.size());
    for (auto& [name, item] : tree) {
      visitor.constant(name);
      visitor.enter(name.c_str());
      walk(item, visitor);
      visitor.leave();
    }
  } else if constexpr (IsOptional<T>::value) {
    visitor.structure(tree.has_value() ? 1 : 0);
    if (tree) walk(*tree, visitor);
  } else if constexpr (IsVariant<T>::value) {
    visitor.structure(tree.index());
    std::visit([&](auto& held) { walk(held, visitor); }, tree);
  } else if constexpr (StaticLeaf<T>) {
    visitor.constant(tree);
  } else if constexpr (TupleLike<T>) {
    std::size_t i = 0;
    std::apply([&](auto&... items) { ((visitor.enter(i++), walk(items, visitor), visitor.leave()), ...); }, tree);
  } else {
    static_assert(HasFields<T>, "this type is not a tree: list its fields with TESSERA_FIELDS");
  }
}

struct QuietVisitor {
  template <class N>
  void enter(N) {}
  void leave() {}
  void structure(std::uint64_t) {}
  template <class T>
  void constant(const T&) {}
};

/// Pointers to the arrays of a tree, with their roles.
template <class A>
struct Leaves : QuietVisitor {
  std::vector<A*> arrays;
  std::vector<Role> roles;
  void leaf(A& array, Role role) {
    arrays.push_back(&array);
    roles.push_back(role);
  }
};

template <class Tree>
auto leaves_of(Tree& tree) {
  Leaves<std::conditional_t<std::is_const_v<Tree>, const Array, Array>> leaves;
  walk(tree, leaves);
  return leaves;
}

}  // namespace detail

/// The arrays of a tree, in order.
template <class Tree>
std::vector<Array> flatten_tree(const Tree& tree) {
  std::vector<Array> list;
  for (const Array* leaf : detail::leaves_of(tree).arrays) list.push_back(*leaf);
  return list;
}

/// Puts arrays into a tree, in the order of flatten_tree.
template <class Tree>
void unflatten_tree(Tree& tree, std::span<const Array> arrays) {
  std::size_t i = 0;
  for (Array* leaf : detail::leaves_of(tree).arrays) *leaf = arrays[i++];
}

/// `f(array)` for every leaf array; the same structure comes back.
template <class Tree, class F>
Tree map_tree(Tree tree, F&& f) {
  for (Array* leaf : detail::leaves_of(tree).arrays) *leaf = f(*leaf);
  return tree;
}

namespace detail {
/// Keeps the path to the leaf at hand.
template <class A, class F>
struct PathVisitor {
  F& f;
  std::string path;
  std::vector<std::size_t> lengths;
  void enter(const char* name) {
    lengths.push_back(path.size());
    if (!path.empty()) path += '.';
    path += name;
  }
  void enter(std::size_t i) { enter(std::to_string(i).c_str()); }
  void leave() {
    path.resize(lengths.back());
    lengths.pop_back();
  }
  void structure(std::uint64_t) {}
  template <class T>
  void constant(const T&) {}
  void leaf(A& array, Role role) { f(std::as_const(path), array, role); }
};
}  // namespace detail

/// Calls `f(path, array, role)` for every leaf: "conv1.weights".
template <class Tree, class F>
void for_each_leaf(Tree& tree, F&& f) {
  detail::PathVisitor<std::conditional_t<std::is_const_v<Tree>, const Array, Array>, F> visitor{f, {}, {}};
  detail::walk(tree, visitor);
}

}  // namespace tessera
