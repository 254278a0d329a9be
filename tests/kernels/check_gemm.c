// SPDX-License-Identifier: Apache-2.0
// Products: each precision against the oracle, f32 also bit for bit against the scalar set and
// against itself cut by rows and by panels, which is what a split over threads does.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "check.h"
#include "oracle.h"

static const float unit = 0x1p-24f;  // the largest relative error of one rounding of f32

static const char *const activation_names[] = {"linear", "gelu", "relu", "silu"};

// Shapes, operands and results of one round.
typedef struct product {
    int m, n, k, ld_x, ld_y;
    check_data data;
    const float *x, *w;  // [m, ld_x], [n, k]
    wb_epilogue epilogue;
    float *y;  // [m, ld_y]
} product;

static size_t cells(int m, int ld) {
    return (size_t)m * (size_t)ld;
}

static int n_panels(const wb_kernels *kernels, int n) {
    return (n + kernels->tile_n - 1) / kernels->tile_n;
}

// A matrix of m rows, ld apart, of which the last has only n columns.
static size_t matrix_cells(int m, int ld, int n) {
    return cells(m - 1, ld) + (size_t)n;
}

static void describe_shape(check *c, product *p, int round) {
    // The first rounds cross what the kernels cut k at; the others are small and many.
    static const int deep[][3] = {{7, 70, 1030}, {3, 17, 2049}, {6, 64, 3072}, {1, 130, 1024}};
    const int n_deep = (int)(sizeof deep / sizeof deep[0]);
    // And one, of many, crosses what a matrix unit's product cuts m at: those have bf16.
    static const int tall[] = {330, 65, 1600};
    const bool is_tall = round == 20 && c->now->has_bf16;
    const int *given = round < n_deep ? deep[round] : is_tall ? tall : NULL;
    p->m = given ? given[0] : check_dimension(c, 40);
    p->n = given ? given[1] : check_dimension(c, 200);
    p->k = given ? given[2] : check_dimension(c, 300);
    p->ld_x = p->k + (check_below(c, 2) ? check_below(c, 20) : 0);
    p->ld_y = p->n + (check_below(c, 2) ? check_below(c, 20) : 0);
    p->data = check_draw_data(c);
    p->epilogue.activation = check_below(c, 3) ? WB_LINEAR : (wb_activation)check_below(c, 4);
    check_begin_round(c, "m %d n %d k %d ld_x %d ld_y %d, %s, %s", p->m, p->n, p->k, p->ld_x,
                      p->ld_y, activation_names[p->epilogue.activation], check_data_name(p->data));
}

static void draw_product(check *c, product *p, int round) {
    describe_shape(c, p, round);
    p->x = check_random_floats(c, matrix_cells(p->m, p->ld_x, p->k), p->data);
    p->w = check_random_floats(c, cells(p->n, p->k), p->data);
    p->epilogue.bias = check_below(c, 4) ? check_random_floats(c, (size_t)p->n, p->data) : NULL;
    p->y = check_floats(c, matrix_cells(p->m, p->ld_y, p->n));
}

// What k roundings of at most unit * magnitude each may add up to: a random walk, of which
// 4 is four standard deviations (each rounding's is at most 0.6 of its bound); or all on one side,
// where data repeats itself.
static double chain_error(const product *p, double magnitude) {
    const double k = p->k;
    return magnitude * (double)unit * (check_is_random(p->data) ? 4.0 * sqrt(k) + 1.0 : k);
}

// y against the oracle, of values x and w as the kernel saw them; error_of_cell(p, sum |x w|)
// is what the product may be off by before the epilogue.
static bool check_cells(check *c, const product *p, const float *x, const float *w,
                        double (*error_of_cell)(const product *, double)) {
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            const oracle_sum s = oracle_dot(x + cells(i, p->ld_x), w + cells(j, p->k), p->k);
            const double bias = p->epilogue.bias ? (double)p->epilogue.bias[j] : 0.0;
            const double sum = s.sum + bias;
            const double want = oracle_activate(sum, p->epilogue.activation);
            // No activation is steeper than 1.13; each adds its own few roundings.
            const double allowed = 1.13 * error_of_cell(p, s.magnitude) +
                                   6.0 * (double)unit * (fabs(sum) + fabs(want)) + 0x1p-126;
            const size_t cell = cells(i, p->ld_y) + (size_t)j;
            if (!check_near(c, cell, want, p->y[cell], allowed)) return false;
        }
    return true;
}

static bool check_result(check *c, const product *p) {
    return check_guards(c) && check_gaps(c, p->y, sizeof *p->y, p->m, p->n, p->ld_y);
}

// ---- f32 ----

static void run_f32(const wb_kernels *kernels, const product *p, const void *packed, float *y) {
    kernels->gemm_f32(y, p->ld_y, p->x, p->ld_x, packed, p->m, p->n, p->k, &p->epilogue);
}

