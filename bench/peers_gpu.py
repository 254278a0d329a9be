#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wattbert beside PyTorch on one GPU, in one run: interleaved rounds, energy by the board's own counter.

    bench/peers_gpu.py --library build/release/libwattbert.so [--tasks sst2] [--seconds 500] [--out DIR]

Needs a Python with torch, transformers, safetensors and numpy. All contenders hold the same random DistilBERT of real
size (66 M weights; tools/make_random_checkpoint.py) and see the same token ids, with lengths drawn like GLUE's: SST-2
about 25 tokens a text, MNLI about 38. Each lives in a process of its own, blocked on a pipe while another one runs;
what is compiled and captured by hand even in one for each mode, since a kernel that fails takes all of its process
with it. Before anything is timed their logits are compared with PyTorch's in f32.

A round runs every contender once, in random order, for one window of NVML's counter: at least 2 s and 20 of its
steps, from one step to another (bench/nvml.py). Work between the steps is counted in passes, the first and the last
in part. A row is the median of its rounds with the smallest and the largest. Only real tokens count.

PyTorch's ids and weights lie on the GPU beforehand; wattbert starts from ids on the host, or from texts, as the row
says. PyTorch's compiled contenders are warmed up before anything is measured. --seconds bounds the whole run: what
does not fit is left out and said so, a contender that fails is a row with the reason, and every window is on disk
(windows.csv) as soon as it is measured; after the time and a signal alike nothing that was started is left running.
`--device cpu` and the contenders called played-* try the whole thing out where there is no GPU.
"""
import argparse
import bisect
import csv
import fnmatch
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import nvml  # noqa: E402
from gpu_work import ATTENTION, CONTENDERS, FEWER, PLAYED, SINGLE_MODES, Work  # noqa: E402
from gpu_worker import Scales, Worker, run_worker  # noqa: E402

# Of a task's time: what opening may take of it, first all contenders at once, then those that need the GPU for
# themselves; and what each of the latter may take in any case.
LOUD_SHARE, QUIET_SHARE, LEAST_SHARE = 0.35, 0.6, 0.03
END_S = 10.0  # what ending all workers may take
REFERENCE = "torch-f32"


def worker_of(name, mode):
    """Whose process it is: the contender's, or the mode's alone where a kernel of its own could break the others'."""
    return f"{name} {mode}" if name.startswith("torch-packed") or name.endswith("-graph") else name


# ---- numbers ---------------------------------------------------------------------------------------------


def quantile(values, share):
    values = sorted(values)
    return values[max(0, math.ceil(share * len(values)) - 1)]


def passes_at(stamps, t):
    """Passes done at t: whole ones, and of the one at work the share of its time that has gone by."""
    i = bisect.bisect_right(stamps, t) - 1
    if i < 0 or i + 1 >= len(stamps):
        raise RuntimeError("the passes do not cover the window")
    return i + (t - stamps[i]) / (stamps[i + 1] - stamps[i])


def window_numbers(window, stamps, tokens):
    """One row of windows.csv, of a window and the passes that ran through it."""
    begin, end = window["begin_s"], window["end_s"]
    passes = passes_at(stamps, end) - passes_at(stamps, begin)
    inside = [b - a for a, b in zip(stamps, stamps[1:]) if a >= begin and b <= end]
    joules = window["joules"]
    return {"seconds": end - begin, "ticks": window["ticks"], "passes": passes, "joules": joules,
            "watts": window["watts"], "uncertainty": window["uncertainty"],
            "tokens_per_s": passes * tokens / (end - begin),
            "uj_per_token": joules * 1e6 / (passes * tokens) if joules is not None else None,
            "mj_per_pass": joules * 1e3 / passes if joules is not None else None,
            "p50_us": 1e6 * quantile(inside, 0.5) if inside else None,
            "p99_us": 1e6 * quantile(inside, 0.99) if inside else None,
            **window["conditions"], "flags": "; ".join(window["flags"])}


