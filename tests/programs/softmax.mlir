module @jit_softmax attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[-3.1229225e-01, -1.5766701e-01, 2.2567234e+00, -7.047003e-01, 9.432607e-01], [7.471883e-01, -1.1889449e+00, 7.7325296e-01, -1.1838807e+00, -2.6591723e+00], [6.0631955e-01, -1.7558906e+00, 4.5093447e-01, -6.840109e-01, 1.6595508e+00]]> : tensor<3x5xf32>
    %got = call @program(%in0) : (tensor<3x5xf32>) -> (tensor<3x5xf32>)
    %want0 = stablehlo.constant dense<[[5.1532056e-02, 6.014928e-02, 6.726464e-01, 3.480622e-02, 1.808661e-01], [4.2574513e-01, 6.1418287e-02, 4.369879e-01, 6.1730117e-02, 1.4118419e-02], [1.9637193e-01, 1.8500546e-02, 1.6811119e-01, 5.4037597e-02, 5.629787e-01]]> : tensor<3x5xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x5xf32>, tensor<3x5xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<3x5xf32>) -> (tensor<3x5xf32> {jax.result_info = "result"}) {
    %cst = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %0 = stablehlo.reduce(%arg0 init: %cst) applies stablehlo.maximum across dimensions = [1] : (tensor<3x5xf32>, tensor<f32>) -> tensor<3xf32>
    %cst_0 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %1 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<3xf32>
    %2 = stablehlo.maximum %1, %0 : tensor<3xf32>
    %3 = stablehlo.broadcast_in_dim %2, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
    %4 = stablehlo.broadcast_in_dim %3, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x5xf32>
    %5 = stablehlo.subtract %arg0, %4 : tensor<3x5xf32>
    %6 = stablehlo.exponential %5 : tensor<3x5xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %7 = stablehlo.reduce(%6 init: %cst_1) applies stablehlo.add across dimensions = [1] : (tensor<3x5xf32>, tensor<f32>) -> tensor<3xf32>
    %8 = stablehlo.broadcast_in_dim %7, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
    %9 = stablehlo.broadcast_in_dim %8, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x5xf32>
    %10 = stablehlo.divide %6, %9 : tensor<3x5xf32>
    return %10 : tensor<3x5xf32>
  }
}
