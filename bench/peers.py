"""One peer of `make bench` as a process that waits: PyTorch or JAX, on the nets of bench/nets.py.

In:  the peer's name (torch, torch_channels_last, torch_compile, torch_graph, jax) and the device (cpu, cuda) as arguments,
     then a JSON object a line: {"net": "cnn", "batch": 128, "precision": "f32", "seconds": 2} trains that long,
     {"gemm": 2048, "precision": "f32", "seconds": 1} multiplies matrices, {"kernel": "softmax", "width": 1024, "seconds": 1}
     runs a kernel that memory limits; of PyTorch also {"translate": RUN, "sentences": [...], "beam": 5} and
     {"likelihood": RUN, "source": [...], "target": [...]}.
Out: a JSON object a line: {"examples_per_second": ...}, {"gflops": ...}, {"gbs": ...}, {"sentences_per_second": ...,
     "translations": [...]} or {"loss": ...}; first one with the versions.
The first window of a net compiles and warms up before its clock starts. bench/run.py starts these, one at work at a time.
"""

import contextlib
import json
import sys
import time

from nets import KERNEL_ELEMENTS, KERNEL_PASSES, NETS, Conv, Dense, Embed, Flatten, Lstm, Translator

RATE, MOMENTUM = 0.01, 0.9
WARM_UP_STEPS = 5
CALLS_BETWEEN_LOOKS = {"cpu": 4, "cuda": 32}  # at the clock; what runs on a device runs ahead of us between them
SCANNED = 32  # steps of one call of JAX on a GPU


def measure(step, wait, seconds, calls_between_looks):
    """Calls `step` until `seconds` have passed; gives calls per second. `wait` waits for what is still running."""
    start = time.perf_counter()
    calls, passed = 0, 0.0
    while passed < seconds:
        for _ in range(calls_between_looks):
            step()
        wait()
        calls += calls_between_looks
        passed = time.perf_counter() - start
    return calls / passed


