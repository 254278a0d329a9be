// SPDX-License-Identifier: Apache-2.0
// generic/gemm_f16_blocks.h over halves that emulate each instruction: widened to f32, multiplied
// (exactly) and added (rounded), and rounded to f16. The second rounding differs from the
// instruction's only one where the f32 sum lies exactly between two f16, by one unit.
#include "emulated.h"

#if defined(__AVX512VL__)
#include "kernels/avx512/lanes.h"

typedef struct halves {
    __m256i low, high;
} halves;

static inline lanes halves_low(halves v) {
    return _mm512_cvtph_ps(v.low);
}

static inline lanes halves_high(halves v) {
    return _mm512_cvtph_ps(v.high);
}

static inline halves halves_zero(void) {
    return (halves){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

static inline halves halves_load(const uint16_t *p) {
    return (halves){_mm256_loadu_si256((const __m256i *)p),
                    _mm256_loadu_si256((const __m256i *)(p + 16))};
}

static inline halves halves_all(const uint16_t *p) {
    const __m256i v = _mm256_set1_epi16((short)*p);
    return (halves){v, v};
}

static inline __m256i narrow(lanes v) {
    return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
}

static inline halves halves_fma(halves a, halves b, halves c) {
    return (halves){narrow(lanes_fma(halves_low(a), halves_low(b), halves_low(c))),
                    narrow(lanes_fma(halves_high(a), halves_high(b), halves_high(c)))};
}

#include "kernels/generic/gemm_f16_blocks.h"

static void gemm_f16_emulated(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                              int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_halves_f16(&out, x, ld_x, packed, k);
}

bool emulated_f16_select(wb_kernels *kernels) {
    kernels->has_f16 = true;
    kernels->gemm_f16_name = "gemm_f16_emulated";
    kernels->gemm_f16 = gemm_f16_emulated;
    return true;
}
#else
bool emulated_f16_select(wb_kernels *kernels) {
    (void)kernels;
    return false;
}
#endif
