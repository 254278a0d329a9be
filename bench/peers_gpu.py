#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wattbert beside PyTorch on one GPU, in one run: interleaved rounds, energy by the board's own counter.

    bench/peers_gpu.py --library build/release/libwattbert.so [--tasks sst2] [--seconds 500] [--out DIR]

Needs a Python with torch, transformers, safetensors and numpy. All contenders hold the same random DistilBERT of real
size (66 M weights; tools/make_random_checkpoint.py) and see the same token ids, with lengths drawn like GLUE's: SST-2
about 25 tokens a text, MNLI about 38. Each lives in a process of its own, blocked on a pipe while another one runs.
Before anything is timed their logits are compared with PyTorch's in f32.

A round runs every contender once, in random order, for one window of NVML's counter: at least 2 s and 20 of its
steps, from one step to another (bench/nvml.py). Work between the steps is counted in passes, the first and the last
in part. A row is the median of its rounds with the smallest and the largest. Only real tokens count.

PyTorch's ids and weights lie on the GPU beforehand; wattbert starts from ids on the host, or from texts, as the row
says. PyTorch's compiled contenders are warmed up with all the time they want. --seconds bounds the whole run: what
does not fit is left out and said so, a contender that fails is a row with the reason, and every window is on disk
(windows.csv) as soon as it is measured. `--device cpu` and the contenders called played-* try the whole thing out
where there is no GPU.
"""
import argparse
import bisect
import csv
import json
import math
import os
import random
import select
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import nvml  # noqa: E402
from gpu_wattbert import WattbertContender, make_scales  # noqa: E402
from gpu_work import ATTENTION, CONTENDERS, FEWER, PLAYED, SINGLE_MODES, Work  # noqa: E402

# Of a task's time: what opening may take of it, first all contenders at once, then one by one; and what each of the
# latter may take in any case.
LOUD_SHARE, QUIET_SHARE, LEAST_SHARE = 0.35, 0.5, 0.03


class PlayedContender:
    """Sleeps; a pass of a single text takes 1 ms, others 5."""

    def __init__(self, name, work):
        self.name, self.work, self.n = name, work, 0

    def prepare(self, task, mode):
        if self.name == "fails":
            raise RuntimeError("played: cannot be prepared")
        n = len(self.work.texts(task, mode))

        def run():
            self.n += 1
            time.sleep(0.001 if mode.startswith("single") else 0.005)
            if self.n > 3 and self.name == "breaks":
                raise RuntimeError("played: broke")
            if self.n > 3 and self.name == "dies":
                os._exit(1)
            return [0.0, 1.0] * n

        return run, list(range(n))


# ---- a worker process: one contender, told over a pipe what to do ------------------------------------


def open_contender(arguments, work):
    name = arguments.worker
    kind, rest = name.split("-", 1)
    if kind == "wattbert":
        return WattbertContender(rest, arguments, work)
    if kind == "played":
        return PlayedContender(rest, work)
    from gpu_torch import TorchContender

    return TorchContender(rest, arguments.folder, arguments.device, work)


def rows_of(logits, order):
    """logits[n_texts][2] in the texts' order."""
    if order is None:
        return []
    if hasattr(logits, "tolist"):
        logits = [x for row in logits.tolist() for x in row]
    rows = [None] * len(order)
    for k, i in enumerate(order):
        rows[i] = [logits[2 * k], logits[2 * k + 1]]
    return rows


def run_until_told(run, buffer):
    """Runs passes until a line arrives; when each ended, the first entry being when they began."""
    stamps, looked = [time.monotonic()], 0.0
    while True:
        run()
        now = time.monotonic()
        stamps.append(now)
        if now - looked > 0.01:
            looked = now
            if buffer[0] or select.select([0], [], [], 0)[0]:
                read_command(buffer)
                return stamps


def read_command(buffer):
    """A line from the pipe, read so that select() sees what is left of it."""
    while b"\n" not in buffer[0]:
        got = os.read(0, 4096)
        if not got:
            return None
        buffer[0] += got
    line, buffer[0] = buffer[0].split(b"\n", 1)
    return line.decode().split()


def worker(arguments):
    # Libraries print to stdout; the pipe to the parent is kept apart.
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work = Work(arguments.folder, arguments.tokens, arguments.batches, arguments.study_texts)
    contender, ready, buffer = None, {}, [b""]
    while True:
        words = read_command(buffer)
        if words is None:
            return
        command, task, mode = words
        try:
            if command == "prepare":
                begin = time.monotonic()
                contender = contender or open_contender(arguments, work)
                ready[task, mode] = contender.prepare(task, mode)
                for _ in range(2):
                    ready[task, mode][0]()
                answer = {"seconds": time.monotonic() - begin}
            elif command == "outputs":
                run, order = ready[task, mode]
                answer = {"logits": rows_of(run(), order)}
            elif command == "forget":
                ready = {key: value for key, value in ready.items() if key[0] != task}
                answer = {}
            else:
                answer = {"stamps": run_until_told(ready[task, mode][0], buffer)}
        except Exception as failure:
            if command == "run":
                read_command(buffer)  # its stop
            answer = {"error": f"{type(failure).__name__}: {failure}".replace("\n", " ")[:300]}
        print(json.dumps(answer), file=pipe, flush=True)


