// SPDX-License-Identifier: Apache-2.0
// src/kernels/amx_int8 over the emulated matrix unit.
#include "emulated.h"

#if defined(__AVX512VNNI__)
#include <stdlib.h>

#include "emulated_tiles.h"

#include "kernels/amx_int8/gemm.h"

static void gemm_i8_emulated(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                             const void *packed, const float *w_scale, int m, int n, int k,
                             const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_tiles_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
    if (!emulated_is_released()) abort();
}

bool emulated_amx_int8_select(wb_kernels *kernels) {
    wb_kernels_init_amx_int8(kernels);  // which packs with AVX-512's instructions alone
    kernels->gemm_i8_name = "gemm_i8_emulated";
    kernels->gemm_i8 = gemm_i8_emulated;
    return true;
}
#else
bool emulated_amx_int8_select(wb_kernels *kernels) {
    (void)kernels;
    return false;
}
#endif
