module @function {
  func.func public @main(%arg0: tensor<4x3xf32>, %arg1: tensor<i32>, %arg2: tensor<i32>) -> (tensor<3xf32>, tensor<4x3xf32>, tensor<4x2xf32>, tensor<4x2xi32>, tensor<i32>) {
    %0 = stablehlo.constant dense<0.0> : tensor<f32>
    %1 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<f32>) -> tensor<3xf32>
    %2:2 = stablehlo.composite "tessera.scan" %1, %arg0 {composite_attributes = {constants = 0 : i64, carried = 1 : i64, length = 4 : i64, reverse = false}, decomposition = @tessera.scan, tessera.bodies = [@tessera.scan.step]} : (tensor<3xf32>, tensor<4x3xf32>) -> (tensor<3xf32>, tensor<4x3xf32>)
    %3:2 = stablehlo.while(%arg3 = %arg2, %arg4 = %arg1) : tensor<i32>, tensor<i32>
    cond {
      %4 = stablehlo.compare LT, %arg3, %arg4 : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %4 : tensor<i1>
    } do {
      %5 = stablehlo.constant dense<2> : tensor<i32>
      %6 = stablehlo.multiply %arg3, %5 : tensor<i32>
      %7 = stablehlo.constant dense<1> : tensor<i32>
      %8 = stablehlo.add %6, %7 : tensor<i32>
      stablehlo.return %8, %arg4 : tensor<i32>, tensor<i32>
    }
    %9:2 = chlo.top_k(%2#1, k = 2) : tensor<4x3xf32> -> (tensor<4x2xf32>, tensor<4x2xi32>)
    %10 = "stablehlo.sort"(%2#1) <{dimension = 0 : i64, is_stable = true}> ({
    ^bb0(%arg5: tensor<f32>, %arg6: tensor<f32>):
      %11 = stablehlo.compare LT, %arg5, %arg6 : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %12 = stablehlo.compare NE, %arg5, %arg5 : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %13 = stablehlo.not %12 : tensor<i1>
      %14 = stablehlo.compare NE, %arg6, %arg6 : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %15 = stablehlo.and %14, %13 : tensor<i1>
      %16 = stablehlo.or %11, %15 : tensor<i1>
      stablehlo.return %16 : tensor<i1>
    }) : (tensor<4x3xf32>) -> tensor<4x3xf32>
    return %2#0, %10, %9#0, %9#1, %3#0 : tensor<3xf32>, tensor<4x3xf32>, tensor<4x2xf32>, tensor<4x2xi32>, tensor<i32>
  }
  func.func private @tessera.scan.step(%arg0: tensor<3xf32>, %arg1: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
    %0 = stablehlo.constant dense<0.0> : tensor<f32>
    %1 = stablehlo.reduce(%arg1 init: %0) applies stablehlo.add across dimensions = [0] : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
    %2 = stablehlo.constant dense<0.0> : tensor<f32>
    %3 = stablehlo.compare LT, %1, %2 : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %4 = "stablehlo.if"(%3) ({
      %5 = stablehlo.multiply %arg0, %arg1 : tensor<3xf32>
      stablehlo.return %5 : tensor<3xf32>
    }, {
      %6 = stablehlo.subtract %arg0, %arg1 : tensor<3xf32>
      stablehlo.return %6 : tensor<3xf32>
    }) : (tensor<i1>) -> tensor<3xf32>
    %7 = stablehlo.add %4, %arg1 : tensor<3xf32>
    return %4, %7 : tensor<3xf32>, tensor<3xf32>
  }
  func.func private @tessera.scan(%arg0: tensor<3xf32>, %arg1: tensor<4x3xf32>) -> (tensor<3xf32>, tensor<4x3xf32>) {
    %0 = stablehlo.constant dense<0> : tensor<i32>
    %1 = stablehlo.constant dense<0.0> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %1, dims = [] : (tensor<f32>) -> tensor<4x3xf32>
    %3:4 = stablehlo.while(%arg2 = %0, %arg3 = %arg0, %arg4 = %arg1, %arg5 = %2) : tensor<i32>, tensor<3xf32>, tensor<4x3xf32>, tensor<4x3xf32>
    cond {
      %4 = stablehlo.constant dense<4> : tensor<i32>
      %5 = stablehlo.compare LT, %arg2, %4 : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %5 : tensor<i1>
    } do {
      %6 = stablehlo.constant dense<0> : tensor<i32>
      %7 = stablehlo.dynamic_slice %arg4, %arg2, %6, sizes = [1, 3] : (tensor<4x3xf32>, tensor<i32>, tensor<i32>) -> tensor<1x3xf32>
      %8 = stablehlo.reshape %7 : (tensor<1x3xf32>) -> tensor<3xf32>
      %9 = stablehlo.constant dense<0.0> : tensor<f32>
      %10 = stablehlo.reduce(%8 init: %9) applies stablehlo.add across dimensions = [0] : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
      %11 = stablehlo.constant dense<0.0> : tensor<f32>
      %12 = stablehlo.compare LT, %10, %11 : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %13 = "stablehlo.if"(%12) ({
        %14 = stablehlo.multiply %arg3, %8 : tensor<3xf32>
        stablehlo.return %14 : tensor<3xf32>
      }, {
        %15 = stablehlo.subtract %arg3, %8 : tensor<3xf32>
        stablehlo.return %15 : tensor<3xf32>
      }) : (tensor<i1>) -> tensor<3xf32>
      %16 = stablehlo.add %13, %8 : tensor<3xf32>
      %17 = stablehlo.constant dense<1> : tensor<i32>
      %18 = stablehlo.add %arg2, %17 : tensor<i32>
      %19 = stablehlo.reshape %16 : (tensor<3xf32>) -> tensor<1x3xf32>
      %20 = stablehlo.constant dense<0> : tensor<i32>
      %21 = stablehlo.dynamic_update_slice %arg5, %19, %arg2, %20 : (tensor<4x3xf32>, tensor<1x3xf32>, tensor<i32>, tensor<i32>) -> tensor<4x3xf32>
      stablehlo.return %18, %13, %arg4, %21 : tensor<i32>, tensor<3xf32>, tensor<4x3xf32>, tensor<4x3xf32>
    }
    return %3#1, %3#3 : tensor<3xf32>, tensor<4x3xf32>
  }
}
