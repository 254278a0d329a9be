// SPDX-License-Identifier: Apache-2.0
// int8 in panels of tiles (generic/panels_tiles.h): a word is four values, and before the tiles
// there is a start for each column, as in panels.h.
#ifndef WB_KERNELS_AMX_INT8_PANELS_H
#define WB_KERNELS_AMX_INT8_PANELS_H

#include "kernels/avx512_vnni/bytes.h"

#include "kernels/generic/panels_tiles.h"

enum {
    STARTS_BYTES = TILE_N * 4,
    STEP_DEPTH = STEP_WORDS * 4,  // of k
};

KERNEL_INLINE size_t panel_bytes_of_tiles_i8(int k) {
    return STARTS_BYTES + tiles_bytes_of(k, 4);
}

KERNEL_INLINE void pack_tiles_i8(uint8_t *panel, const int8_t *w, int n, int k) {
    const size_t n_steps = steps_of(k, 4), panel_bytes = panel_bytes_of_tiles_i8(k);
    for (int j = 0; j < n; j += TILE_N, panel += panel_bytes) {
        int32_t starts[TILE_N] = {0};
        memset(panel, 0, panel_bytes);
        for (int c = 0; c < smaller(TILE_N, n - j); c++) {
            const int8_t *column = w + (size_t)(j + c) * (size_t)k;
            for (int kk = 0; kk < k; kk += 4)
                memcpy(word_of(panel + STARTS_BYTES, (size_t)kk / 4, c, n_steps), column + kk,
                       (size_t)smaller(4, k - kk));
            starts[c] = start_of(column, k);
        }
        memcpy(panel, starts, sizeof starts);
    }
}

#endif
