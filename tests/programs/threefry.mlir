module @jit_threefry attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main() {
    %in0 = stablehlo.constant dense<[0, 1, 2, 3, 4, 5, 6, 7]> : tensor<8xui32>
    %in1 = stablehlo.constant dense<17> : tensor<ui32>
    %got:2 = call @program(%in0, %in1) : (tensor<8xui32>, tensor<ui32>) -> (tensor<8xui32>, tensor<8xf32>)
    %want0 = stablehlo.constant dense<[804722473, 754975519, 3198792480, 4110637687, 3945349335, 721870160, 2285301614, 427843330]> : tensor<8xui32>
    stablehlo.custom_call @check.expect_eq(%got#0, %want0) {has_side_effect = true} : (tensor<8xui32>, tensor<8xui32>) -> ()
    %want1 = stablehlo.constant dense<[1.8736398e-01, 1.7578137e-01, 7.4477684e-01, 9.570824e-01, 9.185982e-01, 1.6807342e-01, 5.3208816e-01, 9.961498e-02]> : tensor<8xf32>
    stablehlo.custom_call @check.expect_almost_eq(%got#1, %want1) {tolerance = 1.0e-5 : f64, has_side_effect = true} : (tensor<8xf32>, tensor<8xf32>) -> ()
    return
  }
  func.func private @program(%arg0: tensor<8xui32>, %arg1: tensor<ui32>) -> (tensor<8xui32> {jax.result_info = "result[0]"}, tensor<8xf32> {jax.result_info = "result[1]"}) {
    %c = stablehlo.constant dense<5> : tensor<ui32>
    %0 = stablehlo.xor %arg1, %c : tensor<ui32>
    %1 = stablehlo.xor %arg1, %0 : tensor<ui32>
    %c_0 = stablehlo.constant dense<466688986> : tensor<ui32>
    %2 = stablehlo.xor %1, %c_0 : tensor<ui32>
    %3 = stablehlo.slice %arg0 [0:4] : (tensor<8xui32>) -> tensor<4xui32>
    %4 = stablehlo.broadcast_in_dim %arg1, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %5 = stablehlo.add %3, %4 : tensor<4xui32>
    %6 = stablehlo.slice %arg0 [4:8] : (tensor<8xui32>) -> tensor<4xui32>
    %7 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %8 = stablehlo.add %6, %7 : tensor<4xui32>
    %9 = stablehlo.add %5, %8 : tensor<4xui32>
    %c_1 = stablehlo.constant dense<13> : tensor<ui32>
    %10 = stablehlo.broadcast_in_dim %c_1, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %11 = stablehlo.shift_left %8, %10 : tensor<4xui32>
    %c_2 = stablehlo.constant dense<19> : tensor<ui32>
    %12 = stablehlo.broadcast_in_dim %c_2, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %13 = stablehlo.shift_right_logical %8, %12 : tensor<4xui32>
    %14 = stablehlo.or %11, %13 : tensor<4xui32>
    %15 = stablehlo.xor %14, %9 : tensor<4xui32>
    %16 = stablehlo.add %9, %15 : tensor<4xui32>
    %c_3 = stablehlo.constant dense<15> : tensor<ui32>
    %17 = stablehlo.broadcast_in_dim %c_3, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %18 = stablehlo.shift_left %15, %17 : tensor<4xui32>
    %c_4 = stablehlo.constant dense<17> : tensor<ui32>
    %19 = stablehlo.broadcast_in_dim %c_4, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %20 = stablehlo.shift_right_logical %15, %19 : tensor<4xui32>
    %21 = stablehlo.or %18, %20 : tensor<4xui32>
    %22 = stablehlo.xor %21, %16 : tensor<4xui32>
    %23 = stablehlo.add %16, %22 : tensor<4xui32>
    %c_5 = stablehlo.constant dense<26> : tensor<ui32>
    %24 = stablehlo.broadcast_in_dim %c_5, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %25 = stablehlo.shift_left %22, %24 : tensor<4xui32>
    %c_6 = stablehlo.constant dense<6> : tensor<ui32>
    %26 = stablehlo.broadcast_in_dim %c_6, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %27 = stablehlo.shift_right_logical %22, %26 : tensor<4xui32>
    %28 = stablehlo.or %25, %27 : tensor<4xui32>
    %29 = stablehlo.xor %28, %23 : tensor<4xui32>
    %30 = stablehlo.add %23, %29 : tensor<4xui32>
    %c_7 = stablehlo.constant dense<6> : tensor<ui32>
    %31 = stablehlo.broadcast_in_dim %c_7, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %32 = stablehlo.shift_left %29, %31 : tensor<4xui32>
    %c_8 = stablehlo.constant dense<26> : tensor<ui32>
    %33 = stablehlo.broadcast_in_dim %c_8, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %34 = stablehlo.shift_right_logical %29, %33 : tensor<4xui32>
    %35 = stablehlo.or %32, %34 : tensor<4xui32>
    %36 = stablehlo.xor %35, %30 : tensor<4xui32>
    %37 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %38 = stablehlo.add %30, %37 : tensor<4xui32>
    %39 = stablehlo.broadcast_in_dim %2, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %40 = stablehlo.add %36, %39 : tensor<4xui32>
    %c_9 = stablehlo.constant dense<1> : tensor<ui32>
    %41 = stablehlo.broadcast_in_dim %c_9, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %42 = stablehlo.add %40, %41 : tensor<4xui32>
    %43 = stablehlo.add %38, %42 : tensor<4xui32>
    %c_10 = stablehlo.constant dense<17> : tensor<ui32>
    %44 = stablehlo.broadcast_in_dim %c_10, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %45 = stablehlo.shift_left %42, %44 : tensor<4xui32>
    %c_11 = stablehlo.constant dense<15> : tensor<ui32>
    %46 = stablehlo.broadcast_in_dim %c_11, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %47 = stablehlo.shift_right_logical %42, %46 : tensor<4xui32>
    %48 = stablehlo.or %45, %47 : tensor<4xui32>
    %49 = stablehlo.xor %48, %43 : tensor<4xui32>
    %50 = stablehlo.add %43, %49 : tensor<4xui32>
    %c_12 = stablehlo.constant dense<29> : tensor<ui32>
    %51 = stablehlo.broadcast_in_dim %c_12, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %52 = stablehlo.shift_left %49, %51 : tensor<4xui32>
    %c_13 = stablehlo.constant dense<3> : tensor<ui32>
    %53 = stablehlo.broadcast_in_dim %c_13, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %54 = stablehlo.shift_right_logical %49, %53 : tensor<4xui32>
    %55 = stablehlo.or %52, %54 : tensor<4xui32>
    %56 = stablehlo.xor %55, %50 : tensor<4xui32>
    %57 = stablehlo.add %50, %56 : tensor<4xui32>
    %c_14 = stablehlo.constant dense<16> : tensor<ui32>
    %58 = stablehlo.broadcast_in_dim %c_14, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %59 = stablehlo.shift_left %56, %58 : tensor<4xui32>
    %c_15 = stablehlo.constant dense<16> : tensor<ui32>
    %60 = stablehlo.broadcast_in_dim %c_15, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %61 = stablehlo.shift_right_logical %56, %60 : tensor<4xui32>
    %62 = stablehlo.or %59, %61 : tensor<4xui32>
    %63 = stablehlo.xor %62, %57 : tensor<4xui32>
    %64 = stablehlo.add %57, %63 : tensor<4xui32>
    %c_16 = stablehlo.constant dense<24> : tensor<ui32>
    %65 = stablehlo.broadcast_in_dim %c_16, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %66 = stablehlo.shift_left %63, %65 : tensor<4xui32>
    %c_17 = stablehlo.constant dense<8> : tensor<ui32>
    %67 = stablehlo.broadcast_in_dim %c_17, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %68 = stablehlo.shift_right_logical %63, %67 : tensor<4xui32>
    %69 = stablehlo.or %66, %68 : tensor<4xui32>
    %70 = stablehlo.xor %69, %64 : tensor<4xui32>
    %71 = stablehlo.broadcast_in_dim %2, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %72 = stablehlo.add %64, %71 : tensor<4xui32>
    %73 = stablehlo.broadcast_in_dim %arg1, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %74 = stablehlo.add %70, %73 : tensor<4xui32>
    %c_18 = stablehlo.constant dense<2> : tensor<ui32>
    %75 = stablehlo.broadcast_in_dim %c_18, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %76 = stablehlo.add %74, %75 : tensor<4xui32>
    %77 = stablehlo.add %72, %76 : tensor<4xui32>
    %c_19 = stablehlo.constant dense<13> : tensor<ui32>
    %78 = stablehlo.broadcast_in_dim %c_19, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %79 = stablehlo.shift_left %76, %78 : tensor<4xui32>
    %c_20 = stablehlo.constant dense<19> : tensor<ui32>
    %80 = stablehlo.broadcast_in_dim %c_20, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %81 = stablehlo.shift_right_logical %76, %80 : tensor<4xui32>
    %82 = stablehlo.or %79, %81 : tensor<4xui32>
    %83 = stablehlo.xor %82, %77 : tensor<4xui32>
    %84 = stablehlo.add %77, %83 : tensor<4xui32>
    %c_21 = stablehlo.constant dense<15> : tensor<ui32>
    %85 = stablehlo.broadcast_in_dim %c_21, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %86 = stablehlo.shift_left %83, %85 : tensor<4xui32>
    %c_22 = stablehlo.constant dense<17> : tensor<ui32>
    %87 = stablehlo.broadcast_in_dim %c_22, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %88 = stablehlo.shift_right_logical %83, %87 : tensor<4xui32>
    %89 = stablehlo.or %86, %88 : tensor<4xui32>
    %90 = stablehlo.xor %89, %84 : tensor<4xui32>
    %91 = stablehlo.add %84, %90 : tensor<4xui32>
    %c_23 = stablehlo.constant dense<26> : tensor<ui32>
    %92 = stablehlo.broadcast_in_dim %c_23, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %93 = stablehlo.shift_left %90, %92 : tensor<4xui32>
    %c_24 = stablehlo.constant dense<6> : tensor<ui32>
    %94 = stablehlo.broadcast_in_dim %c_24, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %95 = stablehlo.shift_right_logical %90, %94 : tensor<4xui32>
    %96 = stablehlo.or %93, %95 : tensor<4xui32>
    %97 = stablehlo.xor %96, %91 : tensor<4xui32>
    %98 = stablehlo.add %91, %97 : tensor<4xui32>
    %c_25 = stablehlo.constant dense<6> : tensor<ui32>
    %99 = stablehlo.broadcast_in_dim %c_25, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %100 = stablehlo.shift_left %97, %99 : tensor<4xui32>
    %c_26 = stablehlo.constant dense<26> : tensor<ui32>
    %101 = stablehlo.broadcast_in_dim %c_26, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %102 = stablehlo.shift_right_logical %97, %101 : tensor<4xui32>
    %103 = stablehlo.or %100, %102 : tensor<4xui32>
    %104 = stablehlo.xor %103, %98 : tensor<4xui32>
    %105 = stablehlo.broadcast_in_dim %arg1, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %106 = stablehlo.add %98, %105 : tensor<4xui32>
    %107 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %108 = stablehlo.add %104, %107 : tensor<4xui32>
    %c_27 = stablehlo.constant dense<3> : tensor<ui32>
    %109 = stablehlo.broadcast_in_dim %c_27, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %110 = stablehlo.add %108, %109 : tensor<4xui32>
    %111 = stablehlo.add %106, %110 : tensor<4xui32>
    %c_28 = stablehlo.constant dense<17> : tensor<ui32>
    %112 = stablehlo.broadcast_in_dim %c_28, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %113 = stablehlo.shift_left %110, %112 : tensor<4xui32>
    %c_29 = stablehlo.constant dense<15> : tensor<ui32>
    %114 = stablehlo.broadcast_in_dim %c_29, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %115 = stablehlo.shift_right_logical %110, %114 : tensor<4xui32>
    %116 = stablehlo.or %113, %115 : tensor<4xui32>
    %117 = stablehlo.xor %116, %111 : tensor<4xui32>
    %118 = stablehlo.add %111, %117 : tensor<4xui32>
    %c_30 = stablehlo.constant dense<29> : tensor<ui32>
    %119 = stablehlo.broadcast_in_dim %c_30, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %120 = stablehlo.shift_left %117, %119 : tensor<4xui32>
    %c_31 = stablehlo.constant dense<3> : tensor<ui32>
    %121 = stablehlo.broadcast_in_dim %c_31, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %122 = stablehlo.shift_right_logical %117, %121 : tensor<4xui32>
    %123 = stablehlo.or %120, %122 : tensor<4xui32>
    %124 = stablehlo.xor %123, %118 : tensor<4xui32>
    %125 = stablehlo.add %118, %124 : tensor<4xui32>
    %c_32 = stablehlo.constant dense<16> : tensor<ui32>
    %126 = stablehlo.broadcast_in_dim %c_32, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %127 = stablehlo.shift_left %124, %126 : tensor<4xui32>
    %c_33 = stablehlo.constant dense<16> : tensor<ui32>
    %128 = stablehlo.broadcast_in_dim %c_33, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %129 = stablehlo.shift_right_logical %124, %128 : tensor<4xui32>
    %130 = stablehlo.or %127, %129 : tensor<4xui32>
    %131 = stablehlo.xor %130, %125 : tensor<4xui32>
    %132 = stablehlo.add %125, %131 : tensor<4xui32>
    %c_34 = stablehlo.constant dense<24> : tensor<ui32>
    %133 = stablehlo.broadcast_in_dim %c_34, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %134 = stablehlo.shift_left %131, %133 : tensor<4xui32>
    %c_35 = stablehlo.constant dense<8> : tensor<ui32>
    %135 = stablehlo.broadcast_in_dim %c_35, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %136 = stablehlo.shift_right_logical %131, %135 : tensor<4xui32>
    %137 = stablehlo.or %134, %136 : tensor<4xui32>
    %138 = stablehlo.xor %137, %132 : tensor<4xui32>
    %139 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %140 = stablehlo.add %132, %139 : tensor<4xui32>
    %141 = stablehlo.broadcast_in_dim %2, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %142 = stablehlo.add %138, %141 : tensor<4xui32>
    %c_36 = stablehlo.constant dense<4> : tensor<ui32>
    %143 = stablehlo.broadcast_in_dim %c_36, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %144 = stablehlo.add %142, %143 : tensor<4xui32>
    %145 = stablehlo.add %140, %144 : tensor<4xui32>
    %c_37 = stablehlo.constant dense<13> : tensor<ui32>
    %146 = stablehlo.broadcast_in_dim %c_37, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %147 = stablehlo.shift_left %144, %146 : tensor<4xui32>
    %c_38 = stablehlo.constant dense<19> : tensor<ui32>
    %148 = stablehlo.broadcast_in_dim %c_38, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %149 = stablehlo.shift_right_logical %144, %148 : tensor<4xui32>
    %150 = stablehlo.or %147, %149 : tensor<4xui32>
    %151 = stablehlo.xor %150, %145 : tensor<4xui32>
    %152 = stablehlo.add %145, %151 : tensor<4xui32>
    %c_39 = stablehlo.constant dense<15> : tensor<ui32>
    %153 = stablehlo.broadcast_in_dim %c_39, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %154 = stablehlo.shift_left %151, %153 : tensor<4xui32>
    %c_40 = stablehlo.constant dense<17> : tensor<ui32>
    %155 = stablehlo.broadcast_in_dim %c_40, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %156 = stablehlo.shift_right_logical %151, %155 : tensor<4xui32>
    %157 = stablehlo.or %154, %156 : tensor<4xui32>
    %158 = stablehlo.xor %157, %152 : tensor<4xui32>
    %159 = stablehlo.add %152, %158 : tensor<4xui32>
    %c_41 = stablehlo.constant dense<26> : tensor<ui32>
    %160 = stablehlo.broadcast_in_dim %c_41, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %161 = stablehlo.shift_left %158, %160 : tensor<4xui32>
    %c_42 = stablehlo.constant dense<6> : tensor<ui32>
    %162 = stablehlo.broadcast_in_dim %c_42, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %163 = stablehlo.shift_right_logical %158, %162 : tensor<4xui32>
    %164 = stablehlo.or %161, %163 : tensor<4xui32>
    %165 = stablehlo.xor %164, %159 : tensor<4xui32>
    %166 = stablehlo.add %159, %165 : tensor<4xui32>
    %c_43 = stablehlo.constant dense<6> : tensor<ui32>
    %167 = stablehlo.broadcast_in_dim %c_43, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %168 = stablehlo.shift_left %165, %167 : tensor<4xui32>
    %c_44 = stablehlo.constant dense<26> : tensor<ui32>
    %169 = stablehlo.broadcast_in_dim %c_44, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %170 = stablehlo.shift_right_logical %165, %169 : tensor<4xui32>
    %171 = stablehlo.or %168, %170 : tensor<4xui32>
    %172 = stablehlo.xor %171, %166 : tensor<4xui32>
    %173 = stablehlo.broadcast_in_dim %2, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %174 = stablehlo.add %166, %173 : tensor<4xui32>
    %175 = stablehlo.broadcast_in_dim %arg1, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %176 = stablehlo.add %172, %175 : tensor<4xui32>
    %c_45 = stablehlo.constant dense<5> : tensor<ui32>
    %177 = stablehlo.broadcast_in_dim %c_45, dims = [] : (tensor<ui32>) -> tensor<4xui32>
    %178 = stablehlo.add %176, %177 : tensor<4xui32>
    %179 = stablehlo.concatenate %174, %178, dim = 0 : (tensor<4xui32>, tensor<4xui32>) -> tensor<8xui32>
    %c_46 = stablehlo.constant dense<9> : tensor<ui32>
    %180 = stablehlo.broadcast_in_dim %c_46, dims = [] : (tensor<ui32>) -> tensor<8xui32>
    %181 = stablehlo.shift_right_logical %179, %180 : tensor<8xui32>
    %c_47 = stablehlo.constant dense<1065353216> : tensor<ui32>
    %182 = stablehlo.broadcast_in_dim %c_47, dims = [] : (tensor<ui32>) -> tensor<8xui32>
    %183 = stablehlo.or %181, %182 : tensor<8xui32>
    %184 = stablehlo.bitcast_convert %183 : (tensor<8xui32>) -> tensor<8xf32>
    %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %185 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<8xf32>
    %186 = stablehlo.subtract %184, %185 : tensor<8xf32>
    return %179, %186 : tensor<8xui32>, tensor<8xf32>
  }
}