// Rows [0, cut) and [cut, m), and columns up to a panel and from it on, into fresh cells.
static bool check_cuts_f32(check *c, const product *p, const uint8_t *packed) {
    const int cut = check_below(c, p->m + 1), tile = c->now->tile_n;
    const int panel = check_below(c, n_panels(c->now, p->n)), first = panel * tile;
    float *y = check_floats(c, matrix_cells(p->m, p->ld_y, p->n));
    for (int half = 0; half < 2; half++) {
        const int from = half ? cut : 0, rows = half ? p->m - cut : cut;
        if (rows == 0) continue;
        const float *x = p->x + cells(from, p->ld_x);
        const wb_epilogue *epilogue = &p->epilogue;
        const wb_epilogue right = {.bias = epilogue->bias ? epilogue->bias + first : NULL,
                                   .activation = epilogue->activation,
                                   .next = packed};  // changes nothing that can be seen
        float *out = y + cells(from, p->ld_y);
        if (first) c->now->gemm_f32(out, p->ld_y, x, p->ld_x, packed, rows, first, p->k, epilogue);
        c->now->gemm_f32(out + first, p->ld_y, x, p->ld_x,
                         packed + (size_t)panel * c->now->panel_bytes_f32(p->k), rows, p->n - first,
                         p->k, &right);
    }
    return check_same(c, "the uncut product", p->y, p->ld_y, y, p->ld_y, p->m, p->n);
}

static void *pack_f32(check *c, const wb_kernels *kernels, const product *p) {
    const size_t n_bytes = (size_t)n_panels(kernels, p->n) * kernels->panel_bytes_f32(p->k);
    void *packed = check_bytes(c, n_bytes, 64);
    kernels->pack_f32(packed, p->w, p->n, p->k);
    return packed;
}

void check_gemm_f32(check *c) {
    for (int round = 0; round < check_rounds(c, 300) && !c->has_failed; round++) {
        product p = {0};
        draw_product(c, &p, round);
        const void *packed = pack_f32(c, c->now, &p);
        run_f32(c->now, &p, packed, p.y);
        if (!check_result(c, &p) || !check_cells(c, &p, p.x, p.w, chain_error)) return;
        if (!check_cuts_f32(c, &p, packed)) return;
        if (c->is_scalar) continue;
        float *y = check_floats(c, matrix_cells(p.m, p.ld_y, p.n));
        run_f32(c->scalar, &p, pack_f32(c, c->scalar, &p), y);
        if (!check_same(c, "scalar", y, p.ld_y, p.y, p.ld_y, p.m, p.n)) return;
    }
}

// Each activation over its whole range, as the epilogue of products with one.
void check_activation(check *c) {
    const float one = 1.0f;
    enum { N_VALUES = 2000 };
    for (int round = 0; round < check_rounds(c, 60) && !c->has_failed; round++) {
        product p = {.m = N_VALUES, .n = 1, .k = 1, .ld_x = 1, .ld_y = 1};
        p.epilogue.activation = (wb_activation)(round % 4);
        const float range = round % 3 ? 8.0f : 200.0f;
        check_begin_round(c, "%s of %d values in +-%g", activation_names[p.epilogue.activation],
                          p.m, (double)range);
        float *x = check_floats(c, (size_t)p.m);
        for (int i = 0; i < p.m; i++) x[i] = check_uniform(c, -range, range);
        p.x = x;
        p.w = &one;
        p.y = check_floats(c, (size_t)p.m);
        run_f32(c->now, &p, pack_f32(c, c->now, &p), p.y);
        for (int i = 0; i < p.m; i++) {
            const double want = oracle_activate((double)x[i], p.epilogue.activation);
            // GELU as math.h derives it; SiLU: exp, one sum, one quotient.
            const double allowed = p.epilogue.activation == WB_GELU ? 2.1e-7 * fabs((double)x[i])
                                   : p.epilogue.activation == WB_SILU
                                       ? 3.5 * (double)unit * fabs(want) + 0x1p-120
                                       : 0.0;
            if (!check_near(c, (size_t)i, want, p.y[i], allowed)) return;
        }
        float *y = check_floats(c, (size_t)p.m);
        run_f32(c->scalar, &p, pack_f32(c, c->scalar, &p), y);
        if (!check_same(c, "scalar", y, 1, p.y, 1, p.m, 1)) return;
    }
}

// ---- bf16 and f16 ----

// out[n] <- x rounded to the 16-bit format, and rounded[n] <- the values of that.
static void round_values(uint16_t *out, float *rounded, const float *x, size_t n, bool is_bf16) {
    for (size_t i = 0; i < n; i++) {
        out[i] = is_bf16 ? wb_bf16_from_f32(x[i]) : wb_f16_from_f32(x[i]);
        rounded[i] = is_bf16 ? wb_bf16_to_f32(out[i]) : wb_f16_to_f32(out[i]);
    }
}

