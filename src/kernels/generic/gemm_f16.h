// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T), x and w f16, widened at use: products and sums are
// f32's. For sets without f16 arithmetic; avx512_fp16/ has the other. Written over lanes.h.
#ifndef WB_KERNELS_GEMM_F16_H
#define WB_KERNELS_GEMM_F16_H

#include "kernels/generic/tile.h"

KERNEL_INLINE void tile_f16(const output *out, int i, const int rows, int j, const uint16_t *x,
                            size_t ld_x, const uint16_t *w, int k, ahead next) {
    lanes sum[TILE_ROWS][TILE_VECTORS];
    open_tile(sum, rows, out, i, j, true);
    for (int kk = 0; kk < k; kk++, w += TILE_N) {
        fetch(&next, rows);
        lanes column[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) column[v] = lanes_load_f16(w + 16 * v);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const lanes row = lanes_all_f16(x + (size_t)r * ld_x + (size_t)kk);
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = lanes_fma(row, column[v], sum[r][v]);
        }
    }
    close_tile(sum, rows, out, i, j, true);
}

KERNEL_INLINE void gemm_lanes_f16(const output *out, const uint16_t *x, int ld_x,
                                  const uint16_t *packed, int k) {
    const size_t ld = (size_t)ld_x;
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes_of_f16(k) / sizeof *packed) {
        for (int i = 0, rows; i < out->m; i += rows) {
            const uint16_t *xi = x + (size_t)i * ld;
            rows = tile_rows(out->m - i);
            const ahead next = ahead_of(out, packed, (size_t)k, TILE_N * sizeof *packed, i, rows,
                                        j + TILE_N >= out->n);
            switch (TILE_ROWS == 1 ? 1 : rows) {
                case 1: tile_f16(out, i, 1, j, xi, ld, packed, k, next); break;
                case 2: tile_f16(out, i, 2, j, xi, ld, packed, k, next); break;
                case 3: tile_f16(out, i, 3, j, xi, ld, packed, k, next); break;
                case 4: tile_f16(out, i, 4, j, xi, ld, packed, k, next); break;
                case 5: tile_f16(out, i, 5, j, xi, ld, packed, k, next); break;
                default: tile_f16(out, i, 6, j, xi, ld, packed, k, next); break;
            }
            if (out->epilogue.activation) activate_tile(out, i, rows, j);
        }
    }
}

#endif
