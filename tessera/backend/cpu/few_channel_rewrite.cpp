// Finds convolution, bias, ReLU, 2x2 max-pool, and what reverse mode made of them, and puts two custom calls in their
// place:
//   tessera.few_channel           (images, weights, bias)              -> (result, choice)
//   tessera.few_channel_gradient  (images, weights, gradient, choice)  -> (of weights, of bias, of images)
// The second one's third result is there when the program wants it. Where the features are many, the vendor's library
// is the faster one and nothing changes.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "tessera/backend/cpu/few_channel.hpp"
#include "tessera/backend/cpu/library.hpp"
#include "tessera/ir/build.hpp"
#include "tessera/ir/custom_call.hpp"
#include "tessera/ir/rewrite.hpp"

namespace tessera::cpu {
namespace {

using ir::Integers;
using ir::Node;
using ir::Op;
using ir::Value;
using onednn::Convolution;

constexpr const char* kForward = "tessera.few_channel";
constexpr const char* kGradient = "tessera.few_channel_gradient";
/// From this many input channels on the vendor's kernels fill their registers.
constexpr std::int64_t kFewChannels = 8;

bool all_are(const Integers& list, std::int64_t value) {
  return std::all_of(list.begin(), list.end(), [&](std::int64_t v) { return v == value; });
}

/// What few_channel.cpp asks of sizes.
bool fits(const FewChannelShape& s) {
  const bool positive = s.batch > 0 && s.height > 0 && s.width > 0 && s.channels > 0 && s.features > 0;
  return positive && s.low_height < s.kernel_height && s.low_width < s.kernel_width && s.out_height >= 2 &&
         s.out_width >= 2 && s.out_height <= s.height + s.low_height && s.out_width <= s.width + s.low_width;
}

/// The sizes that a forward convolution of channels-last images has; nothing when it is of another kind.
std::optional<FewChannelShape> few_channel_shape(const Convolution& c) {
  if (c.pass != Convolution::Pass::Forward || c.source.dims.size() != 4 || c.weights.dims.size() != 4)
    return std::nullopt;
  if (!all_are(c.strides, 1) || !all_are(c.dilations, 1) || c.source.dtype != DType::F32) return std::nullopt;
  const FewChannelShape s{c.source.dims[0],  c.source.dims[2],      c.source.dims[3],      c.source.dims[1],
                          c.weights.dims[0], c.weights.dims[2],     c.weights.dims[3],     c.low[0],
                          c.low[1],          c.destination.dims[2], c.destination.dims[3], true};
  const auto last = [](std::int64_t h, std::int64_t w, std::int64_t f) { return Integers{h * w * f, 1, w * f, f}; };
  const bool channels_last =
      c.source.strides == last(s.height, s.width, s.channels) &&
      c.destination.strides == last(s.out_height, s.out_width, s.features) &&
      c.weights.strides == Integers{1, s.features, s.kernel_width * s.channels * s.features, s.channels * s.features};
  return channels_last && s.channels <= kFewChannels && fits(s) ? std::optional(s) : std::nullopt;
}

Integers to_integers(const FewChannelShape& s) {
  return {s.batch,        s.height,     s.width,     s.channels,   s.features, s.kernel_height,
          s.kernel_width, s.low_height, s.low_width, s.out_height, s.out_width};
}

/// The inverse; nothing when a program made them up wrongly.
std::optional<FewChannelShape> to_shape(const Integers& v) {
  if (v.size() != 11) return std::nullopt;
  const FewChannelShape s{v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], true};
  for (const std::int64_t n : v)
    if (n < 0 || n > std::int64_t{1} << 31) return std::nullopt;
  if (!fits(s)) return std::nullopt;
  element_count({s.batch + 16, s.out_height, s.out_width, s.features});  // throws where sizes are absurd
  return s;
}

/// The types of everything that the two calls take and give.
struct Types {
  TensorType images, weights, bias, result, choice;
  std::vector<TensorType> gradients;
};
Types types_of(const FewChannelShape& s) {
  Types t;
  t.images = {DType::F32, {s.batch, s.height, s.width, s.channels}};
  t.weights = {DType::F32, {s.kernel_height, s.kernel_width, s.channels, s.features}};
  t.bias = {DType::F32, {s.features}};
  t.result = {DType::F32, {s.batch, s.out_height / 2, s.out_width / 2, s.features}};
  t.choice = {DType::U8, {static_cast<std::int64_t>(FewChannel(s, 1).choice_bytes())}};
  t.gradients = {t.weights, t.bias, t.images};
  return t;
}

struct Match {
  FewChannelShape shape;
  Value images = -1, weights = -1, bias = -1;
  Value pooled = -1;    ///< what the forward call gives
  Value gradient = -1;  ///< of it; -1 where the program has no gradient
  const Node* scatter = nullptr;
  std::vector<Value> weights_gradients, bias_gradients, images_gradients;  ///< values that the gradient call replaces
};

class Matcher {
 public:
  explicit Matcher(const ir::Graph& graph)
      : graph_(graph), users_(graph.values.size()), is_result_(graph.values.size(), false) {
    for (const Node& node : graph.nodes)
      for (const Value v : node.operands) users_[index(v)].push_back(&node);
    for (const Value v : graph.results) is_result_[index(v)] = true;
  }

