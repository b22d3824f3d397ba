module @jit_special_functions attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[-3.5e+00, -1.75e+00, -9.0e-01, -3.0e-01, 0.0e+00, 1.0e-03, 7.0e-01, 1.5e+00, 2.5e+00, 5.0e+00]> : tensor<10xf32>
    %got:19 = call @program(%in0) : (tensor<10xf32>) -> (tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>)
    %want0 = stablehlo.constant dense<[-9.999992e-01, -9.866717e-01, -7.969082e-01, -3.286268e-01, 0.0e+00, 1.1283788e-03, 6.7780113e-01, 9.6610504e-01, 9.99593e-01, 1.0e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want1 = stablehlo.constant dense<[1.9999993e+00, 1.9866717e+00, 1.7969081e+00, 1.3286268e+00, 1.0e+00, 9.988716e-01, 3.2219887e-01, 3.3894856e-02, 4.0695202e-04, 1.5374597e-12]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want2 = stablehlo.constant dense<[-6.423766e-01, -2.8990203e-01, -1.4605081e-01, -4.837737e-02, 0.0e+00, 1.6113216e-04, 1.1327514e-01, 2.4660756e-01, 4.2750648e-01, 1.1954501e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want3 = stablehlo.constant dense<[1.225e+01, 3.0625e+00, 8.0999994e-01, 9.0e-02, 0.0e+00, 1.0000001e-06, 4.8999998e-01, 2.25e+00, 6.25e+00, 2.5e+01]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#3, %want3) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want4 = stablehlo.constant dense<[-8.142018e-04, -7.010353e-02, -1.6565415e-01, -1.1462659e-01, 0.0e+00, 5.00399e-04, 5.306254e-01, 1.3997892e+00, 2.4844759e+00, 4.9999986e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#4, %want4) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want5 = stablehlo.constant dense<[1.5040774e+00, 1.011601e+00, 6.4185387e-01, 2.6236427e-01, 0.0e+00, 9.995004e-04, 5.3062826e-01, 9.1629076e-01, 1.252763e+00, 1.7917595e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#5, %want5) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want6 = stablehlo.constant dense<[-9.698026e-01, -8.2622606e-01, -5.9343034e-01, -2.5918177e-01, 0.0e+00, 1.0005e-03, 1.0137527e+00, 3.481689e+00, 1.1182494e+01, 1.4741316e+02]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#6, %want6) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want7 = stablehlo.constant dense<[-9.9817795e-01, -9.4137555e-01, -7.1629786e-01, -2.913126e-01, 0.0e+00, 9.999996e-04, 6.043678e-01, 9.051482e-01, 9.8661435e-01, 9.9990916e-01]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#7, %want7) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want8 = stablehlo.constant dense<[-1.5182945e+00, -1.2050711e+00, -9.654894e-01, -6.6943294e-01, 0.0e+00, 1.0e-01, 8.87904e-01, 1.1447142e+00, 1.3572088e+00, 1.709976e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#8, %want8) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want9 = stablehlo.constant dense<[-3.7458563e-01, 5.52038e+00, -1.2601582e+00, -3.0933627e-01, 0.0e+00, 1.0000004e-03, 8.422884e-01, 1.410142e+01, -7.4702233e-01, -3.380515e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#9, %want9) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want10 = stablehlo.constant dense<[2.931223e-02, 1.4804721e-01, 2.890505e-01, 4.255575e-01, 5.0e-01, 5.0025e-01, 6.6818774e-01, 8.1757444e-01, 9.241418e-01, 9.933072e-01]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#10, %want10) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want11 = stablehlo.constant dense<[-1.2924967e+00, -1.0516502e+00, -7.3281515e-01, -2.914568e-01, 0.0e+00, 9.999997e-04, 6.1072594e-01, 9.827938e-01, 1.19029e+00, 1.3734008e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#11, %want11) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want12 = stablehlo.constant dense<[-6.89775e-01, -3.23811e-01, -1.6437559e-01, -5.457254e-02, 0.0e+00, 1.8181819e-04, 1.2761885e-01, 2.7622664e-01, 4.7186187e-01, 1.1410967e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#12, %want12) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want13 = stablehlo.constant dense<[2.2605712e+00, 1.8946073e+00, 1.7351719e+00, 1.6253688e+00, 1.5707964e+00, 1.5706145e+00, 1.4431775e+00, 1.2945697e+00, 1.0989345e+00, 4.296996e-01]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#13, %want13) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want14 = stablehlo.constant dense<[-1.6542627e+01, -2.7904143e+00, -1.0265167e+00, -3.0452025e-01, 0.0e+00, 1.0e-03, 7.5858366e-01, 2.1292794e+00, 6.0502048e+00, 7.420321e+01]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#14, %want14) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want15 = stablehlo.constant dense<[1.6572824e+01, 2.964188e+00, 1.4330864e+00, 1.0453385e+00, 1.0e+00, 1.0000005e+00, 1.255169e+00, 2.3524096e+00, 6.1322894e+00, 7.420995e+01]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#15, %want15) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want16 = stablehlo.constant dense<[-1.9657205e+00, -1.3258978e+00, -8.0886686e-01, -2.9567307e-01, 0.0e+00, 9.999999e-04, 6.526665e-01, 1.1947632e+00, 1.6472311e+00, 2.3124385e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#16, %want16) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want17 = stablehlo.constant dense<[-7.5203866e-01, -3.296228e-01, -1.6512085e-01, -5.459965e-02, 0.0e+00, 1.8181819e-04, 1.2796669e-01, 2.798079e-01, 4.9041468e-01, 1.5222614e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#17, %want17) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    %want18 = stablehlo.constant dense<[2.1846437e+00, 1.669919e+00, 1.2571957e+00, 7.5643295e-01, 0.0e+00, 4.4717636e-02, 1.123231e+00, 1.5667994e+00, 1.9248474e+00, 2.4778886e+00]> : tensor<10xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#18, %want18) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10xf32>, tensor<10xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<10xf32>) -> (tensor<10xf32> {jax.result_info = "result[0][0]"}, tensor<10xf32> {jax.result_info = "result[0][1]"}, tensor<10xf32> {jax.result_info = "result[0][2]"}, tensor<10xf32> {jax.result_info = "result[0][3]"}, tensor<10xf32> {jax.result_info = "result[0][4]"}, tensor<10xf32> {jax.result_info = "result[1][0]"}, tensor<10xf32> {jax.result_info = "result[1][1]"}, tensor<10xf32> {jax.result_info = "result[1][2]"}, tensor<10xf32> {jax.result_info = "result[1][3]"}, tensor<10xf32> {jax.result_info = "result[1][4]"}, tensor<10xf32> {jax.result_info = "result[1][5]"}, tensor<10xf32> {jax.result_info = "result[2][0]"}, tensor<10xf32> {jax.result_info = "result[2][1]"}, tensor<10xf32> {jax.result_info = "result[2][2]"}, tensor<10xf32> {jax.result_info = "result[2][3]"}, tensor<10xf32> {jax.result_info = "result[2][4]"}, tensor<10xf32> {jax.result_info = "result[3][0]"}, tensor<10xf32> {jax.result_info = "result[3][1]"}, tensor<10xf32> {jax.result_info = "result[3][2]"}) {
    %cst = stablehlo.constant dense<5.500000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<10xf32>
    %1 = stablehlo.divide %arg0, %0 : tensor<10xf32>
    %2 = chlo.erf %arg0 : tensor<10xf32> -> tensor<10xf32>
    %3 = chlo.erfc %arg0 : tensor<10xf32> -> tensor<10xf32>
    %4 = chlo.erf_inv %1 : tensor<10xf32> -> tensor<10xf32>
    %5 = chlo.square %arg0 : tensor<10xf32> -> tensor<10xf32>
    %cst_0 = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %6 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<10xf32>
    %7 = stablehlo.multiply %6, %arg0 : tensor<10xf32>
    %8 = stablehlo.negate %arg0 : tensor<10xf32>
    %cst_1 = stablehlo.constant dense<0.707106769> : tensor<f32>
    %9 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<10xf32>
    %10 = stablehlo.multiply %8, %9 : tensor<10xf32>
    %11 = chlo.erfc %10 : tensor<10xf32> -> tensor<10xf32>
    %12 = stablehlo.multiply %7, %11 : tensor<10xf32>
    %13 = stablehlo.abs %arg0 : tensor<10xf32>
    %14 = stablehlo.log_plus_one %13 : tensor<10xf32>
    %15 = stablehlo.exponential_minus_one %arg0 : tensor<10xf32>
    %16 = stablehlo.tanh %arg0 : tensor<10xf32>
    %17 = stablehlo.cbrt %arg0 : tensor<10xf32>
    %18 = stablehlo.tan %arg0 : tensor<10xf32>
    %19 = stablehlo.negate %arg0 : tensor<10xf32>
    %20 = stablehlo.exponential %19 : tensor<10xf32>
    %cst_2 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %21 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<10xf32>
    %22 = stablehlo.add %21, %20 : tensor<10xf32>
    %cst_3 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %23 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<f32>) -> tensor<10xf32>
    %24 = stablehlo.divide %23, %22 : tensor<10xf32>
    %25 = chlo.atan %arg0 : tensor<10xf32> -> tensor<10xf32>
    %26 = chlo.asin %1 : tensor<10xf32> -> tensor<10xf32>
    %27 = chlo.acos %1 : tensor<10xf32> -> tensor<10xf32>
    %28 = chlo.sinh %arg0 : tensor<10xf32> -> tensor<10xf32>
    %29 = chlo.cosh %arg0 : tensor<10xf32> -> tensor<10xf32>
    %30 = chlo.asinh %arg0 : tensor<10xf32> -> tensor<10xf32>
    %31 = chlo.atanh %1 : tensor<10xf32> -> tensor<10xf32>
    %32 = stablehlo.abs %arg0 : tensor<10xf32>
    %cst_4 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %33 = stablehlo.broadcast_in_dim %cst_4, dims = [] : (tensor<f32>) -> tensor<10xf32>
    %34 = stablehlo.add %32, %33 : tensor<10xf32>
    %35 = call @arccosh(%34) : (tensor<10xf32>) -> tensor<10xf32>
    return %2, %3, %4, %5, %12, %14, %15, %16, %17, %18, %24, %25, %26, %27, %28, %29, %30, %31, %35 : tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>
  }
  func.func private @arccosh(%arg0: tensor<10xf32>) -> tensor<10xf32> {
    %0 = chlo.acosh %arg0 : tensor<10xf32> -> tensor<10xf32>
    return %0 : tensor<10xf32>
  }
}
