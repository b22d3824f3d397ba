// jit: a function compiled once for each signature (tree, types, shapes, static values, device, threads, precision) and
// run as one planned program.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tessera/array/function.hpp"

namespace tessera {

struct JitOptions {
  Precision precision = Precision::Float32;
  std::string name = "function";  ///< in dumps, logs and messages
};

namespace detail {

/// What a call must match to run a compiled program again: words, compared as a whole.
class SignatureBuilder {
 public:
  explicit SignatureBuilder(std::vector<std::uint64_t>& words, std::vector<const Array*>& arrays)
      : words_(words), arrays_(arrays) {}
  template <class N>
  void enter(N) {}
  void leave() {}
  void structure(std::uint64_t size) { words_.push_back(size); }
  void leaf(const Array& array, Role) {
    arrays_.push_back(&array);
    if (array.empty()) return words_.push_back(~std::uint64_t{0});
    const TensorType& type = array.state()->type;
    words_.push_back((static_cast<std::uint64_t>(type.dtype) << 32) | type.shape.size());
    for (const std::int64_t extent : type.shape) words_.push_back(static_cast<std::uint64_t>(extent));
  }
  template <class T>
  void constant(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      words_.push_back(value.size());
      for (const char c : value) words_.push_back(static_cast<std::uint64_t>(c));
    } else if constexpr (std::is_same_v<T, float>) {
      words_.push_back(std::bit_cast<std::uint32_t>(value));
    } else if constexpr (std::is_floating_point_v<T>) {
      words_.push_back(std::bit_cast<std::uint64_t>(static_cast<double>(value)));
    } else {
      words_.push_back(static_cast<std::uint64_t>(value));
    }
  }

 private:
  std::vector<std::uint64_t>& words_;
  std::vector<const Array*>& arrays_;
};

/// A compiled signature: the program, and how results are put back together.
struct JitEntry {
  std::vector<std::uint64_t> signature;
  std::vector<std::string> arguments;  ///< a line for each leaf, for messages
  std::shared_ptr<Executable> executable;
  ir::GraphPtr graph;  ///< as traced
  std::vector<StoragePtr> captured;
  std::vector<Array> captured_arrays;
  std::vector<TensorType> result_types;
  std::vector<bool> donated;
  std::shared_ptr<void>
      prototype;  ///< what the function returned, and its in-out parameters, with static leaves as they were left
  std::size_t result_leaves = 0;
  bool statics_changed = false;
};

/// Compiled signatures of one jitted function; copies of the function share it. Safe to use from several threads.
class JitCache {
 public:
  explicit JitCache(JitOptions options);
  ~JitCache();
  JitCache(const JitCache&) = delete;
  JitCache& operator=(const JitCache&) = delete;

  std::shared_ptr<JitEntry> find(std::span<const std::uint64_t> signature) const;
  /// Compiles and remembers. Logs what differed from the nearest signature known.
  std::shared_ptr<JitEntry> add(std::shared_ptr<JitEntry> entry, const Traced& traced);
  [[nodiscard]] const JitOptions& options() const { return options_; }
  [[nodiscard]] std::size_t size() const;
  /// The signature compiled last; null before the first.
  [[nodiscard]] std::shared_ptr<const JitEntry> latest() const;

 private:
  struct Entries;
  JitOptions options_;
  std::unique_ptr<Entries> entries_;
};

/// Device, threads: the words in front of every signature.
void add_environment(std::vector<std::uint64_t>& words);

/// Runs a compiled program. arguments[i] with entry.donated[i] give their memory away; on an error they get it back.
std::vector<StoragePtr> run_entry(const JitEntry& entry, std::span<const Array* const> arguments);

/// Makes `array` a result; its state is used again where nobody else holds it.
void put_result(Array& array, const TensorType& type, const StoragePtr& storage);

/// Scratch vectors of a call, recycled so that a call allocates nothing but its results.
struct CallScratch {
  std::vector<std::uint64_t> words;
  std::vector<const Array*> arrays;
};
std::unique_ptr<CallScratch> take_scratch();
void give_scratch(std::unique_ptr<CallScratch> scratch);

}  // namespace detail

/// A function compiled by signature. Calling it inside of another traced function traces through it.
template <class F>
class Jit {
 public:
  Jit(F f, JitOptions options) : f_(std::move(f)), cache_(std::make_shared<detail::JitCache>(std::move(options))) {}

