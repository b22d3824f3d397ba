// Cases of reduce_window and select_and_scatter: overlapping, separate, padded, cropped and dilated windows.
#include "cases.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

struct Windows {
  Shape shape;
  Integers dimensions, strides, padding, base_dilations, window_dilations;

  [[nodiscard]] Attributes attributes(bool with_dilations) const {
    const auto or_ones = [&](const Integers& list) { return list.empty() ? Integers(dimensions.size(), 1) : list; };
    Attributes list{{"window_dimensions", dimensions},
                    {"window_strides", or_ones(strides)},
                    {"padding", padding.empty() ? Integers(2 * dimensions.size(), 0) : padding}};
    if (with_dilations) {
      list.set("base_dilations", or_ones(base_dilations));
      list.set("window_dilations", or_ones(window_dilations));
    }
    return list;
  }
};

std::string label(const char* what, const std::string& how, DType dtype, const Windows& w) {
  return std::string(what) + " " + how + " " + std::string(tessera::name(dtype)) + " " + tessera::to_string(w.shape) +
         " by " + tessera::to_string(Shape(w.dimensions));
}

/// The initial value is the monoid's, as a constant, or an argument.
Case reduction(Op monoid, DType dtype, const Windows& w, bool constant = true) {
  Case item;
  item.name = label("reduce_window", std::string(ir::name(monoid)) + (constant ? "" : " from an argument"), dtype, w);
  item.parameters = {{dtype, w.shape}};
  if (!constant) item.parameters.push_back({dtype, {}});
  item.ranges.assign(2, is_float(dtype) ? Range{-2, 2} : Range{0, 5});
  item.build = [=](Builder& b, const Values& p) -> Values {
    const DType type = b.dtype(p[0]);
    const Value initial = constant ? b.constant(identity(monoid, type)) : p[1];
    return {b.graph.add1(Op::ReduceWindow, {p[0], initial}, w.attributes(true), {reducer(monoid, type)})};
  };
  // Of no element, the extremum is infinite, and has no finite differences.
  item.differentiable =
      dtype == DType::F32 && monoid != Op::Multiply && (monoid == Op::Add || element_count(w.shape) > 0);
  item.slack = 20;
  return item;
}

/// The larger value, and the sum of the integers beside it.
Case pairs(const Windows& w) {
  Case item;
  item.name = label("reduce_window", "pairs", DType::F32, w);
  item.parameters = {{DType::F32, w.shape}, {DType::I32, w.shape}};
  item.build = [=](Builder& b, const Values& p) -> Values {
    auto region = std::make_shared<Graph>("pairs");
    for (const DType d : {DType::F32, DType::I32, DType::F32, DType::I32}) region->parameter({d, {}});
    const Values r = region->parameters;
    Builder body{*region};
    region->results = {body.select(body.compare(r[0], r[2], "GE"), r[0], r[2]), body.add(r[1], r[3])};
    const Value least = b.full(DType::F32, -9), one = b.full(DType::I32, 1);
    return b.graph.add(Op::ReduceWindow, {p[0], p[1], least, one}, w.attributes(true), {region});
  };
  return item;
}

Case selection(const char* direction, DType dtype, const Windows& w) {
  Case item;
  item.name = label("select_and_scatter", direction, dtype, w);
  Graph probe;  // the source has the shape of window sums
  Builder build{probe};
  const Value x = probe.parameter({dtype, w.shape});
  const Value sums =
      probe.add1(Op::ReduceWindow, {x, build.full(dtype, 0)}, w.attributes(true), {reducer(Op::Add, dtype)});
  item.parameters = {{dtype, w.shape}, probe.type(sums), {dtype, {}}};
  item.ranges.assign(3, is_float(dtype) ? Range{-2, 2} : Range{0, 5});
  item.build = [=](Builder& b, const Values& p) -> Values {
    const DType type = b.dtype(p[0]);
    auto select = std::make_shared<Graph>("select");
    const Value s = select->parameter({type, {}}), t = select->parameter({type, {}});
    select->results = {Builder{*select}.compare(s, t, direction)};
    return {b.graph.add1(Op::SelectAndScatter, p, w.attributes(false), {select, reducer(Op::Add, type)})};
  };
  item.differentiable = dtype == DType::F32 && std::string(direction) != "GT";
  item.slack = 20;
  return item;
}

}  // namespace

std::vector<Case> window_cases() {
  const std::vector<Windows> plain = {{{4, 6}, {2, 2}, {2, 2}, {}, {}, {}},
                                      {{5, 7}, {3, 2}, {2, 1}, {1, 1, 0, 1}, {}, {}},
                                      {{7}, {3}, {1}, {1, 1}, {}, {}},
                                      {{7}, {2}, {3}, {}, {}, {}},
                                      {{9}, {2}, {2}, {-2, -1}, {}, {}},
                                      {{9}, {2}, {2}, {-3, 1}, {}, {}},
                                      {{2}, {4}, {}, {}, {}, {}},
                                      {{0, 3}, {2, 1}, {}, {1, 1, 0, 0}, {}, {}},
                                      {{}, {}, {}, {}, {}, {}},
                                      {{8, 7}, {6, 6}, {1, 2}, {3, 2, 1, 1}, {}, {}}};
  const std::vector<Windows> dilated = {{{5, 4}, {2, 3}, {1, 2}, {1, 2, -1, 2}, {2, 1}, {1, 2}},
                                        {{3}, {2}, {1}, {0, 0}, {3}, {2}}};
  std::vector<Case> list;
  for (const Windows& w : plain) {
    for (const Op monoid : {Op::Add, Op::Maximum, Op::Minimum}) list.push_back(reduction(monoid, DType::F32, w));
    list.push_back(reduction(Op::Add, DType::F32, w, false));
    list.push_back(selection("GE", DType::F32, w));
    list.push_back(selection("LE", DType::F32, w));
  }
  for (const Windows& w : dilated)  // some windows hold holes alone
    for (const Op monoid : {Op::Add, Op::Maximum, Op::Minimum})
      list.push_back(reduction(monoid, DType::F32, w, monoid == Op::Add));
  const Windows running{{9}, {9}, {1}, {8, 0}, {}, {}};
  for (const Op monoid : {Op::Add, Op::Maximum, Op::Multiply}) list.push_back(reduction(monoid, DType::F32, running));
  for (const DType dtype : kDTypes) {
    if (dtype == DType::Bool) {
      list.push_back(reduction(Op::Or, dtype, plain[1]));
      continue;
    }
    for (const Op monoid : {Op::Add, Op::Maximum})
      // Halves round once more where the initial value joins at the end.
      list.push_back(reduction(monoid, dtype, plain[1], is_float(dtype) && size_of(dtype) == 2));
    list.push_back(selection("GE", dtype, plain[1]));
  }
  list.push_back(selection("GT", DType::I32, plain[2]));  // the last one wins
  list.push_back(pairs(plain[1]));
  list.push_back(pairs({{8, 7}, {6, 6}, {1, 1}, {}, {}, {}}));
  return list;
}

}  // namespace tessera::cases
