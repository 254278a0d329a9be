// SPDX-License-Identifier: Apache-2.0
// All tensors of a model packed for one plan. Query, key and value become one matrix, so that
// x is read once and converted once for the three. Word embeddings are not copied: a forward
// reads a few rows of a table that is more than a third of the model, where it lies.
#include <stdio.h>
#include <string.h>

#include "model/model.h"

// A tensor may hold 2^31 elements or more; every offset into one is a size_t.
static size_t area(int n, int k) {
    return (size_t)n * (size_t)k;
}

enum { NAME_BYTES = 96 };

// What a matrix is made of: up to three tensors, one under the other.
typedef struct parts {
    char names[3][NAME_BYTES];  // without ".weight" or ".bias"
    int n_parts;
} parts;

// The file's names for matrix i of a plan, in the order in which they are stacked.
static parts list_parts(const wb_plan *plan, int matrix) {
    static const char *const names[WB_MATRICES_PER_LAYER][3] = {
        [WB_MATRIX_QKV] = {"attention.q_lin", "attention.k_lin", "attention.v_lin"},
        [WB_MATRIX_ATTENTION_OUT] = {"attention.out_lin"},
        [WB_MATRIX_FFN_UP] = {"ffn.lin1"},
        [WB_MATRIX_FFN_DOWN] = {"ffn.lin2"},
    };
    parts list = {.n_parts = 1};
    if (matrix >= wb_plan_pre_classifier(plan)) {
        const bool is_last = matrix == wb_plan_classifier(plan);
        snprintf(list.names[0], NAME_BYTES, "%s", is_last ? "classifier" : "pre_classifier");
        return list;
    }
    const char *const *of_kind = names[matrix % WB_MATRICES_PER_LAYER];
    for (list.n_parts = 0; list.n_parts < 3 && of_kind[list.n_parts]; list.n_parts++)
        snprintf(list.names[list.n_parts], NAME_BYTES, "distilbert.transformer.layer.%d.%s",
                 matrix / WB_MATRICES_PER_LAYER, of_kind[list.n_parts]);
    return list;
}

// The parts, one under the other; each has n / n_parts rows.
void wb_weights_read_matrix(float *w, float *bias, const wb_plan *plan, int matrix,
                            const wb_tensor_source *source) {
    const parts list = list_parts(plan, matrix);
    const int k = plan->matrices[matrix].k, rows = plan->matrices[matrix].n / list.n_parts;
    for (int i = 0; i < list.n_parts; i++) {
        char name[NAME_BYTES + 8];
        snprintf(name, sizeof name, "%s.weight", list.names[i]);
        source->read(source->context, name, 0, area(rows, k), w + area(i * rows, k));
        snprintf(name, sizeof name, "%s.bias", list.names[i]);
        source->read(source->context, name, 0, (size_t)rows, bias + i * rows);
    }
}

wb_status wb_weights_pack_matrix(wb_linear *linear, const wb_plan *plan, int matrix,
                                 wb_precision precision, const wb_kernels *kernels,
                                 const wb_tensor_source *source, wb_error *err) {
    const wb_matrix *m = &plan->matrices[matrix];
    *linear = (wb_linear){0};
    float *w = wb_alloc(area(m->n, m->k) * sizeof *w);
    float *bias = wb_alloc((size_t)m->n * sizeof *bias);
    wb_status status = WB_OK;
    if (w && bias) {
        wb_weights_read_matrix(w, bias, plan, matrix, source);
        const wb_matrix_scales *scales = plan->scales ? &plan->scales->matrices[matrix] : NULL;
        status = wb_linear_pack(linear, kernels, precision, m->is_autocast, scales, w, bias, m->n,
                                m->k, err);
    } else {
        status = wb_fail(err, WB_ERR_MEMORY, 0, "packing %s", m->name);
    }
    wb_free(w);
    wb_free(bias);
    return status;
}

// *out <- the n elements of one tensor, a copy that the caller frees.
static wb_status read_vector(float **out, const wb_tensor_source *source, const char *name,
                             size_t n, wb_error *err) {
    *out = wb_alloc_array(n, sizeof **out);
    if (!*out) return wb_fail(err, WB_ERR_MEMORY, 0, "%s", name);
    source->read(source->context, name, 0, n, *out);
    return WB_OK;
}

