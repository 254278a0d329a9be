// SPDX-License-Identifier: Apache-2.0
// The 16 lanes of generic/ as one register of AVX-512 (F, BW, DQ, VL).
#ifndef WB_LANES_H
#define WB_LANES_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/generic/inline.h"

typedef __m512 lanes;

// The tile of products: 24 registers of sums, 4 of weights and one input, of 32.
enum { TILE_ROWS = 6, TILE_VECTORS = 4, TILE_N = 16 * TILE_VECTORS };

// Lanes [0, n), n <= 16.
KERNEL_INLINE __mmask16 first_lanes(int n) {
    return (__mmask16)((1u << n) - 1);
}

KERNEL_INLINE lanes lanes_all(float x) {
    return _mm512_set1_ps(x);
}

KERNEL_INLINE lanes lanes_load(const float *p) {
    return _mm512_loadu_ps(p);
}

KERNEL_INLINE lanes lanes_load_first(const float *p, int n) {
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

KERNEL_INLINE void lanes_store(float *p, lanes v) {
    _mm512_storeu_ps(p, v);
}

KERNEL_INLINE void lanes_store_first(float *p, lanes v, int n) {
    _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

KERNEL_INLINE lanes lanes_keep_first(lanes v, int n, lanes fill) {
    return _mm512_mask_blend_ps(first_lanes(n), fill, v);
}

KERNEL_INLINE lanes lanes_add(lanes a, lanes b) {
    return _mm512_add_ps(a, b);
}

KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) {
    return _mm512_sub_ps(a, b);
}

KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) {
    return _mm512_mul_ps(a, b);
}

KERNEL_INLINE lanes lanes_div(lanes a, lanes b) {
    return _mm512_div_ps(a, b);
}

KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm512_fmadd_ps(a, b, c);
}

KERNEL_INLINE lanes lanes_max(lanes a, lanes b) {
    return _mm512_max_ps(a, b);
}

KERNEL_INLINE lanes lanes_min(lanes a, lanes b) {
    return _mm512_min_ps(a, b);
}

KERNEL_INLINE lanes lanes_abs(lanes a) {
    return _mm512_abs_ps(a);
}

KERNEL_INLINE lanes lanes_zero_where_less(lanes a, lanes b, lanes c) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), c);
}

KERNEL_INLINE lanes lanes_add_exponent(lanes p, lanes t) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

KERNEL_INLINE float lanes_sum(lanes v) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

KERNEL_INLINE float lanes_greatest(lanes v) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Four rounds of exchanges, of lanes 1, 2, 4 and 8 apart.
KERNEL_INLINE void lanes_transpose(lanes v[16]) {
    lanes pairs[16], fours[16], eights[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    // fours[4 g + c]: of rows 4 g .. 4 g + 3, columns c, 4 + c, 8 + c and 12 + c.
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        const __m512d a = _mm512_castps_pd(pairs[i]), b = _mm512_castps_pd(pairs[i + 2]);
        const __m512d c = _mm512_castps_pd(pairs[i + 1]), d = _mm512_castps_pd(pairs[i + 3]);
        fours[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        fours[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        fours[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        fours[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
    // eights[c]: columns c and 8 + c of rows 0-7 and eights[8 + c] of rows 8-15; 4 + c likewise.
    UNROLL
    for (int c = 0; c < 4; c++) {
        eights[c] = _mm512_shuffle_f32x4(fours[c], fours[4 + c], 0x88);
        eights[4 + c] = _mm512_shuffle_f32x4(fours[c], fours[4 + c], 0xdd);
        eights[8 + c] = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], 0x88);
        eights[12 + c] = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], 0xdd);
    }
    UNROLL
    for (int c = 0; c < 8; c++) {
        v[c] = _mm512_shuffle_f32x4(eights[c], eights[8 + c], 0x88);
        v[8 + c] = _mm512_shuffle_f32x4(eights[c], eights[8 + c], 0xdd);
    }
}

// ---- 16-bit floats ----

// Rounded to nearest even in the upper half of each word; a NaN stays one (bit 22 is set).
KERNEL_INLINE __m512i round_to_bf16(lanes v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
}

KERNEL_INLINE __m256i lanes_bf16(lanes v) {
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_to_bf16(v), 16));
}

KERNEL_INLINE void lanes_store_bf16(uint16_t *p, lanes v) {
    _mm256_storeu_si256((__m256i *)p, lanes_bf16(v));
}

KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

KERNEL_INLINE lanes lanes_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

KERNEL_INLINE lanes lanes_all_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)*p));
}

KERNEL_INLINE lanes lanes_all_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_set1_epi32((int)((uint32_t)*p << 16)));
}

KERNEL_INLINE lanes lanes_load_bf16_even(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}

KERNEL_INLINE lanes lanes_load_bf16_odd(const uint16_t *p) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), upper));
}

KERNEL_INLINE void lanes_store_bf16_pairs(uint16_t *p, lanes even, lanes odd) {
    const __m512i low = _mm512_srli_epi32(round_to_bf16(even), 16);
    _mm512_storeu_si512(p, _mm512_mask_blend_epi16(0xaaaaaaaa, low, round_to_bf16(odd)));
}

// ---- Bytes ----

KERNEL_INLINE void lanes_store_low_bytes(uint8_t *p, lanes v) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(v)));
}

#endif
