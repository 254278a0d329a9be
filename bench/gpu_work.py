# SPDX-License-Identifier: Apache-2.0
"""Who takes part in bench/peers_gpu.py, and the texts that all of them see."""
import json
import math
import random

LENGTHS = {"sst2": (3.1, 0.55, 4), "mnli": (3.55, 0.40, 8)}  # log-normal mean, deviation; shortest
LONGEST = 128
SINGLES = (25, 155)  # tokens: SST-2's mean, and about AI Energy Score's
FEWEST_WINDOWS = 3  # a row of fewer windows than this is flagged

# name: (precision class, what the table calls it, modes, needs a quiet GPU to choose its kernels)
SINGLE_MODES = tuple(f"single-{n}" for n in SINGLES)
CONTENDERS = {
    "torch-f32": ("f32", "PyTorch f32 eager (the study's protocol)", ("padded", SINGLE_MODES[1]), False),
    "torch-f32-sdpa": ("f32", "PyTorch f32, sdpa", ("padded", "sorted"), False),
    "torch-autocast-f16": ("f16", "PyTorch autocast f16", ("padded",), False),
    "torch-autocast-bf16": ("bf16", "PyTorch autocast bf16", ("padded",), False),
    "torch-bf16-sdpa": ("bf16", "PyTorch bf16, sdpa", ("padded",), False),
    "torch-f16-sdpa": ("f16", "PyTorch f16, sdpa", ("padded", *SINGLE_MODES), False),
    "torch-f16-compiled": ("f16", "PyTorch f16, sdpa, compiled", ("sorted",), False),
    "torch-f16-graph": ("f16", "PyTorch f16, sdpa, compiled, CUDA graph", SINGLE_MODES, False),
    "torch-packed-f16": ("f16", "PyTorch f16, packed by hand, compiled, CUDA graph", ("packed", *SINGLE_MODES), False),
    "torch-packed-f16-tuned": ("f16", "PyTorch f16, packed by hand, max-autotune, CUDA graph", ("packed",), True),
    "torch-packed-fp8": ("fp8", "PyTorch fp8 (static scales), packed by hand, compiled, CUDA graph",
                         ("packed",), False),
    "torch-packed-fp8-tuned": ("fp8", "PyTorch fp8 (static scales), packed by hand, max-autotune, CUDA graph",
                               ("packed",), True),
    "torch-packed-i8": ("i8", "PyTorch int8 (dynamic), packed by hand, compiled, CUDA graph", ("packed",), False),
    "torch-bare-f16": ("f16", "bare products, f16", ("packed",), False),
    "torch-bare-fp8": ("fp8", "bare products, fp8", ("packed",), False),
    "torch-bare-i8": ("i8", "bare products, int8", ("packed",), False),
    "torch-bare-f32": ("f32", "bare products, f32, padded", ("padded",), False),
    "wattbert-baseline": ("f32", "wattbert baseline (the study's protocol)", ("padded",), True),
    "wattbert-autocast-f16": ("f16", "wattbert autocast-f16", ("padded",), True),
    "wattbert-f16-flash": ("f16", "wattbert f16-flash", ("padded",), True),
    "wattbert-f32-flash+packed": ("f32", "wattbert f32-flash+packed", ("packed",), True),
    "wattbert-f16-flash+packed": ("f16", "wattbert f16-flash+packed", ("packed", "texts", *SINGLE_MODES), True),
    "wattbert-flash+packed": ("bf16", "wattbert flash+packed (bf16)", ("packed",), True),
    "wattbert-i8-dynamic+packed": ("i8", "wattbert i8-dynamic+packed", ("packed",), True),
    "wattbert-i8-static+packed": ("i8", "wattbert i8-static+packed", ("packed",), True),
    "wattbert-fp8+packed": ("fp8", "wattbert fp8+packed", ("packed", "texts", *SINGLE_MODES), True),
}
# With --attention: the same precision with its scores in memory and without, texts of one length.
ATTENTION = {
    "torch-f32": ("f32", "PyTorch f32 eager", ("sorted",), False),
    "torch-f32-sdpa": ("f32", "PyTorch f32, sdpa", ("sorted",), False),
    "torch-f16-eager": ("f16", "PyTorch f16 eager", ("sorted",), False),
    "torch-f16-sdpa": ("f16", "PyTorch f16, sdpa", ("sorted",), False),
    "wattbert-baseline+packed": ("f32", "wattbert baseline+packed", ("packed",), True),
    "wattbert-f32-flash+packed": ("f32", "wattbert f32-flash+packed", ("packed",), True),
    "wattbert-f16+packed": ("f16", "wattbert f16+packed", ("packed",), True),
    "wattbert-f16-flash+packed": ("f16", "wattbert f16-flash+packed", ("packed",), True),
}
# The study's claims as pairs of rows: what it is called, the changed one, what it is compared with, the mode.
CLAIMS = [
    ("flash attention alone, f32", "wattbert-f32-flash+packed", "wattbert-baseline+packed", "packed"),
    ("flash attention alone, f16", "wattbert-f16-flash+packed", "wattbert-f16+packed", "packed"),
    ("flash attention alone, PyTorch f32", "torch-f32-sdpa", "torch-f32", "sorted"),
    ("flash attention alone, PyTorch f16", "torch-f16-sdpa", "torch-f16-eager", "sorted"),
    ("flash attention alone, PyTorch f32", "torch-f32-sdpa", "torch-f32", "padded"),
    ("autocast f16, PyTorch", "torch-autocast-f16", "torch-f32", "padded"),
    ("autocast bf16, PyTorch", "torch-autocast-bf16", "torch-f32", "padded"),
    ("autocast f16 beside f16 weights and flash attention, PyTorch", "torch-autocast-f16", "torch-f16-sdpa", "padded"),
    ("f16 and flash attention, PyTorch", "torch-f16-sdpa", "torch-f32", "padded"),
    ("autocast f16", "wattbert-autocast-f16", "wattbert-baseline", "padded"),
    ("f16 and flash attention", "wattbert-f16-flash", "wattbert-baseline", "padded"),
    ("int8 (dynamic) beside f16", "wattbert-i8-dynamic+packed", "wattbert-f16-flash+packed", "packed"),
    ("int8 (static) beside f16", "wattbert-i8-static+packed", "wattbert-f16-flash+packed", "packed"),
    ("fp8 (static) beside f16", "wattbert-fp8+packed", "wattbert-f16-flash+packed", "packed"),
    ("int8 (dynamic) beside f16, PyTorch", "torch-packed-i8", "torch-packed-f16", "packed"),
    ("fp8 (static) beside f16, PyTorch, not tuned", "torch-packed-fp8", "torch-packed-f16", "packed"),
    ("fp8 (static) beside f16, PyTorch", "torch-packed-fp8-tuned", "torch-packed-f16-tuned", "packed"),
]
# What MNLI's lengths are measured with where time is short: what every target needs, and the best peers.
FEWER = ["torch-f32", "torch-autocast-f16", "torch-f16-sdpa", "torch-f16-compiled", "torch-packed-f16",
         "torch-packed-f16-tuned", "torch-packed-fp8", "torch-packed-fp8-tuned", "torch-bare-f16", "torch-bare-fp8",
         "wattbert-baseline", "wattbert-f16-flash", "wattbert-f16-flash+packed", "wattbert-i8-dynamic+packed",
         "wattbert-fp8+packed"]
