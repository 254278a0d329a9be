// SPDX-License-Identifier: Apache-2.0
// The register tile of bf16 products over BFMMLA, in place of generic/multiply_bf16.h.
#ifndef WB_KERNELS_MULTIPLY_BF16_H
#define WB_KERNELS_MULTIPLY_BF16_H

#include "kernels/neon_bf16/block.h"

#include "kernels/neon/multiply_blocks.h"

enum { WORD_BF16 = BLOCK_BYTES / sizeof(uint16_t) };

// Columns [4 i, 4 i + 4) of two rows <-> two blocks.
KERNEL_INLINE void open_blocks(block *a, block *b, float32x4_t first, float32x4_t second) {
    *a = vcombine_f32(vget_low_f32(first), vget_low_f32(second));
    *b = vcombine_f32(vget_high_f32(first), vget_high_f32(second));
}

KERNEL_INLINE float32x4_t first_row(block a, block b) {
    return vcombine_f32(vget_low_f32(a), vget_low_f32(b));
}

KERNEL_INLINE float32x4_t second_row(block a, block b) {
    return vcombine_f32(vget_high_f32(a), vget_high_f32(b));
}

// As generic/multiply_bf16.h says.
KERNEL_INLINE void multiply_panel_bf16(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                       const uint16_t *x, size_t ld_x, const uint16_t *panel, int k,
                                       ahead *next) {
    block b[BLOCK_ROWS][BLOCK_COLUMNS];
    UNROLL
    for (int p = 0; 2 * p < rows; p++) {
        const lanes first = sum[2 * p][0], second = sum[2 * p + 1 < rows ? 2 * p + 1 : 2 * p][0];
        open_blocks(&b[p][0], &b[p][1], first.q0, second.q0);
        open_blocks(&b[p][2], &b[p][3], first.q1, second.q1);
        open_blocks(&b[p][4], &b[p][5], first.q2, second.q2);
        open_blocks(&b[p][6], &b[p][7], first.q3, second.q3);
    }
    multiply_blocks(b, rows, (const uint8_t *)x, ld_x * sizeof *x, (const uint8_t *)panel,
                    (size_t)k * sizeof *x, next);
    UNROLL
    for (int p = 0; 2 * p < rows; p++) {
        sum[2 * p][0] = (lanes){first_row(b[p][0], b[p][1]), first_row(b[p][2], b[p][3]),
                                first_row(b[p][4], b[p][5]), first_row(b[p][6], b[p][7])};
        if (2 * p + 1 < rows)
            sum[2 * p + 1][0] = (lanes){second_row(b[p][0], b[p][1]), second_row(b[p][2], b[p][3]),
                                        second_row(b[p][4], b[p][5]), second_row(b[p][6], b[p][7])};
    }
}

#endif
