// SPDX-License-Identifier: Apache-2.0
// The rung of AMX-BF16 (Sapphire Rapids and later): bf16 products and panels of their own.
#include "kernels/amx_bf16/gemm.h"

static size_t panel_bytes_bf16_amx_bf16(int k) {
    return tiles_bytes_of(k, 2);
}

static void pack_bf16_amx_bf16(void *packed, const float *w, int n, int k) {
    pack_tiles_bf16(packed, w, n, k);
}

static void cast_panels_bf16_amx_bf16(void *packed, const void *packed_f32, int n, int k) {
    cast_panels_to_tiles(packed, packed_f32, n, k);
}

static void gemm_bf16_amx_bf16(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                               int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_tiles_bf16(&out, NULL, x, ld_x, packed, k, false);
}

static void gemm_bf16_to_bf16_amx_bf16(uint16_t *y, int ld_y, const uint16_t *x, int ld_x,
                                       const void *packed, int m, int n, int k,
                                       const wb_epilogue *epilogue) {
    const output out = output_of(NULL, ld_y, m, n, epilogue);
    gemm_tiles_bf16(&out, y, x, ld_x, packed, k, true);
}

void wb_kernels_init_amx_bf16(wb_kernels *kernels) {
    kernels->isa = "amx";
    kernels->has_bf16 = true;
    kernels->gemm_bf16_name = "gemm_bf16_amx_bf16";
    kernels->panel_bytes_bf16 = panel_bytes_bf16_amx_bf16;
    kernels->pack_bf16 = pack_bf16_amx_bf16;
    kernels->cast_panels_bf16 = cast_panels_bf16_amx_bf16;
    kernels->gemm_bf16 = gemm_bf16_amx_bf16;
    kernels->gemm_bf16_to_bf16 = gemm_bf16_to_bf16_amx_bf16;
}
