// SPDX-License-Identifier: Apache-2.0
// The 16 lanes of generic/ in portable C, one float after the other. Slow and exact: it
// fixes what every instruction set must return, and needs nothing of the machine.
#ifndef WB_LANES_H
#define WB_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"
#include "kernels/generic/inline.h"

typedef struct lanes {
    float f[16];
} lanes;

// The tile of products, TILE_ROWS x TILE_N. Portable code has no registers for more than this.
enum { TILE_ROWS = 1, TILE_VECTORS = 1, TILE_N = 16 * TILE_VECTORS };

// a b + c with one rounding. The product of two floats is exact in double, so rounding
// the double sum to float can only differ where that sum lies exactly between two floats
// (its low 29 bits are 1 0...0) or is so small that floats are wider apart; then, and for NaN,
// libm decides. 1.4 ns against 2.3 for fmaf's call where libm has the instruction and 39 where
// it has not (checkkernels --bench --isa scalar -f "gemm_f32 m 4 n 384 k 384", EPYC Zen 4, the last
// with GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4).
KERNEL_INLINE float fused_f32(float a, float b, float c) {
    const double sum = (double)a * (double)b + (double)c;
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if ((bits & 0x1fffffff) != 0x10000000 && fabs(sum) >= 0x1p-125) return (float)sum;
    return fmaf(a, b, c);
}

static inline lanes lanes_all(float x) {
    lanes v;
    for (int i = 0; i < 16; i++) v.f[i] = x;
    return v;
}

static inline lanes lanes_load(const float *p) {
    lanes v;
    memcpy(v.f, p, sizeof v.f);
    return v;
}

// Reads n floats; the other lanes are 0.
static inline lanes lanes_load_first(const float *p, int n) {
    lanes v = lanes_all(0.0f);
    for (int i = 0; i < n; i++) v.f[i] = p[i];
    return v;
}

static inline void lanes_store(float *p, lanes v) {
    memcpy(p, v.f, sizeof v.f);
}

static inline void lanes_store_first(float *p, lanes v, int n) {
    for (int i = 0; i < n; i++) p[i] = v.f[i];
}

// The first n lanes of v, then lanes of fill.
static inline lanes lanes_keep_first(lanes v, int n, lanes fill) {
    for (int i = n; i < 16; i++) v.f[i] = fill.f[i];
    return v;
}

static inline lanes lanes_add(lanes a, lanes b) {
    for (int i = 0; i < 16; i++) a.f[i] += b.f[i];
    return a;
}

static inline lanes lanes_sub(lanes a, lanes b) {
    for (int i = 0; i < 16; i++) a.f[i] -= b.f[i];
    return a;
}

static inline lanes lanes_mul(lanes a, lanes b) {
    for (int i = 0; i < 16; i++) a.f[i] *= b.f[i];
    return a;
}

static inline lanes lanes_div(lanes a, lanes b) {
    for (int i = 0; i < 16; i++) a.f[i] /= b.f[i];
    return a;
}

// a b + c, one rounding.
static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
    for (int i = 0; i < 16; i++) c.f[i] = fused_f32(a.f[i], b.f[i], c.f[i]);
    return c;
}

// a > b ? a : b, so b where one is NaN.
static inline lanes lanes_max(lanes a, lanes b) {
    for (int i = 0; i < 16; i++) a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
    return a;
}

// a < b ? a : b, so b where one is NaN.
static inline lanes lanes_min(lanes a, lanes b) {
    for (int i = 0; i < 16; i++) a.f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i];
    return a;
}

static inline lanes lanes_abs(lanes a) {
    for (int i = 0; i < 16; i++) a.f[i] = fabsf(a.f[i]);
    return a;
}

// a < b ? 0 : c
static inline lanes lanes_zero_where_less(lanes a, lanes b, lanes c) {
    for (int i = 0; i < 16; i++) c.f[i] = a.f[i] < b.f[i] ? 0.0f : c.f[i];
    return c;
}

// p 2^n, n being the low bits of t: the bits of p + (the bits of t << 23).
static inline lanes lanes_add_exponent(lanes p, lanes t) {
    for (int i = 0; i < 16; i++)
        p.f[i] = wb_f32_from_bits(wb_f32_bits(p.f[i]) + (wb_f32_bits(t.f[i]) << 23));
    return p;
}

// The tree 8 + 8, 4 + 4, 2 + 2, 1 + 1.
static inline float lanes_sum(lanes v) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) v.f[i] += v.f[i + half];
    return v.f[0];
}

static inline float lanes_greatest(lanes v) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) v.f[i] = v.f[i] > v.f[i + half] ? v.f[i] : v.f[i + half];
    return v.f[0];
}

// v[i] lane j <-> v[j] lane i
static inline void lanes_transpose(lanes v[16]) {
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < i; j++) {
            const float swapped = v[i].f[j];
            v[i].f[j] = v[j].f[i];
            v[j].f[i] = swapped;
        }
}

// ---- 16-bit floats ----

static inline void lanes_store_bf16(uint16_t *p, lanes v) {
    for (int i = 0; i < 16; i++) p[i] = wb_bf16_from_f32(v.f[i]);
}

static inline void lanes_store_f16(uint16_t *p, lanes v) {
    for (int i = 0; i < 16; i++) p[i] = wb_f16_from_f32(v.f[i]);
}

static inline lanes lanes_load_f16(const uint16_t *p) {
    lanes v;
    for (int i = 0; i < 16; i++) v.f[i] = wb_f16_to_f32(p[i]);
    return v;
}

static inline lanes lanes_all_f16(const uint16_t *p) {
    return lanes_all(wb_f16_to_f32(*p));
}

static inline lanes lanes_all_bf16(const uint16_t *p) {
    return lanes_all(wb_bf16_to_f32(*p));
}

// The even and the odd ones of 32 bf16.
static inline lanes lanes_load_bf16_even(const uint16_t *p) {
    lanes v;
    for (int i = 0; i < 16; i++) v.f[i] = wb_bf16_to_f32(p[2 * i]);
    return v;
}

static inline lanes lanes_load_bf16_odd(const uint16_t *p) {
    return lanes_load_bf16_even(p + 1);
}

// p[32] <- the bf16 of even and odd in turn.
static inline void lanes_store_bf16_pairs(uint16_t *p, lanes even, lanes odd) {
    for (int i = 0; i < 16; i++) {
        p[2 * i] = wb_bf16_from_f32(even.f[i]);
        p[2 * i + 1] = wb_bf16_from_f32(odd.f[i]);
    }
}

// ---- Bytes ----

// The low byte of each lane's bits.
static inline void lanes_store_low_bytes(uint8_t *p, lanes v) {
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)wb_f32_bits(v.f[i]);
}

#endif
