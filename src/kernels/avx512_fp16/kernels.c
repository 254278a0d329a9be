// SPDX-License-Identifier: Apache-2.0
// The rung of AVX512-FP16 (Sapphire Rapids and later): f16 products with f16's own arithmetic, over
// the panels that the AVX-512 set packs. Where the CPU has no such arithmetic, checkkernels
// checks the same source with each instruction emulated (tests/kernels/emulated_f16.c).
#include "kernels/avx512_fp16/halves.h"

#include "kernels/generic/gemm_f16_blocks.h"

static void gemm_f16_avx512_fp16(float *y, int ld_y, const uint16_t *x, int ld_x,
                                 const void *packed, int m, int n, int k,
                                 const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_halves_f16(&out, x, ld_x, packed, k);
}

void wb_kernels_init_avx512_fp16(wb_kernels *kernels) {
    kernels->has_f16 = true;
    kernels->gemm_f16_name = "gemm_f16_avx512_fp16";
    kernels->gemm_f16 = gemm_f16_avx512_fp16;
}
