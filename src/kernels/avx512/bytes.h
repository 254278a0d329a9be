// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of AVX-512 without VNNI, for generic/gemm_turned.h, as avx2/bytes.h has them.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx512/words.h"

// Rows of a tile: 20 registers of sums leave room for the weights of a step.
enum { TILE_ROWS_I8 = 5 };

// Of four weights of each of 16 columns what turns an input's bits, its 128 among them, and their
// sizes.
typedef struct weights_i8 {
    __m512i turns, size;
} weights_i8;

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    const __m512i w = _mm512_loadu_si512(p);
    return (weights_i8){_mm512_mask_blend_epi8(_mm512_movepi8_mask(w), _mm512_set1_epi8(-128),
                                               _mm512_set1_epi8(127)),
                        _mm512_abs_epi8(w)};
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    const __m512i sums_of_two = _mm512_maddubs_epi16(w.size, _mm512_xor_si512(x, w.turns));
    return (words)_mm512_add_epi32((__m512i)sum,
                                   _mm512_madd_epi16(sums_of_two, _mm512_set1_epi16(1)));
}

#endif