// vdpbf16ps rounds twice as often at most, and takes denormal inputs and results for zeros.
static double error_bf16(const product *p, double magnitude) {
    return 2.0 * chain_error(p, magnitude) + (double)p->k * 0x1p-125;
}

// As generic/gemm_f16_blocks.h states it, plus the f32 chain over blocks.
static double error_f16(const product *p, double magnitude) {
    const double u = 0x1p-11;
    return chain_error(p, magnitude) + (check_is_random(p->data) ? 7.0 : 32.0) * u * magnitude +
           (double)p->k * 0x1p-25;
}

// Rows [0, cut) and [cut, m) have the bits that they have together: a text's logits do not depend
// on its company.
static bool check_cut_16(check *c, const product *p, const uint16_t *x, const void *packed,
                         bool is_bf16) {
    const wb_kernels *now = c->now;
    const int cut = check_below(c, p->m + 1);
    float *y = check_floats(c, matrix_cells(p->m, p->ld_y, p->n));
    for (int half = 0; half < 2; half++) {
        const int from = half ? cut : 0, rows = half ? p->m - cut : cut;
        if (rows == 0) continue;
        (is_bf16 ? now->gemm_bf16 : now->gemm_f16)(y + cells(from, p->ld_y), p->ld_y,
                                                   x + cells(from, p->ld_x), p->ld_x, packed, rows,
                                                   p->n, p->k, &p->epilogue);
    }
    return check_same(c, "the uncut product", p->y, p->ld_y, y, p->ld_y, p->m, p->n);
}

// y in bf16 is the cast of the y that the oracle has seen.
static bool check_narrow_result(check *c, const product *p, const uint16_t *x, const void *packed) {
    uint16_t *y = check_bytes(c, matrix_cells(p->m, p->ld_y, p->n) * sizeof *y, sizeof *y);
    c->now->gemm_bf16_to_bf16(y, p->ld_y, x, p->ld_x, packed, p->m, p->n, p->k, &p->epilogue);
    return check_rounded(c, y, p->ld_y, p->y, p->ld_y, p->m, p->n, true);
}

static void check_gemm_16(check *c, bool is_bf16) {
    const bool is_native = is_bf16 ? c->now->has_bf16 : c->now->has_f16;
    for (int round = 0; round < check_rounds(c, 300) && !c->has_failed; round++) {
        product p = {0};
        do {
            describe_shape(c, &p, round);  // f16 ends at 65504
        } while (!is_bf16 && (p.data == DATA_HUGE || p.data == DATA_MIXED));
        draw_product(c, &p, round);
        if (!is_bf16 && (p.data == DATA_HUGE || p.data == DATA_MIXED)) continue;
        const size_t n_x = matrix_cells(p.m, p.ld_x, p.k), n_w = cells(p.n, p.k);
        uint16_t *x = check_bytes(c, n_x * sizeof *x, sizeof *x);
        uint16_t *w = check_bytes(c, n_w * sizeof *w, sizeof *w);
        float *rounded_x = check_floats(c, n_x), *rounded_w = check_floats(c, n_w);
        round_values(x, rounded_x, p.x, n_x, is_bf16);
        round_values(w, rounded_w, p.w, n_w, is_bf16);

        const wb_kernels *now = c->now;
        const size_t panel = is_bf16 ? now->panel_bytes_bf16(p.k) : now->panel_bytes_f16(p.k);
        void *packed = check_bytes(c, (size_t)n_panels(now, p.n) * panel, 64);
        (is_bf16 ? now->pack_bf16 : now->pack_f16)(packed, p.w, p.n, p.k);
        (is_bf16 ? now->gemm_bf16 : now->gemm_f16)(p.y, p.ld_y, x, p.ld_x, packed, p.m, p.n, p.k,
                                                   &p.epilogue);
        double (*error)(const product *, double) = !is_native ? chain_error
                                                   : is_bf16  ? error_bf16
                                                              : error_f16;
        if (!check_result(c, &p) || !check_cells(c, &p, rounded_x, rounded_w, error)) return;
        if (!check_cut_16(c, &p, x, packed, is_bf16)) return;
        if (is_bf16 && now->gemm_bf16_to_bf16 && !check_narrow_result(c, &p, x, packed)) return;
        if (!c->twin || !is_bf16) continue;
        float *y = check_floats(c, matrix_cells(p.m, p.ld_y, p.n));
        c->twin->gemm_bf16(y, p.ld_y, x, p.ld_x, packed, p.m, p.n, p.k, &p.epilogue);
        if (!check_same(c, "the real unit", y, p.ld_y, p.y, p.ld_y, p.m, p.n)) return;
    }
}

