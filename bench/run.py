"""`make bench`: Tessera and its peers on the same nets, in turns, within one run; the table goes to bench/RESULTS.md.

Each contestant in turn trains a net for some seconds, all of them one round, several rounds: what else the machine does
meets all of them. A figure is the median of a contestant's windows. Peers: bench/peers.py. Nets: bench/nets.py.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from nets import NETS, ROWS

TOP = Path(__file__).resolve().parent.parent
PEERS = {"torch": "PyTorch", "torch_channels_last": "channels_last", "torch_compile": "compile", "jax": "JAX"}
GEMM_SIZE = 2048


class Peer:
    """A waiting bench/peers.py."""

    def __init__(self, name):
        command = [sys.executable, TOP / "bench/peers.py", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: a peer ended: {self.process.args[-1]}")
        return json.loads(line)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def train(self, net, batch, seconds):
        return self.ask(net=net, batch=batch, seconds=seconds)["examples_per_second"]


class Tessera:
    """The command, once a window."""

    def __init__(self):
        self.command = TOP / "build/release/bin/tessera"
        self.limits, self.seen = [], {}

    def train(self, net, batch, seconds):
        command = [self.command, "bench", net, "--batch", str(batch), "--seconds", str(seconds), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"bench: tessera failed: {' '.join(map(str, command))}")
        answer = json.loads(done.stdout)
        self.limits.append(answer["limits"])
        row = answer["rows"][0]
        self.seen[net, batch] = row
        return row["examples_per_second"]["median"]

    def limit(self, name):
        return statistics.median(limits[name] for limits in self.limits)


def stolen_ticks():
    """The time that the host took from this machine, and all time, in ticks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return ticks[7], sum(ticks[:8])


def processor():
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", text)
    flags = set(re.search(r"flags\s*:\s*(.*)", text).group(1).split())
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16") if name in flags]
    return f"{model.group(1) if model else 'unknown'}, {os.cpu_count()} cores, {' '.join(sets)}"


def version_of(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE, text=True)
    return done.stdout or "none"


