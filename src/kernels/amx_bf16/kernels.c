// SPDX-License-Identifier: Apache-2.0
// The rung of AMX-BF16 (Sapphire Rapids and later): bf16 products, over the panels that the AVX-512
// set packs.
#include "kernels/amx_bf16/gemm.h"

static void gemm_bf16_amx_bf16(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                               int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_tiles_bf16(&out, x, ld_x, packed, k);
}

void wb_kernels_init_amx_bf16(wb_kernels *kernels) {
    kernels->isa = "amx";
    kernels->has_bf16 = true;
    kernels->gemm_bf16_name = "gemm_bf16_amx_bf16";
    kernels->gemm_bf16 = gemm_bf16_amx_bf16;
}
