// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of ASIMD without the dot product, for generic/multiply_i8.h: products of two
// signed bytes fit 16 bits and so do sums of two of them, 2 * 127 * 127 = 32258, which is why
// inputs lose their 128 first and sums start at 0.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/neon/words.h"

// Four weights of each of four columns a register.
typedef struct weights_i8 {
    int8x16_t q0, q1, q2, q3;
} weights_i8;

typedef int8x16_t inputs_u8;  // signed again

KERNEL_INLINE words words_load(const int8_t *p) {
    (void)p;
    const int32x4_t zero = vdupq_n_s32(0);
    return (words){zero, zero, zero, zero};
}

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    return (weights_i8){vld1q_s8(p), vld1q_s8(p + 16), vld1q_s8(p + 32), vld1q_s8(p + 48)};
}

KERNEL_INLINE inputs_u8 inputs_all(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u));
}

KERNEL_INLINE int32x4_t dot_4(int32x4_t sum, int8x16_t x, int8x16_t w) {
    const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w)), high = vmull_high_s8(x, w);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    return (words){dot_4(sum.q0, x, w.q0), dot_4(sum.q1, x, w.q1), dot_4(sum.q2, x, w.q2),
                   dot_4(sum.q3, x, w.q3)};
}

#endif
