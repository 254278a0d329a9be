// SPDX-License-Identifier: Apache-2.0
// The tiny model's tensors, and its config.json, vocab.txt, safetensors and index.
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

static void make_values(tiny_tensor *t) {
    wb_random random = {.state = crc32_of((const uint8_t *)t->name, strlen(t->name))};
    t->n_elements = 1;
    for (int i = 0; i < t->rank; i++) t->n_elements *= (size_t)t->shape[i];
    t->values = realloc(t->values, t->n_elements * sizeof *t->values + 1);
    if (!t->values) abort();
    // Multiples of 1/64 in [-2, 2): eight bits, which even bf16 keeps.
    for (size_t i = 0; i < t->n_elements; i++)
        t->values[i] = ((float)wb_random_below(&random, 256) - 128.0f) / 64.0f;
}

void tiny_reshape(tiny_tensor *tensor, int rank, int64_t rows, int64_t columns) {
    tensor->rank = rank;
    tensor->shape[0] = rows;
    tensor->shape[1] = columns;
    tensor->stride[0] = rank == 2 ? columns : 1;
    tensor->stride[1] = 1;
    make_values(tensor);
}

tiny_tensor *tiny_add(tiny_model *model, const char *name, wb_dtype dtype, int rank, int64_t rows,
                      int64_t columns) {
    if (model->n == TINY_MOST_TENSORS) abort();
    tiny_tensor *tensor = &model->tensors[model->n++];
    *tensor = (tiny_tensor){.dtype = dtype};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    tiny_reshape(tensor, rank, rows, columns);
    return tensor;
}

static void add_layer(tiny_model *model, int layer, wb_dtype dtype) {
    static const struct {
        const char *name;
        int rows, columns;
    } parts[] = {
        {"attention.q_lin", TINY_D_MODEL, TINY_D_MODEL},
        {"attention.k_lin", TINY_D_MODEL, TINY_D_MODEL},
        {"attention.v_lin", TINY_D_MODEL, TINY_D_MODEL},
        {"attention.out_lin", TINY_D_MODEL, TINY_D_MODEL},
        {"sa_layer_norm", TINY_D_MODEL, 0},
        {"ffn.lin1", TINY_D_FF, TINY_D_MODEL},
        {"ffn.lin2", TINY_D_MODEL, TINY_D_FF},
        {"output_layer_norm", TINY_D_MODEL, 0},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "distilbert.transformer.layer.%d.%s.weight", layer,
                 parts[i].name);
        tiny_add(model, name, dtype, parts[i].columns ? 2 : 1, parts[i].rows, parts[i].columns);
        snprintf(name, sizeof name, "distilbert.transformer.layer.%d.%s.bias", layer,
                 parts[i].name);
        tiny_add(model, name, dtype, 1, parts[i].rows, 0);
    }
}

void tiny_open(tiny_model *model, wb_dtype dtype) {
    *model = (tiny_model){0};
    tiny_add(model, "distilbert.embeddings.word_embeddings.weight", dtype, 2, TINY_VOCAB,
             TINY_D_MODEL);
    tiny_add(model, "distilbert.embeddings.position_embeddings.weight", dtype, 2, TINY_POSITIONS,
             TINY_D_MODEL);
    tiny_add(model, "distilbert.embeddings.LayerNorm.weight", dtype, 1, TINY_D_MODEL, 0);
    tiny_add(model, "distilbert.embeddings.LayerNorm.bias", dtype, 1, TINY_D_MODEL, 0);
    for (int layer = 0; layer < TINY_LAYERS; layer++) add_layer(model, layer, dtype);
    tiny_add(model, "pre_classifier.weight", dtype, 2, TINY_D_MODEL, TINY_D_MODEL);
    tiny_add(model, "pre_classifier.bias", dtype, 1, TINY_D_MODEL, 0);
    tiny_add(model, "classifier.weight", dtype, 2, TINY_LABELS, TINY_D_MODEL);
    tiny_add(model, "classifier.bias", dtype, 1, TINY_LABELS, 0);
}

void tiny_close(tiny_model *model) {
    for (int i = 0; i < model->n; i++) free(model->tensors[i].values);
    *model = (tiny_model){0};
}

tiny_tensor *tiny_find(tiny_model *model, const char *name) {
    for (int i = 0; i < model->n; i++)
        if (strcmp(model->tensors[i].name, name) == 0) return &model->tensors[i];
    fprintf(stderr, "the tiny model has no %s\n", name);
    abort();
}

void tiny_remove(tiny_model *model, const char *name) {
    tiny_tensor *tensor = tiny_find(model, name);
    free(tensor->values);
    model->n--;
    memmove(tensor, tensor + 1, (size_t)(model->tensors + model->n - tensor) * sizeof *tensor);
}

