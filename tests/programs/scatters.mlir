module @jit_scatters attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[8.924739e-01, -4.2231482e-01, 1.0471403e-01, 2.2805333e-01, 2.0147994e-01, 5.407736e-01], [-1.8180777e+00, -4.932407e-02, 2.390336e-01, -1.0003303e+00, 1.6739857e+00, 1.6155927e-01], [1.5634048e+00, -7.90523e-01, -9.073001e-01, 2.2425222e-01, -1.6786884e+00, 2.149656e-01], [9.721923e-02, 1.0156653e+00, 7.0104134e-01, -4.1747734e-01, -1.0974966e+00, 1.7123052e+00], [-7.9211503e-01, -1.0455246e+00, -1.084856e+00, 1.1173053e+00, -5.189002e-01, -7.537045e-01]]> : tensor<5x6xf32>
    %in1 = stablehlo.constant dense<[1.3768983e-01, -2.069447e-01, -6.7809546e-01]> : tensor<3xf32>
    %got:4 = call @program(%in0, %in1) : (tensor<5x6xf32>, tensor<3xf32>) -> (tensor<5x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>)
    %want0 = stablehlo.constant dense<[[8.924739e-01, -2.84625e-01, 1.0471403e-01, 2.2805333e-01, 2.0147994e-01, 5.407736e-01], [-1.8180777e+00, -4.932407e-02, 2.390336e-01, -1.0003303e+00, 1.6739857e+00, 1.6155927e-01], [1.5634048e+00, -9.974677e-01, -9.073001e-01, 2.2425222e-01, -1.6786884e+00, 2.149656e-01], [9.721923e-02, 1.0156653e+00, 7.0104134e-01, -4.1747734e-01, -1.0974966e+00, 1.7123052e+00], [-7.9211503e-01, -1.0455246e+00, -1.084856e+00, 1.1173053e+00, -5.189002e-01, -7.537045e-01]]> : tensor<5x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<5x6xf32>, tensor<5x6xf32>) -> ()
    %want1 = stablehlo.constant dense<[[8.924739e-01, -4.2231482e-01, 1.0471403e-01, 2.2805333e-01, 2.0147994e-01, 5.407736e-01], [-2.069447e-01, -4.932407e-02, 2.390336e-01, -2.069447e-01, 1.6739857e+00, 1.6155927e-01], [1.5634048e+00, -7.90523e-01, -9.073001e-01, 2.2425222e-01, -1.6786884e+00, 2.149656e-01], [9.721923e-02, 1.0156653e+00, 7.0104134e-01, -4.1747734e-01, -1.0974966e+00, 1.7123052e+00], [1.3768983e-01, 1.3768983e-01, 1.3768983e-01, 1.1173053e+00, 1.3768983e-01, 1.3768983e-01]]> : tensor<5x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<5x6xf32>, tensor<5x6xf32>) -> ()
    %want2 = stablehlo.constant dense<[[8.924739e-01, -4.2231482e-01, 1.0471403e-01, 2.2805333e-01, 2.0147994e-01, 5.407736e-01], [1.3768983e-01, -4.932407e-02, 2.390336e-01, -1.0003303e+00, 1.6739857e+00, 1.6155927e-01], [-2.069447e-01, -7.90523e-01, -9.073001e-01, 2.2425222e-01, -1.6786884e+00, 2.149656e-01], [-6.7809546e-01, 1.0156653e+00, 7.0104134e-01, -4.1747734e-01, -1.0974966e+00, 1.7123052e+00], [-7.9211503e-01, -1.0455246e+00, -1.084856e+00, 1.1173053e+00, -5.189002e-01, -7.537045e-01]]> : tensor<5x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<5x6xf32>, tensor<5x6xf32>) -> ()
    %want3 = stablehlo.constant dense<[[8.924739e-01, -8.4462965e-01, 2.0942806e-01, 2.2805333e-01, 2.0147994e-01, 5.407736e-01], [-1.8180777e+00, -4.932407e-02, 2.390336e-01, -1.0003303e+00, 1.6739857e+00, 1.6155927e-01], [1.5634048e+00, -7.90523e-01, -9.073001e-01, 2.2425222e-01, -1.6786884e+00, 2.149656e-01], [9.721923e-02, 1.0156653e+00, 7.0104134e-01, -4.1747734e-01, -1.0974966e+00, 1.7123052e+00], [-7.9211503e-01, -1.0455246e+00, -1.084856e+00, 1.1173053e+00, -5.189002e-01, -7.537045e-01]]> : tensor<5x6xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#3, %want3) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<5x6xf32>, tensor<5x6xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<5x6xf32>, %arg1: tensor<3xf32>) -> (tensor<5x6xf32> {jax.result_info = "result[0]"}, tensor<5x6xf32> {jax.result_info = "result[1]"}, tensor<5x6xf32> {jax.result_info = "result[2]"}, tensor<5x6xf32> {jax.result_info = "result[3]"}) {
    %c = stablehlo.constant dense<[0, 2, 9]> : tensor<3xi32>
    %c_0 = stablehlo.constant dense<[4, 1, 0]> : tensor<3xi32>
    %c_1 = stablehlo.constant dense<0> : tensor<2xi32>
    %c_2 = stablehlo.constant dense<[1, 2]> : tensor<2xi32>
    %c_3 = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c_3, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %1 = stablehlo.compare LT, %c, %0, SIGNED : (tensor<3xi32>, tensor<3xi32>) -> tensor<3xi1>
    %c_4 = stablehlo.constant dense<5> : tensor<i32>
    %2 = stablehlo.broadcast_in_dim %c_4, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %3 = stablehlo.add %c, %2 : tensor<3xi32>
    %4 = stablehlo.select %1, %3, %c : tensor<3xi1>, tensor<3xi32>
    %c_5 = stablehlo.constant dense<1> : tensor<i32>
    %5 = stablehlo.broadcast_in_dim %c_5, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %6 = stablehlo.convert %5 : tensor<3xi32>
    %7 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<3xi32>) -> tensor<3x1xi32>
    %8 = stablehlo.broadcast_in_dim %6, dims = [0] : (tensor<3xi32>) -> tensor<3x1xi32>
    %9 = stablehlo.concatenate %7, %8, dim = 1 : (tensor<3x1xi32>, tensor<3x1xi32>) -> tensor<3x2xi32>
    %10 = "stablehlo.scatter"(%arg0, %9, %arg1) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0, 1], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 1>, unique_indices = false}> ({
    ^bb0(%arg2: tensor<f32>, %arg3: tensor<f32>):
      %39 = stablehlo.add %arg2, %arg3 : tensor<f32>
      stablehlo.return %39 : tensor<f32>
    }) : (tensor<5x6xf32>, tensor<3x2xi32>, tensor<3xf32>) -> tensor<5x6xf32>
    %11 = stablehlo.broadcast_in_dim %arg1, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
    %c_6 = stablehlo.constant dense<0> : tensor<i32>
    %12 = stablehlo.broadcast_in_dim %c_6, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %13 = stablehlo.compare LT, %c_0, %12, SIGNED : (tensor<3xi32>, tensor<3xi32>) -> tensor<3xi1>
    %c_7 = stablehlo.constant dense<5> : tensor<i32>
    %14 = stablehlo.broadcast_in_dim %c_7, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %15 = stablehlo.add %c_0, %14 : tensor<3xi32>
    %16 = stablehlo.select %13, %15, %c_0 : tensor<3xi1>, tensor<3xi32>
    %17 = stablehlo.broadcast_in_dim %16, dims = [0] : (tensor<3xi32>) -> tensor<3x1xi32>
    %18 = stablehlo.broadcast_in_dim %11, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x6xf32>
    %19 = "stablehlo.scatter"(%arg0, %17, %18) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, unique_indices = false}> ({
    ^bb0(%arg2: tensor<f32>, %arg3: tensor<f32>):
      %39 = stablehlo.maximum %arg2, %arg3 : tensor<f32>
      stablehlo.return %39 : tensor<f32>
    }) : (tensor<5x6xf32>, tensor<3x1xi32>, tensor<3x6xf32>) -> tensor<5x6xf32>
    %c_8 = stablehlo.constant dense<1> : tensor<i32>
    %20 = stablehlo.broadcast_in_dim %c_8, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %c_9 = stablehlo.constant dense<0> : tensor<i32>
    %21 = stablehlo.broadcast_in_dim %c_9, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %22 = stablehlo.concatenate %20, %21, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
    %23 = "stablehlo.scatter"(%arg0, %22, %arg1) <{indices_are_sorted = true, scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [0], inserted_window_dims = [1], scatter_dims_to_operand_dims = [0, 1]>, unique_indices = true}> ({
    ^bb0(%arg2: tensor<f32>, %arg3: tensor<f32>):
      stablehlo.return %arg3 : tensor<f32>
    }) : (tensor<5x6xf32>, tensor<2xi32>, tensor<3xf32>) -> tensor<5x6xf32>
    %c_10 = stablehlo.constant dense<0> : tensor<i32>
    %24 = stablehlo.broadcast_in_dim %c_10, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %25 = stablehlo.compare LT, %c_1, %24, SIGNED : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi1>
    %c_11 = stablehlo.constant dense<5> : tensor<i32>
    %26 = stablehlo.broadcast_in_dim %c_11, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %27 = stablehlo.add %c_1, %26 : tensor<2xi32>
    %28 = stablehlo.select %25, %27, %c_1 : tensor<2xi1>, tensor<2xi32>
    %c_12 = stablehlo.constant dense<0> : tensor<i32>
    %29 = stablehlo.broadcast_in_dim %c_12, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %30 = stablehlo.compare LT, %c_2, %29, SIGNED : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi1>
    %c_13 = stablehlo.constant dense<6> : tensor<i32>
    %31 = stablehlo.broadcast_in_dim %c_13, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %32 = stablehlo.add %c_2, %31 : tensor<2xi32>
    %33 = stablehlo.select %30, %32, %c_2 : tensor<2xi1>, tensor<2xi32>
    %34 = stablehlo.broadcast_in_dim %28, dims = [0] : (tensor<2xi32>) -> tensor<2x1xi32>
    %35 = stablehlo.broadcast_in_dim %33, dims = [0] : (tensor<2xi32>) -> tensor<2x1xi32>
    %36 = stablehlo.concatenate %34, %35, dim = 1 : (tensor<2x1xi32>, tensor<2x1xi32>) -> tensor<2x2xi32>
    %cst = stablehlo.constant dense<2.000000e+00> : tensor<f32>
    %37 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2xf32>
    %38 = "stablehlo.scatter"(%arg0, %36, %37) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0, 1], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 1>, unique_indices = false}> ({
    ^bb0(%arg2: tensor<f32>, %arg3: tensor<f32>):
      %39 = stablehlo.multiply %arg2, %arg3 : tensor<f32>
      stablehlo.return %39 : tensor<f32>
    }) : (tensor<5x6xf32>, tensor<2x2xi32>, tensor<2xf32>) -> tensor<5x6xf32>
    return %10, %19, %23, %38 : tensor<5x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>
  }
}
