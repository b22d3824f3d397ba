"""Tessera and PyTorch translate the same sentences with the same weights, in turns.

    make bench                                           # once: builds what this needs
    build/peers/bin/python bench/translation.py RUN test.en test.de

Prints sentences per second (medians of windows, a window is all sentences once), the share of translations that are
Tessera's to the letter, and BLEU; fails where the two do not give the given translations the same likelihood.
Contestants: bench/contestant.cpp, bench/peers.py.
"""

import argparse
import gzip
import os
import statistics
import sys
from pathlib import Path

from run import TOP, Contestant, processor, stolen_ticks

PEERS = {"torch": "PyTorch", "torch_compile": "PyTorch, compiled step"}


def lines_of(path):
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return text.decode().splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a trained translator")
    parser.add_argument("source", type=Path, help="a sentence a line, plain or .gz")
    parser.add_argument("target", type=Path, help="their translations")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contestant", type=Path, default=TOP / "build/release/bin/contestant")
    options = parser.parse_args()
    run, source, target = str(options.run), lines_of(options.source), lines_of(options.target)

    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
    titles = {"tessera": "Tessera"} | PEERS
    contestants = {"tessera": Contestant([options.contestant, "cpu"])} | {
        name: Contestant([sys.executable, TOP / "bench/peers.py", name, "cpu"]) for name in PEERS}

    losses = [contestants[name].ask(likelihood=run, source=source, target=target)["loss"] for name in ("tessera", "torch")]
    print(f"-log probability of a piece of {options.target}: {losses[0]:.5f} Tessera, {losses[1]:.5f} PyTorch")
    if abs(losses[0] - losses[1]) > 1e-4 * losses[0]:
        sys.exit("translation.py: these are two models")

    def translate(name):
        return contestants[name].ask(translate=run, sentences=source, beam=options.beam)

    said = {name: translate(name)["translations"] for name in contestants}  # compiles, and warms up
    rates = {name: [] for name in contestants}
    load, (stolen, passed) = os.getloadavg()[0], stolen_ticks()
    for turn in range(options.rounds):
        for name in contestants:
            rates[name].append(translate(name)["sentences_per_second"])
        print(f"round {turn + 1} of {options.rounds}: " +
              ", ".join(f"{name} {of[-1]:.0f}" for name, of in rates.items()), file=sys.stderr, flush=True)
    stolen, passed = (after - before for after, before in zip(stolen_ticks(), (stolen, passed)))

    print(f"{processor()}; load {load:.1f} before and {os.getloadavg()[0]:.1f} after; "
          f"{100 * stolen / passed:.1f} % of the time stolen by the host")
    print(f"{len(source)} sentences, beam {options.beam}, {options.rounds} windows", end="\n\n")
    print("| | sentences per second (least to most) | Tessera against it | equal lines | BLEU |")
    print("| --- | --- | --- | --- | --- |")
    median = {name: statistics.median(of) for name, of in rates.items()}
    for name, lines in said.items():
        equal = sum(line == ours for line, ours in zip(lines, said["tessera"])) / len(lines)
        bleu = contestants["tessera"].ask(bleu=lines, target=target)["bleu"]
        print(f"| {titles[name]} | {median[name]:.0f} ({min(rates[name]):.0f} to {max(rates[name]):.0f}) | "
              f"{median['tessera'] / median[name]:.2f}x | {100 * equal:.1f} % | {bleu:.2f} |")


if __name__ == "__main__":
    main()
