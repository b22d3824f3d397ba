module @jit_layer_norm attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[1.0685093e+00, -4.533858e-01, -6.878376e-01, -1.2140774e+00, -4.4092262e-01, -2.8035548e-01, -3.6469355e-01, 1.5670386e-01], [5.785215e-01, 3.4965447e-01, -7.6414394e-01, -1.4377915e+00, 1.3645319e+00, -6.894492e-01, -6.522936e-01, -5.2118933e-01], [-1.8430696e+00, -4.77974e-01, -4.796558e-01, 6.203583e-01, 6.984571e-01, 3.770889e-03, 9.3184835e-01, 3.39965e-01]]> : tensor<3x8xf32>
    %in1 = stablehlo.constant dense<[-1.5682112e-02, 1.6092817e-01, -1.9065349e-01, -3.948495e-01, -2.6773354e-01, -1.1280113e+00, 2.804417e-01, -9.931236e-01]> : tensor<8xf32>
    %in2 = stablehlo.constant dense<[8.416313e-01, -2.4945858e-01, 4.949498e-02, 4.938368e-01, 6.433145e-01, -1.5706234e+00, -2.0690368e-01, 8.801789e-01]> : tensor<8xf32>
    %got = call @program(%in0, %in1, %in2) : (tensor<3x8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<3x8xf32>)
    %want0 = stablehlo.constant dense<[[8.077954e-01, -2.949743e-01, 1.7509536e-01, 1.0871547e+00, 7.136875e-01, -1.5645673e+00, -2.4633646e-01, 1.8948147e-01], [8.268325e-01, -1.4103822e-01, 1.7152137e-01, 1.0603005e+00, 1.4243859e-01, -9.4803125e-01, -3.4939936e-01, 1.2312181e+00], [8.753736e-01, -3.3561704e-01, 1.5194754e-01, 1.9176494e-01, 4.1373333e-01, -1.6101002e+00, 1.11069985e-01, 4.501094e-01]]> : tensor<3x8xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x8xf32>, tensor<3x8xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<3x8xf32>, %arg1: tensor<8xf32>, %arg2: tensor<8xf32>) -> (tensor<3x8xf32> {jax.result_info = "result"}) {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.reduce(%arg0 init: %cst) applies stablehlo.add across dimensions = [1] : (tensor<3x8xf32>, tensor<f32>) -> tensor<3xf32>
    %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
    %cst_0 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<3x1xf32>
    %3 = stablehlo.divide %1, %2 : tensor<3x1xf32>
    %4 = stablehlo.broadcast_in_dim %3, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x8xf32>
    %5 = stablehlo.subtract %arg0, %4 : tensor<3x8xf32>
    %6 = stablehlo.multiply %5, %5 : tensor<3x8xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %7 = stablehlo.reduce(%6 init: %cst_1) applies stablehlo.add across dimensions = [1] : (tensor<3x8xf32>, tensor<f32>) -> tensor<3xf32>
    %8 = stablehlo.broadcast_in_dim %7, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
    %cst_2 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %9 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<3x1xf32>
    %10 = stablehlo.divide %8, %9 : tensor<3x1xf32>
    %11 = stablehlo.broadcast_in_dim %3, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x8xf32>
    %12 = stablehlo.subtract %arg0, %11 : tensor<3x8xf32>
    %cst_3 = stablehlo.constant dense<9.99999974E-6> : tensor<f32>
    %13 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<f32>) -> tensor<3x1xf32>
    %14 = stablehlo.add %10, %13 : tensor<3x1xf32>
    %15 = stablehlo.rsqrt %14 : tensor<3x1xf32>
    %16 = stablehlo.broadcast_in_dim %15, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x8xf32>
    %17 = stablehlo.multiply %12, %16 : tensor<3x8xf32>
    %18 = stablehlo.broadcast_in_dim %arg1, dims = [1] : (tensor<8xf32>) -> tensor<1x8xf32>
    %19 = stablehlo.broadcast_in_dim %18, dims = [0, 1] : (tensor<1x8xf32>) -> tensor<3x8xf32>
    %20 = stablehlo.multiply %17, %19 : tensor<3x8xf32>
    %21 = stablehlo.broadcast_in_dim %arg2, dims = [1] : (tensor<8xf32>) -> tensor<1x8xf32>
    %22 = stablehlo.broadcast_in_dim %21, dims = [0, 1] : (tensor<1x8xf32>) -> tensor<3x8xf32>
    %23 = stablehlo.add %20, %22 : tensor<3x8xf32>
    return %23 : tensor<3x8xf32>
  }
}
