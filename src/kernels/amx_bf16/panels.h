// SPDX-License-Identifier: Apache-2.0
// bf16 in panels of tiles (generic/panels_tiles.h): a word is a pair.
#ifndef WB_KERNELS_AMX_BF16_PANELS_H
#define WB_KERNELS_AMX_BF16_PANELS_H

#include "kernels/avx512/lanes.h"

#include "kernels/generic/panels_tiles.h"

KERNEL_INLINE void pack_tiles_bf16(uint8_t *panel, const float *w, int n, int k) {
    const size_t n_steps = steps_of(k, 2), panel_bytes = tiles_bytes_of(k, 2);
    for (int j = 0; j < n; j += TILE_N, panel += panel_bytes) {
        memset(panel, 0, panel_bytes);
        for (int c = 0; c < smaller(TILE_N, n - j); c++)
            for (int kk = 0; kk < k; kk += PACK_DEPTH) {
                uint16_t values[PACK_DEPTH];
                uint32_t *to = word_of(panel, (size_t)kk / 2, c, n_steps);
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

KERNEL_INLINE void cast_panels_to_tiles(uint8_t *panel, const float *from, int n, int k) {
    const size_t n_steps = steps_of(k, 2);
    const int n_pairs = (int)n_steps * STEP_WORDS;
    for (int i = 0; i < n_panels(n); i++, from += (size_t)k * TILE_N) {
        for (int kw = 0; kw < n_pairs; kw++)
            for (int c = 0; c < TILE_N; c += 16)
                lanes_store_bf16_pairs((uint16_t *)word_of(panel, (size_t)kw, c, n_steps),
                                       columns_of(from, 2 * kw, c, k),
                                       columns_of(from, 2 * kw + 1, c, k));
        panel += tiles_bytes_of(k, 2);
    }
}

#endif
