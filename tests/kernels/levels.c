// SPDX-License-Identifier: Apache-2.0
// One level a rung: each adds one extension to the one before, so that what a check skips as
// inherited has been checked.
#include "levels.h"

#include "cpu/cpu.h"

enum {
    AVX512 = WB_CPU_AVX2 | WB_CPU_AVX512,
    VNNI = AVX512 | WB_CPU_AVX512_VNNI,
    BF16 = VNNI | WB_CPU_AVX512_BF16,
    FP16 = BF16 | WB_CPU_AVX512_FP16,

    NEON_DOTPROD = WB_CPU_NEON | WB_CPU_NEON_DOTPROD,
    NEON_I8MM = NEON_DOTPROD | WB_CPU_NEON_I8MM,
    NEON_BF16 = NEON_I8MM | WB_CPU_NEON_BF16,
    NEON_FP16 = NEON_BF16 | WB_CPU_NEON_FP16,
};

const level levels[] = {
    {"scalar", 0},
    {"avx2", WB_CPU_AVX2},
    {"avx512", AVX512},
    {"avx512_vnni", VNNI},
    {"avx512_bf16", BF16},
    {"avx512_fp16", FP16},
    {"neon", WB_CPU_NEON},
    {"neon_dotprod", NEON_DOTPROD},
    {"neon_i8mm", NEON_I8MM},
    {"neon_bf16", NEON_BF16},
    {"neon_fp16", NEON_FP16},
    {0},
};
