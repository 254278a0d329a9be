// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of AVX2, for generic/gemm_i8.h: bytes are widened to 16 bits and
// multiplied by vpmaddwd, whose sums of two products fit 32. (vpmaddubsw would be one
// instruction less, and saturates at 16 bits.)
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx2/lanes.h"

// Columns 0-7 and 8-15.
typedef struct words {
    __m256i low, high;
} words;

// Bytes 0 and 2, and bytes 1 and 3, of each four.
typedef struct widened {
    __m256i even, odd;
} widened;

typedef widened inputs_u8;

typedef struct weights_i8 {
    widened low, high;
} weights_i8;

KERNEL_INLINE words words_load(const int8_t *p) {
    return (words){_mm256_loadu_si256((const __m256i *)p),
                   _mm256_loadu_si256((const __m256i *)(p + 32))};
}

KERNEL_INLINE widened widen_weights(const int8_t *p) {
    const __m256i w = _mm256_loadu_si256((const __m256i *)p);
    return (widened){_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
}

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    return (weights_i8){widen_weights(p), widen_weights(p + 32)};
}

KERNEL_INLINE inputs_u8 inputs_all(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    const __m256i x = _mm256_set1_epi32(four);
    return (inputs_u8){_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(x, 8)};
}

KERNEL_INLINE __m256i dot_8(__m256i sum, inputs_u8 x, widened w) {
    const __m256i even = _mm256_madd_epi16(x.even, w.even), odd = _mm256_madd_epi16(x.odd, w.odd);
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    return (words){dot_8(sum.low, x, w.low), dot_8(sum.high, x, w.high)};
}

KERNEL_INLINE lanes lanes_from_words(words v) {
    return (lanes){_mm256_cvtepi32_ps(v.low), _mm256_cvtepi32_ps(v.high)};
}

#endif
