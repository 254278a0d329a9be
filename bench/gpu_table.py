# SPDX-License-Identifier: Apache-2.0
"""The tables of bench/peers_gpu.py, written anew after every round from what has been measured by then."""
import json
import os
import sys
import time

from gpu_work import (ATTENTION, BARE_OF, CLAIMS, CONTENDERS, FEWEST_WINDOWS, MODE_NAMES, PEERS_OF, PLAYED,
                      SINGLE_MODES, median)

ALL = {**ATTENTION, **CONTENDERS, **PLAYED}
STUDY = ("torch-f32", "padded")


def spread(values, form="{:,.0f}", scale=1.0):
    """median (smallest to largest)"""
    values = [v * scale for v in values if v is not None]
    if not values:
        return "-"
    return (form + " (" + form + " to " + form + ")").format(median(values), min(values), max(values))


def is_bare(name):
    return name.startswith("torch-bare")


def is_wattbert(name):
    return name.startswith("wattbert")


class Task:
    """The windows of one task by (contender, mode) and round."""

    def __init__(self, run, task):
        self.run, self.task = run, task
        self.slots = {}
        for row in run.rows:
            if row["task"] == task:
                self.slots.setdefault((row["contender"], row["mode"]), {})[row["round"]] = row
        order = list(ALL)
        self.keys = sorted(self.slots, key=lambda s: (order.index(s[0]), s[1]))
        self.has_energy = any(r["joules"] is not None for rounds in self.slots.values() for r in rounds.values())

    def values(self, slot, column):
        return [r[column] for r in self.slots.get(slot, {}).values()]

    def cost(self, slot):
        """What the best of several is the best in: energy; where there is none, time."""
        if self.has_energy:
            return median(self.values(slot, "uj_per_token"))
        return 1.0 / median(self.values(slot, "tokens_per_s"))

    def best_peer(self, slot):
        """The cheapest contender that wattbert's slot has to beat: of its precision, in a batching that does the
        same or less work."""
        name, mode = slot
        classes = PEERS_OF[ALL[name][0]]
        modes = (mode,) if mode.startswith("single") or mode == "padded" else ("padded", "sorted", "packed")
        peers = [s for s in self.keys if not is_wattbert(s[0]) and not is_bare(s[0]) and s[1] in modes
                 and ALL[s[0]][0] in classes]
        return min(peers, key=self.cost) if peers else None

    def ratios(self, slot, other, column):
        """slot's over other's, of the rounds that both have."""
        mine, theirs = self.slots.get(slot, {}), self.slots.get(other, {})
        return [mine[i][column] / theirs[i][column] for i in mine
                if i in theirs and mine[i][column] is not None and theirs[i][column]]

    def flags(self, slot):
        rounds = self.slots[slot].values()
        flags = [f"{len(rounds)} windows only"] if len(rounds) < FEWEST_WINDOWS else []
        flags += sorted({f for r in rounds for f in r["flags"].split("; ") if f})
        slowed = sorted({w for r in rounds for w in (r.get("slowed_by") or "").split() if w != "power"})
        return "; ".join(flags + [f"clock held down by {w}" for w in slowed])

    def throughput_lines(self):
        slots = [s for s in self.keys if not s[1].startswith("single")]
        if not slots:
            return []
        lines = ["| contender | how | real tokens/s | µJ per real token | W | rate, energy beside bare products | "
                 "rate, energy beside the best peer | energy beside the study's protocol in PyTorch | windows | |",
                 "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | --- |"]
        for slot in slots:
            name, mode = slot
            bare, best = (BARE_OF[ALL[name][0]], "padded" if mode == "padded" else "packed"), None
            if is_wattbert(name):
                best = self.best_peer(slot)
            lines.append("| " + " | ".join([
                ALL[name][1], "" if is_bare(name) else MODE_NAMES[mode],
                spread(self.values(slot, "tokens_per_s")), spread(self.values(slot, "uj_per_token"), "{:,.1f}"),
                spread(self.values(slot, "watts"), "{:.0f}").split(" ")[0],
                "" if is_bare(name) or bare not in self.slots else self.beside(slot, bare),
                f"{self.beside(slot, best)} of {ALL[best[0]][1]}" if best else "",
                self.factor(slot, STUDY), str(len(self.slots[slot])), self.flags(slot)]) + " |")
        return lines

    def beside(self, slot, other):
        rate = spread(self.ratios(slot, other, "tokens_per_s"), "{:.2f}")
        energy = spread(self.ratios(slot, other, "uj_per_token"), "{:.2f}")
        return f"{rate}x, {energy}x" if energy != "-" else f"{rate}x"

    def factor(self, slot, other):
        """How many times less energy than other."""
        ratios = [1.0 / r for r in self.ratios(slot, other, "uj_per_token") if r]
        return spread(ratios, "{:.1f}") + " times less" if ratios and slot != other else ""

    def single_lines(self):
        lines = []
        for mode in SINGLE_MODES:
            slots = [s for s in self.keys if s[1] == mode]
            if not slots:
                continue
            lines += ["", f"One text of {mode.split('-')[1]} tokens at a time, ids on the host to logits on the host:", "",
                      "| contender | p50 µs | p99 µs | mJ per text | W | time, energy beside the best peer | windows | |",
                      "| --- | ---: | ---: | ---: | ---: | --- | ---: | --- |"]
            for slot in slots:
                best = self.best_peer(slot) if is_wattbert(slot[0]) else None
                beside = ""
                if best:
                    beside = (spread(self.ratios(slot, best, "p50_us"), "{:.2f}") + "x, "
                              + spread(self.ratios(slot, best, "mj_per_pass"), "{:.2f}") + f"x of {ALL[best[0]][1]}")
                lines.append("| " + " | ".join([
                    ALL[slot[0]][1], spread(self.values(slot, "p50_us"), "{:,.1f}"),
                    spread(self.values(slot, "p99_us"), "{:,.1f}"), spread(self.values(slot, "mj_per_pass"), "{:.2f}"),
                    spread(self.values(slot, "watts"), "{:.0f}").split(" ")[0], beside, str(len(self.slots[slot])),
                    self.flags(slot)]) + " |")
        return lines

    def claim_lines(self):
        """The study's claims, each as the ratio of two rows of the same rounds."""
        lines = []
        for what, changed, other, mode in CLAIMS:
            rate = self.ratios((changed, mode), (other, mode), "tokens_per_s")
            energy = self.ratios((changed, mode), (other, mode), "uj_per_token")
            if rate:
                lines.append(f"| {what} | {MODE_NAMES[mode]} | {spread(rate, '{:.2f}')}x | "
                             + (f"{spread(energy, '{:.2f}')}x |" if energy else "- |"))
        return ["", "| what changes | how | rate | energy |", "| --- | --- | ---: | ---: |"] + lines if lines else []

    def output_lines(self):
        rows = [r for r in self.run.comparisons if r[0] == self.task]
        if not rows:
            return ["Outputs were not compared."]
        lines = ["| outputs beside PyTorch's f32 | how | largest difference | of the logits' standard deviation | "
                 "same label |", "| --- | --- | ---: | ---: | ---: |"]
        for _, name, mode, largest, relative, agree in rows:
            lines.append(f"| {ALL[name][1]} | {MODE_NAMES[mode]} | {largest:.2e} | {relative:.3f} | "
                         f"{100 * agree:.2f} % |")
        return lines

    def failure_lines(self):
        lines = []
        for key, why in self.run.failures.items():
            task, name, mode = key if isinstance(key, tuple) else (self.task, key, "")
            if task == self.task:
                lines.append(f"| {ALL[name][1]} | {MODE_NAMES.get(mode, mode)} | {why} |")
        return ["", "| not run, or ended early | how | why |", "| --- | --- | --- |"] + lines if lines else []


