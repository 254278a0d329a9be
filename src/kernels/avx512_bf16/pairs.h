// SPDX-License-Identifier: Apache-2.0
// Pairs of bf16 of AVX-512 BF16, for generic/gemm_bf16.h: vdpbf16ps adds both products of a pair
// to the f32 sum. Its roundings are its own, and it takes denormals for zeros.
#ifndef WB_KERNELS_PAIRS_H
#define WB_KERNELS_PAIRS_H

#include "kernels/avx512/lanes.h"

typedef __m512i pairs;

KERNEL_INLINE pairs pairs_load(const uint16_t *p) {
    return _mm512_loadu_si512(p);
}

KERNEL_INLINE pairs pairs_all(const uint16_t *p) {
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_set1_epi32(two);
}

KERNEL_INLINE lanes pairs_dot(lanes sum, pairs x, pairs w) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}

#endif
