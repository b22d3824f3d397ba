// Cases of dot_general and convolution: dimension orders, batching, mixed types, strides, dilations, padding, groups.
#include "cases.hpp"

namespace tessera::cases {
namespace {

using namespace ir;

Case product(const std::string& name, DType dtype, Shape lhs, Shape rhs,
             std::function<Value(Builder&, const Values&)> build) {
  Case item;
  item.name =
      name + " " + std::string(tessera::name(dtype)) + " " + tessera::to_string(lhs) + " " + tessera::to_string(rhs);
  item.parameters = {{dtype, std::move(lhs)}, {dtype, std::move(rhs)}};
  const Range range = is_unsigned_integer(dtype) ? Range{0, 9} : Range{-3, 3};
  item.ranges = {range, range};
  item.build = [build = std::move(build)](Builder& b, const Values& p) -> Values { return {build(b, p)}; };
  item.differentiable = dtype == DType::F32;
  item.slack = 20;
  return item;
}

/// One convolution; `order` chooses the places of batch, features and spatial dimensions, others for each operand.
struct Setup {
  std::int64_t batch = 2, in = 2, out = 2;
  Shape image = {}, window = {};
  Integers strides = {}, padding = {}, lhs_dilation = {}, rhs_dilation = {}, reversal = {};
  std::int64_t feature_groups = 1, batch_groups = 1;
  int order = 0;
};

/// Of weights: spatial dimensions, inputs, outputs.
constexpr int kOutputsLast = 10;

/// Batch (or output feature), feature and spatial dimensions in one of three orders, or kOutputsLast.
Integers numbers(int order, std::int64_t spatial) {
  Integers list;
  if (order == kOutputsLast) {
    list = {spatial + 1, spatial};
    for (std::int64_t d = 0; d < spatial; ++d) list.push_back(d);
    return list;
  }
  if (order % 3 == 0) list = {0, 1};
  if (order % 3 == 1) list = {0, spatial + 1};
  if (order % 3 == 2) list = {spatial + 1, spatial};
  for (std::int64_t d = 0; d < spatial; ++d)
    list.push_back(order % 3 == 0 ? d + 2 : order % 3 == 1 ? d + 1 : spatial - 1 - d);
  return list;
}

Shape placed(const Integers& where, std::int64_t first, std::int64_t second, const Shape& spatial) {
  Shape shape(where.size());
  shape[static_cast<std::size_t>(where[0])] = first;
  shape[static_cast<std::size_t>(where[1])] = second;
  for (std::size_t d = 0; d < spatial.size(); ++d) shape[static_cast<std::size_t>(where[d + 2])] = spatial[d];
  return shape;
}

Case convolution(const std::string& name, const Setup& s, DType dtype = DType::F32) {
  const auto spatial = static_cast<std::int64_t>(s.image.size());
  const Integers input = numbers(s.order, spatial), kernel = numbers(s.order / 3, spatial),
                 output = numbers(s.order + 1, spatial);
  Attributes attributes = convolution_dimensions(input, kernel, output);
  attributes.set("feature_group_count", s.feature_groups);
  attributes.set("batch_group_count", s.batch_groups);
  const auto set = [&](const char* key, const Integers& list, std::size_t size, std::int64_t otherwise) {
    attributes.set(key, list.empty() ? Integers(size, otherwise) : list);
  };
  set("window_strides", s.strides, s.image.size(), 1);
  set("padding", s.padding, 2 * s.image.size(), 0);
  set("lhs_dilation", s.lhs_dilation, s.image.size(), 1);
  set("rhs_dilation", s.rhs_dilation, s.image.size(), 1);
  set("window_reversal", s.reversal, s.image.size(), 0);
  return product("convolution " + name + " order " + std::to_string(s.order), dtype,
                 placed(input, s.batch, s.in, s.image), placed(kernel, s.out, s.in / s.feature_groups, s.window),
                 [=](Builder& b, const Values& p) { return b.graph.add1(Op::Convolution, p, attributes); });
}

}  // namespace

Attributes convolution_dimensions(const Integers& input, const Integers& kernel, const Integers& output) {
  const auto tail = [](const Integers& list) { return Integers(list.begin() + 2, list.end()); };
  return {{"input_batch_dimension", input[0]},           {"input_feature_dimension", input[1]},
          {"input_spatial_dimensions", tail(input)},     {"kernel_output_feature_dimension", kernel[0]},
          {"kernel_input_feature_dimension", kernel[1]}, {"kernel_spatial_dimensions", tail(kernel)},
          {"output_batch_dimension", output[0]},         {"output_feature_dimension", output[1]},
          {"output_spatial_dimensions", tail(output)}};
}

std::vector<Case> product_cases() {
  std::vector<Case> list;
  const auto dot = [&](Shape lhs, Shape rhs, const Builder::DotDimensions& d, DType dtype = DType::F32,
                       std::optional<DType> result = std::nullopt) {
    list.push_back(product("dot_general", dtype, std::move(lhs), std::move(rhs),
                           [=](Builder& b, const Values& p) { return b.dot_general(p[0], p[1], d, result); }));
  };
  for (const DType dtype : kDTypes) dot({3, 4}, {4, 5}, {{}, {}, {1}, {0}}, dtype);
  dot({4, 3}, {5, 4}, {{}, {}, {0}, {1}});
  dot({2}, {3}, {{}, {}, {}, {}});
  dot({}, {}, {{}, {}, {}, {}});
  dot({3}, {3}, {{}, {}, {0}, {0}});
  dot({3, 2, 4, 5}, {5, 3, 6, 2}, {{0, 1}, {1, 3}, {3}, {0}});
  dot({4, 3, 2, 5}, {2, 5, 4, 3}, {{1}, {3}, {2, 0}, {0, 2}});
  dot({2, 3}, {3, 2}, {{0, 1}, {1, 0}, {}, {}});
  dot({3, 4, 1, 2}, {2, 3, 7, 4}, {{3, 0}, {0, 1}, {1}, {3}});  // vectors
  dot({4, 6, 5}, {4, 1, 6}, {{0}, {0}, {1}, {2}});
  dot({3, 0}, {0, 2}, {{}, {}, {1}, {0}});
  dot({0, 3}, {3, 2}, {{}, {}, {1}, {0}});
  dot({2, 3}, {3, 2}, {{}, {}, {1}, {0}}, DType::BF16, DType::F32);
  dot({2, 3}, {3, 2}, {{}, {}, {1}, {0}}, DType::F16, DType::F32);
  dot({2, 3}, {3, 2}, {{}, {}, {1}, {0}}, DType::I8, DType::I32);

  for (const int order : {0, 1, 2, 3, 4, 5, 6, 7, 8, 3 * kOutputsLast, 3 * kOutputsLast + 1})
    list.push_back(convolution("plain", {.in = 3, .image = {4, 5}, .window = {2, 3}, .order = order}));
  for (const int order : {0, 4, 5}) {
    list.push_back(convolution("all", {.image = {4, 3},
                                       .window = {2, 3},
                                       .strides = {2, 1},
                                       .padding = {1, 2, -1, 3},
                                       .lhs_dilation = {1, 2},
                                       .rhs_dilation = {2, 1},
                                       .reversal = {0, 1},
                                       .order = order}));
    list.push_back(convolution("feature groups", {.in = 4,
                                                  .out = 4,
                                                  .image = {3, 4},
                                                  .window = {2, 2},
                                                  .strides = {2, 1},
                                                  .padding = {1, 2, 0, 1},
                                                  .lhs_dilation = {2, 1},
                                                  .rhs_dilation = {1, 2},
                                                  .reversal = {1, 1},
                                                  .feature_groups = 2,
                                                  .order = order}));
    list.push_back(convolution("batch groups", {.batch = 4,
                                                .out = 6,
                                                .image = {4, 3},
                                                .window = {2, 2},
                                                .strides = {1, 2},
                                                .padding = {1, 0, 1, 1},
                                                .lhs_dilation = {1, 2},
                                                .rhs_dilation = {2, 1},
                                                .reversal = {1, 0},
                                                .batch_groups = 2,
                                                .order = order}));
    list.push_back(convolution(
        "depthwise",
        {.in = 3, .out = 6, .image = {5}, .window = {3}, .padding = {1, 1}, .feature_groups = 3, .order = order}));
  }
  for (const DType dtype : {DType::Bool, DType::I8, DType::U64, DType::F16, DType::BF16, DType::F64})
    list.push_back(
        convolution("type", {.image = {4, 3}, .window = {2, 3}, .strides = {2, 1}, .padding = {1, 2, -1, 3}}, dtype));
  list.push_back(convolution("no spatial dimension", {.in = 3, .out = 4}));
  list.push_back(convolution("three dimensions", {.batch = 1,
                                                  .image = {3, 4, 2},
                                                  .window = {2, 2, 1},
                                                  .strides = {1, 2, 1},
                                                  .padding = {0, 1, 1, 0, 0, 0},
                                                  .order = 1}));
  list.push_back(convolution("no window fits", {.in = 1, .image = {2}, .window = {3}}));
  list.push_back(convolution("cropped away", {.in = 1, .image = {5}, .window = {1}, .padding = {-3, -3}}));
  list.push_back(convolution("padding alone", {.in = 1, .image = {0}, .window = {2}, .padding = {2, 1}}));
  list.push_back(convolution("no feature", {.in = 0, .image = {3}, .window = {2}}));
  list.push_back(convolution("single", {.batch = 1, .in = 1, .out = 1, .image = {1}, .window = {1}}));
  return list;
}

}  // namespace tessera::cases