def overhead(*arguments):
    """What bench/overhead.cpp measures."""
    program = TOP / "build/release/bin/overhead_bench"
    if not program.exists():
        return []
    done = subprocess.run([program, "--benchmark_format=json", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["benchmarks"]


def compete(contestants, rows, rounds, seconds):
    """Examples per second of every window: {(net, batch): {contestant: [...]}}, the peers' matrix product, and for each
    round the nanoseconds of a cache line to the other core and back."""
    windows = {row: {name: [] for name in contestants} for row in rows}
    gemm, lines = [], []
    for turn in range(rounds):
        lines += [result["real_time"] for result in overhead("--benchmark_filter=cache line", "--benchmark_min_time=0.1")]
        for row in rows:
            for name, contestant in contestants.items():
                windows[row][name].append(contestant.train(*row, seconds))
        gemm += [contestants["torch"].ask(gemm=GEMM_SIZE, seconds=seconds / 2)["gflops"]]
        print(f"round {turn + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return windows, statistics.median(gemm), lines


def thousands(rate):
    return f"{rate / 1000:.1f}k" if rate >= 10000 else f"{rate / 1000:.2f}k"


def speed_table(windows, tessera):
    lines = ["| net, batch | Tessera (least to most) | " + " | ".join(PEERS.values()) + " | Tessera against the best peer |",
             "| --- | --- |" + " --- |" * len(PEERS) + " --- |"]
    for (net, batch), by_name in windows.items():
        median = {name: statistics.median(rates) for name, rates in by_name.items()}
        best = max(PEERS, key=lambda name: median[name])
        cells = [f"**{thousands(median[name])}**" if name == best else thousands(median[name]) for name in PEERS]
        ours, ratio = "-", "-"
        if tessera:
            rates = by_name["tessera"]
            ours = f"{thousands(median['tessera'])} ({thousands(min(rates))} to {thousands(max(rates))})"
            ratio = f"**{median['tessera'] / median[best]:.2f}x**"
        lines.append(f"| {net} {batch} | {ours} | " + " | ".join(cells) + f" | {ratio} |")
    return lines


def floor_table(windows, gemm, tessera):
    """For each net the least time that its operations and its bytes take, and the share of it that was reached."""
    copy = tessera.limit("copy_gbs") if tessera else None
    gemm = tessera.limit("gemm_gflops") if tessera else gemm
    lines = ["| net, batch | MFLOP per example | kB per example | bound by operations | bound by bytes | Tessera reached |"
             " best peer reached |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for (net, batch), by_name in windows.items():
        operations, size = NETS[net].operations(), NETS[net].bytes(batch)
        bounds = [gemm * 1e9 / operations] + ([copy * 1e9 / size] if copy else [])
        peer = max(statistics.median(by_name[name]) for name in PEERS)
        ours = f"{100 * statistics.median(by_name['tessera']) / min(bounds):.0f} %" if tessera else "-"
        lines.append(f"| {net} {batch} | {operations / 1e6:.2f} | {size / 1e3:.0f} | {thousands(bounds[0])} | "
                     f"{thousands(bounds[1]) if copy else '-'} | {ours} | {100 * peer / min(bounds):.0f} % |")
    return lines


def overhead_lines():
    """The cost of a call."""
    lines = ["", "## The cost of a call", "", "| what | median |", "| --- | --- |"]
    for result in overhead("--benchmark_repetitions=5", "--benchmark_report_aggregates_only=true"):
        if result["aggregate_name"] == "median":
            lines.append(f"| {result['run_name'].replace('_', ' ')} | {result['real_time']:.0f} {result['time_unit']} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one window")
    parser.add_argument("--net", action="append", choices=NETS, help="only this one")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="that every contestant may use")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--out", type=Path, default=TOP / "bench/RESULTS.md")
    options = parser.parse_args()

    os.sched_setaffinity(0, range(options.cores))  # what is started from here inherits it
    os.environ["OMP_NUM_THREADS"] = str(options.cores)
    rows = [row for row in ROWS if not options.net or row[0] in options.net]
    tessera = None if options.peers_only else Tessera()
    peers = {name: Peer(name) for name in PEERS}
    contestants = ({"tessera": tessera} if tessera else {}) | peers
    for row in rows:  # compile, before the clocks start
        for contestant in contestants.values():
            contestant.train(*row, 0.1)

    steal, load = stolen_ticks(), os.getloadavg()[0]
    windows, gemm, lines = compete(contestants, rows, options.rounds, options.seconds)
    stolen, passed = (after - before for after, before in zip(stolen_ticks(), steal))

    versions = {key: value for peer in peers.values() for key, value in peer.versions.items()}
    limits = f"; Tessera's: {tessera.limit('gemm_gflops'):.0f} GFLOP/s, copy {tessera.limit('copy_gbs'):.0f} GB/s" if tessera else ""
    text = [
        "# Speed", "",
        "`make bench` writes this page: a whole training step (softmax cross entropy, SGD with momentum, f32, synthetic",
        "data) of the nets of `tessera bench`, in examples per second. Medians of windows that the contestants take in",
        "turns; the best peer of each row is bold.", "",
        f"- {datetime.date.today()}, {processor()}, {options.cores} used",
        f"- PyTorch {versions['PyTorch']} ({versions['threads']} threads), JAX {versions['JAX']}, "
        f"oneDNN {version_of('libdnnl2')}, LLVM {version_of('libllvm19')}, g++ {version_of('g++')}",
        f"- {options.rounds} windows of {options.seconds:g} s; load {load:.1f} before and {os.getloadavg()[0]:.1f} after; "
        f"{100 * stolen / passed:.1f} % of the time stolen by the host",
        f"- a cache line to the other core and back, in each round: {', '.join(f'{ns:.0f}' for ns in lines)} ns",
        f"- matrix product of {GEMM_SIZE} in PyTorch: {gemm:.0f} GFLOP/s{limits}", "",
        *speed_table(windows, tessera), "",
        "## The floors", "",
        "Operations: those of products and convolutions alone, at the speed of a matrix product. Bytes: each layer (with its",
        "ReLU and pool) one pass over memory, at the speed of a copy; what stays in the cache costs less.", "",
        *floor_table(windows, gemm, tessera), *overhead_lines(),
    ]
    options.out.write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