COLUMNS = ["task", "contender", "mode", "round", "at_s", "tokens_per_s", "uj_per_token", "mj_per_pass", "p50_us",
           "p99_us", "watts", "joules", "seconds", "ticks", "passes", "uncertainty", "clock_mhz", "memory_clock_mhz",
           "temperature_celsius", "power_limit_w", "slowed_by", "flags"]


# ---- the run ---------------------------------------------------------------------------------------------


class Run:
    def __init__(self, arguments, folder, scales):
        self.arguments, self.folder, self.scales = arguments, folder, scales
        self.begin_s = time.monotonic()
        self.deadline_s = self.begin_s + arguments.seconds
        self.work = Work(folder, arguments.tokens, arguments.batches, arguments.study_texts)
        self.board, self.no_energy = None, ""
        try:
            self.board = nvml.Board(arguments.nvml)
            self.counter = nvml.Counter(self.board)
        except nvml.NvmlError as failure:
            self.counter, self.no_energy = nvml.NoCounter(), str(failure)
        # Workers by name, or by name and mode; failures by name, or by task, name and mode.
        self.workers, self.failures = {}, {}
        self.rows, self.comparisons, self.idle, self.notes = [], [], [], []
        os.makedirs(arguments.out, exist_ok=True)
        self.csv_file = open(f"{arguments.out}/windows.csv", "w", newline="")
        self.csv = csv.DictWriter(self.csv_file, COLUMNS, extrasaction="ignore")
        self.csv.writeheader()

    def say(self, text):
        print(f"[{time.monotonic() - self.begin_s:6.1f} s] {text}", file=sys.stderr, flush=True)

    def left_s(self):
        return self.deadline_s - time.monotonic()

    # -- opening

    def start(self, key):
        a = self.arguments
        self.workers[key] = Worker(key.split()[0], a, self.folder, f"{a.out}/workers.log")

    def start_all(self):
        for name, entry in self.arguments.table.items():
            for key in sorted({worker_of(name, mode) for mode in entry[2]} or {name}):
                self.start(key)

    def worker(self, name, mode):
        return self.workers[worker_of(name, mode)]

    def fail(self, task, name, mode, why):
        """What the process of several modes takes with it is lost to all of them."""
        key = worker_of(name, mode)
        is_lost = self.workers[key].is_over and key == name
        self.failures[name if is_lost else (task, name, mode)] = why
        self.say(f"failed: {name if is_lost else f'{name} {mode}'}: {why}")

    def has_failed(self, task, name, mode):
        return name in self.failures or (task, name, mode) in self.failures

    def is_quiet(self, name):
        return self.arguments.table[name][3]

    def slots(self, task):
        """What can run, of a task; single texts belong to the first."""
        has_singles = task == self.arguments.tasks[0] and not self.arguments.no_singles
        return [(name, mode) for name, entry in self.arguments.table.items() for mode in entry[2]
                if (has_singles or mode not in SINGLE_MODES) and not self.has_failed(task, name, mode)]

    def prepare(self, task, share_s):
        """Everything that may be opened at the same time first, then what chooses its kernels by the clock: wattbert
        one after another, PyTorch's together, since its compilers take turns on the GPU. What is not ready after its
        part of share_s, the task's time, is left out."""
        begin_s, slots = time.monotonic(), self.slots(task)
        reference = [(REFERENCE, mode) for mode in self.reference_modes(task) if REFERENCE in self.workers]
        loud = reference + [s for s in slots if not self.is_quiet(s[0]) and s not in reference]
        quiet = [s for s in slots if self.is_quiet(s[0])]
        together = [s for s in quiet if s[0].startswith("torch")]
        alone = [s for s in quiet if s not in together]
        for name, mode in loud:
            self.worker(name, mode).send("prepare", task, mode)
        opening = sorted({worker_of(*s) for s in quiet} if task == self.arguments.tasks[0] else set())
        for key in opening:
            self.workers[key].send("open", task, "-")
        loud_s, quiet_s = begin_s + LOUD_SHARE * share_s, begin_s + QUIET_SHARE * share_s
        for name, mode in loud:
            self.receive_prepared(task, name, mode, loud_s)
        self.prepare_again(task, loud, share_s)
        self.scales.wait(max(1.0, quiet_s - time.monotonic()))
        if self.scales.failure and self.scales.failure not in self.notes:
            self.notes.append(self.scales.failure)
        for name, mode in alone:
            if name not in self.failures:
                self.prepare_one(task, name, mode, max(quiet_s, time.monotonic() + LEAST_SHARE * share_s))
        for name, mode in together:
            self.worker(name, mode).send("prepare", task, mode)
        least_s = time.monotonic() + LEAST_SHARE * share_s
        for name, mode in together:
            self.receive_prepared(task, name, mode, max(quiet_s, least_s))

    def prepare_one(self, task, name, mode, limit_s):
        self.worker(name, mode).send("prepare", task, mode)
        self.receive_prepared(task, name, mode, limit_s)

    def prepare_again(self, task, slots, share_s):
        """The bare products, which all others are measured by, have a second try, alone and in a new process."""
        for name, mode in slots:
            if name.startswith("torch-bare") and self.has_failed(task, name, mode):
                self.failures.pop(name, None)
                self.failures.pop((task, name, mode), None)
                self.worker(name, mode).kill("has a second try")
                self.worker(name, mode).close(time.monotonic() + 2.0)
                self.start(worker_of(name, mode))
                self.prepare_one(task, name, mode, time.monotonic() + 2 * LEAST_SHARE * share_s)

    def receive_prepared(self, task, name, mode, limit_s):
        if name in self.failures:
            return
        answer = self.worker(name, mode).receive(limit_s)
        if "error" in answer:
            self.fail(task, name, mode, answer["error"])
        else:
            self.say(f"{name} {mode} is ready after {answer['seconds']:.1f} s")

    # -- outputs

    def reference_modes(self, task):
        """What PyTorch's f32 is compared in: all texts, and the single ones that take part."""
        return ["sorted"] + [m for m in SINGLE_MODES if any(mode == m for _, mode in self.slots(task))]

    def outputs(self, task, name, mode):
        self.worker(name, mode).send("outputs", task, mode)
        answer = self.worker(name, mode).receive(min(time.monotonic() + 60, self.deadline_s))
        if "error" in answer:
            self.fail(task, name, mode, answer["error"])
        return answer.get("logits")

    def compare(self, task):
        """Largest difference from PyTorch's f32 logits, as it is and beside their spread; labels that agree."""
        references = {}
        for mode in self.reference_modes(task):
            if REFERENCE in self.workers and not self.has_failed(task, REFERENCE, mode):
                references[mode] = self.outputs(task, REFERENCE, mode)
        for name, mode in self.slots(task):
            reference = references.get(mode if mode in SINGLE_MODES else "sorted")
            if not reference or name.startswith(("torch-bare", "played")):
                continue
            rows = self.outputs(task, name, mode)
            if rows:
                self.comparisons.append((task, name, mode, *differences(rows, reference)))

    # -- windows

    def own_pids(self):
        return {w.process.pid for w in self.workers.values() if not w.is_over}

    def is_shared(self):
        return self.board is not None and self.board.others(self.own_pids()) > 0

    def measure_idle(self):
        a = self.arguments
        try:
            window = self.counter.window(a.min_s, a.min_ticks)
        except nvml.NvmlError as failure:
            self.notes.append(f"idle could not be measured: {failure}")
            return
        if window["watts"] is not None:
            self.idle.append(window["watts"])
            self.say(f"idle {window['watts']:.1f} W")

    def measure(self, task, name, mode, round_index):
        a, own = self.arguments, self.worker(name, mode)
        shared = self.is_shared()
        window, problem = None, None
        own.send("run", task, mode)
        time.sleep(a.warm_s)
        try:
            window = self.counter.window(a.min_s, a.min_ticks,
                                         self.board.conditions if self.board else None)
        except nvml.NvmlError as failure:
            problem = str(failure)
        own.send("stop")
        answer = own.receive(min(time.monotonic() + 30, self.deadline_s) + a.min_s)
        if "error" in answer:
            self.fail(task, name, mode, answer["error"])
            return
        if problem:
            self.notes.append(f"{task} {name} {mode}, round {round_index}: no window, {problem}")
            return
        if shared or self.is_shared():
            window["flags"].append("other processes on the GPU")
        try:
            numbers = window_numbers(window, answer["stamps"], self.work.tokens(task, mode))
        except RuntimeError as failure:
            self.notes.append(f"{task} {name} {mode}, round {round_index}: {failure}")
            return
        row = {"task": task, "contender": name, "mode": mode, "round": round_index,
               "at_s": window["begin_s"] - self.begin_s, **numbers}
        self.rows.append(row)
        self.csv.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        self.csv_file.flush()

    def measure_rounds(self, task, deadline_s, first_round=1):
        a, slots, turn_s = self.arguments, self.slots(task), a_turn_s(self.arguments)
        for round_index in range(first_round, a.rounds + 1):
            slots = [s for s in slots if s in self.slots(task)]
            random.shuffle(slots)
            for name, mode in slots:
                if time.monotonic() + turn_s > deadline_s:
                    self.notes.append(f"{task}: the time was up in round {round_index} of {a.rounds}")
                    return
                if self.has_failed(task, name, mode):
                    continue
                begin = time.monotonic()
                self.measure(task, name, mode, round_index)
                turn_s = max(turn_s, time.monotonic() - begin)
            self.say(f"{task}: round {round_index} of {a.rounds}, {len(slots)} contenders, {self.left_s():.0f} s left")
            self.write()

    def run(self):
        a = self.arguments
        self.start_all()
        reserve_s = min(5.0, 0.05 * a.seconds)
        for i, task in enumerate(a.tasks):
            share_s = (self.left_s() - reserve_s) / (len(a.tasks) - i)
            end_s = time.monotonic() + share_s
            if share_s < 2 * a_turn_s(a):
                self.notes.append(f"{task}: no time left")
                continue
            self.prepare(task, share_s if i else self.left_s())  # the first one opens everything
            if self.left_s() > 30 or a.seconds < 60:
                self.compare(task)
            else:
                self.notes.append(f"{task}: outputs were not compared, the time was short")
            self.measure_idle()
            self.measure_rounds(task, end_s - a_turn_s(a))
            self.measure_idle()
            for own in self.workers.values():
                if not own.is_over and i + 1 < len(a.tasks):
                    own.send("forget", task, "-")
                    own.receive(time.monotonic() + 10)
        self.write()

    def write(self):
        from gpu_table import write_tables

        write_tables(self)

    def close(self):
        for own in self.workers.values():
            own.kill("the run has ended")
        deadline_s = time.monotonic() + END_S
        for own in self.workers.values():
            own.close(deadline_s)
        self.csv_file.close()


