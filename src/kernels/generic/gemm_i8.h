// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- activation(fma(sum, x_scale[i] w_scale[j], bias[j])), sum the exact int32 product of
// int8 activations and weights. Written over a set's lanes.h (f32) and bytes.h, which says how
// four neighbouring k of 16 columns are multiplied.
#ifndef WB_KERNELS_GEMM_I8_H
#define WB_KERNELS_GEMM_I8_H

#include "kernels/generic/tile.h"

// No cut over k: a panel of k = 3072 is 192 KB.

typedef struct scales {
    const float *x;  // [m]
    const float *w;  // [n]
} scales;

KERNEL_INLINE void multiply_bytes(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                  const uint8_t *x, size_t ld_x, const int8_t *w, int n_last) {
    weights_i8 column[TILE_VECTORS];
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) column[v] = weights_load(w + 64 * v);
    UNROLL
    for (int r = 0; r < rows; r++) {
        inputs_u8 row;
        if (n_last == 4) {
            row = inputs_all(x + (size_t)r * ld_x);
        } else {
            uint8_t last[4] = {0};  // the weights there are 0
            for (int b = 0; b < n_last; b++) last[b] = x[(size_t)r * ld_x + (size_t)b];
            row = inputs_all(last);
        }
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = words_dot(sum[r][v], row, column[v]);
    }
}

KERNEL_INLINE void tile_i8(const output *out, int i, const int rows, int j, const uint8_t *x,
                           size_t ld_x, scales scale, const int8_t *panel, int k, ahead next) {
    words sum[TILE_ROWS][TILE_VECTORS];
    fetch_cells(out, i, rows, j);
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = words_load(panel + 64 * v);
    }
    panel += TILE_N * sizeof(int32_t);

    for (int kk = 0; kk + 3 < k; kk += 4) {
        fetch(&next, rows);
        multiply_bytes(sum, rows, x + kk, ld_x, panel + (size_t)kk * TILE_N, 4);
    }
    const int whole = k / 4 * 4;
    if (whole < k)
        multiply_bytes(sum, rows, x + whole, ld_x, panel + (size_t)whole * TILE_N, k - whole);

    const float *bias = out->epilogue.bias;
    float *y = out->y + (size_t)i * (size_t)out->ld_y + j;
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        const int columns = out->n - j - 16 * v;
        const lanes b = bias ? load_columns(bias + j + 16 * v, columns) : lanes_all(0.0f);
        const lanes w = load_columns(scale.w + j + 16 * v, columns);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const lanes product = lanes_mul(lanes_all(scale.x[i + r]), w);
            store_columns(y + (size_t)r * (size_t)out->ld_y + 16 * v,
                          lanes_fma(lanes_from_words(sum[r][v]), product, b), columns);
        }
    }
}

KERNEL_INLINE void gemm_lanes_i8(const output *out, const uint8_t *x, int ld_x, scales scale,
                                 const int8_t *packed, int k) {
    const size_t ld = (size_t)ld_x;
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes_of_i8(k)) {
        for (int i = 0, rows; i < out->m; i += rows) {
            const uint8_t *xi = x + (size_t)i * ld;
            rows = tile_rows(out->m - i);
            const ahead next =
                ahead_of(out, packed, words_of(k, 4), TILE_N * 4, i, rows, j + TILE_N >= out->n);
            switch (TILE_ROWS == 1 ? 1 : rows) {
                case 1: tile_i8(out, i, 1, j, xi, ld, scale, packed, k, next); break;
                case 2: tile_i8(out, i, 2, j, xi, ld, scale, packed, k, next); break;
                case 3: tile_i8(out, i, 3, j, xi, ld, scale, packed, k, next); break;
                case 4: tile_i8(out, i, 4, j, xi, ld, scale, packed, k, next); break;
                case 5: tile_i8(out, i, 5, j, xi, ld, scale, packed, k, next); break;
                default: tile_i8(out, i, 6, j, xi, ld, scale, packed, k, next); break;
            }
            if (out->epilogue.activation) activate_tile(out, i, rows, j);
        }
    }
}

#endif
