// SPDX-License-Identifier: Apache-2.0
// Loops of one instruction, or of the three that multiply bytes without VNNI. Chains enough for two
// units times a latency of up to six, as far as there are registers; six of tiles, each of which
// takes the unit 16 cycles of a latency of 52. The asm statement that "changes" a chain keeps the
// compiler from folding the loop.
#include "peak.h"

#include <stddef.h>

typedef struct peak {
    const char *name;
    void (*run)(void);
    int n_instructions, operations;  // operations of each
} peak;

#if defined(__x86_64__)
#include <immintrin.h>

enum { N_CHAINS = 12, N_ROUNDS = 30000, N_TILE_CHAINS = 6, N_TILE_ROUNDS = 4000 };
enum { N_ZMM_CHAINS = 20, N_ZMM_ROUNDS = 18000 };

__attribute__((target("avx2,fma"))) static void run_avx2_f32(void) {
    __m256 sum[N_CHAINS], x = _mm256_set1_ps(0.5f);
#pragma GCC unroll 12
    for (int i = 0; i < N_CHAINS; i++) sum[i] = _mm256_set1_ps((float)i);
    for (int round = 0; round < N_ROUNDS; round++)
#pragma GCC unroll 12
        for (int i = 0; i < N_CHAINS; i++) {
            sum[i] = _mm256_fmadd_ps(sum[i], x, x);
            __asm__ volatile("" : "+x"(sum[i]));
        }
}

__attribute__((target("avx2"))) static void run_avx2_i8(void) {
    __m256i sum[N_CHAINS], x = _mm256_set1_epi8(3);
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 12
    for (int i = 0; i < N_CHAINS; i++) sum[i] = _mm256_set1_epi32(i);
    for (int round = 0; round < N_ROUNDS; round++)
#pragma GCC unroll 12
        for (int i = 0; i < N_CHAINS; i++) {
            const __m256i pairs = _mm256_maddubs_epi16(x, x);
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones));
            __asm__ volatile("" : "+x"(sum[i]), "+x"(x));
        }
}

__attribute__((target("avx2,avxvnni"))) static void run_avx_vnni_i8(void) {
    __m256i sum[N_CHAINS], x = _mm256_set1_epi32(3);
#pragma GCC unroll 12
    for (int i = 0; i < N_CHAINS; i++) sum[i] = _mm256_set1_epi32(i);
    for (int round = 0; round < N_ROUNDS; round++)
#pragma GCC unroll 12
        for (int i = 0; i < N_CHAINS; i++) {
            sum[i] = _mm256_dpbusd_avx_epi32(sum[i], x, x);
            __asm__ volatile("" : "+x"(sum[i]));
        }
}

__attribute__((target("avx512f"))) static void run_avx512_f32(void) {
    __m512 sum[N_ZMM_CHAINS], x = _mm512_set1_ps(0.5f);
#pragma GCC unroll 20
    for (int i = 0; i < N_ZMM_CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < N_ZMM_ROUNDS; round++)
#pragma GCC unroll 20
        for (int i = 0; i < N_ZMM_CHAINS; i++) {
            sum[i] = _mm512_fmadd_ps(sum[i], x, x);
            __asm__ volatile("" : "+v"(sum[i]));
        }
}

__attribute__((target("avx512f,avx512bw"))) static void run_avx512_i8(void) {
    __m512i sum[N_ZMM_CHAINS], x = _mm512_set1_epi8(3);
    const __m512i ones = _mm512_set1_epi16(1);
#pragma GCC unroll 20
    for (int i = 0; i < N_ZMM_CHAINS; i++) sum[i] = _mm512_set1_epi32(i);
    for (int round = 0; round < N_ZMM_ROUNDS; round++)
#pragma GCC unroll 20
        for (int i = 0; i < N_ZMM_CHAINS; i++) {
            const __m512i pairs = _mm512_maddubs_epi16(x, x);
            sum[i] = _mm512_add_epi32(sum[i], _mm512_madd_epi16(pairs, ones));
            __asm__ volatile("" : "+v"(sum[i]), "+v"(x));
        }
}

__attribute__((target("avx512f,avx512vnni"))) static void run_vnni_i8(void) {
    __m512i sum[N_ZMM_CHAINS], x = _mm512_set1_epi32(3);
#pragma GCC unroll 20
    for (int i = 0; i < N_ZMM_CHAINS; i++) sum[i] = _mm512_set1_epi32(i);
    for (int round = 0; round < N_ZMM_ROUNDS; round++)
#pragma GCC unroll 20
        for (int i = 0; i < N_ZMM_CHAINS; i++) {
            sum[i] = _mm512_dpbusd_epi32(sum[i], x, x);
            __asm__ volatile("" : "+v"(sum[i]));
        }
}

