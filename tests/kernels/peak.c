// SPDX-License-Identifier: Apache-2.0
// Loops of one instruction, or of those that multiply bytes where there is none. Chains enough for
// all units times an instruction's latency, as far as there are registers.
#include "peak.h"

#include <stddef.h>
#include <string.h>

typedef struct peak {
    const char *name;
    void (*run)(void);
    int n_instructions, operations;  // operations of each
} peak;

// A function cannot take an instruction's name. All registers of sums are of one type: the
// instruction says what is in them. 0x3f in every byte: 0.75 in f32 and bf16, 1.8 in f16, 63.
#define PEAK(name, isa, vector, in, n_chains, n_rounds, instructions)                     \
    __attribute__((target(isa))) static void name(void) {                                 \
        vector sum[n_chains], x;                                                          \
        memset(&x, 0x3f, sizeof x);                                                       \
        _Pragma("GCC unroll 24") for (int i = 0; i < n_chains; i++) sum[i] = (vector){0}; \
        for (int round = 0; round < n_rounds; round++)                                    \
            _Pragma("GCC unroll 24") for (int i = 0; i < n_chains; i++) __asm__ volatile( \
                instructions : "+" in(sum[i]) : in(x) : SCRATCH);                         \
    }

#if defined(__x86_64__)
#include <immintrin.h>

#define SCRATCH "xmm15"

// Two units times a latency of up to six; six of tiles, each of which takes the unit 16 cycles of a
// latency of 52.
enum {
    N_YMM_CHAINS = 12,
    N_YMM_ROUNDS = 30000,
    N_ZMM_CHAINS = 20,
    N_ZMM_ROUNDS = 18000,
    N_TILE_CHAINS = 6,
    N_TILE_ROUNDS = 4000,
};

#define PEAK_YMM(name, isa, instructions) \
    PEAK(name, isa, __m256, "x", N_YMM_CHAINS, N_YMM_ROUNDS, instructions)
#define PEAK_ZMM(name, isa, instructions) \
    PEAK(name, isa, __m512, "v", N_ZMM_CHAINS, N_ZMM_ROUNDS, instructions)

PEAK_YMM(run_avx2_f32, "avx2,fma", "vfmadd231ps %1, %1, %0")
PEAK_YMM(run_avx2_i8, "avx2",
         "vpmaddubsw %1, %1, %%ymm15\n vpmaddwd %1, %%ymm15, %%ymm15\n vpaddd %%ymm15, %0, %0")
PEAK_YMM(run_avx_vnni_i8, "avx2,avxvnni", "%{vex%} vpdpbusd %1, %1, %0")
PEAK_ZMM(run_avx512_f32, "avx512f", "vfmadd231ps %1, %1, %0")
PEAK_ZMM(run_avx512_i8, "avx512f,avx512bw",
         "vpmaddubsw %1, %1, %%zmm15\n vpmaddwd %1, %%zmm15, %%zmm15\n vpaddd %%zmm15, %0, %0")
PEAK_ZMM(run_vnni_i8, "avx512f,avx512vnni", "vpdpbusd %1, %1, %0")
PEAK_ZMM(run_bf16, "avx512f,avx512bf16", "vdpbf16ps %1, %1, %0")

// Eight whole tiles of zeros: six chains, and two that they multiply. What the compilers are told
// of this instruction leaves out that it reads all 64 bytes.
__attribute__((target("amx-tile"))) static void open_tiles(void) {
    uint8_t config[64] = {1};  // palette
    for (int t = 0; t < N_TILE_CHAINS + 2; t++) {
        config[16 + 2 * t] = 64;  // bytes of a row
        config[48 + t] = 16;      // rows
    }
    __asm__ volatile("" : : "r"(config) : "memory");
    _tile_loadconfig(config);
}

__attribute__((target("amx-tile,amx-int8"))) static void run_amx_i8(void) {
    open_tiles();
    for (int round = 0; round < N_TILE_ROUNDS; round++) {
        _tile_dpbusd(0, 6, 7);
        _tile_dpbusd(1, 6, 7);
        _tile_dpbusd(2, 6, 7);
        _tile_dpbusd(3, 6, 7);
        _tile_dpbusd(4, 6, 7);
        _tile_dpbusd(5, 6, 7);
    }
    _tile_release();
}

