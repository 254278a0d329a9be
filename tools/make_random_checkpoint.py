# SPDX-License-Identifier: Apache-2.0
"""Write a DistilBERT classifier with random weights as a Hugging Face folder: DistilBERT's real size
unless told otherwise, for measuring speed and energy where the answers do not matter. Weights are
drawn as transformers initialises them (normal with 0.02, biases 0, norms 1 and 0); the vocabulary
has BERT's special tokens at their places, single characters, and syllables joined to words.

    python3 tools/make_random_checkpoint.py OUT_DIR [--dim 768] [--layers 6] [--heads 12] [--hidden 3072]
        [--vocab 30522] [--positions 512] [--labels 2] [--activation gelu] [--dtype f32] [--seed 0]

Needs numpy."""
import argparse
import json
import os
import random
import string
import struct

import numpy as np


def read_arguments():
    parser = argparse.ArgumentParser(description="a DistilBERT classifier with random weights")
    parser.add_argument("out_dir")
    for name, default in (("dim", 768), ("layers", 6), ("heads", 12), ("hidden", 3072),
                          ("vocab", 30522), ("positions", 512), ("labels", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--activation", default="gelu", choices=["gelu", "relu", "silu"])
    parser.add_argument("--dtype", default="f32", choices=["f32", "f16", "bf16"])
    return parser.parse_args()


def make_vocabulary(n, seed):
    """BERT's places for the special tokens where there is room for the unused ones before them."""
    unused = 99 if n > 1000 else 0
    pieces = ["[PAD]"] + [f"[unused{i}]" for i in range(unused)]
    pieces += ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = string.punctuation + string.digits + string.ascii_lowercase
    pieces += list(characters) + ["##" + c for c in string.digits + string.ascii_lowercase]
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in "aeiou"]
    known, draw = set(pieces), random.Random(seed)
    while len(pieces) < n:
        word = "".join(draw.choice(syllables) for _ in range(draw.randint(1, 4)))
        if draw.random() < 0.2:
            word = "##" + word
        if word not in known:
            known.add(word)
            pieces.append(word)
    return pieces[:n]


def list_tensors(a):
    """(name, shape, kind) of every tensor; kind: normal, zero or one."""
    def pair(name, rows, columns):
        return [(f"{name}.weight", (rows, columns), "normal"), (f"{name}.bias", (rows,), "zero")]

    def norm(name):
        return [(f"{name}.weight", (a.dim,), "one"), (f"{name}.bias", (a.dim,), "zero")]

    embeddings = "distilbert.embeddings."
    tensors = [(embeddings + "word_embeddings.weight", (a.vocab, a.dim), "normal"),
               (embeddings + "position_embeddings.weight", (a.positions, a.dim), "normal")]
    tensors += norm(embeddings + "LayerNorm")
    for layer in range(a.layers):
        prefix = f"distilbert.transformer.layer.{layer}."
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            tensors += pair(prefix + "attention." + part, a.dim, a.dim)
        tensors += norm(prefix + "sa_layer_norm")
        tensors += pair(prefix + "ffn.lin1", a.hidden, a.dim)
        tensors += pair(prefix + "ffn.lin2", a.dim, a.hidden)
        tensors += norm(prefix + "output_layer_norm")
    return tensors + pair("pre_classifier", a.dim, a.dim) + pair("classifier", a.labels, a.dim)


def encode(values, dtype):
    if dtype == "f16":
        return values.astype("<f2").tobytes()
    if dtype == "bf16":
        bits = values.astype("<f4").view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype("<f4").tobytes()


def write_safetensors(path, a):
    draw = np.random.default_rng(a.seed)
    width, at, header = (4 if a.dtype == "f32" else 2), 0, {"__metadata__": {"format": "pt"}}
    tensors = list_tensors(a)
    for name, shape, _ in tensors:
        size = int(np.prod(shape)) * width
        header[name] = {"dtype": a.dtype.upper(), "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, shape, kind in tensors:
            if kind == "normal":
                values = draw.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            else:
                values = np.full(shape, 1.0 if kind == "one" else 0.0, dtype=np.float32)
            out.write(encode(values, a.dtype))


def main():
    a = read_arguments()
    os.makedirs(a.out_dir, exist_ok=True)
    config = {"architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert",
              "activation": a.activation, "dim": a.dim, "hidden_dim": a.hidden, "n_heads": a.heads,
              "n_layers": a.layers, "vocab_size": a.vocab, "max_position_embeddings": a.positions,
              "sinusoidal_pos_embds": False, "pad_token_id": 0,
              "id2label": {str(i): f"LABEL_{i}" for i in range(a.labels)},
              "label2id": {f"LABEL_{i}": i for i in range(a.labels)}}
    with open(os.path.join(a.out_dir, "config.json"), "w") as out:
        json.dump(config, out, indent=2)
    with open(os.path.join(a.out_dir, "tokenizer_config.json"), "w") as out:
        json.dump({"do_lower_case": True, "model_max_length": a.positions}, out)
    with open(os.path.join(a.out_dir, "vocab.txt"), "w") as out:
        out.write("\n".join(make_vocabulary(a.vocab, a.seed)) + "\n")
    write_safetensors(os.path.join(a.out_dir, "model.safetensors"), a)


if __name__ == "__main__":
    main()
