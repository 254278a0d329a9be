# SPDX-License-Identifier: Apache-2.0
"""bench/peers_gpu.py against a played driver (tests/machines/fake_nvml.c) whose counter a thread moves, and a played
GPU (tests/device/fake_door.c).

    test_peers_gpu.py FAKE_NVML LIBRARY FAKE_DOOR PROGRAM
"""
import argparse
import contextlib
import csv
import gc
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import weakref

FAKE_NVML, LIBRARY, FAKE_DOOR, PROGRAM = (os.path.abspath(path) for path in sys.argv[1:5])
ROOT = os.path.abspath(f"{os.path.dirname(os.path.abspath(__file__))}/../..")
sys.path.insert(0, f"{ROOT}/bench")
import gpu_work  # noqa: E402
import nvml  # noqa: E402
import gpu_worker  # noqa: E402
import peers_gpu  # noqa: E402

try:
    import torch
    import gpu_torch
except ImportError:  # the harness needs none, its contenders do
    torch = None


class Driver:
    """A board of so many watts, whose counter steps every step_s by what they are worth."""

    def __init__(self, watts=200.0, step_s=0.05, **files):
        self.folder = tempfile.mkdtemp()
        os.makedirs(f"{self.folder}/usr/lib")
        os.makedirs(f"{self.folder}/nvml")
        self.library = f"{self.folder}/usr/lib/libnvidia-ml.so.1"
        shutil.copy(FAKE_NVML, self.library)
        self.watts, self.step_s, self.mj = watts, step_s, 5_000_000
        self.steps = []  # (before, after, millijoules)
        self.write("driver", "580.1")
        self.write("name", "Played GPU")
        for name, text in files.items():
            self.write(name, text)
        self.has_ended, self.thread = threading.Event(), None

    def write(self, name, text):
        with open(f"{self.folder}/nvml/{name}.new", "w") as file:
            file.write(f"{text}\n")
        os.replace(f"{self.folder}/nvml/{name}.new", f"{self.folder}/nvml/{name}")

    def play(self):
        begin, n = time.monotonic(), 0
        while not self.has_ended.wait(max(0.0, begin + (n + 1) * self.step_s - time.monotonic())):
            n += 1
            self.mj += int(self.watts * 1e3 * self.step_s)
            before = time.monotonic()
            self.write("total_energy_mj", self.mj)
            self.steps.append((before, time.monotonic(), self.mj))

    def agrees(self, window):
        """Whether the window's joules lie between two steps that happened when it says, as closely as it says."""
        off_s = window["uncertainty"] * (window["end_s"] - window["begin_s"]) + 1e-6

        def near(t):
            return [mj for before, after, mj in self.steps if before - off_s <= t <= after + off_s]

        wanted = round(window["joules"] * 1e3)
        return any(b - a == wanted for a in near(window["begin_s"]) for b in near(window["end_s"]))

    def __enter__(self):
        self.write("total_energy_mj", self.mj)
        self.thread = threading.Thread(target=self.play)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.has_ended.set()
        self.thread.join()
        shutil.rmtree(self.folder)


