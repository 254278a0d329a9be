// SPDX-License-Identifier: Apache-2.0
// The rung of I8MM (Neoverse V1, N2 and later, Cortex-A510, A710 and later, Apple M2 and later):
// int8 products over USMMLA, 32 a register where UDOT has 16, and panels of their own.
#include "kernels/neon_i8mm/multiply_i8.h"

#include "kernels/generic/gemm_i8.h"

static size_t panel_bytes_i8_neon_i8mm(int k) {
    return panel_bytes_in_words_i8(k, WORD_I8);
}

static void pack_i8_neon_i8mm(void *packed, const int8_t *w, int n, int k) {
    pack_panels_in_words_i8(packed, w, n, k, WORD_I8, start_of);
}

static void gemm_i8_neon_i8mm(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                              const void *packed, const float *w_scale, int m, int n, int k,
                              const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

void wb_kernels_init_neon_i8mm(wb_kernels *kernels) {
    kernels->gemm_i8_name = "gemm_i8_neon_i8mm";
    kernels->panel_bytes_i8 = panel_bytes_i8_neon_i8mm;
    kernels->pack_i8 = pack_i8_neon_i8mm;
    kernels->gemm_i8 = gemm_i8_neon_i8mm;
}
