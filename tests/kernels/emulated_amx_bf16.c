// SPDX-License-Identifier: Apache-2.0
// src/kernels/amx_bf16 over the emulated matrix unit.
#include "emulated.h"

#if defined(__AVX512VL__)
#include <stdlib.h>

#include "emulated_tiles.h"

#include "kernels/amx_bf16/gemm.h"

static void gemm_bf16_emulated(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                               int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_tiles_bf16(&out, NULL, x, ld_x, packed, k, false);
    if (!emulated_is_released()) abort();
}

static void gemm_bf16_to_bf16_emulated(uint16_t *y, int ld_y, const uint16_t *x, int ld_x,
                                       const void *packed, int m, int n, int k,
                                       const wb_epilogue *epilogue) {
    const output out = output_of(NULL, ld_y, m, n, epilogue);
    gemm_tiles_bf16(&out, y, x, ld_x, packed, k, true);
    if (!emulated_is_released()) abort();
}

bool emulated_amx_bf16_select(wb_kernels *kernels) {
    wb_kernels_init_amx_bf16(kernels);  // which packs with AVX-512's instructions alone
    kernels->gemm_bf16_name = "gemm_bf16_emulated";
    kernels->gemm_bf16 = gemm_bf16_emulated;
    kernels->gemm_bf16_to_bf16 = gemm_bf16_to_bf16_emulated;
    return true;
}
#else
bool emulated_amx_bf16_select(wb_kernels *kernels) {
    (void)kernels;
    return false;
}
#endif
