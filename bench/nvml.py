# SPDX-License-Identifier: Apache-2.0
"""Joules of a GPU from outside of what runs on it, for bench/peers_gpu.py: NVML's counter of millijoules, read by a
process of its own, so that asking (4 ms of a core on an H100) holds up nobody's launches. The counter steps every
100 ms or so; a window begins and ends on steps, each known to within two reads, and holds at least 20 of them. Only
the standard library is needed.
"""
import ctypes
import os
import time

NOT_SUPPORTED = 3
INSUFFICIENT_SIZE = 7
SLOWED_BY = {0x4: "power", 0x8: "hardware", 0x20: "heat", 0x40: "heat", 0x80: "hardware"}


class NvmlError(RuntimeError):
    pass


class Process(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong), ("instance", ctypes.c_uint),
                ("compute", ctypes.c_uint)]


class Board:
    """One GPU as NVML knows it; uuid None: the first."""

    def __init__(self, library="libnvidia-ml.so.1", uuid=None):
        try:
            self.nvml = ctypes.CDLL(library)
        except OSError as failure:
            raise NvmlError(f"NVML cannot be loaded: {failure}")
        self.check(self.nvml.nvmlInit_v2(), "start")
        self.handle = ctypes.c_void_p()
        if uuid:
            self.check(self.nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(self.handle)), uuid)
        else:
            self.check(self.nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.handle)), "GPU 0")
        self.has_counter = self.ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong) is not None
        self.has_power = self.ask("nvmlDeviceGetPowerUsage", ctypes.c_uint) is not None
        if not self.has_counter and not self.has_power:
            raise NvmlError("the board has no counter of energy and no reading of power")

    def check(self, code, what):
        if code:
            name = self.nvml.nvmlErrorString
            name.restype = ctypes.c_char_p
            raise NvmlError(f"NVML, {what}: {(name(code) or b'').decode()}")

    def ask(self, function, kind, *arguments):
        """The number that a function of the board gives; None where it is not supported."""
        value = kind()
        call = getattr(self.nvml, function, None)
        if call is None or call(self.handle, *arguments, ctypes.byref(value)):
            return None
        return value.value

    def millijoules(self):
        value = self.ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong)
        if value is None:
            raise NvmlError("NVML's counter of energy could not be read")
        return value

    def watts(self):
        value = self.ask("nvmlDeviceGetPowerUsage", ctypes.c_uint)
        if value is None:
            raise NvmlError("NVML's reading of power could not be read")
        return value / 1e3

    def text(self, function, has_handle=True):
        buffer = ctypes.create_string_buffer(96)
        arguments = ([self.handle] if has_handle else []) + [buffer, ctypes.c_uint(len(buffer))]
        call = getattr(self.nvml, function, None)
        return "unknown" if call is None or call(*arguments) else buffer.value.decode()

    def describe(self):
        return {"gpu": self.text("nvmlDeviceGetName"),
                "driver": self.text("nvmlSystemGetDriverVersion", has_handle=False)}

    def conditions(self):
        """Clocks, temperature, power limit, and what holds the clock down, at this moment."""
        reasons = self.ask("nvmlDeviceGetCurrentClocksEventReasons", ctypes.c_ulonglong) or 0
        limit = self.ask("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint)
        return {"clock_mhz": self.ask("nvmlDeviceGetClockInfo", ctypes.c_uint, ctypes.c_uint(1)),
                "memory_clock_mhz": self.ask("nvmlDeviceGetClockInfo", ctypes.c_uint, ctypes.c_uint(2)),
                "temperature_celsius": self.ask("nvmlDeviceGetTemperature", ctypes.c_uint, ctypes.c_uint(0)),
                "power_limit_w": limit / 1e3 if limit else None,
                "slowed_by": " ".join(dict.fromkeys(word for bit, word in SLOWED_BY.items() if reasons & bit))}

    def others(self, own):
        """How many processes use the GPU that are not among the PIDs own. Those of an outer PID namespace cannot be
        told apart by number: of them as many as own are let pass."""
        n, processes = ctypes.c_uint(64), (Process * 64)()
        call = getattr(self.nvml, "nvmlDeviceGetComputeRunningProcesses_v3", None)
        code = call(self.handle, ctypes.byref(n), processes) if call else NOT_SUPPORTED
        if code == INSUFFICIENT_SIZE:
            return 64
        if code:
            return 0
        pids = [processes[i].pid for i in range(n.value)]
        seen = [pid for pid in pids if pid not in own and os.path.exists(f"/proc/{pid}")]
        unseen = [pid for pid in pids if pid not in own and not os.path.exists(f"/proc/{pid}")]
        missing = len(own) - sum(pid in own for pid in pids)
        return len(seen) + max(0, len(unseen) - missing)


class Counter:
    """Joules since it was made, and when they stepped. Without a counter power is summed up, and flagged so."""

    POLL_S = 0.001

    def __init__(self, board):
        self.board = board
        self.is_integrated = not board.has_counter
        self.period_s = None  # between steps, learnt from the first few
        self.watched = []
        self.joules, self.was_reset = 0.0, False
        self.last_mj = None if self.is_integrated else board.millijoules()
        self.last_s, self.last_w = time.monotonic(), board.watts() if self.is_integrated else 0.0
        self.edge = None  # the latest step: (time, joules, how far off the time may be)

    def read(self):
        """(time, joules), the time in the middle of the read."""
        before = time.monotonic()
        if self.is_integrated:
            watts, now = self.board.watts(), time.monotonic()
            self.joules += 0.5 * (watts + self.last_w) * (now - self.last_s)
            self.last_s, self.last_w = now, watts
            return now, self.joules
        mj = self.board.millijoules()
        now = 0.5 * (before + time.monotonic())
        if mj < self.last_mj:  # 64 bits do not wrap: the driver was loaded anew, and joules were lost
            self.was_reset = True
            self.last_mj = mj
        self.joules += (mj - self.last_mj) / 1e3
        self.last_mj = mj
        return now, self.joules

    def next_step(self, patience_s=1.5):
        """Waits for the next step; (time, joules, how far off the time may be)."""
        if self.is_integrated:
            time.sleep(0.02)
            now, joules = self.read()
            self.edge = (now, joules, 0.0)
            return self.edge
        if self.edge and self.period_s:  # steps come like a clock's: there is nothing to see before
            idle_s = self.edge[0] + 0.9 * self.period_s - time.monotonic()
            if 0.0 < idle_s < 10.0:
                time.sleep(idle_s)
        give_up_s = time.monotonic() + patience_s
        before, joules = self.read()
        while True:
            now, stepped = self.read()
            if stepped > joules:
                break
            if now > give_up_s:
                raise NvmlError(f"dead counter: it has not moved for {patience_s:.1f} s")
            before = now
            time.sleep(self.POLL_S)
        edge = (0.5 * (before + now), stepped, 0.5 * (now - before))
        self.learn(edge[0])
        self.edge = edge
        return edge

    def learn(self, now):
        """The period from three steps that were watched without a pause, refined by those that follow."""
        since = now - self.edge[0] if self.edge else 0.0
        if self.period_s is None:
            self.watched += [since] if since > 0.0 else []
            if len(self.watched) == 3:
                self.period_s = sorted(self.watched)[1]
        elif 0.5 < since / self.period_s < 1.5:
            self.period_s += 0.2 * (since - self.period_s)

    def window(self, min_s, min_ticks, on_middle=None):
        """Joules and seconds from one step to another, at least min_s and min_ticks later. on_middle() is called
        once, half-way."""
        self.was_reset = False
        first = last = self.next_step()
        n_ticks, conditions = 0, None
        while n_ticks < min_ticks or last[0] - first[0] < min_s:
            last = self.next_step()
            n_ticks += 1
            if conditions is None and on_middle and 2 * n_ticks >= min_ticks:
                conditions = on_middle()
        seconds = last[0] - first[0]
        if self.was_reset:
            raise NvmlError("the counter went back inside a window, as when the driver is loaded anew")
        joules = last[1] - first[1]
        return {"begin_s": first[0], "end_s": last[0], "joules": joules, "ticks": n_ticks,
                "watts": joules / seconds, "uncertainty": (first[2] + last[2]) / seconds,
                "conditions": conditions or {}, "flags": ["integrated power"] if self.is_integrated else []}


class NoCounter:
    """Where nothing measures energy: windows of time alone."""

    def window(self, min_s, min_ticks, on_middle=None):
        del min_ticks
        begin = time.monotonic()
        time.sleep(min_s)
        return {"begin_s": begin, "end_s": time.monotonic(), "joules": None, "ticks": 0, "watts": None,
                "uncertainty": None, "conditions": on_middle() if on_middle else {}, "flags": []}
