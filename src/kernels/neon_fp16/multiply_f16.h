// SPDX-License-Identifier: Apache-2.0
// The register tile of products in f16's own arithmetic for FP16, in place of
// generic/multiply_f16.h: 8 k of a row come as one register, and the multiply-add picks its lane,
// for the reason of neon/multiply_f32.h. The f32 sums wait on the stack meanwhile: 12 registers of
// f16 sums, 6 of inputs and 2 of weights are live.
#ifndef WB_KERNELS_MULTIPLY_F16_H
#define WB_KERNELS_MULTIPLY_F16_H

#include "kernels/neon/lanes.h"

#include "kernels/generic/tile.h"

enum {
    // Widening costs 8 instructions for each row: an eighth of a block's.
    BLOCK_F16 = 32,
    CHUNK_F16 = 8,  // k of a register
};

KERNEL_INLINE float16x8_t load_halves(const uint16_t *p) {
    return vreinterpretq_f16_u16(vld1q_u16(p));
}

// sum + w times lane i of x; i is a constant of the caller. Said in assembly because the
// instruction finds x in the lower 16 registers only, which gcc 12 looks after too late: 42 copies
// a step.
KERNEL_INLINE float16x8_t fma_lane(float16x8_t sum, float16x8_t w, float16x8_t x, const int i) {
    switch (i) {
        case 0: __asm__("fmla %0.8h, %1.8h, %2.h[0]" : "+w"(sum) : "w"(w), "x"(x)); break;
        case 1: __asm__("fmla %0.8h, %1.8h, %2.h[1]" : "+w"(sum) : "w"(w), "x"(x)); break;
        case 2: __asm__("fmla %0.8h, %1.8h, %2.h[2]" : "+w"(sum) : "w"(w), "x"(x)); break;
        case 3: __asm__("fmla %0.8h, %1.8h, %2.h[3]" : "+w"(sum) : "w"(w), "x"(x)); break;
        case 4: __asm__("fmla %0.8h, %1.8h, %2.h[4]" : "+w"(sum) : "w"(w), "x"(x)); break;
        case 5: __asm__("fmla %0.8h, %1.8h, %2.h[5]" : "+w"(sum) : "w"(w), "x"(x)); break;
        case 6: __asm__("fmla %0.8h, %1.8h, %2.h[6]" : "+w"(sum) : "w"(w), "x"(x)); break;
        default: __asm__("fmla %0.8h, %1.8h, %2.h[7]" : "+w"(sum) : "w"(w), "x"(x)); break;
    }
    return sum;
}

// sum + the eight of v, as f32.
KERNEL_INLINE void add_halves(float32x4_t *low, float32x4_t *high, float16x8_t v) {
    *low = vaddq_f32(*low, vcvt_f32_f16(vget_low_f16(v)));
    *high = vaddq_f32(*high, vcvt_high_f32_f16(v));
}

// sum[rows, TILE_N] += x[rows, k] . w[k, TILE_N], k <= BLOCK_F16.
KERNEL_INLINE void add_block_f16(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                 const uint16_t *x, size_t ld_x, const uint16_t *w, int k,
                                 ahead *next) {
    float16x8_t low[TILE_ROWS], high[TILE_ROWS];
    UNROLL
    for (int r = 0; r < rows; r++) low[r] = high[r] = vreinterpretq_f16_u16(vdupq_n_u16(0));
    int kk = 0;
    for (; kk + CHUNK_F16 <= k; kk += CHUNK_F16) {
        float16x8_t row[TILE_ROWS];
        UNROLL
        for (int r = 0; r < rows; r++) row[r] = load_halves(x + (size_t)r * ld_x + (size_t)kk);
        UNROLL
        for (int i = 0; i < CHUNK_F16; i++, w += TILE_N) {
            fetch(next, rows);
            const float16x8_t w_low = load_halves(w), w_high = load_halves(w + 8);
            UNROLL
            for (int r = 0; r < rows; r++) {
                low[r] = fma_lane(low[r], w_low, row[r], i);
                high[r] = fma_lane(high[r], w_high, row[r], i);
            }
        }
    }
    for (; kk < k; kk++, w += TILE_N) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            const float16x8_t row =
                vreinterpretq_f16_u16(vdupq_n_u16(x[(size_t)r * ld_x + (size_t)kk]));
            low[r] = vfmaq_f16(low[r], load_halves(w), row);
            high[r] = vfmaq_f16(high[r], load_halves(w + 8), row);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        add_halves(&sum[r][0].q0, &sum[r][0].q1, low[r]);
        add_halves(&sum[r][0].q2, &sum[r][0].q3, high[r]);
    }
}

#endif
