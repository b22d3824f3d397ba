module @jit_mlp_step attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[8.820262e-01, 2.000786e-01, 4.89369e-01, 1.1204466e+00, 9.33779e-01], [-4.8863894e-01, 4.7504422e-01, -7.56786e-02, -5.1609427e-02, 2.0529926e-01], [7.202178e-02, 7.2713673e-01, 3.8051885e-01, 6.0837507e-02, 2.2193162e-01], [1.6683717e-01, 7.4703956e-01, -1.0257913e-01, 1.5653385e-01, -4.2704788e-01], [-1.2764949e+00, 3.268093e-01, 4.322181e-01, -3.710825e-01, 1.1348773e+00], [-7.2718287e-01, 2.2879258e-02, -9.359193e-02, 7.663896e-01, 7.346794e-01]]> : tensor<6x5xf32>
    %in1 = stablehlo.constant dense<[1.5494742e-02, 3.7816253e-02, -8.877858e-02, -1.9807965e-01, -3.4791216e-02]> : tensor<5xf32>
    %in2 = stablehlo.constant dense<[[7.817449e-02, 6.151453e-01, 6.011899e-01], [-1.936634e-01, -1.5115137e-01, -5.242765e-01], [-7.10009e-01, -8.531351e-01, 9.753877e-01], [-2.548261e-01, -2.1903715e-01, -6.2639767e-01], [3.887452e-01, -8.069489e-01, -1.0637014e-01]]> : tensor<5x3xf32>
    %in3 = stablehlo.constant dense<[-8.954666e-02, 3.869025e-02, -5.1080514e-02]> : tensor<3xf32>
    %in4 = stablehlo.constant dense<[[-1.1806322e+00, -2.8182229e-02, 4.2833188e-01, 6.651722e-02, 3.024719e-01, -6.343221e-01], [-3.6274117e-01, -6.7246044e-01, -3.5955316e-01, -8.131463e-01, -1.7262826e+00, 1.7742614e-01], [-4.0178093e-01, -1.6301984e+00, 4.6278226e-01, -9.072984e-01, 5.1945396e-02, 7.290906e-01], [1.2898292e-01, 1.1394007e+00, -1.2348258e+00, 4.0234163e-01, -6.848101e-01, -8.7079716e-01]]> : tensor<4x6xf32>
    %in5 = stablehlo.constant dense<[[1.0e+00, 0.0e+00, 0.0e+00], [0.0e+00, 0.0e+00, 1.0e+00], [0.0e+00, 1.0e+00, 0.0e+00], [0.0e+00, 1.0e+00, 0.0e+00]]> : tensor<4x3xf32>
    %got:5 = call @program(%in0, %in1, %in2, %in3, %in4, %in5) : (tensor<6x5xf32>, tensor<5xf32>, tensor<5x3xf32>, tensor<3xf32>, tensor<4x6xf32>, tensor<4x3xf32>) -> (tensor<f32>, tensor<6x5xf32>, tensor<5xf32>, tensor<5x3xf32>, tensor<3xf32>)
    %want0 = stablehlo.constant dense<1.0546106e+00> : tensor<f32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<f32>, tensor<f32>) -> ()
    %want1 = stablehlo.constant dense<[[8.817857e-01, 1.9752364e-01, 4.9646237e-01, 1.1226213e+00, 9.4070333e-01], [-4.864562e-01, 4.7498325e-01, -4.6897765e-02, -4.7577854e-02, 2.3339415e-01], [6.7804866e-02, 7.2806364e-01, 3.7234852e-01, 6.299312e-02, 2.1395601e-01], [1.6662863e-01, 7.471835e-01, -8.656096e-02, 1.6140887e-01, -4.1141146e-01], [-1.2814308e+00, 3.2746387e-01, 4.3130103e-01, -3.60733e-01, 1.1339821e+00], [-7.2942346e-01, 2.1506539e-02, -1.0646388e-01, 7.653259e-01, 7.221142e-01]]> : tensor<6x5xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<6x5xf32>, tensor<6x5xf32>) -> ()
    %want2 = stablehlo.constant dense<[2.0115513e-02, 3.9980326e-02, -1.06433384e-01, -2.040749e-01, -5.2025244e-02]> : tensor<5xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<5xf32>, tensor<5xf32>) -> ()
    %want3 = stablehlo.constant dense<[[6.578599e-02, 6.0834986e-01, 6.2037385e-01], [-1.8969955e-01, -1.5330821e-01, -5.260835e-01], [-7.1057206e-01, -8.520237e-01, 9.748394e-01], [-2.5503108e-01, -2.1969795e-01, -6.2553185e-01], [3.8562387e-01, -8.007879e-01, -1.0940977e-01]]> : tensor<5x3xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#3, %want3) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<5x3xf32>, tensor<5x3xf32>) -> ()
    %want4 = stablehlo.constant dense<[-9.051398e-02, 5.0683074e-02, -6.210601e-02]> : tensor<3xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#4, %want4) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3xf32>, tensor<3xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<6x5xf32>, %arg1: tensor<5xf32>, %arg2: tensor<5x3xf32>, %arg3: tensor<3xf32>, %arg4: tensor<4x6xf32>, %arg5: tensor<4x3xf32>) -> (tensor<f32> {jax.result_info = "result[0]"}, tensor<6x5xf32> {jax.result_info = "result[1][0]"}, tensor<5xf32> {jax.result_info = "result[1][1]"}, tensor<5x3xf32> {jax.result_info = "result[1][2]"}, tensor<3xf32> {jax.result_info = "result[1][3]"}) {
    %0 = stablehlo.dot_general %arg4, %arg0, contracting_dims = [1] x [0], precision = [DEFAULT, DEFAULT] : (tensor<4x6xf32>, tensor<6x5xf32>) -> tensor<4x5xf32>
    %1 = stablehlo.broadcast_in_dim %arg1, dims = [1] : (tensor<5xf32>) -> tensor<1x5xf32>
    %2 = stablehlo.broadcast_in_dim %1, dims = [0, 1] : (tensor<1x5xf32>) -> tensor<4x5xf32>
    %3 = stablehlo.add %0, %2 : tensor<4x5xf32>
    %4 = call @relu(%3) : (tensor<4x5xf32>) -> tensor<4x5xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %5 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<4x5xf32>
    %6 = stablehlo.compare GT, %3, %5, FLOAT : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x5xi1>
    %7 = stablehlo.dot_general %4, %arg2, contracting_dims = [1] x [0], precision = [DEFAULT, DEFAULT] : (tensor<4x5xf32>, tensor<5x3xf32>) -> tensor<4x3xf32>
    %8 = stablehlo.broadcast_in_dim %arg3, dims = [1] : (tensor<3xf32>) -> tensor<1x3xf32>
    %9 = stablehlo.broadcast_in_dim %8, dims = [0, 1] : (tensor<1x3xf32>) -> tensor<4x3xf32>
    %10 = stablehlo.add %7, %9 : tensor<4x3xf32>
    %11:3 = call @log_softmax(%10) : (tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x1xf32>)
    %12 = stablehlo.multiply %11#0, %arg5 : tensor<4x3xf32>
    %cst_0 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %13 = stablehlo.reduce(%12 init: %cst_0) applies stablehlo.add across dimensions = [1] : (tensor<4x3xf32>, tensor<f32>) -> tensor<4xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %14 = stablehlo.reduce(%13 init: %cst_1) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
    %cst_2 = stablehlo.constant dense<4.000000e+00> : tensor<f32>
    %15 = stablehlo.divide %14, %cst_2 : tensor<f32>
    %16 = stablehlo.negate %15 : tensor<f32>
    %cst_3 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %17 = stablehlo.negate %cst_3 : tensor<f32>
    %cst_4 = stablehlo.constant dense<4.000000e+00> : tensor<f32>
    %18 = stablehlo.divide %17, %cst_4 : tensor<f32>
    %19 = stablehlo.broadcast_in_dim %18, dims = [] : (tensor<f32>) -> tensor<4xf32>
    %20 = stablehlo.broadcast_in_dim %19, dims = [0] : (tensor<4xf32>) -> tensor<4x3xf32>
    %21 = stablehlo.multiply %20, %arg5 : tensor<4x3xf32>
    %22 = call @log_softmax_0(%11#1, %11#2, %21) : (tensor<4x3xf32>, tensor<4x1xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
    %cst_5 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %23 = stablehlo.reduce(%22 init: %cst_5) applies stablehlo.add across dimensions = [0] : (tensor<4x3xf32>, tensor<f32>) -> tensor<3xf32>
    %24 = stablehlo.reshape %23 : (tensor<3xf32>) -> tensor<1x3xf32>
    %cst_6 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %25 = stablehlo.reduce(%24 init: %cst_6) applies stablehlo.add across dimensions = [0] : (tensor<1x3xf32>, tensor<f32>) -> tensor<3xf32>
    %26 = stablehlo.dot_general %22, %4, contracting_dims = [0] x [0], precision = [DEFAULT, DEFAULT] : (tensor<4x3xf32>, tensor<4x5xf32>) -> tensor<3x5xf32>
    %27 = stablehlo.transpose %26, dims = [1, 0] : (tensor<3x5xf32>) -> tensor<5x3xf32>
    %28 = stablehlo.dot_general %22, %arg2, contracting_dims = [1] x [1], precision = [DEFAULT, DEFAULT] : (tensor<4x3xf32>, tensor<5x3xf32>) -> tensor<4x5xf32>
    %cst_7 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %29 = stablehlo.broadcast_in_dim %cst_7, dims = [] : (tensor<f32>) -> tensor<4x5xf32>
    %30 = stablehlo.select %6, %28, %29 : tensor<4x5xi1>, tensor<4x5xf32>
    %cst_8 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %31 = stablehlo.reduce(%30 init: %cst_8) applies stablehlo.add across dimensions = [0] : (tensor<4x5xf32>, tensor<f32>) -> tensor<5xf32>
    %32 = stablehlo.reshape %31 : (tensor<5xf32>) -> tensor<1x5xf32>
    %cst_9 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %33 = stablehlo.reduce(%32 init: %cst_9) applies stablehlo.add across dimensions = [0] : (tensor<1x5xf32>, tensor<f32>) -> tensor<5xf32>
    %34 = stablehlo.dot_general %30, %arg4, contracting_dims = [0] x [0], precision = [DEFAULT, DEFAULT] : (tensor<4x5xf32>, tensor<4x6xf32>) -> tensor<5x6xf32>
    %35 = stablehlo.transpose %34, dims = [1, 0] : (tensor<5x6xf32>) -> tensor<6x5xf32>
    %cst_10 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %36 = stablehlo.broadcast_in_dim %cst_10, dims = [] : (tensor<f32>) -> tensor<6x5xf32>
    %37 = stablehlo.multiply %36, %35 : tensor<6x5xf32>
    %38 = stablehlo.subtract %arg0, %37 : tensor<6x5xf32>
    %cst_11 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %39 = stablehlo.broadcast_in_dim %cst_11, dims = [] : (tensor<f32>) -> tensor<5xf32>
    %40 = stablehlo.multiply %39, %33 : tensor<5xf32>
    %41 = stablehlo.subtract %arg1, %40 : tensor<5xf32>
    %cst_12 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %42 = stablehlo.broadcast_in_dim %cst_12, dims = [] : (tensor<f32>) -> tensor<5x3xf32>
    %43 = stablehlo.multiply %42, %27 : tensor<5x3xf32>
    %44 = stablehlo.subtract %arg2, %43 : tensor<5x3xf32>
    %cst_13 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %45 = stablehlo.broadcast_in_dim %cst_13, dims = [] : (tensor<f32>) -> tensor<3xf32>
    %46 = stablehlo.multiply %45, %25 : tensor<3xf32>
    %47 = stablehlo.subtract %arg3, %46 : tensor<3xf32>
    return %16, %38, %41, %44, %47 : tensor<f32>, tensor<6x5xf32>, tensor<5xf32>, tensor<5x3xf32>, tensor<3xf32>
  }
  func.func private @relu(%arg0: tensor<4x5xf32>) -> tensor<4x5xf32> {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<4x5xf32>
    %1 = stablehlo.maximum %arg0, %0 : tensor<4x5xf32>
    return %1 : tensor<4x5xf32>
  }
  func.func private @log_softmax(%arg0: tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x1xf32>) {
    %cst = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %0 = stablehlo.reduce(%arg0 init: %cst) applies stablehlo.maximum across dimensions = [1] : (tensor<4x3xf32>, tensor<f32>) -> tensor<4xf32>
    %cst_0 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %1 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<4xf32>
    %2 = stablehlo.maximum %1, %0 : tensor<4xf32>
    %3 = stablehlo.broadcast_in_dim %2, dims = [0] : (tensor<4xf32>) -> tensor<4x1xf32>
    %4 = stablehlo.broadcast_in_dim %3, dims = [0, 1] : (tensor<4x1xf32>) -> tensor<4x3xf32>
    %5 = stablehlo.subtract %arg0, %4 : tensor<4x3xf32>
    %6 = stablehlo.exponential %5 : tensor<4x3xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %7 = stablehlo.reduce(%6 init: %cst_1) applies stablehlo.add across dimensions = [1] : (tensor<4x3xf32>, tensor<f32>) -> tensor<4xf32>
    %8 = stablehlo.broadcast_in_dim %7, dims = [0] : (tensor<4xf32>) -> tensor<4x1xf32>
    %9 = stablehlo.log %8 : tensor<4x1xf32>
    %10 = stablehlo.broadcast_in_dim %9, dims = [0, 1] : (tensor<4x1xf32>) -> tensor<4x3xf32>
    %11 = stablehlo.subtract %5, %10 : tensor<4x3xf32>
    return %11, %6, %8 : tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x1xf32>
  }
  func.func private @log_softmax_0(%arg0: tensor<4x3xf32>, %arg1: tensor<4x1xf32>, %arg2: tensor<4x3xf32>) -> tensor<4x3xf32> {
    %0 = stablehlo.negate %arg2 : tensor<4x3xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %1 = stablehlo.reduce(%0 init: %cst) applies stablehlo.add across dimensions = [1] : (tensor<4x3xf32>, tensor<f32>) -> tensor<4xf32>
    %2 = stablehlo.reshape %1 : (tensor<4xf32>) -> tensor<4x1xf32>
    %3 = stablehlo.divide %2, %arg1 : tensor<4x1xf32>
    %cst_0 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %4 = stablehlo.reduce(%3 init: %cst_0) applies stablehlo.add across dimensions = [1] : (tensor<4x1xf32>, tensor<f32>) -> tensor<4xf32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<4xf32>) -> tensor<4x3xf32>
    %6 = stablehlo.multiply %5, %arg0 : tensor<4x3xf32>
    %7 = stablehlo.add %arg2, %6 : tensor<4x3xf32>
    return %7 : tensor<4x3xf32>
  }
}