  [[nodiscard]] std::optional<Match> match(const Node& node) const {
    if (node.op != Op::Convolution) return std::nullopt;
    const auto convolution = as_convolution(node, graph_.types(node.operands), graph_.type(node.results[0]));
    if (!convolution) return std::nullopt;
    const auto shape = few_channel_shape(*convolution);
    if (!shape) return std::nullopt;
    Match m;
    m.shape = *shape;
    m.images = node.operands[0];
    m.weights = node.operands[1];
    const Node* add = only_user(node.results[0]);
    if (add == nullptr || add->op != Op::Add) return std::nullopt;
    m.bias = bias_of(other(*add, node.results[0]));
    const Node* relu = only_user(add->results[0]);
    if (m.bias < 0 || relu == nullptr || relu->op != Op::Maximum || !is_full(other(*relu, add->results[0]), 0))
      return std::nullopt;
    const Value active = relu->results[0];
    if (is_result_[index(active)]) return std::nullopt;
    const Node *mask = nullptr, *pool = nullptr;
    for (const Node* user : users_[index(active)]) {
      if (user->op == Op::ReduceWindow && pool == nullptr && is_pool(*user, active))
        pool = user;
      else if (user->op == Op::SelectAndScatter && m.scatter == nullptr && pool != nullptr && is_unpool(*user, active))
        m.scatter = user;  // behind the pool, whose choices the gradient takes
      else if (user->op == Op::Compare && mask == nullptr && is_mask(*user, active))
        mask = user;
      else
        return std::nullopt;
    }
    if (pool == nullptr || (m.scatter == nullptr) != (mask == nullptr)) return std::nullopt;
    m.pooled = pool->results[0];
    if (m.scatter != nullptr && !match_gradient(m, *mask, *convolution)) return std::nullopt;
    return m;
  }

 private:
  static std::size_t index(Value v) { return static_cast<std::size_t>(v); }
  static Value other(const Node& node, Value v) { return node.operands[0] == v ? node.operands[1] : node.operands[0]; }
  [[nodiscard]] const Node* only_user(Value v) const {
    return users_[index(v)].size() == 1 && !is_result_[index(v)] ? users_[index(v)][0] : nullptr;
  }

  [[nodiscard]] bool is_full(Value v, double value) const {
    const Node* node = graph_.producer(v);
    while (node != nullptr && (node->op == Op::BroadcastInDim || node->op == Op::Reshape))
      node = graph_.producer(node->operands[0]);
    if (node == nullptr || node->op != Op::Constant) return false;
    const Literal& literal = node->attributes.literal("value");
    return literal.size() > 0 && literal.is_splat() && literal.get_double(0) == value;
  }

  [[nodiscard]] Value bias_of(Value v) const {
    const Node* node = graph_.producer(v);
    const bool fits = node != nullptr && node->op == Op::BroadcastInDim &&
                      node->attributes.integers("broadcast_dimensions") == Integers{3} &&
                      graph_.shape(node->operands[0])[0] == graph_.shape(v)[3];
    return fits ? node->operands[0] : -1;
  }

