"""The translator of tessera/train/translator.hpp in PyTorch: its training loss, its weights from a run, its beam search.

Encoder: nn.GRU in both directions over packed rows. The decoder's input products of all steps are one, and so are
attention's keys. Sentences go through the search in batches of like lengths, all hypotheses of a batch together.
"""

import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

PAD, BEGIN, END = 0, 2, 3  # pieces that every vocabulary has
IMPOSSIBLE = -1e30  # as a logarithm
ROWS = 64  # of a batch of sentences to translate


class Translator(nn.Module):
    def __init__(self, pieces, embedding, width, layers=1, dropout=0.0):
        super().__init__()
        self.dropout = dropout
        self.pieces = nn.Embedding(pieces, embedding)
        nn.init.normal_(self.pieces.weight, std=embedding**-0.5)
        self.encoder = nn.GRU(embedding, width, layers, batch_first=True, bidirectional=True)
        self.start = nn.Linear(2 * width, width)
        self.given = nn.Linear(embedding, 3 * width)
        self.feed = nn.Linear(embedding, 3 * width, bias=False)
        self.recurrent = nn.Linear(width, 3 * width, bias=False)
        self.candidate_bias = nn.Parameter(torch.zeros(width))
        self.keys = nn.Linear(2 * width, width, bias=False)
        self.query = nn.Linear(width, width, bias=False)
        self.score = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))
        self.attend = nn.Linear(3 * width, embedding)
        self.bias = nn.Parameter(torch.zeros(pieces))

    def parameter_count(self):
        """PyTorch's GRU has two biases where one would do, for two of its three gates."""
        biases = sum(p.numel() for name, p in self.encoder.named_parameters() if name.startswith("bias_hh"))
        return sum(p.numel() for p in self.parameters()) - biases * 2 // 3

    def drop(self, x):
        """One mask for all steps of [rows, steps, features]."""
        if not self.training or self.dropout == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.dropout)

    def embed(self, tokens):
        return self.pieces(tokens) * math.sqrt(self.pieces.embedding_dim)

    def encode(self, source, lengths):
        """Values [rows, time, 2 width], keys, where there are pieces, and the decoder's first state."""
        packed = nn.utils.rnn.pack_padded_sequence(self.drop(self.embed(source)), lengths, batch_first=True,
                                                   enforce_sorted=False)
        outputs, last = self.encoder(packed)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])
        values = self.drop(outputs)
        within = torch.arange(source.shape[1]) < lengths[:, None]
        hidden = torch.tanh(self.start(torch.cat((last[-2], last[-1]), -1)))
        return (values, self.keys(values), within), hidden

    def step(self, given, hidden, attended, memory):
        """One step: `given` is the product of the piece before. Rows of the memory have one hypothesis, [rows, ...], or
        several, [rows * beam, ...]."""
        values, keys, within = memory
        mine, theirs = self.recurrent(hidden), given + self.feed(attended)
        r, z, n = mine.chunk(3, -1)
        gr, gz, gn = theirs.chunk(3, -1)
        candidate = torch.tanh(gn + torch.sigmoid(gr + r) * (n + self.candidate_bias))
        hidden = torch.lerp(candidate, hidden, torch.sigmoid(gz + z))
        queries = self.query(hidden).view(len(values), -1, 1, keys.shape[-1])
        scores = torch.tanh(keys[:, None] + queries) @ self.score
        weights = torch.softmax(scores.masked_fill(~within[:, None], IMPOSSIBLE), -1)
        context = torch.bmm(weights, values).view(len(hidden), -1)
        return hidden, torch.tanh(self.attend(torch.cat((hidden, context), -1)))

    def logits(self, attended):
        return F.linear(attended, self.pieces.weight, self.bias)

    def loss(self, source, lengths, before, wanted, smoothing=0.0):
        """Of the pieces `wanted`, whose predecessors are `before`; the mean over those that are not padding."""
        memory, hidden = self.encode(source, lengths)
        attended = hidden.new_zeros(len(source), self.pieces.embedding_dim)
        states = []
        for given in self.given(self.drop(self.embed(before))).unbind(1):
            hidden, attended = self.step(given, hidden, attended, memory)
            states.append(attended)
        logits = self.logits(self.drop(torch.stack(states, 1)))
        return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD, label_smoothing=smoothing)

    def search(self, source, lengths, beam, longest, step):
        """The best translation of each row, [rows, longest]. A row is done when `beam` of its hypotheses have ended; rows
        that are done stay in the batch until all are, as in Tessera's search."""
        rows, pieces, device = len(source), self.bias.shape[0], source.device
        memory, hidden = self.encode(source, lengths)
        hidden = hidden.repeat_interleave(beam, 0)
        attended = hidden.new_zeros(rows * beam, self.pieces.embedding_dim)
        last = torch.full((rows * beam,), BEGIN, device=device)
        scores = torch.full((rows, beam), IMPOSSIBLE, device=device)
        scores[:, 0] = 0
        tokens = torch.full((rows, beam, longest), PAD, device=device)
        best, best_tokens = torch.full((rows,), IMPOSSIBLE, device=device), tokens[:, 0].clone()
        ended = torch.zeros(rows, dtype=torch.long, device=device)
        first = torch.arange(rows, device=device)[:, None]
        ranks = torch.arange(2 * beam, device=device)

        def add(more_tokens, more):
            """Hypotheses that have ended: [rows, n, longest] and their scores."""
            nonlocal best, best_tokens
            here, at = more.max(1)
            better = here > best
            best = torch.where(better, here, best)
            best_tokens = torch.where(better[:, None], more_tokens[first[:, 0], at], best_tokens)

        for done in range(1, longest + 1):
            hidden, attended = step(self.given(self.embed(last)), hidden, attended, memory)
            following = torch.log_softmax(self.logits(attended), -1)
            following[:, :END] = IMPOSSIBLE
            every = following.view(rows, beam, pieces).add_(scores[:, :, None]).view(rows, -1)
            top, at = every.topk(2 * beam)
            parent, piece = at // pieces, at % pieces
            grown = tokens[first, parent]
            grown[:, :, done - 1] = piece
            ends = piece == END
            counts = ends & (ranks < beam) & (ended < beam)[:, None]
            add(grown, torch.where(counts, top / done, IMPOSSIBLE))
            ended += counts.sum(1)
            if bool((ended >= beam).all()):
                break
            scores, kept = top.masked_fill(ends, IMPOSSIBLE).topk(beam)
            tokens, last = grown[first, kept], piece.gather(1, kept).flatten()
            rows_of = (first * beam + parent.gather(1, kept)).flatten()
            hidden, attended = hidden[rows_of], attended[rows_of]
        add(tokens, torch.where((ended == 0)[:, None], scores / done, IMPOSSIBLE))
        return best_tokens


