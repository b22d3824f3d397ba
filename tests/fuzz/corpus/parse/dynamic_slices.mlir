module @jit_dynamic_slices attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[3.7005723e-02, 7.6790243e-01, 5.898798e-01, -3.6385882e-01, -8.056265e-01], [-1.1183119e+00, -1.3105401e-01, 1.1330799e+00, -1.9518042e+00, -6.598917e-01], [-1.1398025e+00, 7.849575e-01, -5.543096e-01, -4.7063765e-01, -2.1694957e-01], [4.4539326e-01, -3.92389e-01, -3.046143e+00, 5.433119e-01, 4.3904296e-01], [-2.1954103e-01, -1.0840366e+00, 3.5178012e-01, 3.7923554e-01, -4.7003287e-01], [-2.1673147e-01, -9.301565e-01, -1.7858909e-01, -1.5504293e+00, 4.1731882e-01]]> : tensor<6x5xf32>
    %in1 = stablehlo.constant dense<4> : tensor<i32>
    %in2 = stablehlo.constant dense<1> : tensor<i32>
    %in3 = stablehlo.constant dense<[[-9.443685e-01, 2.3810315e-01], [-1.405963e+00, -5.900577e-01]]> : tensor<2x2xf32>
    %got:2 = call @program(%in0, %in1, %in2, %in3) : (tensor<6x5xf32>, tensor<i32>, tensor<i32>, tensor<2x2xf32>) -> (tensor<3x2xf32>, tensor<6x5xf32>)
    %want0 = stablehlo.constant dense<[[-3.92389e-01, -3.046143e+00], [-1.0840366e+00, 3.5178012e-01], [-9.301565e-01, -1.7858909e-01]]> : tensor<3x2xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x2xf32>, tensor<3x2xf32>) -> ()
    %want1 = stablehlo.constant dense<[[3.7005723e-02, 7.6790243e-01, 5.898798e-01, -3.6385882e-01, -8.056265e-01], [-1.1183119e+00, -1.3105401e-01, 1.1330799e+00, -1.9518042e+00, -6.598917e-01], [-1.1398025e+00, 7.849575e-01, -5.543096e-01, -4.7063765e-01, -2.1694957e-01], [4.4539326e-01, -3.92389e-01, -3.046143e+00, 5.433119e-01, 4.3904296e-01], [-2.1954103e-01, -9.443685e-01, 2.3810315e-01, 3.7923554e-01, -4.7003287e-01], [-2.1673147e-01, -1.405963e+00, -5.900577e-01, -1.5504293e+00, 4.1731882e-01]]> : tensor<6x5xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<6x5xf32>, tensor<6x5xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<6x5xf32>, %arg1: tensor<i32>, %arg2: tensor<i32>, %arg3: tensor<2x2xf32>) -> (tensor<3x2xf32> {jax.result_info = "result[0]"}, tensor<6x5xf32> {jax.result_info = "result[1]"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.compare LT, %arg1, %c, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %c_0 = stablehlo.constant dense<6> : tensor<i32>
    %1 = stablehlo.add %arg1, %c_0 : tensor<i32>
    %2 = stablehlo.select %0, %1, %arg1 : tensor<i1>, tensor<i32>
    %c_1 = stablehlo.constant dense<0> : tensor<i32>
    %3 = stablehlo.compare LT, %arg2, %c_1, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %c_2 = stablehlo.constant dense<5> : tensor<i32>
    %4 = stablehlo.add %arg2, %c_2 : tensor<i32>
    %5 = stablehlo.select %3, %4, %arg2 : tensor<i1>, tensor<i32>
    %6 = stablehlo.dynamic_slice %arg0, %2, %5, sizes = [3, 2] : (tensor<6x5xf32>, tensor<i32>, tensor<i32>) -> tensor<3x2xf32>
    %c_3 = stablehlo.constant dense<0> : tensor<i32>
    %7 = stablehlo.compare LT, %arg1, %c_3, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %c_4 = stablehlo.constant dense<6> : tensor<i32>
    %8 = stablehlo.add %arg1, %c_4 : tensor<i32>
    %9 = stablehlo.select %7, %8, %arg1 : tensor<i1>, tensor<i32>
    %c_5 = stablehlo.constant dense<0> : tensor<i32>
    %10 = stablehlo.compare LT, %arg2, %c_5, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %c_6 = stablehlo.constant dense<5> : tensor<i32>
    %11 = stablehlo.add %arg2, %c_6 : tensor<i32>
    %12 = stablehlo.select %10, %11, %arg2 : tensor<i1>, tensor<i32>
    %13 = stablehlo.dynamic_update_slice %arg0, %arg3, %9, %12 : (tensor<6x5xf32>, tensor<2x2xf32>, tensor<i32>, tensor<i32>) -> tensor<6x5xf32>
    return %6, %13 : tensor<3x2xf32>, tensor<6x5xf32>
  }
}