# Contenders that only sleep, to try the harness out with nothing but the standard library.
PLAYED = {
    "played-peer": ("f16", "played peer", ("packed", "single-25"), False),
    "played-fails": ("f16", "played, fails when it is prepared", ("packed",), False),
    "played-breaks": ("f16", "played, fails when it runs", ("packed",), False),
    "played-dies": ("f16", "played, ends when it runs", ("packed",), True),
}
# Whose best counts as the peer, by wattbert's precision class.
PEERS_OF = {"f32": ("f32",), "f16": ("f16", "bf16"), "bf16": ("f16", "bf16"), "i8": ("i8", "f16", "bf16"),
            "fp8": ("fp8",)}
BARE_OF = {"f32": "torch-bare-f32", "f16": "torch-bare-f16", "bf16": "torch-bare-f16", "fp8": "torch-bare-fp8",
           "i8": "torch-bare-i8"}
MODE_NAMES = {"padded": "padded to 128, batch 16, from ids", "sorted": "in order of length, batch 256, from ids",
              "packed": "packed, from ids", "texts": "packed, from texts",
              **{f"single-{n}": f"one text of {n} tokens" for n in SINGLES}}


class Work:
    """The same texts for every contender: as many batches of as many tokens, lengths in another order in each, so
    that one CUDA graph fits all of them."""

    def __init__(self, folder, n_tokens, n_batches, n_study):
        with open(f"{folder}/vocab.txt") as file:
            self.vocabulary = file.read().split("\n")
        with open(f"{folder}/config.json") as file:
            self.d_model = json.load(file)["dim"]
        special = {p: i for i, p in enumerate(self.vocabulary) if p.startswith("[")}
        self.first, self.last = special["[CLS]"], special["[SEP]"]
        # Whole words: the text that joins them with blanks has exactly these ids.
        self.words = [i for i, p in enumerate(self.vocabulary) if p.isalpha() and p.isascii()]
        self.n_tokens, self.n_batches, self.n_study = n_tokens, n_batches, n_study
        self.longest = LONGEST
        self.made = {}

    def draw_lengths(self, task, rng):
        lengths, total, longest = [], 0, LONGEST
        if task.startswith("length-"):
            shortest = longest = int(task.split("-")[1])
        else:
            mean, deviation, shortest = LENGTHS[task]
        while total < self.n_tokens:
            n = longest if shortest == longest else int(math.exp(rng.gauss(mean, deviation)))
            lengths.append(min(longest, max(shortest, n)))
            total += lengths[-1]
        lengths[-1] -= total - self.n_tokens
        if lengths[-1] < min(shortest, 8):  # its few tokens go to texts that have room for them
            left = lengths.pop()
            while left:
                i = rng.randrange(len(lengths))
                if lengths[i] < LONGEST:
                    lengths[i] += 1
                    left -= 1
        return lengths

    def text(self, n, rng):
        return [self.first] + rng.choices(self.words, k=n - 2) + [self.last]

    def batches(self, task):
        if task not in self.made:
            rng = random.Random(task)
            lengths, self.made[task] = self.draw_lengths(task, rng), []
            for _ in range(self.n_batches):
                rng.shuffle(lengths)
                self.made[task].append([self.text(n, rng) for n in lengths])
        return self.made[task]

    def texts(self, task, mode):
        """Token ids of the texts of a pass."""
        if mode.startswith("single"):
            n = int(mode.split("-")[1])
            return [self.text(n, random.Random(n))]
        texts = [t for batch in self.batches(task) for t in batch]
        return texts[:self.n_study] if mode == "padded" else texts

    def tokens(self, task, mode):
        return sum(map(len, self.texts(task, mode)))

    def bare_rows(self, mode):
        """Rows of a bare product, and how many of them a pass has."""
        if mode == "padded":
            return 16 * LONGEST, (self.n_study + 15) // 16
        return self.n_tokens, self.n_batches

    def string(self, ids):
        return " ".join(self.vocabulary[i] for i in ids[1:-1])


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
