// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T) with f16's own multiply-add, twice f32's rate. Written
// over a set's lanes.h, halves.h and multiply_f16.h (this folder's, or the set's own before this),
// and the panels of gemm_f16.h.
//
// f16 has 11 bits and ends at 65504, so only BLOCK_F16 products add up in it before they are
// widened and added to f32 sums. Error of a cell against exact products, u = 2^-11: at most
// 32 u sum |x w|, with independent roundings under 7 u sum |x w|, and k 2^-25 for what falls
// under f16's denormals.
#ifndef WB_KERNELS_GEMM_F16_BLOCKS_H
#define WB_KERNELS_GEMM_F16_BLOCKS_H

#include "kernels/generic/multiply_f16.h"

KERNEL_INLINE void tile_f16_blocks(const output *out, int i, const int rows, int j,
                                   const uint16_t *x, size_t ld_x, const uint16_t *w, int k,
                                   ahead next) {
    lanes sum[TILE_ROWS][TILE_VECTORS];
    open_tile(sum, rows, out, i, j, true);
    for (int kk = 0; kk < k; kk += BLOCK_F16)
        add_block_f16(sum, rows, x + kk, ld_x, w + (size_t)kk * TILE_N, smaller(BLOCK_F16, k - kk),
                      &next);
    close_tile(sum, rows, out, i, j, true);
}

KERNEL_INLINE void gemm_halves_f16(const output *out, const uint16_t *x, int ld_x,
                                   const uint16_t *packed, int k) {
    const size_t ld = (size_t)ld_x;
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes_of_f16(k) / sizeof *packed) {
        for (int i = 0, rows; i < out->m; i += rows) {
            const uint16_t *xi = x + (size_t)i * ld;
            rows = tile_rows(out->m - i);
            const ahead next = ahead_of(out, packed, (size_t)k, TILE_N * sizeof *packed, i, rows,
                                        j + TILE_N >= out->n);
            switch (rows) {
                case 1: tile_f16_blocks(out, i, 1, j, xi, ld, packed, k, next); break;
                case 2: tile_f16_blocks(out, i, 2, j, xi, ld, packed, k, next); break;
                case 3: tile_f16_blocks(out, i, 3, j, xi, ld, packed, k, next); break;
                case 4: tile_f16_blocks(out, i, 4, j, xi, ld, packed, k, next); break;
                case 5: tile_f16_blocks(out, i, 5, j, xi, ld, packed, k, next); break;
                default: tile_f16_blocks(out, i, 6, j, xi, ld, packed, k, next); break;
            }
            if (out->epilogue.activation) activate_tile(out, i, rows, j);
        }
    }
}

#endif