class Windows(unittest.TestCase):
    def test_steps(self):
        with Driver() as driver:
            counter = nvml.Counter(nvml.Board(driver.library))
            window = counter.window(0.8, 12, lambda: {"seen": 1})
            time.sleep(0.06)
            self.assertTrue(driver.agrees(window), (window, driver.steps))
            shifted = {**window, "joules": window["joules"] + driver.watts * driver.step_s}
            self.assertTrue(not driver.agrees(shifted) or window["uncertainty"] > 0.03)
        self.assertGreaterEqual(window["ticks"], 12)
        self.assertGreaterEqual(window["end_s"] - window["begin_s"], 0.8)
        # From step to step, whatever a busy machine oversleeps in between.
        self.assertAlmostEqual(window["watts"], window["joules"] / (window["end_s"] - window["begin_s"]))
        self.assertEqual(window["conditions"], {"seen": 1})
        self.assertEqual(window["flags"], [])

    def test_least_of_both(self):
        with Driver() as driver:
            counter = nvml.Counter(nvml.Board(driver.library))
            self.assertGreaterEqual(counter.window(0.0, 10)["ticks"], 10)
            self.assertAlmostEqual(counter.period_s, 0.05, delta=0.03)

    def test_counter_goes_back(self):
        with Driver() as driver:
            counter = nvml.Counter(nvml.Board(driver.library))
            timer = threading.Timer(0.15, lambda: setattr(driver, "mj", 17))
            timer.start()
            with self.assertRaisesRegex(nvml.NvmlError, "went back"):
                counter.window(0.4, 5)
            timer.join()
            self.assertGreater(counter.window(0.1, 3)["joules"], 0.0)  # the next one is fine again

    def test_dead_counter(self):
        with Driver(step_s=60.0) as driver:
            counter = nvml.Counter(nvml.Board(driver.library))
            with self.assertRaisesRegex(nvml.NvmlError, "dead counter"):
                counter.next_step(patience_s=0.2)

    def test_power_where_there_is_no_counter(self):
        driver = Driver(power_mw="150000")
        counter = nvml.Counter(nvml.Board(driver.library))
        window = counter.window(0.2, 5)
        self.assertAlmostEqual(window["watts"], 150.0, places=6)
        self.assertEqual(window["flags"], ["integrated power"])
        shutil.rmtree(driver.folder)

    def test_nothing_to_read(self):
        driver = Driver()
        with self.assertRaisesRegex(nvml.NvmlError, "no counter of energy and no reading of power"):
            nvml.Board(driver.library)
        with self.assertRaisesRegex(nvml.NvmlError, "cannot be loaded"):
            nvml.Board(f"{driver.folder}/missing.so")
        shutil.rmtree(driver.folder)

    def test_others_and_conditions(self):
        me = os.getpid()
        driver = Driver(power_mw="1", processes=f"{me} 1", clock_mhz="1755", temperature="61", slowdowns="36",
                        power_limit_mw="700000")
        board = nvml.Board(driver.library)
        self.assertEqual(board.others({me}), 1)
        self.assertEqual(board.others({me, 1}), 0)
        driver.write("processes", "4000000000 4000000001")  # of an outer namespace: perhaps ours
        self.assertEqual(board.others({me, 1}), 0)
        self.assertEqual(board.others({me}), 1)
        self.assertEqual(board.conditions(), {"clock_mhz": 1755, "memory_clock_mhz": None, "temperature_celsius": 61,
                                              "power_limit_w": 700.0, "slowed_by": "power heat"})
        shutil.rmtree(driver.folder)


class Numbers(unittest.TestCase):
    def test_passes_in_part(self):
        stamps = [10.0, 11.0, 12.0, 14.0]
        self.assertEqual(peers_gpu.passes_at(stamps, 11.5), 1.5)
        self.assertEqual(peers_gpu.passes_at(stamps, 13.5), 2.75)
        for t in (9.0, 14.0):
            with self.assertRaises(RuntimeError):
                peers_gpu.passes_at(stamps, t)
        window = {"begin_s": 10.5, "end_s": 13.0, "joules": 6.0, "ticks": 25, "watts": 2.4, "uncertainty": 0.0,
                  "conditions": {}, "flags": []}
        numbers = peers_gpu.window_numbers(window, stamps, 1000)
        self.assertEqual(numbers["passes"], 2.0)
        self.assertEqual(numbers["tokens_per_s"], 800.0)
        self.assertEqual(numbers["uj_per_token"], 3000.0)
        self.assertEqual(numbers["p50_us"], 1e6)

    def test_differences(self):
        same = peers_gpu.differences([[1.0, 2.0], [3.0, 0.0]], [[1.0, 2.0], [3.0, 0.5], [9.0, 9.0]])
        self.assertEqual(same[0], 0.5)
        self.assertEqual(same[2], 1.0)
        self.assertEqual(peers_gpu.differences([[2.0, 1.0]], [[1.0, 2.0]])[2], 0.0)

    def test_work(self):
        work = gpu_work.Work(f"{ROOT}/demo/model", 2048, 3, 20)
        for task in ("sst2", "mnli"):
            batches = work.batches(task)
            self.assertEqual([sum(map(len, b)) for b in batches], [2048] * 3)
            self.assertEqual(len({len(b) for b in batches}), 1)
            self.assertLessEqual(max(len(t) for b in batches for t in b), 128)
            self.assertGreaterEqual(min(len(t) for b in batches for t in b), gpu_work.LENGTHS[task][2])
        self.assertEqual(len(work.texts("sst2", "padded")), 20)
        self.assertEqual(len(work.texts("sst2", "single-155")[0]), 155)
        again = gpu_work.Work(f"{ROOT}/demo/model", 2048, 3, 20)
        self.assertEqual(work.texts("mnli", "packed"), again.texts("mnli", "packed"))


