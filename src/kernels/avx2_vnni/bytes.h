// SPDX-License-Identifier: Apache-2.0
// Exact int8 products of AVX-VNNI, for generic/gemm_i8.h: vpdpbusd in 256 bits multiplies four
// unsigned inputs by four weights and adds to 32 bits without saturation.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/avx2/words.h"

typedef words weights_i8;

KERNEL_INLINE weights_i8 weights_load(const int8_t *p) {
    return words_load(p);
}

KERNEL_INLINE words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    return (words){(words_8)_mm256_dpbusd_avx_epi32((__m256i)sum.low, x, (__m256i)w.low),
                   (words_8)_mm256_dpbusd_avx_epi32((__m256i)sum.high, x, (__m256i)w.high)};
}

#endif
