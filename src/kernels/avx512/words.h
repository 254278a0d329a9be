// SPDX-License-Identifier: Apache-2.0
// 16 sums of int8 products as one register, and four inputs for each, for generic/gemm_i8.h.
#ifndef WB_KERNELS_AVX512_WORDS_H
#define WB_KERNELS_AVX512_WORDS_H

#include "kernels/avx512/lanes.h"

// Not __m512i: gcc 12 takes its eight 64-bit lanes for another register class's and moves every sum
// to the stack and back, 87 instructions a step for 24 products.
typedef int32_t words __attribute__((vector_size(64)));
typedef __m512i inputs_u8;

KERNEL_INLINE words words_load(const int8_t *p) {
    return (words)_mm512_loadu_si512(p);
}

KERNEL_INLINE inputs_u8 inputs_all(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

KERNEL_INLINE lanes lanes_from_words(words v) {
    return _mm512_cvtepi32_ps((__m512i)v);
}

#endif
