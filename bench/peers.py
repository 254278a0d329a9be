#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wattbert beside what a user would pick instead: one process tree, equal threads, interleaved rounds.

    bench/peers.py --build build/release [--threads 2] [--rounds 7] [--out FILE.md]

Needs torch, transformers, onnx, onnxruntime, openvino, nncf, ctranslate2 and numpy (`./run bench` makes a
virtual environment for them). All contenders hold the same random DistilBERT of real size (66 M weights) and
see the same token ids, whose lengths are drawn like GLUE's: SST-2 about 25 tokens a text, MNLI about 38. Each
lives in a process of its own, blocked on a pipe while another one runs. A round runs every contender once
on the whole set, in random order; a table row is the median of the rounds with the smallest and the largest.
Only real tokens count. wattbert starts from texts (its tokenizer's time is inside), the peers from token ids.
Between the rounds bench_machine measures what the machine allows, with as many threads: rates are shown as shares of that, too.
Outputs are compared with PyTorch's f32 logits (CTranslate2 has no classifier: its hidden state is) before anything is timed.
"""
import argparse
import ctypes
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time

LENGTHS = {"sst2": (3.1, 0.55, 4), "mnli": (3.55, 0.40, 8)}  # log-normal mean, deviation; shortest
ALONE = "25 tokens"  # a set of texts of that length, one at a time: what a request takes
# Texts of a set that a mode runs, where not all: rates are per real token, and these modes are slow.
TEXTS_OF_MODE = {"single": 48, "padded": 32}
LONGEST = 128
FIRST_WORD = 1000  # ids below are special or unused

# contender: (precision class, what the table calls it)
CONTENDERS = {
    "torch-f32": ("f32", "PyTorch f32 (sdpa)"),
    "torch-bf16": ("bf16", "PyTorch bf16 (sdpa)"),
    "ort-f32": ("f32", "ONNX Runtime f32"),
    "ort-i8": ("i8", "ONNX Runtime int8 (dynamic, per channel)"),
    "openvino-f32": ("f32", "OpenVINO f32"),
    "openvino-bf16": ("bf16", "OpenVINO bf16"),
    "openvino-i8": ("i8", "OpenVINO int8 (NNCF static)"),
    "ct2-f32": ("f32", "CTranslate2 f32"),
    "ct2-i8": ("i8", "CTranslate2 int8"),
    "wattbert-baseline": ("f32", "wattbert baseline"),
    "wattbert-f32-flash+packed": ("f32", "wattbert f32-flash+packed"),
    "wattbert-bf16+packed": ("bf16", "wattbert bf16+packed"),
    "wattbert-i8-dynamic+packed": ("i8", "wattbert i8-dynamic+packed"),
}


# ---- the common material -------------------------------------------------------------------------


def make_model(folder):
    """A Hugging Face folder with random weights; word i of the vocabulary is the text "wi"."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(0)
    config = DistilBertConfig(num_labels=2)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    vocabulary = ["[PAD]"] + [f"[unused{i}]" for i in range(99)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += [f"w{i}" for i in range(len(vocabulary), config.vocab_size)]
    with open(f"{folder}/vocab.txt", "w") as file:
        file.write("\n".join(vocabulary) + "\n")
    with open(f"{folder}/tokenizer_config.json", "w") as file:
        json.dump({"do_lower_case": True, "model_max_length": 512}, file)


def make_texts(task, n):
    """Token ids of n texts, [CLS] words [SEP]."""
    import numpy as np

    rng = np.random.default_rng(0)
    if task == ALONE:
        lengths = [25] * 16
    else:
        mean, deviation, shortest = LENGTHS[task]
        lengths = np.clip(np.exp(rng.normal(mean, deviation, n)).astype(int), shortest, LONGEST)
    return [[101] + rng.integers(FIRST_WORD, 30000, k - 2).tolist() + [102] for k in lengths]


def batches(texts, mode):
    """(ids, mask) arrays and the texts' indices: the study's padding, batches in order of length, or one by one."""
    import numpy as np

    texts = texts[: TEXTS_OF_MODE.get(mode)]
    if mode == "single":
        groups = [[i] for i in range(len(texts))]
    elif mode == "padded":
        groups = [list(range(i, min(i + 16, len(texts)))) for i in range(0, len(texts), 16)]
    else:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        groups = [order[i : i + 32] for i in range(0, len(order), 32)]
    out = []
    for group in groups:
        width = LONGEST if mode == "padded" else max(len(texts[i]) for i in group)
        ids = np.zeros((len(group), width), np.int64)
        mask = np.zeros_like(ids)
        for row, i in enumerate(group):
            ids[row, : len(texts[i])] = texts[i]
            mask[row, : len(texts[i])] = 1
        out.append((ids, mask, group))
    return out


# ---- contenders: each returns run(ids, mask) -> logits or hidden states ----------------------------


def torch_runner(folder, threads, dtype):
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="sdpa"
    ).eval()

    def run(ids, mask):
        with torch.inference_mode():
            return model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.float().numpy()

    return run


def export_onnx(folder):
    """folder/model.onnx, fused by ONNX Runtime's optimizer where it can be."""
    import torch
    from transformers import AutoModelForSequenceClassification

    path = f"{folder}/model.onnx"
    if os.path.exists(path):
        return path
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    axes = {"input_ids": {0: "b", 1: "s"}, "attention_mask": {0: "b", 1: "s"}}
    example = (torch.ones(2, 16, dtype=torch.long), torch.ones(2, 16, dtype=torch.long))
    names = list(axes)
    try:
        torch.onnx.export(Logits(), example, path, input_names=names, output_names=["logits"], dynamic_axes=axes,
                          opset_version=17, dynamo=False)
    except Exception:  # the older exporter does not know every mask operation of newer transformers
        torch.onnx.export(Logits(), example, path, input_names=names, output_names=["logits"], dynamic_shapes=axes,
                          dynamo=True)
    return path


def ort_runner(folder, threads, precision):
    import onnx
    import onnxruntime as ort
    from onnxruntime.transformers import optimizer

    path = export_onnx(folder)
    if precision == "i8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(path, f"{folder}/model_i8.onnx", weight_type=QuantType.QInt8, per_channel=True,
                         extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT})
        path = f"{folder}/model_i8.onnx"
    else:
        fused = optimizer.optimize_model(path, model_type="bert", num_heads=12, hidden_size=768)
        path = f"{folder}/model_fused.onnx"
        fused.save_model_to_file(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def openvino_runner(folder, threads, precision):
    import openvino

    core = openvino.Core()
    model = core.read_model(export_onnx(folder))
    if precision == "i8":
        import nncf

        calibration = [dict(input_ids=i, attention_mask=m) for i, m, _ in batches(make_texts("sst2", 128), "sorted")]
        model = nncf.quantize(model, nncf.Dataset(calibration), model_type=nncf.ModelType.TRANSFORMER,
                              subset_size=len(calibration))
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda ids, mask: request.infer({"input_ids": ids, "attention_mask": mask})[0]


def ct2_runner(folder, threads, precision):
    import ctranslate2
    import numpy as np
    from ctranslate2.converters import TransformersConverter
    from transformers import DistilBertModel, DistilBertTokenizer

    encoder = f"{folder}/encoder"
    DistilBertModel.from_pretrained(folder).save_pretrained(encoder)
    DistilBertTokenizer(f"{folder}/vocab.txt").save_pretrained(encoder)
    TransformersConverter(encoder).convert(f"{folder}/ct2", force=True)
    kind = {"f32": "float32", "i8": "int8_float32"}[precision]
    model = ctranslate2.Encoder(f"{folder}/ct2", device="cpu", compute_type=kind, intra_threads=threads)

    def run(ids, mask):
        rows = [row[: int(k)].tolist() for row, k in zip(ids, mask.sum(1))]
        return np.array(model.forward_batch(rows).last_hidden_state)

    return run


class Text(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("n_bytes", ctypes.c_size_t), ("pair", ctypes.c_char_p),
                ("pair_bytes", ctypes.c_size_t)]


class Options(ctypes.Structure):
    _fields_ = [("technique", ctypes.c_char_p), ("n_threads", ctypes.c_int), ("batch_size", ctypes.c_int),
                ("padded_length", ctypes.c_int), ("token_budget", ctypes.c_int), ("sort_batches", ctypes.c_int),
                ("calibration", ctypes.c_void_p), ("device", ctypes.c_char_p), ("scales", ctypes.c_char_p),
                ("later", ctypes.c_char * 256)]  # room for what wattbert.h appends


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("offset", ctypes.c_uint64), ("message", ctypes.c_char * 512)]


