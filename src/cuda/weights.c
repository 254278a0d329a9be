// SPDX-License-Identifier: Apache-2.0
// Weights to the GPU, once: each matrix is read as f32, smoothed where calibration says so,
// uploaded to a staging block and turned into its precision there, by the same kernels that
// quantize activations. Query, key and value become one matrix.
#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>

#include "cuda/state.h"

enum { NAME_BYTES = 96, MOST_PARTS = 3 };

static const float FP8_MOST = 448.0f, I8_MOST = 127.0f;

// Host and GPU memory that one matrix passes through.
typedef struct staging {
    float *w, *bias;  // host
    void *there;      // GPU
    wb_stream stream;
    bool has_units;
} staging;

static wb_cell cell_of(wb_precision precision) {
    switch (precision) {
        case WB_F16: return WB_CELL_F16;
        case WB_BF16: return WB_CELL_BF16;
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC: return WB_CELL_I8;
        case WB_FP8_DYNAMIC:
        case WB_FP8_STATIC: return WB_CELL_FP8;
        default: return WB_CELL_F32;
    }
}

static bool is_static(wb_precision precision) {
    return precision == WB_I8_STATIC || precision == WB_FP8_STATIC;
}

// The narrowest cell that loses nothing of what the layers' matrices work in: quantized ones are
// fed from f16, unless all else is bf16.
static wb_cell choose_y_cell(const wb_plan *plan) {
    bool has_f32 = false, has_f16 = false, has_bf16 = false;
    for (int i = 0; i < wb_plan_pre_classifier(plan); i++) {
        const wb_cell cell = cell_of(plan->matrices[i].precision);
        has_f32 |= cell == WB_CELL_F32;
        has_f16 |= cell == WB_CELL_F16;
        has_bf16 |= cell == WB_CELL_BF16;
    }
    if (has_f32 || (has_f16 && has_bf16)) return WB_CELL_F32;
    return has_bf16 ? WB_CELL_BF16 : WB_CELL_F16;
}

static bool has_autocast(const wb_plan *plan) {
    bool has = false;
    for (int i = 0; i < plan->n_matrices; i++) has |= plan->matrices[i].is_autocast;
    return has;
}

// ---- Reading ----

// w[n, k], bias[n] <- matrix i of the plan, its parts one under the other.
static void read_matrix(const staging *s, const wb_plan *plan, int i,
                        const wb_tensor_source *source) {
    static const char *const names[WB_MATRICES_PER_LAYER][MOST_PARTS] = {
        [WB_MATRIX_QKV] = {"attention.q_lin", "attention.k_lin", "attention.v_lin"},
        [WB_MATRIX_ATTENTION_OUT] = {"attention.out_lin"},
        [WB_MATRIX_FFN_UP] = {"ffn.lin1"},
        [WB_MATRIX_FFN_DOWN] = {"ffn.lin2"},
    };
    const bool is_head = i >= wb_plan_pre_classifier(plan);
    const int kind = i % WB_MATRICES_PER_LAYER, layer = i / WB_MATRICES_PER_LAYER;
    const int n_parts = !is_head && kind == WB_MATRIX_QKV ? MOST_PARTS : 1;
    const size_t rows = (size_t)(plan->matrices[i].n / n_parts), k = (size_t)plan->matrices[i].k;
    for (int part = 0; part < n_parts; part++) {
        char prefix[NAME_BYTES], name[NAME_BYTES + 8];
        if (is_head)
            snprintf(prefix, sizeof prefix, "%s",
                     i == wb_plan_classifier(plan) ? "classifier" : "pre_classifier");
        else
            snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.%s", layer,
                     names[kind][part]);
        snprintf(name, sizeof name, "%s.weight", prefix);
        source->read(source->context, name, 0, rows * k, s->w + (size_t)part * rows * k);
        snprintf(name, sizeof name, "%s.bias", prefix);
        source->read(source->context, name, 0, rows, s->bias + (size_t)part * rows);
    }
}

