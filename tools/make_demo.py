#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the small model in demo/model.

DistilBERT's architecture with four layers of 192, its own vocabulary of 6,000 pieces and SST-2
sentiment, distilled from a larger SST-2 classifier (a Hugging Face folder). It starts from the
teacher's word vectors, projected to 192 dimensions, and learns the teacher's soft answers on
SST-2's phrases, on unlabelled sentences of other GLUE tasks, and on phrases cut, joined and thinned
from SST-2's own.

    make_demo.py GLUE_DIR TEACHER_DIR OUT_DIR [--epochs 4] [--phrases 300000] [--limit N]

Needs torch, transformers, tokenizers and safetensors; the project itself never needs this script,
its result is committed. The seed is fixed, but another version of torch gives other weights.
"""
import argparse
import json
import math
import os
import random
import time

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer, Tokenizer
from transformers import (
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

VOCABULARY = 6000
WIDTH, LAYERS, HEADS, FFN = 192, 4, 3, 768
MAX_LENGTH = 256  # tokens, of the student
TEACHER_LENGTH = 128  # longer texts are cut for the teacher
BATCH = 128
LEARNING_RATE = 8e-4
WARM_UP = 0.06  # share of all steps
TEMPERATURE = 2.0  # of the distillation
HARD_WEIGHT = 0.3  # of the true labels beside the teacher's answers
NO_LABEL = -100


# ---- Texts ----


def read_rows(glue, name, n_headers=1):
    with open(os.path.join(glue, name), encoding="utf-8-sig") as file:
        lines = file.read().split("\n")
    return [line.split("\t") for line in lines if line][n_headers:]


def read_labelled(glue, name, limit):
    return [(row[0].strip(), int(row[1])) for row in read_rows(glue, name)][:limit]


def read_other(glue, limit):
    """Sentences of other tasks: without labels, but written by other people about other things."""
    texts = [row[3] for row in read_rows(glue, "CoLA/train.tsv", 0)]
    texts += [text for row in read_rows(glue, "MRPC/train.tsv") for text in row[3:5]]
    texts += [text for row in read_rows(glue, "MNLI/train_subset.tsv") for text in row[:2]]
    random.shuffle(texts)
    return [text for text in texts if 15 < len(text) < 200][:limit]


def vary(sentences):
    """A phrase made from one or two sentences: cut short, joined to another, or thinned."""
    words = random.choice(sentences).split()
    kind = random.random()
    if kind < 0.35:
        start = random.randrange(len(words))
        return " ".join(words[start : start + random.randint(2, 25)])
    if kind < 0.7:
        joint = random.choice([" , but ", " and ", " , ", " . ", " although ", " yet "])
        return " ".join(words) + joint + random.choice(sentences)
    return " ".join(
        word if random.random() > 0.12 else random.choice(random.choice(sentences).split())
        for word in words
    )


def make_phrases(texts, n_phrases):
    sentences = sorted({text for text in texts if len(text.split()) > 3})
    return [" ".join(vary(sentences).split()[:48]) for _ in range(n_phrases)]


def train_vocabulary(texts):
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(
        texts, vocab_size=VOCABULARY, min_frequency=2, limit_alphabet=120, show_progress=False
    )
    return tokenizer


# ---- Batches ----


def pad(ids):
    longest = max(map(len, ids))
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    return tokens, mask


def batches_by_length(ids, size):
    order = sorted(range(len(ids)), key=lambda text: len(ids[text]))
    return [order[i : i + size] for i in range(0, len(order), size)]


def shuffled_batches(ids):
    """Batches of similar lengths in random order, different in every epoch."""
    order = list(range(len(ids)))
    random.shuffle(order)
    batches = []
    for i in range(0, len(order), BATCH * 50):
        pool = sorted(order[i : i + BATCH * 50], key=lambda text: len(ids[text]))
        batches += [pool[j : j + BATCH] for j in range(0, len(pool), BATCH)]
    random.shuffle(batches)
    return batches


def all_logits(model, ids):
    result = torch.zeros(len(ids), 2)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for batch in batches_by_length(ids, 256):
            tokens, mask = pad([ids[text] for text in batch])
            result[batch] = model(tokens, attention_mask=mask).logits.float()
    return result


# ---- Models ----


def load_teacher(folder):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TEACHER_LENGTH)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="sdpa")
    return tokenizer, model.eval()


def make_student(vocabulary_size):
    config = DistilBertConfig(
        vocab_size=vocabulary_size,
        dim=WIDTH,
        n_layers=LAYERS,
        n_heads=HEADS,
        hidden_dim=FFN,
        max_position_embeddings=MAX_LENGTH,
        num_labels=2,
        dropout=0.1,
        attention_dropout=0.1,
        seq_classif_dropout=0.2,
        pad_token_id=0,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    )
    config._attn_implementation = "sdpa"
    return config, DistilBertForSequenceClassification(config)


def project_embeddings(student, vocabulary, teacher, tokenizer):
    """Starts the student's word vectors as the principal components of the teacher's."""
    table = teacher.distilbert.embeddings.word_embeddings.weight.detach()
    vectors = []
    for piece in vocabulary:
        text = piece[2:] if piece.startswith("##") else piece
        ids = tokenizer.encode(text, add_special_tokens=False).ids or [tokenizer.token_to_id("[UNK]")]
        vectors.append(table[ids].mean(0))
    vectors = torch.stack(vectors)
    vectors -= vectors.mean(0)
    directions = torch.linalg.svd(vectors, full_matrices=False)[2][:WIDTH]
    projected = vectors @ directions.T
    student.distilbert.embeddings.word_embeddings.weight.data = projected / projected.std() * 0.05


# ---- Training ----


def loss_of(logits, soft, hard):
    loss = TEMPERATURE**2 * F.kl_div(
        F.log_softmax(logits / TEMPERATURE, -1),
        F.softmax(soft / TEMPERATURE, -1),
        reduction="batchmean",
    )
    if (hard >= 0).any():
        loss = loss + HARD_WEIGHT * F.cross_entropy(logits, hard, ignore_index=NO_LABEL)
    return loss


def rate_at(step, n_steps):
    warm_up = min(1.0, step / (WARM_UP * n_steps))
    return LEARNING_RATE * warm_up * 0.5 * (1 + math.cos(math.pi * min(1.0, step / n_steps)))


def train(student, ids, soft, hard, n_epochs, after_epoch):
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    n_steps = n_epochs * math.ceil(len(ids) / BATCH)
    step = 0
    for epoch in range(n_epochs):
        student.train()
        total = 0.0
        batches = shuffled_batches(ids)
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, n_steps)
            tokens, mask = pad([ids[text] for text in batch])
            with torch.autocast("cpu", torch.bfloat16):
                logits = student(tokens, attention_mask=mask).logits.float()
            loss = loss_of(logits, soft[batch], hard[batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.item()
            step += 1
        student.eval()
        after_epoch(epoch, total / len(batches))


# ---- The folder ----


def save(folder, config, student, tokenizer, vocabulary):
    os.makedirs(folder, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in student.state_dict().items()}
    save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})

    fields = config.to_dict()
    fields["architectures"] = ["DistilBertForSequenceClassification"]
    fields["torch_dtype"] = "float16"
    kept = (
        "activation architectures attention_dropout dim dropout hidden_dim id2label "
        "initializer_range label2id max_position_embeddings model_type n_heads n_layers "
        "pad_token_id qa_dropout seq_classif_dropout sinusoidal_pos_embds tie_weights_ "
        "torch_dtype vocab_size"
    ).split()
    write_json(folder, "config.json", {name: fields[name] for name in kept if name in fields})
    write_json(
        folder,
        "tokenizer_config.json",
        {
            "do_lower_case": True,
            "model_max_length": MAX_LENGTH,
            "tokenizer_class": "DistilBertTokenizer",
            "unk_token": "[UNK]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "mask_token": "[MASK]",
            "strip_accents": None,
            "tokenize_chinese_chars": True,
        },
    )
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(vocabulary) + "\n")
    tokenizer.no_truncation()
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("glue", help="folder with SST-2, CoLA, MRPC and MNLI")
    parser.add_argument("teacher", help="Hugging Face folder of an SST-2 classifier")
    parser.add_argument("out", help="where the model goes")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--phrases", type=int, default=300000, help="made from SST-2's sentences")
    parser.add_argument("--limit", type=int, default=None, help="texts of each kind, to try it out")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    torch.manual_seed(0)
    random.seed(0)
    start = time.time()

    labelled = read_labelled(arguments.glue, "SST-2/train.tsv", arguments.limit)
    dev = read_labelled(arguments.glue, "SST-2/dev.tsv", None)
    other = read_other(arguments.glue, arguments.limit)
    tokenizer = train_vocabulary([text for text, _ in labelled] + other)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    tokenizer.enable_truncation(MAX_LENGTH)

    texts = [text for text, _ in labelled] + other[:30000]
    texts += make_phrases([text for text, _ in labelled], arguments.phrases)
    teacher_tokenizer, teacher = load_teacher(arguments.teacher)
    soft = all_logits(teacher, [e.ids for e in teacher_tokenizer.encode_batch(texts)])
    print(f"{len(texts)} texts answered by the teacher, {time.time() - start:.0f} s", flush=True)

    config, student = make_student(len(vocabulary))
    project_embeddings(student, vocabulary, teacher, teacher_tokenizer)
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    hard = torch.full((len(texts),), NO_LABEL)
    hard[: len(labelled)] = torch.tensor([label for _, label in labelled])
    dev_ids = [e.ids for e in tokenizer.encode_batch([text for text, _ in dev])]
    dev_labels = torch.tensor([label for _, label in dev])

    def after_epoch(epoch, loss):
        accuracy = (all_logits(student, dev_ids).argmax(-1) == dev_labels).float().mean()
        print(f"epoch {epoch}: loss {loss:.4f}, dev {accuracy:.4f}, {time.time() - start:.0f} s",
              flush=True)

    train(student, ids, soft, hard, arguments.epochs, after_epoch)
    save(arguments.out, config, student, tokenizer, vocabulary)


if __name__ == "__main__":
    main()