def wattbert_runner(library, folder, threads, technique, **settings):
    """classify(texts of ids) -> logits, through the public C interface, tokenizer included. settings: of wb_options."""
    import numpy as np

    wb = ctypes.CDLL(os.path.abspath(library))
    wb.wb_default_options.restype = Options
    error = Error()

    def check(status):
        if status:
            raise RuntimeError(error.message.decode())

    model, engine = ctypes.c_void_p(), ctypes.c_void_p()
    check(wb.wb_model_open(ctypes.byref(model), folder.encode(), ctypes.byref(error)))
    options = wb.wb_default_options()
    options.technique = technique.encode()
    options.n_threads = threads
    for name, value in settings.items():
        setattr(options, name, value)
    check(wb.wb_engine_open(ctypes.byref(engine), model, ctypes.byref(options), ctypes.byref(error)))

    def prepare(texts):
        strings = [" ".join(f"w{i}" for i in ids[1:-1]).encode() for ids in texts]
        return (Text * len(texts))(*[Text(s, len(s), None, 0) for s in strings])

    def run(prepared):
        logits = np.zeros((len(prepared), 2), np.float32)
        check(wb.wb_classify(engine, prepared, len(prepared), logits.ctypes.data_as(ctypes.c_void_p),
                             ctypes.byref(error)))
        return logits

    return prepare, run


