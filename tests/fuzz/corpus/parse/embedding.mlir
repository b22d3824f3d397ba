module @jit_embedding attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[[-1.6981058e+00, 3.8728046e-01, -2.2555642e+00, -1.0225068e+00], [3.8630553e-02, -1.6567152e+00, -9.8551077e-01, -1.471835e+00], [1.648135e+00, 1.6422775e-01, 5.672903e-01, -2.226751e-01], [-3.5343176e-01, -1.6164742e+00, -2.9183736e-01, -7.614922e-01], [8.579239e-01, 1.1411018e+00, 1.4665787e+00, 8.5255194e-01], [-5.986539e-01, -1.1158969e+00, 7.666632e-01, 3.562928e-01], [-1.7685385e+00, 3.554818e-01, 8.145198e-01, 5.8925588e-02], [-1.8505368e-01, -8.076485e-01, -1.4465348e+00, 8.00298e-01], [-3.0911446e-01, -2.3346666e-01, 1.7327212e+00, 6.845011e-01], [3.70825e-01, 1.420618e-01, 1.5199949e+00, 1.7195894e+00]]> : tensor<10x4xf32>
    %in1 = stablehlo.constant dense<[[1, 9], [3, 1]]> : tensor<2x2xi32>
    %in2 = stablehlo.constant dense<[[[9.295051e-01, 5.822246e-01, -2.094603e+00, 1.2372191e-01], [-1.3010696e-01, 9.395323e-02, 9.430461e-01, -2.7396772e+00]], [[-5.6931204e-01, 2.6990435e-01, -4.6684554e-01, -1.4169061e+00], [8.689635e-01, 2.7687192e-01, -9.7110456e-01, 3.148172e-01]]]> : tensor<2x2x4xf32>
    %got:2 = call @program(%in0, %in1, %in2) : (tensor<10x4xf32>, tensor<2x2xi32>, tensor<2x2x4xf32>) -> (tensor<f32>, tensor<10x4xf32>)
    %want0 = stablehlo.constant dense<-1.3104407e+00> : tensor<f32>
    stablehlo.custom_call @check.expect_almost_eq(%got#0, %want0) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<f32>, tensor<f32>) -> ()
    %want1 = stablehlo.constant dense<[[0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [1.7984686e+00, 8.590965e-01, -3.0657077e+00, 4.385391e-01], [0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [-5.6931204e-01, 2.6990435e-01, -4.6684554e-01, -1.4169061e+00], [0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [0.0e+00, 0.0e+00, 0.0e+00, 0.0e+00], [-1.3010696e-01, 9.395323e-02, 9.430461e-01, -2.7396772e+00]]> : tensor<10x4xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<10x4xf32>, tensor<10x4xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<10x4xf32>, %arg1: tensor<2x2xi32>, %arg2: tensor<2x2x4xf32>) -> (tensor<f32> {jax.result_info = "result[0]"}, tensor<10x4xf32> {jax.result_info = "result[1]"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<2x2xi32>
    %1 = stablehlo.compare LT, %arg1, %0, SIGNED : (tensor<2x2xi32>, tensor<2x2xi32>) -> tensor<2x2xi1>
    %c_0 = stablehlo.constant dense<10> : tensor<i32>
    %2 = stablehlo.broadcast_in_dim %c_0, dims = [] : (tensor<i32>) -> tensor<2x2xi32>
    %3 = stablehlo.add %arg1, %2 : tensor<2x2xi32>
    %4 = stablehlo.select %1, %3, %arg1 : tensor<2x2xi1>, tensor<2x2xi32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0, 1] : (tensor<2x2xi32>) -> tensor<2x2x1xi32>
    %6 = "stablehlo.gather"(%arg0, %5) <{dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 4>}> : (tensor<10x4xf32>, tensor<2x2x1xi32>) -> tensor<2x2x4xf32>
    %7 = stablehlo.multiply %6, %arg2 : tensor<2x2x4xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %8 = stablehlo.reduce(%7 init: %cst) applies stablehlo.add across dimensions = [0, 1, 2] : (tensor<2x2x4xf32>, tensor<f32>) -> tensor<f32>
    %cst_1 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %9 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<2x2x4xf32>
    %10 = stablehlo.multiply %9, %arg2 : tensor<2x2x4xf32>
    %cst_2 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %11 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<10x4xf32>
    %12 = "stablehlo.scatter"(%11, %5, %10) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [2], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 2>, unique_indices = false}> ({
    ^bb0(%arg3: tensor<f32>, %arg4: tensor<f32>):
      %13 = stablehlo.add %arg3, %arg4 : tensor<f32>
      stablehlo.return %13 : tensor<f32>
    }) : (tensor<10x4xf32>, tensor<2x2x1xi32>, tensor<2x2x4xf32>) -> tensor<10x4xf32>
    return %8, %12 : tensor<f32>, tensor<10x4xf32>
  }
}
