# SPDX-License-Identifier: Apache-2.0
"""Write the golden activations that tests/golden/test_layers.c compares with: token ids, the
embeddings' output, every layer's output and the logits of a few texts, by transformers in f32.

    python3 tools/export_golden.py demo/model tests/golden/demo.golden      (needs torch, transformers)

Format, all little-endian: the line "wattbert golden 1", one line of versions, then int32 n_texts,
n_layers, d_model, n_labels, and for each text: int32 n_bytes, its UTF-8 bytes, int32 n_ids,
int32 ids[n_ids], float32 flows[1 + n_layers][n_ids][d_model], float32 logits[n_labels]."""
import struct
import sys

import numpy as np
import tokenizers
import torch
import transformers

TEXTS = [
    "a charming journey",
    "",
    "not good, not bad",
    "What a waste of time!",
    "I loved it.",
    "Naïve café ☕ déjà vu",
    "the dullest film of the year",
    "funny",
    "3.5 stars out of 5",
    "他们 loved it",
    "unbelievably antidisestablishmentarian",
    "it is slow, long and wonderful",
]


def main(model_dir, out_path):
    torch.set_num_threads(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    config = model.config
    with open(out_path, "wb") as out:
        out.write(b"wattbert golden 1\n")
        out.write(f"transformers {transformers.__version__} torch {torch.__version__} "
                  f"tokenizers {tokenizers.__version__}\n".encode())
        out.write(struct.pack("<4i", len(TEXTS), config.n_layers, config.dim, config.num_labels))
        for text in TEXTS:
            ids = tokenizer(text)["input_ids"]
            with torch.inference_mode():
                result = model(torch.tensor([ids]), output_hidden_states=True)
            flows = np.stack([x[0].numpy() for x in result.hidden_states])
            assert flows.shape == (1 + config.n_layers, len(ids), config.dim)
            raw = text.encode()
            out.write(struct.pack("<i", len(raw)) + raw)
            out.write(struct.pack(f"<{1 + len(ids)}i", len(ids), *ids))
            out.write(flows.astype("<f4").tobytes())
            out.write(result.logits[0].numpy().astype("<f4").tobytes())
            print(f"{len(ids):3d} ids, logits {result.logits[0].tolist()}  {text!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