class Chosen(unittest.TestCase):
    def choose(self, only="", **options):
        arguments = argparse.Namespace(only=only, fewer=False, played=False, attention=False,
                                       modes=list(gpu_work.MODE_NAMES))
        vars(arguments).update(options)
        return {name: entry[2] for name, entry in peers_gpu.choose(arguments).items()}

    def test_all(self):
        self.assertEqual(self.choose(), {n: e[2] for n, e in gpu_work.CONTENDERS.items()})
        self.assertEqual(set(self.choose(fewer=True)), set(gpu_work.FEWER))
        self.assertEqual(set(self.choose(played=True)), set(gpu_work.PLAYED))
        self.assertEqual(set(self.choose("*", attention=True)), set(gpu_work.ATTENTION))

    def test_some(self):
        self.assertEqual(self.choose("torch-bare-*:packed"),
                         {f"torch-bare-{kind}": ("packed",) for kind in ("f16", "fp8", "i8")})
        self.assertEqual(self.choose("wattbert-f16-flash+packed:packed,wattbert-f16-flash+packed:single-25"),
                         {"torch-f32": (), "wattbert-f16-flash+packed": ("packed", "single-25")})
        self.assertEqual(self.choose("torch-packed-f16,torch-f32", modes=["packed", "padded"]),
                         {"torch-f32": ("padded",), "torch-packed-f16": ("packed",)})
        self.assertEqual(self.choose("nobody"), {})

    def test_processes(self):
        self.assertEqual(peers_gpu.worker_of("torch-f32", "padded"), peers_gpu.worker_of("torch-f32", "single-155"))
        own = {peers_gpu.worker_of("torch-packed-f16", mode) for mode in ("packed", "single-25", "single-155")}
        self.assertEqual(len(own), 3)
        self.assertEqual({key.split()[0] for key in own}, {"torch-packed-f16"})


