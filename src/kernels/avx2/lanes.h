// SPDX-License-Identifier: Apache-2.0
// The 16 lanes of generic/ as two registers of AVX2, with FMA and F16C.
#ifndef WB_LANES_H
#define WB_LANES_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/generic/inline.h"

// Lanes 0-7 and 8-15.
typedef struct lanes {
    __m256 low, high;
} lanes;

// The tile of products: 12 registers of sums, 2 of weights and one input, of 16.
enum { TILE_ROWS = 6, TILE_VECTORS = 1, TILE_N = 16 * TILE_VECTORS };

// All bits set in lanes [0, n) of eight, for n of any size.
KERNEL_INLINE __m256i first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

KERNEL_INLINE lanes lanes_all(float x) {
    const __m256 v = _mm256_set1_ps(x);
    return (lanes){v, v};
}

KERNEL_INLINE lanes lanes_load(const float *p) {
    return (lanes){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

KERNEL_INLINE lanes lanes_load_first(const float *p, int n) {
    return (lanes){_mm256_maskload_ps(p, first_lanes(n)),
                   n > 8 ? _mm256_maskload_ps(p + 8, first_lanes(n - 8)) : _mm256_setzero_ps()};
}

KERNEL_INLINE void lanes_store(float *p, lanes v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
}

KERNEL_INLINE void lanes_store_first(float *p, lanes v, int n) {
    _mm256_maskstore_ps(p, first_lanes(n), v.low);
    if (n > 8) _mm256_maskstore_ps(p + 8, first_lanes(n - 8), v.high);
}

KERNEL_INLINE lanes lanes_keep_first(lanes v, int n, lanes fill) {
    const __m256 low = _mm256_castsi256_ps(first_lanes(n)),
                 high = _mm256_castsi256_ps(first_lanes(n - 8));
    return (lanes){_mm256_blendv_ps(fill.low, v.low, low),
                   _mm256_blendv_ps(fill.high, v.high, high)};
}

KERNEL_INLINE lanes lanes_add(lanes a, lanes b) {
    return (lanes){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) {
    return (lanes){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) {
    return (lanes){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

KERNEL_INLINE lanes lanes_div(lanes a, lanes b) {
    return (lanes){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}

KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
    return (lanes){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

KERNEL_INLINE lanes lanes_max(lanes a, lanes b) {
    return (lanes){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

KERNEL_INLINE lanes lanes_min(lanes a, lanes b) {
    return (lanes){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

KERNEL_INLINE lanes lanes_abs(lanes a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (lanes){_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}

KERNEL_INLINE lanes lanes_zero_where_less(lanes a, lanes b, lanes c) {
    return (lanes){_mm256_and_ps(_mm256_cmp_ps(a.low, b.low, _CMP_NLT_UQ), c.low),
                   _mm256_and_ps(_mm256_cmp_ps(a.high, b.high, _CMP_NLT_UQ), c.high)};
}

KERNEL_INLINE __m256 add_exponent_8(__m256 p, __m256 t) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
}

KERNEL_INLINE lanes lanes_add_exponent(lanes p, lanes t) {
    return (lanes){add_exponent_8(p.low, t.low), add_exponent_8(p.high, t.high)};
}

KERNEL_INLINE float lanes_sum(lanes v) {
    const __m256 eight = _mm256_add_ps(v.low, v.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

KERNEL_INLINE float lanes_greatest(lanes v) {
    const __m256 eight = _mm256_max_ps(v.low, v.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Eight registers transposed in three rounds of exchanges.
KERNEL_INLINE void transpose_8(__m256 v[8]) {
    __m256 pairs[8], fours[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
        fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(fours[i], fours[4 + i], 0x20);
        v[4 + i] = _mm256_permute2f128_ps(fours[i], fours[4 + i], 0x31);
    }
}

// Four quarters of 8 x 8, two of which change places.
KERNEL_INLINE void lanes_transpose(lanes v[16]) {
    __m256 top_left[8], top_right[8], bottom_left[8], bottom_right[8];
    UNROLL
    for (int i = 0; i < 8; i++) {
        top_left[i] = v[i].low;
        top_right[i] = v[i].high;
        bottom_left[i] = v[8 + i].low;
        bottom_right[i] = v[8 + i].high;
    }
    transpose_8(top_left);
    transpose_8(top_right);
    transpose_8(bottom_left);
    transpose_8(bottom_right);
    UNROLL
    for (int i = 0; i < 8; i++) {
        v[i] = (lanes){top_left[i], bottom_left[i]};
        v[8 + i] = (lanes){top_right[i], bottom_right[i]};
    }
}

// ---- 16-bit floats ----

// Rounded to nearest even in the upper half of each word; a NaN stays one (bit 22 is set).
KERNEL_INLINE __m256i round_to_bf16(__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, _mm256_or_si256(bits, _mm256_set1_epi32(0x400000)), is_nan);
}

// The low 16 bits of each word of low, then of high.
KERNEL_INLINE __m256i pack_words(__m256i low, __m256i high) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
}

KERNEL_INLINE void lanes_store_bf16(uint16_t *p, lanes v) {
    const __m256i low = _mm256_srli_epi32(round_to_bf16(v.low), 16),
                  high = _mm256_srli_epi32(round_to_bf16(v.high), 16);
    _mm256_storeu_si256((__m256i *)p, pack_words(low, high));
}

KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes v) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(v.high, _MM_FROUND_TO_NEAREST_INT));
}

KERNEL_INLINE lanes lanes_load_f16(const uint16_t *p) {
    return (lanes){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                   _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}

KERNEL_INLINE lanes lanes_all_f16(const uint16_t *p) {
    const __m256 v = _mm256_cvtph_ps(_mm_set1_epi16((short)*p));
    return (lanes){v, v};
}

KERNEL_INLINE lanes lanes_all_bf16(const uint16_t *p) {
    const __m256 v = _mm256_castsi256_ps(_mm256_set1_epi32((int)((uint32_t)*p << 16)));
    return (lanes){v, v};
}

KERNEL_INLINE __m256 load_bf16_even_8(const uint16_t *p) {
    const __m256i both = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
}

KERNEL_INLINE __m256 load_bf16_odd_8(const uint16_t *p) {
    const __m256i both = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int)0xffff0000u)));
}

KERNEL_INLINE lanes lanes_load_bf16_even(const uint16_t *p) {
    return (lanes){load_bf16_even_8(p), load_bf16_even_8(p + 16)};
}

KERNEL_INLINE lanes lanes_load_bf16_odd(const uint16_t *p) {
    return (lanes){load_bf16_odd_8(p), load_bf16_odd_8(p + 16)};
}

KERNEL_INLINE void store_bf16_pairs_8(uint16_t *p, __m256 even, __m256 odd) {
    const __m256i low = _mm256_srli_epi32(round_to_bf16(even), 16);
    _mm256_storeu_si256((__m256i *)p, _mm256_blend_epi16(low, round_to_bf16(odd), 0xaa));
}

KERNEL_INLINE void lanes_store_bf16_pairs(uint16_t *p, lanes even, lanes odd) {
    store_bf16_pairs_8(p, even.low, odd.low);
    store_bf16_pairs_8(p + 16, even.high, odd.high);
}

// ---- Bytes ----

KERNEL_INLINE void lanes_store_low_bytes(uint8_t *p, lanes v) {
    const __m256i byte = _mm256_set1_epi32(0xff);
    const __m256i shorts = pack_words(_mm256_and_si256(_mm256_castps_si256(v.low), byte),
                                      _mm256_and_si256(_mm256_castps_si256(v.high), byte));
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi16(_mm256_castsi256_si128(shorts),
                                                    _mm256_extracti128_si256(shorts, 1)));
}

#endif
