// Cases of the movement operations: every kind of dimension order, stretched, cropped, empty and single extents.
#include "cases.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

Case moving(std::string name, const std::vector<Shape>& shapes, DType dtype,
            std::function<Values(Builder&, const Values&)> build) {
  Case item;
  item.name = std::move(name) + " " + std::string(tessera::name(dtype));
  for (const Shape& shape : shapes) {
    item.name += " " + tessera::to_string(shape);
    item.parameters.push_back({dtype, shape});
  }
  item.ranges.assign(shapes.size(), is_unsigned_integer(dtype) ? Range{0, 9} : Range{-3, 3});
  item.build = std::move(build);
  item.differentiable = dtype == DType::F32;
  return item;
}

}  // namespace

std::vector<Case> movement_cases() {
  std::vector<Case> list;
  const auto add = [&](const std::string& name, const std::vector<Shape>& shapes,
                       const std::function<Value(Builder&, const Values&)>& build, bool all_types = false) {
    for (const DType dtype : all_types ? kDTypes : std::vector<DType>{DType::F32})
      list.push_back(moving(name, shapes, dtype, [=](Builder& b, const Values& p) -> Values { return {build(b, p)}; }));
  };
  const auto broadcast = [&](const Shape& from, const Shape& to, const Integers& dimensions, bool all_types = false) {
    add(
        "broadcast_in_dim", {from},
        [=](Builder& b, const Values& p) { return b.broadcast_in_dim(p[0], to, dimensions); }, all_types);
  };
  broadcast({3, 1}, {4, 3, 5}, {1, 0}, true);
  broadcast({2, 3}, {3, 4, 2}, {2, 0});
  broadcast({1, 1}, {1, 4}, {0, 1});
  broadcast({}, {2, 0, 3}, {});
  broadcast({}, {}, {});

  const auto reshape = [&](const Shape& from, const Shape& to, bool all_types = false) {
    add(
        "reshape to " + tessera::to_string(to), {from},
        [=](Builder& b, const Values& p) { return b.reshape(p[0], to); }, all_types);
  };
  reshape({6, 4}, {2, 3, 2, 2}, true);
  reshape({4, 6}, {3, 8});
  reshape({1, 4, 1, 6}, {24});
  reshape({24}, {1, 2, 12, 1});
  reshape({2, 3, 4}, {2, 12});
  reshape({0, 3}, {5, 0});
  reshape({}, {1, 1});

  add("transpose", {{2, 3, 4}}, [](Builder& b, const Values& p) { return b.transpose(p[0], {2, 0, 1}); }, true);
  add("transpose", {{3, 1, 0}}, [](Builder& b, const Values& p) { return b.transpose(p[0], {1, 2, 0}); });

  const auto slice = [&](const Shape& from, const Integers& start, const Integers& limit, const Integers& strides,
                         bool all_types = false) {
    add("slice", {from}, [=](Builder& b, const Values& p) { return b.slice(p[0], start, limit, strides); }, all_types);
  };
  slice({5, 7}, {1, 0}, {5, 7}, {2, 3}, true);
  slice({5, 7, 2}, {4, 6, 1}, {5, 7, 1}, {9, 1, 1});
  slice({6}, {0}, {6}, {1});

  const auto pad = [&](const Shape& from, const Integers& low, const Integers& high, const Integers& interior,
                       bool all_types = false) {
    add(
        "pad", {from, {}}, [=](Builder& b, const Values& p) { return b.pad(p[0], p[1], low, high, interior); },
        all_types);
  };
  pad({3, 4}, {1, -1}, {2, 3}, {0, 2}, true);
  pad({3, 4}, {-2, -1}, {-1, -1}, {1, 0});
  pad({0, 4}, {2, 1}, {1, 0}, {1, 0});
  pad({3}, {5}, {-4}, {0});
  pad({3}, {-4}, {2}, {1});
  pad({}, {}, {}, {});

  add("reverse", {{3, 4}}, [](Builder& b, const Values& p) { return b.reverse(p[0], {1}); }, true);
  add("reverse", {{3, 1, 4}}, [](Builder& b, const Values& p) { return b.reverse(p[0], {2, 0}); });

  const auto concatenate = [&](const std::vector<Shape>& parts, std::int64_t dimension, bool all_types = false) {
    add("concatenate", parts, [=](Builder& b, const Values& p) { return b.concatenate(p, dimension); }, all_types);
  };
  concatenate({{3, 4}, {3, 0}, {3, 1}, {3, 2}}, 1, true);
  concatenate({{3, 4}, {2, 4}}, 0);
  concatenate({{0, 4}, {0, 4}}, 0);
  return list;
}

}  // namespace tessera::cases
