# SPDX-License-Identifier: Apache-2.0
"""The processes of bench/peers_gpu.py, from both of their ends: in each lives one contender that is told over a pipe
what to do. What they hold of the GPU others need, so they end at once and with all that they have started: each leads
a process group, which is killed, and the kernel ends it where its parent could not.
"""
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback

from gpu_wattbert import WattbertContender, make_scales
from gpu_work import Work

PROGRAM = f"{os.path.dirname(os.path.abspath(__file__))}/peers_gpu.py"
PR_SET_PDEATHSIG = 1


# ---- The worker's end ------------------------------------------------------------------------------------


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
            if command == "open":  # has no answer: what fails fails again when it is to be prepared, and says why
                contender = open_contender(arguments, work)
                continue
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
            traceback.print_exc()
            if command == "open":
                continue
            if command == "run":
                read_command(buffer)  # its stop
            answer = {"error": f"{type(failure).__name__}: {failure}".replace("\n", " ")[:300]}
        print(json.dumps(answer), file=pipe, flush=True)
        if "CUDA error" in answer.get("error", ""):
            return  # this process cannot use the GPU any more, and holds its memory


def run_worker(arguments):
    """The program of a process that was started by Worker or Scales."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments.worker == "scales":
        return make_scales(arguments.library, arguments.folder, Work(arguments.folder, 1024, 1, 1))
    try:
        worker(arguments)
    except BaseException:
        traceback.print_exc()
    os._exit(0)  # an ordinary end waits for compilers, minutes perhaps


# ---- The parent's end --------------------------------------------------------------------------------------


def start_group(command, **options):
    """A process that leads a group, so that what it starts can be ended with it: compilers, above all."""
    return subprocess.Popen(command, process_group=0, **options)


def kill_group(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Worker:
    """A contender's process, or that of one of its modes."""

    def __init__(self, name, arguments, folder, log_path):
        is_quiet = arguments.table[name][3]
        command = [sys.executable, PROGRAM, "--worker", name, "--folder", folder,
                   "--library", arguments.library, "--device", arguments.device, "--threads", str(arguments.threads),
                   "--tokens", str(arguments.tokens), "--batches", str(arguments.batches),
                   "--study-texts", str(arguments.study_texts)]
        if arguments.scales:
            command += ["--scales", arguments.scales]
        # Many open at the same time: none of them may take all cores for its compiler.
        n_cores = len(os.sched_getaffinity(0))
        compilers = n_cores if is_quiet else max(1, n_cores // 4)
        own = library_environment(arguments) if name.startswith("wattbert") else os.environ
        environment = dict(own, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
                           OMP_NUM_THREADS=str(max(1, n_cores // 4)), TORCHINDUCTOR_COMPILE_THREADS=str(compilers))
        self.log = open(log_path, "ab")
        self.process = start_group(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                   env=environment)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.buffer, self.is_over, self.why_over = b"", False, ""

    def send(self, *words):
        try:
            self.process.stdin.write((" ".join(words) + "\n").encode())
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended: receive() says so

    def receive(self, deadline_s):
        """Its answer; an error where it ends, fails or does not answer in time (it is killed then)."""
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.buffer and not self.is_over:
            if not select.select([pipe], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                self.kill("was not ready in time")
                continue
            got = os.read(pipe, 1 << 20)
            if not got:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(2.0)
                self.kill(f"its process ended with code {self.process.returncode}")
            self.buffer += got
        if self.is_over:
            return {"error": self.why_over}
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def kill(self, why):
        if not self.is_over:
            self.is_over, self.why_over = True, why
            kill_group(self.process)

    def close(self, deadline_s):
        """After kill(), which all others get before anyone is waited for."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline_s - time.monotonic()))
        for file in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                file.close()


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
        command = [sys.executable, PROGRAM, "--worker", "scales", "--folder", beside,
                   "--library", arguments.library]
        self.process = start_group(command, env=library_environment(arguments), stderr=subprocess.PIPE, text=True)

    def wait(self, seconds=None):
        if not self.process:
            return
        try:
            said = self.process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            kill_group(self.process)
            self.process.wait()
            said = "not ready in time"
        if self.process.returncode != 0:
            self.failure = "no scales: " + (said.strip().split("\n") or [""])[-1][:200]
        self.process = None


def library_environment(arguments):
    """The environment in which wattbert finds the libraries it needs. PyTorch brings its own, and keeps to them."""
    paths = [arguments.library_path, os.environ.get("LD_LIBRARY_PATH")]
    return dict(os.environ, LD_LIBRARY_PATH=":".join(p for p in paths if p))