size_t tiny_element_bytes(wb_dtype dtype) {
    return dtype == WB_DTYPE_I64 || dtype == WB_DTYPE_OTHER ? 8 : dtype == WB_DTYPE_F32 ? 4 : 2;
}

void put_values(bytes *b, const tiny_tensor *tensor) {
    for (size_t i = 0; i < tensor->n_elements; i++) {
        const float x = tensor->values[i];
        switch (tensor->dtype) {
            case WB_DTYPE_F32: put_u32(b, wb_f32_bits(x)); break;
            case WB_DTYPE_F16: put_u16(b, wb_f16_from_f32(x)); break;
            case WB_DTYPE_BF16: put_u16(b, wb_bf16_from_f32(x)); break;
            case WB_DTYPE_I64:
            case WB_DTYPE_OTHER: put_u64(b, i); break;
        }
    }
}

// ---- Files ----------------------------------------------------------------------

void put_config(bytes *file) {
    put_format(file,
               "{\n  \"activation\": \"gelu\",\n"
               "  \"architectures\": [\n    \"DistilBertForSequenceClassification\"\n  ],\n"
               "  \"attention_dropout\": 0.1,\n  \"dim\": %d,\n  \"hidden_dim\": %d,\n"
               "  \"id2label\": {\n    \"0\": \"NEGATIVE\",\n    \"1\": \"POSITIVE\"\n  },\n"
               "  \"initializer_range\": 0.02,\n"
               "  \"label2id\": {\n    \"NEGATIVE\": 0,\n    \"POSITIVE\": 1\n  },\n"
               "  \"max_position_embeddings\": %d,\n  \"model_type\": \"distilbert\",\n"
               "  \"n_heads\": %d,\n  \"n_layers\": %d,\n  \"pad_token_id\": 0,\n"
               "  \"problem_type\": \"single_label_classification\",\n"
               "  \"sinusoidal_pos_embds\": false,\n  \"tie_weights_\": true,\n"
               "  \"transformers_version\": \"4.40.0\",\n  \"vocab_size\": %d\n}\n",
               TINY_D_MODEL, TINY_D_FF, TINY_POSITIONS, TINY_HEADS, TINY_LAYERS, TINY_VOCAB);
}

void put_vocab(bytes *file) {
    put_text(file, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int word = 5; word < TINY_VOCAB; word++) put_format(file, "%c\n", 'a' + word - 5);
}

void put_tokenizer(bytes *file) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    enum { N_SPECIAL = 5 };
    put_text(file, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int id = 0; id < N_SPECIAL; id++)
        put_format(file,
                   "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,"
                   "\"rstrip\":false,\"normalized\":false,\"special\":true}",
                   id ? "," : "", id, special[id]);
    put_text(file,
             "],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
             "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
             "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":null,"
             "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
             "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
             "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{");
    for (int id = 0; id < TINY_VOCAB; id++) {
        if (id < N_SPECIAL)
            put_format(file, "%s\"%s\":%d", id ? "," : "", special[id], id);
        else
            put_format(file, ",\"%c\":%d", 'a' + id - N_SPECIAL, id);
    }
    put_text(file, "}}}");
}

void put_safetensors(bytes *file, const tiny_model *model, int first, int n) {
    static const char *const names[] = {"F32", "F16", "BF16", "I64", "F64"};
    bytes header = {0};
    size_t at = 0;
    put_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = first; i < first + n; i++) {
        const tiny_tensor *t = &model->tensors[i];
        const size_t end = at + t->n_elements * tiny_element_bytes(t->dtype);
        put_format(&header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, names[t->dtype]);
        for (int d = 0; d < t->rank; d++)
            put_format(&header, "%s%lld", d ? "," : "", (long long)t->shape[d]);
        put_format(&header, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    put_text(&header, "}");
    put_fill(&header, ' ', (8 - header.n % 8) % 8);
    put_u64(file, header.n);
    put(file, header.data, header.n);
    for (int i = first; i < first + n; i++) put_values(file, &model->tensors[i]);
    clear_bytes(&header);
}

void put_index(bytes *file, const tiny_model *model, int n_first, const char *stem,
               const char *ending) {
    put_text(file, "{\n  \"metadata\": {\n    \"total_size\": 1000\n  },\n  \"weight_map\": {\n");
    for (int i = 0; i < model->n; i++)
        put_format(file, "    \"%s\": \"%s-%05d-of-00002.%s\"%s\n", model->tensors[i].name, stem,
                   i < n_first ? 1 : 2, ending, i + 1 < model->n ? "," : "");
    put_text(file, "  }\n}\n");
}
