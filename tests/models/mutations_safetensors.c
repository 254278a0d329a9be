// SPDX-License-Identifier: Apache-2.0
// model.safetensors, broken: lengths and offsets that lie, tensors that overlap or leave holes,
// headers that are no header; and sound files with the wrong tensors.
#include <stdio.h>
#include <string.h>

#include "mutations.h"

// ---- The header -----------------------------------------------------------------

// find becomes put in the header, whose length is set right again.
static void edit_header(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    replace_text(file, 8, m->find, m->put);
    set_u64(file, 0, get_u64(file, 0) + strlen(m->put) - strlen(m->find));
}

static void set_length(folder *f, const mutation *m, int variant) {
    (void)variant;
    set_u64(folder_weights(f), 0, (uint64_t)m->number);
}

static void change_length(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    set_u64(file, 0, get_u64(file, 0) + (uint64_t)m->number);
}

// The whole header is put, number times.
static void set_header(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes header = {0};
    for (long long i = 0; i == 0 || i < m->number; i++) put_text(&header, m->put);
    bytes *file = folder_weights(f);
    replace_bytes(file, 8, get_u64(file, 0), header.data, header.n);
    set_u64(file, 0, header.n);
    clear_bytes(&header);
}

// A header that names 100,000 tensors of no bytes.
static void many_tensors(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes header = {0};
    for (long long i = 0; i < m->number; i++)
        put_format(&header, "%s\"%llx\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
                   i ? "," : "{", i);
    put_text(&header, "}");
    bytes *file = folder_weights(f);
    file->n = 0;
    put_u64(file, header.n);
    put(file, header.data, header.n);
    clear_bytes(&header);
}

#define HEADER(name, find, put, expect) \
    { name, SAFETENSORS, edit_header, NULL, find, put, expect, 0, 0 }
#define LENGTH(name, number, expect) \
    { name, SAFETENSORS, set_length, NULL, NULL, NULL, expect, number, 0 }
#define WHOLE(name, put, number, expect) \
    { name, SAFETENSORS, set_header, NULL, NULL, put, expect, number, 0 }

// The first tensor of the file: word embeddings [24, 8], bytes [0, 768).
#define FIRST "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[0,768]"

