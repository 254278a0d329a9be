// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T), x and w bf16, sums f32. Written over a set's
// lanes.h and its pairs: two bf16 of consecutive k in each lane, as packed. A set with the
// instruction multiplies pairs with it; the others widen them (pairs_widened.h).
#ifndef WB_KERNELS_GEMM_BF16_H
#define WB_KERNELS_GEMM_BF16_H

#include "kernels/generic/tile.h"

// As in gemm_f32.h: 256 KB of a panel.
enum { DEPTH_BF16 = 2048 };

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

KERNEL_INLINE void tile_bf16(const output *out, int i, const int rows, int j, const uint16_t *x,
                             size_t ld_x, const uint16_t *panel, int k, bool is_first, bool is_last,
                             ahead next) {
    lanes sum[TILE_ROWS][TILE_VECTORS];
    open_tile(sum, rows, out, i, j, is_first);
    for (int kk = 0; kk + 1 < k; kk += 2) {
        fetch(&next, rows);
        multiply_pairs(sum, rows, x + kk, ld_x, panel + (size_t)kk * TILE_N, false);
    }
    if (k % 2) multiply_pairs(sum, rows, x + k - 1, ld_x, panel + (size_t)(k - 1) * TILE_N, true);
    close_tile(sum, rows, out, i, j, is_last);
}

KERNEL_INLINE void gemm_lanes_bf16(const output *out, const uint16_t *x, int ld_x,
                                   const uint16_t *packed, int k) {
    const size_t ld = (size_t)ld_x;
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes_of_bf16(k) / sizeof *packed) {
        int from = 0;
        do {
            const int depth = smaller(k - from, DEPTH_BF16);
            const uint16_t *w = packed + (size_t)from * TILE_N;
            const bool first = from == 0, last = from + depth == k;
            for (int i = 0, rows; i < out->m; i += rows) {
                const uint16_t *xi = x + (size_t)i * ld + from;
                rows = tile_rows(out->m - i);
                const ahead next = ahead_of(out, w, words_of(depth, 2), TILE_N * 2 * sizeof *w, i,
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