__attribute__((target("amx-tile,amx-bf16"))) static void run_amx_bf16(void) {
    open_tiles();
    for (int round = 0; round < N_TILE_ROUNDS; round++) {
        _tile_dpbf16ps(0, 6, 7);
        _tile_dpbf16ps(1, 6, 7);
        _tile_dpbf16ps(2, 6, 7);
        _tile_dpbf16ps(3, 6, 7);
        _tile_dpbf16ps(4, 6, 7);
        _tile_dpbf16ps(5, 6, 7);
    }
    _tile_release();
}

enum {
    YMM_LANES = N_YMM_ROUNDS * N_YMM_CHAINS,
    ZMM_LANES = N_ZMM_ROUNDS * N_ZMM_CHAINS,
    TILES = N_TILE_ROUNDS * N_TILE_CHAINS,
};

static const peak peaks[] = {
    [PEAK_NONE] = {"none", NULL, 0, 0},
    [PEAK_AVX2_F32] = {"vfmadd ymm", run_avx2_f32, YMM_LANES, 16},
    [PEAK_AVX2_I8] = {"vpmaddubsw ymm", run_avx2_i8, YMM_LANES, 64},
    [PEAK_AVX_VNNI_I8] = {"vpdpbusd ymm", run_avx_vnni_i8, YMM_LANES, 64},
    [PEAK_AVX512_F32] = {"vfmadd zmm", run_avx512_f32, ZMM_LANES, 32},
    [PEAK_AVX512_I8] = {"vpmaddubsw zmm", run_avx512_i8, ZMM_LANES, 128},
    [PEAK_VNNI_I8] = {"vpdpbusd zmm", run_vnni_i8, ZMM_LANES, 128},
    [PEAK_BF16] = {"vdpbf16ps zmm", run_bf16, ZMM_LANES, 64},
    [PEAK_AMX_I8] = {"tdpbusd tmm", run_amx_i8, TILES, 16 * 16 * 64 * 2},
    [PEAK_AMX_BF16] = {"tdpbf16ps tmm", run_amx_bf16, TILES, 16 * 16 * 32 * 2},
};
#elif defined(__aarch64__)
#include <arm_neon.h>

#define SCRATCH "v30", "v31"

// Four units times a latency of four, and some.
enum { N_CHAINS = 24, N_ROUNDS = 15000, LANES = N_ROUNDS * N_CHAINS };

#define PEAK_NEON(name, instructions)                                                         \
    PEAK(name, "arch=armv8.2-a+dotprod+i8mm+bf16+fp16", float32x4_t, "w", N_CHAINS, N_ROUNDS, \
         instructions)

PEAK_NEON(run_neon_f32, "fmla %0.4s, %1.4s, %1.s[0]")
PEAK_NEON(run_neon_i8,
          "smull v31.8h, %1.8b, %1.8b\n smull2 v30.8h, %1.16b, %1.16b\n"
          "addp v31.8h, v31.8h, v30.8h\n sadalp %0.4s, v31.8h")
PEAK_NEON(run_neon_dotprod, "udot %0.4s, %1.16b, %1.4b[0]")
PEAK_NEON(run_neon_i8mm, "usmmla %0.4s, %1.16b, %1.16b")
PEAK_NEON(run_neon_bf16, "bfmmla %0.4s, %1.8h, %1.8h")
PEAK_NEON(run_neon_fp16, "fmla %0.8h, %1.8h, %1.8h")

static const peak peaks[] = {
    [PEAK_NONE] = {"none", NULL, 0, 0},
    [PEAK_NEON_F32] = {"fmla 4s", run_neon_f32, LANES, 8},
    [PEAK_NEON_I8] = {"smull addp sadalp", run_neon_i8, LANES, 32},
    [PEAK_NEON_DOTPROD] = {"udot", run_neon_dotprod, LANES, 32},
    [PEAK_NEON_I8MM] = {"usmmla", run_neon_i8mm, LANES, 64},
    [PEAK_NEON_BF16] = {"bfmmla", run_neon_bf16, LANES, 32},
    [PEAK_NEON_FP16] = {"fmla 8h", run_neon_fp16, LANES, 16},
};
#else
static const peak peaks[] = {[PEAK_NONE] = {"none", NULL, 0, 0}};
#endif

const char *peak_name(peak_kind kind) {
    return peaks[kind].name;
}

uint64_t peak_operations(peak_kind kind) {
    return (uint64_t)peaks[kind].n_instructions * (uint64_t)peaks[kind].operations;
}

void peak_run(peak_kind kind) {
    if (peaks[kind].run) peaks[kind].run();
}
