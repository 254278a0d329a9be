// SPDX-License-Identifier: Apache-2.0
// A model of any dimensions with random weights that need no file: a tensor's elements are a
// function of its name and index. Beside it the forward pass in double precision with nothing
// clever in it, which the tests compare with.
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

// y[n] <- elements [first, first + n) of the tensor called name. Each is uniform from a hash of the
// name (FNV-1a) and its index, scaled by kind so that activations stay near 1 through the
// layers: weights by 1 / sqrt(k), norms around 1.
static inline void read_random(const void *context, const char *name, size_t first, size_t n,
                               float *y) {
    const wb_shape *shape = context;
    uint64_t hash = 14695981039346656037u;
    for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    const size_t length = strlen(name);
    const bool is_weight = length > 7 && strcmp(name + length - 7, ".weight") == 0;
    const int k = strstr(name, "lin2") ? shape->d_ff : shape->d_model;
    float scale = is_weight ? sqrtf(3.0f / (float)k) : 0.1f, offset = 0.0f;
    if (strstr(name, "_embeddings.")) scale = 1.0f;
    if (strstr(name, "orm.")) {
        scale = is_weight ? 0.2f : 0.1f;
        offset = is_weight ? 1.0f : 0.0f;
    }
    for (size_t i = 0; i < n; i++) {
        wb_random random = {.state = hash ^ ((first + i) * 0x9e3779b97f4a7c15u)};
        y[i] = offset + scale * (float)(2.0 * wb_random_unit(&random) - 1.0);
    }
}

static inline void read_random_word(const void *context, int id, float *y) {
    const wb_shape *shape = context;
    const size_t d = (size_t)shape->d_model;
    read_random(shape, "distilbert.embeddings.word_embeddings.weight", (size_t)id * d, d, y);
}

static inline wb_tensor_source random_source(const wb_shape *shape) {
    return (wb_tensor_source){.read = read_random, .read_word = read_random_word, .context = shape};
}

// ---- The reference ----

static inline double *new_doubles(size_t n) {
    double *x = calloc(n ? n : 1, sizeof *x);
    if (!x) abort();
    return x;
}

static inline double activate(wb_activation activation, double x) {
    switch (activation) {
        case WB_GELU: return x / 2.0 * (1.0 + erf(x / sqrt(2.0)));
        case WB_RELU: return x > 0.0 ? x : 0.0;
        case WB_SILU: return x / (1.0 + exp(-x));
        default: return x;
    }
}

// The tensor "name" + suffix; freed by the caller.
static inline float *read_new(const wb_shape *shape, const char *name, const char *suffix,
                              size_t first, size_t n) {
    char full[160];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    float *y = calloc(n, sizeof *y);
    if (!y) abort();
    read_random(shape, full, first, n, y);
    return y;
}

// y[m, n] <- activation(x[m, k] . w[n, k]^T + bias) with the tensors called name.weight, name.bias.
static inline void reference_linear(const wb_shape *shape, const char *name, double *y,
                                    const double *x, int m, int n, int k, wb_activation act) {
    float *w = read_new(shape, name, ".weight", 0, (size_t)n * (size_t)k);
    float *bias = read_new(shape, name, ".bias", 0, (size_t)n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = (double)bias[j];
            for (int l = 0; l < k; l++) sum += x[i * k + l] * (double)w[j * k + l];
            y[i * n + j] = activate(act, sum);
        }
    free(w), free(bias);
}

// x[m, d] <- norm(x + b)
static inline void reference_norm(const wb_shape *shape, const char *name, double *x,
                                  const double *b, int m) {
    const int d = shape->d_model;
    float *gamma = read_new(shape, name, ".weight", 0, (size_t)d);
    float *beta = read_new(shape, name, ".bias", 0, (size_t)d);
    for (int i = 0; i < m; i++) {
        double *row = x + (size_t)i * (size_t)d, mean = 0.0, variance = 0.0;
        for (int j = 0; j < d; j++) row[j] += b[i * d + j];
        for (int j = 0; j < d; j++) mean += row[j] / d;
        for (int j = 0; j < d; j++) variance += (row[j] - mean) * (row[j] - mean) / d;
        for (int j = 0; j < d; j++)
            row[j] = (row[j] - mean) / sqrt(variance + 1e-12) * (double)gamma[j] + (double)beta[j];
    }
    free(gamma), free(beta);
}