def conditions(run):
    """Clocks and the like over all windows, in words."""
    def span(column, form="{:.0f}"):
        values = [r[column] for r in run.rows if r.get(column) is not None]
        if not values:
            return "unknown"
        low, high = form.format(min(values)), form.format(max(values))
        return low if low == high else f"{low} to {high}"

    return (f"SM clock {span('clock_mhz')} MHz, memory clock {span('memory_clock_mhz')} MHz, "
            f"{span('temperature_celsius')} degrees Celsius, power limit {span('power_limit_w')} W")


def head(run):
    a = run.arguments
    lines = ["# wattbert and PyTorch on one GPU", ""]
    if run.board:
        about = run.board.describe()
        steps = "no counter: power summed up" if not run.board.has_counter else \
            f"NVML's counter, steps of {1e3 * (run.counter.period_s or 0.0):.1f} ms"
        lines.append(f"{about['gpu']}, driver {about['driver']}; {steps}. {conditions(run)}. Idle: "
                     + (", ".join(f"{w:.1f} W" for w in run.idle) or "not measured") + ".")
    else:
        lines.append(f"No energy: {run.no_energy}.")
    texts = {task: [t for b in run.work.batches(task) for t in b] for task in a.tasks}
    for task, all_texts in texts.items():
        n = sum(map(len, all_texts))
        lines.append(f"{task.upper()}: {len(all_texts)} texts, {n} tokens, mean {n / len(all_texts):.1f}, "
                     f"{a.batches} batches of {a.tokens}; the study's protocol runs the first {a.study_texts} texts.")
    lines.append(f"Windows of at least {a.min_s:g} s and {a.min_ticks} steps, from step to step; at most {a.rounds} "
                 f"rounds, in random order (seed {a.seed}). Median (smallest to largest). "
                 f"wattbert's host side: {a.threads} threads. {time.strftime('%Y-%m-%d', time.gmtime())}.")
    command = " ".join(["bench/peers_gpu.py"] + sys.argv[1:])
    return lines + ["", f"Command: `{command}`"]


def write_tables(run):
    lines = head(run)
    for task in run.arguments.tasks:
        t = Task(run, task)
        title = f"Texts of {task.split('-')[1]} tokens" if task.startswith("length-") else f"{task.upper()} lengths"
        lines += ["", f"## {title}", ""] + t.throughput_lines() + t.single_lines() + t.claim_lines()
        lines += [""] + t.output_lines() + t.failure_lines()
    if run.notes:
        lines += [""] + [f"Note: {n}." for n in run.notes]
    path = f"{run.arguments.out}/peers.md"
    with open(path + ".new", "w") as file:
        file.write("\n".join(lines) + "\n")
    os.replace(path + ".new", path)
    with open(f"{run.arguments.out}/windows.json", "w") as file:
        json.dump({"idle_w": run.idle, "notes": run.notes, "comparisons": run.comparisons,
                   "failures": {" ".join(k) if isinstance(k, tuple) else k: v for k, v in run.failures.items()},
                   "windows": run.rows}, file)
