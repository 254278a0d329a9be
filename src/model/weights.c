// SPDX-License-Identifier: Apache-2.0
// All tensors of a model packed for one plan, in one block. Query, key and value become one matrix,
// so that x is read once and converted once for the three. Word embeddings are not copied: a
// forward reads a few rows of a table that is more than a third of the model, where it lies.
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

// w[n_rows, k] <- rows [first, first + n_rows) of the parts, one under the other; each has
// n / n_parts rows.
static void read_rows(float *w, const parts *list, const wb_matrix *m, int first, int n_rows,
                      const wb_tensor_source *source) {
    const int part_rows = m->n / list->n_parts, k = m->k;
    for (int row = first; row < first + n_rows;) {
        const int part = row / part_rows, left = (part + 1) * part_rows - row;
        const int wanted = first + n_rows - row, n = wanted < left ? wanted : left;
        char name[NAME_BYTES + 8];
        snprintf(name, sizeof name, "%s.weight", list->names[part]);
        source->read(source->context, name, area(row - part * part_rows, k), area(n, k),
                     w + area(row - first, k));
        row += n;
    }
}

static void read_bias(float *bias, const parts *list, const wb_matrix *m,
                      const wb_tensor_source *source) {
    const int part_rows = m->n / list->n_parts;
    for (int i = 0; i < list->n_parts; i++) {
        char name[NAME_BYTES + 8];
        snprintf(name, sizeof name, "%s.bias", list->names[i]);
        source->read(source->context, name, 0, (size_t)part_rows, bias + i * part_rows);
    }
}

void wb_weights_read_matrix(float *w, float *bias, const wb_plan *plan, int matrix,
                            const wb_tensor_source *source) {
    const parts list = list_parts(plan, matrix);
    const wb_matrix *m = &plan->matrices[matrix];
    read_rows(w, &list, m, 0, m->n, source);
    read_bias(bias, &list, m, source);
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

wb_linear *wb_weights_matrix(wb_weights *weights, int matrix) {
    const int head = weights->shape.n_layers * WB_MATRICES_PER_LAYER;
    if (matrix == head) return &weights->pre_classifier;
    if (matrix > head) return &weights->classifier;
    return &weights->layers[matrix / WB_MATRICES_PER_LAYER]
                .matrices[matrix % WB_MATRICES_PER_LAYER];
}

// ---- One block for everything ----

// Hands out the next n floats, from a cache line on; with memory NULL it only counts.
static float *take(char *memory, size_t *used, size_t n) {
    float *piece = memory ? (float *)(void *)(memory + *used) : NULL;
    *used += (n * sizeof *piece + 63) / 64 * 64;
    return piece;
}

static void take_norm(wb_norm *norm, char *memory, size_t *used, size_t d_model) {
    norm->gamma = take(memory, used, d_model);
    norm->beta = take(memory, used, d_model);
}

static const wb_matrix_scales *scales_of(const wb_plan *plan, int matrix) {
    return plan->scales ? &plan->scales->matrices[matrix] : NULL;
}

// Where the matrices end and the tables begin: positions and norms.
static size_t place_matrices(wb_weights *weights, const wb_plan *plan, const wb_kernels *kernels,
                             char *memory) {
    size_t used = 0;
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_matrix *m = &plan->matrices[i];
        used +=
            wb_linear_place(wb_weights_matrix(weights, i), kernels, m->precision, m->is_autocast,
                            scales_of(plan, i), m->n, m->k, memory ? memory + used : NULL);
    }
    return used;
}

// The bytes that all of it takes. Matrices in the order in which a forward reads them.
static size_t place(wb_weights *weights, const wb_plan *plan, const wb_kernels *kernels,
                    char *memory) {
    size_t used = place_matrices(weights, plan, kernels, memory);
    const size_t d = (size_t)plan->shape.d_model;
    weights->positions = take(memory, &used, (size_t)plan->shape.max_positions * d);
    take_norm(&weights->embedding_norm, memory, &used, d);
    for (int i = 0; i < plan->shape.n_layers; i++) {
        take_norm(&weights->layers[i].attention_norm, memory, &used, d);
        take_norm(&weights->layers[i].ffn_norm, memory, &used, d);
    }
    return used;
}

// ---- Filling it ----

