// SPDX-License-Identifier: Apache-2.0
// The rung of VNNI (Cascade Lake, Zen 4 and later): int8 products over panels whose sums start
// elsewhere than the AVX-512 set's.
#include "kernels/avx512_vnni/bytes.h"

#include "kernels/generic/gemm_i8.h"

static void pack_i8_avx512_vnni(void *packed, const int8_t *w, int n, int k) {
    pack_panels_i8(packed, w, n, k);
}

static void gemm_i8_avx512_vnni(float *y, int ld_y, const uint8_t *x, int ld_x,
                                const float *x_scale, const void *packed, const float *w_scale,
                                int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

void wb_kernels_init_avx512_vnni(wb_kernels *kernels) {
    kernels->gemm_i8_name = "gemm_i8_avx512_vnni";
    kernels->pack_i8 = pack_i8_avx512_vnni;
    kernels->gemm_i8 = gemm_i8_avx512_vnni;
}
