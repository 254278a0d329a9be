// SPDX-License-Identifier: Apache-2.0
// The library's products with the epilogues that a forward asks for: that we describe them rightly,
// and which of them the library has on this GPU. A form it lacks is listed, not failed: linear.c
// then does the rest itself.
#include <math.h>
#include <stdio.h>

#include "gpucheck.h"

// A form of product that a forward may ask for.
typedef struct form {
    const char *name;
    wb_cell cell, y_cell;
    bool is_tf32, has_bias, has_residual, is_per_row;
    wb_activation activation;
} form;

static const form forms[] = {
    {"f32", WB_CELL_F32, WB_CELL_F32, false, true, true, false, WB_LINEAR},
    {"f32 relu", WB_CELL_F32, WB_CELL_F32, false, true, false, false, WB_RELU},
    {"tf32", WB_CELL_F32, WB_CELL_F32, true, true, true, false, WB_LINEAR},
    {"f16", WB_CELL_F16, WB_CELL_F16, false, true, true, false, WB_LINEAR},
    {"f16 gelu", WB_CELL_F16, WB_CELL_F16, false, true, false, false, WB_GELU},
    {"f16 to f32, relu", WB_CELL_F16, WB_CELL_F32, false, true, false, false, WB_RELU},
    {"bf16", WB_CELL_BF16, WB_CELL_BF16, false, true, true, false, WB_LINEAR},
    {"bf16 gelu", WB_CELL_BF16, WB_CELL_BF16, false, true, false, false, WB_GELU},
    {"i8", WB_CELL_I8, WB_CELL_I32, false, false, false, false, WB_LINEAR},
    {"fp8 to f16", WB_CELL_FP8, WB_CELL_F16, false, true, true, false, WB_LINEAR},
    {"fp8 to f16, gelu", WB_CELL_FP8, WB_CELL_F16, false, true, false, false, WB_GELU},
    {"fp8 to fp8, gelu", WB_CELL_FP8, WB_CELL_FP8, false, true, false, false, WB_GELU},
    {"fp8 to fp8", WB_CELL_FP8, WB_CELL_FP8, false, false, false, false, WB_LINEAR},
    {"fp8 to fp8, bias", WB_CELL_FP8, WB_CELL_FP8, false, true, false, false, WB_LINEAR},
    {"fp8 to fp8, relu", WB_CELL_FP8, WB_CELL_FP8, false, true, false, false, WB_RELU},
    {"fp8 to bf16", WB_CELL_FP8, WB_CELL_BF16, false, true, true, false, WB_LINEAR},
    {"fp8 to f32", WB_CELL_FP8, WB_CELL_F32, false, false, false, false, WB_LINEAR},
    {"fp8 by row", WB_CELL_FP8, WB_CELL_F16, false, false, false, true, WB_LINEAR},
    {"fp8 by row, bias", WB_CELL_FP8, WB_CELL_F16, false, true, false, true, WB_LINEAR},
    {"fp8 by row, bias, residual", WB_CELL_FP8, WB_CELL_F16, false, true, true, true, WB_LINEAR},
    {"fp8 by row, gelu", WB_CELL_FP8, WB_CELL_F16, false, true, false, true, WB_GELU},
};

