# SPDX-License-Identifier: Apache-2.0
"""What a PyTorch user would run on a GPU, for bench/peers_gpu.py: Hugging Face's model as the study ran it and as
its documentation advises, and the best we could write: packed without padding, fused by the compiler, replayed as a
CUDA graph, in f16, fp8 and int8. Token ids and weights lie on the GPU beforehand; a pass ends with its logits on the
host. On a CPU, where bench/peers_gpu.py is tried out, the same code runs small, without graphs.
"""
import contextlib
import fcntl
import itertools
import re
import threading

import torch
import torch.nn.functional as F

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # an older PyTorch: its packed contenders say so when they run
    varlen_attn = None

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
FP8_MOST = 448.0


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


# ---- Hugging Face's model ---------------------------------------------------------------------------


def hugging_face(folder, device, dtype, attention):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=DTYPES[dtype], attn_implementation=attention)
    return model.to(device).eval()


def padded_batches(texts, size, width, device):
    """(ids, mask) on the device; width 0: as wide as the batch's longest text."""
    out = []
    for start in range(0, len(texts), size):
        group = texts[start:start + size]
        wide = width or max(map(len, group))
        ids = torch.tensor([t + [0] * (wide - len(t)) for t in group])
        mask = torch.tensor([[1] * len(t) + [0] * (wide - len(t)) for t in group])
        out.append((ids.to(device), mask.to(device)))
    return out


def hugging_face_pass(model, batches, autocast=None):
    """A pass over the batches; its result is logits[n_texts, n_labels] in the batches' order."""
    device = batches[0][0].device.type

    def run():
        with torch.inference_mode():
            if autocast:
                with torch.autocast(device, dtype=DTYPES[autocast]):
                    rows = [model(ids, attention_mask=mask).logits for ids, mask in batches]
            else:
                rows = [model(ids, attention_mask=mask).logits for ids, mask in batches]
            return torch.cat(rows).float().cpu()

    return run


def hugging_face_single(model, text, device):
    """One text from the host's ids to the host's logits. There is nothing to mask."""
    host = torch.tensor([text])

    def run():
        with torch.inference_mode():
            return model(host.to(device)).logits.float().cpu()

    return run


class Graph:
    """run, captured as a CUDA graph after it was warmed up. A graph knows its tensors by address alone: run, and with
    it all that it reads, is held as long as the graph, or their memory would go to others."""

    def __init__(self, run):
        self.run = run
        for _ in range(3):
            run()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.out = run()

    def __call__(self):
        self.graph.replay()
        return self.out


def graphed(run, device):
    return Graph(run) if device == "cuda" else run


# ---- The compiler ------------------------------------------------------------------------------------------


def compiled(function, device, mode="default"):
    return torch.compile(function, dynamic=False, mode=mode) if device == "cuda" else function


class Turn:
    """One process at a time of those that share the lock; a thread that has its turn may ask for it again."""

    def __init__(self, path):
        self.file, self.threads, self.depth = open(path), threading.RLock(), 0

    @contextlib.contextmanager
    def taken(self):
        with self.threads:
            if self.depth == 0:
                fcntl.flock(self.file, fcntl.LOCK_EX)
            self.depth += 1
            try:
                yield
            finally:
                self.depth -= 1
                if self.depth == 0:
                    fcntl.flock(self.file, fcntl.LOCK_UN)


def is_large_tile(description):
    """Whether a kernel of the compiler's, by its description, computes tiles of at least 64 x 64; others than its own
    tell nothing of tiles."""
    sizes = re.findall(r"\bBLOCK_[MN]=(\d+)", description)
    return all(int(size) >= 64 for size in sizes)


def tune_well():
    """Lets processes compile their kernels at the same time and time them in turn. Of the kernels tried for a product,
    small tiles are left out: PyTorch 2.11 has 105 for fp8, of which 19 are not small, and had not compiled them after
    64 s with 16 cores; they are there for few rows."""
    from torch._inductor.runtime.benchmarking import benchmarker
    from torch._inductor.select_algorithm import add_preprocessing_fn

    turn, measure = Turn(__file__), benchmarker.benchmark_gpu

    def measure_in_turn(*arguments, **options):
        with turn.taken():
            return measure(*arguments, **options)

    benchmarker.benchmark_gpu = measure_in_turn
    add_preprocessing_fn(lambda choices: [c for c in choices if is_large_tile(c.description)] or choices)