// gamma and beta stay f32 in every technique: two vectors whose rounding all rows would share.
static void read_norm(wb_norm *norm, const wb_tensor_source *source, const char *prefix,
                      int d_model) {
    char name[NAME_BYTES + 8];
    snprintf(name, sizeof name, "%s.weight", prefix);
    source->read(source->context, name, 0, (size_t)d_model, norm->gamma);
    snprintf(name, sizeof name, "%s.bias", prefix);
    source->read(source->context, name, 0, (size_t)d_model, norm->beta);
}

static void read_tables(wb_weights *weights) {
    const wb_tensor_source *source = &weights->source;
    const wb_shape *shape = &weights->shape;
    const int d = shape->d_model;
    source->read(source->context, "distilbert.embeddings.position_embeddings.weight", 0,
                 area(shape->max_positions, d), weights->positions);
    read_norm(&weights->embedding_norm, source, "distilbert.embeddings.LayerNorm", d);
    for (int layer = 0; layer < shape->n_layers; layer++) {
        wb_layer_weights *l = &weights->layers[layer];
        char prefix[NAME_BYTES];
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.sa_layer_norm", layer);
        read_norm(&l->attention_norm, source, prefix, d);
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.output_layer_norm", layer);
        read_norm(&l->ffn_norm, source, prefix, d);
    }
}

// One matrix, as the tasks that pack it see it.
typedef struct pack_run {
    const wb_plan *plan;
    const wb_kernels *kernels;
    const wb_tensor_source *source;
    int matrix;
    parts list;
    wb_linear *linear;
    char *scratch;  // [n_threads, scratch_bytes]: a panel's rows, then what packing needs
    size_t scratch_bytes, rows_bytes;
} pack_run;

// A panel's rows are widened into the thread's second-level cache and leave it packed: nothing in
// between is as large as a matrix.
static void pack_panel(void *context, int task, int worker) {
    const pack_run *run = context;
    const wb_matrix *m = &run->plan->matrices[run->matrix];
    const int tile_n = run->kernels->tile_n, first = task * tile_n;
    char *scratch = run->scratch + (size_t)worker * run->scratch_bytes;
    float *w = (float *)(void *)scratch;
    read_rows(w, &run->list, m, first, m->n - first < tile_n ? m->n - first : tile_n, run->source);
    wb_linear_pack_panel(run->linear, run->kernels, scales_of(run->plan, run->matrix), task, w,
                         scratch + run->rows_bytes);
}

static void pack_matrix(pack_run *run, wb_linear *linear, int matrix, float *bias, wb_pool *pool) {
    run->matrix = matrix;
    run->list = list_parts(run->plan, matrix);
    run->linear = linear;
    read_bias(bias, &run->list, &run->plan->matrices[matrix], run->source);
    wb_linear_begin(linear, scales_of(run->plan, matrix), bias);
    const int n_panels = wb_linear_panels(linear, run->kernels);
    if (pool)
        wb_pool_run(pool, pack_panel, run, n_panels);
    else
        for (int i = 0; i < n_panels; i++) pack_panel(run, i, 0);
}

static wb_status pack_all(wb_weights *weights, const wb_plan *plan, const wb_kernels *kernels,
                          wb_pool *pool, wb_error *err) {
    pack_run run = {.plan = plan, .kernels = kernels, .source = &weights->source};
    size_t widest_n = 0, widest_k = 0;
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_linear *linear = wb_weights_matrix(weights, i);
        const size_t n_bytes = wb_linear_scratch_bytes(linear, kernels);
        if (n_bytes > run.scratch_bytes) run.scratch_bytes = n_bytes;
        if ((size_t)linear->n > widest_n) widest_n = (size_t)linear->n;
        if ((size_t)linear->k > widest_k) widest_k = (size_t)linear->k;
    }
    run.rows_bytes = ((size_t)kernels->tile_n * widest_k * sizeof(float) + 63) / 64 * 64;
    run.scratch_bytes += run.rows_bytes;
    run.scratch = wb_alloc((size_t)(pool ? wb_pool_threads(pool) : 1) * run.scratch_bytes);
    float *bias = wb_alloc(widest_n * sizeof *bias);
    wb_status status = WB_OK;
    if (!run.scratch || !bias) status = wb_fail(err, WB_ERR_MEMORY, 0, "packing the weights");
    for (int i = 0; i < plan->n_matrices && !status; i++)
        pack_matrix(&run, wb_weights_matrix(weights, i), i, bias, pool);
    wb_free(run.scratch);
    wb_free(bias);
    return status;
}

// ---- Opening and closing ----

