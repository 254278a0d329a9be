// SPDX-License-Identifier: Apache-2.0
// What one core's multiply-add instructions reach when nothing else happens: registers only, as
// many chains as hide their latency. Kernels' rates are printed as shares of these.
#ifndef PEAK_H
#define PEAK_H

#include <stdint.h>

typedef enum peak_kind {
    PEAK_NONE,
    PEAK_AVX2_F32,      // vfmadd231ps ymm
    PEAK_AVX2_I8,       // vpmaddubsw, vpmaddwd and vpaddd ymm: bytes without VNNI
    PEAK_AVX_VNNI_I8,   // vpdpbusd ymm
    PEAK_AVX512_F32,    // vfmadd231ps zmm
    PEAK_AVX512_I8,     // the same zmm
    PEAK_VNNI_I8,       // vpdpbusd zmm
    PEAK_BF16,          // vdpbf16ps zmm
    PEAK_AMX_I8,        // tdpbusd tmm
    PEAK_AMX_BF16,      // tdpbf16ps tmm
    PEAK_NEON_F32,      // fmla, 4 floats
    PEAK_NEON_I8,       // smull, smull2, addp, sadalp: exact int8 without the dot product
    PEAK_NEON_DOTPROD,  // udot
    PEAK_NEON_I8MM,     // usmmla
    PEAK_NEON_BF16,     // bfmmla
    PEAK_NEON_FP16,     // fmla, 8 halves
} peak_kind;

const char *peak_name(peak_kind kind);
// Operations (a multiplication and an addition are two) of one call, of some 100 us.
uint64_t peak_operations(peak_kind kind);
void peak_run(peak_kind kind);

#endif
