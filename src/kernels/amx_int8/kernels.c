// SPDX-License-Identifier: Apache-2.0
// The rung of AMX-INT8 (Sapphire Rapids and later): int8 products and panels of their own.
#include "kernels/amx_int8/gemm.h"

static size_t panel_bytes_i8_amx_int8(int k) {
    return panel_bytes_of_tiles_i8(k);
}

static void pack_i8_amx_int8(void *packed, const int8_t *w, int n, int k) {
    pack_tiles_i8(packed, w, n, k);
}

static void gemm_i8_amx_int8(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                             const void *packed, const float *w_scale, int m, int n, int k,
                             const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_tiles_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

void wb_kernels_init_amx_int8(wb_kernels *kernels) {
    kernels->isa = "amx";
    kernels->gemm_i8_name = "gemm_i8_amx_int8";
    kernels->panel_bytes_i8 = panel_bytes_i8_amx_int8;
    kernels->pack_i8 = pack_i8_amx_int8;
    kernels->gemm_i8 = gemm_i8_amx_int8;
}