def is_running(pid):
    """Neither gone nor waiting to be asked for its exit code."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, patience_s=10.0):
    give_up_s = time.monotonic() + patience_s
    while not condition() and time.monotonic() < give_up_s:
        time.sleep(0.02)
    return condition()


class Processes(unittest.TestCase):
    # A worker that has started another process, and does not end by itself.
    STUBBORN = """if True:
        import signal, subprocess, sys, time
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        time.sleep(60)
        """

    def test_group_ends(self):
        process = gpu_worker.start_group([sys.executable, "-c", self.STUBBORN], stdout=subprocess.PIPE)
        child = int(process.stdout.readline())
        self.assertTrue(is_running(child))
        gpu_worker.kill_group(process)
        self.assertEqual(process.wait(10), -signal.SIGKILL)
        self.assertTrue(wait_until(lambda: not is_running(child)))
        process.stdout.close()
        gpu_worker.kill_group(process)  # nobody is left, and nobody complains

    def start(self, name):
        arguments = argparse.Namespace(table=gpu_work.PLAYED, library="", library_path="", device="cpu", threads=1,
                                       tokens=256, batches=1, study_texts=4, scales=None)
        worker = gpu_worker.Worker(name, arguments, f"{ROOT}/demo/model", os.devnull)
        self.addCleanup(worker.close, time.monotonic() + 10)
        self.addCleanup(worker.kill, "the test has ended")
        return worker

    def test_answers(self):
        worker = self.start("played-breaks")
        worker.send("open", "sst2", "-")
        worker.send("prepare", "sst2", "packed")
        self.assertIn("seconds", worker.receive(time.monotonic() + 20))
        for _ in range(2):  # a pass that fails ends no process
            worker.send("outputs", "sst2", "packed")
            answer = worker.receive(time.monotonic() + 20)
        self.assertEqual(answer["error"], "RuntimeError: played: broke")
        worker.send("prepare", "sst2", "packed")
        self.assertTrue(wait_until(lambda: select.select([worker.process.stdout], [], [], 0)[0]))
        self.assertIn("error", worker.receive(time.monotonic() - 1))  # has come, and is not too late
        self.assertTrue(is_running(worker.process.pid))
        self.assertEqual(worker.receive(time.monotonic() + 0.1), {"error": "was not ready in time"})
        worker.send("prepare", "sst2", "packed")
        self.assertEqual(worker.receive(time.monotonic() + 20), {"error": "was not ready in time"})

    def test_failure_that_opening_met(self):
        worker = self.start("played-fails")
        worker.send("open", "sst2", "-")
        worker.send("prepare", "sst2", "packed")
        answer = worker.receive(time.monotonic() + 20)
        self.assertEqual(answer, {"error": "RuntimeError: played: cannot be prepared"})

    def end(self, number):
        """A run's exit code after a signal, what it said, and how long it took; no worker outlives it."""
        out = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, out)
        command = [sys.executable, f"{ROOT}/bench/peers_gpu.py", "--model", f"{ROOT}/demo/model", "--tokens", "1024",
                   "--batches", "2", "--study-texts", "16", "--played", "--seconds", "50", "--nvml", "/missing.so",
                   "--out", out]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = ""
        while "is ready" not in said and run.poll() is None:
            said += run.stderr.readline()
        with open(f"/proc/{run.pid}/task/{run.pid}/children") as file:
            workers = file.read().split()
        self.assertGreaterEqual(len(workers), 3)
        begin = time.monotonic()
        run.send_signal(number)
        said += run.communicate(timeout=30)[1]
        took_s = time.monotonic() - begin
        self.assertTrue(wait_until(lambda: not any(is_running(pid) for pid in workers)))
        if number != signal.SIGKILL:
            self.assertTrue(os.path.exists(f"{out}/peers.md"))
        return run.returncode, said, took_s

    def test_signals(self):
        for number, code in ((signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM),
                             (signal.SIGKILL, -signal.SIGKILL)):
            with self.subTest(number=number):
                returned, said, took_s = self.end(number)
                self.assertEqual(returned, code, said)
                self.assertLess(took_s, 8.0)


@unittest.skipUnless(torch, "skipped: PyTorch is missing")
class Torch(unittest.TestCase):
    def test_graph_holds_its_tensors(self):
        class Recorded:
            n_replays = 0

            def replay(self):
                self.n_replays += 1

        def capture():
            read = torch.ones(3)
            return gpu_torch.graphed(lambda: read + 1, "cuda"), weakref.ref(read)

        with unittest.mock.patch.multiple(torch.cuda, CUDAGraph=Recorded, synchronize=lambda: None,
                                          graph=contextlib.nullcontext):
            replay, read = capture()
            gc.collect()
            self.assertIsNotNone(read())  # what the graph reads lives while the graph does
            self.assertEqual(replay().tolist(), [2.0, 2.0, 2.0])
            self.assertEqual(replay.graph.n_replays, 1)
            del replay
            gc.collect()
            self.assertIsNone(read())

    def test_packed_agrees_with_each_text_alone(self):
        work = gpu_work.Work(f"{ROOT}/demo/model", 256, 2, 4)
        batches = work.batches("sst2")
        for ids, places, cu in (gpu_torch.pack(batch, "cpu") for batch in batches):
            self.assertEqual([len(ids), len(places), int(cu[0]), int(cu[-1])], [256, 256, 0, 256])
            self.assertTrue(all(places[i] == 0 for i in cu[:-1]))
            self.assertLess(int(places.max()), 128)
        for kind, most in (("f32", 1e-5), ("f16", 0.02), ("i8", 0.3)):
            model = gpu_torch.Packed(f"{ROOT}/demo/model", "cpu", kind)
            rows = gpu_torch.packed_pass(model, batches, "cpu", "default")()
            alone = [gpu_torch.packed_single(model, t, "cpu")()[0] for t in batches[0][:3] + batches[1][:2]]
            first = len(batches[0])
            together = [rows[i] for i in (0, 1, 2, first, first + 1)]
            for a, b in zip(alone, together):
                self.assertLess(float((a - b).abs().max()), most, kind)

    def test_bare(self):
        for kind in ("f32", "f16", "i8"):
            gpu_torch.bare_pass(kind, 32, 2, "cpu", 64)()

    def test_tiles(self):
        self.assertTrue(gpu_torch.is_large_tile(""))
        self.assertTrue(gpu_torch.is_large_tile("ACC_TYPE='tl.float32', BLOCK_K=32, BLOCK_M=128, BLOCK_N=64"))
        self.assertFalse(gpu_torch.is_large_tile("ACC_TYPE='tl.float32', BLOCK_K=64, BLOCK_M=32, BLOCK_N=256"))

    def test_turns(self):
        with tempfile.NamedTemporaryFile() as file:
            mine, others = gpu_torch.Turn(file.name), gpu_torch.Turn(file.name)
            self.addCleanup(mine.file.close)
            self.addCleanup(others.file.close)
            order = []

            def take():
                with others.taken():
                    order.append("other")

            with mine.taken():
                thread = threading.Thread(target=take)
                thread.start()
                with mine.taken():
                    time.sleep(0.1)
                order.append("mine")
            thread.join()
        self.assertEqual(order, ["mine", "other"])


