// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of AVX2, for generic/gemm_i8.h. vpmaddubsw multiplies unsigned bytes by
// signed ones and adds two products in 16 bits, where sums of unsigned inputs would saturate. So
// weights come as their sizes, and inputs without their 128 and with the weights' signs, but for
// one: where a weight is below 0 all bits of an input x are turned, which makes it -x - 1, because
// more ports of a core can do vpxor than vpsignb. Its size is then missing from the sum, whatever x
// is, and so sums start at the sizes of all weights below 0. Two products are at most 2 * 127 * 128
// = 32512.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx2/words.h"

// Rows of a tile: ten registers of sums leave room for all else that a step needs twice.
enum { TILE_ROWS_I8 = 5 };

// Of four weights of each of eight columns what turns an input's bits, its 128 among them, and
// their sizes.
typedef struct signed_8 {
    __m256i turns, size;
} signed_8;

typedef struct weights_i8 {
    signed_8 low, high;
} weights_i8;

static const _Alignas(32) int16_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const _Alignas(32) uint32_t high_bits[8] = {0x80808080, 0x80808080, 0x80808080, 0x80808080,
                                                   0x80808080, 0x80808080, 0x80808080, 0x80808080};

KERNEL_INLINE signed_8 signed_load(const int8_t *p) {
    const __m256i_u *w = (const __m256i_u *)p;
    __m256i turns;
    __asm__(
        "vpxor %[turns], %[turns], %[turns]\n\t"
        "vpcmpgtb %[w], %[turns], %[turns]\n\t"
        "vpxor %[high_bits], %[turns], %[turns]"
        : [turns] "=x"(turns)
        : [w] "m"(*w), [high_bits] "m"(high_bits));
    return (signed_8){turns, _mm256_abs_epi8(*w)};
}

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    return (weights_i8){signed_load(p), signed_load(p + 32)};
}

// In assembly, because gcc 12 takes the instructions of all rows apart and runs out of registers:
// 5 % slower from intrinsics.
KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    __m256i products;
    __asm__(
        "vpxor %[high_turns], %[x], %[products]\n\t"
        "vpxor %[low_turns], %[x], %[x]\n\t"
        "vpmaddubsw %[products], %[high_size], %[products]\n\t"
        "vpmaddubsw %[x], %[low_size], %[x]\n\t"
        "vpmaddwd %[ones], %[products], %[products]\n\t"
        "vpmaddwd %[ones], %[x], %[x]\n\t"
        "vpaddd %[products], %[high], %[high]\n\t"
        "vpaddd %[x], %[low], %[low]"
        : [high] "+x"(sum.high), [low] "+x"(sum.low), [products] "=&x"(products), [x] "+x"(x)
        : [high_turns] "x"(w.high.turns), [low_turns] "x"(w.low.turns),
          [high_size] "x"(w.high.size), [low_size] "x"(w.low.size), [ones] "m"(ones));
    return sum;
}

#endif
