module @jit_composite attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[-7.1994054e-01, -8.935744e-01, -1.5602389e-01, 1.0490932e+00], [3.1709747e+00, 1.8949963e-01, -1.3484131e+00, 1.2649833e+00], [-3.0078387e-01, -6.606086e-01, 2.0984948e-01, -1.2406245e+00]]> : tensor<3x4xf32>
    %got:3 = call @program(%in0) : (tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>)
    %want0 = stablehlo.constant dense<[[-1.3613431e+00, -1.9308474e+00, 4.8825502e-01, 4.4409356e+00], [9.0674095e+00, 1.4821138e+00, -2.4305542e+00, 4.218297e+00], [-1.5697684e-02, -1.2307665e+00, 1.7086272e+00, -3.1893852e+00]]> : tensor<3x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x4xf32>, tensor<3x4xf32>) -> ()
    %want1 = stablehlo.constant dense<[[-7.1994054e-01, -8.935744e-01, -1.5602389e-01, 1.0490932e+00], [3.1709747e+00, 1.8949963e-01, -1.3484131e+00, 1.2649833e+00], [-3.0078387e-01, -6.606086e-01, 2.0984948e-01, -1.2406245e+00]]> : tensor<3x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x4xf32>, tensor<3x4xf32>) -> ()
    %want2 = stablehlo.constant dense<[[2.8005946e-01, 1.0642558e-01, 8.4397614e-01, 2.0490932e+00], [4.1709747e+00, 1.1894996e+00, -3.484131e-01, 2.2649832e+00], [6.992161e-01, 3.393914e-01, 1.2098495e+00, -2.4062455e-01]]> : tensor<3x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x4xf32>, tensor<3x4xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<3x4xf32>) -> (tensor<3x4xf32> {jax.result_info = "result[0]"}, tensor<3x4xf32> {jax.result_info = "result[1][0]"}, tensor<3x4xf32> {jax.result_info = "result[1][1]"}) {
    %0 = call @affine(%arg0) : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %1 = stablehlo.composite "my.rms_norm" %arg0 {composite_attributes = {eps = 9.9999999999999995E-7 : f64}, decomposition = @my.rms_norm, version = 1 : i32} : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %2 = stablehlo.add %0, %1 : tensor<3x4xf32>
    %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %3 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
    %4 = stablehlo.add %arg0, %3 : tensor<3x4xf32>
    %5:2 = stablehlo.optimization_barrier %arg0, %4 : tensor<3x4xf32>, tensor<3x4xf32>
    return %2, %5#0, %5#1 : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>
  }
  func.func private @affine(%arg0: tensor<3x4xf32>) -> tensor<3x4xf32> {
    %cst = stablehlo.constant dense<2.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
    %1 = stablehlo.multiply %arg0, %0 : tensor<3x4xf32>
    %cst_0 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
    %3 = stablehlo.add %1, %2 : tensor<3x4xf32>
    return %3 : tensor<3x4xf32>
  }
  func.func private @my.rms_norm(%arg0: tensor<3x4xf32>) -> tensor<3x4xf32> {
    %0 = stablehlo.multiply %arg0, %arg0 : tensor<3x4xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %1 = stablehlo.reduce(%0 init: %cst) applies stablehlo.add across dimensions = [1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3xf32>
    %2 = stablehlo.broadcast_in_dim %1, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
    %cst_0 = stablehlo.constant dense<4.000000e+00> : tensor<f32>
    %3 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<3x1xf32>
    %4 = stablehlo.divide %2, %3 : tensor<3x1xf32>
    %cst_1 = stablehlo.constant dense<9.99999997E-7> : tensor<f32>
    %5 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<3x1xf32>
    %6 = stablehlo.add %4, %5 : tensor<3x1xf32>
    %7 = stablehlo.rsqrt %6 : tensor<3x1xf32>
    %8 = stablehlo.broadcast_in_dim %7, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x4xf32>
    %9 = stablehlo.multiply %arg0, %8 : tensor<3x4xf32>
    return %9 : tensor<3x4xf32>
  }
}