__attribute__((target("avx512f,avx512bf16"))) static void run_bf16(void) {
    __m512 sum[N_ZMM_CHAINS];
    const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f003f00);
#pragma GCC unroll 20
    for (int i = 0; i < N_ZMM_CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < N_ZMM_ROUNDS; round++)
#pragma GCC unroll 20
        for (int i = 0; i < N_ZMM_CHAINS; i++) {
            sum[i] = _mm512_dpbf16_ps(sum[i], x, x);
            __asm__ volatile("" : "+v"(sum[i]));
        }
}

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
    LANES = N_ROUNDS * N_CHAINS,
    ZMM_LANES = N_ZMM_ROUNDS * N_ZMM_CHAINS,
    TILES = N_TILE_ROUNDS * N_TILE_CHAINS,
};

static const peak peaks[] = {
    [PEAK_NONE] = {"none", NULL, 0, 0},
    [PEAK_AVX2_F32] = {"vfmadd ymm", run_avx2_f32, LANES, 16},
    [PEAK_AVX2_I8] = {"vpmaddubsw ymm", run_avx2_i8, LANES, 64},
    [PEAK_AVX_VNNI_I8] = {"vpdpbusd ymm", run_avx_vnni_i8, LANES, 64},
    [PEAK_AVX512_F32] = {"vfmadd zmm", run_avx512_f32, ZMM_LANES, 32},
    [PEAK_AVX512_I8] = {"vpmaddubsw zmm", run_avx512_i8, ZMM_LANES, 128},
    [PEAK_VNNI_I8] = {"vpdpbusd zmm", run_vnni_i8, ZMM_LANES, 128},
    [PEAK_BF16] = {"vdpbf16ps zmm", run_bf16, ZMM_LANES, 64},
    [PEAK_AMX_I8] = {"tdpbusd tmm", run_amx_i8, TILES, 16 * 16 * 64 * 2},
    [PEAK_AMX_BF16] = {"tdpbf16ps tmm", run_amx_bf16, TILES, 16 * 16 * 32 * 2},
};
#elif defined(__aarch64__)
#include <arm_neon.h>

// Four units times a latency of four, and some.
enum { N_CHAINS = 24, N_ROUNDS = 15000, LANES = N_ROUNDS * N_CHAINS };

// All registers of sums are of one type: the instruction says what is in them.
typedef float32x4_t chains[N_CHAINS];

static inline void open_chains(chains sum) {
#pragma GCC unroll 24
    for (int i = 0; i < N_CHAINS; i++) sum[i] = vdupq_n_f32(0.0f);
}

// A function cannot take an instruction's name. 0x3f in every byte: 0.75 in f32 and bf16, 1.8 in
// f16, 63.
#define PEAK(name, instruction)                                                               \
    __attribute__((target("arch=armv8.2-a+dotprod+i8mm+bf16+fp16"))) static void name(void) { \
        chains sum;                                                                           \
        open_chains(sum);                                                                     \
        const float32x4_t x = vreinterpretq_f32_u8(vdupq_n_u8(0x3f));                         \
        for (int round = 0; round < N_ROUNDS; round++)                                        \
            _Pragma("GCC unroll 24") for (int i = 0; i < N_CHAINS; i++) __asm__ volatile(     \
                instruction : "+w"(sum[i]) : "w"(x) : "v30", "v31");                          \
    }

PEAK(run_neon_f32, "fmla %0.4s, %1.4s, %1.s[0]")
PEAK(run_neon_i8,
     "smull v31.8h, %1.8b, %1.8b\n smull2 v30.8h, %1.16b, %1.16b\n"
     "addp v31.8h, v31.8h, v30.8h\n sadalp %0.4s, v31.8h")
PEAK(run_neon_dotprod, "udot %0.4s, %1.16b, %1.4b[0]")
PEAK(run_neon_i8mm, "usmmla %0.4s, %1.16b, %1.16b")
PEAK(run_neon_bf16, "bfmmla %0.4s, %1.8h, %1.8h")
PEAK(run_neon_fp16, "fmla %0.8h, %1.8h, %1.8h")

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
