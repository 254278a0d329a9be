// SPDX-License-Identifier: Apache-2.0
// Our own fp8 product, called directly: wb_products_run would run it only where it is the faster.
// Shapes have rows around the edges of tiles, columns that end inside a strip, few and many tiles
// a block; large ones are compared in some rows, and every cell outside y must stay as it was.
#include <math.h>
#include <stdio.h>

#include "gpucheck.h"

// x and w as they are and as numbers.
typedef struct matrix {
    uint8_t *cells;
    float *values;
    const void *there;
} matrix;

// Bytes of e4m3 up to 1 in size, all equally likely: many small numbers, subnormal ones too.
static matrix draw_matrix(check *c, int rows, int k) {
    enum { ONE = 0x38 };
    const size_t n = (size_t)rows * (size_t)k;
    matrix x = {.cells = new_array(n, 1), .values = new_array(n, sizeof(float))};
    for (size_t i = 0; i < n; i++) {
        const int byte = check_below(c, 2 * (ONE + 1));
        x.cells[i] = (uint8_t)(byte > ONE ? byte - ONE - 1 + 0x80 : byte);
        x.values[i] = cell_value(WB_CELL_FP8, x.cells, i);
    }
    x.there = check_upload(c, x.cells, n);
    return x;
}

typedef struct drawn {
    matrix x, w;
    float *bias, *residual;
    float x_scale, w_scale, y_scale;
    wb_gpu_product p;
} drawn;

static void draw_sides(check *c, drawn *d, bool has_bias, bool has_residual) {
    wb_gpu_product *p = &d->p;
    const size_t area = (size_t)p->m * (size_t)p->ld_y;
    d->bias = new_array((size_t)p->n, sizeof *d->bias);
    d->residual = new_array(area, sizeof *d->residual);
    if (has_bias) p->bias = check_random(c, d->bias, (size_t)p->n, p->side_cell, 1.0f);
    if (has_residual) p->residual = check_random(c, d->residual, area, p->side_cell, 1.0f);
    d->x_scale = check_uniform(c, 0.5f, 2.0f);
    d->w_scale = check_uniform(c, 0.02f, 0.1f);
    d->y_scale = check_uniform(c, 5.0f, 100.0f);
    p->x_scale = check_upload(c, &d->x_scale, sizeof d->x_scale);
    p->w_scale = check_upload(c, &d->w_scale, sizeof d->w_scale);
    if (p->y_cell == WB_CELL_FP8) p->y_scale = check_upload(c, &d->y_scale, sizeof d->y_scale);
    p->y = check_poisoned(c, area * wb_cell_bytes(p->y_cell));
}

static void free_drawn(drawn *d) {
    wb_free(d->x.cells), wb_free(d->x.values), wb_free(d->w.cells), wb_free(d->w.values);
    wb_free(d->bias), wb_free(d->residual);
}

static double activated(wb_activation activation, double x) {
    return activation == WB_GELU   ? x / 2.0 * (1.0 + erf(x / sqrt(2.0)))
           : activation == WB_RELU ? fmax(x, 0.0)
                                   : x;
}

// One cell. The tensor core adds 32 terms at a time to the sum so far, each of them cut at 13 bits
// below the largest: some of those units at random. Its tanh is good to 2^-11, which x / 2
// multiplies, and gelu's numbers to 2.7e-4. An fp8 result is the nearest to value * y_scale: half a
// step of e4m3.
static bool check_cell(check *c, const drawn *d, const void *row, int i, int j) {
    const wb_gpu_product *p = &d->p;
    const float *x = d->x.values + (size_t)i * (size_t)p->k;
    const float *w = d->w.values + (size_t)j * (size_t)p->k;
    double sum = 0.0, magnitude = 0.0;
    for (int l = 0; l < p->k; l++) {
        const double term = (double)x[l] * (double)w[l];
        sum += term, magnitude += fabs(term);
        if (l % 32 == 31) magnitude += fabs(sum);
    }
    const double scale = (double)d->x_scale * (double)d->w_scale;
    sum = sum * scale + (double)d->bias[j] +
          (double)d->residual[(size_t)i * (size_t)p->ld_y + (size_t)j];
    double want = activated(p->activation, sum);
    double allowed = magnitude * scale * 0x1p-11 + 1e-5 + cell_epsilon(p->y_cell) * fabs(want);
    if (p->activation == WB_GELU) allowed += fabs(sum) * 0x1p-12 + 3e-4;
    if (p->y_cell == WB_CELL_FP8) {
        want = fmax(-448.0, fmin(448.0, want * (double)d->y_scale));
        allowed = allowed * (double)d->y_scale + 0x1p-10;
    }
    return check_near(c, (size_t)i, (size_t)j, want, (double)cell_value(p->y_cell, row, (size_t)j),
                      allowed * 1.01);
}

