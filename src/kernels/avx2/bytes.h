// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of AVX2, for generic/gemm_i8.h. vpmaddubsw multiplies unsigned bytes by
// signed ones and adds two products in 16 bits, where sums of unsigned inputs would saturate. So
// weights come as their sizes, inputs without their 128 and with the weights' signs: two products
// are at most 2 * 127 * 127 = 32258, and sums start at 0.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx2/words.h"

// Rows of a tile: ten registers of sums leave room for all else that a step needs twice.
enum { TILE_ROWS_I8 = 5 };

// Four weights of each of eight columns where they lie, and their sizes.
typedef struct signed_8 {
    const __m256i_u *value;
    __m256i size;
} signed_8;

typedef struct weights_i8 {
    signed_8 low, high;
} weights_i8;

typedef __m256i inputs_u8;  // signed again

KERNEL_INLINE words words_load(const int8_t *p) {
    (void)p;
    return (words){(words_8){0}, (words_8){0}};
}

KERNEL_INLINE signed_8 signed_load(const int8_t *p) {
    const __m256i_u *value = (const __m256i_u *)p;
    return (signed_8){value, _mm256_abs_epi8(_mm256_loadu_si256(value))};
}

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    return (weights_i8){signed_load(p), signed_load(p + 32)};
}

KERNEL_INLINE inputs_u8 inputs_all(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_xor_si256(_mm256_set1_epi32(four), _mm256_set1_epi8((char)0x80));
}

// In assembly, because gcc 12 takes the instructions of all rows apart and runs out of registers:
// 5 % slower from intrinsics.
KERNEL_INLINE words_8 dot_8(words_8 sum, inputs_u8 x, signed_8 w) {
    __m256i products;
    __asm__(
        "vpsignb %[value], %[x], %[products]\n\t"
        "vpmaddubsw %[products], %[size], %[products]\n\t"
        "vpmaddwd %[ones], %[products], %[products]\n\t"
        "vpaddd %[products], %[sum], %[sum]"
        : [sum] "+x"(sum), [products] "=&x"(products)
        : [x] "x"(x), [value] "m"(*w.value), [size] "x"(w.size), [ones] "x"(_mm256_set1_epi16(1)));
    return sum;
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    return (words){dot_8(sum.low, x, w.low), dot_8(sum.high, x, w.high)};
}

#endif