const mutation safetensors_mutations[] = {
    {"weights cut", SAFETENSORS, cut_file, "model.safetensors", NULL, NULL, NULL, 0, 16},
    {"weights of 0 bytes", SAFETENSORS, cut_at, "model.safetensors", NULL, NULL, "shorter", 0, 0},
    {"weights of 7 bytes", SAFETENSORS, cut_at, "model.safetensors", NULL, NULL, "shorter", 7, 0},
    {"weights of 8 bytes", SAFETENSORS, cut_at, "model.safetensors", NULL, NULL, "states a header",
     8, 0},
    {"weights of 9 bytes", SAFETENSORS, cut_at, "model.safetensors", NULL, NULL, "states a header",
     9, 0},
    {"weights less a byte", SAFETENSORS, cut_at, "model.safetensors", NULL, NULL,
     "outside the file", -1, 0},
    {"weights and a byte", SAFETENSORS, append_text, "model.safetensors", NULL, "x",
     "its tensors end at byte", 0, 0},
    {"weights are a pointer", SAFETENSORS, set_text, "model.safetensors", NULL,
     "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 267832558\n", "Git LFS", 0,
     0},
    {"weights are HTML", SAFETENSORS, set_text, "model.safetensors", NULL,
     "<!DOCTYPE html><html>Not Found</html>", "states a header", 0, 0},
    LENGTH("header of 0 bytes", 0, "expected an object"),
    LENGTH("header of 1 byte", 1, "malformed JSON"),
    LENGTH("header of 2^63 bytes", INT64_MIN, "states a header"),
    LENGTH("header of 2^64 - 1 bytes", -1, "states a header"),
    LENGTH("header of 2^64 - 8 bytes", -8, "states a header"),
    LENGTH("header of 100 MB", 100000000, "states a header"),
    LENGTH("header above the limit", 100000001, "states a header"),
    {"header one byte short", SAFETENSORS, change_length, NULL, NULL, NULL, "malformed JSON", -8,
     0},
    {"header into the data", SAFETENSORS, change_length, NULL, NULL, NULL, NULL, 8, 0},
    WHOLE("header a list", "[]", 0, "expected an object"),
    WHOLE("header of no tensor", "{}", 0, "end at byte 10"),
    WHOLE("header of spaces", "        ", 0, "expected an object"),
    WHOLE("a megabyte of [", "[", 1 << 20, "expected an object"),
    WHOLE("a megabyte of {", "{", 1 << 20, "expected a text"),
    WHOLE("endless nesting", "{\"a\":", 1 << 18, "64 levels"),
    WHOLE("a megabyte of braces", "{\"a\":{},", 1 << 17, "tensor a lacks"),
    HEADER("deep metadata", "\"pt\"", "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "must map texts"),
    HEADER("deep unknown key", FIRST,
           FIRST ",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
           "64 levels"),
    HEADER("metadata a number", "\"pt\"", "1", "must map texts"),
    HEADER("metadata twice", "\"__metadata__\":{", "\"__metadata__\":{},\"__metadata__\":{",
           "occurs twice"),
    HEADER("dtype unknown", FIRST, "\"dtype\":\"F33\",\"shape\":[24,8],\"data_offsets\":[0,768]",
           "unknown dtype \"F33\""),
    HEADER("dtype a number", FIRST, "\"dtype\":4,\"shape\":[24,8],\"data_offsets\":[0,768]",
           "expected a text"),
    HEADER("dtype lies", FIRST, "\"dtype\":\"F16\",\"shape\":[24,8],\"data_offsets\":[0,768]",
           "needs 384 bytes by its shape, its data_offsets hold 768"),
    HEADER("dtype missing", FIRST, "\"shape\":[24,8],\"data_offsets\":[0,768]", "lacks"),
    HEADER("dtype twice", FIRST, "\"dtype\":\"F32\"," FIRST, "two dtypes"),
    HEADER("shape missing", FIRST, "\"dtype\":\"F32\",\"data_offsets\":[0,768]", "lacks"),
    HEADER("shape twice", FIRST, "\"shape\":[24,8]," FIRST, "two shapes"),
    HEADER("shape a number", FIRST, "\"dtype\":\"F32\",\"shape\":192,\"data_offsets\":[0,768]",
           "expected an array"),
    HEADER("shape negative", FIRST, "\"dtype\":\"F32\",\"shape\":[-24,-8],\"data_offsets\":[0,768]",
           "negative"),
    HEADER("shape fractional", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24.0,8],\"data_offsets\":[0,768]",
           "expected a whole number"),
    HEADER("shape lies", FIRST, "\"dtype\":\"F32\",\"shape\":[25,8],\"data_offsets\":[0,768]",
           "needs 800 bytes"),
    HEADER("shape overflows to 0", FIRST,
           "\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,768]",
           "beyond all memory"),
    HEADER("shape overflows to 768", FIRST,
           "\"dtype\":\"F32\",\"shape\":[4611686018427388096,1],\"data_offsets\":[0,768]",
           "beyond all memory"),
    HEADER("shape above 64 bits", FIRST,
           "\"dtype\":\"F32\",\"shape\":[18446744073709551640,8],\"data_offsets\":[0,768]",
           "more than 64 bits"),
    HEADER("shape of nine dimensions", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24,8,1,1,1,1,1,1,1],\"data_offsets\":[0,768]", "too many"),
    HEADER("offsets missing", FIRST, "\"dtype\":\"F32\",\"shape\":[24,8]", "lacks"),
    HEADER("one offset", FIRST, "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[768]",
           "needs two data_offsets"),
    HEADER("three offsets", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[0,768,768]", "too many"),
    HEADER("offsets backwards", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[768,0]", "outside the file"),
    HEADER("offsets negative", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[-768,0]", "negative"),
    HEADER("offsets beyond", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[9223372036854775000,"
           "9223372036854775768]",
           "outside the file"),
    HEADER("offsets overlap", "\"data_offsets\":[768,1280]", "\"data_offsets\":[764,1276]",
           "overlaps"),
    HEADER("offsets leave a hole", FIRST,
           "\"dtype\":\"F32\",\"shape\":[23,8],\"data_offsets\":[0,736]", "unused bytes"),
    HEADER("offsets of text", FIRST,
           "\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[\"0\",\"768\"]", "whole number"),
    HEADER("entry a list", "{" FIRST "}", "[\"F32\",[24,8],[0,768]]", "expected an object"),
    HEADER("entry null", "{" FIRST "}", "null", "expected an object"),
    HEADER("name with a 0 byte", "pre_classifier.bias", "pre_classifier.bias\\u0000", "\\u0000"),
    HEADER("name is not UTF-8", "pre_classifier.bias", "pre_classifier.bias\xff", "not UTF-8"),
    HEADER("name twice", "pre_classifier.bias", "distilbert.embeddings.LayerNorm.bias",
           "occurs twice"),
    HEADER("name twice by its old name", "pre_classifier.bias",
           "distilbert.embeddings.LayerNorm.beta", "LayerNorm.bias occurs twice"),
    HEADER("name escaped into another", "pre_classifier.bias",
           "distilbert.embeddings.LayerNorm\\u002ebias", "occurs twice"),
    {"100,000 names", SAFETENSORS, many_tensors, NULL, NULL, NULL, "more than 16384 tensors",
     100000, 0},
    {0},
};

// ---- The tensors ------------------------------------------------------------------

static void rebuild(folder *f, const tiny_model *model) {
    const folder_form form = f->form;
    folder_close(f);
    folder_of(f, form, model);
}

static void remove_tensor(folder *f, const mutation *m, int variant) {
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    char name[128];
    snprintf(name, sizeof name, "%s", m->find ? m->find : model.tensors[variant].name);
    tiny_remove(&model, name);
    rebuild(f, &model);
    tiny_close(&model);
}

static void add_tensor(folder *f, const mutation *m, int variant) {
    (void)variant;
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    tiny_add(&model, m->put, WB_DTYPE_F32, 1, TINY_D_MODEL, 0);
    rebuild(f, &model);
    tiny_close(&model);
}

static void rename_tensor(folder *f, const mutation *m, int variant) {
    (void)variant;
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    tiny_tensor *tensor = tiny_find(&model, m->find);
    snprintf(tensor->name, sizeof tensor->name, "%s", m->put);
    rebuild(f, &model);
    tiny_close(&model);
}

// Every tensor in turn: one row more, turned round, or of another rank.
static void reshape_tensor(folder *f, const mutation *m, int variant) {
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    tiny_tensor *t = &model.tensors[variant];
    const int64_t rows = t->shape[0], columns = t->rank == 2 ? t->shape[1] : 1;
    if (m->number == 0)
        tiny_reshape(t, t->rank, rows + 1, columns);
    else
        tiny_reshape(t, t->rank == 2 ? 1 : 2, t->rank == 2 ? rows * columns : rows, 1);
    rebuild(f, &model);
    tiny_close(&model);
}

static void retype_tensor(folder *f, const mutation *m, int variant) {
    (void)variant;
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    tiny_find(&model, m->find)->dtype = (wb_dtype)m->number;
    rebuild(f, &model);
    tiny_close(&model);
}

#define REMOVE(form)                                                                          \
    {                                                                                         \
        "a tensor missing in " #form, form, remove_tensor, NULL, NULL, NULL, "is missing", 0, \
            TINY_TENSORS                                                                      \
    }
#define ADD(form, name) \
    { "unexpected " name, form, add_tensor, NULL, NULL, name, "unexpected", 0, 0 }
#define RENAME(old_name, new_name)                                                    \
    {                                                                                 \
        "renamed to " new_name, SAFETENSORS, rename_tensor, NULL, old_name, new_name, \
            "is missing", 0, 0                                                        \
    }

const mutation tensor_mutations[] = {
    REMOVE(SAFETENSORS),
    {"a row more", SAFETENSORS, reshape_tensor, NULL, NULL, NULL, "config.json wants", 0,
     TINY_TENSORS},
    {"another rank", TORCH, reshape_tensor, NULL, NULL, NULL, "config.json wants", 1, TINY_TENSORS},
    ADD(SAFETENSORS, "distilbert.transformer.layer.2.attention.q_lin.weight"),
    ADD(TORCH, "distilbert.transformer.layer.00.attention.q_lin.weight"),
    ADD(SAFETENSORS, "classifier.out_proj.weight"),
    ADD(TORCH, "bert.pooler.dense.weight"),
    ADD(SAFETENSORS_SHARDS, "qa_outputs.weight"),
    ADD(TORCH_SHARDS, "x"),
    RENAME("classifier.weight", "score.weight"),
    RENAME("pre_classifier.bias", "Pre_classifier.bias"),
    RENAME("distilbert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
    {"weights in int64", SAFETENSORS, retype_tensor, NULL, "classifier.weight", NULL,
     "neither f32, f16 nor bf16", WB_DTYPE_I64, 0},
    {"weights in f64", SAFETENSORS, retype_tensor, NULL, "pre_classifier.bias", NULL,
     "neither f32, f16 nor bf16", WB_DTYPE_OTHER, 0},
    {"torch weights in int64", TORCH, retype_tensor, NULL, "classifier.weight", NULL,
     "neither f32, f16 nor bf16", WB_DTYPE_I64, 0},
    {"torch weights in f64", TORCH, retype_tensor, NULL,
     "distilbert.embeddings.word_embeddings.weight", NULL, "neither f32, f16 nor bf16",
     WB_DTYPE_OTHER, 0},
    {0},
};
