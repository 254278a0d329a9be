// SPDX-License-Identifier: Apache-2.0
// 8-bit floats of 4 exponent and 3 mantissa bits (e4m3fn: no infinity, largest 448; Micikevicius et
// al. 2022) as the f32 they stand for: calibration simulates the GPU's products with them.
#ifndef WB_ENGINE_EIGHTH_H
#define WB_ENGINE_EIGHTH_H

#include <math.h>

#include "base/half.h"

#define WB_E4M3_MAX 448.0f

// x rounded to the nearest e4m3, ties to even; what is larger than the largest becomes it. NaN
// stays.
static inline float wb_round_e4m3(float x) {
    const uint32_t bits = wb_f32_bits(x), sign = bits & 0x80000000u;
    const float size = fabsf(x);
    if (size >= WB_E4M3_MAX) return sign ? -WB_E4M3_MAX : WB_E4M3_MAX;
    // Below 2^-6 steps are all of 2^-9.
    if (size < 0x1p-6f) return nearbyintf(x * 0x1p9f) * 0x1p-9f;
    const uint32_t magnitude = bits & 0x7fffffffu;
    const uint32_t rounded = (magnitude + 0x7ffffu + (magnitude >> 20 & 1)) & 0xfff00000u;
    return wb_f32_from_bits(sign | rounded);
}

#endif
