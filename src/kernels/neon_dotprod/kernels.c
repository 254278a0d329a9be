// SPDX-License-Identifier: Apache-2.0
// The rung of the dot product (ASIMDDP: Cortex-A55, A75, A76, Neoverse N1, Apple A11 and later):
// int8 products, over panels whose weights are unsigned.
#include "kernels/neon_dotprod/multiply_i8.h"

#include "kernels/generic/gemm_i8.h"

// The panels of the rung below with each weight's top bit flipped: w + 128.
static void pack_i8_neon_dotprod(void *packed, const int8_t *w, int n, int k) {
    pack_panels_i8(packed, w, n, k);
    const size_t panel_bytes = panel_bytes_of_i8(k), first = TILE_N * sizeof(int32_t);
    uint8_t *panel = packed;
    for (int i = 0; i < n_panels(n); i++, panel += panel_bytes)
        for (size_t at = first; at < panel_bytes; at++) panel[at] ^= 0x80;
}

static void gemm_i8_neon_dotprod(float *y, int ld_y, const uint8_t *x, int ld_x,
                                 const float *x_scale, const void *packed, const float *w_scale,
                                 int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

void wb_kernels_init_neon_dotprod(wb_kernels *kernels) {
    kernels->gemm_i8_name = "gemm_i8_neon_dotprod";
    kernels->pack_i8 = pack_i8_neon_dotprod;
    kernels->gemm_i8 = gemm_i8_neon_dotprod;
}