static void smooth_columns(float *w, int n, int k, const float *smooth) {
    for (size_t row = 0; row < (size_t)n; row++)
        for (size_t column = 0; column < (size_t)k; column++)
            w[row * (size_t)k + column] *= smooth[column];
}

static float find_absmax(const float *x, size_t n) {
    float most = 0.0f;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

// ---- To the GPU ----

// Returns when the bytes are there: a copy from memory that is not pinned may return before.
static wb_status upload(void *to, const void *from, size_t n_bytes, const char *what,
                        wb_error *err) {
    cudaError_t code = cudaMemcpy(to, from, n_bytes, cudaMemcpyHostToDevice);
    if (!code) code = cudaDeviceSynchronize();
    return wb_device_check(code, what, err);
}

// *out <- n floats on the GPU.
static wb_status upload_floats(float **out, const float *x, size_t n, const char *what,
                               size_t *total, wb_error *err) {
    void *there = NULL;
    wb_status status = wb_device_alloc(&there, n * sizeof *x, what, total, err);
    *out = there;
    if (!status) status = upload(there, x, n * sizeof *x, what, err);
    return status;
}

// *out <- n floats in another cell, by way of the staging block.
static wb_status upload_cells(void **out, wb_cell cell, const staging *s, const float *x, size_t n,
                              const char *what, size_t *total, wb_error *err) {
    wb_status status = wb_device_alloc(out, n * wb_cell_bytes(cell), what, total, err);
    if (!status) status = upload(s->there, x, n * sizeof *x, what, err);
    if (!status)
        status = wb_device_check(wb_launch_cast(*out, cell, s->there, WB_CELL_F32, n, s->stream),
                                 what, err);
    if (!status) status = wb_device_check(cudaStreamSynchronize(s->stream), what, err);
    return status;
}

// w as i8 or fp8: one scale a row, or one for all of it in static fp8, whose products take only
// one; e4m3 keeps its three bits over 2^15, so that rows of smaller weights lose nothing.
static wb_status upload_quantized(wb_gpu_matrix *m, const staging *s, const char *what,
                                  size_t *total, wb_error *err) {
    const size_t area = (size_t)m->n * (size_t)m->k;
    const bool is_tensor = m->precision == WB_FP8_STATIC;
    wb_narrow narrow = {.cell = m->cell, .ld = m->k};
    wb_status status = wb_device_alloc(&m->w, area, what, total, err);
    if (!status && is_tensor) {
        const float scale = fmaxf(find_absmax(s->w, area), 0x1p-60f) / FP8_MOST;
        narrow.multiplier = 1.0f / scale;
        status = upload_floats(&m->w_scale, &scale, 1, what, total, err);
    } else if (!status) {
        void *scales = NULL;
        status = wb_device_alloc(&scales, (size_t)m->n * sizeof(float), what, total, err);
        m->w_scale = narrow.row_scale = scales;
    }
    if (!status) status = upload(s->there, s->w, area * sizeof(float), what, err);
    narrow.rows = m->w;
    const wb_finish_args args = {.sums = s->there,
                                 .cell = WB_CELL_F32,
                                 .ld_sums = m->k,
                                 .x_scale = 1.0f,
                                 .narrow = narrow,
                                 .m = m->n,
                                 .n = m->k};
    if (!status) status = wb_device_check(wb_launch_finish(&args, s->stream), what, err);
    if (!status) status = wb_device_check(cudaStreamSynchronize(s->stream), what, err);
    return status;
}

// Smoothing is int8's: a float's relative error does not depend on its size.
static const float *smooth_of(const wb_gpu_matrix *m, const wb_matrix_scales *scales) {
    return m->cell == WB_CELL_I8 ? scales->smooth : NULL;
}

// What a static matrix needs of its input's scales.
static wb_status upload_scales(wb_gpu_matrix *m, const wb_matrix_scales *scales, const char *what,
                               size_t *total, wb_error *err) {
    const bool is_fp8 = m->cell == WB_CELL_FP8;
    const float *smooth = smooth_of(m, scales);
    const float x_max = is_fp8 ? scales->fp8_x_max : scales->x_max;
    m->x_scale = fmaxf(x_max, 0x1p-60f) / (is_fp8 ? FP8_MOST : I8_MOST);
    const float multiplier = 1.0f / m->x_scale;
    wb_status status = upload_floats(&m->x_scale_there, &m->x_scale, 1, what, total, err);
    if (!status) status = upload_floats(&m->x_multiplier_there, &multiplier, 1, what, total, err);
    if (status || !smooth) return status;
    float *multipliers = wb_alloc_array((size_t)m->k, sizeof *multipliers);
    if (!multipliers) return wb_fail(err, WB_ERR_MEMORY, 0, "%s", what);
    for (int i = 0; i < m->k; i++) multipliers[i] = multiplier / smooth[i];
    status = upload_floats(&m->column_multiplier, multipliers, (size_t)m->k, what, total, err);
    wb_free(multipliers);
    return status;
}

// The norm whose rows matrix i reads, or NULL.
static const wb_gpu_norm *norm_before(const wb_gpu_weights *weights, const wb_plan *plan, int i) {
    const int layer = i / WB_MATRICES_PER_LAYER;
    const bool is_head = i == wb_plan_pre_classifier(plan);
    switch (is_head ? WB_MATRIX_QKV : i % WB_MATRICES_PER_LAYER) {
        case WB_MATRIX_QKV:
            return layer ? &weights->norms[2 * layer - 1] : &weights->embedding_norm;
        case WB_MATRIX_FFN_UP: return &weights->norms[2 * layer];
        default: return NULL;
    }
}

// From w as f32 in the staging block and the bias on the GPU.
static wb_status open_units(wb_gpu_matrix *m, const wb_gpu_norm *norm, bool is_in_order,
                            const staging *s, const char *what, size_t *total, wb_error *err) {
    const size_t n = (size_t)m->n, area = n * (size_t)m->k;
    void *sums = NULL, *bias = NULL;
    wb_status status = wb_device_alloc(&m->units, area * wb_cell_bytes(m->cell), what, total, err);
    if (!status && norm) status = wb_device_alloc(&sums, n * sizeof(float), what, total, err);
    m->sums = sums;
    if (!status && norm) status = wb_device_alloc(&bias, n * sizeof(float), what, total, err);
    m->folded_bias = bias;
    const wb_fold_args args = {.w = s->there,
                               .bias = m->bias,
                               .gamma = norm ? norm->gamma : NULL,
                               .beta = norm ? norm->beta : NULL,
                               .units = m->units,
                               .sums = m->sums,
                               .folded_bias = m->folded_bias,
                               .cell = m->cell,
                               .n = m->n,
                               .k = m->k,
                               .is_in_order = is_in_order};
    if (!status) status = wb_device_check(wb_launch_fold(&args, s->stream), what, err);
    if (!status) status = wb_device_check(cudaStreamSynchronize(s->stream), what, err);
    return status;
}

static wb_status open_matrix(wb_gpu_weights *weights, int i, const staging *s,
                             const wb_cuda_setup *setup, wb_error *err) {
    const wb_plan *plan = setup->plan;
    const wb_matrix *planned = &plan->matrices[i];
    wb_gpu_matrix *m = &weights->matrices[i];
    *m = (wb_gpu_matrix){.n = planned->n,
                         .k = planned->k,
                         .precision = planned->precision,
                         .is_autocast = planned->is_autocast,
                         .cell = cell_of(planned->precision)};
    const size_t area = (size_t)m->n * (size_t)m->k, n = (size_t)m->n;
    read_matrix(s, plan, i, setup->source);
    wb_status status = WB_OK;
    if (is_static(m->precision)) {
        const wb_matrix_scales *scales = &setup->scales->matrices[i];
        const float *smooth = smooth_of(m, scales);
        if (smooth) smooth_columns(s->w, m->n, m->k, smooth);
        status = upload_scales(m, scales, planned->name, &weights->n_bytes, err);
    }
    const bool is_f32 = m->is_autocast || m->cell == WB_CELL_F32 || i == wb_plan_classifier(plan);
    float *w_f32 = NULL;
    if (!status && is_f32) {
        status = upload_floats(&w_f32, s->w, area, planned->name, &weights->n_bytes, err);
        m->w = w_f32;
    } else if (!status && (m->cell == WB_CELL_I8 || m->cell == WB_CELL_FP8)) {
        status = upload_quantized(m, s, planned->name, &weights->n_bytes, err);
    } else if (!status) {
        status = upload_cells(&m->w, m->cell, s, s->w, area, planned->name, &weights->n_bytes, err);
    }
    if (!status)
        status = upload_floats(&m->bias, s->bias, n, planned->name, &weights->n_bytes, err);
    if (!status && s->has_units && i != wb_plan_classifier(plan)) {
        // Attention's output comes to its product in registers, in order.
        const bool is_in_order = i < wb_plan_pre_classifier(plan) &&
                                 i % WB_MATRICES_PER_LAYER == WB_MATRIX_ATTENTION_OUT;
        status = open_units(m, norm_before(weights, plan, i), is_in_order, s, planned->name,
                            &weights->n_bytes, err);
    }
    if (!status && n % 8 == 0)
        status = upload_cells(&m->y_bias, weights->y_cell, s, s->bias, n, planned->name,
                              &weights->n_bytes, err);
    return status;
}

static wb_status open_norm(wb_gpu_norm *norm, const staging *s, const char *prefix, int d,
                           const wb_tensor_source *source, size_t *total, wb_error *err) {
    char name[NAME_BYTES + 8];
    snprintf(name, sizeof name, "%s.weight", prefix);
    source->read(source->context, name, 0, (size_t)d, s->bias);
    const wb_status status = upload_floats(&norm->gamma, s->bias, (size_t)d, prefix, total, err);
    if (status) return status;
    snprintf(name, sizeof name, "%s.bias", prefix);
    source->read(source->context, name, 0, (size_t)d, s->bias);
    return upload_floats(&norm->beta, s->bias, (size_t)d, prefix, total, err);
}

static wb_status open_norms(wb_gpu_weights *weights, const staging *s, const wb_cuda_setup *setup,
                            wb_error *err) {
    const int d = setup->plan->shape.d_model;
    wb_status status = open_norm(&weights->embedding_norm, s, "distilbert.embeddings.LayerNorm", d,
                                 setup->source, &weights->n_bytes, err);
    for (int i = 0; i < 2 * setup->plan->shape.n_layers && !status; i++) {
        char prefix[NAME_BYTES];
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.%s", i / 2,
                 i % 2 ? "output_layer_norm" : "sa_layer_norm");
        status = open_norm(&weights->norms[i], s, prefix, d, setup->source, &weights->n_bytes, err);
    }
    return status;
}

