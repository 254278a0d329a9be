// SPDX-License-Identifier: Apache-2.0
// Rounding to 8-bit floats in software. A scale maps the largest magnitude to the largest number
// there is, 448, on both sides of the product.
#include "engine/simulated_fp8.h"

#include <math.h>

#include "engine/eighth.h"

// The rows of a product are at most a block's or the longest text's.
static size_t count_cells(const wb_plan *plan) {
    const int rows =
        plan->block_rows > plan->shape.max_length ? plan->block_rows : plan->shape.max_length;
    int widest = 0;
    for (int i = 0; i < plan->n_matrices; i++)
        if (plan->matrices[i].k > widest) widest = plan->matrices[i].k;
    return (size_t)rows * (size_t)widest;
}

wb_status wb_fp8_open(wb_fp8_simulation *s, wb_trial *trial, const wb_matrix_scales *matrices,
                      wb_error *err) {
    *s = (wb_fp8_simulation){.trial = trial, .matrices = matrices};
    s->is_on = wb_alloc_array((size_t)trial->plan.n_matrices, sizeof *s->is_on);
    s->x = wb_alloc_array(count_cells(&trial->plan), sizeof *s->x);
    return s->is_on && s->x ? WB_OK : wb_fail(err, WB_ERR_MEMORY, 0, "simulation of fp8");
}

void wb_fp8_close(wb_fp8_simulation *s) {
    wb_free(s->is_on);
    wb_free(s->x);
    *s = (wb_fp8_simulation){0};
}

// x as e4m3 in a scale in which largest is the largest number.
static float round_in_scale(float x, float largest) {
    if (!(largest > 0.0f)) return 0.0f;
    return wb_round_e4m3(x * (WB_E4M3_MAX / largest)) * (largest / WB_E4M3_MAX);
}

static void round_weights(float *w, const wb_matrix *m) {
    const size_t n_cells = (size_t)m->n * (size_t)m->k;
    float largest = 0.0f;
    for (size_t i = 0; i < n_cells; i++) largest = fmaxf(largest, fabsf(w[i]));
    for (size_t i = 0; i < n_cells; i++) w[i] = round_in_scale(w[i], largest);
}

wb_status wb_fp8_pack(wb_linear *linear, const wb_fp8_simulation *s, int matrix, wb_error *err) {
    const wb_trial *t = s->trial;
    const wb_matrix *m = &t->plan.matrices[matrix];
    *linear = (wb_linear){0};
    float *w = wb_alloc((size_t)m->n * (size_t)m->k * sizeof *w);
    float *bias = wb_alloc((size_t)m->n * sizeof *bias);
    wb_status status = WB_OK;
    if (w && bias) {
        wb_weights_read_matrix(w, bias, &t->plan, matrix, &t->source);
        round_weights(w, m);
        status = wb_linear_pack(linear, &t->engine->kernels, WB_F32, false, NULL, w, bias, m->n,
                                m->k, err);
    } else {
        status = wb_fail(err, WB_ERR_MEMORY, 0, "simulation of %s in fp8", m->name);
    }
    wb_free(w);
    wb_free(bias);
    return status;
}

// simulation->x <- the product's inputs, rounded.
static const float *round_inputs(void *context, const wb_product *product) {
    const wb_fp8_simulation *s = context;
    const int matrix = wb_trial_find(s->trial, product->linear);
    if (matrix < 0 || !s->is_on[matrix]) return NULL;
    const wb_matrix_scales *scales = &s->matrices[matrix];
    const size_t k = (size_t)product->linear->k;
    for (size_t i = 0; i < (size_t)product->m; i++) {
        const float *row = product->x + i * (size_t)product->ld_x;
        for (size_t j = 0; j < k; j++) s->x[i * k + j] = round_in_scale(row[j], scales->fp8_x_max);
    }
    return s->x;
}

wb_product_tap wb_fp8_tap(wb_fp8_simulation *simulation) {
    return (wb_product_tap){.see = round_inputs, .context = simulation};
}