// gamma and beta stay f32 in every technique: two vectors whose rounding all rows would share.
static wb_status read_norm(wb_norm *norm, const wb_tensor_source *source, const char *prefix,
                           int d_model, wb_error *err) {
    char name[NAME_BYTES + 8];
    snprintf(name, sizeof name, "%s.weight", prefix);
    wb_status status = read_vector(&norm->gamma, source, name, (size_t)d_model, err);
    if (status) return status;
    snprintf(name, sizeof name, "%s.bias", prefix);
    return read_vector(&norm->beta, source, name, (size_t)d_model, err);
}

static wb_status read_norms(wb_weights *weights, wb_error *err) {
    const wb_tensor_source *source = &weights->source;
    const int d = weights->shape.d_model;
    wb_status status =
        read_norm(&weights->embedding_norm, source, "distilbert.embeddings.LayerNorm", d, err);
    for (int layer = 0; layer < weights->shape.n_layers && !status; layer++) {
        wb_layer_weights *l = &weights->layers[layer];
        char prefix[NAME_BYTES];
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.sa_layer_norm", layer);
        status = read_norm(&l->attention_norm, source, prefix, d, err);
        if (status) break;
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.output_layer_norm", layer);
        status = read_norm(&l->ffn_norm, source, prefix, d, err);
    }
    return status;
}

wb_linear *wb_weights_matrix(wb_weights *weights, int matrix) {
    const int head = weights->shape.n_layers * WB_MATRICES_PER_LAYER;
    if (matrix == head) return &weights->pre_classifier;
    if (matrix > head) return &weights->classifier;
    return &weights->layers[matrix / WB_MATRICES_PER_LAYER]
                .matrices[matrix % WB_MATRICES_PER_LAYER];
}

// What this plan keeps resident: panels with their scales and biases, norms, positions. The word
// embeddings belong to the file's mapping.
static void count_bytes(wb_weights *weights, const wb_plan *plan, const wb_kernels *kernels) {
    const wb_shape *shape = &weights->shape;
    const size_t n_norms = 1 + 2 * (size_t)shape->n_layers;
    weights->n_bytes =
        (area(shape->max_positions, shape->d_model) + n_norms * 2 * (size_t)shape->d_model) *
        sizeof(float);
    for (int i = 0; i < plan->n_matrices; i++)
        weights->n_bytes += wb_linear_bytes(wb_weights_matrix(weights, i), kernels);
}

wb_status wb_weights_open(wb_weights **out, const wb_plan *plan, const wb_kernels *kernels,
                          const wb_tensor_source *source, wb_error *err) {
    *out = NULL;
    wb_weights *weights = wb_alloc_zeroed(sizeof *weights);
    if (!weights) return wb_fail(err, WB_ERR_MEMORY, 0, "weights");
    weights->shape = plan->shape;
    weights->source = *source;
    weights->layers = wb_alloc_array((size_t)plan->shape.n_layers, sizeof *weights->layers);
    wb_status status = WB_OK;
    if (!weights->layers) status = wb_fail(err, WB_ERR_MEMORY, 0, "weights of the layers");
    if (!status)
        status = read_vector(&weights->positions, source,
                             "distilbert.embeddings.position_embeddings.weight",
                             area(plan->shape.max_positions, plan->shape.d_model), err);
    if (!status) status = read_norms(weights, err);
    for (int i = 0; i < plan->n_matrices && !status; i++)
        status = wb_weights_pack_matrix(wb_weights_matrix(weights, i), plan, i,
                                        plan->matrices[i].precision, kernels, source, err);
    if (status) {
        wb_weights_close(weights);
        return status;
    }
    count_bytes(weights, plan, kernels);
    *out = weights;
    return WB_OK;
}

static void free_norm(wb_norm *norm) {
    wb_free(norm->gamma);
    wb_free(norm->beta);
}

void wb_weights_close(wb_weights *weights) {
    if (!weights) return;
    for (int layer = 0; weights->layers && layer < weights->shape.n_layers; layer++) {
        wb_layer_weights *l = &weights->layers[layer];
        for (int i = 0; i < WB_MATRICES_PER_LAYER; i++) wb_linear_free(&l->matrices[i]);
        free_norm(&l->attention_norm);
        free_norm(&l->ffn_norm);
    }
    wb_linear_free(&weights->pre_classifier);
    wb_linear_free(&weights->classifier);
    free_norm(&weights->embedding_norm);
    wb_free(weights->positions);
    wb_free(weights->layers);
    wb_free(weights);
}