class Torch:
    """PyTorch: eager, eager with channels_last, torch.compile on channels_last; on a GPU also a whole step of the compiled
    net as one CUDA graph."""

    steps_per_call = 1

    def __init__(self, device, channels_last=False, compiled="", graph=False):
        import torch

        self.torch, self.device, self.channels_last = torch, device, channels_last
        self.compiled, self.graph = compiled, graph
        self.translators = {}  # by run
        torch.manual_seed(0)
        self.versions = {"PyTorch": torch.__version__, "threads": torch.get_num_threads()}
        if device == "cuda":
            torch.backends.cudnn.benchmark = True

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def use(self, precision):
        tf32 = precision != "f32"
        self.torch.backends.cuda.matmul.allow_tf32 = tf32
        self.torch.backends.cudnn.allow_tf32 = tf32

    def rounding(self, precision):
        """f32 weights, products and convolutions in bf16."""
        if precision == "bf16":
            return self.torch.autocast(self.device, dtype=self.torch.bfloat16)
        return contextlib.nullcontext()

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
                yield nn.Linear(size[-1], layer.features)
                if layer.relu:
                    yield nn.ReLU()
            elif isinstance(layer, Embed):
                yield nn.Embedding(layer.entries, layer.features)
            elif isinstance(layer, Lstm):
                yield self.outputs_of(nn.LSTM(size[-1], layer.features, batch_first=True))
            size = layer.result(size)

    def outputs_of(self, recurrent):
        """The layer without its last state."""

        class Outputs(self.torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = recurrent

            def forward(self, x):
                return self.layer(x)[0]

        return Outputs()

    def translator_step(self, net, batch):
        """Of Adam, on the CPU."""
        import torch_translator

        torch = self.torch
        model = torch_translator.Translator(net.pieces, net.embedding, net.width, dropout=net.dropout)
        assert model.parameter_count() == net.parameters()
        source, before, wanted = torch.randint(torch_translator.END + 1, net.pieces, (3, batch, net.length))
        lengths = torch.tensor(net.source_lengths(batch))
        wanted[torch.arange(net.length) >= torch.tensor(net.target_lengths(batch))[:, None]] = torch_translator.PAD
        optimizer = torch.optim.Adam(model.parameters(), lr=net.rate, fused=True)
        loss = torch.compile(model.loss, dynamic=False) if self.compiled else model.loss

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss(source, lengths, before, wanted, net.smoothing).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), net.clip, foreach=True)
            optimizer.step()

        return step

    def translator(self, run):
        if run not in self.translators:
            import torch_translator

            self.translators[run] = torch_translator.TrainedTranslator(run, bool(self.compiled))
        return self.translators[run]

    def step(self, net, batch, precision):
        torch = self.torch
        self.use(precision)
        if isinstance(net, Translator):
            return self.translator_step(net, batch)
        model = torch.nn.Sequential(*self.layers(net)).to(self.device)
        shape = (batch, net.input[2], *net.input[:2]) if len(net.input) == 3 else (batch, *net.input)
        words = isinstance(net.layers[0], Embed)
        x = torch.randint(0, net.layers[0].entries, shape, device=self.device) if words else torch.randn(
            shape, device=self.device)
        y = torch.randint(0, net.classes, shape if words else (batch,), device=self.device)
        if self.channels_last and len(net.input) == 3:
            model = model.to(memory_format=torch.channels_last)
            x = x.to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)

        def loss(x, y):
            with self.rounding(precision):
                return torch.nn.functional.cross_entropy(model(x).flatten(0, -2), y.flatten())

        if self.compiled:
            loss = torch.compile(loss, dynamic=False, mode=self.compiled)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss(x, y).backward()
            optimizer.step()

        return self.captured(step) if self.graph else step

    def captured(self, step):
        """The step as one CUDA graph, recorded on a side stream once it is warm."""
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    def gemm(self, size, precision):
        self.use(precision)
        dtype = self.torch.bfloat16 if precision == "bf16" else self.torch.float32
        a, b = (self.torch.randn(size, size, device=self.device, dtype=dtype) for _ in range(2))
        result = self.torch.empty(size, size, device=self.device, dtype=dtype)
        return lambda: self.torch.mm(a, b, out=result)

    def kernel(self, name, width):
        torch = self.torch
        x, y, result = (torch.randn(KERNEL_ELEMENTS // width, width, device=self.device) for _ in range(3))
        gain, shift = torch.randn(width, device=self.device), torch.randn(width, device=self.device)
        work = {
            "copy": lambda x, y: result.copy_(x),
            "chain": lambda x, y: torch.tanh(0.5 * x + 1) * y + torch.exp(-x * x),
            "softmax": lambda x, y: torch.softmax(x, 1),
            "layer_norm": lambda x, y: torch.nn.functional.layer_norm(x, (width,), gain, shift),
        }[name]
        return lambda: work(x, y)


class Jax:
    """JAX: the whole step under one jit, parameters and momentum donated; on a GPU many steps as one scan."""

    def __init__(self, device):
        import jax

        self.jax, self.device = jax, device
        self.steps_per_call = SCANNED if device == "cuda" else 1
        self.versions = {"JAX": jax.__version__}
        self.last = None

    def wait(self):
        self.jax.block_until_ready(self.last)

    def use(self, precision):
        self.jax.config.update("jax_default_matmul_precision", "highest" if precision == "f32" else "tensorfloat32")

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
            elif isinstance(layer, Embed):
                x = next(unused)[0][x]
            elif isinstance(layer, Lstm):
                x = self.lstm(*next(unused), x)
        return x

    def lstm(self, weight, bias, x):
        """The input's product for all steps, then a scan over time."""
        jax, numpy = self.jax, self.jax.numpy
        width, features = bias.shape[0] // 4, x.shape[-1]

        def step(carry, given):
            hidden, cell = carry
            i, f, g, o = numpy.split(given + hidden @ weight[features:], 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * numpy.tanh(g)
            hidden = jax.nn.sigmoid(o) * numpy.tanh(cell)
            return (hidden, cell), hidden

        start = numpy.zeros((x.shape[0], width), x.dtype)
        given = numpy.swapaxes(x, 0, 1) @ weight[:features] + bias
        return numpy.swapaxes(jax.lax.scan(step, (start, start), given)[1], 0, 1)

    def step(self, net, batch, precision):
        jax, keys = self.jax, self.jax.random.split(self.jax.random.key(0), 3)
        if self.device == "cuda":
            self.use(precision)
        shape, words = (batch, *net.input), isinstance(net.layers[0], Embed)
        x = jax.random.randint(keys[0], shape, 0, net.layers[0].entries) if words else jax.random.normal(keys[0], shape)
        y = jax.random.randint(keys[1], shape if words else (batch,), 0, net.classes)
        parameters = self.parameters(net, keys[2])
        state = [parameters, jax.tree.map(jax.numpy.zeros_like, parameters)]
        dtype = jax.numpy.bfloat16 if precision == "bf16" else jax.numpy.float32

        def loss(parameters, x, y):
            narrow = jax.tree.map(lambda p: p.astype(dtype), parameters)
            logits = self.logits(net, narrow, x if words else x.astype(dtype)).astype(jax.numpy.float32)
            scores = jax.nn.log_softmax(logits)
            return -jax.numpy.take_along_axis(scores, y[..., None], -1).mean()

        def update(parameters, velocity, x, y):
            gradient = jax.grad(loss)(parameters, x, y)
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
            return jax.tree.map(lambda p, v: p - RATE * v, parameters, velocity), velocity

        def several(parameters, velocity, x, y):
            def one(carry, _):
                return update(*carry, x, y), None

            return jax.lax.scan(one, (parameters, velocity), None, length=self.steps_per_call)[0]

        several = jax.jit(several if self.steps_per_call > 1 else update, donate_argnums=(0, 1))

        def step():
            state[:] = several(*state, x, y)
            self.last = state

        return step

    def gemm(self, size, precision):
        dtype = self.jax.numpy.bfloat16 if precision == "bf16" else self.jax.numpy.float32
        a = self.jax.random.normal(self.jax.random.key(0), (size, size), dtype)
        product = self.jax.jit(lambda a: a @ a)

        def step():
            self.last = product(a)

        return step


PEERS = {
    "torch": lambda device: Torch(device),
    "torch_channels_last": lambda device: Torch(device, channels_last=True),
    "torch_compile": lambda device: Torch(device, True, "max-autotune" if device == "cuda" else "default"),
    "torch_graph": lambda device: Torch(device, True, "default", graph=True),
    "jax": Jax,
}


def make(peer, ask):
    if "gemm" in ask:
        return peer.gemm(ask["gemm"], ask["precision"])
    if "kernel" in ask:
        return peer.kernel(ask["kernel"], ask["width"])
    return peer.step(NETS[ask["net"]], ask["batch"], ask["precision"])


def main():
    name, device = sys.argv[1:]
    peer = PEERS[name](device)
    print(json.dumps(peer.versions), flush=True)
    ready = {}
    for line in sys.stdin:
        ask = json.loads(line)
        if "translate" in ask:
            lines, rate = peer.translator(ask["translate"]).translate(ask["sentences"], ask["beam"])
            print(json.dumps({"sentences_per_second": rate, "translations": lines}), flush=True)
            continue
        if "likelihood" in ask:
            loss = peer.translator(ask["likelihood"]).likelihood(ask["source"], ask["target"])
            print(json.dumps({"loss": loss}), flush=True)
            continue
        seconds = ask.pop("seconds")
        key = json.dumps(ask)
        if key not in ready:
            ready[key] = make(peer, ask)
            for _ in range(WARM_UP_STEPS):
                ready[key]()
            peer.wait()
        rate = measure(ready[key], peer.wait, seconds, CALLS_BETWEEN_LOOKS[device] // peer.steps_per_call or 1)
        if "gemm" in ask:
            answer = {"gflops": rate * 2 * ask["gemm"] ** 3 / 1e9}
        elif "kernel" in ask:
            answer = {"gbs": rate * 4 * KERNEL_ELEMENTS * KERNEL_PASSES[ask["kernel"]] / 1e9}
        else:
            answer = {"examples_per_second": rate * NETS[ask["net"]].examples(ask["batch"]) * peer.steps_per_call}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
