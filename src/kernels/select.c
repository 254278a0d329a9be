// SPDX-License-Identifier: Apache-2.0
// The ladder: start complete, climb, choose once. Each rung overrides only what it does better,
// keeps tile_n of the rung it stands on, and its packed layouts or replaces all that knows one of
// them: size, packing, casting and product. So any subset of flags gives a coherent table.
#include "kernels/kernels.h"

#include "cpu/cpu.h"

void wb_kernels_select(wb_kernels *kernels, uint32_t cpu_flags) {
    wb_kernels_init_scalar(kernels);
#if defined(__x86_64__)
    if (cpu_flags & WB_CPU_AVX2) {
        wb_kernels_init_avx2(kernels);
        if (cpu_flags & WB_CPU_AVX_VNNI) wb_kernels_init_avx2_vnni(kernels);
    }
    if (cpu_flags & WB_CPU_AVX512) {
        wb_kernels_init_avx512(kernels);
        // These multiply panels of the AVX-512 set, or as wide, and are nothing without it.
        if (cpu_flags & WB_CPU_AVX512_VNNI) wb_kernels_init_avx512_vnni(kernels);
        if (cpu_flags & WB_CPU_AVX512_BF16) wb_kernels_init_avx512_bf16(kernels);
        if (cpu_flags & WB_CPU_AVX512_FP16) wb_kernels_init_avx512_fp16(kernels);
        // Few rows of int8 are multiplied by VNNI even there.
        const uint32_t int8 = WB_CPU_AMX_INT8 | WB_CPU_AVX512_VNNI;
        if ((cpu_flags & int8) == int8) wb_kernels_init_amx_int8(kernels);
        if (cpu_flags & WB_CPU_AMX_BF16) wb_kernels_init_amx_bf16(kernels);
    }
#elif defined(__aarch64__)
    if (cpu_flags & WB_CPU_NEON) {
        wb_kernels_init_neon(kernels);
        if (cpu_flags & WB_CPU_NEON_DOTPROD) wb_kernels_init_neon_dotprod(kernels);
        if (cpu_flags & WB_CPU_NEON_I8MM) wb_kernels_init_neon_i8mm(kernels);
        if (cpu_flags & WB_CPU_NEON_BF16) wb_kernels_init_neon_bf16(kernels);
        if (cpu_flags & WB_CPU_NEON_FP16) wb_kernels_init_neon_fp16(kernels);
    }
#endif
    kernels->cpu_flags = cpu_flags;
}
