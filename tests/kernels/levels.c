// SPDX-License-Identifier: Apache-2.0
// One level a rung: each adds one extension to the one before, so that what a check skips as
// inherited has been checked.
#include "levels.h"

#include "cpu/cpu.h"

enum {
    AVX2_VNNI = WB_CPU_AVX2 | WB_CPU_AVX_VNNI,
    AVX512 = WB_CPU_AVX2 | WB_CPU_AVX512,
    VNNI = AVX512 | WB_CPU_AVX512_VNNI,
    BF16 = VNNI | WB_CPU_AVX512_BF16,
    FP16 = BF16 | WB_CPU_AVX512_FP16,
    AMX_BF16 = FP16 | WB_CPU_AMX_BF16,
    AMX_INT8 = AMX_BF16 | WB_CPU_AMX_INT8,

    NEON_DOTPROD = WB_CPU_NEON | WB_CPU_NEON_DOTPROD,
    NEON_I8MM = NEON_DOTPROD | WB_CPU_NEON_I8MM,
    NEON_BF16 = NEON_I8MM | WB_CPU_NEON_BF16,
    NEON_FP16 = NEON_BF16 | WB_CPU_NEON_FP16,
};

const level levels[] = {
    {"scalar", 0},
    {"avx2", WB_CPU_AVX2},
    {"avx2_vnni", AVX2_VNNI},
    {"avx512", AVX512},
    {"avx512_vnni", VNNI},
    {"avx512_bf16", BF16},
    {"avx512_fp16", FP16},
    {"amx_bf16", AMX_BF16},
    {"amx_int8", AMX_INT8},
    {"neon", WB_CPU_NEON},
    {"neon_dotprod", NEON_DOTPROD},
    {"neon_i8mm", NEON_I8MM},
    {"neon_bf16", NEON_BF16},
    {"neon_fp16", NEON_FP16},
    {0},
};
