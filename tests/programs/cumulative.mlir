module @jit_cumulative attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[3.9306292e-01, -9.389816e-01, 1.017021e+00, 1.4229835e+00, 3.9608657e-01, -5.9140265e-01], [1.1244192e+00, 7.553957e-01, 8.6740744e-01, -6.564637e-01, -2.8345544e+00, 2.116791e+00], [-1.6108783e+00, -3.5768073e-02, 2.3807454e+00, 3.3057675e-01, 9.4924647e-01, -1.5023966e+00]]> : tensor<3x6xf32>
    %got:4 = call @program(%in0) : (tensor<3x6xf32>) -> (tensor<3x6xf32>, tensor<3x6xf32>, tensor<3x6xf32>, tensor<3x13xf32>)
    %want0 = stablehlo.constant dense<[[3.9306292e-01, -5.459187e-01, 4.7110224e-01, 1.8940858e+00, 2.2901723e+00, 1.6987697e+00], [1.1244192e+00, 1.8798149e+00, 2.7472224e+00, 2.0907588e+00, -7.4379563e-01, 1.3729954e+00], [-1.6108783e+00, -1.6466464e+00, 7.3409903e-01, 1.0646758e+00, 2.0139222e+00, 5.1152563e-01]]> : tensor<3x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x6xf32>, tensor<3x6xf32>) -> ()
    %want1 = stablehlo.constant dense<[[3.9306292e-01, -9.389816e-01, 1.017021e+00, 1.4229835e+00, 3.9608657e-01, -5.9140265e-01], [1.1244192e+00, 7.553957e-01, 1.017021e+00, 1.4229835e+00, 3.9608657e-01, 2.116791e+00], [1.1244192e+00, 7.553957e-01, 2.3807454e+00, 1.4229835e+00, 9.4924647e-01, 2.116791e+00]]> : tensor<3x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x6xf32>, tensor<3x6xf32>) -> ()
    %want2 = stablehlo.constant dense<[[-5.9140265e-01, 3.9608657e-01, 1.4229835e+00, 1.017021e+00, -9.389816e-01, 3.9306292e-01], [2.116791e+00, -2.8345544e+00, -6.564637e-01, 8.6740744e-01, 7.553957e-01, 1.1244192e+00], [-1.5023966e+00, 9.4924647e-01, 3.3057675e-01, 2.3807454e+00, -3.5768073e-02, -1.6108783e+00]]> : tensor<3x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x6xf32>, tensor<3x6xf32>) -> ()
    %want3 = stablehlo.constant dense<[[1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00], [3.9306292e-01, 1.0e+00, -9.389816e-01, 1.0e+00, 1.017021e+00, 1.0e+00, 1.4229835e+00, 1.0e+00, 3.9608657e-01, 1.0e+00, -5.9140265e-01, 1.0e+00, 1.0e+00], [1.1244192e+00, 1.0e+00, 7.553957e-01, 1.0e+00, 8.6740744e-01, 1.0e+00, -6.564637e-01, 1.0e+00, -2.8345544e+00, 1.0e+00, 2.116791e+00, 1.0e+00, 1.0e+00]]> : tensor<3x13xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#3, %want3) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x13xf32>, tensor<3x13xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<3x6xf32>) -> (tensor<3x6xf32> {jax.result_info = "result[0]"}, tensor<3x6xf32> {jax.result_info = "result[1]"}, tensor<3x6xf32> {jax.result_info = "result[2]"}, tensor<3x13xf32> {jax.result_info = "result[3]"}) {
    %0 = call @cumsum(%arg0) : (tensor<3x6xf32>) -> tensor<3x6xf32>
    %1 = call @cummax(%arg0) : (tensor<3x6xf32>) -> tensor<3x6xf32>
    %2 = stablehlo.reverse %arg0, dims = [1] : tensor<3x6xf32>
    %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %3 = stablehlo.pad %arg0, %cst, low = [1, 0], high = [-1, 2], interior = [0, 1] : (tensor<3x6xf32>, tensor<f32>) -> tensor<3x13xf32>
    return %0, %1, %2, %3 : tensor<3x6xf32>, tensor<3x6xf32>, tensor<3x6xf32>, tensor<3x13xf32>
  }
  func.func private @cumsum(%arg0: tensor<3x6xf32>) -> tensor<3x6xf32> {
    %0 = call @cumsum_0(%arg0) : (tensor<3x6xf32>) -> tensor<3x6xf32>
    return %0 : tensor<3x6xf32>
  }
  func.func private @cumsum_0(%arg0: tensor<3x6xf32>) -> tensor<3x6xf32> {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<f32>
    %1 = "stablehlo.reduce_window"(%arg0, %0) <{base_dilations = array<i64: 1, 1>, padding = dense<[[0, 0], [5, 0]]> : tensor<2x2xi64>, window_dilations = array<i64: 1, 1>, window_dimensions = array<i64: 1, 6>, window_strides = array<i64: 1, 1>}> ({
    ^bb0(%arg1: tensor<f32>, %arg2: tensor<f32>):
      %2 = stablehlo.add %arg1, %arg2 : tensor<f32>
      stablehlo.return %2 : tensor<f32>
    }) : (tensor<3x6xf32>, tensor<f32>) -> tensor<3x6xf32>
    return %1 : tensor<3x6xf32>
  }
  func.func private @cummax(%arg0: tensor<3x6xf32>) -> tensor<3x6xf32> {
    %cst = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<f32>
    %1 = "stablehlo.reduce_window"(%arg0, %0) <{base_dilations = array<i64: 1, 1>, padding = dense<[[2, 0], [0, 0]]> : tensor<2x2xi64>, window_dilations = array<i64: 1, 1>, window_dimensions = array<i64: 3, 1>, window_strides = array<i64: 1, 1>}> ({
    ^bb0(%arg1: tensor<f32>, %arg2: tensor<f32>):
      %2 = stablehlo.maximum %arg1, %arg2 : tensor<f32>
      stablehlo.return %2 : tensor<f32>
    }) : (tensor<3x6xf32>, tensor<f32>) -> tensor<3x6xf32>
    return %1 : tensor<3x6xf32>
  }
}
