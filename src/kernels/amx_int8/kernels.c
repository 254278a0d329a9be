// SPDX-License-Identifier: Apache-2.0
// The rung of AMX-INT8 (Sapphire Rapids and later): int8 products, over the panels that the AVX-512
// set packs.
#include "kernels/amx_int8/gemm.h"

static void gemm_i8_amx_int8(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                             const void *packed, const float *w_scale, int m, int n, int k,
                             const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_tiles_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

void wb_kernels_init_amx_int8(wb_kernels *kernels) {
    kernels->isa = "amx";
    kernels->gemm_i8_name = "gemm_i8_amx_int8";
    kernels->gemm_i8 = gemm_i8_amx_int8;
}
