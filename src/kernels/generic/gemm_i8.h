// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- activation(fma(sum, x_scale[i] w_scale[j], bias[j])), sum the exact int32 product of
// int8 activations and weights. Written over a set's lanes.h (f32), bytes.h (int32) and
// multiply_i8.h: this folder's, or the set's own before this.
#ifndef WB_KERNELS_GEMM_I8_H
#define WB_KERNELS_GEMM_I8_H

#include "kernels/generic/multiply_i8.h"
#include "kernels/generic/rows.h"

// No cut over k: a panel of k = 3072 is 192 KB.

typedef struct scales {
    const float *x;  // [m]
    const float *w;  // [n]
} scales;

// A finished tile's cells as bytes, by way of a register tile's worth of floats.
__attribute__((noinline)) static void requantize_tile(const output *out, float *cells, int i,
                                                      int rows, int j) {
    const wb_epilogue *epilogue = &out->epilogue;
    const output tile = {cells, TILE_N, rows, smaller(TILE_N, out->n - j), *epilogue};
    if (epilogue->activation) activate_tile(&tile, 0, rows, 0);
    quantize_rows_static(epilogue->y_i8 + (size_t)i * (size_t)out->ld_y + j, out->ld_y, cells,
                         TILE_N, epilogue->factor + j, rows, tile.n);
}

KERNEL_INLINE void close_tile_i8(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                 const output *out, int i, int j, scales scale) {
    _Alignas(64) float cells[TILE_ROWS * TILE_N];
    const bool to_bytes = out->epilogue.y_i8;
    const float *bias = out->epilogue.bias;
    float *y = to_bytes ? cells : out->y + (size_t)i * (size_t)out->ld_y + j;
    const size_t ld_y = to_bytes ? TILE_N : (size_t)out->ld_y;
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        const int columns = out->n - j - 16 * v;
        const lanes b = bias ? load_columns(bias + j + 16 * v, columns) : lanes_all(0.0f);
        const lanes w = load_columns(scale.w + j + 16 * v, columns);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const lanes product = lanes_mul(lanes_all(scale.x[i + r]), w);
            store_columns(y + (size_t)r * ld_y + 16 * v,
                          lanes_fma(lanes_from_words(sum[r][v]), product, b), columns);
        }
    }
    if (to_bytes) requantize_tile(out, cells, i, rows, j);
}

// What close_tile_i8 leaves to be done with cells of y.
KERNEL_INLINE void finish_tile_i8(const output *out, int i, int rows, int j) {
    if (out->epilogue.activation && !out->epilogue.y_i8) activate_tile(out, i, rows, j);
}

KERNEL_INLINE void tile_i8(const output *out, int i, const int rows, int j, const uint8_t *x,
                           size_t ld_x, scales scale, const int8_t *panel, int k, ahead next) {
    words sum[TILE_ROWS][TILE_VECTORS];
    if (!out->epilogue.y_i8) fetch_cells(out, i, rows, j);
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
            finish_tile_i8(out, i, rows, j);
        }
    }
}

KERNEL_INLINE void gemm_lanes_i8(const output *out, const uint8_t *x, int ld_x, scales scale,
                                 const int8_t *packed, int k) {
    gemm_rows_i8(out, x, ld_x, scale, packed, k, TILE_ROWS);
}

#endif
