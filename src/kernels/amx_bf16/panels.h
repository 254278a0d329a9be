// SPDX-License-Identifier: Apache-2.0
// Panels of bf16 for the matrix unit alone: each tile is 1 KB in one piece, in the order in which
// it is loaded. Read from AVX-512's panels a tile is 16 pieces of 64 bytes, 256 apart: the
// products of m = 224 of DistilBERT's four shapes take 14.7, 14.2, 15.4 and 40.0 ns a tile product
// from those and 13.9, 13.2, 14.3 and 35.4 from these (one core of a shared Xeon, Emerald Rapids).
//
//     a panel:  its left 32 columns | its right 32
//     a half:   for each step of 32 k, of columns  0 .. 15 | 16 .. 31  a tile
//     a tile:   16 rows, row kw the pairs of k = 2 kw, 2 kw + 1 of 16 columns
//
// k ends with a whole step: zeros behind it.
#ifndef WB_KERNELS_AMX_BF16_PANELS_H
#define WB_KERNELS_AMX_BF16_PANELS_H

#include "kernels/avx512/lanes.h"

#include "kernels/generic/panels.h"

enum {
    PAIRS_PER_STEP = 16,
    PAIRS_PER_TILE = 16 * PAIRS_PER_STEP,
    TILE_BYTES = 4 * PAIRS_PER_TILE,
};

KERNEL_INLINE size_t tile_steps_of(int k) {
    return words_of(k, 2 * PAIRS_PER_STEP);
}

KERNEL_INLINE size_t tile_panel_bytes_of(int k) {
    return tile_steps_of(k) * 4 * TILE_BYTES;
}

// Where the panel has pair kw of columns [c, c + 16), c a multiple of 16.
KERNEL_INLINE uint32_t *pairs_of(uint32_t *panel, int kw, int c, int k) {
    const size_t half = (size_t)(c / 32), tile = (size_t)(c % 32 / 16);
    const size_t step = (size_t)(kw / PAIRS_PER_STEP), row = (size_t)(kw % PAIRS_PER_STEP);
    return panel + ((half * tile_steps_of(k) + step) * 2 + tile) * PAIRS_PER_TILE + row * 16;
}

KERNEL_INLINE void pack_tiles(uint32_t *panel, const float *w, int n, int k) {
    const size_t panel_bytes = tile_panel_bytes_of(k);
    for (int j = 0; j < n; j += TILE_N, panel += panel_bytes / sizeof *panel) {
        memset(panel, 0, panel_bytes);
        for (int c = 0; c < smaller(TILE_N, n - j); c++)
            for (int kk = 0; kk < k; kk += PACK_DEPTH) {
                uint16_t values[PACK_DEPTH];
                uint32_t *to = pairs_of(panel, kk / 2, c / 16 * 16, k) + c % 16;
                convert_16(values, w + (size_t)(j + c) * (size_t)k + kk, k - kk, true);
                for (int kw = 0; kw < PACK_DEPTH / 2; kw++)
                    memcpy(to + 16 * kw, values + 2 * kw, sizeof *to);
            }
    }
}

// Row kk of a panel of f32, zeros from k on.
KERNEL_INLINE lanes columns_of(const float *panel, int kk, int c, int k) {
    return kk < k ? lanes_load(panel + (size_t)kk * TILE_N + c) : lanes_all(0.0f);
}

KERNEL_INLINE void cast_panels_to_tiles(uint32_t *panel, const float *from, int n, int k) {
    const int n_pairs = (int)tile_steps_of(k) * PAIRS_PER_STEP;
    for (int i = 0; i < n_panels(n); i++, from += (size_t)k * TILE_N) {
        for (int kw = 0; kw < n_pairs; kw++)
            for (int c = 0; c < TILE_N; c += 16)
                lanes_store_bf16_pairs((uint16_t *)pairs_of(panel, kw, c, k),
                                       columns_of(from, 2 * kw, c, k),
                                       columns_of(from, 2 * kw + 1, c, k));
        panel += tile_panel_bytes_of(k) / sizeof *panel;
    }
}

#endif
