// SPDX-License-Identifier: Apache-2.0
// Exact int8 products without VNNI, for generic/gemm_i8.h: bytes are widened to 16 bits and
// multiplied by vpmaddwd, whose sums of two products fit 32. (vpmaddubsw would be one
// instruction less, and saturates at 16 bits.)
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx512/lanes.h"

// Not __m512i: gcc 12 takes its eight 64-bit lanes for another register class's and moves every sum
// to the stack and back, 87 instructions a step for 24 products.
typedef int32_t words __attribute__((vector_size(64)));

// Bytes 0 and 2, and bytes 1 and 3, of each four.
typedef struct weights_i8 {
    __m512i even, odd;
} weights_i8;

typedef weights_i8 inputs_u8;

KERNEL_INLINE words words_load(const int8_t *p) {
    return (words)_mm512_loadu_si512(p);
}

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    const __m512i w = _mm512_loadu_si512(p);
    return (weights_i8){_mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8), _mm512_srai_epi16(w, 8)};
}

KERNEL_INLINE inputs_u8 inputs_all(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    const __m512i x = _mm512_set1_epi32(four);
    return (inputs_u8){_mm512_and_si512(x, _mm512_set1_epi16(0xff)), _mm512_srli_epi16(x, 8)};
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    const __m512i even = _mm512_madd_epi16(x.even, w.even), odd = _mm512_madd_epi16(x.odd, w.odd);
    return (words)_mm512_add_epi32((__m512i)sum, _mm512_add_epi32(even, odd));
}

KERNEL_INLINE lanes lanes_from_words(words v) {
    return _mm512_cvtepi32_ps((__m512i)v);
}

#endif
