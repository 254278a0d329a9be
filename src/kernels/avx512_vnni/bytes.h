// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of AVX-512 VNNI, for generic/gemm_i8.h: vpdpbusd multiplies four unsigned
// inputs by four weights and adds to 32 bits without saturation.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx512/words.h"

typedef __m512i weights_i8;

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    return _mm512_loadu_si512(p);
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    return (words)_mm512_dpbusd_epi32((__m512i)sum, x, w);
}

#endif
