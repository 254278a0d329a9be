// SPDX-License-Identifier: Apache-2.0
// The register tile of int8 products over USMMLA, in place of generic/multiply_i8.h. Inputs stay
// q + 128: sums start from -128 times those of the weights, as the panel has them.
#ifndef WB_KERNELS_MULTIPLY_I8_H
#define WB_KERNELS_MULTIPLY_I8_H

#include "kernels/neon_i8mm/block.h"

#include "kernels/neon/multiply_blocks.h"

enum { WORD_I8 = BLOCK_BYTES };  // values of a column that lie together in a panel

KERNEL_INLINE int32x4_t first_row(block a, block b) {
    return vcombine_s32(vget_low_s32(a), vget_low_s32(b));
}

KERNEL_INLINE int32x4_t second_row(block a, block b) {
    return vcombine_s32(vget_high_s32(a), vget_high_s32(b));
}

// As generic/multiply_i8.h says.
KERNEL_INLINE void multiply_panel_i8(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                     const uint8_t *x, size_t ld_x, const int8_t *panel, int k,
                                     ahead *next) {
    block b[BLOCK_ROWS][BLOCK_COLUMNS];
    const int32_t *starts = (const int32_t *)(const void *)panel;  // 64-byte aligned
    UNROLL
    for (int c = 0; c < BLOCK_COLUMNS; c++) {
        const int32x2_t start = vld1_s32(starts + 2 * c);
        UNROLL
        for (int p = 0; 2 * p < rows; p++) b[p][c] = vcombine_s32(start, start);
    }
    multiply_blocks(b, rows, x, ld_x, (const uint8_t *)(panel + TILE_N * sizeof(int32_t)),
                    (size_t)k, next);
    UNROLL
    for (int p = 0; 2 * p < rows; p++) {
        sum[2 * p][0] = (words){first_row(b[p][0], b[p][1]), first_row(b[p][2], b[p][3]),
                                first_row(b[p][4], b[p][5]), first_row(b[p][6], b[p][7])};
        if (2 * p + 1 < rows)
            sum[2 * p + 1][0] = (words){second_row(b[p][0], b[p][1]), second_row(b[p][2], b[p][3]),
                                        second_row(b[p][4], b[p][5]), second_row(b[p][6], b[p][7])};
    }
}

#endif
