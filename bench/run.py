"""`make bench`: Tessera and its peers on the same nets, in turns, within one run; the table goes to bench/RESULTS.md, of a
GPU (--device cuda) to bench/RESULTS-cuda.md.

Each contestant in turn trains a net for some seconds, all of them one round, several rounds: what else the machine does
meets all of them. A figure is the median of a contestant's windows. Contestants: bench/contestant.cpp, bench/peers.py.
Nets and kernels: bench/nets.py.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from nets import KERNELS, NETS, NOT_IN, ROWS

TOP = Path(__file__).resolve().parent.parent
PEERS = {
    "cpu": {"torch": "PyTorch", "torch_channels_last": "channels_last", "torch_compile": "compile", "jax": "JAX"},
    "cuda": {"torch_channels_last": "PyTorch", "torch_compile": "compile, max-autotune",
             "torch_graph": "compile, step as one CUDA graph", "jax": "JAX, scan of 32 steps"},
}
GEMM_SIZE = {"cpu": 2048, "cuda": 8192}


class Ended(Exception):
    """A contestant that gives no answer."""


class Contestant:
    """A process that waits for questions: bench/contestant.cpp or bench/peers.py."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise Ended(f"bench: it ended, and is left out: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def train(self, net, batch, precision, seconds):
        return self.ask(net=net, batch=batch, precision=precision, seconds=seconds)["examples_per_second"]


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
    if shutil.which("dpkg-query") is None:
        return "unknown"
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE, text=True)
    return done.stdout or "none"