// *out <- weights whose arrays lie nowhere yet, and the bytes they take.
static wb_status create(wb_weights **out, const wb_plan *plan, const wb_kernels *kernels,
                        const wb_tensor_source *source, wb_error *err) {
    wb_weights *weights = wb_alloc_zeroed(sizeof *weights);
    wb_layer_weights *layers = wb_alloc_array((size_t)plan->shape.n_layers, sizeof *layers);
    if (!weights || !layers) {
        wb_free(weights);
        wb_free(layers);
        return wb_fail(err, WB_ERR_MEMORY, 0, "weights of %d layers", plan->shape.n_layers);
    }
    *weights = (wb_weights){.shape = plan->shape, .source = *source, .layers = layers};
    weights->n_bytes = place(weights, plan, kernels, NULL);
    *out = weights;
    return WB_OK;
}

wb_status wb_weights_open(wb_weights **out, const wb_plan *plan, const wb_kernels *kernels,
                          const wb_tensor_source *source, wb_pool *pool, wb_error *err) {
    *out = NULL;
    if (!plan->scales && wb_plan_needs_scales(plan))
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "weights of a static precision without scales");
    wb_weights *weights;
    wb_status status = create(&weights, plan, kernels, source, err);
    if (status) return status;
    weights->memory = wb_alloc(weights->n_bytes);
    if (!weights->memory) {
        status = wb_fail(err, WB_ERR_MEMORY, 0, "%zu bytes of weights", weights->n_bytes);
    } else {
        weights->packed = weights->memory;
        place(weights, plan, kernels, weights->memory);
        // Vectors end on cache lines: what lies between must not differ from run to run.
        const size_t tables = (size_t)((char *)weights->positions - (char *)weights->memory);
        memset(weights->positions, 0, weights->n_bytes - tables);
        read_tables(weights);
        status = pack_all(weights, plan, kernels, pool, err);
    }
    if (status) {
        wb_weights_close(weights);
        return status;
    }
    *out = weights;
    return WB_OK;
}

wb_status wb_weights_adopt(wb_weights **out, const wb_plan *plan, const wb_kernels *kernels,
                           const wb_tensor_source *source, const void *packed, size_t n_bytes,
                           wb_error *err) {
    *out = NULL;
    wb_weights *weights;
    const wb_status status = create(&weights, plan, kernels, source, err);
    if (status) return status;
    if (weights->n_bytes != n_bytes) {
        wb_weights_close(weights);
        return wb_fail(err, WB_ERR_FORMAT, 0, "%zu bytes of packed weights, not the plan's",
                       n_bytes);
    }
    weights->packed = packed;
    place(weights, plan, kernels, (char *)(uintptr_t)packed);
    *out = weights;
    return WB_OK;
}

static uint64_t mark_address(uint64_t before, const void *array) {
    const uintptr_t address = (uintptr_t)array;
    return wb_fingerprint(before, &address, sizeof address);
}

static uint64_t mark_norm(uint64_t before, const wb_norm *norm) {
    return mark_address(mark_address(before, norm->gamma), norm->beta);
}

wb_status wb_weights_mark_layout(uint64_t *mark, const wb_plan *plan, const wb_kernels *kernels,
                                 wb_error *err) {
    static const wb_tensor_source nowhere = {NULL, NULL, NULL};
    wb_weights *weights;
    const wb_status status = create(&weights, plan, kernels, &nowhere, err);
    if (status) return status;
    // Laid out from an address at which nothing is: they are compared, never followed.
    place(weights, plan, kernels, (char *)(uintptr_t)64);
    uint64_t all = mark_norm(mark_address(0, weights->positions), &weights->embedding_norm);
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_linear *linear = wb_weights_matrix(weights, i);
        all = mark_address(mark_address(all, linear->panels), linear->bias);
        all = mark_address(mark_address(all, linear->w_scale), linear->x_factor);
    }
    for (int i = 0; i < plan->shape.n_layers; i++) {
        all = mark_norm(all, &weights->layers[i].attention_norm);
        all = mark_norm(all, &weights->layers[i].ffn_norm);
    }
    *mark = all;
    wb_weights_close(weights);
    return WB_OK;
}

void wb_weights_close(wb_weights *weights) {
    if (!weights) return;
    for (int i = 0; i < weights->shape.n_layers * WB_MATRICES_PER_LAYER + 2; i++)
        wb_linear_free(wb_weights_matrix(weights, i));
    wb_free(weights->layers);
    wb_free(weights->memory);
    wb_free(weights);
}
