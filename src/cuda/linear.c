// SPDX-License-Identifier: Apache-2.0
// One matrix product of the model. The product's epilogue, cuBLASLt's or that of our own fp8
// kernel, does as much as it can: bias, the residual, relu, gelu's tanh form, fp8 results. Each
// form is tried from the most to the least, once a shape, and what is left is done by
// wb_launch_finish in one more pass over the result.
#include "cuda/state.h"

// The forms of one product, dearest epilogue first.
typedef struct form {
    bool has_narrow;  // the result in fp8
    bool has_residual, has_activation, has_bias;
} form;

static const form forms[] = {
    {.has_narrow = true, .has_activation = true, .has_bias = true},
    {.has_residual = true, .has_activation = true, .has_bias = true},
    {.has_activation = true, .has_bias = true},
    {.has_residual = true, .has_bias = true},
    {.has_bias = true},
    {.has_bias = false},
};

wb_narrow wb_narrow_for(const wb_gpu_matrix *matrix, wb_cell x_cell, void *rows, float *scale,
                        int width) {
    wb_narrow narrow = {.cell = matrix->cell, .ld = width};
    if (matrix->cell == x_cell) return narrow;
    narrow.rows = rows;
    switch (matrix->precision) {
        case WB_I8_DYNAMIC:
        case WB_FP8_DYNAMIC: narrow.row_scale = scale; break;
        case WB_I8_STATIC:
        case WB_FP8_STATIC:
            narrow.multiplier = 1.0f / matrix->x_scale;
            narrow.column_multiplier = matrix->column_multiplier;
            break;
        default: break;
    }
    return narrow;
}

// Rows [first, ..) of the weights as they are multiplied; cast now under autocast.
static wb_status prepare_weights(wb_gpu *gpu, const wb_gpu_linear *l, const void **w,
                                 wb_error *err) {
    const wb_gpu_matrix *matrix = l->matrix;
    const size_t skipped = (size_t)l->first * (size_t)matrix->k;
    const size_t area = (size_t)l->n * (size_t)matrix->k;
    if (!matrix->is_autocast || matrix->cell == WB_CELL_F32) {
        *w = (const char *)matrix->w + skipped * wb_cell_bytes(matrix->cell);
        return WB_OK;
    }
    *w = gpu->workspace.cast;
    return wb_device_check(
        wb_launch_cast(gpu->workspace.cast, matrix->cell, (const float *)matrix->w + skipped,
                       WB_CELL_F32, area, gpu->stream),
        "casting weights", err);
}

// Whether the library's gelu, the tanh form, stands in for the erf form: it saves a pass over the
// widest array, 0.36 ms of 2.0 ms a layer at 65,536 tokens in f16. On a trained SST-2 checkpoint it
// moves the logits by 7e-4 of their norm and no label of 872 (bench/results/gpu-kernels-h100.md),
// as much as f16's own roundings. Never for f32 and tf32, whose results are compared digit by
// digit. Our own fp8 kernel's is nearer to the erf form (product_fp8.cu).
static bool is_gelu_library(const wb_gpu_linear *l) {
    return l->matrix->cell != WB_CELL_F32;
}

static bool can_activate(const wb_gpu_linear *l) {
    switch (l->activation) {
        case WB_LINEAR:
        case WB_RELU: return true;
        case WB_GELU: return is_gelu_library(l);
        default: return false;
    }
}

// Whether the library can write narrow itself: fp8 with one scale.
static bool can_narrow(const wb_gpu_linear *l) {
    return l->narrow.rows && l->narrow.cell == WB_CELL_FP8 && l->matrix->cell == WB_CELL_FP8 &&
           !l->narrow.row_scale && !l->narrow.column_multiplier && l->multiplier;
}

static wb_gpu_product describe(const wb_gpu *gpu, const wb_gpu_linear *l, const form *f,
                               const void *w) {
    const wb_gpu_matrix *matrix = l->matrix;
    const bool is_f32_bias = l->y_cell == WB_CELL_F32;
    const size_t bias_bytes = is_f32_bias ? sizeof(float) : wb_cell_bytes(gpu->weights.y_cell);
    const char *bias = is_f32_bias ? (const char *)matrix->bias : (const char *)matrix->y_bias;
    wb_gpu_product p = {.m = l->m,
                        .n = l->n,
                        .k = matrix->k,
                        .cell = matrix->cell,
                        .is_tf32 = matrix->precision == WB_TF32,
                        .x = l->x,
                        .w = w,
                        .y = l->y,
                        .y_cell = l->y_cell,
                        .ld_y = l->ld_y,
                        .side_cell = l->y_cell,
                        .bias = f->has_bias ? bias + (size_t)l->first * bias_bytes : NULL,
                        .residual = f->has_residual ? l->residual : NULL,
                        .activation = f->has_activation ? l->activation : WB_LINEAR};
    if (matrix->cell == WB_CELL_FP8) {
        p.is_scale_per_row = matrix->precision == WB_FP8_DYNAMIC;
        p.x_scale = p.is_scale_per_row ? l->x_scale : matrix->x_scale_there;
        p.w_scale = matrix->w_scale + (p.is_scale_per_row ? l->first : 0);
        if (f->has_narrow) {
            p.y = l->narrow.rows;
            p.y_cell = WB_CELL_FP8;
            p.ld_y = l->narrow.ld;
            p.y_scale = l->multiplier;
        }
    }
    return p;
}

