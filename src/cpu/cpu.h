// SPDX-License-Identifier: Apache-2.0
// What this process may use of the machine: instruction sets (CPUID and XGETBV, or
// what the kernel says on Arm: the operating system must save the registers too),
// cores of the affinity mask, cache sizes.
#ifndef WB_CPU_H
#define WB_CPU_H

#include "base/base.h"

enum {
    WB_CPU_AVX2 = 1 << 0,         // AVX2, FMA, F16C
    WB_CPU_AVX512 = 1 << 1,       // F, BW, CD, DQ, VL: Skylake-SP and later, Zen 4 and later
    WB_CPU_AVX512_VNNI = 1 << 2,  // vpdpbusd
    WB_CPU_AVX512_BF16 = 1 << 3,  // vdpbf16ps
    WB_CPU_AVX512_FP16 = 1 << 4,  // half-precision arithmetic: Sapphire Rapids and later
    WB_CPU_AVX_VNNI = 1 << 5,     // vpdpbusd in 256 bits, without AVX-512: Alder Lake and later
    WB_CPU_AMX_INT8 = 1 << 6,     // the matrix unit's tdpbusd, and its tiles: Sapphire Rapids
    WB_CPU_AMX_BF16 = 1 << 7,     // its tdpbf16ps, and its tiles

    WB_CPU_NEON = 1 << 16,          // ASIMD: every ARMv8.0
    WB_CPU_NEON_DOTPROD = 1 << 17,  // udot, sdot
    WB_CPU_NEON_I8MM = 1 << 18,     // usmmla
    WB_CPU_NEON_BF16 = 1 << 19,     // bfmmla
    WB_CPU_NEON_FP16 = 1 << 20,     // half-precision arithmetic
};

enum { WB_MOST_CPUS = 1024 };  // as many threads as a plan may have

typedef struct wb_cpu {
    char name[64];
    uint32_t flags;
    int n_cores;                           // physical cores in the affinity mask
    int n_threads;                         // hardware threads in it
    size_t l1d_bytes, l2_bytes, l3_bytes;  // reachable from one core; 0: unknown
    // Hardware threads of the mask by the system's numbers, in the order in which threads are bound
    // to them: one of each core, cores of one third-level cache and package side by side; then
    // those cores' other threads.
    int n_cpus;  // at most n_threads
    int cpus[WB_MOST_CPUS];
} wb_cpu;

// Where the CPU has AMX, this asks the system to let the process use it: for good, for all of its
// threads, and alternate signal stacks must then have room for 8 KB of tiles more. Refused: no
// flag.
void wb_cpu_detect(wb_cpu *cpu);

// flags lowered to the highest set named by limit ("scalar", "avx2", "avx512", "amx", "neon") and
// what extends it: "avx512" keeps its VNNI, not AMX. NULL or an unknown name lowers nothing.
uint32_t wb_cpu_limit(uint32_t flags, const char *limit);

#endif
