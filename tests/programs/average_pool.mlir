module @jit_average_pool attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[[[8.215857e-01, 5.292646e-03], [8.005648e-01, 7.8260176e-02], [-3.9522898e-01, -1.1594205e+00], [-8.5930765e-02, 1.9429293e-01], [8.7583274e-01, -1.1510747e-01], [4.574156e-01, -9.64612e-01]], [[-7.8262913e-01, -1.103893e-01], [-1.0546285e+00, 8.202478e-01], [4.6313033e-01, 2.7909577e-01], [3.389041e-01, 2.0210435e+00], [-4.688642e-01, -2.2014413e+00], [1.993002e-01, -5.0603542e-02]], [[-5.1751906e-01, -9.7882986e-01], [-4.3918952e-01, 1.8133843e-01], [-5.028167e-01, 2.4124537e+00], [-9.6050435e-01, -7.9311734e-01], [-2.28862e+00, 2.5148442e-01], [-2.0164065e+00, -5.3945464e-01]], [[-2.7567053e-01, -7.0972794e-01], [1.7388726e+00, 9.9439436e-01], [1.3191369e+00, -8.824188e-01], [1.128594e+00, 4.9600095e-01], [7.7140594e-01, 1.0294389e+00], [-9.0876323e-01, -4.2431763e-01]], [[8.6259604e-01, -2.6556191e+00], [1.5133281e+00, 5.5313206e-01], [-4.5703962e-02, 2.2050765e-01], [-1.0299352e+00, -3.4994337e-01], [1.1002843e+00, 1.298022e+00], [2.696224e+00, -7.392467e-02]], [[-6.5855294e-01, -5.1423395e-01], [-1.0180418e+00, -7.785475e-02], [3.8273242e-01, -3.424228e-02], [1.0963469e+00, -2.342158e-01], [-3.4745064e-01, -5.812685e-01], [-1.6326345e+00, -1.5677677e+00]]]]> : tensor<1x6x6x2xf32>
    %got = call @program(%in0) : (tensor<1x6x6x2xf32>) -> (tensor<1x3x3x2xf32>)
    %want0 = stablehlo.constant dense<[[[[-1.7852566e-01, 1.697832e-01], [-3.3601084e-01, 9.8809294e-02], [-3.6014912e-01, -4.0219274e-01]], [[4.0589267e-01, -9.6085526e-02], [-5.64621e-02, 4.0915868e-01], [-7.176394e-02, 1.7124982e-01]], [[1.1515088e-01, -2.787012e-01], [1.2847486e-01, 3.5428863e-02], [2.0182478e-01, -1.02770984e-01]]]]> : tensor<1x3x3x2xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<1x3x3x2xf32>, tensor<1x3x3x2xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<1x6x6x2xf32>) -> (tensor<1x3x3x2xf32> {jax.result_info = "result"}) {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<f32>
    %1 = "stablehlo.reduce_window"(%arg0, %0) <{base_dilations = array<i64: 1, 1, 1, 1>, padding = dense<[[0, 0], [0, 1], [0, 1], [0, 0]]> : tensor<4x2xi64>, window_dilations = array<i64: 1, 1, 1, 1>, window_dimensions = array<i64: 1, 3, 3, 1>, window_strides = array<i64: 1, 2, 2, 1>}> ({
    ^bb0(%arg1: tensor<f32>, %arg2: tensor<f32>):
      %4 = stablehlo.add %arg1, %arg2 : tensor<f32>
      stablehlo.return %4 : tensor<f32>
    }) : (tensor<1x6x6x2xf32>, tensor<f32>) -> tensor<1x3x3x2xf32>
    %cst_0 = stablehlo.constant dense<9.000000e+00> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<1x3x3x2xf32>
    %3 = stablehlo.divide %1, %2 : tensor<1x3x3x2xf32>
    return %3 : tensor<1x3x3x2xf32>
  }
}
