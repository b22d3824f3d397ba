# Makes the programs of this folder with JAX (0.10, CPU): what JAX lowered, called from a @main that holds the inputs and
# JAX's own results as constants and checks one against the other. Usage: python make.py [FOLDER]
import os
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

random = np.random.RandomState(0)


def f32(*shape, scale=1.0):
    return (random.randn(*shape) * scale).astype(np.float32)


programs = {}


def program(*arguments, export=False):
    def register(function):
        programs[function.__name__] = (function, arguments, export)
        return function

    return register


def sgd(loss):
    def step(parameters, *batch):
        value, gradient = jax.value_and_grad(loss)(parameters, *batch)
        return value, [p - 0.1 * g for p, g in zip(parameters, gradient)]

    return step


@program([f32(6, 5, scale=0.5), f32(5, scale=0.1), f32(5, 3, scale=0.5), f32(3, scale=0.1)], f32(4, 6), np.eye(3, dtype=np.float32)[[0, 2, 1, 1]])
def mlp_step(parameters, x, y):
    def loss(p, x, y):
        logits = jax.nn.relu(x @ p[0] + p[1]) @ p[2] + p[3]
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * y, -1))

    return sgd(loss)(parameters, x, y)


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def convolution(x, w, stride):
    return lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def cnn_loss(p, x, y):
    h = max_pool(jax.nn.relu(convolution(x, p[0], 1)))
    h = jax.nn.relu(convolution(h, p[1], 2))
    logits = h.reshape(h.shape[0], -1) @ p[2]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(logits.shape[0]), y])


cnn_parameters = [f32(3, 3, 1, 2, scale=0.3), f32(3, 3, 2, 3, scale=0.3), f32(12, 4, scale=0.3)]
cnn_batch = (f32(2, 8, 8, 1), np.array([1, 3], np.int32))


@program(cnn_parameters, *cnn_batch)
def cnn_step(parameters, x, y):
    return sgd(cnn_loss)(parameters, x, y)


@program(cnn_parameters, *cnn_batch, export=True)
def cnn_step_export(parameters, x, y):
    return sgd(cnn_loss)(parameters, x, y)


@program(f32(3, 5))
def softmax(x):
    return jax.nn.softmax(x)


@program(f32(3, 8), f32(8), f32(8))
def layer_norm(x, gain, shift):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * gain + shift


@program(f32(10, 4), np.array([[1, 9], [3, 1]], np.int32), f32(2, 2, 4))
def embedding(table, index, weight):
    return jax.value_and_grad(lambda t: jnp.sum(t[index] * weight))(table)


@program(f32(1, 6, 6, 2))
def average_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME") / 9.0


@program(f32(2, 3, 4), f32(2, 4, 5))
def batch_matmul(a, b):
    return jnp.einsum("bij,bjk->bik", a, b)


@program(f32(6, 5), np.int32(4), np.int32(1), f32(2, 2))
def dynamic_slices(x, i, j, update):
    return lax.dynamic_slice(x, (i, j), (3, 2)), lax.dynamic_update_slice(x, update, (i, j))


@program(f32(4, 7))
def argmax(x):
    return jnp.argmax(x, 1), jnp.argmin(x, 0)


@program(f32(9))
def clamp_select(x):
    return jnp.clip(x, -0.5, 0.5), jnp.where(x > 0, x, x * 0.1), jnp.sign(x), jnp.isfinite(x)


@program(np.arange(8, dtype=np.uint32), np.uint32(17))
def threefry(x, key):
    def rotate(v, d):
        return (v << np.uint32(d)) | (v >> np.uint32(32 - d))

    keys = [key, key ^ np.uint32(5)]
    keys.append(keys[0] ^ keys[1] ^ np.uint32(0x1BD11BDA))
    a, b = x[:4] + keys[0], x[4:] + keys[1]
    for i in range(5):
        for distance in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
            a = a + b
            b = rotate(b, distance) ^ a
        a, b = a + keys[(i + 1) % 3], b + keys[(i + 2) % 3] + np.uint32(i + 1)
    bits = jnp.concatenate([a, b])
    return bits, lax.bitcast_convert_type((bits >> np.uint32(9)) | np.uint32(0x3F800000), jnp.float32) - 1.0


@program(np.array([-3.5, -1.75, -0.9, -0.3, 0.0, 0.001, 0.7, 1.5, 2.5, 5.0], np.float32))
def special_functions(x):
    small = x / 5.5
    return (
        [lax.erf(x), lax.erfc(x), lax.erf_inv(small), jnp.square(x), jax.nn.gelu(x, approximate=False)],
        [jnp.log1p(jnp.abs(x)), jnp.expm1(x), jnp.tanh(x), jnp.cbrt(x), jnp.tan(x), jax.nn.sigmoid(x)],
        [jnp.arctan(x), jnp.arcsin(small), jnp.arccos(small), jnp.sinh(x), jnp.cosh(x)],
        [jnp.arcsinh(x), jnp.arctanh(small), jnp.arccosh(jnp.abs(x) + 1)],
    )


