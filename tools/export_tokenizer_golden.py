#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the expected results of tests/golden/tokenizer with the real `tokenizers` and `transformers` packages.

usage: export_tokenizer_golden.py [torture] [codepoints] [glue]     all three where none is named
  torture     fills in "ids" of every case of torture.jsonl; write new cases without it
  codepoints  codepoints.tsv: digests of every code point in several contexts, under every set of options
  glue        glue.tsv: digests of the ids of every text of the shared data folder
The shared data folder is WATTBERT_SHARED or ../shared beside the checkout; codepoints and glue need it for its
vocabulary of 30,522 pieces."""
import base64
import itertools
import json
import os
import shutil
import sys
import tempfile
import zlib

import numpy as np
import tokenizers
import transformers
from tokenizers import BertWordPieceTokenizer, Tokenizer, normalizers, pre_tokenizers

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
GOLDEN = os.path.join(SOURCE, "tests", "golden", "tokenizer")
DEMO = os.path.join(SOURCE, "demo", "model")
SHARED = os.environ.get("WATTBERT_SHARED", os.path.join(SOURCE, "..", "shared"))
HEAD = f"# Made by tools/export_tokenizer_golden.py from tokenizers {tokenizers.__version__}: do not edit.\n"


def shared_vocab():
    return BertWordPieceTokenizer(os.path.join(SHARED, "models", "parts", "vocab.txt"))


def crc_of_ids(ids, crc=0):
    return zlib.crc32(np.asarray(ids, dtype="<i4").tobytes(), crc)


# ---- torture ----


def make_variant(variant, folder):
    """A model folder as the test makes it: the demo's vocabulary under other settings."""
    demo = json.load(open(f"{DEMO}/tokenizer.json", encoding="utf-8"))
    pieces = variant.get("vocab")
    if pieces:
        demo["model"]["vocab"] = {piece: i for i, piece in enumerate(pieces)}
        with open(f"{folder}/vocab.txt", "w", encoding="utf-8", newline="") as out:
            out.write("".join(piece + "\n" for piece in pieces))
    else:
        shutil.copy(f"{DEMO}/vocab.txt", folder)
    if "tokenizer" in variant:
        full = {**demo, **variant["tokenizer"]}
        full["model"] = {**demo["model"], **variant["tokenizer"].get("model", {})}
        json.dump(full, open(f"{folder}/tokenizer.json", "w", encoding="utf-8"), ensure_ascii=False)
    if "config" in variant:
        json.dump(variant["config"], open(f"{folder}/tokenizer_config.json", "w", encoding="utf-8"))
    shutil.copy(f"{DEMO}/config.json", folder)


def load_variant(variant):
    """Whole folders through transformers; a tokenizer.json alone through tokenizers."""
    with tempfile.TemporaryDirectory() as folder:
        make_variant(variant, folder)
        if "config" not in variant and "tokenizer" in variant:
            tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        elif "config" not in variant:
            tokenizer = BertWordPieceTokenizer(f"{folder}/vocab.txt")._tokenizer
        else:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder).backend_tokenizer
    tokenizer.no_padding()
    return tokenizer


def text_of(case, key):
    if key + "_base64" in case:
        return base64.b64decode(case[key + "_base64"]).decode("utf-8", errors="replace")
    return case.get(key)


def export_torture():
    path = f"{GOLDEN}/torture.jsonl"
    lines, variants, vocabs = [], {}, {}
    for line in open(path, encoding="utf-8"):
        case = json.loads(line)
        if "variant" in case and "text" not in case and "text_base64" not in case:
            vocabs[case["variant"]] = case.get("vocab") or vocabs.get(case.get("vocab_from"))
            variants[case["variant"]] = load_variant({**case, "vocab": vocabs[case["variant"]]})
        else:
            tokenizer = variants[case["variant"]]
            tokenizer.enable_truncation(case.get("max_length", 512))
            case["ids"] = tokenizer.encode(text_of(case, "text"), text_of(case, "pair")).ids
        lines.append(json.dumps(case, ensure_ascii=True))
    with open(path, "w", encoding="ascii") as out:
        out.write("\n".join(lines) + "\n")
    print(f"{path}: {len(lines) - len(variants)} cases, {len(variants)} variants")


# ---- code points ----

GROUP = 1024


def contexts(code):
    """Alone, inside a word, after and before a letter, between marks that stay and must be put in order. Less in
    the planes that hold nothing but ideographs, private use and nothing."""
    c = chr(code)
    if code >= 0x20000 and code >> 16 != 14:
        return f"{c} a{c}b\n"
    return f"{c} a{c}b a{c} {c}a a\U0001d165{c}\u302eb\n"