def read_run(run):
    """The model of a run's newest checkpoint, every tensor of which is used once."""
    from safetensors.torch import load_file

    newest = max(path.parent for path in Path(run).glob("checkpoints/*/_SUCCESS"))
    tensors = load_file(newest / "model.safetensors")
    pieces, embedding = tensors["pieces.vectors.table"].shape
    width = len(tensors["attention.score"])
    layers = len({name.split(".")[2] for name in tensors if name.startswith("encoder.layers.")})
    model = Translator(pieces, embedding, width, layers)
    weights = {}
    for layer in range(layers):
        for direction, suffix in enumerate(("", "_reverse")):
            cell = f"encoder.layers.{layer}.{direction}."
            ours = f"_l{layer}{suffix}"
            weights["encoder.weight_ih" + ours] = tensors.pop(cell + "input").T
            weights["encoder.weight_hh" + ours] = tensors.pop(cell + "recurrent").T
            weights["encoder.bias_ih" + ours] = tensors.pop(cell + "bias")
            weights["encoder.bias_hh" + ours] = F.pad(tensors.pop(cell + "candidate_bias"), (2 * width, 0))
    for ours, name in (("given.weight", "decoder.input"), ("feed.weight", "feed"), ("query.weight", "attention.query"),
                       ("recurrent.weight", "decoder.recurrent"), ("keys.weight", "attention.keys"),
                       ("start.weight", "start.0.weights"), ("attend.weight", "attend.weights")):
        weights[ours] = tensors.pop(name).T
    for ours, name in (("pieces.weight", "pieces.vectors.table"), ("bias", "pieces.bias"), ("start.bias", "start.0.bias"),
                       ("given.bias", "decoder.bias"), ("candidate_bias", "decoder.candidate_bias"),
                       ("score", "attention.score"), ("attend.bias", "attend.bias")):
        weights[ours] = tensors.pop(name)
    if tensors:
        raise ValueError(f"{newest}: not a translator of this kind: {', '.join(tensors)}")
    model.load_state_dict({name: tensor.contiguous() for name, tensor in weights.items()})
    return model.eval()


def padded(sequences):
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return nn.utils.rnn.pad_sequence([torch.tensor(s) for s in sequences], batch_first=True, padding_value=PAD), lengths


class TrainedTranslator:
    """A run in use."""

    def __init__(self, run, compiled=False):
        from sentencepiece import SentencePieceProcessor

        self.model = read_run(run)
        self.step = torch.compile(self.model.step, dynamic=True) if compiled else self.model.step
        self.vocabulary = SentencePieceProcessor(model_file=str(Path(run) / "vocabulary.model"))

    @torch.inference_mode()
    def translate(self, sentences, beam):
        start = time.perf_counter()
        pieces = [tokens + [END] for tokens in self.vocabulary.encode(sentences)]
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]), reverse=True)
        lines = [""] * len(pieces)
        for i in range(0, len(order), ROWS):
            batch = order[i : i + ROWS]
            source, lengths = padded([pieces[row] for row in batch])
            found = self.model.search(source, lengths, beam, 2 * source.shape[1] + 10, self.step).tolist()
            texts = self.vocabulary.decode([row[: row.index(END)] if END in row else row for row in found])
            for row, text in zip(batch, texts):
                lines[row] = text
        return lines, len(lines) / (time.perf_counter() - start)

    @torch.inference_mode()
    def likelihood(self, source, target):
        """-log probability of a piece of the targets, mean."""
        loss = count = 0
        for i in range(0, len(source), ROWS):
            texts, lengths = padded([s + [END] for s in self.vocabulary.encode(source[i : i + ROWS])])
            targets = self.vocabulary.encode(target[i : i + ROWS])
            before, wanted = padded([[BEGIN] + t for t in targets])[0], padded([t + [END] for t in targets])[0]
            pieces = int((wanted != PAD).sum())
            loss += float(self.model.loss(texts, lengths, before, wanted)) * pieces
            count += pieces
        return loss / count
