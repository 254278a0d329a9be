# SPDX-License-Identifier: Apache-2.0
"""wattbert as a contender of bench/peers_gpu.py, through its public C interface and the standard library alone."""
import ctypes
import os
import random


class Text(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("n_bytes", ctypes.c_size_t), ("pair", ctypes.c_char_p),
                ("pair_bytes", ctypes.c_size_t)]


class Options(ctypes.Structure):
    # The end leaves room for fields of later versions, which wb_default_options() fills.
    _fields_ = [("technique", ctypes.c_char_p), ("n_threads", ctypes.c_int), ("batch_size", ctypes.c_int),
                ("padded_length", ctypes.c_int), ("token_budget", ctypes.c_int), ("sort_batches", ctypes.c_int),
                ("calibration", ctypes.c_void_p), ("device", ctypes.c_char_p), ("scales", ctypes.c_char_p),
                ("later", ctypes.c_char * 256)]


class QuantizeOptions(ctypes.Structure):
    _fields_ = [("n_threads", ctypes.c_int), ("max_error", ctypes.c_double), ("later", ctypes.c_char * 256)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("offset", ctypes.c_uint64), ("message", ctypes.c_char * 512)]


class Library:
    def __init__(self, path):
        self.wb = ctypes.CDLL(os.path.abspath(path))
        self.wb.wb_default_options.restype = Options
        self.wb.wb_inputs_tokens.restype = ctypes.c_uint64
        self.error = Error()

    def call(self, function, *arguments):
        if getattr(self.wb, function)(*arguments, ctypes.byref(self.error)):
            raise RuntimeError(self.error.message.decode(errors="replace"))

    def open_model(self, folder):
        model = ctypes.c_void_p()
        self.call("wb_model_open", ctypes.byref(model), folder.encode())
        return model

    def inputs(self, model, strings):
        inputs, texts = ctypes.c_void_p(), to_texts(strings)
        self.call("wb_inputs_open", ctypes.byref(inputs), model, texts, len(texts), 0)
        return inputs


def to_texts(strings):
    encoded = [s.encode() for s in strings]
    return (Text * len(encoded))(*[Text(s, len(s), None, 0) for s in encoded])


def make_scales(library, folder, work):
    """folder/scales.json: what fp8 and i8-static need, from other texts than those that are measured. Logits of random
    weights barely differ from text to text, so that any error is large beside their spread: no matrix may fall back
    to a dearer precision for that, as none does on trained checkpoints (nor in PyTorch's contenders)."""
    rng = random.Random("scales")
    lib = Library(library)
    lib.wb.wb_default_quantize_options.restype = QuantizeOptions
    options = lib.wb.wb_default_quantize_options()
    options.max_error = 1000.0
    model = lib.open_model(folder)
    texts = lib.inputs(model, [work.string(work.text(24, rng)) for _ in range(24)])
    lib.call("wb_quantize", model, texts, ctypes.byref(options), f"{folder}/scales.new".encode(), None)
    os.replace(f"{folder}/scales.new", f"{folder}/scales.json")


class WattbertContender:
    def __init__(self, technique, arguments, work):
        self.work = work
        self.lib = Library(arguments.library)
        self.model = self.lib.open_model(arguments.folder)
        self.options = self.lib.wb.wb_default_options()
        self.options.technique = technique.encode()
        self.options.device = arguments.device.encode()
        self.options.n_threads = arguments.threads
        if technique.startswith(("fp8+", "fp8", "i8-static")) and "dynamic" not in technique:
            self.options.scales = (arguments.scales or "").encode()
        self.engine = None

    def prepare(self, task, mode):
        texts = self.work.texts(task, mode)
        strings = [self.work.string(t) for t in texts]
        if not self.engine:
            self.engine = ctypes.c_void_p()
            self.lib.call("wb_engine_open", ctypes.byref(self.engine), self.model, ctypes.byref(self.options))
        logits = (ctypes.c_float * (2 * len(texts)))()
        if mode == "texts":
            prepared = to_texts(strings)

            def run():
                self.lib.call("wb_classify", self.engine, prepared, len(prepared), logits)
                return logits
        else:
            inputs = self.lib.inputs(self.model, strings)
            if self.lib.wb.wb_inputs_tokens(inputs) != sum(map(len, texts)):
                raise RuntimeError("the texts have other tokens than the peers' ids")

            def run():
                self.lib.call("wb_forward", self.engine, inputs, logits, None)
                return logits

        return run, list(range(len(texts)))
