// SPDX-License-Identifier: Apache-2.0
// bf16 products in tiles: tdpbf16ps adds the even and the odd products of 16 pairs in two chains of
// f32, and both to the sum; it takes denormals for zeros.
#ifndef WB_KERNELS_AMX_BF16_GEMM_H
#define WB_KERNELS_AMX_BF16_GEMM_H

#include "kernels/amx_bf16/panels.h"

// An instruction whose operands are numbers in its name: no function can take them.
#define TILES_DOT _tile_dpbf16ps

#include "kernels/generic/gemm_amx.h"

// Tiles for any number of rows, because vdpbf16ps rounds in another order: with a threshold a
// text's logits would depend on its company. A cache line of weights costs the unit one cycle for
// up to 16 rows, and vdpbf16ps m of them (one instruction a cycle), so nothing is lost at m = 1.
KERNEL_INLINE void gemm_tiles_bf16(const output *out, uint16_t *y_bf16, const uint16_t *x, int ld_x,
                                   const uint8_t *packed, int k, const bool to_bf16) {
    const tiled_product p = {.out = out,
                             .y_bf16 = y_bf16,
                             .x = (const uint8_t *)x,
                             .ld_x = (size_t)ld_x * sizeof *x,
                             .k = (size_t)k * sizeof *x,
                             .packed = packed,
                             .panel_bytes = tiles_bytes_of(k, 2)};
    gemm_tiles(&p, (kind){.to_bf16 = to_bf16});
}

#endif