def graph_single(forward, text, device):
    """The same with one graph for the whole forward; forward takes ids[1, n] and returns logits."""
    host = torch.tensor([text])
    ids = host.to(device)
    if device == "cuda":
        host = host.pin_memory()
    with torch.inference_mode():
        replay = graphed(lambda: forward(ids), device)

    def run():
        with torch.inference_mode():
            ids.copy_(host, non_blocking=True)
            return replay().float().cpu()

    return run


# ---- Packed: no padding anywhere -----------------------------------------------------------------------


class Linear(torch.nn.Module):
    """A linear layer whose products run in kind. fp8 has one fixed scale a tensor, as calibrated by observe();
    int8 has one a row, found at run time, as libraries of dynamic quantization do."""

    def __init__(self, weight, bias, kind):
        super().__init__()
        self.kind = kind
        self.most, self.is_observing = 0.0, False
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        w = weight.float()
        if kind == "fp8":
            scale = w.abs().amax() / FP8_MOST
            self.register_buffer("narrow", (w / scale).to(torch.float8_e4m3fn))
            self.register_buffer("w_scale", scale.reshape(()))
        if kind == "i8":
            scale = w.abs().amax(1) / 127.0
            self.register_buffer("narrow", (w / scale[:, None]).round().to(torch.int8))
            self.register_buffer("w_scale", scale)

    def finish_observing(self):
        self.is_observing = False
        if self.kind == "fp8":
            # Tensors, not numbers: a number would be compiled into a kernel of its own for each layer.
            multiplier = FP8_MOST / max(self.most, 1e-6)
            self.register_buffer("x_multiplier", torch.tensor(multiplier, device=self.weight.device))
            self.register_buffer("x_scale", torch.tensor(1.0 / multiplier, device=self.weight.device))

    def forward(self, x):
        if self.is_observing:
            self.most = max(self.most, float(x.abs().amax()))
        if self.kind == "fp8" and not self.is_observing:
            narrow = (x * self.x_multiplier).clamp(-FP8_MOST, FP8_MOST).to(torch.float8_e4m3fn)
            return torch._scaled_mm(narrow, self.narrow.t(), scale_a=self.x_scale, scale_b=self.w_scale,
                                    bias=self.bias, out_dtype=x.dtype, use_fast_accum=True)
        if self.kind == "i8" and not self.is_observing:
            scale = (x.abs().amax(1, keepdim=True).float() / 127.0).clamp(min=1e-8)
            narrow = (x / scale).round().clamp(-127, 127).to(torch.int8)
            sums = torch._int_mm(narrow, self.narrow.t()).float()
            return (sums * scale * self.w_scale + self.bias.float()).to(x.dtype)
        return F.linear(x, self.weight, self.bias)


def attend_packed(q, k, v, cu, longest):
    """Texts end to end: PyTorch's own variable-length attention; on a CPU a mask does."""
    if q.is_cuda:
        return varlen_attn(q, k, v, cu, cu, longest, longest)
    text = torch.bucketize(torch.arange(q.shape[0]), cu[1:].long(), right=True)
    mask = text[:, None] == text[None, :]
    heads = [x.transpose(0, 1)[None] for x in (q, k, v)]
    return F.scaled_dot_product_attention(*heads, attn_mask=mask)[0].transpose(0, 1)


