// SPDX-License-Identifier: Apache-2.0
// The register tile of products in f16's own arithmetic, over halves.h (32 lanes of f16). A set
// with other registers has its own file under the same guard (neon_fp16/multiply_f16.h).
#ifndef WB_KERNELS_MULTIPLY_F16_H
#define WB_KERNELS_MULTIPLY_F16_H

#include "kernels/generic/tile.h"

enum {
    // Widening costs 4 instructions for each 32 columns of a row: an eighth of a block's.
    BLOCK_F16 = 32,
    HALF_VECTORS = TILE_VECTORS / 2,
};

// sum[rows, TILE_N] += x[rows, k] . w[k, TILE_N], k <= BLOCK_F16.
KERNEL_INLINE void add_block_f16(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                 const uint16_t *x, size_t ld_x, const uint16_t *w, int k,
                                 ahead *next) {
    halves block[TILE_ROWS][HALF_VECTORS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < HALF_VECTORS; v++) block[r][v] = halves_zero();
    }
    for (int kk = 0; kk < k; kk++, w += TILE_N) {
        fetch(next, rows);
        halves column[HALF_VECTORS];
        UNROLL
        for (int v = 0; v < HALF_VECTORS; v++) column[v] = halves_load(w + 32 * v);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const halves row = halves_all(x + (size_t)r * ld_x + (size_t)kk);
            UNROLL
            for (int v = 0; v < HALF_VECTORS; v++)
                block[r][v] = halves_fma(row, column[v], block[r][v]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < HALF_VECTORS; v++) {
            sum[r][2 * v] = lanes_add(sum[r][2 * v], halves_low(block[r][v]));
            sum[r][2 * v + 1] = lanes_add(sum[r][2 * v + 1], halves_high(block[r][v]));
        }
    }
}

#endif