  static bool is_two_by_two(const Node& node) {
    const Integers two{1, 2, 2, 1};
    return node.attributes.integers("window_dimensions") == two &&
           node.attributes.integers("window_strides", Integers(4, 1)) == two &&
           all_are(node.attributes.integers("padding", Integers(8, 0)), 0) &&
           all_are(node.attributes.integers("base_dilations", Integers(4, 1)), 1) &&
           all_are(node.attributes.integers("window_dilations", Integers(4, 1)), 1);
  }
  [[nodiscard]] bool is_pool(const Node& node, Value v) const {
    return node.operands.size() == 2 && node.operands[0] == v && is_two_by_two(node) &&
           ir::match_monoid(*node.regions[0]) == Op::Maximum &&
           is_full(node.operands[1], -std::numeric_limits<double>::infinity());
  }
  [[nodiscard]] bool is_unpool(const Node& node, Value v) const {
    const ir::Graph& select = *node.regions[0];
    return node.operands[0] == v && node.operands[1] != v && is_two_by_two(node) && is_full(node.operands[2], 0) &&
           ir::match_monoid(*node.regions[1]) == Op::Add && select.nodes.size() == 1 &&
           select.nodes[0].op == Op::Compare && select.nodes[0].operands == select.parameters &&
           select.nodes[0].attributes.string("comparison_direction") == "GE";
  }
  [[nodiscard]] bool is_mask(const Node& node, Value v) const {
    return node.operands[0] == v && is_full(node.operands[1], 0) &&
           node.attributes.string("comparison_direction") == "LE";
  }

  /// select(mask, 0, scatter), used by the three gradients and by nothing else.
  [[nodiscard]] bool match_gradient(Match& m, const Node& mask, const Convolution& forward) const {
    const Node* select = only_user(m.scatter->results[0]);
    if (select == nullptr || select->op != Op::Select || select != only_user(mask.results[0])) return false;
    if (select->operands[0] != mask.results[0] || !is_full(select->operands[1], 0) ||
        select->operands[2] != m.scatter->results[0])
      return false;
    m.gradient = m.scatter->operands[1];
    const Value masked = select->results[0];
    if (is_result_[index(masked)]) return false;
    for (const Node* user : users_[index(masked)]) {
      const Value made = user->results[0];
      if (user->op == Op::Reduce && user->operands[0] == masked &&
          user->attributes.integers("dimensions") == Integers{0, 1, 2} &&
          ir::match_monoid(*user->regions[0]) == Op::Add && is_full(user->operands[1], 0)) {
        m.bias_gradients.push_back(made);
        continue;
      }
      if (user->op != Op::Convolution) return false;
      auto back = as_convolution(*user, graph_.types(user->operands), graph_.type(made));
      if (!back) return false;
      const Convolution::Pass pass = back->pass;
      back->pass = Convolution::Pass::Forward;  // all else must be as it was
      const bool same = back->source == forward.source && back->weights == forward.weights &&
                        back->destination == forward.destination && back->strides == forward.strides &&
                        back->dilations == forward.dilations && back->low == forward.low;
      if (!same) return false;
      if (pass == Convolution::Pass::BackwardWeights && user->operands == ir::Values{m.images, masked})
        m.weights_gradients.push_back(made);
      else if (pass == Convolution::Pass::BackwardData && user->operands == ir::Values{masked, m.weights})
        m.images_gradients.push_back(made);
      else
        return false;
    }
    return true;
  }

  const ir::Graph& graph_;
  std::vector<std::vector<const Node*>> users_;
  std::vector<bool> is_result_;
};

class FewChannelCall final : public Call {
 public:
  FewChannelCall(const FewChannelShape& shape, bool gradient, bool images, int threads)
      : kernel_(shape, threads), gradient_(gradient), images_(images) {}
  void run(void* const* a, const Workspace& work) override {
    const auto f = [&](int i) { return static_cast<float*>(a[i]); };
    if (!gradient_) return kernel_.forward(f(0), f(1), f(2), f(3), static_cast<std::uint8_t*>(a[4]), work.scratch);
    kernel_.backward(f(0), f(1), f(2), static_cast<const std::uint8_t*>(a[3]), f(4), f(5), images_ ? f(6) : nullptr,
                     work.scratch);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return kernel_.scratch_bytes(); }
  [[nodiscard]] std::string implementation() const override { return "few_channel"; }

