// SPDX-License-Identifier: Apache-2.0
// The register tile of f32 products, which attention uses too. A set whose registers want another
// order of loads has its own file under the same guard (neon/multiply_f32.h).
#ifndef WB_KERNELS_MULTIPLY_F32_H
#define WB_KERNELS_MULTIPLY_F32_H

#include "kernels/generic/tile.h"

// sum[rows, 16 vectors] += x[rows, k] . w[k, 16 vectors]; rows and vectors are constants of the
// caller, so that all loops over them are unrolled and sum lives in registers. next: NULL or what
// to fetch on the way.
KERNEL_INLINE void multiply_tile(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                 const int vectors, const float *x, size_t ld_x, const float *w,
                                 size_t ld_w, int k, ahead *next) {
    for (int kk = 0; kk < k; kk++, w += ld_w) {
        if (next) fetch(next, rows);
        lanes column[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++) column[v] = lanes_load(w + 16 * v);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const lanes row = lanes_all(x[(size_t)r * ld_x + (size_t)kk]);
            UNROLL
            for (int v = 0; v < vectors; v++) sum[r][v] = lanes_fma(row, column[v], sum[r][v]);
        }
    }
}

#endif
