#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a token costs alone and in company: the same texts through wattbert padded, sorted, packed and one at a time.

    bench/modes.py --build build/release [--threads 2] [--rounds 7] [--out FILE.md]

Texts are of one length, of GLUE's lengths, or of all lengths at once. Every mode runs the whole set in each round,
in random order, in one process; a cell is the median of the rounds, in real tokens a second. Needs numpy, torch and
transformers, as bench/peers.py does, whose random model of DistilBERT's real size is used.
"""
import argparse
import random
import tempfile
import time

import peers

TECHNIQUES = ("f32-flash", "bf16", "i8-dynamic")
MODES = ("padded", "sorted", "packed", "one at a time")
MIXES = ("8", "25", "128", "512", "sst2", "mnli", "8 to 512")
TOKENS = {"f32-flash": 1500, "bf16": 2500, "i8-dynamic": 4000}  # of a set, about; half a second's work


def draw_texts(mix, n_tokens):
    """Texts of a mix, until they have n_tokens; at least two of each length there is."""
    import numpy as np

    rng = np.random.default_rng(1)
    if mix in peers.LENGTHS:
        lengths = [len(t) for t in peers.make_texts(mix, 200)]
    elif mix == "8 to 512":
        lengths = [8, 512, 16, 256, 32, 128, 64] * 40
    else:
        lengths = [int(mix)] * 400
    texts = []
    while lengths and (len(texts) < 8 or sum(map(len, texts)) < n_tokens):
        texts.append([101] + rng.integers(peers.FIRST_WORD, 30000, lengths.pop(0) - 2).tolist() + [102])
    return texts


def open_modes(arguments, folder, technique, longest):
    """{mode: run(texts)}, engines of one library."""
    settings = {"padded": (technique, dict(padded_length=longest)), "sorted": (technique, dict(sort_batches=1)),
                "packed": (technique + "+packed", {}), "one at a time": (technique + "+packed", {})}
    return {mode: peers.wattbert_runner(f"{arguments.build}/libwattbert.so", folder, arguments.threads, name, **options)
            for mode, (name, options) in settings.items()}


def time_set(mode, runner, texts, seconds):
    """Real tokens a second of whole passes."""
    prepare, run = runner
    parts = [prepare([t]) for t in texts] if mode == "one at a time" else [prepare(texts)]
    start, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() - start < seconds:
        for part in parts:
            run(part)
        n += 1
    return n * sum(map(len, texts)) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="least time of one cell in a round")
    parser.add_argument("--out", help="Markdown file to write as well")
    arguments = parser.parse_args()
    lines = []

    def log(text):
        print(text, flush=True)
        lines.append(text)

    log(f"# A token alone and in company\n\n{peers.describe_machine()}, {arguments.threads} threads, "
        f"{arguments.rounds} interleaved rounds, {time.strftime('%Y-%m-%d', time.gmtime())}. Real tokens/s, median of the "
        f"rounds.\n\nCommand: `bench/modes.py --rounds {arguments.rounds}`\n")
    log("| technique | lengths | " + " | ".join(MODES) + " | packed to the best other, round by round |")
    log("| --- | --- | " + "---: | " * len(MODES) + "---: |")
    with tempfile.TemporaryDirectory() as folder:
        peers.make_model(folder)
        for technique in TECHNIQUES:
            for mix in MIXES:
                texts = draw_texts(mix, TOKENS[technique])
                modes = open_modes(arguments, folder, technique, max(map(len, texts)))
                rates = {mode: [] for mode in MODES}
                for _ in range(arguments.rounds):
                    for mode in random.sample(MODES, len(MODES)):
                        rates[mode].append(time_set(mode, modes[mode], texts, arguments.seconds))
                best = max((m for m in MODES if m != "packed"), key=lambda m: peers.median(rates[m]))
                ratios = [a / b for a, b in zip(rates["packed"], rates[best])]
                log(f"| {technique} | {mix} | " + " | ".join(f"{peers.median(rates[m]):,.0f}" for m in MODES) +
                    f" | {peers.spread(ratios, 2)} |")
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