 private:
  FewChannel kernel_;
  bool gradient_, images_;
};

}  // namespace

ir::Graph use_few_channel_kernels(const ir::Graph& graph) {
  if (FewChannel::widest() == 0) return graph;
  const Matcher matcher(graph);
  std::vector<Match> matches;
  std::map<Value, std::size_t> forward_at;         // by the pooled value
  std::map<const Node*, std::size_t> gradient_at;  // by the scatter
  for (const Node& node : graph.nodes)
    if (auto match = matcher.match(node)) {
      forward_at[match->pooled] = matches.size();
      if (match->scatter != nullptr) gradient_at[match->scatter] = matches.size();
      matches.push_back(std::move(*match));
    }
  if (matches.empty()) return graph;

  ir::Values choices(matches.size(), -1);
  return ir::rewrite(graph, [&](ir::Rewriting& r, const Node& node) -> std::optional<ir::Values> {
    const auto call = [&](const char* name, const FewChannelShape& shape, const ir::Values& operands,
                          const std::vector<TensorType>& types) {
      return r.to.add(Op::CustomCall, operands,
                      {{"call_target_name", std::string(name)},
                       {"result_types", ir::encode_types(types)},
                       {"sizes", to_integers(shape)}},
                      {}, node.location);
    };
    if (node.results.empty()) return std::nullopt;
    if (const Value given = r[node.results[0]]; given >= 0) return ir::Values{given};  // by a gradient call
    if (const auto found = gradient_at.find(&node); found != gradient_at.end()) {
      const Match& m = matches[found->second];
      std::vector<TensorType> types = types_of(m.shape).gradients;
      if (m.images_gradients.empty()) types.pop_back();
      const ir::Values results =
          call(kGradient, m.shape, {r[m.images], r[m.weights], r[m.gradient], choices[found->second]}, types);
      for (const Value v : m.weights_gradients) r[v] = results[0];
      for (const Value v : m.bias_gradients) r[v] = results[1];
      for (const Value v : m.images_gradients) r[v] = results[2];
    }
    const auto found = forward_at.find(node.results[0]);
    if (found == forward_at.end()) return std::nullopt;
    const Match& m = matches[found->second];
    const Types types = types_of(m.shape);
    const ir::Values results =
        call(kForward, m.shape, {r[m.images], r[m.weights], r[m.bias]}, {types.result, types.choice});
    choices[found->second] = results[1];
    return ir::Values{results[0]};
  });
}

std::unique_ptr<Call> make_few_channel_call(const ir::Node& node, std::span<const TensorType> operands, int threads) {
  if (node.op != Op::CustomCall || FewChannel::widest() == 0) return nullptr;
  const std::string name = node.attributes.string("call_target_name", "");
  if (name != kForward && name != kGradient) return nullptr;
  const auto shape = to_shape(node.attributes.integers("sizes", {}));
  if (!shape) return nullptr;
  // Such a call may stand in a program from outside: everything must be as these sizes have it.
  const Types types = types_of(*shape);
  const std::vector<TensorType> given(operands.begin(), operands.end()),
      results = ir::decode_types(node.attributes.string("result_types", ""));
  if (name == kForward) {
    if (given != std::vector{types.images, types.weights, types.bias} ||
        results != std::vector{types.result, types.choice})
      return nullptr;
    return std::make_unique<FewChannelCall>(*shape, false, false, threads);
  }
  const bool images = results.size() == 3;
  const std::vector<TensorType> wanted(types.gradients.begin(), types.gradients.end() - (images ? 0 : 1));
  if (given != std::vector{types.images, types.weights, types.result, types.choice} || results != wanted)
    return nullptr;
  return std::make_unique<FewChannelCall>(*shape, true, images, threads);
}

}  // namespace tessera::cpu
