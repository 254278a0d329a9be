// SPDX-License-Identifier: Apache-2.0
// The register tile of int8 products over UDOT, in place of generic/multiply_i8.h. Both factors are
// unsigned, inputs q + 128 as they come and weights packed as w + 128, because
//
//     sum q w = sum (q + 128)(w + 128) - 128 sum (q + 128) - 128 sum w
//
// needs one UDOT for 16 inputs of a row, beside 16 of them in the product; SDOT would need each
// input's top bit flipped, an instruction for every four. Sums wrap and come back: modulo 2^32 all
// is exact.
#ifndef WB_KERNELS_MULTIPLY_I8_H
#define WB_KERNELS_MULTIPLY_I8_H

#include "kernels/neon/words.h"

#include "kernels/generic/tile.h"

enum { WORD_I8 = 4 };  // as in the panels of the rung below

// sum + four neighbouring k of 4 columns. Said in assembly for the reason of neon/multiply_f32.h.
KERNEL_INLINE int32x4_t dot_one(int32x4_t sum, uint8x16_t w, float x) {
    __asm__("udot %0.4s, %1.16b, %2.4b[0]" : "+w"(sum) : "w"(w), "w"(x));
    return sum;
}

KERNEL_INLINE int32_t sum_row(const uint8_t *x, int k) {
    uint32x4_t sums = vdupq_n_u32(0);
    int kk = 0;
    for (; kk + 15 < k; kk += 16) sums = vdotq_u32(sums, vld1q_u8(x + kk), vdupq_n_u8(1));
    uint32_t sum = vaddvq_u32(sums);
    for (; kk < k; kk++) sum += x[kk];
    return (int32_t)sum;
}

// Four inputs, as a register is loaded with them; beyond n_last 0.
KERNEL_INLINE float load_inputs(const uint8_t *x, int n_last) {
    float four = 0.0f;
    memcpy(&four, x, n_last == 4 ? sizeof four : (size_t)n_last);
    return four;
}

KERNEL_INLINE void multiply_bytes(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                  const uint8_t *x, size_t ld_x, const uint8_t *w, int n_last) {
    const uint8x16_t w0 = vld1q_u8(w), w1 = vld1q_u8(w + 16), w2 = vld1q_u8(w + 32),
                     w3 = vld1q_u8(w + 48);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const float row = load_inputs(x + (size_t)r * ld_x, n_last);
        sum[r][0].q0 = dot_one(sum[r][0].q0, w0, row);
        sum[r][0].q1 = dot_one(sum[r][0].q1, w1, row);
        sum[r][0].q2 = dot_one(sum[r][0].q2, w2, row);
        sum[r][0].q3 = dot_one(sum[r][0].q3, w3, row);
    }
}

// As generic/multiply_i8.h says.
KERNEL_INLINE void multiply_panel_i8(words sum[TILE_ROWS][TILE_VECTORS], const int rows,
                                     const uint8_t *x, size_t ld_x, const int8_t *panel, int k,
                                     ahead *next) {
    const int32_t *starts = (const int32_t *)(const void *)panel;  // -128 sum w; 64-byte aligned
    UNROLL
    for (int r = 0; r < rows; r++) {
        const int32x4_t row = vdupq_n_s32(sum_row(x + (size_t)r * ld_x, k));
        sum[r][0].q0 = vmlsq_n_s32(vld1q_s32(starts), row, 128);
        sum[r][0].q1 = vmlsq_n_s32(vld1q_s32(starts + 4), row, 128);
        sum[r][0].q2 = vmlsq_n_s32(vld1q_s32(starts + 8), row, 128);
        sum[r][0].q3 = vmlsq_n_s32(vld1q_s32(starts + 12), row, 128);
    }
    const uint8_t *w = (const uint8_t *)(panel + TILE_N * sizeof(int32_t));

    for (int kk = 0; kk + 3 < k; kk += 4) {
        fetch(next, rows);
        multiply_bytes(sum, rows, x + kk, ld_x, w + (size_t)kk * TILE_N, 4);
    }
    const int whole = k / 4 * 4;
    if (whole < k)
        multiply_bytes(sum, rows, x + whole, ld_x, w + (size_t)whole * TILE_N, k - whole);
}

#endif
