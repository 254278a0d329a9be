// SPDX-License-Identifier: Apache-2.0
// The register tile of VNNI's int8 products over panels of tiles, in place of
// generic/multiply_i8.h: for the few rows that the matrix unit is slower at.
#ifndef WB_KERNELS_MULTIPLY_I8_H
#define WB_KERNELS_MULTIPLY_I8_H

#include "kernels/amx_int8/panels.h"

#include "kernels/generic/tile.h"

enum { WORD_I8 = STEP_DEPTH };  // panels grow by whole steps of k

// sum[rows, TILE_N] += four values of each row of x, n_last of them there, times a word of each
// column, left and right in a panel's halves.
KERNEL_INLINE void multiply_words(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                  const uint8_t *x, size_t ld_x, const int8_t *left,
                                  const int8_t *right, int n_last) {
    const weights_i8 column[TILE_VECTORS] = {weights_load(left), weights_load(left + TILE_BYTES),
                                             weights_load(right), weights_load(right + TILE_BYTES)};
    UNROLL
    for (int r = 0; r < rows; r++) {
        uint8_t last[4] = {0};  // the weights there are 0
        if (n_last < 4) memcpy(last, x + (size_t)r * ld_x, (size_t)n_last);
        const inputs_u8 row = inputs_all(n_last < 4 ? last : x + (size_t)r * ld_x);
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = words_dot(sum[r][v], row, column[v]);
    }
}

// As generic/multiply_i8.h says.
KERNEL_INLINE void multiply_panel_i8(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                     const uint8_t *x, size_t ld_x, const int8_t *panel, int k,
                                     ahead *next) {
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = words_load(panel + 64 * v);
    }
    const int8_t *left = panel + STARTS_BYTES, *right = left + steps_of(k, 4) * STEP_BYTES;
    ahead a = {next->p, next->step / STEP_WORDS};
    for (int kk = 0; kk < k; kk += 4) {
        const size_t at = (size_t)kk / STEP_DEPTH * STEP_BYTES + (size_t)kk % STEP_DEPTH * 16;
        fetch(&a, rows);
        if (kk + 4 <= k)
            multiply_words(sum, rows, x + kk, ld_x, left + at, right + at, 4);
        else
            multiply_words(sum, rows, x + kk, ld_x, left + at, right + at, k - kk);
    }
}

#endif
