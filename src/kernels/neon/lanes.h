// SPDX-License-Identifier: Apache-2.0
// The 16 lanes of generic/ as four registers of ASIMD, which every ARMv8.0 has: fused
// multiply-add and conversion from and to f16 are in it.
#ifndef WB_LANES_H
#define WB_LANES_H

#include <arm_neon.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/generic/inline.h"

// Lanes 0-3, 4-7, 8-11 and 12-15.
typedef struct lanes {
    float32x4_t q0, q1, q2, q3;
} lanes;

// The tile of products: 24 registers of sums, 4 of weights and one or two of inputs, of 32. The
// rungs above keep it: TILE_N is that of the panels.
enum { TILE_ROWS = 6, TILE_VECTORS = 1, TILE_N = 16 * TILE_VECTORS };

KERNEL_INLINE lanes lanes_all(float x) {
    const float32x4_t q = vdupq_n_f32(x);
    return (lanes){q, q, q, q};
}

KERNEL_INLINE lanes lanes_load(const float *p) {
    return (lanes){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}

// The first n of four, for n of any size; the others are 0.
KERNEL_INLINE float32x4_t load_first_4(const float *p, int n) {
    if (n >= 4) return vld1q_f32(p);
    float32x4_t q = vdupq_n_f32(0.0f);
    if (n > 0) q = vld1q_lane_f32(p, q, 0);
    if (n > 1) q = vld1q_lane_f32(p + 1, q, 1);
    if (n > 2) q = vld1q_lane_f32(p + 2, q, 2);
    return q;
}

KERNEL_INLINE void store_first_4(float *p, float32x4_t q, int n) {
    if (n >= 4) {
        vst1q_f32(p, q);
        return;
    }
    if (n > 0) vst1q_lane_f32(p, q, 0);
    if (n > 1) vst1q_lane_f32(p + 1, q, 1);
    if (n > 2) vst1q_lane_f32(p + 2, q, 2);
}

KERNEL_INLINE lanes lanes_load_first(const float *p, int n) {
    return (lanes){load_first_4(p, n), load_first_4(p + 4, n - 4), load_first_4(p + 8, n - 8),
                   load_first_4(p + 12, n - 12)};
}

KERNEL_INLINE void lanes_store(float *p, lanes v) {
    vst1q_f32(p, v.q0);
    vst1q_f32(p + 4, v.q1);
    vst1q_f32(p + 8, v.q2);
    vst1q_f32(p + 12, v.q3);
}

KERNEL_INLINE void lanes_store_first(float *p, lanes v, int n) {
    store_first_4(p, v.q0, n);
    store_first_4(p + 4, v.q1, n - 4);
    store_first_4(p + 8, v.q2, n - 8);
    store_first_4(p + 12, v.q3, n - 12);
}

// Lanes [0, n) of q, then of fill.
KERNEL_INLINE float32x4_t keep_first_4(float32x4_t q, int n, float32x4_t fill) {
    static const int32_t numbers[4] = {0, 1, 2, 3};
    return vbslq_f32(vcgtq_s32(vdupq_n_s32(n), vld1q_s32(numbers)), q, fill);
}

KERNEL_INLINE lanes lanes_keep_first(lanes v, int n, lanes fill) {
    return (lanes){keep_first_4(v.q0, n, fill.q0), keep_first_4(v.q1, n - 4, fill.q1),
                   keep_first_4(v.q2, n - 8, fill.q2), keep_first_4(v.q3, n - 12, fill.q3)};
}

KERNEL_INLINE lanes lanes_add(lanes a, lanes b) {
    return (lanes){vaddq_f32(a.q0, b.q0), vaddq_f32(a.q1, b.q1), vaddq_f32(a.q2, b.q2),
                   vaddq_f32(a.q3, b.q3)};
}

KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) {
    return (lanes){vsubq_f32(a.q0, b.q0), vsubq_f32(a.q1, b.q1), vsubq_f32(a.q2, b.q2),
                   vsubq_f32(a.q3, b.q3)};
}

KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) {
    return (lanes){vmulq_f32(a.q0, b.q0), vmulq_f32(a.q1, b.q1), vmulq_f32(a.q2, b.q2),
                   vmulq_f32(a.q3, b.q3)};
}

KERNEL_INLINE lanes lanes_div(lanes a, lanes b) {
    return (lanes){vdivq_f32(a.q0, b.q0), vdivq_f32(a.q1, b.q1), vdivq_f32(a.q2, b.q2),
                   vdivq_f32(a.q3, b.q3)};
}

KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
    return (lanes){vfmaq_f32(c.q0, a.q0, b.q0), vfmaq_f32(c.q1, a.q1, b.q1),
                   vfmaq_f32(c.q2, a.q2, b.q2), vfmaq_f32(c.q3, a.q3, b.q3)};
}