def overhead(*arguments):
    """What bench/overhead.cpp measures."""
    program = TOP / "build/release/bin/overhead_bench"
    if not program.exists():
        return []
    done = subprocess.run([program, "--benchmark_format=json", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["benchmarks"]


def takes_part(name, row):
    return name not in NOT_IN.get(row[0], ())


def compete(contestants, rows, rounds, seconds):
    """Examples per second of every window, {row: {contestant: [...]}}, and for each round the nanoseconds of a cache line
    to the other core and back."""
    windows = {row: {name: [] for name in contestants if takes_part(name, row)} for row in rows}
    lines = []
    for turn in range(rounds):
        lines += [result["real_time"] for result in overhead("--benchmark_filter=cache line", "--benchmark_min_time=0.1")]
        for row in rows:
            for name in windows[row]:
                windows[row][name].append(contestants[name].train(*row, seconds))
        print(f"round {turn + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        for row, by_name in windows.items():  # what was measured stays, whatever happens to the rest
            print("  " + row_name(row) + ": " + ", ".join(f"{name} {thousands(rates[-1])}" for name, rates in
                                                          by_name.items()), file=sys.stderr, flush=True)
    return windows, lines


def machine_limits(contestants, device, precisions, rounds, seconds):
    """Medians in GFLOP/s and GB/s: ours and the peers' matrix product of each precision, our copy."""
    seen = {"copy": []}
    for _ in range(rounds):
        for precision in precisions:
            if "tessera" in contestants:
                limits = contestants["tessera"].ask(limits=precision)
                seen.setdefault(("tessera", precision), []).append(limits["gemm_gflops"])
                seen["copy"].append(limits["copy_gbs"])
            if "torch_channels_last" in contestants:
                peer = contestants["torch_channels_last"].ask(gemm=GEMM_SIZE[device], precision=precision,
                                                              seconds=seconds / 2)
                seen.setdefault(("torch", precision), []).append(peer["gflops"])
    return {name: statistics.median(values) for name, values in seen.items() if values}


def thousands(rate):
    if rate >= 1e6:
        return f"{rate / 1e6:.1f}M" if rate >= 1e7 else f"{rate / 1e6:.2f}M"
    return f"{rate / 1000:.1f}k" if rate >= 10000 else f"{rate / 1000:.2f}k"


def row_name(row):
    net, batch, precision = row
    return f"{net} {batch}" + ("" if precision == "f32" else f", {precision}")


def speed_table(windows, peers):
    lines = ["| net, batch | Tessera (least to most) | " + " | ".join(peers.values()) + " | Tessera against the best peer |",
             "| --- | --- |" + " --- |" * len(peers) + " --- |"]
    for row, by_name in windows.items():
        median = {name: statistics.median(rates) for name, rates in by_name.items()}
        best = max((name for name in peers if name in median), key=lambda name: median[name])
        cells = ["-" if name not in median else f"**{thousands(median[name])}**" if name == best else
                 thousands(median[name]) for name in peers]
        ours, ratio = "-", "-"
        if "tessera" in by_name:
            rates = by_name["tessera"]
            ours = f"{thousands(median['tessera'])} ({thousands(min(rates))} to {thousands(max(rates))})"
            ratio = f"**{median['tessera'] / median[best]:.2f}x**"
        lines.append(f"| {row_name(row)} | {ours} | " + " | ".join(cells) + f" | {ratio} |")
    return lines


def floor_table(windows, limits, peers):
    """For each net the least time that its operations and its bytes take, and the share of it that was reached."""
    copy = limits.get("copy")
    lines = ["| net, batch | MFLOP per example | kB per example | bound by operations | bound by bytes | Tessera reached |"
             " best peer reached |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row, by_name in windows.items():
        net, batch, precision = row
        gemm = limits.get(("tessera", precision)) or limits["torch", precision]
        operations, size = NETS[net].operations(), NETS[net].bytes(batch)
        bounds = [gemm * 1e9 / operations] + ([copy * 1e9 / size] if copy else [])
        peer = max(statistics.median(by_name[name]) for name in peers if name in by_name)
        ours = f"{100 * statistics.median(by_name['tessera']) / min(bounds):.0f} %" if "tessera" in by_name else "-"
        lines.append(f"| {row_name(row)} | {operations / 1e6:.2f} | {size / 1e3:.0f} | {thousands(bounds[0])} | "
                     f"{thousands(bounds[1]) if copy else '-'} | {ours} | {100 * peer / min(bounds):.0f} % |")
    return lines


def kernel_table(contestants, rounds, seconds):
    """Kernels that memory limits, against PyTorch's copy of the same run."""
    names = [name for name in ("tessera", "torch_channels_last") if name in contestants]
    seen = {case: {name: [] for name in names} for case in KERNELS}
    for _ in range(rounds):
        for kernel, width in KERNELS:
            for name in names:
                rate = contestants[name].ask(kernel=kernel, width=width, seconds=seconds / 4)["gbs"]
                seen[kernel, width][name].append(rate)
    medians = {case: {name: statistics.median(rates) for name, rates in by_name.items()} for case, by_name in seen.items()}
    copy = medians["copy", 1024]["torch_channels_last"]
    lines = ["", "## Kernels that memory limits", "",
             "f32, 2^27 elements in rows of some width, GB/s of what they must read and write; the share is of PyTorch's copy.",
             "", "| kernel, width | Tessera | share | PyTorch |", "| --- | --- | --- | --- |"]
    for (kernel, width), by_name in medians.items():
        ours = by_name.get("tessera", 0)
        lines.append(f"| {kernel} {width} | {ours:.0f} | {100 * ours / copy:.0f} % |"
                     f" {by_name['torch_channels_last']:.0f} |")
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
    parser.add_argument("--device", choices=PEERS, default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one window")
    parser.add_argument("--net", action="append", choices=NETS, help="only this one")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="that every contestant may use")
    parser.add_argument("--peer", action="append", help="only this one: " + ", ".join(PEERS["cpu"] | PEERS["cuda"]))
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--contestant", type=Path, default=TOP / "build/release/bin/contestant")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or TOP / ("bench/RESULTS.md" if options.device == "cpu" else f"bench/RESULTS-{options.device}.md")

    os.sched_setaffinity(0, range(options.cores))  # what is started from here inherits it
    os.environ["OMP_NUM_THREADS"] = str(options.cores)
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    rows = [row for row in ROWS[options.device] if not options.net or row[0] in options.net]
    peers = {name: title for name, title in PEERS[options.device].items() if not options.peer or name in options.peer}
    commands = {name: [sys.executable, TOP / "bench/peers.py", name, options.device] for name in peers}
    if not options.peers_only:
        commands = {"tessera": [options.contestant, options.device]} | commands
    contestants = {name: Contestant(command) for name, command in commands.items()}

    def compile_all(name):
        try:
            for row in rows:
                if takes_part(name, row):
                    contestants[name].train(*row, 0.1)
        except Ended as ended:
            print(ended, file=sys.stderr)
            return name
        return None

    # Before the clocks start; on a GPU side by side, where it takes minutes.
    with concurrent.futures.ThreadPoolExecutor(1 if options.device == "cpu" else len(contestants)) as pool:
        ended = set(pool.map(compile_all, contestants))
    contestants = {name: contestant for name, contestant in contestants.items() if name not in ended}
    peers = {name: title for name, title in peers.items() if name not in ended}

    steal, load = stolen_ticks(), os.getloadavg()[0]
    windows, lines = compete(contestants, rows, options.rounds, options.seconds)
    precisions = list(dict.fromkeys(row[2] for row in rows))
    limits = machine_limits(contestants, options.device, precisions, options.rounds, options.seconds)
    stolen, passed = (after - before for after, before in zip(stolen_ticks(), steal))

    about = {key: value for contestant in contestants.values() for key, value in contestant.about.items()}
    names = {"torch": "PyTorch", "tessera": "Tessera"}
    products = "; ".join(f"{precision} {rate:.0f} GFLOP/s in {names[name]}"
                         for (name, precision), rate in sorted(rate_of for rate_of in limits.items()
                                                               if rate_of[0] != "copy"))
    versions = [f"{name} {about[name]}" for name in ("PyTorch", "JAX") if name in about]
    if options.device == "cpu":
        versions += [f"oneDNN {version_of('libdnnl2')}", f"LLVM {version_of('libllvm19')}", f"g++ {version_of('g++')}"]
    text = [
        "# Speed" if options.device == "cpu" else "# Speed on a GPU", "",
        "`make bench` writes this page." if options.device == "cpu" else
        "`bench/run.py --device cuda` writes this page.", "",
        "A whole training step (softmax cross entropy, SGD with momentum, f32 weights, synthetic data) of the nets of",
        "`tessera bench`, in examples per second. Medians of windows that the contestants take in turns; the best peer of each",
        "row is bold.",
        *(["The translator: label smoothing, dropout, clipped gradients, Adam; in pieces of the targets per second."]
          if any(row[0] == "translator" for row in rows) else []), "",
        f"- {datetime.date.today()}, {processor()}, {options.cores} used",
        *([f"- {about['device']}"] if options.device != "cpu" and "device" in about else []),
        f"- {', '.join(versions)}; {about.get('threads', options.cores)} threads",
        f"- {options.rounds} windows of {options.seconds:g} s; load {load:.1f} before and {os.getloadavg()[0]:.1f} after; "
        f"{100 * stolen / passed:.1f} % of the time stolen by the host",
        *([f"- a cache line to the other core and back, in each round: {', '.join(f'{ns:.0f}' for ns in lines)} ns"]
          if lines else []),
        f"- matrix product of {GEMM_SIZE[options.device]}: {products}"
        + (f"; Tessera's copy {limits['copy']:.0f} GB/s" if "copy" in limits else ""), "",
        *speed_table(windows, peers), "",
        "## The floors", "",
        "Operations: those of products and convolutions alone, at the speed of a matrix product. Bytes: each layer (with its",
        "ReLU and pool) one pass over memory in f32, at the speed of a copy; what stays in the cache costs less.", "",
        *floor_table(windows, limits, peers),
    ]
    out.write_text("\n".join(text) + "\n")
    text += overhead_lines() if options.device == "cpu" else kernel_table(contestants, options.rounds, options.seconds)
    out.write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