// A table of embeddings, in pieces that fit the staging block; rows go by read_word where the
// source has words by row.
static wb_status open_table(void **out, const wb_gpu_weights *weights, const staging *s,
                            size_t most, size_t n_rows, bool is_words, const wb_cuda_setup *setup,
                            size_t *total, wb_error *err) {
    const char *what = is_words ? "word embeddings" : "position embeddings";
    const size_t d = (size_t)setup->plan->shape.d_model, cell = wb_cell_bytes(weights->x_cell);
    const wb_tensor_source *source = setup->source;
    wb_status status = wb_device_alloc(out, n_rows * d * cell, what, total, err);
    const size_t per_piece = most / d;
    for (size_t first = 0; first < n_rows && !status; first += per_piece) {
        const size_t n = n_rows - first < per_piece ? n_rows - first : per_piece;
        if (is_words)
            for (size_t row = 0; row < n; row++)
                source->read_word(source->context, (int)(first + row), s->w + row * d);
        else
            source->read(source->context, "distilbert.embeddings.position_embeddings.weight",
                         first * d, n * d, s->w);
        status = upload(s->there, s->w, n * d * sizeof(float), what, err);
        if (!status)
            status =
                wb_device_check(wb_launch_cast((char *)*out + first * d * cell, weights->x_cell,
                                               s->there, WB_CELL_F32, n * d, s->stream),
                                what, err);
        if (!status) status = wb_device_check(cudaStreamSynchronize(s->stream), what, err);
    }
    return status;
}