def export_codepoints():
    splitter, ids_of = pre_tokenizers.BertPreTokenizer(), shared_vocab()
    all_options = [dict(zip(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), flags))
                   for flags in itertools.product((True, False), repeat=4)]
    for options in all_options:  # null means what lowercase says
        by_null = normalizers.BertNormalizer(**{**options, "strip_accents": None}).normalize_str("\u00c9")
        assert by_null == normalizers.BertNormalizer(**{**options, "strip_accents": options["lowercase"]}).normalize_str("\u00c9")
    bert = [normalizers.BertNormalizer(**o) for o in all_options]
    with open(f"{GOLDEN}/codepoints.tsv", "w", encoding="ascii") as out:
        out.write(HEAD + "# first code point of 1024, CRC-32 of the normalized text under 16 sets of options, of the words, of the ids\n")
        for first in range(0, 0x110000, GROUP):
            text = "".join(contexts(c) for c in range(first, first + GROUP) if not 0xD800 <= c < 0xE000)
            crc_text = crc_words = 0
            for normalizer in bert:
                normal = normalizer.normalize_str(text)
                crc_text = zlib.crc32(normal.encode(), crc_text)
                for word, _ in splitter.pre_tokenize_str(normal):
                    crc_words = zlib.crc32(word.encode() + b"\n", crc_words)
            out.write(f"{first:x}\t{crc_text:08x}\t{crc_words:08x}\t{crc_of_ids(ids_of.encode(text).ids):08x}\n")
    print(f"{GOLDEN}/codepoints.tsv")


# ---- GLUE ----

# file, columns of its texts, lines of header
FILES = [
    ("CoLA/dev.tsv", (3,), 0), ("CoLA/train.tsv", (3,), 0),
    ("MNLI/dev_matched.tsv", (0, 1), 1), ("MNLI/dev_mismatched.tsv", (0, 1), 1), ("MNLI/train_subset.tsv", (0, 1), 1),
    ("MRPC/dev.tsv", (3, 4), 1), ("MRPC/train.tsv", (3, 4), 1), ("QNLI/train_subset.tsv", (0, 1), 1),
    ("QQP/dev.tsv", (0, 1), 1), ("QQP/train_subset.tsv", (0, 1), 1), ("RTE/train.tsv", (1, 2), 1),
    ("SNLI/dev.tsv", (0, 1), 1), ("SNLI/train_subset.tsv", (0, 1), 1), ("SST-2/dev.tsv", (0,), 1),
    ("SST-2/train.tsv", (0,), 1), ("STS-B/train.tsv", (7, 8), 1), ("WNLI/dev.tsv", (1, 2), 1), ("WNLI/train.tsv", (1, 2), 1),
]
STEP = 1000


def export_glue():
    tokenizer = shared_vocab()
    n_texts = 0
    with open(f"{GOLDEN}/glue.tsv", "w", encoding="ascii") as out:
        out.write(HEAD + "# file, lines of header, columns (two: a pair), max_length; then every 1000 texts: texts, ids, CRC-32 so far\n")
        for name, columns, n_header in FILES:
            lines = open(os.path.join(SHARED, "glue", name), encoding="utf-8", newline="\n").read().split("\n")[n_header:]
            rows = [line.split("\t") for line in lines if line]
            modes = [((c,), 512) for c in columns] + ([(columns, 512), (columns, 32), (columns, 33)] if len(columns) > 1 else [((columns[0],), 12)])
            for used, max_length in modes:
                tokenizer.enable_truncation(max_length)
                texts = [tuple(row[c] for c in used) if len(used) > 1 else row[used[0]] for row in rows]
                n_texts += len(texts) * (len(used) == 1 and max_length == 512)
                out.write(f"{name}\t{n_header}\t{','.join(map(str, used))}\t{max_length}\n")
                n_ids = crc = 0
                for first in range(0, len(texts), STEP):
                    for encoding in tokenizer.encode_batch(texts[first:first + STEP]):
                        n_ids += len(encoding.ids)
                        crc = crc_of_ids(encoding.ids, crc)
                    out.write(f"{min(first + STEP, len(texts))}\t{n_ids}\t{crc:08x}\n")
    print(f"{GOLDEN}/glue.tsv: {n_texts} texts")


if __name__ == "__main__":
    parts = {"torture": export_torture, "codepoints": export_codepoints, "glue": export_glue}
    for part in sys.argv[1:] or parts:
        parts[part]()