def a_turn_s(a):
    """How long a turn takes at least: warm-up, the wait for a step, the window, the last pass."""
    return a.warm_s + a.min_s + 0.3


def differences(rows, reference):
    """(largest difference, the same over the standard deviation of the f32 logits, share of equal labels)"""
    reference = reference[:len(rows)]
    flat = [x for row in reference for x in row]
    mean = sum(flat) / len(flat)
    spread = math.sqrt(sum((x - mean) ** 2 for x in flat) / len(flat)) or 1.0
    largest = max(abs(x - y) for row, other in zip(rows, reference) for x, y in zip(row, other))
    agree = sum((row[1] > row[0]) == (other[1] > other[0]) for row, other in zip(rows, reference))
    return largest, largest / spread, agree / len(rows)


def choose(arguments):
    """Who takes part, as in gpu_work.py, in the modes that are asked for."""
    table = ATTENTION if arguments.attention else {**CONTENDERS, **PLAYED}
    words = FEWER if arguments.fewer else [w for w in arguments.only.split(",") if w]
    words = [w.partition(":")[::2] for w in words]
    chosen = {}
    for name, (precision, label, modes, is_quiet) in table.items():
        asked = [mode for pattern, mode in words if fnmatch.fnmatchcase(name, pattern)]
        if not words and (arguments.attention or (name in PLAYED) == arguments.played):
            asked = [""]
        modes = tuple(m for m in modes if m in arguments.modes and ("" in asked or m in asked))
        if modes:
            chosen[name] = (precision, label, modes, is_quiet)
    # What outputs are compared with comes along, and is not measured for that.
    if REFERENCE not in chosen and any(n.startswith(("torch", "wattbert")) for n in chosen if "bare" not in n):
        chosen[REFERENCE] = (*table[REFERENCE][:2], (), False)
    return chosen


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/libwattbert.so")
    parser.add_argument("--library-path", default="", help="folders of what the library needs, for wattbert alone")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tasks", help="sst2 (default), mnli or both, apart by commas; length-512: texts of 512 tokens")
    parser.add_argument("--attention", action="store_true", help="only attention with its scores in memory beside "
                        "attention without, at 25, 128 and 512 tokens")
    parser.add_argument("--seconds", type=float, default=500, help="for everything")
    parser.add_argument("--rounds", type=int, default=5, help="at most")
    parser.add_argument("--min-seconds", dest="min_s", type=float, default=2.0, help="of a window")
    parser.add_argument("--min-ticks", type=int, default=20, help="of the counter in a window")
    parser.add_argument("--warm-seconds", dest="warm_s", type=float, default=0.4, help="before a window")
    parser.add_argument("--tokens", type=int, default=65408, help="of a batch: 511 x 128, so that wattbert's batches "
                        "of at most 65,536, made of whole texts, are as many")
    parser.add_argument("--batches", type=int, default=4, help="of a pass")
    parser.add_argument("--study-texts", type=int, default=512, help="of a pass of the study's protocol")
    parser.add_argument("--threads", type=int, default=8, help="of wattbert's host side")
    parser.add_argument("--modes", default="padded,sorted,packed,texts," + ",".join(SINGLE_MODES))
    parser.add_argument("--no-singles", action="store_true", help="leave out single texts")
    parser.add_argument("--only", default="", help="contenders by name, or by a beginning and *, apart by commas; "
                        "NAME:MODE: in this mode alone")
    parser.add_argument("--fewer", action="store_true", help="half of the contenders: the best ones")
    parser.add_argument("--played", action="store_true", help="contenders that only sleep")
    parser.add_argument("--model", help="the checkpoint; default: a random one of DistilBERT's size is made")
    parser.add_argument("--scales", help="wattbert quantize's file for --model; default: made at the start")
    parser.add_argument("--nvml", default="libnvidia-ml.so.1", help="NVML's library")
    parser.add_argument("--seed", type=int, default=1, help="of the order of turns")
    parser.add_argument("--out", default="peers-gpu", help="folder of results")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.worker:
        return run_worker(arguments)
    begin = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    default = "length-25,length-128,length-512" if arguments.attention else "sst2"
    arguments.tasks = (arguments.tasks or default).split(",")
    arguments.modes = arguments.modes.split(",")
    arguments.table = choose(arguments)
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.model or f"{temporary}/model"
        if not arguments.model:
            subprocess.run([sys.executable, f"{HERE}/../tools/make_random_checkpoint.py", folder], check=True)
        scales = Scales(arguments, folder, temporary, arguments.table)
        arguments.seconds -= time.monotonic() - begin
        run = Run(arguments, folder, scales)
        try:
            run.run()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            run.close()
            scales.wait(0.0)
            run.write()
    with open(f"{arguments.out}/peers.md") as file:
        print(file.read())


if __name__ == "__main__":
    main()