// The library's gelu: the tanh form.
static double activation_oracle(wb_activation activation, double x) {
    if (activation == WB_RELU) return x > 0.0 ? x : 0.0;
    if (activation != WB_GELU) return x;
    return x / 2.0 * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

// Operands as the cells hold them.
typedef struct operands {
    float *x, *w, *bias, *residual, *x_scale, *w_scale;
    float y_scale;
} operands;

static wb_gpu_product draw(check *c, operands *o, const form *f, int m, int n, int k) {
    const size_t area = (size_t)m * (size_t)n;
    const wb_cell side = f->y_cell == WB_CELL_FP8 ? WB_CELL_F16 : f->y_cell;
    const float range = f->cell == WB_CELL_I8 ? 127.0f : 1.0f;
    wb_gpu_product p = {.m = m, .n = n, .k = k, .cell = f->cell, .is_tf32 = f->is_tf32};
    p.is_library_only = true;
    *o = (operands){.x = new_array((size_t)m * (size_t)k, 4),
                    .w = new_array((size_t)n * (size_t)k, 4),
                    .bias = new_array((size_t)n, 4),
                    .residual = new_array(area, 4),
                    .x_scale = new_array((size_t)m, 4),
                    .w_scale = new_array((size_t)n, 4),
                    .y_scale = 20.0f};
    p.x = check_random(c, o->x, (size_t)m * (size_t)k, f->cell, range);
    p.w = check_random(c, o->w, (size_t)n * (size_t)k, f->cell, range);
    if (f->has_bias) p.bias = check_random(c, o->bias, (size_t)n, side, 1.0f);
    if (f->has_residual) p.residual = check_random(c, o->residual, area, side, 1.0f);
    for (int i = 0; i < m; i++)
        o->x_scale[i] = f->is_per_row || i == 0 ? check_uniform(c, 0.5f, 2.0f) : o->x_scale[0];
    for (int j = 0; j < n; j++)
        o->w_scale[j] = f->is_per_row || j == 0 ? check_uniform(c, 0.01f, 0.1f) : o->w_scale[0];
    if (f->cell == WB_CELL_FP8) {
        p.x_scale = check_upload(c, o->x_scale, (size_t)m * 4);
        p.w_scale = check_upload(c, o->w_scale, (size_t)n * 4);
        p.is_scale_per_row = f->is_per_row;
        if (f->y_cell == WB_CELL_FP8) p.y_scale = check_upload(c, &o->y_scale, 4);
    }
    p.side_cell = side;
    p.y_cell = f->y_cell;
    p.activation = f->activation;
    p.ld_y = n;
    p.y = check_poisoned(c, area * wb_cell_bytes(f->y_cell));
    return p;
}

static double *want_of(const operands *o, const form *f, const wb_gpu_product *p, double *slack) {
    double *want = new_array((size_t)p->m * (size_t)p->n, sizeof *want);
    *slack = 0.0;
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            const size_t at = (size_t)i * (size_t)p->n + (size_t)j;
            double sum = 0.0, magnitude = 1.0;
            for (int l = 0; l < p->k; l++) {
                const double term = (double)o->x[(size_t)i * (size_t)p->k + (size_t)l] *
                                    (double)o->w[(size_t)j * (size_t)p->k + (size_t)l];
                sum += term;
                magnitude += fabs(term);
            }
            if (f->cell == WB_CELL_FP8) {
                const double scale = (double)o->x_scale[i] * (double)o->w_scale[j];
                sum *= scale, magnitude *= scale;
            }
            if (f->has_bias) sum += (double)o->bias[j];
            if (f->has_residual) sum += (double)o->residual[at];
            want[at] = activation_oracle(f->activation, sum);
            *slack = fmax(*slack, magnitude);
        }
    return want;
}

// Roundings of the operands on the way into the product, as a share of sum |x w|.
static double product_error(const form *f, int k) {
    if (f->cell == WB_CELL_I8) return 0.0;
    if (f->is_tf32) return 0x1p-10 * 4.0 / sqrt((double)k);
    if (f->cell == WB_CELL_FP8) return 0x1p-13 * 4.0;
    return 1e-6;
}

