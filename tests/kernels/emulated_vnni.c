// SPDX-License-Identifier: Apache-2.0
// src/kernels/avx2_vnni with its one instruction in plain C.
#include "emulated.h"

#if defined(__AVX2__)
#include <immintrin.h>

// vpdpbusd: unsigned bytes times signed ones, four to a word, added without saturation.
static inline __m256i dot_bytes(__m256i sum, __m256i x, __m256i w) {
    union {
        __m256i all;
        uint8_t u8[32];
        int8_t i8[32];
        int32_t i32[8];
    } s = {sum}, a = {x}, b = {w};
    for (int i = 0; i < 32; i++) s.i32[i / 4] += a.u8[i] * b.i8[i];
    return s.all;
}

#define _mm256_dpbusd_avx_epi32 dot_bytes

#include "kernels/avx2_vnni/bytes.h"

#include "kernels/generic/gemm_i8.h"

static void pack_i8_emulated(void *packed, const int8_t *w, int n, int k) {
    pack_panels_i8(packed, w, n, k);
}

static void gemm_i8_emulated(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                             const void *packed, const float *w_scale, int m, int n, int k,
                             const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

bool emulated_vnni_select(wb_kernels *kernels) {
    kernels->gemm_i8_name = "gemm_i8_emulated";
    kernels->pack_i8 = pack_i8_emulated;
    kernels->gemm_i8 = gemm_i8_emulated;
    return true;
}
#else
bool emulated_vnni_select(wb_kernels *kernels) {
    (void)kernels;
    return false;
}
#endif
