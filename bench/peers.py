"""One peer of `make bench` as a process that waits: PyTorch or JAX, on the nets of bench/nets.py.

In:  the peer's name as argument (torch, torch_channels_last, torch_compile, jax), then a JSON object a line:
     {"net": "cnn", "batch": 128, "seconds": 2} trains that long, {"gemm": 2048, "seconds": 1} multiplies matrices.
Out: a JSON object a line: {"examples_per_second": ...} or {"gflops": ...}; first one with the versions.
The first window of a net compiles and warms up before its clock starts. bench/run.py starts these, one at work at a time.
"""

import json
import sys
import time

from nets import NETS, Conv, Dense, Flatten

RATE, MOMENTUM = 0.01, 0.9
WARM_UP_STEPS = 5
STEPS_BETWEEN_LOOKS = 4  # at the clock; JAX runs ahead of us between them


def measure(step, wait, seconds):
    """Calls `step` until `seconds` have passed; gives calls per second. `wait` waits for what is still running."""
    start = time.perf_counter()
    calls, passed = 0, 0.0
    while passed < seconds:
        for _ in range(STEPS_BETWEEN_LOOKS):
            step()
        wait()
        calls += STEPS_BETWEEN_LOOKS
        passed = time.perf_counter() - start
    return calls / passed


class Torch:
    """PyTorch: eager, eager with channels_last, or torch.compile on channels_last."""

    def __init__(self, channels_last, compiled):
        import torch

        self.torch, self.channels_last, self.compiled = torch, channels_last, compiled
        torch.manual_seed(0)
        self.versions = {"PyTorch": torch.__version__, "threads": torch.get_num_threads()}

    def layers(self, net):
        nn, size = self.torch.nn, net.input
        for layer in net.layers:
            if isinstance(layer, Conv):
                yield nn.Conv2d(size[2], layer.features, layer.window, padding=layer.padding)
                yield nn.ReLU()
                yield nn.MaxPool2d(2)
            elif isinstance(layer, Flatten):
                yield nn.Flatten()
            elif isinstance(layer, Dense):
                yield nn.Linear(size[0], layer.features)
                if layer.relu:
                    yield nn.ReLU()
            size = layer.result(size)

    def step(self, net, batch):
        torch = self.torch
        model = torch.nn.Sequential(*self.layers(net))
        shape = (batch, net.input[2], *net.input[:2]) if len(net.input) == 3 else (batch, *net.input)
        x, y = torch.randn(shape), torch.randint(0, 10, (batch,))
        if self.channels_last and len(net.input) == 3:
            model = model.to(memory_format=torch.channels_last)
            x = x.to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)

        def loss(x, y):
            return torch.nn.functional.cross_entropy(model(x), y)

        if self.compiled:
            loss = torch.compile(loss, dynamic=False)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss(x, y).backward()
            optimizer.step()

        return step, lambda: None

    def gemm(self, size):
        a, b = self.torch.randn(size, size), self.torch.randn(size, size)
        result = self.torch.empty(size, size)
        return lambda: self.torch.mm(a, b, out=result), lambda: None


class Jax:
    """JAX: the whole step under one jit, parameters and momentum donated."""

    def __init__(self):
        import jax

        self.jax = jax
        self.versions = {"JAX": jax.__version__}

    def parameters(self, net, key):
        jax, size, parameters = self.jax, net.input, []
        for layer in net.layers:
            shape = layer.weights(size)
            if shape:
                key, own = jax.random.split(key)
                inputs = jax.numpy.prod(jax.numpy.array(shape[:-1]))
                parameters.append((jax.random.normal(own, shape) / inputs**0.5, jax.numpy.zeros(shape[-1])))
            size = layer.result(size)
        return parameters

    def logits(self, net, parameters, x):
        lax, relu, unused = self.jax.lax, self.jax.nn.relu, iter(parameters)
        for layer in net.layers:
            if isinstance(layer, Conv):
                weight, bias = next(unused)
                x = lax.conv_general_dilated(
                    x, weight, (1, 1), layer.padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC"))
                x = lax.reduce_window(relu(x + bias), -float("inf"), lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            elif isinstance(layer, Flatten):
                x = x.reshape(x.shape[0], -1)
            elif isinstance(layer, Dense):
                weight, bias = next(unused)
                x = x @ weight + bias
                if layer.relu:
                    x = relu(x)
        return x

    def step(self, net, batch):
        jax, keys = self.jax, self.jax.random.split(self.jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (batch, *net.input))
        y = jax.random.randint(keys[1], (batch,), 0, 10)
        parameters = self.parameters(net, keys[2])
        state = [parameters, jax.tree.map(jax.numpy.zeros_like, parameters)]

        def loss(parameters, x, y):
            scores = jax.nn.log_softmax(self.logits(net, parameters, x))
            return -jax.numpy.take_along_axis(scores, y[:, None], 1).mean()

        def update(parameters, velocity, x, y):
            gradient = jax.grad(loss)(parameters, x, y)
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
            return jax.tree.map(lambda p, v: p - RATE * v, parameters, velocity), velocity

        update = jax.jit(update, donate_argnums=(0, 1))

        def step():
            state[:] = update(*state, x, y)

        return step, lambda: jax.block_until_ready(state)

    def gemm(self, size):
        a = self.jax.random.normal(self.jax.random.key(0), (size, size))
        product, last = self.jax.jit(lambda a: a @ a), [a]

        def step():
            last[0] = product(a)

        return step, lambda: self.jax.block_until_ready(last)


PEERS = {
    "torch": lambda: Torch(channels_last=False, compiled=False),
    "torch_channels_last": lambda: Torch(channels_last=True, compiled=False),
    "torch_compile": lambda: Torch(channels_last=True, compiled=True),
    "jax": Jax,
}


def main():
    peer = PEERS[sys.argv[1]]()
    print(json.dumps(peer.versions), flush=True)
    ready = {}
    for line in sys.stdin:
        ask = json.loads(line)
        key = ("gemm", ask["gemm"]) if "gemm" in ask else (ask["net"], ask["batch"])
        if key not in ready:
            ready[key] = peer.gemm(ask["gemm"]) if "gemm" in ask else peer.step(NETS[key[0]], key[1])
            for _ in range(WARM_UP_STEPS):
                ready[key][0]()
            ready[key][1]()
        rate = measure(*ready[key], ask["seconds"])
        if "gemm" in ask:
            answer = {"gflops": rate * 2 * ask["gemm"] ** 3 / 1e9}
        else:
            answer = {"examples_per_second": rate * ask["batch"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