static wb_status open_all(wb_gpu_weights *weights, const staging *s, size_t most,
                          const wb_cuda_setup *setup, wb_error *err) {
    const wb_shape *shape = &setup->plan->shape;
    wb_status status = open_table(&weights->words, weights, s, most, (size_t)shape->vocab_size,
                                  true, setup, &weights->n_bytes, err);
    if (!status)
        status = open_table(&weights->positions, weights, s, most, (size_t)shape->max_positions,
                            false, setup, &weights->n_bytes, err);
    if (!status) status = open_norms(weights, s, setup, err);
    for (int i = 0; i < setup->plan->n_matrices && !status; i++)
        status = open_matrix(weights, i, s, setup, err);
    return status;
}

wb_status wb_gpu_weights_open(wb_gpu_weights *weights, const wb_cuda_setup *setup, bool has_units,
                              wb_stream stream, wb_error *err) {
    const wb_plan *plan = setup->plan;
    const wb_cell y_cell = choose_y_cell(plan);
    *weights =
        (wb_gpu_weights){.y_cell = y_cell, .x_cell = has_autocast(plan) ? WB_CELL_F32 : y_cell};
    size_t most = (size_t)plan->shape.d_model, most_n = (size_t)plan->shape.d_model;
    for (int i = 0; i < plan->n_matrices; i++) {
        const size_t n = (size_t)plan->matrices[i].n, area = n * (size_t)plan->matrices[i].k;
        most = area > most ? area : most;
        most_n = n > most_n ? n : most_n;
    }
    staging s = {.w = wb_alloc_array(most, sizeof *s.w),
                 .bias = wb_alloc_array(most_n, sizeof *s.bias),
                 .stream = stream,
                 .has_units = has_units};
    weights->norms = wb_alloc_array(2 * (size_t)plan->shape.n_layers, sizeof *weights->norms);
    weights->matrices = wb_alloc_array((size_t)plan->n_matrices, sizeof *weights->matrices);
    wb_status status = WB_OK;
    if (!s.w || !s.bias || !weights->norms || !weights->matrices)
        status = wb_fail(err, WB_ERR_MEMORY, 0, "weights on their way to the GPU");
    if (!status)
        status = wb_device_alloc(&s.there, most * sizeof(float), "staging of weights", NULL, err);
    if (!status) status = open_all(weights, &s, most, setup, err);
    wb_device_free(s.there);
    wb_free(s.w);
    wb_free(s.bias);
    if (status) wb_gpu_weights_close(weights, plan);
    return status;
}

static void close_norm(wb_gpu_norm *norm) {
    wb_device_free(norm->gamma);
    wb_device_free(norm->beta);
}

static void close_matrix(wb_gpu_matrix *m) {
    void *const blocks[] = {m->w,
                            m->w_scale,
                            m->bias,
                            m->y_bias,
                            m->units,
                            m->folded_bias,
                            m->sums,
                            m->x_scale_there,
                            m->x_multiplier_there,
                            m->column_multiplier};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) wb_device_free(blocks[i]);
}

void wb_gpu_weights_close(wb_gpu_weights *weights, const wb_plan *plan) {
    for (int i = 0; weights->norms && i < 2 * plan->shape.n_layers; i++)
        close_norm(&weights->norms[i]);
    for (int i = 0; weights->matrices && i < plan->n_matrices; i++)
        close_matrix(&weights->matrices[i]);
    close_norm(&weights->embedding_norm);
    wb_device_free(weights->words);
    wb_device_free(weights->positions);
    wb_free(weights->norms);
    wb_free(weights->matrices);
    *weights = (wb_gpu_weights){0};
}