// y[m, d] <- softmax(q k^T / sqrt(d_head)) v, head by head.
static inline void reference_attention(const wb_shape *shape, double *y, const double *q,
                                       const double *k, const double *v, int m) {
    const int d = shape->d_model, d_head = shape->d_head;
    double *scores = new_doubles((size_t)m);
    for (int i = 0; i < m; i++)
        for (int head = 0; head < shape->n_heads; head++) {
            const int c = head * d_head;
            double largest = -INFINITY, sum = 0.0;
            for (int j = 0; j < m; j++) {
                scores[j] = 0.0;
                for (int l = 0; l < d_head; l++) scores[j] += q[i * d + c + l] * k[j * d + c + l];
                scores[j] /= sqrt((double)d_head);
                if (scores[j] > largest) largest = scores[j];
            }
            for (int j = 0; j < m; j++) sum += scores[j] = exp(scores[j] - largest);
            for (int l = 0; l < d_head; l++) {
                double value = 0.0;
                for (int j = 0; j < m; j++) value += scores[j] / sum * v[j * d + c + l];
                y[i * d + c + l] = value;
            }
        }
    free(scores);
}

static inline void reference_layer(const wb_shape *shape, int layer, double *x, int m) {
    const int d = shape->d_model, d_ff = shape->d_ff;
    const size_t n = (size_t)m * (size_t)d;
    double *q = new_doubles(n), *k = new_doubles(n), *v = new_doubles(n), *y = new_doubles(n);
    double *wide = new_doubles((size_t)m * (size_t)d_ff);
    char name[128];
    const char *prefix = "distilbert.transformer.layer.";
    snprintf(name, sizeof name, "%s%d.attention.q_lin", prefix, layer);
    reference_linear(shape, name, q, x, m, d, d, WB_LINEAR);
    snprintf(name, sizeof name, "%s%d.attention.k_lin", prefix, layer);
    reference_linear(shape, name, k, x, m, d, d, WB_LINEAR);
    snprintf(name, sizeof name, "%s%d.attention.v_lin", prefix, layer);
    reference_linear(shape, name, v, x, m, d, d, WB_LINEAR);
    reference_attention(shape, y, q, k, v, m);
    snprintf(name, sizeof name, "%s%d.attention.out_lin", prefix, layer);
    reference_linear(shape, name, q, y, m, d, d, WB_LINEAR);
    snprintf(name, sizeof name, "%s%d.sa_layer_norm", prefix, layer);
    reference_norm(shape, name, x, q, m);
    snprintf(name, sizeof name, "%s%d.ffn.lin1", prefix, layer);
    reference_linear(shape, name, wide, x, m, d_ff, d, shape->activation);
    snprintf(name, sizeof name, "%s%d.ffn.lin2", prefix, layer);
    reference_linear(shape, name, y, wide, m, d, d_ff, WB_LINEAR);
    snprintf(name, sizeof name, "%s%d.output_layer_norm", prefix, layer);
    reference_norm(shape, name, x, y, m);
    free(q), free(k), free(v), free(y), free(wide);
}

// logits[n_labels] <- one text of m tokens.
static inline void reference_forward(const wb_shape *shape, double *logits, const int32_t *ids,
                                     int m) {
    const int d = shape->d_model;
    const size_t n = (size_t)m * (size_t)d;
    double *x = new_doubles(n), *positions = new_doubles(n), *pooled = new_doubles((size_t)d);
    const char *prefix = "distilbert.embeddings.";
    for (int i = 0; i < m; i++) {
        const size_t row = (size_t)ids[i] * (size_t)d, place = (size_t)i * (size_t)d;
        char name[64];
        snprintf(name, sizeof name, "%sword_embeddings", prefix);
        float *word = read_new(shape, name, ".weight", row, (size_t)d);
        snprintf(name, sizeof name, "%sposition_embeddings", prefix);
        float *position = read_new(shape, name, ".weight", place, (size_t)d);
        for (int j = 0; j < d; j++) {
            x[i * d + j] = (double)word[j];
            positions[i * d + j] = (double)position[j];
        }
        free(word), free(position);
    }
    reference_norm(shape, "distilbert.embeddings.LayerNorm", x, positions, m);
    for (int layer = 0; layer < shape->n_layers; layer++) reference_layer(shape, layer, x, m);
    reference_linear(shape, "pre_classifier", pooled, x, 1, d, d, WB_RELU);
    reference_linear(shape, "classifier", logits, pooled, 1, shape->n_labels, d, WB_LINEAR);
    free(x), free(positions), free(pooled);
}

#endif
