// SPDX-License-Identifier: Apache-2.0
// 16 sums of int8 products as two registers, and four inputs for each, for generic/gemm_i8.h.
#ifndef WB_KERNELS_AVX2_WORDS_H
#define WB_KERNELS_AVX2_WORDS_H

#include "kernels/avx2/lanes.h"

// Not __m256i, for the reason given in avx512/words.h: gcc 12 moves sums of it to the stack.
typedef int32_t words_8 __attribute__((vector_size(32)));

// Columns 0-7 and 8-15.
typedef struct words {
    words_8 low, high;
} words;

typedef __m256i inputs_u8;

KERNEL_INLINE words words_load(const int8_t *p) {
    return (words){(words_8)_mm256_loadu_si256((const __m256i *)p),
                   (words_8)_mm256_loadu_si256((const __m256i *)(p + 32))};
}

KERNEL_INLINE inputs_u8 inputs_all(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

KERNEL_INLINE lanes lanes_from_words(words v) {
    return (lanes){_mm256_cvtepi32_ps((__m256i)v.low), _mm256_cvtepi32_ps((__m256i)v.high)};
}

#endif
