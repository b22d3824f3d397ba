"""Writes recurrent.json, what recurrent_test.cpp compares with: recurrent layers, attention and losses as PyTorch computes them,
in f64, with gradients. Parameters are in Tessera's layout: weights [in, out], the two biases of a gate as their sum.
Usage, in an environment that has torch: python3 tests/recurrent.py > tests/recurrent.json"""
import json

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
BATCH, TIME, IN, HIDDEN = 3, 5, 4, 3


def values(tensor):
    # Four decimals of the inputs are exact; results need all of theirs.
    return [list(tensor.shape), [float(f"{v:.13g}") for v in tensor.detach().flatten().tolist()]]


def inputs(*shape):
    return (torch.randn(*shape) * 0.7).round(decimals=4).requires_grad_()


def cells(layer, part):
    """What `part` picks of each parameter, cell by cell."""
    gru, h = isinstance(layer, torch.nn.GRU), HIDDEN
    for names in layer.all_weights_names if hasattr(layer, "all_weights_names") else layer._all_weights:
        w_in, w_h, b_in, b_h = (getattr(layer, name) for name in names)
        yield values(part(w_in).T)
        yield values(part(w_h).T)
        if part is not gradient:
            both = b_in + b_h
            yield values(torch.cat([both[: 2 * h], b_in[2 * h :]]) if gru else both)
        else:
            yield values(b_in.grad)
        if gru:
            yield values(part(b_h)[2 * h :])


def itself(parameter):
    return parameter


def gradient(parameter):
    return parameter.grad


def recurrent(kind, layers, bidirectional, ragged):
    layer = getattr(torch.nn, kind)(IN, HIDDEN, layers, batch_first=True, bidirectional=bidirectional)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.round(decimals=4))
    directions = 2 if bidirectional else 1
    x = inputs(BATCH, TIME, IN)
    lengths = [5, 2, 4] if ragged else [TIME] * BATCH
    count = 2 if kind == "LSTM" else 1
    start = [inputs(layers * directions, BATCH, HIDDEN) for _ in range(count)]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = layer(packed, tuple(start) if count == 2 else start[0])
    outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=TIME)
    last = last if count == 2 else (last,)
    weight = inputs(*outputs.shape).detach()
    weights = [inputs(*s.shape).detach() for s in last]
    loss = (outputs * weight).sum() + sum((s * w).sum() for s, w in zip(last, weights))
    loss.backward()
    return {
        "kind": kind, "layers": layers, "bidirectional": bidirectional, "lengths": lengths if ragged else [],
        "parameters": list(cells(layer, itself)), "x": values(x), "start": [values(s) for s in start],
        "weight": values(weight), "weights": [values(w) for w in weights],
        "outputs": values(outputs), "last": [values(s) for s in last],
        "parameter_gradients": list(cells(layer, gradient)), "x_gradient": values(x.grad),
        "start_gradients": [values(s.grad) for s in start],
    }


def attention(kind):
    query, memory, lengths = inputs(BATCH, 2, HIDDEN), inputs(BATCH, TIME, IN), [5, 2, 4]
    mask = (torch.arange(TIME) < torch.tensor(lengths)[:, None])[:, None, :]
    if kind == "additive":
        parameters = [inputs(IN, 6), inputs(HIDDEN, 6), inputs(6)]
        keys, queries, score = parameters
        scores = (torch.tanh((memory @ keys)[:, None] + (query @ queries)[:, :, None]) * score).sum(-1)
        context = torch.softmax(scores.masked_fill(~mask, -torch.inf), -1) @ memory
    else:
        parameters = [inputs(IN, HIDDEN)]
        context = functional.scaled_dot_product_attention(query, memory @ parameters[0], memory, attn_mask=mask)
    weight = inputs(*context.shape).detach()
    (context * weight).sum().backward()
    return {
        "kind": kind, "query": values(query), "memory": values(memory), "lengths": lengths, "weight": values(weight),
        "parameters": [values(p) for p in parameters], "context": values(context),
        "gradients": [values(p.grad) for p in [*parameters, query, memory]],
    }


def multi_head(masked):
    """Queries of another length than the memory; `masked`: ragged memories, and queries that see no later position."""
    features, heads, steps = 6, 2, 4
    layer = torch.nn.MultiheadAttention(features, heads, batch_first=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter).mul(0.5).round(decimals=4))
    query, memory = inputs(BATCH, steps, features), inputs(BATCH, TIME, features)
    allowed = torch.ones(BATCH, steps, TIME, dtype=torch.bool)
    if masked:
        within = torch.arange(TIME) < torch.tensor([5, 2, 4])[:, None]
        allowed = within[:, None, :] & (torch.arange(TIME) <= torch.arange(steps)[:, None])
    context, weights = layer(query, memory, memory, attn_mask=~allowed.repeat_interleave(heads, 0),
                             average_attn_weights=False)
    weight = inputs(*context.shape).detach()
    (context * weight).sum().backward()

    def parameters(part):
        maps = zip(part(layer.in_proj_weight).chunk(3), part(layer.in_proj_bias).chunk(3))
        for w, b in [*maps, (part(layer.out_proj.weight), part(layer.out_proj.bias))]:
            yield values(w.T)
            yield values(b)

    return {
        "heads": heads, "query": values(query), "memory": values(memory), "allowed": allowed.int().flatten().tolist(),
        "weight": values(weight), "parameters": list(parameters(itself)), "context": values(context),
        "weights": values(weights), "gradients": [*parameters(gradient), values(query.grad), values(memory.grad)],
    }


def cross_entropy(smoothing):
    logits, labels = inputs(BATCH, TIME, 6), torch.tensor([[1, 0, 5, 2, 3], [4, 4, -100, -100, -100], [0, 1, 2, 3, -100]])
    loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing)
    loss.backward()
    return {"smoothing": smoothing, "logits": values(logits), "labels": labels.tolist(), "lengths": [5, 2, 4],
            "loss": loss.item(), "gradient": values(logits.grad)}


cases = {
    "torch": torch.__version__.split("+")[0],
    "recurrent": [recurrent(kind, layers, both, ragged) for kind in ["RNN", "LSTM", "GRU"]
                  for layers, both, ragged in [(1, False, False), (2, True, True)]],
    "attention": [attention(kind) for kind in ["additive", "dot"]],
    "cross_entropy": [cross_entropy(smoothing) for smoothing in [0.0, 0.1]],
    "multi_head": [multi_head(masked) for masked in [False, True]],
}
lists = [f'  {json.dumps(key)}: [\n' + ",\n".join("   " + json.dumps(case) for case in value) + "\n  ]"
         for key, value in cases.items() if isinstance(value, list)]
print("{\n  " + f'"torch": {json.dumps(cases["torch"])},\n' + ",\n".join(lists) + "\n}")