  template <class... A>
  auto operator()(A&&... arguments) {
    using Params = detail::Parameters<F, A&...>;
    static_assert(std::tuple_size_v<Params> == sizeof...(A), "the function takes another number of arguments");
    constexpr auto positions = std::make_index_sequence<sizeof...(A)>{};
    auto held = detail::hold_all<Params>(positions, arguments...);
    using Held = decltype(held);
    using Call = detail::TracedCall<F, Params, Held>;
    using Locals = typename Call::Locals;
    using Prototype = std::pair<typename Call::Stored, Locals>;

    if (detail::Trace::current() != nullptr) return detail::invoke_held<Params>(f_, held, positions);

    std::unique_ptr<detail::CallScratch> scratch = detail::take_scratch();
    detail::add_environment(scratch->words);
    detail::SignatureBuilder builder(scratch->words, scratch->arrays);
    std::apply([&](const auto&... a) { (detail::walk(a, builder), ...); }, held);

    std::shared_ptr<detail::JitEntry> entry = cache_->find(scratch->words);
    if (entry == nullptr) entry = compile<Call, Prototype>(held, scratch->words);
    const std::vector<StoragePtr> outputs = detail::run_entry(*entry, scratch->arrays);
    detail::give_scratch(std::move(scratch));

    auto& prototype = *static_cast<Prototype*>(entry->prototype.get());
    std::size_t next = 0;
    const auto fill = [&](auto& tree) {
      struct Filler : detail::QuietVisitor {
        const std::vector<StoragePtr>& outputs;
        const std::vector<TensorType>& types;
        std::size_t& next;
        Filler(const std::vector<StoragePtr>& o, const std::vector<TensorType>& t, std::size_t& n)
            : outputs(o), types(t), next(n) {}
        void leaf(Array& array, Role) {
          detail::put_result(array, types[next], outputs[next]);
          ++next;
        }
      } filler(outputs, entry->result_types, next);
      detail::walk(tree, filler);
    };
    typename Call::Stored result = prototype.first;
    fill(result);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (
          [&] {
            if constexpr (detail::is_in_out<std::tuple_element_t<I, Params>>) {
              if (entry->statics_changed) std::get<I>(held) = std::get<I>(prototype.second);
              fill(std::get<I>(held));
            }
          }(),
          ...);
    }(positions);
    if constexpr (!Call::kVoid) return result;
  }

  /// Signatures compiled so far.
  [[nodiscard]] std::size_t compiled() const { return cache_->size(); }
  /// What was compiled last: its graph, plan and executable, for reports; null before the first call.
  [[nodiscard]] std::shared_ptr<const detail::JitEntry> latest() const { return cache_->latest(); }

 private:
  template <class Call, class Prototype, class Held>
  std::shared_ptr<detail::JitEntry> compile(Held& held, const std::vector<std::uint64_t>& signature) {
    auto entry = std::make_shared<detail::JitEntry>();
    entry->signature = signature;
    Call call(cache_->options().name, f_, held, detail::same_type());
    std::apply(
        [&](auto&... a) {
          std::size_t p = 0;
          (..., [&] {
            for_each_leaf(a, [&](const std::string& path, const Array& leaf, Role) {
              entry->arguments.push_back("argument " + std::to_string(p) + (path.empty() ? "" : "." + path) + ": " +
                                         to_string(leaf.type()));
            });
            ++p;
          }());
        },
        held);
    std::vector<std::uint64_t> before;
    std::vector<std::uint64_t> after;
    Prototype prototype{};
    if constexpr (!Call::kVoid) prototype.first = call.stored();
    call.each_local([&]<std::size_t I>(auto& local) {
      using P = std::tuple_element_t<I, typename Call::ParameterList>;
      auto& kept = std::get<I>(prototype.second);
      kept = local;
      const std::size_t leaves = detail::leaves_of(std::get<I>(held)).arrays.size();  // tracing may have added some
      entry->donated.insert(entry->donated.end(), leaves, detail::is_in_out<P>);
      if constexpr (detail::is_in_out<P>) {
        std::vector<const Array*> ignored;
        detail::SignatureBuilder was(before, ignored);
        detail::SignatureBuilder is(after, ignored);
        detail::walk(std::as_const(std::get<I>(held)), was);
        detail::walk(std::as_const(local), is);
      }
    });
    entry->statics_changed = before != after;
    const auto forget = [](auto& tree) {
      for (Array* leaf : detail::leaves_of(tree).arrays) *leaf = Array();
    };
    forget(prototype.first);
    forget(prototype.second);
    entry->result_leaves = call.result_leaves();
    entry->prototype = std::make_shared<Prototype>(std::move(prototype));
    return cache_->add(std::move(entry), call.traced());
  }

  F f_;
  std::shared_ptr<detail::JitCache> cache_;
};

/// Compiles f by signature. Non-const lvalue parameters are in and out, and their memory is reused.
template <class F>
Jit<F> jit(F f, JitOptions options = {}) {
  return Jit<F>(std::move(f), std::move(options));
}

}  // namespace tessera