void check_product(check *c) {
    static const int ms[] = {16, 32, 48, 128, 200, 512};
    static const int ns[] = {16, 64, 128, 768}, ks[] = {64, 128, 256, 768};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int round = 0; round < check_rounds(c, 3); round++) {
            const form *f = &forms[i];
            const int m = ms[check_below(c, 6)], n = ns[check_below(c, 4)],
                      k = ks[check_below(c, 4)];
            check_begin(c, "%s, m %d, n %d, k %d", f->name, m, n, k);
            if (f->cell == WB_CELL_FP8 && !c->device.has_fp8) continue;
            operands o;
            wb_gpu_product p = draw(c, &o, f, m, n, k);
            bool is_possible = false;
            wb_error err;
            check_ok(wb_products_prepare(c->products, &p, c->stream, &is_possible, &err), &err);
            if (!is_possible) {
                printf("    cublasLt has no %s (m %d, n %d, k %d)\n", f->name, m, n, k);
            } else {
                check_ok(wb_products_run(c->products, &p, c->stream, &err), &err);
                double slack;
                double *want = want_of(&o, f, &p, &slack);
                wb_narrow y = {.rows = p.y, .cell = p.y_cell, .ld = n, .multiplier = o.y_scale};
                // Integers are exact: as f32 they are, below 2^24.
                if (p.y_cell == WB_CELL_I32) y.cell = WB_CELL_I32;
                check_narrow(c, &y, want, m, n, slack * product_error(f, k), NULL);
                wb_free(want);
            }
            wb_free(o.x), wb_free(o.w), wb_free(o.bias), wb_free(o.residual);
            wb_free(o.x_scale), wb_free(o.w_scale);
        }
}

// Products of few rows, all in one kernel: any m up to 64, both cells, all activations.
void check_skinny(check *c) {
    static const int ns[] = {16, 48, 768, 2304}, ks[] = {32, 64, 256, 288, 768, 3072};
    for (int round = 0; round < check_rounds(c, 40); round++) {
        const wb_cell cell = check_below(c, 2) ? WB_CELL_F16 : WB_CELL_BF16;
        const bool is_f32 = check_below(c, 4) == 0, has_residual = !is_f32 && check_below(c, 2);
        const int m = 1 + check_below(c, 64), n = ns[check_below(c, 4)], k = ks[check_below(c, 6)];
        const size_t area = (size_t)m * (size_t)n;
        wb_skinny_args args = {
            .cell = cell, .y_cell = is_f32 ? WB_CELL_F32 : cell, .m = m, .n = n, .k = k, .ld_y = n};
        args.activation = (wb_activation)check_below(c, 4);
        check_begin(c, "%s, m %d, n %d, k %d, activation %d", cell_name(cell), m, n, k,
                    args.activation);
        float *x = new_array((size_t)m * (size_t)k, 4), *w = new_array((size_t)n * (size_t)k, 4);
        float *bias = new_array((size_t)n, 4), *residual = new_array(area, 4);
        double *want = new_array(area, 8), slack = 0.0;
        args.x = check_random(c, x, (size_t)m * (size_t)k, cell, 1.0f);
        args.w = check_random(c, w, (size_t)n * (size_t)k, cell, 0.2f);
        args.bias = check_random(c, bias, (size_t)n, WB_CELL_F32, 1.0f);
        if (has_residual) args.residual = check_random(c, residual, area, cell, 1.0f);
        args.y = check_poisoned(c, area * wb_cell_bytes(args.y_cell));
        check_gpu(wb_launch_skinny(&args, c->stream), "skinny");
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                const size_t at = (size_t)i * (size_t)n + (size_t)j;
                double sum = (double)bias[j] + (double)residual[at], magnitude = 2.0;
                for (int l = 0; l < k; l++) {
                    const double term = (double)x[(size_t)i * (size_t)k + (size_t)l] *
                                        (double)w[(size_t)j * (size_t)k + (size_t)l];
                    sum += term;
                    magnitude += fabs(term);
                }
                want[at] = args.activation == WB_GELU   ? sum / 2.0 * (1.0 + erf(sum / sqrt(2.0)))
                           : args.activation == WB_RELU ? fmax(sum, 0.0)
                           : args.activation == WB_SILU ? sum / (1.0 + exp(-sum))
                                                        : sum;
                slack = fmax(slack, magnitude);
            }
        const wb_narrow y = {.rows = args.y, .cell = args.y_cell, .ld = n};
        check_narrow(c, &y, want, m, n, slack * 1e-6, NULL);
        wb_free(x), wb_free(w), wb_free(bias), wb_free(residual), wb_free(want);
    }
}
