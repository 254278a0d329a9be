// SPDX-License-Identifier: Apache-2.0
// What wattbert sees of the machine, for people and tables; and the library's only look at
// the environment, WATTBERT_ISA.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

void wb_machine_detect(wb_cpu *cpu) {
    wb_cpu_detect(cpu);
    // Only ever lowered: a set that the CPU lacks cannot be asked for.
    cpu->flags = wb_cpu_limit(cpu->flags, getenv("WATTBERT_ISA"));
}

// out <- "avx2 fma f16c avx512 .." of flags; the longest list is 83 characters.
static void list_features(char *out, size_t capacity, uint32_t flags) {
    static const struct {
        uint32_t flag;
        const char *name;
    } features[] = {
        {WB_CPU_AVX2, "avx2 fma f16c"},
        {WB_CPU_AVX512, "avx512"},
        {WB_CPU_AVX512_VNNI, "avx512-vnni"},
        {WB_CPU_AVX512_BF16, "avx512-bf16"},
        {WB_CPU_AVX512_FP16, "avx512-fp16"},
        {WB_CPU_AVX_VNNI, "avx-vnni"},
        {WB_CPU_AMX_INT8, "amx-int8"},
        {WB_CPU_AMX_BF16, "amx-bf16"},
        {WB_CPU_NEON, "neon"},
        {WB_CPU_NEON_DOTPROD, "neon-dotprod"},
        {WB_CPU_NEON_I8MM, "neon-i8mm"},
        {WB_CPU_NEON_BF16, "neon-bf16"},
        {WB_CPU_NEON_FP16, "neon-fp16"},
    };
    out[0] = 0;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (!(flags & features[i].flag)) continue;
        const size_t length = strlen(out);
        snprintf(out + length, capacity - length, "%s%s", length ? " " : "", features[i].name);
    }
}

void wb_machine_describe(wb_machine *out) {
    wb_cpu cpu;
    wb_kernels kernels;
    wb_machine_detect(&cpu);
    wb_kernels_select(&kernels, cpu.flags);
    *out = (wb_machine){.n_cores = cpu.n_cores,
                        .n_threads = cpu.n_threads,
                        .l1d_bytes = cpu.l1d_bytes,
                        .l2_bytes = cpu.l2_bytes,
                        .l3_bytes = cpu.l3_bytes};
    snprintf(out->cpu, sizeof out->cpu, "%s", cpu.name);
    snprintf(out->isa, sizeof out->isa, "%s", kernels.isa);
    list_features(out->features, sizeof out->features, cpu.flags);
}