class Packed(torch.nn.Module):
    """DistilBERT over texts laid end to end, and over one text alone (cu None)."""

    def __init__(self, folder, device, kind):
        super().__init__()
        from safetensors.torch import load_file

        dtype = DTYPES.get(kind, torch.float16)
        tensors = {name: t.to(device, dtype) for name, t in load_file(f"{folder}/model.safetensors").items()}
        self.n_layers = 1 + max(int(name.split(".")[3]) for name in tensors if ".layer." in name)
        self.d_head = 64 if tensors["classifier.weight"].shape[1] % 64 == 0 else 32
        body = "distilbert.embeddings."
        self.register_buffer("words", tensors[body + "word_embeddings.weight"])
        self.register_buffer("places", tensors[body + "position_embeddings.weight"])
        self.norm = self.open_norm(tensors, body + "LayerNorm")
        self.layers = torch.nn.ModuleList()
        for i in range(self.n_layers):
            at = f"distilbert.transformer.layer.{i}."
            qkv = [torch.cat([tensors[f"{at}attention.{x}_lin.{what}"] for x in "qkv"]) for what in ("weight", "bias")]
            layer = torch.nn.ModuleDict({
                "qkv": Linear(*qkv, kind),
                "out": self.open_linear(tensors, at + "attention.out_lin", kind),
                "up": self.open_linear(tensors, at + "ffn.lin1", kind),
                "down": self.open_linear(tensors, at + "ffn.lin2", kind),
                "norm_attention": self.open_norm(tensors, at + "sa_layer_norm"),
                "norm_ffn": self.open_norm(tensors, at + "output_layer_norm")})
            self.layers.append(layer)
        self.pre = self.open_linear(tensors, "pre_classifier", "f16")
        self.classifier = self.open_linear(tensors, "classifier", "f16")

    @staticmethod
    def open_linear(tensors, name, kind):
        return Linear(tensors[name + ".weight"], tensors[name + ".bias"], kind)

    @staticmethod
    def open_norm(tensors, name):
        weight = tensors[name + ".weight"]
        norm = torch.nn.LayerNorm(weight.shape[0], 1e-12, device=weight.device, dtype=weight.dtype)
        norm.weight.data.copy_(weight)
        norm.bias.data.copy_(tensors[name + ".bias"])
        return norm.requires_grad_(False)

    def observe(self, run):
        """Finds the range of every layer's inputs while run() runs."""
        linears = [m for m in self.modules() if isinstance(m, Linear)]
        for linear in linears:
            linear.is_observing = True
        run()
        for linear in linears:
            linear.finish_observing()

    def encode(self, ids, places, cu, longest: int):
        """Each text's first row after the last layer."""
        d = self.words.shape[1]
        x = self.norm(self.words[ids] + self.places[places])
        for layer in self.layers:
            q, k, v = layer["qkv"](x).view(-1, 3, d // self.d_head, self.d_head).unbind(1)
            if cu is None:
                heads = [y.transpose(0, 1)[None] for y in (q, k, v)]
                context = F.scaled_dot_product_attention(*heads)[0].transpose(0, 1)
            else:
                context = attend_packed(q, k, v, cu, longest)
            x = layer["norm_attention"](x + layer["out"](context.reshape(-1, d)))
            x = layer["norm_ffn"](x + layer["down"](F.gelu(layer["up"](x))))
        return x[:1] if cu is None else x[cu[:-1].long()]

    def classify(self, first):
        return self.classifier(F.relu(self.pre(first)))

    def forward(self, ids, places, cu, longest: int):
        return self.classify(self.encode(ids, places, cu, longest))


def pack(texts, device):
    """ids[n_tokens], each token's place in its text, and where texts begin and end."""
    ids = torch.tensor(list(itertools.chain.from_iterable(texts)), device=device)
    places = torch.cat([torch.arange(len(t)) for t in texts]).to(device)
    ends = list(itertools.accumulate(len(t) for t in texts))
    return ids, places, torch.tensor([0] + ends, dtype=torch.int32, device=device)


def packed_pass(model, batches, device, mode):
    """A pass over batches of texts that have equally many tokens and texts, so that one graph runs all of them. mode
    is for the layers: the two products behind them are a thousandth of the work, and took half a minute to tune."""
    packed = [pack(texts, device) for texts in batches]
    longest = max(len(t) for texts in batches for t in texts)
    with torch.inference_mode():
        model.observe(lambda: model(*packed[0], longest))
        static = [x.clone() for x in packed[0]]
        encode, classify = compiled(model.encode, device, mode), compiled(model.classify, device)
        replay = graphed(lambda: classify(encode(*static, longest)), device)

    def run():
        rows = []
        with torch.inference_mode():
            for batch in packed:
                for to, source in zip(static, batch):
                    to.copy_(source)
                rows.append(replay().clone())
            return torch.cat(rows).float().cpu()

    return run


def packed_single(model, text, device):
    places = torch.arange(len(text), device=device)
    with torch.inference_mode():
        model.observe(lambda: model(torch.tensor(text, device=device), places, None, 0))
    forward = compiled(model, device)
    return graph_single(lambda ids: forward(ids[0], places, None, 0), text, device)


# ---- Bare products: the limit ---------------------------------------------------------------------------


def bare_pass(kind, n_rows, n_runs, device, d_model=768):
    """The products of six layers over n_rows rows, and nothing else, n_runs times. Each is launched by itself: the GPU
    has work for longer than a launch takes, and all others are measured by what is simplest."""
    shapes = [(d_model, 3 * d_model), (d_model, d_model), (d_model, 4 * d_model), (4 * d_model, d_model)]
    one = torch.tensor(1.0, device=device)

    def operands(k, n):
        x, w = torch.randn(n_rows, k, device=device), torch.randn(n, k, device=device)
        if kind == "fp8":
            return x.to(torch.float8_e4m3fn), w.to(torch.float8_e4m3fn).t()
        if kind == "i8":
            return (x * 40).clamp(-127, 127).to(torch.int8), (w * 40).clamp(-127, 127).to(torch.int8).t()
        return x.to(DTYPES[kind]), w.to(DTYPES[kind]).t()

    pairs = [operands(k, n) for k, n in shapes]

    def multiply(x, w):
        if kind == "fp8":
            return torch._scaled_mm(x, w, scale_a=one, scale_b=one, out_dtype=torch.float16, use_fast_accum=True)
        return torch._int_mm(x, w) if kind == "i8" else x @ w

    def run():
        with torch.inference_mode():
            for _ in range(6 * n_runs):
                for x, w in pairs:
                    multiply(x, w)
        synchronize(device)

    return run


# ---- Contenders ------------------------------------------------------------------------------------------


class TorchContender:
    """name: "f32", "f32-sdpa", "autocast-f16", "f16-compiled", "packed-fp8", "bare-f16", ... without its "torch-"."""

    def __init__(self, name, folder, device, work):
        self.name, self.folder, self.device, self.work = name, folder, device, work
        torch.manual_seed(0)
        self.model = None
        self.is_tuned = name.endswith("-tuned")
        if device == "cuda":
            torch.cuda.init()
            if self.is_tuned:
                tune_well()
        if not name.startswith("bare"):
            self.model = self.open_model()

    def open_model(self):
        if self.name.startswith("packed"):
            return Packed(self.folder, self.device, self.name.split("-")[1])
        precision = "f32" if self.name.startswith("autocast") else self.name.split("-")[0]
        is_eager = self.name in ("f32", "f16-eager") or self.name.startswith("autocast")
        attention = "eager" if is_eager else "sdpa"
        return hugging_face(self.folder, self.device, precision, attention)

    def prepare(self, task, mode):
        """A function that runs a pass, and the order in which its logits come: the texts' indices, or None."""
        made = self.open_pass(task, mode)
        if self.device == "cuda":
            torch.cuda.empty_cache()  # others need what trying kernels took
        return made

    def open_pass(self, task, mode):
        texts = self.work.texts(task, mode)
        if self.name.startswith("bare"):
            kind = self.name.split("-")[1]
            n_rows, n_runs = self.work.bare_rows(mode)
            return bare_pass(kind, n_rows, n_runs, self.device, self.work.d_model), None
        order = list(range(len(texts)))
        if mode.startswith("single"):
            return self.prepare_single(texts[0]), order
        if mode == "packed":
            mode = "max-autotune-no-cudagraphs" if self.is_tuned else "default"
            return packed_pass(self.model, self.work.batches(task), self.device, mode), order
        if mode == "padded":
            batches = padded_batches(texts, 16, self.work.longest, self.device)
        else:
            order.sort(key=lambda i: len(texts[i]))
            batches = padded_batches([texts[i] for i in order], 256, 0, self.device)
        model = self.model
        if "compiled" in self.name and self.device == "cuda":
            model = torch.compile(model, dynamic=True)
        autocast = self.name.split("-")[1] if self.name.startswith("autocast") else None
        return hugging_face_pass(model, batches, autocast), order

    def prepare_single(self, text):
        if self.name.startswith("packed"):
            return packed_single(self.model, text, self.device)
        if not self.name.endswith("-graph"):
            return hugging_face_single(self.model, text, self.device)
        forward = compiled(self.model, self.device)
        return graph_single(lambda ids: forward(ids).logits, text, self.device)