// The instructions FMAX and FMIN return NaN where one is; here that is b.
KERNEL_INLINE float32x4_t max_4(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

KERNEL_INLINE float32x4_t min_4(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

KERNEL_INLINE lanes lanes_max(lanes a, lanes b) {
    return (lanes){max_4(a.q0, b.q0), max_4(a.q1, b.q1), max_4(a.q2, b.q2), max_4(a.q3, b.q3)};
}

KERNEL_INLINE lanes lanes_min(lanes a, lanes b) {
    return (lanes){min_4(a.q0, b.q0), min_4(a.q1, b.q1), min_4(a.q2, b.q2), min_4(a.q3, b.q3)};
}

KERNEL_INLINE lanes lanes_abs(lanes a) {
    return (lanes){vabsq_f32(a.q0), vabsq_f32(a.q1), vabsq_f32(a.q2), vabsq_f32(a.q3)};
}

KERNEL_INLINE float32x4_t zero_where_less_4(float32x4_t a, float32x4_t b, float32x4_t c) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(c), vcltq_f32(a, b)));
}

KERNEL_INLINE lanes lanes_zero_where_less(lanes a, lanes b, lanes c) {
    return (lanes){zero_where_less_4(a.q0, b.q0, c.q0), zero_where_less_4(a.q1, b.q1, c.q1),
                   zero_where_less_4(a.q2, b.q2, c.q2), zero_where_less_4(a.q3, b.q3, c.q3)};
}

KERNEL_INLINE float32x4_t add_exponent_4(float32x4_t p, float32x4_t t) {
    const int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(t), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), exponent));
}

KERNEL_INLINE lanes lanes_add_exponent(lanes p, lanes t) {
    return (lanes){add_exponent_4(p.q0, t.q0), add_exponent_4(p.q1, t.q1),
                   add_exponent_4(p.q2, t.q2), add_exponent_4(p.q3, t.q3)};
}

KERNEL_INLINE float lanes_sum(lanes v) {
    const float32x4_t four = vaddq_f32(vaddq_f32(v.q0, v.q2), vaddq_f32(v.q1, v.q3));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

KERNEL_INLINE float lanes_greatest(lanes v) {
    const float32x4_t four = max_4(max_4(v.q0, v.q2), max_4(v.q1, v.q3));
    const float32x2_t low = vget_low_f32(four), high = vget_high_f32(four);
    const float32x2_t two = vbsl_f32(vcgt_f32(low, high), low, high);
    const float even = vget_lane_f32(two, 0), odd = vget_lane_f32(two, 1);
    return even > odd ? even : odd;
}

// Row i of 4 x 4 becomes column i.
KERNEL_INLINE void transpose_4(float32x4_t *a, float32x4_t *b, float32x4_t *c, float32x4_t *d) {
    const float64x2_t ab_even = vreinterpretq_f64_f32(vtrn1q_f32(*a, *b)),
                      ab_odd = vreinterpretq_f64_f32(vtrn2q_f32(*a, *b)),
                      cd_even = vreinterpretq_f64_f32(vtrn1q_f32(*c, *d)),
                      cd_odd = vreinterpretq_f64_f32(vtrn2q_f32(*c, *d));
    *a = vreinterpretq_f32_f64(vtrn1q_f64(ab_even, cd_even));
    *b = vreinterpretq_f32_f64(vtrn1q_f64(ab_odd, cd_odd));
    *c = vreinterpretq_f32_f64(vtrn2q_f64(ab_even, cd_even));
    *d = vreinterpretq_f32_f64(vtrn2q_f64(ab_odd, cd_odd));
}

KERNEL_INLINE void swap_4(float32x4_t *a, float32x4_t *b) {
    const float32x4_t swapped = *a;
    *a = *b;
    *b = swapped;
}

// 4 x 4 blocks of 4 x 4, each turned; those above the diagonal change places with those below.
KERNEL_INLINE void lanes_transpose(lanes v[16]) {
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        transpose_4(&v[i].q0, &v[i + 1].q0, &v[i + 2].q0, &v[i + 3].q0);
        transpose_4(&v[i].q1, &v[i + 1].q1, &v[i + 2].q1, &v[i + 3].q1);
        transpose_4(&v[i].q2, &v[i + 1].q2, &v[i + 2].q2, &v[i + 3].q2);
        transpose_4(&v[i].q3, &v[i + 1].q3, &v[i + 2].q3, &v[i + 3].q3);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        swap_4(&v[i].q1, &v[4 + i].q0);
        swap_4(&v[i].q2, &v[8 + i].q0);
        swap_4(&v[i].q3, &v[12 + i].q0);
        swap_4(&v[4 + i].q2, &v[8 + i].q1);
        swap_4(&v[4 + i].q3, &v[12 + i].q1);
        swap_4(&v[8 + i].q3, &v[12 + i].q2);
    }
}

