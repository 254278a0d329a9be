// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T), x and w bf16, sums f32. Written over a set's
// lanes.h and multiply_bf16.h: this folder's, or the set's own before this.
#ifndef WB_KERNELS_GEMM_BF16_H
#define WB_KERNELS_GEMM_BF16_H

#include "kernels/generic/multiply_bf16.h"

// As in gemm_f32.h: 256 KB of a panel.
enum { DEPTH_BF16 = 2048 };

KERNEL_INLINE void tile_bf16(const output *out, int i, const int rows, int j, const uint16_t *x,
                             size_t ld_x, const uint16_t *panel, int k, bool is_first, bool is_last,
                             ahead next) {
    lanes sum[TILE_ROWS][TILE_VECTORS];
    open_tile(sum, rows, out, i, j, is_first);
    multiply_panel_bf16(sum, rows, x, ld_x, panel, k, &next);
    close_tile(sum, rows, out, i, j, is_last);
}

KERNEL_INLINE void gemm_lanes_bf16(const output *out, const uint16_t *x, int ld_x,
                                   const uint16_t *packed, int k) {
    const size_t ld = (size_t)ld_x;
    const size_t panel_bytes = panel_bytes_in_words_bf16(k, WORD_BF16);
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes / sizeof *packed) {
        int from = 0;
        do {
            const int depth = smaller(k - from, DEPTH_BF16);
            const uint16_t *w = packed + (size_t)from * TILE_N;
            const bool first = from == 0, last = from + depth == k;
            for (int i = 0, rows; i < out->m; i += rows) {
                const uint16_t *xi = x + (size_t)i * ld + from;
                rows = tile_rows(out->m - i);
                const ahead next =
                    ahead_of(out, w, words_of(depth, WORD_BF16), TILE_N * WORD_BF16 * sizeof *w, i,
                             rows, last && j + TILE_N >= out->n);
                switch (TILE_ROWS == 1 ? 1 : rows) {
                    case 1: tile_bf16(out, i, 1, j, xi, ld, w, depth, first, last, next); break;
                    case 2: tile_bf16(out, i, 2, j, xi, ld, w, depth, first, last, next); break;
                    case 3: tile_bf16(out, i, 3, j, xi, ld, w, depth, first, last, next); break;
                    case 4: tile_bf16(out, i, 4, j, xi, ld, w, depth, first, last, next); break;
                    case 5: tile_bf16(out, i, 5, j, xi, ld, w, depth, first, last, next); break;
                    default: tile_bf16(out, i, 6, j, xi, ld, w, depth, first, last, next); break;
                }
                if (last && out->epilogue.activation) activate_tile(out, i, rows, j);
            }
            from += depth;
        } while (from < k);
    }
}

#endif
