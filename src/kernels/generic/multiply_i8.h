// SPDX-License-Identifier: Apache-2.0
// The register tile of int8 products over a set's bytes.h, which says how four neighbouring k of 16
// columns are multiplied. A set whose instruction takes another shape has its own file under the
// same guard (neon_i8mm/multiply_i8.h).
#ifndef WB_KERNELS_MULTIPLY_I8_H
#define WB_KERNELS_MULTIPLY_I8_H

#include "kernels/generic/tile.h"

enum { WORD_I8 = 4 };  // values of a column that lie together in a panel

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

// sum[rows, TILE_N] <- the exact product of x[rows, k], without its 128, and the panel.
KERNEL_INLINE void multiply_panel_i8(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                     const uint8_t *x, size_t ld_x, const int8_t *panel, int k,
                                     ahead *next) {
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = words_load(panel + 64 * v);
    }
    panel += TILE_N * sizeof(int32_t);

    for (int kk = 0; kk + 3 < k; kk += 4) {
        fetch(next, rows);
        multiply_bytes(sum, rows, x + kk, ld_x, panel + (size_t)kk * TILE_N, 4);
    }
    const int whole = k / 4 * 4;
    if (whole < k)
        multiply_bytes(sum, rows, x + whole, ld_x, panel + (size_t)whole * TILE_N, k - whole);
}

#endif
