// SPDX-License-Identifier: Apache-2.0
// int8 products in tiles: tdpbusd multiplies unsigned inputs by weights and adds to 32 bits, as
// vpdpbusd does, so any mixture of the two gives the same bits.
#ifndef WB_KERNELS_AMX_INT8_GEMM_H
#define WB_KERNELS_AMX_INT8_GEMM_H

#include "kernels/amx_int8/multiply_i8.h"

// An instruction whose operands are numbers in its name: no function can take them.
#define TILES_DOT _tile_dpbusd

#include "kernels/generic/gemm_amx.h"
#include "kernels/generic/gemm_i8.h"

// From this many rows on, tiles: for n = 2304, k = 768 vpdpbusd takes 59, 79 and 174 us for 6, 8
// and 16 rows, tiles 108, 100 and 145 (checkkernels --bench -f gemm_i8, a Xeon with AMX, shared).
enum { LEAST_TILE_ROWS = 9 };

KERNEL_INLINE void gemm_tiles_i8(const output *out, const uint8_t *x, int ld_x, scales scale,
                                 const int8_t *packed, int k) {
    if (out->m < LEAST_TILE_ROWS) {
        gemm_lanes_i8(out, x, ld_x, scale, packed, k);
        return;
    }
    const tiled_product p = {.out = out,
                             .x = x,
                             .ld_x = (size_t)ld_x,
                             .k = (size_t)k,
                             .x_scale = scale.x,
                             .w_scale = scale.w,
                             .packed = (const uint8_t *)packed,
                             .panel_bytes = panel_bytes_of_tiles_i8(k)};
    gemm_tiles(&p, (kind){.is_int8 = true, .head = STARTS_BYTES});
}

#endif
