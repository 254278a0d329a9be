// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T) in f32 over 16 lanes. Written over a set's lanes.h,
// which its file includes first, and over multiply_f32.h: this folder's, or the set's own before
// this.
#ifndef WB_KERNELS_GEMM_F32_H
#define WB_KERNELS_GEMM_F32_H

#include "kernels/generic/multiply_f32.h"

// A longer k is cut, and the chain of sums goes on from y: at most 256 KB of a panel are then live
// in the second-level cache, whatever k is.
enum { DEPTH_F32 = 1024 };

// Rows [i, i + rows) x the columns of one panel, over k values that are the first, the last or the
// middle ones of the chain.
KERNEL_INLINE void tile_f32(const output *out, int i, const int rows, int j, const float *x,
                            size_t ld_x, const float *panel, int k, bool is_first, bool is_last,
                            ahead next) {
    lanes sum[TILE_ROWS][TILE_VECTORS];
    open_tile(sum, rows, out, i, j, is_first);
    multiply_tile(sum, rows, TILE_VECTORS, x, ld_x, panel, TILE_N, k, &next);
    close_tile(sum, rows, out, i, j, is_last);
}

KERNEL_INLINE void gemm_lanes_f32(const output *out, const float *x, int ld_x, const float *packed,
                                  int k) {
    const size_t ld = (size_t)ld_x;
    for (int j = 0; j < out->n; j += TILE_N, packed += (size_t)k * TILE_N) {
        int from = 0;
        do {
            const int depth = smaller(k - from, DEPTH_F32);
            const float *w = packed + (size_t)from * TILE_N;
            const bool first = from == 0, last = from + depth == k;
            for (int i = 0, rows; i < out->m; i += rows) {
                const float *xi = x + (size_t)i * ld + from;
                rows = tile_rows(out->m - i);
                const ahead next = ahead_of(out, w, (size_t)depth, TILE_N * sizeof *w, i, rows,
                                            last && j + TILE_N >= out->n);
                switch (TILE_ROWS == 1 ? 1 : rows) {
                    case 1: tile_f32(out, i, 1, j, xi, ld, w, depth, first, last, next); break;
                    case 2: tile_f32(out, i, 2, j, xi, ld, w, depth, first, last, next); break;
                    case 3: tile_f32(out, i, 3, j, xi, ld, w, depth, first, last, next); break;
                    case 4: tile_f32(out, i, 4, j, xi, ld, w, depth, first, last, next); break;
                    case 5: tile_f32(out, i, 5, j, xi, ld, w, depth, first, last, next); break;
                    default: tile_f32(out, i, 6, j, xi, ld, w, depth, first, last, next); break;
                }
                if (last && out->epilogue.activation) activate_tile(out, i, rows, j);
            }
            from += depth;
        } while (from < k);
    }
}

#endif
