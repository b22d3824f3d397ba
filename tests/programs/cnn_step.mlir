module @jit_cnn_step attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[[[-1.736549e-01, -9.346576e-02]], [[1.6849604e-02, -3.4954494e-01]], [[2.7024794e-01, 1.3969873e-01]]], [[[-4.608731e-01, 4.4647565e-01]], [[5.687668e-01, 3.5363388e-01]], [[-5.3977452e-02, -3.212258e-01]]], [[[3.1633553e-01, -1.2095308e-01]], [[3.6673352e-01, 6.2482495e-02]], [[2.929917e-01, 1.06909916e-01]]]]> : tensor<3x3x1x2xf32>
    %in1 = stablehlo.constant dense<[[[[2.1197195e-01, 3.1500063e-03, 5.357612e-01], [3.807363e-02, 1.2059681e-01, 5.649452e-01]], [[-4.0432772e-01, -3.811455e-01, 2.9081902e-01], [-3.5193703e-01, 5.830864e-01, -1.24085695e-01]], [[-2.2423644e-01, 5.768826e-01, 4.4415444e-01], [5.602677e-01, 2.718134e-01, -2.5836772e-01]]], [[[5.730195e-01, -8.040101e-02, 2.4073692e-01], [2.841756e-01, -4.650303e-02, 1.8422382e-01]], [[2.76662e-01, 1.1292766e-01, -3.2982025e-01], [8.947145e-02, 3.9791578e-01, -2.0837036e-01]], [[-4.4890363e-02, -1.3054606e-01, 5.547791e-01], [2.0168842e-01, 1.22238554e-01, -2.3097482e-01]]], [[[1.6177475e-01, -2.022998e-01, 9.549168e-03], [-1.9075382e-01, 2.0292999e-01, 1.7297724e-01]], [[-6.2489625e-02, 1.1880201e-01, -3.2791844e-01], [-4.4737726e-01, 1.318175e-01, 5.000205e-02]], [[1.9050944e-01, 7.149434e-01, 2.8334385e-01], [-2.7384666e-01, 3.3510488e-01, -3.9477223e-01]]]]> : tensor<3x3x2x3xf32>
    %in2 = stablehlo.constant dense<[[-1.3847539e-01, -2.0472482e-02, 5.140028e-01, -2.2342645e-01], [-2.4793155e-01, -2.9535757e-02, -1.9904348e-01, 3.379908e-01], [-3.2397947e-01, -3.442406e-01, -1.3134602e-01, -1.4940974e-01], [5.788596e-01, 2.8482625e-01, 2.6265372e-02, -3.6763066e-01], [2.533089e-01, -3.000646e-01, -4.6343133e-01, 3.5640892e-01], [9.508278e-02, 2.7625763e-01, 9.561829e-02, 2.5704917e-01], [-1.9530767e-01, -3.1027284e-01, 2.0447835e-01, -2.410229e-01], [-2.0686494e-01, -1.3665976e-01, 5.2437475e-03, -1.0619818e-01], [-4.124854e-01, -1.9308552e-01, -6.670209e-01, 1.8756944e-01], [-4.8061728e-01, -3.31315e-01, 1.5649524e-02, -2.218689e-01], [4.6290436e-01, -3.8785708e-01, 8.011526e-02, -1.1784845e-02], [-3.5042804e-01, 1.56983e-01, -5.14639e-02, 2.3153716e-01]]> : tensor<12x4xf32>
    %in3 = stablehlo.constant dense<[[[[8.2350415e-01], [2.163236e+00], [1.336528e+00], [-3.6918184e-01], [-2.3937918e-01], [1.0996596e+00], [6.552637e-01], [6.4013153e-01]], [[-1.616956e+00], [-2.4326125e-02], [-7.380309e-01], [2.799246e-01], [-9.815039e-02], [9.101789e-01], [3.172182e-01], [7.8632796e-01]], [[-4.664191e-01], [-9.4444627e-01], [-4.100497e-01], [-1.7020414e-02], [3.7915173e-01], [2.259309e+00], [-4.2257152e-02], [-9.55945e-01]], [[-3.4598178e-01], [-4.63596e-01], [4.8148146e-01], [-1.540797e+00], [6.326199e-02], [1.5650654e-01], [2.3218104e-01], [-5.973161e-01]], [[-2.3792173e-01], [-1.424061e+00], [-4.9331987e-01], [-5.4286146e-01], [4.1605005e-01], [-1.1561824e+00], [7.811981e-01], [1.4944845e+00]], [[-2.069985e+00], [4.2625874e-01], [6.76908e-01], [-6.3743705e-01], [-3.972718e-01], [-1.3288058e-01], [-2.9779088e-01], [-3.0901298e-01]], [[-1.6760038e+00], [1.1523316e+00], [1.0796186e+00], [-8.1336427e-01], [-1.4664243e+00], [5.210649e-01], [-5.7578796e-01], [1.4195317e-01]], [[-3.1932843e-01], [6.9153875e-01], [6.947491e-01], [-7.255974e-01], [-1.383364e+00], [-1.5829384e+00], [6.103794e-01], [-1.1888592e+00]]], [[[-5.068163e-01], [-5.96314e-01], [-5.2567296e-02], [-1.9362798e+00], [1.887786e-01], [5.2389103e-01], [8.842209e-02], [-3.1088617e-01]], [[9.7400166e-02], [3.9904633e-01], [-2.7725928e+00], [1.9559124e+00], [3.9009333e-01], [-6.524086e-01], [-3.9095336e-01], [4.9374178e-01]], [[-1.1610394e-01], [-2.0306845e+00], [2.064493e+00], [-1.1054066e-01], [1.0201727e+00], [-6.9204986e-01], [1.5363771e+00], [2.863437e-01]], [[6.0884386e-01], [-1.0452534e+00], [1.2111453e+00], [6.8981814e-01], [1.3018463e+00], [-6.280876e-01], [-4.8102713e-01], [2.3039167e+00]], [[-1.0600158e+00], [-1.359497e-01], [1.1368914e+00], [9.772497e-02], [5.829537e-01], [-3.9944902e-01], [3.7005588e-01], [-1.3065269e+00]], [[1.6581306e+00], [-1.1816405e-01], [-6.801782e-01], [6.663831e-01], [-4.607198e-01], [-1.3342584e+00], [-1.3467175e+00], [6.9377315e-01]], [[-1.5957344e-01], [-1.3370156e-01], [1.0777438e+00], [-1.1268258e+00], [-7.306777e-01], [-3.848798e-01], [9.435159e-02], [-4.2171452e-02]], [[-2.868872e-01], [-6.16264e-02], [-1.0730527e-01], [-7.196044e-01], [-8.12993e-01], [2.7451634e-01], [-8.909151e-01], [-1.1573553e+00]]]]> : tensor<2x8x8x1xf32>
    %in4 = stablehlo.constant dense<[1, 3]> : tensor<2xi32>
    %got:4 = call @program(%in0, %in1, %in2, %in3, %in4) : (tensor<3x3x1x2xf32>, tensor<3x3x2x3xf32>, tensor<12x4xf32>, tensor<2x8x8x1xf32>, tensor<2xi32>) -> (tensor<f32>, tensor<3x3x1x2xf32>, tensor<3x3x2x3xf32>, tensor<12x4xf32>)
    %want0 = stablehlo.constant dense<1.4261408e+00> : tensor<f32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<f32>, tensor<f32>) -> ()
    %want1 = stablehlo.constant dense<[[[[-1.6150491e-01, -1.2272094e-01]], [[2.2944994e-02, -3.004663e-01]], [[2.740697e-01, 1.4215195e-01]]], [[[-4.1277677e-01, 3.915305e-01]], [[5.709244e-01, 3.1460685e-01]], [[-4.4254374e-02, -3.2945913e-01]]], [[[3.564354e-01, -9.374328e-02]], [[3.6592135e-01, 5.358471e-02]], [[2.8550872e-01, 1.4747855e-01]]]]> : tensor<3x3x1x2xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x3x1x2xf32>, tensor<3x3x1x2xf32>) -> ()
    %want2 = stablehlo.constant dense<[[[[2.3162647e-01, -4.8462473e-02, 5.281576e-01], [2.786666e-02, 1.09397426e-01, 5.700229e-01]], [[-4.0977478e-01, -3.7948343e-01, 2.9834014e-01], [-3.5176155e-01, 5.313439e-01, -1.3772815e-01]], [[-2.2645849e-01, 5.637908e-01, 4.2683437e-01], [5.576059e-01, 2.759754e-01, -2.6212272e-01]]], [[[5.894537e-01, -1.1936503e-01, 2.2163893e-01], [2.9141188e-01, -7.23901e-02, 1.7922908e-01]], [[2.6247248e-01, 1.1208916e-01, -3.1889853e-01], [1.05339386e-01, 3.6685646e-01, -2.0904058e-01]], [[-4.632239e-02, -1.4407425e-01, 5.4809076e-01], [1.9977869e-01, 1.1743116e-01, -2.3833884e-01]]], [[[1.7368469e-01, -2.2621682e-01, 1.6796113e-03], [-1.8159455e-01, 1.9580135e-01, 1.7408302e-01]], [[-5.831278e-02, 1.06183946e-01, -3.3086625e-01], [-4.3036115e-01, 1.01645745e-01, 4.7977336e-02]], [[1.9050944e-01, 7.087756e-01, 2.79394e-01], [-2.7384666e-01, 3.3088627e-01, -3.9822286e-01]]]]> : tensor<3x3x2x3xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#2, %want2) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<3x3x2x3xf32>, tensor<3x3x2x3xf32>) -> ()
    %want3 = stablehlo.constant dense<[[-1.3847539e-01, -2.0472482e-02, 5.140028e-01, -2.2342645e-01], [-2.6639673e-01, 8.650614e-02, -2.1126804e-01, 2.526386e-01], [-3.3535755e-01, -2.7970898e-01, -1.3876946e-01, -1.9513983e-01], [5.744558e-01, 3.1335425e-01, 2.3336519e-02, -3.8882598e-01], [2.4637918e-01, -2.7098015e-01, -4.6779242e-01, 3.386153e-01], [8.400053e-02, 3.2761705e-01, 8.8567935e-02, 2.2382239e-01], [-2.0338473e-01, -2.462059e-01, 1.9892259e-01, -2.9145703e-01], [-2.1128455e-01, -1.0877426e-01, 2.3160821e-03, -1.267364e-01], [-4.2558143e-01, -1.3055316e-01, -6.7538124e-01, 1.4649345e-01], [-4.8072892e-01, -3.3001924e-01, 1.5566313e-02, -2.2296983e-01], [4.5845062e-01, -3.6019865e-01, 7.7171914e-02, -3.2046206e-02], [-3.537318e-01, 1.6641502e-01, -5.3473607e-02, 2.2741862e-01]]> : tensor<12x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#3, %want3) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<12x4xf32>, tensor<12x4xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<3x3x1x2xf32>, %arg1: tensor<3x3x2x3xf32>, %arg2: tensor<12x4xf32>, %arg3: tensor<2x8x8x1xf32>, %arg4: tensor<2xi32>) -> (tensor<f32> {jax.result_info = "result[0]"}, tensor<3x3x1x2xf32> {jax.result_info = "result[1][0]"}, tensor<3x3x2x3xf32> {jax.result_info = "result[1][1]"}, tensor<12x4xf32> {jax.result_info = "result[1][2]"}) {
    %0 = stablehlo.convolution(%arg3, %arg0) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], window = {stride = [1, 1], pad = [[1, 1], [1, 1]], lhs_dilate = [1, 1], rhs_dilate = [1, 1], reverse = [false, false]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<2x8x8x1xf32>, tensor<3x3x1x2xf32>) -> tensor<2x8x8x2xf32>
    %1 = call @relu(%0) : (tensor<2x8x8x2xf32>) -> tensor<2x8x8x2xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x8x8x2xf32>
    %3 = stablehlo.compare GT, %0, %2, FLOAT : (tensor<2x8x8x2xf32>, tensor<2x8x8x2xf32>) -> tensor<2x8x8x2xi1>
    %cst_0 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %4 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<f32>
    %5 = "stablehlo.reduce_window"(%1, %4) <{base_dilations = array<i64: 1, 1, 1, 1>, padding = dense<0> : tensor<4x2xi64>, window_dilations = array<i64: 1, 1, 1, 1>, window_dimensions = array<i64: 1, 2, 2, 1>, window_strides = array<i64: 1, 2, 2, 1>}> ({
    ^bb0(%arg5: tensor<f32>, %arg6: tensor<f32>):
      %61 = stablehlo.maximum %arg5, %arg6 : tensor<f32>
      stablehlo.return %61 : tensor<f32>
    }) : (tensor<2x8x8x2xf32>, tensor<f32>) -> tensor<2x4x4x2xf32>
    %6 = stablehlo.convolution(%5, %arg1) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], window = {stride = [2, 2], pad = [[0, 1], [0, 1]], lhs_dilate = [1, 1], rhs_dilate = [1, 1], reverse = [false, false]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<2x4x4x2xf32>, tensor<3x3x2x3xf32>) -> tensor<2x2x2x3xf32>
    %7 = call @relu_0(%6) : (tensor<2x2x2x3xf32>) -> tensor<2x2x2x3xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %8 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<2x2x2x3xf32>
    %9 = stablehlo.compare GT, %6, %8, FLOAT : (tensor<2x2x2x3xf32>, tensor<2x2x2x3xf32>) -> tensor<2x2x2x3xi1>
    %10 = stablehlo.reshape %7 : (tensor<2x2x2x3xf32>) -> tensor<2x12xf32>
    %11 = stablehlo.dot_general %10, %arg2, contracting_dims = [1] x [0], precision = [DEFAULT, DEFAULT] : (tensor<2x12xf32>, tensor<12x4xf32>) -> tensor<2x4xf32>
    %12:3 = call @log_softmax(%11) : (tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x1xf32>)
    %13 = stablehlo.iota dim = 0 : tensor<2xi32>
    %c = stablehlo.constant dense<0> : tensor<i32>
    %14 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %15 = stablehlo.compare LT, %13, %14, SIGNED : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi1>
    %c_2 = stablehlo.constant dense<2> : tensor<i32>
    %16 = stablehlo.broadcast_in_dim %c_2, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %17 = stablehlo.add %13, %16 : tensor<2xi32>
    %18 = stablehlo.select %15, %17, %13 : tensor<2xi1>, tensor<2xi32>
    %c_3 = stablehlo.constant dense<0> : tensor<i32>
    %19 = stablehlo.broadcast_in_dim %c_3, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %20 = stablehlo.compare LT, %arg4, %19, SIGNED : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi1>
    %c_4 = stablehlo.constant dense<4> : tensor<i32>
    %21 = stablehlo.broadcast_in_dim %c_4, dims = [] : (tensor<i32>) -> tensor<2xi32>
    %22 = stablehlo.add %arg4, %21 : tensor<2xi32>
    %23 = stablehlo.select %20, %22, %arg4 : tensor<2xi1>, tensor<2xi32>
    %24 = stablehlo.broadcast_in_dim %18, dims = [0] : (tensor<2xi32>) -> tensor<2x1xi32>
    %25 = stablehlo.broadcast_in_dim %23, dims = [0] : (tensor<2xi32>) -> tensor<2x1xi32>
    %26 = stablehlo.concatenate %24, %25, dim = 1 : (tensor<2x1xi32>, tensor<2x1xi32>) -> tensor<2x2xi32>
    %27 = "stablehlo.gather"(%12#0, %26) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0, 1], start_index_map = [0, 1], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 1>}> : (tensor<2x4xf32>, tensor<2x2xi32>) -> tensor<2xf32>
    %cst_5 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %28 = stablehlo.reduce(%27 init: %cst_5) applies stablehlo.add across dimensions = [0] : (tensor<2xf32>, tensor<f32>) -> tensor<f32>
    %cst_6 = stablehlo.constant dense<2.000000e+00> : tensor<f32>
    %29 = stablehlo.divide %28, %cst_6 : tensor<f32>
    %30 = stablehlo.negate %29 : tensor<f32>
    %cst_7 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %31 = stablehlo.negate %cst_7 : tensor<f32>
    %cst_8 = stablehlo.constant dense<2.000000e+00> : tensor<f32>
    %32 = stablehlo.divide %31, %cst_8 : tensor<f32>
    %33 = stablehlo.broadcast_in_dim %32, dims = [] : (tensor<f32>) -> tensor<2xf32>
    %cst_9 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %34 = stablehlo.broadcast_in_dim %cst_9, dims = [] : (tensor<f32>) -> tensor<2x4xf32>
    %35 = "stablehlo.scatter"(%34, %26, %33) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0, 1], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 1>, unique_indices = false}> ({
    ^bb0(%arg5: tensor<f32>, %arg6: tensor<f32>):
      %61 = stablehlo.add %arg5, %arg6 : tensor<f32>
      stablehlo.return %61 : tensor<f32>
    }) : (tensor<2x4xf32>, tensor<2x2xi32>, tensor<2xf32>) -> tensor<2x4xf32>
    %36 = call @log_softmax_1(%12#1, %12#2, %35) : (tensor<2x4xf32>, tensor<2x1xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
    %37 = stablehlo.dot_general %36, %10, contracting_dims = [0] x [0], precision = [DEFAULT, DEFAULT] : (tensor<2x4xf32>, tensor<2x12xf32>) -> tensor<4x12xf32>
    %38 = stablehlo.transpose %37, dims = [1, 0] : (tensor<4x12xf32>) -> tensor<12x4xf32>
    %39 = stablehlo.dot_general %36, %arg2, contracting_dims = [1] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x4xf32>, tensor<12x4xf32>) -> tensor<2x12xf32>
    %40 = stablehlo.reshape %39 : (tensor<2x12xf32>) -> tensor<2x2x2x3xf32>
    %cst_10 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %41 = stablehlo.broadcast_in_dim %cst_10, dims = [] : (tensor<f32>) -> tensor<2x2x2x3xf32>
    %42 = stablehlo.select %9, %40, %41 : tensor<2x2x2x3xi1>, tensor<2x2x2x3xf32>
    %43 = stablehlo.convolution(%5, %42) dim_numbers = [f, 0, 1, b]x[i, 0, 1, o]->[0, 1, b, f], window = {stride = [1, 1], pad = [[0, 1], [0, 1]], lhs_dilate = [1, 1], rhs_dilate = [2, 2], reverse = [false, false]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<2x4x4x2xf32>, tensor<2x2x2x3xf32>) -> tensor<3x3x2x3xf32>
    %44 = stablehlo.reverse %arg1, dims = [0, 1] : tensor<3x3x2x3xf32>
    %45 = stablehlo.convolution(%42, %44) dim_numbers = [b, 0, 1, f]x[0, 1, o, i]->[b, 0, 1, f], window = {stride = [1, 1], pad = [[2, 1], [2, 1]], lhs_dilate = [2, 2], rhs_dilate = [1, 1], reverse = [false, false]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<2x2x2x3xf32>, tensor<3x3x2x3xf32>) -> tensor<2x4x4x2xf32>
    %cst_11 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %46 = stablehlo.pad %1, %cst_11, low = [0, 0, 0, 0], high = [0, 0, 0, 0], interior = [0, 0, 0, 0] : (tensor<2x8x8x2xf32>, tensor<f32>) -> tensor<2x8x8x2xf32>
    %cst_12 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %47 = "stablehlo.select_and_scatter"(%46, %45, %cst_12) <{padding = dense<0> : tensor<4x2xi64>, window_dimensions = array<i64: 1, 2, 2, 1>, window_strides = array<i64: 1, 2, 2, 1>}> ({
    ^bb0(%arg5: tensor<f32>, %arg6: tensor<f32>):
      %61 = stablehlo.compare GE, %arg5, %arg6, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %61 : tensor<i1>
    }, {
    ^bb0(%arg5: tensor<f32>, %arg6: tensor<f32>):
      %61 = stablehlo.add %arg5, %arg6 : tensor<f32>
      stablehlo.return %61 : tensor<f32>
    }) : (tensor<2x8x8x2xf32>, tensor<2x4x4x2xf32>, tensor<f32>) -> tensor<2x8x8x2xf32>
    %48 = stablehlo.slice %47 [0:2, 0:8, 0:8, 0:2] : (tensor<2x8x8x2xf32>) -> tensor<2x8x8x2xf32>
    %cst_13 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %49 = stablehlo.broadcast_in_dim %cst_13, dims = [] : (tensor<f32>) -> tensor<2x8x8x2xf32>
    %50 = stablehlo.select %3, %48, %49 : tensor<2x8x8x2xi1>, tensor<2x8x8x2xf32>
    %51 = stablehlo.convolution(%arg3, %50) dim_numbers = [f, 0, 1, b]x[i, 0, 1, o]->[0, 1, b, f], window = {stride = [1, 1], pad = [[1, 1], [1, 1]], lhs_dilate = [1, 1], rhs_dilate = [1, 1], reverse = [false, false]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<2x8x8x1xf32>, tensor<2x8x8x2xf32>) -> tensor<3x3x1x2xf32>
    %cst_14 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %52 = stablehlo.broadcast_in_dim %cst_14, dims = [] : (tensor<f32>) -> tensor<3x3x1x2xf32>
    %53 = stablehlo.multiply %52, %51 : tensor<3x3x1x2xf32>
    %54 = stablehlo.subtract %arg0, %53 : tensor<3x3x1x2xf32>
    %cst_15 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %55 = stablehlo.broadcast_in_dim %cst_15, dims = [] : (tensor<f32>) -> tensor<3x3x2x3xf32>
    %56 = stablehlo.multiply %55, %43 : tensor<3x3x2x3xf32>
    %57 = stablehlo.subtract %arg1, %56 : tensor<3x3x2x3xf32>
    %cst_16 = stablehlo.constant dense<1.000000e-01> : tensor<f32>
    %58 = stablehlo.broadcast_in_dim %cst_16, dims = [] : (tensor<f32>) -> tensor<12x4xf32>
    %59 = stablehlo.multiply %58, %38 : tensor<12x4xf32>
    %60 = stablehlo.subtract %arg2, %59 : tensor<12x4xf32>
    return %30, %54, %57, %60 : tensor<f32>, tensor<3x3x1x2xf32>, tensor<3x3x2x3xf32>, tensor<12x4xf32>
  }
  func.func private @relu(%arg0: tensor<2x8x8x2xf32>) -> tensor<2x8x8x2xf32> {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x8x8x2xf32>
    %1 = stablehlo.maximum %arg0, %0 : tensor<2x8x8x2xf32>
    return %1 : tensor<2x8x8x2xf32>
  }
  func.func private @relu_0(%arg0: tensor<2x2x2x3xf32>) -> tensor<2x2x2x3xf32> {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x2x2x3xf32>
    %1 = stablehlo.maximum %arg0, %0 : tensor<2x2x2x3xf32>
    return %1 : tensor<2x2x2x3xf32>
  }
  func.func private @log_softmax(%arg0: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x1xf32>) {
    %cst = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %0 = stablehlo.reduce(%arg0 init: %cst) applies stablehlo.maximum across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %cst_0 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %1 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<2xf32>
    %2 = stablehlo.maximum %1, %0 : tensor<2xf32>
    %3 = stablehlo.broadcast_in_dim %2, dims = [0] : (tensor<2xf32>) -> tensor<2x1xf32>
    %4 = stablehlo.broadcast_in_dim %3, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x4xf32>
    %5 = stablehlo.subtract %arg0, %4 : tensor<2x4xf32>
    %6 = stablehlo.exponential %5 : tensor<2x4xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %7 = stablehlo.reduce(%6 init: %cst_1) applies stablehlo.add across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %8 = stablehlo.broadcast_in_dim %7, dims = [0] : (tensor<2xf32>) -> tensor<2x1xf32>
    %9 = stablehlo.log %8 : tensor<2x1xf32>
    %10 = stablehlo.broadcast_in_dim %9, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x4xf32>
    %11 = stablehlo.subtract %5, %10 : tensor<2x4xf32>
    return %11, %6, %8 : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x1xf32>
  }
  func.func private @log_softmax_1(%arg0: tensor<2x4xf32>, %arg1: tensor<2x1xf32>, %arg2: tensor<2x4xf32>) -> tensor<2x4xf32> {
    %0 = stablehlo.negate %arg2 : tensor<2x4xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %1 = stablehlo.reduce(%0 init: %cst) applies stablehlo.add across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %2 = stablehlo.reshape %1 : (tensor<2xf32>) -> tensor<2x1xf32>
    %3 = stablehlo.divide %2, %arg1 : tensor<2x1xf32>
    %cst_0 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %4 = stablehlo.reduce(%3 init: %cst_0) applies stablehlo.add across dimensions = [1] : (tensor<2x1xf32>, tensor<f32>) -> tensor<2xf32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<2xf32>) -> tensor<2x4xf32>
    %6 = stablehlo.multiply %5, %arg0 : tensor<2x4xf32>
    %7 = stablehlo.add %arg2, %6 : tensor<2x4xf32>
    return %7 : tensor<2x4xf32>
  }
}
