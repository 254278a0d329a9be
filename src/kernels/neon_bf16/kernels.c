// SPDX-License-Identifier: Apache-2.0
// The rung of BF16 (Neoverse V1, N2 and later, Cortex-A510, A710 and later, Apple M2 and later):
// bf16 products over BFMMLA, and panels of their own. Casts stay integer arithmetic: a cast's bits
// are the same on every set.
#include "kernels/neon_bf16/multiply_bf16.h"

#include "kernels/generic/gemm_bf16.h"

static size_t panel_bytes_bf16_neon_bf16(int k) {
    return panel_bytes_in_words_bf16(k, WORD_BF16);
}

static void pack_bf16_neon_bf16(void *packed, const float *w, int n, int k) {
    pack_panels_in_words_bf16(packed, w, n, k, WORD_BF16);
}

// Row kk of a panel of f32, zeros from k on.
static lanes panel_row(const float *panel, int kk, int k) {
    return kk < k ? lanes_load(panel + (size_t)kk * TILE_N) : lanes_all(0.0f);
}

// Pairs of k, as AVX-512's panels have them, and two pairs of a column next to each other.
static void cast_panels_bf16_neon_bf16(void *packed, const void *packed_f32, int n, int k) {
    uint32_t *to = packed;
    const float *panel = packed_f32;
    for (int i = 0; i < n_panels(n); i++, panel += (size_t)k * TILE_N) {
        for (int kk = 0; kk < k; kk += WORD_BF16, to += 2 * TILE_N) {
            uint32_t pairs[2][TILE_N];
            for (int p = 0; p < 2; p++)
                lanes_store_bf16_pairs((uint16_t *)pairs[p], panel_row(panel, kk + 2 * p, k),
                                       panel_row(panel, kk + 2 * p + 1, k));
            for (int c = 0; c < TILE_N; c += 4) {
                const uint32x4x2_t words = {{vld1q_u32(pairs[0] + c), vld1q_u32(pairs[1] + c)}};
                vst2q_u32(to + 2 * c, words);
            }
        }
    }
}

static void gemm_bf16_neon_bf16(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                                int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_bf16(&out, x, ld_x, packed, k);
}

void wb_kernels_init_neon_bf16(wb_kernels *kernels) {
    kernels->has_bf16 = true;
    kernels->gemm_bf16_name = "gemm_bf16_neon_bf16";
    kernels->panel_bytes_bf16 = panel_bytes_bf16_neon_bf16;
    kernels->pack_bf16 = pack_bf16_neon_bf16;
    kernels->cast_panels_bf16 = cast_panels_bf16_neon_bf16;
    kernels->gemm_bf16 = gemm_bf16_neon_bf16;
}