static void compare(check *c, const drawn *d) {
    enum { MOST_TERMS = 100 << 20 };
    const wb_gpu_product *p = &d->p;
    const size_t size = wb_cell_bytes(p->y_cell), row_bytes = (size_t)p->ld_y * size;
    const double terms = (double)p->m * (double)p->n * (double)p->k;
    const int stride = 1 + (int)(terms / MOST_TERMS);
    uint8_t *y = new_array((size_t)p->m, row_bytes);
    check_read(c, y, p->y, (size_t)p->m * row_bytes);
    bool is_good = true;
    for (int i = 0; i < p->m && is_good; i++) {
        const uint8_t *row = y + (size_t)i * row_bytes;
        const bool is_edge = i == p->m - 1 || i == (p->m - 1) / 64 * 64;
        for (int j = 0; j < p->n && is_good && (is_edge || i % stride == 0); j++)
            is_good = check_cell(c, d, row, i, j);
        for (int j = 0; j < p->n && is_good; j++)
            if (isnan(cell_value(p->y_cell, row, (size_t)j)))
                is_good = check_near(c, (size_t)i, (size_t)j, 0.0, NAN, 0.0);
        for (size_t b = (size_t)p->n * size; b < row_bytes && is_good; b++)
            if (row[b] != 0xff) {
                check_fail(c, "row %d was written behind its last column", i);
                is_good = false;
            }
    }
    wb_free(y);
}

void check_product_fp8(check *c) {
    static const int ms[] = {1, 16, 63, 64, 65, 127, 128, 129, 200, 513, 1000, 5000};
    static const int ns[] = {64, 256, 320, 384, 768, 1152, 1536, 2304, 3072};
    static const int ks[] = {128, 384, 512, 768};
    static const wb_cell cells[][2] = {{WB_CELL_F16, WB_CELL_F16},
                                       {WB_CELL_BF16, WB_CELL_BF16},
                                       {WB_CELL_FP8, WB_CELL_F16},
                                       {WB_CELL_FP8, WB_CELL_BF16}};
    static const wb_activation activations[] = {WB_LINEAR, WB_RELU, WB_GELU};
    if (c->device.compute_major != 9 || c->device.compute_minor != 0) return;
    for (int round = 0; round < check_rounds(c, 60); round++) {
        const wb_cell *cell = cells[round % 4];
        drawn d = {.p = {.m = ms[check_below(c, 12)],
                         .n = ns[check_below(c, 9)],
                         .k = ks[check_below(c, 4)],
                         .cell = WB_CELL_FP8,
                         .y_cell = cell[0],
                         .side_cell = cell[1],
                         .activation = activations[round / 4 % 3]}};
        const bool has_bias = check_below(c, 4), has_residual = check_below(c, 2);
        d.p.ld_y = d.p.n + 64 * check_below(c, 2);
        check_begin(c, "%s, sides %s, m %d, n %d of %d, k %d, activation %d, %s, %s",
                    cell_name(cell[0]), cell_name(cell[1]), d.p.m, d.p.n, d.p.ld_y, d.p.k,
                    d.p.activation, has_bias ? "bias" : "no bias",
                    has_residual ? "residual" : "no residual");
        d.x = draw_matrix(c, d.p.m, d.p.k);
        d.w = draw_matrix(c, d.p.n, d.p.k);
        d.p.x = d.x.there, d.p.w = d.w.there;
        draw_sides(c, &d, has_bias, has_residual);
        // Twice: the second finds y written, and its barriers and shared memory as the first left
        // them.
        check_gpu(wb_launch_product_fp8(&d.p, c->stream), "product-fp8");
        check_gpu(wb_launch_product_fp8(&d.p, c->stream), "product-fp8");
        compare(c, &d);
        free_drawn(&d);
    }
}