// ---- 16-bit floats ----

// Rounded to nearest even in the upper half of each word; a NaN stays one (bit 22 is set).
KERNEL_INLINE uint32x4_t round_to_bf16(float32x4_t v) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    return vbslq_u32(vceqq_f32(v, v), rounded, vorrq_u32(bits, vdupq_n_u32(0x400000)));
}

KERNEL_INLINE void lanes_store_bf16(uint16_t *p, lanes v) {
    vst1q_u16(p, vcombine_u16(vshrn_n_u32(round_to_bf16(v.q0), 16),
                              vshrn_n_u32(round_to_bf16(v.q1), 16)));
    vst1q_u16(p + 8, vcombine_u16(vshrn_n_u32(round_to_bf16(v.q2), 16),
                                  vshrn_n_u32(round_to_bf16(v.q3), 16)));
}

KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes v) {
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v.q0)));
    vst1_u16(p + 4, vreinterpret_u16_f16(vcvt_f16_f32(v.q1)));
    vst1_u16(p + 8, vreinterpret_u16_f16(vcvt_f16_f32(v.q2)));
    vst1_u16(p + 12, vreinterpret_u16_f16(vcvt_f16_f32(v.q3)));
}

KERNEL_INLINE float32x4_t load_f16_4(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

KERNEL_INLINE lanes lanes_load_f16(const uint16_t *p) {
    return (lanes){load_f16_4(p), load_f16_4(p + 4), load_f16_4(p + 8), load_f16_4(p + 12)};
}

KERNEL_INLINE lanes lanes_all_f16(const uint16_t *p) {
    const float32x4_t q = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(*p)));
    return (lanes){q, q, q, q};
}

KERNEL_INLINE lanes lanes_all_bf16(const uint16_t *p) {
    const float32x4_t q = vreinterpretq_f32_u32(vdupq_n_u32((uint32_t)*p << 16));
    return (lanes){q, q, q, q};
}

// Four words of two bf16, at any address.
KERNEL_INLINE uint32x4_t load_words_4(const uint16_t *p) {
    return vreinterpretq_u32_u16(vld1q_u16(p));
}

KERNEL_INLINE float32x4_t load_bf16_even_4(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshlq_n_u32(load_words_4(p), 16));
}

KERNEL_INLINE float32x4_t load_bf16_odd_4(const uint16_t *p) {
    return vreinterpretq_f32_u32(vandq_u32(load_words_4(p), vdupq_n_u32(0xffff0000u)));
}

KERNEL_INLINE lanes lanes_load_bf16_even(const uint16_t *p) {
    return (lanes){load_bf16_even_4(p), load_bf16_even_4(p + 8), load_bf16_even_4(p + 16),
                   load_bf16_even_4(p + 24)};
}

KERNEL_INLINE lanes lanes_load_bf16_odd(const uint16_t *p) {
    return (lanes){load_bf16_odd_4(p), load_bf16_odd_4(p + 8), load_bf16_odd_4(p + 16),
                   load_bf16_odd_4(p + 24)};
}

KERNEL_INLINE void store_bf16_pairs_4(uint16_t *p, float32x4_t even, float32x4_t odd) {
    const uint32x4_t words = vsriq_n_u32(round_to_bf16(odd), round_to_bf16(even), 16);
    vst1q_u16(p, vreinterpretq_u16_u32(words));
}

KERNEL_INLINE void lanes_store_bf16_pairs(uint16_t *p, lanes even, lanes odd) {
    store_bf16_pairs_4(p, even.q0, odd.q0);
    store_bf16_pairs_4(p + 8, even.q1, odd.q1);
    store_bf16_pairs_4(p + 16, even.q2, odd.q2);
    store_bf16_pairs_4(p + 24, even.q3, odd.q3);
}

// ---- Bytes ----

// The low halves of a's words, then of b's.
KERNEL_INLINE uint16x8_t low_halves(float32x4_t a, float32x4_t b) {
    return vuzp1q_u16(vreinterpretq_u16_f32(a), vreinterpretq_u16_f32(b));
}

KERNEL_INLINE void lanes_store_low_bytes(uint8_t *p, lanes v) {
    vst1q_u8(p, vuzp1q_u8(vreinterpretq_u8_u16(low_halves(v.q0, v.q1)),
                          vreinterpretq_u8_u16(low_halves(v.q2, v.q3))));
}

#endif