void check_gemm_bf16(check *c) {
    check_gemm_16(c, true);
}

void check_gemm_f16(check *c) {
    check_gemm_16(c, false);
}

// ---- int8 ----

typedef struct product_i8 {
    const uint8_t *x;      // [m, ld_x] of q + 128
    const int8_t *w;       // [n, k]
    const float *x_scale;  // [m]
    const float *w_scale;  // [n]
} product_i8;

static void run_i8(check *c, const wb_kernels *kernels, const product *p, const product_i8 *q,
                   float *y) {
    const size_t panel = kernels->panel_bytes_i8(p->k);
    void *packed = check_bytes(c, (size_t)n_panels(kernels, p->n) * panel, 64);
    kernels->pack_i8(packed, q->w, p->n, p->k);
    kernels->gemm_i8(y, p->ld_y, q->x, p->ld_x, q->x_scale, packed, q->w_scale, p->m, p->n, p->k,
                     &p->epilogue);
}

// Uniform, or the extremes only, which overflow 16 bits where they are added in pairs.
static product_i8 draw_bytes(check *c, const product *p) {
    const bool is_extreme = check_below(c, 3) == 0;
    const size_t n_x = matrix_cells(p->m, p->ld_x, p->k), n_w = cells(p->n, p->k);
    uint8_t *x = check_bytes(c, n_x, 1);
    int8_t *w = check_bytes(c, n_w, 1);
    for (size_t i = 0; i < n_x; i++)
        x[i] = (uint8_t)(is_extreme ? (check_below(c, 8) ? 255 : 1) : 1 + check_below(c, 255));
    for (size_t i = 0; i < n_w; i++)
        w[i] = (int8_t)(is_extreme ? (check_below(c, 8) ? 127 : -127) : check_below(c, 255) - 127);
    return (product_i8){x, w, check_random_floats(c, (size_t)p->m, DATA_UNIFORM),
                        check_random_floats(c, (size_t)p->n, DATA_UNIFORM)};
}

// The linear cells bit for bit: the contract leaves nothing open.
static bool check_cells_i8(check *c, const product *p, const product_i8 *q) {
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            int32_t sum = 0;
            for (int k = 0; k < p->k; k++)
                sum +=
                    (q->x[cells(i, p->ld_x) + (size_t)k] - 128) * q->w[cells(j, p->k) + (size_t)k];
            const float want = fmaf((float)sum, q->x_scale[i] * q->w_scale[j],
                                    p->epilogue.bias ? p->epilogue.bias[j] : 0.0f);
            const size_t cell = cells(i, p->ld_y) + (size_t)j;
            if (!check_near(c, cell, (double)want, p->y[cell], 0.0)) return false;
        }
    return true;
}

// y in bytes is what quantize_i8_static makes of the y that the oracle has seen; a share of the
// cells is beyond the range.
static bool check_bytes_result(check *c, const product *p, const product_i8 *q) {
    float largest = 0x1p-100f, *factor = check_floats(c, (size_t)p->n);
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++)
            largest = fmaxf(largest, fabsf(p->y[cells(i, p->ld_y) + (size_t)j]));
    for (int j = 0; j < p->n; j++) factor[j] = 127.0f / largest * (float)(1 + check_below(c, 9));
    const size_t n_bytes = matrix_cells(p->m, p->ld_y, p->n);
    uint8_t *want = check_bytes(c, n_bytes, 1), *got = check_bytes(c, n_bytes, 1);
    product narrow = *p;
    narrow.epilogue.y_i8 = got;
    narrow.epilogue.factor = factor;
    run_i8(c, c->now, &narrow, q, NULL);
    c->now->quantize_i8_static(want, p->ld_y, p->y, p->ld_y, factor, p->m, p->n);
    if (!check_guards(c) || !check_gaps(c, got, 1, p->m, p->n, p->ld_y)) return false;
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            const size_t cell = cells(i, p->ld_y) + (size_t)j;
            if (!check_integer(c, cell, want[cell], got[cell])) return false;
        }
    return true;
}

void check_gemm_i8(check *c) {
    for (int round = 0; round < check_rounds(c, 300) && !c->has_failed; round++) {
        product p = {0};
        draw_product(c, &p, round);
        const product_i8 q = draw_bytes(c, &p);
        run_i8(c, c->now, &p, &q, p.y);
        if (!check_result(c, &p)) return;
        if (p.epilogue.activation == WB_LINEAR && !check_cells_i8(c, &p, &q)) return;
        if (!check_bytes_result(c, &p, &q)) return;
        if (c->is_scalar) continue;
        float *y = check_floats(c, matrix_cells(p.m, p.ld_y, p.n));
        run_i8(c, c->scalar, &p, &q, y);
        if (!check_same(c, "scalar", y, p.ld_y, p.y, p.ld_y, p.m, p.n)) return;
    }
}