class Runs(unittest.TestCase):
    def run_peers(self, driver, *options, **environment):
        out = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, out)
        command = [sys.executable, f"{ROOT}/bench/peers_gpu.py", "--model", f"{ROOT}/demo/model", "--tokens", "1024",
                   "--batches", "2", "--study-texts", "16", "--warm-seconds", "0.1", "--min-seconds", "0.3",
                   "--min-ticks", "4", "--nvml", driver, "--out", out, *options]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **environment))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(f"{out}/windows.csv") as file:
            return done.stdout, list(csv.DictReader(file))

    def test_played(self):
        with Driver(watts=300.0) as driver:
            driver.write("processes", "")
            table, rows = self.run_peers(driver.library, "--played", "--rounds", "3", "--seconds", "60")
        peer = [r for r in rows if r["contender"] == "played-peer" and r["mode"] == "packed"]
        self.assertEqual(len(peer), 3)
        for row in peer:
            # Whole steps of the counter, however late a busy machine makes them.
            joules, step_joules = float(row["joules"]), 300.0 * driver.step_s
            n_steps = round(joules / step_joules)
            self.assertAlmostEqual(joules, n_steps * step_joules, delta=1e-3 * step_joules)
            self.assertGreaterEqual(n_steps, int(row["ticks"]))
            self.assertAlmostEqual(joules / float(row["seconds"]) / float(row["watts"]), 1.0, delta=0.02)
            watts = float(row["uj_per_token"]) * float(row["tokens_per_s"]) / 1e6
            self.assertAlmostEqual(watts / float(row["watts"]), 1.0, delta=0.02)
        self.assertIn("Played GPU, driver 580.1", table)
        self.assertIn("Idle: ", table)
        self.assertIn("| played, fails when it is prepared | packed, from ids | RuntimeError: played: cannot", table)
        self.assertIn("| played, fails when it runs | packed, from ids | RuntimeError: played: broke |", table)
        self.assertIn("its process ended with code 1", table)

    def test_shared_and_short_of_time(self):
        with Driver() as driver:
            driver.write("processes", "1")
            table, rows = self.run_peers(driver.library, "--only", "played-peer", "--rounds", "50", "--seconds", "7")
        self.assertTrue(all("other processes on the GPU" in r["flags"] for r in rows))
        self.assertIn("other processes on the GPU", table)
        self.assertIn("the time was up in round", table)
        self.assertLess(len(rows), 50)

    def test_no_time_at_all(self):
        table, rows = self.run_peers("/missing.so", "--only", "played-peer", "--seconds", "0.1")
        self.assertEqual(rows, [])
        self.assertIn("No energy: NVML cannot be loaded", table)
        self.assertRegex(table, "was not ready in time|the time was up|no time left")

    def test_wattbert_on_a_played_gpu(self):
        with contextlib.ExitStack() as stack:
            beside = stack.enter_context(tempfile.TemporaryDirectory())
            os.symlink(LIBRARY, f"{beside}/libwattbert.so.0")
            os.symlink(FAKE_DOOR, f"{beside}/libwattbert_cuda.so")
            driver = stack.enter_context(Driver())
            table, rows = self.run_peers(
                driver.library, "--library", f"{beside}/libwattbert.so.0", "--rounds", "1", "--seconds", "60",
                "--only", "wattbert-baseline,wattbert-f16-flash+packed", FAKE_DOOR="ms=2",
                LD_LIBRARY_PATH=beside)
        modes = {(r["contender"], r["mode"]) for r in rows if r["contender"].startswith("wattbert")}
        self.assertIn(("wattbert-baseline", "padded"), modes)
        for mode in ("packed", "texts", "single-25", "single-155"):
            self.assertIn(("wattbert-f16-flash+packed", mode), modes)
        self.assertIn("1 windows only", table)


