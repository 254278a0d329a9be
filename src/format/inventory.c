// SPDX-License-Identifier: Apache-2.0
// The list of a DistilBERT classifier's tensors as transformers names them, as data: a name and
// the two dimensions it has in terms of the configuration.
#include "format/inventory.h"

#include <stdio.h>

#include "format/config.h"

typedef enum dimension { NO_DIMENSION, D_MODEL, D_FF, VOCAB, POSITIONS, LABELS } dimension;

typedef struct needed {
    const char *name;
    dimension rows, columns;  // columns NO_DIMENSION: a vector
} needed;

static const needed model_tensors[] = {
    {"distilbert.embeddings.word_embeddings.weight", VOCAB, D_MODEL},
    {"distilbert.embeddings.position_embeddings.weight", POSITIONS, D_MODEL},
    {"distilbert.embeddings.LayerNorm.weight", D_MODEL, NO_DIMENSION},
    {"distilbert.embeddings.LayerNorm.bias", D_MODEL, NO_DIMENSION},
    {"pre_classifier.weight", D_MODEL, D_MODEL},
    {"pre_classifier.bias", D_MODEL, NO_DIMENSION},
    {"classifier.weight", LABELS, D_MODEL},
    {"classifier.bias", LABELS, NO_DIMENSION},
};

// After "distilbert.transformer.layer.N.".
static const needed layer_tensors[] = {
    {"attention.q_lin.weight", D_MODEL, D_MODEL},
    {"attention.q_lin.bias", D_MODEL, NO_DIMENSION},
    {"attention.k_lin.weight", D_MODEL, D_MODEL},
    {"attention.k_lin.bias", D_MODEL, NO_DIMENSION},
    {"attention.v_lin.weight", D_MODEL, D_MODEL},
    {"attention.v_lin.bias", D_MODEL, NO_DIMENSION},
    {"attention.out_lin.weight", D_MODEL, D_MODEL},
    {"attention.out_lin.bias", D_MODEL, NO_DIMENSION},
    {"sa_layer_norm.weight", D_MODEL, NO_DIMENSION},
    {"sa_layer_norm.bias", D_MODEL, NO_DIMENSION},
    {"ffn.lin1.weight", D_FF, D_MODEL},
    {"ffn.lin1.bias", D_FF, NO_DIMENSION},
    {"ffn.lin2.weight", D_MODEL, D_FF},
    {"ffn.lin2.bias", D_MODEL, NO_DIMENSION},
    {"output_layer_norm.weight", D_MODEL, NO_DIMENSION},
    {"output_layer_norm.bias", D_MODEL, NO_DIMENSION},
};

enum {
    N_MODEL_TENSORS = sizeof model_tensors / sizeof model_tensors[0],
    N_LAYER_TENSORS = sizeof layer_tensors / sizeof layer_tensors[0],
};

// What files of fine-tuned models carry along from older versions and from pre-training;
// transformers leaves it unused too. Anything else that is unexpected is an error: a classifier
// with a tensor more is another architecture, whose logits this program would get wrong.
static const char *const harmless[] = {
    "distilbert.embeddings.position_ids",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
};

typedef struct inventory {
    const wb_tensors *table;
    const wb_config *config;
    const char *file;
    bool *is_needed;  // [table->n]
} inventory;

// What a dimension is in this configuration; 1 where there is none, so that a shape can be built.
static int64_t size_of(const wb_config *config, dimension d) {
    switch (d) {
        case NO_DIMENSION: return 1;
        case D_MODEL: return config->d_model;
        case D_FF: return config->d_ff;
        case VOCAB: return config->vocab_size;
        case POSITIONS: return config->max_positions;
        case LABELS: return config->n_labels;
    }
    return 0;
}

// out <- "[2, 768]".
static void print_shape(char out[128], const int64_t *shape, int rank) {
    size_t n = (size_t)snprintf(out, 128, "[");
    for (int i = 0; i < rank; i++)
        n += (size_t)snprintf(out + n, 128 - n, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(out + n, 128 - n, "]");
}

// One tensor by name: there, of the right shape, of a type that the kernels' packing can widen.
static wb_status check_one(inventory *v, const char *name, const needed *want, wb_error *err) {
    const wb_tensor *tensor = wb_tensors_find(v->table, name);
    if (!tensor)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: tensor %s is missing, a DistilBERT sequence classifier of this "
                       "config.json has it",
                       v->file, name);
    const int64_t shape[2] = {size_of(v->config, want->rows), size_of(v->config, want->columns)};
    const int rank = want->columns == NO_DIMENSION ? 1 : 2;
    if (tensor->rank != rank || memcmp(tensor->shape, shape, (size_t)rank * sizeof *shape) != 0) {
        char right[128], got[128];
        print_shape(right, shape, rank);
        print_shape(got, tensor->shape, tensor->rank);
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: tensor %s has the shape %s, config.json wants %s",
                       v->file, name, got, right);
    }
    if (tensor->dtype == WB_DTYPE_I64 || tensor->dtype == WB_DTYPE_OTHER)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: tensor %s is neither f32, f16 nor bf16, convert it", v->file, name);
    v->is_needed[tensor - v->table->items] = true;
    return WB_OK;
}

// Stops at the first that is wrong: with a wrong config.json all of them would be.
static wb_status check_needed(inventory *v, wb_error *err) {
    for (int i = 0; i < N_MODEL_TENSORS; i++) {
        const wb_status status = check_one(v, model_tensors[i].name, &model_tensors[i], err);
        if (status) return status;
    }
    for (int layer = 0; layer < v->config->n_layers; layer++) {
        for (int i = 0; i < N_LAYER_TENSORS; i++) {
            char name[128];
            snprintf(name, sizeof name, "distilbert.transformer.layer.%d.%s", layer,
                     layer_tensors[i].name);
            const wb_status status = check_one(v, name, &layer_tensors[i], err);
            if (status) return status;
        }
    }
    return WB_OK;
}

static bool is_harmless(const char *name) {
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (strncmp(name, harmless[i], strlen(harmless[i])) == 0) return true;
    return false;
}

// After check_needed, whatever is left over. An extra layer shows up here.
static wb_status check_unexpected(const inventory *v, wb_error *err) {
    for (size_t i = 0; i < v->table->n; i++) {
        const char *name = v->table->items[i].name;
        if (v->is_needed[i] || is_harmless(name)) continue;
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: tensor %.160s is unexpected in a DistilBERT sequence classifier with "
                       "%d layers",
                       v->file, name, v->config->n_layers);
    }
    return WB_OK;
}

wb_status wb_inventory_check(const wb_tensors *table, wb_config *config, const char *file,
                             wb_error *err) {
    // A classifier says by its shape how many labels it has; its check then finds what it is.
    if (config->n_labels == 0) {
        const wb_tensor *head = wb_tensors_find(table, "classifier.weight");
        const bool is_matrix = head && head->rank == 2 && head->shape[0] >= 1;
        config->n_labels = is_matrix && head->shape[0] <= WB_MAX_LABELS ? (int)head->shape[0] : 2;
    }
    inventory v = {.table = table, .config = config, .file = file};
    v.is_needed = wb_alloc_array(table->n, sizeof *v.is_needed);
    if (!v.is_needed) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its tensors", file);
    wb_status status = check_needed(&v, err);
    if (!status) status = check_unexpected(&v, err);
    wb_free(v.is_needed);
    return status;
}
