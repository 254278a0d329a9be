// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- activation(fma(sum, x_scale[i] w_scale[j], bias[j])), sum the exact int32 product of
// int8 activations and weights. Written over a set's lanes.h (f32), bytes.h (int32) and
// multiply_i8.h: this folder's, or the set's own before this.
#ifndef WB_KERNELS_GEMM_I8_H
#define WB_KERNELS_GEMM_I8_H

#include "kernels/generic/multiply_i8.h"

// No cut over k: a panel of k = 3072 is 192 KB.

typedef struct scales {
    const float *x;  // [m]
    const float *w;  // [n]
} scales;

KERNEL_INLINE void close_tile_i8(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                 const output *out, int i, int j, scales scale) {
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

KERNEL_INLINE void tile_i8(const output *out, int i, const int rows, int j, const uint8_t *x,
                           size_t ld_x, scales scale, const int8_t *panel, int k, ahead next) {
    words sum[TILE_ROWS][TILE_VECTORS];
    fetch_cells(out, i, rows, j);
    multiply_panel_i8(sum, rows, x, ld_x, panel, k, &next);
    close_tile_i8(sum, rows, out, i, j, scale);
}

// In tiles of at most most_rows rows.
KERNEL_INLINE void gemm_rows_i8(const output *out, const uint8_t *x, int ld_x, scales scale,
                                const int8_t *packed, int k, const int most_rows) {
    const size_t ld = (size_t)ld_x;
    const size_t panel_bytes = panel_bytes_in_words_i8(k, WORD_I8);
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes) {
        for (int i = 0, rows; i < out->m; i += rows) {
            const uint8_t *xi = x + (size_t)i * ld;
            rows = equal_rows(out->m - i, most_rows);
            const ahead next = ahead_of(out, packed, words_of(k, WORD_I8), TILE_N * WORD_I8, i,
                                        rows, j + TILE_N >= out->n);
            switch (TILE_ROWS == 1 ? 1 : rows) {
                case 1: tile_i8(out, i, 1, j, xi, ld, scale, packed, k, next); break;
                case 2: tile_i8(out, i, 2, j, xi, ld, scale, packed, k, next); break;
                case 3: tile_i8(out, i, 3, j, xi, ld, scale, packed, k, next); break;
                case 4: tile_i8(out, i, 4, j, xi, ld, scale, packed, k, next); break;
                case 5: tile_i8(out, i, 5, j, xi, ld, scale, packed, k, next); break;
                default:
                    if (most_rows > 5) tile_i8(out, i, 6, j, xi, ld, scale, packed, k, next);
                    break;
            }
            if (out->epilogue.activation) activate_tile(out, i, rows, j);
        }
    }
}

KERNEL_INLINE void gemm_lanes_i8(const output *out, const uint8_t *x, int ld_x, scales scale,
                                 const int8_t *packed, int k) {
    gemm_rows_i8(out, x, ld_x, scale, packed, k, TILE_ROWS);
}

#endif
