// SPDX-License-Identifier: Apache-2.0
// 32 lanes of f16 arithmetic as one register of AVX512-FP16, for generic/gemm_f16_blocks.h.
#ifndef WB_HALVES_H
#define WB_HALVES_H

#include "kernels/avx512/lanes.h"

typedef __m512h halves;

KERNEL_INLINE halves halves_zero(void) {
    return _mm512_setzero_ph();
}

KERNEL_INLINE halves halves_load(const uint16_t *p) {
    return _mm512_castsi512_ph(_mm512_loadu_si512(p));
}

KERNEL_INLINE halves halves_all(const uint16_t *p) {
    return _mm512_castsi512_ph(_mm512_set1_epi16((short)*p));
}

KERNEL_INLINE halves halves_fma(halves a, halves b, halves c) {
    return _mm512_fmadd_ph(a, b, c);
}

// Columns 0-15 and 16-31 as f32.
KERNEL_INLINE lanes halves_low(halves v) {
    return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_castph_si512(v)));
}

KERNEL_INLINE lanes halves_high(halves v) {
    return _mm512_cvtph_ps(_mm512_extracti64x4_epi64(_mm512_castph_si512(v), 1));
}

#endif
