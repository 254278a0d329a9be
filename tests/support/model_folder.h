// SPDX-License-Identifier: Apache-2.0
// The random model of random_model.h as a Hugging Face folder on disk: config.json, vocab.txt and
// model.safetensors in f32, for tests that start where a user does.
#ifndef MODEL_FOLDER_H
#define MODEL_FOLDER_H

#include <sys/stat.h>
#include <unistd.h>

#include "random_model.h"

// Piece i of the vocabulary: special tokens, letters, letters inside a word, then words.
static inline void vocab_piece(char *out, size_t capacity, int i) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    if (i < 5)
        snprintf(out, capacity, "%s", special[i]);
    else if (i < 31)
        snprintf(out, capacity, "%c", 'a' + i - 5);
    else if (i < 57)
        snprintf(out, capacity, "##%c", 'a' + i - 31);
    else
        snprintf(out, capacity, "w%d", i);
}

typedef struct folder_writer {
    const wb_shape *shape;
    FILE *file;
    char header[1 << 16];
    size_t header_length, data_length;
    bool is_listing;  // first pass: the header; second: the data
} folder_writer;

static inline FILE *open_in(const char *dir, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file) perror(path), abort();
    return file;
}

static inline void write_tensor(folder_writer *w, const char *name, int rows, int columns) {
    const size_t n = (size_t)rows * (size_t)(columns ? columns : 1);
    if (w->is_listing) {
        char dims[32];
        snprintf(dims, sizeof dims, columns ? "%d,%d" : "%d", rows, columns);
        w->header_length += (size_t)snprintf(
            w->header + w->header_length, sizeof w->header - w->header_length,
            "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
            w->header_length > 1 ? "," : "", name, dims, w->data_length,
            w->data_length + n * sizeof(float));
    } else {
        float *values = read_new(w->shape, name, "", 0, n);
        fwrite(values, sizeof *values, n, w->file);
        free(values);
    }
    w->data_length += n * sizeof(float);
}

// Columns 0: a vector of its own; else weight and bias of a linear layer.
static inline void write_pair(folder_writer *w, const char *name, int rows, int columns) {
    char full[160];
    snprintf(full, sizeof full, "%s.weight", name);
    write_tensor(w, full, rows, columns);
    snprintf(full, sizeof full, "%s.bias", name);
    write_tensor(w, full, rows, 0);
}

static inline void write_tensors(folder_writer *w) {
    const wb_shape *shape = w->shape;
    const int d = shape->d_model, d_ff = shape->d_ff;
    write_tensor(w, "distilbert.embeddings.word_embeddings.weight", shape->vocab_size, d);
    write_tensor(w, "distilbert.embeddings.position_embeddings.weight", shape->max_positions, d);
    write_pair(w, "distilbert.embeddings.LayerNorm", d, 0);
    static const char *const square[] = {"attention.q_lin", "attention.k_lin", "attention.v_lin",
                                         "attention.out_lin"};
    for (int layer = 0; layer < shape->n_layers; layer++) {
        char name[128];
        const char *prefix = "distilbert.transformer.layer.";
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "%s%d.%s", prefix, layer, square[i]);
            write_pair(w, name, d, d);
        }
        snprintf(name, sizeof name, "%s%d.sa_layer_norm", prefix, layer);
        write_pair(w, name, d, 0);
        snprintf(name, sizeof name, "%s%d.ffn.lin1", prefix, layer);
        write_pair(w, name, d_ff, d);
        snprintf(name, sizeof name, "%s%d.ffn.lin2", prefix, layer);
        write_pair(w, name, d, d_ff);
        snprintf(name, sizeof name, "%s%d.output_layer_norm", prefix, layer);
        write_pair(w, name, d, 0);
    }
    write_pair(w, "pre_classifier", d, d);
    write_pair(w, "classifier", shape->n_labels, d);
}

static inline void write_weights(const char *dir, const wb_shape *shape) {
    folder_writer *w = calloc(1, sizeof *w);
    if (!w) abort();
    w->shape = shape;
    w->is_listing = true;
    w->header[w->header_length++] = '{';
    write_tensors(w);
    w->header[w->header_length++] = '}';
    while (w->header_length % 8) w->header[w->header_length++] = ' ';
    w->file = open_in(dir, "model.safetensors");
    const uint64_t length = w->header_length;
    fwrite(&length, sizeof length, 1, w->file);
    fwrite(w->header, 1, w->header_length, w->file);
    w->is_listing = false;
    write_tensors(w);
    fclose(w->file);
    free(w);
}

static inline void write_config(const char *dir, const wb_shape *shape) {
    static const char *const activations[] = {"gelu", "gelu", "relu", "silu"};
    FILE *file = open_in(dir, "config.json");
    fprintf(file,
            "{\"model_type\":\"distilbert\",\"activation\":\"%s\",\"dim\":%d,\"hidden_dim\":%d,"
            "\"n_heads\":%d,\"n_layers\":%d,\"vocab_size\":%d,\"max_position_embeddings\":%d,"
            "\"id2label\":{",
            activations[shape->activation], shape->d_model, shape->d_ff, shape->n_heads,
            shape->n_layers, shape->vocab_size, shape->max_positions);
    for (int i = 0; i < shape->n_labels; i++)
        fprintf(file, "%s\"%d\":\"label-%d\"", i ? "," : "", i, i);
    fprintf(file, "}}\n");
    fclose(file);
}

// Writes dir, a mkdtemp template, and fills in its name. vocab_size must be at least 58.
static inline void folder_write(char *dir, const wb_shape *shape) {
    if (!mkdtemp(dir)) perror(dir), abort();
    write_config(dir, shape);
    write_weights(dir, shape);
    FILE *file = open_in(dir, "vocab.txt");
    for (int i = 0; i < shape->vocab_size; i++) {
        char piece[32];
        vocab_piece(piece, sizeof piece, i);
        fprintf(file, "%s\n", piece);
    }
    fclose(file);
}

static inline void folder_remove(const char *dir) {
    static const char *const names[] = {"config.json", "model.safetensors", "vocab.txt"};
    for (int i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

#endif