class Script(unittest.TestCase):
    """bench/gpu.sh from a folder of binaries, with a GPU and its driver played."""

    def test_parts(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            driver = stack.enter_context(Driver(uuid="GPU-played-0"))
            os.makedirs(f"{folder}/bin")
            os.symlink(PROGRAM, f"{folder}/bin/wattbert")
            os.symlink(LIBRARY, f"{folder}/bin/libwattbert.so.0")
            os.symlink(FAKE_DOOR, f"{folder}/bin/libwattbert_cuda.so")
            for name, text in (("checkcuda", "echo checked $*; exit 1"), ("bench_end_to_end", "echo end to end $*")):
                with open(f"{folder}/bin/{name}", "w") as file:
                    file.write(f"#!/bin/sh\n{text}\n")
                os.chmod(f"{folder}/bin/{name}", 0o755)
            shutil.copytree(f"{ROOT}/demo/model", f"{folder}/distilbert-sst2")
            os.makedirs(f"{folder}/glue/SST-2")
            with open(f"{ROOT}/demo/reviews.tsv") as reviews, open(f"{folder}/glue/SST-2/dev.tsv", "w") as file:
                file.writelines(reviews.readlines()[:21])
            done = subprocess.run(
                [f"{ROOT}/bench/gpu.sh", "--bin", f"{folder}/bin", "--model", f"{folder}/distilbert-sst2", "--data",
                 f"{folder}/glue", "--out", f"{folder}/out", "check=20", "single", "study=60", "scores=60"],
                capture_output=True, text=True,
                env=dict(os.environ, FAKE_DOOR="ms=1", LD_LIBRARY_PATH=os.path.dirname(driver.library),
                         STUDY_TECHNIQUES="fp8", STUDY_WINDOWS="1",
                         STUDY_COMPONENT_SECONDS="0"))
            with open(f"{folder}/out/summary.txt") as file:
                summary = file.read()
            with open(f"{folder}/out/scores.log") as file:
                scores = file.read()
            with open(f"{folder}/out/single.log") as file:
                single = file.read()
            with open(f"{folder}/out/study.log") as file:
                study = file.read()
            rows = []
            if os.path.exists(f"{folder}/out/study/results.csv"):
                with open(f"{folder}/out/study/results.csv") as file:
                    rows = list(csv.DictReader(file))
        self.assertEqual(done.returncode, 1, done.stderr)  # check failed, and ended nothing else
        self.assertIn("check: exit 1", summary)
        self.assertIn("study: exit 0", summary, study)
        self.assertIn("checked --bench -f =single fp8-static+packed", single)
        self.assertEqual({r["technique"] for r in rows}, {"fp8", "fp8+packed"})
        self.assertEqual({r["windows"] for r in rows}, {"1"})
        self.assertEqual({r["energy_source"] for r in rows}, {"nvml"})
        self.assertIn('"technique": "f16-flash+packed"', scores)
        self.assertIn("i8-static needs scales", scores)

    def test_usage(self):
        for arguments in ([], ["nothing"], ["--bin"]):
            done = subprocess.run([f"{ROOT}/bench/gpu.sh"] + arguments,
                                  capture_output=True, text=True, cwd=tempfile.gettempdir())
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
