// SPDX-License-Identifier: Apache-2.0
// 16-bit floats as bits: bfloat16 (the upper half of an f32) and IEEE binary16,
// both rounded to nearest even. Portable code for loading and testing; kernels
// have their own instructions.
#ifndef WB_BASE_HALF_H
#define WB_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t wb_f32_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float wb_f32_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float wb_bf16_to_f32(uint16_t x) {
    return wb_f32_from_bits((uint32_t)x << 16);
}

static inline uint16_t wb_bf16_from_f32(float x) {
    const uint32_t bits = wb_f32_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);  // NaN stays NaN
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline float wb_f16_to_f32(uint16_t x) {
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16, exponent = (x >> 10) & 0x1fu,
                   fraction = x & 0x3ffu;
    if (exponent == 0x1f) return wb_f32_from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0) return wb_f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    // Zero and denormals: fraction units of 2^-24, exact in f32.
    const float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

static inline uint16_t wb_f16_from_f32(float x) {
    const uint32_t bits = wb_f32_bits(x), sign = (bits >> 16) & 0x8000u,
                   magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);  // 65520 and up round to infinity
    if (magnitude < 0x38800000u) {
        // Denormal: adding 0.5 aligns the fraction to 2^-24 and the FPU rounds it.
        const float aligned = wb_f32_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (wb_f32_bits(aligned) - 0x3f000000u));
    }
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