// The pass after the product, from y or from integer sums.
static wb_status finish(wb_gpu *gpu, const wb_gpu_linear *l, const form *f, wb_error *err) {
    const wb_gpu_matrix *matrix = l->matrix;
    const bool is_i8 = matrix->cell == WB_CELL_I8;
    wb_finish_args args = {.sums = is_i8 ? gpu->workspace.integers : l->y,
                           .cell = is_i8 ? WB_CELL_I32 : l->y_cell,
                           .ld_sums = is_i8 ? l->n : l->ld_y,
                           .x_scale = 1.0f,
                           .bias = f->has_bias ? NULL : matrix->bias + l->first,
                           .activation = f->has_activation ? WB_LINEAR : l->activation,
                           .narrow = l->narrow,
                           .m = l->m,
                           .n = l->n};
    if (is_i8) {
        args.row_scale = matrix->precision == WB_I8_DYNAMIC ? l->x_scale : NULL;
        args.x_scale = matrix->x_scale;
        args.column_scale = matrix->w_scale + l->first;
    }
    // In place where a block reads its whole row before it writes.
    if (!l->narrow.rows) args.narrow = (wb_narrow){.rows = l->y, .cell = l->y_cell, .ld = l->ld_y};
    return wb_device_check(wb_launch_finish(&args, gpu->stream), "finishing a matrix product", err);
}

static wb_status forward_i8(wb_gpu *gpu, const wb_gpu_linear *l, wb_error *err) {
    const wb_gpu_matrix *matrix = l->matrix;
    const wb_gpu_product p = {.m = l->m,
                              .n = l->n,
                              .k = matrix->k,
                              .cell = WB_CELL_I8,
                              .x = l->x,
                              .w = (const int8_t *)matrix->w + (size_t)l->first * (size_t)matrix->k,
                              .y = gpu->workspace.integers,
                              .y_cell = WB_CELL_I32,
                              .ld_y = l->n,
                              .side_cell = WB_CELL_I32};
    const form none = {.has_bias = false};
    const wb_status status = wb_products_run(gpu->products, &p, gpu->stream, err);
    return status ? status : finish(gpu, l, &none, err);
}

// Few rows in 16 bits: all in one kernel of ours, which reads its weights ahead; under autocast
// they have only just been cast.
static bool forward_skinny(wb_gpu *gpu, const wb_gpu_linear *l, const void *w, bool *is_added,
                           wb_status *status, wb_error *err) {
    const wb_skinny_args args = {.x = l->x,
                                 .w = w,
                                 .bias = l->matrix->bias + l->first,
                                 .residual = l->residual,
                                 .y = l->y,
                                 .cell = l->matrix->cell,
                                 .y_cell = l->y_cell,
                                 .ld_y = l->ld_y,
                                 .m = l->m,
                                 .n = l->n,
                                 .k = l->matrix->k,
                                 .activation = l->activation};
    if (l->matrix->is_autocast || l->narrow.rows || !wb_skinny_takes(&args)) return false;
    *status = wb_device_check(wb_launch_skinny(&args, gpu->stream), "a product of few rows", err);
    if (is_added) *is_added = l->residual != NULL;
    return true;
}

wb_status wb_gpu_linear_forward(wb_gpu *gpu, const wb_gpu_linear *l, bool *is_added,
                                wb_error *err) {
    if (is_added) *is_added = false;
    if (l->matrix->cell == WB_CELL_I8) return forward_i8(gpu, l, err);
    const void *w = NULL;
    wb_status status = prepare_weights(gpu, l, &w, err);
    if (!status && forward_skinny(gpu, l, w, is_added, &status, err)) return status;
    for (size_t i = 0; i < sizeof forms / sizeof *forms && !status; i++) {
        const form *f = &forms[i];
        if (f->has_narrow && !can_narrow(l)) continue;
        if (f->has_residual && !l->residual) continue;
        if (f->has_activation && !can_activate(l)) continue;
        const wb_gpu_product p = describe(gpu, l, f, w);
        bool is_possible = false;
        status = wb_products_prepare(gpu->products, &p, gpu->stream, &is_possible, err);
        if (status || !is_possible) continue;
        status = wb_products_run(gpu->products, &p, gpu->stream, err);
        if (is_added) *is_added = f->has_residual;
        const bool is_narrow = !l->narrow.rows || f->has_narrow;
        const bool is_whole = f->has_bias && (f->has_activation || l->activation == WB_LINEAR);
        if (status || (is_whole && is_narrow)) return status;
        return finish(gpu, l, f, err);
    }
    if (status) return status;
    return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                   "cuBLASLt has no product %d x %d x %d in %s on this GPU, use another precision",
                   l->m, l->n, l->matrix->k,
                   l->matrix->cell == WB_CELL_FP8 ? "fp8" : "this precision");
}
