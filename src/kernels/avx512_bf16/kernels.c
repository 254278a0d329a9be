// SPDX-License-Identifier: Apache-2.0
// The rung of AVX-512 BF16 (Cooper Lake, Sapphire Rapids, Zen 4 and later): bf16 products, over
// the panels that the AVX-512 set packs. Casts stay integer arithmetic: vcvtneps2bf16 takes
// denormals for zeros, and a cast's bits are the same on every set.
#include "kernels/avx512_bf16/pairs.h"

#include "kernels/generic/gemm_bf16.h"

static void gemm_bf16_avx512_bf16(float *y, int ld_y, const uint16_t *x, int ld_x,
                                  const void *packed, int m, int n, int k,
                                  const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_bf16(&out, x, ld_x, packed, k);
}

void wb_kernels_init_avx512_bf16(wb_kernels *kernels) {
    kernels->has_bf16 = true;
    kernels->gemm_bf16_name = "gemm_bf16_avx512_bf16";
    kernels->gemm_bf16 = gemm_bf16_avx512_bf16;
}
