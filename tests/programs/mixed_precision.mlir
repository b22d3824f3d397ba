module @jit_mixed_precision attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[-9.9621266e-01, -1.2179385e+00, -3.0496365e-01, 1.0289356e+00], [-7.228701e-02, -6.006576e-01, 1.5522432e+00, 2.8690448e-01], [-2.3205943e+00, 3.1716064e-01, 5.2004063e-01, 2.2560866e-01]]> : tensor<3x4xf32>
    %in1 = stablehlo.constant dense<[[4.497121e-01, -6.7275606e-02, -1.3183959e+00, -3.70704e-01, -9.4561577e-01], [-9.327409e-01, -1.2630683e+00, 4.5248908e-01, 9.7896144e-02, -4.4816536e-01], [-6.4933795e-01, -2.3423105e-02, 1.0791948e+00, -2.0042157e+00, 3.7687653e-01], [-5.45712e-01, -1.8845859e+00, -1.945703e+00, -9.127835e-01, 2.1950956e-01]]> : tensor<4x5xf32>
    %got:4 = call @program(%in0, %in1) : (tensor<3x4xf32>, tensor<4x5xf32>) -> (tensor<3x5xf32>, tensor<3x4xf32>, tensor<3x4xi8>, tensor<3x4xf32>)
    %want0 = stablehlo.constant dense<[[3.2395935e-01, -3.249092e-01, -1.5716858e+00, -8.262634e-02, 1.598465e+00], [-6.359787e-01, 1.8921089e-01, 9.404602e-01, -3.40374e+00, 9.865017e-01], [-1.8014832e+00, -6.804886e-01, 3.3385086e+00, -3.5041046e-01, 2.3046942e+00]]> : tensor<3x5xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x5xf32>, tensor<3x5xf32>) -> ()
    %want1 = stablehlo.constant dense<[[-9.9609375e-01, -1.2177734e+00, -3.0493164e-01, 1.0292969e+00], [-7.2265625e-02, -6.0058594e-01, 1.5517578e+00, 2.8686523e-01], [-2.3203125e+00, 3.1713867e-01, 5.2001953e-01, 2.2558594e-01]]> : tensor<3x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x4xf32>, tensor<3x4xf32>) -> ()
    %want2 = stablehlo.constant dense<[[-9, -12, -3, 10], [0, -6, 15, 2], [-23, 3, 5, 2]]> : tensor<3x4xi8>
    stablehlo.custom_call @check.expect_eq(%got#2, %want2) {has_side_effect = true} : (tensor<3x4xi8>, tensor<3x4xi8>) -> ()
    %want3 = stablehlo.constant dense<[[-9.9609375e-01, -1.2177734e+00, -3.0493164e-01, 1.0292969e+00], [-7.2265625e-02, -6.0058594e-01, 1.5517578e+00, 2.8686523e-01], [-2.3203125e+00, 3.1713867e-01, 5.2001953e-01, 2.2558594e-01]]> : tensor<3x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#3, %want3) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x4xf32>, tensor<3x4xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<3x4xf32>, %arg1: tensor<4x5xf32>) -> (tensor<3x5xf32> {jax.result_info = "result[0]"}, tensor<3x4xf32> {jax.result_info = "result[1]"}, tensor<3x4xi8> {jax.result_info = "result[2]"}, tensor<3x4xf32> {jax.result_info = "result[3]"}) {
    %0 = stablehlo.convert %arg0 : (tensor<3x4xf32>) -> tensor<3x4xbf16>
    %1 = stablehlo.convert %arg1 : (tensor<4x5xf32>) -> tensor<4x5xbf16>
    %2 = stablehlo.dot_general %0, %1, contracting_dims = [1] x [0], precision = [DEFAULT, DEFAULT] : (tensor<3x4xbf16>, tensor<4x5xbf16>) -> tensor<3x5xf32>
    %3 = stablehlo.reduce_precision %arg0, format = e5m10 : tensor<3x4xf32>
    %cst = stablehlo.constant dense<1.000000e+01> : tensor<f32>
    %4 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<3x4xf32>
    %5 = stablehlo.multiply %arg0, %4 : tensor<3x4xf32>
    %6 = stablehlo.convert %5 : (tensor<3x4xf32>) -> tensor<3x4xi8>
    %7 = stablehlo.convert %arg0 : (tensor<3x4xf32>) -> tensor<3x4xf16>
    %8 = stablehlo.convert %7 : (tensor<3x4xf16>) -> tensor<3x4xf32>
    return %2, %3, %6, %8 : tensor<3x5xf32>, tensor<3x4xf32>, tensor<3x4xi8>, tensor<3x4xf32>
  }
}
