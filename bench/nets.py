"""The nets of `tessera bench`, as data: what the peers build, and what a training step costs at the least."""

from dataclasses import dataclass
from math import prod


@dataclass
class Conv:
    """A convolution, its ReLU and a 2x2 max-pool."""

    features: int
    window: int
    padding: str  # same or valid

    def conv_size(self, size):
        lost = 0 if self.padding == "same" else self.window - 1
        return (size[0] - lost, size[1] - lost, self.features)

    def result(self, size):
        height, width, features = self.conv_size(size)
        return (height // 2, width // 2, features)

    def weights(self, size):
        return (self.window, self.window, size[2], self.features)

    def products(self, size):
        return prod(self.conv_size(size)[:2]) * prod(self.weights(size))


@dataclass
class Flatten:
    def result(self, size):
        return (prod(size),)

    def weights(self, size):
        return ()

    def products(self, size):
        return 0


@dataclass
class Dense:
    features: int
    relu: bool = True

    def result(self, size):
        return (*size[:-1], self.features)

    def weights(self, size):
        return (size[-1], self.features)

    def products(self, size):
        return prod(size) * self.features


@dataclass
class Embed:
    """Rows of a table by integer."""

    entries: int
    features: int

    def result(self, size):
        return (*size, self.features)

    def weights(self, size):
        return (self.entries, self.features)

    def products(self, size):
        return 0


@dataclass
class Lstm:
    """Over all steps of [time, features]; its weights are those of the input above those of the state."""

    features: int

    def result(self, size):
        return (size[0], self.features)

    def weights(self, size):
        return (size[1] + self.features, 4 * self.features)

    def products(self, size):
        return size[0] * prod(self.weights(size))


@dataclass
class Net:
    input: tuple  # of floats; of a net that begins with Embed, of integers
    layers: list
    classes: int = 10

    def examples(self, batch):
        """Of a training step."""
        return batch

    def operations(self):
        """Of a training step, per example: forward, gradient of the weights, gradient of the input but for the first
        layer of floats; a multiplication and an addition are two. Everything but products and convolutions is left out."""
        size, total, passes = self.input, 0, 3 if isinstance(self.layers[0], Embed) else 2
        for layer in self.layers:
            total += 2 * passes * layer.products(size)
            if layer.products(size):
                passes = 3
            size = layer.result(size)
        return total

    def parameters(self):
        size, total = self.input, 0
        for layer in self.layers:
            shape = layer.weights(size)
            total += prod(shape) + (0 if not shape or isinstance(layer, Embed) else shape[-1])
            size = layer.result(size)
        return total

    def bytes(self, batch):
        """Of a training step, per example, where each layer is one pass over memory: its result (after ReLU and pool)
        is written, read by the next layer and again for the gradient, and its own gradient is written and read twice;
        the input is read twice; a step reads and writes each parameter and its momentum."""
        size, total = self.input, 2 * prod(self.input)
        for layer in self.layers:
            size = layer.result(size)
            total += 0 if isinstance(layer, Flatten) else 6 * prod(size)
        return 4 * (total + 4 * self.parameters() / batch)


@dataclass
class Translator:
    """recipes/translate.toml without the mean of its parameters, on pairs of random sentences: 17 to 24 pieces, padded to
    24. An example is a piece of a target."""

    pieces: int = 8000
    embedding: int = 256
    width: int = 384
    dropout: float = 0.3
    smoothing: float = 0.1
    clip: float = 1.0
    rate: float = 0.001
    length: int = 24
    lengths: int = 8

    def source_lengths(self, batch):
        return [self.length - row % self.lengths for row in range(batch)]

    def target_lengths(self, batch):
        """Each of them with each length of a source."""
        return [self.length - row // self.lengths % self.lengths for row in range(batch)]

    def examples(self, batch):
        return sum(self.target_lengths(batch))

    def parameters(self):
        e, w = self.embedding, self.width
        cell = (e + w) * 3 * w + 4 * w
        attention = 2 * w * w + w * w + w
        return (self.pieces * (e + 1) + 3 * cell + (2 * w + 1) * w + e * 3 * w + attention + (3 * w + 1) * e)

    def operations(self):
        """As Net's; the products alone, padding included."""
        e, w = self.embedding, self.width
        encoder = 2 * (e + w) * 3 * w + 2 * w * w
        decoder = (2 * e + w) * 3 * w + w * w + self.length * 2 * w + 3 * w * e + e * self.pieces
        mean = self.length - (self.lengths - 1) / 2
        return 3 * 2 * ((encoder + decoder) * self.length + 2 * w * w) / mean

    def bytes(self, batch):
        """As Net's, a position of source and target as layers: embedding, gates, states, keys; embedding, gates, state,
        weighted sum, attended, scores. A step reads and writes each parameter and its two moments."""
        e, w = self.embedding, self.width
        results = (e + 2 * 3 * w + 2 * w + w) + (e + 3 * w + w + 2 * w + e + self.pieces)
        return 4 * (6 * results * batch * self.length + 6 * self.parameters()) / self.examples(batch)


NETS = {
    "mlp": Net((784,), [Dense(256), Dense(128), Dense(10, relu=False)]),
    "lenet": Net((28, 28, 1), [Conv(6, 5, "same"), Conv(16, 5, "valid"), Flatten(),
                               Dense(120), Dense(84), Dense(10, relu=False)]),
    "cnn": Net((28, 28, 1), [Conv(32, 3, "same"), Conv(64, 3, "same"), Flatten(), Dense(128), Dense(10, relu=False)]),
    "lstm": Net((32,), [Embed(10000, 256), Lstm(256), Dense(1000, relu=False)], classes=1000),
    "translator": Translator(),
}
# Peers that do not train a net.
NOT_IN = {"translator": ["jax"]}
# (net, batch, precision of products and convolutions) by device.
ROWS = {
    "cpu": [("mlp", 128, "f32"), ("lenet", 128, "f32"), ("cnn", 128, "f32"), ("cnn", 512, "f32"),
            ("lstm", 64, "f32"), ("translator", 64, "f32")],
    "cuda": [("mlp", 128, "bf16"), ("mlp", 16384, "bf16"), ("lenet", 128, "bf16"), ("lenet", 1024, "bf16"),
             ("cnn", 128, "bf16"), ("cnn", 4096, "bf16"), ("cnn", 4096, "tf32")],
}
# Kernels limited by memory, on a GPU: f32 [2**27 / width, width].
KERNELS = [("copy", 1024), ("chain", 1024), ("softmax", 1024), ("softmax", 4096), ("softmax", 16384), ("softmax", 65536),
           ("layer_norm", 1024), ("layer_norm", 4096), ("layer_norm", 16384), ("layer_norm", 65536)]
KERNEL_ELEMENTS = 1 << 27
# Matrices that pass through memory in one run of a kernel.
KERNEL_PASSES = {"copy": 2, "chain": 3, "softmax": 2, "layer_norm": 2}