# ---- a worker process: one contender, told over a pipe what to run ----------------------------------


def open_contender(name, folder, threads, library):
    """passes(task, mode) -> a function that runs the whole set once and returns its outputs by text."""
    import numpy as np

    if name.startswith("wattbert-"):
        prepare, run = wattbert_runner(library, folder, threads, name.split("-", 1)[1])

        def passes(texts, mode):
            texts = texts[: TEXTS_OF_MODE.get(mode)]
            if mode == "single":
                singles = [prepare([t]) for t in texts]
                return lambda: np.concatenate([run(s) for s in singles])
            prepared = prepare(texts)
            return lambda: run(prepared)

        return passes
    kind, precision = name.split("-")
    if kind == "torch":
        run = torch_runner(folder, threads, {"f32": "float32", "bf16": "bfloat16"}[precision])
    else:
        run = {"ort": ort_runner, "openvino": openvino_runner, "ct2": ct2_runner}[kind](folder, threads, precision)

    def passes(texts, mode):
        groups = batches(texts, mode)

        def whole():
            outputs = [None] * sum(len(g) for _, _, g in groups)
            for ids, mask, group in groups:
                rows = run(ids, mask)
                for row, i in enumerate(group):
                    outputs[i] = rows[row, 0, :2] if rows.ndim == 3 else rows[row]
            return np.array(outputs, np.float32)

        return whole

    return passes


def worker(arguments):
    # Libraries print to stdout; the pipe to the parent is kept apart.
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ready = {}
    try:
        passes = open_contender(arguments.worker, arguments.folder, arguments.threads,
                                f"{arguments.build}/libwattbert.so")
        print("ready", file=pipe, flush=True)
    except Exception as failure:
        print(f"failed {failure!r}"[:300], file=pipe, flush=True)
        return
    for line in sys.stdin:
        command, task, mode = json.loads(line)
        if (task, mode) not in ready:
            texts = make_texts(task, arguments.texts)
            ready[task, mode] = passes(texts, mode)
            ready[task, mode]()  # warm-up: shapes compiled, caches filled
        if command == "outputs":
            print(json.dumps(ready[task, mode]().tolist()), file=pipe, flush=True)
            continue
        start, n = time.perf_counter(), 0
        while n == 0 or time.perf_counter() - start < arguments.seconds:
            ready[task, mode]()
            n += 1
        print((time.perf_counter() - start) / n, file=pipe, flush=True)


