module @jit_clamp_select attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[-4.5380405e-01, 4.0326455e-01, -9.1800475e-01, 2.5249663e-01, 8.203218e-01, 1.3599485e+00, -9.038201e-02, 1.3675972e+00, 1.0344099e+00]> : tensor<9xf32>
    %got:4 = call @program(%in0) : (tensor<9xf32>) -> (tensor<9xf32>, tensor<9xf32>, tensor<9xf32>, tensor<9xi1>)
    %want0 = stablehlo.constant dense<[-4.5380405e-01, 4.0326455e-01, -5.0e-01, 2.5249663e-01, 5.0e-01, 5.0e-01, -9.038201e-02, 5.0e-01, 5.0e-01]> : tensor<9xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<9xf32>, tensor<9xf32>) -> ()
    %want1 = stablehlo.constant dense<[-4.5380406e-02, 4.0326455e-01, -9.180047e-02, 2.5249663e-01, 8.203218e-01, 1.3599485e+00, -9.0382015e-03, 1.3675972e+00, 1.0344099e+00]> : tensor<9xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<9xf32>, tensor<9xf32>) -> ()
    %want2 = stablehlo.constant dense<[-1.0e+00, 1.0e+00, -1.0e+00, 1.0e+00, 1.0e+00, 1.0e+00, -1.0e+00, 1.0e+00, 1.0e+00]> : tensor<9xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<9xf32>, tensor<9xf32>) -> ()
    %want3 = stablehlo.constant dense<[true, true, true, true, true, true, true, true, true]> : tensor<9xi1>
    stablehlo.custom_call @check.expect_eq(%got#3, %want3) {has_side_effect = true} : (tensor<9xi1>, tensor<9xi1>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<9xf32>) -> (tensor<9xf32> {jax.result_info = "result[0]"}, tensor<9xf32> {jax.result_info = "result[1]"}, tensor<9xf32> {jax.result_info = "result[2]"}, tensor<9xi1> {jax.result_info = "result[3]"}) {
    %cst = stablehlo.constant dense<-5.000000e-01> : tensor<f32>
    %cst_0 = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %0 = call @clip(%arg0, %cst, %cst_0) : (tensor<9xf32>, tensor<f32>, tensor<f32>) -> tensor<9xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %1 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<9xf32>
    %2 = stablehlo.compare GT, %arg0, %1, FLOAT : (tensor<9xf32>, tensor<9xf32>) -> tensor<9xi1>
    %cst_2 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %3 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<9xf32>
    %4 = stablehlo.multiply %arg0, %3 : tensor<9xf32>
    %5 = call @_where(%2, %arg0, %4) : (tensor<9xi1>, tensor<9xf32>, tensor<9xf32>) -> tensor<9xf32>
    %6 = stablehlo.sign %arg0 : tensor<9xf32>
    %7 = stablehlo.is_finite %arg0 : (tensor<9xf32>) -> tensor<9xi1>
    return %0, %5, %6, %7 : tensor<9xf32>, tensor<9xf32>, tensor<9xf32>, tensor<9xi1>
  }
  func.func private @clip(%arg0: tensor<9xf32>, %arg1: tensor<f32>, %arg2: tensor<f32>) -> tensor<9xf32> {
    %0 = stablehlo.convert %arg1 : tensor<f32>
    %1 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<f32>) -> tensor<9xf32>
    %2 = stablehlo.maximum %1, %arg0 : tensor<9xf32>
    %3 = stablehlo.convert %arg2 : tensor<f32>
    %4 = stablehlo.broadcast_in_dim %3, dims = [] : (tensor<f32>) -> tensor<9xf32>
    %5 = stablehlo.minimum %4, %2 : tensor<9xf32>
    return %5 : tensor<9xf32>
  }
  func.func private @_where(%arg0: tensor<9xi1>, %arg1: tensor<9xf32>, %arg2: tensor<9xf32>) -> tensor<9xf32> {
    %0 = stablehlo.select %arg0, %arg1, %arg2 : tensor<9xi1>, tensor<9xf32>
    return %0 : tensor<9xf32>
  }
}