@program(f32(3, 4), f32(4, 5))
def mixed_precision(a, b):
    low_a, low_b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    wide = lax.dot_general(low_a, low_b, (((1,), (0,)), ((), ())), preferred_element_type=jnp.float32)
    return wide, lax.reduce_precision(a, 5, 10), (a * 10).astype(jnp.int8), a.astype(jnp.float16).astype(jnp.float32)


@program(f32(3, 6))
def cumulative(x):
    return jnp.cumsum(x, 1), lax.cummax(x, 0), lax.rev(x, (1,)), lax.pad(x, np.float32(1), ((1, -1, 0), (0, 2, 1)))


@program(f32(2, 5, 5, 4), f32(3, 3, 2, 6))
def grouped_convolution(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), ((1, 2), (0, 1)), lhs_dilation=(2, 1), rhs_dilation=(1, 2),
                                    dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=2)


@program(f32(5, 6), f32(3))
def scatters(x, u):
    return (
        x.at[jnp.array([0, 2, 9]), 1].add(u),
        x.at[jnp.array([4, 1, 0])].max(u[:, None]),
        x.at[1:4, 0].set(u),
        x.at[jnp.array([0, 0]), jnp.array([1, 2])].multiply(2.0),
    )


@program(f32(4, 4))
def masked_attention(q):
    mask = jnp.tril(jnp.ones((4, 4), bool))
    return jax.nn.softmax(jnp.where(mask, q @ q.T / 2.0, -1e30)) @ q


@program(f32(3, 4))
def composite(x):
    def normalize(x, eps):
        return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps)

    @jax.jit
    def affine(x):
        return x * 2 + 1

    return affine(x) + lax.composite(normalize, "my.rms_norm", version=1)(x, eps=1e-6), lax.optimization_barrier((x, x + 1))


TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "bool": "i1", "int8": "i8", "int32": "i32", "uint32": "ui32"}


def number(v):
    if v.dtype == bool:
        return "true" if v else "false"
    if v.dtype == np.float32:
        return np.format_float_scientific(v, trim="0") if np.isfinite(v) else "0x%08X" % v.view(np.uint32)
    return str(v)


def nested(v):
    return "[" + ", ".join(nested(x) for x in v) + "]" if v.ndim else number(v[()])


def type_of(v):
    return "tensor<" + "".join(f"{n}x" for n in v.shape) + TYPES[str(v.dtype)] + ">"


def constant(name, v):
    return f"    {name} = stablehlo.constant dense<{nested(v)}> : {type_of(v)}\n"


def main(folder):
    for name, (function, arguments, export) in programs.items():
        jitted = jax.jit(function)
        text = jax.export.export(jitted)(*arguments).mlir_module() if export else jitted.lower(*arguments).as_text()
        results = [np.asarray(v) for v in jax.tree.leaves(jitted(*arguments))]
        arguments = [np.asarray(v) for v in jax.tree.leaves(arguments)]
        text = text.replace(os.path.abspath(__file__), "make.py")
        text = text.replace("func.func public @main(", "func.func private @program(", 1)
        lines = "  func.func public @main() {\n"
        for i, v in enumerate(arguments):
            lines += constant(f"%in{i}", v)
        types = ", ".join(map(type_of, results))
        called = "%got" + (f":{len(results)}" if len(results) > 1 else "")
        inputs = ", ".join(f"%in{i}" for i in range(len(arguments)))
        lines += f"    {called} = call @program({inputs}) : ({', '.join(map(type_of, arguments))}) -> ({types})\n"
        for i, v in enumerate(results):
            lines += constant(f"%want{i}", v)
            got = f"%got#{i}" if len(results) > 1 else "%got"
            check = "expect_almost_eq" if v.dtype == np.float32 else "expect_eq"
            options = "tolerance = 1.0e-5 : f64, " if check == "expect_almost_eq" else ""
            lines += f"    stablehlo.custom_call @check.{check}({got}, %want{i}) {{{options}has_side_effect = true}} : ({type_of(v)}, {type_of(v)}) -> ()\n"
        lines += "    return\n  }\n"
        text = re.sub(r"^(module @.*\{\n)", lambda m: m.group(1) + lines, text, count=1, flags=re.M)
        with open(os.path.join(folder, name + ".mlir"), "w") as out:
            out.write(text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
