// SPDX-License-Identifier: Apache-2.0
// The register tile of f32 products for ASIMD, in place of generic/multiply_f32.h: the multiply-add
// takes its input from one lane of a register. LD1R, which fills a register with one value, takes a
// slot of the multipliers' pipe (Arm's Neoverse N1, V1 and V2 software optimization guides): 6 of
// them beside 24 multiply-adds would leave four fifths of the peak.
#ifndef WB_KERNELS_MULTIPLY_F32_H
#define WB_KERNELS_MULTIPLY_F32_H

#include "kernels/neon/lanes.h"

#include "kernels/generic/tile.h"

// sum + w x. Said in assembly because gcc 12 merges what four of these would load for each other
// into one LD1R. Four k of each row in a register at a time are fewer loads, and more registers
// than gcc finds beside 24 sums (20 of them go to the stack and back for 96 multiply-adds).
KERNEL_INLINE float32x4_t fma_one(float32x4_t sum, float32x4_t w, float x) {
    __asm__("fmla %0.4s, %1.4s, %2.s[0]" : "+w"(sum) : "w"(w), "w"(x));
    return sum;
}

// As generic/multiply_f32.h says; vectors is 1.
KERNEL_INLINE void multiply_tile(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                 const int vectors, const float *x, size_t ld_x, const float *w,
                                 size_t ld_w, int k, ahead *next) {
    (void)vectors;
    for (int kk = 0; kk < k; kk++, w += ld_w) {
        if (next) fetch(next, rows);
        const lanes column = lanes_load(w);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const float row = x[(size_t)r * ld_x + (size_t)kk];
            sum[r][0].q0 = fma_one(sum[r][0].q0, column.q0, row);
            sum[r][0].q1 = fma_one(sum[r][0].q1, column.q1, row);
            sum[r][0].q2 = fma_one(sum[r][0].q2, column.q2, row);
            sum[r][0].q3 = fma_one(sum[r][0].q3, column.q3, row);
        }
    }
}

#endif
