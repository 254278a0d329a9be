// SPDX-License-Identifier: Apache-2.0
// The register tile of bf16 products over a set's pairs: two bf16 of consecutive k in each lane, as
// packed. A set with the instruction multiplies pairs with it; the others widen them
// (pairs_widened.h). Where the instruction takes more than pairs, the set has its own file under
// the same guard (neon_bf16/multiply_bf16.h).
#ifndef WB_KERNELS_MULTIPLY_BF16_H
#define WB_KERNELS_MULTIPLY_BF16_H

#include "kernels/generic/tile.h"

enum { WORD_BF16 = 2 };  // values of a column that lie together in a panel

KERNEL_INLINE void multiply_pairs(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                  const uint16_t *x, size_t ld_x, const uint16_t *w, bool is_half) {
    pairs column[TILE_VECTORS];
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) column[v] = pairs_load(w + 32 * v);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const uint16_t last[2] = {x[(size_t)r * ld_x], 0};
        const pairs row = pairs_all(is_half ? last : x + (size_t)r * ld_x);
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = pairs_dot(sum[r][v], row, column[v]);
    }
}

// sum[rows, TILE_N] += x[rows, k] . the panel
KERNEL_INLINE void multiply_panel_bf16(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                       const uint16_t *x, size_t ld_x, const uint16_t *panel, int k,
                                       ahead *next) {
    for (int kk = 0; kk + 1 < k; kk += 2) {
        fetch(next, rows);
        multiply_pairs(sum, rows, x + kk, ld_x, panel + (size_t)kk * TILE_N, false);
    }
    if (k % 2) multiply_pairs(sum, rows, x + k - 1, ld_x, panel + (size_t)(k - 1) * TILE_N, true);
}

#endif