class Contender:
    def __init__(self, name, arguments, folder):
        self.name = name
        environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads), HF_HUB_OFFLINE="1")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, "--folder", folder, "--threads", str(arguments.threads),
             "--build", arguments.build, "--texts", str(arguments.texts), "--seconds", str(arguments.seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.answer = self.process.stdout.readline().strip()

    def ask(self, command, task, mode):
        print(json.dumps([command, task, mode]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended")
        return json.loads(answer)


def describe_machine():
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return f"{cpu}, {platform.system()} {platform.machine()}"


# ---- the run ------------------------------------------------------------------------------------------


def compare_outputs(contenders, log):
    """Largest difference from PyTorch f32 over the SST-2 set, and how many labels agree."""
    import numpy as np

    reference = np.array(contenders["torch-f32"].ask("outputs", "sst2", "sorted"))
    hidden = None
    for name, contender in contenders.items():
        mode = "padded" if name == "wattbert-baseline" else "sorted"
        out = np.array(contender.ask("outputs", "sst2", mode))
        if name.startswith("ct2"):
            hidden = out if hidden is None else hidden
            log(f"| {CONTENDERS[name][1]} | {np.abs(out - hidden).max():.2e} from CTranslate2 f32 (hidden state) | |")
        else:
            expected = reference[: len(out)]
            agree = (out.argmax(1) == expected.argmax(1)).mean()
            log(f"| {CONTENDERS[name][1]} | {np.abs(out - expected).max():.2e} | {100 * agree:.1f} % |")


class Machine:
    """bench_machine, waiting: rates() -> {"f32": billions of operations a second, .., "read": GB/s}"""

    def __init__(self, arguments):
        self.process = subprocess.Popen([f"{arguments.build}/bench/bench_machine", str(arguments.threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rates(self):
        print(file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


# ---- how much work there is ---------------------------------------------------------------------------

LAYERS, D, D_FF = 6, 768, 3072  # of the model that make_model() makes
BYTES_OF_WEIGHT = {"f32": 4, "bf16": 2, "i8": 1}


def list_products(n, is_pruned):
    """(rows, weights) of the layers' products for a text of n tokens. A pruned last layer makes keys and values of
    all tokens, everything else of one."""
    layer = [3 * D * D, D * D, D * D_FF, D * D_FF]
    products = [(n, w) for w in layer] * (LAYERS - 1)
    if not is_pruned:
        return products + [(n, w) for w in layer]
    return products + [(n, 2 * D * D)] + [(1, w) for w in [D * D] + layer[1:]]


def count_operations(texts, is_pruned):
    """Multiplications and additions of products and attention over real tokens."""
    n_macs = 0
    for n in map(len, texts):
        n_macs += sum(rows * weights for rows, weights in list_products(n, is_pruned)) + D * D
        n_macs += 2 * n * D * ((LAYERS - 1) * n + (1 if is_pruned else n))
    return 2 * n_macs


def least_seconds(n, is_pruned, precision, machine):
    """Of one text of n tokens: each product takes as long as its operations at the instruction's peak or its
    weights from memory, whichever is longer. The classifier's two products are f32."""

    def seconds(rows, weights, precision):
        return max(2 * rows * weights / machine[precision], weights * BYTES_OF_WEIGHT[precision] / machine["read"]) / 1e9

    return sum(seconds(rows, w, precision) for rows, w in list_products(n, is_pruned)) + seconds(1, D * D, "f32")


def modes_of(name, task):
    if name == "wattbert-baseline":
        return [] if task == ALONE else ["padded"]
    if task == ALONE:
        return ["single"]
    return ["sorted", "single"] if name.startswith("wattbert-") else ["padded", "sorted", "single"]


class Rates:
    """Tokens a second of every contender, mode and round, and what the machine allowed in each round."""

    def __init__(self, contenders, machine, task, arguments):
        self.task, self.machine = task, []
        self.texts = make_texts(task, arguments.texts)
        slots = [(name, mode) for name in contenders for mode in modes_of(name, task)]
        self.of = {slot: [] for slot in slots}
        for i in range(arguments.rounds):
            print(f"{task}: round {i + 1} of {arguments.rounds}", file=sys.stderr)
            self.machine.append(machine.rates())
            for name, mode in random.sample(slots, len(slots)):
                seconds = contenders[name].ask("time", task, mode)
                self.of[name, mode].append(sum(map(len, self.texts_of(mode))) / seconds)

    def texts_of(self, mode):
        return self.texts[: TEXTS_OF_MODE.get(mode)]

    def share(self, name, mode, least_for_token):
        """Median over rounds of the least seconds for a token by what it took; "" where there is no such instruction."""
        shares = [rate * least_for_token(m)
                  for rate, m in zip(self.of[name, mode], self.machine) if CONTENDERS[name][0] in m]
        return f"{100 * median(shares):.0f} %" if shares else ""

    def share_of_peak(self, name, mode):
        """By what the instruction alone reaches."""
        texts, precision = self.texts_of(mode), CONTENDERS[name][0]
        work = count_operations(texts, name.endswith("+packed")) / sum(map(len, texts))
        return self.share(name, mode, lambda m: work / 1e9 / m[precision])

    def share_of_both(self, name, mode):
        """By what operations and memory allow one text; all are equally long."""
        n, precision, is_pruned = len(self.texts[0]), CONTENDERS[name][0], name.endswith("+packed")
        return self.share(name, mode, lambda m: least_seconds(n, is_pruned, precision, m) / n)

    def ratios(self, name, mode, rivals):
        """Round by round, to the best of the rivals."""
        best = max((self.of[rival] for rival in rivals), key=median)
        return [a / b for a, b in zip(self.of[name, mode], best)]


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def spread(values, digits=0):
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def rivals(rates, precision, modes):
    return [(n, m) for n, m in rates.of if m in modes and CONTENDERS[n][0] == precision and not n.startswith("wattbert")]


def report_sets(rates, log):
    names = {"padded": "padded to 128, batch 16", "sorted": "best batching", "single": "one text at a time"}
    n_tokens = sum(map(len, rates.texts)) / len(rates.texts)
    log(f"\n## {rates.task.upper()} lengths (mean {n_tokens:.1f} tokens): real tokens/s, median (smallest to largest), "
        "share of the instruction peak\n")
    log("| | " + " | ".join(names.values()) + " |\n| --- | ---: | ---: | ---: |")
    for name in dict.fromkeys(n for n, _ in rates.of):
        cells = [f"{spread(rates.of[name, mode])} {rates.share_of_peak(name, mode)}".rstrip() if (name, mode) in rates.of else ""
                 for mode in names]
        log(f"| {CONTENDERS[name][1]} | " + " | ".join(cells) + " |")
    log("\n| wattbert against the best peer of its precision, round by round | mode | ratio |\n| --- | --- | ---: |")
    for name, mode in rates.of:
        # CTranslate2 drops padding: its best batching may be the padded one.
        found = rivals(rates, CONTENDERS[name][0], {"sorted": ("sorted", "padded")}.get(mode, (mode,)))
        if name.endswith("+packed") and found:
            log(f"| {CONTENDERS[name][1]} | {names[mode]} | {spread(rates.ratios(name, mode, found), 2)} |")
    log("\n| wattbert packed against peers on the study's protocol (padded to 128, batch 16), real tokens | ratio |\n"
        "| --- | ---: |")
    for name in dict.fromkeys(n for n, _ in rates.of if n.endswith("+packed")):
        for rival in rivals(rates, CONTENDERS[name][0], ("padded",)):
            log(f"| {CONTENDERS[name][1]} to {CONTENDERS[rival[0]][1]} | {spread(rates.ratios(name, 'sorted', [rival]), 2)} |")


def report_alone(rates, log):
    """wattbert's weights are read once a text, but for most of the pruned layer's."""
    n_weights = sum(weights for _, weights in list_products(1, False))
    log(f"\n## One text of {rates.task} at a time: milliseconds, median (smallest to largest)\n")
    log("| | ms | share of the instruction peak | weights read, GB/s | share of what can be read | "
        "share of what binds each product |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for (name, mode), found in rates.of.items():
        ms = [1e3 * len(rates.texts[0]) / rate for rate in found]
        read = n_weights * BYTES_OF_WEIGHT[CONTENDERS[name][0]] / median(ms) / 1e6
        most = median([m["read"] for m in rates.machine])
        log(f"| {CONTENDERS[name][1]} | {spread(ms, 2)} | {rates.share_of_peak(name, mode)} | {read:.1f} | "
            f"{100 * read / most:.0f} % | {rates.share_of_both(name, mode)} |")
    log("\nWhat binds a product is its operations at the instruction's peak or its weights from memory, whichever takes longer.")
    log("\n| wattbert against the best peer of its precision, round by round | ratio |\n| --- | ---: |")
    for name, mode in rates.of:
        found = rivals(rates, CONTENDERS[name][0], (mode,))
        if name.startswith("wattbert-") and found:
            log(f"| {CONTENDERS[name][1]} | {spread(rates.ratios(name, mode, found), 2)} |")


def report_machine(all_rates, log):
    rounds = [m for rates in all_rates for m in rates.machine]
    log("\n## The machine, measured between the rounds: median (smallest to largest)\n\n| | |\n| --- | ---: |")
    for key in rounds[0]:
        if not key.endswith("_name"):
            what = "read from memory, GB/s" if key == "read" else f"{rounds[0][key + '_name']}, billion operations/s"
            log(f"| {what} | {spread([m[key] for m in rounds], 1)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="holds libwattbert.so and bench/bench_machine")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1.0, help="least time of one contender's turn")
    parser.add_argument("--tasks", default="sst2,mnli")
    parser.add_argument("--only", help="contenders whose name holds one of these words, comma-separated")
    parser.add_argument("--out", help="Markdown file to write as well")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments)

    lines = []

    def log(text):
        print(text, flush=True)
        lines.append(text)

    with tempfile.TemporaryDirectory() as folder:
        make_model(folder)
        export_onnx(folder)
        words = arguments.only.split(",") if arguments.only else [""]
        wanted = [n for n in CONTENDERS if n == "torch-f32" or any(w in n for w in words)]
        log(f"# wattbert and its peers on one machine\n\n{describe_machine()}, "
            f"{arguments.threads} threads each, {arguments.rounds} interleaved rounds of at least {arguments.seconds} s, "
            f"{arguments.texts} texts, {time.strftime('%Y-%m-%d', time.gmtime())}. DistilBERT's real size, random weights.\n")
        log("Command: `" + " ".join(["bench/peers.py"] + sys.argv[1:]) + "`\n")
        contenders = {}
        for name in wanted:
            contender = Contender(name, arguments, folder)
            if contender.answer == "ready":
                contenders[name] = contender
            else:
                log(f"Not run: {CONTENDERS[name][1]}: {contender.answer}\n")
        log("| outputs | largest difference from PyTorch f32 | same label |\n| --- | --- | --- |")
        compare_outputs(contenders, log)
        machine, all_rates = Machine(arguments), []
        for task in arguments.tasks.split(",") + [ALONE]:
            rates = Rates(contenders, machine, task, arguments)
            (report_alone if task == ALONE else report_sets)(rates, log)
            all_rates.append(rates)
        report_machine(all_rates, log)
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