class Contender:
    """The parent's end of a worker."""

    def __init__(self, name, arguments, folder, log_path):
        self.name = name
        self.precision, self.label, self.modes, self.is_quiet = arguments.table[name]
        command = [sys.executable, os.path.abspath(__file__), "--worker", name, "--folder", folder,
                   "--library", arguments.library, "--device", arguments.device, "--threads", str(arguments.threads),
                   "--tokens", str(arguments.tokens), "--batches", str(arguments.batches),
                   "--study-texts", str(arguments.study_texts)]
        if arguments.scales:
            command += ["--scales", arguments.scales]
        # Many open at the same time: none of them may take all cores for its compiler.
        n_cores = len(os.sched_getaffinity(0))
        compilers = n_cores if self.is_quiet else max(1, n_cores // 4)
        own = library_environment(arguments) if name.startswith("wattbert") else os.environ
        environment = dict(own, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
                           OMP_NUM_THREADS=str(max(1, n_cores // 4)), TORCHINDUCTOR_COMPILE_THREADS=str(compilers))
        self.log = open(log_path, "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env=environment)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.buffer = b""

    def send(self, *words):
        try:
            self.process.stdin.write((" ".join(words) + "\n").encode())
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended: receive() says so

    def receive(self, deadline_s):
        """Its answer; an error where it ends, fails or does not answer in time (it is killed then)."""
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left = deadline_s - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                self.process.kill()
                return {"error": "was not ready in time"}
            got = os.read(pipe, 1 << 20)
            if not got:
                code = self.process.wait()
                return {"error": f"its process ended with code {code}"}
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass  # it has ended
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


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
        self.contenders, self.failures = {}, {}  # failures: (name, mode) or name -> why
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

    def start(self, names):
        for name in names:
            self.contenders[name] = Contender(name, self.arguments, self.folder, f"{self.arguments.out}/workers.log")

    def fail(self, key, why):
        self.failures[key] = why
        self.say(f"failed: {key}: {why}")

    def slots(self, task):
        """What can run, of a task; single texts belong to the first."""
        has_singles = task == self.arguments.tasks[0] and not self.arguments.no_singles
        return [(name, mode) for name, c in self.contenders.items() for mode in c.modes
                if (has_singles or not mode.startswith("single")) and mode in self.arguments.modes
                and name not in self.failures and (task, name, mode) not in self.failures]

    def prepare(self, task, share_s):
        """Everything that may be opened at the same time first, then one after another what chooses its kernels
        by the clock. What is not ready after its part of share_s, the task's time, is left out."""
        begin_s, slots = time.monotonic(), self.slots(task)
        reference = [("torch-f32", mode) for mode in self.reference_modes(task) if "torch-f32" in self.contenders]
        loud = reference + [s for s in slots if not self.contenders[s[0]].is_quiet and s not in reference]
        quiet = [s for s in slots if self.contenders[s[0]].is_quiet]
        quiet.sort(key=lambda s: s[0].startswith("torch"))  # the slow ones last
        for name, mode in loud:
            self.contenders[name].send("prepare", task, mode)
        for name, mode in loud:
            self.receive_prepared(task, name, mode, begin_s + LOUD_SHARE * share_s)
        self.scales.wait(max(1.0, begin_s + QUIET_SHARE * share_s - time.monotonic()))
        if self.scales.failure and self.scales.failure not in self.notes:
            self.notes.append(self.scales.failure)
        for name, mode in quiet:
            if name not in self.failures:
                self.contenders[name].send("prepare", task, mode)
                least_s = time.monotonic() + LEAST_SHARE * share_s
                self.receive_prepared(task, name, mode, max(least_s, begin_s + QUIET_SHARE * share_s))

    def receive_prepared(self, task, name, mode, limit_s):
        if name in self.failures:
            return
        answer = self.contenders[name].receive(limit_s)
        if "error" not in answer:
            self.say(f"{name} {mode} is ready after {answer['seconds']:.1f} s")
            return
        has_ended = self.contenders[name].process.poll() is not None or "in time" in answer["error"]
        self.fail(name if has_ended else (task, name, mode), answer["error"])

    # -- outputs

    def reference_modes(self, task):
        """What PyTorch's f32 is compared in: all texts, and the single ones that take part."""
        return ["sorted"] + [m for m in SINGLE_MODES if any(mode == m for _, mode in self.slots(task))]

    def outputs(self, task, name, mode):
        self.contenders[name].send("outputs", task, mode)
        answer = self.contenders[name].receive(time.monotonic() + 60)
        if "error" in answer:
            self.fail((task, name, mode), answer["error"])
        return answer.get("logits")

    def compare(self, task):
        """Largest difference from PyTorch's f32 logits, as it is and beside their spread; labels that agree."""
        references = {}
        for mode in self.reference_modes(task):
            if "torch-f32" in self.contenders and "torch-f32" not in self.failures:
                references[mode] = self.outputs(task, "torch-f32", mode)
        for name, mode in self.slots(task):
            reference = references.get(mode if mode in SINGLE_MODES else "sorted")
            if not reference or name.startswith(("torch-bare", "played")):
                continue
            rows = self.outputs(task, name, mode)
            if rows:
                self.comparisons.append((task, name, mode, *differences(rows, reference)))

    # -- windows

    def own_pids(self):
        return {c.process.pid for c in self.contenders.values() if c.process.poll() is None}

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
        a, contender = self.arguments, self.contenders[name]
        shared = self.is_shared()
        window, problem = None, None
        contender.send("run", task, mode)
        time.sleep(a.warm_s)
        try:
            window = self.counter.window(a.min_s, a.min_ticks,
                                         self.board.conditions if self.board else None)
        except nvml.NvmlError as failure:
            problem = str(failure)
        contender.send("stop")
        answer = contender.receive(time.monotonic() + 30 + a.min_s)
        if "error" in answer:
            self.fail(name if contender.process.poll() is not None else (task, name, mode), answer["error"])
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
                if name in self.failures or (task, name, mode) in self.failures:
                    continue
                begin = time.monotonic()
                self.measure(task, name, mode, round_index)
                turn_s = max(turn_s, time.monotonic() - begin)
            self.say(f"{task}: round {round_index} of {a.rounds}, {len(slots)} contenders, {self.left_s():.0f} s left")
            self.write()

    def run(self, names):
        a = self.arguments
        self.start(names)
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
            for name in list(self.contenders):
                if name not in self.failures and i + 1 < len(a.tasks):
                    self.contenders[name].send("forget", task, "-")
                    self.contenders[name].receive(time.monotonic() + 10)
        self.write()

    def write(self):
        from gpu_table import write_tables

        write_tables(self)

    def close(self):
        for contender in self.contenders.values():
            contender.close()
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
    """arguments.table, what may take part, and the names of those that do."""
    words = [w for w in arguments.only.split(",") if w]
    arguments.table = ATTENTION if arguments.attention else {**CONTENDERS, **PLAYED}
    if arguments.fewer:
        return FEWER
    if not words:
        return [n for n in arguments.table if arguments.attention or (n in PLAYED) == arguments.played]
    chosen = [n for n in arguments.table if any(n == w or (w.endswith("*") and n.startswith(w[:-1])) for w in words)]
    # What all others are compared with comes along.
    if any(n.startswith(("torch", "wattbert")) for n in chosen) and "torch-f32" not in chosen:
        chosen.insert(0, "torch-f32")
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
    parser.add_argument("--only", default="", help="contenders by name, or by a beginning and *")
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


class Scales:
    """What wattbert's fp8 and i8-static need, made by another process while the peers open."""

    def __init__(self, arguments, folder, temporary, names):
        self.failure, self.process = "", None
        needs = any(n.startswith(("wattbert-fp8", "wattbert-i8-static")) for n in names)
        if not needs or arguments.scales:
            return
        beside = f"{temporary}/scaled"  # the checkpoint's folder may not be ours to write to
        os.makedirs(beside)
        for entry in os.listdir(folder):
            if os.path.isfile(f"{folder}/{entry}"):
                os.symlink(os.path.abspath(f"{folder}/{entry}"), f"{beside}/{entry}")
        arguments.scales = f"{beside}/scales.json"
        command = [sys.executable, os.path.abspath(__file__), "--worker", "scales", "--folder", beside,
                   "--library", arguments.library]
        self.process = subprocess.Popen(command, env=library_environment(arguments), stderr=subprocess.PIPE, text=True)

    def wait(self, seconds=None):
        if not self.process:
            return
        try:
            said = self.process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            said = "not ready in time"
        if self.process.returncode != 0:
            self.failure = "no scales: " + (said.strip().split("\n") or [""])[-1][:200]
        self.process = None


def library_environment(arguments):
    """The environment in which wattbert finds the libraries it needs. PyTorch brings its own, and keeps to them."""
    paths = [arguments.library_path, os.environ.get("LD_LIBRARY_PATH")]
    return dict(os.environ, LD_LIBRARY_PATH=":".join(p for p in paths if p))


def main():
    arguments = parse()
    if arguments.worker == "scales":
        return make_scales(arguments.library, arguments.folder, Work(arguments.folder, 1024, 1, 1))
    if arguments.worker:
        return worker(arguments)
    begin = time.monotonic()
    default = "length-25,length-128,length-512" if arguments.attention else "sst2"
    arguments.tasks = (arguments.tasks or default).split(",")
    arguments.modes = arguments.modes.split(",")
    names = choose(arguments)
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.model or f"{temporary}/model"
        if not arguments.model:
            subprocess.run([sys.executable, f"{HERE}/../tools/make_random_checkpoint.py", folder], check=True)
        scales = Scales(arguments, folder, temporary, names)
        arguments.seconds -= time.monotonic() - begin
        run = Run(arguments, folder, scales)
        try:
            run.run(names)
        finally:
            scales.wait(0.0)
            run.write()
            run.close()
    with open(f"{arguments.out}/peers.md") as file:
        print(file.read())


if __name__ == "__main__":
    main()
